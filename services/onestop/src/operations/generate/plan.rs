//! What may be filed where and how, and how many file it on each day.

use std::collections::BTreeMap;
use std::sync::Arc;

use egov_calendar::{WorkCalendar, vietnam_instant};
use egov_codes::AgencyCode;
use egov_directory::{UnitKind, Units};
use egov_population::{Arrivals, RngExt as _, Weighted, apportion, source};
use jiff::Timestamp;
use jiff::civil::Date;

use super::parameters::Parameters;
use super::{GenerateError, Order};
use crate::domain::case::FiledComponent;
use crate::domain::deadline::{Clock, deadline_of};
use crate::domain::definition::Asked;
use crate::domain::listing::Versioned;
use crate::domain::pack::{ApplicantKind, Channel, Component, Level, Procedure, Profile};
use crate::domain::party::PartyKind;
use crate::operations::level_of;

/// Purposes of the draws of a plan.
const PURPOSE_CONDITIONS: u32 = 0x434F_4E44;

/// How many sets of conditions are tried out for a procedure and channel.
const TRIED: usize = 24;

/// Of conditions that need not hold, each is tried with this chance.
const CONDITION: f64 = 0.12;

/// A unit that handles cases.
#[derive(Debug, Clone)]
pub(super) struct Office {
    pub(super) unit_id: i32,
    pub(super) code: String,
    pub(super) name: String,
    pub(super) kind: UnitKind,
    pub(super) level: Level,
    pub(super) agency: AgencyCode,
    pub(super) provisional: bool,
}

/// A set of conditions with what a case of them files.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    /// Those that the submitter states.
    pub(super) stated: Vec<String>,
    /// What is filed.
    pub(super) components: Vec<FiledComponent>,
}

/// A procedure on a channel at a level, with what cases of it may look like.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) version: Arc<Versioned>,
    pub(super) channel: Channel,
    pub(super) level: Level,
    pub(super) variants: Vec<Variant>,
    weight: f64,
}

/// The versions of procedures in force, day by day.
pub(super) type InForce = BTreeMap<Date, Vec<Arc<Versioned>>>;

/// The whole plan.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) offices: Vec<Office>,
    /// Places in `offices` by level, weighted.
    by_level: BTreeMap<Level, Weighted<usize>>,
    /// Offers by procedure and version.
    pub(super) offers: Vec<Offer>,
    /// How many cases on each day.
    pub(super) days: Vec<(Date, u64)>,
    pub(super) in_force: InForce,
}

impl Plan {
    /// Makes the plan of an order.
    pub(super) fn make(
        order: &Order,
        parameters: &Parameters,
        arrivals: &Arrivals,
        calendar: &WorkCalendar,
        profile: Profile,
        units: &Units,
        in_force: InForce,
    ) -> Result<Self, GenerateError> {
        let offices = offices(units, order.from, order.to);
        let mut by_level = BTreeMap::new();
        for level in [Level::Commune, Level::Province] {
            let of_level = offices.iter().enumerate().filter(|(_, office)| office.level == level);
            let weighted: Vec<(usize, f64)> = of_level
                .map(|(place, office)| {
                    let weight = match office.kind {
                        UnitKind::Ward => parameters.units.ward,
                        UnitKind::Commune => parameters.units.commune,
                        _ => parameters.units.department,
                    };
                    (place, weight)
                })
                .collect();
            if !weighted.is_empty() {
                by_level.insert(level, Weighted::new("the units", weighted)?);
            }
        }

        let mut offers: Vec<Offer> = Vec::new();
        let mut seen: Vec<(String, i32)> = Vec::new();
        for (day, versions) in &in_force {
            for version in versions {
                let key = (version.procedure.code.as_str().to_owned(), version.version);
                if seen.contains(&key) {
                    continue;
                }
                seen.push(key);
                // Of the catalogue: what is open there keeps a case from being filed here as through the port.
                if version.procedure.fileable(profile).is_err() {
                    continue;
                }
                offers.extend(offers_of(
                    order.seed, *day, version, parameters, calendar, profile, &by_level,
                ));
            }
        }

        let mut plan = Self {
            offices,
            by_level,
            offers,
            days: Vec::new(),
            in_force,
        };
        let mut dates = Vec::new();
        let mut weights = Vec::new();
        let mut date = order.from;
        while date <= order.to {
            let intensities = plan.weights_on(date, arrivals, calendar)?;
            dates.push(date);
            weights.push(intensities.iter().sum::<f64>());
            date = date.tomorrow().map_err(|_| GenerateError::NothingToFile)?;
        }
        let counts = apportion(order.cases, &weights);
        if counts.iter().sum::<u64>() != order.cases {
            return Err(GenerateError::NothingToFile);
        }
        plan.days = dates.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect();
        Ok(plan)
    }

    /// How much each offer weighs on a day.
    fn weights_on(&self, date: Date, arrivals: &Arrivals, calendar: &WorkCalendar) -> Result<Vec<f64>, GenerateError> {
        let versions = self.in_force.get(&date).map(Vec::as_slice).unwrap_or_default();
        let mut of_channel = BTreeMap::new();
        for channel in Channel::ALL {
            of_channel.insert(channel, arrivals.intensity(calendar, date, channel.as_str())?);
        }
        Ok(self
            .offers
            .iter()
            .map(|offer| {
                let offered = versions.iter().any(|version| Arc::ptr_eq(version, &offer.version));
                let intensity = of_channel.get(&offer.channel).copied().unwrap_or(0.0);
                if offered { offer.weight * intensity } else { 0.0 }
            })
            .collect())
    }

    /// The offers of a day, to be drawn.
    pub(super) fn drawn_on(
        &self,
        date: Date,
        arrivals: &Arrivals,
        calendar: &WorkCalendar,
    ) -> Result<Weighted<usize>, GenerateError> {
        let weights = self.weights_on(date, arrivals, calendar)?;
        Ok(Weighted::new(
            "the procedures of the day",
            weights.into_iter().enumerate(),
        )?)
    }

    /// The offices of a level, to be drawn.
    pub(super) fn offices_of(&self, level: Level) -> Option<&Weighted<usize>> {
        self.by_level.get(&level)
    }

    /// The version of a procedure in force on a day.
    pub(super) fn version_on(&self, code: &str, date: Date) -> Option<&Arc<Versioned>> {
        self.in_force
            .get(&date)?
            .iter()
            .find(|version| version.procedure.code.as_str() == code)
    }
}

/// The units that handle cases in the whole span: communes, wards and departments of the province with an agency code.
fn offices(units: &Units, from: Date, to: Date) -> Vec<Office> {
    units
        .on(from)
        .filter(|unit| unit.in_force(to))
        .filter(|unit| {
            matches!(
                unit.kind,
                UnitKind::Commune | UnitKind::Ward | UnitKind::ProvinceDepartment
            )
        })
        .filter_map(|unit| {
            let agency = unit.agency_code.as_ref()?;
            Some(Office {
                unit_id: unit.id,
                code: unit.code.clone(),
                name: unit.name.clone(),
                kind: unit.kind,
                level: level_of(unit.kind)?,
                agency: agency.code.parse().ok()?,
                provisional: agency.provisional,
            })
        })
        .collect()
}

fn offers_of(
    seed: u64,
    day: Date,
    version: &Arc<Versioned>,
    parameters: &Parameters,
    calendar: &WorkCalendar,
    profile: Profile,
    by_level: &BTreeMap<Level, Weighted<usize>>,
) -> Vec<Offer> {
    let procedure = &version.procedure;
    let code = procedure.code.as_str();
    let weight = parameters.procedures.by_code.get(code).copied();
    let weight = weight.unwrap_or(parameters.procedures.other);
    let levels: Vec<Level> = by_level
        .keys()
        .copied()
        .filter(|level| procedure.levels.contains(level))
        .collect();
    let mut offers = Vec::new();
    for channel in Channel::ALL {
        if procedure.offer(channel).is_none() {
            continue;
        }
        let variants = variants(seed, day, version, channel, calendar, profile);
        if variants.is_empty() {
            continue;
        }
        for &level in &levels {
            let share = match (levels.len(), level) {
                (2.., Level::Commune) => parameters.units.commune_share,
                (2.., _) => 1.0 - parameters.units.commune_share,
                _ => 1.0,
            };
            offers.push(Offer {
                version: Arc::clone(version),
                channel,
                level,
                variants: variants.clone(),
                weight: weight * share,
            });
        }
    }
    offers
}

/// Sets of conditions under which a case can be filed, completed and dated. Some are drawn and tried; what the service
/// would refuse is left out.
fn variants(
    seed: u64,
    day: Date,
    version: &Versioned,
    channel: Channel,
    calendar: &WorkCalendar,
    profile: Profile,
) -> Vec<Variant> {
    let procedure = &version.procedure;
    let number = procedure
        .code
        .as_str()
        .bytes()
        .fold(u64::from(channel as u8), |hash, byte| {
            hash.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(byte))
        });
    let mut rng = source(seed, PURPOSE_CONDITIONS, number);
    let Ok(accepted) = vietnam_instant(day.at(9, 0, 0, 0)) else {
        return Vec::new();
    };
    let choices: BTreeMap<&str, Vec<&str>> = procedure
        .conditions
        .iter()
        .filter_map(|condition| Some((condition.choice.as_deref()?, condition.code.as_str())))
        .fold(BTreeMap::<&str, Vec<&str>>::new(), |mut choices, (choice, code)| {
            choices.entry(choice).or_default().push(code);
            choices
        });
    let mut found: Vec<Variant> = Vec::new();
    for trial in 0..TRIED {
        let mut stated: Vec<String> = choices
            .values()
            .filter_map(|codes| codes.get(rng.random_range(0..codes.len())))
            .map(|&code| code.to_owned())
            .collect();
        for condition in &procedure.conditions {
            let free = condition.choice.is_none() && condition.channel.is_none();
            // The first trial states nothing that need not be.
            if free && trial > 0 && rng.random_bool(CONDITION) {
                stated.push(condition.code.clone());
            }
        }
        let conditions = procedure.conditions_for(channel, &stated);
        let clock = Clock {
            accepted,
            pauses: &[],
            extended_by: 0,
        };
        let dated = deadline_of(calendar, procedure, profile, channel, &conditions, &clock).is_ok();
        if !dated
            || !procedure.condition_faults(&stated).is_empty()
            || !eligible(procedure, channel, &conditions, accepted)
        {
            continue;
        }
        let mut components = Vec::new();
        for requirement in procedure.required_components(&conditions) {
            let place = rng.random_range(0..requirement.any_of.len().max(1));
            if let Some(component) = requirement.any_of.get(place) {
                components.push(filed(component, component.data_allowed && rng.random_bool(0.5)));
            }
        }
        // A case that must have nothing has its first paper all the same: something is handed in.
        if let (true, Some(first)) = (components.is_empty(), procedure.components.first()) {
            components.push(filed(first, false));
        }
        if !found.iter().any(|variant| variant.stated == stated) {
            found.push(Variant { stated, components });
        }
    }
    found
}

/// Whether no row of the eligibility table speaks against such a case, whoever of those who may own it does.
fn eligible(procedure: &Procedure, channel: Channel, conditions: &[String], at: Timestamp) -> bool {
    let (people, organisations) = owners(&procedure.applicants);
    let kinds = [(people, PartyKind::Citizen), (organisations, PartyKind::Organisation)];
    kinds.into_iter().filter(|(may, _)| *may).all(|(_, kind)| {
        let row = procedure.eligibility_for(&Asked::at(channel, kind, conditions, at));
        row.is_none_or(|row| row.eligible)
    })
}

/// A component as it is filed: the paper, or the data that replaces it.
fn filed(component: &Component, by_data: bool) -> FiledComponent {
    let paper = i32::from(!by_data);
    FiledComponent {
        round: 0,
        component_code: component.code.clone(),
        originals: paper * (component.originals as i32).max(1),
        copies: paper * component.copies as i32,
        replaced_by_data: if by_data {
            "Cơ sở dữ liệu quốc gia về dân cư".to_owned()
        } else {
            String::new()
        },
        file_ids: Vec::new(),
        form_data: None,
    }
}

/// Whether people, and whether organisations, may own a case.
pub(super) fn owners(applicants: &[ApplicantKind]) -> (bool, bool) {
    (
        applicants.iter().any(|kind| kind.is_person()),
        applicants.iter().any(|kind| !kind.is_person()),
    )
}
