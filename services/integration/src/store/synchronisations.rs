//! `portal_synchronisations`: what the portal knows of each case. What a caller reads is filtered by the caller's scope; row-level
//! security is the second wall.

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::synchronisation::{Filter, Synchronisation};

/// What was handed in of a case.
#[derive(Clone, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) case_code: &'a str,
    pub(crate) unit_id: i32,
    pub(crate) case_id: Uuid,
    pub(crate) version: i64,
    /// By what its content is known again: a version alone is no state.
    pub(crate) digest: &'a str,
    /// The national code of its state.
    pub(crate) state: i16,
    pub(crate) time: Timestamp,
    /// Whether the case has its results.
    pub(crate) issued: bool,
    /// When they were handed over.
    pub(crate) return_time: Option<Timestamp>,
}

/// Notes what was handed in, under the lock of its matter. What is handed in again is not acknowledged any more, whatever was before: the
/// portal did not have it, or one-stop went back to it.
pub(crate) async fn told(connection: &mut PgConnection, told: &Told<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO portal_synchronisations AS known
             (case_code, responsible_unit_id, case_id, told_version, told_state, told_time, issue_learn_time, return_time, told_digest)
         VALUES ($1, $2, $3, $4, $5, $6::timestamptz, CASE WHEN $7 THEN $6::timestamptz END, $8, $9)
         ON CONFLICT (case_code, responsible_unit_id) DO UPDATE
         SET case_id = CASE WHEN EXCLUDED.case_id = '00000000-0000-0000-0000-000000000000'::uuid THEN known.case_id
                            ELSE EXCLUDED.case_id END,
             acknowledged_version = CASE WHEN known.told_version < EXCLUDED.told_version THEN known.acknowledged_version END,
             acknowledged_state = CASE WHEN known.told_version < EXCLUDED.told_version THEN known.acknowledged_state END,
             acknowledged_time = CASE WHEN known.told_version < EXCLUDED.told_version THEN known.acknowledged_time END,
             told_version = EXCLUDED.told_version, told_state = EXCLUDED.told_state, told_time = EXCLUDED.told_time,
             told_digest = EXCLUDED.told_digest,
             issue_learn_time = coalesce(known.issue_learn_time, EXCLUDED.issue_learn_time),
             return_time = coalesce(EXCLUDED.return_time, known.return_time)",
        told.case_code,
        told.unit_id,
        told.case_id,
        told.version,
        told.state,
        told.time.to_sqlx() as _,
        told.issued,
        told.return_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        told.digest,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that the portal has acknowledged a version; what is older changes nothing, and neither does the same version with another content
/// than was told last: a one-stop that was restored came to its number again. An empty digest is that of a version of this service before.
pub(crate) async fn acknowledged(
    connection: &mut PgConnection,
    (case_code, unit_id): (&str, i32),
    (version, state, digest): (i64, i16, &str),
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE portal_synchronisations
         SET acknowledged_version = $3, acknowledged_state = $4, acknowledged_time = $5
         WHERE case_code = $1 AND responsible_unit_id = $2 AND coalesce(acknowledged_version, 0) <= $3
           AND (told_version <> $3 OR told_digest = $6::text OR told_digest = '' OR $6::text = '')",
        case_code,
        unit_id,
        version,
        state,
        at.to_sqlx() as _,
        digest,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that the portal does not have what it acknowledged: a comparison found so.
pub(crate) async fn doubted(connection: &mut PgConnection, case_code: &str, unit_id: i32) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE portal_synchronisations SET acknowledged_version = NULL, acknowledged_state = NULL, acknowledged_time = NULL
         WHERE case_code = $1 AND responsible_unit_id = $2",
        case_code,
        unit_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

struct Row {
    case_code: String,
    responsible_unit_id: i32,
    told_version: i64,
    told_state: i16,
    told_time: jiff_sqlx::Timestamp,
    acknowledged_version: Option<i64>,
    acknowledged_state: Option<i16>,
    acknowledged_time: Option<jiff_sqlx::Timestamp>,
    issue_learn_time: Option<jiff_sqlx::Timestamp>,
    return_time: Option<jiff_sqlx::Timestamp>,
    waiting_id: Option<Uuid>,
    waiting_state: Option<i16>,
    waiting_problem: Option<String>,
    waiting_count: i64,
}

impl From<Row> for Synchronisation {
    fn from(row: Row) -> Self {
        let instant = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
        Self {
            case_code: row.case_code,
            unit_id: row.responsible_unit_id,
            told_version: row.told_version,
            told_state: row.told_state,
            told_time: row.told_time.to_jiff(),
            acknowledged_version: row.acknowledged_version,
            acknowledged_state: row.acknowledged_state,
            acknowledged_time: instant(row.acknowledged_time),
            issue_learn_time: instant(row.issue_learn_time),
            return_time: instant(row.return_time),
            waiting: row
                .waiting_id
                .zip(row.waiting_state)
                .map(|(id, state)| (id, state, row.waiting_problem.unwrap_or_default())),
            waiting_count: row.waiting_count,
        }
    }
}

/// A case in the scope; of one that several units told, what was told last.
pub(crate) async fn get(
    connection: &mut PgConnection,
    scope: &RowScope,
    case_code: &str,
) -> Result<Option<Synchronisation>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT s.case_code, s.responsible_unit_id, s.told_version, s.told_state,
                  s.told_time, s.acknowledged_version, s.acknowledged_state, s.acknowledged_time,
                  s.issue_learn_time, s.return_time,
                  w.delivery_id AS "waiting_id?", w.state AS "waiting_state?", w.problem AS "waiting_problem?",
                  coalesce(w.count, 0) AS "waiting_count!"
           FROM portal_synchronisations s
           LEFT JOIN LATERAL (
               SELECT d.delivery_id, d.state, d.problem, count(*) OVER () AS count
               FROM deliveries d
               WHERE d.partner = 'national-portal' AND d.order_key = s.case_code
                 AND d.responsible_unit_id = s.responsible_unit_id
                 AND (d.state IN (1, 2, 4) OR d.state IN (5, 6) AND NOT EXISTS (
                     SELECT 1 FROM deliveries e
                     WHERE e.partner = d.partner AND e.order_key = d.order_key AND e.sequence > d.sequence
                       AND e.act = d.act AND e.act = 'sync_case'))
               ORDER BY d.sequence LIMIT 1
           ) w ON true
           WHERE s.case_code = $3 AND ($1 OR s.responsible_unit_id = ANY($2))
           ORDER BY s.told_time DESC LIMIT 1"#,
        scope.all,
        &scope.units,
        case_code,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Synchronisation::from))
}

/// One page of the cases in the scope, told last first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    scope: &RowScope,
    filter: Filter,
    after: Option<&(Timestamp, String)>,
    most: i64,
) -> Result<Vec<Synchronisation>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT s.case_code, s.responsible_unit_id, s.told_version, s.told_state,
                  s.told_time, s.acknowledged_version, s.acknowledged_state, s.acknowledged_time,
                  s.issue_learn_time, s.return_time,
                  w.delivery_id AS "waiting_id?", w.state AS "waiting_state?", w.problem AS "waiting_problem?",
                  coalesce(w.count, 0) AS "waiting_count!"
           FROM (SELECT * FROM portal_synchronisations p
                 WHERE ($1 OR p.responsible_unit_id = ANY($2)) AND ($3::int IS NULL OR p.responsible_unit_id = $3)
                   AND (NOT $4 OR p.acknowledged_version IS DISTINCT FROM p.told_version)
                   AND ($5::timestamptz IS NULL OR (p.told_time, p.case_code) < ($5, $6))
                 ORDER BY p.told_time DESC, p.case_code DESC LIMIT $7) s
           LEFT JOIN LATERAL (
               SELECT d.delivery_id, d.state, d.problem, count(*) OVER () AS count
               FROM deliveries d
               WHERE d.partner = 'national-portal' AND d.order_key = s.case_code
                 AND d.responsible_unit_id = s.responsible_unit_id
                 AND (d.state IN (1, 2, 4) OR d.state IN (5, 6) AND NOT EXISTS (
                     SELECT 1 FROM deliveries e
                     WHERE e.partner = d.partner AND e.order_key = d.order_key AND e.sequence > d.sequence
                       AND e.act = d.act AND e.act = 'sync_case'))
               ORDER BY d.sequence LIMIT 1
           ) w ON true
           ORDER BY s.told_time DESC, s.case_code DESC"#,
        scope.all,
        &scope.units,
        filter.unit_id,
        filter.waiting,
        after.map(|(at, _)| at.to_sqlx()) as _,
        after.map(|(_, code)| code.as_str()),
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Synchronisation::from).collect())
}

/// The cases of a unit that were handed in between two instants: code and one-stop's id, in the order of their codes, after `after`.
pub(crate) async fn told_between(
    connection: &mut PgConnection,
    unit_id: i32,
    (from, until): (Timestamp, Timestamp),
    after: &str,
    most: i64,
) -> Result<Vec<(String, Uuid)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT case_code, case_id FROM portal_synchronisations
         WHERE responsible_unit_id = $1 AND told_time >= $2 AND told_time < $3 AND case_code > $4
         ORDER BY case_code LIMIT $5",
        unit_id,
        from.to_sqlx() as _,
        until.to_sqlx() as _,
        after,
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.case_code, row.case_id)).collect())
}

/// The cases of a unit that by what was told are not over, of one share of all: code and one-stop's id, in the order of their codes, after
/// `after`.
pub(crate) async fn not_over(
    connection: &mut PgConnection,
    unit_id: i32,
    (shares, turn): (i32, i32),
    after: &str,
    most: i64,
) -> Result<Vec<(String, Uuid)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT case_code, case_id FROM portal_synchronisations
         WHERE responsible_unit_id = $1 AND told_state NOT IN (3, 7, 8, 10) AND case_code > $2
           AND (hashtext(case_code) & 2147483647) % $3::int = $4::int
         ORDER BY case_code LIMIT $5",
        unit_id,
        after,
        shares,
        turn,
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.case_code, row.case_id)).collect())
}

/// Whether a case was ever handed in.
pub(crate) async fn is_known(connection: &mut PgConnection, case_code: &str) -> Result<bool, StoreError> {
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM portal_synchronisations WHERE case_code = $1) AS "known!""#,
        case_code,
    )
    .fetch_one(connection)
    .await?;
    Ok(known)
}
