//! RegisterBirth (đăng ký khai sinh).

use std::collections::BTreeMap;

use egov_auth::{Caller, Resource};
use egov_database::{UnitOfWork, violates};
use jiff::civil::Date;
use prost::Message;
use uuid::Uuid;

use super::entries::{Draft, enter, open_book};
use super::{Asked, CivilRegistry};
use crate::domain::birth::Birth;
use crate::domain::book::EventKind;
use crate::domain::entry::{Content, Details, Entry, Particulars, Relation, RelationKind, Settled};
use crate::domain::finding::{Decision, Findings, Question, Violation};
use crate::domain::rules::deciding::{self, Deciding};
use crate::domain::rules::pack::Level;
use crate::error::Error;
use crate::store::{StoreError, persons};

const REGISTER: &str = "civil_registry.entries.register";

/// A birth as somebody wants to register it.
pub(crate) struct WantedBirth {
    pub(crate) unit_id: i32,
    /// Today if it is not said.
    pub(crate) registration_date: Option<Date>,
    pub(crate) birth: Birth,
    pub(crate) signer_name: String,
    pub(crate) signer_title: String,
    /// Empty if the title signs by itself.
    pub(crate) signer_authorisation: String,
    pub(crate) performer_name: String,
    pub(crate) note: String,
    pub(crate) decisions: Vec<Decision>,
}

/// What is left in the way when the officer has decided so, and what was settled. A question that nobody answered is named by its own code, by
/// which it is answered; an answer to what nobody asks is refused.
pub(super) fn settle(findings: &Findings, decisions: &[Decision]) -> Result<Vec<Settled>, Vec<Violation>> {
    let answers = |question: &Question| {
        decisions
            .iter()
            .find(|decision| decision.code == question.code && decision.field == question.field)
    };
    let mut left = findings.left_by(decisions);
    left.retain(|one| one.code != "decision_missing");
    let mut settled = Vec::new();
    for question in &findings.questions {
        match answers(question) {
            Some(decision) => settled.push(Settled {
                code: question.code.to_owned(),
                field: question.field.clone(),
                vi: question.vi.clone(),
                en: question.en.clone(),
                reason: decision.reason.clone(),
            }),
            None => left.push(Violation {
                code: question.code,
                field: question.field.clone(),
                vi: format!("cần ghi nhận quyết định của công chức: {}", question.vi),
                en: format!("a decision of the officer has to be recorded: {}", question.en),
                basis: question.basis.clone(),
            }),
        }
    }
    for (place, decision) in decisions.iter().enumerate() {
        let is_asked = findings
            .questions
            .iter()
            .any(|question| decision.code == question.code && decision.field == question.field);
        if !is_asked {
            left.push(Violation::of_shape(
                "decision_not_asked",
                format!("decisions[{place}]"),
                "không có câu hỏi này",
                "nobody asks this",
            ));
        }
    }
    if left.is_empty() { Ok(settled) } else { Err(left) }
}

/// Finds out which persons child and parents are: who has a number is the person of that number, whoever else is new.
async fn identify(unit: &mut UnitOfWork<'_>, birth: &mut Birth) -> Result<(), Error> {
    let now = unit.now();
    let parents = [birth.mother.as_mut(), birth.father.as_mut()].into_iter().flatten();
    let of_parents = parents.map(|parent| (parent.person.personal_number.clone(), &mut parent.person_id));
    let child = (birth.child.person.personal_number.clone(), &mut birth.child.person_id);
    let mut named: Vec<_> = std::iter::once(child).chain(of_parents).collect();
    for (_, person) in &mut named {
        **person = unit.new_id();
    }
    let wanted: BTreeMap<String, Uuid> = named
        .iter()
        .filter_map(|(number, person)| Some((number.as_ref()?.reveal().to_owned(), **person)))
        .collect();
    let known = persons::claim(unit.conn(), &wanted, now).await?;
    let mut new = Vec::with_capacity(named.len());
    for (number, person) in named {
        let holder = number.and_then(|number| known.get(number.reveal()).copied());
        match holder {
            Some(holder) if holder != *person => *person = holder,
            _ => new.push(*person),
        }
    }
    persons::insert(unit.conn(), &new, now).await?;
    Ok(())
}

/// What a birth says of persons, and who is whose parent since when: of the child and its parents from the birth on; of what the parents are called
/// and where they belong on the day of the registration.
fn told(birth: &Birth, registration: Date, new_id: impl Fn() -> Uuid) -> (Vec<Particulars>, Vec<Relation>) {
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
                let today = unit.today();
                let registration_date = wanted.registration_date.unwrap_or(today);
                let rules = self
                    .law
                    .rules(registration_date)
                    .ok_or(Error::RulesNotKnown(registration_date))?;
                let judged = wanted
                    .birth
                    .judge(rules, &self.law.calendar, registration_date, today)?;
                let mut findings = judged.findings;
                let here = [wanted.unit_id];
                let deciding = Deciding {
                    level: Level::Commune,
                    unit_id: wanted.unit_id,
                    // Any commune where one of them lives may register (nơi cư trú); where that is, no register is asked yet.
                    of_residence: &here,
                    is_foreign: wanted.birth.is_foreign(),
                    title: &wanted.signer_title,
                    authorisation: &wanted.signer_authorisation,
                };
                findings.join(deciding::judge(rules, &deciding));
                let settled = settle(&findings, &wanted.decisions)?;
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
                    content: Content {
                        registration_place: commune.name,
                        signer_name: wanted.signer_name,
                        signer_title: wanted.signer_title,
                        signer_authorisation: wanted.signer_authorisation,
                        performer_name: wanted.performer_name,
                        note: wanted.note,
                        settled,
                        details: Details::Birth(Box::new(birth)),
                    },
                    persons,
                    relations,
                };
                let entry =
                    enter(unit, caller, draft, "civil_birth_registered")
                        .await
                        .map_err(|error| match error {
                            Error::Store(StoreError::Sql(sql)) if violates(&sql, "entries_one_birth") => {
                                Error::BirthRegistered
                            }
                            error => error,
                        })?;
                Ok::<_, Error>(answer(&entry))
            })
            .await?;
        Ok(written.into_answer())
    }
}
