//! The service through its real port, against a real PostgreSQL.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use egov_auth::{Access, AuthLayer, Issuer, Policies, Revocations, Unit, UnitTree, Verifier, VerifierConfig};
use egov_clock::{Ids as _, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_integration::{MIGRATOR, Parts, SERVICE, assemble};
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1::integration_service_client::IntegrationServiceClient;
use egov_proto::egov::integration::v1::{CreateEntryRequest, Entry, GetEntryRequest};
use egov_runtime::config::ServerConfig;
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Server, Shutdown};
use egov_testkit::{TestDatabase, Tokens};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

/// A commune and its neighbour.
const HERE: i32 = 2;
const NEIGHBOUR: i32 = 3;

struct Running {
    client: IntegrationServiceClient<Channel>,
    tokens: Tokens,
    shutdown: Shutdown,
    _database: TestDatabase,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

impl Running {
    async fn start() -> Self {
        let database = egov_testkit::database(SERVICE, &MIGRATOR).await;
        let clock = egov_testkit::clock();
        let config = DatabaseConfig::new(database.app_url.clone()).test_profile();
        let keyring = Arc::new(Keyring::ephemeral());
        let pool = Database::connect(&config, Arc::clone(&keyring), clock.shared(), SystemIds::shared())
            .await
            .unwrap();
        let contract = Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap());
        let tokens = Tokens::by(clock.shared());
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/policies/integration.toml");
        let policy = std::fs::read_to_string(policy).unwrap();
        let units = [(1, None), (HERE, Some(1)), (NEIGHBOUR, Some(1))].map(|(id, parent)| Unit { id, parent });
        let tree = Arc::new(ArcSwap::from_pointee(UnitTree::new(1, units).unwrap()));
        let issuer = Issuer::from_config(tokens.issuer()).unwrap();
        let auth = AuthLayer::new(
            Arc::new(Verifier::new(vec![issuer], clock.shared(), VerifierConfig::default())),
            Arc::new(Access::new(
                Policies::from_toml(&[("policy.toml", &policy)]).unwrap(),
                tree,
            )),
            Arc::new(Revocations::local(clock.shared())),
            contract.method_rules(),
            &[],
        );
        let parts = Parts {
            database: pool,
            contract: Arc::clone(&contract),
            auth,
            partners: egov_integration::partners::Connections::none(keyring),
        };
        let server = Server::builder(ServerConfig::default(), contract, clock.shared(), SystemIds::shared())
            .assembly(assemble(parts))
            .build()
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect_lazy();
        Self {
            client: IntegrationServiceClient::new(channel),
            tokens,
            shutdown,
            _database: database,
        }
    }

    /// A request of somebody with a role at a unit.
    fn by<T>(&self, role: &str, unit: i32, message: T) -> Request<T> {
        let token = self
            .tokens
            .staff(Uuid::from_u128(unit.unsigned_abs().into()), &[(role, unit)]);
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    async fn create(&self, role: &str, message: CreateEntryRequest) -> Result<Entry, Status> {
        let request = self.by(role, HERE, message);
        let answer = self.client.clone().create_entry(request).await?;
        Ok(answer.into_inner().entry.unwrap())
    }

    async fn get(&self, role: &str, unit: i32, entry_id: &str) -> Result<Entry, Status> {
        let message = GetEntryRequest {
            entry_id: entry_id.to_owned(),
        };
        let answer = self.client.clone().get_entry(self.by(role, unit, message)).await?;
        Ok(answer.into_inner().entry.unwrap())
    }
}

fn request(title: &str) -> CreateEntryRequest {
    CreateEntryRequest {
        request_id: SystemIds::default().uuid().to_string(),
        unit_id: HERE,
        title: title.to_owned(),
    }
}

fn refusal(status: &Status) -> (Code, String) {
    (status.code(), egov_fault::reason_of(status).unwrap_or_default())
}

#[tokio::test]
async fn an_entry_is_made_and_read() {
    let service = Running::start().await;
    let made = service
        .create("integration_editor", request("  Sổ  tay "))
        .await
        .unwrap();
    assert_eq!((made.title.as_str(), made.unit_id), ("Sổ tay", HERE));
    let read = service.get("integration_reader", HERE, &made.entry_id).await.unwrap();
    assert_eq!(read, made);
}

#[tokio::test]
async fn the_same_request_makes_one_entry_and_another_under_its_id_is_refused() {
    let service = Running::start().await;
    let mut message = request("một");
    let first = service.create("integration_editor", message.clone()).await.unwrap();
    let second = service.create("integration_editor", message.clone()).await.unwrap();
    assert_eq!(first, second);
    message.title = "hai".to_owned();
    let status = service.create("integration_editor", message).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test]
async fn a_reader_may_not_write_and_the_neighbour_does_not_see() {
    let service = Running::start().await;
    let made = service.create("integration_editor", request("một")).await.unwrap();
    let status = service.create("integration_reader", request("hai")).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::PermissionDenied, "PERMISSION_MISSING".to_owned())
    );
    let status = service
        .get("integration_reader", NEIGHBOUR, &made.entry_id)
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "ENTRY_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn every_violation_is_named() {
    let service = Running::start().await;
    let empty = CreateEntryRequest::default();
    let status = service.create("integration_editor", empty).await.unwrap_err();
    let fields: Vec<String> = egov_fault::fault_of(&status)
        .violations()
        .iter()
        .map(|violation| violation.field.clone())
        .collect();
    assert_eq!(fields, ["request_id", "unit_id", "title"]);
}

#[test]
fn the_first_migration_is_the_shared_schema() {
    let own = include_str!("../../migrations/0001_shared.sql");
    assert_eq!(own, egov_database::SHARED_MIGRATION);
    let own = include_str!("../../migrations/0003_ledger.sql");
    assert_eq!(own, egov_database::SHARED_MIGRATION_2);
}
