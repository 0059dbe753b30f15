//! Dates and instants between the contracts and `jiff`.

use crate::google::r#type::{Date, Money};

impl From<jiff::civil::Date> for Date {
    fn from(date: jiff::civil::Date) -> Self {
        Self {
            year: date.year().into(),
            month: date.month().into(),
            day: date.day().into(),
        }
    }
}

/// A `google.type.Date` that is no day of the calendar (year only, month 13 …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotADay;

impl std::fmt::Display for NotADay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a day of the calendar")
    }
}

impl std::error::Error for NotADay {}

impl TryFrom<Date> for jiff::civil::Date {
    type Error = NotADay;

    fn try_from(date: Date) -> Result<Self, NotADay> {
        let year = i16::try_from(date.year).map_err(|_| NotADay)?;
        let month = i8::try_from(date.month).map_err(|_| NotADay)?;
        let day = i8::try_from(date.day).map_err(|_| NotADay)?;
        if year < 1 {
            return Err(NotADay);
        }
        Self::new(year, month, day).map_err(|_| NotADay)
    }
}

impl Money {
    /// An amount in đồng (VND has no smaller unit).
    pub fn vnd(amount: i64) -> Self {
        Self {
            currency_code: "VND".to_owned(),
            units: amount,
            nanos: 0,
        }
    }
}

/// An instant as the contracts carry it.
pub fn timestamp(at: jiff::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

/// An instant from the contracts; `None` if it is outside the range of the calendar.
pub fn instant(at: &prost_types::Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(at.seconds, at.nanos).ok()
}
