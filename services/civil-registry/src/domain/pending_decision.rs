//! Quyết định chờ vào sổ: what one-stop decided of a case, until it stands in the book or goes back.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::book::EventKind;

/// What one-stop says of a decision. Who signs and who did the work are named in office; nobody else is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Its id, one-stop's.
    pub decision_id: Uuid,
    /// The case.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// The commune that decided.
    pub unit_id: i32,
    /// Ngày quyết định: the day of the registration, and its year that of the book.
    pub decision_date: Date,
    /// Số quyết định; empty if it has none.
    pub number: String,
    /// Người ký.
    pub signer_name: String,
    /// Chức vụ.
    pub signer_title: String,
    /// Số văn bản uỷ quyền; empty if the title signs by itself.
    pub signer_authorisation: String,
    /// Người thực hiện.
    pub performer_name: String,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingState {
    /// Chờ vào sổ.
    Pending,
    /// Đã vào sổ.
    Entered,
    /// Trả lại một cửa.
    Returned,
}

impl PendingState {
    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Pending => 1,
            Self::Entered => 2,
            Self::Returned => 3,
        }
    }

    /// The state that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        [Self::Pending, Self::Entered, Self::Returned]
            .into_iter()
            .find(|state| state.code() == code)
    }
}

/// What stood in the way when the registry tried to enter it, in words that name nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFinding {
    /// The rule, by which a question is answered; or the reason of the refusal.
    pub code: String,
    /// The field that it is about; empty if it is about none.
    pub field: String,
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

/// A decision as the registry keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingDecision {
    /// What one-stop said.
    pub decided: Decided,
    /// Which book.
    pub event: EventKind,
    /// What became of it.
    pub state: PendingState,
    /// What stood in the way last.
    pub findings: Vec<KeptFinding>,
    /// The entry.
    pub entry_id: Option<Uuid>,
    /// The certificate.
    pub paper_id: Option<Uuid>,
    /// Why it went back; empty if it did not.
    pub return_reason: String,
    /// When it came.
    pub record_time: Timestamp,
}
