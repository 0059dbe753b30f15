//! The order of work for each call.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use egov_auth::purpose_of;
use egov_clock::{SharedClock, SharedIds};
use egov_fault::{Code, Fault, Violation};
use egov_runtime::server::{Draining, grpc_timeout};
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, Request, Response};
use http_body::Body;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use uuid::Uuid;

use crate::body::AnswerBody;
use crate::consumer::{Authenticator, Consumer};
use crate::exchange::{Begun, Ended, Journal, Outcome, Promise};
use crate::meters::{Kind, Meters};
use crate::passage::{Asked, Gatekeeper, Passage, Stands};
use crate::quota::{Quotas, Taken};
use crate::refusal::{ByTheDoor, Refusal, refusal};
use crate::stream::Requests;
use crate::tally::Tally;
use crate::wire_headers::SERVICE;

/// The limits of the door.
#[derive(Clone, Copy, Debug)]
pub struct DoorLimits {
    /// The largest message, in bytes, before and after inflating.
    pub message_bytes: usize,
    /// The most calls of one system at once.
    pub concurrent_per_consumer: usize,
    /// How long a unary call may take whose caller sets no deadline.
    pub deadline: Duration,
    /// The longest deadline of a unary call.
    pub deadline_max: Duration,
    /// The longest life of a stream.
    pub stream_max: Duration,
    /// How often an open stream looks whether its agreement still holds.
    pub standing_every: Duration,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            message_bytes: 4 * 1024 * 1024,
            concurrent_per_consumer: 256,
            deadline: Duration::from_secs(30),
            deadline_max: Duration::from_mins(2),
            stream_max: Duration::from_hours(1),
            standing_every: Duration::from_millis(100),
        }
    }
}

/// What a door is made of.
pub struct DoorParts {
    /// Who is calling.
    pub authenticator: Authenticator,
    /// Who knows the agreements.
    pub gatekeeper: Arc<dyn Gatekeeper>,
    /// Where exchanges are recorded.
    pub journal: Arc<dyn Journal>,
    /// The time.
    pub clock: SharedClock,
    /// Ids.
    pub ids: SharedIds,
    /// The limits.
    pub limits: DoorLimits,
}

/// The one door between systems.
///
/// For each call, in this order: who calls; by which agreement; within which quota; the record that a call is about to be
/// forwarded, which must survive a crash first; the call; the record of how it ended, with its leaf, before the consumer has the
/// answer.
#[derive(Clone)]
pub struct Door {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) parts: DoorParts,
    pub(crate) quotas: Quotas,
    busy: Mutex<HashMap<String, Arc<Semaphore>>>,
    meters: Arc<Meters>,
}

/// A call that was let in.
pub(crate) struct Admitted {
    pub(crate) consumer: Consumer,
    pub(crate) method: String,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
    pub(crate) purpose: Option<String>,
    pub(crate) passage: Passage,
    pub(crate) exchange_id: Uuid,
    pub(crate) at: Timestamp,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
    /// Tells when the port drains.
    pub(crate) draining: Draining,
    /// The status in the record of a call whose consumer goes away.
    pub(crate) gone: i32,
    authenticator: Authenticator,
    /// Places that are given back when the call is over.
    places: Arc<Places>,
}

/// What a call takes of its quota and of the calls that its system may have under way.
struct Places {
    _taken: Taken,
    _place: OwnedSemaphorePermit,
}

/// Bytes of an answer that keep the places of their call until they are written or dropped.
struct Placed {
    bytes: Bytes,
    _places: Arc<Places>,
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Admitted {
    /// What is recorded before the call is forwarded.
    pub(crate) fn begun(&self, request: Option<Tally>) -> Arc<Begun> {
        let passage = &self.passage;
        Arc::new(Begun {
            exchange_id: self.exchange_id,
            agreement_id: passage.agreement_id,
            agreement_version: passage.agreement_version,
            delegation_id: passage.delegation_id,
            client_id: self.consumer.client_id.clone(),
            caller: self.consumer.account,
            on_behalf_of: self.consumer.on_behalf_of,
            consumer_organisation_id: passage.consumer_organisation_id,
            consumer_unit_id: passage.consumer_unit_id,
            provider_organisation_id: passage.provider_organisation_id,
            provider_unit_id: passage.provider_unit_id,
            service_id: passage.service_id,
            method: self.method.clone(),
            purpose: self.purpose.clone(),
            request,
            trace: trace_of(&self.headers),
            at: self.at,
            retention_days: passage.bodies.retention_days,
        })
    }
}

impl Admitted {
    /// An answer that counts as a call under way until the consumer has taken it: who asks for much and reads nothing cannot
    /// pile up more than its places allow.
    pub(crate) fn placed(&self, answer: Bytes) -> Bytes {
        if answer.is_empty() {
            return answer;
        }
        Bytes::from_owner(Placed {
            bytes: answer,
            _places: Arc::clone(&self.places),
        })
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The trace id of `traceparent` (W3C): its second part, if it has the form.
fn trace_of(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let id = text.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_ascii_lowercase())
}

impl Admitted {
    /// Whether the agreement and the token still hold; otherwise how the call ends.
    pub(crate) fn still_stands(&self) -> Result<(), (Outcome, Fault)> {
        if self.authenticator.is_revoked(&self.consumer) {
            return Err((Outcome::AgreementEnded, refusal(Refusal::AgreementEnded)));
        }
        match self.passage.standing.stands() {
            Stands::Holds => Ok(()),
            Stands::Unknown => Err((Outcome::Stopped, refusal(Refusal::PermitsStale))),
            Stands::Ended => Err((Outcome::AgreementEnded, refusal(Refusal::AgreementEnded))),
        }
    }

    /// The same for an answer that is about to leave: who is refused it is told that the provider has acted. That the state of the agreement is
    /// not known at this moment ends nothing: it held when the call was forwarded, and who were told to try again would act twice.
    pub(crate) fn may_answer(&self) -> Result<(), (Outcome, Fault)> {
        match self.still_stands() {
            Err((Outcome::Stopped, _)) | Ok(()) => Ok(()),
            Err((outcome, fault)) => Err((outcome, fault.with("provider", "answered"))),
        }
    }
}

/// A recorded call that is not over. If it is dropped, the consumer went away.
pub(crate) struct Open {
    journal: Arc<dyn Journal>,
    meters: Arc<Meters>,
    kind: Kind,
    clock: SharedClock,
    started: Instant,
    gone: i32,
    state: Option<Arc<Begun>>,
    /// What a stream has sent so far.
    requests: Option<Arc<Requests>>,
}

/// How a call ended, without what is known of it already.
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    pub(crate) status: i32,
    pub(crate) request: Tally,
    pub(crate) forwarded: Option<Tally>,
    pub(crate) response: Tally,
    pub(crate) received: Option<Tally>,
    pub(crate) provider_us: u64,
    pub(crate) body: Option<Bytes>,
}

impl Open {
    /// Records how it ended; returns when that survives a crash.
    pub(crate) async fn end(mut self, end: End) -> Result<Promise, Fault> {
        let Some(begun) = self.state.take() else {
            return Err(refusal(Refusal::ExchangeNotRecorded));
        };
        let ended = self.ended(begun, end);
        self.journal.end(ended).await
    }

    /// Records how it ended for a consumer that has gone.
    pub(crate) fn leave(mut self, end: End) {
        if let Some(begun) = self.state.take() {
            let ended = self.ended(begun, end);
            self.journal.abandon(ended);
        }
    }

    fn ended(&self, begun: Arc<Begun>, end: End) -> Ended {
        let ended = Ended {
            begun,
            outcome: end.outcome,
            status: end.status,
            request: end.request,
            forwarded: end.forwarded,
            response: end.response,
            received: end.received,
            at: self.clock.now(),
            elapsed_us: micros(self.started.elapsed()),
            provider_us: end.provider_us,
            body: end.body,
        };
        self.meters.ended(self.kind, &ended);
        ended
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(begun) = self.state.take() {
            let nothing = Tally::of(&[], 0);
            let sent = self
                .requests
                .as_ref()
                .map(|requests| Requests::tally(&requests.received));
            let end = End {
                outcome: Outcome::Cancelled,
                status: self.gone,
                request: begun.request.or(sent).unwrap_or(nothing),
                forwarded: None,
                response: nothing,
                received: None,
                provider_us: 0,
                body: None,
            };
            let ended = self.ended(begun, end);
            self.journal.abandon(ended);
        }
    }
}

impl Door {
    /// A door of these parts.
    pub fn new(parts: DoorParts) -> Self {
        Self {
            inner: Arc::new(Inner {
                parts,
                quotas: Quotas::default(),
                busy: Mutex::default(),
                meters: Arc::new(Meters::new(&opentelemetry::global::meter("egov"))),
            }),
        }
    }

    /// The limits of the door.
    pub fn limits(&self) -> &DoorLimits {
        &self.inner.parts.limits
    }

    /// Who calls, by the same token and connection by which a call is judged: for whoever must know before there is a call, as
    /// callers of [`Door::plain`] do.
    ///
    /// # Errors
    /// The token is missing, is not valid, or not bound to the connection; whoever calls is no system.
    pub async fn consumer(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Consumer, Fault> {
        self.inner.parts.authenticator.consumer(headers, extensions).await
    }

    /// Counts a call that was refused before it became an exchange: by the door, or by what stands in front of it.
    pub fn refused(&self, fault: &Fault) {
        self.inner.meters.refused(fault.reason());
    }

    /// Forgets the meters of agreements that nobody uses; to be called now and then.
    pub fn sweep(&self) {
        self.inner.quotas.sweep(self.inner.parts.clock.now());
        let mut busy = self.inner.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.inner.parts.limits.concurrent_per_consumer;
        busy.retain(|_, places| places.available_permits() < all);
    }

    /// Serves a call over gRPC. Never fails: what goes wrong is told in the status.
    pub async fn grpc<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Send,
    {
        let (parts, body) = request.into_parts();
        let admitted = async {
            let method = method_of(&parts)?;
            let consumer = self
                .inner
                .parts
                .authenticator
                .consumer(&parts.headers, &parts.extensions)
                .await?;
            let mut call = self.admit(consumer, method, parts.headers).await?;
            call.draining = parts.extensions.get().cloned().unwrap_or_default();
            Ok(call)
        };
        let answered = match admitted.await {
            Ok(call) if call.passage.facts.client_streaming || call.passage.facts.server_streaming => {
                self.stream(call, body).await
            }
            Ok(call) => Box::pin(self.unary(call, body)).await,
            Err(fault) => Err(fault),
        };
        answered.unwrap_or_else(|fault| {
            self.inner.meters.refused(fault.reason());
            told(fault)
        })
    }

    /// Agreement, purpose, quota: everything before the first record.
    async fn admit(&self, consumer: Consumer, method: String, headers: HeaderMap) -> Result<Admitted, Fault> {
        let purpose = purpose_of(&headers)?;
        let asked = Asked {
            method: &method,
            service_id: service_of(&headers)?,
            purpose: purpose.as_deref(),
        };
        let passage = self.inner.parts.gatekeeper.admit(&consumer, asked)?;
        // Of what was judged, and of nothing else.
        let path = PathAndQuery::try_from(format!("/{method}")).map_err(|_| unknown_method())?;
        let gone = i32::from(tonic::Code::Cancelled);
        self.admitted(consumer, (method, path), headers, purpose, passage, gone)
            .await
    }

    /// Takes places for a call that has a passage. The target is its method and the path that is asked of the provider.
    pub(crate) async fn admitted(
        &self,
        consumer: Consumer,
        target: (String, PathAndQuery),
        headers: HeaderMap,
        purpose: Option<String>,
        passage: Passage,
        gone: i32,
    ) -> Result<Admitted, Fault> {
        let DoorParts { clock, ids, limits, .. } = &self.inner.parts;
        let at = clock.now();
        let place = self.place_of(&consumer.client_id)?;
        let started = Instant::now();
        let taken = self.inner.quotas.take(passage.agreement_id, passage.quota, at).await?;
        let streaming = passage.facts.client_streaming || passage.facts.server_streaming;
        let longest = if streaming {
            limits.stream_max
        } else {
            limits.deadline_max
        };
        let otherwise = if streaming { limits.stream_max } else { limits.deadline };
        let allowed = grpc_timeout(&headers).map_or(otherwise, |wanted| wanted.min(longest));
        let (method, path) = target;
        Ok(Admitted {
            consumer,
            path,
            method,
            headers,
            purpose,
            passage,
            exchange_id: ids.uuid(),
            at,
            started,
            deadline: started + allowed,
            draining: Draining::default(),
            gone,
            authenticator: self.inner.parts.authenticator.clone(),
            places: Arc::new(Places {
                _taken: taken,
                _place: place,
            }),
        })
    }

    fn place_of(&self, client_id: &str) -> Result<OwnedSemaphorePermit, Fault> {
        let places = {
            let mut busy = self.inner.busy.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(places) = busy.get(client_id) {
                Arc::clone(places)
            } else {
                let places = Arc::new(Semaphore::new(self.inner.parts.limits.concurrent_per_consumer));
                busy.insert(client_id.to_owned(), Arc::clone(&places));
                places
            }
        };
        places.try_acquire_owned().map_err(|_| refusal(Refusal::ConsumerBusy))
    }

    /// Records that a call is about to be forwarded, with the request where it is kept.
    pub(crate) async fn open(
        &self,
        call: &Admitted,
        begun: Arc<Begun>,
        body: Option<Bytes>,
        requests: Option<Arc<Requests>>,
    ) -> Result<Open, Fault> {
        let DoorParts { journal, clock, .. } = &self.inner.parts;
        let facts = call.passage.facts;
        // So long: calls that are begun and reset at once must not pile up before the journal.
        let places = Arc::clone(&call.places);
        let recording = journal.begin(Arc::clone(&begun), body, places);
        // From here on the record is on its way: if the consumer goes away, dropping this records that it did.
        let mut open = Open {
            journal: Arc::clone(journal),
            meters: Arc::clone(&self.inner.meters),
            kind: if facts.client_streaming || facts.server_streaming {
                Kind::Stream
            } else {
                Kind::Unary
            },
            clock: Arc::clone(clock),
            started: call.started,
            gone: call.gone,
            state: Some(begun),
            requests,
        };
        open.meters.begun(open.kind);
        if let Err(fault) = recording.await {
            open.state = None;
            open.meters.not_begun(open.kind);
            return Err(fault);
        }
        call.passage.standing.used();
        Ok(open)
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("limits", self.limits())
            .finish_non_exhaustive()
    }
}

/// The method of a call. Only what is exactly a call of gRPC in the binary form of protobuf is one: whatever else a provider might
/// understand in its own way would be judged here as something it is not.
fn method_of(parts: &http::request::Parts) -> Result<String, Fault> {
    let binary = parts
        .headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|value| matches!(value.as_bytes(), b"application/grpc" | b"application/grpc+proto"));
    if parts.method != http::Method::POST || !binary {
        return Err(Fault::new(
            Code::InvalidArgument,
            "MEDIA_TYPE_UNSUPPORTED",
            "chỉ nhận lời gọi gRPC nhị phân (POST, application/grpc)",
            "only calls of gRPC in binary form are taken (POST, application/grpc)",
        ));
    }
    let method = parts.uri.path().strip_prefix('/').unwrap_or_default();
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'))
    };
    match method.split_once('/') {
        Some((service, name)) if plain(service) && plain(name) && parts.uri.query().is_none() => Ok(method.to_owned()),
        _ => Err(unknown_method()),
    }
}

fn unknown_method() -> Fault {
    Fault::new(
        Code::Unimplemented,
        "METHOD_UNKNOWN",
        "không có phương thức này",
        "there is no such method",
    )
}

/// The service that the caller means, if it says so.
pub fn service_of(headers: &HeaderMap) -> Result<Option<Uuid>, Fault> {
    let mut values = headers.get_all(&SERVICE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    match (id, values.next()) {
        (Some(id), None) => Ok(Some(id)),
        _ => Err(Fault::invalid(vec![Violation {
            field: SERVICE.as_str().to_owned(),
            rule: "header".to_owned(),
            vi: "phải là một mã định danh UUID, gửi một lần".to_owned(),
            en: "must be one UUID, sent once".to_owned(),
        }])),
    }
}

/// A fault as the answer of a call over gRPC.
pub(crate) fn told(fault: Fault) -> Response<AnswerBody> {
    let mut response = tonic::Status::from(fault).into_http();
    response.extensions_mut().insert(ByTheDoor);
    response
}
