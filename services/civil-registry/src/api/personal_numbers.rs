//! PersonalNumberService.

use egov_codes::PersonalNumber;
use egov_database::page_of;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::personal_number_service_server::PersonalNumberService;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, asked, id, status};
use crate::domain::personal_number::{NumberRequest, RequestState};
use crate::operations::RequestFilter;

fn encode(request: &NumberRequest) -> proto::PersonalNumberRequest {
    let number = request.number.as_ref();
    proto::PersonalNumberRequest {
        entry_id: request.entry_id.to_string(),
        person_id: request.person_id.to_string(),
        unit_id: request.unit_id,
        request_code: request.request_code.clone(),
        legal_basis: request.legal_basis.clone(),
        state: request.state.code().into(),
        problem: request.problem.clone(),
        personal_number: number.map(PersonalNumber::reveal).unwrap_or_default().to_owned(),
        assign_date: request.assign_date.map(Into::into),
        attempts: request.attempts,
        next_time: request.next_time.map(egov_proto::timestamp),
        record_time: Some(egov_proto::timestamp(request.record_time)),
    }
}

#[tonic::async_trait]
impl PersonalNumberService for Api {
    async fn list_personal_number_requests(
        &self,
        request: Request<proto::ListPersonalNumberRequestsRequest>,
    ) -> Result<Response<proto::ListPersonalNumberRequestsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, message) = (request.caller()?, &request.message);
        let page = page_of!(
            self.registry.pages,
            caller,
            "egov.civil_registry.v1.PersonalNumberService/ListPersonalNumberRequests",
            message
        )?;
        let entry_id = match message.entry_id.as_str() {
            "" => None,
            text => Some(id(text, "entry_id")?),
        };
        let wanted = RequestFilter {
            unit_id: (message.unit_id != 0).then_some(message.unit_id),
            entry_id,
            // The contract knows the same states.
            state: i16::try_from(message.state).ok().and_then(RequestState::of_code),
        };
        let (requests, next_page_token, is_connected) = self
            .registry
            .list_number_requests(caller, wanted, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListPersonalNumberRequestsResponse {
            requests: requests.iter().map(encode).collect(),
            next_page_token,
            is_connected,
        }))
    }

    async fn retry_personal_number_request(
        &self,
        request: Request<proto::RetryPersonalNumberRequestRequest>,
    ) -> Result<Response<proto::RetryPersonalNumberRequestResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let entry_id = id(&message.entry_id, "entry_id")?;
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.PersonalNumberService/RetryPersonalNumberRequest",
        )?;
        let answer = self
            .registry
            .retry_number_request(request.caller()?, asked, entry_id, |request| {
                proto::RetryPersonalNumberRequestResponse {
                    request: Some(encode(request)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }
}
