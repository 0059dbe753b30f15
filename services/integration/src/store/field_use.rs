//! How often granted fields left.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::usage::FieldUse;

/// Adds to the counts of many fields in one statement.
pub(crate) async fn add(conn: &mut PgConnection, uses: &[FieldUse]) -> Result<()> {
    let agreements: Vec<Uuid> = uses.iter().map(|one| one.agreement_id).collect();
    let methods: Vec<String> = uses.iter().map(|one| one.method.clone()).collect();
    let fields: Vec<String> = uses.iter().map(|one| one.field.clone()).collect();
    let days: Vec<jiff_sqlx::Date> = uses.iter().map(|one| one.day.to_sqlx()).collect();
    let counts: Vec<i64> = uses.iter().map(|one| one.count).collect();
    // Sorted, so that two batches lock their rows in the same order; summed, since one statement meets a row once.
    sqlx::query!(
        "INSERT INTO agreement_field_use AS u (agreement_id, method, field, day, uses)
         SELECT n.agreement_id, n.method, n.field, n.day, sum(n.uses)::bigint
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::date[], $5::bigint[])
              AS n (agreement_id, method, field, day, uses)
         WHERE n.uses > 0
         GROUP BY n.agreement_id, n.method, n.field, n.day
         ORDER BY n.agreement_id, n.method, n.field, n.day
         ON CONFLICT (agreement_id, method, field, day) DO UPDATE SET uses = u.uses + excluded.uses",
        &agreements,
        &methods,
        &fields,
        days as _,
        &counts,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What of an agreement was used since a day, as (method, field), and how many calls there were.
pub(crate) async fn used(
    conn: &mut PgConnection,
    agreement_id: Uuid,
    since: Option<Date>,
) -> Result<(BTreeSet<(String, String)>, i64)> {
    let rows = sqlx::query!(
        r#"SELECT method, field, sum(uses)::bigint AS "uses!" FROM agreement_field_use
           WHERE agreement_id = $1 AND ($2::date IS NULL OR day >= $2) GROUP BY method, field"#,
        agreement_id,
        since.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
    )
    .fetch_all(conn)
    .await?;
    let calls = rows.iter().filter(|row| row.field.is_empty()).map(|row| row.uses).sum();
    Ok((rows.into_iter().map(|row| (row.method, row.field)).collect(), calls))
}
