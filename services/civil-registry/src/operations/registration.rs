//! What every registration has in common: the day, who signs, the rules of that day, what the officer decides, and which persons it is of.

use std::collections::BTreeMap;

use egov_codes::PersonalNumber;
use egov_database::UnitOfWork;
use jiff::civil::Date;
use uuid::Uuid;

use super::CivilRegistry;
use crate::domain::entry::{Content, Details, Settled};
use crate::domain::finding::{Decision, Findings};
use crate::domain::rules::deciding::{self, Deciding};
use crate::domain::rules::pack::{Level, Rules};
use crate::error::Error;
use crate::store::persons;

/// The permission by which a caller registers.
pub(super) const REGISTER: &str = "civil_registry.entries.register";

/// What is said of a registration beside what it is of.
pub(crate) struct Signing {
    /// Ngày đăng ký; today if it is not said.
    pub(crate) registration_date: Option<Date>,
    pub(crate) signer_name: String,
    pub(crate) signer_title: String,
    /// Empty if the title signs by itself.
    pub(crate) signer_authorisation: String,
    pub(crate) performer_name: String,
    pub(crate) note: String,
    pub(crate) decisions: Vec<Decision>,
}

impl Signing {
    /// What stands in the book.
    pub(super) fn content(self, registration_place: String, settled: Vec<Settled>, details: Details) -> Content {
        Content {
            registration_place,
            signer_name: self.signer_name,
            signer_title: self.signer_title,
            signer_authorisation: self.signer_authorisation,
            performer_name: self.performer_name,
            note: self.note,
            settled,
            digitised: None,
            details,
        }
    }
}

/// Finds out which persons these are: who has a number is the person of that number, whoever else is new.
pub(super) async fn identify(
    unit: &mut UnitOfWork<'_>,
    mut named: Vec<(Option<PersonalNumber>, &mut Uuid)>,
) -> Result<(), Error> {
    let now = unit.now();
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

/// Whether a commune decides for somebody who lives there, by whoever has this title and this authorisation (thẩm quyền).
pub(super) fn deciding_of(
    rules: &Rules,
    unit_id: i32,
    is_foreign: bool,
    (title, authorisation): (&str, &str),
) -> Findings {
    deciding::judge(
        rules,
        &Deciding {
            level: Level::Commune,
            unit_id,
            of_residence: &[unit_id],
            is_foreign,
            title,
            authorisation,
        },
    )
}

impl CivilRegistry {
    /// The rules of a day.
    pub(super) fn rules_of(&self, on: Date) -> Result<&Rules, Error> {
        self.law.rules(on).ok_or(Error::RulesNotKnown(on))
    }

    /// What was asked and is settled once who signs is judged as well: by a commune, for somebody who lives there. Any commune where one of those
    /// concerned lives may register (nơi cư trú); where that is, no register is asked yet.
    pub(super) fn settle(
        rules: &Rules,
        unit_id: i32,
        is_foreign: bool,
        signing: &Signing,
        mut findings: Findings,
    ) -> Result<Vec<Settled>, Error> {
        let title = (&*signing.signer_title, &*signing.signer_authorisation);
        findings.join(deciding_of(rules, unit_id, is_foreign, title));
        Ok(findings.settled_by(&signing.decisions)?)
    }
}
