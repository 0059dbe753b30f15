//! `cargo egov test`: the whole suite with plain `cargo test`, with one throw-away database server set up beforehand.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use egov_postgres::{Cluster, ClusterOptions, Durability};
use egov_runtime::server::Shutdown;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::problem::Problem;
use crate::{nats, postgres, say};

/// The variable in which the tests look for a server.
const SERVER_VARIABLE: &str = "EGOV_TEST_POSTGRES";

/// Several test binaries with several pools each.
const CONNECTIONS: u32 = 300;

/// `cargo egov test`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Given to `cargo test` in the place of the rest, for example `-- -p egov-onestop a_birth`.
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// The folder of the workspace: the one that the command is called in, or the one that it was built from.
pub(crate) fn workspace() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder cannot be read")?;
    let is_ours =
        |folder: &&Path| folder.join("services/egov/Cargo.toml").is_file() && folder.join("Cargo.lock").is_file();
    if let Some(found) = here.ancestors().find(is_ours) {
        return Ok(found.to_owned());
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match source.canonicalize() {
        Ok(source) if is_ours(&source.as_path()) => Ok(source),
        _ => Err(Problem::new("the sources are not here", "run this inside a clone of the repository").into()),
    }
}

/// A throw-away database server, in a folder of its own.
pub(crate) struct Throwaway {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Throwaway {
    /// Starts it.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        // The server's user must get through the folder when this process is root.
        let folder = tempfile::Builder::new()
            .prefix("egov-test-")
            .permissions(Permissions::from_mode(0o711))
            .tempdir()
            .context("no temporary folder can be made")?;
        let data = folder.path().join("postgres");
        tokio::task::spawn_blocking(move || {
            let installation = postgres::find(&data)?;
            let options = ClusterOptions::new(data)
                .durability(Durability::TestOnly)
                .max_connections(CONNECTIONS);
            let cluster = Cluster::start(&installation, options).map_err(Problem::from)?;
            Ok(Self { cluster, folder })
        })
        .await?
    }

    /// How its superuser reaches it.
    pub(crate) fn url(&self) -> String {
        self.cluster.url("postgres")
    }

    /// Stops it and removes its folder.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self { cluster, folder } = self;
        let elsewhere = Some(cluster.folder().to_owned()).filter(|lies| !lies.starts_with(folder.path()));
        tokio::task::spawn_blocking(move || cluster.stop())
            .await?
            .map_err(Problem::from)?;
        if let Some(elsewhere) = elsewhere {
            std::fs::remove_dir_all(&elsewhere).with_context(|| format!("cannot remove {}", elsewhere.display()))?;
        }
        folder.close().context("the temporary folder cannot be removed")
    }
}

/// `cargo egov test`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let workspace = workspace()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let server = Throwaway::start().await?;
    let url = server.url();
    let outcome = suite(&workspace, &url, &arguments.arguments, &shutdown).await;
    let left = left_behind(&url);
    server.stop().await?;
    outcome?;
    if !left.is_empty() {
        return Err(Problem::new(
            format!("the tests left processes behind: {}", left.join(", ")),
            "see which test starts them; each must stop what it starts",
        )
        .into());
    }
    Ok(())
}

async fn suite(workspace: &Path, url: &str, arguments: &[String], shutdown: &Shutdown) -> anyhow::Result<()> {
    let mut all = vec!["test".to_owned()];
    // Cargo takes the whole workspace even if a package is named beside it.
    if !arguments
        .iter()
        .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
    {
        all.push("--workspace".to_owned());
    }
    if arguments.is_empty() {
        // One run names every failure, not the first crate's alone.
        all.push("--no-fail-fast".to_owned());
    }
    all.extend_from_slice(arguments);
    cargo(workspace, url, &all, shutdown).await?;
    if arguments.is_empty() {
        // Row-level security alone must keep the neighbour out. Of the whole workspace, though one package is meant: features
        // of others' crates are then those of the first run, and nothing but one-stop is compiled again.
        let second = [
            "test",
            "--workspace",
            "--exclude",
            "egov",
            "--features",
            "egov-onestop/test-without-query-filter",
            "--test",
            "it",
            "neighbour",
        ];
        cargo(workspace, url, &second.map(str::to_owned), shutdown).await?;
    }
    Ok(())
}

async fn cargo(workspace: &Path, url: &str, arguments: &[String], shutdown: &Shutdown) -> anyhow::Result<()> {
    say::note(format!("cargo {}", arguments.join(" ")));
    let mut command = Command::new("cargo");
    if let Some(path) = nats::path_with_program(workspace).await {
        command.env("PATH", path);
    }
    let mut child = command
        .args(arguments)
        .current_dir(workspace)
        .env(SERVER_VARIABLE, url)
        .env("SQLX_OFFLINE", "true")
        // A group of its own, so that a Ctrl-C reaches this process first and everything below it can be stopped.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("cargo does not start; is it on the PATH?")?;
    let status = tokio::select! {
        status = child.wait() => status?,
        () = shutdown.draining() => {
            stop(&mut child).await?;
            anyhow::bail!("interrupted");
        }
    };
    if status.success() {
        return Ok(());
    }
    Err(Problem::new(
        format!("`cargo {}` ended with {status}", arguments.join(" ")),
        "read the failures above; one test alone: cargo egov test -- -p PACKAGE NAME",
    )
    .into())
}

/// Stops a child and all of its group.
async fn stop(child: &mut Child) -> anyhow::Result<()> {
    if let Some(pid) = child.id() {
        let group = Pid::from_raw(i32::try_from(pid)?);
        let _ = killpg(group, Signal::SIGTERM);
        let gone = tokio::time::timeout(std::time::Duration::from_secs(10), child.wait()).await;
        if gone.is_err() {
            let _ = killpg(group, Signal::SIGKILL);
            child.wait().await?;
        }
    }
    Ok(())
}

/// Processes that still have the variable of this run in their environment.
fn left_behind(url: &str) -> Vec<String> {
    let mark = format!("{SERVER_VARIABLE}={url}");
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            let ours = environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == mark.as_bytes());
            let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
            (ours && pid != std::process::id()).then(|| format!("{} ({pid})", name.trim()))
        })
        .collect()
}
