//! What became of units that closed (đơn vị kế thừa), and the pack that tells of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::pack::{PackError, day, rows, status};
use super::unit::{FactStatus, Unit};

/// What happened to a unit that closed; the numbers are those of the contract (`egov.identity.v1.UnitChange`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// Nobody recorded what became of it.
    Unrecorded = 0,
    /// Sáp nhập, hợp nhất.
    Merge = 1,
    /// Chia, tách.
    Split = 2,
    /// Đổi tên, đổi loại.
    Rename = 3,
    /// Chuyển to another unit above.
    Transfer = 4,
    /// Giải thể, bãi bỏ.
    Abolish = 5,
}

impl Change {
    /// Every change.
    pub(crate) const ALL: [Self; 6] = [
        Self::Unrecorded,
        Self::Merge,
        Self::Split,
        Self::Rename,
        Self::Transfer,
        Self::Abolish,
    ];

    /// The number in the contract and in the database.
    pub(crate) const fn number(self) -> i16 {
        self as i16
    }

    /// The change with this number.
    pub(crate) fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.number() == number)
    }
}

/// What became of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// The closed unit.
    pub unit_id: i32,
    /// The first day without it.
    pub effective_date: Date,
    /// What happened to it.
    pub change: Change,
    /// The designated successor, if one was recorded.
    pub successor: Option<i32>,
    /// Every unit that took over a part of it, the designated one among them, sorted.
    pub successors: Vec<i32>,
}

/// What a pack tells of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The day.
    pub effective_date: Date,
    /// The weakest status of its rows.
    pub status: FactStatus,
    /// What became of which unit, in the order of the pack.
    pub closings: Vec<Closing>,
}

/// What closes, what follows it, and whether it was abolished.
type Stated<'a> = (&'a Unit, Option<&'a Unit>, bool);

#[derive(Deserialize)]
struct Row {
    effective_date: String,
    old_code: String,
    new_code: String,
    change: String,
    status: String,
}

/// Reads a list of successions (CSV: `effective_date,old_code,new_code,change,status,note`), by day. A row without a new
/// code says that no successor was recorded; `change` is then empty or `abolish`.
pub(crate) fn read(file: &str, text: &str, units: &[Unit]) -> Result<Vec<Told>, PackError> {
    let mut by_code: HashMap<&str, Vec<&Unit>> = HashMap::new();
    for unit in units {
        by_code.entry(&unit.code).or_default().push(unit);
    }
    let mut stated: BTreeMap<Date, (FactStatus, Vec<Stated<'_>>)> = BTreeMap::new();
    let mut closed = BTreeSet::new();
    for (place, row) in rows::<Row>(file, text)? {
        let on = day(&place, &row.effective_date)?;
        let fact = status(&place, &row.status)?;
        let old = by_code
            .get(row.old_code.as_str())
            .and_then(|units| units.iter().find(|unit| unit.effective_to == Some(on)))
            .ok_or_else(|| place.error(format!("no unit of the code {} ends on {on}", row.old_code)))?;
        if !closed.insert(old.unit_id) {
            return Err(place.error(format!("{} closes twice on {on}", row.old_code)));
        }
        let new = match row.new_code.as_str() {
            "" => None,
            code => Some(
                *by_code
                    .get(code)
                    .and_then(|units| units.iter().find(|unit| unit.in_force(on)))
                    .ok_or_else(|| place.error(format!("no unit carries the code {code} on {on}")))?,
            ),
        };
        let abolished = match (row.change.as_str(), new) {
            ("", _) => false,
            ("abolish", None) => true,
            (other, _) => {
                return Err(place.error(format!("change {other:?} is empty, or abolish where nothing follows")));
            }
        };
        let entry = stated.entry(on).or_insert((FactStatus::Confirmed, Vec::new()));
        if fact == FactStatus::Unconfirmed {
            entry.0 = fact;
        }
        entry.1.push((old, new, abolished));
    }
    Ok(stated
        .into_iter()
        .map(|(effective_date, (status, rows))| {
            let mut parts: HashMap<i32, usize> = HashMap::new();
            for (_, new, _) in &rows {
                if let Some(new) = new {
                    *parts.entry(new.unit_id).or_default() += 1;
                }
            }
            let closings = rows
                .iter()
                .map(|(old, new, abolished)| Closing {
                    unit_id: old.unit_id,
                    effective_date,
                    change: match new {
                        None if *abolished => Change::Abolish,
                        None => Change::Unrecorded,
                        Some(new) if parts.get(&new.unit_id).is_some_and(|parts| *parts > 1) => Change::Merge,
                        Some(new) if new.name != old.name || new.kind != old.kind => Change::Rename,
                        Some(_) => Change::Transfer,
                    },
                    successor: new.map(|new| new.unit_id),
                    successors: new.iter().map(|new| new.unit_id).collect(),
                })
                .collect();
            Told {
                effective_date,
                status,
                closings,
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_proto::egov::identity::v1::UnitChange;

    #[test]
    fn the_changes_are_those_of_the_contract() {
        for (change, contract) in [
            (Change::Unrecorded, UnitChange::Unspecified),
            (Change::Merge, UnitChange::Merge),
            (Change::Split, UnitChange::Split),
            (Change::Rename, UnitChange::Rename),
            (Change::Transfer, UnitChange::Transfer),
            (Change::Abolish, UnitChange::Abolish),
        ] {
            assert_eq!(i32::from(change.number()), contract as i32);
            assert_eq!(Change::from_number(change.number()), Some(change));
        }
    }
}
