//! FederationService.

use egov_proto::egov::identity::v1::federation_service_server::FederationService;
use egov_proto::egov::identity::v1::{
    BeginFederatedSignInRequest, BeginFederatedSignInResponse, CompleteFederatedSignInRequest,
    CompleteFederatedSignInResponse, DisableIssuerRequest, DisableIssuerResponse, GetIssuerRequest, GetIssuerResponse,
    LinkIdentityRequest, LinkIdentityResponse, ListIdentitiesRequest, ListIdentitiesResponse, ListIssuersRequest,
    ListIssuersResponse, RegisterIssuerRequest, RegisterIssuerResponse, UnlinkIdentityRequest, UnlinkIdentityResponse,
    UpdateIssuerRequest, UpdateIssuerResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::Api;
use crate::domain::client_hint::client_hint;
use crate::operations::{federated_sign_in, issuers, link_identity};
use crate::wire;

#[tonic::async_trait]
impl FederationService for Api {
    async fn register_issuer(
        &self,
        request: Request<RegisterIssuerRequest>,
    ) -> Result<Response<RegisterIssuerResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = issuers::register_issuer(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn update_issuer(
        &self,
        request: Request<UpdateIssuerRequest>,
    ) -> Result<Response<UpdateIssuerResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = issuers::update_issuer(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn disable_issuer(
        &self,
        request: Request<DisableIssuerRequest>,
    ) -> Result<Response<DisableIssuerResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = issuers::disable_issuer(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn get_issuer(&self, request: Request<GetIssuerRequest>) -> Result<Response<GetIssuerResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let id = &request.message.issuer_id;
        let issuer = issuers::get_issuer(&self.identity, request.caller()?, id).await?;
        Ok(Response::new(GetIssuerResponse {
            issuer: Some(wire::federated_issuer(&issuer)),
        }))
    }

    async fn list_issuers(
        &self,
        request: Request<ListIssuersRequest>,
    ) -> Result<Response<ListIssuersResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = issuers::list_issuers(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn link_identity(
        &self,
        request: Request<LinkIdentityRequest>,
    ) -> Result<Response<LinkIdentityResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = link_identity::link_identity(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn unlink_identity(
        &self,
        request: Request<UnlinkIdentityRequest>,
    ) -> Result<Response<UnlinkIdentityResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = link_identity::unlink_identity(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn list_identities(
        &self,
        request: Request<ListIdentitiesRequest>,
    ) -> Result<Response<ListIdentitiesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let id = &request.message.account_id;
        let links = link_identity::list_identities(&self.identity, request.caller()?, id).await?;
        Ok(Response::new(ListIdentitiesResponse {
            identities: links.iter().map(wire::federated_identity).collect(),
        }))
    }

    async fn begin_federated_sign_in(
        &self,
        request: Request<BeginFederatedSignInRequest>,
    ) -> Result<Response<BeginFederatedSignInResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        let answer = federated_sign_in::begin(&self.identity, &request).await?;
        Ok(Response::new(answer))
    }

    async fn complete_federated_sign_in(
        &self,
        request: Request<CompleteFederatedSignInRequest>,
    ) -> Result<Response<CompleteFederatedSignInResponse>, Status> {
        let agent = request
            .metadata()
            .get("user-agent")
            .and_then(|value| value.to_str().ok());
        let client_hint = client_hint(agent.unwrap_or_default());
        let request = accept(&self.contract, request)?.message;
        let answer = federated_sign_in::complete(&self.identity, &request, &client_hint).await?;
        Ok(Response::new(answer))
    }
}
