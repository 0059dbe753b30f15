//! gRPC-Web through the door, in both of its forms: what a browser's library sends, over HTTP/1.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_ledger::Promise;
use prost::Message as _;

use crate::door::{CHANGE, CHAT, GET, Person, World, person};
use crate::support::*;

const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text+proto";

/// What came back: the messages, and what stands in the frame of trailers or, where there is none, in the head.
struct Heard {
    messages: Vec<Person>,
    trailers: Vec<(String, String)>,
    headers: reqwest::header::HeaderMap,
}

impl Heard {
    fn said(&self, name: &str) -> Option<String> {
        let trailer = self.trailers.iter().find(|(other, _)| other == name);
        let header = || self.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        trailer.map(|(_, value)| value.clone()).or_else(header)
    }

    /// The reason of a refusal, which stands in its details.
    fn reason(&self) -> String {
        let details = self.said("grpc-status-details-bin").unwrap();
        let bytes = base64::engine::general_purpose::STANDARD_NO_PAD
            .decode(details.trim_end_matches('='))
            .unwrap();
        let code = self.said("grpc-status").unwrap().parse::<i32>().unwrap();
        reason(&tonic::Status::with_details(code.into(), "", bytes.into()))
    }
}

fn frame(message: &Person) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&bytes);
    frame
}

async fn ask(world: &World, client_id: &str, method: &str, media_type: &str, messages: &[Person]) -> Heard {
    let frames: Vec<u8> = messages.iter().flat_map(frame).collect();
    let body = if media_type == TEXT {
        STANDARD.encode(&frames).into_bytes()
    } else {
        frames
    };
    let response = reqwest::Client::builder()
        .http1_only()
        .build()
        .unwrap()
        .post(format!("{}/{method}", world.stack.door))
        .bearer_auth(world.token(client_id))
        .header("content-type", media_type)
        .header("accept", media_type)
        .header("x-grpc-web", "1")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], media_type);
    let body = response.bytes().await.unwrap().to_vec();
    let body = if media_type == TEXT { decoded(&body) } else { body };
    let (mut messages, mut trailers) = (Vec::new(), Vec::new());
    let mut rest = body.as_slice();
    while let Some((head, after)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap());
        let (data, next) = after.split_at(usize::try_from(length).unwrap());
        if head[0] & 0x80 == 0 {
            messages.push(Person::decode(data).unwrap());
        } else {
            let text = std::str::from_utf8(data).unwrap();
            trailers.extend(text.lines().filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_lowercase(), value.trim().to_owned()))
            }));
            assert!(next.is_empty(), "trailers come last");
        }
        rest = next;
    }
    assert!(rest.is_empty());
    Heard {
        messages,
        trailers,
        headers,
    }
}

/// Base64 that may be padded in the middle, where one frame ends and the next begins.
fn decoded(text: &[u8]) -> Vec<u8> {
    text.chunks(4).flat_map(|four| STANDARD.decode(four).unwrap()).collect()
}

#[tokio::test]
async fn a_call_over_grpc_web_has_its_promise_in_the_frame_of_trailers() {
    let world = World::start(|_| {}).await;
    let client = world.agreed.consumer.system.client_id.clone();
    for media_type in [BINARY, TEXT] {
        let recorded = world.listed(CONSUMER).await.len();
        // Of a length that base64 pads.
        for name in ["Nguyễn Văn A", "ab", "abc"] {
            let heard = ask(&world, &client, CHANGE, media_type, &[person(name)]).await;
            assert_eq!(heard.messages, [person(name)], "{media_type}");
            let trailer = |name: &str| {
                heard
                    .trailers
                    .iter()
                    .find(|(other, _)| other == name)
                    .map(|(_, value)| value.clone())
            };
            assert_eq!(trailer("grpc-status").as_deref(), Some("0"));
            let promise: Promise = trailer("x-egov-promise").unwrap().parse().unwrap();
            promise
                .verify(world.stack.log.keys(1).unwrap().last().unwrap())
                .unwrap();
            let exchange_id = heard.headers["x-egov-exchange"].to_str().unwrap().to_owned();
            assert!(
                world
                    .listed(PROVIDER)
                    .await
                    .iter()
                    .any(|one| one.exchange_id == exchange_id)
            );
        }
        assert_eq!(world.listed(CONSUMER).await.len(), recorded + 3);
    }
}

#[tokio::test]
async fn a_stream_of_answers_comes_over_grpc_web() {
    let world = World::start(|_| {}).await;
    let client = world.agreed.consumer.system.client_id.clone();
    for media_type in [BINARY, TEXT] {
        let sent = [person("a"), person("bc"), person("def")];
        let heard = ask(&world, &client, CHAT, media_type, &sent).await;
        assert_eq!(heard.messages, sent, "{media_type}");
        assert_eq!(heard.said("grpc-status").as_deref(), Some("0"));
        let promise: Promise = heard.said("x-egov-promise").unwrap().parse().unwrap();
        promise
            .verify(world.stack.log.keys(1).unwrap().last().unwrap())
            .unwrap();
    }
}

#[tokio::test]
async fn a_refusal_over_grpc_web_says_its_status_and_reason() {
    let world = World::start(|terms| terms.methods.retain(|method| method.method != CHANGE)).await;
    let before = world.provider.calls.load(std::sync::atomic::Ordering::SeqCst);
    let client = world.agreed.consumer.system.client_id.clone();
    for media_type in [BINARY, TEXT] {
        for (caller, method) in [(client.as_str(), CHANGE), ("client-4", GET)] {
            let heard = ask(&world, caller, method, media_type, &[person("a")]).await;
            assert!(heard.messages.is_empty());
            assert_eq!(heard.said("grpc-status").as_deref(), Some("7"));
            assert_eq!(heard.reason(), "AGREEMENT_MISSING");
        }
    }
    assert_eq!(world.provider.calls.load(std::sync::atomic::Ordering::SeqCst), before);
}

#[tokio::test]
async fn a_field_outside_the_mask_never_leaves_over_grpc_web() {
    let world = World::start(|terms| {
        for method in &mut terms.methods {
            method.mask = vec!["name".to_owned(), "children.name".to_owned()];
        }
    })
    .await;
    let client = world.agreed.consumer.system.client_id.clone();
    let mut whole = person("a");
    whole.children = vec![person("b")];
    let only = |name: &str| Person {
        name: name.to_owned(),
        ..Person::default()
    };
    let mut wanted = only("a");
    wanted.children = vec![only("b")];
    for media_type in [BINARY, TEXT] {
        let heard = ask(&world, &client, CHANGE, media_type, std::slice::from_ref(&whole)).await;
        assert_eq!(heard.messages, std::slice::from_ref(&wanted), "{media_type}");
    }
}
