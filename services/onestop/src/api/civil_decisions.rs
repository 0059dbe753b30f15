//! CivilDecisionService.

use egov_database::page_of;
use egov_fault::Fault;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::civil_decision_service_server::CivilDecisionService;
use egov_proto::timestamp;
use egov_runtime::accept;
use jiff::civil::Date;
use tonic::{Request, Response, Status};

use super::{Api, decode, status};
use crate::domain::civil_decision::{CivilDecision, Entered, Signing};
use crate::operations::act::Target;
use crate::operations::civil_decisions::{Answer, Answered};

const LIST: &str = "egov.onestop.v1.CivilDecisionService/ListCivilDecisions";

/// Words that must say something.
fn said(text: &str, field: &str) -> Result<String, Fault> {
    let text = egov_codes::normal_name(text);
    if text.is_empty() {
        return Err(decode::blank(field));
    }
    Ok(text)
}

fn encode(decision: &CivilDecision) -> proto::CivilDecision {
    let signing = &decision.signing;
    proto::CivilDecision {
        decision_id: decision.decision_id.to_string(),
        case_id: decision.case_id.to_string(),
        case_code: decision.case_code.clone(),
        procedure_code: decision.procedure_code.clone(),
        unit_id: decision.responsible_unit_id,
        decision_date: Some(decision.decision_date.into()),
        number: signing.number.clone(),
        signer_name: signing.signer_name.clone(),
        signer_title: signing.signer_title.clone(),
        signer_authorisation: signing.signer_authorisation.clone(),
        performer_name: signing.performer_name.clone(),
        state: decision.state.number().into(),
        record_time: Some(timestamp(decision.record_time)),
    }
}

#[tonic::async_trait]
impl CivilDecisionService for Api {
    async fn decide_civil_case(
        &self,
        request: Request<proto::DecideCivilCaseRequest>,
    ) -> Result<Response<proto::DecideCivilCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let signing = Signing {
            number: egov_codes::normal_name(&message.number),
            signer_name: said(&message.signer_name, "signer_name")?,
            signer_title: said(&message.signer_title, "signer_title")?,
            signer_authorisation: egov_codes::normal_name(&message.signer_authorisation),
            performer_name: said(&message.performer_name, "performer_name")?,
        };
        let answer = self
            .one_stop
            .decide_for_book(request.caller()?, target, signing, |decision, case| {
                proto::DecideCivilCaseResponse {
                    decision: Some(encode(decision)),
                    etag: case.etag(),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_civil_decisions(
        &self,
        request: Request<proto::ListCivilDecisionsRequest>,
    ) -> Result<Response<proto::ListCivilDecisionsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let page = page_of!(self.one_stop.pages, caller, LIST, request.message)?;
        let (decisions, next_page_token) = self.one_stop.list_civil_decisions(caller, page).await.map_err(status)?;
        Ok(Response::new(proto::ListCivilDecisionsResponse {
            decisions: decisions.iter().map(encode).collect(),
            next_page_token,
        }))
    }

    async fn record_civil_entry(
        &self,
        request: Request<proto::RecordCivilEntryRequest>,
    ) -> Result<Response<proto::RecordCivilEntryResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let asked = Answered {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            decision_id: decode::id(&message.decision_id, "decision_id")?,
        };
        let registration_date = message.registration_date.and_then(|date| Date::try_from(date).ok());
        let registration_date = registration_date.ok_or_else(|| decode::blank("registration_date"))?;
        let entered = Entered {
            entry_id: decode::id(&message.entry_id, "entry_id")?,
            printed_number: said(&message.printed_number, "printed_number")?,
            registration_date,
            file_id: decode::given_id(&message.file_id, "file_id")?,
        };
        let answer = self
            .one_stop
            .answer_civil_decision(request.caller()?, asked, Answer::Entered(entered), |decision| {
                proto::RecordCivilEntryResponse {
                    decision: Some(encode(decision)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn return_civil_decision(
        &self,
        request: Request<proto::ReturnCivilDecisionRequest>,
    ) -> Result<Response<proto::ReturnCivilDecisionResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let asked = Answered {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            decision_id: decode::id(&message.decision_id, "decision_id")?,
        };
        let reason = said(&message.reason, "reason")?;
        let answer = self
            .one_stop
            .answer_civil_decision(request.caller()?, asked, Answer::Returned(reason), |decision| {
                proto::ReturnCivilDecisionResponse {
                    decision: Some(encode(decision)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }
}
