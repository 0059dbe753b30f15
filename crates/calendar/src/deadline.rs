//! Due dates (hạn trả kết quả), each with its explanation.
//!
//! Every rule of counting is here, in the order in which it is read aloud in the README of the crate.

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp, tz};
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::error::CalendarError;
use crate::language::{Language, written_time};
use crate::note::{DayNote, Effect};
use crate::origin::Status;
use crate::period::{Pause, Pauses, Period};
use crate::rules::{FirstDay, LastDayOff, Rules};
use crate::work_calendar::WorkCalendar;

/// A due date and how it came about. Can be stored as it is, beside the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// When the case was received, Vietnamese time.
    pub received: DateTime,
    /// The period that was counted.
    pub period: Period,
    /// How it was counted.
    pub rules: Rules,
    /// When the result is due, Vietnamese time. For periods of days the close of the office on the last day: the law
    /// lets such a day run to midnight, but nobody can be handed a result then.
    pub due: DateTime,
    /// One note for each day from reception to the due date.
    pub explanation: Vec<DayNote>,
    /// The weakest status of those days: [`Status::Computed`] says that an official notice may still move the date.
    pub days_status: Status,
    /// [`WorkCalendar::version`] of the calendar.
    pub calendar_version: String,
    /// Gia hạn: by how many working days it was moved on ([`crate::extended`]).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub extended_by: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(days: &u32) -> bool {
    *days == 0
}

impl Deadline {
    /// The period in words, with what it was extended by.
    pub fn period_text(&self, language: Language) -> String {
        let period = self.period.text(language);
        if self.extended_by == 0 {
            return period;
        }
        let more = Period::WorkingDays(self.extended_by).text(language);
        match language {
            Language::Vietnamese => format!("{period}, gia hạn {more}"),
            Language::English => format!("{period}, extended by {more}"),
        }
    }

    /// The explanation as lines for a person, with the due date as the last one.
    pub fn lines(&self, language: Language) -> Vec<String> {
        let mut lines: Vec<String> = self.explanation.iter().map(|note| note.text(language)).collect();
        let due = written_time(self.due);
        let period = self.period_text(language);
        lines.push(match language {
            Language::Vietnamese => format!("Hạn trả kết quả ({period}): {due}"),
            Language::English => format!("Due ({period}): {due}"),
        });
        if self.days_status == Status::Computed {
            lines.push(match language {
                Language::Vietnamese => {
                    "Có ngày thuộc năm chưa có thông báo nghỉ chính thức; hạn có thể thay đổi theo thông báo".to_owned()
                }
                Language::English => {
                    "Some of these days await the official notice of their year, which may move the date".to_owned()
                }
            });
        }
        lines
    }
}

/// How far a period has run at some moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What has been used. A day counts as used once the office has closed on it.
    pub used: Amount,
    /// What is left of the period.
    pub remaining: Amount,
    /// Since when the clock has stood still, if it stands still at that moment.
    pub stopped_since: Option<DateTime>,
    /// When the result is due; none while a pause without an end holds the clock.
    pub due: Option<DateTime>,
    /// Working days after the due date, up to and including the day of that moment; 0 unless it is overdue.
    /// Overdue on the due day itself, after the close, is overdue with 0 days: compare with [`Progress::due`].
    pub late_working_days: u32,
}

/// How a walk along the calendar ended.
enum End {
    Due(DateTime),
    Stopped { since: DateTime, used: Amount },
}

struct Walk<'a> {
    calendar: &'a WorkCalendar,
    received: DateTime,
    rules: Rules,
    pauses: Pauses,
    notes: Vec<DayNote>,
}

/// When a case received at `received` (Vietnamese time, see [`vietnam_time`]) is due.
///
/// `rules` are [`WorkCalendar::rules`] of the day of reception, plus the procedure's cut-off. `pauses` may overlap and come in any
/// order; what lies before reception has no effect.
///
/// # Errors
/// [`CalendarError::ClockStopped`] while a pause without an end keeps the period from ending;
/// [`CalendarError::OutsideCoverage`] when a day is needed that the calendar does not know; the other variants when
/// the arguments make no sense.
pub fn deadline(
    calendar: &WorkCalendar,
    received: DateTime,
    period: Period,
    rules: &Rules,
    pauses: &[Pause],
) -> Result<Deadline, CalendarError> {
    let (end, walk) = walk(calendar, received, period, rules, pauses)?;
    match end {
        End::Stopped { since, used } => Err(CalendarError::ClockStopped { since, used }),
        End::Due(due) => {
            let last = walk.notes.last().map_or_else(|| received.date(), |note| note.date);
            Ok(Deadline {
                received,
                period,
                rules: *rules,
                due,
                explanation: walk.notes,
                days_status: calendar.weakest_status(received.date(), last)?,
                calendar_version: calendar.version().to_owned(),
                extended_by: 0,
            })
        }
    }
}

/// How much of the period has been used at `now` and how much is left, with the arguments of [`deadline`].
///
/// # Errors
/// Those of [`deadline`], except [`CalendarError::ClockStopped`].
pub fn progress(
    calendar: &WorkCalendar,
    received: DateTime,
    period: Period,
    rules: &Rules,
    pauses: &[Pause],
    now: DateTime,
) -> Result<Progress, CalendarError> {
    let (end, walk) = walk(calendar, received, period, rules, pauses)?;
    let due = match end {
        End::Due(due) => Some(due),
        End::Stopped { .. } => None,
    };
    let ended = due.is_some_and(|due| due <= now);
    let used = if ended {
        period.amount()
    } else if let Amount::Time(_) = period.amount() {
        Amount::Time(walk.running_time(period, now)?)
    } else {
        let counted = walk
            .notes
            .iter()
            .filter(|note| matches!(note.effect, Effect::Counted { .. }) && calendar.close(note.date) <= now);
        Amount::Days(counted.count() as u32)
    };
    let late_working_days = match due {
        Some(due) if ended => calendar.working_days_between(due.date(), now.date())?,
        _ => 0,
    };
    Ok(Progress {
        used,
        remaining: period.amount().less(used),
        stopped_since: if ended { None } else { walk.pauses.stopped_at(now) },
        due,
        late_working_days: u32::try_from(late_working_days).unwrap_or(0),
    })
}

/// The civil time in Việt Nam at an instant. Việt Nam has kept UTC+7 without summer time since 1975, long before any
/// calendar here begins.
pub fn vietnam_time(at: Timestamp) -> DateTime {
    tz::offset(7).to_datetime(at)
}

/// The instant of a civil time in Việt Nam; the inverse of [`vietnam_time`].
///
/// # Errors
/// Only at the ends of what a [`Timestamp`] can hold.
pub fn vietnam_instant(at: DateTime) -> Result<Timestamp, jiff::Error> {
    tz::offset(7).to_timestamp(at)
}

fn walk<'a>(
    calendar: &'a WorkCalendar,
    received: DateTime,
    period: Period,
    rules: &Rules,
    pauses: &[Pause],
) -> Result<(End, Walk<'a>), CalendarError> {
    if matches!(period.amount(), Amount::Days(0) | Amount::Time(SignedDuration::ZERO)) {
        return Err(CalendarError::EmptyPeriod);
    }
    if rules.cut_off.is_some() && period != Period::SameDay {
        return Err(CalendarError::CutOffNotForPeriod);
    }
    let mut walk = Walk {
        calendar,
        received,
        rules: *rules,
        pauses: Pauses::new(pauses)?,
        notes: Vec::new(),
    };
    let end = match period {
        Period::WorkingDays(days) => walk.days(days, true)?,
        Period::Days(days) => walk.days(days, false)?,
        Period::WorkingHours(_) | Period::ElapsedHours(_) => walk.hours(period)?,
        Period::SameDay => walk.same_day()?,
    };
    Ok((end, walk))
}

impl Walk<'_> {
    /// A period of days. A day counts when the clock runs on it without a break from its beginning to the close of the
    /// office; parts of days are neither counted nor added up.
    fn days(&mut self, of: u32, working_only: bool) -> Result<End, CalendarError> {
        let mut counted = 0;
        let mut date = self.received.date();
        loop {
            let kind = self.calendar.day(date)?.kind;
            let close = self.calendar.close(date);
            let first = date == self.received.date();
            let start = if first { self.received } else { midnight(date) };
            let off = !kind.is_working();
            if !first && let Some(since) = self.pauses.stopped_before(close) {
                return Ok(End::Stopped {
                    since,
                    used: Amount::Days(counted),
                });
            }
            let period_over = counted == of;
            let effect = if first && (self.rules.first_day == FirstDay::NotCounted || self.received > close) {
                Effect::Received
            } else if off && period_over {
                Effect::PassedOver
            } else if off && working_only {
                Effect::NotCounted
            } else if self.pauses.touch(start, close) {
                Effect::Paused
            } else if period_over {
                Effect::MovedHere
            } else {
                counted += 1;
                Effect::Counted { n: counted, of }
            };
            self.notes.push(DayNote {
                date,
                day: kind,
                effect,
            });
            let moves = off && self.rules.last_day_off == LastDayOff::MovesToNextWorkingDay;
            match effect {
                Effect::MovedHere => return Ok(End::Due(close)),
                Effect::Counted { n, .. } if n == of && !moves => return Ok(End::Due(close)),
                _ => date = self.calendar.day_after(date)?,
            }
        }
    }

    /// A period of hours runs from the moment of reception, whenever the clock runs, and ends at its exact moment.
    fn hours(&mut self, period: Period) -> Result<End, CalendarError> {
        let Amount::Time(of) = period.amount() else {
            return Err(CalendarError::EmptyPeriod);
        };
        let mut sum = SignedDuration::ZERO;
        let mut date = self.received.date();
        loop {
            let kind = self.calendar.day(date)?.kind;
            let before = sum;
            let mut due = None;
            for (start, end) in self.running_on(date, period)? {
                let length = start.duration_until(end);
                if sum + length >= of {
                    due = start.checked_add(of - sum).ok();
                    sum = of;
                    break;
                }
                sum += length;
            }
            let effect = if sum > before {
                Effect::Hours {
                    used: sum - before,
                    sum,
                    of,
                }
            } else if !kind.is_working() && matches!(period, Period::WorkingHours(_)) {
                Effect::NotCounted
            } else if date == self.received.date() && self.received >= self.calendar.close(date) {
                Effect::AfterOffice
            } else {
                Effect::Paused
            };
            self.notes.push(DayNote {
                date,
                day: kind,
                effect,
            });
            if let Some(due) = due {
                return Ok(End::Due(due));
            }
            let next = self.calendar.day_after(date)?;
            if let Some(since) = self.pauses.stopped_before(midnight(next)) {
                return Ok(End::Stopped {
                    since,
                    used: Amount::Time(sum),
                });
            }
            date = next;
        }
    }

    /// The stretches of `date` in which the clock of a period of hours runs.
    fn running_on(&self, date: Date, period: Period) -> Result<Vec<(DateTime, DateTime)>, CalendarError> {
        let stretches = match period {
            Period::ElapsedHours(_) => vec![(midnight(date), midnight(self.calendar.day_after(date)?))],
            _ if self.calendar.is_working_day(date)? => {
                let parts = self.calendar.office_hours().parts(date);
                parts
                    .iter()
                    .map(|part| (date.to_datetime(part.start), date.to_datetime(part.end)))
                    .collect()
            }
            _ => Vec::new(),
        };
        Ok(stretches
            .into_iter()
            .flat_map(|(start, end)| self.pauses.running(start.max(self.received), end))
            .collect())
    }

    /// How long the clock of a period of hours has run by `now`.
    fn running_time(&self, period: Period, now: DateTime) -> Result<SignedDuration, CalendarError> {
        let mut sum = SignedDuration::ZERO;
        let mut date = self.received.date();
        while date <= now.date() {
            for (start, end) in self.running_on(date, period)? {
                if start < now {
                    sum += start.duration_until(end.min(now));
                }
            }
            date = self.calendar.day_after(date)?;
        }
        Ok(sum)
    }

    /// Trong ngày. The end of a pause is treated like a new reception: the same day if that is still in time.
    fn same_day(&mut self) -> Result<End, CalendarError> {
        let mut start = self.received;
        let due = loop {
            let due = self.same_day_from(start)?;
            if let Some((_, to)) = self.pauses.next_between(start, due) {
                start = to;
            } else if let Some(since) = self.pauses.stopped_before(due) {
                return Ok(End::Stopped {
                    since,
                    used: Amount::Days(0),
                });
            } else {
                break due;
            }
        };
        let mut date = self.received.date();
        while date <= due.date() {
            let kind = self.calendar.day(date)?.kind;
            let effect = self.same_day_effect(date, due, kind.is_working());
            self.notes.push(DayNote {
                date,
                day: kind,
                effect,
            });
            date = self.calendar.day_after(date)?;
        }
        Ok(End::Due(due))
    }

    /// When a same-day case is due that was received at `start`, without pauses.
    fn same_day_from(&self, start: DateTime) -> Result<DateTime, CalendarError> {
        let date = start.date();
        let close = self.calendar.close(date);
        let in_time = start <= close && self.rules.cut_off.is_none_or(|cut_off| start.time() <= cut_off);
        if self.calendar.is_working_day(date)? && in_time {
            return Ok(close);
        }
        Ok(self.calendar.close(self.calendar.next_working_day(date)?))
    }

    fn same_day_effect(&self, date: Date, due: DateTime, working: bool) -> Effect {
        let start = self.received.max(midnight(date));
        if date == due.date() {
            Effect::Counted { n: 1, of: 1 }
        } else if !working {
            Effect::NotCounted
        } else if self.pauses.touch(start, self.calendar.close(date)) {
            Effect::Paused
        } else if start > self.calendar.close(date) {
            Effect::AfterOffice
        } else {
            let cut_off = self.rules.cut_off.unwrap_or(Time::MAX);
            Effect::AfterCutOff { cut_off }
        }
    }
}

pub(crate) fn midnight(date: Date) -> DateTime {
    date.to_datetime(Time::midnight())
}
