//! The configuration of the service when it runs alone, and what it starts from it.
//!
//! Defaults, then the file, then the environment (`EGOV_CIVIL_REGISTRY__SECTION__KEY`); unknown keys are refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use egov_auth::{Access, AuthLayer, Issuer, IssuerConfig, KeySourceConfig, Policies, Verifier, VerifierConfig};
use egov_clock::{Clock as _, SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_directory::{Directory, DirectoryConfig, FeedTls, GrpcFeed};
use egov_events::IntegrationConfig;
use egov_keyring::Keyring;
use egov_runtime::config::{self, Secret, ServerConfig, TelemetryConfig};
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Job, Server, Shutdown};
use egov_transparency::LedgerConfig;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::calls::CallsConfig;
use crate::domain::rules::decided::RuleDecision;
use crate::law::Law;
use crate::press::SharedPress;
use crate::{PUBLISHER, Parts, SERVICE, assemble};

/// Time between two looks at the keyring.
const KEYRING_RELOAD: Duration = Duration::from_mins(1);

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
    /// The policies: a file, or the folder that holds those of the platform (who sees the readings, and for what is read).
    pub policy: PathBuf,
    /// The folder of the packs: rules of registering, calendar, list of ethnic groups.
    pub packs: PathBuf,
    /// What may be relied on: in production a rule that is unconfirmed needs a decision below.
    pub profile: Profile,
    /// Who answers for which unconfirmed rule, since when.
    pub decisions: Vec<RuleDecision>,
    /// The ledger: its log, its witnesses, whose witness it is.
    pub ledger: LedgerConfig,
    /// Where its events are published.
    pub integration: IntegrationConfig,
    /// Where the population database is asked for the numbers of children, by way of integration. Empty: requests wait.
    pub population: CallsConfig,
    /// One-stop, whose decisions go into the books. Empty: none are taken.
    pub one_stop: CallsConfig,
}

/// What may be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Nothing is real: rules are used as the packs have them.
    Demo,
    /// What is registered counts. Whoever does not say otherwise is in production.
    #[default]
    Production,
}

/// The service's own database.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSection {
    /// Connection as the app role.
    pub url: Secret,
    /// This process's share of the server's connections.
    pub max_connections: u32,
    /// Accepts a server that may lose committed data. For tests only: never set it in production.
    pub test_profile: bool,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            max_connections: 8,
            test_profile: false,
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
    /// The authority of its certificate, PEM; needed for an `https` address.
    pub ca: Option<PathBuf>,
    /// This service's certificate chain for it, PEM, where it wants one (mTLS).
    pub certificate: Option<PathBuf>,
    /// The key of that certificate, PEM.
    pub key: Option<PathBuf>,
    /// Where the last good tree of units is kept; none keeps it in memory only.
    pub cache: Option<PathBuf>,
}

impl IdentitySection {
    /// Identity's feed, over TLS if an authority is named.
    fn feed(&self) -> anyhow::Result<GrpcFeed> {
        let tls = FeedTls::read(self.ca.as_deref(), self.certificate.as_deref(), self.key.as_deref())?;
        Ok(GrpcFeed::reach(&self.address, tls.as_ref())?)
    }
}

/// The law of the packs. Looked at before anything is opened: what production must not rest on keeps it from starting.
fn law(config: &Config, today: Date) -> anyhow::Result<Law> {
    let law = Law::read(&config.packs).context("packs")?;
    if config.profile == Profile::Production {
        law.demand_decisions(&config.decisions, today)?;
    }
    Ok(law)
}

/// Runs the service alone until it is told to stop: SIGTERM or Ctrl-C drains it. `press` prints papers; none: they are issued and not printed.
pub async fn run(file: Option<&Path>, press: Option<SharedPress>) -> anyhow::Result<()> {
    let config: Config = config::load("civil-registry", file)?;
    let law = law(&config, SystemClock::shared().today())?;
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
        .application_name("egov-civil-registry");
    let database = if config.database.test_profile {
        database.test_profile()
    } else {
        database
    };
    let database = Database::connect(&database, Arc::clone(&keyring), clock.clone(), ids.clone()).await?;
    let ledger = config.ledger.open(SERVICE, &database, &keyring)?;
    let directory = Arc::new(Directory::open(
        DirectoryConfig {
            folder: config.identity.cache.clone(),
            ..DirectoryConfig::default()
        },
        clock.clone(),
    )?);
    let feed = config.identity.feed()?;
    let keys = KeySourceConfig::JwksUrl(config.identity.jwks_url.clone());
    let mut issuer = IssuerConfig::new(config.identity.issuer.clone(), config.identity.audience.clone(), keys);
    issuer.certificates.clone_from(&config.identity.ca);
    let issuers = vec![Issuer::from_config(issuer)?];
    let verifier = Arc::new(Verifier::new(issuers, clock.clone(), VerifierConfig::default()));
    directory.announce_keys_to(Arc::clone(&verifier));
    let access = Arc::new(Access::new(Policies::read(&config.policy)?, directory.tree()));
    let auth = AuthLayer::new(
        verifier,
        Arc::clone(&access),
        directory.revocations(),
        contract.method_rules(),
        &[],
    );
    let readings = egov_readings::service(egov_readings::Parts {
        databases: vec![(SERVICE, database.clone())],
        directory: Arc::clone(&directory),
        access: Arc::clone(&access),
        clock: clock.clone(),
        contract: Arc::clone(&contract),
    })?;
    let forwarder = config
        .integration
        .forwarder(PUBLISHER, &database, &keyring, &clock, &ids)?;
    anyhow::ensure!(
        config.one_stop.address.is_empty() || !config.population.address.is_empty(),
        "one_stop.address needs population.address: the case of a birth is completed once the child has its number"
    );
    let numbers = crate::population::open(&config.population, &keyring, &clock, &ids)?;
    let parts = Parts {
        database: database.clone(),
        directory: Arc::clone(&directory),
        clock: clock.clone(),
        contract: Arc::clone(&contract),
        auth,
        law,
        log: Arc::clone(ledger.log()),
        press,
        numbers,
        access,
        cases: crate::cases::open(&config.one_stop, &keyring, &clock, &ids)?,
    };
    let assembly = assemble(parts)
        .service(readings)
        .job(Job::new("civil_registry.directory", move |stop| {
            let (directory, feed) = (Arc::clone(&directory), feed.clone());
            async move {
                directory.follow(feed, stop).await;
                Ok(())
            }
        }))
        .job(Job::new("civil_registry.keyring", {
            let clock = clock.clone();
            move |stop| {
                let (keyring, clock) = (Arc::clone(&keyring), clock.clone());
                async move {
                    // A rotation by another process, and the retirement of a key, take effect here.
                    loop {
                        tokio::select! {
                            () = stop.cancelled() => return Ok(()),
                            () = tokio::time::sleep(KEYRING_RELOAD) => keyring.reload(clock.as_ref())?,
                        }
                    }
                }
            }
        }));
    let assembly = match forwarder.map(Arc::new) {
        None => assembly,
        Some(forwarder) => assembly.job(Job::new("civil_registry.forward", move |stop| {
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
    database.close().await;
    telemetry.stop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn production_does_not_start_on_rules_for_which_nobody_answers() {
        let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs");
        let mut config = Config {
            packs,
            ..Config::default()
        };
        assert_eq!(config.profile, Profile::Production);
        let today = date(2026, 11, 23);
        let refused = law(&config, today).unwrap_err().to_string();
        for named in [
            "rules-2025, marriage_age",
            "rules-2027, marriage_age",
            "[[decisions]]",
            "decided_by",
        ] {
            assert!(refused.contains(named), "{named}: {refused}");
        }

        // Every rule that is named, decided.
        let flaws = refused.split("real: ").nth(1).unwrap().split("; ");
        config.decisions = flaws
            .map(|flaw| {
                let (pack, rest) = flaw.split_once(", ").unwrap();
                let (rule, _) = rest.split_once(": ").unwrap();
                RuleDecision {
                    pack: pack.to_owned(),
                    rule: rule.to_owned(),
                    decided_by: "Hồ Văn A, Giám đốc Sở Tư pháp".to_owned(),
                    decided_on: today,
                }
            })
            .collect();
        assert!(law(&config, today).is_ok());
        config.decisions.pop();
        assert!(law(&config, today).is_err());
        config.profile = Profile::Demo;
        assert!(law(&config, today).is_ok());
    }
}
