//! A whole civil registry on a free port, with a database, a clock and an issuer of its own.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use egov_auth::{Access, AuthLayer, Issuer, IssuerConfig, Policies, Verifier, VerifierConfig};
use egov_civil_registry::cases::{self, CaseDecisions};
use egov_civil_registry::law::Law;
use egov_civil_registry::population::NotConnected;
use egov_civil_registry::press::PressFault;
use egov_civil_registry::{MIGRATOR, Parts, SERVICE, assemble};
use egov_clock::{Ids as _, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_directory::{Directory, DirectoryConfig, Feed};
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::civil_registry::v1::book_service_client::BookServiceClient;
use egov_proto::egov::civil_registry::v1::digitisation_service_client::DigitisationServiceClient;
use egov_proto::egov::civil_registry::v1::disclosure_service_client::DisclosureServiceClient;
use egov_proto::egov::civil_registry::v1::duplicate_service_client::DuplicateServiceClient;
use egov_proto::egov::civil_registry::v1::entry_service_client::EntryServiceClient;
use egov_proto::egov::civil_registry::v1::paper_service_client::PaperServiceClient;
use egov_proto::egov::civil_registry::v1::pending_decision_service_client::PendingDecisionServiceClient;
use egov_proto::egov::civil_registry::v1::person_service_client::PersonServiceClient;
use egov_proto::egov::civil_registry::v1::personal_number_service_client::PersonalNumberServiceClient;
use egov_proto::egov::civil_registry::v1::statistics_service_client::StatisticsServiceClient;
use egov_proto::egov::civil_registry::v1::*;
use egov_proto::egov::identity::v1 as identity;
use egov_proto::google::r#type::Date;
use egov_runtime::config::ServerConfig;
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Server, Shutdown};
use egov_testkit::{ManualClock, TestDatabase, Tokens};
use egov_transparency::{LedgerConfig, Log, Sequencer};
use jiff::SignedDuration;
use prost::Message as _;
use tokio::net::TcpListener;
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
/// The one-stop centre of Trường Vinh: a unit that keeps no books.
pub(crate) const COUNTER: i32 = 4;

pub(crate) const OFFICER: &str = "civil_status_officer";
pub(crate) const CHAIR: &str = "civil_status_chair";
pub(crate) const READER: &str = "civil_status_reader";
pub(crate) const GUARDED_READER: &str = "civil_status_guarded_reader";
pub(crate) const INQUIRER: &str = "civil_status_inquirer";
pub(crate) const DIGITISER: &str = "civil_status_digitiser";

/// For what the registry is read.
pub(crate) const PURPOSE: &str = "civil_status_registration";

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
    pub(crate) books: BookServiceClient<Called>,
    pub(crate) digitisation: DigitisationServiceClient<Called>,
    pub(crate) disclosure: DisclosureServiceClient<Called>,
    pub(crate) duplicates: DuplicateServiceClient<Called>,
    pub(crate) entries: EntryServiceClient<Called>,
    pub(crate) papers: PaperServiceClient<Called>,
    pub(crate) decisions: PendingDecisionServiceClient<Called>,
    pub(crate) persons: PersonServiceClient<Called>,
    pub(crate) numbers: PersonalNumberServiceClient<Called>,
    pub(crate) statistics: StatisticsServiceClient<Called>,
}

impl Client {
    /// Opens the book of births of a year.
    pub(crate) async fn open(&mut self, unit_id: i32, year: i32) -> Result<Book, Status> {
        let answer = self.books.open_book(opening(unit_id, year)).await?;
        Ok(answer.into_inner().book.unwrap())
    }

    pub(crate) async fn register(&mut self, request: RegisterBirthRequest) -> Result<Entry, Status> {
        let answer = self.entries.register_birth(request).await?;
        Ok(answer.into_inner().entry.unwrap())
    }

    /// Opens the book of deaths of a year.
    pub(crate) async fn open_deaths(&mut self, unit_id: i32, year: i32) -> Result<Book, Status> {
        let request = OpenBookRequest {
            event: EventKind::Death.into(),
            ..opening(unit_id, year)
        };
        Ok(self.books.open_book(request).await?.into_inner().book.unwrap())
    }

    pub(crate) async fn register_death(&mut self, request: RegisterDeathRequest) -> Result<Entry, Status> {
        let answer = self.entries.register_death(request).await?;
        Ok(answer.into_inner().entry.unwrap())
    }

    /// Opens the book of changes of a year.
    pub(crate) async fn open_changes(&mut self, unit_id: i32, year: i32) -> Result<Book, Status> {
        let request = OpenBookRequest {
            event: EventKind::Change.into(),
            ..opening(unit_id, year)
        };
        Ok(self.books.open_book(request).await?.into_inner().book.unwrap())
    }

    pub(crate) async fn correct(&mut self, request: CorrectEntryRequest) -> Result<Entry, Status> {
        let answer = self.entries.correct_entry(request).await?;
        Ok(answer.into_inner().entry.unwrap())
    }

    pub(crate) async fn entry(&mut self, entry_id: &str) -> Result<Entry, Status> {
        let request = GetEntryRequest {
            entry_id: entry_id.to_owned(),
            ..Default::default()
        };
        Ok(self.entries.get_entry(request).await?.into_inner().entry.unwrap())
    }

    /// Opens the book of marriages of a year.
    pub(crate) async fn open_marriages(&mut self, unit_id: i32, year: i32) -> Result<Book, Status> {
        let request = OpenBookRequest {
            event: EventKind::Marriage.into(),
            ..opening(unit_id, year)
        };
        Ok(self.books.open_book(request).await?.into_inner().book.unwrap())
    }

    pub(crate) async fn marry(&mut self, request: RegisterMarriageRequest) -> Result<Entry, Status> {
        let answer = self.entries.register_marriage(request).await?;
        Ok(answer.into_inner().entry.unwrap())
    }

    pub(crate) async fn issue(&mut self, request: IssuePaperRequest) -> Result<IssuedPaper, Status> {
        Ok(self.papers.issue_paper(request).await?.into_inner().paper.unwrap())
    }

    pub(crate) async fn paper(&mut self, paper_id: &str) -> Result<GetPaperResponse, Status> {
        let request = GetPaperRequest {
            paper_id: paper_id.to_owned(),
        };
        Ok(self.papers.get_paper(request).await?.into_inner())
    }

    pub(crate) async fn annotate(&mut self, request: AnnotateEntryRequest) -> Result<Annotation, Status> {
        let answer = self.entries.annotate_entry(request).await?;
        Ok(answer.into_inner().annotation.unwrap())
    }

    pub(crate) async fn book(&mut self, book_id: &str) -> Result<Book, Status> {
        let request = GetBookRequest {
            book_id: book_id.to_owned(),
        };
        Ok(self.books.get_book(request).await?.into_inner().book.unwrap())
    }

    pub(crate) async fn close(&mut self, book: &Book) -> Result<Book, Status> {
        let request = CloseBookRequest {
            request_id: request_id(),
            book_id: book.book_id.clone(),
            etag: book.etag.clone(),
        };
        Ok(self.books.close_book(request).await?.into_inner().book.unwrap())
    }
}

/// Identity's feed, which does not change.
struct StillFeed {
    keyring: Arc<Keyring>,
    tree: identity::TreeSnapshot,
}

#[async_trait]
impl Feed for StillFeed {
    async fn tree(&self, known_version: i64) -> Result<identity::GetTreeSnapshotResponse, Fault> {
        let version = self.tree.version;
        if known_version >= version {
            return Ok(identity::GetTreeSnapshotResponse {
                version,
                ..Default::default()
            });
        }
        let snapshot = self.tree.encode_to_vec();
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

fn unit(id: i32, code: &str, name: &str, kind: identity::UnitKind, parent: i32) -> identity::Unit {
    identity::Unit {
        unit_id: id,
        code: code.to_owned(),
        name: name.to_owned(),
        kind: kind.into(),
        parent_id: parent,
        effective_from: Some(jiff::civil::date(2025, 7, 1).into()),
        effective_to: None,
        agency_code: String::new(),
        agency_code_provisional: false,
        status: 1,
    }
}

fn units() -> Vec<identity::Unit> {
    use identity::UnitKind::{CommuneDepartment, Province, Ward};
    vec![
        unit(PROVINCE, "40", "Tỉnh Nghệ An", Province, 0),
        identity::Unit {
            agency_code: "H41.201".to_owned(),
            ..unit(TRUONG_VINH, "16690", "Phường Trường Vinh", Ward, PROVINCE)
        },
        unit(THANH_VINH, "16681", "Phường Thành Vinh", Ward, PROVINCE),
        unit(
            COUNTER,
            "16690.PVHCC",
            "Trung tâm Phục vụ hành chính công",
            CommuneDepartment,
            TRUONG_VINH,
        ),
    ]
}

pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// The contracts with their compiled rules: the same for every test.
static CONTRACT: LazyLock<Arc<Contract>> =
    LazyLock::new(|| Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap()));

/// A press without pages: what would be laid out, behind the mark of a PDF. The real one has its own tests.
#[expect(clippy::unnecessary_wraps, reason = "as a press answers")]
fn press(content: &[u8]) -> Result<Vec<u8>, PressFault> {
    Ok([PDF, content].concat())
}

/// What stands before the content of a paper that the press of these tests printed.
pub(crate) const PDF: &[u8] = b"%PDF-";

/// A service over a database that there is, put together on a free port, and not serving yet.
pub(crate) struct Process {
    pub(crate) server: Server,
    pub(crate) listener: TcpListener,
    pool: Database,
    log: Arc<Log>,
    directory: Arc<Directory>,
    feed: StillFeed,
}

impl Process {
    pub(crate) async fn over(url: &str, keyring: Arc<Keyring>, clock: &ManualClock, issuer: IssuerConfig) -> Self {
        Self::taking(Arc::new(cases::NotConnected), url, keyring, clock, issuer).await
    }

    /// The same, which takes the decisions of this one-stop.
    pub(crate) async fn taking(
        cases: Arc<dyn CaseDecisions>,
        url: &str,
        keyring: Arc<Keyring>,
        clock: &ManualClock,
        issuer: IssuerConfig,
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
        let ledger = LedgerConfig::default().open(SERVICE, &pool, &keyring).unwrap();
        let log = Arc::clone(ledger.log());
        let feed = StillFeed {
            keyring,
            tree: identity::TreeSnapshot {
                version: 1,
                successions: Vec::new(),
                units: units(),
            },
        };
        directory.refresh(&feed).await.unwrap();
        let contract = Arc::clone(&CONTRACT);
        let policy = |name: &str| std::fs::read_to_string(deploy().join("policies").join(name)).unwrap();
        let texts = ["civil_registry.toml", "purposes.toml", "records.toml"].map(|name| (name, policy(name)));
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
            &[],
        );
        let assembly = assemble(Parts {
            database: pool.clone(),
            directory: Arc::clone(&directory),
            clock: clock.shared(),
            contract: Arc::clone(&contract),
            auth,
            law: Law::read(&deploy().join("packs")).unwrap(),
            log: Arc::clone(&log),
            press: Some(Arc::new(press)),
            numbers: Arc::new(NotConnected),
            access,
            cases,
        });
        let server = Server::builder(ServerConfig::default(), contract, clock.shared(), SystemIds::shared())
            .assembly(assembly)
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            server,
            listener,
            pool,
            log,
            directory,
            feed,
        }
    }
}

/// A running service.
pub(crate) struct Stack {
    pub(crate) address: SocketAddr,
    pub(crate) clock: ManualClock,
    pub(crate) tokens: Tokens,
    pub(crate) database: TestDatabase,
    pub(crate) pool: Database,
    pub(crate) log: Arc<Log>,
    pub(crate) directory: Arc<Directory>,
    feed: StillFeed,
    shutdown: Shutdown,
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

impl Stack {
    pub(crate) async fn start() -> Self {
        Self::with_keyring(Arc::new(Keyring::ephemeral())).await
    }

    /// The same with a keyring in this folder, which other processes open as well.
    pub(crate) async fn on_disk(keys: &Path) -> Self {
        let keyring = Keyring::create_missing(keys, &egov_testkit::clock()).unwrap();
        Self::with_keyring(Arc::new(keyring)).await
    }

    /// A service that takes the decisions of this one-stop.
    pub(crate) async fn taking(cases: Arc<dyn CaseDecisions>, keyring: Arc<Keyring>) -> Self {
        Self::put_together(keyring, cases).await
    }

    async fn with_keyring(keyring: Arc<Keyring>) -> Self {
        Self::put_together(keyring, Arc::new(cases::NotConnected)).await
    }

    async fn put_together(keyring: Arc<Keyring>, cases: Arc<dyn CaseDecisions>) -> Self {
        let database = egov_testkit::database(SERVICE, &MIGRATOR).await;
        let clock = egov_testkit::clock();
        let tokens = Tokens::by(clock.shared());
        let process = Process::taking(cases, &database.app_url, keyring, &clock, tokens.issuer()).await;
        let address = process.listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        tokio::spawn(process.server.serve(process.listener, shutdown.clone()));
        Self {
            address,
            clock,
            tokens,
            database,
            pool: process.pool,
            log: process.log,
            directory: process.directory,
            feed: process.feed,
            shutdown,
        }
    }

    /// Lets time pass, and identity's feed answer at the new time.
    pub(crate) async fn advance(&self, by: SignedDuration) {
        self.clock.advance(by);
        self.directory.refresh(&self.feed).await.unwrap();
    }

    pub(crate) fn client(&self, token: Option<String>, purpose: Option<&'static str>) -> Client {
        client_of(self.address, token, purpose)
    }

    /// The token of a member of staff with one role at one unit.
    pub(crate) fn token(&self, role: &str, unit: i32) -> String {
        let subject = Uuid::from_u128(0x5000_0000 + u128::from(unit.unsigned_abs()) * 100 + role.len() as u128);
        self.tokens.staff(subject, &[(role, unit)])
    }

    /// A member of staff with one role at one unit.
    pub(crate) fn staff(&self, role: &str, unit: i32) -> Client {
        self.client(Some(self.token(role, unit)), Some(PURPOSE))
    }

    /// Gives every leaf that waits its place in the ledger, as the job of a process does.
    pub(crate) async fn sequence(&self) {
        let sequencer = Sequencer::new(Arc::clone(&self.log));
        let lease = sequencer.acquire().await.unwrap().expect("nobody else sequences");
        let mut head = sequencer.head(&lease).await.unwrap();
        while sequencer.round(&lease, &mut head).await.unwrap() > 0 {}
        lease.release().await.unwrap();
    }

    /// The number that a statement of the superuser counts.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        let mut superuser = self.database.connect_as_superuser().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut superuser).await.unwrap()
    }
}

/// The clients of a caller to a port.
pub(crate) fn client_of(address: SocketAddr, token: Option<String>, purpose: Option<&'static str>) -> Client {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    let credentials = Credentials { token, purpose };
    Client {
        books: BookServiceClient::with_interceptor(channel.clone(), credentials.clone()),
        digitisation: DigitisationServiceClient::with_interceptor(channel.clone(), credentials.clone()),
        disclosure: DisclosureServiceClient::with_interceptor(channel.clone(), credentials.clone()),
        duplicates: DuplicateServiceClient::with_interceptor(channel.clone(), credentials.clone()),
        entries: EntryServiceClient::with_interceptor(channel.clone(), credentials.clone()),
        papers: PaperServiceClient::with_interceptor(channel.clone(), credentials.clone()),
        decisions: PendingDecisionServiceClient::with_interceptor(channel.clone(), credentials.clone()),
        persons: PersonServiceClient::with_interceptor(channel.clone(), credentials.clone()),
        numbers: PersonalNumberServiceClient::with_interceptor(channel.clone(), credentials.clone()),
        statistics: StatisticsServiceClient::with_interceptor(channel, credentials),
    }
}

/// A new request id.
pub(crate) fn request_id() -> String {
    SystemIds::shared().uuid().to_string()
}

/// The reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    egov_fault::reason_of(status).unwrap_or_default()
}

/// The fields that a refusal names.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    egov_fault::fault_of(status)
        .violations()
        .iter()
        .map(|violation| violation.field.clone())
        .collect()
}

#[expect(clippy::unnecessary_wraps, reason = "as the fields of the messages have it")]
pub(crate) fn day(year: i32, month: i32, day: i32) -> Option<Date> {
    Some(Date { year, month, day })
}

/// The opening of a book of births.
pub(crate) fn opening(unit_id: i32, year: i32) -> OpenBookRequest {
    OpenBookRequest {
        request_id: request_id(),
        unit_id,
        event: EventKind::Birth.into(),
        year,
        pages_per_volume: 2,
        entries_per_page: 1,
    }
}

pub(crate) fn parent(name: &str, personal_number: &str, year: i32) -> Parent {
    Parent {
        person_id: String::new(),
        full_name: name.to_owned(),
        personal_number: personal_number.to_owned(),
        date_of_birth: day(year, 4, 0),
        ethnic_group: "01".to_owned(),
        nationality: "VN".to_owned(),
        other_nationality: String::new(),
        residence_kind: ResidenceKind::Permanent.into(),
        residence: "Khối 5, phường Trường Vinh, tỉnh Nghệ An".to_owned(),
        paper: Some(IdentityPaper {
            kind: IdentityPaperKind::CitizenIdentityCard.into(),
            other_name: String::new(),
            number: personal_number.to_owned(),
            issue_date: day(2021, 8, 15),
            issue_place: "Cục Cảnh sát QLHC về TTXH".to_owned(),
        }),
    }
}

pub(crate) const MOTHER: &str = "040195000111";
pub(crate) const FATHER: &str = "040093000222";

/// The name of the child of the first birth of a test.
const NHIEN: &str = "Nguyễn  Thị An Nhiên";

/// Births that were made.
static BIRTHS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether a birth was made in this thread: each test has one of its own.
    static BORN: Cell<bool> = const { Cell::new(false) };
}

/// A name for a child: of the first birth of a test that of An Nhiên; each further child has a given name that is no other one's by a letter, so that
/// brothers and sisters are no duplicates.
fn name_of_child() -> String {
    // What a test does at the same time is done in threads of the runtime.
    let is_test = std::thread::current()
        .name()
        .is_some_and(|name| !name.starts_with("tokio"));
    let born = BIRTHS.fetch_add(1, Ordering::Relaxed);
    if is_test && !BORN.replace(true) {
        return NHIEN.to_owned();
    }
    let parts = [
        "Ba", "Ce", "Di", "Fo", "Gu", "Ka", "Le", "Mi", "Po", "Ru", "Sa", "Te", "Vi", "Xo", "Zu", "Ha",
    ];
    let part = |place: usize| parts[(born / parts.len().pow(u32::try_from(place).unwrap())) % parts.len()];
    let given: String = (0..3).flat_map(|place| [part(place), part(place)]).collect();
    format!("Nguyễn  Thị An {}", given.to_lowercase())
}

/// A birth of ten days ago, of which both parents are known. Each that a test makes is of another child.
pub(crate) fn birth() -> RegisterBirthRequest {
    birth_of(name_of_child())
}

/// The birth of the child of this name, of the same parents.
pub(crate) fn birth_of(full_name: impl Into<String>) -> RegisterBirthRequest {
    RegisterBirthRequest {
        request_id: request_id(),
        unit_id: TRUONG_VINH,
        registration_date: None,
        birth: Some(Birth {
            kind: BirthKind::BothParents.into(),
            child: Some(Child {
                person_id: String::new(),
                full_name: full_name.into(),
                personal_number: String::new(),
                sex: Sex::Female.into(),
                date_of_birth: day(2026, 11, 13),
                place_of_birth: "Bệnh viện Sản Nhi Nghệ An".to_owned(),
                place_of_birth_code: "16681".to_owned(),
                home_town: "Xã Kim Liên, tỉnh Nghệ An".to_owned(),
                ethnic_group: "01".to_owned(),
                nationality: "VN".to_owned(),
                other_nationality: String::new(),
            }),
            mother: Some(parent("Trần Thị Mẹ", MOTHER, 1995)),
            father: Some(parent("Nguyễn Văn Cha", FATHER, 1993)),
            requester: Some(Requester {
                full_name: "Nguyễn Văn Cha".to_owned(),
                relationship: "cha".to_owned(),
                paper: None,
            }),
            foreign_registration: None,
            abandonment: None,
        }),
        signer_name: "Hồ Văn Chủ Tịch".to_owned(),
        signer_title: "Chủ tịch".to_owned(),
        performer_name: "Phan Thị Sổ Bộ".to_owned(),
        note: String::new(),
        decisions: Vec::new(),
        signer_authorisation: String::new(),
    }
}

/// The death of a grandmother ten days ago.
pub(crate) fn death() -> RegisterDeathRequest {
    let signed = birth_of(NHIEN);
    RegisterDeathRequest {
        request_id: request_id(),
        unit_id: TRUONG_VINH,
        registration_date: None,
        death: Some(Death {
            deceased: Some(Deceased {
                person_id: String::new(),
                full_name: "Hoàng Thị  Bà".to_owned(),
                personal_number: String::new(),
                sex: Sex::Female.into(),
                date_of_birth: day(1941, 0, 0),
                ethnic_group: "01".to_owned(),
                nationality: "VN".to_owned(),
                other_nationality: String::new(),
                residence_kind: ResidenceKind::Permanent.into(),
                residence: "Khối 5, phường Trường Vinh, tỉnh Nghệ An".to_owned(),
                paper: None,
            }),
            date_of_death: day(2026, 11, 13),
            time_of_death: "04:30".to_owned(),
            place_of_death: "Tại nhà".to_owned(),
            cause: "Già yếu".to_owned(),
            notice_kind: DeathNoticeKind::Notice.into(),
            notice_number: "31/GBT".to_owned(),
            notice_date: day(2026, 11, 14),
            notice_authority: "Trạm Y tế phường Trường Vinh".to_owned(),
            requester: Some(Requester {
                full_name: "Nguyễn Văn Cha".to_owned(),
                relationship: "cháu".to_owned(),
                paper: None,
            }),
            foreign_registration: None,
            again: false,
        }),
        signer_name: signed.signer_name,
        signer_title: signed.signer_title,
        performer_name: signed.performer_name,
        note: String::new(),
        decisions: Vec::new(),
        signer_authorisation: String::new(),
    }
}

/// The same, otherwise.
pub(crate) fn death_where(change: impl FnOnce(&mut Death)) -> RegisterDeathRequest {
    let mut request = death();
    change(request.death.as_mut().unwrap());
    request
}

/// Fields of an entry that become otherwise: path, before, after.
pub(crate) fn correction(entry: &Entry, kind: CorrectionKind, fields: &[(&str, &str, &str)]) -> CorrectEntryRequest {
    let signed = birth_of(NHIEN);
    CorrectEntryRequest {
        request_id: request_id(),
        entry_id: entry.entry_id.clone(),
        registration_date: None,
        correction: Some(Correction {
            kind: kind.into(),
            corrected_entry_id: String::new(),
            position: 0,
            fields: fields
                .iter()
                .map(|(field, before, after)| CorrectedField {
                    field: (*field).to_owned(),
                    before: (*before).to_owned(),
                    after: (*after).to_owned(),
                })
                .collect(),
            basis: Some(CorrectionBasis {
                number: "08/GCS".to_owned(),
                date: day(2026, 11, 20),
                authority: "Bệnh viện Sản Nhi Nghệ An".to_owned(),
            }),
            reason: "Ghi sai so với giấy chứng sinh".to_owned(),
            requester_name: "Nguyễn Văn Cha".to_owned(),
        }),
        signer_name: signed.signer_name,
        signer_title: signed.signer_title,
        performer_name: signed.performer_name,
        note: String::new(),
        decisions: Vec::new(),
        signer_authorisation: String::new(),
    }
}

/// What a court decided, to be noted beside an entry.
pub(crate) fn annotation(entry: &Entry) -> AnnotateEntryRequest {
    AnnotateEntryRequest {
        request_id: request_id(),
        entry_id: entry.entry_id.clone(),
        kind: AnnotationKind::Parentage.into(),
        text: "Toà án xác định cha của người được khai sinh".to_owned(),
        basis: Some(AnnotationBasis {
            number: "12/2026/HNGĐ-ST".to_owned(),
            date: day(2026, 11, 20),
            authority: "Toà án nhân dân khu vực 1 - Nghệ An".to_owned(),
        }),
        note_date: None,
        cancels_annotation_id: String::new(),
        ..Default::default()
    }
}

/// The same, otherwise.
pub(crate) fn birth_where(change: impl FnOnce(&mut Birth)) -> RegisterBirthRequest {
    let mut request = birth();
    change(request.birth.as_mut().unwrap());
    request
}

/// The birth of a child who has a number: its certificate waits for none.
pub(crate) fn birth_with_number(personal_number: &str) -> RegisterBirthRequest {
    birth_where(|said| personal_number.clone_into(&mut said.child.as_mut().unwrap().personal_number))
}

/// One of a couple, whose marital status a paper confirms.
pub(crate) fn spouse(name: &str, personal_number: &str, year: i32) -> Spouse {
    Spouse {
        person_id: String::new(),
        full_name: name.to_owned(),
        personal_number: personal_number.to_owned(),
        date_of_birth: day(year, 4, 0),
        ethnic_group: "01".to_owned(),
        nationality: "VN".to_owned(),
        other_nationality: String::new(),
        residence_kind: ResidenceKind::Permanent.into(),
        residence: "Khối 5, phường Trường Vinh, tỉnh Nghệ An".to_owned(),
        paper: None,
        marital_status_paper: Some(MaritalStatusPaper {
            number: "12/UBND-XNTTHN".to_owned(),
            issue_date: day(2026, 10, 1),
            authority: "Uỷ ban nhân dân xã Kim Liên".to_owned(),
        }),
        marital_status_inquiry: None,
        was_present: true,
        declared_will: true,
    }
}

/// A marriage of today.
pub(crate) fn marriage() -> RegisterMarriageRequest {
    let signed = birth_of(NHIEN);
    RegisterMarriageRequest {
        request_id: request_id(),
        unit_id: TRUONG_VINH,
        registration_date: None,
        marriage: Some(Marriage {
            registration: MarriageRegistration::First.into(),
            husband: Some(spouse("Nguyễn Văn  Chồng", FATHER, 1993)),
            wife: Some(spouse("Trần Thị Vợ", MOTHER, 1995)),
            outcome: MarriageOutcome::Unspecified.into(),
            first_registration_date: None,
        }),
        signer_name: signed.signer_name,
        signer_title: signed.signer_title,
        performer_name: signed.performer_name,
        note: String::new(),
        decisions: Vec::new(),
        signer_authorisation: String::new(),
    }
}

/// The same, otherwise.
pub(crate) fn marriage_where(change: impl FnOnce(&mut Spouse, &mut Spouse)) -> RegisterMarriageRequest {
    let mut request = marriage();
    let said = request.marriage.as_mut().unwrap();
    change(said.husband.as_mut().unwrap(), said.wife.as_mut().unwrap());
    request
}

/// A paper of an entry, for the father.
pub(crate) fn paper(entry: &Entry, kind: PaperKind) -> IssuePaperRequest {
    let signed = birth_of(NHIEN);
    IssuePaperRequest {
        request_id: request_id(),
        entry_id: entry.entry_id.clone(),
        kind: kind.into(),
        is_copy: false,
        copies: 1,
        recipient_name: "Nguyễn Văn  Cha".to_owned(),
        recipient_paper: FATHER.to_owned(),
        signer_name: signed.signer_name,
        signer_title: signed.signer_title,
        signer_authorisation: String::new(),
    }
}
