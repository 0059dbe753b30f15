//! Traffic (lưu lượng) of the door: what exchanges add up to by the hour and by the day, and what is asked of it.

use std::collections::BTreeMap;

use egov_clock::vietnam;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::exchange::{Exchange, Outcome, UNKNOWN};
use super::terms::Problem;

/// The outcomes that are no errors: the provider answered, or the consumer itself went away.
pub const GOOD_OUTCOMES: [&str; 2] = ["answered", "cancelled"];

/// The longest period that is summed up.
const LONGEST: SignedDuration = SignedDuration::from_hours(93 * 24);

/// The longest period that is summed up from hours; longer ones begin and end at midnight in Việt Nam.
const LONGEST_BY_HOURS: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Each power of two is divided into this many buckets.
const PARTS: i64 = 8;

/// How many calls took how long, in fixed buckets on a logarithmic scale: what two histograms count is added bucket by bucket, whoever
/// made them and when. Up to 7 µs a bucket is one microsecond; above, each power of two is eight buckets. The upper end of a
/// bucket is at most one eighth above any value in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// Number of values by bucket; only buckets that have some.
    counts: BTreeMap<i16, i64>,
}

/// The bucket of a time in microseconds; what is negative counts as 0.
fn bucket_of(micros: i64) -> i16 {
    let value = micros.max(0);
    let index = match value.checked_ilog2() {
        None | Some(0..=2) => value,
        Some(power) => i64::from(power - 2) * PARTS + ((value >> (power - 3)) & (PARTS - 1)),
    };
    i16::try_from(index).unwrap_or(i16::MAX)
}

/// The greatest time in a bucket, in microseconds.
fn upper_end(bucket: i16) -> i64 {
    let index = i64::from(bucket.max(0));
    if index < PARTS {
        return index;
    }
    let shift = u32::try_from(index / PARTS - 1).unwrap_or(u32::MAX);
    let next = u128::try_from(PARTS + index % PARTS + 1).unwrap_or(u128::MAX);
    next.checked_shl(shift)
        .map_or(i64::MAX, |end| i64::try_from(end - 1).unwrap_or(i64::MAX))
}

impl Histogram {
    /// Of stored buckets and their counts.
    pub(crate) fn of(buckets: &[i16], counts: &[i64]) -> Self {
        Self {
            counts: buckets.iter().copied().zip(counts.iter().copied()).collect(),
        }
    }

    /// The buckets that have values, in order.
    pub(crate) fn buckets(&self) -> Vec<i16> {
        self.counts.keys().copied().collect()
    }

    /// How many values each of them has.
    pub(crate) fn counts(&self) -> Vec<i64> {
        self.counts.values().copied().collect()
    }

    fn count(&mut self, micros: i64) {
        *self.counts.entry(bucket_of(micros)).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            *self.counts.entry(*bucket).or_default() += count;
        }
    }

    /// The time within which this many in a thousand values lie (nearest rank), in microseconds: never less than it was, and at most
    /// one eighth more. 0 if there is no value.
    pub(crate) fn percentile(&self, per_mille: i64) -> i64 {
        let all: i64 = self.counts.values().sum();
        let rank = (i128::from(all) * i128::from(per_mille) + 999) / 1000;
        let mut seen = 0_i128;
        for (bucket, count) in &self.counts {
            seen += i128::from(*count);
            if seen >= rank {
                return upper_end(*bucket);
            }
        }
        0
    }
}

/// The time within which this many in a thousand of stored calls lie, in microseconds: of buckets of `traffic`, how many calls each has,
/// and the longest.
pub fn percentile(buckets: &[i16], counts: &[i64], max_us: i64, per_mille: i64) -> i64 {
    let histogram = Histogram::of(buckets, counts);
    Latency { max_us, histogram }.percentile(per_mille)
}

/// How long calls took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latency {
    /// The longest, in microseconds.
    pub(crate) max_us: i64,
    pub(crate) histogram: Histogram,
}

impl Latency {
    fn count(&mut self, micros: i64) {
        self.max_us = self.max_us.max(micros);
        self.histogram.count(micros);
    }

    fn add(&mut self, other: &Self) {
        self.max_us = self.max_us.max(other.max_us);
        self.histogram.add(&other.histogram);
    }

    /// The percentile, which no value exceeds that was seen.
    pub(crate) fn percentile(&self, per_mille: i64) -> i64 {
        self.histogram.percentile(per_mille).min(self.max_us)
    }
}

/// Whole hours, or days in Việt Nam.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Grain {
    Hour,
    Day,
}

impl Grain {
    pub(crate) const ALL: [Self; 2] = [Self::Hour, Self::Day];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// When the hour or the day began in which `at` lies.
    pub(crate) fn start(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Hour => {
                let second = at.as_second();
                Timestamp::from_second(second - second.rem_euclid(3600)).unwrap_or(at)
            }
            Self::Day => at
                .to_zoned(vietnam())
                .start_of_day()
                .map_or(at, |start| start.timestamp()),
        }
    }
}

/// What is summed up together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// When the hour or day began.
    pub(crate) start: Timestamp,
    pub(crate) agreement_id: Uuid,
    pub(crate) method: String,
    pub(crate) outcome: String,
    pub(crate) consumer_unit_id: i32,
    pub(crate) provider_unit_id: i32,
    pub(crate) service_id: Uuid,
    pub(crate) consumer_organisation_id: Uuid,
    pub(crate) provider_organisation_id: Uuid,
}

/// What exchanges add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) calls: i64,
    pub(crate) request_bytes: i64,
    pub(crate) response_bytes: i64,
    /// The whole time, of exchanges whose end was seen.
    pub(crate) elapsed: Latency,
    /// The time at the provider, of exchanges that reached it.
    pub(crate) at_provider: Latency,
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.elapsed.add(&other.elapsed);
        self.at_provider.add(&other.at_provider);
    }

    fn count(&mut self, outcome: &Outcome) {
        self.calls += 1;
        self.request_bytes = self.request_bytes.saturating_add(outcome.request.bytes);
        self.response_bytes = self.response_bytes.saturating_add(outcome.response.bytes);
        // Nobody saw how long an unknown end took, and what was not sent has no time at the provider.
        if outcome.outcome != UNKNOWN {
            self.elapsed.count(outcome.elapsed_us);
        }
        if outcome.provider_us > 0 && outcome.outcome != "not_sent" {
            self.at_provider.count(outcome.provider_us);
        }
    }
}

/// Sums by what they are of.
pub(crate) type Traffic = BTreeMap<Key, Sums>;

/// Counts exchanges by the hour in which they ended.
pub(crate) fn of_exchanges<'a>(ended: impl Iterator<Item = (&'a Exchange, &'a Outcome)>) -> Traffic {
    let mut traffic = Traffic::new();
    for (exchange, outcome) in ended {
        let key = Key {
            start: Grain::Hour.start(outcome.end_time),
            agreement_id: exchange.agreement_id,
            method: exchange.method.clone(),
            outcome: outcome.outcome.clone(),
            consumer_unit_id: exchange.consumer_unit_id,
            provider_unit_id: exchange.provider_unit_id,
            service_id: exchange.service_id,
            consumer_organisation_id: exchange.consumer_organisation_id,
            provider_organisation_id: exchange.provider_organisation_id,
        };
        traffic.entry(key).or_default().count(outcome);
    }
    traffic
}

/// The same sums by a coarser grain.
pub(crate) fn coarser<'a>(traffic: impl IntoIterator<Item = (&'a Key, &'a Sums)>, grain: Grain) -> Traffic {
    let mut out = Traffic::new();
    for (key, sums) in traffic {
        let start = grain.start(key.start);
        out.entry(Key { start, ..key.clone() }).or_default().add(sums);
    }
    out
}

/// A period that can be summed up, and from which sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) from: Timestamp,
    /// Exclusive.
    pub(crate) to: Timestamp,
    pub(crate) grain: Grain,
    /// Whether each hour or day is told apart.
    pub(crate) apart: bool,
}

impl Period {
    /// A period from `from` until before `to`, told apart by `apart` or as a whole. Everything that is wrong with it.
    pub(crate) fn new(from: Timestamp, to: Timestamp, apart: Option<Grain>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, vi: &str, en: &str| problems.push(Problem::new(field, vi, en));
        let days = [from, to].iter().all(|at| Grain::Day.start(*at) == *at);
        let grain = apart.unwrap_or(if days { Grain::Day } else { Grain::Hour });
        for (field, at) in [("from", from), ("to", to)] {
            if grain.start(at) != at {
                match grain {
                    Grain::Hour => wrong(field, "phải là đầu giờ", "must be the beginning of an hour"),
                    Grain::Day => wrong(field, "phải là 0 giờ theo giờ Việt Nam", "must be midnight in Viet Nam"),
                }
            }
        }
        let length = to.duration_since(from);
        if length <= SignedDuration::ZERO {
            wrong("to", "phải sau thời điểm bắt đầu", "must be after from");
        } else if length > LONGEST {
            wrong("to", "tối đa 93 ngày", "at most 93 days after from");
        } else if grain == Grain::Hour && length > LONGEST_BY_HOURS {
            wrong(
                "to",
                "theo giờ thì tối đa 14 ngày; dài hơn thì từ 0 giờ đến 0 giờ giờ Việt Nam, không chia theo giờ",
                "by hours at most 14 days after from; a longer period goes from midnight to midnight in Viet Nam and is not divided \
                 into hours",
            );
        }
        if problems.is_empty() {
            Ok(Self {
                from,
                to,
                grain,
                apart: apart.is_some(),
            })
        } else {
            Err(problems)
        }
    }
}

/// The share of a quota that is used, in thousandths; none without a quota. It can exceed 1000: each instance of the door counts for
/// itself.
pub(crate) fn share_used(used: i64, quota: i64) -> Option<i64> {
    (quota > 0).then(|| {
        let share = i128::from(used.max(0)) * 1000 / i128::from(quota);
        i64::try_from(share).unwrap_or(i64::MAX)
    })
}

/// By what sums are told apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dimensions {
    pub(crate) service: bool,
    pub(crate) method: bool,
    pub(crate) agreement: bool,
    pub(crate) consumer: bool,
    pub(crate) outcome: bool,
}

/// Which sums are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About {
    pub(crate) agreement_id: Option<Uuid>,
    pub(crate) service_id: Option<Uuid>,
}

/// What tells a line of a summary apart; what does not is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineKey {
    pub(crate) start: Option<Timestamp>,
    pub(crate) service_id: Option<Uuid>,
    pub(crate) method: Option<String>,
    pub(crate) agreement_id: Option<Uuid>,
    pub(crate) consumer_organisation_id: Option<Uuid>,
    pub(crate) outcome: Option<String>,
}

/// One line of a summary.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) key: LineKey,
    pub(crate) errors: i64,
    pub(crate) sums: Sums,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::exchange::Passed;
    use super::*;

    fn histogram(values: &[i64]) -> Histogram {
        let mut out = Histogram::default();
        for value in values {
            out.count(*value);
        }
        out
    }

    /// Times from microseconds to hours, as often small as large.
    fn times() -> impl Strategy<Value = i64> {
        (0_u32..40, 0_i64..i64::MAX).prop_map(|(bits, value)| value & ((1 << bits) - 1))
    }

    proptest! {
        /// A percentile from buckets lies within the error of a bucket: never below the true one, at most an eighth above.
        #[test]
        fn a_percentile_is_never_less_than_the_true_one_and_at_most_an_eighth_more(
            mut values in proptest::collection::vec(times(), 1..300),
            per_mille in 1_i64..=1000,
        ) {
            let from_buckets = histogram(&values).percentile(per_mille);
            values.sort_unstable();
            let count = i64::try_from(values.len()).unwrap();
            let rank = usize::try_from((count * per_mille + 999) / 1000).unwrap();
            let truly = values[rank - 1];
            prop_assert!(from_buckets >= truly, "{} < {}", from_buckets, truly);
            prop_assert!(from_buckets <= truly + truly / 8, "{} > {} + an eighth", from_buckets, truly);
        }

        /// Whoever counts what in which order: the sum is the same, and what was stored is read back.
        #[test]
        fn histograms_add_up_whoever_made_them(
            one in proptest::collection::vec(times(), 0..100),
            two in proptest::collection::vec(times(), 0..100),
        ) {
            let mut added = histogram(&one);
            added.add(&histogram(&two));
            let all: Vec<i64> = two.iter().chain(&one).copied().collect();
            prop_assert_eq!(&added, &histogram(&all));
            prop_assert_eq!(Histogram::of(&added.buckets(), &added.counts()), added);
        }

        /// Buckets follow one another without a gap, up to the greatest number.
        #[test]
        fn every_time_lies_in_one_bucket(micros in 0..=i64::MAX) {
            let bucket = bucket_of(micros);
            prop_assert!(micros <= upper_end(bucket));
            prop_assert!(bucket == 0 || micros > upper_end(bucket - 1));
        }
    }

    #[test]
    fn the_ends_of_buckets_stay_what_they_are() {
        // They are stored: another scale would need other tables.
        let of = |micros| (bucket_of(micros), upper_end(bucket_of(micros)));
        assert_eq!(of(-1), (0, 0));
        assert_eq!(of(7), (7, 7));
        assert_eq!(of(8), (8, 8));
        assert_eq!(of(16), (16, 17));
        assert_eq!(of(1_000), (63, 1_023));
        assert_eq!(of(1_000_000), (143, 1_048_575));
        assert_eq!(of(i64::MAX), (487, i64::MAX));
        assert_eq!(Histogram::default().percentile(990), 0);
    }

    fn ended(word: &str, end: &str, elapsed_us: i64, provider_us: i64) -> (Exchange, Outcome) {
        let exchange = Exchange {
            exchange_id: Uuid::nil(),
            instance_id: Uuid::nil(),
            consumer_unit_id: 1,
            provider_unit_id: 2,
            consumer_organisation_id: Uuid::from_u128(1),
            provider_organisation_id: Uuid::from_u128(2),
            agreement_id: Uuid::from_u128(3),
            agreement_version: 1,
            delegation_id: None,
            service_id: Uuid::from_u128(4),
            client_id: "motcua".to_owned(),
            caller: Uuid::nil(),
            on_behalf_of: None,
            method: "demo.v1.People/Get".to_owned(),
            purpose: None,
            trace: None,
            begin_time: Timestamp::UNIX_EPOCH,
        };
        let passed = Passed {
            hash: [0; 32],
            messages: 1,
            bytes: 10,
        };
        let outcome = Outcome {
            outcome: word.to_owned(),
            request: passed,
            response: passed,
            elapsed_us,
            provider_us,
            ..Outcome::unknown([0; 32], end.parse().unwrap())
        };
        (exchange, outcome)
    }

    #[test]
    fn an_exchange_counts_in_the_hour_and_the_day_in_which_it_ended() {
        let all = [
            ended("answered", "2026-11-26T16:59:59Z", 3_000, 2_000),
            ended("answered", "2026-11-26T16:10:00Z", 1_000, 900),
            ended("answered", "2026-11-26T17:00:00Z", 1_000, 900),
            ended("not_sent", "2026-11-26T16:59:59Z", 5_000, 4_000),
            ended(UNKNOWN, "2026-11-26T16:59:59Z", 0, 0),
        ];
        let hours = of_exchanges(all.iter().map(|(one, two)| (one, two)));
        let found: Vec<(String, &str, i64)> = hours
            .iter()
            .map(|(key, sums)| (key.start.to_string(), key.outcome.as_str(), sums.calls))
            .collect();
        let hour = |hour: &str| format!("2026-11-26T{hour}:00:00Z");
        assert_eq!(
            found,
            [
                (hour("16"), "answered", 2),
                (hour("16"), "not_sent", 1),
                (hour("16"), UNKNOWN, 1),
                (hour("17"), "answered", 1)
            ]
        );
        let of = |word: &str| {
            let (_, sums) = hours.iter().find(|(key, _)| key.outcome == word).unwrap();
            sums
        };
        assert_eq!(
            (of("answered").request_bytes, of("answered").elapsed.max_us),
            (20, 3_000)
        );
        assert_eq!(of("answered").elapsed.percentile(500), 1_023);
        assert_eq!(
            of("answered").elapsed.percentile(990),
            3_000,
            "no more than the longest"
        );
        assert_eq!(of("not_sent").at_provider, Latency::default());
        assert_eq!(of(UNKNOWN).elapsed, Latency::default());
        // 17:00 UTC is midnight in Việt Nam.
        let days = coarser(&hours, Grain::Day);
        let calls: Vec<i64> = days.values().map(|sums| sums.calls).collect();
        assert_eq!((days.len(), calls), (4, vec![2, 1, 1, 1]));
    }

    #[test]
    fn a_period_is_of_whole_hours_or_days_and_every_fault_is_named() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let midnight = at("2026-11-22T17:00:00Z");
        let days = |count: i64| midnight + SignedDuration::from_hours(24 * count);
        let grain = |from, to, apart| Period::new(from, to, apart).map(|period| period.grain);
        assert_eq!(grain(midnight, days(93), None), Ok(Grain::Day));
        assert_eq!(grain(midnight, days(93), Some(Grain::Day)), Ok(Grain::Day));
        assert_eq!(grain(midnight, days(1), Some(Grain::Hour)), Ok(Grain::Hour));
        assert_eq!(grain(at("2026-11-23T01:00:00Z"), days(1), None), Ok(Grain::Hour));
        let fields = |from, to, apart| -> Vec<String> {
            let problems = Period::new(from, to, apart).unwrap_err();
            assert!(problems.iter().all(|one| !one.vi.is_empty() && !one.en.is_empty()));
            problems.into_iter().map(|problem| problem.field).collect()
        };
        assert_eq!(fields(midnight, midnight, None), ["to"]);
        assert_eq!(fields(midnight, days(94), None), ["to"]);
        assert_eq!(fields(midnight, days(15), Some(Grain::Hour)), ["to"]);
        let odd = at("2026-11-23T01:30:00Z");
        assert_eq!(fields(odd, odd, None), ["from", "to", "to"]);
        assert_eq!(fields(midnight, at("2026-11-24T01:00:00Z"), Some(Grain::Day)), ["to"]);
    }

    #[test]
    fn a_share_is_of_a_quota() {
        assert_eq!(share_used(5, 10), Some(500));
        assert_eq!(share_used(30, 10), Some(3000));
        assert_eq!(share_used(30, 0), None);
    }
}
