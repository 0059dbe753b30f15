//! Kiểm tra hồ sơ: whether what is stored of a case fits together: the row, its history, its events, its leaves, its words.
//!
//! An independent reading: nothing here changes a case. The history is gone through act by act against the transitions,
//! and everything that the row says is compared with what follows from it. What cannot be told from the outside is said in
//! the service's README: the content of older versions, to which only the holder of a copy can compare their leaves.

use std::collections::BTreeMap;

use egov_calendar::WorkCalendar;
use egov_clock::vietnam;
use egov_codes::CaseCode;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use super::case::{Case, Deadline, Pause};
use super::civil_decision::{AWAITS_BOOK, DECIDE, RETURN_DECISION};
use super::components::is_of_components;
use super::deadline::{Clock, deadline_of};
use super::definition::migrate::MIGRATE;
use super::forecast::DueNext;
use super::listing::HistoryEntry;
use super::old_case;
use super::pack::{Procedure, Profile};
use super::results::{RecordedResults, check_results, is_of_results};
use super::search::kept_beside;
use super::transitions::{Operation, State, Transitions};
use super::work::check::{WorkRecord, check_tasks};

/// The kind of aggregate of events, and of resource of leaves.
pub const KIND: &str = "case";

/// The operation by which a case follows its unit through a reorganisation. It is nobody's act and no transition.
pub const MOVE_UNIT: &str = "move_unit";

/// Gia hạn: an act that is no transition.
pub const EXTEND_DEADLINE: &str = "extend_deadline";

/// The due date is another one by a changed calendar. It is nobody's act and no transition.
pub const RECALCULATE_DEADLINE: &str = "recalculate_deadline";

/// What the event of an act says of the case.
#[derive(Debug, Clone, Copy)]
pub struct EventFacts<'a> {
    /// Mã hồ sơ.
    pub case_code: &'a str,
    /// Mã thủ tục.
    pub procedure_code: &'a str,
    /// After the act.
    pub state: State,
    /// The finer step after the act.
    pub step: &'a str,
    /// Cơ quan có thẩm quyền.
    pub responsible_unit_id: i32,
}

/// Ids, codes and states: what other services learn of an act.
pub fn event_payload(facts: &EventFacts<'_>) -> serde_json::Value {
    serde_json::json!({
        "case_code": facts.case_code,
        "procedure_code": facts.procedure_code,
        "state": facts.state.code(),
        "step": facts.step,
        "responsible_unit_id": facts.responsible_unit_id,
    })
}

/// What was found broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Versions run from 1 without a gap to that of the row.
    Versions,
    /// Every act follows from the one before, and the transitions allow it.
    Transitions,
    /// The row says what the history says last.
    Row,
    /// Times of record do not run backwards; the row's are those of the history.
    Times,
    /// The clock stood still when the history says so.
    Pauses,
    /// The due date is the one that the calendar gives.
    Deadline,
    /// One leaf a version, and the last one commits to the case as it is.
    Leaves,
    /// One event a version, with the act's name and what it says.
    Events,
    /// The words by which the case is found are those of its people.
    Words,
    /// The code belongs to the day of filing.
    Code,
    /// The look-up secret opens.
    Secret,
    /// Numbers of an agency and day run from 1 without a gap to the counter.
    Numbers,
    /// A leaf, event or salt without the case it speaks of.
    Orphan,
    /// Places in the log run without a gap.
    Log,
    /// The open step is the one that follows; tasks have their leaves.
    Tasks,
    /// The figures are those of the histories.
    Statistics,
    /// Versions of a result run on without a gap, each by an act of the history and with its leaf, and say what the case and its files say.
    Results,
    /// What is kept as not settled is what charges and payments say.
    Charges,
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What was found broken.
    pub rule: Rule,
    /// Of which case, if it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_id: Option<Uuid>,
    /// Mã hồ sơ.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub case_code: String,
    /// What there is, and what there should be; without personal data.
    pub detail: String,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    /// Version of the case.
    pub version: i64,
    /// Its name.
    pub kind: String,
    /// What it says.
    pub payload: serde_json::Value,
    /// When.
    pub create_time: Timestamp,
}

/// A leaf as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedLeaf {
    /// Version of the case.
    pub version: i64,
    /// The commitment.
    pub commitment: Vec<u8>,
    /// Its salt; none if it is not there.
    pub salt: Option<Vec<u8>>,
    /// When.
    pub create_time: Timestamp,
}

/// A word as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedWord {
    /// The word.
    pub token: String,
    /// Unit, owner and time, which it repeats from the case.
    pub of: (i32, Option<Uuid>, Timestamp),
    /// The words that are kept beside it; none if a version before wrote it.
    pub beside: Option<String>,
}

/// A word as it is stored for the unit that received the case for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedWord {
    /// The word.
    pub token: String,
    /// Nơi tiếp nhận and cơ quan có thẩm quyền, and time, which it repeats from the case.
    pub of: (i32, i32, Timestamp),
    /// The words that are kept beside it.
    pub beside: String,
}

/// Everything that is stored of a case.
#[derive(Clone)]
pub struct CaseRecord {
    /// The case with what belongs to it.
    pub case: Case,
    /// Ngày hẹn trả, as lists show it.
    pub due_date: Option<Date>,
    /// The instant of it.
    pub due_time: Option<Timestamp>,
    /// Of the row.
    pub create_time: Timestamp,
    /// Of the row.
    pub update_time: Timestamp,
    /// By version.
    pub history: Vec<HistoryEntry>,
    /// By version.
    pub events: Vec<RecordedEvent>,
    /// By version.
    pub leaves: Vec<RecordedLeaf>,
    /// By word.
    pub words: Vec<RecordedWord>,
    /// The words at the place of reception.
    pub received_words: Vec<ReceivedWord>,
    /// Việc.
    pub work: WorkRecord,
    /// What is kept as due next of it.
    pub next: Option<DueNext>,
    /// The versions of its results.
    pub results: RecordedResults,
    /// True if the salts of the case were erased, as the record of erasures says.
    pub erased: bool,
}

/// What a case is checked by.
pub struct Rules<'a> {
    /// Of the version of its procedure.
    pub transitions: &'a Transitions,
    /// The version of its procedure.
    pub procedure: &'a Procedure,
    /// The calendar by which the due date of the case was worked out; of a case that does not say, the one in force.
    pub calendar: &'a WorkCalendar,
    /// What may be relied on.
    pub profile: Profile,
    /// The name of the event of each act.
    pub events: &'a BTreeMap<&'static str, &'static str>,
    /// How a leaf commits to canonical bytes with its salt.
    pub commit: fn(&[u8], &[u8]) -> [u8; 32],
    /// The words of the case's people.
    pub words: Vec<String>,
}

/// Whether an officer still deals with the components of a case in this state.
const fn is_open(state: State) -> bool {
    matches!(
        state,
        State::Registered | State::Accepted | State::Processing | State::SupplementRequested | State::PaymentRequested
    )
}

/// Checks one case; nothing is said of a case that is whole.
pub fn check(record: &CaseRecord, rules: &Rules<'_>) -> Vec<Violation> {
    let mut check = Check {
        record,
        rules,
        found: Vec::new(),
    };
    check.versions();
    check.history();
    check.deadline();
    check.due_next();
    check.leaves();
    check.events();
    check.words();
    check.code();
    check.tasks();
    check.results();
    check.found
}

struct Check<'a> {
    record: &'a CaseRecord,
    rules: &'a Rules<'a>,
    found: Vec<Violation>,
}

/// What follows from the history alone.
#[derive(Default)]
struct Told {
    state: Option<State>,
    entered_from: Option<State>,
    step: String,
    step_outcome: String,
    accept_time: Option<Timestamp>,
    pauses: Vec<Pause>,
    rounds: i32,
    return_time: Option<Timestamp>,
    rate_time: Option<Timestamp>,
    approved: bool,
    extend_time: Option<Timestamp>,
    step_since: Option<Timestamp>,
    /// The history begins with an import: what the old system said stands in the row alone, and is taken from there.
    imported: bool,
}

impl Check<'_> {
    fn say(&mut self, rule: Rule, detail: String) {
        self.found.push(Violation {
            rule,
            case_id: Some(self.record.case.case_id),
            case_code: self.record.case.case_code.clone(),
            detail,
        });
    }

    /// Says it unless it holds.
    fn demand(&mut self, rule: Rule, holds: bool, detail: impl FnOnce() -> String) {
        if !holds {
            let detail = detail();
            self.say(rule, detail);
        }
    }

    fn versions(&mut self) {
        let record = self.record;
        let runs = |versions: Vec<i64>| versions.iter().copied().eq(1..=record.case.version);
        let of = |versions: &[i64]| format!("{versions:?} instead of 1 to {}", record.case.version);
        for (rule, what, versions) in [
            (
                Rule::Versions,
                "history",
                record.history.iter().map(|entry| entry.version).collect::<Vec<_>>(),
            ),
            (
                Rule::Leaves,
                "leaves",
                record.leaves.iter().map(|leaf| leaf.version).collect(),
            ),
            (
                Rule::Events,
                "events",
                record.events.iter().map(|event| event.version).collect(),
            ),
        ] {
            self.demand(rule, runs(versions.clone()), || {
                format!("versions of the {what}: {}", of(&versions))
            });
        }
    }

    /// Goes through the history act by act, and compares the row with what it tells.
    fn history(&mut self) {
        let record = self.record;
        let mut told = Told::default();
        let mut last_time: Option<Timestamp> = None;
        for entry in &record.history {
            if let Some(before) = last_time.filter(|before| *before > entry.record_time) {
                self.say(
                    Rule::Times,
                    format!(
                        "version {} was recorded at {}, before {before}",
                        entry.version, entry.record_time
                    ),
                );
            }
            last_time = Some(entry.record_time);
            self.act(&mut told, entry);
        }

        let case = &record.case;
        // What was said of components was said by an act that deals with them, and of what there was then.
        for check in &case.checks {
            let by = record.history.iter().find(|entry| entry.version == check.version);
            let told = by.is_some_and(|entry| {
                is_of_components(&entry.operation) || entry.operation == Operation::Supply.as_str()
            });
            let there = usize::try_from(check.rows).is_ok_and(|rows| rows <= case.components.len());
            self.demand(Rule::Row, told && there, || {
                format!(
                    "a component was checked by version {}, which was no such act",
                    check.version
                )
            });
            // Under which code a register was asked stands in the history as well.
            let code = by.and_then(|entry| entry.details.get("request_code"));
            let code = code.and_then(serde_json::Value::as_str);
            self.demand(Rule::Row, check.request_code.as_deref() == code, || {
                format!("a register was asked otherwise than version {} tells", check.version)
            });
        }
        if let Some(state) = told.state {
            self.demand(Rule::Row, case.state == state, || {
                format!("state {} instead of {}", case.state.code(), state.code())
            });
        }
        self.demand(Rule::Row, case.entered_from == told.entered_from, || {
            format!(
                "entered from {:?} instead of {:?}",
                case.entered_from, told.entered_from
            )
        });
        self.demand(Rule::Row, case.step == told.step, || {
            format!("step {:?} instead of {:?}", case.step, told.step)
        });
        self.demand(Rule::Row, case.step_outcome == told.step_outcome, || {
            format!("outcome {:?} instead of {:?}", case.step_outcome, told.step_outcome)
        });
        self.demand(Rule::Row, case.supplement_rounds == told.rounds, || {
            format!(
                "{} rounds of supplements instead of {}",
                case.supplement_rounds, told.rounds
            )
        });
        self.demand(Rule::Row, told.approved || case.results.is_empty(), || {
            "results without an approval".to_owned()
        });
        let returned = case.returned.as_ref().map(|returned| returned.time);
        self.demand(Rule::Row, returned == told.return_time, || {
            format!("returned at {returned:?} instead of {:?}", told.return_time)
        });
        let rated = case.rating.as_ref().map(|rating| rating.time);
        self.demand(Rule::Row, rated == told.rate_time, || {
            format!("rated at {rated:?} instead of {:?}", told.rate_time)
        });
        let extended = case.extension.as_ref().map(|extension| extension.time);
        self.demand(Rule::Row, extended == told.extend_time, || {
            format!("extended at {extended:?} instead of {:?}", told.extend_time)
        });
        self.demand(
            Rule::Row,
            case.step_since.is_none() || told.imported || case.step_since == told.step_since,
            || {
                format!(
                    "at its step since {:?} instead of {:?}",
                    case.step_since, told.step_since
                )
            },
        );
        self.demand(Rule::Times, case.accept_time == told.accept_time, || {
            format!("accepted at {:?} instead of {:?}", case.accept_time, told.accept_time)
        });
        let first = record.history.first().map(|entry| entry.record_time);
        self.demand(
            Rule::Times,
            first.is_none_or(|first| {
                let filed = case.submit_time == first || (told.imported && case.submit_time <= first);
                filed && record.create_time == case.submit_time
            }),
            || format!("filed at {} instead of {first:?}", case.submit_time),
        );
        self.demand(
            Rule::Times,
            last_time.is_none_or(|last| record.update_time == last),
            || format!("changed at {} instead of {last_time:?}", record.update_time),
        );
        self.demand(Rule::Pauses, case.pauses == told.pauses, || {
            format!("{:?} instead of {:?}", case.pauses, told.pauses)
        });
    }

    fn act(&mut self, told: &mut Told, entry: &HistoryEntry) {
        let to = entry.to_state;
        let Some(from) = told.state else {
            let submitted = entry.operation == "submit" && to == State::Registered;
            told.imported = entry.operation == old_case::OPERATION;
            let first = entry.from_state.is_none() && (submitted || told.imported);
            self.demand(Rule::Transitions, first, || {
                format!("the history begins with {} into state {}", entry.operation, to.code())
            });
            if told.imported {
                self.import(told, to);
            }
            told.state = Some(to);
            told.step.clone_from(&entry.step);
            return;
        };
        self.demand(Rule::Transitions, entry.from_state == Some(from), || {
            format!(
                "version {} leaves state {:?}, but the case was in {}",
                entry.version,
                entry.from_state.map(State::code),
                from.code()
            )
        });
        let operation = Operation::ALL
            .into_iter()
            .find(|operation| operation.as_str() == entry.operation);
        let migrates = entry.operation == MIGRATE;
        let moves = entry.operation == MOVE_UNIT || migrates;
        let extends = entry.operation == EXTEND_DEADLINE;
        let recalculates = entry.operation == RECALCULATE_DEADLINE;
        let of_components = is_of_components(&entry.operation);
        let of_results = is_of_results(&entry.operation);
        let decides = entry.operation == DECIDE;
        let comes_back = entry.operation == RETURN_DECISION;
        let allowed = match operation {
            Some(operation) => self
                .rules
                .transitions
                .allowed(from, told.entered_from)
                .contains(&(operation, to)),
            None if moves => from == to,
            None if extends => {
                from == to
                    && matches!(from, State::Accepted | State::Processing)
                    && told.accept_time.is_some()
                    && told.extend_time.is_none()
            }
            None if recalculates => from == to && told.accept_time.is_some(),
            None if decides => {
                let known = self.rules.transitions.allowed(from, told.entered_from);
                let may = known.iter().any(|(operation, _)| *operation == Operation::Approve);
                may && to == State::Processing && entry.step == AWAITS_BOOK
            }
            None if comes_back => from == to && from == State::Processing && told.step == AWAITS_BOOK,
            None if of_components => from == to && is_open(from),
            None if of_results => from == to && matches!(from, State::Completed | State::Returned) && told.approved,
            None => {
                entry.operation == "rate"
                    && from == State::Returned
                    && to == State::Returned
                    && told.rate_time.is_none()
            }
        };
        self.demand(Rule::Transitions, allowed, || {
            format!(
                "version {}: {} from state {} to {} is not allowed",
                entry.version,
                entry.operation,
                from.code(),
                to.code()
            )
        });
        let goes_on = matches!(operation, Some(Operation::RecordStep | Operation::SendBack)) || decides || comes_back;
        let steps = entry.step == told.step || goes_on || migrates;
        self.demand(Rule::Transitions, steps, || {
            format!("version {}: {} changes the step", entry.version, entry.operation)
        });

        let at = entry.record_time;
        match operation {
            Some(Operation::Accept) => {
                told.accept_time = Some(at);
                told.step_since = Some(at);
            }
            Some(Operation::RecordStep | Operation::SendBack) => {
                told.step_since = Some(at);
                entry.outcome().clone_into(&mut told.step_outcome);
            }
            Some(Operation::RequestSupplement) => told.rounds += 1,
            Some(Operation::Approve) => told.approved = true,
            Some(Operation::ReturnResult) => told.return_time = Some(at),
            // Another version calls it otherwise; an entry of before outcomes could be mapped says nothing of it.
            None if migrates && entry.says_outcome() => entry.outcome().clone_into(&mut told.step_outcome),
            None if extends => told.extend_time = Some(at),
            None if decides || comes_back => {
                told.step_since = Some(at);
                entry.outcome().clone_into(&mut told.step_outcome);
            }
            None if !moves && !recalculates && !of_components && !of_results => told.rate_time = Some(at),
            None => {}
            Some(_) => {}
        }
        if from != to {
            if from.pauses_clock()
                && let Some(open) = told.pauses.iter_mut().find(|pause| pause.end.is_none())
            {
                open.end = Some(at.max(open.start));
            }
            if to.pauses_clock() && told.accept_time.is_some() {
                told.pauses.push(Pause {
                    state: to,
                    start: at,
                    end: None,
                });
            }
            told.entered_from = (to == State::SupplementRequested).then_some(from);
        }
        told.state = Some(to);
        told.step.clone_from(&entry.step);
    }

    /// What the old system said and no entry of ours tells: before the import, by the row; afterwards the history goes on from it.
    fn import(&self, told: &mut Told, state: State) {
        let case = &self.record.case;
        let at = self.record.history.first().map(|entry| entry.record_time);
        let before = |time: &Timestamp| at.is_some_and(|at| *time <= at);
        told.accept_time = case.accept_time.filter(before);
        told.pauses = case
            .pauses
            .iter()
            .filter(|pause| before(&pause.start))
            .copied()
            .collect();
        if state.pauses_clock() {
            // It ended by an act of ours, if at all.
            if let Some(open) = told.pauses.last_mut() {
                open.end = None;
            }
        }
        told.rounds = i32::from(state == State::SupplementRequested);
        told.approved = state >= State::Completed;
        told.return_time = case.returned.as_ref().map(|returned| returned.time).filter(before);
        told.entered_from = (state == State::SupplementRequested).then_some(if told.accept_time.is_some() {
            State::Processing
        } else {
            State::Registered
        });
    }

    /// True if the case was imported: its due date is the one that the old system promised, its code the one that it gave.
    fn is_imported(&self) -> bool {
        let first = self.record.history.first();
        first.is_some_and(|first| first.operation == old_case::OPERATION)
    }

    /// Works the due date out again, by the calendar in force and the pauses that have ended.
    fn deadline(&mut self) {
        let (record, rules) = (self.record, self.rules);
        let case = &record.case;
        let kept = case.deadline.as_ref();
        let shown = (kept.map(|kept| kept.due_date), kept.map(|kept| kept.due_time));
        self.demand(Rule::Deadline, shown == (record.due_date, record.due_time), || {
            format!(
                "due {:?} in lists, but {:?} in the explanation",
                record.due_date, shown.0
            )
        });
        // What another system promised no calendar explains. Without a date it promised none that is known.
        if kept.map_or_else(|| self.is_imported(), Deadline::is_taken_over) {
            return;
        }
        let Some(accepted) = case.accept_time else {
            self.demand(Rule::Deadline, kept.is_none(), || {
                "due although not accepted".to_owned()
            });
            return;
        };
        let again = deadline_of(
            rules.calendar,
            rules.procedure,
            rules.profile,
            case.channel,
            &case.conditions,
            &Clock {
                accepted,
                pauses: &case.ended_pauses(),
                extended_by: case.extended_by(),
            },
        )
        .map(|again| match kept {
            // A case of an old version does not say with which calendar it was worked out.
            Some(kept) if kept.calendar.is_empty() => Deadline {
                calendar: String::new(),
                awaits_notice: kept.awaits_notice,
                ..again
            },
            _ => again,
        });
        match (again, kept) {
            (Ok(again), Some(kept)) if again == *kept => {}
            (Ok(again), Some(kept)) if again.due_time == kept.due_time => self.say(
                Rule::Deadline,
                format!("the explanation of {} differs from the calendar's", kept.due_time),
            ),
            (Ok(again), kept) => self.say(
                Rule::Deadline,
                format!("due {:?} instead of {}", kept.map(|kept| kept.due_time), again.due_time),
            ),
            // Where it cannot be worked out any more and the case has ended, what was promised stays.
            (Err(_), Some(_)) if case.state != State::Processing => {}
            (Err(error), _) => self.say(Rule::Deadline, format!("cannot be worked out: {error}")),
        }
    }

    /// What is kept as due next is that of this case, and there is such a row exactly while it is open with a due date.
    fn due_next(&mut self) {
        let record = self.record;
        let case = &record.case;
        let expected = case.is_open_with_deadline();
        self.demand(Rule::Deadline, record.next.is_some() == expected, || {
            if expected {
                "open, and not among what is due".to_owned()
            } else {
                "among what is due although it is not open".to_owned()
            }
        });
        let Some(next) = record.next.as_ref().filter(|_| expected) else {
            return;
        };
        let kept = (
            next.state,
            next.recorded_step.as_str(),
            next.responsible_unit_id,
            next.owner_id,
            next.assignee_id,
            Some(next.due_time),
            next.procedure_version,
        );
        let of_case = (
            case.state,
            case.step.as_str(),
            case.responsible_unit_id,
            case.owner_id,
            case.assignee_id,
            case.deadline.as_ref().map(|deadline| deadline.due_time),
            case.procedure_version,
        );
        self.demand(Rule::Deadline, kept == of_case, || {
            format!("due next says {kept:?} instead of {of_case:?}")
        });
        self.demand(Rule::Deadline, next.at_risk_from.is_some() != case.is_paused(), || {
            "due next does not say that the clock stands still".to_owned()
        });
    }

    fn leaves(&mut self) {
        let (record, rules) = (self.record, self.rules);
        for leaf in &record.leaves {
            let entry = record.history.iter().find(|entry| entry.version == leaf.version);
            self.demand(
                Rule::Leaves,
                entry.is_none_or(|entry| entry.record_time == leaf.create_time),
                || format!("the leaf of version {} is of {}", leaf.version, leaf.create_time),
            );
            self.demand(Rule::Leaves, leaf.salt.is_some() != record.erased, || {
                if record.erased {
                    format!("the salt of version {} is there although it was erased", leaf.version)
                } else {
                    format!(
                        "the salt of version {} is gone, and no erasure is recorded",
                        leaf.version
                    )
                }
            });
        }
        let last = record.leaves.iter().find(|leaf| leaf.version == record.case.version);
        let Some((leaf, salt)) = last.and_then(|leaf| Some((leaf, leaf.salt.as_ref()?))) else {
            return;
        };
        match record.case.canonical() {
            Ok(canonical) => self.demand(
                Rule::Leaves,
                (rules.commit)(salt, &canonical).as_slice() == leaf.commitment,
                || format!("the case is not what the leaf of version {} commits to", leaf.version),
            ),
            Err(error) => self.say(Rule::Leaves, error.to_string()),
        }
    }

    fn events(&mut self) {
        let (record, rules) = (self.record, self.rules);
        let case = &record.case;
        for event in &record.events {
            let Some(entry) = record.history.iter().find(|entry| entry.version == event.version) else {
                continue;
            };
            let name = rules.events.get(entry.operation.as_str()).copied();
            self.demand(Rule::Events, name == Some(event.kind.as_str()), || {
                format!("version {}: {} instead of {name:?}", event.version, event.kind)
            });
            let said = event_payload(&EventFacts {
                case_code: &case.case_code,
                procedure_code: &case.procedure_code,
                state: entry.to_state,
                step: &entry.step,
                responsible_unit_id: case.responsible_unit_id,
            });
            // The unit may have changed since by a reorganisation; then the event keeps what was true.
            let same = said
                .as_object()
                .into_iter()
                .flatten()
                .all(|(key, value)| key == "responsible_unit_id" || event.payload.get(key) == Some(value));
            self.demand(Rule::Events, same, || {
                format!("version {} says {} instead of {said}", event.version, event.payload)
            });
            self.demand(Rule::Events, event.create_time == entry.record_time, || {
                format!("the event of version {} is of {}", event.version, event.create_time)
            });
        }
    }

    fn words(&mut self) {
        let (record, rules) = (self.record, self.rules);
        let case = &record.case;
        let of = (case.responsible_unit_id, case.owner_id, case.submit_time);
        let known = |token: &String| record.words.iter().any(|word| word.token == *token && word.of == of);
        let kept = kept_beside(&rules.words);
        let missing = rules.words.iter().filter(|token| !known(token)).count();
        let foreign = record
            .words
            .iter()
            .filter(|word| {
                let beside_others = word.beside.as_ref().is_none_or(|beside| *beside == kept);
                word.of != of || !rules.words.contains(&word.token) || !beside_others
            })
            .count();
        // How many, not which: they are names and numbers of people.
        self.demand(Rule::Words, missing == 0 && foreign == 0, || {
            format!("{missing} words are missing, {foreign} do not belong to the case")
        });
        self.words_at_reception(&kept);
    }

    /// Of a case that was received for another unit. What a version before left where the two have become one is found by the other words as
    /// well, and nothing is said of it.
    fn words_at_reception(&mut self, kept: &str) {
        let (record, rules) = (self.record, self.rules);
        let case = &record.case;
        let of = (case.receiving_unit_id, case.responsible_unit_id, case.submit_time);
        let is_elsewhere = case.received_elsewhere().is_some();
        let (words, stored) = (&rules.words, &record.received_words);
        let is_known = |token: &String| stored.iter().any(|word| word.token == *token && word.of == of);
        let missing = words.iter().filter(|token| is_elsewhere && !is_known(token)).count();
        let belongs = |word: &ReceivedWord| {
            let same_place = word.of == of || (!is_elsewhere && (word.of.0, word.of.2) == (of.0, of.2));
            same_place && words.contains(&word.token) && word.beside == kept
        };
        let foreign = stored.iter().filter(|word| !belongs(word)).count();
        self.demand(Rule::Words, missing == 0 && foreign == 0, || {
            format!("{missing} words are missing at the place of reception, {foreign} do not belong to the case there")
        });
    }

    fn tasks(&mut self) {
        let (record, rules) = (self.record, self.rules);
        let moves = record.history.iter().filter(|entry| entry.operation == MOVE_UNIT);
        let moved = moves.map(|entry| entry.record_time).max();
        for wrong in check_tasks(&record.case, &rules.procedure.steps, &record.work, moved, rules.commit) {
            self.say(Rule::Tasks, wrong);
        }
    }

    fn results(&mut self) {
        let (record, rules) = (self.record, self.rules);
        for wrong in check_results(&record.case, &record.history, &record.results, rules.commit) {
            self.say(Rule::Results, wrong);
        }
    }

    fn code(&mut self) {
        let case = &self.record.case;
        let filed = case.submit_time.to_zoned(vietnam()).date();
        match case.case_code.parse::<CaseCode>() {
            Ok(_) if self.is_imported() => {}
            Ok(code) => self.demand(Rule::Code, code.date() == filed, || {
                format!("the code is of {}, the case was filed on {filed}", code.date())
            }),
            Err(error) => self.say(Rule::Code, error.en().to_owned()),
        }
    }
}
