//! Events between systems: published once, kept for a while, delivered in order by key until they are acknowledged.
//!
//! * [`CloudEvent`]: the envelope, as CloudEvents 1.0 describes it, in protobuf and in JSON.
//! * [`EventStore`]: one trait with two implementations, [`PostgresStore`] in a service's database and [`JetStreamStore`], and
//!   one suite for both (`tests/events/contract.rs`).
//! * [`Forwarder`]: publishes the log of a service to integration ([`IntegrationPublisher`]).
//! * [`SystemToken`]: the token of a system, proved by its key and exchanged in time.
//! * [`Backoff`]: pauses that grow, with chance.
//! * [`WebhookSecret`]: signs and checks webhooks as Standard Webhooks says.

mod backoff;
mod budget;
mod client;
mod event;
mod forward;
mod jetstream;
mod postgres;
mod store;
mod system_token;
mod webhook;

pub use backoff::Backoff;
pub use client::{IntegrationConfig, IntegrationPublisher};
pub use event::{CloudEvent, EventError, MAX_DATA_BYTES};
pub use forward::{Forwarder, Publisher};
pub use jetstream::{JetStreamConfig, JetStreamStore, lane};
pub use postgres::PostgresStore;
pub use store::{
    Batch, DUPLICATE_WINDOW, DeadLetter, DeadLetters, Delivery, Durability, EventStore, Letters, Missed, Progress,
    Published, Redriven, Rejection, StartAt, SubscriptionSpec, Swept, TopicSpec,
};
pub use system_token::{SystemToken, SystemTokenConfig};
pub use webhook::{
    WEBHOOK_ANSWER, WEBHOOK_CONTENT_TYPE, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, WEBHOOK_TOLERANCE_SECONDS,
    WebhookRefusal, WebhookSecret, WebhookSecretError, webhook_client,
};

/// What the PostgreSQL store needs in its database. A service's migration begins with this text, and a test of the service
/// compares the two.
pub const EVENTS_MIGRATION: &str = include_str!("../events.sql");

/// What the PostgreSQL store needs besides, as a later migration.
pub const EVENTS_MIGRATION_2: &str = include_str!("../events_2.sql");
