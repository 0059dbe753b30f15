//! The service with its files in a bucket.

use egov_files::{BucketConfig, FileConfig};
use egov_proto::egov::onestop::v1::ReadFileRequest;
use egov_testkit::s3::{ACCESS_KEY, BUCKET, REGION, S3Server, SECRET_KEY};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_through_the_port_into_the_bucket_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    let files = egov_files::open(&FileConfig::S3(BucketConfig {
        endpoint: server.endpoint(),
        bucket: BUCKET.to_owned(),
        region: REGION.to_owned(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned().into(),
        allow_http: true,
        virtual_host: false,
        ca: None,
        timeout_seconds: 5,
    }))
    .unwrap();
    let stack = Stack::with_files(files).await;

    let portal = stack.portal(citizen());
    let file_id = upload(&portal, PDF).await;
    let mut request = birth_registration();
    request.components[0].file_ids = vec![file_id.clone()];
    let case = portal
        .clone()
        .cases
        .submit_case(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(case.components[0].file_ids, std::slice::from_ref(&file_id));
    assert!(
        folder.path().join(BUCKET).join("files").is_dir(),
        "the content lies in the bucket"
    );

    let read = ReadFileRequest {
        file_id,
        offset: 0,
        length: PDF.len() as i32,
    };
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let content = clerk.clone().files.read_file(read.clone()).await.unwrap().into_inner();
    assert_eq!(content.data, PDF);
    let neighbour = stack.staff("one_stop_clerk", THANH_VINH);
    assert_eq!(
        reason(&neighbour.clone().files.read_file(read.clone()).await.unwrap_err()),
        "FILE_NOT_FOUND"
    );

    server.stop().await;
    let gone = clerk.clone().files.read_file(read).await.unwrap_err();
    assert_eq!(reason(&gone), "STORE_UNAVAILABLE");
}
