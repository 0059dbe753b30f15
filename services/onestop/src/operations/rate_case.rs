//! RateCase (đánh giá).

use super::OneStop;
use super::act::{Act, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{RateCaseRequest, RateCaseResponse};

const ACT: Act = Act {
    operation: "rate",
    event: "case_rated",
    permission: "onestop.cases.rate",
    method: "egov.onestop.v1.CaseService/RateCase",
    version: Version::OfTheCase,
};

impl OneStop {
    /// Records the rating, once, after the result was returned.
    pub(crate) async fn rate_case(
        &self,
        caller: &Caller,
        target: Target<'_, RateCaseRequest>,
        score: i16,
        answer: impl FnOnce(&Case) -> RateCaseResponse + Send,
    ) -> Result<RateCaseResponse, Error> {
        let body = target.body;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| {
                case.rate(facts.now, score, body.comment.clone())?;
                Ok(Recorded {
                    details: serde_json::json!({ "score": score }),
                    ..Recorded::default()
                })
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
