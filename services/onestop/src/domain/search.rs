//! Tìm kiếm hồ sơ: what a search text asks for, and the words by which a case is found.

use std::collections::BTreeSet;

use egov_codes::{CaseCode, PhoneNumber, fold};
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::case::Case;
use super::party::words;

/// Words of which each is in one of a hundred names or more (surnames too, which are fewer in a place than in the province); the most frequent
/// first, as the lists of names by frequency that the product ships make them. Two of them together are stored as one further word
/// ([`pairs`]), so that whatever words a name has, what is walked to find it is short. The function of the database that adds them to older
/// cases has the same list.
pub const FREQUENT: [&str; 64] = [
    "nguyen", "thi", "cong", "van", "tran", "thanh", "ngoc", "le", "hoang", "minh", "pham", "phuong", "duc", "anh",
    "thu", "hong", "phan", "quang", "kim", "dinh", "thuy", "quynh", "mai", "huu", "xuan", "tuan", "khanh", "hoai",
    "duy", "thao", "trang", "quoc", "linh", "dung", "vo", "dang", "bich", "duong", "vi", "bui", "truong", "vu", "lan",
    "hung", "trung", "trong", "hieu", "gia", "bao", "ly", "ho", "huy", "hang", "do", "huong", "trinh", "luong", "ngo",
    "thai", "ha", "cao", "dau", "lo", "huynh",
];

/// Most words that a search looks for; more make it no more precise.
const MOST_WORDS: usize = 8;

/// Where a page begins: after this row, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Place {
    /// Newest first.
    Time(super::listing::After),
    /// Due first.
    Due {
        /// Ngày hẹn trả.
        due_date: Date,
        /// Its id, which breaks ties.
        case_id: Uuid,
    },
    /// Highest code first.
    Code {
        /// Mã hồ sơ.
        case_code: String,
    },
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first, by time of filing; then by id.
    #[default]
    Newest,
    /// Due first; then by id. Only cases that are due.
    Due,
    /// The highest code first: of one agency the latest.
    Code,
}

/// What a search text asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseQuery {
    /// The case with this code.
    Code(String),
    /// Cases whose code begins so.
    CodeBeginning(String),
    /// Cases that carry all of these words.
    Words(Words),
    /// Nothing: spaces and signs only.
    Nothing,
}

/// Words without diacritics and numbers, in any order; all must occur.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    /// Whole words: sorted, each once.
    pub whole: Vec<String>,
    /// The beginning of one further word: what was typed last.
    pub beginning: Option<String>,
}

impl CaseQuery {
    /// Reads a search text.
    ///
    /// The last word is taken as the beginning of one, unless a space follows it or it begins with a digit: a personal or telephone
    /// number is found whole or not at all, so that nobody can feel their way along the numbers of other people.
    pub fn read(text: &str) -> Self {
        let trimmed = text.trim();
        if let Ok(code) = trimmed.to_ascii_uppercase().parse::<CaseCode>() {
            return Self::Code(code.to_string());
        }
        if let Some(beginning) = code_beginning(trimmed) {
            return Self::CodeBeginning(beginning);
        }
        if let Ok(number) = trimmed.parse::<PhoneNumber>() {
            return Self::Words(Words {
                whole: vec![number.international()],
                beginning: None,
            });
        }
        // Marks that are written apart from their letters would end a word.
        let folded = fold(text);
        let trimmed = folded.trim();
        let unfinished = folded.ends_with(|last: char| last.is_alphanumeric());
        let (rest, last) = match trimmed.rsplit_once(char::is_whitespace) {
            Some((rest, last)) => (rest, last),
            None => ("", trimmed),
        };
        // What is typed last may be joined by signs ("Ngọc-Ánh"): only its last word is a beginning.
        let ended = last
            .rsplit(|sign: char| !sign.is_alphanumeric())
            .next()
            .unwrap_or_default();
        let beginning = words(ended)
            .pop()
            .filter(|word| unfinished && word.starts_with(|first: char| first.is_alphabetic()));
        let before = last.strip_suffix(ended).unwrap_or_default();
        let mut whole: BTreeSet<String> = rest.split_whitespace().flat_map(number_or_words).collect();
        match &beginning {
            Some(_) => whole.extend(words(before)),
            None => whole.extend(number_or_words(last)),
        }
        let mut whole: Vec<String> = whole.into_iter().collect();
        if whole.is_empty() && beginning.is_none() {
            return Self::Nothing;
        }
        // The longest words are the rarest: those that are dropped would have narrowed least.
        whole.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
        whole.truncate(MOST_WORDS);
        whole.sort_unstable();
        Self::Words(Words { whole, beginning })
    }

    /// In which order its pages come.
    pub fn order(&self) -> Order {
        match self {
            Self::Code(_) | Self::CodeBeginning(_) => Order::Code,
            Self::Words(_) | Self::Nothing => Order::Newest,
        }
    }
}

/// The words of a part; a telephone number becomes what is stored of one.
fn number_or_words(part: &str) -> Vec<String> {
    match part.parse::<PhoneNumber>() {
        Ok(number) => vec![number.international()],
        Err(_) => words(part),
    }
}

/// The beginning of a case code, as codes are written: `H41`, `h41.201-2611`, `000.00.10.H41-18`. No name and no other number looks
/// like it.
fn code_beginning(text: &str) -> Option<String> {
    let code = text.to_ascii_uppercase();
    let written = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    if !code.bytes().all(written) {
        return None;
    }
    let newer = matches!(code.as_bytes(), [letter, tens, ones, rest @ ..]
        if letter.is_ascii_uppercase() && tens.is_ascii_digit() && ones.is_ascii_digit()
            && matches!(rest.first(), None | Some(b'.' | b'-')));
    let older = matches!(code.as_bytes(), [a, b, c, b'.', ..]
        if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit());
    (newer || older).then_some(code)
}

/// The first text after all that begin so, in the order of bytes; none if there is no such text.
pub fn after_all(beginning: &str) -> Option<String> {
    let mut characters: Vec<char> = beginning.chars().collect();
    while let Some(last) = characters.pop() {
        // The next character of Unicode; surrogates are no characters.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

/// Whether a word narrows little by itself, and how little: 0 is the most frequent.
pub fn frequent(word: &str) -> Option<usize> {
    FREQUENT.iter().position(|known| *known == word)
}

/// The further word that stands for two frequent ones.
pub fn pair(one: &str, other: &str) -> String {
    let (first, second) = if one < other { (one, other) } else { (other, one) };
    // No word begins with this sign.
    format!("+{first} {second}")
}

/// A further word for any two frequent words among these.
pub fn pairs(words: &[String]) -> Vec<String> {
    let frequent: Vec<&String> = words.iter().filter(|word| frequent(word).is_some()).collect();
    frequent
        .iter()
        .enumerate()
        .flat_map(|(place, one)| frequent.iter().skip(place + 1).map(move |other| pair(one, other)))
        .collect()
}

/// The words by which a case is found: those of its owner and of who submitted it, and the pairs of frequent ones; each once.
pub fn tokens_of(case: &Case) -> Vec<String> {
    let mut tokens = case.owner.search_tokens();
    if let Some(submitter) = &case.submitter {
        tokens.extend(submitter.search_tokens());
    }
    tokens.sort();
    tokens.dedup();
    tokens.extend(pairs(&tokens));
    tokens.sort();
    tokens.dedup();
    tokens
}

/// The words among these as they are kept beside each of them: apart from one another and from the ends by a space, so that a walk of
/// one word sees whether a case carries another. Numbers are not kept there, nor pairs, whose parts are.
pub fn kept_beside(tokens: &[String]) -> String {
    let mut kept = String::from(" ");
    for token in tokens.iter().filter(|token| is_kept_beside(token)) {
        kept.push_str(token);
        kept.push(' ');
    }
    kept
}

/// Whether a word is kept beside the others. The migration that filled those of older cases has the same rule.
pub fn is_kept_beside(token: &str) -> bool {
    !token.starts_with(|first: char| first == '+' || first.is_ascii_digit())
}

/// What was filed until a day was filed before its end; so was what is due until it, since nothing is due before it is filed. None if the
/// calendar ends with it.
pub fn filed_before(until: Date) -> Option<Timestamp> {
    filed_since(until.tomorrow().ok()?)
}

/// What was filed from a day on was not filed before its first instant in Việt Nam.
pub fn filed_since(from: Date) -> Option<Timestamp> {
    egov_calendar::vietnam_instant(from.at(0, 0, 0, 0)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::party::{Party, PartyKind};

    fn of(text: &str) -> Words {
        match CaseQuery::read(text) {
            CaseQuery::Words(words) => words,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_text_is_a_code_the_beginning_of_one_or_words() {
        assert_eq!(
            CaseQuery::read(" h41.16.4-261123-0007 "),
            CaseQuery::Code("H41.16.4-261123-0007".to_owned())
        );
        for (text, beginning) in [
            ("H41", "H41"),
            ("h41.201-2611", "H41.201-2611"),
            ("000.00.10.h41-18", "000.00.10.H41-18"),
        ] {
            assert_eq!(
                CaseQuery::read(text),
                CaseQuery::CodeBeginning(beginning.to_owned()),
                "{text}"
            );
        }
        for text in ["0100109106-001", "1.001193", "H4", "ho", "Hà 41", "040190000123"] {
            assert!(matches!(CaseQuery::read(text), CaseQuery::Words(_)), "{text}");
        }
        assert_eq!(CaseQuery::read("%_\\ --"), CaseQuery::Nothing);
    }

    #[test]
    fn what_is_typed_last_is_the_beginning_of_a_word_and_numbers_are_whole() {
        let words = of("Nguyễn Văn Hư");
        assert_eq!(words.whole, ["nguyen", "van"]);
        assert_eq!(words.beginning.as_deref(), Some("hu"));
        assert_eq!(of("Nguyễn Văn ").beginning, None, "a space ends the word");
        assert_eq!(
            of("Lê Ngọc-Án"),
            Words {
                whole: vec!["le".into(), "ngoc".into()],
                beginning: Some("an".into())
            }
        );
        for number in ["040190000123", "04019", "hung 0401", "0912 345 678", "0100109106-001"] {
            assert_eq!(of(number).beginning, None, "{number}");
        }
        assert_eq!(of("hung 0912345678").whole, ["84912345678", "hung"]);
    }

    #[test]
    fn what_is_stored_of_a_party_is_found_by_what_people_type() {
        let party = Party {
            kind: PartyKind::Organisation,
            full_name: "Công ty Đại Phát".to_owned(),
            personal_number: "040190000123".to_owned(),
            organisation_number: "0100109106-001".to_owned(),
            phone: "84912345678".to_owned(),
            email: String::new(),
            address: String::new(),
            date_of_birth: None,
        };
        let stored = party.search_tokens();
        for typed in [
            "cong ty dai phat ",
            "ĐẠI PHÁT",
            "phat dai cong t",
            "040190000123",
            "0100109106-001",
            "0912 345 678",
            "+84912345678",
        ] {
            let words = of(typed);
            assert!(
                words.whole.iter().all(|word| stored.contains(word)),
                "{typed}: {stored:?}"
            );
            let begun = |beginning: &String| stored.iter().any(|word| word.starts_with(beginning.as_str()));
            assert!(words.beginning.as_ref().is_none_or(begun), "{typed}: {stored:?}");
        }
    }

    #[test]
    fn a_long_query_keeps_its_eight_longest_words() {
        let words = of("a b c d e f g hh iii jjjj k ");
        assert_eq!(words.whole.len(), 8);
        assert!(
            ["jjjj", "iii", "hh"]
                .iter()
                .all(|word| words.whole.contains(&(*word).to_owned()))
        );
    }

    #[test]
    fn two_frequent_words_are_one_further_word_in_whichever_order() {
        let words = ["van", "nguyen", "khiem"].map(str::to_owned);
        assert_eq!(pairs(&words), ["+nguyen van"]);
        assert_eq!(pair("van", "nguyen"), pair("nguyen", "van"));
    }

    #[test]
    fn a_day_of_filing_is_one_of_viet_nam_from_its_first_instant_to_its_last() {
        let day = jiff::civil::date(2026, 11, 23);
        let (since, before) = (filed_since(day).unwrap(), filed_before(day).unwrap());
        assert_eq!(since, "2026-11-22T17:00:00Z".parse().unwrap());
        assert_eq!(before, "2026-11-23T17:00:00Z".parse().unwrap());
        assert_eq!(filed_before(Date::MAX), None, "nothing is later");
    }

    #[test]
    fn the_function_that_adds_pairs_to_older_cases_has_the_same_words() {
        let sql = include_str!("../../migrations/0041_words_beside_words.sql");
        let (_, list) = sql.split_once("frequent (word) AS (VALUES").unwrap();
        let (list, _) = list.split_once("INSERT").unwrap();
        let words: Vec<&str> = list.split('\'').skip(1).step_by(2).collect();
        assert_eq!(words, FREQUENT);
    }

    #[test]
    fn words_are_kept_beside_one_another_and_numbers_and_pairs_are_not() {
        let stored = ["+nguyen van", "040190000123", "84912345678", "khiem", "nguyen", "van"].map(str::to_owned);
        assert_eq!(kept_beside(&stored), " khiem nguyen van ");
        assert_eq!(kept_beside(&[]), " ");
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_stays_small(text in "\\PC{0,200}") {
            if let CaseQuery::Words(words) = CaseQuery::read(&text) {
                prop_assert!(words.whole.len() <= 8);
                prop_assert!(words.whole.iter().chain(&words.beginning).all(|word| !word.is_empty() && !word.contains(['+', ' '])));
                prop_assert!(words.beginning.is_none_or(|word| !word.starts_with(|first: char| first.is_ascii_digit())));
            }
        }

        #[test]
        fn the_words_of_a_name_find_it_in_any_order(name in "[A-ZĐÂÊÔƠƯ][a-zàáạêộđ]{0,7}( [A-ZĐÂÊÔƠƯ][a-zàáạêộđ]{0,7}){0,4}", turn in 0_usize..5) {
            let stored = words(&name);
            let mut typed: Vec<&str> = name.split(' ').collect();
            let places = typed.len();
            typed.rotate_left(turn % places);
            let CaseQuery::Words(found) = CaseQuery::read(&typed.join(" ")) else { return Ok(()) };
            prop_assert!(found.whole.iter().all(|word| stored.contains(word)));
            prop_assert!(found.beginning.is_none_or(|begun| stored.iter().any(|word| word.starts_with(&begun))));
        }

        #[test]
        fn a_range_holds_exactly_what_begins_so(beginning in "\\PC{1,6}", other in "\\PC{0,8}") {
            let inside = |text: &str| text >= beginning.as_str() && after_all(&beginning).is_none_or(|end| text < end.as_str());
            let longer = [beginning.as_str(), other.as_str()].concat();
            prop_assert!(inside(&longer));
            prop_assert_eq!(inside(&other), other.starts_with(&beginning));
        }
    }
}
