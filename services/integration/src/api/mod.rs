//! gRPC handlers of a few lines: protobuf ⇄ domain; what comes in is validated by the contract and by its conversion.

pub(crate) mod partners;

use std::sync::Arc;

use egov_fault::{Fault, Violation};
use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::integration_service_server::IntegrationService;
use egov_runtime::accept;
use egov_runtime::contract::Contract;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::domain::entry::Entry;
use crate::error::Error;
use crate::operations::Integration;

/// The service of the contract over the use cases.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) contract: Arc<Contract>,
    pub(crate) service: Arc<Integration>,
}

/// A refusal on its way out: its one translation.
fn status(error: Error) -> Status {
    Fault::from(error).into()
}

/// An id whose form the contract has checked.
fn id(text: &str, field: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| {
        Fault::invalid(vec![Violation {
            field: field.to_owned(),
            rule: "value".to_owned(),
            vi: "không phải là mã định danh UUID".to_owned(),
            en: "is not a UUID".to_owned(),
        }])
    })
}

fn encode(entry: &Entry) -> proto::Entry {
    proto::Entry {
        entry_id: entry.id.to_string(),
        unit_id: entry.unit_id,
        title: entry.title.clone(),
        create_time: Some(egov_proto::timestamp(entry.create_time)),
    }
}

#[tonic::async_trait]
impl IntegrationService for Api {
    async fn create_entry(
        &self,
        request: Request<proto::CreateEntryRequest>,
    ) -> Result<Response<proto::CreateEntryResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let answer = |entry: &Entry| proto::CreateEntryResponse {
            entry: Some(encode(entry)),
        };
        let made = self
            .service
            .create_entry(accepted.caller()?, request_id, &accepted.message, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn get_entry(
        &self,
        request: Request<proto::GetEntryRequest>,
    ) -> Result<Response<proto::GetEntryResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let entry_id = id(&accepted.message.entry_id, "entry_id")?;
        let found = self
            .service
            .get_entry(accepted.caller()?, entry_id)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetEntryResponse {
            entry: Some(encode(&found)),
        }))
    }
}
