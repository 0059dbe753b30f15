//! SystemService.

use egov_proto::egov::integration::v1::system_service_server::SystemService;
use egov_proto::egov::integration::v1::{
    AddCertificateRequest, AddCertificateResponse, AddSigningKeyRequest, AddSigningKeyResponse,
    ChangeSystemStateRequest, ChangeSystemStateResponse, GetSystemRequest, GetSystemResponse, ListSystemsRequest,
    ListSystemsResponse, RegisterSystemRequest, RegisterSystemResponse, UpdateSystemRequest, UpdateSystemResponse,
    WithdrawCertificateRequest, WithdrawCertificateResponse, WithdrawSigningKeyRequest, WithdrawSigningKeyResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, status};

#[tonic::async_trait]
impl SystemService for Api {
    async fn register_system(
        &self,
        request: Request<RegisterSystemRequest>,
    ) -> Result<Response<RegisterSystemResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.register_system(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn update_system(
        &self,
        request: Request<UpdateSystemRequest>,
    ) -> Result<Response<UpdateSystemResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.update_system(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn change_system_state(
        &self,
        request: Request<ChangeSystemStateRequest>,
    ) -> Result<Response<ChangeSystemStateResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .change_system_state(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn add_certificate(
        &self,
        request: Request<AddCertificateRequest>,
    ) -> Result<Response<AddCertificateResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.add_certificate(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn withdraw_certificate(
        &self,
        request: Request<WithdrawCertificateRequest>,
    ) -> Result<Response<WithdrawCertificateResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .withdraw_certificate(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn add_signing_key(
        &self,
        request: Request<AddSigningKeyRequest>,
    ) -> Result<Response<AddSigningKeyResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.add_signing_key(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn withdraw_signing_key(
        &self,
        request: Request<WithdrawSigningKeyRequest>,
    ) -> Result<Response<WithdrawSigningKeyResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .withdraw_signing_key(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn get_system(&self, request: Request<GetSystemRequest>) -> Result<Response<GetSystemResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.get_system(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn list_systems(
        &self,
        request: Request<ListSystemsRequest>,
    ) -> Result<Response<ListSystemsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.list_systems(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }
}
