//! Gia hạn: a due date that was moved on once, by so many working days.
//!
//! The extension follows the period and is counted in working days, whatever the period's own unit: what is promised is a new
//! *date*. A day counts as it does in a period of working days: it is worked, and the clock runs on it without a break from its
//! beginning to the close of the office. So a pause after the extension moves the new date as it moves any other.

use crate::Amount;
use crate::deadline::{Deadline, midnight};
use crate::error::CalendarError;
use crate::note::{DayNote, Effect};
use crate::period::{Pause, Pauses};
use crate::work_calendar::WorkCalendar;

/// The deadline with `working_days` more; unchanged for 0. `found` is what [`crate::deadline`] gave with these pauses.
///
/// # Errors
/// [`CalendarError::ClockStopped`] if a pause without an end begins before the extension has run out;
/// [`CalendarError::OutsideCoverage`] where the calendar ends.
pub fn extended(
    calendar: &WorkCalendar,
    found: Deadline,
    working_days: u32,
    pauses: &[Pause],
) -> Result<Deadline, CalendarError> {
    let pauses = Pauses::new(pauses)?;
    let mut deadline = found;
    let mut counted = 0;
    let mut date = deadline.due.date();
    while counted < working_days {
        date = calendar.day_after(date)?;
        let day = calendar.day(date)?.kind;
        let close = calendar.close(date);
        if let Some(since) = pauses.stopped_before(close) {
            return Err(CalendarError::ClockStopped {
                since,
                used: Amount::Days(counted),
            });
        }
        let effect = if !day.is_working() {
            Effect::NotCounted
        } else if pauses.touch(midnight(date), close) {
            Effect::Paused
        } else {
            counted += 1;
            deadline.due = close;
            Effect::Extended {
                n: counted,
                of: working_days,
            }
        };
        deadline.explanation.push(DayNote { date, day, effect });
    }
    deadline.extended_by = working_days;
    deadline.days_status = calendar.weakest_status(deadline.received.date(), date)?;
    Ok(deadline)
}
