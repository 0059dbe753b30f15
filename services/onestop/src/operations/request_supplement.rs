//! RequestSupplement (yêu cầu bổ sung).

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use super::checks::check_known;
use crate::domain::case::{Case, SupplementItem};
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{RequestSupplementRequest, RequestSupplementResponse};

pub(crate) const ACT: Act = Act {
    operation: "request_supplement",
    event: "case_supplement_requested",
    permission: "onestop.cases.process",
    method: "egov.onestop.v1.CaseService/RequestSupplement",
    version: Version::OfTheCase,
};

/// What a request for a supplement says beside its items.
pub(crate) struct Asked<'a> {
    pub(crate) reason: &'a str,
    pub(crate) stage: &'a str,
    pub(crate) legal_basis: &'a str,
}

/// The request: what it asks for belongs to the procedure.
pub(crate) fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    items: Vec<SupplementItem>,
    asked: &Asked<'_>,
) -> Result<Recorded, Error> {
    let codes = items
        .iter()
        .map(|item| item.component_code.as_str())
        .filter(|code| !code.is_empty());
    check_known(&facts.procedure.procedure, codes)?;
    let mut asked_for: Vec<String> = items.iter().map(|item| item.component_code.clone()).collect();
    asked_for.retain(|code| !code.is_empty());
    let count = items.len();
    case.request_supplement(facts.transitions, facts.now, items, asked.stage, asked.legal_basis)?;
    Ok(Recorded {
        reason: asked.reason.to_owned(),
        legal_basis: asked.legal_basis.to_owned(),
        details: serde_json::json!({ "round": case.supplement_rounds, "items": count, "stage": asked.stage }),
        asked_for,
        ..Recorded::default()
    })
}

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
                let asked = Asked {
                    reason: &body.reason,
                    stage: &body.stage,
                    legal_basis: &body.legal_basis,
                };
                judge(case, facts, items, &asked)
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
