//! What a procedure asks of a case: conditions, components, times, fees; and what is still open in it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil;

use super::catalogue::Catalogued;
use super::check::{
    EFFECTIVE_FROM, Flaw, HEADER, PackError, component_path, fee_path, result_path, step_time_path, time_path,
};
use super::facts::{Fact, FactKind, OpenFact, Profile, ToDecide};
use super::procedure::{Channel, ChannelOffer, Component, Fee, Procedure, ResultKind, Step, Time};

/// One thing that a case must have: a component, or one of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement<'a> {
    /// The group, if there are alternatives.
    pub group: Option<&'a str>,
    /// One of these is enough; in the order of the pack.
    pub any_of: Vec<&'a Component>,
}

/// Why something counts as missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MissingReason {
    /// It was not filed.
    NotFiled,
    /// It was replaced by data, which is not allowed for it.
    DataNotAllowed,
}

/// A requirement that nothing filed meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingComponent {
    /// Codes of the components of which one is enough.
    pub any_of: Vec<String>,
    /// Their names, in the same order.
    pub names: Vec<String>,
    /// Why.
    pub reason: MissingReason,
}

/// What is wrong with the conditions stated for a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionFault {
    /// The procedure has no such condition.
    Unknown {
        /// The code stated.
        code: String,
    },
    /// The condition follows from the channel; it is not stated.
    FollowsFromChannel {
        /// The code stated.
        code: String,
    },
    /// Of a choice not exactly one was stated.
    Choice {
        /// The choice.
        choice: String,
        /// Codes of which exactly one is to be stated.
        one_of: Vec<String>,
        /// Codes of them that were stated.
        stated: Vec<String>,
    },
}

const LEGAL_BASIS: &str = "legal_basis";
const STEPS: &str = "steps";

/// The lists of a version from the catalogue that are a fact each.
const LISTS: [&str; 6] = ["channels", "applicants", LEGAL_BASIS, "components", STEPS, "results"];

impl Catalogued {
    /// How a list is established.
    pub(super) fn list(&self, list: &str) -> Option<&Fact> {
        Some(match list {
            "channels" => &self.channels,
            "applicants" => &self.applicants,
            LEGAL_BASIS => &self.legal_basis,
            "components" => &self.components,
            STEPS => &self.steps,
            "results" => &self.results,
            _ => return None,
        })
    }

    pub(super) fn list_mut(&mut self, list: &str) -> Option<&mut Fact> {
        Some(match list {
            "channels" => &mut self.channels,
            "applicants" => &mut self.applicants,
            LEGAL_BASIS => &mut self.legal_basis,
            "components" => &mut self.components,
            STEPS => &mut self.steps,
            "results" => &mut self.results,
            _ => return None,
        })
    }
}

impl Procedure {
    /// Reads a pack and checks it whole.
    pub fn from_toml(text: &str) -> Result<Self, PackError> {
        let procedure: Self = toml::from_str(text)?;
        if procedure.catalogue.is_some() {
            return Err(PackError::Flawed {
                procedure: procedure.code,
                flaws: vec![Flaw {
                    path: "catalogue".to_owned(),
                    text: "a pack is not from the catalogue".to_owned(),
                }],
            });
        }
        procedure.check()?;
        Ok(procedure)
    }

    /// True if the version is in force on this day.
    pub fn in_force_on(&self, day: civil::Date) -> bool {
        self.effective_from <= day && self.effective_to.is_none_or(|end| day < end)
    }

    /// What a channel offers; none if it is not offered.
    pub fn offer(&self, channel: Channel) -> Option<&ChannelOffer> {
        self.channels.iter().find(|offer| offer.channel == channel)
    }

    /// A component by its code.
    pub fn component(&self, code: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.code == code)
    }

    /// A step by its code.
    pub fn step(&self, code: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.code == code)
    }

    /// A result by its code.
    pub fn result(&self, code: &str) -> Option<&ResultKind> {
        self.results.iter().find(|result| result.code == code)
    }

    /// What is wrong with the conditions that a submitter states, everything at once; empty if nothing is.
    pub fn condition_faults(&self, stated: &[String]) -> Vec<ConditionFault> {
        let mut faults = Vec::new();
        for code in stated {
            match self.conditions.iter().find(|condition| condition.code == *code) {
                None => faults.push(ConditionFault::Unknown { code: code.clone() }),
                Some(condition) if condition.channel.is_some() => {
                    faults.push(ConditionFault::FollowsFromChannel { code: code.clone() });
                }
                Some(_) => {}
            }
        }
        for (choice, one_of) in self.choices() {
            let said: Vec<String> = one_of.iter().filter(|code| stated.contains(code)).cloned().collect();
            if said.len() != 1 {
                faults.push(ConditionFault::Choice {
                    choice: choice.to_owned(),
                    one_of,
                    stated: said,
                });
            }
        }
        faults
    }

    /// All conditions that hold of a case: those stated, and those that follow from its channel.
    pub fn conditions_for(&self, channel: Channel, stated: &[String]) -> Vec<String> {
        self.conditions
            .iter()
            .filter(|condition| match condition.channel {
                Some(of) => of == channel,
                None => stated.contains(&condition.code),
            })
            .map(|condition| condition.code.clone())
            .collect()
    }

    /// The time of a channel under these conditions; none if the channel is not offered.
    pub fn time_for(&self, channel: Channel, conditions: &[String]) -> Option<&Time> {
        let offer = self.offer(channel)?;
        let special = offer
            .special_times
            .iter()
            .find(|special| conditions.contains(&special.when));
        Some(special.map_or(&offer.time, |special| &special.time))
    }

    /// The fees of a channel under these conditions; none if the channel is not offered.
    pub fn fees_for(&self, channel: Channel, conditions: &[String]) -> Vec<&Fee> {
        let fees = self
            .offer(channel)
            .map(|offer| offer.fees.as_slice())
            .unwrap_or_default();
        fees.iter()
            .filter(|fee| fee.when.as_ref().is_none_or(|when| conditions.contains(when)))
            .collect()
    }

    /// What a case must have under these conditions ([`Procedure::conditions_for`]), in the order of the pack.
    pub fn required_components(&self, conditions: &[String]) -> Vec<Requirement<'_>> {
        let mut seen = BTreeSet::new();
        let mut requirements = Vec::new();
        for component in &self.components {
            let (group, any_of) = match component.alternative_group.as_deref() {
                None => (None, vec![component]),
                Some(group) if seen.insert(group) => (Some(group), self.group(group)),
                Some(_) => continue,
            };
            if any_of.iter().any(|component| component.is_required(conditions)) {
                requirements.push(Requirement { group, any_of });
            }
        }
        requirements
    }

    /// What a case still lacks. `filed` are codes of components, with `true` where data of a database replaces the
    /// paper; that counts only where the component allows it. Codes of other procedures count for nothing
    /// ([`Procedure::unknown_components`]).
    pub fn missing_components(&self, conditions: &[String], filed: &[(&str, bool)]) -> Vec<MissingComponent> {
        let mut missing = Vec::new();
        for Requirement { any_of, .. } in self.required_components(conditions) {
            let tries = || {
                let of = |code: &str| any_of.iter().find(|component| component.code == code);
                filed
                    .iter()
                    .filter_map(move |(code, by_data)| of(code).map(|component| (component, *by_data)))
            };
            if tries().any(|(component, by_data)| component.is_reusable() || !by_data) {
                continue;
            }
            let reason = if tries().next().is_some() {
                MissingReason::DataNotAllowed
            } else {
                MissingReason::NotFiled
            };
            missing.push(MissingComponent {
                any_of: any_of.iter().map(|component| component.code.clone()).collect(),
                names: any_of.iter().map(|component| component.name.clone()).collect(),
                reason,
            });
        }
        missing
    }

    /// Which of these codes are no components of the procedure, each once.
    pub fn unknown_components<'a>(&self, codes: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut unknown: Vec<String> = Vec::new();
        for code in codes {
            if self.component(code).is_none() && !unknown.iter().any(|known| known == code) {
                unknown.push(code.to_owned());
            }
        }
        unknown
    }

    /// Every fact that is neither confirmed nor decided.
    pub fn open_facts(&self) -> Vec<OpenFact> {
        self.unsettled(Profile::Demo)
    }

    /// Every fact that the profile may not rely on.
    pub fn open_facts_for(&self, profile: Profile) -> Vec<OpenFact> {
        self.unsettled(profile)
    }

    /// Whether the profile may offer the procedure. Production: every fact confirmed or really decided.
    /// Demonstration: the times of all offered channels settled.
    pub fn publishable(&self, profile: Profile) -> Result<(), Vec<OpenFact>> {
        let mut open = self.unsettled(profile);
        if profile == Profile::Demo {
            let times: BTreeSet<String> = self.times().map(|(path, _)| path).collect();
            open.retain(|fact| times.contains(&fact.path) || self.lacks(&fact.path));
        }
        if open.is_empty() { Ok(()) } else { Err(open) }
    }

    /// True if this is a list of a version from the catalogue without which no case can be filed, and there is nothing in
    /// it; the process is lacking until somebody decides it, since no source says it.
    fn lacks(&self, path: &str) -> bool {
        match path {
            STEPS => true,
            "channels" => self.channels.is_empty(),
            "applicants" => self.applicants.is_empty(),
            "components" => self.components.is_empty(),
            "results" => self.results.is_empty(),
            _ => false,
        }
    }

    fn unsettled(&self, profile: Profile) -> Vec<OpenFact> {
        let open = self.facts().into_iter().filter(|(_, fact)| !fact.is_settled(profile));
        open.map(|(path, fact)| OpenFact {
            path,
            status: fact.status,
        })
        .collect()
    }

    /// The members of an alternative group, in order.
    pub(super) fn group(&self, group: &str) -> Vec<&Component> {
        self.components
            .iter()
            .filter(|component| component.alternative_group.as_deref() == Some(group))
            .collect()
    }

    /// The choices with the codes of their conditions.
    pub(crate) fn choices(&self) -> BTreeMap<&str, Vec<String>> {
        let mut choices: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for condition in &self.conditions {
            if let Some(choice) = &condition.choice {
                choices.entry(choice).or_default().push(condition.code.clone());
            }
        }
        choices
    }

    /// Every time with its path.
    pub(super) fn times(&self) -> impl Iterator<Item = (String, &Time)> {
        self.channels.iter().flat_map(|offer| {
            let special = offer
                .special_times
                .iter()
                .map(|special| (Some(special.when.as_str()), &special.time));
            std::iter::once((None, &offer.time))
                .chain(special)
                .map(|(when, time)| (time_path(offer.channel, when), time))
        })
    }

    /// Every fact with its path, in the order of the pack. In a version from the catalogue a list is one fact.
    pub fn facts(&self) -> Vec<(String, &Fact)> {
        let mut facts = vec![
            (HEADER.to_owned(), &self.fact),
            (EFFECTIVE_FROM.to_owned(), &self.effective_fact),
        ];
        if let Some(catalogue) = &self.catalogue {
            facts.extend(
                LISTS
                    .into_iter()
                    .filter_map(|list| Some((list.to_owned(), catalogue.list(list)?))),
            );
        } else {
            facts.extend(
                self.legal_basis
                    .iter()
                    .map(|basis| (format!("{LEGAL_BASIS}.{}", basis.number), &basis.fact)),
            );
        }
        facts.extend(self.times().map(|(path, time)| (path, &time.fact)));
        for offer in &self.channels {
            facts.extend(
                offer
                    .fees
                    .iter()
                    .map(|fee| (fee_path(offer.channel, &fee.code), &fee.fact)),
            );
        }
        facts.extend(
            self.eligibility
                .iter()
                .map(|row| (format!("eligibility.{}", row.code), &row.fact)),
        );
        facts.extend(
            self.fee_rows
                .iter()
                .map(|row| (format!("fee_rows.{}", row.code), &row.fact)),
        );
        facts.extend(
            self.steps
                .iter()
                .filter_map(|step| Some((step_time_path(&step.code), step.time_fact.as_ref()?))),
        );
        if self.catalogue.is_none() {
            facts.extend(
                self.components
                    .iter()
                    .map(|component| (component_path(&component.code), &component.fact)),
            );
            facts.extend(
                self.results
                    .iter()
                    .map(|result| (result_path(&result.code), &result.fact)),
            );
        }
        facts
    }

    /// The fact of a path of [`facts`](Self::facts), to be settled.
    pub(super) fn fact_mut(&mut self, path: &str) -> Option<&mut Fact> {
        match path {
            HEADER => return Some(&mut self.fact),
            EFFECTIVE_FROM => return Some(&mut self.effective_fact),
            _ => {}
        }
        if let Some(code) = path.strip_prefix("eligibility.") {
            return self
                .eligibility
                .iter_mut()
                .find(|row| row.code == code)
                .map(|row| &mut row.fact);
        }
        if let Some(code) = path.strip_prefix("fee_rows.") {
            return self
                .fee_rows
                .iter_mut()
                .find(|row| row.code == code)
                .map(|row| &mut row.fact);
        }
        if let Some(code) = path.strip_prefix("steps.").and_then(|rest| rest.strip_suffix(".time")) {
            return self
                .steps
                .iter_mut()
                .find(|step| step.code == code)
                .and_then(|step| step.time_fact.as_mut());
        }
        if let Some(catalogue) = self.catalogue.as_mut() {
            if LISTS.contains(&path) {
                return catalogue.list_mut(path);
            }
        } else if let Some(number) = path.strip_prefix("legal_basis.") {
            return self
                .legal_basis
                .iter_mut()
                .find(|basis| basis.number == number)
                .map(|basis| &mut basis.fact);
        } else if let Some(code) = path.strip_prefix("components.") {
            return self
                .components
                .iter_mut()
                .find(|component| component.code == code)
                .map(|component| &mut component.fact);
        } else if let Some(code) = path.strip_prefix("results.") {
            return self
                .results
                .iter_mut()
                .find(|result| result.code == code)
                .map(|result| &mut result.fact);
        }
        for offer in &mut self.channels {
            let channel = offer.channel;
            if path == time_path(channel, None) {
                return Some(&mut offer.time.fact);
            }
            for special in &mut offer.special_times {
                if path == time_path(channel, Some(&special.when)) {
                    return Some(&mut special.time.fact);
                }
            }
            for fee in &mut offer.fees {
                if path == fee_path(channel, &fee.code) {
                    return Some(&mut fee.fact);
                }
            }
        }
        None
    }

    /// What is open for a profile, a kind at a time: the administrator's list.
    pub fn to_decide(&self) -> Vec<ToDecide> {
        let mut found: BTreeMap<FactKind, ToDecide> = BTreeMap::new();
        for (path, fact) in self.facts() {
            if fact.is_settled(Profile::Production) {
                continue;
            }
            let kind = FactKind::of(&path);
            let entry = found.entry(kind).or_insert_with(|| ToDecide {
                kind,
                paths: Vec::new(),
                raw: String::new(),
                only_production: true,
            });
            entry.only_production &= fact.is_settled(Profile::Demo);
            if !entry.raw.contains(&fact.source) {
                let gap = if entry.raw.is_empty() { "" } else { "; " };
                entry.raw.push_str(gap);
                entry.raw.push_str(&fact.source);
            }
            entry.paths.push(path);
        }
        found.into_values().collect()
    }

    /// Whether a case may be filed under this version. A pack was looked at when it was published; a version from the
    /// catalogue is looked at here.
    pub fn fileable(&self, profile: Profile) -> Result<(), Vec<OpenFact>> {
        if self.catalogue.is_some() {
            self.publishable(profile)
        } else {
            Ok(())
        }
    }
}
