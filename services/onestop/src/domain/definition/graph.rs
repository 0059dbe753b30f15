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
        if after.is_empty() {
            let first = self.first_step().map(|step| Following { step, outcome: None });
            return first.into_iter().collect();
        }
        let Some(step) = self.step(after) else {
            return Vec::new();
        };
        let mut following = Vec::new();
        for branch in step.next.iter().flatten() {
            if branch.when.as_ref().is_some_and(|when| !conditions.contains(when)) {
                continue;
            }
            following.extend(self.step(&branch.to).map(|step| Following {
                step,
                outcome: branch.outcome.as_deref(),
            }));
            if branch.outcome.is_none() {
                break;
            }
        }
        if step.next.is_none() {
            let place = self.steps.iter().position(|other| other.code == step.code);
            let next = place.and_then(|place| self.steps.get(place + 1));
            following.extend(next.map(|step| Following { step, outcome: None }));
        }
        following
    }

    /// The ordinary way of a case through the process: the first way on at every step, each step once.
    pub fn ordinary_way(&self, conditions: &[String]) -> Vec<&Step> {
        let mut way: Vec<&Step> = Vec::new();
        let mut next = self.first_step();
        while let Some(step) = next {
            if way.iter().any(|passed| passed.code == step.code) {
                break;
            }
            way.push(step);
            let following = self.following_steps(&step.code, conditions);
            // Where an officer decides, the way without a special outcome is the ordinary one.
            next = following
                .iter()
                .find(|next| next.outcome.is_none())
                .or_else(|| following.first())
                .map(|next| next.step);
        }
        way
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
