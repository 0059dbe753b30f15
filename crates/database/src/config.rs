//! How a service reaches its database.

use std::str::FromStr;
use std::time::Duration;

use egov_fault::{Code, Fault};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// Where the database is and how much of it this pool may use.
///
/// The connections of all pools of a process come out of one budget: whoever starts the process shares it out, as
/// `max_connections` of each pool. No operation ever holds two connections, so a small pool cannot lock itself up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DatabaseConfig {
    /// `postgres://user:password@host:port/database?sslmode=…`, or for a unix socket
    /// `postgres:///database?host=/folder&port=5432&user=name`. The user is the service's app role.
    pub url: SecretString,
    /// Connections that this pool may hold.
    #[serde(default = "default_max_connections")]
    pub max_connections: u32,
    /// Longest wait for a free connection, in milliseconds; then `UNAVAILABLE` / `DATABASE_BUSY`.
    #[serde(default = "default_acquire_timeout_ms")]
    pub acquire_timeout_ms: u64,
    /// Longest run of one statement, in milliseconds; then `DEADLINE_EXCEEDED` / `STATEMENT_TIMEOUT`.
    #[serde(default = "default_statement_timeout_ms")]
    pub statement_timeout_ms: u64,
    /// Longest wait for another transaction's lock, in milliseconds; then `ABORTED` / `LOCK_TIMEOUT`.
    #[serde(default = "default_lock_timeout_ms")]
    pub lock_timeout_ms: u64,
    /// Longest pause of an open transaction, in milliseconds; then the server ends it. It frees what a stuck process
    /// holds locked.
    #[serde(default = "default_idle_transaction_timeout_ms")]
    pub idle_transaction_timeout_ms: u64,
    /// What `pg_stat_activity` shows.
    #[serde(default = "default_application_name")]
    pub application_name: String,
    /// Accepts a server that may lose committed data when it crashes. For tests only.
    #[serde(default)]
    pub test_profile: bool,
}

/// A connection that lay idle for longer is tested before it is used again.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);

fn default_max_connections() -> u32 {
    8
}
fn default_acquire_timeout_ms() -> u64 {
    5_000
}
fn default_statement_timeout_ms() -> u64 {
    15_000
}
fn default_lock_timeout_ms() -> u64 {
    5_000
}
fn default_idle_transaction_timeout_ms() -> u64 {
    30_000
}
fn default_application_name() -> String {
    "egov".to_owned()
}

impl DatabaseConfig {
    /// The defaults for the database at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            max_connections: default_max_connections(),
            acquire_timeout_ms: default_acquire_timeout_ms(),
            statement_timeout_ms: default_statement_timeout_ms(),
            lock_timeout_ms: default_lock_timeout_ms(),
            idle_transaction_timeout_ms: default_idle_transaction_timeout_ms(),
            application_name: default_application_name(),
            test_profile: false,
        }
    }

    /// The same with another share of the connections.
    #[must_use]
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// The same under another name in `pg_stat_activity`.
    #[must_use]
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = name.into();
        self
    }

    /// The same for a throw-away server of the tests, whose durability is switched off.
    #[must_use]
    pub fn test_profile(mut self) -> Self {
        self.test_profile = true;
        self
    }

    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, Fault> {
        Ok(parse_url(self.url.expose_secret())?
            .application_name(&self.application_name)
            .options([
                ("statement_timeout", self.statement_timeout_ms.to_string()),
                ("lock_timeout", self.lock_timeout_ms.to_string()),
                (
                    "idle_in_transaction_session_timeout",
                    self.idle_transaction_timeout_ms.to_string(),
                ),
                // Short statements: compiling them costs more than it saves.
                ("jit", "off".to_owned()),
            ]))
    }

    pub(crate) fn pool_options(&self) -> PgPoolOptions {
        PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(Duration::from_millis(self.acquire_timeout_ms))
            // By default every acquisition asks the server whether the connection lives: a round trip on every
            // operation. One that was in use a moment ago is not asked.
            .test_before_acquire(false)
            .before_acquire(|conn, used| {
                Box::pin(async move {
                    if used.idle_for > TEST_AFTER_IDLE {
                        conn.ping().await?;
                    }
                    Ok(true)
                })
            })
    }
}

/// Reads a connection URL. The error does not repeat the URL: it may hold a password.
pub(crate) fn parse_url(url: &str) -> Result<PgConnectOptions, Fault> {
    PgConnectOptions::from_str(url).map_err(|_| {
        Fault::new(
            Code::FailedPrecondition,
            "DATABASE_URL_INVALID",
            "địa chỉ cơ sở dữ liệu không hợp lệ",
            "the database url cannot be read; it looks like postgres://user@host:port/database",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_url_is_required_and_unknown_keys_are_refused() {
        let config: DatabaseConfig = serde_json::from_str(r#"{"url": "postgres://u@h/d"}"#).unwrap();
        assert_eq!(config.max_connections, 8);
        assert!(!config.test_profile);
        let unknown = serde_json::from_str::<DatabaseConfig>(r#"{"url": "x", "max_conections": 3}"#);
        assert!(unknown.unwrap_err().to_string().contains("max_conections"));
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_password() {
        let config = DatabaseConfig::new("postgres://u:hunter2@h:99999999/d");
        assert!(!format!("{config:?}").contains("hunter2"));
        let fault = config.connect_options().unwrap_err();
        assert!(!format!("{fault:?} {fault}").contains("hunter2"));
        assert_eq!(fault.reason(), "DATABASE_URL_INVALID");
    }
}
