//! What goes wrong, and when.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

/// One thing that goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The request is carried out and answered after so many milliseconds.
    Delay(u64),
    /// The request is carried out after so many milliseconds, and never answered.
    Late(u64),
    /// The request is carried out at once, and never answered.
    Silent,
    /// The request arrives twice; the second answer comes back.
    Duplicate,
    /// The request is carried out after the next one (or after half a second, if there is none).
    Reorder,
    /// The request is carried out; the connection ends in the middle of the answer.
    HalfOpen,
    /// The request is not carried out; the connection ends before the answer.
    HangUp,
    /// The request is carried out; the answer is not what the contract says.
    Malformed,
    /// The request is carried out; the answer's signature is wrong (where answers are signed).
    WrongSignature,
    /// The request is carried out; the answer has a code that nobody knows.
    WrongCode,
    /// The request is carried out; the answer is about another record.
    WrongRecord,
    /// The request is not carried out: 503.
    Failed,
    /// The request is carried out, and answered with 500.
    FailedAfter,
}

impl Fault {
    /// Every kind, with times that fit a test.
    pub const ALL: [Self; 13] = [
        Self::Delay(30),
        Self::Late(300),
        Self::Silent,
        Self::Duplicate,
        Self::Reorder,
        Self::HalfOpen,
        Self::HangUp,
        Self::Malformed,
        Self::WrongSignature,
        Self::WrongCode,
        Self::WrongRecord,
        Self::Failed,
        Self::FailedAfter,
    ];
}

/// The faults of one simulator. Copies share what they hold.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    script: VecDeque<(String, Fault)>,
    chance: Option<(Pcg64, u32)>,
    met: Vec<(String, Fault)>,
}

impl Faults {
    /// The next request for `operation` meets `fault`; several are met one after the other. `*` is any operation.
    pub fn script(&self, operation: &str, fault: Fault) {
        self.plan(|plan| plan.script.push_back((operation.to_owned(), fault)));
    }

    /// From now on so many of a thousand requests meet a fault drawn by `seed`; 0 ends it.
    pub fn seeded(&self, seed: u64, per_mille: u32) {
        self.plan(|plan| plan.chance = (per_mille > 0).then(|| (Pcg64::seed_from_u64(seed), per_mille)));
    }

    /// What was met so far: operation and fault.
    pub fn met(&self) -> Vec<(String, Fault)> {
        self.plan(|plan| plan.met.clone())
    }

    /// What is written and was not met yet.
    pub fn left(&self) -> usize {
        self.plan(|plan| plan.script.len())
    }

    pub(crate) fn next(&self, operation: &str) -> Option<Fault> {
        self.plan(|plan| {
            let written = plan.script.iter().position(|(at, _)| at == operation || at == "*");
            let fault = match written {
                Some(place) => plan.script.remove(place).map(|(_, fault)| fault),
                None => plan.chance.as_mut().and_then(|(chance, per_mille)| {
                    let hit = chance.random_range(0..1000) < *per_mille;
                    let which = chance.random_range(0..Fault::ALL.len());
                    Fault::ALL.get(which).copied().filter(|_| hit)
                }),
            };
            if let Some(fault) = fault {
                plan.met.push((operation.to_owned(), fault));
            }
            fault
        })
    }

    fn plan<T>(&self, f: impl FnOnce(&mut Plan) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How long a request waits for the one that shall overtake it.
pub(crate) const OVERTAKEN_WITHIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_met_in_its_order_by_the_operations_that_it_names() {
        let faults = Faults::default();
        faults.script("find", Fault::Silent);
        faults.script("*", Fault::HalfOpen);
        assert_eq!(faults.next("create"), Some(Fault::HalfOpen));
        assert_eq!(faults.next("create"), None);
        assert_eq!(faults.next("find"), Some(Fault::Silent));
        assert_eq!((faults.left(), faults.met().len()), (0, 2));
    }

    #[test]
    fn equal_seeds_draw_equal_faults() {
        let draw = |seed| {
            let faults = Faults::default();
            faults.seeded(seed, 500);
            (0..200).map(|_| faults.next("x")).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let some = draw(7).iter().flatten().count();
        assert!((60..140).contains(&some), "{some} of 200");
    }
}
