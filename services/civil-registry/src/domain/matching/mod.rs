//! Phát hiện trùng: whether two records are of one person, by everything that tells it, each part with its words.
//!
//! A score decides nothing: from [`Thresholds::likely`] on an officer decides before a record is made, from [`Thresholds::possible`] on the pair
//! is shown. What the officer decides is recorded, and a merge can be taken back ([`verdict`]). The points are our own proposal, no law: roughly ten to a
//! doubling of the odds, chosen so that the test on a generated set with known truth (`truth.rs`) holds its floors.

mod name;
pub mod place;
pub mod spelling;
#[cfg(test)]
mod truth;
pub mod verdict;

use std::collections::BTreeSet;

use egov_codes::PersonalNumber;
use jiff::civil::Date;
use serde::Serialize;

use self::place::{Place, PlaceHistory, PlaceLikeness};
use super::person::{Born, PersonName, Sex};

/// What is known of somebody, as far as it tells people apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Known {
    /// Họ, chữ đệm, tên.
    pub full_name: PersonName,
    /// Giới tính.
    pub sex: Sex,
    /// Ngày, tháng, năm sinh, as far as it is known.
    pub born: Option<Born>,
    /// Số định danh cá nhân.
    pub personal_number: Option<PersonalNumber>,
    /// Nơi sinh.
    pub place_of_birth: Option<Place>,
    /// Mẹ.
    pub mother: Option<PersonName>,
    /// Cha.
    pub father: Option<PersonName>,
}

/// One reason for or against two records being of one person. Its words repeat nothing of either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is, a word that stays the same.
    pub code: &'static str,
    /// What it adds.
    pub points: i32,
    /// Vietnamese.
    pub vi: &'static str,
    /// English.
    pub en: &'static str,
}

const fn part(code: &'static str, points: i32, vi: &'static str, en: &'static str) -> Part {
    Part { code, points, vi, en }
}

/// How likely two records are of one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Score {
    /// The sum of the parts.
    pub points: i32,
    /// Every reason, in the order of what was compared.
    pub parts: Vec<Part>,
}

impl Score {
    fn of(parts: Vec<Part>) -> Self {
        Self {
            points: parts.iter().map(|part| part.points).sum(),
            parts,
        }
    }
}

/// What follows from a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// Nothing.
    None,
    /// The pair is shown.
    Possible,
    /// An officer decides before a record is made.
    Likely,
}

/// From which scores on something follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// The pair is shown.
    pub possible: i32,
    /// An officer decides.
    pub likely: i32,
}

impl Thresholds {
    /// Our own proposal.
    pub const PROPOSED: Self = Self {
        possible: 70,
        likely: 110,
    };

    /// What follows from a score.
    pub const fn suspicion(self, score: &Score) -> Suspicion {
        if score.points >= self.likely {
            Suspicion::Likely
        } else if score.points >= self.possible {
            Suspicion::Possible
        } else {
            Suspicion::None
        }
    }
}

/// Compares two records.
pub fn compare(one: &Known, other: &Known, history: &PlaceHistory) -> Score {
    let mut parts = Vec::new();
    parts.extend(numbers(one.personal_number.as_ref(), other.personal_number.as_ref()));
    parts.extend(name::compare(&one.full_name, &other.full_name));
    parts.extend(births(one.born, other.born));
    parts.extend(sexes(one.sex, other.sex));
    parts.extend(places(
        one.place_of_birth.as_ref(),
        other.place_of_birth.as_ref(),
        history,
    ));
    parts.extend(parents(
        [one.mother.as_ref(), other.mother.as_ref()],
        part("mother_same", 35, "cùng mẹ", "the same mother"),
        part("mother_alike", 18, "tên mẹ gần giống", "mothers' names that are alike"),
        part("mother_other", -35, "khác mẹ", "another mother"),
    ));
    parts.extend(parents(
        [one.father.as_ref(), other.father.as_ref()],
        part("father_same", 35, "cùng cha", "the same father"),
        part("father_alike", 18, "tên cha gần giống", "fathers' names that are alike"),
        part("father_other", -35, "khác cha", "another father"),
    ));
    Score::of(parts)
}

fn numbers(one: Option<&PersonalNumber>, other: Option<&PersonalNumber>) -> Option<Part> {
    let (one, other) = (one?, other?);
    if one == other {
        return Some(part(
            "number_same",
            200,
            "cùng số định danh cá nhân",
            "the same personal number",
        ));
    }
    // Read from paper a number may be one digit off; two people's numbers seldom are.
    let apart = one
        .reveal()
        .bytes()
        .zip(other.reveal().bytes())
        .filter(|(a, b)| a != b)
        .count();
    Some(if apart == 1 {
        part(
            "number_one_digit",
            0,
            "số định danh cá nhân khác nhau một chữ số",
            "personal numbers that differ in one digit",
        )
    } else {
        part(
            "number_other",
            -200,
            "khác số định danh cá nhân",
            "another personal number",
        )
    })
}

fn births(one: Option<Born>, other: Option<Born>) -> Option<Part> {
    let (one, other) = (one?, other?);
    let apart = (one.year() - other.year()).abs();
    let (Some(here), Some(there)) = (one.day(), other.day()) else {
        return Some(if one.may_equal(other) {
            let (months, other_months) = (one.parts().1.is_some(), other.parts().1.is_some());
            if months && other_months {
                part("birth_month", 38, "cùng tháng, năm sinh", "born in the same month")
            } else {
                part("birth_year", 22, "cùng năm sinh", "born in the same year")
            }
        } else if apart == 0 {
            part(
                "birth_other_month",
                -20,
                "khác tháng sinh",
                "born in another month of the year",
            )
        } else if apart <= 2 {
            // A year alone is often somebody's guess.
            part(
                "birth_near_year",
                -5,
                "năm sinh ước chừng, cách nhau không quá 2 năm",
                "a year of birth that was guessed, two years apart at most",
            )
        } else {
            OTHER_BIRTH
        });
    };
    Some(if here == there {
        part("birth_day", 60, "cùng ngày sinh", "born on the same day")
    } else if is_swapped(here, there) {
        part(
            "birth_swapped",
            38,
            "ngày và tháng sinh đảo cho nhau",
            "day and month of birth in each other's place",
        )
    } else if apart == 0 && (is_first_of_year(here) || is_first_of_year(there)) {
        part(
            "birth_first_of_year",
            18,
            "cùng năm sinh; một bên ghi 01/01, thường là không rõ ngày",
            "born in the same year; one is 1 January, which often stands for a day that is not known",
        )
    } else if agreeing(here, there) == 2 && apart <= 10 {
        part(
            "birth_one_number",
            12,
            "ngày sinh khác nhau ở một số",
            "days of birth that differ in one number",
        )
    } else {
        OTHER_BIRTH
    })
}

const OTHER_BIRTH: Part = part("birth_other", -70, "khác ngày sinh", "born on another day");

/// How many of year, month and day agree.
fn agreeing(one: Date, other: Date) -> u8 {
    u8::from(one.year() == other.year()) + u8::from(one.month() == other.month()) + u8::from(one.day() == other.day())
}

fn is_swapped(one: Date, other: Date) -> bool {
    one.year() == other.year() && one.month() == other.day() && one.day() == other.month()
}

fn is_first_of_year(day: Date) -> bool {
    (day.month(), day.day()) == (1, 1)
}

fn sexes(one: Sex, other: Sex) -> Option<Part> {
    if one == Sex::Undetermined || other == Sex::Undetermined {
        None
    } else if one == other {
        Some(part("sex_same", 5, "cùng giới tính", "the same sex"))
    } else {
        Some(part("sex_other", -60, "khác giới tính", "another sex"))
    }
}

fn places(one: Option<&Place>, other: Option<&Place>, history: &PlaceHistory) -> Option<Part> {
    match history.likeness(one?, other?) {
        PlaceLikeness::Same => Some(part("place_same", 20, "cùng nơi sinh", "the same place of birth")),
        PlaceLikeness::Merged => Some(part(
            "place_merged",
            16,
            "nơi sinh nay là cùng một đơn vị sau sắp xếp",
            "places of birth that are one unit since a merger",
        )),
        PlaceLikeness::Other => Some(part("place_other", -12, "khác nơi sinh", "another place of birth")),
        PlaceLikeness::Unknown => None,
    }
}

fn parents([one, other]: [Option<&PersonName>; 2], same: Part, alike: Part, different: Part) -> Option<Part> {
    Some(match name::likeness(one?, other?) {
        name::NameLikeness::Same => same,
        name::NameLikeness::Alike => alike,
        name::NameLikeness::Other => different,
    })
}

/// The words under which a record is kept, so that what is to be compared with it is found without comparing everything with everything. Two
/// records are compared if one is kept under a word of [`looked_for`] of the other.
pub fn kept_under(known: &Known) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    if let Some(number) = &known.personal_number {
        words.insert(format!("n:{}", number.reveal()));
    }
    let bare = bare_words(&known.full_name);
    let mut sorted = bare.clone();
    sorted.sort_unstable();
    words.insert(format!("s:{}", sorted.join(" ")));
    if let Some(born) = known.born {
        // Of a name whose order was changed the first word is the given one.
        for word in bare.first().into_iter().chain(bare.last()) {
            words.insert(format!("g:{word}:{}", born.year()));
        }
        if let Some(day) = born.day() {
            words.insert(format!("d:{day}"));
        }
        for (key, parent) in [("m", &known.mother), ("f", &known.father)] {
            if let Some(parent) = parent {
                words.insert(format!("{key}:{}:{}", bare_words(parent).join(" "), born.year()));
            }
        }
    }
    words
}

/// The words under which those are looked for who may be this person.
pub fn looked_for(known: &Known) -> BTreeSet<String> {
    let mut words = kept_under(known);
    let Some(born) = known.born else {
        return words;
    };
    if let Some(day) = born.day()
        && let Ok(swapped) = Date::new(day.year(), day.day(), day.month())
    {
        words.insert(format!("d:{swapped}"));
    }
    if let Some(given) = bare_words(&known.full_name).last() {
        for year in born.year() - 2..=born.year() + 2 {
            words.insert(format!("g:{given}:{year}"));
        }
    }
    words
}

fn bare_words(name: &PersonName) -> Vec<String> {
    spelling::syllables(name.as_str())
        .iter()
        .map(|syllable| syllable.bare().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn known(name: &str) -> Known {
        Known {
            full_name: PersonName::read(name).unwrap(),
            sex: Sex::Female,
            born: Born::on(date(1990, 5, 12)).ok(),
            personal_number: None,
            place_of_birth: None,
            mother: PersonName::read("Lê Thị Mỹ").ok(),
            father: None,
        }
    }

    fn codes(score: &Score) -> Vec<&'static str> {
        score.parts.iter().map(|part| part.code).collect()
    }

    #[test]
    fn every_part_is_told_and_the_parts_make_the_score() {
        let mut other = known("Nguyễn Thị Hoà");
        other.mother = PersonName::read("Le Thi Mi").ok();
        other.born = Born::on(date(1990, 12, 5)).ok();
        let score = compare(&known("Nguyễn Thị Hòa"), &other, &PlaceHistory::default());
        assert_eq!(
            codes(&score),
            ["name_words", "birth_swapped", "sex_same", "mother_same"]
        );
        assert_eq!(score.points, score.parts.iter().map(|part| part.points).sum::<i32>());
        assert_eq!(Thresholds::PROPOSED.suspicion(&score), Suspicion::Likely);
        assert!(
            score
                .parts
                .iter()
                .all(|part| !part.vi.is_empty() && !part.en.is_empty())
        );
    }

    #[test]
    fn twins_are_two_people_and_two_numbers_are_two_people() {
        let history = PlaceHistory::default();
        let score = compare(&known("Nguyễn Thị Hòa"), &known("Nguyễn Thị Bình"), &history);
        assert_eq!(Thresholds::PROPOSED.suspicion(&score), Suspicion::None, "{score:?}");
        let (mut one, mut other) = (known("Nguyễn Thị Hòa"), known("Nguyễn Thị Hòa"));
        one.personal_number = "040190000123".parse().ok();
        other.personal_number = "040190000999".parse().ok();
        let score = compare(&one, &other, &history);
        assert_eq!(Thresholds::PROPOSED.suspicion(&score), Suspicion::None);
        other.personal_number = "040190000124".parse().ok();
        let score = compare(&one, &other, &history);
        assert_eq!(Thresholds::PROPOSED.suspicion(&score), Suspicion::Likely);
    }

    #[test]
    fn what_is_compared_is_found_by_words() {
        let one = known("Nguyễn Thị Hòa");
        let mut other = known("Hoa Nguyen Thi");
        other.born = None;
        assert!(!looked_for(&one).is_disjoint(&kept_under(&other)));
        other.born = Born::in_year(1991).ok();
        other.full_name = PersonName::read("Trần Văn Hoà").unwrap();
        assert!(!looked_for(&one).is_disjoint(&kept_under(&other)));
    }
}
