//! The operator's command as a newcomer and an operator use it: the real binary, its real port, its own PostgreSQL.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "tests fail loudly"
)]

mod backup;
mod bench;
mod fees;
mod follow;
mod generate;
mod given;
mod import_cases;
mod keys;
mod ledger;
mod newcomer;
mod partner;
mod power_cut;
mod reorganisation;
mod simulate;
mod staff;
mod support;
