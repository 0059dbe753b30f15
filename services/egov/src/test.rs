//! `cargo egov test`: the whole suite with plain `cargo test`, with one throw-away database server set up beforehand.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use egov_postgres::{Cluster, ClusterOptions, Durability};
use egov_runtime::server::Shutdown;
use nix::sys::signal::{Signal, killpg};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::problem::Problem;
use crate::{nats, postgres, say};

/// The variable in which the tests look for a server.
const SERVER_VARIABLE: &str = "EGOV_TEST_POSTGRES";

/// The variable by which Rust's harness is told how many tests run at once.
const THREADS_VARIABLE: &str = "RUST_TEST_THREADS";

/// How long a process that a test started may take to end after it.
const GOODBYE: Duration = Duration::from_secs(5);

/// Several test binaries with several pools each.
const CONNECTIONS: u32 = 300;

/// Folders of throw-away servers begin so, then the number of the process that made them.
const PREFIX: &str = "egov-test-";

/// Tests wait for connections, clocks and answers for a third to two thirds of their time: half as many again as there are
/// cores keep these busy. More would make what waits for a deadline late on a slow machine.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(3, |cores| cores.get() + cores.get().div_ceil(2))
}

/// A run needs some 3 GiB; the rest is for the compiler and for whoever else works on the machine.
const ROOM_IN_MEMORY: u64 = 8 << 30;

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

/// Where a throw-away server lies in memory, if this machine has the room: the tests clone some thousand databases, and
/// making and removing their files is most of what a server on a disk does.
fn memory_folder() -> Option<&'static Path> {
    let folder = Path::new("/dev/shm");
    let is_memory = statfs(folder).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC);
    let room = statvfs(folder).map_or(0, |found| {
        found.blocks_available().saturating_mul(found.fragment_size())
    });
    let memory = std::fs::read_to_string("/proc/meminfo").map_or(0, |text| available_memory(&text));
    (is_memory && room.min(memory) >= ROOM_IN_MEMORY).then_some(folder)
}

/// The bytes that `/proc/meminfo` says new programs may use; 0 if it does not say.
fn available_memory(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or_default().saturating_mul(1024)
}

/// Removes what killed runs left in memory: folders named after processes that are gone.
fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(process_of);
        if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            // Another user's folder stays; it is that user's to sweep.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The process that a folder of ours is named after.
fn process_of(folder: &str) -> Option<u32> {
    folder.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// A throw-away database server, in a folder of its own.
pub(crate) struct Throwaway {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Throwaway {
    /// Starts it.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let memory = memory_folder();
        if let Some(memory) = memory {
            sweep(memory);
        }
        // The server's user must get through the folder when this process is root.
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .permissions(Permissions::from_mode(0o711))
            .tempdir_in(memory.map_or_else(std::env::temp_dir, Path::to_owned))
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
    let left = still_there(&url).await;
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
    let threads = std::env::var_os(THREADS_VARIABLE).unwrap_or_else(|| threads().to_string().into());
    let mut child = command
        .args(arguments)
        .current_dir(workspace)
        .env(SERVER_VARIABLE, url)
        .env("SQLX_OFFLINE", "true")
        .env(THREADS_VARIABLE, threads)
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

/// What is left behind after a moment: a process that is told to end by the end of the one that started it needs some time for it.
async fn still_there(url: &str) -> Vec<String> {
    let end = tokio::time::Instant::now() + GOODBYE;
    loop {
        let left = left_behind(url);
        if left.is_empty() || tokio::time::Instant::now() >= end {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes_and_a_text_without_it_is_none() {
        let text = "MemTotal:       24576000 kB\nMemFree:         1000 kB\nMemAvailable:   16384000 kB\n";
        assert_eq!(available_memory(text), 16_384_000 * 1024);
        assert_eq!(available_memory("MemTotal: 1 kB"), 0);
        assert_eq!(available_memory("MemAvailable: much"), 0);
    }

    #[test]
    fn only_a_folder_of_ours_names_a_process() {
        assert_eq!(process_of("egov-test-4711-a1b2"), Some(4711));
        assert_eq!(process_of("egov-test-a1b2c3"), None);
        assert_eq!(process_of("PostgreSQL.123"), None);
    }

    #[test]
    fn what_a_dead_process_left_is_swept_and_what_a_living_one_uses_is_not() {
        let place = tempfile::tempdir().unwrap();
        // No process has this number: the kernel's highest is 4 194 304.
        let dead = place.path().join(format!("{PREFIX}4999999-a"));
        let alive = place.path().join(format!("{PREFIX}{}-a", std::process::id()));
        for folder in [&dead, &alive] {
            std::fs::create_dir_all(folder.join("postgres")).unwrap();
        }
        sweep(place.path());
        assert!(!dead.exists());
        assert!(alive.exists());
    }
}
