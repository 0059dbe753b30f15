//! `entries`. Every query filters by the caller's scope; row-level security is the second wall.

use egov_auth::RowScope;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::entry::Entry;

/// Adds an entry.
pub(crate) async fn insert(connection: &mut PgConnection, entry: &Entry) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO entries (entry_id, responsible_unit_id, title, version, create_time) VALUES ($1, $2, $3, 1, $4)",
        entry.id,
        entry.unit_id,
        entry.title,
        entry.create_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An entry in the scope.
pub(crate) async fn get(
    connection: &mut PgConnection,
    entry_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Entry>, StoreError> {
    let row = sqlx::query!(
        "SELECT entry_id, responsible_unit_id, title, create_time FROM entries
         WHERE entry_id = $1 AND ($2 OR responsible_unit_id = ANY($3))",
        entry_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Entry {
        id: row.entry_id,
        unit_id: row.responsible_unit_id,
        title: row.title,
        create_time: row.create_time.to_jiff(),
    }))
}
