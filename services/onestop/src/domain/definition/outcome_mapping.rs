//! Kết luận khi chuyển phiên bản: outcomes of the old version, and what stands for them in the new one where that calls them otherwise.
//!
//! A mapping says how something that was found is called, and finds nothing: it never lets a case that was to be stopped go on, nor stops one
//! that was to go on, and it makes no outcome where nobody came to one.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Done;
use crate::domain::pack::{Procedure, Step};
use crate::domain::transitions::State;

/// What stands for outcomes in the new version, by the code of the step in the old one and the outcome to which it came.
pub type Outcomes = BTreeMap<String, BTreeMap<String, String>>;

/// An outcome of the old version and what stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeMapping {
    /// Code of the step in the old version.
    pub step: String,
    /// Kết luận in the old version.
    pub from: String,
    /// Kết luận in the new version; empty if its step leads on without one.
    pub to: String,
}

/// What is wrong with a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeFault {
    /// The outcome of this step was named before.
    Repeated,
    /// The old version has no such step.
    StepUnknown,
    /// The step of the old version does not end so.
    FromUnknown {
        /// How it ends; nothing if it has no outcomes.
        outcomes: Vec<String>,
    },
    /// The new version has no step that stands for it.
    StepGone {
        /// The code under which it was looked for.
        step: String,
    },
    /// The step of the new version does not end so.
    ToUnknown {
        /// Its code in the new version.
        step: String,
        /// How it ends; nothing if it has no outcomes.
        outcomes: Vec<String>,
    },
    /// The outcome of the new version leads where no case that came to the old one could stand.
    Elsewhere {
        /// The codes of the steps to which it leads; nothing if it leads nowhere.
        leads_to: Vec<String>,
    },
}

impl OutcomeFault {
    /// The field of the mapping that is wrong.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::StepUnknown | Self::StepGone { .. } => "step",
            Self::Repeated | Self::FromUnknown { .. } => "from",
            Self::ToUnknown { .. } | Self::Elsewhere { .. } => "to",
        }
    }

    /// In Vietnamese and English.
    pub fn words(&self) -> (String, String) {
        match self {
            Self::Repeated => (
                "kết luận này của bước đã được nêu ở trên".to_owned(),
                "this outcome of the step is named before already".to_owned(),
            ),
            Self::StepUnknown => (
                "phiên bản cũ không có bước này".to_owned(),
                "the old version has no such step".to_owned(),
            ),
            Self::FromUnknown { outcomes } if outcomes.is_empty() => (
                "trong phiên bản cũ bước này không có kết luận nào".to_owned(),
                "in the old version this step ends without an outcome".to_owned(),
            ),
            Self::FromUnknown { outcomes } => {
                let listed = outcomes.join("; ");
                (
                    format!("trong phiên bản cũ bước này không có kết luận như vậy; các kết luận: {listed}"),
                    format!("in the old version this step has no such outcome; its outcomes: {listed}"),
                )
            }
            Self::StepGone { step } => (
                format!("phiên bản mới không có bước {step} và chưa chỉ định bước thay thế"),
                format!("the new version has no step {step}, and no other was named for it"),
            ),
            Self::ToUnknown { step, outcomes } if outcomes.is_empty() => (
                format!("trong phiên bản mới bước {step} không có kết luận nào"),
                format!("in the new version step {step} ends without an outcome"),
            ),
            Self::ToUnknown { step, outcomes } => {
                let listed = outcomes.join("; ");
                (
                    format!("trong phiên bản mới bước {step} không có kết luận như vậy; các kết luận: {listed}"),
                    format!("in the new version step {step} has no such outcome; its outcomes: {listed}"),
                )
            }
            Self::Elsewhere { leads_to } if leads_to.is_empty() => (
                "trong phiên bản mới không có bước nào tiếp theo".to_owned(),
                "in the new version nothing follows".to_owned(),
            ),
            Self::Elsewhere { leads_to } => {
                let listed = leads_to.join(", ");
                (
                    format!("kết luận mới dẫn đến {listed}, nơi hồ sơ có kết luận cũ không thể đứng"),
                    format!("it leads to {listed}, where no case that came to the old outcome could stand"),
                )
            }
        }
    }
}

/// How a case that came to an outcome goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// To a step between reception and decision, or to the decision.
    On,
    /// To be stopped.
    Stop,
    /// To nothing that follows an outcome: reception and return, or no step at all.
    Nowhere,
}

impl Way {
    fn to(step: Option<&Step>) -> Self {
        match step.map(|step| step.state) {
            Some(State::Processing | State::PaymentRequested | State::Completed) => Self::On,
            Some(State::Stopped) => Self::Stop,
            _ => Self::Nowhere,
        }
    }

    /// Whether a case that was to go this way may go that one.
    fn allows(self, new: Self) -> bool {
        match new {
            Self::On => self != Self::Stop,
            Self::Stop => self == Self::Stop,
            Self::Nowhere => false,
        }
    }
}

/// The mappings by step and outcome; of one that is named twice the last, which [`outcome_faults`] refuses.
pub fn by_step(mappings: &[OutcomeMapping]) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for mapping in mappings {
        let of_step = outcomes.entry(mapping.step.clone()).or_default();
        of_step.insert(mapping.from.clone(), mapping.to.clone());
    }
    outcomes
}

/// What stands for the outcome of a step; none if nothing is named for it.
pub fn mapped<'a>(outcomes: &'a Outcomes, done: Done<'_>) -> Option<&'a str> {
    let of_step = outcomes.get(done.step)?;
    of_step.get(done.outcome).map(String::as_str)
}

/// Everything that is wrong with mappings between two versions, whatever cases there are: each with its place in the list.
pub fn outcome_faults(
    from: &Procedure,
    to: &Procedure,
    steps: &BTreeMap<String, String>,
    mappings: &[OutcomeMapping],
) -> Vec<(usize, OutcomeFault)> {
    let mut faults = Vec::new();
    let mut named = BTreeSet::new();
    for (place, mapping) in mappings.iter().enumerate() {
        let mut say = |fault| faults.push((place, fault));
        if !named.insert((&mapping.step, &mapping.from)) {
            say(OutcomeFault::Repeated);
        }
        let Some(old) = from.step(&mapping.step) else {
            say(OutcomeFault::StepUnknown);
            continue;
        };
        let is_known = opens(from, old, &mapping.from);
        if !is_known {
            say(OutcomeFault::FromUnknown {
                outcomes: outcomes_of(from, old),
            });
        }
        let code = steps.get(&mapping.step).unwrap_or(&mapping.step);
        let Some(new) = to.step(code) else {
            say(OutcomeFault::StepGone { step: code.clone() });
            continue;
        };
        let outcomes = outcomes_of(to, new);
        // Where the step is the last one, nothing need be said, and nothing follows.
        let says_nothing = mapping.to.is_empty() && outcomes.is_empty();
        if !says_nothing && !opens(to, new, &mapping.to) {
            say(OutcomeFault::ToUnknown {
                step: code.clone(),
                outcomes,
            });
            continue;
        }
        let old_ways = ways(from, old, &mapping.from);
        let new_ways = ways(to, new, &mapping.to);
        let fits = new_ways.iter().any(|(_, new)| {
            if is_known {
                old_ways.iter().any(|(_, old)| old.allows(*new))
            } else {
                *new != Way::Nowhere
            }
        });
        if !fits {
            say(OutcomeFault::Elsewhere {
                leads_to: new_ways.into_iter().map(|(code, _)| code).collect(),
            });
        }
    }
    faults
}

/// Whether a case that came to an outcome under its own version may stand where the new outcome of the new version leads it.
pub fn may_stand(
    (from, done, conditions): (&Procedure, Done<'_>, &[String]),
    (to, new_done, new_conditions): (&Procedure, Done<'_>, &[String]),
) -> bool {
    Way::to(opened(from, done, conditions)).allows(Way::to(opened(to, new_done, new_conditions)))
}

/// The step to which the outcome leads a case of these conditions.
fn opened<'a>(procedure: &'a Procedure, done: Done<'_>, conditions: &[String]) -> Option<&'a Step> {
    let following = procedure.following_steps(done.step, conditions);
    let opened = following
        .into_iter()
        .find(|next| next.outcome.unwrap_or_default() == done.outcome);
    opened.map(|next| next.step)
}

/// How a step ends, whatever the case is: each outcome once.
fn outcomes_of(procedure: &Procedure, step: &Step) -> Vec<String> {
    let mut outcomes = Vec::new();
    for outcome in procedure.branches(step).into_iter().filter_map(|branch| branch.outcome) {
        if !outcomes.contains(&outcome) {
            outcomes.push(outcome);
        }
    }
    outcomes
}

/// Whether some case goes on from the step by this outcome; empty: without one.
fn opens(procedure: &Procedure, step: &Step, outcome: &str) -> bool {
    let branches = procedure.branches(step);
    branches
        .iter()
        .any(|branch| branch.outcome.as_deref().unwrap_or_default() == outcome)
}

/// The steps to which an outcome leads, under whatever conditions, and how a case goes on there.
fn ways(procedure: &Procedure, step: &Step, outcome: &str) -> Vec<(String, Way)> {
    let branches = procedure.branches(step).into_iter();
    branches
        .filter(|branch| branch.outcome.as_deref().unwrap_or_default() == outcome)
        .map(|branch| {
            let way = Way::to(procedure.step(&branch.to));
            (branch.to, way)
        })
        .collect()
}

#[cfg(test)]
#[path = "outcome_mapping_tests.rs"]
mod tests;
