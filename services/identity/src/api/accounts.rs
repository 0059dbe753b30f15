//! AccountService.

use egov_proto::egov::identity::v1::account_service_server::AccountService;
use egov_proto::egov::identity::v1::{
    CreateAccountRequest, CreateAccountResponse, DisableAccountRequest, DisableAccountResponse, EndRoleRequest,
    EndRoleResponse, GetAccountRequest, GetAccountResponse, GrantRoleRequest, GrantRoleResponse, ListAccountsRequest,
    ListAccountsResponse, ListSignInsRequest, ListSignInsResponse, UnlockAccountRequest, UnlockAccountResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::Api;
use crate::operations::{create_account, disable_account, end_role, grant_role, read_accounts, unlock_account};
use crate::wire;

#[tonic::async_trait]
impl AccountService for Api {
    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = create_account::create_account(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<GetAccountResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let id = &request.message.account_id;
        let account = read_accounts::get_account(&self.identity, request.caller()?, id).await?;
        Ok(Response::new(GetAccountResponse {
            account: Some(wire::account(&account)),
        }))
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = read_accounts::list_accounts(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn grant_role(&self, request: Request<GrantRoleRequest>) -> Result<Response<GrantRoleResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = grant_role::grant_role(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn end_role(&self, request: Request<EndRoleRequest>) -> Result<Response<EndRoleResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = end_role::end_role(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn disable_account(
        &self,
        request: Request<DisableAccountRequest>,
    ) -> Result<Response<DisableAccountResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = disable_account::disable_account(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn unlock_account(
        &self,
        request: Request<UnlockAccountRequest>,
    ) -> Result<Response<UnlockAccountResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = unlock_account::unlock_account(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn list_sign_ins(
        &self,
        request: Request<ListSignInsRequest>,
    ) -> Result<Response<ListSignInsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = read_accounts::list_sign_ins(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }
}
