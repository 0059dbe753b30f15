//! Hồ sơ cũ: a case of an old system, read from a line of its export, and judged before it becomes a case of ours.
//!
//! What the old system does not say is said to be unknown, never made up: no steps, no papers, no pauses that have ended are invented
//! to make a history look whole.

mod judge;
mod mapping;
mod read;
#[cfg(test)]
mod tests;

use egov_codes::CaseCode;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

pub use self::judge::{Known, Taken, take};
pub use self::mapping::{FIELDS, Mapping, MappingError};
pub use self::read::read;
use super::pack::Channel;
use super::party::Party;
use super::transitions::State;

/// The entry by which the history of an imported case begins. It is no act of the old system, of which nothing is known.
pub const OPERATION: &str = "import";

/// The event of it.
pub const EVENT: &str = "case_imported";

/// What is wrong with a line: the field, and why. Never what the line says, which is of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineFault {
    /// Our name of the field; `line` for the line itself.
    pub field: String,
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

impl LineFault {
    /// A fault of a field.
    pub fn new(field: &str, vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            vi: vi.into(),
            en: en.into(),
        }
    }
}

/// A case as the old system tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct OldCase {
    /// The old system's own key.
    pub key: String,
    /// Mã hồ sơ, as it came.
    pub case_code: CaseCode,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// Cơ quan có thẩm quyền, by its code on the day of filing.
    pub unit_code: String,
    /// Nơi tiếp nhận, if it is said.
    pub receiving_unit_code: Option<String>,
    /// Kênh nộp.
    pub channel: Channel,
    /// Chủ hồ sơ.
    pub owner: Party,
    /// Người nộp, if another.
    pub submitter: Option<Party>,
    /// Trích yếu.
    pub subject: String,
    /// Trạng thái.
    pub state: State,
    /// Thời điểm nộp.
    pub submit_time: Timestamp,
    /// Thời điểm tiếp nhận.
    pub accept_time: Option<Timestamp>,
    /// Ngày hẹn trả, as it was promised.
    pub due_date: Option<Date>,
    /// Since when the clock stands still, in 5 and 6.
    pub paused_since: Option<Timestamp>,
    /// When it was decided.
    pub decide_time: Option<Timestamp>,
    /// When the result was returned.
    pub return_time: Option<Timestamp>,
    /// How it was returned.
    pub return_channel: Option<Channel>,
    /// Who received it; empty if it was the owner, or nobody says.
    pub recipient_name: String,
    /// Code of the result.
    pub result_code: Option<String>,
    /// Số, ký hiệu of the result.
    pub result_number: String,
    /// Fields that were left out because they cannot be read, and times of which only the day is known.
    pub left_out: Vec<String>,
}
