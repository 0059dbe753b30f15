//! Calls through the door: a provider on a real HTTP/2 connection, agreements and records in memory.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use egov_auth::{Issuer, Revocations, Verifier, VerifierConfig};
use egov_clock::{ManualClock, SystemIds};
use egov_door::{
    AnswerBody, Asked, Authenticator, Begun, BodyRules, BrokenOff, Consumer, Destinations, Door, DoorLimits, DoorParts,
    Ended, EndpointSpec, EndpointState, FilterRefusal, Gatekeeper, Held, Journal, MessageFilter, MethodFacts, Outcome,
    Passage, Promise, Quota, Recording, Refusal, Standing, Stands, Tally, Upstream, UpstreamLimits, refusal,
};
use egov_fault::Fault;
use egov_testkit::Tokens;
use futures::FutureExt as _;
use futures::future::ready;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

const ACCOUNT: Uuid = Uuid::from_u128(77);

fn frame(message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(u32::try_from(message.len()).unwrap());
    out.put_slice(message);
    out.freeze()
}

fn trailers(status: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    trailers
}

/// What a provider has seen.
#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    heads: Mutex<Vec<HeaderMap>>,
    /// Bodies that ended as they should.
    whole: AtomicUsize,
    /// Bytes of requests.
    bytes: AtomicUsize,
    /// The provider breaks off so many calls more before it answers.
    deaths: AtomicUsize,
    /// It takes calls, and not even the head of an answer comes.
    hangs: AtomicBool,
    /// Of its answers the ends do not come.
    stalls: AtomicBool,
    /// It answers that it is not available.
    busy: AtomicBool,
    /// Lets a call go on that waits.
    go: Notify,
}

struct Provider {
    address: std::net::SocketAddr,
    seen: Arc<Seen>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let for_task = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let seen = Arc::clone(&for_task);
                tokio::spawn(async move {
                    let answer = service_fn(move |request: Request<Incoming>| {
                        let late = request.uri().path().ends_with("/Late") || seen.hangs.load(Ordering::SeqCst);
                        let answer = provide(request, Arc::clone(&seen));
                        async move {
                            if late {
                                std::future::pending::<()>().await;
                            }
                            answer
                        }
                    });
                    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Self { address, seen }
    }
}

fn provide(request: Request<Incoming>, seen: Arc<Seen>) -> Result<Response<AnswerBody>, std::io::Error> {
    seen.calls.fetch_add(1, Ordering::SeqCst);
    seen.heads.lock().unwrap().push(request.headers().clone());
    let path = request.uri().path().to_owned();
    let (to, pieces) = mpsc::channel(4);
    let mut body = request.into_body();
    if path.ends_with("/Die")
        && seen
            .deaths
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok()
    {
        return Err(std::io::Error::other("dies"));
    }
    tokio::spawn(async move {
        match path.rsplit('/').next().unwrap() {
            "Unary" | "Die" | "Bidi" | "Late" | "Wait" => {
                while let Some(piece) = body.frame().await {
                    let Ok(piece) = piece else { return };
                    if let Ok(data) = piece.into_data()
                        && {
                            seen.bytes.fetch_add(data.len(), Ordering::SeqCst);
                            true
                        }
                        && to.send(Ok(Frame::data(data))).await.is_err()
                    {
                        return;
                    }
                }
                seen.whole.fetch_add(1, Ordering::SeqCst);
                if path.ends_with("/Wait") {
                    seen.go.notified().await;
                }
                if seen.stalls.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                let status = if seen.busy.load(Ordering::SeqCst) { "14" } else { "0" };
                let _ = to.send(Ok(Frame::trailers(trailers(status)))).await;
            }
            "Refuse" => {
                let mut trailers = trailers("5");
                trailers.insert("grpc-status-details-bin", HeaderValue::from_static("c2VjcmV0"));
                trailers.insert("x-own", HeaderValue::from_static("secret"));
                let _ = to.send(Ok(Frame::trailers(trailers))).await;
            }
            "Half" => {
                let _ = to.send(Ok(Frame::data(frame(b"one")))).await;
                let _ = to.send(Err(BrokenOff)).await;
            }
            "Sleep" => tokio::time::sleep(Duration::from_secs(30)).await,
            "Flood" => {
                let piece = frame(&vec![7; 64 * 1024]);
                while to.send(Ok(Frame::data(piece.clone()))).await.is_ok() {}
            }
            other => panic!("{other}"),
        }
    });
    let mut response = Response::new(AnswerBody::Pieces(pieces));
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// Upper-case letters do not leave; a request with a `!` is not agreed.
struct Letters;

impl MessageFilter for Letters {
    fn request(&self, message: Bytes) -> Result<Bytes, FilterRefusal> {
        if message.contains(&b'!') {
            return Err(FilterRefusal::NotAgreed);
        }
        Ok(message.iter().copied().filter(|byte| *byte != b'?').collect())
    }

    fn response(&self, message: Bytes) -> Result<Bytes, FilterRefusal> {
        if message.contains(&b'#') {
            return Err(FilterRefusal::Unreadable);
        }
        Ok(message
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_uppercase())
            .collect())
    }
}

struct Agreed(Arc<AtomicBool>);

impl Standing for Agreed {
    fn stands(&self) -> Stands {
        if self.0.load(Ordering::SeqCst) {
            Stands::Holds
        } else {
            Stands::Ended
        }
    }
}

struct Keeper {
    upstream: Arc<Upstream>,
    facts: MethodFacts,
    filter: Option<Arc<dyn MessageFilter>>,
    quota: Quota,
    bodies: BodyRules,
    holds: Arc<AtomicBool>,
}

impl Gatekeeper for Keeper {
    fn admit(&self, consumer: &Consumer, asked: Asked<'_>) -> Result<Passage, Fault> {
        if consumer.client_id != "motcua" || asked.method.starts_with("other.") {
            return Err(refusal(Refusal::AgreementMissing));
        }
        Ok(Passage {
            agreement_id: Uuid::from_u128(1),
            agreement_version: 3,
            delegation_id: None,
            consumer_organisation_id: Uuid::from_u128(2),
            consumer_unit_id: 2,
            provider_organisation_id: Uuid::from_u128(3),
            provider_unit_id: 3,
            service_id: Uuid::from_u128(4),
            upstream: Arc::clone(&self.upstream),
            facts: self.facts,
            filter: self.filter.clone(),
            quota: self.quota,
            bodies: self.bodies,
            standing: Arc::new(Agreed(Arc::clone(&self.holds))),
        })
    }
}

#[derive(Default)]
struct Notes {
    begun: Mutex<Vec<Arc<Begun>>>,
    bodies: Mutex<Vec<Bytes>>,
    ended: Mutex<Vec<Ended>>,
    down: AtomicBool,
    /// Only the second record cannot be made.
    end_fails: AtomicBool,
    /// What is revoked while the second record is made.
    revoked_by_end: Mutex<Option<Arc<AtomicBool>>>,
    /// How many calls the provider had seen when each record began.
    before: Mutex<Vec<usize>>,
    seen: Mutex<Option<Arc<Seen>>>,
}

impl Journal for Notes {
    fn begin(&self, begun: Arc<Begun>, body: Option<Bytes>, _: Held) -> Recording<()> {
        if self.down.load(Ordering::SeqCst) {
            return ready(Err(refusal(Refusal::ExchangeNotRecorded))).boxed();
        }
        if let Some(seen) = &*self.seen.lock().unwrap() {
            self.before.lock().unwrap().push(seen.calls.load(Ordering::SeqCst));
        }
        self.begun.lock().unwrap().push(begun);
        self.bodies.lock().unwrap().extend(body);
        ready(Ok(())).boxed()
    }

    fn end(&self, ended: Ended) -> Recording<Promise> {
        if self.end_fails.load(Ordering::SeqCst) || self.down.load(Ordering::SeqCst) {
            return ready(Err(refusal(Refusal::ExchangeNotRecorded))).boxed();
        }
        if let Some(holds) = &*self.revoked_by_end.lock().unwrap() {
            holds.store(false, Ordering::SeqCst);
        }
        self.ended.lock().unwrap().push(ended);
        ready(Ok(Promise("promised".to_owned()))).boxed()
    }

    fn abandon(&self, ended: Ended) {
        self.ended.lock().unwrap().push(ended);
    }
}

struct World {
    door: Door,
    notes: Arc<Notes>,
    provider: Provider,
    holds: Arc<AtomicBool>,
    tokens: Tokens,
}

struct Terms {
    facts: MethodFacts,
    filter: bool,
    quota: Quota,
    bodies: BodyRules,
    limits: DoorLimits,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            facts: MethodFacts::default(),
            filter: false,
            quota: Quota::default(),
            bodies: BodyRules::default(),
            limits: DoorLimits {
                standing_every: Duration::from_millis(20),
                ..DoorLimits::default()
            },
        }
    }
}

const STREAM: MethodFacts = MethodFacts {
    client_streaming: true,
    server_streaming: true,
    idempotent: false,
};

/// A service with endpoints at these addresses.
fn endpoints_at(addresses: &[std::net::SocketAddr], destinations: Destinations, limits: UpstreamLimits) -> Upstream {
    let upstream = Upstream::new(Arc::new(destinations), None, limits);
    upstream.set(&specs_at(addresses));
    upstream
}

fn specs_at(addresses: &[std::net::SocketAddr]) -> Vec<EndpointSpec> {
    (1..)
        .zip(addresses)
        .map(|(id, address)| EndpointSpec {
            id: Uuid::from_u128(id),
            address: format!("http://{address}").parse().unwrap(),
            weight: 1,
            state: EndpointState::Active,
        })
        .collect()
}

impl World {
    async fn start(terms: Terms) -> Self {
        let provider = Provider::start().await;
        let upstream = endpoints_at(&[provider.address], Destinations::anywhere(), UpstreamLimits::default());
        Self::with(terms, provider, upstream)
    }

    fn with(terms: Terms, provider: Provider, upstream: impl Into<Arc<Upstream>>) -> Self {
        let clock: ManualClock = egov_testkit::clock();
        let tokens = Tokens::by(clock.shared());
        let issuer = Issuer::from_config(tokens.issuer()).unwrap();
        let verifier = Verifier::new(vec![issuer], clock.shared(), VerifierConfig::default());
        let holds = Arc::new(AtomicBool::new(true));
        let notes = Arc::new(Notes::default());
        *notes.seen.lock().unwrap() = Some(Arc::clone(&provider.seen));
        let door = Door::new(DoorParts {
            authenticator: Authenticator::new(Arc::new(verifier), Arc::new(Revocations::local(clock.shared())), false),
            gatekeeper: Arc::new(Keeper {
                upstream: upstream.into(),
                facts: terms.facts,
                filter: terms.filter.then(|| Arc::new(Letters) as Arc<dyn MessageFilter>),
                quota: terms.quota,
                bodies: terms.bodies,
                holds: Arc::clone(&holds),
            }),
            journal: Arc::clone(&notes) as Arc<dyn Journal>,
            clock: clock.shared(),
            ids: SystemIds::shared(),
            limits: terms.limits,
        });
        Self {
            door,
            notes,
            provider,
            holds,
            tokens,
        }
    }

    fn token(&self) -> String {
        let mut claims = self.tokens.claims(egov_auth::CallerKind::System, ACCOUNT);
        claims.client_id = Some("motcua".to_owned());
        self.tokens.sign(&claims)
    }

    fn request(&self, method: &str, body: AnswerBody) -> Request<AnswerBody> {
        request_with(&self.token(), method, body)
    }

    async fn unary(&self, method: &str, message: &[u8]) -> Whole {
        let request = self.request(method, AnswerBody::of(frame(message)));
        Whole::of(self.door.grpc(request).await).await
    }

    /// Opens a stream; what is sent into the channel goes to the provider.
    async fn stream(&self, method: &str) -> (mpsc::Sender<Result<Frame<Bytes>, BrokenOff>>, Response<AnswerBody>) {
        let (to, pieces) = mpsc::channel(4);
        let response = self.door.grpc(self.request(method, AnswerBody::Pieces(pieces))).await;
        (to, response)
    }

    fn ended(&self) -> Ended {
        let mut ended = self.notes.ended.lock().unwrap();
        assert_eq!(ended.len(), 1);
        ended.pop().unwrap()
    }
}

fn request_with(token: &str, method: &str, body: AnswerBody) -> Request<AnswerBody> {
    Request::post(format!("http://door/{method}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/grpc")
        .header("x-egov-consumer", "forged")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(body)
        .unwrap()
}

/// An answer, read to its end.
#[derive(Debug)]
struct Whole {
    data: Bytes,
    all: HeaderMap,
    broken: bool,
}

impl Whole {
    async fn of(response: Response<AnswerBody>) -> Self {
        let (parts, mut body) = response.into_parts();
        let mut whole = Self {
            data: Bytes::new(),
            all: parts.headers,
            broken: false,
        };
        let mut data = BytesMut::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Err(BrokenOff) => whole.broken = true,
                Ok(frame) => match frame.into_data() {
                    Ok(piece) => data.extend_from_slice(&piece),
                    Err(frame) => whole.all.extend(frame.into_trailers().unwrap()),
                },
            }
        }
        whole.data = data.freeze();
        whole
    }

    fn status(&self) -> &str {
        self.all["grpc-status"].to_str().unwrap()
    }

    fn reason(&self) -> String {
        let status = tonic::Status::from_header_map(&self.all).unwrap();
        egov_fault::reason_of(&status).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_unary_call_is_recorded_before_and_after_and_answered_with_a_promise() {
    let world = World::start(Terms::default()).await;
    let answer = world.unary("demo.Echo/Unary", b"xin chao").await;
    assert_eq!((answer.data.clone(), answer.status()), (frame(b"xin chao"), "0"));
    assert_eq!(answer.all["x-egov-promise"], "promised");
    // The first record was there before the provider saw anything.
    assert_eq!(*world.notes.before.lock().unwrap(), [0]);

    let ended = world.ended();
    assert_eq!(ended.outcome, Outcome::Answered);
    assert_eq!(ended.request, Tally::of(&frame(b"xin chao"), 1));
    assert_eq!(ended.response, Tally::of(&frame(b"xin chao"), 1));
    assert_eq!((ended.forwarded, ended.received), (None, None));
    assert_eq!(answer.all["x-egov-exchange"], ended.begun.exchange_id.to_string());
    assert_eq!(ended.begun.trace.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(ended.begun.caller, ACCOUNT);

    let heads = world.provider.seen.heads.lock().unwrap();
    let head = &heads[0];
    assert_eq!(head["x-egov-consumer"], "motcua");
    assert_eq!(head["x-egov-agreement"], Uuid::from_u128(1).to_string());
    assert!(!head.contains_key("authorization"));
    assert!(head.contains_key("grpc-timeout"));
    assert!(
        head["traceparent"]
            .to_str()
            .unwrap()
            .contains("0af7651916cd43dd8448eb211c80319c")
    );
}

#[tokio::test]
async fn without_token_agreement_or_record_nothing_reaches_the_provider() {
    let world = World::start(Terms::default()).await;
    let mut request = world.request("demo.Echo/Unary", AnswerBody::of(frame(b"a")));
    request.headers_mut().remove("authorization");
    let answer = Whole::of(world.door.grpc(request).await).await;
    assert_eq!(answer.reason(), "TOKEN_MISSING");

    let staff = world.tokens.staff(Uuid::from_u128(5), &[("clerk", 1)]);
    let mut request = world.request("demo.Echo/Unary", AnswerBody::of(frame(b"a")));
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {staff}").parse().unwrap());
    assert_eq!(Whole::of(world.door.grpc(request).await).await.reason(), "NOT_A_SYSTEM");

    assert_eq!(
        world.unary("other.Echo/Unary", b"a").await.reason(),
        "AGREEMENT_MISSING"
    );
    world.notes.down.store(true, Ordering::SeqCst);
    assert_eq!(
        world.unary("demo.Echo/Unary", b"a").await.reason(),
        "EXCHANGE_NOT_RECORDED"
    );
    assert_eq!(world.provider.seen.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_is_worth_nothing_without_it() {
    let world = World::start(Terms::default()).await;
    let mut claims = world.tokens.claims(egov_auth::CallerKind::System, ACCOUNT);
    claims.client_id = Some("motcua".to_owned());
    claims.cnf = Some(egov_auth::ConfirmationClaim {
        certificate: "x".to_owned(),
    });
    let mut request = world.request("demo.Echo/Unary", AnswerBody::of(frame(b"a")));
    let token = world.tokens.sign(&claims);
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    let answer = Whole::of(world.door.grpc(request).await).await;
    assert_eq!(
        (answer.status(), answer.reason().as_str()),
        ("16", "CERTIFICATE_NOT_BOUND")
    );
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_is_not_given() {
    for facts in [MethodFacts::default(), STREAM] {
        let world = World::start(Terms {
            facts,
            ..Terms::default()
        })
        .await;
        world.notes.end_fails.store(true, Ordering::SeqCst);
        let answer = world.unary("demo.Echo/Unary", b"a").await;
        assert_eq!(answer.reason(), "EXCHANGE_NOT_RECORDED");
        assert!(!answer.all.contains_key("x-egov-promise"));
        assert_eq!(world.provider.seen.calls.load(Ordering::SeqCst), 1);
        if facts == MethodFacts::default() {
            assert!(answer.data.is_empty());
        }
    }
}

#[tokio::test]
async fn a_filter_holds_back_in_both_directions_and_both_forms_are_recorded() {
    let terms = Terms {
        filter: true,
        ..Terms::default()
    };
    let world = World::start(terms).await;
    let answer = world.unary("demo.Echo/Unary", b"a?SECRETb").await;
    assert_eq!(answer.data, frame(b"ab"));
    let ended = world.ended();
    assert_eq!(ended.request, Tally::of(&frame(b"a?SECRETb"), 1));
    assert_eq!(ended.forwarded, Some(Tally::of(&frame(b"aSECRETb"), 1)));
    assert_eq!(ended.received, Some(Tally::of(&frame(b"aSECRETb"), 1)));
    assert_eq!(ended.response, Tally::of(&frame(b"ab"), 1));

    assert_eq!(
        world.unary("demo.Echo/Unary", b"a!").await.reason(),
        "REQUEST_NOT_AGREED"
    );
    assert_eq!(world.unary("demo.Echo/Unary", b"#").await.reason(), "ANSWER_UNREADABLE");
    // Metadata and details of an error could carry what the mask holds back.
    let refused = world.unary("demo.Echo/Refuse", b"a").await;
    assert_eq!(refused.status(), "5");
    assert!(!refused.all.contains_key("grpc-status-details-bin") && !refused.all.contains_key("x-own"));
}

#[tokio::test]
async fn an_error_of_the_provider_passes_with_its_details_and_is_recorded() {
    let world = World::start(Terms::default()).await;
    let refused = world.unary("demo.Echo/Refuse", b"a").await;
    assert_eq!(refused.status(), "5");
    assert_eq!(refused.all["grpc-status-details-bin"], "c2VjcmV0");
    let ended = world.ended();
    assert_eq!((ended.outcome, ended.status), (Outcome::Refused, 5));
}

#[tokio::test]
async fn a_provider_that_dies_is_told_apart_from_one_that_was_never_reached() {
    let world = World::start(Terms::default()).await;
    let answer = world.unary("demo.Echo/Half", b"a").await;
    assert_eq!((answer.reason().as_str(), answer.data.len()), ("PROVIDER_BROKE_OFF", 0));
    assert_eq!(world.ended().outcome, Outcome::BrokenOff);

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let upstream = endpoints_at(&[address], Destinations::anywhere(), UpstreamLimits::default());
    let world = World::with(Terms::default(), Provider::start().await, upstream);
    assert_eq!(
        world.unary("demo.Echo/Unary", b"a").await.reason(),
        "PROVIDER_UNAVAILABLE"
    );
    assert_eq!(world.ended().outcome, Outcome::NotSent);
}

#[tokio::test]
async fn an_endpoint_where_none_may_lie_is_not_connected_to() {
    let provider = Provider::start().await;
    let upstream = endpoints_at(&[provider.address], Destinations::default(), UpstreamLimits::default());
    let world = World::with(Terms::default(), provider, upstream);
    assert_eq!(
        world.unary("demo.Echo/Unary", b"a").await.reason(),
        "PROVIDER_UNAVAILABLE"
    );
    assert_eq!(world.ended().outcome, Outcome::NotSent);
    assert_eq!(world.provider.seen.calls.load(Ordering::SeqCst), 0);
}

/// Calls a service of which the one endpoint has a sickness, until that is left alone; then another one comes. The calls to the sick one
/// have no time, those to the other more than any machine needs: it is not the machine's speed that decides.
async fn with_a_sick_endpoint(sickness: fn(&Seen) -> &AtomicBool) {
    let (sick, well) = (Provider::start().await, Provider::start().await);
    sickness(&sick.seen).store(true, Ordering::SeqCst);
    let limits = UpstreamLimits {
        failures: 2,
        silence: Duration::from_millis(50),
        ejection: Duration::from_mins(10),
        ejection_max: Duration::from_mins(10),
        ..UpstreamLimits::default()
    };
    let addresses = [sick.address, well.address];
    let upstream = Arc::new(endpoints_at(&addresses[..1], Destinations::anywhere(), limits));
    let world = World::with(Terms::default(), well, Arc::clone(&upstream));
    let call = async |time: &'static str| {
        let mut request = world.request("demo.Echo/Unary", AnswerBody::of(frame(b"a")));
        request
            .headers_mut()
            .insert("grpc-timeout", HeaderValue::from_static(time));
        Whole::of(world.door.grpc(request).await).await.status().to_owned()
    };
    let first = upstream.endpoints();
    for _ in 0..2 {
        assert!(!first[0].is_ejected());
        assert_ne!(call("600m").await, "0");
    }
    assert!(first[0].is_ejected());
    let seen = sick.seen.calls.load(Ordering::SeqCst);
    upstream.set(&specs_at(&addresses));
    for _ in 0..10 {
        assert_eq!(call("60S").await, "0");
    }
    assert_eq!(sick.seen.calls.load(Ordering::SeqCst), seen);
    assert_eq!(world.provider.seen.calls.load(Ordering::SeqCst), 10);
    let endpoints = upstream.endpoints();
    assert!(endpoints[0].is_ejected() && !endpoints[1].is_ejected());
}

#[tokio::test]
async fn an_endpoint_that_hangs_or_is_not_available_is_left_alone_and_the_other_answers() {
    tokio::join!(
        with_a_sick_endpoint(|seen| &seen.hangs),
        with_a_sick_endpoint(|seen| &seen.stalls),
        with_a_sick_endpoint(|seen| &seen.busy)
    );
}

#[tokio::test]
async fn a_stream_to_an_endpoint_that_answers_with_no_head_is_one_call_in_vain() {
    let provider = Provider::start().await;
    provider.seen.hangs.store(true, Ordering::SeqCst);
    let limits = UpstreamLimits {
        failures: 1,
        silence: Duration::from_millis(50),
        ejection: Duration::from_mins(10),
        ejection_max: Duration::from_mins(10),
        ..UpstreamLimits::default()
    };
    let upstream = Arc::new(endpoints_at(&[provider.address], Destinations::anywhere(), limits));
    let terms = Terms {
        facts: STREAM,
        ..Terms::default()
    };
    let world = World::with(terms, provider, Arc::clone(&upstream));
    let endpoints = upstream.endpoints();
    let mut in_vain = 0;
    while !endpoints[0].is_ejected() {
        in_vain += 1;
        assert!(in_vain <= 20);
        let mut request = world.request("demo.Echo/Bidi", AnswerBody::of(frame(b"a")));
        request
            .headers_mut()
            .insert("grpc-timeout", HeaderValue::from_static("100m"));
        let answer = Whole::of(world.door.grpc(request).await).await;
        assert_eq!(answer.reason(), "DEADLINE_EXCEEDED");
    }
    // As many as calls that are too short to tell, though each was longer than that.
    assert!(in_vain >= 4, "{in_vain}");
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_twice() {
    for (idempotent, calls, reason) in [(true, 2, ""), (false, 1, "PROVIDER_BROKE_OFF")] {
        let provider = Provider::start().await;
        provider.seen.deaths.store(1, Ordering::SeqCst);
        let upstream = endpoints_at(
            &[provider.address; 2],
            Destinations::anywhere(),
            UpstreamLimits::default(),
        );
        let terms = Terms {
            facts: MethodFacts {
                idempotent,
                ..MethodFacts::default()
            },
            ..Terms::default()
        };
        let world = World::with(terms, provider, upstream);
        let answer = world.unary("demo.Echo/Die", b"a").await;
        assert_eq!(answer.reason(), reason);
        assert_eq!(world.provider.seen.calls.load(Ordering::SeqCst), calls);
    }
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_the_record_says_so() {
    let world = World::start(Terms::default()).await;
    let mut request = world.request("demo.Echo/Sleep", AnswerBody::of(frame(b"a")));
    request
        .headers_mut()
        .insert("grpc-timeout", HeaderValue::from_static("150m"));
    let answer = Whole::of(world.door.grpc(request).await).await;
    assert_eq!(answer.reason(), "DEADLINE_EXCEEDED");
    assert_eq!(world.ended().outcome, Outcome::TimedOut);
}

#[tokio::test]
async fn a_consumer_that_goes_away_leaves_a_record_and_its_place() {
    let terms = Terms {
        quota: Quota {
            concurrent: 1,
            ..Quota::default()
        },
        ..Terms::default()
    };
    let world = World::start(terms).await;
    let request = world.request("demo.Echo/Sleep", AnswerBody::of(frame(b"a")));
    let door = world.door.clone();
    let calling = tokio::spawn(async move { door.grpc(request).await });
    while world.provider.seen.calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.unary("demo.Echo/Unary", b"a").await.reason(), "QUOTA_EXHAUSTED");
    calling.abort();
    let _ = calling.await;
    assert_eq!(world.ended().outcome, Outcome::Cancelled);
    assert_eq!(world.unary("demo.Echo/Unary", b"a").await.status(), "0");
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_before_anything_is_recorded() {
    let terms = Terms {
        limits: DoorLimits {
            message_bytes: 100,
            ..DoorLimits::default()
        },
        ..Terms::default()
    };
    let world = World::start(terms).await;
    assert_eq!(
        world.unary("demo.Echo/Unary", &[1; 101]).await.reason(),
        "MESSAGE_TOO_LARGE"
    );
    assert_eq!(world.unary("demo.Echo/Unary", &[1; 100]).await.status(), "0");
    assert_eq!(world.notes.begun.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn bodies_are_kept_only_where_the_agreement_says_so() {
    let terms = Terms {
        bodies: BodyRules {
            request: true,
            response: false,
            retention_days: 30,
        },
        ..Terms::default()
    };
    let world = World::start(terms).await;
    world.unary("demo.Echo/Unary", b"a").await;
    assert_eq!(world.notes.bodies.lock().unwrap()[..], [frame(b"a")]);
    let ended = world.ended();
    assert_eq!((ended.body, ended.begun.retention_days), (None, 30));
}

#[tokio::test]
async fn a_stream_passes_both_ways_while_it_is_open() {
    for filter in [false, true] {
        let terms = Terms {
            facts: STREAM,
            filter,
            ..Terms::default()
        };
        let world = World::start(terms).await;
        let (to, response) = world.stream("demo.Echo/Bidi").await;
        let (parts, mut body) = response.into_parts();
        assert!(parts.headers.contains_key("x-egov-exchange"));
        let mut sent = Vec::new();
        for turn in 0..5_u8 {
            let message = frame(&[b'A', b'a' + turn]);
            sent.extend_from_slice(&message);
            to.send(Ok(Frame::data(message.clone()))).await.unwrap();
            let back = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(back, if filter { frame(&[b'a' + turn]) } else { message });
        }
        drop(to);
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(
            (
                trailers["grpc-status"].as_bytes(),
                trailers["x-egov-promise"].as_bytes()
            ),
            (&b"0"[..], &b"promised"[..])
        );
        assert!(body.frame().await.is_none());
        let ended = world.ended();
        assert_eq!(ended.outcome, Outcome::Answered);
        assert_eq!(ended.request, Tally::of(&sent, 5));
        assert_eq!((ended.response.messages, ended.received.is_some()), (5, filter));
    }
}

#[tokio::test]
async fn an_agreement_that_ends_ends_the_stream() {
    let world = World::start(Terms {
        facts: STREAM,
        ..Terms::default()
    })
    .await;
    let (to, response) = world.stream("demo.Echo/Bidi").await;
    to.send(Ok(Frame::data(frame(b"a")))).await.unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    world.holds.store(false, Ordering::SeqCst);
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    let status = tonic::Status::from_header_map(&trailers).unwrap();
    assert_eq!(egov_fault::reason_of(&status).unwrap(), "AGREEMENT_ENDED");
    assert_eq!(trailers["x-egov-promise"], "promised");
    assert_eq!(world.ended().outcome, Outcome::AgreementEnded);
    // The provider's side was reset, not ended.
    assert_eq!(world.provider.seen.whole.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_request_in_a_stream_that_is_not_agreed_ends_it_and_the_provider_does_not_see_it() {
    let world = World::start(Terms {
        facts: STREAM,
        filter: true,
        ..Terms::default()
    })
    .await;
    let (to, response) = world.stream("demo.Echo/Bidi").await;
    to.send(Ok(Frame::data(frame(b"a")))).await.unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    to.send(Ok(Frame::data(frame(b"b!")))).await.unwrap();
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    let status = tonic::Status::from_header_map(&trailers).unwrap();
    assert_eq!(egov_fault::reason_of(&status).unwrap(), "REQUEST_NOT_AGREED");
    assert_eq!(world.ended().outcome, Outcome::Stopped);
    assert_eq!(world.provider.seen.whole.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_provider_that_dies_in_a_stream_ends_it_with_a_status() {
    let world = World::start(Terms {
        facts: STREAM,
        ..Terms::default()
    })
    .await;
    let (_to, response) = world.stream("demo.Echo/Half").await;
    let answer = Whole::of(response).await;
    assert_eq!(answer.reason(), "PROVIDER_BROKE_OFF");
    // What came before the reset may be lost with it, but is never changed.
    assert!(answer.data.is_empty() || answer.data == frame(b"one"));
    assert_eq!(world.ended().outcome, Outcome::BrokenOff);
}

#[tokio::test]
async fn a_slow_consumer_holds_the_provider_up_and_nothing_piles_up() {
    let world = World::start(Terms {
        facts: STREAM,
        ..Terms::default()
    })
    .await;
    let (_to, response) = world.stream("demo.Echo/Flood").await;
    let mut body = response.into_body();
    let mut read = 0;
    for _ in 0..8 {
        read += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(body);
    // The window of the stream, the pieces in the channel and one in the hand.
    while world.notes.ended.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = world.ended();
    assert_eq!(ended.outcome, Outcome::Cancelled);
    assert!(
        ended.response.bytes < read as u64 + 1_000_000,
        "{} after {read}",
        ended.response.bytes
    );
}

#[tokio::test]
async fn one_system_cannot_take_all_places() {
    let terms = Terms {
        limits: DoorLimits {
            concurrent_per_consumer: 2,
            ..DoorLimits::default()
        },
        facts: STREAM,
        ..Terms::default()
    };
    let world = World::start(terms).await;
    let first = world.stream("demo.Echo/Bidi").await;
    let second = world.stream("demo.Echo/Bidi").await;
    let (_, third) = world.stream("demo.Echo/Bidi").await;
    assert_eq!(Whole::of(third).await.reason(), "CONSUMER_BUSY");
    drop((first, second));
    let mut freed = false;
    for _ in 0..200 {
        let (_, response) = world.stream("demo.Echo/Bidi").await;
        freed = response.body().size_hint().exact().is_none();
        if freed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(freed);
}

/// Says that a door shall be served, and where its provider is.
const PROVIDER: &str = "EGOV_DOOR_PROVIDER";

fn say(line: &Value) {
    // What libtest has written before does not end with a new line.
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

/// Not a test of its own: the process of the door whose memory the next tests measure. It says where it listens, and when its standard
/// input is closed, what it has recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the tests of long streams"]
async fn child_that_is_a_door() {
    let Some(provider) = std::env::var_os(PROVIDER) else {
        return;
    };
    let provider = Provider {
        address: provider.into_string().unwrap().parse().unwrap(),
        seen: Arc::default(),
    };
    let upstream = endpoints_at(&[provider.address], Destinations::anywhere(), UpstreamLimits::default());
    let terms = Terms {
        facts: STREAM,
        ..Terms::default()
    };
    let world = World::with(terms, provider, upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    say(&json!({ "address": listener.local_addr().unwrap(), "token": world.token() }));
    let door = world.door.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let door = door.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request: Request<Incoming>| {
                    let door = door.clone();
                    async move { Ok::<_, Infallible>(door.grpc(request).await) }
                });
                // With what a port of the platform lets wait.
                let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                http.initial_connection_window_size(1024 * 1024)
                    .initial_stream_window_size(256 * 1024)
                    .max_send_buf_size(256 * 1024);
                let _ = http.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    let closed = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
    closed.await.unwrap().unwrap();
    let ended = std::mem::take(&mut *world.notes.ended.lock().unwrap());
    let answered = ended.iter().filter(|ended| ended.outcome == Outcome::Answered);
    let messages: Vec<_> = answered
        .map(|ended| [ended.request.messages, ended.response.messages])
        .collect();
    say(&json!({ "messages": messages }));
}

/// A door in a process of its own, with a connection to it.
struct Beside {
    process: Child,
    said: BufReader<ChildStdout>,
    token: String,
    connection: SendRequest<AnswerBody>,
}

/// What came of a stream.
struct Passed {
    /// Bytes that came back.
    read: u64,
    status: HeaderValue,
    /// The most that the door's process has held of memory meanwhile, in KiB.
    most: u64,
}

/// The next line that is an answer; libtest writes lines of its own.
fn line(said: &mut BufReader<ChildStdout>) -> Value {
    loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "the door's process has ended");
        if line.starts_with('{') {
            return serde_json::from_str(&line).unwrap();
        }
    }
}

impl Beside {
    async fn start(provider: &Provider) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_a_door", "--ignored", "--nocapture"])
            .env(PROVIDER, provider.address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let ready = line(&mut said);
        let stream = TcpStream::connect(ready["address"].as_str().unwrap()).await.unwrap();
        let http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (connection, driver) = http.handshake::<_, AnswerBody>(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move {
            let _ = driver.await;
        });
        Self {
            process,
            said,
            token: ready["token"].as_str().unwrap().to_owned(),
            connection,
        }
    }

    /// A figure of its memory, in KiB.
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':')
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }

    /// Sends so many messages of a size through the door, which come back through it.
    async fn pass(&mut self, messages: u64, size: usize) -> Passed {
        // Sets the kernel's own mark of the most back; where that may not be, only what is seen in between counts.
        let marked = std::fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").is_ok();
        let (to, pieces) = mpsc::channel(4);
        let request = request_with(&self.token, "demo.Echo/Bidi", AnswerBody::Pieces(pieces));
        let mut body = self.connection.send_request(request).await.unwrap().into_body();
        let message = frame(&vec![7; size]);
        let sending = tokio::spawn(async move {
            for _ in 0..messages {
                to.send(Ok(Frame::data(message.clone()))).await.unwrap();
            }
        });
        let (mut read, mut most, mut status) = (0_u64, self.memory("VmRSS"), None);
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => {
                    read += data.len() as u64;
                    if read % (16 << 20) < data.len() as u64 {
                        most = most.max(self.memory("VmRSS"));
                    }
                }
                Err(trailers) => status = trailers.into_trailers().unwrap().remove("grpc-status"),
            }
        }
        sending.await.unwrap();
        if marked {
            most = most.max(self.memory("VmHWM"));
        }
        Passed {
            read,
            status: status.unwrap(),
            most,
        }
    }

    /// Ends it; how many messages it has recorded there and back, of each call that was answered.
    fn end(mut self) -> Value {
        drop(self.process.stdin.take());
        let recorded = line(&mut self.said);
        assert!(self.process.wait().unwrap().success());
        recorded["messages"].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_stream_passes_each_way_with_bounded_memory() {
    pass_with_bounded_memory(256 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "four times as long; the shorter one runs always"]
async fn a_gibibyte_passes_each_way_with_bounded_memory() {
    pass_with_bounded_memory(1 << 30).await;
}

/// So many bytes to the provider and as many back at the same time. Caller and provider are in this process, the door in its own, and only
/// its memory counts.
async fn pass_with_bounded_memory(total: u64) {
    let provider = Provider::start().await;
    let mut door = Beside::start(&provider).await;
    // Once before, so that connections and buffers of usual size are there.
    let first = door.pass(1, 64 * 1024).await;
    assert_eq!((first.read, first.status.as_bytes()), (64 * 1024 + 5, &b"0"[..]));
    let before = door.memory("VmRSS");

    let messages = total / (256 * 1024);
    let passed = door.pass(messages, 256 * 1024).await;
    assert_eq!(
        (passed.read, passed.status.as_bytes()),
        (total + messages * 5, &b"0"[..])
    );
    assert_eq!(door.end(), json!([[1, 1], [messages, messages]]));
    let grown = passed.most.saturating_sub(before) / 1024;
    assert!(grown <= 64, "memory grew by {grown} MiB");
}

#[tokio::test]
async fn after_the_agreement_has_ended_nothing_more_reaches_the_provider() {
    let world = World::start(Terms {
        facts: STREAM,
        ..Terms::default()
    })
    .await;
    let (to, response) = world.stream("demo.Echo/Bidi").await;
    to.send(Ok(Frame::data(frame(b"a")))).await.unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    world.holds.store(false, Ordering::SeqCst);
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    let before = world.provider.seen.bytes.load(Ordering::SeqCst);
    for _ in 0..5 {
        // The door takes no more of it; whether the channel is closed yet is a matter of time.
        let _ = to.try_send(Ok(Frame::data(frame(b"SECRET"))));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.provider.seen.bytes.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn what_was_revoked_while_the_request_was_read_is_not_forwarded() {
    let world = World::start(Terms::default()).await;
    let (to, pieces) = mpsc::channel(4);
    let request = world.request("demo.Echo/Unary", AnswerBody::Pieces(pieces));
    let door = world.door.clone();
    let calling = tokio::spawn(async move { Whole::of(door.grpc(request).await).await });
    let message = frame(b"abc");
    to.send(Ok(Frame::data(message.slice(..4)))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.holds.store(false, Ordering::SeqCst);
    to.send(Ok(Frame::data(message.slice(4..)))).await.unwrap();
    drop(to);
    assert_eq!(calling.await.unwrap().reason(), "AGREEMENT_ENDED");
    assert_eq!(world.ended().outcome, Outcome::AgreementEnded);
    assert_eq!(world.provider.seen.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_was_revoked_while_the_provider_worked_does_not_leave_and_the_record_says_that_it_answered() {
    let world = World::start(Terms {
        bodies: BodyRules {
            request: false,
            response: true,
            retention_days: 30,
        },
        ..Terms::default()
    })
    .await;
    let request = world.request("demo.Echo/Wait", AnswerBody::of(frame(b"abc")));
    let door = world.door.clone();
    let calling = tokio::spawn(async move { Whole::of(door.grpc(request).await).await });
    while world.provider.seen.whole.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.holds.store(false, Ordering::SeqCst);
    world.provider.seen.go.notify_one();
    let answer = calling.await.unwrap();
    assert_eq!((answer.reason().as_str(), answer.data.len()), ("AGREEMENT_ENDED", 0));
    assert_eq!(answer.all["x-egov-promise"], "promised");
    let status = tonic::Status::from_header_map(&answer.all).unwrap();
    assert_eq!(egov_fault::fault_of(&status).metadata()["provider"], "answered");
    let ended = world.ended();
    assert_eq!(ended.outcome, Outcome::AgreementEnded);
    assert_eq!(
        (ended.response.messages, ended.received, ended.body),
        (0, Some(Tally::of(&frame(b"abc"), 1)), None)
    );

    // Nor does what was revoked while its end was being recorded: the record says more than the consumer got.
    world.holds.store(true, Ordering::SeqCst);
    *world.notes.revoked_by_end.lock().unwrap() = Some(Arc::clone(&world.holds));
    let answer = world.unary("demo.Echo/Unary", b"abc").await;
    assert_eq!((answer.reason().as_str(), answer.data.len()), ("AGREEMENT_ENDED", 0));
    assert_eq!(world.ended().outcome, Outcome::Answered);
}

#[tokio::test]
async fn only_what_is_exactly_a_binary_call_of_grpc_is_one() {
    let world = World::start(Terms::default()).await;
    for (path, media, reason) in [
        ("/demo.Echo/Unary", "application/grpc+json", "MEDIA_TYPE_UNSUPPORTED"),
        ("/demo.Echo/Unary", "application/connect+json", "MEDIA_TYPE_UNSUPPORTED"),
        ("//demo.Echo/Unary", "application/grpc", "METHOD_UNKNOWN"),
        ("/demo.Echo/Unary?x=1", "application/grpc", "METHOD_UNKNOWN"),
        ("/demo.Echo/Unary/", "application/grpc", "METHOD_UNKNOWN"),
        ("/demo.Echo/%55nary", "application/grpc", "METHOD_UNKNOWN"),
        ("/demo.Echo/Unary", "application/grpc+proto", ""),
    ] {
        let mut request = world.request("demo.Echo/Unary", AnswerBody::of(frame(b"a")));
        *request.uri_mut() = format!("http://door{path}").parse().unwrap();
        request
            .headers_mut()
            .insert("content-type", HeaderValue::from_static(media));
        let answer = Whole::of(world.door.grpc(request).await).await;
        assert_eq!(answer.reason(), reason, "{path} {media}");
    }
    assert_eq!(world.provider.seen.calls.load(Ordering::SeqCst), 1);
    let mut request = world.request("demo.Echo/Unary", AnswerBody::of(frame(b"a")));
    request
        .headers_mut()
        .insert("x-egov-service", HeaderValue::from_static("not an id"));
    assert_eq!(
        Whole::of(world.door.grpc(request).await).await.reason(),
        "INVALID_FIELD"
    );
}

#[tokio::test]
async fn a_stream_whose_consumer_goes_before_the_head_is_recorded_with_what_it_sent() {
    let world = World::start(Terms {
        facts: STREAM,
        ..Terms::default()
    })
    .await;
    let (to, pieces) = mpsc::channel(4);
    // The provider reads, and its head never comes.
    let request = world.request("demo.Echo/Late", AnswerBody::Pieces(pieces));
    let door = world.door.clone();
    let calling = tokio::spawn(async move { door.grpc(request).await });
    let sent = frame(b"abc");
    to.send(Ok(Frame::data(sent.clone()))).await.unwrap();
    while world.provider.seen.bytes.load(Ordering::SeqCst) < sent.len() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    calling.abort();
    let _ = calling.await;
    let ended = world.ended();
    assert_eq!(
        (ended.outcome, ended.request),
        (Outcome::Cancelled, Tally::of(&sent, 1))
    );
}
