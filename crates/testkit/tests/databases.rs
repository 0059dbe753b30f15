//! Databases for tests, on the PostgreSQL of this machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests fail loudly"
)]

use std::borrow::Cow;
use std::collections::HashSet;
use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use egov_testkit::{SERVER_VARIABLE, TestDatabase, TestkitError, database, prepared_database, try_database};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{PgConnection, SqlSafeStr as _};

static MIGRATOR: Migrator = sqlx::migrate!("tests/migrations");

/// Tells the re-executed test binary to ask for a database.
const CHILD: &str = "EGOV_TESTKIT_TEST_CHILD";

async fn probe() -> TestDatabase {
    database("probe", &MIGRATOR).await
}

async fn text(session: &mut PgConnection, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(session).await.unwrap()
}

async fn exists(session: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(session)
        .await
        .unwrap()
}

#[tokio::test]
async fn each_test_has_a_migrated_database_of_its_own() {
    let (first, second) = (probe().await, probe().await);
    assert_ne!(first.name(), second.name());
    let mut app = first.connect_as_app().await.unwrap();
    sqlx::query("INSERT INTO notes (content) VALUES ('mine')")
        .execute(&mut app)
        .await
        .unwrap();

    let mut other = second.connect_as_app().await.unwrap();

    assert_eq!(
        text(&mut app, "SELECT string_agg(content, ',') FROM notes").await,
        "mine"
    );
    assert_eq!(text(&mut other, "SELECT count(*)::text FROM notes").await, "0");
}

#[tokio::test]
async fn owner_and_service_are_two_roles_without_power_over_others() {
    let database = probe().await;
    let mut owner = database.connect_as_owner().await.unwrap();
    let mut app = database.connect_as_app().await.unwrap();

    assert_eq!(text(&mut owner, "SELECT current_user::text").await, "probe_owner");
    assert_eq!(text(&mut app, "SELECT current_user::text").await, "probe_app");
    assert_eq!(
        text(
            &mut owner,
            "SELECT tableowner::text FROM pg_tables WHERE tablename = 'notes'"
        )
        .await,
        "probe_owner"
    );
    for session in [&mut owner, &mut app] {
        assert_eq!(
            text(
                session,
                "SELECT (rolsuper OR rolbypassrls OR rolcreaterole)::text FROM pg_roles WHERE rolname = current_user"
            )
            .await,
            "false"
        );
    }
    let refused = sqlx::query("DELETE FROM notes").execute(&mut app).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42501"));
}

#[tokio::test]
async fn a_clone_has_the_rights_of_a_services_database() {
    let database = probe().await;
    let mut superuser = database.connect_as_superuser().await.unwrap();

    let rights = text(
        &mut superuser,
        "SELECT datacl::text FROM pg_database WHERE datname = current_database()",
    )
    .await;

    assert!(rights.contains("probe_app=c/probe_owner"), "{rights}");
    assert!(
        !rights.contains("{=") && !rights.contains(",="),
        "nothing for everybody: {rights}"
    );
}

#[tokio::test]
async fn a_database_is_gone_with_its_test_even_if_it_is_in_use() {
    let database = probe().await;
    let other = probe().await;
    let name = database.name().to_owned();
    let _in_use = database.connect_as_app().await.unwrap();
    let mut superuser = other.connect_as_superuser().await.unwrap();
    assert!(exists(&mut superuser, &name).await);

    drop(database);

    assert!(!exists(&mut superuser, &name).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tests_may_ask_at_once() {
    let asked = (0..12).map(|_| tokio::spawn(probe()));

    let made: Vec<TestDatabase> = futures::future::join_all(asked)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();

    let names: HashSet<&str> = made.iter().map(TestDatabase::name).collect();
    assert_eq!(names.len(), 12);
    for database in &made {
        let mut app = database.connect_as_app().await.unwrap();
        assert_eq!(text(&mut app, "SELECT count(*)::text FROM notes").await, "0");
    }
}

#[tokio::test]
async fn a_migration_that_fails_is_reported_with_its_reason() {
    static BROKEN: LazyLock<Migrator> = LazyLock::new(|| {
        Migrator::with_migrations(vec![Migration::new(
            1,
            Cow::Borrowed("broken"),
            MigrationType::Simple,
            "CREATE TABEL notes ()".into_sql_str(),
            false,
        )])
    });

    let error = try_database("probe", &BROKEN).await.unwrap_err();

    assert!(
        matches!(error, TestkitError::Template { service: "probe", .. }),
        "{error}"
    );
    assert!(error.to_string().contains("TABEL"), "{error}");
}

#[test]
#[ignore = "started by other tests as a process of its own"]
fn a_process_of_its_own() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(probe());
    println!("made {}", database.name());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Runs another process until it has a database; gives the name and the process.
fn other_process(server: Option<&str>) -> (String, std::process::Child) {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "a_process_of_its_own", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some(url) = server {
        command.env(SERVER_VARIABLE, url);
    }
    let mut process = command.spawn().unwrap();
    let name = BufReader::new(process.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("made ")?.1.trim().to_owned()))
        .expect("the other process has a database");
    (name, process)
}

#[tokio::test]
async fn what_a_killed_test_left_is_swept_by_the_next_process() {
    let database = probe().await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    let (name, mut killed) = other_process(None);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(exists(&mut superuser, &name).await, "nobody has dropped it");

    let (own, mut next) = other_process(None);
    let mut left = true;
    for _ in 0..500 {
        left = exists(&mut superuser, &name).await;
        if !left {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    assert!(!left, "the next process swept it");
    assert!(exists(&mut superuser, &own).await, "but not its own");
    assert!(
        exists(&mut superuser, database.name()).await,
        "nor that of a living process"
    );
    next.kill().unwrap();
    next.wait().unwrap();
}

#[tokio::test]
async fn a_server_that_somebody_else_started_is_used() {
    let database = probe().await;
    let (name, mut other) = other_process(Some(&database.superuser_url));
    let mut superuser = database.connect_as_superuser().await.unwrap();

    assert!(exists(&mut superuser, &name).await, "on the same server");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn a_prepared_database_is_filled_once_and_every_test_has_its_own() {
    static FILLED: AtomicUsize = AtomicUsize::new(0);
    let prepared = async || {
        prepared_database("probe", &MIGRATOR, "two notes", async |database| {
            FILLED.fetch_add(1, Ordering::Relaxed);
            let mut session = database.connect_as_owner().await.unwrap();
            sqlx::raw_sql("CREATE TABLE filled (n integer); INSERT INTO filled VALUES (1), (2)")
                .execute(&mut session)
                .await
                .unwrap();
            // Left open on purpose.
            std::mem::forget(session);
        })
        .await
    };
    let (one, other) = tokio::join!(prepared(), prepared());
    assert_eq!(FILLED.load(Ordering::Relaxed), 1);
    let mut one = one.connect_as_superuser().await.unwrap();
    sqlx::raw_sql("DELETE FROM filled").execute(&mut one).await.unwrap();
    let mut session = other.connect_as_superuser().await.unwrap();
    assert_eq!(text(&mut session, "SELECT count(*)::text FROM filled").await, "2");
    assert_eq!(text(&mut one, "SELECT count(*)::text FROM filled").await, "0");
}
