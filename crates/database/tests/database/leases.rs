//! One worker at a time, and no late writes of the one before.

use std::time::Duration;

use egov_database::{Database, Lease};
use egov_fault::{Code, Fault};

use crate::stage::{Stage, all, count, note, store_note, unit_scope};

async fn take(database: &Database, millis: u64) -> Option<Lease> {
    database
        .acquire_lease("deadlines", Duration::from_millis(millis))
        .await
        .unwrap()
}

#[tokio::test]
async fn only_one_holds_a_lease_and_the_next_holder_has_a_higher_fence() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let mut first = take(&database, 60_000).await.unwrap();
    assert!(take(&database, 60_000).await.is_none());
    first.renew().await.unwrap();
    let fence = first.fence();
    first.release().await.unwrap();
    let second = take(&database, 60_000).await.unwrap();
    assert!(second.fence() > fence);
    assert_eq!(second.name(), "deadlines");
    let other = database
        .acquire_lease("reminders", Duration::from_secs(9))
        .await
        .unwrap();
    assert!(other.is_some(), "another work is another lease");
}

#[tokio::test]
async fn a_write_with_a_stale_fence_is_refused_and_stores_nothing() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let mut stale = take(&database, 1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let current = take(&database, 60_000).await.unwrap();
    let late = database
        .work(&stale, async |unit| store_note(unit, &note(1, "late")).await)
        .await
        .unwrap_err();
    assert_eq!((late.code(), late.reason()), (Code::Aborted, "LEASE_LOST"));
    assert_eq!(stale.renew().await.unwrap_err().reason(), "LEASE_LOST");
    let under = database
        .write_unkeyed(&unit_scope(1), async |unit| {
            store_note(unit, &note(1, "late too")).await?;
            unit.under(&stale).await
        })
        .await;
    assert_eq!(under.unwrap_err().reason(), "LEASE_LOST");
    stale.release().await.unwrap();
    assert!(
        take(&database, 1000).await.is_none(),
        "giving back a stale lease takes nothing away"
    );
    database
        .work(&current, async |unit| store_note(unit, &note(1, "in time")).await)
        .await
        .unwrap();
    assert_eq!(count(&stage, "SELECT count(*) FROM notes").await, 1);
}

#[tokio::test]
async fn nobody_takes_a_lease_over_while_work_under_it_commits() {
    let stage = Stage::new().await;
    let database = stage.connect(4).await;
    let lease = take(&database, 50).await.unwrap();
    let other = database.clone();
    let taker = database
        .work(&lease, async |unit| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let taker = tokio::spawn(async move { take(&other, 1000).await });
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(!taker.is_finished(), "the lease has run out, and yet it waits");
            store_note(unit, &note(1, "committed first")).await?;
            Ok::<_, Fault>(taker)
        })
        .await
        .unwrap();
    assert!(taker.await.unwrap().unwrap().fence() > lease.fence());
    assert_eq!(count(&stage, "SELECT count(*) FROM notes").await, 1);
}

#[tokio::test]
async fn work_sees_every_row() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    for unit in [1, 2, 3] {
        database
            .write_unkeyed(&all(), async |work| store_note(work, &note(unit, "any")).await)
            .await
            .unwrap();
    }
    let lease = take(&database, 60_000).await.unwrap();
    let seen: i64 = database
        .work(&lease, async |unit| {
            sqlx::query_scalar("SELECT count(*) FROM notes")
                .fetch_one(unit.conn())
                .await
                .map_err(egov_database::sql_fault)
        })
        .await
        .unwrap();
    assert_eq!(seen, 3);
}
