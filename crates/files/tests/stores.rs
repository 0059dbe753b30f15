//! Every store passes the contract; the folder survives what a machine does to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use egov_files::{Digest, FileConfig, FileKey, FileStore, SweptUpload, UploadLimits, contract, in_memory, open};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

const CHILD_FOLDER: &str = "EGOV_FILES_TEST_FOLDER";
const UPLOAD: Uuid = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001);
const PART: usize = 128 << 10;

fn now() -> Timestamp {
    "2026-11-23T01:00:00Z".parse().unwrap()
}

fn folder_store(path: &Path) -> Arc<dyn FileStore> {
    open(&FileConfig::Folder { path: path.to_owned() }).unwrap()
}

fn content() -> Bytes {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    bytes.extend((0..8 * PART as u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8));
    bytes.into()
}

fn parts(content: &Bytes) -> Vec<(u64, Bytes)> {
    (0..content.len())
        .step_by(PART)
        .map(|offset| {
            let end = content.len().min(offset + PART);
            (offset as u64, content.slice(offset..end))
        })
        .collect()
}

async fn put_all(store: &dyn FileStore, content: &Bytes) {
    store.start(UPLOAD, &UploadLimits::default(), now()).await.unwrap();
    for (offset, part) in parts(content) {
        let digest = Digest::of(&part);
        store.put_chunk(UPLOAD, offset, part, digest).await.unwrap();
    }
}

/// Every path below a folder, relative to it.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path.clone());
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn the_folder_keeps_the_contract_and_ends_empty() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("files");
    contract::run(folder_store(&root).as_ref()).await;
    assert_eq!(tree(&root), Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(root.join("uploads")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_keeps_the_contract_on_several_threads() {
    let folder = tempfile::tempdir().unwrap();
    contract::run(folder_store(folder.path()).as_ref()).await;
}

#[tokio::test]
async fn the_memory_keeps_the_contract() {
    contract::run(in_memory().as_ref()).await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let content = content();
    put_all(folder_store(folder.path()).as_ref(), &content).await;
    let size = content.len() as u64;

    let store = folder_store(folder.path());
    assert_eq!(store.progress(UPLOAD).await.unwrap().received, size);
    let stored = store.finish(UPLOAD, size, Digest::of(&content)).await.unwrap();

    let store = folder_store(folder.path());
    assert_eq!(store.verify(&stored.key).await.unwrap(), size);
    let again = store.finish(UPLOAD, size, Digest::of(&content)).await;
    assert_eq!(again.unwrap(), stored);
}

/// Not a test of its own: the process that the next tests kill. It says `put N` and `finished KEY`.
#[test]
#[ignore = "run by the tests that kill it"]
fn child_that_uploads() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = folder_store(Path::new(&folder));
        let content = content();
        store.start(UPLOAD, &UploadLimits::default(), now()).await.unwrap();
        println!();
        for (offset, part) in parts(&content) {
            let digest = Digest::of(&part);
            let progress = store.put_chunk(UPLOAD, offset, part, digest).await.unwrap();
            println!("put {}", progress.received);
        }
        let size = content.len() as u64;
        let stored = store.finish(UPLOAD, size, Digest::of(&content)).await.unwrap();
        println!("finished {}", stored.key);
    });
}

fn spawn_child(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_uploads", "--ignored", "--nocapture"])
        .env(CHILD_FOLDER, OsString::from(folder))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads what the child says until it has said `count` times that a part is stored, waits, and kills it (SIGKILL).
/// Answers with the bytes that it was told to be stored, and whether it had finished.
fn kill_after(mut child: Child, count: usize, wait: Duration) -> (u64, bool) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut received = 0;
    let mut seen = 0;
    while seen < count {
        let line = lines.next().unwrap().unwrap();
        if let Some(bytes) = line.strip_prefix("put ") {
            received = bytes.parse().unwrap();
            seen += 1;
        }
    }
    pause(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut finished = false;
    for line in lines.map_while(Result::ok) {
        if let Some(bytes) = line.strip_prefix("put ") {
            received = bytes.parse().unwrap();
        }
        finished |= line.starts_with("finished ");
    }
    (received, finished)
}

#[expect(
    clippy::disallowed_methods,
    reason = "another process is to be killed at an arbitrary moment; there is no clock to advance"
)]
fn pause(wait: Duration) {
    std::thread::sleep(wait);
}

/// After a kill: everything answered is there, the upload goes on, the file is whole.
async fn goes_on(folder: &Path, answered: u64) {
    let store = folder_store(folder);
    let content = content();
    let received = store.progress(UPLOAD).await.unwrap().received;
    assert!(received >= answered, "{received} of {answered} bytes");
    for (offset, part) in parts(&content) {
        if offset >= received {
            let digest = Digest::of(&part);
            store.put_chunk(UPLOAD, offset, part, digest).await.unwrap();
        }
    }
    let size = content.len() as u64;
    let stored = store.finish(UPLOAD, size, Digest::of(&content)).await.unwrap();
    assert_eq!(store.verify(&stored.key).await.unwrap(), size);
    assert_eq!(store.read(&stored.key, 0, size).await.unwrap(), content);
}

#[tokio::test]
async fn an_upload_goes_on_after_its_process_was_killed_between_parts() {
    for count in [1, 6] {
        let folder = tempfile::tempdir().unwrap();
        let child = spawn_child(folder.path());
        let (answered, _) = kill_after(child, count, Duration::ZERO);
        goes_on(folder.path(), answered).await;
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_its_process_was_killed_while_finishing() {
    let count = parts(&content()).len();
    for micros in [0, 500, 3_000, 20_000] {
        let folder = tempfile::tempdir().unwrap();
        let child = spawn_child(folder.path());
        let (answered, finished) = kill_after(child, count, Duration::from_micros(micros));
        if finished {
            let left = tree(&folder.path().join("files"));
            assert_eq!(left.len(), 1, "what was answered as finished is there");
        }
        goes_on(folder.path(), answered).await;

        // Whatever the kill left is gone with the sweep, the file stays.
        let store = folder_store(folder.path());
        let later = Timestamp::try_from(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33));
        let swept = store.sweep(later.unwrap()).await.unwrap();
        assert_eq!(swept.len(), 1);
        let key = swept[0].became.unwrap();
        assert_eq!(
            tree(folder.path()),
            [PathBuf::from(format!("files/{}/{key}", &key.to_string()[..2]))]
        );
    }
}

#[tokio::test]
async fn a_kill_between_the_outcome_and_the_file_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder_store(folder.path());
    let content = content();
    let size = content.len() as u64;
    put_all(store.as_ref(), &content).await;
    let saved = tempfile::tempdir().unwrap();
    let upload = folder.path().join("uploads").join(UPLOAD.simple().to_string());
    for path in tree(&upload) {
        fs::copy(upload.join(&path), saved.path().join(&path)).unwrap();
    }
    let stored = store.finish(UPLOAD, size, Digest::of(&content)).await.unwrap();

    // As if the file had never come to its place: the outcome is written, the parts are still there.
    store.delete(&stored.key).await.unwrap();
    for path in tree(saved.path()) {
        fs::copy(saved.path().join(&path), upload.join(&path)).unwrap();
    }
    assert_eq!(store.progress(UPLOAD).await.unwrap().received, size);
    let again = store.finish(UPLOAD, size, Digest::of(&content)).await.unwrap();
    assert_eq!(again, stored);
    assert_eq!(store.verify(&stored.key).await.unwrap(), size);
}

#[tokio::test]
async fn the_rests_of_killed_writers_are_swept_when_they_are_old() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder_store(folder.path());
    let key: FileKey = format!("{}-{}", Digest::of(b"x"), UPLOAD.simple()).parse().unwrap();
    let shard = folder.path().join("files").join(&key.to_string()[..2]);
    let orphan = folder.path().join("uploads").join(UPLOAD.simple().to_string());
    fs::create_dir(&orphan).unwrap();
    let torn = [
        shard.join(format!("{key}#1")),
        orphan.join("start#1"),
        orphan.join("part-00000000000000000000"),
    ];
    let whole = shard.join(key.to_string());
    for path in torn.iter().chain([&whole]) {
        fs::write(path, b"x").unwrap();
    }
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    for path in torn.iter().chain([&whole, &orphan]) {
        File::open(path).unwrap().set_modified(written).unwrap();
    }
    let written = Timestamp::try_from(written).unwrap();

    assert_eq!(store.sweep(written).await.unwrap(), []);
    assert!(torn.iter().all(|path| path.exists()), "too young to sweep");

    let swept = store.sweep(written + SignedDuration::from_secs(1)).await;
    let expected = SweptUpload {
        upload: UPLOAD,
        became: None,
    };
    assert_eq!(swept.unwrap(), [expected]);
    assert!(torn.iter().all(|path| !path.exists()));
    assert!(whole.exists());
}

#[tokio::test]
async fn foreign_files_in_the_folder_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder_store(folder.path());
    let foreign = [folder.path().join("README"), folder.path().join("uploads/lost+found/x")];
    for path in &foreign {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }
    assert_eq!(store.sweep(now()).await.unwrap(), []);
    assert!(foreign.iter().all(|path| path.exists()));
}

#[tokio::test]
async fn a_changed_file_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder_store(folder.path());
    let content = content();
    put_all(store.as_ref(), &content).await;
    let size = content.len() as u64;
    let stored = store.finish(UPLOAD, size, Digest::of(&content)).await.unwrap();
    let files = folder.path().join("files");
    let path = files.join(&tree(&files)[0]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let fault = store.verify(&stored.key).await.unwrap_err();
    assert_eq!(fault.reason(), "FILE_HASH_MISMATCH");
    assert_eq!(fault.code(), egov_fault::Code::DataLoss);
}

#[tokio::test]
async fn a_failing_disk_is_an_outage_and_not_a_lost_upload() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder_store(folder.path());
    store.start(UPLOAD, &UploadLimits::default(), now()).await.unwrap();
    // A name that leads to itself: the system answers neither with a file nor with its absence.
    let upload = folder.path().join("uploads").join(UPLOAD.simple().to_string());
    let part = upload.join("part-00000000000000000000");
    std::os::unix::fs::symlink(&part, &part).unwrap();
    let part = Bytes::from_static(b"%PDF-1.7");
    let digest = Digest::of(&part);
    let fault = store.put_chunk(UPLOAD, 0, part, digest).await.unwrap_err();
    assert_eq!(fault.reason(), "STORE_UNAVAILABLE", "{fault:?}");
    assert!(fault.retry_delay().is_some());
}

#[test]
fn nobody_but_the_owner_enters_the_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/b");
    drop(folder_store(&root));
    for path in [
        root.clone(),
        root.join("uploads"),
        root.join("files"),
        root.join("files/ff"),
    ] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", path.display());
    }
}
