//! Why an act on an old book is refused: one enum of what a caller can act on, one table to code, reason and words.

use egov_fault::{Code, Fault};
use egov_proto::egov::civil_registry::v1::ErrorReason;

use crate::domain::old_book::PageRefused;
use crate::error::words;

/// Why an act on an old book or a page of it is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OldBookError {
    /// The commune has this old book.
    #[error("the commune has this old book already")]
    Exists,
    /// A piece does not follow on what is done with, or the file is another one's; how far the file came.
    #[error("the piece does not follow on line {0}")]
    Position(i64),
    /// There is no such page, or the caller may not know of it.
    #[error("page not found")]
    PageNotFound,
    /// The rules of the page refuse the act.
    #[error(transparent)]
    Page(#[from] PageRefused),
}

impl From<OldBookError> for Fault {
    fn from(error: OldBookError) -> Self {
        use ErrorReason as R;
        match error {
            OldBookError::Exists => words(
                Code::AlreadyExists,
                R::OldBookExists,
                "đơn vị đã có sổ cũ này",
                "the commune has this old book already",
            ),
            OldBookError::Position(position) => words(
                Code::FailedPrecondition,
                R::OldImportPosition,
                format!("phần này không nối tiếp tệp: đã nhận đến dòng {position}, hoặc tệp là của người, sổ hay lần nhập khác"),
                format!("the piece does not follow: the file is done with up to line {position}, or it is another one's, of another book or keying"),
            )
            .with("position", position.to_string()),
            OldBookError::PageNotFound => words(
                Code::NotFound,
                R::OldPageNotFound,
                "không tìm thấy trang sổ này",
                "there is no such page of an old book",
            ),
            OldBookError::Page(PageRefused::State(state)) => words(
                Code::FailedPrecondition,
                R::OldPageState,
                format!("không thực hiện được: trang {}", state.vi()),
                format!("it cannot be done: the page is {}", state.en()),
            )
            .with("state", state.code().to_string()),
            OldBookError::Page(PageRefused::SameOfficer) => words(
                Code::FailedPrecondition,
                R::OldPageSameOfficer,
                "người kiểm tra lần hai phải khác người kiểm tra lần một",
                "who checks second is another person than who checked first",
            ),
        }
    }
}
