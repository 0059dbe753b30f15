//! Activation codes of accounts that nobody has taken into use yet.

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, exactly_one};

/// An activation that can be completed.
#[derive(Clone, Debug)]
pub(crate) struct Activation {
    /// Whose account.
    pub account_id: Uuid,
    /// Tên đăng nhập.
    pub username: String,
    /// The unit of the account.
    pub unit_id: i32,
    /// Secret of the one-time codes, sealed with the keyring.
    pub totp_secret: Vec<u8>,
}

/// A code that is to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewActivation<'a> {
    /// Whose account.
    pub account_id: Uuid,
    /// Keyed digest of the code.
    pub code_digest: &'a [u8],
    /// Secret of the one-time codes, sealed.
    pub totp_secret: &'a [u8],
    /// Under which key.
    pub seal_key_id: &'a str,
    /// When.
    pub now: Timestamp,
    /// Until when it counts.
    pub expire_time: Timestamp,
}

/// Stores the code of an account in the place of an earlier one.
pub(crate) async fn put(conn: &mut PgConnection, new: NewActivation<'_>) -> Result<()> {
    sqlx::query!(
        "INSERT INTO activations (account_id, code_digest, totp_secret, seal_key_id, create_time, expire_time)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (account_id) DO UPDATE
         SET code_digest = excluded.code_digest, totp_secret = excluded.totp_secret, seal_key_id = excluded.seal_key_id,
             create_time = excluded.create_time, expire_time = excluded.expire_time",
        new.account_id,
        new.code_digest,
        new.totp_secret,
        new.seal_key_id,
        new.now.to_sqlx() as _,
        new.expire_time.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The activation that a code stands for, if it still counts and its account is open and not in use.
pub(crate) async fn by_digest(conn: &mut PgConnection, digest: &[u8], now: Timestamp) -> Result<Option<Activation>> {
    sqlx::query!(
        "SELECT v.account_id, a.username, a.responsible_unit_id, v.totp_secret
         FROM activations v JOIN accounts a USING (account_id)
         WHERE v.code_digest = $1 AND v.expire_time > $2 AND a.disabled_time IS NULL
           AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.account_id = v.account_id)",
        digest,
        now.to_sqlx() as _
    )
    .fetch_optional(conn)
    .await
    .map(|row| {
        row.map(|row| Activation {
            account_id: row.account_id,
            username: row.username,
            unit_id: row.responsible_unit_id,
            totp_secret: row.totp_secret,
        })
    })
    .map_err(sql_fault)
}

/// Takes a code out of the table; `false` if another has done so.
pub(crate) async fn take(conn: &mut PgConnection, digest: &[u8]) -> Result<bool> {
    sqlx::query!("DELETE FROM activations WHERE code_digest = $1", digest)
        .execute(conn)
        .await
        .map(|done| done.rows_affected() == 1)
        .map_err(sql_fault)
}

/// Removes codes that have run out.
pub(crate) async fn purge(conn: &mut PgConnection, now: Timestamp) -> Result<u64> {
    sqlx::query!("DELETE FROM activations WHERE expire_time <= $1", now.to_sqlx() as _)
        .execute(conn)
        .await
        .map(|done| done.rows_affected())
        .map_err(sql_fault)
}

/// Secrets that are sealed under another key than the present one; locked until the end of the transaction.
pub(crate) async fn sealed_otherwise(
    conn: &mut PgConnection,
    key_id: &str,
    limit: i64,
) -> Result<Vec<(Uuid, Vec<u8>)>> {
    sqlx::query!(
        "SELECT account_id, totp_secret FROM activations WHERE seal_key_id <> $1 LIMIT $2 FOR UPDATE SKIP LOCKED",
        key_id,
        limit
    )
    .fetch_all(conn)
    .await
    .map(|rows| rows.into_iter().map(|row| (row.account_id, row.totp_secret)).collect())
    .map_err(sql_fault)
}

/// Stores a secret that was sealed anew.
pub(crate) async fn set_sealed(
    conn: &mut PgConnection,
    account_id: Uuid,
    totp_secret: &[u8],
    key_id: &str,
) -> Result<()> {
    sqlx::query!(
        "UPDATE activations SET totp_secret = $2, seal_key_id = $3 WHERE account_id = $1",
        account_id,
        totp_secret,
        key_id
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}
