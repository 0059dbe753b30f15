//! Cases of an old system: what of them is there, and what they are judged by.

use std::collections::HashSet;

use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;

use super::StoreError;

/// Which of these keys of an old system were taken.
pub(crate) async fn taken(
    connection: &mut PgConnection,
    source: &str,
    keys: &[String],
) -> Result<HashSet<String>, StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT old_key FROM imported_cases WHERE source = $1 AND old_key = ANY ($2)",
        source,
        keys,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Which of these case codes are given.
pub(crate) async fn given(connection: &mut PgConnection, codes: &[String]) -> Result<HashSet<String>, StoreError> {
    let rows = sqlx::query_scalar!("SELECT case_code FROM cases WHERE case_code = ANY ($1)", codes)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().collect())
}

/// The version of a procedure in force on a day, or the earliest that there is; and whether it was in force.
pub(crate) async fn version_on(
    connection: &mut PgConnection,
    procedure_code: &str,
    on: Date,
) -> Result<Option<(i32, bool)>, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT version, effective_from <= $2 AND (effective_to IS NULL OR effective_to > $2) AS "in_force!"
        FROM procedures
        WHERE procedure_code = $1
        ORDER BY 2 DESC, CASE WHEN effective_from <= $2 THEN version END DESC NULLS LAST, effective_from, version
        LIMIT 1
        "#,
        procedure_code,
        on.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.version, row.in_force)))
}
