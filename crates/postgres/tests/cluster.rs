//! A private cluster on the PostgreSQL of this machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests fail loudly"
)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use egov_postgres::{
    Cluster, ClusterOptions, Durability, Installation, MINIMUM_VERSION, PostgresError, SharedCluster, discover,
};
use tempfile::TempDir;

/// Tells the re-executed test binary which folder to hold.
const HOLD: &str = "EGOV_POSTGRES_TEST_HOLD";
/// The same for a shared cluster.
const SHARE: &str = "EGOV_POSTGRES_TEST_SHARE";

/// A folder that the server's user can enter.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn installation() -> Installation {
    discover(MINIMUM_VERSION).unwrap()
}

fn quick(data: impl Into<PathBuf>) -> ClusterOptions {
    ClusterOptions::new(data).durability(Durability::TestOnly)
}

fn start(data: &Path) -> Cluster {
    Cluster::start(&installation(), quick(data)).unwrap()
}

/// Runs one statement with `psql`.
fn query(url: &str, sql: &str) -> String {
    let output = Command::new(installation().program("psql"))
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, url])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{sql}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The processes of PostgreSQL that work in the cluster of `data`.
fn servers(data: &Path) -> Vec<i32> {
    let Ok(here) = fs::metadata(data.join("cluster")) else {
        return Vec::new();
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            fs::metadata(format!("/proc/{pid}/cwd"))
                .is_ok_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino()))
        })
        .collect()
}

fn until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < patience, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Another process that holds the cluster.
struct Other {
    process: Child,
    said: BufReader<ChildStdout>,
    postmaster: i32,
}

impl Other {
    fn start(variable: &str, data: &Path) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "a_process_of_its_own", "--nocapture"])
            .env(variable, data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let postmaster = said
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("holding ")?.1.trim().parse().ok())
            .expect("the other process holds the cluster");
        Self {
            process,
            said,
            postmaster,
        }
    }

    fn id(&self) -> u32 {
        self.process.id()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn leave(mut self) {
        drop(self.process.stdin.take());
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
#[ignore = "started by other tests as a process of its own"]
fn a_process_of_its_own() {
    let wait = || {
        let mut all = String::new();
        std::io::stdin().read_to_string(&mut all).unwrap();
    };
    if let Some(data) = env::var_os(HOLD) {
        let cluster = start(Path::new(&data));
        println!("holding {}", cluster.pid());
        wait();
    } else if let Some(data) = env::var_os(SHARE) {
        let cluster = SharedCluster::join(&installation(), quick(&data)).unwrap();
        assert_eq!(query(&cluster.url("postgres"), "SELECT 1"), "1");
        let file = fs::read_to_string(Path::new(&data).join("cluster/postmaster.pid")).unwrap();
        println!("holding {}", file.lines().next().unwrap());
        wait();
    }
}

#[test]
fn a_new_cluster_is_durable_checked_and_private() {
    let folder = open_folder();
    let data = folder.path().join("data");
    let cluster = Cluster::start(&installation(), ClusterOptions::new(&data)).unwrap();
    let url = cluster.url("postgres");

    assert!(cluster.is_new());
    assert_eq!(cluster.notice(), None);
    for setting in ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"] {
        assert_eq!(query(&url, &format!("SHOW {setting}")), "on", "{setting}");
    }
    assert_eq!(query(&url, "SHOW listen_addresses"), "");
    assert_eq!(query(&url, "SHOW log_error_verbosity"), "terse");
    assert_eq!(query(&url, "SHOW server_encoding"), "UTF8");
    assert_eq!(query(&url, "SHOW lc_collate"), "C.UTF-8");
    assert_eq!(query(&url, "SELECT current_user"), cluster.superuser());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(cluster.socket_dir()), 0o700);
    assert_eq!(mode(&data.join("cluster")), 0o700);
    assert_eq!(mode(&data.join("postgres.log")), 0o600);
    let server = fs::metadata(format!("/proc/{}", cluster.pid())).unwrap();
    assert_ne!(server.uid(), 0, "PostgreSQL never runs as root");
    cluster.stop().unwrap();
    assert_eq!(servers(&data), Vec::<i32>::new());
}

#[test]
fn durability_cannot_be_switched_off_by_a_setting() {
    let folder = open_folder();
    drop(start(folder.path()));
    let options = ClusterOptions::new(folder.path())
        .setting("fsync", "off")
        .setting("listen_addresses", "*")
        .setting("work_mem", "7MB")
        .max_connections(23);
    let cluster = Cluster::start(&installation(), options).unwrap();
    let url = cluster.url("postgres");

    assert_eq!(query(&url, "SHOW fsync"), "on");
    assert_eq!(query(&url, "SHOW listen_addresses"), "");
    assert_eq!(query(&url, "SHOW work_mem"), "7MB");
    assert_eq!(query(&url, "SHOW max_connections"), "23");
}

#[test]
fn only_a_test_cluster_runs_without_durability() {
    let folder = open_folder();
    let cluster = start(folder.path());
    let url = cluster.url("postgres");

    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        assert_eq!(query(&url, &format!("SHOW {setting}")), "off", "{setting}");
    }
    assert_eq!(query(&url, "SHOW data_checksums"), "on");
}

#[test]
fn the_second_start_is_quick_and_keeps_the_data() {
    let folder = open_folder();
    drop(start(folder.path()));
    let first = Cluster::start(&installation(), ClusterOptions::new(folder.path())).unwrap();
    query(
        &first.url("postgres"),
        "CREATE TABLE hồ_sơ AS SELECT 'Đăng ký khai sinh' AS tên",
    );
    first.stop().unwrap();

    let begin = Instant::now();
    let second = Cluster::start(&installation(), ClusterOptions::new(folder.path())).unwrap();
    let took = begin.elapsed();

    assert!(!second.is_new());
    assert_eq!(
        query(&second.url("postgres"), "SELECT tên FROM hồ_sơ"),
        "Đăng ký khai sinh"
    );
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_dropped_cluster_is_stopped() {
    let folder = open_folder();
    let cluster = start(folder.path());
    assert!(!servers(folder.path()).is_empty());

    drop(cluster);

    assert_eq!(servers(folder.path()), Vec::<i32>::new());
}

#[test]
fn the_second_holder_is_told_which_process_holds_it() {
    let folder = open_folder();
    let other = Other::start(HOLD, folder.path());

    let error = Cluster::start(&installation(), quick(folder.path())).unwrap_err();

    let PostgresError::Held { pid, program, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*pid, other.id());
    assert!(program.starts_with("cluster-"), "{program}");
    assert!(error.to_string().contains(&other.id().to_string()), "{error}");
    assert!(error.vi().contains(&other.id().to_string()), "{}", error.vi());
    other.leave();
    drop(start(folder.path()));
}

#[test]
fn a_killed_process_leaves_no_server_behind() {
    let folder = open_folder();
    let other = Other::start(HOLD, folder.path());
    let postmaster = other.postmaster;
    assert!(servers(folder.path()).contains(&postmaster));

    other.kill();

    until("the watcher stops the server", Duration::from_secs(20), || {
        servers(folder.path()).is_empty()
    });
    assert!(
        !folder.path().join("cluster/postmaster.pid").exists(),
        "it was a clean stop"
    );
}

#[test]
fn a_start_right_after_a_kill_waits_for_the_clean_end() {
    let folder = open_folder();
    let other = Other::start(HOLD, folder.path());
    let postmaster = other.postmaster;
    other.kill();

    let cluster = start(folder.path());

    assert_ne!(cluster.pid(), postmaster);
    assert_eq!(query(&cluster.url("postgres"), "SELECT 1"), "1");
}

#[test]
fn a_server_without_its_watcher_is_stopped_by_the_next_start() {
    let folder = open_folder();
    let other = Other::start(HOLD, folder.path());
    let postmaster = other.postmaster;
    let watcher = child_of(other.id(), "sh");
    let told = Command::new("kill")
        .args(["-KILL", &watcher.to_string(), &other.id().to_string()])
        .status()
        .unwrap();
    assert!(told.success());
    other.kill();
    assert!(servers(folder.path()).contains(&postmaster), "nobody stopped it");

    let cluster = start(folder.path());

    let notice = cluster.notice().unwrap();
    assert!(notice.contains(&postmaster.to_string()), "{notice}");
    assert!(cluster.notice_vi().unwrap().contains(&postmaster.to_string()));
    assert!(!servers(folder.path()).contains(&postmaster));
    assert_eq!(query(&cluster.url("postgres"), "SELECT 1"), "1");
}

/// The child of `parent` whose program is `name`.
fn child_of(parent: u32, name: &str) -> i32 {
    let output = Command::new("ps")
        .args(["--ppid", &parent.to_string(), "-o", "pid=,comm="])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.trim().split_once(' '))
        .find(|(_, comm)| comm.trim() == name)
        .map(|(pid, _)| pid.parse().unwrap())
        .unwrap()
}

#[test]
fn a_damaged_folder_is_refused_and_left_alone() {
    let folder = open_folder();
    drop(start(folder.path()));
    let control = folder.path().join("cluster/global/pg_control");
    let aside = folder.path().join("pg_control");
    fs::rename(&control, &aside).unwrap();

    let error = Cluster::start(&installation(), quick(folder.path())).unwrap_err();

    assert!(matches!(error, PostgresError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("pg_control"), "{error}");
    assert!(error.to_string().contains("backup"), "{error}");
    assert!(folder.path().join("cluster/PG_VERSION").exists());

    fs::rename(&aside, &control).unwrap();
    let content = fs::read(&control).unwrap();
    fs::write(&control, vec![0; content.len()]).unwrap();
    let error = Cluster::start(&installation(), quick(folder.path())).unwrap_err();
    assert!(matches!(error, PostgresError::Damaged { .. }), "{error}");

    fs::write(&control, content).unwrap();
    drop(start(folder.path()));
}

#[test]
fn a_cluster_whose_files_are_gone_is_not_replaced_by_an_empty_one() {
    let folder = open_folder();
    drop(start(folder.path()));
    fs::remove_dir_all(folder.path().join("cluster")).unwrap();

    let error = Cluster::start(&installation(), quick(folder.path())).unwrap_err();

    assert!(matches!(error, PostgresError::Damaged { .. }), "{error}");
}

#[test]
fn a_cluster_of_another_version_is_refused_with_both_versions() {
    let folder = open_folder();
    drop(start(folder.path()));
    let installation = installation();
    let version = folder.path().join("cluster/PG_VERSION");
    let mut text = fs::read_to_string(&version).unwrap();
    assert_eq!(text.trim(), installation.version.to_string());
    text = "14\n".into();
    fs::write(&version, text).unwrap();

    let error = Cluster::start(&installation, quick(folder.path())).unwrap_err();

    let said = error.to_string();
    assert!(said.contains("PostgreSQL 14"), "{said}");
    assert!(said.contains(&format!("version {}", installation.version)), "{said}");
    assert!(said.contains("postgresql-14"), "{said}");
}

#[test]
fn a_server_that_cannot_start_shows_the_last_lines_of_its_log() {
    let folder = open_folder();
    drop(start(folder.path()));
    let options = quick(folder.path()).setting("shared_buffers", "no number");

    let error = Cluster::start(&installation(), options).unwrap_err();

    let PostgresError::StartFailed { tail, log } = &error else {
        panic!("{error}");
    };
    assert!(tail.contains("shared_buffers"), "{tail}");
    assert_eq!(*log, folder.path().join("postgres.log"));
    drop(start(folder.path()));
}

#[test]
fn a_server_that_is_too_slow_is_stopped() {
    let folder = open_folder();
    drop(start(folder.path()));
    let options = quick(folder.path()).start_timeout(Duration::ZERO);

    let error = Cluster::start(&installation(), options).unwrap_err();

    assert!(matches!(error, PostgresError::NotReady { .. }), "{error}");
    assert_eq!(servers(folder.path()), Vec::<i32>::new());
    drop(start(folder.path()));
}

#[test]
fn what_an_interrupted_first_start_left_is_cleared_away() {
    let folder = open_folder();
    let left = folder.path().join("cluster.unfinished");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("PG_VERSION"), "15\n").unwrap();

    let cluster = start(folder.path());

    assert!(cluster.is_new());
    assert!(!left.exists());
}

#[test]
fn a_path_with_blanks_accents_and_great_length_works() {
    let folder = open_folder();
    let data = folder
        .path()
        .join("Trung tâm phục vụ hành chính công, phường Trường Vinh, tỉnh Nghệ An & các xã lân cận")
        .join("dữ liệu");
    let cluster = start(&data);
    let socket_dir = cluster.socket_dir().to_owned();

    assert!(socket_dir.starts_with("/tmp"));
    assert_eq!(query(&cluster.url("postgres"), "SELECT 1"), "1");
    assert_eq!(fs::metadata(&socket_dir).unwrap().mode() & 0o777, 0o700);
    cluster.stop().unwrap();
    assert!(!socket_dir.exists());

    let data = folder.path().join("dữ liệu 1%2F&x=y");
    let cluster = start(&data);
    assert_eq!(query(&cluster.url("postgres"), "SELECT 1"), "1");
    assert_eq!(cluster.socket_dir(), data.join("run"));
}

#[test]
fn a_folder_that_the_servers_user_cannot_reach_sends_the_database_elsewhere() {
    let folder = open_folder();
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        return; // only root drops to another user
    }
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let asked = closed.join("data");
    let fallback = folder.path().join("fallback");
    let options = || quick(&asked).fallback(&fallback);

    let cluster = Cluster::start(&installation(), options()).unwrap();
    let base = cluster.folder().to_owned();
    assert!(base.starts_with(&fallback));
    let notice = cluster.notice().unwrap();
    assert!(notice.contains(base.to_str().unwrap()), "{notice}");
    assert!(notice.contains(asked.to_str().unwrap()), "{notice}");
    query(&cluster.url("postgres"), "CREATE TABLE kept ()");
    let error = Cluster::start(&installation(), options()).unwrap_err();
    assert!(matches!(error, PostgresError::Held { .. }), "{error}");
    cluster.stop().unwrap();

    // A folder that was moved still finds its database.
    let moved = closed.join("moved");
    fs::rename(&asked, &moved).unwrap();
    let cluster = Cluster::start(&installation(), quick(&moved).fallback(&fallback)).unwrap();
    assert_eq!(cluster.folder(), base);
    assert_eq!(query(&cluster.url("postgres"), "SELECT count(*) FROM kept"), "0");
    cluster.stop().unwrap();

    // A folder that was deleted begins anew, and what belonged to it is neither mixed in nor lost.
    fs::remove_dir_all(&moved).unwrap();
    let cluster = Cluster::start(&installation(), options()).unwrap();
    assert!(cluster.is_new());
    assert!(base.join("cluster.earlier-1/PG_VERSION").exists());
    assert!(cluster.notice().unwrap().contains("cluster.earlier-1"));
}

/// A PostgreSQL whose programs run these shell scripts.
fn pretended(folder: &Path, initdb: &str, postgres: &str) -> Installation {
    let bindir = folder.join("bin");
    fs::create_dir(&bindir).unwrap();
    for (name, script) in [("initdb", initdb), ("postgres", postgres)] {
        let file = bindir.join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    Installation {
        bindir,
        version: installation().version,
    }
}

#[test]
fn a_disk_that_runs_full_is_told_as_such() {
    let folder = open_folder();
    let full = "echo 'could not write to file: No space left on device' >&2; exit 1";
    let pretended = pretended(folder.path(), full, full);
    let data = folder.path().join("data");

    let error = Cluster::start(&pretended, quick(&data)).unwrap_err();
    assert!(matches!(error, PostgresError::DiskFull { .. }), "{error}");
    assert!(!data.join("cluster.unfinished").exists(), "it gives the space back");

    drop(start(&data));
    let error = Cluster::start(&pretended, quick(&data)).unwrap_err();
    assert!(matches!(error, PostgresError::DiskFull { .. }), "{error}");
}

#[test]
fn a_refusal_of_initdb_is_shown() {
    let folder = open_folder();
    let pretended = pretended(folder.path(), "echo 'invalid locale name' >&2; exit 1", "exit 1");

    let error = Cluster::start(&pretended, quick(folder.path().join("data"))).unwrap_err();

    assert!(matches!(error, PostgresError::InitFailed { .. }), "{error}");
    assert!(error.to_string().contains("invalid locale name"), "{error}");
}

#[test]
fn a_shared_cluster_lives_until_its_last_user_has_gone() {
    let folder = open_folder();
    let first = Other::start(SHARE, folder.path());
    let second = Other::start(SHARE, folder.path());
    assert_eq!(first.postmaster, second.postmaster);

    first.kill();
    let third = Other::start(SHARE, folder.path());
    assert_eq!(third.postmaster, second.postmaster);
    second.leave();
    assert!(servers(folder.path()).contains(&third.postmaster));
    third.kill();

    until("the watcher stops the server", Duration::from_secs(20), || {
        servers(folder.path()).is_empty()
    });
    assert!(!folder.path().join("cluster/postmaster.pid").exists());
}

#[test]
fn processes_that_join_at_the_same_moment_share_one_server() {
    let folder = open_folder();
    let others: Vec<Other> = thread::scope(|scope| {
        let joins: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| Other::start(SHARE, folder.path())))
            .collect();
        joins.into_iter().map(|join| join.join().unwrap()).collect()
    });

    assert!(
        others.iter().all(|other| other.postmaster == others[0].postmaster),
        "one server for all"
    );
    for other in others {
        other.leave();
    }
    until("the watcher stops the server", Duration::from_secs(20), || {
        servers(folder.path()).is_empty()
    });
}

#[test]
fn a_shared_cluster_that_cannot_be_used_is_made_anew() {
    let folder = open_folder();
    let other = Other::start(SHARE, folder.path());
    other.leave();
    until("the watcher stops the server", Duration::from_secs(20), || {
        servers(folder.path()).is_empty()
    });
    fs::write(folder.path().join("cluster/PG_VERSION"), "14\n").unwrap();

    Other::start(SHARE, folder.path()).leave();

    let version = fs::read_to_string(folder.path().join("cluster/PG_VERSION")).unwrap();
    assert_eq!(version.trim(), installation().version.to_string());
    until("the watcher stops the server", Duration::from_secs(20), || {
        servers(folder.path()).is_empty()
    });
}

#[test]
fn a_shared_cluster_that_lies_elsewhere_goes_with_its_folder() {
    let folder = open_folder();
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        return; // only root drops to another user
    }
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let asked = closed.join("data");
    let fallback = folder.path().join("fallback");
    let join = || SharedCluster::join(&installation(), quick(&asked).fallback(&fallback)).unwrap();

    let cluster = join();
    let base = cluster.address().socket_dir().parent().unwrap().to_owned();
    query(&cluster.url("postgres"), "CREATE TABLE old ()");
    drop(cluster);
    fs::remove_dir_all(&asked).unwrap();
    let cluster = join();

    assert!(base.starts_with(&fallback));
    assert!(!base.join("cluster.earlier-1").exists());
    assert_eq!(
        query(&cluster.url("postgres"), "SELECT to_regclass('old') IS NULL"),
        "t"
    );
    drop(cluster);
    until("the watcher stops the server", Duration::from_secs(20), || {
        servers(&base).is_empty()
    });
}
