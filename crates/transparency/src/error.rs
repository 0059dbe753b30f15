//! Why the ledger refuses: one enum of what a caller can act on, one table to code, reason and words.

use egov_fault::{Code, Fault};
use egov_ledger::LedgerError;

/// ErrorInfo.domain of the ledger's own reasons.
const DOMAIN: &str = "ledger.egov";

/// Why sequencing stands still: what is stored is not what the log had signed. It does not go on by itself: to sign a second
/// history under the same name would be a fork.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The database holds less than was signed: it was restored to an earlier state, or truncated.
    #[error(
        "the log {origin} had {signed} entries signed and the database holds {stored}: it was restored or truncated; begin a new epoch"
    )]
    RolledBack {
        /// The log.
        origin: String,
        /// The size that was signed.
        signed: u64,
        /// The size that is stored.
        stored: u64,
    },
    /// The database holds another history than was signed.
    #[error("the entries of the log {origin} up to {size} are not those that were signed; begin a new epoch")]
    Changed {
        /// The log.
        origin: String,
        /// The size up to which it was compared.
        size: u64,
    },
    /// A leaf disappeared before it had its place.
    #[error(
        "a leaf of the log {origin} is gone that waited for its place: find out who deleted it, then begin a new epoch"
    )]
    LeafGone {
        /// The log.
        origin: String,
    },
    /// A leaf row cannot be an entry.
    #[error("a leaf that waits in the log {origin} cannot be an entry: {problem}")]
    Unfit {
        /// The log.
        origin: String,
        /// Why.
        problem: LedgerError,
    },
}

/// Why an operation is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No log of this name or epoch.
    #[error("no such log")]
    LogNotFound,
    /// No checkpoint yet, or none of this size.
    #[error("no such checkpoint")]
    CheckpointNotFound,
    /// No leaf of this hash, or it is not sequenced yet.
    #[error("no such leaf")]
    LeafNotFound,
    /// A size, index or tile outside the tree.
    #[error("outside the tree")]
    OutsideTheTree,
    /// Sequencing stands still.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Nobody's witness, or not of this log.
    #[error("not a witness of this log")]
    NotWitnessed,
    /// The checkpoint is not one, or not signed by its log.
    #[error("the checkpoint is not signed by its log")]
    NotSigned(#[source] LedgerError),
    /// The witness saw another size last.
    #[error("the witness saw size {size} last")]
    OtherSize {
        /// That size.
        size: u64,
    },
    /// The log presents less than the witness saw.
    #[error("the log was rolled back below size {size}")]
    LogRolledBack {
        /// What the witness saw.
        size: u64,
    },
    /// The proof of consistency leads nowhere.
    #[error("the proof does not show that the log goes on from size {size}")]
    ProofFails {
        /// What the witness saw.
        size: u64,
    },
    /// The log presents something else than the witness saw.
    #[error("the log forked after size {size}")]
    LogForked {
        /// What the witness saw.
        size: u64,
    },
    /// What is stored does not fit together.
    #[error("what is stored of the log does not fit together")]
    Ledger(#[from] LedgerError),
    /// A fault of another part of the platform, passed on as it is.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let (code, reason, vi, en) = match error {
            Error::Fault(fault) => return fault,
            Error::Ledger(_) => return Self::internal(error),
            Error::LogNotFound => (
                Code::NotFound,
                "LOG_NOT_FOUND",
                "không có sổ cái này".to_owned(),
                "there is no such log or epoch here".to_owned(),
            ),
            Error::CheckpointNotFound => (
                Code::NotFound,
                "CHECKPOINT_NOT_FOUND",
                "sổ cái không có điểm kiểm tra này".to_owned(),
                "the log has no checkpoint yet, or none of this size".to_owned(),
            ),
            Error::LeafNotFound => (
                Code::NotFound,
                "LEAF_NOT_FOUND",
                "sổ cái không có mục này hoặc chưa xếp thứ tự".to_owned(),
                "no such leaf is in the log, or it is not sequenced yet".to_owned(),
            ),
            Error::OutsideTheTree => (
                Code::OutOfRange,
                "OUTSIDE_THE_TREE",
                "kích thước hoặc vị trí nằm ngoài sổ cái".to_owned(),
                "a size, index or tile lies outside the tree".to_owned(),
            ),
            Error::Stopped(ref stopped) => (
                Code::Unavailable,
                "LEDGER_STOPPED",
                "sổ cái đã dừng vì dữ liệu lưu khác với dữ liệu đã ký".to_owned(),
                stopped.to_string(),
            ),
            Error::NotWitnessed => (
                Code::FailedPrecondition,
                "NOT_WITNESSED",
                "dịch vụ này không chứng kiến sổ cái đó".to_owned(),
                "this service is not a witness of that log".to_owned(),
            ),
            Error::NotSigned(ref problem) => (
                Code::InvalidArgument,
                "CHECKPOINT_NOT_SIGNED",
                "điểm kiểm tra không hợp lệ hoặc không do sổ cái ký".to_owned(),
                problem.to_string(),
            ),
            Error::OtherSize { size } => {
                return Self::new(
                    Code::Aborted,
                    "WITNESS_SAW_OTHER_SIZE",
                    format!("bên chứng kiến đã thấy kích thước {size}"),
                    format!("the witness saw the log at size {size} last"),
                )
                .domain(DOMAIN)
                .with("size", size.to_string());
            }
            Error::LogRolledBack { size } => (
                Code::FailedPrecondition,
                "LOG_ROLLED_BACK",
                format!("sổ cái nhỏ hơn kích thước {size} đã được chứng kiến"),
                format!("the witness saw the log at size {size}: it was rolled back"),
            ),
            Error::ProofFails { size } => (
                Code::InvalidArgument,
                "PROOF_FAILS",
                format!("chứng minh không cho thấy sổ cái nối tiếp từ kích thước {size}"),
                format!("the proof does not show that the log goes on from size {size}, which the witness saw"),
            ),
            Error::LogForked { size } => (
                Code::FailedPrecondition,
                "LOG_FORKED",
                format!("sổ cái không nối tiếp từ kích thước {size} đã được chứng kiến"),
                format!("the log contradicts what the witness saw of it up to size {size}: it forked"),
            ),
        };
        Self::new(code, reason, vi, en).domain(DOMAIN)
    }
}
