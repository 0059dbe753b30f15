//! Chuyển phiên bản: cases by the version of their procedure, `procedure_migrations` and what became of each case.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{StoreError, Visible, one_row};
use crate::domain::case::Case;
use crate::domain::definition::draft::{Migration, Outcome};
use crate::domain::definition::migrate::Hindrance;
use crate::domain::listing::After;

/// Which cases of a procedure are looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct CasesOf {
    pub(crate) procedure_code: String,
    /// Only of this version.
    pub(crate) version: Option<i32>,
    /// Only those that run: neither decided nor ended.
    pub(crate) running: bool,
    /// Filed at this instant or later.
    pub(crate) from: Option<Timestamp>,
    /// Filed before this instant.
    pub(crate) until: Option<Timestamp>,
}

/// Cases of a procedure after a place, the newest first: where each is in that order.
pub(crate) async fn cases_of(
    connection: &mut PgConnection,
    visible: &Visible,
    of: &CasesOf,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<After>, StoreError> {
    let rows = cases_query("", visible, of, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(After {
                submit_time: row.try_get::<jiff_sqlx::Timestamp, _>("submit_time")?.to_jiff(),
                case_id: row.try_get("case_id")?,
            })
        })
        .collect()
}

fn cases_query(
    prefix: &str,
    visible: &Visible,
    of: &CasesOf,
    after: Option<After>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query
        .push("SELECT submit_time, case_id FROM cases WHERE procedure_code = ")
        .push_bind(of.procedure_code.clone());
    if let Some(version) = of.version {
        query.push(" AND procedure_version = ").push_bind(version);
    }
    if of.running {
        query.push(" AND state IN (1, 2, 4, 5, 6)");
    }
    if let Some(from) = of.from {
        query.push(" AND submit_time >= ").push_bind(from.to_sqlx());
    }
    if let Some(until) = of.until {
        query.push(" AND submit_time < ").push_bind(until.to_sqlx());
    }
    if !visible.all {
        query
            .push(" AND responsible_unit_id = ANY (")
            .push_bind(visible.units.clone())
            .push(")");
    }
    if let Some(after) = after {
        query
            .push(" AND (submit_time, case_id) < (")
            .push_bind(after.submit_time.to_sqlx())
            .push(", ")
            .push_bind(after.case_id)
            .push(")");
    }
    query.push(format_args!(" ORDER BY submit_time DESC, case_id DESC LIMIT {limit}"));
    query
}

/// When each of these cases was decided first, of those that were.
pub(crate) async fn decided(
    connection: &mut PgConnection,
    case_ids: &[Uuid],
) -> Result<BTreeMap<Uuid, Timestamp>, StoreError> {
    let rows = sqlx::query(
        "SELECT case_id, min(record_time) AS decided FROM case_history
         WHERE case_id = ANY ($1) AND to_state = 9 GROUP BY case_id",
    )
    .bind(case_ids)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let decided = row.try_get::<jiff_sqlx::Timestamp, _>("decided")?.to_jiff();
            Ok((row.try_get("case_id")?, decided))
        })
        .collect()
}

/// The outcomes to which whoever did the steps of these cases came last, by the codes of the steps; of a case that went over to another version
/// also as that calls them.
pub(crate) async fn outcomes_said(
    connection: &mut PgConnection,
    case_ids: &[Uuid],
) -> Result<BTreeMap<Uuid, BTreeMap<String, String>>, StoreError> {
    let rows = sqlx::query(
        "SELECT case_id, step, details ->> 'outcome' AS outcome FROM case_history
         WHERE case_id = ANY ($1) AND operation IN ('record_step', 'migrate_version') AND details ? 'outcome' ORDER BY case_id, version",
    )
    .bind(case_ids)
    .fetch_all(connection)
    .await?;
    let mut said: BTreeMap<Uuid, BTreeMap<String, String>> = BTreeMap::new();
    for row in &rows {
        let of_case = said.entry(row.try_get("case_id")?).or_default();
        of_case.insert(row.try_get("step")?, row.try_get("outcome")?);
    }
    Ok(said)
}

/// Stores a case that went over to another version.
pub(crate) async fn save_version(
    connection: &mut PgConnection,
    before: &Case,
    after: &Case,
    now: Timestamp,
) -> Result<(), StoreError> {
    let due = after.deadline.as_ref();
    let changed = sqlx::query(
        "UPDATE cases SET procedure_version = $3, step = $4, conditions = $5, due_date = $6, due_time = $7, deadline = $8,
                          fees = $9, version = $10, update_time = $11, step_outcome = $12
         WHERE case_id = $1 AND version = $2",
    )
    .bind(before.case_id)
    .bind(before.version)
    .bind(after.procedure_version)
    .bind(&after.step)
    .bind(&after.conditions)
    .bind(due.map(|deadline| deadline.due_date.to_sqlx()))
    .bind(due.map(|deadline| deadline.due_time.to_sqlx()))
    .bind(due.map(Json))
    .bind(Json(&after.fees))
    .bind(after.version)
    .bind(now.to_sqlx())
    .bind(&after.step_outcome)
    .execute(&mut *connection)
    .await?;
    one_row("cases", changed.rows_affected())?;
    super::cases::count(connection, before, after, now).await
}

fn migration(row: &PgRow) -> Result<Migration, StoreError> {
    let Json(steps) = row.try_get("steps")?;
    let Json(outcomes) = row.try_get("outcomes")?;
    let time = |column: &str| -> Result<Timestamp, StoreError> {
        Ok(row.try_get::<jiff_sqlx::Timestamp, _>(column)?.to_jiff())
    };
    let reached: Option<jiff_sqlx::Timestamp> = row.try_get("reached_time")?;
    let reached_case: Option<Uuid> = row.try_get("reached_case_id")?;
    Ok(Migration {
        migration_id: row.try_get("migration_id")?,
        procedure_code: row.try_get("procedure_code")?,
        from_version: row.try_get("from_version")?,
        to_version: row.try_get("to_version")?,
        steps,
        outcomes,
        reason: row.try_get("reason")?,
        legal_basis: row.try_get("legal_basis")?,
        actor_id: row.try_get("actor_id")?,
        on_behalf_of: row.try_get("on_behalf_of")?,
        finished: row.try_get::<String, _>("state")? == "finished",
        reached: reached.map(jiff_sqlx::Timestamp::to_jiff).zip(reached_case),
        moved: row.try_get("moved")?,
        kept: row.try_get("kept")?,
        responsible_unit_id: row.try_get("responsible_unit_id")?,
        create_time: time("create_time")?,
        update_time: time("update_time")?,
    })
}

/// Begins a migration. False if one from this version is under way.
pub(crate) async fn insert(connection: &mut PgConnection, new: &Migration) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO procedure_migrations (migration_id, procedure_code, from_version, to_version, steps, reason, legal_basis,
                                           actor_id, on_behalf_of, state, moved, kept, responsible_unit_id, create_time,
                                           update_time, outcomes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'running', 0, 0, $10, $11, $11, $12)
         ON CONFLICT (procedure_code, from_version) WHERE state = 'running' DO NOTHING",
    )
    .bind(new.migration_id)
    .bind(&new.procedure_code)
    .bind(new.from_version)
    .bind(new.to_version)
    .bind(Json(&new.steps))
    .bind(&new.reason)
    .bind(&new.legal_basis)
    .bind(new.actor_id)
    .bind(new.on_behalf_of)
    .bind(new.responsible_unit_id)
    .bind(new.create_time.to_sqlx())
    .bind(Json(&new.outcomes))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// A migration.
pub(crate) async fn get(
    connection: &mut PgConnection,
    migration_id: Uuid,
    visible: &Visible,
) -> Result<Option<Migration>, StoreError> {
    let row = sqlx::query(
        "SELECT * FROM procedure_migrations WHERE migration_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))",
    )
    .bind(migration_id)
    .bind(visible.all)
    .bind(&visible.units)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(migration).transpose()
}

/// Migrations that run, the oldest first.
pub(crate) async fn running(connection: &mut PgConnection) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT migration_id FROM procedure_migrations WHERE state = 'running' ORDER BY create_time, migration_id",
    )
    .fetch_all(connection)
    .await?)
}

/// Every migration.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<Migration>, StoreError> {
    let rows = sqlx::query("SELECT * FROM procedure_migrations")
        .fetch_all(connection)
        .await?;
    rows.iter().map(migration).collect()
}

/// Keeps how far a migration has come.
pub(crate) async fn advance(connection: &mut PgConnection, to: &Migration) -> Result<(), StoreError> {
    let (time, case_id) = to.reached.map(|(time, id)| (time.to_sqlx(), id)).unzip();
    let changed = sqlx::query(
        "UPDATE procedure_migrations
         SET state = $2, reached_time = $3, reached_case_id = $4, moved = $5, kept = $6, update_time = $7
         WHERE migration_id = $1 AND state = 'running'",
    )
    .bind(to.migration_id)
    .bind(if to.finished { "finished" } else { "running" })
    .bind(time)
    .bind(case_id)
    .bind(to.moved)
    .bind(to.kept)
    .bind(to.update_time.to_sqlx())
    .execute(connection)
    .await?;
    one_row("procedure_migrations", changed.rows_affected())
}

/// Records what became of a case.
pub(crate) async fn record(
    connection: &mut PgConnection,
    migration_id: Uuid,
    outcome: &Outcome,
) -> Result<(), StoreError> {
    let hindrances: Vec<&str> = outcome.hindrances.iter().map(|hindrance| hindrance.as_str()).collect();
    sqlx::query(
        "INSERT INTO procedure_migration_cases (migration_id, case_id, moved, hindrances, record_time)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(migration_id)
    .bind(outcome.case_id)
    .bind(hindrances.is_empty())
    .bind(&hindrances)
    .bind(outcome.record_time.to_sqlx())
    .execute(connection)
    .await?;
    Ok(())
}

/// What became of the cases of a migration, by id, after one of them.
pub(crate) async fn outcomes(
    connection: &mut PgConnection,
    migration_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Outcome>, StoreError> {
    let rows = sqlx::query(
        "SELECT case_id, hindrances, record_time FROM procedure_migration_cases
         WHERE migration_id = $1 AND case_id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
         ORDER BY case_id LIMIT $3",
    )
    .bind(migration_id)
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let names: Vec<String> = row.try_get("hindrances")?;
            let hindrances = names.iter().map(|name| {
                Hindrance::named(name).ok_or(StoreError::Inconsistent {
                    table: "procedure_migration_cases",
                    column: "hindrances",
                })
            });
            Ok(Outcome {
                case_id: row.try_get("case_id")?,
                hindrances: hindrances.collect::<Result<_, _>>()?,
                record_time: row.try_get::<jiff_sqlx::Timestamp, _>("record_time")?.to_jiff(),
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "case_versions_plans.rs"]
mod plans;
