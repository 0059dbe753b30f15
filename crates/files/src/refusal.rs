//! What the store refuses, in the words of the contract (`egov.types.v1.ErrorReason`).

use std::time::Duration;

use egov_fault::{Code, Fault, Violation};

use crate::{FileKey, FileType, InvalidDigest, InvalidKey, UploadLimits};

pub(crate) fn chunk_hash_mismatch() -> Fault {
    Fault::new(
        Code::InvalidArgument,
        "CHUNK_HASH_MISMATCH",
        "mã băm SHA-256 của phần tệp không khớp; hãy gửi lại phần này",
        "the part does not have the announced SHA-256; send it again",
    )
}

/// `received` is where the next part must begin.
pub(crate) fn chunk_out_of_order(received: u64) -> Fault {
    Fault::new(
        Code::FailedPrecondition,
        "CHUNK_OUT_OF_ORDER",
        format!("phần tệp không nối tiếp; hãy gửi tiếp từ byte {received}"),
        format!("the part leaves a gap or overlaps other content; continue at byte {received}"),
    )
    .with("received", received.to_string())
}

pub(crate) fn upload_incomplete(received: u64, total: u64) -> Fault {
    Fault::new(
        Code::FailedPrecondition,
        "CHUNK_OUT_OF_ORDER",
        format!("tệp chưa tải lên đủ: mới có {received} trên {total} byte"),
        format!("the upload is not complete: {received} of {total} bytes are stored"),
    )
    .with("received", received.to_string())
}

pub(crate) fn upload_not_found() -> Fault {
    Fault::new(
        Code::NotFound,
        "UPLOAD_NOT_FOUND",
        "không có lượt tải lên này, hoặc lượt này đã kết thúc hay hết hạn",
        "there is no such upload, or it was finished or has expired",
    )
}

pub(crate) fn file_too_large(limits: &UploadLimits) -> Fault {
    let max = limits.max_bytes;
    Fault::new(
        Code::InvalidArgument,
        "FILE_TOO_LARGE",
        format!("tệp lớn hơn mức cho phép là {max} byte"),
        format!("the file is larger than the allowed {max} bytes"),
    )
    .with("max_bytes", max.to_string())
}

pub(crate) fn chunk_too_large(limits: &UploadLimits) -> Fault {
    let max = limits.max_chunk_bytes;
    Fault::new(
        Code::InvalidArgument,
        "FILE_TOO_LARGE",
        format!("phần tệp lớn hơn mức cho phép là {max} byte"),
        format!("the part is larger than the allowed {max} bytes"),
    )
    .with("max_chunk_bytes", max.to_string())
}

pub(crate) fn too_many_chunks(limits: &UploadLimits) -> Fault {
    let max = limits.max_chunks;
    Fault::new(
        Code::InvalidArgument,
        "FILE_TOO_LARGE",
        format!("tệp được chia thành quá nhiều phần (tối đa {max}); hãy gửi các phần lớn hơn"),
        format!("the file has more than the allowed {max} parts; send larger ones"),
    )
    .with("max_chunks", max.to_string())
}

pub(crate) fn empty_chunk() -> Fault {
    Fault::invalid(vec![Violation {
        field: "data".to_owned(),
        rule: "bytes.min_len".to_owned(),
        vi: "phần tệp không được rỗng".to_owned(),
        en: "a part must not be empty".to_owned(),
    }])
}

pub(crate) fn file_type_not_allowed(found: Option<FileType>, limits: &UploadLimits) -> Fault {
    let allowed: Vec<_> = limits.allowed.iter().map(ToString::to_string).collect();
    let allowed = allowed.join(", ");
    let fault = match found {
        Some(found) => Fault::new(
            Code::InvalidArgument,
            "FILE_TYPE_NOT_ALLOWED",
            format!("không nhận tệp loại {found}; các loại được nhận: {allowed}"),
            format!("files of type {found} are not accepted; accepted are: {allowed}"),
        )
        .with("found", found.to_string()),
        None => Fault::new(
            Code::InvalidArgument,
            "FILE_TYPE_NOT_ALLOWED",
            format!("nội dung tệp không thuộc loại được nhận: {allowed}"),
            format!("the content is of none of the accepted types: {allowed}"),
        ),
    };
    fault.with("allowed", allowed)
}

pub(crate) fn file_hash_mismatch() -> Fault {
    Fault::new(
        Code::InvalidArgument,
        "FILE_HASH_MISMATCH",
        "kích thước hoặc mã băm SHA-256 của toàn bộ tệp không khớp",
        "the whole file does not have the announced size and SHA-256",
    )
}

/// The store's own copy no longer is what was stored.
pub(crate) fn file_damaged(key: &FileKey) -> Fault {
    Fault::new(
        Code::DataLoss,
        "FILE_HASH_MISMATCH",
        "tệp đã lưu bị hỏng: mã băm SHA-256 không còn khớp; cần khôi phục từ bản sao lưu",
        "the stored file is damaged: its SHA-256 no longer matches; restore it from the backup",
    )
    .with("key", key.to_string())
}

pub(crate) fn file_not_found() -> Fault {
    Fault::new(
        Code::NotFound,
        "FILE_NOT_FOUND",
        "không tìm thấy tệp",
        "there is no such file",
    )
}

pub(crate) fn store_unavailable(err: object_store::Error) -> Fault {
    use object_store::Error as StoreError;
    if matches!(
        err,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }
    ) {
        tracing::error!(error = %err, "the file store refuses the access key of this service");
        return Fault::new(
            Code::Unavailable,
            "STORE_UNAVAILABLE",
            "kho lưu trữ tệp từ chối dịch vụ này; hãy báo người vận hành",
            "the file store refuses this service; tell its operator",
        )
        .caused_by(err);
    }
    tracing::error!(error = %err, "file store failed");
    Fault::new(
        Code::Unavailable,
        "STORE_UNAVAILABLE",
        "kho lưu trữ tệp tạm thời không hoạt động; hãy thử lại",
        "the file store is out of reach; try again",
    )
    .retry_after(Duration::from_secs(2))
    .caused_by(err)
}

impl From<InvalidKey> for Fault {
    /// A text that is no key names no file.
    fn from(invalid: InvalidKey) -> Self {
        file_not_found().caused_by(invalid)
    }
}

impl From<InvalidDigest> for Fault {
    fn from(invalid: InvalidDigest) -> Self {
        Self::invalid(vec![Violation {
            field: "sha256".to_owned(),
            rule: "string.pattern".to_owned(),
            vi: "mã băm SHA-256 phải gồm 64 chữ số thập lục phân viết thường".to_owned(),
            en: invalid.to_string(),
        }])
    }
}
