//! Why a test cannot have its database.

use egov_fault::Fault;
use egov_postgres::PostgresError;

/// Why a test cannot have its database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestkitError {
    /// PostgreSQL is not there or does not start.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The server for tests could not be prepared. It is tried once in a process; every test gets the same answer.
    #[error("the PostgreSQL server for tests is not usable: {0}")]
    Server(String),
    /// The URL in the variable does not name a server.
    #[error("{variable} is no URL of a PostgreSQL server, such as `postgres:///postgres?host=/folder&user=postgres`", variable = crate::SERVER_VARIABLE)]
    BadUrl,
    /// A statement failed.
    #[error("{doing}: {source}")]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// The reason.
        source: sqlx::Error,
    },
    /// The service's database could not be made or migrated.
    #[error("the template of the service {service} could not be made: {fault}")]
    Template {
        /// The service.
        service: &'static str,
        /// The reason.
        fault: Fault,
    },
    /// The background runtime ended.
    #[error("the background work of the tests was cut off")]
    CutOff,
}

impl TestkitError {
    /// Says what was being done.
    pub(crate) fn sql(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Sql { doing, source }
    }

    /// Whether the object that the statement named was not there.
    pub(crate) fn is_missing_database(&self) -> bool {
        matches!(self, Self::Sql { source: sqlx::Error::Database(error), .. } if error.code().as_deref() == Some("3D000"))
    }
}
