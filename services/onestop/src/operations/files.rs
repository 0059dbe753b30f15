//! Uploads and downloads: StartUpload, PutChunk, GetUpload, FinishUpload, GetFile, ReadFile.

use bytes::Bytes;
use egov_auth::{Caller, Resource};
use egov_database::{Leaf, UnitOfWork, WriteRequest};
use egov_fault::{Code, Fault};
use egov_files::{Digest, FileKey, UploadLimits};
use egov_proto::egov::onestop::v1::{
    FinishUploadRequest, FinishUploadResponse, StartUploadRequest, StartUploadResponse,
};
use uuid::Uuid;

use super::OneStop;
use crate::domain::listing::StoredFile;
use crate::error::Error;
use crate::store::files::{self, Upload};
use crate::store::{Visible, linked};

const UPLOAD: &str = "onestop.files.upload";
const READ_FILES: &str = "onestop.files.read";

/// The bytes to which the leaf of a file commits.
pub(crate) fn canonical(file_id: Uuid, sha256: &str, size: i64) -> Result<Vec<u8>, Error> {
    Ok(serde_json::to_vec(&(file_id, sha256, size)).map_err(Fault::internal)?)
}

fn not_found(reason: &'static str, vi: &'static str, en: &'static str) -> Error {
    Fault::new(Code::NotFound, reason, vi, en).into()
}

fn upload_not_found() -> Error {
    not_found(
        "UPLOAD_NOT_FOUND",
        "không tìm thấy lượt tải lên",
        "there is no such upload",
    )
}

fn file_not_found() -> Error {
    not_found("FILE_NOT_FOUND", "không tìm thấy tệp", "there is no such file")
}

/// A SHA-256 in hexadecimal; the contract has checked its form.
fn digest(text: &str) -> Result<Digest, Error> {
    text.parse::<Digest>().map_err(|error| Fault::internal(error).into())
}

impl OneStop {
    /// Announces a file; its limits are fixed now.
    pub(crate) async fn start_upload(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &StartUploadRequest,
    ) -> Result<StartUploadResponse, Error> {
        let owner_id = Self::may_upload(caller)?;
        let limits = UploadLimits::default();
        if u64::try_from(body.size).unwrap_or(u64::MAX) > limits.max_bytes {
            return Err(Fault::new(
                Code::InvalidArgument,
                "FILE_TOO_LARGE",
                format!("tệp lớn hơn {} byte cho phép", limits.max_bytes),
                format!("the file is larger than the {} bytes allowed", limits.max_bytes),
            )
            .into());
        }
        let mut scope = caller.scope(UPLOAD);
        scope.owner = Some(owner_id);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.FileService/StartUpload",
            request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let upload = Upload {
                    id: unit.new_id(),
                    owner_id,
                    name: egov_codes::normal_name(&body.name),
                    size: body.size,
                    sha256: body.sha256.clone(),
                    file_id: None,
                };
                let now = unit.now();
                files::insert_upload(unit.conn(), &upload, now).await?;
                Ok::<_, Error>(StartUploadResponse {
                    upload_id: upload.id.to_string(),
                    max_chunk_size: i32::try_from(limits.max_chunk_bytes).unwrap_or(i32::MAX),
                })
            })
            .await?;
        Ok(written.into_answer())
    }

    /// Stores a part. The same part may come again.
    pub(crate) async fn put_chunk(
        &self,
        caller: &Caller,
        upload_id: Uuid,
        offset: u64,
        data: Bytes,
        sha256: &str,
    ) -> Result<u64, Error> {
        let upload = self.upload(caller, upload_id).await?;
        if upload.file_id.is_some() {
            return Ok(u64::try_from(upload.size).unwrap_or(0));
        }
        let size = u64::try_from(upload.size).unwrap_or(0);
        if offset.saturating_add(data.len() as u64) > size {
            return Err(Fault::new(
                Code::InvalidArgument,
                "FILE_TOO_LARGE",
                "phần tải lên vượt quá kích thước đã khai báo",
                "the part goes beyond the announced size",
            )
            .with("size", size.to_string())
            .into());
        }
        let hash = digest(sha256)?;
        // The store knows the upload from its first part on; beginning it twice changes nothing.
        self.files
            .start(upload_id, &UploadLimits::default(), self.clock.now())
            .await?;
        Ok(self.files.put_chunk(upload_id, offset, data, hash).await?.received)
    }

    /// How far an upload has come, and its announced size.
    pub(crate) async fn upload_progress(&self, caller: &Caller, upload_id: Uuid) -> Result<(u64, i64), Error> {
        let upload = self.upload(caller, upload_id).await?;
        match self.files.progress(upload_id).await {
            Ok(progress) => Ok((progress.received, upload.size)),
            // Announced, but no part came yet.
            Err(fault) if fault.reason() == "UPLOAD_NOT_FOUND" => Ok((0, upload.size)),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Checks the whole content and makes the file. The content is made durable first and recorded then: a process
    /// killed in between leaves an upload that can be finished again.
    pub(crate) async fn finish_upload(
        &self,
        caller: &Caller,
        request_id: Uuid,
        upload_id: Uuid,
        body: &FinishUploadRequest,
        answer: impl FnOnce(&StoredFile) -> FinishUploadResponse + Send,
    ) -> Result<FinishUploadResponse, Error> {
        let upload = self.upload(caller, upload_id).await?;
        // A finished one is not looked at again: its parts may have been swept by now.
        let stored = match upload.file_id {
            Some(_) => None,
            None => {
                let size = u64::try_from(upload.size).unwrap_or(0);
                Some(self.files.finish(upload_id, size, digest(&upload.sha256)?).await?)
            }
        };
        let visible_scope = caller.scope(READ_FILES);
        // The caller's own uploads, and the cases that may have taken the file since.
        let mut scope = visible_scope.clone();
        scope.owner = Some(upload.owner_id);
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            scope,
            "egov.onestop.v1.FileService/FinishUpload",
            request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let upload = files::get_upload_for_update(unit.conn(), upload_id, upload.owner_id)
                    .await?
                    .ok_or_else(upload_not_found)?;
                // Finished before under another request id: the same file.
                if let Some(file_id) = upload.file_id {
                    let visible = Visible::from(&visible_scope);
                    let file = files::get(unit.conn(), file_id, upload.owner_id, &visible)
                        .await?
                        .ok_or_else(file_not_found)?;
                    return Ok(answer(&file));
                }
                let stored = stored.ok_or_else(upload_not_found)?;
                // Swept in this very moment: then there is nothing to record.
                self.files.size(&stored.key).await?;
                let file = StoredFile {
                    file_id: unit.new_id(),
                    owner_id: upload.owner_id,
                    name: upload.name,
                    media_type: stored.file_type.media_type().to_owned(),
                    size: upload.size,
                    sha256: upload.sha256,
                    store_key: stored.key.to_string(),
                    create_time: unit.now(),
                    case_id: None,
                    case_owner_id: None,
                };
                files::insert(unit.conn(), &file).await?;
                files::finish_upload(unit.conn(), upload_id, file.file_id).await?;
                // The case's leaf names the file; this one commits to its content.
                let canonical = canonical(file.file_id, &file.sha256, file.size)?;
                unit.leaf(Leaf {
                    kind: "file",
                    resource: file.file_id,
                    version: 1,
                    canonical: &canonical,
                });
                Ok::<_, Error>(answer(&file))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// What is known of a file. The read is recorded.
    pub(crate) async fn read_file_record(&self, caller: &Caller, file_id: Uuid) -> Result<StoredFile, Error> {
        let mut scope = caller.scope(READ_FILES);
        let visible = Visible::from(&scope);
        let owner = caller.principal.record_owner();
        scope.owner.get_or_insert(owner);
        let file = self
            .database
            .read(&scope, async |connection| {
                let own = files::get(&mut *connection, file_id, owner, &visible).await?;
                Ok::<_, Error>(match own {
                    Some(file) => Some(file),
                    // One case of a linked application shows it to another.
                    None => linked::handed_over(connection, file_id, &visible).await?,
                })
            })
            .await?
            .ok_or_else(file_not_found)?;
        let mut resources = vec![format!("files/{}", file.file_id)];
        resources.extend(file.case_id.map(|case_id| format!("cases/{case_id}")));
        // Whose papers these are: the case's owner, or who uploaded them.
        let subject = match file.case_id {
            Some(_) => file.case_owner_id,
            None => Some(file.owner_id),
        };
        self.record_read(caller, subject.into_iter().collect(), resources)
            .await?;
        Ok(file)
    }

    /// A part of the content of a file.
    pub(crate) async fn read_file(
        &self,
        caller: &Caller,
        file_id: Uuid,
        offset: u64,
        length: u64,
    ) -> Result<(Bytes, i64), Error> {
        let file = self.read_file_record(caller, file_id).await?;
        let key: FileKey = file
            .store_key
            .parse()
            .map_err(|error: egov_files::InvalidKey| Fault::internal(error))?;
        Ok((self.files.read(&key, offset, length).await?, file.size))
    }

    /// Whose uploads the caller makes, if it may.
    fn may_upload(caller: &Caller) -> Result<Uuid, Error> {
        let owner = caller.principal.record_owner();
        caller.require(
            UPLOAD,
            &Resource {
                unit: caller.principal.unit,
                owner: Some(owner),
                assignee: None,
            },
        )?;
        Ok(owner)
    }

    async fn upload(&self, caller: &Caller, upload_id: Uuid) -> Result<Upload, Error> {
        let owner = Self::may_upload(caller)?;
        let mut scope = caller.scope(UPLOAD);
        scope.owner = Some(owner);
        self.database
            .read(&scope, async |connection| {
                Ok::<_, Error>(files::get_upload(connection, upload_id, owner).await?)
            })
            .await?
            .ok_or_else(upload_not_found)
    }
}
