//! Instants as the national portal writes them: `yyyyMMddHHmmss` on the clock of Asia/Ho_Chi_Minh.

use egov_clock::vietnam;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant in whole seconds, written `yyyyMMddHHmmss` in Vietnam's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireTime(Timestamp);

/// Not `yyyyMMddHHmmss`, or no such day or hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form yyyyMMddHHmmss")]
pub struct NotATime;

impl WireTime {
    /// The instant, without its fraction of a second.
    pub fn of(instant: Timestamp) -> Self {
        Self(Timestamp::from_second(instant.as_second()).unwrap_or(instant))
    }

    /// The instant.
    pub fn instant(self) -> Timestamp {
        self.0
    }

    /// As the portal writes it.
    pub fn text(self) -> String {
        self.0.to_zoned(vietnam()).strftime("%Y%m%d%H%M%S").to_string()
    }

    /// Reads it back.
    pub fn parse(text: &str) -> Result<Self, NotATime> {
        if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotATime);
        }
        let civil = DateTime::strptime("%Y%m%d%H%M%S", text).map_err(|_| NotATime)?;
        let zoned = civil.to_zoned(vietnam()).map_err(|_| NotATime)?;
        Ok(Self(zoned.timestamp()))
    }
}

impl Serialize for WireTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// A day as the population register writes it: `yyyyMMdd`.
pub fn day_text(day: Date) -> String {
    day.strftime("%Y%m%d").to_string()
}

/// Reads a day `yyyyMMdd`.
pub(crate) fn parse_day(text: &str) -> Result<Date, NotATime> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotATime);
    }
    Date::strptime("%Y%m%d", text).map_err(|_| NotATime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_is_written_on_the_clock_of_vietnam() {
        let instant: Timestamp = "2026-12-31T17:30:05.9Z".parse().unwrap();
        assert_eq!(WireTime::of(instant).text(), "20270101003005");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(second in 200_000_000_i64..4_000_000_000) {
            let time = WireTime::of(Timestamp::from_second(second).unwrap());
            prop_assert_eq!(WireTime::parse(&time.text()), Ok(time));
        }

        #[test]
        fn arbitrary_text_is_refused_or_written_the_same(text in ".{0,20}") {
            if let Ok(time) = WireTime::parse(&text) {
                prop_assert_eq!(time.text(), text);
            }
        }
    }
}
