//! Bản thảo định nghĩa: `procedure_drafts` and every change of them.

use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{StoreError, Visible, one_row};
use crate::domain::definition::draft::{AfterDraft, Draft, DraftChange, DraftFilter, DraftState};

const COLUMNS: &str = "SELECT draft_id, procedure_code, base_version, state, definition, note, published_version, \
                       responsible_unit_id, version, create_time, update_time FROM procedure_drafts WHERE ";

fn state(name: &str) -> Result<DraftState, StoreError> {
    DraftState::named(name).ok_or(StoreError::Inconsistent {
        table: "procedure_drafts",
        column: "state",
    })
}

fn draft(row: &PgRow) -> Result<Draft, StoreError> {
    Ok(Draft {
        draft_id: row.try_get("draft_id")?,
        procedure_code: row.try_get("procedure_code")?,
        base_version: row.try_get("base_version")?,
        state: state(row.try_get("state")?)?,
        definition: row.try_get("definition")?,
        note: row.try_get("note")?,
        published_version: row.try_get("published_version")?,
        responsible_unit_id: row.try_get("responsible_unit_id")?,
        version: row.try_get("version")?,
        create_time: row.try_get::<jiff_sqlx::Timestamp, _>("create_time")?.to_jiff(),
        update_time: row.try_get::<jiff_sqlx::Timestamp, _>("update_time")?.to_jiff(),
    })
}

/// A draft; held until the transaction ends if it is to be changed.
pub(crate) async fn get(
    connection: &mut PgConnection,
    draft_id: Uuid,
    visible: &Visible,
    to_change: bool,
) -> Result<Option<Draft>, StoreError> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push("draft_id = ").push_bind(draft_id);
    push_visible(&mut query, visible);
    if to_change {
        query.push(" FOR UPDATE");
    }
    let row = query.build().fetch_optional(connection).await?;
    row.as_ref().map(draft).transpose()
}

fn push_visible(query: &mut QueryBuilder<Postgres>, visible: &Visible) {
    if !visible.all {
        query
            .push(" AND responsible_unit_id = ANY (")
            .push_bind(visible.units.clone())
            .push(")");
    }
}

/// One page of drafts, the newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    visible: &Visible,
    filter: &DraftFilter,
    after: Option<AfterDraft>,
    limit: i64,
) -> Result<Vec<Draft>, StoreError> {
    let rows = list_query("", visible, filter, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter().map(draft).collect()
}

fn list_query(
    prefix: &str,
    visible: &Visible,
    filter: &DraftFilter,
    after: Option<AfterDraft>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push(COLUMNS).push("true");
    push_visible(&mut query, visible);
    if let Some(code) = &filter.procedure_code {
        query.push(" AND procedure_code = ").push_bind(code.clone());
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(after) = after {
        query
            .push(" AND (create_time, draft_id) < (")
            .push_bind(after.create_time.to_sqlx())
            .push(", ")
            .push_bind(after.draft_id)
            .push(")");
    }
    query.push(format_args!(" ORDER BY create_time DESC, draft_id DESC LIMIT {limit}"));
    query
}

/// Adds a draft.
pub(crate) async fn insert(connection: &mut PgConnection, draft: &Draft) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO procedure_drafts (draft_id, procedure_code, base_version, state, definition, note, published_version,
                                       responsible_unit_id, version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(draft.draft_id)
    .bind(&draft.procedure_code)
    .bind(draft.base_version)
    .bind(draft.state.as_str())
    .bind(&draft.definition)
    .bind(&draft.note)
    .bind(draft.published_version)
    .bind(draft.responsible_unit_id)
    .bind(draft.version)
    .bind(draft.create_time.to_sqlx())
    .bind(draft.update_time.to_sqlx())
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what a change made of a draft.
pub(crate) async fn save(connection: &mut PgConnection, before: &Draft, after: &Draft) -> Result<(), StoreError> {
    let changed = sqlx::query(
        "UPDATE procedure_drafts
         SET state = $3, definition = $4, note = $5, published_version = $6, version = $7, update_time = $8
         WHERE draft_id = $1 AND version = $2",
    )
    .bind(before.draft_id)
    .bind(before.version)
    .bind(after.state.as_str())
    .bind(&after.definition)
    .bind(&after.note)
    .bind(after.published_version)
    .bind(after.version)
    .bind(after.update_time.to_sqlx())
    .execute(connection)
    .await?;
    one_row("procedure_drafts", changed.rows_affected())
}

/// Appends a change.
pub(crate) async fn append(connection: &mut PgConnection, change: &DraftChange) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO procedure_draft_changes (draft_id, version, operation, state, definition, note, legal_basis,
                                              published_version, actor_id, on_behalf_of, record_time,
                                              accepted_unknown_holders)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(change.draft_id)
    .bind(change.version)
    .bind(&change.operation)
    .bind(change.state.as_str())
    .bind(&change.definition)
    .bind(&change.note)
    .bind(&change.legal_basis)
    .bind(change.published_version)
    .bind(change.actor_id)
    .bind(change.on_behalf_of)
    .bind(change.record_time.to_sqlx())
    .bind(&change.accepted_unknown_holders)
    .execute(connection)
    .await?;
    Ok(())
}

fn change(row: &PgRow) -> Result<DraftChange, StoreError> {
    Ok(DraftChange {
        draft_id: row.try_get("draft_id")?,
        version: row.try_get("version")?,
        operation: row.try_get("operation")?,
        state: state(row.try_get("state")?)?,
        definition: row.try_get("definition")?,
        note: row.try_get("note")?,
        legal_basis: row.try_get("legal_basis")?,
        published_version: row.try_get("published_version")?,
        actor_id: row.try_get("actor_id")?,
        on_behalf_of: row.try_get("on_behalf_of")?,
        record_time: row.try_get::<jiff_sqlx::Timestamp, _>("record_time")?.to_jiff(),
        accepted_unknown_holders: row.try_get("accepted_unknown_holders")?,
    })
}

/// The changes of a draft after a version, the first first. Whoever sees the draft sees them: the caller has looked.
pub(crate) async fn changes(
    connection: &mut PgConnection,
    draft_id: Uuid,
    after: i64,
    limit: i64,
) -> Result<Vec<DraftChange>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM procedure_draft_changes WHERE draft_id = $1 AND version > $2 ORDER BY version LIMIT $3",
    )
    .bind(draft_id)
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(change).collect()
}

/// Every change of every draft.
pub(crate) async fn all_changes(connection: &mut PgConnection) -> Result<Vec<DraftChange>, StoreError> {
    let rows = sqlx::query("SELECT * FROM procedure_draft_changes")
        .fetch_all(connection)
        .await?;
    rows.iter().map(change).collect()
}

#[cfg(test)]
#[path = "drafts_plans.rs"]
mod plans;
