//! WithdrawCase (rút hồ sơ).

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{WithdrawCaseRequest, WithdrawCaseResponse};

pub(crate) const ACT: Act = Act {
    operation: "withdraw",
    event: "case_withdrawn",
    permission: "onestop.cases.withdraw",
    method: "egov.onestop.v1.CaseService/WithdrawCase",
    version: Version::OfTheCase,
};

/// The withdrawal.
pub(crate) fn judge(case: &mut Case, facts: &Facts<'_>, reason: &str) -> Result<Recorded, Error> {
    case.withdraw(facts.transitions, facts.now)?;
    Ok(Recorded {
        reason: reason.to_owned(),
        ..Recorded::default()
    })
}

impl OneStop {
    /// Takes the case back at its owner's wish. Final.
    pub(crate) async fn withdraw_case(
        &self,
        caller: &Caller,
        target: Target<'_, WithdrawCaseRequest>,
        answer: impl FnOnce(&Case) -> WithdrawCaseResponse + Send,
    ) -> Result<WithdrawCaseResponse, Error> {
        let body = target.body;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| judge(case, facts, &body.reason),
            |case| Ok(answer(case)),
        )
        .await
    }
}
