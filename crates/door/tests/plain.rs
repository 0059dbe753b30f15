//! Calls of plain HTTP through the door: a provider on real connections, agreements and records in memory.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use egov_auth::{CallerKind, Issuer, Revocations, Verifier, VerifierConfig};
use egov_clock::SystemIds;
use egov_door::{
    AnswerBody, Asked, Authenticator, Begun, BodyRules, Consumer, Destinations, Door, DoorLimits, DoorParts, Ended,
    EndpointSpec, EndpointState, FilterRefusal, Gatekeeper, Held, Journal, Manner, MethodFacts, Outcome, Passage,
    PlainAsked, PlainCall, PlainFilter, PlainPassage, PlainRequest, Promise, Quota, Recording, Refusal, Standing,
    Stands, Tally, Trust, Upstream, UpstreamLimits, refusal,
};
use egov_fault::Fault;
use egov_testkit::Tokens;
use futures::FutureExt as _;
use futures::future::ready;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpListener;
use uuid::Uuid;

/// What a provider has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    calls: Mutex<Vec<(Method, String, Version, HeaderMap)>>,
    /// The provider breaks off so many calls more before it answers.
    deaths: AtomicUsize,
    /// Connections are closed after each answer.
    closes: AtomicBool,
    /// It answers that it cannot now.
    tired: AtomicBool,
    /// Handlers that were dropped before their end: the door went away.
    left: AtomicUsize,
}

impl Seen {
    fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

struct Left(Option<Arc<Seen>>);

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(seen) = self.0.take() {
            seen.left.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn provide(request: Request<Incoming>, seen: Arc<Seen>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let path = parts.uri.path().to_owned();
    seen.calls
        .lock()
        .unwrap()
        .push((parts.method, parts.uri.to_string(), parts.version, parts.headers));
    let dies = seen
        .deaths
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if dies.is_ok() {
        return Err(std::io::Error::other("dies"));
    }
    let answer = Response::builder().header("content-type", "application/json");
    let answer = if seen.closes.load(Ordering::SeqCst) {
        answer.header("connection", "close")
    } else {
        answer
    };
    let zipped = |bytes: &[u8]| {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        zip.write_all(bytes).unwrap();
        Full::from(zip.finish().unwrap())
    };
    let answer = match path.rsplit('/').next().unwrap() {
        "slow" => {
            let mut left = Left(Some(seen));
            tokio::time::sleep(Duration::from_secs(20)).await;
            left.0 = None;
            answer.body(Full::default())
        }
        "zipped" => answer.header("content-encoding", "gzip").body(zipped(b"[1]")),
        "bomb" => answer
            .header("content-encoding", "gzip")
            .body(zipped(&vec![b' '; 100_000])),
        "brotli" => answer.header("content-encoding", "br").body(Full::from("x")),
        _ if seen.tired.load(Ordering::SeqCst) => answer.status(503).body(Full::from("{}")),
        _ => answer.body(Full::new(body)),
    };
    Ok(answer.unwrap())
}

async fn serve<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: I, two: bool, seen: Arc<Seen>) {
    seen.connections.fetch_add(1, Ordering::SeqCst);
    let answer = service_fn(move |request| provide(request, Arc::clone(&seen)));
    if two {
        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = http.serve_connection(TokioIo::new(io), answer).await;
    } else {
        let http = hyper::server::conn::http1::Builder::new();
        let _ = http.serve_connection(TokioIo::new(io), answer).await;
    }
}

async fn provider() -> (String, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Seen::default());
    let held = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, false, Arc::clone(&held)));
        }
    });
    (address, seen)
}

/// Upper-case letters do not leave; a query is not agreed on.
struct Letters {
    judges: bool,
    masks: bool,
}

impl PlainFilter for Letters {
    fn judges(&self) -> bool {
        self.judges
    }

    fn declares(&self, header: &HeaderName) -> bool {
        header == "x-declared"
    }

    fn request(&self, request: &PlainRequest<'_>) -> Result<Option<String>, FilterRefusal> {
        match request.query {
            None => Ok(None),
            Some("rewrite") => Ok(Some("rewritten=1".to_owned())),
            Some(_) => Err(FilterRefusal::NotAgreed),
        }
    }

    fn masks(&self) -> bool {
        self.masks
    }

    fn response(&self, document: &Bytes) -> Result<Bytes, FilterRefusal> {
        Ok(document
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_uppercase())
            .collect())
    }
}

/// Holds when it is looked at so many times more.
struct Holds(Arc<AtomicUsize>);

impl Standing for Holds {
    fn stands(&self) -> Stands {
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() { Stands::Holds } else { Stands::Ended }
    }
}

struct Keeper {
    looks: Arc<AtomicUsize>,
    upstream: Arc<Upstream>,
    filter: Option<Arc<dyn PlainFilter>>,
    bodies: BodyRules,
}

impl Gatekeeper for Keeper {
    fn admit(&self, _: &Consumer, _: Asked<'_>) -> Result<Passage, Fault> {
        Err(refusal(Refusal::AgreementMissing))
    }

    fn admit_plain(&self, _: &Consumer, asked: PlainAsked<'_>) -> Result<PlainPassage, Fault> {
        let passage = Passage {
            agreement_id: Uuid::from_u128(1),
            agreement_version: 3,
            delegation_id: None,
            consumer_organisation_id: Uuid::from_u128(2),
            consumer_unit_id: 2,
            provider_organisation_id: Uuid::from_u128(3),
            provider_unit_id: 3,
            service_id: asked.service_id,
            upstream: Arc::clone(&self.upstream),
            facts: MethodFacts {
                idempotent: asked.verb.is_idempotent(),
                ..MethodFacts::default()
            },
            filter: None,
            quota: Quota::default(),
            bodies: self.bodies,
            standing: Arc::new(Holds(Arc::clone(&self.looks))),
        };
        Ok(PlainPassage {
            passage,
            method: format!("{} {}", asked.verb, asked.path),
            variables: Vec::new(),
            filter: self.filter.clone(),
        })
    }
}

#[derive(Default)]
struct Notes {
    begun: Mutex<Vec<Arc<Begun>>>,
    bodies: Mutex<Vec<Bytes>>,
    ended: Mutex<Vec<Ended>>,
    down: AtomicBool,
}

impl Journal for Notes {
    fn begin(&self, begun: Arc<Begun>, body: Option<Bytes>, _: Held) -> Recording<()> {
        if self.down.load(Ordering::SeqCst) {
            return ready(Err(refusal(Refusal::ExchangeNotRecorded))).boxed();
        }
        self.begun.lock().unwrap().push(begun);
        self.bodies.lock().unwrap().extend(body);
        ready(Ok(())).boxed()
    }

    fn end(&self, ended: Ended) -> Recording<Promise> {
        self.ended.lock().unwrap().push(ended);
        ready(Ok(Promise("promised".to_owned()))).boxed()
    }

    fn abandon(&self, ended: Ended) {
        self.ended.lock().unwrap().push(ended);
    }
}

/// Tells a fault by its reason alone.
struct Words;

impl Manner for Words {
    fn forwarding(&self, _: Uuid, verb: &Method, path: &PathAndQuery, headers: &mut HeaderMap, body: &Bytes) {
        let said = format!("{verb} {path} {}", body.len());
        headers.insert("x-words", HeaderValue::try_from(said).unwrap());
    }

    fn answering(&self, headers: &mut HeaderMap) {
        headers.insert("x-words", HeaderValue::from_static("answered"));
    }

    fn refusal(&self, fault: Fault) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(fault.reason().to_owned()));
        *response.status_mut() = fault.code().http_status().try_into().unwrap();
        response
    }
}

struct World {
    door: Door,
    notes: Arc<Notes>,
    consumer: Consumer,
    looks: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Terms {
    judges: bool,
    masks: bool,
    bodies: BodyRules,
}

impl World {
    async fn of(addresses: &[&str], terms: Terms, trust: Option<Trust>) -> Self {
        let clock = egov_testkit::clock();
        let tokens = Tokens::by(clock.shared());
        let issuer = Issuer::from_config(tokens.issuer()).unwrap();
        let verifier = Verifier::new(vec![issuer], clock.shared(), VerifierConfig::default());
        let destinations = Arc::new(Destinations::anywhere());
        let upstream = Upstream::plain(destinations, trust, UpstreamLimits::default());
        let specs: Vec<EndpointSpec> = addresses
            .iter()
            .enumerate()
            .map(|(number, address)| EndpointSpec {
                id: Uuid::from_u128(u128::try_from(number).unwrap() + 1),
                address: address.parse().unwrap(),
                weight: 1,
                state: EndpointState::Active,
            })
            .collect();
        upstream.set(&specs);
        let notes = Arc::new(Notes::default());
        let looks = Arc::new(AtomicUsize::new(usize::MAX));
        let filter = Letters {
            judges: terms.judges,
            masks: terms.masks,
        };
        let door = Door::new(DoorParts {
            authenticator: Authenticator::new(Arc::new(verifier), Arc::new(Revocations::local(clock.shared())), false),
            gatekeeper: Arc::new(Keeper {
                looks: Arc::clone(&looks),
                upstream: Arc::new(upstream),
                filter: (terms.judges || terms.masks).then(|| Arc::new(filter) as Arc<dyn PlainFilter>),
                bodies: terms.bodies,
            }),
            journal: Arc::clone(&notes) as Arc<dyn Journal>,
            clock: clock.shared(),
            ids: SystemIds::shared(),
            limits: DoorLimits {
                message_bytes: 1000,
                ..DoorLimits::default()
            },
        });
        let mut claims = tokens.claims(CallerKind::System, Uuid::from_u128(77));
        claims.client_id = Some("motcua".to_owned());
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", tokens.sign(&claims));
        headers.insert("authorization", HeaderValue::try_from(bearer).unwrap());
        let consumer = door.consumer(&headers, &http::Extensions::new()).await.unwrap();
        Self {
            door,
            notes,
            consumer,
            looks,
        }
    }

    async fn call(&self, verb: &str, path: &str, body: &'static [u8]) -> (u16, HeaderMap, Bytes) {
        self.send(Request::builder().method(verb), path, body).await
    }

    async fn send(&self, request: http::request::Builder, path: &str, body: &'static [u8]) -> (u16, HeaderMap, Bytes) {
        let call = PlainCall {
            service_id: Uuid::from_u128(4),
            path_and_query: path,
            manner: &Words,
        };
        let request = request.body(AnswerBody::of(Bytes::from_static(body))).unwrap();
        let response = self.door.plain(self.consumer.clone(), request, call).await;
        let (parts, body) = response.into_parts();
        (
            parts.status.as_u16(),
            parts.headers,
            body.collect().await.unwrap().to_bytes(),
        )
    }

    fn ended(&self) -> Ended {
        self.notes.ended.lock().unwrap().pop().unwrap()
    }
}

fn reason(answer: &(u16, HeaderMap, Bytes)) -> &str {
    std::str::from_utf8(&answer.2).unwrap()
}

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection_and_each_is_recorded() {
    let (address, seen) = provider().await;
    let world = World::of(&[&format!("{address}/base/")], Terms::default(), None).await;
    for _ in 0..5 {
        let (status, headers, body) = world.call("POST", "/a%20b/c?x=1", b"xin chao").await;
        assert_eq!((status, &*body), (200, &b"xin chao"[..]));
        assert_eq!(headers["x-egov-promise"], "promised");
        assert_eq!(headers["x-words"], "answered");
    }
    assert_eq!((seen.calls(), seen.connections.load(Ordering::SeqCst)), (5, 1));
    let (_, uri, version, headers) = seen.calls.lock().unwrap()[0].clone();
    assert_eq!((uri.as_str(), version), ("/base/a%20b/c?x=1", Version::HTTP_11));
    assert_eq!(
        headers["host"].to_str().unwrap(),
        address.strip_prefix("http://").unwrap()
    );
    assert_eq!(headers["content-length"], "8");
    assert_eq!(headers["x-words"], "POST /a%20b/c?x=1 8");
    assert_eq!(headers["x-egov-consumer"], "motcua");
    let ended = world.ended();
    assert_eq!((ended.outcome, ended.status), (Outcome::Answered, 200));
    assert_eq!(
        (ended.request, ended.response),
        (Tally::of(b"xin chao", 1), Tally::of(b"xin chao", 1))
    );
    assert_eq!(ended.begun.method, "POST /a%20b/c");

    // At once each needs its own.
    let calls = (0..4).map(|_| world.call("GET", "/a", b""));
    assert!(
        futures::future::join_all(calls)
            .await
            .iter()
            .all(|(status, ..)| *status == 200)
    );
    assert!(seen.connections.load(Ordering::SeqCst) <= 4);
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_costs_no_call_not_even_a_post() {
    let (address, seen) = provider().await;
    seen.closes.store(true, Ordering::SeqCst);
    let world = World::of(&[&address], Terms::default(), None).await;
    for turn in 1..=5 {
        assert_eq!(world.call("POST", "/a", b"x").await.0, 200, "{turn}");
        // Until the end of the connection is seen here.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((seen.calls(), seen.connections.load(Ordering::SeqCst)), (5, 5));
}

#[tokio::test]
async fn a_get_that_was_lost_is_repeated_elsewhere_and_a_post_never() {
    for (verb, calls, status) in [
        ("GET", 2, 200),
        ("HEAD", 2, 200),
        ("PUT", 2, 200),
        ("DELETE", 2, 200),
        ("POST", 1, 503),
        ("PATCH", 1, 503),
    ] {
        let (address, seen) = provider().await;
        seen.deaths.store(1, Ordering::SeqCst);
        let world = World::of(&[&address, &address], Terms::default(), None).await;
        assert_eq!(world.call(verb, "/a", b"").await.0, status, "{verb}");
        assert_eq!(seen.calls(), calls, "{verb}");
        let outcome = if status == 200 {
            Outcome::Answered
        } else {
            Outcome::BrokenOff
        };
        assert_eq!(world.ended().outcome, outcome, "{verb}");
    }
}

#[tokio::test]
async fn what_was_not_sent_goes_to_another_endpoint_whatever_it_is() {
    let (address, seen) = provider().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let world = World::of(&[&dead, &address], Terms::default(), None).await;
    for _ in 0..3 {
        assert_eq!(world.call("POST", "/a", b"x").await.0, 200);
    }
    assert_eq!(seen.calls(), 3);
    let world = World::of(&[&dead], Terms::default(), None).await;
    let answer = world.call("POST", "/a", b"x").await;
    assert_eq!((answer.0, reason(&answer)), (503, "PROVIDER_UNAVAILABLE"));
    assert_eq!(world.ended().outcome, Outcome::NotSent);
}

#[tokio::test]
async fn an_endpoint_that_says_it_cannot_is_left_alone_for_a_while() {
    let ((weak, tired), (address, seen)) = (provider().await, provider().await);
    tired.tired.store(true, Ordering::SeqCst);
    let world = World::of(&[&weak, &address], Terms::default(), None).await;
    let mut refused = 0;
    for _ in 0..20 {
        // Its answer passes all the same.
        let (status, ..) = world.call("GET", "/a", b"").await;
        let outcome = world.ended().outcome;
        match status {
            503 => refused += u8::from(outcome == Outcome::Refused),
            _ => assert_eq!((status, outcome), (200, Outcome::Answered)),
        }
    }
    assert_eq!((refused, tired.calls(), seen.calls()), (5, 5, 15));
    assert_eq!(tired.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn over_plain_http_as_well_what_was_revoked_meanwhile_does_not_leave() {
    let (address, seen) = provider().await;
    let world = World::of(&[&address], Terms::default(), None).await;
    let came = Some(Tally::of(b"secret", 1));
    // Revoked before it is forwarded, before its answer is recorded, and before that leaves.
    for (looks, outcome, received) in [
        (0, Outcome::AgreementEnded, None),
        (1, Outcome::AgreementEnded, came),
        (2, Outcome::Answered, None),
    ] {
        world.looks.store(looks, Ordering::SeqCst);
        let answer = world.call("POST", "/a", b"secret").await;
        assert_eq!((answer.0, reason(&answer)), (403, "AGREEMENT_ENDED"));
        assert_eq!(answer.1["x-egov-promise"], "promised");
        let ended = world.ended();
        assert_eq!((ended.outcome, ended.received), (outcome, received), "{looks}");
    }
    assert_eq!(seen.calls(), 2);
}

#[tokio::test]
async fn under_a_mask_a_compressed_answer_is_inflated_within_the_limit_and_others_are_refused() {
    let (address, _seen) = provider().await;
    let terms = Terms {
        masks: true,
        ..Terms::default()
    };
    let world = World::of(&[&address], terms, None).await;
    let (status, headers, body) = world.call("GET", "/zipped", b"").await;
    assert_eq!((status, &*body), (200, &b"[1]"[..]));
    assert!(!headers.contains_key("content-encoding"));
    for (path, wanted) in [("/bomb", "ANSWER_TOO_LARGE"), ("/brotli", "ANSWER_UNREADABLE")] {
        let answer = world.call("GET", path, b"").await;
        assert_eq!((answer.0, reason(&answer)), (500, wanted), "{path}");
        assert_eq!(world.ended().outcome, Outcome::Stopped);
    }
    let (_, _, body) = world.call("POST", "/a", b"aSECRETb").await;
    assert_eq!(&*body, b"ab");
    let ended = world.ended();
    assert_eq!(
        (ended.received, ended.response),
        (Some(Tally::of(b"aSECRETb", 1)), Tally::of(b"ab", 1))
    );
}

#[tokio::test]
async fn where_requests_are_judged_only_what_is_known_or_declared_goes_on() {
    let (address, seen) = provider().await;
    let terms = Terms {
        judges: true,
        ..Terms::default()
    };
    let world = World::of(&[&address], terms, None).await;
    let answer = world.call("GET", "/a?other", b"").await;
    assert_eq!((answer.0, reason(&answer)), (403, "REQUEST_NOT_AGREED"));
    assert_eq!(seen.calls(), 0);
    let request = Request::get("/")
        .header("x-declared", "1")
        .header("x-other", "1")
        .header("accept", "a/b");
    assert_eq!(world.send(request, "/a?rewrite", b"").await.0, 200);
    let (_, uri, _, headers) = seen.calls.lock().unwrap()[0].clone();
    assert_eq!(uri, "/a?rewritten=1");
    assert!(headers.contains_key("x-declared") && headers.contains_key("accept") && !headers.contains_key("x-other"));
}

#[tokio::test]
async fn without_a_record_nothing_is_forwarded_and_bodies_are_kept_where_agreed() {
    let (address, seen) = provider().await;
    let terms = Terms {
        bodies: BodyRules {
            request: true,
            response: true,
            retention_days: 3,
        },
        ..Terms::default()
    };
    let world = World::of(&[&address], terms, None).await;
    world.call("POST", "/a", b"x").await;
    assert_eq!(world.notes.bodies.lock().unwrap()[..], [&b"x"[..]]);
    assert_eq!(world.ended().body.as_deref(), Some(&b"x"[..]));
    world.notes.down.store(true, Ordering::SeqCst);
    let answer = world.call("POST", "/a", b"x").await;
    assert_eq!((answer.0, reason(&answer)), (503, "EXCHANGE_NOT_RECORDED"));
    assert_eq!(seen.calls(), 1);
}

#[tokio::test]
async fn a_consumer_of_plain_http_that_goes_away_leaves_a_record_and_no_call_under_way() {
    let (address, seen) = provider().await;
    let world = Arc::new(World::of(&[&address], Terms::default(), None).await);
    let calling = Arc::clone(&world);
    let call = tokio::spawn(async move { calling.call("GET", "/slow", b"").await });
    while seen.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    call.abort();
    let _ = call.await;
    let ended = world.ended();
    assert_eq!((ended.outcome, ended.status), (Outcome::Cancelled, 499));
    // The provider sees its end as well.
    for _ in 0..200 {
        if seen.left.load(Ordering::SeqCst) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the provider still works");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_anything_is_recorded() {
    let (address, seen) = provider().await;
    let world = World::of(&[&address], Terms::default(), None).await;
    let answer = world.call("POST", "/a", &[b'x'; 1001]).await;
    assert_eq!(reason(&answer), "MESSAGE_TOO_LARGE");
    assert_eq!(world.call("POST", "/a", &[b'x'; 1000]).await.0, 200);
    assert_eq!((seen.calls(), world.notes.begun.lock().unwrap().len()), (1, 1));
}

/// A provider that answers with these bytes and then is silent.
async fn raw(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
                if answer.ends_with(b"$") {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_is_none_is_never_passed_on_in_part() {
    for (answer, wanted) in [
        (
            &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"[..],
            "PROVIDER_BROKE_OFF",
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "PROVIDER_BROKE_OFF",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "PROVIDER_BROKE_OFF",
        ),
        (b"SSH-2.0-hello\r\n", "PROVIDER_BROKE_OFF"),
        (b"", "PROVIDER_BROKE_OFF"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n$",
            "ANSWER_UNREADABLE",
        ),
        (
            b"HTTP/1.1 301 Moved\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
            "PROVIDER_REDIRECTS",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc$",
            "DEADLINE_EXCEEDED",
        ),
    ] {
        let world = World::of(&[&raw(answer).await], Terms::default(), None).await;
        let request = Request::post("/").header("grpc-timeout", "400m");
        let answered = world.send(request, "/a", b"x").await;
        assert_eq!(reason(&answered), wanted, "{}", String::from_utf8_lossy(answer));
        assert_eq!(world.ended().response.bytes, 0);
    }
    let mut many = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..2000 {
        many.extend_from_slice(format!("x-{number}: 1234567890\r\n").as_bytes());
    }
    many.extend_from_slice(b"\r\n");
    let world = World::of(&[&raw(Vec::leak(many)).await], Terms::default(), None).await;
    let answered = world.call("POST", "/a", b"x").await;
    assert_eq!(reason(&answered), "PROVIDER_BROKE_OFF");
}

#[tokio::test]
async fn over_tls_the_provider_chooses_the_version_and_must_prove_itself() {
    for (alpn, version) in [("http/1.1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key)
            .unwrap();
        server.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let seen = Arc::new(Seen::default());
        let held = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, held) = (acceptor.clone(), Arc::clone(&held));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, alpn == "h2", held).await;
                    }
                });
            }
        });
        let trusting = |certificate: rustls_pki_types::CertificateDer<'static>| {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(certificate).unwrap();
            let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            Some(Trust(Arc::new(config)))
        };
        let world = World::of(&[&address], Terms::default(), trusting(issued.cert.der().clone())).await;
        for _ in 0..3 {
            assert_eq!(world.call("POST", "/a", b"x").await.0, 200, "{alpn}");
        }
        assert_eq!(seen.connections.load(Ordering::SeqCst), 1, "{alpn}");
        assert_eq!(seen.calls.lock().unwrap()[0].2, version);

        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        for trust in [None, trusting(other.cert.der().clone())] {
            let world = World::of(&[&address], Terms::default(), trust).await;
            let answer = world.call("POST", "/a", b"x").await;
            assert_eq!(reason(&answer), "PROVIDER_UNAVAILABLE");
        }
        assert_eq!(seen.calls(), 3);
    }
}
