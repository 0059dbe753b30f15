use std::fmt;
use std::str::FromStr;

use crate::{CodeError, serde_as_text};

/// Which decree a code follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// QCVN 102:2016/BTTTT: `V1V2V3.Z1Z2.Y1Y2.MX1X2`, e.g. `000.00.10.H41`.
    Qcvn102,
    /// QĐ 20/2020/QĐ-TTg with QĐ 09/2025/QĐ-TTg: `M1.M2.M3…`, from the whole to the part, e.g. `H41.16.4`.
    Decision20,
}

/// Mã định danh cơ quan, of both generations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgencyCode {
    text: String,
}

const WRONG: CodeError = CodeError::new(
    "agency_code",
    "mã định danh cơ quan phải có dạng 000.00.10.H41 (QCVN 102:2016) hoặc H41.16.4 (QĐ 20/2020/QĐ-TTg)",
    "an agency code looks like 000.00.10.H41 (QCVN 102:2016) or H41.16.4 (Decision 20/2020)",
);
const TOO_LONG: CodeError = CodeError::new(
    "agency_code",
    "mã định danh cơ quan dài quá 35 ký tự",
    "an agency code has at most 35 characters",
);

/// Longest code of the second generation, in characters.
const LONGEST: usize = 35;

/// The group of a code of level 1: a letter and two digits (`H41`).
fn is_head(part: &str) -> bool {
    matches!(part.as_bytes(), [letter, tens, ones]
        if letter.is_ascii_uppercase() && tens.is_ascii_digit() && ones.is_ascii_digit())
}

impl AgencyCode {
    /// Which decree the code follows.
    pub fn generation(&self) -> Generation {
        if self.text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            Generation::Qcvn102
        } else {
            Generation::Decision20
        }
    }

    /// The code of level 1 to which this one belongs: `H41` is the province Nghệ An.
    pub fn head(&self) -> &str {
        match self.generation() {
            Generation::Qcvn102 => self.text.rsplit('.').next(),
            Generation::Decision20 => self.text.split('.').next(),
        }
        .unwrap_or_default()
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for AgencyCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        if text.len() > LONGEST {
            return Err(TOO_LONG);
        }
        let parts: Vec<&str> = text.split('.').collect();
        let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = match parts.as_slice() {
            [v, z, y, head] if digits(v, 3) => digits(z, 2) && digits(y, 2) && is_head(head),
            [head, rest @ ..] => {
                is_head(head)
                    && rest.iter().all(|part| {
                        (1..=3).contains(&part.len())
                            && part
                                .bytes()
                                .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
                    })
            }
            [] => false,
        };
        if fits {
            Ok(Self { text: text.to_owned() })
        } else {
            Err(WRONG)
        }
    }
}

impl fmt::Display for AgencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

serde_as_text!(AgencyCode, |code| code.text.clone());

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_generations_are_read() {
        let old: AgencyCode = "000.00.10.H41".parse().unwrap();
        assert_eq!((old.generation(), old.head()), (Generation::Qcvn102, "H41"));
        for text in ["H41", "H41.16", "H41.16.4", "H15.50.05.13", "G09.20", "H41.101.2A"] {
            let new: AgencyCode = text.parse().unwrap();
            assert_eq!(
                (new.generation(), new.to_string().as_str()),
                (Generation::Decision20, text)
            );
        }
    }

    #[test]
    fn what_is_no_agency_code_is_refused() {
        for text in [
            "",
            "H4",
            "h41",
            "H41.",
            "H41.1234",
            "H41.é",
            "00.00.10.H41",
            "000.00.10.041",
            "H41 .1",
        ] {
            assert_eq!(text.parse::<AgencyCode>(), Err(WRONG), "{text}");
        }
        assert_eq!(
            "H41.111.111.111.111.111.111.111.1111".parse::<AgencyCode>(),
            Err(TOO_LONG)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,50}") {
            if let Ok(code) = text.parse::<AgencyCode>() {
                prop_assert_eq!(code.to_string(), text);
            }
        }

        #[test]
        fn a_code_survives_the_way_there_and_back(text in "[A-Z][0-9]{2}(\\.[0-9A-Z]{1,3}){0,5}") {
            prop_assert_eq!(text.parse::<AgencyCode>().unwrap().to_string(), text);
        }
    }
}
