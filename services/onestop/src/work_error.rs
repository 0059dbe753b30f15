//! Why an act on a task is refused, in words: the part of the table of [`crate::error`] that is about work.

use egov_fault::{Code, Fault};
use egov_proto::egov::onestop::v1::ErrorReason;
use uuid::Uuid;

use crate::domain::work::task::WorkRefused;
use crate::error::words;

fn listed(ids: &[Uuid]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A refusal with its code, reason and words.
pub(crate) fn work_refused(refused: WorkRefused) -> Fault {
    use ErrorReason as R;
    match refused {
        WorkRefused::TaskNotFound => words(
            Code::NotFound,
            R::TaskNotFound,
            "không tìm thấy việc",
            "there is no such task",
        )
        .fault(),
        WorkRefused::Taken(holder) => words(
            Code::FailedPrecondition,
            R::TaskTaken,
            "việc đã có người nhận",
            "somebody else has the task",
        )
        .fault()
        .with("assignee_id", holder.to_string()),
        WorkRefused::NotHeld => words(
            Code::FailedPrecondition,
            R::TaskNotHeld,
            "người gọi không giữ việc này",
            "the caller does not have the task",
        )
        .fault(),
        WorkRefused::Closed => words(
            Code::FailedPrecondition,
            R::TaskClosed,
            "việc đã kết thúc",
            "the task has ended",
        )
        .fault(),
        WorkRefused::RoleMissing { role, step } => words(
            Code::PermissionDenied,
            R::RoleMissing,
            format!("bước {step} do vai trò {role} thực hiện; người gọi không có vai trò này ở đơn vị"),
            format!("step {step} is done by the role {role}, which the caller does not hold over the unit"),
        )
        .fault()
        .with("role", role)
        .with("step", step),
        WorkRefused::NeedsAct(act) => words(
            Code::FailedPrecondition,
            R::TaskNeedsAct,
            format!("bước này kết thúc bằng thao tác {act} trên hồ sơ"),
            format!("the step ends by {act} on the case"),
        )
        .fault()
        .with("act", act),
        WorkRefused::SendBackNowhere(earlier) => {
            let earlier = earlier.join(", ");
            words(
                Code::FailedPrecondition,
                R::SendBackNowhere,
                format!("không trả lại được về bước đó; các bước trước: {earlier}"),
                format!("it cannot be sent back there; earlier steps: {earlier}"),
            )
            .fault()
            .with("earlier_steps", earlier)
        }
        WorkRefused::MarksOpen(marks) => words(
            Code::FailedPrecondition,
            R::MarksOpen,
            format!("còn {} chỗ được đánh dấu chưa xử lý", marks.len()),
            format!("{} marks have not been dealt with", marks.len()),
        )
        .fault()
        .with("marks", listed(&marks)),
        WorkRefused::MarksUnknown(marks) => words(
            Code::FailedPrecondition,
            R::MarkUnknown,
            "có dấu không thuộc hồ sơ hoặc đã được xử lý",
            "some marks are no open marks of the case",
        )
        .fault()
        .with("marks", listed(&marks)),
        WorkRefused::OpinionAwaited(count) => words(
            Code::FailedPrecondition,
            R::OpinionAwaited,
            format!("còn {count} ý kiến chưa có; có thể tiếp tục không chờ"),
            format!("{count} opinions have not come; it is possible to go on without them"),
        )
        .fault()
        .with("opinions", count.to_string()),
        WorkRefused::OtherKind => words(
            Code::FailedPrecondition,
            R::TaskOtherKind,
            "thao tác này không dành cho loại việc này",
            "the act is not for this kind of task",
        )
        .fault(),
        WorkRefused::NotAssigned => words(
            Code::FailedPrecondition,
            R::TaskNotAssigned,
            "chưa có ai nhận việc",
            "nobody has the task",
        )
        .fault(),
        WorkRefused::SamePerson => words(
            Code::FailedPrecondition,
            R::TaskSamePerson,
            "người này đang giữ việc",
            "this person has the task already",
        )
        .fault(),
        WorkRefused::OutcomeUnknown {
            step,
            outcome,
            outcomes,
        } => {
            let listed = outcomes.join("; ");
            let (vi, en) = if outcomes.is_empty() {
                (
                    format!("bước {step} không có kết luận nào"),
                    format!("step {step} ends without an outcome"),
                )
            } else if outcome.is_empty() {
                (
                    format!("phải nêu kết luận của bước {step}: {listed}"),
                    format!("step {step} ends with one of its outcomes: {listed}"),
                )
            } else {
                (
                    format!("bước {step} không có kết luận này; các kết luận: {listed}"),
                    format!("step {step} has no such outcome; its outcomes: {listed}"),
                )
            };
            words(Code::InvalidArgument, R::StepOutcomeUnknown, vi, en)
                .fault()
                .with("step", step)
                .with("outcomes", listed)
        }
        WorkRefused::StepNotReached { step, reached } => {
            let reached = reached.join(", ");
            words(
                Code::FailedPrecondition,
                R::StepNotReached,
                format!("từ bước hiện tại không có đường đến bước {step}; có thể đến: {reached}"),
                format!("no way leads from where the case stands to step {step}; it may come to: {reached}"),
            )
            .fault()
            .with("step", step)
            .with("reached", reached)
        }
        WorkRefused::StepOutOfState { step, state } => words(
            Code::FailedPrecondition,
            R::StepOutOfState,
            format!("bước nội bộ {step} không diễn ra ở trạng thái {}", state.code()),
            format!("the internal step {step} does not happen in state {}", state.code()),
        )
        .fault()
        .with("internal_step", step)
        .with("state", state.code().to_string()),
        WorkRefused::FieldsUnknown(fields) => {
            let fields = fields.join(", ");
            words(
                Code::InvalidArgument,
                R::MarkFieldUnknown,
                format!("hồ sơ không có trường: {fields}"),
                format!("a case has no such field: {fields}"),
            )
            .fault()
            .with("fields", fields)
        }
    }
}
