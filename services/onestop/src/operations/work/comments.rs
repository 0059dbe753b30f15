//! AddComment, ListComments (ghi chú nội bộ): of the office, never shown to the applicant.

use egov_auth::Caller;
use egov_database::{Event, Leaf, Page, UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::onestop::v1::{AddCommentRequest, AddCommentResponse};
use serde_json::json;
use uuid::Uuid;

use crate::domain::work::task::WorkRefused;
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::act::resource;
use crate::store::marks::{self, AfterComment, Comment};
use crate::store::{Visible, cases, tasks};

const WRITE: &str = "onestop.comments.write";
const READ: &str = "onestop.comments.read";
/// The kind of the events and the leaves of comments.
pub(crate) const KIND: &str = "case_comment";

/// What the leaf of a comment commits to.
pub(crate) fn canonical(comment: &Comment) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(&json!({
        "case_id": comment.case_id, "task_id": comment.task_id, "author_id": comment.author_id,
        "text": comment.text,
    }))
    .map_err(Fault::internal)
}

/// What is to be noted.
pub(crate) struct NewComment {
    pub(crate) case_id: Uuid,
    pub(crate) task_id: Option<Uuid>,
    pub(crate) text: String,
}

impl OneStop {
    /// Notes something on a case. A note changes nothing of the case; it is never changed itself.
    pub(crate) async fn add_comment(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &AddCommentRequest,
        new: NewComment,
        answer: impl FnOnce(&Comment) -> AddCommentResponse + Send,
    ) -> Result<AddCommentResponse, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.WorkService/AddComment",
            request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let case = cases::get(unit.conn(), new.case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                caller.require(WRITE, &resource(&case))?;
                if let Some(task_id) = new.task_id {
                    tasks::get(unit.conn(), task_id, &visible)
                        .await?
                        .filter(|task| task.case_id == case.case_id)
                        .ok_or(WorkRefused::TaskNotFound)?;
                }
                let comment = Comment {
                    comment_id: unit.new_id(),
                    case_id: case.case_id,
                    task_id: new.task_id,
                    author_id: caller.principal.subject,
                    text: new.text,
                    create_time: unit.now(),
                };
                marks::insert_comment(unit.conn(), &comment).await?;
                unit.publish(Event {
                    aggregate_kind: KIND,
                    aggregate_id: comment.comment_id,
                    version: 1,
                    kind: "comment_added",
                    payload: json!({ "case_id": case.case_id, "case_code": case.case_code }),
                });
                unit.leaf(Leaf {
                    kind: KIND,
                    resource: comment.comment_id,
                    version: 1,
                    canonical: &canonical(&comment)?,
                });
                Ok::<_, Error>(answer(&comment))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// One page of the notes on a case, oldest first. The read is recorded.
    pub(crate) async fn list_comments(
        &self,
        caller: &Caller,
        case_id: Uuid,
        page: Page<AfterComment>,
    ) -> Result<(Vec<Comment>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().copied(), page.fetch());
        let (case, rows) = self
            .database
            .read(&scope, async |connection| {
                let case = cases::get(&mut *connection, case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                caller.require(READ, &resource(&case))?;
                Ok::<_, Error>((case, marks::comments(connection, case_id, after, limit).await?))
            })
            .await?;
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;
        Ok(page.finish(rows, Comment::position)?)
    }
}
