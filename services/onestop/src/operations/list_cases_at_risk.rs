//! ListCasesAtRisk: which open cases will be late, and at which step they stand.

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::Page;
use jiff::Timestamp;

use super::OneStop;
use crate::domain::definition::Done;
use crate::domain::forecast::{DueNext, Forecast, Standing, forecast};
use crate::domain::listing::{AfterDue, AtRiskFilter};
use crate::error::Error;
use crate::store::{Visible, cases, deadlines};

/// The permission by which due dates of units are watched.
pub(crate) const WATCH: &str = "onestop.deadlines.read";

impl OneStop {
    /// One page of the cases that will be late, with what is foreseen of each; one record of reading for the whole page.
    pub(crate) async fn list_cases_at_risk(
        &self,
        caller: &Caller,
        filter: AtRiskFilter,
        page: Page<AfterDue>,
    ) -> Result<(Vec<(DueNext, Option<Forecast>)>, String), Error> {
        let scope = caller.scope(WATCH);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().cloned(), page.fetch());
        let (law, now) = (self.law.get(), self.clock.now());
        let rows = self
            .database
            .read(&scope, async |connection| {
                let rows = deadlines::at_risk(&mut *connection, &visible, &filter, after.as_ref(), limit).await?;
                let ids: Vec<uuid::Uuid> = rows.iter().map(|row| row.case_id).collect();
                let branching = cases::branching_of(&mut *connection, &ids).await?;
                let mut foreseen = Vec::with_capacity(rows.len());
                for row in rows {
                    let version = self
                        .procedures
                        .version(&mut *connection, &row.procedure_code, row.procedure_version)
                        .await?;
                    let (hold, outcome) = branching
                        .get(&row.case_id)
                        .map_or((&[][..], ""), |(conditions, outcome)| (conditions.as_slice(), outcome));
                    let expected = expected(&law.calendar, &version.procedure, (&row, hold, outcome), now);
                    foreseen.push((row, expected));
                }
                Ok::<_, Error>(foreseen)
            })
            .await?;
        let (rows, next) = page.finish(rows, |(row, _)| AfterDue {
            due_time: row.due_time,
            case_id: row.case_id,
        })?;
        let read = rows
            .iter()
            .map(|(row, _)| (row.owner_id, format!("cases/{}", row.case_code)));
        self.reads.record(ReadRecord::of_each(caller, read, now)).await?;
        Ok((rows, next))
    }
}

/// What is foreseen of a case by what is kept of it: its present step ends when it was found to end, pauses included.
fn expected(
    calendar: &egov_calendar::WorkCalendar,
    procedure: &crate::domain::pack::Procedure,
    (row, conditions, outcome): (&DueNext, &[String], &str),
    now: Timestamp,
) -> Option<Forecast> {
    let standing = Standing {
        recorded: Done {
            step: &row.recorded_step,
            outcome,
        },
        conditions,
        since: row.step_since,
        pauses: &[],
        due: row.due_time,
    };
    // Until its step is over by its own time, nothing but that time says when the rest begins.
    let from = row.step_end.map_or(now, |end| end.max(now));
    forecast(calendar, procedure, &standing, from).ok()
}
