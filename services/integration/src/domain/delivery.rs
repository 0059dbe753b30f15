//! An act towards a partner: what may follow what.
//!
//! The one rule behind all: what may have happened is asked about before it is done again.

use egov_partners::outcome::{CallError, NotSent};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// Where a delivery is. The numbers are those of the contract and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Queued = 1,
    Sent = 2,
    Acknowledged = 3,
    OutcomeUnknown = 4,
    Failed = 5,
    Dead = 6,
}

impl State {
    pub(crate) const ALL: [Self; 6] = [
        Self::Queued,
        Self::Sent,
        Self::Acknowledged,
        Self::OutcomeUnknown,
        Self::Failed,
        Self::Dead,
    ];

    pub(crate) const fn number(self) -> i16 {
        self as i16
    }

    pub(crate) fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// Whether something is still to be done.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Sent | Self::OutcomeUnknown)
    }
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) partner: String,
    pub(crate) act: String,
    /// By which the partner recognises it.
    pub(crate) partner_key: String,
    /// What concerns one matter is sent in its order.
    pub(crate) order_key: String,
    pub(crate) contract: String,
    pub(crate) state: State,
    /// Messages sent and questions asked since it was handed in or redriven.
    pub(crate) attempts: i32,
    pub(crate) problem: String,
    pub(crate) partner_code: String,
    pub(crate) reference: String,
    /// The persons concerned, for the record of who reads its answer.
    pub(crate) subjects: Vec<Uuid>,
    /// Since when the partner says that it does not have it; none if it was not asked, or not since it was sent.
    pub(crate) denied_time: Option<Timestamp>,
    /// When the partner said first that it has taken it and not done it yet, since it was handed in or sent again by an operator.
    pub(crate) taken_time: Option<Timestamp>,
    /// By what the content is known again that it tells of a matter; empty where nothing is compared, and in what was handed in by a version
    /// of before.
    pub(crate) content_digest: String,
    /// When something is to be done with it, while it is open.
    pub(crate) due_time: Timestamp,
    pub(crate) version: i64,
    pub(crate) create_time: Timestamp,
    pub(crate) update_time: Timestamp,
}

/// What a partner says of an act that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer<T> {
    /// It has done it.
    Done(T),
    /// It has taken it and does it later: to be asked about, not to be sent again.
    Taken,
}

impl<T> Answer<T> {
    /// The same, of what was done as little as is wanted.
    pub(crate) fn map<U>(&self, make: impl FnOnce(&T) -> U) -> Answer<U> {
        match self {
            Self::Done(done) => Answer::Done(make(done)),
            Self::Taken => Answer::Taken,
        }
    }
}

/// What is to be done with an open delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send it.
    Send,
    /// Ask the partner whether it has it.
    Ask,
    /// Nothing: tries without a word of how they ended were too many. It is dead.
    GiveUp,
}

/// How patient deliveries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// So long after it was begun without a word of how it ended, a try counts as lost with its process.
    pub(crate) lost_after: SignedDuration,
    /// After so many tries it is given up.
    pub(crate) most_attempts: i32,
    /// Until then, tries that came to nothing because the partner was away do not use it up: an outage is nobody's fault, and what is
    /// given up has to be redriven one by one.
    pub(crate) wait_until: Timestamp,
    /// That the partner does not have it is believed when it says so again after so long: it may take it late. Zero where the
    /// partner knows the act again by a key of its own, so that doing it twice does nothing.
    pub(crate) believe_after: SignedDuration,
    /// So long after the partner said first that it has taken the act it is asked whether it has done it; then it is given up.
    pub(crate) taken_for: SignedDuration,
}

impl Delivery {
    /// Begins a try, if it is open and due.
    pub(crate) fn begin(&mut self, now: Timestamp, patience: Patience) -> Option<Next> {
        if !self.state.is_open() || self.due_time > now {
            return None;
        }
        if self.attempts >= patience.most_attempts {
            self.state = State::Dead;
            "lost".clone_into(&mut self.problem);
            self.touch(now);
            return Some(Next::GiveUp);
        }
        // Sent, and no word of how it ended: the process that sent it is gone.
        let next = if self.state == State::Queued {
            Next::Send
        } else {
            Next::Ask
        };
        self.state = if next == Next::Send {
            State::Sent
        } else {
            State::OutcomeUnknown
        };
        if next == Next::Send {
            self.denied_time = None;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.due_time = later(now, patience.lost_after);
        self.touch(now);
        Some(next)
    }

    /// What sending came to.
    pub(crate) fn sent(
        &mut self,
        result: &Result<Answer<String>, CallError>,
        now: Timestamp,
        wait: SignedDuration,
        patience: Patience,
    ) {
        match result {
            Ok(Answer::Done(reference)) => self.acknowledge(reference),
            Ok(Answer::Taken) => self.taken(now, patience),
            Err(CallError::Refused { code, .. }) => self.fail("refused", code),
            Err(error @ CallError::NotSent(NotSent::Unsendable(_) | NotSent::NotInContract | NotSent::CaseUnknown)) => {
                self.fail(error.word(), "");
            }
            Err(error @ CallError::NotSent(_)) => self.wait_for_partner(State::Queued, error, now, wait, patience),
            Err(error @ CallError::Unknown(_)) if error.is_away() => {
                self.wait_for_partner(State::OutcomeUnknown, error, now, wait, patience);
            }
            // It answered, though nothing that can be believed: it is there, and nothing better may ever come of it.
            Err(error @ CallError::Unknown(_)) => self.try_later(State::OutcomeUnknown, error, now, wait, patience),
        }
        self.touch(now);
    }

    /// What asking came to.
    pub(crate) fn asked(
        &mut self,
        result: &Result<Option<Answer<String>>, CallError>,
        now: Timestamp,
        wait: SignedDuration,
        patience: Patience,
    ) {
        match result {
            Ok(Some(Answer::Done(reference))) => self.acknowledge(reference),
            Ok(Some(Answer::Taken)) => self.taken(now, patience),
            Ok(None) => self.denied(now, patience),
            // A question that is refused or not answered leaves the doubt as it is, and does nothing either.
            Err(error) => self.wait_for_partner(State::OutcomeUnknown, error, now, wait, patience),
        }
        self.touch(now);
    }

    /// An operator sends it again: the partner is asked first, whatever was believed before. False if it is neither failed
    /// nor dead.
    pub(crate) fn redrive(&mut self, now: Timestamp) -> bool {
        if !matches!(self.state, State::Failed | State::Dead) {
            return false;
        }
        self.state = State::OutcomeUnknown;
        self.attempts = 0;
        self.denied_time = None;
        self.taken_time = None;
        self.due_time = now;
        self.touch(now);
        true
    }

    /// The partner knows the case that it is about by now, and said before that it took nothing of it: it is sent. False if it did not
    /// fail for want of the case.
    pub(crate) fn follow_case(&mut self, now: Timestamp) -> bool {
        if self.state != State::Failed || self.problem != CASE_UNKNOWN {
            return false;
        }
        self.state = State::Queued;
        self.attempts = 0;
        self.denied_time = None;
        self.due_time = now;
        self.touch(now);
        true
    }

    pub(crate) fn etag(&self) -> String {
        format!("{}-{}", self.id, self.version)
    }

    /// The partner has taken it and does it later. It is asked again, each time later, for as long as that is waited for; no such answer
    /// uses up a try.
    fn taken(&mut self, now: Timestamp, patience: Patience) {
        let since = *self.taken_time.get_or_insert(now);
        let until = later(since, patience.taken_for);
        self.denied_time = None;
        self.partner_code.clear();
        if now >= until {
            self.state = State::Dead;
            TAKEN_NOT_DONE.clone_into(&mut self.problem);
            return;
        }
        self.spare_tries(patience);
        self.state = State::OutcomeUnknown;
        TAKEN.clone_into(&mut self.problem);
        // The last time at the end of that time.
        self.due_time = later(now, until_asked_again(now.duration_since(since))).min(until);
    }

    /// Whether the partner has taken it and is still waited for.
    fn is_waited_for(&self, now: Timestamp, patience: Patience) -> bool {
        self.taken_time
            .is_some_and(|since| now < later(since, patience.taken_for))
    }

    /// The partner says that it does not have it, whatever it said before.
    fn denied(&mut self, now: Timestamp, patience: Patience) {
        if self.problem == TAKEN {
            NOT_THERE_YET.clone_into(&mut self.problem);
        }
        if self.attempts >= patience.most_attempts {
            self.state = State::Dead;
            return;
        }
        let since = *self.denied_time.get_or_insert(now);
        let believed = later(since, patience.believe_after);
        if now >= believed {
            // Known: it was not done. It may be sent again.
            self.state = State::Queued;
            self.due_time = now;
        } else {
            self.state = State::OutcomeUnknown;
            NOT_THERE_YET.clone_into(&mut self.problem);
            self.due_time = believed;
        }
    }

    fn acknowledge(&mut self, reference: &str) {
        self.state = State::Acknowledged;
        self.problem.clear();
        self.partner_code.clear();
        reference.clone_into(&mut self.reference);
    }

    fn fail(&mut self, problem: &str, code: &str) {
        self.state = State::Failed;
        problem.clone_into(&mut self.problem);
        code.clone_into(&mut self.partner_code);
    }

    /// This try came to nothing because the partner was away: it uses up none while the partner is waited for.
    fn wait_for_partner(
        &mut self,
        state: State,
        error: &CallError,
        now: Timestamp,
        wait: SignedDuration,
        patience: Patience,
    ) {
        if now < patience.wait_until || self.is_waited_for(now, patience) {
            self.spare_tries(patience);
        }
        self.try_later(state, error, now, wait, patience);
    }

    /// Uses up no try: some are left, however often it was tried.
    fn spare_tries(&mut self, patience: Patience) {
        let kept = patience.most_attempts.saturating_sub(KEPT_ATTEMPTS);
        self.attempts = self.attempts.min(kept.max(0));
    }

    fn try_later(&mut self, state: State, error: &CallError, now: Timestamp, wait: SignedDuration, patience: Patience) {
        self.state = if self.attempts >= patience.most_attempts {
            State::Dead
        } else {
            state
        };
        // Of what is given up when it was taken once, that it was taken says more than how the last question failed.
        let taken = self.state == State::Dead && state == State::OutcomeUnknown && self.taken_time.is_some();
        let problem = if taken { TAKEN_NOT_DONE } else { error.word() };
        problem.clone_into(&mut self.problem);
        self.partner_code = match error {
            CallError::Refused { code, .. } | CallError::NotSent(NotSent::RefusedBefore(code)) => code.clone(),
            _ => String::new(),
        };
        self.due_time = later(now, wait);
    }

    fn touch(&mut self, now: Timestamp) {
        self.version = self.version.saturating_add(1);
        self.update_time = now;
    }
}

/// The problem of what failed because the partner does not know the case that it is about.
pub(crate) const CASE_UNKNOWN: &str = "case_unknown";

/// The problem of what the partner said that it does not have, when that is not believed yet.
const NOT_THERE_YET: &str = "not_there_yet";
/// The problem of what the partner has taken and not done yet.
const TAKEN: &str = "taken";
/// The problem of what was given up because the partner, which had taken it, had not done it in the time for which that is waited for.
const TAKEN_NOT_DONE: &str = "taken_not_done";

/// So many tries are left, however long the partner was waited for: for what is lost with its process, and for doubts.
const KEPT_ATTEMPTS: i32 = 3;

/// The least and the longest time until a partner is asked again about what it has taken.
const SOONEST_ASKED: SignedDuration = SignedDuration::from_mins(1);
const LATEST_ASKED: SignedDuration = SignedDuration::from_hours(6);

/// When a partner that has had an act for so long is asked about it again: after half that time, so that what it does in an hour is known
/// soon, and what takes it days costs few questions.
fn until_asked_again(taken_for: SignedDuration) -> SignedDuration {
    (taken_for / 2).clamp(SOONEST_ASKED, LATEST_ASKED)
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_partners::outcome::Doubt;
    use proptest::prelude::*;

    const PATIENCE: Patience = Patience {
        lost_after: SignedDuration::from_secs(120),
        most_attempts: 3,
        wait_until: Timestamp::MIN,
        believe_after: SignedDuration::ZERO,
        taken_for: SignedDuration::from_hours(7 * 24),
    };
    const WAIT: SignedDuration = SignedDuration::from_secs(5);

    fn now() -> Timestamp {
        "2026-11-26T01:00:00Z".parse().unwrap()
    }

    fn delivery() -> Delivery {
        Delivery {
            id: Uuid::from_u128(1),
            unit_id: 2,
            partner: "payment-platform".to_owned(),
            act: "create_order".to_owned(),
            partner_key: "k".to_owned(),
            order_key: "k".to_owned(),
            contract: "sim-1".to_owned(),
            state: State::Queued,
            attempts: 0,
            problem: String::new(),
            partner_code: String::new(),
            reference: String::new(),
            subjects: Vec::new(),
            denied_time: None,
            taken_time: None,
            content_digest: String::new(),
            due_time: now(),
            version: 1,
            create_time: now(),
            update_time: now(),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is the answer of a question that may fail")]
    fn done() -> Result<Option<Answer<String>>, CallError> {
        Ok(Some(Answer::Done("r".to_owned())))
    }

    #[test]
    fn what_was_sent_without_a_word_is_asked_about_and_not_sent_again() {
        let mut delivery = delivery();
        assert_eq!(delivery.begin(now(), PATIENCE), Some(Next::Send));
        assert_eq!(delivery.begin(now(), PATIENCE), None, "somebody is at it");
        let later = now() + PATIENCE.lost_after;
        assert_eq!(delivery.begin(later, PATIENCE), Some(Next::Ask));
        delivery.asked(&Ok(None), later, WAIT, PATIENCE);
        assert_eq!(delivery.begin(later, PATIENCE), Some(Next::Send));
    }

    #[test]
    fn that_the_partner_does_not_have_it_is_believed_when_it_says_so_twice() {
        let doubtful = Patience {
            most_attempts: 9,
            believe_after: SignedDuration::from_secs(120),
            ..PATIENCE
        };
        let mut delivery = delivery();
        let mut at = now();
        for _ in 0..2 {
            assert_eq!(delivery.begin(at, doubtful), Some(Next::Send));
            delivery.sent(&Err(CallError::Unknown(Doubt::TimedOut)), at, WAIT, doubtful);
            at += WAIT;
            assert_eq!(delivery.begin(at, doubtful), Some(Next::Ask));
            delivery.asked(&Ok(None), at, WAIT, doubtful);
            assert_eq!(
                (delivery.state, delivery.problem.as_str()),
                (State::OutcomeUnknown, "not_there_yet")
            );
            assert_eq!(delivery.begin(at + WAIT, doubtful), None, "it may take it late");
            at += doubtful.believe_after;
            assert_eq!(delivery.begin(at, doubtful), Some(Next::Ask));
            delivery.asked(&Ok(None), at, WAIT, doubtful);
        }
        // The second time it was asked in vain once more, and then it has it.
        assert_eq!(delivery.begin(at, doubtful), Some(Next::Send));
        delivery.sent(&Err(CallError::Unknown(Doubt::CutOff)), at, WAIT, doubtful);
        assert_eq!(delivery.begin(at + WAIT, doubtful), Some(Next::Ask));
        delivery.asked(&done(), at + WAIT, WAIT, doubtful);
        assert_eq!(delivery.state, State::Acknowledged);
    }

    #[test]
    fn a_refusal_is_final_and_a_redrive_asks_first() {
        let mut delivery = delivery();
        delivery.begin(now(), PATIENCE);
        delivery.sent(&Err(CallError::refused("7", "")), now(), WAIT, PATIENCE);
        assert_eq!((delivery.state, delivery.partner_code.as_str()), (State::Failed, "7"));
        assert_eq!(delivery.begin(now(), PATIENCE), None);
        assert!(delivery.redrive(now()));
        assert!(!delivery.redrive(now()));
        assert_eq!(delivery.begin(now(), PATIENCE), Some(Next::Ask));
    }

    /// The partner is waited for three days.
    fn waiting() -> Patience {
        Patience {
            most_attempts: 12,
            wait_until: now() + SignedDuration::from_hours(72),
            ..PATIENCE
        }
    }

    #[test]
    fn while_the_partner_is_waited_for_what_did_not_reach_it_is_not_given_up() {
        let waiting = waiting();
        let away = CallError::NotSent(NotSent::NoConnection);
        let barred = CallError::refused("http_403", "").before_sending();
        for (doubtful, error) in [(false, &away), (false, &barred), (true, &away), (true, &barred)] {
            let mut delivery = delivery();
            let mut at = now();
            if doubtful {
                delivery.begin(at, waiting);
                delivery.sent(&Err(CallError::Unknown(Doubt::TimedOut)), at, WAIT, waiting);
            }
            let hour = SignedDuration::from_hours(1);
            let mut tries = 0;
            while delivery.state.is_open() {
                at += hour;
                match delivery.begin(at, waiting) {
                    Some(Next::Send) => delivery.sent(&Err(error.clone()), at, hour, waiting),
                    Some(Next::Ask) => delivery.asked(&Err(error.clone()), at, hour, waiting),
                    other => panic!("{other:?}"),
                }
                tries += 1;
            }
            assert!((72..=80).contains(&tries), "{tries} tries, an hour each");
            assert_eq!(delivery.state, State::Dead);
            let code = if *error == barred { "http_403" } else { "" };
            assert_eq!(
                (delivery.problem.as_str(), delivery.partner_code.as_str()),
                (error.word(), code)
            );
        }
    }

    #[test]
    fn who_is_sent_to_and_does_not_answer_is_waited_for_and_who_answers_nothing_that_is_believed_is_not() {
        let hour = SignedDuration::from_hours(1);
        for (doubt, expected) in [
            (Doubt::TimedOut, 72..=84),
            (Doubt::CutOff, 72..=84),
            (Doubt::Failed(503), 72..=84),
            (Doubt::BadSignature, 7..=7),
            (Doubt::UnknownCode("77".to_owned()), 7..=7),
        ] {
            let (mut delivery, mut at, mut hours) = (delivery(), now(), 0);
            while delivery.state.is_open() {
                // Whenever it is asked, the partner says that it does not have it.
                while let Some(next) = delivery.begin(at, waiting()) {
                    match next {
                        Next::Send => delivery.sent(&Err(CallError::Unknown(doubt.clone())), at, hour, waiting()),
                        Next::Ask => delivery.asked(&Ok(None), at, hour, waiting()),
                        Next::GiveUp => break,
                    }
                }
                at += hour;
                hours += 1;
            }
            assert!(expected.contains(&hours), "{doubt:?}: {hours} hours");
            assert_eq!(delivery.state, State::Dead, "{doubt:?}");
        }
    }

    #[test]
    fn what_failed_for_want_of_its_case_is_sent_when_the_case_is_there_and_nothing_else_is() {
        let mut delivery = delivery();
        let unknown = CallError::NotSent(NotSent::CaseUnknown);
        assert_eq!(unknown.word(), CASE_UNKNOWN);
        assert!(!delivery.follow_case(now()), "it is on its way");
        delivery.begin(now(), PATIENCE);
        delivery.sent(&Err(unknown), now(), WAIT, PATIENCE);
        assert_eq!(
            (delivery.state, delivery.problem.as_str()),
            (State::Failed, CASE_UNKNOWN)
        );
        assert!(delivery.follow_case(now()) && !delivery.follow_case(now()));
        assert_eq!(delivery.begin(now(), PATIENCE), Some(Next::Send));
        delivery.sent(&Err(CallError::refused("02", "")), now(), WAIT, PATIENCE);
        assert!(!delivery.follow_case(now()), "a refusal is final");
    }

    #[test]
    fn what_takes_its_process_down_again_and_again_is_given_up() {
        let mut delivery = delivery();
        let mut at = now();
        for _ in 0..PATIENCE.most_attempts {
            delivery.begin(at, PATIENCE).unwrap();
            at += PATIENCE.lost_after;
        }
        assert_eq!(delivery.begin(at, PATIENCE), Some(Next::GiveUp));
        assert_eq!((delivery.state, delivery.problem.as_str()), (State::Dead, "lost"));
    }

    #[test]
    fn what_the_partner_has_taken_is_asked_about_ever_more_rarely_and_given_up_when_its_time_is_over() {
        let mut delivery = delivery();
        let mut pauses = Vec::new();
        delivery.begin(now(), PATIENCE);
        delivery.sent(&Ok(Answer::Taken), now(), WAIT, PATIENCE);
        while delivery.state.is_open() {
            assert_eq!(
                (delivery.state, delivery.problem.as_str()),
                (State::OutcomeUnknown, TAKEN)
            );
            let at = delivery.due_time;
            pauses.push(at.duration_since(delivery.update_time));
            assert_eq!(delivery.begin(at, PATIENCE), Some(Next::Ask));
            delivery.asked(&Ok(Some(Answer::Taken)), at, WAIT, PATIENCE);
        }
        assert_eq!(
            (delivery.state, delivery.problem.as_str()),
            (State::Dead, TAKEN_NOT_DONE)
        );
        let end = now() + PATIENCE.taken_for;
        assert_eq!(delivery.update_time, end, "not before, and not later");
        // The last pause is what was left of the time.
        let (_, growing) = pauses.split_last().unwrap();
        assert!(growing.is_sorted() && growing.len() < 50, "{growing:?}");
        assert_eq!((growing[0], *growing.last().unwrap()), (SOONEST_ASKED, LATEST_ASKED));
        // Whoever sends it again has it waited for anew; and what is done is done.
        assert!(delivery.redrive(end));
        assert_eq!(delivery.begin(end, PATIENCE), Some(Next::Ask));
        delivery.asked(&Ok(Some(Answer::Taken)), end, WAIT, PATIENCE);
        assert_eq!(delivery.state, State::OutcomeUnknown);
        let at = delivery.due_time;
        assert_eq!(delivery.begin(at, PATIENCE), Some(Next::Ask));
        delivery.asked(&done(), at, WAIT, PATIENCE);
        assert_eq!((delivery.state, delivery.problem.as_str()), (State::Acknowledged, ""));
    }

    #[test]
    fn what_the_partner_has_lost_after_it_took_it_is_sent_again_and_not_waited_for_anew() {
        let mut delivery = delivery();
        delivery.begin(now(), PATIENCE);
        delivery.sent(&Ok(Answer::Taken), now(), WAIT, PATIENCE);
        let at = delivery.due_time;
        delivery.begin(at, PATIENCE);
        delivery.asked(&Ok(None), at, WAIT, PATIENCE);
        assert_eq!(
            (delivery.state, delivery.problem.as_str()),
            (State::Queued, NOT_THERE_YET)
        );
        assert_eq!(delivery.begin(at, PATIENCE), Some(Next::Send));
        delivery.sent(&Ok(Answer::Taken), at, WAIT, PATIENCE);
        assert_eq!(delivery.taken_time, Some(now()));
    }

    fn results() -> impl Strategy<Value = Result<Option<Answer<String>>, CallError>> {
        prop_oneof![
            Just(done()),
            Just(Ok(Some(Answer::Taken))),
            Just(Ok(None)),
            Just(Err(CallError::refused("7", ""))),
            Just(Err(CallError::NotSent(NotSent::NoConnection))),
            Just(Err(CallError::NotSent(NotSent::Unsendable("x")))),
            Just(Err(CallError::Unknown(Doubt::CutOff))),
            Just(Err(CallError::Unknown(Doubt::TimedOut))),
        ]
    }

    fn taken_or_unanswered() -> impl Strategy<Value = Result<Option<Answer<String>>, CallError>> {
        prop_oneof![
            3 => Just(Ok(Some(Answer::Taken))),
            1 => Just(Err(CallError::Unknown(Doubt::TimedOut))),
            1 => Just(Err(CallError::Unknown(Doubt::BadSignature))),
            1 => Just(Err(CallError::NotSent(NotSent::NoConnection))),
        ]
    }

    proptest! {
        /// After a doubt nothing is sent before the partner has said that it does not have it, and again after the pause, if there is one.
        #[test]
        fn nothing_is_sent_twice_without_being_known_not_to_have_been_done(
            steps in proptest::collection::vec((results(), any::<bool>()), 1..40), pause in 0_i64..20,
        ) {
            let patience = Patience { believe_after: SignedDuration::from_secs(pause), most_attempts: 6, ..PATIENCE };
            let mut denied_first = None;
            let mut delivery = delivery();
            let mut at = now();
            let mut may_have_been_done = false;
            for (result, lost) in steps {
                let Some(next) = delivery.begin(at, patience) else {
                    if !delivery.state.is_open() {
                        if !delivery.redrive(at) {
                            break;
                        }
                        denied_first = None;
                    }
                    at += patience.lost_after;
                    continue;
                };
                if next == Next::GiveUp {
                    continue;
                }
                if next == Next::Send {
                    prop_assert!(!may_have_been_done);
                    may_have_been_done = true;
                    denied_first = None;
                }
                if lost {
                    at += patience.lost_after;
                    continue;
                }
                match next {
                    Next::Send => {
                        let known = matches!(&result, Err(CallError::NotSent(_) | CallError::Refused { .. }));
                        may_have_been_done &= !known;
                        let result = result.map(|said| said.unwrap_or_else(|| Answer::Done("r".to_owned())));
                        delivery.sent(&result, at, WAIT, patience);
                    }
                    Next::GiveUp => {}
                    Next::Ask => {
                        match &result {
                            Ok(None) => {
                                let since = *denied_first.get_or_insert(at);
                                may_have_been_done &= at < since + patience.believe_after;
                            }
                            Ok(Some(Answer::Taken)) => denied_first = None,
                            Ok(Some(Answer::Done(_))) | Err(_) => {}
                        }
                        delivery.asked(&result, at, WAIT, patience);
                    }
                }
                prop_assert!(delivery.attempts <= patience.most_attempts);
                at += WAIT;
            }
        }

        /// However often the question about it comes to nothing in between.
        #[test]
        fn what_is_taken_is_only_asked_about_not_given_up_before_its_time_and_not_kept_long_after_it(
            days in 1_i64..10,
            answers in proptest::collection::vec(taken_or_unanswered(), 1..8),
        ) {
            let hour = SignedDuration::from_hours(1);
            let patience = Patience { taken_for: SignedDuration::from_hours(24 * days), most_attempts: 6, ..PATIENCE };
            let until = now() + patience.taken_for;
            let mut delivery = delivery();
            delivery.begin(now(), patience);
            delivery.sent(&Ok(Answer::Taken), now(), hour, patience);
            for answer in answers.iter().cycle() {
                if !delivery.state.is_open() {
                    break;
                }
                let (before, at) = (delivery.update_time, delivery.due_time);
                prop_assert!(at > before && at <= before + LATEST_ASKED);
                prop_assert_eq!(delivery.begin(at, patience), Some(Next::Ask));
                delivery.asked(answer, at, hour, patience);
                prop_assert!(delivery.state.is_open() || at >= until);
                prop_assert!(at <= until + hour * KEPT_ATTEMPTS);
            }
            prop_assert_eq!((delivery.state, delivery.problem.as_str()), (State::Dead, TAKEN_NOT_DONE));
        }
    }
}
