//! The civil registry's books at the Ministry's civil-status register: told, received and compared.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Request, State};
use axum::routing::post;
use egov_clock::{ManualClock, SystemIds};
use egov_directory::{Directory, DirectoryConfig, Feed};
use egov_events::{CloudEvent, EventStore as _, PostgresStore};
use egov_fault::Fault;
use egov_integration::civil_registry::{CivilBooks, CivilRegistryConfig};
use egov_integration::partners::{Books, Connections, ReconcilingBooks};
use egov_integration::{BookKeeper, Deliverer, EventParts, ReceivedChanges, ensure_topic};
use egov_keyring::{Keyring, Purpose};
use egov_partners::Partner;
use egov_partners::backoff::Backoff;
use egov_partners::breaker::BreakerConfig;
use egov_partners::civil_books::{BookEntry, Change, ChangeAct};
use egov_partners::civil_mapping::told_entry;
use egov_partners::civil_status::{CivilStatusAccount, RegistrationKind, SimCivilStatusRegister};
use egov_partners::line::{Line, LineConfig};
use egov_proto::egov::civil_registry::v1::{
    Annotation, Birth, Book, Child, Death, Deceased, Entry, EventKind, FoundPerson, GetEntryRequest, GetEntryResponse,
    ListBooksRequest, ListBooksResponse, ListEntriesRequest, ListEntriesResponse, Marriage, SearchPersonsRequest,
    SearchPersonsResponse, Spouse,
};
use egov_proto::egov::identity::v1 as identity;
use egov_proto::egov::integration::v1 as proto;
use egov_proto::google::r#type::Date;
use egov_simulators::TOKEN;
use jiff::SignedDuration;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::reconciliation::findings;
use crate::support::{AGENCY, HERE, NEIGHBOUR, Running, new_id, refusal};

const TOPIC: &str = "civil-registry.events";
const YEAR: i32 = 2026;

/// The civil registry as far as it is read: behind a token and a purpose.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    entries: BTreeMap<String, GetEntryResponse>,
    /// Persons by personal number.
    persons: BTreeMap<String, Uuid>,
    away: bool,
    /// Its books are not shown.
    bookless: bool,
}

impl Registry {
    fn answer<T, R>(
        &self,
        request: &tonic::Request<T>,
        answer: impl FnOnce(&Shown, &T) -> Result<R, Status>,
    ) -> std::future::Ready<Result<tonic::Response<R>, Status>> {
        let header = |name: &str| {
            let value = request.metadata().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let shown = self.0.lock().unwrap();
        std::future::ready(if shown.away {
            Err(Status::unavailable("away"))
        } else if header("authorization") != "Bearer of-the-system" {
            Err(Status::unauthenticated("no token"))
        } else if header("x-egov-purpose") != "civil_status_registration" {
            Err(Status::permission_denied("no purpose"))
        } else {
            answer(&shown, request.get_ref()).map(tonic::Response::new)
        })
    }

    fn away(&self, away: bool) {
        self.0.lock().unwrap().away = away;
    }

    fn bookless(&self, bookless: bool) {
        self.0.lock().unwrap().bookless = bookless;
    }

    fn knows(&self, personal_number: &str, person: Uuid) {
        let mut shown = self.0.lock().unwrap();
        shown.persons.insert(personal_number.to_owned(), person);
    }

    fn show(&self, answer: GetEntryResponse) {
        let key = answer.entry.as_ref().unwrap().entry_id.clone();
        self.0.lock().unwrap().entries.insert(key, answer);
    }

    /// What the register is to hold in the end.
    fn expected(&self) -> BTreeMap<String, BookEntry> {
        let shown = self.0.lock().unwrap();
        let told = shown
            .entries
            .values()
            .map(|answer| told_entry(answer, AGENCY).unwrap().unwrap());
        told.map(|told| (told.entry.key.clone(), told.entry)).collect()
    }

    async fn start(&self) -> String {
        let get_entry = async |State(registry): State<Self>, request: Request| {
            tonic::server::Grpc::new(ProstCodec::<GetEntryResponse, GetEntryRequest>::default())
                .unary(registry, request)
                .await
        };
        let list_entries = async |State(registry): State<Self>, request: Request| {
            tonic::server::Grpc::new(ProstCodec::<ListEntriesResponse, ListEntriesRequest>::default())
                .unary(registry, request)
                .await
        };
        let list_books = async |State(registry): State<Self>, request: Request| {
            tonic::server::Grpc::new(ProstCodec::<ListBooksResponse, ListBooksRequest>::default())
                .unary(registry, request)
                .await
        };
        let search_persons = async |State(registry): State<Self>, request: Request| {
            tonic::server::Grpc::new(ProstCodec::<SearchPersonsResponse, SearchPersonsRequest>::default())
                .unary(registry, request)
                .await
        };
        let token = async || axum::Json(serde_json::json!({ "access_token": "of-the-system", "expires_in": 300 }));
        let router = Router::new()
            .route("/egov.civil_registry.v1.EntryService/GetEntry", post(get_entry))
            .route("/egov.civil_registry.v1.EntryService/ListEntries", post(list_entries))
            .route("/egov.civil_registry.v1.BookService/ListBooks", post(list_books))
            .route(
                "/egov.civil_registry.v1.PersonService/SearchPersons",
                post(search_persons),
            )
            .route("/oauth2/token", post(token))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

impl tonic::server::UnaryService<GetEntryRequest> for Registry {
    type Response = GetEntryResponse;
    type Future = std::future::Ready<Result<tonic::Response<GetEntryResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<GetEntryRequest>) -> Self::Future {
        self.answer(&request, |shown, asked| {
            let found = shown.entries.get(&asked.entry_id).cloned();
            found.ok_or_else(|| Status::not_found("no entry"))
        })
    }
}

impl tonic::server::UnaryService<ListBooksRequest> for Registry {
    type Response = ListBooksResponse;
    type Future = std::future::Ready<Result<tonic::Response<ListBooksResponse>, Status>>;

    /// One book a kind, named by it.
    fn call(&mut self, request: tonic::Request<ListBooksRequest>) -> Self::Future {
        self.answer(&request, |shown, asked| {
            let books = (asked.unit_id == HERE && asked.year == YEAR && !shown.bookless).then(|| Book {
                book_id: asked.event.to_string(),
                ..Book::default()
            });
            Ok(ListBooksResponse {
                books: books.into_iter().collect(),
                ..ListBooksResponse::default()
            })
        })
    }
}

impl tonic::server::UnaryService<ListEntriesRequest> for Registry {
    type Response = ListEntriesResponse;
    type Future = std::future::Ready<Result<tonic::Response<ListEntriesResponse>, Status>>;

    /// 40 a page.
    fn call(&mut self, request: tonic::Request<ListEntriesRequest>) -> Self::Future {
        self.answer(&request, |shown, asked| {
            let entries = shown.entries.values().filter_map(|answer| answer.entry.clone());
            let of_book = entries.filter(|entry| entry.event.to_string() == asked.book_id);
            let from: usize = asked.page_token.parse().unwrap_or(0);
            let entries: Vec<Entry> = of_book.skip(from).take(40).collect();
            let next = (entries.len() == 40).then(|| (from + 40).to_string());
            Ok(ListEntriesResponse {
                entries,
                next_page_token: next.unwrap_or_default(),
            })
        })
    }
}

impl tonic::server::UnaryService<SearchPersonsRequest> for Registry {
    type Response = SearchPersonsResponse;
    type Future = std::future::Ready<Result<tonic::Response<SearchPersonsResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<SearchPersonsRequest>) -> Self::Future {
        self.answer(&request, |shown, asked| {
            let found = shown.persons.get(&asked.personal_number).map(|person| FoundPerson {
                person_id: person.to_string(),
                ..FoundPerson::default()
            });
            Ok(SearchPersonsResponse {
                persons: found.into_iter().collect(),
                ..SearchPersonsResponse::default()
            })
        })
    }
}

/// Identity's feed with a province.
struct Province;

#[async_trait]
impl Feed for Province {
    async fn tree(&self, _known_version: i64) -> Result<identity::GetTreeSnapshotResponse, Fault> {
        let province = identity::Unit {
            unit_id: 1,
            code: "1".to_owned(),
            name: "Tỉnh".to_owned(),
            kind: identity::UnitKind::Commune.into(),
            effective_from: Some(jiff::civil::date(2025, 7, 1).into()),
            ..identity::Unit::default()
        };
        let snapshot = identity::TreeSnapshot {
            version: 1,
            units: vec![province],
            ..identity::TreeSnapshot::default()
        };
        let snapshot = snapshot.encode_to_vec();
        let keyring = Keyring::ephemeral();
        let key = keyring.signing(Purpose::TreeSigning);
        Ok(identity::GetTreeSnapshotResponse {
            signature: key.sign(&snapshot).unwrap(),
            key_id: key.id().to_owned(),
            snapshot,
            version: 1,
            jwks: keyring.jwks(Purpose::TreeSigning).to_string(),
        })
    }

    async fn revocations(&self, _after: i64) -> Result<identity::ListRevocationsResponse, Fault> {
        Ok(identity::ListRevocationsResponse::default())
    }
}

/// The service beside a civil registry whose events lie in the topic.
struct Stage {
    service: Running,
    registry: Registry,
    address: String,
    store: Arc<PostgresStore>,
    topic: Uuid,
    /// Without a unit tree until a test lets it learn one.
    directory: Arc<Directory>,
}

/// With the civil registry at this address, and a line to the register on which faults are waited for a short time only.
fn keeping(mut connections: Connections, clock: &ManualClock, registry: &str, register: Option<&str>) -> Connections {
    let config = CivilRegistryConfig {
        address: registry.to_owned(),
        authority: None,
        token_endpoint: format!("{registry}/oauth2/token"),
        audience: "https://identity.test".to_owned(),
        client_id: "egov-integration".to_owned(),
        purpose: "civil_status_registration".to_owned(),
    };
    let keyring = Arc::clone(&connections.keyring);
    connections.books = Some(Arc::new(Books {
        topic: TOPIC.to_owned(),
        registry: CivilBooks::new(config, keyring, clock.shared(), SystemIds::shared()).unwrap(),
        reconciling: ReconcilingBooks {
            every_days: 0,
            ..ReconcilingBooks::default()
        },
    }));
    connections.delivering.at_once = 8;
    connections.delivering.most_attempts = 12;
    if let (Some(register), Some(connection)) = (register, connections.civil_status.as_mut()) {
        let line = LineConfig {
            address: register.to_owned(),
            hosts: vec!["127.0.0.1".to_owned()],
            timeout_ms: 100,
            dead_line_ms: 400,
            tries: 2,
            backoff: Backoff {
                first_ms: 1,
                longest_ms: 2,
            },
            breaker: BreakerConfig {
                failures: 1_000,
                pause_ms: 1_000,
            },
            ..LineConfig::default()
        };
        let line = Line::open(Partner::CivilStatusRegister, line, clock.shared(), SystemIds::shared()).unwrap();
        let account = CivilStatusAccount { token: TOKEN.into() };
        connection.partner = Arc::new(SimCivilStatusRegister::new(line, account));
    }
    connections
}

impl Stage {
    async fn start() -> Self {
        let registry = Registry::default();
        let address = registry.start().await;
        let service = Running::connected(|connections, clock| keeping(connections, clock, &address, None)).await;
        let store = Arc::new(PostgresStore::new(service.pool().clone(), 1 << 20));
        let topic = ensure_topic(service.pool(), store.as_ref(), TOPIC, 0, Uuid::from_u128(9)).await;
        let directory = Directory::open(DirectoryConfig::default(), service.clock.shared()).unwrap();
        Self {
            topic: topic.unwrap(),
            directory: Arc::new(directory),
            service,
            registry,
            address,
            store,
        }
    }

    fn connections(&self) -> Connections {
        let service = &self.service;
        let connections = service
            .partners
            .connections(Arc::clone(&service.keyring), &service.clock);
        let register = service.partners.civil_status.url();
        keeping(connections, &service.clock, &self.address, Some(&register))
    }

    fn keeper(&self) -> BookKeeper {
        self.keeper_with(self.connections())
    }

    fn keeper_with(&self, connections: Connections) -> BookKeeper {
        let events = EventParts {
            store: Arc::clone(&self.store) as Arc<_>,
            webhook_hosts: Vec::new(),
        };
        BookKeeper::new(self.service.pool(), connections, Arc::clone(&self.directory), events)
    }

    /// A keeper that asks by itself for comparisons once in so many days.
    fn own_keeper(&self, every_days: u8) -> BookKeeper {
        let mut connections = self.connections();
        let mut books = Books::clone(connections.books.as_ref().unwrap());
        books.reconciling = ReconcilingBooks {
            every_days,
            hour: 0,
            repair: false,
        };
        connections.books = Some(Arc::new(books));
        self.keeper_with(connections)
    }

    fn deliverer(&self) -> Deliverer {
        Deliverer::new(self.service.pool(), self.connections())
    }

    /// The registry entered these, and says so.
    async fn enter(&self, entries: Vec<GetEntryResponse>) {
        for some in entries.chunks(100) {
            let said = some.iter().map(event).collect();
            self.store.publish(self.topic, said).await.unwrap();
        }
        for entry in entries {
            self.registry.show(entry);
        }
    }

    /// Follows until nothing is left to be told.
    async fn follow(&self) {
        let keeper = self.keeper();
        loop {
            let round = keeper.follow().await.unwrap().unwrap();
            assert_eq!((round.put_off, round.not_shown), (0, 0));
            if round.done == 0 {
                return;
            }
        }
    }

    /// Delivers until nothing is left to be sent.
    async fn deliver(&self) {
        let deliverer = self.deliverer();
        for _ in 0..40 {
            self.service.clock.advance(SignedDuration::from_mins(16));
            if deliverer.round().await.unwrap().unwrap().tried == 0 {
                return;
            }
        }
        panic!("there is always something left");
    }

    /// Whoever held a lease is gone.
    async fn leases_end(&self) {
        let mut connection = self.service.database.connect_as_superuser().await.unwrap();
        sqlx::query("DELETE FROM egov.leases")
            .execute(&mut connection)
            .await
            .unwrap();
        self.service.clock.advance(SignedDuration::from_mins(6));
    }

    async fn entries(&self, role: &str, unit: i32, waiting: bool) -> Result<Vec<proto::RegisterEntry>, Status> {
        let message = proto::ListRegisterEntriesRequest {
            page_size: 200,
            waiting,
            ..proto::ListRegisterEntriesRequest::default()
        };
        let request = self.service.without_purpose(role, unit, message);
        let answer = self.service.civil_register().list_register_entries(request).await?;
        Ok(answer.into_inner().entries)
    }

    async fn changes(&self, role: &str, unit: i32) -> Result<Vec<proto::RegisterChange>, Status> {
        let message = proto::ListRegisterChangesRequest::default();
        let request = self.service.by(role, unit, message);
        let answer = self.service.civil_register().list_register_changes(request).await?;
        Ok(answer.into_inner().changes)
    }

    /// Asks for a comparison, lets it be done, and reads what it came to.
    async fn compare(&self, repair: bool) -> proto::RegisterReconciliation {
        self.service.clock.advance(SignedDuration::from_mins(20));
        let asked = self.ask("partner_operator", HERE, asked(repair)).await.unwrap();
        let round = self.keeper().compare().await.unwrap().unwrap();
        assert_eq!((round.done, round.put_off), (1, 0));
        let message = proto::GetRegisterReconciliationRequest {
            reconciliation_id: asked.reconciliation_id,
        };
        let request = self.service.without_purpose("partner_operator", HERE, message);
        let answer = self.service.civil_register().get_register_reconciliation(request).await;
        answer.unwrap().into_inner().reconciliation.unwrap()
    }

    async fn ask(
        &self,
        role: &str,
        unit: i32,
        message: proto::ReconcileRegisterRequest,
    ) -> Result<proto::RegisterReconciliation, Status> {
        let request = self.service.without_purpose(role, unit, message);
        let answer = self.service.civil_register().reconcile_register(request).await?;
        Ok(answer.into_inner().reconciliation.unwrap())
    }

    async fn differences(&self, run: &proto::RegisterReconciliation) -> Vec<proto::RegisterDifference> {
        let message = proto::ListRegisterDifferencesRequest {
            reconciliation_id: run.reconciliation_id.clone(),
            ..proto::ListRegisterDifferencesRequest::default()
        };
        let request = self.service.without_purpose("partner_operator", HERE, message);
        let answer = self.service.civil_register().list_register_differences(request).await;
        let mut differences = answer.unwrap().into_inner().differences;
        differences.sort_by_key(|difference| difference.kind);
        differences
    }

    async fn settle(&self, id: &str, etag: &str) -> Result<proto::RegisterDifference, Status> {
        let message = proto::SettleRegisterDifferenceRequest {
            request_id: new_id(),
            difference_id: id.to_owned(),
            etag: etag.to_owned(),
            reason: "Sổ cũ, đã lập biên bản".to_owned(),
        };
        let request = self.service.without_purpose("partner_operator", HERE, message);
        let answer = self
            .service
            .civil_register()
            .settle_register_difference(request)
            .await?;
        Ok(answer.into_inner().difference.unwrap())
    }
}

fn asked(repair: bool) -> proto::ReconcileRegisterRequest {
    proto::ReconcileRegisterRequest {
        request_id: new_id(),
        unit_id: HERE,
        year: YEAR,
        repair,
    }
}

fn key(number: u32) -> String {
    Uuid::from_u128(number.into()).to_string()
}

/// An entry of this number: in turn a birth, a marriage, a death.
fn entered(number: u32) -> GetEntryResponse {
    let person_id = Uuid::from_u128(u128::from(number) + 10_000).to_string();
    let full_name = format!("Nguyễn Văn {number}");
    let mut entry = Entry {
        entry_id: key(number),
        unit_id: HERE,
        year: YEAR,
        number: i32::try_from(number).unwrap(),
        printed_number: format!("{number:02}/{YEAR}"),
        volume: 1,
        page: 1,
        registration_date: Some(Date {
            year: YEAR,
            month: 11,
            day: 3,
        }),
        ..Entry::default()
    };
    match number % 3 {
        1 => {
            entry.set_event(EventKind::Birth);
            entry.birth = Some(Birth {
                child: Some(Child {
                    person_id,
                    full_name,
                    ..Child::default()
                }),
                ..Birth::default()
            });
        }
        2 => {
            entry.set_event(EventKind::Marriage);
            entry.marriage = Some(Marriage {
                husband: Some(Spouse {
                    person_id,
                    full_name,
                    ..Spouse::default()
                }),
                wife: Some(Spouse::default()),
                ..Marriage::default()
            });
        }
        _ => {
            entry.set_event(EventKind::Death);
            entry.death = Some(Death {
                deceased: Some(Deceased {
                    person_id,
                    full_name,
                    ..Deceased::default()
                }),
                ..Death::default()
            });
        }
    }
    GetEntryResponse {
        entry: Some(entry),
        ..GetEntryResponse::default()
    }
}

/// The same with a note beside it.
fn noted(number: u32) -> GetEntryResponse {
    let mut answer = entered(number);
    answer.annotations.push(Annotation {
        annotation_id: new_id(),
        position: 1,
        text: "Ghi chú".to_owned(),
        ..Annotation::default()
    });
    answer
}

/// As the civil registry's forwarder says it: ids and numbers.
fn event(answer: &GetEntryResponse) -> CloudEvent {
    let id = &answer.entry.as_ref().unwrap().entry_id;
    let version = answer.annotations.len() + 1;
    let about = format!("civil_entry/{id}");
    let data = serde_json::json!({ "version": version, "payload": { "responsible_unit_id": HERE } });
    CloudEvent {
        id: format!("{id}-{version}"),
        source: "/egov/civil-registry".to_owned(),
        kind: "vn.egov.civil-registry.civil_entry".to_owned(),
        subject: Some(about.clone()),
        time: None,
        data_content_type: None,
        data_schema: None,
        partition_key: Some(about),
        epoch: Some(1),
        data: data.to_string().into(),
    }
}

fn change(id: &str, act: ChangeAct) -> Change {
    Change {
        id: id.to_owned(),
        act,
        kind: RegistrationKind::Birth,
        agency_code: String::new(),
        concerned_agency_code: String::new(),
        year: YEAR,
        number: String::new(),
        place: "Đại sứ quán".to_owned(),
        full_name: "Trần Thị Bé".to_owned(),
        personal_number: String::new(),
        content: "Ghi chú ly hôn".to_owned(),
    }
}

fn missing() -> (Code, String) {
    (Code::PermissionDenied, "PERMISSION_MISSING".to_owned())
}

#[tokio::test]
async fn three_hundred_entries_reach_the_register_once_each_in_their_order_through_faults_and_kills() {
    let stage = Stage::start().await;
    let register = &stage.service.partners.civil_status;
    stage.enter((1..=300).map(entered).collect()).await;
    // Broken off between any two steps.
    for step in 1..9 {
        let keeper = stage.keeper();
        let _ = tokio::time::timeout(Duration::from_millis(4 * step), keeper.follow()).await;
    }
    stage.leases_end().await;
    stage.follow().await;
    // What is noted before the first state has arrived goes after it.
    stage.enter((1..=30).map(noted).collect()).await;
    stage.follow().await;
    assert_eq!(stage.service.count("SELECT count(*) FROM deliveries").await, 330);
    register.faults().seeded(12, 200);
    for step in 1..5 {
        let deliverer = stage.deliverer();
        let _ = tokio::time::timeout(Duration::from_millis(30 * step), deliverer.round()).await;
        stage.leases_end().await;
    }
    stage.deliver().await;
    register.faults().seeded(0, 0);
    assert!(register.faults().met().len() > 30, "there were faults");
    assert_eq!(register.told(), stage.registry.expected());
    assert_eq!(register.effects(), 330, "each state once");
    assert!(
        stage
            .entries("civil_status_officer", HERE, true)
            .await
            .unwrap()
            .is_empty()
    );
    let run = stage.compare(false).await;
    assert_eq!((run.compared, run.equal, run.waiting, run.differing), (300, 300, 0, 0));
}

#[tokio::test]
async fn what_the_register_refuses_is_seen_and_sent_again_and_what_it_reports_is_received_once() {
    let stage = Stage::start().await;
    let register = &stage.service.partners.civil_status;
    register.refuse(&key(1), true);
    stage.enter(vec![entered(1), entered(2)]).await;
    stage.follow().await;
    stage.deliver().await;
    let waiting = stage.entries("civil_status_officer", HERE, true).await.unwrap();
    let [refused] = waiting.as_slice() else {
        panic!("{waiting:?}");
    };
    assert_eq!((refused.entry_id.as_str(), refused.number), (key(1).as_str(), 1));
    assert_eq!(refused.delivery_state(), proto::DeliveryState::Failed);
    assert_eq!(
        (refused.delivery_problem.as_str(), refused.synchronised),
        ("refused", false)
    );
    register.refuse(&key(1), false);
    let failed = stage.service.delivery(&refused.delivery_id).await;
    stage.service.redrive(&failed).await.unwrap();
    stage.deliver().await;
    assert!(
        stage
            .entries("civil_status_officer", HERE, true)
            .await
            .unwrap()
            .is_empty()
    );
    // The same state, said again: nothing is told.
    let again = CloudEvent {
        id: "again".to_owned(),
        ..event(&entered(1))
    };
    stage.store.publish(stage.topic, vec![again]).await.unwrap();
    stage.follow().await;
    assert_eq!(stage.service.count("SELECT count(*) FROM deliveries").await, 2);
    // Who sees it.
    assert_eq!(
        stage.entries("civil_status_officer", HERE, false).await.unwrap().len(),
        2
    );
    assert!(
        stage
            .entries("civil_status_officer", NEIGHBOUR, false)
            .await
            .unwrap()
            .is_empty()
    );
    let forbidden = stage.entries("partner_caller", HERE, false).await.unwrap_err();
    assert_eq!(refusal(&forbidden), missing());

    let number = Change {
        agency_code: AGENCY.to_owned(),
        number: "01/2026".to_owned(),
        ..change("c1", ChangeAct::Annotated)
    };
    let person = Change {
        concerned_agency_code: AGENCY.to_owned(),
        personal_number: "040226000123".to_owned(),
        ..change("c2", ChangeAct::Registered)
    };
    stage.registry.knows("040226000123", Uuid::from_u128(10_001));
    for reported in [&number, &person, &number, &change("c3", ChangeAct::Registered)] {
        register.report(reported.clone());
    }
    // While nobody says whose a number is, nothing is received.
    stage.registry.away(true);
    let round = stage.keeper().receive().await.unwrap().unwrap();
    assert_eq!((round.received, round.away), (0, true));
    stage.registry.away(false);
    // Nor while nobody says whose is what is no commune's.
    let round = stage.keeper().receive().await.unwrap().unwrap();
    assert_eq!((round.received, round.away), (0, true));
    stage.directory.refresh(&Province).await.unwrap();
    register
        .faults()
        .script("list_changes", egov_simulators::Fault::Malformed);
    for step in 1..4 {
        let keeper = stage.keeper();
        let _ = tokio::time::timeout(Duration::from_millis(3 * step), keeper.receive()).await;
        stage.leases_end().await;
    }
    stage.keeper().receive().await.unwrap();
    assert_eq!(stage.service.count("SELECT count(*) FROM register_changes").await, 3);
    let provinces = "SELECT count(*) FROM register_changes WHERE responsible_unit_id = 1";
    assert_eq!(stage.service.count(provinces).await, 1);
    // From where it was: what is reported again late is known, and what is new is received.
    register.report(person.clone());
    register.report(change("c4", ChangeAct::Corrected));
    let round = stage.keeper().receive().await.unwrap().unwrap();
    let expected = ReceivedChanges {
        received: 1,
        known: 1,
        away: false,
    };
    assert_eq!(round, expected);

    let mut changes = stage.changes("civil_status_officer", HERE).await.unwrap();
    changes.sort_by_key(|change| change.matched_by);
    let [by_number, by_person] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert_eq!(by_number.matched_by(), proto::RegisterMatch::Number);
    assert_eq!(by_number.act(), proto::RegisterChangeAct::Annotated);
    assert_eq!(by_person.matched_by(), proto::RegisterMatch::PersonalNumber);
    assert_eq!(by_number.entry_ids, [key(1)]);
    assert_eq!(by_person.entry_ids, [key(1)]);
    assert_eq!(by_person.full_name, "Trần Thị Bé");
    let read = "SELECT count(*) FROM egov.read_records
                WHERE subjects @> ARRAY['00000000-0000-0000-0000-000000002711'::uuid]";
    assert_ne!(stage.service.count(read).await, 0, "recorded for the person");
    assert!(
        stage
            .changes("civil_status_officer", NEIGHBOUR)
            .await
            .unwrap()
            .is_empty()
    );
    let forbidden = stage.changes("partner_operator", HERE).await.unwrap_err();
    assert_eq!(refusal(&forbidden), missing());
    let message = proto::ListRegisterChangesRequest::default();
    let request = stage.service.without_purpose("civil_status_officer", HERE, message);
    assert!(
        stage
            .service
            .civil_register()
            .list_register_changes(request)
            .await
            .is_err()
    );
    // Nothing of ours has changed by it.
    assert_eq!(stage.service.count("SELECT count(*) FROM deliveries").await, 2);
    assert_eq!(findings(&stage.service).await, [""; 0]);
}

#[tokio::test]
async fn a_reconciliation_finds_each_kind_of_difference_and_settles_what_can_be() {
    let stage = Stage::start().await;
    let register = &stage.service.partners.civil_status;
    stage.enter((1..=6).map(entered).collect()).await;
    stage.follow().await;
    stage.deliver().await;
    let told = register.told();
    assert_eq!(told, stage.registry.expected());
    register.lose(&key(1));
    let mut altered = told[&key(2)].clone();
    altered.fields.insert("chongHoTen".to_owned(), "Người khác".to_owned());
    register.hold(altered);
    register.hold(BookEntry {
        key: "R-77".to_owned(),
        number: "77/2026".to_owned(),
        ..told[&key(3)].clone()
    });

    let forbidden = stage.ask("civil_status_officer", HERE, asked(true)).await.unwrap_err();
    assert_eq!(refusal(&forbidden), missing());
    let neighbours = stage.ask("partner_operator", NEIGHBOUR, asked(true)).await.unwrap_err();
    assert_eq!(neighbours.code(), Code::PermissionDenied);

    let run = stage.compare(false).await;
    assert_eq!((run.compared, run.equal, run.differing), (6, 4, 3));
    let found = stage.differences(&run).await;
    let kinds: Vec<_> = found.iter().map(|one| (one.kind(), one.number.as_str())).collect();
    assert_eq!(
        kinds,
        [
            (proto::RegisterDifferenceKind::MissingThere, "01/2026"),
            (proto::RegisterDifferenceKind::Different, "02/2026"),
            (proto::RegisterDifferenceKind::MissingHere, "77/2026"),
        ]
    );
    assert_eq!(found[1].fields, ["chongHoTen"]);
    assert!(found.iter().all(|one| one.state() == proto::DifferenceState::Open));
    // Until it is told again, it is not there as it should be.
    assert_eq!(
        stage.entries("civil_status_officer", HERE, true).await.unwrap().len(),
        2
    );

    let run = stage.compare(true).await;
    assert_eq!(run.differing, 3);
    stage.deliver().await;
    let found = stage.differences(&run).await;
    let states: Vec<_> = found.iter().map(proto::RegisterDifference::state).collect();
    let repaired = proto::DifferenceState::Repaired;
    assert_eq!(states, [repaired, repaired, proto::DifferenceState::Open]);
    let mut there = register.told();
    there.remove("R-77");
    assert_eq!(there, stage.registry.expected(), "our book is the source");
    assert!(
        stage
            .entries("civil_status_officer", HERE, true)
            .await
            .unwrap()
            .is_empty()
    );

    // What only the register has is for somebody to find out.
    let [repaired, _, open] = found.as_slice() else {
        panic!("{found:?}");
    };
    let stale = stage.settle(&open.difference_id, "stale").await.unwrap_err();
    assert_eq!(refusal(&stale).1, "STALE_ETAG");
    let closed = stage.settle(&repaired.difference_id, &repaired.etag).await.unwrap_err();
    assert_eq!(refusal(&closed).1, "DIFFERENCE_CLOSED");
    let unknown = stage.settle(&new_id(), "etag").await.unwrap_err();
    assert_eq!(refusal(&unknown).1, "DIFFERENCE_NOT_FOUND");
    let settled = stage.settle(&open.difference_id, &open.etag).await.unwrap();
    assert_eq!(settled.state(), proto::DifferenceState::Settled);

    // The registry was restored: what the register keeps is later than our book, and telling cannot mend that.
    stage.enter(vec![noted(5)]).await;
    stage.follow().await;
    stage.deliver().await;
    stage.registry.show(entered(5));
    // What it does not let us read is not said to be missing here.
    let mut withheld = entered(6);
    withheld.entry.as_mut().unwrap().withheld = true;
    stage.registry.show(withheld);
    let run = stage.compare(true).await;
    assert_eq!((run.equal, run.waiting, run.differing), (4, 0, 2));
    let found = stage.differences(&run).await;
    assert_eq!(
        (found[0].number.as_str(), found[0].state()),
        ("05/2026", proto::DifferenceState::Open)
    );
    assert_eq!(found[0].fields, ["ghiChu"], "no more than that a note differs");
    stage.registry.show(noted(5));
    stage.registry.show(entered(6));

    // While the registry is away a run waits; the same request is the same run.
    let message = asked(true);
    let asked = stage.ask("partner_operator", HERE, message.clone()).await.unwrap();
    let again = stage.ask("partner_operator", HERE, message).await.unwrap();
    assert_eq!(asked.reconciliation_id, again.reconciliation_id);
    stage.registry.away(true);
    let round = stage.keeper().compare().await.unwrap().unwrap();
    assert_eq!((round.done, round.put_off), (0, 1));
    stage.registry.away(false);
    // So does one for which it shows no book of which entries were told.
    stage.registry.bookless(true);
    stage.service.clock.advance(SignedDuration::from_mins(11));
    let round = stage.keeper().compare().await.unwrap().unwrap();
    assert_eq!((round.done, round.put_off), (0, 1));
    stage.registry.bookless(false);
    stage.service.clock.advance(SignedDuration::from_mins(11));
    let round = stage.keeper().compare().await.unwrap().unwrap();
    assert_eq!((round.done, round.put_off), (1, 0));
    let found = stage.differences(&asked).await;
    assert_eq!(found.len(), 1, "what is missing here is found each time");
    // By itself each commune is compared once in so many days, a share of them a day.
    for expected in [1, 0] {
        let round = stage.own_keeper(2).compare().await.unwrap().unwrap();
        assert_eq!((round.queued, round.done, round.put_off), (expected, expected, 0));
    }
    stage.service.clock.advance(SignedDuration::from_hours(24));
    let round = stage.own_keeper(2).compare().await.unwrap().unwrap();
    assert_eq!((round.queued, round.done), (1, 1));
    let units = "SELECT count(DISTINCT responsible_unit_id) FROM register_reconciliations WHERE own_day IS NOT NULL";
    assert_eq!(stage.service.count(units).await, 2);
    assert_eq!(findings(&stage.service).await, [""; 0]);
    // A row that somebody changed behind the service's back is named.
    let mut connection = stage.service.database.connect_as_superuser().await.unwrap();
    sqlx::query("UPDATE register_differences SET reason = 'otherwise' WHERE state = 3")
        .execute(&mut connection)
        .await
        .unwrap();
    let wrong = findings(&stage.service).await;
    assert!(
        wrong.len() == 1 && wrong[0].starts_with("register_difference "),
        "{wrong:?}"
    );
}
