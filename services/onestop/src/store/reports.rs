//! Báo cáo: `reports`, as they were made, never changed.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::StoreError;
use crate::domain::reports::{AfterReport, Content, Form, Report};

const COLUMNS: &str = "report_id, responsible_unit_id, rules, period_from, period_to, due_date, known_until, units, \
                       content_sha256, made_by, make_time";

fn report(row: &PgRow) -> Result<Report, StoreError> {
    let day = |name: &str| row.try_get::<jiff_sqlx::Date, _>(name).map(jiff_sqlx::Date::to_jiff);
    Ok(Report {
        report_id: row.try_get("report_id")?,
        unit_id: row.try_get("responsible_unit_id")?,
        form: row.try_get::<Json<Form>, _>("rules")?.0,
        from: day("period_from")?,
        to: day("period_to")?,
        due: day("due_date")?,
        known_until: day("known_until")?,
        units: row.try_get("units")?,
        content_sha256: row.try_get("content_sha256")?,
        made_by: row.try_get("made_by")?,
        make_time: row.try_get::<jiff_sqlx::Timestamp, _>("make_time")?.to_jiff(),
    })
}

/// Keeps a report; the id of the one that is there already, if one is.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    report: &Report,
    content: &Content,
) -> Result<Option<Uuid>, StoreError> {
    let added = sqlx::query!(
        r#"
        INSERT INTO reports (report_id, responsible_unit_id, form, period_from, period_to, due_date, known_until, units, rules,
                             content, content_sha256, made_by, make_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (responsible_unit_id, form, period_from) DO NOTHING
        "#,
        report.report_id,
        report.unit_id,
        report.form.code,
        report.from.to_sqlx() as _,
        report.to.to_sqlx() as _,
        report.due.to_sqlx() as _,
        report.known_until.to_sqlx() as _,
        &report.units,
        Json(&report.form) as _,
        Json(content) as _,
        report.content_sha256,
        report.made_by,
        report.make_time.to_sqlx() as _,
    )
    .execute(&mut *connection)
    .await?;
    if added.rows_affected() == 1 {
        return Ok(None);
    }
    Ok(Some(
        sqlx::query_scalar!(
            "SELECT report_id FROM reports WHERE responsible_unit_id = $1 AND form = $2 AND period_from = $3",
            report.unit_id,
            report.form.code,
            report.from.to_sqlx() as _,
        )
        .fetch_one(connection)
        .await?,
    ))
}

/// A report with what it contains, if one of these units made it.
pub(crate) async fn get(
    connection: &mut PgConnection,
    report_id: Uuid,
    units: &[i32],
) -> Result<Option<(Report, Content)>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS}, content FROM reports WHERE report_id = "));
    query
        .push_bind(report_id)
        .push(" AND responsible_unit_id = ANY (")
        .push_bind(units)
        .push(")");
    let row = query.build().fetch_optional(connection).await?;
    row.map(|row| Ok((report(&row)?, row.try_get::<Json<Content>, _>("content")?.0)))
        .transpose()
}

/// One page of the reports of these units.
pub(crate) async fn list(
    connection: &mut PgConnection,
    units: &[i32],
    after: Option<AfterReport>,
    limit: i64,
) -> Result<Vec<Report>, StoreError> {
    let rows = list_query("", units, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter().map(report).collect()
}

pub(super) fn list_query(
    explain: &str,
    units: &[i32],
    after: Option<AfterReport>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(explain);
    query.push(format_args!("SELECT {COLUMNS} FROM reports WHERE "));
    // One unit walks its own index; many are met soon on the walk by period.
    match units {
        [unit] => query.push("responsible_unit_id = ").push_bind(*unit),
        units => query
            .push("responsible_unit_id = ANY (")
            .push_bind(units.to_vec())
            .push(")"),
    };
    if let Some(after) = after {
        query
            .push(" AND (period_from, report_id) < (")
            .push_bind(after.from.to_sqlx());
        query.push(", ").push_bind(after.report_id).push(")");
    }
    query
        .push(" ORDER BY period_from DESC, report_id DESC LIMIT ")
        .push_bind(limit);
    query
}

/// The first day of the earliest period of which a unit made a report of a form.
pub(crate) async fn first(connection: &mut PgConnection, unit_id: i32, form: &str) -> Result<Option<Date>, StoreError> {
    let first = sqlx::query!(
        "SELECT period_from FROM reports WHERE responsible_unit_id = $1 AND form = $2 ORDER BY period_from LIMIT 1",
        unit_id,
        form,
    )
    .fetch_optional(connection)
    .await?;
    Ok(first.map(|row| row.period_from.to_jiff()))
}

/// Which of a unit's reports of a form were made for periods that begin on one of these days.
pub(crate) async fn made(
    connection: &mut PgConnection,
    unit_id: i32,
    form: &str,
    from: &[Date],
) -> Result<Vec<Date>, StoreError> {
    let days: Vec<jiff_sqlx::Date> = from.iter().map(|day| day.to_sqlx()).collect();
    let rows = sqlx::query!(
        "SELECT period_from FROM reports WHERE responsible_unit_id = $1 AND form = $2 AND period_from = ANY ($3)",
        unit_id,
        form,
        &days as _,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.period_from.to_jiff()).collect())
}

/// Every report, with what it contains: for the verification.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<(Report, Content)>, StoreError> {
    let rows = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS}, content FROM reports ORDER BY report_id"))
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| Ok((report(row)?, row.try_get::<Json<Content>, _>("content")?.0)))
        .collect()
}
