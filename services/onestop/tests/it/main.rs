//! The one-stop service through its real port, against a real PostgreSQL.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::needless_update,
    reason = "tests fail loudly"
)]

mod access;
mod alone;
mod bucket;
mod catalogue;
mod counters;
mod files;
mod generated;
mod house;
mod lifecycle;
mod lookup;
mod neighbour;
mod numbers;
mod procedures;
mod ratings;
mod repetition;
mod reports;
mod rest;
mod schema;
mod statistics;
mod support;
mod units;
mod validation;
