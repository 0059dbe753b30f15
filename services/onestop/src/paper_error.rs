//! Why a paper is refused: one enum of what a caller can act on, one table to code, reason and words.

use egov_fault::{Code, Fault};
use egov_proto::egov::onestop::v1::ErrorReason;

use crate::domain::papers::PaperRefused;
use crate::error::words;

/// Why there is no paper, or no print of it.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] PaperRefused),
    /// The service has no press.
    #[error("there is no press")]
    NoPress,
    /// More than is printed at once.
    #[error("the paper has {0} bytes")]
    TooLarge(usize),
}

impl From<PaperError> for Fault {
    fn from(error: PaperError) -> Self {
        use ErrorReason as R;
        match error {
            PaperError::Refused(PaperRefused::NotOfThisCase { form, state }) => words(
                Code::FailedPrecondition,
                R::PaperNotAvailable,
                format!(
                    "hồ sơ chưa có, hoặc không còn, việc mà mẫu số {:02} ({}) ghi nhận",
                    form.number(),
                    form.title()
                ),
                format!(
                    "what form {:02} says has not happened to the case, or holds no longer",
                    form.number()
                ),
            )
            .fault()
            .with("form", format!("{:02}", form.number()))
            .with("state", state.code().to_string()),
            PaperError::Refused(PaperRefused::Internal(form)) => words(
                Code::PermissionDenied,
                R::PaperInternal,
                format!("mẫu số {:02} ({}) là giấy tờ nội bộ", form.number(), form.title()),
                format!("form {:02} is internal to the office", form.number()),
            )
            .fault()
            .with("form", format!("{:02}", form.number())),
            PaperError::Refused(PaperRefused::Period) => words(
                Code::InvalidArgument,
                R::BookPeriodUnknown,
                "sổ theo dõi phải có ngày đầu không sau ngày cuối, và không dài quá một năm",
                "a tracking book ends no earlier than it begins and covers no more than a year",
            )
            .fault(),
            PaperError::NoPress => words(
                Code::FailedPrecondition,
                R::PrintingNotSetUp,
                "dịch vụ này không được cài phần in; nội dung giấy tờ vẫn xem được",
                "this service has no press; the content of papers can be read",
            )
            .fault(),
            PaperError::TooLarge(bytes) => words(
                Code::FailedPrecondition,
                R::PaperTooLarge,
                "giấy tờ quá dài để in một lần; hãy yêu cầu ít dòng hơn",
                "the paper is too long to be printed at once; ask for fewer rows",
            )
            .fault()
            .with("bytes", bytes.to_string()),
        }
    }
}
