//! Records that survive a crash on this process's own disk before they reach the database (sổ ghi trước).
//!
//! Whoever must not go on before something is written down appends a [`Record`] and waits until it is [`Durable`]: appends that
//! come while the disk is busy become durable together, with one flush (group commit). A shipper takes what is durable from
//! [`Shipments`], in order, and says when it has it elsewhere; only then its room is used again. After a crash everything that
//! was not said to be elsewhere comes again, in order, some of it perhaps a second time: shipping must be harmless to repeat.
//!
//! On disk a spool is a folder of segments of a fixed size, written full of zeros beforehand, so that a flush writes data and no
//! metadata. Every frame has a checksum over the number of its segment too: what an earlier use of the segment left is no record
//! of this one. One process owns a folder at a time.

mod segment;
mod spool;

use std::io;
use std::path::PathBuf;

pub use spool::{Durable, Resting, Shipments, Spool, Spooled};

/// What is kept in a spool.
pub trait Record: Send + Sized + 'static {
    /// Appends the bytes of the record.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what [`encode`](Self::encode) wrote, also by an earlier version of the program; none if that cannot be.
    fn decode(bytes: &[u8]) -> Option<Self>;

    /// About how many bytes [`encode`](Self::encode) writes, where that is many: what waits to be written is bounded by it.
    fn weight(&self) -> usize {
        0
    }

    /// It is durable now: what was held until then can be given back.
    fn is_durable(&mut self) {}
}

/// Where a spool lies and how much it may hold.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its folder; made with mode 0700 if it is not there.
    pub folder: PathBuf,
    /// The size of a segment, in bytes: more than the largest record.
    pub segment_bytes: u64,
    /// How many bytes of records may wait to be written and shipped; further ones are refused, those that are owed at twice as many.
    pub waiting_bytes: u64,
}

impl Settings {
    /// Segments of 16 MiB, at most 256 MiB waiting.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            segment_bytes: 16 * 1024 * 1024,
            waiting_bytes: 256 * 1024 * 1024,
        }
    }
}

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another process uses the spool in {}", .0.display())]
    InUse(PathBuf),
    /// A file of it is not what was written.
    #[error(
        "{} is damaged at byte {offset}: restore it, or move it away; what it held and was not shipped is lost then",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it stops making sense.
        offset: u64,
    },
    /// The disk.
    #[error("the spool in {} cannot be used", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Why a record is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too much waits to be shipped.
    #[error("too many records wait to be shipped")]
    Full,
    /// It is larger than a segment.
    #[error("the record is too large")]
    TooLarge,
    /// The disk failed. Nothing is appended any more until the spool is opened anew: after a flush that failed nobody knows what
    /// the disk holds.
    #[error("the disk of the spool failed")]
    Failed,
}
