//! StopCase (dừng xử lý).

use super::OneStop;
use super::act::{Act, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{StopCaseRequest, StopCaseResponse};

const ACT: Act = Act {
    operation: "stop",
    event: "case_stopped",
    permission: "onestop.cases.stop",
    method: "egov.onestop.v1.CaseService/StopCase",
    version: Version::OfTheCase,
};

impl OneStop {
    /// Ends a case whose conditions are not met. Final.
    pub(crate) async fn stop_case(
        &self,
        caller: &Caller,
        target: Target<'_, StopCaseRequest>,
        answer: impl FnOnce(&Case) -> StopCaseResponse + Send,
    ) -> Result<StopCaseResponse, Error> {
        let body = target.body;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| {
                case.stop(facts.transitions, facts.now)?;
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
