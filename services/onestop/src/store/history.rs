//! Phiếu kiểm soát quá trình giải quyết: `case_history`, one row a version, never changed.

use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::listing::HistoryEntry;
use crate::domain::transitions::State;

/// Appends an entry.
pub(crate) async fn append(
    connection: &mut PgConnection,
    case_id: Uuid,
    entry: &HistoryEntry,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO case_history (case_id, version, operation, from_state, to_state, step, actor_id, actor_kind,
                                  on_behalf_of, reason, legal_basis, details, event_time, record_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
        "#,
        case_id,
        entry.version,
        entry.operation,
        entry.from_state.map(State::code),
        entry.to_state.code(),
        entry.step,
        entry.actor_id,
        entry.actor_kind,
        entry.on_behalf_of,
        entry.reason,
        entry.legal_basis,
        entry.details,
        entry.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

struct EntryRow {
    version: i64,
    operation: String,
    from_state: Option<i16>,
    to_state: i16,
    step: String,
    actor_id: Uuid,
    actor_kind: String,
    on_behalf_of: Option<Uuid>,
    reason: String,
    legal_basis: String,
    details: serde_json::Value,
    record_time: jiff_sqlx::Timestamp,
}

impl TryFrom<EntryRow> for HistoryEntry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self, StoreError> {
        let state = |code: i16| {
            State::try_from(code).map_err(|_| StoreError::Inconsistent {
                table: "case_history",
                column: "to_state",
            })
        };
        Ok(Self {
            version: row.version,
            operation: row.operation,
            from_state: row.from_state.map(state).transpose()?,
            to_state: state(row.to_state)?,
            step: row.step,
            actor_id: row.actor_id,
            actor_kind: row.actor_kind,
            on_behalf_of: row.on_behalf_of,
            reason: row.reason,
            legal_basis: row.legal_basis,
            details: row.details,
            record_time: row.record_time.to_jiff(),
        })
    }
}

/// The entries after a version, oldest first. Whoever sees the case sees its history: the caller has looked.
pub(crate) async fn list(
    connection: &mut PgConnection,
    case_id: Uuid,
    after_version: i64,
    limit: i64,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"
        SELECT version, operation, from_state, to_state, step, actor_id, actor_kind, on_behalf_of, reason, legal_basis,
               details, record_time
        FROM case_history
        WHERE case_id = $1 AND version > $2
        ORDER BY version
        LIMIT $3
        "#,
        case_id,
        after_version,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(HistoryEntry::try_from).collect()
}

/// The entries by which a case came into another state, oldest first.
pub(crate) async fn list_changes_of_state(
    connection: &mut PgConnection,
    case_id: Uuid,
    limit: i64,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"
        SELECT version, operation, from_state, to_state, step, actor_id, actor_kind, on_behalf_of, reason, legal_basis,
               details, record_time
        FROM case_history
        WHERE case_id = $1 AND from_state IS DISTINCT FROM to_state
        ORDER BY version
        LIMIT $2
        "#,
        case_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(HistoryEntry::try_from).collect()
}

/// The whole history without what happened inside the office only: acts that left the case in its state, were none towards the applicant
/// and said nothing to them.
pub(crate) async fn list_open(
    connection: &mut PgConnection,
    case_id: Uuid,
    after_version: i64,
    limit: i64,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"
        SELECT version, operation, from_state, to_state, step, actor_id, actor_kind, on_behalf_of, reason, legal_basis,
               details, record_time
        FROM case_history
        WHERE case_id = $1 AND version > $2
          AND (from_state IS DISTINCT FROM to_state OR operation NOT IN ('assign', 'record_step', 'send_back', 'confirm_components', 'set_component_state')
               OR details @> '{"for_applicant": true}')
        ORDER BY version
        LIMIT $3
        "#,
        case_id,
        after_version,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(HistoryEntry::try_from).collect()
}
