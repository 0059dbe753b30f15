//! Who calls, and what may they do: by the tokens of the tests and the policy as it is delivered.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use egov_auth::{
    Access, AuthLayer, Issuer, IssuerConfig, Policies, Revocations, Unit, UnitTree, Verifier, VerifierConfig,
};
use egov_clock::ManualClock;
use egov_runtime::contract::Contract;

/// The layer in front of a service that takes the tokens of this issuer, in a province of these communes.
pub(crate) fn auth_layer(
    contract: &Contract,
    issuer: IssuerConfig,
    clock: &ManualClock,
    communes: &[i32],
) -> AuthLayer {
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/policies/integration.toml");
    let policy = std::fs::read_to_string(policy).unwrap();
    let province = Unit { id: 1, parent: None };
    let communes = communes.iter().map(|&id| Unit { id, parent: Some(1) });
    let units = std::iter::once(province).chain(communes);
    let tree = Arc::new(ArcSwap::from_pointee(UnitTree::new(1, units).unwrap()));
    let issuer = Issuer::from_config(issuer).unwrap();
    AuthLayer::new(
        Arc::new(Verifier::new(vec![issuer], clock.shared(), VerifierConfig::default())),
        Arc::new(Access::new(
            Policies::from_toml(&[("policy.toml", &policy)]).unwrap(),
            tree,
        )),
        Arc::new(Revocations::local(clock.shared())),
        contract.method_rules(),
        &[],
    )
}
