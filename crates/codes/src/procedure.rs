use std::fmt;
use std::str::FromStr;

use crate::{CodeError, serde_as_text};

/// Mã thủ tục hành chính: `1.001193`; a sub-service (dịch vụ công) adds two digits: `1.000894.01`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcedureCode {
    text: String,
}

const WRONG: CodeError = CodeError::new(
    "procedure_code",
    "mã thủ tục phải có dạng 1.001193, hoặc 1.000894.01 cho dịch vụ thành phần",
    "a procedure code looks like 1.001193, or 1.000894.01 for a sub-service",
);

impl ProcedureCode {
    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The procedure itself, without the sub-service.
    pub fn procedure(&self) -> &str {
        self.text.get(..8).unwrap_or(&self.text)
    }

    /// The sub-service, if it names one.
    pub fn sub_service(&self) -> Option<&str> {
        self.text.get(9..)
    }
}

impl FromStr for ProcedureCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = text.split('.').collect();
        let fits = match parts.as_slice() {
            [level, number] => digits(level, 1) && digits(number, 6),
            [level, number, sub] => digits(level, 1) && digits(number, 6) && digits(sub, 2),
            _ => false,
        };
        if fits {
            Ok(Self { text: text.to_owned() })
        } else {
            Err(WRONG)
        }
    }
}

impl fmt::Display for ProcedureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

serde_as_text!(ProcedureCode, |code| code.text.clone());

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn procedures_and_their_sub_services_are_read() {
        let birth: ProcedureCode = "1.001193".parse().unwrap();
        assert_eq!((birth.procedure(), birth.sub_service()), ("1.001193", None));
        let marriage: ProcedureCode = "1.000894.01".parse().unwrap();
        assert_eq!((marriage.procedure(), marriage.sub_service()), ("1.000894", Some("01")));
    }

    #[test]
    fn what_is_no_procedure_code_is_refused() {
        for text in [
            "",
            "1",
            "1.00119",
            "1.0011933",
            "11.001193",
            "1.001193.1",
            "1.001193.01.01",
            "1,001193",
            "١.001193",
        ] {
            assert_eq!(text.parse::<ProcedureCode>(), Err(WRONG), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}") {
            if let Ok(code) = text.parse::<ProcedureCode>() {
                prop_assert_eq!(code.to_string(), text);
            }
        }

        #[test]
        fn a_code_survives_the_way_there_and_back(text in "[0-9]\\.[0-9]{6}(\\.[0-9]{2})?") {
            prop_assert_eq!(text.parse::<ProcedureCode>().unwrap().to_string(), text);
        }
    }
}
