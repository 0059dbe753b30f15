//! ExchangeService.

use std::sync::Arc;

use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::exchange_service_server::ExchangeService;
use egov_runtime::accept;
use egov_runtime::contract::Contract;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::status;
use crate::domain::exchange::{Passed, UNKNOWN};
use crate::operations::read_bodies::{Bodies, Body, Wanted};
use crate::operations::read_exchanges::{Exchanges, Recorded};
use crate::wire::id;

/// The service of the contract over the use cases.
#[derive(Clone)]
pub(crate) struct ExchangeApi {
    pub(crate) contract: Arc<Contract>,
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) bodies: Arc<Bodies>,
}

fn passed(passed: &Passed) -> proto::Passed {
    proto::Passed {
        sha256: passed.hash.to_vec(),
        messages: passed.messages,
        bytes: passed.bytes,
    }
}

/// The outcome that a stored word names.
pub(super) fn outcome(word: &str) -> proto::ExchangeOutcome {
    match word {
        "answered" => proto::ExchangeOutcome::Answered,
        "refused" => proto::ExchangeOutcome::Refused,
        "not_sent" => proto::ExchangeOutcome::NotSent,
        "broken_off" => proto::ExchangeOutcome::BrokenOff,
        "cancelled" => proto::ExchangeOutcome::Cancelled,
        "timed_out" => proto::ExchangeOutcome::TimedOut,
        "agreement_ended" => proto::ExchangeOutcome::AgreementEnded,
        "stopped" => proto::ExchangeOutcome::Stopped,
        UNKNOWN => proto::ExchangeOutcome::Unknown,
        _ => proto::ExchangeOutcome::Unspecified,
    }
}

fn encode((exchange, ended): Recorded) -> proto::Exchange {
    let text = |id: Option<Uuid>| id.map_or_else(String::new, |id| id.to_string());
    let mut out = proto::Exchange {
        exchange_id: exchange.exchange_id.to_string(),
        agreement_id: exchange.agreement_id.to_string(),
        agreement_version: exchange.agreement_version,
        delegation_id: text(exchange.delegation_id),
        consumer_organisation_id: exchange.consumer_organisation_id.to_string(),
        provider_organisation_id: exchange.provider_organisation_id.to_string(),
        service_id: exchange.service_id.to_string(),
        client_id: exchange.client_id,
        method: exchange.method,
        purpose: exchange.purpose.unwrap_or_default(),
        trace: exchange.trace.unwrap_or_default(),
        begin_time: Some(egov_proto::timestamp(exchange.begin_time)),
        ..proto::Exchange::default()
    };
    if let Some(ended) = ended {
        out.set_outcome(outcome(&ended.outcome));
        out.status = ended.status;
        out.request = Some(passed(&ended.request));
        out.forwarded_sha256 = ended.forwarded_hash.map(Vec::from).unwrap_or_default();
        out.response = Some(passed(&ended.response));
        out.received_sha256 = ended.received_hash.map(Vec::from).unwrap_or_default();
        out.elapsed_us = ended.elapsed_us;
        out.provider_us = ended.provider_us;
        out.end_time = Some(egov_proto::timestamp(ended.end_time));
    }
    out
}

fn body(body: Body) -> proto::ExchangeBody {
    let (state, content, expire_time, delete_time) = match body {
        Body::NotAsked => (proto::BodyState::Unspecified, Vec::new(), None, None),
        Body::NotKept => (proto::BodyState::NotKept, Vec::new(), None, None),
        Body::Kept { content, expire_time } => (proto::BodyState::Kept, content, Some(expire_time), None),
        Body::Deleted {
            expire_time,
            delete_time,
        } => (
            proto::BodyState::Deleted,
            Vec::new(),
            Some(expire_time),
            Some(delete_time),
        ),
        Body::Unreadable { expire_time } => (proto::BodyState::Unreadable, Vec::new(), Some(expire_time), None),
    };
    proto::ExchangeBody {
        state: state.into(),
        content,
        expire_time: expire_time.map(egov_proto::timestamp),
        delete_time: delete_time.map(egov_proto::timestamp),
    }
}

#[tonic::async_trait]
impl ExchangeService for ExchangeApi {
    async fn list_exchanges(
        &self,
        request: Request<proto::ListExchangesRequest>,
    ) -> Result<Response<proto::ListExchangesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let message = &accepted.message;
        let agreement_id = match message.agreement_id.as_str() {
            "" => None,
            text => Some(id(text, "agreement_id")?),
        };
        let listed = self.exchanges.list(accepted.caller()?, agreement_id, message).await;
        let (found, next_page_token) = listed.map_err(status)?;
        Ok(Response::new(proto::ListExchangesResponse {
            exchanges: found.into_iter().map(encode).collect(),
            next_page_token,
        }))
    }

    async fn get_exchange(
        &self,
        request: Request<proto::GetExchangeRequest>,
    ) -> Result<Response<proto::GetExchangeResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let exchange_id = id(&accepted.message.exchange_id, "exchange_id")?;
        let found = self.exchanges.get(accepted.caller()?, exchange_id).await;
        Ok(Response::new(proto::GetExchangeResponse {
            exchange: Some(encode(found.map_err(status)?)),
        }))
    }

    async fn get_exchange_receipt(
        &self,
        request: Request<proto::GetExchangeReceiptRequest>,
    ) -> Result<Response<proto::GetExchangeReceiptResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let exchange_id = id(&accepted.message.exchange_id, "exchange_id")?;
        let proof = self.exchanges.receipt(accepted.caller()?, exchange_id).await;
        let proof = proof.map_err(status)?;
        Ok(Response::new(proto::GetExchangeReceiptResponse {
            canonical: proof.canonical,
            salt: proof.salt,
            receipt: proof.receipt,
            leaf_hash: proof.leaf.to_string(),
            exchange: Some(encode(proof.recorded)),
        }))
    }
    async fn get_exchange_bodies(
        &self,
        request: Request<proto::GetExchangeBodiesRequest>,
    ) -> Result<Response<proto::GetExchangeBodiesResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let exchange_id = id(&accepted.message.exchange_id, "exchange_id")?;
        let direction = accepted.message.direction();
        let wanted = Wanted {
            request: direction != proto::BodyDirection::Response,
            response: direction != proto::BodyDirection::Request,
        };
        let found = self.bodies.get(accepted.caller()?, exchange_id, wanted).await;
        let (asked, answered) = found.map_err(status)?;
        Ok(Response::new(proto::GetExchangeBodiesResponse {
            request: Some(body(asked)),
            response: Some(body(answered)),
        }))
    }
}
