//! Why a paper is refused: one enum of what a caller can act on, one table to code, reason and words.

use egov_fault::{Code, Fault};
use egov_proto::egov::civil_registry::v1::ErrorReason;

use crate::domain::book::EventKind;
use crate::error::words;

/// Why there is no paper, or no print of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PaperError {
    /// There is no such paper, or the caller may not know of it.
    #[error("paper not found")]
    NotFound,
    /// There is no such paper of an entry of this kind.
    #[error("no such paper of {}", .0.en())]
    NotOfThisEntry(EventKind),
    /// The paper is revoked already.
    #[error("the paper is revoked already")]
    Revoked,
    /// No paper of this id with this check code.
    #[error("there is no paper of this id with this check code")]
    NotGenuine,
    /// The ledger has not placed the paper yet.
    #[error("the paper has no receipt yet")]
    NotSealed,
    /// The service has no press.
    #[error("there is no press")]
    NoPress,
    /// The child's number is asked for and has not come.
    #[error("the number of the child is awaited")]
    NumberAwaited {
        /// Whether there is a way to the population database.
        is_connected: bool,
        /// What stands in the way, a word.
        problem: String,
    },
}

impl From<PaperError> for Fault {
    fn from(error: PaperError) -> Self {
        use ErrorReason as R;
        match error {
            PaperError::NotFound => words(
                Code::NotFound,
                R::PaperNotFound,
                "không tìm thấy giấy tờ này",
                "there is no such paper",
            ),
            PaperError::NotOfThisEntry(event) => words(
                Code::FailedPrecondition,
                R::PaperNotOfThisEntry,
                format!("không có loại giấy tờ này cho việc {}", event.vi()),
                format!("there is no such paper of {}", event.en()),
            )
            .with("event", event.code().to_string()),
            PaperError::Revoked => words(
                Code::FailedPrecondition,
                R::PaperRevoked,
                "giấy tờ này đã được thu hồi",
                "this paper is revoked already",
            ),
            PaperError::NotGenuine => words(
                Code::NotFound,
                R::PaperNotGenuine,
                "không có giấy tờ nào có mã giấy tờ và mã kiểm tra này",
                "there is no paper of this id with this check code",
            ),
            PaperError::NotSealed => words(
                Code::Unavailable,
                R::PaperNotSealed,
                "sổ cái chưa ghi xong giấy tờ này; hãy thử lại sau giây lát",
                "the ledger has not placed this paper yet; ask again in a moment",
            ),
            PaperError::NoPress => words(
                Code::FailedPrecondition,
                R::PrintingNotSetUp,
                "dịch vụ này không được cài phần in; giấy tờ vẫn cấp và tra cứu được",
                "this service has no press; papers can be issued and listed",
            ),
            PaperError::NumberAwaited { is_connected, problem } => words(
                Code::FailedPrecondition,
                R::PersonalNumberAwaited,
                "chưa cấp được giấy khai sinh: đang chờ số định danh cá nhân của trẻ từ Cơ sở dữ liệu quốc gia về dân cư",
                "the certificate is issued after the child's personal number, which the population database has not answered yet",
            )
            .with("is_connected", is_connected.to_string())
            .with("problem", problem),
        }
    }
}
