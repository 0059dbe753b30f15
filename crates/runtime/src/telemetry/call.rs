//! What is recorded of every call: one span, one line, one measurement.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use egov_auth::{Caller, CallerKind};
use egov_clock::{Ids as _, SharedIds};
use egov_fault::{Code, reason_of};
use egov_transcode::Outcome as Transcoded;
use http::{HeaderMap, HeaderValue, Method};
use http_body::{Frame, SizeHint};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter, UpDownCounter};
use opentelemetry::trace::TraceContextExt as _;
use tokio::time::Instant;
use tonic::Status;
use tracing::{Instrument as _, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::propagation::extract;
use crate::accept::RequestId;
use crate::server::{INFRASTRUCTURE, is_grpc};

/// The header by which a caller names its request, and by which the answer repeats the name.
const REQUEST_ID: &str = "x-request-id";

/// What is written for a method or path that nobody serves: the path itself could hold anything.
const UNKNOWN: &str = "unknown";

/// Records calls.
pub(crate) struct Recorder {
    /// `/package.Service/Method` of everything that is served.
    methods: HashSet<String>,
    ids: SharedIds,
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
}

impl Recorder {
    pub(crate) fn new(methods: HashSet<String>, ids: SharedIds, meter: &Meter) -> Self {
        Self {
            methods,
            ids,
            // Name, unit and boundaries of the semantic conventions of OpenTelemetry for RPC.
            duration: meter
                .f64_histogram("rpc.server.call.duration")
                .with_unit("s")
                .with_description("duration of calls, by method and code")
                .with_boundaries(vec![
                    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
                ])
                .build(),
            active: meter
                .i64_up_down_counter("egov.calls.active")
                .with_description("calls in progress")
                .build(),
        }
    }
}

/// What inner layers learn of a call that the outermost one records.
#[derive(Default)]
struct Notes {
    caller: OnceLock<&'static str>,
    route: OnceLock<String>,
    /// The RPC that a plain HTTP request is for, `package.Service/Method`.
    method: OnceLock<Arc<str>>,
}

/// The outermost layer: whatever answers, this records it.
pub(crate) async fn record(State(recorder): State<Arc<Recorder>>, mut request: Request, next: Next) -> Response {
    let grpc = is_grpc(request.headers());
    let path = request.uri().path();
    let quiet = INFRASTRUCTURE.iter().any(|prefix| path.starts_with(prefix));
    let name = if !grpc {
        None
    } else if recorder.methods.contains(path) {
        Some(path.trim_start_matches('/').to_owned())
    } else {
        Some(UNKNOWN.to_owned())
    };
    let request_id = given_id(request.headers()).unwrap_or_else(|| recorder.ids.uuid().to_string());

    let span = if quiet {
        Span::none()
    } else {
        let shown = name.as_deref().unwrap_or("http");
        let span = tracing::info_span!(
            "call",
            otel.name = shown,
            otel.kind = "server",
            otel.status_code = field::Empty,
            request_id,
        );
        // Fails only where no tracer is installed, and then there is no trace to join.
        let _ = span.set_parent(extract(request.headers()));
        if grpc {
            span.set_attribute("rpc.system.name", "grpc");
            span.set_attribute("rpc.method", shown.to_owned());
        }
        span
    };

    let notes = Arc::new(Notes::default());
    request.extensions_mut().insert(Arc::clone(&notes));
    request.extensions_mut().insert(RequestId::new(&request_id));
    recorder.active.add(1, &[]);
    let mut call = Call {
        recorder,
        notes,
        name,
        verb: verb(request.method()),
        started: Instant::now(),
        span: span.clone(),
        quiet,
        request_id: request_id.clone(),
        finished: false,
    };

    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }

    // Of an RPC over plain HTTP what gRPC says is recorded, so that one method has one set of codes.
    let http = (!grpc).then(|| match response.extensions().get::<Transcoded>() {
        Some(transcoded) => Outcome::of_code(transcoded.code, transcoded.reason.clone()),
        None => Outcome::of_http(response.status()),
    });
    let early = match &http {
        None => Outcome::of_headers(response.headers()),
        Some(outcome) => http_body::Body::is_end_stream(response.body()).then(|| outcome.clone()),
    };
    if let Some(outcome) = early {
        call.finish(outcome);
        return response;
    }
    response.map(|inner| Body::new(Recorded { inner, call, http }))
}

/// Notes the RPC that a plain HTTP request turned out to be for.
pub(crate) fn note_method(request: &Request, method: &Arc<str>) {
    if let Some(notes) = request.extensions().get::<Arc<Notes>>() {
        let _ = notes.method.set(Arc::clone(method));
    }
    let span = Span::current();
    // Not as a field of the span, which cannot rename what has begun.
    span.context().span().update_name(method.to_string());
    span.set_attribute("rpc.system.name", "grpc");
    span.set_attribute("rpc.method", method.to_string());
}

/// Notes who calls, behind the layer that finds out.
pub(crate) async fn note_caller(request: Request, next: Next) -> Response {
    if let (Some(caller), Some(notes)) = (
        request.extensions().get::<Caller>(),
        request.extensions().get::<Arc<Notes>>(),
    ) {
        let kind = match caller.principal.kind {
            CallerKind::Staff => "staff",
            CallerKind::Citizen => "citizen",
            CallerKind::System => "system",
        };
        // Noted once; a second layer would say the same.
        let _ = notes.caller.set(kind);
    }
    next.run(request).await
}

/// Notes the route of a plain HTTP request, with placeholders for what varies.
pub(crate) async fn note_route(request: Request, next: Next) -> Response {
    if let (Some(path), Some(notes)) = (
        request.extensions().get::<MatchedPath>(),
        request.extensions().get::<Arc<Notes>>(),
    ) {
        let _ = notes.route.set(path.as_str().to_owned());
    }
    next.run(request).await
}

/// The caller's own id of its request, if it is one that can stand in a log and a header.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ((1..=64).contains(&id.len()) && id.bytes().all(plain)).then(|| id.to_owned())
}

/// The verb of an HTTP request. A caller can send any word; of those that nobody knows one name is enough.
fn verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// How a call ended.
#[derive(Clone)]
struct Outcome {
    code: String,
    reason: Option<String>,
    failed: bool,
}

impl Outcome {
    /// Of headers or trailers; `None` if they do not tell.
    fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let status = Status::from_header_map(headers)?;
        Some(Self::of_code(status.code(), reason_of(&status)))
    }

    fn of_code(code: tonic::Code, reason: Option<String>) -> Self {
        let name = match code {
            tonic::Code::Ok => "OK",
            tonic::Code::Unknown => "UNKNOWN",
            other => Code::from_tonic(other).name(),
        };
        Self {
            code: name.to_owned(),
            reason,
            failed: matches!(
                code,
                tonic::Code::Internal | tonic::Code::Unknown | tonic::Code::DataLoss
            ),
        }
    }

    fn of_http(status: http::StatusCode) -> Self {
        Self {
            code: status.as_u16().to_string(),
            reason: None,
            failed: status.is_server_error(),
        }
    }

    /// The caller went away, or the connection broke.
    fn cancelled() -> Self {
        Self {
            code: Code::Cancelled.name().to_owned(),
            reason: None,
            failed: false,
        }
    }
}

/// A call in progress. Dropped before it has finished, it was cancelled.
struct Call {
    recorder: Arc<Recorder>,
    notes: Arc<Notes>,
    /// Of a gRPC call; the name of a plain HTTP request is known at its end.
    name: Option<String>,
    verb: &'static str,
    started: Instant,
    span: Span,
    quiet: bool,
    request_id: String,
    finished: bool,
}

impl Call {
    fn finish(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let elapsed = self.started.elapsed();
        let method = self.name.clone().unwrap_or_else(|| {
            if let Some(method) = self.notes.method.get() {
                return method.to_string();
            }
            let route = self.notes.route.get().map_or(UNKNOWN, String::as_str);
            format!("{} {route}", self.verb)
        });
        self.recorder.active.add(-1, &[]);
        self.recorder.duration.record(
            elapsed.as_secs_f64(),
            &[
                KeyValue::new("rpc.method", method.clone()),
                KeyValue::new("rpc.response.status_code", outcome.code.clone()),
            ],
        );

        if outcome.failed {
            self.span.record("otel.status_code", "ERROR");
        }
        self.span
            .set_attribute("rpc.response.status_code", outcome.code.clone());
        let _entered = self.span.enter();
        let code = outcome.code.as_str();
        let reason = outcome.reason.as_deref();
        let caller = self.notes.caller.get().copied();
        let duration_ms = elapsed.as_secs_f64() * 1000.0;
        let request_id = self.request_id.as_str();
        if outcome.failed {
            tracing::error!(method, code, reason, caller, duration_ms, request_id, "answered");
        } else if self.quiet {
            tracing::debug!(method, code, reason, caller, duration_ms, request_id, "answered");
        } else {
            tracing::info!(method, code, reason, caller, duration_ms, request_id, "answered");
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.finish(Outcome::cancelled());
    }
}

/// A body whose end tells how the call ended.
struct Recorded {
    inner: Body,
    call: Call,
    /// How a plain HTTP answer ends if it comes to its end; `None` for gRPC, which tells in the trailers.
    http: Option<Outcome>,
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let frame = {
            let _entered = this.call.span.enter();
            ready!(Pin::new(&mut this.inner).poll_frame(context))
        };
        let outcome = match (&frame, &this.http) {
            (Some(Ok(frame)), None) => frame.trailers_ref().and_then(Outcome::of_headers),
            (Some(Ok(_)), Some(outcome)) => this.inner.is_end_stream().then(|| outcome.clone()),
            (None, Some(outcome)) => Some(outcome.clone()),
            (Some(Err(_)) | None, _) => Some(Outcome::cancelled()),
        };
        if let Some(outcome) = outcome {
            this.call.finish(outcome);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_request_id_is_taken_only_if_it_is_plain() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(value).unwrap());
            given_id(&headers)
        };
        assert_eq!(with("portal-2026.11_23").as_deref(), Some("portal-2026.11_23"));
        assert_eq!(with(""), None);
        assert_eq!(with("a b"), None);
        assert_eq!(with("{\"x\":1}"), None);
        assert_eq!(with(&"a".repeat(65)), None);
    }

    #[test]
    fn the_outcome_of_trailers_has_code_and_reason() {
        let status = Status::from(egov_fault::Fault::new(
            Code::NotFound,
            "CASE_NOT_FOUND",
            "không có",
            "none",
        ));
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers).unwrap();
        let outcome = Outcome::of_headers(&trailers).unwrap();
        assert_eq!(outcome.code, "NOT_FOUND");
        assert_eq!(outcome.reason.as_deref(), Some("CASE_NOT_FOUND"));
        assert!(!outcome.failed);
        assert!(Outcome::of_headers(&HeaderMap::new()).is_none());
    }
}
