//! A database for one test.

use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection};

use crate::error::TestkitError;
use crate::server::Server;
use crate::template;
#[cfg(feature = "own-postgres")]
use crate::url::ServerUrl;

/// A migrated, empty database of one service, for one test. Dropped with this value; open connections to it are ended.
#[derive(Debug)]
pub struct TestDatabase {
    /// Connects as `<service>_owner`, who owns and migrates.
    pub owner_url: String,
    /// Connects as `<service>_app`, under whom the service runs.
    pub app_url: String,
    /// Connects as the superuser, to whom row-level security does not apply.
    pub superuser_url: String,
    name: String,
}

impl TestDatabase {
    fn of(server: &Server, service: &str, name: String) -> Self {
        let url = server.url();
        Self {
            owner_url: url.role(&name, &format!("{service}_owner")),
            app_url: url.role(&name, &format!("{service}_app")),
            superuser_url: url.superuser(&name),
            name,
        }
    }

    /// In a server that a test has to itself, named as the service: it goes with the server.
    #[cfg(feature = "own-postgres")]
    pub(crate) fn of_own_server(url: &ServerUrl, service: &str) -> Self {
        Self {
            owner_url: url.role(service, &format!("{service}_owner")),
            app_url: url.role(service, &format!("{service}_app")),
            superuser_url: url.superuser(service),
            name: String::new(),
        }
    }

    /// One that another process of the same test has made, or another part of it, by its addresses: it stays when this value goes.
    pub fn made_elsewhere(owner_url: String, app_url: String, superuser_url: String) -> Self {
        Self {
            owner_url,
            app_url,
            superuser_url,
            name: String::new(),
        }
    }

    /// The database's name; empty if it does not go with this value.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection as the owner.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn connect_as_owner(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.owner_url).await
    }

    /// A connection as the service.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn connect_as_app(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.app_url).await
    }

    /// A connection as the superuser: to look at what is really there.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn connect_as_superuser(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.superuser_url).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Without a name it was kept, to be cloned, goes with its server, or is somebody else's.
        if self.name.is_empty() {
            return;
        }
        if let Ok(server) = Server::get() {
            server.drop_database(std::mem::take(&mut self.name));
        }
    }
}

/// A database for one test of `service`, migrated by `migrator`.
///
/// # Panics
/// If there is no PostgreSQL or the migrations fail: the test cannot go on. [`try_database`] gives the reason instead.
pub async fn database(service: &'static str, migrator: &'static Migrator) -> TestDatabase {
    match try_database(service, migrator).await {
        Ok(database) => database,
        #[expect(clippy::panic, reason = "a test without its database has failed")]
        Err(error) => panic!("no database for this test: {error}"),
    }
}

/// Prints warnings and errors with the output of a test that fails: a caller is told "internal error", the log says why. A test
/// program that has set up a log of its own keeps that. A program whose output nobody holds back is mostly one that a test has
/// started and speaks with over its standard output, where a log would be in the way and, once the pipe is full, stop it.
pub(crate) fn show_log() {
    if std::env::args().any(|argument| argument == "--nocapture") {
        return;
    }
    let _ = tracing_subscriber::fmt()
        .with_test_writer()
        .with_max_level(tracing::Level::WARN)
        .try_init();
}

/// As [`database`], with the reason if there is none.
///
/// # Errors
/// [`TestkitError`].
pub async fn try_database(service: &'static str, migrator: &'static Migrator) -> Result<TestDatabase, TestkitError> {
    show_log();
    // The first call starts PostgreSQL, which must not hold up the other tests on this runtime.
    let server = tokio::task::spawn_blocking(Server::get)
        .await
        .unwrap_or(Err(TestkitError::CutOff))?;
    server.run(make(server, service, migrator)).await
}

/// A database for one test with what `fill` puts into it: the first call of a process fills one, and every call gets a clone of that.
///
/// `what` names the content: calls with the same name must fill alike. What `fill` wrote is the same in every clone, ids and times
/// included. It must close its own connections; what it leaves open is ended.
///
/// # Panics
/// As [`database`], and if `fill` does; the next call then tries again.
pub async fn prepared_database(
    service: &'static str,
    migrator: &'static Migrator,
    what: &str,
    fill: impl AsyncFnOnce(&TestDatabase),
) -> TestDatabase {
    match try_prepared(service, migrator, what, fill).await {
        Ok(database) => database,
        #[expect(clippy::panic, reason = "a test without its database has failed")]
        Err(error) => panic!("no database for this test: {error}"),
    }
}

async fn try_prepared(
    service: &'static str,
    migrator: &'static Migrator,
    what: &str,
    fill: impl AsyncFnOnce(&TestDatabase),
) -> Result<TestDatabase, TestkitError> {
    let first = Box::pin(try_database(service, migrator));
    let server = tokio::task::spawn_blocking(Server::get)
        .await
        .unwrap_or(Err(TestkitError::CutOff))?;
    let cell = server.prepared_cell(&format!("{service} {what}"));
    let template = cell
        .get_or_try_init(async || {
            let mut database = first.await?;
            Box::pin(fill(&database)).await;
            let name = database.name.clone();
            let closed = name.clone();
            server
                .run(async move { template::close(server.admin(), &closed).await })
                .await?;
            // From now on it belongs to the process, whose name is in its own: it is swept when the process is gone.
            database.name.clear();
            Ok::<_, TestkitError>(name)
        })
        .await?
        .clone();
    let name = server.new_name(service);
    let made = name.clone();
    server
        .run(async move {
            let mut session = server
                .admin()
                .acquire()
                .await
                .map_err(TestkitError::sql("connect to the server"))?;
            template::clone(&mut session, &template, service, &made).await
        })
        .await?;
    Ok(TestDatabase::of(server, service, name))
}

async fn make(
    server: &'static Server,
    service: &'static str,
    migrator: &'static Migrator,
) -> Result<TestDatabase, TestkitError> {
    let template = template::name(service, migrator);
    let name = server.new_name(service);
    match clone(server, service, migrator, &template, &name).await {
        // A sweep took it away since we last saw it.
        Err(error) if error.is_missing_database() => {
            server.forget_template(&template);
            clone(server, service, migrator, &template, &name).await?;
        }
        outcome => outcome?,
    }
    Ok(TestDatabase::of(server, service, name))
}

async fn clone(
    server: &'static Server,
    service: &'static str,
    migrator: &'static Migrator,
    template: &str,
    name: &str,
) -> Result<(), TestkitError> {
    server
        .template_cell(template)
        .get_or_try_init(|| template::ensure(server.url(), service, migrator, template))
        .await?;
    let mut session = server
        .admin()
        .acquire()
        .await
        .map_err(TestkitError::sql("connect to the server"))?;
    template::clone(&mut session, template, service, name).await
}
