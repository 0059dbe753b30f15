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

mod abuse;
mod access;
mod agreements;
mod any_masks;
mod directory;
mod disk;
mod door;
mod door_rest;
mod door_web;
mod interfaces;
mod killed;
mod meters;
mod permits;
mod plain;
mod quotas;
mod rest;
mod schema;
mod served;
mod standing_still;
mod stopping;
mod support;
mod traffic;
mod verification;
mod xroad;
mod xroad_grpc;
