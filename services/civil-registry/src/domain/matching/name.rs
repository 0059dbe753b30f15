//! Họ, chữ đệm, tên of two records beside one another: word by word in their order, or in another one.

use super::spelling::{Likeness, Syllable, syllables};
use super::{Part, part};
use crate::domain::person::PersonName;

/// Words that are in so many names that they tell little: surnames and middle names of one name in fifty or more.
const FREQUENT: [&str; 24] = [
    "nguyen", "tran", "le", "pham", "hoang", "phan", "vo", "vu", "dang", "bui", "ho", "thi", "van", "duc", "huu",
    "dinh", "ngoc", "quang", "cong", "minh", "xuan", "thanh", "thu", "quoc",
];

const fn of_word(is_frequent: bool) -> i32 {
    if is_frequent { 8 } else { 24 }
}

fn weight(syllable: &Syllable, is_given: bool) -> i32 {
    // As a given name a frequent word is not that frequent.
    let is_frequent = FREQUENT.contains(&syllable.bare());
    if is_given && is_frequent {
        16
    } else {
        of_word(is_frequent)
    }
}

/// What became of the words of two names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Points of words that are the same.
    same: i32,
    /// Points of words of which one has no marks.
    unmarked: i32,
    /// Points of words one letter apart.
    typo: i32,
    /// Points of words under other marks, and of other words.
    other: i32,
    /// Points of words that one name lacks.
    missing: i32,
    /// Points of a given name that is another one.
    given: i32,
    /// Points of another order.
    order: i32,
}

impl Tally {
    const fn points(&self) -> i32 {
        self.same + self.unmarked + self.typo + self.other + self.missing + self.given + self.order
    }

    /// True if every word of each is the same in the other, marks aside.
    const fn is_whole(&self) -> bool {
        self.typo == 0 && self.other == 0 && self.missing == 0 && self.given == 0 && self.order == 0
    }

    /// This one with two words beside one another.
    fn with(mut self, one: &Syllable, other: &Syllable, is_given: bool) -> Self {
        let weight = weight(one, is_given);
        match one.likeness(other) {
            Likeness::Same => self.same += weight,
            Likeness::Unmarked => self.unmarked += weight * 3 / 4,
            Likeness::Typo => {
                self.typo += weight / 4;
                // Lan and Loan are two people more often than one.
                self.given += if is_given { -30 } else { 0 };
            }
            Likeness::OtherMarks => {
                self.other -= 8;
                self.given += if is_given { -50 } else { 0 };
            }
            Likeness::Other => {
                self.other -= 22;
                self.given += if is_given { -110 } else { 0 };
            }
        }
        self
    }
}

const MISSING: i32 = -10;
const ORDER: i32 = -12;

/// The best way to lay two names side by side in their order; the last words, the given names, always beside one another.
fn in_order(one: &[Syllable], other: &[Syllable]) -> Option<Tally> {
    let ((given, one), (other_given, other)) = (one.split_last()?, other.split_last()?);
    // A row for each number of words of `one`, in it the best tally for each number of words of `other`.
    let missing = |count: usize| Tally {
        missing: MISSING * i32::try_from(count).unwrap_or(i32::MAX / 1_000),
        ..Tally::default()
    };
    let mut row: Vec<Tally> = (0..=other.len()).map(missing).collect();
    for (above, word) in one.iter().enumerate() {
        let mut next = vec![missing(above + 1)];
        for ((beside, before), above) in other.iter().zip(&row).zip(row.iter().skip(1)) {
            let lacking = |tally: &Tally| Tally {
                missing: tally.missing + MISSING,
                ..*tally
            };
            let left = next.last().map_or_else(Tally::default, lacking);
            let choices = [before.with(word, beside, false), lacking(above), left];
            next.extend(choices.into_iter().max_by_key(Tally::points));
        }
        row = next;
    }
    row.last().map(|tally| tally.with(given, other_given, true))
}

/// Two names of the same words in another order, marks aside; none if they are not that.
fn in_another_order(one: &[Syllable], other: &[Syllable]) -> Option<Tally> {
    if one.len() != other.len() {
        return None;
    }
    let mut left: Vec<&Syllable> = other.iter().collect();
    let mut tally = Tally {
        order: ORDER,
        ..Tally::default()
    };
    for word in one {
        let find = |wanted: Likeness| left.iter().position(|other| word.likeness(other) == wanted);
        let place = find(Likeness::Same).or_else(|| find(Likeness::Unmarked))?;
        let beside = left.swap_remove(place);
        tally = tally.with(word, beside, false);
    }
    Some(tally)
}

/// Two names of which one has the given name first, as abroad.
fn given_first(one: &[Syllable], other: &[Syllable]) -> Option<Tally> {
    let (first, rest) = one.split_first()?;
    let mut turned = rest.to_vec();
    turned.push(first.clone());
    let tally = in_order(&turned, other)?;
    Some(Tally { order: ORDER, ..tally })
}

fn best(one: &PersonName, other: &PersonName) -> Option<Tally> {
    let (one, other) = (syllables(one.as_str()), syllables(other.as_str()));
    let straight = in_order(&one, &other);
    if straight.is_some_and(|tally| tally.is_whole()) {
        return straight;
    }
    // Nothing depends on which of the two is first.
    [
        straight,
        in_order(&other, &one),
        in_another_order(&one, &other),
        in_another_order(&other, &one),
        given_first(&one, &other),
        given_first(&other, &one),
    ]
    .into_iter()
    .flatten()
    .max_by_key(|tally| (tally.points(), tally.same, tally.missing))
}

/// What two names say for and against their being of one person.
pub(super) fn compare(one: &PersonName, other: &PersonName) -> Vec<Part> {
    let tally = best(one, other).unwrap_or_default();
    [
        part(
            "name_words",
            tally.same,
            "từ trong họ tên giống nhau",
            "words of the names are the same",
        ),
        part(
            "name_unmarked",
            tally.unmarked,
            "từ trong họ tên giống nhau, một bên không dấu",
            "words of the names are the same, one of them without marks",
        ),
        part(
            "name_typo",
            tally.typo,
            "từ trong họ tên khác nhau một chữ cái",
            "words of the names differ in one letter",
        ),
        part(
            "name_missing",
            tally.missing,
            "họ tên một bên thiếu từ",
            "one of the names lacks words",
        ),
        part(
            "name_order",
            tally.order,
            "thứ tự các từ trong họ tên khác nhau",
            "the words of the names stand in another order",
        ),
        part(
            "name_other",
            tally.other,
            "họ tên có từ khác nhau",
            "the names have different words",
        ),
        part("name_given", tally.given, "khác tên", "another given name"),
    ]
    .into_iter()
    .filter(|part| part.points != 0)
    .collect()
}

/// How two names stand to one another, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameLikeness {
    /// The same words, marks and spelling aside.
    Same,
    /// The same but for a letter, a word, or their order.
    Alike,
    /// Another name.
    Other,
}

pub(super) fn likeness(one: &PersonName, other: &PersonName) -> NameLikeness {
    let Some(tally) = best(one, other) else {
        return NameLikeness::Other;
    };
    if tally.is_whole() {
        NameLikeness::Same
    } else if tally.other == 0 && tally.points() > 0 {
        NameLikeness::Alike
    } else {
        NameLikeness::Other
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> PersonName {
        PersonName::read(text).unwrap()
    }

    fn codes(one: &str, other: &str) -> Vec<&'static str> {
        compare(&name(one), &name(other)).iter().map(|part| part.code).collect()
    }

    #[test]
    fn each_difference_between_two_names_has_its_word() {
        let one = "Nguyễn Thị Thúy Quỳnh";
        for (other, expected) in [
            ("Nguyễn Thị Thuý Quỳnh", vec!["name_words"]),
            ("NGUYEN THI THUY QUYNH", vec!["name_unmarked"]),
            ("Nguyễn Thị Quỳnh", vec!["name_words", "name_missing"]),
            ("Quỳnh Nguyễn Thị Thúy", vec!["name_words", "name_order"]),
            ("Nguyễn Thị Thúy Quỳn", vec!["name_words", "name_typo", "name_given"]),
            ("Nguyễn Thị Thúy Hằng", vec!["name_words", "name_other", "name_given"]),
        ] {
            assert_eq!(codes(one, other), expected, "{other}");
        }
    }

    #[test]
    fn names_of_parents_are_the_same_alike_or_other() {
        for (one, other, expected) in [
            ("Lê Thị Mỹ", "Le Thi Mi", NameLikeness::Same),
            ("Lê Thị Mỹ", "Lê Mỹ", NameLikeness::Alike),
            ("Lê Thị Mỹ", "Lê Thị Hoa", NameLikeness::Other),
        ] {
            assert_eq!(likeness(&name(one), &name(other)), expected, "{other}");
        }
    }

    /// The slow way: every way to leave words out of two names and to lay the rest side by side.
    fn every_way(one: &[Syllable], other: &[Syllable]) -> i32 {
        match (one.split_first(), other.split_first()) {
            (None, _) => MISSING * i32::try_from(other.len()).unwrap(),
            (_, None) => MISSING * i32::try_from(one.len()).unwrap(),
            (Some((word, rest)), Some((beside, other_rest))) => {
                let together = Tally::default().with(word, beside, false).points() + every_way(rest, other_rest);
                let lacking = MISSING + every_way(rest, other).max(every_way(one, other_rest));
                together.max(lacking)
            }
        }
    }

    const WORDS: &str = "(Nguyễn|Nguyen|Thị|Văn|Hòa|Hoà|Hoa|Hương|Hường|Lan|Loan|Ý)";

    proptest! {
        #[test]
        fn in_their_order_names_lie_side_by_side_in_the_best_way(one in prop::collection::vec(WORDS, 1..5), other in prop::collection::vec(WORDS, 1..5)) {
            let (one, other) = (syllables(&one.join(" ")), syllables(&other.join(" ")));
            let ((given, words), (other_given, other_words)) = (one.split_last().unwrap(), other.split_last().unwrap());
            let expected = every_way(words, other_words) + Tally::default().with(given, other_given, true).points();
            prop_assert_eq!(in_order(&one, &other).unwrap().points(), expected);
        }

        #[test]
        fn which_name_is_first_does_not_matter(one in prop::collection::vec(WORDS, 1..5), other in prop::collection::vec(WORDS, 1..5)) {
            let (one, other) = (name(&one.join(" ")), name(&other.join(" ")));
            let sum = |parts: Vec<Part>| parts.iter().map(|part| part.points).sum::<i32>();
            prop_assert_eq!(sum(compare(&one, &other)), sum(compare(&other, &one)));
            prop_assert!(sum(compare(&one, &one)) > 0);
        }
    }
}
