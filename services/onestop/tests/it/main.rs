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
mod files;
mod generated;
mod house;
mod importing;
mod lifecycle;
mod lookup;
mod neighbour;
mod non_interference;
mod numbers;
mod procedures;
mod readers;
mod repetition;
mod rest;
mod schema;
mod searching;
mod support;
mod units;
mod validation;
