//! NATS servers with JetStream for one test: Debian's package `nats-server`, on ports of their own, over folders of their own.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Where Debian's package and others put the program.
const PROGRAMS: [&str; 3] = ["nats-server", "/usr/sbin/nats-server", "/usr/local/bin/nats-server"];

/// How many servers a cluster has.
const SERVERS: usize = 3;

/// A running server; it stops with this value, and its folder goes.
#[derive(Debug)]
pub struct NatsServer {
    address: String,
    arguments: Vec<String>,
    child: Child,
    folder: TempDir,
}

impl NatsServer {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// If the program is missing (the text says how to install it) or does not start.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(Vec::new()).await
    }

    async fn start_with(arguments: Vec<String>) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("egov-nats-").tempdir()?;
        let child = spawn(folder.path(), "-1", &arguments)?;
        let mut server = Self {
            address: String::new(),
            arguments,
            child,
            folder,
        };
        server.listening().await?;
        Ok(server)
    }

    /// Its address: `nats://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Kills it as a fault would: without a word to anybody.
    ///
    /// # Errors
    /// The system's.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Starts it once more after [`kill`](Self::kill), on the same port and over what it had stored.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start_again(&mut self) -> io::Result<()> {
        if let Some(ports) = self.ports_file()? {
            std::fs::remove_file(ports)?;
        }
        let port = self.address.rsplit(':').next().unwrap_or_default().to_owned();
        self.child = spawn(self.folder.path(), &port, &self.arguments)?;
        self.listening().await
    }

    /// Waits until it says where it listens.
    async fn listening(&mut self) -> io::Result<()> {
        for _ in 0..200 {
            if let Some(address) = self.ports_file()?.map(written_address).transpose()?.flatten() {
                self.address = address;
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("nats-server ended with {status}")));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "nats-server does not say where it listens",
        ))
    }

    fn ports_file(&self) -> io::Result<Option<PathBuf>> {
        Ok(std::fs::read_dir(self.folder.path())?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|ending| ending == "ports")))
    }
}

fn written_address(ports: PathBuf) -> io::Result<Option<String>> {
    let text = std::fs::read_to_string(ports)?;
    let ports: serde_json::Value = match serde_json::from_str(&text) {
        Ok(ports) => ports,
        // Still being written.
        Err(_) => return Ok(None),
    };
    Ok(ports.pointer("/nats/0").and_then(|at| at.as_str()).map(str::to_owned))
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // It has nothing that is worth a drain.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three servers that keep what they are told together.
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts three and waits until they listen. They take some seconds more until they have chosen who leads them.
    ///
    /// # Errors
    /// If the program is missing or does not start.
    pub async fn start() -> io::Result<Self> {
        let mut tried = Self::try_start().await;
        // Somebody else may have taken a port before its server did.
        for _ in 0..2 {
            if tried.is_ok() {
                break;
            }
            tried = Self::try_start().await;
        }
        tried
    }

    async fn try_start() -> io::Result<Self> {
        let routes = free_ports()?.map(|port| format!("nats://127.0.0.1:{port}"));
        let mut servers = Vec::with_capacity(SERVERS);
        for (number, route) in routes.iter().enumerate() {
            let arguments = [
                "--server_name",
                &format!("n{number}"),
                "--cluster_name",
                "egov",
                "--cluster",
                route,
                "--routes",
                &routes.join(","),
            ];
            servers.push(NatsServer::start_with(arguments.map(str::to_owned).to_vec()).await?);
        }
        Ok(Self { servers })
    }

    /// Their addresses, by commas.
    pub fn addresses(&self) -> String {
        let addresses: Vec<&str> = self.servers.iter().map(NatsServer::address).collect();
        addresses.join(",")
    }

    /// The server of this name: `n0`, `n1` or `n2`.
    pub fn server(&mut self, name: &str) -> Option<&mut NatsServer> {
        let number: usize = name.strip_prefix('n')?.parse().ok()?;
        self.servers.get_mut(number)
    }
}

/// Ports on which nobody listens, by which the servers of a cluster find each other: each must know those of the others before they
/// start.
fn free_ports() -> io::Result<[u16; SERVERS]> {
    // All of them are held at the same time, so that none comes twice.
    let mut held = Vec::with_capacity(SERVERS);
    let mut ports = [0; SERVERS];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn spawn(folder: &Path, port: &str, arguments: &[String]) -> io::Result<Child> {
    for program in PROGRAMS {
        let started = Command::new(program)
            .args(["--jetstream", "--addr", "127.0.0.1", "--port", port])
            .arg("--store_dir")
            .arg(folder.join("store"))
            .arg("--ports_file_dir")
            .arg(folder)
            .args(arguments)
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
