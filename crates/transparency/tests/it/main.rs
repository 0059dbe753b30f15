//! The ledger against a real PostgreSQL and through its real port.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod port;
mod sequencing;
mod stage;
mod stamps;
mod tampering;
