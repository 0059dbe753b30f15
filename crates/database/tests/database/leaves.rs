//! Commitments, and their erasure.

use egov_database::leaf_commitment;
use egov_fault::Fault;
use sqlx::Row as _;
use uuid::Uuid;

use crate::stage::{CLERK, Stage, all, count, note, write_note};

#[tokio::test]
async fn a_leaf_commits_to_what_was_written_and_can_be_checked_with_its_salt() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    write_note(&database, CLERK, stage.id(), &note(1, "giấy khai sinh"))
        .await
        .unwrap();
    write_note(&database, CLERK, stage.id(), &note(1, "giấy khai sinh"))
        .await
        .unwrap();
    let mut app = stage.as_app().await;
    let rows = sqlx::query(
        "SELECT l.commitment, l.kind, l.version, l.epoch, s.salt
         FROM egov.leaves l JOIN egov.leaf_salts s USING (leaf_id)",
    )
    .fetch_all(&mut app)
    .await
    .unwrap();
    let commitments: Vec<Vec<u8>> = rows.iter().map(|row| row.get("commitment")).collect();
    assert_ne!(commitments[0], commitments[1], "equal contents do not look equal");
    for row in &rows {
        let salt: Vec<u8> = row.get("salt");
        let expected = leaf_commitment(&salt, "giấy khai sinh".as_bytes());
        assert_eq!(row.get::<Vec<u8>, _>("commitment"), expected);
        assert_ne!(row.get::<Vec<u8>, _>("commitment"), leaf_commitment(&salt, b"other"));
        assert_eq!(row.get::<String, _>("kind"), "note");
        assert_eq!((row.get::<i64, _>("version"), row.get::<i32, _>("epoch")), (1, 1));
    }
}

#[tokio::test]
async fn erasing_deletes_the_salts_keeps_the_leaves_and_is_recorded() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    let erased = write_note(&database, CLERK, stage.id(), &note(1, "to be erased"))
        .await
        .unwrap();
    write_note(&database, CLERK, stage.id(), &note(1, "to stay"))
        .await
        .unwrap();
    let resource: Uuid = erased.answer.note_id.parse().unwrap();
    let salts = database
        .write_unkeyed(&all(), async |unit| {
            Ok::<_, Fault>((
                unit.erase_leaves("note", resource).await?,
                unit.erase_leaves("note", resource).await?,
            ))
        })
        .await
        .unwrap();
    assert_eq!(salts, (1, 0));
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.leaves").await, 2);
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.leaf_salts").await, 1);
    assert_eq!(
        count(&stage, "SELECT sum(salts)::bigint FROM egov.leaf_erasures").await,
        1
    );
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.leaf_erasures").await, 2);
}

#[tokio::test]
async fn every_leaf_waits_for_its_place_however_it_was_inserted_and_only_if_it_was_committed() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    write_note(&database, CLERK, stage.id(), &note(1, "kept"))
        .await
        .unwrap();
    write_note(&database, CLERK, stage.id(), &note(1, "refuse"))
        .await
        .unwrap_err();
    let mut app = stage.as_app().await;
    sqlx::query(
        "INSERT INTO egov.leaves (leaf_id, kind, resource_id, version, commitment, create_time)
         SELECT gen_random_uuid(), 'by_hand', gen_random_uuid(), 1, decode(repeat('00', 32), 'hex'), now()
         FROM generate_series(1, 3)",
    )
    .execute(&mut app)
    .await
    .unwrap();
    let waiting = "SELECT count(*) FROM egov.unsequenced_leaves JOIN egov.leaves USING (leaf_id)";
    assert_eq!(count(&stage, waiting).await, 4);
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.unsequenced_leaves").await, 4);
}
