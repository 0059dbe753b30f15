//! `old_books`, `old_imports`, `old_import_pieces`, `old_pages`, `old_page_acts`, `old_lines`, `old_settlements`.

use std::collections::{BTreeMap, HashSet};

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, one_row};
use crate::domain::book::EventKind;
use crate::domain::old_book::{Choice, Columns, Keying, OldBook, Page, PageState, Settlement};

/// A row of `old_books`.
struct BookRow {
    book_id: Uuid,
    responsible_unit_id: i32,
    event: i16,
    year: i16,
    kept_by: String,
    label: String,
}

impl TryFrom<BookRow> for OldBook {
    type Error = StoreError;

    fn try_from(row: BookRow) -> Result<Self, StoreError> {
        Ok(Self {
            book_id: row.book_id,
            unit_id: row.responsible_unit_id,
            event: EventKind::of_code(row.event).ok_or(StoreError::Inconsistent {
                table: "old_books",
                column: "event",
            })?,
            year: row.year,
            kept_by: row.kept_by,
            label: row.label,
        })
    }
}

/// A row of `old_pages`.
struct PageRow {
    page_id: Uuid,
    book_id: Uuid,
    responsible_unit_id: i32,
    volume: String,
    page: String,
    state: i16,
    first_officer_id: Uuid,
    second_officer_id: Option<Uuid>,
    first_checker_id: Option<Uuid>,
    second_checker_id: Option<Uuid>,
    scan_sha256: String,
    version: i64,
}

impl TryFrom<PageRow> for Page {
    type Error = StoreError;

    fn try_from(row: PageRow) -> Result<Self, StoreError> {
        Ok(Self {
            page_id: row.page_id,
            book_id: row.book_id,
            unit_id: row.responsible_unit_id,
            volume: row.volume,
            page: row.page,
            state: PageState::of_code(row.state).ok_or(StoreError::Inconsistent {
                table: "old_pages",
                column: "state",
            })?,
            first_officer_id: row.first_officer_id,
            second_officer_id: row.second_officer_id,
            first_checker_id: row.first_checker_id,
            second_checker_id: row.second_checker_id,
            scan_sha256: row.scan_sha256,
            version: row.version,
        })
    }
}

/// Lets those who write in an old book take turns until the end of the transaction.
pub(crate) async fn take_turn(connection: &mut PgConnection, book_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('civil_registry.old_books ' || $1, 0))::text",
        book_id.to_string(),
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// What stands on a new old book.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    book: &OldBook,
    (actor_id, actor_kind): (Uuid, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO old_books (book_id, responsible_unit_id, event, year, kept_by, label, actor_id, actor_kind, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        book.book_id,
        book.unit_id,
        book.event.code(),
        book.year,
        book.kept_by,
        book.label,
        actor_id,
        actor_kind,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An old book in the scope.
pub(crate) async fn get(
    connection: &mut PgConnection,
    book_id: Uuid,
    scope: &RowScope,
) -> Result<Option<OldBook>, StoreError> {
    let row = sqlx::query_as!(
        BookRow,
        "SELECT book_id, responsible_unit_id, event, year, kept_by, label FROM old_books
         WHERE book_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))",
        book_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(OldBook::try_from).transpose()
}

/// Every old book, for the verification.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<OldBook>, StoreError> {
    let rows = sqlx::query_as!(
        BookRow,
        "SELECT book_id, responsible_unit_id, event, year, kept_by, label FROM old_books ORDER BY book_id",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(OldBook::try_from).collect()
}

/// A file, and how far it came.
#[derive(Clone, Copy)]
pub(crate) struct KeyedFile {
    pub(crate) import_id: Uuid,
    pub(crate) book_id: Uuid,
    pub(crate) keying: i16,
    pub(crate) actor_id: Uuid,
    pub(crate) position: i64,
}

/// A file that was begun.
pub(crate) async fn import(
    connection: &mut PgConnection,
    import_id: Uuid,
    scope: &RowScope,
) -> Result<Option<KeyedFile>, StoreError> {
    let row = sqlx::query_as!(
        KeyedFile,
        "SELECT import_id, book_id, keying, actor_id, position FROM old_imports
         WHERE import_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))",
        import_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// Keeps how far a file came; false if its id is that of another one.
pub(crate) async fn put_position(
    connection: &mut PgConnection,
    import: &KeyedFile,
    unit_id: i32,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let moved = sqlx::query!(
        "UPDATE old_imports SET position = $2 WHERE import_id = $1",
        import.import_id,
        import.position,
    )
    .execute(&mut *connection)
    .await?;
    if moved.rows_affected() == 1 {
        return Ok(true);
    }
    let begun = sqlx::query!(
        "INSERT INTO old_imports (import_id, book_id, responsible_unit_id, keying, actor_id, position, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (import_id) DO NOTHING",
        import.import_id,
        import.book_id,
        unit_id,
        import.keying,
        import.actor_id,
        import.position,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Keeps what a piece brought.
pub(crate) async fn append_piece(
    connection: &mut PgConnection,
    (piece_id, import_id, unit_id): (Uuid, Uuid, i32),
    content: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO old_import_pieces (piece_id, import_id, responsible_unit_id, content, record_time) VALUES ($1, $2, $3, $4, $5)",
        piece_id,
        import_id,
        unit_id,
        content,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Every piece, for the verification, with what its leaf commits to.
pub(crate) async fn all_pieces(connection: &mut PgConnection) -> Result<Vec<(Uuid, String)>, StoreError> {
    let rows = sqlx::query!("SELECT piece_id, content FROM old_import_pieces ORDER BY piece_id")
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.piece_id, row.content)).collect())
}

/// Those of these pages of a book, by volume and page as they are written, that were begun.
pub(crate) async fn pages_of(
    connection: &mut PgConnection,
    book_id: Uuid,
    (volumes, pages): (&[String], &[String]),
    scope: &RowScope,
) -> Result<Vec<Page>, StoreError> {
    let rows = sqlx::query_as!(
        PageRow,
        "SELECT page_id, book_id, responsible_unit_id, volume, page, state, first_officer_id, second_officer_id, first_checker_id,
                second_checker_id, scan_sha256, version
         FROM old_pages
         WHERE book_id = $1 AND (volume, page) IN (SELECT w.volume, w.page FROM unnest($2::text[], $3::text[]) AS w (volume, page))
           AND ($4 OR responsible_unit_id = ANY ($5))",
        book_id,
        volumes,
        pages,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Page::try_from).collect()
}

/// New pages of one book.
pub(crate) async fn insert_pages(
    connection: &mut PgConnection,
    new: &[Page],
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(first) = new.first() else { return Ok(()) };
    let ids: Vec<Uuid> = new.iter().map(|page| page.page_id).collect();
    let volumes: Vec<String> = new.iter().map(|page| page.volume.clone()).collect();
    let pages: Vec<String> = new.iter().map(|page| page.page.clone()).collect();
    let scans: Vec<String> = new.iter().map(|page| page.scan_sha256.clone()).collect();
    sqlx::query!(
        "INSERT INTO old_pages (page_id, book_id, responsible_unit_id, volume, page, state, first_officer_id, scan_sha256, version, record_time)
         SELECT w.page_id, $5::uuid, $6::integer, w.volume, w.page, $7::smallint, $8::uuid, w.scan, 1, $9::timestamptz
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS w (page_id, volume, page, scan)",
        &ids,
        &volumes,
        &pages,
        &scans,
        first.book_id,
        first.unit_id,
        first.state.code(),
        first.first_officer_id,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps what a further keying made of pages: their states, and who keyed second.
pub(crate) async fn put_states(connection: &mut PgConnection, pages: &[Page]) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = pages.iter().map(|page| page.page_id).collect();
    let states: Vec<i16> = pages.iter().map(|page| page.state.code()).collect();
    // Who keyed first stands for nobody, so that the list has no hole.
    let seconds: Vec<Uuid> = pages
        .iter()
        .map(|page| page.second_officer_id.unwrap_or(page.first_officer_id))
        .collect();
    sqlx::query!(
        "UPDATE old_pages SET state = w.state, second_officer_id = NULLIF(w.second, first_officer_id)
         FROM unnest($1::uuid[], $2::smallint[], $3::uuid[]) AS w (page_id, state, second)
         WHERE old_pages.page_id = w.page_id",
        &ids,
        &states,
        &seconds,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A line that was keyed.
pub(crate) struct NewLine {
    pub(crate) digest: Vec<u8>,
    pub(crate) page_id: Uuid,
    pub(crate) number: i32,
    pub(crate) line: i64,
    pub(crate) content: String,
}

/// Which of these lines were kept before.
pub(crate) async fn kept(
    connection: &mut PgConnection,
    (book_id, keying): (Uuid, Keying),
    digests: &[Vec<u8>],
    scope: &RowScope,
) -> Result<HashSet<Vec<u8>>, StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT digest FROM old_lines
         WHERE book_id = $1 AND keying = $2 AND digest = ANY ($3) AND ($4 OR responsible_unit_id = ANY ($5))",
        book_id,
        keying.code(),
        digests,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Keeps lines of a file, all by one statement.
pub(crate) async fn insert_lines(
    connection: &mut PgConnection,
    import: &KeyedFile,
    unit_id: i32,
    lines: &[NewLine],
    now: Timestamp,
) -> Result<(), StoreError> {
    let digests: Vec<Vec<u8>> = lines.iter().map(|line| line.digest.clone()).collect();
    let pages: Vec<Uuid> = lines.iter().map(|line| line.page_id).collect();
    let numbers: Vec<i32> = lines.iter().map(|line| line.number).collect();
    let places: Vec<i64> = lines.iter().map(|line| line.line).collect();
    let contents: Vec<String> = lines.iter().map(|line| line.content.clone()).collect();
    sqlx::query!(
        "INSERT INTO old_lines (book_id, keying, digest, responsible_unit_id, page_id, number, import_id, line, content, record_time)
         SELECT $6::uuid, $7::smallint, w.digest, $8::integer, w.page_id, w.number, $9::uuid, w.line, w.content, $10::timestamptz
         FROM unnest($1::bytea[], $2::uuid[], $3::integer[], $4::bigint[], $5::text[]) AS w (digest, page_id, number, line, content)",
        &digests,
        &pages,
        &numbers,
        &places,
        &contents,
        import.book_id,
        import.keying,
        unit_id,
        import.import_id,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What was keyed of a page, in the order of numbers, and of those of one number in the order in which they were keyed.
#[derive(Default)]
pub(crate) struct PageLines {
    pub(crate) first: Vec<(i32, Columns)>,
    pub(crate) second: Vec<(i32, Columns)>,
}

/// What was keyed of these pages.
pub(crate) async fn lines_of(
    connection: &mut PgConnection,
    pages: &[Uuid],
    scope: &RowScope,
) -> Result<BTreeMap<Uuid, PageLines>, StoreError> {
    let rows = sqlx::query!(
        "SELECT page_id, keying, number, content FROM old_lines
         WHERE page_id = ANY ($1) AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY page_id, keying, number, record_time, line, digest",
        pages,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    let outside = |column| StoreError::Inconsistent {
        table: "old_lines",
        column,
    };
    let mut found: BTreeMap<Uuid, PageLines> = BTreeMap::new();
    for row in rows {
        let columns: Columns = serde_json::from_str(&row.content).map_err(|_| outside("content"))?;
        let lines = found.entry(row.page_id).or_default();
        match Keying::of_code(row.keying).ok_or_else(|| outside("keying"))? {
            Keying::First => lines.first.push((row.number, columns)),
            Keying::Second => lines.second.push((row.number, columns)),
        }
    }
    Ok(found)
}

/// What was decided of differences of these pages, in its order.
pub(crate) async fn settled_of(
    connection: &mut PgConnection,
    pages: &[Uuid],
    scope: &RowScope,
) -> Result<BTreeMap<Uuid, Vec<Settlement>>, StoreError> {
    let rows = sqlx::query!(
        "SELECT page_id, number, occurrence, field, choice, value, reason FROM old_settlements
         WHERE page_id = ANY ($1) AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY page_id, position",
        pages,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    let mut found: BTreeMap<Uuid, Vec<Settlement>> = BTreeMap::new();
    for row in rows {
        let choice = Choice::of_code(row.choice).ok_or(StoreError::Inconsistent {
            table: "old_settlements",
            column: "choice",
        })?;
        found.entry(row.page_id).or_default().push(Settlement {
            number: row.number,
            occurrence: row.occurrence,
            field: row.field,
            choice,
            value: row.value,
            reason: row.reason,
        });
    }
    Ok(found)
}

/// Whether this officer said of some difference of a page that neither of the two is right.
pub(crate) async fn settled_otherwise_by(
    connection: &mut PgConnection,
    page_id: Uuid,
    officer: Uuid,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM old_settlements WHERE page_id = $1 AND actor_id = $2 AND choice = 3) AS "found!""#,
        page_id,
        officer,
    )
    .fetch_one(connection)
    .await?;
    Ok(found)
}

/// Keeps a decision, the one after so many of the page.
pub(crate) async fn insert_settlement(
    connection: &mut PgConnection,
    page: &Page,
    before: usize,
    settled: &Settlement,
    (actor_id, now): (Uuid, Timestamp),
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO old_settlements (page_id, position, responsible_unit_id, number, occurrence, field, choice, value, reason, actor_id, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        page.page_id,
        i32::try_from(before).unwrap_or(i32::MAX).saturating_add(1),
        page.unit_id,
        settled.number,
        settled.occurrence,
        settled.field,
        settled.choice.code(),
        settled.value,
        settled.reason,
        actor_id,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A page in the scope.
pub(crate) async fn page(
    connection: &mut PgConnection,
    page_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Page>, StoreError> {
    let row = sqlx::query_as!(
        PageRow,
        "SELECT page_id, book_id, responsible_unit_id, volume, page, state, first_officer_id, second_officer_id, first_checker_id,
                second_checker_id, scan_sha256, version
         FROM old_pages
         WHERE page_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))",
        page_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Page::try_from).transpose()
}

/// Stores what an act made of a page.
pub(crate) async fn save_page(connection: &mut PgConnection, page: &Page) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        "UPDATE old_pages SET state = $2, first_checker_id = $3, second_checker_id = $4, version = $5
         WHERE page_id = $1 AND version = $5::bigint - 1",
        page.page_id,
        page.state.code(),
        page.first_checker_id,
        page.second_checker_id,
        page.version,
    )
    .execute(connection)
    .await?;
    one_row("old_pages", changed.rows_affected())
}

/// Adds an act to the history of a page.
pub(crate) async fn append_act(
    connection: &mut PgConnection,
    page: &Page,
    (act, content): (&str, &str),
    (actor_id, actor_kind): (Uuid, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO old_page_acts (page_id, version, responsible_unit_id, act, actor_id, actor_kind, content, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        page.page_id,
        page.version,
        page.unit_id,
        act,
        actor_id,
        actor_kind,
        content,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Every act on a page, for the verification: page, version, what its leaf commits to.
pub(crate) async fn all_acts(connection: &mut PgConnection) -> Result<Vec<(Uuid, i64, String)>, StoreError> {
    let rows = sqlx::query!("SELECT page_id, version, content FROM old_page_acts ORDER BY page_id, version")
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.page_id, row.version, row.content))
        .collect())
}

/// One page of the pages of an old book in the scope, by id.
pub(crate) async fn list_pages(
    connection: &mut PgConnection,
    (book_id, state): (Uuid, Option<PageState>),
    scope: &RowScope,
    (after, limit): (Uuid, i64),
) -> Result<Vec<Page>, StoreError> {
    let rows = sqlx::query_as!(
        PageRow,
        "SELECT page_id, book_id, responsible_unit_id, volume, page, state, first_officer_id, second_officer_id, first_checker_id,
                second_checker_id, scan_sha256, version
         FROM old_pages
         WHERE book_id = $1 AND page_id > $2 AND ($3::smallint IS NULL OR state = $3) AND ($4 OR responsible_unit_id = ANY ($5))
         ORDER BY page_id
         LIMIT $6",
        book_id,
        after,
        state.map(PageState::code),
        scope.all,
        &scope.units,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Page::try_from).collect()
}

/// How many pages of an old book in the scope are in each state.
pub(crate) async fn states(
    connection: &mut PgConnection,
    book_id: Uuid,
    scope: &RowScope,
) -> Result<Vec<(PageState, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT state, count(*) AS "pages!" FROM old_pages
           WHERE book_id = $1 AND ($2 OR responsible_unit_id = ANY ($3)) GROUP BY state ORDER BY state"#,
        book_id,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = PageState::of_code(row.state).ok_or(StoreError::Inconsistent {
                table: "old_pages",
                column: "state",
            })?;
            Ok::<_, StoreError>((state, row.pages))
        })
        .collect()
}

/// The numbers that were keyed first of an old book in the scope, ascending, each with how often it stands there.
pub(crate) async fn numbers(
    connection: &mut PgConnection,
    book_id: Uuid,
    scope: &RowScope,
) -> Result<Vec<(i32, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT number, count(*) AS "times!" FROM old_lines
           WHERE book_id = $1 AND keying = 1 AND ($2 OR responsible_unit_id = ANY ($3)) GROUP BY number ORDER BY number"#,
        book_id,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.number, row.times)).collect())
}

/// How many entries of these numbers a book has.
pub(crate) async fn occurrences(
    connection: &mut PgConnection,
    book_id: Uuid,
    numbers: &[i32],
) -> Result<BTreeMap<i32, i16>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT number, max(occurrence) AS "last!" FROM entries WHERE book_id = $1 AND number = ANY ($2) GROUP BY number"#,
        book_id,
        numbers,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.number, row.last)).collect())
}
