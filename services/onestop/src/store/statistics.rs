//! Thống kê: `statistic_changes` that acts leave, `statistic_sums` into which they are folded.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::StoreError;
use crate::domain::statistics::{Group, Key, Measure};

/// Stands for: it became known on the day on which it happened.
pub(crate) const IN_TIME: Date = jiff::civil::date(1, 1, 1);

/// Changes as columns, for one statement.
#[derive(Default)]
pub(crate) struct ChangeColumns {
    pub(crate) units: Vec<i32>,
    pub(crate) procedures: Vec<String>,
    pub(crate) officers: Vec<Uuid>,
    pub(crate) days: Vec<jiff_sqlx::Date>,
    pub(crate) recorded: Vec<jiff_sqlx::Date>,
    pub(crate) measures: Vec<i16>,
    pub(crate) amounts: Vec<i32>,
}

impl ChangeColumns {
    pub(crate) fn of(changes: &[(Key, i64)]) -> Self {
        let mut columns = Self::default();
        for (key, amount) in changes {
            columns.units.push(key.unit_id);
            columns.procedures.push(key.procedure_code.clone());
            columns.officers.push(key.officer_id);
            columns.days.push(key.day.to_sqlx());
            columns.recorded.push(key.recorded_late.unwrap_or(IN_TIME).to_sqlx());
            columns.measures.push(key.measure.code());
            columns
                .amounts
                .push(i32::try_from(*amount).unwrap_or(if *amount < 0 { i32::MIN } else { i32::MAX }));
        }
        columns
    }
}

/// Adds what an act on a case changed. No row of anybody else is touched.
pub(crate) async fn append(
    connection: &mut PgConnection,
    case_id: Uuid,
    changes: &[(Key, i64)],
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let columns = ChangeColumns::of(changes);
    sqlx::query!(
        r#"
        INSERT INTO statistic_changes (responsible_unit_id, procedure_code, officer_id, day, recorded, measure, amount, case_id)
        SELECT unit, procedure, officer, day, recorded, measure, amount, $1
        FROM unnest($2::int[], $3::text[], $4::uuid[], $5::date[], $6::date[], $7::smallint[], $8::int[])
             AS c (unit, procedure, officer, day, recorded, measure, amount)
        "#,
        case_id,
        &columns.units,
        &columns.procedures,
        &columns.officers,
        &columns.days as _,
        &columns.recorded as _,
        &columns.measures,
        &columns.amounts,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Folds up to so many changes into the sums: taken because they are there, never by a number or a time, so that one that was
/// written early and committed late is not lost. How many were taken. While figures are rebuilt, what concerns a case that is counted there
/// already is added to the sums anew as well: by one look at both, the changes and how far that has come.
pub(crate) async fn fold(connection: &mut PgConnection, at_most: i64) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        WITH taken AS (
            DELETE FROM statistic_changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM statistic_changes LIMIT $1))
            RETURNING responsible_unit_id, procedure_code, officer_id, day, recorded, measure, amount, case_id
        ), anew AS (
            INSERT INTO statistic_sums_anew AS s (responsible_unit_id, day, procedure_code, officer_id, recorded, measure, amount)
            SELECT responsible_unit_id, day, procedure_code, officer_id, recorded, measure, sum(amount)
            FROM taken JOIN statistic_rebuilds AS r ON taken.case_id <= r.counted_until
            GROUP BY 1, 2, 3, 4, 5, 6
            HAVING sum(amount) <> 0
            ON CONFLICT (responsible_unit_id, day, procedure_code, officer_id, recorded, measure)
            DO UPDATE SET amount = s.amount + EXCLUDED.amount
        ), added AS (
            INSERT INTO statistic_sums AS s (responsible_unit_id, level, day, procedure_code, officer_id, recorded, measure, amount)
            SELECT responsible_unit_id, level, date_trunc(unit, day::timestamp)::date, procedure_code, officer_id, recorded, measure,
                   sum(amount)
            FROM taken CROSS JOIN (VALUES (1::smallint, 'day'), (2::smallint, 'month'), (3::smallint, 'year')) AS l (level, unit)
            GROUP BY 1, 2, 3, 4, 5, 6, 7
            HAVING sum(amount) <> 0
            ON CONFLICT (responsible_unit_id, level, day, procedure_code, officer_id, recorded, measure)
            DO UPDATE SET amount = s.amount + EXCLUDED.amount
        )
        SELECT count(*) AS "count!" FROM taken
        "#,
        at_most,
    )
    .fetch_one(connection)
    .await?)
}

/// Folds everything that waits, in one go: for a load, which nobody works beside.
pub(crate) async fn fold_everything(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("LOCK TABLE statistic_changes IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        r#"
        INSERT INTO statistic_sums AS s (responsible_unit_id, level, day, procedure_code, officer_id, recorded, measure, amount)
        SELECT responsible_unit_id, level, date_trunc(unit, day::timestamp)::date, procedure_code, officer_id, recorded, measure,
               sum(amount)
        FROM statistic_changes
        CROSS JOIN (VALUES (1::smallint, 'day'), (2::smallint, 'month'), (3::smallint, 'year')) AS l (level, unit)
        GROUP BY 1, 2, 3, 4, 5, 6, 7
        HAVING sum(amount) <> 0
        ON CONFLICT (responsible_unit_id, level, day, procedure_code, officer_id, recorded, measure)
        DO UPDATE SET amount = s.amount + EXCLUDED.amount
        "#
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM statistic_changes")
        .execute(&mut *connection)
        .await?;
    sqlx::query("ANALYZE statistic_sums").execute(connection).await?;
    Ok(())
}

/// Which sums are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Of these units.
    pub(crate) units: Vec<i32>,
    /// By what they are grouped; a sector is put together from its procedures.
    pub(crate) group: Group,
    /// Only these procedures; all if absent.
    pub(crate) procedures: Option<Vec<String>>,
    /// What counted before this day.
    pub(crate) before: Date,
    /// And was known at the end of this one.
    pub(crate) known_until: Date,
}

/// The sums by group and measure, folded and not yet folded. Whole years and months of before are one row each: never a look at
/// a case, and hardly more rows for ten years than for one.
pub(crate) async fn sums(
    connection: &mut PgConnection,
    wanted: &Wanted,
) -> Result<Vec<(String, Measure, i64)>, StoreError> {
    let rows = sums_query("", wanted).build().fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let measure = Measure::of_code(row.try_get("measure")?).ok_or(StoreError::Inconsistent {
                table: "statistic_sums",
                column: "measure",
            })?;
            Ok((row.try_get("key")?, measure, row.try_get("amount")?))
        })
        .collect()
}

pub(super) fn sums_query(explain: &str, wanted: &Wanted) -> QueryBuilder<Postgres> {
    let key = match wanted.group {
        Group::Whole => "''",
        Group::Unit => "responsible_unit_id::text",
        Group::Sector | Group::Procedure => "procedure_code",
        Group::Officer => "officer_id::text",
    };
    let year = wanted.before.first_of_year();
    let month = wanted.before.first_of_month();
    let mut query = QueryBuilder::new(explain);
    query.push("SELECT key, measure, sum(amount)::bigint AS amount FROM (");
    // Each branch walks the key of the sums; together they are everything before the day.
    let branches = [
        ("statistic_sums", Some(3_i16), None, year),
        ("statistic_sums", Some(2), Some(year), month),
        ("statistic_sums", Some(1), Some(month), wanted.before),
        ("statistic_changes", None, None, wanted.before),
    ];
    for (place, (table, level, from, before)) in branches.into_iter().enumerate() {
        if place > 0 {
            query.push(" UNION ALL ");
        }
        query.push(format_args!(
            "SELECT {key} AS key, measure, amount FROM {table} WHERE responsible_unit_id = ANY ("
        ));
        query.push_bind(wanted.units.clone()).push(")");
        if let Some(level) = level {
            query.push(format_args!(" AND level = {level}"));
        }
        if let Some(from) = from {
            query.push(" AND day >= ").push_bind(from.to_sqlx());
        }
        query.push(" AND day < ").push_bind(before.to_sqlx());
        query.push(" AND recorded <= ").push_bind(wanted.known_until.to_sqlx());
        if let Some(procedures) = &wanted.procedures {
            query
                .push(" AND procedure_code = ANY (")
                .push_bind(procedures.clone())
                .push(")");
        }
    }
    query.push(") AS counted GROUP BY key, measure HAVING sum(amount) <> 0");
    query
}

/// Name and sector of procedures on a day: the version in force, else the one before it, else the first.
pub(crate) struct ProcedureName {
    pub(crate) procedure_code: String,
    pub(crate) name: String,
    pub(crate) sector_code: String,
    pub(crate) sector_name: String,
}

/// The names of all procedures as of a day.
pub(crate) async fn procedure_names(connection: &mut PgConnection, on: Date) -> Result<Vec<ProcedureName>, StoreError> {
    Ok(sqlx::query_as!(
        ProcedureName,
        r#"
        SELECT DISTINCT ON (procedure_code) procedure_code, name, sector_code, sector_name
        FROM procedures
        ORDER BY procedure_code, effective_from > $1, CASE WHEN effective_from > $1 THEN version ELSE -version END
        "#,
        on.to_sqlx() as _,
    )
    .fetch_all(connection)
    .await?)
}

/// A row of the finest sums, with what waits.
pub(crate) struct StoredSum {
    pub(crate) key: Key,
    pub(crate) amount: i64,
}

/// The sums of a unit by day, with what waits: for the verification.
pub(crate) async fn finest(connection: &mut PgConnection, unit_id: i32) -> Result<Vec<StoredSum>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT procedure_code AS "procedure_code!", officer_id AS "officer_id!", day AS "day!", recorded AS "recorded!",
               measure AS "measure!", sum(amount)::bigint AS "amount!"
        FROM (
            SELECT procedure_code, officer_id, day, recorded, measure, amount FROM statistic_sums
            WHERE responsible_unit_id = $1 AND level = 1
            UNION ALL
            SELECT procedure_code, officer_id, day, recorded, measure, amount FROM statistic_changes
            WHERE responsible_unit_id = $1
        ) AS counted
        GROUP BY 1, 2, 3, 4, 5
        HAVING sum(amount) <> 0
        "#,
        unit_id,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let recorded = row.recorded.to_jiff();
            Ok(StoredSum {
                key: Key {
                    unit_id,
                    procedure_code: row.procedure_code,
                    officer_id: row.officer_id,
                    day: row.day.to_jiff(),
                    recorded_late: (recorded > IN_TIME).then_some(recorded),
                    measure: Measure::of_code(row.measure).ok_or(StoreError::Inconsistent {
                        table: "statistic_sums",
                        column: "measure",
                    })?,
                },
                amount: row.amount,
            })
        })
        .collect()
}

/// The units that have figures.
pub(crate) async fn units(connection: &mut PgConnection) -> Result<Vec<i32>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT DISTINCT unit AS "unit!" FROM (
               SELECT responsible_unit_id AS unit FROM statistic_sums
               UNION ALL SELECT responsible_unit_id FROM statistic_changes
           ) AS all_of_them ORDER BY 1"#
    )
    .fetch_all(connection)
    .await?)
}

/// Sums of months and years that are not those of their days: unit, level, first day.
pub(crate) async fn broken_levels(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(i32, i16, Date)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT unit AS "unit!", level AS "level!", start AS "start!"
        FROM (
            SELECT responsible_unit_id AS unit, l.level, date_trunc(l.unit, day::timestamp)::date AS start, procedure_code,
                   officer_id, recorded, measure, sum(amount) AS amount
            FROM statistic_sums s CROSS JOIN (VALUES (2::smallint, 'month'), (3::smallint, 'year')) AS l (level, unit)
            WHERE s.level = 1
            GROUP BY 1, 2, 3, 4, 5, 6, 7
            UNION ALL
            SELECT responsible_unit_id, level, day, procedure_code, officer_id, recorded, measure, -amount
            FROM statistic_sums WHERE level > 1
        ) AS both_ways
        GROUP BY unit, level, start, procedure_code, officer_id, recorded, measure
        HAVING sum(amount) <> 0
        ORDER BY 1, 2, 3
        LIMIT $1
        "#,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.unit, row.level, row.start.to_jiff()))
        .collect())
}

/// Lets nobody add to the figures until the transaction ends; who has begun to, ends first.
pub(crate) async fn hold(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("LOCK TABLE statistic_changes IN SHARE ROW EXCLUSIVE MODE")
        .execute(connection)
        .await?;
    Ok(())
}

/// How far the rebuild has come that is under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rebuild {
    /// The last case that is in the sums anew.
    pub(crate) counted_until: Uuid,
    /// How many cases are.
    pub(crate) cases: i64,
    /// Whose sums have taken their place, with those of all units before it, and of that unit those up to the day; none while cases are
    /// counted.
    pub(crate) put: Option<(i32, Date)>,
}

/// The rebuild that is under way, or a new one.
pub(crate) async fn rebuild(connection: &mut PgConnection) -> Result<Rebuild, StoreError> {
    sqlx::query(
        "INSERT INTO statistic_rebuilds (counted_until, cases) VALUES ($1, 0) ON CONFLICT (only_one) DO NOTHING",
    )
    .bind(Uuid::nil())
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query("SELECT counted_until, cases, put_unit, put_until FROM statistic_rebuilds")
        .fetch_one(connection)
        .await?;
    let unit: Option<i32> = row.try_get("put_unit")?;
    let until: Option<jiff_sqlx::Date> = row.try_get("put_until")?;
    Ok(Rebuild {
        counted_until: row.try_get("counted_until")?,
        cases: row.try_get("cases")?,
        put: unit.zip(until.map(jiff_sqlx::Date::to_jiff)),
    })
}

/// Keeps how far it has come.
pub(crate) async fn save_rebuild(connection: &mut PgConnection, rebuild: &Rebuild) -> Result<(), StoreError> {
    sqlx::query("UPDATE statistic_rebuilds SET counted_until = $1, cases = $2, put_unit = $3, put_until = $4")
        .bind(rebuild.counted_until)
        .bind(rebuild.cases)
        .bind(rebuild.put.map(|(unit, _)| unit))
        .bind(rebuild.put.map(|(_, until)| until.to_sqlx()))
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends the rebuild; what was folded into the sums anew after they had taken their place goes with it.
pub(crate) async fn end_rebuild(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM statistic_sums_anew")
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM statistic_rebuilds")
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds what some cases come to to the sums anew.
pub(crate) async fn add_anew(connection: &mut PgConnection, changes: &[(Key, i64)]) -> Result<(), StoreError> {
    let columns = ChangeColumns::of(changes);
    sqlx::query(
        "INSERT INTO statistic_sums_anew AS s (responsible_unit_id, day, procedure_code, officer_id, recorded, measure, amount)
         SELECT unit, day, procedure, officer, recorded, measure, sum(amount)
         FROM unnest($1::int[], $2::text[], $3::uuid[], $4::date[], $5::date[], $6::smallint[], $7::int[])
              AS c (unit, procedure, officer, day, recorded, measure, amount)
         GROUP BY 1, 2, 3, 4, 5, 6
         HAVING sum(amount) <> 0
         ON CONFLICT (responsible_unit_id, day, procedure_code, officer_id, recorded, measure)
         DO UPDATE SET amount = s.amount + EXCLUDED.amount",
    )
    .bind(&columns.units)
    .bind(&columns.procedures)
    .bind(&columns.officers)
    .bind(&columns.days)
    .bind(&columns.recorded)
    .bind(&columns.measures)
    .bind(&columns.amounts)
    .execute(connection)
    .await?;
    Ok(())
}

/// The day of the first sum of a unit after this day, that stands or is anew.
pub(crate) async fn first_sum_after(
    connection: &mut PgConnection,
    unit_id: i32,
    after: Date,
) -> Result<Option<Date>, StoreError> {
    let day: Option<jiff_sqlx::Date> = sqlx::query_scalar(
        "SELECT least(
             (SELECT min(day) FROM statistic_sums WHERE responsible_unit_id = $1 AND level = 1 AND day > $2),
             (SELECT min(day) FROM statistic_sums WHERE responsible_unit_id = $1 AND level = 2 AND day > $2),
             (SELECT min(day) FROM statistic_sums WHERE responsible_unit_id = $1 AND level = 3 AND day > $2),
             (SELECT min(day) FROM statistic_sums_anew WHERE responsible_unit_id = $1 AND day > $2))",
    )
    .bind(unit_id)
    .bind(after.to_sqlx())
    .fetch_one(connection)
    .await?;
    Ok(day.map(jiff_sqlx::Date::to_jiff))
}

/// The next unit with sums, that stand or are anew.
pub(crate) async fn next_unit(connection: &mut PgConnection, after: i32) -> Result<Option<i32>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT least(
             (SELECT min(responsible_unit_id) FROM statistic_sums WHERE responsible_unit_id > $1),
             (SELECT min(responsible_unit_id) FROM statistic_sums_anew WHERE responsible_unit_id > $1))",
    )
    .bind(after)
    .fetch_one(connection)
    .await?)
}

/// The sums anew of a unit from the first to the last day of a year take the place of those that stand, on each level: by what differs, so that
/// what is right is not touched.
pub(crate) async fn put_anew(
    connection: &mut PgConnection,
    unit_id: i32,
    (from, until): (Date, Date),
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO statistic_sums AS s (responsible_unit_id, level, day, procedure_code, officer_id, recorded, measure, amount)
         SELECT $1::int, level, day, procedure_code, officer_id, recorded, measure, sum(amount)::bigint
         FROM (
             SELECT level, date_trunc(unit, day::timestamp)::date AS day, procedure_code, officer_id, recorded, measure, amount
             FROM statistic_sums_anew CROSS JOIN (VALUES (1::smallint, 'day'), (2::smallint, 'month'), (3::smallint, 'year')) AS l (level, unit)
             WHERE responsible_unit_id = $1 AND day >= $2 AND day <= $3
             UNION ALL
             SELECT level, day, procedure_code, officer_id, recorded, measure, -amount FROM statistic_sums
             WHERE responsible_unit_id = $1 AND level = ANY ('{1,2,3}') AND day >= $2 AND day <= $3
         ) AS both_ways
         GROUP BY level, day, procedure_code, officer_id, recorded, measure
         HAVING sum(amount) <> 0
         ON CONFLICT (responsible_unit_id, level, day, procedure_code, officer_id, recorded, measure)
         DO UPDATE SET amount = s.amount + EXCLUDED.amount",
    )
    .bind(unit_id)
    .bind(from.to_sqlx())
    .bind(until.to_sqlx())
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM statistic_sums_anew WHERE responsible_unit_id = $1 AND day >= $2 AND day <= $3")
        .bind(unit_id)
        .bind(from.to_sqlx())
        .bind(until.to_sqlx())
        .execute(connection)
        .await?;
    Ok(())
}
