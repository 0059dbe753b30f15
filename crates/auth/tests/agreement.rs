//! The decision about one row and the scope of a list cannot disagree, whatever policies, units and callers.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use egov_auth::{
    Access, Assurance, CallerKind, DelegatedRole, OnBehalf, Policies, Principal, Resource, RoleAt, Unit, UnitTree,
};
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

const UNITS: i32 = 12;
const ROLES: [&str; 3] = ["clerk", "officer", "leader"];
const BUILT_IN: [&str; 4] = ["staff", "citizen", "system", "citizen_agent"];
const PERMISSION: &str = "cases.read";

/// A grant as a policy states it, before it becomes text.
#[derive(Clone, Debug)]
struct Stated {
    role: &'static str,
    over: &'static str,
    when: Vec<&'static str>,
}

fn on_caller() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(vec!["purpose_given", "assurance:low", "assurance:high"], 0..=2)
}

fn stated() -> impl Strategy<Value = Stated> {
    let by_unit = (
        proptest::sample::select(ROLES.to_vec()),
        proptest::sample::select(vec!["subtree", "unit", "all", "none"]),
        on_caller(),
    )
        .prop_map(|(role, over, when)| Stated { role, over, when });
    let by_row = (
        proptest::sample::select([&ROLES[..], &BUILT_IN[..]].concat()),
        proptest::sample::select(vec!["own_record", "assigned_case"]),
        on_caller(),
    )
        .prop_map(|(role, row, mut when)| {
            when.push(row);
            Stated {
                role,
                over: "none",
                when,
            }
        });
    let built_in = (
        proptest::sample::select(BUILT_IN.to_vec()),
        proptest::sample::select(vec!["all", "none"]),
        on_caller(),
    )
        .prop_map(|(role, over, when)| Stated { role, over, when });
    prop_oneof![3 => by_unit, 2 => by_row, 1 => built_in]
}

fn text(grants: &[Stated]) -> String {
    let mut text = String::new();
    for role in ROLES {
        writeln!(text, "[[role]]\nname = {role:?}\ntitle = {role:?}").unwrap();
    }
    for grant in grants {
        writeln!(
            text,
            "[[grant]]\nrole = {:?}\npermissions = [{PERMISSION:?}]\nover = {:?}\nwhen = {:?}",
            grant.role, grant.over, grant.when
        )
        .unwrap();
    }
    text
}

/// Parents of units 1 to 12: each below a smaller one, or a root.
fn parents() -> impl Strategy<Value = Vec<Option<i32>>> {
    (1..=UNITS)
        .map(|id| (0..id).prop_map(|parent| (parent > 0).then_some(parent)).boxed())
        .collect::<Vec<_>>()
}

fn person() -> impl Strategy<Value = Uuid> {
    (1..4_u128).prop_map(Uuid::from_u128)
}

fn assurance() -> impl Strategy<Value = Assurance> {
    proptest::sample::select(Assurance::ALL.to_vec())
}

fn principal() -> impl Strategy<Value = Principal> {
    let roles = proptest::collection::vec(
        (
            proptest::sample::select([&ROLES[..], &BUILT_IN[..]].concat()),
            0..UNITS + 2,
        )
            .prop_map(|(role, unit)| RoleAt {
                role: role.to_owned(),
                unit,
            }),
        0..4,
    );
    let delegated = proptest::collection::vec(
        (
            proptest::sample::select([&ROLES[..], &BUILT_IN[..]].concat()),
            0..UNITS + 2,
            person(),
        )
            .prop_map(|(role, unit, delegator)| DelegatedRole {
                held: RoleAt {
                    role: role.to_owned(),
                    unit,
                },
                delegator,
            }),
        0..3,
    );
    let kind = proptest::sample::select(CallerKind::ALL.to_vec());
    (
        person(),
        kind,
        roles,
        delegated,
        assurance(),
        proptest::option::of(person()),
    )
        .prop_map(|(subject, kind, roles, delegated, assurance, citizen)| Principal {
            subject,
            kind,
            issuer: "i".to_owned(),
            name_hint: None,
            unit: None,
            roles,
            delegated,
            client_id: None,
            certificate: None,
            assurance,
            on_behalf_of: citizen
                .filter(|_| kind == CallerKind::System)
                .map(|subject| OnBehalf { subject, assurance }),
            session: None,
            token_id: "t".to_owned(),
            key_id: "k".to_owned(),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::MAX,
        })
}

fn row() -> impl Strategy<Value = Resource> {
    (
        proptest::option::of(1..UNITS + 2),
        proptest::option::of(person()),
        proptest::option::of(person()),
    )
        .prop_map(|(unit, owner, assignee)| Resource { unit, owner, assignee })
}

/// What the grants mean, told a second time and as plainly as possible: for each grant and each way in which the caller
/// has its role, all conditions hold and the row is reached.
fn expected(
    grants: &[Stated],
    parents: &[Option<i32>],
    principal: &Principal,
    row: &Resource,
    purpose: Option<&str>,
) -> bool {
    let lies_below = |unit: i32, above: i32| {
        let mut at = Some(unit);
        while let Some(id) = at {
            if id == above {
                return true;
            }
            at = parents.get(usize::try_from(id - 1).unwrap()).copied().flatten();
        }
        false
    };
    let exists = |unit: i32| (1..=UNITS).contains(&unit);
    let own = principal
        .on_behalf_of
        .map_or(principal.subject, |citizen| citizen.subject);

    grants.iter().any(|grant| {
        let conditions = grant.when.iter().all(|condition| match *condition {
            "own_record" => row.owner == Some(own),
            "assigned_case" => row.assignee == Some(principal.subject),
            "purpose_given" => purpose.is_some(),
            "assurance:low" => principal.assurance >= Assurance::Low,
            _ => principal.assurance >= Assurance::High,
        });
        let names_rows = grant.when.contains(&"own_record") || grant.when.contains(&"assigned_case");
        let reached = |held_at: Option<i32>| match (grant.over, held_at, row.unit) {
            ("all", _, _) => true,
            ("none", _, _) => names_rows,
            ("subtree", Some(0), _) => true,
            ("subtree", Some(at), Some(unit)) => exists(at) && exists(unit) && lies_below(unit, at),
            ("unit", Some(at), Some(unit)) => exists(at) && at == unit,
            _ => false,
        };
        let by_kind = match grant.role {
            "staff" => principal.kind == CallerKind::Staff,
            "citizen" => principal.kind == CallerKind::Citizen,
            "system" => principal.kind == CallerKind::System,
            "citizen_agent" => principal.on_behalf_of.is_some(),
            _ => false,
        };
        let by_token = !BUILT_IN.contains(&grant.role)
            && principal
                .roles
                .iter()
                .chain(principal.delegated.iter().map(|one| &one.held))
                .any(|held| held.role == grant.role && reached(Some(held.unit)));
        conditions && (by_token || by_kind && reached(None))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_row_is_decided_as_its_list_shows_it_and_as_the_grants_mean(
        grants in proptest::collection::vec(stated(), 0..6),
        parents in parents(),
        principal in principal(),
        rows in proptest::collection::vec(row(), 1..20),
        purpose in proptest::option::of(Just("inspection")),
    ) {
        let policies = Policies::from_toml(&[("test.toml", &text(&grants))]).unwrap();
        let units = (1..).zip(&parents).map(|(id, parent)| Unit { id, parent: *parent });
        let tree = UnitTree::new(1, units).unwrap();
        let access = Access::new(policies, Arc::new(ArcSwap::from_pointee(tree)));

        let scope = access.row_scope(&principal, PERMISSION, purpose);
        prop_assert!(scope.units.is_sorted_by(|a, b| a < b));
        let mut shown = BTreeSet::new();
        for row in &rows {
            let decision = access.decide(&principal, PERMISSION, row, purpose);
            prop_assert_eq!(
                decision.allowed,
                scope.contains(row),
                "{:?} against {:?}: {:?}", row, scope, decision.reasons
            );
            prop_assert_eq!(
                decision.allowed,
                expected(&grants, &parents, &principal, row, purpose),
                "{:?}: {:?}", row, decision.reasons
            );
            prop_assert_eq!(decision.allowed, decision.missing.is_none());
            // In another's name acts who could not without the delegation, and nobody else.
            let alone = Principal { delegated: Vec::new(), ..principal.clone() };
            let by_own = access.decide(&alone, PERMISSION, row, purpose).allowed;
            prop_assert_eq!(decision.acting_for.is_some(), decision.allowed && !by_own);
            prop_assert!(!decision.reasons.is_empty());
            if decision.allowed {
                shown.insert(row.unit);
            }
            prop_assert_eq!(decision.allowed, decision.into_result().is_ok());
        }

        // Whoever sees a row is admitted, and whoever is admitted holds the permission.
        let admitted = access.admit(&principal, PERMISSION, purpose).allowed;
        prop_assert!(shown.is_empty() || admitted);
        prop_assert!(!admitted || access.holds(&principal, PERMISSION));
    }
}
