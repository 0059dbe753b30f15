//! What is to be decided and what was: `procedure_open_facts`, `procedure_decisions`. Public by law.

use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};

use super::StoreError;
use crate::domain::listing::{AfterFact, Decided, FactFilter, Open};

/// The end of the range of words that begin like one.
const AFTER_ALL: &str = "\u{10FFFF}";

/// One page of what is to be decided in the latest version of each procedure, by code and kind.
pub(crate) async fn open(
    connection: &mut PgConnection,
    filter: &FactFilter,
    after: Option<&AfterFact>,
    limit: i64,
) -> Result<Vec<Open>, StoreError> {
    let rows = open_query("", filter, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Open {
                procedure_code: row.try_get("procedure_code")?,
                version: row.try_get("version")?,
                name: row.try_get("name")?,
                sector_code: row.try_get("sector_code")?,
                sector_name: row.try_get("sector_name")?,
                levels: row.try_get("levels")?,
                kind: row.try_get("kind")?,
                paths: row.try_get("paths")?,
                raw: row.try_get("raw")?,
            })
        })
        .collect()
}

/// How many there are.
pub(crate) async fn count_open(connection: &mut PgConnection, filter: &FactFilter) -> Result<i64, StoreError> {
    let mut query = QueryBuilder::new("SELECT count(*)");
    push_open(&mut query, filter);
    Ok(query.build_query_scalar().fetch_one(connection).await?)
}

pub(super) fn open_query(
    prefix: &str,
    filter: &FactFilter,
    after: Option<&AfterFact>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push(
        "SELECT f.procedure_code, f.version, p.name, p.sector_code, p.sector_name, p.levels, f.kind, f.paths, f.raw",
    );
    push_open(&mut query, filter);
    if let Some(after) = after {
        query
            .push(" AND (f.procedure_code, f.kind) > (")
            .push_bind(after.procedure_code.clone())
            .push(", ")
            .push_bind(after.kind.clone())
            .push(")");
    }
    query.push(" ORDER BY f.procedure_code, f.kind LIMIT ").push_bind(limit);
    query
}

fn push_open(query: &mut QueryBuilder<Postgres>, filter: &FactFilter) {
    query.push(
        " FROM procedure_open_facts f
          JOIN procedures p ON p.procedure_code = f.procedure_code AND p.version = f.version
          WHERE NOT EXISTS (SELECT FROM procedures later
                            WHERE later.procedure_code = f.procedure_code AND later.version > f.version)",
    );
    if !filter.production {
        query.push(" AND NOT f.only_production");
    }
    if let Some(kind) = filter.kind {
        query.push(" AND f.kind = ").push_bind(kind.as_str());
    }
    if let Some(sector) = &filter.procedures.sector_code {
        query.push(" AND p.sector_code = ").push_bind(sector.clone());
    }
    if let Some(level) = &filter.procedures.level {
        query.push(" AND ").push_bind(level.clone()).push(" = ANY (p.levels)");
    }
    for word in &filter.procedures.words {
        query
            .push(
                " AND EXISTS (SELECT FROM procedure_tokens t WHERE t.procedure_code = f.procedure_code
                   AND t.version = f.version AND t.token >= ",
            )
            .push_bind(word.clone())
            .push(" AND t.token < ")
            .push_bind(format!("{word}{AFTER_ALL}"))
            .push(")");
    }
}

/// Adds a decision.
pub(crate) async fn insert(connection: &mut PgConnection, decided: &Decided) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO procedure_decisions (procedure_code, version, decision_id, kind, paths, value, decided_by, actor_id,
                                          basis, note, effective_from, decide_time, source_sha256)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&decided.procedure_code)
    .bind(decided.version)
    .bind(decided.decision_id)
    .bind(&decided.kind)
    .bind(&decided.paths)
    .bind(Json(&decided.value))
    .bind(&decided.decided_by)
    .bind(decided.actor_id)
    .bind(&decided.basis)
    .bind(&decided.note)
    .bind(decided.effective_from.to_sqlx())
    .bind(decided.decide_time.to_sqlx())
    .bind(decided.source_sha256.as_deref())
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether this entry of a decisions file was taken already.
pub(crate) async fn is_taken(connection: &mut PgConnection, entry: &[u8]) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM procedure_decisions WHERE source_sha256 = $1)")
            .bind(entry)
            .fetch_one(connection)
            .await?,
    )
}

/// The version of a procedure that was imported last, those that decisions made not counted.
pub(crate) async fn imported_version(
    connection: &mut PgConnection,
    procedure_code: &str,
) -> Result<Option<i32>, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT max(version) FROM procedures WHERE procedure_code = $1 AND origin <> 'decision'")
            .bind(procedure_code)
            .fetch_one(connection)
            .await?,
    )
}

/// One page of the decisions on a procedure, the latest first.
pub(crate) async fn history(
    connection: &mut PgConnection,
    procedure_code: &str,
    path: Option<&str>,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Decided>, StoreError> {
    let rows = sqlx::query(
        "SELECT d.*, EXISTS (SELECT FROM procedure_decisions later WHERE later.procedure_code = d.procedure_code
                             AND later.version > d.version AND later.paths && d.paths) AS superseded
         FROM procedure_decisions d
         WHERE d.procedure_code = $1 AND ($2::text IS NULL OR $2 = ANY (d.paths)) AND ($3::int IS NULL OR d.version < $3)
         ORDER BY d.version DESC LIMIT $4",
    )
    .bind(procedure_code)
    .bind(path)
    .bind(before)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(decided).collect()
}

/// Every decision.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<Decided>, StoreError> {
    let rows = sqlx::query("SELECT d.*, false AS superseded FROM procedure_decisions d")
        .fetch_all(connection)
        .await?;
    rows.iter().map(decided).collect()
}

fn decided(row: &PgRow) -> Result<Decided, StoreError> {
    let Json(value) = row.try_get("value")?;
    Ok(Decided {
        procedure_code: row.try_get("procedure_code")?,
        version: row.try_get("version")?,
        decision_id: row.try_get("decision_id")?,
        kind: row.try_get("kind")?,
        paths: row.try_get("paths")?,
        value,
        decided_by: row.try_get("decided_by")?,
        actor_id: row.try_get("actor_id")?,
        basis: row.try_get("basis")?,
        note: row.try_get("note")?,
        effective_from: row.try_get::<jiff_sqlx::Date, _>("effective_from")?.to_jiff(),
        decide_time: row.try_get::<jiff_sqlx::Timestamp, _>("decide_time")?.to_jiff(),
        source_sha256: row.try_get("source_sha256")?,
        superseded: row.try_get("superseded")?,
    })
}
