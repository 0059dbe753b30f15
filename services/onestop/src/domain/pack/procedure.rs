//! What a pack holds: the shape of a procedure.

use egov_calendar::Period;
use egov_codes::ProcedureCode;
use jiff::civil;
use serde::{Deserialize, Serialize};

use super::catalogue::Catalogued;
use super::facts::Fact;
use crate::domain::definition::{Branch, EligibilityRow, FeeRow, Form, Reuse, Way};
use crate::domain::transitions::State;

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
    /// The name in packs and contracts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Citizen => "citizen",
            Self::OverseasVietnamese => "overseas_vietnamese",
            Self::Foreigner => "foreigner",
            Self::PublicServant => "public_servant",
            Self::PartyMember => "party_member",
            Self::Enterprise => "enterprise",
            Self::ForeignInvestedEnterprise => "foreign_invested_enterprise",
            Self::Cooperative => "cooperative",
            Self::Organisation => "organisation",
            Self::ForeignOrganisation => "foreign_organisation",
            Self::PartyOrganisation => "party_organisation",
        }
    }

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

impl TimeUnit {
    /// The name in packs and contracts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkingDay => "working_day",
            Self::Day => "day",
            Self::WorkingHour => "working_hour",
            Self::Hour => "hour",
            Self::SameDay => "same_day",
        }
    }
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
        period_of(self.unit, self.value)
    }
}

fn period_of(unit: Option<TimeUnit>, value: Option<u32>) -> Option<Period> {
    match (unit?, value) {
        (TimeUnit::SameDay, None) => Some(Period::SameDay),
        (TimeUnit::SameDay, Some(_)) | (_, None) => None,
        (TimeUnit::WorkingDay, Some(value)) => Some(Period::WorkingDays(value)),
        (TimeUnit::Day, Some(value)) => Some(Period::Days(value)),
        (TimeUnit::WorkingHour, Some(value)) => Some(Period::WorkingHours(value)),
        (TimeUnit::Hour, Some(value)) => Some(Period::ElapsedHours(value)),
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
    /// In which shape it is filed, by channel and case; the first that applies counts. None: in whatever shape.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<Way>,
    /// Code of the e-form that is filled in for it ([`Procedure::forms`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e_form: Option<String>,
    /// What the citizen handed in once may be used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Reuse>,
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
    /// How long it may take; the steps together no longer than the law gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<StepTime>,
    /// How that time is established. Absent: it is the office's own plan, as the author of a draft writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_fact: Option<Fact>,
    /// What follows. Absent: the next step of the list. Empty: nothing, the process ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Vec<Branch>>,
}

/// Thời gian of a step: the office's own plan within the legal time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTime {
    /// How many units; none for the same day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u32>,
    /// The unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<TimeUnit>,
}

impl StepTime {
    /// The period to count, if value and unit are both known.
    pub fn period(self) -> Option<Period> {
        period_of(self.unit, self.value)
    }
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
    /// Điều kiện thực hiện: who may file; the first row that applies decides, and without one everybody may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eligibility: Vec<EligibilityRow>,
    /// Mức thu by case, channel and day: the first row that applies to a fee takes the place of its amount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fee_rows: Vec<FeeRow>,
    /// Mẫu đơn, tờ khai điện tử.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<Form>,
    /// Of a version from the catalogue: its line, and how its lists are established. No pack has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<Box<Catalogued>>,
}
