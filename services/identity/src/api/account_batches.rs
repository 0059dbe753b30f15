//! AccountBatchService.

use egov_proto::egov::identity::v1::account_batch_service_server::AccountBatchService;
use egov_proto::egov::identity::v1::{
    BeginActivationRequest, BeginActivationResponse, CompleteActivationRequest, CompleteActivationResponse,
    CreateAccountsRequest, CreateAccountsResponse, DisableAccountsRequest, DisableAccountsResponse,
    ReissueActivationRequest, ReissueActivationResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::Api;
use crate::operations::{activate, create_accounts, disable_accounts};

#[tonic::async_trait]
impl AccountBatchService for Api {
    async fn create_accounts(
        &self,
        request: Request<CreateAccountsRequest>,
    ) -> Result<Response<CreateAccountsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = create_accounts::create_accounts(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn reissue_activation(
        &self,
        request: Request<ReissueActivationRequest>,
    ) -> Result<Response<ReissueActivationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = activate::reissue(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn begin_activation(
        &self,
        request: Request<BeginActivationRequest>,
    ) -> Result<Response<BeginActivationResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        let answer = activate::begin(&self.identity, &request.activation_code).await?;
        Ok(Response::new(answer))
    }

    async fn complete_activation(
        &self,
        request: Request<CompleteActivationRequest>,
    ) -> Result<Response<CompleteActivationResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        let answer = activate::complete(&self.identity, request).await?;
        Ok(Response::new(answer))
    }

    async fn disable_accounts(
        &self,
        request: Request<DisableAccountsRequest>,
    ) -> Result<Response<DisableAccountsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = disable_accounts::disable_accounts(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }
}
