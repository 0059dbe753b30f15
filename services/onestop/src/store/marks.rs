//! Đánh dấu and ghi chú nội bộ: `case_marks`, `case_comments`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::work::mark::{Mark, Marked};

/// Ghi chú nội bộ.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "an id is called after what it identifies, here as everywhere"
)]
pub(crate) struct Comment {
    pub(crate) comment_id: Uuid,
    pub(crate) case_id: Uuid,
    /// The task on which it was made.
    pub(crate) task_id: Option<Uuid>,
    pub(crate) author_id: Uuid,
    pub(crate) text: String,
    pub(crate) create_time: Timestamp,
}

/// Where a page of comments, oldest first, begins: after this one.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct AfterComment {
    pub(crate) create_time: Timestamp,
    pub(crate) comment_id: Uuid,
}

impl Comment {
    pub(crate) fn position(&self) -> AfterComment {
        AfterComment {
            create_time: self.create_time,
            comment_id: self.comment_id,
        }
    }
}

struct CommentRow {
    comment_id: Uuid,
    case_id: Uuid,
    task_id: Option<Uuid>,
    author_id: Uuid,
    text: String,
    create_time: jiff_sqlx::Timestamp,
}

impl From<CommentRow> for Comment {
    fn from(row: CommentRow) -> Self {
        Self {
            comment_id: row.comment_id,
            case_id: row.case_id,
            task_id: row.task_id,
            author_id: row.author_id,
            text: row.text,
            create_time: row.create_time.to_jiff(),
        }
    }
}

struct MarkRow {
    mark_id: Uuid,
    case_id: Uuid,
    task_id: Uuid,
    field: String,
    component_code: String,
    text: String,
    author_id: Uuid,
    create_time: jiff_sqlx::Timestamp,
    resolve_time: Option<jiff_sqlx::Timestamp>,
    resolved_by: Option<Uuid>,
}

impl From<MarkRow> for Mark {
    fn from(row: MarkRow) -> Self {
        Self {
            mark_id: row.mark_id,
            case_id: row.case_id,
            task_id: row.task_id,
            on: if row.field.is_empty() {
                Marked::Component(row.component_code)
            } else {
                Marked::Field(row.field)
            },
            text: row.text,
            author_id: row.author_id,
            create_time: row.create_time.to_jiff(),
            resolve_time: row.resolve_time.map(jiff_sqlx::Timestamp::to_jiff),
            resolved_by: row.resolved_by,
        }
    }
}

/// Stores a mark.
pub(crate) async fn insert(connection: &mut PgConnection, mark: &Mark) -> Result<(), StoreError> {
    let (field, component) = match &mark.on {
        Marked::Field(path) => (path.as_str(), ""),
        Marked::Component(code) => ("", code.as_str()),
    };
    sqlx::query!(
        r#"
        INSERT INTO case_marks (mark_id, case_id, task_id, field, component_code, text, author_id, create_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        mark.mark_id,
        mark.case_id,
        mark.task_id,
        field,
        component,
        mark.text,
        mark.author_id,
        mark.create_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The marks of a case that have not been dealt with, oldest first; no more than a screen can hold.
pub(crate) async fn open_of(connection: &mut PgConnection, case_id: Uuid) -> Result<Vec<Mark>, StoreError> {
    let rows = sqlx::query_as!(
        MarkRow,
        r#"
        SELECT mark_id, case_id, task_id, field, component_code, text, author_id, create_time, resolve_time, resolved_by
        FROM case_marks WHERE case_id = $1 AND resolve_time IS NULL ORDER BY create_time, mark_id LIMIT 1000
        "#,
        case_id
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Mark::from).collect())
}

/// All marks on all cases, for the verification.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<Mark>, StoreError> {
    let rows = sqlx::query_as!(
        MarkRow,
        "SELECT mark_id, case_id, task_id, field, component_code, text, author_id, create_time, resolve_time, resolved_by
         FROM case_marks"
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Mark::from).collect())
}

/// Marks are dealt with; gives how many were open.
pub(crate) async fn resolve(
    connection: &mut PgConnection,
    case_id: Uuid,
    marks: &[Uuid],
    who: Uuid,
    now: Timestamp,
) -> Result<u64, StoreError> {
    Ok(sqlx::query!(
        r#"
        UPDATE case_marks SET resolve_time = $4, resolved_by = $3
        WHERE case_id = $1 AND mark_id = ANY ($2) AND resolve_time IS NULL
        "#,
        case_id,
        marks,
        who,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?
    .rows_affected())
}

/// Stores a comment.
pub(crate) async fn insert_comment(connection: &mut PgConnection, comment: &Comment) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO case_comments (comment_id, case_id, task_id, author_id, text, create_time)
        VALUES ($1, $2, $3, $4, $5, $6)
        "#,
        comment.comment_id,
        comment.case_id,
        comment.task_id,
        comment.author_id,
        comment.text,
        comment.create_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// One page of the comments on a case, oldest first.
pub(crate) async fn comments(
    connection: &mut PgConnection,
    case_id: Uuid,
    after: Option<AfterComment>,
    limit: i64,
) -> Result<Vec<Comment>, StoreError> {
    let (time, id) = after
        .map(|after| (after.create_time.to_sqlx(), after.comment_id))
        .unzip();
    let rows = sqlx::query_as!(
        CommentRow,
        r#"
        SELECT comment_id, case_id, task_id, author_id, text, create_time FROM case_comments
        WHERE case_id = $1
          AND (create_time, comment_id) > (coalesce($2::timestamptz, '-infinity'),
                                           coalesce($3::uuid, '00000000-0000-0000-0000-000000000000'))
        ORDER BY create_time, comment_id
        LIMIT $4
        "#,
        case_id,
        time as _,
        id as Option<Uuid>,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Comment::from).collect())
}

/// All comments on all cases, for the verification.
pub(crate) async fn all_comments(connection: &mut PgConnection) -> Result<Vec<Comment>, StoreError> {
    let rows = sqlx::query_as!(
        CommentRow,
        "SELECT comment_id, case_id, task_id, author_id, text, create_time FROM case_comments"
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Comment::from).collect())
}
