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

/// The entries after a version, oldest first. Whoever sees the case sees its history: the caller has looked.
pub(crate) async fn list(
    connection: &mut PgConnection,
    case_id: Uuid,
    after_version: i64,
    limit: i64,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let rows = sqlx::query!(
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
    let state = |code: i16| {
        State::try_from(code).map_err(|_| StoreError::Inconsistent {
            table: "case_history",
            column: "to_state",
        })
    };
    rows.into_iter()
        .map(|row| {
            Ok(HistoryEntry {
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
        })
        .collect()
}
