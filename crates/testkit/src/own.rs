//! A PostgreSQL server that one test has to itself, so that it can be taken away under a running service and come back.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use egov_postgres::{Cluster, ClusterOptions, Installation, MINIMUM_VERSION, discover_for};
use sqlx::migrate::Migrator;
use tempfile::TempDir;

use crate::database::{TestDatabase, show_log};
use crate::error::TestkitError;
use crate::template;
use crate::url::ServerUrl;

/// How many times, 10 ms apart, it is looked whether the server has ended.
const LOOKS: u32 = 1_000;

/// A running server of one test. What it committed survives [`OwnServer::cut`]. It stops with this value, and its folder goes.
#[derive(Debug)]
pub struct OwnServer {
    installation: Installation,
    url: ServerUrl,
    /// None between a cut and the next start.
    cluster: Option<Cluster>,
    /// Goes after the server has stopped.
    folder: TempDir,
}

impl OwnServer {
    /// Makes a cluster and starts its server: some seconds.
    ///
    /// # Errors
    /// If PostgreSQL is missing or does not start.
    pub async fn start() -> Result<Self, TestkitError> {
        show_log();
        tokio::task::spawn_blocking(|| {
            let folder = open_folder().map_err(|error| TestkitError::Server(error.to_string()))?;
            let installation = discover_for(folder.path(), MINIMUM_VERSION)?;
            let cluster = Cluster::start(&installation, options(folder.path()))?;
            let url = ServerUrl::parse(&cluster.url("postgres")).ok_or(TestkitError::BadUrl)?;
            Ok(Self {
                installation,
                url,
                cluster: Some(cluster),
                folder,
            })
        })
        .await
        .unwrap_or(Err(TestkitError::CutOff))
    }

    /// Makes and migrates the database of a service on it, as in production. It goes with the server.
    ///
    /// # Errors
    /// If the migrations fail.
    pub async fn database(
        &self,
        service: &'static str,
        migrator: &'static Migrator,
    ) -> Result<TestDatabase, TestkitError> {
        template::provision(self.url.clone(), service, migrator, service.to_owned()).await?;
        Ok(TestDatabase::of_own_server(&self.url, service))
    }

    /// Ends it at once, as `pg_ctl stop --mode immediate` does: no session ends in order, nothing is written any more, and the
    /// next start recovers from the log. Returns when it is gone.
    ///
    /// # Errors
    /// If it runs on.
    pub async fn cut(&mut self) -> Result<(), TestkitError> {
        let Some(mut cluster) = self.cluster.take() else {
            return Ok(());
        };
        let told = Command::new("kill")
            .args(["-QUIT", &cluster.pid().to_string()])
            .status();
        if !told.is_ok_and(|status| status.success()) {
            return Err(TestkitError::Server("it cannot be told to end".to_owned()));
        }
        for _ in 0..LOOKS {
            if !cluster.is_running() {
                // Its watcher ends as well, and the folder is free for the next start.
                return tokio::task::spawn_blocking(move || drop(cluster))
                    .await
                    .map_err(|_| TestkitError::CutOff);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(TestkitError::Server("it did not end".to_owned()))
    }

    /// Starts it once more after [`OwnServer::cut`], over the same files and at the same address.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start_again(&mut self) -> Result<(), TestkitError> {
        let (installation, options) = (self.installation.clone(), options(self.folder.path()));
        let started = tokio::task::spawn_blocking(move || Cluster::start(&installation, options)).await;
        self.cluster = Some(started.map_err(|_| TestkitError::CutOff)??);
        Ok(())
    }
}

/// A folder that the server's user, who is another one if this is root, can enter.
fn open_folder() -> io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("egov-postgres-").tempdir()?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// Durable, other than the server that all tests share: it is there to be cut off.
fn options(folder: &Path) -> ClusterOptions {
    ClusterOptions::new(folder)
        .max_connections(60)
        .setting("shared_buffers", "32MB")
}
