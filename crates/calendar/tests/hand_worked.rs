//! The cases of `hand_worked.csv`: due dates worked out by people from a calendar on the wall, each with its reason.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod support;

use std::collections::BTreeSet;

use egov_calendar::{CalendarError, deadline};

#[test]
fn every_hand_worked_case_comes_out_as_written() {
    let calendar = support::calendar();
    let mut wrong = Vec::new();
    for case in support::hand_worked() {
        let rules = calendar.rules(case.received.date()).unwrap().with_cut_off(case.cut_off);
        let due = match deadline(&calendar, case.received, case.period, &rules, &case.pauses) {
            Ok(deadline) => Some(deadline.due),
            Err(CalendarError::ClockStopped { .. }) => None,
            Err(error) => panic!("{}: {error}", case.id),
        };
        if due != case.due {
            wrong.push(format!(
                "{}: {due:?} instead of {:?}; {}",
                case.id, case.due, case.reason
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_forty_cases_and_more_each_with_its_reason() {
    let cases = support::hand_worked();
    let ids: BTreeSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids.len(), cases.len(), "an id occurs twice");
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    assert!(cases.iter().all(|case| !case.reason.is_empty()));
}
