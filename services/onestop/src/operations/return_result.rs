//! ReturnResult (trả kết quả).

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::domain::pack::Channel;
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{ReturnResultRequest, ReturnResultResponse};

pub(crate) const ACT: Act = Act {
    operation: "return_result",
    event: "case_result_returned",
    permission: "onestop.cases.return",
    method: "egov.onestop.v1.CaseService/ReturnResult",
    version: Version::OfTheCase,
};

/// The hand-over.
pub(crate) fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    channel: Channel,
    recipient_name: &str,
) -> Result<Recorded, Error> {
    let recipient = egov_codes::normal_name(recipient_name);
    case.return_result(facts.transitions, facts.now, channel, recipient)?;
    Ok(Recorded {
        details: serde_json::json!({ "channel": channel, "to_another_person": !recipient_name.is_empty() }),
        ..Recorded::default()
    })
}

impl OneStop {
    /// Hands the result over. Being overdue never blocks it. Final.
    pub(crate) async fn return_result(
        &self,
        caller: &Caller,
        target: Target<'_, ReturnResultRequest>,
        channel: Channel,
        answer: impl FnOnce(&Case) -> ReturnResultResponse + Send,
    ) -> Result<ReturnResultResponse, Error> {
        let body = target.body;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| judge(case, facts, channel, &body.recipient_name),
            |case| Ok(answer(case)),
        )
        .await
    }
}
