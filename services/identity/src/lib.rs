//! The identity service: units through time, accounts of staff and their sign-in, citizens and systems, tokens.
//!
//! Everything that another service needs of it goes through its contract (`proto/egov/identity/v1`) and the HTTP endpoints of
//! OAuth; no service imports this crate. It is a library so that `services/egov` can link it into one process with others, and
//! a thin binary, `egov-identity`.
//!
//! The way of a request: `api` (decode; the contract is checked) → `operations` (authorise, load, the `domain` decides,
//! `store` writes, commit) → `api` (encode). To add an operation: its RPC with options in the contract, its permission in
//! `deploy/policies/identity.toml`, a file in `operations/`, a handler of a few lines in `api/`, a test through the port.
//!
//! Start with [`run`] for how a process is put together, [`assemble`] for the service alone, [`import`] for units, and
//! [`operations::bootstrap`] for the first accounts.

mod api;
pub mod config;
mod digests;
mod domain;
mod error;
mod federation;
mod feed;
mod identity;
pub mod import;
mod jobs;
pub mod operations;
mod passwords;
mod store;
mod tokens;
mod trusted;
mod wire;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use anyhow::Context as _;
use egov_auth::{Access, AuthLayer, Issuer, Policies, Verifier, VerifierConfig};
use egov_clock::{SystemClock, SystemIds};
use egov_database::Database;
use egov_directory::{Directory, DirectoryConfig};
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::identity::v1::access_service_server::AccessServiceServer;
use egov_proto::egov::identity::v1::account_batch_service_server::AccountBatchServiceServer;
use egov_proto::egov::identity::v1::account_service_server::AccountServiceServer;
use egov_proto::egov::identity::v1::federation_service_server::FederationServiceServer;
use egov_proto::egov::identity::v1::key_service_server::KeyServiceServer;
use egov_proto::egov::identity::v1::session_service_server::SessionServiceServer;
use egov_proto::egov::identity::v1::sign_in_service_server::SignInServiceServer;
use egov_proto::egov::identity::v1::system_service_server::SystemServiceServer;
use egov_proto::egov::identity::v1::unit_service_server::UnitServiceServer;
use egov_runtime::contract::{Contract, ContractError};
use egov_runtime::server::{Assembly, Job, Server, Shutdown};
use prost_reflect::DescriptorPool;
use sqlx::migrate::Migrator;
use tokio::net::TcpListener;

pub use config::{ServiceConfig, Settings};
pub use domain::client::KeyRefusal;
pub use domain::federated_sign_in::Unusable;
pub use domain::id_token::IdTokenRefusal;
pub use domain::totp;
pub use error::{DOMAIN, DateProblem, IdentityError};
pub use feed::LocalFeed;
pub use identity::{Deps, Identity};
pub use tokens::local_issuer;

/// The migrations of this service's database, the shared schema first.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// The name of the service: of its database, its roles, its section in the configuration.
pub const SERVICE: &str = "identity";

/// Opens identity and puts it behind the port: its services guarded by the policies, the HTTP endpoints, its jobs.
///
/// `verifier` must accept this service's own tokens ([`issuer`]); `contract` must know its services.
pub async fn assemble(
    settings: &Settings,
    deps: Deps,
    verifier: Arc<Verifier>,
    contract: Arc<Contract>,
) -> Result<Assembly, Fault> {
    let identity = Identity::open(settings, deps).await?;
    Ok(identity.assembly(verifier, contract))
}

impl Identity {
    /// This service behind the port; see [`assemble`].
    pub fn assembly(self: &Arc<Self>, verifier: Arc<Verifier>, contract: Arc<Contract>) -> Assembly {
        self.directory.announce_keys_to(Arc::clone(&verifier));
        let auth = AuthLayer::new(
            verifier,
            Arc::clone(&self.access),
            self.directory.revocations(),
            contract.method_rules(),
            &[],
        );
        let api = api::Api {
            identity: Arc::clone(self),
            contract,
        };
        let assembly = Assembly::new(SERVICE)
            .service(SignInServiceServer::new(api.clone()))
            .service(AccountServiceServer::new(api.clone()))
            .service(SystemServiceServer::new(api.clone()))
            .service(KeyServiceServer::new(api.clone()))
            .service(AccessServiceServer::new(api.clone()))
            .service(SessionServiceServer::new(api.clone()))
            .service(AccountBatchServiceServer::new(api.clone()))
            .service(FederationServiceServer::new(api.clone()))
            .service(UnitServiceServer::new(api))
            .auth(auth)
            .http(api::http::routes(Arc::clone(self)));
        jobs::all(self).into_iter().fold(assembly, Assembly::job)
    }

    /// One round of the job that forgets what nobody needs any more, under the lease of that job; how many rows it removed.
    /// For the operator; the running service does it by itself.
    pub async fn purge(&self) -> Result<u64, Fault> {
        match self
            .database
            .acquire_lease("identity.purge", std::time::Duration::from_mins(2))
            .await?
        {
            None => Ok(0),
            Some(lease) => {
                let removed = jobs::purge_once(self, &lease).await?;
                lease.release().await?;
                Ok(removed)
            }
        }
    }

    /// Closes the accounts whose last day is over, under the lease of that job; how many. For the operator; the running service
    /// does it by itself.
    pub async fn close_leavers(&self) -> Result<usize, Fault> {
        match self
            .database
            .acquire_lease("identity.leavers", std::time::Duration::from_mins(2))
            .await?
        {
            None => Ok(0),
            Some(lease) => {
                let closed = operations::disable_accounts::close_leavers(self, &lease).await?;
                lease.release().await?;
                Ok(closed)
            }
        }
    }

    /// One round of the job that applies reorganisations whose day has come and lets staff and systems follow, under the
    /// lease of that job: how many reorganisations had their day, and how many accounts and systems followed. None if
    /// another process holds the lease. For the operator; the running service does it by itself.
    pub async fn reorganise(&self) -> Result<Option<(usize, usize)>, Fault> {
        let lease = self
            .database
            .acquire_lease(jobs::REORGANISE_LEASE, jobs::REORGANISE_LEASE_TIME)
            .await?;
        let Some(mut lease) = lease else { return Ok(None) };
        let done = jobs::reorganise(self, &mut lease, || false).await?;
        lease.release().await?;
        Ok(Some(done))
    }

    /// Seals one batch of columns anew that are sealed with an older key; how many. For the operator, who repeats it until
    /// it is 0 before an old key retires; the running service does it by itself.
    pub async fn reseal(&self) -> Result<usize, Fault> {
        match self
            .database
            .acquire_lease("identity.reseal", std::time::Duration::from_mins(2))
            .await?
        {
            None => Ok(0),
            Some(lease) => {
                let sealed = jobs::reseal_once(self, &lease).await?;
                lease.release().await?;
                Ok(sealed)
            }
        }
    }
}

/// This service as an issuer for a verifier of the same process: its keys come from the keyring.
pub fn issuer(settings: &Settings, keyring: &Keyring) -> Issuer {
    local_issuer(&settings.tokens, keyring.clone())
}

/// The contract of this service, and of what every service serves, alone: so that its own binary shows and validates what it serves and nothing else.
pub fn contract() -> Result<Contract, ContractError> {
    let unreadable = |problem: String| ContractError {
        problems: vec![problem],
    };
    let mut pool = DescriptorPool::new();
    let mut added = HashSet::new();
    let mut waiting: Vec<_> = egov_proto::POOL
        .files()
        .filter(|file| ["egov.identity.v1", "egov.ledger.v1", "egov.records.v1"].contains(&file.package_name()))
        .map(|file| (file, false))
        .collect();
    // Each file after those that it imports.
    while let Some((file, imports_added)) = waiting.pop() {
        if added.contains(file.name()) {
            continue;
        }
        if imports_added {
            let mut bytes = Vec::new();
            file.encode(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
            pool.decode_file_descriptor_proto(bytes.as_slice())
                .map_err(|error| unreadable(error.to_string()))?;
            added.insert(file.name().to_owned());
        } else {
            let imports: Vec<_> = file.dependencies().map(|import| (import, false)).collect();
            waiting.push((file, true));
            waiting.extend(imports);
        }
    }
    Contract::from_pool(&pool)
}

/// Refuses policies that grant a permission of this service that its contract does not know.
fn check_policies(policies: &Policies, contract: &Contract) -> anyhow::Result<()> {
    let known: BTreeSet<String> = contract
        .method_rules()
        .into_iter()
        .filter_map(|rule| rule.permission)
        .collect();
    for permission in policies.permissions() {
        anyhow::ensure!(
            !permission.starts_with("identity.") || known.contains(permission),
            "the policies grant {permission}, which the contract of identity does not know"
        );
    }
    Ok(())
}

/// Runs the service by itself until it is asked to stop: what the binary does.
pub async fn run(config: ServiceConfig) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    let ids = SystemIds::shared();
    let contract = Arc::new(contract()?);
    let telemetry = egov_runtime::telemetry::start(
        SERVICE,
        &config.telemetry,
        contract.personal_field_names(),
        clock.clone(),
    )?;
    let policies = Policies::read(&config.policies)?;
    check_policies(&policies, &contract)?;
    let keyring = Arc::new(Keyring::open(&config.keyring, &clock)?);
    let database = Database::connect(
        &config.database.to_config(),
        Arc::clone(&keyring),
        clock.clone(),
        ids.clone(),
    )
    .await?;
    let directory = Arc::new(Directory::open(
        DirectoryConfig {
            folder: config.directory.clone(),
            ..DirectoryConfig::default()
        },
        clock.clone(),
    )?);
    let access = Arc::new(Access::new(policies, directory.tree()));
    let settings = config.settings();
    let verifier = Arc::new(Verifier::new(
        vec![issuer(&settings, &keyring)],
        clock.clone(),
        VerifierConfig::default(),
    ));
    // Before the port opens: nobody is judged by an empty tree.
    let feed = LocalFeed::new(database.clone(), Arc::clone(&keyring));
    directory.refresh(&feed).await?;
    tracing::info!(key = keyring.signing(Purpose::TokenSigning).id(), "tokens are signed");

    let ledgers_keyring = Arc::clone(&keyring);
    let forwarder = config
        .integration
        .forwarder(SERVICE, &database, &keyring, &clock, &ids)?;
    let readings = egov_readings::service(egov_readings::Parts {
        databases: vec![(SERVICE, database.clone())],
        directory: Arc::clone(&directory),
        access: Arc::clone(&access),
        clock: clock.clone(),
        contract: Arc::clone(&contract),
    })?;
    let deps = Deps {
        database: database.clone(),
        keyring,
        access,
        directory,
    };
    let assembly = assemble(&settings, deps, verifier, Arc::clone(&contract))
        .await?
        .service(readings);
    let assembly = match forwarder.map(Arc::new) {
        None => assembly,
        Some(forwarder) => assembly.job(Job::new("identity.forward", move |stop| {
            let forwarder = Arc::clone(&forwarder);
            async move {
                forwarder.run(stop).await;
                Ok(())
            }
        })),
    };
    let ledger = config.ledger.open(SERVICE, &database, &ledgers_keyring)?;
    let assembly = ledger.complete(assembly, &contract);
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.server.listen))?;
    let server = Server::builder(config.server, contract, clock, ids)
        .assembly(assembly)
        .build()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    server.serve(listener, shutdown).await;
    database.close().await;
    telemetry.stop();
    Ok(())
}
