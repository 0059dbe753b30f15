//! The guard of an assembly, as it stands in the stack.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod support;

use egov_auth::Caller;
use egov_fault::fault_of;
use egov_runtime::config::ServerConfig;
use egov_runtime::server::Assembly;
use support::{EchoRequest, EchoResponse, EchoService, Guard, Running, call, contract, echo, says};
use tonic::{Code, Request, Response};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

const HOA: Uuid = Uuid::from_u128(7);

/// Answers with the caller's id, or "nobody".
fn who_is_it() -> EchoService {
    EchoService::with(|request| async move {
        let request = egov_runtime::accept(contract(), request)?;
        let subject = |caller: &Caller| caller.principal.subject.to_string();
        let known = request.caller_if_known().map_or_else(|| "nobody".to_owned(), subject);
        if request.message.text == "needs a caller" {
            assert_eq!(subject(request.caller()?), known);
        }
        Ok(Response::new(EchoResponse {
            text: format!("{known} for {}", request.purpose().unwrap_or("no purpose")),
            ..EchoResponse::default()
        }))
    })
}

async fn guarded() -> (Guard, Running) {
    let guard = Guard::new();
    let assembly = Assembly::new("echo").service(who_is_it()).auth(guard.layer.clone());
    (guard, Running::start(ServerConfig::default(), assembly).await)
}

fn with(token: &tonic::metadata::MetadataValue<tonic::metadata::Ascii>, message: EchoRequest) -> Request<EchoRequest> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request
        .metadata_mut()
        .insert("x-egov-purpose", "kiem-tra".parse().unwrap());
    request
}

const GREET: &str = "/egov.runtime.test.v1.EchoService/Greet";

#[tokio::test]
async fn only_a_caller_with_the_contracts_permission_reaches_the_handler() {
    let (guard, running) = guarded().await;
    let channel = running.channel().await;

    let refused = echo(&channel, says("")).await.unwrap_err();
    assert_eq!(
        (refused.code(), fault_of(&refused).reason().to_owned()),
        (Code::Unauthenticated, "TOKEN_MISSING".to_owned())
    );

    let refused = echo(&channel, with(&guard.staff(HOA, &[]), says("")))
        .await
        .unwrap_err();
    let fault = fault_of(&refused);
    assert_eq!(
        (refused.code(), fault.reason()),
        (Code::PermissionDenied, "PERMISSION_MISSING")
    );
    assert_eq!(
        fault.metadata().get("permission").map(String::as_str),
        Some("runtime.echoes.read")
    );

    let foreign = Guard::new().staff(HOA, &["listener"]);
    let refused = echo(&channel, with(&foreign, says(""))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);

    let answer = echo(&channel, with(&guard.staff(HOA, &["listener"]), says("needs a caller")))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().text, format!("{HOA} for kiem-tra"));
    running.stop().await;
}

#[tokio::test]
async fn a_public_method_runs_without_a_token_and_says_so_when_it_needs_one_after_all() {
    let (guard, running) = guarded().await;
    let channel = running.channel().await;
    let answer = call(channel.clone(), GREET, Request::new(says(""))).await.unwrap();
    assert_eq!(answer.into_inner().text, "nobody for no purpose");
    let refused = call(channel.clone(), GREET, Request::new(says("needs a caller")))
        .await
        .unwrap_err();
    assert_eq!(fault_of(&refused).reason(), "TOKEN_MISSING");
    let answer = call(channel, GREET, with(&guard.staff(HOA, &[]), says("needs a caller")))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().text, format!("{HOA} for kiem-tra"));
    running.stop().await;
}

#[tokio::test]
async fn health_needs_no_token() {
    let (_, running) = guarded().await;
    let mut health = HealthClient::new(running.channel().await);
    assert!(
        health
            .check(HealthCheckRequest { service: String::new() })
            .await
            .is_ok()
    );
    running.stop().await;
}
