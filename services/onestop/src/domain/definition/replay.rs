//! Chạy thử: a past case under a draft: when it would have been due, what it would have cost, who would have handled it.

use std::collections::BTreeMap;

use egov_calendar::WorkCalendar;
use jiff::Timestamp;
use jiff::civil::Date;

use super::table::Asked;
use super::ways::WrongShape;
use crate::domain::case::{Case, CaseFee};
use crate::domain::deadline::{Clock, deadline_of};
use crate::domain::pack::{Procedure, Profile};

/// By what past cases are replayed.
pub struct Facts<'a> {
    /// The draft.
    pub draft: &'a Procedure,
    /// Steps of the case's own version, by their codes: who handled them.
    pub own: &'a Procedure,
    /// The calendar in force.
    pub calendar: &'a WorkCalendar,
    /// What may be relied on: a time that nobody decided gives no due date.
    pub profile: Profile,
    /// When the case was decided, if it was.
    pub decided: Option<Timestamp>,
    /// The outcomes to which whoever did its steps came last, by the codes of the steps.
    pub outcomes: &'a BTreeMap<String, String>,
}

/// Who handles a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// The step.
    pub step: String,
    /// The role that does it.
    pub role: String,
}

/// What a draft would have made of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The due date as it was; none if it was never accepted.
    pub due_then: Option<Date>,
    /// The due date under the draft; none if it was never accepted, or no date follows.
    pub due_draft: Option<Date>,
    /// Whether it was decided after its due date.
    pub late_then: bool,
    /// Whether it would have been.
    pub late_draft: bool,
    /// Its fees as they were, all of them in đồng; an amount that is not established counts as nothing.
    pub fees_then: i64,
    /// Its fees under the draft.
    pub fees_draft: i64,
    /// The fees under the draft, one by one.
    pub fees: Vec<CaseFee>,
    /// The row that would have kept it from being filed.
    pub not_eligible: Option<String>,
    /// Stated conditions that the draft does not have, or a choice that was not made.
    pub conditions_wrong: bool,
    /// What it would have lacked.
    pub missing: Vec<String>,
    /// What was filed in a shape that the draft does not accept.
    pub wrong_shapes: Vec<WrongShape>,
    /// Who handled it by its own version, along the way of its outcomes.
    pub handlers_then: Vec<Handler>,
    /// Who would have, by the same outcomes as far as the draft has them.
    pub handlers_draft: Vec<Handler>,
    /// Whether the draft offers its channel.
    pub offered: bool,
}

fn handlers(procedure: &Procedure, said: &BTreeMap<String, String>, conditions: &[String]) -> Vec<Handler> {
    let way = procedure.way_by(said, conditions).into_iter();
    way.map(|step| Handler {
        step: step.code.clone(),
        role: step.role.clone(),
    })
    .collect()
}

fn sum(fees: &[CaseFee]) -> i64 {
    fees.iter()
        .filter_map(|fee| fee.amount_vnd)
        .fold(0, i64::saturating_add)
}

/// Replays a case.
pub fn replay(case: &Case, facts: &Facts<'_>) -> Replayed {
    let draft = facts.draft;
    let stated: Vec<String> = case
        .conditions
        .iter()
        .filter(|code| {
            let known = draft.conditions.iter().chain(&facts.own.conditions);
            !known
                .into_iter()
                .any(|known| known.code == **code && known.channel.is_some())
        })
        .cloned()
        .collect();
    let conditions = draft.conditions_for(case.channel, &stated);
    let asked = Asked::at(case.channel, case.owner.kind, &conditions, case.submit_time);
    let ended = case.ended_pauses();
    let due = case.accept_time.and_then(|accepted| {
        let clock = Clock {
            accepted,
            pauses: &ended,
            extended_by: 0,
        };
        deadline_of(facts.calendar, draft, facts.profile, case.channel, &conditions, &clock).ok()
    });
    let late = |due: Option<Timestamp>| facts.decided.zip(due).is_some_and(|(decided, due)| decided > due);
    let fees = draft.fees_on(&asked);
    let not_eligible = draft.eligibility_for(&asked).filter(|row| !row.eligible);
    Replayed {
        due_then: case.deadline.as_ref().map(|deadline| deadline.due_date),
        due_draft: due.as_ref().map(|deadline| deadline.due_date),
        late_then: late(case.deadline.as_ref().map(|deadline| deadline.due_time)),
        late_draft: late(due.as_ref().map(|deadline| deadline.due_time)),
        fees_then: sum(&case.fees),
        fees_draft: sum(&fees),
        fees,
        not_eligible: not_eligible.map(|row| row.code.clone()),
        conditions_wrong: !draft.condition_faults(&stated).is_empty(),
        missing: draft
            .missing_components(&conditions, &case.filed())
            .into_iter()
            .map(|missing| missing.any_of.join(" | "))
            .collect(),
        wrong_shapes: draft.wrong_shapes(case.channel, &conditions, &case.components),
        handlers_then: handlers(facts.own, facts.outcomes, &case.conditions),
        handlers_draft: handlers(draft, facts.outcomes, &conditions),
        offered: draft.offer(case.channel).is_some(),
    }
}

/// What a draft would have made of several cases, summed up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summed {
    /// How many were replayed.
    pub cases: u32,
    /// How many would have been due earlier.
    pub due_earlier: u32,
    /// How many would have been due later.
    pub due_later: u32,
    /// How many were late.
    pub late_then: u32,
    /// How many would have been.
    pub late_draft: u32,
    /// Fees as they were.
    pub fees_then: i64,
    /// Fees under the draft.
    pub fees_draft: i64,
    /// How many could not have been filed: not eligible, not offered, something lacking or stated otherwise.
    pub not_filed: u32,
    /// Steps under the draft by role.
    pub steps_by_role: BTreeMap<String, u32>,
}

impl Summed {
    /// Adds a case.
    pub fn add(&mut self, one: &Replayed) {
        self.cases += 1;
        if let (Some(then), Some(draft)) = (one.due_then, one.due_draft) {
            self.due_earlier += u32::from(draft < then);
            self.due_later += u32::from(draft > then);
        }
        self.late_then += u32::from(one.late_then);
        self.late_draft += u32::from(one.late_draft);
        self.fees_then = self.fees_then.saturating_add(one.fees_then);
        self.fees_draft = self.fees_draft.saturating_add(one.fees_draft);
        let filed = one.offered
            && one.not_eligible.is_none()
            && !one.conditions_wrong
            && one.missing.is_empty()
            && one.wrong_shapes.is_empty();
        self.not_filed += u32::from(!filed);
        for handler in &one.handlers_draft {
            *self.steps_by_role.entry(handler.role.clone()).or_default() += 1;
        }
    }
}
