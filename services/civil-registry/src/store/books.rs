//! `books`, `book_history`.

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, one_row};
use crate::domain::book::{Book, BookFilter, BookState, Certified, EventKind, Kept};

/// A row of `books` with the number of its last entry.
struct Row {
    book_id: Uuid,
    responsible_unit_id: i32,
    event: i16,
    year: i16,
    state: i16,
    open_date: jiff_sqlx::Date,
    close_date: Option<jiff_sqlx::Date>,
    pages_per_volume: i32,
    entries_per_page: i32,
    certifier_name: String,
    certifier_title: String,
    certify_date: Option<jiff_sqlx::Date>,
    version: i64,
    last_number: i32,
}

impl TryFrom<Row> for Kept {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let outside = |column| StoreError::Inconsistent { table: "books", column };
        let (name, title) = (row.certifier_name, row.certifier_title);
        Ok(Self {
            book: Book {
                book_id: row.book_id,
                unit_id: row.responsible_unit_id,
                event: EventKind::of_code(row.event).ok_or_else(|| outside("event"))?,
                year: row.year,
                state: BookState::of_code(row.state).ok_or_else(|| outside("state"))?,
                open_date: row.open_date.to_jiff(),
                close_date: row.close_date.map(jiff_sqlx::Date::to_jiff),
                pages_per_volume: row.pages_per_volume,
                entries_per_page: row.entries_per_page,
                certified: row.certify_date.map(|on| Certified {
                    name,
                    title,
                    on: on.to_jiff(),
                }),
                version: row.version,
            },
            last_number: row.last_number,
        })
    }
}

/// A new book.
pub(crate) async fn insert(connection: &mut PgConnection, book: &Book) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO books (book_id, responsible_unit_id, event, year, state, open_date, pages_per_volume, entries_per_page, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        book.book_id,
        book.unit_id,
        book.event.code(),
        book.year,
        book.state.code(),
        book.open_date.to_sqlx() as _,
        book.pages_per_volume,
        book.entries_per_page,
        book.version,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what an act made of a book.
pub(crate) async fn save(connection: &mut PgConnection, book: &Book) -> Result<(), StoreError> {
    let certified = book.certified.as_ref();
    let changed = sqlx::query!(
        "UPDATE books
         SET state = $2, close_date = $3, certifier_name = $4, certifier_title = $5, certify_date = $6, version = $7
         WHERE book_id = $1 AND version = $7::bigint - 1",
        book.book_id,
        book.state.code(),
        book.close_date.map(ToSqlx::to_sqlx) as _,
        certified.map_or("", |certified| certified.name.as_str()),
        certified.map_or("", |certified| certified.title.as_str()),
        certified.map(|certified| certified.on.to_sqlx()) as _,
        book.version,
    )
    .execute(connection)
    .await?;
    one_row("books", changed.rows_affected())
}

/// A book in the scope.
pub(crate) async fn get(
    connection: &mut PgConnection,
    book_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Kept>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT book_id, responsible_unit_id, event, year, state, open_date, close_date, pages_per_volume, entries_per_page,
               certifier_name, certifier_title, certify_date, version,
               COALESCE((SELECT max(e.number) FROM entries e WHERE e.book_id = b.book_id), 0) AS "last_number!"
        FROM books b
        WHERE book_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))
        "#,
        book_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Kept::try_from).transpose()
}

/// Holds a book in the scope until the transaction ends: whoever enters something in it waits, and whoever is entering is waited for. Read the
/// book again afterwards: what it says is what was true before the wait. False if there is none.
pub(crate) async fn hold(connection: &mut PgConnection, book_id: Uuid, scope: &RowScope) -> Result<bool, StoreError> {
    let held = sqlx::query_scalar!(
        "SELECT book_id FROM books WHERE book_id = $1 AND ($2 OR responsible_unit_id = ANY ($3)) FOR UPDATE",
        book_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    Ok(held.is_some())
}

/// The book of a commune, kind and year, no digitised one (4); until the transaction ends it stays in the state in which it is found, while others may enter something
/// in it as well.
pub(crate) async fn of_year(
    connection: &mut PgConnection,
    unit_id: i32,
    event: EventKind,
    year: i16,
) -> Result<Option<Book>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT book_id, responsible_unit_id, event, year, state, open_date, close_date, pages_per_volume, entries_per_page,
               certifier_name, certifier_title, certify_date, version, 0 AS "last_number!"
        FROM books
        WHERE responsible_unit_id = $1 AND event = $2 AND year = $3 AND state <> 4
        FOR SHARE
        "#,
        unit_id,
        event.code(),
        year,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Kept::try_from).transpose()?.map(|kept| kept.book))
}

/// One page of the books of the years in the scope, which digitised ones (4) are not, by unit, newest year first, then by kind; `after` is unit, year and kind of the last one before.
pub(crate) async fn list(
    connection: &mut PgConnection,
    scope: &RowScope,
    wanted: BookFilter,
    after: Option<(i32, i16, i16)>,
    limit: i64,
) -> Result<Vec<Kept>, StoreError> {
    let (unit, year, event) = after.unwrap_or((i32::MIN, i16::MAX, i16::MIN));
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT book_id, responsible_unit_id, event, year, state, open_date, close_date, pages_per_volume, entries_per_page,
               certifier_name, certifier_title, certify_date, version,
               COALESCE((SELECT max(e.number) FROM entries e WHERE e.book_id = b.book_id), 0) AS "last_number!"
        FROM books b
        WHERE state <> 4
          AND ($1 OR responsible_unit_id = ANY ($2))
          AND ($3::integer IS NULL OR responsible_unit_id = $3)
          AND ($4::smallint IS NULL OR event = $4)
          AND ($5::smallint IS NULL OR year = $5)
          AND responsible_unit_id >= $6
          AND (responsible_unit_id > $6 OR year < $7 OR (year = $7 AND event > $8))
        ORDER BY responsible_unit_id, year DESC, event
        LIMIT $9
        "#,
        scope.all,
        &scope.units,
        wanted.unit_id,
        wanted.event.map(EventKind::code),
        wanted.year,
        unit,
        year,
        event,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Kept::try_from).collect()
}

/// What was done with a book.
pub(crate) struct Act<'a> {
    pub(crate) book: &'a Book,
    pub(crate) name: &'static str,
    pub(crate) actor_id: Uuid,
    pub(crate) actor_kind: &'static str,
    pub(crate) content: &'a str,
    pub(crate) now: Timestamp,
}

/// Adds an act to the history.
pub(crate) async fn append(connection: &mut PgConnection, act: &Act<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO book_history (book_id, version, responsible_unit_id, act, actor_id, actor_kind, content, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        act.book.book_id,
        act.book.version,
        act.book.unit_id,
        act.name,
        act.actor_id,
        act.actor_kind,
        act.content,
        act.now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Every book, for the verification.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<Book>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT book_id, responsible_unit_id, event, year, state, open_date, close_date, pages_per_volume, entries_per_page,
               certifier_name, certifier_title, certify_date, version, 0 AS "last_number!"
        FROM books
        ORDER BY book_id
        "#,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Kept::try_from(row).map(|kept| kept.book))
        .collect()
}

/// Every act of the history: book, version, what its leaf commits to.
pub(crate) async fn all_acts(connection: &mut PgConnection) -> Result<Vec<(Uuid, i64, String)>, StoreError> {
    let rows = sqlx::query!("SELECT book_id, version, content FROM book_history ORDER BY book_id, version")
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.book_id, row.version, row.content))
        .collect())
}
