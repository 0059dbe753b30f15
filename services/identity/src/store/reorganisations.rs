//! Reorganisations, and what became of the units that they closed.

use std::collections::HashMap;

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, corrupt, exactly_one};
use crate::domain::reorganisation::Plan;
use crate::domain::succession::{Change, Closing};
use crate::domain::unit::FactStatus;

/// Where a reorganisation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Waits for its day.
    Planned,
    /// Units closed and opened.
    Applied,
    /// Withdrawn before its day.
    Cancelled,
    /// Its day came, but it no longer fitted the tree.
    Failed,
}

impl Status {
    const ALL: [Self; 4] = [Self::Planned, Self::Applied, Self::Cancelled, Self::Failed];

    /// The word in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Applied => "applied",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// A reorganisation as it is stored.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Reorganisation {
    pub reorganisation_id: Uuid,
    pub effective_date: Date,
    pub title: String,
    pub legal_basis: String,
    pub status: Status,
    pub fact_status: FactStatus,
    /// The pack that told of it.
    pub source: Option<String>,
    /// None if a pack told of it.
    pub plan: Option<Plan>,
    pub problem: String,
    pub version: i64,
    pub closed_units: i64,
}

struct Row {
    reorganisation_id: Uuid,
    effective_date: jiff_sqlx::Date,
    title: String,
    legal_basis: String,
    status: String,
    fact_status: String,
    source: Option<String>,
    plan: Option<serde_json::Value>,
    problem: String,
    version: i64,
    closed_units: i64,
}

impl TryFrom<Row> for Reorganisation {
    type Error = egov_fault::Fault;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            reorganisation_id: row.reorganisation_id,
            effective_date: row.effective_date.to_jiff(),
            title: row.title,
            legal_basis: row.legal_basis,
            status: Status::from_word(&row.status).ok_or_else(|| corrupt("status of a reorganisation"))?,
            fact_status: FactStatus::from_word(&row.fact_status)
                .ok_or_else(|| corrupt("fact status of a reorganisation"))?,
            source: row.source,
            plan: row
                .plan
                .map(serde_json::from_value)
                .transpose()
                .map_err(egov_fault::Fault::internal)?,
            problem: row.problem,
            version: row.version,
            closed_units: row.closed_units,
        })
    }
}

/// Adds a reorganisation in its first version.
pub(crate) async fn insert(conn: &mut PgConnection, new: &Reorganisation, now: Timestamp) -> Result<()> {
    let plan = new
        .plan
        .as_ref()
        .map(serde_json::to_value)
        .transpose()
        .map_err(egov_fault::Fault::internal)?;
    sqlx::query!(
        "INSERT INTO reorganisations (reorganisation_id, effective_date, title, legal_basis, status, fact_status,
                                      source, plan, version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
        new.reorganisation_id,
        new.effective_date.to_sqlx() as _,
        new.title,
        new.legal_basis,
        new.status.as_str(),
        new.fact_status.as_str(),
        new.source,
        plan,
        new.version,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Takes a reorganisation to its next version.
pub(crate) async fn update(conn: &mut PgConnection, changed: &Reorganisation, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "UPDATE reorganisations SET status = $2, problem = $3, version = $4, update_time = $5
         WHERE reorganisation_id = $1 AND version + 1 = $4",
        changed.reorganisation_id,
        changed.status.as_str(),
        changed.problem,
        changed.version,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Keeps who did what to it.
pub(crate) async fn insert_history(
    conn: &mut PgConnection,
    became: &Reorganisation,
    actor: Option<Uuid>,
    detail: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO reorganisation_history (reorganisation_id, version, status, actor_id, detail, record_time)
         VALUES ($1, $2, $3, $4, $5, $6)",
        became.reorganisation_id,
        became.version,
        became.status.as_str(),
        actor as Option<Uuid>,
        detail,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The reorganisation with an id, locked until the end of the transaction.
pub(crate) async fn lock(conn: &mut PgConnection, id: Uuid) -> Result<Option<Reorganisation>> {
    sqlx::query_as!(
        Row,
        r#"SELECT reorganisation_id, effective_date, title, legal_basis, status, fact_status, source, plan, problem,
                  version,
                  (SELECT count(*) FROM unit_closings c WHERE c.reorganisation_id = r.reorganisation_id)
                      AS "closed_units!"
           FROM reorganisations r WHERE reorganisation_id = $1 FOR UPDATE"#,
        id
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)?
    .map(Reorganisation::try_from)
    .transpose()
}

/// The plans that wait for their day, the earliest first.
pub(crate) async fn planned(conn: &mut PgConnection) -> Result<Vec<Reorganisation>> {
    sqlx::query_as!(
        Row,
        r#"SELECT reorganisation_id, effective_date, title, legal_basis, status, fact_status, source, plan, problem,
                  version, 0::bigint AS "closed_units!"
           FROM reorganisations WHERE status = 'planned' ORDER BY effective_date, reorganisation_id"#
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?
    .into_iter()
    .map(Reorganisation::try_from)
    .collect()
}

/// The id of the earliest plan whose day has come.
pub(crate) async fn due(conn: &mut PgConnection, today: Date) -> Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT reorganisation_id FROM reorganisations
         WHERE status = 'planned' AND effective_date <= $1
         ORDER BY effective_date, reorganisation_id LIMIT 1",
        today.to_sqlx() as _
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)
}

/// One page after a day and an id, the latest day first, without the plans.
pub(crate) async fn list(
    conn: &mut PgConnection,
    after: Option<(Date, Uuid)>,
    limit: i64,
) -> Result<Vec<Reorganisation>> {
    let (day, id) = after.map(|(day, id)| (day.to_sqlx(), id)).unzip();
    sqlx::query_as!(
        Row,
        r#"SELECT reorganisation_id, effective_date, title, legal_basis, status, fact_status, source,
                  NULL::jsonb AS plan, problem, version,
                  (SELECT count(*) FROM unit_closings c WHERE c.reorganisation_id = r.reorganisation_id)
                      AS "closed_units!"
           FROM reorganisations r
           WHERE (effective_date, reorganisation_id)
               < (coalesce($1::date, 'infinity'), coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
           ORDER BY effective_date DESC, reorganisation_id DESC LIMIT $3"#,
        day as _,
        id as Option<Uuid>,
        limit
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?
    .into_iter()
    .map(Reorganisation::try_from)
    .collect()
}

/// Every reorganisation as it is stored, with its id and its version; none if its row is nothing that the platform writes.
pub(crate) async fn as_stored(conn: &mut PgConnection) -> Result<Vec<(Uuid, i64, Option<Reorganisation>)>> {
    sqlx::query_as!(
        Row,
        r#"SELECT reorganisation_id, effective_date, title, legal_basis, status, fact_status, source, plan, problem,
                  version,
                  (SELECT count(*) FROM unit_closings c WHERE c.reorganisation_id = r.reorganisation_id)
                      AS "closed_units!"
           FROM reorganisations r ORDER BY reorganisation_id"#
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| (row.reorganisation_id, row.version, Reorganisation::try_from(row).ok()))
            .collect()
    })
    .map_err(sql_fault)
}

/// The reorganisation that a pack told of.
pub(crate) async fn by_source(conn: &mut PgConnection, source: &str) -> Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT reorganisation_id FROM reorganisations WHERE source = $1",
        source
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)
}

/// Records what became of a unit.
pub(crate) async fn insert_closing(conn: &mut PgConnection, reorganisation: Uuid, closing: &Closing) -> Result<()> {
    sqlx::query!(
        "INSERT INTO unit_closings (unit_id, reorganisation_id, effective_date, change, successor_id)
         VALUES ($1, $2, $3, $4, $5)",
        closing.unit_id,
        reorganisation,
        closing.effective_date.to_sqlx() as _,
        closing.change.number(),
        closing.successor
    )
    .execute(&mut *conn)
    .await
    .map_err(sql_fault)?;
    sqlx::query!(
        "INSERT INTO unit_successions (unit_id, successor_id) SELECT $1, s FROM unnest($2::int[]) s",
        closing.unit_id,
        &closing.successors
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

struct ClosingRow {
    unit_id: i32,
    reorganisation_id: Uuid,
    effective_date: jiff_sqlx::Date,
    change: i16,
    successor_id: Option<i32>,
    successors: Vec<i32>,
}

impl ClosingRow {
    fn read(self) -> Result<(Uuid, Closing)> {
        let closing = Closing {
            unit_id: self.unit_id,
            effective_date: self.effective_date.to_jiff(),
            change: Change::from_number(self.change).ok_or_else(|| corrupt("change of a unit"))?,
            successor: self.successor_id,
            successors: self.successors,
        };
        Ok((self.reorganisation_id, closing))
    }
}

/// The closings of units, as a row is read with all successors, that a condition chooses.
macro_rules! select_closing {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            ClosingRow,
            r#"SELECT unit_id, reorganisation_id, effective_date, change, c.successor_id,
                  ARRAY(SELECT s.successor_id FROM unit_successions s WHERE s.unit_id = c.unit_id
                        ORDER BY s.successor_id) AS "successors!"
           FROM unit_closings c "# + $which
            $(, $value)*
        )
    };
}

/// What became of every unit that closed, by its id, and by which reorganisation.
pub(crate) async fn closings(conn: &mut PgConnection) -> Result<Vec<(Uuid, Closing)>> {
    select_closing!("ORDER BY unit_id")
        .fetch_all(conn)
        .await
        .map_err(sql_fault)?
        .into_iter()
        .map(ClosingRow::read)
        .collect()
}

/// What became of a unit.
pub(crate) async fn closing(conn: &mut PgConnection, unit_id: i32) -> Result<Option<(Uuid, Closing)>> {
    select_closing!("WHERE unit_id = $1", unit_id)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)?
        .map(ClosingRow::read)
        .transpose()
}

/// The closed units of which a unit took over a part, by id.
pub(crate) async fn predecessors(conn: &mut PgConnection, unit_id: i32) -> Result<Vec<(Uuid, Closing)>> {
    select_closing!(
        "WHERE unit_id IN (SELECT p.unit_id FROM unit_successions p WHERE p.successor_id = $1)
           ORDER BY unit_id",
        unit_id
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?
    .into_iter()
    .map(ClosingRow::read)
    .collect()
}

/// Accounts and roles of people at a unit that hold on a day or will hold: how many of each.
pub(crate) async fn counts(conn: &mut PgConnection, units: &[i32], on: Date) -> Result<HashMap<i32, (i64, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT u.unit_id AS "unit_id!",
                  (SELECT count(*) FROM accounts a WHERE a.responsible_unit_id = u.unit_id) AS "accounts!",
                  (SELECT count(*) FROM role_grants g
                   WHERE g.unit_id = u.unit_id AND (g.effective_to IS NULL OR g.effective_to > greatest($2, g.effective_from)))
                  + (SELECT count(*) FROM system_roles s WHERE s.unit_id = u.unit_id) AS "roles!"
           FROM unnest($1::int[]) AS u (unit_id)"#,
        units,
        on.to_sqlx() as _
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.unit_id, (row.accounts, row.roles)))
        .collect())
}

/// Accounts that have something to follow: they belong to a unit that closed into another, or hold a role at one that
/// closed. In the order of their ids.
pub(crate) async fn accounts_to_move(conn: &mut PgConnection, limit: i64) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"SELECT account_id AS "account_id!" FROM (
               SELECT a.account_id FROM unit_closings c
               JOIN accounts a ON a.responsible_unit_id = c.unit_id
               WHERE c.successor_id IS NOT NULL
               UNION
               SELECT g.account_id FROM unit_closings c
               JOIN role_grants g ON g.unit_id = c.unit_id
               WHERE g.effective_to IS NULL OR g.effective_to > greatest(c.effective_date, g.effective_from)
           ) AS following
           ORDER BY account_id LIMIT $1"#,
        limit
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)
}

/// Accounts at units that closed without a designated successor: they stay there until somebody decides.
pub(crate) async fn accounts_left(conn: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM unit_closings c
           JOIN accounts a ON a.responsible_unit_id = c.unit_id
           WHERE c.successor_id IS NULL AND a.disabled_time IS NULL"#
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)
}

/// Systems that hold a role at a unit that closed.
pub(crate) async fn systems_to_move(conn: &mut PgConnection, limit: i64) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT DISTINCT s.system_id FROM unit_closings c JOIN system_roles s ON s.unit_id = c.unit_id
         ORDER BY s.system_id LIMIT $1",
        limit
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)
}

/// Lets a system's roles follow; its new version.
pub(crate) async fn move_system_roles(conn: &mut PgConnection, system_id: Uuid, now: Timestamp) -> Result<i64> {
    sqlx::query!(
        "INSERT INTO system_roles (system_id, role, unit_id)
         SELECT s.system_id, s.role, c.successor_id FROM system_roles s JOIN unit_closings c ON c.unit_id = s.unit_id
         WHERE s.system_id = $1 AND c.successor_id IS NOT NULL
         ON CONFLICT DO NOTHING",
        system_id
    )
    .execute(&mut *conn)
    .await
    .map_err(sql_fault)?;
    sqlx::query!(
        "DELETE FROM system_roles s USING unit_closings c WHERE s.system_id = $1 AND c.unit_id = s.unit_id",
        system_id
    )
    .execute(&mut *conn)
    .await
    .map_err(sql_fault)?;
    sqlx::query_scalar!(
        "UPDATE systems SET version = version + 1, update_time = $2 WHERE system_id = $1 RETURNING version",
        system_id,
        now.to_sqlx() as _
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)
}

/// Moves an account to another unit.
pub(crate) async fn move_account(conn: &mut PgConnection, account_id: Uuid, unit_id: i32) -> Result<()> {
    sqlx::query!(
        "UPDATE accounts SET responsible_unit_id = $2 WHERE account_id = $1",
        account_id,
        unit_id
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Ends a role at a unit that closed. Nobody ended it: the reorganisation did.
pub(crate) async fn end_grant(conn: &mut PgConnection, grant_id: Uuid, end: Date, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "UPDATE role_grants SET effective_to = $2, end_time = $3 WHERE grant_id = $1",
        grant_id,
        end.to_sqlx() as _,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}
