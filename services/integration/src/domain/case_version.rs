//! Versions of a case in what the national portal is told of it: by their order a newer word is known from an older one. A version alone is
//! no state: a one-stop that was restored counts over numbers that it had reached before, so that of equal versions the content decides.

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

/// Whether what one-stop showed when it was asked at this instant need not be told after what was told last of the case: it is that very
/// version with the same content, or behind it.
pub(crate) fn is_told(last: &Delivery, version: i64, same_content: bool, asked_at: Timestamp) -> bool {
    if of(&last.partner_key) == Some(version) {
        same_content
    } else {
        is_behind(last, version, asked_at)
    }
}

/// Whether the case need not even be read for a word that names this version: it was told just now, or is behind what was told. The very
/// version that was told long before may be that of a one-stop that was restored, which the content says.
pub(crate) fn needs_no_reading(last: &Delivery, version: i64, now: Timestamp) -> bool {
    is_told(last, version, !is_long_before(last, now), now)
}

/// Whether one-stop, asked at this instant, went back behind what was told last of a case: it shows an earlier version than was handed in
/// long before. It was restored to an earlier instant, or what was told was never its version; either way what it shows now counts. What is
/// still on its way is not judged: it goes first.
fn went_back(last: &Delivery, version: i64, asked_at: Timestamp) -> bool {
    of(&last.partner_key) > Some(version) && !last.state.is_open() && is_long_before(last, asked_at)
}

/// Whether a word about a case was handed in so long before an instant that neither can have overtaken the other.
fn is_long_before(last: &Delivery, at: Timestamp) -> bool {
    last.create_time < at.checked_sub(OVERTAKEN).unwrap_or(Timestamp::MIN)
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
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::delivery::State;

    /// What was told of a case at this instant, acknowledged.
    fn told(version: i64, at: Timestamp) -> Delivery {
        Delivery {
            id: Uuid::from_u128(1),
            unit_id: 2,
            partner: "national-portal".to_owned(),
            act: "sync_case".to_owned(),
            partner_key: key("c", version),
            order_key: "c".to_owned(),
            contract: "sim-1".to_owned(),
            state: State::Acknowledged,
            attempts: 1,
            problem: String::new(),
            partner_code: String::new(),
            reference: String::new(),
            subjects: Vec::new(),
            denied_time: None,
            taken_time: None,
            content_digest: String::new(),
            due_time: at,
            version: 3,
            create_time: at,
            update_time: at,
        }
    }

    fn morning() -> Timestamp {
        "2026-11-26T01:00:00Z".parse().unwrap()
    }

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
        let last = told(5, morning());
        let (soon, later) = (
            morning() + SignedDuration::from_mins(9),
            morning() + SignedDuration::from_mins(11),
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
    fn the_very_version_that_was_told_is_told_again_with_another_content_and_read_for_that_long_after() {
        let last = told(5, morning());
        let (soon, later) = (
            morning() + SignedDuration::from_mins(9),
            morning() + SignedDuration::from_mins(11),
        );
        for at in [soon, later] {
            assert!(is_told(&last, 5, true, at) && !is_told(&last, 5, false, at));
            assert!(!is_told(&last, 6, true, at), "a content comes again in a later version");
            assert!(!needs_no_reading(&last, 6, at));
        }
        assert!(needs_no_reading(&last, 5, soon) && !needs_no_reading(&last, 5, later));
        assert!(needs_no_reading(&last, 4, soon) && !needs_no_reading(&last, 4, later));
        let open = Delivery {
            state: State::Queued,
            ..last
        };
        assert!(!is_told(&open, 5, false, later), "it follows what is on its way");
        assert!(!needs_no_reading(&open, 5, later) && needs_no_reading(&open, 4, later));
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

    /// What becomes of one-stop's case.
    #[derive(Clone, Debug)]
    enum Turn {
        /// It changes, so many minutes after what was before.
        Change(i64),
        /// One-stop is restored to an earlier state of the case, counted back, some while after.
        Restore(usize),
    }

    fn turns() -> impl Strategy<Value = Vec<Turn>> {
        let turn = prop_oneof![(0_i64..30).prop_map(Turn::Change), (1_usize..6).prop_map(Turn::Restore)];
        proptest::collection::vec(turn, 1..40)
    }

    proptest! {
        /// However often one-stop is restored, and to whichever numbers it comes again.
        #[test]
        fn after_each_change_the_portal_was_told_of_the_case_as_it_is_and_of_nothing_twice(turns in turns()) {
            let mut at = morning();
            // The states since the case began, each with its version and a content of its own; what was told last, and its content.
            let mut states = vec![(1_i64, 0_usize)];
            let mut last: Option<(Delivery, usize)> = None;
            for (content, turn) in (1_usize..).zip(turns) {
                match turn {
                    Turn::Restore(back) => {
                        at += OVERTAKEN + SignedDuration::from_secs(1);
                        states.truncate(states.len().saturating_sub(back).max(1));
                        continue;
                    }
                    Turn::Change(minutes) => {
                        at += SignedDuration::from_mins(minutes);
                        let version = states.last().unwrap().0 + 1;
                        states.push((version, content));
                    }
                }
                let (version, content) = *states.last().unwrap();
                let news = |same: bool, last: &Delivery| {
                    !needs_no_reading(last, version, at) && !is_told(last, version, same, at)
                };
                if last.as_ref().is_none_or(|(last, known)| news(*known == content, last)) {
                    last = Some((told(version, at), content));
                }
                let (known, known_content) = last.as_ref().unwrap();
                prop_assert_eq!(*known_content, content);
                // The same event once more says nothing new, now and later.
                for again in [at, at + SignedDuration::from_hours(1)] {
                    prop_assert!(is_told(known, version, true, again));
                }
            }
        }
    }
}
