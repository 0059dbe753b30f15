//! A NATS server with JetStream for one test: Debian's package `nats-server`, on a port of its own, over a folder of its own.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Where Debian's package and others put the program.
const PROGRAMS: [&str; 3] = ["nats-server", "/usr/sbin/nats-server", "/usr/local/bin/nats-server"];

/// A running server; it stops with this value, and its folder goes.
#[derive(Debug)]
pub struct NatsServer {
    address: String,
    child: Child,
    folder: TempDir,
}

impl NatsServer {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// If the program is missing (the text says how to install it) or does not start.
    pub async fn start() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("egov-nats-").tempdir()?;
        let child = spawn(&folder)?;
        let mut server = Self {
            address: String::new(),
            child,
            folder,
        };
        for _ in 0..200 {
            if let Some(address) = server.ports_file()? {
                server.address = address;
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("nats-server ended with {status}")));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "nats-server does not say where it listens",
        ))
    }

    /// Its address: `nats://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn ports_file(&self) -> io::Result<Option<String>> {
        let Some(name) = std::fs::read_dir(self.folder.path())?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|ending| ending == "ports"))
        else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(name)?;
        let ports: serde_json::Value = match serde_json::from_str(&text) {
            Ok(ports) => ports,
            // Still being written.
            Err(_) => return Ok(None),
        };
        Ok(ports.pointer("/nats/0").and_then(|at| at.as_str()).map(str::to_owned))
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // It has nothing that is worth a drain.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &TempDir) -> io::Result<Child> {
    for program in PROGRAMS {
        let started = Command::new(program)
            .args(["--jetstream", "--addr", "127.0.0.1", "--port", "-1"])
            .arg("--store_dir")
            .arg(folder.path().join("store"))
            .arg("--ports_file_dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => return outcome,
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        "nats-server is missing: as root, apt-get install --no-install-recommends nats-server",
    ))
}
