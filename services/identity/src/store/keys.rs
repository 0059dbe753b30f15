//! The sealed keys of digests; what was done to the keys of the keyring.

use std::collections::BTreeMap;

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, exactly_one};

/// The sealed key for a purpose.
pub(crate) async fn sealed(conn: &mut PgConnection, purpose: &str) -> Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("SELECT sealed_key FROM digest_keys WHERE purpose = $1", purpose)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)
}

/// Stores the key for a purpose, unless there is one.
pub(crate) async fn insert(conn: &mut PgConnection, purpose: &str, sealed: &[u8], key_id: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO digest_keys (purpose, sealed_key, seal_key_id) VALUES ($1, $2, $3)
         ON CONFLICT (purpose) DO NOTHING",
        purpose,
        sealed,
        key_id
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Keys that are sealed under another key than the present one; locked until the end of the transaction.
pub(crate) async fn sealed_otherwise(conn: &mut PgConnection, key_id: &str) -> Result<Vec<(String, Vec<u8>)>> {
    sqlx::query!(
        "SELECT purpose, sealed_key FROM digest_keys WHERE seal_key_id <> $1 FOR UPDATE SKIP LOCKED",
        key_id
    )
    .fetch_all(conn)
    .await
    .map(|rows| rows.into_iter().map(|row| (row.purpose, row.sealed_key)).collect())
    .map_err(sql_fault)
}

/// Stores a key that was sealed anew.
pub(crate) async fn set_sealed(conn: &mut PgConnection, purpose: &str, sealed: &[u8], key_id: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE digest_keys SET sealed_key = $2, seal_key_id = $3 WHERE purpose = $1",
        purpose,
        sealed,
        key_id
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Notes that a key was withdrawn; `false` if it was before. Of two transactions that withdraw one key the second waits here for the
/// first.
pub(crate) async fn note_withdrawn(conn: &mut PgConnection, key_id: &str, now: Timestamp) -> Result<bool> {
    sqlx::query!(
        "INSERT INTO withdrawn_keys (key_id, withdraw_time) VALUES ($1, $2) ON CONFLICT (key_id) DO NOTHING",
        key_id,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(sql_fault)
}

/// The keys that were withdrawn, and when.
pub(crate) async fn withdrawn(conn: &mut PgConnection) -> Result<BTreeMap<String, Timestamp>> {
    sqlx::query!("SELECT key_id, withdraw_time FROM withdrawn_keys ORDER BY key_id")
        .fetch_all(conn)
        .await
        .map(|rows| {
            rows.into_iter()
                .map(|row| (row.key_id, row.withdraw_time.to_jiff()))
                .collect()
        })
        .map_err(sql_fault)
}

/// What was done to a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyChange {
    /// Its id.
    pub change_id: Uuid,
    /// `rotated` or `withdrawn`.
    pub act: String,
    /// Which keys.
    pub purpose: String,
    /// The new key, or the one that was withdrawn.
    pub key_id: String,
    /// What is used after it.
    pub used_key_id: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor_id: Uuid,
    /// When.
    pub record_time: Timestamp,
    /// Since when the key is on the list of those withdrawn, by which tokens are judged, if that is what was done.
    pub withdraw_time: Option<Timestamp>,
}

/// Adds to the history of keys.
pub(crate) async fn insert_change(conn: &mut PgConnection, change: &KeyChange) -> Result<()> {
    sqlx::query!(
        "INSERT INTO key_changes (change_id, act, purpose, key_id, used_key_id, reason, actor_id, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        change.change_id,
        change.act,
        change.purpose,
        change.key_id,
        change.used_key_id,
        change.reason,
        change.actor_id,
        change.record_time.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Everything that was done to keys.
pub(crate) async fn changes(conn: &mut PgConnection) -> Result<Vec<KeyChange>> {
    sqlx::query!(
        r#"SELECT c.change_id, c.act, c.purpose, c.key_id, c.used_key_id, c.reason, c.actor_id, c.record_time,
                  w.withdraw_time AS "withdraw_time?"
           FROM key_changes c LEFT JOIN withdrawn_keys w ON c.act = 'withdrawn' AND w.key_id = c.key_id
           ORDER BY c.change_id"#
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| KeyChange {
                change_id: row.change_id,
                act: row.act,
                purpose: row.purpose,
                key_id: row.key_id,
                used_key_id: row.used_key_id,
                reason: row.reason,
                actor_id: row.actor_id,
                record_time: row.record_time.to_jiff(),
                withdraw_time: row.withdraw_time.map(jiff_sqlx::Timestamp::to_jiff),
            })
            .collect()
    })
    .map_err(sql_fault)
}
