//! Time that an office works: going forwards in it, and measuring it.

use egov_calendar::{CalendarError, WorkCalendar, vietnam_instant, vietnam_time};
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

/// The parts of the working day that lie after an instant, on its day and as many further days as are asked for.
fn parts_after(
    calendar: &WorkCalendar,
    from: DateTime,
    mut visit: impl FnMut(DateTime, DateTime) -> bool,
) -> Result<(), CalendarError> {
    let mut date = from.date();
    loop {
        if calendar.is_working_day(date)? {
            for part in calendar.office_hours().parts(date) {
                let (start, end) = (date.to_datetime(part.start).max(from), date.to_datetime(part.end));
                if start < end && visit(start, end) {
                    return Ok(());
                }
            }
        }
        // The calendar refuses the first day that it does not know, so this ends.
        date = date.tomorrow().unwrap_or(date);
    }
}

/// The instant after so much office time; without any, the first one at or after `at` at which the office works.
pub(super) fn office_after(
    calendar: &WorkCalendar,
    at: Timestamp,
    time: SignedDuration,
) -> Result<Timestamp, CalendarError> {
    let mut left = time.max(SignedDuration::ZERO);
    let mut reached = vietnam_time(at);
    parts_after(calendar, reached, |start, end| {
        let open = start.duration_until(end);
        if left < open {
            reached = start.checked_add(left).unwrap_or(start);
            return true;
        }
        left -= open;
        false
    })?;
    Ok(vietnam_instant(reached).unwrap_or(at))
}

/// How much office time lies between two instants.
pub(super) fn office_between(
    calendar: &WorkCalendar,
    from: Timestamp,
    to: Timestamp,
) -> Result<SignedDuration, CalendarError> {
    let end_of_all = vietnam_time(to);
    let mut sum = SignedDuration::ZERO;
    if from >= to {
        return Ok(sum);
    }
    // A part that begins after the end ends the walk; on long holidays the next part is that one.
    parts_after(calendar, vietnam_time(from), |start, end| {
        if start >= end_of_all {
            return true;
        }
        sum += start.duration_until(end.min(end_of_all));
        false
    })?;
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn calendar() -> WorkCalendar {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/calendar");
        WorkCalendar::read(&pack).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        vietnam_instant(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn office_time_passes_over_the_noon_the_night_and_the_weekend() {
        let calendar = calendar();
        let after = |from: &str, minutes| {
            let reached = office_after(&calendar, at(from), SignedDuration::from_mins(minutes)).unwrap();
            vietnam_time(reached).to_string()
        };
        // 07:30 to 11:30 and 13:30 to 17:00; 23/10/2026 is a Friday.
        assert_eq!(after("2026-10-23T11:00:00", 45), "2026-10-23T13:45:00");
        assert_eq!(after("2026-10-23T16:30:00", 60), "2026-10-26T08:00:00");
        assert_eq!(after("2026-10-24T10:00:00", 0), "2026-10-26T07:30:00");
        assert_eq!(after("2026-10-23T09:00:00", 0), "2026-10-23T09:00:00");
    }

    #[test]
    fn what_was_gone_forwards_is_what_is_measured() {
        let calendar = calendar();
        let from = at("2026-10-22T10:10:00");
        for minutes in [0, 1, 80, 449, 450, 451, 2_000, 9_999] {
            let passed = SignedDuration::from_mins(minutes);
            let to = office_after(&calendar, from, passed).unwrap();
            assert_eq!(office_between(&calendar, from, to).unwrap(), passed, "{minutes}");
        }
    }
}
