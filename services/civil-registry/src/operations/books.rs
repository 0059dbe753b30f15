//! Sổ hộ tịch: OpenBook, CloseBook, CertifyBook, GetBook, ListBooks.

use egov_auth::{Caller, Resource};
use egov_clock::Clock as _;
use egov_database::{Event, Leaf, Page, UnitOfWork, violates};
use egov_fault::Fault;
use jiff::civil::Date;
use prost::Message;
use uuid::Uuid;

use super::{Actor, Asked, CivilRegistry, READ_BOOKS};
use crate::domain::book::{Book, BookFilter, BookState, EventKind, Kept};
use crate::error::Error;
use crate::store::StoreError;
use crate::store::books::{self, Act};
use crate::store::pending_decisions;

const MANAGE: &str = "civil_registry.books.manage";
const CERTIFY: &str = "civil_registry.books.certify";

/// Of events and leaves of books.
pub(crate) const KIND: &str = "civil_book";

/// A book as somebody wants to open it.
pub(crate) struct WantedBook {
    pub(crate) unit_id: i32,
    pub(crate) event: EventKind,
    pub(crate) year: i16,
    pub(crate) pages_per_volume: i32,
    pub(crate) entries_per_page: i32,
}

/// What the ledger commits to of a book: all that its row says.
pub(crate) fn canonical(book: &Book) -> Result<String, Error> {
    Ok(serde_json::to_string(book).map_err(Fault::internal)?)
}

/// History, event and leaf of an act on a book.
pub(super) async fn keep(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    book: &Book,
    act: &'static str,
    event: &'static str,
) -> Result<(), Error> {
    let content = canonical(book)?;
    let actor = Actor::from(caller);
    let row = Act {
        book,
        name: act,
        actor_id: actor.id,
        actor_kind: actor.kind,
        content: &content,
        now: unit.now(),
    };
    books::append(unit.conn(), &row).await?;
    unit.publish(Event {
        aggregate_kind: KIND,
        aggregate_id: book.book_id,
        version: book.version,
        kind: event,
        payload: serde_json::json!({
            "responsible_unit_id": book.unit_id,
            "event": book.event,
            "year": book.year,
            "state": book.state,
        }),
    });
    unit.leaf(Leaf {
        kind: KIND,
        resource: book.book_id,
        version: book.version,
        canonical: content.as_bytes(),
    });
    Ok(())
}

/// The first and the last day of the decisions that go into a book.
fn year_of(book: &Book) -> (Date, Date) {
    let day = |month, day| Date::new(book.year, month, day);
    (day(1, 1).unwrap_or(Date::MIN), day(12, 31).unwrap_or(Date::MAX))
}

impl CivilRegistry {
    /// Opens a book (mở sổ).
    pub(crate) async fn open_book<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedBook,
        answer: impl FnOnce(&Kept) -> R + Send,
    ) -> Result<R, Error> {
        caller.require(MANAGE, &Resource::of_unit(wanted.unit_id))?;
        self.commune(wanted.unit_id, self.clock.today())?;
        let written = self
            .database
            .write(asked.write(caller, MANAGE), async |unit: &mut UnitOfWork<'_>| {
                let today = unit.today();
                Book::may_open(wanted.year, today)?;
                let book = Book {
                    book_id: unit.new_id(),
                    unit_id: wanted.unit_id,
                    event: wanted.event,
                    year: wanted.year,
                    state: BookState::Open,
                    open_date: today,
                    close_date: None,
                    pages_per_volume: wanted.pages_per_volume,
                    entries_per_page: wanted.entries_per_page,
                    certified: None,
                    version: 1,
                };
                books::insert(unit.conn(), &book).await.map_err(|error| match error {
                    StoreError::Sql(sql) if violates(&sql, "books_one_a_year") => Error::BookExists,
                    error => error.into(),
                })?;
                keep(unit, caller, &book, "open", "civil_book_opened").await?;
                Ok::<_, Error>(answer(&Kept { book, last_number: 0 }))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Closes a book (khoá sổ): whoever is entering something in it is waited for.
    pub(crate) async fn close_book<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        (book_id, etag): (Uuid, &str),
        answer: impl FnOnce(&Kept) -> R + Send,
    ) -> Result<R, Error> {
        let written = self
            .database
            .write(asked.write(caller, READ_BOOKS), async |unit: &mut UnitOfWork<'_>| {
                let Kept { book, last_number } = held(unit, caller, book_id, MANAGE, etag).await?;
                let book = book.close(unit.today())?;
                let waiting = pending_decisions::of_book(unit.conn(), book.unit_id, book.event, year_of(&book)).await?;
                if waiting > 0 {
                    return Err(Error::BookDecisionsPending(waiting));
                }
                books::save(unit.conn(), &book).await?;
                keep(unit, caller, &book, "close", "civil_book_closed").await?;
                Ok::<_, Error>(answer(&Kept { book, last_number }))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Records that a closed book was confirmed (xác nhận sổ đã khoá).
    pub(crate) async fn certify_book<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        (book_id, etag): (Uuid, &str),
        (name, title): (String, String),
        answer: impl FnOnce(&Kept) -> R + Send,
    ) -> Result<R, Error> {
        let written = self
            .database
            .write(asked.write(caller, READ_BOOKS), async |unit: &mut UnitOfWork<'_>| {
                let Kept { book, last_number } = held(unit, caller, book_id, CERTIFY, etag).await?;
                let book = book.certify(name, title, unit.today())?;
                books::save(unit.conn(), &book).await?;
                keep(unit, caller, &book, "certify", "civil_book_certified").await?;
                Ok::<_, Error>(answer(&Kept { book, last_number }))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// One book. Nothing of a person stands in it but who certified it in office.
    pub(crate) async fn get_book(&self, caller: &Caller, book_id: Uuid) -> Result<Kept, Error> {
        let scope = caller.scope(READ_BOOKS);
        self.database
            .read(&scope, async |connection| {
                books::get(connection, book_id, &scope)
                    .await?
                    .ok_or(Error::BookNotFound)
            })
            .await
    }

    /// One page of the books that the caller sees.
    pub(crate) async fn list_books(
        &self,
        caller: &Caller,
        wanted: BookFilter,
        page: Page<(i32, i16, i16)>,
    ) -> Result<(Vec<Kept>, String), Error> {
        let scope = caller.scope(READ_BOOKS);
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(books::list(connection, &scope, wanted, after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |kept: &Kept| {
            (kept.book.unit_id, kept.book.year, kept.book.event.code())
        })?)
    }
}

/// The book, held until the transaction ends, if the caller may do this to it and has read it as it is.
async fn held(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    book_id: Uuid,
    permission: &str,
    etag: &str,
) -> Result<Kept, Error> {
    let scope = caller.scope(READ_BOOKS);
    if !books::hold(unit.conn(), book_id, &scope).await? {
        return Err(Error::BookNotFound);
    }
    let kept = books::get(unit.conn(), book_id, &scope)
        .await?
        .ok_or(Error::BookNotFound)?;
    caller.require(permission, &Resource::of_unit(kept.book.unit_id))?;
    if kept.book.etag() != etag {
        return Err(Error::StaleEtag);
    }
    Ok(kept)
}
