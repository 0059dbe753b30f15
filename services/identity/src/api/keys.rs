//! KeyService.

use egov_directory::Feed as _;
use egov_proto::egov::identity::v1::key_service_server::KeyService;
use egov_proto::egov::identity::v1::{
    ListKeysRequest, ListKeysResponse, ListRevocationsRequest, ListRevocationsResponse, RevokeAllTokensRequest,
    RevokeAllTokensResponse, RevokeTokensRequest, RevokeTokensResponse, RotateSigningKeyRequest,
    RotateSigningKeyResponse, WithdrawSigningKeyRequest, WithdrawSigningKeyResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::Api;
use crate::operations::{keys, revoke_all_tokens, revoke_tokens, rotate_signing_key, withdraw_signing_key};
use crate::wire;

#[tonic::async_trait]
impl KeyService for Api {
    async fn list_keys(&self, request: Request<ListKeysRequest>) -> Result<Response<ListKeysResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let only = wire::key_purpose(request.message.purpose());
        let keys = keys::list_keys(&self.identity, caller, only).await?;
        Ok(Response::new(ListKeysResponse { keys }))
    }

    async fn rotate_signing_key(
        &self,
        request: Request<RotateSigningKeyRequest>,
    ) -> Result<Response<RotateSigningKeyResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = rotate_signing_key::rotate_signing_key(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn withdraw_signing_key(
        &self,
        request: Request<WithdrawSigningKeyRequest>,
    ) -> Result<Response<WithdrawSigningKeyResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = withdraw_signing_key::withdraw_signing_key(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn revoke_all_tokens(
        &self,
        request: Request<RevokeAllTokensRequest>,
    ) -> Result<Response<RevokeAllTokensResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = revoke_all_tokens::revoke_all_tokens(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn revoke_tokens(
        &self,
        request: Request<RevokeTokensRequest>,
    ) -> Result<Response<RevokeTokensResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = revoke_tokens::revoke_tokens(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn list_revocations(
        &self,
        request: Request<ListRevocationsRequest>,
    ) -> Result<Response<ListRevocationsResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        Ok(Response::new(self.identity.feed.revocations(request.after).await?))
    }
}
