use std::fmt;
use std::str::FromStr;

use crate::{CodeError, serde_as_text};

/// Mã đơn vị hành chính of the General Statistics Office: two digits a province, three a district (until 2025), five
/// a commune. The same code may mean different units in different periods: it says something only with a date.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitCode {
    text: String,
}

impl UnitCode {
    /// The code as text, leading zeros kept.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for UnitCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        if matches!(text.len(), 2 | 3 | 5) && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self { text: text.to_owned() })
        } else {
            Err(CodeError::new(
                "unit_code",
                "mã đơn vị hành chính phải gồm 2, 3 hoặc 5 chữ số",
                "a unit code has 2, 3 or 5 digits",
            ))
        }
    }
}

impl fmt::Display for UnitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

serde_as_text!(UnitCode, |code| code.text.clone());

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn provinces_districts_and_communes_are_read() {
        for text in ["40", "412", "16690", "04"] {
            assert_eq!(text.parse::<UnitCode>().unwrap().as_str(), text);
        }
        for text in ["", "4", "4000", "166900", "4a", "４０"] {
            assert!(text.parse::<UnitCode>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,10}") {
            if let Ok(code) = text.parse::<UnitCode>() {
                prop_assert_eq!(code.to_string(), text);
            }
        }
    }
}
