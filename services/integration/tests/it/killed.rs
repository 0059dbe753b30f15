//! The door as a process of its own that is killed (SIGKILL) between record, forward and answer, and started anew on the same folder
//! and database. Callers, the provider and what carries the bytes between callers and the door live on in the process of the test.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use egov_auth::CallerKind;
use egov_integration::{MIGRATOR, SERVICE};
use egov_keyring::Keyring;
use egov_ledger::{Promise, Receipt};
use egov_proto::egov::integration::v1::GetExchangeReceiptRequest;
use egov_testkit::TestDatabase;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::door::{Answer, CHANGE, CHAT, Person, agree, document, echo, granted, person, verified};
use crate::support::{CONSUMER, PARTNER, PROVIDER, Settings, Stack, compile_contracts, party, reason};

/// What the process is told: the addresses of the database, the folder of the keyring and that of the journal.
const TOLD: &str = "EGOV_TEST_DOOR_THAT_IS_KILLED";

/// For what must come: long, since this machine may have other things to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// Calls of one message that are under way at a kill, and with them one stream.
const CALLS: usize = 3;
const UNDER_WAY: usize = CALLS + 1;

/// Why a door that has just begun refuses: it does not know the agreement yet, or the endpoint.
const NOT_YET: [&str; 3] = ["AGREEMENT_MISSING", "PERMITS_STALE", "PROVIDER_UNAVAILABLE"];

/// Not a test by itself: the process that is killed. It compiles the contracts and serves when it gets a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run as a child process by the test below, which kills it"]
async fn serves_until_it_is_killed() {
    let Some(told) = std::env::var_os(TOLD) else { return };
    let (urls, keys, journal): ([String; 3], PathBuf, PathBuf) = serde_json::from_str(told.to_str().unwrap()).unwrap();
    compile_contracts();
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    if go.is_empty() {
        return;
    }
    let [owner, app, superuser] = urls;
    let database = TestDatabase::made_elsewhere(owner, app, superuser);
    let keyring = Arc::new(Keyring::open(&keys, &egov_testkit::clock()).unwrap());
    let stack = Box::pin(Stack::with_keys(database, keyring, recording_in(journal))).await;
    let mut claims = stack.tokens.claims(CallerKind::System, Uuid::from_u128(0xc1));
    claims.client_id = Some(format!("client-{CONSUMER}"));
    let ready = json!({
        "door": stack.door.trim_start_matches("http://"),
        "token": stack.tokens.sign(&claims),
    });
    // What libtest has written before does not end with a new line.
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{ready}").unwrap();
    out.flush().unwrap();
    drop(out);
    std::thread::spawn(|| {
        // It never outlives the test.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    std::future::pending::<()>().await;
}

/// An instance whose door records in this folder, which stays.
fn recording_in(journal: PathBuf) -> Settings {
    Settings {
        journal: Some(Arc::new(journal)),
        ..Settings::default()
    }
}

/// A process of the door, which waits until it is told to serve.
struct Process {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn prepared(told: &Value) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "killed::serves_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(TOLD, told.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            commands: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Lets it serve: where its door listens, and a token for it.
    fn serve(&mut self) -> (String, String) {
        writeln!(self.commands, "serve").unwrap();
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the process has ended");
            // libtest writes lines of its own.
            if line.starts_with('{') {
                let ready: Value = serde_json::from_str(&line).unwrap();
                let word = |name: &str| ready[name].as_str().unwrap().to_owned();
                return (word("door"), word("token"));
            }
        }
    }

    /// Asks for it to be stopped (SIGSTOP).
    fn stop(&self) {
        let told = Command::new("kill")
            .args(["-STOP", &self.child.id().to_string()])
            .status();
        assert!(told.unwrap().success());
    }

    /// Whether none of its threads runs any more.
    fn is_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        threads.map(Result::unwrap).all(|thread| {
            let status = std::fs::read_to_string(thread.path().join("status"));
            status.is_ok_and(|status| status.contains("State:\tT"))
        })
    }

    /// SIGKILL: nothing of it runs any more, and it has said nothing before.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the provider does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// It is connected to, and reads nothing.
    Absent,
    /// It reads requests to their end and answers none, until it answers.
    Working,
    /// It answers with what it gets.
    Answering,
}

/// The provider, and what it has seen.
struct Provider {
    mood: watch::Sender<Mood>,
    /// The exchanges of all calls that came.
    seen: Mutex<Vec<String>>,
    /// How many requests were read whole and kept waiting.
    working: AtomicUsize,
    /// How many answers were handed to the transport to their end.
    given: AtomicUsize,
}

impl Provider {
    async fn start() -> (String, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("grpc://{}", listener.local_addr().unwrap());
        let provider = Arc::new(Self {
            mood: watch::Sender::new(Mood::Absent),
            seen: Mutex::default(),
            working: AtomicUsize::new(0),
            given: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&provider);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&accepting).connection(stream));
            }
        });
        (address, provider)
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let mut mood = self.mood.subscribe();
        let absent = *mood.borrow() == Mood::Absent;
        if absent {
            // What was sent on it is never read.
            let _ = mood.wait_for(|mood| *mood != Mood::Absent).await;
            return;
        }
        let answer = service_fn(move |request| Arc::clone(&self).provide(request));
        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = http.serve_connection(TokioIo::new(stream), answer).await;
    }

    async fn provide(self: Arc<Self>, request: hyper::Request<Incoming>) -> Result<Answer, hyper::Error> {
        let Some(exchange_id) = request.headers().get("x-egov-exchange") else {
            // The directory looks at endpoints by itself; that is no call of a consumer.
            return Ok(echo(request));
        };
        let exchange_id = exchange_id.to_str().unwrap().to_owned();
        self.seen.lock().unwrap().push(exchange_id);
        let mut mood = self.mood.subscribe();
        let works = *mood.borrow() == Mood::Working;
        let body = request.into_body();
        let body = if works {
            let whole = body.collect().await?.to_bytes();
            self.working.fetch_add(1, Ordering::SeqCst);
            let _ = mood.wait_for(|mood| *mood == Mood::Answering).await;
            Full::new(whole)
                .map_err(|never| -> hyper::Error { match never {} })
                .boxed()
        } else {
            body.boxed()
        };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let end = async move {
            self.given.fetch_add(1, Ordering::SeqCst);
            Some(Ok(trailers))
        };
        let mut response = hyper::Response::new(body.with_trailers(end).boxed());
        let head = response.headers_mut();
        head.insert("content-type", HeaderValue::from_static("application/grpc"));
        Ok(response)
    }

    fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// What carries the bytes between callers and the door, and can keep back those of the door.
struct Line {
    /// Where the door listens now.
    door: Mutex<String>,
    held: watch::Sender<bool>,
    /// How many answers have come from the door to their end.
    whole: AtomicUsize,
}

impl Line {
    async fn start() -> (String, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let line = Arc::new(Self {
            door: Mutex::default(),
            held: watch::Sender::new(false),
            whole: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&line);
        tokio::spawn(async move {
            loop {
                let (caller, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&accepting).carry(caller));
            }
        });
        (address, line)
    }

    async fn carry(self: Arc<Self>, caller: TcpStream) {
        let door = self.door.lock().unwrap().clone();
        let Ok(door) = TcpStream::connect(door).await else {
            return;
        };
        caller.set_nodelay(true).unwrap();
        door.set_nodelay(true).unwrap();
        let (mut from_caller, mut to_caller) = caller.into_split();
        let (mut from_door, mut to_door) = door.into_split();
        let asking = tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            // To its end also when the door is gone: a reset would take away what is under way to the caller.
            while let Ok(count @ 1..) = from_caller.read(&mut buffer).await {
                let _ = to_door.write_all(&buffer[..count]).await;
            }
        });
        let mut held = self.held.subscribe();
        let mut frames = Frames::default();
        let mut under_way = Vec::new();
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from_door.read(&mut buffer).await {
            under_way.extend_from_slice(&buffer[..count]);
            self.whole.fetch_add(frames.ends(&buffer[..count]), Ordering::SeqCst);
            let is_held = *held.borrow();
            if !is_held {
                let _ = to_caller.write_all(&under_way).await;
                under_way.clear();
            }
        }
        // What is under way arrives, although nobody is there any more who sent it.
        let _ = held.wait_for(|held| !*held).await;
        if !under_way.is_empty() {
            let _ = to_caller.write_all(&under_way).await;
            // Whoever has its answers goes by itself.
            let _ = asking.await;
        }
    }
}

/// Where the frames of HTTP/2 end in what the door says.
#[derive(Default)]
struct Frames {
    head: Vec<u8>,
    /// What is left of the frame.
    left: usize,
    /// Whether it is a HEADERS frame with END_STREAM: the trailers.
    is_last: bool,
}

impl Frames {
    /// How many answers end in these bytes, which follow those before.
    fn ends(&mut self, bytes: &[u8]) -> usize {
        let mut ends = 0;
        for byte in bytes {
            if self.left > 0 {
                self.left -= 1;
                ends += usize::from(self.left == 0 && self.is_last);
                continue;
            }
            self.head.push(*byte);
            if let [first, second, third, kind, flags, ..] = self.head[..]
                && self.head.len() == 9
            {
                self.left = (usize::from(first) << 16) | (usize::from(second) << 8) | usize::from(third);
                self.is_last = kind == 1 && flags & 1 == 1;
                self.head.clear();
            }
        }
        ends
    }
}

/// A leaf that was promised to a caller, and the exchange.
type Promised = (String, Promise);

/// What a caller was told of a call.
#[derive(Default)]
struct Told {
    answered: bool,
    promised: Vec<Promised>,
}

impl Told {
    fn keep(&mut self, head: &MetadataMap, end: &MetadataMap) {
        let text = |metadata: &MetadataMap, name: &str| Some(metadata.get(name)?.to_str().unwrap().to_owned());
        if let (Some(exchange_id), Some(promise)) = (text(head, "x-egov-exchange"), text(end, "x-egov-promise")) {
            self.promised.push((exchange_id, promise.parse().unwrap()));
        }
    }

    /// Whether it is called again: the door has just begun.
    async fn refused(&mut self, status: &Status) -> bool {
        self.keep(status.metadata(), status.metadata());
        let again = NOT_YET.contains(&reason(status).as_str());
        if again {
            sleep(Duration::from_millis(20)).await;
        }
        again
    }
}

/// Somebody who calls, each time on a connection of its own.
#[derive(Clone)]
struct Consumer {
    line: String,
    token: String,
}

impl Consumer {
    async fn grpc(&self) -> Grpc<Channel> {
        let channel = Endpoint::from_shared(self.line.clone())
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.unwrap();
        grpc
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = format!("Bearer {}", self.token).parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        request
    }

    async fn call(self) -> Told {
        let mut told = Told::default();
        loop {
            let request = self.request(person("a"));
            let path: PathAndQuery = format!("/{CHANGE}").parse().unwrap();
            let codec = ProstCodec::<Person, Person>::default();
            match self.grpc().await.unary(request, path, codec).await {
                Ok(answer) => {
                    told.answered = true;
                    told.keep(answer.metadata(), answer.metadata());
                    assert_eq!(answer.into_inner(), person("a"));
                    return told;
                }
                Err(status) => {
                    if !told.refused(&status).await {
                        return told;
                    }
                }
            }
        }
    }

    /// A stream of one message; or of ever one more, counted as they come back.
    async fn stream(self, heard: Option<Arc<AtomicUsize>>) -> Told {
        let mut told = Told::default();
        loop {
            let (say, said) = mpsc::channel(1);
            say.send(person("a")).await.unwrap();
            let say = heard.is_some().then_some(say);
            let request = self.request(ReceiverStream::new(said));
            let path: PathAndQuery = format!("/{CHAT}").parse().unwrap();
            let codec = ProstCodec::<Person, Person>::default();
            let answer = match self.grpc().await.streaming(request, path, codec).await {
                Ok(answer) => answer,
                Err(status) => {
                    if told.refused(&status).await {
                        continue;
                    }
                    return told;
                }
            };
            let head = answer.metadata().clone();
            let mut answers = answer.into_inner();
            loop {
                match answers.message().await {
                    Ok(Some(answer)) => {
                        assert_eq!(answer, person("a"));
                        if let (Some(heard), Some(say)) = (&heard, &say) {
                            heard.fetch_add(1, Ordering::SeqCst);
                            let _ = say.send(person("a")).await;
                        }
                    }
                    Ok(None) => {
                        told.answered = true;
                        told.keep(&head, &answers.trailers().await.unwrap().unwrap());
                        return told;
                    }
                    Err(status) => {
                        told.keep(&head, status.metadata());
                        return told;
                    }
                }
            }
        }
    }
}

/// Waits for something that others bring about.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "waited in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn count(looking: &mut PgConnection, query: &'static str) -> usize {
    let count: i64 = sqlx::query_scalar(query).fetch_one(looking).await.unwrap();
    usize::try_from(count).unwrap()
}

const OPEN: &str = "SELECT count(*) FROM open_exchanges";
const RECORDED: &str = "SELECT count(*) FROM exchanges";
const ENDED: &str = "SELECT count(*) FROM exchange_outcomes";

/// What a dead process held runs out.
async fn expire_leases(looking: &mut PgConnection) {
    sqlx::query("UPDATE egov.leases SET expire_time = clock_timestamp()")
        .execute(looking)
        .await
        .unwrap();
}

/// One door after the other over the same folder and database.
struct Scene {
    /// What each process is told.
    orders: Value,
    /// The process that serves next.
    next: Option<Process>,
    line: Arc<Line>,
    consumer: Consumer,
    looking: PgConnection,
    superuser: String,
    under_way: Vec<JoinHandle<Told>>,
    promised: Vec<Promised>,
}

impl Scene {
    /// The next door; the one after that makes itself ready meanwhile, if there shall be one.
    async fn door(&mut self, another: bool) -> Process {
        expire_leases(&mut self.looking).await;
        let mut process = self.next.take().unwrap();
        let (door, token) = process.serve();
        *self.line.door.lock().unwrap() = door;
        self.consumer.token = token;
        self.next = another.then(|| Process::prepared(&self.orders));
        process
    }

    /// Calls that are answered, each with the promise of its leaf.
    async fn ordinary(&mut self) {
        let calls = [self.consumer.clone(), self.consumer.clone()].map(Consumer::call);
        let all = timeout(PATIENCE, futures::future::join_all(calls)).await.unwrap();
        for told in all {
            assert!(told.answered && !told.promised.is_empty());
            self.promised.extend(told.promised);
        }
    }

    /// The same, and the database has their ends, and nothing waits to be shipped.
    async fn shipped(&mut self) {
        self.ordinary().await;
        let promised = self.promised.len();
        until("what was promised is shipped", async || {
            count(&mut self.looking, ENDED).await == promised
        })
        .await;
    }

    /// Calls that the kill is to meet, of several callers at once.
    fn place(&mut self) {
        for _ in 0..CALLS {
            self.under_way.push(tokio::spawn(self.consumer.clone().call()));
        }
        self.under_way.push(tokio::spawn(self.consumer.clone().stream(None)));
    }

    /// Nothing more gets into a table until this is closed; reading goes on.
    async fn closed(&self, lock: &'static str) -> PgConnection {
        let mut superuser = PgConnection::connect(&self.superuser).await.unwrap();
        sqlx::raw_sql(lock).execute(&mut superuser).await.unwrap();
        superuser
    }

    /// How many of the calls that were under way were answered, with a promise each; the others have none.
    async fn answered(&mut self) -> usize {
        let mut answered = 0;
        for call in self.under_way.drain(..) {
            let told = timeout(PATIENCE, call).await.unwrap().unwrap();
            if told.answered {
                assert!(!told.promised.is_empty());
                answered += 1;
            }
            self.promised.extend(told.promised);
        }
        answered
    }
}

/// The two parties and what they agree on, by an instance that ends before there is a door with a journal.
async fn agree_beforehand(database: TestDatabase, keys: &Path, provider: &str) {
    let keyring = Arc::new(Keyring::open(keys, &egov_testkit::clock()).unwrap());
    let settings = Settings {
        journal: None,
        ..Settings::default()
    };
    let mut stack = Box::pin(Stack::with_keys(database, keyring, settings)).await;
    let (consumer, providing) = (party(&stack, CONSUMER).await, party(&stack, PROVIDER).await);
    let parties = (&consumer, &providing);
    agree(&stack, parties, provider, "people", document(), |wanted| {
        wanted.methods = vec![granted(CHANGE), granted(CHAT)];
        wanted.calls_per_minute = 0;
    })
    .await;
    stack.drain();
    stack.drained().await;
}

/// What the database has of an exchange: how it ended, and how many leaves and how many places in the log are its.
type Row = (Option<String>, i64, i64);

async fn rows(looking: &mut PgConnection) -> HashMap<String, Row> {
    let rows: Vec<(String, Option<String>, i64, i64)> = sqlx::query_as(
        "SELECT exchange_id::text, outcome, (SELECT count(*) FROM egov.leaves WHERE resource_id = exchange_id),
           (SELECT count(*) FROM egov.leaves JOIN egov.ledger_entries USING (leaf_id) WHERE resource_id = exchange_id)
         FROM exchanges LEFT JOIN exchange_outcomes USING (exchange_id)",
    )
    .fetch_all(looking)
    .await
    .unwrap();
    rows.into_iter()
        .map(|(exchange_id, outcome, leaves, places)| (exchange_id, (outcome, leaves, places)))
        .collect()
}

/// The log has signed the promise, and the receipt of the exchange proves the very leaf.
async fn assert_proven(stack: &Stack, exchange_id: &str, promise: &Promise) {
    let keys = stack.log.keys(1).unwrap();
    promise.verify(keys.last().unwrap()).unwrap();
    let request = GetExchangeReceiptRequest {
        exchange_id: exchange_id.to_owned(),
    };
    let mut caller = stack.staff(PARTNER, CONSUMER);
    let proof = caller.exchanges.get_exchange_receipt(request).await.unwrap();
    let receipt = Receipt::from_bytes(&proof.into_inner().receipt).unwrap();
    receipt.verify(&keys).unwrap();
    assert_eq!(receipt.entry.leaf_hash().unwrap(), promise.leaf());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_that_is_killed_between_record_forward_and_answer_keeps_every_promise_and_every_call_has_one_end() {
    let database = egov_testkit::database(SERVICE, &MIGRATOR).await;
    let folder = tempfile::tempdir().unwrap();
    let (keys, journal) = (folder.path().join("keys"), folder.path().join("journal"));
    std::fs::create_dir(&journal).unwrap();
    Keyring::create_missing(&keys, &egov_testkit::clock()).unwrap();
    let urls = [
        database.owner_url.clone(),
        database.app_url.clone(),
        database.superuser_url.clone(),
    ];
    let orders = json!([urls, keys, journal]);
    let first = Process::prepared(&orders);
    let (address, provider) = Provider::start().await;
    let [owner, app, superuser] = urls;
    let superuser_url = superuser.clone();
    let elsewhere = TestDatabase::made_elsewhere(owner, app, superuser);
    Box::pin(agree_beforehand(elsewhere, &keys, &address)).await;
    let (line_address, line) = Line::start().await;
    let mut scene = Scene {
        orders,
        next: Some(first),
        line: Arc::clone(&line),
        consumer: Consumer {
            line: line_address,
            token: String::new(),
        },
        looking: database.connect_as_superuser().await.unwrap(),
        superuser: superuser_url,
        under_way: Vec::new(),
        promised: Vec::new(),
    };

    // Recorded, and the provider has nothing of it.
    let mut door = scene.door(true).await;
    scene.place();
    until("the requests are recorded", async || {
        count(&mut scene.looking, OPEN).await == UNDER_WAY
    })
    .await;
    assert_eq!(provider.seen(), 0);
    door.kill();
    assert_eq!(scene.answered().await, 0);
    provider.mood.send_replace(Mood::Answering);

    // The provider works, and of its calls nothing is anywhere but on the disk of the door.
    let mut door = scene.door(true).await;
    scene.shipped().await;
    let lock = scene.closed("BEGIN; LOCK TABLE exchanges IN EXCLUSIVE MODE").await;
    let recorded = count(&mut scene.looking, RECORDED).await;
    provider.mood.send_replace(Mood::Working);
    scene.place();
    until("the provider works", async || {
        provider.working.load(Ordering::SeqCst) == UNDER_WAY
    })
    .await;
    assert_eq!(count(&mut scene.looking, RECORDED).await, recorded);
    door.kill();
    lock.close().await.unwrap();
    assert_eq!(scene.answered().await, 0);
    provider.mood.send_replace(Mood::Answering);

    // The provider has answered, and the door has not read it.
    let mut door = scene.door(true).await;
    scene.ordinary().await;
    provider.mood.send_replace(Mood::Working);
    scene.place();
    until("the provider works", async || {
        provider.working.load(Ordering::SeqCst) == 2 * UNDER_WAY
    })
    .await;
    door.stop();
    until("the door stands still", async || door.is_stopped()).await;
    let given = provider.given.load(Ordering::SeqCst);
    provider.mood.send_replace(Mood::Answering);
    until("the provider has answered", async || {
        provider.given.load(Ordering::SeqCst) == given + UNDER_WAY
    })
    .await;
    door.kill();
    assert_eq!(scene.answered().await, 0);

    // The door has answered and no caller has it yet; the ends, too, are nowhere but on its disk. Then the answers arrive.
    let mut door = scene.door(true).await;
    scene.shipped().await;
    let lock = scene
        .closed("BEGIN; LOCK TABLE exchange_outcomes IN EXCLUSIVE MODE")
        .await;
    let (ended, whole) = (
        count(&mut scene.looking, ENDED).await,
        line.whole.load(Ordering::SeqCst),
    );
    line.held.send_replace(true);
    scene.place();
    until("the answers are under way", async || {
        line.whole.load(Ordering::SeqCst) == whole + UNDER_WAY
    })
    .await;
    assert!(scene.under_way.iter().all(|call| !call.is_finished()));
    assert_eq!(count(&mut scene.looking, ENDED).await, ended);
    door.kill();
    lock.close().await.unwrap();
    line.held.send_replace(false);
    assert_eq!(scene.answered().await, UNDER_WAY);

    // In the middle of two streams, while other calls are answered.
    let mut door = scene.door(false).await;
    let heard = [0, 0].map(|none| Arc::new(AtomicUsize::new(none)));
    for heard in &heard {
        let stream = scene.consumer.clone().stream(Some(Arc::clone(heard)));
        scene.under_way.push(tokio::spawn(stream));
    }
    scene.ordinary().await;
    until("both streams are under way", async || {
        heard.iter().all(|heard| heard.load(Ordering::SeqCst) >= 3)
    })
    .await;
    door.kill();
    assert_eq!(scene.answered().await, 0);

    // What is on the disk reaches the database, whoever serves next.
    let Scene {
        mut looking, promised, ..
    } = scene;
    expire_leases(&mut looking).await;
    let keyring = Arc::new(Keyring::open(&keys, &egov_testkit::clock()).unwrap());
    let stack = Box::pin(Stack::with_keys(database, keyring, recording_in(journal))).await;
    let seen = provider.seen.lock().unwrap().clone();
    until("what is on the disk is shipped", async || {
        let rows = rows(&mut looking).await;
        let is_promised_kept = promised
            .iter()
            .all(|(id, _)| rows.get(id).is_some_and(|(outcome, ..)| outcome.is_some()));
        is_promised_kept && seen.iter().all(|id| rows.contains_key(id))
    })
    .await;
    // What has no end then gets one by the sweep, when the instances are gone for long enough.
    stack.clock.advance(SignedDuration::from_secs(31));
    until("nothing is open", async || {
        egov_integration::sweep_exchanges_once(&stack.pool).await.unwrap();
        count(&mut looking, OPEN).await == 0
    })
    .await;
    until("every leaf has its place", async || {
        count(&mut looking, "SELECT count(*) FROM egov.unsequenced_leaves").await == 0
    })
    .await;

    let rows = rows(&mut looking).await;
    for (exchange_id, (outcome, leaves, places)) in &rows {
        assert!(outcome.is_some(), "{exchange_id} has no end");
        assert_eq!((*leaves, *places), (1, 1), "{exchange_id}");
    }
    let ends_late = "SELECT count(*) FROM exchange_late_outcomes";
    assert_eq!(count(&mut looking, ends_late).await, 0);
    let twice = "SELECT count(*) - count(DISTINCT leaf_hash) FROM egov.ledger_entries";
    assert_eq!(count(&mut looking, twice).await, 0);
    assert_eq!(verified(&stack).await, (rows.len() as u64, 0));

    // What ended otherwise than by the sweep is what was promised, no more and no less.
    let (unknown, known): (HashSet<&str>, HashSet<&str>) = {
        let is_unknown = |id: &&str| rows[*id].0.as_deref() == Some("unknown");
        rows.keys().map(String::as_str).partition(is_unknown)
    };
    let told: HashSet<&str> = promised.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(told.len(), promised.len());
    assert_eq!(told, known);
    assert_eq!(unknown.len(), 3 * UNDER_WAY + 2);
    // The provider saw no call twice, and none that is not recorded; of those whose end is unknown it did not see the first.
    let distinct: HashSet<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(distinct.len(), seen.len());
    assert!(distinct.iter().all(|id| rows.contains_key(*id)));
    assert_eq!(unknown.difference(&distinct).count(), UNDER_WAY);
    futures::stream::iter(&promised)
        .for_each_concurrent(8, |(exchange_id, promise)| assert_proven(&stack, exchange_id, promise))
        .await;
}
