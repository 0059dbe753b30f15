//! The calendar itself: what kind of day each day is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::civil::{Date, DateTime, Weekday};
use serde::{Deserialize, Serialize};

use crate::error::{CalendarError, PackError};
use crate::language::Name;
use crate::office::OfficeHours;
use crate::origin::{Origin, Status};
use crate::rules::{RuleSource, Rules};

/// What kind of day a day is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DayKind {
    /// Ngày làm việc of the ordinary week.
    Working,
    /// Ngày làm bù: a rest day that is worked in exchange for a day off.
    SwappedWorking {
        /// As the notice calls it.
        name: Name,
    },
    /// Ngày nghỉ hằng tuần.
    Weekend,
    /// Ngày nghỉ lễ, Tết, nghỉ bù or a day off by swap.
    Holiday {
        /// As the law or the notice calls it.
        name: Name,
    },
}

impl DayKind {
    /// Whether offices work.
    pub fn is_working(&self) -> bool {
        matches!(self, Self::Working | Self::SwappedWorking { .. })
    }
}

/// One day with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// Which day.
    pub date: Date,
    /// What kind of day.
    pub kind: DayKind,
    /// Basis, source and status of that statement.
    pub origin: Arc<Origin>,
    /// The official notice that decides it, if one does: its id in the pack.
    pub notice: Option<Arc<str>>,
}

/// A day that the list or a notice names.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) kind: DayKind,
    pub(crate) origin: Arc<Origin>,
    pub(crate) notice: Option<Arc<str>>,
}

/// A stretch of days with what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) from: Date,
    pub(crate) to: Date,
    pub(crate) origin: Arc<Origin>,
    pub(crate) notice: Option<Arc<str>>,
}

/// The working days of the week from a day on.
#[derive(Clone, Debug)]
pub(crate) struct Week {
    pub(crate) from: Date,
    pub(crate) days: Vec<Weekday>,
}

/// Everything that was read, checked.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) id: String,
    pub(crate) declared_version: String,
    pub(crate) name: Name,
    pub(crate) from: Date,
    pub(crate) to: Date,
    pub(crate) listed: BTreeMap<Date, Listed>,
    pub(crate) spans: Vec<Span>,
    pub(crate) weeks: Vec<Week>,
    pub(crate) rules: Vec<RuleSource>,
}

impl Content {
    pub(crate) fn is_week_day(&self, date: Date) -> bool {
        self.weeks
            .iter()
            .rfind(|week| week.from <= date)
            .is_some_and(|week| week.days.contains(&date.weekday()))
    }

    pub(crate) fn span(&self, date: Date) -> Option<&Span> {
        self.spans.iter().rfind(|span| span.from <= date && date <= span.to)
    }
}

/// The working calendar (lịch làm việc) with the office hours of one office. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkCalendar {
    content: Arc<Content>,
    office: Arc<OfficeHours>,
    version: Arc<str>,
}

impl WorkCalendar {
    pub(crate) fn new(content: Content, office: OfficeHours) -> Result<Self, PackError> {
        Self::assemble(Arc::new(content), office)
    }

    fn assemble(content: Arc<Content>, office: OfficeHours) -> Result<Self, PackError> {
        if office.known_from().is_none_or(|from| from > content.from) {
            return Err(PackError::invalid(
                "office hours",
                format!("no hours for {}, where the calendar begins", content.from),
            ));
        }
        let version = format!(
            "{}-{}-{:016x}",
            content.id,
            content.declared_version,
            fingerprint(&content, &office)
        )
        .into();
        Ok(Self {
            content,
            office: Arc::new(office),
            version,
        })
    }

    /// The same days with the hours of another office.
    ///
    /// # Errors
    /// When the hours begin later than the calendar.
    pub fn with_office_hours(&self, office: OfficeHours) -> Result<Self, PackError> {
        Self::assemble(Arc::clone(&self.content), office)
    }

    /// Identifies what a due date was computed with: id and version of the pack and a fingerprint of days,
    /// weeks and hours, which changes with every notice. Not a cryptographic hash.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the calendar is called.
    pub fn name(&self) -> &Name {
        &self.content.name
    }

    /// First and last day covered.
    pub fn covers(&self) -> (Date, Date) {
        (self.content.from, self.content.to)
    }

    /// The office hours in use.
    pub fn office_hours(&self) -> &OfficeHours {
        &self.office
    }

    /// All days that the list and the notices name, in order, for display and export.
    pub fn listed_days(&self) -> impl Iterator<Item = Day> + '_ {
        self.content.listed.iter().map(|(date, listed)| Day {
            date: *date,
            kind: listed.kind.clone(),
            origin: Arc::clone(&listed.origin),
            notice: listed.notice.clone(),
        })
    }

    pub(crate) fn outside(&self, date: Date) -> CalendarError {
        CalendarError::OutsideCoverage {
            date,
            from: self.content.from,
            to: self.content.to,
        }
    }

    /// What kind of day `date` is, and who says so.
    ///
    /// # Errors
    /// [`CalendarError::OutsideCoverage`] when the calendar does not know.
    pub fn day(&self, date: Date) -> Result<Day, CalendarError> {
        // Within the covered days there is always a span: the pack is refused otherwise.
        let span = self.content.span(date).ok_or_else(|| self.outside(date))?;
        if date < self.content.from || date > self.content.to {
            return Err(self.outside(date));
        }
        Ok(match self.content.listed.get(&date) {
            Some(listed) => Day {
                date,
                kind: listed.kind.clone(),
                origin: Arc::clone(&listed.origin),
                notice: listed.notice.clone(),
            },
            None => Day {
                date,
                kind: if self.content.is_week_day(date) {
                    DayKind::Working
                } else {
                    DayKind::Weekend
                },
                origin: Arc::clone(&span.origin),
                notice: span.notice.clone(),
            },
        })
    }

    /// Whether offices work on `date`.
    ///
    /// # Errors
    /// [`CalendarError::OutsideCoverage`].
    pub fn is_working_day(&self, date: Date) -> Result<bool, CalendarError> {
        if date < self.content.from || date > self.content.to {
            return Err(self.outside(date));
        }
        Ok(match self.content.listed.get(&date) {
            Some(listed) => listed.kind.is_working(),
            None => self.content.is_week_day(date),
        })
    }

    /// The first working day after `date`.
    ///
    /// # Errors
    /// [`CalendarError::OutsideCoverage`].
    pub fn next_working_day(&self, date: Date) -> Result<Date, CalendarError> {
        let mut next = self.day_after(date)?;
        while !self.is_working_day(next)? {
            next = self.day_after(next)?;
        }
        Ok(next)
    }

    /// When the office opens on `date`, worked or not.
    pub fn opening(&self, date: Date) -> DateTime {
        self.office.opening(date)
    }

    /// The working day that lies `days` working days before `date`; `date` itself for 0.
    ///
    /// # Errors
    /// [`CalendarError::OutsideCoverage`].
    pub fn working_day_before(&self, date: Date, days: u32) -> Result<Date, CalendarError> {
        let mut day = date;
        let mut left = days;
        while left > 0 {
            day = day.yesterday().map_err(|_| self.outside(day))?;
            left -= u32::from(self.is_working_day(day)?);
        }
        Ok(day)
    }

    /// How many working days lie after `after`, up to and including `until`; negative when `until` is the earlier one.
    /// From reception to today it is the days used, from today to the due date the days left, from the due date to
    /// today the days late. Pauses are not regarded; [`crate::progress`] regards them.
    ///
    /// # Errors
    /// [`CalendarError::OutsideCoverage`].
    pub fn working_days_between(&self, after: Date, until: Date) -> Result<i64, CalendarError> {
        let (first, last, sign) = if after <= until {
            (after, until, 1)
        } else {
            (until, after, -1)
        };
        self.is_working_day(first)?;
        self.is_working_day(last)?;
        let mut count = 0;
        let mut date = first;
        while date < last {
            date = self.day_after(date)?;
            count += i64::from(self.is_working_day(date)?);
        }
        Ok(count * sign)
    }

    /// How periods are counted that begin on `date`, as the pack says.
    ///
    /// # Errors
    /// [`CalendarError::OutsideCoverage`].
    pub fn rules(&self, date: Date) -> Result<Rules, CalendarError> {
        self.is_working_day(date)?;
        let mut rules = Rules::default();
        for source in self.content.rules.iter().filter(|source| source.from <= date) {
            source.value.apply(&mut rules);
        }
        Ok(rules)
    }

    /// All counting rules with their dates, bases and statuses.
    pub fn rule_sources(&self) -> &[RuleSource] {
        &self.content.rules
    }

    pub(crate) fn day_after(&self, date: Date) -> Result<Date, CalendarError> {
        date.tomorrow().map_err(|_| self.outside(date))
    }

    /// When the office closes on `date`, worked or not.
    pub fn close(&self, date: Date) -> DateTime {
        self.office.close(date)
    }

    /// The weakest status of the days from `first` to `last`.
    pub(crate) fn weakest_status(&self, first: Date, last: Date) -> Result<Status, CalendarError> {
        let mut weakest = Status::Confirmed;
        let mut date = first;
        loop {
            weakest = weakest.max(self.day(date)?.origin.status);
            if date >= last {
                return Ok(weakest);
            }
            date = self.day_after(date)?;
        }
    }
}

/// FNV-1a over everything that can move a due date.
fn fingerprint(content: &Content, office: &OfficeHours) -> u64 {
    let mut text = format!("{} {}\n", content.from, content.to);
    // Writing to a String cannot fail.
    for (date, listed) in &content.listed {
        let _ = writeln!(text, "{date} {}", listed.kind.is_working());
    }
    for week in &content.weeks {
        let _ = writeln!(text, "{} {:?}", week.from, week.days);
    }
    for hours in office.entries() {
        let _ = writeln!(text, "{} {:?}", hours.from, hours.parts);
    }
    for rule in &content.rules {
        let _ = writeln!(text, "{} {:?}", rule.from, rule.value);
    }
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
