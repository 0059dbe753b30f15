//! Gói dịch vụ công liên thông (`deploy/packs/linked`): which procedures belong together, in which order, what one hands to another,
//! and what happens to the others when one ends without a result.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::super::pack::{Channel, Fact, FactStatus, OpenFact, Profile};
use super::super::transitions::State;

/// Why a pack or a file of decisions is refused.
#[derive(Debug, thiserror::Error)]
pub enum LinkedPackError {
    /// The text is not TOML of this shape.
    #[error("it cannot be read: {0}")]
    Malformed(#[from] toml::de::Error),
    /// Everything that is wrong with it.
    #[error("{}", .0.join("; "))]
    Flawed(Vec<String>),
}

/// Who coordinates the members (cơ quan điều phối).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// This service.
    Local,
    /// The national system; we mirror what it says.
    National,
}

/// Who coordinates from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerPeriod {
    /// Who.
    pub owner: Owner,
    /// From this day.
    pub effective_from: Date,
    /// How it is established.
    pub fact: Fact,
}

/// Căn cứ pháp lý.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basis {
    /// Số, ký hiệu.
    pub number: String,
    /// Trích yếu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How it is established.
    pub fact: Fact,
}

/// How a member ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Không được tiếp nhận (3).
    Rejected,
    /// Dừng xử lý (8).
    Stopped,
    /// Rút hồ sơ (7), or never filed.
    Withdrawn,
}

impl Ended {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rejected, Self::Stopped, Self::Withdrawn];

    /// How a case in this state ended without a result; none if it did not.
    pub const fn of(state: State) -> Option<Self> {
        match state {
            State::Rejected => Some(Self::Rejected),
            State::Stopped => Some(Self::Stopped),
            State::Withdrawn => Some(Self::Withdrawn),
            _ => None,
        }
    }

    /// The name in packs and histories.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Stopped => "stopped",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What happens to a member when another one ends without a result (bù trừ).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It is taken back, or never filed.
    Withdraw,
    /// It goes its way.
    Continue,
    /// An officer of its unit decides.
    Ask,
}

/// What a member takes over as a component of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Takes {
    /// Code of the component in this member's procedure.
    pub component: String,
    /// The member that gives it.
    pub from: String,
    /// Code of the result there.
    pub result: String,
    /// How it is established that this result is accepted for this component.
    pub fact: Fact,
}

/// What happens when another member ends without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnEnd {
    /// The other member.
    pub of: String,
    /// It was not taken in.
    pub rejected: Then,
    /// It was stopped.
    pub stopped: Then,
    /// It was withdrawn.
    pub withdrawn: Then,
}

impl OnEnd {
    /// What follows from this end.
    pub const fn then(&self, ended: Ended) -> Then {
        match ended {
            Ended::Rejected => self.rejected,
            Ended::Stopped => self.stopped,
            Ended::Withdrawn => self.withdrawn,
        }
    }
}

/// A procedure of the linked service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRule {
    /// Its code within the service.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its name in English.
    pub name_en: String,
    /// Mã thủ tục; absent while it is not known which procedure it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub procedure: Option<String>,
    /// The competent unit is that of this member; absent: the applicant names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_unit_as: Option<String>,
    /// It begins when these have their results; none: at once.
    #[serde(default)]
    pub after: Vec<String>,
    /// What it takes over from others.
    #[serde(default)]
    pub takes: Vec<Takes>,
    /// What happens to it when others end.
    #[serde(default)]
    pub on_end: Vec<OnEnd>,
    /// True if somebody decided that it is not coordinated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
    /// How the member and its procedure are established.
    pub fact: Fact,
    /// How order, unit and compensation are established.
    pub flow_fact: Fact,
}

/// A component that is asked once and filed with several members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// Its code within the service.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Which component of which member it is.
    #[serde(rename = "as")]
    pub stands_for: Vec<StandsFor>,
    /// How it is established.
    pub fact: Fact,
}

/// A component of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandsFor {
    /// The member.
    pub member: String,
    /// Code of the component in its procedure.
    pub component: String,
}

/// What is wrong with a member as somebody names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrongMember {
    /// It is coordinated, and nobody names it.
    Missing(String),
    /// It is named more than once.
    Repeated(String),
    /// The service has no such member.
    Unknown(String),
    /// Its unit is that of another member, and another one is named.
    OtherUnit(String),
}

impl WrongMember {
    /// Which.
    pub fn code(&self) -> &str {
        match self {
            Self::Missing(code) | Self::Repeated(code) | Self::Unknown(code) | Self::OtherUnit(code) => code,
        }
    }
}

/// Dịch vụ công liên thông.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkedService {
    /// Mã on the national portal.
    pub code: String,
    /// From 1.
    pub version: i32,
    /// Its title.
    pub name: String,
    /// Its title in English.
    pub name_en: String,
    /// In force from this day.
    pub effective_from: Date,
    /// In force until this day (exclusive).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_to: Option<Date>,
    /// On which channels it is filed.
    pub channels: Vec<Channel>,
    /// How code and title are established.
    pub fact: Fact,
    /// How the first day is established.
    pub effective_fact: Fact,
    /// How the channels are established.
    pub channels_fact: Fact,
    /// Căn cứ pháp lý.
    pub legal_basis: Vec<Basis>,
    /// Who coordinates since when, in the order of time.
    pub owners: Vec<OwnerPeriod>,
    /// Its procedures.
    pub members: Vec<MemberRule>,
    /// What is asked once.
    #[serde(default)]
    pub shared: Vec<Shared>,
}

impl LinkedService {
    /// Reads a pack; every flaw that can be told without the procedures is named at once.
    ///
    /// # Errors
    /// Text of another shape, or flaws.
    pub fn from_toml(text: &str) -> Result<Self, LinkedPackError> {
        let service: Self = toml::from_str(text)?;
        let flaws: Vec<String> = super::lint::lint(&service, |_| None)
            .iter()
            .filter(|finding| finding.is_error())
            .map(ToString::to_string)
            .collect();
        if flaws.is_empty() {
            Ok(service)
        } else {
            Err(LinkedPackError::Flawed(flaws))
        }
    }

    /// True if it is in force on this day.
    pub fn in_force_on(&self, day: Date) -> bool {
        self.effective_from <= day && self.effective_to.is_none_or(|end| day < end)
    }

    /// Who coordinates on a day; nobody before the first period.
    pub fn owner_on(&self, day: Date) -> Option<&OwnerPeriod> {
        self.owners.iter().rfind(|period| period.effective_from <= day)
    }

    /// The members that are coordinated.
    pub fn coordinated(&self) -> impl Iterator<Item = &MemberRule> {
        self.members.iter().filter(|member| !member.left_out)
    }

    /// A member that is coordinated.
    pub fn member(&self, code: &str) -> Option<&MemberRule> {
        self.coordinated().find(|member| member.code == code)
    }

    /// What is wrong with members as they are named: each that is coordinated is named once, and no other. With `left_out`, one that is not
    /// coordinated here may be named as well, once: the national system knows nothing of what was left out here.
    pub fn wrong_members(&self, named: &[&str], left_out: bool) -> Vec<WrongMember> {
        let mut wrong = Vec::new();
        let mut seen = BTreeSet::new();
        for code in named.iter().copied() {
            let known = self
                .members
                .iter()
                .any(|rule| rule.code == code && (left_out || !rule.left_out));
            let found = match (known, seen.insert(code)) {
                (true, true) => continue,
                (true, false) => WrongMember::Repeated(code.to_owned()),
                (false, _) => WrongMember::Unknown(code.to_owned()),
            };
            if !wrong.contains(&found) {
                wrong.push(found);
            }
        }
        let missing = self.coordinated().filter(|rule| !seen.contains(rule.code.as_str()));
        wrong.extend(missing.map(|rule| WrongMember::Missing(rule.code.clone())));
        wrong
    }

    /// What stands for shared components in a member: code of the shared one, code of the component.
    pub fn shared_of<'a>(&'a self, member: &'a str) -> impl Iterator<Item = (&'a Shared, &'a str)> {
        self.shared.iter().flat_map(move |shared| {
            let of_member = shared.stands_for.iter().filter(move |stands| stands.member == member);
            of_member.map(move |stands| (shared, stands.component.as_str()))
        })
    }

    /// Every fact with its path.
    fn facts(&self) -> Vec<(String, &Fact)> {
        let mut facts = vec![
            ("header".to_owned(), &self.fact),
            ("effective_from".to_owned(), &self.effective_fact),
            ("channels".to_owned(), &self.channels_fact),
        ];
        facts.extend(
            self.legal_basis
                .iter()
                .map(|basis| (format!("legal_basis.{}", basis.number), &basis.fact)),
        );
        facts.extend(
            self.owners
                .iter()
                .map(|period| (format!("owners.{}", period.effective_from), &period.fact)),
        );
        for member in self.coordinated() {
            facts.push((format!("members.{}", member.code), &member.fact));
            facts.push((format!("members.{}.flow", member.code), &member.flow_fact));
            let takes = member.takes.iter();
            facts.extend(takes.map(|takes| {
                (
                    format!("members.{}.takes.{}", member.code, takes.component),
                    &takes.fact,
                )
            }));
        }
        facts.extend(
            self.shared
                .iter()
                .map(|shared| (format!("shared.{}", shared.code), &shared.fact)),
        );
        facts
    }

    /// What is open, whoever asks.
    pub fn open_facts(&self, profile: Profile) -> Vec<OpenFact> {
        let mut open: Vec<OpenFact> = self
            .facts()
            .into_iter()
            .filter(|(_, fact)| !fact.is_settled(profile))
            .map(|(path, fact)| OpenFact {
                path,
                status: fact.status,
            })
            .collect();
        open.extend(self.without_procedure());
        open
    }

    /// Members of which nobody has said which procedure they are.
    fn without_procedure(&self) -> impl Iterator<Item = OpenFact> {
        self.coordinated()
            .filter(|member| member.procedure.is_none())
            .map(|member| OpenFact {
                path: format!("members.{}.procedure", member.code),
                status: FactStatus::Unconfirmed,
            })
    }

    /// What keeps the service from being filed. In any profile every coordinated member has its procedure; production relies on settled
    /// facts only, and on no decision that was made for a demonstration.
    ///
    /// # Errors
    /// The open facts.
    pub fn fileable(&self, profile: Profile) -> Result<(), Vec<OpenFact>> {
        let mut open: Vec<OpenFact> = match profile {
            Profile::Production => self.open_facts(profile),
            Profile::Demo => self.without_procedure().collect(),
        };
        // A member that was left out for a demonstration is none that production may leave out.
        if profile == Profile::Production {
            let left = self
                .members
                .iter()
                .filter(|member| member.left_out && !member.fact.is_settled(profile));
            open.extend(left.map(|member| OpenFact {
                path: format!("members.{}.left_out", member.code),
                status: member.fact.status,
            }));
        }
        if open.is_empty() { Ok(()) } else { Err(open) }
    }
}

/// A file of decisions: who decides what, when and on which basis (`deploy/packs/linked/decisions`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decisions {
    /// Who decides.
    pub by: String,
    /// When.
    pub when: Date,
    /// On which basis.
    pub basis: String,
    /// Made for a demonstration: production takes none of it.
    #[serde(default)]
    pub demonstration: bool,
    /// What.
    #[serde(rename = "decision")]
    pub decisions: Vec<Decision>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Code of the service.
    pub service: String,
    /// Its version.
    pub version: i32,
    /// Path of the fact that is taken as it stands; or of the member that the rest is about.
    pub path: String,
    /// Which procedure the member is.
    #[serde(default)]
    pub procedure: Option<String>,
    /// The member is not coordinated.
    #[serde(default)]
    pub left_out: bool,
    /// What the member takes over, besides what its pack says.
    #[serde(default)]
    pub takes: Vec<TakesDecision>,
}

/// A result of an earlier member that is decided to be accepted as a component.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakesDecision {
    /// Code of the component in this member's procedure.
    pub component: String,
    /// The member that gives it.
    pub from: String,
    /// Code of the result there.
    pub result: String,
}

impl Decision {
    /// Whether it is about this version of a service.
    fn is_about(&self, service: &LinkedService) -> bool {
        self.service == service.code && self.version == service.version
    }
}

impl Decisions {
    /// Reads a file.
    ///
    /// # Errors
    /// Text of another shape.
    pub fn from_toml(text: &str) -> Result<Self, LinkedPackError> {
        let decisions: Self = toml::from_str(text)?;
        let blank = [&decisions.by, &decisions.basis]
            .into_iter()
            .any(|text| text.trim().is_empty());
        if blank {
            return Err(LinkedPackError::Flawed(vec![
                "who decides and on which basis must be said".to_owned(),
            ]));
        }
        Ok(decisions)
    }

    /// Whether there is, among these services, each version about which something is decided, and what is decided fits it.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn fit(&self, services: &[LinkedService]) -> Result<(), LinkedPackError> {
        let mut flaws = Vec::new();
        for decision in &self.decisions {
            let flaw = format!(
                "{} version {}: there is no such linked service",
                decision.service, decision.version
            );
            let known = services.iter().any(|service| decision.is_about(service));
            if !known && !flaws.contains(&flaw) {
                flaws.push(flaw);
            }
        }
        for service in services {
            match self.apply(&mut service.clone()) {
                Ok(()) => {}
                Err(LinkedPackError::Flawed(found)) => flaws.extend(found),
                Err(error) => flaws.push(error.to_string()),
            }
        }
        if flaws.is_empty() {
            Ok(())
        } else {
            Err(LinkedPackError::Flawed(flaws))
        }
    }

    /// Applies what is said of this version of a service.
    ///
    /// # Errors
    /// Paths that the pack does not have, and facts that are confirmed: those change by a new version.
    pub fn apply(&self, service: &mut LinkedService) -> Result<(), LinkedPackError> {
        let mut flaws = Vec::new();
        for decision in &self.decisions {
            if !decision.is_about(service) {
                continue;
            }
            if let Err(flaw) = self.apply_one(decision, service) {
                flaws.push(format!("{} {}: {flaw}", service.code, decision.path));
            }
        }
        if flaws.is_empty() {
            Ok(())
        } else {
            Err(LinkedPackError::Flawed(flaws))
        }
    }

    fn apply_one(&self, decision: &Decision, service: &mut LinkedService) -> Result<(), &'static str> {
        let of_member = decision.procedure.is_some() || decision.left_out || !decision.takes.is_empty();
        if of_member && !decision.path.starts_with("members.") {
            return Err(
                "only of a member it is said which procedure it is, what it takes over, or that it is left out",
            );
        }
        if decision.left_out && (decision.procedure.is_some() || !decision.takes.is_empty()) {
            return Err("a member that is left out needs no procedure and takes nothing over");
        }
        let code = decision.path.trim_start_matches("members.");
        let place = service.members.iter().position(|member| member.code == code);
        if of_member && place.is_none() {
            return Err("there is no such member");
        }
        let taken = place
            .and_then(|place| service.members.get(place))
            .is_some_and(|member| {
                let has = |component: &str| member.takes.iter().any(|takes| takes.component == component);
                decision.takes.iter().any(|takes| has(&takes.component))
            });
        if taken {
            return Err("it takes that component over already");
        }
        let fact = fact_at(service, &decision.path).ok_or("there is no such fact")?;
        if fact.status == FactStatus::Confirmed {
            return Err("it is confirmed: confirmed law changes by a new version");
        }
        fact.status = FactStatus::Decided;
        fact.by = Some(self.by.clone());
        fact.when = Some(self.when);
        fact.basis = Some(self.basis.clone());
        fact.demonstration = self.demonstration;
        let settled = fact.clone();
        if let Some(member) = place.and_then(|place| service.members.get_mut(place)) {
            if let Some(procedure) = &decision.procedure {
                member.procedure = Some(procedure.clone());
            }
            member.left_out |= decision.left_out;
            member.takes.extend(decision.takes.iter().map(|takes| Takes {
                component: takes.component.clone(),
                from: takes.from.clone(),
                result: takes.result.clone(),
                fact: settled.clone(),
            }));
        }
        Ok(())
    }
}

/// The fact at a path of a service.
fn fact_at<'a>(service: &'a mut LinkedService, path: &str) -> Option<&'a mut Fact> {
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    match head {
        "header" => Some(&mut service.fact),
        "effective_from" => Some(&mut service.effective_fact),
        "channels" => Some(&mut service.channels_fact),
        "legal_basis" => {
            let mut bases = service.legal_basis.iter_mut();
            bases.find(|basis| basis.number == rest).map(|basis| &mut basis.fact)
        }
        "owners" => {
            let mut periods = service.owners.iter_mut();
            periods
                .find(|period| period.effective_from.to_string() == rest)
                .map(|period| &mut period.fact)
        }
        "shared" => {
            let mut shared = service.shared.iter_mut();
            shared.find(|shared| shared.code == rest).map(|shared| &mut shared.fact)
        }
        "members" => {
            let (code, of) = rest.split_once('.').unwrap_or((rest, ""));
            let member = service.members.iter_mut().find(|member| member.code == code)?;
            match of.split_once('.') {
                None if of.is_empty() => Some(&mut member.fact),
                None if of == "flow" => Some(&mut member.flow_fact),
                Some(("takes", component)) => {
                    let mut takes = member.takes.iter_mut();
                    takes
                        .find(|takes| takes.component == component)
                        .map(|takes| &mut takes.fact)
                }
                _ => None,
            }
        }
        _ => None,
    }
}
