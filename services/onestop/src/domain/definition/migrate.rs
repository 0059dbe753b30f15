//! Chuyển phiên bản: whether a running case can go over to another version of its procedure, and what it is then.
//!
//! A case keeps its version. It goes over only if somebody decided to migrate, and only where nothing is taken from the
//! applicant by it: the date that was promised may come earlier, never later; what was filed and stated must still be
//! something; fees that were fixed by the receipt stay.

use std::collections::BTreeMap;

use egov_calendar::WorkCalendar;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::graph::Done;
use super::outcome_mapping::{Outcomes, mapped, may_stand};
use super::table::Asked;
use crate::domain::case::{Case, Deadline};
use crate::domain::deadline::{Clock, deadline_of};
use crate::domain::listing::Versioned;
use crate::domain::pack::Profile;
use crate::domain::transitions::State;

/// Its name in the history: nobody's act on the single case, and no transition.
pub const MIGRATE: &str = "migrate_version";

/// Why a case stays with its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hindrance {
    /// It is decided or has ended.
    Finished,
    /// It is at a step that the new version does not have, and no other was named for it.
    StepGone,
    /// The step of the new version belongs to another state.
    StepElsewhere,
    /// Its step came to an outcome that the step of the new version does not have, or to none where that one needs one.
    OutcomeGone,
    /// What was named for its outcome leads where it could not stand.
    OutcomeElsewhere,
    /// A condition that was stated is none of the new version, or a choice of it was not made.
    Conditions,
    /// The new version is not offered on its channel.
    ChannelGone,
    /// A component that was filed is none of the new version.
    ComponentGone,
    /// The new version's time is not settled, or the calendar does not reach so far.
    NoDeadline,
    /// The due date does not follow from its version any more: it was extended, or the calendar changed.
    DueDateOfItsOwn,
    /// The new version would be due later than was promised.
    DueLater,
    /// The new version follows other transitions, by which the history of the case would not hold.
    Transitions,
}

impl Hindrance {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Finished,
        Self::StepGone,
        Self::StepElsewhere,
        Self::OutcomeGone,
        Self::OutcomeElsewhere,
        Self::Conditions,
        Self::ChannelGone,
        Self::ComponentGone,
        Self::NoDeadline,
        Self::DueDateOfItsOwn,
        Self::DueLater,
        Self::Transitions,
    ];

    /// The name in tables and contracts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::StepGone => "step_gone",
            Self::StepElsewhere => "step_elsewhere",
            Self::OutcomeGone => "outcome_gone",
            Self::OutcomeElsewhere => "outcome_elsewhere",
            Self::Conditions => "conditions",
            Self::ChannelGone => "channel_gone",
            Self::ComponentGone => "component_gone",
            Self::NoDeadline => "no_deadline",
            Self::DueDateOfItsOwn => "due_date_of_its_own",
            Self::DueLater => "due_later",
            Self::Transitions => "transitions",
        }
    }

    /// The hindrance of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hindrance| hindrance.as_str() == name)
    }

    /// In Vietnamese and English.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Finished => (
                "hồ sơ đã có quyết định hoặc đã kết thúc",
                "the case is decided or has ended",
            ),
            Self::StepGone => (
                "bước hiện tại không có trong phiên bản mới và chưa chỉ định bước thay thế",
                "its step is not in the new version, and no other was named for it",
            ),
            Self::StepElsewhere => (
                "bước trong phiên bản mới thuộc trạng thái khác",
                "the step of the new version belongs to another state",
            ),
            Self::OutcomeGone => (
                "kết luận của bước không có trong phiên bản mới",
                "its step does not end so in the new version",
            ),
            Self::OutcomeElsewhere => (
                "kết luận thay thế dẫn đến nơi hồ sơ không thể đứng",
                "the outcome that was named for that of its step leads where the case could not stand",
            ),
            Self::Conditions => (
                "trường hợp đã khai không phù hợp với phiên bản mới",
                "what was stated does not fit the conditions of the new version",
            ),
            Self::ChannelGone => (
                "phiên bản mới không nhận qua kênh này",
                "the new version is not offered on its channel",
            ),
            Self::ComponentGone => (
                "thành phần đã nộp không có trong phiên bản mới",
                "something that was filed is no component of the new version",
            ),
            Self::NoDeadline => (
                "không tính được hạn theo phiên bản mới",
                "no due date can be worked out by the new version",
            ),
            Self::DueDateOfItsOwn => (
                "hạn trả đã được gia hạn hoặc tính lại, không còn theo phiên bản",
                "the due date was extended or worked out again, and does not follow from its version",
            ),
            Self::DueLater => (
                "hạn theo phiên bản mới muộn hơn hạn đã hẹn",
                "the new version would be due later than was promised",
            ),
            Self::Transitions => (
                "phiên bản mới theo bộ chuyển trạng thái khác",
                "the new version follows other transitions",
            ),
        }
    }
}

/// Why a case stays, with what of it that is: in Vietnamese and English.
pub fn words_of(hindrance: Hindrance, case: &Case) -> (String, String) {
    let (vi, en) = hindrance.words();
    let (step, outcome) = (&case.step, &case.step_outcome);
    let of_outcome = matches!(hindrance, Hindrance::OutcomeGone | Hindrance::OutcomeElsewhere);
    if of_outcome && !outcome.is_empty() {
        (
            format!("{vi}: bước {step}, kết luận “{outcome}”"),
            format!("{en}: step {step}, outcome “{outcome}”"),
        )
    } else if of_outcome {
        (
            format!("{vi}: bước {step} chưa có kết luận"),
            format!("{en}: step {step}, without an outcome"),
        )
    } else {
        (vi.to_owned(), en.to_owned())
    }
}

/// By what a migration is judged.
pub struct Facts<'a> {
    /// The version that the case has.
    pub from: &'a Versioned,
    /// The version that it shall have.
    pub to: &'a Versioned,
    /// Steps of the old version and what stands for them in the new one.
    pub steps: &'a BTreeMap<String, String>,
    /// Outcomes of the old version and what stands for them in the new one.
    pub outcomes: &'a Outcomes,
    /// The calendar in force.
    pub calendar: &'a WorkCalendar,
    /// What may be relied on.
    pub profile: Profile,
    /// Now.
    pub now: Timestamp,
}

/// A case as it would be.
#[derive(Clone)]
pub struct Migrated {
    /// The case under the new version.
    pub case: Case,
    /// Components that the new version asks for and that were not filed, by their codes. They are no hindrance: what is
    /// lacking is asked for, not a reason to treat the case by old law.
    pub missing: Vec<String>,
}

/// The case under the new version, or everything that keeps it with its own.
///
/// # Errors
/// Every hindrance, each once.
pub fn migrated(case: &Case, facts: &Facts<'_>) -> Result<Migrated, Vec<Hindrance>> {
    let new = &facts.to.procedure;
    let mut hindrances = Vec::new();
    let mut demand = |holds: bool, hindrance: Hindrance| {
        if !holds && !hindrances.contains(&hindrance) {
            hindrances.push(hindrance);
        }
    };
    let runs = !matches!(
        case.state,
        State::Rejected | State::Withdrawn | State::Stopped | State::Completed | State::Returned
    );
    demand(runs, Hindrance::Finished);
    demand(
        facts.from.procedure.transitions == new.transitions,
        Hindrance::Transitions,
    );
    demand(new.offer(case.channel).is_some(), Hindrance::ChannelGone);
    let step = facts.steps.get(&case.step).unwrap_or(&case.step).clone();
    if !step.is_empty() {
        match new.step(&step) {
            None => demand(false, Hindrance::StepGone),
            // A case that waits, or was assigned since, is not in the state of its last step: then the old step decides.
            Some(known) => {
                let old = facts
                    .from
                    .procedure
                    .step(&case.step)
                    .map_or(case.state, |old| old.state);
                demand(
                    known.state == old || known.state == case.state,
                    Hindrance::StepElsewhere,
                );
            }
        }
    }
    // What follows from the channel is not stated; of the rest everything must be something in the new version.
    let stated: Vec<String> = case
        .conditions
        .iter()
        .filter(|code| {
            let conditions = facts.from.procedure.conditions.iter().chain(&new.conditions);
            !conditions
                .into_iter()
                .any(|known| known.code == **code && known.channel.is_some())
        })
        .cloned()
        .collect();
    demand(new.condition_faults(&stated).is_empty(), Hindrance::Conditions);
    let filed: Vec<&str> = case
        .components
        .iter()
        .map(|component| component.component_code.as_str())
        .collect();
    demand(new.unknown_components(filed).is_empty(), Hindrance::ComponentGone);

    let conditions = new.conditions_for(case.channel, &stated);
    let named = mapped(facts.outcomes, case.done());
    let done = Done {
        step: &step,
        outcome: named.unwrap_or(&case.step_outcome),
    };
    if new.step(&step).is_some() {
        let goes_on = new.takes_outcome(&step, &conditions, done.outcome);
        demand(goes_on, Hindrance::OutcomeGone);
        // What the new version calls as the old one did it may lead elsewhere; a name that somebody put in its place may not.
        let old = (&facts.from.procedure, case.done(), case.conditions.as_slice());
        let stands = named.is_none() || !goes_on || may_stand(old, (new, done, conditions.as_slice()));
        demand(stands, Hindrance::OutcomeElsewhere);
    }
    let deadline = match due(case, facts, &conditions) {
        Ok(deadline) => deadline,
        Err(hindrance) => {
            demand(false, hindrance);
            None
        }
    };
    if !hindrances.is_empty() {
        return Err(hindrances);
    }
    let asked = Asked::at(case.channel, case.owner.kind, &conditions, facts.now);
    let fees = if case.accept_time.is_some() {
        case.fees.clone()
    } else {
        new.fees_on(&asked)
    };
    let missing = new
        .missing_components(&conditions, &case.filed())
        .into_iter()
        .map(|missing| missing.any_of.join(" | "))
        .collect();
    let mut after = case.clone();
    after.take_version(facts.to, done, deadline, fees);
    after.conditions = conditions;
    Ok(Migrated { case: after, missing })
}

/// The due date by the new version: none before acceptance.
fn due(case: &Case, facts: &Facts<'_>, conditions: &[String]) -> Result<Option<Deadline>, Hindrance> {
    let (Some(accepted), Some(kept)) = (case.accept_time, &case.deadline) else {
        return Ok(None);
    };
    // A pause that has not ended counts when it ends, as for every other act.
    let clock = Clock {
        accepted,
        pauses: &case.ended_pauses(),
        extended_by: case.extended_by(),
    };
    let by = |version: &Versioned, conditions: &[String]| {
        deadline_of(
            facts.calendar,
            &version.procedure,
            facts.profile,
            case.channel,
            conditions,
            &clock,
        )
    };
    let old = by(facts.from, &case.conditions).map_err(|_| Hindrance::DueDateOfItsOwn)?;
    if old.due_time != kept.due_time {
        return Err(Hindrance::DueDateOfItsOwn);
    }
    let new = by(facts.to, conditions).map_err(|_| Hindrance::NoDeadline)?;
    if new.due_time > kept.due_time {
        return Err(Hindrance::DueLater);
    }
    Ok(Some(new))
}
