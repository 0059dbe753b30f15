//! What a service brings to a server.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;

use axum::Router;
use axum::middleware::from_fn;
use axum::response::IntoResponse;
use egov_auth::AuthLayer;
use http::Request;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::{Service, ServiceBuilder};

use super::StartError;
use crate::telemetry::note_caller;

/// What a job ends with. An error is logged, and the job is started again after a while.
pub type JobResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

type JobFuture = Pin<Box<dyn Future<Output = JobResult> + Send>>;

/// Work in the background.
///
/// It gets a token that is cancelled when the server has drained, and ends then. If it ends earlier without an error,
/// it was finished; if it fails or panics, it is started again after a pause that grows from one second to a minute.
pub struct Job {
    pub(super) name: &'static str,
    pub(super) run: Box<dyn Fn(CancellationToken) -> JobFuture + Send + Sync>,
}

impl Job {
    /// A job; `name` stands in the log.
    pub fn new<F, Fut>(name: &'static str, run: F) -> Self
    where
        F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = JobResult> + Send + 'static,
    {
        Self {
            name,
            run: Box::new(move |stop| Box::pin(run(stop))),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Job").field(&self.name).finish()
    }
}

/// One service: its RPCs and who guards them, its plain HTTP routes, its jobs.
///
/// Several assemblies share one process and one port (`egov up`), or each has its own (containers).
pub struct Assembly {
    name: &'static str,
    routes: Routes,
    /// Full names of the gRPC services, for health.
    pub(super) services: Vec<&'static str>,
    guard: Guard,
    http: Router,
    jobs: Vec<Job>,
    after_calls: Vec<Job>,
}

enum Guard {
    Unsaid,
    Layer(Box<AuthLayer>),
    /// None, for the reason given.
    None(&'static str),
}

pub(super) struct AssemblyParts {
    pub(super) grpc: Router,
    pub(super) http: Router,
    pub(super) jobs: Vec<Job>,
    pub(super) after_calls: Vec<Job>,
}

impl Assembly {
    /// An empty assembly; `name` stands in errors and the log.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            routes: Routes::default(),
            services: Vec::new(),
            guard: Guard::Unsaid,
            http: Router::new(),
            jobs: Vec::new(),
            after_calls: Vec::new(),
        }
    }

    /// Adds a generated gRPC server. Its health is reported under its full name.
    ///
    /// A generated server refuses messages above 4 MiB by itself; one that takes larger ones says so with
    /// `max_decoding_message_size`, up to `server.limits.message_bytes`.
    #[must_use]
    pub fn service<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.services.push(S::NAME);
        self
    }

    /// Guards the RPCs of this assembly.
    #[must_use]
    pub fn auth(mut self, layer: AuthLayer) -> Self {
        self.guard = Guard::Layer(Box::new(layer));
        self
    }

    /// Leaves the RPCs of this assembly unguarded; `reason` is written to the log at every start.
    #[must_use]
    pub fn without_auth(mut self, reason: &'static str) -> Self {
        self.guard = Guard::None(reason);
        self
    }

    /// Adds plain HTTP routes beside the RPCs. They do not stand behind the guard of the RPCs: what they show is open to
    /// all who reach the port, unless the routes bring an [`AuthLayer`] of their own. A path that two assemblies share
    /// stops the start.
    #[must_use]
    pub fn http(mut self, routes: Router) -> Self {
        self.http = self.http.merge(routes);
        self
    }

    /// Adds work in the background.
    #[must_use]
    pub fn job(mut self, job: Job) -> Self {
        self.jobs.push(job);
        self
    }

    /// Adds work that is done once, after the last call on every port has ended and before the jobs are asked to end: what calls
    /// have left in memory is written. It has half of
    /// `server.drain.jobs`; its token is cancelled when that is over.
    #[must_use]
    pub fn after_calls(mut self, job: Job) -> Self {
        self.after_calls.push(job);
        self
    }

    /// Refuses RPCs that nobody guards.
    pub(super) fn check(&self) -> Result<(), StartError> {
        match self.guard {
            Guard::Unsaid if !self.services.is_empty() => Err(StartError::Unprotected(self.name)),
            Guard::None(reason) => {
                tracing::warn!(assembly = self.name, reason, "RPCs without a guard");
                Ok(())
            }
            Guard::Unsaid | Guard::Layer(_) => Ok(()),
        }
    }

    pub(super) fn into_parts(self) -> AssemblyParts {
        // The fallback belongs to the whole server, not to one assembly.
        let router = self.routes.into_axum_router().reset_fallback();
        let grpc = match self.guard {
            Guard::Layer(auth) => router.layer(
                ServiceBuilder::new()
                    .layer(*auth)
                    // Behind it, where the caller is known.
                    .layer(from_fn(note_caller)),
            ),
            Guard::Unsaid | Guard::None(_) => router,
        };
        AssemblyParts {
            grpc,
            http: self.http,
            jobs: self.jobs,
            after_calls: self.after_calls,
        }
    }
}

impl fmt::Debug for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembly")
            .field("name", &self.name)
            .field("services", &self.services)
            .field("jobs", &self.jobs)
            .field("after_calls", &self.after_calls)
            .finish_non_exhaustive()
    }
}
