//! ExplainDeadline: the arithmetic of a due date, in words and numbers.

use egov_auth::Caller;
use egov_calendar::{Period, Progress, vietnam_time};
use egov_clock::Clock as _;
use uuid::Uuid;

use super::OneStop;
use super::act::READ;
use super::checks::no_deadline;
use crate::domain::case::Case;
use crate::domain::deadline::{Clock, progress_of};
use crate::domain::forecast::{Forecast, Standing, forecast};
use crate::domain::listing::{DeadlineChanged, NoticeGiven};
use crate::domain::reception_deadlines::{Reception, ReceptionDeadline, reception_deadlines};
use crate::error::Error;
use crate::store::{Visible, cases, deadlines};

/// Everything that explains the due date of a case.
pub(crate) struct Explained {
    pub(crate) case: Case,
    /// How far the period has run at that instant; none before acceptance, and where it cannot be told any more.
    pub(crate) progress: Option<(Period, Progress)>,
    pub(crate) changes: Vec<DeadlineChanged>,
    pub(crate) notices: Vec<NoticeGiven>,
    /// While the clock runs.
    pub(crate) forecast: Option<Forecast>,
    /// Working days after the due date, up to the decision or now; none if it was kept, or still is. The due day itself is 0.
    pub(crate) late_working_days: Option<i64>,
    /// What the reception owed or owes; nothing for applicants.
    pub(crate) reception: Vec<ReceptionDeadline>,
}

impl OneStop {
    /// Explains the due date of a case that the caller sees. The read is recorded before it is told.
    pub(crate) async fn explain_deadline(&self, caller: &Caller, case_id: Uuid) -> Result<Explained, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (case, version, changes, notices, decided, (answered, transferred)) = self
            .database
            .read(&scope, async |connection| {
                let case = cases::get(&mut *connection, case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                let version = self
                    .procedures
                    .version(&mut *connection, &case.procedure_code, case.procedure_version)
                    .await?;
                let changes = deadlines::changes_of(&mut *connection, case_id, &case.case_code).await?;
                let notices = deadlines::notices_of(&mut *connection, case_id).await?;
                let decided = deadlines::decided_at(&mut *connection, case_id).await?;
                let reception = deadlines::reception_of(connection, case_id).await?;
                Ok::<_, Error>((case, version, changes, notices, decided, reception))
            })
            .await?;
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;

        let (law, now) = (self.law.get(), self.clock.now());
        // After a decision the clock has stopped for good.
        let until = decided.unwrap_or(now);
        let procedure = &version.procedure;
        let progress = case
            .accept_time
            .map(|accepted| {
                progress_of(
                    &law.calendar,
                    procedure,
                    self.profile,
                    case.channel,
                    &case.conditions,
                    &Clock {
                        accepted,
                        pauses: &case.pauses,
                        extended_by: case.extended_by(),
                    },
                    until,
                )
                .map_err(|refused| no_deadline(procedure, refused))
            })
            .transpose();
        // A case that was promised a date by law that is no longer readable keeps its date and its days.
        let progress = progress.unwrap_or(None);
        let running = case.is_open_with_deadline() && !case.is_paused();
        let forecast = case
            .deadline
            .as_ref()
            .zip(case.accept_time)
            .filter(|_| running)
            .and_then(|(deadline, accepted)| {
                let standing = Standing {
                    recorded: case.done(),
                    conditions: &case.conditions,
                    since: case.step_since.unwrap_or(accepted),
                    pauses: &case.ended_pauses(),
                    due: deadline.due_time,
                };
                forecast(&law.calendar, procedure, &standing, now).ok()
            });
        let late_working_days = case
            .deadline
            .as_ref()
            .filter(|deadline| until > deadline.due_time && (running || decided.is_some()))
            .and_then(|deadline| {
                let day = vietnam_time(until).date();
                law.calendar.working_days_between(deadline.due_date, day).ok()
            });
        let reception = if caller.principal.citizen().is_some() {
            Vec::new()
        } else {
            let reception = Reception {
                channel: case.channel,
                state: case.state,
                submitted: case.submit_time,
                accepted: case.accept_time,
                answered,
                transferred,
            };
            reception_deadlines(&law.calendar, |day| law.deadline_rules_on(day), &reception, now)
        };
        Ok(Explained {
            case,
            progress,
            changes,
            notices,
            forecast,
            late_working_days,
            reception,
        })
    }
}
