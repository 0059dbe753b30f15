//! Thời hạn và phí, lệ phí of a case: what its procedure's version says on the day.

use egov_calendar::{CalendarError, Effect, Language, WorkCalendar, vietnam_instant, vietnam_time};
use jiff::Timestamp;

use super::case::{Basis, DayNote, Deadline, Pause, Text};
use super::pack::{Channel, Fact, FactStatus, Procedure, Profile};

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

/// When a case that was accepted at this instant is due.
///
/// # Errors
/// [`NoDeadline::NotDecided`] where the time is not settled for the profile: a due date is a promise, and nobody
/// promises what is not established.
pub fn deadline_of(
    calendar: &WorkCalendar,
    procedure: &Procedure,
    profile: Profile,
    channel: Channel,
    conditions: &[String],
    accepted: Timestamp,
    pauses: &[Pause],
) -> Result<Deadline, NoDeadline> {
    let undecided = || NoDeadline::NotDecided(channel.as_str());
    let time = procedure.time_for(channel, conditions).ok_or_else(undecided)?;
    let period = time
        .period()
        .filter(|_| time.fact.is_settled(profile))
        .ok_or_else(undecided)?;

    let received = vietnam_time(accepted);
    let rules = calendar.rules(received.date())?.with_cut_off(time.cut_off);
    let pauses: Vec<egov_calendar::Pause> = pauses.iter().map(calendar_pause).collect();
    let found = egov_calendar::deadline(calendar, received, period, &rules, &pauses)?;

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
        due_time: vietnam_instant(found.due).map_err(|_| undecided())?,
        period: Text {
            vi: period.text(Language::Vietnamese),
            en: period.text(Language::English),
        },
        basis: basis_of(&time.fact),
        days,
    })
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

fn calendar_pause(pause: &Pause) -> egov_calendar::Pause {
    egov_calendar::Pause {
        from: vietnam_time(pause.start),
        to: pause.end.map(vietnam_time),
    }
}
