//! PendingDecisionService.

use egov_clock::Clock as _;
use egov_database::page_of;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::pending_decision_service_server::PendingDecisionService;
use egov_proto::egov::types::v1::LocalizedText;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::births::Reading;
use super::{Api, asked, entries, id, status};
use crate::domain::pending_decision::PendingDecision;
use crate::error::Error;
use crate::operations::{Settling, What};

const LIST: &str = "egov.civil_registry.v1.PendingDecisionService/ListPendingDecisions";

fn encode(pending: &PendingDecision) -> proto::PendingDecision {
    let decided = &pending.decided;
    proto::PendingDecision {
        decision_id: decided.decision_id.to_string(),
        case_id: decided.case_id.to_string(),
        case_code: decided.case_code.clone(),
        procedure_code: decided.procedure_code.clone(),
        unit_id: decided.unit_id,
        event: pending.event.code().into(),
        decision_date: Some(decided.decision_date.into()),
        number: decided.number.clone(),
        signer_name: decided.signer_name.clone(),
        signer_title: decided.signer_title.clone(),
        performer_name: decided.performer_name.clone(),
        state: pending.state.code().into(),
        findings: pending
            .findings
            .iter()
            .map(|found| proto::PendingFinding {
                code: found.code.clone(),
                field: found.field.clone(),
                text: Some(LocalizedText {
                    vi: found.vi.clone(),
                    en: found.en.clone(),
                }),
            })
            .collect(),
        entry_id: pending.entry_id.map(|id| id.to_string()).unwrap_or_default(),
        record_time: Some(egov_proto::timestamp(pending.record_time)),
    }
}

#[tonic::async_trait]
impl PendingDecisionService for Api {
    async fn list_pending_decisions(
        &self,
        request: Request<proto::ListPendingDecisionsRequest>,
    ) -> Result<Response<proto::ListPendingDecisionsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, message) = (request.caller()?, &request.message);
        let page = page_of!(self.registry.pages, caller, LIST, message)?;
        let unit_id = (message.unit_id != 0).then_some(message.unit_id);
        let (decisions, next_page_token) = self
            .registry
            .list_pending_decisions(caller, unit_id, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListPendingDecisionsResponse {
            decisions: decisions.iter().map(encode).collect(),
            next_page_token,
        }))
    }

    async fn settle_pending_decision(
        &self,
        request: Request<proto::SettlePendingDecisionRequest>,
    ) -> Result<Response<proto::SettlePendingDecisionResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let decision_id = id(&message.decision_id, "decision_id")?;
        let mut reading = Reading::new(&self.registry.law.ethnic_groups, self.registry.clock.today());
        let mut said = Vec::new();
        if message.birth.is_some() {
            let birth = reading.birth(message.birth.clone());
            said.extend(birth.map(|birth| What::Birth(Box::new(birth))));
        }
        if message.marriage.is_some() {
            let marriage = reading.marriage(message.marriage.as_ref());
            said.extend(marriage.map(|marriage| What::Marriage(Box::new(marriage))));
        }
        if message.death.is_some() {
            let death = reading.death(message.death.clone());
            said.extend(death.map(|death| What::Death(Box::new(death))));
        }
        if said.len() > 1 {
            reading.refuse(
                "decision_id",
                "chỉ nêu một nội dung vào sổ",
                "one thing is entered: say one of birth, marriage and death",
            );
        }
        if !reading.wrong.is_empty() {
            return Err(status(Error::Invalid(reading.wrong)));
        }
        let settling = Settling {
            what: said.pop(),
            decisions: message.decisions.iter().map(entries::decision).collect(),
            note: message.note.trim().to_owned(),
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.PendingDecisionService/SettlePendingDecision",
        )?;
        let entered = self
            .registry
            .settle_pending_decision(request.caller()?, asked, decision_id, settling, |entry| {
                proto::SettlePendingDecisionResponse {
                    entry: Some(entries::encode(entry)),
                }
            });
        let answer = Box::pin(entered).await.map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn return_pending_decision(
        &self,
        request: Request<proto::ReturnPendingDecisionRequest>,
    ) -> Result<Response<proto::ReturnPendingDecisionResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let decision_id = id(&message.decision_id, "decision_id")?;
        let mut reading = Reading::new(&self.registry.law.ethnic_groups, self.registry.clock.today());
        let reason = reading.named(&message.reason, "reason");
        if !reading.wrong.is_empty() {
            return Err(status(Error::Invalid(reading.wrong)));
        }
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.PendingDecisionService/ReturnPendingDecision",
        )?;
        let answer = self
            .registry
            .return_pending_decision(request.caller()?, asked, (decision_id, reason), |pending| {
                proto::ReturnPendingDecisionResponse {
                    decision: Some(encode(pending)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }
}
