//! Units of every period, and how they are found.

use std::collections::HashMap;

use egov_auth::{UnitTree, UnitTreeError};
use jiff::civil::Date;

use crate::UnitKind;

/// A unit (đơn vị) in one period of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Internal id, never used again.
    pub id: i32,
    /// Mã đơn vị in this period. Other periods may give the same code to another unit.
    pub code: String,
    /// Tên.
    pub name: String,
    /// Loại.
    pub kind: UnitKind,
    /// The unit above; none for the province.
    pub parent: Option<i32>,
    /// The first day of the period.
    pub effective_from: Date,
    /// The day on which it no longer counts; none if open.
    pub effective_to: Option<Date>,
    /// Mã định danh cơ quan, if one was loaded.
    pub agency_code: Option<AgencyCode>,
}

/// A unit's agency code (mã định danh cơ quan, QĐ 20/2020/QĐ-TTg).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgencyCode {
    /// The code.
    pub code: String,
    /// True if the province has not issued it: it prints as such, and no case code may be made from it in production.
    pub provisional: bool,
}

impl Unit {
    /// Whether the unit exists on a day.
    pub fn in_force(&self, on: Date) -> bool {
        self.effective_from <= on && self.effective_to.is_none_or(|end| on < end)
    }
}

/// Where a unit's work is on a day, by way of designated successors (đơn vị kế thừa).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts<'a> {
    /// The unit itself exists on the day.
    Here(&'a Unit),
    /// The unit has closed; its work is at this one.
    MovedTo(&'a Unit),
    /// The unit, or one that its work went to, has closed, and no successor was recorded.
    NoSuccessor,
    /// The unit does not exist yet on the day.
    NotYet,
}

/// Every unit of every period, in one version.
#[derive(Debug, Default)]
pub struct Units {
    version: i64,
    /// The designated successor of each unit that has one, and the first day without the unit.
    successors: HashMap<i32, (i32, Date)>,
    by_id: HashMap<i32, Unit>,
    /// The ids of every period of a code.
    by_code: HashMap<String, Vec<i32>>,
    /// The ids of the units that carry an agency code, of every period.
    by_agency_code: HashMap<String, Vec<i32>>,
    /// In the order of their ids.
    ids: Vec<i32>,
}

impl Units {
    /// These units in this version. Fails if they make no tree.
    pub fn new(version: i64, units: impl IntoIterator<Item = Unit>) -> Result<(Self, UnitTree), UnitTreeError> {
        let units: Vec<Unit> = units.into_iter().collect();
        let tree = UnitTree::new(
            version,
            units.iter().map(|unit| egov_auth::Unit {
                id: unit.id,
                parent: unit.parent,
            }),
        )?;
        let mut known = Self {
            version,
            ..Self::default()
        };
        for unit in units {
            known.ids.push(unit.id);
            known.by_code.entry(unit.code.clone()).or_default().push(unit.id);
            if let Some(agency) = &unit.agency_code {
                known
                    .by_agency_code
                    .entry(agency.code.clone())
                    .or_default()
                    .push(unit.id);
            }
            known.by_id.insert(unit.id, unit);
        }
        known.ids.sort_unstable();
        Ok((known, tree))
    }

    /// The same units with the designated successors of those that closed: closed unit, successor, first day of it. A
    /// successor that is no unit fails, named by its id.
    pub fn with_successors(mut self, successors: impl IntoIterator<Item = (i32, i32, Date)>) -> Result<Self, i32> {
        for (unit, successor, from) in successors {
            for id in [unit, successor] {
                if !self.by_id.contains_key(&id) {
                    return Err(id);
                }
            }
            self.successors.insert(unit, (successor, from));
        }
        Ok(self)
    }

    /// The version of the tree; 0 before any was seen.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Where the work of a unit is on a day; none if there is no such unit.
    pub fn whereabouts(&self, id: i32, on: Date) -> Option<Whereabouts<'_>> {
        let mut at = self.get(id)?;
        // Successors open when others close, so that the way always leads on; the bound is for a damaged tree.
        for step in 0..=self.successors.len() {
            if at.in_force(on) {
                return Some(if step == 0 {
                    Whereabouts::Here(at)
                } else {
                    Whereabouts::MovedTo(at)
                });
            }
            if on < at.effective_from {
                return Some(Whereabouts::NotYet);
            }
            let next = self.successors.get(&at.id).filter(|(_, from)| *from <= on);
            match next.and_then(|(next, _)| self.get(*next)) {
                Some(next) => at = next,
                None => break,
            }
        }
        Some(Whereabouts::NoSuccessor)
    }

    /// The last unit that carried this code and has closed by this day.
    pub fn last_closed(&self, code: &str, on: Date) -> Option<&Unit> {
        self.by_code
            .get(code)?
            .iter()
            .filter_map(|id| self.by_id.get(id))
            .filter(|unit| unit.effective_to.is_some_and(|end| end <= on))
            .max_by_key(|unit| unit.effective_to)
    }

    /// The units that have closed by a day, by id, with where their work is.
    pub fn closed(&self, on: Date) -> impl Iterator<Item = (&Unit, Whereabouts<'_>)> {
        self.iter()
            .filter(move |unit| unit.effective_to.is_some_and(|end| end <= on))
            .filter_map(move |unit| Some((unit, self.whereabouts(unit.id, on)?)))
    }

    /// The unit with this id, of whatever period.
    pub fn get(&self, id: i32) -> Option<&Unit> {
        self.by_id.get(&id)
    }

    /// The unit that carries this code on this day.
    pub fn resolve(&self, code: &str, on: Date) -> Option<&Unit> {
        self.by_code
            .get(code)?
            .iter()
            .filter_map(|id| self.by_id.get(id))
            .find(|unit| unit.in_force(on))
    }

    /// The agency code of a unit on a day; none if the unit does not exist on that day or has no code.
    pub fn agency_code(&self, id: i32, on: Date) -> Option<&AgencyCode> {
        self.get(id).filter(|unit| unit.in_force(on))?.agency_code.as_ref()
    }

    /// Whose an agency code (mã định danh cơ quan, of either generation) was on a day: the unit that carried it then, or else carried it
    /// last before; if that one has closed, the unit that its work is at on `today`. With it comes the code as it was carried.
    /// None if no unit had it by that day, if two did at once, or if nobody follows the one that had it.
    pub fn agency(&self, code: &str, on: Date, today: Date) -> Option<(&Unit, &AgencyCode)> {
        let carriers: Vec<&Unit> = self
            .by_agency_code
            .get(code)?
            .iter()
            .filter_map(|id| self.by_id.get(id))
            .collect();
        let mut then = carriers.iter().copied().filter(|unit| unit.in_force(on));
        let carrier = match (then.next(), then.next()) {
            (Some(_), Some(_)) => return None,
            (Some(carrier), None) => carrier,
            (None, _) => carriers
                .iter()
                .copied()
                .filter(|unit| unit.effective_to.is_some_and(|end| end <= on))
                .max_by_key(|unit| unit.effective_to)?,
        };
        let agency = carrier.agency_code.as_ref()?;
        match self.whereabouts(carrier.id, today.max(on))? {
            Whereabouts::Here(unit) | Whereabouts::MovedTo(unit) => Some((unit, agency)),
            Whereabouts::NoSuccessor | Whereabouts::NotYet => None,
        }
    }

    /// The units of a day, by id.
    pub fn on(&self, on: Date) -> impl Iterator<Item = &Unit> {
        self.iter().filter(move |unit| unit.in_force(on))
    }

    /// The units directly below a unit on a day, by id.
    pub fn children(&self, parent: i32, on: Date) -> impl Iterator<Item = &Unit> {
        self.on(on).filter(move |unit| unit.parent == Some(parent))
    }

    /// Every unit of every period, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.ids.iter().filter_map(|id| self.by_id.get(id))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn unit(id: i32, code: &str, parent: Option<i32>, from: Date, to: Option<Date>) -> Unit {
        Unit {
            id,
            code: code.to_owned(),
            name: format!("unit {id}"),
            kind: UnitKind::Commune,
            parent,
            effective_from: from,
            effective_to: to,
            agency_code: Some(AgencyCode {
                code: format!("H41.{id}"),
                provisional: true,
            }),
        }
    }

    fn units() -> Units {
        let reform = date(2025, 7, 1);
        let start = date(2004, 1, 1);
        Units::new(
            3,
            [
                unit(1, "40", None, start, None),
                unit(2, "17329", Some(1), start, Some(reform)),
                unit(3, "17329", Some(1), reform, None),
                unit(4, "17329.VP", Some(3), reform, None),
            ],
        )
        .unwrap()
        .0
    }

    #[test]
    fn a_code_resolves_only_together_with_a_day() {
        let units = units();
        let id = |on| units.resolve("17329", on).map(|unit| unit.id);
        assert_eq!(id(date(2003, 12, 31)), None);
        assert_eq!(id(date(2025, 6, 30)), Some(2));
        assert_eq!(id(date(2025, 7, 1)), Some(3));
        assert_eq!(units.resolve("99999", date(2026, 1, 1)), None);
    }

    #[test]
    fn an_agency_code_is_that_of_a_unit_in_force() {
        let units = units();
        assert_eq!(units.agency_code(2, date(2026, 1, 1)), None);
        let code = units.agency_code(3, date(2026, 1, 1)).unwrap();
        assert_eq!((code.code.as_str(), code.provisional), ("H41.3", true));
    }

    #[test]
    fn an_agency_code_is_on_each_day_its_carriers_and_then_its_successors() {
        let (start, reform, later) = (date(2004, 1, 1), date(2025, 7, 1), date(2026, 12, 1));
        let carrying = |id, from, to, code: &str| Unit {
            agency_code: Some(AgencyCode {
                code: code.to_owned(),
                provisional: id == 4,
            }),
            ..unit(id, &format!("unit {id}"), Some(1), from, to)
        };
        let units = Units::new(
            5,
            [
                unit(1, "40", None, start, None),
                // A commune that became part of another one, and a third that has its code since.
                carrying(2, start, Some(reform), "000.12.34.H41"),
                carrying(3, reform, None, "H41.101"),
                carrying(4, later, None, "000.12.34.H41"),
                // One that nobody follows, and two that carry the same at once.
                carrying(5, start, Some(reform), "H41.7"),
                carrying(6, reform, None, "H41.8"),
                carrying(7, reform, None, "H41.8"),
            ],
        )
        .unwrap()
        .0
        .with_successors([(2, 3, reform)])
        .unwrap();
        let whose = |code, on, today| {
            units
                .agency(code, on, today)
                .map(|(unit, agency)| (unit.id, agency.provisional))
        };
        let old = "000.12.34.H41";
        assert_eq!(whose(old, date(2024, 1, 1), date(2025, 6, 30)), Some((2, false)));
        assert_eq!(
            whose(old, date(2024, 1, 1), reform),
            Some((3, false)),
            "its successor's since"
        );
        assert_eq!(
            whose(old, date(2026, 1, 1), later),
            Some((3, false)),
            "the last that had it"
        );
        assert_eq!(whose(old, later, later), Some((4, true)));
        assert_eq!(whose(old, date(2003, 12, 31), later), None, "before anybody had it");
        assert_eq!(whose("H41.101", date(2025, 6, 30), later), None);
        assert_eq!(whose("H41.7", date(2024, 1, 1), date(2024, 1, 1)), Some((5, false)));
        assert_eq!(whose("H41.7", date(2024, 1, 1), later), None, "nobody follows it");
        assert_eq!(whose("H41.8", later, later), None, "two at once");
        assert_eq!(whose("H41.99", later, later), None);
    }

    #[test]
    fn a_closed_unit_is_followed_to_the_one_that_its_work_is_at() {
        let (first, second) = (date(2025, 7, 1), date(2026, 12, 1));
        let start = date(2004, 1, 1);
        let units = Units::new(
            4,
            [
                unit(1, "40", None, start, None),
                unit(2, "A", Some(1), start, Some(first)),
                unit(3, "B", Some(1), first, Some(second)),
                unit(4, "C", Some(1), second, None),
                unit(5, "D", Some(1), start, Some(first)),
            ],
        )
        .unwrap()
        .0
        .with_successors([(2, 3, first), (3, 4, second)])
        .unwrap();
        let id = |unit, on| match units.whereabouts(unit, on) {
            Some(Whereabouts::Here(at) | Whereabouts::MovedTo(at)) => Some(at.id),
            _ => None,
        };
        assert_eq!(id(2, date(2025, 6, 30)), Some(2));
        assert_eq!(id(2, first), Some(3));
        assert_eq!(id(2, date(2026, 11, 30)), Some(3));
        assert_eq!(id(2, second), Some(4));
        assert_eq!(units.whereabouts(5, second), Some(Whereabouts::NoSuccessor));
        assert_eq!(units.whereabouts(4, first), Some(Whereabouts::NotYet));
        assert_eq!(units.whereabouts(9, first), None);
        assert_eq!(units.last_closed("A", second).map(|unit| unit.id), Some(2));
        assert_eq!(units.last_closed("B", first), None);
        let closed: Vec<i32> = units.closed(first).map(|(unit, _)| unit.id).collect();
        assert_eq!(closed, [2, 5]);
    }

    #[test]
    fn a_circle_of_successors_ends_and_an_unknown_one_is_refused() {
        let (start, end) = (date(2004, 1, 1), date(2025, 7, 1));
        let make = || {
            let two = [
                unit(1, "A", None, start, Some(end)),
                unit(2, "B", None, start, Some(end)),
            ];
            Units::new(1, two).unwrap().0
        };
        let units = make().with_successors([(1, 2, end), (2, 1, end)]).unwrap();
        assert_eq!(units.whereabouts(1, end), Some(Whereabouts::NoSuccessor));
        assert_eq!(make().with_successors([(1, 9, end)]).unwrap_err(), 9);
    }

    #[test]
    fn children_are_those_of_the_day() {
        let units = units();
        let ids = |on| units.children(1, on).map(|unit| unit.id).collect::<Vec<_>>();
        assert_eq!(ids(date(2025, 6, 30)), [2]);
        assert_eq!(ids(date(2025, 7, 1)), [3]);
        assert_eq!((units.len(), units.version()), (4, 3));
    }
}
