//! PermitService.

use egov_proto::egov::integration::v1::permit_service_server::PermitService;
use egov_proto::egov::integration::v1::{ListPermitChangesRequest, ListPermitChangesResponse};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, status};

#[tonic::async_trait]
impl PermitService for Api {
    async fn list_permit_changes(
        &self,
        request: Request<ListPermitChangesRequest>,
    ) -> Result<Response<ListPermitChangesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = self
            .service
            .list_permit_changes(request.caller()?, &request.message)
            .await;
        Ok(Response::new(answer.map_err(status)?))
    }
}
