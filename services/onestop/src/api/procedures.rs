//! ProcedureService: public by law, so there may be no caller.

use egov_database::PageBinding;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::procedure_service_server::ProcedureService;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, decode, encode, status};
use crate::domain::listing::{FactFilter, ProcedureFilter};
use crate::domain::pack::Profile;
use crate::operations::decide_fact::Ruling;

/// Page tokens of public lists belong to everybody.
const ANYBODY: &str = "anybody";
const LIST: &str = "egov.onestop.v1.ProcedureService/ListProcedures";
const SEARCH: &str = "egov.onestop.v1.ProcedureService/SearchProcedures";
const OPEN_FACTS: &str = "egov.onestop.v1.ProcedureService/ListOpenFacts";
const DECISIONS: &str = "egov.onestop.v1.ProcedureService/ListDecisions";

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
            procedure: Some(encode::whole_procedure(&found, self.one_stop.profile)),
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
        let filter = filter("", message.sector_code, message.level);
        let (rows, next_page_token) = self.one_stop.list_procedures(filter, page).await.map_err(status)?;
        let procedures = rows
            .iter()
            .map(|row| encode::procedure(row, self.one_stop.profile))
            .collect();
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
        let filter = filter(&message.query, message.sector_code, message.level);
        let (rows, next_page_token) = self.one_stop.search_procedures(filter, page).await.map_err(status)?;
        let profile = self.one_stop.profile;
        let procedures = rows
            .iter()
            .map(|row| encode::procedure(&row.versioned, profile))
            .collect();
        Ok(Response::new(proto::SearchProceduresResponse {
            procedures,
            next_page_token,
        }))
    }

    async fn list_open_facts(
        &self,
        request: Request<proto::ListOpenFactsRequest>,
    ) -> Result<Response<proto::ListOpenFactsResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let filter = FactFilter {
            procedures: filter(&message.query, message.sector_code.clone(), message.level.clone()),
            kind: decode::fact_kind(message.kind()),
            production: self.one_stop.profile == Profile::Production,
        };
        let count = std::mem::take(&mut message.count);
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, OPEN_FACTS, &request.message))?;
        let (rows, next_page_token, total) = self
            .one_stop
            .list_open_facts(caller, filter, count, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListOpenFactsResponse {
            open_facts: rows.into_iter().map(encode::open_fact).collect(),
            next_page_token,
            total,
        }))
    }

    async fn decide_fact(
        &self,
        request: Request<proto::DecideFactRequest>,
    ) -> Result<Response<proto::DecideFactResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let caller = request.caller()?;
        let request_id = decode::id(&message.request_id, "request_id")?;
        let effective_from = decode::day(message.effective_from, "effective_from")?.unwrap_or_default();
        let profile = self.one_stop.profile;
        let answer = self
            .one_stop
            .decide_fact(
                caller,
                request_id,
                message,
                |latest| {
                    if message.basis.trim().is_empty() {
                        return Err(decode::blank("basis"));
                    }
                    let value = message
                        .value
                        .as_ref()
                        .ok_or_else(|| egov_fault::Fault::internal("no value"))?;
                    Ok(Ruling {
                        procedure_code: message.procedure_code.clone(),
                        subject: decode::subject(value, &latest.procedure)?,
                        basis: message.basis.trim().to_owned(),
                        note: message.note.trim().to_owned(),
                        effective_from,
                    })
                },
                |versioned, decided| proto::DecideFactResponse {
                    procedure: Some(encode::whole_procedure(versioned, profile)),
                    decision: Some(encode::decision(decided)),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_decisions(
        &self,
        request: Request<proto::ListDecisionsRequest>,
    ) -> Result<Response<proto::ListDecisionsResponse>, Status> {
        let mut request = accept(&self.contract, request)?;
        let message = &mut request.message;
        let (size, token) = (message.page_size, std::mem::take(&mut message.page_token));
        message.page_size = 0;
        let (code, path) = (message.procedure_code.clone(), message.path.clone());
        let caller = request.caller()?;
        let page = self
            .one_stop
            .pages
            .page(size, &token, PageBinding::of(caller, DECISIONS, &request.message))?;
        let path = (!path.is_empty()).then_some(path.as_str());
        let (rows, next_page_token) = self
            .one_stop
            .list_decisions(caller, &code, path, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListDecisionsResponse {
            decisions: rows.iter().map(encode::decision).collect(),
            next_page_token,
        }))
    }
}

/// What a request narrows a list of procedures to.
fn filter(query: &str, sector_code: String, level: String) -> ProcedureFilter {
    let given = |text: String| (!text.is_empty()).then_some(text);
    ProcedureFilter {
        sector_code: given(sector_code),
        level: given(level),
        ..ProcedureFilter::searching(query)
    }
}
