//! Gia hạn giải quyết hồ sơ: one extension, with a reason, an apology and a new date.

use egov_calendar::{CalendarError, WorkCalendar, vietnam_instant};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::case::Deadline;
use super::deadline_rules::DeadlineRules;
use super::pack::Profile;

/// The extension that a case had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Extension {
    /// Due before.
    pub old_due_time: Timestamp,
    /// Ngày hẹn trả mới, as it was promised.
    pub new_due_date: Date,
    /// Working days between the two.
    pub working_days: u32,
    /// Lý do.
    pub reason: String,
    /// Căn cứ pháp lý.
    pub legal_basis: String,
    /// Người ký văn bản xin lỗi.
    pub signer_name: String,
    /// Chức vụ.
    pub signer_title: String,
    /// Cơ quan xin lỗi, by its name on that day.
    pub agency_name: String,
    /// Recorded after the latest moment, where that moment is not established.
    pub after_latest: bool,
    /// When it was recorded.
    pub time: Timestamp,
}

/// What is asked for, in words and with a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Ngày hẹn trả mới.
    pub new_due_date: Date,
    /// Lý do.
    pub reason: String,
    /// Căn cứ pháp lý.
    pub legal_basis: String,
    /// Người ký.
    pub signer_name: String,
    /// Chức vụ.
    pub signer_title: String,
    /// Cơ quan.
    pub agency_name: String,
}

/// Why an extension to this date is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionRefused {
    /// The new date is not after the present one.
    #[error("the new date is not after {0}")]
    NotLater(Date),
    /// Extended by so many working days the case would be due on another day.
    #[error("the period would end on {0}")]
    NotReached(Date),
    /// The office does not work on the new date.
    #[error("{0} is not a working day")]
    DayOff(Date),
    /// The apology had to be given earlier.
    #[error("an extension had to be given by {latest}")]
    TooLate {
        /// The latest moment.
        latest: Timestamp,
        /// The article that says so.
        basis: String,
    },
    /// The calendar does not cover the days needed.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
}

/// The extension of a due date to the date that is wanted: later than what was promised, and so many working days after what the
/// arithmetic gives.
///
/// The latest moment for it is dated law. Where it is established it is kept; where it is not, an extension after it is taken, and says so.
pub fn extension_to(
    calendar: &WorkCalendar,
    rules: Option<&DeadlineRules>,
    profile: Profile,
    (deadline, base): (&Deadline, &Deadline),
    wanted: Wanted,
    now: Timestamp,
) -> Result<Extension, ExtensionRefused> {
    if wanted.new_due_date <= deadline.due_date {
        return Err(ExtensionRefused::NotLater(deadline.due_date));
    }
    if !calendar.is_working_day(wanted.new_due_date)? {
        return Err(ExtensionRefused::DayOff(wanted.new_due_date));
    }
    if wanted.new_due_date <= base.due_date {
        return Err(ExtensionRefused::NotLater(base.due_date));
    }
    let working_days = calendar.working_days_between(base.due_date, wanted.new_due_date)?;
    let mut after_latest = false;
    if let Some(rules) = rules {
        let latest = latest_moment(calendar, rules.extension.notice_working_days, deadline)?;
        if now > latest {
            if rules.extension.fact.is_settled(profile) {
                let basis = rules.extension.legal_basis.clone();
                return Err(ExtensionRefused::TooLate { latest, basis });
            }
            after_latest = true;
        }
    }
    Ok(Extension {
        old_due_time: deadline.due_time,
        new_due_date: wanted.new_due_date,
        working_days: u32::try_from(working_days).unwrap_or(1),
        reason: wanted.reason,
        legal_basis: wanted.legal_basis,
        signer_name: wanted.signer_name,
        signer_title: wanted.signer_title,
        agency_name: wanted.agency_name,
        after_latest,
        time: now,
    })
}

/// The close of the office so many working days before the due date.
pub fn latest_moment(calendar: &WorkCalendar, days: u32, deadline: &Deadline) -> Result<Timestamp, CalendarError> {
    let day = calendar.working_day_before(deadline.due_date, days)?;
    Ok(vietnam_instant(calendar.close(day))
        .unwrap_or(deadline.due_time)
        .min(deadline.due_time))
}
