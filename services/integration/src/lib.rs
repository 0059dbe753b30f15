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
mod event_error;
mod jobs;
mod operations;
pub mod permits;
mod store;

use std::sync::Arc;

use egov_auth::AuthLayer;
use egov_database::{Database, Relay};
use egov_events::{EventStore, PostgresStore};
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1::event_service_server::EventServiceServer;
use egov_proto::egov::integration::v1::integration_service_server::IntegrationServiceServer;
use egov_proto::egov::integration::v1::mailbox_service_server::MailboxServiceServer;
use egov_runtime::contract::Contract;
use egov_runtime::server::{Assembly, Job};

use crate::api::Api;
use crate::api::events::EventApi;
use crate::api::mailboxes::MailboxApi;
use crate::domain::webhook::AllowedHosts;
use crate::operations::Events;
use crate::operations::Integration;
use crate::operations::mailboxes::Mailboxes;

pub use crate::operations::topics::ensure_topic;

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
    /// The service's keys.
    pub keyring: Arc<Keyring>,
    /// Where events are kept, and where webhooks may go.
    pub events: EventParts,
}

/// What the events and mailboxes need.
pub struct EventParts {
    /// Keeps the events.
    pub store: Arc<dyn EventStore>,
    /// The hosts to which webhooks may be sent: `host` or `host:port`.
    pub webhook_hosts: Vec<String>,
}

impl EventParts {
    /// Events in the service's own database, and no webhooks. Must be called within a runtime.
    pub fn in_database(database: &Database) -> Self {
        Self {
            store: Arc::new(PostgresStore::new(database.clone(), QUEUE_BYTES)),
            webhook_hosts: Vec::new(),
        }
    }
}

/// How many bytes of events may wait to be stored.
pub const QUEUE_BYTES: usize = 64 << 20;

/// Puts the service together: its RPCs and its background jobs.
///
/// # Errors
/// If no HTTP client can be made for the webhooks.
pub fn assemble(parts: Parts) -> anyhow::Result<Assembly> {
    let (database, keyring, contract) = (parts.database, parts.keyring, parts.contract);
    let api = Api {
        contract: Arc::clone(&contract),
        service: Arc::new(Integration {
            database: database.clone(),
        }),
    };
    let events = Arc::new(Events {
        database: database.clone(),
        store: parts.events.store,
        keyring: Arc::clone(&keyring),
        hosts: AllowedHosts::new(&parts.events.webhook_hosts),
    });
    let mailboxes = Arc::new(Mailboxes {
        database: database.clone(),
        keyring,
    });
    let event_api = EventApi {
        contract: Arc::clone(&contract),
        events: Arc::clone(&events),
        clock: database.clock().clone(),
    };
    let mailbox_api = MailboxApi {
        contract,
        mailboxes: Arc::clone(&mailboxes),
    };
    let client = jobs::webhooks::client()?;
    let sending = Arc::clone(&events);
    let (relaying, keeping) = (database.clone(), database);
    Ok(Assembly::new(SERVICE)
        .service(IntegrationServiceServer::new(api))
        .service(EventServiceServer::new(event_api))
        .service(MailboxServiceServer::new(mailbox_api))
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
        .job(Job::new("integration.retention", move |stop| {
            let (events, mailboxes) = (Arc::clone(&events), Arc::clone(&mailboxes));
            async move {
                jobs::retention::run(events, mailboxes, stop).await;
                Ok(())
            }
        }))
        .job(Job::new("integration.webhooks", move |stop| {
            let (events, client) = (Arc::clone(&sending), client.clone());
            async move {
                jobs::webhooks::run(events, client, stop).await;
                Ok(())
            }
        })))
}
