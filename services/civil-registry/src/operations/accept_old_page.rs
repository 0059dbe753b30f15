//! AcceptPage (nghiệm thu trang sổ): what two people vouch for becomes entries of the registry.

use std::collections::BTreeMap;

use egov_auth::Caller;
use egov_clock::Clock as _;
use egov_database::UnitOfWork;
use prost::Message;
use uuid::Uuid;

use super::entries::{Draft, EntryPlace, enter_at};
use super::old_books::{READ, held_page, keep_page};
use super::{Asked, CivilRegistry, duplicates, register_birth};
use crate::domain::book::Book;
use crate::domain::entry::{Content, Details, Particulars, Relation, RelationKind};
use crate::domain::finding::Violation;
use crate::domain::marriage::MarriageOutcome;
use crate::domain::matching::Known;
use crate::domain::old_book::read::{OldEntry, read};
use crate::domain::old_book::{Columns, Digitised, OldBook, Page, PageRefused, PageState, agreed, keyed};
use crate::error::Error;
use crate::old_book_error::OldBookError;
use crate::store::{books, old_books, persons};

const ACCEPT: &str = "civil_registry.digitisation.accept";

/// What an entry of an old book tells of persons: all of them are new ones, for an old book names nobody by a number.
struct Told {
    subject_id: Uuid,
    details: Details,
    persons: Vec<Particulars>,
    relations: Vec<Relation>,
}

/// Makes the persons of whom an entry tells.
async fn told(unit: &mut UnitOfWork<'_>, entry_id: Uuid, unit_id: i32, entry: &OldEntry) -> Result<Told, Error> {
    let (now, on) = (unit.now(), entry.registration_date);
    let mut details = entry.details.clone();
    let (subject_id, persons, relations) = match &mut details {
        Details::Birth(birth) => {
            let birth = &mut **birth;
            let parents = [birth.mother.as_mut(), birth.father.as_mut()].into_iter().flatten();
            for person in parents
                .map(|parent| &mut parent.person_id)
                .chain([&mut birth.child.person_id])
            {
                *person = unit.new_id();
            }
            let (persons, relations) = register_birth::told(birth, on, || unit.new_id());
            // A birth that is registered from now on is compared with this one.
            duplicates::keep(unit, entry_id, unit_id, &Known::of_birth(birth, on)).await?;
            (birth.child.person_id, persons, relations)
        }
        Details::Marriage(marriage) => {
            for spouse in [&mut marriage.husband, &mut marriage.wife] {
                spouse.person_id = unit.new_id();
            }
            let (husband, wife) = (&marriage.husband, &marriage.wife);
            let persons = vec![
                Particulars::of(husband.person_id, &husband.person, on),
                Particulars::of(wife.person_id, &wife.person, on),
            ];
            let relation = Relation {
                relation_id: unit.new_id(),
                version: 1,
                kind: RelationKind::Spouse,
                person_id: husband.person_id,
                relative_id: wife.person_id,
                valid_from: marriage.valid_from(on),
                valid_to: None,
            };
            // Of a marriage that has ended the book does not tell since when: that the two were spouses stands in the entry alone.
            let has_ended = marriage.outcome.is_some_and(MarriageOutcome::ends);
            let relations = if has_ended { Vec::new() } else { vec![relation] };
            (husband.person_id, persons, relations)
        }
        Details::Death(death) => {
            let person_id = unit.new_id();
            death.deceased.person_id = person_id;
            let particulars = Particulars::of(person_id, &death.deceased.person, death.day(on));
            (person_id, vec![particulars], Vec::new())
        }
        // `read` reads no other kind.
        _ => return Err(OldBookError::Page(PageRefused::State(PageState::Differing)).into()),
    };
    let ids: Vec<Uuid> = persons.iter().map(|said| said.person_id).collect();
    persons::insert(unit.conn(), &ids, now).await?;
    Ok(Told {
        subject_id,
        details,
        persons,
        relations,
    })
}

/// Enters what a line of a page says, at the place that is written there.
async fn enter_old(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    (book, old, page): (&Book, &OldBook, &Page),
    (entry, columns): (OldEntry, Columns),
    occurrence: i16,
) -> Result<Uuid, Error> {
    let entry_id = unit.new_id();
    let told = told(unit, entry_id, book.unit_id, &entry).await?;
    let draft = Draft {
        entry_id,
        book: book.clone(),
        registration_kind: entry.registration_kind,
        registration_date: entry.registration_date,
        subject_id: told.subject_id,
        content: Content {
            registration_place: entry.registration_place,
            signer_name: entry.signer_name,
            signer_title: entry.signer_title,
            signer_authorisation: String::new(),
            performer_name: entry.performer_name,
            note: entry.note,
            settled: Vec::new(),
            digitised: Some(Box::new(Digitised {
                page_id: page.page_id,
                kept_by: old.kept_by.clone(),
                columns,
                occurrence,
            })),
            details: told.details,
        },
        persons: told.persons,
        relations: told.relations,
    };
    let place = EntryPlace {
        number: entry.number,
        volume: entry.volume,
        page: entry.page,
        occurrence,
    };
    Box::pin(enter_at(unit, caller, draft, "civil_entry_digitised", Some(place))).await?;
    Ok(entry_id)
}

/// The violations of a line, each under the number of its entry.
fn of_entry(number: i32, found: Vec<Violation>) -> impl Iterator<Item = Violation> {
    found.into_iter().map(move |violation| Violation {
        field: format!("entries[{number}].{}", violation.field),
        ..violation
    })
}

impl CivilRegistry {
    /// Makes the entries of a page entries of the registry, all in one transaction.
    pub(crate) async fn accept_page<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        page_id: Uuid,
        answer: impl FnOnce(&Page, &[Uuid]) -> R + Send,
    ) -> Result<R, Error> {
        let scope = caller.scope(READ);
        let today = self.clock.today();
        let written = self
            .database
            .write(asked.write(caller, READ), async |unit: &mut UnitOfWork<'_>| {
                let page = held_page(unit, caller, page_id, ACCEPT).await?;
                let page = page.accept().map_err(OldBookError::from)?;
                // What neither of the two keyed is one person's word, who does not accept it as well.
                if old_books::settled_otherwise_by(unit.conn(), page_id, caller.principal.subject).await? {
                    return Err(OldBookError::from(PageRefused::SameOfficer).into());
                }
                let old = old_books::get(unit.conn(), page.book_id, &scope)
                    .await?
                    .ok_or(Error::BookNotFound)?;
                let book = books::get(unit.conn(), page.book_id, &scope)
                    .await?
                    .ok_or(Error::BookNotFound)?
                    .book;
                let mut lines = old_books::lines_of(unit.conn(), &[page_id], &scope).await?;
                let mut settled = old_books::settled_of(unit.conn(), &[page_id], &scope).await?;
                let lines = lines.remove(&page_id).unwrap_or_default();
                let settled = settled.remove(&page_id).unwrap_or_default();
                let (first, second) = (keyed(lines.first), keyed(lines.second));
                let held = if page.second_officer_id.is_none() {
                    first
                } else {
                    agreed(&first, &second, &settled)
                        .ok_or(OldBookError::Page(PageRefused::State(PageState::Differing)))?
                };
                let mut entries = Vec::with_capacity(held.len());
                let mut wrong = Vec::new();
                for one in held {
                    match read(&old, &one.columns, &self.law.ethnic_groups, today) {
                        Ok(entry) => entries.push((entry, one.columns)),
                        Err(found) => wrong.extend(of_entry(one.number, found)),
                    }
                }
                if !wrong.is_empty() {
                    return Err(Error::from(wrong));
                }
                entries.sort_by_key(|(entry, _)| entry.number);
                let numbers: Vec<i32> = entries.iter().map(|(entry, _)| entry.number).collect();
                let mut times: BTreeMap<i32, i16> = old_books::occurrences(unit.conn(), page.book_id, &numbers).await?;
                let mut entered = Vec::with_capacity(entries.len());
                for (entry, columns) in entries {
                    let occurrence = times.entry(entry.number).or_default();
                    *occurrence += 1;
                    let of = (&book, &old, &page);
                    entered.push(enter_old(unit, caller, of, (entry, columns), *occurrence).await?);
                }
                keep_page(unit, caller, &page, ("accept", "civil_old_page_accepted"), None).await?;
                Ok::<_, Error>(answer(&page, &entered))
            })
            .await?;
        Ok(written.into_answer())
    }
}
