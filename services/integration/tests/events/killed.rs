//! The service as a process of its own that is killed (SIGKILL) at every step from publishing to acknowledging, while a subscriber by
//! stream, one that fetches and one by webhook take what it delivers.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use egov_auth::{IssuerConfig, RowScope};
use egov_clock::{Clock as _, ManualClock, SystemIds};
use egov_database::{Database, DatabaseConfig, sql_fault};
use egov_fault::Fault;
use egov_integration::config::EventsSection;
use egov_integration::{MIGRATOR, SERVICE};
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1::event_service_client::EventServiceClient;
use egov_proto::egov::integration::v1::{
    AcknowledgeRequest, CreateSubscriptionRequest, CreateSubscriptionResponse, EventDelivery,
    GetSubscriptionStatusRequest, PublishRequest, PublishedEvent, PullRequest, SubscribeRequest,
};
use egov_runtime::server::Shutdown;
use egov_testkit::{TestDatabase, Tokens};
use jiff::{SignedDuration, Timestamp};
use sqlx::PgConnection;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::stage::{HERE, PUBLISHER, SUBSCRIBER, bearer, event, pulling, service, topic_of};
use crate::webhooks::{hook, verify};

/// What the process is told: the database, the folder of the keyring, who issues tokens, where webhooks may go, and its present.
const TOLD: &str = "EGOV_TEST_EVENTS_PROCESS";
const LISTENS: &str = "listens on ";

const EVENTS: i32 = 10_000;
/// How many are published at once.
const BATCH: i32 = 500;
/// Of each there are fifty events, whose order counts.
const KEYS: i32 = 200;

/// Before which batch the process is killed, and at which step.
const BEFORE_THE_COMMIT: i32 = 3;
const AFTER_THE_COMMIT: i32 = 6;
const STREAMED: i32 = 9;
const POSTED: i32 = 12;
const ACKNOWLEDGING: i32 = 15;

/// How long the test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run as a child process by the test below, which kills it"]
async fn serves_until_it_is_killed() {
    let Some(told) = std::env::var_os(TOLD) else {
        return;
    };
    let (url, keys, issuer, host, now): (String, PathBuf, IssuerConfig, String, i64) =
        serde_json::from_str(told.to_str().unwrap()).unwrap();
    std::thread::spawn(|| {
        // It ends when the test does: it never outlives it.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let clock = ManualClock::at(Timestamp::from_second(now).unwrap());
    let keyring = Arc::new(Keyring::open(&keys, &clock).unwrap());
    let events = EventsSection {
        webhook_hosts: vec![host],
        ..EventsSection::default()
    };
    let (_pool, server) = service(&url, &keyring, &clock, issuer, events).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{LISTENS}{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        // Its time goes on from where it was told that it is.
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            clock.advance(SignedDuration::from_millis(100));
        }
    });
    server.serve(listener, Shutdown::new()).await;
}

/// A running child process.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(told: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "killed::serves_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(TOLD, told)
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
}

impl Drop for Process {
    /// SIGKILL: nothing of the process runs any more.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process that serves now, and what is called by its number.
#[derive(Clone)]
struct Running {
    number: usize,
    events: EventServiceClient<Channel>,
}

/// An event as a subscriber received it.
struct Received {
    /// By this the inbox knows it.
    id: Uuid,
    key: String,
    number: i32,
}

impl Received {
    fn by_grpc(delivery: &EventDelivery) -> Self {
        let event = delivery.event.clone().unwrap();
        Self {
            key: event.partition_key.clone(),
            number: event.id.parse().unwrap(),
            id: egov_events::CloudEvent::try_from(event).unwrap().dedupe(),
        }
    }

    /// Whoever receives a webhook knows it again by its id, whatever stands in it.
    fn by_webhook(secret: &str, headers: &HeaderMap, body: &str) -> Self {
        verify(secret, headers, body);
        let id = headers["webhook-id"].to_str().unwrap().strip_prefix("evt_").unwrap();
        let event: serde_json::Value = serde_json::from_str(body).unwrap();
        Self {
            id: Uuid::try_parse(id).unwrap(),
            key: event["partitionkey"].as_str().unwrap().to_owned(),
            number: event["id"].as_str().unwrap().parse().unwrap(),
        }
    }
}

fn received(deliveries: &[EventDelivery]) -> Vec<Received> {
    deliveries.iter().map(Received::by_grpc).collect()
}

fn tokens_of(deliveries: Vec<EventDelivery>) -> Vec<String> {
    deliveries.into_iter().map(|one| one.token).collect()
}

/// Who receives, and where it may be stopped with what it has applied and not acknowledged.
struct Subscriber {
    name: &'static str,
    /// How many deliveries were of events that it had applied before.
    again: AtomicUsize,
    trap: AtomicBool,
    caught: Notify,
    free: Notify,
}

impl Subscriber {
    fn named(name: &'static str) -> Self {
        Self {
            name,
            again: AtomicUsize::new(0),
            trap: AtomicBool::new(false),
            caught: Notify::new(),
            free: Notify::new(),
        }
    }

    /// Stops here if the trap was set, until it is let go.
    async fn pass(&self) {
        if self.trap.swap(false, Ordering::SeqCst) {
            self.caught.notify_one();
            self.free.notified().await;
        }
    }

    fn set_trap(&self) {
        self.trap.store(true, Ordering::SeqCst);
    }

    async fn is_caught(&self) {
        let caught = tokio::time::timeout(PATIENCE, self.caught.notified()).await;
        caught.expect("something is delivered");
    }

    fn let_go(&self) {
        self.free.notify_one();
    }
}

/// What the test and its subscribers share.
struct Trial {
    tokens: Tokens,
    /// Where the effects are, in a database that the service does not know.
    effects: Database,
    running: watch::Sender<Option<Running>>,
    stream: Subscriber,
    fetching: Subscriber,
    webhook: Subscriber,
}

impl Trial {
    /// The process that serves, and none of those up to this number, which were killed.
    async fn running(&self, killed: usize) -> Running {
        let mut running = self.running.subscribe();
        let later = running.wait_for(|now| now.as_ref().is_some_and(|one| one.number > killed));
        let now = later.await.unwrap().clone();
        now.unwrap()
    }

    fn system<T>(&self, system: Uuid, message: T) -> Request<T> {
        bearer(&self.tokens.system(system, &[]), message)
    }

    async fn topic(&self) -> String {
        let token = self
            .tokens
            .staff(Uuid::from_u128(1), &[("integration_event_admin", HERE)]);
        let mut events = self.running(0).await.events;
        let made = events.create_topic(bearer(&token, topic_of("test.cases"))).await;
        made.unwrap().into_inner().topic.unwrap().topic_id
    }

    /// Subscribes; its id, and the secret of a webhook.
    async fn subscribe(&self, wanted: CreateSubscriptionRequest) -> (String, String) {
        let wanted = CreateSubscriptionRequest {
            // Each kill is one more attempt, and nothing here is to be given up.
            max_attempts: 100,
            ..wanted
        };
        let mut events = self.running(0).await.events;
        let made = events.create_subscription(self.system(SUBSCRIBER, wanted)).await;
        let CreateSubscriptionResponse {
            subscription,
            webhook_secret,
        } = made.unwrap().into_inner();
        (subscription.unwrap().subscription_id, webhook_secret)
    }

    async fn publish(&self, topic: &str, numbers: Range<i32>) -> Result<Vec<PublishedEvent>, Status> {
        let events = numbers.map(|number| event(&number.to_string(), &format!("k{}", number % KEYS)));
        let message = PublishRequest {
            topic_id: topic.to_owned(),
            events: events.collect(),
        };
        let mut client = self.running(0).await.events;
        let published = client.publish(self.system(PUBLISHER, message)).await?;
        Ok(published.into_inner().published)
    }

    /// How many events of a subscription are not acknowledged, and how many were given up.
    async fn left(&self, subscription: &str) -> (i64, i64) {
        let message = GetSubscriptionStatusRequest {
            subscription_id: subscription.to_owned(),
        };
        let mut events = self.running(0).await.events;
        let status = events
            .get_subscription_status(self.system(SUBSCRIBER, message))
            .await
            .unwrap()
            .into_inner();
        (status.lag, status.dead_letters)
    }

    /// Applies what is new to a subscriber: the effect and that it was applied are both there or neither.
    async fn apply(&self, subscriber: &Subscriber, received: &[Received]) {
        let ids: Vec<Uuid> = received.iter().map(|one| one.id).collect();
        let name = subscriber.name;
        let applied = self
            .effects
            .write_unkeyed(&RowScope::everything(), async |unit| {
                let fresh = unit.first_times(name, &ids).await?;
                let (keys, numbers) = effects_of(received, &fresh);
                sqlx::query(
                    "INSERT INTO effects (subscriber, key, number)
                     SELECT $1, e.key, e.number
                     FROM unnest($2::text[], $3::integer[]) WITH ORDINALITY AS e (key, number, place) ORDER BY e.place",
                )
                .bind(name)
                .bind(&keys)
                .bind(&numbers)
                .execute(unit.conn())
                .await
                .map_err(sql_fault)?;
                Ok::<_, Fault>(fresh.len())
            })
            .await
            .unwrap();
        subscriber.again.fetch_add(ids.len() - applied, Ordering::SeqCst);
    }
}

/// Keys and numbers of these events, in their order.
fn effects_of(received: &[Received], fresh: &[Uuid]) -> (Vec<String>, Vec<i32>) {
    let event = |id: &Uuid| received.iter().find(|one| one.id == *id).unwrap();
    fresh.iter().map(event).map(|one| (one.key.clone(), one.number)).unzip()
}

/// The folder of its keys, which lets nobody else in.
const KEY_FOLDER: &str = "keys";

/// The service that is killed and started again, with what lasts: its database and its keys.
struct Restarted {
    database: TestDatabase,
    effects: TestDatabase,
    keys: TempDir,
    clock: ManualClock,
    /// Where webhooks may go.
    host: String,
    trial: Arc<Trial>,
    process: Option<Process>,
    started: usize,
}

impl Restarted {
    async fn with_webhooks_to(host: &str) -> Self {
        let database = egov_testkit::database(SERVICE, &MIGRATOR).await;
        let effects = egov_testkit::database(SERVICE, &MIGRATOR).await;
        // Nothing here forbids a second effect of the same event: that is what is tested.
        sqlx::raw_sql(
            "CREATE TABLE effects (place bigint GENERATED ALWAYS AS IDENTITY, subscriber text, key text, number integer)",
        )
        .execute(&mut effects.connect_as_owner().await.unwrap())
        .await
        .unwrap();
        let clock = egov_testkit::clock();
        let keys = tempfile::tempdir().unwrap();
        Keyring::create_missing(&keys.path().join(KEY_FOLDER), &clock).unwrap();
        let config = DatabaseConfig::new(effects.app_url.clone())
            .test_profile()
            .max_connections(4);
        let keyring = Arc::new(Keyring::ephemeral());
        let trial = Trial {
            tokens: Tokens::by(clock.shared()),
            effects: Database::connect(&config, keyring, clock.shared(), SystemIds::shared())
                .await
                .unwrap(),
            running: watch::Sender::new(None),
            stream: Subscriber::named("stream"),
            fetching: Subscriber::named("fetching"),
            webhook: Subscriber::named("webhook"),
        };
        Self {
            database,
            effects,
            keys,
            clock,
            host: host.to_owned(),
            trial: Arc::new(trial),
            process: None,
            started: 0,
        }
    }

    async fn start(&mut self) {
        // Later than anything that was under way may take, and than the process before it had come: all of that is due again.
        self.clock.advance(SignedDuration::from_mins(2));
        // What the process before it held runs out in a quarter of a minute by the database's clock: here at once.
        sqlx::query("UPDATE egov.leases SET expire_time = clock_timestamp()")
            .execute(&mut self.database.connect_as_superuser().await.unwrap())
            .await
            .unwrap();
        let issuer = self.trial.tokens.issuer();
        let now = self.clock.now().as_second();
        let keys = self.keys.path().join(KEY_FOLDER);
        let told = (&self.database.app_url, keys, issuer, &self.host, now);
        let process = Process::start(&serde_json::to_string(&told).unwrap());
        self.started += 1;
        let channel = Endpoint::from_shared(format!("http://{}", process.address))
            .unwrap()
            .connect_lazy();
        self.process = Some(process);
        self.trial.running.send_replace(Some(Running {
            number: self.started,
            events: EventServiceClient::new(channel),
        }));
    }

    fn kill(&mut self) {
        // Before, so that nobody begins anything with it any more.
        self.trial.running.send_replace(None);
        self.process = None;
    }
}

/// A transaction that keeps a step of the service from going on, until it is ended.
struct Held {
    connection: PgConnection,
    eye: PgConnection,
    backend: i32,
}

impl Held {
    async fn begin(database: &TestDatabase) -> Self {
        let mut connection = database.connect_as_superuser().await.unwrap();
        sqlx::raw_sql("BEGIN").execute(&mut connection).await.unwrap();
        let backend = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        Self {
            connection,
            eye: database.connect_as_superuser().await.unwrap(),
            backend,
        }
    }

    /// Waits until the service waits for this transaction in a statement.
    async fn meets(&mut self, statement: &str) {
        for _ in 0..1_000 {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND position($2 IN query) > 0 AND $1 = ANY (pg_blocking_pids(pid))",
            )
            .bind(self.backend)
            .bind(statement)
            .fetch_one(&mut self.eye)
            .await
            .unwrap();
            if waiting > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the service does not come to {statement}");
    }

    async fn end(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await.unwrap();
    }
}

/// An answer that did not come because the process was killed. The service's own refusals have a reason.
fn killed(status: &Status) {
    assert_eq!(egov_fault::reason_of(status), None, "{status:?}");
}

/// Takes what comes by stream, from each process in its turn.
async fn receive_by_stream(trial: Arc<Trial>, subscription: String) {
    let mut killed_before = 0;
    loop {
        let mut running = trial.running(killed_before).await;
        killed_before = running.number;
        let (say, said) = mpsc::channel(16);
        let first = SubscribeRequest {
            subscription_id: subscription.clone(),
            ..SubscribeRequest::default()
        };
        say.send(first).await.unwrap();
        let request = trial.system(SUBSCRIBER, ReceiverStream::new(said));
        let mut hear = match running.events.subscribe(request).await {
            Ok(opened) => opened.into_inner(),
            Err(status) => {
                killed(&status);
                continue;
            }
        };
        loop {
            let deliveries = match hear.message().await {
                Ok(Some(message)) => message.deliveries,
                Ok(None) => break,
                Err(status) => {
                    killed(&status);
                    break;
                }
            };
            trial.apply(&trial.stream, &received(&deliveries)).await;
            trial.stream.pass().await;
            let message = SubscribeRequest {
                acknowledged: tokens_of(deliveries),
                ..SubscribeRequest::default()
            };
            if say.send(message).await.is_err() {
                break;
            }
        }
    }
}

/// Fetches, from each process in its turn.
async fn receive_by_fetching(trial: Arc<Trial>, subscription: String) {
    let mut killed_before = 0;
    loop {
        let running = trial.running(killed_before).await;
        killed_before = running.number;
        if let Err(status) = fetch_from(&trial, running.events, &subscription).await {
            killed(&status);
        }
    }
}

async fn fetch_from(trial: &Trial, mut events: EventServiceClient<Channel>, subscription: &str) -> Result<(), Status> {
    loop {
        let message = PullRequest {
            subscription_id: subscription.to_owned(),
            max_events: BATCH,
            wait: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            max_bytes: 0,
        };
        let pulled = events.pull(trial.system(SUBSCRIBER, message)).await?;
        let deliveries = pulled.into_inner().deliveries;
        if deliveries.is_empty() {
            continue;
        }
        trial.apply(&trial.fetching, &received(&deliveries)).await;
        trial.fetching.pass().await;
        let message = AcknowledgeRequest {
            subscription_id: subscription.to_owned(),
            acknowledged: tokens_of(deliveries),
            rejected: Vec::new(),
        };
        events.acknowledge(trial.system(SUBSCRIBER, message)).await?;
    }
}

/// A webhook that was posted; it is answered when its effect has been committed.
struct Posted {
    headers: HeaderMap,
    body: String,
    taken: oneshot::Sender<()>,
}

/// A receiver of webhooks: its host, and what is posted to it.
async fn receiver() -> (String, mpsc::UnboundedReceiver<Posted>) {
    let (tell, posts) = mpsc::unbounded_channel();
    let handler = move |headers: HeaderMap, body: String| {
        let tell = tell.clone();
        async move {
            let (taken, answered) = oneshot::channel();
            let _ = tell.send(Posted { headers, body, taken });
            match answered.await {
                Ok(()) => StatusCode::NO_CONTENT,
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let app = axum::Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (host, posts)
}

/// Applies what is posted; what comes at the same time in one transaction.
async fn receive_by_webhook(trial: Arc<Trial>, secret: String, mut posts: mpsc::UnboundedReceiver<Posted>) {
    let mut group = Vec::new();
    while posts.recv_many(&mut group, 64).await > 0 {
        let received: Vec<Received> = group
            .iter()
            .map(|one: &Posted| Received::by_webhook(&secret, &one.headers, &one.body))
            .collect();
        trial.apply(&trial.webhook, &received).await;
        trial.webhook.pass().await;
        for one in group.drain(..) {
            // Who was killed does not hear it.
            let _ = one.taken.send(());
        }
    }
}

/// How many events of the topic are stored.
async fn stored(eye: &mut PgConnection, topic: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM event_records WHERE topic_id = $1::uuid")
        .bind(topic)
        .fetch_one(eye)
        .await
        .unwrap()
}

/// Publishes a batch to a process that answers: all of it is new, or was all stored by one that was killed.
async fn published(trial: &Trial, topic: &str, numbers: Range<i32>, stored_before: bool) {
    let answer = trial.publish(topic, numbers.clone()).await.unwrap();
    let told: Vec<(i64, bool)> = answer.iter().map(|one| (one.offset, one.duplicate)).collect();
    let expected: Vec<(i64, bool)> = numbers.map(|number| (i64::from(number), stored_before)).collect();
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_five_kills_of_the_service_each_of_three_subscribers_has_every_effect_once_and_in_order() {
    let (host, posts) = receiver().await;
    let mut service = Restarted::with_webhooks_to(&host).await;
    service.start().await;
    let trial = Arc::clone(&service.trial);
    let topic = trial.topic().await;
    let by_fetching = |name: &str| CreateSubscriptionRequest {
        max_in_flight: BATCH,
        ..pulling(&topic, name)
    };
    let (stream, _) = trial.subscribe(by_fetching("stream")).await;
    let (fetching, _) = trial.subscribe(by_fetching("fetching")).await;
    let (webhook, secret) = trial.subscribe(hook(&topic, &format!("http://{host}/hook"))).await;
    let mut subscribers = JoinSet::new();
    subscribers.spawn(receive_by_stream(Arc::clone(&trial), stream.clone()));
    subscribers.spawn(receive_by_fetching(Arc::clone(&trial), fetching.clone()));
    subscribers.spawn(receive_by_webhook(Arc::clone(&trial), secret, posts));

    let mut eye = service.database.connect_as_superuser().await.unwrap();
    for batch in 0..EVENTS / BATCH {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let publishing = || {
            let (trial, topic, numbers) = (Arc::clone(&trial), topic.clone(), numbers.clone());
            tokio::spawn(async move { trial.publish(&topic, numbers).await })
        };
        let mut was_stored = false;
        match batch {
            BEFORE_THE_COMMIT => {
                let mut held = Held::begin(&service.database).await;
                sqlx::raw_sql("LOCK TABLE event_records IN SHARE MODE")
                    .execute(&mut held.connection)
                    .await
                    .unwrap();
                let unanswered = publishing();
                held.meets("publish_events").await;
                service.kill();
                killed(&unanswered.await.unwrap().unwrap_err());
                held.end().await;
                service.start().await;
            }
            AFTER_THE_COMMIT => {
                let unheard = publishing();
                let mut looks = 0;
                while stored(&mut eye, &topic).await < i64::from(numbers.end) {
                    looks += 1;
                    assert!(looks < 10_000, "it is not stored");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                service.kill();
                // Whatever it said: the publisher did not hear it.
                let _ = unheard.await.unwrap();
                service.start().await;
                was_stored = true;
            }
            _ => {}
        }
        let stopped = match batch {
            STREAMED => Some(&trial.stream),
            POSTED => Some(&trial.webhook),
            ACKNOWLEDGING => Some(&trial.fetching),
            _ => None,
        };
        if let Some(subscriber) = stopped {
            subscriber.set_trap();
        }
        published(&trial, &topic, numbers, was_stored).await;
        let Some(subscriber) = stopped else { continue };
        // It has applied what it got and said nothing of it.
        subscriber.is_caught().await;
        if batch == ACKNOWLEDGING {
            let mut held = Held::begin(&service.database).await;
            sqlx::query("SELECT 1 FROM event_deliveries WHERE subscription_id = $1::uuid FOR UPDATE")
                .bind(&fetching)
                .execute(&mut held.connection)
                .await
                .unwrap();
            subscriber.let_go();
            held.meets("settle_events").await;
            service.kill();
            held.end().await;
        } else {
            service.kill();
            subscriber.let_go();
        }
        service.start().await;
    }
    assert_eq!(service.started, 6, "it was killed five times");

    // Until everybody has acknowledged everything.
    let mut left = Vec::new();
    for _ in 0..600 {
        left.clear();
        for subscription in [&stream, &fetching, &webhook] {
            left.push(trial.left(subscription).await);
        }
        if left.iter().all(|(lag, _)| *lag == 0) {
            break;
        }
        if let Some(ended) = subscribers.try_join_next() {
            panic!("a subscriber ended: {ended:?}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(left, [(0, 0); 3], "everything is acknowledged and nothing given up");
    assert_eq!(
        stored(&mut eye, &topic).await,
        i64::from(EVENTS),
        "each event is stored once"
    );
    for subscriber in [&trial.stream, &trial.fetching, &trial.webhook] {
        let again = subscriber.again.load(Ordering::SeqCst);
        assert!(again > 0, "{} was killed with nothing under way", subscriber.name);
    }
    let mut owner = service.effects.connect_as_owner().await.unwrap();
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT subscriber, count(*), count(DISTINCT number) FROM effects GROUP BY subscriber ORDER BY subscriber",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    let all = i64::from(EVENTS);
    let expected = ["fetching", "stream", "webhook"].map(|subscriber| (subscriber.to_owned(), all, all));
    assert_eq!(rows, expected, "each effect is there and there once");
    let disorder: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT number < lag(number) OVER (PARTITION BY subscriber, key ORDER BY place) AS back
                               FROM effects) AS order_of WHERE back",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert_eq!(disorder, 0, "the effects of a key happen in the order of its events");
}
