//! PaperService.

use egov_database::page_of;
use egov_proto::egov::civil_registry::v1 as proto;
use egov_proto::egov::civil_registry::v1::paper_service_server::PaperService;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, asked, id, status, wrong};
use crate::domain::paper::{KeptPaper, PaperKind};
use crate::error::Error;
use crate::operations::{PaperFilter, WantedPaper};

fn encode(kept: &KeptPaper) -> proto::IssuedPaper {
    let paper = &kept.paper;
    proto::IssuedPaper {
        paper_id: paper.paper_id.to_string(),
        entry_id: paper.entry_id.to_string(),
        unit_id: paper.unit_id,
        kind: paper.kind.code().into(),
        is_copy: paper.is_copy,
        copies: paper.copies,
        title: paper.title.clone(),
        printed_number: paper.printed_number.clone(),
        recipient_name: paper.recipient_name.clone(),
        recipient_paper: paper.recipient_paper.clone(),
        signer_name: paper.signer_name.clone(),
        signer_title: paper.signer_title.clone(),
        signer_authorisation: paper.signer_authorisation.clone(),
        issue_date: Some(paper.issue_date.into()),
        issuer_id: paper.actor_id.to_string(),
        issue_time: Some(egov_proto::timestamp(paper.record_time)),
        state: kept.state().code().into(),
        revocation: kept.revocation.as_ref().map(|revocation| proto::PaperRevocation {
            reason: revocation.reason.clone(),
            basis_number: revocation.basis_number.clone(),
            revoke_date: Some(revocation.revoke_date.into()),
        }),
    }
}

#[tonic::async_trait]
impl PaperService for Api {
    async fn issue_paper(
        &self,
        request: Request<proto::IssuePaperRequest>,
    ) -> Result<Response<proto::IssuePaperResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let entry_id = id(&message.entry_id, "entry_id")?;
        let recipient_name = egov_codes::normal_name(&message.recipient_name);
        let signer_name = egov_codes::normal_name(&message.signer_name);
        let signer_title = egov_codes::normal_name(&message.signer_title);
        let mut flaws: Vec<_> = [
            ("recipient_name", &recipient_name),
            ("signer_name", &signer_name),
            ("signer_title", &signer_title),
        ]
        .into_iter()
        .filter(|(_, text)| text.is_empty())
        .map(|(field, _)| wrong(field, "không được để trống", "must not be blank"))
        .collect();
        // The contract knows the same kinds.
        let kind = i16::try_from(message.kind).ok().and_then(PaperKind::of_code);
        if kind.is_none() {
            flaws.push(wrong("kind", "không phải là loại giấy tờ", "is no kind of paper"));
        }
        let (Some(kind), true) = (kind, flaws.is_empty()) else {
            return Err(status(Error::Invalid(flaws)));
        };
        let wanted = WantedPaper {
            entry_id,
            kind,
            is_copy: message.is_copy,
            copies: message.copies,
            recipient_name,
            recipient_paper: message.recipient_paper.trim().to_owned(),
            signer_name,
            signer_title,
            signer_authorisation: egov_codes::normal_name(&message.signer_authorisation),
        };
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.PaperService/IssuePaper",
        )?;
        let answer = self
            .registry
            .issue_paper(request.caller()?, asked, wanted, |kept| proto::IssuePaperResponse {
                paper: Some(encode(kept)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn get_paper(
        &self,
        request: Request<proto::GetPaperRequest>,
    ) -> Result<Response<proto::GetPaperResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let paper_id = id(&request.message.paper_id, "paper_id")?;
        let printed = self
            .registry
            .get_paper(request.caller()?, paper_id)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetPaperResponse {
            paper: Some(encode(&printed.kept)),
            qr: printed.qr,
            file_name: format!("{paper_id}.pdf"),
            pdf: printed.pdf,
            check_code: printed.kept.paper.check_code,
        }))
    }

    async fn list_papers(
        &self,
        request: Request<proto::ListPapersRequest>,
    ) -> Result<Response<proto::ListPapersResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let (caller, message) = (request.caller()?, &request.message);
        let page = page_of!(
            self.registry.pages,
            caller,
            "egov.civil_registry.v1.PaperService/ListPapers",
            message
        )?;
        let entry_id = match message.entry_id.as_str() {
            "" => None,
            text => Some(id(text, "entry_id")?),
        };
        let wanted = PaperFilter {
            unit_id: (message.unit_id != 0).then_some(message.unit_id),
            entry_id,
        };
        let (papers, next_page_token) = self.registry.list_papers(caller, wanted, page).await.map_err(status)?;
        Ok(Response::new(proto::ListPapersResponse {
            papers: papers.iter().map(encode).collect(),
            next_page_token,
        }))
    }

    async fn revoke_paper(
        &self,
        request: Request<proto::RevokePaperRequest>,
    ) -> Result<Response<proto::RevokePaperResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let paper_id = id(&message.paper_id, "paper_id")?;
        let reason = message.reason.trim().to_owned();
        if reason.is_empty() {
            let blank = wrong("reason", "không được để trống", "must not be blank");
            return Err(status(Error::Invalid(vec![blank])));
        }
        let basis_number = message.basis_number.trim().to_owned();
        let asked = asked(
            &message.request_id,
            message,
            "egov.civil_registry.v1.PaperService/RevokePaper",
        )?;
        let answer = self
            .registry
            .revoke_paper(request.caller()?, asked, paper_id, (reason, basis_number), |kept| {
                proto::RevokePaperResponse {
                    paper: Some(encode(kept)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn verify_paper(
        &self,
        request: Request<proto::VerifyPaperRequest>,
    ) -> Result<Response<proto::VerifyPaperResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let paper_id = id(&message.paper_id, "paper_id")?;
        let (kept, unit_name) = self
            .registry
            .verify_paper(paper_id, &message.check_code)
            .await
            .map_err(status)?;
        let state = kept.state().code().into();
        let revoke_date = kept.revocation.map(|revocation| revocation.revoke_date.into());
        let paper = kept.paper;
        Ok(Response::new(proto::VerifyPaperResponse {
            paper_id: paper.paper_id.to_string(),
            title: paper.title,
            is_copy: paper.is_copy,
            copies: paper.copies,
            event: kept.event.code().into(),
            printed_number: paper.printed_number,
            unit_name,
            issue_date: Some(paper.issue_date.into()),
            state,
            revoke_date,
        }))
    }
}
