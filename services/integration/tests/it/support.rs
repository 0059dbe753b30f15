//! The service on its port, with two partners, their keys and a service between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_auth::{Access, AuthLayer, Issuer, Policies, Revocations, Verifier, VerifierConfig};
use egov_clock::{Clock as _, Ids as _, ManualClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_directory::{Directory, DirectoryConfig, Feed};
use egov_door::{Destinations, DoorLimits};
use egov_fault::Fault;
use egov_integration::config::EndpointsSection;
use egov_integration::door::{DoorGiven, DoorSection};
use egov_integration::{Assembled, EventParts, MIGRATOR, Parts, SERVICE, assemble};
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::identity::v1 as identity;
use egov_proto::egov::integration::v1::agreement_service_client::AgreementServiceClient;
use egov_proto::egov::integration::v1::exchange_service_client::ExchangeServiceClient;
use egov_proto::egov::integration::v1::interface_service_client::InterfaceServiceClient;
use egov_proto::egov::integration::v1::organisation_service_client::OrganisationServiceClient;
use egov_proto::egov::integration::v1::permit_service_client::PermitServiceClient;
use egov_proto::egov::integration::v1::system_service_client::SystemServiceClient;
use egov_proto::egov::integration::v1::traffic_service_client::TrafficServiceClient;
use egov_proto::egov::integration::v1::*;
use egov_proto::timestamp;
use egov_runtime::config::{Period, ServerConfig};
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Drained, Server, Shutdown};
use egov_testkit::{TestDatabase, Tokens};
use egov_transparency::{LedgerConfig, Log};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

/// The province, the commune that asks, the department that provides, and one that has nothing to do with either.
pub const PROVINCE: i32 = 1;
pub const CONSUMER: i32 = 2;
pub const PROVIDER: i32 = 3;
pub const STRANGER: i32 = 4;

pub const PARTNER: &str = "integration_partner";
pub const ADMIN: &str = "integration_admin";

/// What the agreements of the tests are about: our own contract, as an interface that somebody provides.
pub const LIST: &str = "egov.integration.v1.AgreementService/ListAgreements";
pub const GET: &str = "egov.integration.v1.AgreementService/GetAgreement";

pub struct Stack {
    pub database: TestDatabase,
    pub pool: Database,
    pub clock: ManualClock,
    pub tokens: Tokens,
    pub address: String,
    /// The address of the door.
    pub door: String,
    pub log: Arc<Log>,
    channel: Channel,
    keyring: Arc<Keyring>,
    directory: Arc<Directory>,
    settings: Settings,
    shutdown: Shutdown,
    serving: Option<JoinHandle<Drained>>,
}

/// A folder: one that goes with who has it, or one that stays.
pub type Folder = Arc<dyn AsRef<Path> + Send + Sync>;

/// The ports of a stack, and where its door records.
#[derive(Clone)]
pub struct Settings {
    pub own: ServerConfig,
    pub door: ServerConfig,
    /// On its disk, or at once in the database.
    pub journal: Option<Folder>,
    /// Whether nobody comes through the door without a client certificate, as in production.
    pub certificate_required: bool,
}

impl Default for Settings {
    /// Any free ports, a short drain, and a journal on the disk.
    fn default() -> Self {
        let mut own = ServerConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ..ServerConfig::default()
        };
        own.drain.streams = Period::millis(200);
        own.drain.grace = Period::seconds(3);
        Self {
            door: own.clone(),
            own,
            journal: Some(Arc::new(tempfile::tempdir().unwrap())),
            certificate_required: false,
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

type Wrapped = InterceptedService<Channel, Bearer>;

/// Puts a token on every call.
#[derive(Clone)]
pub struct Bearer(String);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = format!("Bearer {}", self.0).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// Clients of one caller.
#[derive(Clone)]
pub struct Caller {
    pub organisations: OrganisationServiceClient<Wrapped>,
    pub systems: SystemServiceClient<Wrapped>,
    pub interfaces: InterfaceServiceClient<Wrapped>,
    pub agreements: AgreementServiceClient<Wrapped>,
    pub permits: PermitServiceClient<Wrapped>,
    pub exchanges: ExchangeServiceClient<Wrapped>,
    pub traffic: TrafficServiceClient<Wrapped>,
}

impl Stack {
    pub async fn start() -> Self {
        Box::pin(Self::with(Settings::default())).await
    }

    pub async fn with(settings: Settings) -> Self {
        let database = egov_testkit::database(SERVICE, &MIGRATOR).await;
        Box::pin(Self::on(database, settings)).await
    }

    /// On a database that the test has brought.
    pub async fn on(database: TestDatabase, settings: Settings) -> Self {
        Box::pin(Self::with_keys(database, Arc::new(Keyring::ephemeral()), settings)).await
    }

    /// On a database and with keys that the test has brought.
    pub async fn with_keys(database: TestDatabase, keyring: Arc<Keyring>, settings: Settings) -> Self {
        let clock = egov_testkit::clock();
        let config = DatabaseConfig::new(database.app_url.clone()).test_profile();
        let pool = Database::connect(&config, Arc::clone(&keyring), clock.shared(), SystemIds::shared())
            .await
            .unwrap();
        let tokens = Tokens::by(clock.shared());
        let directory = Arc::new(Directory::open(DirectoryConfig::default(), clock.shared()).unwrap());
        directory.refresh(&tree(1, &AGENCIES)).await.unwrap();
        let known = (&directory, &tokens);
        let served = Box::pin(serve(&pool, &keyring, &clock, known, settings.clone())).await;
        let address = format!("http://{}", served.own);
        Self {
            database,
            pool,
            clock,
            tokens,
            channel: Endpoint::from_shared(address.clone()).unwrap().connect_lazy(),
            address,
            door: format!("http://{}", served.door),
            log: served.log,
            keyring,
            directory,
            settings: Settings {
                own: ServerConfig {
                    listen: served.own,
                    ..settings.own
                },
                door: ServerConfig {
                    listen: served.door,
                    ..settings.door
                },
                journal: settings.journal,
                certificate_required: settings.certificate_required,
            },
            shutdown: served.shutdown,
            serving: Some(served.task),
        }
    }

    /// Another instance of the service on the same database: the address of its door, and what stops it.
    pub async fn another(&self) -> (String, Shutdown) {
        self.another_with(Settings::default()).await
    }

    /// The same, and its door records in the database at once.
    pub async fn another_without_disk(&self) -> (String, Shutdown) {
        let settings = Settings {
            journal: None,
            ..Settings::default()
        };
        self.another_with(settings).await
    }

    async fn another_with(&self, settings: Settings) -> (String, Shutdown) {
        let served = Box::pin(serve(&self.pool, &self.keyring, &self.clock, self.known(), settings)).await;
        (format!("http://{}", served.door), served.shutdown)
    }

    /// What an instance knows of identity.
    fn known(&self) -> (&Arc<Directory>, &Tokens) {
        (&self.directory, &self.tokens)
    }

    /// Identity's unit tree changes: whose which agency code is, and whether the province has issued it.
    pub async fn tree_says(&self, version: i64, agencies: &[(i32, &'static str, bool)]) {
        self.directory.refresh(&tree(version, agencies)).await.unwrap();
    }

    /// The same, and a unit has closed on a day; another one follows it.
    pub async fn tree_says_that_one_follows(
        &self,
        version: i64,
        agencies: &[(i32, &'static str, bool)],
        (closed, successor, day): (i32, i32, jiff::civil::Date),
    ) {
        let mut feed = tree(version, agencies);
        for unit in &mut feed.0.units {
            if unit.unit_id == closed {
                unit.effective_to = Some(day.into());
            }
        }
        feed.0.successions.push(identity::Succession {
            unit_id: closed,
            successor_id: successor,
            effective_date: Some(day.into()),
            ..identity::Succession::default()
        });
        self.directory.refresh(&feed).await.unwrap();
    }

    /// The folder in which its door records.
    pub fn journal(&self) -> &Path {
        self.settings.journal.as_deref().unwrap().as_ref()
    }

    /// Its keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Drains it, and serves again at the same addresses.
    pub async fn again(&mut self) {
        self.drain();
        self.drained().await;
        let settings = self.settings.clone();
        let served = Box::pin(serve(&self.pool, &self.keyring, &self.clock, self.known(), settings)).await;
        (self.shutdown, self.serving) = (served.shutdown, Some(served.task));
    }

    /// Ends it at once, with its connections to the database; there is a new pool over the same one.
    pub async fn crash(&mut self) {
        self.shutdown.abort();
        self.drained().await;
        let closing = self.pool.clone();
        let closing = tokio::spawn(async move { closing.close().await });
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND usename <> current_user",
        )
        .execute(&mut self.database.connect_as_superuser().await.unwrap())
        .await
        .unwrap();
        closing.await.unwrap();
        let config = DatabaseConfig::new(self.database.app_url.clone()).test_profile();
        let keyring = Arc::clone(&self.keyring);
        self.pool = Database::connect(&config, keyring, self.clock.shared(), SystemIds::shared())
            .await
            .unwrap();
    }

    /// Serves again after a crash, when the leases of the process before have run out, at the same addresses and with the same
    /// folder.
    pub async fn recover(&mut self) {
        sqlx::query("UPDATE egov.leases SET expire_time = clock_timestamp()")
            .execute(&mut self.database.connect_as_superuser().await.unwrap())
            .await
            .unwrap();
        let settings = self.settings.clone();
        let served = Box::pin(serve(&self.pool, &self.keyring, &self.clock, self.known(), settings)).await;
        (self.shutdown, self.serving, self.log) = (served.shutdown, Some(served.task), served.log);
    }

    /// Asks for the drain, as SIGTERM does.
    pub fn drain(&self) {
        self.shutdown.drain();
    }

    /// From now on SIGTERM drains it, as in production.
    pub fn stop_on_signals(&self) {
        self.shutdown.on_signals().unwrap();
    }

    /// Waits until the drain is asked for.
    pub async fn asked_to_stop(&self) {
        self.shutdown.draining().await;
    }

    /// Waits until it has drained.
    pub async fn drained(&mut self) -> Drained {
        self.serving.take().unwrap().await.unwrap()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The token of an official with a role at a unit.
    pub fn token(&self, role: &str, unit: i32) -> String {
        let subject = Uuid::from_u128(unit.unsigned_abs().into());
        self.tokens.staff(subject, &[(role, unit)])
    }

    /// An official with a role at a unit.
    pub fn staff(&self, role: &str, unit: i32) -> Caller {
        self.caller(self.token(role, unit))
    }

    /// Whoever holds a token.
    pub fn caller(&self, token: String) -> Caller {
        let wrap = || InterceptedService::new(self.channel.clone(), Bearer(token.clone()));
        Caller {
            organisations: OrganisationServiceClient::new(wrap()),
            systems: SystemServiceClient::new(wrap()),
            interfaces: InterfaceServiceClient::new(wrap()),
            agreements: AgreementServiceClient::new(wrap()),
            permits: PermitServiceClient::new(wrap()),
            exchanges: ExchangeServiceClient::new(wrap()),
            traffic: TrafficServiceClient::new(wrap()),
        }
    }

    /// What a mediating instance of the platform calls with.
    pub fn mediator(&self) -> Caller {
        self.caller(
            self.tokens
                .system(Uuid::from_u128(0xed), &[("integration_mediator", 0)]),
        )
    }
}

struct Served {
    own: SocketAddr,
    door: SocketAddr,
    log: Arc<Log>,
    shutdown: Shutdown,
    task: JoinHandle<Drained>,
}

/// Assembles it; what a process before it held of the folder of its journal is given back when its last connection is gone.
async fn assembled(mut parts: Parts, journal: Option<PathBuf>) -> Assembled {
    let Some(journal) = journal else {
        return assemble(parts).unwrap();
    };
    let lock = std::fs::File::create(journal.join("lock")).unwrap();
    for _ in 0..500 {
        if lock.try_lock().is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    drop(lock);
    parts.door.as_mut().unwrap().journal_folder = Some(journal);
    assemble(parts).unwrap()
}

/// The agency codes of the units, as the tree has them: the last one is provisional.
pub const AGENCIES: [(i32, &str, bool); 4] = [
    (PROVINCE, "H41", true),
    (CONSUMER, "H41.2", true),
    (PROVIDER, "H41.3", true),
    (STRANGER, "H41.4", false),
];

/// The unit tree as identity signs it, in this version, with these agency codes.
fn tree(version: i64, agencies: &[(i32, &'static str, bool)]) -> StillFeed {
    let unit = |unit_id: i32| {
        let carried = agencies.iter().find(|(id, ..)| *id == unit_id);
        identity::Unit {
            unit_id,
            code: format!("{unit_id}"),
            name: format!("Đơn vị {unit_id}"),
            kind: identity::UnitKind::Commune.into(),
            parent_id: if unit_id == PROVINCE { 0 } else { PROVINCE },
            effective_from: Some(jiff::civil::date(2025, 7, 1).into()),
            agency_code: carried.map(|(_, code, _)| (*code).to_owned()).unwrap_or_default(),
            agency_code_provisional: carried.is_some_and(|(.., issued)| !issued),
            ..identity::Unit::default()
        }
    };
    StillFeed(identity::TreeSnapshot {
        version,
        units: [PROVINCE, CONSUMER, PROVIDER, STRANGER].map(unit).into(),
        ..identity::TreeSnapshot::default()
    })
}

/// Identity's feed with one tree.
struct StillFeed(identity::TreeSnapshot);

#[async_trait]
impl Feed for StillFeed {
    async fn tree(&self, _known_version: i64) -> Result<identity::GetTreeSnapshotResponse, Fault> {
        use prost::Message as _;
        let snapshot = self.0.encode_to_vec();
        let keyring = Keyring::ephemeral();
        let key = keyring.signing(Purpose::TreeSigning);
        Ok(identity::GetTreeSnapshotResponse {
            signature: key.sign(&snapshot).unwrap(),
            key_id: key.id().to_owned(),
            snapshot,
            version: self.0.version,
            jwks: keyring.jwks(Purpose::TreeSigning).to_string(),
        })
    }

    async fn revocations(&self, _after: i64) -> Result<identity::ListRevocationsResponse, Fault> {
        Ok(identity::ListRevocationsResponse::default())
    }
}

/// Where the endpoints of tests lie: on this machine.
pub fn destinations() -> Arc<Destinations> {
    let section = EndpointsSection {
        this_machine: true,
        ..EndpointsSection::default()
    };
    section.open(&[]).unwrap()
}

async fn serve(
    pool: &Database,
    keyring: &Arc<Keyring>,
    clock: &ManualClock,
    (directory, tokens): (&Arc<Directory>, &Tokens),
    settings: Settings,
) -> Served {
    let ledger = LedgerConfig::default().open(SERVICE, pool, keyring).unwrap();
    let contract = Arc::clone(&CONTRACT);
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/policies/integration.toml");
    let policy = std::fs::read_to_string(policy).unwrap();
    let verifier = Arc::new(Verifier::new(
        vec![Issuer::from_config(tokens.issuer()).unwrap()],
        clock.shared(),
        VerifierConfig::default(),
    ));
    let auth = AuthLayer::new(
        Arc::clone(&verifier),
        Arc::new(Access::new(
            Policies::from_toml(&[("integration.toml", &policy)]).unwrap(),
            directory.tree(),
        )),
        Arc::new(Revocations::local(clock.shared())),
        contract.method_rules(),
        &[],
    );
    let section = DoorSection {
        server: settings.door,
        ..DoorSection::default()
    };
    let parts = Parts {
        database: pool.clone(),
        contract: Arc::clone(&contract),
        auth,
        directory: Arc::clone(directory),
        partners: egov_integration::partners::Connections::none(Arc::clone(keyring)),
        endpoints: destinations(),
        keyring: Arc::clone(keyring),
        events: EventParts::in_database(pool),
        log: Arc::clone(ledger.log()),
        door: Some(DoorGiven {
            verifier,
            revocations: Arc::new(Revocations::local(clock.shared())),
            certificate_required: settings.certificate_required,
            trust: None,
            limits: DoorLimits {
                standing_every: std::time::Duration::from_millis(20),
                ..section.limits()
            },
            xroad_instance: Some("VN".to_owned()),
            traffic_days: egov_integration::door::TRAFFIC_DAYS,
            journal_folder: None,
            most_calls: egov_integration::door::MOST_CALLS,
        }),
    };
    let journal = settings.journal.as_deref().map(|folder| folder.as_ref().to_owned());
    let assembled = assembled(parts, journal).await;
    let log = Arc::clone(ledger.log());
    let assembly = ledger.complete(assembled.assembly, &contract);
    let beside = section.beside(assembled.door.unwrap()).await.unwrap();
    let door = beside.listener.local_addr().unwrap();
    let listener = tokio::net::TcpListener::bind(settings.own.listen).await.unwrap();
    let own = listener.local_addr().unwrap();
    let server = Server::builder(settings.own, contract, clock.shared(), SystemIds::shared())
        .assembly(assembly)
        .beside(beside)
        .build()
        .unwrap();
    let shutdown = Shutdown::new();
    Served {
        own,
        door,
        log,
        task: tokio::spawn(server.serve(listener, shutdown.clone())),
        shutdown,
    }
}

pub fn request_id() -> String {
    SystemIds::default().uuid().to_string()
}

pub fn reason(status: &Status) -> String {
    egov_fault::reason_of(status).unwrap_or_default()
}

pub fn refusal(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

/// A side: its organisation, system and signing key.
pub struct Party {
    pub unit: i32,
    pub organisation: Organisation,
    pub system: System,
    pub key: Key,
}

/// A signer.
pub struct Key {
    pair: Ed25519KeyPair,
    pub kid: String,
}

impl Key {
    pub fn new(seed: u8) -> Self {
        Self {
            pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(),
            kid: format!("key-{seed}"),
        }
    }

    pub fn jwk(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{}"}}"#, self.kid)
    }

    /// A detached signature.
    pub fn sign(&self, payload: &str) -> String {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, self.kid));
        let body = URL_SAFE_NO_PAD.encode(payload);
        let signature = self.pair.sign(format!("{header}.{body}").as_bytes());
        format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

/// An organisation as a unit registers it.
pub fn organisation_of(unit: i32) -> RegisterOrganisationRequest {
    RegisterOrganisationRequest {
        request_id: request_id(),
        responsible_unit_id: unit,
        name: format!("Đơn vị {unit}"),
        member_class: "GOV".to_owned(),
        member_code: format!("H41.{unit}"),
        unit_id: unit,
        contact: "Văn phòng".to_owned(),
        agency_codes: vec![format!("H41.{unit}")],
    }
}

/// A side that is ready to agree.
pub async fn party(stack: &Stack, unit: i32) -> Party {
    let mut caller = stack.staff(PARTNER, unit);
    let organisation = caller
        .organisations
        .register_organisation(organisation_of(unit))
        .await
        .unwrap()
        .into_inner()
        .organisation
        .unwrap();
    let system = RegisterSystemRequest {
        request_id: request_id(),
        organisation_id: organisation.organisation_id.clone(),
        name: format!("Hệ thống {unit}"),
        client_id: format!("client-{unit}"),
        subsystem_code: "main".to_owned(),
    };
    let system = caller
        .systems
        .register_system(system)
        .await
        .unwrap()
        .into_inner()
        .system
        .unwrap();
    let key = Key::new(u8::try_from(unit).unwrap());
    let added = AddSigningKeyRequest {
        request_id: request_id(),
        system_id: system.system_id.clone(),
        etag: system.etag.clone(),
        public_jwk: key.jwk(),
        valid_from: None,
        valid_to: Some(timestamp(stack.now() + SignedDuration::from_hours(24 * 365))),
    };
    let system = caller
        .systems
        .add_signing_key(added)
        .await
        .unwrap()
        .into_inner()
        .system
        .unwrap();
    Party {
        unit,
        organisation,
        system,
        key,
    }
}

/// A service of a party that provides our own contract.
pub async fn service(stack: &Stack, of: &Party) -> Service {
    service_of(stack, of, "agreements", egov_proto::FILE_DESCRIPTOR_SET.to_vec()).await
}

/// A service of a party, its interface published.
pub async fn service_of(stack: &Stack, of: &Party, code: &str, document: Vec<u8>) -> Service {
    service_of_kind(stack, of, code, InterfaceKind::Grpc, document).await
}

/// The same with an OpenAPI interface.
pub async fn service_of_rest(stack: &Stack, of: &Party, code: &str, document: &serde_json::Value) -> Service {
    let document = serde_json::to_vec(document).unwrap();
    service_of_kind(stack, of, code, InterfaceKind::Openapi, document).await
}

async fn service_of_kind(stack: &Stack, of: &Party, code: &str, kind: InterfaceKind, document: Vec<u8>) -> Service {
    let mut caller = stack.staff(PARTNER, of.unit);
    let request = RegisterServiceRequest {
        request_id: request_id(),
        system_id: of.system.system_id.clone(),
        code: code.to_owned(),
        title: "Thỏa thuận".to_owned(),
        kind: kind.into(),
    };
    let service = caller
        .interfaces
        .register_service(request)
        .await
        .unwrap()
        .into_inner()
        .service
        .unwrap();
    let request = PublishInterfaceRequest {
        request_id: request_id(),
        service_id: service.service_id,
        etag: service.etag,
        document,
        accept_breaking: false,
        breaking_reason: String::new(),
    };
    let answer = caller.interfaces.publish_interface(request).await.unwrap().into_inner();
    answer.service.unwrap()
}

/// Terms for two methods, from now for a hundred days.
pub fn terms(stack: &Stack) -> AgreementTerms {
    let method = |name: &str, mask: &[&str]| MethodTerms {
        method: name.to_owned(),
        predicates: Vec::new(),
        mask: mask.iter().map(|path| (*path).to_owned()).collect(),
    };
    AgreementTerms {
        methods: vec![
            method(LIST, &["agreements.agreement_id", "agreements.state"]),
            method(GET, &[]),
        ],
        purpose: "đối chiếu hồ sơ".to_owned(),
        legal_basis: "NĐ 278/2025/NĐ-CP".to_owned(),
        allowed_purposes: vec!["case_handling".to_owned()],
        calls_per_minute: 600,
        valid_from: Some(timestamp(stack.now())),
        valid_to: Some(timestamp(stack.now() + SignedDuration::from_hours(24 * 100))),
        delegable: true,
        ..AgreementTerms::default()
    }
}

/// A draft between two parties, written by the consumer.
pub async fn draft(stack: &Stack, consumer: &Party, service: &Service, terms: AgreementTerms) -> Agreement {
    let request = CreateAgreementRequest {
        request_id: request_id(),
        consumer_system_id: consumer.system.system_id.clone(),
        service_id: service.service_id.clone(),
        terms: Some(terms),
    };
    let mut caller = stack.staff(PARTNER, consumer.unit);
    caller
        .agreements
        .create_agreement(request)
        .await
        .unwrap()
        .into_inner()
        .agreement
        .unwrap()
}

pub async fn offer(stack: &Stack, unit: i32, agreement: &Agreement) -> Result<Agreement, Status> {
    let request = OfferAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id.clone(),
        etag: agreement.etag.clone(),
    };
    let answer = stack.staff(PARTNER, unit).agreements.offer_agreement(request).await?;
    Ok(answer.into_inner().agreement.unwrap())
}

pub async fn sign(stack: &Stack, party: &Party, side: Side, agreement: &Agreement) -> Result<Agreement, Status> {
    let pending = agreement.pending.clone().unwrap();
    sign_with(stack, party.unit, side, agreement, party.key.sign(&pending.canonical)).await
}

pub async fn sign_with(
    stack: &Stack,
    unit: i32,
    side: Side,
    agreement: &Agreement,
    jws: String,
) -> Result<Agreement, Status> {
    let request = SignAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id.clone(),
        side: side.into(),
        agreement_version: agreement.pending.as_ref().unwrap().agreement_version,
        jws,
    };
    let answer = stack.staff(PARTNER, unit).agreements.sign_agreement(request).await?;
    Ok(answer.into_inner().agreement.unwrap())
}

/// Two parties with a service between them and an agreement in force.
pub struct Agreed {
    pub consumer: Party,
    pub provider: Party,
    pub service: Service,
    pub agreement: Agreement,
}

pub async fn agreed(stack: &Stack) -> Agreed {
    let (consumer, provider) = (party(stack, CONSUMER).await, party(stack, PROVIDER).await);
    let service = service(stack, &provider).await;
    let agreement = draft(stack, &consumer, &service, terms(stack)).await;
    let agreement = offer(stack, CONSUMER, &agreement).await.unwrap();
    let agreement = sign(stack, &consumer, Side::Consumer, &agreement).await.unwrap();
    let agreement = sign(stack, &provider, Side::Provider, &agreement).await.unwrap();
    Agreed {
        consumer,
        provider,
        service,
        agreement,
    }
}

/// The contracts with their compiled rules: the same for every test, and slow to compile in a debug build.
static CONTRACT: LazyLock<Arc<Contract>> =
    LazyLock::new(|| Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap()));

/// Compiles the contracts before anybody waits for it.
pub fn compile_contracts() {
    LazyLock::force(&CONTRACT);
}
