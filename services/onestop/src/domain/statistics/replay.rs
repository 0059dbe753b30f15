//! The figures of a case worked out again from what is stored of it: for the verification, and for a rebuild.

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::{Components, Key, Snapshot, When, changes, count, taken_over};
use crate::domain::case::{Case, FiledComponent};
use crate::domain::components::is_of_components;
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
            let version = entry.version;
            after.components = components(case, version, |place, filed| {
                i64::from(filed.round) <= after.supplements && put_by(case, place).is_none_or(|put| put <= version)
            });
            if after.due.is_none() {
                after.due = last.due;
            }
        }
        "request_supplement" => after.supplements += 1,
        "supply" if after.accepted => {
            let (round, version) = (after.supplements, entry.version);
            let new = components(case, version, |place, filed| {
                i64::from(filed.round) == round && put_by(case, place).is_none_or(|put| put == version)
            });
            after.components = after.components.plus(new);
            if after.due.is_none() {
                after.due = last.due;
            }
        }
        operation if is_of_components(operation) && after.accepted => {
            after.components = after.components.plus(of_checks(case, entry.version));
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

/// The components of the case's list that are chosen, as they were at a version.
fn components(case: &Case, version: i64, chosen: impl Fn(usize, &FiledComponent) -> bool) -> Components {
    let filed: Vec<(usize, &FiledComponent)> = case
        .components
        .iter()
        .enumerate()
        .filter(|(place, component)| chosen(*place, component))
        .collect();
    let digitised = filed.iter().filter(|(place, _)| case.is_digitised(*place, version));
    let reused = filed
        .iter()
        .filter(|(_, component)| !component.replaced_by_data.is_empty());
    Components {
        all: count(filed.len()),
        digitised: count(digitised.count()),
        reused: count(reused.count()),
    }
}

/// By which version of the case something was put in the place of a paper, if that is what stands at this place of its list.
fn put_by(case: &Case, place: usize) -> Option<i64> {
    let put = case.checks.iter().find(|check| check.put() == Some(place));
    put.map(|check| check.version)
}

/// What the checks of one version changed: what they put in the place of papers, and what they scanned.
fn of_checks(case: &Case, version: i64) -> Components {
    let put = components(case, version, |place, _| put_by(case, place) == Some(version));
    let scanned = (0..case.components.len())
        .filter(|place| put_by(case, *place) != Some(version))
        .filter(|place| case.is_digitised(*place, version) && !case.is_digitised(*place, version - 1));
    Components {
        digitised: put.digitised + count(scanned.count()),
        ..put
    }
}

fn due(entry: &HistoryEntry) -> Option<(Date, Timestamp)> {
    let text = |name: &str| entry.details.get(name)?.as_str();
    Some((text("due_date")?.parse().ok()?, text("due_time")?.parse().ok()?))
}

fn number(entry: &HistoryEntry, name: &str) -> Option<i32> {
    entry.details.get(name)?.as_i64()?.try_into().ok()
}
