//! Lengths of time as people write them.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time that is not negative, written `"30s"`, `"1h 30m"`, `"500ms"` or ISO 8601 `"PT30S"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

impl Period {
    /// No time at all; where a setting can be switched off, this does it.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// A length in whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A length in milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The length.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The length, or `None` if it is zero.
    pub fn non_zero(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl From<Duration> for Period {
    fn from(length: Duration) -> Self {
        Self(length)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(length) => write!(f, "{length:#}"),
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length: SignedDuration = text
            .parse()
            .map_err(|error| D::Error::custom(format!("\"{text}\" is not a length of time like 30s: {error}")))?;
        Duration::try_from(length)
            .map(Self)
            .map_err(|_| D::Error::custom(format!("\"{text}\" is negative")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Period, serde_json::Error> {
        serde_json::from_value(serde_json::Value::String(text.to_owned()))
    }

    #[test]
    fn periods_are_read_as_people_write_them() {
        assert_eq!(read("30s").unwrap(), Period::seconds(30));
        assert_eq!(read("1h 30m").unwrap(), Period::seconds(5400));
        assert_eq!(read("250ms").unwrap(), Period::millis(250));
        assert_eq!(read("PT2M").unwrap(), Period::seconds(120));
        assert_eq!(read("0s").unwrap().non_zero(), None);
    }

    #[test]
    fn a_negative_or_senseless_period_is_refused() {
        assert!(read("-5s").unwrap_err().to_string().contains("negative"));
        assert!(read("soon").unwrap_err().to_string().contains("soon"));
    }

    #[test]
    fn a_period_survives_being_written_and_read() {
        for period in [Period::ZERO, Period::millis(1500), Period::seconds(86_400)] {
            let text = serde_json::to_string(&period).unwrap();
            assert_eq!(serde_json::from_str::<Period>(&text).unwrap(), period, "{text}");
        }
    }
}
