//! What the national portal knows of a case (đồng bộ hồ sơ).

use jiff::Timestamp;
use uuid::Uuid;

/// What is known of the synchronisation of a case.
#[derive(Clone, Debug)]
pub(crate) struct Synchronisation {
    pub(crate) case_code: String,
    pub(crate) unit_id: i32,
    pub(crate) told_version: i64,
    pub(crate) told_state: i16,
    pub(crate) told_time: Timestamp,
    pub(crate) acknowledged_version: Option<i64>,
    pub(crate) acknowledged_state: Option<i16>,
    pub(crate) acknowledged_time: Option<Timestamp>,
    pub(crate) issue_learn_time: Option<Timestamp>,
    pub(crate) return_time: Option<Timestamp>,
    /// The oldest delivery that waits, where it is, and why.
    pub(crate) waiting: Option<(Uuid, i16, String)>,
    pub(crate) waiting_count: i64,
}

/// What a list of synchronisations shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    pub(crate) unit_id: Option<i32>,
    pub(crate) waiting: bool,
}
