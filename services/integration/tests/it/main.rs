//! The service through its real port, against a real PostgreSQL.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_update,
    reason = "tests fail loudly"
)]

mod access;
mod agreements;
mod directory;
mod door;
mod interfaces;
mod meters;
mod permits;
mod rest;
mod schema;
mod support;
mod traffic;
mod verification;
