//! Starting the binary, and what is left of it.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A folder that PostgreSQL's user can get through when the tests run as root.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("egov-command-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir()
        .unwrap()
}

/// The binary, without what the surroundings might tell it.
pub(crate) fn egov() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_egov"));
    for variable in ["EGOV_DATABASE_URL", "EGOV_DATA", "EGOV_DEPLOY", "EGOV_TOKEN"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command on a data folder.
pub(crate) fn on(data: &Path, arguments: &[&str]) -> Output {
    egov()
        .args(arguments)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The JSON object that a command prints; it must succeed.
#[track_caller]
pub(crate) fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

/// Everything that a command said.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A port on which nothing listens, nor on the next one, which the door takes. Below those that the kernel hands out itself (from 32768 on Linux): one of
/// these could be anybody's connection by the time that it is listened on.
pub(crate) fn free_port() -> u16 {
    static ASKED: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap();
    std::iter::repeat_with(|| 20_000 + (first + ASKED.fetch_add(2, Ordering::Relaxed)) % 10_000)
        .find(|port| {
            [*port, port + 1]
                .iter()
                .all(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        })
        .unwrap()
}

/// A running `up`.
pub(crate) struct Up {
    child: Child,
    /// What it printed when it was ready.
    pub(crate) ready: Value,
    data: PathBuf,
}

impl Up {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(data: &Path, listen: &str) -> Self {
        Self::start_with(data, listen, &[])
    }

    /// The same, with these variables in its surroundings.
    pub(crate) fn start_with(data: &Path, listen: &str, variables: &[(&str, &str)]) -> Self {
        Self::run(
            data,
            egov().envs(variables.iter().copied()).args(["up", "--listen", listen]),
        )
    }

    /// The same, with a configuration.
    pub(crate) fn configured(data: &Path, listen: &str, config: &Path) -> Self {
        Self::run(data, egov().args(["up", "--listen", listen, "--config"]).arg(config))
    }

    /// The same with simulated partners, of which the configuration may name others.
    pub(crate) fn simulated(data: &Path, listen: &str, config: Option<&Path>) -> Self {
        let mut up = egov();
        up.args(["up", "--simulators", "--listen", listen]);
        if let Some(config) = config {
            up.arg("--config").arg(config);
        }
        Self::run(data, &mut up)
    }

    fn run(data: &Path, up: &mut Command) -> Self {
        let mut child = up
            .args(["--json", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Ok(ready) = serde_json::from_str(&line) else {
            let mut said = String::new();
            child.stderr.as_mut().unwrap().read_to_string(&mut said).unwrap();
            panic!("up did not become ready: {line}{said}");
        };
        Self {
            child,
            ready,
            data: data.to_owned(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> String {
        self.ready["url"].as_str().unwrap().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Asks it to stop, as an operator does, and sees that nothing is left.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "a drain is a success: {status}");
        assert!(!self.data.join("stack.json").exists());
        assert_eq!(left(&self.data), Vec::<String>::new(), "processes are left");
    }

    /// A power cut.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }
}

impl Drop for Up {
    /// A test that failed leaves no process behind either: the watcher of PostgreSQL sees to it.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let began = Instant::now();
        while !left(&self.data).is_empty() && began.elapsed() < Duration::from_secs(15) {
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

/// The processes whose arguments name the folder.
pub(crate) fn left(data: &Path) -> Vec<String> {
    let data = data.to_str().unwrap();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let arguments = std::fs::read(entry.path().join("cmdline")).ok()?;
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            arguments.contains(data).then_some(arguments)
        })
        .collect()
}
