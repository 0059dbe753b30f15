//! SystemService.

use egov_proto::egov::identity::v1::system_service_server::SystemService;
use egov_proto::egov::identity::v1::{
    DisableSystemRequest, DisableSystemResponse, ListSystemsRequest, ListSystemsResponse, RegisterSystemRequest,
    RegisterSystemResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::Api;
use crate::operations::{disable_system, read_systems, register_system};

#[tonic::async_trait]
impl SystemService for Api {
    async fn register_system(
        &self,
        request: Request<RegisterSystemRequest>,
    ) -> Result<Response<RegisterSystemResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = register_system::register_system(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn list_systems(
        &self,
        request: Request<ListSystemsRequest>,
    ) -> Result<Response<ListSystemsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = read_systems::list_systems(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn disable_system(
        &self,
        request: Request<DisableSystemRequest>,
    ) -> Result<Response<DisableSystemResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = disable_system::disable_system(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }
}
