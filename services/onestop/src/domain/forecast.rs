//! Dự báo: which cases will be late, and where. And what is due next of an open case, as the lists and jobs of due dates keep it.
//!
//! A case stands at the first step that was not recorded yet. That step is to end by its own time, counted like a due date from when
//! the case came to it; what follows must fit between there and the due date. Both ends are fixed until the next act, so that
//! *will be late* is a comparison with the clock and no computation: from [`Outlook::at_risk_from`] on.

use egov_calendar::{CalendarError, Language, WorkCalendar, latest_start, vietnam_instant, vietnam_time};
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::case::{Case, Pause, Text};
use super::deadline::calendar_pauses;
use super::deadline_rules::ReminderRule;
use super::definition::{Done, way_on};
use super::pack::{Procedure, Step, StepTime};
use super::transitions::State;

/// The steps that belong to the period on the ordinary way of a case, done and left. What is done by the reception is behind every
/// accepted case; handing over comes after the period; waiting for a supplement is no step of it.
pub fn steps_left<'p>(
    procedure: &'p Procedure,
    conditions: &[String],
    recorded: Done<'_>,
) -> (Vec<&'p Step>, Vec<&'p Step>) {
    let within = |way: Vec<&'p Step>| -> Vec<&'p Step> {
        way.into_iter()
            .take_while(|step| step.state != State::Returned)
            .filter(|step| step.state != State::SupplementRequested)
            .collect()
    };
    let mut done = within(procedure.ordinary_way(conditions));
    if procedure.step(recorded.step).is_none() {
        let reception = done.iter().take_while(|step| step.state <= State::Accepted).count();
        let left = done.split_off(reception);
        return (done, left);
    }
    let left = within(way_on(&procedure.steps, recorded, conditions));
    done.retain(|step| left.iter().all(|next| next.code != step.code));
    (done, left)
}

/// A clock that runs: where the case stands and when it is due.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The step that was recorded last, with its outcome.
    pub recorded: Done<'a>,
    /// Which hold, by their codes: they decide between branches.
    pub conditions: &'a [String],
    /// Since when the case stands at the next one.
    pub since: Timestamp,
    /// When the clock stood still.
    pub pauses: &'a [Pause],
    /// Due.
    pub due: Timestamp,
}

/// What can be said of an open case until its next act, whatever the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The step at which it stands; empty where the procedure names none.
    pub step: String,
    /// When that step is to end by its own time; none if it has none.
    pub step_end: Option<Timestamp>,
    /// When it must have ended for all that follows to fit.
    pub latest_step_end: Timestamp,
    /// From this instant on the case will be late as things stand.
    pub at_risk_from: Timestamp,
}

/// When a period that begins at `from` ends.
fn end_of(
    calendar: &WorkCalendar,
    from: DateTime,
    time: StepTime,
    pauses: &[Pause],
) -> Result<DateTime, CalendarError> {
    let Some(period) = time.period() else { return Ok(from) };
    let rules = calendar.rules(from.date())?;
    Ok(egov_calendar::deadline(calendar, from, period, &rules, &calendar_pauses(pauses))?.due)
}

/// When a step must begin at the latest to end by then.
fn start_for(calendar: &WorkCalendar, by: DateTime, time: StepTime) -> Result<DateTime, CalendarError> {
    let Some(period) = time.period() else { return Ok(by) };
    let rules = calendar.rules(by.date())?;
    latest_start(calendar, by, period, &rules)
}

fn instant(at: DateTime) -> Timestamp {
    vietnam_instant(at).unwrap_or(Timestamp::MAX)
}

/// The outlook of a case whose clock runs. Steps without a time take none: then it is the best that can be hoped for.
///
/// # Errors
/// Where the calendar does not cover the days needed.
pub fn outlook(
    calendar: &WorkCalendar,
    procedure: &Procedure,
    standing: &Standing<'_>,
) -> Result<Outlook, CalendarError> {
    let (_, left) = steps_left(procedure, standing.conditions, standing.recorded);
    let current = left.first();
    let following = left.iter().skip(1);
    let mut latest = vietnam_time(standing.due);
    for time in following.rev().filter_map(|step| step.time) {
        latest = start_for(calendar, latest, time)?;
    }
    let latest_step_end = instant(latest);
    let step_end = current
        .and_then(|step| step.time)
        .map(|time| end_of(calendar, vietnam_time(standing.since), time, standing.pauses))
        .transpose()?
        .map(instant);
    let at_risk_from = match step_end {
        Some(end) if end > latest_step_end => standing.since,
        _ => latest_step_end + SignedDuration::from_secs(1),
    };
    Ok(Outlook {
        step: current.map(|step| step.code.clone()).unwrap_or_default(),
        step_end,
        latest_step_end,
        at_risk_from,
    })
}

/// What is foreseen of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepForecast {
    /// Its code.
    pub code: String,
    /// Tên bước.
    pub name: String,
    /// Who does it.
    pub role: String,
    /// Its time in words, if it has one.
    pub period: Option<Text>,
    /// Behind the case.
    pub done: bool,
    /// The case stands at it.
    pub current: bool,
    /// When it is expected to end; none for what is done.
    pub expected_end: Option<Timestamp>,
    /// When it must have ended; none for what is done.
    pub latest_end: Option<Timestamp>,
}

/// What is foreseen of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// The steps of the period.
    pub steps: Vec<StepForecast>,
    /// When the decision is expected.
    pub expected_end: Timestamp,
    /// Whether that is after the due date.
    pub late: bool,
    /// Working days by which it is expected to be late.
    pub late_working_days: i64,
    /// False if steps that are left have no time.
    pub complete: bool,
}

/// What is foreseen at an instant, step by step.
///
/// # Errors
/// Where the calendar does not cover the days needed.
pub fn forecast(
    calendar: &WorkCalendar,
    procedure: &Procedure,
    standing: &Standing<'_>,
    now: Timestamp,
) -> Result<Forecast, CalendarError> {
    let (done, left) = steps_left(procedure, standing.conditions, standing.recorded);
    let mut latest_ends = Vec::with_capacity(left.len());
    let mut latest = vietnam_time(standing.due);
    for step in left.iter().rev() {
        latest_ends.push(instant(latest));
        if let Some(time) = step.time {
            latest = start_for(calendar, latest, time)?;
        }
    }
    let mut steps: Vec<StepForecast> = done
        .iter()
        .map(|step| StepForecast {
            done: true,
            ..of_step(step)
        })
        .collect();
    let mut at = vietnam_time(now);
    for (place, (step, latest_end)) in left.iter().zip(latest_ends.into_iter().rev()).enumerate() {
        if let Some(time) = step.time {
            at = if place == 0 {
                // What was begun goes on: it ends by its own time, or now at the earliest if that has passed.
                at.max(end_of(calendar, vietnam_time(standing.since), time, standing.pauses)?)
            } else {
                end_of(calendar, at, time, &[])?
            };
        }
        steps.push(StepForecast {
            current: place == 0,
            expected_end: Some(instant(at)),
            latest_end: Some(latest_end),
            ..of_step(step)
        });
    }
    let expected_end = instant(at);
    let late = expected_end > standing.due;
    let late_working_days = if late {
        calendar.working_days_between(vietnam_time(standing.due).date(), at.date())?
    } else {
        0
    };
    Ok(Forecast {
        steps,
        expected_end,
        late,
        late_working_days,
        complete: left
            .iter()
            .all(|step| step.time.is_some_and(|time| time.period().is_some())),
    })
}

fn of_step(step: &Step) -> StepForecast {
    let period = step.time.and_then(StepTime::period).map(|period| Text {
        vi: period.text(Language::Vietnamese),
        en: period.text(Language::English),
    });
    StepForecast {
        code: step.code.clone(),
        name: step.name.clone(),
        role: step.role.clone(),
        period,
        done: false,
        current: false,
        expected_end: None,
        latest_end: None,
    }
}

/// Thông báo: what is told about a due date, once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// Sắp đến hạn: before expiry.
    DueSoon,
    /// Quá hạn: after it.
    Overdue,
}

impl NoticeKind {
    /// The number under which it is kept.
    pub const fn number(self) -> i16 {
        match self {
            Self::DueSoon => 1,
            Self::Overdue => 2,
        }
    }

    /// The kind of a number.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::DueSoon),
            2 => Some(Self::Overdue),
            _ => None,
        }
    }

    /// The name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DueSoon => "due_soon",
            Self::Overdue => "overdue",
        }
    }
}

/// When a reminder comes: as the office opens so many working days before the due date; where that is not after `since`, so many
/// minutes before it; none where that is not after it either.
pub fn remind_at(calendar: &WorkCalendar, rule: &ReminderRule, since: Timestamp, due: Timestamp) -> Option<Timestamp> {
    let day = calendar
        .working_day_before(vietnam_time(due).date(), rule.working_days_before)
        .ok();
    let days_before = day.map(|day| instant(calendar.opening(day)));
    let minutes_before = due
        .checked_sub(SignedDuration::from_mins(i64::from(rule.minutes_before)))
        .ok();
    days_before
        .into_iter()
        .chain(minutes_before)
        .find(|at| *at > since && *at < due)
}

/// What is due next of an open case, as it is kept beside the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueNext {
    /// The case.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// Its version.
    pub procedure_version: i32,
    /// 2, 4, 5 or 6.
    pub state: State,
    /// The step that was recorded last.
    pub recorded_step: String,
    /// The step at which it stands.
    pub current_step: String,
    /// Cơ quan có thẩm quyền.
    pub responsible_unit_id: i32,
    /// The citizen's account.
    pub owner_id: Option<Uuid>,
    /// Người được phân công.
    pub assignee_id: Option<Uuid>,
    /// Due.
    pub due_time: Timestamp,
    /// Since when it stands at its step.
    pub step_since: Timestamp,
    /// When that step is to end by its own time.
    pub step_end: Option<Timestamp>,
    /// When it must have ended.
    pub latest_step_end: Timestamp,
    /// From then on it will be late; none while the clock stands still.
    pub at_risk_from: Option<Timestamp>,
    /// The next notice, if there is one.
    pub notice: Option<(NoticeKind, Timestamp)>,
    /// Version of the calendar with which this was worked out.
    pub calendar: String,
}

impl DueNext {
    /// True while the clock stands still.
    pub fn is_paused(&self) -> bool {
        self.state.pauses_clock()
    }
}

/// What is due next of this case; none before acceptance and after the decision.
pub fn due_next(
    case: &Case,
    procedure: &Procedure,
    calendar: &WorkCalendar,
    reminder: Option<&ReminderRule>,
) -> Option<DueNext> {
    let accepted = case.accept_time.filter(|_| case.is_open_with_deadline())?;
    let due = case.deadline.as_ref()?.due_time;
    let since = case.step_since.unwrap_or(accepted);
    let standing = Standing {
        recorded: case.done(),
        conditions: &case.conditions,
        since,
        pauses: &case.ended_pauses(),
        due,
    };
    // Where the calendar ends nothing can be foreseen; that the case is due is known all the same.
    let outlook = outlook(calendar, procedure, &standing).unwrap_or_else(|_| Outlook {
        step: steps_left(procedure, &case.conditions, case.done())
            .1
            .first()
            .map(|step| step.code.clone())
            .unwrap_or_default(),
        step_end: None,
        latest_step_end: due,
        at_risk_from: due,
    });
    let running = !case.is_paused();
    let reminded = reminder.and_then(|rule| remind_at(calendar, rule, accepted, due));
    let notice = match reminded {
        Some(at) => (NoticeKind::DueSoon, at),
        None => (NoticeKind::Overdue, due),
    };
    Some(DueNext {
        case_id: case.case_id,
        case_code: case.case_code.clone(),
        procedure_code: case.procedure_code.clone(),
        procedure_version: case.procedure_version,
        state: case.state,
        recorded_step: case.step.clone(),
        current_step: outlook.step,
        responsible_unit_id: case.responsible_unit_id,
        owner_id: case.owner_id,
        assignee_id: case.assignee_id,
        due_time: due,
        step_since: since,
        step_end: outlook.step_end.filter(|_| running),
        latest_step_end: outlook.latest_step_end,
        at_risk_from: running.then_some(outlook.at_risk_from),
        notice: running.then_some(notice),
        calendar: calendar.version().to_owned(),
    })
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
