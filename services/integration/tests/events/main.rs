//! Events and mailboxes through the service's real port, against a real PostgreSQL.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "../entries/agencies.rs"]
mod agencies;
#[path = "../entries/callers.rs"]
mod callers;
mod jetstream;
mod killed;
mod mailboxes;
mod measured;
mod schemas;
mod stage;
mod streams;
mod topics;
mod webhooks;
