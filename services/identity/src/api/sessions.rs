//! SessionService.

use egov_proto::egov::identity::v1::session_service_server::SessionService;
use egov_proto::egov::identity::v1::{
    EndAllSessionsRequest, EndAllSessionsResponse, EndSessionRequest, EndSessionResponse, ListMySessionsRequest,
    ListMySessionsResponse, ListSessionsRequest, ListSessionsResponse,
};
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::Api;
use crate::operations::sessions;

#[tonic::async_trait]
impl SessionService for Api {
    async fn list_my_sessions(
        &self,
        request: Request<ListMySessionsRequest>,
    ) -> Result<Response<ListMySessionsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let sessions = sessions::list_my_sessions(&self.identity, request.caller()?).await?;
        Ok(Response::new(ListMySessionsResponse { sessions }))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let id = &request.message.account_id;
        let sessions = sessions::list_sessions(&self.identity, request.caller()?, id).await?;
        Ok(Response::new(ListSessionsResponse { sessions }))
    }

    async fn end_session(&self, request: Request<EndSessionRequest>) -> Result<Response<EndSessionResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = sessions::end_session(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }

    async fn end_all_sessions(
        &self,
        request: Request<EndAllSessionsRequest>,
    ) -> Result<Response<EndAllSessionsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let answer = sessions::end_all_sessions(&self.identity, request.caller()?, &request.message).await?;
        Ok(Response::new(answer))
    }
}
