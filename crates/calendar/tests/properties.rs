//! What holds for every period, whatever the dates.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod support;

use std::sync::LazyLock;

use egov_calendar::{
    Amount, CalendarError, Effect, FirstDay, LastDayOff, Pause, Period, Rules, WorkCalendar, deadline, extended,
    latest_start, progress,
};
use jiff::SignedDuration;
use jiff::civil::{DateTime, Time, date};
use proptest::prelude::*;

static CALENDAR: LazyLock<WorkCalendar> = LazyLock::new(support::calendar);

/// The due date; none while the clock stands still, which is later than any date.
fn due(received: DateTime, period: Period, rules: &Rules, pauses: &[Pause]) -> Option<DateTime> {
    match deadline(&CALENDAR, received, period, rules, pauses) {
        Ok(deadline) => Some(deadline.due),
        Err(CalendarError::ClockStopped { .. }) => None,
        Err(error) => panic!("{received} {period:?}: {error}"),
    }
}

fn not_earlier(later: Option<DateTime>, earlier: Option<DateTime>) -> bool {
    match (later, earlier) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(later), Some(earlier)) => later >= earlier,
    }
}

fn moments() -> impl Strategy<Value = DateTime> {
    let seconds = prop_oneof![
        3 => 0..86_400_i64,
        1 => prop::sample::select(vec![0, 27_000, 41_400, 48_600, 54_000, 54_001, 61_199, 61_200, 61_201]),
    ];
    (0..7_200_i64, seconds)
        .prop_map(|(day, second)| date(2015, 1, 1).at(0, 0, 0, 0) + SignedDuration::from_secs(day * 86_400 + second))
}

fn periods() -> impl Strategy<Value = Period> {
    prop_oneof![
        (1..40_u32).prop_map(Period::WorkingDays),
        (1..90_u32).prop_map(Period::Days),
        (1..80_u32).prop_map(Period::WorkingHours),
        (1..240_u32).prop_map(Period::ElapsedHours),
        Just(Period::SameDay),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    (any::<bool>(), any::<bool>()).prop_map(|(counted, stays)| Rules {
        first_day: if counted {
            FirstDay::Counted
        } else {
            FirstDay::NotCounted
        },
        last_day_off: if stays {
            LastDayOff::Stays
        } else {
            LastDayOff::MovesToNextWorkingDay
        },
        cut_off: None,
    })
}

/// Pauses around a reception: offset and length in minutes, or without an end.
fn pause_offsets() -> impl Strategy<Value = Vec<(i64, Option<i64>)>> {
    prop::collection::vec((-2_000..40_000_i64, prop::option::weighted(0.9, 0..9_000_i64)), 0..4)
}

fn pauses_of(received: DateTime, offsets: &[(i64, Option<i64>)]) -> Vec<Pause> {
    let after = |minutes: i64| received + SignedDuration::from_mins(minutes);
    offsets
        .iter()
        .map(|(from, length)| Pause {
            from: after(*from),
            to: length.map(|length| after(from + length)),
        })
        .collect()
}

fn cut_off(period: Period) -> Option<Time> {
    (period == Period::SameDay).then(|| jiff::civil::time(15, 0, 0, 0))
}

fn one_more(period: Period) -> Period {
    match period {
        Period::WorkingDays(n) => Period::WorkingDays(n + 1),
        Period::Days(n) => Period::Days(n + 1),
        Period::WorkingHours(n) => Period::WorkingHours(n + 1),
        Period::ElapsedHours(n) => Period::ElapsedHours(n + 1),
        Period::SameDay => Period::SameDay,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_is_due_before_it_was_received(
        received in moments(), period in periods(), rules in rules(), offsets in pause_offsets(),
    ) {
        let rules = rules.with_cut_off(cut_off(period));
        if let Some(due) = due(received, period, &rules, &pauses_of(received, &offsets)) {
            prop_assert!(due >= received);
        }
    }

    #[test]
    fn a_longer_period_is_never_due_earlier(
        received in moments(), period in periods(), rules in rules(), offsets in pause_offsets(),
    ) {
        let rules = rules.with_cut_off(cut_off(period));
        let pauses = pauses_of(received, &offsets);
        let (shorter, longer) = (due(received, period, &rules, &pauses), due(received, one_more(period), &rules, &pauses));
        prop_assert!(not_earlier(longer, shorter), "{shorter:?} then {longer:?}");
    }

    // Not so where the day of reception counts: a case that came after a pause has an undisturbed first day, one that
    // came before it has not.
    #[test]
    fn a_later_reception_is_never_due_earlier_where_the_first_day_does_not_count(
        received in moments(), minutes in 0..20_000_i64, period in periods(), rules in rules(), offsets in pause_offsets(),
    ) {
        let rules = Rules { first_day: FirstDay::NotCounted, cut_off: cut_off(period), ..rules };
        let pauses = pauses_of(received, &offsets);
        let later = received + SignedDuration::from_mins(minutes);
        prop_assert!(not_earlier(due(later, period, &rules, &pauses), due(received, period, &rules, &pauses)));
    }

    #[test]
    fn a_further_pause_never_brings_the_date_forward(
        received in moments(), period in periods(), rules in rules(), offsets in pause_offsets(), further in pause_offsets(),
    ) {
        let rules = rules.with_cut_off(cut_off(period));
        let mut pauses = pauses_of(received, &offsets);
        let before = due(received, period, &rules, &pauses);
        pauses.extend(pauses_of(received, &further));
        prop_assert!(not_earlier(due(received, period, &rules, &pauses), before));
    }

    #[test]
    fn working_days_and_same_day_end_on_a_working_day_at_the_close(
        received in moments(), n in 1..40_u32, same_day in any::<bool>(), rules in rules(), offsets in pause_offsets(),
    ) {
        let period = if same_day { Period::SameDay } else { Period::WorkingDays(n) };
        if let Some(due) = due(received, period, &rules, &pauses_of(received, &offsets)) {
            prop_assert!(CALENDAR.is_working_day(due.date()).unwrap());
            prop_assert_eq!(due.time(), jiff::civil::time(17, 0, 0, 0));
        }
    }

    #[test]
    fn calendar_days_end_on_a_working_day_unless_the_rule_lets_them_stay(
        received in moments(), n in 1..90_u32, offsets in pause_offsets(),
    ) {
        if let Some(due) = due(received, Period::Days(n), &Rules::default(), &pauses_of(received, &offsets)) {
            prop_assert!(CALENDAR.is_working_day(due.date()).unwrap());
        }
    }

    #[test]
    fn the_explanation_names_every_day_and_counts_exactly_the_period(
        received in moments(), period in periods(), rules in rules(), offsets in pause_offsets(),
    ) {
        let rules = rules.with_cut_off(cut_off(period));
        let Ok(deadline) = deadline(&CALENDAR, received, period, &rules, &pauses_of(received, &offsets)) else {
            return Ok(());
        };
        let notes = &deadline.explanation;
        prop_assert_eq!(notes.first().map(|note| note.date), Some(received.date()));
        for pair in notes.windows(2) {
            let [day, next] = pair else { unreachable!("windows of two") };
            prop_assert_eq!(day.date.tomorrow().unwrap(), next.date);
        }
        // The end of an elapsed period at midnight belongs to the day that it ends.
        let last = notes.last().unwrap().date;
        prop_assert!(last == deadline.due.date() || last.tomorrow().unwrap().at(0, 0, 0, 0) == deadline.due);
        match period.amount() {
            Amount::Days(days) => {
                let counted: Vec<u32> = notes
                    .iter()
                    .filter_map(|note| match note.effect {
                        Effect::Counted { n, of } if of == days => Some(n),
                        _ => None,
                    })
                    .collect();
                prop_assert_eq!(counted, (1..=days).collect::<Vec<_>>());
            }
            Amount::Time(time) => {
                let mut sum = SignedDuration::ZERO;
                for note in notes {
                    if let Effect::Hours { used, sum: so_far, of } = note.effect {
                        sum += used;
                        prop_assert_eq!((so_far, of), (sum, time));
                    }
                }
                prop_assert_eq!(sum, time);
            }
        }
        for note in notes {
            prop_assert_eq!(note.day.is_working(), CALENDAR.is_working_day(note.date).unwrap());
        }
    }

    #[test]
    fn working_days_without_pauses_are_the_working_days_between(received in moments(), n in 1..60_u32) {
        let due = due(received, Period::WorkingDays(n), &Rules::default(), &[]).unwrap();
        let between = CALENDAR.working_days_between(received.date(), due.date()).unwrap();
        prop_assert_eq!(between, i64::from(n));
        prop_assert_eq!(CALENDAR.working_days_between(due.date(), received.date()).unwrap(), -between);
    }

    #[test]
    fn progress_only_grows_and_is_complete_exactly_when_it_is_due(
        received in moments(), period in periods(), rules in rules(), offsets in pause_offsets(),
        first in 0..40_000_i64, second in 0..40_000_i64,
    ) {
        let rules = rules.with_cut_off(cut_off(period));
        let pauses = pauses_of(received, &offsets);
        let at = |minutes: i64| {
            let now = received + SignedDuration::from_mins(minutes);
            (now, progress(&CALENDAR, received, period, &rules, &pauses, now).unwrap())
        };
        let ((_, early), (now, late)) = (at(first.min(second)), at(first.max(second)));
        let grows = match (early.used, late.used) {
            (Amount::Days(early), Amount::Days(late)) => early <= late,
            (Amount::Time(early), Amount::Time(late)) => early <= late,
            _ => false,
        };
        prop_assert!(grows);
        prop_assert_eq!(late.due, due(received, period, &rules, &pauses));
        prop_assert_eq!(late.remaining, period.amount().less(late.used));
        let over = late.due.is_some_and(|due| due <= now);
        let all_used = late.used == period.amount();
        // A period of days that ends on a day off is used up before it ends; no other one is.
        prop_assert!(!over || all_used);
        if !matches!(period, Period::Days(_)) {
            prop_assert_eq!(over, all_used);
        }
    }
}

proptest! {
    #[test]
    fn the_latest_start_is_in_time_and_a_second_later_is_not(
        by in moments(), period in periods(), rules in rules(), cut_off in prop::option::of(moments()),
    ) {
        let by = by + SignedDuration::from_hours(24 * 365);
        let rules = rules.with_cut_off(cut_off.map(jiff::civil::DateTime::time).filter(|_| period == Period::SameDay));
        let latest = latest_start(&CALENDAR, by, period, &rules).unwrap();
        let after = latest + SignedDuration::from_secs(1);
        prop_assert!(due(latest, period, &rules, &[]).unwrap() <= by, "{latest}");
        prop_assert!(due(after, period, &rules, &[]).unwrap() > by, "{after}");
    }

    #[test]
    fn an_extension_adds_working_days_and_a_pause_never_brings_it_forward(
        received in moments(), period in periods(), rules in rules(), days in 1..20_u32, offsets in pause_offsets(),
    ) {
        let pauses = pauses_of(received, &offsets);
        let plain = deadline(&CALENDAR, received, period, &rules, &[]).unwrap();
        let ends = plain.due;
        let plain = extended(&CALENDAR, plain, days, &[]).unwrap();
        prop_assert_eq!(CALENDAR.working_days_between(ends.date(), plain.due.date()).unwrap(), i64::from(days));
        prop_assert_eq!(plain.due, CALENDAR.close(plain.due.date()));
        let counted = plain.explanation.iter().filter(|note| matches!(note.effect, Effect::Extended { .. })).count();
        prop_assert_eq!(counted, days as usize);
        let found = deadline(&CALENDAR, received, period, &rules, &pauses);
        let paused = found.and_then(|found| extended(&CALENDAR, found, days, &pauses));
        match paused {
            Ok(paused) => prop_assert!(paused.due >= plain.due),
            Err(CalendarError::ClockStopped { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
