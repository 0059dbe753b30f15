//! When a name is locked after failed sign-ins, and for how long.
//!
//! An attempt is counted **before** the password is looked at and the count is taken back when it was right. So a
//! hundred guesses sent at the same moment are a hundred counted attempts, not one. The count belongs to the *name* that
//! was typed, whether an account carries it or not: a lock tells nobody that the account exists.

use jiff::{SignedDuration, Timestamp};

/// How many failures are tolerated, and how the lock grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockoutPolicy {
    /// The lock begins with this many failures.
    pub threshold: u32,
    /// The first lock lasts this long; each further failure doubles it.
    pub first: SignedDuration,
    /// No lock lasts longer.
    pub longest: SignedDuration,
    /// Without any attempt for this long, earlier failures are forgotten.
    pub forget_after: SignedDuration,
}

/// The attempts on one name, as they stand in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// Failures since the last success; an attempt under way counts as one.
    pub failures: u32,
    /// The latest attempt.
    pub last_time: Timestamp,
    /// Locked until then.
    pub locked_until: Option<Timestamp>,
}

impl Attempts {
    /// No attempt yet.
    pub(crate) fn none(now: Timestamp) -> Self {
        Self {
            failures: 0,
            last_time: now,
            locked_until: None,
        }
    }
}

/// The name is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Locked {
    /// Until then.
    pub until: Timestamp,
}

impl LockoutPolicy {
    /// Counts an attempt that begins at `now`. The attempt that reaches the threshold is still judged; it locks the name
    /// for all that come after it, until it turns out right.
    pub(crate) fn begin(&self, attempts: Attempts, now: Timestamp) -> Result<Attempts, Locked> {
        if let Some(until) = attempts.locked_until
            && now < until
        {
            return Err(Locked { until });
        }
        let forgotten = now.duration_since(attempts.last_time) >= self.forget_after;
        let failures = if forgotten { 0 } else { attempts.failures }.saturating_add(1);
        let locked_until =
            (failures >= self.threshold).then(|| now.checked_add(self.lock_after(failures)).unwrap_or(Timestamp::MAX));
        Ok(Attempts {
            failures,
            last_time: now,
            locked_until,
        })
    }

    /// Takes back the count of an attempt whose first half (the password) was right. Earlier failures stay counted, so
    /// that knowing the password does not buy guesses at the one-time code.
    pub(crate) fn take_back(attempts: Attempts) -> Attempts {
        // No lock was in force when the attempt was admitted, and while it was under way its own lock kept others out.
        Attempts {
            failures: attempts.failures.saturating_sub(1),
            locked_until: None,
            ..attempts
        }
    }

    /// How long the lock lasts that follows the given number of failures.
    fn lock_after(&self, failures: u32) -> SignedDuration {
        let doublings = failures.saturating_sub(self.threshold).min(30);
        self.first
            .checked_mul(1 << doublings)
            .map_or(self.longest, |lock| lock.min(self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: LockoutPolicy = LockoutPolicy {
        threshold: 5,
        first: SignedDuration::from_mins(1),
        longest: SignedDuration::from_mins(15),
        forget_after: SignedDuration::from_hours(24),
    };

    fn start() -> Timestamp {
        "2026-11-23T01:00:00Z".parse().unwrap()
    }

    fn after(failures: u32, now: Timestamp) -> Attempts {
        Attempts {
            failures,
            ..Attempts::none(now)
        }
    }

    #[test]
    fn the_fifth_failure_locks_and_each_further_one_doubles_the_lock_up_to_the_longest() {
        let mut now = start();
        let mut attempts = Attempts::none(now);
        let mut locks = Vec::new();
        for _ in 0..10 {
            attempts = POLICY.begin(attempts, now).unwrap();
            if let Some(until) = attempts.locked_until {
                locks.push(until.duration_since(now).as_mins());
                assert_eq!(POLICY.begin(attempts, now), Err(Locked { until }));
                now = until;
            }
        }
        assert_eq!(locks, [1, 2, 4, 8, 15, 15]);
    }

    #[test]
    fn an_attempt_that_was_right_takes_its_count_and_its_lock_back() {
        let begun = POLICY.begin(after(4, start()), start()).unwrap();
        assert!(begun.locked_until.is_some());
        assert_eq!(LockoutPolicy::take_back(begun), after(4, start()));
    }

    #[test]
    fn a_day_without_attempts_forgets_earlier_failures() {
        let later = start() + SignedDuration::from_hours(24);
        assert_eq!(POLICY.begin(after(4, start()), later), Ok(after(1, later)));
        let sooner = later - SignedDuration::from_secs(1);
        assert_eq!(POLICY.begin(after(4, start()), sooner).unwrap().failures, 5);
    }

    #[test]
    fn an_absurd_number_of_failures_still_has_a_lock_of_the_longest_kind() {
        let attempts = POLICY.begin(after(u32::MAX, start()), start()).unwrap();
        assert_eq!(attempts.locked_until, Some(start() + POLICY.longest));
    }
}
