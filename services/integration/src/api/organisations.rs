//! OrganisationService.

use egov_proto::egov::integration::v1::organisation_service_server::OrganisationService;
use egov_proto::egov::integration::v1::{
    ChangeOrganisationStateRequest, ChangeOrganisationStateResponse, GetOrganisationRequest, GetOrganisationResponse,
    ListDirectoryChangesRequest, ListDirectoryChangesResponse, ListOrganisationsRequest, ListOrganisationsResponse,
    RegisterOrganisationRequest, RegisterOrganisationResponse, SetAgencyCodeRequest, SetAgencyCodeResponse,
    UpdateOrganisationRequest, UpdateOrganisationResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, status};

#[tonic::async_trait]
impl OrganisationService for Api {
    async fn register_organisation(
        &self,
        request: Request<RegisterOrganisationRequest>,
    ) -> Result<Response<RegisterOrganisationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .register_organisation(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn update_organisation(
        &self,
        request: Request<UpdateOrganisationRequest>,
    ) -> Result<Response<UpdateOrganisationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .update_organisation(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn set_agency_code(
        &self,
        request: Request<SetAgencyCodeRequest>,
    ) -> Result<Response<SetAgencyCodeResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.set_agency_code(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn change_organisation_state(
        &self,
        request: Request<ChangeOrganisationStateRequest>,
    ) -> Result<Response<ChangeOrganisationStateResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .change_organisation_state(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn get_organisation(
        &self,
        request: Request<GetOrganisationRequest>,
    ) -> Result<Response<GetOrganisationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.get_organisation(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn list_organisations(
        &self,
        request: Request<ListOrganisationsRequest>,
    ) -> Result<Response<ListOrganisationsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .list_organisations(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn list_directory_changes(
        &self,
        request: Request<ListDirectoryChangesRequest>,
    ) -> Result<Response<ListDirectoryChangesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .list_directory_changes(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }
}
