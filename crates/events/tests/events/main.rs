//! Both stores against the one suite, and what is the PostgreSQL store's own.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests fail loudly"
)]

mod contract;
mod forwarding;
mod killed;
mod on_the_way;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use egov_clock::{Clock as _, ManualClock, SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_events::{
    CloudEvent, EVENTS_MIGRATION, EVENTS_MIGRATION_2, EventStore, JetStreamConfig, JetStreamStore, PostgresStore,
    TopicSpec,
};
use egov_keyring::Keyring;
use egov_testkit::TestDatabase;
use egov_testkit::nats::NatsServer;
use jiff::{SignedDuration, Timestamp};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use uuid::Uuid;

use crate::contract::{Rig, run};

static MIGRATOR: LazyLock<&'static Migrator> = LazyLock::new(|| {
    let step = |version, name, sql| {
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            sqlx::SqlStr::from_static(sql),
            false,
        )
    };
    let migrations = vec![
        step(1, "shared", egov_database::SHARED_MIGRATION),
        step(2, "ledger", egov_database::SHARED_MIGRATION_2),
        step(3, "inbox", egov_database::SHARED_MIGRATION_3),
        step(4, "readings", egov_database::SHARED_MIGRATION_4),
        step(5, "events", EVENTS_MIGRATION),
        step(6, "events_2", EVENTS_MIGRATION_2),
    ];
    Box::leak(Box::new(Migrator {
        migrations: Cow::Owned(migrations),
        ..Migrator::DEFAULT
    }))
});

struct Postgres {
    store: PostgresStore,
    clock: ManualClock,
    database: TestDatabase,
}

impl Postgres {
    async fn start(queue_bytes: usize) -> Self {
        let database = egov_testkit::database("eventstest", *MIGRATOR).await;
        let clock = egov_testkit::clock();
        let config = DatabaseConfig::new(database.app_url.clone()).test_profile();
        let pool = Database::connect(
            &config,
            Arc::new(Keyring::ephemeral()),
            clock.shared(),
            SystemIds::shared(),
        )
        .await
        .unwrap();
        Self {
            store: PostgresStore::new(pool, queue_bytes),
            clock,
            database,
        }
    }
}

#[async_trait]
impl Rig for Postgres {
    fn store(&self) -> &dyn EventStore {
        &self.store
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(SignedDuration::try_from(time).unwrap());
    }

    fn counts_missed(&self) -> bool {
        true
    }

    async fn leave_rubbish(&self, topic: Uuid) {
        let stored = self.store.publish(topic, vec![event(0, 1)]).await.unwrap();
        let mut superuser = self.database.connect_as_superuser().await.unwrap();
        sqlx::query("UPDATE event_records SET content = '\\x00' WHERE topic_id = $1 AND log_offset = $2")
            .bind(topic)
            .bind(stored[0].offset)
            .execute(&mut superuser)
            .await
            .unwrap();
    }
}

struct Nats {
    store: JetStreamStore,
    server: NatsServer,
}

impl Nats {
    async fn start(sync_always: bool) -> Self {
        let server = NatsServer::start().await.unwrap();
        let config = JetStreamConfig {
            address: server.address().to_owned(),
            replicas: 1,
            sync_always,
            queue_bytes: 8 << 20,
        };
        Self {
            store: JetStreamStore::connect(config, SystemIds::shared()).await.unwrap(),
            server,
        }
    }

    /// Major and minor version of the server.
    async fn version(&self) -> (u32, u32) {
        let client = async_nats::connect(self.server.address()).await.unwrap();
        let version = client.server_info().version;
        let mut parts = version.split('.').map(|part| part.parse().unwrap());
        (parts.next().unwrap(), parts.next().unwrap())
    }
}

#[async_trait]
impl Rig for Nats {
    fn store(&self) -> &dyn EventStore {
        &self.store
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    // The clock is the server's.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn counts_missed(&self) -> bool {
        false
    }

    // By somebody who knows the subject and writes past the service.
    async fn leave_rubbish(&self, topic: Uuid) {
        let context = async_nats::jetstream::new(async_nats::connect(self.server.address()).await.unwrap());
        let sent = context.publish(format!("egov.events.{}.u", topic.simple()), vec![0_u8].into());
        sent.await.unwrap().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_the_contract_of_stores() {
    run(&Postgres::start(8 << 20).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jetstream_keeps_the_contract_of_stores() {
    run(&Nats::start(false).await).await;
}

#[tokio::test]
async fn a_store_that_may_lose_what_it_acknowledged_says_so() {
    let one = Nats::start(false).await.store.durability().await.unwrap();
    assert!(!one.durable, "{}", one.words);
    assert!(one.words.contains("1 replica"), "{}", one.words);
    // What the operator says of the setting counts where the server can have it, from 2.10 on. Of an older one (Debian's) it cannot be true,
    // and changes nothing of what is told.
    let said = Nats::start(true).await;
    let knows = said.version().await >= (2, 10);
    let said = said.store.durability().await.unwrap();
    assert_eq!(said.durable, knows, "{}", said.words);
    assert_eq!(said.words == one.words, !knows, "{}", said.words);
    assert_eq!(said.words.contains("sync_interval always"), knows, "{}", said.words);
    let postgres = Postgres::start(1 << 20).await;
    let test = postgres.store.durability().await.unwrap();
    assert!(!test.durable, "the cluster of tests runs without fsync: {}", test.words);
}

fn event(n: usize, bytes: usize) -> CloudEvent {
    CloudEvent {
        id: n.to_string(),
        source: "/test".to_owned(),
        kind: "test.happened".to_owned(),
        subject: None,
        time: None,
        data_content_type: Some("application/octet-stream".to_owned()),
        data_schema: None,
        partition_key: None,
        epoch: None,
        data: vec![1; bytes].into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_faster_than_it_is_stored_is_refused_with_a_time_to_come_back() {
    let postgres = Postgres::start(256 * 1024).await;
    let topic = TopicSpec {
        id: Uuid::from_u128(1),
        max_age: Duration::from_hours(1),
        max_bytes: 1 << 30,
    };
    postgres.store.open_topic(&topic).await.unwrap();
    // Whoever holds the end of the topic holds up every publication to it.
    let mut blocker = postgres.database.connect_as_superuser().await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT * FROM event_heads FOR UPDATE")
        .execute(&mut blocker)
        .await
        .unwrap();
    let mut waiting = Box::pin(postgres.store.publish(topic.id, vec![event(0, 200 * 1024)]));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    let refused = postgres
        .store
        .publish(topic.id, vec![event(1, 100 * 1024)])
        .await
        .unwrap_err();
    assert_eq!(refused.reason(), "PUBLISH_QUEUE_FULL");
    assert!(refused.retry_delay().is_some());
    sqlx::raw_sql("COMMIT").execute(&mut blocker).await.unwrap();
    assert!(!waiting.await.unwrap()[0].duplicate, "what waited is stored");
    // Its room is free a moment after its answer; a sender comes back as it was told.
    for _ in 0..100 {
        match postgres.store.publish(topic.id, vec![event(2, 100 * 1024)]).await {
            Ok(later) => {
                assert!(!later[0].duplicate);
                return;
            }
            Err(refused) => assert_eq!(refused.reason(), "PUBLISH_QUEUE_FULL"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the room of what was stored is not given back");
}
