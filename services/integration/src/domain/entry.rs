//! An entry.

use jiff::Timestamp;
use uuid::Uuid;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    /// The unit that it belongs to.
    pub(crate) unit_id: i32,
    pub(crate) title: String,
    pub(crate) create_time: Timestamp,
}

/// A title as it is kept: without blanks around it, and with one between two words.
pub(crate) fn normal_title(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_and_within_a_title_do_not_count() {
        assert_eq!(normal_title("  Sổ   tay "), "Sổ tay");
    }
}
