//! How a fact is established, and what a profile may rely on.

use std::fmt;

use jiff::civil;
use serde::{Deserialize, Serialize};

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

/// What kind of thing a fact is about: how the administrator's list is narrowed, and what a decision has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// Title, sector, decision, levels.
    Header,
    /// First day in force.
    EffectiveFrom,
    /// Căn cứ pháp lý.
    LegalBasis,
    /// Kênh.
    Channels,
    /// Đối tượng thực hiện.
    Applicants,
    /// Thành phần hồ sơ.
    Components,
    /// Trình tự.
    Steps,
    /// Kết quả.
    Results,
    /// Thời hạn, and the times of steps.
    Time,
    /// Phí, lệ phí.
    Fee,
}

impl FactKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Header,
        Self::EffectiveFrom,
        Self::LegalBasis,
        Self::Channels,
        Self::Applicants,
        Self::Components,
        Self::Steps,
        Self::Results,
        Self::Time,
        Self::Fee,
    ];

    /// The kind of the fact at a path.
    pub fn of(path: &str) -> Self {
        if path.starts_with("channels.") {
            return if path.contains(".fees.") { Self::Fee } else { Self::Time };
        }
        if path
            .strip_prefix("steps.")
            .is_some_and(|step| step.split('.').next_back() == Some("time"))
        {
            return Self::Time;
        }
        match path.split('.').next().unwrap_or_default() {
            "effective_from" => Self::EffectiveFrom,
            "legal_basis" => Self::LegalBasis,
            "channels" => Self::Channels,
            "applicants" => Self::Applicants,
            "components" => Self::Components,
            "steps" => Self::Steps,
            "results" => Self::Results,
            // Who may file, and how much a fee is in which case.
            "eligibility" => Self::Applicants,
            "fee_rows" => Self::Fee,
            _ => Self::Header,
        }
    }

    /// The name in contracts and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::EffectiveFrom => "effective_from",
            Self::LegalBasis => "legal_basis",
            Self::Channels => "channels",
            Self::Applicants => "applicants",
            Self::Components => "components",
            Self::Steps => "steps",
            Self::Results => "results",
            Self::Time => "time",
            Self::Fee => "fee",
        }
    }
}

/// Everything of one kind that is to be decided in a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToDecide {
    /// What kind.
    pub kind: FactKind,
    /// The facts, by their paths.
    pub paths: Vec<String>,
    /// What their sources say.
    pub raw: String,
    /// Open in production only: decided for a demonstration.
    pub only_production: bool,
}
