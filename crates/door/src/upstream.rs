//! The endpoints of a service: connections, choice, failures.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use crate::body::AnswerBody;
use crate::deadline;
use crate::destination::Destinations;

/// Bytes of one stream that may be under way before the reader has taken them: what a slow consumer can make the door hold.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all streams of a connection together: no limit of its own, or a few consumers that do not read would stop the
/// answers to everybody else.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// How long a connection of HTTP/1.1 lies idle before it is used no more: less than the five seconds after which widespread
/// servers close theirs, because a request that crosses such a closing on the wire is lost without a word.
const IDLE: Duration = Duration::from_secs(4);

/// The most idle connections of HTTP/1.1 that are kept for one endpoint.
const IDLE_MOST: usize = 64;

/// The least buffer for the head of an answer of HTTP/1.1 that hyper takes.
const LEAST_BUFFER: usize = 8192;

/// The seconds whose calls the budget of repetitions counts.
const WINDOW: u64 = 10;

/// So many times the failures that leave an endpoint alone do calls do whose time was too short to tell, if one after the other nothing
/// came back.
const SHORT_FOR_ONE: u32 = 4;

/// The time that a call over gRPC may take, as the next hop gets it.
const TIMEOUT: &str = "grpc-timeout";

/// Which HTTP a service is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    /// HTTP/2 by prior knowledge, as gRPC does.
    Http2,
    /// HTTP/1.1; over TLS the endpoint may choose HTTP/2 (ALPN).
    Plain,
}

/// A connection that a request can be sent on.
enum Connection {
    One(http1::SendRequest<AnswerBody>),
    Two(http2::SendRequest<AnswerBody>),
}

impl Connection {
    async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::One(connection) => connection.ready().await,
            Self::Two(connection) => connection.ready().await,
        }
    }

    async fn try_send(
        &mut self,
        request: Request<AnswerBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<AnswerBody>>> {
        match self {
            Self::One(connection) => connection.try_send_request(request).await,
            Self::Two(connection) => connection.try_send_request(request).await,
        }
    }
}

/// A connection of HTTP/1.1 that waits for its next request.
struct Idle {
    connection: http1::SendRequest<AnswerBody>,
    since: Instant,
}

/// How an endpoint may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// It takes calls.
    Active,
    /// It takes no new calls; those under way end by themselves.
    Draining,
    /// It is out for maintenance.
    Maintenance,
}

impl EndpointState {
    const fn number(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Draining => 1,
            Self::Maintenance => 2,
        }
    }
}

/// An endpoint as the directory has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Its id.
    pub id: Uuid,
    /// `http://host:port` or `https://host:port`; for plain HTTP with the path that stands before every path of the service.
    pub address: Uri,
    /// Its share of the calls against the others; at least 1.
    pub weight: u32,
    /// How it may be used.
    pub state: EndpointState,
}

/// Whom the door believes to be a provider, and how it proves itself there.
#[derive(Clone)]
pub struct Trust(pub Arc<ClientConfig>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

/// The limits of the way to providers.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamLimits {
    /// How long connecting, with encryption, may take.
    pub connect: Duration,
    /// After how many failures in a row an endpoint is left alone for a while.
    pub failures: u32,
    /// For how long at first; each time again it is twice as long.
    pub ejection: Duration,
    /// For how long at most.
    pub ejection_max: Duration,
    /// How long an endpoint from which nothing comes back must have had a call for its running out of time to be the endpoint's failure.
    pub silence: Duration,
    /// The largest set of headers of an answer, in bytes.
    pub header_bytes: u32,
    /// Repetitions allowed for each hundred calls of the last ten seconds, so that repeating does not finish off a service that is
    /// already down.
    pub retries_per_hundred: u64,
    /// Repetitions allowed beside these for each of those seconds, so that what is called seldom is repeated too.
    pub retries_per_second: u64,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            failures: 5,
            ejection: Duration::from_secs(1),
            ejection_max: Duration::from_mins(1),
            silence: Duration::from_secs(1),
            header_bytes: 16 * 1024,
            retries_per_hundred: 20,
            retries_per_second: 1,
        }
    }
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The service has no endpoint that takes calls, because of maintenance.
    #[error("the service is in maintenance")]
    Maintenance,
    /// No endpoint could be reached; nothing was sent.
    #[error("no endpoint can be reached")]
    Unreachable,
    /// It was sent, and no answer came: whether it was carried out is not known.
    #[error("the provider broke off")]
    BrokenOff,
    /// The time was over.
    #[error("the deadline has passed")]
    TimedOut {
        /// Whether the request may have been sent.
        sent: bool,
    },
}

/// The endpoints of one service.
pub struct Upstream {
    endpoints: Mutex<Arc<[Arc<Endpoint>]>>,
    destinations: Arc<Destinations>,
    trust: Option<Trust>,
    speech: Speech,
    limits: UpstreamLimits,
    turn: AtomicUsize,
    budget: Budget,
}

/// One endpoint.
pub struct Endpoint {
    id: Uuid,
    address: Uri,
    authority: Authority,
    scheme: Scheme,
    weight: AtomicUsize,
    state: AtomicU8,
    in_flight: AtomicUsize,
    /// Calls that came back whole.
    came_back: AtomicU64,
    health: Mutex<Health>,
    speech: Speech,
    connection: Mutex<Option<http2::SendRequest<AnswerBody>>>,
    /// Of HTTP/1.1; the one that was used last is at the end.
    idle: Mutex<Vec<Idle>>,
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Health {
    failures: u32,
    ejections: u32,
    until: Option<Instant>,
    /// Calls in a row, each too short to tell, from which nothing came back, and when the first of them began.
    short: u32,
    short_since: Option<Instant>,
}

/// A call at an endpoint, until it is dropped.
pub(crate) struct AtEndpoint {
    endpoint: Arc<Endpoint>,
    limits: UpstreamLimits,
    begun: Instant,
    /// How many calls had come back when it began.
    came_back: u64,
    /// A stream, which may say nothing for as long as it likes.
    is_stream: bool,
    /// The connection of HTTP/1.1 on which the answer comes; it is used again when the answer was read whole.
    connection: Mutex<Option<http1::SendRequest<AnswerBody>>>,
}

impl AtEndpoint {
    fn begin(endpoint: Arc<Endpoint>, limits: UpstreamLimits) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            begun: Instant::now(),
            came_back: endpoint.came_back.load(Ordering::Relaxed),
            endpoint,
            limits,
            is_stream: false,
            connection: Mutex::default(),
        }
    }

    /// The head of a stream's answer came, so the endpoint is no black hole. Whether it works is seen when the stream has ended.
    pub(crate) fn opened(&self) {
        let mut health = self.endpoint.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.short = 0;
        health.short_since = None;
    }

    /// The call came back whole.
    pub(crate) fn worked(&self) {
        self.finished();
        self.endpoint.came_back.fetch_add(1, Ordering::Relaxed);
        let mut health = self.endpoint.health.lock().unwrap_or_else(PoisonError::into_inner);
        if health.failures > 0 || health.ejections > 0 || health.short > 0 {
            *health = Health::default();
        }
    }

    /// The answer was read to its end: its connection can take another request. Says nothing of the endpoint's health.
    pub(crate) fn finished(&self) {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connection) = connection {
            self.endpoint.keep(connection);
        }
    }

    /// The endpoint failed, not the request: it broke off or answered what is no gRPC.
    pub(crate) fn failed(&self) {
        self.endpoint.failed(&self.limits, self.limits.failures);
    }

    /// The time was over. How much there was is the consumer's to say, and a slow method is no sick endpoint; one from which nothing
    /// at all came back for a while is: in the time of one call, or of many short ones in a row. A stream without so much as a head
    /// counts as a short one however long it was: some providers send the head with the first message, and have none yet.
    pub(crate) fn timed_out(&self) {
        if !self.is_silent() {
            return;
        }
        if self.begun.elapsed() >= self.limits.silence && !self.is_stream {
            self.fell_silent(self.limits.failures);
        } else if self.endpoint.short_in_vain(self.begun, &self.limits) {
            self.fell_silent(1);
        }
    }

    /// Whether nothing came back from the endpoint since the call began.
    fn is_silent(&self) -> bool {
        self.endpoint.came_back.load(Ordering::Relaxed) == self.came_back
    }

    /// Counts silence as a failure. One that is left alone for it is connected to anew: a connection on which nothing comes back may be
    /// dead without a word.
    fn fell_silent(&self, after: u32) {
        self.endpoint.failed(&self.limits, after);
        if self.endpoint.is_ejected() {
            self.endpoint.forget_connection();
        }
    }

    /// The call came back whole, with this status of gRPC. Whoever says that it is not available says it of itself, as 503 does over
    /// plain HTTP; every other status is about the request.
    pub(crate) fn answered(&self, status: i32) {
        match tonic::Code::from(status) {
            tonic::Code::Unavailable => {
                self.finished();
                self.failed();
            }
            // The provider watches the time too, and may be first to say that it is over.
            tonic::Code::DeadlineExceeded => {
                self.finished();
                // It said so itself, so it is no black hole; that its time was short says nothing, nor that a stream had no more to say.
                if !self.is_stream && self.is_silent() && self.begun.elapsed() >= self.limits.silence {
                    self.failed();
                }
            }
            _ => self.worked(),
        }
    }
}

impl fmt::Debug for AtEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtEndpoint")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Drop for AtEndpoint {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id)
            .field("address", &self.address)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    fn of(spec: &EndpointSpec, speech: Speech) -> Option<Self> {
        Some(Self {
            id: spec.id,
            authority: spec.address.authority()?.clone(),
            scheme: spec.address.scheme()?.clone(),
            address: spec.address.clone(),
            weight: AtomicUsize::new(usize::try_from(spec.weight.max(1)).unwrap_or(1)),
            state: AtomicU8::new(spec.state.number()),
            in_flight: AtomicUsize::new(0),
            came_back: AtomicU64::new(0),
            health: Mutex::default(),
            speech,
            connection: Mutex::default(),
            idle: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    /// Its id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it is left alone for a while, because it failed.
    pub fn is_ejected(&self) -> bool {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.until.is_some_and(|until| Instant::now() < until)
    }

    fn is(&self, state: EndpointState) -> bool {
        self.state.load(Ordering::Relaxed) == state.number()
    }

    fn failed(&self, limits: &UpstreamLimits, after: u32) {
        let now = Instant::now();
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        // What was under way when it was left alone says nothing new.
        if health.until.is_some_and(|until| now < until) {
            return;
        }
        health.failures += 1;
        // One that was left alone and has not worked since is left alone again at once: each try costs somebody a call.
        if health.ejections > 0 || health.failures >= after.max(1) {
            let times = 1_u32.checked_shl(health.ejections.min(16)).unwrap_or(u32::MAX);
            let pause = limits.ejection.saturating_mul(times).min(limits.ejection_max);
            health.until = Some(now + pause);
            health.ejections += 1;
            health.failures = 0;
            health.short = 0;
            health.short_since = None;
            tracing::warn!(endpoint = %self.id, pause_ms = pause.as_millis(), "endpoint is left alone for a while");
        }
    }

    /// Counts a call that was too short to tell, and says whether by now there were so many in a row, for so long, that they tell.
    fn short_in_vain(&self, begun: Instant, limits: &UpstreamLimits) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.short = health.short.saturating_add(1);
        let since = *health.short_since.get_or_insert(begun);
        health.short >= limits.failures.max(1).saturating_mul(SHORT_FOR_ONE) && since.elapsed() >= limits.silence
    }

    /// A connection: one that is there, or a new one.
    async fn connection(
        &self,
        destinations: &Destinations,
        trust: Option<&Trust>,
        limits: &UpstreamLimits,
    ) -> io::Result<Connection> {
        if let Some(there) = self.there() {
            return Ok(there);
        }
        // Of HTTP/2 one connection is enough, so one at a time connects; of HTTP/1.1 each call under way needs its own.
        let _turn = match self.speech {
            Speech::Http2 => Some(self.connecting.lock().await),
            Speech::Plain => None,
        };
        if let Some(there) = self.there() {
            return Ok(there);
        }
        let made = timeout(limits.connect, self.connect(destinations, trust, limits))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if let Connection::Two(made) = &made {
            *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
        }
        Ok(made)
    }

    fn there(&self) -> Option<Connection> {
        let held = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = held.as_ref().filter(|connection| !connection.is_closed()) {
            return Some(Connection::Two(connection.clone()));
        }
        drop(held);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|one| one.since.elapsed() < IDLE && !one.connection.is_closed());
        idle.pop().map(|one| Connection::One(one.connection))
    }

    /// Keeps a connection of HTTP/1.1 for the next request.
    fn keep(&self, connection: http1::SendRequest<AnswerBody>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MOST && !connection.is_closed() {
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Forgets every connection: what was wrong with one is most likely wrong with those that were made beside it.
    fn forget_connection(&self) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn connect(
        &self,
        destinations: &Destinations,
        trust: Option<&Trust>,
        limits: &UpstreamLimits,
    ) -> io::Result<Connection> {
        let encrypted = self.scheme == Scheme::HTTPS;
        let port = self.authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let stream = destinations.connect(host, port).await?;
        stream.set_nodelay(true)?;
        if !encrypted {
            return match self.speech {
                Speech::Http2 => handshake(TokioIo::new(stream), limits).await,
                Speech::Plain => handshake_one(TokioIo::new(stream), limits).await,
            };
        }
        let trust = trust.ok_or_else(|| io::Error::other("no authority for providers is configured"))?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&trust.0)).connect(name, stream).await?;
        let chosen = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if chosen || self.speech == Speech::Http2 {
            handshake(TokioIo::new(stream), limits).await
        } else {
            handshake_one(TokioIo::new(stream), limits).await
        }
    }
}

async fn handshake<I>(io: I, limits: &UpstreamLimits) -> io::Result<Connection>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(limits.header_bytes)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .handshake(io)
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(cause = %error, "connection to a provider ended");
        }
    });
    Ok(Connection::Two(sender))
}

async fn handshake_one<I>(io: I, limits: &UpstreamLimits) -> io::Result<Connection>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let buffer = usize::try_from(limits.header_bytes).unwrap_or(LEAST_BUFFER);
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(buffer.max(LEAST_BUFFER))
        .handshake(io)
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(cause = %error, "connection to a provider ended");
        }
    });
    Ok(Connection::One(sender))
}

/// How much may be repeated: what was called and repeated in the last seconds.
#[derive(Debug)]
struct Budget {
    begun: Instant,
    /// Those of the window in which anything was, oldest first.
    seconds: Mutex<VecDeque<Second>>,
}

#[derive(Debug)]
struct Second {
    /// How many seconds after the beginning.
    number: u64,
    calls: u64,
    retries: u64,
}

impl Budget {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            seconds: Mutex::default(),
        }
    }

    /// The seconds of the window, the present one last.
    fn window<T>(&self, of: impl FnOnce(&mut VecDeque<Second>) -> T) -> T {
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.begun.elapsed().as_secs();
        while seconds.front().is_some_and(|oldest| oldest.number + WINDOW <= number) {
            seconds.pop_front();
        }
        if seconds.back().is_none_or(|newest| newest.number < number) {
            seconds.push_back(Second {
                number,
                calls: 0,
                retries: 0,
            });
        }
        of(&mut seconds)
    }

    /// A call came.
    fn called(&self) {
        self.window(|seconds| {
            if let Some(present) = seconds.back_mut() {
                present.calls += 1;
            }
        });
    }

    /// Takes one repetition; false if there is none left.
    fn take(&self, limits: &UpstreamLimits) -> bool {
        self.window(|seconds| {
            let calls: u64 = seconds.iter().map(|second| second.calls).sum();
            let retries: u64 = seconds.iter().map(|second| second.retries).sum();
            let allowed = calls * limits.retries_per_hundred / 100 + limits.retries_per_second * WINDOW;
            match seconds.back_mut() {
                Some(present) if retries < allowed => {
                    present.retries += 1;
                    true
                }
                _ => false,
            }
        })
    }
}

impl Upstream {
    /// A service of gRPC without endpoints yet, which may lie at these destinations. Without `trust` only `http` can be reached.
    pub fn new(destinations: Arc<Destinations>, trust: Option<Trust>, limits: UpstreamLimits) -> Self {
        Self::speaking(Speech::Http2, destinations, trust, limits)
    }

    /// A service of plain HTTP without endpoints yet, which may lie at these destinations: HTTP/1.1, over TLS HTTP/2 with an
    /// endpoint that prefers it. Without `trust` only `http` can be reached.
    pub fn plain(destinations: Arc<Destinations>, trust: Option<Trust>, limits: UpstreamLimits) -> Self {
        let trust = trust.map(|Trust(config)| {
            let mut config = ClientConfig::clone(&config);
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Trust(Arc::new(config))
        });
        Self::speaking(Speech::Plain, destinations, trust, limits)
    }

    fn speaking(speech: Speech, destinations: Arc<Destinations>, trust: Option<Trust>, limits: UpstreamLimits) -> Self {
        Self {
            endpoints: Mutex::new(Arc::new([])),
            destinations,
            trust,
            speech,
            limits,
            turn: AtomicUsize::new(0),
            budget: Budget::new(),
        }
    }

    /// Takes the endpoints as they are now. Those that stay keep their connections and what is known of their health; calls
    /// under way at those that go end by themselves.
    pub fn set(&self, specs: &[EndpointSpec]) {
        let mut held = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let next = specs
            .iter()
            .filter_map(|spec| {
                let known = held
                    .iter()
                    .find(|endpoint| endpoint.id == spec.id && endpoint.address == spec.address);
                let Some(known) = known else {
                    return Endpoint::of(spec, self.speech).map(Arc::new);
                };
                known.state.store(spec.state.number(), Ordering::Relaxed);
                let weight = usize::try_from(spec.weight.max(1)).unwrap_or(1);
                known.weight.store(weight, Ordering::Relaxed);
                Some(Arc::clone(known))
            })
            .collect();
        *held = next;
    }

    /// The endpoints.
    pub fn endpoints(&self) -> Arc<[Arc<Endpoint>]> {
        Arc::clone(&self.endpoints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The endpoint with the least work for its weight, of those that take calls, are not left alone and were not tried. If all
    /// are left alone, one of them all the same: better a try than a certain refusal.
    fn pick(&self, tried: &[Uuid]) -> Result<Arc<Endpoint>, UpstreamError> {
        let endpoints = self.endpoints();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut best: Option<(bool, usize, &Arc<Endpoint>)> = None;
        for step in 0..endpoints.len() {
            let Some(endpoint) = endpoints.get((first + step) % endpoints.len()) else {
                continue;
            };
            if !endpoint.is(EndpointState::Active) || tried.contains(&endpoint.id) {
                continue;
            }
            let load = (endpoint.in_flight() + 1) * 1000 / endpoint.weight.load(Ordering::Relaxed).max(1);
            let candidate = (endpoint.is_ejected(), load, endpoint);
            if best.is_none_or(|(ejected, load, _)| (candidate.0, candidate.1) < (ejected, load)) {
                best = Some(candidate);
            }
        }
        match best {
            Some((_, _, endpoint)) => Ok(Arc::clone(endpoint)),
            None if tried.is_empty() && endpoints.iter().any(|one| one.is(EndpointState::Maintenance)) => {
                Err(UpstreamError::Maintenance)
            }
            None => Err(UpstreamError::Unreachable),
        }
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// What was not sent is sent to another endpoint, whatever it is. What may have been sent is repeated only if `replay` holds
    /// its body, which says that the method may be repeated.
    pub(crate) async fn send(
        &self,
        request: Request<AnswerBody>,
        replay: Option<Bytes>,
        deadline: Instant,
    ) -> Result<(Response<Incoming>, AtEndpoint), UpstreamError> {
        self.carry(request, replay, deadline, false).await
    }

    /// The same with a stream, which is never repeated.
    pub(crate) async fn send_stream(
        &self,
        request: Request<AnswerBody>,
        deadline: Instant,
    ) -> Result<(Response<Incoming>, AtEndpoint), UpstreamError> {
        self.carry(request, None, deadline, true).await
    }

    async fn carry(
        &self,
        request: Request<AnswerBody>,
        replay: Option<Bytes>,
        deadline: Instant,
        is_stream: bool,
    ) -> Result<(Response<Incoming>, AtEndpoint), UpstreamError> {
        const ATTEMPTS: usize = 3;
        self.budget.called();
        let mut tried = Vec::new();
        let mut sent = false;
        let mut request = request;
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        loop {
            let endpoint = match self.pick(&tried) {
                Ok(endpoint) => endpoint,
                Err(UpstreamError::Unreachable) if sent => return Err(UpstreamError::BrokenOff),
                Err(error) => return Err(error),
            };
            tried.push(endpoint.id);
            let last = tried.len() >= ATTEMPTS;
            let mut at = AtEndpoint::begin(Arc::clone(&endpoint), self.limits);
            at.is_stream = is_stream;
            let connecting = endpoint.connection(&self.destinations, self.trust.as_ref(), &self.limits);
            let mut connection = match timeout_at(deadline, connecting).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => {
                    if error.kind() == io::ErrorKind::PermissionDenied {
                        tracing::warn!(endpoint = %endpoint.id, cause = %error, "endpoint lies where none may lie");
                    } else {
                        tracing::debug!(endpoint = %endpoint.id, cause = %error, "endpoint cannot be reached");
                    }
                    // Nobody is there: it makes no sense to find that out several times.
                    endpoint.failed(&self.limits, 1);
                    if last {
                        return Err(if sent {
                            UpstreamError::BrokenOff
                        } else {
                            UpstreamError::Unreachable
                        });
                    }
                    continue;
                }
                Err(_) => {
                    at.timed_out();
                    return Err(UpstreamError::TimedOut { sent });
                }
            };
            if let Err(error) = point_at(&mut request, &path, &endpoint, &connection) {
                tracing::warn!(endpoint = %endpoint.id, cause = %error, "a request cannot be addressed to an endpoint");
                return Err(UpstreamError::Unreachable);
            }
            match timeout_at(deadline, connection.ready()).await {
                Ok(Ok(())) => {}
                // It had just ended, which says nothing against the endpoint: it is asked again.
                Ok(Err(_)) => {
                    endpoint.forget_connection();
                    if last {
                        return Err(if sent {
                            UpstreamError::BrokenOff
                        } else {
                            UpstreamError::Unreachable
                        });
                    }
                    forgive(&mut tried);
                    continue;
                }
                Err(_) => {
                    at.timed_out();
                    return Err(UpstreamError::TimedOut { sent });
                }
            }
            say_what_is_left(&mut request, deadline);
            // For a second try, in case that this one is lost; the body then comes from `replay`.
            let head = replay.is_some().then(|| copy_of_head(&request));
            let Ok(answered) = timeout_at(deadline, connection.try_send(request)).await else {
                at.timed_out();
                return Err(UpstreamError::TimedOut { sent: true });
            };
            let mut error = match answered {
                Ok(response) => {
                    if let Connection::One(connection) = connection {
                        *at.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
                    }
                    return Ok((response, at));
                }
                Err(error) => error,
            };
            tracing::debug!(endpoint = %endpoint.id, cause = %error.error(), "endpoint broke off");
            if let Some(unsent) = error.take_message() {
                endpoint.forget_connection();
                if last {
                    return Err(if sent {
                        UpstreamError::BrokenOff
                    } else {
                        UpstreamError::Unreachable
                    });
                }
                forgive(&mut tried);
                request = unsent;
                continue;
            }
            at.failed();
            sent = true;
            let (Some(head), Some(body)) = (head, &replay) else {
                return Err(UpstreamError::BrokenOff);
            };
            if last || !self.budget.take(&self.limits) {
                return Err(UpstreamError::BrokenOff);
            }
            request = head.map(|()| AnswerBody::of(body.clone()));
        }
    }
}

/// Tells a provider of gRPC how much time is left now: connecting, and tries that came to nothing, took theirs.
fn say_what_is_left(request: &mut Request<AnswerBody>, deadline: Instant) {
    if let Some(said) = request.headers_mut().get_mut(TIMEOUT) {
        *said = deadline::remaining(deadline);
    }
}

/// Lets the endpoint that was tried last be tried again; the attempt counts.
fn forgive(tried: &mut [Uuid]) {
    if let Some(last) = tried.last_mut() {
        *last = Uuid::nil();
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("endpoints", &self.endpoints())
            .finish_non_exhaustive()
    }
}

/// Addresses a request to an endpoint in the form of the connection's HTTP; the endpoint's own path goes before `path`.
///
/// # Errors
/// If both together are too long for an address: then nothing may be sent, least of all to another path.
fn point_at(
    request: &mut Request<AnswerBody>,
    path: &PathAndQuery,
    endpoint: &Endpoint,
    connection: &Connection,
) -> Result<(), http::Error> {
    let base = endpoint.address.path().trim_end_matches('/');
    let whole = if base.is_empty() {
        path.clone()
    } else {
        PathAndQuery::try_from(format!("{base}{path}"))?
    };
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(whole);
    match connection {
        Connection::One(_) => {
            *request.version_mut() = Version::HTTP_11;
            let host = HeaderValue::from_str(endpoint.authority.as_str())?;
            request.headers_mut().insert(HOST, host);
        }
        Connection::Two(_) => {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(HOST);
            parts.scheme = Some(endpoint.scheme.clone());
            parts.authority = Some(endpoint.authority.clone());
        }
    }
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

fn copy_of_head(request: &Request<AnswerBody>) -> Request<()> {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.version_mut() = request.version();
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(id: u128, weight: u32, state: EndpointState) -> EndpointSpec {
        EndpointSpec {
            id: Uuid::from_u128(id),
            address: Uri::from_static("http://127.0.0.1:1"),
            weight,
            state,
        }
    }

    fn upstream() -> Upstream {
        Upstream::new(Arc::new(Destinations::anywhere()), None, UpstreamLimits::default())
    }

    #[test]
    fn the_least_loaded_endpoint_for_its_weight_is_taken_and_maintenance_is_told() {
        let upstream = upstream();
        assert_eq!(upstream.pick(&[]).unwrap_err(), UpstreamError::Unreachable);
        upstream.set(&[spec(1, 1, EndpointState::Maintenance)]);
        assert_eq!(upstream.pick(&[]).unwrap_err(), UpstreamError::Maintenance);
        upstream.set(&[
            spec(1, 1, EndpointState::Active),
            spec(2, 3, EndpointState::Active),
            spec(3, 9, EndpointState::Draining),
        ]);
        let mut counts = [0; 4];
        let mut held = Vec::new();
        for _ in 0..40 {
            let endpoint = upstream.pick(&[]).unwrap();
            counts[usize::try_from(endpoint.id().as_u128()).unwrap()] += 1;
            held.push(AtEndpoint::begin(endpoint, UpstreamLimits::default()));
        }
        assert_eq!(counts, [0, 10, 30, 0]);
        drop(held);
        assert!(upstream.endpoints().iter().all(|endpoint| endpoint.in_flight() == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_fails_is_left_alone_for_growing_times_and_comes_back() {
        let upstream = upstream();
        upstream.set(&[spec(1, 1, EndpointState::Active), spec(2, 1, EndpointState::Active)]);
        let endpoints = upstream.endpoints();
        let first = &endpoints[0];
        let at = AtEndpoint::begin(Arc::clone(first), UpstreamLimits::default());
        for _ in 0..4 {
            at.failed();
        }
        assert!(!first.is_ejected());
        at.failed();
        assert!(first.is_ejected());
        for _ in 0..4 {
            assert_eq!(upstream.pick(&[]).unwrap().id(), Uuid::from_u128(2));
        }
        // All are left alone: one is tried all the same.
        assert_eq!(upstream.pick(&[Uuid::from_u128(2)]).unwrap().id(), Uuid::from_u128(1));
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert!(!first.is_ejected());
        for _ in 0..5 {
            at.failed();
        }
        tokio::time::advance(Duration::from_millis(1999)).await;
        assert!(first.is_ejected());
        tokio::time::advance(Duration::from_millis(2)).await;
        at.worked();
        assert!(!first.is_ejected());
    }

    #[tokio::test(start_paused = true)]
    async fn running_out_of_time_is_a_failure_of_an_endpoint_from_which_nothing_came_back_for_a_while() {
        let upstream = upstream();
        upstream.set(&[spec(1, 1, EndpointState::Active)]);
        let endpoints = upstream.endpoints();
        let endpoint = &endpoints[0];
        let call = || AtEndpoint::begin(Arc::clone(endpoint), UpstreamLimits::default());
        // However many consumers leave too little time, while others come back, or it says itself that the time is over.
        for number in 0..60 {
            let short = call();
            tokio::time::advance(Duration::from_millis(900)).await;
            short.answered(4);
            short.timed_out();
            if number % 19 == 18 {
                call().answered(5);
            }
        }
        assert!(!endpoint.is_ejected());
        call().answered(0);
        // However slow a method is, while others come back.
        for _ in 0..20 {
            let (slow, other) = (call(), call());
            tokio::time::advance(Duration::from_secs(30)).await;
            other.answered(5);
            slow.timed_out();
        }
        assert!(!endpoint.is_ejected());
        // Many in a row from which nothing came back tell, however short each was; a burst of them at once does not.
        let burst: Vec<AtEndpoint> = (0..40).map(|_| call()).collect();
        tokio::time::advance(Duration::from_millis(100)).await;
        for call in &burst {
            call.timed_out();
        }
        assert!(!endpoint.is_ejected());
        call().answered(0);
        for number in 0..20 {
            assert!(!endpoint.is_ejected(), "{number}");
            let short = call();
            tokio::time::advance(Duration::from_millis(100)).await;
            short.timed_out();
        }
        assert!(endpoint.is_ejected());
        tokio::time::advance(Duration::from_millis(1001)).await;
        call().answered(0);
        let hung: Vec<AtEndpoint> = (0..5).map(|_| call()).collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        for (number, call) in hung.iter().enumerate() {
            assert!(!endpoint.is_ejected(), "{number}");
            call.timed_out();
        }
        assert!(endpoint.is_ejected());
        // It is tried again, and not five times before it is known again; then for longer, however many were under way.
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert!(!endpoint.is_ejected());
        for call in &hung {
            call.timed_out();
        }
        tokio::time::advance(Duration::from_millis(1999)).await;
        assert!(endpoint.is_ejected());
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(!endpoint.is_ejected());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_says_nothing_is_no_failure_and_many_without_a_head_are() {
        let upstream = upstream();
        upstream.set(&[spec(1, 1, EndpointState::Active)]);
        let endpoints = upstream.endpoints();
        let endpoint = &endpoints[0];
        let stream = || {
            let mut at = AtEndpoint::begin(Arc::clone(endpoint), UpstreamLimits::default());
            at.is_stream = true;
            at
        };
        // However long it is silent, whoever says that its time is over, and whatever else is without a head meanwhile.
        for number in 0..60 {
            let (silent, headless) = (stream(), stream());
            silent.opened();
            tokio::time::advance(Duration::from_secs(30)).await;
            silent.answered(4);
            headless.timed_out();
            assert!(!endpoint.is_ejected(), "{number}");
        }
        stream().opened();
        // One that is open there keeps no black hole from being found by the calls of others.
        let open = stream();
        open.opened();
        let calls: Vec<AtEndpoint> = (0..5)
            .map(|_| AtEndpoint::begin(Arc::clone(endpoint), UpstreamLimits::default()))
            .collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        for call in &calls {
            call.timed_out();
        }
        assert!(endpoint.is_ejected());
        tokio::time::advance(Duration::from_millis(1001)).await;
        open.answered(0);
        // Nor does one have to be called otherwise than by streams.
        for number in 0..20 {
            assert!(!endpoint.is_ejected(), "{number}");
            let headless = stream();
            tokio::time::advance(Duration::from_secs(30)).await;
            headless.timed_out();
        }
        assert!(endpoint.is_ejected());
    }

    #[test]
    fn whoever_says_that_it_is_not_available_says_it_of_itself_and_every_other_status_is_about_the_request() {
        for status in 0..=16 {
            let upstream = upstream();
            upstream.set(&[spec(1, 1, EndpointState::Active)]);
            let endpoints = upstream.endpoints();
            let at = AtEndpoint::begin(Arc::clone(&endpoints[0]), UpstreamLimits::default());
            for _ in 0..5 {
                at.answered(status);
            }
            assert_eq!(endpoints[0].is_ejected(), status == 14, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_of_repetitions_is_that_of_the_last_seconds() {
        let limits = UpstreamLimits::default();
        let budget = Budget::new();
        let taken = || (0..500).filter(|_| budget.take(&limits)).count();
        assert_eq!(taken(), 10, "what is called seldom is repeated too");
        assert_eq!(taken(), 0);
        for _ in 0..1000 {
            budget.called();
        }
        assert_eq!(taken(), 200);
        // What was called before says nothing of now, nor what was repeated.
        for second in 0..30 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(taken(), if second % 10 == 9 { 10 } else { 0 }, "{second}");
        }
        // An outage after a good day: a fifth of the last seconds, not of the day.
        for _ in 0..100_000 {
            budget.called();
        }
        tokio::time::advance(Duration::from_mins(1)).await;
        for _ in 0..100 {
            budget.called();
        }
        assert_eq!(taken(), 30);
        assert!(budget.seconds.lock().unwrap().len() <= 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_is_told_how_much_time_is_left_by_now() {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut request = Request::new(AnswerBody::of(Bytes::new()));
        // Who was not told of a deadline, as over plain HTTP, is not now.
        say_what_is_left(&mut request, deadline);
        assert!(request.headers().is_empty());
        request.headers_mut().insert(TIMEOUT, deadline::remaining(deadline));
        tokio::time::advance(Duration::from_millis(7500)).await;
        let mut again = copy_of_head(&request).map(|()| AnswerBody::of(Bytes::new()));
        say_what_is_left(&mut again, deadline);
        assert_eq!(
            (
                request.headers()[TIMEOUT].as_bytes(),
                again.headers()[TIMEOUT].as_bytes()
            ),
            (&b"10000m"[..], &b"2500m"[..])
        );
    }
}
