//! Thời hạn và phí, lệ phí of a case: what its procedure's version says on the day.

use egov_calendar::{
    CalendarError, Effect, Language, Period, Progress, Rules, Status, WorkCalendar, vietnam_instant, vietnam_time,
};
use jiff::Timestamp;

use super::case::{Basis, DayNote, Deadline, Pause, Text};
use super::pack::{Channel, Fact, FactStatus, Procedure, Profile, Time};

/// Why no due date can be worked out.
#[derive(Debug, thiserror::Error)]
pub enum NoDeadline {
    /// The time of the channel is neither confirmed nor decided, or has no value.
    #[error("the time of channel {0} is not decided")]
    NotDecided(&'static str),
    /// The calendar refuses.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
}

/// Since when the clock of a case has run, when it stood still, and what was added to the period.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    /// Thời điểm tiếp nhận.
    pub accepted: Timestamp,
    /// In states 5 and 6; nothing else stops the clock.
    pub pauses: &'a [Pause],
    /// Gia hạn: working days after the period; 0 if it was not extended.
    pub extended_by: u32,
}

/// The period of a case: the one of its channel, or of its case type (trường hợp) where the version sets another one.
///
/// # Errors
/// [`NoDeadline::NotDecided`] where the time is not settled for the profile: a due date is a promise, and nobody
/// promises what is not established.
pub fn period_of<'p>(
    procedure: &'p Procedure,
    profile: Profile,
    channel: Channel,
    conditions: &[String],
) -> Result<(Period, &'p Time), NoDeadline> {
    let undecided = || NoDeadline::NotDecided(channel.as_str());
    let time = procedure.time_for(channel, conditions).ok_or_else(undecided)?;
    let period = time
        .period()
        .filter(|_| time.fact.is_settled(profile))
        .ok_or_else(undecided)?;
    Ok((period, time))
}

/// When a case with this clock is due.
///
/// # Errors
/// Those of [`period_of`], and what the calendar refuses: a pause that lasts, days that it does not cover.
pub fn deadline_of(
    calendar: &WorkCalendar,
    procedure: &Procedure,
    profile: Profile,
    channel: Channel,
    conditions: &[String],
    clock: &Clock<'_>,
) -> Result<Deadline, NoDeadline> {
    let (period, time) = period_of(procedure, profile, channel, conditions)?;
    let received = vietnam_time(clock.accepted);
    let rules = calendar.rules(received.date())?.with_cut_off(time.cut_off);
    let pauses = calendar_pauses(clock.pauses);
    let found = egov_calendar::deadline(calendar, received, period, &rules, &pauses)?;
    let found = egov_calendar::extended(calendar, found, clock.extended_by, &pauses)?;

    let mut counted = 0;
    let days = found
        .explanation
        .iter()
        .map(|note| {
            if let Effect::Counted { n, .. } = note.effect {
                counted = i32::try_from(n).unwrap_or(i32::MAX);
            }
            DayNote {
                date: note.date,
                kind: kind_of(&note.effect).to_owned(),
                counted,
                text: Text {
                    vi: note.text(Language::Vietnamese),
                    en: note.text(Language::English),
                },
            }
        })
        .collect();
    Ok(Deadline {
        due_date: found.due.date(),
        due_time: vietnam_instant(found.due).map_err(|_| NoDeadline::NotDecided(channel.as_str()))?,
        period: Text {
            vi: found.period_text(Language::Vietnamese),
            en: found.period_text(Language::English),
        },
        basis: basis_of(&time.fact),
        days,
        calendar: found.calendar_version,
        awaits_notice: found.days_status == Status::Computed,
    })
}

/// How far the period of a case has run at an instant; an extension is not part of it.
///
/// # Errors
/// Those of [`deadline_of`], except that a pause that lasts is none.
pub fn progress_of(
    calendar: &WorkCalendar,
    procedure: &Procedure,
    profile: Profile,
    channel: Channel,
    conditions: &[String],
    clock: &Clock<'_>,
    now: Timestamp,
) -> Result<(Period, Progress), NoDeadline> {
    let (period, time) = period_of(procedure, profile, channel, conditions)?;
    let received = vietnam_time(clock.accepted);
    let rules: Rules = calendar.rules(received.date())?.with_cut_off(time.cut_off);
    let pauses = calendar_pauses(clock.pauses);
    let progress = egov_calendar::progress(calendar, received, period, &rules, &pauses, vietnam_time(now))?;
    Ok((period, progress))
}

/// The word by which programs tell the days of an explanation apart.
fn kind_of(effect: &Effect) -> &'static str {
    match effect {
        Effect::Received => "received",
        Effect::AfterCutOff { .. } => "after_cut_off",
        Effect::AfterOffice => "after_office",
        Effect::Counted { .. } => "counted",
        Effect::Hours { .. } => "hours",
        Effect::NotCounted => "not_counted",
        Effect::Paused => "paused",
        Effect::PassedOver => "passed_over",
        Effect::MovedHere => "moved_here",
        Effect::Extended { .. } => "extended",
    }
}

/// How a fact is established, as a case keeps it.
pub fn basis_of(fact: &Fact) -> Basis {
    let status = match fact.status {
        FactStatus::Confirmed => "confirmed",
        FactStatus::Unconfirmed => "unconfirmed",
        FactStatus::Decided => "decided",
    };
    Basis {
        status: status.to_owned(),
        basis: fact.basis.clone().unwrap_or_else(|| fact.source.clone()),
        by: fact.by.clone().unwrap_or_default(),
        when: fact.when.map(|day| day.to_string()).unwrap_or_default(),
    }
}

/// The pauses as the calendar reads them.
pub(super) fn calendar_pauses(pauses: &[Pause]) -> Vec<egov_calendar::Pause> {
    pauses.iter().map(calendar_pause).collect()
}

fn calendar_pause(pause: &Pause) -> egov_calendar::Pause {
    egov_calendar::Pause {
        from: vietnam_time(pause.start),
        to: pause.end.map(vietnam_time),
    }
}
