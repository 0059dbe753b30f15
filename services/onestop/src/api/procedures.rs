//! ProcedureService: public by law, so there may be no caller.

use egov_database::PageBinding;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::procedure_service_server::ProcedureService;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, decode, encode, status};
use crate::domain::listing::ProcedureFilter;

/// Page tokens of public lists belong to everybody.
const ANYBODY: &str = "anybody";
const LIST: &str = "egov.onestop.v1.ProcedureService/ListProcedures";
const SEARCH: &str = "egov.onestop.v1.ProcedureService/SearchProcedures";

#[tonic::async_trait]
impl ProcedureService for Api {
    async fn get_procedure(
        &self,
        request: Request<proto::GetProcedureRequest>,
    ) -> Result<Response<proto::GetProcedureResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let on = decode::day(message.on, "on")?;
        let found = self
            .one_stop
            .get_procedure(&message.procedure_code, on)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetProcedureResponse {
            procedure: Some(encode::procedure(&found)),
        }))
    }

    async fn list_procedures(
        &self,
        request: Request<proto::ListProceduresRequest>,
    ) -> Result<Response<proto::ListProceduresResponse>, Status> {
        let mut message = accept(&self.contract, request)?.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::new(ANYBODY, LIST, &message))?;
        let given = |text: String| (!text.is_empty()).then_some(text);
        let filter = ProcedureFilter {
            sector_code: given(message.sector_code),
            level: given(message.level),
            ..ProcedureFilter::default()
        };
        let (rows, next_page_token) = self.one_stop.list_procedures(filter, page).await.map_err(status)?;
        let procedures = rows.iter().map(encode::procedure).collect();
        Ok(Response::new(proto::ListProceduresResponse {
            procedures,
            next_page_token,
        }))
    }

    async fn search_procedures(
        &self,
        request: Request<proto::SearchProceduresRequest>,
    ) -> Result<Response<proto::SearchProceduresResponse>, Status> {
        let mut message = accept(&self.contract, request)?.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::new(ANYBODY, SEARCH, &message))?;
        let filter = ProcedureFilter::searching(&message.query);
        let (rows, next_page_token) = self.one_stop.list_procedures(filter, page).await.map_err(status)?;
        let procedures = rows.iter().map(encode::procedure).collect();
        Ok(Response::new(proto::SearchProceduresResponse {
            procedures,
            next_page_token,
        }))
    }
}
