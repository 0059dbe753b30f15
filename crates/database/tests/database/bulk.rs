//! Loading a past by COPY: all of it or nothing, and the next write goes on from it.

use std::collections::BTreeMap;

use egov_database::{BulkLoad, CopyRows, Event, PastEvent, PastLeaves, leaf_commitment};
use jiff::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

use crate::stage::{CLERK, Stage, all, bodies, count, note, write_note};

fn past() -> Timestamp {
    "2026-11-01T01:00:00.000001Z".parse().unwrap()
}

fn event(version: i64) -> PastEvent {
    PastEvent {
        event_id: Uuid::from_u128(0xE0 + version as u128),
        time: past(),
        event: Event {
            aggregate_kind: "note",
            aggregate_id: Uuid::from_u128(1),
            version,
            kind: "note_written",
            payload: serde_json::json!({ "state": version }),
        },
    }
}

async fn begin(stage: &Stage) -> BulkLoad {
    BulkLoad::begin(&stage.test.superuser_url, stage.test.name())
        .await
        .unwrap()
}

/// Loads two notes with an event, a leaf and the counter that numbered them.
async fn load(stage: &Stage) -> BulkLoad {
    let mut load = begin(stage).await;
    let mut notes = CopyRows::default();
    for (id, body) in [(1_u128, "một"), (2, "hai")] {
        let owner: Option<Uuid> = (id == 1).then(|| Uuid::from_u128(9));
        notes.push(&[
            &Uuid::from_u128(id),
            &7_i32,
            &owner,
            &None::<Uuid>,
            &(id as i64),
            &body,
            &1_i64,
            &past(),
        ]);
    }
    load.copy(
        "notes",
        "(note_id, responsible_unit_id, owner_id, assignee_id, number, body, version, create_time)",
        &notes,
    )
    .await
    .unwrap();
    load.events(&[event(1), event(2)]).await.unwrap();
    let mut leaves = PastLeaves::default();
    leaves.push(
        load.epoch(),
        Uuid::from_u128(5),
        "note",
        Uuid::from_u128(1),
        1,
        b"canonical",
        [3; 32],
        past(),
    );
    load.leaves(&leaves).await.unwrap();
    let key = ("H41".to_owned(), "notes".to_owned(), "2026".to_owned());
    load.set_last_numbers(&BTreeMap::from([(key, 2)])).await.unwrap();
    load
}

#[tokio::test]
async fn what_is_loaded_is_read_back_as_if_it_had_been_written() {
    let stage = Stage::new().await;
    let rows = load(&stage).await.commit().await.unwrap();
    assert_eq!(rows["notes"], 2);
    assert_eq!(rows["egov.event_log"], 2);

    let database = stage.connect(2).await;
    assert_eq!(bodies(&database, &all()).await, ["hai", "một"]);
    let mut app = stage.as_app().await;
    let leaf = sqlx::query(
        "SELECT commitment, salt, create_time = '2026-11-01T01:00:00.000001Z' AS then
         FROM egov.leaves JOIN egov.leaf_salts USING (leaf_id)",
    )
    .fetch_one(&mut app)
    .await
    .unwrap();
    assert_eq!(
        leaf.get::<Vec<u8>, _>("commitment"),
        leaf_commitment(&leaf.get::<Vec<u8>, _>("salt"), b"canonical")
    );
    assert!(leaf.get::<bool, _>("then"));
    let placed: Vec<(i64, i64, serde_json::Value)> =
        sqlx::query_as("SELECT log_offset, version, payload FROM egov.event_log ORDER BY log_offset")
            .fetch_all(&mut app)
            .await
            .unwrap();
    assert_eq!(
        placed,
        [
            (0, 1, serde_json::json!({ "state": 1 })),
            (1, 2, serde_json::json!({ "state": 2 }))
        ]
    );
}

#[tokio::test]
async fn the_next_write_takes_the_next_number_after_a_load() {
    let stage = Stage::new().await;
    load(&stage).await.commit().await.unwrap();
    let database = stage.connect(2).await;
    let written = write_note(&database, CLERK, stage.id(), &note(7, "ba")).await.unwrap();
    assert_eq!(written.answer.number, 3);
}

#[tokio::test]
async fn a_load_that_is_given_up_leaves_nothing() {
    let stage = Stage::new().await;
    load(&stage).await.roll_back().await.unwrap();
    for table in [
        "notes",
        "egov.event_log",
        "egov.leaves",
        "egov.leaf_salts",
        "egov.counters",
    ] {
        let mut app = stage.as_owner().await;
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT set_config('egov.scope_all', 'on', false), count(*) FROM {table}"
        ));
        let left: i64 = sqlx::query(sql).fetch_one(&mut app).await.unwrap().get(1);
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn a_row_that_breaks_a_rule_of_the_schema_is_refused() {
    let stage = Stage::new().await;
    let mut load = begin(&stage).await;
    let mut history = CopyRows::default();
    history.push(&[&Uuid::from_u128(404), &1_i64, &7_i32, &"nobody's"]);
    let refused = load
        .copy(
            "note_history",
            "(note_id, version, responsible_unit_id, body)",
            &history,
        )
        .await
        .unwrap_err();
    assert_ne!(refused.reason(), "", "{refused:?}");
    assert_eq!(count(&stage, "SELECT count(*) FROM note_history").await, 0);
}
