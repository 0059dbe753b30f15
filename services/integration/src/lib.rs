//! The integration middleware (phần mềm trung gian kết nối các hệ thống): its directory and agreements.
//!
//! * `domain`: the rules, pure.
//! * `store`: the SQL, one file an aggregate.
//! * `operations`: use cases: authorise, load, decide, write.
//! * `api`: gRPC handlers of a few lines.
//! * `permits`, `permit_feed`: what mediating instances judge calls by, and how they learn of it.
//!
//! README.md says how to add an operation.

mod api;
mod backlog_meters;
mod catalogue;
pub mod civil_registry;
pub mod config;
pub mod domain;
pub mod door;
mod error;
mod gatekeeper;
mod jobs;
mod journal;
mod meters;
pub mod onestop;
mod operations;
pub mod partners;
pub mod permit_feed;
pub mod permits;
mod plain_rest;
pub mod quotas;
mod rest;
mod sealing;
mod store;
mod usage;
mod wire;
mod xroad;

use std::sync::Arc;

use egov_auth::{AuthLayer, ReadRecorder};
use egov_database::{Database, ReadRecordSink};
use egov_directory::Directory;
use egov_door::Destinations;
use egov_events::{EventStore, PostgresStore};
use egov_fault::Fault;
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1::agreement_service_server::AgreementServiceServer;
use egov_proto::egov::integration::v1::civil_register_service_server::CivilRegisterServiceServer;
use egov_proto::egov::integration::v1::civil_status_service_server::CivilStatusServiceServer;
use egov_proto::egov::integration::v1::event_service_server::EventServiceServer;
use egov_proto::egov::integration::v1::exchange_service_server::ExchangeServiceServer;
use egov_proto::egov::integration::v1::interface_service_server::InterfaceServiceServer;
use egov_proto::egov::integration::v1::mailbox_service_server::MailboxServiceServer;
use egov_proto::egov::integration::v1::organisation_service_server::OrganisationServiceServer;
use egov_proto::egov::integration::v1::payment_service_server::PaymentServiceServer;
use egov_proto::egov::integration::v1::permit_service_server::PermitServiceServer;
use egov_proto::egov::integration::v1::population_service_server::PopulationServiceServer;
use egov_proto::egov::integration::v1::portal_service_server::PortalServiceServer;
use egov_proto::egov::integration::v1::synchronisation_service_server::SynchronisationServiceServer;
use egov_proto::egov::integration::v1::system_service_server::SystemServiceServer;
use egov_proto::egov::integration::v1::traffic_service_server::TrafficServiceServer;
use egov_runtime::contract::Contract;
use egov_runtime::server::Assembly;
use egov_transparency::Log;

use crate::api::Api;
use crate::api::events::EventApi;
use crate::api::exchanges::ExchangeApi;
use crate::api::mailboxes::MailboxApi;
use crate::api::partners::PartnerApi;
use crate::api::traffic::TrafficApi;
use crate::domain::webhook::AllowedHosts;
use crate::door::DoorGiven;
use crate::journal::ExchangeJournal;
use crate::operations::agencies::Agencies;
use crate::operations::mailboxes::Mailboxes;
use crate::operations::partners::{Partners, Shared};
use crate::operations::publish_events::DataSchemas;
use crate::operations::read_bodies::Bodies;
use crate::operations::read_exchanges::Exchanges;
use crate::operations::traffic::TrafficReader;
use crate::operations::{Events, Integration};
use crate::partners::Connections;
use crate::permits::PermitBook;
use crate::xroad::XRoad;

pub use error::DOMAIN;
pub use jobs::{expire_once, probe_once, reseal_once};
pub use journal::records_set_aside;
pub use operations::partners::{Followed, FollowedBooks, ReceivedChanges, Reconciled, ReconciledBooks, Round};
pub use operations::rebuild_leaves;
pub use operations::register_organisation::ensure_agency;
pub use operations::topics::ensure_topic;
pub use usage::{FieldUse, add_field_use};

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
    /// What is known of identity: whose agency codes are by its unit tree.
    pub directory: Arc<Directory>,
    /// The connections to the province's partners.
    pub partners: Connections,
    /// Where the endpoints of services may lie.
    pub endpoints: Arc<Destinations>,
    /// The keyring.
    pub keyring: Arc<Keyring>,
    /// Where events are kept, and where webhooks may go.
    pub events: EventParts,
    /// The ledger of this service's database.
    pub log: Arc<Log>,
    /// What the door is given; without it this process mediates nothing.
    pub door: Option<DoorGiven>,
}

/// One round of the job that ends exchanges which nobody ends any more, under its lease; how many. None are ended while another
/// process holds the lease. For the operator; the running service does it by itself.
///
/// # Errors
/// The store's; nothing was changed then.
pub async fn sweep_exchanges_once(database: &Database) -> Result<usize, Fault> {
    jobs::sweep_exchanges::by_hand(database).await
}

/// Rolls up everything that the journals have counted and that waits, under the lease of the job, and deletes sums that are older than
/// `kept_days`; how many rows were taken. None while another process holds the lease. For the operator; the running service does
/// it by itself.
///
/// # Errors
/// The store's; what was not rolled up waits on.
pub async fn roll_up_traffic_once(database: &Database, kept_days: u32) -> Result<usize, Fault> {
    let kept = jiff::SignedDuration::from_hours(24 * i64::from(kept_days));
    jobs::roll_up_traffic::by_hand(database, kept).await
}

/// The service, and what answers on the door's own port.
pub struct Assembled {
    /// RPCs and jobs.
    pub assembly: Assembly,
    /// For the door's port; none if the process mediates nothing.
    pub door: Option<axum::Router>,
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
/// If no HTTP client can be made for the webhooks, or the name of the X-Road instance cannot be one.
pub fn assemble(parts: Parts) -> anyhow::Result<Assembled> {
    let database = parts.database;
    let permits = Arc::new(PermitBook::new(database.clock().clone()));
    let agencies = Agencies::by(parts.directory);
    let service = Arc::new(Integration {
        database: database.clone(),
        agencies: agencies.clone(),
        endpoints: Arc::clone(&parts.endpoints),
    });
    let journal = match &parts.door {
        Some(door) => Some(ExchangeJournal::start(
            database.clone(),
            Arc::clone(&parts.keyring),
            Arc::clone(&parts.log),
            door.journal_folder.as_deref(),
        )?),
        None => None,
    };
    let exchanges = ExchangeApi {
        contract: Arc::clone(&parts.contract),
        exchanges: Arc::new(Exchanges {
            database: database.clone(),
            log: Arc::clone(&parts.log),
            journal: journal.clone(),
        }),
        bodies: Arc::new(Bodies {
            database: database.clone(),
            journal: journal.clone(),
            keyring: Arc::clone(&parts.keyring),
            reads: ReadRecorder::start(ReadRecordSink::new(database.clone())),
        }),
    };
    let traffic = TrafficApi {
        contract: Arc::clone(&parts.contract),
        traffic: Arc::new(TrafficReader {
            database: database.clone(),
            journal: journal.clone(),
        }),
    };
    let events = events_of(&database, parts.events, &parts.keyring);
    let mailboxes = Arc::new(Mailboxes {
        database: database.clone(),
        keyring: Arc::clone(&parts.keyring),
        reads: ReadRecorder::start(ReadRecordSink::new(database.clone())),
        agencies: agencies.clone(),
    });
    let event_api = EventApi {
        contract: Arc::clone(&parts.contract),
        events: Arc::clone(&events),
        clock: database.clock().clone(),
    };
    let mailbox_api = MailboxApi {
        contract: Arc::clone(&parts.contract),
        mailboxes: Arc::clone(&mailboxes),
    };
    let partners = partners_of(&database, parts.partners, agencies);
    let partner_api = PartnerApi {
        contract: Arc::clone(&parts.contract),
        partners: Arc::clone(&partners),
    };
    let api = Api {
        contract: parts.contract,
        service: Arc::clone(&service),
    };
    let assembly = Assembly::new(SERVICE)
        .service(OrganisationServiceServer::new(api.clone()))
        .service(SystemServiceServer::new(api.clone()))
        .service(InterfaceServiceServer::new(api.clone()))
        .service(AgreementServiceServer::new(api.clone()))
        .service(PermitServiceServer::new(api))
        .service(ExchangeServiceServer::new(exchanges))
        .service(TrafficServiceServer::new(traffic))
        .service(EventServiceServer::new(event_api))
        .service(MailboxServiceServer::new(mailbox_api))
        .service(PopulationServiceServer::new(partner_api.clone()))
        .service(PaymentServiceServer::new(partner_api.clone()))
        .service(PortalServiceServer::new(partner_api.clone()))
        .service(SynchronisationServiceServer::new(partner_api.clone()))
        .service(CivilRegisterServiceServer::new(partner_api.clone()))
        .service(CivilStatusServiceServer::new(partner_api))
        .http(api::partners::notices(Arc::clone(&partners)))
        .auth(parts.auth);
    let keyring = Arc::clone(&parts.keyring);
    let assembly = jobs::add(assembly, &service, database.clone(), Arc::clone(&permits), keyring);
    let assembly = jobs::add_events(assembly, &events, &mailboxes)?;
    let assembly = jobs::add_deliveries(assembly, &partners);
    let assembly = jobs::add_follower(assembly, &partners, &events);
    let assembly = jobs::add_civil_register(assembly, &partners, &events);
    let (Some(given), Some(journal)) = (parts.door, journal) else {
        return Ok(Assembled { assembly, door: None });
    };
    let xroad_instance = given.xroad_instance.clone();
    let built = door::build(given, parts.endpoints, &database, journal, permits);
    let xroad = xroad_instance
        .map(|instance| {
            XRoad::new(
                &instance,
                built.door.clone(),
                Arc::clone(&built.agreements),
                database.clone(),
            )
        })
        .transpose()?;
    let router = plain_rest::in_front(
        door::router(built.door.clone(), Arc::clone(&built.agreements)),
        built.door.clone(),
        xroad,
    );
    Ok(Assembled {
        assembly: jobs::add_door(assembly, database, &built),
        door: Some(router),
    })
}

fn events_of(database: &Database, parts: EventParts, keyring: &Arc<Keyring>) -> Arc<Events> {
    Arc::new(Events {
        database: database.clone(),
        store: parts.store,
        keyring: Arc::clone(keyring),
        hosts: AllowedHosts::new(&parts.webhook_hosts),
        data_schemas: DataSchemas::default(),
        one_at_a_time: tokio::sync::Mutex::default(),
    })
}

fn partners_of(database: &Database, connections: Connections, agencies: Agencies) -> Shared {
    Arc::new(Partners {
        database: database.clone(),
        connections,
        reads: ReadRecorder::start(ReadRecordSink::new(database.clone())),
        agencies,
    })
}

/// The deliveries job without a server: one round when it is asked for one.
pub struct Deliverer(Shared);

impl Deliverer {
    /// Over a service's database; it needs a tokio runtime.
    pub fn new(database: &Database, connections: Connections) -> Self {
        Self(partners_of(database, connections, Agencies::default()))
    }

    /// Sends and asks what is due; none if another process is at it.
    pub async fn round(&self) -> Result<Option<Round>, Fault> {
        Ok(self.0.round().await?)
    }
}

/// The job that follows one-stop's cases without a server: one round when it is asked for one.
pub struct CaseFollower {
    partners: Shared,
    events: Arc<Events>,
}

impl CaseFollower {
    /// Over a service's database; it needs a tokio runtime.
    pub fn new(database: &Database, connections: Connections, events: EventParts) -> Self {
        let keyring = Arc::clone(&connections.keyring);
        Self {
            partners: partners_of(database, connections, Agencies::default()),
            events: events_of(database, events, &keyring),
        }
    }

    /// Applies what is due, at most one batch; none if nothing is to be followed.
    ///
    /// # Errors
    /// Those of the database and of the store; what was not acknowledged comes again.
    pub async fn round(&self) -> Result<Option<Followed>, Fault> {
        let Some(follow) = self.partners.connections.follow.clone() else {
            return Ok(None);
        };
        Ok(Some(self.partners.follow(&self.events, &follow, false).await?))
    }
}

/// The job that compares one-stop's cases with the portal's without a server: one round when it is asked for one.
pub struct CaseReconciler(Shared);

impl CaseReconciler {
    /// Over a service's database; it needs a tokio runtime.
    pub fn new(database: &Database, connections: Connections) -> Self {
        Self(partners_of(database, connections, Agencies::default()))
    }

    /// Asks for the daily reconciliations and does what is due; none if another process is at it, or nothing is followed.
    ///
    /// # Errors
    /// Those of the database; what was not done comes again.
    pub async fn round(&self) -> Result<Option<Reconciled>, Fault> {
        Ok(self.0.reconcile_round().await?)
    }
}

/// The jobs between the civil registry's books and the civil-status register without a server: one round when it is asked for one.
pub struct BookKeeper {
    partners: Shared,
    events: Arc<Events>,
}

impl BookKeeper {
    /// Over a service's database; it needs a tokio runtime.
    pub fn new(database: &Database, connections: Connections, directory: Arc<Directory>, events: EventParts) -> Self {
        let keyring = Arc::clone(&connections.keyring);
        Self {
            partners: partners_of(database, connections, Agencies::by(directory)),
            events: events_of(database, events, &keyring),
        }
    }

    /// Follows what was entered, at most one batch; none if nothing is to be followed.
    ///
    /// # Errors
    /// Those of the database and of the store; what was not acknowledged comes again.
    pub async fn follow(&self) -> Result<Option<FollowedBooks>, Fault> {
        let Some(books) = self.partners.connections.books.clone() else {
            return Ok(None);
        };
        Ok(Some(self.partners.follow_books(&self.events, &books, false).await?))
    }

    /// Receives what the register reports; none if another process is at it, or nothing is followed.
    ///
    /// # Errors
    /// Those of the database; what was not received comes again.
    pub async fn receive(&self) -> Result<Option<ReceivedChanges>, Fault> {
        Ok(self.partners.receive_changes().await?)
    }

    /// Does the reconciliations that are due; none if another process is at it, or nothing is followed.
    ///
    /// # Errors
    /// Those of the database; what was not done comes again.
    pub async fn compare(&self) -> Result<Option<ReconciledBooks>, Fault> {
        Ok(self.partners.reconcile_books_round().await?)
    }
}
