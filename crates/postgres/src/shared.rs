//! A throw-away cluster that many processes use.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::address::Address;
use crate::error::PostgresError;
use crate::folder::{Layout, Record};
use crate::installation::Installation;
use crate::lock::HolderLock;
use crate::process::{Postmaster, last_lines, stop_left_over, wait_until, works_in, written_since};
use crate::server::{ClusterOptions, Durability, Server};
use crate::watcher::Watch;

/// The number of the machine's present run: it changes with every start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A cluster for tests, started by the first process that joins it and stopped when the last one has gone.
///
/// Every process that joins holds a shared lock on a file for as long as it lives; the watcher waits for the exclusive
/// lock. So the kernel does the counting, and a process that was killed is counted out too.
///
/// Its data may vanish: it always runs with [`Durability::TestOnly`], and what cannot be used (damaged, of another
/// version, or possibly torn by a restart of the machine) is thrown away and made anew.
#[derive(Debug)]
pub struct SharedCluster {
    address: Address,
    /// The server, if this process was the first. Kept so that it can be waited for.
    server: Option<Server>,
    _user: File,
}

impl SharedCluster {
    /// Joins the cluster in the data folder, starting it if it does not run.
    ///
    /// Hold the value as long as the process needs the cluster; of several joins in one process, each counts.
    ///
    /// # Errors
    /// As [`crate::Cluster::start`].
    pub fn join(installation: &Installation, options: ClusterOptions) -> Result<Self, PostgresError> {
        let options = options.durability(Durability::TestOnly);
        let layout = options.layout()?;
        let users = layout.base.join("users.lock");
        let locked = || PostgresError::io("lock", "khoá", &users);
        // Waits while the watcher stops the cluster after its last user.
        let user = open_lock(&users)?;
        user.lock_shared().map_err(locked())?;
        let gate_file = layout.base.join("gate.lock");

        // Somebody may be between two states: a server that was killed is noticed by its watcher within ten seconds.
        let patience = options.start_timeout + Duration::from_secs(15);
        let outcome = wait_until(patience, || {
            let attempt = || -> Result<Option<(Address, Option<Server>)>, PostgresError> {
                // One at a time; released at the end of the attempt.
                let gate = open_lock(&gate_file)?;
                gate.lock().map_err(PostgresError::io("lock", "khoá", &gate_file))?;
                let layout = options.layout()?;
                match HolderLock::try_take(&layout.lock())? {
                    None => Ok(runs(&layout).then(|| (layout.address(), None))),
                    Some(lock) => {
                        let server = start(installation, &options, layout, &lock, &users)?;
                        Ok(Some((server.address.clone(), Some(server))))
                    }
                }
            };
            attempt().transpose()
        });
        match outcome {
            Some(joined) => {
                let (address, server) = joined?;
                Ok(Self {
                    address,
                    server,
                    _user: user,
                })
            }
            None => Err(PostgresError::NotReady {
                seconds: patience.as_secs(),
                tail: last_lines(&written_since(&layout.log(), 0), 15),
                log: layout.log(),
            }),
        }
    }

    /// Where it is reached.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A URL that connects to `database` as the superuser.
    pub fn url(&self, database: &str) -> String {
        self.address.url(database, self.address.superuser())
    }

    /// Whether this process was the first and started it.
    pub fn was_first(&self) -> bool {
        self.server.is_some()
    }
}

/// Whether the server of `layout` accepts connections.
fn runs(layout: &Layout) -> bool {
    let cluster = layout.cluster();
    Postmaster::read(&cluster).is_some_and(|found| found.ready && works_in(found.pid, &cluster))
}

/// Starts the server; if the data cannot be used, begins anew.
///
/// Only the watcher keeps the lock afterwards: it is free as soon as the server has stopped, though we live on.
fn start(
    installation: &Installation,
    options: &ClusterOptions,
    layout: Layout,
    lock: &HolderLock,
    users: &Path,
) -> Result<Server, PostgresError> {
    let boot_file = layout.base.join("boot-id");
    let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
    let torn = fs::read_to_string(&boot_file).is_ok_and(|earlier| earlier != boot);
    // Its folder was deleted (`cargo clean`), but it lay elsewhere.
    let foreign = layout.cluster().exists() && Record::read(&layout.asked)?.is_none();
    if torn || foreign {
        discard(&layout)?;
    }
    fs::write(&boot_file, boot).map_err(PostgresError::io("write", "ghi", boot_file))?;
    // A lock belongs to one opening of the file: the watcher needs its own.
    let watch = || open_lock(users).map(Watch::Users);
    match Server::start(installation, options, layout, lock, watch()?) {
        Err(PostgresError::Damaged { .. } | PostgresError::WrongVersion { .. }) => {
            discard(&options.layout()?)?;
            Server::start(installation, options, options.layout()?, lock, watch()?)
        }
        outcome => outcome,
    }
}

/// Throws the cluster away.
fn discard(layout: &Layout) -> Result<(), PostgresError> {
    let cluster = layout.cluster();
    tracing::warn!(folder = %cluster.display(), "throwing away a test cluster that cannot be used");
    stop_left_over(&cluster)?;
    let record = layout.asked.join("cluster.json");
    if cluster.exists() {
        fs::remove_dir_all(&cluster).map_err(PostgresError::io("remove", "xoá", cluster))?;
    }
    if record.exists() {
        fs::remove_file(&record).map_err(PostgresError::io("remove", "xoá", record))?;
    }
    Ok(())
}

fn open_lock(path: &Path) -> Result<File, PostgresError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(path)
        .map_err(PostgresError::io("open", "mở", path))
}
