//! One service's database: scoped transactions, writes that happen once, and what all services' databases share.
//!
//! * [`Database::read`] and [`Database::write`] are the only ways to a connection. Both begin their transaction together
//!   with the rows that the caller may see ([`egov_auth::RowScope`]), in one round trip; row-level security holds to it
//!   even where a query forgets its own filter.
//! * A [`WriteRequest`] carries the caller's request id: the same request gets the same answer, once and for all.
//!   State, history, [`Event`]s, ledger [`Leaf`] rows, gapless numbers and the answer are one transaction
//!   ([`UnitOfWork`]).
//! * [`PageTokens`] for lists, [`Lease`]s for background work, the [`Relay`] for events, [`ReadRecordSink`] for the
//!   records of who read whose data.
//! * [`BulkLoad`] loads a past by COPY: generated data, or the records of another system.
//! * [`UnitOfWork::first_time`] is the inbox of a receiver of events: an effect happens once, however often its event comes.
//! * [`provision`] creates roles and database and runs a service's migrations, among which are [`SHARED_MIGRATION`],
//!   [`SHARED_MIGRATION_2`] and [`SHARED_MIGRATION_3`], the schema `egov`.
//!
//! Statements here are checked when they run, not by the macros of sqlx: this schema lives in every service's database
//! and has none of its own. Services use the macros. README.md shows a whole write operation and how offline metadata
//! works.

mod bulk;
mod config;
mod database;
mod fault;
mod inbox;
mod lease;
mod migrate;
mod pages;
mod reads;
mod relay;
mod retention;
mod scope;
mod unit;
mod write;

pub use bulk::{BulkLoad, CopyRows, CopyValue, CounterKey, JsonText, PastEvent, PastLeaves};
pub use config::DatabaseConfig;
pub use database::Database;
pub use fault::{sql_fault, sql_state, violates};
pub use lease::Lease;
pub use migrate::{Passwords, Provision, ServiceUrls, migrate, provision};
pub use pages::{Page, PageBinding, PageTokens};
pub use reads::{
    READ_KIND, ReadFacts, ReadRecordSink, Reading, ReadingFilter, ReadingKey, SubjectFilter, list_readings,
    stored_capacities,
};
pub use relay::{LoggedEvent, Position, Relay};
pub use unit::{Event, Leaf, PromisedLeaf, UnitOfWork, leaf_commitment, stored_instant};
pub use write::{WriteRequest, Written};

/// The schema `egov`. Every service's first migration, `migrations/0001_shared.sql`, is a copy of this text, and a test
/// of the service compares the two.
pub const SHARED_MIGRATION: &str = include_str!("../shared.sql");

/// The second part of the schema `egov`: the ledger. A further migration of every service is a copy of it.
pub const SHARED_MIGRATION_2: &str = include_str!("../shared_2.sql");

/// The third part of the schema `egov`: the inbox of a receiver of events. A further migration of every service is a copy of it.
pub const SHARED_MIGRATION_3: &str = include_str!("../shared_3.sql");

/// What the persons concerned see of readings: the shared file that services copy as a further migration
/// (`migrations/…_readings.sql`).
pub const SHARED_MIGRATION_4: &str = include_str!("../shared_4.sql");
