//! ListReadings and AuditReadings: the caller's scope, a page of each database, merged.

use egov_auth::{Caller, ReadRecord, RowScope};
use egov_clock::{Clock as _, vietnam};
use egov_database::{Page, Reading, ReadingFilter, SubjectFilter, list_readings, page_of};
use egov_fault::{Fault, Violation};
use egov_proto::egov::records::v1::{
    AuditReadingsRequest, AuditReadingsResponse, ListReadingsRequest, ListReadingsResponse,
};
use egov_proto::google::r#type::Date as WireDate;
use futures::future::try_join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use crate::Readings;
use crate::merge::{Place, go_on, order};

const READ: &str = "records.readings.read";
const AUDIT: &str = "records.readings.audit";
const LIST: &str = "/egov.records.v1.ReadingService/ListReadings";
const AUDITS: &str = "/egov.records.v1.ReadingService/AuditReadings";

/// How many days a supervisor sees who names none: reading what everybody read since ever is no question.
const AUDITED_DAYS: i64 = 30;

/// A reading, and the service whose database holds it.
pub(crate) type Found = (&'static str, Reading);

impl Readings {
    /// A page of the readings of the caller's own data.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        request: ListReadingsRequest,
    ) -> Result<ListReadingsResponse, Fault> {
        caller.admit(READ)?;
        let scope = caller.scope(READ);
        let own = scope.owner.unwrap_or_else(|| caller.principal.record_owner());
        // Whatever the policies say, this list is about the caller alone.
        let scope = RowScope {
            owner: Some(own),
            ..RowScope::none()
        };
        let page: Page<Place> = page_of!(self.home.page_tokens(), caller, LIST, request)?;
        let (from, until) = self.stretch(request.from_date, request.to_date, None)?;
        let filter = ReadingFilter {
            subject: SubjectFilter::Own,
            by_others: request.by_others_only,
            unit: None,
            from,
            until,
        };
        let (found, next_page_token) = self.merged(&scope, &filter, page).await?;
        Ok(ListReadingsResponse {
            readings: found.iter().map(|found| self.show(found, Some(own))).collect(),
            next_page_token,
        })
    }

    /// A page of the readings by the units in the supervisor's scope. Recorded before it leaves.
    pub(crate) async fn audit(
        &self,
        caller: &Caller,
        request: AuditReadingsRequest,
    ) -> Result<AuditReadingsResponse, Fault> {
        caller.admit(AUDIT)?;
        let scope = RowScope {
            owner: None,
            assignee: None,
            ..caller.scope(AUDIT)
        };
        let page: Page<Place> = page_of!(self.home.page_tokens(), caller, AUDITS, request)?;
        let person = match request.person_id.as_str() {
            "" => None,
            text => {
                Some(Uuid::try_parse(text).map_err(|_| invalid("person_id", "không phải là UUID", "is not a UUID"))?)
            }
        };
        let (from, until) = self.stretch(request.from_date, request.to_date, Some(AUDITED_DAYS))?;
        let filter = ReadingFilter {
            subject: SubjectFilter::ByUnits(person),
            by_others: false,
            unit: (request.unit_id > 0).then_some(request.unit_id),
            from,
            until,
        };
        let (found, next_page_token) = self.merged(&scope, &filter, page).await?;
        let mut persons: Vec<Uuid> = found
            .iter()
            .flat_map(|(_, reading)| &reading.subjects)
            .copied()
            .collect();
        persons.sort_unstable();
        persons.dedup();
        if !persons.is_empty() {
            let read = persons.into_iter().map(|person| (Some(person), "readings".to_owned()));
            let record = ReadRecord::of_each(caller, read, self.clock.now());
            self.recorder.record(record).await?;
        }
        Ok(AuditReadingsResponse {
            readings: found.iter().map(|found| self.show_audited(found)).collect(),
            next_page_token,
        })
    }

    /// From the first instant of a day until the last of another, in Việt Nam.
    fn stretch(
        &self,
        from: Option<WireDate>,
        to: Option<WireDate>,
        unsaid_days: Option<i64>,
    ) -> Result<(Timestamp, Timestamp), Fault> {
        let now = self.clock.now();
        let until = match day("to_date", to)? {
            // A record of this very instant counts as well.
            None => Timestamp::MAX,
            Some(last) => last.tomorrow().map_or(Timestamp::MAX, begins),
        };
        let from = match (day("from_date", from)?, unsaid_days) {
            (Some(first), _) => begins(first),
            (None, None) => Timestamp::UNIX_EPOCH,
            (None, Some(days)) => {
                let until = until.min(now);
                until
                    .checked_sub(jiff::SignedDuration::from_hours(24 * days))
                    .unwrap_or(until)
            }
        };
        if from >= until {
            return Err(invalid(
                "to_date",
                "ngày cuối phải không trước ngày đầu",
                "must not be before from_date",
            ));
        }
        // PostgreSQL's time ends before ours does.
        Ok((from, until.min(far_away())))
    }

    /// A page of all databases as one list.
    async fn merged(
        &self,
        scope: &RowScope,
        filter: &ReadingFilter,
        page: Page<Place>,
    ) -> Result<(Vec<Found>, String), Fault> {
        let limit = page.fetch();
        let after = page.after().cloned();
        let lists = self.databases.iter().map(|(service, database)| {
            let after = after.as_ref().map(|place| go_on(place, service));
            async move {
                let rows = database
                    .read(scope, async |conn| {
                        list_readings(conn, scope, filter, after, limit).await
                    })
                    .await?;
                Ok::<_, Fault>(rows.into_iter().map(|row| (*service, row)).collect::<Vec<Found>>())
            }
        });
        let mut rows: Vec<Found> = try_join_all(lists).await?.into_iter().flatten().collect();
        rows.sort_by(|a, b| order((a.0, &a.1.key), (b.0, &b.1.key)));
        page.finish(rows, |(service, reading)| Place {
            service: (*service).to_owned(),
            key: reading.key,
        })
    }
}

fn far_away() -> Timestamp {
    // The year 9999: both calendars know it.
    jiff::civil::date(9999, 1, 1)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

/// The first instant of a day.
fn begins(day: Date) -> Timestamp {
    day.to_zoned(vietnam())
        .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

fn day(field: &str, date: Option<WireDate>) -> Result<Option<Date>, Fault> {
    match date {
        None => Ok(None),
        Some(date) => match Date::try_from(date) {
            Ok(day) => Ok(Some(day)),
            Err(_) => Err(invalid(
                field,
                "không phải là một ngày trong lịch",
                "is not a day of the calendar",
            )),
        },
    }
}

fn invalid(field: &str, vi: &str, en: &str) -> Fault {
    Fault::invalid(vec![Violation {
        field: field.to_owned(),
        rule: "value".to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }])
}
