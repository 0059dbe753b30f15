//! WorkService.

use egov_clock::Clock as _;
use egov_database::page_of;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::work_service_server::WorkService;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, decode, encode, encode_work, status};
use crate::domain::work::mark::{Marked, NewMark};
use crate::operations::work::{Completion, HandOver, NewComment, SendBack, TaskTarget};

const INBOX: &str = "egov.onestop.v1.WorkService/ListInbox";
const COMMENTS: &str = "egov.onestop.v1.WorkService/ListComments";
const OWN_HISTORY: &str = "egov.onestop.v1.WorkService/ListOwnHistory";

/// The target of an act on a task.
macro_rules! target {
    ($message:expr) => {
        TaskTarget {
            request_id: decode::id(&$message.request_id, "request_id")?,
            body: $message,
            task_id: decode::id(&$message.task_id, "task_id")?,
            etag: &$message.etag,
        }
    };
}

/// A handler of an act on one task whose answer is the task.
macro_rules! task_act {
    ($self:ident, $request:ident, $operation:ident, $response:ident $(, $field:ident)?) => {{
        let request = accept(&$self.contract, $request)?;
        let message = &request.message;
        let target = target!(message);
        let answer = $self
            .one_stop
            .$operation(
                request.caller()?,
                target,
                $(decode::id(&message.$field, stringify!($field))?,)?
                |view| proto::$response {
                    task: Some(encode_work::task(view)),
                },
            )
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }};
}

/// Marks, of which the contract has checked that each is on something.
fn new_marks(marks: &[proto::NewMark]) -> Vec<NewMark> {
    use proto::new_mark::Target;
    marks
        .iter()
        .filter_map(|mark| {
            let on = match mark.target.as_ref()? {
                Target::Field(path) => Marked::Field(path.clone()),
                Target::ComponentCode(code) => Marked::Component(code.clone()),
            };
            Some(NewMark {
                on,
                text: mark.text.trim().to_owned(),
            })
        })
        .collect()
}

#[tonic::async_trait]
impl WorkService for Api {
    async fn list_inbox(
        &self,
        request: Request<proto::ListInboxRequest>,
    ) -> Result<Response<proto::ListInboxResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let filter = &request.message;
        let view = decode::inbox_view(filter)?;
        let page = page_of!(self.one_stop.pages, caller, INBOX, filter)?;
        let (rows, next_page_token) = self.one_stop.list_inbox(caller, view, page).await.map_err(status)?;
        let items = rows.into_iter().map(encode_work::inbox_item).collect();
        Ok(Response::new(proto::ListInboxResponse { items, next_page_token }))
    }

    async fn get_task(
        &self,
        request: Request<proto::GetTaskRequest>,
    ) -> Result<Response<proto::GetTaskResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let task_id = decode::id(&request.message.task_id, "task_id")?;
        let details = self
            .one_stop
            .get_task(request.caller()?, task_id)
            .await
            .map_err(status)?;
        Ok(Response::new(encode_work::details(details)))
    }

    async fn claim_task(
        &self,
        request: Request<proto::ClaimTaskRequest>,
    ) -> Result<Response<proto::ClaimTaskResponse>, Status> {
        task_act!(self, request, claim_task, ClaimTaskResponse)
    }

    async fn release_task(
        &self,
        request: Request<proto::ReleaseTaskRequest>,
    ) -> Result<Response<proto::ReleaseTaskResponse>, Status> {
        task_act!(self, request, release_task, ReleaseTaskResponse)
    }

    async fn assign_task(
        &self,
        request: Request<proto::AssignTaskRequest>,
    ) -> Result<Response<proto::AssignTaskResponse>, Status> {
        task_act!(self, request, assign_task, AssignTaskResponse, assignee_id)
    }

    async fn reassign_task(
        &self,
        request: Request<proto::ReassignTaskRequest>,
    ) -> Result<Response<proto::ReassignTaskResponse>, Status> {
        task_act!(self, request, reassign_task, ReassignTaskResponse, assignee_id)
    }

    async fn delegate_task(
        &self,
        request: Request<proto::DelegateTaskRequest>,
    ) -> Result<Response<proto::DelegateTaskResponse>, Status> {
        task_act!(self, request, delegate_task, DelegateTaskResponse, delegate_id)
    }

    async fn hand_over_tasks(
        &self,
        request: Request<proto::HandOverTasksRequest>,
    ) -> Result<Response<proto::HandOverTasksResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let to = (!message.to_account_id.is_empty())
            .then(|| decode::id(&message.to_account_id, "to_account_id"))
            .transpose()?;
        let wanted = HandOver {
            from: decode::id(&message.from_account_id, "from_account_id")?,
            to,
            unit_id: message.unit_id,
            limit: i64::from(message.max_tasks),
        };
        let request_id = decode::id(&message.request_id, "request_id")?;
        let answer = self
            .one_stop
            .hand_over_tasks(request.caller()?, request_id, message, wanted, |moved, more| {
                proto::HandOverTasksResponse { moved, more }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn complete_task(
        &self,
        request: Request<proto::CompleteTaskRequest>,
    ) -> Result<Response<proto::CompleteTaskResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let completion = Completion {
            file_ids: decode::ids(&message.file_ids, "file_ids")?,
            resolved_marks: decode::ids(&message.resolved_mark_ids, "resolved_mark_ids")?,
        };
        let target = target!(message);
        let answer = self
            .one_stop
            .complete_task(request.caller()?, target, completion, |task, case, next| {
                proto::CompleteTaskResponse {
                    task: Some(encode_work::task(task)),
                    case: Some(encode::case(case)),
                    next: next.map(encode_work::task),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn send_back_task(
        &self,
        request: Request<proto::SendBackTaskRequest>,
    ) -> Result<Response<proto::SendBackTaskResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let wanted = SendBack {
            to_step: (!message.to_step.is_empty()).then(|| message.to_step.clone()),
            marks: new_marks(&message.marks),
        };
        if wanted.marks.iter().any(|mark| mark.text.is_empty()) {
            return Err(decode::blank("marks.text").into());
        }
        let target = target!(message);
        let answer = self
            .one_stop
            .send_back_task(request.caller()?, target, wanted, |task, case, next, marks| {
                proto::SendBackTaskResponse {
                    task: Some(encode_work::task(task)),
                    case: Some(encode::case(case)),
                    next: next.map(encode_work::task),
                    marks: marks.iter().map(encode_work::mark).collect(),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn ask_opinion(
        &self,
        request: Request<proto::AskOpinionRequest>,
    ) -> Result<Response<proto::AskOpinionResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        if message.question.trim().is_empty() {
            return Err(decode::blank("question").into());
        }
        let target = target!(message);
        let answer = self
            .one_stop
            .ask_opinion(request.caller()?, target, |opinion| proto::AskOpinionResponse {
                opinion: Some(encode_work::task(opinion)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn give_opinion(
        &self,
        request: Request<proto::GiveOpinionRequest>,
    ) -> Result<Response<proto::GiveOpinionResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        if message.opinion.trim().is_empty() {
            return Err(decode::blank("opinion").into());
        }
        let target = target!(message);
        let answer = self
            .one_stop
            .give_opinion(request.caller()?, target, |task| proto::GiveOpinionResponse {
                task: Some(encode_work::task(task)),
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn add_comment(
        &self,
        request: Request<proto::AddCommentRequest>,
    ) -> Result<Response<proto::AddCommentResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let text = message.text.trim().to_owned();
        if text.is_empty() {
            return Err(decode::blank("text").into());
        }
        let new = NewComment {
            case_id: decode::id(&message.case_id, "case_id")?,
            task_id: (!message.task_id.is_empty())
                .then(|| decode::id(&message.task_id, "task_id"))
                .transpose()?,
            text,
        };
        let request_id = decode::id(&message.request_id, "request_id")?;
        let answer = self
            .one_stop
            .add_comment(request.caller()?, request_id, message, new, |comment| {
                proto::AddCommentResponse {
                    comment: Some(encode_work::comment(comment)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_comments(
        &self,
        request: Request<proto::ListCommentsRequest>,
    ) -> Result<Response<proto::ListCommentsResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let filter = &request.message;
        let page = page_of!(self.one_stop.pages, caller, COMMENTS, filter)?;
        let case_id = decode::id(&filter.case_id, "case_id")?;
        let (comments, next_page_token) = self
            .one_stop
            .list_comments(caller, case_id, page)
            .await
            .map_err(status)?;
        let comments = comments.iter().map(encode_work::comment).collect();
        Ok(Response::new(proto::ListCommentsResponse {
            comments,
            next_page_token,
        }))
    }

    async fn list_own_history(
        &self,
        request: Request<proto::ListOwnHistoryRequest>,
    ) -> Result<Response<proto::ListOwnHistoryResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let caller = request.caller()?;
        let filter = &request.message;
        let page = page_of!(self.one_stop.pages, caller, OWN_HISTORY, filter)?;
        let case_id = decode::id(&filter.case_id, "case_id")?;
        let (entries, next_page_token) = self
            .one_stop
            .list_own_history(caller, case_id, page)
            .await
            .map_err(status)?;
        let law = self.one_stop.law.get();
        let names = law.transitions_on(self.one_stop.clock.today());
        let entries = entries
            .into_iter()
            .map(|entry| encode_work::own_entry(entry, names))
            .collect();
        Ok(Response::new(proto::ListOwnHistoryResponse {
            entries,
            next_page_token,
        }))
    }
}
