//! Thủ tục hành chính: `procedures`, a version a row, public.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};

use super::StoreError;
use crate::domain::listing::{FoundProcedure, NewVersion, Origin, ProcedureFilter, Ranked, Versioned};
use crate::domain::pack::Procedure;

struct VersionRow {
    version: i32,
    effective_from: jiff_sqlx::Date,
    effective_to: Option<jiff_sqlx::Date>,
    document: Json<Procedure>,
}

impl From<VersionRow> for Versioned {
    fn from(row: VersionRow) -> Self {
        Self {
            version: row.version,
            effective_from: row.effective_from.to_jiff(),
            effective_to: row.effective_to.map(jiff_sqlx::Date::to_jiff),
            procedure: row.document.0,
        }
    }
}

/// The number of the version in force on a day.
pub(crate) async fn version_in_force(
    connection: &mut PgConnection,
    procedure_code: &str,
    on: Date,
) -> Result<Option<i32>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        SELECT version
        FROM procedures
        WHERE procedure_code = $1 AND effective_from <= $2 AND (effective_to IS NULL OR effective_to > $2)
        ORDER BY effective_from DESC, version DESC
        LIMIT 1
        "#,
        procedure_code,
        on.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?)
}

/// The version in force on a day.
pub(crate) async fn in_force(
    connection: &mut PgConnection,
    procedure_code: &str,
    on: Date,
) -> Result<Option<Versioned>, StoreError> {
    let row = sqlx::query_as!(
        VersionRow,
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
    Ok(row.map(Versioned::from))
}

/// A given version, in force or not: a case keeps the one of its reception.
pub(crate) async fn version(
    connection: &mut PgConnection,
    procedure_code: &str,
    version: i32,
) -> Result<Option<Versioned>, StoreError> {
    let row = sqlx::query_as!(
        VersionRow,
        r#"
        SELECT version, effective_from, effective_to, document AS "document: Json<Procedure>"
        FROM procedures WHERE procedure_code = $1 AND version = $2
        "#,
        procedure_code,
        version,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Versioned::from))
}

/// One page of the procedures in force on a day, by code.
pub(crate) async fn list(
    connection: &mut PgConnection,
    on: Date,
    filter: &ProcedureFilter,
    after_code: &str,
    limit: i64,
) -> Result<Vec<Versioned>, StoreError> {
    let rows = list_query("", on, filter, after_code, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter().map(versioned).collect()
}

/// One page of the procedures in force on a day that carry all words, the best first, then by code.
pub(crate) async fn search(
    connection: &mut PgConnection,
    on: Date,
    filter: &ProcedureFilter,
    after: Option<&Ranked>,
    limit: i64,
) -> Result<Vec<FoundProcedure>, StoreError> {
    let rows = search_query("", on, filter, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(FoundProcedure {
                versioned: versioned(row)?,
                rank: row.try_get("rank")?,
            })
        })
        .collect()
}

fn versioned(row: &PgRow) -> Result<Versioned, StoreError> {
    let Json(procedure): Json<Procedure> = row.try_get("document")?;
    Ok(Versioned {
        version: row.try_get("version")?,
        effective_from: row.try_get::<jiff_sqlx::Date, _>("effective_from")?.to_jiff(),
        effective_to: row
            .try_get::<Option<jiff_sqlx::Date>, _>("effective_to")?
            .map(jiff_sqlx::Date::to_jiff),
        procedure,
    })
}

/// The end of the range of words that begin like one: no character comes after it.
const AFTER_ALL: &str = "\u{10FFFF}";

/// Narrows to the one version of each procedure that is in force on the day, and to what the filter asks for.
fn in_force_and_filtered(query: &mut QueryBuilder<Postgres>, on: Date, filter: &ProcedureFilter) {
    let day = on.to_sqlx();
    query
        .push(" p.effective_from <= ")
        .push_bind(day)
        .push(" AND (p.effective_to IS NULL OR p.effective_to > ")
        .push_bind(day)
        .push(
            ") AND NOT EXISTS (SELECT FROM procedures later WHERE later.procedure_code = p.procedure_code
               AND (later.effective_from, later.version) > (p.effective_from, p.version) AND later.effective_from <= ",
        )
        .push_bind(day)
        .push(" AND (later.effective_to IS NULL OR later.effective_to > ")
        .push_bind(day)
        .push("))");
    if let Some(sector) = &filter.sector_code {
        query.push(" AND p.sector_code = ").push_bind(sector.clone());
    }
    if let Some(level) = &filter.level {
        query.push(" AND ").push_bind(level.clone()).push(" = ANY (p.levels)");
    }
}

fn list_query(
    prefix: &str,
    on: Date,
    filter: &ProcedureFilter,
    after_code: &str,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query
        .push("SELECT p.version, p.effective_from, p.effective_to, p.document FROM procedures p WHERE p.procedure_code > ")
        .push_bind(after_code.to_owned())
        .push(" AND");
    in_force_and_filtered(&mut query, on, filter);
    query.push(" ORDER BY p.procedure_code LIMIT ").push_bind(limit);
    query
}

fn search_query(
    prefix: &str,
    on: Date,
    filter: &ProcedureFilter,
    after: Option<&Ranked>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push(
        "SELECT p.version, p.effective_from, p.effective_to, p.document, found.rank FROM (
           SELECT procedure_code, version, sum(best)::int AS rank FROM (",
    );
    for (index, word) in filter.words.iter().enumerate() {
        if index > 0 {
            query.push(" UNION ALL ");
        }
        // A whole word counts more than the beginning of one, a name more than its sector, a code most.
        query
            .push("SELECT procedure_code, version, max(2 * weight + (token = ")
            .push_bind(word.clone())
            .push(")::int) AS best FROM procedure_tokens WHERE token >= ")
            .push_bind(word.clone())
            .push(" AND token < ")
            .push_bind(format!("{word}{AFTER_ALL}"))
            .push(" GROUP BY procedure_code, version");
    }
    let words = i64::try_from(filter.words.len()).unwrap_or(i64::MAX);
    query
        .push(") words GROUP BY procedure_code, version HAVING count(*) = ")
        .push_bind(words)
        .push(
            ") found JOIN procedures p ON p.procedure_code = found.procedure_code AND p.version = found.version WHERE",
        );
    in_force_and_filtered(&mut query, on, filter);
    if let Some(after) = after {
        query
            .push(" AND (found.rank < ")
            .push_bind(after.rank)
            .push(" OR (found.rank = ")
            .push_bind(after.rank)
            .push(" AND p.procedure_code > ")
            .push_bind(after.procedure_code.clone())
            .push("))");
    }
    query
        .push(" ORDER BY found.rank DESC, p.procedure_code LIMIT ")
        .push_bind(limit);
    query
}

/// The latest version of a procedure, in force already or not: on it the next one builds.
pub(crate) async fn latest(
    connection: &mut PgConnection,
    procedure_code: &str,
) -> Result<Option<Versioned>, StoreError> {
    let row = sqlx::query(
        "SELECT version, effective_from, effective_to, document FROM procedures
         WHERE procedure_code = $1 ORDER BY version DESC LIMIT 1",
    )
    .bind(procedure_code)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(versioned).transpose()
}

/// The latest version of every procedure, with where it comes from, whether a pack is among its versions, and the
/// versions' contents.
pub(crate) async fn all_latest(connection: &mut PgConnection) -> Result<Vec<(Versioned, bool)>, StoreError> {
    let rows = sqlx::query(
        "SELECT DISTINCT ON (procedure_code) version, effective_from, effective_to, document,
                bool_or(origin = 'pack') OVER (PARTITION BY procedure_code) AS has_pack
         FROM procedures ORDER BY procedure_code, version DESC",
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((versioned(row)?, row.try_get("has_pack")?)))
        .collect()
}

/// Lets nobody else add a version of this procedure until the commit. Versions are added rarely; while the catalogue is
/// imported none is.
pub(crate) async fn hold(connection: &mut PgConnection, procedure_code: &str) -> Result<(), StoreError> {
    sqlx::query(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended('procedures', 0)),
                pg_advisory_xact_lock(hashtextextended('procedures ' || $1, 0))",
    )
    .bind(procedure_code)
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets nobody add a version of any procedure until the commit.
pub(crate) async fn hold_all(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('procedures', 0))")
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether a version of the procedure was imported from this content.
pub(crate) async fn has_content(
    connection: &mut PgConnection,
    procedure_code: &str,
    content_sha256: &[u8],
) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM procedures WHERE procedure_code = $1 AND content_sha256 = $2)")
            .bind(procedure_code)
            .bind(content_sha256)
            .fetch_one(connection)
            .await?,
    )
}

/// Adds versions with their words and what is open in them, all in three statements.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    versions: &[NewVersion],
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows: Vec<serde_json::Value> = versions.iter().map(row).collect();
    let rows = Json(rows);
    sqlx::query(
        "INSERT INTO procedures (procedure_code, version, name, name_folded, sector_code, sector_name, levels,
                                 effective_from, effective_to, document, content_sha256, import_time, origin, open_facts)
         SELECT procedure_code, version, name, name_folded, sector_code, sector_name,
                ARRAY(SELECT jsonb_array_elements_text(levels)), effective_from, effective_to, document,
                decode(content_sha256, 'hex'), $2, origin, open_facts
         FROM jsonb_to_recordset($1) AS r (procedure_code text, version int, name text, name_folded text,
              sector_code text, sector_name text, levels jsonb, effective_from date, effective_to date, document jsonb,
              content_sha256 text, origin text, open_facts int)",
    )
    .bind(&rows)
    .bind(now.to_sqlx())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO procedure_tokens (token, procedure_code, version, weight)
         SELECT word.key, procedure_code, version, word.value::smallint
         FROM jsonb_to_recordset($1) AS r (procedure_code text, version int, words jsonb), jsonb_each_text(words) AS word",
    )
    .bind(&rows)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO procedure_open_facts (procedure_code, version, kind, paths, raw, only_production)
         SELECT procedure_code, version, fact.kind, ARRAY(SELECT jsonb_array_elements_text(fact.paths)), fact.raw,
                fact.only_production
         FROM jsonb_to_recordset($1) AS r (procedure_code text, version int, to_decide jsonb),
              jsonb_to_recordset(to_decide) AS fact (kind text, paths jsonb, raw text, only_production boolean)",
    )
    .bind(&rows)
    .execute(connection)
    .await?;
    Ok(())
}

fn row(new: &NewVersion) -> serde_json::Value {
    let Versioned {
        version,
        effective_from,
        effective_to,
        procedure,
    } = &new.versioned;
    let to_decide = procedure.to_decide();
    serde_json::json!({
        "procedure_code": procedure.code.as_str(),
        "version": version,
        "name": procedure.name,
        "name_folded": egov_codes::fold(&procedure.name).to_lowercase(),
        "sector_code": procedure.sector.code,
        "sector_name": procedure.sector.name,
        "levels": procedure.levels.iter().map(|level| level.as_str()).collect::<Vec<_>>(),
        "effective_from": effective_from.to_string(),
        "effective_to": effective_to.map(|day| day.to_string()),
        "document": procedure,
        "content_sha256": hex::encode(&new.content_sha256),
        "origin": match new.origin { Origin::Pack => "pack", Origin::Catalogue => "catalogue", Origin::Decision => "decision",
                                     Origin::Draft => "draft" },
        "open_facts": to_decide.iter().map(|kind| kind.paths.len()).sum::<usize>(),
        "words": procedure.search_words(),
        "to_decide": to_decide
            .iter()
            .map(|open| serde_json::json!({
                "kind": open.kind.as_str(), "paths": open.paths, "raw": open.raw, "only_production": open.only_production,
            }))
            .collect::<Vec<_>>(),
    })
}

#[cfg(test)]
#[path = "procedures_plans.rs"]
mod plans;
