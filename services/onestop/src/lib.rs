//! Một cửa: administrative cases from filing to result.
//!
//! * `domain`: the law and the rules, pure: the states and what may follow what, procedures by versions, deadlines.
//! * `store`: the SQL, one file an aggregate.
//! * `operations`: one use case a file. What all acts on a case share stands once, in `operations/act.rs`.
//! * `api`: gRPC handlers of a few lines.
//!
//! To add an act on a case: an RPC with its options in `proto/egov/onestop/v1/case_service.proto`; an edge in the
//! transitions pack and a method of [`domain::case::Case`] with its refusals; a file in `operations` that names the
//! permission and calls the method; a handler; a grant in `deploy/policies/onestop.toml`; a test through the port in
//! `tests/`. README.md walks through it.

mod api;
pub mod calls;
mod component_error;
pub mod config;
pub mod counter_error;
pub mod definition_error;
pub mod domain;
pub mod error;
pub mod fee_error;
mod jobs;
pub mod law;
mod linked_error;
pub mod operations;
pub mod paper_error;
pub mod payments;
pub mod population;
pub mod population_error;
pub mod press;
pub mod report_error;
mod result_error;
pub mod staffing;
mod store;
mod work_error;

use std::sync::Arc;

use egov_auth::{AuthLayer, ReadRecorder};
use egov_clock::{SharedClock, SharedIds};
use egov_database::{Database, ReadRecordSink};
use egov_directory::Directory;
use egov_files::FileStore;
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::onestop::v1::case_service_server::CaseServiceServer;
use egov_proto::egov::onestop::v1::civil_decision_service_server::CivilDecisionServiceServer;
use egov_proto::egov::onestop::v1::component_service_server::ComponentServiceServer;
use egov_proto::egov::onestop::v1::counter_service_server::CounterServiceServer;
use egov_proto::egov::onestop::v1::deadline_service_server::DeadlineServiceServer;
use egov_proto::egov::onestop::v1::definition_service_server::DefinitionServiceServer;
use egov_proto::egov::onestop::v1::fee_service_server::FeeServiceServer;
use egov_proto::egov::onestop::v1::file_service_server::FileServiceServer;
use egov_proto::egov::onestop::v1::linked_case_service_server::LinkedCaseServiceServer;
use egov_proto::egov::onestop::v1::paper_service_server::PaperServiceServer;
use egov_proto::egov::onestop::v1::procedure_service_server::ProcedureServiceServer;
use egov_proto::egov::onestop::v1::rating_service_server::RatingServiceServer;
use egov_proto::egov::onestop::v1::report_service_server::ReportServiceServer;
use egov_proto::egov::onestop::v1::result_service_server::ResultServiceServer;
use egov_proto::egov::onestop::v1::work_service_server::WorkServiceServer;
use egov_runtime::contract::Contract;
use egov_runtime::server::Assembly;
use uuid::Uuid;

use crate::api::Api;
use crate::domain::civil_decision::BookProcedures;
use crate::domain::lookup;
use crate::domain::pack::Profile;
use crate::law::{InForce, Law, LawError};
use crate::operations::migrate_cases::Means;
use crate::operations::{KnownProcedures, OneStop};
use crate::payments::PaymentOrders;
use crate::population::PopulationQuestions;
use crate::press::{PrintShop, SharedPress};
use crate::staffing::Holders;

/// The migrations of this service's database.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// What the service is given; it makes nothing of this itself, so that one process or many is a matter of wiring.
pub struct Parts {
    /// The service's database, as the app role.
    pub database: Database,
    /// Keys for page tokens, stored answers and look-up secrets.
    pub keyring: Arc<Keyring>,
    /// The tree of units.
    pub directory: Arc<Directory>,
    /// Where files lie.
    pub files: Arc<dyn FileStore>,
    /// The time.
    pub clock: SharedClock,
    /// Ids and chance.
    pub ids: SharedIds,
    /// The compiled contract.
    pub contract: Arc<Contract>,
    /// Who guards the RPCs.
    pub auth: AuthLayer,
    /// What may be relied on.
    pub profile: Profile,
    /// Who is asked where the roles of a definition's steps are held.
    pub holders: Arc<dyn Holders>,
    /// Who prints papers; without one they can be read and not printed.
    pub press: Option<SharedPress>,
    /// Orders at the payment platform.
    pub payments: Arc<dyn PaymentOrders>,
    /// Questions to the population database.
    pub population: Arc<dyn PopulationQuestions>,
    /// Which procedures are decided for a book of civil status; none where no civil registry takes decisions.
    pub books: BookProcedures,
}

pub use jobs::units::Round;
pub use operations::recalculate_deadlines::Recalculated;

/// One round of the job that works the due dates of open cases out again with the calendar that was imported last, under its lease,
/// `batch` cases in a transaction; it ends between two batches when `stop` says so. None if another process holds the lease. For the
/// operator; the running service does it by itself.
pub async fn recalculate_deadlines(
    database: &Database,
    profile: Profile,
    batch: i64,
    stop: impl Fn() -> bool,
) -> Result<Option<Recalculated>, LawError> {
    let law = Law::load(database).await?;
    law.keep_calendar(database).await?;
    Ok(jobs::deadlines::round(database, &law, profile, batch, stop).await?)
}

/// One round of the job that gives the notices about due dates, under its lease, `batch` in a transaction: how many were given. None
/// if another process holds the lease. For the operator; the running service does it by itself.
pub async fn give_notices(
    database: &Database,
    clock: &SharedClock,
    batch: i64,
    stop: impl Fn() -> bool,
) -> Result<Option<usize>, egov_fault::Fault> {
    Ok(jobs::reminders::round(database, clock, batch, stop).await?)
}

/// One round of the job that lets open cases follow a unit that closed, under its lease, `batch` cases in a transaction; it
/// ends between two batches when `stop` says so. None if another process holds the lease. For the operator; the running
/// service does it by itself.
pub async fn follow_units(
    database: &Database,
    directory: &Directory,
    clock: &SharedClock,
    batch: i64,
    stop: impl Fn() -> bool,
) -> Result<Option<Round>, egov_fault::Fault> {
    Ok(jobs::units::round(database, directory, clock, batch, stop).await?)
}

/// One round of the job that lets running cases go over to another version where a migration was started, `batch` cases in a
/// transaction; it ends between two batches when `stop` says so. How many cases were looked at; none if another process holds the
/// lease. For the operator; the running service does it by itself.
pub async fn migrate_cases(
    database: &Database,
    profile: Profile,
    batch: i64,
    stop: impl Fn() -> bool,
) -> Result<Option<usize>, LawError> {
    let law = InForce::load(database).await?;
    let means = Means {
        law: &law,
        procedures: &KnownProcedures::new(),
        profile,
    };
    Ok(jobs::migrations::round(database, &means, batch, stop).await?)
}

/// One round of the job that makes up for what the version before leaves out of fees while both run, under its lease: how many days and
/// refunds were noted. None if another process holds the lease. For the operator; the running service does it by itself.
pub async fn make_up_for_version_before(database: &Database) -> Result<Option<u64>, egov_fault::Fault> {
    Ok(jobs::version_before::round(database).await?)
}

/// The lease under which linked applications are brought on.
pub const LINKED_LEASE: &str = operations::linked::coordinate::FOLLOWER;

/// Brings linked applications on, outside the running service: for the operator, who does so where the service is down. The running
/// service does it by itself.
pub struct LinkedCoordinator(OneStop);

impl std::fmt::Debug for LinkedCoordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkedCoordinator").finish_non_exhaustive()
    }
}

impl LinkedCoordinator {
    /// Over a database and the tree of units.
    pub async fn new(
        database: Database,
        keyring: Arc<Keyring>,
        directory: Arc<Directory>,
        profile: Profile,
    ) -> Result<Self, LawError> {
        let (clock, ids) = (database.clock().clone(), database.ids().clone());
        let nobodys_secret = keyring.seal(Purpose::LookupSecrets, &[], Uuid::nil().as_bytes());
        Ok(Self(OneStop {
            pages: database.page_tokens(),
            reads: Arc::new(ReadRecorder::start(ReadRecordSink::new(database.clone()))),
            law: InForce::load(&database).await?,
            database,
            directory,
            // Files are handed over by their rows; no content is read.
            files: egov_files::in_memory(),
            keyring,
            clock,
            ids,
            procedures: KnownProcedures::new(),
            profile,
            holders: Arc::new(staffing::NobodyKnows),
            // Nothing is printed and no order made; what comes to be paid waits for the running service.
            prints: PrintShop::new(None),
            payments: Arc::new(payments::NotConnected),
            population: Arc::new(population::NotConnected),
            books: BookProcedures::default(),
            nobodys_secret,
        }))
    }

    /// Follows the log under the lease [`LINKED_LEASE`] to its end, or until `stop`, which is asked between two actions: how many
    /// applications changed. Nothing of a reaction that was stopped is stored.
    pub async fn run(
        &self,
        lease: &mut egov_database::Lease,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<usize, egov_fault::Fault> {
        Ok(jobs::linked::under(&self.0, lease, stop).await?)
    }
}

/// Puts the service together: its RPCs and its background jobs. The law is read from the database, so the packs must
/// have been imported ([`operations::import`]).
pub async fn assemble(parts: Parts) -> Result<Assembly, LawError> {
    let law = InForce::load(&parts.database).await?;
    let nobodys = lookup::secret(|bytes| parts.ids.random_bytes(bytes));
    let nobodys_secret = parts
        .keyring
        .seal(Purpose::LookupSecrets, nobodys.as_bytes(), Uuid::nil().as_bytes());
    let directory = Arc::clone(&parts.directory);
    let one_stop = Arc::new(OneStop {
        pages: parts.database.page_tokens(),
        reads: Arc::new(ReadRecorder::start(ReadRecordSink::new(parts.database.clone()))),
        database: parts.database.clone(),
        directory: parts.directory,
        files: Arc::clone(&parts.files),
        keyring: parts.keyring,
        clock: parts.clock.clone(),
        ids: parts.ids,
        law,
        procedures: KnownProcedures::new(),
        profile: parts.profile,
        holders: parts.holders,
        prints: PrintShop::new(parts.press),
        payments: parts.payments,
        population: parts.population,
        books: parts.books,
        nobodys_secret,
    });
    let api = Api {
        contract: parts.contract,
        one_stop: Arc::clone(&one_stop),
    };
    // A part of a file is at most 1 MiB; four times that leaves room for everything else.
    let assembly = Assembly::new("onestop")
        .service(CaseServiceServer::new(api.clone()))
        .service(DeadlineServiceServer::new(api.clone()))
        .service(ProcedureServiceServer::new(api.clone()))
        .service(DefinitionServiceServer::new(api.clone()))
        .service(WorkServiceServer::new(api.clone()))
        .service(CounterServiceServer::new(api.clone()))
        .service(CivilDecisionServiceServer::new(api.clone()))
        .service(ComponentServiceServer::new(api.clone()))
        .service(RatingServiceServer::new(api.clone()))
        .service(ReportServiceServer::new(api.clone()))
        .service(ResultServiceServer::new(api.clone()))
        .service(PaperServiceServer::new(api.clone()))
        .service(FeeServiceServer::new(api.clone()))
        .service(LinkedCaseServiceServer::new(api.clone()))
        .service(FileServiceServer::new(api))
        .auth(parts.auth);
    let assembly = jobs::deadlines::add(assembly, Arc::clone(&one_stop));
    let assembly = jobs::reminders::add(assembly, Arc::clone(&one_stop));
    let assembly = jobs::payments::add(assembly, Arc::clone(&one_stop));
    let assembly = jobs::linked::add(assembly, Arc::clone(&one_stop));
    let assembly = jobs::add(assembly, parts.database, directory, parts.files, parts.clock);
    Ok(jobs::add_migrations(assembly, one_stop))
}
