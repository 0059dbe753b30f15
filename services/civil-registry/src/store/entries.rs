//! `entries`: rows are added and read, never changed.

use egov_auth::RowScope;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::book::EventKind;
use crate::domain::entry::{Content, Entry, RegistrationKind};

/// A row of `entries`.
struct Row {
    entry_id: Uuid,
    responsible_unit_id: i32,
    book_id: Uuid,
    event: i16,
    year: i16,
    number: i32,
    volume: i32,
    page: i32,
    registration_kind: i16,
    registration_date: jiff_sqlx::Date,
    subject_id: Uuid,
    content: String,
    actor_id: Uuid,
    actor_kind: String,
    record_time: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Entry {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let outside = |column| StoreError::Inconsistent {
            table: "entries",
            column,
        };
        let content: Content = serde_json::from_str(&row.content).map_err(|_| outside("content"))?;
        Ok(Self {
            entry_id: row.entry_id,
            unit_id: row.responsible_unit_id,
            book_id: row.book_id,
            event: EventKind::of_code(row.event).ok_or_else(|| outside("event"))?,
            year: row.year,
            number: row.number,
            volume: row.volume,
            page: row.page,
            registration_kind: RegistrationKind::of_code(row.registration_kind)
                .ok_or_else(|| outside("registration_kind"))?,
            registration_date: row.registration_date.to_jiff(),
            subject_id: row.subject_id,
            content,
            actor_id: row.actor_id,
            actor_kind: row.actor_kind,
            record_time: row.record_time.to_jiff(),
        })
    }
}

/// A new entry; `content` is what it says, as it is kept, `occurrence` which of the entries of its number it is: more than one has an old book alone.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    entry: &Entry,
    content: &str,
    occurrence: i16,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO entries (entry_id, responsible_unit_id, book_id, event, year, number, volume, page, registration_kind,
                              registration_date, subject_id, content, actor_id, actor_kind, record_time, occurrence)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        entry.entry_id,
        entry.unit_id,
        entry.book_id,
        entry.event.code(),
        entry.year,
        entry.number,
        entry.volume,
        entry.page,
        entry.registration_kind.code(),
        entry.registration_date.to_sqlx() as _,
        entry.subject_id,
        content,
        entry.actor_id,
        entry.actor_kind,
        entry.record_time.to_sqlx() as _,
        occurrence,
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
    let row = sqlx::query_as!(
        Row,
        "SELECT entry_id, responsible_unit_id, book_id, event, year, number, volume, page, registration_kind, registration_date,
                subject_id, content, actor_id, actor_kind, record_time
         FROM entries
         WHERE entry_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))",
        entry_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Entry::try_from).transpose()
}

/// The entries in the scope that correct an entry, in their order.
pub(crate) async fn correcting(
    connection: &mut PgConnection,
    entry_id: Uuid,
    scope: &RowScope,
) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT e.entry_id, e.responsible_unit_id, e.book_id, e.event, e.year, e.number, e.volume, e.page, e.registration_kind,
                e.registration_date, e.subject_id, e.content, e.actor_id, e.actor_kind, e.record_time
         FROM corrections AS c JOIN entries AS e ON e.entry_id = c.entry_id
         WHERE c.corrected_entry_id = $1 AND ($2 OR (c.responsible_unit_id = ANY ($3) AND e.responsible_unit_id = ANY ($3)))
         ORDER BY c.position",
        entry_id,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Entry::try_from).collect()
}

/// These entries, as far as they are in the scope, in the order in which they were entered.
pub(crate) async fn of_ids(
    connection: &mut PgConnection,
    ids: &[Uuid],
    scope: &RowScope,
) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT entry_id, responsible_unit_id, book_id, event, year, number, volume, page, registration_kind, registration_date,
                subject_id, content, actor_id, actor_kind, record_time
         FROM entries
         WHERE entry_id = ANY ($1) AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY record_time, entry_id",
        ids,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Entry::try_from).collect()
}

/// One page of the entries of a book in the scope, by number; after number and id of the last one before.
pub(crate) async fn list(
    connection: &mut PgConnection,
    book_id: Uuid,
    scope: &RowScope,
    (number, entry_id): (i32, Uuid),
    limit: i64,
) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT entry_id, responsible_unit_id, book_id, event, year, number, volume, page, registration_kind, registration_date,
                subject_id, content, actor_id, actor_kind, record_time
         FROM entries
         WHERE book_id = $1 AND number >= $2 AND (number > $2 OR entry_id > $6) AND ($3 OR responsible_unit_id = ANY ($4))
         ORDER BY number, entry_id
         LIMIT $5",
        book_id,
        number,
        scope.all,
        &scope.units,
        limit,
        entry_id,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Entry::try_from).collect()
}

/// Some entries after an id, in the order of ids, for the verification.
pub(crate) async fn after(connection: &mut PgConnection, entry_id: Uuid, limit: i64) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT entry_id, responsible_unit_id, book_id, event, year, number, volume, page, registration_kind, registration_date,
                subject_id, content, actor_id, actor_kind, record_time
         FROM entries
         WHERE entry_id > $1
         ORDER BY entry_id
         LIMIT $2",
        entry_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Entry::try_from).collect()
}
