//! SQL and nothing but SQL, one file an aggregate: rows in, rows out, inside the caller's transaction.

pub(crate) mod agencies;
pub(crate) mod audit;
pub(crate) mod avoidable;
pub(crate) mod bulk;
pub(crate) mod case_lists;
pub(crate) mod case_search;
pub(crate) mod case_versions;
pub(crate) mod cases;
pub(crate) mod charges;
pub(crate) mod civil_decisions;
pub(crate) mod counters;
pub(crate) mod deadlines;
pub(crate) mod decisions;
pub(crate) mod drafts;
pub(crate) mod files;
pub(crate) mod filing;
pub(crate) mod history;
pub(crate) mod imports;
pub(crate) mod inbox;
pub(crate) mod linked;
pub(crate) mod lookups;
pub(crate) mod marks;
pub(crate) mod packs;
pub(crate) mod papers;
pub(crate) mod procedures;
pub(crate) mod reconciliations;
pub(crate) mod reports;
pub(crate) mod results;
pub(crate) mod statistics;
pub(crate) mod stored_papers;
pub(crate) mod tasks;
pub(crate) mod treasury_files;
pub(crate) mod unsettled;
mod visible;

pub(crate) use visible::Visible;

/// A row that does not hold what the schema promises. It is a fault of ours, never of the caller.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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

#[cfg(test)]
mod reconciliations_plans;
#[cfg(test)]
mod reports_plans;
#[cfg(test)]
mod stored_papers_plans;
#[cfg(test)]
mod unsettled_plans;
