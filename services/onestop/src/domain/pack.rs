//! Gói thủ tục hành chính: a procedure as dated data.
//!
//! A pack is one TOML file (`deploy/packs/procedures/<code>.toml`), read strictly: an unknown key, a condition that
//! nobody defines, a settled time without a unit are errors at import and not at a counter. Each thing that the law
//! says – a time, a fee, a component, a result, a legal basis, the day from which the version is in force – carries
//! a [`Fact`]: **confirmed** by a source, **unconfirmed**, or **decided** by somebody on some day on some basis.
//!
//! What is unconfirmed becomes usable only by a visible decision ([`Decisions`], [`apply_decisions`]). Whether a
//! procedure may be offered at all depends on the [`Profile`]: production wants every fact settled, and takes no
//! decision that was made for a demonstration.
//!
//! ```
//! # use egov_onestop::domain::pack::{Channel, Decisions, Procedure, Profile, apply_decisions};
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/packs/procedures");
//! # let pack = std::fs::read_to_string(format!("{folder}/1.001193.toml"))?;
//! # let demo = std::fs::read_to_string(format!("{folder}/decisions/demo.toml"))?;
//! let mut birth = Procedure::from_toml(&pack)?;
//! assert!(birth.publishable(Profile::Demo).is_err()); // how long it takes is not known for sure
//!
//! apply_decisions(&mut birth, &Decisions::from_toml(&demo)?)?;
//! assert!(birth.publishable(Profile::Demo).is_ok());
//! assert!(birth.publishable(Profile::Production).is_err());
//!
//! let conditions = birth.conditions_for(Channel::Online, &[]);
//! let missing = birth.missing_components(&conditions, &[("mau_dien_tu", false)]);
//! assert_eq!(missing[0].any_of, ["giay_chung_sinh", "van_ban_lam_chung", "giay_cam_doan"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use egov_calendar::Period;
use egov_codes::ProcedureCode;
use jiff::civil;
use serde::{Deserialize, Serialize};

use super::transitions::State;

/// How far something is established.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactStatus {
    /// A source has been seen; [`Fact::source`] names it.
    Confirmed,
    /// Commonly held or incomplete; it binds nobody until somebody decides.
    Unconfirmed,
    /// The operator has decided; [`Fact::by`], [`Fact::when`] and [`Fact::basis`] say who, when and why.
    Decided,
}

/// How one thing that a pack says is established.
///
/// `by`, `when` and `basis` are there exactly when the status is [`FactStatus::Decided`]; other combinations do not
/// deserialise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FactText")]
pub struct Fact {
    /// How far it is established.
    pub status: FactStatus,
    /// Where it was read, or what is known and what is not; kept when somebody decides.
    pub source: String,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The day of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<civil::Date>,
    /// Căn cứ of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// True if it was decided for a demonstration only: production treats it as open.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub demonstration: bool,
}

/// A fact as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactText {
    status: FactStatus,
    source: String,
    by: Option<String>,
    when: Option<civil::Date>,
    basis: Option<String>,
    #[serde(default)]
    demonstration: bool,
}

impl TryFrom<FactText> for Fact {
    type Error = &'static str;

    fn try_from(text: FactText) -> Result<Self, Self::Error> {
        let blank = |part: &Option<String>| part.as_deref().is_none_or(|words| words.trim().is_empty());
        if text.source.trim().is_empty() {
            return Err("a fact names its source");
        }
        if text.status == FactStatus::Decided {
            if blank(&text.by) || text.when.is_none() || blank(&text.basis) {
                return Err("a decided fact says by whom, when and on which basis");
            }
        } else if text.by.is_some() || text.when.is_some() || text.basis.is_some() || text.demonstration {
            return Err("by, when, basis and demonstration belong to decided facts only");
        }
        let FactText {
            status,
            source,
            by,
            when,
            basis,
            demonstration,
        } = text;
        Ok(Self {
            status,
            source,
            by,
            when,
            basis,
            demonstration,
        })
    }
}

impl Fact {
    /// True if the profile may rely on it.
    pub fn is_settled(&self, profile: Profile) -> bool {
        match self.status {
            FactStatus::Confirmed => true,
            FactStatus::Unconfirmed => false,
            FactStatus::Decided => profile == Profile::Demo || !self.demonstration,
        }
    }
}

/// What an installation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// A demonstration: the times must be settled, be it by a decision made for the demonstration.
    Demo,
    /// Real cases: every fact must be confirmed or decided, and not for a demonstration.
    Production,
}

/// A fact that is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFact {
    /// Where in the pack, e.g. `channels.online.time` or `components.giay_chung_sinh`.
    pub path: String,
    /// Its status; [`FactStatus::Decided`] if it was decided for a demonstration and production asks.
    pub status: FactStatus,
}

impl fmt::Display for OpenFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            FactStatus::Confirmed => "confirmed",
            FactStatus::Unconfirmed => "unconfirmed",
            FactStatus::Decided => "decided for a demonstration only",
        };
        write!(f, "{}: {status}", self.path)
    }
}

/// Kênh nộp hồ sơ (cách thức thực hiện).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Trực tiếp, at the counter.
    Counter,
    /// Trực tuyến, through the national portal.
    Online,
    /// Dịch vụ bưu chính.
    Post,
}

impl Channel {
    /// All channels, by number.
    pub const ALL: [Self; 3] = [Self::Counter, Self::Online, Self::Post];

    /// The number of the national portal (KENH): 1 trực tiếp, 2 trực tuyến, 3 bưu chính.
    pub const fn number(self) -> i16 {
        match self {
            Self::Counter => 1,
            Self::Online => 2,
            Self::Post => 3,
        }
    }

    /// The channel of a national number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.number() == number)
    }

    /// The name in packs and paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Online => "online",
            Self::Post => "post",
        }
    }
}

/// Cấp thực hiện.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Cấp xã.
    Commune,
    /// Cấp tỉnh.
    Province,
    /// Cấp bộ.
    Ministry,
    /// Cơ quan khác.
    Other,
}

impl Level {
    /// The name in packs and contracts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commune => "commune",
            Self::Province => "province",
            Self::Ministry => "ministry",
            Self::Other => "other",
        }
    }
}

/// Đối tượng thực hiện, as the national portal names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicantKind {
    /// Công dân Việt Nam.
    Citizen,
    /// Người Việt Nam định cư ở nước ngoài.
    OverseasVietnamese,
    /// Người nước ngoài.
    Foreigner,
    /// Cán bộ, công chức, viên chức.
    PublicServant,
    /// Đảng viên.
    PartyMember,
    /// Doanh nghiệp.
    Enterprise,
    /// Doanh nghiệp có vốn đầu tư nước ngoài.
    ForeignInvestedEnterprise,
    /// Hợp tác xã.
    Cooperative,
    /// Tổ chức (không bao gồm doanh nghiệp, hợp tác xã).
    Organisation,
    /// Tổ chức nước ngoài.
    ForeignOrganisation,
    /// Tổ chức Đảng.
    PartyOrganisation,
}

impl ApplicantKind {
    /// True for people, false for enterprises and organisations.
    pub const fn is_person(self) -> bool {
        match self {
            Self::Citizen | Self::OverseasVietnamese | Self::Foreigner | Self::PublicServant | Self::PartyMember => {
                true
            }
            Self::Enterprise
            | Self::ForeignInvestedEnterprise
            | Self::Cooperative
            | Self::Organisation
            | Self::ForeignOrganisation
            | Self::PartyOrganisation => false,
        }
    }
}

/// Lĩnh vực.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sector {
    /// Our own code, e.g. `ho_tich`.
    pub code: String,
    /// The official name.
    pub name: String,
}

/// Căn cứ pháp lý.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalBasis {
    /// Số, ký hiệu, e.g. `123/2015/NĐ-CP`.
    pub number: String,
    /// Trích yếu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How it is established that the procedure rests on it.
    pub fact: Fact,
}

/// Đơn vị tính of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Ngày làm việc.
    WorkingDay,
    /// Ngày.
    Day,
    /// Giờ làm việc.
    WorkingHour,
    /// Giờ, on the wall clock.
    Hour,
    /// Trong ngày; it has no value.
    SameDay,
}

/// Thời hạn giải quyết. Value and unit may be lacking while the fact is open; [`Time::period`] is the way to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// How many units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u32>,
    /// The unit, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<TimeUnit>,
    /// A same-day case received after this time of day is due on the next working day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<civil::Time>,
    /// How it is established.
    pub fact: Fact,
}

impl Time {
    /// The period to count, if value and unit are both known. It says nothing of the fact.
    pub fn period(&self) -> Option<Period> {
        match (self.unit?, self.value) {
            (TimeUnit::SameDay, None) => Some(Period::SameDay),
            (TimeUnit::SameDay, Some(_)) | (_, None) => None,
            (TimeUnit::WorkingDay, Some(value)) => Some(Period::WorkingDays(value)),
            (TimeUnit::Day, Some(value)) => Some(Period::Days(value)),
            (TimeUnit::WorkingHour, Some(value)) => Some(Period::WorkingHours(value)),
            (TimeUnit::Hour, Some(value)) => Some(Period::ElapsedHours(value)),
        }
    }
}

/// A time that replaces the channel's ordinary one if a condition holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialTime {
    /// Code of the condition.
    pub when: String,
    /// The time.
    pub time: Time,
}

/// Phí or lệ phí.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeeKind {
    /// Phí: the price of a service.
    Phi,
    /// Lệ phí: a state fee.
    LePhi,
}

impl FeeKind {
    /// The name in packs and contracts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phi => "phi",
            Self::LePhi => "le_phi",
        }
    }
}

/// A fee of a channel. Kind and amount may be lacking while the fact is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fee {
    /// Our own code, unique in the channel.
    pub code: String,
    /// Tên phí, lệ phí.
    pub name: String,
    /// Phí or lệ phí, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FeeKind>,
    /// The amount in đồng, if it is known; 0 means free of charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_vnd: Option<i64>,
    /// For what the amount is due, e.g. `bản`; once for the case if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
    /// Due only if this condition holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Đối tượng miễn, giảm, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemptions: Vec<String>,
    /// How it is established.
    pub fact: Fact,
}

/// What a channel offers: its times and fees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelOffer {
    /// Kênh.
    pub channel: Channel,
    /// Thời hạn giải quyết.
    pub time: Time,
    /// Times of special cases; the first whose condition holds replaces the ordinary one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub special_times: Vec<SpecialTime>,
    /// Phí, lệ phí.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fees: Vec<Fee>,
}

/// Trường hợp: something that may hold of a case and on which components, times and fees depend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Our own code.
    pub code: String,
    /// In words.
    pub text: String,
    /// It holds of every case of this channel and of no other; nobody states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// Of all conditions with the same choice exactly one holds; the submitter says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
}

/// Thành phần hồ sơ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Our own stable code.
    pub code: String,
    /// Tên giấy tờ.
    pub name: String,
    /// Mẫu đơn, tờ khai.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// Số bản chính.
    pub originals: u32,
    /// Số bản sao.
    pub copies: u32,
    /// Always required, unless [`Component::unless`] holds.
    #[serde(default)]
    pub required: bool,
    /// Required if this condition holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Not required if this condition holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
    /// One of the components with the same group is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternative_group: Option<String>,
    /// Xuất trình: it is shown and given back, not filed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub presented: bool,
    /// A database may replace it (NQ 66.7/2025/NQ-CP).
    #[serde(default)]
    pub data_allowed: bool,
    /// How it is established.
    pub fact: Fact,
}

impl Component {
    /// True if a case of which these conditions hold must have it (or another of its group).
    pub fn is_required(&self, conditions: &[String]) -> bool {
        let holds = |code: &Option<String>| code.as_ref().is_some_and(|code| conditions.contains(code));
        (self.required || holds(&self.when)) && !holds(&self.unless)
    }
}

/// Bước xử lý: a finer step of the procedure, mapped to a national state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Our own code.
    pub code: String,
    /// Tên bước.
    pub name: String,
    /// The role that does it, as the policies name it.
    pub role: String,
    /// The national state in which a case stands when the step is done.
    pub state: State,
}

/// Kết quả giải quyết that the procedure may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultKind {
    /// Mã kết quả, e.g. `KQ.G15.000031`.
    pub code: String,
    /// Tên kết quả.
    pub name: String,
    /// How it is established.
    pub fact: Fact,
}

/// Thủ tục hành chính: one version of a procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Procedure {
    /// Mã thủ tục.
    pub code: ProcedureCode,
    /// The official title.
    pub name: String,
    /// From 1; a version that was ever in force is never changed.
    pub version: i32,
    /// Lĩnh vực.
    pub sector: Sector,
    /// Quyết định công bố.
    pub decision: String,
    /// Cấp thực hiện.
    pub levels: Vec<Level>,
    /// Cơ quan thực hiện, in words, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agency: Option<String>,
    /// Đối tượng thực hiện.
    pub applicants: Vec<ApplicantKind>,
    /// In force from this day.
    pub effective_from: civil::Date,
    /// In force until this day (exclusive).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_to: Option<civil::Date>,
    /// Name of the transitions that cases of this version follow.
    pub transitions: String,
    /// How title, sector, decision, levels, agency and applicants are established.
    pub fact: Fact,
    /// How the first day in force is established.
    pub effective_fact: Fact,
    /// Căn cứ pháp lý.
    pub legal_basis: Vec<LegalBasis>,
    /// Trường hợp.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Cách thức thực hiện.
    pub channels: Vec<ChannelOffer>,
    /// Thành phần hồ sơ.
    pub components: Vec<Component>,
    /// Trình tự thực hiện.
    pub steps: Vec<Step>,
    /// Kết quả.
    pub results: Vec<ResultKind>,
}

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

/// One flaw of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where in the pack.
    pub path: String,
    /// What is wrong there.
    pub text: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// What is wrong with a pack or with decisions about it.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The text is not TOML of this shape.
    #[error("the pack cannot be read: {0}")]
    Malformed(#[from] toml::de::Error),
    /// The pack contradicts itself.
    #[error("procedure {procedure} is flawed: {}", join(flaws))]
    Flawed {
        /// The procedure.
        procedure: ProcedureCode,
        /// Everything that is wrong.
        flaws: Vec<Flaw>,
    },
    /// Decisions name nobody who decided, or give no basis.
    #[error("decisions say who decided and on which basis")]
    Unexplained,
    /// A decision addresses something that the procedure does not have.
    #[error("a decision on procedure {procedure} addresses {path}, which it does not have")]
    NoSuchFact {
        /// The procedure.
        procedure: ProcedureCode,
        /// What was addressed.
        path: String,
    },
    /// A decision addresses something that is confirmed, or decided already. Confirmed law changes by a new version
    /// of the procedure.
    #[error("a decision on procedure {procedure} addresses {path}, which is confirmed or decided already")]
    AlreadySettled {
        /// The procedure.
        procedure: ProcedureCode,
        /// What was addressed.
        path: String,
    },
}

fn join(flaws: &[Flaw]) -> String {
    flaws.iter().map(Flaw::to_string).collect::<Vec<_>>().join("; ")
}

impl Procedure {
    /// Reads a pack and checks it whole.
    pub fn from_toml(text: &str) -> Result<Self, PackError> {
        let procedure: Self = toml::from_str(text)?;
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
            if tries().any(|(component, by_data)| component.data_allowed || !by_data) {
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

    /// Whether the profile may offer the procedure. Production: every fact confirmed or really decided.
    /// Demonstration: the times of all offered channels settled.
    pub fn publishable(&self, profile: Profile) -> Result<(), Vec<OpenFact>> {
        let mut open = self.unsettled(profile);
        if profile == Profile::Demo {
            let times: BTreeSet<String> = self.times().map(|(path, _)| path).collect();
            open.retain(|fact| times.contains(&fact.path));
        }
        if open.is_empty() { Ok(()) } else { Err(open) }
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
    fn group(&self, group: &str) -> Vec<&Component> {
        self.components
            .iter()
            .filter(|component| component.alternative_group.as_deref() == Some(group))
            .collect()
    }

    /// The choices with the codes of their conditions.
    fn choices(&self) -> BTreeMap<&str, Vec<String>> {
        let mut choices: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for condition in &self.conditions {
            if let Some(choice) = &condition.choice {
                choices.entry(choice).or_default().push(condition.code.clone());
            }
        }
        choices
    }

    /// Every time with its path.
    fn times(&self) -> impl Iterator<Item = (String, &Time)> {
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

    /// Every fact with its path, in the order of the pack.
    fn facts(&self) -> Vec<(String, &Fact)> {
        let mut facts = vec![
            ("header".to_owned(), &self.fact),
            (EFFECTIVE_FROM.to_owned(), &self.effective_fact),
        ];
        facts.extend(
            self.legal_basis
                .iter()
                .map(|basis| (format!("legal_basis.{}", basis.number), &basis.fact)),
        );
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
            self.components
                .iter()
                .map(|component| (component_path(&component.code), &component.fact)),
        );
        facts.extend(
            self.results
                .iter()
                .map(|result| (result_path(&result.code), &result.fact)),
        );
        facts
    }

    /// Everything that the rest of the service relies on.
    fn check(&self) -> Result<(), PackError> {
        let mut flaws = Flaws::default();
        self.check_header(&mut flaws);
        self.check_conditions(&mut flaws);
        self.check_channels(&mut flaws);
        self.check_components(&mut flaws);
        self.check_steps_and_results(&mut flaws);
        if flaws.found.is_empty() {
            Ok(())
        } else {
            Err(PackError::Flawed {
                procedure: self.code.clone(),
                flaws: flaws.found,
            })
        }
    }

    fn check_header(&self, flaws: &mut Flaws) {
        flaws.unless(self.version >= 1, "version", "versions count from 1");
        flaws.text("name", &self.name);
        flaws.slug("sector.code", &self.sector.code);
        flaws.text("sector.name", &self.sector.name);
        flaws.text("decision", &self.decision);
        flaws.text("transitions", &self.transitions);
        flaws.unless(!self.levels.is_empty(), "levels", "at least one");
        flaws.unless(!self.applicants.is_empty(), "applicants", "at least one");
        flaws.each_once("levels", self.levels.iter());
        flaws.each_once("applicants", self.applicants.iter());
        let ends_later = self.effective_to.is_none_or(|end| end > self.effective_from);
        flaws.unless(ends_later, "effective_to", "not after effective_from");
        flaws.unless(!self.legal_basis.is_empty(), "legal_basis", "at least one");
        flaws.each_once("legal_basis", self.legal_basis.iter().map(|basis| &basis.number));
        for basis in &self.legal_basis {
            flaws.text("legal_basis", &basis.number);
        }
    }

    fn check_conditions(&self, flaws: &mut Flaws) {
        flaws.each_once("conditions", self.conditions.iter().map(|condition| &condition.code));
        for condition in &self.conditions {
            let path = format!("conditions.{}", condition.code);
            flaws.slug(&path, &condition.code);
            flaws.text(&path, &condition.text);
            let one_way = condition.channel.is_none() || condition.choice.is_none();
            flaws.unless(one_way, &path, "follows from the channel or is a choice, not both");
        }
        for (choice, one_of) in self.choices() {
            flaws.slug("conditions", choice);
            flaws.unless(
                one_of.len() > 1,
                &format!("conditions.{choice}"),
                "a choice has at least two conditions",
            );
        }
    }

    fn check_channels(&self, flaws: &mut Flaws) {
        flaws.unless(!self.channels.is_empty(), "channels", "at least one");
        flaws.each_once("channels", self.channels.iter().map(|offer| offer.channel));
        for (path, time) in self.times() {
            let settled = time.fact.is_settled(Profile::Demo);
            flaws.unless(
                time.period().is_some() || !settled,
                &path,
                "a settled time has a value and a unit",
            );
            flaws.unless(time.value != Some(0), &path, "a time of nothing");
            let no_value = time.unit != Some(TimeUnit::SameDay) || time.value.is_none();
            flaws.unless(no_value, &path, "the same day has no value");
            let same_day = matches!(time.unit, None | Some(TimeUnit::SameDay)) || time.cut_off.is_none();
            flaws.unless(same_day, &path, "a cut-off belongs to the same day only");
        }
        for offer in &self.channels {
            let path = format!("channels.{}", offer.channel.as_str());
            flaws.each_once(&path, offer.special_times.iter().map(|special| &special.when));
            flaws.each_once(&path, offer.fees.iter().map(|fee| &fee.code));
            for special in &offer.special_times {
                self.check_condition(&path, Some(&special.when), flaws);
            }
            for fee in &offer.fees {
                let path = fee_path(offer.channel, &fee.code);
                flaws.slug(&path, &fee.code);
                flaws.text(&path, &fee.name);
                self.check_condition(&path, fee.when.as_ref(), flaws);
                let complete = fee.kind.is_some() && fee.amount_vnd.is_some();
                let settled = fee.fact.is_settled(Profile::Demo);
                flaws.unless(complete || !settled, &path, "a settled fee has a kind and an amount");
                flaws.unless(
                    fee.amount_vnd.is_none_or(|amount| amount >= 0),
                    &path,
                    "a negative amount",
                );
            }
        }
    }

    fn check_components(&self, flaws: &mut Flaws) {
        flaws.unless(!self.components.is_empty(), "components", "at least one");
        flaws.each_once("components", self.components.iter().map(|component| &component.code));
        for component in &self.components {
            let path = component_path(&component.code);
            flaws.slug(&path, &component.code);
            flaws.text(&path, &component.name);
            flaws.unless(
                component.originals + component.copies > 0,
                &path,
                "neither an original nor a copy",
            );
            flaws.unless(
                !component.required || component.when.is_none(),
                &path,
                "required always, or when: not both",
            );
            self.check_condition(&path, component.when.as_ref(), flaws);
            self.check_condition(&path, component.unless.as_ref(), flaws);
            if let Some(group) = &component.alternative_group {
                flaws.slug(&path, group);
                let members = self.group(group);
                flaws.unless(members.len() > 1, &path, "no alternative in its group");
                let alike = members.iter().all(|other| {
                    (other.required, &other.when, &other.unless)
                        == (component.required, &component.when, &component.unless)
                });
                flaws.unless(alike, &path, "the members of a group are required in the same cases");
            }
        }
    }

    fn check_steps_and_results(&self, flaws: &mut Flaws) {
        flaws.unless(!self.steps.is_empty(), "steps", "at least one");
        flaws.each_once("steps", self.steps.iter().map(|step| &step.code));
        for step in &self.steps {
            let path = format!("steps.{}", step.code);
            flaws.slug(&path, &step.code);
            flaws.text(&path, &step.name);
            flaws.slug(&path, &step.role);
        }
        flaws.unless(!self.results.is_empty(), "results", "at least one");
        flaws.each_once("results", self.results.iter().map(|result| &result.code));
        for result in &self.results {
            let path = result_path(&result.code);
            flaws.unless(
                is_result_code(&result.code),
                &path,
                "a result code looks like KQ.G15.000031",
            );
            flaws.text(&path, &result.name);
        }
    }

    fn check_condition(&self, path: &str, code: Option<&String>, flaws: &mut Flaws) {
        let known = code.is_none_or(|code| self.conditions.iter().any(|condition| condition.code == *code));
        flaws.unless(known, path, "names a condition that the pack does not define");
    }
}

const EFFECTIVE_FROM: &str = "effective_from";

fn time_path(channel: Channel, when: Option<&str>) -> String {
    let suffix = when.map(|when| format!(".{when}")).unwrap_or_default();
    format!("channels.{}.time{suffix}", channel.as_str())
}

fn fee_path(channel: Channel, code: &str) -> String {
    format!("channels.{}.fees.{code}", channel.as_str())
}

fn component_path(code: &str) -> String {
    format!("components.{code}")
}

fn result_path(code: &str) -> String {
    format!("results.{code}")
}

/// `KQ.`, an agency code of level 1, six digits.
fn is_result_code(code: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    match code.split('.').collect::<Vec<_>>().as_slice() {
        ["KQ", agency, number] => {
            agency.len() == 3
                && agency.starts_with(|letter: char| letter.is_ascii_uppercase())
                && agency.get(1..).is_some_and(digits)
                && number.len() == 6
                && digits(number)
        }
        _ => false,
    }
}

/// The longest code of our own that the contract carries.
const LONGEST_CODE: usize = 80;

/// Collects what is wrong, so that an author mends a pack once and not ten times.
#[derive(Default)]
struct Flaws {
    found: Vec<Flaw>,
}

impl Flaws {
    fn unless(&mut self, fine: bool, path: &str, text: &str) {
        if !fine {
            self.found.push(Flaw {
                path: path.to_owned(),
                text: text.to_owned(),
            });
        }
    }

    fn text(&mut self, path: &str, text: &str) {
        self.unless(!text.trim().is_empty(), path, "empty");
    }

    fn slug(&mut self, path: &str, code: &str) {
        let fits = code.starts_with(|first: char| first.is_ascii_lowercase())
            && code
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
            && code.len() <= LONGEST_CODE;
        self.unless(fits, path, "a code of small letters, digits and _");
    }

    fn each_once<T: Ord>(&mut self, path: &str, items: impl Iterator<Item = T>) {
        let mut seen = BTreeSet::new();
        let mut repeated = false;
        for item in items {
            repeated |= !seen.insert(item);
        }
        self.unless(!repeated, path, "something is there twice");
    }
}

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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::LazyLock;

    use egov_codes::AgencyCode;
    use proptest::prelude::*;

    use super::*;

    const SHIPPED: [&str; 10] = [
        "1.000656", "1.000894", "1.001193", "1.001612", "1.004222", "1.010727", "1.012783", "1.013225", "2.000635",
        "2.002043",
    ];

    fn read(file: &str) -> String {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/packs")).join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn shipped(code: &str) -> Procedure {
        Procedure::from_toml(&read(&format!("procedures/{code}.toml")))
            .unwrap_or_else(|error| panic!("{code}: {error}"))
    }

    fn demo() -> Decisions {
        Decisions::from_toml(&read("procedures/decisions/demo.toml")).unwrap()
    }

    fn decided(code: &str) -> Procedure {
        let mut procedure = shipped(code);
        apply_decisions(&mut procedure, &demo()).unwrap();
        procedure
    }

    fn codes(list: &[&str]) -> Vec<String> {
        list.iter().map(|code| (*code).to_owned()).collect()
    }

    /// The first columns of a CSV file whose first columns are codes, without the heading.
    fn columns<const N: usize>(file: &str) -> Vec<[String; N]> {
        let first = |line: &str| {
            let cells: Vec<String> = line.split(',').take(N).map(str::to_owned).collect();
            cells.try_into().unwrap()
        };
        read(file).lines().skip(1).map(first).collect()
    }

    #[test]
    fn every_shipped_pack_is_read_and_named_after_its_procedure() {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/packs/procedures"));
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        found.sort();
        assert_eq!(found, SHIPPED);
        for code in SHIPPED {
            assert_eq!(shipped(code).code.as_str(), code);
        }
    }

    #[test]
    fn shipped_packs_are_written_in_composed_letters() {
        for code in SHIPPED {
            let text = read(&format!("procedures/{code}.toml"));
            assert!(unicode_normalization::is_nfc(&text), "{code}");
        }
    }

    #[test]
    fn what_a_shipped_pack_names_exists() {
        for code in SHIPPED {
            let procedure = shipped(code);
            assert!(read(&format!("transitions/{}.toml", procedure.transitions)).contains(&procedure.transitions));
            for step in &procedure.steps {
                assert!(
                    ["one_stop_clerk", "officer", "unit_leader"].contains(&step.role.as_str()),
                    "{code} {}",
                    step.code
                );
            }
            let used: BTreeSet<&String> = procedure
                .components
                .iter()
                .flat_map(|component| component.when.iter().chain(&component.unless))
                .chain(
                    procedure
                        .channels
                        .iter()
                        .flat_map(|offer| offer.special_times.iter().map(|time| &time.when)),
                )
                .chain(
                    procedure
                        .channels
                        .iter()
                        .flat_map(|offer| offer.fees.iter().filter_map(|fee| fee.when.as_ref())),
                )
                .collect();
            for condition in &procedure.conditions {
                assert!(
                    used.contains(&condition.code),
                    "{code}: nothing depends on {}",
                    condition.code
                );
            }
        }
    }

    #[test]
    fn the_steps_of_a_shipped_pack_lead_from_the_counter_over_an_approval_to_the_counter() {
        for code in SHIPPED {
            let steps = shipped(code).steps;
            let (first, last) = (steps.first().unwrap(), steps.last().unwrap());
            assert_eq!((first.state, last.state), (State::Accepted, State::Returned), "{code}");
            let approvals: Vec<&Step> = steps.iter().filter(|step| step.state == State::Completed).collect();
            assert_eq!(approvals.len(), 1, "{code}");
            assert_eq!(approvals[0].role, "unit_leader", "{code}");
        }
    }

    #[test]
    fn the_demonstration_may_offer_every_shipped_procedure_and_production_none() {
        for code in SHIPPED {
            let procedure = decided(code);
            assert_eq!(procedure.publishable(Profile::Demo), Ok(()), "{code}");
            let open = procedure.publishable(Profile::Production).unwrap_err();
            assert!(
                open.iter().any(|fact| fact.path == "effective_from"),
                "{code}: {open:?}"
            );
        }
    }

    #[test]
    fn every_decision_of_the_demonstration_is_about_a_shipped_procedure() {
        let demo = demo();
        let addressed = SHIPPED
            .iter()
            .map(|code| shipped(code))
            .map(|it| demo.on(&it.code, it.version).count());
        assert_eq!(addressed.sum::<usize>(), demo.decisions.len());
        assert!(demo.demonstration);
    }

    #[test]
    fn a_pack_survives_the_way_into_the_database_and_back() {
        for code in SHIPPED {
            let procedure = decided(code);
            let stored = serde_json::to_string(&procedure).unwrap();
            assert_eq!(serde_json::from_str::<Procedure>(&stored).unwrap(), procedure);
        }
    }

    #[test]
    fn every_unit_has_one_agency_code_and_only_that_of_the_province_is_confirmed() {
        let units: BTreeSet<String> = columns::<1>("units/units-2025.csv")
            .into_iter()
            .chain(columns::<1>("units/departments.csv"))
            .map(|[code]| code)
            .collect();
        let rows = columns::<3>("agency-codes/demo.csv");
        let of: BTreeSet<String> = rows.iter().map(|[unit, ..]| unit.clone()).collect();
        let agencies: BTreeSet<AgencyCode> = rows.iter().map(|[_, agency, _]| agency.parse().unwrap()).collect();
        assert_eq!((units.len(), &of), (131 + 17, &units));
        assert_eq!(agencies.len(), rows.len());
        for [unit, _, status] in &rows {
            assert_eq!(status, if unit == "40" { "confirmed" } else { "provisional" }, "{unit}");
        }
    }

    #[test]
    fn a_birth_filed_online_lacks_nothing_with_the_form_and_the_certificate_of_birth() {
        let birth = shipped("1.001193");
        let conditions = birth.conditions_for(Channel::Online, &[]);
        assert!(conditions.is_empty());
        assert_eq!(
            birth.missing_components(&conditions, &[("mau_dien_tu", false), ("giay_chung_sinh", true)]),
            []
        );
        assert_eq!(
            birth.missing_components(&conditions, &[("mau_dien_tu", false), ("giay_cam_doan", true)]),
            [MissingComponent {
                any_of: codes(&["giay_chung_sinh", "van_ban_lam_chung", "giay_cam_doan"]),
                names: ["giay_chung_sinh", "van_ban_lam_chung", "giay_cam_doan"]
                    .map(|code| birth.component(code).unwrap().name.clone())
                    .to_vec(),
                reason: MissingReason::DataNotAllowed,
            }]
        );
        assert_eq!(
            birth.unknown_components(["to_khai", "ct01", "to_khai", "ct01"]),
            ["ct01"]
        );
    }

    #[test]
    fn at_the_counter_the_identity_is_shown_or_looked_up() {
        let birth = shipped("1.001193");
        let conditions = birth.conditions_for(Channel::Counter, &[]);
        let filed = [("to_khai", false), ("giay_chung_sinh", false)];
        let missing = birth.missing_components(&conditions, &filed);
        assert_eq!(
            missing.iter().flat_map(|missing| &missing.any_of).collect::<Vec<_>>(),
            ["giay_to_tuy_than"]
        );
        let shown = [filed.as_slice(), &[("giay_to_tuy_than", true)]].concat();
        assert_eq!(birth.missing_components(&conditions, &shown), []);
    }

    #[test]
    fn an_abandoned_child_needs_the_minutes_and_no_certificate_of_birth() {
        let birth = shipped("1.001193");
        let conditions = birth.conditions_for(Channel::Online, &codes(&["tre_bi_bo_roi"]));
        assert_eq!(
            birth.missing_components(&conditions, &[("mau_dien_tu", false), ("bien_ban_bo_roi", false)]),
            []
        );
    }

    #[test]
    fn a_late_registration_costs_and_one_in_time_does_not() {
        let birth = shipped("1.001193");
        assert_eq!(birth.fees_for(Channel::Online, &[]), Vec::<&Fee>::new());
        let late = birth.fees_for(Channel::Online, &codes(&["qua_han"]));
        assert_eq!(
            late.iter()
                .map(|fee| (fee.code.as_str(), fee.amount_vnd))
                .collect::<Vec<_>>(),
            [("le_phi_ho_tich", None)]
        );
    }

    #[test]
    fn a_house_is_permitted_in_fifteen_days_and_other_works_in_twenty() {
        let permit = decided("1.013225");
        for channel in Channel::ALL {
            let period = |kind: &str| permit.time_for(channel, &codes(&[kind])).and_then(Time::period);
            assert_eq!(period("nha_o_rieng_le"), Some(Period::Days(15)));
            assert_eq!(period("ton_giao"), Some(Period::Days(20)));
        }
    }

    #[test]
    fn residence_is_not_registered_by_post_and_costs_half_online() {
        let residence = shipped("1.004222");
        assert_eq!(residence.time_for(Channel::Post, &[]), None);
        let amounts = [Channel::Counter, Channel::Online].map(|channel| residence.fees_for(channel, &[])[0].amount_vnd);
        assert_eq!(amounts, [Some(20_000), Some(10_000)]);
    }

    #[test]
    fn of_a_choice_exactly_one_is_stated_and_what_follows_from_the_channel_is_not() {
        let residence = shipped("1.004222");
        assert_eq!(residence.condition_faults(&codes(&["so_huu", "phuong_tien"])), []);
        let [ConditionFault::Choice { choice, one_of, stated }] = &residence.condition_faults(&[])[..] else {
            panic!("the choice is not asked for");
        };
        assert_eq!((choice.as_str(), one_of.len(), stated.len()), ("truong_hop", 7, 0));
        assert_eq!(
            residence
                .condition_faults(&codes(&["so_huu", "nguoi_than", "nha_ma"]))
                .len(),
            2
        );

        let birth = shipped("1.001193");
        let stated = codes(&["truc_tiep"]);
        assert_eq!(
            birth.condition_faults(&stated),
            [ConditionFault::FollowsFromChannel {
                code: "truc_tiep".to_owned()
            }]
        );
        assert!(
            birth
                .conditions_for(Channel::Post, &stated)
                .contains(&"buu_chinh".to_owned())
        );
        assert!(
            !birth
                .conditions_for(Channel::Post, &stated)
                .contains(&"truc_tiep".to_owned())
        );
    }

    #[test]
    fn the_numbers_of_the_channels_are_those_of_the_national_portal() {
        assert_eq!(Channel::ALL.map(Channel::number), [1, 2, 3]);
        for channel in Channel::ALL {
            assert_eq!(Channel::from_number(channel.number()), Some(channel));
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.as_str());
        }
        assert_eq!(Channel::from_number(0), None);
    }

    #[test]
    fn a_version_is_in_force_from_its_first_day_until_the_day_before_its_end() {
        let mut birth = shipped("1.001193");
        birth.effective_to = Some(civil::date(2027, 3, 1));
        assert!(!birth.in_force_on(civil::date(2026, 7, 19)));
        assert!(birth.in_force_on(civil::date(2026, 7, 20)));
        assert!(birth.in_force_on(civil::date(2027, 2, 28)));
        assert!(!birth.in_force_on(civil::date(2027, 3, 1)));
    }

    #[test]
    fn a_time_without_a_unit_is_no_period_until_it_is_decided() {
        let time = |birth: &Procedure| birth.time_for(Channel::Counter, &[]).cloned().unwrap();
        let before = time(&shipped("1.001193"));
        assert_eq!((before.period(), before.fact.status), (None, FactStatus::Unconfirmed));
        let after = time(&decided("1.001193"));
        assert_eq!((after.period(), after.cut_off), (Some(Period::WorkingDays(1)), None));
        assert_eq!(after.fact.status, FactStatus::Decided);
        assert_eq!(after.fact.by.as_deref(), Some("demo pack"));
        assert_eq!(after.fact.when, Some(civil::date(2026, 11, 23)));
        assert!(after.fact.basis.unwrap().contains("no decision of the province"));
        assert_eq!(after.fact.source, before.fact.source);
    }

    #[test]
    fn production_accepts_what_the_operator_has_decided_and_not_what_a_demonstration_has() {
        let text = r#"
            by = "Chủ tịch Ủy ban nhân dân tỉnh"
            when = "2026-12-01"
            basis = "số 1/QĐ-UBND"
            [[decision]]
            procedure = "1.004222"
            version = 1
            what.effective_from = "2026-12-02"
        "#;
        let mut residence = shipped("1.004222");
        apply_decisions(&mut residence, &Decisions::from_toml(text).unwrap()).unwrap();
        assert_eq!(residence.publishable(Profile::Production), Ok(()));
        assert_eq!(residence.effective_from, civil::date(2026, 12, 2));
        assert_eq!(residence.open_facts(), []);

        let mut shown = shipped("1.004222");
        apply_decisions(
            &mut shown,
            &Decisions::from_toml(&format!("demonstration = true\n{text}")).unwrap(),
        )
        .unwrap();
        assert_eq!(shown.open_facts(), []);
        let open = shown.publishable(Profile::Production).unwrap_err();
        assert_eq!(
            open,
            [OpenFact {
                path: "effective_from".to_owned(),
                status: FactStatus::Decided
            }]
        );
    }

    #[test]
    fn every_kind_of_fact_can_be_decided() {
        let mut permit = shipped("1.013225");
        let everything = r#"
            by = "Ủy ban nhân dân tỉnh"
            when = "2026-12-01"
            basis = "quyết định"
            [[decision]]
            procedure = "1.013225"
            version = 1
            what.time = { channels = ["counter"], value = 20, unit = "day" }
            [[decision]]
            procedure = "1.013225"
            version = 1
            what.time = { channels = ["post"], special = "nha_o_rieng_le", value = 10, unit = "day" }
            [[decision]]
            procedure = "1.013225"
            version = 1
            what.fee = { channels = ["counter", "online", "post"], code = "phi_le_phi_giay_phep", kind = "le_phi", amount_vnd = 75000 }
            [[decision]]
            procedure = "1.013225"
            version = 1
            what.component = "ban_ve_khong_theo_tuyen"
            basis = "một quyết định khác"
            [[decision]]
            procedure = "1.013225"
            version = 1
            what.result = "KQ.G17.000311"
            [[decision]]
            procedure = "1.013225"
            version = 1
            what.legal_basis = "50/2014/QH13"
            [[decision]]
            procedure = "1.013225"
            version = 1
            what.effective_from = "2026-12-02"
            [[decision]]
            procedure = "1.013225"
            version = 1
            what = "header"
            [[decision]]
            procedure = "1.013225"
            version = 2
            what.component = "of_another_version"
        "#;
        let unconfirmed = |fact: &mut Fact| fact.status = FactStatus::Unconfirmed;
        unconfirmed(&mut permit.fact);
        unconfirmed(&mut permit.results[0].fact);
        unconfirmed(&mut permit.legal_basis[0].fact);
        unconfirmed(&mut permit.channels[2].special_times[0].time.fact);
        apply_decisions(&mut permit, &Decisions::from_toml(everything).unwrap()).unwrap();
        assert_eq!(permit.publishable(Profile::Production), Ok(()));
        let fee = permit.fees_for(Channel::Post, &[])[0];
        assert_eq!((fee.kind, fee.amount_vnd), (Some(FeeKind::LePhi), Some(75_000)));
        let drawings = permit.component("ban_ve_khong_theo_tuyen").unwrap();
        assert_eq!(drawings.fact.basis.as_deref(), Some("một quyết định khác"));
        let house = permit.time_for(Channel::Post, &codes(&["nha_o_rieng_le"])).unwrap();
        assert_eq!(house.period(), Some(Period::Days(10)));
    }

    #[test]
    fn a_decision_on_something_confirmed_decided_or_absent_changes_nothing() {
        let decide = |what: &str| {
            let text = format!(
                "by = 'a'\nwhen = '2026-12-01'\nbasis = 'b'\n[[decision]]\nprocedure = '1.004222'\nversion = 1\n\
                 what.effective_from = '2026-12-02'\n[[decision]]\nprocedure = '1.004222'\nversion = 1\n{what}"
            );
            let mut residence = shipped("1.004222");
            let refused = apply_decisions(&mut residence, &Decisions::from_toml(&text).unwrap()).unwrap_err();
            assert_eq!(residence, shipped("1.004222"));
            refused.to_string()
        };
        let settled = "is confirmed or decided already";
        assert!(decide("what.component = 'to_khai_ct01'").contains(settled));
        assert!(decide("what.effective_from = '2026-12-03'").contains(settled));
        assert!(decide("what.time = { channels = ['online'], value = 5, unit = 'working_day' }").contains(settled));
        let absent = "which it does not have";
        assert!(decide("what.component = 'to_khai_ct03'").contains(absent));
        assert!(decide("what.time = { channels = ['post'], value = 5, unit = 'working_day' }").contains(absent));
        assert!(decide("what.fee = { channels = ['online'], code = 'x', amount_vnd = 1 }").contains(absent));
    }

    #[test]
    fn a_decision_that_would_make_the_pack_flawed_is_refused() {
        let text = "by = 'a'\nwhen = '2026-12-01'\nbasis = 'b'\n[[decision]]\nprocedure = '1.001193'\nversion = 1\n\
                    what.time = { channels = ['counter'], value = 1, unit = 'working_day', cut_off = '15:00' }";
        let mut birth = shipped("1.001193");
        let refused = apply_decisions(&mut birth, &Decisions::from_toml(text).unwrap()).unwrap_err();
        assert!(
            refused.to_string().contains("a cut-off belongs to the same day only"),
            "{refused}"
        );
        assert_eq!(birth, shipped("1.001193"));
    }

    #[test]
    fn decisions_without_a_name_or_a_basis_are_refused() {
        assert!(matches!(
            Decisions::from_toml("by = ' '\nwhen = '2026-12-01'\nbasis = 'b'"),
            Err(PackError::Unexplained)
        ));
        assert!(matches!(
            Decisions::from_toml("by = 'a'\nbasis = 'b'"),
            Err(PackError::Malformed(_))
        ));
    }

    #[test]
    fn who_decided_stands_exactly_in_decided_facts() {
        let fact = |text: &str| toml::from_str::<Fact>(text);
        assert!(fact("status = 'confirmed'\nsource = 's'").is_ok());
        assert!(fact("status = 'decided'\nsource = 's'\nby = 'a'\nwhen = '2026-12-01'\nbasis = 'b'").is_ok());
        assert!(fact("status = 'decided'\nsource = 's'\nby = 'a'\nwhen = '2026-12-01'").is_err());
        assert!(fact("status = 'decided'\nsource = 's'\nby = 'a'\nwhen = '2026-12-01'\nbasis = ' '").is_err());
        assert!(fact("status = 'confirmed'\nsource = 's'\nby = 'a'").is_err());
        assert!(fact("status = 'confirmed'\nsource = ' '").is_err());
        assert!(fact("status = 'unconfirmed'\nsource = 's'\ndemonstration = true").is_err());
        assert!(fact("status = 'guessed'\nsource = 's'").is_err());
    }

    #[test]
    fn what_a_pack_does_not_know_is_refused_everywhere() {
        let birth = read("procedures/1.001193.toml");
        for table in [
            "[[conditions]]",
            "[[channels]]",
            "[channels.time]",
            "[[channels.fees]]",
            "[[components]]",
            "[[steps]]",
            "[[results]]",
        ] {
            let strange = birth.replacen(table, &format!("{table}\nstrange = 1"), 1);
            assert!(
                matches!(Procedure::from_toml(&strange), Err(PackError::Malformed(_))),
                "{table}"
            );
        }
        assert!(matches!(
            Procedure::from_toml(&format!("strange = 1\n{birth}")),
            Err(PackError::Malformed(_))
        ));
    }

    #[test]
    fn every_flaw_of_a_pack_is_named() {
        let flawed = |change: &dyn Fn(&mut Procedure)| -> Vec<String> {
            let mut birth = shipped("1.001193");
            change(&mut birth);
            match birth.check() {
                Err(PackError::Flawed { flaws, .. }) => flaws.iter().map(|flaw| flaw.path.clone()).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            }
        };
        let path = |path: &str| vec![path.to_owned()];
        assert_eq!(flawed(&|it| it.version = 0), path("version"));
        assert_eq!(
            flawed(&|it| it.effective_to = Some(it.effective_from)),
            path("effective_to")
        );
        assert_eq!(flawed(&|it| it.levels.push(Level::Commune)), path("levels"));
        assert_eq!(flawed(&|it| it.legal_basis.clear()), path("legal_basis"));
        assert_eq!(
            flawed(&|it| it.channels[0].time.fact.status = FactStatus::Confirmed),
            path("channels.counter.time")
        );
        assert_eq!(
            flawed(&|it| it.channels[0].time.value = Some(0)),
            path("channels.counter.time")
        );
        assert_eq!(
            flawed(&|it| it.channels[0].time.unit = Some(TimeUnit::Day)),
            path("channels.counter.time")
        );
        assert_eq!(
            flawed(&|it| it.channels[0].time.unit = Some(TimeUnit::SameDay)),
            path("channels.counter.time")
        );
        assert_eq!(flawed(&|it| it.channels[1].channel = Channel::Post), path("channels"));
        assert_eq!(
            flawed(&|it| it.channels[0].fees[0].fact.status = FactStatus::Confirmed),
            path("channels.counter.fees.le_phi_ho_tich")
        );
        assert_eq!(
            flawed(&|it| it.components[2].unless = None),
            [
                "components.giay_chung_sinh",
                "components.van_ban_lam_chung",
                "components.giay_cam_doan"
            ]
        );
        assert_eq!(
            flawed(&|it| it.components[5].when = Some("x".to_owned())),
            path("components.bien_ban_bo_roi")
        );
        assert_eq!(
            flawed(&|it| it.components[5].required = true),
            path("components.bien_ban_bo_roi")
        );
        assert_eq!(
            flawed(&|it| it.components[5].originals = 0),
            path("components.bien_ban_bo_roi")
        );
        assert_eq!(
            flawed(&|it| it.components[5].alternative_group = Some("alone".to_owned())),
            path("components.bien_ban_bo_roi")
        );
        assert_eq!(
            flawed(&|it| it.conditions[2].choice = Some("alone".to_owned())),
            path("conditions.alone")
        );
        assert_eq!(
            flawed(&|it| it.steps[0].role = "One stop clerk".to_owned()),
            path("steps.tiep_nhan")
        );
        assert_eq!(
            flawed(&|it| it.results[0].code = "KQ.G15.31".to_owned()),
            path("results.KQ.G15.31")
        );
        assert_eq!(
            flawed(&|it| (it.version, it.name) = (0, String::new())),
            ["version", "name"]
        );
    }

    /// A requirement as the property tests make it up: when it is required, and of which components one is enough
    /// (with whether data may replace each).
    #[derive(Debug, Clone)]
    struct Block {
        required: bool,
        when: Option<usize>,
        unless: Option<usize>,
        members: Vec<bool>,
    }

    const CONDITIONS: usize = 4;

    static BIRTH: LazyLock<Procedure> = LazyLock::new(|| shipped("1.001193"));

    fn condition(number: usize) -> String {
        format!("condition_{number}")
    }

    fn member(block: usize, number: usize) -> String {
        format!("component_{block}_{number}")
    }

    fn procedure_of(blocks: &[Block]) -> Procedure {
        let mut procedure = BIRTH.clone();
        let template = procedure.components[0].clone();
        procedure.channels.iter_mut().for_each(|offer| offer.fees.clear());
        procedure.conditions = (0..CONDITIONS)
            .map(|number| Condition {
                code: condition(number),
                text: "x".to_owned(),
                channel: None,
                choice: None,
            })
            .collect();
        procedure.components = blocks
            .iter()
            .enumerate()
            .flat_map(|(index, block)| {
                let template = &template;
                block
                    .members
                    .iter()
                    .enumerate()
                    .map(move |(number, data_allowed)| Component {
                        code: member(index, number),
                        required: block.required,
                        when: block.when.filter(|_| !block.required).map(condition),
                        unless: block.unless.map(condition),
                        alternative_group: (block.members.len() > 1).then(|| format!("group_{index}")),
                        data_allowed: *data_allowed,
                        ..template.clone()
                    })
            })
            .collect();
        procedure
    }

    fn blocks() -> impl Strategy<Value = Vec<Block>> {
        let block = (
            any::<bool>(),
            prop::option::of(0..CONDITIONS),
            prop::option::weighted(0.2, 0..CONDITIONS),
            prop::collection::vec(any::<bool>(), 1..4),
        )
            .prop_map(|(required, when, unless, members)| Block {
                required,
                when,
                unless,
                members,
            });
        prop::collection::vec(block, 1..6)
    }

    fn holding() -> impl Strategy<Value = BTreeSet<usize>> {
        prop::collection::btree_set(0..CONDITIONS, 0..=CONDITIONS)
    }

    /// Block, member (which may not exist), and whether data replaces the paper.
    fn filing() -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
        prop::collection::vec((0..7_usize, 0..4_usize, any::<bool>()), 0..12)
    }

    fn written(filed: &[(usize, usize, bool)]) -> Vec<(String, bool)> {
        filed
            .iter()
            .map(|(block, number, by_data)| (member(*block, *number), *by_data))
            .collect()
    }

    fn borrowed(filed: &[(String, bool)]) -> Vec<(&str, bool)> {
        filed.iter().map(|(code, by_data)| (code.as_str(), *by_data)).collect()
    }

    proptest! {
        /// The rule, said a second time from the blocks.
        #[test]
        fn exactly_what_is_required_and_not_met_is_missing(blocks in blocks(), holding in holding(), filed in filing()) {
            let procedure = procedure_of(&blocks);
            prop_assert!(procedure.check().is_ok());
            let conditions: Vec<String> = holding.iter().copied().map(condition).collect();
            let mut expected = Vec::new();
            for (index, block) in blocks.iter().enumerate() {
                let asked = block.required || block.when.is_some_and(|when| holding.contains(&when));
                let lifted = block.unless.is_some_and(|unless| holding.contains(&unless));
                let met = filed.iter().any(|(of, number, by_data)| {
                    *of == index && block.members.get(*number).is_some_and(|data_allowed| !by_data || *data_allowed)
                });
                if asked && !lifted && !met {
                    expected.push((0..block.members.len()).map(|number| member(index, number)).collect::<Vec<_>>());
                }
            }
            let filed = written(&filed);
            let missing = procedure.missing_components(&conditions, &borrowed(&filed));
            prop_assert_eq!(missing.into_iter().map(|missing| missing.any_of).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn one_of_each_missing_on_paper_completes_a_case(
            blocks in blocks(), holding in holding(), filed in filing(), pick in any::<prop::sample::Index>(),
        ) {
            let procedure = procedure_of(&blocks);
            let conditions: Vec<String> = holding.iter().copied().map(condition).collect();
            let mut filed = written(&filed);
            for missing in procedure.missing_components(&conditions, &borrowed(&filed)) {
                filed.push((pick.get(&missing.any_of).clone(), false));
            }
            prop_assert_eq!(procedure.missing_components(&conditions, &borrowed(&filed)), []);
        }

        #[test]
        fn filing_more_never_makes_more_missing(
            blocks in blocks(), holding in holding(), filed in filing(), more in filing(),
        ) {
            let procedure = procedure_of(&blocks);
            let conditions: Vec<String> = holding.iter().copied().map(condition).collect();
            let groups = |filed: &[(String, bool)]| -> BTreeSet<Vec<String>> {
                let missing = procedure.missing_components(&conditions, &borrowed(filed));
                missing.into_iter().map(|missing| missing.any_of).collect()
            };
            let (before, after) = (written(&filed), written(&[filed, more].concat()));
            prop_assert!(groups(&after).is_subset(&groups(&before)));
        }

        #[test]
        fn the_order_of_filing_does_not_matter(
            blocks in blocks(), holding in holding(), filed in filing().prop_flat_map(|filed| (Just(filed.clone()), Just(filed).prop_shuffle())),
        ) {
            let procedure = procedure_of(&blocks);
            let conditions: Vec<String> = holding.iter().copied().map(condition).collect();
            let (one, other) = (written(&filed.0), written(&filed.1));
            prop_assert_eq!(
                procedure.missing_components(&conditions, &borrowed(&one)),
                procedure.missing_components(&conditions, &borrowed(&other))
            );
        }

        #[test]
        fn a_component_is_unknown_exactly_if_the_procedure_has_none_of_its_code(blocks in blocks(), filed in filing()) {
            let procedure = procedure_of(&blocks);
            let filed = written(&filed);
            let unknown: BTreeSet<String> = procedure.unknown_components(filed.iter().map(|(code, _)| code.as_str())).into_iter().collect();
            let expected: BTreeSet<String> =
                filed.iter().map(|(code, _)| code.clone()).filter(|code| procedure.component(code).is_none()).collect();
            prop_assert_eq!(unknown, expected);
        }
    }
}
