//! The configuration of the service when it runs alone, and what it starts from it.
//!
//! Defaults, then the file, then the environment (`EGOV_INTEGRATION__SECTION__KEY`); unknown keys are refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use egov_auth::{Access, AuthLayer, Issuer, IssuerConfig, KeySourceConfig, Policies, Verifier, VerifierConfig};
use egov_clock::{SharedIds, SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_directory::{Directory, DirectoryConfig, FeedTls, GrpcFeed};
use egov_door::Destinations;
use egov_events::{EventStore, IntegrationConfig, JetStreamConfig, JetStreamStore, PostgresStore};
use egov_keyring::Keyring;
use egov_runtime::config::{self, Secret, ServerConfig, TelemetryConfig};
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Job, Server, Shutdown};
use egov_transparency::LedgerConfig;
use serde::{Deserialize, Serialize};

use crate::door::{DoorGiven, DoorSection};
use crate::partners::PartnersSection;
use crate::{EventParts, Parts, SERVICE, assemble};

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
    /// The ledger: its log, its witnesses, whose witness it is.
    pub ledger: LedgerConfig,
    /// The door; a process without it administers only.
    pub door: Option<DoorSection>,
    /// Where the endpoints of services may lie.
    pub endpoints: EndpointsSection,
    /// Events and webhooks.
    pub events: EventsSection,
    /// The province's partners.
    pub partners: PartnersSection,
    /// Where its own events are published: at itself, by its address.
    pub integration: IntegrationConfig,
}

/// Where events are kept, and where webhooks may go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsSection {
    /// Addresses of NATS (`nats://host:port`, several by commas); empty keeps events in the service's own database.
    pub nats: Secret,
    /// How many servers of NATS keep each topic: 1, 3 or 5.
    pub replicas: usize,
    /// NATS runs with `sync_interval: always`; with it, or with three replicas, the store is durable.
    pub sync_always: bool,
    /// How many mebibytes of events may wait to be stored.
    pub queue_mib: usize,
    /// The hosts to which webhooks may be sent: `host` or `host:port`. None at first.
    pub webhook_hosts: Vec<String>,
}

impl Default for EventsSection {
    fn default() -> Self {
        Self {
            nats: Secret::default(),
            replicas: 3,
            sync_always: false,
            queue_mib: 64,
            webhook_hosts: Vec::new(),
        }
    }
}

impl EventsSection {
    /// Opens the store.
    pub async fn open(self, database: &Database, ids: SharedIds) -> anyhow::Result<EventParts> {
        let queue_bytes = self.queue_mib << 20;
        let address = self.nats.expose();
        let store: Arc<dyn EventStore> = if address.is_empty() {
            Arc::new(PostgresStore::new(database.clone(), queue_bytes))
        } else {
            let config = JetStreamConfig {
                address: address.to_owned(),
                replicas: self.replicas,
                sync_always: self.sync_always,
                queue_bytes,
            };
            Arc::new(JetStreamStore::connect(config, ids).await?)
        };
        let durability = store.durability().await?;
        if !durability.durable {
            tracing::warn!(
                durability.words,
                "the store of events may lose what it has acknowledged"
            );
        }
        Ok(EventParts {
            store,
            webhook_hosts: self.webhook_hosts,
        })
    }
}

/// `[endpoints]`: where the endpoints of services may lie. Judged when one is entered, and again by what its name resolves to
/// whenever it is connected to. Link-local, multicast, unspecified and reserved addresses are nobody's, whatever stands here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointsSection {
    /// The networks in which services lie (`10.20.0.0/16`). Without any: everywhere but on this machine, and not at the platform's
    /// own services.
    pub allowed_networks: Vec<String>,
    /// Hosts that are reached wherever they lie, also on this machine and beside those networks: `host` or `host:port`.
    pub allowed_hosts: Vec<String>,
    /// Whether all of this machine and the platform's own services are reached too: for trying out. The demonstration's stack says so
    /// by itself.
    pub this_machine: bool,
}

impl EndpointsSection {
    /// What addresses are judged by. `own` are those of the platform's own services, as URLs or as `host:port`; what is
    /// neither names nothing.
    ///
    /// # Errors
    /// What is no network.
    pub fn open(&self, own: &[&str]) -> anyhow::Result<Arc<Destinations>> {
        let destinations = Destinations::default()
            .without(own.iter().flat_map(|url| hosts_and_ports(url)).collect())
            .within(&self.allowed_networks)
            .context("endpoints.allowed_networks")?
            .also(&self.allowed_hosts)
            .this_machine(self.this_machine);
        Ok(Arc::new(destinations))
    }
}

/// Hosts and ports of an address. It may be written without a scheme, as NATS takes it (`host`, `host:port`), and an address of
/// PostgreSQL may name its hosts and ports, several by commas, in its query.
fn hosts_and_ports(text: &str) -> Vec<(String, u16)> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    let url = if text.contains("://") {
        reqwest::Url::parse(text)
    } else {
        reqwest::Url::parse(&format!("nats://{text}"))
    };
    let Ok(url) = url else { return Vec::new() };
    let usual = match url.scheme() {
        "postgres" | "postgresql" => Some(5432),
        "nats" | "tls" => Some(4222),
        _ => None,
    };
    let Some(port) = url.port_or_known_default().or(usual) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(host) = url.host_str().filter(|host| !host.is_empty()) {
        found.push((host.to_owned(), port));
    }
    if usual == Some(5432) {
        let named = |wanted: &str| {
            let pair = url.query_pairs().filter(|(key, _)| key == wanted).last();
            pair.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let (hosts, ports) = (named("host"), named("port"));
        let ports: Vec<u16> = ports.split(',').filter_map(|port| port.trim().parse().ok()).collect();
        let at = |index: usize| ports.get(index).or_else(|| ports.last()).copied().unwrap_or(port);
        if let Some((_, itself)) = found.first_mut() {
            *itself = at(0);
        }
        for hosts in [hosts, named("hostaddr")] {
            // One that begins with a slash is the folder of a socket.
            let hosts = hosts.split(',').map(str::trim).enumerate();
            let hosts = hosts.filter(|(_, host)| !host.is_empty() && !host.starts_with('/'));
            found.extend(hosts.map(|(index, host)| (host.to_owned(), at(index))));
        }
    }
    found
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
    let endpoints = {
        let named = [
            config.database.url.expose(),
            config.identity.address.as_str(),
            config.identity.jwks_url.as_str(),
            config.integration.address.as_str(),
            config.partners.portal.one_stop.address.as_str(),
        ];
        let own: Vec<&str> = named
            .into_iter()
            .chain(config.events.nats.expose().split(','))
            .collect();
        config.endpoints.open(&own)?
    };
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
    let feed = config.identity.feed()?;
    let keys = KeySourceConfig::JwksUrl(config.identity.jwks_url.clone());
    let mut issuer = IssuerConfig::new(config.identity.issuer.clone(), config.identity.audience.clone(), keys);
    issuer.certificates.clone_from(&config.identity.ca);
    let issuers = vec![Issuer::from_config(issuer)?];
    let verifier = Arc::new(Verifier::new(issuers, clock.clone(), VerifierConfig::default()));
    directory.announce_keys_to(Arc::clone(&verifier));
    let access = Arc::new(Access::new(Policies::read(&config.policy)?, directory.tree()));
    let auth = AuthLayer::new(
        Arc::clone(&verifier),
        Arc::clone(&access),
        directory.revocations(),
        contract.method_rules(),
        &[],
    );
    let parts = Parts {
        database: database.clone(),
        contract: Arc::clone(&contract),
        auth,
        directory: Arc::clone(&directory),
        partners,
        endpoints,
        keyring: Arc::clone(&keyring),
        events: config.events.open(&database, ids.clone()).await?,
        log: Arc::clone(ledger.log()),
        door: match &config.door {
            None => None,
            Some(door) => Some(DoorGiven {
                verifier,
                revocations: directory.revocations(),
                certificate_required: door.certificate_required,
                trust: door.trust()?,
                limits: door.limits(),
                xroad_instance: door.xroad_instance.clone(),
                traffic_days: door.traffic_days,
                journal_folder: door.journal_folder.clone(),
                most_calls: door.most_calls,
            }),
        },
    };
    let readings = egov_readings::service(egov_readings::Parts {
        databases: vec![(SERVICE, database.clone())],
        directory: Arc::clone(&directory),
        access,
        clock: clock.clone(),
        contract: Arc::clone(&contract),
    })?;
    let forwarder = config
        .integration
        .forwarder(SERVICE, &database, &keyring, &clock, &ids)?;
    let assembled = assemble(parts)?;
    let assembly = assembled
        .assembly
        .service(readings)
        .job(Job::new("integration.directory", move |stop| {
            let (directory, feed) = (Arc::clone(&directory), feed.clone());
            async move {
                directory.follow(feed, stop).await;
                Ok(())
            }
        }));
    let assembly = match forwarder.map(Arc::new) {
        None => assembly,
        Some(forwarder) => assembly.job(Job::new("integration.forward", move |stop| {
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
        .with_context(|| format!("cannot listen on {}", config.server.listen))?;
    let mut server = Server::builder(config.server, contract, clock, ids).assembly(assembly);
    if let (Some(section), Some(router)) = (config.door, assembled.door) {
        server = server.beside(section.beside(router).await?);
    }
    let server = server.build()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    server.serve(listener, shutdown).await;
    database.close().await;
    telemetry.stop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platforms_own_services_are_known_by_host_and_port() {
        let cases: [(&str, &[(&str, u16)]); 13] = [
            ("postgres://app:p%40ss@db.inner/integration", &[("db.inner", 5432)][..]),
            (
                "postgresql://app@[fd12::5]:6432/integration?sslmode=require",
                &[("[fd12::5]", 6432)],
            ),
            ("postgres:///integration?host=/run/postgresql", &[]),
            ("postgres:///integration?host=db.inner", &[("db.inner", 5432)]),
            (
                "postgres:///integration?host=a.inner,b.inner&port=6432,6433&hostaddr=192.0.2.5",
                &[("a.inner", 6432), ("b.inner", 6433), ("192.0.2.5", 6432)],
            ),
            ("postgres://db.inner/integration?port=6432", &[("db.inner", 6432)]),
            (" nats://events.inner ", &[("events.inner", 4222)]),
            ("nats.inner:4223", &[("nats.inner", 4223)]),
            ("nats.inner", &[("nats.inner", 4222)]),
            ("192.0.2.9:4222", &[("192.0.2.9", 4222)]),
            ("https://identity.inner", &[("identity.inner", 443)]),
            ("http://identity.inner:8080/x", &[("identity.inner", 8080)]),
            ("", &[]),
        ];
        for (url, wanted) in cases {
            let wanted: Vec<(String, u16)> = wanted.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect();
            assert_eq!(hosts_and_ports(url), wanted, "{url}");
        }
        let section = EndpointsSection {
            allowed_networks: vec!["10.0.0.0/33".to_owned()],
            ..EndpointsSection::default()
        };
        assert!(
            section
                .open(&[])
                .unwrap_err()
                .to_string()
                .contains("endpoints.allowed_networks")
        );
        let strict = EndpointsSection::default().open(&["nats://events.inner"]).unwrap();
        assert!(strict.judge("events.inner", 4222).is_err() && strict.judge("events.inner", 443).is_ok());
        let strict = EndpointsSection::default()
            .open(&["nats.inner:4222", "postgres:///x?host=db.inner"])
            .unwrap();
        assert!(strict.judge("nats.inner", 4222).is_err() && strict.judge("db.inner", 5432).is_err());
    }

    #[test]
    fn the_example_of_the_operators_is_understood() {
        let readme = include_str!("../../../deploy/README.md");
        let examples = readme.split("```toml\n").skip(1);
        let example = examples
            .filter_map(|rest| rest.split_once("```").map(|(example, _)| example))
            .find(|example| example.contains("[door]"))
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("integration.toml");
        std::fs::write(&file, example).unwrap();
        let config: Config = config::load("integration", Some(&file)).unwrap();
        let door = config.door.unwrap();
        assert!(door.certificate_required);
        assert_eq!(door.server.listen.port(), 8444);
        assert_eq!(door.xroad_instance.as_deref(), Some("VN"));
        assert!(config.identity.ca.is_some());
        assert_eq!(config.ledger.origin, "example.gov.vn/egov");
        assert!(config.events.nats.expose().is_empty());
    }
}
