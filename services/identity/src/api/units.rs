//! UnitService.

use egov_directory::Feed as _;
use egov_proto::egov::identity::v1::unit_service_server::UnitService;
use egov_proto::egov::identity::v1::{
    GetTreeSnapshotRequest, GetTreeSnapshotResponse, GetUnitRequest, GetUnitResponse, ListUnitsRequest,
    ListUnitsResponse, ResolveUnitRequest, ResolveUnitResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::Api;
use crate::operations::read_units;
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
}
