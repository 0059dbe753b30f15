//! Administration of systems.

use egov_proto::egov::identity::v1::{
    DisableSystemRequest, ListSystemsRequest, RegisterSystemRequest, RevokeTokensRequest, System, SystemRole,
};
use tonic::Status;
use uuid::Uuid;

use crate::support::{Signer, WARD, World, by, fresh, refused};

fn registration(client_id: &str, key: &Signer) -> RegisterSystemRequest {
    RegisterSystemRequest {
        request_id: fresh(),
        client_id: client_id.to_owned(),
        name: "Cổng dịch vụ công quốc gia".to_owned(),
        public_jwk: key.jwk().to_string(),
        roles: vec![SystemRole {
            role: "one_stop_clerk".to_owned(),
            unit_id: 0,
        }],
        acts_for_citizens: true,
    }
}

async fn register(world: &World, token: &str, request: RegisterSystemRequest) -> Result<System, Status> {
    world
        .systems()
        .register_system(by(token, request))
        .await
        .map(|answer| answer.into_inner().system.unwrap())
}

#[tokio::test]
async fn the_provinces_administrator_registers_systems_and_nobody_else_does() {
    let world = World::start().await;
    let key = Signer::new();
    let admin = world.province_admin();
    let request = registration("cong-quoc-gia", &key);
    let system = register(&world, &admin, request.clone()).await.unwrap();
    assert_eq!(system.client_id, "cong-quoc-gia");
    assert!(system.acts_for_citizens && !system.disabled);
    assert_eq!(system.roles[0].unit_id, 0);
    // The same request again, and the client id once more.
    assert_eq!(register(&world, &admin, request).await.unwrap(), system);
    assert_eq!(
        refused(register(&world, &admin, registration("cong-quoc-gia", &key)).await),
        "CLIENT_ID_TAKEN"
    );
    for token in [world.unit_admin(WARD), world.clerk(WARD)] {
        let outcome = register(&world, &token, registration("khac", &key)).await;
        assert_eq!(refused(outcome), "PERMISSION_MISSING");
    }
}

#[tokio::test]
async fn a_key_with_its_private_half_and_a_role_that_nobody_knows_are_refused() {
    let world = World::start().await;
    let admin = world.province_admin();
    let key = Signer::new();
    let mut private = key.jwk();
    private["d"] = serde_json::json!("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE");
    let with_key = |public_jwk: String| RegisterSystemRequest {
        public_jwk,
        ..registration("cong-quoc-gia", &key)
    };
    for wrong in [
        private.to_string(),
        "{}".to_owned(),
        r#"{"kty":"oct","k":"c2VjcmV0"}"#.to_owned(),
    ] {
        assert_eq!(refused(register(&world, &admin, with_key(wrong)).await), "KEY_REFUSED");
    }
    let with_role = |role: &str, unit_id| RegisterSystemRequest {
        roles: vec![SystemRole {
            role: role.to_owned(),
            unit_id,
        }],
        ..registration("cong-quoc-gia", &key)
    };
    for (role, unit, expected) in [
        ("no_such_role", 0, "ROLE_UNKNOWN"),
        ("citizen_agent", 0, "ROLE_UNKNOWN"),
        ("one_stop_clerk", 99, "UNIT_NOT_FOUND"),
    ] {
        assert_eq!(refused(register(&world, &admin, with_role(role, unit)).await), expected);
    }
}

#[tokio::test]
async fn systems_are_listed_for_whoever_sees_the_whole_province() {
    let world = World::start().await;
    for number in 0..3 {
        world.advance(1);
        world.system(&format!("system{number}"), false).await;
    }
    let list = |token: String, page_size, page_token| {
        let mut client = world.systems();
        let request = ListSystemsRequest { page_size, page_token };
        async move { client.list_systems(by(&token, request)).await }
    };
    let first = list(world.province_admin(), 2, String::new())
        .await
        .unwrap()
        .into_inner();
    let second = list(world.province_admin(), 2, first.next_page_token)
        .await
        .unwrap()
        .into_inner();
    let ids: Vec<_> = first
        .systems
        .iter()
        .chain(&second.systems)
        .map(|system| system.client_id.as_str())
        .collect();
    assert_eq!(ids, ["system0", "system1", "system2"]);
    assert_eq!(
        refused(list(world.unit_admin(WARD), 0, String::new()).await),
        "PERMISSION_MISSING"
    );
}

#[tokio::test]
async fn a_closed_system_gets_no_tokens_and_those_it_has_are_void() {
    let world = World::start().await;
    let (system_id, key) = world.system("cong-quoc-gia", false).await;
    let sign = || key.sign(&world.client_claims("cong-quoc-gia"));
    let ask = |assertion: String| {
        let world = &world;
        async move {
            world
                .token(&[
                    ("grant_type", "client_credentials"),
                    (
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ),
                    ("client_assertion", &assertion),
                ])
                .await
        }
    };
    let (status, body) = ask(sign()).await;
    assert_eq!(status, 200, "{body}");
    let token = body["access_token"].as_str().unwrap().to_owned();

    let close = |caller: String, system_id: Uuid| {
        let mut client = world.systems();
        let request = DisableSystemRequest {
            request_id: fresh(),
            system_id: system_id.to_string(),
            reason: "hết hợp đồng".to_owned(),
        };
        async move { client.disable_system(by(&caller, request)).await }
    };
    assert_eq!(
        refused(close(world.unit_admin(WARD), system_id).await),
        "PERMISSION_MISSING"
    );
    assert_eq!(
        refused(close(world.province_admin(), Uuid::nil()).await),
        "SYSTEM_NOT_FOUND"
    );
    let closed = close(world.province_admin(), system_id).await.unwrap();
    assert!(closed.into_inner().system.unwrap().disabled);

    let (status, body) = ask(sign()).await;
    assert_eq!((status, body["error"].as_str()), (401, Some("invalid_client")));
    assert_eq!(body["error_description"], "client authentication failed");
    let sign_out = world
        .sign_in()
        .sign_out(by(&token, egov_proto::egov::identity::v1::SignOutRequest {}))
        .await;
    assert_eq!(refused(sign_out), "TOKEN_REVOKED");
}

#[tokio::test]
async fn tokens_of_systems_and_citizens_are_revoked_by_the_province_only() {
    let world = World::start().await;
    let (system_id, _) = world.system("cong-quoc-gia", false).await;
    let revoke = |caller: String, subject: Uuid| {
        let mut client = world.keys();
        let request = RevokeTokensRequest {
            request_id: fresh(),
            subject_id: subject.to_string(),
            reason: "lộ khoá".to_owned(),
        };
        async move { client.revoke_tokens(by(&caller, request)).await }
    };
    assert_eq!(
        refused(revoke(world.unit_admin(WARD), system_id).await),
        "ACCOUNT_NOT_FOUND"
    );
    assert_eq!(
        refused(revoke(world.clerk(WARD), system_id).await),
        "PERMISSION_MISSING"
    );
    assert!(revoke(world.province_admin(), system_id).await.is_ok());
    assert_eq!(
        refused(revoke(world.province_admin(), Uuid::nil()).await),
        "ACCOUNT_NOT_FOUND"
    );
}
