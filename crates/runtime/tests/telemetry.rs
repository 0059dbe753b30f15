//! What is recorded of calls: lines, spans and measurements, and what is not.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod support;

use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use egov_clock::{SystemClock, SystemIds};
use egov_runtime::config::{LogFormat, ServerConfig};
use egov_runtime::server::{Assembly, Server, Shutdown};
use egov_runtime::telemetry::LogLayer;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{SpanKind, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use serde_json::Value;
use support::{EchoService, Guard, Held, Running, assembly, call, contract, echo, echo_onwards, says, waits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tonic::{Code, Request};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use uuid::Uuid;

/// Everything that this process logged and traced.
#[derive(Clone, Debug, Default)]
struct Seen {
    lines: Arc<Mutex<Vec<u8>>>,
    spans: Arc<Mutex<Vec<SpanData>>>,
}

impl io::Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpanExporter for Seen {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.spans.lock().unwrap().extend(batch);
        Ok(())
    }
}

static SEEN: LazyLock<Seen> = LazyLock::new(|| {
    let seen = Seen::default();
    let traces = SdkTracerProvider::builder().with_simple_exporter(seen.clone()).build();
    let written = seen.clone();
    let log = LogLayer::new(
        "test",
        LogFormat::Json,
        contract().personal_field_names().clone(),
        SystemClock::shared(),
        move || written.clone(),
    );
    tracing_subscriber::registry()
        .with(log.with_filter(LevelFilter::DEBUG))
        .with(OpenTelemetryLayer::new(traces.tracer("test")).with_filter(LevelFilter::INFO))
        .init();
    seen
});

impl Seen {
    /// The line of the answered call with this request id.
    async fn line(&self, request_id: &str) -> Value {
        let end = Instant::now() + support::PATIENCE;
        loop {
            let text = String::from_utf8(self.lines.lock().unwrap().clone()).unwrap();
            let found = text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .find(|line| line["request_id"] == request_id && line["message"] == "answered");
            if let Some(line) = found {
                return line;
            }
            assert!(Instant::now() < end, "no line of {request_id} in\n{text}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn span(&self, trace_id: &str, name: &str) -> SpanData {
        let end = Instant::now() + support::PATIENCE;
        loop {
            let found = self
                .spans
                .lock()
                .unwrap()
                .iter()
                .find(|span| span.span_context.trace_id().to_string() == trace_id && span.name == name)
                .cloned();
            if let Some(span) = found {
                return span;
            }
            assert!(Instant::now() < end, "no span {name} of {trace_id}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn named(id: &'static str, message: support::EchoRequest) -> Request<support::EchoRequest> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-request-id", id.parse().unwrap());
    request
}

const METHOD: &str = "egov.runtime.test.v1.EchoService/Echo";

#[tokio::test]
async fn a_trace_passes_through_two_services_and_stands_in_their_lines() {
    let seen = SEEN.clone();
    let inner = Running::echo(|_| {}).await;
    let onwards = inner.channel().await;
    let service = EchoService::with(move |request| {
        let onwards = onwards.clone();
        async move { echo_onwards(&onwards, request.into_inner()).await }
    });
    let outer = Running::start(
        ServerConfig::default(),
        Assembly::new("outer").service(service).without_auth("a test"),
    )
    .await;

    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut request = named("trace-1", says("through"));
    request.metadata_mut().insert(
        "traceparent",
        format!("00-{trace_id}-00f067aa0ba902b7-01").parse().unwrap(),
    );
    request.metadata_mut().insert("grpc-timeout", "5S".parse().unwrap());
    let answer = echo(&outer.channel().await, request).await.unwrap().into_inner();

    let arrived: Vec<&str> = answer.traceparent.split('-').collect();
    assert_eq!(arrived[1], trace_id, "the same trace");
    assert_ne!(arrived[2], "00f067aa0ba902b7", "as a child of the first service's span");
    assert!(
        (1..=5000).contains(&answer.remaining_ms),
        "the deadline came along: {}",
        answer.remaining_ms
    );

    let line = seen.line("trace-1").await;
    assert_eq!(line["trace_id"], trace_id);
    assert_eq!(line["span_id"], arrived[2]);
    let outer_span = seen.span(trace_id, METHOD).await;
    assert_eq!(outer_span.span_kind, SpanKind::Server);
    assert_eq!(outer_span.span_context.trace_id().to_string(), trace_id);
    outer.stop().await;
    inner.stop().await;
}

#[tokio::test]
async fn a_call_is_one_line_with_what_an_operator_needs_and_nothing_of_the_person() {
    let seen = SEEN.clone();
    let running = Running::echo(|_| {}).await;
    let channel = running.channel().await;

    let answer = echo(&channel, named("line-ok", says("Nguyễn Thị Hoa"))).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "line-ok");
    let line = seen.line("line-ok").await;
    assert_eq!(line["method"], METHOD);
    assert_eq!(line["code"], "OK");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["service"], "test");
    assert!(line["duration_ms"].as_f64().unwrap() >= 0.0);
    assert_eq!(line["trace_id"].as_str().unwrap().len(), 32, "a trace of its own");

    echo(&channel, named("line-refused", waits(-1))).await.unwrap_err();
    let line = seen.line("line-refused").await;
    assert_eq!(
        (&line["code"], &line["reason"]),
        (&"INVALID_ARGUMENT".into(), &"INVALID_FIELD".into())
    );

    let panics = support::EchoRequest {
        text: "Nguyễn Thị Hoa".to_owned(),
        wait_ms: 0,
        panic: true,
    };
    echo(&channel, named("line-panic", panics)).await.unwrap_err();
    let line = seen.line("line-panic").await;
    assert_eq!((&line["code"], &line["level"]), (&"INTERNAL".into(), &"ERROR".into()));

    let refused = call(channel.clone(), "/Nguyen.Thi.Hoa/x", named("line-unknown", says("")))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert_eq!(seen.line("line-unknown").await["method"], "unknown");

    let text = String::from_utf8(seen.lines.lock().unwrap().clone()).unwrap();
    let told = ["Nguyễn", "Hoa"];
    assert!(told.iter().all(|part| !text.contains(part)), "personal data in the log");
    running.stop().await;
}

#[tokio::test]
async fn the_kind_of_caller_stands_in_the_line_and_nothing_else_of_the_caller() {
    let seen = SEEN.clone();
    let guard = Guard::new();
    let assembly = Assembly::new("echo")
        .service(EchoService::new())
        .auth(guard.layer.clone());
    let running = Running::start(ServerConfig::default(), assembly).await;
    let channel = running.channel().await;

    echo(&channel, named("nobody", says("x"))).await.unwrap_err();
    let line = seen.line("nobody").await;
    assert_eq!(
        (&line["code"], &line["reason"]),
        (&"UNAUTHENTICATED".into(), &"TOKEN_MISSING".into())
    );
    assert_eq!(line["caller"], Value::Null);

    let subject = Uuid::from_u128(0x0193_6f1e_8b5a_7c3d_9e2f_0123_4567_89ab);
    let mut request = named("somebody", says("x"));
    request
        .metadata_mut()
        .insert("authorization", guard.staff(subject, &["listener"]));
    echo(&channel, request).await.unwrap();
    assert_eq!(seen.line("somebody").await["caller"], "staff");
    let text = String::from_utf8(seen.lines.lock().unwrap().clone()).unwrap();
    assert!(!text.contains(&subject.to_string()) && !text.contains("Hoa"));
    running.stop().await;
}

#[tokio::test]
async fn a_call_that_its_caller_gave_up_is_recorded_as_cancelled() {
    let seen = SEEN.clone();
    let held = Held::new();
    let running = Running::start(ServerConfig::default(), held.assembly()).await;
    let channel = running.channel().await;
    let call = tokio::spawn(async move { echo(&channel, named("gave-up", says(""))).await });
    held.begun(1).await;
    call.abort();
    assert_eq!(seen.line("gave-up").await["code"], "CANCELLED");
    running.stop().await;
}

#[tokio::test]
async fn plain_http_is_recorded_by_its_route_and_not_by_its_path() {
    let seen = SEEN.clone();
    let routes = Router::new().route("/track/{code}", get(|| async { "state 4" }));
    let running = Running::start(ServerConfig::default(), assembly().http(routes)).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(b"GET /track/SECRET77 HTTP/1.1\r\nhost: x\r\nx-request-id: http-1\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    let line = seen.line("http-1").await;
    assert_eq!(
        (&line["method"], &line["code"]),
        (&"GET /track/{code}".into(), &"200".into())
    );
    let text = String::from_utf8(seen.lines.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("SECRET77"));
    running.stop().await;
}

/// Takes measurements as they are exported.
#[derive(Clone, Default)]
struct Measured(Arc<Mutex<Vec<(String, String, u64)>>>);

impl PushMetricExporter for Measured {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut seen = self.0.lock().unwrap();
        seen.clear();
        for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
            if let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() {
                for point in histogram.data_points() {
                    let attribute = |name: &str| {
                        point
                            .attributes()
                            .find(|one| one.key.as_str() == name)
                            .map(|one| one.value.to_string())
                            .unwrap_or_default()
                    };
                    seen.push((
                        attribute("rpc.method"),
                        attribute("rpc.response.status_code"),
                        point.count(),
                    ));
                }
            }
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let measured = Measured::default();
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(measured.clone())
        .build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder(
        ServerConfig::default(),
        Arc::clone(contract()),
        SystemClock::shared(),
        SystemIds::shared(),
    )
    .meter(provider.meter("test"))
    .assembly(assembly())
    .build()
    .unwrap();
    let shutdown = Shutdown::new();
    let task = tokio::spawn(server.serve(listener, shutdown.clone()));
    let running = Running {
        address,
        shutdown,
        task,
    };
    let channel = running.channel().await;
    for _ in 0..3 {
        echo(&channel, says("x")).await.unwrap();
    }
    echo(&channel, waits(-1)).await.unwrap_err();
    running.stop().await;
    provider.force_flush().unwrap();
    let seen = measured.0.lock().unwrap().clone();
    assert!(seen.contains(&(METHOD.to_owned(), "OK".to_owned(), 3)), "{seen:?}");
    assert!(
        seen.contains(&(METHOD.to_owned(), "INVALID_ARGUMENT".to_owned(), 1)),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_call_over_rest_or_grpc_web_is_recorded_once_under_the_name_of_its_rpc() {
    let seen = SEEN.clone();
    let running = Running::echo(|_| {}).await;
    let client = reqwest::Client::new();
    let url = format!("http://{}/v1/echo", running.address);

    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4737";
    let sent = client
        .post(&url)
        .header("x-request-id", "rest-ok")
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))
        .json(&serde_json::json!({"text": "x"}));
    let response = sent.send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "rest-ok");
    drop(response.bytes().await.unwrap());
    let line = seen.line("rest-ok").await;
    assert_eq!((&line["method"], &line["code"]), (&METHOD.into(), &"OK".into()));
    assert_eq!(line["trace_id"], trace_id);
    let span = seen.span(trace_id, METHOD).await;
    assert!(
        span.attributes
            .iter()
            .any(|one| one.key.as_str() == "rpc.method" && one.value.as_str() == METHOD)
    );

    let refused = client
        .post(&url)
        .header("x-request-id", "rest-refused")
        .json(&serde_json::json!({"waitMs": -1}));
    assert_eq!(refused.send().await.unwrap().status(), 400);
    let line = seen.line("rest-refused").await;
    assert_eq!(
        (&line["method"], &line["code"]),
        (&METHOD.into(), &"INVALID_ARGUMENT".into())
    );
    assert_eq!(line["reason"], "INVALID_FIELD");

    let web = client
        .post(format!("http://{}/{METHOD}", running.address))
        .header("content-type", "application/grpc-web+proto")
        .header("x-request-id", "web-ok")
        .body(vec![0, 0, 0, 0, 0]);
    drop(web.send().await.unwrap().bytes().await.unwrap());
    let line = seen.line("web-ok").await;
    assert_eq!((&line["method"], &line["code"]), (&METHOD.into(), &"OK".into()));

    let text = String::from_utf8(seen.lines.lock().unwrap().clone()).unwrap();
    for id in ["rest-ok", "rest-refused", "web-ok"] {
        let answered = text
            .lines()
            .filter(|line| line.contains(&format!("\"request_id\":\"{id}\"")) && line.contains("\"answered\""));
        assert_eq!(answered.count(), 1, "{id}");
    }
    running.stop().await;
}
