//! The contracts of the platform keep the house's rules and can be served.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use egov_runtime::contract::{Contract, Formats};

/// The formats that the contracts may name: those of `egov.options.v1.Format`. What they mean is for the services.
fn every_format() -> Formats {
    let format = egov_proto::POOL.get_enum_by_name("egov.options.v1.Format").unwrap();
    format.values().fold(Formats::new(), |formats, value| {
        formats.with(value.name().trim_start_matches("FORMAT_"), |_| Ok(()))
    })
}

#[test]
fn every_rpc_message_and_field_of_the_platform_keeps_the_rules_of_the_house() {
    let problems = Contract::audit(egov_proto::FILE_DESCRIPTOR_SET);
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn every_rule_of_the_platforms_contracts_is_implemented() {
    let contract = Contract::with_formats(&egov_proto::POOL, &every_format()).unwrap();
    assert!(contract.method_rules().len() > 20, "the contracts were read");
    assert!(contract.personal_field_names().contains("personal_number"));
}

#[test]
fn no_public_rpc_of_the_platform_is_marked_as_needing_a_purpose() {
    let contract = Contract::with_formats(&egov_proto::POOL, &every_format()).unwrap();
    let contradictory: Vec<_> = contract
        .method_rules()
        .into_iter()
        .filter(|rule| rule.public && rule.purpose_required)
        .collect();
    assert!(
        contradictory.is_empty(),
        "without a token nobody can be held to a purpose: {contradictory:?}"
    );
}
