//! The record of sign-ins and administration.

use egov_database::sql_fault;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::domain::record::{AccessRecord, NewRecord};

/// Writes an entry.
pub(crate) async fn insert(conn: &mut PgConnection, record: &NewRecord) -> Result<()> {
    sqlx::query!(
        "INSERT INTO access_records (record_id, owner_id, responsible_unit_id, record_time, kind, actor_id, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        record.record_id,
        record.subject_id as Option<Uuid>,
        record.unit_id,
        record.record_time.to_sqlx() as _,
        record.kind.as_str(),
        record.actor_id as Option<Uuid>,
        record.detail
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The entries about an account before an entry, newest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    subject_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<AccessRecord>> {
    sqlx::query!(
        "SELECT record_id, record_time, kind, actor_id, detail FROM access_records
         WHERE owner_id = $1 AND ($2::uuid IS NULL OR record_id < $2)
         ORDER BY record_id DESC LIMIT $3",
        subject_id,
        before as Option<Uuid>,
        limit
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| AccessRecord {
                record_id: row.record_id,
                record_time: row.record_time.to_jiff(),
                kind: row.kind,
                actor_id: row.actor_id,
                detail: row.detail,
            })
            .collect()
    })
    .map_err(sql_fault)
}
