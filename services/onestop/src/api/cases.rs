//! CaseService.

use egov_auth::Caller;
use egov_clock::Clock as _;
use egov_database::{PageBinding, page_of};
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::case_service_server::CaseService;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, case_filter, decode, encode, status};
use crate::domain::case::Case;
use crate::operations::act::Target;
use crate::operations::submit_case::Submission;
use crate::operations::work::for_applicant;

/// An optional text: empty is absent.
fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The case as the caller may read it: its applicant does without the inside of the office.
fn shown(caller: &Caller, case: &Case) -> proto::Case {
    if caller.principal.citizen().is_some() {
        encode::own_case(case)
    } else {
        encode::case(case)
    }
}

const LIST: &str = "egov.onestop.v1.CaseService/ListCases";
const SEARCH: &str = "egov.onestop.v1.CaseService/SearchCases";
const HISTORY: &str = "egov.onestop.v1.CaseService/ListCaseHistory";

#[tonic::async_trait]
impl CaseService for Api {
    async fn submit_case(
        &self,
        request: Request<proto::SubmitCaseRequest>,
    ) -> Result<Response<proto::SubmitCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let owner = message.owner.clone().unwrap_or_default();
        let today = self.one_stop.clock.today();
        let submission = Submission {
            procedure_code: message.procedure_code.clone(),
            competent_unit_code: message.competent_unit_code.clone(),
            receiving_unit_code: given(&message.receiving_unit_code),
            support_unit_code: given(&message.support_unit_code),
            channel: decode::channel(message.channel)?,
            owner: decode::party(owner, "owner", today)?,
            submitter: message
                .submitter
                .clone()
                .map(|party| decode::party(party, "submitter", today))
                .transpose()?,
            components: decode::components(message.components.clone())?,
            conditions: message.conditions.clone(),
            subject: message.subject.trim().to_owned(),
        };
        let request_id = decode::id(&message.request_id, "request_id")?;
        let answer = self
            .one_stop
            .submit_case(request.caller()?, request_id, message, submission, |case, secret| {
                proto::SubmitCaseResponse {
                    case: Some(encode::case(case)),
                    lookup_secret: secret.to_owned(),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn accept_case(
        &self,
        request: Request<proto::AcceptCaseRequest>,
    ) -> Result<Response<proto::AcceptCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let name = |unit| self.one_stop.unit_name(unit);
        let places = |case: &Case| encode::Places {
            responsible: name(case.responsible_unit_id),
            receiving: name(case.receiving_unit_id),
            support: case.support_unit_id.map(name).unwrap_or_default(),
        };
        let answer = self
            .one_stop
            .accept_case(request.caller()?, target, |case, secret| proto::AcceptCaseResponse {
                case: Some(encode::case(case)),
                receipt: Some(encode::receipt(case, secret, places(case))),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn reject_case(
        &self,
        request: Request<proto::RejectCaseRequest>,
    ) -> Result<Response<proto::RejectCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let answer = self
            .one_stop
            .reject_case(request.caller()?, target, |case| proto::RejectCaseResponse {
                case: Some(encode::case(case)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn request_supplement(
        &self,
        request: Request<proto::RequestSupplementRequest>,
    ) -> Result<Response<proto::RequestSupplementResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let answer = self
            .one_stop
            .request_supplement(
                request.caller()?,
                target,
                decode::supplement_items(message.items.clone()),
                |case| proto::RequestSupplementResponse {
                    case: Some(encode::case(case)),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn supply_components(
        &self,
        request: Request<proto::SupplyComponentsRequest>,
    ) -> Result<Response<proto::SupplyComponentsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let answer = self
            .one_stop
            .supply_components(
                caller,
                target,
                decode::components(message.components.clone())?,
                |case| proto::SupplyComponentsResponse {
                    case: Some(shown(caller, case)),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn assign_case(
        &self,
        request: Request<proto::AssignCaseRequest>,
    ) -> Result<Response<proto::AssignCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let answer = self
            .one_stop
            .assign_case(
                request.caller()?,
                target,
                decode::id(&message.assignee_id, "assignee_id")?,
                |case| proto::AssignCaseResponse {
                    case: Some(encode::case(case)),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn record_step(
        &self,
        request: Request<proto::RecordStepRequest>,
    ) -> Result<Response<proto::RecordStepResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let answer = self
            .one_stop
            .record_step(
                request.caller()?,
                target,
                decode::ids(&message.file_ids, "file_ids")?,
                |case| proto::RecordStepResponse {
                    case: Some(encode::case(case)),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn approve_case(
        &self,
        request: Request<proto::ApproveCaseRequest>,
    ) -> Result<Response<proto::ApproveCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let answer = self
            .one_stop
            .approve_case(
                request.caller()?,
                target,
                decode::results(message.results.clone())?,
                |case| proto::ApproveCaseResponse {
                    case: Some(encode::case(case)),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn stop_case(
        &self,
        request: Request<proto::StopCaseRequest>,
    ) -> Result<Response<proto::StopCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let answer = self
            .one_stop
            .stop_case(request.caller()?, target, |case| proto::StopCaseResponse {
                case: Some(encode::case(case)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn withdraw_case(
        &self,
        request: Request<proto::WithdrawCaseRequest>,
    ) -> Result<Response<proto::WithdrawCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let answer = self
            .one_stop
            .withdraw_case(caller, target, |case| proto::WithdrawCaseResponse {
                case: Some(shown(caller, case)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn return_result(
        &self,
        request: Request<proto::ReturnResultRequest>,
    ) -> Result<Response<proto::ReturnResultResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: Some(&message.etag),
        };
        let answer = self
            .one_stop
            .return_result(request.caller()?, target, decode::channel(message.channel)?, |case| {
                proto::ReturnResultResponse {
                    case: Some(encode::case(case)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn rate_case(
        &self,
        request: Request<proto::RateCaseRequest>,
    ) -> Result<Response<proto::RateCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let message = &request.message;
        let target = Target {
            request_id: decode::id(&message.request_id, "request_id")?,
            body: message,
            case_id: decode::id(&message.case_id, "case_id")?,
            etag: None,
        };
        let score = i16::try_from(message.score).unwrap_or_default();
        let answer = self
            .one_stop
            .rate_case(caller, target, score, |case| proto::RateCaseResponse {
                case: Some(shown(caller, case)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn get_case(
        &self,
        request: Request<proto::GetCaseRequest>,
    ) -> Result<Response<proto::GetCaseResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let case_id = decode::id(&request.message.case_id, "case_id")?;
        let caller = request.caller()?;
        // The inside of the office is nothing for the applicant.
        let with_particulars = request.message.with_particulars && caller.principal.citizen().is_none();
        let (case, particulars) = self
            .one_stop
            .read_case(caller, case_id, with_particulars)
            .await
            .map_err(status)?;
        let rest = particulars.as_ref().and_then(|known| known.history_goes_on_after);
        let mut particulars = particulars.map(encode::particulars);
        if let Some((known, version)) = particulars.as_mut().zip(rest) {
            let filter = proto::ListCaseHistoryRequest {
                case_id: request.message.case_id.clone(),
                ..Default::default()
            };
            let binding = PageBinding::of(caller, HISTORY, &filter);
            known.history_page_token = self.one_stop.pages.seal(&version, &binding)?;
        }
        Ok(Response::new(proto::GetCaseResponse {
            case: Some(shown(caller, &case)),
            particulars,
        }))
    }

    async fn list_cases(
        &self,
        request: Request<proto::ListCasesRequest>,
    ) -> Result<Response<proto::ListCasesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let page = page_of!(self.one_stop.pages, caller, LIST, request.message)?;
        let filter = case_filter::of_list(request.message.clone())?;
        let (rows, next_page_token) = self.one_stop.list_cases(caller, filter, page).await.map_err(status)?;
        let cases = rows.into_iter().map(encode::summary).collect();
        Ok(Response::new(proto::ListCasesResponse { cases, next_page_token }))
    }

    async fn search_cases(
        &self,
        request: Request<proto::SearchCasesRequest>,
    ) -> Result<Response<proto::SearchCasesResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let filter = &request.message;
        let page = page_of!(self.one_stop.pages, caller, SEARCH, filter)?;
        let (rows, next_page_token) = self
            .one_stop
            .search_cases(caller, &filter.query, case_filter::of_search(filter)?, page)
            .await
            .map_err(status)?;
        let cases = rows.into_iter().map(encode::summary).collect();
        Ok(Response::new(proto::SearchCasesResponse { cases, next_page_token }))
    }

    async fn list_case_history(
        &self,
        request: Request<proto::ListCaseHistoryRequest>,
    ) -> Result<Response<proto::ListCaseHistoryResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let filter = &request.message;
        let page = page_of!(self.one_stop.pages, caller, HISTORY, filter)?;
        let case_id = decode::id(&filter.case_id, "case_id")?;
        let (entries, next_page_token) = self
            .one_stop
            .list_case_history(caller, case_id, page)
            .await
            .map_err(status)?;
        let applicant = caller.principal.citizen().is_some();
        let entries = entries
            .into_iter()
            .map(|entry| if applicant { for_applicant(entry) } else { entry })
            .map(encode::history_entry)
            .collect();
        Ok(Response::new(proto::ListCaseHistoryResponse {
            entries,
            next_page_token,
        }))
    }

    async fn track_case(
        &self,
        request: Request<proto::TrackCaseRequest>,
    ) -> Result<Response<proto::TrackCaseResponse>, Status> {
        let message = accept(&self.contract, request)?.message;
        let (case, entries) = self
            .one_stop
            .track_case(&message.case_code, &message.lookup_secret)
            .await
            .map_err(status)?;
        let unit = self.one_stop.unit_name(case.responsible_unit_id);
        let law = self.one_stop.law.get();
        Ok(Response::new(encode::tracked(
            &case,
            &entries,
            unit,
            law.transitions_on(self.one_stop.clock.today()),
        )))
    }
}
