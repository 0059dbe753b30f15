//! Tệp tin: `uploads` under way and finished `files`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, Visible, one_row};
use crate::domain::listing::StoredFile;
use crate::domain::results::ResultFile;

/// An upload under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upload {
    pub(crate) id: Uuid,
    pub(crate) owner_id: Uuid,
    pub(crate) name: String,
    pub(crate) size: i64,
    pub(crate) sha256: String,
    /// Set when it was finished.
    pub(crate) file_id: Option<Uuid>,
}

/// The names of the files of a case.
pub(crate) async fn names(connection: &mut PgConnection, case_id: Uuid) -> Result<Vec<(Uuid, String)>, StoreError> {
    Ok(
        sqlx::query_as("SELECT file_id, name FROM files WHERE case_id = $1 ORDER BY file_id")
            .bind(case_id)
            .fetch_all(connection)
            .await?,
    )
}

/// Announces an upload.
pub(crate) async fn insert_upload(
    connection: &mut PgConnection,
    upload: &Upload,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO uploads (upload_id, owner_id, name, size, sha256, create_time) VALUES ($1, $2, $3, $4, $5, $6)",
        upload.id,
        upload.owner_id,
        upload.name,
        upload.size,
        upload.sha256,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An upload of this owner.
pub(crate) async fn get_upload(
    connection: &mut PgConnection,
    upload_id: Uuid,
    owner_id: Uuid,
) -> Result<Option<Upload>, StoreError> {
    Ok(sqlx::query_as!(
        Upload,
        "SELECT upload_id AS id, owner_id, name, size, sha256, file_id FROM uploads WHERE upload_id = $1 AND owner_id = $2",
        upload_id,
        owner_id,
    )
    .fetch_optional(connection)
    .await?)
}

/// The same, held until the transaction ends, so that two finishes follow one another.
pub(crate) async fn get_upload_for_update(
    connection: &mut PgConnection,
    upload_id: Uuid,
    owner_id: Uuid,
) -> Result<Option<Upload>, StoreError> {
    Ok(sqlx::query_as!(
        Upload,
        r#"
        SELECT upload_id AS id, owner_id, name, size, sha256, file_id FROM uploads
        WHERE upload_id = $1 AND owner_id = $2
        FOR UPDATE
        "#,
        upload_id,
        owner_id,
    )
    .fetch_optional(connection)
    .await?)
}

/// Marks an upload as finished by its file.
pub(crate) async fn finish_upload(
    connection: &mut PgConnection,
    upload_id: Uuid,
    file_id: Uuid,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        "UPDATE uploads SET file_id = $2 WHERE upload_id = $1 AND file_id IS NULL",
        upload_id,
        file_id
    )
    .execute(connection)
    .await?;
    one_row("uploads", changed.rows_affected())
}

/// Stores what is known of a finished file.
pub(crate) async fn insert(connection: &mut PgConnection, file: &StoredFile) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO files (file_id, owner_id, name, media_type, size, sha256, store_key, create_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        file.file_id,
        file.owner_id,
        file.name,
        file.media_type,
        file.size,
        file.sha256,
        file.store_key,
        file.create_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A file that the caller may read: its own as long as no case took it, then the case's.
pub(crate) async fn get(
    connection: &mut PgConnection,
    file_id: Uuid,
    uploader: Uuid,
    visible: &Visible,
) -> Result<Option<StoredFile>, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT file_id, owner_id, name, media_type, size, sha256, store_key, create_time, case_id,
               -- Whose papers these are: also where the case that brought them is out of sight and one that uses them is not.
               coalesce((SELECT cases.owner_id FROM cases WHERE cases.case_id = files.case_id),
                        (SELECT stored_papers.owner_id FROM stored_papers JOIN paper_uses USING (paper_id)
                         WHERE paper_uses.file_id = files.file_id LIMIT 1)) AS case_owner_id
        FROM files
        WHERE file_id = $1
          AND ($3 OR (case_id IS NULL AND owner_id = $2) OR EXISTS (
              SELECT 1 FROM cases
              WHERE cases.case_id = files.case_id
                AND (cases.responsible_unit_id = ANY ($4) OR cases.owner_id = $5 OR cases.assignee_id = $6
                     OR cases.receiving_unit_id = ANY ($4)
                     OR EXISTS (SELECT 1 FROM case_tasks AS asked WHERE asked.case_id = cases.case_id AND asked.state = 1
                                AND asked.kind = 2 AND asked.responsible_unit_id = ANY ($4)))
          ) OR EXISTS (
              SELECT 1 FROM paper_uses JOIN cases USING (case_id)
              WHERE paper_uses.file_id = files.file_id
                AND (cases.responsible_unit_id = ANY ($4) OR cases.owner_id = $5 OR cases.assignee_id = $6
                     OR cases.receiving_unit_id = ANY ($4)
                     OR EXISTS (SELECT 1 FROM case_tasks AS asked WHERE asked.case_id = cases.case_id AND asked.state = 1
                                AND asked.kind = 2 AND asked.responsible_unit_id = ANY ($4)))
          ))
        "#,
        file_id,
        uploader,
        visible.all,
        &visible.units,
        visible.owner,
        visible.assignee,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| StoredFile {
        file_id: row.file_id,
        owner_id: row.owner_id,
        name: row.name,
        media_type: row.media_type,
        size: row.size,
        sha256: row.sha256,
        store_key: row.store_key,
        create_time: row.create_time.to_jiff(),
        case_id: row.case_id,
        case_owner_id: row.case_owner_id,
    }))
}

/// Gives the case these files, all of them or none: each must be the uploader's own and free, or the case's already.
/// The answer is how many of them the case has then. `file_ids` come without repetition and in order, so that two cases
/// that reach for the same files wait for one another instead of blocking each other.
pub(crate) async fn attach(
    connection: &mut PgConnection,
    case_id: Uuid,
    uploader: Uuid,
    file_ids: &[Uuid],
) -> Result<i64, StoreError> {
    sqlx::query!(
        "SELECT file_id FROM files WHERE file_id = ANY ($1) ORDER BY file_id FOR UPDATE",
        file_ids
    )
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE files SET case_id = $1 WHERE file_id = ANY ($3) AND owner_id = $2 AND case_id IS NULL",
        case_id,
        uploader,
        file_ids,
    )
    .execute(&mut *connection)
    .await?;
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM files WHERE file_id = ANY ($2) AND case_id = $1"#,
        case_id,
        file_ids,
    )
    .fetch_one(connection)
    .await?)
}

/// How many of these files a case of this uploader could take: its own and free. `file_ids` come without repetition.
pub(crate) async fn usable(
    connection: &mut PgConnection,
    uploader: Uuid,
    file_ids: &[Uuid],
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM files WHERE file_id = ANY ($2) AND owner_id = $1 AND case_id IS NULL"#,
        uploader,
        file_ids,
    )
    .fetch_one(connection)
    .await?)
}

/// What is known of those of these files that this uploader may give to the case, or that it has already.
pub(crate) async fn of_results(
    connection: &mut PgConnection,
    case_id: Uuid,
    uploader: Uuid,
    file_ids: &[Uuid],
) -> Result<Vec<ResultFile>, StoreError> {
    Ok(sqlx::query_as!(
        ResultFile,
        r#"
        SELECT file_id, media_type, sha256 FROM files
        WHERE file_id = ANY ($3) AND ((case_id IS NULL AND owner_id = $2) OR case_id = $1)
        "#,
        case_id,
        uploader,
        file_ids,
    )
    .fetch_all(connection)
    .await?)
}

/// Forgets an upload that was swept from the store, if it was not finished; true if its content is nobody's now. The row
/// is held, so that it is not being finished at this moment.
pub(crate) async fn forget_unfinished(connection: &mut PgConnection, upload_id: Uuid) -> Result<bool, StoreError> {
    let finished = sqlx::query_scalar!(
        r#"SELECT file_id IS NOT NULL AS "finished!" FROM uploads WHERE upload_id = $1 FOR UPDATE"#,
        upload_id
    )
    .fetch_optional(&mut *connection)
    .await?;
    if finished == Some(true) {
        return Ok(false);
    }
    sqlx::query!("DELETE FROM uploads WHERE upload_id = $1", upload_id)
        .execute(connection)
        .await?;
    Ok(true)
}

/// Id, SHA-256 and size of every finished file.
pub(crate) async fn contents(connection: &mut PgConnection) -> Result<Vec<(Uuid, String, i64)>, StoreError> {
    Ok(sqlx::query_as("SELECT file_id, sha256, size FROM files")
        .fetch_all(connection)
        .await?)
}
