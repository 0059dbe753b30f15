//! The pack that the product ships: names by their shares, people without doubles, arrivals by the calendar.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use egov_calendar::WorkCalendar;
use egov_codes::Sex;
use egov_population::{Arrivals, NameLists, NamePack, Population, Rhythm, source};
use jiff::civil::{Date, date};
use serde::Deserialize;

fn packs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(packs().join("population").join(name)).unwrap()
}

fn names() -> NameLists {
    NameLists::from_text(&NamePack {
        surnames: &text("surnames.csv"),
        middle_names: &text("middle_names.csv"),
        given_names: &text("given_names.csv"),
        name_lengths: &text("name_lengths.csv"),
    })
    .unwrap()
}

fn people(seed: u64, size: u64) -> Population {
    Population::new(names(), seed, size, (1946, 2007)).unwrap()
}

#[test]
fn surnames_come_as_often_as_the_sources_say() {
    let population = people(3, 40_000);
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for index in 0..population.size() {
        *found.entry(population.person(index).unwrap().surname).or_default() += 1;
    }
    for (surname, share) in [
        ("Nguyễn", 38.4),
        ("Trần", 11.0),
        ("Lê", 9.5),
        ("Phạm", 7.1),
        ("Hồ", 1.3),
    ] {
        let percent = f64::from(found[surname]) / 400.0;
        assert!((percent - share).abs() < 0.6, "{surname}: {percent} %");
    }
    assert!(
        found.contains_key("Moong"),
        "the surnames of the province's mountains occur"
    );
}

#[test]
fn no_two_people_share_a_personal_number_a_phone_or_an_account() {
    let population = people(11, 60_000);
    let (mut numbers, mut phones, mut accounts) = (HashSet::new(), HashSet::new(), HashSet::new());
    for index in 0..population.size() {
        let person = population.person(index).unwrap();
        assert!(numbers.insert(person.personal_number.reveal().to_owned()));
        assert!(phones.insert(person.phone.international()));
        assert!(accounts.insert(person.account));
        assert_eq!(person.personal_number.province(), "040");
        assert_eq!(
            person
                .personal_number
                .discrepancies(Some(person.sex), Some(person.birth.year())),
            []
        );
    }
}

#[test]
fn a_seed_gives_the_same_people_in_any_order_and_another_seed_others() {
    let (one, again, other) = (people(5, 1000), people(5, 1000), people(6, 1000));
    let name = |population: &Population, index| population.person(index).unwrap().full_name;
    let forwards: Vec<String> = (0..1000).map(|index| name(&one, index)).collect();
    let mut backwards: Vec<String> = (0..1000).rev().map(|index| name(&again, index)).collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
    assert!(
        (0..1000)
            .filter(|&index| name(&other, index) != forwards[index as usize])
            .count()
            > 900
    );
}

#[test]
fn older_women_are_called_thi_more_often_than_younger_ones() {
    let population = people(8, 40_000);
    let mut of = BTreeMap::<&str, (u32, u32)>::new();
    for index in 0..population.size() {
        let person = population.person(index).unwrap();
        if person.sex == Sex::Female {
            let generation = match person.birth.year() {
                ..1990 => "older",
                2003.. => "younger",
                _ => continue,
            };
            let counted = of.entry(generation).or_default();
            counted.0 += 1;
            counted.1 += u32::from(person.full_name.split(' ').nth(1) == Some("Thị"));
        }
    }
    let share = |generation| f64::from(of[generation].1) / f64::from(of[generation].0);
    assert!(share("older") > 0.8 && share("younger") < 0.25, "{of:?}");
}

#[derive(Deserialize)]
struct Parameters {
    months: [f64; 12],
    channels: BTreeMap<String, Rhythm>,
}

fn arrivals() -> Arrivals {
    let parameters: Parameters = toml::from_str(&text("parameters.toml")).unwrap();
    Arrivals::new(parameters.months, parameters.channels).unwrap()
}

#[test]
fn nobody_comes_to_a_closed_counter_and_few_come_online_at_tet() {
    let calendar = WorkCalendar::read(&packs().join("calendar")).unwrap();
    let arrivals = arrivals();
    let on = |day: Date, way: &str| arrivals.intensity(&calendar, day, way).unwrap();
    // Mồng Một Tết Đinh Mùi, and a Saturday.
    let (tet, saturday, monday) = (date(2027, 2, 6), date(2026, 10, 24), date(2026, 10, 26));
    for closed in [tet, saturday] {
        assert!(on(closed, "counter").abs() < f64::EPSILON && on(closed, "post").abs() < f64::EPSILON);
    }
    assert!(on(tet, "online") > 0.0 && on(tet, "online") < on(saturday, "online"));
    assert!(on(saturday, "online") < on(monday, "online"));
    assert!(
        on(monday, "counter") > on(date(2026, 10, 30), "counter"),
        "Mondays are full"
    );
    assert!(on(monday, "walking past").abs() < f64::EPSILON);
}

#[test]
fn the_counter_is_visited_in_office_hours_and_the_portal_at_night_too() {
    let calendar = WorkCalendar::read(&packs().join("calendar")).unwrap();
    let arrivals = arrivals();
    let day = date(2026, 10, 26);
    let mut rng = source(1, 1, 1);
    let mut nights = 0;
    for _ in 0..5_000 {
        let at = arrivals.time(&mut rng, &calendar, day, "counter");
        let open = calendar
            .office_hours()
            .parts(day)
            .iter()
            .any(|part| part.start <= at && at < part.end);
        assert!(open, "{at}");
        let online = arrivals.time(&mut rng, &calendar, day, "online");
        nights += i32::from(online.hour() >= 19 || online.hour() < 6);
    }
    assert!((500..2_500).contains(&nights), "{nights}");
}
