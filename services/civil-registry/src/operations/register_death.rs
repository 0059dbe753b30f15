//! RegisterDeath (đăng ký khai tử).

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, violates};
use jiff::civil::Date;
use prost::Message;
use uuid::Uuid;

use super::entries::{Draft, enter, open_book};
use super::registration::{REGISTER, Signing, identify};
use super::{Asked, CivilRegistry};
use crate::domain::book::EventKind;
use crate::domain::death::Death;
use crate::domain::entry::{Details, Entry, Particulars, Relation};
use crate::domain::finding::Violation;
use crate::error::Error;
use crate::store::{StoreError, deaths, families};

/// A death as somebody wants to register it.
pub(crate) struct WantedDeath {
    pub(crate) unit_id: i32,
    pub(crate) death: Death,
    pub(crate) signing: Signing,
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
                let entry = Box::pin(self.enter_death(unit, caller, wanted)).await?;
                Ok::<_, Error>(answer(&entry))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Enters a death in this transaction, for a caller who may; the marriages of the deceased end with it.
    pub(super) async fn enter_death(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        wanted: WantedDeath,
    ) -> Result<Entry, Error> {
        let today = unit.today();
        let registration_date = wanted.signing.registration_date.unwrap_or(today);
        let rules = self.rules_of(registration_date)?;
        let judged = wanted
            .death
            .judge(rules, &self.law.calendar, registration_date, today)?;
        let is_foreign = wanted.death.is_foreign();
        let settled = Self::settle(rules, wanted.unit_id, is_foreign, &wanted.signing, judged.findings)?;
        let commune = self.commune(wanted.unit_id, registration_date)?;
        let book = open_book(unit, wanted.unit_id, EventKind::Death, registration_date).await?;
        let mut death = wanted.death;
        let deceased = &mut death.deceased;
        let named = (deceased.person.personal_number.clone(), &mut deceased.person_id);
        identify(unit, vec![named]).await?;
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
            content: wanted
                .signing
                .content(commune.name, settled, Details::Death(Box::new(death))),
        };
        enter(unit, caller, draft, "civil_death_registered")
            .await
            .map_err(|error| match error {
                Error::Store(StoreError::Sql(sql)) if violates(&sql, "deaths_one") => Error::DeathRegistered,
                error => error,
            })
    }
}
