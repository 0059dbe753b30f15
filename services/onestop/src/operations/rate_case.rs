//! RateCase (đánh giá).

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{RateCaseRequest, RateCaseResponse};
use jiff::Timestamp;

pub(crate) const ACT: Act = Act {
    operation: "rate",
    event: "case_rated",
    permission: "onestop.cases.rate",
    method: "egov.onestop.v1.CaseService/RateCase",
    version: Version::OfTheCase,
};

/// The rating.
pub(crate) fn judge(case: &mut Case, facts: &Facts<'_>, score: i16, comment: &str) -> Result<Recorded, Error> {
    rate(case, facts.now, score, comment)
}

/// The rating, whoever gives it.
pub(crate) fn rate(case: &mut Case, now: Timestamp, score: i16, comment: &str) -> Result<Recorded, Error> {
    case.rate(now, score, comment.to_owned())?;
    Ok(Recorded {
        details: serde_json::json!({ "score": score }),
        ..Recorded::default()
    })
}

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
            |case, facts| judge(case, facts, score, &body.comment),
            |case| Ok(answer(case)),
        )
        .await
    }
}
