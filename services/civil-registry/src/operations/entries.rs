//! What all entries share; GetEntry, ListEntries.

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::{Event, Leaf, Page, UnitOfWork};
use egov_fault::Fault;
use jiff::civil::Date;
use uuid::Uuid;

use super::correct_entry::standing;
use super::statistics::count;
use super::{Actor, CivilRegistry, READ_ENTRIES};
use crate::domain::annotation::Annotation;
use crate::domain::book::{Book, BookState, EventKind};
use crate::domain::death::KnownDeath;
use crate::domain::entry::{Content, Details, Entry, Particulars, Registration, RegistrationKind, Relation};
use crate::error::Error;
use crate::store::persons::Source;
use crate::store::{annotations, books, corrections, deaths, entries, persons};

/// Of events and leaves of entries.
pub(crate) const KIND: &str = "civil_entry";

/// An entry that was judged and has no number yet.
pub(super) struct Draft {
    pub(super) entry_id: Uuid,
    pub(super) book: Book,
    pub(super) registration_kind: RegistrationKind,
    pub(super) registration_date: Date,
    pub(super) subject_id: Uuid,
    pub(super) content: Content,
    pub(super) persons: Vec<Particulars>,
    pub(super) relations: Vec<Relation>,
}

/// The commune's open book for a registration on a day; it stays open until the transaction ends.
pub(super) async fn open_book(
    unit: &mut UnitOfWork<'_>,
    unit_id: i32,
    event: EventKind,
    on: Date,
) -> Result<Book, Error> {
    let year = on.year();
    let book = books::of_year(unit.conn(), unit_id, event, year).await?;
    match book {
        Some(book) if book.state == BookState::Open => Ok(book),
        other => Err(Error::BookNotOpen {
            event,
            year,
            state: other.map(|book| book.state),
        }),
    }
}

/// The death that an entry makes known; đăng ký lại makes none known that is known already.
async fn death_told(unit: &mut UnitOfWork<'_>, draft: &Draft) -> Result<Option<KnownDeath>, Error> {
    let Details::Death(death) = &draft.content.details else {
        return Ok(None);
    };
    let told = KnownDeath {
        person_id: draft.subject_id,
        day: death.day(draft.registration_date),
    };
    if death.again && !deaths::of_persons(unit.conn(), &[told.person_id]).await?.is_empty() {
        return Ok(None);
    }
    Ok(Some(told))
}

/// Enters what was judged: persons and relations first, then the number, for which everybody else who enters something in this book waits until the
/// commit, then the entry; event and leaf go with the commit.
pub(super) async fn enter(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    draft: Draft,
    announced: &'static str,
) -> Result<Entry, Error> {
    let now = unit.now();
    let death = death_told(unit, &draft).await?;
    let corrects = match &draft.content.details {
        Details::Correction(correction) => Some(correction.link()),
        _ => None,
    };
    let Draft { book, content, .. } = draft;
    let source = Source {
        entry_id: draft.entry_id,
        unit_id: book.unit_id,
        record_time: now,
    };
    for said in &draft.persons {
        persons::add_particulars(unit.conn(), source, said).await?;
    }
    for relation in &draft.relations {
        persons::add_relation(unit.conn(), source, relation).await?;
    }
    if let Some(death) = &death {
        deaths::insert(unit.conn(), source, death).await?;
    }
    if let Some(link) = &corrects {
        corrections::insert(unit.conn(), source, link).await?;
    }
    let kept = serde_json::to_string(&content).map_err(Fault::internal)?;
    let number = unit
        .next_number(&book.unit_id.to_string(), book.event.register(), &book.year.to_string())
        .await?;
    let number = i32::try_from(number).map_err(Fault::internal)?;
    let place = book.place(number);
    let actor = Actor::from(caller);
    let entry = Entry {
        entry_id: draft.entry_id,
        unit_id: book.unit_id,
        book_id: book.book_id,
        event: book.event,
        year: book.year,
        number,
        volume: place.volume,
        page: place.page,
        registration_kind: draft.registration_kind,
        registration_date: draft.registration_date,
        subject_id: draft.subject_id,
        content,
        actor_id: actor.id,
        actor_kind: actor.kind.to_owned(),
        record_time: now,
    };
    entries::insert(unit.conn(), &entry, &kept).await?;
    count(unit, &entry).await?;
    unit.publish(Event {
        aggregate_kind: KIND,
        aggregate_id: entry.entry_id,
        version: 1,
        kind: announced,
        payload: serde_json::json!({
            "responsible_unit_id": entry.unit_id,
            "book_id": entry.book_id,
            "event": entry.event,
            "year": entry.year,
            "number": entry.number,
            "registration_kind": entry.registration_kind,
            "subject_id": entry.subject_id,
            "corrected_entry_id": corrects.map(|link| link.corrected_entry_id),
            "person_ids": draft.persons.iter().map(|said| said.person_id).collect::<Vec<Uuid>>(),
        }),
    });
    let registration = Registration {
        entry,
        persons: draft.persons,
        relations: draft.relations,
        death,
        corrects,
    }
    .ordered();
    let canonical = registration.canonical().map_err(Fault::internal)?;
    unit.leaf(Leaf {
        kind: KIND,
        resource: registration.entry.entry_id,
        version: 1,
        canonical: canonical.as_bytes(),
    });
    Ok(registration.entry)
}

/// An entry with what stands beside it.
pub(crate) struct ShownEntry {
    /// As it was entered.
    pub(crate) entry: Entry,
    /// What is noted beside it, in its order.
    pub(crate) annotations: Vec<Annotation>,
    /// The entries that correct it, in their order.
    pub(crate) corrections: Vec<Entry>,
    /// As it stands with them; none if there are none.
    pub(crate) current: Option<Entry>,
}

/// Every person of whom an entry tells.
pub(super) fn subjects(entry: &Entry) -> Vec<Uuid> {
    match &entry.content.details {
        Details::Death(death) => vec![death.deceased.person_id],
        Details::Correction(correction) => correction.person_ids.clone(),
        Details::Marriage(marriage) => vec![marriage.husband.person_id, marriage.wife.person_id],
        Details::Birth(birth) => {
            let parents = [&birth.mother, &birth.father];
            let parents = parents.into_iter().flatten().map(|parent| parent.person_id);
            std::iter::once(birth.child.person_id).chain(parents).collect()
        }
    }
}

/// How an entry is named in a record of reading.
fn name(entry: &Entry) -> String {
    format!("civil_entries/{}", entry.entry_id)
}

impl CivilRegistry {
    /// One entry with what stands beside it. The read is recorded before it is given away.
    pub(crate) async fn get_entry(&self, caller: &Caller, entry_id: Uuid) -> Result<ShownEntry, Error> {
        let scope = caller.scope(READ_ENTRIES);
        let (entry, annotations, corrections) = self
            .database
            .read(&scope, async |connection| {
                let entry = entries::get(&mut *connection, entry_id, &scope)
                    .await?
                    .ok_or(Error::EntryNotFound)?;
                let noted = annotations::of_entry(&mut *connection, entry_id, &scope).await?;
                let corrected_by = entries::correcting(connection, entry_id, &scope).await?;
                Ok::<_, Error>((entry, noted, corrected_by))
            })
            .await?;
        let record = ReadRecord::of_each(
            caller,
            subjects(&entry).into_iter().map(|person| (Some(person), name(&entry))),
            self.clock.now(),
        );
        self.reads.record(record).await?;
        let current = (!corrections.is_empty()).then(|| {
            let mut current = entry.clone();
            current.content.details = standing(&entry, &corrections);
            current
        });
        Ok(ShownEntry {
            entry,
            annotations,
            corrections,
            current,
        })
    }

    /// One page of the entries of a book, with one record of reading for the whole page.
    pub(crate) async fn list_entries(
        &self,
        caller: &Caller,
        book_id: Uuid,
        page: Page<i32>,
    ) -> Result<(Vec<Entry>, String), Error> {
        let scope = caller.scope(READ_ENTRIES);
        let (after, limit) = (page.after().copied().unwrap_or(0), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                books::get(&mut *connection, book_id, &scope)
                    .await?
                    .ok_or(Error::BookNotFound)?;
                Ok::<_, Error>(entries::list(connection, book_id, &scope, after, limit).await?)
            })
            .await?;
        let (rows, next) = page.finish(rows, |entry: &Entry| entry.number)?;
        let read = rows.iter().flat_map(|entry| {
            subjects(entry)
                .into_iter()
                .map(move |person| (Some(person), name(entry)))
        });
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        Ok((rows, next))
    }
}
