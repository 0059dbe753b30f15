//! The sealed keys of digests.

use egov_database::sql_fault;
use sqlx::PgConnection;

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
