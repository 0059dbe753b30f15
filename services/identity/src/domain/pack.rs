//! Packs of units (`deploy/packs/units`, `deploy/packs/agency-codes`): reading them, and planning what they change.
//!
//! A pack states what is so, from a day on. Importing it states it again: what is there stays, what differs is put right,
//! what is new gets an id. Nothing is ever removed; a unit ends because its row says until when it existed, or because its
//! code begins a new period.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use egov_codes::AgencyCode;
use jiff::civil::Date;
use serde::Deserialize;

use super::unit::{FactStatus, Unit, UnitKind};

/// The files of a pack, as text.
#[derive(Clone, Debug)]
pub struct UnitPack<'a> {
    /// What to call the pack in history and messages, for example `units-2025`.
    pub name: &'a str,
    /// Lists of units (CSV: `code,name,level,parent,effective_from,status,note`, and `effective_to` where a period ended), each with its file name.
    pub units: Vec<(&'a str, &'a str)>,
    /// Departments that every commune or ward has (CSV: `suffix,applies_to,name,level,effective_from,status,note`).
    pub commune_departments: Option<(&'a str, &'a str)>,
    /// Agency codes (CSV: `unit_code,agency_code,status,note`).
    pub agency_codes: Option<(&'a str, &'a str)>,
}

/// What is wrong with a pack, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {problem}")]
pub struct PackError {
    /// The file.
    pub file: String,
    /// The line, counted from 1; the header is line 1.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
}

/// What an import changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Units that are new, each after the one above it.
    pub opened: Vec<Unit>,
    /// Units that are put right, as they will be.
    pub changed: Vec<Unit>,
    /// How many rows of the pack are there already, just so.
    pub unchanged: usize,
}

impl Plan {
    /// Whether nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.changed.is_empty()
    }
}

/// A unit as a pack states it.
struct Stated {
    place: Place,
    code: String,
    name: String,
    level: String,
    parent: Option<String>,
    effective_from: Date,
    effective_to: Option<Date>,
    status: FactStatus,
    note: String,
}

#[derive(Clone)]
pub(super) struct Place {
    file: String,
    line: u64,
}

impl Place {
    pub(super) fn error(&self, problem: impl Into<String>) -> PackError {
        PackError {
            file: self.file.clone(),
            line: self.line,
            problem: problem.into(),
        }
    }
}

#[derive(Deserialize)]
struct UnitRow {
    code: String,
    name: String,
    level: String,
    parent: String,
    effective_from: String,
    #[serde(default)]
    effective_to: String,
    status: String,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
struct CommuneDepartmentRow {
    suffix: String,
    applies_to: String,
    name: String,
    level: String,
    effective_from: String,
    status: String,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
struct AgencyCodeRow {
    unit_code: String,
    agency_code: String,
    status: String,
}

/// The first day of the government of two levels (chính quyền địa phương hai cấp).
const TWO_LEVELS: Date = Date::constant(2025, 7, 1);

/// Plans what importing `pack` changes on top of `existing`.
pub(crate) fn plan(existing: &[Unit], pack: &UnitPack<'_>) -> Result<Plan, PackError> {
    let stated = read_units(pack)?;
    let mut work = Work::new(existing);
    for one in &stated {
        work.state(one)?;
    }
    work.resolve_parents(&stated)?;
    work.check_periods(&stated)?;
    if let Some((file, text)) = pack.agency_codes {
        work.set_agency_codes(file, text)?;
    }
    work.check_tree(pack.name)?;
    Ok(work.finish(existing, stated.len()))
}

fn read_units(pack: &UnitPack<'_>) -> Result<Vec<Stated>, PackError> {
    let mut stated = Vec::new();
    for (file, text) in &pack.units {
        for (place, row) in rows::<UnitRow>(file, text)? {
            stated.push(Stated {
                effective_from: day(&place, &row.effective_from)?,
                effective_to: match row.effective_to.trim() {
                    "" => None,
                    text => Some(day(&place, text)?),
                },
                status: status(&place, &row.status)?,
                parent: Some(row.parent).filter(|parent| !parent.is_empty()),
                code: row.code,
                name: row.name,
                level: row.level,
                note: row.note,
                place,
            });
        }
    }
    let Some((file, text)) = pack.commune_departments else {
        return Ok(stated);
    };
    let templates = rows::<CommuneDepartmentRow>(file, text)?;
    let mut departments = Vec::new();
    for above in stated
        .iter()
        .filter(|one| matches!(one.level.as_str(), "xa" | "phuong"))
    {
        for (place, row) in &templates {
            if !matches!(row.applies_to.as_str(), "all" | "xa" | "phuong") {
                return Err(place.error("applies_to is all, xa or phuong"));
            }
            if row.applies_to != "all" && row.applies_to != above.level {
                continue;
            }
            departments.push(Stated {
                place: place.clone(),
                code: format!("{}.{}", above.code, row.suffix),
                name: row.name.clone(),
                level: row.level.clone(),
                parent: Some(above.code.clone()),
                effective_from: day(place, &row.effective_from)?.max(above.effective_from),
                effective_to: above.effective_to,
                status: status(place, &row.status)?,
                note: row.note.clone(),
            });
        }
    }
    stated.extend(departments);
    Ok(stated)
}

pub(super) fn rows<R: for<'de> Deserialize<'de>>(file: &str, text: &str) -> Result<Vec<(Place, R)>, PackError> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let wrong = |error: &csv::Error, line: u64| PackError {
        file: file.to_owned(),
        line,
        problem: error.to_string(),
    };
    let headers = reader.headers().cloned().map_err(|error| wrong(&error, 1))?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            wrong(&error, line)
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = record
            .deserialize(Some(&headers))
            .map_err(|error| wrong(&error, line))?;
        let file = file.to_owned();
        rows.push((Place { file, line }, row));
    }
    Ok(rows)
}

pub(super) fn day(place: &Place, text: &str) -> Result<Date, PackError> {
    text.trim()
        .parse()
        .map_err(|_| place.error(format!("{text:?} is not a day like 2025-07-01")))
}

pub(super) fn status(place: &Place, word: &str) -> Result<FactStatus, PackError> {
    FactStatus::from_word(word)
        .ok_or_else(|| place.error(format!("status {word:?} is not confirmed, unconfirmed or decided")))
}

/// All units as they will be.
struct Work {
    units: BTreeMap<i32, Unit>,
    by_key: HashMap<(String, Date), i32>,
    /// The code above each unit, as it is known or stated.
    above: HashMap<i32, Option<String>>,
    next_id: i32,
}

impl Work {
    fn new(existing: &[Unit]) -> Self {
        let units: BTreeMap<i32, Unit> = existing.iter().map(|unit| (unit.unit_id, unit.clone())).collect();
        let by_key = existing
            .iter()
            .map(|unit| ((unit.code.clone(), unit.effective_from), unit.unit_id))
            .collect();
        let next_id = units.last_key_value().map_or(1, |(last, _)| last + 1);
        let above = units
            .values()
            .map(|unit| {
                let code = unit
                    .parent_id
                    .and_then(|id| units.get(&id))
                    .map(|unit| unit.code.clone());
                (unit.unit_id, code)
            })
            .collect();
        Self {
            units,
            by_key,
            above,
            next_id,
        }
    }

    /// Takes one statement up; parents come later, when every unit is known.
    fn state(&mut self, stated: &Stated) -> Result<(), PackError> {
        if stated.code.is_empty() || stated.name.is_empty() {
            return Err(stated.place.error("code and name must not be empty"));
        }
        if stated.effective_to.is_some_and(|end| end <= stated.effective_from) {
            return Err(stated.place.error("the period ends before it begins"));
        }
        let key = (stated.code.clone(), stated.effective_from);
        let exactly = self.by_key.get(&key).copied().filter(|id| {
            self.units
                .get(id)
                .is_some_and(|unit| unit.effective_from == stated.effective_from)
        });
        if exactly.is_none() && self.goes_on(stated) {
            return Ok(());
        }
        self.end_earlier_period(stated);
        let unit_id = exactly.unwrap_or_else(|| {
            let id = self.next_id;
            self.next_id += 1;
            self.by_key.insert(key, id);
            id
        });
        let known = self.units.get(&unit_id);
        let unit = Unit {
            unit_id,
            code: stated.code.clone(),
            name: stated.name.clone(),
            kind: UnitKind::Province,
            parent_id: None,
            effective_from: stated.effective_from,
            // A pack that does not say when a period ends does not open one that was closed.
            effective_to: stated
                .effective_to
                .or_else(|| known.and_then(|known| known.effective_to)),
            agency_code: known.and_then(|known| known.agency_code.clone()),
            agency_code_provisional: known.is_some_and(|known| known.agency_code_provisional),
            status: stated.status,
            note: stated.note.clone(),
        };
        self.units.insert(unit_id, unit);
        self.above.insert(unit_id, stated.parent.clone());
        Ok(())
    }

    /// Whether the statement is about a unit that is known under another first day: the same name below the same unit, in
    /// one unbroken period. Such a unit keeps its id. If the statement begins in the middle, it may only say when the
    /// period ends; if it begins before, the unit is older than was known, and its first day moves back.
    fn goes_on(&mut self, stated: &Stated) -> bool {
        let found = self.units.values().find(|unit| {
            unit.code == stated.code
                && unit.name == stated.name
                && self.above.get(&unit.unit_id) == Some(&stated.parent)
                && if unit.effective_from < stated.effective_from {
                    unit.exists_from(stated.effective_from)
                } else {
                    stated.effective_to.is_none_or(|end| end >= unit.effective_from)
                }
                && self.below_the_same(unit, stated)
        });
        let Some(unit_id) = found.map(|unit| unit.unit_id) else {
            return false;
        };
        let Some(unit) = self.units.get_mut(&unit_id) else {
            return false;
        };
        if stated.effective_from < unit.effective_from {
            self.by_key.remove(&(unit.code.clone(), unit.effective_from));
            unit.effective_from = stated.effective_from;
            unit.status = stated.status;
            unit.note.clone_from(&stated.note);
        } else if unit.effective_to.is_none() {
            unit.effective_to = stated.effective_to;
        }
        self.by_key
            .insert((stated.code.clone(), stated.effective_from), unit_id);
        true
    }

    /// Whether the unit above is one and the same from the earlier of the two days on to the later.
    fn below_the_same(&self, unit: &Unit, stated: &Stated) -> bool {
        let Some(code) = &stated.parent else { return true };
        let (first, last) = (
            unit.effective_from.min(stated.effective_from),
            unit.effective_from.max(stated.effective_from),
        );
        match (self.in_force(code, first), self.in_force(code, last)) {
            (Some(first), Some(last)) => first.unit_id == last.unit_id,
            _ => false,
        }
    }

    /// A code that begins anew ends its open period on that day: a code means one unit a day.
    fn end_earlier_period(&mut self, stated: &Stated) {
        for unit in self.units.values_mut() {
            if unit.code == stated.code && unit.effective_from < stated.effective_from && unit.effective_to.is_none() {
                unit.effective_to = Some(stated.effective_from);
            }
        }
    }

    fn id_of(&self, stated: &Stated) -> Option<i32> {
        self.by_key.get(&(stated.code.clone(), stated.effective_from)).copied()
    }

    fn in_force(&self, code: &str, on: Date) -> Option<&Unit> {
        self.units.values().find(|unit| unit.code == code && unit.in_force(on))
    }

    /// Finds the unit above each, on the first day, and from it the kind.
    fn resolve_parents(&mut self, stated: &[Stated]) -> Result<(), PackError> {
        let mut waiting: Vec<&Stated> = stated.iter().collect();
        let mut known: BTreeSet<i32> = self.units.keys().copied().collect();
        for one in stated {
            if let Some(id) = self.id_of(one) {
                known.remove(&id);
            }
        }
        // From above to below: a kind follows from the kind above. What is left when nothing moves hangs on itself.
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut left = Vec::new();
            for one in waiting {
                let (parent_id, above) = match &one.parent {
                    None => (None, None),
                    Some(code) => {
                        // A row that confirms an older period is resolved by the day of that period.
                        let day = self
                            .id_of(one)
                            .and_then(|id| self.units.get(&id))
                            .map_or(one.effective_from, |unit| unit.effective_from);
                        let parent = self.in_force(code, day).ok_or_else(|| {
                            one.place.error(format!(
                                "no unit carries the code {code} on {}, where {} lies below it",
                                day, one.code
                            ))
                        })?;
                        if !known.contains(&parent.unit_id) {
                            left.push(one);
                            continue;
                        }
                        (Some(parent.unit_id), Some(parent.kind))
                    }
                };
                let kind = kind(one, above)?;
                if let Some(id) = self.id_of(one)
                    && let Some(unit) = self.units.get_mut(&id)
                {
                    (unit.parent_id, unit.kind) = (parent_id, kind);
                    known.insert(id);
                }
            }
            if left.len() == before
                && let Some(first) = left.first()
            {
                return Err(first.place.error(format!("{} lies below itself", first.code)));
            }
            waiting = left;
        }
        Ok(())
    }

    /// No code may mean two units on one day.
    fn check_periods(&self, stated: &[Stated]) -> Result<(), PackError> {
        let mut by_code: HashMap<&str, Vec<&Unit>> = HashMap::new();
        for unit in self.units.values() {
            by_code.entry(&unit.code).or_default().push(unit);
        }
        for one in stated {
            let periods = by_code.get(one.code.as_str()).map_or(&[][..], Vec::as_slice);
            for (place, unit) in periods.iter().enumerate() {
                if let Some(other) = periods.iter().skip(place + 1).find(|other| unit.overlaps(other)) {
                    return Err(one.place.error(format!(
                        "the code {} would mean two units from {} on",
                        one.code,
                        unit.effective_from.max(other.effective_from)
                    )));
                }
            }
        }
        Ok(())
    }

    /// An agency code belongs to the latest period of its unit's code.
    fn set_agency_codes(&mut self, file: &str, text: &str) -> Result<(), PackError> {
        let mut latest: HashMap<String, (Date, i32)> = HashMap::new();
        for unit in self.units.values() {
            let entry = latest
                .entry(unit.code.clone())
                .or_insert((unit.effective_from, unit.unit_id));
            *entry = (*entry).max((unit.effective_from, unit.unit_id));
        }
        let mut seen: HashMap<String, String> = HashMap::new();
        for (place, row) in rows::<AgencyCodeRow>(file, text)? {
            let provisional = match row.status.as_str() {
                "confirmed" | "decided" => false,
                "provisional" => true,
                other => {
                    return Err(place.error(format!("status {other:?} is not confirmed, decided or provisional")));
                }
            };
            let code: AgencyCode = row
                .agency_code
                .parse()
                .map_err(|error| place.error(format!("{}: {error}", row.agency_code)))?;
            if let Some(other) = seen.insert(code.to_string(), row.unit_code.clone()) {
                return Err(place.error(format!("{code} is the agency code of {other} already")));
            }
            let unit = latest
                .get(&row.unit_code)
                .and_then(|(_, id)| self.units.get_mut(id))
                .ok_or_else(|| place.error(format!("there is no unit {}", row.unit_code)))?;
            unit.agency_code = Some(code.to_string());
            unit.agency_code_provisional = provisional;
        }
        Ok(())
    }

    fn check_tree(&self, pack: &str) -> Result<(), PackError> {
        egov_auth::UnitTree::new(
            0,
            self.units.values().map(|unit| egov_auth::Unit {
                id: unit.unit_id,
                parent: unit.parent_id,
            }),
        )
        .map(drop)
        .map_err(|error| PackError {
            file: pack.to_owned(),
            line: 0,
            problem: error.to_string(),
        })
    }

    fn finish(self, existing: &[Unit], stated: usize) -> Plan {
        let before: HashMap<i32, &Unit> = existing.iter().map(|unit| (unit.unit_id, unit)).collect();
        let mut plan = Plan::default();
        for (id, unit) in &self.units {
            match before.get(id) {
                None => plan.opened.push(unit.clone()),
                Some(known) if *known != unit => plan.changed.push(unit.clone()),
                Some(_) => {}
            }
        }
        let depth = |unit: &Unit| {
            let mut depth = 0;
            let mut at = unit.parent_id;
            while let Some(above) = at {
                depth += 1;
                at = self.units.get(&above).and_then(|unit| unit.parent_id);
            }
            depth
        };
        plan.opened.sort_by_key(|unit| (depth(unit), unit.unit_id));
        plan.unchanged = stated.saturating_sub(plan.opened.len() + plan.changed.len());
        plan
    }
}

fn kind(stated: &Stated, above: Option<UnitKind>) -> Result<UnitKind, PackError> {
    let level = stated.level.as_str();
    let former = |kind| {
        if stated.effective_from < TWO_LEVELS {
            Ok(kind)
        } else {
            Err(stated
                .place
                .error(format!("level {level} ended with the government of three levels")))
        }
    };
    let within = above.is_some_and(|above| above == UnitKind::Province || above.is_district());
    match (level, above) {
        ("tinh", None) => Ok(UnitKind::Province),
        ("xa", Some(_)) if within => Ok(UnitKind::Commune),
        ("phuong", Some(_)) if within => Ok(UnitKind::Ward),
        ("thi_tran", Some(above)) if above.is_district() => former(UnitKind::Township),
        ("huyen", Some(UnitKind::Province)) => former(UnitKind::District),
        ("thanh_pho", Some(UnitKind::Province)) => former(UnitKind::ProvincialCity),
        ("thi_xa", Some(UnitKind::Province)) => former(UnitKind::Town),
        ("tinh" | "xa" | "phuong" | "thi_tran" | "huyen" | "thanh_pho" | "thi_xa", _) => Err(stated
            .place
            .error(format!("a unit of level {level} cannot stand there in the tree"))),
        (_, Some(above)) => above.department().ok_or_else(|| {
            stated
                .place
                .error("departments of the three-level government are not kept")
        }),
        (_, None) => Err(stated.place.error("only the province lies below no other unit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const UNITS: &str = "code,name,level,parent,effective_from,status,note\n\
        40,Tỉnh Nghệ An,tinh,,2025-03-01,confirmed,\n\
        16690,Phường Trường Vinh,phuong,40,2025-07-01,confirmed,\n\
        17329,Xã Kim Liên,xa,40,2025-07-01,confirmed,\n";
    const DEPARTMENTS: &str = "code,name,level,parent,effective_from,status,note\n\
        40.STP.TT,Trung tâm,trung_tam,40.STP,2025-03-01,unconfirmed,\n\
        40.STP,Sở Tư pháp,so,40,2025-03-01,confirmed,\n";
    const BELOW: &str = "suffix,applies_to,name,level,effective_from,status,note\n\
        VP,all,Văn phòng,van_phong,2025-07-01,unconfirmed,\n\
        KT,xa,Phòng Kinh tế,phong,2025-07-01,confirmed,\n";
    const CODES: &str = "unit_code,agency_code,status,note\n\
        40,H41,confirmed,\n16690,H41.101,provisional,\n";

    fn pack(units: &str) -> UnitPack<'_> {
        UnitPack {
            name: "test",
            units: vec![("units.csv", units), ("departments.csv", DEPARTMENTS)],
            commune_departments: Some(("commune_departments.csv", BELOW)),
            agency_codes: Some(("codes.csv", CODES)),
        }
    }

    fn apply(existing: &[Unit], plan: &Plan) -> Vec<Unit> {
        let mut all: BTreeMap<i32, Unit> = existing
            .iter()
            .chain(&plan.opened)
            .chain(&plan.changed)
            .map(|unit| (unit.unit_id, unit.clone()))
            .collect();
        std::mem::take(&mut all).into_values().collect()
    }

    fn find<'a>(units: &'a [Unit], code: &str, on: Date) -> &'a Unit {
        units
            .iter()
            .find(|unit| unit.code == code && unit.in_force(on))
            .unwrap()
    }

    #[test]
    fn a_pack_becomes_a_tree_with_the_departments_of_every_commune() {
        let plan = plan(&[], &pack(UNITS)).unwrap();
        assert_eq!((plan.opened.len(), plan.changed.len(), plan.unchanged), (8, 0, 0));
        let units = apply(&[], &plan);
        let today = date(2026, 11, 23);
        let ward = find(&units, "16690", today);
        assert_eq!(ward.kind, UnitKind::Ward);
        assert_eq!(ward.agency_code.as_deref(), Some("H41.101"));
        assert!(ward.agency_code_provisional);
        let office = find(&units, "16690.VP", today);
        assert_eq!(office.parent_id, Some(ward.unit_id));
        assert_eq!(office.kind, UnitKind::CommuneDepartment);
        let centre = find(&units, "40.STP.TT", today);
        assert_eq!(centre.kind, UnitKind::ProvinceDepartment);
        assert_eq!(centre.parent_id, Some(find(&units, "40.STP", today).unit_id));
        assert!(units.iter().all(|unit| unit.code != "16690.KT"));
        // Each stands after the one above it.
        let place = |id| plan.opened.iter().position(|unit| unit.unit_id == id);
        for unit in &plan.opened {
            if let Some(parent) = unit.parent_id {
                assert!(place(parent) < place(unit.unit_id));
            }
        }
    }

    #[test]
    fn the_same_pack_again_changes_nothing() {
        let first = plan(&[], &pack(UNITS)).unwrap();
        let units = apply(&[], &first);
        let again = plan(&units, &pack(UNITS)).unwrap();
        assert!(again.is_empty());
        assert_eq!(again.unchanged, 8);
    }

    #[test]
    fn ids_stay_when_names_change_and_when_rows_are_added_before_them() {
        let first = plan(&[], &pack(UNITS)).unwrap();
        let units = apply(&[], &first);
        let renamed = UNITS.replace("Xã Kim Liên", "Xã Kim Liên mới").replace(
            "16690,",
            "16681,Phường Thành Vinh,phuong,40,2025-07-01,confirmed,\n16690,",
        );
        let second = plan(&units, &pack(&renamed)).unwrap();
        assert_eq!(second.changed.len(), 1);
        assert_eq!(second.opened.len(), 2, "the new ward and its office");
        let after = apply(&units, &second);
        let on = date(2026, 1, 1);
        for code in ["40", "16690", "17329", "17329.VP", "40.STP"] {
            assert_eq!(find(&units, code, on).unit_id, find(&after, code, on).unit_id);
        }
        assert_eq!(find(&after, "17329", on).name, "Xã Kim Liên mới");
    }

    #[test]
    fn a_code_that_begins_anew_ends_its_period_and_gets_another_id() {
        let units = apply(&[], &plan(&[], &pack(UNITS)).unwrap());
        let reform = "code,name,level,parent,effective_from,status,note\n\
            17329,Xã Sen Mới,xa,40,2027-01-01,decided,\n";
        let pack = UnitPack {
            name: "reform",
            units: vec![("reform.csv", reform)],
            commune_departments: None,
            agency_codes: None,
        };
        let after = apply(&units, &plan(&units, &pack).unwrap());
        let (old, new) = (
            find(&after, "17329", date(2026, 12, 31)),
            find(&after, "17329", date(2027, 1, 1)),
        );
        assert_ne!(old.unit_id, new.unit_id);
        assert_eq!(old.effective_to, Some(date(2027, 1, 1)));
        assert_eq!(new.name, "Xã Sen Mới");
        // The older pack, imported again, does not open what was closed.
        assert!(plan(&after, &self::pack(UNITS)).unwrap().is_empty());
    }

    const PAST: &str = "code,name,level,parent,effective_from,effective_to,status,note\n\
        40,Tỉnh Nghệ An,tinh,,2021-01-01,,confirmed,\n\
        412,Thành phố Vinh,thanh_pho,40,2021-01-01,,unconfirmed,\n\
        17329,Thị trấn Anh Sơn,thi_tran,412,2021-01-01,2024-12-01,unconfirmed,\n\
        16690,Phường Bến Thủy,phuong,412,2021-01-01,,unconfirmed,\n";
    const BETWEEN: &str = "code,name,level,parent,effective_from,effective_to,status,note\n\
        40,Tỉnh Nghệ An,tinh,,2024-12-01,,confirmed,\n\
        412,Thành phố Vinh,thanh_pho,40,2024-12-01,2025-07-01,confirmed,\n\
        17329,Thị trấn Kim Nhan,thi_tran,412,2024-12-01,2025-07-01,unconfirmed,\n\
        16690,Phường Bến Thủy,phuong,412,2024-12-01,2025-07-01,confirmed,\n";

    fn past() -> UnitPack<'static> {
        UnitPack {
            name: "past",
            units: vec![("past.csv", PAST), ("between.csv", BETWEEN)],
            commune_departments: None,
            agency_codes: None,
        }
    }

    #[test]
    fn what_was_before_comes_beside_what_is_and_what_goes_on_is_one_unit() {
        let now = apply(&[], &plan(&[], &pack(UNITS)).unwrap());
        let history = plan(&now, &past()).unwrap();
        // Vinh, Bến Thủy, and the township under two names; of what was there the province turned out older.
        assert_eq!((history.opened.len(), history.changed.len()), (4, 1));
        let all = apply(&now, &history);
        let province = find(&all, "40", date(2021, 6, 1));
        assert_eq!((province.unit_id, province.effective_from), (1, date(2021, 1, 1)));
        let ward = find(&all, "16690", date(2021, 6, 1));
        assert_eq!((ward.effective_to, ward.kind), (Some(date(2025, 7, 1)), UnitKind::Ward));
        assert_eq!(find(&all, "16690", date(2025, 6, 30)).unit_id, ward.unit_id);
        assert_eq!(find(&all, "17329", date(2024, 11, 30)).name, "Thị trấn Anh Sơn");
        assert_eq!(find(&all, "17329", date(2024, 12, 1)).kind, UnitKind::Township);
        assert_eq!(find(&all, "17329", date(2025, 7, 1)).name, "Xã Kim Liên");
        for again in [past(), pack(UNITS)] {
            assert!(plan(&all, &again).unwrap().is_empty());
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_line() {
        for (change, line, problem) in [
            (("xa,40,", "xa,99,"), 4, "no unit carries the code 99"),
            (("17329,Xã Kim Liên,xa", "16690,Xã Kim Liên,huyen"), 4, "three levels"),
            (("xa,40,2025-07-01", "xa,40,2025-13-01"), 4, "is not a day"),
            (("xa,40,2025-07-01,confirmed", "xa,40,2025-07-01,sure"), 4, "status"),
            (("phuong,40", "phuong,17329"), 3, "cannot stand there"),
            (("tinh,,", "so,,"), 2, "only the province"),
            (
                ("17329,Xã Kim Liên,xa,40,2025-07-01", "17329,,xa,40,2025-07-01"),
                4,
                "must not be empty",
            ),
        ] {
            let text = UNITS.replace(change.0, change.1);
            let error = plan(&[], &pack(&text)).unwrap_err();
            assert!(error.problem.contains(problem), "{error}");
            assert_eq!(error.line, line, "{error}");
        }
    }

    #[test]
    fn a_circle_and_a_code_with_two_meanings_are_refused() {
        let circle = DEPARTMENTS.replace("so,40,", "so,40.STP.TT,");
        let mut pack = pack(UNITS);
        pack.units[1].1 = &circle;
        let error = plan(&[], &pack).unwrap_err();
        assert!(error.problem.contains("lies below itself"), "{error}");

        let twice = "code,name,level,parent,effective_from,effective_to,status,note\n\
            40,Tỉnh Nghệ An,tinh,,2025-03-01,,confirmed,\n\
            17329,Xã A,xa,40,2025-07-01,2026-07-01,confirmed,\n\
            17329,Xã B,xa,40,2026-01-01,,confirmed,\n";
        let error = plan(&[], &self::pack(twice)).unwrap_err();
        assert!(error.problem.contains("two units from 2026-01-01"), "{error}");
    }

    #[test]
    fn a_wrong_agency_code_is_refused() {
        for (codes, problem) in [
            ("unit_code,agency_code,status,note\n99,H41.1,confirmed,\n", "no unit 99"),
            ("unit_code,agency_code,status,note\n40,41,confirmed,\n", "41"),
            ("unit_code,agency_code,status,note\n40,H41,maybe,\n", "status"),
            (
                "unit_code,agency_code,status,note\n40,H41,confirmed,\n16690,H41,confirmed,\n",
                "agency code of 40 already",
            ),
        ] {
            let mut pack = pack(UNITS);
            pack.agency_codes = Some(("codes.csv", codes));
            let error = plan(&[], &pack).unwrap_err();
            assert!(error.problem.contains(problem), "{error}");
        }
    }
}
