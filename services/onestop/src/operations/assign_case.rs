//! AssignCase (phân công).

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{AssignCaseRequest, AssignCaseResponse};
use uuid::Uuid;

use super::OneStop;
use super::act::{Act, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::error::Error;

const ACT: Act = Act {
    operation: "assign",
    event: "case_assigned",
    permission: "onestop.cases.assign",
    method: "egov.onestop.v1.CaseService/AssignCase",
    version: Version::OfTheCase,
};

impl OneStop {
    /// Gives the case to an officer. What the officer may do with it is decided by their roles, not by this act.
    pub(crate) async fn assign_case(
        &self,
        caller: &Caller,
        target: Target<'_, AssignCaseRequest>,
        assignee: Uuid,
        answer: impl FnOnce(&Case) -> AssignCaseResponse + Send,
    ) -> Result<AssignCaseResponse, Error> {
        let body = target.body;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| {
                case.assign(facts.transitions, facts.now, assignee)?;
                Ok(Recorded {
                    reason: body.reason.clone(),
                    details: serde_json::json!({ "assignee_id": assignee }),
                    ..Recorded::default()
                })
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
