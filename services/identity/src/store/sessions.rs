//! Sign-in challenges, sessions and refresh tokens.

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, exactly_one};
use crate::domain::secret::SecretHash;
use crate::domain::session::{OpenSession, PresentedToken, SessionEnd};

/// Adds a challenge; `issuer_id` if an issuer stood in for the password.
pub(crate) async fn insert_challenge(
    conn: &mut PgConnection,
    hash: &SecretHash,
    account_id: Uuid,
    expire_time: Timestamp,
    issuer_id: Option<Uuid>,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO sign_in_challenges (challenge_hash, account_id, expire_time, issuer_id) VALUES ($1, $2, $3, $4)",
        hash.as_slice(),
        account_id,
        expire_time.to_sqlx() as _,
        issuer_id as Option<Uuid>
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Whose sign-in a challenge names, and by which issuer it began, if it can still be answered; locked until the end of the transaction.
pub(crate) async fn lock_challenge(
    conn: &mut PgConnection,
    hash: &SecretHash,
    now: Timestamp,
) -> Result<Option<(Uuid, Option<Uuid>)>> {
    sqlx::query!(
        r#"SELECT account_id, issuer_id AS "issuer_id: Uuid" FROM sign_in_challenges
           WHERE challenge_hash = $1 AND used_time IS NULL AND expire_time > $2 FOR UPDATE"#,
        hash.as_slice(),
        now.to_sqlx() as _
    )
    .fetch_optional(conn)
    .await
    .map(|row| row.map(|row| (row.account_id, row.issuer_id)))
    .map_err(sql_fault)
}

/// Uses a locked challenge up.
pub(crate) async fn use_challenge(conn: &mut PgConnection, hash: &SecretHash, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "UPDATE sign_in_challenges SET used_time = $2 WHERE challenge_hash = $1",
        hash.as_slice(),
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Begins a session; `issuer_id` if it began by an issuer.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    session_id: Uuid,
    account_id: Uuid,
    now: Timestamp,
    expire_time: Timestamp,
    issuer_id: Option<Uuid>,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO sessions (session_id, account_id, create_time, expire_time, issuer_id) VALUES ($1, $2, $3, $4, $5)",
        session_id,
        account_id,
        now.to_sqlx() as _,
        expire_time.to_sqlx() as _,
        issuer_id as Option<Uuid>
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Adds a refresh token to a session.
pub(crate) async fn insert_refresh_token(
    conn: &mut PgConnection,
    hash: &SecretHash,
    session_id: Uuid,
    now: Timestamp,
    expire_time: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO refresh_tokens (token_hash, session_id, issue_time, expire_time) VALUES ($1, $2, $3, $4)",
        hash.as_slice(),
        session_id,
        now.to_sqlx() as _,
        expire_time.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The refresh token with a hash and its session, which is locked until the end of the transaction: of two simultaneous
/// presentations of one token the second sees that the first has used it.
pub(crate) async fn present(conn: &mut PgConnection, hash: &SecretHash) -> Result<Option<PresentedToken>> {
    let session_id = sqlx::query_scalar!(
        "SELECT session_id FROM refresh_tokens WHERE token_hash = $1",
        hash.as_slice()
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(sql_fault)?;
    let Some(session_id) = session_id else {
        return Ok(None);
    };
    sqlx::query_scalar!(
        "SELECT session_id FROM sessions WHERE session_id = $1 FOR UPDATE",
        session_id
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(sql_fault)?;
    // A statement of its own, so that it sees what was committed while the lock was awaited.
    let row = sqlx::query!(
        r#"SELECT s.session_id, s.account_id, s.expire_time AS session_expire_time, s.end_time AS session_end_time,
                  t.expire_time, t.used_time, a.disabled_time IS NOT NULL AS "account_disabled!"
           FROM refresh_tokens t
           JOIN sessions s USING (session_id)
           JOIN accounts a ON a.account_id = s.account_id
           WHERE t.token_hash = $1"#,
        hash.as_slice()
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)?;
    Ok(row.map(|row| PresentedToken {
        session_id: row.session_id,
        account_id: row.account_id,
        session_expire_time: row.session_expire_time.to_jiff(),
        session_end_time: row.session_end_time.map(jiff_sqlx::Timestamp::to_jiff),
        expire_time: row.expire_time.to_jiff(),
        used_time: row.used_time.map(jiff_sqlx::Timestamp::to_jiff),
        account_disabled: row.account_disabled,
    }))
}

/// Uses a presented refresh token up. `false` if it was used before.
pub(crate) async fn use_refresh_token(conn: &mut PgConnection, hash: &SecretHash, now: Timestamp) -> Result<bool> {
    let used = sqlx::query!(
        "UPDATE refresh_tokens SET used_time = $2 WHERE token_hash = $1 AND used_time IS NULL",
        hash.as_slice(),
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)?
    .rows_affected();
    Ok(used == 1)
}

/// Ends a session. `false` if it had ended.
pub(crate) async fn end(conn: &mut PgConnection, session_id: Uuid, why: SessionEnd, now: Timestamp) -> Result<bool> {
    let ended = sqlx::query!(
        "UPDATE sessions SET end_time = $2, end_reason = $3 WHERE session_id = $1 AND end_time IS NULL",
        session_id,
        now.to_sqlx() as _,
        why.as_str()
    )
    .execute(conn)
    .await
    .map_err(sql_fault)?
    .rows_affected();
    Ok(ended == 1)
}

/// Ends every session of an account; returns how many there were.
pub(crate) async fn end_all(conn: &mut PgConnection, account_id: Uuid, why: SessionEnd, now: Timestamp) -> Result<u64> {
    sqlx::query!(
        "UPDATE sessions SET end_time = $2, end_reason = $3 WHERE account_id = $1 AND end_time IS NULL",
        account_id,
        now.to_sqlx() as _,
        why.as_str()
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(sql_fault)
}

/// Ends every session of everybody; returns how many there were that could still go on.
pub(crate) async fn end_everybodys(conn: &mut PgConnection, why: SessionEnd, now: Timestamp) -> Result<u64> {
    sqlx::query!(
        "UPDATE sessions SET end_time = $1, end_reason = $2 WHERE end_time IS NULL AND expire_time > $1",
        now.to_sqlx() as _,
        why.as_str()
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(sql_fault)
}

/// Removes challenges and sessions that ended before an instant, their refresh tokens included. The record of what happened
/// stays.
pub(crate) async fn purge(conn: &mut PgConnection, before: Timestamp) -> Result<u64> {
    let challenges = sqlx::query!(
        "DELETE FROM sign_in_challenges WHERE expire_time < $1",
        before.to_sqlx() as _
    )
    .execute(&mut *conn)
    .await
    .map_err(sql_fault)?
    .rows_affected();
    let sessions = sqlx::query!("DELETE FROM sessions WHERE expire_time < $1", before.to_sqlx() as _)
        .execute(conn)
        .await
        .map_err(sql_fault)?
        .rows_affected();
    Ok(challenges + sessions)
}

/// Notes with what a session was begun.
pub(crate) async fn set_client_hint(conn: &mut PgConnection, session_id: Uuid, client_hint: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE sessions SET client_hint = $2 WHERE session_id = $1",
        session_id,
        client_hint
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// The sessions of an account that can still go on, the newest first, at most 200.
pub(crate) async fn open_of(conn: &mut PgConnection, account_id: Uuid, now: Timestamp) -> Result<Vec<OpenSession>> {
    sqlx::query!(
        "SELECT s.session_id, s.create_time, s.client_hint, t.issue_time, t.expire_time
         FROM sessions s
         CROSS JOIN LATERAL (
             SELECT issue_time, expire_time FROM refresh_tokens
             WHERE session_id = s.session_id AND used_time IS NULL ORDER BY issue_time DESC LIMIT 1
         ) t
         WHERE s.account_id = $1 AND s.end_time IS NULL AND s.expire_time > $2 AND t.expire_time > $2
         ORDER BY s.create_time DESC, s.session_id LIMIT 200",
        account_id,
        now.to_sqlx() as _
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| OpenSession {
                session_id: row.session_id,
                create_time: row.create_time.to_jiff(),
                last_refresh_time: row.issue_time.to_jiff(),
                expire_time: row.expire_time.to_jiff(),
                client_hint: row.client_hint,
            })
            .collect()
    })
    .map_err(sql_fault)
}

/// Whose an open session is, if the caller may see it; the row is locked until the end of the transaction.
pub(crate) async fn lock_open(conn: &mut PgConnection, session_id: Uuid, now: Timestamp) -> Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT account_id FROM sessions
         WHERE session_id = $1 AND end_time IS NULL AND expire_time > $2 FOR UPDATE",
        session_id,
        now.to_sqlx() as _
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)
}

/// Ends every open session of an account but one; which they were.
pub(crate) async fn end_all_but(
    conn: &mut PgConnection,
    account_id: Uuid,
    but: Option<Uuid>,
    why: SessionEnd,
    now: Timestamp,
) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "UPDATE sessions SET end_time = $2, end_reason = $3
         WHERE account_id = $1 AND end_time IS NULL AND expire_time > $2 AND ($4::uuid IS NULL OR session_id <> $4)
         RETURNING session_id",
        account_id,
        now.to_sqlx() as _,
        why.as_str(),
        but as Option<Uuid>
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)
}
