//! SQL and nothing but SQL, one file an aggregate: rows in, rows out, inside the caller's transaction.

pub(crate) mod deliveries;
pub(crate) mod entries;
pub(crate) mod partner_records;
pub(crate) mod payments;

/// Why the store failed. It is a fault of ours, never of the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// PostgreSQL refused or is away.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}
