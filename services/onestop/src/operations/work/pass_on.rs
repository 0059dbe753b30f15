//! ClaimTask, ReleaseTask, AssignTask, ReassignTask, DelegateTask, GiveOpinion: acts on one task.

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{
    AssignTaskRequest, AssignTaskResponse, ClaimTaskRequest, ClaimTaskResponse, DelegateTaskRequest,
    DelegateTaskResponse, GiveOpinionRequest, GiveOpinionResponse, ReassignTaskRequest, ReassignTaskResponse,
    ReleaseTaskRequest, ReleaseTaskResponse,
};
use uuid::Uuid;

use super::{ASSIGN, TaskAct, TaskTarget, TaskView, WORK};
use crate::error::Error;
use crate::operations::OneStop;

impl OneStop {
    /// Nhận việc. Of two officers who take it at once one has it, and the other is told who.
    pub(crate) async fn claim_task(
        &self,
        caller: &Caller,
        target: TaskTarget<'_, ClaimTaskRequest>,
        answer: impl FnOnce(&TaskView) -> ClaimTaskResponse + Send,
    ) -> Result<ClaimTaskResponse, Error> {
        let act = TaskAct {
            operation: "claim",
            event: "task_claimed",
            permission: WORK,
            method: "egov.onestop.v1.WorkService/ClaimTask",
            by_role: true,
        };
        let who = caller.principal.subject;
        self.task_act(caller, act, target, "", |task, now| task.claim(who, now), answer)
            .await
    }

    /// Trả việc: back to who passed it on, or to the unit.
    pub(crate) async fn release_task(
        &self,
        caller: &Caller,
        target: TaskTarget<'_, ReleaseTaskRequest>,
        answer: impl FnOnce(&TaskView) -> ReleaseTaskResponse + Send,
    ) -> Result<ReleaseTaskResponse, Error> {
        let act = TaskAct {
            operation: "release",
            event: "task_released",
            permission: WORK,
            method: "egov.onestop.v1.WorkService/ReleaseTask",
            by_role: false,
        };
        let (who, body) = (caller.principal.subject, target.body);
        self.task_act(
            caller,
            act,
            target,
            &body.reason,
            |task, now| task.release(who, now),
            answer,
        )
        .await
    }

    /// Giao việc that nobody has. Whether that person holds the role is asked when they act: no service but identity knows it.
    pub(crate) async fn assign_task(
        &self,
        caller: &Caller,
        target: TaskTarget<'_, AssignTaskRequest>,
        to: Uuid,
        answer: impl FnOnce(&TaskView) -> AssignTaskResponse + Send,
    ) -> Result<AssignTaskResponse, Error> {
        let act = TaskAct {
            operation: "assign",
            event: "task_assigned",
            permission: ASSIGN,
            method: "egov.onestop.v1.WorkService/AssignTask",
            by_role: false,
        };
        let body = target.body;
        self.task_act(
            caller,
            act,
            target,
            &body.reason,
            |task, now| task.assign(to, now),
            answer,
        )
        .await
    }

    /// Giao lại: from who has it to somebody else, with the reason.
    pub(crate) async fn reassign_task(
        &self,
        caller: &Caller,
        target: TaskTarget<'_, ReassignTaskRequest>,
        to: Uuid,
        answer: impl FnOnce(&TaskView) -> ReassignTaskResponse + Send,
    ) -> Result<ReassignTaskResponse, Error> {
        let act = TaskAct {
            operation: "reassign",
            event: "task_reassigned",
            permission: ASSIGN,
            method: "egov.onestop.v1.WorkService/ReassignTask",
            by_role: false,
        };
        let body = target.body;
        self.task_act(
            caller,
            act,
            target,
            &body.reason,
            |task, now| task.reassign(to, now),
            answer,
        )
        .await
    }

    /// Uỷ quyền xử lý of one task by who has it.
    pub(crate) async fn delegate_task(
        &self,
        caller: &Caller,
        target: TaskTarget<'_, DelegateTaskRequest>,
        to: Uuid,
        answer: impl FnOnce(&TaskView) -> DelegateTaskResponse + Send,
    ) -> Result<DelegateTaskResponse, Error> {
        let act = TaskAct {
            operation: "delegate",
            event: "task_delegated",
            permission: WORK,
            method: "egov.onestop.v1.WorkService/DelegateTask",
            by_role: true,
        };
        let (who, body) = (caller.principal.subject, target.body);
        self.task_act(
            caller,
            act,
            target,
            &body.reason,
            |task, now| task.delegate(who, to, now),
            answer,
        )
        .await
    }

    /// Cho ý kiến by who has the question.
    pub(crate) async fn give_opinion(
        &self,
        caller: &Caller,
        target: TaskTarget<'_, GiveOpinionRequest>,
        answer: impl FnOnce(&TaskView) -> GiveOpinionResponse + Send,
    ) -> Result<GiveOpinionResponse, Error> {
        let act = TaskAct {
            operation: "give_opinion",
            event: "opinion_given",
            permission: WORK,
            method: "egov.onestop.v1.WorkService/GiveOpinion",
            by_role: true,
        };
        let (who, body) = (caller.principal.subject, target.body);
        self.task_act(
            caller,
            act,
            target,
            "",
            |task, now| task.give_opinion(who, body.opinion.trim().to_owned(), body.agrees, now),
            answer,
        )
        .await
    }
}
