//! Who looked at my data, why, and on which legal basis (ai đã xem dữ liệu của tôi, để làm gì, theo căn cứ nào).
//!
//! Every service records the readings of personal data in its own database before the data leaves
//! ([`egov_auth::ReadRecorder`]). This crate is the one implementation of `egov.records.v1.ReadingService` over those records:
//! a service that runs alone answers for its own database, one process with several services once for all of them.
//!
//! * The person concerned sees the agency and the capacity of the reader, purpose and legal basis, and only the resources that
//!   are the person's own. Which official it was is for the supervisor (see README.md for why).
//! * A list over several databases is merged by time and goes on where it ended in each: see `merge.rs`.

mod api;
mod list;
mod merge;
mod show;

use std::fmt;
use std::sync::Arc;

use egov_auth::{Access, ReadRecorder};
use egov_clock::SharedClock;
use egov_database::{Database, ReadRecordSink};
use egov_directory::Directory;
use egov_proto::egov::records::v1::reading_service_server::ReadingServiceServer;
use egov_runtime::contract::Contract;

pub use crate::api::ReadingApi;

/// What the service is given.
pub struct Parts {
    /// The databases whose records are shown, each with the name of its service. The keys of the first one seal the page
    /// tokens, and the supervisor's own readings are recorded in it.
    pub databases: Vec<(&'static str, Database)>,
    /// Names of units.
    pub directory: Arc<Directory>,
    /// Titles of roles, and purposes with their legal bases.
    pub access: Arc<Access>,
    /// The time.
    pub clock: SharedClock,
    /// The compiled contract.
    pub contract: Arc<Contract>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.databases.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Parts")
            .field("databases", &names)
            .finish_non_exhaustive()
    }
}

/// No database was given: there would be nothing to answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDatabase;

impl fmt::Display for NoDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("readings are shown of at least one database")
    }
}

impl std::error::Error for NoDatabase {}

/// What the use cases work with.
pub(crate) struct Readings {
    databases: Vec<(&'static str, Database)>,
    home: Database,
    recorder: ReadRecorder,
    directory: Arc<Directory>,
    access: Arc<Access>,
    clock: SharedClock,
    acts: show::Acts,
}

/// The gRPC service; it starts the task that records the supervisor's readings.
pub fn service(parts: Parts) -> Result<ReadingServiceServer<ReadingApi>, NoDatabase> {
    let Parts {
        databases,
        directory,
        access,
        clock,
        contract,
    } = parts;
    let (_, home) = databases.first().ok_or(NoDatabase)?;
    let home = home.clone();
    let readings = Readings {
        recorder: ReadRecorder::start(ReadRecordSink::new(home.clone())),
        home,
        databases,
        directory,
        access,
        clock,
        acts: show::Acts::of(&egov_proto::POOL),
    };
    Ok(ReadingServiceServer::new(ReadingApi {
        contract,
        readings: Arc::new(readings),
    }))
}
