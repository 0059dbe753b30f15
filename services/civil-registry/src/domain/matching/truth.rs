//! A generated set of records of which it is known who is who, and how well [`compare`](super::compare) tells them apart.
//!
//! Families are drawn from the names of the province by their frequency; of every second person there is a further record with one to three
//! faults, of the kinds that books have. Brothers, sisters and twins, who share everything but a given name, make it hard to be precise; faults that
//! hide the name, the day and the parents at once make it hard to find everybody.

use std::collections::{BTreeMap, BTreeSet};

use egov_codes::fold;
use egov_population::{NameLists, NamePack, Pcg64Mcg, Person as Drawn, Population, RngExt as _, source};
use jiff::Span;
use jiff::civil::{Date, date};

use super::place::tests::rows;
use super::place::{Place, PlaceHistory};
use super::{Known, Suspicion, Thresholds, compare, kept_under, looked_for};
use crate::domain::person::{Born, PersonName, Sex};

/// A record, and of whom it is.
struct Record {
    person: usize,
    known: Known,
}

const FAMILIES: usize = 400;
const KINDS: u8 = 14;

fn lists() -> NameLists {
    let pack = NamePack {
        surnames: include_str!("../../../../../deploy/packs/population/surnames.csv"),
        middle_names: include_str!("../../../../../deploy/packs/population/middle_names.csv"),
        given_names: include_str!("../../../../../deploy/packs/population/given_names.csv"),
        name_lengths: include_str!("../../../../../deploy/packs/population/name_lengths.csv"),
    };
    NameLists::from_text(&pack).unwrap()
}

fn people(seed: u64, size: usize, born: (i16, i16)) -> Vec<Drawn> {
    let population = Population::new(lists(), seed, size as u64, born).unwrap();
    (0..size as u64)
        .map(|index| population.person(index).unwrap())
        .collect()
}

fn name(text: &str) -> PersonName {
    PersonName::read(text).unwrap()
}

/// The first syllable is the father's: children bear his surname.
fn surnamed(full_name: &str, surname: &str) -> PersonName {
    let rest = full_name.split_once(' ').map_or(full_name, |(_, rest)| rest);
    name(&format!("{surname} {rest}"))
}

/// One record of each person, in families.
fn families(rng: &mut Pcg64Mcg) -> Vec<Record> {
    let (men, women): (Vec<Drawn>, Vec<Drawn>) = people(11, FAMILIES * 3, (1935, 1990))
        .into_iter()
        .partition(|drawn| drawn.sex == egov_codes::Sex::Male);
    let children = people(12, FAMILIES * 3, (1960, 2025));
    let communes: Vec<String> = rows()
        .into_iter()
        .filter(|(day, _, new)| *day == date(2025, 7, 1) && new.is_some())
        .map(|(_, old, _)| old)
        .collect();
    let mut records = Vec::new();
    let mut left = children.iter();
    for (father, mother) in men.iter().zip(&women).take(FAMILIES) {
        let place = Place {
            code: communes[rng.random_range(0..communes.len())].clone(),
            on: date(2025, 1, 1),
        };
        let mut twin_of: Option<Date> = None;
        for child in left.by_ref().take(rng.random_range(1..=3)) {
            let birth = twin_of.unwrap_or(child.birth);
            twin_of = rng.random_bool(0.1).then_some(birth);
            records.push(Record {
                person: records.len(),
                known: Known {
                    full_name: surnamed(&child.full_name, &father.surname),
                    sex: if child.sex == egov_codes::Sex::Male {
                        Sex::Male
                    } else {
                        Sex::Female
                    },
                    born: Born::on(birth).ok(),
                    personal_number: rng.random_bool(0.3).then(|| child.personal_number.clone()),
                    place_of_birth: Some(place.clone()),
                    mother: Some(name(&mother.full_name)),
                    father: Some(name(&father.full_name)),
                },
            });
        }
    }
    records
}

const TONES: [(&str, &str); 12] = [
    ("òa", "oà"),
    ("óa", "oá"),
    ("ỏa", "oả"),
    ("õa", "oã"),
    ("ọa", "oạ"),
    ("òe", "oè"),
    ("óe", "oé"),
    ("ùy", "uỳ"),
    ("úy", "uý"),
    ("ủy", "uỷ"),
    ("ũy", "uỹ"),
    ("ụy", "uỵ"),
];

const SPELLINGS: [(&str, &str); 9] = [
    ("Lý", "Lí"),
    ("Mỹ", "Mĩ"),
    ("Vy", "Vi"),
    ("Vỹ", "Vĩ"),
    ("Quý", "Quí"),
    ("Kỳ", "Kì"),
    ("Sỹ", "Sĩ"),
    ("Thy", "Thi"),
    ("Hy", "Hi"),
];

/// Two letters of a word that changed places.
fn mistyped(full_name: &str, rng: &mut Pcg64Mcg) -> PersonName {
    let mut words: Vec<Vec<char>> = full_name.split(' ').map(|word| word.chars().collect()).collect();
    let at = rng.random_range(0..words.len());
    let word = &mut words[at];
    if word.len() >= 3 {
        let letter = rng.random_range(1..word.len() - 1);
        word.swap(letter, letter + 1);
    }
    let words: Vec<String> = words.into_iter().map(|word| word.into_iter().collect()).collect();
    name(&words.join(" "))
}

/// Does one kind of fault to a record.
fn spoil(known: &mut Known, kind: u8, history: &PlaceHistory, rng: &mut Pcg64Mcg) {
    let text = known.full_name.as_str().to_owned();
    let words: Vec<&str> = text.split(' ').collect();
    let day = known.born.and_then(Born::day);
    let replaced = |pairs: &[(&str, &str)]| {
        let new = pairs.iter().fold(text.clone(), |all, (old, new)| all.replace(old, new));
        name(&new)
    };
    match (kind, day) {
        (0, _) => known.full_name = name(&fold(&text)),
        (1, _) => known.full_name = replaced(&TONES),
        (2, _) => known.full_name = replaced(&SPELLINGS),
        (3, _) => {
            let mut turned = words.clone();
            turned.rotate_right(1);
            known.full_name = name(&turned.join(" "));
        }
        (4, _) if words.len() >= 3 => {
            let mut shorter = words.clone();
            shorter.remove(rng.random_range(1..words.len() - 1));
            known.full_name = name(&shorter.join(" "));
        }
        (5, _) => known.full_name = mistyped(&text, rng),
        (6, Some(day)) => known.born = Born::in_year(day.year()).ok(),
        (7, Some(day)) => {
            let swapped = Date::new(day.year(), day.day(), day.month()).unwrap_or(day);
            known.born = Born::on(swapped).ok();
        }
        (8, Some(day)) => known.born = Born::on(day.first_of_year()).ok(),
        (9, Some(day)) => known.born = Born::in_year(day.year() + if rng.random_bool(0.5) { 1 } else { -1 }).ok(),
        (10, _) => {
            let merged = known.place_of_birth.as_ref().and_then(|place| history.today(place));
            known.place_of_birth = merged.map(|code| Place {
                code,
                on: date(2025, 7, 1),
            });
        }
        (11, _) if rng.random_bool(0.5) => known.father = None,
        (11, _) => known.mother = None,
        (12, _) => {
            let bare = |parent: &PersonName| name(&fold(parent.as_str()));
            known.mother = known.mother.as_ref().map(bare);
            known.father = known.father.as_ref().map(bare);
        }
        (13, Some(day)) => {
            let near = day.checked_add(Span::new().days(rng.random_range(1..=3_i64))).unwrap();
            known.born = Born::on(near).ok();
        }
        _ => {}
    }
}

/// A set of records: every person once, every second one twice.
fn set(seed: u64, history: &PlaceHistory) -> Vec<Record> {
    let mut rng = source(seed, 1, 0);
    let mut records = families(&mut rng);
    let people = records.len();
    for person in 0..people {
        if rng.random_bool(0.5) {
            let mut known = records[person].known.clone();
            if rng.random_bool(0.7) {
                known.personal_number = None;
            }
            for _ in 0..rng.random_range(1..=3) {
                let kind = rng.random_range(0..KINDS);
                spoil(&mut known, kind, history, &mut rng);
            }
            records.push(Record { person, known });
        }
    }
    records
}

/// Pairs that are compared: those that share a word.
fn pairs(records: &[Record]) -> BTreeSet<(usize, usize)> {
    let mut kept: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        for word in kept_under(&record.known) {
            kept.entry(word).or_default().push(at);
        }
    }
    let mut pairs = BTreeSet::new();
    for (at, record) in records.iter().enumerate() {
        for word in looked_for(&record.known) {
            for other in kept.get(&word).into_iter().flatten() {
                if *other != at {
                    pairs.insert((at.min(*other), at.max(*other)));
                }
            }
        }
    }
    pairs
}

/// The floors. A fault leaves most of what tells people apart, and up to three of fourteen kinds seldom strike name and day and parents at once: of
/// the twice recorded at most one in 25 may not be shown, and at most one in 14 not be brought before an officer. Wrongly suspected are brothers and
/// sisters whose names differ by a word or by marks, if the day of one of them is lost: of what is brought before an officer at most one in forty may
/// be two people, of what is shown at most one in 25. A model of this over 22 other sets measured at worst 0.984 and 0.976 for precision, 0.952
/// and 0.981 for recall; what is left between is chance.
#[test]
fn of_a_set_with_known_truth_the_same_are_found_and_others_are_not() {
    let history = PlaceHistory::new(rows());
    let records = set(2026, &history);
    let is_same = |(one, other): (usize, usize)| records[one].person == records[other].person;
    let persons: BTreeSet<usize> = records.iter().map(|record| record.person).collect();
    let truth = records.len() - persons.len();
    let compared = pairs(&records);
    let (mut found, mut shown, mut found_likely, mut likely) = (0_usize, 0_usize, 0_usize, 0_usize);
    for pair in &compared {
        let score = compare(&records[pair.0].known, &records[pair.1].known, &history);
        let suspicion = Thresholds::PROPOSED.suspicion(&score);
        let same = usize::from(is_same(*pair));
        if suspicion >= Suspicion::Possible {
            (shown, found) = (shown + 1, found + same);
        }
        if suspicion >= Suspicion::Likely {
            (likely, found_likely) = (likely + 1, found_likely + same);
        }
    }
    let of = |part: usize, whole: usize| part as f64 / whole as f64;
    println!(
        "{} records of {} persons, {truth} pairs to find, {} compared; likely: precision {:.3}, recall {:.3}; possible: precision {:.3}, recall {:.3}",
        records.len(),
        persons.len(),
        compared.len(),
        of(found_likely, likely),
        of(found_likely, truth),
        of(found, shown),
        of(found, truth),
    );
    assert!(truth > 300, "the set is too small to say anything");
    assert!(
        of(found_likely, likely) >= 0.975 && of(found, shown) >= 0.96,
        "too many others"
    );
    assert!(
        of(found_likely, truth) >= 0.928 && of(found, truth) >= 0.96,
        "too many missed"
    );
    assert!(
        compared.len() < records.len() * 40,
        "the words leave too much to compare"
    );
}
