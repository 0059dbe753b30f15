//! Đối soát: `reconciled_days`, `reconciliation_files`, `payment_differences`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{StoreError, one_row};
use crate::domain::reconcile::{DifferenceKind, Found, Sides};

/// Where a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DifferenceState {
    /// To be settled.
    Open = 1,
    /// Settled by somebody.
    Settled = 2,
    /// A later reconciliation of the day did not find it again.
    Gone = 3,
}

impl DifferenceState {
    pub(crate) const fn code(self) -> i16 {
        self as i16
    }

    fn of_code(code: i16) -> Option<Self> {
        [Self::Open, Self::Settled, Self::Gone]
            .into_iter()
            .find(|state| state.code() == code)
    }
}

/// A difference as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) day: Date,
    pub(crate) found: Found,
    pub(crate) state: DifferenceState,
    pub(crate) resolution: String,
    pub(crate) settled_by: Option<Uuid>,
    pub(crate) settle_time: Option<Timestamp>,
    pub(crate) version: i64,
    pub(crate) find_time: Timestamp,
}

impl Difference {
    /// The etag of this version; it names the difference too.
    pub(crate) fn etag(&self) -> String {
        format!("{}-{}", self.version, &self.id.simple().to_string()[20..])
    }
}

const DIFFERENCE: &str = "difference_id, responsible_unit_id, day, kind, reference, case_code, case_id, payment_id, content, state, \
                          resolution, settled_by, settle_time, version, find_time";

fn difference(row: &PgRow) -> Result<Difference, StoreError> {
    let wrong = |column| StoreError::Inconsistent {
        table: "payment_differences",
        column,
    };
    Ok(Difference {
        id: row.try_get("difference_id")?,
        unit_id: row.try_get("responsible_unit_id")?,
        day: row.try_get::<jiff_sqlx::Date, _>("day")?.to_jiff(),
        found: Found {
            kind: DifferenceKind::of_code(row.try_get("kind")?).ok_or_else(|| wrong("kind"))?,
            reference: row.try_get("reference")?,
            case_code: row.try_get("case_code")?,
            case_id: row.try_get("case_id")?,
            payment_id: row.try_get("payment_id")?,
            sides: row.try_get::<Json<Sides>, _>("content")?.0,
        },
        state: DifferenceState::of_code(row.try_get("state")?).ok_or_else(|| wrong("state"))?,
        resolution: row.try_get("resolution")?,
        settled_by: row.try_get("settled_by")?,
        settle_time: row
            .try_get::<Option<jiff_sqlx::Timestamp>, _>("settle_time")?
            .map(jiff_sqlx::Timestamp::to_jiff),
        version: row.try_get("version")?,
        find_time: row.try_get::<jiff_sqlx::Timestamp, _>("find_time")?.to_jiff(),
    })
}

/// Everybody who reconciles the same day of a unit, or imports a file of it, waits here for the commit of the one before; and all of them
/// for whoever takes a file of the unit back ([`hold_unit`]).
pub(crate) async fn hold_day(connection: &mut PgConnection, unit_id: i32, day: Date) -> Result<(), StoreError> {
    share_unit(&mut *connection, unit_id).await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("onestop.reconciliation {unit_id} {day}"))
        .execute(connection)
        .await?;
    Ok(())
}

/// Whoever reconciles, imports or settles something of a unit waits here for whoever takes a file of it back, and for nobody else.
pub(crate) async fn share_unit(connection: &mut PgConnection, unit_id: i32) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))")
        .bind(of_unit(unit_id))
        .execute(connection)
        .await?;
    Ok(())
}

/// Whoever takes a file of a unit back waits here for everything that is under way there: a file concerns days that nobody knows before.
pub(crate) async fn hold_unit(connection: &mut PgConnection, unit_id: i32) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(of_unit(unit_id))
        .execute(connection)
        .await?;
    Ok(())
}

fn of_unit(unit_id: i32) -> String {
    format!("onestop.reconciliations {unit_id}")
}

/// Keeps that a unit's day was reconciled, and by which files; whatever was to be done again is done.
pub(crate) async fn keep_day(
    connection: &mut PgConnection,
    (unit_id, day): (i32, Date),
    reconciliation_id: Uuid,
    file_ids: &[Uuid],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO reconciled_days (responsible_unit_id, day, reconciliation_id, reconcile_time)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (responsible_unit_id, day) DO UPDATE
         SET reconciliation_id = EXCLUDED.reconciliation_id, reconcile_time = EXCLUDED.reconcile_time, again_since = NULL",
    )
    .bind(unit_id)
    .bind(day.to_sqlx())
    .bind(reconciliation_id)
    .bind(now.to_sqlx())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO reconciliation_files (reconciliation_id, file_id, responsible_unit_id)
         SELECT $1, file_id, $2 FROM unnest($3::uuid[]) AS file_id",
    )
    .bind(reconciliation_id)
    .bind(unit_id)
    .bind(file_ids)
    .execute(connection)
    .await?;
    Ok(())
}

/// Days that the version before reconciled since this time, beside this one: it does not say of which day its reconciliations were the last,
/// nor which files they must have used, those of the day, with a line of it, or about a payment of it. What is to be done again stays so, since
/// that version counts files that were taken back. How many days were noted.
pub(crate) async fn note_unnoted(connection: &mut PgConnection, since: Timestamp) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(
        "WITH noted AS (
             INSERT INTO reconciled_days (responsible_unit_id, day, reconciliation_id, reconcile_time)
             SELECT DISTINCT ON (responsible_unit_id, day) responsible_unit_id, day, resource_id, record_time
             FROM (SELECT responsible_unit_id, (content::jsonb ->> 'day')::date AS day, resource_id, record_time
                   FROM fee_acts AS a
                   WHERE kind = 'reconciliation' AND record_time >= $1
                     AND NOT EXISTS (SELECT 1 FROM reconciliation_files AS u WHERE u.reconciliation_id = a.resource_id)) AS acts
             ORDER BY responsible_unit_id, day, record_time DESC, resource_id DESC
             ON CONFLICT (responsible_unit_id, day) DO UPDATE
             SET reconciliation_id = EXCLUDED.reconciliation_id, reconcile_time = EXCLUDED.reconcile_time
             WHERE reconciled_days.reconcile_time < EXCLUDED.reconcile_time
             RETURNING responsible_unit_id, day, reconciliation_id, reconcile_time
         ), used AS (
             INSERT INTO reconciliation_files (reconciliation_id, file_id, responsible_unit_id)
             SELECT n.reconciliation_id, f.file_id, f.responsible_unit_id
             FROM noted AS n
             JOIN treasury_files AS f
               ON f.responsible_unit_id = n.responsible_unit_id AND f.day = n.day AND f.import_time <= n.reconcile_time
             UNION
             SELECT n.reconciliation_id, f.file_id, f.responsible_unit_id
             FROM noted AS n
             JOIN treasury_entries AS e ON e.responsible_unit_id = n.responsible_unit_id AND e.day = n.day
             JOIN treasury_files AS f
               ON f.file_id = e.file_id AND f.responsible_unit_id = n.responsible_unit_id AND f.import_time <= n.reconcile_time
             UNION
             SELECT n.reconciliation_id, f.file_id, f.responsible_unit_id
             FROM noted AS n
             JOIN charge_payments AS p ON p.collecting_unit_id = n.responsible_unit_id AND p.paid_day = n.day AND p.reference <> ''
             JOIN treasury_entries AS e ON e.responsible_unit_id = p.collecting_unit_id AND e.reference = p.reference
             JOIN treasury_files AS f
               ON f.file_id = e.file_id AND f.responsible_unit_id = n.responsible_unit_id AND f.import_time <= n.reconcile_time
             ON CONFLICT (reconciliation_id, file_id) DO NOTHING
         )
         SELECT count(*) FROM noted",
    )
    .bind(since.to_sqlx())
    .fetch_one(connection)
    .await?)
}

/// Marks the days whose last reconciliation used a file: they are to be reconciled again. Those days, also what was marked before.
pub(crate) async fn mark_again(
    connection: &mut PgConnection,
    unit_id: i32,
    file_id: Uuid,
    now: Timestamp,
) -> Result<Vec<Date>, StoreError> {
    let days: Vec<jiff_sqlx::Date> = sqlx::query_scalar(
        "UPDATE reconciled_days SET again_since = coalesce(again_since, $3)
         WHERE responsible_unit_id = $1
           AND reconciliation_id IN (SELECT reconciliation_id FROM reconciliation_files WHERE file_id = $2)
         RETURNING day",
    )
    .bind(unit_id)
    .bind(file_id)
    .bind(now.to_sqlx())
    .fetch_all(connection)
    .await?;
    let mut days: Vec<Date> = days.into_iter().map(jiff_sqlx::Date::to_jiff).collect();
    days.sort_unstable();
    Ok(days)
}

/// Whether a unit's day is to be reconciled again.
pub(crate) async fn is_to_do_again(connection: &mut PgConnection, unit_id: i32, day: Date) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM reconciled_days WHERE responsible_unit_id = $1 AND day = $2 AND again_since IS NOT NULL)",
    )
    .bind(unit_id)
    .bind(day.to_sqlx())
    .fetch_one(connection)
    .await?)
}

/// The differences of a unit's day, of every state, held until the transaction ends.
pub(crate) async fn of_day(
    connection: &mut PgConnection,
    unit_id: i32,
    day: Date,
) -> Result<Vec<Difference>, StoreError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {DIFFERENCE} FROM payment_differences WHERE responsible_unit_id = $1 AND day = $2 ORDER BY difference_id FOR UPDATE"
    )))
    .bind(unit_id)
    .bind(day.to_sqlx())
    .fetch_all(connection)
    .await?;
    rows.iter().map(difference).collect()
}

/// Keeps a difference: a new one, or the next version of one.
pub(crate) async fn keep(connection: &mut PgConnection, difference: &Difference) -> Result<(), StoreError> {
    let kept = sqlx::query(
        "INSERT INTO payment_differences AS d (difference_id, responsible_unit_id, day, kind, reference, case_code, case_id, payment_id,
                                               content, state, resolution, settled_by, settle_time, version, find_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (difference_id) DO UPDATE
         SET content = EXCLUDED.content, state = EXCLUDED.state, resolution = EXCLUDED.resolution, settled_by = EXCLUDED.settled_by,
             settle_time = EXCLUDED.settle_time, version = EXCLUDED.version
         WHERE d.version = EXCLUDED.version - 1",
    )
    .bind(difference.id)
    .bind(difference.unit_id)
    .bind(difference.day.to_sqlx())
    .bind(difference.found.kind.code())
    .bind(&difference.found.reference)
    .bind(&difference.found.case_code)
    .bind(difference.found.case_id)
    .bind(difference.found.payment_id)
    .bind(Json(&difference.found.sides))
    .bind(difference.state.code())
    .bind(&difference.resolution)
    .bind(difference.settled_by)
    .bind(difference.settle_time.map(jiff_sqlx::ToSqlx::to_sqlx))
    .bind(difference.version)
    .bind(difference.find_time.to_sqlx())
    .execute(connection)
    .await?;
    one_row("payment_differences", kept.rows_affected())
}

/// Whose a difference of one of these units is.
pub(crate) async fn unit_of(
    connection: &mut PgConnection,
    difference_id: Uuid,
    units: &[i32],
) -> Result<Option<i32>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT responsible_unit_id FROM payment_differences WHERE difference_id = $1 AND responsible_unit_id = ANY ($2)",
    )
    .bind(difference_id)
    .bind(units)
    .fetch_optional(connection)
    .await?)
}

/// A difference of one of these units, held until the transaction ends.
pub(crate) async fn get(
    connection: &mut PgConnection,
    difference_id: Uuid,
    units: &[i32],
) -> Result<Option<Difference>, StoreError> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {DIFFERENCE} FROM payment_differences WHERE difference_id = $1 AND responsible_unit_id = ANY ($2) FOR UPDATE"
    )))
    .bind(difference_id)
    .bind(units)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(difference).transpose()
}

/// A difference of whatever day is open, or says that the money went back without a decision here, also if somebody settled it. Kinds and
/// states stand in it as the two indexes have them.
pub(super) const CONTRADICTED: &str = "SELECT payment_id FROM payment_differences WHERE payment_id = ANY ($1) AND state = 1 \
                                       UNION \
                                       SELECT payment_id FROM payment_differences \
                                       WHERE payment_id = ANY ($1) AND kind IN (12, 14) AND state IN (1, 2)";

/// Which of these payments the sides do not agree about, whatever somebody said of it.
pub(crate) async fn contradicted(
    connection: &mut PgConnection,
    payment_ids: &[Uuid],
) -> Result<BTreeSet<Uuid>, StoreError> {
    let payments: Vec<Uuid> = sqlx::query_scalar(CONTRADICTED)
        .bind(payment_ids)
        .fetch_all(connection)
        .await?;
    Ok(payments.into_iter().collect())
}

/// When a unit's day was reconciled last.
pub(crate) async fn last_time(
    connection: &mut PgConnection,
    unit_id: i32,
    day: Date,
) -> Result<Option<Timestamp>, StoreError> {
    let last: Option<jiff_sqlx::Timestamp> =
        sqlx::query_scalar("SELECT reconcile_time FROM reconciled_days WHERE responsible_unit_id = $1 AND day = $2")
            .bind(unit_id)
            .bind(day.to_sqlx())
            .fetch_optional(connection)
            .await?;
    Ok(last.map(jiff_sqlx::Timestamp::to_jiff))
}

/// What a list of differences is narrowed to.
#[derive(Debug, Clone)]
pub(crate) struct DifferenceFilter {
    pub(crate) units: Vec<i32>,
    pub(crate) from: Option<Date>,
    pub(crate) to: Option<Date>,
    pub(crate) open_only: bool,
}

/// One page of differences, by unit, day and id.
pub(crate) async fn list(
    connection: &mut PgConnection,
    filter: &DifferenceFilter,
    after: Option<&(i32, Date, Uuid)>,
    limit: i64,
) -> Result<Vec<Difference>, StoreError> {
    let rows = list_query("", filter, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter().map(difference).collect()
}

pub(super) fn list_query(
    explain: &str,
    filter: &DifferenceFilter,
    after: Option<&(i32, Date, Uuid)>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(explain);
    query.push(format_args!(
        "SELECT {DIFFERENCE} FROM payment_differences WHERE responsible_unit_id = ANY ("
    ));
    query.push_bind(filter.units.clone()).push(")");
    if let Some(from) = filter.from {
        query.push(" AND day >= ").push_bind(from.to_sqlx());
    }
    if let Some(to) = filter.to {
        query.push(" AND day <= ").push_bind(to.to_sqlx());
    }
    if filter.open_only {
        query.push(" AND state = 1");
    }
    if let Some((unit_id, day, id)) = after {
        query
            .push(" AND (responsible_unit_id, day, difference_id) > (")
            .push_bind(*unit_id);
        query.push(", ").push_bind(day.to_sqlx());
        query.push(", ").push_bind(*id).push(")");
    }
    query
        .push(" ORDER BY responsible_unit_id, day, difference_id LIMIT ")
        .push_bind(limit);
    query
}
