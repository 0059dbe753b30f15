//! The door as in production: a process of its own, certificates on both sides, tokens that are bound to them, and SIGTERM.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use egov_fault::reason_of;
use http::uri::PathAndQuery;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use tonic::client::Grpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::door::{GET, Person};
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

/// A connection with one of the certificates.
async fn connect(ready: &Value, name: &str) -> Result<Channel, tonic::transport::Error> {
    let folder = Path::new(ready["certificates"].as_str().unwrap());
    let read = |file: String| std::fs::read(folder.join(file)).unwrap();
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read("authority.pem".to_owned())))
        .identity(Identity::from_pem(
            read(format!("{name}.pem")),
            read(format!("{name}.key")),
        ))
        .domain_name("localhost");
    let address = format!("https://{}", ready["door"].as_str().unwrap());
    Endpoint::from_shared(address)
        .unwrap()
        .tls_config(tls)
        .unwrap()
        .connect()
        .await
}

/// A call with the token that is bound to the certificate `own`.
async fn call(channel: Channel, token: String, delay: &'static str) -> Result<tonic::Response<Person>, Status> {
    let mut grpc = Grpc::new(channel);
    let gone = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    grpc.ready().await.map_err(gone)?;
    let mut request = Request::new(Person {
        name: "Lan".to_owned(),
        ..Person::default()
    });
    let metadata = request.metadata_mut();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    metadata.insert("x-delay-ms", delay.parse().unwrap());
    let path: PathAndQuery = format!("/{GET}").parse().unwrap();
    let codec = ProstCodec::<Person, Person>::default();
    grpc.unary(request, path, codec).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_sigterm_a_call_with_a_certificate_is_finished_and_recorded_and_no_new_one_is_taken() {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "served::serve_a_door", "--ignored", "--nocapture"])
        .env(VARIABLE, "production")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut commands = process.stdin.take().unwrap();
    let mut answers = BufReader::new(process.stdout.take().unwrap());
    let ready = line(&mut answers);
    let token = ready["token"].as_str().unwrap().to_owned();

    // Another certificate of the same authority does not go with the token. The door may not have the agreement yet.
    let other = connect(&ready, "other").await.unwrap();
    let refused = call(other, token.clone(), "0").await.unwrap_err();
    assert_eq!(reason_of(&refused).as_deref(), Some("CERTIFICATE_NOT_BOUND"));
    let end = Instant::now() + PATIENCE;
    let own = connect(&ready, "own").await.unwrap();
    while let Err(status) = call(own.clone(), token.clone(), "0").await {
        assert!(Instant::now() < end, "{status:?}");
        sleep(Duration::from_millis(50)).await;
    }
    let mut answered = 1;

    let under_way = tokio::spawn(call(own.clone(), token.clone(), DELAY));
    // The provider has it: the first call, and this one.
    loop {
        writeln!(commands, "seen").unwrap();
        if line(&mut answers)["calls"].as_u64().unwrap() >= 2 {
            break;
        }
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(10)).await;
    }
    let pid = ready["pid"].as_u64().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    // New calls are refused from the moment on at which it has heard, on new connections too.
    loop {
        let Ok(channel) = connect(&ready, "own").await else {
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
    let outcomes = line(&mut answers);
    assert_eq!(outcomes["answered"], answered, "{outcomes}");
    assert_eq!(
        (&outcomes["open"], &outcomes["cut"]),
        (&Value::from(0), &Value::from(0))
    );
    let ended = tokio::task::spawn_blocking(move || process.wait());
    let status = timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap();
    assert!(status.success(), "{status}");
    drop(commands);
}
