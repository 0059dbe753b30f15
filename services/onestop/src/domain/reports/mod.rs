//! Báo cáo: what the monthly report counts and when it is due, the index of QĐ 766/QĐ-TTg, ratings by criteria, what is published.

mod index;
mod period;
mod publication;
mod rating;
mod report;
mod rules;

use serde::{Deserialize, Serialize};

pub use index::{GroupScore, IndexScore, Rate, RateKind};
pub use period::{Period, PeriodRefused, month_of, settled_until};
pub use publication::{Published, Punctuality, SMALLEST, publish};
pub use rating::{Assessment, assess};
pub use report::{AfterReport, Report};
pub use rules::{CentreRules, Form, IndexGroup, Priority, RulesError};

use super::statistics::{Columns, Figures};

/// What a report contains: frozen when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Everything together.
    pub total: Columns,
    /// By unit.
    pub by_unit: Vec<Figures>,
    /// By field.
    pub by_sector: Vec<Figures>,
    /// By procedure.
    pub by_procedure: Vec<Figures>,
}

impl Content {
    /// What differs from another content: the table and the key, at most so many.
    pub fn differences(&self, other: &Self, at_most: usize) -> Vec<String> {
        let mut found = Vec::new();
        if self.total != other.total {
            found.push("total".to_owned());
        }
        for (table, ours, theirs) in [
            ("unit", &self.by_unit, &other.by_unit),
            ("sector", &self.by_sector, &other.by_sector),
            ("procedure", &self.by_procedure, &other.by_procedure),
        ] {
            let of = |rows: &[Figures], key: &str| rows.iter().find(|row| row.key == key).map(|row| row.columns);
            let keys = ours.iter().chain(theirs).map(|row| row.key.as_str());
            let keys: std::collections::BTreeSet<&str> = keys.collect();
            let differing = keys.into_iter().filter(|key| of(ours, key) != of(theirs, key));
            found.extend(differing.map(|key| format!("{table} {key}")));
        }
        found.truncate(at_most);
        found
    }
}

/// A part of a whole in hundredths of `unit`s (10,000 for a rate in percent), rounded half up; none of nothing.
pub fn hundredths(part: i64, whole: i64, unit: i64) -> Option<i32> {
    let (part, whole, unit) = (i128::from(part), i128::from(whole), i128::from(unit));
    if whole <= 0 {
        return None;
    }
    i32::try_from((part * unit * 2 + whole).div_euclid(whole * 2)).ok()
}

#[cfg(test)]
mod tests;
