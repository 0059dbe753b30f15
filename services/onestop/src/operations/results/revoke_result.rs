//! RevokeResult (thu hồi kết quả).

use egov_auth::Caller;
use egov_clock::Ids as _;
use egov_proto::egov::onestop::v1::{RevokeResultRequest, RevokeResultResponse};

use crate::domain::case::Case;
use crate::domain::results::{REVOKE_RESULT, Words};
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::{Act, Recorded, Target, Version};

pub(crate) const ACT: Act = Act {
    operation: REVOKE_RESULT,
    event: "case_result_revoked",
    permission: "onestop.results.amend",
    method: "egov.onestop.v1.ResultService/RevokeResult",
    version: Version::OfTheCase,
};

impl OneStop {
    /// Takes a result back by a decision: it stands no more, and nothing of it changes afterwards.
    pub(crate) async fn revoke_result(
        &self,
        caller: &Caller,
        target: Target<'_, RevokeResultRequest>,
        words: Words,
        answer: impl FnOnce(&Case) -> RevokeResultResponse + Send,
    ) -> Result<RevokeResultResponse, Error> {
        let number = target.body.result_number;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| {
                let said = words.clone();
                let unit_id = case.responsible_unit_id;
                self.make_version(unit_id, caller.principal.subject, facts, |making| {
                    case.revoke_result(number, words, self.ids.uuid(), making)
                })?;
                let version = case.versions_made().next().map(|made| made.version);
                let details =
                    serde_json::json!({ "result": number, "version": version, "decision": said.decision_number });
                Ok(Recorded {
                    reason: said.reason,
                    legal_basis: said.legal_basis,
                    details,
                    ..Recorded::default()
                })
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
