//! SendBackTask (trả lại bước trước): an earlier step is to be done again, with marks on the single fields and components.

use egov_auth::Caller;
use egov_database::{Leaf, UnitOfWork};
use egov_fault::Fault;
use egov_proto::egov::onestop::v1::{SendBackTaskRequest, SendBackTaskResponse};
use serde_json::json;

use super::{TaskAct, TaskTarget, TaskView, WORK, task_write};
use crate::domain::case::Case;
use crate::domain::listing::OUTCOME;
use crate::domain::work::follow::{Stand, done_before, is_open_step, sent_back_to};
use crate::domain::work::mark::{Mark, Marked, NewMark, unknown_targets};
use crate::domain::work::task::{TaskKind, WorkRefused};
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::{Act, Recorded, Version};
use crate::store::marks;

const ACT: TaskAct = TaskAct {
    operation: "send_back",
    event: "task_sent_back",
    permission: WORK,
    method: "egov.onestop.v1.WorkService/SendBackTask",
    by_role: true,
};

/// On the case: an act like every other, with its entry in the history.
pub(crate) const CASE_ACT: Act = Act {
    operation: "send_back",
    event: "case_sent_back",
    permission: WORK,
    method: "egov.onestop.v1.WorkService/SendBackTask",
    version: Version::OfTheCase,
};

/// The kind of the leaves of marks.
pub(crate) const MARK: &str = "case_mark";

/// What the leaf of a mark commits to: the mark as it was made. When it was dealt with stands with the act on the case.
pub(crate) fn canonical(mark: &Mark) -> Result<Vec<u8>, Fault> {
    let (field, component) = match &mark.on {
        Marked::Field(path) => (path.as_str(), ""),
        Marked::Component(code) => ("", code.as_str()),
    };
    serde_json::to_vec(&json!({
        "case_id": mark.case_id, "task_id": mark.task_id, "field": field, "component_code": component,
        "text": mark.text, "author_id": mark.author_id,
    }))
    .map_err(Fault::internal)
}

/// Where to, and what is wrong.
pub(crate) struct SendBack {
    /// The step to be done again; the one before if none is named.
    pub(crate) to_step: Option<String>,
    /// What is wrong with single fields and components.
    pub(crate) marks: Vec<NewMark>,
}

impl OneStop {
    /// Sends a step back; whoever did the earlier step has it again. `answer` gets the case and the task that came up.
    pub(crate) async fn send_back_task(
        &self,
        caller: &Caller,
        target: TaskTarget<'_, SendBackTaskRequest>,
        wanted: SendBack,
        answer: impl FnOnce(&TaskView, &Case, Option<&TaskView>, &[Mark]) -> SendBackTaskResponse + Send,
    ) -> Result<SendBackTaskResponse, Error> {
        let body = target.body;
        let (request, visible) = task_write(caller, ACT.method, &target);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let held = self.hold(unit, &visible, target.task_id).await?;
                self.demand_act(caller, &ACT, &held, target.etag)?;
                held.task.demand_kind(TaskKind::Step)?;
                held.task.demand_held(caller.principal.subject)?;
                let procedure = &held.procedure.procedure;
                let (fields, components) = unknown_targets(procedure, &wanted.marks);
                if !fields.is_empty() {
                    return Err(WorkRefused::FieldsUnknown(fields).into());
                }
                if !components.is_empty() {
                    return Err(Error::ComponentsUnknown(components));
                }
                let earlier = sent_back_to(&procedure.steps, &Stand::from(&held.case), &held.task.step);
                let to = match &wanted.to_step {
                    Some(code) => earlier.iter().find(|step| step.code == *code),
                    None => earlier.last(),
                };
                let Some(to) = to else {
                    let possible = earlier.iter().map(|step| step.code.clone()).collect();
                    return Err(WorkRefused::SendBackNowhere(possible).into());
                };
                let done = done_before(&procedure.steps, &held.case.conditions, &to.code);
                let mut details =
                    json!({ "from_step": held.task.step, "to_step": to.code, "marks": wanted.marks.len() });
                if let Some(details) = details.as_object_mut().filter(|_| !done.outcome.is_empty()) {
                    details.insert(OUTCOME.to_owned(), done.outcome.into());
                }
                let applied = self
                    .apply(unit, caller, &CASE_ACT, &held.case, |case, facts| {
                        case.send_back(facts.transitions, facts.now, done)?;
                        Ok(Recorded {
                            reason: body.reason.clone(),
                            details,
                            ..Recorded::default()
                        })
                    })
                    .await?;
                let mut made = Vec::with_capacity(wanted.marks.len());
                for mark in wanted.marks {
                    made.push(self.mark(unit, caller, &held.case, &held.task.task_id, mark).await?);
                }
                let ended = applied
                    .tasks
                    .iter()
                    .find(|task| task.task_id == target.task_id)
                    .unwrap_or(&held.task);
                let ended = self.view(&held.procedure, &applied.case, ended.clone())?;
                let next = applied
                    .tasks
                    .iter()
                    .find(|task| is_open_step(task))
                    .map(|task| self.view(&held.procedure, &applied.case, task.clone()))
                    .transpose()?;
                Ok::<_, Error>(answer(&ended, &applied.case, next.as_ref(), &made))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Makes a mark, and commits to it.
    async fn mark(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        case: &Case,
        task_id: &uuid::Uuid,
        new: NewMark,
    ) -> Result<Mark, Error> {
        let mark = Mark {
            mark_id: unit.new_id(),
            case_id: case.case_id,
            task_id: *task_id,
            on: new.on,
            text: new.text,
            author_id: caller.principal.subject,
            create_time: unit.now(),
            resolve_time: None,
            resolved_by: None,
        };
        marks::insert(unit.conn(), &mark).await?;
        unit.leaf(Leaf {
            kind: MARK,
            resource: mark.mark_id,
            version: 1,
            canonical: &canonical(&mark)?,
        });
        Ok(mark)
    }
}
