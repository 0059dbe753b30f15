//! Đối soát: `treasury_files`, `treasury_entries`, `payment_differences`.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{StoreError, one_row};
use crate::domain::reconcile::{DifferenceKind, Found, Sides, Theirs, merged};
use crate::domain::treasury::Booked;

/// A file of the treasury.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TreasuryFile {
    pub(crate) file_id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) day: Date,
    /// The pack by which it was read.
    pub(crate) format: String,
    pub(crate) sha256: Vec<u8>,
    pub(crate) entries: i32,
    pub(crate) amount_vnd: i64,
    pub(crate) actor_id: Uuid,
    pub(crate) import_time: Timestamp,
}

/// Keeps a file with its lines.
pub(crate) async fn insert_file(
    connection: &mut PgConnection,
    file: &TreasuryFile,
    booked: &[Booked],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO treasury_files (file_id, responsible_unit_id, day, format, sha256, entries, amount_vnd, actor_id, import_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(file.file_id)
    .bind(file.unit_id)
    .bind(file.day.to_sqlx())
    .bind(&file.format)
    .bind(&file.sha256)
    .bind(file.entries)
    .bind(file.amount_vnd)
    .bind(file.actor_id)
    .bind(file.import_time.to_sqlx())
    .execute(&mut *connection)
    .await?;
    let lines: Vec<i32> = booked.iter().map(|one| one.line).collect();
    let days: Vec<String> = booked.iter().map(|one| one.day.to_string()).collect();
    let codes: Vec<&str> = booked.iter().map(|one| one.case_code.as_str()).collect();
    let references: Vec<&str> = booked.iter().map(|one| one.reference.as_str()).collect();
    let amounts: Vec<i64> = booked.iter().map(|one| one.amount_vnd).collect();
    sqlx::query(
        "INSERT INTO treasury_entries (file_id, line, responsible_unit_id, day, case_code, reference, amount_vnd)
         SELECT $1, line, $2, day::date, case_code, reference, amount_vnd
         FROM unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::bigint[]) AS t (line, day, case_code, reference, amount_vnd)",
    )
    .bind(file.file_id)
    .bind(file.unit_id)
    .bind(&lines)
    .bind(&days)
    .bind(&codes)
    .bind(&references)
    .bind(&amounts)
    .execute(connection)
    .await?;
    Ok(())
}

/// The file with this content that a unit imported of a day before.
pub(crate) async fn file_with(
    connection: &mut PgConnection,
    unit_id: i32,
    day: Date,
    sha256: &[u8],
) -> Result<Option<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT file_id FROM treasury_files WHERE responsible_unit_id = $1 AND day = $2 AND sha256 = $3",
    )
    .bind(unit_id)
    .bind(day.to_sqlx())
    .bind(sha256)
    .fetch_optional(connection)
    .await?)
}

/// How many files of a day a unit imported.
pub(crate) async fn files_of(connection: &mut PgConnection, unit_id: i32, day: Date) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT count(*) FROM treasury_files WHERE responsible_unit_id = $1 AND day = $2")
            .bind(unit_id)
            .bind(day.to_sqlx())
            .fetch_one(connection)
            .await?,
    )
}

/// What the treasury booked for a unit on a day, and on other days under one of these references: all its files together.
pub(crate) async fn booked(
    connection: &mut PgConnection,
    unit_id: i32,
    day: Date,
    references: &[String],
) -> Result<Vec<Theirs>, StoreError> {
    let rows = sqlx::query(
        "SELECT file_id, line, day, case_code, reference, amount_vnd FROM treasury_entries
         WHERE responsible_unit_id = $1 AND day = $2
         UNION
         SELECT file_id, line, day, case_code, reference, amount_vnd FROM treasury_entries
         WHERE responsible_unit_id = $1 AND reference = ANY ($3)
         ORDER BY file_id, line",
    )
    .bind(unit_id)
    .bind(day.to_sqlx())
    .bind(references)
    .fetch_all(connection)
    .await?;
    let said = rows.iter().map(|row| {
        let one = Theirs {
            reference: row.try_get("reference")?,
            case_code: row.try_get("case_code")?,
            amount_vnd: row.try_get("amount_vnd")?,
            day: row.try_get::<jiff_sqlx::Date, _>("day")?.to_jiff(),
        };
        Ok::<_, StoreError>((row.try_get::<Uuid, _>("file_id")?, one))
    });
    Ok(merged(said.collect::<Result<Vec<_>, _>>()?))
}

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

/// Everybody who reconciles the same day of a unit, or imports a file of it, waits here for the commit of the one before.
pub(crate) async fn hold_day(connection: &mut PgConnection, unit_id: i32, day: Date) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("onestop.reconciliation {unit_id} {day}"))
        .execute(connection)
        .await?;
    Ok(())
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

/// How many differences about a payment are open.
pub(crate) async fn open_about(connection: &mut PgConnection, payment_id: Uuid) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT count(*) FROM payment_differences WHERE payment_id = $1 AND state = 1")
            .bind(payment_id)
            .fetch_one(connection)
            .await?,
    )
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
