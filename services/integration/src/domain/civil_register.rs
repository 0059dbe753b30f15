//! What the Ministry's civil-status register (CSDL hộ tịch điện tử) knows of our books: what is told of an entry, what is received, and where both sides
//! differ.

use std::collections::BTreeSet;

use egov_events::CloudEvent;
use egov_partners::civil_status::RegistrationKind;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::case_event::NotReadable;
use super::delivery::State;
use super::reconciliation::{Handling, NotDone, RunState, Standing};

/// The kinds of the leaves of received changes, reconciliations and differences.
pub(crate) const CHANGE: &str = "register_change";
pub(crate) const RUN: &str = "register_reconciliation";
pub(crate) const DIFFERENCE: &str = "register_difference";

/// What an event of the civil registry says of an entry (việc hộ tịch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryEvent {
    /// The entry that is to be read: of a correction, the one that it corrects.
    pub(crate) entry_id: Uuid,
    /// The commune that keeps its book.
    pub(crate) unit_id: i32,
}

#[derive(Deserialize)]
struct Data {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    responsible_unit_id: i32,
    #[serde(default)]
    corrected_entry_id: Option<Uuid>,
    /// Which kind of book it was entered in, a word; a note does not say.
    #[serde(default)]
    event: Value,
}

/// The kinds of books of which the register is not told (giám hộ, nhận cha mẹ con, nuôi con nuôi, xác nhận tình trạng hôn nhân). A correction is told with what it
/// corrects.
const NOT_TOLD: [&str; 4] = ["guardianship", "recognition", "adoption", "marital_status"];

/// The kinds of aggregates in the subjects of events about an entry: itself, and the personal number of the child whose birth it is, which is named by
/// the entry too.
const ENTRY: &str = "civil_entry";
const NUMBER: &str = "civil_personal_number";

/// What of a personal number changes what an entry says.
const ASSIGNED: &str = "civil_personal_number_assigned";

/// What an event says of an entry; none if it is about something else, or about an entry of which the register is not told.
pub(crate) fn entry_event(event: &CloudEvent) -> Result<Option<EntryEvent>, NotReadable> {
    let subject = event.subject.as_deref().and_then(|subject| subject.split_once('/'));
    let entry_id = match subject {
        Some((ENTRY, entry_id)) => entry_id,
        Some((NUMBER, entry_id)) if event.kind.ends_with(ASSIGNED) => entry_id,
        _ => return Ok(None),
    };
    let entry_id = Uuid::try_parse(entry_id).map_err(|_| NotReadable)?;
    let data: Data = serde_json::from_slice(&event.data).map_err(|_| NotReadable)?;
    let book = data.payload.event.as_str();
    if book.is_some_and(|book| NOT_TOLD.contains(&book)) {
        return Ok(None);
    }
    Ok(Some(EntryEvent {
        entry_id: data.payload.corrected_entry_id.unwrap_or(entry_id),
        unit_id: data.payload.responsible_unit_id,
    }))
}

/// The number of a kind in the contract and the database.
pub(crate) const fn kind_number(kind: RegistrationKind) -> i16 {
    match kind {
        RegistrationKind::Birth => 1,
        RegistrationKind::Marriage => 2,
        RegistrationKind::Death => 3,
    }
}

/// The number through the year in what is printed, `07/2026`; none if it is none.
pub(crate) fn plain_number(printed: &str) -> Option<i32> {
    let digits = printed.split('/').next().unwrap_or_default().trim();
    digits.parse().ok().filter(|number| *number > 0)
}

/// What is known of an entry at the register.
#[derive(Clone, Debug)]
pub(crate) struct RegisterEntry {
    pub(crate) entry_id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) kind: i16,
    pub(crate) year: i32,
    pub(crate) number: i32,
    pub(crate) told_version: i64,
    pub(crate) told_time: Timestamp,
    pub(crate) acknowledged_version: Option<i64>,
    pub(crate) acknowledged_time: Option<Timestamp>,
    /// Its newest delivery, where that is, and why.
    pub(crate) delivery: Option<(Uuid, i16, String)>,
}

/// What a list of entries shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryFilter {
    pub(crate) unit_id: Option<i32>,
    pub(crate) waiting: bool,
}

/// A change that the register reported, as it is kept; what it says is sealed beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReceivedChange {
    pub(crate) id: Uuid,
    pub(crate) register_key: String,
    pub(crate) unit_id: i32,
    pub(crate) matched_by: i16,
    pub(crate) entry_ids: Vec<Uuid>,
    pub(crate) person_id: Option<Uuid>,
    pub(crate) receive_time: Timestamp,
}

/// What the leaf of a received change commits to. `digest` is keyed: it tells nothing of the content, and proves it to whoever has the keyring.
pub(crate) fn of_change(change: &ReceivedChange, digest: &str) -> Value {
    json!({
        "change_id": change.id,
        "register_key": change.register_key,
        "unit_id": change.unit_id,
        "matched_by": change.matched_by,
        "entry_ids": change.entry_ids,
        "person_id": change.person_id,
        "content": digest,
        "time": change.receive_time,
    })
}

/// A reconciliation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegisterRun {
    pub(crate) id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) year: i32,
    pub(crate) repair: bool,
    pub(crate) own_day: Option<Date>,
    pub(crate) state: RunState,
    pub(crate) tally: RegisterTally,
    pub(crate) attempts: i32,
    pub(crate) problem: String,
    pub(crate) due_time: Timestamp,
    pub(crate) actor: String,
    pub(crate) version: i64,
    pub(crate) create_time: Timestamp,
    pub(crate) end_time: Option<Timestamp>,
}

/// What a reconciliation came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RegisterTally {
    pub(crate) compared: i32,
    pub(crate) equal: i32,
    pub(crate) waiting: i32,
    pub(crate) differing: i32,
}

/// What the leaf of a reconciliation commits to.
pub(crate) fn of_run(run: &RegisterRun) -> Value {
    let tally = run.tally;
    json!({
        "reconciliation_id": run.id,
        "unit_id": run.unit_id,
        "year": run.year,
        "repair": run.repair,
        "own_day": run.own_day,
        "state": run.state as i16,
        "compared": tally.compared,
        "equal": tally.equal,
        "waiting": tally.waiting,
        "differing": tally.differing,
        "attempts": run.attempts,
        "problem": run.problem,
        "actor": run.actor,
        "create_time": run.create_time,
        "end_time": run.end_time,
    })
}

/// In what both sides differ. The numbers are those of the contract and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DifferenceKind {
    MissingThere = 1,
    Different = 2,
    MissingHere = 3,
}

impl DifferenceKind {
    pub(crate) fn from_number(number: i16) -> Option<Self> {
        [Self::MissingThere, Self::Different, Self::MissingHere]
            .into_iter()
            .find(|kind| *kind as i16 == number)
    }
}

/// One word for the names of fields that alone tell of what is guarded: what is noted, what corrects an entry, the sex.
const NOTED: &str = "ghiChu";

/// The names of fields as a difference keeps them: bounded, and of those that tell of a guarded fact no more than that something noted differs.
pub(crate) fn kept_names(names: Vec<String>) -> Vec<String> {
    let kept: BTreeSet<String> = names
        .into_iter()
        .map(|name| {
            if name.ends_with("GioiTinh") || name.starts_with(NOTED) || name.starts_with("thayDoi") {
                return NOTED.to_owned();
            }
            name.chars().filter(|letter| !letter.is_control()).take(60).collect()
        })
        .collect();
    kept.into_iter().collect()
}

/// A difference as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegisterDifference {
    pub(crate) id: Uuid,
    pub(crate) reconciliation_id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) register_key: String,
    pub(crate) entry_id: Option<Uuid>,
    pub(crate) registration_kind: i16,
    pub(crate) year: i32,
    pub(crate) number: String,
    pub(crate) kind: DifferenceKind,
    pub(crate) fields: Vec<String>,
    pub(crate) handling: Handling,
    pub(crate) delivery_id: Option<Uuid>,
    /// Where the repair is: that delivery, or what was told of the entry after it, if it did not go through itself.
    pub(crate) delivery_state: Option<State>,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) version: i64,
    pub(crate) find_time: Timestamp,
    pub(crate) update_time: Timestamp,
}

impl RegisterDifference {
    pub(crate) fn etag(&self) -> String {
        format!("{}-{}", self.id, self.version)
    }

    /// What became of it.
    pub(crate) fn standing(&self) -> Standing {
        match (self.handling, self.delivery_state) {
            (Handling::Open, _) => Standing::Open,
            (Handling::Settled, _) => Standing::Settled,
            (Handling::HandedIn, Some(State::Acknowledged)) => Standing::Repaired,
            (Handling::HandedIn, Some(State::Failed | State::Dead)) => Standing::RepairFailed,
            (Handling::HandedIn, _) => Standing::Repairing,
        }
    }

    /// Somebody settles it by hand.
    pub(crate) fn settle(&mut self, reason: &str, actor: &str, now: Timestamp) -> Result<(), NotDone> {
        if !matches!(self.standing(), Standing::Open | Standing::RepairFailed) {
            return Err(NotDone::Closed);
        }
        self.handling = Handling::Settled;
        // It repaired nothing.
        self.delivery_id = None;
        self.delivery_state = None;
        reason.clone_into(&mut self.reason);
        actor.clone_into(&mut self.actor);
        self.version = self.version.saturating_add(1);
        self.update_time = now;
        Ok(())
    }
}

/// What the leaf of a difference commits to: nothing that moves with the delivery.
pub(crate) fn of_difference(difference: &RegisterDifference) -> Value {
    json!({
        "difference_id": difference.id,
        "reconciliation_id": difference.reconciliation_id,
        "unit_id": difference.unit_id,
        "register_key": difference.register_key,
        "registration_kind": difference.registration_kind,
        "year": difference.year,
        "number": difference.number,
        "kind": difference.kind as i16,
        "fields": difference.fields,
        "state": difference.handling as i16,
        "delivery_id": difference.delivery_id,
        "reason": difference.reason,
        "actor": difference.actor,
        "find_time": difference.find_time,
        "update_time": difference.update_time,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(subject: &str, data: &str) -> CloudEvent {
        CloudEvent {
            id: "1".to_owned(),
            source: "/egov/civil-registry".to_owned(),
            kind: "vn.egov.civil-registry.civil_birth_registered".to_owned(),
            subject: Some(subject.to_owned()),
            time: None,
            data_content_type: None,
            data_schema: None,
            partition_key: None,
            epoch: None,
            data: data.to_owned().into(),
        }
    }

    #[test]
    fn what_corrects_an_entry_leads_to_the_entry_that_it_corrects() {
        let (id, corrected) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let said = |corrected: Option<Uuid>| {
            json!({ "version": 1, "payload": { "responsible_unit_id": 2, "corrected_entry_id": corrected } })
                .to_string()
        };
        for (corrected, expected) in [(None, id), (Some(corrected), corrected)] {
            let read = entry_event(&event(&format!("civil_entry/{id}"), &said(corrected)));
            let expected = EntryEvent {
                entry_id: expected,
                unit_id: 2,
            };
            assert_eq!(read, Ok(Some(expected)));
        }
        assert_eq!(entry_event(&event("civil_paper/1", "no json")), Ok(None));
        // Of a number that is wanted or refused the entry says nothing new.
        let about = format!("civil_personal_number/{id}");
        assert_eq!(entry_event(&event(&about, &said(None))), Ok(None));
        let assigned = CloudEvent {
            kind: "vn.egov.civil-registry.civil_personal_number_assigned".to_owned(),
            ..event(&about, &said(None))
        };
        assert_eq!(entry_event(&assigned).unwrap().unwrap().entry_id, id);
        assert_eq!(entry_event(&event("civil_entry/no-id", "{}")), Err(NotReadable));
        // What the register is not told of need not be read.
        for (book, told) in [
            ("birth", true),
            ("change", true),
            ("adoption", false),
            ("recognition", false),
        ] {
            let said = json!({ "payload": { "responsible_unit_id": 2, "event": book } }).to_string();
            let read = entry_event(&event(&format!("civil_entry/{id}"), &said)).unwrap();
            assert_eq!(read.is_some(), told, "{book}");
        }
    }

    #[test]
    fn names_of_fields_say_nothing_of_what_is_guarded() {
        let names = ["ghiChu01NoiDung", "nksGioiTinh", "nksHoTen", "thayDoi01So", "a\0b"];
        let kept = kept_names(names.map(str::to_owned).to_vec());
        assert_eq!(kept, ["ab", "ghiChu", "nksHoTen"]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused(subject in "civil_entry/.{0,40}", data in "\\PC{0,60}") {
            let _ = entry_event(&event(&subject, &data));
        }

        #[test]
        fn a_printed_number_is_read_as_it_was_printed(number in 1_i32.., year in 1900_i32..3000) {
            prop_assert_eq!(plain_number(&format!("{number:02}/{year}")), Some(number));
        }
    }
}
