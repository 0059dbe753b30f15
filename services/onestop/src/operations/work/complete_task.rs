//! CompleteTask: the holder did the step. The step is recorded on the case, and the next one comes up, in one transaction.

use egov_auth::Caller;
use egov_database::UnitOfWork;
use egov_proto::egov::onestop::v1::{CompleteTaskRequest, CompleteTaskResponse};
use uuid::Uuid;

use super::{TaskAct, TaskTarget, TaskView, WORK, sight, task_write};
use crate::domain::case::Case;
use crate::domain::definition::Done;
use crate::domain::work::follow::{act_of, is_open_step};
use crate::domain::work::task::{Task, TaskKind, WorkRefused};
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::Act;
use crate::operations::record_step;
use crate::store::{marks, tasks};

const ACT: TaskAct = TaskAct {
    operation: "complete",
    event: "task_completed",
    permission: WORK,
    method: "egov.onestop.v1.WorkService/CompleteTask",
    by_role: true,
};

/// What comes with a completion.
pub(crate) struct Completion {
    /// Files that the step brings to the case.
    pub(crate) file_ids: Vec<Uuid>,
    /// Marks that were dealt with.
    pub(crate) resolved_marks: Vec<Uuid>,
}

impl OneStop {
    /// Ends a step that ends by being done, of which the caller is the holder. `answer` gets the task, the case, and the next task.
    pub(crate) async fn complete_task(
        &self,
        caller: &Caller,
        target: TaskTarget<'_, CompleteTaskRequest>,
        completion: Completion,
        answer: impl FnOnce(&TaskView, &Case, Option<&TaskView>) -> CompleteTaskResponse + Send,
    ) -> Result<CompleteTaskResponse, Error> {
        let body = target.body;
        let (request, visible) = task_write(caller, ACT.method, &target);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                // At the place of reception a step of reception is told apart from none: it ends by an act on the case.
                let visible = sight(unit, &visible, target.task_id).await?;
                let held = self.hold(unit, &visible, target.task_id).await?;
                self.demand_act(caller, &ACT, &held, target.etag)?;
                let who = caller.principal.subject;
                held.task.demand_kind(TaskKind::Step)?;
                held.task.demand_held(who)?;
                let step = held
                    .procedure
                    .procedure
                    .step(&held.task.step)
                    .ok_or_else(|| Error::StepUnknown(held.task.step.clone()))?;
                if let Some(act) = act_of(step) {
                    return Err(WorkRefused::NeedsAct(act).into());
                }
                caller.require(
                    record_step::ACT.permission,
                    &crate::operations::act::resource(&held.case),
                )?;
                self.demand_opinions(unit, &held.task, body.without_opinions).await?;
                resolve(unit, held.case.case_id, &completion.resolved_marks, who).await?;

                let done = Done {
                    step: &step.code,
                    outcome: body.outcome.trim(),
                };
                let act = Act {
                    method: ACT.method,
                    ..record_step::ACT
                };
                let applied = self
                    .apply(unit, caller, &act, &held.case, |case, facts| {
                        record_step::judge(case, facts, done, completion.file_ids, &body.note)
                    })
                    .await?;
                let ended = applied
                    .tasks
                    .iter()
                    .find(|task| task.task_id == target.task_id)
                    .unwrap_or(&held.task);
                let next = applied.tasks.iter().find(|task| is_open_step(task));
                let ended = self.view(&held.procedure, &applied.case, ended.clone())?;
                let next = next
                    .map(|task| self.view(&held.procedure, &applied.case, task.clone()))
                    .transpose()?;
                Ok::<_, Error>(answer(&ended, &applied.case, next.as_ref()))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Demands that no opinion is awaited, or that the holder goes on without it.
    async fn demand_opinions(&self, unit: &mut UnitOfWork<'_>, task: &Task, without: bool) -> Result<(), Error> {
        let awaited = tasks::opinions_on(unit.conn(), task)
            .await?
            .iter()
            .filter(|opinion| opinion.is_open())
            .count();
        if awaited == 0 || without {
            Ok(())
        } else {
            Err(WorkRefused::OpinionAwaited(awaited).into())
        }
    }
}

/// Deals with marks: all of them are open marks of the case, or none is touched.
async fn resolve(unit: &mut UnitOfWork<'_>, case_id: Uuid, wanted: &[Uuid], who: Uuid) -> Result<(), Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let open = marks::open_of(unit.conn(), case_id).await?;
    let unknown: Vec<Uuid> = wanted
        .iter()
        .filter(|id| !open.iter().any(|mark| mark.mark_id == **id))
        .copied()
        .collect();
    if !unknown.is_empty() {
        return Err(WorkRefused::MarksUnknown(unknown).into());
    }
    let now = unit.now();
    marks::resolve(unit.conn(), case_id, wanted, who, now).await?;
    Ok(())
}
