//! Nhắc việc: before a period expires, and when it has, the service says so by an event, once.
//!
//! When the next notice of a case is to be given stands in its row of `case_deadlines`; that it was given is a row of its own, whose
//! key lets it be given once for a due date. Both are written in the transaction of the event.

use egov_auth::RowScope;
use egov_calendar::vietnam_time;
use egov_database::{Database, Event, Lease, UnitOfWork};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::domain::forecast::{DueNext, NoticeKind};
use crate::error::Error;
use crate::store::deadlines;

/// The kind of aggregate of these events: a notice changes no case.
pub(crate) const KIND: &str = "deadline_notice";

/// Whether any notice is to be given.
pub(crate) async fn is_anything_due(database: &Database, now: Timestamp) -> Result<bool, Error> {
    database
        .read(&RowScope::everything(), async |connection| {
            Ok::<_, Error>(deadlines::is_notice_due(connection, now).await?)
        })
        .await
}

/// Gives up to `limit` notices in one transaction: how many were looked at, and how many were given.
pub(crate) async fn remind_once(database: &Database, lease: &Lease, limit: i64) -> Result<(usize, usize), Error> {
    database
        .work(lease, async |unit: &mut UnitOfWork<'_>| {
            let now = unit.now();
            let due = deadlines::with_notice_due(unit.conn(), now, limit).await?;
            let mut given = 0;
            for next in &due {
                given += usize::from(remind(unit, next, now).await?);
            }
            Ok::<_, Error>((due.len(), given))
        })
        .await
}

async fn remind(unit: &mut UnitOfWork<'_>, next: &DueNext, now: Timestamp) -> Result<bool, Error> {
    let overdue = now >= next.due_time;
    // A reminder that would come after the period has expired is none.
    let kind = if overdue {
        NoticeKind::Overdue
    } else {
        NoticeKind::DueSoon
    };
    let first = deadlines::record_notice(unit.conn(), next, kind, now).await?;
    let then = (!overdue).then_some((NoticeKind::Overdue, next.due_time));
    deadlines::set_notice(unit.conn(), next.case_id, then).await?;
    if first {
        let notice_id = unit.new_id();
        unit.publish(event_of(next, kind, notice_id));
    }
    Ok(first)
}

/// Ids, codes and times: whoever reminds people of it looks at the case with rights of their own.
fn event_of(next: &DueNext, kind: NoticeKind, notice_id: Uuid) -> Event {
    Event {
        aggregate_kind: KIND,
        aggregate_id: notice_id,
        version: 1,
        kind: match kind {
            NoticeKind::DueSoon => "case_due_soon",
            NoticeKind::Overdue => "case_overdue",
        },
        payload: json!({
            "case_id": next.case_id,
            "case_code": next.case_code,
            "procedure_code": next.procedure_code,
            "state": next.state.code(),
            "step": next.current_step,
            "responsible_unit_id": next.responsible_unit_id,
            "assignee_id": next.assignee_id,
            "due_time": next.due_time,
            "due_date": vietnam_time(next.due_time).date(),
        }),
    }
}
