//! Keys of the keyring: where each stands, how long an old one is still needed, and whose tokens an act upon everybody voids.

use egov_auth::CallerKind;
use egov_keyring::{KeyLife, Purpose};
use jiff::{SignedDuration, Timestamp};

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyState {
    /// Published and not used yet.
    Published,
    /// It signs, authenticates or seals.
    InUse,
    /// Replaced, and still verified with or opened with.
    Overlapping,
    /// Its overlap has ended.
    Retired,
    /// Withdrawn as compromised.
    Withdrawn,
}

/// Where each key of a purpose stands, in the order given, which is that of their making. `in_use` is the id of the key that is used at
/// `now`; `recorded` tells whether a withdrawal of a key was recorded, which counts even where the keyring does not know it.
pub(crate) fn states(
    lives: &[KeyLife],
    in_use: &str,
    recorded: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Vec<KeyState> {
    let used_at = lives.iter().position(|life| life.id == in_use);
    lives
        .iter()
        .enumerate()
        .map(|(place, life)| {
            if life.withdrawn || recorded(&life.id) {
                KeyState::Withdrawn
            } else if life.retires.is_some_and(|retires| retires <= now) {
                KeyState::Retired
            } else if life.id == in_use {
                KeyState::InUse
            } else if used_at.is_some_and(|used_at| place > used_at) {
                KeyState::Published
            } else {
                KeyState::Overlapping
            }
        })
        .collect()
}

/// How long an old key is still needed after a rotation: as long as anything lives that it made. None for a purpose whose keys are
/// not rotated here: a receipt or a checkpoint is verified, and the secret of a case looked up, without an end.
pub(crate) fn overlap(purpose: Purpose, of_tokens: SignedDuration) -> Option<SignedDuration> {
    const DAY: SignedDuration = SignedDuration::from_hours(24);
    match purpose {
        // Published first as those of tokens; an assertion lives for a minute, the issuer's clock may be a little behind.
        Purpose::TokenSigning => Some(of_tokens),
        Purpose::ClientAssertions => Some(of_tokens.saturating_add(SignedDuration::from_mins(5))),
        // Every service asks for the tree once a second; a week is for those that were away.
        Purpose::TreeSigning => Some(DAY * 7),
        // Whoever turns pages for longer begins again.
        Purpose::PageTokens => Some(DAY),
        // Stored answers are kept for thirty days; columns are sealed anew within minutes.
        Purpose::Answers => Some(DAY * 31),
        // An agreement may have bodies kept for 3,650 days (buf.validate of `retention_days`); a year is for mail and for what a partner
        // was asked shortly before.
        Purpose::Bodies => Some(DAY * (3650 + 365)),
        Purpose::Receipts | Purpose::Checkpoints | Purpose::Webhooks | Purpose::LookupSecrets => None,
    }
}

/// Whose tokens are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breadth {
    /// Every official.
    Staff,
    /// Every citizen.
    Citizens,
    /// Every system.
    Systems,
    /// Everybody.
    Everybody,
}

impl Breadth {
    /// The word under which it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Citizens => "citizens",
            Self::Systems => "systems",
            Self::Everybody => "everybody",
        }
    }

    /// The kinds of callers.
    pub(crate) fn kinds(self) -> &'static [CallerKind] {
        match self {
            Self::Staff => &[CallerKind::Staff],
            Self::Citizens => &[CallerKind::Citizen],
            Self::Systems => &[CallerKind::System],
            Self::Everybody => &CallerKind::ALL,
        }
    }

    /// Whether there are sessions among what is revoked: only officials have some.
    pub(crate) fn has_sessions(self) -> bool {
        self.kinds().contains(&CallerKind::Staff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_764_000_000 + second).unwrap()
    }

    #[test]
    fn after_a_rotation_the_new_key_is_published_then_used_and_the_old_one_overlaps_then_retires() {
        let life = |id: &str, retires: Option<i64>| KeyLife {
            id: id.to_owned(),
            created: at(0),
            retires: retires.map(at),
            withdrawn: false,
        };
        let keys = [life("old", Some(100)), life("new", None)];
        let judged = |in_use, second| states(&keys, in_use, |_| false, at(second));
        assert_eq!(judged("old", 10), [KeyState::InUse, KeyState::Published]);
        assert_eq!(judged("new", 50), [KeyState::Overlapping, KeyState::InUse]);
        assert_eq!(judged("new", 100), [KeyState::Retired, KeyState::InUse]);
        let recorded = states(&keys, "new", |id| id == "old", at(50));
        assert_eq!(recorded, [KeyState::Withdrawn, KeyState::InUse]);
    }

    #[test]
    fn what_is_needed_without_an_end_is_not_rotated() {
        let hour = SignedDuration::from_hours(1);
        let rotated: Vec<Purpose> = Purpose::ALL
            .into_iter()
            .filter(|purpose| overlap(*purpose, hour).is_some())
            .collect();
        assert_eq!(
            rotated,
            [
                Purpose::TokenSigning,
                Purpose::TreeSigning,
                Purpose::PageTokens,
                Purpose::Answers,
                Purpose::ClientAssertions,
                Purpose::Bodies
            ]
        );
        assert_eq!(overlap(Purpose::TokenSigning, hour), Some(hour));
        // Request ids are kept for thirty days.
        assert!(overlap(Purpose::Answers, hour) > Some(SignedDuration::from_hours(30 * 24)));
        // Bodies of exchanges for ten years.
        assert!(overlap(Purpose::Bodies, hour) > Some(SignedDuration::from_hours(3650 * 24)));
    }

    #[test]
    fn everybody_is_every_kind_and_only_officials_have_sessions() {
        assert_eq!(Breadth::Everybody.kinds(), CallerKind::ALL);
        let each = [Breadth::Staff, Breadth::Citizens, Breadth::Systems];
        let together: Vec<CallerKind> = each.iter().flat_map(|breadth| breadth.kinds()).copied().collect();
        assert_eq!(together, CallerKind::ALL);
        let with_sessions =
            [Breadth::Staff, Breadth::Citizens, Breadth::Systems, Breadth::Everybody].map(Breadth::has_sessions);
        assert_eq!(with_sessions, [true, false, false, true]);
    }

    prop_compose! {
        fn lives()(ends in proptest::collection::vec((0_i64..100, proptest::option::of(1_i64..200), any::<bool>()), 1..8))
            -> Vec<KeyLife>
        {
            let mut made = 0;
            ends.into_iter()
                .enumerate()
                .map(|(number, (later, end, withdrawn))| {
                    made += later;
                    KeyLife {
                        id: format!("key{number}"),
                        created: at(made),
                        retires: if withdrawn { Some(at(made)) } else { end.map(|end| at(made + end)) },
                        withdrawn,
                    }
                })
                .collect()
        }
    }

    proptest! {
        /// One key at most is in use; what was withdrawn or has retired is never anything else, whatever is said to be in use.
        #[test]
        fn a_withdrawn_or_retired_key_is_never_used(lives in lives(), in_use in 0_usize..8, now in 0_i64..900) {
            let in_use = format!("key{in_use}");
            let states = states(&lives, &in_use, |_| false, at(now));
            prop_assert_eq!(states.len(), lives.len());
            prop_assert!(states.iter().filter(|state| **state == KeyState::InUse).count() <= 1);
            for (life, state) in lives.iter().zip(states) {
                let ended = life.retires.is_some_and(|retires| retires <= at(now));
                prop_assert_eq!(life.withdrawn, state == KeyState::Withdrawn);
                prop_assert_eq!(ended && !life.withdrawn, state == KeyState::Retired);
                prop_assert!(state != KeyState::InUse || life.id == in_use);
            }
        }
    }
}
