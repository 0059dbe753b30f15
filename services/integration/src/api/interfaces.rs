//! InterfaceService.

use egov_proto::egov::integration::v1::interface_service_server::InterfaceService;
use egov_proto::egov::integration::v1::{
    AddEndpointRequest, AddEndpointResponse, ChangeEndpointRequest, ChangeEndpointResponse, CompareInterfaceRequest,
    CompareInterfaceResponse, GetInterfaceRequest, GetInterfaceResponse, GetServiceRequest, GetServiceResponse,
    ListInterfacesRequest, ListInterfacesResponse, ListServicesRequest, ListServicesResponse, PublishInterfaceRequest,
    PublishInterfaceResponse, RegisterServiceRequest, RegisterServiceResponse, UpdateServiceRequest,
    UpdateServiceResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, status};

#[tonic::async_trait]
impl InterfaceService for Api {
    async fn register_service(
        &self,
        request: Request<RegisterServiceRequest>,
    ) -> Result<Response<RegisterServiceResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.register_service(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn update_service(
        &self,
        request: Request<UpdateServiceRequest>,
    ) -> Result<Response<UpdateServiceResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.update_service(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn get_service(&self, request: Request<GetServiceRequest>) -> Result<Response<GetServiceResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.get_service(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn list_services(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Result<Response<ListServicesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.list_services(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn publish_interface(
        &self,
        request: Request<PublishInterfaceRequest>,
    ) -> Result<Response<PublishInterfaceResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .publish_interface(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn compare_interface(
        &self,
        request: Request<CompareInterfaceRequest>,
    ) -> Result<Response<CompareInterfaceResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .compare_interface(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn get_interface(
        &self,
        request: Request<GetInterfaceRequest>,
    ) -> Result<Response<GetInterfaceResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.get_interface(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn list_interfaces(
        &self,
        request: Request<ListInterfacesRequest>,
    ) -> Result<Response<ListInterfacesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.list_interfaces(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn add_endpoint(
        &self,
        request: Request<AddEndpointRequest>,
    ) -> Result<Response<AddEndpointResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.add_endpoint(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn change_endpoint(
        &self,
        request: Request<ChangeEndpointRequest>,
    ) -> Result<Response<ChangeEndpointResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self.service.change_endpoint(request.caller()?, &request.message).await;
        Ok(Response::new(answer.map_err(status)?))
    }
}
