//! A running identity service with a small province, a clock that stands still, and its callers.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::{Access, Assurance, Issuer, KeySourceConfig, Policies, Verifier, VerifierConfig};
use egov_clock::{Clock as _, ManualClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_directory::{Directory, DirectoryConfig};
use egov_identity::config::{AssertionIssuerConfig, PasswordConfig, Settings, plain_words};
use egov_identity::import::{self, UnitPack};
use egov_identity::operations::bootstrap::{AccountSpec, EnsuredAccount, SystemSpec, ensure_account, ensure_system};
use egov_identity::{Deps, Identity, LocalFeed, MIGRATOR, SERVICE, totp};
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::identity::v1::access_service_client::AccessServiceClient;
use egov_proto::egov::identity::v1::account_batch_service_client::AccountBatchServiceClient;
use egov_proto::egov::identity::v1::account_service_client::AccountServiceClient;
use egov_proto::egov::identity::v1::federation_service_client::FederationServiceClient;
use egov_proto::egov::identity::v1::key_service_client::KeyServiceClient;
use egov_proto::egov::identity::v1::session_service_client::SessionServiceClient;
use egov_proto::egov::identity::v1::sign_in_service_client::SignInServiceClient;
use egov_proto::egov::identity::v1::system_service_client::SystemServiceClient;
use egov_proto::egov::identity::v1::unit_service_client::UnitServiceClient;
use egov_proto::egov::identity::v1::{SignInRequest, TokenPair, VerifyTotpRequest};
use egov_runtime::config::ServerConfig;
use egov_runtime::server::{Server, Shutdown};
use egov_testkit::{TestDatabase, Tokens};
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

pub const ISSUER: &str = "https://identity.test";
pub const EID: &str = "https://eid.test";
pub const PASSWORD: &str = "mật khẩu rất dài";

const UNITS: &str = "code,name,level,parent,effective_from,status,note\n\
    40,Tỉnh Nghệ An,tinh,,2025-03-01,confirmed,\n\
    16690,Phường Trường Vinh,phuong,40,2025-07-01,confirmed,\n\
    17329,Xã Kim Liên,xa,40,2025-07-01,confirmed,\n";
const BELOW: &str = "suffix,applies_to,name,level,effective_from,status,note\n\
    VP,all,Văn phòng Hội đồng nhân dân và Ủy ban nhân dân,van_phong,2025-07-01,unconfirmed,\n";
const AGENCY_CODES: &str = "unit_code,agency_code,status,note\n\
    40,H41,confirmed,\n16690,H41.101,provisional,\n";

/// Ids of the small province: they follow the order of the pack.
pub const PROVINCE: i32 = 1;
pub const WARD: i32 = 2;
pub const COMMUNE: i32 = 3;
pub const WARD_OFFICE: i32 = 4;

const POLICY: &str = include_str!("../../../../deploy/policies/identity.toml");

/// A role of the offices' own work, and one that administers less than `unit_admin`.
const WORK: &str = r#"
    [[role]]
    name = "one_stop_clerk"
    title = "Công chức bộ phận một cửa"
    [[grant]]
    role = "one_stop_clerk"
    permissions = ["onestop.cases.accept"]
    over = "subtree"
    when = []

    [[role]]
    name = "officer"
    title = "Công chức xử lý hồ sơ"
    delegable = true
    [[grant]]
    role = "officer"
    permissions = ["onestop.cases.process"]
    over = "subtree"
    when = []

    [[role]]
    name = "unit_auditor"
    title = "Người kiểm tra tài khoản của đơn vị"
    [[grant]]
    role = "unit_auditor"
    permissions = ["identity.accounts.read"]
    over = "subtree"
    when = []
"#;

/// The pack of the small province.
pub fn pack() -> UnitPack<'static> {
    UnitPack {
        name: "small",
        units: vec![("units.csv", UNITS)],
        commune_departments: Some(("commune_departments.csv", BELOW)),
        agency_codes: Some(("agency-codes.csv", AGENCY_CODES)),
    }
}

/// A key pair of a test: of a system, or of the issuer of electronic identities.
pub struct Signer {
    keyring: Keyring,
}

impl Signer {
    pub fn new() -> Self {
        Self {
            keyring: Keyring::ephemeral(),
        }
    }

    pub fn jwks(&self) -> Value {
        self.keyring.jwks(Purpose::TokenSigning)
    }

    pub fn jwk(&self) -> Value {
        self.jwks()["keys"][0].clone()
    }

    pub fn key_id(&self) -> String {
        self.keyring.signing(Purpose::TokenSigning).id().to_owned()
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.keyring.signing(Purpose::TokenSigning).jwt("JWT", claims).unwrap()
    }

    /// Signed with HMAC, the public key as its secret.
    pub fn confused(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(self.key_id());
        let key = EncodingKey::from_secret(self.jwk()["x"].as_str().unwrap().as_bytes());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

/// A running service.
pub struct World {
    pub identity: Arc<Identity>,
    pub directory: Arc<Directory>,
    pub database: Database,
    pub keyring: Arc<Keyring>,
    pub clock: ManualClock,
    pub tokens: Tokens,
    pub eid: Signer,
    pub address: String,
    pub channel: Channel,
    pub http: reqwest::Client,
    pub own_verifier: Arc<Verifier>,
    settings: Settings,
    shutdown: Shutdown,
    // Last: dropped when nothing uses it any more.
    pub test_database: TestDatabase,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

impl World {
    pub async fn start() -> Self {
        let test_database = egov_testkit::database(SERVICE, &MIGRATOR).await;
        let clock = egov_testkit::clock();
        let keyring = Arc::new(Keyring::ephemeral());
        Self::start_on(test_database, clock, keyring).await
    }

    /// The same with a keyring of one's own.
    pub async fn start_with(keyring: Arc<Keyring>) -> Self {
        let test_database = egov_testkit::database(SERVICE, &MIGRATOR).await;
        Self::start_on(test_database, egov_testkit::clock(), keyring).await
    }

    /// Stops the process, so to say, and starts another on the same database and keyring.
    pub async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn restart_with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        self.shutdown.abort();
        change(&mut self.settings);
        let url = &self.test_database.app_url;
        let parts = Parts::start(url, &self.clock, &self.keyring, self.settings.clone()).await;
        self.identity = parts.identity;
        self.directory = parts.directory;
        self.database = parts.database;
        self.tokens = parts.tokens;
        self.own_verifier = parts.own_verifier;
        self.address = parts.address;
        self.channel = parts.channel;
        self.shutdown = parts.shutdown;
        self
    }

    async fn start_on(test_database: TestDatabase, clock: ManualClock, keyring: Arc<Keyring>) -> Self {
        let eid = Signer::new();
        let mut settings = Settings::default();
        ISSUER.clone_into(&mut settings.tokens.issuer);
        settings.passwords = PasswordConfig {
            memory_kib: 64,
            passes: 1,
            ..PasswordConfig::default()
        };
        // The issuers of agencies are on this machine.
        settings.federation.allow_loopback = true;
        settings.citizens.issuers = vec![AssertionIssuerConfig {
            issuer: EID.to_owned(),
            keys: KeySourceConfig::Jwks(serde_json::from_value(eid.jwks()).unwrap()),
            certificates: None,
            assurance: plain_words(),
            personal_number_claim: Some("personal_number".to_owned()),
        }];
        let parts = Parts::start(&test_database.app_url, &clock, &keyring, settings.clone()).await;
        Self {
            identity: parts.identity,
            directory: parts.directory,
            database: parts.database,
            keyring,
            clock,
            tokens: parts.tokens,
            eid,
            address: parts.address,
            channel: parts.channel,
            http: reqwest::Client::new(),
            own_verifier: parts.own_verifier,
            settings,
            shutdown: parts.shutdown,
            test_database,
        }
    }

    pub fn sign_in(&self) -> SignInServiceClient<Channel> {
        SignInServiceClient::new(self.channel.clone())
    }

    pub fn accounts(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.channel.clone())
    }

    pub fn systems(&self) -> SystemServiceClient<Channel> {
        SystemServiceClient::new(self.channel.clone())
    }

    pub fn access(&self) -> AccessServiceClient<Channel> {
        AccessServiceClient::new(self.channel.clone())
    }

    pub fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel.clone())
    }

    pub fn batches(&self) -> AccountBatchServiceClient<Channel> {
        AccountBatchServiceClient::new(self.channel.clone())
    }

    pub fn federation(&self) -> FederationServiceClient<Channel> {
        FederationServiceClient::new(self.channel.clone())
    }

    pub fn keys(&self) -> KeyServiceClient<Channel> {
        KeyServiceClient::new(self.channel.clone())
    }

    pub fn units(&self) -> UnitServiceClient<Channel> {
        UnitServiceClient::new(self.channel.clone())
    }

    pub async fn sql(&self) -> PgConnection {
        self.test_database.connect_as_superuser().await.unwrap()
    }

    pub fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    pub async fn days_later(&self, days: i64) {
        self.later(days * 24 * 3600).await;
    }

    /// Seconds later, and the service has heard the revocations since, which it otherwise does every second.
    pub async fn later(&self, seconds: i64) {
        self.advance(seconds);
        let feed = LocalFeed::new(self.database.clone(), Arc::clone(&self.keyring));
        self.directory.refresh(&feed).await.unwrap();
    }

    /// An account with [`PASSWORD`] and these roles.
    pub async fn person(&self, username: &str, unit_id: i32, roles: &[(&str, i32)]) -> EnsuredAccount {
        ensure_account(
            &self.identity,
            &AccountSpec {
                username,
                full_name: "Nguyễn Văn An",
                unit_id,
                password: SecretString::from(PASSWORD.to_owned()),
                totp_secret: Some(SECRET),
                roles,
            },
        )
        .await
        .unwrap()
    }

    /// A token of the administrator of the province, who belongs to it.
    pub fn province_admin(&self) -> String {
        self.tokens.staff(Uuid::from_u128(1), &[("province_admin", PROVINCE)])
    }

    /// A token of the administrator of a unit.
    pub fn unit_admin(&self, unit: i32) -> String {
        self.tokens.staff(Uuid::from_u128(2), &[("unit_admin", unit)])
    }

    /// A token of a clerk, who administers nothing.
    pub fn clerk(&self, unit: i32) -> String {
        self.tokens.staff(Uuid::from_u128(3), &[("one_stop_clerk", unit)])
    }

    /// The code that an authenticator shows now.
    pub fn code(&self) -> String {
        totp::code_at(SECRET, totp::step_at(self.clock.now()))
    }

    pub async fn challenge(&self, username: &str, password: &str) -> Result<String, Status> {
        self.sign_in()
            .sign_in(SignInRequest {
                username: username.to_owned(),
                password: password.to_owned(),
            })
            .await
            .map(|answer| answer.into_inner().challenge)
    }

    pub async fn answer(&self, challenge: &str, code: &str) -> Result<TokenPair, Status> {
        self.sign_in()
            .verify_totp(VerifyTotpRequest {
                challenge: challenge.to_owned(),
                totp_code: code.to_owned(),
            })
            .await
            .map(|answer| answer.into_inner().tokens.unwrap())
    }

    /// Both steps of a sign-in.
    pub async fn session(&self, username: &str) -> TokenPair {
        let challenge = self.challenge(username, PASSWORD).await.unwrap();
        self.answer(&challenge, &self.code()).await.unwrap()
    }

    /// Registers a system; its key is the returned signer.
    pub async fn system(&self, client_id: &str, acts_for_citizens: bool) -> (Uuid, Signer) {
        let signer = Signer::new();
        let made = ensure_system(
            &self.identity,
            &SystemSpec {
                client_id,
                name: "Hệ thống thử nghiệm",
                public_jwk: &signer.jwk().to_string(),
                roles: &[("one_stop_clerk", WARD)],
                acts_for_citizens,
            },
        )
        .await
        .unwrap();
        (made.system_id, signer)
    }

    /// What a system says of itself.
    pub fn client_claims(&self, client_id: &str) -> Value {
        let now = self.clock.now().as_second();
        json!({
            "iss": client_id, "sub": client_id, "aud": format!("{ISSUER}/oauth2/token"),
            "iat": now, "exp": now + 60, "jti": Uuid::from_u128(rand(self)).to_string(),
        })
    }

    /// What the issuer of electronic identities says of a citizen.
    pub fn citizen_claims(&self, subject: &str) -> Value {
        let now = self.clock.now().as_second();
        json!({
            "iss": EID, "sub": subject, "aud": ISSUER, "acr": Assurance::Substantial.as_str(),
            "iat": now, "exp": now + 60, "jti": Uuid::from_u128(rand(self)).to_string(),
        })
    }

    /// Asks the token endpoint: status and body.
    pub async fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let body: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{name}={}", percent(value)))
            .collect();
        let answer = self
            .http
            .post(format!("{}/oauth2/token", self.address))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    /// The caller whom a token of this service makes known.
    pub async fn verified(&self, token: &str) -> Arc<egov_auth::Principal> {
        self.own_verifier.verify(token).await.unwrap()
    }
}

/// The secret of everybody's one-time codes in tests.
pub const SECRET: &[u8] = b"12345678901234567890";

fn rand(world: &World) -> u128 {
    world.database.ids().uuid().as_u128()
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// A request with a token.
pub fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// A new request id.
pub fn fresh() -> String {
    use egov_clock::Ids as _;
    SystemIds::default().uuid().to_string()
}

/// The reason in a refusal.
pub fn reason(status: &Status) -> String {
    egov_fault::reason_of(status).unwrap_or_else(|| format!("{status:?}"))
}

/// The reason of a refused call.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    reason(&outcome.unwrap_err())
}

struct Parts {
    identity: Arc<Identity>,
    directory: Arc<Directory>,
    database: Database,
    tokens: Tokens,
    own_verifier: Arc<Verifier>,
    address: String,
    channel: Channel,
    shutdown: Shutdown,
}

impl Parts {
    async fn start(app_url: &str, clock: &ManualClock, keyring: &Arc<Keyring>, settings: Settings) -> Self {
        let contract = Arc::new(egov_identity::contract().unwrap());
        let ids: egov_clock::SharedIds = Arc::new(SystemIds::new(clock.shared()));
        let config = DatabaseConfig::new(app_url).test_profile();
        let database = Database::connect(&config, Arc::clone(keyring), clock.shared(), Arc::clone(&ids))
            .await
            .unwrap();
        import::units(&database, &pack(), &mut |_| {}).await.unwrap();
        let directory = Arc::new(Directory::open(DirectoryConfig::default(), clock.shared()).unwrap());
        let feed = LocalFeed::new(database.clone(), Arc::clone(keyring));
        directory.refresh(&feed).await.unwrap();
        let policies = Policies::from_toml(&[("identity.toml", POLICY), ("work.toml", WORK)]).unwrap();
        let access = Arc::new(Access::new(policies, directory.tree()));
        let tokens = Tokens::by(clock.shared());
        let own = || egov_identity::issuer(&settings, keyring);
        let test_issuer = Issuer::from_config(tokens.issuer()).unwrap();
        let verifier = Arc::new(Verifier::new(
            vec![own(), test_issuer],
            clock.shared(),
            VerifierConfig::default(),
        ));
        let own_verifier = Arc::new(Verifier::new(vec![own()], clock.shared(), VerifierConfig::default()));
        let identity = Identity::open(
            &settings,
            Deps {
                database: database.clone(),
                keyring: Arc::clone(keyring),
                access,
                directory: Arc::clone(&directory),
            },
        )
        .await
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder(ServerConfig::default(), Arc::clone(&contract), clock.shared(), ids)
            .assembly(identity.assembly(verifier, contract))
            .build()
            .unwrap();
        let shutdown = Shutdown::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        let channel = Endpoint::from_shared(address.clone())
            .unwrap()
            .timeout(Duration::from_secs(30))
            .connect_lazy();
        Self {
            identity,
            directory,
            database,
            tokens,
            own_verifier,
            address,
            channel,
            shutdown,
        }
    }
}
