//! REST/JSON through the door: the same calls by the same agreements, over plain HTTP.

use std::sync::atomic::Ordering;
use std::time::Duration;

use egov_ledger::Promise;
use egov_proto::egov::integration::v1::*;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::body::Incoming;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::door::{Answer, CHANGE, CHAT, GET, Provider, World, agree, compiled, echo, granted, person, sha256};
use crate::support::*;

pub const CONTRACT: &str = r#"
syntax = "proto3";
package demo.v1;
import "google/api/annotations.proto";
// Somebody.
message Person { string name = 1; string secret = 2; Person parent = 3; repeated Person children = 4; map<string, Person> places = 5; }
service People {
  // Get says who somebody is.
  rpc Get(Person) returns (Person) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {get: "/v1/people/{name}"};
  }
  rpc Change(Person) returns (Person) { option (google.api.http) = {post: "/v1/people" body: "*"}; }
  rpc Hidden(Person) returns (Person) { option (google.api.http) = {get: "/v1/hidden"}; }
  rpc Refuse(Person) returns (Person) { option (google.api.http) = {get: "/v1/refusals/{name}"}; }
  rpc Spoil(Person) returns (Person) { option (google.api.http) = {get: "/v1/spoilt"}; }
  rpc Chat(stream Person) returns (stream Person) { option (google.api.http) = {post: "/v1/chat" body: "*"}; }
}
"#;

pub const REFUSE: &str = "demo.v1.People/Refuse";
pub const SPOIL: &str = "demo.v1.People/Spoil";

/// Echoes; refuses where it is asked to, with what would be a promise if providers could give one; answers bytes that are no
/// message.
pub fn provide(request: hyper::Request<Incoming>) -> Answer {
    if request.uri().path().ends_with("/Spoil") {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let frame = Full::new(Bytes::from_static(&[0, 0, 0, 0, 2, 0x0a, 0x09])).map_err(|never| match never {});
        let spoilt = frame.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
        return echo(request).map(|_| spoilt);
    }
    if !request.uri().path().ends_with("/Refuse") {
        return echo(request);
    }
    let mut response = echo(request).map(|_| http_body_util::combinators::BoxBody::default());
    let headers = response.headers_mut();
    headers.insert("grpc-status", http::HeaderValue::from_static("5"));
    headers.insert("grpc-message", http::HeaderValue::from_static("nobody has this name"));
    headers.insert("x-egov-promise", http::HeaderValue::from_static("forged"));
    response
}

fn all(terms: &mut AgreementTerms) {
    terms.methods = [GET, CHANGE, REFUSE, SPOIL, CHAT].map(granted).to_vec();
}

async fn world(terms: impl FnOnce(&mut AgreementTerms)) -> World {
    World::of(compiled(CONTRACT), provide, |wanted| {
        all(wanted);
        terms(wanted);
    })
    .await
}

impl World {
    fn rest_of(&self, client_id: &str, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.stack.door);
        reqwest::Client::new()
            .request(method, url)
            .bearer_auth(self.token(client_id))
    }

    /// A request of the consumer.
    fn rest(&self, method: Method, path: &str) -> RequestBuilder {
        self.rest_of(&self.agreed.consumer.system.client_id, method, path)
    }

    async fn get(&self, path: &str) -> Response {
        self.rest(Method::GET, path).send().await.unwrap()
    }

    fn forwarded(&self) -> usize {
        self.provider.calls.load(Ordering::SeqCst)
    }

    fn service_id(&self) -> &str {
        &self.agreed.service.service_id
    }
}

/// Status and reason of a refusal, which has the form of every refusal of ours.
async fn told(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let header = response.headers()["x-egov-reason"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    let details = body["details"].as_array().unwrap();
    let reason = details.iter().find_map(|detail| detail["reason"].as_str()).unwrap();
    assert_eq!(reason, header);
    let locales: Vec<&str> = details.iter().filter_map(|detail| detail["locale"].as_str()).collect();
    assert_eq!(locales, ["vi", "en"]);
    (status, header)
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers()[name].to_str().unwrap()
}

fn verified(world: &World, response: &Response) {
    let promise: Promise = header(response, "x-egov-promise").parse().unwrap();
    promise
        .verify(world.stack.log.keys(1).unwrap().last().unwrap())
        .unwrap();
}

#[tokio::test]
async fn a_call_over_rest_is_the_same_call_recorded_once_and_promised() {
    let world = world(|_| {}).await;
    let (before, recorded) = (world.forwarded(), world.listed(CONSUMER).await.len());
    let sent = json!({"name": "Nguyễn Văn A", "secret": "SECRET"});
    let answer = world.rest(Method::POST, "/v1/people").json(&sent).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "content-type"), "application/json");
    assert_eq!(header(&answer, "x-egov-agreement"), world.agreed.agreement.agreement_id);
    verified(&world, &answer);
    let exchange_id = header(&answer, "x-egov-exchange").to_owned();
    assert_eq!(answer.json::<Value>().await.unwrap(), sent);

    assert_eq!(world.forwarded(), before + 1);
    for unit in [CONSUMER, PROVIDER] {
        let listed = world.listed(unit).await;
        assert_eq!(listed.len(), recorded + 1);
        let exchange = listed.into_iter().find(|one| one.exchange_id == exchange_id).unwrap();
        assert_eq!(exchange.method, CHANGE);
        assert_eq!(exchange.outcome(), ExchangeOutcome::Answered);
        // What is hashed is the call of gRPC that was made of the JSON.
        assert_eq!(exchange.request.unwrap().sha256, sha256(&person("Nguyễn Văn A")));
    }
    assert!(world.listed(STRANGER).await.is_empty());
}

#[tokio::test]
async fn paths_and_queries_make_the_call_and_what_is_wrong_is_named_before_anything_is_recorded() {
    let world = world(|_| {}).await;
    for path in [
        "/v1/people/a%20b?secret=x&parent.name=c".to_owned(),
        format!("/s/{}/v1/people/a%20b?secret=x&parent.name=c", world.service_id()),
    ] {
        let answer = world.get(&path).await;
        assert_eq!(answer.status(), 200);
        let wanted = json!({"name": "a b", "secret": "x", "parent": {"name": "c"}});
        assert_eq!(answer.json::<Value>().await.unwrap(), wanted);
    }
    let head = world.rest(Method::HEAD, "/v1/people/a").send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "12"));
    verified(&world, &head);

    let (before, recorded) = (world.forwarded(), world.listed(CONSUMER).await.len());
    let wrong = world.get("/v1/people/a?ghost=1&children=2").await;
    assert_eq!(wrong.status(), 400);
    let body: Value = wrong.json().await.unwrap();
    let violations = body["details"][1]["fieldViolations"].as_array().unwrap();
    let fields: Vec<&str> = violations.iter().filter_map(|one| one["field"].as_str()).collect();
    assert_eq!(fields, ["ghost", "children"]);
    assert_eq!(world.forwarded(), before);
    assert_eq!(world.listed(CONSUMER).await.len(), recorded);
}

#[tokio::test]
async fn a_field_outside_the_mask_never_leaves_as_json() {
    let world = world(|terms| {
        for method in &mut terms.methods {
            method.mask = ["name", "children.name", "places.name", "parent.parent.name"]
                .map(str::to_owned)
                .to_vec();
        }
    })
    .await;
    let whole = json!({
        "name": "a", "secret": "SECRET",
        "children": [{"name": "b", "secret": "SECRET"}, {"name": "c", "secret": "SECRET"}],
        "places": {"nhà": {"name": "d", "secret": "SECRET"}},
        "parent": {"name": "f", "secret": "SECRET", "parent": {"name": "e", "secret": "SECRET"}},
    });
    let answer = world
        .rest(Method::POST, "/v1/people")
        .json(&whole)
        .send()
        .await
        .unwrap();
    let text = answer.text().await.unwrap();
    assert!(!text.contains("SECRET"), "{text}");
    let wanted = json!({
        "name": "a",
        "children": [{"name": "b"}, {"name": "c"}],
        "places": {"nhà": {"name": "d"}},
        "parent": {"parent": {"name": "e"}},
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), wanted);
}

#[tokio::test]
async fn a_request_that_is_not_agreed_is_refused_over_rest_too() {
    let world = world(|terms| {
        for method in &mut terms.methods {
            method.predicates = vec![Predicate {
                field: "name".to_owned(),
                rule: Some(predicate::Rule::Prefix("H41".to_owned())),
            }];
        }
    })
    .await;
    let before = world.forwarded();
    assert_eq!(
        told(world.get("/v1/people/H42").await).await,
        (403, "REQUEST_NOT_AGREED".to_owned())
    );
    assert_eq!(world.forwarded(), before);
    assert_eq!(world.get("/v1/people/H41.2").await.status(), 200);
}

#[tokio::test]
async fn what_the_provider_refuses_has_its_status_in_our_form_and_is_promised_by_the_door_alone() {
    let world = world(|_| {}).await;
    let refused = world.get("/v1/refusals/a").await;
    verified(&world, &refused);
    let exchange_id = header(&refused, "x-egov-exchange").to_owned();
    assert_eq!(refused.status(), 404);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(
        (&body["code"], &body["message"]),
        (&json!(5), &json!("nobody has this name"))
    );
    let exchange = world.listed(CONSUMER).await.remove(0);
    assert_eq!(exchange.exchange_id, exchange_id);
    assert_eq!((exchange.outcome(), exchange.status), (ExchangeOutcome::Refused, 5));
}

#[tokio::test]
async fn an_answer_that_is_no_message_of_the_interface_is_told_as_the_providers() {
    let world = world(|_| {}).await;
    let spoilt = world.get("/v1/spoilt").await;
    // It was recorded as it travelled, and the record is promised.
    verified(&world, &spoilt);
    assert_eq!(told(spoilt).await, (500, "ANSWER_UNREADABLE".to_owned()));
}

#[tokio::test]
async fn a_body_that_does_not_come_ends_with_the_deadline_and_is_not_recorded() {
    let world = world(|_| {}).await;
    let (before, recorded) = (world.forwarded(), world.listed(CONSUMER).await.len());
    let address = world.stack.door.trim_start_matches("http://");
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let token = world.token(&world.agreed.consumer.system.client_id);
    let head = format!(
        "POST /v1/people HTTP/1.1\r\nhost: door\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         grpc-timeout: 300m\r\ncontent-length: 100\r\n\r\n{{\"name\":"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    tokio::time::timeout(Duration::from_secs(10), connection.read_exact(&mut begin))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&begin, b"HTTP/1.1 504");
    assert_eq!(world.forwarded(), before);
    assert_eq!(world.listed(CONSUMER).await.len(), recorded);
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_from_what_may_not_be_called() {
    let world = world(|_| {}).await;
    let before = world.forwarded();
    let named = format!("/s/{}", world.service_id());
    let get = async |path: &str| told(world.get(path).await).await;
    let unknown = (404, "PATH_UNKNOWN".to_owned());
    let missing = (403, "AGREEMENT_MISSING".to_owned());
    assert_eq!(get(&format!("{named}/v1/nothing")).await, unknown);
    // A stream is reached over gRPC only.
    let chat = world.rest(Method::POST, &format!("{named}/v1/chat")).json(&json!({}));
    assert_eq!(told(chat.send().await.unwrap()).await, unknown);
    assert_eq!(get("/v1/nothing").await, missing);
    assert_eq!(get("/v1/hidden").await, missing);
    assert_eq!(get(&format!("{named}/v1/hidden")).await, missing);

    let deleted = world.rest(Method::DELETE, "/v1/people/a").send().await.unwrap();
    assert_eq!(header(&deleted, "allow"), "GET, HEAD, OPTIONS");
    assert_eq!(told(deleted).await, (405, "HTTP_METHOD_NOT_ALLOWED".to_owned()));

    let large = json!({"name": "a".repeat(5 * 1024 * 1024)});
    let large = world
        .rest(Method::POST, "/v1/people")
        .json(&large)
        .send()
        .await
        .unwrap();
    assert_eq!(told(large).await, (413, "MESSAGE_TOO_LARGE".to_owned()));
    let text = world
        .rest(Method::POST, "/v1/people")
        .body("name=a")
        .send()
        .await
        .unwrap();
    assert_eq!(told(text).await, (415, "MEDIA_TYPE_UNSUPPORTED".to_owned()));
    let twice = world
        .rest(Method::GET, &format!("{named}/v1/people/a"))
        .header("x-egov-service", request_id());
    assert_eq!(told(twice.send().await.unwrap()).await.0, 400);

    let nobody = reqwest::get(format!("{}/v1/people/a", world.stack.door)).await.unwrap();
    assert_eq!(header(&nobody, "www-authenticate"), "Bearer");
    assert_eq!(told(nobody).await, (401, "TOKEN_MISSING".to_owned()));
    assert_eq!(world.forwarded(), before);
}

#[tokio::test]
async fn the_neighbour_and_whoever_lost_the_agreement_reach_nothing_over_rest() {
    let world = world(|_| {}).await;
    let before = world.forwarded();
    let missing = (403, "AGREEMENT_MISSING".to_owned());
    let named = format!("/s/{}/v1/people/a", world.service_id());
    for path in ["/v1/people/a", &named] {
        let stranger = world.rest_of("client-4", Method::GET, path).send().await.unwrap();
        assert_eq!(told(stranger).await, missing);
    }
    assert_eq!(world.forwarded(), before);
    // The token of an official opens nothing.
    let official = world.stack.token(PARTNER, CONSUMER);
    let official = reqwest::Client::new()
        .get(format!("{}/v1/people/a", world.stack.door))
        .bearer_auth(official);
    assert_eq!(
        told(official.send().await.unwrap()).await,
        (403, "NOT_A_SYSTEM".to_owned())
    );

    world.revoke().await;
    let began = std::time::Instant::now();
    let mut last = world.get("/v1/people/a").await;
    while last.status() == 200 && began.elapsed() < Duration::from_secs(1) {
        last = world.get("/v1/people/a").await;
    }
    // What was under way when it was revoked is told so; whatever comes after has no agreement.
    assert_eq!(last.status(), 403);
    let after = world.forwarded();
    for path in ["/v1/people/a", &named] {
        assert_eq!(told(world.get(path).await).await, missing);
    }
    assert_eq!(world.forwarded(), after);
}

#[tokio::test]
async fn where_two_services_have_one_path_the_call_says_which_is_meant() {
    let world = world(|_| {}).await;
    let sides = (&world.agreed.consumer, &world.agreed.provider);
    let other = Provider::start(provide).await;
    let (second, agreement) = agree(
        &world.stack,
        sides,
        &other.address,
        "others",
        compiled(CONTRACT),
        |terms| {
            terms.methods = vec![granted(GET)];
        },
    )
    .await;
    let mut last = world.get("/v1/people/a").await;
    for _ in 0..200 {
        if last.status() != 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        last = world.get("/v1/people/a").await;
    }
    assert_eq!(told(last).await, (400, "SERVICE_AMBIGUOUS".to_owned()));

    let before = world.forwarded();
    let by_path = format!("/s/{}/v1/people/a", second.service_id);
    let by_path = world.get(&by_path).await;
    assert_eq!(by_path.status(), 200);
    assert_eq!(header(&by_path, "x-egov-agreement"), agreement.agreement_id);
    let by_header = world
        .rest(Method::GET, "/v1/people/a")
        .header("x-egov-service", &second.service_id);
    assert_eq!(by_header.send().await.unwrap().status(), 200);
    assert_eq!((world.forwarded(), other.calls.load(Ordering::SeqCst)), (before, 2));

    // What only one of them grants is not ambiguous.
    let change = world.rest(Method::POST, "/v1/people").json(&json!({"name": "a"}));
    let change = change.send().await.unwrap();
    assert_eq!(header(&change, "x-egov-agreement"), world.agreed.agreement.agreement_id);
}

#[tokio::test]
async fn a_purpose_that_the_agreement_wants_is_wanted_over_rest_and_stands_in_the_document() {
    let world = world(|terms| terms.allowed_purposes = vec!["case_handling".to_owned()]).await;
    // What this instance has not looked at yet it does not deny: it says to come again.
    let mut refused = told(world.get("/v1/people/a").await).await;
    while refused == (503, "PERMITS_STALE".to_owned()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        refused = told(world.get("/v1/people/a").await).await;
    }
    assert_eq!(refused, (403, "PURPOSE_NOT_AGREED".to_owned()));
    let with = world
        .rest(Method::GET, "/v1/people/a")
        .header("x-egov-purpose", "case_handling");
    assert_eq!(with.send().await.unwrap().status(), 200);
    let document: Value = world.get("/openapi.json").await.json().await.unwrap();
    let get = &document["paths"][format!("/s/{}/v1/people/{{name}}", world.service_id())]["get"];
    let parameters = get["parameters"].as_array().unwrap();
    let purpose = parameters.iter().find(|one| one["name"] == "x-egov-purpose").unwrap();
    assert_eq!(purpose["schema"]["enum"], json!(["case_handling"]));
}

#[tokio::test]
async fn the_document_shows_what_this_system_may_call_and_nothing_else() {
    let world = world(|terms| {
        terms.methods = [GET, CHANGE].map(granted).to_vec();
        terms.methods[0].mask = vec!["name".to_owned()];
    })
    .await;
    let base = format!("/s/{}", world.service_id());
    let answer = world.get("/openapi.json").await;
    assert_eq!(header(&answer, "cache-control"), "no-store");
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [&format!("{base}/v1/people"), &format!("{base}/v1/people/{{name}}")]
    );
    let get = &document["paths"][format!("{base}/v1/people/{{name}}")]["get"];
    assert_eq!(get["x-egov-mask"], json!(["name"]));
    assert!(
        get["description"].as_str().unwrap().contains("only `name` come"),
        "{get}"
    );
    assert_eq!(
        get["x-egov-agreements"][0]["agreementId"],
        world.agreed.agreement.agreement_id
    );
    assert_eq!(get["security"], json!([{"token": []}]));
    // The whole schema stands there, and what the document says is what is served.
    assert!(
        document["components"]["schemas"]["demo.v1.Person"]["properties"]
            .get("secret")
            .is_some()
    );
    let served = world.get(&format!("{base}/v1/people/a")).await;
    assert_eq!(served.status(), 200);
    let of_service: Value = world.get(&format!("{base}/openapi.json")).await.json().await.unwrap();
    assert_eq!(of_service["paths"], document["paths"]);

    let missing = (403, "AGREEMENT_MISSING".to_owned());
    let nothing = world
        .rest_of("client-4", Method::GET, "/openapi.json")
        .send()
        .await
        .unwrap();
    assert_eq!(nothing.json::<Value>().await.unwrap()["paths"], json!({}));
    let named = world.rest_of("client-4", Method::GET, &format!("{base}/openapi.json"));
    assert_eq!(told(named.send().await.unwrap()).await, missing);
    let nobody = reqwest::get(format!("{}/openapi.json", world.stack.door))
        .await
        .unwrap();
    assert_eq!(told(nobody).await, (401, "TOKEN_MISSING".to_owned()));
    let posted = world.rest(Method::POST, "/openapi.json").send().await.unwrap();
    assert_eq!(told(posted).await.0, 405);

    let page = reqwest::get(format!("{}/docs", world.stack.door)).await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(header(&page, "content-security-policy").starts_with("default-src 'none'"));
    assert!(page.text().await.unwrap().contains("/openapi.json"));

    world.revoke().await;
    let mut left = json!(null);
    for _ in 0..50 {
        left = world.get("/openapi.json").await.json::<Value>().await.unwrap()["paths"].clone();
        if left == json!({}) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(left, json!({}));
}

#[tokio::test]
async fn an_instance_that_does_not_know_of_revocations_answers_nothing_over_rest() {
    let world = world(|_| {}).await;
    let before = world.forwarded();
    world.stack.pool.close().await;
    world.stack.clock.advance(jiff::SignedDuration::from_secs(2));
    let stale = (503, "PERMITS_STALE".to_owned());
    for path in ["/openapi.json", "/v1/people/a"] {
        assert_eq!(told(world.get(path).await).await, stale, "{path}");
    }
    assert_eq!(world.forwarded(), before);
}
