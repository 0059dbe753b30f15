//! What every service knows of identity: the tree of units and what was revoked.
//!
//! A [`Directory`] follows identity's feed ([`Feed`]; [`GrpcFeed`] is the one over the network). It feeds the tree against
//! which `egov_auth::Access` expands grants and the `egov_auth::Revocations` that every call is checked against, and it
//! answers what other services ask of units: which unit carries a code on a day, what it is called, what its agency code
//! is.
//!
//! The tree is signed by identity and verified here ([`Trust`] says with which keys). The last good one is kept on disk,
//! signature included, so that a service starts and reads while identity is away. Revocations are not kept: without the
//! feed nobody can tell whether they are complete, so after a start they count as stale until identity answers, and
//! writes that are marked sensitive refuse meanwhile.
//!
//! ```no_run
//! use std::sync::Arc;
//! use egov_clock::SystemClock;
//! use egov_directory::{Directory, DirectoryConfig, GrpcFeed};
//! use jiff::civil::date;
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let config = DirectoryConfig { folder: Some("/var/lib/egov/onestop/directory".into()), ..DirectoryConfig::default() };
//! let directory = Arc::new(Directory::open(config, SystemClock::shared())?);
//! let feed = GrpcFeed::lazy("http://identity:8080")?;
//! tokio::spawn(Arc::clone(&directory).follow(feed, CancellationToken::new()));
//!
//! // Feed these to egov_auth::Access and egov_auth::AuthLayer.
//! let (_tree, _revocations) = (directory.tree(), directory.revocations());
//! let ward = directory.resolve("16690", date(2026, 11, 24));
//! # let _ = ward;
//! # Ok(())
//! # }
//! ```

mod directory;
mod feed;
mod snapshot;
mod store;
mod trust;
mod units;

pub use directory::{Directory, DirectoryConfig, DirectoryError};
pub use feed::{Feed, FeedTls, FeedTlsError, GrpcFeed, identity_channel};
pub use snapshot::SnapshotError;
pub use trust::Trust;
pub use units::{AgencyCode, Unit, Units, Whereabouts};

/// What kind of unit it is, as the contract has it.
pub use egov_proto::egov::identity::v1::UnitKind;
