//! One list out of several: newest first; at one instant by the name of the database, then the younger record first.
//!
//! A place in the list is (instant, name, record). Where the list goes on in each database follows from the place alone, so
//! that nothing is skipped or repeated whichever database the last row came from, and a database that joins or leaves between
//! two pages only adds or takes its own rows.

use std::cmp::Ordering;

use egov_database::ReadingKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A place in the merged list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The name of the database.
    pub(crate) service: String,
    /// The place in it.
    pub(crate) key: ReadingKey,
}

/// Where a database's own list goes on behind a place of the merged one: before the instant, and at the instant below that
/// record; see [`egov_database::list_readings`].
pub(crate) fn go_on(after: &Place, service: &str) -> (Timestamp, Option<i64>) {
    let tie = match service.cmp(after.service.as_str()) {
        Ordering::Less => None,
        Ordering::Equal => Some(after.key.record),
        Ordering::Greater => Some(i64::MAX),
    };
    (after.key.at, tie)
}

/// Which of two places comes first.
pub(crate) fn order(a: (&str, &ReadingKey), b: (&str, &ReadingKey)) -> Ordering {
    (b.1.at, a.0, b.1.record).cmp(&(a.1.at, b.0, a.1.record))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 3] = ["identity", "integration", "onestop"];

    /// What a database answers, as its query does: newest first, in the stretch that `go_on` names.
    fn fetched(rows: &[(usize, ReadingKey)], service: usize, after: Option<&Place>, limit: usize) -> Vec<ReadingKey> {
        let (at, tie) = after.map_or((Timestamp::MAX, None), |after| go_on(after, NAMES[service]));
        let mut found: Vec<ReadingKey> = rows
            .iter()
            .filter(|(of, _)| *of == service)
            .map(|(_, key)| *key)
            .filter(|key| key.at < at || (key.at == at && tie.is_some_and(|record| key.record < record)))
            .collect();
        found.sort_by_key(|key| std::cmp::Reverse(*key));
        found.truncate(limit);
        found
    }

    proptest! {
        /// Many rows at few instants, in several databases: every row once, in one order, whatever the size of the pages.
        #[test]
        fn pages_over_several_databases_neither_skip_nor_repeat(
            drawn in proptest::collection::vec((0usize..3, 0i64..4), 0..40),
            size in 1usize..7,
        ) {
            let rows: Vec<(usize, ReadingKey)> = drawn
                .iter()
                .enumerate()
                .map(|(record, (service, second))| {
                    let at = Timestamp::from_second(*second).unwrap();
                    (*service, ReadingKey { at, record: record as i64 })
                })
                .collect();
            let mut expected: Vec<(&str, ReadingKey)> = rows.iter().map(|(of, key)| (NAMES[*of], *key)).collect();
            expected.sort_by(|a, b| order((a.0, &a.1), (b.0, &b.1)));

            let mut seen: Vec<(&str, ReadingKey)> = Vec::new();
            let mut after: Option<Place> = None;
            loop {
                let mut page: Vec<(&str, ReadingKey)> = (0..NAMES.len())
                    .flat_map(|service| {
                        fetched(&rows, service, after.as_ref(), size + 1)
                            .into_iter()
                            .map(move |key| (NAMES[service], key))
                    })
                    .collect();
                page.sort_by(|a, b| order((a.0, &a.1), (b.0, &b.1)));
                let more = page.len() > size;
                page.truncate(size);
                after = page.last().map(|(service, key)| Place { service: (*service).to_owned(), key: *key });
                seen.extend(page);
                if !more {
                    break;
                }
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
