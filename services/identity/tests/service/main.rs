//! The identity service against a real PostgreSQL, through its real port.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "tests fail loudly"
)]

mod access;
mod accounts;
mod batches;
mod binary;
mod delegation;
mod emergency;
mod federation;
mod keys;
mod ledger;
mod links;
mod matrix;
mod oauth;
mod reorganisations;
mod roles;
mod schema;
mod session_list;
mod sessions;
mod setup;
mod sign_in;
mod sso;
mod support;
mod systems;
mod units;
mod units_through_time;
