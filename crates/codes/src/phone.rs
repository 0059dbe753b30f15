use std::fmt;
use std::str::FromStr;

use crate::{CodeError, serde_as_text};

/// What kind of line a number belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// Di động: 03, 05, 07, 08, 09 and eight digits.
    Mobile,
    /// Cố định: 02, an area code and the subscriber's number; Nghệ An is 0238.
    Landline,
}

/// Số điện thoại of Vietnam, kept as `84…`.
///
/// The prefixes are commonly held, not confirmed by a source at hand (facts 10); a change of the numbering plan is a
/// change of this type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhoneNumber {
    /// Without the country code and the leading zero.
    national: String,
}

const WRONG: CodeError = CodeError::new(
    "phone",
    "số điện thoại phải là số di động 10 chữ số (03, 05, 07, 08, 09) hoặc số cố định (02x), có thể bắt đầu bằng 84",
    "a phone number is a mobile number of 10 digits (03, 05, 07, 08, 09) or a landline (02x), with or without 84",
);

impl PhoneNumber {
    /// `84…`, as gateways want it.
    pub fn international(&self) -> String {
        format!("84{}", self.national)
    }

    /// `0…`, as people write it.
    pub fn local(&self) -> String {
        format!("0{}", self.national)
    }

    /// The kind of line.
    pub fn kind(&self) -> LineKind {
        if self.national.starts_with('2') {
            LineKind::Landline
        } else {
            LineKind::Mobile
        }
    }
}

impl FromStr for PhoneNumber {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        // People write spaces, dots, dashes and brackets; anything else is not a phone number.
        let mut digits = String::with_capacity(12);
        for (position, character) in text.trim().chars().enumerate() {
            match character {
                '0'..='9' if digits.len() < 15 => digits.push(character),
                '+' if position == 0 => {}
                ' ' | '.' | '-' | '(' | ')' => {}
                _ => return Err(WRONG),
            }
        }
        let national = match digits.strip_prefix('0') {
            Some(national) => national,
            None => digits.strip_prefix("84").ok_or(WRONG)?,
        };
        // +84 (0)91… is written too.
        let national = national
            .strip_prefix('0')
            .filter(|_| !digits.starts_with('0'))
            .unwrap_or(national);
        let fits = match national.as_bytes().first() {
            Some(b'3' | b'5' | b'7' | b'8' | b'9') => national.len() == 9,
            Some(b'2') => (9..=10).contains(&national.len()),
            _ => false,
        };
        if fits {
            Ok(Self {
                national: national.to_owned(),
            })
        } else {
            Err(WRONG)
        }
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.national.len().saturating_sub(3);
        write!(f, "84*****{}", self.national.get(end..).unwrap_or_default())
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({self})")
    }
}

serde_as_text!(PhoneNumber, PhoneNumber::international);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_of_writing_a_number_leads_to_the_same_one() {
        for text in [
            "0912345678",
            "84912345678",
            "+84912345678",
            "+84 (0)91 234-5678",
            "091.234.5678",
        ] {
            let number: PhoneNumber = text.parse().unwrap();
            assert_eq!(
                (number.international().as_str(), number.kind()),
                ("84912345678", LineKind::Mobile),
                "{text}"
            );
        }
        let landline: PhoneNumber = "0238 384 4522".parse().unwrap();
        assert_eq!(
            (landline.local().as_str(), landline.kind()),
            ("02383844522", LineKind::Landline)
        );
    }

    #[test]
    fn what_is_no_number_of_vietnam_is_refused() {
        for text in [
            "",
            "0",
            "+",
            "0123456789",
            "091234567",
            "09123456789",
            "1900",
            "0912345678x",
            "٠٩١٢٣٤٥٦٧٨",
        ] {
            assert_eq!(text.parse::<PhoneNumber>(), Err(WRONG), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,30}") {
            if let Ok(number) = text.parse::<PhoneNumber>() {
                prop_assert_eq!(number.international().parse::<PhoneNumber>().unwrap(), number.clone());
                prop_assert_eq!(number.local().parse::<PhoneNumber>().unwrap(), number);
            }
        }
    }
}
