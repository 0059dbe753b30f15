//! Thời hạn của bộ phận tiếp nhận: until when a case that was filed online is answered, and until when one that was taken in goes to who handles
//! it. Both are dated data with a status ([`DeadlineRules`]); where nobody says them, there are none. They are shown to the office and change
//! nothing: the due date of the case is another one, and no act is refused because one of these has passed.

use egov_calendar::{CalendarError, Language, Period, WorkCalendar, vietnam_instant, vietnam_time};
use jiff::Timestamp;
use jiff::civil::{Date, Time};

use super::case::{Basis, Text};
use super::deadline::basis_of;
use super::deadline_rules::{AnswerRule, DeadlineRules, TransferRule};
use super::pack::Channel;
use super::transitions::State;

/// What the reception owes in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Trả lời hồ sơ nộp trực tuyến: taken in, asked to be completed, or refused.
    Answer,
    /// Chuyển hồ sơ đến cơ quan, bộ phận giải quyết.
    Transfer,
}

/// How a case stands with its reception.
#[derive(Debug, Clone, Copy)]
pub struct Reception {
    /// How it was filed.
    pub channel: Channel,
    /// Where it stands.
    pub state: State,
    /// Thời điểm nộp.
    pub submitted: Timestamp,
    /// Thời điểm tiếp nhận.
    pub accepted: Option<Timestamp>,
    /// When it was first taken in, asked to be completed, or refused, if that is recorded.
    pub answered: Option<Timestamp>,
    /// When it was first given to who handles it, if that is recorded.
    pub transferred: Option<Timestamp>,
}

/// Until when something is owed, and since when it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceptionDeadline {
    /// What.
    pub duty: Duty,
    /// Counted from this instant.
    pub from: Timestamp,
    /// Due.
    pub due: Timestamp,
    /// When it was done; none while it is not.
    pub done: Option<Timestamp>,
    /// Done later, or not done by now.
    pub late: bool,
    /// The article.
    pub legal_basis: String,
    /// How it is established.
    pub basis: Basis,
    /// The arithmetic, day by day.
    pub days: Vec<Text>,
}

/// Until when a case that was filed online is answered.
///
/// # Errors
/// Days that the calendar does not cover.
pub fn answer_due(
    calendar: &WorkCalendar,
    rule: &AnswerRule,
    submitted: Timestamp,
) -> Result<egov_calendar::Deadline, CalendarError> {
    counted(calendar, submitted, Period::WorkingHours(rule.working_hours), None)
}

/// Until when a case that was taken in goes to who handles it: the close of the office on that day. The start of the next day, of which the
/// rule is said to speak, is no hour that somebody could be late by.
///
/// # Errors
/// Days that the calendar does not cover.
pub fn transfer_due(
    calendar: &WorkCalendar,
    rule: &TransferRule,
    accepted: Timestamp,
) -> Result<egov_calendar::Deadline, CalendarError> {
    counted(calendar, accepted, Period::SameDay, Some(rule.cut_off))
}

/// Nothing pauses either: what pauses a case comes after the answer, or after the transfer.
fn counted(
    calendar: &WorkCalendar,
    from: Timestamp,
    period: Period,
    cut_off: Option<Time>,
) -> Result<egov_calendar::Deadline, CalendarError> {
    let received = vietnam_time(from);
    let rules = calendar.rules(received.date())?.with_cut_off(cut_off);
    egov_calendar::deadline(calendar, received, period, &rules, &[])
}

/// What the reception owes of a case, or owed. Which rules hold is asked for the day from which is counted. Of what is neither owed any more nor
/// recorded as done (a case that was withdrawn before, or came from an old system) nothing is said.
pub fn reception_deadlines<'r>(
    calendar: &WorkCalendar,
    rules_on: impl Fn(Date) -> Option<&'r DeadlineRules>,
    reception: &Reception,
    now: Timestamp,
) -> Vec<ReceptionDeadline> {
    let rules_of = |from: Timestamp| rules_on(vietnam_time(from).date());
    let told = |duty, from, done: Option<Timestamp>, found: egov_calendar::Deadline, basis: String, fact| {
        let due = vietnam_instant(found.due).ok()?;
        let days = found
            .explanation
            .iter()
            .map(|note| Text {
                vi: note.text(Language::Vietnamese),
                en: note.text(Language::English),
            })
            .collect();
        Some(ReceptionDeadline {
            duty,
            from,
            due,
            done,
            late: done.unwrap_or(now) > due,
            legal_basis: basis,
            basis: basis_of(fact),
            days,
        })
    };
    let answer = || {
        let (from, done) = (reception.submitted, reception.answered);
        let owed = done.is_some() || reception.state == State::Registered;
        let rule = rules_of(from)?.answer.as_ref()?;
        if reception.channel != Channel::Online || !owed {
            return None;
        }
        let found = answer_due(calendar, rule, from).ok()?;
        told(Duty::Answer, from, done, found, rule.legal_basis.clone(), &rule.fact)
    };
    let transfer = || {
        let (from, done) = (reception.accepted?, reception.transferred);
        let owed = done.is_some() || reception.state == State::Accepted;
        let rule = rules_of(from)?.transfer.as_ref()?;
        if !owed {
            return None;
        }
        let found = transfer_due(calendar, rule, from).ok()?;
        told(Duty::Transfer, from, done, found, rule.legal_basis.clone(), &rule.fact)
    };
    answer().into_iter().chain(transfer()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::LazyLock;

    use jiff::SignedDuration;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    static CALENDAR: LazyLock<WorkCalendar> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/calendar");
        WorkCalendar::read(&folder).unwrap()
    });

    static RULES: LazyLock<DeadlineRules> = LazyLock::new(|| {
        let pack = include_str!("../../../../deploy/packs/deadlines/deadlines-2025.toml");
        DeadlineRules::from_toml(pack).unwrap()
    });

    fn at(text: &str) -> Timestamp {
        format!("{text}+07:00").parse().unwrap()
    }

    fn registered(submitted: Timestamp) -> Reception {
        Reception {
            channel: Channel::Online,
            state: State::Registered,
            submitted,
            accepted: None,
            answered: None,
            transferred: None,
        }
    }

    fn told(reception: &Reception, now: Timestamp) -> Vec<(Duty, Timestamp, bool)> {
        let found = reception_deadlines(&CALENDAR, |_| Some(&*RULES), reception, now);
        found.iter().map(|one| (one.duty, one.due, one.late)).collect()
    }

    /// 24/11/2026 is a day off; the office works 07:30 to 11:30 and 13:30 to 17:00.
    #[test]
    fn an_online_filing_is_answered_within_eight_working_hours_and_handed_on_the_same_day_or_after_three_the_next() {
        let filed = at("2026-11-23T16:00:00");
        // One hour is left of Monday; the other seven are on Wednesday, which has seven and a half.
        let due = at("2026-11-25T16:30:00");
        let open = registered(filed);
        assert_eq!(told(&open, due), [(Duty::Answer, due, false)]);
        let later = due + SignedDuration::from_secs(1);
        assert_eq!(told(&open, later), [(Duty::Answer, due, true)]);
        let counter = Reception {
            channel: Channel::Counter,
            ..open
        };
        assert!(told(&counter, later).is_empty());

        for (accepted, day) in [
            ("2026-11-23T15:00:00", date(2026, 11, 23)),
            ("2026-11-23T15:00:01", date(2026, 11, 25)),
            ("2026-11-24T09:00:00", date(2026, 11, 25)),
        ] {
            let accepted = at(accepted);
            let close = vietnam_instant(CALENDAR.close(day)).unwrap();
            let taken_in = Reception {
                state: State::Accepted,
                accepted: Some(accepted),
                answered: Some(accepted),
                ..open
            };
            assert_eq!(told(&taken_in, close)[1], (Duty::Transfer, close, false));
            let after = close + SignedDuration::from_secs(1);
            assert_eq!(told(&taken_in, after)[1], (Duty::Transfer, close, true));
            let handed_on = Reception {
                state: State::Processing,
                transferred: Some(close),
                ..taken_in
            };
            assert!(
                told(&handed_on, after).iter().all(|(.., late)| !late),
                "done in time stays so"
            );
        }
    }

    #[test]
    fn of_what_nobody_says_or_recorded_nothing_is_told() {
        let filed = at("2026-11-23T16:00:00");
        let withdrawn = Reception {
            state: State::Withdrawn,
            ..registered(filed)
        };
        assert!(told(&withdrawn, at("2026-12-23T16:00:00")).is_empty());
        let imported = Reception {
            state: State::Processing,
            accepted: Some(filed),
            ..registered(filed)
        };
        assert!(told(&imported, at("2026-12-23T16:00:00")).is_empty());
        let silent = DeadlineRules {
            answer: None,
            transfer: None,
            ..RULES.clone()
        };
        for rules in [None, Some(&silent)] {
            let taken_in = Reception {
                state: State::Accepted,
                accepted: Some(filed),
                ..registered(filed)
            };
            let found = reception_deadlines(&CALENDAR, |_| rules, &taken_in, filed);
            assert!(found.is_empty());
        }
        let found = reception_deadlines(&CALENDAR, |_| Some(&*RULES), &registered(filed), filed);
        assert_eq!(found[0].basis.status, "unconfirmed");
        assert!(!found[0].days.is_empty());
    }

    proptest! {
        /// Later filed is never earlier due, nothing is due before it began or outside the hours of the office, and how the case stands
        /// changes no due date.
        #[test]
        fn whoever_comes_later_is_not_due_earlier(second in 0_i64..31_536_000, more in 0_i64..2_000_000) {
            let first = at("2026-01-05T00:00:00") + SignedDuration::from_secs(second);
            let then = first + SignedDuration::from_secs(more);
            let (answer, transfer) = (RULES.answer.as_ref().unwrap(), RULES.transfer.as_ref().unwrap());
            let dues = |from| {
                [answer_due(&CALENDAR, answer, from).unwrap().due, transfer_due(&CALENDAR, transfer, from).unwrap().due]
            };
            let (of_first, of_then) = (dues(first), dues(then));
            for (one, other) in of_first.into_iter().zip(of_then) {
                prop_assert!(one <= other);
                prop_assert!(CALENDAR.is_working_day(one.date()).unwrap());
                prop_assert!(one <= CALENDAR.close(one.date()) && one > CALENDAR.opening(one.date()));
            }
            prop_assert!(of_first[0] > vietnam_time(first));
            prop_assert!(of_first[1].date() >= vietnam_time(first).date());
            let mut reception = registered(first);
            (reception.state, reception.accepted) = (State::Accepted, Some(first));
            (reception.answered, reception.transferred) = (Some(then), Some(then));
            let found = reception_deadlines(&CALENDAR, |_| Some(&*RULES), &reception, then);
            let found: Vec<_> = found.iter().map(|one| (vietnam_time(one.due), one.late)).collect();
            let at = vietnam_time(then);
            prop_assert_eq!(found, of_first.map(|due| (due, at > due)).to_vec());
        }
    }
}
