//! Identifiers and random bytes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use uuid::{Builder, Uuid};

use crate::{ManualClock, SharedClock, SystemClock};

/// Makes identifiers and random bytes.
pub trait Ids: Send + Sync + 'static {
    /// A new identifier: UUID version 7, whose first 48 bits are the milliseconds of the clock, so that rows made one
    /// after the other lie beside one another in an index. Two ids of one millisecond have no order between them.
    fn uuid(&self) -> Uuid;

    /// Fills `out` with random bytes.
    fn random_bytes(&self, out: &mut [u8]);
}

/// A source of ids that many parts of a process hold.
pub type SharedIds = Arc<dyn Ids>;

impl<I: Ids + ?Sized> Ids for Arc<I> {
    fn uuid(&self) -> Uuid {
        I::uuid(self)
    }

    fn random_bytes(&self, out: &mut [u8]) {
        I::random_bytes(self, out);
    }
}

/// Ids and bytes from the operating system's generator: fit for secrets.
#[derive(Clone)]
pub struct SystemIds {
    clock: SharedClock,
}

impl SystemIds {
    /// Ids whose time comes from `clock`.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock }
    }

    /// Ids by the machine's clock, ready to be handed around.
    pub fn shared() -> SharedIds {
        Arc::new(Self::default())
    }
}

impl Default for SystemIds {
    /// Ids whose time comes from the machine's clock.
    fn default() -> Self {
        Self::new(SystemClock::shared())
    }
}

impl fmt::Debug for SystemIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemIds").finish_non_exhaustive()
    }
}

impl Ids for SystemIds {
    fn uuid(&self) -> Uuid {
        version_7(self.clock.now(), |out| self.random_bytes(out))
    }

    #[expect(
        clippy::expect_used,
        reason = "a machine that cannot give randomness must not go on: a guessable secret would be worse than a stop"
    )]
    fn random_bytes(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system gives random bytes");
    }
}

/// The same ids and bytes at every run: for tests only, never for secrets.
///
/// Each value is drawn from a counter by SplitMix64 (Steele, Lea, Flood 2014), so concurrent callers get distinct
/// values; which caller gets which is up to the scheduler.
pub struct SeededIds {
    clock: SharedClock,
    state: AtomicU64,
}

impl SeededIds {
    /// Ids that depend on `seed` alone; their time stands at 2026-11-23T01:00:00Z.
    pub fn new(seed: u64) -> Self {
        let start = Timestamp::constant(1_795_395_600, 0);
        Self::with_clock(seed, ManualClock::at(start).shared())
    }

    /// Ids that depend on `seed` and on `clock`.
    pub fn with_clock(seed: u64, clock: SharedClock) -> Self {
        Self {
            clock,
            state: AtomicU64::new(seed),
        }
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut value = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }
}

impl fmt::Debug for SeededIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeededIds").finish_non_exhaustive()
    }
}

impl Ids for SeededIds {
    fn uuid(&self) -> Uuid {
        version_7(self.clock.now(), |out| self.random_bytes(out))
    }

    fn random_bytes(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *to = from;
            }
        }
    }
}

/// RFC 9562, section 5.7. An instant before 1970 counts as 1970.
fn version_7(now: Timestamp, fill: impl FnOnce(&mut [u8])) -> Uuid {
    let mut random = [0; 10];
    fill(&mut random);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use jiff::SignedDuration;
    use std::collections::HashSet;

    #[test]
    fn ids_are_version_7_and_carry_the_clocks_time() {
        let clock = ManualClock::at("2026-11-23T01:00:00.123Z".parse().unwrap());
        let ids = SystemIds::new(clock.shared());
        let id = ids.uuid();
        assert_eq!(id.get_version_num(), 7);
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        assert_eq!((seconds as i64, nanos), (clock.now().as_second(), 123_000_000));
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let clock = ManualClock::at("2026-11-23T01:00:00Z".parse().unwrap());
        let ids = SystemIds::new(clock.shared());
        let mut last = ids.uuid();
        for _ in 0..1000 {
            clock.advance(SignedDuration::from_millis(1));
            let next = ids.uuid();
            assert!(next > last);
            last = next;
        }
    }

    #[test]
    fn equal_seeds_give_equal_ids_and_different_seeds_do_not() {
        let draw = |seed| {
            let ids = SeededIds::new(seed);
            (0..100).map(|_| ids.uuid()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(draw(1).into_iter().collect::<HashSet<_>>().len(), 100);
    }

    #[test]
    fn the_seeded_start_is_the_documented_instant() {
        let (seconds, _) = SeededIds::new(0).uuid().get_timestamp().unwrap().to_unix();
        let start: Timestamp = "2026-11-23T01:00:00Z".parse().unwrap();
        assert_eq!(seconds as i64, start.as_second());
    }

    #[test]
    fn random_bytes_fill_the_whole_slice() {
        let mut out = [0_u8; 61];
        SystemIds::default().random_bytes(&mut out);
        assert!(out.iter().collect::<HashSet<_>>().len() > 20);
        let mut out = [0_u8; 61];
        SeededIds::new(3).random_bytes(&mut out);
        assert!(out.iter().collect::<HashSet<_>>().len() > 20);
    }
}
