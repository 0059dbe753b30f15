//! RegisterMarriage (đăng ký kết hôn).

use std::collections::BTreeMap;

use egov_auth::{Caller, Resource};
use egov_database::UnitOfWork;
use jiff::civil::Date;
use prost::Message;
use uuid::Uuid;

use super::entries::{Draft, enter, open_book};
use super::register_birth::settle;
use super::{Asked, CivilRegistry};
use crate::domain::book::EventKind;
use crate::domain::entry::{Content, Details, Entry, Particulars, Relation, RelationKind};
use crate::domain::finding::Decision;
use crate::domain::kinship::{Tie, Validity};
use crate::domain::marriage::{Family, Marriage};
use crate::domain::rules::deciding::{self, Deciding};
use crate::domain::rules::pack::Level;
use crate::error::Error;
use crate::store::{StoreError, deaths, families, persons};

const REGISTER: &str = "civil_registry.entries.register";

/// How many steps families are followed upwards. The law asks of three generations, and of the direct line without an end: nobody marries an ancestor
/// of more steps than these.
const STEPS: i32 = 12;

/// A marriage as somebody wants to register it.
pub(crate) struct WantedMarriage {
    pub(crate) unit_id: i32,
    /// Today if it is not said.
    pub(crate) registration_date: Option<Date>,
    pub(crate) marriage: Marriage,
    pub(crate) signer_name: String,
    pub(crate) signer_title: String,
    /// Empty if the title signs by itself.
    pub(crate) signer_authorisation: String,
    pub(crate) performer_name: String,
    pub(crate) note: String,
    pub(crate) decisions: Vec<Decision>,
}

/// Finds out which persons the two are: who has a number is the person of that number, whoever else is new.
async fn identify(unit: &mut UnitOfWork<'_>, marriage: &mut Marriage) -> Result<(), Error> {
    let now = unit.now();
    let mut sides = [&mut marriage.husband, &mut marriage.wife];
    for side in &mut sides {
        side.person_id = unit.new_id();
    }
    let wanted: BTreeMap<String, Uuid> = sides
        .iter()
        .filter_map(|side| {
            Some((
                side.person.personal_number.as_ref()?.reveal().to_owned(),
                side.person_id,
            ))
        })
        .collect();
    let known = persons::claim(unit.conn(), &wanted, now).await?;
    let mut new = Vec::with_capacity(sides.len());
    for side in sides {
        let number = side.person.personal_number.as_ref();
        let holder = number.and_then(|number| known.get(number.reveal()).copied());
        match holder {
            Some(holder) if holder != side.person_id => side.person_id = holder,
            _ => new.push(side.person_id),
        }
    }
    persons::insert(unit.conn(), &new, now).await?;
    Ok(())
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
        .map(|relation| Tie {
            kind: relation.kind.tie(),
            person: relation.person_id,
            relative: relation.relative_id,
            validity: Validity {
                from: relation.valid_from,
                to: relation.valid_to,
            },
        })
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
                let today = unit.today();
                let registration_date = wanted.registration_date.unwrap_or(today);
                let rules = self
                    .law
                    .rules(registration_date)
                    .ok_or(Error::RulesNotKnown(registration_date))?;
                // Who the two are has to be known before they are judged; what is written of it goes with a refusal.
                let mut marriage = wanted.marriage;
                identify(unit, &mut marriage).await?;
                let both = [marriage.husband.person_id, marriage.wife.person_id];
                let relations = relations_of(unit, both).await?;
                let family = family(unit, both, &relations, None).await?;
                let lacking = families::capacity_noted(unit.conn(), &both, registration_date).await?;
                let known = (&family, lacking.as_slice());
                let mut findings = marriage.judge(rules, &self.law.calendar, known, registration_date, today)?;
                let here = [wanted.unit_id];
                let deciding = Deciding {
                    level: Level::Commune,
                    unit_id: wanted.unit_id,
                    // Any commune where one of them lives may register (nơi cư trú); where that is, no register is asked yet.
                    of_residence: &here,
                    is_foreign: marriage.is_foreign(),
                    title: &wanted.signer_title,
                    authorisation: &wanted.signer_authorisation,
                };
                findings.join(deciding::judge(rules, &deciding));
                let settled = settle(&findings, &wanted.decisions)?;
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
                    content: Content {
                        registration_place: commune.name,
                        signer_name: wanted.signer_name,
                        signer_title: wanted.signer_title,
                        signer_authorisation: wanted.signer_authorisation,
                        performer_name: wanted.performer_name,
                        note: wanted.note,
                        settled,
                        details: Details::Marriage(Box::new(marriage)),
                    },
                    persons: told.into(),
                    relations: vec![relation],
                };
                let entry = enter(unit, caller, draft, "civil_marriage_registered").await?;
                Ok::<_, Error>(answer(&entry))
            })
            .await?;
        Ok(written.into_answer())
    }
}
