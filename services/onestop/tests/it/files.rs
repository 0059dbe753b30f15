//! Uploads that resume, and files that belong to who brought them until a case takes them.

use egov_proto::egov::onestop::v1::{
    FinishUploadRequest, GetFileRequest, GetUploadRequest, PutChunkRequest, StartUploadRequest,
};
use tonic::Code;
use uuid::Uuid;

use crate::support::*;

fn start(content: &[u8]) -> StartUploadRequest {
    StartUploadRequest {
        request_id: request_id(),
        name: "tệp.pdf".to_owned(),
        size: content.len() as i64,
        sha256: egov_files::Digest::of(content).to_string(),
    }
}

fn chunk(upload_id: &str, offset: usize, data: &[u8]) -> PutChunkRequest {
    PutChunkRequest {
        upload_id: upload_id.to_owned(),
        offset: offset as i64,
        data: data.to_vec().into(),
        sha256: egov_files::Digest::of(data).to_string(),
    }
}

#[tokio::test]
async fn an_upload_resumes_where_it_stopped_and_becomes_one_file() {
    let stack = Stack::start().await;
    let mut files = stack.portal(citizen()).files;
    let upload_id = files.start_upload(start(PDF)).await.unwrap().into_inner().upload_id;
    let asked = GetUploadRequest {
        upload_id: upload_id.clone(),
    };
    assert_eq!(files.get_upload(asked.clone()).await.unwrap().into_inner().received, 0);
    files.put_chunk(chunk(&upload_id, 0, &PDF[..10])).await.unwrap();
    // The same part again changes nothing; a gap is refused.
    assert_eq!(
        files
            .put_chunk(chunk(&upload_id, 0, &PDF[..10]))
            .await
            .unwrap()
            .into_inner()
            .received,
        10
    );
    let gap = files.put_chunk(chunk(&upload_id, 20, &PDF[20..])).await.unwrap_err();
    assert_eq!(reason(&gap), "CHUNK_OUT_OF_ORDER");
    let progress = files.get_upload(asked).await.unwrap().into_inner();
    assert_eq!((progress.received, progress.size), (10, PDF.len() as i64));
    files.put_chunk(chunk(&upload_id, 10, &PDF[10..])).await.unwrap();

    let finish = FinishUploadRequest {
        request_id: request_id(),
        upload_id: upload_id.clone(),
    };
    let file = files
        .finish_upload(finish.clone())
        .await
        .unwrap()
        .into_inner()
        .file
        .unwrap();
    assert_eq!(file.media_type, "application/pdf");
    let again = files.finish_upload(finish).await.unwrap().into_inner().file.unwrap();
    assert_eq!(again, file);
    let under_another_id = FinishUploadRequest {
        request_id: request_id(),
        upload_id,
    };
    let again = files
        .finish_upload(under_another_id)
        .await
        .unwrap()
        .into_inner()
        .file
        .unwrap();
    assert_eq!(again.file_id, file.file_id);
}

#[tokio::test]
async fn what_is_no_document_is_refused_whatever_it_is_called() {
    let stack = Stack::start().await;
    let mut files = stack.portal(citizen()).files;
    let program = b"\x7fELF\x02\x01\x01\x00 and so on, called tep.pdf";
    let upload_id = files.start_upload(start(program)).await.unwrap().into_inner().upload_id;
    files.put_chunk(chunk(&upload_id, 0, program)).await.unwrap();
    let status = files
        .finish_upload(FinishUploadRequest {
            request_id: request_id(),
            upload_id,
        })
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "FILE_TYPE_NOT_ALLOWED");
}

#[tokio::test]
async fn an_upload_is_its_callers_alone() {
    let stack = Stack::start().await;
    let upload_id = stack
        .portal(citizen())
        .files
        .start_upload(start(PDF))
        .await
        .unwrap()
        .into_inner()
        .upload_id;
    let mut other = stack.portal(Uuid::from_u128(0xC2)).files;
    let status = other.put_chunk(chunk(&upload_id, 0, PDF)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "UPLOAD_NOT_FOUND")
    );
    let status = other
        .get_upload(GetUploadRequest {
            upload_id: upload_id.clone(),
        })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status = other
        .finish_upload(FinishUploadRequest {
            request_id: request_id(),
            upload_id,
        })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_file_belongs_to_its_uploader_until_a_case_takes_it_and_to_one_case_only() {
    let stack = Stack::start().await;
    let portal = stack.portal(citizen());
    let file_id = upload(&portal, PDF).await;
    let mut clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let asked = GetFileRequest {
        file_id: file_id.clone(),
    };
    assert_eq!(
        clerk.files.get_file(asked.clone()).await.unwrap_err().code(),
        Code::NotFound
    );

    let mut request = birth_registration();
    // One file may stand for several components.
    request.components[0].file_ids = vec![file_id.clone()];
    request.components[1].file_ids = vec![file_id.clone()];
    // Another citizen cannot file with it.
    let stolen = stack
        .portal(Uuid::from_u128(0xC2))
        .cases
        .submit_case(request.clone())
        .await
        .unwrap_err();
    assert_eq!(reason(&stolen), "FILE_NOT_USABLE");
    let case = portal
        .clone()
        .cases
        .submit_case(request.clone())
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(
        clerk
            .files
            .get_file(asked)
            .await
            .unwrap()
            .into_inner()
            .file
            .unwrap()
            .case_id,
        case.case_id
    );

    request.request_id = request_id();
    let twice = portal.clone().cases.submit_case(request).await.unwrap_err();
    assert_eq!(reason(&twice), "FILE_NOT_USABLE");
}

#[tokio::test]
async fn whose_papers_were_read_is_recorded() {
    let stack = Stack::start().await;
    let portal = stack.portal(citizen());
    let file_id = upload(&portal, PDF).await;
    let mut request = birth_registration();
    request.components[1].file_ids = vec![file_id.clone()];
    portal.clone().cases.submit_case(request).await.unwrap();
    stack
        .staff("case_reader", TRUONG_VINH)
        .files
        .get_file(GetFileRequest { file_id })
        .await
        .unwrap();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let recorded: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM egov.read_records WHERE method LIKE '%GetFile' AND $1 = ANY (subjects)",
    )
    .bind(citizen())
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(recorded, 1);
}
