//! Tính lại thời hạn: open cases are worked out again when the calendar changes.
//!
//! What is left to do stands in `case_deadlines` itself: each row says with which calendar it was looked at last. A process that was
//! killed leaves nothing but work for the next one. A due date that comes out the same stays as it is; one that moves is an entry of
//! the history, a change, an event and a leaf, like any act.

use egov_auth::RowScope;
use egov_calendar::{WorkCalendar, vietnam_time, written_time};
use egov_database::{Database, Lease, UnitOfWork};
use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::act::{PLATFORM, Recorded, announce, deadline_changed, entry};
use super::known_procedures::KnownProcedures;
use crate::domain::case::{Case, Deadline};
use crate::domain::deadline::{Clock, NoDeadline, deadline_of};
use crate::domain::forecast::due_next;
use crate::domain::pack::{Procedure, Profile};
use crate::domain::verify::RECALCULATE_DEADLINE;
use crate::error::Error;
use crate::law::Law;
use crate::store::{Visible, cases, deadlines, history};

/// Its event.
pub(crate) const EVENT: &str = "case_deadline_recalculated";

/// What due dates are worked out by.
pub(crate) struct By<'a> {
    pub(crate) calendar: &'a WorkCalendar,
    pub(crate) procedure: &'a Procedure,
    pub(crate) profile: Profile,
}

/// The due date of an accepted case by another calendar; of one whose clock stands still, as if it had not stopped yet, which is what
/// is shown of it.
pub(crate) fn recalculated(case: &Case, by: &By<'_>) -> Result<Deadline, NoDeadline> {
    // What another system promised no calendar explains, and none moves.
    if let Some(promised) = case.deadline.as_ref().filter(|deadline| deadline.is_taken_over()) {
        return Ok(promised.clone());
    }
    let accepted = case.accept_time.unwrap_or(case.submit_time);
    deadline_of(
        by.calendar,
        by.procedure,
        by.profile,
        case.channel,
        &case.conditions,
        &Clock {
            accepted,
            pauses: &case.ended_pauses(),
            extended_by: case.extended_by(),
        },
    )
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recalculated {
    /// Cases that were looked at.
    pub looked_at: u64,
    /// Whose due date moved.
    pub moved: u64,
    /// Whose due date cannot be worked out with the calendar in force: they keep the one they were promised.
    pub kept: u64,
}

impl Recalculated {
    pub(crate) fn add(&mut self, other: Self) {
        self.looked_at += other.looked_at;
        self.moved += other.moved;
        self.kept += other.kept;
    }
}

/// Whether any open case was not looked at with the calendar in force.
pub(crate) async fn is_anything_left(database: &Database, law: &Law) -> Result<bool, Error> {
    let version = law.calendar.version();
    let left = database
        .read(&RowScope::everything(), async |connection| {
            if !law.is_the_last(&mut *connection).await? {
                return Ok(Vec::new());
            }
            Ok::<_, Error>(deadlines::out_of_date(connection, version, 1).await?)
        })
        .await?;
    Ok(!left.is_empty())
}

/// Looks at up to `limit` of those cases in one transaction.
pub(crate) async fn recalculate_once(
    database: &Database,
    lease: &Lease,
    law: &Law,
    known: &KnownProcedures,
    profile: Profile,
    limit: i64,
) -> Result<Recalculated, Error> {
    database
        .work(lease, async |unit: &mut UnitOfWork<'_>| {
            // By the law in force or not at all: a process that knows another one would move everything back.
            if !law.is_the_last(unit.conn()).await? {
                return Ok(Recalculated::default());
            }
            let ids = deadlines::out_of_date(unit.conn(), law.calendar.version(), limit).await?;
            let mut done = Recalculated::default();
            for case_id in ids {
                done.add(look_again(unit, case_id, law, known, profile).await?);
            }
            Ok::<_, Error>(done)
        })
        .await
}

async fn look_again(
    unit: &mut UnitOfWork<'_>,
    case_id: Uuid,
    law: &Law,
    known: &KnownProcedures,
    profile: Profile,
) -> Result<Recalculated, Error> {
    let (now, today): (_, Date) = (unit.now(), unit.today());
    let before = cases::get_for_update(unit.conn(), case_id, &Visible::everything())
        .await?
        .ok_or(Error::CaseNotFound)?;
    let version = known
        .version(unit.conn(), &before.procedure_code, before.procedure_version)
        .await?;
    let by = By {
        calendar: &law.calendar,
        procedure: &version.procedure,
        profile,
    };
    let mut done = Recalculated {
        looked_at: 1,
        ..Recalculated::default()
    };
    let promised = before.deadline.as_ref().map(|deadline| deadline.due_time);
    let mut after = before.clone();
    // Decided meanwhile: what was promised holds.
    if before.is_open_with_deadline() {
        match recalculated(&before, &by) {
            Ok(deadline) if Some(deadline.due_time) != promised => {
                done.moved = 1;
                after.recalculate(deadline);
                cases::save(unit.conn(), &before, &after, now).await?;
                let entry = entry(
                    &PLATFORM,
                    Some(&before),
                    &after,
                    RECALCULATE_DEADLINE,
                    recorded(&before, &after),
                    now,
                );
                history::append(unit.conn(), case_id, &entry).await?;
                if let Some(change) = deadline_changed(&before, &after, RECALCULATE_DEADLINE, now) {
                    deadlines::record_change(unit.conn(), &change).await?;
                }
                announce(unit, &after, EVENT)?;
            }
            Ok(_) => {}
            Err(refused) => {
                done.kept = 1;
                tracing::warn!(case = before.case_code, reason = %refused, "a due date cannot be worked out again");
            }
        }
    }
    let reminder = law.deadline_rules_on(today).map(|rules| &rules.reminder);
    match due_next(&after, &version.procedure, &law.calendar, reminder) {
        Some(next) => deadlines::keep(unit.conn(), &before, Some(&next)).await?,
        // Left by a version that did not know of it.
        None => deadlines::forget(unit.conn(), case_id).await?,
    }
    Ok(done)
}

/// Old and new date, in words for the history and as data.
fn recorded(before: &Case, after: &Case) -> Recorded {
    let of = |case: &Case| {
        case.deadline
            .as_ref()
            .map(|deadline| (deadline.due_time, deadline.calendar.clone()))
            .unwrap_or_default()
    };
    let ((old, old_calendar), (new, new_calendar)) = (of(before), of(after));
    Recorded {
        reason: format!(
            "Lịch làm việc thay đổi: hạn trả kết quả chuyển từ {} sang {}",
            written_time(vietnam_time(old)),
            written_time(vietnam_time(new))
        ),
        details: json!({
            "old_due_time": old,
            "new_due_time": new,
            "old_calendar": old_calendar,
            "new_calendar": new_calendar,
        }),
        ..Recorded::default()
    }
}
