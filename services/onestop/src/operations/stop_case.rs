//! StopCase (dừng xử lý).

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{StopCaseRequest, StopCaseResponse};

pub(crate) const ACT: Act = Act {
    operation: "stop",
    event: "case_stopped",
    permission: "onestop.cases.stop",
    method: "egov.onestop.v1.CaseService/StopCase",
    version: Version::OfTheCase,
};

/// The stop.
pub(crate) fn judge(case: &mut Case, facts: &Facts<'_>, reason: &str, legal_basis: &str) -> Result<Recorded, Error> {
    case.stop(facts.transitions, facts.now)?;
    Ok(Recorded {
        reason: reason.to_owned(),
        legal_basis: legal_basis.to_owned(),
        ..Recorded::default()
    })
}

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
            |case, facts| judge(case, facts, &body.reason, &body.legal_basis),
            |case| Ok(answer(case)),
        )
        .await
    }
}
