//! Processes that are killed at every step from publishing to acknowledging.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use egov_auth::RowScope;
use egov_clock::{SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig, sql_fault};
use egov_events::{Backoff, Batch, CloudEvent, EventStore, PostgresStore, StartAt, SubscriptionSpec, TopicSpec};
use egov_fault::Fault;
use egov_keyring::Keyring;
use uuid::Uuid;

use crate::MIGRATOR;

const URL: &str = "EGOV_KILLED_EVENTS_URL";
const STEP: &str = "EGOV_KILLED_EVENTS_STEP";
const EVENTS: usize = 10_000;
const KEYS: usize = 250;
const CONSUMERS: [&str; 3] = ["one", "two", "three"];
const TOPIC: TopicSpec = TopicSpec {
    id: Uuid::from_u128(7),
    max_age: Duration::from_hours(1),
    max_bytes: 1 << 30,
};

/// Where the child stops and is killed.
const STEPS: [&str; 5] = ["published", "pulled", "applied", "committed", "acknowledged"];

#[tokio::test]
async fn after_five_kills_each_of_three_subscribers_has_every_effect_once_and_in_order() {
    let database = egov_testkit::database("eventstest", *MIGRATOR).await;
    let mut owner = database.connect_as_owner().await.unwrap();
    // Nothing here forbids a second effect of the same event: that is what is tested.
    sqlx::raw_sql(
        "CREATE TABLE effects (place bigint GENERATED ALWAYS AS IDENTITY, consumer text, key text, number integer)",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    for step in STEPS {
        let mut child = spawn(&database.app_url, step);
        let output = BufReader::new(child.stdout.take().unwrap());
        let reached = output
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("reached the step"));
        assert!(reached, "the child ended before {step}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut child = spawn(&database.app_url, "none");
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(
        output
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("all is done"))
    );
    child.kill().unwrap();
    child.wait().unwrap();

    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT consumer, count(*), count(DISTINCT number) FROM effects GROUP BY consumer ORDER BY consumer",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    let all = i64::try_from(EVENTS).unwrap();
    let expected = ["one", "three", "two"].map(|consumer| (consumer.to_owned(), all, all));
    assert_eq!(rows, expected, "each effect is there and there once");
    let disorder: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT number < lag(number) OVER (PARTITION BY consumer, key ORDER BY place) AS back
                               FROM effects) AS order_of WHERE back",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert_eq!(disorder, 0, "the effects of a key happen in the order of its events");
}

fn spawn(url: &str, step: &str) -> std::process::Child {
    // Reads its input until this process has gone: it never outlives the test.
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::publishes_and_applies", "--ignored", "--nocapture"])
        .env(URL, url)
        .env(STEP, step)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run as a child process by the test above, which kills it"]
async fn publishes_and_applies() {
    let (Some(url), Some(step)) = (std::env::var_os(URL), std::env::var_os(STEP)) else {
        return;
    };
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let step = step.into_string().unwrap();
    let config = DatabaseConfig::new(url.to_str().unwrap())
        .test_profile()
        .max_connections(8);
    let database = Database::connect(
        &config,
        Arc::new(Keyring::ephemeral()),
        SystemClock::shared(),
        SystemIds::shared(),
    )
    .await
    .unwrap();
    let store = PostgresStore::new(database.clone(), 64 << 20);
    store.open_topic(&TOPIC).await.unwrap();
    let trap = Arc::new(Trap {
        step,
        reached: AtomicUsize::new(0),
    });
    let subscribers =
        CONSUMERS.map(|consumer| tokio::spawn(subscribe(consumer, database.clone(), store.clone(), Arc::clone(&trap))));
    // Whoever was killed does not know what it has published: all again, by the same ids.
    for first in (0..EVENTS).step_by(500) {
        let batch = (first..first + 500).map(event).collect();
        store.publish(TOPIC.id, batch).await.unwrap();
        trap.at("published").await;
    }
    for subscriber in subscribers {
        subscriber.await.unwrap();
    }
    println!("all is done");
    std::future::pending::<()>().await;
}

/// Stops the process at a step, some way into the work.
struct Trap {
    step: String,
    reached: AtomicUsize,
}

impl Trap {
    async fn at(&self, step: &str) {
        if step == self.step && self.reached.fetch_add(1, Ordering::SeqCst) == 6 {
            println!("reached the step");
            std::future::pending::<()>().await;
        }
    }
}

fn event(number: usize) -> CloudEvent {
    CloudEvent {
        id: number.to_string(),
        source: "/killed".to_owned(),
        kind: "number".to_owned(),
        subject: None,
        time: None,
        data_content_type: None,
        data_schema: None,
        partition_key: Some((number % KEYS).to_string()),
        epoch: None,
        data: number.to_string().into(),
    }
}

async fn subscribe(consumer: &'static str, database: Database, store: PostgresStore, trap: Arc<Trap>) {
    let place = CONSUMERS.iter().position(|one| *one == consumer).unwrap();
    let subscription = SubscriptionSpec {
        id: Uuid::from_u128(100 + place as u128),
        topic: TOPIC.id,
        start: StartAt::Oldest,
        types: Vec::new(),
        max_in_flight: 500,
        acknowledge_within: Duration::from_millis(1500),
        max_attempts: 100,
        backoff: Backoff::default(),
    };
    store.subscribe(&subscription).await.unwrap();
    loop {
        let got = store.pull(&subscription, Batch::of(500)).await.unwrap();
        if got.is_empty() {
            let applied = count(&database, consumer).await;
            if applied >= EVENTS && store.progress(&subscription).await.unwrap().lag == 0 {
                return;
            }
            store.wait(TOPIC.id, Duration::from_millis(50)).await;
            continue;
        }
        trap.at("pulled").await;
        let ids: Vec<Uuid> = got.iter().map(|one| one.event.dedupe()).collect();
        database
            .write_unkeyed(&RowScope::everything(), async |unit| {
                let fresh = unit.first_times(consumer, &ids).await?;
                for delivery in got.iter().filter(|one| fresh.contains(&one.event.dedupe())) {
                    let number: i32 = std::str::from_utf8(&delivery.event.data).unwrap().parse().unwrap();
                    sqlx::query("INSERT INTO effects (consumer, key, number) VALUES ($1, $2, $3)")
                        .bind(consumer)
                        .bind(&delivery.event.partition_key)
                        .bind(number)
                        .execute(unit.conn())
                        .await
                        .map_err(sql_fault)?;
                }
                trap.at("applied").await;
                Ok::<_, Fault>(())
            })
            .await
            .unwrap();
        trap.at("committed").await;
        let tokens: Vec<String> = got.into_iter().map(|one| one.token).collect();
        store.settle(&subscription, &tokens, &[]).await.unwrap();
        trap.at("acknowledged").await;
    }
}

async fn count(database: &Database, consumer: &str) -> usize {
    let applied: i64 = database
        .read(&RowScope::everything(), async |conn| {
            sqlx::query_scalar("SELECT count(*) FROM effects WHERE consumer = $1")
                .bind(consumer)
                .fetch_one(conn)
                .await
                .map_err(sql_fault)
        })
        .await
        .unwrap();
    usize::try_from(applied).unwrap()
}
