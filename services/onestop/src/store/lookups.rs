//! Wrong secrets of the public look-up: `lookup_attempts`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::lookup::Attempts;

/// Holds a code until the transaction ends, so that simultaneous guesses count one after the other; false if another
/// guess holds it right now. Waiting for it would let a few guesses occupy every connection of the service.
pub(crate) async fn hold(connection: &mut PgConnection, case_code: &str) -> Result<bool, StoreError> {
    let held = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS "held!""#,
        case_code
    )
    .fetch_one(connection)
    .await?;
    Ok(held)
}

/// Deletes the attempts of before this instant: they are forgotten anyway.
pub(crate) async fn purge(connection: &mut PgConnection, before: Timestamp) -> Result<u64, StoreError> {
    let purged = sqlx::query!(
        "DELETE FROM lookup_attempts WHERE last_failure < $1",
        before.to_sqlx() as _
    )
    .execute(connection)
    .await?;
    Ok(purged.rows_affected())
}

/// The attempts on a code.
pub(crate) async fn get(connection: &mut PgConnection, case_code: &str) -> Result<Option<Attempts>, StoreError> {
    let row = sqlx::query!(
        "SELECT failures, last_failure, locked_until FROM lookup_attempts WHERE case_code = $1",
        case_code
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Attempts {
        failures: row.failures,
        last_failure: row.last_failure.to_jiff(),
        locked_until: row.locked_until.map(jiff_sqlx::Timestamp::to_jiff),
    }))
}

/// Stores the attempts on a code.
pub(crate) async fn put(connection: &mut PgConnection, case_code: &str, attempts: &Attempts) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO lookup_attempts (case_code, failures, last_failure, locked_until)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (case_code) DO UPDATE
        SET failures = EXCLUDED.failures, last_failure = EXCLUDED.last_failure, locked_until = EXCLUDED.locked_until
        "#,
        case_code,
        attempts.failures,
        attempts.last_failure.to_sqlx() as _,
        attempts.locked_until.map(ToSqlx::to_sqlx) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets the attempts on a code after a right secret.
pub(crate) async fn clear(connection: &mut PgConnection, case_code: &str) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM lookup_attempts WHERE case_code = $1", case_code)
        .execute(connection)
        .await?;
    Ok(())
}
