//! ResultService.

use egov_database::page_of;
use egov_fault::Fault;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::result_service_server::ResultService;
use egov_proto::timestamp;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, decode, encode, status};
use crate::domain::results::{ListedVersion, ResultFile, Wording, Words};
use crate::operations::act::Target;

const LIST: &str = "egov.onestop.v1.ResultService/ListResults";

/// Words that must say something.
fn said(text: &str, field: &str) -> Result<String, Fault> {
    let text = text.trim();
    if text.is_empty() {
        return Err(decode::blank(field));
    }
    Ok(text.to_owned())
}

#[tonic::async_trait]
impl ResultService for Api {
    async fn correct_result(
        &self,
        request: Request<proto::CorrectResultRequest>,
    ) -> Result<Response<proto::CorrectResultResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let file_id = decode::given_id(&message.file_id, "file_id")?;
        let wording = Wording {
            number: message.number.trim().to_owned(),
            file: file_id.map(ResultFile::named),
            metadata: Some(decode::metadata(
                message.metadata.clone().unwrap_or_default(),
                "metadata",
            )?),
        };
        let words = Words {
            reason: said(&message.reason, "reason")?,
            legal_basis: said(&message.legal_basis, "legal_basis")?,
            decision_number: String::new(),
        };
        let answer = self
            .one_stop
            .correct_result(request.caller()?, target, (wording, words), |case| {
                proto::CorrectResultResponse {
                    case: Some(encode::case(case)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn revoke_result(
        &self,
        request: Request<proto::RevokeResultRequest>,
    ) -> Result<Response<proto::RevokeResultResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let words = Words {
            reason: said(&message.reason, "reason")?,
            legal_basis: said(&message.legal_basis, "legal_basis")?,
            decision_number: said(&message.decision_number, "decision_number")?,
        };
        let answer = self
            .one_stop
            .revoke_result(request.caller()?, target, words, |case| proto::RevokeResultResponse {
                case: Some(encode::case(case)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_results(
        &self,
        request: Request<proto::ListResultsRequest>,
    ) -> Result<Response<proto::ListResultsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let filter = &request.message;
        let page = page_of!(self.one_stop.pages, caller, LIST, filter)?;
        let case_id = decode::id(&filter.case_id, "case_id")?;
        let (versions, next_page_token, etag) = self
            .one_stop
            .list_results(caller, case_id, page)
            .await
            .map_err(status)?;
        let open = caller.principal.citizen().is_none();
        Ok(Response::new(proto::ListResultsResponse {
            versions: versions.into_iter().map(|one| version(one, open)).collect(),
            next_page_token,
            etag,
        }))
    }
}

/// A version as it is listed; `open` shows which official acted.
fn version(listed: ListedVersion, open: bool) -> proto::ResultVersion {
    let bare = proto::ResultVersion {
        result_number: listed.result_number,
        version: listed.version,
        change: proto::ResultChange::Issued.into(),
        current: listed.is_current,
        result_code: listed.result_code,
        number: listed.number,
        file_id: listed.file_id.map(|id| id.to_string()).unwrap_or_default(),
        ..proto::ResultVersion::default()
    };
    let Some(recorded) = listed.recorded else {
        return bare;
    };
    proto::ResultVersion {
        change: recorded.change.number(),
        metadata: recorded.wording.metadata.as_ref().map(encode::metadata),
        document: Some(encode::document(&recorded)),
        reason: recorded.words.reason,
        legal_basis: recorded.words.legal_basis,
        decision_number: recorded.words.decision_number,
        actor_id: if open {
            recorded.actor_id.to_string()
        } else {
            String::new()
        },
        record_time: Some(timestamp(recorded.time)),
        case_version: recorded.case_version,
        ..bare
    }
}
