//! DuplicateService.

use egov_database::page_of;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::duplicate_service_server::DuplicateService;
use egov_proto::egov::types::v1::LocalizedText;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, asked, id, status, wrong};
use crate::domain::duplicate::KeptPart;
use crate::domain::matching::verdict::Verdict;
use crate::error::Error;
use crate::operations::{ShownDuplicate, WantedRuling};

fn part(part: &KeptPart) -> proto::DuplicatePart {
    proto::DuplicatePart {
        code: part.code.clone(),
        points: part.points,
        text: Some(LocalizedText {
            vi: part.vi.clone(),
            en: part.en.clone(),
        }),
    }
}

fn encode(shown: &ShownDuplicate) -> proto::Duplicate {
    let ShownDuplicate { pair, last } = shown;
    let ruling = last.as_ref().map(|kept| &kept.ruling);
    proto::Duplicate {
        duplicate_id: pair.duplicate_id.to_string(),
        unit_id: pair.later.unit_id,
        entry_id: pair.later.entry_id.to_string(),
        person_id: pair.later.person_id.to_string(),
        other_unit_id: pair.earlier.unit_id,
        other_entry_id: pair.earlier.entry_id.to_string(),
        other_person_id: pair.earlier.person_id.to_string(),
        points: pair.points,
        parts: pair.parts.iter().map(part).collect(),
        record_time: Some(egov_proto::timestamp(pair.record_time)),
        verdict: ruling.map_or(0, |ruling| ruling.verdict.code().into()),
        reason: ruling.map(|ruling| ruling.reason.clone()).unwrap_or_default(),
        decide_time: ruling.map(|ruling| egov_proto::timestamp(ruling.time)),
    }
}

#[tonic::async_trait]
impl DuplicateService for Api {
    async fn list_duplicates(
        &self,
        request: Request<proto::ListDuplicatesRequest>,
    ) -> Result<Response<proto::ListDuplicatesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, message) = (request.caller()?, &request.message);
        let page = page_of!(
            self.registry.pages,
            caller,
            "egov.civil_registry.v1.DuplicateService/ListDuplicates",
            message
        )?;
        let (pairs, next_page_token) = self
            .registry
            .list_duplicates(caller, message.with_decided, page)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ListDuplicatesResponse {
            duplicates: pairs.iter().map(encode).collect(),
            next_page_token,
        }))
    }

    async fn decide_duplicate(
        &self,
        request: Request<proto::DecideDuplicateRequest>,
    ) -> Result<Response<proto::DecideDuplicateResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        // The contract knows the same verdicts.
        let verdict = i16::try_from(message.verdict).ok().and_then(Verdict::of_code);
        let Some(verdict) = verdict else {
            let unknown = wrong("verdict", "không có quyết định này", "is no such decision");
            return Err(status(Error::Invalid(vec![unknown])));
        };
        let wanted = WantedRuling {
            duplicate_id: id(&message.duplicate_id, "duplicate_id")?,
            verdict,
            reason: message.reason.clone(),
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.DuplicateService/DecideDuplicate",
        )?;
        let answer = self
            .registry
            .decide_duplicate(request.caller()?, asked, wanted, |shown| {
                proto::DecideDuplicateResponse {
                    duplicate: Some(encode(shown)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }
}
