//! A door with an agreement in force, in a process of its own: `abuse.rs` measures it, and `.ci/door` calls it with the client of
//! another language. It says where it listens in a line of JSON, answers a line of JSON to each command on its standard input
//! (`seen`, `outcomes`, `run`, `stand`, `again`, `withdraw`), and ends when that is closed.

use std::convert::Infallible;
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut as _, BytesMut};
use egov_auth::{CallerKind, ConfirmationClaim};
use egov_fault::Fault;
use egov_proto::egov::integration::v1::*;
use egov_runtime::config::{ClientCertificates, Period};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use crate::door::document;
use crate::support::*;

/// Says that a door shall be served, and which: `plain`, `strict` (short times, for abuse), `tls`, or
/// `production`: as `tls`, nobody comes without a certificate, and SIGTERM drains it; then it says how its exchanges ended, and
/// ends.
pub const VARIABLE: &str = "EGOV_SERVE_DOOR";

/// The methods of the provider; of `Change` only the name may be seen.
const METHODS: [&str; 5] = ["Get", "Change", "Chat", "Gather", "Scatter"];

#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    /// Calls whose caller went away.
    cancelled: AtomicUsize,
    /// Messages of `Scatter` that were handed to the transport.
    scattered: AtomicUsize,
}

/// A call at the provider; dropped before it is over if the caller goes away.
struct Call {
    seen: Arc<Seen>,
    over: bool,
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.over {
            self.seen.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}

type Piece = Result<Frame<Bytes>, Infallible>;
type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

async fn provider(seen: Arc<Seen>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("grpc://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let answer = service_fn(move |request| provide(request, Arc::clone(&seen)));
                let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                http.max_concurrent_streams(1000);
                let _ = http.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    address
}

fn message(name: &str) -> Bytes {
    framed(&prost::Message::encode_to_vec(&crate::door::only_named(name)))
}

pub fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

/// The messages of a request, if none is compressed.
fn messages(mut data: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let Some((head, rest)) = data.split_at_checked(5) {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        all.push(&rest[..length]);
        data = &rest[length..];
    }
    all
}

/// Echoes, or does what the metadata ask for: `x-delay-ms`, `x-size`, `x-fail`. `x-try-…` comes back in the head, `x-trail-…` in
/// the trailers, and `x-seen-timeout` is the deadline that came.
async fn provide(request: Request<Incoming>, seen: Arc<Seen>) -> Result<Answer, Infallible> {
    seen.calls.fetch_add(1, Ordering::SeqCst);
    let mut call = Call {
        seen: Arc::clone(&seen),
        over: false,
    };
    let (head, mut body) = request.into_parts();
    let number = |name: &str| -> usize {
        let value = head.headers.get(name);
        value.map_or(0, |value| value.to_str().unwrap().parse().unwrap())
    };
    tokio::time::sleep(Duration::from_millis(number("x-delay-ms") as u64)).await;
    let mut trailers = HeaderMap::new();
    let mut answer = HeaderMap::new();
    for (name, value) in &head.headers {
        if name.as_str().starts_with("x-trail-") {
            trailers.append(name, value.clone());
        }
        if name.as_str().starts_with("x-try-") || name == "grpc-encoding" {
            answer.append(name, value.clone());
        }
    }
    answer.insert("content-type", HeaderValue::from_static("application/grpc"));
    if let Some(timeout) = head.headers.get("grpc-timeout") {
        answer.insert("x-seen-timeout", timeout.clone());
    }
    if head.headers.contains_key("x-fail") {
        call.over = true;
        let fault = Fault::new(
            egov_fault::Code::NotFound,
            "PERSON_NOT_FOUND",
            "không có người này",
            "there is no such person",
        );
        let mut status: Response<tonic::body::Body> = tonic::Status::from(fault).into_http();
        status.headers_mut().extend(trailers);
        let (parts, _) = status.into_parts();
        return Ok(Response::from_parts(parts, http_body_util::Empty::new().boxed()));
    }
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let size = number("x-size");
    let (to, pieces) = mpsc::channel::<Piece>(1);
    tokio::spawn(async move {
        // All of it, not the flag alone.
        let mut call = call;
        let send = async |data: Bytes| to.send(Ok(Frame::data(data))).await.is_ok();
        match head.uri.path().rsplit('/').next().unwrap() {
            "Gather" => {
                let Ok(whole) = body.collect().await else { return };
                let whole = whole.to_bytes();
                let all = messages(&whole);
                let names = all.iter().map(|one| crate::door::name_of(one));
                let names: Vec<String> = names.collect();
                send(message(&names.join(","))).await;
            }
            "Scatter" => {
                let Ok(whole) = body.collect().await else { return };
                let wanted = crate::door::name_of(messages(&whole.to_bytes())[0]);
                let (count, pad) = wanted.split_once(',').unwrap();
                let pad = "x".repeat(pad.parse().unwrap());
                for place in 0..count.parse().unwrap() {
                    if !send(message(&format!("{place}:{pad}"))).await {
                        return;
                    }
                    seen.scattered.fetch_add(1, Ordering::SeqCst);
                }
            }
            "Get" if size > 0 => {
                send(message(&"x".repeat(size))).await;
            }
            _ => loop {
                let piece = tokio::select! {
                    piece = body.frame() => piece,
                    () = to.closed() => return,
                };
                match piece {
                    None => break,
                    Some(Err(_)) => return,
                    Some(Ok(piece)) => {
                        if let Ok(data) = piece.into_data()
                            && !send(data).await
                        {
                            return;
                        }
                    }
                }
            },
        }
        call.over = to.send(Ok(Frame::trailers(trailers))).await.is_ok();
    });
    let mut response = Response::new(StreamBody::new(ReceiverStream::new(pieces)).boxed());
    *response.headers_mut() = answer;
    Ok(response)
}

/// Two parties that ask, with their certificates, one that provides, and with each an agreement about all methods; returns the
/// system of the second.
async fn agree(stack: &Stack, provider: &str, certificates: [Option<String>; 2]) -> System {
    let (mut consumer, providing) = (party(stack, CONSUMER).await, party(stack, PROVIDER).await);
    let mut other = party(stack, STRANGER).await;
    for (asking, certificate) in [&mut consumer, &mut other].into_iter().zip(certificates) {
        let Some(certificate_pem) = certificate else { continue };
        let added = AddCertificateRequest {
            request_id: request_id(),
            system_id: asking.system.system_id.clone(),
            etag: asking.system.etag.clone(),
            certificate_pem,
        };
        let mut caller = stack.staff(PARTNER, asking.unit);
        let added = caller.systems.add_certificate(added).await.unwrap();
        asking.system = added.into_inner().system.unwrap();
    }
    let service = service_of(stack, &providing, "people", document()).await;
    let endpoint = AddEndpointRequest {
        request_id: request_id(),
        service_id: service.service_id.clone(),
        url: provider.to_owned(),
        weight: 1,
        health_path: String::new(),
    };
    let mut caller = stack.staff(PARTNER, PROVIDER);
    caller.interfaces.add_endpoint(endpoint).await.unwrap();
    let mut terms = terms(stack);
    terms.allowed_purposes = Vec::new();
    terms.calls_per_minute = 0;
    terms.methods = METHODS
        .map(|method| MethodTerms {
            method: format!("demo.v1.People/{method}"),
            mask: if method == "Change" {
                vec!["name".to_owned()]
            } else {
                Vec::new()
            },
            ..MethodTerms::default()
        })
        .to_vec();
    for (unit, asking) in [(CONSUMER, &consumer), (STRANGER, &other)] {
        let agreement = draft(stack, asking, &service, terms.clone()).await;
        let agreement = offer(stack, unit, &agreement).await.unwrap();
        let agreement = sign(stack, asking, Side::Consumer, &agreement).await.unwrap();
        sign(stack, &providing, Side::Provider, &agreement).await.unwrap();
    }
    other.system
}

/// Takes the one certificate of the second system away.
async fn withdraw(stack: &Stack, system: &System) {
    let withdrawn = WithdrawCertificateRequest {
        request_id: request_id(),
        system_id: system.system_id.clone(),
        etag: system.etag.clone(),
        certificate_id: system.certificates[0].certificate_id.clone(),
        reason: "mất khóa".to_owned(),
    };
    let mut caller = stack.staff(PARTNER, STRANGER);
    caller.systems.withdraw_certificate(withdrawn).await.unwrap();
}

/// A certificate and its key, PEM, and its fingerprint as tokens name it.
struct Pair {
    certificate: String,
    key: String,
    fingerprint: String,
}

fn issue(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    // A name of its own: what has the name of its issuer is taken for self-signed.
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2029, 1, 1);
    let certificate = params.signed_by(&key, authority).unwrap();
    Pair {
        fingerprint: URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate.der())),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn token(stack: &Stack, unit: i32, certificate: Option<&str>) -> String {
    let mut claims = stack.tokens.claims(CallerKind::System, Uuid::from_u128(0xc1));
    claims.client_id = Some(format!("client-{unit}"));
    claims.cnf = certificate.map(|certificate| ConfirmationClaim {
        certificate: certificate.to_owned(),
    });
    stack.tokens.sign(&claims)
}

fn say(line: &Value) {
    // What libtest has written before does not end with a new line.
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

/// How many exchanges have ended how, and how many are open, by what the database has.
async fn outcomes(stack: &Stack) -> Value {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let outcomes: Vec<(String, i64)> = sqlx::query_as(
        "SELECT outcome, count(*) FROM exchange_outcomes GROUP BY 1
         UNION ALL SELECT 'open', count(*) FROM open_exchanges",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let outcomes: serde_json::Map<String, Value> =
        outcomes.into_iter().map(|(name, count)| (name, json!(count))).collect();
    Value::Object(outcomes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not a test: a door for others to call"]
async fn serve_a_door() {
    let Some(kind) = std::env::var_os(VARIABLE) else { return };
    let mut settings = Settings::default();
    settings.door.drain.grace = Period::seconds(3);
    if kind == "strict" {
        let keepalive = &mut settings.door.keepalive;
        keepalive.handshake = Period::seconds(1);
        // Long enough for an honest client on a machine that has other things to do.
        keepalive.interval = Period::seconds(2);
        keepalive.timeout = Period::seconds(4);
        keepalive.idle = Period::seconds(2);
        keepalive.unread = Period::seconds(5);
    }
    let files = tempfile::tempdir().unwrap();
    let mut certificates = Value::Null;
    let (mut known, mut bound) = ([None, None], None);
    let signals = kind == "production";
    if signals {
        settings.certificate_required = true;
        settings.door.drain.grace = Period::seconds(30);
        settings.own.drain.grace = Period::seconds(30);
    }
    if kind == "tls" || signals {
        let authority = authority();
        // `other` is of the second system, `nobody` is registered for none.
        let (door, own, other, nobody) = (
            issue(&authority, "localhost"),
            issue(&authority, "client"),
            issue(&authority, "other"),
            issue(&authority, "nobody"),
        );
        let put = |name: &str, pem: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path
        };
        let tls = &mut settings.door.tls;
        tls.certificate = Some(put("door.pem", &door.certificate));
        tls.key = Some(put("door.key", &door.key));
        tls.client_ca = Some(put("authority.pem", &authority.pem()));
        tls.client_certificates = ClientCertificates::Optional;
        for (name, pair) in [("own", &own), ("other", &other), ("nobody", &nobody)] {
            put(&format!("{name}.pem"), &pair.certificate);
            put(&format!("{name}.key"), &pair.key);
        }
        certificates = json!(files.path());
        known = [Some(own.certificate), Some(other.certificate)];
        bound = Some(own.fingerprint);
    }
    let seen = Arc::new(Seen::default());
    let provider = provider(Arc::clone(&seen)).await;
    let mut stack = Stack::with(settings).await;
    let other = agree(&stack, &provider, known).await;
    if signals {
        stack.stop_on_signals();
    }
    say(&json!({
        "door": stack.door.trim_start_matches("http://"),
        "service": stack.address.trim_start_matches("http://"),
        "token": token(&stack, CONSUMER, bound.as_deref()),
        "unbound": token(&stack, CONSUMER, None),
        // Of a system that does nothing wrong.
        "honest": token(&stack, STRANGER, None),
        "staff": stack.token(PARTNER, CONSUMER),
        "certificates": certificates,
        "pid": std::process::id(),
    }));

    let (to, mut commands) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if to.blocking_send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    // Its clock stands, unless it is told to run as time does.
    let running = Arc::new(AtomicBool::new(false));
    let (clock, runs) = (stack.clock.clone(), Arc::clone(&running));
    // In a thread of its own: it runs while the others have their hands full.
    std::thread::spawn(move || {
        let mut before = std::time::Instant::now();
        loop {
            std::thread::park_timeout(Duration::from_millis(10));
            let now = std::time::Instant::now();
            if runs.load(Ordering::SeqCst) {
                clock.advance((now - before).try_into().unwrap());
            }
            before = now;
        }
    });
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            () = stack.asked_to_stop(), if signals => None,
        };
        let Some(command) = command else { break };
        match command.as_str() {
            "seen" => say(&json!({
                "calls": seen.calls.load(Ordering::SeqCst),
                "cancelled": seen.cancelled.load(Ordering::SeqCst),
                "scattered": seen.scattered.load(Ordering::SeqCst),
            })),
            "outcomes" => say(&outcomes(&stack).await),
            "run" => {
                running.store(true, Ordering::SeqCst);
                say(&json!({}));
            }
            "stand" => {
                running.store(false, Ordering::SeqCst);
                say(&json!({}));
            }
            "again" => {
                stack.again().await;
                say(&json!({}));
            }
            "withdraw" => {
                withdraw(&stack, &other).await;
                say(&json!({}));
            }
            other => panic!("{other:?} is no command"),
        }
    }
    if signals {
        stack.drain();
        let drained = stack.drained().await;
        let mut outcomes = outcomes(&stack).await;
        outcomes["cut"] = json!(drained.aborted_connections + drained.aborted_jobs);
        say(&outcomes);
    }
    drop(stack);
    // Nobody reads what libtest would say.
    std::process::exit(0);
}
