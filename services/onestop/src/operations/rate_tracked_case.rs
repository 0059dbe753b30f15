//! RateTrackedCase (đánh giá): by code and look-up secret, for who has no account.

use egov_auth::RowScope;
use egov_database::{UnitOfWork, WriteRequest};
use egov_proto::egov::onestop::v1::{RateTrackedCaseRequest, RateTrackedCaseResponse};
use uuid::Uuid;

use super::OneStop;
use super::act::{Actor, announce, entry};
use super::rate_case;
use super::track_case::Guess;
use crate::domain::case::Case;
use crate::error::Error;
use crate::store::{Visible, cases, history};

const METHOD: &str = "egov.onestop.v1.RatingService/RateTrackedCase";

/// Whoever holds the paper with code and secret; who that is, nobody knows.
const HOLDER: Actor = Actor {
    id: Uuid::nil(),
    kind: "citizen",
    on_behalf_of: None,
};

impl OneStop {
    /// Records the rating, once, after the result was returned. A wrong secret counts and commits by itself, as in a look-up;
    /// the rating is a write of its own, which a repetition finds done.
    pub(crate) async fn rate_tracked_case(
        &self,
        request_id: Uuid,
        body: &RateTrackedCaseRequest,
        score: i16,
        answer: impl FnOnce(&Case) -> RateTrackedCaseResponse + Send,
    ) -> Result<RateTrackedCaseResponse, Error> {
        // The caller has no scope: its secret is the permission, and only this one case is touched.
        let everything = RowScope {
            all: true,
            ..RowScope::none()
        };
        let guess = self
            .database
            .write_unkeyed(&everything, async |unit: &mut UnitOfWork<'_>| {
                self.guess(unit, &body.case_code, &body.lookup_secret).await
            })
            .await?;
        let case_id = match guess {
            Guess::Right(case_id) => case_id,
            Guess::Wrong => return Err(Error::LookupRefused),
            Guess::Locked(wait) => return Err(Error::LookupLocked(wait)),
        };
        let request = WriteRequest::keyed(format!("holder of {case_id}"), everything, METHOD, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let now = unit.now();
                let before = cases::get_for_update(unit.conn(), case_id, &Visible::everything())
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                let mut after = before.clone();
                let recorded = rate_case::rate(&mut after, now, score, &body.comment)?;
                cases::save(unit.conn(), &before, &after, now).await?;
                let entry = entry(&HOLDER, Some(&before), &after, rate_case::ACT.operation, recorded, now);
                history::append(unit.conn(), case_id, &entry).await?;
                announce(unit, &after, rate_case::ACT.event)?;
                Ok::<_, Error>(answer(&after))
            })
            .await?;
        Ok(written.into_answer())
    }
}
