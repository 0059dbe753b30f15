//! Chuyển trạng thái: which act leads from which national state to which.
//!
//! The states and their transitions are dated data (`deploy/packs/transitions/`); this module reads them strictly
//! and answers one question: what follows. A case keeps the set that its procedure's version names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::work::internal::{InternalStep, InternalStepFault, check_internal};

/// Trạng thái hồ sơ: the national synchronisation code, 1 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i16", into = "i16")]
pub enum State {
    /// 1 Mới đăng ký.
    Registered = 1,
    /// 2 Được tiếp nhận.
    Accepted = 2,
    /// 3 Không được tiếp nhận.
    Rejected = 3,
    /// 4 Đang xử lý.
    Processing = 4,
    /// 5 Yêu cầu bổ sung giấy tờ.
    SupplementRequested = 5,
    /// 6 Yêu cầu thực hiện nghĩa vụ tài chính.
    PaymentRequested = 6,
    /// 7 Công dân yêu cầu rút hồ sơ.
    Withdrawn = 7,
    /// 8 Dừng xử lý.
    Stopped = 8,
    /// 9 Đã xử lý xong.
    Completed = 9,
    /// 10 Đã trả kết quả.
    Returned = 10,
}

impl State {
    /// All states, by code.
    pub const ALL: [Self; 10] = [
        Self::Registered,
        Self::Accepted,
        Self::Rejected,
        Self::Processing,
        Self::SupplementRequested,
        Self::PaymentRequested,
        Self::Withdrawn,
        Self::Stopped,
        Self::Completed,
        Self::Returned,
    ];

    /// The national code.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// True while the clock of the deadline stands still: a supplement or a payment is awaited.
    ///
    /// The reporting group "paused" holds 8 as well, but nothing is due after 8.
    pub const fn pauses_clock(self) -> bool {
        matches!(self, Self::SupplementRequested | Self::PaymentRequested)
    }
}

/// A number that is no national state code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no national state code (1 to 10)")]
pub struct UnknownState(pub i16);

impl TryFrom<i16> for State {
    type Error = UnknownState;

    fn try_from(code: i16) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.code() == code)
            .ok_or(UnknownState(code))
    }
}

impl From<State> for i16 {
    fn from(state: State) -> Self {
        state.code()
    }
}

/// What is done to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Tiếp nhận.
    Accept,
    /// Từ chối tiếp nhận.
    Reject,
    /// Yêu cầu bổ sung.
    RequestSupplement,
    /// Bổ sung.
    Supply,
    /// Phân công.
    Assign,
    /// A finer step of the procedure.
    RecordStep,
    /// Phê duyệt.
    Approve,
    /// Dừng xử lý.
    Stop,
    /// Rút hồ sơ.
    Withdraw,
    /// Trả kết quả.
    ReturnResult,
    /// Trả lại bước trước: an earlier step is to be done again.
    SendBack,
    /// Yêu cầu thực hiện nghĩa vụ tài chính: fees are asked for, by no step of the procedure.
    RequestPayment,
    /// The fees that were asked for are paid.
    SettlePayment,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 13] = [
        Self::Accept,
        Self::Reject,
        Self::RequestSupplement,
        Self::Supply,
        Self::Assign,
        Self::RecordStep,
        Self::Approve,
        Self::Stop,
        Self::Withdraw,
        Self::ReturnResult,
        Self::SendBack,
        Self::RequestPayment,
        Self::SettlePayment,
    ];

    /// The name in packs, history and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::RequestSupplement => "request_supplement",
            Self::Supply => "supply",
            Self::Assign => "assign",
            Self::RecordStep => "record_step",
            Self::Approve => "approve",
            Self::Stop => "stop",
            Self::Withdraw => "withdraw",
            Self::ReturnResult => "return_result",
            Self::SendBack => "send_back",
            Self::RequestPayment => "request_payment",
            Self::SettlePayment => "settle_payment",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An act that the state does not allow, with those that it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} is not allowed in state {}", state.code())]
pub struct Refused {
    /// What was tried.
    pub operation: Operation,
    /// In which state.
    pub state: State,
    /// What is allowed there, and where it leads.
    pub allowed: Vec<(Operation, State)>,
}

/// What is wrong with a pack of transitions.
#[derive(Debug, thiserror::Error)]
pub enum TransitionsError {
    /// The text is not TOML of this shape.
    #[error("the transitions cannot be read: {0}")]
    Malformed(#[from] toml::de::Error),
    /// The states are not exactly 1 to 10.
    #[error("the states must be 1 to 10, each once; missing or repeated: {0:?}")]
    States(Vec<i16>),
    /// A transition leaves a final state.
    #[error("{operation} leaves the final state {}", from.code())]
    LeavesFinal {
        /// The operation.
        operation: Operation,
        /// The final state.
        from: State,
    },
    /// A final state is one from which nothing leads on, and only that.
    #[error("nothing leads on from state {}, but it is not marked final", .0.code())]
    DeadEnd(State),
    /// The same operation leads from the same state to two others, and it is not a step.
    #[error("{operation} from state {} leads to several states", from.code())]
    Ambiguous {
        /// The operation.
        operation: Operation,
        /// The state.
        from: State,
    },
    /// The internal steps contradict each other or the states.
    #[error(transparent)]
    Internal(#[from] InternalStepFault),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pack {
    name: String,
    effective_from: Date,
    #[serde(default)]
    effective_to: Option<Date>,
    codes: Source,
    rules: Source,
    state: Vec<StateEntry>,
    transition: Vec<TransitionEntry>,
    /// A pack that was imported before there were internal steps has none.
    #[serde(default)]
    internal_step: Vec<InternalStep>,
}

/// Where a part of the pack comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// confirmed, unconfirmed or decided.
    pub status: String,
    /// The source in words.
    pub source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateEntry {
    code: State,
    name: String,
    name_en: String,
    group: Group,
    #[serde(default, rename = "final")]
    is_final: bool,
}

/// The reporting group of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Not yet taken in.
    New,
    /// Từ chối tiếp nhận.
    Refused,
    /// Đang xử lý.
    InProcess,
    /// Tạm dừng.
    Paused,
    /// Đã xử lý.
    Processed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TransitionEntry {
    operation: Operation,
    from: State,
    to: State,
    #[serde(default)]
    entered_from: Option<State>,
}

/// The names of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateInfo {
    /// Vietnamese.
    pub name: String,
    /// English.
    pub name_en: String,
    /// Reporting group.
    pub group: Group,
    /// True if nothing follows.
    pub is_final: bool,
}

/// One dated set of states and transitions.
#[derive(Debug)]
pub struct Transitions {
    name: String,
    effective_from: Date,
    effective_to: Option<Date>,
    codes: Source,
    rules: Source,
    states: BTreeMap<State, StateInfo>,
    edges: Vec<TransitionEntry>,
    internal: Vec<InternalStep>,
}

impl Transitions {
    /// Reads a pack. Every rule that the rest of the service relies on is checked here, so that a wrong pack is
    /// refused at import and not at a counter.
    pub fn from_toml(text: &str) -> Result<Self, TransitionsError> {
        let pack: Pack = toml::from_str(text)?;
        let mut states = BTreeMap::new();
        let mut wrong = Vec::new();
        for entry in pack.state {
            let info = StateInfo {
                name: entry.name,
                name_en: entry.name_en,
                group: entry.group,
                is_final: entry.is_final,
            };
            if states.insert(entry.code, info).is_some() {
                wrong.push(entry.code.code());
            }
        }
        wrong.extend(
            State::ALL
                .iter()
                .filter(|state| !states.contains_key(state))
                .map(|state| state.code()),
        );
        if !wrong.is_empty() {
            return Err(TransitionsError::States(wrong));
        }
        let transitions = Self {
            name: pack.name,
            effective_from: pack.effective_from,
            effective_to: pack.effective_to,
            codes: pack.codes,
            rules: pack.rules,
            states,
            edges: pack.transition,
            internal: pack.internal_step,
        };
        transitions.check()?;
        Ok(transitions)
    }

    fn check(&self) -> Result<(), TransitionsError> {
        for (state, info) in &self.states {
            let mut leaving = self.edges.iter().filter(|edge| edge.from == *state);
            match leaving.next() {
                Some(edge) if info.is_final => {
                    return Err(TransitionsError::LeavesFinal {
                        operation: edge.operation,
                        from: *state,
                    });
                }
                None if !info.is_final => return Err(TransitionsError::DeadEnd(*state)),
                _ => {}
            }
        }
        let mut seen = BTreeSet::new();
        for edge in self.edges.iter().filter(|edge| edge.operation != Operation::RecordStep) {
            if !seen.insert((edge.operation, edge.from, edge.entered_from)) {
                return Err(TransitionsError::Ambiguous {
                    operation: edge.operation,
                    from: edge.from,
                });
            }
        }
        check_internal(&self.internal)?;
        Ok(())
    }

    /// Bước nội bộ: the steps inside the office, each mapped to a national code.
    pub fn internal_steps(&self) -> &[InternalStep] {
        &self.internal
    }

    /// Name of the set, as procedures refer to it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// In force from this day until the other (exclusive), if it ends.
    pub fn in_force(&self) -> (Date, Option<Date>) {
        (self.effective_from, self.effective_to)
    }

    /// Where the codes come from, and where the rules do.
    pub fn sources(&self) -> (&Source, &Source) {
        (&self.codes, &self.rules)
    }

    /// The names of a state.
    #[expect(clippy::indexing_slicing, reason = "from_toml refuses a pack without all ten states")]
    pub fn info(&self, state: State) -> &StateInfo {
        &self.states[&state]
    }

    /// Everything that is allowed in a state, with where it leads.
    pub fn allowed(&self, current: State, entered_from: Option<State>) -> Vec<(Operation, State)> {
        self.edges
            .iter()
            .filter(|edge| edge.from == current && (edge.entered_from.is_none() || edge.entered_from == entered_from))
            .map(|edge| (edge.operation, edge.to))
            .collect()
    }

    /// Whether some act leads from one state to another, however the first was entered.
    pub fn leads(&self, from: State, to: State) -> bool {
        self.edges.iter().any(|edge| edge.from == from && edge.to == to)
    }

    /// Where an act leads. `RecordStep` may lead to several states: see [`Self::next_step`].
    pub fn next(
        &self,
        current: State,
        entered_from: Option<State>,
        operation: Operation,
    ) -> Result<State, Box<Refused>> {
        let allowed = self.allowed(current, entered_from);
        match allowed.iter().find(|(candidate, _)| *candidate == operation) {
            Some((_, to)) => Ok(*to),
            None => Err(Box::new(Refused {
                operation,
                state: current,
                allowed,
            })),
        }
    }

    /// Whether a finer step that maps to the national state `to` may follow.
    pub fn next_step(&self, current: State, entered_from: Option<State>, to: State) -> Result<State, Box<Refused>> {
        let allowed = self.allowed(current, entered_from);
        if allowed.contains(&(Operation::RecordStep, to)) {
            Ok(to)
        } else {
            Err(Box::new(Refused {
                operation: Operation::RecordStep,
                state: current,
                allowed,
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NATIONAL: &str = include_str!("../../../../deploy/packs/transitions/national-2026.toml");

    fn national() -> Transitions {
        Transitions::from_toml(NATIONAL).unwrap()
    }

    #[test]
    fn the_national_pack_allows_exactly_the_edges_of_the_design_note() {
        let transitions = national();
        let mut edges: Vec<(i16, i16)> = State::ALL
            .into_iter()
            .flat_map(|from| {
                [None, Some(State::Registered), Some(State::Processing)]
                    .into_iter()
                    .flat_map(|entered| transitions.allowed(from, entered))
                    .map(move |(_, to)| (from.code(), to.code()))
                    .collect::<Vec<_>>()
            })
            .collect();
        edges.sort_unstable();
        edges.dedup();
        assert_eq!(
            edges,
            [
                (1, 2),
                (1, 3),
                (1, 5),
                (1, 7),
                (2, 4),
                (2, 7),
                (4, 4),
                (4, 5),
                (4, 6),
                (4, 7),
                (4, 8),
                (4, 9),
                (5, 2),
                (5, 4),
                (5, 5),
                (5, 7),
                (5, 8),
                (6, 4),
                (6, 7),
                (6, 8),
                (6, 9),
                (9, 10)
            ]
        );
    }

    #[test]
    fn a_supplement_goes_back_to_where_it_was_asked_for() {
        let transitions = national();
        let from_5 = |entered, operation| {
            transitions
                .next(State::SupplementRequested, Some(entered), operation)
                .ok()
        };
        assert_eq!(
            from_5(State::Registered, Operation::Supply),
            Some(State::SupplementRequested)
        );
        assert_eq!(from_5(State::Registered, Operation::Accept), Some(State::Accepted));
        assert_eq!(from_5(State::Processing, Operation::Supply), Some(State::Processing));
        assert_eq!(from_5(State::Processing, Operation::Accept), None);
    }

    #[test]
    fn a_case_is_withdrawn_until_a_decision_and_not_after() {
        let transitions = national();
        for state in State::ALL {
            let before_decision = matches!(state.code(), 1 | 2 | 4 | 5 | 6);
            assert_eq!(
                transitions
                    .next(state, Some(State::Processing), Operation::Withdraw)
                    .is_ok(),
                before_decision,
                "{state:?}"
            );
        }
    }

    #[test]
    fn a_refusal_names_what_is_allowed() {
        let refused = national().next(State::Completed, None, Operation::Accept).unwrap_err();
        assert_eq!(refused.allowed, [(Operation::ReturnResult, State::Returned)]);
    }

    #[test]
    fn a_pack_with_a_way_out_of_a_final_state_is_refused() {
        let text = format!("{NATIONAL}\n[[transition]]\noperation = \"accept\"\nfrom = 10\nto = 2\n");
        assert!(matches!(
            Transitions::from_toml(&text),
            Err(TransitionsError::LeavesFinal {
                from: State::Returned,
                ..
            })
        ));
    }

    #[test]
    fn a_pack_with_an_unknown_key_a_missing_state_or_an_ambiguous_edge_is_refused() {
        assert!(Transitions::from_toml(&NATIONAL.replace("operation =", "operatoin =")).is_err());
        assert!(Transitions::from_toml(&NATIONAL.replace("code = 10", "code = 9")).is_err());
        let ambiguous = format!("{NATIONAL}\n[[transition]]\noperation = \"accept\"\nfrom = 1\nto = 4\n");
        assert!(matches!(
            Transitions::from_toml(&ambiguous),
            Err(TransitionsError::Ambiguous { .. })
        ));
    }

    #[test]
    fn a_pack_whose_internal_waiting_would_pause_the_clock_is_refused() {
        let waiting = |state: i16| {
            format!(
                "{NATIONAL}\n[[internal_step]]\ncode = \"cho\"\nname = \"Chờ\"\nname_en = \"Wait\"\nstate = {state}\nwaits = true\n"
            )
        };
        assert!(Transitions::from_toml(&waiting(4)).is_ok());
        for paused in [5, 6] {
            assert!(matches!(
                Transitions::from_toml(&waiting(paused)),
                Err(TransitionsError::Internal(InternalStepFault::WaitingPauses { .. }))
            ));
        }
        let twice =
            format!("{NATIONAL}\n[[internal_step]]\ncode = \"tham_dinh\"\nname = \"x\"\nname_en = \"x\"\nstate = 4\n");
        assert!(matches!(
            Transitions::from_toml(&twice),
            Err(TransitionsError::Internal(InternalStepFault::Twice(_)))
        ));
    }

    proptest! {
        #[test]
        fn a_walk_never_leaves_a_final_state_and_5_comes_back_where_it_came_from(
            choices in proptest::collection::vec(any::<prop::sample::Index>(), 0..60)
        ) {
            let transitions = national();
            let (mut state, mut entered_from) = (State::Registered, None);
            for choice in choices {
                let allowed = transitions.allowed(state, entered_from);
                prop_assert_eq!(allowed.is_empty(), transitions.info(state).is_final);
                if allowed.is_empty() {
                    break;
                }
                let (operation, to) = *choice.get(&allowed);
                if state == State::SupplementRequested && to == State::Processing {
                    prop_assert_eq!((operation, entered_from), (Operation::Supply, Some(State::Processing)));
                }
                if state == State::SupplementRequested && to == State::Accepted {
                    prop_assert_eq!((operation, entered_from), (Operation::Accept, Some(State::Registered)));
                }
                if to == State::SupplementRequested && state != to {
                    entered_from = Some(state);
                }
                prop_assert_eq!(to.pauses_clock(), matches!(to.code(), 5 | 6));
                state = to;
            }
        }
    }
}
