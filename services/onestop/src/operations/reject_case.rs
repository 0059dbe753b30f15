//! RejectCase (từ chối tiếp nhận).

use super::OneStop;
use super::act::{Act, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{RejectCaseRequest, RejectCaseResponse};

const ACT: Act = Act {
    operation: "reject",
    event: "case_rejected",
    permission: "onestop.cases.accept",
    method: "egov.onestop.v1.CaseService/RejectCase",
    version: Version::OfTheCase,
};

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
            |case, facts| {
                case.reject(facts.transitions, facts.now)?;
                Ok(Recorded {
                    reason: body.reason.clone(),
                    legal_basis: body.legal_basis.clone(),
                    ..Recorded::default()
                })
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
