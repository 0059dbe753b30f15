//! RequestSupplement (yêu cầu bổ sung).

use super::OneStop;
use super::act::{Act, Recorded, Target, Version};
use super::checks::check_known;
use crate::domain::case::{Case, SupplementItem};
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{RequestSupplementRequest, RequestSupplementResponse};

const ACT: Act = Act {
    operation: "request_supplement",
    event: "case_supplement_requested",
    permission: "onestop.cases.process",
    method: "egov.onestop.v1.CaseService/RequestSupplement",
    version: Version::OfTheCase,
};

impl OneStop {
    /// Asks for what is missing; the clock pauses.
    pub(crate) async fn request_supplement(
        &self,
        caller: &Caller,
        target: Target<'_, RequestSupplementRequest>,
        items: Vec<SupplementItem>,
        answer: impl FnOnce(&Case) -> RequestSupplementResponse + Send,
    ) -> Result<RequestSupplementResponse, Error> {
        let body = target.body;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| {
                let asked = items.iter().map(|item| item.component_code.as_str()).filter(|code| !code.is_empty());
                check_known(&facts.procedure.procedure, asked)?;
                let count = items.len();
                case.request_supplement(facts.transitions, facts.now, items, &body.stage, &body.legal_basis)?;
                Ok(Recorded {
                    reason: body.reason.clone(),
                    legal_basis: body.legal_basis.clone(),
                    details: serde_json::json!({ "round": case.supplement_rounds, "items": count, "stage": body.stage }),
                    ..Recorded::default()
                })
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
