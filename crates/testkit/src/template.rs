//! Migrated databases from which the tests' databases are cloned.

use egov_database::{Passwords, Provision};
use secrecy::SecretString;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::runtime::Handle;

use crate::error::TestkitError;
use crate::url::ServerUrl;

const PREFIX: &str = "egov_template_";

/// Ends the name of a template that is being made.
const UNFINISHED: &str = "_new";

/// Grows when templates of the same migrations must be made anew because this crate makes them differently.
const GENERATION: u64 = 1;

/// The name of the template of these migrations: it holds their hash, so other migrations have another template.
pub(crate) fn name(service: &str, migrator: &Migrator) -> String {
    let mut hash = Fnv::new();
    hash.add(&GENERATION.to_le_bytes());
    for migration in migrator.iter() {
        hash.add(&migration.version.to_le_bytes());
        hash.add(&migration.checksum);
    }
    format!("{PREFIX}{service}_{:08x}", hash.0 >> 32 ^ hash.0 & 0xffff_ffff)
}

/// Makes the template unless it is there. Of many processes that ask at once, one makes it and the others wait.
pub(crate) async fn ensure(
    url: &ServerUrl,
    service: &'static str,
    migrator: &'static Migrator,
    name: &str,
) -> Result<(), TestkitError> {
    let failed = || TestkitError::sql("make a template");
    // The lock is of this session: given back when the connection closes, whatever happens.
    let mut session = PgConnection::connect(&url.superuser("postgres"))
        .await
        .map_err(failed())?;
    sqlx::query("SELECT pg_advisory_lock(hashtextextended($1, 0))")
        .bind(name)
        .execute(&mut session)
        .await
        .map_err(failed())?;
    let whole: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)")
            .bind(name)
            .fetch_one(&mut session)
            .await
            .map_err(failed())?;
    if !whole {
        let unfinished = format!("{name}{UNFINISHED}");
        for left in [&unfinished, name] {
            drop_if_exists(&mut session, left).await?;
        }
        if let Err(error) = provision(url.clone(), service, migrator, unfinished.clone()).await {
            // The reason of the failure matters more than that of a failed drop.
            let _ = drop_if_exists(&mut session, &unfinished).await;
            return Err(error);
        }
        run(
            &mut session,
            format!("ALTER DATABASE \"{unfinished}\" RENAME TO \"{name}\""),
        )
        .await?;
        // A database that somebody is connected to cannot be cloned.
        run(
            &mut session,
            format!("ALTER DATABASE \"{name}\" IS_TEMPLATE true ALLOW_CONNECTIONS false"),
        )
        .await?;
    }
    let today: String = sqlx::query_scalar("SELECT current_date::text")
        .fetch_one(&mut session)
        .await
        .map_err(failed())?;
    run(
        &mut session,
        format!("COMMENT ON DATABASE \"{name}\" IS 'last used {today}'"),
    )
    .await?;
    session.close().await.map_err(failed())
}

/// Makes and migrates a service's database as in production.
///
/// On a thread of its own: sqlx's migrator gives a future that no compiler accepts as `Send`.
pub(crate) async fn provision(
    url: ServerUrl,
    service: &'static str,
    migrator: &'static Migrator,
    database: String,
) -> Result<(), TestkitError> {
    let runtime = Handle::current();
    let work = move || {
        let superuser = url.superuser("postgres");
        let mut provision = Provision::new(&superuser, service).database(&database);
        if let Some(password) = url.password() {
            provision = provision.passwords(Passwords {
                owner: SecretString::from(password.clone()),
                app: SecretString::from(password),
            });
        }
        runtime
            .block_on(provision.run(migrator))
            .map(drop)
            .map_err(|fault| TestkitError::Template { service, fault })
    };
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(TestkitError::CutOff))
}

/// Clones the template, with the owner and the rights that a service's database has.
pub(crate) async fn clone(
    session: &mut PgConnection,
    template: &str,
    service: &str,
    name: &str,
) -> Result<(), TestkitError> {
    // Copying files costs half of what copying through the log does where nothing is synced.
    run(
        session,
        format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\" OWNER \"{service}_owner\" STRATEGY file_copy"),
    )
    .await?;
    // Rights on the database itself are not cloned.
    run(
        session,
        format!(
            "REVOKE ALL ON DATABASE \"{name}\" FROM PUBLIC; GRANT CONNECT ON DATABASE \"{name}\" TO \"{service}_app\""
        ),
    )
    .await
}

/// Lets nobody into a database any more, so that it can be cloned, and waits until those who were in it are gone.
pub(crate) async fn close(admin: &PgPool, name: &str) -> Result<(), TestkitError> {
    let failed = || TestkitError::sql("close a database that is to be cloned");
    let mut session = admin.acquire().await.map_err(failed())?;
    run(
        &mut session,
        format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false"),
    )
    .await?;
    // Milliseconds to wait for each.
    sqlx::query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1")
        .bind(name)
        .execute(&mut *session)
        .await
        .map(drop)
        .map_err(failed())
}

/// Drops templates that were last used before yesterday (every change of a migration leaves one), and those whose maker
/// was killed.
pub(crate) async fn sweep(session: &mut PgConnection) -> Result<(), TestkitError> {
    let failed = || TestkitError::sql("sweep templates");
    let old: Vec<(String, bool)> = sqlx::query_as(
        "SELECT datname::text, datistemplate FROM pg_database
          WHERE starts_with(datname, $1)
            AND (NOT datistemplate
              OR shobj_description(oid, 'pg_database') < 'last used ' || (current_date - 1))",
    )
    .bind(PREFIX)
    .fetch_all(&mut *session)
    .await
    .map_err(failed())?;
    for (name, whole) in old {
        let template = name.strip_suffix(UNFINISHED).unwrap_or(&name);
        // Whoever makes or checks a template holds this lock.
        let free: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(template)
            .fetch_one(&mut *session)
            .await
            .map_err(failed())?;
        if !free {
            continue;
        }
        if whole {
            run(session, format!("ALTER DATABASE \"{name}\" IS_TEMPLATE false")).await?;
        }
        drop_if_exists(session, &name).await?;
        sqlx::query("SELECT pg_advisory_unlock(hashtextextended($1, 0))")
            .bind(template)
            .execute(&mut *session)
            .await
            .map_err(failed())?;
    }
    Ok(())
}

async fn drop_if_exists(session: &mut PgConnection, name: &str) -> Result<(), TestkitError> {
    run(session, format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await
}

/// Runs DDL made of names that we made.
async fn run(session: &mut PgConnection, sql: String) -> Result<(), TestkitError> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(session)
        .await
        .map(drop)
        .map_err(TestkitError::sql("make a test database"))
}

/// FNV-1a (64 bits): short, and the same in every build.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use sqlx::SqlSafeStr as _;
    use sqlx::migrate::{Migration, MigrationType};

    use super::*;

    fn migrations(sql: &'static str) -> Migrator {
        Migrator::with_migrations(vec![Migration::new(
            1,
            Cow::Borrowed("first"),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )])
    }

    #[test]
    fn other_migrations_have_another_template() {
        let first = name("onestop", &migrations("CREATE TABLE a ()"));
        assert_eq!(first, name("onestop", &migrations("CREATE TABLE a ()")));
        assert_ne!(first, name("onestop", &migrations("CREATE TABLE b ()")));
        assert_ne!(first, name("identity", &migrations("CREATE TABLE a ()")));
        assert!(name("civil_registry", &migrations("")).len() <= 44, "room for a suffix");
    }
}
