//! What can go wrong, as a caller can act on it.

use jiff::civil::{Date, DateTime};

use crate::amount::Amount;

/// Why a date could not be judged or a due date not be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CalendarError {
    /// The question needs a day that the calendar does not know. The remedy is a newer calendar pack, not a guess.
    #[error("the calendar covers {from} to {to} and knows nothing of {date}")]
    OutsideCoverage {
        /// The first day that was needed and is not covered.
        date: Date,
        /// First day covered.
        from: Date,
        /// Last day covered.
        to: Date,
    },
    /// A period of no length: no law sets one, so the procedure data are wrong.
    #[error("a period has at least one unit")]
    EmptyPeriod,
    /// A cut-off was given with a period that is not [`crate::Period::SameDay`].
    #[error("a cut-off belongs to same-day procedures only")]
    CutOffNotForPeriod,
    /// A pause ends before it begins.
    #[error("a pause from {from} cannot end at {to}")]
    PauseReversed {
        /// Its beginning.
        from: DateTime,
        /// Its end.
        to: DateTime,
    },
    /// The clock stands still in a pause without an end, so there is no due date yet.
    /// [`crate::progress`] says how much has been used.
    #[error("the clock has stood still since {since}, so there is no due date yet")]
    ClockStopped {
        /// When the pause without an end began.
        since: DateTime,
        /// What had been used by then.
        used: Amount,
    },
}

/// Why a calendar pack was refused. Every variant names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A file could not be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// Name of the file inside the pack.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not the TOML that it should be.
    #[error("{file}: {source}")]
    Toml {
        /// Name of the file inside the pack.
        file: String,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A file is not the CSV that it should be.
    #[error("{file}: {source}")]
    Csv {
        /// Name of the file inside the pack.
        file: String,
        /// Where and why.
        source: csv::Error,
    },
    /// The files can be read and contradict one another, or leave something open.
    #[error("{file}: {reason}")]
    Invalid {
        /// Name of the file inside the pack.
        file: String,
        /// What is wrong and where.
        reason: String,
    },
}

impl PackError {
    pub(crate) fn invalid(file: &str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}
