//! The configuration of the service when it runs alone, and what it starts from it.
//!
//! Defaults, then the file, then the environment (`EGOV_INTEGRATION__SECTION__KEY`); unknown keys are refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use egov_auth::{Access, AuthLayer, Issuer, IssuerConfig, KeySourceConfig, Policies, Verifier, VerifierConfig};
use egov_clock::{SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_directory::{Directory, DirectoryConfig, GrpcFeed};
use egov_door::DoorLimits;
use egov_keyring::Keyring;
use egov_runtime::config::{self, Secret, ServerConfig, TelemetryConfig};
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Job, Port, Server, Shutdown};
use egov_transparency::LedgerConfig;
use serde::{Deserialize, Serialize};

use crate::door::{DoorGiven, DoorSection};
use crate::partners::PartnersSection;
use crate::{Parts, SERVICE, assemble};

/// Everything that can be configured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The port and its limits.
    pub server: ServerConfig,
    /// Logs, traces, metrics.
    pub telemetry: TelemetryConfig,
    /// The service's own database.
    pub database: DatabaseSection,
    /// Identity, whose tokens are accepted and whose units are followed.
    pub identity: IdentitySection,
    /// The folder of the keyring; the service refuses to start without it.
    pub keyring: PathBuf,
    /// The file of this service's policy.
    pub policy: PathBuf,
    /// The ledger: its log, its witnesses, whose witness it is.
    pub ledger: LedgerConfig,
    /// The door; a process without it administers only.
    pub door: Option<DoorSection>,
    /// The province's partners.
    pub partners: PartnersSection,
}

/// The service's own database.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSection {
    /// Connection as the app role.
    pub url: Secret,
    /// This process's share of the server's connections.
    pub max_connections: u32,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            max_connections: 8,
        }
    }
}

/// Identity.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
    /// Where the last good tree of units is kept; none keeps it in memory only.
    pub cache: Option<PathBuf>,
}

/// Runs the service alone until it is told to stop: SIGTERM or Ctrl-C drains it.
pub async fn run(file: Option<&Path>) -> anyhow::Result<()> {
    let config: Config = config::load("integration", file)?;
    let contract = Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law())?);
    let (clock, ids) = (SystemClock::shared(), SystemIds::shared());
    let telemetry = egov_runtime::telemetry::start(
        SERVICE,
        &config.telemetry,
        contract.personal_field_names(),
        clock.clone(),
    )?;
    let keyring = Arc::new(Keyring::open(&config.keyring, clock.as_ref())?);
    let database = DatabaseConfig::new(config.database.url.expose())
        .max_connections(config.database.max_connections)
        .application_name("egov-integration");
    let partners = config.partners.open(Arc::clone(&keyring), &clock, &ids)?;
    let database = Database::connect(&database, Arc::clone(&keyring), clock.clone(), ids.clone()).await?;
    let ledger = config.ledger.open(SERVICE, &database, &keyring)?;
    let directory = Arc::new(Directory::open(
        DirectoryConfig {
            folder: config.identity.cache.clone(),
            ..DirectoryConfig::default()
        },
        clock.clone(),
    )?);
    let feed = GrpcFeed::lazy(&config.identity.address)?;
    let keys = KeySourceConfig::JwksUrl(config.identity.jwks_url.clone());
    let issuer = IssuerConfig::new(config.identity.issuer.clone(), config.identity.audience.clone(), keys);
    let issuers = vec![Issuer::from_config(issuer)?];
    let verifier = Arc::new(Verifier::new(issuers, clock.clone(), VerifierConfig::default()));
    directory.announce_keys_to(Arc::clone(&verifier));
    let policy = std::fs::read_to_string(&config.policy)
        .with_context(|| format!("cannot read the policy {}", config.policy.display()))?;
    let access = Access::new(Policies::from_toml(&[("integration.toml", &policy)])?, directory.tree());
    let auth = AuthLayer::new(
        Arc::clone(&verifier),
        Arc::new(access),
        directory.revocations(),
        contract.method_rules(),
        &[],
    );
    let parts = Parts {
        database: database.clone(),
        contract: Arc::clone(&contract),
        auth,
        partners,
        keyring: Arc::clone(&keyring),
        log: Arc::clone(ledger.log()),
        door: match &config.door {
            None => None,
            Some(door) => Some(DoorGiven {
                verifier,
                revocations: directory.revocations(),
                certificate_required: door.certificate_required,
                trust: door.trust()?,
                limits: DoorLimits::default(),
            }),
        },
    };
    let assembled = assemble(parts);
    let assembly = assembled.assembly.job(Job::new("integration.directory", move |stop| {
        let (directory, feed) = (Arc::clone(&directory), feed.clone());
        async move {
            directory.follow(feed, stop).await;
            Ok(())
        }
    }));
    let assembly = ledger.complete(assembly, &contract);
    let listener = tokio::net::TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.server.listen))?;
    let server = Server::builder(config.server, contract, clock, ids)
        .assembly(assembly)
        .build()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let door = match (config.door, assembled.door) {
        (Some(section), Some(router)) => {
            let listener = tokio::net::TcpListener::bind(section.server.listen)
                .await
                .with_context(|| format!("cannot listen on {}", section.server.listen))?;
            let port = Port::new(
                &section.server,
                SystemClock::shared(),
                &opentelemetry::global::meter("egov"),
            )?;
            Some(tokio::spawn(port.serve(listener, router, shutdown.clone())))
        }
        _ => None,
    };
    server.serve(listener, shutdown).await;
    if let Some(door) = door {
        door.await.context("the door ended in a panic")?;
    }
    database.close().await;
    telemetry.stop();
    Ok(())
}
