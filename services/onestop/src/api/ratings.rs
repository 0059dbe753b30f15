//! RatingService: the caller proves itself by code and secret.

use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::rating_service_server::RatingService;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, decode, status};

#[tonic::async_trait]
impl RatingService for Api {
    async fn rate_tracked_case(
        &self,
        request: Request<proto::RateTrackedCaseRequest>,
    ) -> Result<Response<proto::RateTrackedCaseResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let score = i16::try_from(message.score).unwrap_or_default();
        let answer = self
            .one_stop
            .rate_tracked_case(
                decode::id(&message.request_id, "request_id")?,
                &message,
                score,
                |case| proto::RateTrackedCaseResponse {
                    case_code: case.case_code.clone(),
                    score: case.rating.as_ref().map_or(0, |rating| i32::from(rating.score)),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }
}
