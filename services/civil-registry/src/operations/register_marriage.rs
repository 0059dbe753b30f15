//! RegisterMarriage (đăng ký kết hôn).

use egov_auth::{Caller, Resource};
use egov_database::UnitOfWork;
use prost::Message;
use uuid::Uuid;

use super::entries::{Draft, enter, open_book};
use super::registration::{REGISTER, Signing, identify};
use super::{Asked, CivilRegistry};
use crate::domain::book::EventKind;
use crate::domain::entry::{Details, Entry, Particulars, Relation, RelationKind};
use crate::domain::kinship::Tie;
use crate::domain::marriage::{Family, Marriage};
use crate::error::Error;
use crate::store::{StoreError, deaths, families};

/// How many steps families are followed upwards. The law asks of three generations, and of the direct line without an end: nobody marries an ancestor
/// of more steps than these.
pub(super) const STEPS: i32 = 12;

/// A marriage as somebody wants to register it.
pub(crate) struct WantedMarriage {
    pub(crate) unit_id: i32,
    pub(crate) marriage: Marriage,
    pub(crate) signing: Signing,
}

/// The families of these persons, as the registry knows them, without one marriage if `without` names it.
pub(super) async fn family(
    unit: &mut UnitOfWork<'_>,
    both: [Uuid; 2],
    relations: &[Relation],
    without: Option<Uuid>,
) -> Result<Family, Error> {
    let ties: Vec<Tie> = relations
        .iter()
        .filter(|relation| Some(relation.relation_id) != without)
        .map(Relation::tie)
        .collect();
    let mut everybody: Vec<Uuid> = ties.iter().flat_map(|tie| [tie.person, tie.relative]).collect();
    everybody.extend(both);
    everybody.sort_unstable();
    everybody.dedup();
    let died = deaths::of_persons(unit.conn(), &everybody).await?;
    Family::new(ties, died).map_err(|_| {
        Error::Store(StoreError::Inconsistent {
            table: "family_relations",
            column: "valid_to",
        })
    })
}

/// What the registry knows of these persons and their families once it is their turn: nobody else marries them, or changes their marriages, until the
/// end of the transaction.
pub(super) async fn relations_of(unit: &mut UnitOfWork<'_>, persons: [Uuid; 2]) -> Result<Vec<Relation>, Error> {
    families::take_turn(unit.conn(), &persons).await?;
    Ok(families::of(unit.conn(), &persons, STEPS).await?)
}

impl CivilRegistry {
    /// Registers a marriage and enters it in the book of its year; the two are spouses since then.
    pub(crate) async fn register_marriage<M: Message, R: Message + Default>(
        &self,
        caller: &Caller,
        asked: Asked<'_, M>,
        wanted: WantedMarriage,
        answer: impl FnOnce(&Entry) -> R + Send,
    ) -> Result<R, Error> {
        caller.require(REGISTER, &Resource::of_unit(wanted.unit_id))?;
        let written = self
            .database
            .write(asked.write(caller, REGISTER), async |unit: &mut UnitOfWork<'_>| {
                let entry = Box::pin(self.enter_marriage(unit, caller, wanted)).await?;
                Ok::<_, Error>(answer(&entry))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Enters a marriage in this transaction, for a caller who may.
    pub(super) async fn enter_marriage(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        wanted: WantedMarriage,
    ) -> Result<Entry, Error> {
        let today = unit.today();
        let registration_date = wanted.signing.registration_date.unwrap_or(today);
        let rules = self.rules_of(registration_date)?;
        // Who the two are has to be known before they are judged; what is written of it goes with a refusal.
        let mut marriage = wanted.marriage;
        let sides = [&mut marriage.husband, &mut marriage.wife];
        let named = sides.map(|side| (side.person.personal_number.clone(), &mut side.person_id));
        identify(unit, named.into()).await?;
        let both = [marriage.husband.person_id, marriage.wife.person_id];
        let relations = relations_of(unit, both).await?;
        let family = family(unit, both, &relations, None).await?;
        let lacking = families::capacity_noted(unit.conn(), &both, registration_date).await?;
        let known = (&family, lacking.as_slice());
        let findings = marriage.judge(rules, &self.law.calendar, known, registration_date, today)?;
        let is_foreign = marriage.is_foreign();
        let settled = Self::settle(rules, wanted.unit_id, is_foreign, &wanted.signing, findings)?;
        let commune = self.commune(wanted.unit_id, registration_date)?;
        let book = open_book(unit, wanted.unit_id, EventKind::Marriage, registration_date).await?;
        let relation = Relation {
            relation_id: unit.new_id(),
            version: 1,
            kind: RelationKind::Spouse,
            person_id: marriage.husband.person_id,
            relative_id: marriage.wife.person_id,
            valid_from: marriage.valid_from(registration_date),
            valid_to: None,
        };
        let told = [&marriage.husband, &marriage.wife]
            .map(|one| Particulars::of(one.person_id, &one.person, registration_date));
        let draft = Draft {
            entry_id: unit.new_id(),
            book,
            registration_kind: marriage.registration_kind(),
            registration_date,
            // An entry has one subject: that of a marriage is the husband; it tells of both all the same.
            subject_id: marriage.husband.person_id,
            content: wanted
                .signing
                .content(commune.name, settled, Details::Marriage(Box::new(marriage))),
            persons: told.into(),
            relations: vec![relation],
        };
        enter(unit, caller, draft, "civil_marriage_registered").await
    }
}
