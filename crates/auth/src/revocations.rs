//! What was revoked before its time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use egov_clock::{Clock as _, SharedClock};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{CallerKind, Principal};

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// One token, by its `jti`.
    Token(String),
    /// Every token of a session.
    Session(Uuid),
    /// Every token of an account or a system that was issued up to an instant. It also ends the tokens with which a
    /// system acts for this citizen.
    Subject {
        /// The account or system.
        id: Uuid,
        /// Tokens issued up to and including this instant are void.
        not_after: Timestamp,
    },
    /// Every token of a kind of callers that was issued up to an instant (thu hồi hàng loạt). Of citizens, also the tokens
    /// with which systems act for them.
    Kind {
        /// Whose.
        kind: CallerKind,
        /// Tokens issued up to and including this instant are void.
        not_after: Timestamp,
    },
    /// Every token that this key signed, whenever it says that it was issued: whoever has the key writes what they like.
    Key(String),
}

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What is revoked.
    pub what: Revoked,
    /// The entry may be forgotten after this instant: every token that it concerns has ended by then.
    pub forget_after: Timestamp,
}

/// The revocations that this process knows of, and how recent that knowledge is.
///
/// Whoever follows identity's feed hands every answer to [`Revocations::apply`], an empty one too: it confirms that
/// nothing else was revoked. Reading takes no lock.
pub struct Revocations {
    clock: SharedClock,
    entries: ArcSwap<Entries>,
    /// Held while entries are exchanged.
    changing: Mutex<()>,
    follows_feed: bool,
}

#[derive(Clone, Default)]
struct Entries {
    tokens: HashMap<String, Timestamp>,
    sessions: HashMap<Uuid, Timestamp>,
    /// Not-after and forget-after.
    subjects: HashMap<Uuid, (Timestamp, Timestamp)>,
    /// The same of whole kinds of callers.
    kinds: HashMap<CallerKind, (Timestamp, Timestamp)>,
    keys: HashMap<String, Timestamp>,
    as_of: Option<Timestamp>,
}

impl Revocations {
    /// Nothing known yet: not fresh until the first [`Revocations::apply`].
    pub fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            entries: ArcSwap::default(),
            changing: Mutex::new(()),
            follows_feed: true,
        }
    }

    /// The revocations of the process that decides on them itself: always fresh.
    pub fn local(clock: SharedClock) -> Self {
        Self {
            follows_feed: false,
            ..Self::new(clock)
        }
    }

    /// Adds `revocations`; what the source knew at the instant `as_of` is then known here. `as_of` is when the source
    /// was *asked*, by our clock; one in the future counts as now, an older one than before changes nothing.
    pub fn apply(&self, revocations: impl IntoIterator<Item = Revocation>, as_of: Timestamp) {
        self.change(revocations, as_of, false);
    }

    /// Puts `revocations` in the place of all that was known: for a feed that is read from its beginning again, because
    /// its source was restored.
    pub fn replace(&self, revocations: impl IntoIterator<Item = Revocation>, as_of: Timestamp) {
        self.change(revocations, as_of, true);
    }

    fn change(&self, revocations: impl IntoIterator<Item = Revocation>, as_of: Timestamp, anew: bool) {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let mut entries = Entries::clone(&self.entries.load());
        if anew {
            entries = Entries {
                as_of: entries.as_of,
                ..Entries::default()
            };
        }
        for revocation in revocations {
            entries.add(revocation);
        }
        entries.forget(now);
        entries.as_of = entries.as_of.max(Some(as_of.min(now)));
        self.entries.store(std::sync::Arc::new(entries));
    }

    /// Whether the token of `principal`, its session, an account behind it, all of its kind, or the key that signed it was
    /// revoked.
    pub fn is_revoked(&self, principal: &Principal) -> bool {
        let entries = self.entries.load();
        let voids = |subject: Uuid| {
            entries
                .subjects
                .get(&subject)
                .is_some_and(|(not_after, _)| principal.issued_at <= *not_after)
        };
        let voids_all_of = |kind: CallerKind| {
            entries
                .kinds
                .get(&kind)
                .is_some_and(|(not_after, _)| principal.issued_at <= *not_after)
        };
        entries.keys.contains_key(&principal.key_id)
            || entries.tokens.contains_key(&principal.token_id)
            || principal
                .session
                .is_some_and(|session| entries.sessions.contains_key(&session))
            || voids(principal.subject)
            || voids_all_of(principal.kind)
            || principal
                .on_behalf_of
                .is_some_and(|citizen| voids(citizen.subject) || voids_all_of(CallerKind::Citizen))
    }

    /// Whether the knowledge is at most `age` old.
    pub fn fresh_within(&self, age: Duration) -> bool {
        if !self.follows_feed {
            return true;
        }
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        self.entries
            .load()
            .as_of
            .is_some_and(|as_of| self.clock.now().duration_since(as_of) <= age)
    }

    /// How many entries are kept.
    pub fn len(&self) -> usize {
        let entries = self.entries.load();
        entries.tokens.len()
            + entries.sessions.len()
            + entries.subjects.len()
            + entries.kinds.len()
            + entries.keys.len()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocations")
            .field("entries", &self.len())
            .field("as_of", &self.entries.load().as_of)
            .finish_non_exhaustive()
    }
}

impl Entries {
    /// Of two entries for one target, the later instants count.
    fn add(&mut self, revocation: Revocation) {
        let forget_after = revocation.forget_after;
        match revocation.what {
            Revoked::Token(id) => {
                let kept = self.tokens.entry(id).or_insert(forget_after);
                *kept = (*kept).max(forget_after);
            }
            Revoked::Session(id) => {
                let kept = self.sessions.entry(id).or_insert(forget_after);
                *kept = (*kept).max(forget_after);
            }
            Revoked::Subject { id, not_after } => {
                let kept = self.subjects.entry(id).or_insert((not_after, forget_after));
                *kept = (kept.0.max(not_after), kept.1.max(forget_after));
            }
            Revoked::Kind { kind, not_after } => {
                let kept = self.kinds.entry(kind).or_insert((not_after, forget_after));
                *kept = (kept.0.max(not_after), kept.1.max(forget_after));
            }
            Revoked::Key(id) => {
                let kept = self.keys.entry(id).or_insert(forget_after);
                *kept = (*kept).max(forget_after);
            }
        }
    }

    fn forget(&mut self, now: Timestamp) {
        self.tokens.retain(|_, forget_after| *forget_after >= now);
        self.sessions.retain(|_, forget_after| *forget_after >= now);
        self.subjects.retain(|_, (_, forget_after)| *forget_after >= now);
        self.kinds.retain(|_, (_, forget_after)| *forget_after >= now);
        self.keys.retain(|_, forget_after| *forget_after >= now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Assurance, CallerKind, OnBehalf};
    use egov_clock::ManualClock;

    fn clock() -> ManualClock {
        ManualClock::at("2026-11-23T01:00:00Z".parse().unwrap())
    }

    fn principal(issued_at: Timestamp) -> Principal {
        Principal {
            subject: Uuid::from_u128(1),
            kind: CallerKind::System,
            issuer: "i".to_owned(),
            name_hint: None,
            unit: None,
            roles: Vec::new(),
            delegated: Vec::new(),
            assurance: Assurance::None,
            client_id: None,
            certificate: None,
            on_behalf_of: Some(OnBehalf {
                subject: Uuid::from_u128(2),
                assurance: Assurance::Low,
            }),
            session: Some(Uuid::from_u128(3)),
            token_id: "t1".to_owned(),
            key_id: "k1".to_owned(),
            issued_at,
            expires_at: Timestamp::MAX,
        }
    }

    fn entry(clock: &ManualClock, what: Revoked) -> Revocation {
        Revocation {
            what,
            forget_after: clock.now() + SignedDuration::from_mins(10),
        }
    }

    #[test]
    fn a_token_is_void_by_its_id_its_session_its_system_its_citizen_their_kinds_or_its_key() {
        let clock = clock();
        let issued = clock.now();
        for what in [
            Revoked::Token("t1".to_owned()),
            Revoked::Session(Uuid::from_u128(3)),
            Revoked::Subject {
                id: Uuid::from_u128(1),
                not_after: issued,
            },
            Revoked::Subject {
                id: Uuid::from_u128(2),
                not_after: issued,
            },
            Revoked::Kind {
                kind: CallerKind::System,
                not_after: issued,
            },
            Revoked::Kind {
                kind: CallerKind::Citizen,
                not_after: issued,
            },
            Revoked::Key("k1".to_owned()),
        ] {
            let revocations = Revocations::new(clock.shared());
            assert!(!revocations.is_revoked(&principal(issued)));
            revocations.apply([entry(&clock, what.clone())], clock.now());
            assert!(revocations.is_revoked(&principal(issued)), "{what:?}");
        }
    }

    #[test]
    fn tokens_issued_after_the_revocation_of_the_account_count() {
        let clock = clock();
        let revocations = Revocations::new(clock.shared());
        let not_after = clock.now();
        let subject = Revoked::Subject {
            id: Uuid::from_u128(1),
            not_after,
        };
        revocations.apply([entry(&clock, subject)], clock.now());
        assert!(!revocations.is_revoked(&principal(not_after + SignedDuration::from_secs(1))));
    }

    #[test]
    fn another_kind_another_key_and_tokens_issued_after_the_revocation_of_a_kind_go_on() {
        let clock = clock();
        let revocations = Revocations::new(clock.shared());
        let not_after = clock.now();
        let kind = |kind| entry(&clock, Revoked::Kind { kind, not_after });
        revocations.apply(
            [kind(CallerKind::Staff), entry(&clock, Revoked::Key("k2".to_owned()))],
            clock.now(),
        );
        assert!(!revocations.is_revoked(&principal(not_after)));
        revocations.apply([kind(CallerKind::System)], clock.now());
        assert!(revocations.is_revoked(&principal(not_after)));
        assert!(!revocations.is_revoked(&principal(not_after + SignedDuration::from_secs(1))));
    }

    #[test]
    fn a_withdrawn_key_voids_whatever_time_its_tokens_claim() {
        let clock = clock();
        let revocations = Revocations::new(clock.shared());
        revocations.apply([entry(&clock, Revoked::Key("k1".to_owned()))], clock.now());
        for hours in [-1, 0, 1] {
            let issued = clock.now() + SignedDuration::from_hours(hours);
            assert!(revocations.is_revoked(&principal(issued)), "{hours}");
        }
    }

    #[test]
    fn an_earlier_revocation_does_not_undo_a_later_one() {
        let clock = clock();
        let revocations = Revocations::new(clock.shared());
        let issued = clock.now();
        let subject = |not_after| Revoked::Subject {
            id: Uuid::from_u128(1),
            not_after,
        };
        revocations.apply([entry(&clock, subject(issued))], clock.now());
        let earlier = issued - SignedDuration::from_hours(1);
        revocations.apply([entry(&clock, subject(earlier))], clock.now());
        assert!(revocations.is_revoked(&principal(issued)));
    }

    #[test]
    fn entries_are_forgotten_when_no_token_can_be_concerned() {
        let clock = clock();
        let revocations = Revocations::new(clock.shared());
        revocations.apply([entry(&clock, Revoked::Token("t1".to_owned()))], clock.now());
        assert_eq!(revocations.len(), 1);
        clock.advance(SignedDuration::from_mins(11));
        revocations.apply([], clock.now());
        assert!(revocations.is_empty());
    }

    #[test]
    fn knowledge_is_fresh_only_after_an_answer_and_for_a_while() {
        let clock = clock();
        let revocations = Revocations::new(clock.shared());
        let ten = Duration::from_secs(10);
        assert!(!revocations.fresh_within(ten));
        revocations.apply([], clock.now());
        assert!(revocations.fresh_within(ten));
        clock.advance(SignedDuration::from_secs(11));
        assert!(!revocations.fresh_within(ten));
        // An answer that was asked for long ago makes nothing fresh, nor does a source whose clock is ahead.
        revocations.apply([], clock.now() - SignedDuration::from_secs(11));
        assert!(!revocations.fresh_within(ten));
        revocations.apply([], clock.now() + SignedDuration::from_hours(1));
        clock.advance(SignedDuration::from_secs(11));
        assert!(!revocations.fresh_within(ten));
    }

    #[test]
    fn the_process_that_decides_on_revocations_is_always_fresh() {
        let clock = clock();
        let revocations = Revocations::local(clock.shared());
        assert!(revocations.fresh_within(Duration::ZERO));
    }

    #[test]
    fn a_feed_read_from_its_beginning_replaces_what_was_known() {
        let clock = clock();
        let revocations = Revocations::new(clock.shared());
        revocations.apply([entry(&clock, Revoked::Token("t1".to_owned()))], clock.now());
        revocations.replace([entry(&clock, Revoked::Token("t2".to_owned()))], clock.now());
        assert!(!revocations.is_revoked(&principal(clock.now())));
        assert_eq!(revocations.len(), 1);
    }
}
