//! From the outbox to the log.

use std::time::Duration;

use egov_database::{Database, Event, Position, Relay};
use egov_fault::Fault;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::stage::{CLERK, Stage, all, count, note, write_note};

fn event(aggregate: Uuid, version: i64) -> Event {
    Event {
        aggregate_kind: "note",
        aggregate_id: aggregate,
        version,
        kind: "note_changed",
        payload: serde_json::json!({ "version": version }),
    }
}

async fn publish(database: &Database, events: Vec<Event>) {
    database
        .write_unkeyed(&all(), async |unit| {
            for event in events {
                unit.publish(event);
            }
            Ok::<_, Fault>(())
        })
        .await
        .unwrap();
}

/// (offset, version) of what stands in the log.
async fn log(database: &Database) -> Vec<(i64, Uuid, i64)> {
    database
        .events_after(Position::START, 1000)
        .await
        .unwrap()
        .into_iter()
        .map(|event| (event.position.offset, event.aggregate_id, event.version))
        .collect()
}

#[tokio::test]
async fn an_event_arrives_in_the_log_as_it_was_published() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let written = write_note(&database, CLERK, stage.id(), &note(4, "body"))
        .await
        .unwrap();
    let relay = Relay::new(database.clone());
    let lease = relay.acquire().await.unwrap().unwrap();
    assert_eq!(relay.relay(&lease).await.unwrap(), 1);
    assert_eq!(relay.relay(&lease).await.unwrap(), 0);
    let logged = database.events_after(Position::START, 10).await.unwrap();
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].aggregate_id.to_string(), written.answer.note_id);
    assert_eq!(logged[0].kind, "note_written");
    assert_eq!(logged[0].payload, serde_json::json!({ "unit": 4 }));
    assert_eq!(logged[0].position, Position { epoch: 1, offset: 0 });
    assert_eq!(logged[0].create_time, egov_clock::Clock::now(&stage.clock));
    assert!(database.events_after(logged[0].position, 10).await.unwrap().is_empty());
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.outbox").await, 0);
}

#[tokio::test]
async fn a_transaction_that_began_first_and_commits_last_is_not_lost() {
    let stage = Stage::new().await;
    let database = stage.connect(3).await;
    let relay = Relay::new(database.clone());
    let lease = relay.acquire().await.unwrap().unwrap();
    let (early, late) = (stage.id(), stage.id());
    // The early one has its place in the outbox's sequence and is not yet committed.
    let mut slow = stage.as_app().await;
    sqlx::query("BEGIN").execute(&mut slow).await.unwrap();
    sqlx::query(
        "INSERT INTO egov.outbox (event_id, aggregate_kind, aggregate_id, version, kind, payload, create_time)
         VALUES ($1, 'note', $1, 1, 'note_changed', '{}', now())",
    )
    .bind(early)
    .execute(&mut slow)
    .await
    .unwrap();
    publish(&database, vec![event(late, 1)]).await;
    assert_eq!(relay.relay(&lease).await.unwrap(), 1);
    sqlx::query("COMMIT").execute(&mut slow).await.unwrap();
    assert_eq!(relay.relay(&lease).await.unwrap(), 1);
    assert_eq!(log(&database).await, [(0, late, 1), (1, early, 1)]);
}

#[tokio::test]
async fn events_of_one_aggregate_keep_the_order_of_its_versions() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let (a, b) = (stage.id(), stage.id());
    publish(
        &database,
        vec![
            event(b, 1),
            event(a, 2),
            event(b, 2),
            event(a, 1),
            event(a, 3),
            event(b, 3),
        ],
    )
    .await;
    // Batches of two: what would come later of the same aggregate is fetched along.
    let relay = Relay::new(database.clone()).batch(2);
    let lease = relay.acquire().await.unwrap().unwrap();
    while relay.relay(&lease).await.unwrap() > 0 {}
    let logged = log(&database).await;
    let offsets: Vec<i64> = logged.iter().map(|(offset, ..)| *offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5], "without gaps");
    for aggregate in [a, b] {
        let versions: Vec<i64> = logged
            .iter()
            .filter(|(_, id, _)| *id == aggregate)
            .map(|(.., version)| *version)
            .collect();
        assert_eq!(versions, [1, 2, 3]);
    }
}

#[tokio::test]
async fn a_relay_that_lost_its_lease_assigns_no_offsets() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let relay = Relay::new(database.clone());
    let stale = database
        .acquire_lease("relay", Duration::from_millis(1))
        .await
        .unwrap()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let lease = relay.acquire().await.unwrap().unwrap();
    publish(&database, vec![event(stage.id(), 1)]).await;
    assert_eq!(relay.relay(&stale).await.unwrap_err().reason(), "LEASE_LOST");
    assert!(log(&database).await.is_empty());
    assert_eq!(relay.relay(&lease).await.unwrap(), 1);
}

#[tokio::test]
async fn after_a_restore_offsets_begin_again_in_a_new_epoch() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let relay = Relay::new(database.clone());
    let lease = relay.acquire().await.unwrap().unwrap();
    publish(&database, vec![event(stage.id(), 1), event(stage.id(), 1)]).await;
    relay.relay(&lease).await.unwrap();
    let mut owner = stage.as_owner().await;
    sqlx::query("SELECT egov.begin_epoch('restored from the backup of last night')")
        .execute(&mut owner)
        .await
        .unwrap();
    publish(&database, vec![event(stage.id(), 1)]).await;
    relay.relay(&lease).await.unwrap();
    let places: Vec<Position> = database
        .events_after(Position::START, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.position)
        .collect();
    let place = |epoch, offset| Position { epoch, offset };
    assert_eq!(places, [place(1, 0), place(1, 1), place(2, 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_running_relays_share_the_work_and_a_stopped_one_gives_its_lease_back() {
    let stage = Stage::new().await;
    let database = stage.connect(6).await;
    let shutdown = CancellationToken::new();
    let relays = [(); 2].map(|()| tokio::spawn(Relay::new(database.clone()).run(shutdown.clone())));
    for n in 0..30 {
        publish(&database, vec![event(stage.id(), n)]).await;
    }
    let mut waited = 0;
    while log(&database).await.len() < 30 {
        waited += 1;
        assert!(waited < 200, "the relay did not move the events");
        database.wait_for_events(Duration::from_millis(25)).await;
    }
    shutdown.cancel();
    for relay in relays {
        relay.await.unwrap();
    }
    let offsets: Vec<i64> = log(&database).await.into_iter().map(|(at, ..)| at).collect();
    assert_eq!(offsets, (0..30).collect::<Vec<i64>>());
    assert!(Relay::new(database.clone()).acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn a_commit_wakes_the_workers_of_its_own_process() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let waiting = tokio::spawn({
        let database = database.clone();
        async move { database.wait_for_events(Duration::from_mins(1)).await }
    });
    while !waiting.is_finished() {
        publish(&database, vec![event(stage.id(), 1)]).await;
        tokio::task::yield_now().await;
    }
    waiting.await.unwrap();
}
