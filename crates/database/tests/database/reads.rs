//! The record of who read whose data.

use egov_auth::{CallerKind, ReadRecord, ReadSink as _};
use egov_clock::Clock as _;
use egov_database::{READ_KIND, ReadFacts, ReadRecordSink, leaf_commitment};
use sqlx::Row as _;
use uuid::Uuid;

use crate::stage::{Stage, count};

fn record(stage: &Stage, subjects: Vec<Uuid>, resources: &[&str]) -> ReadRecord {
    ReadRecord {
        reader: "staff:clerk".to_owned(),
        kind: CallerKind::Staff,
        purpose: Some("giải quyết hồ sơ".to_owned()),
        method: "/test.v1.Notes/GetNote".to_owned(),
        subjects,
        resources: resources.iter().map(|name| (*name).to_owned()).collect(),
        at: stage.clock.now(),
    }
}

#[tokio::test]
async fn a_batch_is_written_whole_and_the_person_finds_who_read_their_data() {
    let stage = Stage::new().await;
    let sink = ReadRecordSink::new(stage.connect(1).await);
    let (person, other) = (stage.id(), stage.id());
    sink.write(&[
        record(&stage, vec![person], &["notes/1"]),
        record(&stage, vec![other, person], &["notes/1", "notes/2"]),
        record(&stage, vec![other], &["notes/3"]),
        record(&stage, vec![], &[]),
    ])
    .await
    .unwrap();
    sink.write(&[]).await.unwrap();
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.read_records").await, 4);
    let mut app = stage.as_app().await;
    let about = sqlx::query(
        "SELECT reader, kind, purpose, method, resources, read_time
         FROM egov.read_records WHERE subjects @> ARRAY[$1] ORDER BY record_id",
    )
    .bind(person)
    .fetch_all(&mut app)
    .await
    .unwrap();
    assert_eq!(about.len(), 2);
    assert_eq!(about[1].get::<Vec<String>, _>("resources"), ["notes/1", "notes/2"]);
    assert_eq!(about[0].get::<String, _>("purpose"), "giải quyết hồ sơ");
    let at = about[0].get::<jiff_sqlx::Timestamp, _>("read_time").to_jiff();
    assert_eq!(at, stage.clock.now());
}

#[tokio::test]
async fn a_record_that_cannot_be_written_fails_so_that_the_read_does() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    let sink = ReadRecordSink::new(database.clone());
    database.close().await;
    assert!(sink.write(&[record(&stage, vec![], &[])]).await.is_err());
}

#[tokio::test]
async fn every_record_of_a_read_has_a_leaf_that_commits_to_what_it_says() {
    let stage = Stage::new().await;
    let sink = ReadRecordSink::new(stage.connect(1).await);
    let person = stage.id();
    sink.write(&[
        record(&stage, vec![person], &["notes/1"]),
        ReadRecord {
            purpose: None,
            ..record(&stage, vec![], &[])
        },
    ])
    .await
    .unwrap();
    let rows = sqlx::query(
        "SELECT r.*, l.commitment, s.salt, l.version, l.create_time
         FROM egov.read_records r
         JOIN egov.leaves l ON l.kind = $1 AND l.resource_id = r.read_id
         JOIN egov.leaf_salts s USING (leaf_id)
         JOIN egov.unsequenced_leaves w USING (leaf_id)",
    )
    .bind(READ_KIND)
    .fetch_all(&mut stage.as_app().await)
    .await
    .unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let (subjects, resources): (Vec<Uuid>, Vec<String>) = (row.get("subjects"), row.get("resources"));
        let facts = ReadFacts {
            reader: row.get("reader"),
            kind: row.get("kind"),
            purpose: row.get("purpose"),
            method: row.get("method"),
            subjects: &subjects,
            resources: &resources,
            read_time: row.get::<jiff_sqlx::Timestamp, _>("read_time").to_jiff(),
        };
        let salt: Vec<u8> = row.get("salt");
        assert_eq!(
            row.get::<Vec<u8>, _>("commitment"),
            leaf_commitment(&salt, &facts.canonical())
        );
        let other = ReadFacts {
            purpose: Some("tò mò"),
            ..facts
        };
        assert_ne!(
            row.get::<Vec<u8>, _>("commitment"),
            leaf_commitment(&salt, &other.canonical())
        );
    }
}
