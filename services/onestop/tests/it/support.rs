//! A whole one-stop service on a free port, with a database, a clock and an issuer of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use egov_auth::{Access, Assurance, AuthLayer, Issuer, IssuerConfig, Policies, Verifier, VerifierConfig};
use egov_clock::{Ids as _, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_directory::{Directory, DirectoryConfig, Feed};
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};
use egov_onestop::domain::civil_decision::BookProcedures;
use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::import::{Packs, import};
use egov_onestop::payments::{NotConnected, PaymentOrders};
use egov_onestop::population::{self, PopulationQuestions};
use egov_onestop::press::{PressFault, SharedPress};
use egov_onestop::staffing::{HeldAt, Holders};
use egov_proto::egov::identity::v1 as identity;
use egov_proto::egov::onestop::v1::case_service_client::CaseServiceClient;
use egov_proto::egov::onestop::v1::civil_decision_service_client::CivilDecisionServiceClient;
use egov_proto::egov::onestop::v1::component_service_client::ComponentServiceClient;
use egov_proto::egov::onestop::v1::counter_service_client::CounterServiceClient;
use egov_proto::egov::onestop::v1::deadline_service_client::DeadlineServiceClient;
use egov_proto::egov::onestop::v1::definition_service_client::DefinitionServiceClient;
use egov_proto::egov::onestop::v1::fee_service_client::FeeServiceClient;
use egov_proto::egov::onestop::v1::file_service_client::FileServiceClient;
use egov_proto::egov::onestop::v1::linked_case_service_client::LinkedCaseServiceClient;
use egov_proto::egov::onestop::v1::paper_service_client::PaperServiceClient;
use egov_proto::egov::onestop::v1::procedure_service_client::ProcedureServiceClient;
use egov_proto::egov::onestop::v1::rating_service_client::RatingServiceClient;
use egov_proto::egov::onestop::v1::report_service_client::ReportServiceClient;
use egov_proto::egov::onestop::v1::result_service_client::ResultServiceClient;
use egov_proto::egov::onestop::v1::work_service_client::WorkServiceClient;
use egov_proto::egov::onestop::v1::{
    AcceptCaseRequest, AcceptCaseResponse, ApplicantKind, ApproveCaseRequest, AssignCaseRequest, Case, CaseComponent,
    CaseResult, Channel as FilingChannel, FinishUploadRequest, GetCaseRequest, Party, PutChunkRequest,
    StartUploadRequest, SubmitCaseRequest, SubmitCaseResponse,
};
use egov_proto::egov::records::v1::reading_service_client::ReadingServiceClient;
use egov_runtime::config::ServerConfig;
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Drained, Server, Shutdown};
use egov_testkit::{ManualClock, TestDatabase, Tokens};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

/// The province.
pub(crate) const PROVINCE: i32 = 1;
/// Phường Trường Vinh, 16690.
pub(crate) const TRUONG_VINH: i32 = 2;
/// Phường Thành Vinh, 16681: the neighbour.
pub(crate) const THANH_VINH: i32 = 3;
/// The one-stop centre of Trường Vinh.
pub(crate) const COUNTER: i32 = 4;

/// Who calls.
#[derive(Clone)]
pub(crate) struct Credentials {
    token: Option<String>,
    purpose: Option<&'static str>,
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.token {
            request
                .metadata_mut()
                .insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        if let Some(purpose) = self.purpose {
            request
                .metadata_mut()
                .insert("x-egov-purpose", purpose.parse().unwrap());
        }
        Ok(request)
    }
}

type Called = InterceptedService<Channel, Credentials>;

/// The clients of one caller.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) cases: CaseServiceClient<Called>,
    pub(crate) deadlines: DeadlineServiceClient<Called>,
    pub(crate) files: FileServiceClient<Called>,
    pub(crate) papers: PaperServiceClient<Called>,
    pub(crate) fees: FeeServiceClient<Called>,
    pub(crate) procedures: ProcedureServiceClient<Called>,
    pub(crate) definitions: DefinitionServiceClient<Called>,
    pub(crate) work: WorkServiceClient<Called>,
    pub(crate) readings: ReadingServiceClient<Called>,
    pub(crate) components: ComponentServiceClient<Called>,
    pub(crate) counters: CounterServiceClient<Called>,
    pub(crate) ratings: RatingServiceClient<Called>,
    pub(crate) reports: ReportServiceClient<Called>,
    pub(crate) results: ResultServiceClient<Called>,
    pub(crate) linked: LinkedCaseServiceClient<Called>,
    pub(crate) civil: CivilDecisionServiceClient<Called>,
}

/// Identity's feed, which changes when the test says so.
struct StillFeed {
    keyring: Arc<Keyring>,
    tree: Mutex<identity::TreeSnapshot>,
}

#[async_trait]
impl Feed for StillFeed {
    async fn tree(&self, known_version: i64) -> Result<identity::GetTreeSnapshotResponse, Fault> {
        let tree = self.tree.lock().unwrap().clone();
        let version = tree.version;
        if known_version >= version {
            return Ok(identity::GetTreeSnapshotResponse {
                version,
                ..Default::default()
            });
        }
        let snapshot = tree.encode_to_vec();
        let key = self.keyring.signing(Purpose::TreeSigning);
        Ok(identity::GetTreeSnapshotResponse {
            signature: key.sign(&snapshot).unwrap(),
            key_id: key.id().to_owned(),
            snapshot,
            version,
            jwks: self.keyring.jwks(Purpose::TreeSigning).to_string(),
        })
    }

    async fn revocations(&self, _after: i64) -> Result<identity::ListRevocationsResponse, Fault> {
        Ok(identity::ListRevocationsResponse::default())
    }
}

pub(crate) fn unit(
    id: i32,
    code: &str,
    name: &str,
    kind: identity::UnitKind,
    parent: i32,
    agency_code: &str,
) -> identity::Unit {
    identity::Unit {
        unit_id: id,
        code: code.to_owned(),
        name: name.to_owned(),
        kind: kind.into(),
        parent_id: parent,
        effective_from: Some(jiff::civil::date(2025, 7, 1).into()),
        effective_to: None,
        agency_code: agency_code.to_owned(),
        agency_code_provisional: !agency_code.is_empty() && agency_code != "H41",
        status: 1,
    }
}

/// A press without pages: what would be laid out, behind the mark of a PDF. The real one has its own tests.
#[expect(clippy::unnecessary_wraps, reason = "as a press answers")]
fn plain_print(content: &[u8]) -> Result<Vec<u8>, PressFault> {
    Ok([b"%PDF-plain\n", content].concat())
}

/// A running service.
pub(crate) struct Stack {
    pub(crate) address: SocketAddr,
    pub(crate) clock: ManualClock,
    pub(crate) tokens: Tokens,
    pub(crate) database: TestDatabase,
    pub(crate) pool: Database,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) directory: Arc<Directory>,
    feed: StillFeed,
    shutdown: Shutdown,
    served: Mutex<Option<JoinHandle<Drained>>>,
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

/// The folder of a pack.
pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// The files of a folder with this ending, by name relative to it, one level deep.
fn texts(folder: &Path, endings: &[&str]) -> std::collections::BTreeMap<String, String> {
    let mut found = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name == "notices" {
            for (inner, text) in texts(&path, endings) {
                found.insert(format!("notices/{inner}"), text);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    found
}

/// The packs that the product ships, with the demonstration's decisions.
pub(crate) fn packs() -> Packs {
    let folder = deploy().join("packs");
    Packs {
        calendar: texts(&folder.join("calendar"), &[".toml", ".csv"]),
        transitions: texts(&folder.join("transitions"), &[".toml"]),
        procedures: texts(&folder.join("procedures"), &[".toml"]),
        decisions: texts(&folder.join("procedures/decisions"), &[".toml"]),
        catalogue: texts(&folder.join("catalogue"), &[".toml", ".csv"]),
        deadlines: texts(&folder.join("deadlines"), &[".toml"]),
        centre: texts(&folder.join("one-stop"), &[".toml"]),
        fees: texts(&folder.join("fees"), &[".toml"]),
        papers: texts(&folder.join("papers"), &[".toml"]),
        linked: texts(&folder.join("linked"), &[".toml"]),
        linked_decisions: texts(&folder.join("linked/decisions"), &[".toml"]),
    }
}

/// Imports packs as `cargo egov up` does, by a connection of its own.
async fn publish(database: &TestDatabase, given: &Packs, profile: Profile) {
    let pool = Database::connect(
        &DatabaseConfig::new(database.app_url.clone()).test_profile(),
        Arc::new(Keyring::ephemeral()),
        egov_testkit::clock().shared(),
        SystemIds::shared(),
    )
    .await
    .unwrap();
    import(&pool, given, profile, |_| {}).await.unwrap();
    pool.close().await;
}

/// A database into which the packs that the product ships were imported. That takes longer than most tests, so it is done once a process.
pub(crate) async fn shipped(profile: Profile) -> TestDatabase {
    let what = format!("packs of the product, {profile:?}");
    egov_testkit::prepared_database("onestop", &egov_onestop::MIGRATOR, &what, async |database| {
        publish(database, &packs(), profile).await;
    })
    .await
}

/// The contracts with their compiled rules: the same for every test.
static CONTRACT: LazyLock<Arc<Contract>> =
    LazyLock::new(|| Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap()));

/// Every role is held at every unit of a test's tree.
struct EverybodyEverywhere;

#[async_trait]
impl Holders for EverybodyEverywhere {
    async fn held(&self, roles: &BTreeSet<String>, _token: &str) -> BTreeMap<String, HeldAt> {
        let everywhere = HeldAt {
            seen: vec![(PROVINCE, true)],
            units: (PROVINCE..100).collect(),
        };
        roles.iter().map(|role| (role.clone(), everywhere.clone())).collect()
    }
}

/// What stands beside the service under test: who is asked for roles, where orders are made, who prints.
pub(crate) struct Neighbours {
    pub(crate) holders: Arc<dyn Holders>,
    pub(crate) payments: Arc<dyn PaymentOrders>,
    pub(crate) population: Arc<dyn PopulationQuestions>,
    pub(crate) press: Option<SharedPress>,
    pub(crate) books: BookProcedures,
}

impl Default for Neighbours {
    fn default() -> Self {
        Self {
            holders: Arc::new(EverybodyEverywhere),
            payments: Arc::new(NotConnected),
            population: Arc::new(population::NotConnected),
            press: Some(Arc::new(plain_print)),
            books: BookProcedures::default(),
        }
    }
}

/// A service over a database that there is, put together on a free port, and not serving yet: its jobs have not begun.
pub(crate) struct Process {
    pub(crate) server: Server,
    pub(crate) listener: TcpListener,
    pool: Database,
    directory: Arc<Directory>,
    feed: StillFeed,
}

impl Process {
    pub(crate) async fn over(
        url: &str,
        keyring: Arc<Keyring>,
        clock: &ManualClock,
        issuer: IssuerConfig,
        profile: Profile,
        files: Arc<dyn egov_files::FileStore>,
        neighbours: Neighbours,
    ) -> Self {
        let pool = Database::connect(
            &DatabaseConfig::new(url).test_profile().max_connections(20),
            Arc::clone(&keyring),
            clock.shared(),
            SystemIds::shared(),
        )
        .await
        .unwrap();
        let directory = Arc::new(Directory::open(DirectoryConfig::default(), clock.shared()).unwrap());
        let feed = StillFeed {
            keyring: Arc::clone(&keyring),
            tree: Mutex::new(identity::TreeSnapshot {
                version: 1,
                successions: Vec::new(),
                units: vec![
                    unit(PROVINCE, "40", "Tỉnh Nghệ An", identity::UnitKind::Province, 0, "H41"),
                    unit(
                        TRUONG_VINH,
                        "16690",
                        "Phường Trường Vinh",
                        identity::UnitKind::Ward,
                        PROVINCE,
                        "H41.201",
                    ),
                    unit(
                        THANH_VINH,
                        "16681",
                        "Phường Thành Vinh",
                        identity::UnitKind::Ward,
                        PROVINCE,
                        "H41.202",
                    ),
                    unit(
                        COUNTER,
                        "16690.PVHCC",
                        "Trung tâm Phục vụ hành chính công",
                        identity::UnitKind::CommuneDepartment,
                        TRUONG_VINH,
                        "",
                    ),
                ],
            }),
        };
        directory.refresh(&feed).await.unwrap();

        let contract = Arc::clone(&CONTRACT);
        let policy = |name: &str| std::fs::read_to_string(deploy().join("policies").join(name)).unwrap();
        let texts = ["onestop.toml", "purposes.toml", "records.toml"].map(|name| (name, policy(name)));
        let texts = texts.each_ref().map(|(name, text)| (*name, text.as_str()));
        let access = Arc::new(Access::new(Policies::from_toml(&texts).unwrap(), directory.tree()));
        let auth = AuthLayer::new(
            Arc::new(Verifier::new(
                vec![Issuer::from_config(issuer).unwrap()],
                clock.shared(),
                VerifierConfig::default(),
            )),
            Arc::clone(&access),
            directory.revocations(),
            contract.method_rules(),
            &["/grpc.health.", "/grpc.reflection."],
        );
        let readings = egov_readings::service(egov_readings::Parts {
            databases: vec![("onestop", pool.clone())],
            directory: Arc::clone(&directory),
            access,
            clock: clock.shared(),
            contract: Arc::clone(&contract),
        })
        .unwrap();
        let assembly = egov_onestop::assemble(egov_onestop::Parts {
            database: pool.clone(),
            keyring: Arc::clone(&keyring),
            directory: Arc::clone(&directory),
            files,
            clock: clock.shared(),
            ids: SystemIds::shared(),
            contract: Arc::clone(&contract),
            auth,
            profile,
            holders: neighbours.holders,
            press: neighbours.press,
            payments: neighbours.payments,
            population: neighbours.population,
            books: neighbours.books,
        })
        .await
        .unwrap()
        .service(readings);
        let server = Server::builder(ServerConfig::default(), contract, clock.shared(), SystemIds::shared())
            .assembly(assembly)
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            server,
            listener,
            pool,
            directory,
            feed,
        }
    }
}

impl Stack {
    /// Starts a service over a migrated database with the demonstration's packs.
    pub(crate) async fn start() -> Self {
        Self::with_profiles(Profile::Demo, Profile::Demo).await
    }

    /// The same, with the packs published for one profile and the service run under another.
    pub(crate) async fn with_profiles(published: Profile, profile: Profile) -> Self {
        Self::assembled(published, profile, egov_files::in_memory()).await
    }

    /// A service for the demonstration that asks these who holds which role where.
    pub(crate) async fn with_holders(holders: Arc<dyn Holders>) -> Self {
        Self::beside(Neighbours {
            holders,
            ..Neighbours::default()
        })
        .await
    }

    /// A service for the demonstration that makes orders to pay here.
    pub(crate) async fn with_payments(payments: Arc<dyn PaymentOrders>) -> Self {
        Self::beside(Neighbours {
            payments,
            ..Neighbours::default()
        })
        .await
    }

    /// A service for the demonstration that asks this population database.
    pub(crate) async fn with_population(population: Arc<dyn PopulationQuestions>) -> Self {
        Self::beside(Neighbours {
            population,
            ..Neighbours::default()
        })
        .await
    }

    /// A service for the demonstration whose registrations of births go into a book of civil status.
    pub(crate) async fn with_books() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/civil-registry/cases");
        Self::beside(Neighbours {
            books: BookProcedures::read(&folder).unwrap(),
            ..Neighbours::default()
        })
        .await
    }

    /// The same over a file store of the test's.
    pub(crate) async fn with_files(files: Arc<dyn egov_files::FileStore>) -> Self {
        Self::assembled(Profile::Demo, Profile::Demo, files).await
    }

    async fn assembled(published: Profile, profile: Profile, files: Arc<dyn egov_files::FileStore>) -> Self {
        Self::assembled_with(published, profile, files, Neighbours::default()).await
    }

    /// A service with this press, or with none.
    pub(crate) async fn with_press(press: Option<SharedPress>) -> Self {
        Self::beside(Neighbours {
            press,
            ..Neighbours::default()
        })
        .await
    }

    async fn beside(neighbours: Neighbours) -> Self {
        Self::assembled_with(Profile::Demo, Profile::Demo, egov_files::in_memory(), neighbours).await
    }

    async fn assembled_with(
        published: Profile,
        profile: Profile,
        files: Arc<dyn egov_files::FileStore>,
        neighbours: Neighbours,
    ) -> Self {
        let keyring = Arc::new(Keyring::ephemeral());
        Self::assembled_from(None, keyring, published, profile, files, neighbours).await
    }

    /// A service for the demonstration over the shipped packs and these, each in the place of a shipped one of its name.
    pub(crate) async fn with_packs(besides: Packs) -> Self {
        Self::with_keyring(besides, Arc::new(Keyring::ephemeral())).await
    }

    /// The same with a keyring in this folder, which other processes open as well.
    pub(crate) async fn on_disk(besides: Packs, keys: &Path) -> Self {
        let keyring = Keyring::create_missing(keys, &egov_testkit::clock()).unwrap();
        Self::with_keyring(besides, Arc::new(keyring)).await
    }

    async fn with_keyring(besides: Packs, keyring: Arc<Keyring>) -> Self {
        let files = egov_files::in_memory();
        Self::assembled_from(
            Some(besides),
            keyring,
            Profile::Demo,
            Profile::Demo,
            files,
            Neighbours::default(),
        )
        .await
    }

    async fn assembled_from(
        besides: Option<Packs>,
        keyring: Arc<Keyring>,
        published: Profile,
        profile: Profile,
        files: Arc<dyn egov_files::FileStore>,
        neighbours: Neighbours,
    ) -> Self {
        let database = shipped(published).await;
        if let Some(besides) = besides {
            publish(&database, &besides, published).await;
        }
        let clock = egov_testkit::clock();
        let tokens = Tokens::by(clock.shared());
        let process = Process::over(
            &database.app_url,
            Arc::clone(&keyring),
            &clock,
            tokens.issuer(),
            profile,
            files,
            neighbours,
        )
        .await;
        let address = process.listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let served = tokio::spawn(process.server.serve(process.listener, shutdown.clone()));
        Self {
            address,
            clock,
            tokens,
            database,
            pool: process.pool,
            keyring,
            directory: process.directory,
            feed: process.feed,
            shutdown,
            served: Mutex::new(Some(served)),
        }
    }

    /// Takes the service down with its jobs, and waits until they are gone; its database stays.
    pub(crate) async fn take_down(&self) {
        self.shutdown.abort();
        let served = self.served.lock().unwrap().take();
        if let Some(served) = served {
            served.await.unwrap();
        }
    }

    /// Lets time pass, and identity's feed answer at the new time.
    pub(crate) async fn advance(&self, by: jiff::SignedDuration) {
        self.clock.advance(by);
        self.directory.refresh(&self.feed).await.unwrap();
    }

    /// Changes the tree: units close on a day, others open on it, and successors are designated (0: none).
    pub(crate) async fn reorganise(&self, on: jiff::civil::Date, closed: &[(i32, i32)], opened: Vec<identity::Unit>) {
        {
            let mut tree = self.feed.tree.lock().unwrap();
            tree.version += 1;
            for (unit_id, successor_id) in closed {
                let unit = tree.units.iter_mut().find(|unit| unit.unit_id == *unit_id).unwrap();
                unit.effective_to = Some(on.into());
                tree.successions.push(identity::Succession {
                    unit_id: *unit_id,
                    successor_id: *successor_id,
                    effective_date: Some(on.into()),
                    ..Default::default()
                });
            }
            tree.units.extend(opened);
        }
        self.directory.refresh(&self.feed).await.unwrap();
    }

    pub(crate) fn client(&self, token: Option<String>, purpose: Option<&'static str>) -> Client {
        let channel = Endpoint::from_shared(format!("http://{}", self.address))
            .unwrap()
            .connect_lazy();
        let credentials = Credentials { token, purpose };
        Client {
            cases: CaseServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            deadlines: DeadlineServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            papers: PaperServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            files: FileServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            fees: FeeServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            procedures: ProcedureServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            definitions: DefinitionServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            work: WorkServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            readings: ReadingServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            components: ComponentServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            counters: CounterServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            ratings: RatingServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            linked: LinkedCaseServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            civil: CivilDecisionServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            results: ResultServiceClient::with_interceptor(channel.clone(), credentials.clone()),
            reports: ReportServiceClient::with_interceptor(channel, credentials),
        }
    }

    /// A member of staff with one role at one unit.
    pub(crate) fn staff(&self, role: &str, unit: i32) -> Client {
        let subject = Uuid::from_u128(0x5000_0000 + u128::from(unit.unsigned_abs()) * 100 + role.len() as u128);
        self.client(Some(self.tokens.staff(subject, &[(role, unit)])), Some("case_handling"))
    }

    /// The national portal on behalf of a citizen with an eID of level 2.
    pub(crate) fn portal(&self, citizen: Uuid) -> Client {
        self.client(Some(self.portal_token(citizen)), Some("own_case"))
    }

    /// The token with which the portal acts for a citizen.
    pub(crate) fn portal_token(&self, citizen: Uuid) -> String {
        let system = Uuid::from_u128(0x900);
        self.tokens
            .on_behalf(system, &[("national_portal", 0)], citizen, Assurance::Substantial)
    }

    /// Nobody: no token.
    pub(crate) fn public(&self) -> Client {
        self.client(None, None)
    }
}

/// A citizen who files.
pub(crate) fn citizen() -> Uuid {
    Uuid::from_u128(0xC1)
}

/// A new request id.
pub(crate) fn request_id() -> String {
    SystemIds::shared().uuid().to_string()
}

/// The owner of a case.
pub(crate) fn owner(name: &str) -> Party {
    Party {
        kind: ApplicantKind::Citizen.into(),
        full_name: name.to_owned(),
        personal_number: "040190000123".to_owned(),
        phone: "0912 345 678".to_owned(),
        email: "cong.dan@example.vn".to_owned(),
        address: "Số 1, đường Lê Mao".to_owned(),
        date_of_birth: None,
        organisation_number: String::new(),
    }
}

/// A birth registration for Trường Vinh, online, with what the pack requires for it.
pub(crate) fn birth_registration() -> SubmitCaseRequest {
    SubmitCaseRequest {
        request_id: request_id(),
        procedure_code: "1.001193".to_owned(),
        competent_unit_code: "16690".to_owned(),
        channel: FilingChannel::Online.into(),
        owner: Some(owner("Nguyễn Thị Hường")),
        components: ["mau_dien_tu", "giay_chung_sinh"].map(component).to_vec(),
        subject: "Đăng ký khai sinh cho con".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn component(code: &str) -> CaseComponent {
    CaseComponent {
        component_code: code.to_owned(),
        originals: 1,
        ..Default::default()
    }
}

/// Files the birth registration as the portal.
pub(crate) async fn submit(stack: &Stack) -> SubmitCaseResponse {
    stack
        .portal(citizen())
        .cases
        .submit_case(birth_registration())
        .await
        .unwrap()
        .into_inner()
}

pub(crate) async fn accept(stack: &Stack, case: &Case) -> AcceptCaseResponse {
    let request = AcceptCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
    };
    stack
        .staff("one_stop_clerk", TRUONG_VINH)
        .cases
        .accept_case(request)
        .await
        .unwrap()
        .into_inner()
}

pub(crate) async fn assign(stack: &Stack, case: &Case) -> Case {
    let request = AssignCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        assignee_id: Uuid::from_u128(0xA1).to_string(),
        reason: String::new(),
    };
    stack
        .staff("unit_leader", TRUONG_VINH)
        .cases
        .assign_case(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap()
}

/// A case in state 4.
pub(crate) async fn processing(stack: &Stack) -> Case {
    let submitted = submit(stack).await.case.unwrap();
    let accepted = accept(stack, &submitted).await.case.unwrap();
    assign(stack, &accepted).await
}

pub(crate) async fn approve(stack: &Stack, case: &Case) -> Case {
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let file_id = upload(&leader, PDF).await;
    let request = ApproveCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        results: vec![CaseResult {
            result_code: "KQ.G15.000031".to_owned(),
            number: "01/2026".to_owned(),
            file_id,
            ..Default::default()
        }],
        reason: String::new(),
    };
    leader
        .clone()
        .cases
        .approve_case(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap()
}

pub(crate) async fn get(client: &Client, case_id: &str) -> Result<Case, Status> {
    let request = GetCaseRequest {
        case_id: case_id.to_owned(),
        with_particulars: false,
    };
    client
        .clone()
        .cases
        .get_case(request)
        .await
        .map(|answer| answer.into_inner().case.unwrap())
}

/// The reason of a refusal.
#[track_caller]
pub(crate) fn reason(status: &Status) -> String {
    egov_fault::reason_of(status).unwrap_or_else(|| panic!("a refusal without a reason: {status:?}"))
}

/// The smallest document that is recognised as a PDF.
pub(crate) const PDF: &[u8] = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";

/// Uploads a file in two parts and gives its id.
pub(crate) async fn upload(client: &Client, content: &[u8]) -> String {
    let mut files = client.clone().files;
    let sha256 = egov_files::Digest::of(content).to_string();
    let start = StartUploadRequest {
        request_id: request_id(),
        name: "giấy khai sinh.pdf".to_owned(),
        size: content.len() as i64,
        sha256,
    };
    let upload_id = files.start_upload(start).await.unwrap().into_inner().upload_id;
    let (first, second) = content.split_at(content.len() / 2);
    for (offset, part) in [(0, first), (first.len(), second)] {
        let chunk = PutChunkRequest {
            upload_id: upload_id.clone(),
            offset: offset as i64,
            data: part.to_vec().into(),
            sha256: egov_files::Digest::of(part).to_string(),
        };
        files.put_chunk(chunk).await.unwrap();
    }
    let finish = FinishUploadRequest {
        request_id: request_id(),
        upload_id,
    };
    files
        .finish_upload(finish)
        .await
        .unwrap()
        .into_inner()
        .file
        .unwrap()
        .file_id
}
