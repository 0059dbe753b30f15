//! Test data: births of many years as the service would have entered them, by COPY, with books, events and leaves.
//!
//! Every birth tells of three persons, none of whom another one names: the child with a personal number, both parents without. Names and years of birth
//! are drawn from the pack of the population. The rules judge none of it: those of past years are not among the packs.
//!
//! All of it is one transaction: a run that is interrupted leaves nothing. The same order gives the same persons; salts of leaves are real chance.

use std::collections::BTreeMap;

use egov_clock::{Ids as _, SharedIds, vietnam};
use egov_database::{BulkLoad, CounterKey, Event, PastEvent, PastLeaves};
use egov_fault::Fault;
use egov_population::{
    NameLists, NamePack, Pcg64Mcg, Person as Drawn, Population, PopulationError, Rng as _, RngExt as _, source,
};
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use uuid::{Builder, Uuid};

use super::register_birth::told;
use super::{books, entries};
use crate::domain::birth::{Birth, BirthKind, Child, Parent, Requester};
use crate::domain::book::{Book, BookState, EventKind};
use crate::domain::entry::{Content, Details, Entry, Registration, RegistrationKind};
use crate::domain::matching::{Known, kept_under};
use crate::domain::person::{Born, Country, EthnicGroup, NoBirth, NoName, Person, PersonName, ResidenceKind, Sex};
use crate::law::Law;
use crate::store::bulk::{self, BirthRows};

/// Persons of whom a birth tells.
const A_BIRTH: u64 = 3;

/// Births that are copied together.
const BATCH: usize = 1_000;

/// How many years of births there are before the last one.
const YEARS: i16 = 50;

/// Of how many people the parents are drawn.
const PARENTS: u64 = 1_000_000;

/// When the names of parents are as those of their time.
const PARENTS_BORN: (i16, i16) = (1940, 2005);

/// How much older parents are, in years.
const OLDER: std::ops::RangeInclusive<i16> = 20..=38;

/// Days after the birth, of the term of sixty.
const REGISTERED_WITHIN: std::ops::RangeInclusive<i64> = 1..=55;

/// The ethnic group of everybody (Kinh).
const ETHNIC_GROUP: &str = "01";

/// The purpose of the draws for a birth.
const PURPOSE: u32 = 0x4249_5254;

/// Who entered everything.
const OFFICIAL: Uuid = Uuid::from_u128(0x00c1_0000_0000_0000_0000_0000_0000_0001);

/// What is to be generated.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// How many persons, rounded up to whole births.
    pub persons: u64,
    /// From which everything follows.
    pub seed: u64,
    /// The last day; books are open in its year.
    pub until: Date,
}

/// A commune that keeps books.
#[derive(Debug, Clone)]
pub struct Commune {
    /// Its unit.
    pub unit_id: i32,
    /// Its code, as that of a place of birth.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// What the generator works with.
pub struct Sources<'a> {
    /// How a superuser reaches the server, and the name of the service's database there.
    pub superuser: (&'a str, &'a str),
    /// Real chance, for what must be secret.
    pub ids: SharedIds,
    /// The list of ethnic groups.
    pub law: &'a Law,
    /// The lists of names.
    pub names: NamePack<'a>,
    /// The communes over which births are spread.
    pub communes: Vec<Commune>,
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// Entries of a registry are never mixed with generated ones.
    #[error("there are books of civil status already")]
    NotEmpty,
    /// No commune, or no list of ethnic groups.
    #[error("there is no commune, or no ethnic group 01 in the list, to generate births with")]
    NothingToEnter,
    /// The lists of names are not usable.
    #[error(transparent)]
    Population(#[from] PopulationError),
    /// A name of the lists is none that the registry takes.
    #[error(transparent)]
    Name(#[from] NoName),
    /// A day of birth is none that the registry takes.
    #[error(transparent)]
    Birth(#[from] NoBirth),
    /// A day outside the calendar.
    #[error(transparent)]
    Calendar(#[from] jiff::Error),
    /// The database refuses.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// An entry cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// What is made and not copied yet.
#[derive(Default)]
struct Made {
    rows: BirthRows,
    leaves: PastLeaves,
    events: Vec<PastEvent>,
}

/// What births are made with.
struct Maker<'a> {
    ids: SharedIds,
    children: Population,
    parents: Population,
    kinh: EthnicGroup,
    communes: &'a [Commune],
    seed: u64,
    epoch: i32,
    until: Date,
}

/// An id of a time, as the service makes them.
fn id_at(rng: &mut Pcg64Mcg, at: Timestamp) -> Uuid {
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// An hour of a day in Việt Nam.
fn hour(day: Date, hour: i8) -> Result<Timestamp, jiff::Error> {
    Ok(day.at(hour, 0, 0, 0).to_zoned(vietnam())?.timestamp())
}

impl Maker<'_> {
    /// The day on which a birth is registered, and the chance of all else about it.
    fn registered(&self, number: u64, child: &Drawn) -> Result<(Date, Pcg64Mcg), GenerateError> {
        let mut rng = source(self.seed, PURPOSE, number);
        let after = rng.random_range(REGISTERED_WITHIN);
        let day = child.birth.checked_add(Span::new().days(after))?;
        Ok((day.min(self.until), rng))
    }

    /// Somebody of a sex among the parents.
    fn parent(&self, rng: &mut Pcg64Mcg, sex: egov_codes::Sex, child: Date) -> Result<(Drawn, Parent), GenerateError> {
        let mut number = rng.random_range(0..self.parents.size());
        let drawn = loop {
            let drawn = self.parents.person(number)?;
            if drawn.sex == sex {
                break drawn;
            }
            number += 1;
        };
        let birth = Date::new(
            child.year() - rng.random_range(OLDER),
            drawn.birth.month(),
            drawn.birth.day().min(28),
        )?;
        let parent = Parent {
            person_id: Uuid::nil(),
            person: self.person(&drawn.full_name, sex, birth)?,
            residence_kind: Some(ResidenceKind::Permanent),
            residence: format!("Số {}, xóm {}", drawn.house.0, drawn.house.1),
            paper: None,
        };
        Ok((drawn, parent))
    }

    fn person(&self, full_name: &str, sex: egov_codes::Sex, birth: Date) -> Result<Person, GenerateError> {
        Ok(Person {
            full_name: PersonName::read(full_name)?,
            sex: match sex {
                egov_codes::Sex::Male => Sex::Male,
                egov_codes::Sex::Female => Sex::Female,
            },
            born: Some(Born::on(birth)?),
            ethnic_group: Some(self.kinh.clone()),
            nationality: Some(Country::VIET_NAM),
            other_nationality: None,
            personal_number: None,
        })
    }

    /// A child of two parents; it has the surname of its father.
    fn birth(
        &self,
        rng: &mut Pcg64Mcg,
        child: Drawn,
        commune: &Commune,
        at: Timestamp,
    ) -> Result<Birth, GenerateError> {
        let (_, mut mother) = self.parent(rng, egov_codes::Sex::Female, child.birth)?;
        let (drawn, mut father) = self.parent(rng, egov_codes::Sex::Male, child.birth)?;
        mother.person_id = id_at(rng, at);
        father.person_id = id_at(rng, at);
        let own = child.full_name.strip_prefix(child.surname.as_str());
        let full_name = own.map_or_else(|| child.full_name.clone(), |own| format!("{}{own}", drawn.surname));
        let requester = Requester {
            full_name: father.person.full_name.clone(),
            relationship: "cha".to_owned(),
            paper: None,
        };
        Ok(Birth {
            kind: BirthKind::BothParents,
            child: Child {
                person_id: id_at(rng, at),
                person: Person {
                    personal_number: Some(child.personal_number),
                    ..self.person(&full_name, child.sex, child.birth)?
                },
                place_of_birth: format!("Trạm y tế {}", commune.name),
                place_of_birth_code: commune.code.clone(),
                home_town: commune.name.clone(),
            },
            mother: Some(mother),
            father: Some(father),
            requester: Some(requester),
            foreign_registration: None,
            abandonment: None,
        })
    }

    /// A leaf, with a salt that nobody can work out.
    fn leaf(
        &self,
        made: &mut Made,
        leaf_id: Uuid,
        (kind, resource, version): (&str, Uuid, i64),
        canonical: &str,
        at: Timestamp,
    ) {
        let mut salt = [0; 32];
        self.ids.random_bytes(&mut salt);
        made.leaves.push(
            self.epoch,
            leaf_id,
            kind,
            resource,
            version,
            canonical.as_bytes(),
            salt,
            at,
        );
    }

    /// History, event and leaf of an act on a book.
    fn act(
        &self,
        made: &mut Made,
        rng: &mut Pcg64Mcg,
        book: &Book,
        (act, kind): (&'static str, &'static str),
        at: Timestamp,
    ) -> Result<(), GenerateError> {
        let content = serde_json::to_string(book)?;
        made.rows.push_act(book, act, OFFICIAL, &content, at);
        made.events.push(PastEvent {
            event_id: id_at(rng, at),
            time: at,
            event: Event {
                aggregate_kind: books::KIND,
                aggregate_id: book.book_id,
                version: book.version,
                kind,
                payload: serde_json::json!({
                    "responsible_unit_id": book.unit_id,
                    "event": book.event,
                    "year": book.year,
                    "state": book.state,
                }),
            },
        });
        let leaf_id = id_at(rng, at);
        self.leaf(made, leaf_id, (books::KIND, book.book_id, book.version), &content, at);
        Ok(())
    }

    /// The books of a year: open, and closed if the year is over.
    fn books_of(&self, year: i16, made: &mut Made) -> Result<Vec<Book>, GenerateError> {
        let mut rng = source(self.seed, PURPOSE, u64::MAX - u64::from(year.unsigned_abs()));
        let open_date = Date::new(year, 1, 1)?;
        let at = hour(open_date, 7)?;
        let mut opened = Vec::with_capacity(self.communes.len());
        for commune in self.communes {
            let book = Book {
                book_id: id_at(&mut rng, at),
                unit_id: commune.unit_id,
                event: EventKind::Birth,
                year,
                state: BookState::Open,
                open_date,
                close_date: None,
                pages_per_volume: 200,
                entries_per_page: 2,
                certified: None,
                version: 1,
            };
            let stands = self.closed(&book)?.unwrap_or_else(|| book.clone());
            made.rows.push_book(&stands);
            self.act(made, &mut rng, &book, ("open", "civil_book_opened"), at)?;
            opened.push(book);
        }
        Ok(opened)
    }

    /// A book after the last day of its year, if that is over.
    fn closed(&self, book: &Book) -> Result<Option<Book>, GenerateError> {
        if book.year >= self.until.year() {
            return Ok(None);
        }
        Ok(Some(Book {
            state: BookState::Closed,
            close_date: Some(Date::new(book.year, 12, 31)?),
            version: 2,
            ..book.clone()
        }))
    }

    /// Closes the books of a year that is over.
    fn close(&self, opened: &[Book], year: i16, made: &mut Made) -> Result<(), GenerateError> {
        let mut rng = source(self.seed, PURPOSE, u64::MAX / 2 - u64::from(year.unsigned_abs()));
        let at = hour(Date::new(year, 12, 31)?, 18)?;
        for book in opened {
            if let Some(closed) = self.closed(book)? {
                self.act(made, &mut rng, &closed, ("close", "civil_book_closed"), at)?;
            }
        }
        Ok(())
    }

    /// Enters a birth in a book, under a number.
    fn enter(
        &self,
        made: &mut Made,
        birth: Birth,
        (book, commune, number): (&Book, &Commune, i32),
        registration_date: Date,
        rng: &mut Pcg64Mcg,
    ) -> Result<(), GenerateError> {
        let at = hour(registration_date, 9)?;
        let (persons, relations) = {
            let chance = std::cell::RefCell::new(&mut *rng);
            told(&birth, registration_date, || id_at(&mut chance.borrow_mut(), at))
        };
        let words = kept_under(&Known::of_birth(&birth, registration_date));
        let child = birth.child.person_id;
        let number_of_child = birth.child.person.personal_number.clone();
        for person in &persons {
            let own = number_of_child.as_ref().filter(|_| person.person_id == child);
            made.rows
                .push_person(person.person_id, own.map(egov_codes::PersonalNumber::reveal), at);
        }
        let place = book.place(number);
        let entry = Entry {
            entry_id: id_at(rng, at),
            unit_id: book.unit_id,
            book_id: book.book_id,
            event: book.event,
            year: book.year,
            number,
            volume: place.volume,
            page: place.page,
            registration_kind: RegistrationKind::OnTime,
            registration_date,
            subject_id: child,
            content: Content {
                registration_place: commune.name.clone(),
                signer_name: "Hồ Văn Chủ".to_owned(),
                signer_title: "Chủ tịch".to_owned(),
                signer_authorisation: String::new(),
                performer_name: "Phan Thị Bộ".to_owned(),
                note: String::new(),
                settled: Vec::new(),
                digitised: None,
                details: Details::Birth(Box::new(birth)),
            },
            actor_id: OFFICIAL,
            actor_kind: "staff".to_owned(),
            record_time: at,
        };
        made.events.push(PastEvent {
            event_id: id_at(rng, at),
            time: at,
            event: Event {
                aggregate_kind: entries::KIND,
                aggregate_id: entry.entry_id,
                version: 1,
                kind: "civil_birth_registered",
                payload: serde_json::json!({
                    "responsible_unit_id": entry.unit_id,
                    "book_id": entry.book_id,
                    "event": entry.event,
                    "year": entry.year,
                    "number": entry.number,
                    "registration_kind": entry.registration_kind,
                    "subject_id": entry.subject_id,
                    "corrected_entry_id": None::<Uuid>,
                    "person_ids": persons.iter().map(|said| said.person_id).collect::<Vec<Uuid>>(),
                }),
            },
        });
        let content = serde_json::to_string(&entry.content)?;
        let registration = Registration {
            entry,
            persons,
            relations,
            death: None,
            corrects: None,
        }
        .ordered();
        let canonical = registration.canonical()?;
        let leaf_id = id_at(rng, at);
        let resource = (entries::KIND, registration.entry.entry_id, 1);
        self.leaf(made, leaf_id, resource, &canonical, at);
        made.rows.push_entry(&registration, &content, &words);
        Ok(())
    }
}

/// Copies what was made.
async fn copy(load: &mut BulkLoad, made: &mut Made) -> Result<(), GenerateError> {
    let made = std::mem::take(made);
    made.rows.copy(load).await?;
    load.leaves(&made.leaves).await?;
    load.events(&made.events).await?;
    Ok(())
}

/// Generates births until there are as many persons. `progress` is told how many persons are copied. How many rows went into each table.
///
/// # Errors
/// [`GenerateError::NotEmpty`] where there are books; in every case nothing was written.
pub async fn generate(
    sources: Sources<'_>,
    order: &Order,
    mut progress: impl FnMut(u64),
) -> Result<BTreeMap<String, u64>, GenerateError> {
    let (url, database) = sources.superuser;
    let mut load = BulkLoad::begin(url, database).await?;
    if bulk::any_book(&mut load).await? {
        return Err(GenerateError::NotEmpty);
    }
    let births = order.persons.div_ceil(A_BIRTH).max(1);
    let last = order.until.year() - 1;
    let kinh = sources.law.ethnic_groups.find(ETHNIC_GROUP);
    let maker = Maker {
        ids: sources.ids,
        children: Population::new(
            NameLists::from_text(&sources.names)?,
            order.seed,
            births,
            (last - YEARS, last),
        )?,
        parents: Population::new(
            NameLists::from_text(&sources.names)?,
            order.seed.wrapping_add(1),
            PARENTS,
            PARENTS_BORN,
        )?,
        kinh: kinh
            .filter(|_| !sources.communes.is_empty())
            .ok_or(GenerateError::NothingToEnter)?,
        communes: &sources.communes,
        seed: order.seed,
        epoch: load.epoch(),
        until: order.until,
    };
    // Numbers follow the days within a book, and a registration may be in the year after the birth.
    let mut years: BTreeMap<i16, Vec<(Date, u64)>> = BTreeMap::new();
    for number in 0..births {
        let (day, _) = maker.registered(number, &maker.children.person(number)?)?;
        years.entry(day.year()).or_default().push((day, number));
    }
    years.entry(order.until.year()).or_default();
    let (mut made, mut counters, mut copied) = (Made::default(), BTreeMap::<CounterKey, i64>::new(), 0);
    for (year, mut registered) in years {
        registered.sort_unstable();
        let opened = maker.books_of(year, &mut made)?;
        let mut numbers = vec![0_i32; opened.len()];
        for part in registered.chunks(BATCH) {
            for (day, number) in part {
                let child = maker.children.person(*number)?;
                let (_, mut rng) = maker.registered(*number, &child)?;
                let place = rng.random_range(0..opened.len());
                let (Some(book), Some(commune), Some(count)) =
                    (opened.get(place), maker.communes.get(place), numbers.get_mut(place))
                else {
                    return Err(GenerateError::NothingToEnter);
                };
                *count += 1;
                let birth = maker.birth(&mut rng, child, commune, hour(*day, 9)?)?;
                maker.enter(&mut made, birth, (book, commune, *count), *day, &mut rng)?;
            }
            copied += part.len() as u64 * A_BIRTH;
            copy(&mut load, &mut made).await?;
            progress(copied);
        }
        maker.close(&opened, year, &mut made)?;
        copy(&mut load, &mut made).await?;
        for (book, count) in opened.iter().zip(&numbers) {
            let register = book.event.register().to_owned();
            let key = (book.unit_id.to_string(), register, year.to_string());
            if *count > 0 {
                counters.insert(key, i64::from(*count));
            }
        }
    }
    load.set_last_numbers(&counters).await?;
    Ok(load.commit().await?)
}
