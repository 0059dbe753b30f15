//! What became of organisations, systems and services.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;

/// One change of an entry of the directory.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Change {
    pub(crate) version: i64,
    pub(crate) change: String,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) record_time: Timestamp,
    pub(crate) document: Value,
}

/// Appends a change of a resource of a kind, kept by a unit.
pub(crate) async fn append(
    conn: &mut PgConnection,
    (kind, resource_id, unit_id): (&str, Uuid, i32),
    change: &Change,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO directory_history
             (resource_id, version, responsible_unit_id, kind, change, reason, actor, record_time, document)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        resource_id,
        change.version,
        unit_id,
        kind,
        change.change,
        change.reason,
        change.actor,
        change.record_time.to_sqlx() as _,
        change.document,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The changes of a resource before a version, the newest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    resource_id: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Change>> {
    let rows = sqlx::query!(
        "SELECT version, change, reason, actor, record_time, document FROM directory_history
         WHERE resource_id = $1 AND version < coalesce($2, 9223372036854775807)
         ORDER BY version DESC LIMIT $3",
        resource_id,
        before,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Change {
            version: row.version,
            change: row.change,
            reason: row.reason,
            actor: row.actor,
            record_time: row.record_time.to_jiff(),
            document: row.document,
        })
        .collect())
}
