//! The use cases, one a file: authorise, load, let the domain decide, write, commit.

mod create_entry;
mod get_entry;
pub(crate) mod partners;

use egov_database::Database;

/// The permission by which a caller sees an entry at all.
pub(crate) const READ: &str = "integration.entries.read";

/// What every use case works with.
pub(crate) struct Integration {
    pub(crate) database: Database,
}
