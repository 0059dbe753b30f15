//! Các bên: whom an entry of recognition, guardianship or adoption is of, and what the registry knows of their families.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::finding::{Findings, Violation};
use super::kinship::{FamilyGraph, FlawedFamily, Tie, TieKind};
use super::person::{Born, IdentityPaper, Person, ResidenceKind};
use super::rules::age::{Reached, reached};
use super::rules::{Rules, number};

/// Bên: somebody whom such an entry is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The person; nil until it is known which.
    pub person_id: Uuid,
    /// What is known of the person.
    pub person: Person,
    /// Loại cư trú.
    pub residence_kind: Option<ResidenceKind>,
    /// Nơi cư trú.
    pub residence: String,
    /// Giấy tờ tuỳ thân.
    pub paper: Option<IdentityPaper>,
}

impl Party {
    /// Judges paper and personal number. `field` is where the party stands.
    pub(super) fn judge(&self, rules: &Rules, field: &str, registration: Date, findings: &mut Findings) {
        if let Some(paper) = &self.paper {
            let field = format!("{field}.paper");
            findings.violations.extend(paper.violations(&field, registration));
        }
        if let Some(digits) = &self.person.personal_number {
            let field = format!("{field}.personal_number");
            let person = &self.person;
            findings.join(number::judge(rules, digits, person.sex, person.born, &field));
        }
    }

    /// Whether the party has reached an age on a day.
    pub(super) fn has_reached(&self, rules: &Rules, age: i16, on: Date) -> Reached {
        self.person.born.map_or(Reached::Unknown, |born| {
            reached(born, age, on, rules.marriage_age.leap_day_birthday)
        })
    }

    /// The first day on which the party may have been born.
    pub(super) fn first_day(&self) -> Option<Date> {
        self.person.born.map(Born::earliest)
    }

    /// The last one.
    pub(super) fn last_day(&self) -> Option<Date> {
        self.person.born.map(Born::latest)
    }
}

/// What the registry knows of the parties and their families, whichever communes entered it.
#[derive(Clone, Debug, Default)]
pub struct KnownFamily {
    /// Their families.
    pub graph: FamilyGraph,
    ties: Vec<Tie>,
    /// Those of whom it is noted that their capacity is lost or limited.
    pub lacking: Vec<Uuid>,
    /// Those beside whose birth it is noted what a court decided of their parents.
    pub parentage_noted: Vec<Uuid>,
}

impl KnownFamily {
    /// The family that these ties make.
    ///
    /// # Errors
    /// [`FlawedFamily`].
    pub fn new(ties: Vec<Tie>, deaths: impl IntoIterator<Item = (Uuid, Date)>) -> Result<Self, FlawedFamily> {
        Ok(Self {
            graph: FamilyGraph::new(ties.iter().copied(), deaths)?,
            ties,
            lacking: Vec::new(),
            parentage_noted: Vec::new(),
        })
    }

    /// The ties of a person of a kind that hold on a day or on a later one: who registers for an earlier day meets what was registered for a later one.
    pub(super) fn lasting(&self, person: Uuid, kind: TieKind, day: Date) -> impl Iterator<Item = &Tie> {
        self.ties
            .iter()
            .filter(move |tie| tie.kind == kind && tie.person == person)
            .filter(move |tie| {
                let validity = tie.validity;
                validity.to.is_none_or(|to| day < to && validity.from < to)
            })
    }

    /// The marriages of a person, at whatever time, with who the other one is.
    pub(super) fn marriages(&self, person: Uuid) -> impl Iterator<Item = (Uuid, &Tie)> {
        self.ties
            .iter()
            .filter(|tie| tie.kind == TieKind::Spouse)
            .filter_map(move |tie| {
                if tie.person == person {
                    Some((tie.relative, tie))
                } else if tie.relative == person {
                    Some((tie.person, tie))
                } else {
                    None
                }
            })
    }
}

/// Adds a violation of what the data must look like, unless it looks so.
pub(super) fn unless(
    findings: &mut Findings,
    holds: bool,
    code: &'static str,
    field: &str,
    (vi, en): (&'static str, &'static str),
) {
    if !holds {
        findings.violations.push(Violation::of_shape(code, field, vi, en));
    }
}

/// What is registered is registered today at the latest.
pub(super) fn not_after_today(registration: Date, today: Date, findings: &mut Findings) {
    unless(
        findings,
        registration <= today,
        "registration_date",
        "registration_date",
        ("không được sau hôm nay", "must not be after today"),
    );
}

/// Words in both languages, as findings take them.
pub(super) fn words(vi: &str, en: &str) -> (String, String) {
    (vi.to_owned(), en.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::kinship::tests::person;
    use crate::domain::person::{Country, PersonName, Sex};

    /// A party of a test, born on this day, of this number among the people of the tests of kinship.
    pub(crate) fn party(number: u128, sex: Sex, born: Date) -> Party {
        Party {
            person_id: person(number),
            person: Person {
                full_name: PersonName::read("Trần Văn A").unwrap(),
                sex,
                born: Some(Born::on(born).unwrap()),
                ethnic_group: None,
                nationality: Some(Country::VIET_NAM),
                other_nationality: None,
                personal_number: None,
            },
            residence_kind: None,
            residence: String::new(),
            paper: None,
        }
    }

    /// Codes of violations, then of questions.
    pub(crate) fn codes(findings: &Findings) -> Vec<&'static str> {
        let violations = findings.violations.iter().map(|one| one.code);
        violations
            .chain(findings.questions.iter().map(|one| one.code))
            .collect()
    }

    /// The slow way to say that a tie holds on a day or later: look at each of the days from there on.
    pub(crate) fn lasts(tie: &Tie, day: Date) -> bool {
        day.series(jiff::Span::new().days(1))
            .take(120)
            .any(|day| tie.validity.from <= day && tie.validity.to.is_none_or(|to| day < to))
    }
}
