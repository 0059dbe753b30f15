//! Thời hạn: `case_deadlines` (what is due next of open cases), what moved, and what was told.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::{PgConnection, QueryBuilder, Row as _};
use uuid::Uuid;

use super::cases::state;
use super::{StoreError, Visible, one_row};
use crate::domain::case::Case;
use crate::domain::forecast::{DueNext, NoticeKind};
use crate::domain::listing::{
    AfterChange, AfterDue, AfterPlace, AtRiskFilter, ChangeFilter, DeadlineChanged, ForecastGroup, NoticeGiven,
};

fn kind(number: i16) -> Result<NoticeKind, StoreError> {
    NoticeKind::from_number(number).ok_or(StoreError::Inconsistent {
        table: "case_deadlines",
        column: "notice_kind",
    })
}

/// Keeps what is due next of a case after an act; takes it away once the case is decided or has ended. Notices that were given about
/// the same due date are not given again.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    before: &Case,
    next: Option<&DueNext>,
) -> Result<(), StoreError> {
    let Some(next) = next else {
        if before.is_open_with_deadline() {
            forget(connection, before.case_id).await?;
        }
        return Ok(());
    };
    let (notice_kind, notice_time) = notice_of(next);
    let kept = sqlx::query!(
        r#"
        INSERT INTO case_deadlines AS kept
               (case_id, case_code, procedure_code, procedure_version, state, recorded_step, current_step, responsible_unit_id,
                owner_id, assignee_id, due_time, step_since, step_end, latest_step_end, at_risk_from, notice_kind, notice_time,
                calendar_version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        ON CONFLICT (case_id) DO UPDATE
        SET procedure_version = excluded.procedure_version, state = excluded.state, recorded_step = excluded.recorded_step,
            current_step = excluded.current_step, responsible_unit_id = excluded.responsible_unit_id,
            assignee_id = excluded.assignee_id, due_time = excluded.due_time, step_since = excluded.step_since,
            step_end = excluded.step_end, latest_step_end = excluded.latest_step_end, at_risk_from = excluded.at_risk_from,
            notice_kind = CASE WHEN kept.due_time = excluded.due_time AND (kept.state IN (5, 6)) = (excluded.state IN (5, 6))
                                    AND kept.calendar_version <> ''
                               THEN kept.notice_kind ELSE excluded.notice_kind END,
            notice_time = CASE WHEN kept.due_time = excluded.due_time AND (kept.state IN (5, 6)) = (excluded.state IN (5, 6))
                                    AND kept.calendar_version <> ''
                               THEN kept.notice_time ELSE excluded.notice_time END,
            calendar_version = excluded.calendar_version
        "#,
        next.case_id,
        next.case_code,
        next.procedure_code,
        next.procedure_version,
        next.state.code(),
        next.recorded_step,
        next.current_step,
        next.responsible_unit_id,
        next.owner_id,
        next.assignee_id,
        next.due_time.to_sqlx() as _,
        next.step_since.to_sqlx() as _,
        next.step_end.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        next.latest_step_end.to_sqlx() as _,
        next.at_risk_from.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        notice_kind,
        notice_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        next.calendar,
    )
    .execute(connection)
    .await?;
    one_row("case_deadlines", kept.rows_affected())
}

/// Takes away what was due next of a case.
pub(crate) async fn forget(connection: &mut PgConnection, case_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM case_deadlines WHERE case_id = $1", case_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// The columns of the next notice.
pub(super) fn notice_of(next: &DueNext) -> (i16, Option<Timestamp>) {
    match next.notice {
        Some((kind, at)) => (kind.number(), Some(at)),
        None => (NoticeKind::DueSoon.number(), None),
    }
}

/// Appends that the due date of a case moved.
pub(crate) async fn record_change(connection: &mut PgConnection, change: &DeadlineChanged) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO case_deadline_changes (case_id, version, cause, old_due_time, new_due_time, old_calendar, new_calendar,
                                           responsible_unit_id, change_time, case_code, owner_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        "#,
        change.case_id,
        change.version,
        change.cause,
        change.old_due_time.to_sqlx() as _,
        change.new_due_time.to_sqlx() as _,
        change.old_calendar,
        change.new_calendar,
        change.responsible_unit_id,
        change.change_time.to_sqlx() as _,
        change.case_code,
        change.owner_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Every change of a case's due date, oldest first. Whoever sees the case sees them: the caller has looked.
pub(crate) async fn changes_of(
    connection: &mut PgConnection,
    case_id: Uuid,
    case_code: &str,
) -> Result<Vec<DeadlineChanged>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT version, cause, old_due_time, new_due_time, old_calendar, new_calendar, responsible_unit_id, change_time
        FROM case_deadline_changes WHERE case_id = $1 ORDER BY version
        "#,
        case_id
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| DeadlineChanged {
            case_id,
            case_code: case_code.to_owned(),
            owner_id: None,
            version: row.version,
            cause: row.cause,
            old_due_time: row.old_due_time.to_jiff(),
            new_due_time: row.new_due_time.to_jiff(),
            old_calendar: row.old_calendar,
            new_calendar: row.new_calendar,
            responsible_unit_id: row.responsible_unit_id,
            change_time: row.change_time.to_jiff(),
        })
        .collect())
}

/// The notices that were given about a case's due dates, oldest first.
pub(crate) async fn notices_of(connection: &mut PgConnection, case_id: Uuid) -> Result<Vec<NoticeGiven>, StoreError> {
    let rows = sqlx::query!(
        "SELECT kind, due_time, notice_time FROM case_deadline_notices WHERE case_id = $1 ORDER BY notice_time, kind",
        case_id
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(NoticeGiven {
                kind: kind(row.kind)?,
                due_time: row.due_time.to_jiff(),
                notice_time: row.notice_time.to_jiff(),
            })
        })
        .collect()
}

/// When a case was decided, if it was.
pub(crate) async fn decided_at(connection: &mut PgConnection, case_id: Uuid) -> Result<Option<Timestamp>, StoreError> {
    let decided = sqlx::query_scalar!(
        r#"SELECT max(record_time) FROM case_history WHERE case_id = $1 AND operation = 'approve'"#,
        case_id
    )
    .fetch_one(connection)
    .await?;
    Ok(decided.map(jiff_sqlx::Timestamp::to_jiff))
}

/// When a case was first answered (taken in, asked to be completed, refused), and when it first went to who handles it, by whichever act.
pub(crate) async fn reception_of(
    connection: &mut PgConnection,
    case_id: Uuid,
) -> Result<(Option<Timestamp>, Option<Timestamp>), StoreError> {
    let found = sqlx::query!(
        r#"
        SELECT min(record_time) FILTER (WHERE operation IN ('accept', 'reject', 'request_supplement')) AS answered,
               min(record_time) FILTER (WHERE from_state = 2 AND to_state = 4) AS transferred
        FROM case_history WHERE case_id = $1
        "#,
        case_id
    )
    .fetch_one(connection)
    .await?;
    let instant = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
    Ok((instant(found.answered), instant(found.transferred)))
}

/// Whether any notice is to be given by now.
pub(crate) async fn is_notice_due(connection: &mut PgConnection, now: Timestamp) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM case_deadlines WHERE notice_time <= $1) AS "due!""#,
        now.to_sqlx() as _
    )
    .fetch_one(connection)
    .await?)
}

/// The first cases of which a notice is to be given by now, held until the transaction ends. What somebody acts on at this moment is
/// left for the next look: waiting for an act that waits for this row would be a deadlock.
pub(crate) async fn with_notice_due(
    connection: &mut PgConnection,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<DueNext>, StoreError> {
    let rows = sqlx::query_as!(
        DueRow,
        r#"
        SELECT d.case_id, d.case_code, d.procedure_code, d.procedure_version, d.state, d.recorded_step, d.current_step,
               d.responsible_unit_id, d.owner_id, d.assignee_id, d.due_time, d.step_since, d.step_end, d.latest_step_end,
               d.at_risk_from, d.notice_kind, d.notice_time, d.calendar_version
        FROM case_deadlines AS d JOIN cases AS c USING (case_id)
        WHERE d.notice_time <= $1
        ORDER BY d.notice_time, d.case_id LIMIT $2
        FOR UPDATE OF d SKIP LOCKED FOR KEY SHARE OF c SKIP LOCKED
        "#,
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(DueNext::try_from).collect()
}

/// Records that a notice was given; false if it had been given before.
pub(crate) async fn record_notice(
    connection: &mut PgConnection,
    next: &DueNext,
    given: NoticeKind,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let recorded = sqlx::query!(
        "INSERT INTO case_deadline_notices (case_id, due_time, kind, notice_time) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        next.case_id,
        next.due_time.to_sqlx() as _,
        given.number(),
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(recorded.rows_affected() == 1)
}

/// Sets when the next notice is to be given; none if there is none.
pub(crate) async fn set_notice(
    connection: &mut PgConnection,
    case_id: Uuid,
    next: Option<(NoticeKind, Timestamp)>,
) -> Result<(), StoreError> {
    let set = sqlx::query!(
        "UPDATE case_deadlines SET notice_kind = $2, notice_time = $3 WHERE case_id = $1",
        case_id,
        next.map_or(NoticeKind::Overdue, |(kind, _)| kind).number(),
        next.map(|(_, at)| at.to_sqlx()) as _,
    )
    .execute(connection)
    .await?;
    one_row("case_deadlines", set.rows_affected())
}

/// Open cases that were not looked at with this version of the calendar, the first by version and id, after a place.
pub(crate) async fn out_of_date(
    connection: &mut PgConnection,
    calendar: &str,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    // Two ranges of the index instead of `<>`, which would read all of it.
    Ok(sqlx::query_scalar!(
        r#"
        (SELECT case_id AS "case_id!" FROM case_deadlines WHERE calendar_version < $1 ORDER BY calendar_version, case_id LIMIT $2)
        UNION ALL
        (SELECT case_id FROM case_deadlines WHERE calendar_version > $1 ORDER BY calendar_version, case_id LIMIT $2)
        LIMIT $2
        "#,
        calendar,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// The ids of open cases in scope after one of them, in their order, for a preview.
pub(crate) async fn open_after(
    connection: &mut PgConnection,
    visible: &Visible,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT case_id FROM case_deadlines
           WHERE case_id > $1 AND ($2 OR responsible_unit_id = ANY ($3))
           ORDER BY case_id LIMIT $4"#,
        after.unwrap_or_default(),
        visible.all,
        &visible.units,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

pub(super) struct DueRow {
    pub(super) case_id: Uuid,
    case_code: String,
    procedure_code: String,
    procedure_version: i32,
    state: i16,
    recorded_step: String,
    current_step: String,
    responsible_unit_id: i32,
    owner_id: Option<Uuid>,
    assignee_id: Option<Uuid>,
    due_time: jiff_sqlx::Timestamp,
    step_since: jiff_sqlx::Timestamp,
    step_end: Option<jiff_sqlx::Timestamp>,
    latest_step_end: jiff_sqlx::Timestamp,
    at_risk_from: Option<jiff_sqlx::Timestamp>,
    notice_kind: i16,
    notice_time: Option<jiff_sqlx::Timestamp>,
    calendar_version: String,
}

impl TryFrom<DueRow> for DueNext {
    type Error = StoreError;

    fn try_from(row: DueRow) -> Result<Self, StoreError> {
        let notice_kind = kind(row.notice_kind)?;
        Ok(Self {
            case_id: row.case_id,
            case_code: row.case_code,
            procedure_code: row.procedure_code,
            procedure_version: row.procedure_version,
            state: state(row.state, "state")?,
            recorded_step: row.recorded_step,
            current_step: row.current_step,
            responsible_unit_id: row.responsible_unit_id,
            owner_id: row.owner_id,
            assignee_id: row.assignee_id,
            due_time: row.due_time.to_jiff(),
            step_since: row.step_since.to_jiff(),
            step_end: row.step_end.map(jiff_sqlx::Timestamp::to_jiff),
            latest_step_end: row.latest_step_end.to_jiff(),
            at_risk_from: row.at_risk_from.map(jiff_sqlx::Timestamp::to_jiff),
            notice: row.notice_time.map(|at| (notice_kind, at.to_jiff())),
            calendar: row.calendar_version,
        })
    }
}

/// What is due next of these cases, for the verification.
pub(super) async fn of_cases(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<DueNext>, StoreError> {
    let rows = sqlx::query_as!(
        DueRow,
        r#"
        SELECT case_id, case_code, procedure_code, procedure_version, state, recorded_step, current_step, responsible_unit_id,
               owner_id, assignee_id, due_time, step_since, step_end, latest_step_end, at_risk_from, notice_kind, notice_time,
               calendar_version
        FROM case_deadlines WHERE case_id = ANY ($1)
        "#,
        ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(DueNext::try_from).collect()
}

const AT_RISK: &str = "SELECT case_id, case_code, procedure_code, procedure_version, state, recorded_step, current_step, \
                       responsible_unit_id, owner_id, assignee_id, due_time, step_since, step_end, latest_step_end, \
                       at_risk_from, notice_kind, notice_time, calendar_version FROM case_deadlines WHERE ";

/// One page of the cases that will be late, the first to be due first.
pub(crate) async fn at_risk(
    connection: &mut PgConnection,
    visible: &Visible,
    filter: &AtRiskFilter,
    after: Option<&AfterDue>,
    limit: i64,
) -> Result<Vec<DueNext>, StoreError> {
    let rows = at_risk_query(AT_RISK, visible, filter, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.into_iter()
        .map(|row| {
            DueNext::try_from(DueRow {
                case_id: row.try_get("case_id")?,
                case_code: row.try_get("case_code")?,
                procedure_code: row.try_get("procedure_code")?,
                procedure_version: row.try_get("procedure_version")?,
                state: row.try_get("state")?,
                recorded_step: row.try_get("recorded_step")?,
                current_step: row.try_get("current_step")?,
                responsible_unit_id: row.try_get("responsible_unit_id")?,
                owner_id: row.try_get("owner_id")?,
                assignee_id: row.try_get("assignee_id")?,
                due_time: row.try_get("due_time")?,
                step_since: row.try_get("step_since")?,
                step_end: row.try_get("step_end")?,
                latest_step_end: row.try_get("latest_step_end")?,
                at_risk_from: row.try_get("at_risk_from")?,
                notice_kind: row.try_get("notice_kind")?,
                notice_time: row.try_get("notice_time")?,
                calendar_version: row.try_get("calendar_version")?,
            })
        })
        .collect()
}

/// A page of each unit joined by UNION, as lists of cases are: only so each is read along its index.
fn at_risk_query(
    head: &str,
    visible: &Visible,
    filter: &AtRiskFilter,
    after: Option<&AfterDue>,
    limit: i64,
) -> QueryBuilder<sqlx::Postgres> {
    let mut query = QueryBuilder::new(head);
    let part = |query: &mut QueryBuilder<sqlx::Postgres>, reason: &Visible| {
        push_units(query, reason);
        query.push(" AND at_risk_from <= ").push_bind(filter.as_of.to_sqlx());
        if let Some(unit_id) = filter.unit_id {
            query.push(" AND responsible_unit_id = ").push_bind(unit_id);
        }
        if let Some(procedure_code) = &filter.procedure_code {
            query.push(" AND procedure_code = ").push_bind(procedure_code.clone());
        }
        if let Some(step) = &filter.step {
            query.push(" AND current_step = ").push_bind(step.clone());
        }
        if let Some(after) = after {
            query
                .push(" AND (due_time, case_id) > (")
                .push_bind(after.due_time.to_sqlx())
                .push(", ")
                .push_bind(after.case_id)
                .push(")");
        }
        query.push(format_args!(" ORDER BY due_time, case_id LIMIT {limit}"));
    };
    match visible.reasons().as_slice() {
        [reason] => part(&mut query, reason),
        reasons => {
            query.push("case_id IN (SELECT case_id FROM (");
            for (number, reason) in reasons.iter().enumerate() {
                query.push(if number == 0 { "(" } else { " UNION (" });
                query.push("SELECT case_id, due_time FROM case_deadlines WHERE ");
                part(&mut query, reason);
                query.push(")");
            }
            query.push(format_args!(
                ") AS pages ORDER BY due_time, case_id LIMIT {limit}) ORDER BY due_time, case_id LIMIT {limit}"
            ));
        }
    }
    query
}

pub(super) fn push_units(query: &mut QueryBuilder<sqlx::Postgres>, visible: &Visible) {
    match visible.units.as_slice() {
        _ if visible.all => query.push("true"),
        [unit] => query.push("responsible_unit_id = ").push_bind(*unit),
        units => query
            .push("responsible_unit_id = ANY (")
            .push_bind(units.to_vec())
            .push(")"),
    };
}

const GROUPS: &str = "SELECT responsible_unit_id, procedure_code, current_step, count(*) AS open, \
                      count(*) FILTER (WHERE state IN (5, 6)) AS paused, ";

/// One page of where open cases stand: by unit, procedure and step.
pub(crate) async fn forecast(
    connection: &mut PgConnection,
    visible: &Visible,
    unit_id: Option<i32>,
    times: (Timestamp, Timestamp),
    after: Option<&AfterPlace>,
    limit: i64,
) -> Result<Vec<ForecastGroup>, StoreError> {
    let rows = forecast_query(GROUPS, visible, unit_id, times, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ForecastGroup {
                responsible_unit_id: row.try_get("responsible_unit_id")?,
                procedure_code: row.try_get("procedure_code")?,
                step: row.try_get("current_step")?,
                open: row.try_get("open")?,
                paused: row.try_get("paused")?,
                at_risk: row.try_get("at_risk")?,
                overdue: row.try_get("overdue")?,
                next_due: row
                    .try_get::<Option<jiff_sqlx::Timestamp>, _>("next_due")?
                    .map(jiff_sqlx::Timestamp::to_jiff),
            })
        })
        .collect()
}

/// `times`: what will be late by the first is at risk, what was due before the second is overdue.
fn forecast_query(
    head: &str,
    visible: &Visible,
    unit_id: Option<i32>,
    (as_of, now): (Timestamp, Timestamp),
    after: Option<&AfterPlace>,
    limit: i64,
) -> QueryBuilder<sqlx::Postgres> {
    let mut query = QueryBuilder::new(head);
    query
        .push("count(*) FILTER (WHERE at_risk_from <= ")
        .push_bind(as_of.to_sqlx())
        .push(") AS at_risk, count(*) FILTER (WHERE state NOT IN (5, 6) AND due_time < ")
        .push_bind(now.to_sqlx())
        .push(") AS overdue, min(due_time) FILTER (WHERE state NOT IN (5, 6)) AS next_due FROM case_deadlines WHERE ");
    push_units(&mut query, visible);
    if let Some(unit_id) = unit_id {
        query.push(" AND responsible_unit_id = ").push_bind(unit_id);
    }
    if let Some(after) = after {
        query
            .push(" AND (responsible_unit_id, procedure_code, current_step) > (")
            .push_bind(after.responsible_unit_id)
            .push(", ")
            .push_bind(after.procedure_code.clone())
            .push(", ")
            .push_bind(after.step.clone())
            .push(")");
    }
    query.push(format_args!(
        " GROUP BY responsible_unit_id, procedure_code, current_step \
         ORDER BY responsible_unit_id, procedure_code, current_step LIMIT {limit}"
    ));
    query
}

const CHANGES: &str = "SELECT case_id, version, cause, old_due_time, new_due_time, old_calendar, new_calendar, \
                       responsible_unit_id, change_time, case_code, owner_id FROM case_deadline_changes WHERE ";

/// One page of the due dates that moved, the latest first.
pub(crate) async fn changes(
    connection: &mut PgConnection,
    visible: &Visible,
    filter: &ChangeFilter,
    after: Option<&AfterChange>,
    limit: i64,
) -> Result<Vec<DeadlineChanged>, StoreError> {
    let rows = changes_query(CHANGES, visible, filter, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(DeadlineChanged {
                case_id: row.try_get("case_id")?,
                case_code: row.try_get("case_code")?,
                owner_id: row.try_get("owner_id")?,
                version: row.try_get("version")?,
                cause: row.try_get("cause")?,
                old_due_time: row.try_get::<jiff_sqlx::Timestamp, _>("old_due_time")?.to_jiff(),
                new_due_time: row.try_get::<jiff_sqlx::Timestamp, _>("new_due_time")?.to_jiff(),
                old_calendar: row.try_get("old_calendar")?,
                new_calendar: row.try_get("new_calendar")?,
                responsible_unit_id: row.try_get("responsible_unit_id")?,
                change_time: row.try_get::<jiff_sqlx::Timestamp, _>("change_time")?.to_jiff(),
            })
        })
        .collect()
}

/// By the unit of the day; that the case is visible still is the matter of its policy.
fn changes_query(
    head: &str,
    visible: &Visible,
    filter: &ChangeFilter,
    after: Option<&AfterChange>,
    limit: i64,
) -> QueryBuilder<sqlx::Postgres> {
    let mut query = QueryBuilder::new(head);
    push_units(&mut query, visible);
    if let Some(unit_id) = filter.unit_id {
        query.push(" AND responsible_unit_id = ").push_bind(unit_id);
    }
    if let Some(cause) = filter.cause {
        query.push(" AND cause = ").push_bind(cause);
    }
    if let Some(after) = after {
        query
            .push(" AND (change_time, case_id, version) < (")
            .push_bind(after.change_time.to_sqlx())
            .push(", ")
            .push_bind(after.case_id)
            .push(", ")
            .push_bind(after.version)
            .push(")");
    }
    query.push(format_args!(
        " ORDER BY change_time DESC, case_id DESC, version DESC LIMIT {limit}"
    ));
    query
}

#[cfg(test)]
#[path = "deadlines_plans.rs"]
mod plans;
