//! Tệp kho bạc: `treasury_files`, `treasury_entries`, `treasury_files_taken_back`.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::StoreError;
use crate::domain::reconcile::Theirs;
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

/// The file with this content that a unit imported of a day before, and that counts.
pub(crate) async fn file_with(
    connection: &mut PgConnection,
    unit_id: i32,
    day: Date,
    sha256: &[u8],
) -> Result<Option<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT file_id FROM treasury_files AS f WHERE responsible_unit_id = $1 AND day = $2 AND sha256 = $3
           AND NOT EXISTS (SELECT 1 FROM treasury_files_taken_back AS b WHERE b.file_id = f.file_id)",
    )
    .bind(unit_id)
    .bind(day.to_sqlx())
    .bind(sha256)
    .fetch_optional(connection)
    .await?)
}

/// The files of a day that a unit imported and that count.
pub(crate) async fn of_day(connection: &mut PgConnection, unit_id: i32, day: Date) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT file_id FROM treasury_files AS f WHERE responsible_unit_id = $1 AND day = $2
           AND NOT EXISTS (SELECT 1 FROM treasury_files_taken_back AS b WHERE b.file_id = f.file_id)
         ORDER BY file_id",
    )
    .bind(unit_id)
    .bind(day.to_sqlx())
    .fetch_all(connection)
    .await?)
}

fn theirs(row: &PgRow) -> Result<(Uuid, Theirs), StoreError> {
    let one = Theirs {
        reference: row.try_get("reference")?,
        case_code: row.try_get("case_code")?,
        amount_vnd: row.try_get("amount_vnd")?,
        day: Some(row.try_get::<jiff_sqlx::Date, _>("day")?.to_jiff()),
    };
    Ok((row.try_get("file_id")?, one))
}

/// What the treasury booked for a unit on a day, and on other days under one of these references, as each file that counts says it.
pub(crate) async fn booked(
    connection: &mut PgConnection,
    unit_id: i32,
    day: Date,
    references: &[String],
) -> Result<Vec<(Uuid, Theirs)>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM (
             SELECT file_id, line, day, case_code, reference, amount_vnd FROM treasury_entries
             WHERE responsible_unit_id = $1 AND day = $2
             UNION
             SELECT file_id, line, day, case_code, reference, amount_vnd FROM treasury_entries
             WHERE responsible_unit_id = $1 AND reference = ANY ($3)
         ) AS said
         WHERE NOT EXISTS (SELECT 1 FROM treasury_files_taken_back AS b WHERE b.file_id = said.file_id)
         ORDER BY file_id, line",
    )
    .bind(unit_id)
    .bind(day.to_sqlx())
    .bind(references)
    .fetch_all(connection)
    .await?;
    rows.iter().map(theirs).collect()
}

/// What the files of a unit that count say under the references of one of them, which is among them.
pub(crate) async fn said_with(
    connection: &mut PgConnection,
    unit_id: i32,
    file_id: Uuid,
) -> Result<Vec<(Uuid, Theirs)>, StoreError> {
    let rows = sqlx::query(
        "SELECT file_id, line, day, case_code, reference, amount_vnd FROM treasury_entries AS e
         WHERE responsible_unit_id = $1 AND reference IN (SELECT reference FROM treasury_entries WHERE file_id = $2)
           AND NOT EXISTS (SELECT 1 FROM treasury_files_taken_back AS b WHERE b.file_id = e.file_id)
         ORDER BY file_id, line",
    )
    .bind(unit_id)
    .bind(file_id)
    .fetch_all(connection)
    .await?;
    rows.iter().map(theirs).collect()
}

/// That a file was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TakenBack {
    pub(crate) reason: String,
    pub(crate) actor_id: Uuid,
    pub(crate) time: Timestamp,
}

/// A file with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownFile {
    pub(crate) file: TreasuryFile,
    /// None while it counts.
    pub(crate) taken_back: Option<TakenBack>,
    /// Days that are to be reconciled again, of those whose last reconciliation used it.
    pub(crate) reconcile_again: Vec<Date>,
}

/// Keeps that a file was taken back.
pub(crate) async fn take_back(
    connection: &mut PgConnection,
    file: &TreasuryFile,
    taken_back: &TakenBack,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO treasury_files_taken_back (file_id, responsible_unit_id, reason, actor_id, take_back_time)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(file.file_id)
    .bind(file.unit_id)
    .bind(&taken_back.reason)
    .bind(taken_back.actor_id)
    .bind(taken_back.time.to_sqlx())
    .execute(connection)
    .await?;
    Ok(())
}

const KNOWN: &str = "SELECT f.file_id, f.responsible_unit_id, f.day, f.format, f.sha256, f.entries, f.amount_vnd, f.actor_id, f.import_time, \
                     b.reason, b.actor_id AS taken_back_by, b.take_back_time, \
                     ARRAY(SELECT r.day FROM reconciliation_files AS u JOIN reconciled_days AS r ON r.reconciliation_id = u.reconciliation_id \
                     WHERE u.file_id = f.file_id AND r.again_since IS NOT NULL ORDER BY r.day) AS again \
                     FROM treasury_files AS f LEFT JOIN treasury_files_taken_back AS b ON b.file_id = f.file_id WHERE ";

fn known(row: &PgRow) -> Result<KnownFile, StoreError> {
    let reason: Option<String> = row.try_get("reason")?;
    let actor_id: Option<Uuid> = row.try_get("taken_back_by")?;
    let time: Option<jiff_sqlx::Timestamp> = row.try_get("take_back_time")?;
    let taken_back = reason
        .zip(actor_id)
        .zip(time)
        .map(|((reason, actor_id), time)| TakenBack {
            reason,
            actor_id,
            time: time.to_jiff(),
        });
    let again: Vec<jiff_sqlx::Date> = row.try_get("again")?;
    Ok(KnownFile {
        file: TreasuryFile {
            file_id: row.try_get("file_id")?,
            unit_id: row.try_get("responsible_unit_id")?,
            day: row.try_get::<jiff_sqlx::Date, _>("day")?.to_jiff(),
            format: row.try_get("format")?,
            sha256: row.try_get("sha256")?,
            entries: row.try_get("entries")?,
            amount_vnd: row.try_get("amount_vnd")?,
            actor_id: row.try_get("actor_id")?,
            import_time: row.try_get::<jiff_sqlx::Timestamp, _>("import_time")?.to_jiff(),
        },
        taken_back,
        reconcile_again: again.into_iter().map(jiff_sqlx::Date::to_jiff).collect(),
    })
}

/// A file of one of these units.
pub(crate) async fn get(
    connection: &mut PgConnection,
    file_id: Uuid,
    units: &[i32],
) -> Result<Option<KnownFile>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(KNOWN);
    query.push("f.file_id = ").push_bind(file_id);
    query
        .push(" AND f.responsible_unit_id = ANY (")
        .push_bind(units.to_vec())
        .push(")");
    let row = query.build().fetch_optional(connection).await?;
    row.as_ref().map(known).transpose()
}

/// What a list of files is narrowed to.
#[derive(Debug, Clone)]
pub(crate) struct FileFilter {
    pub(crate) units: Vec<i32>,
    pub(crate) from: Option<Date>,
    pub(crate) to: Option<Date>,
    /// Only those that were taken back, or only those that count.
    pub(crate) taken_back: Option<bool>,
}

/// One page of files, by unit, day and id.
pub(crate) async fn list(
    connection: &mut PgConnection,
    filter: &FileFilter,
    after: Option<&(i32, Date, Uuid)>,
    limit: i64,
) -> Result<Vec<KnownFile>, StoreError> {
    let rows = list_query("", filter, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter().map(known).collect()
}

pub(super) fn list_query(
    explain: &str,
    filter: &FileFilter,
    after: Option<&(i32, Date, Uuid)>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(explain);
    query.push(KNOWN).push("f.responsible_unit_id = ANY (");
    query.push_bind(filter.units.clone()).push(")");
    if let Some(from) = filter.from {
        query.push(" AND f.day >= ").push_bind(from.to_sqlx());
    }
    if let Some(to) = filter.to {
        query.push(" AND f.day <= ").push_bind(to.to_sqlx());
    }
    query.push(match filter.taken_back {
        None => "",
        Some(true) => " AND b.file_id IS NOT NULL",
        Some(false) => " AND b.file_id IS NULL",
    });
    if let Some((unit_id, day, id)) = after {
        query
            .push(" AND (f.responsible_unit_id, f.day, f.file_id) > (")
            .push_bind(*unit_id);
        query.push(", ").push_bind(day.to_sqlx());
        query.push(", ").push_bind(*id).push(")");
    }
    query
        .push(" ORDER BY f.responsible_unit_id, f.day, f.file_id LIMIT ")
        .push_bind(limit);
    query
}

/// One page of the lines of a file, in its order.
pub(crate) async fn lines(
    connection: &mut PgConnection,
    file_id: Uuid,
    after: Option<i32>,
    limit: i64,
) -> Result<Vec<Booked>, StoreError> {
    let rows = sqlx::query(
        "SELECT line, day, case_code, reference, amount_vnd FROM treasury_entries
         WHERE file_id = $1 AND line > $2 ORDER BY line LIMIT $3",
    )
    .bind(file_id)
    .bind(after.unwrap_or_default())
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Booked {
                line: row.try_get("line")?,
                day: row.try_get::<jiff_sqlx::Date, _>("day")?.to_jiff(),
                case_code: row.try_get("case_code")?,
                reference: row.try_get("reference")?,
                amount_vnd: row.try_get("amount_vnd")?,
            })
        })
        .collect()
}
