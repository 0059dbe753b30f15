//! SQL and nothing but SQL, one file an aggregate: rows in, rows out, inside the caller's transaction.
//!
//! Every query of what a commune keeps filters by the caller's scope; row-level security is the second wall.

pub(crate) mod annotations;
pub(crate) mod books;
pub(crate) mod bulk;
pub(crate) mod corrections;
pub(crate) mod deaths;
pub(crate) mod disclosure;
pub(crate) mod duplicates;
pub(crate) mod entries;
pub(crate) mod families;
pub(crate) mod old_books;
pub(crate) mod papers;
pub(crate) mod pending_decisions;
pub(crate) mod person_index;
pub(crate) mod person_search;
pub(crate) mod personal_numbers;
pub(crate) mod persons;
pub(crate) mod programmes;
pub(crate) mod statistics;

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
    /// An update met another number of rows than it must.
    #[error("{table}: {affected} rows were changed instead of one")]
    Affected {
        /// The table.
        table: &'static str,
        /// How many rows there were.
        affected: u64,
    },
}

/// Demands that a statement changed exactly one row.
fn one_row(table: &'static str, affected: u64) -> Result<(), StoreError> {
    if affected == 1 {
        Ok(())
    } else {
        Err(StoreError::Affected { table, affected })
    }
}
