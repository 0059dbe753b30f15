//! Forecasts over a procedure with times of steps.

use std::path::Path;
use std::sync::LazyLock;

use egov_calendar::Period;
use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;
use crate::domain::pack::{Fact, FactStatus, StepTime, TimeUnit};

static CALENDAR: LazyLock<WorkCalendar> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/calendar");
    WorkCalendar::read(&folder).unwrap()
});

/// Cấp đổi Giấy chứng nhận: reception, four steps and the decision within the period, handing over after it.
const LAND: &str = include_str!("../../../../deploy/packs/procedures/1.012783.toml");

fn fact() -> Fact {
    Fact {
        status: FactStatus::Confirmed,
        source: "a test".to_owned(),
        by: None,
        when: None,
        basis: None,
        demonstration: false,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "beside steps without a time")]
fn days(value: u32) -> Option<StepTime> {
    Some(StepTime {
        value: Some(value),
        unit: Some(TimeUnit::WorkingDay),
    })
}

/// The procedure with these times for its five steps after the reception.
fn with_times(times: [Option<StepTime>; 5]) -> Procedure {
    let mut procedure = Procedure::from_toml(LAND).unwrap();
    for (step, time) in procedure.steps.iter_mut().skip(1).zip(times) {
        step.time = time;
    }
    procedure
}

fn at(day: Date, hour: i8) -> Timestamp {
    vietnam_instant(day.at(hour, 0, 0, 0)).unwrap()
}

#[test]
fn a_case_stands_at_the_first_step_after_the_one_that_was_recorded_and_handing_over_is_no_part_of_the_period() {
    let procedure = with_times([None, None, None, None, None]);
    let codes = |steps: &[&Step]| steps.iter().map(|step| step.code.clone()).collect::<Vec<_>>();
    let (done, left) = steps_left(&procedure, &[], Done::NOTHING);
    assert_eq!(codes(&done), ["tiep_nhan"]);
    assert_eq!(
        codes(&left),
        [
            "kiem_tra",
            "trich_luc",
            "nghia_vu_tai_chinh",
            "chinh_ly",
            "cap_giay_chung_nhan"
        ]
    );
    let (_, left) = steps_left(&procedure, &[], Done::step("chinh_ly"));
    assert_eq!(codes(&left), ["cap_giay_chung_nhan"]);
    assert!(
        steps_left(&procedure, &[], Done::step("cap_giay_chung_nhan"))
            .1
            .is_empty()
    );
    // A step that the version does not have is none.
    assert_eq!(steps_left(&procedure, &[], Done::step("khong_co")).0.len(), 1);
}

#[test]
fn a_step_of_a_branch_that_is_not_taken_takes_no_time() {
    let mut procedure = with_times([days(1), days(2), days(5), days(3), days(1)]);
    let next = serde_json::json!([{ "to": "trich_luc", "when": "can_trich_luc" }, { "to": "chinh_ly" }]);
    let check = procedure.steps.iter_mut().find(|step| step.code == "kiem_tra");
    check.unwrap().next = serde_json::from_value(next).unwrap();
    let holds = ["can_trich_luc".to_owned()];
    let left = |conditions: &[String]| {
        let steps = steps_left(&procedure, conditions, Done::step("kiem_tra")).1;
        steps.into_iter().map(|step| step.code.clone()).collect::<Vec<_>>()
    };
    assert_eq!(left(&[]), ["chinh_ly", "cap_giay_chung_nhan"]);
    assert_eq!(left(&holds).first().map(String::as_str), Some("trich_luc"));
    let since = at(date(2026, 11, 23), 9);
    let ends = |conditions| {
        let standing = Standing {
            recorded: Done::step("kiem_tra"),
            conditions,
            since,
            pauses: &[],
            due: at(date(2026, 12, 15), 17),
        };
        forecast(&CALENDAR, &procedure, &standing, since).unwrap().expected_end
    };
    assert!(ends(&[]) < ends(&holds));
}

#[test]
fn the_forecast_names_the_step_that_eats_the_time_and_the_day_on_which_it_turns_late() {
    // Fifteen working days in five steps. Accepted Monday 23/11/2026; Tuesday 24/11 is a day off.
    let procedure = with_times([days(2), days(3), days(2), days(5), days(3)]);
    let accepted = at(date(2026, 11, 23), 9);
    let due = at(date(2026, 12, 15), 17);
    let standing = Standing {
        recorded: Done::NOTHING,
        conditions: &[],
        since: accepted,
        pauses: &[],
        due,
    };
    let found = outlook(&CALENDAR, &procedure, &standing).unwrap();
    assert_eq!(found.step, "kiem_tra");
    assert_eq!(found.step_end, Some(at(date(2026, 11, 26), 17)), "25/11 and 26/11");
    // Thirteen working days follow: 27/11, 30/11 to 04/12, 07/12 to 11/12, 14/12, 15/12.
    assert_eq!(found.at_risk_from, at(date(2026, 11, 27), 0));

    let on_time = forecast(&CALENDAR, &procedure, &standing, at(date(2026, 11, 25), 10)).unwrap();
    assert_eq!(
        (on_time.expected_end, on_time.late, on_time.complete),
        (due, false, true)
    );
    let ends: Vec<_> = on_time
        .steps
        .iter()
        .map(|step| step.expected_end == step.latest_end)
        .collect();
    // The first step may still end on the evening of 26/11 or during that night; all others end as the office closes.
    assert_eq!(on_time.steps.iter().filter(|step| step.done).count(), 1);
    assert!(
        on_time
            .steps
            .iter()
            .skip(1)
            .all(|step| step.expected_end <= step.latest_end),
        "{ends:?}"
    );

    // The inspection is not done on Monday 30/11: two working days lost.
    let late = forecast(&CALENDAR, &procedure, &standing, at(date(2026, 11, 30), 10)).unwrap();
    assert!(late.late);
    assert_eq!(late.late_working_days, 2);
    assert!(late.steps[1].current && late.steps[1].expected_end > late.steps[1].latest_end);
}

#[test]
fn without_times_of_steps_a_case_is_at_risk_when_it_is_overdue_and_the_forecast_says_that_it_is_the_earliest() {
    let procedure = with_times([None, None, None, None, None]);
    let due = at(date(2026, 12, 15), 17);
    let standing = Standing {
        recorded: Done::step("kiem_tra"),
        conditions: &[],
        since: at(date(2026, 11, 25), 9),
        pauses: &[],
        due,
    };
    let found = outlook(&CALENDAR, &procedure, &standing).unwrap();
    assert_eq!(
        (found.step.as_str(), found.latest_step_end, found.step_end),
        ("trich_luc", due, None)
    );
    let now = at(date(2026, 12, 1), 9);
    let foreseen = forecast(&CALENDAR, &procedure, &standing, now).unwrap();
    assert_eq!(
        (foreseen.expected_end, foreseen.late, foreseen.complete),
        (now, false, false)
    );
}

#[test]
fn steps_that_do_not_fit_from_the_start_are_seen_at_once() {
    let procedure = with_times([days(9), days(9), None, None, None]);
    let since = at(date(2026, 11, 23), 9);
    let standing = Standing {
        recorded: Done::NOTHING,
        conditions: &[],
        since,
        pauses: &[],
        due: at(date(2026, 12, 15), 17),
    };
    assert_eq!(outlook(&CALENDAR, &procedure, &standing).unwrap().at_risk_from, since);
}

#[test]
fn a_reminder_comes_days_before_then_hours_before_then_not_at_all() {
    let rule = ReminderRule {
        working_days_before: 2,
        minutes_before: 120,
        fact: fact(),
    };
    let due = at(date(2026, 11, 30), 17);
    let remind = |since| remind_at(&CALENDAR, &rule, since, due);
    // Two working days before Monday 30/11: Thursday 26/11, as the office opens.
    let opening = vietnam_instant(date(2026, 11, 26).at(7, 30, 0, 0)).unwrap();
    assert_eq!(remind(at(date(2026, 11, 23), 9)), Some(opening));
    assert_eq!(remind(at(date(2026, 11, 27), 9)), Some(at(date(2026, 11, 30), 15)));
    assert_eq!(remind(at(date(2026, 11, 30), 16)), None);
}

fn step_times() -> impl Strategy<Value = Option<StepTime>> {
    let units = prop_oneof![
        (1..8_u32).prop_map(|n| (Some(n), TimeUnit::WorkingDay)),
        (1..10_u32).prop_map(|n| (Some(n), TimeUnit::Day)),
        (1..40_u32).prop_map(|n| (Some(n), TimeUnit::WorkingHour)),
        (1..72_u32).prop_map(|n| (Some(n), TimeUnit::Hour)),
        Just((None, TimeUnit::SameDay)),
    ];
    prop::option::weighted(
        0.8,
        units.prop_map(|(value, unit)| StepTime {
            value,
            unit: Some(unit),
        }),
    )
}

proptest! {
    /// The list of cases at risk compares two instants; the forecast works everything out. They must say the same, at every second.
    #[test]
    fn a_case_is_at_risk_exactly_when_its_forecast_is_late(
        times in (step_times(), step_times(), step_times(), step_times(), step_times()),
        recorded in prop::sample::select(vec!["", "kiem_tra", "trich_luc", "nghia_vu_tai_chinh", "chinh_ly"]),
        since in 0..3_000_000_i64, lead in 0..4_000_000_i64, wait in 0..4_500_000_i64, near in -2..3_i64,
    ) {
        let procedure = with_times([times.0, times.1, times.2, times.3, times.4]);
        let since = at(date(2026, 9, 1), 0) + SignedDuration::from_secs(since);
        let due = since + SignedDuration::from_secs(lead);
        let standing = Standing { recorded: Done::step(recorded), conditions: &[], since, pauses: &[], due };
        let found = outlook(&CALENDAR, &procedure, &standing).unwrap();
        let some_time = since + SignedDuration::from_secs(wait);
        let turning = (found.at_risk_from + SignedDuration::from_secs(near)).max(since);
        for now in [some_time, turning] {
            let foreseen = forecast(&CALENDAR, &procedure, &standing, now).unwrap();
            prop_assert_eq!(found.at_risk_from <= now, foreseen.late, "at {} of {:?}: {:?}", now, found, foreseen);
        }
    }

    #[test]
    fn time_that_passes_never_brings_the_expected_end_forward(
        times in (step_times(), step_times(), step_times(), step_times(), step_times()),
        early in 0..2_000_000_i64, more in 0..2_000_000_i64,
    ) {
        let procedure = with_times([times.0, times.1, times.2, times.3, times.4]);
        let since = at(date(2026, 9, 1), 8);
        let standing = Standing { recorded: Done::NOTHING, conditions: &[], since, pauses: &[], due: at(date(2026, 10, 1), 17) };
        let first = since + SignedDuration::from_secs(early);
        let then = first + SignedDuration::from_secs(more);
        let ends = |now| forecast(&CALENDAR, &procedure, &standing, now).unwrap().expected_end;
        prop_assert!(ends(then) >= ends(first));
        prop_assert!(ends(first) >= first);
    }
}

#[test]
fn the_times_of_steps_are_read_from_a_pack_and_a_pack_without_them_is_as_it_was() {
    let timed = LAND.replacen(
        "code = \"kiem_tra\"\n",
        "code = \"kiem_tra\"\ntime = { value = 2, unit = \"working_day\" }\n",
        1,
    );
    let procedure = Procedure::from_toml(&timed).unwrap();
    let time = procedure.step("kiem_tra").unwrap().time.as_ref().unwrap();
    assert_eq!(time.period(), Some(Period::WorkingDays(2)));
    let plain = serde_json::to_string(&Procedure::from_toml(LAND).unwrap().steps).unwrap();
    assert!(
        !plain.contains("\"time\""),
        "the content of versions that are there must not change: {plain}"
    );
}
