//! AssignCase (phân công).

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{AssignCaseRequest, AssignCaseResponse};
use uuid::Uuid;

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::error::Error;

pub(crate) const ACT: Act = Act {
    operation: "assign",
    event: "case_assigned",
    permission: "onestop.cases.assign",
    method: "egov.onestop.v1.CaseService/AssignCase",
    version: Version::OfTheCase,
};

/// The assignment.
pub(crate) fn judge(case: &mut Case, facts: &Facts<'_>, assignee: Uuid, reason: &str) -> Result<Recorded, Error> {
    case.assign(facts.transitions, facts.now, assignee)?;
    Ok(Recorded {
        reason: reason.to_owned(),
        details: serde_json::json!({ "assignee_id": assignee }),
        ..Recorded::default()
    })
}

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
            |case, facts| judge(case, facts, assignee, &body.reason),
            |case| Ok(answer(case)),
        )
        .await
    }
}
