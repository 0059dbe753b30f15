//! Calls through the door: from a system over an agreement in force to a provider, with the record and its proof.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use egov_auth::CallerKind;
use egov_ledger::{Promise, Receipt};
use egov_proto::egov::integration::v1::*;
use egov_transparency::{LogReport, WithoutRow, verify_kind};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::support::*;

pub const CONTRACT: &str = include_str!("people.proto");

pub const GET: &str = "demo.v1.People/Get";
pub const CHANGE: &str = "demo.v1.People/Change";
pub const CHAT: &str = "demo.v1.People/Chat";

#[derive(Clone, PartialEq, prost::Message)]
pub struct Person {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub secret: String,
    #[prost(message, optional, boxed, tag = "3")]
    pub parent: Option<Box<Person>>,
    #[prost(message, repeated, tag = "4")]
    pub children: Vec<Person>,
    #[prost(map = "string, message", tag = "5")]
    pub places: std::collections::HashMap<String, Person>,
}

pub fn person(name: &str) -> Person {
    Person {
        name: name.to_owned(),
        secret: "SECRET".to_owned(),
        ..Person::default()
    }
}

/// A person who has a name only.
pub fn only_named(name: &str) -> impl prost::Message {
    Person {
        name: name.to_owned(),
        ..Person::default()
    }
}

/// The name of an encoded person.
pub fn name_of(encoded: &[u8]) -> String {
    let person: Person = prost::Message::decode(encoded).unwrap();
    person.name
}

pub fn document() -> Vec<u8> {
    compiled(CONTRACT)
}

/// The descriptor set of a contract, with its imports and comments.
pub fn compiled(contract: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("people.proto"), contract).unwrap();
    let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut compiler = protox::Compiler::new([folder.path(), &ours]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(["people.proto"]).unwrap();
    compiler.encode_file_descriptor_set()
}

pub type Answer = hyper::Response<http_body_util::combinators::BoxBody<Bytes, hyper::Error>>;

/// A provider that answers as it is told.
pub struct Provider {
    pub address: String,
    pub calls: Arc<AtomicUsize>,
}

impl Provider {
    pub async fn start(answer: fn(hyper::Request<Incoming>) -> Answer) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("grpc://{}", listener.local_addr().unwrap());
        let calls = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&calls);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let counting = Arc::clone(&counting);
                tokio::spawn(async move {
                    let counted = service_fn(move |request: hyper::Request<Incoming>| {
                        // The directory looks at endpoints by itself; that is no call of a consumer.
                        if !request.uri().path().starts_with("/grpc.health.") {
                            counting.fetch_add(1, Ordering::SeqCst);
                        }
                        let delay = request.headers().get("x-delay-ms");
                        let delay = delay.map_or(0, |text| text.to_str().unwrap().parse().unwrap());
                        async move {
                            tokio::time::sleep(Duration::from_millis(delay)).await;
                            Ok::<_, Infallible>(answer(request))
                        }
                    });
                    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(stream), counted).await;
                });
            }
        });
        Self { address, calls }
    }
}

/// Answers with what was sent.
pub fn echo(request: hyper::Request<Incoming>) -> Answer {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    let body = request
        .into_body()
        .with_trailers(std::future::ready(Some(Ok(trailers))))
        .boxed();
    let mut response = hyper::Response::new(body);
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/grpc"));
    response
}

pub struct World {
    pub stack: Stack,
    pub provider: Provider,
    pub agreed: Agreed,
}

impl World {
    pub async fn start(terms: impl FnOnce(&mut AgreementTerms)) -> Self {
        Self::of(document(), echo, |wanted| {
            wanted.methods = [GET, CHANGE, CHAT].map(granted).to_vec();
            terms(wanted);
            // Bodies of streams are not kept, and nobody agrees on it.
            if wanted.record_requests || wanted.record_responses {
                wanted.methods.retain(|method| method.method != CHAT);
            }
        })
        .await
    }

    /// With a provider of a contract, and an agreement on these terms.
    pub async fn of(
        document: Vec<u8>,
        answer: fn(hyper::Request<Incoming>) -> Answer,
        terms: impl FnOnce(&mut AgreementTerms),
    ) -> Self {
        Self::with(Settings::default(), document, answer, terms).await
    }

    /// Whose door records in the database at once.
    pub async fn without_disk() -> Self {
        let settings = Settings {
            journal: None,
            ..Settings::default()
        };
        Self::with(settings, document(), echo, |wanted| {
            wanted.methods = [GET, CHANGE, CHAT].map(granted).to_vec();
        })
        .await
    }

    async fn with(
        settings: Settings,
        document: Vec<u8>,
        answer: fn(hyper::Request<Incoming>) -> Answer,
        terms: impl FnOnce(&mut AgreementTerms),
    ) -> Self {
        let stack = Box::pin(Stack::with(settings)).await;
        Box::pin(Self::on(stack, document, answer, terms)).await
    }

    /// On a stack that the test has brought.
    pub async fn on(
        stack: Stack,
        document: Vec<u8>,
        answer: fn(hyper::Request<Incoming>) -> Answer,
        terms: impl FnOnce(&mut AgreementTerms),
    ) -> Self {
        let provider = Provider::start(answer).await;
        let (consumer, providing) = (party(&stack, CONSUMER).await, party(&stack, PROVIDER).await);
        let (service, agreement) = agree(
            &stack,
            (&consumer, &providing),
            &provider.address,
            "people",
            document,
            terms,
        )
        .await;
        let agreed = Agreed {
            consumer,
            provider: providing,
            service,
            agreement,
        };
        let world = Self {
            stack,
            provider,
            agreed,
        };
        // Within a second the instance knows; a call before that is refused, not let through.
        for _ in 0..200 {
            match world.call(GET, person("ready")).await {
                Err(status)
                    if ["AGREEMENT_MISSING", "PERMITS_STALE", "PROVIDER_UNAVAILABLE"]
                        .contains(&reason(&status).as_str()) =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                _ => break,
            }
        }
        world
    }

    pub fn token(&self, client_id: &str) -> String {
        let mut claims = self.stack.tokens.claims(CallerKind::System, Uuid::from_u128(0xc1));
        claims.client_id = Some(client_id.to_owned());
        self.stack.tokens.sign(&claims)
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = self.token(&self.agreed.consumer.system.client_id);
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    pub async fn grpc(&self) -> Grpc<Channel> {
        let channel = Endpoint::from_shared(self.stack.door.clone())
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.unwrap();
        grpc
    }

    pub async fn call(&self, method: &str, message: Person) -> Result<tonic::Response<Person>, Status> {
        let path: PathAndQuery = format!("/{method}").parse().unwrap();
        let request = self.request(message);
        self.grpc()
            .await
            .unary(request, path, ProstCodec::<Person, Person>::default())
            .await
    }

    pub async fn listed(&self, unit: i32) -> Vec<Exchange> {
        let request = ListExchangesRequest {
            agreement_id: self.agreed.agreement.agreement_id.clone(),
            ..ListExchangesRequest::default()
        };
        let answer = self.stack.staff(PARTNER, unit).exchanges.list_exchanges(request).await;
        answer.unwrap().into_inner().exchanges
    }

    pub async fn revoke(&self) {
        let request = GetAgreementRequest {
            agreement_id: self.agreed.agreement.agreement_id.clone(),
        };
        let mut caller = self.stack.staff(PARTNER, PROVIDER);
        let agreement = caller.agreements.get_agreement(request).await.unwrap().into_inner();
        let revoked = RevokeAgreementRequest {
            request_id: request_id(),
            agreement_id: self.agreed.agreement.agreement_id.clone(),
            etag: agreement.agreement.unwrap().etag,
            reason: "thử nghiệm".to_owned(),
        };
        caller.agreements.revoke_agreement(revoked).await.unwrap();
    }
}

/// A method on no further terms.
pub fn granted(method: &str) -> MethodTerms {
    MethodTerms {
        method: method.to_owned(),
        ..MethodTerms::default()
    }
}

/// Another service of the provider, and an agreement about it between the two.
pub async fn agree(
    stack: &Stack,
    (consumer, providing): (&Party, &Party),
    address: &str,
    code: &str,
    document: Vec<u8>,
    terms: impl FnOnce(&mut AgreementTerms),
) -> (Service, Agreement) {
    let service = service_of(stack, providing, code, document).await;
    let added = AddEndpointRequest {
        request_id: request_id(),
        service_id: service.service_id.clone(),
        url: address.to_owned(),
        weight: 1,
        health_path: String::new(),
    };
    let mut staff = stack.staff(PARTNER, PROVIDER);
    staff.interfaces.add_endpoint(added).await.unwrap();
    let mut wanted = crate::support::terms(stack);
    wanted.allowed_purposes = Vec::new();
    terms(&mut wanted);
    let agreement = draft(stack, consumer, &service, wanted).await;
    let agreement = offer(stack, CONSUMER, &agreement).await.unwrap();
    let agreement = sign(stack, consumer, Side::Consumer, &agreement).await.unwrap();
    let agreement = sign(stack, providing, Side::Provider, &agreement).await.unwrap();
    (service, agreement)
}

pub fn sha256(message: &Person) -> Vec<u8> {
    let bytes = prost::Message::encode_to_vec(message);
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&bytes);
    digest(&SHA256, &frame).as_ref().to_vec()
}

#[tokio::test]
async fn a_call_goes_through_the_agreement_and_both_sides_can_prove_it() {
    let world = World::start(|_| {}).await;
    let answer = world.call(CHANGE, person("Nguyễn Văn A")).await.unwrap();
    let exchange_id = answer
        .metadata()
        .get("x-egov-exchange")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let promise: Promise = answer
        .metadata()
        .get("x-egov-promise")
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(answer.into_inner(), person("Nguyễn Văn A"));
    let keys = world.stack.log.keys(1).unwrap();
    promise.verify(keys.last().unwrap()).unwrap();

    for unit in [CONSUMER, PROVIDER] {
        let request = GetExchangeReceiptRequest {
            exchange_id: exchange_id.clone(),
        };
        let proof = world
            .stack
            .staff(PARTNER, unit)
            .exchanges
            .get_exchange_receipt(request)
            .await;
        let proof = proof.unwrap().into_inner();
        let exchange = proof.exchange.unwrap();
        assert_eq!(exchange.outcome(), ExchangeOutcome::Answered);
        // Each side finds the hash of what it sent or got.
        let hash = sha256(&person("Nguyễn Văn A"));
        assert_eq!(
            (&exchange.request.unwrap().sha256, &exchange.response.unwrap().sha256),
            (&hash, &hash)
        );
        // The receipt proves the very leaf that was promised, and the leaf commits to what was recorded.
        let receipt = Receipt::from_bytes(&proof.receipt).unwrap();
        receipt.verify(&keys).unwrap();
        assert_eq!(receipt.entry.leaf_hash().unwrap(), promise.leaf());
        assert_eq!(
            receipt.entry.commitment,
            egov_database::leaf_commitment(&proof.salt, &proof.canonical)
        );
    }
    // The neighbour knows of nothing.
    let request = GetExchangeRequest { exchange_id };
    let hidden = world
        .stack
        .staff(PARTNER, STRANGER)
        .exchanges
        .get_exchange(request)
        .await;
    assert_eq!(
        refusal(&hidden.unwrap_err()),
        (Code::NotFound, "EXCHANGE_NOT_FOUND".to_owned())
    );
    assert!(world.listed(STRANGER).await.is_empty());
    assert!(world.listed(CONSUMER).await.len() >= 2);
}

#[tokio::test]
async fn nobody_passes_without_the_agreement() {
    let world = World::start(|terms| terms.methods.retain(|method| method.method != CHANGE)).await;
    let before = world.provider.calls.load(Ordering::SeqCst);
    let missing = world.call(CHANGE, person("a")).await.unwrap_err();
    assert_eq!(
        refusal(&missing),
        (Code::PermissionDenied, "AGREEMENT_MISSING".to_owned())
    );

    let path = PathAndQuery::from_static("/demo.v1.People/Get");
    let mut stranger = Request::new(person("a"));
    let token = world.token("client-4");
    stranger
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    let codec = ProstCodec::<Person, Person>::default();
    let refused = world.grpc().await.unary(stranger, path, codec).await.unwrap_err();
    assert_eq!(reason(&refused), "AGREEMENT_MISSING");
    assert_eq!(world.provider.calls.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn a_field_outside_the_mask_never_leaves() {
    let world = World::start(|terms| {
        for method in &mut terms.methods {
            method.mask = ["name", "children.name", "places.name", "parent.parent.name"]
                .map(str::to_owned)
                .to_vec();
        }
    })
    .await;
    let mut whole = person("a");
    whole.children = vec![person("b"), person("c")];
    whole.places = [("nhà".to_owned(), person("d"))].into();
    whole.parent = Some(Box::new(Person {
        parent: Some(Box::new(person("e"))),
        ..person("f")
    }));
    let only = |name: &str| Person {
        name: name.to_owned(),
        ..Person::default()
    };
    let mut wanted = only("a");
    wanted.children = vec![only("b"), only("c")];
    wanted.places = [("nhà".to_owned(), only("d"))].into();
    wanted.parent = Some(Box::new(Person {
        parent: Some(Box::new(only("e"))),
        ..Person::default()
    }));
    let answer = world.call(CHANGE, whole.clone()).await.unwrap();
    assert_eq!(answer.into_inner(), wanted);

    // In a stream as well.
    let path: PathAndQuery = format!("/{CHAT}").parse().unwrap();
    let sent = world.request(tokio_stream::iter([whole.clone(), whole]));
    let codec = ProstCodec::<Person, Person>::default();
    let mut answers = world
        .grpc()
        .await
        .streaming(sent, path, codec)
        .await
        .unwrap()
        .into_inner();
    for _ in 0..2 {
        assert_eq!(answers.message().await.unwrap().unwrap(), wanted);
    }
    assert!(answers.message().await.unwrap().is_none());
    assert!(
        answers
            .trailers()
            .await
            .unwrap()
            .unwrap()
            .contains_key("x-egov-promise")
    );

    let exchange = world.listed(PROVIDER).await.remove(0);
    assert_eq!(exchange.response.unwrap().messages, 2);
    assert_eq!(exchange.received_sha256.len(), 32);
}

#[tokio::test]
async fn a_request_that_the_agreement_does_not_allow_does_not_reach_the_provider() {
    let world = World::start(|terms| {
        for method in &mut terms.methods {
            method.predicates = vec![Predicate {
                field: "name".to_owned(),
                rule: Some(predicate::Rule::Prefix("H41".to_owned())),
            }];
        }
    })
    .await;
    let before = world.provider.calls.load(Ordering::SeqCst);
    let refused = world.call(CHANGE, person("H42")).await.unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::PermissionDenied, "REQUEST_NOT_AGREED".to_owned())
    );
    assert_eq!(world.provider.calls.load(Ordering::SeqCst), before);
    assert_eq!(
        world.call(CHANGE, person("H41.2")).await.unwrap().into_inner().name,
        "H41.2"
    );
}

#[tokio::test]
async fn a_revocation_is_in_force_within_a_second_also_in_a_stream() {
    let world = World::start(|_| {}).await;
    let path: PathAndQuery = format!("/{CHAT}").parse().unwrap();
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let sent = world.request(tokio_stream::wrappers::ReceiverStream::new(receive));
    send.send(person("a")).await.unwrap();
    let codec = ProstCodec::<Person, Person>::default();
    let mut answers = world
        .grpc()
        .await
        .streaming(sent, path, codec)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), person("a"));

    world.revoke().await;
    let ended = tokio::time::timeout(Duration::from_secs(1), answers.message()).await;
    assert_eq!(reason(&ended.unwrap().unwrap_err()), "AGREEMENT_ENDED");
    let refused = world.call(GET, person("a")).await.unwrap_err();
    assert_eq!(reason(&refused), "AGREEMENT_MISSING");
    let exchange = world.listed(CONSUMER).await.remove(0);
    assert_eq!(exchange.outcome(), ExchangeOutcome::AgreementEnded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_stop_calls_finish_streams_are_told_and_every_exchange_has_an_end_of_its_own() {
    let mut world = World::start(|_| {}).await;
    let path: PathAndQuery = format!("/{CHAT}").parse().unwrap();
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let sent = world.request(tokio_stream::wrappers::ReceiverStream::new(receive));
    send.send(person("a")).await.unwrap();
    let codec = ProstCodec::<Person, Person>::default();
    let mut answers = world
        .grpc()
        .await
        .streaming(sent, path, codec)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), person("a"));

    // One provider takes a second, longer than a book of permits holds without its feed; one never answers.
    let path: PathAndQuery = format!("/{CHANGE}").parse().unwrap();
    let slow = async |grpc: &mut Grpc<Channel>, delay: &'static str| {
        let mut request = world.request(person("slow"));
        request.metadata_mut().insert("x-delay-ms", delay.parse().unwrap());
        let codec = ProstCodec::<Person, Person>::default();
        grpc.unary(request, path.clone(), codec).await
    };
    let (mut first, mut second) = (world.grpc().await, world.grpc().await);
    // And calls that end in the last instant, one after the other, until the door takes no more.
    let mut busy = world.grpc().await;
    let until_refused = async {
        let mut answered = 0;
        loop {
            busy.ready().await.unwrap();
            let codec = ProstCodec::<Person, Person>::default();
            match busy.unary(world.request(person("b")), path.clone(), codec).await {
                Ok(_) => answered += 1,
                Err(_) => return answered,
            }
        }
    };
    let before = world.provider.calls.load(Ordering::SeqCst);
    let stop = async {
        while world.provider.calls.load(Ordering::SeqCst) < before + 10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.stack.drain();
    };
    let told = async { answers.message().await.unwrap_err() };
    let (finished, stuck, answered, told, ()) = tokio::join!(
        slow(&mut first, "1500"),
        slow(&mut second, "60000"),
        until_refused,
        told,
        stop
    );
    assert_eq!(finished.unwrap().into_inner(), person("slow"));
    assert!(stuck.is_err());
    assert!(answered > 0);
    assert_eq!(refusal(&told), (Code::Unavailable, "SHUTTING_DOWN".to_owned()));
    let drained = world.stack.drained().await;
    assert_eq!((drained.aborted_connections, drained.aborted_jobs), (1, 0));

    let mut superuser = superuser(&world.stack).await;
    let left: (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM open_exchanges),
           (SELECT count(*) FROM exchanges LEFT JOIN exchange_outcomes USING (exchange_id) WHERE outcome IS NULL)",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(left, (0, 0));
    let outcomes: Vec<(String, i64)> = sqlx::query_as(
        "SELECT outcome, count(*) FROM exchange_outcomes WHERE outcome <> 'answered' GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    // The call that was cut, and the stream that was told.
    assert_eq!(outcomes, [("cancelled".to_owned(), 1), ("stopped".to_owned(), 1)]);
}

#[tokio::test]
async fn an_endpoint_that_is_drained_ends_its_calls_and_new_ones_go_elsewhere() {
    let world = World::start(|_| {}).await;
    let other = Provider::start(echo).await;
    let service_id = &world.agreed.service.service_id;
    let mut staff = world.stack.staff(PARTNER, PROVIDER);
    let read = GetServiceRequest {
        service_id: service_id.clone(),
    };
    let service = staff.interfaces.get_service(read).await.unwrap().into_inner();
    let endpoint = service.service.unwrap().endpoints.remove(0);
    let change = |state: EndpointState| ChangeEndpointRequest {
        request_id: request_id(),
        service_id: service_id.clone(),
        endpoint_id: endpoint.endpoint_id.clone(),
        // By far the one that is preferred, while it takes calls.
        weight: 1000,
        state: state.into(),
        reason: "bảo trì".to_owned(),
    };
    staff
        .interfaces
        .change_endpoint(change(EndpointState::Active))
        .await
        .unwrap();
    let added = AddEndpointRequest {
        request_id: request_id(),
        service_id: service_id.clone(),
        url: other.address.clone(),
        weight: 1,
        health_path: String::new(),
    };
    staff.interfaces.add_endpoint(added).await.unwrap();

    let mut grpc = world.grpc().await;
    let slow = async {
        let path: PathAndQuery = format!("/{CHANGE}").parse().unwrap();
        let mut request = world.request(person("slow"));
        request.metadata_mut().insert("x-delay-ms", "700".parse().unwrap());
        let codec = ProstCodec::<Person, Person>::default();
        grpc.unary(request, path, codec).await
    };
    let calls = |provider: &Provider| provider.calls.load(Ordering::SeqCst);
    let before = calls(&world.provider);
    let drained = async {
        while calls(&world.provider) == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        staff
            .interfaces
            .change_endpoint(change(EndpointState::Draining))
            .await
            .unwrap();
        for _ in 0..200 {
            world.call(GET, person("a")).await.unwrap();
            if calls(&other) > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (at_first, elsewhere) = (calls(&world.provider), calls(&other));
        assert_eq!(elsewhere, 1);
        for _ in 0..3 {
            world.call(GET, person("a")).await.unwrap();
        }
        assert_eq!((calls(&world.provider), calls(&other)), (at_first, 4));
    };
    let (slow, ()) = tokio::join!(slow, drained);
    assert_eq!(slow.unwrap().into_inner(), person("slow"));
    let listed = world.listed(CONSUMER).await;
    assert!(listed.iter().all(|one| one.outcome() == ExchangeOutcome::Answered));
}

#[tokio::test]
async fn when_the_record_cannot_be_written_calls_are_refused_and_nothing_is_lost() {
    let world = World::without_disk().await;
    let before = world.provider.calls.load(Ordering::SeqCst);
    let recorded = world.listed(CONSUMER).await.len();
    world.stack.pool.close().await;
    let refused = world.call(CHANGE, person("a")).await.unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::Unavailable, "EXCHANGE_NOT_RECORDED".to_owned())
    );
    assert_eq!(world.provider.calls.load(Ordering::SeqCst), before);
    assert_eq!(recorded, before);
}

#[tokio::test]
async fn bodies_are_kept_sealed_where_the_agreement_says_so_and_deleted_in_time() {
    let world = World::start(|terms| {
        terms.record_responses = true;
        terms.retention_days = 1;
    })
    .await;
    world.call(CHANGE, person("một")).await.unwrap();
    let sealed: Vec<Vec<u8>> = sqlx::query_scalar("SELECT sealed FROM exchange_bodies")
        .fetch_all(&mut superuser(&world.stack).await)
        .await
        .unwrap();
    assert!(!sealed.is_empty());
    assert!(
        sealed
            .iter()
            .all(|body| !body.windows(6).any(|window| window == b"SECRET"))
    );

    world.stack.clock.advance(jiff::SignedDuration::from_hours(25));
    egov_integration::sweep_exchanges_once(&world.stack.pool).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM exchange_bodies WHERE sealed IS NOT NULL")
        .fetch_one(&mut superuser(&world.stack).await)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_an_instance_that_is_gone_left_open_is_recorded_as_unknown() {
    let world = World::start(|_| {}).await;
    world.call(CHANGE, person("a")).await.unwrap();
    let mut superuser = superuser(&world.stack).await;
    // As a process that was killed between the two records leaves it.
    let orphan = Uuid::from_u128(0xdead);
    sqlx::query(
        "INSERT INTO exchanges SELECT $1, $2, consumer_unit_id, provider_unit_id, consumer_organisation_id, provider_organisation_id,
           agreement_id, agreement_version, delegation_id, service_id, client_id, caller, on_behalf_of, method, purpose, trace, begin_time
         FROM exchanges LIMIT 1",
    )
    .bind(orphan)
    .bind(Uuid::from_u128(0xbeef))
    .execute(&mut superuser)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO open_exchanges SELECT exchange_id, instance_id, begin_time FROM exchanges WHERE exchange_id = $1",
    )
    .bind(orphan)
    .execute(&mut superuser)
    .await
    .unwrap();
    let outcome = async || {
        let request = GetExchangeRequest {
            exchange_id: orphan.to_string(),
        };
        let mut caller = world.stack.staff(PARTNER, CONSUMER);
        let found = caller.exchanges.get_exchange(request).await;
        found.unwrap().into_inner().exchange.unwrap().outcome()
    };
    // By hand or by the running job, whoever has the lease: not before its instance is dead.
    egov_integration::sweep_exchanges_once(&world.stack.pool).await.unwrap();
    assert_eq!(outcome().await, ExchangeOutcome::Unspecified);
    world.stack.clock.advance(jiff::SignedDuration::from_secs(31));
    for _ in 0..200 {
        egov_integration::sweep_exchanges_once(&world.stack.pool).await.unwrap();
        if outcome().await == ExchangeOutcome::Unknown {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(outcome().await, ExchangeOutcome::Unknown);
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM open_exchanges WHERE exchange_id = $1")
        .bind(orphan)
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(open, 0);
    // The late end is counted, once, by whichever writer came first.
    let counted = crate::traffic::summary(&world.stack, CONSUMER, &[TrafficDimension::Outcome]).await;
    let unknown: Vec<i64> = counted
        .iter()
        .filter(|line| line.outcome() == ExchangeOutcome::Unknown)
        .map(|line| line.calls)
        .collect();
    assert_eq!(unknown, [1]);
}

#[tokio::test]
async fn who_edits_or_deletes_an_exchange_in_the_database_is_found_out() {
    let world = World::start(|_| {}).await;
    for _ in 0..3 {
        world.call(CHANGE, person("a")).await.unwrap();
    }
    let mut superuser = superuser(&world.stack).await;
    let found = async || verified(&world.stack).await;
    let (all, wrong) = found().await;
    assert!(all >= 3 && wrong == 0);

    sqlx::raw_sql(
        "SET session_replication_role = replica;
         UPDATE exchange_outcomes SET response_bytes = response_bytes + 1
         WHERE exchange_id = (SELECT exchange_id FROM exchanges ORDER BY begin_time DESC, exchange_id LIMIT 1)",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    assert_eq!(found().await, (all, 1));
    sqlx::raw_sql(
        "DELETE FROM exchange_outcomes WHERE exchange_id = (SELECT exchange_id FROM exchanges ORDER BY begin_time DESC, exchange_id LIMIT 1)",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    assert_eq!(found().await, (all - 1, 1));
}

/// How many leaves of exchanges are what the rows say, and how many findings there are.
pub async fn verified(stack: &Stack) -> (u64, usize) {
    let rebuilt = egov_integration::rebuild_leaves::rebuild_leaves(&stack.pool)
        .await
        .unwrap();
    let mut report = LogReport::default();
    let exchanges = verify_kind(&stack.pool, "exchange", &rebuilt, WithoutRow::Wrong, &mut report).await;
    (exchanges.unwrap().recomputed, report.findings.len())
}

/// Looks into the database, after what the door has on its disk is there.
pub async fn superuser(stack: &Stack) -> sqlx::PgConnection {
    let request = ListExchangesRequest::default();
    let _ = stack.staff(PARTNER, CONSUMER).exchanges.list_exchanges(request).await;
    stack.database.connect_as_superuser().await.unwrap()
}
