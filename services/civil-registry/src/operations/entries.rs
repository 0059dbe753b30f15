//! What all entries share; GetEntry, ListEntries.

use std::collections::BTreeMap;

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::{Event, Leaf, Page, UnitOfWork};
use egov_fault::Fault;
use jiff::civil::Date;
use uuid::Uuid;

use super::disclosing::Guard;
use super::personal_numbers::with_number;
use super::statistics::count;
use super::{Actor, CivilRegistry, READ_ENTRIES};
use crate::domain::annotation::Annotation;
use crate::domain::as_of::{self, AsOf};
use crate::domain::book::{Book, BookState, EventKind, Place};
use crate::domain::death::KnownDeath;
use crate::domain::entry::{Content, Details, Entry, Particulars, Registration, RegistrationKind, Relation};
use crate::domain::guarded;
use crate::domain::guardianship::GuardianshipEnd;
use crate::error::Error;
use crate::store::persons::Source;
use crate::store::{
    annotations, books, corrections, deaths, entries, person_search, personal_numbers as numbers, persons,
};

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
    // On the heap: every registration holds it.
    Box::pin(enter_at(unit, caller, draft, announced, None)).await
}

/// Where an entry stands in an old book, as it is written there.
#[derive(Clone, Copy)]
pub(super) struct EntryPlace {
    pub(super) number: i32,
    pub(super) volume: i32,
    pub(super) page: i32,
    /// Which of the entries of this number in the book.
    pub(super) occurrence: i16,
}

/// The same at a place that is given: an old book has its numbers, and its entries the years of their registrations.
pub(super) async fn enter_at(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    draft: Draft,
    announced: &'static str,
    old: Option<EntryPlace>,
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
        person_search::add(unit.conn(), source, said).await?;
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
    let (place, year) = if let Some(old) = old {
        (old, draft.registration_date.year())
    } else {
        let number = unit
            .next_number(&book.unit_id.to_string(), book.event.register(), &book.year.to_string())
            .await?;
        let number = i32::try_from(number).map_err(Fault::internal)?;
        let Place { volume, page } = book.place(number);
        let place = EntryPlace {
            number,
            volume,
            page,
            occurrence: 1,
        };
        (place, book.year)
    };
    let actor = Actor::from(caller);
    let entry = Entry {
        entry_id: draft.entry_id,
        unit_id: book.unit_id,
        book_id: book.book_id,
        event: book.event,
        year,
        number: place.number,
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
    entries::insert(unit.conn(), &entry, &kept, place.occurrence).await?;
    count(unit, &entry).await?;
    let names_nobody = guarded::is_secret_of_family(&entry);
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
            "subject_id": (!names_nobody).then_some(entry.subject_id),
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

/// An entry as somebody is shown it.
pub(crate) struct ListedEntry {
    /// As it was entered.
    pub(crate) entry: Entry,
    /// True if what it says is not for this caller: number, place and day alone are shown.
    pub(crate) is_withheld: bool,
}

/// An entry with what stands beside it.
pub(crate) struct ShownEntry {
    /// As it was entered.
    pub(crate) listed: ListedEntry,
    /// What is noted beside it, in its order.
    pub(crate) annotations: Vec<Annotation>,
    /// The entries that correct it, in their order.
    pub(crate) corrections: Vec<Entry>,
    /// As it stands with them, and with the personal number that the child got later; none if there is neither.
    pub(crate) current: Option<Entry>,
}

/// An entry without what tells of guarded ones: its place among corrections, since beside one that is left out the places of the others would; that a
/// guardianship ended with an adoption.
fn without_place(mut entry: Entry) -> Entry {
    match &mut entry.content.details {
        Details::Correction(correction) => correction.position = 0,
        Details::Guardianship(guardianship) if guardianship.end_reason == Some(GuardianshipEnd::WardAdopted) => {
            guardianship.end_reason = Some(GuardianshipEnd::Other);
        }
        _ => {}
    }
    entry
}

/// What a caller to whom guarded parts are closed sees of an entry that these correct.
fn closed(entry: &Entry, corrected_by: &[Entry]) -> ListedEntry {
    let held = as_of::holding(corrected_by, AsOf::default(), false);
    ListedEntry {
        is_withheld: guarded::is_guarded_entry(entry),
        entry: without_place(as_of::as_entered(entry, &held)),
    }
}

/// An entry with its annotations and corrections as it is shown to somebody, at two times.
fn shown(
    entry: &Entry,
    annotations: Vec<Annotation>,
    corrected_by: &[Entry],
    at: AsOf,
    sees_guarded: bool,
) -> ShownEntry {
    let held = as_of::holding(corrected_by, at, sees_guarded);
    let visible = held.iter().filter(|one| !one.is_hidden);
    let mut corrections: Vec<Entry> = visible.map(|one| one.entry.clone()).collect();
    let current = (!corrections.is_empty()).then(|| {
        let mut current = entry.clone();
        current.content.details = as_of::details(entry, &held);
        // What is written in an old book stands with the entry as it was entered.
        current.content.digitised = None;
        current
    });
    let noted = annotations
        .into_iter()
        .filter(|one| sees_guarded || !guarded::is_guarded_note(one.kind));
    let mut annotations = as_of::annotations(noted.collect(), at);
    let mut entry = as_of::as_entered(entry, &held);
    let mut current = current;
    if !sees_guarded {
        entry = without_place(entry);
        current = current.map(without_place);
        corrections = corrections.into_iter().map(without_place).collect();
        for one in &mut annotations {
            one.position = 0;
        }
    }
    ShownEntry {
        listed: ListedEntry {
            entry,
            is_withheld: false,
        },
        annotations,
        corrections,
        current,
    }
}

/// Every person of whom an entry tells.
pub(super) fn subjects(entry: &Entry) -> Vec<Uuid> {
    match &entry.content.details {
        Details::Death(death) => vec![death.deceased.person_id],
        Details::Correction(correction) => correction.person_ids.clone(),
        Details::Marriage(marriage) => vec![marriage.husband.person_id, marriage.wife.person_id],
        Details::Guardianship(guardianship) => guardianship.parties().map(|(party, _)| party.person_id).collect(),
        Details::Recognition(recognition) => vec![recognition.child.person_id, recognition.parent.person_id],
        Details::Adoption(adoption) => {
            let adopters = adoption.adopters().map(|(party, _)| party.person_id);
            std::iter::once(adoption.child.person_id).chain(adopters).collect()
        }
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

/// What is read with an entry: it, of everybody of whom it tells; of a withheld one nobody is told anything.
fn read(listed: &ListedEntry) -> Vec<(Option<Uuid>, String)> {
    let name = name(&listed.entry);
    if listed.is_withheld {
        return vec![(None, name)];
    }
    let persons = subjects(&listed.entry).into_iter();
    persons.map(|person| (Some(person), name.clone())).collect()
}

impl CivilRegistry {
    /// One entry with what stands beside it, at two times. The read is recorded before it is given away.
    pub(crate) async fn get_entry(&self, caller: &Caller, entry_id: Uuid, at: AsOf) -> Result<ShownEntry, Error> {
        let scope = caller.scope(READ_ENTRIES);
        let (entry, annotations, corrections, request) = self
            .database
            .read(&scope, async |connection| {
                let entry = entries::get(&mut *connection, entry_id, &scope)
                    .await?
                    .filter(|entry| at.knows(entry.record_time))
                    .ok_or(Error::EntryNotFound)?;
                let noted = annotations::of_entry(&mut *connection, entry_id, &scope).await?;
                let corrected_by = entries::correcting(&mut *connection, entry_id, &scope).await?;
                let request = numbers::of_entry(connection, entry_id, &scope).await?;
                Ok::<_, Error>((entry, noted, corrected_by, request))
            })
            .await?;
        let sees_guarded = Guard::of(caller).opens(entry.unit_id);
        let shown = if !sees_guarded && guarded::is_guarded_entry(&entry) {
            ShownEntry {
                listed: closed(&entry, &[]),
                annotations: Vec::new(),
                corrections: Vec::new(),
                current: None,
            }
        } else {
            let mut shown = shown(&entry, annotations, &corrections, at, sees_guarded);
            // The number that the child got later stands beside the entry, and not in it.
            let assigned = request.filter(|request| {
                at.knows(request.record_time) && request.assign_date.is_some_and(|date| at.has_begun(date))
            });
            if assigned.is_some() {
                let mut current = shown.current.take().unwrap_or_else(|| shown.listed.entry.clone());
                current.content.details = with_number(current.content.details, assigned.as_ref());
                shown.current = Some(current);
            }
            shown
        };
        self.reads
            .record(ReadRecord::of_each(caller, read(&shown.listed), self.clock.now()))
            .await?;
        Ok(shown)
    }

    /// One page of the entries of a book, with one record of reading for the whole page.
    pub(crate) async fn list_entries(
        &self,
        caller: &Caller,
        book_id: Uuid,
        page: Page<(i32, Uuid)>,
    ) -> Result<(Vec<ListedEntry>, String), Error> {
        let scope = caller.scope(READ_ENTRIES);
        let guard = Guard::of(caller);
        let (after, limit) = (page.after().copied().unwrap_or((0, Uuid::nil())), page.fetch());
        let (rows, corrected_by) = self
            .database
            .read(&scope, async |connection| {
                books::get(&mut *connection, book_id, &scope)
                    .await?
                    .ok_or(Error::BookNotFound)?;
                let rows = entries::list(&mut *connection, book_id, &scope, after, limit).await?;
                // Whoever may not see a change of sex is not shown the sex of before.
                let closed = rows.iter().filter(|entry| !guard.opens(entry.unit_id));
                let closed: Vec<Uuid> = closed.map(|entry| entry.entry_id).collect();
                let links = corrections::of_each(&mut *connection, &closed, &scope).await?;
                let ids: Vec<Uuid> = links.iter().map(|(_, entry_id)| *entry_id).collect();
                let found = entries::of_ids(connection, &ids, &scope).await?;
                let mut by_id: BTreeMap<Uuid, Entry> = found.into_iter().map(|entry| (entry.entry_id, entry)).collect();
                let mut corrected_by: BTreeMap<Uuid, Vec<Entry>> = BTreeMap::new();
                for (corrected, entry_id) in links {
                    let by = by_id.remove(&entry_id);
                    corrected_by.entry(corrected).or_default().extend(by);
                }
                Ok::<_, Error>((rows, corrected_by))
            })
            .await?;
        let (rows, next) = page.finish(rows, |entry: &Entry| (entry.number, entry.entry_id))?;
        let rows: Vec<ListedEntry> = rows
            .into_iter()
            .map(|entry| {
                if guard.opens(entry.unit_id) {
                    ListedEntry {
                        entry,
                        is_withheld: false,
                    }
                } else {
                    let by = corrected_by.get(&entry.entry_id).map(Vec::as_slice);
                    closed(&entry, by.unwrap_or_default())
                }
            })
            .collect();
        self.reads
            .record(ReadRecord::of_each(
                caller,
                rows.iter().flat_map(read),
                self.clock.now(),
            ))
            .await?;
        Ok((rows, next))
    }
}
