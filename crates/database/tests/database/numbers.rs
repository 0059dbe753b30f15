//! Numbers without gaps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use egov_fault::Code;

use crate::stage::{CLERK, Stage, count, note, write_note};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_writers_with_refusals_and_killed_connections_leave_no_gap() {
    const WRITERS: u32 = 64;
    const EACH: u32 = 5;
    let stage = Stage::new().await;
    let database = stage.connect(16).await;
    let over = Arc::new(AtomicBool::new(false));

    // The role may end its own connections: as good as a server that loses them.
    let mut killer = stage.as_app().await;
    let killing = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let mut killed = 0_i64;
            while !over.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                killed += sqlx::query_scalar::<_, i64>(
                    "SELECT count(pg_terminate_backend(pid)) FROM (
                         SELECT pid FROM pg_stat_activity
                         WHERE datname = current_database() AND usename = current_user
                           AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
                         ORDER BY random() LIMIT 1) AS victim",
                )
                .fetch_one(&mut killer)
                .await
                .unwrap();
            }
            killed
        }
    });

    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (database, ids) = (database.clone(), Arc::clone(&stage.ids));
            tokio::spawn(async move {
                for step in 0..EACH {
                    if (writer * 7 + step) % 3 == 0 {
                        let refused = write_note(&database, CLERK, ids.uuid(), &note(1, "refuse")).await;
                        assert!(refused.is_err());
                    }
                    let (id, request) = (ids.uuid(), note(1, &format!("{writer}/{step}")));
                    // As a caller does: the same request under the same id until there is an answer.
                    while let Err(fault) = write_note(&database, CLERK, id, &request).await {
                        assert_eq!(fault.code(), Code::Unavailable, "{fault:?}");
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    assert!(killing.await.unwrap() > 0, "some connections were killed");

    let expected = i64::from(WRITERS * EACH);
    assert_eq!(
        count(&stage, "SELECT count(DISTINCT number) FROM notes").await,
        expected
    );
    assert_eq!(count(&stage, "SELECT min(number) FROM notes").await, 1);
    assert_eq!(count(&stage, "SELECT max(number) FROM notes").await, expected);
    assert_eq!(count(&stage, "SELECT count(*) FROM notes").await, expected);
    assert_eq!(count(&stage, "SELECT last_number FROM egov.counters").await, expected);
}

#[tokio::test]
async fn agencies_registers_and_periods_count_for_themselves() {
    let stage = Stage::new().await;
    let database = stage.connect(2).await;
    let numbers = database
        .write_unkeyed(&crate::stage::all(), async |unit| {
            Ok::<_, egov_fault::Fault>([
                unit.next_number("H41.1", "cases", "2026-11-23").await?,
                unit.next_number("H41.1", "cases", "2026-11-23").await?,
                unit.next_number("H41.2", "cases", "2026-11-23").await?,
                unit.next_number("H41.1", "receipts", "2026-11-23").await?,
                unit.next_number("H41.1", "cases", "2026-11-24").await?,
            ])
        })
        .await
        .unwrap();
    assert_eq!(numbers, [1, 2, 1, 1, 1]);
}

#[tokio::test]
async fn after_a_restore_used_numbers_are_burnt_and_counting_goes_on_in_a_new_epoch() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    write_note(&database, CLERK, stage.id(), &note(1, "before"))
        .await
        .unwrap();
    let mut owner = stage.as_owner().await;
    sqlx::query("SELECT egov.begin_epoch('restored'), egov.burn_numbers('H41', 'notes', '2026', 40)")
        .execute(&mut owner)
        .await
        .unwrap();
    let after = write_note(&database, CLERK, stage.id(), &note(1, "after"))
        .await
        .unwrap();
    assert_eq!(after.answer.number, 41);
    assert_eq!(count(&stage, "SELECT epoch::bigint FROM egov.counters").await, 2);
    assert_eq!(count(&stage, "SELECT max(epoch)::bigint FROM egov.leaves").await, 2);
    let lower = "SELECT egov.burn_numbers('H41', 'notes', '2026', 3)";
    assert_eq!(count(&stage, lower).await, 41, "burning never goes back");
}
