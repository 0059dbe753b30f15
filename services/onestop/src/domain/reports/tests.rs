use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::domain::pack::Profile;

fn shipped() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/one-stop/one-stop-2026.toml");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_shipped_rules_are_read_and_say_what_is_unconfirmed() {
    let rules = CentreRules::from_toml(&shipped()).unwrap();
    let points: Vec<i32> = rules.index.group.iter().map(|group| group.max_points).collect();
    assert_eq!(points, [18, 20, 12, 10, 22, 18]);
    assert!(
        rules
            .priority
            .iter()
            .all(|priority| !priority.fact.is_settled(Profile::Production))
    );
    assert!(rules.in_force(date(2026, 11, 25)) && !rules.in_force(date(2024, 12, 31)));
}

#[test]
fn the_report_of_november_runs_from_the_fifteenth_and_is_due_on_the_twenty_fifth() {
    let rules = CentreRules::from_toml(&shipped()).unwrap();
    let form = rules.form("").unwrap();
    let november = Period {
        from: date(2026, 10, 15),
        to: date(2026, 11, 14),
        due: date(2026, 11, 25),
    };
    assert_eq!(form.period(2026, 11), Ok(november));
    assert_eq!(form.next_due(date(2026, 11, 25)), Ok(november));
    assert_eq!(form.next_due(date(2026, 11, 26)).unwrap().due, date(2026, 12, 25));
    let monthly = Form {
        first_day: 1,
        ..form.clone()
    };
    let october = monthly.period(2026, 10).unwrap();
    assert_eq!(
        (october.from, october.to, october.due),
        (date(2026, 10, 1), date(2026, 10, 31), date(2026, 11, 25))
    );
    assert_eq!(monthly.next_due(date(2026, 11, 20)), Ok(october));
    assert_eq!(form.period(2026, 13), Err(PeriodRefused::NoSuchMonth));
}

#[test]
fn just_after_midnight_the_day_before_is_not_settled_yet() {
    let at = |text: &str| settled_until(text.parse().unwrap());
    assert_eq!(at("2026-11-25T00:05:00+07:00"), date(2026, 11, 23));
    assert_eq!(at("2026-11-25T00:15:00+07:00"), date(2026, 11, 24));
    assert_eq!(at("2026-11-25T23:59:59+07:00"), date(2026, 11, 24));
}

#[test]
fn rules_that_contradict_themselves_are_refused() {
    for (from, to) in [
        (
            "numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9]",
            "numbers = [1, 2, 3, 4, 5, 6, 7, 8]",
        ),
        ("points = [0, 1, 2]", "points = [0, 1, 3]"),
        ("due_day = 25", "due_day = 10"),
        ("from_points = 0", "from_points = 1"),
        (
            "effective_from = \"2025-01-01\"",
            "effective_from = \"2025-01-01\"\neffective_to = \"2025-01-01\"",
        ),
        ("code = \"so_hoa\"", "code = \"hai_long\""),
        ("rank = 1", "rnak = 1"),
    ] {
        let text = shipped();
        assert!(text.contains(from), "{from}");
        assert!(CentreRules::from_toml(&text.replacen(from, to, 1)).is_err(), "{to}");
    }
}

#[test]
fn a_group_gets_points_only_by_a_way_of_scoring_that_somebody_has_decided() {
    let columns = Columns {
        processed_early: 3,
        processed_late: 1,
        payments: 4,
        online_payments: 1,
        ..Columns::default()
    };
    let text = shipped();
    let rules = CentreRules::from_toml(&text).unwrap();
    let score = IndexScore::of(&columns, &rules, Profile::Demo);
    assert!(
        score.groups.iter().all(|group| group.points.is_none()),
        "nothing is invented"
    );
    assert_eq!(score.groups[1].rates[0].hundredths_of_percent(), Some(7_500));
    assert_eq!(
        score.groups[3].rates[0].parts,
        Some((1, 4)),
        "paid online, of all payments"
    );

    let decided = r#"rates = ["on_time"]
scoring = { way = "proportional", fact = { status = "decided", source = "x", by = "UBND tỉnh", when = "2026-11-01", basis = "QĐ thử", demonstration = true } }"#;
    let rules = CentreRules::from_toml(&text.replace(r#"rates = ["on_time"]"#, decided)).unwrap();
    let score = IndexScore::of(&columns, &rules, Profile::Demo);
    assert_eq!(score.groups[1].points, Some(1_500), "20 points times 75 percent");
    assert_eq!(score.points, None, "the others have none");
    let score = IndexScore::of(&columns, &rules, Profile::Production);
    assert_eq!(score.groups[1].points, None, "decided for a demonstration only");
}

#[test]
fn three_steps_stand_for_nine_criteria() {
    let rules = CentreRules::from_toml(&shipped()).unwrap();
    let rated = |dissatisfied, satisfied, very| Columns {
        rated_dissatisfied: dissatisfied,
        rated_satisfied: satisfied,
        rated_very_satisfied: very,
        ..Columns::default()
    };
    let best = assess(&rated(0, 0, 2), &rules);
    assert_eq!((best.total, best.band.as_deref()), (Some(1_800), Some("Xuất sắc")));
    assert_eq!(best.criteria.len(), 9);
    let middling = assess(&rated(1, 1, 1), &rules);
    assert_eq!((middling.total, middling.band.as_deref()), (Some(900), Some("Khá")));
    assert_eq!(middling.criteria[0], (1, Some(100)));
    let worst = assess(&rated(3, 0, 0), &rules);
    assert_eq!((worst.total, worst.band.as_deref()), (Some(0), Some("Yếu")));
    let none = assess(&rated(0, 0, 0), &rules);
    assert_eq!((none.total, none.band), (None, None));
}

#[test]
fn rates_are_rounded_half_up() {
    assert_eq!(hundredths(1, 3, 10_000), Some(3_333));
    assert_eq!(hundredths(2, 3, 10_000), Some(6_667));
    assert_eq!(hundredths(1, 20_000, 10_000), Some(1), "exactly a half");
    assert_eq!(hundredths(0, 0, 10_000), None);
}

#[test]
fn what_is_due_goes_back_to_the_first_report_and_not_for_ever() {
    let rules = CentreRules::from_toml(&shipped()).unwrap();
    for first_day in [1, 15] {
        let form = Form {
            first_day,
            due_day: 25,
            ..rules.form("").unwrap().clone()
        };
        let today = jiff::civil::date(2026, 11, 23);
        let since = |first| form.periods_since(first, today, 25).unwrap();
        let never = since(None);
        assert_eq!((never.len(), never[1]), (2, form.next_due(today).unwrap()));
        assert_eq!(
            since(Some(never[1].from)),
            never,
            "the last one was due before the first report, too"
        );
        let july = form.period(2026, 7).unwrap();
        let from_july = since(Some(july.from));
        assert_eq!(from_july[0], july);
        for (one, next) in from_july.iter().zip(&from_july[1..]) {
            assert_eq!(one.to.tomorrow().unwrap(), next.from);
        }
        assert_eq!(since(Some(jiff::civil::date(2016, 1, 1))).len(), 25);
    }
}

proptest! {
    #[test]
    fn nothing_is_published_of_few_cases(counts in prop::collection::vec((0..12_i64, 0..12_i64), 0..12), smallest in 1..8_i64) {
        let rows: Vec<Punctuality> = counts
            .iter()
            .zip(1..)
            .map(|((a, b), unit_id)| Punctuality { unit_id, processed: *a.max(b), in_time: *a.min(b) })
            .collect();
        let published = publish(&rows, smallest);
        for row in &published.units {
            prop_assert!(row.processed >= smallest);
            prop_assert!(rows.contains(row), "a published row is the unit's own");
        }
        let all: i64 = rows.iter().map(|row| row.processed).sum();
        let shown: i64 = published.units.iter().map(|row| row.processed).sum();
        let hidden = rows.iter().filter(|row| row.processed > 0).count() - published.units.len();
        match published.others {
            Some((processed, in_time)) => {
                prop_assert!(processed >= smallest && in_time <= processed);
                prop_assert!(hidden >= 2, "a single unit would be given away by a total");
                prop_assert_eq!(shown + processed, all);
            }
            // Either nobody is hidden, or nothing at all is said.
            None => prop_assert!(hidden == 0 || published.units.is_empty()),
        }
    }

    #[test]
    fn no_text_makes_the_reader_of_rules_panic(text in ".{0,400}") {
        let _ = CentreRules::from_toml(&text);
    }

    #[test]
    fn periods_of_a_form_follow_one_another_without_a_gap(first_day in 1..=28_i8, year in 2016..2100_i16, month in 1..=12_i8) {
        let rules = CentreRules::from_toml(&shipped()).unwrap();
        let form = Form { first_day, due_day: 31, ..rules.form("").unwrap().clone() };
        let this = form.period(year, month).unwrap();
        let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        let next = form.period(next_year, next_month).unwrap();
        prop_assert_eq!(this.to.tomorrow().unwrap(), next.from);
        prop_assert!(this.from <= this.to && this.to < this.due);
    }
}
