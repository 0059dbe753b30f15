//! The layer, before a service that answers with whom it saw.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use egov_auth::{
    Access, Assurance, AuthLayer, Caller, Issuer, MethodRule, Policies, Resource, Revocation, Revocations, Revoked,
    StaticKeySource, TokenClaims, Unit, UnitTree, Verifier, VerifierConfig,
};
use egov_clock::{Clock as _, ManualClock};
use http::{Request, Response, StatusCode};
use jiff::SignedDuration;
use support::{AUDIENCE, ISSUER, TestKey, jwks, staff};
use tower::{Layer as _, ServiceExt as _, service_fn};
use uuid::Uuid;

const POLICY: &str = r#"
    [[role]]
    name = "clerk"
    title = "Công chức bộ phận một cửa"

    [[grant]]
    role = "clerk"
    permissions = ["cases.read", "cases.approve"]
    over = "subtree"
    when = []

    [[grant]]
    role = "citizen"
    permissions = ["cases.read"]
    over = "none"
    when = ["own_record", "assurance:substantial"]
"#;

struct Setting {
    clock: ManualClock,
    key: TestKey,
    revocations: Arc<Revocations>,
    layer: AuthLayer,
}

impl Setting {
    fn new() -> Self {
        let clock = support::clock();
        let key = TestKey::es256("k1");
        let source = Arc::new(StaticKeySource::new(jwks(&[&key])));
        let verifier = Verifier::new(
            vec![Issuer::new(ISSUER, AUDIENCE, source)],
            clock.shared(),
            VerifierConfig::default(),
        );
        let tree = UnitTree::new(1, [Unit { id: 1, parent: None }, Unit { id: 2, parent: Some(1) }]).unwrap();
        let policies = Policies::from_toml(&[("test.toml", POLICY)]).unwrap();
        let access = Access::new(policies, Arc::new(ArcSwap::from_pointee(tree)));
        let revocations = Arc::new(Revocations::new(clock.shared()));
        let rules = vec![
            MethodRule::permitted("/x.v1.Cases/Get", "cases.read").for_a_purpose(),
            MethodRule::permitted("/x.v1.Cases/List", "cases.read"),
            MethodRule::permitted("/x.v1.Cases/Approve", "cases.approve").sensitive(),
            MethodRule::public("/x.v1.Cases/Track"),
            MethodRule {
                path: "/x.v1.Cases/Whoami".to_owned(),
                ..MethodRule::default()
            },
            MethodRule::permitted("GET /cases/{id}", "cases.read"),
        ];
        let layer = AuthLayer::new(
            Arc::new(verifier),
            Arc::new(access),
            Arc::clone(&revocations),
            rules,
            &["/grpc.health.v1.Health/", "/grpc.reflection."],
        );
        Self {
            clock,
            key,
            revocations,
            layer,
        }
    }

    fn token(&self, roles: &[(&str, i32)]) -> String {
        self.key.sign(&staff(&self.clock, roles))
    }

    fn citizen(&self, acr: Assurance) -> String {
        self.key.sign(&support::citizen(&self.clock, Uuid::from_u128(5), acr))
    }

    /// Calls a service that answers with the caller's key and purpose, or "nobody".
    async fn call(&self, request: Request<()>) -> Response<String> {
        let service = service_fn(|request: Request<()>| async move {
            let seen = request.extensions().get::<Caller>().map_or_else(
                || "nobody".to_owned(),
                |caller| format!("{} for {:?} at {}", caller.key(), caller.purpose, caller.method()),
            );
            Ok::<_, Infallible>(Response::new(seen))
        });
        self.layer.layer(service).oneshot(request).await.unwrap()
    }

    async fn grpc(&self, method: &str, headers: &[(&str, &str)]) -> Response<String> {
        let mut request =
            Request::post(format!("http://x/x.v1.Cases/{method}")).header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.call(request.body(()).unwrap()).await
    }

    async fn grpc_with(&self, method: &str, token: &str, headers: &[(&str, &str)]) -> Response<String> {
        let bearer = format!("Bearer {token}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.grpc(method, &all).await
    }
}

fn reason(response: &Response<String>) -> (tonic::Code, String) {
    let status = tonic::Status::from_header_map(response.headers()).unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.body(), "", "the service must not have run");
    (status.code(), egov_fault::reason_of(&status).unwrap())
}

fn refused(code: tonic::Code, reason: &str) -> (tonic::Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn a_permitted_call_reaches_the_service_with_its_caller() {
    let setting = Setting::new();
    let token = setting.token(&[("clerk", 1)]);
    let response = setting
        .grpc_with("Get", &token, &[("x-egov-purpose", "gi%E1%BA%A3i quy%E1%BA%BFt")])
        .await;
    assert_eq!(
        response.body(),
        "staff:00000000-0000-0000-0000-000000000001 for Some(\"giải quyết\") at /x.v1.Cases/Get"
    );
}

#[tokio::test]
async fn a_call_without_a_token_is_refused_unless_the_method_is_public() {
    let setting = Setting::new();
    assert_eq!(
        reason(&setting.grpc("List", &[]).await),
        refused(tonic::Code::Unauthenticated, "TOKEN_MISSING")
    );
    assert_eq!(setting.grpc("Track", &[]).await.body(), "nobody");
}

#[tokio::test]
async fn a_token_sent_to_a_public_method_is_verified_all_the_same() {
    let setting = Setting::new();
    let known = setting.grpc_with("Track", &setting.token(&[]), &[]).await;
    assert!(known.body().starts_with("staff:"), "{}", known.body());
    assert_eq!(
        reason(&setting.grpc_with("Track", "a.b.c", &[]).await),
        refused(tonic::Code::Unauthenticated, "TOKEN_MALFORMED")
    );
}

#[tokio::test]
async fn a_method_without_a_permission_admits_anybody_with_a_token() {
    let setting = Setting::new();
    assert!(
        setting
            .grpc_with("Whoami", &setting.token(&[]), &[])
            .await
            .body()
            .starts_with("staff:")
    );
    assert_eq!(
        reason(&setting.grpc("Whoami", &[]).await),
        refused(tonic::Code::Unauthenticated, "TOKEN_MISSING")
    );
}

#[tokio::test]
async fn health_and_reflection_pass_and_unknown_methods_do_not() {
    let setting = Setting::new();
    let health = Request::post("http://x/grpc.health.v1.Health/Check").header("content-type", "application/grpc");
    assert_eq!(setting.call(health.body(()).unwrap()).await.body(), "nobody");
    assert_eq!(
        reason(
            &setting
                .grpc_with("Forgotten", &setting.token(&[("clerk", 1)]), &[])
                .await
        ),
        refused(tonic::Code::Unimplemented, "METHOD_UNKNOWN")
    );
}

#[tokio::test]
async fn nobody_can_bring_a_caller_along() {
    let setting = Setting::new();
    let policies = Policies::from_toml(&[("test.toml", POLICY)]).unwrap();
    let access = Arc::new(Access::new(policies, Arc::new(ArcSwap::default())));
    let claims = staff(&setting.clock, &[]);
    let smuggled = Arc::new(claims.into_principal("k", jiff::Timestamp::MAX).unwrap());
    for path in ["/x.v1.Cases/Track", "/grpc.health.v1.Health/Check"] {
        let mut request = Request::post(format!("http://x{path}"));
        request
            .extensions_mut()
            .unwrap()
            .insert(Caller::new(Arc::clone(&smuggled), None, Arc::clone(&access)));
        assert_eq!(setting.call(request.body(()).unwrap()).await.body(), "nobody");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_although_it_is_remembered() {
    let setting = Setting::new();
    let token = setting.token(&[("clerk", 1)]);
    assert!(
        setting
            .grpc_with("List", &token, &[])
            .await
            .body()
            .starts_with("staff:")
    );
    let revocation = Revocation {
        what: Revoked::Token("token-1".to_owned()),
        forget_after: setting.clock.now() + SignedDuration::from_mins(10),
    };
    setting.revocations.apply([revocation], setting.clock.now());
    for method in ["List", "Track"] {
        assert_eq!(
            reason(&setting.grpc_with(method, &token, &[]).await),
            refused(tonic::Code::Unauthenticated, "TOKEN_REVOKED")
        );
    }
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let setting = Setting::new();
    let response = setting
        .grpc_with("Approve", &setting.citizen(Assurance::High), &[])
        .await;
    assert_eq!(
        reason(&response),
        refused(tonic::Code::PermissionDenied, "PERMISSION_MISSING")
    );
    let status = tonic::Status::from_header_map(response.headers()).unwrap();
    let fault = egov_fault::fault_of(&status);
    assert_eq!(fault.metadata()["permission"], "cases.approve");
}

#[tokio::test]
async fn too_low_an_assurance_is_told_with_the_level_that_is_needed() {
    let setting = Setting::new();
    let response = setting.grpc_with("List", &setting.citizen(Assurance::Low), &[]).await;
    assert_eq!(
        reason(&response),
        refused(tonic::Code::PermissionDenied, "ASSURANCE_TOO_LOW")
    );
    let status = tonic::Status::from_header_map(response.headers()).unwrap();
    assert_eq!(egov_fault::fault_of(&status).metadata()["required"], "substantial");
    let response = setting
        .grpc_with("List", &setting.citizen(Assurance::Substantial), &[])
        .await;
    assert!(response.body().starts_with("citizen:"));
}

#[tokio::test]
async fn reading_without_a_purpose_is_refused_where_it_is_required() {
    let setting = Setting::new();
    let token = setting.token(&[("clerk", 1)]);
    for headers in [&[][..], &[("x-egov-purpose", " ")]] {
        assert_eq!(
            reason(&setting.grpc_with("Get", &token, headers).await),
            refused(tonic::Code::PermissionDenied, "PURPOSE_MISSING")
        );
    }
    assert_eq!(
        reason(&setting.grpc_with("List", &token, &[("x-egov-purpose", "%00")]).await),
        refused(tonic::Code::InvalidArgument, "INVALID_FIELD")
    );
}

#[tokio::test]
async fn with_a_stale_feed_reads_go_on_and_sensitive_acts_do_not() {
    let setting = Setting::new();
    let token = setting.token(&[("clerk", 1)]);
    let stale = refused(tonic::Code::Unavailable, "REVOCATION_FEED_STALE");
    assert_eq!(reason(&setting.grpc_with("Approve", &token, &[]).await), stale);
    assert!(
        setting
            .grpc_with("List", &token, &[])
            .await
            .body()
            .starts_with("staff:")
    );

    setting.revocations.apply([], setting.clock.now());
    assert!(
        setting
            .grpc_with("Approve", &token, &[])
            .await
            .body()
            .starts_with("staff:")
    );
    setting.clock.advance(SignedDuration::from_secs(11));
    assert_eq!(reason(&setting.grpc_with("Approve", &token, &[]).await), stale);
}

#[tokio::test]
async fn how_fresh_the_feed_must_be_is_configured() {
    let mut setting = Setting::new();
    setting.layer = setting.layer.revocations_fresh_within(Duration::from_mins(1));
    setting.revocations.apply([], setting.clock.now());
    setting.clock.advance(SignedDuration::from_secs(50));
    let token = setting.token(&[("clerk", 1)]);
    assert!(
        setting
            .grpc_with("Approve", &token, &[])
            .await
            .body()
            .starts_with("staff:")
    );
}

#[tokio::test]
async fn plain_http_is_refused_in_its_own_terms() {
    let setting = Setting::new();
    let get = |token: Option<String>| {
        let mut request = Request::get("http://x/cases/7");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        setting.call(request.body(()).unwrap())
    };
    let missing = get(None).await;
    assert_eq!(missing.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(missing.headers()["www-authenticate"], "Bearer");
    assert_eq!(missing.headers()["x-egov-reason"], "TOKEN_MISSING");

    let expired = TokenClaims {
        exp: 1,
        ..staff(&setting.clock, &[])
    };
    let expired = get(Some(setting.key.sign(&expired))).await;
    assert_eq!(
        expired.headers()["www-authenticate"],
        "Bearer error=\"invalid_token\", error_description=\"the token has expired\""
    );

    let unpermitted = get(Some(setting.token(&[]))).await;
    assert_eq!(unpermitted.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        unpermitted.headers()["www-authenticate"],
        "Bearer error=\"insufficient_scope\""
    );

    let permitted = get(Some(setting.token(&[("clerk", 2)]))).await;
    assert_eq!(permitted.status(), StatusCode::OK);
    assert!(permitted.body().ends_with("at GET /cases/{id}"));

    let unknown = setting.call(Request::get("http://x/other").body(()).unwrap()).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_caller_may_do_is_asked_at_the_caller() {
    let setting = Setting::new();
    let token = setting.token(&[("clerk", 2)]);
    let service = service_fn(|request: Request<()>| async move {
        let caller = request.extensions().get::<Caller>().unwrap();
        let scope = caller.scope("cases.read");
        let own = caller.require("cases.read", &Resource::of_unit(2)).is_ok();
        let neighbour = caller.require("cases.read", &Resource::of_unit(1)).unwrap_err();
        let text = format!("{:?} {own} {}", scope.units, neighbour.reason());
        Ok::<_, Infallible>(Response::new(text))
    });
    let request = Request::post("http://x/x.v1.Cases/List")
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .unwrap();
    let response: Response<String> = setting.layer.layer(service).oneshot(request).await.unwrap();
    assert_eq!(response.body(), "[2] true PERMISSION_MISSING");
}
