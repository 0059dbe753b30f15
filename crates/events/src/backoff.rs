//! How long to wait before something is tried again.

use std::time::Duration;

use egov_clock::Ids;

/// A pause that doubles with each failure up to a limit, and of which half is chance: those who failed together do not come
/// back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_mins(10),
        }
    }
}

impl Backoff {
    /// The pause after `attempt` failures (from 1). `chance` is anything: 0 gives half of the full pause, the largest number
    /// nearly all of it.
    pub fn pause(&self, attempt: u32, chance: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(doubled).min(self.longest);
        let half = full / 2;
        let part = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        let drawn = (u128::from(part) * u128::from(chance)) >> u32::BITS;
        half + Duration::from_nanos(u64::try_from(drawn).unwrap_or(part))
    }

    /// The pause by a chance that `ids` gives.
    pub fn draw(&self, attempt: u32, ids: &dyn Ids) -> Duration {
        let mut chance = [0; 4];
        ids.random_bytes(&mut chance);
        self.pause(attempt, u32::from_be_bytes(chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_until_the_longest() {
        let backoff = Backoff {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(10),
        };
        let halves: Vec<u64> = (1..=6).map(|n| 2 * backoff.pause(n, 0).as_millis() as u64).collect();
        assert_eq!(halves, [1000, 2000, 4000, 8000, 10_000, 10_000]);
    }

    proptest! {
        #[test]
        fn a_pause_lies_between_half_and_all_of_the_full_one(attempt in 0_u32..200, chance: u32, first in 1_u64..100_000) {
            let backoff = Backoff { first: Duration::from_millis(first), longest: Duration::from_mins(10) };
            let pause = backoff.pause(attempt, chance);
            prop_assert!(pause >= backoff.pause(attempt, 0));
            prop_assert!(pause <= backoff.pause(attempt, 0) * 2 + Duration::from_nanos(1));
            prop_assert!(pause <= backoff.longest.max(backoff.first));
        }
    }
}
