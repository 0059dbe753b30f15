//! gRPC handlers.

use std::fmt;
use std::sync::Arc;

use egov_proto::egov::records::v1 as proto;
use egov_proto::egov::records::v1::reading_service_server::ReadingService;
use egov_runtime::accept;
use egov_runtime::contract::Contract;
use tonic::{Request, Response, Status};

use crate::Readings;

/// The service of the contract over the use cases.
#[derive(Clone)]
pub struct ReadingApi {
    pub(crate) contract: Arc<Contract>,
    pub(crate) readings: Arc<Readings>,
}

impl fmt::Debug for ReadingApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadingApi").finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl ReadingService for ReadingApi {
    async fn list_readings(
        &self,
        request: Request<proto::ListReadingsRequest>,
    ) -> Result<Response<proto::ListReadingsResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let answer = self.readings.list(accepted.caller()?, accepted.message.clone()).await?;
        Ok(Response::new(answer))
    }

    async fn audit_readings(
        &self,
        request: Request<proto::AuditReadingsRequest>,
    ) -> Result<Response<proto::AuditReadingsResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let answer = self
            .readings
            .audit(accepted.caller()?, accepted.message.clone())
            .await?;
        Ok(Response::new(answer))
    }

    async fn list_purposes(
        &self,
        request: Request<proto::ListPurposesRequest>,
    ) -> Result<Response<proto::ListPurposesResponse>, Status> {
        accept(&self.contract, request)?;
        Ok(Response::new(proto::ListPurposesResponse {
            purposes: self.readings.purposes(),
        }))
    }
}
