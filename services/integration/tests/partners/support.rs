//! The service over simulated partners.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use egov_clock::{Ids as _, ManualClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_directory::{Directory, DirectoryConfig};
use egov_integration::partners::{Connections, Delivering, PartnersSection};
use egov_integration::{Deliverer, EventParts, MIGRATOR, Parts, Round, SERVICE, assemble};
use egov_keyring::Keyring;
use egov_partners::backoff::Backoff;
use egov_partners::breaker::BreakerConfig;
use egov_partners::line::LineConfig;
use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::civil_register_service_client::CivilRegisterServiceClient;
use egov_proto::egov::integration::v1::civil_status_service_client::CivilStatusServiceClient;
use egov_proto::egov::integration::v1::payment_service_client::PaymentServiceClient;
use egov_proto::egov::integration::v1::population_service_client::PopulationServiceClient;
use egov_proto::egov::integration::v1::portal_service_client::PortalServiceClient;
use egov_proto::egov::integration::v1::synchronisation_service_client::SynchronisationServiceClient;
use egov_proto::egov::onestop::v1::{ApplicantKind, Case, CaseResult, CaseState, Party};
use egov_proto::google::r#type::Date;
use egov_runtime::config::ServerConfig;
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Server, Shutdown};
use egov_simulators::{
    ACCOUNT, API_KEY, CivilStatusSimulator, NOTICE_SECRET, PASSWORD, PaymentSimulator, PopulationSimulator,
    PortalSimulator, SECRET, SIGNING_SECRET, TOKEN, USERNAME, X_ROAD_CLIENT,
};
use egov_testkit::{TestDatabase, Tokens};
use egov_transparency::{Log, LogConfig};
use jiff::SignedDuration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

pub(crate) use crate::agencies::agency;
use crate::callers::auth_layer;

/// A commune and its neighbour.
pub const HERE: i32 = 2;
pub const NEIGHBOUR: i32 = 3;
pub const CASE: &str = "H41.50.05.13-261126-0001";
/// Their agency codes.
pub const AGENCY: &str = "H41.50.05.13";
pub const NEIGHBOURS_AGENCY: &str = "H41.50.05.14";

/// The four partners.
pub struct Partners {
    pub portal: PortalSimulator,
    pub payment: PaymentSimulator,
    pub population: PopulationSimulator,
    pub civil_status: CivilStatusSimulator,
}

impl Partners {
    pub async fn start(clock: &ManualClock) -> Self {
        Self {
            portal: PortalSimulator::start(clock.shared()).await.unwrap(),
            payment: PaymentSimulator::start(clock.shared()).await.unwrap(),
            population: PopulationSimulator::start(clock.shared()).await.unwrap(),
            civil_status: CivilStatusSimulator::start(clock.shared()).await.unwrap(),
        }
    }

    pub fn connections(&self, keyring: Arc<Keyring>, clock: &ManualClock) -> Connections {
        let urls = [
            self.portal.url(),
            self.payment.url(),
            self.population.url(),
            self.civil_status.url(),
        ];
        connections(&urls, keyring, clock)
    }
}

/// Connections to partners at these addresses, with short times.
pub fn connections(urls: &[String; 4], keyring: Arc<Keyring>, clock: &ManualClock) -> Connections {
    let line = |url: &String| LineConfig {
        address: url.clone(),
        hosts: vec!["127.0.0.1".to_owned()],
        timeout_ms: 300,
        dead_line_ms: 1_500,
        tries: 2,
        backoff: Backoff {
            first_ms: 2,
            longest_ms: 5,
        },
        breaker: BreakerConfig {
            failures: 100,
            pause_ms: 1_000,
        },
        ..LineConfig::default()
    };
    let [portal, payment, population, civil_status] = urls;
    let mut section = PartnersSection {
        code_tables: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/code-tables"),
        delivering: Delivering {
            // The test decides about rounds.
            here: false,
            most_attempts: 6,
            // Whoever is away is given up: a test waits for no days.
            wait_for_partner_hours: 0,
            ..Delivering::default()
        },
        ..PartnersSection::default()
    };
    section.portal.line = line(portal);
    USERNAME.clone_into(&mut section.portal.username);
    section.portal.password = PASSWORD.into();
    section.payment.line = line(payment);
    section.payment.secret = SECRET.into();
    section.payment.notice_secret = NOTICE_SECRET.into();
    section.population.line = line(population);
    ACCOUNT.clone_into(&mut section.population.user);
    section.population.secret = SIGNING_SECRET.into();
    section.population.api_key = API_KEY.into();
    X_ROAD_CLIENT.clone_into(&mut section.population.x_road_client);
    "XacThucThongTin".clone_into(&mut section.population.confirm_operation);
    "population".clone_into(&mut section.population.path);
    "nghean".clone_into(&mut section.population.account);
    section.civil_status.line = line(civil_status);
    section.civil_status.token = TOKEN.into();
    section.open(keyring, &clock.shared(), &SystemIds::shared()).unwrap()
}

pub struct Running {
    pub partners: Partners,
    pub clock: ManualClock,
    pub database: TestDatabase,
    pub keyring: Arc<Keyring>,
    pub address: String,
    pool: Database,
    channel: Channel,
    tokens: Tokens,
    shutdown: Shutdown,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

impl Running {
    /// With the four simulated partners. A test decides about rounds.
    pub async fn start() -> Self {
        let clock = egov_testkit::clock();
        let keyring = Arc::new(Keyring::ephemeral());
        let partners = Partners::start(&clock).await;
        let connections = partners.connections(Arc::clone(&keyring), &clock);
        Self::with(partners, clock, keyring, connections).await
    }

    /// With connections that are made of those to the simulated partners.
    pub async fn connected(make: impl FnOnce(Connections, &ManualClock) -> Connections) -> Self {
        let clock = egov_testkit::clock();
        let keyring = Arc::new(Keyring::ephemeral());
        let partners = Partners::start(&clock).await;
        let connections = make(partners.connections(Arc::clone(&keyring), &clock), &clock);
        Self::with(partners, clock, keyring, connections).await
    }

    /// With a keyring that another process can open.
    pub async fn on_disk(folder: &Path) -> Self {
        let clock = egov_testkit::clock();
        let keyring = Arc::new(Keyring::open(folder, &clock).unwrap());
        let partners = Partners::start(&clock).await;
        let connections = partners.connections(Arc::clone(&keyring), &clock);
        Self::with(partners, clock, keyring, connections).await
    }

    /// Without connections.
    pub async fn unconnected() -> Self {
        let clock = egov_testkit::clock();
        let keyring = Arc::new(Keyring::ephemeral());
        let partners = Partners::start(&clock).await;
        let connections = Connections::none(Arc::clone(&keyring));
        Self::with(partners, clock, keyring, connections).await
    }

    async fn with(partners: Partners, clock: ManualClock, keyring: Arc<Keyring>, connections: Connections) -> Self {
        let database = egov_testkit::database(SERVICE, &MIGRATOR).await;
        agency(&database, HERE, AGENCY, "2026-01-01").await;
        agency(&database, NEIGHBOUR, NEIGHBOURS_AGENCY, "2026-01-01").await;
        let config = DatabaseConfig::new(database.app_url.clone()).test_profile();
        let pool = Database::connect(&config, Arc::clone(&keyring), clock.shared(), SystemIds::shared())
            .await
            .unwrap();
        let contract = Arc::clone(&CONTRACT);
        let tokens = Tokens::by(clock.shared());
        let auth = auth_layer(&contract, tokens.issuer(), &clock, &[HERE, NEIGHBOUR]);
        let parts = Parts {
            database: pool.clone(),
            contract: Arc::clone(&contract),
            auth,
            // It knows no agency codes: those of the directory in the database count.
            directory: Arc::new(Directory::open(DirectoryConfig::default(), clock.shared()).unwrap()),
            partners: connections,
            keyring: Arc::clone(&keyring),
            endpoints: Arc::default(),
            events: EventParts::in_database(&pool),
            log: Arc::new(Log::new(
                pool.clone(),
                Arc::clone(&keyring),
                LogConfig {
                    id: SERVICE.to_owned(),
                    prefix: "egov.test".to_owned(),
                    memory: None,
                },
            )),
            door: None,
        };
        let server = Server::builder(ServerConfig::default(), contract, clock.shared(), SystemIds::shared())
            .assembly(assemble(parts).unwrap().assembly)
            .build()
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        let channel = Endpoint::from_shared(address.clone()).unwrap().connect_lazy();
        Self {
            partners,
            clock,
            database,
            keyring,
            address,
            pool,
            channel,
            tokens,
            shutdown,
        }
    }

    /// The service's database, as the service reaches it.
    pub fn pool(&self) -> &Database {
        &self.pool
    }

    /// The job as another process would run it.
    pub fn deliverer(&self) -> Deliverer {
        Deliverer::new(
            &self.pool,
            self.partners.connections(Arc::clone(&self.keyring), &self.clock),
        )
    }

    /// One round.
    pub async fn round(&self) -> Round {
        self.deliverer()
            .round()
            .await
            .unwrap()
            .expect("nobody else has the lease")
    }

    /// Rounds, each after so long that everything open is due, until nothing is left to do.
    pub async fn rounds(&self) {
        for _ in 0..30 {
            self.clock.advance(SignedDuration::from_mins(16));
            if self.round().await.tried == 0 {
                return;
            }
        }
        panic!("there is always something left");
    }

    /// A request of somebody with a role at a unit, who says for what purpose.
    pub fn by<T>(&self, role: &str, unit: i32, message: T) -> Request<T> {
        let mut request = self.without_purpose(role, unit, message);
        request
            .metadata_mut()
            .insert("x-egov-purpose", "case_handling".parse().unwrap());
        request
    }

    pub fn without_purpose<T>(&self, role: &str, unit: i32, message: T) -> Request<T> {
        let token = self
            .tokens
            .staff(Uuid::from_u128(unit.unsigned_abs().into()), &[(role, unit)]);
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    pub fn population(&self) -> PopulationServiceClient<Channel> {
        PopulationServiceClient::new(self.channel.clone())
    }

    pub fn payments(&self) -> PaymentServiceClient<Channel> {
        PaymentServiceClient::new(self.channel.clone())
    }

    pub fn portal(&self) -> PortalServiceClient<Channel> {
        PortalServiceClient::new(self.channel.clone())
    }

    pub fn synchronisations(&self) -> SynchronisationServiceClient<Channel> {
        SynchronisationServiceClient::new(self.channel.clone())
    }

    pub fn civil_register(&self) -> CivilRegisterServiceClient<Channel> {
        CivilRegisterServiceClient::new(self.channel.clone())
    }

    pub fn civil_status(&self) -> CivilStatusServiceClient<Channel> {
        CivilStatusServiceClient::new(self.channel.clone())
    }

    pub async fn order(&self, message: proto::CreatePaymentOrderRequest) -> Result<proto::PaymentOrder, Status> {
        let request = self.by("partner_caller", HERE, message);
        let answer = self.payments().create_payment_order(request).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub async fn order_now(&self, order_id: &str) -> proto::PaymentOrder {
        let message = proto::GetPaymentOrderRequest {
            order_id: order_id.to_owned(),
        };
        let request = self.by("partner_caller", HERE, message);
        let answer = self.payments().get_payment_order(request).await.unwrap();
        answer.into_inner().order.unwrap()
    }

    pub async fn submit(
        &self,
        message: proto::SynchroniseCaseRequest,
    ) -> Result<proto::SynchroniseCaseResponse, Status> {
        let request = self.by("partner_caller", HERE, message);
        Ok(self.portal().synchronise_case(request).await?.into_inner())
    }

    pub async fn delivery(&self, delivery_id: &str) -> proto::Delivery {
        let message = proto::GetDeliveryRequest {
            delivery_id: delivery_id.to_owned(),
        };
        let request = self.by("partner_operator", HERE, message);
        let answer = self.portal().get_delivery(request).await.unwrap();
        answer.into_inner().delivery.unwrap()
    }

    pub async fn redrive(&self, delivery: &proto::Delivery) -> Result<proto::Delivery, Status> {
        let message = proto::RedriveDeliveryRequest {
            request_id: new_id(),
            delivery_id: delivery.delivery_id.clone(),
            etag: delivery.etag.clone(),
        };
        let request = self.by("partner_operator", HERE, message);
        let answer = self.portal().redrive_delivery(request).await?;
        Ok(answer.into_inner().delivery.unwrap())
    }

    /// The payloads of the events of a kind, relayed or not.
    pub async fn events(&self, kind: &str) -> Vec<serde_json::Value> {
        let mut connection = self.database.connect_as_superuser().await.unwrap();
        let both = "SELECT payload FROM (SELECT kind, payload FROM egov.outbox UNION ALL
                    SELECT kind, payload FROM egov.event_log) AS events WHERE kind = $1";
        let rows: Vec<(sqlx::types::Json<serde_json::Value>,)> = sqlx::query_as(both)
            .bind(kind)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        rows.into_iter().map(|(payload,)| payload.0).collect()
    }

    /// How many rows a query counts, as the superuser.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = self.database.connect_as_superuser().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }
}

pub fn new_id() -> String {
    SystemIds::default().uuid().to_string()
}

pub fn refusal(status: &Status) -> (Code, String) {
    (status.code(), egov_fault::reason_of(status).unwrap_or_default())
}

pub fn order() -> proto::CreatePaymentOrderRequest {
    proto::CreatePaymentOrderRequest {
        request_id: new_id(),
        unit_id: HERE,
        case_code: CASE.to_owned(),
        amount_vnd: 8_000,
    }
}

pub fn case(state: CaseState, version: i64) -> proto::SynchroniseCaseRequest {
    case_with_code(CASE, state, version)
}

pub fn case_with_code(case_code: &str, state: CaseState, version: i64) -> proto::SynchroniseCaseRequest {
    proto::SynchroniseCaseRequest {
        request_id: new_id(),
        case: Some(Case {
            case_id: Uuid::from_u128(7).to_string(),
            case_code: case_code.to_owned(),
            procedure_code: "1.001193".to_owned(),
            procedure_name: "Đăng ký khai sinh".to_owned(),
            state: state.into(),
            owner: Some(Party {
                kind: ApplicantKind::Citizen.into(),
                full_name: "Nguyễn Văn An".to_owned(),
                personal_number: "040099000001".to_owned(),
                ..Party::default()
            }),
            responsible_unit_id: HERE,
            results: vec![CaseResult {
                result_code: "KQ.G15.000031".to_owned(),
                ..CaseResult::default()
            }],
            version,
            ..Case::default()
        }),
        field_code: "G15-HT02".to_owned(),
        field_name: "Hộ tịch".to_owned(),
        handling_unit: "UBND xã Kim Liên".to_owned(),
    }
}

pub fn enquiry() -> proto::PopulationEnquiry {
    proto::PopulationEnquiry {
        unit_id: HERE,
        agency_code: "H41.50.05.13".to_owned(),
        service_code: "1.001193".to_owned(),
        officer_code: "CB-0001".to_owned(),
        legal_basis: "Luật Hộ tịch 60/2014/QH13".to_owned(),
        case_code: CASE.to_owned(),
        citizen_id: Uuid::from_u128(42).to_string(),
        number: "040099000001".to_owned(),
        full_name: "Nguyễn Văn An".to_owned(),
        birth_date: Some(Date {
            year: 1999,
            month: 2,
            day: 14,
        }),
    }
}

pub fn registration() -> proto::SubmitRegistrationRequest {
    proto::SubmitRegistrationRequest {
        request_id: new_id(),
        unit_id: HERE,
        agency_code: "H41.50.05.13".to_owned(),
        case_code: CASE.to_owned(),
        kind: proto::RegistrationKind::Birth.into(),
        register_date: Some(Date {
            year: 2026,
            month: 11,
            day: 26,
        }),
        fields: vec![proto::RegistrationField {
            name: "nksHoTen".to_owned(),
            value: "Nguyễn Văn Bé".to_owned(),
        }],
        subject_ids: vec![Uuid::from_u128(42).to_string()],
    }
}

/// The contracts with their compiled rules: the same for every test, and slow to compile in a debug build.
static CONTRACT: LazyLock<Arc<Contract>> =
    LazyLock::new(|| Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap()));
