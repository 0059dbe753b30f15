//! The example, played through its router.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use egov_auth::{ReadRecord, ReadRecorder, ReadSink, Revocations, Verifier, VerifierConfig};
use egov_clock::{Clock as _, ManualClock, SeededIds};
use egov_fault::Source;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

use super::local_issuer::LocalIssuer;
use super::{Register, access, service};

#[derive(Default)]
struct KeptReads(Mutex<Vec<ReadRecord>>);

#[async_trait::async_trait]
impl ReadSink for KeptReads {
    async fn write(&self, batch: &[ReadRecord]) -> Result<(), Source> {
        self.0.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }
}

struct Setting {
    clock: ManualClock,
    issuer: LocalIssuer,
    reads: Arc<KeptReads>,
    router: Router,
}

impl Setting {
    fn new() -> Self {
        let clock = ManualClock::at("2026-11-23T01:00:00Z".parse().unwrap());
        let issuer = LocalIssuer::new().unwrap();
        let verifier = Verifier::new(vec![issuer.issuer()], clock.shared(), VerifierConfig::default());
        let reads = Arc::new(KeptReads::default());
        let register = Register {
            entries: Arc::default(),
            reads: ReadRecorder::start(Arc::clone(&reads)),
            clock: clock.shared(),
            ids: Arc::new(SeededIds::new(1)),
        };
        let revocations = Revocations::new(clock.shared());
        let router = service(verifier, access().unwrap(), revocations, register);
        Self {
            clock,
            issuer,
            reads,
            router,
        }
    }

    fn staff(&self, role: &str, unit: i32) -> String {
        self.issuer.staff(role, unit, self.clock.now()).unwrap()
    }

    async fn get(&self, path: &str, token: &str, purpose: Option<&str>) -> (StatusCode, Value) {
        let mut request = Request::get(path).header("authorization", format!("Bearer {token}"));
        if let Some(purpose) = purpose {
            request = request.header("x-egov-purpose", purpose);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn add(&self, token: &str, unit: i32, account: Uuid) -> (StatusCode, Value) {
        let body = json!({"unit": unit, "account": account, "name": "Nguyễn Thị Bình"});
        let request = Request::post("/volunteers")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn a_keeper_adds_and_reads_below_the_own_unit_and_the_neighbour_sees_nothing() {
    let setting = Setting::new();
    let citizen = Uuid::from_u128(7);
    let keeper = setting.staff("register_keeper", 10);
    let neighbour = setting.staff("register_keeper", 20);

    let (status, added) = setting.add(&keeper, 11, citizen).await;
    assert_eq!(status, StatusCode::OK);
    let (status, refused) = setting.add(&neighbour, 11, citizen).await;
    assert_eq!(
        (status, &refused["reason"]),
        (StatusCode::FORBIDDEN, &json!("PERMISSION_MISSING"))
    );

    let path = format!("/volunteers/{}", added["id"].as_str().unwrap());
    assert_eq!(
        setting.get(&path, &keeper, Some("planning")).await,
        (StatusCode::OK, added)
    );
    let (status, refused) = setting.get(&path, &neighbour, Some("planning")).await;
    assert_eq!(
        (status, &refused["reason"]),
        (StatusCode::NOT_FOUND, &json!("VOLUNTEER_NOT_FOUND"))
    );
    let (_, list) = setting.get("/volunteers", &neighbour, Some("planning")).await;
    assert_eq!(list, json!([]));
}

#[tokio::test]
async fn a_citizen_sees_the_own_entry_and_every_reading_is_recorded_with_its_purpose() {
    let setting = Setting::new();
    let citizen = Uuid::from_u128(7);
    let keeper = setting.staff("register_keeper", 10);
    setting.add(&keeper, 10, citizen).await;
    setting.add(&keeper, 10, Uuid::from_u128(8)).await;

    let token = setting.issuer.citizen(citizen, setting.clock.now()).unwrap();
    let (_, own) = setting.get("/volunteers", &token, Some("own_data")).await;
    assert_eq!(own.as_array().unwrap().len(), 1);
    let (_, all) = setting
        .get("/volunteers", &setting.staff("inspector", 0), Some("inspection"))
        .await;
    assert_eq!(all.as_array().unwrap().len(), 2);

    let reads = setting.reads.0.lock().unwrap().clone();
    let told: Vec<_> = reads
        .iter()
        .map(|read| (read.purpose.as_deref().unwrap_or_default(), read.subjects.len()))
        .collect();
    assert_eq!(told, [("own_data", 1), ("inspection", 2)]);
    assert_eq!(reads[0].method, "GET /volunteers");
}

#[tokio::test]
async fn without_token_or_purpose_nothing_is_shown_and_health_needs_neither() {
    let setting = Setting::new();
    let keeper = setting.staff("register_keeper", 10);
    assert_eq!(setting.get("/volunteers", &keeper, None).await.0, StatusCode::FORBIDDEN);
    assert_eq!(setting.get("/volunteers", "", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(setting.get("/health", "", None).await.0, StatusCode::OK);
    assert_eq!(setting.get("/metrics", &keeper, None).await.0, StatusCode::NOT_FOUND);
    assert!(setting.reads.0.lock().unwrap().is_empty());
}
