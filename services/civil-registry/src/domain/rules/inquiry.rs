//! Xác minh giữa các xã, and bản điện tử gửi người yêu cầu: what has an end by which an answer is owed, or silence means yes.

use egov_calendar::{CalendarError, Period, WorkCalendar, deadline};
use jiff::civil::DateTime;

use super::pack::{Rules, Term};
use crate::domain::finding::Findings;

/// When a period that began at a moment ends, both in Vietnamese time.
///
/// # Errors
/// [`CalendarError`]: the calendar does not know the days.
pub fn ends(term: &Term, began: DateTime, calendar: &WorkCalendar) -> Result<DateTime, CalendarError> {
    let rules = calendar.rules(began.date())?;
    Ok(deadline(calendar, began, term.period, &rules, &[])?.due)
}

/// Where an inquiry (xác minh tình trạng hôn nhân) at another commune is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inquiry {
    /// The other commune has answered.
    Answered,
    /// Its time runs until then.
    Running(DateTime),
    /// Its time ended then without an answer.
    Overdue(DateTime),
}

/// Where an inquiry that was sent at a moment is.
///
/// # Errors
/// [`CalendarError`]: the calendar does not know the days.
pub fn inquiry(
    rules: &Rules,
    sent: DateTime,
    answered: Option<DateTime>,
    now: DateTime,
    calendar: &WorkCalendar,
) -> Result<Inquiry, CalendarError> {
    if answered.is_some_and(|at| at <= now) {
        return Ok(Inquiry::Answered);
    }
    let due = ends(&rules.inter_commune_check, sent, calendar)?;
    Ok(if now <= due {
        Inquiry::Running(due)
    } else {
        Inquiry::Overdue(due)
    })
}

/// Judges whether a case may go on with an inquiry. No law says what follows when no answer came: the officer decides.
pub fn judge(rules: &Rules, inquiry: Inquiry, field: &str) -> Findings {
    let mut findings = Findings::default();
    let origin = &rules.inter_commune_check.origin;
    match inquiry {
        Inquiry::Answered => {}
        Inquiry::Running(_) => {
            let words = (
                "đang chờ xã khác trả lời xác minh tình trạng hôn nhân".to_owned(),
                "the answer of the other commune on the marital status is awaited".to_owned(),
            );
            findings.violate("inquiry_running", field, origin, words);
        }
        Inquiry::Overdue(_) => {
            let words = (
                "xã khác chưa trả lời xác minh tình trạng hôn nhân dù đã hết thời hạn; cần công chức quyết định"
                    .to_owned(),
                "the other commune has not answered on the marital status within its time; the officer decides"
                    .to_owned(),
            );
            findings.ask("inquiry_overdue", field, origin, words);
        }
    }
    findings
}

/// What the requester said of the draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Thống nhất.
    Agreed,
    /// Có ý kiến khác.
    Objected,
}

/// Where a draft is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draft {
    /// The requester agreed, or said nothing until this moment, which means the same.
    Agreed {
        /// True if nothing was said.
        by_silence: bool,
    },
    /// The requester objected in time.
    Objected,
    /// There is time until then.
    Running(DateTime),
}

/// The moment from which silence agrees: of a period of days that after the end of the last day, not the close of the office, since the
/// requester answers from home.
///
/// # Errors
/// [`CalendarError`]: the calendar does not know the days.
pub fn draft_ends(rules: &Rules, sent: DateTime, calendar: &WorkCalendar) -> Result<DateTime, CalendarError> {
    let due = ends(&rules.draft, sent, calendar)?;
    Ok(match rules.draft.period {
        Period::Days(_) | Period::WorkingDays(_) | Period::SameDay => {
            due.date().tomorrow().map_or(due, |next| next.at(0, 0, 0, 0))
        }
        Period::WorkingHours(_) | Period::ElapsedHours(_) => due,
    })
}

/// Where a draft that was sent at a moment is. An answer that came after the end changes nothing: silence had agreed by then.
///
/// # Errors
/// [`CalendarError`]: the calendar does not know the days.
pub fn draft(
    rules: &Rules,
    sent: DateTime,
    answer: Option<(Answer, DateTime)>,
    now: DateTime,
    calendar: &WorkCalendar,
) -> Result<Draft, CalendarError> {
    let end = draft_ends(rules, sent, calendar)?;
    Ok(match answer.filter(|(_, at)| *at < end && *at <= now) {
        Some((Answer::Agreed, _)) => Draft::Agreed { by_silence: false },
        Some((Answer::Objected, _)) => Draft::Objected,
        None if now >= end => Draft::Agreed { by_silence: true },
        None => Draft::Running(end),
    })
}

/// Judges whether the event may be entered with its draft where it is.
pub fn judge_draft(rules: &Rules, draft: Draft, field: &str) -> Findings {
    let mut findings = Findings::default();
    let (code, vi, en) = match draft {
        Draft::Agreed { .. } => return findings,
        Draft::Objected => (
            "draft_objected",
            "người yêu cầu có ý kiến khác về nội dung; cần sửa và gửi lại",
            "the requester objected to the draft; it is corrected and sent again",
        ),
        Draft::Running(_) => (
            "draft_running",
            "đang chờ người yêu cầu xác nhận nội dung",
            "the requester's word on the draft is awaited",
        ),
    };
    findings.violate(code, field, &rules.draft.origin, (vi.to_owned(), en.to_owned()));
    findings
}

#[cfg(test)]
mod tests {
    use jiff::Span;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::rules::pack::tests::{calendar, rules};

    #[test]
    fn the_other_commune_has_three_working_days_and_after_them_the_officer_is_asked() {
        let (rules, calendar) = (rules(), calendar());
        // Friday; the 24th is the day of culture: 23rd, 25th, 26th.
        let sent = date(2026, 11, 20).at(9, 0, 0, 0);
        let at = |now| inquiry(&rules, sent, None, now, &calendar).unwrap();
        let Inquiry::Running(due) = at(date(2026, 11, 24).at(9, 0, 0, 0)) else {
            panic!("it runs");
        };
        assert_eq!(due.date(), date(2026, 11, 26));
        let overdue = at(date(2026, 11, 27).at(8, 0, 0, 0));
        assert_eq!(overdue, Inquiry::Overdue(due));
        assert!(judge(&rules, overdue, "husband").violations.is_empty());
        assert_eq!(judge(&rules, overdue, "husband").questions.len(), 1);
        assert_eq!(judge(&rules, Inquiry::Running(due), "husband").violations.len(), 1);
        let answered = inquiry(&rules, sent, Some(sent), sent, &calendar);
        assert_eq!(answered, Ok(Inquiry::Answered));
    }

    #[test]
    fn silence_agrees_when_the_time_is_over_and_not_before() {
        let (rules, calendar) = (rules(), calendar());
        let sent = date(2026, 11, 18).at(9, 0, 0, 0);
        let end = draft_ends(&rules, sent, &calendar).unwrap();
        assert_eq!(end, date(2026, 11, 20).at(0, 0, 0, 0), "the whole of the day after");
        let before = end.checked_sub(Span::new().minutes(1)).unwrap();
        let state = |answer, now| draft(&rules, sent, answer, now, &calendar).unwrap();
        assert_eq!(state(None, before), Draft::Running(end));
        assert_eq!(state(None, end), Draft::Agreed { by_silence: true });
        assert_eq!(state(Some((Answer::Objected, before)), end), Draft::Objected);
        assert_eq!(
            state(Some((Answer::Objected, end)), end),
            Draft::Agreed { by_silence: true }
        );
        assert_eq!(
            state(Some((Answer::Agreed, sent)), sent),
            Draft::Agreed { by_silence: false }
        );
        assert_eq!(judge_draft(&rules, Draft::Objected, "draft").violations.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The slow way: a day after the other, those of work counted.
        #[test]
        fn three_working_days_are_counted_one_by_one(after in 0..3_000_i32) {
            let (rules, calendar) = (rules(), calendar());
            let sent = date(2016, 1, 1).checked_add(Span::new().days(after)).unwrap();
            let (mut day, mut left) = (sent, 3);
            while left > 0 {
                day = day.tomorrow().unwrap();
                left -= i32::from(calendar.is_working_day(day).unwrap());
            }
            let due = ends(&rules.inter_commune_check, sent.at(9, 0, 0, 0), &calendar).unwrap();
            prop_assert_eq!(due.date(), day);
        }
    }
}
