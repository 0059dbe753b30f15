//! GetPaper, PrintPaper, GetTrackingBook, PrintTrackingBook.

use egov_auth::{Caller, ReadRecord, Resource};
use egov_calendar::vietnam_instant;
use egov_database::Page;
use egov_directory::Units;
use jiff::Timestamp;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::OneStop;
use super::act::{READ, resource};
use crate::domain::case::Case;
use crate::domain::charge::Charge;
use crate::domain::papers::{
    BookRow, BookSpan, Form, MOST_ACTS, Office, Paper, PaperRefused, Source, available, paper, place_name,
    tracking_book,
};
use crate::error::Error;
use crate::paper_error::PaperError;
use crate::press::NotPrinted;
use crate::report_error::ReportRefused;
use crate::store::papers::BookPart;
use crate::store::{Visible, cases, charges, history, papers};

/// The permission by which a caller reads tracking books.
const READ_BOOK: &str = "onestop.papers.read_book";
/// Whoever may take a case in has given its look-up secret out already.
const ACCEPT: &str = "onestop.cases.accept";
/// Bytes of content that are printed at once.
const MOST_CONTENT: usize = 1 << 20;

/// Where a part of a tracking book begins: after this row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AfterRow {
    accept_time: Timestamp,
    case_id: Uuid,
    number: i64,
}

/// Which book.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Book {
    pub(crate) unit_id: i32,
    pub(crate) span: BookSpan,
}

/// A paper, printed.
pub(crate) struct PrintedPaper {
    pub(crate) file_name: String,
    pub(crate) pdf: Vec<u8>,
}

impl OneStop {
    /// A paper of a case that the caller sees. The read is recorded before it is told.
    pub(crate) async fn read_paper(&self, caller: &Caller, case_id: Uuid, form: Form) -> Result<(Case, Paper), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (case, version, entries, consulted, charge) = self
            .database
            .read(&scope, async |connection| {
                let case = cases::get(&mut *connection, case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                // Before more is read: whether there is such a paper at all.
                if form.is_internal() && caller.principal.citizen().is_some() {
                    return Err(PaperError::from(PaperRefused::Internal(form)).into());
                }
                available(form, &case).map_err(PaperError::from)?;
                let version = self
                    .procedures
                    .version(&mut *connection, &case.procedure_code, case.procedure_version)
                    .await?;
                // One more than is shown tells that there are more.
                let limit = i64::try_from(MOST_ACTS).unwrap_or(i64::MAX).saturating_add(1);
                let entries =
                    history::list(&mut *connection, case_id, form.reads_after(case.version, limit), limit).await?;
                let consulted = papers::consulted_units(&mut *connection, case_id).await?;
                // A unit that only received the case, or is asked about it, is not shown its charge on a paper that the competent unit issues.
                let sees_charge = visible.all
                    || visible.units.contains(&case.responsible_unit_id)
                    || (case.owner_id.is_some() && case.owner_id == visible.owner);
                let charge = if form == Form::Stop && sees_charge {
                    let kept = charges::get(connection, case_id, &visible, false).await?;
                    let fees = version.procedure.fees_for(case.channel, &case.conditions);
                    Some(kept.unwrap_or_else(|| Charge::assess(&case, &fees)))
                } else {
                    None
                };
                Ok::<_, Error>((case, version, entries, consulted, charge))
            })
            .await?;
        let office = self.office(case.responsible_unit_id, case.receiving_unit_id, &consulted);
        let may_know = form == Form::Receipt
            && (caller.principal.citizen().is_some() || caller.decide(ACCEPT, &resource(&case)).allowed);
        let secret = may_know.then(|| self.open_lookup_secret(&case)).transpose()?;
        let law = self.law.get();
        let source = Source {
            case: &case,
            procedure: &version.procedure,
            transitions: law.transitions_on(self.clock.today()),
            history: &entries,
            office: &office,
            lookup_secret: secret.as_deref(),
            charge: charge.as_ref(),
        };
        let paper = paper(form, &source).map_err(PaperError::from)?;
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;
        Ok((case, paper))
    }

    /// The same, printed.
    pub(crate) async fn print_paper(&self, caller: &Caller, case_id: Uuid, form: Form) -> Result<PrintedPaper, Error> {
        let (case, paper) = self.read_paper(caller, case_id, form).await?;
        Ok(PrintedPaper {
            file_name: format!("{}-{}.pdf", form.file_stem(), case.case_code),
            pdf: self.print(&paper).await?,
        })
    }

    /// A part of the tracking book of a unit, and the token of the next one. The read is recorded before it is told.
    pub(crate) async fn read_book(
        &self,
        caller: &Caller,
        book: Book,
        page: Page<AfterRow>,
    ) -> Result<(Paper, String), Error> {
        let of_unit = Resource {
            unit: Some(book.unit_id),
            owner: None,
            assignee: None,
        };
        let units = self.directory.units();
        if units.get(book.unit_id).is_none() || !caller.decide(READ_BOOK, &of_unit).allowed {
            caller.admit(READ_BOOK)?;
            return Err(ReportRefused::UnitNotFound(book.unit_id).into());
        }
        let scope = caller.scope(READ_BOOK);
        let visible = Visible::from(&scope);
        let midnight = |day: jiff::civil::Date| {
            vietnam_instant(day.to_datetime(Time::midnight())).map_err(egov_fault::Fault::internal)
        };
        let tomorrow = book.span.to.tomorrow().map_err(egov_fault::Fault::internal)?;
        let first = midnight(book.span.from)?;
        // The first part begins after the last instant before its first day.
        let start = (first - jiff::SignedDuration::from_micros(1), Uuid::max());
        let (after, numbered) = page
            .after()
            .map_or((start, 0), |row| ((row.accept_time, row.case_id), row.number));
        let part = BookPart {
            receiving_unit_id: book.unit_id,
            before: midnight(tomorrow)?,
            after,
            limit: page.fetch(),
        };
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(papers::book(connection, &visible, &part).await?)
            })
            .await?;
        let rows: Vec<(i64, BookRow)> = (numbered + 1..).zip(rows).collect();
        let (rows, next) = page.finish(rows, |(number, row)| AfterRow {
            accept_time: row.accept_time,
            case_id: row.case_id,
            number: *number,
        })?;
        let rows: Vec<BookRow> = rows
            .into_iter()
            .map(|(_, row)| BookRow {
                agency: self.unit_name(row.responsible_unit_id),
                ..row
            })
            .collect();
        let read = rows
            .iter()
            .map(|row| (row.owner_id, format!("cases/{}", row.case_code)));
        let record = ReadRecord::of_each(caller, read, self.clock.now());
        self.reads.record(record).await?;
        let office = self.office(book.unit_id, book.unit_id, &[]);
        Ok((tracking_book(&office, book.span, numbered + 1, &rows), next))
    }

    /// The same, printed.
    pub(crate) async fn print_book(
        &self,
        caller: &Caller,
        book: Book,
        page: Page<AfterRow>,
    ) -> Result<(PrintedPaper, String), Error> {
        let (paper, next) = self.read_book(caller, book, page).await?;
        let file_name = format!(
            "{}-{}-{}-{}.pdf",
            Form::TrackingBook.file_stem(),
            book.unit_id,
            book.span.from,
            book.span.to
        );
        let pdf = self.print(&paper).await?;
        Ok((PrintedPaper { file_name, pdf }, next))
    }

    async fn print(&self, paper: &Paper) -> Result<Vec<u8>, Error> {
        let content = paper.content().map_err(egov_fault::Fault::internal)?;
        if content.len() > MOST_CONTENT {
            return Err(PaperError::TooLarge(content.len()).into());
        }
        self.prints.print(content).await.map_err(|failed| match failed {
            NotPrinted::NoPress => PaperError::NoPress.into(),
            NotPrinted::Fault(fault) => egov_fault::Fault::internal(fault).into(),
        })
    }

    /// Refuses before anything is read, and recorded as read, where nothing can be printed.
    pub(crate) fn demand_press(&self) -> Result<(), Error> {
        if self.prints.is_open() {
            Ok(())
        } else {
            Err(PaperError::NoPress.into())
        }
    }

    /// The names that a paper bears.
    fn office(&self, agency: i32, counter: i32, consulted: &[i32]) -> Office {
        let units = self.directory.units();
        let name = |unit: i32| units.get(unit).map(|unit| unit.name.clone()).unwrap_or_default();
        let parent = units
            .get(agency)
            .and_then(|unit| unit.parent)
            .map(name)
            .unwrap_or_default();
        let mut coordinating: Vec<String> = Vec::new();
        for unit in consulted {
            let unit = name(*unit);
            if !coordinating.contains(&unit) {
                coordinating.push(unit);
            }
        }
        Office {
            parent,
            agency: name(agency),
            counter: name(counter),
            counter_code: units.get(counter).map(|unit| unit.code.clone()).unwrap_or_default(),
            place: place_of(&units, agency),
            coordinating,
        }
    }
}

/// Địa danh of a unit: its own name, or that of the nearest administrative unit above it.
fn place_of(units: &Units, unit_id: i32) -> String {
    let mut at = units.get(unit_id);
    // A tree is not deeper; and a broken one must not hold a call.
    for _ in 0..8 {
        let Some(unit) = at else { break };
        if let Some(place) = place_name(&unit.name) {
            return place.to_owned();
        }
        at = unit.parent.and_then(|parent| units.get(parent));
    }
    String::new()
}
