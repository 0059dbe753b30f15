//! Who may call what: every RPC of the contract for every role, own unit and neighbour, as a readable table.

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use egov_auth::{Access, Issuer, Policies, Resource, Unit, UnitTree, Verifier, VerifierConfig};
use egov_runtime::contract::{Contract, Formats};
use egov_testkit::Tokens;
use uuid::Uuid;

use crate::support::*;

/// role × RPC × own/neighbour unit, from the same decision function that the service asks. The checked-in table is what
/// a reviewer of a policy reads; `EGOV_WRITE_MATRIX=1 cargo test` writes it anew.
#[tokio::test]
async fn the_access_matrix_of_the_civil_registry_is_the_one_that_was_reviewed() {
    let policy = std::fs::read_to_string(deploy().join("policies/civil_registry.toml")).unwrap();
    let units = [
        (PROVINCE, None),
        (TRUONG_VINH, Some(PROVINCE)),
        (THANH_VINH, Some(PROVINCE)),
    ];
    let tree = UnitTree::new(1, units.map(|(id, parent)| Unit { id, parent })).unwrap();
    let access = Access::new(
        Policies::from_toml(&[("civil_registry.toml", &policy)]).unwrap(),
        Arc::new(ArcSwap::from_pointee(tree)),
    );
    let contract = Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap();
    let tokens = Tokens::new();
    let verifier = Verifier::new(
        vec![Issuer::from_config(tokens.issuer()).unwrap()],
        egov_testkit::clock().shared(),
        VerifierConfig::default(),
    );
    let mut rules: Vec<_> = contract
        .method_rules()
        .into_iter()
        .filter(|rule| rule.path.starts_with("/egov.civil_registry."))
        .collect();
    rules.sort_by(|a, b| a.path.cmp(&b.path));
    let callers = [
        (OFFICER, TRUONG_VINH),
        (CHAIR, TRUONG_VINH),
        (READER, TRUONG_VINH),
        (READER, PROVINCE),
        // It is answered by what all communes entered.
        (INQUIRER, TRUONG_VINH),
        (DIGITISER, TRUONG_VINH),
        ("civil_status_programme", TRUONG_VINH),
    ];
    let mut table = String::from(
        "RPC × role at its unit: o = of the own unit, n = the neighbour's; - = refused; public = no token needed\n\n",
    );
    write!(table, "{:<28}", "").unwrap();
    for (role, unit) in callers {
        let name = if unit == PROVINCE {
            "reader of the province"
        } else {
            role
        };
        write!(table, " | {name:^22}").unwrap();
    }
    table.push('\n');
    for rule in rules {
        let name = rule.path.trim_start_matches("/egov.civil_registry.v1.");
        write!(table, "{name:<28}").unwrap();
        for (role, unit) in callers {
            let token = tokens.staff(Uuid::from_u128(9), &[(role, unit)]);
            let principal = verifier.verify(&token).await.unwrap();
            let cell: String = match &rule.permission {
                None => "public".to_owned(),
                Some(permission) => [("o", TRUONG_VINH), ("n", THANH_VINH)]
                    .into_iter()
                    .map(|(which, unit)| {
                        let decision = access.decide(&principal, permission, &Resource::of_unit(unit), Some(PURPOSE));
                        if decision.allowed { which } else { "-" }
                    })
                    .collect(),
            };
            write!(table, " | {cell:^22}").unwrap();
        }
        table.push('\n');
    }
    let path = deploy().join("policies/civil_registry.matrix.txt");
    if std::env::var_os("EGOV_WRITE_MATRIX").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        table, reviewed,
        "the policy changed: look at the new table, then write it with EGOV_WRITE_MATRIX=1"
    );
}
