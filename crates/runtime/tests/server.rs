//! A server on a real port: limits, health, reflection, jobs, the drain.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use egov_clock::{SystemClock, SystemIds};
use egov_fault::{fault_of, reason_of};
use egov_runtime::config::{Period, ServerConfig};
use egov_runtime::server::{Assembly, Drained, Job, Server, ServerBuilder, StartError};
use prost_reflect::DescriptorPool;
use support::{EchoService, Held, PATIENCE, Running, assembly, call, contract, echo, says, waits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

fn asks(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

fn server(config: ServerConfig, assemblies: Vec<Assembly>) -> Result<Server, StartError> {
    let builder = Server::builder(
        config,
        Arc::clone(contract()),
        SystemClock::shared(),
        SystemIds::shared(),
    );
    assemblies.into_iter().fold(builder, ServerBuilder::assembly).build()
}

/// Waits until `done` says yes.
async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done().await {
        assert!(Instant::now() < end, "{what} did not happen");
        sleep(Duration::from_millis(5)).await;
    }
}

/// One plain HTTP/1.1 request on a connection of its own.
async fn http(running: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(request.replace('\n', "\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

#[tokio::test]
async fn a_drain_lets_calls_in_progress_finish_and_refuses_new_ones() {
    let held = Held::new();
    let running = Running::start(ServerConfig::default(), held.assembly()).await;
    let channel = running.channel().await;
    let in_progress = tokio::spawn({
        let channel = channel.clone();
        async move { echo(&channel, says("slow")).await }
    });
    held.begun(1).await;
    running.shutdown.drain();
    let address = running.address;
    eventually("the port's end", async || TcpStream::connect(address).await.is_err()).await;

    let refused = echo(&channel, says("after")).await.unwrap_err();
    // Which of the two the client says depends on whether it has read the goodbye already.
    assert!(
        matches!(refused.code(), Code::Unavailable | Code::Cancelled),
        "{refused:?}"
    );
    held.release();
    assert_eq!(in_progress.await.unwrap().unwrap().into_inner().text, "slow");
    assert_eq!(
        timeout(PATIENCE, running.task).await.unwrap().unwrap(),
        Drained::default()
    );
}

#[tokio::test]
async fn calls_that_outlast_the_grace_period_are_aborted() {
    let held = Held::new();
    let mut config = ServerConfig::default();
    config.drain.grace = Period::millis(150);
    let running = Running::start(config, held.assembly()).await;
    let channel = running.channel().await;
    let stuck = tokio::spawn(async move { echo(&channel, says("stuck")).await });
    held.begun(1).await;

    let started = Instant::now();
    let drained = running.stop().await;
    assert_eq!(
        drained,
        Drained {
            aborted_connections: 1,
            aborted_jobs: 0
        }
    );
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert!(stuck.await.unwrap().is_err());
    eventually("the end of the handler", async || {
        held.ended.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_skips_the_rest_of_the_grace_period() {
    let held = Held::new();
    let running = Running::start(ServerConfig::default(), held.assembly()).await;
    let channel = running.channel().await;
    let stuck = tokio::spawn(async move { echo(&channel, says("stuck")).await });
    held.begun(1).await;
    running.shutdown.drain();
    sleep(Duration::from_millis(50)).await;
    assert!(!running.task.is_finished(), "one signal waits for the call");
    running.shutdown.abort();
    let drained = timeout(PATIENCE, running.task).await.unwrap().unwrap();
    assert_eq!(drained.aborted_connections, 1);
    assert!(stuck.await.unwrap().is_err());
}

#[tokio::test]
async fn whoever_watches_health_sees_the_drain_and_does_not_hold_it_up() {
    let running = Running::echo(|config| config.drain.delay = Period::millis(1500)).await;
    let mut health = HealthClient::new(running.channel().await);
    let check = health.check(asks("egov.runtime.test.v1.EchoService")).await.unwrap();
    assert_eq!(check.into_inner().status(), ServingStatus::Serving);
    assert_eq!(
        health.check(asks("no.such.Service")).await.unwrap_err().code(),
        Code::NotFound
    );

    let mut watch = health.watch(asks("")).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert!(
        http(&running, "GET /health/ready HTTP/1.1\nhost: x\nconnection: close\n\n")
            .await
            .starts_with("HTTP/1.1 200")
    );

    running.shutdown.drain();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    // Within the delay calls are still taken, so that a load balancer can turn away in peace.
    echo(&running.channel().await, says("late")).await.unwrap();
    assert!(
        http(&running, "GET /health/ready HTTP/1.1\nhost: x\nconnection: close\n\n")
            .await
            .starts_with("HTTP/1.1 503")
    );
    assert!(
        http(&running, "GET /health/live HTTP/1.1\nhost: x\nconnection: close\n\n")
            .await
            .starts_with("HTTP/1.1 200")
    );

    let end = timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    assert_eq!(running.stop().await, Drained::default());
}

#[tokio::test]
async fn a_service_that_cannot_serve_is_seen_in_its_own_health_and_in_that_of_the_whole() {
    let server = server(ServerConfig::default(), vec![assembly()]).unwrap();
    let health = server.health();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = egov_runtime::server::Shutdown::new();
    let task = tokio::spawn(server.serve(listener, shutdown.clone()));
    let running = Running {
        address,
        shutdown,
        task,
    };
    let mut client = HealthClient::new(running.channel().await);
    let mut status = async |service: &str| client.check(asks(service)).await.unwrap().into_inner().status();

    assert_eq!(status("").await, ServingStatus::Serving);
    health.set("egov.runtime.test.v1.EchoService", false).await;
    assert_eq!(
        status("egov.runtime.test.v1.EchoService").await,
        ServingStatus::NotServing
    );
    assert_eq!(status("").await, ServingStatus::NotServing);
    health.set("egov.runtime.test.v1.EchoService", true).await;
    assert_eq!(status("").await, ServingStatus::Serving);
    running.stop().await;
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_and_the_connection_goes_on() {
    let running = Running::echo(|config| config.limits.message_bytes = 100_000).await;
    let channel = running.channel().await;
    let text = "x".repeat(99_000);
    assert_eq!(
        echo(&channel, says(&text)).await.unwrap().into_inner().text.len(),
        99_000
    );
    for size in [101_000, 8_000_000] {
        let refused = echo(&channel, says(&"x".repeat(size))).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        let fault = fault_of(&refused);
        assert_eq!(fault.reason(), "MESSAGE_TOO_LARGE");
        assert_eq!(fault.metadata().get("limit").map(String::as_str), Some("100000"));
    }
    echo(&channel, says("after")).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_body_of_plain_http_above_the_limit_is_refused() {
    let routes = Router::new().route("/notes", post(async |body: String| body.len().to_string()));
    let mut config = ServerConfig::default();
    config.limits.message_bytes = 10;
    let running = Running::start(config, assembly().http(routes)).await;
    let send = |body: &str| {
        format!(
            "POST /notes HTTP/1.1\nhost: x\nconnection: close\ncontent-length: {}\n\n{body}",
            body.len()
        )
    };
    assert!(http(&running, &send("0123456789")).await.starts_with("HTTP/1.1 200"));
    assert!(http(&running, &send("0123456789a")).await.starts_with("HTTP/1.1 413"));
    running.stop().await;
}

#[tokio::test]
async fn the_callers_deadline_is_kept_but_not_beyond_the_maximum() {
    let running = Running::echo(|config| {
        config.limits.deadline = Period::seconds(1);
        config.limits.deadline_max = Period::seconds(60);
    })
    .await;
    let channel = running.channel().await;
    // Set by hand: a client that knows its own deadline would not wait for the server's answer.
    let with_timeout = |value: &'static str, wait_ms: i64| {
        let mut request = Request::new(waits(wait_ms));
        request.metadata_mut().insert("grpc-timeout", value.parse().unwrap());
        request
    };

    let left = echo(&channel, says("")).await.unwrap().into_inner().remaining_ms;
    assert!((1..=1000).contains(&left), "{left}");
    let left = echo(&channel, with_timeout("1H", 0))
        .await
        .unwrap()
        .into_inner()
        .remaining_ms;
    assert!((1001..=60_000).contains(&left), "{left}");

    let started = Instant::now();
    let late = echo(&channel, waits(60_000)).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(started.elapsed() >= Duration::from_secs(1));

    // A client that sets a deadline does not wait for the server to keep it; so this call goes in without one.
    let server = server(ServerConfig::default(), vec![assembly()]).unwrap();
    let started = Instant::now();
    let path = "/egov.runtime.test.v1.EchoService/Echo";
    let late = call(server.router(), path, with_timeout("100m", 60_000))
        .await
        .unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert_eq!(reason_of(&late).as_deref(), Some("DEADLINE_EXCEEDED"));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    running.stop().await;
}

#[tokio::test]
async fn calls_beyond_the_limit_are_shed_with_a_hint_and_health_still_answers() {
    let held = Held::new();
    let mut config = ServerConfig::default();
    config.limits.concurrent_calls = 2;
    let running = Running::start(config, held.assembly()).await;
    let channel = running.channel().await;
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { echo(&channel, says("busy")).await })
        })
        .collect();
    held.begun(2).await;

    let shed = echo(&channel, says("third")).await.unwrap_err();
    assert_eq!(shed.code(), Code::ResourceExhausted);
    let fault = fault_of(&shed);
    assert_eq!(fault.reason(), "OVERLOADED");
    assert_eq!(fault.retry_delay(), Some(Duration::from_secs(1)));
    let health = HealthClient::new(channel.clone()).check(asks("")).await.unwrap();
    assert_eq!(health.into_inner().status(), ServingStatus::Serving);
    let page = http(&running, "GET /anything HTTP/1.1\nhost: x\nconnection: close\n\n").await;
    assert!(
        page.starts_with("HTTP/1.1 429") && page.contains("OVERLOADED") && page.contains("retry-after: 1"),
        "{page}"
    );

    held.release();
    for call in busy {
        call.await.unwrap().unwrap();
    }
    echo(&channel, says("again")).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_panic_is_an_internal_error_without_detail_and_the_process_goes_on() {
    let running = Running::echo(|_| {}).await;
    let channel = running.channel().await;
    let request = support::EchoRequest {
        text: "Nguyễn Thị Hoa".to_owned(),
        wait_ms: 0,
        panic: true,
    };
    let failed = echo(&channel, request).await.unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert_eq!(failed.message(), "internal error");
    assert!(!String::from_utf8_lossy(failed.details()).contains("Nguyễn"));
    echo(&channel, says("after")).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn an_invalid_message_is_refused_by_the_entry_of_the_handler() {
    let running = Running::echo(|_| {}).await;
    let refused = echo(&running.channel().await, waits(-1)).await.unwrap_err();
    let fault = fault_of(&refused);
    assert_eq!(fault.reason(), "INVALID_FIELD");
    assert_eq!(
        (
            fault.violations()[0].field.as_str(),
            fault.violations()[0].rule.as_str()
        ),
        ("wait_ms", "int64.gte")
    );
    running.stop().await;
}

#[tokio::test]
async fn what_nobody_serves_is_said_in_the_callers_protocol() {
    let running = Running::echo(|_| {}).await;
    let channel = running.channel().await;
    for path in ["/egov.runtime.test.v1.EchoService/Nothing", "/no.such.Service/Echo"] {
        let refused = call(channel.clone(), path, Request::new(says(""))).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{path}");
    }
    let page = http(&running, "GET /nowhere HTTP/1.1\nhost: x\nconnection: close\n\n").await;
    assert!(page.starts_with("HTTP/1.1 404"), "{page}");
    running.stop().await;
}

#[tokio::test]
async fn plain_http_of_a_service_is_served_on_the_same_port_with_a_request_id() {
    let routes = Router::new().route("/hello/{name}", get(|| async { "xin chào" }));
    let running = Running::start(ServerConfig::default(), assembly().http(routes)).await;
    let page = http(
        &running,
        "GET /hello/hoa HTTP/1.1\nhost: x\nx-request-id: r-1\nconnection: close\n\n",
    )
    .await;
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("x-request-id: r-1") && page.ends_with("xin chào"),
        "{page}"
    );
    echo(&running.channel().await, says("beside it")).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn both_versions_of_reflection_show_the_services_with_their_options() {
    let running = Running::echo(|_| {}).await;
    let channel = running.channel().await;

    let files = {
        use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
        use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_client::ServerReflectionClient};
        let ask = |message| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(message),
        };
        let mut client = ServerReflectionClient::new(channel.clone());
        let mut answers = client
            .server_reflection_info(tokio_stream::iter([
                ask(MessageRequest::ListServices(String::new())),
                ask(MessageRequest::FileContainingSymbol(
                    "egov.runtime.test.v1.EchoService".to_owned(),
                )),
                ask(MessageRequest::FileByFilename(
                    "egov/options/v1/options.proto".to_owned(),
                )),
                ask(MessageRequest::FileByFilename("buf/validate/validate.proto".to_owned())),
                ask(MessageRequest::FileByFilename(
                    "google/api/annotations.proto".to_owned(),
                )),
                ask(MessageRequest::FileByFilename("google/api/http.proto".to_owned())),
                ask(MessageRequest::FileByFilename(
                    "google/protobuf/descriptor.proto".to_owned(),
                )),
                ask(MessageRequest::FileByFilename(
                    "google/protobuf/duration.proto".to_owned(),
                )),
                ask(MessageRequest::FileByFilename(
                    "google/protobuf/field_mask.proto".to_owned(),
                )),
                ask(MessageRequest::FileByFilename(
                    "google/protobuf/timestamp.proto".to_owned(),
                )),
            ]))
            .await
            .unwrap()
            .into_inner();
        let mut files = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.unwrap().message_response.unwrap() {
                MessageResponse::ListServicesResponse(list) => {
                    let names: Vec<_> = list.service.into_iter().map(|one| one.name).collect();
                    for name in ["egov.runtime.test.v1.EchoService", "grpc.health.v1.Health"] {
                        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
                    }
                }
                MessageResponse::FileDescriptorResponse(response) => files.extend(response.file_descriptor_proto),
                other => panic!("{other:?}"),
            }
        }
        files
    };
    // A client that knows nothing but this can read the custom options.
    let mut pool = DescriptorPool::new();
    // They come in no order that is promised: each as soon as what it imports is there.
    let mut waiting = files;
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|file| pool.decode_file_descriptor_proto(file.as_slice()).is_err());
        assert!(waiting.len() < before, "{before} files import what never came");
    }
    let access = pool.get_extension_by_name("egov.options.v1.access").unwrap();
    let service = pool.get_service_by_name("egov.runtime.test.v1.EchoService").unwrap();
    let options = service.methods().next().unwrap().options();
    assert!(
        options
            .get_extension(&access)
            .to_string()
            .contains("runtime.echoes.read")
    );

    {
        use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::v1alpha::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        };
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(channel);
        // The caller keeps its side open: a drain must not wait for it.
        let open = tokio_stream::iter([request]).chain(tokio_stream::pending());
        let mut answers = client.server_reflection_info(open).await.unwrap().into_inner();
        assert!(answers.next().await.unwrap().is_ok());
        assert_eq!(running.stop().await, Drained::default());
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let running = Running::echo(|config| config.keepalive.handshake = Period::millis(500)).await;
    let address = running.address;
    let silent = ["", "PRI * HTTP/2.0", "GET / HTTP/1.1\r\nhost: "].map(|first_words| {
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(first_words.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let closed = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
            assert!(closed.is_ok(), "{first_words:?} keeps the connection open");
        })
    });
    for connection in silent {
        connection.await.unwrap();
    }
    // An HTTP/2 connection without a call in progress may stay.
    let channel = running.channel().await;
    echo(&channel, says("one")).await.unwrap();
    sleep(Duration::from_millis(700)).await;
    echo(&channel, says("two")).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_connection_whose_first_words_came_in_time_stays_although_the_server_reads_them_late() {
    let running = Running::echo(|config| config.keepalive.handshake = Period::millis(200)).await;
    let mut connections = Vec::new();
    for _ in 0..16 {
        connections.push(TcpStream::connect(running.address).await.unwrap());
    }
    // Accepted by now, and its time runs.
    sleep(Duration::from_millis(100)).await;
    for connection in &mut connections {
        connection
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            .await
            .unwrap();
    }
    // The machine is behind: the only thread does nothing until the time of all of them is over.
    #[expect(clippy::disallowed_methods, reason = "the thread is to be kept from everything else")]
    std::thread::sleep(Duration::from_millis(400));
    for connection in &mut connections {
        let mut answer = [0; 9];
        let read = timeout(PATIENCE, connection.read_exact(&mut answer)).await.unwrap();
        assert!(read.is_ok(), "it was closed: {read:?}");
    }
    drop(connections);
    running.stop().await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_given_up_and_one_that_does_stays() {
    let running = Running::echo(|config| {
        config.keepalive.interval = Period::millis(100);
        config.keepalive.timeout = Period::millis(200);
    })
    .await;
    // A peer that begins HTTP/2 with its preface and empty settings, and never says anything again.
    let mut dead = TcpStream::connect(running.address).await.unwrap();
    dead.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        .await
        .unwrap();
    let mut heard = Vec::new();
    let closed = timeout(PATIENCE, dead.read_to_end(&mut heard)).await;
    assert!(closed.is_ok(), "a dead peer keeps the connection open");
    const PING: u8 = 6;
    let mut frames = heard.as_slice();
    let mut kinds = Vec::new();
    while let [a, b, c, kind, rest @ ..] = frames {
        kinds.push(*kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        frames = rest.get(5 + length..).unwrap_or_default();
    }
    assert!(kinds.contains(&PING), "{kinds:?}");

    let channel = running.channel().await;
    echo(&channel, says("one")).await.unwrap();
    sleep(Duration::from_millis(700)).await;
    echo(&channel, says("two")).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_connection_of_a_certain_age_is_asked_to_end_and_the_call_in_progress_finishes() {
    let held = Held::new();
    let mut config = ServerConfig::default();
    config.keepalive.connection_age = Period::millis(50);
    let running = Running::start(config, held.assembly()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let channel = running.channel().await;
    let call = tokio::spawn(async move { echo(&channel, says("old")).await });
    held.begun(1).await;
    // This one is as old and has nothing in progress.
    let mut nothing = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut nothing))
        .await
        .unwrap()
        .unwrap();
    held.release();
    assert_eq!(call.await.unwrap().unwrap().into_inner().text, "old");
    running.stop().await;
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_their_turn() {
    let running = Running::echo(|config| config.limits.connections = 1).await;
    let first = running.channel().await;
    echo(&first, says("first")).await.unwrap();
    let endpoint = running.endpoint().timeout(PATIENCE);
    let second = tokio::spawn(async move {
        let channel = endpoint.connect().await.unwrap();
        echo(&channel, says("second")).await
    });
    sleep(Duration::from_millis(150)).await;
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(second.await.unwrap().unwrap().into_inner().text, "second");
    running.stop().await;
}

#[tokio::test]
async fn jobs_run_while_the_server_does_and_are_ended_after_the_calls() {
    let rounds = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let (counted, noted) = (Arc::clone(&rounds), Arc::clone(&ended));
    let job = Job::new("counter", move |stop| {
        let (rounds, ended) = (Arc::clone(&counted), Arc::clone(&noted));
        async move {
            while !stop.is_cancelled() {
                rounds.fetch_add(1, Ordering::SeqCst);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(Duration::from_millis(5)) => {}
                }
            }
            ended.store(true, Ordering::SeqCst);
            Ok(())
        }
    });
    let held = Held::new();
    let running = Running::start(ServerConfig::default(), held.assembly().job(job)).await;
    eventually("three rounds", async || rounds.load(Ordering::SeqCst) >= 3).await;
    let channel = running.channel().await;
    let call = tokio::spawn(async move { echo(&channel, says("slow")).await });
    held.begun(1).await;
    running.shutdown.drain();
    let address = running.address;
    eventually("the port's end", async || TcpStream::connect(address).await.is_err()).await;
    assert!(!ended.load(Ordering::SeqCst), "a call in progress may need the job");
    held.release();
    call.await.unwrap().unwrap();
    assert_eq!(running.stop().await, Drained::default());
    assert!(ended.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_job_that_does_not_end_is_aborted() {
    let job = Job::new("stubborn", |_| async {
        sleep(Duration::from_hours(1)).await;
        Ok(())
    });
    let mut config = ServerConfig::default();
    config.drain.jobs = Period::millis(100);
    let running = Running::start(config, Assembly::new("jobs only").job(job)).await;
    sleep(Duration::from_millis(20)).await;
    assert_eq!(
        running.stop().await,
        Drained {
            aborted_connections: 0,
            aborted_jobs: 1
        }
    );
}

#[tokio::test]
async fn a_server_that_would_not_be_safe_does_not_start() {
    let build = |config, assemblies| server(config, assemblies).unwrap_err();
    let unguarded = Assembly::new("open").service(EchoService::new());
    assert!(matches!(
        build(ServerConfig::default(), vec![unguarded]),
        StartError::Unprotected("open")
    ));
    assert!(matches!(
        build(ServerConfig::default(), vec![assembly(), assembly()]),
        StartError::ServedTwice(_)
    ));

    let (_, health) = tonic_health::server::health_reporter();
    let foreign = Assembly::new("foreign").service(health).without_auth("a test");
    assert!(
        matches!(build(ServerConfig::default(), vec![foreign]), StartError::UnknownService(name) if name == "grpc.health.v1.Health")
    );

    let mut config = ServerConfig::default();
    config.limits.concurrent_calls = 0;
    assert_eq!(
        build(config, vec![assembly()]).to_string(),
        "server.limits.concurrent_calls must be greater than zero"
    );
}
