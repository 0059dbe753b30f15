//! TrafficService.

use std::sync::Arc;

use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::traffic_service_server::TrafficService;
use egov_runtime::accept;
use egov_runtime::contract::Contract;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::exchanges::outcome;
use super::status;
use crate::domain::traffic::{About, Dimensions, Grain, Latency, Line, Period, share_used};
use crate::error::Error;
use crate::operations::traffic::{TrafficReader, Used};
use crate::wire::{at, id, optional_id};

/// The service of the contract over the use cases.
#[derive(Clone)]
pub(crate) struct TrafficApi {
    pub(crate) contract: Arc<Contract>,
    pub(crate) traffic: Arc<TrafficReader>,
}

fn latency(latency: &Latency) -> proto::Latency {
    proto::Latency {
        p50_us: latency.percentile(500),
        p95_us: latency.percentile(950),
        p99_us: latency.percentile(990),
        max_us: latency.max_us,
    }
}

fn line(line: Line) -> proto::TrafficLine {
    let text = |id: Option<Uuid>| id.map_or_else(String::new, |id| id.to_string());
    let (key, sums) = (line.key, &line.sums);
    let ended = key.outcome.as_deref().map(outcome).unwrap_or_default();
    proto::TrafficLine {
        start_time: key.start.map(egov_proto::timestamp),
        service_id: text(key.service_id),
        method: key.method.unwrap_or_default(),
        agreement_id: text(key.agreement_id),
        consumer_organisation_id: text(key.consumer_organisation_id),
        outcome: ended.into(),
        calls: sums.calls,
        errors: line.errors,
        request_bytes: sums.request_bytes,
        response_bytes: sums.response_bytes,
        elapsed: Some(latency(&sums.elapsed)),
        at_provider: Some(latency(&sums.at_provider)),
    }
}

fn quota_use(used: Used) -> proto::QuotaUse {
    proto::QuotaUse {
        quota: used.quota,
        calls: used.calls,
        per_mille: share_used(used.calls, used.quota).unwrap_or_default(),
    }
}

fn dimensions(asked: impl Iterator<Item = proto::TrafficDimension>) -> Dimensions {
    let mut by = Dimensions::default();
    for dimension in asked {
        match dimension {
            proto::TrafficDimension::Unspecified => {}
            proto::TrafficDimension::Service => by.service = true,
            proto::TrafficDimension::Method => by.method = true,
            proto::TrafficDimension::Agreement => by.agreement = true,
            proto::TrafficDimension::Consumer => by.consumer = true,
            proto::TrafficDimension::Outcome => by.outcome = true,
        }
    }
    by
}

#[tonic::async_trait]
impl TrafficService for TrafficApi {
    async fn summarize_traffic(
        &self,
        request: Request<proto::SummarizeTrafficRequest>,
    ) -> Result<Response<proto::SummarizeTrafficResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let message = &accepted.message;
        let apart = match message.bucket() {
            proto::TrafficBucket::Unspecified => None,
            proto::TrafficBucket::Hour => Some(Grain::Hour),
            proto::TrafficBucket::Day => Some(Grain::Day),
        };
        let period = Period::new(
            at(message.from.as_ref(), "from")?,
            at(message.to.as_ref(), "to")?,
            apart,
        )
        .map_err(|problems| status(Error::PeriodRefused(problems)))?;
        let about = About {
            agreement_id: optional_id(&message.agreement_id, "agreement_id")?,
            service_id: optional_id(&message.service_id, "service_id")?,
        };
        let by = dimensions(message.group_by());
        let lines = self.traffic.summarise(accepted.caller()?, period, by, about).await;
        Ok(Response::new(proto::SummarizeTrafficResponse {
            lines: lines.map_err(status)?.into_iter().map(line).collect(),
        }))
    }

    async fn get_agreement_usage(
        &self,
        request: Request<proto::GetAgreementUsageRequest>,
    ) -> Result<Response<proto::GetAgreementUsageResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let agreement_id = id(&accepted.message.agreement_id, "agreement_id")?;
        let usage = self.traffic.usage(accepted.caller()?, agreement_id).await;
        let usage = usage.map_err(status)?;
        Ok(Response::new(proto::GetAgreementUsageResponse {
            agreement_version: usage.agreement_version.unwrap_or_default(),
            hour: Some(quota_use(usage.hour)),
            day: Some(quota_use(usage.day)),
            hour_start_time: Some(egov_proto::timestamp(usage.hour.since)),
            day_start_time: Some(egov_proto::timestamp(usage.day.since)),
        }))
    }
}
