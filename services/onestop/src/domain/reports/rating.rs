//! Đánh giá: from the three steps that citizens see to the nine criteria inside.

use super::rules::CentreRules;
use crate::domain::statistics::Columns;

/// The ratings of a group by criteria, in hundredths of points; none without a rating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// By number of the criterion.
    pub criteria: Vec<(u8, Option<i32>)>,
    /// Over all criteria.
    pub total: Option<i32>,
    /// Xếp loại.
    pub band: Option<String>,
}

/// What the ratings of a period come to. Every rating stands for the same points in a criterion, as the rules say, so that the
/// counts of the steps are all that is needed.
pub fn assess(columns: &Columns, rules: &CentreRules) -> Assessment {
    let steps = [
        columns.rated_dissatisfied,
        columns.rated_satisfied,
        columns.rated_very_satisfied,
    ];
    let points_of = |points: &[i64; 3]| {
        points
            .iter()
            .zip(steps)
            .map(|(points, count)| points * count)
            .sum::<i64>()
    };
    let mut criteria = Vec::new();
    let mut sum = 0;
    for criterion in &rules.rating.criterion {
        for number in &criterion.numbers {
            let points = points_of(&criterion.points);
            sum += points;
            criteria.push((*number, super::hundredths(points, columns.rated(), 100)));
        }
    }
    criteria.sort_unstable();
    let total = super::hundredths(sum, columns.rated(), 100);
    let band = rules
        .rating
        .band
        .iter()
        .filter(|band| columns.rated() > 0 && sum >= band.from_points * columns.rated())
        .max_by_key(|band| band.from_points);
    Assessment {
        criteria,
        total,
        band: band.map(|band| band.name.clone()),
    }
}
