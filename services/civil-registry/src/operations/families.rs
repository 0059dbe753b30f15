//! RegisterGuardianship, RegisterRecognition, RegisterAdoption (đăng ký giám hộ; nhận cha, mẹ, con; nuôi con nuôi).

use egov_auth::{Caller, Resource};
use egov_database::UnitOfWork;
use jiff::civil::Date;
use prost::Message;
use uuid::Uuid;

use super::entries::{Draft, enter, open_book};
use super::register_marriage::STEPS;
use super::registration::{REGISTER, Signing, identify};
use super::{Asked, CivilRegistry};
use crate::domain::adoption::Adoption;
use crate::domain::annotation::AnnotationKind;
use crate::domain::book::EventKind;
use crate::domain::correction;
use crate::domain::entry::{Details, Entry, RegistrationKind, Relation, RelationKind, Settled};
use crate::domain::guardianship::Guardianship;
use crate::domain::kinship::Tie;
use crate::domain::party::{KnownFamily, Party};
use crate::domain::recognition::Recognition;
use crate::error::Error;
use crate::store::{StoreError, deaths, disclosure, families};

/// A guardianship, its end or its supervision, as somebody wants to register it.
pub(crate) struct WantedGuardianship {
    pub(crate) unit_id: i32,
    pub(crate) guardianship: Guardianship,
    pub(crate) signing: Signing,
}

/// A recognition as somebody wants to register it.
pub(crate) struct WantedRecognition {
    pub(crate) unit_id: i32,
    pub(crate) recognition: Recognition,
    pub(crate) signing: Signing,
}

/// An adoption as somebody wants to register it.
pub(crate) struct WantedAdoption {
    pub(crate) unit_id: i32,
    pub(crate) adoption: Adoption,
    pub(crate) signing: Signing,
}

/// Finds out which persons the parties are.
async fn identify_parties(unit: &mut UnitOfWork<'_>, parties: Vec<&mut Party>) -> Result<(), Error> {
    let named = parties
        .into_iter()
        .map(|party| (party.person.personal_number.clone(), &mut party.person_id));
    identify(unit, named.collect()).await
}

/// What the registry knows of these persons and their families once it is their turn: nobody else changes their marriages, parents or guardians until the
/// end of the transaction. With it the guardianships of which they are wards.
async fn known_family(
    unit: &mut UnitOfWork<'_>,
    persons: &[Uuid],
    registration: Date,
) -> Result<(KnownFamily, Vec<Relation>), Error> {
    families::take_turn(unit.conn(), persons).await?;
    let relations = families::of(unit.conn(), persons, STEPS).await?;
    let guardians = families::standing_of(unit.conn(), persons, &[RelationKind::Guardian]).await?;
    let ties: Vec<Tie> = relations.iter().chain(&guardians).map(Relation::tie).collect();
    let mut everybody: Vec<Uuid> = ties.iter().flat_map(|tie| [tie.person, tie.relative]).collect();
    everybody.extend(persons);
    everybody.sort_unstable();
    everybody.dedup();
    let died = deaths::of_persons(unit.conn(), &everybody).await?;
    let mut known = KnownFamily::new(ties, died).map_err(|_| {
        Error::Store(StoreError::Inconsistent {
            table: "family_relations",
            column: "valid_to",
        })
    })?;
    known.lacking = families::capacity_noted(unit.conn(), persons, registration).await?;
    let parentage = [AnnotationKind::Parentage.code()];
    known.parentage_noted = disclosure::noted(unit.conn(), persons, &parentage).await?;
    Ok((known, guardians))
}

/// A guardianship, recognition or adoption that was judged.
struct Judged {
    registration_date: Date,
    settled: Vec<Settled>,
    subject_id: Uuid,
    details: Details,
    relations: Vec<Relation>,
}

impl CivilRegistry {
    /// Enters what was judged in the commune's open book of its kind and year.
    async fn enter_family(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        (unit_id, event): (i32, EventKind),
        signing: Signing,
        judged: Judged,
        announced: &'static str,
    ) -> Result<Entry, Error> {
        let on = judged.registration_date;
        let commune = self.commune(unit_id, on)?;
        let book = open_book(unit, unit_id, event, on).await?;
        let draft = Draft {
            entry_id: unit.new_id(),
            book,
            // None of them has a term.
            registration_kind: RegistrationKind::OnTime,
            registration_date: on,
            subject_id: judged.subject_id,
            persons: correction::persons(&judged.details, on),
            relations: judged.relations,
            content: signing.content(commune.name, judged.settled, judged.details),
        };
        enter(unit, caller, draft, announced).await
    }

    /// Registers that a guardianship begins, ends or is supervised, in the book of its year.
    pub(crate) async fn register_guardianship<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedGuardianship,
        answer: impl FnOnce(&Entry) -> R + Send,
    ) -> Result<R, Error> {
        caller.require(REGISTER, &Resource::of_unit(wanted.unit_id))?;
        let written = self
            .database
            .write(asked.write(caller, REGISTER), async |unit: &mut UnitOfWork<'_>| {
                let today = unit.today();
                let registration_date = wanted.signing.registration_date.unwrap_or(today);
                let rules = self.rules_of(registration_date)?;
                // Who they are has to be known before they are judged; what is written of it goes with a refusal.
                let mut guardianship = wanted.guardianship;
                let supervisor = guardianship.supervisor.as_mut();
                let parties = [&mut guardianship.ward, &mut guardianship.guardian];
                identify_parties(unit, parties.into_iter().chain(supervisor).collect()).await?;
                let persons: Vec<Uuid> = guardianship.parties().map(|(party, _)| party.person_id).collect();
                let (family, guardians) = known_family(unit, &persons, registration_date).await?;
                let standing = guardianship.standing(&guardians);
                let findings = guardianship.judge(rules, (&family, standing), registration_date, today);
                let is_foreign = guardianship.is_foreign();
                let settled = Self::settle(rules, wanted.unit_id, is_foreign, &wanted.signing, findings)?;
                let relation = guardianship.relation(unit.new_id(), standing, registration_date);
                let judged = Judged {
                    registration_date,
                    settled,
                    subject_id: guardianship.ward.person_id,
                    details: Details::Guardianship(Box::new(guardianship)),
                    relations: relation.into_iter().collect(),
                };
                let place = (wanted.unit_id, EventKind::Guardianship);
                let entry = self
                    .enter_family(
                        unit,
                        caller,
                        place,
                        wanted.signing,
                        judged,
                        "civil_guardianship_registered",
                    )
                    .await?;
                Ok::<_, Error>(answer(&entry))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Registers that somebody recognises a child or a parent, in the book of its year; the birth stays as it was entered.
    pub(crate) async fn register_recognition<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedRecognition,
        answer: impl FnOnce(&Entry) -> R + Send,
    ) -> Result<R, Error> {
        caller.require(REGISTER, &Resource::of_unit(wanted.unit_id))?;
        let written = self
            .database
            .write(asked.write(caller, REGISTER), async |unit: &mut UnitOfWork<'_>| {
                let today = unit.today();
                let registration_date = wanted.signing.registration_date.unwrap_or(today);
                let rules = self.rules_of(registration_date)?;
                let mut recognition = wanted.recognition;
                identify_parties(unit, vec![&mut recognition.child, &mut recognition.parent]).await?;
                let persons = [recognition.child.person_id, recognition.parent.person_id];
                let (family, _) = known_family(unit, &persons, registration_date).await?;
                let findings = recognition.judge(rules, &family, registration_date, today);
                let is_foreign = recognition.is_foreign();
                let settled = Self::settle(rules, wanted.unit_id, is_foreign, &wanted.signing, findings)?;
                let relation = recognition.relation(unit.new_id(), registration_date);
                let judged = Judged {
                    registration_date,
                    settled,
                    subject_id: recognition.child.person_id,
                    details: Details::Recognition(Box::new(recognition)),
                    relations: vec![relation],
                };
                let place = (wanted.unit_id, EventKind::Recognition);
                let entry = self
                    .enter_family(
                        unit,
                        caller,
                        place,
                        wanted.signing,
                        judged,
                        "civil_recognition_registered",
                    )
                    .await?;
                Ok::<_, Error>(answer(&entry))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Registers an adoption in the book of its year; who adopts is an adoptive parent from then on.
    pub(crate) async fn register_adoption<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedAdoption,
        answer: impl FnOnce(&Entry) -> R + Send,
    ) -> Result<R, Error> {
        caller.require(REGISTER, &Resource::of_unit(wanted.unit_id))?;
        let written = self
            .database
            .write(asked.write(caller, REGISTER), async |unit: &mut UnitOfWork<'_>| {
                let today = unit.today();
                let registration_date = wanted.signing.registration_date.unwrap_or(today);
                let rules = self.rules_of(registration_date)?;
                let mut adoption = wanted.adoption;
                let other = adoption.other_adopter.as_mut();
                let parties = [&mut adoption.child, &mut adoption.adopter];
                identify_parties(unit, parties.into_iter().chain(other).collect()).await?;
                let adopters = adoption.adopters().map(|(party, _)| party.person_id);
                let persons: Vec<Uuid> = std::iter::once(adoption.child.person_id).chain(adopters).collect();
                let (family, _) = known_family(unit, &persons, registration_date).await?;
                let findings = adoption.judge(rules, &family, registration_date, today);
                // That a foreigner is of it the judgment asks; the register itself is the commune's.
                let settled = Self::settle(rules, wanted.unit_id, adoption.is_foreign(), &wanted.signing, findings)?;
                let relations = adoption.relations(|| unit.new_id(), registration_date);
                let judged = Judged {
                    registration_date,
                    settled,
                    subject_id: adoption.child.person_id,
                    details: Details::Adoption(Box::new(adoption)),
                    relations,
                };
                let place = (wanted.unit_id, EventKind::Adoption);
                let entry = self
                    .enter_family(unit, caller, place, wanted.signing, judged, "civil_adoption_registered")
                    .await?;
                Ok::<_, Error>(answer(&entry))
            })
            .await?;
        Ok(written.into_answer())
    }
}
