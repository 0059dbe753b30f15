//! Existing clients of X-Road call services of gRPC, by what their interface binds to HTTP.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::digest::{SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_proto::egov::integration::v1::*;
use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::door::{Answer as GrpcAnswer, CHANGE, CHAT, GET, Provider, agree, compiled, granted, person, sha256};
use crate::door_rest::{CONTRACT, REFUSE, SPOIL};
use crate::plain::{self, Answer, World, send};
use crate::support::*;

const CLIENT: &str = "VN/GOV/H41.2/main";
const SERVICE: &str = "/r1/VN/GOV/H41.3/main/registry";

/// Says in the metadata of its answer what came in those of the request, and what only the door may say.
fn provide(request: hyper::Request<Incoming>) -> GrpcAnswer {
    let came = request.headers().clone();
    let mut response = crate::door_rest::provide(request);
    for (name, value) in &came {
        if let Ok(name) = format!("x-saw-{name}").parse::<http::HeaderName>() {
            response.headers_mut().insert(name, value.clone());
        }
    }
    for name in ["x-road-error", "x-road-client", "x-road-own"] {
        response
            .headers_mut()
            .insert(name, http::HeaderValue::from_static("forged"));
    }
    response
}

/// A world with a service of plain REST, and one of gRPC in the same subsystem.
pub struct Both {
    pub world: World,
    pub provider: Provider,
    pub agreement: Agreement,
}

impl Both {
    async fn start(terms: impl FnOnce(&mut AgreementTerms)) -> Self {
        let both = Self::in_world(World::start(|_| {}).await, terms).await;
        both.ready().await;
        both
    }

    pub async fn in_world(world: World, terms: impl FnOnce(&mut AgreementTerms)) -> Self {
        let provider = Provider::start(provide).await;
        let parties = (&world.consumer, &world.providing);
        let document = compiled(CONTRACT);
        let (_, agreement) = agree(
            &world.stack,
            parties,
            &provider.address,
            "registry",
            document,
            |wanted| {
                wanted.methods = [GET, CHANGE, REFUSE, SPOIL, CHAT].map(granted).to_vec();
                terms(wanted);
            },
        )
        .await;
        Self {
            world,
            provider,
            agreement,
        }
    }

    /// Within a second the instance knows.
    async fn ready(&self) {
        for _ in 0..200 {
            let answer = self.get("/v1/people/ready").await;
            let said = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap());
            let unknown = said("x-road-error").is_some_and(|kind| kind.ends_with("UnknownService"));
            let early = ["AGREEMENT_MISSING", "PERMITS_STALE", "PROVIDER_UNAVAILABLE"];
            if !unknown && !said("x-egov-reason").is_some_and(|reason| early.contains(&reason)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{SERVICE}{path}"))
            .header("host", "door")
            .header("x-road-client", CLIENT)
            .header("authorization", format!("Bearer {}", self.world.token("client-2")))
    }

    async fn send(&self, request: http::request::Builder, body: &str) -> Answer {
        let body = Full::from(body.to_owned().into_bytes());
        send(&self.world.stack.door, request.body(body).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path), "").await
    }

    fn calls(&self) -> usize {
        self.provider.calls.load(Ordering::SeqCst)
    }

    async fn exchanges(&self, unit: i32) -> Vec<Exchange> {
        let request = ListExchangesRequest {
            agreement_id: self.agreement.agreement_id.clone(),
            ..ListExchangesRequest::default()
        };
        let mut staff = self.world.stack.staff(PARTNER, unit);
        staff
            .exchanges
            .list_exchanges(request)
            .await
            .unwrap()
            .into_inner()
            .exchanges
    }
}

fn error(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert_eq!(body["type"], answer.header("x-road-error").as_str());
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()) && body["detail"].is_string());
    assert_eq!(answer.header("x-road-client"), CLIENT);
    (answer.status, answer.header("x-road-error"))
}

#[tokio::test]
async fn a_service_of_grpc_answers_clients_of_x_road_by_its_bindings_and_is_recorded_as_any_call() {
    let both = Box::pin(Both::start(|_| {})).await;
    let sent = r#"{"name":"Nguyễn Văn A","secret":"SECRET"}"#;
    let asked = both
        .request("POST", "/v1/people")
        .header("content-type", "application/json")
        .header("x-road-id", "m-1")
        .header("x-road-userid", "VN040090000001")
        .header("x-road-issue", "H41.1-261126-0001")
        .header("x-road-request-id", "forged");
    let answer = both.send(asked, sent).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json(), serde_json::from_str::<Value>(sent).unwrap());
    let exchange_id = answer.header("x-egov-exchange");
    for (name, wanted) in [
        ("x-road-client", CLIENT),
        ("x-road-service", "VN/GOV/H41.3/main/registry"),
        ("x-road-id", "m-1"),
        ("x-road-request-id", &exchange_id),
        ("content-type", "application/json"),
        // What came to the provider.
        ("x-saw-x-road-client", CLIENT),
        ("x-saw-x-road-service", "VN/GOV/H41.3/main/registry"),
        ("x-saw-x-road-id", "m-1"),
        ("x-saw-x-road-userid", "VN040090000001"),
        ("x-saw-x-road-issue", "H41.1-261126-0001"),
        ("x-saw-x-egov-consumer", "client-2"),
        ("x-saw-x-egov-exchange", &exchange_id),
    ] {
        assert_eq!(answer.header(name), wanted, "{name}");
    }
    assert!(answer.headers.contains_key("x-egov-promise"));
    for name in [
        "x-road-error",
        "x-road-own",
        "x-saw-authorization",
        "x-saw-x-road-request-id",
    ] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    // The hash is over the line, the headers of the protocol as the provider has them, and the body.
    let mut lines: Vec<String> = answer
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name
                .as_str()
                .strip_prefix("x-saw-")
                .filter(|name| name.starts_with("x-road-"))?;
            Some(format!("{name}:{}\r\n", value.to_str().unwrap()))
        })
        .collect();
    lines.sort();
    let head = format!("POST /v1/people HTTP/1.1\r\n{}", lines.concat());
    let both_hashes = [
        digest(&SHA512, head.as_bytes()).as_ref(),
        digest(&SHA512, sent.as_bytes()).as_ref(),
    ]
    .concat();
    assert_eq!(
        answer.header("x-road-request-hash"),
        STANDARD.encode(digest(&SHA512, &both_hashes))
    );

    // One exchange, which is the call of gRPC.
    let exchange = both.exchanges(PROVIDER).await.remove(0);
    assert_eq!((exchange.exchange_id, exchange.method.as_str()), (exchange_id, CHANGE));
    assert_eq!(exchange.request.unwrap().sha256, sha256(&person("Nguyễn Văn A")));
    assert!(both.exchanges(STRANGER).await.is_empty());

    // Paths and queries as over REST, also with the member alone as the client.
    let asked = both.request("GET", "/v1/people/a%20b?secret=x&parent.name=c");
    let (mut parts, body) = asked.body(Full::default()).unwrap().into_parts();
    parts.headers.insert("x-road-client", "VN/GOV/H41.2".parse().unwrap());
    let answer = send(&both.world.stack.door, Request::from_parts(parts, body)).await;
    let wanted = json!({"name": "a b", "secret": "x", "parent": {"name": "c"}});
    assert_eq!((answer.status, answer.json()), (200, wanted));
    assert_eq!(answer.header("x-road-client"), "VN/GOV/H41.2");
}

#[tokio::test]
async fn mask_predicate_and_agreement_hold_for_grpc_behind_x_road_and_refusals_are_its_errors() {
    let both = Box::pin(Both::start(|terms| {
        for method in &mut terms.methods {
            if method.method == CHANGE {
                method.mask = vec!["name".to_owned(), "children.name".to_owned()];
                method.predicates = vec![Predicate {
                    field: "name".to_owned(),
                    rule: Some(predicate::Rule::Prefix("H41".to_owned())),
                }];
            }
        }
    }))
    .await;
    let post = |body: &'static str| {
        let asked = both
            .request("POST", "/v1/people")
            .header("content-type", "application/json");
        both.send(asked, body)
    };
    let answer = post(r#"{"name":"H41.2","secret":"SECRET","children":[{"name":"b","secret":"SECRET"}]}"#).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"name": "H41.2", "children": [{"name": "b"}]}))
    );
    let before = (both.calls(), both.exchanges(CONSUMER).await.len());
    assert_eq!(
        error(&post(r#"{"name":"H42"}"#).await),
        (500, "Server.ServerProxy.AccessDenied".to_owned())
    );
    let wrong = post(r#"{"ghost":1,"children":2}"#).await;
    assert_eq!(error(&wrong), (400, "Client.BadRequest".to_owned()));
    let message = wrong.json()["message"].to_string();
    assert!(message.contains("ghost") && message.contains("children"), "{message}");
    for (verb, path, code) in [
        // There, but not agreed on.
        ("GET", "/v1/hidden", "Server.ServerProxy.AccessDenied"),
        ("GET", "/v1/nothing", "Server.ServerProxy.UnknownService"),
        ("DELETE", "/v1/people/a", "Server.ServerProxy.UnknownService"),
        // A stream is reached over gRPC only.
        ("POST", "/v1/chat", "Server.ServerProxy.UnknownService"),
        ("GET", "", "Server.ServerProxy.UnknownService"),
        ("GET", "?a=1", "Server.ServerProxy.UnknownService"),
    ] {
        let answer = both.send(both.request(verb, path), "").await;
        assert_eq!(error(&answer), (500, code.to_owned()), "{verb} {path}");
    }
    let large = both
        .request("POST", "/v1/people")
        .header("content-type", "application/json");
    let large = both
        .send(large, &format!("{{\"name\":\"{}\"}}", "H41".repeat(2 << 20)))
        .await;
    assert_eq!(error(&large), (400, "Client.BadRequest".to_owned()));
    assert_eq!((both.calls(), both.exchanges(CONSUMER).await.len()), before);

    // The provider's own refusal is its own; an answer that cannot be read is an error of the door about it.
    let refused = both.get("/v1/refusals/a").await;
    assert_eq!(
        (refused.status, &refused.json()["message"]),
        (404, &json!("nobody has this name"))
    );
    assert!(!refused.headers.contains_key("x-road-error"));
    assert_eq!(refused.header("x-road-client"), CLIENT);
    let spoilt = both.get("/v1/spoilt").await;
    assert_eq!(error(&spoilt), (500, "Server.ServerProxy.InternalError".to_owned()));
    for answer in [&refused, &spoilt] {
        // It was sent on: with its exchange, and promised.
        assert_eq!(answer.header("x-road-request-id"), answer.header("x-egov-exchange"));
        assert!(answer.headers.contains_key("x-road-request-hash") && answer.headers.contains_key("x-egov-promise"));
    }
    assert_ne!(refused.header("x-egov-promise"), "forged");

    // The neighbour, and whoever lost the agreement.
    let neighbour = Request::get(format!("{SERVICE}/v1/people/a"))
        .header("host", "door")
        .header("x-road-client", "VN/GOV/H41.3/main")
        .header("authorization", format!("Bearer {}", both.world.token("client-3")));
    let answer = both.send(neighbour, "").await;
    assert_eq!(answer.header("x-road-error"), "Server.ServerProxy.AccessDenied");
    let mut staff = both.world.stack.staff(PARTNER, PROVIDER);
    let read = GetAgreementRequest {
        agreement_id: both.agreement.agreement_id.clone(),
    };
    let agreement = staff
        .agreements
        .get_agreement(read)
        .await
        .unwrap()
        .into_inner()
        .agreement
        .unwrap();
    let revoked = RevokeAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id,
        etag: agreement.etag,
        reason: "thử nghiệm".to_owned(),
    };
    staff.agreements.revoke_agreement(revoked).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        error(&both.get("/v1/people/a").await).1,
        "Server.ServerProxy.AccessDenied"
    );
}

#[tokio::test]
async fn nobody_speaks_the_protocol_to_a_provider_of_grpc_but_the_facade() {
    let both = Box::pin(Both::start(|_| {})).await;
    let rest = Request::get("/v1/people/a")
        .header("host", "door")
        .header("x-road-client", "VN/GOV/H41.9/forged")
        .header("authorization", format!("Bearer {}", both.world.token("client-2")));
    let answer = both.send(rest, "").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("x-saw-x-road-client"));

    let mut request = tonic::Request::new(person("a"));
    let bearer = format!("Bearer {}", both.world.token("client-2"));
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    let forged = "VN/GOV/H41.9/forged".parse().unwrap();
    request.metadata_mut().insert("x-road-client", forged);
    let channel = tonic::transport::Endpoint::from_shared(both.world.stack.door.clone()).unwrap();
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<crate::door::Person, crate::door::Person>::default();
    let path = http::uri::PathAndQuery::from_static("/demo.v1.People/Get");
    let answer = grpc.unary(request, path, codec).await.unwrap();
    assert!(answer.metadata().get("x-saw-x-egov-consumer").is_some());
    assert!(answer.metadata().get("x-saw-x-road-client").is_none());
}

#[tokio::test]
async fn the_metaservices_tell_of_services_of_grpc_beside_those_of_plain_rest() {
    let both = Box::pin(Both::start(|terms| {
        terms.methods.retain(|method| method.method != CHANGE);
    }))
    .await;
    let meta = |path: &str| {
        let asked = Request::get(format!("/r1/VN/GOV/H41.3/main/{path}"))
            .header("host", "door")
            .header("x-road-client", CLIENT)
            .header("authorization", format!("Bearer {}", both.world.token("client-2")));
        both.send(asked, "")
    };
    let at = |method: &str, path: &str| json!({ "method": method, "path": path });
    let listed = |answer: &Answer, code: &str| -> Value {
        let body = answer.json();
        let services = body["service"].as_array().unwrap().clone();
        let found = services.into_iter().find(|one| one["service_code"] == code).unwrap();
        assert_eq!(found["service_type"], "OPENAPI");
        found["endpoint_list"].clone()
    };
    let all = meta("listMethods").await;
    assert_eq!(
        listed(&all, "registry"),
        json!([
            at("GET", "/v1/hidden"),
            at("GET", "/v1/people/*"),
            at("GET", "/v1/refusals/*"),
            at("GET", "/v1/spoilt"),
            at("POST", "/v1/people"),
        ])
    );
    // Once more, as it is remembered.
    assert_eq!(meta("listMethods").await.json(), all.json());
    assert_eq!(listed(&all, "people").as_array().unwrap().len(), 4);
    let allowed = meta("allowedMethods").await;
    assert_eq!(
        listed(&allowed, "registry"),
        json!([
            at("GET", "/v1/people/*"),
            at("GET", "/v1/refusals/*"),
            at("GET", "/v1/spoilt")
        ])
    );
    assert_eq!(listed(&allowed, "people").as_array().unwrap().len(), 2);

    let described = meta("getOpenAPI?serviceCode=registry").await;
    assert_eq!(described.header("x-road-client"), CLIENT);
    let document = described.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/v1/hidden",
            "/v1/people",
            "/v1/people/{name}",
            "/v1/refusals/{name}",
            "/v1/spoilt"
        ]
    );
    assert_eq!(
        document["paths"]["/v1/people/{name}"]["get"]["description"],
        "Get says who somebody is."
    );
    assert_eq!(meta("getOpenAPI?serviceCode=people").await.json(), plain::document());

    // A neighbour reads what there is, and may call nothing.
    let neighbour = |path: &str| {
        let asked = Request::get(format!("/r1/VN/GOV/H41.3/main/{path}"))
            .header("host", "door")
            .header("x-road-client", "VN/GOV/H41.3/main")
            .header("authorization", format!("Bearer {}", both.world.token("client-3")));
        both.send(asked, "")
    };
    assert_eq!(neighbour("listMethods").await.json(), all.json());
    assert_eq!(neighbour("allowedMethods").await.json(), json!({ "service": [] }));
}
