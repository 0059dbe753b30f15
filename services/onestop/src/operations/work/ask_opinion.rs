//! AskOpinion (lấy ý kiến phối hợp): another unit is asked about a step. The clock goes on: internal waiting never pauses the legal
//! deadline, which the check of the transitions pack demands of the internal step itself.

use egov_auth::Caller;
use egov_database::UnitOfWork;
use egov_proto::egov::onestop::v1::{AskOpinionRequest, AskOpinionResponse};

use super::{TaskAct, TaskTarget, TaskView, WORK, keep, task_write};
use crate::domain::work::internal::consulting;
use crate::domain::work::task::{Consultation, Task, TaskKind, TaskState, WorkRefused};
use crate::error::Error;
use crate::operations::OneStop;
use crate::store::tasks;

const ACT: TaskAct = TaskAct {
    operation: "ask",
    event: "opinion_asked",
    permission: WORK,
    method: "egov.onestop.v1.WorkService/AskOpinion",
    by_role: true,
};

impl OneStop {
    /// Asks a unit; whoever holds the role of the step there answers, and sees the case while the question is open.
    pub(crate) async fn ask_opinion(
        &self,
        caller: &Caller,
        target: TaskTarget<'_, AskOpinionRequest>,
        answer: impl FnOnce(&TaskView) -> AskOpinionResponse + Send,
    ) -> Result<AskOpinionResponse, Error> {
        let body = target.body;
        let asked = self.unit(&body.unit_code, egov_clock::Clock::today(&*self.clock))?;
        let (request, visible) = task_write(caller, ACT.method, &target);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let held = self.hold(unit, &visible, target.task_id).await?;
                self.demand_act(caller, &ACT, &held, target.etag)?;
                held.task.demand_kind(TaskKind::Step)?;
                held.task.demand_held(caller.principal.subject)?;
                let law = self.law.get();
                let transitions = law.transitions(&held.procedure.procedure.transitions)?;
                let step = consulting(transitions.internal_steps());
                if step.is_none_or(|step| step.state != held.case.state) {
                    return Err(WorkRefused::StepOutOfState {
                        step: step.map(|step| step.code.clone()).unwrap_or_default(),
                        state: held.case.state,
                    }
                    .into());
                }
                let known = tasks::of_case(unit.conn(), held.case.case_id).await?;
                let opinion = Task {
                    task_id: unit.new_id(),
                    case_id: held.case.case_id,
                    number: known.last().map_or(0, |last| last.number).saturating_add(1),
                    kind: TaskKind::Opinion,
                    step: held.task.step.clone(),
                    role: held.task.role.clone(),
                    responsible_unit_id: asked.unit_id,
                    reception_unit_id: None,
                    state: TaskState::Open,
                    assignee_id: None,
                    delegator_id: None,
                    consultation: Consultation {
                        asked_by_task: Some(held.task.task_id),
                        asking_unit_id: Some(held.task.responsible_unit_id),
                        question: body.question.trim().to_owned(),
                        ..Consultation::default()
                    },
                    create_time: unit.now(),
                    assign_time: None,
                    finish_time: None,
                    finished_by: None,
                    outcome: String::new(),
                    version: 1,
                };
                tasks::insert(unit.conn(), &opinion).await?;
                keep(unit, caller, &ACT, &held.case, &opinion, "").await?;
                Ok::<_, Error>(answer(&self.view(&held.procedure, &held.case, opinion)?))
            })
            .await?;
        Ok(written.into_answer())
    }
}
