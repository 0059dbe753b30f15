//! Everything in one process: the database server, the databases, the keyring, the packs, the accounts, the services on one
//! port. The services meet as they do when each runs alone: one-stop follows identity's feed over gRPC.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use egov_auth::{Access, AuthLayer, KeySourceConfig, Policies, Verifier, VerifierConfig};
use egov_clock::{Clock as _, SharedClock, SharedIds, SystemClock, SystemIds};
use egov_directory::{Directory, DirectoryConfig, GrpcFeed, Unit, Units, Whereabouts, identity_channel};
use egov_door::DoorLimits;
use egov_events::IntegrationConfig;
use egov_files::FileConfig;
use egov_identity::config::{AssertionIssuerConfig, plain_words};
use egov_identity::operations::bootstrap::{AccountSpec, SystemSpec, ensure_account, ensure_system};
use egov_identity::{Deps, Identity, LocalFeed, Settings, totp};
use egov_integration::config::EndpointsSection;
use egov_integration::door::DoorGiven;
use egov_onestop::calls::CallsConfig;
use egov_onestop::domain::civil_decision::BookProcedures;
use egov_onestop::press::PressFault;
use egov_onestop::staffing::IdentityHolders;

use egov_integration::partners::PartnersSection;
use egov_integration::{EventParts, ensure_agency, ensure_topic};
use egov_keyring::{Keyring, Purpose};
use egov_runtime::config::{Period, ServerConfig};
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Assembly, Beside, Drained, Server, Shutdown};
use egov_transparency::{Ledger, LedgerConfig};
use jiff::civil::Date;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Profile;
use crate::accounts::{self, CITIZEN_ISSUER, Credentials};
use crate::import::{self, Databases, Report};
use crate::packs::Deploy;
use crate::partner::WEBHOOK_TESTER;
use crate::place::{Held, Place, Running, url_of};
use crate::postgres::Postgres;
use crate::problem::Problem;

/// How long identity may take to be heard by the other services.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked whether the key by which the services prove themselves was rotated.
const KEY_LOOK: Duration = Duration::from_secs(2);

/// What a stack is started with.
pub(crate) struct Start<'a> {
    /// The data folder.
    pub(crate) place: Place,
    /// Packs and policies.
    pub(crate) deploy: Deploy,
    /// What may be relied on.
    pub(crate) profile: Profile,
    /// The operator's database server, if there is one.
    pub(crate) database_url: Option<&'a str>,
    /// The port and its limits.
    pub(crate) server: ServerConfig,
    /// No progress bar.
    pub(crate) quiet: bool,
    /// How it is asked to stop.
    pub(crate) shutdown: Shutdown,
    /// How long a new key of tokens is published before it signs; identity's own default if none.
    pub(crate) publish_before_use: Option<Period>,
    /// The province's partners.
    pub(crate) partners: PartnersSection,
    /// Where the endpoints of partners' services may lie; in a demonstration on this machine too.
    pub(crate) endpoints: EndpointsSection,
    /// Partners are simulated: the agencies of the demonstration's staff are to be known where partners are spoken to.
    pub(crate) simulated: bool,
    /// What one-stop decides of civil status goes into the books of the civil registry.
    pub(crate) books: bool,
}

/// A running stack.
pub(crate) struct Stack {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    door_address: SocketAddr,
    /// What was imported.
    pub(crate) report: Report,
    /// What the operator should know.
    pub(crate) notice: Option<String>,
    place: Place,
    held: Held,
    postgres: Postgres,
    databases: Databases,
    shutdown: Shutdown,
    serving: JoinHandle<Drained>,
    following: CancellationToken,
}

/// The address of the door: the next port, or any if any was asked for.
fn door_beside(address: SocketAddr) -> SocketAddr {
    let port = match address.port() {
        0 => 0,
        port => port.checked_add(1).unwrap_or(port - 1),
    };
    SocketAddr::new(address.ip(), port)
}

/// The press of papers, for every service that prints.
fn press() -> anyhow::Result<impl Fn(&[u8]) -> Result<Vec<u8>, PressFault> + Send + Sync + 'static> {
    let press = egov_papers::Press::new()?;
    Ok(move |content: &[u8]| -> Result<Vec<u8>, PressFault> { Ok(press.print_json(content)?.pdf) })
}

/// Takes the port before anything slow is done.
async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let port = address.port();
        match error.kind() {
            std::io::ErrorKind::AddrInUse => Problem::new(
                format!("{address} is taken"),
                format!(
                    "choose another port: --listen {}:{}",
                    address.ip(),
                    port.wrapping_add(1).max(1024)
                ),
            )
            .or(format!(
                "or stop what listens there; `ss -ltnp 'sport = :{port}'` shows it"
            )),
            std::io::ErrorKind::PermissionDenied => Problem::new(
                format!("this user may not listen on {address}"),
                "choose a port above 1023: --listen 127.0.0.1:8765",
            ),
            _ => Problem::new(
                format!("cannot listen on {address}: {error}"),
                "choose another address: --listen 127.0.0.1:8765",
            ),
        }
        .into()
    })
}

impl Stack {
    /// Starts everything, and returns when the services can serve.
    pub(crate) async fn start(start: Start<'_>) -> anyhow::Result<Self> {
        let Start {
            place,
            deploy,
            profile,
            database_url,
            server,
            quiet,
            shutdown,
            publish_before_use,
            partners,
            endpoints,
            simulated,
            books,
        } = start;
        let (clock, ids) = (SystemClock::shared(), SystemIds::shared());
        let held = place.hold()?;
        // What an earlier process left behind when it was killed.
        place.remove("stack.json");
        let listener = listen(server.listen).await?;
        let address = listener.local_addr()?;
        let door_listener = listen(door_beside(server.listen)).await?;
        let door_address = door_listener.local_addr()?;
        let keyring = Arc::new(Keyring::create_missing(&place.path("keys"), &clock)?);
        let postgres = Postgres::start(&place, database_url).await?;
        let made = Box::pin(serve(
            &place,
            &deploy,
            profile,
            server,
            quiet,
            &postgres,
            keyring,
            listener,
            door_listener,
            &shutdown,
            publish_before_use,
            partners,
            endpoints,
            simulated,
            books,
            clock,
            ids,
        ))
        .await;
        let Served {
            databases,
            report,
            serving,
            following,
        } = match made {
            Ok(served) => served,
            Err(error) => {
                // The cluster stops with its value; a failure of the stop would only hide the reason.
                let _ = postgres.stop().await;
                return Err(error);
            }
        };
        place.write(
            "stack.json",
            &Running {
                address,
                door: door_address,
                pid: std::process::id(),
                database: matches!(postgres, Postgres::Own { .. }).then(|| postgres.superuser_url()),
            },
        )?;
        let notice = postgres.notice().map(str::to_owned);
        Ok(Self {
            address,
            door_address,
            report,
            notice,
            place,
            held,
            postgres,
            databases,
            shutdown,
            serving,
            following,
        })
    }

    /// The URL of the door between systems.
    pub(crate) fn door_url(&self) -> String {
        url_of(self.door_address)
    }

    /// The URL under which this machine calls it.
    pub(crate) fn url(&self) -> String {
        url_of(self.address)
    }

    /// The folder of the private cluster.
    pub(crate) fn cluster(&self) -> Option<&Path> {
        self.postgres.folder()
    }

    /// Asks for the drain.
    pub(crate) fn drain(&self) {
        self.shutdown.drain();
    }

    /// Waits until it was asked to stop and has drained, then stops what was started with it.
    pub(crate) async fn ended(self) -> anyhow::Result<Drained> {
        self.shutdown.draining().await;
        // Its own calls must not keep the port open.
        self.following.cancel();
        let drained = self.serving.await.context("the server ended in a panic")?;
        self.databases.close().await;
        self.place.remove("stack.json");
        self.postgres.stop().await?;
        drop(self.held);
        Ok(drained)
    }
}

/// What serves.
struct Served {
    databases: Databases,
    report: Report,
    serving: JoinHandle<Drained>,
    following: CancellationToken,
}

#[expect(
    clippy::too_many_arguments,
    reason = "one step of the start, called once: a struct would only rename them"
)]
async fn serve(
    place: &Place,
    deploy: &Deploy,
    profile: Profile,
    server: ServerConfig,
    quiet: bool,
    postgres: &Postgres,
    keyring: Arc<Keyring>,
    listener: TcpListener,
    door_listener: TcpListener,
    shutdown: &Shutdown,
    publish_before_use: Option<Period>,
    mut partners: PartnersSection,
    mut endpoints: EndpointsSection,
    simulated: bool,
    books: bool,
    clock: SharedClock,
    ids: SharedIds,
) -> anyhow::Result<Served> {
    let url = url_of(listener.local_addr()?);
    let databases = Databases::open(place, postgres, &keyring, &clock, &ids).await?;
    let report = import::packs(&databases, deploy, profile, quiet).await?;
    let credentials = Credentials::complete(place, profile, ids.as_ref())?;
    let contract = Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law())?);

    // Identity follows its own database; before the port opens nobody is judged by an empty tree.
    let mut settings = settings(&url, &credentials, profile);
    if let Some(period) = publish_before_use {
        settings.tokens.publish_before_use = period;
    }
    let verifier = Arc::new(Verifier::new(
        vec![egov_identity::issuer(&settings, &keyring)],
        clock.clone(),
        VerifierConfig::default(),
    ));
    let texts = deploy.policies()?;
    let all: Vec<(&str, &str)> = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let own_feed = LocalFeed::new(databases.identity.clone(), Arc::clone(&keyring));
    let own_directory = Arc::new(Directory::open(DirectoryConfig::default(), clock.clone())?);
    own_directory.refresh(&own_feed).await?;
    let deps = Deps {
        database: databases.identity.clone(),
        keyring: Arc::clone(&keyring),
        access: Arc::new(Access::new(Policies::from_toml(&all)?, own_directory.tree())),
        directory: Arc::clone(&own_directory),
    };
    let identity = Identity::open(&settings, deps).await?;
    ensure_accounts(place, credentials, profile, &identity, &own_directory, &clock).await?;
    if simulated {
        enter_agencies(&databases, &own_directory, &clock).await?;
    }

    let neighbours = Neighbours {
        place,
        settings: &settings,
        keyring: &keyring,
        clock: &clock,
        contract: &contract,
        policies: &all,
    };
    let one_stops = neighbours.follower("onestop", "directory")?;
    let integrations = neighbours.follower("integration", "directory-integration")?;
    let civil_registries = neighbours.follower(egov_civil_registry::SERVICE, "directory-civil-registry")?;
    let records = neighbours.follower("records", "directory-records")?;
    let readings = egov_readings::service(egov_readings::Parts {
        databases: vec![
            ("identity", databases.identity.clone()),
            ("onestop", databases.onestop.clone()),
            ("integration", databases.integration.clone()),
            (egov_civil_registry::SERVICE, databases.civil_registry.clone()),
        ],
        directory: Arc::clone(&records.directory),
        access: records.access,
        clock: clock.clone(),
        contract: Arc::clone(&contract),
    })?;
    // Where this process has a way to the payment platform, one-stop makes its orders through it; likewise to the population database.
    let reach = Reach {
        reads: [
            (!partners.portal.follow.is_empty()).then_some("case_synchroniser"),
            (!partners.civil_status.follow.is_empty()).then_some("civil_status_synchroniser"),
        ],
        pays: !partners.payment.line.address.is_empty(),
        asks: !partners.population.line.address.is_empty(),
        enters: books,
    };
    if reach.enters && !reach.asks {
        let advice = "name [partners.population], start with --simulators, or leave books = false".to_owned();
        return Err(Problem::new(
            "books need the population database: the case of a birth is completed once the child has its number",
            advice,
        )
        .into());
    }
    let calls_if = |reaches: bool| CallsConfig {
        address: if reaches { url.clone() } else { String::new() },
        token_endpoint: format!("{url}/oauth2/token"),
        audience: identity.token_endpoint(),
        ..CallsConfig::default()
    };
    let payments = egov_onestop::payments::open(&calls_if(reach.pays), &keyring, &clock, &ids)?;
    let population = egov_onestop::population::open(&calls_if(reach.asks), &keyring, &clock, &ids)?;
    // The civil registry asks it for the numbers of children.
    let numbers = egov_civil_registry::calls::CallsConfig {
        address: calls_if(reach.asks).address,
        token_endpoint: format!("{url}/oauth2/token"),
        audience: identity.token_endpoint(),
        ..egov_civil_registry::calls::CallsConfig::default()
    };
    let numbers = egov_civil_registry::population::open(&numbers, &keyring, &clock, &ids)?;
    // It takes what one-stop decides into its books.
    let decisions = egov_civil_registry::calls::CallsConfig {
        address: calls_if(reach.enters).address,
        token_endpoint: format!("{url}/oauth2/token"),
        audience: identity.token_endpoint(),
        ..egov_civil_registry::calls::CallsConfig::default()
    };
    let decisions = egov_civil_registry::cases::open(&decisions, &keyring, &clock, &ids)?;
    let press = Arc::new(press()?);
    let one_stop = egov_onestop::assemble(egov_onestop::Parts {
        database: databases.onestop.clone(),
        keyring: Arc::clone(&keyring),
        directory: Arc::clone(&one_stops.directory),
        files: egov_files::open(&FileConfig::Folder {
            path: place.path("files"),
        })?,
        clock: clock.clone(),
        ids: ids.clone(),
        contract: Arc::clone(&contract),
        auth: one_stops.auth,
        profile: profile.into(),
        holders: Arc::new(IdentityHolders::new(identity_channel(&url, None)?)),
        press: Some(press.clone()),
        payments,
        population,
        books: if reach.enters {
            deploy.books()?
        } else {
            BookProcedures::default()
        },
    })
    .await
    .map_err(|error| {
        let what = format!("the law cannot be read: {error}");
        let advice = if report.refused.is_empty() {
            "import the packs: cargo egov import".to_owned()
        } else {
            format!("mend the packs that were refused: {}", refusals(&report))
        };
        Problem::new(what, advice)
    })?;

    let token_endpoint = identity.token_endpoint();
    let one_stop_of_partners = &mut partners.portal.one_stop;
    for (setting, here) in [
        (&mut one_stop_of_partners.address, &url),
        (&mut one_stop_of_partners.token_endpoint, &format!("{url}/oauth2/token")),
        (&mut one_stop_of_partners.audience, &token_endpoint),
    ] {
        if setting.is_empty() {
            setting.clone_from(here);
        }
    }
    let registry_of_partners = &mut partners.civil_status.registry;
    for (setting, here) in [
        (&mut registry_of_partners.address, &url),
        (&mut registry_of_partners.token_endpoint, &format!("{url}/oauth2/token")),
        (&mut registry_of_partners.audience, &token_endpoint),
    ] {
        if setting.is_empty() {
            setting.clone_from(here);
        }
    }
    let mut events = EventParts::in_database(&databases.integration);
    if profile == Profile::Demo {
        // `cargo egov partner webhook` on this machine.
        events.webhook_hosts.push(WEBHOOK_TESTER.to_string());
    }
    // There a partner's service is tried out beside the stack, or is the stack itself.
    endpoints.this_machine |= profile == Profile::Demo;
    let endpoints = endpoints.open(&[&url, &postgres.superuser_url()])?;
    let event_store = Arc::clone(&events.store);
    let publishers = publishers(&identity, &keyring, reach).await?;
    // Each service sequences its own log; the contract of the ledger is served once, over all of them.
    let [identitys, one_stops_log, integrations_log, civil_registrys] = ledgers(place, &databases, &keyring)?;
    let integration = egov_integration::assemble(egov_integration::Parts {
        database: databases.integration.clone(),
        contract: Arc::clone(&contract),
        auth: integrations.auth,
        directory: Arc::clone(&integrations.directory),
        partners: partners.open(Arc::clone(&keyring), &clock, &ids)?,
        endpoints,
        keyring: Arc::clone(&keyring),
        events,
        log: Arc::clone(integrations_log.log()),
        door: Some(DoorGiven {
            verifier: integrations.verifier,
            revocations: integrations.directory.revocations(),
            // One machine: what comes in from elsewhere passes a process of its own, which asks for certificates.
            certificate_required: false,
            trust: None,
            limits: DoorLimits::default(),
            // Clients of X-Road are tried out beside the others.
            xroad_instance: (profile == Profile::Demo).then(|| "VN".to_owned()),
            traffic_days: egov_integration::door::TRAFFIC_DAYS,
            journal_folder: Some(place.path("door")),
            most_calls: egov_integration::door::MOST_CALLS,
        }),
    })?;
    let door = integration.door.context("the integration service has no door")?;
    let door = Beside {
        name: "door",
        config: server.clone(),
        listener: door_listener,
        router: door,
    };
    let integration = Ledger::serve(
        integration.assembly,
        &contract,
        &[
            identitys.clone(),
            one_stops_log.clone(),
            integrations_log.clone(),
            civil_registrys.clone(),
        ],
    );
    let civil_registry = egov_civil_registry::assemble(egov_civil_registry::Parts {
        database: databases.civil_registry.clone(),
        directory: Arc::clone(&civil_registries.directory),
        clock: clock.clone(),
        contract: Arc::clone(&contract),
        auth: civil_registries.auth,
        law: deploy.civil_registry()?,
        log: Arc::clone(civil_registrys.log()),
        press: Some(press),
        numbers,
        access: civil_registries.access,
        cases: decisions,
    });

    let (forward_clock, forward_ids) = (clock.clone(), ids.clone());
    let server = Server::builder(server, Arc::clone(&contract), clock, ids)
        .assembly(identitys.work(identity.assembly(verifier, contract)))
        .assembly(one_stops_log.work(one_stop))
        .assembly(integrations_log.work(integration))
        .assembly(civil_registrys.work(civil_registry))
        .assembly(Assembly::new("records").service(readings).auth(records.auth))
        .beside(door)
        .build()?;
    let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
    let following = CancellationToken::new();
    for (service, database, system) in [
        ("identity", &databases.identity, publishers.identity),
        ("onestop", &databases.onestop, publishers.onestop),
        ("integration", &databases.integration, publishers.integration),
        (
            egov_civil_registry::PUBLISHER,
            &databases.civil_registry,
            publishers.civil_registry,
        ),
    ] {
        let topic = format!("{service}.events");
        // 0: the topic is the installation's own, not a unit's.
        ensure_topic(&databases.integration, event_store.as_ref(), &topic, 0, system).await?;
        let config = IntegrationConfig {
            address: url.clone(),
            token_endpoint: format!("{url}/oauth2/token"),
            audience: token_endpoint.clone(),
            ..IntegrationConfig::default()
        };
        if let Some(forwarder) = config.forwarder(service, database, &keyring, &forward_clock, &forward_ids)? {
            let stop = following.clone();
            tokio::spawn(async move { forwarder.run(stop).await });
        }
    }
    tokio::spawn(keep_registered(
        Arc::clone(&identity),
        Arc::clone(&keyring),
        reach,
        following.clone(),
    ));
    let feed = GrpcFeed::lazy(&url)?;
    let followers = [
        one_stops.directory,
        integrations.directory,
        civil_registries.directory,
        records.directory,
    ];
    // The first round at once, and aloud if it fails; then again and again.
    let first = async {
        for directory in &followers {
            while let Err(error) = directory.refresh(&feed).await {
                tracing::debug!(%error, "identity is not heard yet");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, first)
        .await
        .context("identity does not answer the other services")?;
    for directory in followers {
        tokio::spawn(directory.follow(feed.clone(), following.clone()));
    }
    // What runs in the same process follows the same revocations; identity tells its own directory by itself, and this
    // catches what an administrator of another process did.
    tokio::spawn(own_directory.follow(own_feed, following.clone()));
    Ok(Served {
        databases,
        report,
        serving,
        following,
    })
}

/// What the services do through one another, beside publishing their events.
#[derive(Clone, Copy)]
struct Reach {
    /// The roles as which the integration middleware reads cases, of which the portal is told, and entries, of which the civil-status register is.
    reads: [Option<&'static str>; 2],
    /// Fees are paid at the payment platform.
    pays: bool,
    /// The population database confirms who owners are.
    asks: bool,
    /// The civil registry enters what one-stop decided.
    enters: bool,
}

/// The systems as which the services publish their events.
struct Publishers {
    identity: Uuid,
    onestop: Uuid,
    integration: Uuid,
    civil_registry: Uuid,
}

/// Registers the systems of the services anew when the keyring's key for assertions was rotated. Until then identity refuses their
/// proofs, and their events wait in their logs.
async fn keep_registered(identity: Arc<Identity>, keyring: Arc<Keyring>, reach: Reach, stop: CancellationToken) {
    let mut registered = String::new();
    while !stop.is_cancelled() {
        let present = keyring.signing(Purpose::ClientAssertions).id().to_owned();
        if present != registered {
            match publishers(&identity, &keyring, reach).await {
                Ok(_) => registered = present,
                Err(error) => tracing::warn!(%error, "the services' key is not registered; tried again"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(KEY_LOOK) => {}
        }
    }
}

/// Makes the systems of the services, or puts them right: each proves itself with the keyring's key for assertions.
/// Integration reads cases where it tells the national portal of them; one-stop calls partners where fees are paid online or the
/// population database is asked.
async fn publishers(identity: &Identity, keyring: &Keyring, reach: Reach) -> anyhow::Result<Publishers> {
    let published = keyring.jwks(Purpose::ClientAssertions);
    let current = keyring.signing(Purpose::ClientAssertions);
    let key = published
        .get("keys")
        .and_then(serde_json::Value::as_array)
        .and_then(|keys| {
            keys.iter()
                .find(|key| key.get("kid").and_then(serde_json::Value::as_str) == Some(current.id()))
        })
        .context("the keyring does not publish its key for assertions")?
        .to_string();
    let ensure = async |client_id: &str, name: &str, roles: &[(&str, i32)]| -> anyhow::Result<Uuid> {
        let spec = SystemSpec {
            client_id,
            name,
            public_jwk: &key,
            roles,
            acts_for_citizens: false,
        };
        Ok(ensure_system(identity, &spec).await?.system_id)
    };
    let roles = reach.reads.into_iter().flatten();
    let reads: Vec<(&str, i32)> = roles.map(|role| (role, egov_auth::WHOLE_PROVINCE)).collect();
    let caller = [("partner_caller", egov_auth::WHOLE_PROVINCE)];
    let calls: &[(&str, i32)] = if reach.pays || reach.asks { &caller } else { &[] };
    let requests: Vec<(&str, i32)> = [
        (reach.asks, "personal_number_requester"),
        (reach.enters, "civil_decision_taker"),
    ]
    .into_iter()
    .filter_map(|(reaches, role)| reaches.then_some((role, egov_auth::WHOLE_PROVINCE)))
    .collect();
    Ok(Publishers {
        identity: ensure("egov-identity", "Dịch vụ định danh", &[]).await?,
        onestop: ensure("egov-onestop", "Dịch vụ một cửa", calls).await?,
        integration: ensure("egov-integration", "Phần mềm trung gian", &reads).await?,
        civil_registry: ensure("egov-civil-registry", "Dịch vụ hộ tịch", &requests).await?,
    })
}

/// What the origins of the logs of one process begin with.
pub(crate) const LEDGER_ORIGIN: &str = "egov.local";

/// The ledgers of identity, one-stop, integration and the civil registry. What they signed is remembered in the data folder, outside the database.
pub(crate) fn ledgers(
    place: &Place,
    databases: &Databases,
    keyring: &Arc<Keyring>,
) -> Result<[Ledger; 4], egov_transparency::ConfigError> {
    let config = LedgerConfig {
        origin: LEDGER_ORIGIN.to_owned(),
        memory: Some(place.path("ledger")),
        ..LedgerConfig::default()
    };
    Ok([
        config.open("identity", &databases.identity, keyring)?,
        config.open("onestop", &databases.onestop, keyring)?,
        config.open("integration", &databases.integration, keyring)?,
        config.open(egov_civil_registry::SERVICE, &databases.civil_registry, keyring)?,
    ])
}

/// What the services beside identity are made from. Each follows identity over gRPC, with a directory and a verifier of its
/// own, as it does in a process of its own: what it knows of the keys, it knows by the feed.
struct Neighbours<'a> {
    place: &'a Place,
    settings: &'a Settings,
    keyring: &'a Arc<Keyring>,
    clock: &'a SharedClock,
    contract: &'a Contract,
    policies: &'a [(&'a str, &'a str)],
}

/// How a service follows identity, and who guards its RPCs.
struct Follower {
    directory: Arc<Directory>,
    access: Arc<Access>,
    verifier: Arc<Verifier>,
    auth: AuthLayer,
}

impl Neighbours<'_> {
    /// The service of this name, with the policy of this name and the purposes of all; it keeps the tree in this folder of the data
    /// folder. What shows the readings of every service knows the roles of every service.
    fn follower(&self, service: &str, folder: &str) -> anyhow::Result<Follower> {
        let directory = Arc::new(Directory::open(
            DirectoryConfig {
                folder: Some(self.place.path(folder)),
                ..DirectoryConfig::default()
            },
            self.clock.clone(),
        )?);
        let own_policy: Vec<(&str, &str)> = self
            .policies
            .iter()
            .copied()
            .filter(|(name, _)| match name.strip_suffix(".toml") {
                Some(name) => name == service || name == "purposes" || service == "records",
                None => false,
            })
            .collect();
        let verifier = Arc::new(Verifier::new(
            vec![egov_identity::issuer(self.settings, self.keyring)],
            self.clock.clone(),
            VerifierConfig::default(),
        ));
        directory.announce_keys_to(Arc::clone(&verifier));
        let access = Arc::new(Access::new(Policies::from_toml(&own_policy)?, directory.tree()));
        let auth = AuthLayer::new(
            Arc::clone(&verifier),
            Arc::clone(&access),
            directory.revocations(),
            self.contract.method_rules(),
            &[],
        );
        Ok(Follower {
            directory,
            access,
            verifier,
            auth,
        })
    }
}

fn refusals(report: &Report) -> String {
    let lines: Vec<String> = report
        .refused
        .iter()
        .map(|line| format!("{}: {}", line.name, line.detail))
        .collect();
    lines.join("; ")
}

/// Identity's settings under `up`: it issues in the name of its own address, and trusts the stand-in for VNeID.
fn settings(url: &str, credentials: &Credentials, profile: Profile) -> Settings {
    let mut settings = Settings::default();
    url.clone_into(&mut settings.tokens.issuer);
    // An issuer of an agency can be tried out on this machine, in the demonstration only.
    settings.federation.allow_loopback = profile == Profile::Demo;
    if let Some(key) = &credentials.citizen_issuer
        && let Ok(keys) = serde_json::from_value(serde_json::json!({ "keys": [key.public] }))
    {
        settings.citizens.issuers.push(AssertionIssuerConfig {
            issuer: CITIZEN_ISSUER.to_owned(),
            keys: KeySourceConfig::Jwks(keys),
            certificates: None,
            assurance: plain_words(),
            personal_number_claim: Some("personal_number".to_owned()),
        });
    }
    settings
}

/// The unit that carries the code, or the one that its work is at since it closed; none if nothing follows it.
fn unit_now<'a>(units: &'a Units, code: &str, today: Date) -> anyhow::Result<Option<&'a Unit>> {
    if let Some(unit) = units.resolve(code, today) {
        return Ok(Some(unit));
    }
    let closed = units
        .last_closed(code, today)
        .with_context(|| format!("the packs have no unit {code}, to which an account belongs"))?;
    Ok(match units.whereabouts(closed.id, today) {
        Some(Whereabouts::MovedTo(to)) => Some(to),
        _ => None,
    })
}

/// Enters the agencies of the demonstration's staff in integration's directory, with the codes that their cases carry: partners are
/// spoken to in the name of an agency that the directory knows. In production whoever keeps its entry enters it.
async fn enter_agencies(databases: &Databases, directory: &Directory, clock: &SharedClock) -> anyhow::Result<()> {
    let today = clock.today();
    let units = directory.units();
    for member in accounts::STAFF {
        let agency = unit_now(&units, member.unit, today)?;
        if let Some((unit, code)) = agency.and_then(|unit| Some((unit, unit.agency_code.as_ref()?))) {
            ensure_agency(&databases.integration, unit.id, &unit.name, &code.code).await?;
        }
    }
    Ok(())
}

/// Makes the accounts and systems that the profile has and that are missing.
async fn ensure_accounts(
    place: &Place,
    mut credentials: Credentials,
    profile: Profile,
    identity: &Identity,
    directory: &Directory,
    clock: &SharedClock,
) -> anyhow::Result<()> {
    let today = clock.today();
    let units = directory.units();
    let unit = |code: &str| anyhow::Ok(unit_now(&units, code, today)?.map(|unit| unit.id));
    let mut changed = false;
    for member in accounts::members(profile) {
        let Some(account) = credentials
            .accounts
            .iter_mut()
            .find(|account| account.name == member.name)
        else {
            continue;
        };
        let (Some(home), Some(at)) = (unit(member.home)?, unit(member.unit)?) else {
            tracing::warn!(
                account = member.name,
                "its unit closed without a successor; it is left as it is"
            );
            continue;
        };
        let secret = totp::from_base32(&account.totp_secret).context("a secret of one-time codes is damaged")?;
        let spec = AccountSpec {
            username: member.name,
            full_name: member.full_name,
            unit_id: home,
            password: SecretString::from(account.password.clone()),
            totp_secret: Some(&secret),
            roles: &[(member.role, at)],
        };
        let ensured = ensure_account(identity, &spec).await?;
        if account.id != Some(ensured.account_id) {
            account.id = Some(ensured.account_id);
            changed = true;
        }
    }
    if let Some(portal) = &credentials.portal
        && profile == Profile::Demo
    {
        let spec = SystemSpec {
            client_id: &portal.client_id,
            name: "Cổng Dịch vụ công quốc gia (mô phỏng)",
            public_jwk: &portal.key.public.to_string(),
            roles: &[("national_portal", egov_auth::WHOLE_PROVINCE)],
            acts_for_citizens: true,
        };
        ensure_system(identity, &spec).await?;
    }
    if changed {
        credentials.save(place)?;
    }
    Ok(())
}
