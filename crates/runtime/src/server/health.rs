//! Whether the services can serve: `grpc.health.v1` and two plain HTTP paths.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use tokio::sync::Mutex;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// Says whether services can serve.
///
/// Services are `SERVING` from the moment the port is open. A service that lost what it needs (its database) reports
/// so by [`Health::set`]. The empty name stands for the whole process and serves while all services do. During a drain
/// nothing serves any more, whatever is reported.
///
/// Over plain HTTP, `/health/live` answers 200 as long as the process answers at all, and `/health/ready` answers 200
/// or 503 as the whole process stands.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    state: Arc<Mutex<State>>,
}

struct State {
    phase: Phase,
    services: BTreeMap<String, bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Open,
    Draining,
}

impl State {
    fn ready(&self) -> bool {
        self.phase == Phase::Open && self.services.values().all(|serving| *serving)
    }
}

impl Health {
    pub(super) fn new(services: impl IntoIterator<Item = String>) -> Self {
        Self {
            reporter: HealthReporter::new(),
            state: Arc::new(Mutex::new(State {
                phase: Phase::Starting,
                services: services.into_iter().map(|service| (service, true)).collect(),
            })),
        }
    }

    /// Reports that `service` (its full gRPC name) can or cannot serve. A name that the server does not have is added.
    pub async fn set(&self, service: &str, serving: bool) {
        let mut state = self.state.lock().await;
        state.services.insert(service.to_owned(), serving);
        self.publish(&state).await;
    }

    /// The port is open.
    pub(super) async fn open(&self) {
        let mut state = self.state.lock().await;
        if state.phase == Phase::Starting {
            state.phase = Phase::Open;
        }
        self.publish(&state).await;
    }

    /// Nothing serves from now on.
    pub(super) async fn drain(&self) {
        let mut state = self.state.lock().await;
        state.phase = Phase::Draining;
        self.publish(&state).await;
    }

    /// The server has ended: forgets everything, which ends what still watches.
    pub(super) async fn close(&self) {
        let state = self.state.lock().await;
        let mut reporter = self.reporter.clone();
        for service in state.services.keys() {
            reporter.clear_service_status(service).await;
        }
        reporter.clear_service_status("").await;
    }

    async fn publish(&self, state: &State) {
        let status = |serving: bool| {
            if serving {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            }
        };
        let open = state.phase == Phase::Open;
        for (service, serving) in &state.services {
            self.reporter
                .set_service_status(service, status(open && *serving))
                .await;
        }
        self.reporter.set_service_status("", status(state.ready())).await;
    }

    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    pub(super) fn routes(&self) -> Router {
        let state = Arc::clone(&self.state);
        Router::new().route("/health/live", get(|| async { "live\n" })).route(
            "/health/ready",
            get(move || async move {
                if state.lock().await.ready() {
                    (StatusCode::OK, "ready\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
                }
            }),
        )
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}
