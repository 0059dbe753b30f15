//! The door as in production: a process of its own, certificates on both sides and required, tokens that are bound to them, and
//! SIGTERM.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use egov_fault::reason_of;
use http::uri::PathAndQuery;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::door::{CHAT, GET, Person};
use crate::served::VARIABLE;

/// For what must come: long, since this machine may have other things to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long the call takes that is under way at the stop; less than the process is given to drain.
const DELAY: &str = "3000";

/// The next line that is an answer; libtest writes lines of its own.
fn line(answers: &mut BufReader<ChildStdout>) -> Value {
    loop {
        let mut line = String::new();
        assert!(answers.read_line(&mut line).unwrap() > 0, "the process has ended");
        if line.starts_with('{') {
            return serde_json::from_str(&line).unwrap();
        }
    }
}

/// The process of a door.
struct Served {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What it has said of itself.
    ready: Value,
}

impl Served {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "served::serve_a_door", "--ignored", "--nocapture"])
            .env(VARIABLE, "production")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = process.stdin.take().unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        let ready = line(&mut answers);
        Self {
            process,
            commands,
            answers,
            ready,
        }
    }

    fn ask(&mut self, command: &str) -> Value {
        writeln!(self.commands, "{command}").unwrap();
        line(&mut self.answers)
    }

    /// One of its tokens.
    fn token(&self, name: &str) -> String {
        self.ready[name].as_str().unwrap().to_owned()
    }

    /// Calls until it is answered: the door may not have the agreement yet.
    async fn settled(&self, channel: &Channel, token: &str) {
        let end = Instant::now() + PATIENCE;
        while let Err(status) = call(channel.clone(), self.token(token), "0").await {
            assert!(Instant::now() < end, "{status:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Closes its standard input, and waits until it has ended.
    async fn ends(self) -> ExitStatus {
        let Self {
            mut process, commands, ..
        } = self;
        drop(commands);
        let ended = tokio::task::spawn_blocking(move || process.wait());
        timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap()
    }
}

/// A connection with one of the certificates, or with none.
async fn connect(ready: &Value, name: Option<&str>) -> Result<Channel, tonic::transport::Error> {
    let folder = Path::new(ready["certificates"].as_str().unwrap());
    let read = |file: String| std::fs::read(folder.join(file)).unwrap();
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read("authority.pem".to_owned())))
        .domain_name("localhost");
    if let Some(name) = name {
        tls = tls.identity(Identity::from_pem(
            read(format!("{name}.pem")),
            read(format!("{name}.key")),
        ));
    }
    let address = format!("https://{}", ready["door"].as_str().unwrap());
    Endpoint::from_shared(address)
        .unwrap()
        .tls_config(tls)
        .unwrap()
        .connect()
        .await
}

fn lan() -> Person {
    Person {
        name: "Lan".to_owned(),
        ..Person::default()
    }
}

async fn call(channel: Channel, token: String, delay: &'static str) -> Result<tonic::Response<Person>, Status> {
    let mut grpc = Grpc::new(channel);
    let gone = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    grpc.ready().await.map_err(gone)?;
    let mut request = Request::new(lan());
    let metadata = request.metadata_mut();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    metadata.insert("x-delay-ms", delay.parse().unwrap());
    let path: PathAndQuery = format!("/{GET}").parse().unwrap();
    let codec = ProstCodec::<Person, Person>::default();
    grpc.unary(request, path, codec).await
}

/// The reason for which a call is refused. That the door has just not heard of revocations says nothing of it.
async fn refused(channel: &Channel, token: &str) -> Option<String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = call(channel.clone(), token.to_owned(), "0").await.unwrap_err();
        let reason = reason_of(&status);
        if reason.as_deref() != Some("PERMITS_STALE") {
            assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
            return reason;
        }
        assert!(Instant::now() < end, "{status:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_certificates_are_required_a_token_opens_nothing_without_one_of_its_own_system() {
    let mut served = Served::start();
    let ready = served.ready.clone();
    let own = connect(&ready, Some("own")).await.unwrap();
    let other = connect(&ready, Some("other")).await.unwrap();
    // The token of the first system that is bound, the one that is not, and that of the second system, which is not.
    for (channel, token) in [(&own, "token"), (&own, "unbound"), (&other, "honest")] {
        served.settled(channel, token).await;
    }

    let reached = served.ask("seen")["calls"].clone();
    let none = connect(&ready, None).await.unwrap();
    let nobody = connect(&ready, Some("nobody")).await.unwrap();
    for (whose, channel, tokens) in [
        ("none", &none, &["token", "unbound", "honest"][..]),
        // Of the authority that the door believes, and registered for nobody.
        ("nobody", &nobody, &["token", "unbound", "honest"][..]),
        ("other", &other, &["token", "unbound"][..]),
        ("own", &own, &["honest"][..]),
    ] {
        for token in tokens {
            let reason = refused(channel, &served.token(token)).await;
            assert_eq!(
                reason.as_deref(),
                Some("CERTIFICATE_NOT_BOUND"),
                "certificate {whose}, {token}"
            );
        }
    }
    assert_eq!(served.ask("seen")["calls"], reached, "none of it reached the provider");

    // The certificate is withdrawn while a call is under way on a connection with it: the token is as good as before.
    let mut grpc = Grpc::new(other.clone());
    grpc.ready().await.unwrap();
    let (say, said) = mpsc::channel(1);
    say.send(lan()).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(said));
    let token = format!("Bearer {}", served.token("honest"));
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    let path: PathAndQuery = format!("/{CHAT}").parse().unwrap();
    let codec = ProstCodec::<Person, Person>::default();
    let mut heard = grpc.streaming(request, path, codec).await.unwrap().into_inner();
    assert_eq!(heard.message().await.unwrap().unwrap().name, "Lan");
    assert_eq!(served.ask("withdraw"), serde_json::json!({}));
    let ended = timeout(PATIENCE, heard.message()).await.unwrap().unwrap_err();
    assert_eq!(reason_of(&ended).as_deref(), Some("AGREEMENT_ENDED"), "{ended:?}");
    drop(say);
    // The same connection and a new one are worth nothing any more; the other system goes on.
    for channel in [&other, &connect(&ready, Some("other")).await.unwrap()] {
        let reason = refused(channel, &served.token("honest")).await;
        assert_eq!(reason.as_deref(), Some("CERTIFICATE_NOT_BOUND"));
    }
    served.settled(&own, "unbound").await;

    let status = served.ends().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_sigterm_a_call_with_a_certificate_is_finished_and_recorded_and_no_new_one_is_taken() {
    let mut served = Served::start();
    let ready = served.ready.clone();
    let token = served.token("token");

    // Another certificate of the same authority does not go with the token.
    let other = connect(&ready, Some("other")).await.unwrap();
    let reason = refused(&other, &token).await;
    assert_eq!(reason.as_deref(), Some("CERTIFICATE_NOT_BOUND"));
    let end = Instant::now() + PATIENCE;
    let own = connect(&ready, Some("own")).await.unwrap();
    served.settled(&own, "token").await;
    let mut answered = 1;

    let under_way = tokio::spawn(call(own.clone(), token.clone(), DELAY));
    // The provider has it: the first call, and this one.
    loop {
        if served.ask("seen")["calls"].as_u64().unwrap() >= 2 {
            break;
        }
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(10)).await;
    }
    let pid = ready["pid"].as_u64().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    // New calls are refused from the moment on at which it has heard, on new connections too.
    loop {
        let Ok(channel) = connect(&ready, Some("own")).await else {
            break;
        };
        let Ok(called) = timeout(PATIENCE, call(channel, token.clone(), "0")).await else {
            panic!("a call was neither answered nor refused");
        };
        if called.is_err() {
            break;
        }
        answered += 1;
        assert!(Instant::now() < end);
    }
    let answer = timeout(PATIENCE, under_way).await.unwrap().unwrap().unwrap();
    answered += 1;
    assert!(answer.metadata().contains_key("x-egov-promise"));
    assert_eq!(answer.into_inner().name, "Lan");

    // What the database has when it ends: nothing open, nothing left to a sweep.
    let outcomes = line(&mut served.answers);
    assert_eq!(outcomes["answered"], answered, "{outcomes}");
    assert_eq!(
        (&outcomes["open"], &outcomes["cut"]),
        (&Value::from(0), &Value::from(0))
    );
    let status = served.ends().await;
    assert!(status.success(), "{status}");
}
