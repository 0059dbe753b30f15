//! Tiếp nhận không phụ thuộc vào địa giới hành chính (NĐ 118/2025/NĐ-CP): which acts on a case belong to the place that received it, when
//! that is another unit than the competent one.
//!
//! The one-stop desk that receives does the reception itself, asks for the payment of fees and hands the result over, and decides nothing: that
//! is left to the competent unit, which may do all of it as well. Taking a case in hands it over (chuyển hồ sơ): from then on the desk reads it.

use super::case::Case;
use super::charge::SET_QUANTITIES;
use super::components::{CONFIRM_COMPONENTS, REUSE_PAPER, SET_COMPONENT_STATE};
use super::pack::Step;
use super::transitions::{Operation, State};

/// What the place of reception does of a case that another unit decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Tiếp nhận: everything until the case is taken in.
    Intake,
    /// Yêu cầu thanh toán phí, lệ phí: how many of each there are, and an order at the payment platform. The money goes to the competent
    /// unit by it; the desk holds none, waives nothing and gives nothing back.
    Payment,
    /// Trả kết quả.
    Return,
}

impl Part {
    /// Whether only who may take cases in does it there: who only processes cases does nothing to those of others.
    pub const fn is_of_who_takes_in(self) -> bool {
        matches!(self, Self::Intake | Self::Payment)
    }
}

/// The part of the place of reception to which an act belongs, by its name in the history; none of what the competent unit does alone.
///
/// An act that only ends or follows the reception belongs to it in every state: whether it is allowed is what the transitions say, and
/// who comes second is told where the case stands by now. So does asking for payment: whether something is owed is what the charge says.
/// What may also be done later belongs to it until the case is taken in.
pub fn part_of(operation: &str, state: State, entered_from: Option<State>) -> Option<Part> {
    let is = |one: Operation| operation == one.as_str();
    if is(Operation::Accept) || is(Operation::Reject) {
        return Some(Part::Intake);
    }
    if is(Operation::ReturnResult) {
        return Some(Part::Return);
    }
    if is(Operation::RequestPayment) || operation == SET_QUANTITIES {
        return Some(Part::Payment);
    }
    let of_intake = is(Operation::RequestSupplement)
        || is(Operation::Supply)
        || [CONFIRM_COMPONENTS, SET_COMPONENT_STATE, REUSE_PAPER].contains(&operation);
    (of_intake && is_before_intake(state, entered_from)).then_some(Part::Intake)
}

/// Whether a case that stands so has not been taken in yet.
fn is_before_intake(state: State, entered_from: Option<State>) -> bool {
    match state {
        State::Registered => true,
        State::SupplementRequested => entered_from != Some(State::Processing),
        _ => false,
    }
}

/// Whether a step of the procedure is one of reception or return.
pub fn is_of_reception(step: &Step) -> bool {
    matches!(step.state, State::Accepted | State::Returned)
}

impl Case {
    /// The unit that received the case, if it is another one than decides it.
    pub fn received_elsewhere(&self) -> Option<i32> {
        (self.receiving_unit_id != self.responsible_unit_id).then_some(self.receiving_unit_id)
    }

    /// The unit that received the case for another one, and the part to which an act belongs there.
    pub fn part_of_reception(&self, operation: &str) -> Option<(i32, Part)> {
        let part = part_of(operation, self.state, self.entered_from)?;
        Some((self.received_elsewhere()?, part))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::transitions::Transitions;

    fn national() -> Transitions {
        Transitions::from_toml(include_str!("../../../../deploy/packs/transitions/national-2026.toml")).unwrap()
    }

    fn states() -> impl Iterator<Item = (State, Option<State>)> {
        let entered = [None, Some(State::Registered), Some(State::Processing)];
        State::ALL
            .into_iter()
            .flat_map(move |state| entered.map(|entered_from| (state, entered_from)))
    }

    #[test]
    fn what_decides_stops_or_processes_belongs_to_the_competent_unit_in_every_state() {
        let alone = [
            "assign",
            "record_step",
            "approve",
            "stop",
            "withdraw",
            "send_back",
            "settle_payment",
            "take_cash",
            "exempt",
            "decide_refund",
            "extend_deadline",
            "correct_result",
            "revoke_result",
            "move_unit",
            "no such act",
        ];
        for (operation, (state, entered_from)) in alone
            .into_iter()
            .flat_map(|operation| states().map(move |at| (operation, at)))
        {
            assert_eq!(
                part_of(operation, state, entered_from),
                None,
                "{operation} in {state:?}"
            );
        }
    }

    #[test]
    fn components_and_supplements_are_dealt_with_there_until_the_case_is_taken_in() {
        let of_intake = [
            "request_supplement",
            "supply",
            CONFIRM_COMPONENTS,
            SET_COMPONENT_STATE,
            REUSE_PAPER,
        ];
        for (operation, (state, entered_from)) in of_intake
            .into_iter()
            .flat_map(|operation| states().map(move |at| (operation, at)))
        {
            let before = state == State::Registered
                || (state == State::SupplementRequested && entered_from != Some(State::Processing));
            assert_eq!(
                part_of(operation, state, entered_from).is_some(),
                before,
                "{operation} in {state:?} from {entered_from:?}"
            );
        }
    }

    #[test]
    fn of_fees_it_says_how_many_and_asks_for_payment_and_the_case_waits_for_no_more_than_that() {
        for (operation, (state, entered_from)) in [SET_QUANTITIES, "request_payment"]
            .into_iter()
            .flat_map(|operation| states().map(move |at| (operation, at)))
        {
            let part = part_of(operation, state, entered_from);
            assert_eq!(part, Some(Part::Payment), "{operation} in {state:?}");
        }
        assert!(Part::Payment.is_of_who_takes_in() && Part::Intake.is_of_who_takes_in());
        assert!(!Part::Return.is_of_who_takes_in());
        // It takes a case from 4 to 6, and from there no further: the money does.
        let transitions = national();
        let of_the_desk = |state: State| {
            let allowed = transitions.allowed(state, None).into_iter();
            allowed
                .filter(|(operation, _)| part_of(operation.as_str(), state, None).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of_the_desk(State::Processing),
            [(Operation::RequestPayment, State::PaymentRequested)]
        );
        assert!(of_the_desk(State::PaymentRequested).is_empty());
    }

    proptest! {
        /// Whatever the desk does in whatever order, it takes the case no further than it was taken in or refused, and a decided one no
        /// further than its result is handed over.
        #[test]
        fn a_desk_that_received_decides_nothing(
            decided in any::<bool>(),
            choices in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let transitions = national();
            let (mut state, mut entered_from) = if decided {
                (State::Completed, None)
            } else {
                (State::Registered, None)
            };
            for choice in choices {
                let mut open = transitions.allowed(state, entered_from);
                open.retain(|(operation, _)| part_of(operation.as_str(), state, entered_from).is_some());
                if open.is_empty() {
                    break;
                }
                let (operation, to) = *choice.get(&open);
                if to == State::SupplementRequested && state != to {
                    entered_from = Some(state);
                }
                state = to;
                prop_assert_eq!(decided, part_of(operation.as_str(), state, entered_from) == Some(Part::Return));
                let reached = if decided {
                    state == State::Returned
                } else {
                    matches!(state, State::Accepted | State::Rejected | State::SupplementRequested)
                };
                prop_assert!(reached, "{operation} led to {state:?}");
            }
            // Once taken in, nothing is left to it but to hand the result over.
            if matches!(state, State::Accepted | State::Rejected) {
                let left = transitions.allowed(state, entered_from);
                prop_assert!(left.iter().all(|(operation, _)| part_of(operation.as_str(), state, entered_from).is_none()));
            }
        }
    }
}
