//! RegisterBirth (đăng ký khai sinh).

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, violates};
use jiff::civil::Date;
use prost::Message;
use uuid::Uuid;

use super::duplicates::suspect;
use super::entries::{Draft, enter, open_book};
use super::personal_numbers;
use super::registration::{self, REGISTER, Signing};
use super::{Asked, CivilRegistry};
use crate::domain::birth::Birth;
use crate::domain::book::EventKind;
use crate::domain::duplicate::Side;
use crate::domain::entry::{Details, Entry, Particulars, Relation, RelationKind};
use crate::error::Error;
use crate::store::StoreError;

/// A birth as somebody wants to register it.
pub(crate) struct WantedBirth {
    pub(crate) unit_id: i32,
    pub(crate) birth: Birth,
    pub(crate) signing: Signing,
}

/// Finds out which persons child and parents are.
async fn identify(unit: &mut UnitOfWork<'_>, birth: &mut Birth) -> Result<(), Error> {
    let parents = [birth.mother.as_mut(), birth.father.as_mut()].into_iter().flatten();
    let of_parents = parents.map(|parent| (parent.person.personal_number.clone(), &mut parent.person_id));
    let child = (birth.child.person.personal_number.clone(), &mut birth.child.person_id);
    registration::identify(unit, std::iter::once(child).chain(of_parents).collect()).await
}

/// What a birth says of persons, and who is whose parent since when: of the child and its parents from the birth on; of what the parents are called
/// and where they belong on the day of the registration.
pub(super) fn told(birth: &Birth, registration: Date, new_id: impl Fn() -> Uuid) -> (Vec<Particulars>, Vec<Relation>) {
    let child = &birth.child;
    let born = birth.valid_from(registration);
    let mut persons = vec![Particulars::of(child.person_id, &child.person, born)];
    let mut relations = Vec::new();
    let sides = [
        (&birth.mother, RelationKind::Mother),
        (&birth.father, RelationKind::Father),
    ];
    for (parent, kind) in sides {
        let Some(parent) = parent else { continue };
        persons.push(Particulars::of(parent.person_id, &parent.person, registration));
        relations.push(Relation {
            relation_id: new_id(),
            version: 1,
            kind,
            person_id: child.person_id,
            relative_id: parent.person_id,
            valid_from: born,
            valid_to: None,
        });
    }
    (persons, relations)
}

impl CivilRegistry {
    /// Registers a birth and enters it in the book of its year, with the persons and families that it tells of.
    pub(crate) async fn register_birth<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedBirth,
        answer: impl FnOnce(&Entry) -> R + Send,
    ) -> Result<R, Error> {
        caller.require(REGISTER, &Resource::of_unit(wanted.unit_id))?;
        let written = self
            .database
            .write(asked.write(caller, REGISTER), async |unit: &mut UnitOfWork<'_>| {
                let entry = Box::pin(self.enter_birth(unit, caller, wanted)).await?;
                Ok::<_, Error>(answer(&entry))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Enters a birth in this transaction, for a caller who may.
    pub(super) async fn enter_birth(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        wanted: WantedBirth,
    ) -> Result<Entry, Error> {
        let today = unit.today();
        let registration_date = wanted.signing.registration_date.unwrap_or(today);
        let rules = self.rules_of(registration_date)?;
        let judged = wanted
            .birth
            .judge(rules, &self.law.calendar, registration_date, today)?;
        let is_foreign = wanted.birth.is_foreign();
        let mut findings = judged.findings;
        let about = (&wanted.birth, wanted.unit_id, registration_date);
        let suspected = suspect(unit, caller, &self.law.places, about).await?;
        findings.questions.extend(suspected.question());
        let settled = Self::settle(rules, wanted.unit_id, is_foreign, &wanted.signing, findings)?;
        let commune = self.commune(wanted.unit_id, registration_date)?;
        let book = open_book(unit, wanted.unit_id, EventKind::Birth, registration_date).await?;
        let mut birth = wanted.birth;
        identify(unit, &mut birth).await?;
        let (persons, relations) = told(&birth, registration_date, || unit.new_id());
        let draft = Draft {
            entry_id: unit.new_id(),
            book,
            registration_kind: judged.registration_kind,
            registration_date,
            subject_id: birth.child.person_id,
            content: wanted
                .signing
                .content(commune.name, settled, Details::Birth(Box::new(birth))),
            persons,
            relations,
        };
        let later = Side {
            unit_id: wanted.unit_id,
            entry_id: draft.entry_id,
            person_id: draft.subject_id,
        };
        suspected.keep(unit, later).await?;
        let entry = enter(unit, caller, draft, "civil_birth_registered")
            .await
            .map_err(|error| match error {
                Error::Store(StoreError::Sql(sql)) if violates(&sql, "entries_one_birth") => Error::BirthRegistered,
                error => error,
            })?;
        let legal_basis = &rules.personal_number.origin.legal_basis;
        Box::pin(personal_numbers::want(unit, caller, &entry, legal_basis)).await?;
        Ok(entry)
    }
}
