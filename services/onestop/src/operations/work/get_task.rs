//! GetTask: a task with its history, the open marks of its case, and the opinions that it asked for.

use egov_auth::Caller;
use uuid::Uuid;

use super::{READ, TaskView};
use crate::domain::case::Case;
use crate::domain::work::mark::Mark;
use crate::domain::work::task::{Task, TaskEntry, TaskKind, WorkRefused};
use crate::error::Error;
use crate::operations::OneStop;
use crate::store::{Visible, cases, marks, tasks};

/// Everything that a holder needs.
pub(crate) struct TaskDetails {
    pub(crate) view: TaskView,
    pub(crate) case: Case,
    pub(crate) history: Vec<TaskEntry>,
    /// Of the case, not dealt with.
    pub(crate) marks: Vec<Mark>,
    /// That the task asked for.
    pub(crate) opinions: Vec<Task>,
}

impl OneStop {
    /// A task that the caller may see. The read is recorded.
    pub(crate) async fn get_task(&self, caller: &Caller, task_id: Uuid) -> Result<TaskDetails, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let details = self
            .database
            .read(&scope, async |connection| {
                let task = tasks::get(&mut *connection, task_id, &visible)
                    .await?
                    .ok_or(WorkRefused::TaskNotFound)?;
                let case = cases::get(&mut *connection, task.case_id, &visible)
                    .await?
                    .ok_or(WorkRefused::TaskNotFound)?;
                let history = tasks::history(&mut *connection, task_id).await?;
                let opinions = match task.kind {
                    TaskKind::Step => tasks::opinions_on(&mut *connection, &task).await?,
                    TaskKind::Opinion => Vec::new(),
                };
                let marks = marks::open_of(&mut *connection, task.case_id).await?;
                let procedure = self
                    .procedures
                    .version(connection, &case.procedure_code, case.procedure_version)
                    .await?;
                Ok::<_, Error>(TaskDetails {
                    view: self.view(&procedure, &case, task)?,
                    case,
                    history,
                    marks,
                    opinions,
                })
            })
            .await?;
        self.record_read(
            caller,
            details.case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", details.case.case_code)],
        )
        .await?;
        Ok(details)
    }
}
