//! Where a piece of dated law comes from, and how far it may be relied on.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// How far a day, a rule or an opening hour has been checked. Ordered from the firmest to the weakest,
/// so that the weakest of several is their `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A source has been seen; [`Origin::source`] names it.
    Confirmed,
    /// The operator has decided so, on a day and by a named person; see [`Origin::decided_by`].
    Decided,
    /// Commonly held, no source seen.
    Unconfirmed,
    /// Calculated ahead of the official notice of its year, which will override it.
    Computed,
}

/// Basis and source of one piece of dated law.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// How far it has been checked.
    pub status: Status,
    /// The article or decision (căn cứ pháp lý), as printed on papers, e.g. `NQ 28/2026/QH16`.
    pub legal_basis: String,
    /// Where it was read, for whoever checks it.
    #[serde(default)]
    pub source: String,
    /// Who decided, when the status is [`Status::Decided`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// The day of that decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_on: Option<Date>,
}

impl Origin {
    /// Whether `decided` comes with who and when, and nothing else claims a decision.
    pub(crate) fn is_complete(&self) -> bool {
        let signed = self.decided_by.is_some() && self.decided_on.is_some();
        let unsigned = self.decided_by.is_none() && self.decided_on.is_none();
        if self.status == Status::Decided {
            signed
        } else {
            unsigned
        }
    }
}
