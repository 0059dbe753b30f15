//! A process of the service that is killed (SIGKILL) while running cases go over to another version.

use std::time::{Duration, Instant};

use egov_onestop::operations::import::Packs;
use egov_proto::egov::onestop::v1::{MigrationState, RecordStepRequest, StartMigrationRequest, StepMapping};
use futures::{StreamExt as _, stream};
use sqlx::PgConnection;

use crate::definitions::{BIRTH, controller};
use crate::linked::killed::{Killable, drawn, forgotten};
use crate::migrations::{migration, next_version};
use crate::support::*;
use crate::work::is_whole;

/// Processes that are killed one after the other.
const KILLS: usize = 3;
/// Running cases: the job takes fifty in a transaction, so that there are three batches.
const CASES: i64 = 130;
/// Those of them that have done a step that is called otherwise in the next version; the others were just filed.
const CHECKED: i64 = 6;
/// Cases that are made at once.
const AT_ONCE: usize = 8;

async fn running_case(stack: &Stack, checked: bool) {
    if !checked {
        submit(stack).await;
        return;
    }
    let case = processing(stack).await;
    let request = RecordStepRequest {
        request_id: request_id(),
        case_id: case.case_id,
        etag: case.etag,
        step: "tham_tra".to_owned(),
        ..Default::default()
    };
    let mut officer = stack.staff("officer", TRUONG_VINH);
    officer.cases.record_step(request).await.unwrap();
}

/// How far the migration is: cases that were looked at, whether it is finished, and whether a batch has looked at some that it has not
/// kept yet.
async fn progress(eye: &mut PgConnection) -> (i64, bool, bool) {
    // Databases of other tests that were copied from the same one have tables of the same oid.
    sqlx::query_as(
        "SELECT moved + kept, state = 'finished',
                EXISTS (SELECT 1 FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
                        WHERE d.datname = current_database() AND l.relation = 'procedure_migration_cases'::regclass
                          AND l.mode = 'RowExclusiveLock' AND l.granted)
         FROM procedure_migrations",
    )
    .fetch_one(eye)
    .await
    .unwrap()
}

/// How many cases went over, by everything that says so: the migration, what became of each, the cases, their history (entries, and
/// cases that have one), the events.
async fn told(eye: &mut PgConnection) -> [i64; 6] {
    let told: Vec<i64> = sqlx::query_scalar(
        "SELECT ARRAY[
             (SELECT moved FROM procedure_migrations),
             (SELECT count(*) FROM procedure_migration_cases WHERE moved),
             (SELECT count(*) FROM cases WHERE procedure_version = (SELECT to_version FROM procedure_migrations)),
             (SELECT count(*) FROM case_history WHERE operation = 'migrate_version'),
             (SELECT count(DISTINCT case_id) FROM case_history WHERE operation = 'migrate_version'),
             (SELECT count(*) FROM egov.outbox WHERE kind = 'case_version_migrated')
                 + (SELECT count(*) FROM egov.event_log WHERE kind = 'case_version_migrated')]",
    )
    .fetch_one(eye)
    .await
    .unwrap();
    told.try_into().unwrap()
}

#[tokio::test]
async fn a_process_killed_while_running_cases_go_over_leaves_each_of_them_moved_once() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let mut stack = Stack::on_disk(Packs::default(), &keys).await;
    stream::iter(0..CASES)
        .for_each_concurrent(AT_ONCE, |number| running_case(&stack, number < CHECKED))
        .await;
    let version = next_version(&stack, |text| {
        text.replace("code = \"tham_tra\"", "code = \"tham_dinh\"")
    })
    .await;
    // The running service would begin at once.
    let lease = loop {
        let lease = stack.pool.acquire_lease("onestop.migrations", Duration::from_mins(5));
        if let Some(lease) = lease.await.unwrap() {
            break lease;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let request = StartMigrationRequest {
        request_id: request_id(),
        procedure_code: BIRTH.to_owned(),
        from_version: 1,
        to_version: version,
        steps: vec![StepMapping {
            from: "tham_tra".to_owned(),
            to: "tham_dinh".to_owned(),
        }],
        reason: "Áp dụng quy trình mới".to_owned(),
        legal_basis: "Quyết định số 2/QĐ-UBND".to_owned(),
        ..Default::default()
    };
    let mut definitions = controller(&stack).definitions;
    let started = definitions.start_migration(request).await.unwrap().into_inner();
    let id = started.migration.unwrap().migration_id;
    stack.take_down().await;
    lease.release().await.unwrap();

    let mut eye = stack.database.connect_as_superuser().await.unwrap();
    let (mut cut, mut partway) = (0, 0);
    for round in 0..KILLS {
        let (reached, finished, _) = progress(&mut eye).await;
        if finished {
            break;
        }
        let since: String = sqlx::query_scalar("SELECT clock_timestamp()::text")
            .fetch_one(&mut eye)
            .await
            .unwrap();
        let mut process = Killable::start(&stack, &keys);
        process.go();
        // The first in the middle of its first batch, the others when they have kept one and are at the next: and a little after that.
        let began = Instant::now();
        let (seen, under_way) = loop {
            let (seen, finished, under_way) = progress(&mut eye).await;
            if finished || (under_way && (round == 0 || seen > reached)) {
                break (seen, under_way);
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "round {round}: nothing is done"
            );
            tokio::task::yield_now().await;
        };
        let after = Duration::from_micros(u64::from(drawn(10_000)));
        let met = Instant::now();
        // A timer of the runtime would go by whole milliseconds.
        while met.elapsed() < after {
            tokio::task::yield_now().await;
        }
        process.kill();
        forgotten(&mut eye, &since).await;
        let (reached, finished, _) = progress(&mut eye).await;
        cut += u32::from(under_way && reached == seen);
        partway += u32::from(reached > 0 && !finished);
        assert_eq!(
            told(&mut eye).await,
            [reached; 6],
            "round {round}: a batch whole or not at all"
        );
    }
    assert!(cut > 0, "no batch was under way when its process was killed");
    assert!(partway > 0, "none was killed between the first batch and the last");

    // A process that nobody kills goes on.
    let mut process = Killable::start(&stack, &keys);
    stack.address = process.address;
    process.go();
    let began = Instant::now();
    while !progress(&mut eye).await.1 {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not go on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let finished = migration(&controller(&stack), &id).await;
    assert_eq!(
        (finished.state(), finished.moved, finished.kept),
        (MigrationState::Finished, CASES, 0)
    );
    assert_eq!(told(&mut eye).await, [CASES; 6]);
    let by_step: Vec<(String, i64)> = sqlx::query_as("SELECT step, count(*) FROM cases GROUP BY step ORDER BY step")
        .fetch_all(&mut eye)
        .await
        .unwrap();
    let expected = [(String::new(), CASES - CHECKED), ("tham_dinh".to_owned(), CHECKED)];
    assert_eq!(by_step, expected);
    is_whole(&stack).await;
    process.kill();
}
