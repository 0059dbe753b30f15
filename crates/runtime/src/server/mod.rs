//! One port for everything a service answers, and the way from its start to its end.
//!
//! Start: [`Server::builder`] takes one [`Assembly`] for each service of the process, checks that the contracts know
//! them, loads the certificates and puts the layers together (`stack.rs` shows their order). [`Server::serve`] then
//! takes connections until [`Shutdown`] asks for the drain:
//!
//! 1. the health service says `NOT_SERVING`, and for `drain.delay` calls are still taken;
//! 2. the ports beside the server's own are closed; their connections are asked to end, and after `drain.streams` their streams;
//! 3. the server's own port is closed when those have drained, or when half of `drain.grace` is over: a call that came in
//!    beside may need it;
//! 4. calls in progress go on until `drain.grace` is over at most, then they are aborted;
//! 5. what the calls have left in memory is written ([`Assembly::after_calls`]), while the jobs go on;
//! 6. jobs are asked to end and get `drain.jobs`, then they are aborted.
//!
//! A second signal skips what is left of the waiting.

mod answer;
mod assembly;
mod connection;
mod cors;
mod delivery;
mod health;
mod jobs;
mod limits;
mod shutdown;
mod stack;
mod tls;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use egov_clock::{SharedClock, SharedIds};
use egov_transcode::{Rest, RestError};
use futures::future::join_all;
use opentelemetry::metrics::Meter;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{DrainConfig, LimitsConfig, ServerConfig};
use crate::contract::Contract;
use crate::telemetry::Recorder;

pub use assembly::{Assembly, Job, JobResult};
pub use connection::client_certificate;
pub use health::Health;
pub use limits::{Draining, deadline_passed, grpc_timeout, message_too_large, remaining, shutting_down};
pub use shutdown::Shutdown;
pub use tls::TlsError;

pub(crate) use answer::is_grpc;

use connection::Connections;
use tls::Tls;

/// Paths of what belongs to no service: answered without a token, under overload, and recorded at debug level.
pub(crate) const INFRASTRUCTURE: [&str; 3] = ["/grpc.health.v1.Health/", "/grpc.reflection.", "/health/"];

/// Methods of the infrastructure, beside those of the contracts.
const INFRASTRUCTURE_METHODS: [&str; 5] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.health.v1.Health/List",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A service is not in the contracts, so nothing says who may call it.
    #[error("the contracts do not know the service {0}")]
    UnknownService(String),
    /// Two assemblies bring the same service.
    #[error("the service {0} is assembled twice")]
    ServedTwice(String),
    /// An assembly with RPCs says neither how they are protected nor why they are not.
    #[error("the assembly {0} has neither an auth layer nor a reason to go without")]
    Unprotected(&'static str),
    /// A limit of the configuration would let nothing through.
    #[error("server.{0} must be greater than zero")]
    ZeroLimit(&'static str),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The bindings of the contracts to HTTP cannot be served: two share a path, or one names a field that is not there.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// An origin of the configuration is none.
    #[error(
        "server.cors.origins: {0:?} is no origin; an origin is a scheme, a host and perhaps a port: https://example.vn"
    )]
    Origin(String),
    /// The descriptors cannot be served by reflection.
    #[error("the descriptors cannot be served by reflection: {0}")]
    Reflection(String),
}

/// How a server ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut with calls in progress, because the grace period was over.
    pub aborted_connections: usize,
    /// Jobs that were aborted because they did not end in time.
    pub aborted_jobs: usize,
}

/// Puts a server together.
pub struct ServerBuilder {
    config: ServerConfig,
    contract: Arc<Contract>,
    clock: SharedClock,
    ids: SharedIds,
    meter: Meter,
    assemblies: Vec<Assembly>,
    beside: Vec<Beside>,
}

/// A port beside the server's own, for what is no service of its contracts: the same limits, encryption and care for
/// connections, and a place in the same drain.
#[derive(Debug)]
pub struct Beside {
    /// Stands in the log.
    pub name: &'static str,
    /// The port's own section of the configuration. `listen`, `cors` and `docs` say nothing here.
    pub config: ServerConfig,
    /// Where it listens.
    pub listener: TcpListener,
    /// What answers, but for the health of the process, which every port says.
    pub router: Router,
}

/// A server that is ready to take connections.
pub struct Server {
    router: Router,
    jobs: Vec<Job>,
    after_calls: Vec<Job>,
    health: Health,
    port: Port,
    beside: Vec<(Beside, Port)>,
}

/// A port: connections, encryption, limits and drain, for whatever router answers on it.
struct Port {
    connections: Connections,
    tls: Option<Arc<Tls>>,
    drain: DrainConfig,
    ending: Ending,
}

/// How connections and calls of a port are ended.
#[derive(Clone, Debug, Default)]
struct Ending {
    /// Tells connections and streams.
    draining: Draining,
    /// Cancelled when calls shall be cut.
    abort: CancellationToken,
}

impl Port {
    fn new(config: &ServerConfig, clock: SharedClock, meter: &Meter) -> Result<Self, StartError> {
        check(&config.limits)?;
        let tls = Tls::from_config(&config.tls, clock)?.map(Arc::new);
        let ending = Ending::default();
        let places = config.limits.connections.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            connections: Connections::new(
                &config.limits,
                &config.keepalive,
                Arc::new(Semaphore::new(places)),
                &ending,
                meter,
            ),
            tls,
            drain: config.drain.clone(),
            ending,
        })
    }

    async fn accept(&self, listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
        self.connections.accept(listener, router, self.tls.clone(), stop).await;
    }

    /// Asks connections to end, waits for the calls in progress until `last`, and cuts what is left; says how many connections
    /// that were.
    async fn end(&self, shutdown: &Shutdown, last: Instant) -> usize {
        let grace = last.saturating_duration_since(Instant::now());
        self.ending.draining.token().cancel();
        let told = async {
            tokio::time::sleep(self.drain.streams.get().min(grace / 2)).await;
            self.ending.draining.over().cancel();
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            () = self.connections.all_ended() => 0,
            never = told => match never {},
            () = tokio::time::sleep_until(last) => self.connections.abort(&self.ending.abort).await,
            () = shutdown.aborted() => self.connections.abort(&self.ending.abort).await,
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Begins a server for services of `contract`.
    pub fn builder(config: ServerConfig, contract: Arc<Contract>, clock: SharedClock, ids: SharedIds) -> ServerBuilder {
        ServerBuilder {
            config,
            contract,
            clock,
            ids,
            meter: opentelemetry::global::meter("egov"),
            assemblies: Vec::new(),
            beside: Vec::new(),
        }
    }

    /// The handle by which a service says whether it can serve.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Everything the port answers, all layers included, for calls within the process.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Takes connections from `listener`, and those of the ports beside it, until `shutdown` asks for the drain, and drains.
    ///
    /// Needs a Tokio runtime with time and network. Does not fail: what goes wrong with one connection is that
    /// connection's end, and a listener that cannot accept is tried again.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> Drained {
        let stop_jobs = CancellationToken::new();
        let abort_jobs = CancellationToken::new();
        let jobs = TaskTracker::new();
        for job in self.jobs {
            jobs.spawn(job.supervise(stop_jobs.clone(), abort_jobs.clone()));
        }
        let tls = [&self.port].into_iter().chain(self.beside.iter().map(|(_, port)| port));
        for tls in tls.filter_map(|port| port.tls.clone()) {
            jobs.spawn(tls.keep_fresh(shutdown.clone(), stop_jobs.clone()));
        }
        jobs.close();
        self.health.open().await;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, tls = self.port.tls.is_some(), "serving");
        }

        // No new calls: of the ports beside first, and of the own one when those need it no more.
        let (closing, beside_ended) = (CancellationToken::new(), CancellationToken::new());
        let asked = async {
            shutdown.draining().await;
            tracing::info!("draining");
            self.health.drain().await;
            tokio::select! {
                () = tokio::time::sleep(self.port.drain.delay.get()) => {}
                () = shutdown.aborted() => {}
            }
            closing.cancel();
        };
        let beside = async {
            let ended = join_all(
                self.beside
                    .into_iter()
                    .map(|(beside, port)| serve_beside(beside, port, &closing, &shutdown)),
            );
            let aborted: usize = ended.await.into_iter().sum();
            beside_ended.cancel();
            aborted
        };
        let own = async {
            let grace = self.port.drain.grace.get();
            let stop = async {
                closing.cancelled().await;
                let last = Instant::now() + grace;
                tokio::select! {
                    () = beside_ended.cancelled() => {}
                    () = tokio::time::sleep(grace / 2) => {}
                    () = shutdown.aborted() => {}
                }
                last
            };
            let mut last = Instant::now();
            self.port
                .accept(listener, self.router, async { last = stop.await })
                .await;
            self.port.end(&shutdown, last).await
        };
        let ((), beside, own) = tokio::join!(asked, beside, own);
        let aborted_connections = beside + own;

        // One period for both, so that the whole stop takes no longer than what the settings add up to.
        let last = Instant::now() + self.port.drain.jobs.get();
        let unwritten = finish(self.after_calls, self.port.drain.jobs.get() / 2, &shutdown).await;
        stop_jobs.cancel();
        let patience = tokio::time::sleep_until(last);
        let aborted_jobs = unwritten
            + tokio::select! {
                () = jobs.wait() => 0,
                () = patience => abort_all(&jobs, &abort_jobs).await,
                () = shutdown.aborted() => abort_all(&jobs, &abort_jobs).await,
            };
        self.health.close().await;
        tracing::info!(aborted_connections, aborted_jobs, "stopped");
        Drained {
            aborted_connections,
            aborted_jobs,
        }
    }
}

/// Serves a port beside the server's own until `closing`, and drains it; says how many connections were cut.
async fn serve_beside(beside: Beside, port: Port, closing: &CancellationToken, shutdown: &Shutdown) -> usize {
    if let Ok(address) = beside.listener.local_addr() {
        tracing::info!(%address, name = beside.name, tls = port.tls.is_some(), "serving");
    }
    port.accept(beside.listener, beside.router, closing.cancelled()).await;
    let aborted = port.end(shutdown, Instant::now() + port.drain.grace.get()).await;
    tracing::info!(name = beside.name, aborted_connections = aborted, "drained");
    aborted
}

/// Does the work that follows the last call; says how much of it was not done in time.
async fn finish(work: Vec<Job>, patience: Duration, shutdown: &Shutdown) -> usize {
    let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
    let tasks = TaskTracker::new();
    for job in work {
        let (stop, abort) = (stop.clone(), abort.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = job.once(stop) => {}
                () = abort.cancelled() => {}
            }
        });
    }
    tasks.close();
    tokio::select! {
        () = tasks.wait() => return 0,
        () = tokio::time::sleep(patience) => {}
        () = shutdown.aborted() => {}
    }
    stop.cancel();
    abort_all(&tasks, &abort).await
}

/// Aborts what is left and waits a moment for it, so that nothing outlives the server unnoticed.
async fn abort_all(tasks: &TaskTracker, abort: &CancellationToken) -> usize {
    let left = tasks.len();
    abort.cancel();
    // A task that blocks its thread cannot be aborted; the end of the process takes it along.
    let _ = tokio::time::timeout(Duration::from_secs(1), tasks.wait()).await;
    left
}

impl ServerBuilder {
    /// Adds a service.
    #[must_use]
    pub fn assembly(mut self, assembly: Assembly) -> Self {
        self.assemblies.push(assembly);
        self
    }

    /// Adds a port beside the server's own.
    #[must_use]
    pub fn beside(mut self, beside: Beside) -> Self {
        self.beside.push(beside);
        self
    }

    /// Measures with `meter` instead of the one that [`telemetry::start`](crate::telemetry::start) installed.
    #[must_use]
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meter = meter;
        self
    }

    /// Checks everything and puts the layers together.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn build(self) -> Result<Server, StartError> {
        let port = Port::new(&self.config, self.clock.clone(), &self.meter)?;
        let beside = self
            .beside
            .into_iter()
            .map(|one| Port::new(&one.config, self.clock.clone(), &self.meter).map(|port| (one, port)))
            .collect::<Result<Vec<_>, StartError>>()?;

        let mut services = BTreeSet::new();
        let mut methods: HashSet<String> = INFRASTRUCTURE_METHODS.iter().map(ToString::to_string).collect();
        let (mut jobs, mut after_calls) = (Vec::new(), Vec::new());
        let mut grpc = Vec::new();
        let mut http = Router::new();
        for assembly in self.assemblies {
            assembly.check()?;
            for service in &assembly.services {
                let Some(descriptor) = self.contract.pool().get_service_by_name(service) else {
                    return Err(StartError::UnknownService((*service).to_owned()));
                };
                if !services.insert(*service) {
                    return Err(StartError::ServedTwice((*service).to_owned()));
                }
                methods.extend(
                    descriptor
                        .methods()
                        .map(|method| format!("/{service}/{}", method.name())),
                );
            }
            let parts = assembly.into_parts();
            grpc.push(parts.grpc);
            http = http.merge(parts.http);
            jobs.extend(parts.jobs);
            after_calls.extend(parts.after_calls);
        }

        let limits = &self.config.limits;
        let pool = self.contract.pool();
        let rest = Rest::compile(pool, |service| services.contains(service))?.limit(limits.message_bytes);
        if self.config.docs && !rest.is_empty() {
            http = http.merge(egov_transcode::docs(pool, |service| services.contains(service)));
        }
        let cors = cors::layer(&self.config.cors)?;

        let health = Health::new(services.into_iter().map(ToOwned::to_owned));
        let beside = beside
            .into_iter()
            .map(|(mut beside, port): (Beside, Port)| {
                beside.router = stack::beside(beside.router, &health, port.ending.draining.token().clone());
                (beside, port)
            })
            .collect();
        let router = stack::build(stack::Parts {
            grpc,
            http,
            health: health.clone(),
            descriptors: self.contract.pool().encode_to_vec(),
            recorder: Recorder::new(methods, self.ids, &self.meter),
            draining: port.ending.draining.token().clone(),
            limits: limits.clone(),
            rest: Arc::new(rest),
            cors,
        })?;
        Ok(Server {
            router,
            jobs,
            after_calls,
            health,
            port,
            beside,
        })
    }
}

/// Refuses limits that would let nothing through: whoever writes 0 usually means "no limit", which there is not.
fn check(limits: &LimitsConfig) -> Result<(), StartError> {
    let zero = [
        ("limits.message_bytes", limits.message_bytes == 0),
        ("limits.header_bytes", limits.header_bytes == 0),
        ("limits.concurrent_calls", limits.concurrent_calls == 0),
        ("limits.concurrent_streams", limits.concurrent_streams == 0),
        ("limits.connections", limits.connections == 0),
        ("limits.deadline", limits.deadline.get().is_zero()),
        ("limits.deadline_max", limits.deadline_max.get().is_zero()),
    ];
    match zero.into_iter().find(|(_, is_zero)| *is_zero) {
        Some((key, _)) => Err(StartError::ZeroLimit(key)),
        None => Ok(()),
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("config", &self.config)
            .field("assemblies", &self.assemblies)
            .field("beside", &self.beside)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("health", &self.health)
            .field("jobs", &self.jobs)
            .field("port", &self.port)
            .field("beside", &self.beside)
            .finish_non_exhaustive()
    }
}
