//! Calls of plain HTTP through the door's port: to a provider whose interface is OpenAPI.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use egov_auth::CallerKind;
use egov_door::PlainPath;
use egov_ledger::{Promise, Receipt};
use egov_proto::egov::integration::v1::*;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::door;
use crate::support::*;

pub const GET_PERSON: &str = "GET /people/{id}";
pub const CHANGE_PERSON: &str = "POST /people/{id}";
pub const SEARCH: &str = "GET /people/search";

pub fn document() -> Value {
    let person = json!({ "$ref": "#/components/schemas/Person" });
    let id = json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } });
    let on = json!({ "name": "on", "in": "query", "schema": { "type": "string" } });
    let unit = json!({ "name": "X-Unit", "in": "header", "schema": { "type": "string" } });
    let answers = json!({ "200": { "description": "x", "content": { "application/json": { "schema": person } } } });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Người dân", "version": "1" },
        "paths": {
            "/people/{id}": {
                "get": { "parameters": [id, on, unit], "responses": answers },
                "post": {
                    "parameters": [id, on],
                    "requestBody": { "content": { "application/json": { "schema": person } } },
                    "responses": answers
                },
                "delete": { "parameters": [id], "responses": { "204": { "description": "gone" } } },
            },
            "/people/search": { "get": { "parameters": [on], "responses": answers } },
        },
        "components": { "schemas": { "Person": { "type": "object", "properties": {
            "name": { "type": "string" },
            "secret": { "type": "string" },
            "parent": { "type": "object", "properties": { "name": { "type": "string" }, "secret": { "type": "string" } } },
            "children": { "type": "array", "items": { "type": "object", "properties": {
                "name": { "type": "string" }, "secret": { "type": "string" } } } },
            "places": { "type": "object", "additionalProperties": { "type": "object", "properties": {
                "name": { "type": "string" }, "secret": { "type": "string" } } } },
        } } } },
    })
}

fn person() -> Value {
    let one = |name: &str| json!({ "name": name, "secret": "SECRET" });
    json!({
        "name": "A", "secret": "SECRET", "unknown": "SECRET",
        "parent": one("B"),
        "children": [one("C"), one("D"), "SECRET"],
        "places": { "nhà": one("E"), "name": one("F") },
    })
}

/// A request as it came to the provider.
#[derive(Clone, Debug)]
pub struct Came {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A provider of HTTP/1.1 that does what the last part of the path says.
pub struct Provider {
    pub url: String,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        let came: Arc<Mutex<Vec<Came>>> = Arc::default();
        let all = Arc::clone(&came);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    let answer = service_fn(move |request| provide(request, Arc::clone(&all)));
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Self { url, came }
    }

    pub fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    pub fn last(&self) -> Came {
        self.came().pop().unwrap()
    }
}

async fn provide(
    request: Request<Incoming>,
    all: Arc<Mutex<Vec<Came>>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    all.lock().unwrap().push(Came {
        method: parts.method.clone(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        body: body.clone(),
    });
    let json = |body: Bytes| {
        Response::builder()
            .header("content-type", "application/json; charset=utf-8")
            .header("x-own", "SECRET")
            .header("set-cookie", "session=SECRET")
            .header("server", "inside/1")
            .header("x-egov-promise", "forged")
            .header("x-road-error", "forged")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .body(Full::new(body))
    };
    let document = Bytes::from(person().to_string());
    let built = match parts.uri.path().rsplit('/').next().unwrap() {
        "die" => return Err(std::io::Error::other("dies")),
        "slow" => {
            tokio::time::sleep(Duration::from_secs(20)).await;
            json(document)
        }
        "huge" => json(Bytes::from(vec![b' '; 5 * 1024 * 1024])),
        "redirect" => Response::builder()
            .status(StatusCode::FOUND)
            .header("location", "http://127.0.0.1:1/elsewhere")
            .body(Full::default()),
        "html" => Response::builder()
            .header("content-type", "text/html")
            .body(Full::from("<p>SECRET</p>")),
        "broken" => json(Bytes::from_static(b"{\"name\":\"A\",\"secret\":\"SECRET\"")),
        "missing" => Response::builder()
            .status(StatusCode::NOT_FOUND)
            .header("content-type", "text/plain")
            .header("x-own", "SECRET")
            .body(Full::from("no SECRET here")),
        "problem" => Response::builder()
            .status(StatusCode::CONFLICT)
            .header("content-type", "application/problem+json")
            .body(Full::from(r#"{"name":"A","detail":"SECRET"}"#)),
        "zipped" => {
            let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            zip.write_all(&document).unwrap();
            Response::builder()
                .header("content-type", "application/json")
                .header("content-encoding", "gzip")
                .body(Full::from(zip.finish().unwrap()))
        }
        "gone" => Response::builder().status(StatusCode::NO_CONTENT).body(Full::default()),
        "echo" => json(body),
        _ => json(document),
    };
    Ok(built.unwrap())
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn reason(&self) -> String {
        let reason = self.headers.get("x-egov-reason");
        reason
            .map(|reason| reason.to_str().unwrap().to_owned())
            .unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }
}

/// Sends a request to a port as it stands: no client between mends its path.
pub async fn send(address: &str, request: Request<Full<Bytes>>) -> Answer {
    let address = address.strip_prefix("http://").unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub struct World {
    pub stack: Stack,
    pub provider: Provider,
    pub consumer: Party,
    pub providing: Party,
    pub service: Service,
    pub agreement: Agreement,
}

impl World {
    pub async fn start(terms: impl FnOnce(&mut AgreementTerms)) -> Self {
        Self::start_with(Settings::default(), terms).await
    }

    pub async fn start_with(settings: Settings, terms: impl FnOnce(&mut AgreementTerms)) -> Self {
        Box::pin(Self::made(settings, terms)).await
    }

    async fn made(settings: Settings, terms: impl FnOnce(&mut AgreementTerms)) -> Self {
        // Over TLS the caller waits by itself: it has the certificates.
        let encrypted = settings.door.tls.certificate.is_some();
        let stack = Stack::with(settings).await;
        let provider = Provider::start().await;
        let (consumer, providing) = (party(&stack, CONSUMER).await, party(&stack, PROVIDER).await);
        let service = service_of_rest(&stack, &providing, "people", &document()).await;
        let added = AddEndpointRequest {
            request_id: request_id(),
            service_id: service.service_id.clone(),
            url: provider.url.clone(),
            weight: 1,
            health_path: "/people/health".to_owned(),
        };
        let mut keeper = stack.staff(PARTNER, PROVIDER);
        keeper.interfaces.add_endpoint(added).await.unwrap();
        let mut wanted = crate::support::terms(&stack);
        wanted.allowed_purposes = Vec::new();
        wanted.methods = [GET_PERSON, CHANGE_PERSON]
            .map(|method| MethodTerms {
                method: method.to_owned(),
                ..MethodTerms::default()
            })
            .to_vec();
        terms(&mut wanted);
        let agreement = draft(&stack, &consumer, &service, wanted).await;
        let agreement = offer(&stack, CONSUMER, &agreement).await.unwrap();
        let agreement = sign(&stack, &consumer, Side::Consumer, &agreement).await.unwrap();
        let agreement = sign(&stack, &providing, Side::Provider, &agreement).await.unwrap();
        let world = Self {
            stack,
            provider,
            consumer,
            providing,
            service,
            agreement,
        };
        // Within a second the instance knows; a call before that is refused, not let through.
        for _ in 0..200 {
            if encrypted {
                break;
            }
            let answer = world.get("/people/ready").await;
            if !["AGREEMENT_MISSING", "PERMITS_STALE", "PROVIDER_UNAVAILABLE"].contains(&answer.reason().as_str()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.provider.came.lock().unwrap().clear();
        world
    }

    pub fn token(&self, client_id: &str) -> String {
        let mut claims = self.stack.tokens.claims(CallerKind::System, Uuid::from_u128(0xc1));
        claims.client_id = Some(client_id.to_owned());
        self.stack.tokens.sign(&claims)
    }

    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("/rest/{}{path}", self.service.service_id))
            .header("host", "door")
            .header("authorization", format!("Bearer {}", self.token("client-2")))
    }

    pub async fn get(&self, path: &str) -> Answer {
        let request = self.request("GET", path).body(Full::default()).unwrap();
        send(&self.stack.door, request).await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        let request = self.request("POST", path).header("content-type", "application/json");
        send(&self.stack.door, request.body(Full::from(body.to_owned())).unwrap()).await
    }

    pub async fn listed(&self, unit: i32) -> Vec<Exchange> {
        let request = ListExchangesRequest {
            agreement_id: self.agreement.agreement_id.clone(),
            ..ListExchangesRequest::default()
        };
        let answer = self.stack.staff(PARTNER, unit).exchanges.list_exchanges(request).await;
        answer.unwrap().into_inner().exchanges
    }
}

fn only_granted(names: &[&str]) -> impl FnOnce(&mut AgreementTerms) {
    let mask: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    move |terms| {
        for method in &mut terms.methods {
            method.mask.clone_from(&mask);
        }
    }
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

#[tokio::test]
async fn a_call_of_plain_http_goes_through_the_agreement_and_both_sides_can_prove_it() {
    let world = World::start(|_| {}).await;
    let sent = r#"{"name":"Nguyễn Văn A"}"#;
    let request = world
        .request("POST", "/people/echo?on=2026%2D11")
        .header("content-type", "application/json")
        .header("cookie", "session=SECRET")
        .header("connection", "close, x-hop")
        .header("x-hop", "1")
        .header("x-own", "1")
        .header("x-egov-consumer", "forged")
        .header("x-road-client", "VN/GOV/forged")
        .header("x-http-method-override", "DELETE")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(Full::from(sent))
        .unwrap();
    let answer = send(&world.stack.door, request).await;
    assert_eq!((answer.status, &*answer.body), (200, sent.as_bytes()), "{answer:?}");
    assert_eq!(answer.header("x-own"), "SECRET");
    for stopped in ["set-cookie", "server", "x-road-error", "x-hop"] {
        assert!(!answer.headers.contains_key(stopped), "{stopped}");
    }

    let came = world.provider.last();
    assert_eq!(
        (&came.method, came.path.as_str(), &*came.body),
        (&Method::POST, "/base/people/echo?on=2026%2D11", sent.as_bytes())
    );
    for stopped in [
        "authorization",
        "cookie",
        "x-hop",
        "x-road-client",
        "x-http-method-override",
    ] {
        assert!(!came.headers.contains_key(stopped), "{stopped}");
    }
    assert_eq!(came.headers["x-egov-consumer"], "client-2");
    assert_eq!(came.headers["x-egov-agreement"], world.agreement.agreement_id);
    assert_eq!(came.headers["x-own"], "1");
    assert_eq!(came.headers["x-egov-exchange"], answer.header("x-egov-exchange"));

    let promise: Promise = answer.header("x-egov-promise").parse().unwrap();
    let keys = world.stack.log.keys(1).unwrap();
    promise.verify(keys.last().unwrap()).unwrap();
    let exchange_id = answer.header("x-egov-exchange");
    for unit in [CONSUMER, PROVIDER] {
        let request = GetExchangeReceiptRequest {
            exchange_id: exchange_id.clone(),
        };
        let mut caller = world.stack.staff(PARTNER, unit);
        let proof = caller
            .exchanges
            .get_exchange_receipt(request)
            .await
            .unwrap()
            .into_inner();
        let exchange = proof.exchange.unwrap();
        assert_eq!((exchange.outcome(), exchange.status), (ExchangeOutcome::Answered, 200));
        assert_eq!(
            (exchange.method.as_str(), exchange.trace.as_str()),
            (CHANGE_PERSON, "0af7651916cd43dd8448eb211c80319c")
        );
        let (request, response) = (exchange.request.unwrap(), exchange.response.unwrap());
        assert_eq!((request.sha256, request.messages), (hash(sent.as_bytes()), 1));
        assert_eq!(response.sha256, hash(sent.as_bytes()));
        let receipt = Receipt::from_bytes(&proof.receipt).unwrap();
        receipt.verify(&keys).unwrap();
        assert_eq!(receipt.entry.leaf_hash().unwrap(), promise.leaf());
    }
    let hidden = world
        .stack
        .staff(PARTNER, STRANGER)
        .exchanges
        .get_exchange(GetExchangeRequest { exchange_id })
        .await;
    assert_eq!(
        refusal(&hidden.unwrap_err()),
        (Code::NotFound, "EXCHANGE_NOT_FOUND".to_owned())
    );
    assert!(world.listed(STRANGER).await.is_empty());

    // A call without a body.
    let answer = world.get("/people/gone").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let exchange = world.listed(CONSUMER).await.remove(0);
    assert_eq!((exchange.method.as_str(), exchange.status), (GET_PERSON, 204));
    assert_eq!(exchange.request.unwrap().messages, 0);
}

/// What the provider's agreement could be narrowed by.
async fn narrowing(world: &World, agreement: &Agreement) -> SuggestNarrowingResponse {
    let asked = SuggestNarrowingRequest {
        agreement_id: agreement.agreement_id.clone(),
        since: None,
    };
    let mut staff = world.stack.staff(PARTNER, PROVIDER);
    staff.agreements.suggest_narrowing(asked).await.unwrap().into_inner()
}

#[tokio::test]
async fn every_call_through_the_door_counts_as_use_also_of_a_permit_that_has_gone() {
    let mut world = World::start(|_| {}).await;
    let people = door::Provider::start(door::echo).await;
    let parties = (&world.consumer, &world.providing);
    let (_, agreement) = door::agree(
        &world.stack,
        parties,
        &people.address,
        "persons",
        door::document(),
        |terms| {
            terms.methods = [door::GET, door::CHANGE, door::CHAT].map(door::granted).to_vec();
            terms.methods[1].mask = vec!["name".to_owned()];
        },
    )
    .await;
    // Without a mask; and with one, but nothing of what it grants stands in the answer.
    for (method, name) in [(door::GET, "a"), (door::CHANGE, "")] {
        let sent = door::Person {
            name: name.to_owned(),
            ..door::Person::default()
        };
        for _ in 0..200 {
            let mut request = tonic::Request::new(sent.clone());
            let bearer = format!("Bearer {}", world.token("client-2")).parse().unwrap();
            request.metadata_mut().insert("authorization", bearer);
            let channel = tonic::transport::Endpoint::from_shared(world.stack.door.clone()).unwrap();
            let mut grpc = tonic::client::Grpc::new(channel.connect().await.unwrap());
            grpc.ready().await.unwrap();
            let codec = tonic_prost::ProstCodec::<door::Person, door::Person>::default();
            let path = format!("/{method}").parse().unwrap();
            match grpc.unary(request, path, codec).await {
                Ok(answer) => {
                    assert_eq!(answer.into_inner(), sent);
                    break;
                }
                Err(status) => assert!(
                    ["AGREEMENT_MISSING", "PERMITS_STALE", "PROVIDER_UNAVAILABLE"].contains(&reason(&status).as_str()),
                    "{status:?}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(world.get("/people/7").await.status, 200);

    // Its permit goes before what was counted is stored; that the door knows so is seen by another change that it learns later.
    let mut staff = world.stack.staff(PARTNER, PROVIDER);
    let revoked = RevokeAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id.clone(),
        etag: agreement.etag.clone(),
        reason: "thử nghiệm".to_owned(),
    };
    staff.agreements.revoke_agreement(revoked).await.unwrap();
    let read = GetServiceRequest {
        service_id: world.service.service_id.clone(),
    };
    let service = staff.interfaces.get_service(read).await.unwrap().into_inner();
    let change = ChangeEndpointRequest {
        request_id: request_id(),
        service_id: world.service.service_id.clone(),
        endpoint_id: service.service.unwrap().endpoints.remove(0).endpoint_id,
        weight: 1,
        state: EndpointState::Maintenance.into(),
        reason: "bảo trì".to_owned(),
    };
    staff.interfaces.change_endpoint(change).await.unwrap();
    for _ in 0..200 {
        if world.get("/people/7").await.reason() == "PROVIDER_IN_MAINTENANCE" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let exchanges = world.listed(CONSUMER).await.len();
    // What was counted is stored at the stop at the latest.
    world.stack.again().await;

    let found = narrowing(&world, &agreement).await;
    let unused: Vec<(&str, bool, usize)> = found
        .unused
        .iter()
        .map(|one| (one.method.as_str(), one.never_called, one.fields.len()))
        .collect();
    assert_eq!(unused, [(door::CHANGE, false, 1), (door::CHAT, true, 0)]);
    assert_eq!(found.calls_seen, 2);
    let found = narrowing(&world, &world.agreement).await;
    let unused: Vec<(&str, bool)> = found
        .unused
        .iter()
        .map(|one| (one.method.as_str(), one.never_called))
        .collect();
    assert_eq!(unused, [(CHANGE_PERSON, true)]);
    assert_eq!(usize::try_from(found.calls_seen).unwrap(), exchanges);
}

#[tokio::test]
async fn over_plain_http_nobody_passes_without_an_agreement_for_this_very_operation() {
    let world = World::start(|_| {}).await;
    let none = |request: http::request::Builder| send(&world.stack.door, request.body(Full::default()).unwrap());
    let answer = none(world.request("DELETE", "/people/7")).await;
    assert_eq!((answer.status, answer.reason()), (403, "AGREEMENT_MISSING".to_owned()));
    // The more literal operation is meant, and it is not agreed on; a provider that is blind to case would mean it too.
    let answer = world.get("/people/search").await;
    assert_eq!((answer.status, answer.reason()), (403, "AGREEMENT_MISSING".to_owned()));
    for path in ["/people/Search", "/people", "/people/", "/people/7/8", "/", "/People/7"] {
        let answer = world.get(path).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (404, "OPERATION_UNKNOWN".to_owned()),
            "{path}"
        );
    }
    for verb in ["PATCH", "TRACE", "PROPFIND", "get"] {
        let answer = none(world.request(verb, "/people/7")).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (404, "OPERATION_UNKNOWN".to_owned()),
            "{verb}"
        );
    }
    let nobody = Request::get(format!("/rest/{}/people/7", world.service.service_id)).header("host", "door");
    let answer = none(nobody).await;
    assert_eq!((answer.status, answer.reason()), (401, "TOKEN_MISSING".to_owned()));
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    // Of the reason the body says everything, in both languages.
    let body = answer.json();
    assert_eq!(body["details"][0]["reason"], "TOKEN_MISSING");

    let by = |token: String| {
        Request::get(format!("/rest/{}/people/7", world.service.service_id))
            .header("host", "door")
            .header("authorization", format!("Bearer {token}"))
    };
    let answer = none(by(world.token("client-4"))).await;
    assert_eq!((answer.status, answer.reason()), (403, "AGREEMENT_MISSING".to_owned()));
    let answer = none(by(world.stack.token(PARTNER, CONSUMER))).await;
    assert_eq!((answer.status, answer.reason()), (403, "NOT_A_SYSTEM".to_owned()));
    let elsewhere = Request::get(format!("/rest/{}/people/7", Uuid::from_u128(7)))
        .header("host", "door")
        .header("authorization", format!("Bearer {}", world.token("client-2")));
    assert_eq!(none(elsewhere).await.reason(), "AGREEMENT_MISSING");
    assert!(world.provider.came().is_empty());

    // After the end of the agreement nothing more.
    assert_eq!(world.get("/people/7").await.status, 200);
    let mut caller = world.stack.staff(PARTNER, PROVIDER);
    let read = GetAgreementRequest {
        agreement_id: world.agreement.agreement_id.clone(),
    };
    let agreement = caller
        .agreements
        .get_agreement(read)
        .await
        .unwrap()
        .into_inner()
        .agreement
        .unwrap();
    let revoke = RevokeAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id,
        etag: agreement.etag,
        reason: "thử nghiệm".to_owned(),
    };
    caller.agreements.revoke_agreement(revoke).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.get("/people/7").await.reason(), "AGREEMENT_MISSING");
    assert_eq!(world.provider.came().len(), 1);
}

#[tokio::test]
async fn of_json_no_name_outside_the_mask_ever_leaves() {
    let world = World::start(only_granted(&["name", "parent.name", "children.name", "places.name"])).await;
    let wanted = json!({
        "name": "A",
        "parent": { "name": "B" },
        "children": [{ "name": "C" }, { "name": "D" }, null],
        "places": { "nhà": { "name": "E" }, "name": { "name": "F" } },
    });
    for path in ["/people/7", "/people/zipped"] {
        let request = world
            .request("GET", path)
            .header("accept-encoding", "gzip")
            .header("range", "bytes=0-9");
        let answer = send(&world.stack.door, request.body(Full::default()).unwrap()).await;
        assert_eq!((answer.status, answer.json()), (200, wanted.clone()), "{path}");
        let mut names: Vec<&str> = answer.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "content-length",
                "content-type",
                "date",
                "x-egov-agreement",
                "x-egov-exchange",
                "x-egov-promise"
            ]
        );
        let exchange = world.listed(PROVIDER).await.remove(0);
        assert_eq!(exchange.response.unwrap().sha256, hash(&answer.body));
        assert_eq!(exchange.received_sha256.len(), 32);
    }
    let came = world.provider.last();
    assert_eq!(came.headers["accept-encoding"], "identity");
    assert!(!came.headers.contains_key("range"));

    for path in ["/people/html", "/people/broken"] {
        let answer = world.get(path).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (500, "ANSWER_UNREADABLE".to_owned()),
            "{path}"
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains("SECRET"));
        assert_eq!(
            world.listed(PROVIDER).await.remove(0).outcome(),
            ExchangeOutcome::Stopped
        );
    }
    // Of an error the status is left, and of its JSON what the mask grants.
    let answer = world.get("/people/missing").await;
    assert_eq!((answer.status, answer.body.len()), (404, 0));
    assert!(!answer.headers.contains_key("x-own"));
    let answer = world.get("/people/problem").await;
    assert_eq!((answer.status, answer.json()), (409, json!({ "name": "A" })));
    let exchange = world.listed(PROVIDER).await.remove(0);
    assert_eq!((exchange.outcome(), exchange.status), (ExchangeOutcome::Refused, 409));
    assert_eq!(world.get("/people/gone").await.status, 204);
}

#[tokio::test]
async fn a_request_outside_the_predicates_does_not_reach_the_provider_of_plain_http() {
    let world = World::start(|terms| {
        let rule = |field: &str, rule: predicate::Rule| Predicate {
            field: field.to_owned(),
            rule: Some(rule),
        };
        let equals = |text: &str| predicate::Rule::Equals(text.to_owned());
        terms.methods[0].predicates = vec![
            rule("path.id", predicate::Rule::Prefix("H41-".to_owned())),
            rule("query.on", equals("2026 11")),
            rule("header.X-Unit", equals("H41")),
        ];
        terms.methods[1].predicates = vec![rule("body.parent.name", equals("A"))];
    })
    .await;
    let unit = |path: &str, unit: &str| {
        let request = world.request("GET", path).header("x-unit", unit).header("x-other", "1");
        send(&world.stack.door, request.body(Full::default()).unwrap())
    };
    for (path, header, status, reason) in [
        ("/people/H42-1?on=2026+11", "H41", 403, "REQUEST_NOT_AGREED"),
        ("/people/H41-1?on=2026", "H41", 403, "REQUEST_NOT_AGREED"),
        ("/people/H41-1", "H41", 403, "REQUEST_NOT_AGREED"),
        ("/people/H41-1?on=2026+11", "H42", 403, "REQUEST_NOT_AGREED"),
        ("/people/H41-1?on=2026+11&on=2027", "H41", 400, "MESSAGE_UNREADABLE"),
        ("/people/H41-1?on=2026+11&On=2027", "H41", 400, "MESSAGE_UNREADABLE"),
        ("/people/H41-1?on=2026+11&other=1", "H41", 400, "MESSAGE_UNREADABLE"),
    ] {
        let answer = unit(path, header).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (status, reason),
            "{path} {header}"
        );
    }
    for (body, status) in [
        (r#"{"parent":{"name":"B"}}"#, 403),
        (r#"{"parent":{"name":"A","Name":"B"}}"#, 400),
        (r#"{"parent":{"name":"A"}},"path":{}"#, 400),
        ("", 403),
    ] {
        assert_eq!(world.post("/people/7", body).await.status, status, "{body}");
    }
    let form = world
        .request("POST", "/people/7")
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = send(
        &world.stack.door,
        form.body(Full::from(r#"{"parent":{"name":"A"}}"#)).unwrap(),
    )
    .await;
    assert_eq!(answer.reason(), "MESSAGE_UNREADABLE");
    assert!(world.provider.came().is_empty());

    // What is agreed passes, written anew from what was judged, and with nothing that was not.
    assert_eq!(unit("/people/H41%2D1?&o%6E=2026+11", "H41").await.status, 200);
    let came = world.provider.last();
    assert_eq!(came.path, "/base/people/H41-1?on=2026%2011");
    assert_eq!(came.headers["x-unit"], "H41");
    assert!(!came.headers.contains_key("x-other"));
    assert_eq!(world.post("/people/7", r#"{"parent":{"name":"A"}}"#).await.status, 200);
    assert_eq!(world.provider.came().len(), 2);
}

#[tokio::test]
async fn a_path_is_read_by_the_providers_newest_interface_also_under_an_older_agreement() {
    let world = World::start(|_| {}).await;
    assert_eq!(world.get("/people/archive").await.status, 200, "an id as any other");
    let mut wider = document();
    wider["paths"]["/people/archive"] = wider["paths"]["/people/search"].clone();
    let mut caller = world.stack.staff(PARTNER, PROVIDER);
    let read = GetServiceRequest {
        service_id: world.service.service_id.clone(),
    };
    let service = caller
        .interfaces
        .get_service(read)
        .await
        .unwrap()
        .into_inner()
        .service
        .unwrap();
    let publish = PublishInterfaceRequest {
        request_id: request_id(),
        service_id: service.service_id,
        etag: service.etag,
        document: serde_json::to_vec(&wider).unwrap(),
        accept_breaking: false,
        breaking_reason: String::new(),
    };
    caller.interfaces.publish_interface(publish).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = world.provider.came().len();
    // Now it is an operation of its own, on which nobody has agreed.
    let answer = world.get("/people/archive").await;
    assert_eq!((answer.status, answer.reason()), (403, "AGREEMENT_MISSING".to_owned()));
    assert_eq!(world.provider.came().len(), before);
    // What was agreed on goes on.
    assert_eq!(world.get("/people/7").await.status, 200);
}

#[tokio::test]
async fn a_quota_and_a_purpose_count_over_plain_http_as_well() {
    let world = World::start(|terms| {
        terms.allowed_purposes = vec!["case_handling".to_owned()];
        terms.calls_per_minute = 2;
    })
    .await;
    let answer = world.get("/people/7").await;
    assert_eq!((answer.status, answer.reason()), (403, "PURPOSE_NOT_AGREED".to_owned()));
    let call = || {
        let request = world
            .request("GET", "/people/7")
            .header("x-egov-purpose", "case_handling");
        send(&world.stack.door, request.body(Full::default()).unwrap())
    };
    for _ in 0..2 {
        assert_eq!(call().await.status, 200);
        assert_eq!(world.provider.last().headers["x-egov-purpose"], "case_handling");
    }
    let answer = call().await;
    assert_eq!((answer.status, answer.reason()), (429, "QUOTA_EXHAUSTED".to_owned()));
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(world.listed(CONSUMER).await[0].purpose, "case_handling");
    assert_eq!(world.provider.came().len(), 2);
}

#[tokio::test]
async fn terms_that_cannot_be_judged_over_plain_http_are_refused_when_they_are_written() {
    let stack = Stack::start().await;
    let (consumer, providing) = (party(&stack, CONSUMER).await, party(&stack, PROVIDER).await);
    let mut wide = document();
    wide["paths"]["/people/{id}"]["get"]["parameters"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "a.b", "in": "query", "schema": { "type": "string" } }));
    let service = service_of_rest(&stack, &providing, "people", &wide).await;
    let mut wanted = terms(&stack);
    wanted.methods = vec![MethodTerms {
        method: GET_PERSON.to_owned(),
        predicates: vec![Predicate {
            field: "query.a.b".to_owned(),
            rule: Some(predicate::Rule::Absent(true)),
        }],
        mask: vec!["nothing".to_owned()],
    }];
    let request = CreateAgreementRequest {
        request_id: request_id(),
        consumer_system_id: consumer.system.system_id.clone(),
        service_id: service.service_id.clone(),
        terms: Some(wanted),
    };
    let mut caller = stack.staff(PARTNER, CONSUMER);
    let refused = caller.agreements.create_agreement(request).await.unwrap_err();
    assert_eq!(refusal(&refused), (Code::InvalidArgument, "TERMS_REFUSED".to_owned()));
    let fields: Vec<String> = egov_fault::fault_of(&refused)
        .violations()
        .iter()
        .map(|one| one.field.clone())
        .collect();
    assert_eq!(
        fields,
        [
            "terms.methods[GET /people/{id}].predicates[0]",
            "terms.methods[GET /people/{id}].mask[0]"
        ]
    );
}

#[tokio::test]
async fn what_is_judged_is_what_arrives_in_every_encoding() {
    let world = World::start(|_| {}).await;
    for path in [
        "/people/../people/7",
        "/people/%2e%2e/7",
        "/people/.%2E",
        "/people/%252e%252e",
        "/people//7",
        "//people/7",
        "/people/a%2fb",
        "/people/a%2Fb",
        "/people/a%5cb",
        "/people/..;/x",
        "/people/a;b",
        "/people/a%3bb",
        "/people/a%00",
        "/people/%c0%ae%c0%ae",
        "/people/%e0%80%af",
        "/people/%ff",
        "/people/%zz",
        "/people/%",
        "/people/%0d%0ax:y",
        "/people/7?_method=DELETE",
        "/people/7?a=1&%5fMethod=DELETE",
    ] {
        let answer = world.get(path).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (400, "PATH_REFUSED".to_owned()),
            "{path}"
        );
        assert_eq!(
            answer.json()["details"][1]["fieldViolations"].as_array().unwrap().len(),
            1
        );
    }
    assert!(world.provider.came().is_empty());

    // By chance, through the port: refused, or it arrives as one segment that reads the same however often it is decoded.
    let mut runner = TestRunner::deterministic();
    let any = proptest::collection::vec(
        "([a-c]|[a-z]|[.:@~-]|%6[1-9]|%c4%91|%[0-9a-fA-F]{2}|[/\\\\;%]|%2e|%2f|%25|\\.\\.){1,4}",
        1..3,
    );
    let mut arrived = 0;
    for _ in 0..150 {
        let path = any.new_tree(&mut runner).unwrap().current().join("/");
        let Ok(_) = format!("/people/{path}").parse::<http::uri::PathAndQuery>() else {
            continue;
        };
        let answer = world.get(&format!("/people/{path}")).await;
        let came = std::mem::take(&mut *world.provider.came.lock().unwrap());
        match came.as_slice() {
            [] => assert!(
                ["PATH_REFUSED", "OPERATION_UNKNOWN"].contains(&answer.reason().as_str()),
                "{path} {answer:?}"
            ),
            [one] => {
                arrived += 1;
                let below = one.path.strip_prefix("/base").unwrap();
                let read = PlainPath::read(below).unwrap();
                assert_eq!((read.as_str(), read.segments().len()), (below, 2), "{path}");
                assert_eq!(read, PlainPath::read(&format!("/people/{path}")).unwrap());
            }
            more => panic!("{more:?}"),
        }
    }
    assert!(arrived > 5, "{arrived}");
}

#[tokio::test]
async fn what_a_provider_of_plain_http_does_wrong_is_told_and_recorded() {
    let world = World::start(|_| {}).await;
    let slow = world.request("GET", "/people/slow").header("grpc-timeout", "300m");
    let answer = send(&world.stack.door, slow.body(Full::default()).unwrap()).await;
    assert_eq!((answer.status, answer.reason()), (504, "DEADLINE_EXCEEDED".to_owned()));
    for (path, status, reason, outcome) in [
        ("/people/redirect", 500, "PROVIDER_REDIRECTS", ExchangeOutcome::Stopped),
        ("/people/huge", 500, "ANSWER_TOO_LARGE", ExchangeOutcome::Stopped),
        ("/people/die", 503, "PROVIDER_BROKE_OFF", ExchangeOutcome::BrokenOff),
    ] {
        let answer = world.get(path).await;
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{path}");
        assert!(!answer.headers.contains_key("location"));
        let exchange = world.listed(CONSUMER).await.remove(0);
        assert_eq!(
            (exchange.outcome(), exchange.status),
            (outcome, i32::from(status)),
            "{path}"
        );
        // What was forwarded has its exchange and its promise, however it ended.
        assert_eq!(exchange.exchange_id, answer.header("x-egov-exchange"));
        assert!(answer.headers.contains_key("x-egov-promise"));
    }
    let timed_out = world.listed(CONSUMER).await;
    assert!(
        timed_out
            .iter()
            .any(|one| one.outcome() == ExchangeOutcome::TimedOut && one.status == 504)
    );
    // Without a mask what it answers passes, whatever it is.
    let answer = world.get("/people/missing").await;
    assert_eq!((answer.status, &*answer.body), (404, &b"no SECRET here"[..]));
    assert_eq!(world.get("/people/html").await.header("content-type"), "text/html");

    let before = world.provider.came().len();
    let answer = world.post("/people/7", &" ".repeat(4 * 1024 * 1024 + 1)).await;
    assert_eq!((answer.status, answer.reason()), (413, "MESSAGE_TOO_LARGE".to_owned()));
    assert_eq!(world.provider.came().len(), before);
}
