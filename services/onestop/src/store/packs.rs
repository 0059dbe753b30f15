//! Gói dữ liệu pháp luật: `law_packs`, word for word as imported.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;

use super::StoreError;

/// The newest content of each pack of a kind, by name.
pub(crate) async fn newest(connection: &mut PgConnection, kind: &str) -> Result<Vec<(String, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT DISTINCT ON (name) name, content FROM law_packs
        WHERE kind = $1
        ORDER BY name, import_time DESC
        "#,
        kind
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.content)).collect())
}

/// Keeps a pack. Gives false if this content was there already.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    kind: &str,
    name: &str,
    sha256: &[u8],
    content: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let kept = sqlx::query!(
        r#"
        INSERT INTO law_packs (kind, name, sha256, content, import_time) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (kind, name, sha256) DO NOTHING
        "#,
        kind,
        name,
        sha256,
        content,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(kept.rows_affected() == 1)
}
