//! How often a permit may be used: counted in this process, out of what it has leased of the windows that all instances share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use egov_clock::vietnam;
use egov_fault::{Code, Fault};
use jiff::{Timestamp, Unit};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::door::Door;
use crate::refusal::{Refusal, refusal};

/// The most calls under way in a process, if nothing else is said: what bounds its memory when many systems call at once.
pub const MOST_CALLS: usize = 4096;

/// The last part of these calls is for agreements that have few under way: whoever takes all it can leaves room for others.
const RESERVED: usize = 8;
const FEW: u32 = 8;

/// A lease is for this part of a limit, so that calls are counted without asking and little is lost where an instance leases more
/// than it uses.
const PARTS: u32 = 16;

/// The least calls of a lease that is taken before it is needed.
const LEAST_AHEAD: u32 = 4;

/// The most calls of one lease.
const LARGEST_LEASE: u32 = 10_000;

/// How long the ledger is waited for.
const LEASE_WAIT: Duration = Duration::from_secs(1);

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

/// How long calls are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// A minute.
    Minute,
    /// A day of Việt Nam.
    Day,
}

/// A minute or a day, by its first second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// How long it is.
    pub span: Span,
    /// Its first second, since 1970.
    pub start: i64,
}

/// Where instances of the door share the quotas of agreements.
#[async_trait]
pub trait QuotaLedger: Send + Sync + 'static {
    /// Takes calls of a window for this instance: at most `wanted`, and no more than the limit leaves over what all instances have
    /// taken. 0 if nothing is left.
    ///
    /// # Errors
    /// If nobody can be asked: the call is refused then.
    async fn lease(&self, agreement: Uuid, window: Window, limit: u32, wanted: u32) -> Result<u32, Fault>;
}

/// The meters of all agreements. Without a ledger a process counts for itself.
#[derive(Default)]
pub struct Quotas {
    meters: Mutex<HashMap<Uuid, Arc<Meter>>>,
    ledger: OnceLock<Arc<dyn QuotaLedger>>,
    most: OnceLock<usize>,
    under_way: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Meter {
    counts: Mutex<Counts>,
    /// Held by whoever asks the ledger for more.
    leasing: Arc<tokio::sync::Mutex<()>>,
    /// When the ledger was last asked in vain.
    failed: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Counts {
    minute: Count,
    day: Count,
    under_way: u32,
}

/// What was used of a window, and what this process may use of it.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    start: i64,
    used: u32,
    leased: u32,
    /// The limit at which nothing more was to be had.
    over_at: Option<u32>,
}

impl Count {
    /// Goes over to a window that has begun. Never back: a call that waited while one began counts in the newer one.
    fn roll(&mut self, start: i64) {
        if self.start < start {
            *self = Self {
                start,
                ..Self::default()
            };
        }
    }

    /// What a call finds.
    fn room(&self, limit: u32, shared: bool) -> Room {
        let own = if shared { self.leased.min(limit) } else { limit };
        if limit == 0 || self.used < own {
            Room::Some
        } else if !shared || self.used >= limit || self.over_at == Some(limit) {
            Room::None
        } else {
            Room::Ask
        }
    }

    /// Whether it is time to ask for more, while there is still some.
    fn is_low(&self, limit: u32) -> bool {
        // Where a lease is of a few calls only, one that is not used is too much of the quota.
        slice(limit) >= LEAST_AHEAD
            && self.over_at != Some(limit)
            && self.leased < limit
            && self.leased.saturating_sub(self.used) <= slice(limit) / 2
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Some,
    None,
    /// None here; the ledger may have some.
    Ask,
}

fn slice(limit: u32) -> u32 {
    (limit / PARTS).clamp(1, LARGEST_LEASE)
}

/// A place among the calls at once; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    meter: Arc<Meter>,
    under_way: Arc<AtomicUsize>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut counts = self.meter.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.under_way = counts.under_way.saturating_sub(1);
        self.under_way.fetch_sub(1, Ordering::Relaxed);
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

/// The minute and the day of a call.
struct Now {
    minute: i64,
    minute_left: u64,
    day: i64,
    day_left: u64,
}

impl Now {
    fn of(now: Timestamp, quota: Quota) -> Self {
        let second = now.as_second();
        // Working out the day costs more than all else here: only where it counts.
        let (day, day_left) = if quota.per_day > 0 { day_of(now) } else { (0, 0) };
        Self {
            minute: second.div_euclid(60) * 60,
            minute_left: u64::try_from(60 - second.rem_euclid(60)).unwrap_or(1),
            day,
            day_left,
        }
    }
}

fn exhausted(limit: &'static str, seconds: u64) -> Fault {
    refusal(Refusal::QuotaExhausted)
        .with("limit", limit)
        .retry_after(Duration::from_secs(seconds))
}

fn overloaded() -> Fault {
    Fault::new(
        Code::ResourceExhausted,
        "OVERLOADED",
        "hệ thống đang quá tải, hãy thử lại sau",
        "too many calls are in progress, try again later",
    )
    .retry_after(Duration::from_secs(1))
}

/// What is to be done for a call: it is counted, or more must be asked for first.
enum Step {
    Taken { low: Option<Window> },
    Ask(Window, u32),
}

impl Quotas {
    /// Counts a call. Refused with `QUOTA_EXHAUSTED` and the time after which it makes sense to come back, or with `OVERLOADED`.
    ///
    /// It waits for the ledger only where this process has used up what it leased: for the first call of a window, and rarely
    /// after that.
    pub(crate) async fn take(&self, agreement: Uuid, quota: Quota, now: Timestamp) -> Result<Taken, Fault> {
        let meter = {
            let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(meters.entry(agreement).or_default())
        };
        let at = Now::of(now, quota);
        loop {
            let (window, limit) = match self.step(&meter, quota, &at)? {
                Step::Taken { low } => {
                    if let (Some(window), Some(ledger)) = (low, self.ledger.get()) {
                        lease_ahead(ledger, &meter, agreement, window, limit_of(quota, window));
                    }
                    return Ok(Taken {
                        meter,
                        under_way: Arc::clone(&self.under_way),
                    });
                }
                Step::Ask(window, limit) => (window, limit),
            };
            let Some(ledger) = self.ledger.get() else {
                return Err(refusal(Refusal::ExchangeNotRecorded));
            };
            let waited_since = Instant::now();
            let _one = meter.leasing.lock().await;
            // Whoever waited may find what the one before brought, or that it asked in vain: not everybody waits for that in turn.
            if !meter.is_wanting(window, limit) {
                continue;
            }
            if meter.has_failed_since(waited_since) {
                return Err(refusal(Refusal::ExchangeNotRecorded));
            }
            match timeout(LEASE_WAIT, ledger.lease(agreement, window, limit, slice(limit))).await {
                Ok(Ok(leased)) => meter.add(window, limit, leased),
                Ok(Err(fault)) => {
                    meter.note_failure();
                    return Err(fault);
                }
                Err(_) => {
                    meter.note_failure();
                    return Err(refusal(Refusal::ExchangeNotRecorded));
                }
            }
        }
    }

    fn step(&self, meter: &Meter, quota: Quota, at: &Now) -> Result<Step, Fault> {
        let shared = self.ledger.get().is_some();
        let mut counts = meter.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.minute.roll(at.minute);
        counts.day.roll(at.day);
        if quota.concurrent > 0 && counts.under_way >= quota.concurrent {
            return Err(exhausted("concurrent", 1));
        }
        let day = Window {
            span: Span::Day,
            start: counts.day.start,
        };
        let minute = Window {
            span: Span::Minute,
            start: counts.minute.start,
        };
        for (count, window, limit, name, left) in [
            (&counts.day, day, quota.per_day, "per_day", at.day_left),
            (&counts.minute, minute, quota.per_minute, "per_minute", at.minute_left),
        ] {
            match count.room(limit, shared) {
                Room::Some => {}
                Room::None => return Err(exhausted(name, left)),
                Room::Ask => return Ok(Step::Ask(window, limit)),
            }
        }
        let most = self.most.get().copied().unwrap_or(MOST_CALLS);
        let all = self.under_way.fetch_add(1, Ordering::Relaxed);
        if all >= most || (all >= most - most / RESERVED && counts.under_way >= FEW) {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return Err(overloaded());
        }
        counts.minute.used += 1;
        counts.day.used += 1;
        counts.under_way += 1;
        let low = |count: &Count, window: Window, limit: u32| (shared && count.is_low(limit)).then_some(window);
        Ok(Step::Taken {
            low: low(&counts.day, day, quota.per_day).or_else(|| low(&counts.minute, minute, quota.per_minute)),
        })
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
            let counts = meter.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.under_way > 0 || minute - counts.minute.start.div_euclid(60) < 24 * 60
        });
    }
}

impl Door {
    /// Shares the quotas of agreements with other instances by a ledger, and bounds the calls under way here, whoever makes them.
    /// To be called once, before the first call.
    pub fn share_quotas(&self, ledger: Arc<dyn QuotaLedger>, most_calls: usize) {
        // Both are set once; a second ledger would count what the first one has given out.
        let _ = self.inner.quotas.ledger.set(ledger);
        let _ = self.inner.quotas.most.set(most_calls.max(1));
    }
}

impl Meter {
    fn note_failure(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn has_failed_since(&self, instant: Instant) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| at >= instant)
    }

    fn is_wanting(&self, window: Window, limit: u32) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.of(window);
        count.start == window.start && count.room(limit, true) == Room::Ask
    }

    /// Takes in what was leased of a window, if that is still the present one.
    fn add(&self, window: Window, limit: u32, leased: u32) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match window.span {
            Span::Minute => &mut counts.minute,
            Span::Day => &mut counts.day,
        };
        if count.start == window.start {
            count.leased = count.leased.saturating_add(leased);
            if leased == 0 {
                count.over_at = Some(limit);
            }
        }
    }
}

impl Counts {
    const fn of(&self, window: Window) -> Count {
        match window.span {
            Span::Minute => self.minute,
            Span::Day => self.day,
        }
    }
}

const fn limit_of(quota: Quota, window: Window) -> u32 {
    match window.span {
        Span::Minute => quota.per_minute,
        Span::Day => quota.per_day,
    }
}

/// Asks for more beside the calls, unless somebody asks already.
fn lease_ahead(ledger: &Arc<dyn QuotaLedger>, meter: &Arc<Meter>, agreement: Uuid, window: Window, limit: u32) {
    let Ok(one) = Arc::clone(&meter.leasing).try_lock_owned() else {
        return;
    };
    let (ledger, meter) = (Arc::clone(ledger), Arc::clone(meter));
    tokio::spawn(async move {
        match ledger.lease(agreement, window, limit, slice(limit)).await {
            Ok(leased) => meter.add(window, limit, leased),
            // Whoever needs it asks again and is told.
            Err(fault) => tracing::debug!(reason = fault.reason(), "a quota is not leased ahead"),
        }
        drop(one);
    });
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotas")
            .field("shared", &self.ledger.get().is_some())
            .finish_non_exhaustive()
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

    /// Gives what is asked for, or nothing within a reasonable time.
    struct Slow {
        asked: AtomicUsize,
        answers: bool,
    }

    #[async_trait]
    impl QuotaLedger for Slow {
        async fn lease(&self, _: Uuid, _: Window, _: u32, wanted: u32) -> Result<u32, Fault> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.answers {
                tokio::task::yield_now().await;
                return Ok(wanted);
            }
            std::future::pending().await
        }
    }

    fn shared(answers: bool) -> (Quotas, Arc<Slow>) {
        let (quotas, ledger) = (
            Quotas::default(),
            Arc::new(Slow {
                asked: AtomicUsize::new(0),
                answers,
            }),
        );
        let _ = quotas.ledger.set(Arc::clone(&ledger) as Arc<dyn QuotaLedger>);
        (quotas, ledger)
    }

    const THREE: Quota = Quota {
        per_minute: 3,
        per_day: 0,
        concurrent: 0,
    };

    #[tokio::test]
    async fn a_call_from_before_a_minute_ended_counts_in_the_one_that_has_begun() {
        let (quotas, _) = shared(true);
        let agreement = Uuid::from_u128(1);
        let (before, after) = (at("2026-11-26T10:00:59Z"), at("2026-11-26T10:01:00Z"));
        let (late, early) = futures::future::join(
            quotas.take(agreement, THREE, after),
            quotas.take(agreement, THREE, before),
        )
        .await;
        late.unwrap();
        early.unwrap();
        quotas.take(agreement, THREE, before).await.unwrap();
        assert_eq!(refused(quotas.take(agreement, THREE, after).await).0, "per_minute");
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_ledger_does_not_answer_all_who_wait_are_refused_together() {
        let (quotas, ledger) = shared(false);
        let began = Instant::now();
        let now = at("2026-11-26T10:00:00Z");
        let all = (0..50).map(|_| quotas.take(Uuid::from_u128(1), THREE, now));
        for refused in futures::future::join_all(all).await {
            assert_eq!(refused.unwrap_err().reason(), "EXCHANGE_NOT_RECORDED");
        }
        assert!(began.elapsed() <= LEASE_WAIT);
        assert_eq!(ledger.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn each_limit_holds_and_says_when_to_come_back() {
        let quotas = Quotas::default();
        let agreement = Uuid::from_u128(1);
        let quota = Quota {
            per_minute: 2,
            per_day: 3,
            concurrent: 1,
        };
        // 23:59:40 in Việt Nam.
        let now = at("2026-11-26T16:59:40Z");
        let first = quotas.take(agreement, quota, now).await.unwrap();
        assert_eq!(
            refused(quotas.take(agreement, quota, now).await),
            ("concurrent".to_owned(), 1)
        );
        drop(first);
        drop(quotas.take(agreement, quota, now).await.unwrap());
        assert_eq!(
            refused(quotas.take(agreement, quota, now).await),
            ("per_minute".to_owned(), 20)
        );
        // The next minute is the next day.
        let next = at("2026-11-26T17:00:00Z");
        for _ in 0..2 {
            drop(quotas.take(agreement, quota, next).await.unwrap());
        }
        let later = at("2026-11-26T17:01:00Z");
        drop(quotas.take(agreement, quota, later).await.unwrap());
        assert_eq!(
            refused(quotas.take(agreement, quota, later).await),
            ("per_day".to_owned(), 86_400 - 60)
        );
        // Another agreement is not concerned.
        drop(quotas.take(Uuid::from_u128(2), quota, later).await.unwrap());
    }

    #[tokio::test]
    async fn zero_is_no_limit_and_what_is_unused_is_forgotten() {
        let quotas = Quotas::default();
        let now = at("2026-11-26T10:00:00Z");
        let mut held = Vec::new();
        for _ in 0..100 {
            held.push(quotas.take(Uuid::nil(), Quota::default(), now).await.unwrap());
        }
        quotas.sweep(at("2026-11-28T10:00:00Z"));
        assert_eq!(quotas.meters.lock().unwrap().len(), 1);
        drop(held);
        quotas.sweep(at("2026-11-28T10:00:00Z"));
        assert!(quotas.meters.lock().unwrap().is_empty());
    }

    /// A ledger in memory, as several instances ask it.
    #[derive(Default)]
    struct Shared {
        taken: Mutex<HashMap<(Uuid, Window), u32>>,
        asked: AtomicUsize,
        away: std::sync::atomic::AtomicBool,
    }

    #[async_trait]
    impl QuotaLedger for Shared {
        async fn lease(&self, agreement: Uuid, window: Window, limit: u32, wanted: u32) -> Result<u32, Fault> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if self.away.load(Ordering::SeqCst) {
                return Err(refusal(Refusal::ExchangeNotRecorded));
            }
            let mut taken = self.taken.lock().unwrap();
            let used = taken.entry((agreement, window)).or_default();
            let leased = wanted.min(limit.saturating_sub(*used));
            *used += leased;
            Ok(leased)
        }
    }

    fn instance(ledger: &Arc<Shared>) -> Quotas {
        let quotas = Quotas::default();
        let ledger = Arc::clone(ledger) as Arc<dyn QuotaLedger>;
        assert!(quotas.ledger.set(ledger).is_ok());
        quotas
    }

    #[tokio::test]
    async fn several_instances_never_let_through_more_than_the_quota_and_ask_seldom() {
        for limit in [1_u32, 3, 16, 100, 1000] {
            let ledger = Arc::new(Shared::default());
            let instances = Arc::new([instance(&ledger), instance(&ledger), instance(&ledger)]);
            let quota = Quota {
                per_minute: limit,
                ..Quota::default()
            };
            let now = at("2026-11-26T10:00:00Z");
            let calls = (0..limit * 2).map(|call| {
                let instances = Arc::clone(&instances);
                tokio::spawn(async move {
                    let quotas = &instances[call as usize % 3];
                    quotas.take(Uuid::nil(), quota, now).await.is_ok()
                })
            });
            let passed = futures::future::join_all(calls).await;
            let passed = passed.into_iter().filter(|passed| *passed.as_ref().unwrap()).count();
            assert!((1..=limit as usize).contains(&passed), "{passed} of {limit}");
            // What is leased and not used is lost: at most a lease and a half an instance.
            let lost = limit as usize - passed;
            assert!(
                lost <= 3 * (slice(limit) as usize * 3 / 2),
                "{lost} of {limit} are lost"
            );
            let asked = ledger.asked.load(Ordering::SeqCst);
            assert!(asked <= 3 * (PARTS as usize + 4), "{asked} questions for {limit}");
            // The next minute is another window, of which there is all again.
            let next = at("2026-11-26T10:01:00Z");
            drop(instances[0].take(Uuid::nil(), quota, next).await.unwrap());
        }
    }

    #[tokio::test]
    async fn what_one_instance_leased_and_did_not_use_is_the_most_that_is_lost() {
        let ledger = Arc::new(Shared::default());
        let (idle, busy) = (instance(&ledger), instance(&ledger));
        let quota = Quota {
            per_day: 160,
            ..Quota::default()
        };
        let now = at("2026-11-26T10:00:00Z");
        drop(idle.take(Uuid::nil(), quota, now).await.unwrap());
        let mut passed = 0;
        while busy.take(Uuid::nil(), quota, now).await.is_ok() {
            passed += 1;
        }
        let lost = 160 - 1 - passed;
        assert!(
            (0..=2 * 10).contains(&lost),
            "{lost} of 160 are lost to an instance that leases ten at a time"
        );
        assert_eq!(refused(busy.take(Uuid::nil(), quota, now).await).0, "per_day");
        // An amended agreement with a higher limit has more at once.
        let higher = Quota {
            per_day: 200,
            ..Quota::default()
        };
        drop(busy.take(Uuid::nil(), higher, now).await.unwrap());
    }

    #[tokio::test]
    async fn where_the_ledger_cannot_be_asked_a_call_beyond_what_was_leased_is_refused() {
        let ledger = Arc::new(Shared::default());
        let quotas = instance(&ledger);
        let quota = Quota {
            per_minute: 32,
            ..Quota::default()
        };
        let now = at("2026-11-26T10:00:00Z");
        drop(quotas.take(Uuid::nil(), quota, now).await.unwrap());
        ledger.away.store(true, Ordering::SeqCst);
        let mut refused = None;
        for _ in 0..32 {
            match quotas.take(Uuid::nil(), quota, now).await {
                Ok(taken) => drop(taken),
                Err(fault) => refused = Some(fault),
            }
        }
        assert_eq!(refused.unwrap().reason(), "EXCHANGE_NOT_RECORDED");
        ledger.away.store(false, Ordering::SeqCst);
        drop(quotas.take(Uuid::nil(), quota, now).await.unwrap());
        // Without a limit nobody is asked at all.
        let asked = ledger.asked.load(Ordering::SeqCst);
        drop(quotas.take(Uuid::nil(), Quota::default(), now).await.unwrap());
        assert_eq!(ledger.asked.load(Ordering::SeqCst), asked);
    }

    #[tokio::test]
    async fn all_calls_under_way_are_bounded_and_the_last_of_them_are_for_who_has_few() {
        let quotas = Quotas::default();
        assert!(quotas.most.set(80).is_ok());
        let now = at("2026-11-26T10:00:00Z");
        let mut held = Vec::new();
        while let Ok(taken) = quotas.take(Uuid::from_u128(1), Quota::default(), now).await {
            held.push(taken);
        }
        assert_eq!(held.len(), 70, "an eighth is left for others");
        let mut others = Vec::new();
        for other in 2..20 {
            match quotas.take(Uuid::from_u128(other), Quota::default(), now).await {
                Ok(taken) => others.push(taken),
                Err(fault) => assert_eq!(fault.reason(), "OVERLOADED"),
            }
        }
        assert_eq!(others.len(), 10);
        drop(held);
        for other in 2..20 {
            drop(
                quotas
                    .take(Uuid::from_u128(other), Quota::default(), now)
                    .await
                    .unwrap(),
            );
        }
        assert_eq!(quotas.under_way.load(Ordering::SeqCst), 10);
    }
}
