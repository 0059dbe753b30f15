//! Numbers in a book: from 01 on without a gap, whoever fails, gives up or is killed on the way.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use egov_auth::IssuerConfig;
use egov_keyring::Keyring;
use egov_proto::egov::civil_registry::v1::*;
use egov_runtime::server::Shutdown;
use tokio::task::JoinSet;

use crate::support::*;

/// What the process is told: the database, the folder of the keyring, who issues tokens.
const TOLD: &str = "EGOV_TEST_CIVIL_REGISTRY_PROCESS";
const LISTENS: &str = "listens on ";

/// Who registers at once.
const WRITERS: usize = 64;
/// Births that each of them registers, one after the other.
const EACH: usize = 2;
/// A process is killed when so many births are in the book.
const KILLED_AT: [i64; 3] = [8, 40, 90];

const ENTERED: &str = "SELECT count(*) FROM entries";

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run as a child process by the test below, which kills it"]
async fn serves_until_it_is_killed() {
    let Some(told) = std::env::var_os(TOLD) else {
        return;
    };
    let (url, keys, issuer): (String, PathBuf, IssuerConfig) = serde_json::from_str(told.to_str().unwrap()).unwrap();
    let clock = egov_testkit::clock();
    let keyring = Arc::new(Keyring::open(&keys, &clock).unwrap());
    let process = Process::over(&url, keyring, &clock, issuer).await;
    std::thread::spawn(|| {
        // It ends when the test does: it never outlives it.
        std::io::stdin().lines().for_each(drop);
        std::process::exit(1);
    });
    println!("{LISTENS}{}", process.listener.local_addr().unwrap());
    process.server.serve(process.listener, Shutdown::new()).await;
}

/// A running child process.
struct Killable {
    child: Child,
    address: SocketAddr,
}

impl Killable {
    fn start(stack: &Stack, keys: &Path) -> Self {
        let told = (&stack.database.app_url, keys, stack.tokens.issuer());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "numbers::serves_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(TOLD, serde_json::to_string(&told).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        // The test harness prints the name of the test on the same line first.
        let address = said
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once(LISTENS).map(|(_, address)| address.trim().to_owned()))
            .expect("the process listens");
        Self {
            child,
            address: address.parse().unwrap(),
        }
    }

    /// SIGKILL: nothing of the process runs any more.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        // Also where the test failed. It was killed already where it did not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Registers births until each is registered, under its request id. Calls are given up after a while and repeated; which process
/// answers is looked up each time.
async fn registers(writer: usize, token: String, address: Arc<Mutex<SocketAddr>>) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(EACH);
    for place in 0..EACH {
        // Every other one names the same parents, who are the same persons; the others name nobody with a number.
        let request = birth_where(|birth| {
            if (writer + place).is_multiple_of(2) {
                for parent in [birth.mother.as_mut(), birth.father.as_mut()].into_iter().flatten() {
                    parent.personal_number.clear();
                }
            }
        });
        let begin = Instant::now();
        let mut given_up = 0;
        loop {
            // Earlier than the answer at first, so that calls are dropped in the middle; then longer and longer.
            let patience = Duration::from_millis(((writer * 37 + place * 11) % 60 + given_up * given_up * 40) as u64);
            let mut client = client_of(*address.lock().unwrap(), Some(token.clone()), None);
            match tokio::time::timeout(patience, client.register(request.clone())).await {
                Ok(Ok(entry)) => {
                    entries.push(entry);
                    break;
                }
                // The process was killed, and the next one does not listen yet.
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(_) => given_up += 1,
            }
            assert!(
                begin.elapsed() < Duration::from_mins(2),
                "writer {writer} is never answered"
            );
        }
    }
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_get_numbers_without_gap_or_double_though_calls_are_dropped_and_processes_killed() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let stack = Stack::on_disk(&keys).await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let book = officer.open(TRUONG_VINH, 2026).await.unwrap();

    let mut process = Killable::start(&stack, &keys);
    let address = Arc::new(Mutex::new(process.address));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let token = stack.token(OFFICER, TRUONG_VINH);
        writers.spawn(registers(writer, token, Arc::clone(&address)));
    }
    for killed_at in KILLED_AT {
        while stack.count(ENTERED).await < killed_at {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        process.kill();
        process = Killable::start(&stack, &keys);
        *address.lock().unwrap() = process.address;
    }
    let answered: Vec<Entry> = writers.join_all().await.into_iter().flatten().collect();
    process.kill();

    let all = WRITERS * EACH;
    assert_eq!(answered.len(), all);
    let numbers: BTreeSet<i32> = answered.iter().map(|entry| entry.number).collect();
    let expected: BTreeSet<i32> = (1..=all as i32).collect();
    assert_eq!(numbers, expected, "every number is given once");
    for entry in &answered {
        // Two pages a volume, an entry a page.
        assert_eq!(
            (entry.volume, entry.page),
            ((entry.number - 1) / 2 + 1, (entry.number - 1) % 2 + 1)
        );
    }
    // What is in the database is what was answered, and nothing of what was dropped or killed.
    assert_eq!(stack.count(ENTERED).await, all as i64);
    assert_eq!(officer.book(&book.book_id).await.unwrap().last_number, all as i32);
    assert_eq!(
        stack
            .count("SELECT last_number FROM egov.counters WHERE register = 'civil.birth'")
            .await,
        all as i64
    );
    assert_eq!(
        stack
            .count("SELECT count(*) FROM egov.leaves WHERE kind = 'civil_entry'")
            .await,
        all as i64
    );
    assert_eq!(stack.count("SELECT count(*) FROM personal_numbers").await, 2);
    // A child each, two parents for every other one, and the two who have numbers.
    assert_eq!(
        stack.count("SELECT count(*) FROM persons").await,
        (all + all + 2) as i64
    );
    assert_eq!(
        stack.count("SELECT count(*) FROM family_relations").await,
        2 * all as i64
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_two_register_at_once_is_one_person_with_one_birth() {
    let stack = Stack::start().await;
    let mut here = stack.staff(OFFICER, TRUONG_VINH);
    here.open(TRUONG_VINH, 2026).await.unwrap();
    let mut there = stack.staff(OFFICER, THANH_VINH);
    there.open(THANH_VINH, 2026).await.unwrap();
    let numbered = |unit_id: i32| RegisterBirthRequest {
        unit_id,
        ..birth_where(|birth| birth.child.as_mut().unwrap().personal_number = "040326000444".to_owned())
    };
    let (first, second) = tokio::join!(
        here.register(numbered(TRUONG_VINH)),
        there.register(numbered(THANH_VINH))
    );
    let (registered, refused) = match (first, second) {
        (Ok(entry), Err(status)) | (Err(status), Ok(entry)) => (entry, status),
        both => panic!("one of them is registered: {both:?}"),
    };
    assert_eq!(reason(&refused), "BIRTH_REGISTERED");
    assert_eq!(registered.number, 1);
    assert_eq!(stack.count(ENTERED).await, 1);
    assert_eq!(stack.count("SELECT count(*) FROM persons").await, 3);
}
