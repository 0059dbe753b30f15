//! The configuration of a service that runs alone, and what it starts from it.
//!
//! Defaults, then the file, then the environment (`EGOV_ONESTOP__SECTION__KEY`); unknown keys are refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use egov_auth::{Access, AuthLayer, Issuer, IssuerConfig, KeySourceConfig, Policies, Verifier, VerifierConfig};
use egov_clock::{SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_directory::{Directory, DirectoryConfig, FeedTls, GrpcFeed, identity_channel};
use egov_events::IntegrationConfig;
use egov_files::{BucketConfig, FileConfig};
use egov_keyring::Keyring;
use egov_runtime::config::{self, ServerConfig, TelemetryConfig};
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Job, Server, Shutdown};
use egov_transparency::LedgerConfig;
use serde::{Deserialize, Serialize};

use crate::calls::CallsConfig;
use crate::domain::civil_decision::BookProcedures;
use crate::domain::pack::Profile;
use crate::press::SharedPress;
use crate::staffing::IdentityHolders;
use crate::{Parts, assemble};

/// Time between two looks at the keyring.
const KEYRING_RELOAD: Duration = Duration::from_mins(1);

/// Everything that can be configured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The port and its limits.
    pub server: ServerConfig,
    /// Logs, traces, metrics.
    pub telemetry: TelemetryConfig,
    /// The service's own database.
    pub database: DatabaseSection,
    /// Where files lie.
    pub files: FilesSection,
    /// Identity, whose tokens are accepted and whose units are followed.
    pub identity: IdentitySection,
    /// Keys and policies.
    pub access: AccessSection,
    /// The ledger: its log, its witnesses.
    pub ledger: LedgerConfig,
    /// Where its events are published.
    pub integration: IntegrationConfig,
    /// Where orders to pay are made.
    pub payments: CallsConfig,
    /// Where the population database is asked.
    pub population: CallsConfig,
    /// The folder of the packs that say which procedures are decided for a book of civil status (`civil-registry/cases`); empty where no civil registry
    /// takes decisions: then an approval completes every case.
    pub books: PathBuf,
    /// What may be relied on.
    pub profile: Profile,
}

/// The service's own database.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSection {
    /// Connection as the app role, `postgres://onestop_app@…/egov_onestop`.
    pub url: config::Secret,
    /// This process's share of the server's connections.
    pub max_connections: u32,
    /// Accepts a server that may lose committed data. For tests only: never set it in production.
    pub test_profile: bool,
}

/// Where files lie: a folder, or a bucket if an endpoint is named.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesSection {
    /// The folder.
    pub folder: PathBuf,
    /// The S3 endpoint; empty for the folder.
    pub s3_endpoint: String,
    /// The bucket.
    pub s3_bucket: String,
    /// The region.
    pub s3_region: String,
    /// Id of the access key.
    pub s3_access_key: String,
    /// Secret of the access key; `s3_secret_key_file` names a file that holds it.
    pub s3_secret_key: config::Secret,
    /// Whether the endpoint may be plain HTTP: only inside one machine or a protected network.
    pub s3_allow_http: bool,
    /// The endpoint's host names the bucket; otherwise the path does.
    pub s3_virtual_host: bool,
    /// The authority of the endpoint's certificate, PEM, if it is none that the system trusts.
    pub s3_ca: Option<PathBuf>,
    /// Seconds for one request to the endpoint.
    pub s3_timeout_seconds: u32,
}

/// Identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentitySection {
    /// Its gRPC address.
    pub address: String,
    /// The issuer in its tokens.
    pub issuer: String,
    /// The audience that its tokens must name.
    pub audience: String,
    /// Where its public keys are.
    pub jwks_url: String,
    /// The authority of its certificate, PEM; needed for an `https` address.
    pub ca: Option<PathBuf>,
    /// This service's certificate chain for it, PEM, where it wants one (mTLS).
    pub certificate: Option<PathBuf>,
    /// The key of that certificate, PEM.
    pub key: Option<PathBuf>,
    /// Where the last good tree of units is kept.
    pub cache: PathBuf,
}

/// Keys and policies.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessSection {
    /// The folder of the keyring; the service refuses to start without it.
    pub keys: PathBuf,
    /// The folder of the policies.
    pub policies: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            telemetry: TelemetryConfig::default(),
            database: DatabaseSection::default(),
            files: FilesSection::default(),
            identity: IdentitySection::default(),
            access: AccessSection::default(),
            ledger: LedgerConfig::default(),
            integration: IntegrationConfig::default(),
            payments: CallsConfig::default(),
            population: CallsConfig::default(),
            books: PathBuf::new(),
            // Whoever does not say otherwise is in production.
            profile: Profile::Production,
        }
    }
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            url: config::Secret::default(),
            max_connections: 16,
            test_profile: false,
        }
    }
}

impl Default for FilesSection {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("/var/lib/egov/onestop/files"),
            s3_endpoint: String::new(),
            s3_bucket: String::new(),
            s3_region: String::new(),
            s3_access_key: String::new(),
            s3_secret_key: config::Secret::default(),
            s3_allow_http: false,
            s3_virtual_host: false,
            s3_ca: None,
            s3_timeout_seconds: 30,
        }
    }
}

impl Default for IdentitySection {
    fn default() -> Self {
        Self {
            address: "http://identity:8765".to_owned(),
            issuer: String::new(),
            audience: "egov".to_owned(),
            jwks_url: String::new(),
            ca: None,
            certificate: None,
            key: None,
            cache: PathBuf::from("/var/lib/egov/onestop/directory"),
        }
    }
}

impl Default for AccessSection {
    fn default() -> Self {
        Self {
            keys: PathBuf::from("/etc/egov/keys"),
            policies: PathBuf::from("/etc/egov/policies"),
        }
    }
}

impl FilesSection {
    fn store(&self) -> FileConfig {
        if self.s3_endpoint.is_empty() {
            return FileConfig::Folder {
                path: self.folder.clone(),
            };
        }
        FileConfig::S3(BucketConfig {
            endpoint: self.s3_endpoint.clone(),
            bucket: self.s3_bucket.clone(),
            region: self.s3_region.clone(),
            access_key: self.s3_access_key.clone(),
            secret_key: self.s3_secret_key.expose().to_owned().into(),
            allow_http: self.s3_allow_http,
            virtual_host: self.s3_virtual_host,
            ca: self.s3_ca.clone(),
            timeout_seconds: self.s3_timeout_seconds,
        })
    }
}

impl IdentitySection {
    /// The way to identity for what is asked beside its feed.
    fn channel(&self) -> anyhow::Result<tonic::transport::Channel> {
        let tls = FeedTls::read(self.ca.as_deref(), self.certificate.as_deref(), self.key.as_deref())?;
        Ok(identity_channel(&self.address, tls.as_ref())?)
    }

    /// Identity's feed, over TLS if an authority is named.
    fn feed(&self) -> anyhow::Result<GrpcFeed> {
        let tls = FeedTls::read(self.ca.as_deref(), self.certificate.as_deref(), self.key.as_deref())?;
        Ok(GrpcFeed::reach(&self.address, tls.as_ref())?)
    }
}

/// Runs the service alone until it is told to stop: SIGTERM or Ctrl-C drains it.
///
/// `press` prints papers; none: they can be read and not printed.
pub async fn run(file: Option<&Path>, press: Option<SharedPress>) -> anyhow::Result<()> {
    let config: Config = config::load("onestop", file)?;
    let contract = Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law())?);
    let (clock, ids) = (SystemClock::shared(), SystemIds::shared());
    let telemetry = egov_runtime::telemetry::start(
        "onestop",
        &config.telemetry,
        contract.personal_field_names(),
        clock.clone(),
    )?;
    let keyring = Arc::new(Keyring::open(&config.access.keys, clock.as_ref())?);
    let database = DatabaseConfig::new(config.database.url.expose())
        .max_connections(config.database.max_connections)
        .application_name("egov-onestop");
    let database = if config.database.test_profile {
        database.test_profile()
    } else {
        database
    };
    let database = Database::connect(&database, Arc::clone(&keyring), clock.clone(), ids.clone()).await?;

    let directory = Arc::new(Directory::open(
        DirectoryConfig {
            folder: Some(config.identity.cache.clone()),
            ..DirectoryConfig::default()
        },
        clock.clone(),
    )?);
    let feed = config.identity.feed()?;
    let mut issuer = IssuerConfig::new(
        config.identity.issuer.clone(),
        config.identity.audience.clone(),
        KeySourceConfig::JwksUrl(config.identity.jwks_url.clone()),
    );
    issuer.certificates.clone_from(&config.identity.ca);
    let verifier = Arc::new(Verifier::new(
        vec![Issuer::from_config(issuer)?],
        clock.clone(),
        VerifierConfig::default(),
    ));
    directory.announce_keys_to(Arc::clone(&verifier));
    let policies = Policies::read(&config.access.policies).context("access.policies")?;
    let access = Arc::new(Access::new(policies, directory.tree()));
    let auth = AuthLayer::new(
        verifier,
        Arc::clone(&access),
        directory.revocations(),
        contract.method_rules(),
        &["/grpc.health.", "/grpc.reflection."],
    );
    let ledger = config.ledger.open("onestop", &database, &keyring)?;
    let followed = Arc::clone(&directory);
    let readings = egov_readings::service(egov_readings::Parts {
        databases: vec![("onestop", database.clone())],
        directory: Arc::clone(&directory),
        access,
        clock: clock.clone(),
        contract: Arc::clone(&contract),
    })?;
    let (reloaded, reload_clock) = (Arc::clone(&keyring), clock.clone());
    let forwarder = config
        .integration
        .forwarder("onestop", &database, &keyring, &clock, &ids)?;
    let payments = crate::payments::open(&config.payments, &keyring, &clock, &ids)?;
    let population = crate::population::open(&config.population, &keyring, &clock, &ids)?;
    let assembly = assemble(Parts {
        database,
        keyring,
        directory,
        files: egov_files::open(&config.files.store())?,
        clock: clock.clone(),
        ids: ids.clone(),
        contract: Arc::clone(&contract),
        auth,
        profile: config.profile,
        holders: Arc::new(IdentityHolders::new(config.identity.channel()?)),
        press,
        payments,
        population,
        books: if config.books.as_os_str().is_empty() {
            BookProcedures::default()
        } else {
            BookProcedures::read(&config.books).context("books")?
        },
    })
    .await?
    .service(readings)
    .job(Job::new("onestop.directory", move |stop| {
        let (directory, feed) = (Arc::clone(&followed), feed.clone());
        async move {
            directory.follow(feed, stop).await;
            Ok(())
        }
    }))
    .job(Job::new("onestop.keyring", move |stop| {
        let (keyring, clock) = (Arc::clone(&reloaded), reload_clock.clone());
        async move {
            // A rotation by another process, and the retirement of a key, take effect here.
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(KEYRING_RELOAD) => keyring.reload(clock.as_ref())?,
                }
            }
        }
    }));
    let assembly = match forwarder.map(Arc::new) {
        None => assembly,
        Some(forwarder) => assembly.job(Job::new("onestop.forward", move |stop| {
            let forwarder = Arc::clone(&forwarder);
            async move {
                forwarder.run(stop).await;
                Ok(())
            }
        })),
    };

    let assembly = ledger.complete(assembly, &contract);
    let listener = tokio::net::TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {} (server.listen)", config.server.listen))?;
    let server = Server::builder(config.server, contract, clock, ids)
        .assembly(assembly)
        .build()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    server.serve(listener, shutdown).await;
    telemetry.stop();
    Ok(())
}
