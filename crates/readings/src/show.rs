//! A recorded reading in the words of the contract.

use std::collections::HashMap;

use egov_auth::{BasisStatus, Purpose};
use egov_clock::{Clock as _, vietnam};
use egov_database::Reading;
use egov_proto::egov::records::v1 as proto;
use egov_proto::egov::types::v1::{FactStatus, LocalizedText};
use egov_proto::options::{Act, Options};
use jiff::civil::Date;
use prost_reflect::DescriptorPool;
use uuid::Uuid;

use crate::Readings;
use crate::list::Found;

/// What each method does, in words, by its path.
pub(crate) struct Acts(HashMap<String, Act>);

impl Acts {
    /// As the contracts say it.
    pub(crate) fn of(pool: &DescriptorPool) -> Self {
        let options = Options::of(pool);
        let acts = pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>());
        Self(
            acts.filter_map(|method| {
                let act = options.act(&method)?;
                Some((
                    format!("/{}/{}", method.parent_service().full_name(), method.name()),
                    act,
                ))
            })
            .collect(),
        )
    }

    /// A method that no contract here describes is called by its name.
    fn words(&self, method: &str) -> LocalizedText {
        match self.0.get(method) {
            Some(act) => LocalizedText {
                vi: act.vi.clone(),
                en: act.en.clone(),
            },
            None => LocalizedText {
                vi: method.to_owned(),
                en: method.to_owned(),
            },
        }
    }
}

/// The key of a reader, taken apart; see [`egov_auth::Principal::caller_key`].
struct Reader<'a> {
    id: &'a str,
    on_behalf_of: Option<&'a str>,
}

impl<'a> Reader<'a> {
    fn parse(key: &'a str) -> Self {
        let (caller, citizen) = match key.split_once('/') {
            Some((caller, citizen)) => (caller, citizen.strip_prefix("citizen:")),
            None => (key, None),
        };
        Self {
            id: caller.split_once(':').map_or(caller, |(_, id)| id),
            on_behalf_of: citizen,
        }
    }
}

fn reader_kind(reading: &Reading, concerned: Option<Uuid>) -> proto::ReaderKind {
    let reader = Reader::parse(&reading.reader);
    let own = concerned.map(|person| person.to_string());
    let is_own = |id: &str| own.as_deref() == Some(id);
    match (reading.kind.as_str(), reader.on_behalf_of) {
        ("system", None) => proto::ReaderKind::System,
        ("system", Some(citizen)) if is_own(citizen) => proto::ReaderKind::SystemForSelf,
        ("system", Some(_)) => proto::ReaderKind::SystemForCitizen,
        _ if is_own(reader.id) => proto::ReaderKind::Self_,
        ("staff", _) => proto::ReaderKind::Staff,
        ("citizen", _) => proto::ReaderKind::Citizen,
        _ => proto::ReaderKind::Unspecified,
    }
}

/// A purpose with its title and basis.
pub(crate) fn purpose(purpose: &Purpose) -> proto::ReadingPurpose {
    proto::ReadingPurpose {
        code: purpose.code.clone(),
        title: Some(LocalizedText {
            vi: purpose.title.clone(),
            en: purpose.title_en.clone(),
        }),
        legal_basis: purpose.legal_basis.clone(),
        basis_status: match purpose.status {
            BasisStatus::Confirmed => FactStatus::Confirmed,
            BasisStatus::Unconfirmed => FactStatus::Unconfirmed,
        }
        .into(),
        effective_from: Some(purpose.effective_from.into()),
        effective_to: purpose.effective_to.map(Into::into),
    }
}

impl Readings {
    /// The purposes in force today.
    pub(crate) fn purposes(&self) -> Vec<proto::ReadingPurpose> {
        let today = self.clock.today();
        let purposes = self.access.policies().purposes();
        purposes
            .codes(today)
            .into_iter()
            .filter_map(|code| purposes.on(code, today))
            .map(purpose)
            .collect()
    }

    /// A reading as the person concerned sees it; without one, as whoever may see everything of it.
    pub(crate) fn show(&self, (service, reading): &Found, concerned: Option<Uuid>) -> proto::Reading {
        let day = reading.key.at.to_zoned(vietnam()).date();
        proto::Reading {
            read_time: Some(egov_proto::timestamp(reading.key.at)),
            service: (*service).to_owned(),
            reader_kind: reader_kind(reading, concerned).into(),
            reader_unit: reading.unit.filter(|unit| *unit > 0).map(|unit| self.unit(unit)),
            reader_system: reading.client.clone().unwrap_or_default(),
            capacities: self.capacities(reading),
            purpose: reading.purpose.as_deref().map(|code| self.purpose_on(code, day)),
            act: Some(self.acts.words(&reading.method)),
            method: reading.method.clone(),
            resources: match concerned {
                Some(person) => reading.resources_of(person).map(str::to_owned).collect(),
                None => reading.resources.iter().map(|(_, name)| name.clone()).collect(),
            },
        }
    }

    /// A reading as its supervisor sees it.
    pub(crate) fn show_audited(&self, found: &Found) -> proto::AuditedReading {
        let (_, reading) = found;
        let reader = Reader::parse(&reading.reader);
        // Whoever is the only person concerned may be the reader: that is said here as well.
        let concerned = match reading.subjects.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        let shown = proto::Reading {
            reader_kind: reader_kind(reading, concerned).into(),
            ..self.show(found, None)
        };
        proto::AuditedReading {
            reading: Some(shown),
            reader_id: reader.id.to_owned(),
            on_behalf_of: reader.on_behalf_of.unwrap_or_default().to_owned(),
            delegator_ids: reading
                .capacities
                .iter()
                .map(|capacity| capacity.delegator.map(|id| id.to_string()).unwrap_or_default())
                .collect(),
            person_ids: reading.subjects.iter().map(Uuid::to_string).collect(),
        }
    }

    fn capacities(&self, reading: &Reading) -> Vec<proto::ReadingCapacity> {
        let policies = self.access.policies();
        reading
            .capacities
            .iter()
            .map(|capacity| proto::ReadingCapacity {
                role: capacity.held.role.clone(),
                title: policies.role(&capacity.held.role).map(|role| LocalizedText {
                    vi: role.title.clone(),
                    en: role.title_en.clone(),
                }),
                unit: (capacity.held.unit > 0).then(|| self.unit(capacity.held.unit)),
                delegated: capacity.delegator.is_some(),
            })
            .collect()
    }

    fn unit(&self, unit_id: i32) -> proto::ReadingUnit {
        let known = self.directory.unit(unit_id);
        let (code, name) = known.map(|unit| (unit.code, unit.name)).unwrap_or_default();
        proto::ReadingUnit { unit_id, code, name }
    }

    /// The purpose with the basis that it had on the day of the reading.
    fn purpose_on(&self, code: &str, day: Date) -> proto::ReadingPurpose {
        match self.access.policies().purpose(code, day) {
            Some(known) => purpose(known),
            None => proto::ReadingPurpose {
                code: code.to_owned(),
                ..proto::ReadingPurpose::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_the_person_the_persons_system_or_somebody_else() {
        let person = Uuid::from_u128(7);
        let other = Uuid::from_u128(8);
        let kind = |kind: &str, reader: String| {
            let reading = Reading {
                key: egov_database::ReadingKey {
                    at: jiff::Timestamp::UNIX_EPOCH,
                    record: 1,
                },
                reader,
                kind: kind.to_owned(),
                purpose: None,
                method: String::new(),
                subjects: vec![person],
                resources: Vec::new(),
                client: None,
                unit: None,
                capacities: Vec::new(),
            };
            reader_kind(&reading, Some(person))
        };
        assert_eq!(kind("citizen", format!("citizen:{person}")), proto::ReaderKind::Self_);
        assert_eq!(kind("staff", format!("staff:{person}")), proto::ReaderKind::Self_);
        assert_eq!(kind("staff", format!("staff:{other}")), proto::ReaderKind::Staff);
        assert_eq!(kind("citizen", format!("citizen:{other}")), proto::ReaderKind::Citizen);
        assert_eq!(kind("system", format!("system:{other}")), proto::ReaderKind::System);
        assert_eq!(
            kind("system", format!("system:{other}/citizen:{person}")),
            proto::ReaderKind::SystemForSelf
        );
        assert_eq!(
            kind("system", format!("system:{other}/citizen:{other}")),
            proto::ReaderKind::SystemForCitizen
        );
    }

    #[test]
    fn every_rpc_that_is_called_for_a_purpose_says_in_words_what_it_does() {
        let options = Options::of(&egov_proto::POOL);
        let acts = Acts::of(&egov_proto::POOL);
        let mut silent = Vec::new();
        for service in egov_proto::POOL.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let needs = options.access(&method).is_some_and(|access| access.purpose_required);
                let said = acts
                    .0
                    .get(&path)
                    .is_some_and(|act| !act.vi.is_empty() && !act.en.is_empty());
                if needs && !said {
                    silent.push(path);
                }
            }
        }
        assert!(silent.is_empty(), "without egov.options.v1.act: {silent:?}");
    }
}
