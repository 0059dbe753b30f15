//! `corrections`: which entry corrects which; rows are added and read, never changed.

use egov_auth::RowScope;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::persons::Source;
use crate::domain::correction::CorrectionLink;

/// A new correction.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    source: Source,
    link: &CorrectionLink,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO corrections (entry_id, responsible_unit_id, corrected_entry_id, position) VALUES ($1, $2, $3, $4)",
        source.entry_id,
        source.unit_id,
        link.corrected_entry_id,
        link.position,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The entries in the scope that correct these, each with the one that it corrects, in their order.
pub(crate) async fn of_each(
    connection: &mut PgConnection,
    entries: &[Uuid],
    scope: &RowScope,
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT corrected_entry_id, entry_id FROM corrections
         WHERE corrected_entry_id = ANY ($1) AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY corrected_entry_id, position",
        entries,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.corrected_entry_id, row.entry_id))
        .collect())
}

/// What these entries correct.
pub(crate) async fn of_entries(
    connection: &mut PgConnection,
    entries: &[Uuid],
) -> Result<Vec<(Uuid, CorrectionLink)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT entry_id, corrected_entry_id, position FROM corrections WHERE entry_id = ANY ($1)",
        entries,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let link = CorrectionLink {
                corrected_entry_id: row.corrected_entry_id,
                position: row.position,
            };
            (row.entry_id, link)
        })
        .collect())
}
