//! The database server: a private cluster in the data folder, or the operator's own.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use anyhow::Context as _;
use egov_postgres::{
    Cluster, ClusterOptions, Installation, MINIMUM_VERSION, PostgresError, discover_for, install_debian,
};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::place::Place;
use crate::problem::Problem;
use crate::say;

/// A running database server.
pub(crate) enum Postgres {
    /// One that this process started and stops.
    Own {
        /// The cluster.
        cluster: Box<Cluster>,
        /// The programs that run it.
        installation: Installation,
    },
    /// The operator's, named by `EGOV_DATABASE_URL`.
    Given {
        /// How its superuser reaches it.
        url: String,
    },
}

impl Postgres {
    /// Starts the private cluster of the data folder, or checks the server that the operator named.
    pub(crate) async fn start(place: &Place, given: Option<&str>) -> anyhow::Result<Self> {
        if let Some(url) = given {
            check_given(url).await?;
            return Ok(Self::Given { url: url.to_owned() });
        }
        let data = place.path("postgres");
        tokio::task::spawn_blocking(move || {
            let installation = find(&data)?;
            let cluster = Cluster::start(&installation, ClusterOptions::new(data)).map_err(Problem::from)?;
            Ok(Self::Own {
                cluster: Box::new(cluster),
                installation,
            })
        })
        .await?
    }

    /// How the superuser reaches it.
    pub(crate) fn superuser_url(&self) -> String {
        match self {
            Self::Own { cluster, .. } => cluster.url("postgres"),
            Self::Given { url } => url.clone(),
        }
    }

    /// What the operator should know about the start.
    pub(crate) fn notice(&self) -> Option<&str> {
        match self {
            Self::Own { cluster, .. } => cluster.notice(),
            Self::Given { .. } => None,
        }
    }

    /// The folder in which the cluster really lies.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Own { cluster, .. } => Some(cluster.folder()),
            Self::Given { .. } => None,
        }
    }

    /// One of PostgreSQL's programs, such as `pg_dump`.
    pub(crate) fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        match self {
            Self::Own { installation, .. } => Ok(installation.program(name)),
            Self::Given { .. } => program(Path::new("/nonexistent"), name),
        }
    }

    /// Stops what this process started.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Own { cluster, .. } => tokio::task::spawn_blocking(move || cluster.stop())
                .await?
                .map_err(|error| Problem::from(error).into()),
            Self::Given { .. } => Ok(()),
        }
    }
}

/// Finds PostgreSQL for a data folder, and installs Debian's package if there is none and this process may.
pub(crate) fn find(data: &Path) -> anyhow::Result<Installation> {
    match discover_for(data, MINIMUM_VERSION) {
        Ok(found) => Ok(found),
        Err(PostgresError::NotFound { .. }) if may_install() => {
            say::note("PostgreSQL is not installed; installing Debian's package (without a cluster of its own) …");
            Ok(install_debian().map_err(Problem::from)?)
        }
        Err(error) => Err(Problem::from(error).into()),
    }
}

/// One of PostgreSQL's programs, of the version that made the cluster in `data` if there is one.
pub(crate) fn program(data: &Path, name: &str) -> anyhow::Result<PathBuf> {
    Ok(find(data)?.program(name))
}

fn may_install() -> bool {
    nix::unistd::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists()
}

/// The operator's server must answer, be new enough, and let us make roles.
async fn check_given(url: &str) -> anyhow::Result<()> {
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        Problem::new(
            "EGOV_DATABASE_URL cannot be read",
            "it looks like postgres://superuser:password@host:5432/postgres",
        )
    })?;
    let mut connection = options.connect().await.map_err(|error| {
        Problem::new(
            format!("the database server of EGOV_DATABASE_URL does not answer: {error}"),
            "start it, set the variable right, or unset it: then a private cluster is started",
        )
    })?;
    let (version, superuser): (i32, bool) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, rolsuper FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(&mut connection)
    .await
    .context("the database server of EGOV_DATABASE_URL does not say its version")?;
    connection.close().await?;
    let major = version / 10_000;
    if major < i32::try_from(MINIMUM_VERSION)? {
        return Err(Problem::new(
            format!("the database server of EGOV_DATABASE_URL is PostgreSQL {major}, too old"),
            format!("use version {MINIMUM_VERSION} or later, or unset the variable"),
        )
        .into());
    }
    if !superuser {
        return Err(Problem::new(
            "the user of EGOV_DATABASE_URL is not a superuser",
            "name a superuser: the roles and databases of the services are made with it",
        )
        .into());
    }
    Ok(())
}
