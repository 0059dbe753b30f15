//! A process that dies between the commit and the answer.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use egov_clock::{Ids as _, SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_keyring::Keyring;
use uuid::Uuid;

use crate::stage::{CLERK, Stage, count, note, write_note};

const URL: &str = "EGOV_KILLED_TEST_URL";
const KEYRING: &str = "EGOV_KILLED_TEST_KEYRING";
const REQUEST: &str = "EGOV_KILLED_TEST_REQUEST";
const BODY: &str = "written by a process that was killed";

#[tokio::test]
async fn a_process_killed_between_commit_and_answer_has_written_once_and_the_retry_gets_its_answer() {
    let stage = Stage::new().await;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keyring");
    Keyring::create_missing(&keys, &SystemClock).unwrap();
    let request_id = SystemIds::default().uuid();

    // Reads its input until this process has gone: it never outlives the test.
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::commits_and_never_answers",
            "--ignored",
            "--nocapture",
        ])
        .env(URL, &stage.test.app_url)
        .env(KEYRING, &keys)
        .env(REQUEST, request_id.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    // The test harness prints the name of the test on the same line first.
    let committed = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("committed ").map(|(_, id)| id.trim().to_owned()))
        .expect("the child commits");
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(count(&stage, "SELECT count(*) FROM notes").await, 1);
    let database = open(&stage.test.app_url, &keys).await;
    let again = write_note(&database, CLERK, request_id, &note(1, BODY)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.answer.note_id, committed);
    assert_eq!(count(&stage, "SELECT count(*) FROM notes").await, 1);
}

#[tokio::test]
#[ignore = "run as a child process by the test above, which kills it"]
async fn commits_and_never_answers() {
    let Some(url) = std::env::var_os(URL) else {
        return;
    };
    let keys = std::env::var_os(KEYRING).unwrap();
    let request_id: Uuid = std::env::var_os(REQUEST)
        .and_then(|id| id.to_str()?.parse().ok())
        .unwrap();
    let database = open(url.to_str().unwrap(), Path::new(&keys)).await;
    let written = write_note(&database, CLERK, request_id, &note(1, BODY)).await.unwrap();
    println!("committed {}", written.answer.note_id);
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

async fn open(url: &str, keys: &Path) -> Database {
    Database::connect(
        &DatabaseConfig::new(url).test_profile().max_connections(2),
        Arc::new(Keyring::open(keys, &SystemClock).unwrap()),
        SystemClock::shared(),
        SystemIds::shared(),
    )
    .await
    .unwrap()
}
