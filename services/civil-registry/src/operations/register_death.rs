//! RegisterDeath (đăng ký khai tử).

use std::collections::BTreeMap;

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, violates};
use jiff::civil::Date;
use prost::Message;
use uuid::Uuid;

use super::entries::{Draft, enter, open_book};
use super::register_birth::settle;
use super::{Asked, CivilRegistry};
use crate::domain::book::EventKind;
use crate::domain::death::Death;
use crate::domain::entry::{Content, Details, Entry, Particulars, Relation};
use crate::domain::finding::{Decision, Violation};
use crate::domain::rules::deciding::{self, Deciding};
use crate::domain::rules::pack::Level;
use crate::error::Error;
use crate::store::{StoreError, deaths, families, persons};

const REGISTER: &str = "civil_registry.entries.register";

/// A death as somebody wants to register it.
pub(crate) struct WantedDeath {
    pub(crate) unit_id: i32,
    /// Today if it is not said.
    pub(crate) registration_date: Option<Date>,
    pub(crate) death: Death,
    pub(crate) signer_name: String,
    pub(crate) signer_title: String,
    /// Empty if the title signs by itself.
    pub(crate) signer_authorisation: String,
    pub(crate) performer_name: String,
    pub(crate) note: String,
    pub(crate) decisions: Vec<Decision>,
}

/// Finds out which person the deceased is: who has a number is the person of that number, whoever else is new.
async fn identify(unit: &mut UnitOfWork<'_>, death: &mut Death) -> Result<(), Error> {
    let now = unit.now();
    let new = unit.new_id();
    let number = death.deceased.person.personal_number.as_ref();
    let wanted: BTreeMap<String, Uuid> = number
        .map(|number| (number.reveal().to_owned(), new))
        .into_iter()
        .collect();
    let known = persons::claim(unit.conn(), &wanted, now).await?;
    death.deceased.person_id = known.values().next().copied().unwrap_or(new);
    if death.deceased.person_id == new {
        persons::insert(unit.conn(), &[new], now).await?;
    }
    Ok(())
}

/// Refuses a second death of one person; đăng ký lại enters the death of the same day once more.
async fn refuse_second(unit: &mut UnitOfWork<'_>, death: &Death, day: Date) -> Result<(), Error> {
    let known = deaths::of_persons(unit.conn(), &[death.deceased.person_id]).await?;
    match known.first() {
        None => Ok(()),
        Some(_) if !death.again => Err(Error::DeathRegistered),
        Some((_, registered)) if *registered == day => Ok(()),
        Some(_) => Err(Error::from(vec![Violation::of_shape(
            "death_otherwise",
            "death.date_of_death",
            "khác với ngày chết đã được đăng ký",
            "is another day than the registered one",
        )])),
    }
}

/// The marriages of the deceased, ended from the day of the death on, by a further version of each.
async fn ended(unit: &mut UnitOfWork<'_>, person_id: Uuid, day: Date) -> Result<Vec<Relation>, Error> {
    let standing = deaths::standing_marriages(unit.conn(), person_id).await?;
    Ok(standing
        .into_iter()
        .map(|marriage| Relation {
            version: marriage.version + 1,
            // A day that is not known may lie before the wedding; nothing ends before it begins.
            valid_to: Some(day.max(marriage.valid_from)),
            ..marriage
        })
        .collect())
}

impl CivilRegistry {
    /// Registers a death and enters it in the book of its year; the marriages of the deceased end with it.
    pub(crate) async fn register_death<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedDeath,
        answer: impl FnOnce(&Entry) -> R + Send,
    ) -> Result<R, Error> {
        caller.require(REGISTER, &Resource::of_unit(wanted.unit_id))?;
        let written = self
            .database
            .write(asked.write(caller, REGISTER), async |unit: &mut UnitOfWork<'_>| {
                let today = unit.today();
                let registration_date = wanted.registration_date.unwrap_or(today);
                let rules = self
                    .law
                    .rules(registration_date)
                    .ok_or(Error::RulesNotKnown(registration_date))?;
                let judged = wanted
                    .death
                    .judge(rules, &self.law.calendar, registration_date, today)?;
                let mut findings = judged.findings;
                let here = [wanted.unit_id];
                let deciding = Deciding {
                    level: Level::Commune,
                    unit_id: wanted.unit_id,
                    // The commune of the last residence, or where somebody died; where that is, no register is asked yet.
                    of_residence: &here,
                    is_foreign: wanted.death.is_foreign(),
                    title: &wanted.signer_title,
                    authorisation: &wanted.signer_authorisation,
                };
                findings.join(deciding::judge(rules, &deciding));
                let settled = settle(&findings, &wanted.decisions)?;
                let commune = self.commune(wanted.unit_id, registration_date)?;
                let book = open_book(unit, wanted.unit_id, EventKind::Death, registration_date).await?;
                let mut death = wanted.death;
                identify(unit, &mut death).await?;
                let (person_id, day) = (death.deceased.person_id, death.day(registration_date));
                // Who marries this person at the same moment waits, or was waited for: the marriage ends, or is none.
                families::take_turn(unit.conn(), &[person_id]).await?;
                refuse_second(unit, &death, day).await?;
                let relations = ended(unit, person_id, day).await?;
                let draft = Draft {
                    entry_id: unit.new_id(),
                    book,
                    registration_kind: judged.registration_kind,
                    registration_date,
                    subject_id: person_id,
                    persons: vec![Particulars::of(person_id, &death.deceased.person, day)],
                    relations,
                    content: Content {
                        registration_place: commune.name,
                        signer_name: wanted.signer_name,
                        signer_title: wanted.signer_title,
                        signer_authorisation: wanted.signer_authorisation,
                        performer_name: wanted.performer_name,
                        note: wanted.note,
                        settled,
                        details: Details::Death(Box::new(death)),
                    },
                };
                let entry =
                    enter(unit, caller, draft, "civil_death_registered")
                        .await
                        .map_err(|error| match error {
                            Error::Store(StoreError::Sql(sql)) if violates(&sql, "deaths_one") => {
                                Error::DeathRegistered
                            }
                            error => error,
                        })?;
                Ok::<_, Error>(answer(&entry))
            })
            .await?;
        Ok(written.into_answer())
    }
}
