//! Thời hạn đăng ký: births and deaths within their terms. Late is allowed, and marked.

use egov_calendar::{CalendarError, Period, WorkCalendar, deadline};
use jiff::Span;
use jiff::civil::Date;

use super::pack::Term;
use crate::domain::finding::Findings;
use crate::domain::person::Born;

/// Whether an event is registered within its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeliness {
    /// Đúng hạn.
    OnTime,
    /// Quá hạn.
    Late,
    /// It depends on the day of the event, of which only the month or the year is known.
    Unknown,
}

/// Days off never move the end of a term on by more: no holiday of any year is as long.
const MOST_DAYS_OFF: i32 = 31;

/// Whether an event of a day is registered within the term by `registered`.
///
/// # Errors
/// [`CalendarError`]: it depends on days off that the calendar does not know.
pub fn on_time(term: &Term, event: Date, registered: Date, calendar: &WorkCalendar) -> Result<bool, CalendarError> {
    // The days alone: days off at the end only add to them, so within them is on time whatever the calendar knows.
    let days = match term.period {
        Period::Days(days) | Period::WorkingDays(days) => i32::try_from(days).unwrap_or(i32::MAX),
        Period::WorkingHours(_) | Period::ElapsedHours(_) | Period::SameDay => 1,
    };
    let plain = later(event, days);
    if registered <= plain {
        return Ok(true);
    }
    if matches!(term.period, Period::Days(_)) && registered > later(plain, MOST_DAYS_OFF) {
        return Ok(false);
    }
    let due = deadline(
        calendar,
        event.at(0, 0, 0, 0),
        term.period,
        &calendar.rules(event)?,
        &[],
    )?;
    Ok(registered <= due.due.date())
}

/// The day that lies so many days later; the last one of the calendar if it ends before.
fn later(day: Date, days: i32) -> Date {
    Span::new()
        .try_days(days)
        .and_then(|span| day.checked_add(span))
        .unwrap_or(Date::MAX)
}

/// Whether an event of which perhaps only the month or the year is known is registered within the term.
///
/// # Errors
/// [`CalendarError`]: it depends on days off that the calendar does not know.
pub fn timeliness(
    term: &Term,
    event: Born,
    registered: Date,
    calendar: &WorkCalendar,
) -> Result<Timeliness, CalendarError> {
    if on_time(term, event.earliest(), registered, calendar)? {
        return Ok(Timeliness::OnTime);
    }
    // An event is not registered before it happens, so what is not known of it ends with the registration.
    let latest = event.latest().min(registered);
    if on_time(term, latest, registered, calendar)? {
        Ok(Timeliness::Unknown)
    } else {
        Ok(Timeliness::Late)
    }
}

/// What the officer is asked if the term cannot be judged; nothing if it can. Late is no violation: it is marked in the entry.
pub fn judge(term: &Term, timeliness: Timeliness, field: &str) -> Findings {
    let mut findings = Findings::default();
    if timeliness == Timeliness::Unknown {
        let words = (
            "không rõ ngày, tháng của sự kiện nên không xác định được đăng ký đúng hạn hay quá hạn".to_owned(),
            "the day of the event is not known, so whether it is registered in time cannot be told".to_owned(),
        );
        findings.ask("term_unknown", field, &term.origin, words);
    }
    findings
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::rules::pack::tests::{calendar, rules};

    #[test]
    fn a_birth_has_sixty_days_and_a_death_fifteen_and_an_end_on_a_day_off_moves() {
        let (rules, calendar) = (rules(), calendar());
        // 60 days after 01/06/2026 is 31/07/2026, a Friday.
        let birth = |registered| on_time(&rules.birth_term, date(2026, 6, 1), registered, &calendar);
        assert_eq!(birth(date(2026, 7, 31)), Ok(true));
        assert_eq!(birth(date(2026, 8, 1)), Ok(false));
        // 15 days after 04/07/2026 is 19/07/2026, a Sunday.
        let death = |registered| on_time(&rules.death_term, date(2026, 7, 4), registered, &calendar);
        assert_eq!(death(date(2026, 7, 20)), Ok(true));
        assert_eq!(death(date(2026, 7, 21)), Ok(false));
    }

    #[test]
    fn before_the_calendar_begins_what_is_long_late_is_late_and_no_error() {
        let (rules, calendar) = (rules(), calendar());
        assert_eq!(
            on_time(&rules.birth_term, date(1960, 1, 1), date(2026, 1, 5), &calendar),
            Ok(false)
        );
        assert_eq!(
            on_time(&rules.birth_term, date(1960, 1, 1), date(1960, 2, 1), &calendar),
            Ok(true)
        );
        assert!(on_time(&rules.birth_term, date(1960, 1, 1), date(1960, 3, 3), &calendar).is_err());
    }

    #[test]
    fn of_whose_birth_the_month_is_known_it_may_depend() {
        let (rules, calendar) = (rules(), calendar());
        let may = Born::in_month(2026, 5).unwrap();
        let at = |registered| timeliness(&rules.birth_term, may, registered, &calendar);
        assert_eq!(at(date(2026, 6, 30)), Ok(Timeliness::OnTime));
        assert_eq!(at(date(2026, 7, 10)), Ok(Timeliness::Unknown));
        assert_eq!(at(date(2026, 9, 1)), Ok(Timeliness::Late));
        assert_eq!(
            judge(&rules.birth_term, Timeliness::Unknown, "birth").questions.len(),
            1
        );
        assert!(judge(&rules.birth_term, Timeliness::Late, "birth").is_clear());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The slow way: count day after day, then step over days off.
        #[test]
        fn the_term_is_counted_day_by_day(after in 0..3_000_i32, wait in 0..90_i32) {
            let (rules, calendar) = (rules(), calendar());
            let event = later(date(2016, 1, 1), after);
            let registered = later(event, wait);
            let mut last = event;
            for _ in 0..60 {
                last = last.tomorrow().unwrap();
            }
            while !calendar.is_working_day(last).unwrap() {
                last = last.tomorrow().unwrap();
            }
            prop_assert_eq!(on_time(&rules.birth_term, event, registered, &calendar), Ok(registered <= last));
        }
    }
}
