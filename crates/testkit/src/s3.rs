//! An S3-compatible server for tests, in this process and on loopback alone: `s3s` with `s3s-fs`, over a folder.
//!
//! It stands in for what a province would run. Two things are added to it: PUTs follow one another, because `s3s-fs` looks
//! whether an object exists and then writes it, which is not one step there as it is with S3; and its failures can be
//! asked for.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

/// The bucket that is there.
pub const BUCKET: &str = "egov-files";
/// The id of its access key.
pub const ACCESS_KEY: &str = "test-access-key";
/// The secret of its access key.
pub const SECRET_KEY: &str = "test-secret-key";
/// The region of which requests are signed.
pub const REGION: &str = "vn-test-1";

/// How the server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Answers,
    /// It takes requests and never answers them.
    Hangs,
    /// It breaks the connection instead of answering.
    Breaks,
}

/// What every connection shares.
struct Shared {
    service: S3Service,
    puts: Mutex<()>,
    mood: watch::Receiver<Mood>,
    requests: AtomicU64,
}

/// A running server.
pub struct S3Server {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl std::fmt::Debug for S3Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Makes a stream of a connection: the connection itself, or TLS over it.
pub trait Wrap: Send + Sync + 'static {
    /// What requests come over.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Wraps a connection.
    fn wrap(&self, connection: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Connections as they are.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Wrap for Plain {
    type Stream = TcpStream;

    async fn wrap(&self, connection: TcpStream) -> io::Result<TcpStream> {
        Ok(connection)
    }
}

impl S3Server {
    /// Starts it over a folder, on a free port.
    ///
    /// # Errors
    /// If the folder cannot be used or no port is free.
    pub async fn start(folder: &Path) -> io::Result<Self> {
        Self::start_at(folder, SocketAddr::from(([127, 0, 0, 1], 0)), Plain).await
    }

    /// Starts it over a folder that may have been served before, at this address, over wrapped connections.
    ///
    /// # Errors
    /// If the folder cannot be used or the address is taken.
    pub async fn start_at(folder: &Path, address: SocketAddr, wrap: impl Wrap) -> io::Result<Self> {
        // A bucket of s3s-fs is a folder.
        std::fs::create_dir_all(folder.join(BUCKET))?;
        let files = FileSystem::new(folder).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let (mood, told) = watch::channel(Mood::Answers);
        let shared = Arc::new(Shared {
            service: service.build(),
            puts: Mutex::new(()),
            mood: told,
            requests: AtomicU64::new(0),
        });
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), Arc::new(wrap)));
        Ok(Self {
            address,
            mood,
            shared,
            accepting,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a client writes it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes it behave so from now on.
    pub fn behave(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How many requests came so far.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Stops it: no connection is taken any more, and those that are open break.
    pub async fn stop(mut self) {
        self.behave(Mood::Breaks);
        self.accepting.abort();
        // It was aborted: that is how it ends.
        let _ = (&mut self.accepting).await;
    }
}

async fn accept<W: Wrap>(listener: TcpListener, shared: Arc<Shared>, wrap: Arc<W>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        let (shared, wrap) = (Arc::clone(&shared), Arc::clone(&wrap));
        // Dropped with this task, and with it every connection.
        connections.spawn(async move {
            // An answer in two writes would wait for the acknowledgement of the first: 40 ms each.
            let _ = connection.set_nodelay(true);
            let Ok(stream) = wrap.wrap(connection).await else {
                return;
            };
            let answering = service_fn(move |request| answer(Arc::clone(&shared), request));
            // A connection that breaks is the client's affair.
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answering)
                .await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<hyper::Response<s3s::Body>, io::Error> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let mut mood = shared.mood.clone();
    let now = *mood.borrow_and_update();
    match now {
        Mood::Answers => {}
        Mood::Breaks => return Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        Mood::Hangs => {
            // Until it behaves otherwise; the client has given up by then.
            let _ = mood.changed().await;
            return Err(io::Error::from(io::ErrorKind::ConnectionReset));
        }
    }
    let put = if *request.method() == Method::PUT {
        Some(shared.puts.lock().await)
    } else {
        None
    };
    let answered = hyper::service::Service::call(&shared.service, request).await;
    drop(put);
    answered.map_err(|error| io::Error::other(format!("{error:?}")))
}
