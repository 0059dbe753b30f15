//! The services for partners through their real port, against a real PostgreSQL and simulated partners.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests fail loudly"
)]

mod access;
#[path = "../entries/agencies.rs"]
mod agencies;
#[path = "../entries/callers.rs"]
mod callers;
mod civil_register;
mod civil_status;
mod deliveries;
mod follow;
mod killed;
mod payments;
mod population;
mod portal;
mod reconciliation;
mod support;
mod thousand;
