//! Thủ tục hành chính: `procedures`, a version a row, public.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::StoreError;
use crate::domain::listing::{ProcedureFilter, Versioned};
use crate::domain::pack::Procedure;

/// The version in force on a day.
pub(crate) async fn in_force(
    connection: &mut PgConnection,
    procedure_code: &str,
    on: Date,
) -> Result<Option<Versioned>, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT version, effective_from, effective_to, document AS "document: Json<Procedure>"
        FROM procedures
        WHERE procedure_code = $1 AND effective_from <= $2 AND (effective_to IS NULL OR effective_to > $2)
        ORDER BY effective_from DESC, version DESC
        LIMIT 1
        "#,
        procedure_code,
        on.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Versioned {
        version: row.version,
        effective_from: row.effective_from.to_jiff(),
        effective_to: row.effective_to.map(jiff_sqlx::Date::to_jiff),
        procedure: row.document.0,
    }))
}

/// A given version, in force or not: a case keeps the one of its reception.
pub(crate) async fn version(
    connection: &mut PgConnection,
    procedure_code: &str,
    version: i32,
) -> Result<Option<Versioned>, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT version, effective_from, effective_to, document AS "document: Json<Procedure>"
        FROM procedures WHERE procedure_code = $1 AND version = $2
        "#,
        procedure_code,
        version,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Versioned {
        version: row.version,
        effective_from: row.effective_from.to_jiff(),
        effective_to: row.effective_to.map(jiff_sqlx::Date::to_jiff),
        procedure: row.document.0,
    }))
}

/// One page of the procedures in force on a day, by code.
pub(crate) async fn list(
    connection: &mut PgConnection,
    on: Date,
    filter: &ProcedureFilter,
    after_code: &str,
    limit: i64,
) -> Result<Vec<Versioned>, StoreError> {
    // A few hundred rows without row-level security: a scan with LIKE is quicker than keeping an index for it.
    let patterns: Vec<String> = filter.words.iter().map(|word| format!("%{word}%")).collect();
    let rows = sqlx::query!(
        r#"
        SELECT DISTINCT ON (procedure_code)
               version, effective_from, effective_to, document AS "document: Json<Procedure>"
        FROM procedures
        WHERE effective_from <= $1 AND (effective_to IS NULL OR effective_to > $1)
          AND procedure_code > $2
          AND ($3::text IS NULL OR sector_code = $3)
          AND ($4::text IS NULL OR $4 = ANY (levels))
          AND name_folded LIKE ALL ($5)
          AND ($6::text IS NULL OR starts_with(procedure_code, $6))
        ORDER BY procedure_code, effective_from DESC, version DESC
        LIMIT $7
        "#,
        on.to_sqlx() as _,
        after_code,
        filter.sector_code,
        filter.level,
        &patterns,
        filter.code,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Versioned {
            version: row.version,
            effective_from: row.effective_from.to_jiff(),
            effective_to: row.effective_to.map(jiff_sqlx::Date::to_jiff),
            procedure: row.document.0,
        })
        .collect())
}

/// The SHA-256 of the content that a version was imported from.
pub(crate) async fn content_hash(
    connection: &mut PgConnection,
    procedure_code: &str,
    version: i32,
) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT content_sha256 FROM procedures WHERE procedure_code = $1 AND version = $2",
        procedure_code,
        version
    )
    .fetch_optional(connection)
    .await?)
}

/// Adds a version.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    versioned: &Versioned,
    name_folded: &str,
    levels: &[String],
    content_sha256: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    let procedure = &versioned.procedure;
    sqlx::query!(
        r#"
        INSERT INTO procedures (procedure_code, version, name, name_folded, sector_code, sector_name, levels,
                                effective_from, effective_to, document, content_sha256, import_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        "#,
        procedure.code.as_str(),
        versioned.version,
        procedure.name,
        name_folded,
        procedure.sector.code,
        procedure.sector.name,
        levels,
        versioned.effective_from.to_sqlx() as _,
        versioned.effective_to.map(ToSqlx::to_sqlx) as _,
        Json(procedure) as _,
        content_sha256,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}
