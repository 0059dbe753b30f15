//! Hộ tịch: the books of civil status, what is entered in them, and the persons and families that entries tell of.
//!
//! * `domain`: the law and the rules, pure: persons, books, births, kinship, what the law asks of each.
//! * `store`: the SQL, one file an aggregate.
//! * `operations`: one use case a file.
//! * `api`: gRPC handlers of a few lines.
//!
//! To add a kind of entry: its message and RPC in `proto/egov/civil_registry/v1`; what it says and what it must keep in `domain`, as a variant of
//! [`domain::entry::Details`]; a file in `operations` that judges it and enters it (`operations/entries.rs` does what all entries share); a
//! handler; a grant in `deploy/policies/civil_registry.toml`; a test through the port in `tests/`. README.md walks through it.

mod api;
pub mod calls;
pub mod cases;
pub mod config;
pub mod domain;
mod error;
mod jobs;
pub mod law;
mod old_book_error;
mod operations;
mod paper_error;
pub mod population;
pub mod press;
mod store;

use std::sync::Arc;

use egov_auth::{Access, AuthLayer, ReadRecorder};
use egov_clock::SharedClock;
use egov_database::{Database, ReadRecordSink, Relay};
use egov_directory::Directory;
use egov_proto::egov::civil_registry::spdci::v1::registry_service_server::RegistryServiceServer;
use egov_proto::egov::civil_registry::v1::book_service_server::BookServiceServer;
use egov_proto::egov::civil_registry::v1::digitisation_service_server::DigitisationServiceServer;
use egov_proto::egov::civil_registry::v1::disclosure_service_server::DisclosureServiceServer;
use egov_proto::egov::civil_registry::v1::duplicate_service_server::DuplicateServiceServer;
use egov_proto::egov::civil_registry::v1::entry_service_server::EntryServiceServer;
use egov_proto::egov::civil_registry::v1::paper_service_server::PaperServiceServer;
use egov_proto::egov::civil_registry::v1::pending_decision_service_server::PendingDecisionServiceServer;
use egov_proto::egov::civil_registry::v1::person_service_server::PersonServiceServer;
use egov_proto::egov::civil_registry::v1::personal_number_service_server::PersonalNumberServiceServer;
use egov_proto::egov::civil_registry::v1::statistics_service_server::StatisticsServiceServer;
use egov_runtime::contract::Contract;
use egov_runtime::server::{Assembly, Job};
use egov_transparency::Log;
use tokio::sync::Notify;

use crate::api::Api;
use crate::cases::CaseDecisions;
use crate::law::Law;
use crate::operations::CivilRegistry;
use crate::population::NumberAssigner;
use crate::press::{PrintShop, SharedPress};

pub use operations::{NumberRound, PersonalNumbers, VerifiedFigures, generate, rebuild_leaves, verify_figures};

/// The migrations of this service's database.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The name of the service: of its database, its roles, its policy, its log in the ledger.
pub const SERVICE: &str = "civil_registry";

/// The name under which its events are published: of its topic, its client, its source. A topic's name has no underscore.
pub const PUBLISHER: &str = "civil-registry";

/// What the service is given; it makes nothing of this itself, so that one process or many is a matter of wiring.
pub struct Parts {
    /// The service's database, as the app role.
    pub database: Database,
    /// The tree of units.
    pub directory: Arc<Directory>,
    /// The time.
    pub clock: SharedClock,
    /// The compiled contract.
    pub contract: Arc<Contract>,
    /// Who guards the RPCs.
    pub auth: AuthLayer,
    /// The rules of registering, the calendar and the catalogues, as the packs have them.
    pub law: Law,
    /// The service's log in the ledger, whose receipts papers carry; whoever puts the process together sees to it that it is sequenced.
    pub log: Arc<Log>,
    /// Who prints papers; without one they are issued and not printed.
    pub press: Option<SharedPress>,
    /// Where the numbers of children are asked for.
    pub numbers: Arc<dyn NumberAssigner>,
    /// Who may do what: what a commune decided at one-stop is entered with the rights of its officer.
    pub access: Arc<Access>,
    /// One-stop, whose decisions go into the books.
    pub cases: Arc<dyn CaseDecisions>,
}

/// Puts the service together: its RPCs and its background jobs.
pub fn assemble(parts: Parts) -> Assembly {
    let numbers = PersonalNumbers {
        database: parts.database.clone(),
        directory: Arc::clone(&parts.directory),
        assigner: Arc::clone(&parts.numbers),
    };
    let registry = CivilRegistry {
        pages: parts.database.page_tokens(),
        reads: Arc::new(ReadRecorder::start(ReadRecordSink::new(parts.database.clone()))),
        database: parts.database.clone(),
        directory: parts.directory,
        clock: parts.clock,
        law: parts.law,
        log: parts.log,
        prints: PrintShop::new(parts.press),
        numbers: parts.numbers,
        access: parts.access,
        cases: parts.cases,
        searches_wait: Notify::new(),
    };
    let registry = Arc::new(registry);
    let api = Api {
        contract: parts.contract,
        registry: Arc::clone(&registry),
    };
    let (relaying, keeping) = (parts.database.clone(), parts.database);
    let searching = Arc::clone(&registry);
    let assembly = Assembly::new(SERVICE)
        .service(BookServiceServer::new(api.clone()))
        .service(DigitisationServiceServer::new(api.clone()))
        .service(DisclosureServiceServer::new(api.clone()))
        .service(DuplicateServiceServer::new(api.clone()))
        .service(EntryServiceServer::new(api.clone()))
        .service(PaperServiceServer::new(api.clone()))
        .service(PendingDecisionServiceServer::new(api.clone()))
        .service(PersonServiceServer::new(api.clone()))
        .service(PersonalNumberServiceServer::new(api.clone()))
        .service(RegistryServiceServer::new(api.clone()))
        .service(StatisticsServiceServer::new(api))
        .auth(parts.auth)
        .job(Job::new("civil_registry.relay", move |stop| {
            let relay = Relay::new(relaying.clone());
            async move {
                relay.run(stop).await;
                Ok(())
            }
        }))
        .job(Job::new("civil_registry.programmes", move |stop| {
            let registry = Arc::clone(&searching);
            async move {
                registry.answer_searches(stop).await?;
                Ok(())
            }
        }))
        .job(Job::new("civil_registry.request-days", move |stop| {
            let database = keeping.clone();
            async move {
                database.keep_request_days_until(stop).await;
                Ok(())
            }
        }));
    jobs::add_cases(asking(assembly, numbers), registry)
}

/// Adds the job that asks for the numbers of children, if there is a way to the population database.
fn asking(assembly: Assembly, numbers: PersonalNumbers) -> Assembly {
    if !numbers.assigner.is_connected() {
        return assembly;
    }
    assembly.job(Job::new("civil_registry.personal-numbers", move |stop| {
        let numbers = numbers.clone();
        async move {
            numbers.run(stop).await;
            Ok(())
        }
    }))
}
