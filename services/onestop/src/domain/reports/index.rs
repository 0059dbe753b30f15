//! Bộ chỉ số phục vụ người dân, doanh nghiệp (QĐ 766/QĐ-TTg), as far as it is established.

use serde::{Deserialize, Serialize};

use super::hundredths;
use super::rules::{CentreRules, IndexGroup};
use crate::domain::pack::Profile;
use crate::domain::statistics::Columns;

/// A rate that speaks for a group (facts 1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateKind {
    /// (Trước hạn + đúng hạn) / đã xử lý.
    OnTime,
    /// Nộp trực tuyến / tiếp nhận.
    OnlineFiling,
    /// Thanh toán trực tuyến / khoản thanh toán, by how many came in.
    OnlinePayment,
    /// Thành phần hồ sơ được số hoá.
    DigitisedComponents,
    /// Kết quả điện tử.
    DigitalResults,
    /// Tái sử dụng dữ liệu.
    Reuse,
    /// (Hài lòng + rất hài lòng) / đánh giá.
    Satisfaction,
}

impl RateKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::OnTime,
        Self::OnlineFiling,
        Self::OnlinePayment,
        Self::DigitisedComponents,
        Self::DigitalResults,
        Self::Reuse,
        Self::Satisfaction,
    ];

    /// Its name in contracts and packs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::OnTime => "on_time",
            Self::OnlineFiling => "online_filing",
            Self::OnlinePayment => "online_payment",
            Self::DigitisedComponents => "digitised_components",
            Self::DigitalResults => "digital_results",
            Self::Reuse => "reuse",
            Self::Satisfaction => "satisfaction",
        }
    }

    /// Vietnamese and English.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::OnTime => ("tỷ lệ giải quyết trước hạn và đúng hạn", "decided in time"),
            Self::OnlineFiling => ("tỷ lệ hồ sơ trực tuyến", "filed online"),
            Self::OnlinePayment => ("tỷ lệ thanh toán trực tuyến", "paid online"),
            Self::DigitisedComponents => ("tỷ lệ số hoá thành phần hồ sơ", "components digitised"),
            Self::DigitalResults => ("tỷ lệ kết quả điện tử", "results issued digitally"),
            Self::Reuse => ("tỷ lệ tái sử dụng dữ liệu", "components reused from data"),
            Self::Satisfaction => ("tỷ lệ hài lòng", "satisfied"),
        }
    }

    /// The rate of these columns.
    pub const fn of(self, columns: &Columns) -> Rate {
        let parts = match self {
            Self::OnTime => Some((columns.in_time(), columns.processed())),
            Self::OnlineFiling => Some((columns.received_online, columns.received())),
            Self::OnlinePayment => Some((columns.online_payments, columns.payments)),
            Self::DigitisedComponents => Some((columns.digitised, columns.components)),
            Self::DigitalResults => Some((columns.digital_results, columns.results)),
            Self::Reuse => Some((columns.reused, columns.components)),
            Self::Satisfaction => Some((columns.rated_satisfied + columns.rated_very_satisfied, columns.rated())),
        };
        Rate { kind: self, parts }
    }
}

/// A rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Which.
    pub kind: RateKind,
    /// Part and whole; none if nobody counts it.
    pub parts: Option<(i64, i64)>,
}

impl Rate {
    /// Hundredths of a percent; none of nothing.
    pub fn hundredths_of_percent(&self) -> Option<i32> {
        self.parts.and_then(|(part, whole)| hundredths(part, whole, 10_000))
    }
}

/// A group of the index.
#[derive(Debug, Clone)]
pub struct GroupScore<'a> {
    /// Its rule.
    pub group: &'a IndexGroup,
    /// The rates that speak for it.
    pub rates: Vec<Rate>,
    /// Hundredths of points; none unless the way of scoring is settled and every rate is there.
    pub points: Option<i32>,
}

/// The index.
#[derive(Debug, Clone)]
pub struct IndexScore<'a> {
    /// By group.
    pub groups: Vec<GroupScore<'a>>,
    /// Of all groups; none while one has none.
    pub points: Option<i32>,
}

impl IndexScore<'_> {
    /// The index of these columns. Nothing is scored by a rule that the profile may not rely on.
    pub fn of<'a>(columns: &Columns, rules: &'a CentreRules, profile: Profile) -> IndexScore<'a> {
        let groups: Vec<GroupScore<'a>> = rules
            .index
            .group
            .iter()
            .map(|group| {
                let rates: Vec<Rate> = group.rates.iter().map(|kind| kind.of(columns)).collect();
                GroupScore {
                    group,
                    points: points(group, &rates, profile),
                    rates,
                }
            })
            .collect();
        let points = groups.iter().map(|group| group.points).sum();
        IndexScore { groups, points }
    }
}

/// Proportional scoring: the highest points times the mean of the rates.
fn points(group: &IndexGroup, rates: &[Rate], profile: Profile) -> Option<i32> {
    let scoring = group.scoring.as_ref()?;
    if !scoring.fact.is_settled(profile) || !group.points.is_settled(profile) || rates.is_empty() {
        return None;
    }
    let shares = rates
        .iter()
        .map(Rate::hundredths_of_percent)
        .collect::<Option<Vec<_>>>()?;
    let sum: i64 = shares.iter().copied().map(i64::from).sum();
    let count = i64::try_from(rates.len()).ok()?;
    hundredths(i64::from(group.max_points) * sum, count * 10_000, 100)
}
