//! Masks and predicates that lead into a google.protobuf.Any, through the door: unary, in streams, as JSON.

use egov_proto::egov::integration::v1::*;
use prost::Message as _;
use prost_types::Any;
use serde_json::json;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::door::{CHANGE, CHAT, GET, World, compiled, echo, granted};
use crate::support::*;

const CONTRACT: &str = r#"
syntax = "proto3";
package demo.v1;
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
message Address { string ward = 1; string street = 2; }
message Person { string name = 1; string secret = 2; google.protobuf.Any detail = 6; repeated google.protobuf.Any details = 7; }
service People {
  rpc Get(Person) returns (Person) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc Change(Person) returns (Person) { option (google.api.http) = {post: "/v1/people" body: "*"}; }
  rpc Chat(stream Person) returns (stream Person);
}
"#;

#[derive(Clone, PartialEq, prost::Message)]
struct Address {
    #[prost(string, tag = "1")]
    ward: String,
    #[prost(string, tag = "2")]
    street: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Person {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    secret: String,
    #[prost(message, optional, tag = "6")]
    detail: Option<Any>,
    #[prost(message, repeated, tag = "7")]
    details: Vec<Any>,
}

fn any(name: &str, value: Vec<u8>) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{name}"),
        value,
    }
}

fn address(ward: &str, street: &str) -> Any {
    let address = Address {
        ward: ward.to_owned(),
        street: street.to_owned(),
    };
    any("demo.v1.Address", address.encode_to_vec())
}

async fn world(terms: impl FnOnce(&mut MethodTerms)) -> World {
    World::of(compiled(CONTRACT), echo, |wanted| {
        wanted.methods = [GET, CHAT].map(granted).to_vec();
        let mut change = granted(CHANGE);
        terms(&mut change);
        wanted.methods[1].mask.clone_from(&change.mask);
        wanted.methods.push(change);
    })
    .await
}

async fn change(world: &World, person: Person) -> Result<Person, Status> {
    let path: PathAndQuery = format!("/{CHANGE}").parse().unwrap();
    let codec = ProstCodec::<Person, Person>::default();
    let answer = world.grpc().await.unary(world.request(person), path, codec).await;
    answer.map(tonic::Response::into_inner)
}

async fn post(world: &World, body: serde_json::Value) -> reqwest::Response {
    let url = format!("{}/v1/people", world.stack.door);
    let token = world.token(&world.agreed.consumer.system.client_id);
    let request = reqwest::Client::new().post(url).bearer_auth(token).json(&body);
    request.send().await.unwrap()
}

#[tokio::test]
async fn of_an_any_only_named_fields_of_named_types_leave_unary_streamed_and_as_json_and_are_counted() {
    let mut world = world(|change| {
        change.mask = [
            "name",
            "detail.[demo.v1.Address].ward",
            "details.[demo.v1.Address].ward",
            "details.[demo.v1.Person].name",
        ]
        .map(str::to_owned)
        .to_vec();
    })
    .await;
    let inner = Person {
        name: "B".to_owned(),
        secret: "SECRET".to_owned(),
        ..Person::default()
    };
    let sent = Person {
        name: "A".to_owned(),
        secret: "SECRET".to_owned(),
        detail: Some(address("W", "SECRET")),
        details: vec![
            address("V", "SECRET"),
            any("demo.v1.Person", inner.encode_to_vec()),
            any("demo.v1.Ghost", b"\x0a\x06SECRET".to_vec()),
        ],
    };
    let only_name = Person {
        name: "B".to_owned(),
        ..Person::default()
    };
    let wanted = Person {
        name: "A".to_owned(),
        secret: String::new(),
        detail: Some(address("W", "")),
        details: vec![address("V", ""), any("demo.v1.Person", only_name.encode_to_vec())],
    };
    assert_eq!(change(&world, sent.clone()).await.unwrap(), wanted);

    let path: PathAndQuery = format!("/{CHAT}").parse().unwrap();
    let codec = ProstCodec::<Person, Person>::default();
    let stream = world.request(tokio_stream::iter([sent.clone(), sent.clone()]));
    let answers = world.grpc().await.streaming(stream, path, codec).await;
    let mut answers = answers.unwrap().into_inner();
    for _ in 0..2 {
        assert_eq!(answers.message().await.unwrap().unwrap(), wanted);
    }
    assert!(answers.message().await.unwrap().is_none());

    let of_type = |name: &str| format!("type.googleapis.com/demo.v1.{name}");
    let answer = post(
        &world,
        json!({
            "name": "A", "secret": "SECRET",
            "detail": { "@type": of_type("Address"), "ward": "W", "street": "SECRET" },
            "details": [{ "@type": of_type("Person"), "name": "B", "secret": "SECRET" }],
        }),
    )
    .await;
    let text = answer.text().await.unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap(),
        json!({
            "name": "A",
            "detail": { "@type": of_type("Address"), "ward": "W" },
            "details": [{ "@type": of_type("Person"), "name": "B" }],
        })
    );
    // An Any of a type that no path names takes its place with it.
    let other = Person {
        detail: Some(any("demo.v1.Person", inner.encode_to_vec())),
        ..Person::default()
    };
    assert_eq!(change(&world, other).await.unwrap(), Person::default());

    // What was counted is stored at the stop at the latest.
    world.stack.again().await;
    let asked = SuggestNarrowingRequest {
        agreement_id: world.agreed.agreement.agreement_id.clone(),
        since: None,
    };
    let mut staff = world.stack.staff(PARTNER, PROVIDER);
    let found = staff.agreements.suggest_narrowing(asked).await.unwrap().into_inner();
    let unused: Vec<&str> = found.unused.iter().map(|one| one.method.as_str()).collect();
    assert!(!unused.contains(&CHANGE) && !unused.contains(&CHAT), "{found:?}");
}

#[tokio::test]
async fn a_predicate_into_an_any_is_judged_by_what_that_holds_over_grpc_and_as_json() {
    let world = world(|change| {
        change.predicates = vec![Predicate {
            field: "detail.[demo.v1.Address].ward".to_owned(),
            rule: Some(predicate::Rule::Equals("W".to_owned())),
        }];
    })
    .await;
    let with = |detail: Option<Any>| Person {
        detail,
        ..Person::default()
    };
    let agreed = with(Some(address("W", "S")));
    assert_eq!(change(&world, agreed.clone()).await.unwrap(), agreed);
    let other = any("demo.v1.Person", agreed.encode_to_vec());
    for refused in [None, Some(address("V", "S")), Some(other)] {
        let status = change(&world, with(refused)).await.unwrap_err();
        assert_eq!(
            refusal(&status),
            (Code::PermissionDenied, "REQUEST_NOT_AGREED".to_owned())
        );
    }
    let detail = |ward: &str| json!({ "detail": { "@type": "type.googleapis.com/demo.v1.Address", "ward": ward } });
    assert_eq!(post(&world, detail("W")).await.status(), 200);
    assert_eq!(post(&world, detail("V")).await.status(), 403);
}

#[tokio::test]
async fn what_was_named_within_an_any_and_never_left_is_suggested_to_be_left_out() {
    let mut world = world(|change| {
        change.mask = ["detail.[demo.v1.Address].ward", "detail.[demo.v1.Address].street"]
            .map(str::to_owned)
            .to_vec();
    })
    .await;
    let sent = Person {
        detail: Some(address("W", "")),
        ..Person::default()
    };
    assert_eq!(change(&world, sent.clone()).await.unwrap(), sent);
    world.stack.again().await;
    let asked = SuggestNarrowingRequest {
        agreement_id: world.agreed.agreement.agreement_id.clone(),
        since: None,
    };
    let mut staff = world.stack.staff(PARTNER, PROVIDER);
    let found = staff.agreements.suggest_narrowing(asked).await.unwrap().into_inner();
    let of_change = found.unused.into_iter().find(|one| one.method == CHANGE).unwrap();
    assert_eq!(
        (of_change.never_called, &of_change.fields[..]),
        (false, &["detail.[demo.v1.Address].street".to_owned()][..])
    );
}
