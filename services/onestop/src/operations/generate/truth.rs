//! What is known of the generated cases, counted while they were made and not by reading them back.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::case::Case;
use crate::domain::transitions::State;

/// Counts of the generated cases. The same seed, span and packs give the same truth.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// How many cases.
    pub cases: u64,
    /// By code of the responsible unit.
    pub by_unit: BTreeMap<String, u64>,
    /// By code of the responsible unit and national state.
    pub by_unit_and_state: BTreeMap<String, BTreeMap<i16, u64>>,
    /// By national state.
    pub by_state: BTreeMap<i16, u64>,
    /// By procedure.
    pub by_procedure: BTreeMap<String, u64>,
    /// counter, online, post.
    pub by_channel: BTreeMap<String, u64>,
    /// By month of filing, as 2026-11.
    pub by_month: BTreeMap<String, u64>,
    /// By day of filing.
    pub by_day: BTreeMap<Date, u64>,
    /// By hour of filing in Việt Nam.
    pub by_hour: BTreeMap<i8, u64>,
    /// By surname of the owner, if it is a person.
    pub by_surname: BTreeMap<String, u64>,
    /// Owned by organisations.
    pub organisations: u64,
    /// Decided before or at the end of the period.
    pub decided_in_time: u64,
    /// Decided afterwards.
    pub decided_late: u64,
    /// Neither decided, ended nor paused, and past the end of the period at the end of the span.
    pub open_and_overdue: u64,
    /// Acts by name: as many entries of the history, events and leaves.
    pub by_act: BTreeMap<String, u64>,
    /// Words by which the cases are found.
    pub words: u64,
    /// Components, with those of supplements.
    pub components: u64,
    /// Pauses.
    pub pauses: u64,
    /// Scores of the ratings.
    pub by_score: BTreeMap<i16, u64>,
    /// Cases with an account of a citizen.
    pub with_account: u64,
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, more: u64) {
    *counts.entry(key).or_default() += more;
}

fn merge<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    for (key, count) in from {
        add(into, key, count);
    }
}

/// What of a case is not in the case itself.
pub(super) struct Known<'a> {
    pub(super) unit_code: &'a str,
    pub(super) surname: Option<&'a str>,
    pub(super) filed: jiff::civil::DateTime,
    pub(super) decided: Option<jiff::Timestamp>,
    pub(super) as_of: jiff::Timestamp,
    pub(super) words: u64,
}

impl Truth {
    /// Counts a case.
    pub(super) fn count(&mut self, case: &Case, known: &Known<'_>) {
        self.cases += 1;
        let state = case.state.code();
        add(&mut self.by_unit, known.unit_code.to_owned(), 1);
        add(
            self.by_unit_and_state.entry(known.unit_code.to_owned()).or_default(),
            state,
            1,
        );
        add(&mut self.by_state, state, 1);
        add(&mut self.by_procedure, case.procedure_code.clone(), 1);
        add(&mut self.by_channel, case.channel.as_str().to_owned(), 1);
        let day = known.filed.date();
        add(&mut self.by_month, format!("{:04}-{:02}", day.year(), day.month()), 1);
        add(&mut self.by_day, day, 1);
        add(&mut self.by_hour, known.filed.hour(), 1);
        match known.surname {
            Some(surname) => add(&mut self.by_surname, surname.to_owned(), 1),
            None => self.organisations += 1,
        }
        if let Some(deadline) = &case.deadline {
            match known.decided {
                Some(decided) if decided <= deadline.due_time => self.decided_in_time += 1,
                Some(_) => self.decided_late += 1,
                None => {
                    let open = matches!(case.state, State::Accepted | State::Processing);
                    self.open_and_overdue += u64::from(open && deadline.due_time < known.as_of);
                }
            }
        }
        self.words += known.words;
        self.components += case.components.len() as u64;
        self.pauses += case.pauses.len() as u64;
        if let Some(rating) = &case.rating {
            add(&mut self.by_score, rating.score, 1);
        }
        self.with_account += u64::from(case.owner_id.is_some());
    }

    /// Counts an act.
    pub(super) fn count_act(&mut self, operation: &str) {
        add(&mut self.by_act, operation.to_owned(), 1);
    }

    /// How many acts there were: entries of the history, events, leaves.
    pub fn acts(&self) -> u64 {
        self.by_act.values().sum()
    }

    /// Adds what another part of the work counted.
    pub(super) fn merge(&mut self, other: Self) {
        self.cases += other.cases;
        merge(&mut self.by_unit, other.by_unit);
        for (unit, states) in other.by_unit_and_state {
            merge(self.by_unit_and_state.entry(unit).or_default(), states);
        }
        merge(&mut self.by_state, other.by_state);
        merge(&mut self.by_procedure, other.by_procedure);
        merge(&mut self.by_channel, other.by_channel);
        merge(&mut self.by_month, other.by_month);
        merge(&mut self.by_day, other.by_day);
        merge(&mut self.by_hour, other.by_hour);
        merge(&mut self.by_surname, other.by_surname);
        self.organisations += other.organisations;
        self.decided_in_time += other.decided_in_time;
        self.decided_late += other.decided_late;
        self.open_and_overdue += other.open_and_overdue;
        merge(&mut self.by_act, other.by_act);
        self.words += other.words;
        self.components += other.components;
        self.pauses += other.pauses;
        merge(&mut self.by_score, other.by_score);
        self.with_account += other.with_account;
    }
}
