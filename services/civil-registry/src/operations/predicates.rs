//! AskPredicate (cung cấp thông tin hộ tịch bằng câu trả lời có, không).

use std::collections::BTreeSet;

use egov_auth::{Caller, ReadRecord, RowScope};
use egov_clock::Clock as _;
use egov_codes::PersonalNumber;
use egov_fault::Violation;
use jiff::civil::Date;
use uuid::Uuid;

use super::CivilRegistry;
use crate::domain::annotation::AnnotationKind;
use crate::domain::predicate::{Answer, Facts, Predicate};
use crate::error::Error;
use crate::store::programmes::Reads;
use crate::store::{StoreError, deaths, disclosure, families};

/// What is asked, of persons by their numbers.
pub(crate) struct WantedAnswer {
    pub(crate) personal_number: PersonalNumber,
    pub(crate) question: Question,
    pub(crate) valid_on: Date,
    /// The provision that lets the agency ask (căn cứ pháp lý).
    pub(crate) legal_basis: String,
}

/// A question as it comes.
pub(crate) enum Question {
    Alive,
    Married,
    AtLeastAge(i16),
    ParentOf(PersonalNumber),
}

impl Question {
    /// As records of reading name it.
    fn name(&self) -> String {
        match self {
            Self::Alive => "alive".to_owned(),
            Self::Married => "married".to_owned(),
            Self::AtLeastAge(age) => format!("at_least_{age}"),
            Self::ParentOf(_) => "parent_of".to_owned(),
        }
    }
}

/// Whom a question turned out to be about.
struct Found {
    person: Option<Uuid>,
    child: Option<Uuid>,
    facts: Facts,
}

impl CivilRegistry {
    /// Answers a question about a person by what the whole registry knows. The question is recorded, of everybody whom it is about, before the answer
    /// leaves. Of somebody whom the registry does not know the same is read, and the answer is that of somebody of whom it knows nothing.
    pub(crate) async fn ask_predicate(&self, caller: &Caller, wanted: &WantedAnswer) -> Result<Answer, Error> {
        let (answer, read) = self.answer_question(wanted).await?;
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        Ok(answer)
    }

    /// The answer to a question, and what has to be recorded before it leaves.
    pub(super) async fn answer_question(&self, wanted: &WantedAnswer) -> Result<(Answer, Reads), Error> {
        let on = wanted.valid_on;
        let today = self.clock.today();
        if today < on {
            return Err(Error::Invalid(vec![Violation {
                field: "valid_on".to_owned(),
                rule: "value".to_owned(),
                vi: "không được sau hôm nay".to_owned(),
                en: "must not be after today".to_owned(),
            }]));
        }
        // A birthday on 29 February; of days before the first pack by the rules of today.
        let rules = self.law.rules(on).or_else(|| self.law.rules(today));
        let leap = rules.ok_or(Error::RulesNotKnown(on))?.marriage_age.leap_day_birthday;
        // No row by its unit: what is read comes from functions that return what is judged, and from tables without a wall.
        let found = self
            .database
            .read(&RowScope::none(), async |connection| {
                let mut numbers = vec![wanted.personal_number.reveal().to_owned()];
                if let Question::ParentOf(child) = &wanted.question {
                    numbers.push(child.reveal().to_owned());
                }
                let known = disclosure::persons_of(&mut *connection, &numbers).await?;
                let mut of_number = numbers.iter().map(|number| known.get(number).copied());
                let (person, child) = (of_number.next().flatten(), of_number.next().flatten());
                let named: Vec<Uuid> = [person, child].into_iter().flatten().collect();
                // Without steps up: whoever they are married to, and the parents of both.
                let relations = families::of(&mut *connection, &named, 0).await?;
                let mut everybody: BTreeSet<Uuid> = named.iter().copied().collect();
                everybody.extend(relations.iter().flat_map(|one| [one.person_id, one.relative_id]));
                let everybody: Vec<Uuid> = everybody.into_iter().collect();
                let kinds = |kinds: &[AnnotationKind]| kinds.iter().map(|kind| kind.code()).collect::<Vec<i16>>();
                let declared = kinds(&[AnnotationKind::Missing, AnnotationKind::DeclaredDead]);
                let parentage = kinds(&[AnnotationKind::Parentage, AnnotationKind::Adoption]);
                // Whose parents a recognition or an adoption made is no more told than where one is noted.
                let mut parentage_noted: BTreeSet<Uuid> = families::parents_guarded(&mut *connection, &named)
                    .await?
                    .into_iter()
                    .collect();
                parentage_noted.extend(disclosure::noted(&mut *connection, &named, &parentage).await?);
                let facts = Facts {
                    mentions: disclosure::births_told(&mut *connection, &named).await?,
                    relations,
                    deaths: deaths::of_persons(&mut *connection, &everybody).await?,
                    declared: disclosure::noted(&mut *connection, &everybody, &declared)
                        .await?
                        .into_iter()
                        .collect(),
                    parentage_noted,
                };
                Ok::<_, Error>(Found { person, child, facts })
            })
            .await?;
        let predicate = match (&wanted.question, found.child) {
            (Question::Alive, _) => Some(Predicate::Alive),
            (Question::Married, _) => Some(Predicate::Married),
            (Question::AtLeastAge(age), _) => Some(Predicate::AtLeastAge(*age)),
            (Question::ParentOf(_), child) => child.map(Predicate::ParentOf),
        };
        let answer = match (found.person, predicate) {
            (Some(person), Some(predicate)) => {
                found
                    .facts
                    .answer(person, predicate, on, leap)
                    .map_err(|_| StoreError::Inconsistent {
                        table: "family_relations",
                        column: "valid_to",
                    })?
            }
            _ => Answer::NotKnown,
        };
        Ok((answer, question_read(wanted, [found.person, found.child])))
    }
}

/// What was asked of whom on which basis, for the record: each person finds the question and the basis in the own list of readings.
fn question_read(wanted: &WantedAnswer, persons: [Option<Uuid>; 2]) -> Reads {
    let (asked, on) = (wanted.question.name(), wanted.valid_on);
    let basis = format!("legal_bases/{}", wanted.legal_basis);
    let read: Reads = persons
        .into_iter()
        .flatten()
        .flat_map(|person| {
            let question = format!("civil_persons/{person}/predicates/{asked}@{on}");
            [(Some(person), question), (Some(person), basis.clone())]
        })
        .collect();
    if read.is_empty() {
        // Whom the registry does not know it cannot name; the supervisor sees that somebody asked.
        return vec![(None, format!("civil_predicates/{asked}@{on}")), (None, basis)];
    }
    read
}
