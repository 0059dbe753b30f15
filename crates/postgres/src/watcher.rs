//! Stops the server when we are gone.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::account::Account;
use crate::error::PostgresError;
use crate::lock::HolderLock;

const SCRIPT: &str = include_str!("watcher.sh");

/// Whose end the watcher waits for.
pub(crate) enum Watch {
    /// This process.
    ThisProcess,
    /// Every process that holds a shared lock on this file, opened for the watcher alone.
    Users(File),
}

/// The shell that stops the server when its users are gone.
///
/// It is started before the server, so there is no moment in which our death would leave one behind, and it runs under
/// the server's user in a process group of its own.
#[derive(Debug)]
pub(crate) struct Watcher {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watcher {
    pub(crate) fn start(
        account: &Account,
        cluster: &Path,
        lock: &HolderLock,
        watch: Watch,
    ) -> Result<Self, PostgresError> {
        let mut command = account.command("/bin/sh");
        command.arg("-c").arg(SCRIPT).arg("egov-postgres-watcher").arg(cluster);
        match watch {
            Watch::ThisProcess => command.arg("pipe").stdin(Stdio::piped()),
            Watch::Users(file) => command.arg("users").stdin(file),
        };
        let mut shell = command
            .stdout(lock.handle()?)
            .stderr(Stdio::null())
            .spawn()
            .map_err(PostgresError::io("run", "chạy", "/bin/sh"))?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// Whether it still watches.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(None))
    }

    /// Sends it home after the server has stopped, and waits until it has gone.
    pub(crate) fn dismiss(&mut self) {
        match self.pipe.take() {
            // It may have died; then there is nobody to tell.
            Some(mut pipe) => drop(pipe.write_all(b"stopped\n")),
            // It waits in a child of its own, so both are ended.
            None => drop(killpg(Pid::from_raw(self.shell.id() as i32), Signal::SIGKILL)),
        }
        if let Err(error) = self.shell.wait() {
            tracing::warn!(%error, "could not wait for the watcher of PostgreSQL");
        }
    }
}
