//! Legal identifiers of Vietnam: parse, print, validate.
//!
//! Each kind of code is a type that only holds valid values: `str::parse` is the way in, `Display` the way out, and
//! serde uses the same text. An error says in Vietnamese and English what is wrong and never repeats the input, since
//! the input may be somebody's personal number.
//!
//! ```
//! use egov_codes::{AgencyCode, CaseCode, PersonalNumber, fold};
//!
//! let agency: AgencyCode = "H41.16.4".parse()?;
//! let code = CaseCode::issue(&agency, jiff::civil::date(2026, 11, 23), 7, 4)?;
//! assert_eq!(code.to_string(), "H41.16.4-261123-0007");
//!
//! let number: PersonalNumber = "040190000123".parse()?;
//! assert_eq!(number.to_string(), "040*****0123"); // masked; `reveal()` shows it
//! assert_eq!(fold("Đống Đa"), "Dong Da");
//! # Ok::<(), egov_codes::CodeError>(())
//! ```

mod agency;
mod case_code;
mod error;
mod person;
mod phone;
mod procedure;
mod text;
mod unit;

pub use agency::{AgencyCode, Generation};
pub use case_code::{CaseCode, DailyNumbersExhausted};
pub use error::CodeError;
pub use person::{Discrepancy, LegacyIdNumber, PersonalNumber, Sex};
pub use phone::{LineKind, PhoneNumber};
pub use procedure::ProcedureCode;
pub use text::{fold, normal_name};
pub use unit::UnitCode;

/// Implements `Serialize` and `Deserialize` through the text form.
macro_rules! serde_as_text {
    ($name:ident, $text:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text: fn(&$name) -> String = $text;
                serializer.serialize_str(&text(self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use serde_as_text;
