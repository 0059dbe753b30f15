//! Roles, databases and migrations.

use std::time::Duration;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_clock::{Ids as _, SystemIds};
use egov_fault::{Code, Fault};
use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use crate::config::parse_url;
use crate::fault::{connect_fault, sql_fault};

/// Serialises provisioning on one server; the number has no meaning.
const PROVISION_LOCK: i64 = 0x6567_6f76_0001;
/// How long whoever waits for its turn to migrate lets pass before it asks again.
const TURN: Duration = Duration::from_millis(100);
/// PostgreSQL's own choice for new SCRAM passwords.
const SCRAM_ROUNDS: u32 = 4096;

/// Runs a service's migrations, as its owner role, under an advisory lock: of several processes that start together, one
/// migrates and the others wait. Row-level security binds the owner too; the migrations run with every row in scope.
///
/// `FAILED_PRECONDITION` / `MIGRATION_FAILED` names the migration that is missing, changed or failed.
pub async fn migrate(owner_url: &str, migrator: &Migrator) -> Result<(), Fault> {
    migrate_with(parse_url(owner_url)?, migrator).await
}

/// Creates what is missing of a service's roles and database and runs its migrations, with the defaults of
/// [`Provision`].
pub async fn provision(superuser_url: &str, service: &str, migrator: &Migrator) -> Result<ServiceUrls, Fault> {
    Provision::new(superuser_url, service).run(migrator).await
}

/// The URLs under which a service's two roles reach its database.
#[derive(Clone, Debug)]
pub struct ServiceUrls {
    /// For migrations.
    pub owner: SecretString,
    /// For the service itself ([`DatabaseConfig::url`](crate::DatabaseConfig::url)).
    pub app: SecretString,
}

/// The passwords of a service's two roles. Printable ASCII, which is the same before and after SASLprep.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Of `<service>_owner`.
    pub owner: SecretString,
    /// Of `<service>_app`.
    pub app: SecretString,
}

/// What to create on a server.
///
/// Three roles: `<service>_owner` owns the database, `<service>_app` is what the service runs as, `<service>_definer`
/// (nobody logs in as it; BYPASSRLS) may own single functions that see every row. Only the owner and the app may connect.
/// Running it again changes nothing that is there, except that given passwords are set.
#[derive(Clone, Debug)]
pub struct Provision<'a> {
    superuser_url: &'a str,
    service: &'a str,
    database: Option<&'a str>,
    passwords: Option<Passwords>,
}

impl<'a> Provision<'a> {
    /// The roles of `service` and a database of the same name, on the server of `superuser_url` (whose database is only
    /// used to connect). The roles get no password: they can log in where the server trusts them, as on a private unix
    /// socket. `service` is lower case letters, digits and `_`.
    pub fn new(superuser_url: &'a str, service: &'a str) -> Self {
        Self {
            superuser_url,
            service,
            database: None,
            passwords: None,
        }
    }

    /// The same in a database of another name.
    #[must_use]
    pub fn database(mut self, name: &'a str) -> Self {
        self.database = Some(name);
        self
    }

    /// Sets the passwords of the owner and the app. The server receives SCRAM verifiers, not the passwords, so that none
    /// appears in its log.
    #[must_use]
    pub fn passwords(mut self, passwords: Passwords) -> Self {
        self.passwords = Some(passwords);
        self
    }

    /// Creates what is missing and migrates.
    pub async fn run(self, migrator: &Migrator) -> Result<ServiceUrls, Fault> {
        let urls = self.create().await?;
        // As the owner, without needing its password.
        let owner = format!("{}_owner", self.service);
        let as_owner = parse_url(self.superuser_url)?
            .database(self.database.unwrap_or(self.service))
            .options([("role", owner.as_str())]);
        migrate_with(as_owner, migrator).await?;
        Ok(urls)
    }

    /// Creates the roles and an empty database where they are missing, and migrates nothing: what a restore from a
    /// backup needs.
    pub async fn create(&self) -> Result<ServiceUrls, Fault> {
        let database = self.database.unwrap_or(self.service);
        check_name(self.service)?;
        check_name(database)?;
        let owner = format!("{}_owner", self.service);
        let app = format!("{}_app", self.service);
        let definer = format!("{}_definer", self.service);

        let superuser = parse_url(self.superuser_url)?.application_name("egov provision");
        let mut conn = superuser.connect().await.map_err(connect_fault)?;
        // Of this session: given back when the connection closes, whatever happens.
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(PROVISION_LOCK)
            .execute(&mut conn)
            .await
            .map_err(sql_fault)?;

        create_role(&mut conn, &owner, "LOGIN").await?;
        create_role(&mut conn, &app, "LOGIN").await?;
        create_role(&mut conn, &definer, "NOLOGIN BYPASSRLS").await?;
        run(&mut conn, format!("GRANT \"{definer}\" TO \"{owner}\"")).await?;
        if let Some(passwords) = &self.passwords {
            set_password(&mut conn, &owner, &passwords.owner).await?;
            set_password(&mut conn, &app, &passwords.app).await?;
        }
        create_database(&mut conn, database, &owner).await?;
        run(&mut conn, format!("REVOKE ALL ON DATABASE \"{database}\" FROM PUBLIC")).await?;
        run(
            &mut conn,
            format!("GRANT CONNECT ON DATABASE \"{database}\" TO \"{app}\""),
        )
        .await?;

        conn.close().await.map_err(sql_fault)?;

        let secrets = self.passwords.as_ref();
        Ok(ServiceUrls {
            owner: service_url(&superuser, database, &owner, secrets.map(|both| &both.owner)),
            app: service_url(&superuser, database, &app, secrets.map(|both| &both.app)),
        })
    }
}

async fn migrate_with(options: PgConnectOptions, migrator: &Migrator) -> Result<(), Fault> {
    let options = options
        .application_name("egov migrate")
        .options([("egov.scope_all", "on")]);
    let mut conn = options.connect().await.map_err(connect_fault)?;
    wait_for_turn(&mut conn).await?;
    // Not `run`: the future of its generic connection is not `Send`, so that it could not be spawned.
    migrator
        .run_direct(None, &mut conn, false)
        .await
        .map_err(migrate_fault)?;
    conn.close().await.map_err(sql_fault)
}

/// The lock of whoever migrates, for this session. The migrator takes one of its own, but waits for it inside a statement, and an index that
/// is built beside the traffic (`CREATE INDEX CONCURRENTLY`) waits for the end of every such statement: each would wait for the other.
async fn wait_for_turn(conn: &mut PgConnection) -> Result<(), Fault> {
    loop {
        let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended('egov.migrate', 0))")
            .fetch_one(&mut *conn)
            .await
            .map_err(sql_fault)?;
        if is_ours {
            return Ok(());
        }
        tokio::time::sleep(TURN).await;
    }
}

fn migrate_fault(error: MigrateError) -> Fault {
    // The text of these errors is ours and PostgreSQL's about our own SQL: no data in it.
    Fault::new(
        Code::FailedPrecondition,
        "MIGRATION_FAILED",
        "không nâng cấp được cơ sở dữ liệu",
        format!("the database could not be migrated: {error}"),
    )
    .caused_by(error)
}

/// Names go into DDL, which takes no parameters: only what needs no quoting, and short enough for `_definer` to fit.
fn check_name(name: &str) -> Result<(), Fault> {
    let fits = (1..=48).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if fits {
        return Ok(());
    }
    Err(Fault::new(
        Code::InvalidArgument,
        "DATABASE_NAME_INVALID",
        "tên cơ sở dữ liệu không hợp lệ",
        "the name of a service or database is lower case letters, digits and underscores, at most 48",
    ))
}

/// Runs DDL made of checked names and our own words.
async fn run(conn: &mut PgConnection, sql: String) -> Result<(), Fault> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(conn)
        .await
        .map(drop)
        .map_err(sql_fault)
}

async fn create_role(conn: &mut PgConnection, role: &str, attributes: &str) -> Result<(), Fault> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)")
        .bind(role)
        .fetch_one(&mut *conn)
        .await
        .map_err(sql_fault)?;
    if exists {
        return Ok(());
    }
    let sql = AssertSqlSafe(format!("CREATE ROLE \"{role}\" {attributes}"));
    match sqlx::raw_sql(sql).execute(conn).await {
        Ok(_) => Ok(()),
        // Roles belong to the server and the lock to a database: somebody else may have come first.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42710" | "23505")) => Ok(()),
        Err(error) => Err(sql_fault(error)),
    }
}

async fn create_database(conn: &mut PgConnection, name: &str, owner: &str) -> Result<(), Fault> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(&mut *conn)
        .await
        .map_err(sql_fault)?;
    if exists {
        return Ok(());
    }
    run(
        conn,
        format!("CREATE DATABASE \"{name}\" OWNER \"{owner}\" ENCODING 'UTF8' TEMPLATE template0"),
    )
    .await
}

async fn set_password(conn: &mut PgConnection, role: &str, password: &SecretString) -> Result<(), Fault> {
    let verifier = scram_verifier(password.expose_secret())?;
    run(conn, format!("ALTER ROLE \"{role}\" PASSWORD '{verifier}'")).await
}

/// What PostgreSQL stores of a password (RFC 5803; RFC 7677 for SHA-256).
fn scram_verifier(password: &str) -> Result<String, Fault> {
    if password.is_empty() || !password.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(Fault::new(
            Code::InvalidArgument,
            "DATABASE_PASSWORD_INVALID",
            "mật khẩu cơ sở dữ liệu chỉ được gồm ký tự ASCII in được",
            "a database password is printable ascii and not empty",
        ));
    }
    let mut salt = [0; 16];
    SystemIds::default().random_bytes(&mut salt);
    Ok(verifier_of(password, &salt))
}

fn verifier_of(password: &str, salt: &[u8]) -> String {
    let rounds = std::num::NonZeroU32::new(SCRAM_ROUNDS).unwrap_or(std::num::NonZeroU32::MIN);
    let mut salted = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        salt,
        password.as_bytes(),
        &mut salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let server_key = hmac::sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${rounds}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key.as_ref()),
        STANDARD.encode(server_key.as_ref())
    )
}

/// The superuser's URL with another user, password and database; what libpq does not know is left out.
fn service_url(
    superuser: &PgConnectOptions,
    database: &str,
    role: &str,
    password: Option<&SecretString>,
) -> SecretString {
    let mut url = superuser.to_url_lossy();
    // These fail only for URLs that can have no user, which `postgres://` can.
    let _ = url.set_username(role);
    let _ = url.set_password(password.map(ExposeSecret::expose_secret));
    url.set_path(database);
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key.starts_with("ssl"))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(kept);
    SecretString::from(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn only_plain_names_reach_ddl() {
        for good in ["onestop", "civil_registry", "t1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Onestop", "civil-registry", "a\"; DROP", "1st", "đất"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_services_url_keeps_the_server_and_drops_the_superusers_password() {
        let superuser =
            PgConnectOptions::from_str("postgres://postgres:secret@db.example:6432/postgres?sslmode=verify-full")
                .unwrap();
        let url = service_url(&superuser, "onestop", "onestop_app", None);
        assert_eq!(
            url.expose_secret(),
            "postgres://onestop_app@db.example:6432/onestop?sslmode=verify-full"
        );
    }

    #[test]
    fn a_socket_survives_the_way_into_a_url_and_back() {
        let superuser =
            PgConnectOptions::from_str("postgres:///postgres?host=/run/a b&port=6543&user=postgres").unwrap();
        let url = service_url(&superuser, "onestop", "onestop_app", None);
        let back = PgConnectOptions::from_str(url.expose_secret()).unwrap();
        assert_eq!(back.get_socket().unwrap().to_str(), Some("/run/a b"));
        assert_eq!(back.get_port(), 6543);
        assert_eq!(back.get_username(), "onestop_app");
        assert_eq!(back.get_database(), Some("onestop"));
    }

    #[test]
    fn the_verifier_is_that_of_scram() {
        // RFC 7677, section 3: the password "pencil" with the salt of its example.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        assert_eq!(
            verifier_of("pencil", &salt),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_password_outside_ascii_is_refused() {
        assert!(scram_verifier("mật khẩu").is_err());
        assert!(scram_verifier("").is_err());
    }
}
