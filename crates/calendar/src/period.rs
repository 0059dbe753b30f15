//! Legal periods (thời hạn) and the pauses that interrupt them.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::error::CalendarError;
use crate::language::Language;

/// A period as procedures state it: a value and a unit.
///
/// As data: `{ unit = "working_days", value = 5 }`, `{ unit = "same_day" }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "unit", content = "value", rename_all = "snake_case")]
pub enum Period {
    /// Ngày làm việc: only working days count.
    WorkingDays(u32),
    /// Ngày: every day counts; if the last one is a day off, the period ends with the next working day.
    Days(u32),
    /// Giờ làm việc: only time inside office hours of working days counts, from the moment of reception.
    WorkingHours(u32),
    /// Giờ: time on the wall clock, by night and on days off too, from the moment of reception.
    /// Such a period has a last moment and no last day, so it is not moved off a day off.
    ElapsedHours(u32),
    /// Trong ngày: the result is given on the day of reception.
    SameDay,
}

impl Period {
    /// The whole period in its own measure.
    pub fn amount(self) -> Amount {
        match self {
            Self::WorkingDays(days) | Self::Days(days) => Amount::Days(days),
            Self::WorkingHours(hours) | Self::ElapsedHours(hours) => {
                Amount::Time(SignedDuration::from_hours(i64::from(hours)))
            }
            Self::SameDay => Amount::Days(1),
        }
    }

    /// `5 ngày làm việc`, `5 working days`.
    pub fn text(self, language: Language) -> String {
        let plural = |count: u32| if count == 1 { "" } else { "s" };
        match (language, self) {
            (Language::Vietnamese, Self::WorkingDays(n)) => format!("{n} ngày làm việc"),
            (Language::Vietnamese, Self::Days(n)) => format!("{n} ngày"),
            (Language::Vietnamese, Self::WorkingHours(n)) => format!("{n} giờ làm việc"),
            (Language::Vietnamese, Self::ElapsedHours(n)) => format!("{n} giờ"),
            (Language::Vietnamese, Self::SameDay) => "trong ngày".to_owned(),
            (Language::English, Self::WorkingDays(n)) => format!("{n} working day{}", plural(n)),
            (Language::English, Self::Days(n)) => format!("{n} day{}", plural(n)),
            (Language::English, Self::WorkingHours(n)) => format!("{n} working hour{}", plural(n)),
            (Language::English, Self::ElapsedHours(n)) => format!("{n} hour{}", plural(n)),
            (Language::English, Self::SameDay) => "same day".to_owned(),
        }
    }
}

/// A stretch of time in which the clock stands still (tạm dừng tính thời hạn), `from` included, `to` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// When the supplement was asked for.
    pub from: DateTime,
    /// When it came; none while it is awaited.
    #[serde(default)]
    pub to: Option<DateTime>,
}

impl Pause {
    /// A pause that has ended.
    pub const fn closed(from: DateTime, to: DateTime) -> Self {
        Self { from, to: Some(to) }
    }

    /// A pause that lasts.
    pub const fn open(from: DateTime) -> Self {
        Self { from, to: None }
    }
}

/// The pauses of one case, disjoint and in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses {
    closed: Vec<(DateTime, DateTime)>,
    open_since: Option<DateTime>,
}

impl Pauses {
    /// Sorts and joins; pauses may overlap, touch, be empty and come in any order.
    pub(crate) fn new(pauses: &[Pause]) -> Result<Self, CalendarError> {
        let mut closed = Vec::new();
        let mut open_since: Option<DateTime> = None;
        for pause in pauses {
            match pause.to {
                Some(to) if to < pause.from => {
                    return Err(CalendarError::PauseReversed { from: pause.from, to });
                }
                Some(to) if to == pause.from => {}
                Some(to) => closed.push((pause.from, to)),
                None => open_since = Some(open_since.map_or(pause.from, |since| since.min(pause.from))),
            }
        }
        closed.sort_unstable();
        let mut joined: Vec<(DateTime, DateTime)> = Vec::with_capacity(closed.len());
        for (from, to) in closed {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        // A pause without an end takes over from the closed one that it begins in.
        if let Some(since) = open_since {
            let begun_in = joined.iter().find(|(from, to)| *from <= since && since <= *to);
            let since = begun_in.map_or(since, |(from, _)| *from);
            joined.retain(|(from, _)| *from < since);
            open_since = Some(since);
        }
        Ok(Self {
            closed: joined,
            open_since,
        })
    }

    /// Since when the clock stands still at `moment`, if it does.
    pub(crate) fn stopped_at(&self, moment: DateTime) -> Option<DateTime> {
        let closed = self.closed.iter().find(|(from, to)| *from <= moment && moment < *to);
        closed
            .map(|(from, _)| *from)
            .or_else(|| self.open_since.filter(|since| *since <= moment))
    }

    /// When the pause without an end began, if it began before `end`.
    pub(crate) fn stopped_before(&self, end: DateTime) -> Option<DateTime> {
        self.open_since.filter(|since| *since < end)
    }

    /// Whether any instant of `[start, end)` is paused.
    pub(crate) fn touch(&self, start: DateTime, end: DateTime) -> bool {
        start < end
            && (self.closed.iter().any(|(from, to)| *from < end && start < *to) || self.stopped_before(end).is_some())
    }

    /// The first closed pause that is still going at or begins after `moment` and begins before `end`.
    pub(crate) fn next_between(&self, moment: DateTime, end: DateTime) -> Option<(DateTime, DateTime)> {
        self.closed
            .iter()
            .copied()
            .find(|(from, to)| moment < *to && *from < end)
    }

    /// What is left of `[start, end)` without the pauses, in order.
    pub(crate) fn running(&self, start: DateTime, end: DateTime) -> Vec<(DateTime, DateTime)> {
        let end = self.open_since.map_or(end, |since| end.min(since));
        let mut pieces = Vec::new();
        let mut at = start;
        for (from, to) in &self.closed {
            if *to <= at {
                continue;
            }
            if *from >= end {
                break;
            }
            if at < *from {
                pieces.push((at, *from));
            }
            at = *to;
        }
        if at < end {
            pieces.push((at, end));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime {
        text.parse().unwrap()
    }

    #[test]
    fn overlapping_and_touching_pauses_become_one() {
        let pauses = Pauses::new(&[
            Pause::closed(at("2026-03-03T14:00"), at("2026-03-05T10:00")),
            Pause::closed(at("2026-03-05T10:00"), at("2026-03-05T11:00")),
            Pause::closed(at("2026-03-01T09:00"), at("2026-03-03T15:00")),
            Pause::closed(at("2026-03-09T09:00"), at("2026-03-09T09:00")),
        ])
        .unwrap();
        assert_eq!(pauses.closed, [(at("2026-03-01T09:00"), at("2026-03-05T11:00"))]);
    }

    #[test]
    fn a_pause_without_an_end_swallows_all_that_follow() {
        let pauses = Pauses::new(&[
            Pause::closed(at("2026-03-01T09:00"), at("2026-03-03T15:00")),
            Pause::open(at("2026-03-02T09:00")),
            Pause::closed(at("2026-03-04T09:00"), at("2026-03-05T15:00")),
        ])
        .unwrap();
        assert!(pauses.closed.is_empty());
        assert_eq!(pauses.open_since, Some(at("2026-03-01T09:00")));
    }

    #[test]
    fn a_pause_without_an_end_that_follows_at_once_has_stopped_the_clock_since_the_earlier_one() {
        let pauses = Pauses::new(&[
            Pause::closed(at("2026-03-02T09:00"), at("2026-03-02T10:00")),
            Pause::open(at("2026-03-02T10:00")),
        ])
        .unwrap();
        assert_eq!(pauses.open_since, Some(at("2026-03-02T09:00")));
    }

    #[test]
    fn the_clock_runs_between_the_pauses_only() {
        let pauses = Pauses::new(&[
            Pause::closed(at("2026-03-02T09:00"), at("2026-03-02T10:00")),
            Pause::open(at("2026-03-02T16:00")),
        ])
        .unwrap();
        assert_eq!(
            pauses.running(at("2026-03-02T08:00"), at("2026-03-02T17:00")),
            [
                (at("2026-03-02T08:00"), at("2026-03-02T09:00")),
                (at("2026-03-02T10:00"), at("2026-03-02T16:00")),
            ]
        );
    }

    #[test]
    fn a_pause_that_ends_before_it_begins_is_refused() {
        let reversed = Pause::closed(at("2026-03-02T09:00"), at("2026-03-02T08:59"));
        assert!(matches!(
            Pauses::new(&[reversed]),
            Err(CalendarError::PauseReversed { .. })
        ));
    }

    #[test]
    fn periods_are_data_of_a_value_and_a_unit() {
        let period: Period = serde_json::from_str(r#"{"unit":"working_days","value":5}"#).unwrap();
        assert_eq!(period, Period::WorkingDays(5));
        let period: Period = toml::from_str(r#"unit = "same_day""#).unwrap();
        assert_eq!(period, Period::SameDay);
        assert!(serde_json::from_str::<Period>(r#"{"unit":"weeks","value":5}"#).is_err());
    }
}
