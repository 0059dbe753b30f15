//! The crate against a real PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests fail loudly"
)]

mod bulk;
mod connecting;
mod events;
mod inbox;
mod killed;
mod leases;
mod leaves;
mod numbers;
mod pages;
mod privileges;
mod provisioning;
mod reads;
mod requests;
mod scopes;
mod stage;
