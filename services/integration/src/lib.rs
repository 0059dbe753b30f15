//! The service integration.
//!
//! * `domain`: the rules, pure.
//! * `store`: the SQL, one file an aggregate.
//! * `operations`: one use case a file.
//! * `api`: gRPC handlers of a few lines.
//!
//! README.md says how to add an operation.

mod api;
pub mod config;
pub mod domain;
mod error;
mod operations;
pub mod permits;
mod store;

use std::sync::Arc;

use egov_auth::AuthLayer;
use egov_database::{Database, Relay};
use egov_proto::egov::integration::v1::integration_service_server::IntegrationServiceServer;
use egov_runtime::contract::Contract;
use egov_runtime::server::{Assembly, Job};

use crate::api::Api;
use crate::operations::Integration;

/// The migrations of this service's database.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The name of the service: of its database, its roles, its section in the configuration.
pub const SERVICE: &str = "integration";

/// What the service is given; it makes nothing of this itself, so that one process or many is a matter of wiring.
pub struct Parts {
    /// The service's database, as the app role.
    pub database: Database,
    /// The compiled contract.
    pub contract: Arc<Contract>,
    /// Who guards the RPCs.
    pub auth: AuthLayer,
}

/// Puts the service together: its RPCs and its background jobs.
pub fn assemble(parts: Parts) -> Assembly {
    let api = Api {
        contract: parts.contract,
        service: Arc::new(Integration {
            database: parts.database.clone(),
        }),
    };
    let (relaying, keeping) = (parts.database.clone(), parts.database);
    Assembly::new(SERVICE)
        .service(IntegrationServiceServer::new(api))
        .auth(parts.auth)
        .job(Job::new("integration.relay", move |stop| {
            let relay = Relay::new(relaying.clone());
            async move {
                relay.run(stop).await;
                Ok(())
            }
        }))
        .job(Job::new("integration.request-days", move |stop| {
            let database = keeping.clone();
            async move {
                database.keep_request_days_until(stop).await;
                Ok(())
            }
        }))
}
