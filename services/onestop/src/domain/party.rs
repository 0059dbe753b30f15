//! Chủ hồ sơ và người nộp: the people and organisations of a case.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Ngày tháng năm sinh: of some people only the year is known. Stored as `1999-02-14` or `1950`.
///
/// `Debug` shows neither: it is personal data.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Birth {
    /// Only the year.
    Year(i16),
    /// The day.
    Day(Date),
}

/// What is no day or year in which somebody who is spoken of here was born.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no day or year of birth")]
pub struct NoBirth;

impl Birth {
    /// The first year that is taken: who was born before it has no case.
    pub const FIRST_YEAR: i16 = 1850;

    /// The day, or the year alone where month and day are 0; not after `today`.
    ///
    /// # Errors
    /// No day of the calendar, before [`Self::FIRST_YEAR`], or after today.
    pub fn of_numbers((year, month, day): (i32, i32, i32), today: Date) -> Result<Self, NoBirth> {
        let year = i16::try_from(year).map_err(|_| NoBirth)?;
        let birth = if (month, day) == (0, 0) {
            Self::Year(year)
        } else {
            let (month, day) = (i8::try_from(month), i8::try_from(day));
            let (Ok(month), Ok(day)) = (month, day) else {
                return Err(NoBirth);
            };
            Self::Day(Date::new(year, month, day).map_err(|_| NoBirth)?)
        };
        birth.until(today).ok_or(NoBirth)
    }

    /// The same, if somebody may have been born then by `today`.
    #[must_use]
    pub fn until(self, today: Date) -> Option<Self> {
        let (year, is_past) = match self {
            Self::Year(year) => (year, year <= today.year()),
            Self::Day(day) => (day.year(), day <= today),
        };
        (year >= Self::FIRST_YEAR && is_past).then_some(self)
    }

    /// Year, month and day; the latter two are 0 where only the year is known.
    #[must_use]
    pub fn numbers(self) -> (i32, i32, i32) {
        match self {
            Self::Year(year) => (year.into(), 0, 0),
            Self::Day(day) => (day.year().into(), day.month().into(), day.day().into()),
        }
    }
}

impl std::fmt::Debug for Birth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Birth")
    }
}

impl From<Birth> for String {
    fn from(birth: Birth) -> Self {
        match birth {
            Birth::Year(year) => format!("{year:04}"),
            Birth::Day(day) => day.to_string(),
        }
    }
}

impl TryFrom<String> for Birth {
    type Error = NoBirth;

    fn try_from(text: String) -> Result<Self, NoBirth> {
        if text.len() == 4 {
            text.parse().map(Self::Year).map_err(|_| NoBirth)
        } else {
            text.parse().map(Self::Day).map_err(|_| NoBirth)
        }
    }
}

/// Loại đối tượng.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyKind {
    /// Công dân.
    Citizen,
    /// Doanh nghiệp, tổ chức.
    Organisation,
}

/// The owner of a case (chủ hồ sơ) or the one who submits it (người nộp hồ sơ); they may be two people.
///
/// `Debug` shows the kind only: a party in a log would be personal data in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Loại đối tượng.
    pub kind: PartyKind,
    /// Họ và tên or the organisation's name, in NFC with single spaces.
    pub full_name: String,
    /// Số định danh cá nhân, 12 digits; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub personal_number: String,
    /// Mã số of the organisation; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub organisation_number: String,
    /// Số điện thoại, normalised to 84…; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    /// Thư điện tử; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// Địa chỉ; empty if not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Ngày tháng năm sinh of a citizen; absent if not given. A party without one is written as it was before there were any, so that what
    /// leaves of before commit to can still be worked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_of_birth: Option<Birth>,
}

impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Party")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Party {
    /// The words by which the party's case is found: the name's words without diacritics and the numbers.
    pub fn search_tokens(&self) -> Vec<String> {
        let mut tokens = words(&self.full_name);
        for number in [&self.personal_number, &self.organisation_number, &self.phone] {
            tokens.extend(words(number));
        }
        tokens.sort();
        tokens.dedup();
        tokens
    }
}

/// Splits a text into the words of a search: without diacritics, lower case, letters and digits only.
///
/// The same function makes the tokens that are stored and those that are searched for.
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = egov_codes::fold(text)
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.sort();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn citizen(name: &str) -> Party {
        Party {
            kind: PartyKind::Citizen,
            full_name: name.to_owned(),
            personal_number: "040190000123".to_owned(),
            organisation_number: String::new(),
            phone: String::new(),
            email: String::new(),
            address: String::new(),
            date_of_birth: None,
        }
    }

    #[test]
    fn a_name_is_found_without_its_diacritics() {
        assert_eq!(
            citizen("Đặng  Thị Ngọc-Ánh").search_tokens(),
            ["040190000123", "anh", "dang", "ngoc", "thi"]
        );
    }

    #[test]
    fn a_query_and_a_name_meet_in_the_same_words() {
        assert_eq!(words("NGUYEN van hoà"), words("Nguyễn Văn Hòa"));
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let born = Birth::Day(jiff::civil::date(1990, 5, 12));
        let shown = format!("{:?} {born:?}", citizen("Nguyễn Văn A"));
        assert!(!shown.contains("Nguyễn") && !shown.contains("0401"), "{shown}");
        assert!(!shown.contains("1990"), "{shown}");
    }

    #[test]
    fn a_birth_is_a_day_or_a_year_that_has_come_and_a_party_without_one_is_written_as_before() {
        let today = jiff::civil::date(2026, 11, 23);
        let read = |numbers| Birth::of_numbers(numbers, today);
        for (numbers, written) in [((1990, 5, 12), "\"1990-05-12\""), ((1950, 0, 0), "\"1950\"")] {
            let birth = read(numbers).unwrap();
            assert_eq!(birth.numbers(), numbers);
            assert_eq!(serde_json::to_string(&birth).unwrap(), written);
            assert_eq!(serde_json::from_str::<Birth>(written).unwrap(), birth);
        }
        assert!(read((2026, 11, 23)).is_ok() && read((2026, 0, 0)).is_ok());
        let none = [
            (2026, 11, 24),
            (2027, 0, 0),
            (1990, 0, 12),
            (1990, 5, 0),
            (1990, 2, 30),
            (0, 0, 0),
            (70_000, 1, 1),
        ];
        for numbers in none {
            assert_eq!(read(numbers), Err(NoBirth), "{numbers:?}");
        }
        let before = citizen("Nguyễn Văn A");
        let written = serde_json::to_string(&before).unwrap();
        assert!(!written.contains("birth"), "{written}");
        assert!(serde_json::from_str::<Party>(&written).unwrap() == before);
    }
}
