use std::fmt;
use std::str::FromStr;

use crate::{CodeError, serde_as_text};

/// Giới tính, as the third character of a personal number tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sex {
    /// Nam.
    Male,
    /// Nữ.
    Female,
}

/// Số định danh cá nhân: 12 digits.
///
/// `PPP` province of birth registration (Nghệ An 040, TT 07/2016/TT-BCA), `C` century and sex, `YY` year of birth, six
/// random digits. There is no check digit. The structure of `C` and `YY` is commonly held but not confirmed by a source
/// at hand; therefore differences from a record are reported ([`Self::discrepancies`]), not refused.
///
/// `Debug` and `Display` mask the number; [`Self::reveal`] shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonalNumber {
    digits: String,
}

/// Where a personal number and a record disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discrepancy {
    /// The number tells another sex.
    Sex,
    /// The number tells another year of birth.
    BirthYear,
}

const WRONG: CodeError = CodeError::new(
    "personal_number",
    "số định danh cá nhân phải gồm đúng 12 chữ số",
    "a personal number has exactly 12 digits",
);

impl PersonalNumber {
    /// The whole number. Call it where the number must really be shown, and nowhere else.
    pub fn reveal(&self) -> &str {
        &self.digits
    }

    /// Code of the province of birth registration. Never compare it with a present address.
    pub fn province(&self) -> &str {
        self.digits.get(..3).unwrap_or_default()
    }

    /// The sex that the number tells.
    pub fn sex(&self) -> Sex {
        if self.digit(3).is_multiple_of(2) {
            Sex::Male
        } else {
            Sex::Female
        }
    }

    /// The year of birth that the number tells: 1900 to 2399.
    pub fn birth_year(&self) -> i16 {
        let century = i16::from(self.digit(3) / 2);
        1900 + century * 100 + i16::from(self.digit(4)) * 10 + i16::from(self.digit(5))
    }

    /// Where the number disagrees with a record's sex and year of birth.
    pub fn discrepancies(&self, sex: Option<Sex>, birth_year: Option<i16>) -> Vec<Discrepancy> {
        let mut found = Vec::new();
        if sex.is_some_and(|sex| sex != self.sex()) {
            found.push(Discrepancy::Sex);
        }
        if birth_year.is_some_and(|year| year != self.birth_year()) {
            found.push(Discrepancy::BirthYear);
        }
        found
    }

    fn digit(&self, position: usize) -> u8 {
        self.digits.as_bytes().get(position).map_or(0, |byte| byte - b'0')
    }
}

impl FromStr for PersonalNumber {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self {
                digits: text.to_owned(),
            })
        } else {
            Err(WRONG)
        }
    }
}

impl fmt::Display for PersonalNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}*****{}",
            self.province(),
            self.digits.get(8..).unwrap_or_default()
        )
    }
}

impl fmt::Debug for PersonalNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonalNumber({self})")
    }
}

serde_as_text!(PersonalNumber, |number| number.digits.clone());

/// Số chứng minh nhân dân: the nine digits that still occur in history.
///
/// `Debug` and `Display` mask the number; [`Self::reveal`] shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegacyIdNumber {
    digits: String,
}

impl LegacyIdNumber {
    /// The whole number. Call it where the number must really be shown, and nowhere else.
    pub fn reveal(&self) -> &str {
        &self.digits
    }
}

impl FromStr for LegacyIdNumber {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        if text.len() == 9 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self {
                digits: text.to_owned(),
            })
        } else {
            Err(CodeError::new(
                "legacy_id_number",
                "số chứng minh nhân dân phải gồm đúng 9 chữ số",
                "an old identity card number has exactly 9 digits",
            ))
        }
    }
}

impl fmt::Display for LegacyIdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*****{}", self.digits.get(5..).unwrap_or_default())
    }
}

impl fmt::Debug for LegacyIdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LegacyIdNumber({self})")
    }
}

serde_as_text!(LegacyIdNumber, |number| number.digits.clone());

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_tells_sex_and_year_of_birth() {
        for (text, sex, year) in [
            ("040090000123", Sex::Male, 1990),
            ("040190000123", Sex::Female, 1990),
            ("040226000123", Sex::Male, 2026),
            ("040326000123", Sex::Female, 2026),
        ] {
            let number: PersonalNumber = text.parse().unwrap();
            assert_eq!(
                (number.sex(), number.birth_year(), number.province()),
                (sex, year, "040")
            );
        }
    }

    #[test]
    fn differences_from_a_record_are_named() {
        let number: PersonalNumber = "040190000123".parse().unwrap();
        assert_eq!(number.discrepancies(Some(Sex::Female), Some(1990)), []);
        assert_eq!(number.discrepancies(None, None), []);
        assert_eq!(
            number.discrepancies(Some(Sex::Male), Some(1991)),
            [Discrepancy::Sex, Discrepancy::BirthYear]
        );
    }

    #[test]
    fn neither_form_shows_the_number_unless_asked() {
        let number: PersonalNumber = "040190654321".parse().unwrap();
        assert_eq!(
            format!("{number} {number:?}"),
            "040*****4321 PersonalNumber(040*****4321)"
        );
        assert_eq!(number.reveal(), "040190654321");
        let old: LegacyIdNumber = "186123456".parse().unwrap();
        assert_eq!(format!("{old} {old:?}"), "*****3456 LegacyIdNumber(*****3456)");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,16}") {
            if let Ok(number) = text.parse::<PersonalNumber>() {
                prop_assert_eq!(number.reveal(), text.as_str());
                prop_assert!((1900..2400).contains(&number.birth_year()));
            }
            if let Ok(number) = text.parse::<LegacyIdNumber>() {
                prop_assert_eq!(number.reveal(), text.as_str());
            }
        }

        #[test]
        fn twelve_digits_survive_serde(text in "[0-9]{12}") {
            let number: PersonalNumber = text.parse().unwrap();
            let json = serde_json::to_string(&number).unwrap();
            prop_assert_eq!(serde_json::from_str::<PersonalNumber>(&json).unwrap(), number);
        }
    }
}
