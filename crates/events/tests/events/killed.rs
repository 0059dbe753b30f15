//! Processes that are killed at every step from publishing to acknowledging, over either store; and the store's own server.

use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use egov_auth::RowScope;
use egov_clock::{SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig, sql_fault};
use egov_events::{
    Backoff, Batch, CloudEvent, Delivery, EventStore, JetStreamConfig, JetStreamStore, PostgresStore, StartAt,
    SubscriptionSpec, TopicSpec,
};
use egov_fault::Fault;
use egov_keyring::Keyring;
use egov_testkit::TestDatabase;
use egov_testkit::nats::NatsServer;
use uuid::Uuid;

use crate::MIGRATOR;

const URL: &str = "EGOV_KILLED_EVENTS_URL";
const NATS: &str = "EGOV_KILLED_EVENTS_NATS";
const KEYED: &str = "EGOV_KILLED_EVENTS_KEYED";
const PUBLISHED: &str = "EGOV_KILLED_EVENTS_PUBLISHED";
const STEP: &str = "EGOV_KILLED_EVENTS_STEP";
const DONE: &str = "all is done";
/// How many events are published in all.
const EVENTS: usize = 10_000;
const CONSUMERS: [&str; 3] = ["one", "two", "three"];
const TOPIC: TopicSpec = TopicSpec {
    id: Uuid::from_u128(7),
    max_age: Duration::from_hours(1),
    max_bytes: 1 << 28,
};

/// Where the child stops and is killed.
const STEPS: [&str; 5] = ["published", "pulled", "applied", "committed", "acknowledged"];
/// Where it says that the server may go, and goes on for a while.
const SERVER: &str = "server";

#[tokio::test]
async fn after_five_kills_each_of_three_subscribers_has_every_effect_once_and_in_order() {
    let trial = Trial::over(String::new(), 1).await;
    trial.kill_at_every_step(0);
    trial.finish().await;
}

/// Of the events with a key a lane of JetStream has one under way at a time, so there are fewer of them; the others come in batches.
#[tokio::test]
async fn over_jetstream_as_well_and_when_its_server_is_killed_while_events_are_published() {
    let mut server = NatsServer::start().await.unwrap();
    let trial = Trial::over(server.address().to_owned(), 16).await;
    // What the server goes in the middle of: half of the events. Each process afterwards finds as many new ones as its step takes.
    let half = EVENTS / 2;
    let mut worker = trial.spawn(SERVER, half);
    worker.says("the server may go");
    server.kill().unwrap();
    server.start_again().await.unwrap();
    worker.says("reached the step");
    worker.kill();
    trial.kill_at_every_step(half);
    trial.finish().await;
}

/// The database in which the effects happen, and the store.
struct Trial {
    database: TestDatabase,
    /// The address of the store in JetStream; empty for the one in the database.
    nats: String,
    /// Of so many events one has a key.
    keyed: usize,
}

impl Trial {
    async fn over(nats: String, keyed: usize) -> Self {
        let database = egov_testkit::database("eventstest", *MIGRATOR).await;
        // Nothing here forbids a second effect of the same event: that is what is tested.
        sqlx::raw_sql(
            "CREATE TABLE effects (place bigint GENERATED ALWAYS AS IDENTITY, consumer text, key text, number integer)",
        )
        .execute(&mut database.connect_as_owner().await.unwrap())
        .await
        .unwrap();
        Self { database, nats, keyed }
    }

    /// A process that publishes the first so many events, applies what there is, and stops at a step.
    fn spawn(&self, step: &str, published: usize) -> Worker {
        // Reads its input until this process has gone: it never outlives the test.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::publishes_and_applies", "--ignored", "--nocapture"])
            .env(URL, &self.database.app_url)
            .env(NATS, &self.nats)
            .env(KEYED, self.keyed.to_string())
            .env(PUBLISHED, published.to_string())
            .env(STEP, step)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Worker { child, said }
    }

    /// Each process publishes a part of the rest that no other did: however much those before it applied, its step is reached.
    fn kill_at_every_step(&self, published: usize) {
        let part = (EVENTS - published) / STEPS.len();
        for (place, step) in STEPS.iter().enumerate() {
            let mut worker = self.spawn(step, published + part * (place + 1));
            worker.says("reached the step");
            worker.kill();
        }
    }

    /// Lets a last process come to the end, and looks at what happened.
    async fn finish(self) {
        let mut worker = self.spawn("none", EVENTS);
        worker.says(DONE);
        worker.kill();
        let mut owner = self.database.connect_as_owner().await.unwrap();
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
                                   FROM effects WHERE key IS NOT NULL) AS order_of WHERE back",
        )
        .fetch_one(&mut owner)
        .await
        .unwrap();
        assert_eq!(disorder, 0, "the effects of a key happen in the order of its events");
    }
}

/// A child process, and what it says.
struct Worker {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    fn says(&mut self, words: &str) {
        let mut lines = self.said.by_ref().map_while(Result::ok);
        let said = lines.find(|line| line.contains(words) || line.contains(DONE));
        assert!(
            said.is_some_and(|line| line.contains(words)),
            "the child came to its end before it said {words:?}"
        );
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run as a child process by the tests above, which kill it"]
async fn publishes_and_applies() {
    let given = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let (Some(url), Some(nats), Some(step)) = (given(URL), given(NATS), given(STEP)) else {
        return;
    };
    let number = |name: &str| given(name).unwrap().parse::<usize>().unwrap();
    let (keyed, published) = (number(KEYED), number(PUBLISHED));
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let config = DatabaseConfig::new(url).test_profile().max_connections(8);
    let database = Database::connect(
        &config,
        Arc::new(Keyring::ephemeral()),
        SystemClock::shared(),
        SystemIds::shared(),
    )
    .await
    .unwrap();
    let store: Arc<dyn EventStore> = if nats.is_empty() {
        Arc::new(PostgresStore::new(database.clone(), 64 << 20))
    } else {
        let config = JetStreamConfig {
            address: nats,
            replicas: 1,
            sync_always: false,
            queue_bytes: 64 << 20,
        };
        Arc::new(JetStreamStore::connect(config, SystemIds::shared()).await.unwrap())
    };
    store.open_topic(&TOPIC).await.unwrap();
    let trap = Arc::new(Trap {
        step,
        reached: AtomicUsize::new(0),
    });
    let subscribers = CONSUMERS.map(|consumer| {
        let (store, trap) = (Arc::clone(&store), Arc::clone(&trap));
        tokio::spawn(subscribe(consumer, database.clone(), store, trap, published))
    });
    // Whoever was killed does not know what it has published: all again, by the same ids.
    let batch = EVENTS / 50;
    for first in (0..published).step_by(batch) {
        let batch: Vec<CloudEvent> = (first..published.min(first + batch))
            .map(|number| event(number, keyed))
            .collect();
        until_taken(|| store.publish(TOPIC.id, batch.clone())).await;
        trap.at("published").await;
    }
    for subscriber in subscribers {
        subscriber.await.unwrap();
    }
    println!("{DONE}");
    std::future::pending::<()>().await;
}

/// Tries until the store has done it: its server may be away.
pub(crate) async fn until_taken<T, F>(mut act: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, Fault>>,
{
    loop {
        match act().await {
            Ok(done) => return done,
            Err(fault) if fault.reason() == "EVENT_STORE_UNAVAILABLE" => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(fault) => panic!("the store refused: {fault:?}"),
        }
    }
}

/// Stops the process at a step, some way into the work.
struct Trap {
    step: String,
    reached: AtomicUsize,
}

impl Trap {
    async fn at(&self, step: &str) {
        let last = match (self.step.as_str(), step) {
            (SERVER, "published") => 13,
            (wanted, step) if wanted == step => 6,
            _ => return,
        };
        let reached = self.reached.fetch_add(1, Ordering::SeqCst);
        if reached == last {
            println!("reached the step");
            std::future::pending::<()>().await;
        }
        if self.step == SERVER && reached == 6 {
            println!("the server may go");
        }
    }
}

/// Of so many events one has a key; of each key there are about a hundred.
fn event(number: usize, keyed: usize) -> CloudEvent {
    let key = number / keyed % (EVENTS / keyed / 100);
    CloudEvent {
        id: number.to_string(),
        source: "/killed".to_owned(),
        kind: "number".to_owned(),
        subject: None,
        time: None,
        data_content_type: None,
        data_schema: None,
        partition_key: number.is_multiple_of(keyed).then(|| key.to_string()),
        epoch: None,
        data: number.to_string().into(),
    }
}

async fn subscribe(
    consumer: &'static str,
    database: Database,
    store: Arc<dyn EventStore>,
    trap: Arc<Trap>,
    events: usize,
) {
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
    until_taken(|| store.subscribe(&subscription)).await;
    loop {
        let got = until_taken(|| store.pull(&subscription, Batch::of(200))).await;
        if got.is_empty() {
            let applied = count(&database, consumer).await;
            if applied >= events && until_taken(|| store.progress(&subscription)).await.lag == 0 {
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
                let (keys, numbers) = effects_of(&got, &ids, &fresh);
                sqlx::query(
                    "INSERT INTO effects (consumer, key, number)
                     SELECT $1, e.key, e.number
                     FROM unnest($2::text[], $3::integer[]) WITH ORDINALITY AS e (key, number, place) ORDER BY e.place",
                )
                .bind(consumer)
                .bind(&keys)
                .bind(&numbers)
                .execute(unit.conn())
                .await
                .map_err(sql_fault)?;
                trap.at("applied").await;
                Ok::<_, Fault>(())
            })
            .await
            .unwrap();
        trap.at("committed").await;
        let tokens: Vec<String> = got.into_iter().map(|one| one.token).collect();
        until_taken(|| store.settle(&subscription, &tokens, &[])).await;
        trap.at("acknowledged").await;
    }
}

/// Keys and numbers of the events that come for the first time, in their order.
fn effects_of(got: &[Delivery], ids: &[Uuid], fresh: &[Uuid]) -> (Vec<Option<String>>, Vec<i32>) {
    let place = |id: &Uuid| ids.iter().position(|one| one == id).unwrap();
    fresh
        .iter()
        .map(|id| &got[place(id)].event)
        .map(|event| {
            let number = std::str::from_utf8(&event.data).unwrap();
            (event.partition_key.clone(), number.parse::<i32>().unwrap())
        })
        .unzip()
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
