//! Effects that happen once, and followers that never go back.

use std::time::Duration;

use egov_database::{Database, Position};
use egov_fault::{Code, Fault};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::stage::{Stage, all, count};

fn event(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// Applies an event: the effect is a row for each time.
async fn apply(database: &Database, consumer: &'static str, n: u128, fail: bool) -> Result<bool, Fault> {
    database
        .write_unkeyed(&all(), async |unit| {
            let fresh = unit.first_time(consumer, event(n)).await?;
            if fresh {
                unit.publish(egov_database::Event {
                    aggregate_kind: "effect",
                    aggregate_id: event(n),
                    version: 1,
                    kind: "happened",
                    payload: serde_json::json!({}),
                });
            }
            if fail {
                return Err(Fault::new(Code::Aborted, "ASKED_TO_FAIL", "", ""));
            }
            Ok(fresh)
        })
        .await
}

#[tokio::test]
async fn the_effect_of_an_event_happens_once_however_often_it_is_delivered() {
    let stage = Stage::new().await;
    let database = stage.connect(8).await;
    let applied = futures::future::join_all((0..8).map(|_| apply(&database, "cases", 1, false))).await;
    let first = applied.into_iter().filter(|one| *one.as_ref().unwrap()).count();
    assert_eq!(first, 1, "of eight deliveries at once one applies");
    assert!(!apply(&database, "cases", 1, false).await.unwrap());
    assert!(
        apply(&database, "forms", 1, false).await.unwrap(),
        "another consumer has an inbox of its own"
    );
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.outbox").await, 2);
}

#[tokio::test]
async fn an_effect_that_failed_is_not_recorded_as_applied() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    apply(&database, "cases", 1, true).await.unwrap_err();
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.inbox").await, 0);
    assert!(apply(&database, "cases", 1, false).await.unwrap());
}

#[tokio::test]
async fn of_a_batch_the_new_ones_come_back_in_order_and_once() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    apply(&database, "cases", 2, false).await.unwrap();
    let fresh = database
        .write_unkeyed(&all(), async |unit| {
            let batch = [event(9), event(2), event(5), event(9), event(1)];
            unit.first_times("cases", &batch).await
        })
        .await
        .unwrap();
    assert_eq!(fresh, [event(9), event(5), event(1)]);
}

#[tokio::test]
async fn batches_with_the_same_events_in_another_order_do_not_wait_for_each_other() {
    let stage = Stage::new().await;
    let database = stage.connect(8).await;
    let forwards: Vec<Uuid> = (0..200).map(event).collect();
    let backwards: Vec<Uuid> = forwards.iter().rev().copied().collect();
    let scope = all();
    let batches = (0..8).map(|n| {
        let batch = if n % 2 == 0 { &forwards } else { &backwards };
        database.write_unkeyed(&scope, async |unit| unit.first_times("cases", batch).await)
    });
    let outcomes: Vec<Result<Vec<Uuid>, Fault>> = futures::future::join_all(batches).await;
    let fresh: usize = outcomes.into_iter().map(|one| one.unwrap().len()).sum();
    assert_eq!(fresh, 200, "each event was new to exactly one");
}

#[tokio::test]
async fn what_was_applied_long_ago_is_forgotten() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    apply(&database, "cases", 1, false).await.unwrap();
    stage.clock.advance(SignedDuration::from_hours(48));
    apply(&database, "cases", 2, false).await.unwrap();
    assert_eq!(database.forget_applied(Duration::from_hours(24)).await.unwrap(), 1);
    assert!(!apply(&database, "cases", 2, false).await.unwrap());
}

#[tokio::test]
async fn a_follower_goes_on_from_where_it_was_and_never_back() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    assert_eq!(database.follower_position("f").await.unwrap(), Position::START);
    for (epoch, offset, expected) in [(1, 5, (1, 5)), (1, 3, (1, 5)), (2, 0, (2, 0)), (1, 9, (2, 0))] {
        database
            .write_unkeyed(&all(), async |unit| {
                unit.follow_to("f", Position { epoch, offset }).await
            })
            .await
            .unwrap();
        let place = database.follower_position("f").await.unwrap();
        assert_eq!((place.epoch, place.offset), expected);
    }
    assert_eq!(database.follower_lag("f").await.unwrap(), 0);
}
