//! The two languages of every text that a person reads, and the way dates are written.

use std::fmt::Write as _;

use jiff::civil::{Date, DateTime, Weekday};
use serde::{Deserialize, Serialize};

/// Language of a rendered text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Tiếng Việt.
    Vietnamese,
    /// English.
    English,
}

/// A name in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

impl Name {
    /// The name in `language`.
    pub fn text(&self, language: Language) -> &str {
        match language {
            Language::Vietnamese => &self.vi,
            Language::English => &self.en,
        }
    }
}

/// `dd/MM/yyyy`, the way dates are written on Vietnamese papers, in both languages.
pub fn written_date(date: Date) -> String {
    date.strftime("%d/%m/%Y").to_string()
}

/// `HH:mm dd/MM/yyyy`; seconds only when there are any.
pub fn written_time(at: DateTime) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{:02}:{:02}", at.hour(), at.minute());
    if at.second() != 0 {
        let _ = write!(text, ":{:02}", at.second());
    }
    let _ = write!(text, " {}", written_date(at.date()));
    text
}

/// Name of the day of the week.
pub(crate) fn weekday(day: Weekday, language: Language) -> &'static str {
    match (language, day) {
        (Language::Vietnamese, Weekday::Monday) => "thứ Hai",
        (Language::Vietnamese, Weekday::Tuesday) => "thứ Ba",
        (Language::Vietnamese, Weekday::Wednesday) => "thứ Tư",
        (Language::Vietnamese, Weekday::Thursday) => "thứ Năm",
        (Language::Vietnamese, Weekday::Friday) => "thứ Sáu",
        (Language::Vietnamese, Weekday::Saturday) => "thứ Bảy",
        (Language::Vietnamese, Weekday::Sunday) => "Chủ nhật",
        (Language::English, Weekday::Monday) => "Monday",
        (Language::English, Weekday::Tuesday) => "Tuesday",
        (Language::English, Weekday::Wednesday) => "Wednesday",
        (Language::English, Weekday::Thursday) => "Thursday",
        (Language::English, Weekday::Friday) => "Friday",
        (Language::English, Weekday::Saturday) => "Saturday",
        (Language::English, Weekday::Sunday) => "Sunday",
    }
}
