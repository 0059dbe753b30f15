//! The other way round: when a period must begin at the latest to end in time.

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, ToSpan as _};

use crate::error::CalendarError;
use crate::period::Period;
use crate::rules::{FirstDay, LastDayOff, Rules};
use crate::work_calendar::WorkCalendar;

/// The last second at which a period may begin so that it ends at or before `by`, if nothing pauses it: [`crate::deadline`] of that
/// second is due in time, and that of the next one is not.
///
/// # Errors
/// [`CalendarError::OutsideCoverage`] where the calendar begins later.
pub fn latest_start(
    calendar: &WorkCalendar,
    by: DateTime,
    period: Period,
    rules: &Rules,
) -> Result<DateTime, CalendarError> {
    match period {
        Period::WorkingDays(days) => {
            let mut date = last_closed(calendar, by, true)?;
            for _ in 1..days {
                date = previous(calendar, date, true)?;
            }
            Ok(begins_before(calendar, date, rules, true)?)
        }
        Period::Days(days) => {
            // Đ.148: a period that ends on a day off ends with the next working day, so it must end by the last one before.
            let moves = rules.last_day_off == LastDayOff::MovesToNextWorkingDay;
            let mut date = last_closed(calendar, by, moves)?;
            for _ in 1..days {
                date = previous(calendar, date, false)?;
            }
            begins_before(calendar, date, rules, false)
        }
        Period::WorkingHours(hours) => working_hours_before(calendar, by, SignedDuration::from_hours(i64::from(hours))),
        Period::ElapsedHours(hours) => {
            let start = by
                .checked_sub(i64::from(hours).hours())
                .map_err(|_| calendar.outside(by.date()))?;
            calendar.is_working_day(start.date())?;
            Ok(start)
        }
        Period::SameDay => {
            let date = last_closed(calendar, by, true)?;
            let close = calendar.close(date);
            Ok(rules
                .cut_off
                .map_or(close, |cut_off| close.min(date.to_datetime(cut_off))))
        }
    }
}

/// The last second before the first day that counts; on that day itself where it counts although the case came on it.
fn begins_before(
    calendar: &WorkCalendar,
    first: Date,
    rules: &Rules,
    working_only: bool,
) -> Result<DateTime, CalendarError> {
    if rules.first_day == FirstDay::Counted && (!working_only || calendar.is_working_day(first)?) {
        return Ok(calendar.close(first));
    }
    before(calendar, first.at(0, 0, 0, 0))
}

fn before(calendar: &WorkCalendar, at: DateTime) -> Result<DateTime, CalendarError> {
    at.checked_sub(1.second()).map_err(|_| calendar.outside(at.date()))
}

/// The last day on which the office has closed by that time.
fn last_closed(calendar: &WorkCalendar, by: DateTime, working_only: bool) -> Result<Date, CalendarError> {
    let date = by.date();
    let fits = calendar.close(date) <= by && (!working_only || calendar.is_working_day(date)?);
    if fits {
        Ok(date)
    } else {
        previous(calendar, date, working_only)
    }
}

fn previous(calendar: &WorkCalendar, date: Date, working_only: bool) -> Result<Date, CalendarError> {
    let mut date = date;
    loop {
        date = date.yesterday().map_err(|_| calendar.outside(date))?;
        if calendar.is_working_day(date)? || !working_only {
            return Ok(date);
        }
    }
}

fn working_hours_before(
    calendar: &WorkCalendar,
    by: DateTime,
    needed: SignedDuration,
) -> Result<DateTime, CalendarError> {
    let mut left = needed;
    let mut date = by.date();
    loop {
        if calendar.is_working_day(date)? {
            for part in calendar.office_hours().parts(date).iter().rev() {
                let (start, end) = (date.to_datetime(part.start), date.to_datetime(part.end).min(by));
                let length = start.duration_until(end);
                if length <= SignedDuration::ZERO {
                    continue;
                }
                if length >= left {
                    return end
                        .checked_sub(jiff::Span::new().seconds(left.as_secs()))
                        .map_err(|_| calendar.outside(date));
                }
                left -= length;
            }
        }
        date = date.yesterday().map_err(|_| calendar.outside(date))?;
    }
}
