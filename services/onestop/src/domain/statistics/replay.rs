//! The figures of a case worked out again from what is stored of it: for the verification, and for a rebuild.

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::{Components, Key, Snapshot, When, changes, count, taken_over};
use crate::domain::case::{Case, FiledComponent};
use crate::domain::listing::HistoryEntry;
use crate::domain::old_case;
use crate::domain::transitions::State;
use crate::domain::verify::MOVE_UNIT;

/// What the history of a case changed in the figures, act by act. The history says what each act made of unit, assignee and
/// due date; entries of before this was recorded leave the due date that the case has at last.
pub fn replay(case: &Case, history: &[HistoryEntry]) -> Vec<(Key, i64)> {
    let last = Snapshot::of(case);
    let mut found = Vec::new();
    let mut before: Option<Snapshot> = None;
    for entry in history {
        let mut after = before.clone().unwrap_or_else(|| Snapshot {
            unit_id: first_unit(case, history),
            officer_id: None,
            due: None,
            accepted: false,
            components: Components::default(),
            supplements: 0,
            results: (0, 0),
            rating: None,
            ..last.clone()
        });
        after.state = entry.to_state;
        follow(&mut after, &last, case, entry);
        let when = When::now(entry.record_time);
        found.extend(if entry.operation == old_case::OPERATION {
            taken_over(&after, when)
        } else {
            changes(before.as_ref(), &after, when)
        });
        before = Some(after);
    }
    found
}

/// Where the case was filed: before the first move, if there was any.
fn first_unit(case: &Case, history: &[HistoryEntry]) -> i32 {
    history
        .iter()
        .find(|entry| entry.operation == MOVE_UNIT)
        .and_then(|entry| number(entry, "from_unit"))
        .unwrap_or(case.responsible_unit_id)
}

fn follow(after: &mut Snapshot, last: &Snapshot, case: &Case, entry: &HistoryEntry) {
    let details = &entry.details;
    if let Some(assignee) = details.get("assignee_id") {
        after.officer_id = assignee
            .as_str()
            .and_then(|id| id.parse().ok())
            .filter(|id: &Uuid| !id.is_nil());
    }
    if let Some(due) = due(entry) {
        after.due = Some(due);
    }
    match entry.operation.as_str() {
        "accept" => {
            after.accepted = true;
            after.components = components(case, |round| i64::from(round) <= after.supplements);
            if after.due.is_none() {
                after.due = last.due;
            }
        }
        "request_supplement" => after.supplements += 1,
        "supply" if after.accepted => {
            let round = after.supplements;
            let new = components(case, |of| i64::from(of) == round);
            after.components.all += new.all;
            after.components.digitised += new.digitised;
            after.components.reused += new.reused;
            if after.due.is_none() {
                after.due = last.due;
            }
        }
        "approve" => after.results = last.results,
        "rate" => after.rating = last.rating,
        old_case::OPERATION => {
            let received = case.accept_time.filter(|time| *time <= entry.record_time);
            after.accepted = received.is_some();
            after.supplements = i64::from(entry.to_state == State::SupplementRequested);
            if matches!(entry.to_state, State::Completed | State::Returned) {
                after.results = last.results;
            }
        }
        MOVE_UNIT => after.unit_id = number(entry, "to_unit").unwrap_or(after.unit_id),
        _ => {}
    }
}

fn components(case: &Case, of_round: impl Fn(i32) -> bool) -> Components {
    let filed: Vec<&FiledComponent> = case
        .components
        .iter()
        .filter(|component| of_round(component.round))
        .collect();
    let having = |with: fn(&FiledComponent) -> bool| count(filed.iter().filter(|component| with(component)).count());
    Components {
        all: count(filed.len()),
        digitised: having(|component| !component.file_ids.is_empty()),
        reused: having(|component| !component.replaced_by_data.is_empty()),
    }
}

fn due(entry: &HistoryEntry) -> Option<(Date, Timestamp)> {
    let text = |name: &str| entry.details.get(name)?.as_str();
    Some((text("due_date")?.parse().ok()?, text("due_time")?.parse().ok()?))
}

fn number(entry: &HistoryEntry, name: &str) -> Option<i32> {
    entry.details.get(name)?.as_i64()?.try_into().ok()
}
