//! What can go wrong with a keyring, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::Purpose;

/// What can go wrong with a keyring. The texts say what to do; none contains key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// There is no keyring at this place.
    #[error(
        "there is no keyring in {}: make one with `egov up`, or restore it from its backup", .path.display()
    )]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// The keyring is older than this version and has no key for one purpose yet.
    #[error(
        "the keyring has no {purpose} key yet ({} does not exist): `egov up` adds what is missing", .path.display()
    )]
    NotYetMade {
        /// The purpose without key.
        purpose: Purpose,
        /// The file that would hold it.
        path: PathBuf,
    },
    /// A key that was made once is gone.
    #[error(
        "the {purpose} key was made once, but {} is gone: restore it from the keyring's backup; without it, what it \
         sealed or signed can no longer be opened or verified. To accept that loss and make a new key, remove the \
         name from {}", .path.display(), .index.display()
    )]
    Lost {
        /// The purpose whose key is gone.
        purpose: Purpose,
        /// The file that held it.
        path: PathBuf,
        /// The list of the keys that were made.
        index: PathBuf,
    },
    /// Others than the owner may read or change the key files.
    #[error(
        "{} has mode {mode:04o}, so that others than its owner can reach the keys: run `chmod {wanted:04o} {}`, and \
         rotate the keys if others may have read them", .path.display(), .path.display()
    )]
    TooOpen {
        /// The folder or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits it should have.
        wanted: u32,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged ({problem}): restore it from the keyring's backup", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file was written by a newer version.
    #[error(
        "{} has format {found}, this version reads up to {known}: use the version that wrote it, or a newer one",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format that is understood.
        known: u32,
    },
    /// Every key of a purpose has retired.
    #[error("every {purpose} key has retired: check the machine's clock, or restore the keyring from its backup")]
    AllRetired {
        /// The purpose.
        purpose: Purpose,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The name is not that of a purpose.
    #[error(
        "not a purpose of the keyring; the purposes are token-signing, tree-signing, page-tokens, answers, receipts, \
         checkpoints, webhooks, lookup-secrets, client-assertions and bodies"
    )]
    UnknownPurpose,
    /// An overlap must not be negative, nor end beyond the representable time.
    #[error("an overlap lies between zero and some centuries")]
    BadOverlap,
    /// What should be opened was not made by `seal`.
    #[error("this is not a sealed text")]
    NotSealed,
    /// What should be opened was sealed with a key that this keyring does not have or no longer uses.
    #[error("the text was sealed with a {purpose} key that is unknown here or has retired")]
    UnknownKey {
        /// The purpose.
        purpose: Purpose,
    },
    /// There is no key of this id to withdraw.
    #[error("the keyring has no {purpose} key {id}")]
    NoSuchKey {
        /// The purpose.
        purpose: Purpose,
        /// The id that was named.
        id: String,
    },
    /// What should be opened was altered, or belongs to another context.
    #[error("the sealed text is not authentic: it was altered or belongs elsewhere")]
    NotAuthentic,
    /// The cryptographic library or the module that holds the key refused.
    #[error("the {operation} failed")]
    Crypto {
        /// The operation that failed.
        operation: &'static str,
    },
}
