//! The log of a service on its way to the topics.

use std::sync::Arc;

use async_trait::async_trait;
use egov_auth::RowScope;
use egov_clock::SystemIds;
use egov_database::{Database, DatabaseConfig, Event, Relay};
use egov_events::{CloudEvent, EventStore as _, Forwarder, PostgresStore, Publisher};
use egov_fault::{Code, Fault};
use egov_keyring::Keyring;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::MIGRATOR;

/// Takes events in, or loses its answer, or is away.
#[derive(Clone, Debug, Default)]
struct Other {
    taken: Arc<Mutex<Vec<CloudEvent>>>,
    failure: Arc<Mutex<Option<bool>>>,
}

#[async_trait]
impl Publisher for Other {
    async fn publish(&self, events: Vec<CloudEvent>) -> Result<(), Fault> {
        let away = Fault::new(Code::Unavailable, "AWAY", "", "");
        match self.failure.lock().await.take() {
            Some(false) => return Err(away),
            answered => {
                let mut taken = self.taken.lock().await;
                for event in events {
                    if !taken.iter().any(|known| known.dedupe() == event.dedupe()) {
                        taken.push(event);
                    }
                }
                if answered.is_some() {
                    return Err(away);
                }
            }
        }
        Ok(())
    }
}

async fn write(database: &Database, aggregate: u128, versions: std::ops::RangeInclusive<i64>) {
    database
        .write_unkeyed(&RowScope::everything(), async |unit| {
            for version in versions {
                unit.publish(Event {
                    aggregate_kind: "case",
                    aggregate_id: Uuid::from_u128(aggregate),
                    version,
                    kind: "case_changed",
                    payload: serde_json::json!({ "state": version }),
                });
            }
            Ok::<_, Fault>(())
        })
        .await
        .unwrap();
    let relay = Relay::new(database.clone());
    let lease = relay.acquire().await.unwrap().unwrap();
    while relay.relay(&lease).await.unwrap() > 0 {}
    lease.release().await.unwrap();
}

#[tokio::test]
async fn the_log_is_published_once_and_in_order_also_when_the_other_side_fails_before_or_after() {
    let test = egov_testkit::database("eventstest", *MIGRATOR).await;
    let clock = egov_testkit::clock();
    let config = DatabaseConfig::new(test.app_url.clone()).test_profile();
    let database = Database::connect(
        &config,
        Arc::new(Keyring::ephemeral()),
        clock.shared(),
        SystemIds::shared(),
    )
    .await
    .unwrap();
    let other = Other::default();
    let forwarder = Forwarder::new(database.clone(), "onestop", other.clone());
    assert_eq!(forwarder.forward().await.unwrap(), 0);
    write(&database, 1, 1..=3).await;
    // Away: the service goes on, and the events wait.
    *other.failure.lock().await = Some(false);
    forwarder.forward().await.unwrap_err();
    write(&database, 1, 4..=5).await;
    assert_eq!(database.follower_lag("forward").await.unwrap(), 5);
    // Stored, and the answer lost.
    *other.failure.lock().await = Some(true);
    forwarder.forward().await.unwrap_err();
    assert_eq!(forwarder.forward().await.unwrap(), 5);
    assert_eq!(forwarder.forward().await.unwrap(), 0);
    assert_eq!(database.follower_lag("forward").await.unwrap(), 0);
    let taken = other.taken.lock().await.clone();
    let states: Vec<i64> = taken
        .iter()
        .map(|event| {
            let data: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
            data["payload"]["state"].as_i64().unwrap()
        })
        .collect();
    assert_eq!(states, [1, 2, 3, 4, 5]);
    let first = &taken[0];
    assert_eq!(first.check(), Ok(()));
    assert_eq!(
        (first.source.as_str(), first.kind.as_str()),
        ("/egov/onestop", "vn.egov.onestop.case_changed")
    );
    assert_eq!(first.epoch, Some(1));
    assert!(taken.iter().all(|event| event.partition_key == first.partition_key));
    // What is published is what the store of events takes.
    let store = PostgresStore::new(database, 1 << 20);
    let topic = egov_events::TopicSpec {
        id: Uuid::from_u128(2),
        max_age: std::time::Duration::from_hours(1),
        max_bytes: 1 << 20,
    };
    store.open_topic(&topic).await.unwrap();
    assert_eq!(store.publish(topic.id, taken).await.unwrap().len(), 5);
}

/// Takes events in and never answers.
#[derive(Debug, Default)]
struct Silent(Arc<tokio::sync::Notify>);

#[async_trait]
impl Publisher for Silent {
    async fn publish(&self, _: Vec<CloudEvent>) -> Result<(), Fault> {
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_stop_waits_for_no_publication_that_is_not_answered_and_leaves_its_lease_to_others() {
    let test = egov_testkit::database("eventstest", *MIGRATOR).await;
    let clock = egov_testkit::clock();
    let config = DatabaseConfig::new(test.app_url.clone()).test_profile();
    let keyring = Arc::new(Keyring::ephemeral());
    let database = Database::connect(&config, keyring, clock.shared(), SystemIds::shared())
        .await
        .unwrap();
    write(&database, 1, 1..=1).await;
    let asked = Arc::new(tokio::sync::Notify::new());
    let forwarder = Forwarder::new(database.clone(), "onestop", Silent(Arc::clone(&asked)));
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { forwarder.run(stop).await }
    });
    asked.notified().await;
    stop.cancel();
    let within = std::time::Duration::from_secs(5);
    tokio::time::timeout(within, running).await.unwrap().unwrap();
    // Nothing of it is left at the database, which may be closed now; the event is published by whoever comes next.
    let next = Forwarder::new(database.clone(), "onestop", Other::default());
    let lease = database.acquire_lease("events.forward", within);
    assert!(lease.await.unwrap().is_some());
    assert_eq!(next.forward().await.unwrap(), 1);
}
