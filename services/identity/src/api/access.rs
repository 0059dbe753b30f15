//! AccessService.

use egov_proto::egov::identity::v1::access_service_server::AccessService;
use egov_proto::egov::identity::v1::{
    ChangeRoleEndRequest, ChangeRoleEndResponse, ConfirmGrantRequest, ConfirmGrantResponse, DelegateRoleRequest,
    DelegateRoleResponse, EndDelegationRequest, EndDelegationResponse, ListDelegationsRequest, ListDelegationsResponse,
    ListRoleGrantsRequest, ListRoleGrantsResponse, ListRoleUnitsRequest, ListRoleUnitsResponse, ListRolesRequest,
    ListRolesResponse, ReviewAccessRequest, ReviewAccessResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::Api;
use crate::operations::{change_role_end, confirm_grant, delegate_role, end_delegation, read_access, review_access};

#[tonic::async_trait]
impl AccessService for Api {
    async fn list_roles(&self, request: Request<ListRolesRequest>) -> Result<Response<ListRolesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = read_access::list_roles(&self.identity, &caller, request.message);
        Ok(Response::new(answer))
    }

    async fn list_role_grants(
        &self,
        request: Request<ListRoleGrantsRequest>,
    ) -> Result<Response<ListRoleGrantsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = read_access::list_role_grants(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn list_role_units(
        &self,
        request: Request<ListRoleUnitsRequest>,
    ) -> Result<Response<ListRoleUnitsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = read_access::list_role_units(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn change_role_end(
        &self,
        request: Request<ChangeRoleEndRequest>,
    ) -> Result<Response<ChangeRoleEndResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = change_role_end::change_role_end(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn delegate_role(
        &self,
        request: Request<DelegateRoleRequest>,
    ) -> Result<Response<DelegateRoleResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = delegate_role::delegate_role(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn end_delegation(
        &self,
        request: Request<EndDelegationRequest>,
    ) -> Result<Response<EndDelegationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = end_delegation::end_delegation(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn list_delegations(
        &self,
        request: Request<ListDelegationsRequest>,
    ) -> Result<Response<ListDelegationsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = read_access::list_delegations(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn review_access(
        &self,
        request: Request<ReviewAccessRequest>,
    ) -> Result<Response<ReviewAccessResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = review_access::review_access(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn confirm_grant(
        &self,
        request: Request<ConfirmGrantRequest>,
    ) -> Result<Response<ConfirmGrantResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = confirm_grant::confirm_grant(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }
}
