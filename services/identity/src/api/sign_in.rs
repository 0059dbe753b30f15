//! SignInService.

use egov_proto::egov::identity::v1::sign_in_service_server::SignInService;
use egov_proto::egov::identity::v1::{
    RefreshTokensRequest, RefreshTokensResponse, SignInRequest, SignInResponse, SignOutRequest, SignOutResponse,
    VerifyTotpRequest, VerifyTotpResponse,
};
use egov_runtime::accept;
use secrecy::SecretString;
use tonic::{Request, Response, Status};

use super::Api;
use crate::domain::client_hint::client_hint;
use crate::operations::{refresh_tokens, sign_in, sign_out, verify_totp};

#[tonic::async_trait]
impl SignInService for Api {
    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<SignInResponse>, Status> {
        let SignInRequest { username, password } = accept(&self.contract, request)?.message;
        let password = SecretString::from(password);
        let challenge = sign_in::sign_in(&self.identity, &username, password).await?;
        Ok(Response::new(SignInResponse { challenge }))
    }

    async fn verify_totp(&self, request: Request<VerifyTotpRequest>) -> Result<Response<VerifyTotpResponse>, Status> {
        let agent = request
            .metadata()
            .get("user-agent")
            .and_then(|value| value.to_str().ok());
        let client_hint = client_hint(agent.unwrap_or_default());
        let request = accept(&self.contract, request)?.message;
        let (challenge, code) = (&request.challenge, &request.totp_code);
        let tokens = verify_totp::verify_totp(&self.identity, challenge, code, &client_hint).await?;
        Ok(Response::new(VerifyTotpResponse { tokens: Some(tokens) }))
    }

    async fn refresh_tokens(
        &self,
        request: Request<RefreshTokensRequest>,
    ) -> Result<Response<RefreshTokensResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        let tokens = refresh_tokens::refresh_tokens(&self.identity, &request.refresh_token).await?;
        Ok(Response::new(RefreshTokensResponse { tokens: Some(tokens) }))
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Result<Response<SignOutResponse>, Status> {
        let request = accept(&self.contract, request)?;
        sign_out::sign_out(&self.identity, request.caller()?).await?;
        Ok(Response::new(SignOutResponse {}))
    }
}
