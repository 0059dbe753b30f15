//! The binary `egov-onestop`, as an operations team starts and stops it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_auth::RowScope;
use egov_clock::{SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig, Event};
use egov_fault::Fault;
use egov_keyring::Keyring;
use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::import::import;
use egov_proto::egov::integration::v1 as integration;
use egov_proto::egov::integration::v1::event_service_server::{EventService, EventServiceServer};
use egov_proto::egov::onestop::v1::procedure_service_client::ProcedureServiceClient;
use egov_proto::egov::onestop::v1::{ListCasesRequest, SearchProceduresRequest};
use egov_proto::egov::records::v1::reading_service_client::ReadingServiceClient;
use egov_proto::egov::records::v1::{ListPurposesRequest, ListReadingsRequest};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::support::*;

/// For what must come: long, since this machine may have other things to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the stand-ins were asked.
enum Heard {
    /// Identity: the claims of the proof for which a token is issued.
    Proof(Value),
    /// Integration: the name of a topic that was looked for.
    Topic(String),
    /// Integration: what was published.
    Published(integration::PublishRequest),
}

const TOKEN: &str = "of-the-system";
const TOPIC: Uuid = Uuid::from_u128(0x70);

/// Integration as the contract says it, where one-stop's events go.
struct StandIn(mpsc::UnboundedSender<Heard>);

impl StandIn {
    fn heard<T>(&self, request: Request<T>, heard: impl FnOnce(T) -> Heard) -> Result<(), Status> {
        let token = request.metadata().get("authorization");
        if token.and_then(|token| token.to_str().ok()) != Some(format!("Bearer {TOKEN}").as_str()) {
            return Err(Status::unauthenticated("not this one"));
        }
        // Whoever has heard enough listens no more.
        let _ = self.0.send(heard(request.into_inner()));
        Ok(())
    }
}

macro_rules! not_here {
    ($($method:ident($request:ident) -> $response:ident),* $(,)?) => {
        #[tonic::async_trait]
        impl EventService for StandIn {
            type SubscribeStream = ReceiverStream<Result<integration::SubscribeResponse, Status>>;

            async fn list_topics(
                &self,
                request: Request<integration::ListTopicsRequest>,
            ) -> Result<Response<integration::ListTopicsResponse>, Status> {
                self.heard(request, |request| Heard::Topic(request.name))?;
                Ok(Response::new(integration::ListTopicsResponse {
                    topics: vec![integration::Topic {
                        topic_id: TOPIC.to_string(),
                        ..integration::Topic::default()
                    }],
                    ..integration::ListTopicsResponse::default()
                }))
            }

            async fn publish(
                &self,
                request: Request<integration::PublishRequest>,
            ) -> Result<Response<integration::PublishResponse>, Status> {
                self.heard(request, Heard::Published)?;
                Ok(Response::new(integration::PublishResponse::default()))
            }

            async fn subscribe(
                &self,
                _: Request<tonic::Streaming<integration::SubscribeRequest>>,
            ) -> Result<Response<Self::SubscribeStream>, Status> {
                Err(Status::unimplemented("not asked"))
            }

            $(
                async fn $method(
                    &self,
                    _: Request<integration::$request>,
                ) -> Result<Response<integration::$response>, Status> {
                    Err(Status::unimplemented("not asked"))
                }
            )*
        }
    };
}

not_here!(
    create_topic(CreateTopicRequest) -> CreateTopicResponse,
    update_topic(UpdateTopicRequest) -> UpdateTopicResponse,
    create_subscription(CreateSubscriptionRequest) -> CreateSubscriptionResponse,
    list_subscriptions(ListSubscriptionsRequest) -> ListSubscriptionsResponse,
    delete_subscription(DeleteSubscriptionRequest) -> DeleteSubscriptionResponse,
    get_subscription_status(GetSubscriptionStatusRequest) -> GetSubscriptionStatusResponse,
    pull(PullRequest) -> PullResponse,
    acknowledge(AcknowledgeRequest) -> AcknowledgeResponse,
    list_dead_letters(ListDeadLettersRequest) -> ListDeadLettersResponse,
    get_dead_letter(GetDeadLetterRequest) -> GetDeadLetterResponse,
    redrive_dead_letters(RedriveDeadLettersRequest) -> RedriveDeadLettersResponse,
    purge_dead_letters(PurgeDeadLettersRequest) -> PurgeDeadLettersResponse,
);

/// Identity's token endpoint.
async fn token(State(heard): State<mpsc::UnboundedSender<Heard>>, form: String) -> Json<Value> {
    let (_, proof) = form.split_once("client_assertion=").unwrap();
    let claims = URL_SAFE_NO_PAD.decode(proof.split('.').nth(1).unwrap()).unwrap();
    let _ = heard.send(Heard::Proof(serde_json::from_slice(&claims).unwrap()));
    Json(json!({ "access_token": TOKEN, "expires_in": 300 }))
}

/// Both stand-ins; returns the section `[integration]` that names them, and what they hear.
async fn integration() -> (String, mpsc::UnboundedReceiver<Heard>) {
    let (to, heard) = mpsc::unbounded_channel();
    let issuing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taking = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let section = format!(
        "[integration]\naddress = \"http://{}\"\ntoken_endpoint = \"http://{}/oauth2/token\"\n\
         audience = \"https://identity.test\"\n",
        taking.local_addr().unwrap(),
        issuing.local_addr().unwrap(),
    );
    let router = Router::new().route("/oauth2/token", post(token)).with_state(to.clone());
    tokio::spawn(async move { axum::serve(issuing, router).await });
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(EventServiceServer::new(StandIn(to)))
            .serve_with_incoming(TcpListenerStream::new(taking)),
    );
    (section, heard)
}

/// A configuration whose folders lie in `folder`; identity is away.
fn configured(folder: &Path, database: &str) -> (PathBuf, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let policies = folder.join("policies");
    std::fs::create_dir_all(&policies).unwrap();
    for policy in ["onestop.toml", "records.toml", "purposes.toml"] {
        std::fs::copy(deploy().join("policies").join(policy), policies.join(policy)).unwrap();
    }
    let text = format!(
        "profile = \"demo\"\n\
         [server]\nlisten = \"127.0.0.1:{port}\"\n\
         [database]\nurl = {database:?}\ntest_profile = true\n\
         [files]\nfolder = \"{files}\"\n\
         [identity]\naddress = \"http://127.0.0.1:1\"\nissuer = \"https://identity.test\"\n\
         jwks_url = \"http://127.0.0.1:1/jwks.json\"\ncache = \"{cache}\"\n\
         [access]\nkeys = \"{keys}\"\npolicies = \"{policies}\"\n",
        files = folder.join("files").display(),
        cache = folder.join("directory").display(),
        keys = folder.join("keys").display(),
        policies = policies.display(),
    );
    let file = folder.join("onestop.toml");
    std::fs::write(&file, text).unwrap();
    (file, port)
}

fn start(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_egov-onestop"))
        .arg(config)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn it_starts_without_identity_answers_what_is_public_refuses_the_rest_publishes_its_events_and_drains() {
    let database = egov_testkit::database("onestop", &egov_onestop::MIGRATOR).await;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let keyring = Arc::new(Keyring::create_missing(&keys, &SystemClock).unwrap());
    let config = DatabaseConfig::new(database.app_url.clone())
        .test_profile()
        .max_connections(2);
    let pool = Database::connect(&config, keyring, SystemClock::shared(), SystemIds::shared())
        .await
        .unwrap();
    import(&pool, &packs(), Profile::Demo, |_| {}).await.unwrap();
    // Something of which the process before had told nobody.
    let decision = Uuid::from_u128(0xdec);
    pool.write_unkeyed(&RowScope::everything(), async |unit| {
        unit.publish(Event {
            aggregate_kind: "procedure_decision",
            aggregate_id: decision,
            version: 1,
            kind: "fact_decided",
            payload: json!({ "procedure_code": "1.001193", "version": 1 }),
        });
        Ok::<_, Fault>(())
    })
    .await
    .unwrap();
    pool.close().await;

    let (config, port) = configured(folder.path(), &database.app_url);
    let (section, mut heard) = integration().await;
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &section).unwrap();
    let mut process = start(&config);
    let address = format!("http://127.0.0.1:{port}");
    let mut procedures = loop {
        if let Ok(client) = ProcedureServiceClient::connect(address.clone()).await {
            break client;
        }
        assert!(process.try_wait().unwrap().is_none(), "it ended before it answered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let search = SearchProceduresRequest {
        query: "khai sinh".to_owned(),
        ..Default::default()
    };
    let found = procedures
        .search_procedures(search)
        .await
        .unwrap()
        .into_inner()
        .procedures;
    assert!(!found.is_empty());
    let mut cases = egov_proto::egov::onestop::v1::case_service_client::CaseServiceClient::connect(address)
        .await
        .unwrap();
    let status = cases.list_cases(ListCasesRequest::default()).await.unwrap_err();
    assert_eq!(reason(&status), "TOKEN_MISSING");
    // It answers for its own readings, and says for what personal data may be read.
    let mut readings = ReadingServiceClient::connect(format!("http://127.0.0.1:{port}"))
        .await
        .unwrap();
    let purposes = readings
        .list_purposes(ListPurposesRequest {})
        .await
        .unwrap()
        .into_inner()
        .purposes;
    let handling = purposes.iter().find(|purpose| purpose.code == "case_handling").unwrap();
    assert!(handling.legal_basis.contains("118/2025"), "{handling:?}");
    let status = readings
        .list_readings(ListReadingsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "TOKEN_MISSING");
    drop((procedures, cases, readings));

    // Its relay brings the event into its log, and its forwarder to the topic, with a token for a proof by its own key.
    let about = format!("procedure_decision/{decision}");
    let (mut proof, mut topic) = (None, None);
    let told = loop {
        match tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap() {
            Heard::Proof(claims) => proof = Some(claims),
            Heard::Topic(name) => topic = Some(name),
            Heard::Published(published) => {
                assert_eq!(published.topic_id, TOPIC.to_string());
                if let Some(event) = published.events.into_iter().find(|event| event.subject == about) {
                    break event;
                }
            }
        }
    };
    let proof = proof.unwrap();
    assert_eq!(
        (&proof["sub"], &proof["aud"]),
        (&json!("egov-onestop"), &json!("https://identity.test"))
    );
    assert_eq!(topic.as_deref(), Some("onestop.events"));
    assert_eq!(
        (told.source.as_str(), told.r#type.as_str()),
        ("/egov/onestop", "vn.egov.onestop.fact_decided")
    );
    let data: Value = serde_json::from_slice(&told.data).unwrap();
    assert_eq!(data["payload"]["procedure_code"], "1.001193");

    let pid = process.id().unwrap();
    let told = std::process::Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status()
        .unwrap();
    assert!(told.success());
    let ended = tokio::time::timeout(Duration::from_secs(20), process.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn without_its_keys_or_with_an_unknown_key_of_configuration_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let (config, _) = configured(folder.path(), "postgres:///nowhere");
    let without_keys = start(&config).wait_with_output().await.unwrap();
    assert!(!without_keys.status.success());

    let text = std::fs::read_to_string(&config).unwrap() + "[surprise]\nvalue = 1\n";
    std::fs::write(&config, text).unwrap();
    let unknown = start(&config).wait_with_output().await.unwrap();
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("surprise"));
}
