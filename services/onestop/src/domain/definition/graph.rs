//! Trình tự as a graph: which step follows which.
//!
//! A pack may list its steps only; then each follows the one before. `next` says it otherwise: branches by a condition of
//! the case, by an outcome that the officer says, or without either. The first step begins; a step that nothing follows ends.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::pack::{Procedure, Step};

/// Rẽ nhánh: one way on from a step. The first that applies is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// The step that follows.
    pub to: String,
    /// Only if this condition of the case holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Only if the officer comes to this outcome, in words, e.g. `không đạt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

impl Branch {
    /// True if it is taken whatever the case is and whatever the officer finds.
    pub fn is_default(&self) -> bool {
        self.when.is_none() && self.outcome.is_none()
    }
}

/// What may follow a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Following<'a> {
    /// The step.
    pub step: &'a Step,
    /// The outcome that leads there; none if nobody has to say one.
    pub outcome: Option<&'a str>,
}

impl Procedure {
    /// The ways on from a step, as they are written or as the list gives them.
    pub fn branches(&self, step: &Step) -> Vec<Branch> {
        if let Some(next) = &step.next {
            return next.clone();
        }
        let place = self.steps.iter().position(|other| other.code == step.code);
        place
            .and_then(|place| self.steps.get(place + 1))
            .map(|next| Branch {
                to: next.code.clone(),
                when: None,
                outcome: None,
            })
            .into_iter()
            .collect()
    }

    /// The step with which the process begins.
    pub fn first_step(&self) -> Option<&Step> {
        self.steps.first()
    }

    /// What may follow a step of a case of which these conditions hold: one step, or one for each outcome. Before any step
    /// (`after` empty) the first one.
    pub fn following_steps(&self, after: &str, conditions: &[String]) -> Vec<Following<'_>> {
        following(&self.steps, after, conditions)
    }

    /// The ordinary way of a case through the process: the first way on at every step, each step once.
    pub fn ordinary_way(&self, conditions: &[String]) -> Vec<&Step> {
        way_on(&self.steps, "", conditions)
    }

    /// The places of the steps to which a step may lead, by the places in the list.
    pub(super) fn successors(&self, place: usize) -> Vec<usize> {
        let Some(step) = self.steps.get(place) else {
            return Vec::new();
        };
        self.branches(step)
            .iter()
            .filter_map(|branch| self.steps.iter().position(|other| other.code == branch.to))
            .collect()
    }

    /// The places that can be reached from one, with itself.
    pub(super) fn reached_from(&self, place: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut open = vec![place];
        while let Some(place) = open.pop() {
            if place < self.steps.len() && reached.insert(place) {
                open.extend(self.successors(place));
            }
        }
        reached
    }
}

fn following<'a>(steps: &'a [Step], after: &str, conditions: &[String]) -> Vec<Following<'a>> {
    let plain = |step: &'a Step| Following { step, outcome: None };
    if after.is_empty() {
        return steps.first().map(plain).into_iter().collect();
    }
    let Some(place) = steps.iter().position(|step| step.code == after) else {
        return Vec::new();
    };
    let Some(next) = steps.get(place).and_then(|step| step.next.as_ref()) else {
        return steps.get(place + 1).map(plain).into_iter().collect();
    };
    let mut following = Vec::new();
    for branch in next {
        if branch.when.as_ref().is_some_and(|when| !conditions.contains(when)) {
            continue;
        }
        let to = steps.iter().find(|step| step.code == branch.to);
        following.extend(to.map(|step| Following {
            step,
            outcome: branch.outcome.as_deref(),
        }));
        if branch.outcome.is_none() {
            break;
        }
    }
    following
}

/// The ordinary way on after a step, each step once; from the first one if there is no such step. This is what work, forecasts and
/// simulations mean by what is left to do.
pub fn way_on<'a>(steps: &'a [Step], after: &str, conditions: &[String]) -> Vec<&'a Step> {
    // Where an officer decides, the way without a special outcome is the ordinary one.
    let next_of = |code: &str| {
        let following = following(steps, code, conditions);
        let ordinary = following.iter().find(|next| next.outcome.is_none());
        ordinary.or_else(|| following.first()).map(|next| next.step)
    };
    let known = steps.iter().any(|step| step.code == after);
    let after = if known { after } else { "" };
    let mut way: Vec<&Step> = Vec::new();
    let mut next = next_of(after);
    while let Some(step) = next.filter(|step| step.code != after && way.iter().all(|passed| passed.code != step.code)) {
        way.push(step);
        next = next_of(&step.code);
    }
    way
}
