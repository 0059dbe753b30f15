//! The one PostgreSQL server that the tests of this process use.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use egov_postgres::{ClusterOptions, MINIMUM_VERSION, SharedCluster, discover_for};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, PgPool};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::error::TestkitError;
use crate::template;
use crate::url::ServerUrl;

/// The environment variable with the URL of a superuser's connection to a running server. If it is set, no server is
/// started. Databases whose names begin with `egov_test_` and `egov_template_` on that server belong to the tests.
pub const SERVER_VARIABLE: &str = "EGOV_TEST_POSTGRES";

/// Test databases begin so, then: the owning process's mark and a number.
const PREFIX: &str = "egov_test_";

/// Enough for several test binaries with several pools each.
const CONNECTIONS: u32 = 300;

/// How long a test waits for its database to be dropped; what remains is swept later.
const DROP_PATIENCE: Duration = Duration::from_secs(10);

/// The server, and what this process keeps open on it.
///
/// Everything runs on a runtime of its own: a test's runtime ends with the test, and a connection with it.
pub(crate) struct Server {
    runtime: Runtime,
    url: ServerUrl,
    admin: PgPool,
    /// Names this process on the server: its guard connection's process id and start.
    mark: String,
    made: AtomicU64,
    templates: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    /// Databases that this process filled to be cloned, by what they hold: their names.
    prepared: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
    /// Keeps the shared cluster running as long as this process lives.
    _cluster: Option<SharedCluster>,
}

static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();

impl Server {
    /// The server of this process, started or joined at the first call. Blocks.
    pub(crate) fn get() -> Result<&'static Self, TestkitError> {
        let start = || {
            // A thread of its own, because a runtime cannot be driven from within another.
            thread::spawn(Self::start)
                .join()
                .unwrap_or(Err(TestkitError::CutOff))
                .map_err(|error| error.to_string())
        };
        SERVER
            .get_or_init(start)
            .as_ref()
            .map_err(|error| TestkitError::Server(error.clone()))
    }

    fn start() -> Result<Self, TestkitError> {
        let (url, cluster) = match given_url()? {
            Some(url) => (url, None),
            None => {
                let data = data_folder();
                let installation = discover_for(&data, MINIMUM_VERSION)?;
                let options = ClusterOptions::new(data).max_connections(CONNECTIONS);
                let cluster = SharedCluster::join(&installation, options)?;
                (cluster.url("postgres"), Some(cluster))
            }
        };
        let url = ServerUrl::parse(&url).ok_or(TestkitError::BadUrl)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("egov-testkit")
            .enable_all()
            .build()
            .map_err(|error| TestkitError::Server(error.to_string()))?;
        let (admin, mark) = runtime.block_on(open(&url))?;
        let sweeper = admin.clone();
        runtime.spawn(async move {
            // What cannot be swept now is swept by a later process.
            let _ = sweep(&sweeper).await;
        });
        Ok(Self {
            runtime,
            url,
            admin,
            mark,
            made: AtomicU64::new(0),
            templates: Mutex::default(),
            prepared: Mutex::default(),
            _cluster: cluster,
        })
    }

    pub(crate) fn url(&self) -> &ServerUrl {
        &self.url
    }

    pub(crate) fn admin(&self) -> &PgPool {
        &self.admin
    }

    /// A name for a new test database. It begins with the mark, so that a sweep sees whose it is.
    pub(crate) fn new_name(&self, service: &str) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        format!("{PREFIX}{}_{number}_{service}", self.mark)
    }

    /// The place where this process remembers that it has seen to a template.
    pub(crate) fn template_cell(&self, name: &str) -> Arc<OnceCell<()>> {
        let mut all = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name.to_owned()).or_default())
    }

    /// The place of the database that was filled with `what`.
    pub(crate) fn prepared_cell(&self, what: &str) -> Arc<OnceCell<String>> {
        let mut all = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(what.to_owned()).or_default())
    }

    /// Forgets that the template is there.
    pub(crate) fn forget_template(&self, name: &str) {
        let mut all = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(name);
    }

    /// Runs `work` on the server's own runtime and waits for it on the caller's.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, TestkitError>> + Send + 'static,
    ) -> Result<T, TestkitError> {
        self.runtime.spawn(work).await.unwrap_or(Err(TestkitError::CutOff))
    }

    /// Drops a test database and waits for it, from any thread.
    pub(crate) fn drop_database(&self, name: String) {
        let (done, wait) = mpsc::channel();
        let admin = self.admin.clone();
        self.runtime.spawn(async move {
            let outcome = drop_database(&admin, &name).await;
            // Nobody listens if it took too long.
            let _ = done.send(outcome);
        });
        let _ = wait.recv_timeout(DROP_PATIENCE);
    }
}

/// The server that somebody started for us.
fn given_url() -> Result<Option<String>, TestkitError> {
    match env::var_os(SERVER_VARIABLE) {
        Some(url) if !url.is_empty() => url.into_string().map(Some).map_err(|_| TestkitError::BadUrl),
        _ => Ok(None),
    }
}

/// Where the cluster for tests lies: in cargo's target folder, one for each user of the machine.
fn data_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let target = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map_or_else(
            // A documentation test runs elsewhere.
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
            Path::to_owned,
        );
    let user = fs::metadata("/proc/self").map_or(0, |own| own.uid());
    target.join("egov-test").join(user.to_string())
}

/// Opens the pool for administration and the guard connection whose life shows that this process lives.
async fn open(url: &ServerUrl) -> Result<(PgPool, String), TestkitError> {
    let options: PgConnectOptions = url
        .superuser("postgres")
        .parse()
        .map_err(TestkitError::sql("read the URL of the server"))?;
    let options = options.application_name("egov testkit");
    let mut guard = options
        .connect()
        .await
        .map_err(TestkitError::sql("connect to the server"))?;
    let mark: String = sqlx::query_scalar(
        "SELECT pid || '_' || to_hex((extract(epoch FROM backend_start) * 1000000)::bigint)
           FROM pg_stat_activity WHERE pid = pg_backend_pid()",
    )
    .fetch_one(&mut guard)
    .await
    .map_err(TestkitError::sql("name this process"))?;
    tokio::spawn(hold(guard));
    let admin = PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_mins(2))
        .connect_lazy_with(options);
    Ok((admin, mark))
}

/// Keeps a connection open until the process ends.
async fn hold(_guard: PgConnection) {
    std::future::pending::<()>().await;
}

/// Drops the databases of processes that are gone, and templates that nobody has used for long.
async fn sweep(admin: &PgPool) -> Result<(), TestkitError> {
    // One sweeper is enough. The lock is of this session, so the connection is not given back but closed.
    let failed = || TestkitError::sql("sweep leftovers");
    let mut session = admin.acquire().await.map_err(failed())?.detach();
    let alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended('egov testkit sweep', 0))")
        .fetch_one(&mut session)
        .await
        .map_err(failed())?;
    if !alone {
        return Ok(());
    }
    let left: Vec<String> = sqlx::query_scalar(
        "SELECT made.datname::text FROM pg_database made
          WHERE starts_with(made.datname, $1) AND NOT EXISTS (
            SELECT FROM pg_stat_activity guard
             WHERE starts_with(made.datname, $1 || guard.pid || '_'
                     || to_hex((extract(epoch FROM guard.backend_start) * 1000000)::bigint) || '_'))",
    )
    .bind(PREFIX)
    .fetch_all(&mut session)
    .await
    .map_err(failed())?;
    for name in left {
        // Somebody else may have dropped it.
        let _ = drop_database(admin, &name).await;
    }
    template::sweep(&mut session).await
}

/// Drops a database whose name we made.
pub(crate) async fn drop_database(admin: &PgPool, name: &str) -> Result<(), TestkitError> {
    sqlx::raw_sql(AssertSqlSafe(format!(
        "DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"
    )))
    .execute(admin)
    .await
    .map(drop)
    .map_err(TestkitError::sql("drop a test database"))
}
