//! Against a plain count: for every day, each case is looked at as it stood when the day ended.

use std::collections::BTreeMap;

use jiff::{SignedDuration, ToSpan as _};
use proptest::prelude::*;

use super::*;

const FIRST: Date = jiff::civil::date(2026, 1, 1);
const DAYS: i64 = 30;

fn instant(day: i64, hour: i64) -> Timestamp {
    let midnight = FIRST.to_zoned(vietnam()).unwrap().timestamp();
    midnight + SignedDuration::from_hours(24 * day + hour)
}

fn date(day: i64) -> Date {
    FIRST.checked_add(day.days()).unwrap()
}

fn registered(unit_id: i32, channel: Channel) -> Snapshot {
    Snapshot {
        unit_id,
        procedure_code: "1.001193".to_owned(),
        officer_id: None,
        channel,
        state: State::Registered,
        accepted: false,
        due: None,
        components: Components {
            all: 3,
            digitised: 2,
            reused: 1,
        },
        supplements: 0,
        results: (0, 0),
        rating: None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "beside cases without a due date")]
fn due(day: i64) -> Option<(Date, Timestamp)> {
    Some((date(day), instant(day, 17)))
}

/// What may be done next, drawn by a number; none if nothing is left.
fn act(before: &Snapshot, draw: u8, day: i64) -> Option<Snapshot> {
    let mut after = before.clone();
    match (before.state, draw % 8) {
        (State::Registered, 0) => after.state = State::Rejected,
        (State::Registered, 1) => after.state = State::SupplementRequested,
        (State::Registered, 2) => after.state = State::Withdrawn,
        (State::Registered, 3) => after.unit_id = 3 - before.unit_id,
        (State::Registered, _) => {
            after.state = State::Accepted;
            after.accepted = true;
            after.due = due(day + i64::from(draw % 5));
        }
        (State::SupplementRequested, 0..2) if !before.accepted => after.state = State::Stopped,
        (State::SupplementRequested, _) if !before.accepted => {
            after.state = State::Accepted;
            after.accepted = true;
            after.due = due(day + 2);
        }
        (State::SupplementRequested, 0) => after.state = State::Stopped,
        (State::SupplementRequested, 1) => after.state = State::Withdrawn,
        (State::SupplementRequested, _) => {
            after.state = State::Processing;
            after.due = due(day + i64::from(draw % 4));
            after.components.all += 1;
        }
        (State::Accepted | State::Processing, 0) => after.state = State::Completed,
        (State::Accepted | State::Processing, 1) => {
            after.state = State::SupplementRequested;
            after.supplements += 1;
        }
        (State::Accepted | State::Processing, 2) => after.unit_id = 3 - before.unit_id,
        (State::Accepted | State::Processing, 3) => after.state = State::Withdrawn,
        (State::Accepted | State::Processing, 4) => after.due = due(day + 3),
        (State::Accepted | State::Processing, 5) => {
            after.state = State::Completed;
            after.results = (1, 1);
        }
        (State::Accepted | State::Processing, _) => {
            after.state = State::Processing;
            after.officer_id = Some(Uuid::from_u128(u128::from(draw % 3)));
        }
        (State::Completed, _) => after.state = State::Returned,
        (State::Returned, _) if before.rating.is_none() => after.rating = Some(i16::from(draw % 3) + 1),
        _ => return None,
    }
    Some(after)
}

type Walk = Vec<(i64, i64, Snapshot)>;

/// Random acts on one case: day, hour and the case after each.
fn walk() -> impl Strategy<Value = Walk> {
    let steps = prop::collection::vec((0..4_i64, any::<u8>()), 0..12);
    (0..10_i64, 1..=2_i32, 0..3_usize, steps).prop_map(|(first, unit_id, channel, steps)| {
        let mut day = first;
        let mut hour = 8;
        let mut acts = vec![(day, hour, registered(unit_id, Channel::ALL[channel]))];
        for (later, draw) in steps {
            day += later;
            hour = if later > 0 { 8 } else { hour + 1 };
            let (_, _, before) = acts.last().unwrap();
            match act(before, draw, day) {
                Some(after) if day < DAYS => acts.push((day, hour, after)),
                _ => break,
            }
        }
        acts
    })
}

fn all_changes(walks: &[Walk]) -> Vec<(Key, i64)> {
    let mut found = Vec::new();
    for acts in walks {
        let mut before: Option<&Snapshot> = None;
        for (day, hour, after) in acts {
            found.extend(changes(before, after, When::now(instant(*day, *hour))));
            before = Some(after);
        }
    }
    found
}

fn totals(changes: &[(Key, i64)], until: Date, of: impl Fn(&Key) -> bool) -> Totals {
    let mut totals = Totals::default();
    for (key, amount) in changes.iter().filter(|(key, _)| key.day < until && of(key)) {
        totals.add(key.measure, *amount);
    }
    totals
}

fn standing_at_the_end_of(acts: &Walk, day: i64) -> Option<&Snapshot> {
    acts.iter()
        .rev()
        .find(|(of, _, _)| *of <= day)
        .map(|(_, _, after)| after)
}

proptest! {
    #[test]
    fn the_columns_are_those_of_a_plain_count(
        walks in prop::collection::vec(walk(), 1..12),
        from in 0..DAYS,
        length in 0..DAYS,
    ) {
        let to = (from + length).min(DAYS - 1);
        let changes = all_changes(&walks);
        let until = totals(&changes, date(to + 1), |_| true);
        let columns = Columns::between(&totals(&changes, date(from), |_| true), &until);
        prop_assert!(columns.balances(), "{columns:?}");

        let mut plain = Columns::default();
        for acts in &walks {
            if from > 0 && standing_at_the_end_of(acts, from - 1).is_some_and(|case| case.phase().is_open()) {
                plain.carried_over += 1;
            }
            if let Some(case) = standing_at_the_end_of(acts, to) {
                match case.phase() {
                    Phase::Waiting => plain.waiting += 1,
                    Phase::Paused => plain.paused += 1,
                    Phase::InProcess if case.due.unwrap().0 <= date(to) => plain.in_process_overdue += 1,
                    Phase::InProcess => plain.in_process_in_time += 1,
                    _ => {}
                }
            }
            let mut before: Option<&Snapshot> = None;
            for (day, hour, after) in acts {
                if (from..=to).contains(day) {
                    count_plainly(&mut plain, before, after, instant(*day, *hour));
                }
                before = Some(after);
            }
        }
        plain.transferred = 0;
        prop_assert_eq!(columns, plain);
    }

    #[test]
    fn every_unit_and_officer_balances_for_itself(walks in prop::collection::vec(walk(), 1..12), day in 1..DAYS) {
        let changes = all_changes(&walks);
        for unit in [1, 2] {
            let of = |key: &Key| key.unit_id == unit;
            let columns = Columns::between(&totals(&changes, date(day / 2), of), &totals(&changes, date(day + 1), of));
            prop_assert!(columns.balances(), "{columns:?}");
            prop_assert!(columns.in_process_in_time >= 0 && columns.in_process_overdue >= 0);
            let standing = walks.iter().filter(|acts| {
                standing_at_the_end_of(acts, day).is_some_and(|case| case.unit_id == unit && case.phase().is_open())
            });
            prop_assert_eq!(columns.in_process() + columns.paused, standing.count() as i64);
        }
        for officer in 0..3 {
            let officer_id = Uuid::from_u128(officer);
            let of = |key: &Key| key.officer_id == officer_id;
            let until = totals(&changes, date(day + 1), of);
            let open = walks.iter().filter(|acts| {
                standing_at_the_end_of(acts, day)
                    .is_some_and(|case| case.officer_id.unwrap_or_default() == officer_id && case.phase().is_open())
            });
            let columns = Columns::between(&Totals::default(), &until);
            prop_assert_eq!(columns.in_process() + columns.paused, open.count() as i64);
        }
    }

    #[test]
    fn what_is_told_later_changes_nothing_that_was_known_before(walk in walk(), recorded in 0..DAYS) {
        let mut before: Option<&Snapshot> = None;
        let mut sums: BTreeMap<Option<Date>, i64> = BTreeMap::new();
        for (day, hour, after) in &walk {
            let when = When { happened: instant(*day, *hour), recorded: instant((*day).max(recorded), 23) };
            for (key, _) in changes(before, after, when) {
                let late = (recorded > *day).then(|| date(recorded));
                prop_assert_eq!(key.recorded_late, late);
                *sums.entry(late).or_default() += 1;
            }
            before = Some(after);
        }
        prop_assert!(!sums.is_empty());
    }
}

/// The flows of one act, counted without the rule.
fn count_plainly(plain: &mut Columns, before: Option<&Snapshot>, after: &Snapshot, now: Timestamp) {
    let was_accepted = before.is_some_and(|before| before.accepted);
    if before.is_none() {
        plain.registered += 1;
    }
    if !was_accepted && after.accepted {
        match after.channel {
            Channel::Counter => plain.received_counter += 1,
            Channel::Online => plain.received_online += 1,
            Channel::Post => plain.received_post += 1,
        }
        plain.components += after.components.all;
        plain.digitised += after.components.digitised;
        plain.reused += after.components.reused;
    } else if was_accepted {
        plain.components += after.components.all - before.unwrap().components.all;
    }
    let entered = |state: State| after.state == state && before.is_none_or(|before| before.state != state);
    if entered(State::Rejected) {
        plain.refused += 1;
    }
    if (entered(State::Withdrawn) || entered(State::Stopped)) && !after.accepted {
        plain.left_before += 1;
    } else if entered(State::Stopped) {
        plain.stopped += 1;
    } else if entered(State::Withdrawn) || entered(State::Completed) {
        let (date, time) = after.due.unwrap();
        if now > time {
            plain.processed_late += 1;
        } else if day_of(now) < date {
            plain.processed_early += 1;
        } else {
            plain.processed_on_time += 1;
        }
        plain.withdrawn += i64::from(after.state == State::Withdrawn);
    }
    if entered(State::Returned) {
        plain.returned += 1;
    }
    if after.supplements > before.map_or(0, |before| before.supplements) {
        plain.supplements += 1;
    }
    if after.results.0 > before.map_or(0, |before| before.results.0) {
        plain.results += 1;
        plain.digital_results += 1;
    }
    if before.is_some_and(|before| before.rating != after.rating) {
        match after.rating {
            Some(1) => plain.rated_dissatisfied += 1,
            Some(2) => plain.rated_satisfied += 1,
            Some(_) => plain.rated_very_satisfied += 1,
            None => {}
        }
    }
}

#[test]
fn an_overdue_case_counts_from_the_end_of_its_due_date_and_no_more_once_it_is_decided() {
    let filed = registered(1, Channel::Online);
    let accepted = Snapshot {
        state: State::Accepted,
        accepted: true,
        due: due(3),
        ..filed.clone()
    };
    let decided = Snapshot {
        state: State::Completed,
        ..accepted.clone()
    };
    let walk = vec![(0, 8, filed), (0, 9, accepted), (5, 9, decided)];
    let changes = all_changes(&[walk]);
    let overdue = |day: i64| totals(&changes, date(day + 1), |_| true).get(Measure::Overdue);
    assert_eq!([0, 2, 3, 4, 5, 20].map(overdue), [0, 0, 1, 1, 0, 0]);
}

#[test]
fn the_numbers_of_measures_are_theirs_for_ever() {
    let codes: Vec<i16> = Measure::ALL.iter().map(|measure| measure.code()).collect();
    assert_eq!(codes, (1..=29).collect::<Vec<i16>>());
    assert!(
        Measure::ALL
            .iter()
            .all(|measure| Measure::of_code(measure.code()) == Some(*measure))
    );
    assert_eq!(Measure::of_code(0), None);
}
