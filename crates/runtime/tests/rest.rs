//! REST, gRPC and gRPC-Web on one port: the same call, whichever way it comes.
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
use std::time::Duration;

use bytes::Bytes;
use egov_clock::{SystemClock, SystemIds};
use egov_runtime::config::{Period, ServerConfig};
use egov_runtime::contract::Contract;
use egov_runtime::server::{Assembly, Server, StartError};
use http_body_util::BodyExt as _;
use prost::Message as _;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use support::{EchoResponse, EchoService, Guard, Held, Running, contract, echo, says};
use tower::ServiceExt as _;
use uuid::Uuid;

const HOA: Uuid = Uuid::from_u128(7);
const ECHO: &str = "/egov.runtime.test.v1.EchoService/Echo";

async fn post(running: &Running, path: &str, body: &Value, headers: &[(&str, &str)]) -> Response {
    let mut request = reqwest::Client::new()
        .post(format!("http://{}{path}", running.address))
        .json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn get(running: &Running, path: &str) -> Response {
    reqwest::get(format!("http://{}{path}", running.address)).await.unwrap()
}

/// Reason and code of a refusal in JSON.
async fn refusal(response: Response) -> (String, i64) {
    let body: Value = response.json().await.unwrap();
    (
        body["details"][0]["reason"].as_str().unwrap().to_owned(),
        body["code"].as_i64().unwrap(),
    )
}

/// A message of gRPC with its prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

#[tokio::test]
async fn one_port_answers_grpc_grpc_web_and_rest_over_both_versions_of_http() {
    let running = Running::echo(|_| {}).await;

    // gRPC.
    let channel = running.channel().await;
    assert_eq!(echo(&channel, says("gRPC")).await.unwrap().into_inner().text, "gRPC");

    // REST over HTTP/1.1, then over HTTP/2 on the connection of the gRPC client.
    let response = post(&running, "/v1/echo", &json!({"text": "REST"}), &[]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(response.json::<Value>().await.unwrap()["text"], "REST");
    let request = http::Request::get("/v1/greetings?text=h%E1%BB%93+s%C6%A1")
        .body(tonic::body::Body::empty())
        .unwrap();
    let answer = channel.clone().oneshot(request).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, http::Version::HTTP_2)
    );
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["text"], "hồ sơ");
    assert_eq!(post(&running, "/v1/echo:greet", &json!({}), &[]).await.status(), 200);

    // gRPC-Web over HTTP/1.1: the answer, then the trailers in the body.
    let response = reqwest::Client::new()
        .post(format!("http://{}{ECHO}", running.address))
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .body(framed(&says("Web").encode_to_vec()))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
    let body = response.bytes().await.unwrap();
    let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
    assert_eq!(EchoResponse::decode(&body[5..5 + length]).unwrap().text, "Web");
    let trailers = String::from_utf8_lossy(&body[5 + length..]).to_lowercase();
    assert_eq!(body[5 + length], 0x80);
    assert!(trailers.contains("grpc-status:0"), "{trailers}");

    // And what is plain HTTP.
    assert_eq!(get(&running, "/health/ready").await.status(), 200);
    let response = get(&running, "/v1/nothing").await;
    assert_eq!(response.status(), 404);
    assert_eq!(refusal(response).await, ("PATH_UNKNOWN".to_owned(), 5));
    running.stop().await;
}

#[tokio::test]
async fn a_call_over_rest_is_guarded_as_the_same_call_over_grpc() {
    let guard = Guard::new();
    let assembly = Assembly::new("echo")
        .service(EchoService::new())
        .auth(guard.layer.clone());
    let running = Running::start(ServerConfig::default(), assembly).await;

    let response = post(&running, "/v1/echo", &json!({}), &[]).await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(refusal(response).await, ("TOKEN_MISSING".to_owned(), 16));

    let nobody = guard.staff(HOA, &[]);
    let response = post(
        &running,
        "/v1/echo",
        &json!({}),
        &[("authorization", nobody.to_str().unwrap())],
    )
    .await;
    assert_eq!(response.status(), 403);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["details"][0]["reason"], "PERMISSION_MISSING");
    assert_eq!(body["details"][0]["metadata"]["permission"], "runtime.echoes.read");

    let listener = guard.staff(HOA, &["listener"]);
    let token = ("authorization", listener.to_str().unwrap());
    let response = post(&running, "/v1/echo", &json!({"text": "in"}), &[token]).await;
    assert_eq!(response.json::<Value>().await.unwrap()["text"], "in");
    // A public RPC needs none.
    assert_eq!(get(&running, "/v1/greetings").await.status(), 200);
    // Two tokens are none.
    assert_eq!(
        post(&running, "/v1/echo", &json!({}), &[token, token]).await.status(),
        401
    );
    running.stop().await;
}

#[tokio::test]
async fn a_message_over_rest_keeps_the_rules_of_its_contract_and_every_violation_is_named() {
    let running = Running::echo(|_| {}).await;
    let response = post(&running, "/v1/echo", &json!({"waitMs": -1}), &[]).await;
    assert_eq!(response.status(), 400);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["details"][1]["fieldViolations"][0]["field"], "wait_ms");
    assert_eq!(body["details"][1]["fieldViolations"][0]["reason"], "int64.gte");
    let response = post(
        &running,
        "/v1/echo",
        &json!({"waitMs": "x", "ghost": 1, "panic": "no"}),
        &[],
    )
    .await;
    assert_eq!(response.status(), 400);
    let body: Value = response.json().await.unwrap();
    let fields: Vec<&str> = body["details"][1]["fieldViolations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|violation| violation["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields.len(), 3, "{fields:?}");
    assert!(fields.contains(&"wait_ms") && fields.contains(&"ghost") && fields.contains(&"panic"));
    running.stop().await;
}

#[tokio::test]
async fn limits_deadlines_and_panics_are_answered_in_json() {
    let running = Running::echo(|config| {
        config.limits.message_bytes = 1000;
        config.limits.deadline = Period::seconds(20);
    })
    .await;
    let response = post(&running, "/v1/echo", &json!({"text": "a".repeat(2000)}), &[]).await;
    assert_eq!(response.status(), 413);
    assert_eq!(refusal(response).await, ("MESSAGE_TOO_LARGE".to_owned(), 8));

    let response = post(
        &running,
        "/v1/echo",
        &json!({"waitMs": 10_000}),
        &[("grpc-timeout", "50m")],
    )
    .await;
    assert_eq!(response.status(), 504);
    assert_eq!(refusal(response).await, ("DEADLINE_EXCEEDED".to_owned(), 4));

    let response = post(&running, "/v1/echo", &json!({"panic": true}), &[]).await;
    assert_eq!(response.status(), 500);
    assert_eq!(refusal(response).await, ("INTERNAL".to_owned(), 13));
    assert_eq!(post(&running, "/v1/echo", &json!({}), &[]).await.status(), 200);
    running.stop().await;
}

#[tokio::test]
async fn a_call_over_rest_counts_against_the_calls_in_progress() {
    let held = Held::new();
    let mut config = ServerConfig::default();
    config.limits.concurrent_calls = 1;
    let running = Running::start(config, held.assembly()).await;
    let address = running.address;
    let first = tokio::spawn(async move {
        let client = reqwest::Client::new();
        client
            .post(format!("http://{address}/v1/echo"))
            .json(&json!({"text": "held"}))
            .send()
            .await
    });
    held.begun(1).await;
    let response = post(&running, "/v1/echo", &json!({}), &[]).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(refusal(response).await.0, "OVERLOADED");
    held.release();
    let body: Value = first.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(body["text"], "held");
    running.stop().await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_ends_its_call_over_rest_too() {
    let held = Held::new();
    let running = Running::start(ServerConfig::default(), held.assembly()).await;
    let address = running.address;
    let call = tokio::spawn(async move {
        let client = reqwest::Client::new();
        client
            .post(format!("http://{address}/v1/echo"))
            .json(&json!({}))
            .send()
            .await
    });
    held.begun(1).await;
    call.abort();
    let ended = async {
        while held.ended.load(std::sync::atomic::Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(support::PATIENCE, ended)
        .await
        .expect("the handler is dropped");
    running.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_may_call_only_if_they_are_named() {
    async fn ask(running: &Running, method: Method, path: &str, origin: &str) -> Response {
        reqwest::Client::new()
            .request(method, format!("http://{}{path}", running.address))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,x-egov-purpose")
            .send()
            .await
            .unwrap()
    }
    let allowed = |response: &Response| response.headers().get("access-control-allow-origin").is_some();
    let closed = Running::echo(|_| {}).await;
    assert!(!allowed(
        &ask(&closed, Method::OPTIONS, "/v1/echo", "https://a.vn").await
    ));
    assert!(!allowed(
        &ask(&closed, Method::GET, "/v1/greetings", "https://a.vn").await
    ));
    closed.stop().await;

    let open = Running::echo(|config| config.cors.origins = vec!["https://a.vn".to_owned()]).await;
    let question = ask(&open, Method::OPTIONS, "/v1/echo", "https://a.vn").await;
    assert_eq!(question.status(), 200);
    assert_eq!(question.headers()["access-control-allow-origin"], "https://a.vn");
    assert!(
        question.headers()["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .contains("x-egov-purpose")
    );
    assert!(!question.headers().contains_key("access-control-allow-credentials"));
    // Refusals are readable too, and gRPC-Web is as open as REST.
    for path in ["/v1/greetings", "/v1/nothing", ECHO] {
        assert!(allowed(&ask(&open, Method::GET, path, "https://a.vn").await), "{path}");
    }
    assert!(!allowed(&ask(&open, Method::OPTIONS, "/v1/echo", "https://b.vn").await));
    open.stop().await;

    let mut config = ServerConfig::default();
    config.cors.origins = vec!["https://a.vn/page".to_owned()];
    let refused = Server::builder(
        config,
        Arc::clone(contract()),
        SystemClock::shared(),
        SystemIds::shared(),
    )
    .build();
    assert!(matches!(refused, Err(StartError::Origin(origin)) if origin == "https://a.vn/page"));
}

#[tokio::test]
async fn the_document_shows_what_is_served_and_can_be_switched_off() {
    let running = Running::echo(|_| {}).await;
    let document: Value = get(&running, "/openapi.json").await.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/v1/echo", "/v1/echo:greet", "/v1/greetings"]);
    let page = get(&running, "/docs").await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    running.stop().await;

    let running = Running::echo(|config| config.docs = false).await;
    assert_eq!(get(&running, "/openapi.json").await.status(), 404);
    assert_eq!(get(&running, "/docs").await.status(), 404);
    assert_eq!(get(&running, "/v1/greetings").await.status(), 200);
    running.stop().await;
}

#[test]
fn two_rpcs_on_one_path_stop_the_start_with_both_names() {
    let rpc = |name: &str| {
        format!(
            "rpc {name}(M) returns (M) {{ option (egov.options.v1.access) = {{permission: \"a.b.c\"}};\n\
             option (google.api.http) = {{get: \"/v1/same/{{id}}\"}}; }}"
        )
    };
    let text = format!(
        "syntax = \"proto3\"; package egov.runtime.test.v1; import \"google/api/annotations.proto\";\n\
         import \"egov/options/v1/options.proto\"; message M {{ string id = 1; }}\n\
         service EchoService {{ {} {} }}",
        rpc("First"),
        rpc("Second")
    );
    let contract = Arc::new(Contract::from_pool(&support::compile(&[("same.proto", &text)])).unwrap());
    let built = Server::builder(
        ServerConfig::default(),
        contract,
        SystemClock::shared(),
        SystemIds::shared(),
    )
    .assembly(support::assembly())
    .build();
    let Err(error) = built else { panic!("it started") };
    let error = error.to_string();
    assert!(
        error.contains("EchoService.Second") && error.contains("EchoService/First"),
        "{error}"
    );
}

#[tokio::test]
async fn arbitrary_bytes_are_never_a_failure_of_ours() {
    let running = Running::echo(|_| {}).await;
    let client = reqwest::Client::new();
    for body in [
        &b"\xff\xfe"[..],
        b"{",
        b"[]",
        b"\"x\"",
        b"{\"text\":\"\\ud800\"}",
        &[b'['; 5000],
    ] {
        for media_type in [
            "application/json",
            "application/grpc-web",
            "application/grpc-web-text",
            "text/plain",
        ] {
            for path in ["/v1/echo", "/v1/echo:greet", ECHO] {
                let response = client
                    .post(format!("http://{}{path}", running.address))
                    .header("content-type", media_type)
                    .body(Bytes::copy_from_slice(body))
                    .send()
                    .await
                    .unwrap();
                assert!(
                    response.status().as_u16() < 500,
                    "{path} {media_type} {}",
                    response.status()
                );
            }
        }
    }
    running.stop().await;
}
