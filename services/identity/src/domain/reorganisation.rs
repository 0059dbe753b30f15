//! Sắp xếp đơn vị: what closes and what opens on one day, whether that balances, and what the tree is afterwards.
//!
//! A unit that changes its name, kind, code or place in the tree closes and opens again under another id: what was decided
//! by the old one stays the old one's, and everything that goes on follows to the designated successor (đơn vị kế thừa).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::succession::{Change, Closing};
use super::unit::{FactStatus, Unit, UnitKind};

/// A unit of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Planned {
    /// One that exists and stays.
    Unit(i32),
    /// One that the plan opens, by its key.
    Opening(String),
}

/// A unit that a plan opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// A name of its own inside the plan.
    pub key: String,
    /// Mã đơn vị.
    pub code: String,
    /// Tên.
    pub name: String,
    /// Loại; none if the request named none.
    pub kind: Option<UnitKind>,
    /// The unit above; none if the request named none, or both.
    pub parent: Option<Planned>,
    /// Mã định danh cơ quan.
    pub agency_code: Option<String>,
    /// True if the agency code was not issued by the province.
    pub agency_code_provisional: bool,
}

/// A unit that a plan closes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedClosing {
    /// The unit.
    pub unit_id: i32,
    /// Đơn vị kế thừa.
    pub successor: Option<Planned>,
    /// Said on purpose: nothing follows.
    pub without_successor: bool,
    /// Further units that take over a part.
    pub others: Vec<Planned>,
}

impl PlannedClosing {
    /// Every unit that takes over a part, the designated one first.
    pub(crate) fn successors(&self) -> impl Iterator<Item = &Planned> {
        self.successor.iter().chain(&self.others)
    }
}

/// Phương án sắp xếp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The first day of the new order.
    pub effective_date: Date,
    /// What it is called.
    pub title: String,
    /// Căn cứ pháp lý.
    pub legal_basis: String,
    /// What opens.
    pub openings: Vec<Opening>,
    /// What closes.
    pub closings: Vec<PlannedClosing>,
}

/// A rule that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Where in the plan.
    pub field: String,
    /// Which rule.
    pub rule: &'static str,
    /// In Vietnamese.
    pub vi: String,
    /// In English.
    pub en: String,
}

/// What a plan makes of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Units that end, as they will be.
    pub closed: Vec<Unit>,
    /// Units that begin, each after the one above it.
    pub opened: Vec<Unit>,
    /// What becomes of those that end.
    pub closings: Vec<Closing>,
}

/// Lets the departments below closing units that the plan does not name follow to the department with the same ending of its
/// code below the successor; where there is none it is opened. Below a unit without a successor they close without one.
pub(crate) fn carry(mut plan: Plan, units: &[Unit]) -> Plan {
    let on = plan.effective_date;
    let by_id: HashMap<i32, &Unit> = units.iter().map(|unit| (unit.unit_id, unit)).collect();
    let mut named: HashSet<i32> = plan.closings.iter().map(|closing| closing.unit_id).collect();
    // It grows while it is walked: what is carried has departments of its own.
    let mut next = 0;
    while let Some(above) = plan.closings.get(next).cloned() {
        next += 1;
        let Some(old) = by_id.get(&above.unit_id) else { continue };
        let children: Vec<&Unit> = units
            .iter()
            .filter(|unit| unit.parent_id == Some(old.unit_id) && unit.in_force(on) && !unit.kind.is_territory())
            .filter(|unit| named.insert(unit.unit_id))
            .collect();
        for child in children {
            let successor = above
                .successor
                .as_ref()
                .and_then(|successor| counterpart(&mut plan, units, &by_id, child, old, successor));
            plan.closings.push(PlannedClosing {
                unit_id: child.unit_id,
                without_successor: successor.is_none(),
                successor,
                others: Vec::new(),
            });
        }
    }
    plan
}

/// The department of `successor` that a department of a closing unit follows to; opened if need be.
fn counterpart(
    plan: &mut Plan,
    units: &[Unit],
    by_id: &HashMap<i32, &Unit>,
    child: &Unit,
    above: &Unit,
    successor: &Planned,
) -> Option<Planned> {
    let on = plan.effective_date;
    let above_code = match successor {
        Planned::Unit(id) => by_id.get(id)?.code.clone(),
        Planned::Opening(key) => plan.openings.iter().find(|opening| opening.key == *key)?.code.clone(),
    };
    let code = match child.code.strip_prefix(&above.code) {
        Some(ending) => format!("{above_code}{ending}"),
        None => child.code.clone(),
    };
    let closing: HashSet<i32> = plan.closings.iter().map(|closing| closing.unit_id).collect();
    if let Planned::Unit(id) = successor {
        let there = units.iter().find(|unit| {
            unit.parent_id == Some(*id) && unit.code == code && unit.in_force(on) && !closing.contains(&unit.unit_id)
        });
        if let Some(there) = there {
            return Some(Planned::Unit(there.unit_id));
        }
    }
    let same = plan
        .openings
        .iter()
        .find(|opening| opening.code == code && opening.parent.as_ref() == Some(successor));
    if let Some(same) = same {
        return Some(Planned::Opening(same.key.clone()));
    }
    let key = format!("carried:{code}");
    plan.openings.push(Opening {
        key: key.clone(),
        code,
        name: child.name.clone(),
        kind: Some(child.kind),
        parent: Some(successor.clone()),
        agency_code: child.agency_code.clone(),
        agency_code_provisional: child.agency_code_provisional,
    });
    Some(Planned::Opening(key))
}

/// What a plan is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'a> {
    /// Every unit of every period.
    pub units: &'a [Unit],
    /// The other plans that wait for their day.
    pub others: &'a [Plan],
    /// The day on which it is judged.
    pub today: Date,
}

/// Everything that is wrong with a plan; nothing if it balances.
pub(crate) fn check(plan: &Plan, judge: Judge<'_>) -> Vec<Flaw> {
    let mut check = Check {
        plan,
        judge,
        by_id: judge.units.iter().map(|unit| (unit.unit_id, unit)).collect(),
        openings: plan
            .openings
            .iter()
            .map(|opening| (opening.key.as_str(), opening))
            .collect(),
        closing: plan.closings.iter().map(|closing| closing.unit_id).collect(),
        flaws: Vec::new(),
    };
    check.whole();
    check.closings();
    check.openings();
    check.children();
    check.other_plans();
    check.flaws
}

struct Check<'a> {
    plan: &'a Plan,
    judge: Judge<'a>,
    by_id: HashMap<i32, &'a Unit>,
    openings: HashMap<&'a str, &'a Opening>,
    closing: BTreeSet<i32>,
    flaws: Vec<Flaw>,
}

impl Check<'_> {
    fn say(&mut self, field: impl Into<String>, rule: &'static str, vi: impl Into<String>, en: impl Into<String>) {
        self.flaws.push(Flaw {
            field: field.into(),
            rule,
            vi: vi.into(),
            en: en.into(),
        });
    }

    fn whole(&mut self) {
        let plan = self.plan;
        if plan.effective_date < self.judge.today {
            self.say(
                "plan.effective_date",
                "date.past",
                "ngày hiệu lực phải là hôm nay hoặc sau hôm nay",
                "must be today or later",
            );
        }
        if plan.closings.is_empty() && plan.openings.is_empty() {
            self.say(
                "plan",
                "plan.empty",
                "phương án không thay đổi đơn vị nào",
                "the plan changes nothing",
            );
        }
    }

    fn closings(&mut self) {
        let plan = self.plan;
        let mut seen = BTreeSet::new();
        for (place, closing) in plan.closings.iter().enumerate() {
            let field = format!("plan.closings[{place}]");
            if !seen.insert(closing.unit_id) {
                self.say(
                    format!("{field}.unit_id"),
                    "unit.closes_twice",
                    format!("đơn vị {} bị kết thúc hai lần", closing.unit_id),
                    format!("unit {} closes twice", closing.unit_id),
                );
            }
            let unit = self.by_id.get(&closing.unit_id).copied();
            match unit {
                Some(unit)
                    if unit.effective_from < plan.effective_date
                        && unit.in_force(plan.effective_date)
                        && unit.effective_to.is_none() =>
                {
                    if unit.kind == UnitKind::Province {
                        self.say(
                            format!("{field}.unit_id"),
                            "unit.province",
                            "tỉnh không thể bị kết thúc",
                            "the province cannot close",
                        );
                    }
                    self.territory(&field, unit, closing);
                }
                _ => self.say(
                    format!("{field}.unit_id"),
                    "unit.not_open",
                    format!(
                        "đơn vị {} không hoạt động trước và trong ngày hiệu lực",
                        closing.unit_id
                    ),
                    format!("unit {} is not open before and on the day", closing.unit_id),
                ),
            }
            if closing.successor.is_some() == closing.without_successor {
                self.say(
                    format!("{field}.successor"),
                    "successor.one_or_none",
                    "phải nêu một đơn vị kế thừa, hoặc nói rõ là không có",
                    "name one successor, or say that there is none",
                );
            }
            let mut parts = BTreeSet::new();
            for successor in closing.successors() {
                if !parts.insert(successor) {
                    self.say(
                        &field,
                        "successor.twice",
                        "một đơn vị kế thừa được nêu hai lần",
                        "a successor is named twice",
                    );
                }
                self.stays(&field, successor);
            }
        }
    }

    /// A commune's land goes to communes: somebody must have it afterwards, and only a commune or ward can.
    fn territory(&mut self, field: &str, unit: &Unit, closing: &PlannedClosing) {
        if !unit.kind.is_territory() {
            return;
        }
        let kinds: Vec<Option<UnitKind>> = closing.successors().map(|successor| self.kind_of(successor)).collect();
        let takes = |kind: &Option<UnitKind>| kind.is_some_and(UnitKind::is_territory);
        if !kinds.iter().any(takes) {
            self.say(
                format!("{field}.successor"),
                "territory.lost",
                format!("không xã, phường nào nhận địa bàn của {}", unit.name),
                format!("no commune or ward takes over the territory of {}", unit.name),
            );
        } else if closing.successor.is_some() && !kinds.first().is_some_and(takes) {
            self.say(
                format!("{field}.successor"),
                "territory.successor",
                format!("đơn vị kế thừa của {} phải là xã hoặc phường", unit.name),
                format!("the successor of {} must be a commune or a ward", unit.name),
            );
        }
    }

    fn kind_of(&self, planned: &Planned) -> Option<UnitKind> {
        match planned {
            Planned::Unit(id) => self.by_id.get(id).map(|unit| unit.kind),
            Planned::Opening(key) => self.openings.get(key.as_str()).and_then(|opening| opening.kind),
        }
    }

    /// What is referred to is there on the day.
    fn stays(&mut self, field: &str, planned: &Planned) {
        match planned {
            Planned::Opening(key) => {
                if !self.openings.contains_key(key.as_str()) {
                    self.say(
                        field,
                        "opening.unknown",
                        format!("phương án không mở đơn vị {key}"),
                        format!("the plan opens no {key}"),
                    );
                }
            }
            Planned::Unit(id) if self.closing.contains(id) => self.say(
                field,
                "unit.closes_and_stays",
                format!("đơn vị {id} vừa kết thúc vừa tiếp tục"),
                format!("unit {id} both closes and stays"),
            ),
            Planned::Unit(id) => {
                let on = self.plan.effective_date;
                let there = self
                    .by_id
                    .get(id)
                    .is_some_and(|unit| unit.in_force(on) && unit.effective_to.is_none());
                if !there {
                    self.say(
                        field,
                        "unit.not_open",
                        format!("đơn vị {id} không hoạt động vào ngày hiệu lực"),
                        format!("unit {id} is not open on the day"),
                    );
                }
            }
        }
    }

    fn openings(&mut self) {
        let plan = self.plan;
        let (mut keys, mut codes) = (BTreeSet::new(), BTreeSet::new());
        let followed: BTreeSet<&str> = plan
            .closings
            .iter()
            .flat_map(PlannedClosing::successors)
            .filter_map(|successor| match successor {
                Planned::Opening(key) => Some(key.as_str()),
                Planned::Unit(_) => None,
            })
            .collect();
        for (place, opening) in plan.openings.iter().enumerate() {
            let field = format!("plan.openings[{place}]");
            if !keys.insert(opening.key.as_str()) {
                self.say(
                    format!("{field}.key"),
                    "opening.twice",
                    format!("khóa {} được dùng hai lần", opening.key),
                    format!("the key {} is used twice", opening.key),
                );
            }
            let taken = self.judge.units.iter().any(|unit| {
                unit.code == opening.code
                    && unit.exists_from(plan.effective_date)
                    && !self.closing.contains(&unit.unit_id)
            });
            if taken || !codes.insert(opening.code.as_str()) {
                self.say(
                    format!("{field}.code"),
                    "code.twice",
                    format!("mã {} sẽ thuộc hai đơn vị trong cùng thời gian", opening.code),
                    format!("the code {} would mean two units at the same time", opening.code),
                );
            }
            self.place(&field, opening);
            if opening.kind.is_some_and(UnitKind::is_territory) && !followed.contains(opening.key.as_str()) {
                self.say(
                    &field,
                    "territory.from_nowhere",
                    format!("địa bàn của {} không lấy từ đơn vị nào", opening.name),
                    format!("the territory of {} comes from nowhere", opening.name),
                );
            }
            if let Some(code) = &opening.agency_code
                && let Err(error) = code.parse::<egov_codes::AgencyCode>()
            {
                self.say(
                    format!("{field}.agency_code"),
                    "agency_code.format",
                    error.vi(),
                    error.en(),
                );
            }
        }
        self.circles();
    }

    /// A unit stands below one that it may stand below, and that is open on the day.
    fn place(&mut self, field: &str, opening: &Opening) {
        let Some(parent) = &opening.parent else {
            self.say(
                format!("{field}.parent"),
                "parent.missing",
                "phải nêu đúng một đơn vị cấp trên",
                "name exactly one unit above",
            );
            return;
        };
        self.stays(&format!("{field}.parent"), parent);
        let above = self.kind_of(parent);
        let fits = match (opening.kind, above) {
            // What is above is reported where it is wrong.
            (_, None) => opening
                .kind
                .is_some_and(|kind| kind != UnitKind::Province && !kind.is_former()),
            (Some(UnitKind::Commune | UnitKind::Ward), Some(above)) => above == UnitKind::Province,
            (Some(kind @ (UnitKind::ProvinceDepartment | UnitKind::CommuneDepartment)), Some(above)) => {
                above.department() == Some(kind)
            }
            _ => false,
        };
        if !fits {
            self.say(
                format!("{field}.kind"),
                "kind.place",
                "loại đơn vị này không thể được mở ở đó",
                "a unit of this kind cannot be opened there",
            );
        }
    }

    /// No opening lies below itself.
    fn circles(&mut self) {
        for (place, opening) in self.plan.openings.iter().enumerate() {
            let mut at = opening;
            for _ in 0..=self.plan.openings.len() {
                let Some(Planned::Opening(key)) = &at.parent else { break };
                let Some(above) = self.openings.get(key.as_str()).copied() else {
                    break;
                };
                if above.key == opening.key {
                    self.say(
                        format!("plan.openings[{place}].parent"),
                        "parent.circle",
                        format!("{} nằm dưới chính nó", opening.name),
                        format!("{} lies below itself", opening.name),
                    );
                    break;
                }
                at = above;
            }
        }
    }

    /// Nothing stays below a unit that closes.
    fn children(&mut self) {
        let on = self.plan.effective_date;
        for unit in self.judge.units {
            let left = unit.exists_from(on)
                && !self.closing.contains(&unit.unit_id)
                && unit.parent_id.is_some_and(|above| self.closing.contains(&above));
            if left {
                self.say(
                    "plan.closings",
                    "child.left",
                    format!("{} ({}) nằm dưới một đơn vị kết thúc", unit.name, unit.code),
                    format!("{} ({}) would stay below a unit that closes", unit.name, unit.code),
                );
            }
        }
    }

    /// Two plans that wait do not speak of the same unit: each was checked against the tree without the other.
    fn other_plans(&mut self) {
        let (plan, judge) = (self.plan, self.judge);
        let mentioned = mentioned(plan);
        let codes: BTreeSet<&str> = plan.openings.iter().map(|opening| opening.code.as_str()).collect();
        for other in judge.others {
            let closes: BTreeSet<i32> = other.closings.iter().map(|closing| closing.unit_id).collect();
            let others = self::mentioned(other);
            let shared = mentioned
                .intersection(&closes)
                .chain(self.closing.intersection(&others))
                .copied()
                .collect::<BTreeSet<i32>>();
            for id in shared {
                self.say(
                    "plan",
                    "plan.other",
                    format!("đơn vị {id} thuộc một phương án khác đang chờ: {}", other.title),
                    format!("unit {id} belongs to another plan that waits: {}", other.title),
                );
            }
            for opening in other
                .openings
                .iter()
                .filter(|opening| codes.contains(opening.code.as_str()))
            {
                self.say(
                    "plan.openings",
                    "plan.other",
                    format!("mã {} thuộc một phương án khác đang chờ: {}", opening.code, other.title),
                    format!(
                        "the code {} belongs to another plan that waits: {}",
                        opening.code, other.title
                    ),
                );
            }
        }
    }
}

/// Every existing unit of which a plan speaks.
fn mentioned(plan: &Plan) -> BTreeSet<i32> {
    let planned = plan
        .closings
        .iter()
        .flat_map(PlannedClosing::successors)
        .chain(plan.openings.iter().filter_map(|opening| opening.parent.as_ref()));
    plan.closings
        .iter()
        .map(|closing| closing.unit_id)
        .chain(planned.filter_map(|planned| match planned {
            Planned::Unit(id) => Some(*id),
            Planned::Opening(_) => None,
        }))
        .collect()
}

/// What happens to a closing unit.
pub(crate) fn change_of(plan: &Plan, units: &HashMap<i32, &Unit>, closing: &PlannedClosing) -> Change {
    let mut successors = closing.successors();
    let (Some(first), None) = (successors.next(), successors.next()) else {
        return if closing.successors().next().is_none() {
            Change::Abolish
        } else {
            Change::Split
        };
    };
    let parts = plan
        .closings
        .iter()
        .filter(|other| other.successors().any(|successor| successor == first))
        .count();
    let Planned::Opening(key) = first else {
        return Change::Merge;
    };
    if parts > 1 {
        return Change::Merge;
    }
    let above = plan
        .openings
        .iter()
        .find(|opening| opening.key == *key)
        .and_then(|opening| opening.parent.as_ref());
    let before = units.get(&closing.unit_id).and_then(|unit| unit.parent_id);
    let follows = before.and_then(|before| {
        let above = plan.closings.iter().find(|closing| closing.unit_id == before);
        match above {
            Some(closing) => closing.successor.clone(),
            None => Some(Planned::Unit(before)),
        }
    });
    if above == follows.as_ref() {
        Change::Rename
    } else {
        Change::Transfer
    }
}

/// What a plan without a flaw makes of the tree; new units get the ids from `next_id` on. None if it has a flaw after all.
pub(crate) fn carry_out(plan: &Plan, units: &[Unit], next_id: i32) -> Option<Outcome> {
    let on = plan.effective_date;
    let by_id: HashMap<i32, &Unit> = units.iter().map(|unit| (unit.unit_id, unit)).collect();
    let mut ids: BTreeMap<&str, i32> = BTreeMap::new();
    let mut opened = Vec::new();
    let mut waiting: Vec<&Opening> = plan.openings.iter().collect();
    // From above to below.
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut left = Vec::new();
        for opening in waiting {
            let parent_id = match opening.parent.as_ref()? {
                Planned::Unit(id) => *id,
                Planned::Opening(key) => match ids.get(key.as_str()) {
                    Some(id) => *id,
                    None => {
                        left.push(opening);
                        continue;
                    }
                },
            };
            let unit_id = next_id.checked_add(i32::try_from(opened.len()).ok()?)?;
            ids.insert(&opening.key, unit_id);
            opened.push(Unit {
                unit_id,
                code: opening.code.clone(),
                name: opening.name.clone(),
                kind: opening.kind?,
                parent_id: Some(parent_id),
                effective_from: on,
                effective_to: None,
                agency_code: opening.agency_code.clone(),
                agency_code_provisional: opening.agency_code_provisional,
                status: FactStatus::Decided,
                note: plan.legal_basis.clone(),
            });
        }
        if left.len() == before {
            return None;
        }
        waiting = left;
    }
    let id_of = |planned: &Planned| match planned {
        Planned::Unit(id) => Some(*id),
        Planned::Opening(key) => ids.get(key.as_str()).copied(),
    };
    let mut closed = Vec::new();
    let mut closings = Vec::new();
    for closing in &plan.closings {
        let unit = by_id.get(&closing.unit_id)?;
        closed.push(Unit {
            effective_to: Some(on),
            ..Unit::clone(unit)
        });
        let mut successors = closing.successors().map(id_of).collect::<Option<Vec<i32>>>()?;
        successors.sort_unstable();
        closings.push(Closing {
            unit_id: closing.unit_id,
            effective_date: on,
            change: change_of(plan, &by_id, closing),
            successor: match &closing.successor {
                None => None,
                Some(successor) => Some(id_of(successor)?),
            },
            successors,
        });
    }
    Some(Outcome {
        closed,
        opened,
        closings,
    })
}

#[cfg(test)]
#[path = "reorganisation_tests.rs"]
mod tests;
