//! The data folder: who holds it, where the running stack listens, and small files that others may not read.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// A process that looks whether the lock is free holds it for a moment.
const MOMENT: Duration = Duration::from_millis(400);

/// The data folder.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
}

/// Where the stack of a data folder runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where the door between systems listens.
    pub(crate) door: SocketAddr,
    /// Its process.
    pub(crate) pid: u32,
    /// How the superuser reaches its private cluster; none if the database is the operator's own.
    pub(crate) database: Option<String>,
}

impl Running {
    /// An address that this machine can call: a server on all addresses is called on the loopback.
    pub(crate) fn url(&self) -> String {
        url_of(self.address)
    }

    /// The same for the door between systems.
    pub(crate) fn door_url(&self) -> String {
        url_of(self.door)
    }
}

/// The URL under which this machine calls a listening address.
pub(crate) fn url_of(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("http://{address}")
}

/// The data folder is this process's as long as this value lives.
#[derive(Debug)]
pub(crate) struct Held {
    _file: File,
}

impl Place {
    /// The folder, which need not exist.
    pub(crate) fn at(folder: &Path) -> anyhow::Result<Self> {
        let folder = std::path::absolute(folder).with_context(|| format!("{} is no path", folder.display()))?;
        Ok(Self { folder })
    }

    /// The folder, made if it is missing. The server's user must get through it, so others may enter, but not look.
    pub(crate) fn make(folder: &Path) -> anyhow::Result<Self> {
        let place = Self::at(folder)?;
        if !place.folder.is_dir() {
            let mut builder = DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o711)
                .create(&place.folder)
                .map_err(|error| {
                    Problem::new(
                        format!("cannot make the data folder {}: {error}", place.folder.display()),
                        "choose another with --data DIR",
                    )
                })?;
        }
        Ok(place)
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Takes the folder for this process, or says who holds it.
    pub(crate) fn hold(&self) -> anyhow::Result<Held> {
        let path = self.path("up.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if began.elapsed() < MOMENT => {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    let mut pid = String::new();
                    file.read_to_string(&mut pid)?;
                    let pid = pid.trim();
                    return Err(Problem::new(
                        format!("the data folder {} is held by process {pid}", self.folder.display()),
                        format!("use the stack that runs there, or stop it with `kill {pid}`"),
                    )
                    .or("start another one with its own folder and port: --data DIR --listen 127.0.0.1:PORT")
                    .into());
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Held { _file: file })
    }

    /// The stack that runs on this folder, if one does.
    pub(crate) fn running(&self) -> Option<Running> {
        let lock = File::open(self.path("up.lock")).ok()?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => self.read("stack.json").ok().flatten(),
            _ => None,
        }
    }

    /// Reads a small JSON file; none if it is not there.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let path = self.path(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let value = serde_json::from_str(&text).map_err(|error| {
            Problem::new(
                format!("{} is damaged: {error}", path.display()),
                "restore it from the backup of the keys, or move it away; it is made anew then",
            )
        })?;
        Ok(Some(value))
    }

    /// Writes a small JSON file, whole or not at all, for its owner only.
    pub(crate) fn write<T: Serialize>(&self, name: &str, value: &T) -> anyhow::Result<()> {
        write_private(&self.path(name), serde_json::to_string_pretty(value)?.as_bytes())
    }

    /// Removes a file; that it is not there is right too.
    pub(crate) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
    }
}

/// Writes a file for its owner only, whole or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let wrote = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    wrote.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_to_come_is_told_who_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::make(folder.path()).unwrap();
        let held = place.hold().unwrap();
        let running = Running {
            address: "127.0.0.1:1".parse().unwrap(),
            door: "127.0.0.1:2".parse().unwrap(),
            pid: 7,
            database: None,
        };
        place.write("stack.json", &running).unwrap();

        let refused = place.hold().unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        assert_eq!(place.running(), Some(running));

        drop(held);
        assert_eq!(
            place.running(),
            None,
            "a file that was left behind does not make a stack"
        );
        place.hold().unwrap();
    }

    #[test]
    fn a_server_on_all_addresses_is_called_on_the_loopback() {
        assert_eq!(url_of("0.0.0.0:8765".parse().unwrap()), "http://127.0.0.1:8765");
        assert_eq!(url_of("[::]:8765".parse().unwrap()), "http://[::1]:8765");
    }
}
