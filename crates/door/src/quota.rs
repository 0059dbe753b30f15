//! How often a permit may be used, counted in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use egov_clock::vietnam;
use egov_fault::Fault;
use jiff::{Timestamp, Unit};
use uuid::Uuid;

use crate::refusal::{Refusal, refusal};

/// The limits of a permit. 0 is no limit of this kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Calls in a minute.
    pub per_minute: u32,
    /// Calls in a day of Việt Nam.
    pub per_day: u32,
    /// Calls at once.
    pub concurrent: u32,
}

/// The meters of all agreements. Each process counts for itself: with several instances behind one name an agreement can be used
/// that many times as often, which is why a quota is a protection and not a price.
#[derive(Debug, Default)]
pub struct Quotas {
    meters: Mutex<HashMap<Uuid, Arc<Mutex<Meter>>>>,
}

#[derive(Debug, Default)]
struct Meter {
    minute: i64,
    in_minute: u32,
    day: i64,
    in_day: u32,
    under_way: u32,
}

/// A place among the calls at once; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken(Arc<Mutex<Meter>>);

impl Drop for Taken {
    fn drop(&mut self) {
        let mut meter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meter.under_way = meter.under_way.saturating_sub(1);
    }
}

/// The number of the day in Việt Nam, and the seconds until it ends.
fn day_of(now: Timestamp) -> (i64, u64) {
    let local = now.to_zoned(vietnam());
    let start = local.start_of_day().map_or(now, |start| start.timestamp());
    let into = now.duration_since(start).as_secs();
    let whole = 86_400;
    (start.as_second(), u64::try_from(whole - into).unwrap_or(1).max(1))
}

impl Quotas {
    /// Counts a call. Refused with `QUOTA_EXHAUSTED` and the time after which it makes sense to come back.
    pub(crate) fn take(&self, agreement: Uuid, quota: Quota, now: Timestamp) -> Result<Taken, Fault> {
        let meter = {
            let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(meters.entry(agreement).or_default())
        };
        let second = now.as_second();
        let minute = second.div_euclid(60);
        // Working out the day costs more than all else here: only where it counts.
        let (day, day_left) = if quota.per_day > 0 { day_of(now) } else { (0, 0) };
        let mut held = meter.lock().unwrap_or_else(PoisonError::into_inner);
        if held.minute != minute {
            (held.minute, held.in_minute) = (minute, 0);
        }
        if held.day != day {
            (held.day, held.in_day) = (day, 0);
        }
        let exceeded = |used: u32, limit: u32| limit > 0 && used >= limit;
        let wait = if exceeded(held.under_way, quota.concurrent) {
            Some(("concurrent", 1))
        } else if exceeded(held.in_day, quota.per_day) {
            Some(("per_day", day_left))
        } else if exceeded(held.in_minute, quota.per_minute) {
            Some(("per_minute", u64::try_from(60 - second.rem_euclid(60)).unwrap_or(1)))
        } else {
            None
        };
        if let Some((limit, seconds)) = wait {
            return Err(refusal(Refusal::QuotaExhausted)
                .with("limit", limit)
                .retry_after(Duration::from_secs(seconds)));
        }
        held.in_minute += 1;
        held.in_day += 1;
        held.under_way += 1;
        drop(held);
        Ok(Taken(meter))
    }

    /// Forgets the meters of agreements that were not used today; for a process that runs for months.
    pub fn sweep(&self, now: Timestamp) {
        let minute = now
            .round(Unit::Minute)
            .map_or(now, |whole| whole)
            .as_second()
            .div_euclid(60);
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        meters.retain(|_, meter| {
            let meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
            meter.under_way > 0 || minute - meter.minute < 24 * 60
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn refused(result: Result<Taken, Fault>) -> (String, u64) {
        let fault = result.unwrap_err();
        assert_eq!(fault.reason(), "QUOTA_EXHAUSTED");
        (
            fault.metadata().get("limit").cloned().unwrap(),
            fault.retry_delay().unwrap().as_secs(),
        )
    }

    #[test]
    fn each_limit_holds_and_says_when_to_come_back() {
        let quotas = Quotas::default();
        let agreement = Uuid::from_u128(1);
        let quota = Quota {
            per_minute: 2,
            per_day: 3,
            concurrent: 1,
        };
        // 23:59:40 in Việt Nam.
        let now = at("2026-11-26T16:59:40Z");
        let first = quotas.take(agreement, quota, now).unwrap();
        assert_eq!(
            refused(quotas.take(agreement, quota, now)),
            ("concurrent".to_owned(), 1)
        );
        drop(first);
        drop(quotas.take(agreement, quota, now).unwrap());
        assert_eq!(
            refused(quotas.take(agreement, quota, now)),
            ("per_minute".to_owned(), 20)
        );
        // The next minute is the next day.
        let next = at("2026-11-26T17:00:00Z");
        for _ in 0..2 {
            drop(quotas.take(agreement, quota, next).unwrap());
        }
        let later = at("2026-11-26T17:01:00Z");
        drop(quotas.take(agreement, quota, later).unwrap());
        assert_eq!(
            refused(quotas.take(agreement, quota, later)),
            ("per_day".to_owned(), 86_400 - 60)
        );
        // Another agreement is not concerned.
        drop(quotas.take(Uuid::from_u128(2), quota, later).unwrap());
    }

    #[test]
    fn zero_is_no_limit_and_what_is_unused_is_forgotten() {
        let quotas = Quotas::default();
        let now = at("2026-11-26T10:00:00Z");
        let held: Vec<Taken> = (0..100)
            .map(|_| quotas.take(Uuid::nil(), Quota::default(), now).unwrap())
            .collect();
        quotas.sweep(at("2026-11-28T10:00:00Z"));
        assert_eq!(quotas.meters.lock().unwrap().len(), 1);
        drop(held);
        quotas.sweep(at("2026-11-28T10:00:00Z"));
        assert!(quotas.meters.lock().unwrap().is_empty());
    }
}
