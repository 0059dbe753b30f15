//! Codes of ours that a partner's tables have no translation for.

use egov_partners::code_tables::Unmapped;
use jiff::Timestamp;
use uuid::Uuid;

/// A code without a translation, counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) unmapped: Unmapped,
    pub(crate) count: i64,
    pub(crate) last_time: Timestamp,
}
