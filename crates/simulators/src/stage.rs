//! The HTTP server under every simulator: takes a request, lets its fault happen, and plays the partner's part.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use egov_clock::{Clock as _, SharedClock};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::faults::{Fault, Faults, OVERTAKEN_WITHIN};

/// A request as it came.
pub(crate) struct Incoming {
    pub(crate) method: Method,
    /// Without the leading slash.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The address that was called, as the caller wrote it.
    pub(crate) endpoint: String,
    pub(crate) now: Timestamp,
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// What is answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }
}

/// How the part is played wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twist {
    None,
    WrongSignature,
    WrongCode,
    WrongRecord,
}

/// A partner's part.
pub(crate) trait Part: Send + 'static {
    /// The name of the operation that a request asks for, by which faults are scripted; none if faults leave it alone.
    fn operation(&self, request: &Incoming) -> Option<String>;

    /// Carries it out and answers.
    fn play(&mut self, request: &Incoming, twist: Twist) -> Reply;
}

/// A running simulator.
pub(crate) struct Stage<P> {
    pub(crate) address: SocketAddr,
    pub(crate) faults: Faults,
    pub(crate) clock: SharedClock,
    part: Arc<Mutex<P>>,
    task: JoinHandle<()>,
}

impl<P> Drop for Stage<P> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared<P> {
    part: Arc<Mutex<P>>,
    faults: Faults,
    clock: SharedClock,
    played: Notify,
    address: SocketAddr,
}

impl<P: Part> Stage<P> {
    pub(crate) async fn open(part: P, clock: SharedClock) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let part = Arc::new(Mutex::new(part));
        let faults = Faults::default();
        let shared = Arc::new(Shared {
            part: Arc::clone(&part),
            faults: faults.clone(),
            clock: clock.clone(),
            played: Notify::new(),
            address,
        });
        let routes = Router::new().fallback(answer::<P>).with_state(shared);
        // An answer in two writes would wait for the acknowledgement of the first.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let task = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self {
            address,
            faults,
            clock,
            part,
            task,
        })
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut P) -> T) -> T {
        f(&mut self.part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

async fn answer<P: Part>(
    State(shared): State<Arc<Shared<P>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches('/').to_owned();
    let request = Incoming {
        method,
        endpoint: format!("http://{}/{path}", shared.address),
        path,
        headers,
        body,
        now: shared.clock.now(),
    };
    let operation = shared
        .part
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .operation(&request);
    let fault = operation.and_then(|operation| shared.faults.next(&operation));
    let play = |twist| {
        let reply = shared
            .part
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .play(&request, twist);
        shared.played.notify_waiters();
        reply
    };
    match fault {
        None => whole(play(Twist::None)),
        Some(Fault::Delay(millis)) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            whole(play(Twist::None))
        }
        Some(Fault::Late(millis)) => {
            // The caller may hang up; what is under way goes on.
            let shared = Arc::clone(&shared);
            let late = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                shared
                    .part
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .play(&request, Twist::None);
            });
            let _ = late.await;
            std::future::pending().await
        }
        Some(Fault::Silent) => {
            play(Twist::None);
            std::future::pending().await
        }
        Some(Fault::Duplicate) => {
            play(Twist::None);
            whole(play(Twist::None))
        }
        Some(Fault::Reorder) => {
            let overtaken = shared.played.notified();
            let _ = tokio::time::timeout(OVERTAKEN_WITHIN, overtaken).await;
            whole(play(Twist::None))
        }
        Some(Fault::HalfOpen) => cut(play(Twist::None), true),
        Some(Fault::HangUp) => cut(Reply::json(200, &serde_json::json!({ "never": "sent" })), false),
        Some(Fault::Malformed) => {
            let mut reply = play(Twist::None);
            reply.body = b"<html>\x00\xff<b>Error".to_vec();
            whole(reply)
        }
        Some(Fault::WrongSignature) => whole(play(Twist::WrongSignature)),
        Some(Fault::WrongCode) => whole(play(Twist::WrongCode)),
        Some(Fault::WrongRecord) => whole(play(Twist::WrongRecord)),
        Some(Fault::Failed) => whole(Reply::json(503, &serde_json::Value::Null)),
        Some(Fault::FailedAfter) => {
            play(Twist::None);
            whole(Reply::json(500, &serde_json::Value::Null))
        }
    }
}

fn whole(reply: Reply) -> Response {
    dressed(&reply, Body::from(reply.body.clone()))
}

/// The head says how long the body is; half of it, or nothing, comes, and then the connection ends.
fn cut(reply: Reply, half: bool) -> Response {
    let length = reply.body.len();
    let mut piece = Bytes::from(reply.body.clone());
    piece.truncate(if half { length / 2 } else { 0 });
    let ended = io::Error::from(io::ErrorKind::ConnectionReset);
    let pieces = futures::stream::iter([Ok(piece), Err(ended)]);
    let mut response = dressed(&reply, Body::from_stream(pieces));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn dressed(reply: &Reply, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    for (name, value) in &reply.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(*name, value);
        }
    }
    response
}

/// The methods and fields that every simulator has.
macro_rules! simulator {
    ($name:ident, $part:ident) => {
        impl $name {
            /// Starts it on a free port of this machine.
            pub async fn start(clock: egov_clock::SharedClock) -> std::io::Result<Self> {
                Ok(Self(crate::stage::Stage::open($part::default(), clock).await?))
            }

            /// Its address, with a slash at the end.
            pub fn url(&self) -> String {
                self.0.url()
            }

            /// What goes wrong.
            pub fn faults(&self) -> &crate::Faults {
                &self.0.faults
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0.address).finish()
            }
        }
    };
}
pub(crate) use simulator;
