//! The store over `object_store`: a folder, a bucket, or memory.
//!
//! ```text
//! uploads/<upload>/start            when it began and its limits
//! uploads/<upload>/part-<offset>    the parts, each written once
//! uploads/<upload>/outcome          what it became
//! files/<xx>/<sha256>-<upload>      a finished file
//! ```
//!
//! The names alone tell how far an upload has come, so there is no second record that could disagree after a crash. A
//! part is created only where none begins yet (`PutMode::Create`), and only where the stored parts end; so parts never
//! overlap. `finish` writes the outcome once the content was found right and before the file appears: from then on a
//! sweep can name the file, even if the process was killed in between. Parts are removed last to first, so that what
//! remains never has a gap.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use egov_fault::Fault;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, WriteMultipart,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::Running;
use crate::folder::Folder;
use crate::key::{UPLOADS, UploadPlace};
use crate::refusal;
use crate::sniff::Sniffer;
use crate::{Digest, FileKey, FileStore, FileType, Progress, StoredFile, SweptUpload, UploadLimits};

/// How much is written to the final place at once; S3 wants at least 5 MiB.
const WRITE_SIZE: usize = 8 << 20;
/// How many such writes may be under way.
const WRITES_AT_ONCE: usize = 2;
/// How much is read at once to check a file.
const READ_SIZE: u64 = 4 << 20;

/// The store over `object_store`.
pub(crate) struct ObjectFiles {
    objects: Arc<dyn ObjectStore>,
    /// Set where the objects are files in a folder.
    folder: Option<Folder>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Start {
    started: Timestamp,
    limits: UploadLimits,
}

/// The parts of an upload that lie without a gap from its start.
struct Parts {
    /// Offset and size, in order.
    joined: Vec<(u64, u64)>,
    /// Where the next part begins.
    end: u64,
    /// Whether there are parts behind a gap: only while another call removes them, or after damage.
    gap: bool,
}

/// Why the parts could not be put together.
enum NotAssembled {
    /// Not all parts are there, up to this many bytes: they are still to come, or another call has finished the upload
    /// meanwhile and removes them.
    Incomplete(u64),
    /// Anything else.
    Refused(Fault),
}

impl From<Fault> for NotAssembled {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

impl fmt::Debug for ObjectFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectFiles").field(&self.objects.to_string()).finish()
    }
}

impl ObjectFiles {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, folder: None }
    }

    /// `objects` must flush what it writes.
    pub(crate) fn in_folder(objects: LocalFileSystem, folder: Folder) -> Self {
        Self {
            objects: Arc::new(objects),
            folder: Some(folder),
        }
    }

    /// Writes an object that must not exist yet; false if it does.
    async fn create(&self, path: &Path, content: PutPayload) -> Result<bool, Fault> {
        let options = PutOptions::from(PutMode::Create);
        match self.objects.put_opts(path, content, options).await {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                // Its writer may have been killed before the name was flushed.
                self.flush_around(path).await?;
                Ok(false)
            }
            Err(err) => Err(refusal::store_unavailable(err)),
        }
    }

    /// Reads a whole object; none if it does not exist.
    async fn get(&self, path: &Path) -> Result<Option<Bytes>, Fault> {
        let result = match self.objects.get(path).await {
            Ok(found) => found.bytes().await,
            Err(err) => Err(err),
        };
        match result {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(err) => Err(refusal::store_unavailable(err)),
        }
    }

    async fn size_of(&self, path: &Path) -> Result<Option<u64>, Fault> {
        match self.objects.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(err) => Err(refusal::store_unavailable(err)),
        }
    }

    async fn remove(&self, path: &Path) -> Result<(), Fault> {
        match self.objects.delete(path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(err) => Err(refusal::store_unavailable(err)),
        }
    }

    async fn flush_around(&self, path: &Path) -> Result<(), Fault> {
        match &self.folder {
            Some(folder) => folder.flush_around(path).await.map_err(disk_failed),
            None => Ok(()),
        }
    }

    async fn start_of(&self, place: UploadPlace) -> Result<Option<Start>, Fault> {
        match self.get(&place.start()).await? {
            Some(text) => serde_json::from_slice(&text).map(Some).map_err(Fault::internal),
            None => Ok(None),
        }
    }

    async fn begun(&self, place: UploadPlace) -> Result<Start, Fault> {
        self.start_of(place).await?.ok_or_else(refusal::upload_not_found)
    }

    /// What the content was found to be, whether or not the file is in its place yet.
    async fn outcome_of(&self, place: UploadPlace) -> Result<Option<StoredFile>, Fault> {
        match self.get(&place.outcome()).await? {
            Some(text) => serde_json::from_slice(&text).map(Some).map_err(Fault::internal),
            None => Ok(None),
        }
    }

    /// The file that the upload became, if it is in its place.
    async fn became(&self, place: UploadPlace) -> Result<Option<StoredFile>, Fault> {
        let Some(stored) = self.outcome_of(place).await? else {
            return Ok(None);
        };
        let there = self.size_of(&stored.key.path()).await?.is_some();
        Ok(there.then_some(stored))
    }

    async fn parts(&self, place: UploadPlace) -> Result<Parts, Fault> {
        let mut parts: Vec<(u64, u64)> = self
            .objects
            .list(Some(&place.folder()))
            .try_filter_map(|object| async move {
                let offset = object.location.filename().and_then(UploadPlace::offset);
                Ok(offset.map(|offset| (offset, object.size)))
            })
            .try_collect()
            .await
            .map_err(refusal::store_unavailable)?;
        parts.sort_unstable();
        let mut end = 0;
        let mut count = 0;
        for &(offset, size) in &parts {
            if offset != end {
                break;
            }
            end += size;
            count += 1;
        }
        let gap = count < parts.len();
        parts.truncate(count);
        Ok(Parts {
            joined: parts,
            end,
            gap,
        })
    }

    /// Removes the parts of an upload, the last first. What cannot be removed is left for the sweep.
    async fn remove_parts(&self, place: UploadPlace) -> Result<(), Fault> {
        for (offset, _) in self.parts(place).await?.joined.into_iter().rev() {
            self.remove(&place.part(offset)).await?;
        }
        Ok(())
    }

    /// Removes all that is known of an upload. Without its start it is unknown to every other call.
    async fn forget(&self, place: UploadPlace) -> Result<(), Fault> {
        self.remove(&place.start()).await?;
        if let Some(folder) = &self.folder {
            return folder.remove_upload(place).await.map_err(disk_failed);
        }
        let rest: Vec<Path> = self
            .objects
            .list(Some(&place.folder()))
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(refusal::store_unavailable)?;
        for path in rest {
            self.remove(&path).await?;
        }
        Ok(())
    }

    /// Reads the parts in order, hands them to `writer`, and says what they are together.
    async fn copy_parts(
        &self,
        place: UploadPlace,
        parts: &Parts,
        writer: &mut WriteMultipart,
    ) -> Result<(Digest, Option<FileType>), NotAssembled> {
        let mut sha256 = Running::new();
        let mut sniffer = Sniffer::default();
        for &(offset, size) in &parts.joined {
            let part = self
                .get(&place.part(offset))
                .await?
                .ok_or(NotAssembled::Incomplete(offset))?;
            if part.len() as u64 != size {
                return Err(Fault::internal("a stored part changed its size").into());
            }
            sha256.update(&part);
            sniffer.push(&part);
            writer
                .wait_for_capacity(WRITES_AT_ONCE)
                .await
                .map_err(refusal::store_unavailable)?;
            writer.put(part);
        }
        Ok((sha256.finish(), sniffer.finish()))
    }

    /// Puts the parts together in the final place, provided that they are what was announced and what is allowed.
    async fn assemble(
        &self,
        place: UploadPlace,
        limits: &UploadLimits,
        total: u64,
        sha256: Digest,
    ) -> Result<StoredFile, NotAssembled> {
        let parts = self.parts(place).await?;
        if parts.gap || parts.end < total {
            return Err(NotAssembled::Incomplete(parts.end));
        }
        if parts.end > total {
            return Err(refusal::file_hash_mismatch().into());
        }
        if total == 0 {
            return Err(refusal::file_type_not_allowed(None, limits).into());
        }

        let key = FileKey::new(sha256, place.0);
        let upload = self
            .objects
            .put_multipart(&key.path())
            .await
            .map_err(refusal::store_unavailable)?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, WRITE_SIZE);
        let checked = match self.copy_parts(place, &parts, &mut writer).await {
            Ok((found, file_type)) => accept(limits, sha256, found, file_type),
            Err(err) => Err(err),
        };
        let file_type = match checked {
            Ok(file_type) => file_type,
            Err(err) => {
                if let Err(left) = writer.abort().await {
                    tracing::warn!(error = %left, "could not remove an unfinished file");
                }
                return Err(err);
            }
        };

        let stored = StoredFile {
            key,
            size: total,
            file_type,
        };
        let outcome = serde_json::to_vec(&stored).map_err(Fault::internal)?;
        self.objects
            .put(&place.outcome(), outcome.into())
            .await
            .map_err(refusal::store_unavailable)?;
        writer.finish().await.map_err(refusal::store_unavailable)?;
        Ok(stored)
    }

    /// Whether an upload without start is a rest that nobody writes to any more.
    async fn is_rest(&self, place: UploadPlace, before: Timestamp) -> Result<bool, Fault> {
        if let Some(folder) = &self.folder {
            return folder.is_unchanged_since(place, before).await.map_err(disk_failed);
        }
        let newest = self
            .objects
            .list(Some(&place.folder()))
            .try_fold(i64::MIN, |newest, object| async move {
                Ok(newest.max(object.last_modified.timestamp()))
            })
            .await
            .map_err(refusal::store_unavailable)?;
        Ok(newest < before.as_second())
    }

    /// Sweeps one upload; none if it is too young.
    async fn sweep_upload(&self, place: UploadPlace, before: Timestamp) -> Result<Option<SweptUpload>, Fault> {
        let old = match self.start_of(place).await? {
            Some(start) => start.started < before,
            None => self.is_rest(place, before).await?,
        };
        if !old {
            return Ok(None);
        }
        let became = self.became(place).await?.map(|stored| stored.key);
        self.forget(place).await?;
        Ok(Some(SweptUpload {
            upload: place.0,
            became,
        }))
    }
}

/// Compares what was found with what was announced and what is allowed.
fn accept(
    limits: &UploadLimits,
    announced: Digest,
    found: Digest,
    file_type: Option<FileType>,
) -> Result<FileType, NotAssembled> {
    if found != announced {
        return Err(refusal::file_hash_mismatch().into());
    }
    match file_type {
        Some(file_type) if limits.allowed.contains(&file_type) => Ok(file_type),
        refused => Err(refusal::file_type_not_allowed(refused, limits).into()),
    }
}

fn disk_failed(err: std::io::Error) -> Fault {
    refusal::store_unavailable(StoreError::Generic {
        store: "folder",
        source: Box::new(err),
    })
}

#[async_trait]
impl FileStore for ObjectFiles {
    async fn start(&self, upload: Uuid, limits: &UploadLimits, now: Timestamp) -> Result<Progress, Fault> {
        let start = Start {
            started: now,
            limits: limits.clone(),
        };
        let start = serde_json::to_vec(&start).map_err(Fault::internal)?;
        if self.create(&UploadPlace(upload).start(), start.into()).await? {
            return Ok(Progress { received: 0 });
        }
        self.progress(upload).await
    }

    async fn progress(&self, upload: Uuid) -> Result<Progress, Fault> {
        let place = UploadPlace(upload);
        self.begun(place).await?;
        // In this order: parts are removed only after the file is in its place.
        let parts = self.parts(place).await?;
        let received = match self.became(place).await? {
            Some(stored) => stored.size,
            None => parts.end,
        };
        Ok(Progress { received })
    }

    async fn put_chunk(&self, upload: Uuid, offset: u64, data: Bytes, sha256: Digest) -> Result<Progress, Fault> {
        let place = UploadPlace(upload);
        let limits = self.begun(place).await?.limits;
        let length = data.len() as u64;
        if length == 0 {
            return Err(refusal::empty_chunk());
        }
        if length > limits.max_chunk_bytes {
            return Err(refusal::chunk_too_large(&limits));
        }
        if Digest::of(&data) != sha256 {
            return Err(refusal::chunk_hash_mismatch());
        }
        // In this order: parts are removed only after the file is in its place.
        let known = self.parts(place).await?;
        if let Some(stored) = self.became(place).await? {
            // A part that comes again after the end: the whole content tells whether it is the same.
            let same = self.read(&stored.key, offset, length).await?;
            return if same == data {
                Ok(Progress { received: stored.size })
            } else {
                Err(refusal::chunk_out_of_order(stored.size))
            };
        }

        let end = offset.saturating_add(length);
        if offset == known.end && !known.gap {
            if end > limits.max_bytes {
                return Err(refusal::file_too_large(&limits));
            }
            if known.joined.len() >= limits.max_chunks as usize {
                return Err(refusal::too_many_chunks(&limits));
            }
            let payload = PutPayload::from_bytes(data);
            if self.create(&place.part(offset), payload).await? {
                return Ok(Progress { received: end });
            }
        }
        // Something begins there already: it is this part, sent again, or it is refused.
        let part = place.part(offset);
        let same = match self.get(&part).await? {
            Some(stored) => stored.len() as u64 == length && Digest::of(&stored) == sha256,
            None => false,
        };
        let received = self.parts(place).await?.end;
        if !same {
            return Err(refusal::chunk_out_of_order(received));
        }
        self.flush_around(&part).await?;
        Ok(Progress { received })
    }

    async fn finish(&self, upload: Uuid, total: u64, sha256: Digest) -> Result<StoredFile, Fault> {
        let place = UploadPlace(upload);
        let limits = self.begun(place).await?.limits;
        if total > limits.max_bytes {
            return Err(refusal::file_too_large(&limits));
        }
        let stored = match self.became(place).await? {
            Some(stored) => stored,
            None => match self.assemble(place, &limits, total, sha256).await {
                Ok(stored) => stored,
                Err(NotAssembled::Refused(fault)) => return Err(fault),
                Err(NotAssembled::Incomplete(received)) => self
                    .became(place)
                    .await?
                    .ok_or_else(|| refusal::upload_incomplete(received, total))?,
            },
        };
        if stored.size != total || stored.key.sha256() != sha256 {
            return Err(refusal::file_hash_mismatch());
        }
        // An earlier call may have been killed, or may still be, between the file's name and its flush.
        self.flush_around(&stored.key.path()).await?;
        if let Err(left) = self.remove_parts(place).await {
            tracing::warn!(error = ?left, "could not remove the parts of a finished upload");
        }
        Ok(stored)
    }

    async fn abandon(&self, upload: Uuid) -> Result<(), Fault> {
        self.forget(UploadPlace(upload)).await
    }

    async fn size(&self, key: &FileKey) -> Result<u64, Fault> {
        self.size_of(&key.path()).await?.ok_or_else(refusal::file_not_found)
    }

    async fn read(&self, key: &FileKey, offset: u64, length: u64) -> Result<Bytes, Fault> {
        let size = self.size(key).await?;
        let end = offset.saturating_add(length).min(size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        match self.objects.get_range(&key.path(), offset..end).await {
            Ok(bytes) => Ok(bytes),
            Err(StoreError::NotFound { .. }) => Err(refusal::file_not_found()),
            Err(err) => Err(refusal::store_unavailable(err)),
        }
    }

    async fn verify(&self, key: &FileKey) -> Result<u64, Fault> {
        let mut sha256 = Running::new();
        let mut offset = 0;
        loop {
            let bytes = self.read(key, offset, READ_SIZE).await?;
            if bytes.is_empty() {
                break;
            }
            sha256.update(&bytes);
            offset += bytes.len() as u64;
        }
        if sha256.finish() != key.sha256() {
            return Err(refusal::file_damaged(key));
        }
        Ok(offset)
    }

    async fn delete(&self, key: &FileKey) -> Result<(), Fault> {
        let path = key.path();
        self.remove(&path).await?;
        self.flush_around(&path).await
    }

    async fn sweep(&self, started_before: Timestamp) -> Result<Vec<SweptUpload>, Fault> {
        let listed = self
            .objects
            .list_with_delimiter(Some(&Path::from(UPLOADS)))
            .await
            .map_err(refusal::store_unavailable)?;
        let uploads: BTreeSet<Uuid> = listed
            .common_prefixes
            .iter()
            .filter_map(|folder| Uuid::try_parse(folder.filename()?).ok())
            .collect();
        let mut swept = Vec::new();
        for upload in uploads {
            match self.sweep_upload(UploadPlace(upload), started_before).await {
                Ok(Some(one)) => swept.push(one),
                Ok(None) => {}
                // One bad upload must not keep the others for ever.
                Err(err) => tracing::warn!(%upload, error = ?err, "could not sweep an upload"),
            }
        }
        if let Some(folder) = &self.folder {
            folder.remove_torn(started_before).await.map_err(disk_failed)?;
        }
        Ok(swept)
    }
}
