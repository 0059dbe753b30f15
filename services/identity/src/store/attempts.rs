//! Failed sign-ins by name.

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;

use super::Result;
use crate::domain::lockout::Attempts;

/// Locks the count of a name until the end of the transaction; a name that was not counted yet begins with none.
pub(crate) async fn lock(conn: &mut PgConnection, key: &[u8], now: Timestamp) -> Result<Attempts> {
    sqlx::query!(
        "INSERT INTO sign_in_attempts (attempt_key, failures, last_time) VALUES ($1, 0, $2)
         ON CONFLICT (attempt_key) DO NOTHING",
        key,
        now.to_sqlx() as _
    )
    .execute(&mut *conn)
    .await
    .map_err(sql_fault)?;
    let row = sqlx::query!(
        "SELECT failures, last_time, locked_until FROM sign_in_attempts WHERE attempt_key = $1 FOR UPDATE",
        key
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)?;
    // Swept away by the job in between: then nothing was counted for a day.
    Ok(row.map_or_else(
        || Attempts::none(now),
        |row| Attempts {
            failures: u32::try_from(row.failures).unwrap_or(0),
            last_time: row.last_time.to_jiff(),
            locked_until: row.locked_until.map(jiff_sqlx::Timestamp::to_jiff),
        },
    ))
}

/// Stores the count of a locked name.
pub(crate) async fn put(conn: &mut PgConnection, key: &[u8], attempts: &Attempts) -> Result<()> {
    sqlx::query!(
        "INSERT INTO sign_in_attempts (attempt_key, failures, last_time, locked_until)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (attempt_key) DO UPDATE
         SET failures = excluded.failures, last_time = excluded.last_time, locked_until = excluded.locked_until",
        key,
        i32::try_from(attempts.failures).unwrap_or(i32::MAX),
        attempts.last_time.to_sqlx() as _,
        attempts.locked_until.map(jiff_sqlx::ToSqlx::to_sqlx) as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Forgets the count of a name.
pub(crate) async fn clear(conn: &mut PgConnection, key: &[u8]) -> Result<()> {
    sqlx::query!("DELETE FROM sign_in_attempts WHERE attempt_key = $1", key)
        .execute(conn)
        .await
        .map(drop)
        .map_err(sql_fault)
}

/// Forgets counts without an attempt since `before` whose lock is over.
pub(crate) async fn purge(conn: &mut PgConnection, before: Timestamp, now: Timestamp) -> Result<u64> {
    sqlx::query!(
        "DELETE FROM sign_in_attempts WHERE last_time < $1 AND (locked_until IS NULL OR locked_until < $2)",
        before.to_sqlx() as _,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(sql_fault)
}
