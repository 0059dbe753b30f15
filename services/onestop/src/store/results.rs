//! Các phiên bản kết quả: `result_versions`, one row a version, never changed.

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::results::ResultVersion;

/// Stores a version with the bytes to which the ledger commits.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    version: &ResultVersion,
    content: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO result_versions (case_id, position, version, result_id, case_version, content)
        VALUES ($1, $2, $3, $4, $5, $6)
        "#,
        version.case_id,
        version.result_number.saturating_sub(1),
        version.version,
        version.result_id,
        version.case_version,
        content,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Every version, for the verification of the ledger: result, version, content.
pub(crate) async fn all_versions(connection: &mut PgConnection) -> Result<Vec<(Uuid, i64, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!("SELECT result_id, version, content FROM result_versions ORDER BY result_id, version")
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.result_id, i64::from(row.version), row.content.into_bytes()))
        .collect())
}
