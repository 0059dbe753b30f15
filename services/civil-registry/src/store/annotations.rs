//! `annotations`: rows are added and read, never changed.

use egov_auth::RowScope;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::annotation::{Annotation, AnnotationKind, Note};

/// A row of `annotations`.
struct Row {
    annotation_id: Uuid,
    entry_id: Uuid,
    responsible_unit_id: i32,
    position: i32,
    kind: i16,
    note_date: jiff_sqlx::Date,
    content: String,
    cancels: Option<Uuid>,
    actor_id: Uuid,
    actor_kind: String,
    record_time: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Annotation {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let outside = |column| StoreError::Inconsistent {
            table: "annotations",
            column,
        };
        let note: Note = serde_json::from_str(&row.content).map_err(|_| outside("content"))?;
        Ok(Self {
            annotation_id: row.annotation_id,
            entry_id: row.entry_id,
            unit_id: row.responsible_unit_id,
            position: row.position,
            kind: AnnotationKind::of_code(row.kind).ok_or_else(|| outside("kind"))?,
            note_date: row.note_date.to_jiff(),
            note,
            cancels: row.cancels,
            actor_id: row.actor_id,
            actor_kind: row.actor_kind,
            record_time: row.record_time.to_jiff(),
        })
    }
}

/// A new annotation; `content` is what it says, as it is kept.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    annotation: &Annotation,
    content: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO annotations (annotation_id, entry_id, responsible_unit_id, position, kind, note_date, content, cancels, actor_id,
                                  actor_kind, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        annotation.annotation_id,
        annotation.entry_id,
        annotation.unit_id,
        annotation.position,
        annotation.kind.code(),
        annotation.note_date.to_sqlx() as _,
        content,
        annotation.cancels,
        annotation.actor_id,
        annotation.actor_kind,
        annotation.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An annotation in the scope.
pub(crate) async fn get(
    connection: &mut PgConnection,
    annotation_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Annotation>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT annotation_id, entry_id, responsible_unit_id, position, kind, note_date, content, cancels, actor_id, actor_kind, record_time
         FROM annotations
         WHERE annotation_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))",
        annotation_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Annotation::try_from).transpose()
}

/// What stands beside an entry in the scope, in its order.
pub(crate) async fn of_entry(
    connection: &mut PgConnection,
    entry_id: Uuid,
    scope: &RowScope,
) -> Result<Vec<Annotation>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT annotation_id, entry_id, responsible_unit_id, position, kind, note_date, content, cancels, actor_id, actor_kind, record_time
         FROM annotations
         WHERE entry_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY position",
        entry_id,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Annotation::try_from).collect()
}

/// Some annotations after an id, in the order of ids, for the verification.
pub(crate) async fn after(
    connection: &mut PgConnection,
    annotation_id: Uuid,
    limit: i64,
) -> Result<Vec<Annotation>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT annotation_id, entry_id, responsible_unit_id, position, kind, note_date, content, cancels, actor_id, actor_kind, record_time
         FROM annotations
         WHERE annotation_id > $1
         ORDER BY annotation_id
         LIMIT $2",
        annotation_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Annotation::try_from).collect()
}
