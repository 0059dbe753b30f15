//! How a service of this platform starts, answers, reports, drains and stops.
//!
//! A service brings its handlers, its routes and its jobs as an [`Assembly`](server::Assembly); everything that all
//! services have in common is here, once:
//!
//! * [`config`]: defaults, file and environment in one documented order, unknown keys refused, secrets by file, and one
//!   budget of database connections;
//! * [`contract`]: what the contracts say of access, validity and personal data, compiled at start;
//! * [`accept`](fn@accept): the one entry of every handler, behind which a message keeps the rules of its contract;
//! * [`server`]: one port for gRPC and HTTP with TLS and mTLS, limits, deadlines, health, reflection, jobs and a drain;
//! * [`telemetry`]: logs without personal data, traces, metrics.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use egov_clock::{SystemClock, SystemIds};
//! use egov_runtime::config::{self, ServerConfig, TelemetryConfig};
//! use egov_runtime::contract::Contract;
//! use egov_runtime::server::{Assembly, Server, Shutdown};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Default, Serialize, Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config {
//!     server: ServerConfig,
//!     telemetry: TelemetryConfig,
//! }
//!
//! # async fn run(pool: &prost_reflect::DescriptorPool) -> Result<(), Box<dyn std::error::Error>> {
//! let config: Config = config::load("example", None)?;
//! let contract = Arc::new(Contract::from_pool(pool)?);
//! let clock = SystemClock::shared();
//! let telemetry = egov_runtime::telemetry::start(
//!     "example",
//!     &config.telemetry,
//!     contract.personal_field_names(),
//!     clock.clone(),
//! )?;
//!
//! let listener = tokio::net::TcpListener::bind(config.server.listen).await?;
//! let server = Server::builder(config.server, contract, clock, SystemIds::shared())
//!     .assembly(Assembly::new("example"))
//!     .build()?;
//! let shutdown = Shutdown::new();
//! shutdown.on_signals()?;
//! server.serve(listener, shutdown).await;
//! telemetry.stop();
//! # Ok(())
//! # }
//! ```

mod accept;
pub mod config;
pub mod contract;
pub mod server;
pub mod telemetry;

/// The allocator of every program of the platform: what is served are many small messages, which it serves in less time than glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use accept::{Accepted, RequestId, accept};
