//! Telemetry as a service starts it. One test alone in its process: it installs what belongs to the whole of it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use egov_clock::SystemClock;
use egov_runtime::config::{Period, ServerConfig, TelemetryConfig};
use egov_runtime::server::Assembly;
use egov_runtime::telemetry;
use support::{EchoService, Running, assembly, contract, echo, says};
use tokio::net::TcpListener;

/// A collector that takes everything and notes what it was sent, and with which authorization.
async fn collector() -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let router = Router::new().fallback(async move |request: Request| {
        let authorization = request
            .headers()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        noted
            .lock()
            .unwrap()
            .push((request.uri().path().to_owned(), authorization.unwrap_or_default()));
        // An empty message and the status OK.
        let frame = axum::body::Body::from(vec![0_u8; 5]);
        http::Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "0")
            .body(frame)
            .unwrap()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_and_metrics_reach_the_collector_and_wrong_settings_stop_the_start() {
    let hidden = contract().personal_field_names();
    let start = |config: &TelemetryConfig| telemetry::start("test", config, hidden, SystemClock::shared());
    let refused = |change: &dyn Fn(&mut TelemetryConfig)| {
        let mut config = TelemetryConfig::default();
        change(&mut config);
        start(&config).unwrap_err().to_string()
    };
    assert!(refused(&|config| config.trace_ratio = 1.5).contains("between 0 and 1"));
    assert!(refused(&|config| config.log.filter = "info,=x=".to_owned()).contains("telemetry.log.filter"));
    assert!(refused(&|config| config.otlp.endpoint = "https://collector:4317".to_owned()).contains("needs ca"));
    assert!(
        refused(&|config| {
            config.otlp.endpoint = "https://collector:4317".to_owned();
            config.otlp.ca = Some("/nowhere/ca.pem".into());
        })
        .contains("/nowhere/ca.pem")
    );
    assert!(
        refused(&|config| {
            config.otlp.endpoint = "http://collector:4317".to_owned();
            config.otlp.ca = Some("/nowhere/ca.pem".into());
        })
        .contains("not https")
    );

    let (endpoint, seen) = collector().await;
    let mut config = TelemetryConfig {
        environment: "trial".to_owned(),
        ..TelemetryConfig::default()
    };
    config.log.filter = "off".to_owned();
    config.otlp.endpoint = endpoint;
    config.otlp.authorization = "Bearer collector".into();
    config.otlp.interval = Period::seconds(3600);
    let running_telemetry = start(&config).unwrap();
    assert!(start(&config).unwrap_err().to_string().contains("started before"));

    let inner = Running::start(ServerConfig::default(), assembly()).await;
    let onwards = inner.channel().await;
    let service = EchoService::with(move |request| {
        let onwards = onwards.clone();
        async move { support::echo_onwards(&onwards, request.into_inner()).await }
    });
    let outer = Running::start(
        ServerConfig::default(),
        Assembly::new("outer").service(service).without_auth("a test"),
    )
    .await;
    let answer = echo(&outer.channel().await, says("x")).await.unwrap().into_inner();
    assert_eq!(
        answer.traceparent.len(),
        55,
        "a trace begins here: {}",
        answer.traceparent
    );
    outer.stop().await;
    inner.stop().await;

    let stopped = tokio::task::spawn_blocking(move || running_telemetry.stop());
    tokio::time::timeout(Duration::from_secs(10), stopped)
        .await
        .unwrap()
        .unwrap();
    let seen = seen.lock().unwrap().clone();
    for path in [
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    ] {
        assert!(
            seen.iter()
                .any(|(sent, token)| sent == path && token == "Bearer collector"),
            "{path} in {seen:?}"
        );
    }
}
