//! The trait through which services keep files.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use egov_fault::Fault;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Digest, FileKey, FileType, UploadLimits};

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes are stored from the start without a gap: where the next part begins.
    pub received: u64,
}

/// A file in its final place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its name in the store.
    pub key: FileKey,
    /// Its size in bytes.
    pub size: u64,
    /// The type found in its content.
    pub file_type: FileType,
}

/// An upload that was swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweptUpload {
    /// The upload.
    pub upload: Uuid,
    /// The file that it became, if its content was found right. It is still there; the owner of the upload deletes it
    /// unless it has recorded it.
    pub became: Option<FileKey>,
}

/// Keeps files.
///
/// The caller says who may do what: the store knows ids and keys, no people. Every method can be repeated after a
/// broken connection or a killed process and then answers as the first time.
///
/// Every failure is a [`Fault`] with a reason of the contract: `CHUNK_HASH_MISMATCH`, `CHUNK_OUT_OF_ORDER`,
/// `UPLOAD_NOT_FOUND`, `FILE_TOO_LARGE`, `FILE_TYPE_NOT_ALLOWED`, `FILE_HASH_MISMATCH`, `FILE_NOT_FOUND`, and
/// `STORE_UNAVAILABLE` where the disk or the bucket fails.
#[async_trait]
pub trait FileStore: fmt::Debug + Send + Sync + 'static {
    /// Begins an upload under an id that the caller made. A second `start` of the same id changes nothing: the first
    /// limits and the first time hold.
    async fn start(&self, upload: Uuid, limits: &UploadLimits, now: Timestamp) -> Result<Progress, Fault>;

    /// How far an upload has come. `UPLOAD_NOT_FOUND` for one that was not begun or was swept; a finished one has all
    /// its bytes.
    async fn progress(&self, upload: Uuid) -> Result<Progress, Fault>;

    /// Stores the part that begins at `offset` and answers when it is durable.
    ///
    /// The same part may be sent again. A part that leaves a gap, or that begins inside what is already stored with
    /// other content or another length, is refused with `CHUNK_OUT_OF_ORDER`, whose metadata `received` says where to
    /// go on. Of two different parts sent at once for one offset one is stored.
    async fn put_chunk(&self, upload: Uuid, offset: u64, data: Bytes, sha256: Digest) -> Result<Progress, Fault>;

    /// Checks the whole content (size, SHA-256, type, limits) and puts it in its final place; answers when that is
    /// durable. `CHUNK_OUT_OF_ORDER` if parts are missing; the upload can then go on.
    async fn finish(&self, upload: Uuid, total: u64, sha256: Digest) -> Result<StoredFile, Fault>;

    /// Forgets an upload and its parts, if there are any. A file that it became stays.
    async fn abandon(&self, upload: Uuid) -> Result<(), Fault>;

    /// The size of a file in bytes.
    async fn size(&self, key: &FileKey) -> Result<u64, Fault>;

    /// Reads at most `length` bytes from `offset`: fewer where the file ends, none behind its end. The caller bounds
    /// `length`: all of it is held in memory.
    async fn read(&self, key: &FileKey, offset: u64, length: u64) -> Result<Bytes, Fault>;

    /// Reads a whole file and compares it with its key; answers with its size. `FILE_HASH_MISMATCH` (data loss) if
    /// the disk or somebody has changed it.
    async fn verify(&self, key: &FileKey) -> Result<u64, Fault>;

    /// Deletes a file. One that is not there is deleted already.
    async fn delete(&self, key: &FileKey) -> Result<(), Fault>;

    /// Forgets the uploads that were begun before an instant, finished or not, and what killed processes left behind.
    async fn sweep(&self, started_before: Timestamp) -> Result<Vec<SweptUpload>, Fault>;
}
