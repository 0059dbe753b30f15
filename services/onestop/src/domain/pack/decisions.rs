//! Quyết định about facts that no source confirms, applied on top of a pack, visibly.

use egov_codes::ProcedureCode;
use jiff::civil;
use serde::{Deserialize, Serialize};

use super::check::{EFFECTIVE_FROM, PackError, component_path, fee_path, result_path, time_path};
use super::facts::{Fact, FactStatus};
use super::procedure::{Channel, FeeKind, Procedure, TimeUnit};

/// Quyết định: what somebody has decided about facts that no source confirms, one file of `decisions/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decisions {
    /// Who decided.
    pub by: String,
    /// The day of the decision.
    pub when: civil::Date,
    /// Căn cứ, for every decision that gives none of its own.
    pub basis: String,
    /// True if they hold for demonstrations only: production treats what they decide as open.
    #[serde(default)]
    pub demonstration: bool,
    /// The decisions.
    #[serde(default, rename = "decision")]
    pub decisions: Vec<Decision>,
}

/// One decision on one version of one procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Mã thủ tục.
    pub procedure: ProcedureCode,
    /// The version; a decision does not carry over to the next one.
    pub version: i32,
    /// What is decided.
    pub what: Subject,
    /// Căn cứ, if it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
}

/// What a decision is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The time of channels.
    Time(TimeDecision),
    /// A fee of channels.
    Fee(FeeDecision),
    /// A component, by its code, as it stands.
    Component(String),
    /// A result, by its code, as it stands.
    Result(String),
    /// A legal basis, by its number, as it stands.
    LegalBasis(String),
    /// The first day in force.
    EffectiveFrom(civil::Date),
    /// Title, sector, decision, levels, agency and applicants, as they stand.
    Header,
}

/// A time that is decided; it replaces what the pack says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeDecision {
    /// Of which channels.
    pub channels: Vec<Channel>,
    /// The condition of a special time; absent for the ordinary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub special: Option<String>,
    /// How many units; absent for the same day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u32>,
    /// The unit.
    pub unit: TimeUnit,
    /// Of the same day only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<civil::Time>,
}

/// A fee that is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeDecision {
    /// Of which channels.
    pub channels: Vec<Channel>,
    /// Code of the fee.
    pub code: String,
    /// Phí or lệ phí; absent if the pack says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FeeKind>,
    /// The amount in đồng.
    pub amount_vnd: i64,
}

impl Decisions {
    /// Reads a file of decisions.
    pub fn from_toml(text: &str) -> Result<Self, PackError> {
        let decisions: Self = toml::from_str(text)?;
        let own = decisions
            .decisions
            .iter()
            .filter_map(|decision| decision.basis.as_ref());
        let blank = [&decisions.by, &decisions.basis]
            .into_iter()
            .chain(own)
            .any(|words| words.trim().is_empty());
        if blank {
            Err(PackError::Unexplained)
        } else {
            Ok(decisions)
        }
    }

    /// The decisions on this version of this procedure.
    pub fn on<'a>(&'a self, code: &'a ProcedureCode, version: i32) -> impl Iterator<Item = &'a Decision> {
        self.decisions
            .iter()
            .filter(move |decision| decision.procedure == *code && decision.version == version)
    }

    /// Marks a fact as decided, unless it is settled already.
    fn settle(&self, decision: &Decision, path: &str, fact: Option<&mut Fact>) -> Result<(), PackError> {
        let (procedure, path) = (decision.procedure.clone(), path.to_owned());
        let Some(fact) = fact else {
            return Err(PackError::NoSuchFact { procedure, path });
        };
        if fact.status != FactStatus::Unconfirmed {
            return Err(PackError::AlreadySettled { procedure, path });
        }
        fact.status = FactStatus::Decided;
        fact.by = Some(self.by.clone());
        fact.when = Some(self.when);
        fact.basis = Some(decision.basis.as_ref().unwrap_or(&self.basis).clone());
        fact.demonstration = self.demonstration;
        Ok(())
    }
}

/// Applies to a procedure what was decided about this version of it: all of it, or nothing.
pub fn apply_decisions(procedure: &mut Procedure, decisions: &Decisions) -> Result<(), PackError> {
    let mut decided = procedure.clone();
    for decision in decisions.on(&procedure.code, procedure.version) {
        match &decision.what {
            Subject::Time(said) => decide_time(&mut decided, decisions, decision, said)?,
            Subject::Fee(said) => decide_fee(&mut decided, decisions, decision, said)?,
            Subject::Component(code) => {
                let component = decided.components.iter_mut().find(|component| component.code == *code);
                decisions.settle(
                    decision,
                    &component_path(code),
                    component.map(|component| &mut component.fact),
                )?;
            }
            Subject::Result(code) => {
                let result = decided.results.iter_mut().find(|result| result.code == *code);
                decisions.settle(decision, &result_path(code), result.map(|result| &mut result.fact))?;
            }
            Subject::LegalBasis(number) => {
                let basis = decided.legal_basis.iter_mut().find(|basis| basis.number == *number);
                let path = format!("legal_basis.{number}");
                decisions.settle(decision, &path, basis.map(|basis| &mut basis.fact))?;
            }
            Subject::EffectiveFrom(day) => {
                decisions.settle(decision, EFFECTIVE_FROM, Some(&mut decided.effective_fact))?;
                decided.effective_from = *day;
            }
            Subject::Header => decisions.settle(decision, "header", Some(&mut decided.fact))?,
        }
    }
    decided.check()?;
    *procedure = decided;
    Ok(())
}

fn decide_time(
    procedure: &mut Procedure,
    decisions: &Decisions,
    decision: &Decision,
    said: &TimeDecision,
) -> Result<(), PackError> {
    for channel in &said.channels {
        let offer = procedure.channels.iter_mut().find(|offer| offer.channel == *channel);
        let time = offer.and_then(|offer| match &said.special {
            None => Some(&mut offer.time),
            Some(when) => offer
                .special_times
                .iter_mut()
                .find(|special| special.when == *when)
                .map(|special| &mut special.time),
        });
        let path = time_path(*channel, said.special.as_deref());
        let Some(time) = time else {
            return decisions.settle(decision, &path, None);
        };
        decisions.settle(decision, &path, Some(&mut time.fact))?;
        (time.value, time.unit, time.cut_off) = (said.value, Some(said.unit), said.cut_off);
    }
    Ok(())
}

fn decide_fee(
    procedure: &mut Procedure,
    decisions: &Decisions,
    decision: &Decision,
    said: &FeeDecision,
) -> Result<(), PackError> {
    for channel in &said.channels {
        let offer = procedure.channels.iter_mut().find(|offer| offer.channel == *channel);
        let fee = offer.and_then(|offer| offer.fees.iter_mut().find(|fee| fee.code == said.code));
        let path = fee_path(*channel, &said.code);
        let Some(fee) = fee else {
            return decisions.settle(decision, &path, None);
        };
        decisions.settle(decision, &path, Some(&mut fee.fact))?;
        fee.kind = said.kind.or(fee.kind);
        fee.amount_vnd = Some(said.amount_vnd);
    }
    Ok(())
}
