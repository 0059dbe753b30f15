//! Time and chance, passed in.
//!
//! Deadlines, tokens and case codes all depend on *when* something happened. Code that reads the wall clock by itself
//! cannot be tested on the eve of Tết, and code that draws random ids by itself cannot be replayed. So everything in
//! this workspace takes a [`Clock`] and, where it makes ids or secrets, an [`Ids`]. The workspace's `clippy.toml`
//! forbids the direct calls; the two exceptions live in this crate.
//!
//! ```
//! use egov_clock::{Clock, Ids, ManualClock, SeededIds};
//!
//! let clock = ManualClock::at("2026-11-23T18:30:00Z".parse()?);
//! // Half past one in the night of the 24th in Vietnam: the date of law is a civil date there.
//! assert_eq!(clock.today(), jiff::civil::date(2026, 11, 24));
//!
//! clock.advance(jiff::SignedDuration::from_hours(24));
//! assert_eq!(clock.today(), jiff::civil::date(2026, 11, 25));
//!
//! let ids = SeededIds::new(7);
//! assert_ne!(ids.uuid(), ids.uuid());
//! # Ok::<(), jiff::Error>(())
//! ```

mod ids;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::civil::Date;
use jiff::tz::{self, TimeZone};
use jiff::{SignedDuration, Timestamp};

pub use ids::{Ids, SeededIds, SharedIds, SystemIds};

/// The time zone in which every date of law is read (giờ Việt Nam).
pub const VIETNAM: &str = "Asia/Ho_Chi_Minh";

/// The time zone of Vietnam.
///
/// Without a time zone database the fixed offset +07:00 is used: Vietnam has kept it, without summer time,
/// since June 1975.
pub fn vietnam() -> TimeZone {
    TimeZone::get(VIETNAM).unwrap_or_else(|_| TimeZone::fixed(tz::offset(7)))
}

/// Tells what time it is.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// The present civil date in Vietnam (ngày theo giờ Việt Nam).
    fn today(&self) -> Date {
        self.now().to_zoned(vietnam()).date()
    }
}

/// A clock that many parts of a process hold.
pub type SharedClock = Arc<dyn Clock>;

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        C::now(self)
    }

    fn today(&self) -> Date {
        C::today(self)
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clock, ready to be handed around.
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is moved: for tests and for planning ("what would be due if…").
///
/// Copies made by `clone` show the same time: moving one moves all.
#[derive(Clone)]
pub struct ManualClock {
    now: Arc<Mutex<Timestamp>>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Arc::new(Mutex::new(now)),
        }
    }

    /// Moves the clock by `step`, backwards if it is negative. At the ends of the representable time it stops.
    pub fn advance(&self, step: SignedDuration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let end = if step.is_negative() {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        *now = now.checked_add(step).unwrap_or(end);
    }

    /// Puts the clock at `now`.
    pub fn set(&self, now: Timestamp) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// The same clock behind the shared type; moving `self` moves it.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_day_in_vietnam_begins_at_17_hours_utc() {
        let clock = ManualClock::at(instant("2026-12-31T16:59:59Z"));
        assert_eq!(clock.today(), date(2026, 12, 31));
        clock.advance(SignedDuration::from_secs(1));
        assert_eq!(clock.today(), date(2027, 1, 1));
    }

    #[test]
    fn clones_of_a_manual_clock_show_the_same_time() {
        let clock = ManualClock::at(instant("2026-11-23T01:00:00Z"));
        let shared = clock.shared();
        clock.advance(SignedDuration::from_mins(5));
        assert_eq!(shared.now(), instant("2026-11-23T01:05:00Z"));
        clock.set(instant("2026-02-16T17:00:00Z"));
        assert_eq!(shared.today(), date(2026, 2, 17), "the first day of Tết Bính Ngọ");
    }

    #[test]
    fn a_manual_clock_moves_backwards_and_stops_at_the_end_of_time() {
        let clock = ManualClock::at(instant("2026-11-23T01:00:00Z"));
        clock.advance(SignedDuration::from_hours(-1));
        assert_eq!(clock.now(), instant("2026-11-23T00:00:00Z"));
        clock.advance(SignedDuration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }

    #[test]
    fn vietnam_has_offset_seven_and_no_summer_time() {
        for text in ["2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z"] {
            assert_eq!(vietnam().to_offset(instant(text)), tz::offset(7));
        }
    }

    #[test]
    fn the_system_clock_goes_forward() {
        let first = SystemClock.now();
        assert!(SystemClock.now() >= first);
        assert!(first > instant("2025-07-01T00:00:00Z"));
    }
}
