//! Putting the service together: its contract, its policies, its first accounts.

use egov_identity::operations::bootstrap::{AccountSpec, SystemSpec, ensure_account, ensure_system};
use secrecy::SecretString;

use crate::support::{PROVINCE, Signer, WARD, World};

#[test]
fn the_contract_of_the_binary_holds_its_nine_services_those_of_the_ledger_and_no_other() {
    let contract = egov_identity::contract().unwrap();
    let services: Vec<_> = contract
        .pool()
        .services()
        .map(|service| service.full_name().to_owned())
        .filter(|name| name.starts_with("egov."))
        .collect();
    let of = |package: &str| services.iter().filter(|name| name.starts_with(package)).count();
    assert_eq!(
        (of("egov.identity.v1."), of("egov.ledger.v1."), services.len()),
        (9, 2, 11),
        "{services:?}"
    );
}

#[test]
fn every_permission_of_the_contract_is_granted_to_somebody_and_no_other_is() {
    let contract = egov_identity::contract().unwrap();
    let mut wanted: Vec<String> = contract
        .method_rules()
        .into_iter()
        .filter_map(|rule| rule.permission)
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let text = include_str!("../../../../deploy/policies/identity.toml");
    let policies = egov_auth::Policies::from_toml(&[("identity.toml", text)]).unwrap();
    let granted: Vec<_> = policies.permissions().into_iter().collect();
    assert_eq!(granted, wanted);
}

#[tokio::test]
async fn making_sure_of_an_account_makes_it_once_and_adds_the_roles_that_it_lacks() {
    let world = World::start().await;
    let spec = |roles| AccountSpec {
        username: "quan.tri",
        full_name: "Quản trị",
        unit_id: PROVINCE,
        password: SecretString::from("mật khẩu rất dài".to_owned()),
        totp_secret: None,
        roles,
    };
    let admin = [("province_admin", PROVINCE)];
    let first = ensure_account(&world.identity, &spec(&admin)).await.unwrap();
    assert!(first.made && first.totp_secret.is_some());
    let again = ensure_account(&world.identity, &spec(&admin)).await.unwrap();
    assert_eq!((again.account_id, again.made), (first.account_id, false));
    assert_eq!(again.totp_secret, None);
    let more = [("province_admin", PROVINCE), ("unit_auditor", WARD)];
    ensure_account(&world.identity, &spec(&more)).await.unwrap();
    let roles: i64 = sqlx::query_scalar("SELECT count(*) FROM role_grants")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(roles, 2);
    let unknown = [("no_such_role", PROVINCE)];
    let fault = ensure_account(&world.identity, &spec(&unknown)).await.unwrap_err();
    assert_eq!(fault.reason(), "ROLE_UNKNOWN");
}

#[tokio::test]
async fn making_sure_of_a_system_makes_it_once_and_puts_it_right() {
    let world = World::start().await;
    let (key, new_key) = (Signer::new().jwk().to_string(), Signer::new().jwk().to_string());
    let ensure = |jwk: String, acts_for_citizens| {
        let identity = &world.identity;
        async move {
            let spec = SystemSpec {
                client_id: "cong-quoc-gia",
                name: "Cổng",
                public_jwk: &jwk,
                roles: &[("one_stop_clerk", 0), ("one_stop_clerk", WARD)],
                acts_for_citizens,
            };
            ensure_system(identity, &spec).await.unwrap()
        }
    };
    let first = ensure(key.clone(), true).await;
    assert_eq!((first.made, first.changed), (true, false));
    let same = ensure(key.clone(), true).await;
    assert_eq!((same.made, same.changed), (false, false));
    let changed = ensure(new_key, false).await;
    assert_eq!((changed.system_id, changed.changed), (first.system_id, true));
}
