//! How much of a period: whole days, or time.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::language::Language;

/// A part of a period, in the period's own measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// Whole days: of [`crate::Period::WorkingDays`], [`crate::Period::Days`], and one of [`crate::Period::SameDay`].
    Days(u32),
    /// Time on the clock, of the two kinds of hours.
    Time(SignedDuration),
}

impl Amount {
    /// `self - used`, never below nothing. The two have the same measure; with different ones nothing is subtracted.
    #[must_use]
    pub fn less(self, used: Self) -> Self {
        match (self, used) {
            (Self::Days(all), Self::Days(part)) => Self::Days(all.saturating_sub(part)),
            (Self::Time(all), Self::Time(part)) => Self::Time(all.saturating_sub(part).max(SignedDuration::ZERO)),
            (all, _) => all,
        }
    }

    /// `3 ngày`, `2 giờ 30 phút`; `3 days`, `2 h 30 min`.
    pub fn text(self, language: Language) -> String {
        match (self, language) {
            (Self::Days(days), Language::Vietnamese) => format!("{days} ngày"),
            (Self::Days(1), Language::English) => "1 day".to_owned(),
            (Self::Days(days), Language::English) => format!("{days} days"),
            (Self::Time(time), language) => written_duration(time, language),
        }
    }
}

fn written_duration(time: SignedDuration, language: Language) -> String {
    let seconds = time.as_secs();
    let units = match language {
        Language::Vietnamese => ["giờ", "phút", "giây"],
        Language::English => ["h", "min", "s"],
    };
    let parts: Vec<String> = [seconds / 3600, seconds / 60 % 60, seconds % 60]
        .into_iter()
        .zip(units)
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if parts.is_empty() {
        format!("0 {}", units[1])
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_both_languages() {
        let time = Amount::Time(SignedDuration::from_secs(2 * 3600 + 30 * 60));
        assert_eq!(time.text(Language::Vietnamese), "2 giờ 30 phút");
        assert_eq!(time.text(Language::English), "2 h 30 min");
        assert_eq!(Amount::Time(SignedDuration::ZERO).text(Language::English), "0 min");
        assert_eq!(Amount::Days(1).text(Language::English), "1 day");
        assert_eq!(Amount::Days(3).text(Language::Vietnamese), "3 ngày");
    }

    #[test]
    fn what_is_left_is_never_less_than_nothing() {
        assert_eq!(Amount::Days(3).less(Amount::Days(5)), Amount::Days(0));
        let hour = SignedDuration::from_hours(1);
        assert_eq!(
            Amount::Time(hour).less(Amount::Time(hour + hour)),
            Amount::Time(SignedDuration::ZERO)
        );
    }
}
