//! SQL and nothing but SQL, one file an aggregate: rows in, rows out, inside the caller's transaction.

pub(crate) mod agreements;
pub(crate) mod backlogs;
pub(crate) mod catalogue;
pub(crate) mod civil_register;
pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod exchanges;
pub(crate) mod field_use;
pub(crate) mod history;
pub(crate) mod mailboxes;
pub(crate) mod organisations;
pub(crate) mod partner_records;
pub(crate) mod payments;
pub(crate) mod permits;
pub(crate) mod quota_leases;
pub(crate) mod reconciliations;
pub(crate) mod resealing;
pub(crate) mod services;
pub(crate) mod synchronisations;
pub(crate) mod systems;
pub(crate) mod topics;
pub(crate) mod traffic;
pub(crate) mod verification;

/// Why the store failed. It is a fault of ours, never of the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// PostgreSQL refused or is away.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A stored value is outside its domain.
    #[error("{table}.{column} holds a value outside its domain")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// Another write came in between.
    #[error("{0}: another write came in between")]
    Overtaken(&'static str),
}

type Result<T> = std::result::Result<T, StoreError>;

/// A value that the schema should have made impossible.
const fn inconsistent(table: &'static str, column: &'static str) -> StoreError {
    StoreError::Inconsistent { table, column }
}

/// Demands that an update of one row, at the version that was read, changed it.
fn one_row(table: &'static str, affected: u64) -> Result<()> {
    if affected == 1 {
        Ok(())
    } else {
        Err(StoreError::Overtaken(table))
    }
}
