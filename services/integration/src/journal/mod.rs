//! The record of exchanges: on the disk of the door and from there in the database, or in the database at once.

mod database;
mod disk;
mod entry;
mod load;
mod record;
mod set_aside;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use egov_database::Database;
use egov_door::{Begun, Ended, Held, Journal, Promise, Recording};
use egov_keyring::Keyring;
use egov_spool::Settings;
use egov_transparency::Log;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use database::DatabaseJournal;
use disk::DiskJournal;
use record::Recorder;
pub(crate) use record::{REQUEST, RESPONSE, sealed_for, write};
pub use set_aside::records_set_aside;

/// How long a reader waits for what this instance has recorded to reach the database.
const CATCH_UP: Duration = Duration::from_secs(1);

/// The journal of one instance of the door.
#[derive(Clone)]
pub(crate) struct ExchangeJournal {
    kind: Kind,
    instance_id: Uuid,
}

#[derive(Clone)]
enum Kind {
    Database(DatabaseJournal),
    Disk(DiskJournal),
}

/// Exchanges whose ends were not stored before the process stopped; the sweep will say that their outcome is unknown.
#[derive(Debug, thiserror::Error)]
#[error("the ends of {0} exchanges could not be stored in time")]
pub(crate) struct Unsettled(usize);

impl ExchangeJournal {
    /// Starts it on the present runtime: on the disk if there is a folder for that, otherwise in the database.
    pub(crate) fn start(
        database: Database,
        keyring: Arc<Keyring>,
        log: Arc<Log>,
        folder: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let instance_id = database.ids().uuid();
        let recorder = Arc::new(Recorder {
            database,
            keyring,
            log,
            instance_id,
        });
        let kind = match folder {
            None => Kind::Database(DatabaseJournal::start(recorder)),
            Some(folder) => Kind::Disk(
                DiskJournal::start(recorder, &Settings::new(folder.to_owned()))
                    .context("door.journal_folder cannot be used")?,
            ),
        };
        Ok(Self { kind, instance_id })
    }

    /// The instance under which it records.
    pub(crate) fn instance_id(&self) -> Uuid {
        self.instance_id
    }

    /// Waits until what this instance has recorded so far can be read, but not for long.
    async fn caught_up(&self) {
        if let Kind::Disk(journal) = &self.kind {
            // Whoever reads gets what is there.
            let _ = timeout(CATCH_UP, journal.caught_up()).await;
        }
    }

    /// Waits until every exchange that was begun here has its end stored; for the time after the last call. Ends at `stop`
    /// otherwise.
    pub(crate) async fn settled(&self, stop: CancellationToken) -> Result<(), Unsettled> {
        match &self.kind {
            Kind::Database(journal) => journal.settled(stop).await,
            Kind::Disk(journal) => journal.settled(stop).await,
        }
    }
}

/// Waits until what the journal of this process, if it has one, has recorded so far can be read, but not for long.
pub(crate) async fn caught_up(journal: Option<&ExchangeJournal>) {
    if let Some(journal) = journal {
        journal.caught_up().await;
    }
}

impl Journal for ExchangeJournal {
    fn begin(&self, begun: Arc<Begun>, body: Option<Bytes>, held: Held) -> Recording<()> {
        match &self.kind {
            Kind::Database(journal) => journal.begin(begun, body, held),
            Kind::Disk(journal) => journal.begin(begun, body, held),
        }
    }

    fn end(&self, ended: Ended) -> Recording<Promise> {
        match &self.kind {
            Kind::Database(journal) => journal.end(ended),
            Kind::Disk(journal) => journal.end(ended),
        }
    }

    fn abandon(&self, ended: Ended) {
        match &self.kind {
            Kind::Database(journal) => journal.abandon(ended),
            Kind::Disk(journal) => journal.abandon(ended),
        }
    }
}

impl fmt::Debug for ExchangeJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeJournal")
            .field("instance_id", &self.instance_id)
            .finish_non_exhaustive()
    }
}
