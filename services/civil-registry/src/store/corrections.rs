//! `corrections`: which entry corrects which; rows are added and read, never changed.

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
