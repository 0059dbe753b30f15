//! SQL and nothing but SQL: rows in, rows out, inside the caller's transaction.
//!
//! Every query about accounts carries the caller's scope itself; row-level security is the second wall, not the first.

pub(crate) mod accounts;
pub(crate) mod activations;
pub(crate) mod attempts;
pub(crate) mod citizens;
pub(crate) mod credentials;
pub(crate) mod delegations;
pub(crate) mod federation;
pub(crate) mod keys;
pub(crate) mod records;
pub(crate) mod reorganisations;
pub(crate) mod reviews;
pub(crate) mod revocations;
pub(crate) mod roles;
pub(crate) mod sessions;
pub(crate) mod systems;
pub(crate) mod units;

use egov_fault::Fault;
use sqlx::postgres::PgQueryResult;

/// What a query gives.
pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// A row that the database's own rules should have made impossible.
fn corrupt(what: &'static str) -> Fault {
    Fault::internal(what)
}

/// An update of one row that did not change exactly one: row-level security or another transaction hid it.
fn exactly_one(done: PgQueryResult) -> Result<()> {
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(corrupt("an update did not change exactly one row"))
    }
}

/// A column of 32 bytes.
fn digest(bytes: Vec<u8>) -> Result<[u8; 32]> {
    <[u8; 32]>::try_from(bytes).map_err(|_| corrupt("a digest is not 32 bytes long"))
}
