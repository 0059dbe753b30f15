//! The ledger of a service (sổ cái bất biến): the leaves of its writes as an append-only tree, served, witnessed, verified.
//!
//! * [`Log`]: one service's log, and what is read of it; [`Sequencer`]: gives leaves their places and signs checkpoints.
//! * [`LedgerApi`], [`WitnessApi`]: the contract `egov.ledger.v1`.
//! * [`LedgerConfig`], [`Ledger`]: how a service configures and carries its own.
//! * [`Witness`]: cosigns others' logs; [`WitnessPeer`]: shows ours to others; [`StampAuthority`]: has checkpoints stamped (RFC 3161).
//! * [`verify_log`], [`verify_folder`], [`verify_kind`]: nothing is believed that can be computed.
//!
//! The arithmetic is in `egov_ledger`; the tables are in every service's database (`egov_database::SHARED_MIGRATION_2`).

mod api;
mod config;
mod error;
mod folder;
mod log;
mod memory;
mod meters;
mod sequencer;
mod stamping;
mod store;
mod verify;
mod witness;

pub use api::{LedgerApi, WitnessApi};
pub use config::{ConfigError, Ledger, LedgerConfig, PeerConfig};
pub use error::{Error, Stopped};
pub use folder::{FolderError, export, verify_folder};
pub use log::{Inclusion, Log, LogConfig, Standing, leaf_hash};
pub use sequencer::{ANCHOR_KIND, Head, Sequencer};
pub use stamping::{AuthorityConfig, StampAuthority, StampProblem, StampRoots};
pub use store::{Placed, StoredCheckpoint, StoredStamp};
pub use verify::{
    Finding, KindReport, LogReport, Rebuilt, Rule, Trust, WithoutRow, epochs, kinds, rebuilt_anchors, rebuilt_reads,
    verify_kind, verify_log,
};
pub use witness::{Witness, WitnessPeer};
