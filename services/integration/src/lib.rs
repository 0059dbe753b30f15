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
mod jobs;
mod operations;
mod partner_error;
pub mod partners;
pub mod permits;
mod store;

use std::sync::Arc;

use egov_auth::{AuthLayer, ReadRecorder};
use egov_database::{Database, ReadRecordSink, Relay};
use egov_fault::Fault;
use egov_proto::egov::integration::v1::civil_status_service_server::CivilStatusServiceServer;
use egov_proto::egov::integration::v1::integration_service_server::IntegrationServiceServer;
use egov_proto::egov::integration::v1::payment_service_server::PaymentServiceServer;
use egov_proto::egov::integration::v1::population_service_server::PopulationServiceServer;
use egov_proto::egov::integration::v1::portal_service_server::PortalServiceServer;
use egov_runtime::contract::Contract;
use egov_runtime::server::{Assembly, Job};

use crate::api::Api;
use crate::api::partners::PartnerApi;
use crate::operations::Integration;
pub use crate::operations::partners::Round;
use crate::operations::partners::{Partners, Shared};
use crate::partners::Connections;

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
    /// The connections to the province's partners.
    pub partners: Connections,
}

/// Puts the service together: its RPCs and its background jobs.
pub fn assemble(parts: Parts) -> Assembly {
    let partners = partners_of(&parts.database, parts.partners);
    let partner_api = PartnerApi {
        contract: Arc::clone(&parts.contract),
        partners: Arc::clone(&partners),
    };
    let api = Api {
        contract: parts.contract,
        service: Arc::new(Integration {
            database: parts.database.clone(),
        }),
    };
    let deliver_here = partners.connections.delivers();
    let (relaying, keeping) = (parts.database.clone(), parts.database);
    let delivering = Arc::clone(&partners);
    let assembly = Assembly::new(SERVICE)
        .service(IntegrationServiceServer::new(api))
        .service(PopulationServiceServer::new(partner_api.clone()))
        .service(PaymentServiceServer::new(partner_api.clone()))
        .service(PortalServiceServer::new(partner_api.clone()))
        .service(CivilStatusServiceServer::new(partner_api))
        .http(api::partners::notices(Arc::clone(&partners)))
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
        }));
    if !deliver_here {
        return assembly;
    }
    assembly.job(Job::new("integration.deliveries", move |stop| {
        jobs::deliveries::run(Arc::clone(&delivering), stop)
    }))
}

fn partners_of(database: &Database, connections: Connections) -> Shared {
    Arc::new(Partners {
        database: database.clone(),
        connections,
        reads: ReadRecorder::start(ReadRecordSink::new(database.clone())),
    })
}

/// The deliveries job without a server: one round when it is asked for one.
pub struct Deliverer(Shared);

impl Deliverer {
    /// Over a service's database; it needs a tokio runtime.
    pub fn new(database: &Database, connections: Connections) -> Self {
        Self(partners_of(database, connections))
    }

    /// Sends and asks what is due; none if another process is at it.
    pub async fn round(&self) -> Result<Option<Round>, Fault> {
        Ok(self.0.round().await?)
    }
}
