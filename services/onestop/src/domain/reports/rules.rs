//! The rules of a one-stop centre as dated data: `deploy/packs/one-stop`.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::RateKind;
use crate::domain::pack::Fact;

/// One file of the pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CentreRules {
    /// Its name.
    pub name: String,
    /// The first day.
    pub effective_from: Date,
    /// The day on which it no longer counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_to: Option<Date>,
    /// Biểu mẫu báo cáo.
    #[serde(default)]
    pub form: Vec<Form>,
    /// QĐ 766.
    pub index: Index,
    /// Đánh giá.
    pub rating: RatingRules,
    /// Ưu tiên tại quầy.
    #[serde(default)]
    pub priority: Vec<Priority>,
}

/// Biểu mẫu of a monthly report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// 1: the calendar month; n: from the n-th of the month before to the day before the n-th.
    pub first_day: i8,
    /// Hạn báo cáo, a day of the month.
    pub due_day: i8,
    /// How the period is established.
    pub period: Fact,
    /// How the due day is established.
    pub due: Fact,
}

/// Bộ chỉ số.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// The legal document.
    pub legal_document: String,
    /// Nhóm chỉ tiêu.
    #[serde(default)]
    pub group: Vec<IndexGroup>,
}

/// Nhóm chỉ tiêu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexGroup {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Điểm tối đa.
    pub max_points: i32,
    /// How they are established.
    pub points: Fact,
    /// The rates that speak for it.
    pub rates: Vec<RateKind>,
    /// How points follow from the rates, where somebody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoring: Option<Scoring>,
}

/// How points follow from rates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scoring {
    /// The way.
    pub way: Way,
    /// How it is established.
    pub fact: Fact,
}

/// The ways of scoring that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The highest points times the mean of the rates.
    Proportional,
}

/// Đánh giá.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatingRules {
    /// How the bands are established.
    pub band_fact: Fact,
    /// Tiêu chí.
    pub criterion: Vec<Criterion>,
    /// Xếp loại.
    pub band: Vec<Band>,
}

/// Criteria that the steps are mapped to in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// Which of the nine.
    pub numbers: Vec<u8>,
    /// Its name, where it is one and somebody knows it.
    #[serde(default)]
    pub name: String,
    /// Points for không hài lòng, hài lòng, rất hài lòng.
    pub points: [i64; 3],
    /// How the mapping is established.
    pub fact: Fact,
}

/// Xếp loại.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Its name.
    pub name: String,
    /// From so many points on.
    pub from_points: i64,
}

/// Who is called before others at the counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Priority {
    /// Its code.
    pub code: String,
    /// In words.
    pub name: String,
    /// The lowest is called first; who has none comes after all of them.
    pub rank: i16,
    /// How it is established.
    pub fact: Fact,
}

/// Why a file is no such rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It is no TOML of this shape.
    #[error(transparent)]
    Malformed(#[from] toml::de::Error),
    /// It contradicts itself.
    #[error("{0}")]
    Contradiction(String),
}

impl CentreRules {
    /// Reads a file strictly.
    pub fn from_toml(text: &str) -> Result<Self, RulesError> {
        let rules: Self = toml::from_str(text)?;
        rules.check().map_err(RulesError::Contradiction)?;
        Ok(rules)
    }

    /// True if the file counts on a day.
    pub fn in_force(&self, on: Date) -> bool {
        self.effective_from <= on && self.effective_to.is_none_or(|end| on < end)
    }

    /// The form of a code; without a code the only one.
    pub fn form(&self, code: &str) -> Option<&Form> {
        match self.form.as_slice() {
            [only] if code.is_empty() => Some(only),
            forms => forms.iter().find(|form| form.code == code),
        }
    }

    fn check(&self) -> Result<(), String> {
        let demand = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        demand(
            self.effective_to.is_none_or(|end| end > self.effective_from),
            "it ends before it begins",
        )?;
        let distinct = |codes: Vec<&str>| {
            let count = codes.len();
            codes.into_iter().collect::<BTreeSet<_>>().len() == count
        };
        demand(
            distinct(self.form.iter().map(|form| form.code.as_str()).collect()),
            "a form is there twice",
        )?;
        for form in &self.form {
            demand(
                (1..=28).contains(&form.first_day) && (1..=31).contains(&form.due_day),
                "a period begins on day 1 to 28, and a report is due on day 1 to 31",
            )?;
            demand(
                form.first_day == 1 || form.due_day >= form.first_day,
                "a report is due before its period has ended",
            )?;
        }
        demand(
            distinct(self.index.group.iter().map(|group| group.code.as_str()).collect()),
            "a group of the index is there twice",
        )?;
        demand(
            self.index
                .group
                .iter()
                .all(|group| (1..=100).contains(&group.max_points)),
            "a group has 1 to 100 points",
        )?;
        let mut numbers: Vec<u8> = self
            .rating
            .criterion
            .iter()
            .flat_map(|criterion| criterion.numbers.clone())
            .collect();
        numbers.sort_unstable();
        demand(numbers.into_iter().eq(1..=9), "there are nine criteria, each once")?;
        demand(
            self.rating
                .criterion
                .iter()
                .all(|criterion| criterion.points.iter().all(|points| (0..=2).contains(points))),
            "a criterion has 0 to 2 points",
        )?;
        demand(
            self.rating.band.iter().any(|band| band.from_points == 0),
            "no band begins at 0 points",
        )?;
        demand(
            distinct(self.priority.iter().map(|priority| priority.code.as_str()).collect()),
            "a priority is there twice",
        )
    }
}
