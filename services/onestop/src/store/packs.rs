//! Gói dữ liệu pháp luật: `law_packs`, word for word as imported.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::StoreError;

/// The content in force of each pack of a kind, by name.
pub(crate) async fn in_force(connection: &mut PgConnection, kind: &str) -> Result<Vec<(String, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT latest.name, law_packs.content
        FROM (
            SELECT DISTINCT ON (name) name, sha256 FROM law_pack_changes WHERE kind = $1 ORDER BY name, change_id DESC
        ) AS latest
        JOIN law_packs ON law_packs.kind = $1 AND law_packs.name = latest.name AND law_packs.sha256 = latest.sha256
        ORDER BY latest.name
        "#,
        kind
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.content)).collect())
}

/// The last change of any pack; 0 if there was none.
pub(crate) async fn last_change(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar!(r#"SELECT coalesce(max(change_id), 0) AS "change!" FROM law_pack_changes"#)
            .fetch_one(connection)
            .await?,
    )
}

/// Keeps the files of a calendar under its version, once.
pub(crate) async fn keep_calendar(
    connection: &mut PgConnection,
    version: &str,
    files: &BTreeMap<String, String>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO calendars (version, files, first_time) VALUES ($1, $2, $3) ON CONFLICT (version) DO NOTHING",
        version,
        Json(files) as _,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Every calendar by which due dates were worked out, by its version.
pub(crate) async fn calendars(
    connection: &mut PgConnection,
) -> Result<Vec<(String, BTreeMap<String, String>)>, StoreError> {
    let rows = sqlx::query!(r#"SELECT version, files AS "files: Json<BTreeMap<String, String>>" FROM calendars"#)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.version, row.files.0)).collect())
}

/// Puts a content in force under its name. Gives false if it was in force already.
pub(crate) async fn put_in_force(
    connection: &mut PgConnection,
    kind: &str,
    name: &str,
    sha256: &[u8],
    content: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let present = sqlx::query_scalar!(
        "SELECT sha256 FROM law_pack_changes WHERE kind = $1 AND name = $2 ORDER BY change_id DESC LIMIT 1",
        kind,
        name
    )
    .fetch_optional(&mut *connection)
    .await?
    .flatten();
    if present.as_deref() == Some(sha256) {
        return Ok(false);
    }
    sqlx::query!(
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
    .execute(&mut *connection)
    .await?;
    change(connection, kind, name, Some(sha256), now).await?;
    Ok(true)
}

/// Takes what is in force under other names out of force, and says which names these were.
pub(crate) async fn withdraw_others(
    connection: &mut PgConnection,
    kind: &str,
    kept: &[String],
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let others: Vec<String> = in_force(&mut *connection, kind)
        .await?
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !kept.contains(name))
        .collect();
    for name in &others {
        change(&mut *connection, kind, name, None, now).await?;
    }
    Ok(others)
}

async fn change(
    connection: &mut PgConnection,
    kind: &str,
    name: &str,
    sha256: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO law_pack_changes (kind, name, sha256, change_time) VALUES ($1, $2, $3, $4)",
        kind,
        name,
        sha256,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}
