//! The civil registry through its real port, against a real PostgreSQL.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::needless_update,
    clippy::wildcard_imports,
    reason = "tests fail loudly"
)]

mod access;
mod alone;
mod annotations;
mod as_of;
mod births;
mod books;
mod corrections;
mod deaths;
mod decisions;
mod disclosure;
mod duplicates;
mod families;
mod generated;
mod history;
mod marriages;
mod non_interference;
mod numbers;
mod old_books;
mod papers;
mod person_search;
mod personal_numbers;
mod persons;
mod programmes;
#[path = "../../../onestop/tests/it/readers.rs"]
mod readers;
mod schema;
mod statistics;
mod support;
