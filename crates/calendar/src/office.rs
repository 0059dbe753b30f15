//! Office hours (giờ làm việc), as dated data of an office.

use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Serialize};

use crate::error::PackError;
use crate::origin::Origin;

/// One part of the office day, `start` included, `end` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// When the doors open.
    pub start: Time,
    /// When they close.
    pub end: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hours {
    pub(crate) from: Date,
    pub(crate) parts: Vec<Part>,
    pub(crate) origin: Origin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfficeFile {
    hours: Vec<Hours>,
}

/// The office hours of one office through time. The same hours hold on every working day, swapped Saturdays included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfficeHours {
    /// Ordered by `from`; never empty; no entry without parts.
    hours: Vec<Hours>,
}

impl OfficeHours {
    /// Reads the text of an `office_hours.toml`; `file` is its name in messages.
    ///
    /// # Errors
    /// When the text is not of that form, an entry has no part, or the parts are out of order.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, PackError> {
        let OfficeFile { mut hours } = toml::from_str(text).map_err(|source| PackError::Toml {
            file: file.to_owned(),
            source: Box::new(source),
        })?;
        hours.sort_by_key(|entry| entry.from);
        if hours.is_empty() {
            return Err(PackError::invalid(file, "no office hours"));
        }
        for entry in &hours {
            let ordered = entry.parts.iter().all(|part| part.start < part.end)
                && entry
                    .parts
                    .windows(2)
                    .all(|pair| matches!(pair, [a, b] if a.end <= b.start));
            if entry.parts.is_empty() || !ordered {
                return Err(PackError::invalid(
                    file,
                    format!(
                        "hours from {}: parts must exist, be in order and not overlap",
                        entry.from
                    ),
                ));
            }
            if !entry.origin.is_complete() {
                return Err(PackError::invalid(
                    file,
                    format!(
                        "hours from {}: decided needs decided_by and decided_on, and only decided has them",
                        entry.from
                    ),
                ));
            }
        }
        if hours.windows(2).any(|pair| matches!(pair, [a, b] if a.from == b.from)) {
            return Err(PackError::invalid(file, "two entries begin on the same day"));
        }
        Ok(Self { hours })
    }

    /// First day for which hours are known.
    pub(crate) fn known_from(&self) -> Option<Date> {
        self.hours.first().map(|entry| entry.from)
    }

    pub(crate) fn entries(&self) -> &[Hours] {
        &self.hours
    }

    fn on(&self, date: Date) -> Option<&Hours> {
        // Every question is put after the date was found in the calendar's range, which these hours cover.
        self.hours.iter().rfind(|entry| entry.from <= date)
    }

    /// The parts of the office day on `date`, whether or not it is worked.
    pub fn parts(&self, date: Date) -> &[Part] {
        self.on(date).map_or(&[], |entry| &entry.parts)
    }

    /// The legal basis and status of these hours on `date`.
    pub fn origin(&self, date: Date) -> Option<&Origin> {
        self.on(date).map(|entry| &entry.origin)
    }

    /// When the office opens on `date`: the beginning of its first part.
    pub(crate) fn opening(&self, date: Date) -> DateTime {
        let start = self.parts(date).first().map_or(Time::midnight(), |part| part.start);
        date.to_datetime(start)
    }

    /// When the office closes on `date`: the end of its last part.
    pub(crate) fn close(&self, date: Date) -> DateTime {
        let end = self.parts(date).last().map_or(Time::MAX, |part| part.end);
        date.to_datetime(end)
    }
}
