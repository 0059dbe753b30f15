//! UnitService.

use egov_directory::Feed as _;
use egov_proto::egov::identity::v1::unit_service_server::UnitService;
use egov_proto::egov::identity::v1::{
    CancelReorganisationRequest, CancelReorganisationResponse, CreateReorganisationRequest,
    CreateReorganisationResponse, GetTreeSnapshotRequest, GetTreeSnapshotResponse, GetUnitRequest, GetUnitResponse,
    ListAncestorsRequest, ListAncestorsResponse, ListPredecessorsRequest, ListPredecessorsResponse,
    ListReorganisationsRequest, ListReorganisationsResponse, ListSuccessorsRequest, ListSuccessorsResponse,
    ListUnitsRequest, ListUnitsResponse, PreviewReorganisationRequest, PreviewReorganisationResponse,
    ResolveUnitRequest, ResolveUnitResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::Api;
use crate::operations::{cancel_reorganisation, list_reorganisations, plan_reorganisation, read_units};
use crate::wire;

#[tonic::async_trait]
impl UnitService for Api {
    async fn get_unit(&self, request: Request<GetUnitRequest>) -> Result<Response<GetUnitResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        let unit = read_units::get_unit(&self.identity, request.unit_id).await?;
        Ok(Response::new(GetUnitResponse {
            unit: Some(wire::unit(&unit)),
        }))
    }

    async fn list_units(&self, request: Request<ListUnitsRequest>) -> Result<Response<ListUnitsResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        let answer = read_units::list_units(&self.identity, request).await?;
        Ok(Response::new(answer))
    }

    async fn resolve_unit(
        &self,
        request: Request<ResolveUnitRequest>,
    ) -> Result<Response<ResolveUnitResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        let unit = read_units::resolve_unit(&self.identity, request).await?;
        Ok(Response::new(ResolveUnitResponse {
            unit: Some(wire::unit(&unit)),
        }))
    }

    async fn get_tree_snapshot(
        &self,
        request: Request<GetTreeSnapshotRequest>,
    ) -> Result<Response<GetTreeSnapshotResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        Ok(Response::new(self.identity.feed.tree(request.known_version).await?))
    }

    async fn list_successors(
        &self,
        request: Request<ListSuccessorsRequest>,
    ) -> Result<Response<ListSuccessorsResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        let answer = read_units::list_successors(&self.identity, request).await?;
        Ok(Response::new(answer))
    }

    async fn list_predecessors(
        &self,
        request: Request<ListPredecessorsRequest>,
    ) -> Result<Response<ListPredecessorsResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        let answer = read_units::list_predecessors(&self.identity, request.unit_id).await?;
        Ok(Response::new(answer))
    }

    async fn list_ancestors(
        &self,
        request: Request<ListAncestorsRequest>,
    ) -> Result<Response<ListAncestorsResponse>, Status> {
        let request = accept(&self.contract, request)?.message;
        let answer = read_units::list_ancestors(&self.identity, request).await?;
        Ok(Response::new(answer))
    }

    async fn preview_reorganisation(
        &self,
        request: Request<PreviewReorganisationRequest>,
    ) -> Result<Response<PreviewReorganisationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = plan_reorganisation::preview_reorganisation(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn create_reorganisation(
        &self,
        request: Request<CreateReorganisationRequest>,
    ) -> Result<Response<CreateReorganisationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = plan_reorganisation::create_reorganisation(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn list_reorganisations(
        &self,
        request: Request<ListReorganisationsRequest>,
    ) -> Result<Response<ListReorganisationsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?.clone();
        let answer = list_reorganisations::list_reorganisations(&self.identity, &caller, request.message).await?;
        Ok(Response::new(answer))
    }

    async fn cancel_reorganisation(
        &self,
        request: Request<CancelReorganisationRequest>,
    ) -> Result<Response<CancelReorganisationResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let answer = cancel_reorganisation::cancel_reorganisation(&self.identity, caller, &request.message).await?;
        Ok(Response::new(answer))
    }
}
