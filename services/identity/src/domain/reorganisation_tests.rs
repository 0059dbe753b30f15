//! Plans, and what they make of the tree.

use super::*;
use jiff::civil::date;
use proptest::prelude::*;

const DAY: Date = date(2026, 12, 1);
const TODAY: Date = date(2026, 11, 23);

fn unit(unit_id: i32, code: &str, kind: UnitKind, parent_id: Option<i32>) -> Unit {
    Unit {
        unit_id,
        code: code.to_owned(),
        name: format!("đơn vị {code}"),
        kind,
        parent_id,
        effective_from: date(2025, 7, 1),
        effective_to: None,
        agency_code: None,
        agency_code_provisional: false,
        status: FactStatus::Confirmed,
        note: String::new(),
    }
}

/// The province (1), wards 2 to `wards` + 1, and two departments below each, from id 100 on.
fn tree(wards: i32) -> Vec<Unit> {
    let mut units = vec![unit(1, "40", UnitKind::Province, None)];
    for ward in 0..wards {
        units.push(unit(2 + ward, &format!("W{ward}"), UnitKind::Ward, Some(1)));
    }
    for ward in 0..wards {
        for (place, ending) in ["VP", "KT"].iter().enumerate() {
            let id = 100 + ward * 2 + i32::try_from(place).unwrap();
            units.push(unit(
                id,
                &format!("W{ward}.{ending}"),
                UnitKind::CommuneDepartment,
                Some(2 + ward),
            ));
        }
    }
    units
}

fn opening(key: &str, code: &str) -> Opening {
    Opening {
        key: key.to_owned(),
        code: code.to_owned(),
        name: format!("Phường {code}"),
        kind: Some(UnitKind::Ward),
        parent: Some(Planned::Unit(1)),
        agency_code: None,
        agency_code_provisional: false,
    }
}

fn closing(unit_id: i32, successor: Option<Planned>) -> PlannedClosing {
    PlannedClosing {
        unit_id,
        without_successor: successor.is_none(),
        successor,
        others: Vec::new(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where a successor may be missing")]
fn to(key: &str) -> Option<Planned> {
    Some(Planned::Opening(key.to_owned()))
}

fn plan(openings: Vec<Opening>, closings: Vec<PlannedClosing>) -> Plan {
    Plan {
        effective_date: DAY,
        title: "Sắp xếp".to_owned(),
        legal_basis: "Nghị quyết".to_owned(),
        openings,
        closings,
    }
}

fn rules(plan: &Plan, units: &[Unit], others: &[Plan]) -> Vec<&'static str> {
    let judge = Judge {
        units,
        others,
        today: TODAY,
    };
    check(plan, judge).into_iter().map(|flaw| flaw.rule).collect()
}

#[test]
fn two_wards_merge_into_a_new_one_with_the_departments_of_both() {
    let units = tree(3);
    let merge = plan(
        vec![opening("new", "W9")],
        vec![closing(2, to("new")), closing(3, to("new"))],
    );
    // The plan as given leaves departments below what closes.
    assert_eq!(rules(&merge, &units, &[]), ["child.left"; 4]);
    let merge = carry(merge, &units);
    assert_eq!(rules(&merge, &units, &[]), [""; 0]);
    let outcome = carry_out(&merge, &units, 1000).unwrap();
    let codes: Vec<&str> = outcome.opened.iter().map(|unit| unit.code.as_str()).collect();
    assert_eq!(codes, ["W9", "W9.VP", "W9.KT"]);
    assert_eq!(outcome.closed.len(), 6);
    assert!(outcome.closed.iter().all(|unit| unit.effective_to == Some(DAY)));
    assert!(outcome.closings.iter().all(|closing| closing.change == Change::Merge));
    let office = outcome.closings.iter().find(|closing| closing.unit_id == 102).unwrap();
    assert_eq!(office.successor, Some(1001));
    assert_eq!(outcome.opened[1].parent_id, Some(1000));
}

#[test]
fn a_ward_merges_into_one_that_stays_and_its_departments_find_theirs() {
    let units = tree(2);
    let merge = carry(plan(vec![], vec![closing(2, Some(Planned::Unit(3)))]), &units);
    assert_eq!(rules(&merge, &units, &[]), [""; 0]);
    let outcome = carry_out(&merge, &units, 1000).unwrap();
    assert_eq!(outcome.opened, []);
    let successor = |id| {
        outcome
            .closings
            .iter()
            .find(|closing| closing.unit_id == id)
            .unwrap()
            .successor
    };
    assert_eq!(
        (successor(2), successor(100), successor(101)),
        (Some(3), Some(102), Some(103))
    );
}

#[test]
fn a_renaming_keeps_the_code_and_gives_another_id() {
    let units = tree(1);
    let rename = carry(plan(vec![opening("new", "W0")], vec![closing(2, to("new"))]), &units);
    assert_eq!(rules(&rename, &units, &[]), [""; 0]);
    let outcome = carry_out(&rename, &units, 1000).unwrap();
    assert_eq!(
        (outcome.opened[0].code.as_str(), outcome.opened[0].unit_id),
        ("W0", 1000)
    );
    assert!(outcome.closings.iter().all(|closing| closing.change == Change::Rename));
}

#[test]
fn a_split_has_one_designated_successor_and_a_department_may_transfer_or_be_abolished() {
    let units = tree(2);
    let mut split = closing(2, to("a"));
    split.others.push(Planned::Opening("b".to_owned()));
    let mut moved = opening("moved", "W1.X");
    moved.kind = Some(UnitKind::CommuneDepartment);
    moved.parent = Some(Planned::Unit(3));
    let closings = vec![split, closing(100, to("moved")), closing(101, None)];
    let split = plan(vec![opening("a", "W7"), opening("b", "W8"), moved], closings);
    assert_eq!(rules(&split, &units, &[]), [""; 0]);
    let outcome = carry_out(&split, &units, 1000).unwrap();
    let changes: Vec<Change> = outcome.closings.iter().map(|closing| closing.change).collect();
    assert_eq!(changes, [Change::Split, Change::Transfer, Change::Abolish]);
    assert_eq!(outcome.closings[0].successor, Some(1000));
    assert_eq!(outcome.closings[0].successors, [1000, 1001]);
}

#[test]
fn every_rule_that_a_plan_breaks_is_named() {
    let units = tree(3);
    let good = || carry(plan(vec![opening("new", "W9")], vec![closing(2, to("new"))]), &units);
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = good();
        change(&mut plan);
        rules(&plan, &units, &[])
    };
    assert_eq!(broken(&|_| {}), [""; 0]);
    for (rule, change) in [
        (
            "date.past",
            &(|plan: &mut Plan| plan.effective_date = date(2026, 11, 22)) as &dyn Fn(&mut Plan),
        ),
        ("unit.closes_twice", &|plan| {
            plan.closings.push(plan.closings[0].clone());
        }),
        ("unit.not_open", &|plan| plan.closings.push(closing(77, None))),
        ("unit.province", &|plan| plan.closings.push(closing(1, None))),
        ("unit.closes_and_stays", &|plan| {
            plan.closings.push(closing(3, Some(Planned::Unit(2))));
        }),
        ("successor.one_or_none", &|plan| {
            plan.closings[0].without_successor = true;
        }),
        ("successor.twice", &|plan| {
            plan.closings[0].others.push(Planned::Opening("new".to_owned()));
        }),
        ("opening.unknown", &|plan| plan.closings[0].successor = to("nobody")),
        ("opening.twice", &|plan| plan.openings.push(opening("new", "W8"))),
        ("code.twice", &|plan| plan.openings[0].code = "W1".to_owned()),
        ("code.twice", &|plan| plan.openings.push(opening("other", "W9"))),
        ("territory.lost", &|plan| plan.closings[0] = closing(2, None)),
        ("territory.successor", &|plan| {
            plan.closings[0].others = vec![Planned::Unit(3)];
            plan.closings[0].successor = Some(Planned::Unit(102));
        }),
        ("territory.from_nowhere", &|plan| {
            plan.openings.push(opening("island", "W8"));
        }),
        ("parent.missing", &|plan| plan.openings[0].parent = None),
        ("parent.circle", &|plan| plan.openings[0].parent = to("new")),
        ("kind.place", &|plan| plan.openings[0].kind = Some(UnitKind::District)),
        ("kind.place", &|plan| plan.openings[0].kind = None),
        ("kind.place", &|plan| plan.openings[0].parent = Some(Planned::Unit(3))),
        ("agency_code.format", &|plan| {
            plan.openings[0].agency_code = Some("41".to_owned());
        }),
        ("child.left", &|plan| {
            plan.closings.retain(|closing| closing.unit_id != 100);
        }),
    ] {
        let found = broken(change);
        assert!(found.contains(&rule), "{rule}: {found:?}");
    }
    assert_eq!(rules(&plan(vec![], vec![]), &units, &[]), ["plan.empty"]);
    let other = plan(vec![opening("x", "W9")], vec![closing(3, Some(Planned::Unit(2)))]);
    assert_eq!(rules(&good(), &units, &[other]), ["plan.other", "plan.other"]);
}

#[test]
fn a_unit_that_opened_today_does_not_close_today() {
    let mut units = tree(2);
    units[1].effective_from = DAY;
    let merge = carry(plan(vec![], vec![closing(2, Some(Planned::Unit(3)))]), &units);
    assert!(rules(&merge, &units, &[]).contains(&"unit.not_open"));
}

/// Which successor each of the wards gets: itself (it stays), another ward, or one of three openings.
fn any_merger(wards: i32) -> impl Strategy<Value = Vec<Option<u8>>> {
    proptest::collection::vec(proptest::option::weighted(0.6, 0u8..5), usize::try_from(wards).unwrap())
}

fn merger(choice: &[Option<u8>], units: &[Unit]) -> Plan {
    let stays: Vec<i32> = (0..)
        .zip(choice)
        .filter(|(_, choice)| choice.is_none())
        .map(|(ward, _)| 2 + ward)
        .collect();
    let mut openings: Vec<Opening> = Vec::new();
    let mut closings = Vec::new();
    for (ward, choice) in (0..).zip(choice) {
        let Some(choice) = choice else { continue };
        let successor = match stays.get(usize::from(*choice)) {
            Some(stays) => Planned::Unit(*stays),
            None => {
                let key = format!("n{choice}");
                if openings.iter().all(|opening| opening.key != key) {
                    openings.push(opening(&key, &format!("N{choice}")));
                }
                Planned::Opening(key)
            }
        };
        closings.push(closing(2 + ward, Some(successor)));
    }
    carry(plan(openings, closings), units)
}

proptest! {
    /// Whatever merges with whatever: the plan balances, and the tree afterwards is one.
    #[test]
    fn after_any_merger_the_tree_is_whole(choice in any_merger(6)) {
        let units = tree(6);
        let plan = merger(&choice, &units);
        prop_assume!(!plan.closings.is_empty());
        prop_assert_eq!(rules(&plan, &units, &[]), Vec::<&str>::new());
        let outcome = carry_out(&plan, &units, 1000).unwrap();

        let mut after: BTreeMap<i32, Unit> = units.iter().map(|unit| (unit.unit_id, unit.clone())).collect();
        for unit in outcome.closed.iter().chain(&outcome.opened) {
            after.insert(unit.unit_id, unit.clone());
        }
        // Nothing that was there changed but for its end, and everything that closed is accounted for, once.
        for unit in &units {
            let mut now = after[&unit.unit_id].clone();
            let closed = outcome.closings.iter().filter(|closing| closing.unit_id == unit.unit_id).count();
            prop_assert_eq!(closed, usize::from(now.effective_to.is_some()));
            now.effective_to = None;
            prop_assert_eq!(&now, unit);
        }
        let open: Vec<&Unit> = after.values().filter(|unit| unit.in_force(DAY)).collect();
        // No code means two units, everybody's parent is open, and no successor is closed.
        let codes: BTreeSet<&str> = open.iter().map(|unit| unit.code.as_str()).collect();
        prop_assert_eq!(codes.len(), open.len());
        for unit in &open {
            prop_assert!(unit.parent_id.is_none_or(|id| after[&id].in_force(DAY)));
        }
        for closing in &outcome.closings {
            prop_assert!(closing.successors.iter().all(|id| after[id].in_force(DAY)));
            let before = &after[&closing.unit_id];
            let successor = &after[&closing.successor.unwrap()];
            prop_assert_eq!(before.kind, successor.kind);
        }
        let tree = egov_auth::UnitTree::new(1, after.values().map(|unit| egov_auth::Unit { id: unit.unit_id, parent: unit.parent_id }));
        prop_assert!(tree.is_ok());
    }

    /// A plan from which any one closing is taken away, or in which any one successor closes as well, is refused.
    #[test]
    fn a_plan_that_does_not_balance_is_refused(choice in any_merger(6), place in any::<prop::sample::Index>()) {
        let units = tree(6);
        let plan = merger(&choice, &units);
        prop_assume!(!plan.closings.is_empty());
        let at = place.index(plan.closings.len());
        let mut less = plan.clone();
        let gone = less.closings.remove(at);
        let found = rules(&less, &units, &[]);
        // A department left below a closed ward, or an opening without origin, or a code that would be taken twice; a ward
        // that simply stays is right unless something else came from it.
        let ward = units.iter().any(|unit| unit.unit_id == gone.unit_id && unit.kind == UnitKind::Ward);
        if !ward {
            prop_assert!(found.contains(&"child.left"), "{:?}", found);
        }
        let mut twice = plan.clone();
        twice.closings.push(plan.closings[at].clone());
        prop_assert!(rules(&twice, &units, &[]).contains(&"unit.closes_twice"));
        if let Some(Planned::Unit(id)) = &plan.closings[at].successor {
            let mut circle = plan.clone();
            circle.closings.push(closing(*id, Some(Planned::Unit(gone.unit_id))));
            prop_assert!(rules(&circle, &units, &[]).contains(&"unit.closes_and_stays"));
        }
    }

    /// Judging never panics and carrying out needs no flaw: what is refused makes nothing or is not asked.
    #[test]
    fn nonsense_is_refused_and_never_panics(
        ids in proptest::collection::vec((0i32..120, proptest::option::of(0i32..120)), 0..8),
        parents in proptest::collection::vec(0u8..6, 0..6),
    ) {
        let units = tree(4);
        let openings = (0u8..).zip(&parents).map(|(place, parent)| {
            let mut opening = opening(&format!("n{place}"), &format!("N{place}"));
            opening.parent = to(&format!("n{parent}"));
            opening
        }).collect();
        let closings = ids.iter().map(|(id, successor)| closing(*id, successor.map(Planned::Unit))).collect();
        let plan = carry(plan(openings, closings), &units);
        let flawed = !rules(&plan, &units, &[]).is_empty();
        let outcome = carry_out(&plan, &units, 1000);
        prop_assert!(flawed || outcome.is_some());
    }
}
