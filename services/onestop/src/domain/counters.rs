//! Quầy giao dịch: groups of counters, their queues, and what may be done with a ticket.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::pack::Profile;
use super::reports::{CentreRules, Priority};

/// Comes after every priority.
pub const NO_PRIORITY: i16 = i16::MAX;

/// Nhóm quầy with one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterGroup {
    /// Id.
    pub group_id: Uuid,
    /// Whose counters.
    pub unit_id: i32,
    /// Its code within the unit.
    pub code: String,
    /// Its name.
    pub name: String,
    /// The letter of its tickets.
    pub letter: String,
    /// Counters are numbered from 1 to this.
    pub counters: i32,
    /// Whether tickets are given.
    pub open: bool,
    /// From 1.
    pub version: i64,
}

impl CounterGroup {
    /// The etag of this version.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.version, &self.group_id.simple().to_string()[20..])
    }
}

/// Trạng thái of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    /// Đang chờ.
    Waiting = 1,
    /// Đã gọi.
    Called = 2,
    /// Bỏ qua.
    Skipped = 3,
    /// Xong.
    Finished = 4,
}

impl TicketState {
    /// The number under which it is stored.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The state of a number.
    pub const fn of_code(code: i16) -> Option<Self> {
        match code {
            1 => Some(Self::Waiting),
            2 => Some(Self::Called),
            3 => Some(Self::Skipped),
            4 => Some(Self::Finished),
            _ => None,
        }
    }
}

/// Phiếu số thứ tự. It names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Id.
    pub ticket_id: Uuid,
    /// Whose counters.
    pub unit_id: i32,
    /// The group.
    pub group_id: Uuid,
    /// The day.
    pub day: Date,
    /// Of the day, from 1.
    pub number: i32,
    /// As it was printed.
    pub label: String,
    /// Code of the priority, or empty.
    pub priority: String,
    /// Of the priority when the ticket was taken.
    pub rank: i16,
    /// Trạng thái.
    pub state: TicketState,
    /// Where it was called to.
    pub counter: Option<i32>,
    /// How often it was called.
    pub calls: i32,
    /// When it was taken.
    pub take_time: Timestamp,
    /// When it was called last.
    pub call_time: Option<Timestamp>,
    /// When it was finished.
    pub finish_time: Option<Timestamp>,
    /// From 1; grows with every act.
    pub version: i64,
}

/// What may be done with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketAct {
    /// Gọi số.
    Call {
        /// To which counter.
        counter: i32,
    },
    /// Gọi lại, also one that was skipped.
    Recall {
        /// To which counter.
        counter: i32,
    },
    /// Bỏ qua.
    Skip,
    /// Xong.
    Finish,
}

impl TicketAct {
    /// Its name in the history.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call { .. } => "call",
            Self::Recall { .. } => "recall",
            Self::Skip => "skip",
            Self::Finish => "finish",
        }
    }
}

/// The state of a ticket does not allow the act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{act} is not allowed in state {state:?}")]
pub struct NotInState {
    /// What was tried.
    pub act: &'static str,
    /// The state it is in.
    pub state: TicketState,
}

/// What a ticket is called: A007.
pub fn label(letter: &str, number: i32) -> String {
    format!("{letter}{number:03}")
}

impl Ticket {
    /// The ticket after an act, or why it is not done.
    pub fn after(&self, act: TicketAct, now: Timestamp) -> Result<Self, NotInState> {
        use TicketState as S;
        let mut after = self.clone();
        match (act, self.state) {
            (TicketAct::Call { counter }, S::Waiting) | (TicketAct::Recall { counter }, S::Called | S::Skipped) => {
                after.state = S::Called;
                after.counter = Some(counter);
                after.calls = after.calls.saturating_add(1);
                after.call_time = Some(now);
            }
            (TicketAct::Skip, S::Called) => after.state = S::Skipped,
            (TicketAct::Finish, S::Called) => {
                after.state = S::Finished;
                after.finish_time = Some(now);
            }
            (act, state) => {
                return Err(NotInState { act: act.name(), state });
            }
        }
        after.version = after.version.saturating_add(1);
        Ok(after)
    }
}

/// Why a priority does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriorityRefused {
    /// The rules know none of this code.
    #[error("no priority {0}")]
    Unknown(String),
    /// Nobody has confirmed or decided it.
    #[error("priority {0} is not decided")]
    NotDecided(String),
}

/// The rank of a priority by the rules in force: by law only, which is data. A demonstration shows what is unconfirmed; production does
/// not call anybody first by a rule that nobody stands for.
pub fn rank(rules: Option<&CentreRules>, code: &str, profile: Profile) -> Result<i16, PriorityRefused> {
    if code.is_empty() {
        return Ok(NO_PRIORITY);
    }
    let known = |priority: &&Priority| priority.code == code;
    let priority = rules
        .and_then(|rules| rules.priority.iter().find(known))
        .ok_or_else(|| PriorityRefused::Unknown(code.to_owned()))?;
    if profile == Profile::Production && !priority.fact.is_settled(profile) {
        return Err(PriorityRefused::NotDecided(code.to_owned()));
    }
    Ok(priority.rank)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            ticket_id: Uuid::nil(),
            unit_id: 1,
            group_id: Uuid::nil(),
            day: jiff::civil::date(2026, 11, 23),
            number: 7,
            label: label("A", 7),
            priority: String::new(),
            rank: NO_PRIORITY,
            state: TicketState::Waiting,
            counter: None,
            calls: 0,
            take_time: Timestamp::UNIX_EPOCH,
            call_time: None,
            finish_time: None,
            version: 1,
        }
    }

    fn any_act() -> impl Strategy<Value = TicketAct> {
        prop_oneof![
            (1..5).prop_map(|counter| TicketAct::Call { counter }),
            (1..5).prop_map(|counter| TicketAct::Recall { counter }),
            Just(TicketAct::Skip),
            Just(TicketAct::Finish),
        ]
    }

    proptest! {
        #[test]
        fn a_ticket_is_called_once_and_is_finished_only_by_who_called_it(acts in prop::collection::vec(any_act(), 0..12)) {
            let mut ticket = ticket();
            let (mut done, mut calls) = (1, 0);
            for act in acts {
                let Ok(after) = ticket.after(act, Timestamp::UNIX_EPOCH) else { continue };
                done += 1;
                prop_assert_eq!(after.version, done);
                if matches!(act, TicketAct::Call { .. } | TicketAct::Recall { .. }) {
                    calls += 1;
                }
                prop_assert!(ticket.state != TicketState::Finished, "nothing follows the end");
                prop_assert!(!matches!(act, TicketAct::Call { .. }) || calls == 1, "called a second time as if it waited");
                prop_assert_eq!(after.calls, calls);
                prop_assert_eq!(after.counter.is_some(), calls > 0);
                ticket = after;
            }
        }
    }

    #[test]
    fn numbers_are_printed_with_three_digits_and_more_if_they_must() {
        assert_eq!(label("A", 7), "A007");
        assert_eq!(label("B", 1_234), "B1234");
    }
}
