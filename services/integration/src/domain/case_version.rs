//! Versions of a case in what the national portal is told of it: by their order a newer word is known from an older one.

use jiff::{SignedDuration, Timestamp};

use super::delivery::Delivery;

/// The highest version that a case may have when a unit's software hands it in. One-stop counts a case's changes from 1: whoever says more
/// says something else, and no version that follows would be told any more.
pub(crate) const MOST: i64 = 1_000_000;

/// A reading of one-stop and a word about the same case may overtake one another within so long: a reading may be slow, and a clock wrong.
const OVERTAKEN: SignedDuration = SignedDuration::from_mins(10);

/// Whether a number may be the version of a case.
pub(crate) fn is_one(version: i64) -> bool {
    (1..=MOST).contains(&version)
}

/// Whether a version that one-stop showed when it was asked at this instant is behind what was told last of the case: an earlier one of
/// the same count, which must not be told after it.
pub(crate) fn is_behind(last: &Delivery, version: i64, asked_at: Timestamp) -> bool {
    of(&last.partner_key) > Some(version) && !went_back(last, version, asked_at)
}

/// Whether one-stop, asked at this instant, went back behind what was told last of a case: it shows an earlier version than was handed in
/// long before. It was restored to an earlier instant, or what was told was never its version; either way what it shows now counts. What is
/// still on its way is not judged: it goes first.
fn went_back(last: &Delivery, version: i64, asked_at: Timestamp) -> bool {
    let long_before = asked_at.checked_sub(OVERTAKEN).unwrap_or(Timestamp::MIN);
    of(&last.partner_key) > Some(version) && !last.state.is_open() && last.create_time < long_before
}

/// The key of a version: such keys sort as the versions do.
pub(crate) fn key(case_code: &str, version: i64) -> String {
    format!("{case_code}#{version:019}")
}

/// The version in a key, also in that of a version that was handed in again.
pub(crate) fn of(partner_key: &str) -> Option<i64> {
    partner_key.split('#').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::delivery::State;

    #[test]
    fn a_version_that_is_handed_in_again_sorts_after_itself_and_before_the_next() {
        let (plain, next) = (key("c", 5), key("c", 6));
        let again = format!("{plain}#{}", Uuid::from_u128(u128::MAX));
        assert!(plain < again && again < next);
        assert_eq!(of(&again), Some(5));
        assert_eq!(of("c"), None);
    }

    #[test]
    fn one_stop_went_back_if_it_shows_an_earlier_version_than_was_told_long_before_and_nothing_is_on_its_way() {
        let told = "2026-11-26T01:00:00Z".parse().unwrap();
        let last = Delivery {
            id: Uuid::from_u128(1),
            unit_id: 2,
            partner: "national-portal".to_owned(),
            act: "sync_case".to_owned(),
            partner_key: key("c", 5),
            order_key: "c".to_owned(),
            contract: "sim-1".to_owned(),
            state: State::Acknowledged,
            attempts: 1,
            problem: String::new(),
            partner_code: String::new(),
            reference: String::new(),
            subjects: Vec::new(),
            denied_time: None,
            due_time: told,
            version: 3,
            create_time: told,
            update_time: told,
        };
        let (soon, later) = (
            told + SignedDuration::from_mins(9),
            told + SignedDuration::from_mins(11),
        );
        assert!(went_back(&last, 4, later) && went_back(&last, 1, later));
        assert!(!went_back(&last, 5, later) && !went_back(&last, 6, later));
        assert!(!went_back(&last, 4, soon), "one may have overtaken the other");
        assert!(is_behind(&last, 4, soon) && !is_behind(&last, 4, later));
        let open = Delivery {
            state: State::Queued,
            ..last
        };
        assert!(!went_back(&open, 4, later), "it goes first");
        assert!(is_behind(&open, 4, later) && !is_behind(&open, 5, later));
    }

    #[test]
    fn a_case_has_a_version_from_1_to_the_highest() {
        assert!(is_one(1) && is_one(MOST));
        assert!(!is_one(0) && !is_one(-1) && !is_one(MOST + 1) && !is_one(i64::MAX));
    }

    #[test]
    fn keys_of_versions_sort_as_the_versions_do() {
        assert!(key("c", 10) > key("c", 9));
        assert!(key("c", i64::MAX) > key("c", 1));
    }
}
