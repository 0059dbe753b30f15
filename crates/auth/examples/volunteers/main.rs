//! A register of volunteers (sổ tình nguyện viên): a small complete service on axum that an outside team can copy.
//!
//! * `cargo run -p egov-auth --example volunteers` starts it with an issuer of its own and prints what to try.
//! * `cargo run -p egov-auth --example volunteers -- ISSUER AUDIENCE JWKS_URL` accepts the tokens of a real issuer.
//!
//! What it shows: the rules of the methods in one list, the policies as text beside the code, lists that show what the
//! caller may see, single rows that look absent otherwise, acts that need a permission over a unit, and a record of
//! every reading of personal data before it leaves. `cargo test -p egov-auth --example volunteers` plays it through.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use egov_auth::{
    Access, AuthLayer, Caller, Issuer, IssuerConfig, KeySourceConfig, MethodRule, Policies, ReadRecord, ReadRecorder,
    ReadSink, Resource, Revocations, Unit, UnitTree, Verifier, VerifierConfig,
};
use egov_clock::{SharedClock, SharedIds, SystemClock, SystemIds};
use egov_fault::{Code, Fault, Source};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use uuid::Uuid;

mod local_issuer;

/// A volunteer, as kept and as shown.
#[derive(Clone, Debug, Serialize)]
struct Volunteer {
    id: Uuid,
    /// The commune or ward that keeps the entry.
    unit: i32,
    /// The citizen's account, who may see the own entry.
    account: Uuid,
    name: String,
}

impl Volunteer {
    fn resource(&self) -> Resource {
        Resource {
            unit: Some(self.unit),
            owner: Some(self.account),
            assignee: None,
        }
    }
}

/// What the handlers share.
#[derive(Clone)]
struct Register {
    entries: Arc<Mutex<Vec<Volunteer>>>,
    reads: ReadRecorder,
    clock: SharedClock,
    ids: SharedIds,
}

impl Register {
    fn select(&self, wanted: impl Fn(&Volunteer) -> bool) -> Vec<Volunteer> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|entry| wanted(entry)).cloned().collect()
    }

    /// Records that the caller read these entries; nothing may be shown before this has returned.
    async fn record(&self, caller: &Caller, read: &[Volunteer]) -> Result<(), Fault> {
        let subjects = read.iter().map(|entry| entry.account).collect();
        let resources = read.iter().map(|entry| format!("volunteers/{}", entry.id)).collect();
        self.reads
            .record(ReadRecord::of(caller, subjects, resources, self.clock.now()))
            .await
    }
}

/// A refusal as an HTTP answer.
struct Refused(Fault);

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = axum::http::StatusCode::from_u16(self.0.code().http_status())
            .unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::json!({
            "reason": self.0.reason(), "vi": self.0.vi(), "en": self.0.en()
        });
        (status, Json(body)).into_response()
    }
}

/// `GET /volunteers`: the entries that the caller may see.
async fn list(
    State(register): State<Register>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<Volunteer>>, Refused> {
    let scope = caller.scope("volunteers.read");
    let found = register.select(|entry| scope.contains(&entry.resource()));
    register.record(&caller, &found).await?;
    Ok(Json(found))
}

/// `GET /volunteers/{id}`: one entry; one that the caller may not see looks absent.
async fn read(
    State(register): State<Register>,
    Extension(caller): Extension<Caller>,
    axum::extract::Path(id): axum::extract::Path<Uuid>,
) -> Result<Json<Volunteer>, Refused> {
    let scope = caller.scope("volunteers.read");
    let found = register.select(|entry| entry.id == id && scope.contains(&entry.resource()));
    let Some(entry) = found.first() else {
        return Err(Refused(Fault::new(
            Code::NotFound,
            "VOLUNTEER_NOT_FOUND",
            "không có tình nguyện viên này",
            "there is no such volunteer",
        )));
    };
    register.record(&caller, &found).await?;
    Ok(Json(entry.clone()))
}

/// What `POST /volunteers` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewVolunteer {
    unit: i32,
    account: Uuid,
    name: String,
}

/// `POST /volunteers`: adds an entry to the register of a unit over which the caller may.
async fn add(
    State(register): State<Register>,
    Extension(caller): Extension<Caller>,
    Json(new): Json<NewVolunteer>,
) -> Result<Json<Volunteer>, Refused> {
    caller.require("volunteers.add", &Resource::of_unit(new.unit))?;
    let entry = Volunteer {
        id: register.ids.uuid(),
        unit: new.unit,
        account: new.account,
        name: new.name,
    };
    register
        .entries
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(entry.clone());
    Ok(Json(entry))
}

/// Every method and what it demands. What is not listed is not served.
fn rules() -> Vec<MethodRule> {
    vec![
        MethodRule::permitted("GET /volunteers", "volunteers.read").for_a_purpose(),
        MethodRule::permitted("GET /volunteers/{id}", "volunteers.read").for_a_purpose(),
        MethodRule::permitted("POST /volunteers", "volunteers.add"),
        MethodRule::public("GET /health"),
    ]
}

/// The service behind its layer.
fn service(verifier: Verifier, access: Access, revocations: Revocations, register: Register) -> Router {
    let layer = AuthLayer::new(
        Arc::new(verifier),
        Arc::new(access),
        Arc::new(revocations),
        rules(),
        &[],
    );
    Router::new()
        .route("/volunteers", get(list).post(add))
        .route("/volunteers/{id}", get(read))
        .route("/health", get(|| async { "ok" }))
        .layer(layer)
        .with_state(register)
}

/// The policies beside this file, over the units that this service knows. A service of the platform takes the units
/// from identity's signed snapshot and exchanges the tree while it runs.
fn access() -> Result<Access, Box<dyn Error>> {
    let policies = Policies::from_toml(&[("policies.toml", include_str!("policies.toml"))])?;
    policies.check_permissions(&["volunteers.read", "volunteers.add"].into())?;
    let units = [(1, None), (10, Some(1)), (11, Some(10)), (20, Some(1))];
    let tree = UnitTree::new(1, units.map(|(id, parent)| Unit { id, parent }))?;
    Ok(Access::new(policies, Arc::new(ArcSwap::from_pointee(tree))))
}

/// Keeps the record of readings in a file, one JSON line a reading, on the disk before the data is shown.
struct ReadsFile(tokio::sync::Mutex<tokio::fs::File>);

impl ReadsFile {
    async fn open(path: &Path) -> std::io::Result<Self> {
        let file = tokio::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .await?;
        Ok(Self(tokio::sync::Mutex::new(file)))
    }
}

#[async_trait::async_trait]
impl ReadSink for ReadsFile {
    async fn write(&self, batch: &[ReadRecord]) -> Result<(), Source> {
        let mut lines = Vec::new();
        for record in batch {
            let line = serde_json::json!({
                "at": record.at, "reader": record.reader, "purpose": record.purpose,
                "method": record.method, "subjects": record.subjects, "resources": record.resources,
            });
            serde_json::to_writer(&mut lines, &line)?;
            lines.push(b'\n');
        }
        let mut file = self.0.lock().await;
        file.write_all(&lines).await?;
        file.sync_data().await?;
        Ok(())
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the example talks to the person who started it")]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = SystemClock::shared();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let issuer = match arguments.as_slice() {
        [issuer, audience, url] => {
            let keys = KeySourceConfig::JwksUrl(url.clone());
            Issuer::from_config(IssuerConfig::new(issuer, audience, keys))?
        }
        [] => {
            let local = local_issuer::LocalIssuer::new()?;
            println!("{}", local.what_to_try(clock.now())?);
            local.issuer()
        }
        _ => return Err("give ISSUER AUDIENCE JWKS_URL, or nothing".into()),
    };
    let verifier = Verifier::new(vec![issuer], Arc::clone(&clock), VerifierConfig::default());
    verifier.refresh().await?;

    let reads = std::env::temp_dir().join("volunteers-reads.jsonl");
    println!("readings are recorded in {}", reads.display());
    let register = Register {
        entries: Arc::default(),
        reads: ReadRecorder::start(ReadsFile::open(&reads).await?),
        clock: Arc::clone(&clock),
        ids: SystemIds::shared(),
    };
    // Nothing here is sensitive, so this service does not follow the feed of revocations: a token counts until it
    // ends, five minutes at most. A service that follows it hands each answer of identity's
    // `KeyService.ListRevocations` to `Revocations::apply`.
    let revocations = Revocations::new(clock);

    let listener = TcpListener::bind(("127.0.0.1", 8099)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, service(verifier, access()?, revocations, register)).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
