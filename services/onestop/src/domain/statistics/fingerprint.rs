//! Whether two sets of changes are the same, in little memory: sums and fingerprints by unit, month and measure.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{Key, Measure};

/// A unit, a month and a measure.
pub type Bucket = (i32, i16, i8, Measure);

/// Sums of changes. Those of one side are added, those of the other taken away: what is left differs.
#[derive(Debug, Clone, Default)]
pub struct Fingerprints(BTreeMap<Bucket, (i64, u64)>);

impl Fingerprints {
    /// Adds a change. The fingerprint is linear, so that the order does not matter and equal changes cancel.
    pub fn add(&mut self, key: &Key, amount: i64) {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let of = (key.unit_id, key.day.year(), key.day.month(), key.measure);
        let (sum, print) = self.0.entry(of).or_default();
        *sum = sum.wrapping_add(amount);
        *print = print.wrapping_add(hasher.finish().wrapping_mul(amount.cast_unsigned()));
    }

    /// What is left, and by how much it differs; 0 if only days, procedures or officers do.
    pub fn left(&self) -> impl Iterator<Item = (Bucket, i64)> {
        let differing = self.0.iter().filter(|(_, left)| **left != (0, 0));
        differing.map(|(bucket, (sum, _))| (*bucket, *sum))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn equal_changes_cancel_in_whatever_order_and_anything_else_is_left() {
        let key = |day, officer| Key {
            unit_id: 1,
            procedure_code: "1.001193".to_owned(),
            officer_id: Uuid::from_u128(officer),
            day: date(2026, 11, day),
            recorded_late: None,
            measure: Measure::Overdue,
        };
        let mut prints = Fingerprints::default();
        for (day, amount) in [(1, 2), (2, -1), (1, 1)] {
            prints.add(&key(day, 7), amount);
        }
        for (day, amount) in [(2, 1), (1, -3)] {
            prints.add(&key(day, 7), amount);
        }
        assert_eq!(prints.left().count(), 0);
        prints.add(&key(1, 7), 1);
        prints.add(&key(1, 8), -1);
        let left: Vec<_> = prints.left().collect();
        assert_eq!(left, [((1, 2026, 11, Measure::Overdue), 0)], "another officer's");
    }
}
