//! Units, their history, and the version of the tree.

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;

use super::{Result, corrupt, exactly_one};
use crate::domain::unit::{FactStatus, Unit, UnitKind};

struct Row {
    unit_id: i32,
    code: String,
    name: String,
    kind: i16,
    parent_id: Option<i32>,
    effective_from: jiff_sqlx::Date,
    effective_to: Option<jiff_sqlx::Date>,
    agency_code: Option<String>,
    agency_code_provisional: bool,
    fact_status: String,
    note: String,
}

impl TryFrom<Row> for Unit {
    type Error = egov_fault::Fault;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            unit_id: row.unit_id,
            code: row.code,
            name: row.name,
            kind: UnitKind::from_number(row.kind).ok_or_else(|| corrupt("kind of a unit"))?,
            parent_id: row.parent_id,
            effective_from: row.effective_from.to_jiff(),
            effective_to: row.effective_to.map(jiff_sqlx::Date::to_jiff),
            agency_code: row.agency_code,
            agency_code_provisional: row.agency_code_provisional,
            status: FactStatus::from_word(&row.fact_status).ok_or_else(|| corrupt("status of a unit"))?,
            note: row.note,
        })
    }
}

/// The units, as a row is read, that a condition chooses.
macro_rules! select_unit {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT unit_id, code, name, kind, parent_id, effective_from, effective_to,
                agency_code, agency_code_provisional, fact_status, note
         FROM units " + $which
            $(, $value)*
        )
    };
}

/// Every unit of every period, by id.
pub(crate) async fn all(conn: &mut PgConnection) -> Result<Vec<Unit>> {
    select_unit!("ORDER BY unit_id")
        .fetch_all(conn)
        .await
        .map_err(sql_fault)?
        .into_iter()
        .map(Unit::try_from)
        .collect()
}

/// The unit with an id.
pub(crate) async fn by_id(conn: &mut PgConnection, unit_id: i32) -> Result<Option<Unit>> {
    select_unit!("WHERE unit_id = $1", unit_id)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)?
        .map(Unit::try_from)
        .transpose()
}

/// The units with these ids, by id.
pub(crate) async fn by_ids(conn: &mut PgConnection, ids: &[i32]) -> Result<Vec<Unit>> {
    select_unit!("WHERE unit_id = ANY($1) ORDER BY unit_id", ids)
        .fetch_all(conn)
        .await
        .map_err(sql_fault)?
        .into_iter()
        .map(Unit::try_from)
        .collect()
}

/// The unit that carries a code on a day.
pub(crate) async fn resolve(conn: &mut PgConnection, code: &str, on: Date) -> Result<Option<Unit>> {
    select_unit!(
        "WHERE code = $1 AND effective_from <= $2 AND (effective_to IS NULL OR effective_to > $2)",
        code,
        on.to_sqlx() as _
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)?
    .map(Unit::try_from)
    .transpose()
}

/// The units of a day after an id, by id: all of them, or those directly below one.
pub(crate) async fn list(
    conn: &mut PgConnection,
    below: Option<i32>,
    on: Date,
    after: i32,
    limit: i64,
) -> Result<Vec<Unit>> {
    select_unit!(
        "WHERE ($1::int IS NULL OR parent_id = $1)
           AND effective_from <= $2 AND (effective_to IS NULL OR effective_to > $2)
           AND unit_id > $3
         ORDER BY unit_id LIMIT $4",
        below,
        on.to_sqlx() as _,
        after,
        limit
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?
    .into_iter()
    .map(Unit::try_from)
    .collect()
}

/// The version of the tree.
pub(crate) async fn version(conn: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar!("SELECT version FROM unit_tree")
        .fetch_one(conn)
        .await
        .map_err(sql_fault)
}

/// Locks the tree until the end of the transaction: changes take turns.
pub(crate) async fn lock_tree(conn: &mut PgConnection) -> Result<()> {
    sqlx::query_scalar!("SELECT version FROM unit_tree FOR UPDATE")
        .fetch_one(conn)
        .await
        .map(drop)
        .map_err(sql_fault)
}

/// Raises the version. After a restore from a backup (a new epoch) versions begin above all that were given out before.
pub(crate) async fn raise_version(conn: &mut PgConnection, now: Timestamp) -> Result<i64> {
    sqlx::query_scalar!(
        "UPDATE unit_tree
         SET version = greatest(version, (egov.current_epoch() - 1)::bigint << 40) + 1, update_time = $1
         RETURNING version",
        now.to_sqlx() as _
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)
}

/// Adds a unit.
pub(crate) async fn insert(conn: &mut PgConnection, unit: &Unit) -> Result<()> {
    sqlx::query!(
        "INSERT INTO units (unit_id, code, name, kind, parent_id, effective_from, effective_to,
                            agency_code, agency_code_provisional, fact_status, note)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        unit.unit_id,
        unit.code,
        unit.name,
        unit.kind.number(),
        unit.parent_id,
        unit.effective_from.to_sqlx() as _,
        unit.effective_to.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        unit.agency_code,
        unit.agency_code_provisional,
        unit.status.as_str(),
        unit.note
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Puts a unit right. Code and id stay.
pub(crate) async fn update(conn: &mut PgConnection, unit: &Unit) -> Result<()> {
    sqlx::query!(
        "UPDATE units
         SET name = $2, kind = $3, parent_id = $4, effective_to = $5, agency_code = $6,
             agency_code_provisional = $7, fact_status = $8, note = $9, effective_from = $10
         WHERE unit_id = $1",
        unit.unit_id,
        unit.name,
        unit.kind.number(),
        unit.parent_id,
        unit.effective_to.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        unit.agency_code,
        unit.agency_code_provisional,
        unit.status.as_str(),
        unit.note,
        unit.effective_from.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Keeps what a unit became, when, and from which pack.
pub(crate) async fn insert_history(
    conn: &mut PgConnection,
    unit: &Unit,
    version: i64,
    now: Timestamp,
    source: &str,
) -> Result<()> {
    let state = serde_json::to_value(unit).map_err(egov_fault::Fault::internal)?;
    sqlx::query!(
        "INSERT INTO unit_history (unit_id, tree_version, record_time, source, state)
         VALUES ($1, $2, $3, $4, $5)",
        unit.unit_id,
        version,
        now.to_sqlx() as _,
        source,
        state
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}
