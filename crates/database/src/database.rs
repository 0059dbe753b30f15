//! One service's database: the pool, and the transactions that carry a scope.

use std::fmt;
use std::sync::Arc;

use egov_auth::RowScope;
use egov_clock::{SharedClock, SharedIds};
use egov_fault::{Code, Fault};
use egov_keyring::Keyring;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, Row as _, Transaction};
use tokio::sync::watch;

use crate::config::DatabaseConfig;
use crate::fault::{connect_fault, sql_fault};
use crate::pages::PageTokens;
use crate::scope::{Mode, begin_statement};

/// The oldest server that is supported.
const MIN_SERVER_VERSION: i32 = 150_000;
/// The shared schema (`egov.shared_version()`) that this code was built for.
const SHARED_VERSION: i32 = 4;

/// One service's database, reached as its app role. Cheap to clone.
///
/// There is no way to a connection but [`read`](Self::read), [`write`](Self::write),
/// [`write_unkeyed`](Self::write_unkeyed) and [`work`](Self::work): each begins its transaction together with the scope,
/// and the scope ends with it.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) pool: PgPool,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: SharedClock,
    pub(crate) ids: SharedIds,
    /// Counts commits that left events in the outbox.
    pub(crate) published: watch::Sender<u64>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Connects, and refuses a database on which the guarantees of this crate would not hold:
    ///
    /// * `DATABASE_UNAVAILABLE`, `DATABASE_MISSING`, `DATABASE_LOGIN_REFUSED`: it cannot be reached at all;
    /// * `DATABASE_TOO_OLD`: a server before PostgreSQL 15;
    /// * `DATABASE_NOT_MIGRATED`: the shared schema is missing or older than this program;
    /// * `DATABASE_ROLE_TOO_STRONG`: the connection's role could pass by row-level security or rewrite history: a
    ///   superuser, one with BYPASSRLS, or the owner;
    /// * `DATABASE_NOT_DURABLE`: `fsync`, `full_page_writes`, `synchronous_commit` or data checksums are off
    ///   (accepted under [`DatabaseConfig::test_profile`]).
    pub async fn connect(
        config: &DatabaseConfig,
        keyring: Arc<Keyring>,
        clock: SharedClock,
        ids: SharedIds,
    ) -> Result<Self, Fault> {
        let pool = config
            .pool_options()
            .connect_with(config.connect_options()?)
            .await
            .map_err(connect_fault)?;
        check_server(&pool, config.test_profile).await?;
        check_schema(&pool).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                pool,
                keyring,
                clock,
                ids,
                published: watch::Sender::new(0),
            }),
        })
    }

    /// Reads under `scope`: `f` sees one snapshot, and of protected tables only the rows in scope.
    ///
    /// ```no_run
    /// # async fn example(database: egov_database::Database, scope: egov_auth::RowScope) -> Result<(), egov_fault::Fault> {
    /// let open: i64 = database
    ///     .read(&scope, async |conn| {
    ///         sqlx::query_scalar("SELECT count(*) FROM cases WHERE state = 2")
    ///             .fetch_one(conn)
    ///             .await
    ///             .map_err(egov_database::sql_fault)
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    #[tracing::instrument(name = "db.read", level = "debug", skip_all)]
    pub async fn read<T, E>(
        &self,
        scope: &RowScope,
        f: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Fault>,
    {
        self.read_in(Mode::Read, scope, f).await
    }

    /// The same, where every statement has one plan that is right whatever is asked: PostgreSQL makes it once for a connection and plans
    /// no more. How frequent a value is may then not matter: the statement itself must leave one way only, and a test should look at that
    /// plan.
    #[tracing::instrument(name = "db.read", level = "debug", skip_all)]
    pub async fn read_by_kept_plans<T, E>(
        &self,
        scope: &RowScope,
        f: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Fault>,
    {
        self.read_in(Mode::ReadByKeptPlans, scope, f).await
    }

    async fn read_in<T, E>(
        &self,
        mode: Mode,
        scope: &RowScope,
        f: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Fault>,
    {
        let mut held = self.hold().await?;
        let mut transaction = held.begin(mode, scope).await?;
        match Box::pin(f(&mut transaction)).await {
            Ok(value) => {
                transaction.commit().await.map_err(sql_fault)?;
                Ok(value)
            }
            Err(error) => {
                roll_back(transaction).await;
                Err(error)
            }
        }
    }

    /// The same database over connections of its own: whoever uses up the others' keeps none of these, and they may be driven by
    /// another runtime than theirs. Opens none yet; events that either commits wake both
    /// ([`wait_for_events`](Self::wait_for_events)). Must be called within the runtime that is to drive them, and closed before that ends.
    #[must_use]
    pub fn apart(&self, connections: u32) -> Self {
        let inner = &self.inner;
        let options = inner.pool.options().clone().max_connections(connections);
        Self {
            inner: Arc::new(Inner {
                pool: options.connect_lazy_with((*inner.pool.connect_options()).clone()),
                keyring: Arc::clone(&inner.keyring),
                clock: inner.clock.clone(),
                ids: inner.ids.clone(),
                published: inner.published.clone(),
            }),
        }
    }

    /// Open connections, and how many of them are idle; for metrics.
    pub fn connections(&self) -> (u32, usize) {
        (self.inner.pool.size(), self.inner.pool.num_idle())
    }

    /// Whether the database answers; for readiness.
    pub async fn ping(&self) -> Result<(), Fault> {
        sqlx::query("SELECT 1")
            .execute(&self.inner.pool)
            .await
            .map(drop)
            .map_err(sql_fault)
    }

    /// Closes the pool: running transactions end, new ones fail with `DATABASE_UNAVAILABLE`.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }

    /// Waits until somebody closes it.
    pub async fn closed(&self) {
        self.inner.pool.close_event().await;
    }

    /// Seals and opens page tokens with this service's keyring.
    pub fn page_tokens(&self) -> PageTokens {
        PageTokens::new(Arc::clone(&self.inner.keyring))
    }

    /// The clock by which this database's writes are dated.
    pub fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    /// The source of this database's new ids.
    pub fn ids(&self) -> &SharedIds {
        &self.inner.ids
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    pub(crate) async fn hold(&self) -> Result<Held, Fault> {
        let conn = self.inner.pool.acquire().await.map_err(sql_fault)?;
        Ok(Held { conn, usable: false })
    }
}

/// A connection out of the pool that goes back only if its `BEGIN` was answered.
///
/// sqlx rolls back a transaction whose future is dropped, but it does not count one whose `BEGIN` is still on its way:
/// such a connection would return to the pool inside a transaction, with a scope. It is closed instead.
pub(crate) struct Held {
    conn: PoolConnection<Postgres>,
    usable: bool,
}

impl Held {
    pub(crate) async fn begin(&mut self, mode: Mode, scope: &RowScope) -> Result<Transaction<'_, Postgres>, Fault> {
        // Safe to run: integers, UUIDs and our own words (scope.rs).
        let statement = AssertSqlSafe(begin_statement(mode, scope));
        let transaction = self.conn.begin_with(statement).await.map_err(sql_fault)?;
        self.usable = true;
        Ok(transaction)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.usable {
            self.conn.close_on_drop();
        }
    }
}

/// Gives the locks back before the caller hears of the refusal. Without an answer the server rolls back by itself.
pub(crate) async fn roll_back(transaction: Transaction<'_, Postgres>) {
    if let Err(error) = transaction.rollback().await {
        tracing::debug!(%error, "rollback not answered");
    }
}

async fn check_server(pool: &PgPool, test_profile: bool) -> Result<(), Fault> {
    let row = sqlx::query(
        "SELECT current_setting('server_version_num')::integer AS version,
                r.rolname::text AS role,
                r.rolsuper OR r.rolbypassrls
                    OR EXISTS (SELECT 1 FROM pg_namespace n
                               WHERE n.nspname = 'egov' AND pg_has_role(current_user, n.nspowner, 'MEMBER'))
                    AS too_strong,
                current_setting('fsync') AS fsync,
                current_setting('full_page_writes') AS full_page_writes,
                current_setting('synchronous_commit') AS synchronous_commit,
                current_setting('data_checksums') AS data_checksums
         FROM pg_roles r WHERE r.rolname = current_user",
    )
    .fetch_one(pool)
    .await
    .map_err(sql_fault)?;
    let version: i32 = row.try_get("version").map_err(sql_fault)?;
    if version < MIN_SERVER_VERSION {
        return Err(Fault::new(
            Code::FailedPrecondition,
            "DATABASE_TOO_OLD",
            "máy chủ cơ sở dữ liệu cũ hơn PostgreSQL 15",
            "the database server is older than PostgreSQL 15",
        )
        .with("server_version_num", version.to_string()));
    }
    if row.try_get("too_strong").map_err(sql_fault)? {
        let role: String = row.try_get("role").map_err(sql_fault)?;
        return Err(Fault::new(
            Code::FailedPrecondition,
            "DATABASE_ROLE_TOO_STRONG",
            "vai trò kết nối cơ sở dữ liệu có quá nhiều quyền",
            format!("the role {role} could pass by row-level security: connect as the service's app role"),
        ));
    }
    let setting = |name: &'static str| row.try_get::<String, _>(name).map_err(sql_fault);
    let settings = [
        ("fsync", setting("fsync")?),
        ("full_page_writes", setting("full_page_writes")?),
        ("synchronous_commit", setting("synchronous_commit")?),
        ("data_checksums", setting("data_checksums")?),
    ];
    let weak = not_durable(&settings);
    if weak.is_empty() || test_profile {
        return Ok(());
    }
    Err(Fault::new(
        Code::FailedPrecondition,
        "DATABASE_NOT_DURABLE",
        "máy chủ cơ sở dữ liệu có thể mất dữ liệu đã ghi",
        format!(
            "the database server may lose what it has committed: {}",
            weak.join(", ")
        ),
    ))
}

/// The settings under which a commit may be lost or a damaged page go unnoticed. `remote_apply` is stronger than `on`.
fn not_durable(settings: &[(&'static str, String)]) -> Vec<String> {
    settings
        .iter()
        .filter(|(name, value)| !(value == "on" || (*name == "synchronous_commit" && value == "remote_apply")))
        .map(|(name, value)| format!("{name} = {value}"))
        .collect()
}

async fn check_schema(pool: &PgPool) -> Result<(), Fault> {
    let not_migrated = || {
        Fault::new(
            Code::FailedPrecondition,
            "DATABASE_NOT_MIGRATED",
            "cơ sở dữ liệu chưa được nâng cấp cho phiên bản này",
            "the database has not been migrated for this version: run `cargo egov migrate`",
        )
    };
    let found: Result<i32, sqlx::Error> = sqlx::query_scalar("SELECT egov.shared_version()").fetch_one(pool).await;
    match found {
        Ok(version) if version >= SHARED_VERSION => Ok(()),
        Ok(_) => Err(not_migrated()),
        // No such schema, function, or grant.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("3F000" | "42883" | "42501")) => {
            Err(not_migrated().caused_by(sqlx::Error::Database(error)))
        }
        Err(error) => Err(sql_fault(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(fsync: &str, pages: &str, commit: &str, sums: &str) -> [(&'static str, String); 4] {
        [
            ("fsync", fsync.to_owned()),
            ("full_page_writes", pages.to_owned()),
            ("synchronous_commit", commit.to_owned()),
            ("data_checksums", sums.to_owned()),
        ]
    }

    #[test]
    fn only_a_server_that_keeps_what_it_commits_is_durable() {
        assert!(not_durable(&settings("on", "on", "on", "on")).is_empty());
        assert!(not_durable(&settings("on", "on", "remote_apply", "on")).is_empty());
        assert_eq!(
            not_durable(&settings("off", "on", "local", "off")),
            ["fsync = off", "synchronous_commit = local", "data_checksums = off"]
        );
    }
}
