//! A circuit breaker: who fails again and again is left alone for a while.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use egov_clock::{Clock as _, SharedClock};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// So many failures in a row open it.
    pub failures: u32,
    /// For so long nothing is sent, in milliseconds; then one call tries.
    pub pause_ms: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            pause_ms: 30_000,
        }
    }
}

/// The breaker of one line.
pub struct Breaker {
    config: BreakerConfig,
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Timestamp,
    },
    /// One call is out to try.
    Trying,
}

/// Leave to make one call. Dropped without a word it counts as a failure: the call was given up.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    told: bool,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(config: BreakerConfig, clock: SharedClock) -> Self {
        Self {
            config,
            clock,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Leave to call; none while it is open.
    pub fn admit(&self) -> Option<Permit<'_>> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Closed { .. } => {}
            State::Open { until } if now >= until => *state = State::Trying,
            State::Open { .. } | State::Trying => return None,
        }
        Some(Permit {
            breaker: self,
            told: false,
        })
    }

    /// Whether calls are refused at present.
    pub fn is_open(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(*state, State::Closed { .. })
    }

    /// Whether a call would be refused now. An open breaker whose pause is over waits for the call that tries.
    pub fn is_waiting(&self) -> bool {
        let now = self.clock.now();
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed { .. } => false,
            State::Open { until } => now < until,
            State::Trying => true,
        }
    }

    fn note(&self, well: bool) {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match (*state, well) {
            // A call from before the pause says nothing about the partner now.
            (State::Open { until }, _) => State::Open { until },
            (State::Closed { .. } | State::Trying, true) => State::Closed { failures: 0 },
            (State::Closed { failures }, false) if failures + 1 < self.config.failures => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. } | State::Trying, false) => State::Open {
                until: now
                    .checked_add(SignedDuration::from_millis(self.config.pause_ms.into()))
                    .unwrap_or(Timestamp::MAX),
            },
        };
    }
}

impl Permit<'_> {
    /// The partner answered like somebody in good health, be it with a refusal.
    pub fn well(mut self) {
        self.told = true;
        self.breaker.note(true);
    }

    /// It did not.
    pub fn badly(mut self) {
        self.told = true;
        self.breaker.note(false);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.note(false);
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_clock::ManualClock;

    fn breaker() -> (Breaker, ManualClock) {
        let clock = ManualClock::at("2026-11-26T01:00:00Z".parse().unwrap());
        let config = BreakerConfig {
            failures: 2,
            pause_ms: 1_000,
        };
        (Breaker::new(config, clock.shared()), clock)
    }

    #[test]
    fn a_breaker_opens_after_failures_in_a_row_and_lets_one_call_try_after_the_pause() {
        let (breaker, clock) = breaker();
        breaker.admit().unwrap().badly();
        breaker.admit().unwrap().well();
        breaker.admit().unwrap().badly();
        assert!(!breaker.is_open(), "a good call in between starts the count anew");
        breaker.admit().unwrap().badly();
        assert!(breaker.admit().is_none() && breaker.is_waiting());
        clock.advance(SignedDuration::from_millis(1_000));
        assert!(
            breaker.is_open() && !breaker.is_waiting(),
            "it waits for the call that tries"
        );
        let trying = breaker.admit().unwrap();
        assert!(
            breaker.admit().is_none() && breaker.is_waiting(),
            "one tries, the others wait"
        );
        trying.well();
        assert!(!breaker.is_waiting());
        assert!(breaker.admit().is_some());
    }

    #[test]
    fn a_call_that_was_given_up_does_not_leave_the_breaker_waiting_for_ever() {
        let (breaker, clock) = breaker();
        drop(breaker.admit());
        drop(breaker.admit());
        clock.advance(SignedDuration::from_millis(1_000));
        drop(breaker.admit().unwrap());
        clock.advance(SignedDuration::from_millis(1_000));
        assert!(breaker.admit().is_some());
    }
}
