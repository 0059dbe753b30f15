//! Trình tự as a graph: which step follows which.
//!
//! A pack may list its steps only; then each follows the one before. `next` says it otherwise: branches by a condition of
//! the case, by an outcome that the officer says, or without either. The first step begins; a step that nothing follows ends.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::civil_decision::AWAITS_BOOK;
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

    /// What may follow a step of a case of which these conditions hold: one step, or one for each outcome, and then the one without an
    /// outcome if there is one. Before any step (`after` empty) the first one.
    pub fn following_steps(&self, after: &str, conditions: &[String]) -> Vec<Following<'_>> {
        following(&self.steps, after, conditions)
    }

    /// Kết luận to which whoever does a step of such a case may come, in their order; none if the step leads on by itself.
    pub fn outcomes(&self, step: &str, conditions: &[String]) -> Vec<&str> {
        let following = following(&self.steps, step, conditions);
        following.into_iter().filter_map(|next| next.outcome).collect()
    }

    /// Whether a step of such a case may end with this outcome; empty if none is said. None is said where the step has none, or where
    /// one of its ways on needs none.
    pub fn takes_outcome(&self, step: &str, conditions: &[String], outcome: &str) -> bool {
        let following = following(&self.steps, step, conditions);
        if outcome.is_empty() {
            following.is_empty() || following.iter().any(|next| next.outcome.is_none())
        } else {
            following.iter().any(|next| next.outcome == Some(outcome))
        }
    }

    /// The codes of the steps to which a case may still come: what follows from where it stands, with every outcome of the steps in
    /// between. Steps may be gone past, none is reached that no way leads to.
    pub fn reached_by(&self, done: Done<'_>, conditions: &[String]) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open = self.steps_after(done, conditions);
        while let Some(step) = open.pop() {
            if reached.insert(step.code.as_str()) {
                let next = following(&self.steps, &step.code, conditions);
                open.extend(next.into_iter().map(|next| next.step));
            }
        }
        reached
    }

    /// What may follow where a case stands: one step, or several if the outcome of the last one is not known.
    fn steps_after(&self, done: Done<'_>, conditions: &[String]) -> Vec<&Step> {
        let after = if self.step(done.step).is_some() { done.step } else { "" };
        let following = following(&self.steps, after, conditions);
        let said = following
            .iter()
            .find(|next| next.outcome.unwrap_or_default() == done.outcome);
        match said {
            Some(said) => vec![said.step],
            None => following.into_iter().map(|next| next.step).collect(),
        }
    }

    /// The ordinary way of a case through the process: the first way on at every step, each step once.
    pub fn ordinary_way(&self, conditions: &[String]) -> Vec<&Step> {
        way_on(&self.steps, Done::NOTHING, conditions)
    }

    /// The way of a case that came to these outcomes, by the codes of the steps; where it came to none, or to one that a step does not
    /// have, the ordinary one.
    pub fn way_by(&self, said: &BTreeMap<String, String>, conditions: &[String]) -> Vec<&Step> {
        way(&self.steps, Done::NOTHING, conditions, |code| {
            said.get(code).map(String::as_str)
        })
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

/// What was done last of a case: a step, and the outcome to which whoever did it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done<'a> {
    /// The step; empty before the first one.
    pub step: &'a str,
    /// Kết luận; empty if none was said.
    pub outcome: &'a str,
}

impl<'a> Done<'a> {
    /// Before the first step.
    pub const NOTHING: Self = Self { step: "", outcome: "" };

    /// A step that ended without an outcome.
    pub const fn step(step: &'a str) -> Self {
        Self { step, outcome: "" }
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

/// The way on after what was done, each step once, the one that was done as well if it is to be done again; from the first one if there is
/// no such step. The outcome that was said opens its branch; further on the way is the ordinary one. This is what work, forecasts and
/// simulations mean by what is left to do.
pub fn way_on<'a>(steps: &'a [Step], done: Done<'_>, conditions: &[String]) -> Vec<&'a Step> {
    way(steps, done, conditions, |_| None)
}

/// Whether some way leads from a step to another one, under whatever conditions and outcomes.
pub fn leads_to(steps: &[Step], from: &str, to: &str) -> bool {
    let mut passed = BTreeSet::new();
    let mut open = vec![from];
    while let Some(code) = open.pop() {
        let Some(place) = steps.iter().position(|step| step.code == code) else {
            continue;
        };
        let following: Vec<&str> = match steps.get(place).and_then(|step| step.next.as_ref()) {
            Some(next) => next.iter().map(|branch| branch.to.as_str()).collect(),
            None => steps
                .get(place + 1)
                .map(|step| step.code.as_str())
                .into_iter()
                .collect(),
        };
        for next in following {
            if next == to {
                return true;
            }
            if passed.insert(next) {
                open.push(next);
            }
        }
    }
    false
}

fn way<'a, 's>(
    steps: &'a [Step],
    done: Done<'s>,
    conditions: &[String],
    said: impl Fn(&str) -> Option<&'s str>,
) -> Vec<&'a Step> {
    // What was decided waits for the book: nobody in the office has anything to do.
    if done.step == AWAITS_BOOK {
        return Vec::new();
    }
    // Where nobody said an outcome, the way without one is the ordinary one, and the first where all of them have one.
    let next_of = |code: &str, outcome: Option<&str>| {
        let following = following(steps, code, conditions);
        let chosen = outcome.and_then(|outcome| following.iter().find(|next| next.outcome == Some(outcome)));
        let ordinary = || following.iter().find(|next| next.outcome.is_none());
        chosen
            .or_else(ordinary)
            .or_else(|| following.first())
            .map(|next| next.step)
    };
    let known = steps.iter().any(|step| step.code == done.step);
    let done = if known { done } else { Done::NOTHING };
    let mut way: Vec<&Step> = Vec::new();
    let mut next = next_of(done.step, Some(done.outcome));
    while let Some(step) = next.filter(|step| way.iter().all(|passed| passed.code != step.code)) {
        way.push(step);
        next = next_of(&step.code, said(&step.code));
    }
    way
}
