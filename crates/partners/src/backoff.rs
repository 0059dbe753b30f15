//! How long to wait before the next try.

use std::time::Duration;

use egov_clock::Ids;
use serde::{Deserialize, Serialize};

/// Exponential waiting with jitter: the n-th wait is drawn from the upper half of `first · 2ⁿ`, never above `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// The first wait, in milliseconds.
    pub first_ms: u64,
    /// The longest wait, in milliseconds.
    pub longest_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first_ms: 200,
            longest_ms: 10_000,
        }
    }
}

impl Backoff {
    /// The wait after the try with this number, from 0. Equal waits of many callers would come back together: hence the
    /// jitter.
    pub fn wait(&self, attempt: u32, ids: &dyn Ids) -> Duration {
        let whole = self
            .first_ms
            .saturating_mul(1_u64.checked_shl(attempt).unwrap_or(u64::MAX))
            .min(self.longest_ms);
        let mut bytes = [0; 8];
        ids.random_bytes(&mut bytes);
        let half = whole / 2;
        let spread = whole - half + 1;
        Duration::from_millis(half + u64::from_le_bytes(bytes) % spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_clock::SeededIds;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_lies_in_the_upper_half_and_never_above_the_longest(
            first in 0_u64..100_000, longest in 0_u64..1_000_000, attempt in 0_u32..200, seed: u64,
        ) {
            let backoff = Backoff { first_ms: first, longest_ms: longest };
            let wait = u64::try_from(backoff.wait(attempt, &SeededIds::new(seed)).as_millis()).unwrap();
            let whole = first.saturating_mul(1_u64.checked_shl(attempt).unwrap_or(u64::MAX)).min(longest);
            prop_assert!(wait >= whole / 2 && wait <= longest, "{wait} of {whole}");
        }
    }
}
