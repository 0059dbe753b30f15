//! What instances have taken out of the quotas of agreements.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;

/// A minute or a day of an agreement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseKey {
    pub(crate) agreement_id: Uuid,
    /// `minute` or `day`.
    pub(crate) span: &'static str,
    pub(crate) start: Timestamp,
}

/// Takes so many calls of a window, or what its limit leaves; how many it were.
pub(crate) async fn take(conn: &mut PgConnection, key: LeaseKey, limit: i32, wanted: i32) -> Result<i32> {
    let start = key.start.to_sqlx();
    sqlx::query!(
        "INSERT INTO quota_leases (agreement_id, span, start_time, leased) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING",
        key.agreement_id,
        key.span,
        start as _,
    )
    .execute(&mut *conn)
    .await?;
    let taken = sqlx::query_scalar!(
        r#"WITH before AS (
               SELECT leased FROM quota_leases WHERE agreement_id = $1 AND span = $2 AND start_time = $3 FOR UPDATE
           )
           UPDATE quota_leases q SET leased = greatest(before.leased, least(before.leased + $5, $4))
           FROM before WHERE q.agreement_id = $1 AND q.span = $2 AND q.start_time = $3
           RETURNING q.leased - before.leased AS "taken!""#,
        key.agreement_id,
        key.span,
        start as _,
        limit,
        wanted,
    )
    .fetch_one(conn)
    .await?;
    Ok(taken)
}

/// Forgets windows that began before an instant, at most so many.
pub(crate) async fn forget(conn: &mut PgConnection, before: Timestamp, most: i64) -> Result<u64> {
    let gone = sqlx::query!(
        "DELETE FROM quota_leases WHERE (agreement_id, span, start_time) IN
             (SELECT agreement_id, span, start_time FROM quota_leases WHERE start_time < $1 ORDER BY start_time LIMIT $2)",
        before.to_sqlx() as _,
        most,
    )
    .execute(conn)
    .await?;
    Ok(gone.rows_affected())
}
