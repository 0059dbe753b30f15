//! A cluster that one process holds.

use std::path::Path;

use crate::account::Account;
use crate::address::Address;
use crate::error::PostgresError;
use crate::installation::Installation;
use crate::lock::HolderLock;
use crate::server::{ClusterOptions, Server};
use crate::watcher::Watch;

/// A private cluster, running as long as this value lives.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    notice: Option<String>,
    notice_vi: Option<String>,
    /// Given back after the server has stopped.
    _lock: HolderLock,
}

impl Cluster {
    /// Starts the cluster in the data folder, making it if the folder has none, and waits until it accepts connections.
    ///
    /// When this process is root, the server runs as the owner of the existing cluster, else as `postgres`, else as
    /// `nobody`. A new cluster whose folder that user cannot reach is made under [`ClusterOptions::fallback`], and
    /// [`Cluster::notice`] says so.
    ///
    /// # Errors
    /// Each variant of [`PostgresError`] that speaks of a folder, a disk, a version, a holder or a start.
    pub fn start(installation: &Installation, options: ClusterOptions) -> Result<Self, PostgresError> {
        let layout = options.layout()?;
        // Before the lock: another user's files, the lock among them, could not be opened.
        Account::choose(&layout.cluster())?;
        let lock = HolderLock::take(&layout.lock())?;
        let server = Server::start(installation, &options, layout, &lock, Watch::ThisProcess)?;
        let text = |lines: &[String]| (!lines.is_empty()).then(|| lines.join("; "));
        Ok(Self {
            notice: text(&server.notice.en),
            notice_vi: text(&server.notice.vi),
            server,
            _lock: lock,
        })
    }

    /// Where it is reached.
    pub fn address(&self) -> &Address {
        &self.server.address
    }

    /// The folder that holds the socket.
    pub fn socket_dir(&self) -> &Path {
        self.server.address.socket_dir()
    }

    /// The number in the socket's name; nothing listens on the network.
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// The superuser's role.
    pub fn superuser(&self) -> &str {
        self.server.address.superuser()
    }

    /// A URL that connects to `database` as the superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_as(database, self.superuser())
    }

    /// A URL that connects to `database` as `role`.
    pub fn url_as(&self, database: &str, role: &str) -> String {
        self.server.address.url(database, role)
    }

    /// The folder in which the cluster lies: the asked-for one, or the one under the fallback.
    pub fn folder(&self) -> &Path {
        self.server.base()
    }

    /// What the operator should know about this start, in English: that the cluster lies elsewhere, or that an earlier
    /// server had to be stopped.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// The same in Vietnamese.
    pub fn notice_vi(&self) -> Option<&str> {
        self.notice_vi.as_deref()
    }

    /// Whether this start made the cluster.
    pub fn is_new(&self) -> bool {
        self.server.is_new
    }

    /// The server's process id.
    pub fn pid(&self) -> i32 {
        self.server.pid()
    }

    /// Whether the server still runs. If not, somebody else ended it.
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    /// Stops the server: open sessions are ended, what they had not committed is rolled back. Returns when it has gone.
    ///
    /// # Errors
    /// [`PostgresError::NotStopped`] if it had to be killed.
    pub fn stop(mut self) -> Result<(), PostgresError> {
        self.server.stop()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.server.stop() {
            tracing::error!(%error, "PostgreSQL did not stop cleanly");
        }
    }
}
