//! The use cases, one a file: authorise, load, let the domain decide, write, commit.

mod create_entry;
mod dead_letters;
pub(crate) mod deliveries;
mod get_entry;
pub(crate) mod mailboxes;
mod publish_events;
pub(crate) mod subscriptions;
pub(crate) mod topics;

use std::sync::Arc;

use egov_database::Database;
use egov_events::EventStore;
use egov_keyring::Keyring;

use crate::domain::webhook::AllowedHosts;

/// The permission by which a caller sees an entry at all.
pub(crate) const READ: &str = "integration.entries.read";

/// What every use case works with.
pub(crate) struct Integration {
    pub(crate) database: Database,
}

/// What every use case of the events works with.
pub(crate) struct Events {
    pub(crate) database: Database,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) hosts: AllowedHosts,
}
