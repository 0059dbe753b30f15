//! FileService.

use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::file_service_server::FileService;
use egov_runtime::accept;
use tonic::{Request, Response, Status};

use super::{Api, decode, encode, status};

/// How much of a file one answer holds, if the caller does not say, in bytes.
const PART: u64 = 1 << 20;

#[tonic::async_trait]
impl FileService for Api {
    async fn start_upload(
        &self,
        request: Request<proto::StartUploadRequest>,
    ) -> Result<Response<proto::StartUploadResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let request_id = decode::id(&request.message.request_id, "request_id")?;
        let answer = self
            .one_stop
            .start_upload(request.caller()?, request_id, &request.message)
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn put_chunk(
        &self,
        request: Request<proto::PutChunkRequest>,
    ) -> Result<Response<proto::PutChunkResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let upload_id = decode::id(&message.upload_id, "upload_id")?;
        let offset = u64::try_from(message.offset).unwrap_or_default();
        let received = self
            .one_stop
            .put_chunk(
                request.caller()?,
                upload_id,
                offset,
                message.data.clone(),
                &message.sha256,
            )
            .await
            .map_err(status)?;
        Ok(Response::new(proto::PutChunkResponse {
            received: i64::try_from(received).unwrap_or(i64::MAX),
        }))
    }

    async fn get_upload(
        &self,
        request: Request<proto::GetUploadRequest>,
    ) -> Result<Response<proto::GetUploadResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let upload_id = decode::id(&request.message.upload_id, "upload_id")?;
        let (received, size) = self
            .one_stop
            .upload_progress(request.caller()?, upload_id)
            .await
            .map_err(status)?;
        let received = i64::try_from(received).unwrap_or(i64::MAX);
        Ok(Response::new(proto::GetUploadResponse { received, size }))
    }

    async fn finish_upload(
        &self,
        request: Request<proto::FinishUploadRequest>,
    ) -> Result<Response<proto::FinishUploadResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let request_id = decode::id(&message.request_id, "request_id")?;
        let upload_id = decode::id(&message.upload_id, "upload_id")?;
        let answer = self
            .one_stop
            .finish_upload(request.caller()?, request_id, upload_id, message, |file| {
                proto::FinishUploadResponse {
                    file: Some(encode::stored_file(file)),
                }
            })
            .await
            .map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn get_file(
        &self,
        request: Request<proto::GetFileRequest>,
    ) -> Result<Response<proto::GetFileResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let file_id = decode::id(&request.message.file_id, "file_id")?;
        let file = self
            .one_stop
            .read_file_record(request.caller()?, file_id)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::GetFileResponse {
            file: Some(encode::stored_file(&file)),
        }))
    }

    async fn read_file(
        &self,
        request: Request<proto::ReadFileRequest>,
    ) -> Result<Response<proto::ReadFileResponse>, Status> {
        let request = accept(&self.contract, request)?;
        let message = &request.message;
        let file_id = decode::id(&message.file_id, "file_id")?;
        let offset = u64::try_from(message.offset).unwrap_or_default();
        let length = u64::try_from(message.length)
            .ok()
            .filter(|length| *length > 0)
            .unwrap_or(PART);
        let (data, size) = self
            .one_stop
            .read_file(request.caller()?, file_id, offset, length)
            .await
            .map_err(status)?;
        Ok(Response::new(proto::ReadFileResponse { data, size }))
    }
}
