//! RejectCase (từ chối tiếp nhận).

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{RejectCaseRequest, RejectCaseResponse};

pub(crate) const ACT: Act = Act {
    operation: "reject",
    event: "case_rejected",
    permission: "onestop.cases.accept",
    method: "egov.onestop.v1.CaseService/RejectCase",
    version: Version::OfTheCase,
};

/// The refusal.
pub(crate) fn judge(case: &mut Case, facts: &Facts<'_>, reason: &str, legal_basis: &str) -> Result<Recorded, Error> {
    case.reject(facts.transitions, facts.now)?;
    Ok(Recorded {
        reason: reason.to_owned(),
        legal_basis: legal_basis.to_owned(),
        ..Recorded::default()
    })
}

impl OneStop {
    /// Refuses to take the case in. Final.
    pub(crate) async fn reject_case(
        &self,
        caller: &Caller,
        target: Target<'_, RejectCaseRequest>,
        answer: impl FnOnce(&Case) -> RejectCaseResponse + Send,
    ) -> Result<RejectCaseResponse, Error> {
        let body = target.body;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| judge(case, facts, &body.reason, &body.legal_basis),
            |case| Ok(answer(case)),
        )
        .await
    }
}
