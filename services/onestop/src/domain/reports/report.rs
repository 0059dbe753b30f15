//! Báo cáo, as it was made.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Form;

/// Báo cáo, without what it contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Id.
    pub report_id: Uuid,
    /// Whose report.
    pub unit_id: i32,
    /// Biểu mẫu as it was.
    pub form: Form,
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// Hạn báo cáo.
    pub due: Date,
    /// What was recorded up to the end of this day is counted.
    pub known_until: Date,
    /// Whose cases are counted.
    pub units: Vec<i32>,
    /// Of the content.
    pub content_sha256: Vec<u8>,
    /// By whom.
    pub made_by: Uuid,
    /// When.
    pub make_time: Timestamp,
}

/// Where a page of reports, the latest period first, begins: after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfterReport {
    /// Its first day.
    pub from: Date,
    /// Its id, which breaks ties.
    pub report_id: Uuid,
}
