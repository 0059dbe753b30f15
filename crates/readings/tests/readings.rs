//! Who read whose data, through a real port, over two databases.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use egov_auth::{
    Access, Assurance, AuthLayer, CallerKind, Capacity, Issuer, Policies, ReadRecord, ReadSink as _, RoleAt, Verifier,
    VerifierConfig,
};
use egov_clock::{Clock as _, ManualClock, SystemIds};
use egov_database::{
    Database, DatabaseConfig, ReadRecordSink, SHARED_MIGRATION, SHARED_MIGRATION_2, SHARED_MIGRATION_4,
};
use egov_directory::{Directory, DirectoryConfig, Feed};
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::identity::v1 as identity;
use egov_proto::egov::records::v1::reading_service_client::ReadingServiceClient;
use egov_proto::egov::records::v1::{
    AuditReadingsRequest, AuditReadingsResponse, ListPurposesRequest, ListReadingsRequest, ListReadingsResponse,
    ReaderKind, Reading,
};
use egov_proto::egov::types::v1::LocalizedText;
use egov_runtime::config::ServerConfig;
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Assembly, Server, Shutdown};
use egov_testkit::{TestDatabase, Tokens};
use jiff::SignedDuration;
use prost::Message as _;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "shared", SHARED_MIGRATION),
        migration(2, "ledger", SHARED_MIGRATION_2),
        migration(4, "readings", SHARED_MIGRATION_4),
    ])
});

const PROVINCE: i32 = 1;
const WARD: i32 = 2;
const NEIGHBOUR: i32 = 3;

struct StillFeed(Keyring);

#[async_trait::async_trait]
impl Feed for StillFeed {
    async fn tree(&self, _known_version: i64) -> Result<identity::GetTreeSnapshotResponse, Fault> {
        let unit = |unit_id, code: &str, name: &str, parent_id| identity::Unit {
            unit_id,
            code: code.to_owned(),
            name: name.to_owned(),
            kind: identity::UnitKind::Ward.into(),
            parent_id,
            effective_from: Some(jiff::civil::date(2025, 7, 1).into()),
            ..identity::Unit::default()
        };
        let snapshot = identity::TreeSnapshot {
            version: 1,
            units: vec![
                unit(PROVINCE, "40", "Tỉnh Nghệ An", 0),
                unit(WARD, "16690", "Phường Trường Vinh", PROVINCE),
                unit(NEIGHBOUR, "16681", "Phường Thành Vinh", PROVINCE),
            ],
            ..identity::TreeSnapshot::default()
        }
        .encode_to_vec();
        let key = self.0.signing(Purpose::TreeSigning);
        Ok(identity::GetTreeSnapshotResponse {
            signature: key.sign(&snapshot).unwrap(),
            key_id: key.id().to_owned(),
            snapshot,
            version: 1,
            jwks: self.0.jwks(Purpose::TreeSigning).to_string(),
        })
    }

    async fn revocations(&self, _after: i64) -> Result<identity::ListRevocationsResponse, Fault> {
        Ok(identity::ListRevocationsResponse::default())
    }
}

/// The service over the databases of two services.
struct Stage {
    clock: ManualClock,
    tokens: Tokens,
    channel: Channel,
    sinks: [ReadRecordSink; 2],
    databases: [TestDatabase; 2],
    shutdown: Shutdown,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

impl Stage {
    async fn start() -> Self {
        let clock = egov_testkit::clock();
        let keyring = Arc::new(Keyring::ephemeral());
        let connect = async || {
            let database = egov_testkit::database("readings", &MIGRATOR).await;
            let config = DatabaseConfig::new(database.app_url.clone())
                .test_profile()
                .max_connections(4);
            let pool = Database::connect(&config, Arc::clone(&keyring), clock.shared(), SystemIds::shared())
                .await
                .unwrap();
            (database, pool)
        };
        let (first, identity) = connect().await;
        let (second, onestop) = connect().await;
        let directory = Arc::new(Directory::open(DirectoryConfig::default(), clock.shared()).unwrap());
        directory.refresh(&StillFeed(Keyring::ephemeral())).await.unwrap();
        let tokens = Tokens::by(clock.shared());
        let contract = Arc::clone(&CONTRACT);
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/policies");
        let access = Arc::new(Access::new(Policies::read(&policies).unwrap(), directory.tree()));
        let auth = AuthLayer::new(
            Arc::new(Verifier::new(
                vec![Issuer::from_config(tokens.issuer()).unwrap()],
                clock.shared(),
                VerifierConfig::default(),
            )),
            Arc::clone(&access),
            directory.revocations(),
            contract.method_rules(),
            &[],
        );
        let sinks = [
            ReadRecordSink::new(identity.clone()),
            ReadRecordSink::new(onestop.clone()),
        ];
        let service = egov_readings::service(egov_readings::Parts {
            databases: vec![("identity", identity), ("onestop", onestop)],
            directory,
            access,
            clock: clock.shared(),
            contract: Arc::clone(&contract),
        })
        .unwrap();
        let server = Server::builder(ServerConfig::default(), contract, clock.shared(), SystemIds::shared())
            .assembly(Assembly::new("records").service(service).auth(auth))
            .build()
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        Self {
            clock,
            tokens,
            channel: Endpoint::from_shared(format!("http://{address}"))
                .unwrap()
                .connect_lazy(),
            sinks,
            databases: [first, second],
            shutdown,
        }
    }

    /// A request in the name of a token, for a purpose.
    fn ask<T>(message: T, token: &str, purpose: Option<&str>) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
        if let Some(purpose) = purpose {
            metadata.insert("x-egov-purpose", purpose.parse().unwrap());
        }
        request
    }

    async fn list(&self, token: &str, request: ListReadingsRequest) -> Result<ListReadingsResponse, Status> {
        ReadingServiceClient::new(self.channel.clone())
            .list_readings(Self::ask(request, token, None))
            .await
            .map(tonic::Response::into_inner)
    }

    async fn audit(
        &self,
        token: &str,
        purpose: Option<&str>,
        request: AuditReadingsRequest,
    ) -> Result<AuditReadingsResponse, Status> {
        ReadingServiceClient::new(self.channel.clone())
            .audit_readings(Self::ask(request, token, purpose))
            .await
            .map(tonic::Response::into_inner)
    }

    fn citizen(&self, person: Uuid) -> String {
        self.tokens.citizen(person, Assurance::Substantial)
    }

    fn auditor(&self, unit: i32) -> String {
        self.tokens
            .staff(Uuid::from_u128(0xAD), &[("data_protection_auditor", unit)])
    }

    /// The reading of a list of cases by a clerk of a unit.
    fn read(&self, unit: i32, cases: &[(Uuid, &str)]) -> ReadRecord {
        let mut subjects: Vec<Uuid> = cases.iter().map(|(person, _)| *person).collect();
        subjects.sort_unstable();
        subjects.dedup();
        ReadRecord {
            reader: format!("staff:{}", Uuid::from_u128(0xC1E4)),
            kind: CallerKind::Staff,
            purpose: Some("case_handling".to_owned()),
            method: "/egov.onestop.v1.CaseService/ListCases".to_owned(),
            subjects,
            resources: cases.iter().map(|(_, code)| (*code).to_owned()).collect(),
            owners: cases.iter().map(|(person, _)| Some(*person)).collect(),
            client: None,
            unit: Some(unit),
            capacities: vec![Capacity {
                held: RoleAt {
                    role: "one_stop_clerk".to_owned(),
                    unit,
                },
                delegator: None,
            }],
            at: self.clock.now(),
        }
    }
}

fn reason(status: &Status) -> String {
    egov_fault::reason_of(status).unwrap_or_default()
}

fn vi(text: Option<&LocalizedText>) -> &str {
    text.map_or("", |text| text.vi.as_str())
}

#[tokio::test]
async fn a_person_sees_by_which_agency_for_what_and_on_which_law_and_nothing_of_the_others_in_the_list() {
    let stage = Stage::start().await;
    let (me, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
    let record = stage.read(WARD, &[(other, "cases/A"), (me, "cases/B"), (other, "cases/C")]);
    stage.sinks[1].write(&[record]).await.unwrap();

    let answer = stage
        .list(&stage.citizen(me), ListReadingsRequest::default())
        .await
        .unwrap();
    let [reading] = answer.readings.as_slice() else {
        panic!("{answer:?}")
    };
    assert_eq!(reading.reader_kind(), ReaderKind::Staff);
    assert_eq!(reading.reader_unit.as_ref().unwrap().name, "Phường Trường Vinh");
    assert_eq!(reading.capacities[0].role, "one_stop_clerk");
    assert_eq!(
        vi(reading.capacities[0].title.as_ref()),
        "Công chức bộ phận một cửa (tiếp nhận và trả kết quả)"
    );
    let purpose = reading.purpose.as_ref().unwrap();
    assert_eq!(vi(purpose.title.as_ref()), "Giải quyết hồ sơ thủ tục hành chính");
    assert!(purpose.legal_basis.contains("118/2025/NĐ-CP"), "{purpose:?}");
    assert_eq!(vi(reading.act.as_ref()), "xem danh sách hồ sơ");
    assert_eq!(reading.service, "onestop");
    assert_eq!(reading.resources, ["cases/B"], "what is another's is not shown");
    let shown = format!("{answer:?}");
    assert!(
        !shown.contains(&Uuid::from_u128(0xC1E4).to_string()),
        "which official it was"
    );
    assert!(!shown.contains(&other.to_string()), "who else was in the list");
}

#[tokio::test]
async fn somebody_else_and_the_neighbour_see_nothing_of_it_and_a_system_for_itself_may_not_ask() {
    let stage = Stage::start().await;
    let me = Uuid::from_u128(7);
    let record = stage.read(WARD, &[(me, "cases/B")]);
    stage.sinks[0].write(&[record]).await.unwrap();

    let stranger = stage.citizen(Uuid::from_u128(9));
    assert_eq!(
        stage
            .list(&stranger, ListReadingsRequest::default())
            .await
            .unwrap()
            .readings,
        []
    );
    let official = stage.tokens.staff(Uuid::from_u128(5), &[("one_stop_clerk", WARD)]);
    assert_eq!(
        stage
            .list(&official, ListReadingsRequest::default())
            .await
            .unwrap()
            .readings,
        [],
        "an official sees who read the official's own data"
    );
    let portal = stage.tokens.system(Uuid::from_u128(0x900), &[("national_portal", 0)]);
    let refused = stage.list(&portal, ListReadingsRequest::default()).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "PERMISSION_MISSING")
    );
    let for_me = stage
        .tokens
        .on_behalf(Uuid::from_u128(0x900), &[("national_portal", 0)], me, Assurance::Low);
    assert_eq!(
        stage
            .list(&for_me, ListReadingsRequest::default())
            .await
            .unwrap()
            .readings
            .len(),
        1,
        "the portal asks for the person"
    );

    let by = |unit| (stage.auditor(unit), Some("data_protection_audit"));
    let (neighbour, purpose) = by(NEIGHBOUR);
    let seen = stage
        .audit(&neighbour, purpose, AuditReadingsRequest::default())
        .await
        .unwrap();
    assert_eq!(seen.readings, [], "the neighbour's supervisor");
    let refused = stage
        .audit(&official, purpose, AuditReadingsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "PERMISSION_MISSING");
}

#[tokio::test]
async fn a_deputy_is_shown_with_the_own_unit_and_the_delegated_role() {
    let stage = Stage::start().await;
    let (me, leader) = (Uuid::from_u128(7), Uuid::from_u128(0x1EAD));
    let record = ReadRecord {
        capacities: vec![Capacity {
            held: RoleAt {
                role: "unit_leader".to_owned(),
                unit: NEIGHBOUR,
            },
            delegator: Some(leader),
        }],
        ..stage.read(WARD, &[(me, "cases/B")])
    };
    stage.sinks[1].write(&[record]).await.unwrap();
    let answer = stage
        .list(&stage.citizen(me), ListReadingsRequest::default())
        .await
        .unwrap();
    let reading = &answer.readings[0];
    assert_eq!(reading.reader_unit.as_ref().unwrap().code, "16690");
    let capacity = &reading.capacities[0];
    assert!(capacity.delegated);
    assert_eq!(vi(capacity.title.as_ref()), "Lãnh đạo đơn vị");
    assert_eq!(capacity.unit.as_ref().unwrap().code, "16681");
    assert!(!format!("{answer:?}").contains(&leader.to_string()), "not which leader");

    let purpose = Some("data_protection_audit");
    let audited = stage
        .audit(&stage.auditor(NEIGHBOUR), purpose, AuditReadingsRequest::default())
        .await
        .unwrap();
    assert_eq!(
        audited.readings.len(),
        1,
        "the unit in whose name was read supervises it"
    );
    assert_eq!(audited.readings[0].delegator_ids, [leader.to_string()]);
    assert_eq!(audited.readings[0].reader_id, Uuid::from_u128(0xC1E4).to_string());
}

#[tokio::test]
async fn what_a_supervisor_looks_at_needs_a_purpose_and_is_shown_to_the_persons_in_turn() {
    let stage = Stage::start().await;
    let me = Uuid::from_u128(7);
    let record = stage.read(WARD, &[(me, "cases/B")]);
    stage.sinks[1].write(&[record]).await.unwrap();
    let auditor = stage.auditor(PROVINCE);
    let of_me = AuditReadingsRequest {
        person_id: me.to_string(),
        ..AuditReadingsRequest::default()
    };
    let without = stage.audit(&auditor, None, of_me.clone()).await.unwrap_err();
    assert_eq!(reason(&without), "PURPOSE_MISSING");
    let made_up = stage
        .audit(&auditor, Some("curiosity"), of_me.clone())
        .await
        .unwrap_err();
    assert_eq!(
        (made_up.code(), reason(&made_up).as_str()),
        (Code::InvalidArgument, "PURPOSE_UNKNOWN")
    );
    assert!(
        made_up.message().contains("data_protection_audit"),
        "{}",
        made_up.message()
    );

    stage.clock.advance(SignedDuration::from_secs(1));
    let purpose = Some("data_protection_audit");
    let seen = stage.audit(&auditor, purpose, of_me.clone()).await.unwrap();
    assert_eq!(seen.readings.len(), 1);
    assert_eq!(seen.readings[0].person_ids, [me.to_string()]);
    let nobody = AuditReadingsRequest {
        person_id: Uuid::from_u128(0x77).to_string(),
        ..AuditReadingsRequest::default()
    };
    assert_eq!(stage.audit(&auditor, purpose, nobody).await.unwrap().readings, []);
    let other_unit = AuditReadingsRequest {
        unit_id: NEIGHBOUR,
        ..AuditReadingsRequest::default()
    };
    assert_eq!(stage.audit(&auditor, purpose, other_unit).await.unwrap().readings, []);

    let mine = stage
        .list(&stage.citizen(me), ListReadingsRequest::default())
        .await
        .unwrap();
    assert_eq!(mine.readings.len(), 2, "the supervisor's look is on the list");
    assert_eq!(
        vi(mine.readings[0].act.as_ref()),
        "giám sát nhật ký truy cập dữ liệu cá nhân"
    );
    assert_eq!(mine.readings[0].purpose.as_ref().unwrap().code, "data_protection_audit");
}

#[tokio::test]
async fn pages_over_two_databases_show_each_reading_once_newest_first() {
    let stage = Stage::start().await;
    let me = Uuid::from_u128(7);
    for round in 0..12 {
        // Three instants, so that many readings of both databases share one.
        if round % 4 == 0 {
            stage.clock.advance(SignedDuration::from_secs(1));
        }
        let code = format!("cases/{round}");
        let record = stage.read(WARD, &[(me, code.as_str())]);
        stage.sinks[round % 2].write(&[record]).await.unwrap();
    }
    let token = stage.citizen(me);
    let whole = stage
        .list(&token, ListReadingsRequest::default())
        .await
        .unwrap()
        .readings;
    assert_eq!(whole.len(), 12);
    let times: Vec<i64> = whole.iter().map(|reading| reading.read_time.unwrap().seconds).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    for size in [1, 3, 5] {
        let mut pages: Vec<Reading> = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListReadingsRequest {
                page_size: size,
                page_token: page_token.clone(),
                ..ListReadingsRequest::default()
            };
            let page = stage.list(&token, request).await.unwrap();
            assert!(page.readings.len() <= usize::try_from(size).unwrap());
            pages.extend(page.readings);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
            // What is read meanwhile stands before the first page and moves nothing.
            stage.clock.advance(SignedDuration::from_secs(1));
            let later = stage.read(WARD, &[(Uuid::from_u128(8), "cases/later")]);
            stage.sinks[0].write(&[later]).await.unwrap();
        }
        assert_eq!(pages, whole, "in pages of {size}");
    }
    let request = ListReadingsRequest {
        page_size: 1,
        ..ListReadingsRequest::default()
    };
    let first = stage.list(&token, request).await.unwrap();
    let stolen = ListReadingsRequest {
        page_token: first.next_page_token,
        ..ListReadingsRequest::default()
    };
    let refused = stage
        .list(&stage.citizen(Uuid::from_u128(9)), stolen)
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn the_own_readings_are_left_out_on_request_and_days_narrow_the_list() {
    let stage = Stage::start().await;
    let me = Uuid::from_u128(7);
    let own = |reader: String, kind| ReadRecord {
        reader,
        kind,
        purpose: Some("own_case".to_owned()),
        capacities: Vec::new(),
        unit: None,
        ..stage.read(WARD, &[(me, "cases/B")])
    };
    let system = Uuid::from_u128(0x900);
    stage.sinks[0]
        .write(&[
            own(format!("citizen:{me}"), CallerKind::Citizen),
            ReadRecord {
                client: Some("national-portal".to_owned()),
                ..own(format!("system:{system}/citizen:{me}"), CallerKind::System)
            },
            stage.read(WARD, &[(me, "cases/B")]),
        ])
        .await
        .unwrap();
    let token = stage.citizen(me);
    let kinds = async |request| -> Vec<ReaderKind> {
        let answer = stage.list(&token, request).await.unwrap();
        answer.readings.iter().map(Reading::reader_kind).collect()
    };
    assert_eq!(
        kinds(ListReadingsRequest::default()).await,
        [ReaderKind::Staff, ReaderKind::SystemForSelf, ReaderKind::Self_]
    );
    let answer = stage.list(&token, ListReadingsRequest::default()).await.unwrap();
    let systems: Vec<&str> = answer
        .readings
        .iter()
        .map(|reading| reading.reader_system.as_str())
        .collect();
    assert_eq!(systems, ["", "national-portal", ""]);
    let others = ListReadingsRequest {
        by_others_only: true,
        ..ListReadingsRequest::default()
    };
    assert_eq!(kinds(others).await, [ReaderKind::Staff]);
    let today = stage.clock.today();
    let on = |first: jiff::civil::Date, last: jiff::civil::Date| ListReadingsRequest {
        from_date: Some(first.into()),
        to_date: Some(last.into()),
        ..ListReadingsRequest::default()
    };
    assert_eq!(kinds(on(today, today)).await.len(), 3);
    let tomorrow = today.tomorrow().unwrap();
    assert_eq!(kinds(on(tomorrow, tomorrow)).await, []);
    let backwards = stage.list(&token, on(tomorrow, today)).await.unwrap_err();
    assert_eq!(reason(&backwards), "INVALID_FIELD");
}

#[tokio::test]
async fn a_record_of_the_version_before_shows_resources_only_to_a_person_who_was_read_about_alone() {
    let stage = Stage::start().await;
    let (me, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
    let mut app = stage.databases[0].connect_as_app().await.unwrap();
    for (subjects, resource) in [(vec![me], "alone"), (vec![me, other], "together")] {
        sqlx::query(
            "INSERT INTO egov.read_records (reader, kind, purpose, method, subjects, resources, read_time)
             VALUES ('staff:x', 'staff', 'giải quyết hồ sơ', '/gone.v1.Service/Method', $1, ARRAY[$2], now())",
        )
        .bind(subjects)
        .bind(resource)
        .execute(&mut app)
        .await
        .unwrap();
    }
    let answer = stage
        .list(&stage.citizen(me), ListReadingsRequest::default())
        .await
        .unwrap();
    let shown: Vec<&[String]> = answer
        .readings
        .iter()
        .map(|reading| reading.resources.as_slice())
        .collect();
    assert_eq!(shown, [&[][..], &["alone".to_owned()]]);
    let purpose = answer.readings[0].purpose.as_ref().unwrap();
    assert_eq!(
        (purpose.code.as_str(), purpose.legal_basis.as_str()),
        ("giải quyết hồ sơ", ""),
        "no basis is made up"
    );
    assert_eq!(vi(answer.readings[0].act.as_ref()), "/gone.v1.Service/Method");
}

#[tokio::test]
async fn everybody_may_know_for_what_personal_data_is_read() {
    let stage = Stage::start().await;
    let purposes = ReadingServiceClient::new(stage.channel.clone())
        .list_purposes(ListPurposesRequest {})
        .await
        .unwrap()
        .into_inner()
        .purposes;
    let codes: Vec<&str> = purposes.iter().map(|purpose| purpose.code.as_str()).collect();
    assert!(
        codes.contains(&"case_handling") && codes.contains(&"inspection"),
        "{codes:?}"
    );
    assert!(codes.is_sorted());
    for purpose in purposes {
        assert!(
            !purpose.legal_basis.is_empty() && purpose.effective_from.is_some(),
            "{purpose:?}"
        );
    }
}

/// The contracts with their compiled rules: the same for every test, and slow to compile in a debug build.
static CONTRACT: LazyLock<Arc<Contract>> =
    LazyLock::new(|| Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap()));
