//! ListInbox (hộp việc).

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::Page;
use uuid::Uuid;

use super::{READ, TaskView, outcomes_of};
use crate::domain::listing::Summary;
use crate::domain::reception_deadlines::{Reception, ReceptionDeadline, reception_deadlines};
use crate::domain::work::internal::internal_of;
use crate::error::Error;
use crate::operations::OneStop;
use crate::store::Visible;
use crate::store::inbox::{self, AfterTask, InboxRow, OfUnit, Whose};

/// Whose tasks.
#[derive(Debug, Clone)]
pub(crate) enum InboxView {
    /// The caller's own.
    Mine,
    /// Those that nobody has, for the caller's roles.
    Roles,
    /// All of a unit, or what one role or one person has there.
    Unit {
        unit_id: i32,
        role: Option<String>,
        assignee: Option<Uuid>,
    },
}

/// A task as the inbox shows it.
pub(crate) struct ListedTask {
    pub(crate) view: TaskView,
    pub(crate) case: Summary,
    pub(crate) open_marks: i64,
    /// What the reception owes of the case.
    pub(crate) reception: Option<ReceptionDeadline>,
}

impl OneStop {
    /// One page of open tasks that the caller may see, what has waited longest first; one record of reading for the page.
    pub(crate) async fn list_inbox(
        &self,
        caller: &Caller,
        view: InboxView,
        page: Page<AfterTask>,
    ) -> Result<(Vec<ListedTask>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let whose = match view {
            InboxView::Mine => Whose::Person(caller.principal.subject),
            InboxView::Roles => {
                let mut held = self.roles_at_units(caller);
                held.retain(|(_, unit)| visible.all || visible.units.binary_search(unit).is_ok());
                Whose::Roles(held)
            }
            InboxView::Unit {
                unit_id,
                role,
                assignee,
            } => Whose::Unit(unit_id, OfUnit { role, assignee }),
        };
        let (after, limit) = (page.after().copied(), page.fetch());
        let (rows, next) = self
            .database
            .read(&scope, async |connection| {
                let rows = inbox::list(&mut *connection, &visible, &whose, after, limit).await?;
                let (rows, next) = page.finish(rows, InboxRow::position)?;
                let (law, now) = (self.law.get(), self.clock.now());
                let mut listed = Vec::with_capacity(rows.len());
                for row in rows {
                    let code = &row.case.procedure_code;
                    let version = self
                        .procedures
                        .version(&mut *connection, code, row.procedure_version)
                        .await?;
                    let procedure = &version.procedure;
                    let step = procedure.step(&row.task.step);
                    let internal = law.transitions(&procedure.transitions)?.internal_steps();
                    // What was done already is not shown in an inbox, and of what is owed there is one at a time.
                    let reception = Reception {
                        channel: row.channel,
                        state: row.case.state,
                        submitted: row.case.submit_time,
                        accepted: row.accept_time,
                        answered: None,
                        transferred: None,
                    };
                    let owed = reception_deadlines(&law.calendar, |day| law.deadline_rules_on(day), &reception, now);
                    listed.push(ListedTask {
                        reception: owed.into_iter().next(),
                        view: TaskView {
                            case_code: row.case.case_code.clone(),
                            case_state: row.case.state,
                            procedure_code: code.clone(),
                            procedure_name: procedure.name.clone(),
                            step_name: step.map(|step| step.name.clone()).unwrap_or_default(),
                            internal: step.and_then(|step| internal_of(internal, step)).cloned(),
                            outcomes: outcomes_of(procedure, &row.task, &row.conditions),
                            task: row.task,
                        },
                        case: row.case,
                        open_marks: row.open_marks,
                    });
                }
                Ok::<_, Error>((listed, next))
            })
            .await?;
        let read = rows
            .iter()
            .map(|row| (row.case.owner_id, format!("cases/{}", row.case.case_code)));
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        Ok((rows, next))
    }
}
