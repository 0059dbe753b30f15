//! ListInbox (hộp việc).

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::Page;

use super::{READ, TaskView, outcomes_of};
use crate::domain::listing::Summary;
use crate::domain::work::internal::internal_of;
use crate::error::Error;
use crate::operations::OneStop;
use crate::store::Visible;
use crate::store::inbox::{self, AfterTask, InboxRow, Whose};

/// Whose tasks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum InboxView {
    /// The caller's own.
    Mine,
    /// Those that nobody has, for the caller's roles.
    Roles,
    /// All of a unit.
    Unit(i32),
}

/// A task as the inbox shows it.
pub(crate) struct ListedTask {
    pub(crate) view: TaskView,
    pub(crate) case: Summary,
    pub(crate) open_marks: i64,
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
            InboxView::Unit(unit) => Whose::Unit(unit),
        };
        let (after, limit) = (page.after().copied(), page.fetch());
        let (rows, next) = self
            .database
            .read(&scope, async |connection| {
                let rows = inbox::list(&mut *connection, &visible, &whose, after, limit).await?;
                let (rows, next) = page.finish(rows, InboxRow::position)?;
                let law = self.law.get();
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
                    listed.push(ListedTask {
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
