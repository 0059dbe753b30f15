//! MakeReport, GetReport, ListReports, CheckReport; GetPerformanceIndex, GetRatingAssessment; GetPunctuality.

use std::sync::Arc;

use aws_lc_rs::digest;
use egov_auth::{Caller, Resource, RowScope};
use egov_clock::{Clock as _, vietnam};
use egov_database::{Event, Leaf, Page, UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::onestop::v1::{MakeReportRequest, MakeReportResponse};
use jiff::civil::Date;
use uuid::Uuid;

use super::OneStop;
use super::statistics::{Counted, Naming, Query, content, figures, with_below};
use crate::domain::reports::{
    AfterReport, CentreRules, Content, Form, Period, PeriodRefused, Published, Punctuality, Report, SMALLEST, month_of,
    publish, settled_until,
};
use crate::domain::statistics::{Columns, Group};
use crate::error::Error;
use crate::report_error::ReportRefused;
use crate::store::reports;

const MAKE: &str = "onestop.reports.make";
const READ: &str = "onestop.reports.read";

/// Of events and leaves.
pub(crate) const KIND: &str = "report";

/// Differences that are named.
const NAMED: usize = 100;

/// Of a form so many periods are looked at for reports that are due: two years, and the one that is due next.
const MOST_DUE: usize = 25;

/// Which report is to be made.
pub(crate) struct Wanted {
    pub(crate) unit_id: i32,
    pub(crate) form: String,
    pub(crate) year: i16,
    pub(crate) month: i8,
}

impl OneStop {
    /// The rules of the centre in force on a day.
    pub(crate) fn centre_rules(&self, on: Date) -> Result<Arc<CentreRules>, Error> {
        self.law
            .get()
            .centre(on)
            .ok_or_else(|| ReportRefused::RulesMissing(on).into())
    }

    /// Makes a report and freezes it.
    pub(crate) async fn make_report(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &MakeReportRequest,
        wanted: Wanted,
        answer: impl FnOnce(&Report, &Content) -> MakeReportResponse + Send,
    ) -> Result<MakeReportResponse, Error> {
        let scope = caller.scope(MAKE);
        let units = self.directory.units();
        let resource = Resource {
            unit: Some(wanted.unit_id),
            owner: None,
            assignee: None,
        };
        if units.get(wanted.unit_id).is_none() || !caller.decide(MAKE, &resource).allowed {
            caller.admit(MAKE)?;
            return Err(ReportRefused::UnitNotFound(wanted.unit_id).into());
        }
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.ReportService/MakeReport",
            request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let rules = self.centre_rules(unit.today())?;
                let form = rules
                    .form(&wanted.form)
                    .ok_or_else(|| ReportRefused::FormUnknown(wanted.form.clone()))?;
                let period = form.period(wanted.year, wanted.month).map_err(ReportRefused::Period)?;
                let known_until = settled_until(unit.now());
                if period.to > known_until {
                    return Err(ReportRefused::Period(PeriodRefused::NotEnded(period.to)).into());
                }
                let counted = Counted {
                    units: with_below(&units, wanted.unit_id).into_iter().collect(),
                    from: period.from,
                    to: period.to,
                    known_until,
                };
                let content = content(unit.conn(), &counted, &units).await?;
                let report = Report {
                    report_id: unit.new_id(),
                    unit_id: wanted.unit_id,
                    form: form.clone(),
                    from: period.from,
                    to: period.to,
                    due: period.due,
                    known_until,
                    units: counted.units,
                    content_sha256: content_hash(&content)?,
                    made_by: caller.principal.subject,
                    make_time: unit.now(),
                };
                if let Some(there) = reports::insert(unit.conn(), &report, &content).await? {
                    return Err(ReportRefused::AlreadyMade(there).into());
                }
                announce(unit, &report)?;
                Ok::<_, Error>(answer(&report, &content))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// A report as it was made.
    pub(crate) async fn get_report(&self, caller: &Caller, report_id: Uuid) -> Result<(Report, Content), Error> {
        let units = self.counted_units(caller, READ, None, false)?;
        self.database
            .read(&caller.scope(READ), async |connection| {
                Ok::<_, Error>(reports::get(connection, report_id, &units).await?)
            })
            .await?
            .ok_or_else(|| ReportRefused::ReportNotFound.into())
    }

    /// One page of the reports, the latest period first; and what a unit has to make, if one is named.
    pub(crate) async fn list_reports(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
        page: Page<AfterReport>,
    ) -> Result<(Vec<Report>, String, Vec<(Form, Period)>), Error> {
        let units = self.counted_units(caller, READ, unit_id, false)?;
        let (after, limit) = (page.after().copied(), page.fetch());
        let today = self.clock.today();
        let rules = self.law.get().centre(today);
        let forms = rules.as_ref().map_or(&[][..], |rules| rules.form.as_slice());
        let (rows, due) = self
            .database
            .read(&caller.scope(READ), async |connection| {
                let rows = reports::list(&mut *connection, &units, after, limit).await?;
                let mut due = Vec::new();
                let Some(unit_id) = unit_id else {
                    return Ok::<_, Error>((rows, due));
                };
                for form in forms {
                    let first = reports::first(&mut *connection, unit_id, &form.code).await?;
                    let periods = form
                        .periods_since(first, today, MOST_DUE)
                        .map_err(ReportRefused::Period)?;
                    let begins: Vec<Date> = periods.iter().map(|period| period.from).collect();
                    let made = reports::made(&mut *connection, unit_id, &form.code, &begins).await?;
                    let missing = periods.into_iter().filter(|period| !made.contains(&period.from));
                    due.extend(missing.map(|period| (form.clone(), period)));
                }
                Ok::<_, Error>((rows, due))
            })
            .await?;
        let (rows, next) = page.finish(rows, |row| AfterReport {
            from: row.from,
            report_id: row.report_id,
        })?;
        Ok((rows, next, due))
    }

    /// What comes out differently when the report is made again from what was known then.
    pub(crate) async fn check_report(&self, caller: &Caller, report_id: Uuid) -> Result<Vec<String>, Error> {
        let (report, kept) = self.get_report(caller, report_id).await?;
        let units = self.directory.units();
        // The report is the caller's to read; what it was made of may reach further than the caller does today.
        let scope = RowScope {
            units: report.units.clone(),
            ..RowScope::none()
        };
        let again = self
            .database
            .read(&scope, async |connection| {
                content(connection, &counted(&report), &units).await
            })
            .await?;
        Ok(kept.differences(&again, NAMED))
    }

    /// The columns of everything in a period, with the rules in force on its last day.
    pub(crate) async fn columns_and_rules(
        &self,
        caller: &Caller,
        query: &Query,
    ) -> Result<(Columns, Arc<CentreRules>), Error> {
        let found = self.statistics(caller, query).await?;
        Ok((found.total, self.centre_rules(query.to)?))
    }

    /// How many cases the units decided in time in a month that has ended; small numbers are put together.
    pub(crate) async fn punctuality(&self, year: i16, month: i8) -> Result<Published, Error> {
        let (from, to) = month_of(year, month).map_err(ReportRefused::Period)?;
        let known_until = self.clock.today();
        if to > settled_until(self.clock.now()) {
            return Err(ReportRefused::Period(PeriodRefused::NotEnded(to)).into());
        }
        let units = self.directory.units();
        let counted = Counted {
            units: units.iter().map(|unit| unit.id).collect(),
            from,
            to,
            known_until,
        };
        // Nobody in particular asks: the sums of all units are read, and only what may be published leaves.
        let found = self
            .database
            .read(&RowScope::everything(), async |connection| {
                let naming = Naming {
                    units: &units,
                    procedures: &[],
                };
                figures(connection, &counted, Group::Unit, None, &naming).await
            })
            .await?;
        let rows: Vec<Punctuality> = found
            .rows
            .iter()
            .filter_map(|row| {
                Some(Punctuality {
                    unit_id: row.key.parse().ok()?,
                    processed: row.columns.processed(),
                    in_time: row.columns.in_time(),
                })
            })
            .collect();
        Ok(publish(&rows, SMALLEST))
    }
}

/// Of what a report was made.
pub(crate) fn counted(report: &Report) -> Counted {
    Counted {
        units: report.units.clone(),
        from: report.from,
        to: report.to,
        known_until: report.known_until,
    }
}

/// True if a report was made after it was due.
pub(crate) fn is_late(report: &Report) -> bool {
    report.make_time.to_zoned(vietnam()).date() > report.due
}

fn content_hash(content: &Content) -> Result<Vec<u8>, Error> {
    let bytes = serde_json::to_vec(content).map_err(Fault::internal)?;
    Ok(digest::digest(&digest::SHA256, &bytes).as_ref().to_vec())
}

/// The bytes to which the ledger commits: what the report is of, and the hash of what it contains.
pub(crate) fn canonical(report: &Report) -> Result<Vec<u8>, Error> {
    let facts = serde_json::json!({
        "report_id": report.report_id,
        "unit_id": report.unit_id,
        "form": report.form,
        "from": report.from,
        "to": report.to,
        "due": report.due,
        "known_until": report.known_until,
        "units": report.units,
        "content_sha256": hex::encode(&report.content_sha256),
        "made_by": report.made_by,
        "make_time": report.make_time,
    });
    Ok(serde_json::to_vec(&facts).map_err(Fault::internal)?)
}

fn announce(unit: &mut UnitOfWork<'_>, report: &Report) -> Result<(), Error> {
    let canonical = canonical(report)?;
    unit.publish(Event {
        aggregate_kind: KIND,
        aggregate_id: report.report_id,
        version: 1,
        kind: "report_made",
        payload: serde_json::json!({
            "form": report.form.code,
            "from": report.from,
            "to": report.to,
            "due_date": report.due,
            "responsible_unit_id": report.unit_id,
        }),
    });
    unit.leaf(Leaf {
        kind: KIND,
        resource: report.report_id,
        version: 1,
        canonical: &canonical,
    });
    Ok(())
}
