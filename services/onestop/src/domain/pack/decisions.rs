//! Quyết định about facts that no source confirms, applied on top of a pack, visibly.

use egov_codes::ProcedureCode;
use jiff::civil;
use serde::{Deserialize, Serialize};

use super::check::{EFFECTIVE_FROM, HEADER, PackError, component_path, fee_path, result_path, time_path};
use super::facts::{Fact, FactKind, FactStatus};
use super::procedure::{ApplicantKind, Channel, Component, FeeKind, LegalBasis, Procedure, ResultKind, TimeUnit};

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
    /// True if they may take the place of earlier decisions, never of something confirmed. A file may not: it is applied
    /// anew at every import, in no order.
    #[serde(skip)]
    pub supersede: bool,
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
    /// Any fact, by its path, as it stands; in the catalogue also a whole list, e.g. `steps`.
    AsItStands(String),
    /// Kênh of a procedure from the catalogue, all of them. Times and fees stay as its line has them.
    Channels(Vec<Channel>),
    /// Đối tượng thực hiện of a procedure from the catalogue, all of them.
    Applicants(Vec<ApplicantKind>),
    /// Thành phần hồ sơ of a procedure from the catalogue, all of them.
    Components(Vec<NewComponent>),
    /// Kết quả of a procedure from the catalogue, all of them.
    Results(Vec<NewResult>),
    /// Căn cứ pháp lý of a procedure from the catalogue, all of them.
    LegalBases(Vec<NewLegalBasis>),
}

/// A component that is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewComponent {
    /// Our own code.
    pub code: String,
    /// Tên giấy tờ.
    pub name: String,
    /// Mẫu đơn, tờ khai.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// Số bản chính.
    pub originals: u32,
    /// Số bản sao.
    #[serde(default)]
    pub copies: u32,
    /// Always required.
    #[serde(default)]
    pub required: bool,
    /// A database may replace it.
    #[serde(default)]
    pub data_allowed: bool,
}

/// A result that is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewResult {
    /// Mã kết quả.
    pub code: String,
    /// Tên.
    pub name: String,
}

/// A legal basis that is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLegalBasis {
    /// Số, ký hiệu.
    pub number: String,
    /// Trích yếu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl Subject {
    /// The facts of this version that it settles, by their paths.
    pub fn paths(&self, procedure: &Procedure) -> Vec<String> {
        match self {
            Self::Time(said) => said
                .channels
                .iter()
                .map(|channel| time_path(*channel, said.special.as_deref()))
                .collect(),
            Self::Fee(said) => said
                .channels
                .iter()
                .map(|channel| fee_path(*channel, &said.code))
                .collect(),
            Self::Component(code) => vec![component_path(code)],
            Self::Result(code) => vec![result_path(code)],
            Self::LegalBasis(number) => vec![format!("legal_basis.{number}")],
            Self::EffectiveFrom(_) => vec![EFFECTIVE_FROM.to_owned()],
            Self::Header => vec![HEADER.to_owned()],
            Self::AsItStands(path) => vec![path.clone()],
            Self::Channels(_) => vec!["channels".to_owned()],
            Self::Applicants(_) => vec!["applicants".to_owned()],
            Self::Components(_) => vec!["components".to_owned()],
            Self::Results(_) => vec!["results".to_owned()],
            Self::LegalBases(_) => vec!["legal_basis".to_owned()],
        }
        .into_iter()
        .filter(|path| procedure.facts().iter().any(|(known, _)| known == path))
        .collect()
    }

    /// What kind of fact it settles.
    pub fn kind(&self) -> FactKind {
        match self {
            Self::Time(_) => FactKind::Time,
            Self::Fee(_) => FactKind::Fee,
            Self::Component(_) | Self::Components(_) => FactKind::Components,
            Self::Result(_) | Self::Results(_) => FactKind::Results,
            Self::LegalBasis(_) | Self::LegalBases(_) => FactKind::LegalBasis,
            Self::EffectiveFrom(_) => FactKind::EffectiveFrom,
            Self::Header => FactKind::Header,
            Self::AsItStands(path) => FactKind::of(path),
            Self::Channels(_) => FactKind::Channels,
            Self::Applicants(_) => FactKind::Applicants,
        }
    }
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
        let may = match fact.status {
            FactStatus::Unconfirmed => true,
            FactStatus::Decided => self.supersede,
            FactStatus::Confirmed => false,
        };
        if !may {
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
            Subject::Header => decisions.settle(decision, HEADER, Some(&mut decided.fact))?,
            Subject::AsItStands(path) => decisions.settle(decision, path, decided.fact_mut(path))?,
            Subject::Channels(channels) => decide_channels(&mut decided, decisions, decision, channels)?,
            Subject::Applicants(applicants) => {
                settled_list(&mut decided, decisions, decision, "applicants")?;
                decided.applicants.clone_from(applicants);
            }
            Subject::Components(components) => {
                let fact = settled_list(&mut decided, decisions, decision, "components")?;
                decided.components = components
                    .iter()
                    .map(|said| Component {
                        code: said.code.clone(),
                        name: said.name.clone(),
                        form: said.form.clone(),
                        originals: said.originals,
                        copies: said.copies,
                        required: said.required,
                        when: None,
                        unless: None,
                        alternative_group: None,
                        presented: false,
                        data_allowed: said.data_allowed,
                        ways: Vec::new(),
                        e_form: None,
                        reuse: None,
                        fact: fact.clone(),
                    })
                    .collect();
            }
            Subject::Results(results) => {
                let fact = settled_list(&mut decided, decisions, decision, "results")?;
                decided.results = results
                    .iter()
                    .map(|said| ResultKind {
                        code: said.code.clone(),
                        name: said.name.clone(),
                        fact: fact.clone(),
                    })
                    .collect();
            }
            Subject::LegalBases(bases) => {
                let fact = settled_list(&mut decided, decisions, decision, "legal_basis")?;
                decided.legal_basis = bases
                    .iter()
                    .map(|said| LegalBasis {
                        number: said.number.clone(),
                        title: said.title.clone(),
                        fact: fact.clone(),
                    })
                    .collect();
            }
        }
    }
    decided.check()?;
    *procedure = decided;
    Ok(())
}

/// Settles a whole list of a version from the catalogue, and gives the fact for its items.
fn settled_list(
    procedure: &mut Procedure,
    decisions: &Decisions,
    decision: &Decision,
    list: &str,
) -> Result<Fact, PackError> {
    let mut fact = procedure
        .catalogue
        .as_mut()
        .and_then(|catalogue| catalogue.list_mut(list));
    decisions.settle(decision, list, fact.as_deref_mut())?;
    fact.cloned().ok_or_else(|| PackError::NoSuchFact {
        procedure: decision.procedure.clone(),
        path: list.to_owned(),
    })
}

/// Channels that stay keep what was decided about them; those that are new have what the line of the catalogue says.
fn decide_channels(
    procedure: &mut Procedure,
    decisions: &Decisions,
    decision: &Decision,
    channels: &[Channel],
) -> Result<(), PackError> {
    settled_list(procedure, decisions, decision, "channels")?;
    let entry = procedure.catalogue.as_ref().and_then(|catalogue| catalogue.entry());
    procedure.channels = channels
        .iter()
        .filter_map(|channel| {
            let kept = procedure
                .channels
                .iter()
                .find(|offer| offer.channel == *channel)
                .cloned();
            kept.or_else(|| Some(entry.as_ref()?.offer(CRAWL, *channel)))
        })
        .collect();
    Ok(())
}

/// How the source of what a new channel offers is named.
const CRAWL: &str = "the line of the catalogue that this version keeps";

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
