//! The secrets of accounts.

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, exactly_one};
use crate::domain::account::Credential;

struct Row {
    account_id: Uuid,
    responsible_unit_id: i32,
    disabled: bool,
    password_hash: String,
    totp_secret: Vec<u8>,
    totp_last_step: i64,
    attempt_key: Vec<u8>,
}

impl From<Row> for Credential {
    fn from(row: Row) -> Self {
        Self {
            account_id: row.account_id,
            unit_id: row.responsible_unit_id,
            disabled: row.disabled,
            password_hash: row.password_hash,
            totp_secret: row.totp_secret,
            totp_last_step: row.totp_last_step,
            attempt_key: row.attempt_key,
        }
    }
}

/// A new account's secrets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewCredential<'a> {
    /// Whose.
    pub account_id: Uuid,
    /// PHC string.
    pub password_hash: &'a str,
    /// Sealed.
    pub totp_secret: &'a [u8],
    /// Under which key.
    pub seal_key_id: &'a str,
    /// When.
    pub now: Timestamp,
}

/// Adds a new account's secrets.
pub(crate) async fn insert(conn: &mut PgConnection, new: NewCredential<'_>) -> Result<()> {
    sqlx::query!(
        "INSERT INTO credentials (account_id, password_hash, totp_secret, totp_last_step, seal_key_id, update_time)
         VALUES ($1, $2, $3, 0, $4, $5)",
        new.account_id,
        new.password_hash,
        new.totp_secret,
        new.seal_key_id,
        new.now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// What a sign-in needs to know of the account of a name.
pub(crate) async fn by_username(conn: &mut PgConnection, username: &str) -> Result<Option<Credential>> {
    sqlx::query_as!(
        Row,
        r#"SELECT a.account_id, a.responsible_unit_id, a.disabled_time IS NOT NULL AS "disabled!",
                  c.password_hash, c.totp_secret, c.totp_last_step, a.attempt_key
           FROM accounts a JOIN credentials c USING (account_id) WHERE a.username = $1"#,
        username
    )
    .fetch_optional(conn)
    .await
    .map(|row| row.map(Credential::from))
    .map_err(sql_fault)
}

/// What a sign-in needs to know of an account.
pub(crate) async fn by_account(conn: &mut PgConnection, account_id: Uuid) -> Result<Option<Credential>> {
    sqlx::query_as!(
        Row,
        r#"SELECT a.account_id, a.responsible_unit_id, a.disabled_time IS NOT NULL AS "disabled!",
                  c.password_hash, c.totp_secret, c.totp_last_step, a.attempt_key
           FROM accounts a JOIN credentials c USING (account_id) WHERE a.account_id = $1"#,
        account_id
    )
    .fetch_optional(conn)
    .await
    .map(|row| row.map(Credential::from))
    .map_err(sql_fault)
}

/// Stores a hash of the same password with other parameters.
pub(crate) async fn set_password_hash(
    conn: &mut PgConnection,
    account_id: Uuid,
    password_hash: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "UPDATE credentials SET password_hash = $2, update_time = $3 WHERE account_id = $1",
        account_id,
        password_hash,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Uses the code of a step up. `false` if it, or a later one, was used before.
pub(crate) async fn use_step(conn: &mut PgConnection, account_id: Uuid, step: i64) -> Result<bool> {
    let used = sqlx::query!(
        "UPDATE credentials SET totp_last_step = $2 WHERE account_id = $1 AND totp_last_step < $2",
        account_id,
        step
    )
    .execute(conn)
    .await
    .map_err(sql_fault)?
    .rows_affected();
    Ok(used == 1)
}

/// Secrets that are sealed under another key than the present one; locked until the end of the transaction.
pub(crate) async fn sealed_otherwise(
    conn: &mut PgConnection,
    key_id: &str,
    limit: i64,
) -> Result<Vec<(Uuid, Vec<u8>)>> {
    sqlx::query!(
        "SELECT account_id, totp_secret FROM credentials WHERE seal_key_id <> $1
         LIMIT $2 FOR UPDATE SKIP LOCKED",
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
        "UPDATE credentials SET totp_secret = $2, seal_key_id = $3 WHERE account_id = $1",
        account_id,
        totp_secret,
        key_id
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}
