//! Connections: accepted, encrypted, served, ended.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Body;
use futures::FutureExt as _;
use http::{Extensions, Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use opentelemetry::metrics::{Counter, Meter, UpDownCounter};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::{Connected, TcpConnectInfo, TlsConnectInfo};
use tower::ServiceExt as _;

use super::delivery::{Calls, Delivered};
use super::limits::Draining;
use super::tls::Tls;
use super::{Ending, abort_all};
use crate::config::{KeepaliveConfig, LimitsConfig};

/// The pause after the operating system could not accept, most likely for want of file descriptors: some will be free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The length of HTTP/2's connection preface; until then a connection may turn out to be either protocol.
const PREFACE: usize = 24;

/// hyper refuses a smaller buffer for the head of an HTTP/1 request.
const LEAST_BUFFER: usize = 8192;

/// What a client may send on one HTTP/2 connection, and on one of its streams, before it is read.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;

/// The most that waits in the transport for one stream to be sent, in bytes.
const SEND_BUFFER: usize = 256 * 1024;

/// Streams that a client may reset before they were taken up, and that the transport may reset for errors of the client,
/// before the connection is closed (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
const ERROR_RESETS: usize = 128;

/// SHA-256 over the DER form of the certificate that the client of a request's connection has shown, and that one of
/// `server.tls.client_ca` has issued; none if it has shown none.
pub fn client_certificate(extensions: &Extensions) -> Option<[u8; 32]> {
    let certificates = extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.peer_certs()?;
    let hash = digest(&SHA256, certificates.first()?.as_ref());
    hash.as_ref().try_into().ok()
}

/// Runs a call as far as it comes without waiting, and only then in a task of its own.
///
/// What is refused needs nothing but its header fields, and is over on the spot: of a hundred thousand calls at once that are
/// beyond a limit none becomes a task which waits, with all that belongs to it, until it is refused.
#[derive(Clone, Copy, Debug)]
struct OnTheSpot;

impl<F> Executor<F> for OnTheSpot
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        let mut call = Box::pin(call);
        // Nobody is woken by this look: the task looks again, first of all. A call that panics is given up, as a task that does, and
        // no other of its connection; where it was, the panic hook has said.
        let looked_at = catch_unwind(AssertUnwindSafe(|| call.as_mut().now_or_never()));
        if matches!(looked_at, Ok(None)) {
            tokio::spawn(call);
        }
    }
}

/// The connections of one server.
pub(super) struct Connections {
    http: Builder<OnTheSpot>,
    tasks: TaskTracker,
    permits: Arc<Semaphore>,
    settings: Settings,
    open: UpDownCounter<i64>,
    handshakes_failed: Counter<u64>,
}

/// What the task of one connection needs to know.
#[derive(Clone)]
struct Settings {
    handshake: Duration,
    age: Option<Duration>,
    idle: Option<Duration>,
    unread: Option<Duration>,
    /// How long a connection without calls may take to say goodbye.
    goodbye: Duration,
    draining: Draining,
    abort: CancellationToken,
}

impl Connections {
    pub(super) fn new(
        limits: &LimitsConfig,
        keepalive: &KeepaliveConfig,
        permits: Arc<Semaphore>,
        ending: &Ending,
        meter: &Meter,
    ) -> Self {
        let mut http = Builder::new(OnTheSpot);
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(keepalive.handshake.get())
            .max_buf_size((limits.header_bytes as usize).max(LEAST_BUFFER));
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(keepalive.interval.non_zero())
            .keep_alive_timeout(keepalive.timeout.get())
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .max_local_error_reset_streams(ERROR_RESETS)
            .max_concurrent_streams(limits.concurrent_streams)
            .max_header_list_size(limits.header_bytes);
        Self {
            http,
            tasks: TaskTracker::new(),
            permits,
            settings: Settings {
                handshake: keepalive.handshake.get(),
                age: keepalive.connection_age.non_zero(),
                idle: keepalive.idle.non_zero(),
                unread: keepalive.unread.non_zero(),
                goodbye: keepalive.timeout.get(),
                draining: ending.draining.clone(),
                abort: ending.abort.clone(),
            },
            open: meter
                .i64_up_down_counter("egov.connections.open")
                .with_description("open connections")
                .build(),
            handshakes_failed: meter
                .u64_counter("egov.tls.handshakes.failed")
                .with_description("connections that ended before they were encrypted")
                .build(),
        }
    }

    /// Accepts connections and serves them with `router`, until `stop` is done. The port is closed then.
    pub(super) async fn accept(
        &self,
        listener: TcpListener,
        router: Router,
        tls: Option<Arc<Tls>>,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = pin!(stop);
        loop {
            let next = async {
                // Before accepting: who cannot be served now waits in the system's queue.
                let permit = Arc::clone(&self.permits).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = &mut stop => break,
                next = next => next,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(cause = %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let connection = Connection {
                http: self.http.clone(),
                router: router.clone(),
                settings: self.settings.clone(),
            };
            let tls = tls.clone();
            let open = self.open.clone();
            let failed = self.handshakes_failed.clone();
            self.tasks.spawn(async move {
                open.add(1, &[]);
                connection.run(stream, tls.as_deref(), &failed).await;
                open.add(-1, &[]);
                drop(permit);
            });
        }
        self.tasks.close();
    }

    /// Waits until the last connection has ended.
    pub(super) async fn all_ended(&self) {
        self.tasks.wait().await;
    }

    /// Cuts what is left; says how many connections that were.
    pub(super) async fn abort(&self, abort: &CancellationToken) -> usize {
        abort_all(&self.tasks, abort).await
    }
}

/// One connection.
struct Connection {
    http: Builder<OnTheSpot>,
    router: Router,
    settings: Settings,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<&Tls>, failed: &Counter<u64>) {
        // Small answers shall not wait for an acknowledgement. Without it the connection is only slower.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            self.serve(stream).await;
            return;
        };
        // In this task, so that a client that takes its time holds up nobody else.
        let handshake = timeout(self.settings.handshake, tls.acceptor().accept(stream));
        let encrypted = tokio::select! {
            encrypted = handshake => encrypted,
            () = self.settings.draining.token().cancelled() => return,
        };
        match encrypted {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => {
                failed.add(1, &[]);
                tracing::debug!(cause = %error, "handshake failed");
            }
            Err(_) => {
                failed.add(1, &[]);
                tracing::debug!("handshake took too long");
            }
        }
    }

    async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let Settings {
            handshake,
            age,
            idle,
            unread,
            goodbye,
            draining,
            abort,
        } = self.settings;
        let peer = stream.connect_info();
        let heard = Arc::new(AtomicUsize::new(0));
        let calls = Arc::new(Calls::default());
        let router = self.router;
        let answer = {
            let (heard, calls, draining) = (Arc::clone(&heard), Arc::clone(&calls), draining.clone());
            service_fn(move |mut request: Request<Incoming>| {
                heard.store(PREFACE, Ordering::Relaxed);
                // Address and certificates of the client, where tonic's own server puts them.
                request.extensions_mut().insert(peer.clone());
                request.extensions_mut().insert(draining.clone());
                let call = calls.begin();
                let answer = router.clone().oneshot(request.map(Body::new));
                async move {
                    let answer: Response<Body> = answer.await?;
                    Ok::<_, Infallible>(answer.map(|body| Delivered::new(body, call)))
                }
            })
        };
        let io = TokioIo::new(Listening {
            inner: stream,
            heard: Arc::clone(&heard),
        });
        let connection = self.http.serve_connection(io, answer);
        let mut connection = pin!(connection);

        let mut first_words = pin!(async {
            tokio::time::sleep(handshake).await;
            if heard.load(Ordering::Relaxed) >= PREFACE {
                pending::<()>().await;
            }
        });
        let mut old = pin!(after(age, tokio::time::sleep));
        let mut idle = pin!(after(idle, |period| calls.idle(period)));
        let mut unread = pin!(after(unread, |period| calls.unread(period)));
        let mut ending = false;
        // When a connection that was asked to end for want of calls must have said goodbye.
        let mut last: Option<Instant> = None;
        loop {
            tokio::select! {
                // What has come is read before it is judged that nothing came: on a machine that is behind, the words of a client and the
                // end of its time are found at once.
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(cause = %error, "connection ended");
                    }
                    break;
                }
                () = draining.token().cancelled(), if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = &mut old, if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = &mut idle, if !ending => {
                    ending = true;
                    last = Some(Instant::now() + goodbye);
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(last.unwrap_or_else(Instant::now)), if last.is_some() => {
                    // A call that came with the goodbye is still answered.
                    if calls.none_under_way() {
                        break;
                    }
                    last = Some(Instant::now() + goodbye);
                }
                () = &mut unread => {
                    tracing::debug!("an answer is not taken");
                    break;
                }
                () = &mut first_words => {
                    tracing::debug!("no request came");
                    break;
                }
                // hyper drops the calls of a connection that is dropped.
                () = abort.cancelled() => break,
            }
        }
    }
}

/// What happens after a period; never without one.
async fn after<F: Future<Output = ()>>(period: Option<Duration>, then: impl FnOnce(Duration) -> F) {
    match period {
        Some(period) => then(period).await,
        None => pending().await,
    }
}

/// A stream that counts what it hears from the client.
struct Listening<S> {
    inner: S,
    heard: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let more = buffer.filled().len() - before;
        if self.heard.load(Ordering::Relaxed) < PREFACE {
            self.heard.fetch_add(more, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }
}
