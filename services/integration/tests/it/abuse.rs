//! What clients may do to the door's port that no honest one does: floods, slowness, bombs. The door is in a process of its own,
//! whose memory is measured; while and after each abuse it must serve others.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use egov_fault::reason_of;
use futures::FutureExt as _;
use futures::future::join_all;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

use crate::served::{VARIABLE, framed};

/// The calls that one system may have under way.
const PLACES: usize = 256;

/// For what must come: long, since this machine may have other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// What any of this may cost the door at most.
const BOUND_MIB: u64 = 96;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A door in a process of its own.
struct Served {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    address: String,
    token: String,
    /// The token of a system that does nothing wrong.
    honest: String,
    pid: u64,
    _process: Child,
}

impl Served {
    fn start(kind: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "served::serve_a_door", "--ignored", "--nocapture"])
            .env(VARIABLE, kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        let ready = line(&mut answers);
        Self {
            commands: process.stdin.take().unwrap(),
            answers,
            address: ready["door"].as_str().unwrap().to_owned(),
            token: ready["token"].as_str().unwrap().to_owned(),
            honest: ready["honest"].as_str().unwrap().to_owned(),
            pid: ready["pid"].as_u64().unwrap(),
            _process: process,
        }
    }

    fn ask(&mut self, command: &str) -> Value {
        writeln!(self.commands, "{command}").unwrap();
        line(&mut self.answers)
    }

    /// What it holds of memory now, in MiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap();
        kib / 1024
    }

    /// An honest call, which must be answered soon.
    async fn call(&self) -> Result<(), Status> {
        let mut client = Client::connect(&self.address, |_| {}).await;
        let (answer, mut body) = client.begin(&self.request("Get", &[]), false);
        body.send_data(framed(&[]), true).unwrap();
        timeout(PATIENCE, ended(answer.await)).await.unwrap()
    }

    /// Waits until an honest call is answered.
    async fn serves(&self) {
        let end = Instant::now() + PATIENCE;
        while let Err(status) = self.call().await {
            assert!(Instant::now() < end, "{status:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a call of this system is answered over this connection.
    async fn serves_by(&self, client: &mut Client, request: &Request<()>) {
        let end = Instant::now() + PATIENCE;
        loop {
            let (answer, mut body) = client.begin(request, false);
            body.send_data(framed(&[]), true).unwrap();
            match timeout(PATIENCE, ended(answer.await)).await.unwrap() {
                Ok(()) => return,
                Err(status) => assert!(Instant::now() < end, "{status:?}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether its port says that it serves.
    async fn is_healthy(&self, client: &reqwest::Client) -> bool {
        let asked = client.get(format!("http://{}/health/ready", self.address)).send();
        timeout(PATIENCE, asked)
            .await
            .unwrap()
            .is_ok_and(|answer| answer.status().is_success())
    }

    fn request(&self, method: &str, more: &[(&'static str, &str)]) -> Request<()> {
        self.request_of(&self.token, method, more)
    }

    fn request_of(&self, token: &str, method: &str, more: &[(&'static str, &str)]) -> Request<()> {
        let mut request = Request::post(format!("http://{}/demo.v1.People/{method}", self.address))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    /// The same as a block of header fields, none of them compressed.
    fn block(&self, method: &str) -> Vec<u8> {
        self.fields(method, 0)
    }

    /// The same as a block that the door remembers, and one that repeats it by its numbers (RFC 7541, 6.1).
    fn remembered(&self, method: &str) -> (Vec<u8>, Vec<u8>) {
        let mut first = self.fields(method, 0x40);
        literal(&mut first, 0x40, "grpc-timeout", "100S");
        let repeated = (62..62 + FIELDS).rev().map(|number| 0x80 | number).collect();
        (first, repeated)
    }

    fn fields(&self, method: &str, kind: u8) -> Vec<u8> {
        let token = format!("Bearer {}", self.token);
        let path = format!("/demo.v1.People/{method}");
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", &path),
            (":authority", "door"),
            ("authorization", &token),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ] {
            literal(&mut block, kind, name, value);
        }
        block
    }
}

/// How many header fields a request that is remembered has.
const FIELDS: u8 = 8;

/// The next line that is an answer; libtest writes lines of its own.
fn line(answers: &mut BufReader<ChildStdout>) -> Value {
    loop {
        let mut line = String::new();
        assert!(
            answers.read_line(&mut line).unwrap() > 0,
            "the door's process has ended"
        );
        if line.starts_with('{') {
            return serde_json::from_str(&line).unwrap();
        }
    }
}

/// The one door, for one test at a time: what one does to it must not be measured by another.
async fn served() -> MutexGuard<'static, Served> {
    static SERVED: OnceLock<Mutex<Served>> = OnceLock::new();
    let served = SERVED.get_or_init(|| Mutex::new(Served::start("strict"))).lock().await;
    served.serves().await;
    served
}

/// An honest implementation of HTTP/2, which need not be used honestly.
struct Client {
    send: SendRequest<Bytes>,
}

impl Client {
    async fn connect(address: &str, change: impl FnOnce(&mut h2::client::Builder)) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        builder.enable_push(false);
        change(&mut builder);
        let (send, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { send }
    }

    fn begin(&mut self, request: &Request<()>, over: bool) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        self.send.send_request(request.clone(), over).unwrap()
    }
}

/// How a call has ended.
async fn ended(answer: Result<Response<RecvStream>, h2::Error>) -> Result<(), Status> {
    let broken = |error: h2::Error| Status::unavailable(error.to_string());
    let (parts, mut body) = answer.map_err(broken)?.into_parts();
    let mut headers: HeaderMap = parts.headers;
    while let Some(data) = body.data().await {
        let _ = body.flow_control().release_capacity(data.map_err(broken)?.len());
    }
    headers.extend(body.trailers().await.map_err(broken)?.unwrap_or_default());
    match Status::from_header_map(&headers) {
        Some(status) if status.code() == Code::Ok => Ok(()),
        Some(status) => Err(status),
        None => Err(Status::unknown("no status")),
    }
}

/// Frames written as they are.
struct Raw {
    stream: TcpStream,
}

struct Frame {
    kind: u8,
    flags: u8,
}

impl Raw {
    async fn connect(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self { stream }
    }

    /// Writes; false if the other side takes no more.
    async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(
            timeout(Duration::from_secs(2), self.stream.write_all(bytes)).await,
            Ok(Ok(()))
        )
    }

    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
        })
    }

    /// Reads until the other side has closed, or the time is over; what came, and whether it closed.
    async fn rest(&mut self, patience: Duration) -> (Vec<Frame>, bool) {
        let mut frames = Vec::new();
        let read = async {
            while let Some(frame) = self.next().await {
                frames.push(frame);
            }
        };
        let closed = timeout(patience, read).await.is_ok();
        (frames, closed)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header field by its letters (RFC 7541, 6.2); `kind` 0x40 remembers it.
fn literal(block: &mut Vec<u8>, kind: u8, name: &str, value: &str) {
    block.push(kind);
    for text in [name, value] {
        let mut length = text.len();
        if length < 127 {
            block.push(u8::try_from(length).unwrap());
        } else {
            block.push(127);
            length -= 127;
            while length >= 128 {
                block.push(u8::try_from(length % 128).unwrap() | 128);
                length /= 128;
            }
            block.push(u8::try_from(length).unwrap());
        }
        block.extend_from_slice(text.as_bytes());
    }
}

/// A block of header fields in as many frames as it needs.
fn headers(stream: u32, block: &[u8], last: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut pieces = block.chunks(16_384).peekable();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let end = if pieces.peek().is_none() && last {
            END_HEADERS
        } else {
            0
        };
        let over = if kind == HEADERS { END_STREAM } else { 0 };
        out.extend(frame(kind, end | over, stream, piece));
        kind = CONTINUATION;
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_header_fields_are_refused_and_nothing_of_them_is_kept() {
    let mut served = served().await;
    let (before, calls) = (served.resident(), served.ask("seen")["calls"].clone());

    // Header fields without an end, in large frames and in empty ones.
    let mut endless = served.block("Get");
    literal(&mut endless, 0, "x-large", &"a".repeat(16_000));
    let large = frame(CONTINUATION, 0, 1, &[0; 16_384]).repeat(512);
    let empty = frame(CONTINUATION, 0, 1, &[]).repeat(100_000);
    for more in [large, empty] {
        let tries = (0..8).map(|_| async {
            let mut raw = Raw::connect(&served.address).await;
            raw.send(&headers(1, &endless, false)).await;
            raw.send(&more).await;
            let (_, closed) = raw.rest(PATIENCE).await;
            assert!(closed, "who sends header fields without an end is cut off");
        });
        join_all(tries).await;
    }

    // More fields than are taken: many tiny ones, one that is remembered and repeated, a large one.
    let mut tiny = served.block("Get");
    for _ in 0..20_000 {
        literal(&mut tiny, 0, "a", "b");
    }
    let mut bomb = served.block("Get");
    literal(&mut bomb, 0x40, "a", &"b".repeat(3900));
    bomb.extend_from_slice(&vec![0xbe; 60_000]);
    let mut large = served.block("Get");
    literal(&mut large, 0, "x-large", &"a".repeat(1 << 20));
    for block in [tiny, bomb, large] {
        let tries = (0..8).map(|_| async {
            let mut raw = Raw::connect(&served.address).await;
            raw.send(&headers(1, &block, true)).await;
            let (frames, closed) = raw.rest(Duration::from_secs(1)).await;
            let told = frames.iter().any(|frame| {
                frame.kind == RST_STREAM
                    || frame.kind == GOAWAY
                    || (frame.kind == HEADERS && frame.flags & END_STREAM != 0)
            });
            assert!(told || closed, "too many header fields are refused");
        });
        join_all(tries).await;
    }
    assert_eq!(served.ask("seen")["calls"], calls, "none of it reached the provider");
    served.serves().await;
    let grown = served.resident().saturating_sub(before);
    assert!(grown <= BOUND_MIB, "memory grew by {grown} MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_settings_and_pings_neither_pile_up_nor_keep_others_waiting() {
    let served = served().await;
    let before = served.resident();
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(4000);
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(4000);
    for flood in [pings, settings] {
        let until = Instant::now() + Duration::from_millis(1500);
        // None of the answers is read.
        let floods = (0..4).map(|_| async {
            let mut raw = Raw::connect(&served.address).await;
            while Instant::now() < until && raw.send(&flood).await {}
            raw.rest(PATIENCE).await.1
        });
        let honest = async {
            while Instant::now() < until {
                let began = Instant::now();
                served.call().await.unwrap();
                assert!(began.elapsed() < Duration::from_secs(10));
            }
        };
        let (closed, ()) = tokio::join!(join_all(floods), honest);
        assert!(
            closed.into_iter().all(|closed| closed),
            "who floods and says nothing is closed"
        );
    }
    let grown = served.resident().saturating_sub(before);
    assert!(grown <= BOUND_MIB, "memory grew by {grown} MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_calls_that_are_reset_at_once_cost_nothing() {
    let mut served = served().await;
    let before = served.resident();
    let block = served.block("Chat");
    let mut one = Vec::new();
    for stream in (1..250).step_by(2) {
        one.extend(frame(HEADERS, END_HEADERS, stream, &block));
        one.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    one.extend(frame(PING, 0, 0, &[1; 8]));
    let resets = async {
        for _ in 0..16 {
            join_all((0..50).map(|_| async {
                let mut raw = Raw::connect(&served.address).await;
                raw.send(&one).await;
                // All of it was read, or the connection was closed over it.
                let read = async {
                    while let Some(frame) = raw.next().await {
                        if frame.kind == PING && frame.flags == ACK {
                            break;
                        }
                    }
                };
                timeout(PATIENCE, read).await.unwrap();
            }))
            .await;
        }
    };
    // Others are served all the while.
    let over = AtomicBool::new(false);
    let honest = async {
        while !over.load(Ordering::SeqCst) {
            // One system may have only so many calls under way, and these are all of the same.
            let answered = served.call().await;
            assert!(answered.map_or_else(|status| status.code() == Code::ResourceExhausted, |()| true));
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(resets.map(|()| over.store(true, Ordering::SeqCst)), honest);
    served.serves().await;
    let grown = served.resident().saturating_sub(before);
    assert!(grown <= BOUND_MIB, "memory grew by {grown} MiB");
    let end = Instant::now() + PATIENCE;
    while served.ask("outcomes")["open"] != 0 {
        assert!(Instant::now() < end, "an exchange stays open");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_without_bodies_take_no_more_than_the_places_of_their_system() {
    open_streams(10_000).await;
}

async fn open_streams(all: usize) {
    let served = served().await;
    let before = served.resident();
    let request = served.request("Get", &[("grpc-timeout", "100S")]);
    let mut connections = Vec::new();
    let (mut held, mut refused) = (0, 0);
    for _ in 0..all / 1000 {
        let opened = join_all((0..8).map(|_| async {
            let mut client = Client::connect(&served.address, |_| {}).await;
            let mut streams = Vec::new();
            for _ in 0..125 {
                client.send = client.send.ready().await.unwrap();
                streams.push(client.begin(&request, false));
            }
            let answers = streams.into_iter().map(async |(mut answer, body)| {
                match timeout(Duration::from_secs(2), &mut answer).await {
                    Ok(answer) => {
                        let status = ended(answer).await.unwrap_err();
                        assert_eq!(reason_of(&status).as_deref(), Some("CONSUMER_BUSY"));
                        None
                    }
                    Err(_) => Some((answer, body)),
                }
            });
            let answers = join_all(answers).await;
            let all = answers.len();
            let waiting: Vec<_> = answers.into_iter().flatten().collect();
            let refused = all - waiting.len();
            (client, waiting, refused)
        }));
        for (client, waiting, count) in opened.await {
            held += waiting.len();
            refused += count;
            connections.push((client, waiting));
        }
    }
    // Whoever was only late by then has its refusal by now.
    for (_, waiting) in &mut connections {
        let waiting: &mut Vec<(h2::client::ResponseFuture, SendStream<Bytes>)> = waiting;
        waiting.retain_mut(|(answer, _)| match answer.now_or_never() {
            Some(answer) => {
                assert!(answer.unwrap().headers().contains_key("grpc-status"));
                (held, refused) = (held - 1, refused + 1);
                false
            }
            None => true,
        });
    }
    assert_eq!((held, refused), (PLACES, all - PLACES));
    let grown = served.resident().saturating_sub(before);
    assert!(grown <= BOUND_MIB, "memory grew by {grown} MiB");
    drop(connections);
    served.serves().await;
}

/// What a connection may cost on which as many streams as the door announces were opened at once and refused: its buffers, and a
/// place for each stream, which the transport keeps as long as the connection lives. How many connections there may be is a setting
/// (`limits.connections`).
const CONNECTION_KIB: u64 = 160;

/// What a flood may cost besides.
const FLOOD_MIB: u64 = 32;

/// How many streams a client opens on one connection: as many as the door announces.
const STREAMS: usize = 128;

/// A connection on which streams without bodies were opened, and what became of them.
struct Flood {
    /// Streams that the door refused.
    refused: usize,
    /// Whether the door closed the connection, as it does when no call is left on it.
    closed: bool,
}

/// What all connections of a flood have in common.
struct Flooding {
    address: String,
    /// The block of the first request of a connection, and that of the others.
    blocks: (Vec<u8>, Vec<u8>),
    sent: Barrier,
    over: AtomicBool,
    refused: AtomicUsize,
}

/// Opens all streams of a connection and, once every connection has done so, takes the refusals in.
async fn flood(flooding: &Flooding) -> Flood {
    let (first, block) = &flooding.blocks;
    let mut found = Flood {
        refused: 0,
        closed: false,
    };
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_HEADERS, 1, first));
    for stream in 1..STREAMS {
        let id = u32::try_from(stream * 2 + 1).unwrap();
        bytes.extend(frame(HEADERS, END_HEADERS, id, block));
    }
    let mut stream = TcpStream::connect(&flooding.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let sent = stream.write_all(&bytes).await;
    // Whatever became of it: the others wait.
    timeout(Duration::from_mins(1), flooding.sent.wait()).await.unwrap();
    sent.unwrap();
    let (mut from, mut to) = stream.into_split();
    // A piece of what comes, of which the last frame may be a part.
    let mut came = Vec::with_capacity(1 << 14);
    while !flooding.over.load(Ordering::SeqCst) {
        match timeout(Duration::from_millis(500), from.read_buf(&mut came)).await {
            Err(_) => continue,
            Ok(Ok(read)) if read > 0 => {}
            Ok(_) => {
                found.closed = true;
                break;
            }
        }
        let mut read = 0;
        while let Some(head) = came.get(read..read + 9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let Some(payload) = came.get(read + 9..read + 9 + length) else {
                break;
            };
            if kind == HEADERS && flags & END_STREAM != 0 {
                found.refused += 1;
                flooding.refused.fetch_add(1, Ordering::SeqCst);
            } else if kind == PING && flags & ACK == 0 {
                // Whoever does not answer is closed, and its streams with it.
                let _ = to.write_all(&frame(PING, ACK, 0, payload)).await;
            }
            read += 9 + length;
        }
        came.drain(..read);
    }
    found
}

/// All connections of a flood, on a thread of their own: what they cost must not keep the honest client of this process waiting.
fn flood_on(flooding: Arc<Flooding>, connections: usize) -> std::thread::JoinHandle<Vec<Flood>> {
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let floods = (0..connections).map(|_| {
                let flooding = Arc::clone(&flooding);
                tokio::spawn(async move { flood(&flooding).await })
            });
            join_all(floods).await.into_iter().map(Result::unwrap).collect()
        })
    })
}

/// Opens so many streams at once, and keeps them; what is beyond the places of the system is refused, the memory that it costs is
/// bounded, and others are served all the while.
async fn flood_of_streams(all: usize, kind: &str) {
    // Nothing else is measured meanwhile.
    let _alone = served().await;
    let mut served = Served::start(kind);
    served.serves().await;
    let before = served.resident();
    let connections = all / STREAMS;
    let flooding = Arc::new(Flooding {
        address: served.address.clone(),
        blocks: served.remembered("Get"),
        sent: Barrier::new(connections),
        over: AtomicBool::new(false),
        refused: AtomicUsize::new(0),
    });
    // A system that does nothing wrong, on a connection of its own, and whoever looks at the health.
    let mut honest = Client::connect(&served.address, |_| {}).await;
    let request = served.request_of(&served.honest, "Get", &[]);
    let watcher = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(served.is_healthy(&watcher).await);
    served.serves_by(&mut honest, &request).await;
    // From here on permits that are not confirmed within a second are stale.
    assert_eq!(served.ask("run"), json!({}));
    let floods = flood_on(Arc::clone(&flooding), connections);

    let began = Instant::now();
    let (mut calls, mut stale, mut most, mut slowest) = (0_u32, 0_u32, before, Duration::ZERO);
    // Some seconds of it, and until all are refused: a busy machine takes its time.
    let (least, end) = (began + Duration::from_secs(8), began + Duration::from_mins(1));
    let expected = connections * STREAMS - PLACES;
    while Instant::now() < least
        || (Instant::now() < end
            && (flooding.refused.load(Ordering::SeqCst) < expected || calls < 10 || calls <= stale))
    {
        let (answer, mut body) = honest.begin(&request, false);
        body.send_data(framed(&[]), true).unwrap();
        let asked = Instant::now();
        let answer = timeout(PATIENCE, ended(answer.await)).await.unwrap();
        slowest = slowest.max(asked.elapsed());
        match answer {
            Ok(()) => calls += 1,
            // The feed of permits has a thread, but no core of its own: of ten times as many streams it may fall behind for a moment.
            Err(status) if all > 10_240 && reason_of(&status).as_deref() == Some("PERMITS_STALE") => stale += 1,
            Err(status) => panic!("{status:?}"),
        }
        assert!(served.is_healthy(&watcher).await, "health is told all the while");
        most = most.max(served.resident());
        sleep(Duration::from_millis(50)).await;
    }
    flooding.over.store(true, Ordering::SeqCst);
    let found = tokio::task::spawn_blocking(|| floods.join().unwrap()).await.unwrap();
    assert_eq!(served.ask("stand"), json!({}));
    let refused: usize = found.iter().map(|one| one.refused).sum();
    let closed = found.iter().filter(|one| one.closed).count();
    #[expect(clippy::print_stdout, reason = "the figures that the README quotes")]
    {
        println!(
            "{} streams on {connections} connections: {refused} refused, {closed} connections closed, {calls} honest calls, {stale} told to come again, \
         the slowest after {} ms, memory {before} → {most} MiB, {} s",
            connections * STREAMS,
            slowest.as_millis(),
            began.elapsed().as_secs(),
        );
    }
    assert_eq!(refused, expected, "all but the places of one system");
    let bound = FLOOD_MIB + connections as u64 * CONNECTION_KIB / 1024;
    assert!(
        most.saturating_sub(before) <= bound,
        "memory grew from {before} to {most} MiB, by more than {bound}"
    );
    assert!(
        calls >= 10 && calls > stale,
        "{calls} calls of somebody else, {stale} refused"
    );
    drop(honest);
    served.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_streams_is_refused_beyond_the_places_of_its_system_while_others_are_served() {
    flood_of_streams(10_240, "strict").await;
}

/// With the times that every door has: such a flood makes everybody slow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_streams_open_at_once_are_refused_and_others_are_served() {
    flood_of_streams(102_400, "plain").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_end_at_their_deadline_and_give_their_places_back() {
    let served = served().await;
    let request = served.request("Get", &[("grpc-timeout", "3S")]);
    let began = Instant::now();
    let mut calls = Vec::new();
    for _ in 0..PLACES / 64 {
        let mut client = Client::connect(&served.address, |_| {}).await;
        for _ in 0..64 {
            client.send = client.send.ready().await.unwrap();
            calls.push(client.begin(&request, false));
        }
    }
    let message = framed(&[7; 100]);
    let ends = join_all(calls.into_iter().map(|(answer, mut body)| {
        let message = message.clone();
        async move {
            let dripping = async {
                for place in 0..message.len() {
                    // Whether it is still taken.
                    if body.send_data(message.slice(place..=place), false).is_err() {
                        std::future::pending::<()>().await;
                    }
                    sleep(Duration::from_millis(500)).await;
                }
            };
            tokio::select! {
                answer = answer => ended(answer).await.unwrap_err().code(),
                () = dripping => Code::Ok,
            }
        }
    }));
    let refused = async {
        sleep(Duration::from_millis(1500)).await;
        let status = served.call().await.unwrap_err();
        assert_eq!(reason_of(&status).as_deref(), Some("CONSUMER_BUSY"));
    };
    let (ends, ()) = tokio::join!(ends, refused);
    assert!(ends.iter().all(|code| *code == Code::DeadlineExceeded), "{ends:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
    served.call().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_begin_nothing_are_ended_by_time() {
    let served = served().await;
    let half = {
        let mut words = PREFACE.to_vec();
        words.extend(frame(SETTINGS, 0, 0, &[]));
        words.extend(headers(1, &served.block("Get"), false));
        words
    };
    let idle = {
        let mut words = PREFACE.to_vec();
        words.extend(frame(SETTINGS, 0, 0, &[]));
        words
    };
    let http1 = b"POST /demo.v1.People/Get HTTP/1.1\r\nhost: door\r\nx-a: ".to_vec();
    // Nothing at all, half a preface, a preface alone, half of the header fields, half of an HTTP/1 request.
    for words in [Vec::new(), PREFACE[..12].to_vec(), idle, half, http1] {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        stream.write_all(&words).await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a connection with {} bytes goes on", words.len());
    }
    served.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_no_answers_piles_up_no_more_than_its_places_and_is_cut_off() {
    let served = served().await;
    let before = served.resident();
    let request = served.request("Get", &[("x-size", "200000")]);
    for window in [0, 1] {
        // 10 connections of 100 calls, each with an answer of 200 kB of which at most a byte is taken.
        let mut clients = Vec::new();
        let mut answers = Vec::new();
        for _ in 0..10 {
            let mut client = Client::connect(&served.address, |builder| {
                builder.initial_window_size(window);
            })
            .await;
            for _ in 0..100 {
                client.send = client.send.ready().await.unwrap();
                let (answer, mut body) = client.begin(&request, false);
                body.send_data(framed(&[]), true).unwrap();
                answers.push(answer);
            }
            clients.push(client);
        }
        let (mut held, mut busy, mut lost) = (Vec::new(), 0, 0);
        for answer in answers {
            match answer.await {
                Ok(answer) if answer.headers().contains_key("grpc-status") => {
                    let status = ended(Ok(answer)).await.unwrap_err();
                    busy += usize::from(reason_of(&status).as_deref() == Some("CONSUMER_BUSY"));
                }
                Ok(answer) => held.push(answer),
                Err(_) => lost += 1,
            }
        }
        assert!(busy > 0 && held.len() <= PLACES, "{} held, {busy} refused", held.len());
        // Nobody reads; the door closes, and the places are free again.
        for answer in held {
            let mut body = answer.into_body();
            let read = async {
                while let Some(data) = body.data().await {
                    // Nothing is given back: the window stays as it is.
                    if data.is_err() {
                        return true;
                    }
                }
                false
            };
            lost += usize::from(timeout(PATIENCE, read).await.unwrap_or(false));
        }
        assert!(lost > 0, "who reads nothing is cut off");
        served.serves().await;
        let grown = served.resident().saturating_sub(before);
        assert!(grown <= BOUND_MIB + 64, "memory grew by {grown} MiB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_announced_or_inflated_beyond_the_limit_is_refused_before_it_is_there() {
    let served = served().await;
    let before = served.resident();
    // Announced as 4 GiB, in a call and in a stream.
    for method in ["Get", "Chat"] {
        let mut client = Client::connect(&served.address, |_| {}).await;
        let (answer, mut body) = client.begin(&served.request(method, &[]), false);
        body.send_data(Bytes::from_static(&[0, 255, 255, 255, 255, 1, 2, 3]), true)
            .unwrap();
        let status = timeout(PATIENCE, ended(answer.await)).await.unwrap();
        assert_eq!(
            reason_of(&status.unwrap_err()).as_deref(),
            Some("MESSAGE_TOO_LARGE"),
            "{method}"
        );
    }
    // 48 MiB in 50 KiB, at a method whose messages are read here.
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..48 {
        packer.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let packed = packer.finish().unwrap();
    assert!(packed.len() < 60_000);
    let mut bomb = framed(&packed).to_vec();
    bomb[0] = 1;
    let bomb = Bytes::from(bomb);
    for _ in 0..8 {
        let mut client = Client::connect(&served.address, |_| {}).await;
        let request = served.request("Change", &[("grpc-encoding", "gzip")]);
        let (answer, mut body) = client.begin(&request, false);
        body.send_data(bomb.clone(), true).unwrap();
        let status = timeout(PATIENCE, ended(answer.await)).await.unwrap();
        assert_eq!(reason_of(&status.unwrap_err()).as_deref(), Some("MESSAGE_TOO_LARGE"));
    }
    let grown = served.resident().saturating_sub(before);
    assert!(grown <= BOUND_MIB, "memory grew by {grown} MiB");
}
