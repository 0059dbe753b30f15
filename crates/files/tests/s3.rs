//! The bucket store against an S3-compatible server on loopback: the same contract, and what a network does to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use egov_fault::{Code, Fault};
use egov_files::{BucketConfig, Digest, FileConfig, FileStore, UploadLimits, contract, open};
use egov_testkit::s3::{ACCESS_KEY, BUCKET, Mood, REGION, S3Server, SECRET_KEY, Wrap};
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use uuid::Uuid;

const UPLOAD: Uuid = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001);

fn now() -> Timestamp {
    "2026-11-23T01:00:00Z".parse().unwrap()
}

fn config(endpoint: String) -> BucketConfig {
    BucketConfig {
        endpoint,
        bucket: BUCKET.to_owned(),
        region: REGION.to_owned(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned().into(),
        allow_http: true,
        virtual_host: false,
        ca: None,
        timeout_seconds: 30,
    }
}

fn store_of(config: BucketConfig) -> Arc<dyn FileStore> {
    open(&FileConfig::S3(config)).unwrap()
}

fn store(server: &S3Server) -> Arc<dyn FileStore> {
    store_of(config(server.endpoint()))
}

/// A document of so many parts of a megabyte.
fn parts(count: u32) -> Vec<Bytes> {
    (0..count)
        .map(|part| {
            let mut bytes: Vec<u8> = (0..1_u32 << 20)
                .map(|place| ((place ^ part).wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect();
            if part == 0 {
                bytes[..9].copy_from_slice(b"%PDF-1.7\n");
            }
            bytes.into()
        })
        .collect()
}

async fn put(store: &dyn FileStore, number: usize, part: &Bytes) -> Result<u64, Fault> {
    let offset = (number as u64) << 20;
    let progress = store.put_chunk(UPLOAD, offset, part.clone(), Digest::of(part)).await?;
    Ok(progress.received)
}

/// The names of the objects of a bucket of s3s-fs, which are files in a folder.
fn objects(folder: &Path) -> usize {
    let mut count = 0;
    let mut open = vec![folder.join(BUCKET)];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                count += 1;
            }
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bucket_keeps_the_contract_and_ends_empty() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    contract::run(store(&server).as_ref()).await;
    assert_eq!(objects(folder.path()), 0);
    assert!(server.requests() > 100, "the requests went over the network");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_assembled_by_multipart_and_read_in_ranges() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    let store = store(&server);
    let parts = parts(20);
    store.start(UPLOAD, &UploadLimits::default(), now()).await.unwrap();
    for (number, part) in parts.iter().enumerate() {
        assert_eq!(
            put(store.as_ref(), number, part).await.unwrap(),
            (number as u64 + 1) << 20
        );
    }
    let whole: Vec<u8> = parts.concat();
    let size = whole.len() as u64;
    let stored = store.finish(UPLOAD, size, Digest::of(&whole)).await.unwrap();
    assert_eq!(store.verify(&stored.key).await.unwrap(), size);
    for (offset, length) in [(0, 10), (8 << 20, 4096), ((8 << 20) - 7, 14), (size - 3, 3)] {
        let read = store.read(&stored.key, offset, length).await.unwrap();
        assert_eq!(read, whole[offset as usize..(offset + length) as usize], "{offset}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_upload_behind_the_first_page_of_a_list_is_swept() {
    // A page of a list holds a thousand.
    const UPLOADS: u128 = 1_030;
    let limit: jiff::Timestamp = "2026-11-24T01:00:00Z".parse().unwrap();
    let upload = |number: u128| Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0001_0000 + number);
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    let store = store(&server);
    let starting = (0..UPLOADS).map(|number| {
        let store = Arc::clone(&store);
        async move {
            let started = if number == UPLOADS - 1 { now() } else { limit };
            let begun = store.start(upload(number), &UploadLimits::default(), started).await;
            assert_eq!(begun.unwrap().received, 0);
        }
    });
    futures::StreamExt::for_each_concurrent(futures::stream::iter(starting), 16, |start| start).await;
    let swept = store.sweep(limit).await.unwrap();
    let swept: Vec<Uuid> = swept.iter().map(|one| one.upload).collect();
    assert_eq!(swept, [upload(UPLOADS - 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_after_the_server_and_the_client_were_started_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    let address = server.address();
    let parts = parts(3);
    let before = store(&server);
    before.start(UPLOAD, &UploadLimits::default(), now()).await.unwrap();
    put(before.as_ref(), 0, &parts[0]).await.unwrap();
    put(before.as_ref(), 1, &parts[1]).await.unwrap();
    server.stop().await;
    drop(before);

    let server = S3Server::start_at(folder.path(), address, egov_testkit::s3::Plain)
        .await
        .unwrap();
    let after = store(&server);
    assert_eq!(after.progress(UPLOAD).await.unwrap().received, 2 << 20);
    put(after.as_ref(), 2, &parts[2]).await.unwrap();
    let whole = parts.concat();
    let stored = after
        .finish(UPLOAD, whole.len() as u64, Digest::of(&whole))
        .await
        .unwrap();
    assert_eq!(after.verify(&stored.key).await.unwrap(), whole.len() as u64);
}

#[track_caller]
fn unavailable(refused: &Fault) {
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert_eq!(refused.reason(), "STORE_UNAVAILABLE", "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_an_error_in_time_and_the_upload_goes_on_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    let store = store_of(BucketConfig {
        timeout_seconds: 1,
        ..config(server.endpoint())
    });
    let parts = parts(2);
    store.start(UPLOAD, &UploadLimits::default(), now()).await.unwrap();
    put(store.as_ref(), 0, &parts[0]).await.unwrap();

    for mood in [Mood::Breaks, Mood::Hangs] {
        server.behave(mood);
        let (began, asked) = (Instant::now(), server.requests());
        unavailable(&put(store.as_ref(), 1, &parts[1]).await.unwrap_err());
        assert!(
            began.elapsed() < Duration::from_secs(40),
            "{mood:?} took {:?}",
            began.elapsed()
        );
        let tries = server.requests() - asked;
        assert!((1..=12).contains(&tries), "{mood:?}: {tries} tries");
    }

    server.behave(Mood::Answers);
    assert_eq!(store.progress(UPLOAD).await.unwrap().received, 1 << 20);
    put(store.as_ref(), 1, &parts[1]).await.unwrap();
    let whole = parts.concat();
    let stored = store
        .finish(UPLOAD, whole.len() as u64, Digest::of(&whole))
        .await
        .unwrap();
    assert_eq!(store.verify(&stored.key).await.unwrap(), whole.len() as u64);

    server.stop().await;
    unavailable(&store.read(&stored.key, 0, 10).await.unwrap_err());
}

#[tokio::test]
async fn a_wrong_key_is_named_and_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path()).await.unwrap();
    let wrong = store_of(BucketConfig {
        secret_key: "another-secret".to_owned().into(),
        ..config(server.endpoint())
    });
    let refused = wrong.progress(UPLOAD).await.unwrap_err();
    unavailable(&refused);
    assert!(refused.to_string().contains("refuses"), "{refused}");
    assert!(!format!("{refused:?}").contains("another-secret"));
}

/// TLS over every connection.
struct Tls(TlsAcceptor);

impl Wrap for Tls {
    type Stream = TlsStream<TcpStream>;

    async fn wrap(&self, connection: TcpStream) -> io::Result<Self::Stream> {
        self.0.accept(connection).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_with_an_authority_of_its_own_is_reached_over_tls_and_no_other_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![issued.cert.der().clone()],
            issued.signing_key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    let acceptor = Tls(TlsAcceptor::from(Arc::new(tls)));
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = S3Server::start_at(folder.path(), any, acceptor).await.unwrap();
    let endpoint = format!("https://localhost:{}", server.address().port());
    let ca = folder.path().join("authority.pem");
    std::fs::write(&ca, issued.cert.pem()).unwrap();

    let trusting = BucketConfig {
        allow_http: false,
        ca: Some(ca),
        ..config(endpoint)
    };
    let store = store_of(trusting.clone());
    store.start(UPLOAD, &UploadLimits::default(), now()).await.unwrap();
    assert_eq!(store.progress(UPLOAD).await.unwrap().received, 0);

    let doubting = store_of(BucketConfig {
        ca: None,
        timeout_seconds: 2,
        ..trusting
    });
    unavailable(&doubting.progress(UPLOAD).await.unwrap_err());
}

/// Takes one request and says its first line.
async fn first_line(config: impl FnOnce(String) -> BucketConfig) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let store = store_of(config(endpoint));
    let asking = tokio::spawn(async move { store.progress(UPLOAD).await });
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut bytes = vec![0; 8192];
    let read = connection.read(&mut bytes).await.unwrap();
    connection
        .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(asking.await.unwrap().unwrap_err().reason(), "UPLOAD_NOT_FOUND");
    String::from_utf8_lossy(&bytes[..read])
        .lines()
        .next()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn the_bucket_is_named_in_the_path_or_by_the_host() {
    let in_path = first_line(config).await;
    assert!(in_path.starts_with("GET /egov-files/uploads/"), "{in_path}");
    let by_host = first_line(|endpoint| BucketConfig {
        virtual_host: true,
        ..config(endpoint)
    })
    .await;
    assert!(by_host.starts_with("GET /uploads/"), "{by_host}");
}
