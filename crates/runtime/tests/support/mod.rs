//! A small service, a server that runs it on a real port, and its client.
#![allow(dead_code, reason = "each test file uses a part")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use egov_auth::{
    ACCESS_TOKEN_TYPE, Access, Assurance, AuthLayer, CallerKind, Issuer, IssuerConfig, KeySourceConfig, Policies,
    Revocations, RoleClaim, TokenClaims, Unit, UnitTree, Verifier, VerifierConfig,
};
use egov_clock::{Clock as _, SystemClock, SystemIds};
use egov_keyring::{Keyring, Purpose};
use egov_runtime::config::ServerConfig;
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Assembly, Drained, Server, Shutdown};
use egov_runtime::telemetry::Propagate;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, MessageDescriptor, ReflectMessage};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::server::{NamedService, UnaryService};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

/// The longest that a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The test contracts.
pub(crate) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut compiler = protox::Compiler::new([format!("{HERE}/tests/protos"), format!("{HERE}/../../proto")]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler
        .open_files(["egov/runtime/test/v1/echo.proto", "egov/runtime/test/v1/rules.proto"])
        .unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
});

/// The checks that the test contracts name.
pub(crate) fn formats() -> Formats {
    Formats::new().with("PHONE", |text| {
        if text.len() == 10 && text.starts_with('0') {
            Ok(())
        } else {
            Err((
                "không phải số điện thoại".to_owned(),
                "is not a phone number".to_owned(),
            ))
        }
    })
}

/// The test contracts, compiled.
pub(crate) fn contract() -> &'static Arc<Contract> {
    static CONTRACT: LazyLock<Arc<Contract>> =
        LazyLock::new(|| Arc::new(Contract::with_formats(&POOL, &formats()).unwrap()));
    &CONTRACT
}

/// Compiles contracts given as text; they may import those of the platform.
pub(crate) fn encode(files: &[(&str, &str)]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut compiler = protox::Compiler::new([folder.path(), Path::new(&format!("{HERE}/../../proto"))]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files.iter().map(|(name, _)| name)).unwrap();
    compiler.encode_file_descriptor_set()
}

/// As [`encode`], decoded.
pub(crate) fn compile(files: &[(&str, &str)]) -> DescriptorPool {
    DescriptorPool::decode(encode(files).as_slice()).unwrap()
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EchoRequest {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(int64, tag = "2")]
    pub(crate) wait_ms: i64,
    #[prost(bool, tag = "3")]
    pub(crate) panic: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EchoResponse {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(string, tag = "2")]
    pub(crate) traceparent: String,
    #[prost(int64, tag = "3")]
    pub(crate) remaining_ms: i64,
    #[prost(int64, tag = "4")]
    pub(crate) certificates: i64,
}

impl ReflectMessage for EchoRequest {
    fn descriptor(&self) -> MessageDescriptor {
        POOL.get_message_by_name("egov.runtime.test.v1.EchoRequest").unwrap()
    }
}

type Answer = BoxFuture<'static, Result<Response<EchoResponse>, Status>>;

/// The test service, as tonic would generate it around a handler.
#[derive(Clone)]
pub(crate) struct EchoService(Arc<dyn Fn(Request<EchoRequest>) -> Answer + Send + Sync>);

impl EchoService {
    pub(crate) fn with<F, Fut>(handler: F) -> Self
    where
        F: Fn(Request<EchoRequest>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<EchoResponse>, Status>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(handler(request))))
    }

    /// Does what the request says.
    pub(crate) fn new() -> Self {
        Self::with(|request| async move {
            let traceparent = request
                .metadata()
                .get("traceparent")
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned();
            let accepted = egov_runtime::accept(contract(), request)?;
            assert!(
                !accepted.message.panic,
                "asked to panic about {}",
                accepted.message.text
            );
            let remaining_ms = accepted.remaining().map_or(-1, |left| left.as_millis() as i64);
            tokio::time::sleep(Duration::from_millis(accepted.message.wait_ms as u64)).await;
            Ok(Response::new(EchoResponse {
                certificates: accepted.client_certificates().map_or(0, |chain| chain.len() as i64),
                text: accepted.message.text,
                traceparent,
                remaining_ms,
            }))
        })
    }
}

/// The test service whose calls are held until they are let go.
#[derive(Clone)]
pub(crate) struct Held {
    begun: watch::Sender<usize>,
    released: watch::Sender<bool>,
    /// How many calls were dropped, finished or not.
    pub(crate) ended: Arc<AtomicUsize>,
}

struct Ending(Arc<AtomicUsize>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Held {
    pub(crate) fn new() -> Self {
        Self {
            begun: watch::Sender::new(0),
            released: watch::Sender::new(false),
            ended: Arc::default(),
        }
    }

    /// Answers with the text of the request, once released.
    pub(crate) fn service(&self) -> EchoService {
        let held = self.clone();
        EchoService::with(move |request| {
            let held = held.clone();
            async move {
                let _ending = Ending(Arc::clone(&held.ended));
                held.begun.send_modify(|begun| *begun += 1);
                held.released.subscribe().wait_for(|released| *released).await.unwrap();
                Ok(Response::new(EchoResponse {
                    text: request.into_inner().text,
                    ..EchoResponse::default()
                }))
            }
        })
    }

    pub(crate) fn assembly(&self) -> Assembly {
        Assembly::new("held").service(self.service()).without_auth("a test")
    }

    /// Waits until this many calls have reached the handler.
    pub(crate) async fn begun(&self, calls: usize) {
        let mut begun = self.begun.subscribe();
        let reached = tokio::time::timeout(PATIENCE, begun.wait_for(|begun| *begun >= calls)).await;
        assert!(reached.is_ok(), "{calls} calls did not begin");
    }

    /// Lets all calls go.
    pub(crate) fn release(&self) {
        self.released.send_replace(true);
    }
}

impl NamedService for EchoService {
    const NAME: &'static str = "egov.runtime.test.v1.EchoService";
}

struct Unary(EchoService);

impl UnaryService<EchoRequest> for Unary {
    type Response = EchoResponse;
    type Future = Answer;

    fn call(&mut self, request: Request<EchoRequest>) -> Answer {
        (self.0.0)(request)
    }
}

impl tower::Service<http::Request<Body>> for EchoService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let path = request.uri().path();
            if !["Echo", "Greet"]
                .iter()
                .any(|method| path == format!("/{}/{method}", Self::NAME))
            {
                return Ok(Status::unimplemented("").into_http());
            }
            let codec = ProstCodec::<EchoResponse, EchoRequest>::default();
            let mut grpc = tonic::server::Grpc::new(codec).apply_max_message_size_config(Some(64 * 1024 * 1024), None);
            Ok(grpc.unary(Unary(service), request).await)
        })
    }
}

/// A guard over the test contracts, and tokens that it accepts.
pub(crate) struct Guard {
    pub(crate) layer: AuthLayer,
    keyring: Keyring,
}

impl Guard {
    /// Lets the role `listener` call `Echo`.
    pub(crate) fn new() -> Self {
        let keyring = Keyring::ephemeral();
        let keys = serde_json::from_value(keyring.jwks(Purpose::TokenSigning)).unwrap();
        let issuer = IssuerConfig::new("https://issuer.test", "egov", KeySourceConfig::Jwks(keys));
        let policies = Policies::from_toml(&[(
            "runtime.toml",
            r#"
            [[role]]
            name = "listener"
            title = "Người nghe"

            [[grant]]
            role = "listener"
            permissions = ["runtime.echoes.read"]
            over = "subtree"
            when = []
            "#,
        )])
        .unwrap();
        let units = UnitTree::new(1, [Unit { id: 1, parent: None }]).unwrap();
        let clock = SystemClock::shared();
        let layer = AuthLayer::new(
            Arc::new(Verifier::new(
                vec![Issuer::from_config(issuer).unwrap()],
                clock.clone(),
                VerifierConfig::default(),
            )),
            Arc::new(Access::new(policies, Arc::new(ArcSwap::from_pointee(units)))),
            Arc::new(Revocations::local(clock)),
            contract().method_rules(),
            &["/grpc.health.v1.Health/", "/grpc.reflection."],
        );
        Self { layer, keyring }
    }

    /// The header of an official with these roles at unit 1.
    pub(crate) fn staff(&self, subject: Uuid, roles: &[&str]) -> MetadataValue<Ascii> {
        let now = SystemClock.now().as_second();
        let claims = TokenClaims {
            iss: "https://issuer.test".to_owned(),
            sub: subject,
            aud: "egov".into(),
            exp: now + 300,
            nbf: Some(now),
            iat: now,
            jti: "token".to_owned(),
            kind: CallerKind::Staff,
            roles: roles
                .iter()
                .map(|role| RoleClaim {
                    role: (*role).to_owned(),
                    unit: 1,
                })
                .collect(),
            dlg: Vec::new(),
            unit: Some(1),
            acr: Assurance::None,
            sid: None,
            act: None,
            client_id: None,
            cnf: None,
            name: Some("Nguyễn Thị Hoa".to_owned()),
        };
        let token = self
            .keyring
            .signing(Purpose::TokenSigning)
            .jwt(ACCESS_TOKEN_TYPE, &claims)
            .unwrap();
        format!("Bearer {token}").parse().unwrap()
    }
}

/// A server on a port of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: JoinHandle<Drained>,
}

impl Running {
    pub(crate) async fn start(config: ServerConfig, assembly: Assembly) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder(
            config,
            Arc::clone(contract()),
            SystemClock::shared(),
            SystemIds::shared(),
        )
        .assembly(assembly)
        .build()
        .unwrap();
        let shutdown = Shutdown::new();
        let task = tokio::spawn(server.serve(listener, shutdown.clone()));
        Self {
            address,
            shutdown,
            task,
        }
    }

    /// A server of the test service with changed settings.
    pub(crate) async fn echo(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig::default();
        change(&mut config);
        Self::start(config, assembly()).await
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap()
    }

    pub(crate) async fn channel(&self) -> Channel {
        self.endpoint().connect().await.unwrap()
    }

    /// Drains and waits for the end.
    pub(crate) async fn stop(self) -> Drained {
        self.shutdown.drain();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the server ends")
            .unwrap()
    }
}

/// The test service without a guard.
pub(crate) fn assembly() -> Assembly {
    Assembly::new("echo")
        .service(EchoService::new())
        .without_auth("a test of the layers around it")
}

pub(crate) fn says(text: &str) -> EchoRequest {
    EchoRequest {
        text: text.to_owned(),
        ..EchoRequest::default()
    }
}

pub(crate) fn waits(milliseconds: i64) -> EchoRequest {
    EchoRequest {
        wait_ms: milliseconds,
        ..EchoRequest::default()
    }
}

/// Calls `Echo`.
pub(crate) async fn echo(
    channel: &Channel,
    request: impl tonic::IntoRequest<EchoRequest>,
) -> Result<Response<EchoResponse>, Status> {
    call(
        channel.clone(),
        "/egov.runtime.test.v1.EchoService/Echo",
        request.into_request(),
    )
    .await
}

/// Calls `Echo` as a service calls another.
pub(crate) async fn echo_onwards(channel: &Channel, request: EchoRequest) -> Result<Response<EchoResponse>, Status> {
    let channel = InterceptedService::new(channel.clone(), Propagate);
    call(channel, "/egov.runtime.test.v1.EchoService/Echo", Request::new(request)).await
}

/// Calls any method with the messages of the test service.
pub(crate) async fn call<S>(
    service: S,
    path: &'static str,
    request: Request<EchoRequest>,
) -> Result<Response<EchoResponse>, Status>
where
    S: tonic::client::GrpcService<Body>,
    S::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut grpc = tonic::client::Grpc::new(service);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.into().to_string()))?;
    let codec = ProstCodec::<EchoRequest, EchoResponse>::default();
    grpc.unary(request, PathAndQuery::from_static(path), codec).await
}
