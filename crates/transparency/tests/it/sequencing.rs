//! Leaves get their places, whatever happens on the way.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_database::Leaf;
use egov_fault::Fault;
use egov_ledger::{Hash, Receipt, verify_consistency};
use egov_transparency::{Error, Sequencer, Stopped};
use sqlx::Connection as _;
use tokio_util::sync::CancellationToken;

use crate::stage::{Stage, id, sequence};

#[tokio::test]
async fn leaves_get_their_places_in_batches_and_a_receipt_proves_each() {
    let stage = Stage::new().await;
    stage.write(5).await;
    sqlx::query(
        "INSERT INTO egov.leaves (leaf_id, kind, resource_id, version, commitment, create_time)
         SELECT gen_random_uuid(), 'case', gen_random_uuid(), 1, sha256(n::text::bytea), now() FROM generate_series(1, 1000) AS n",
    )
    .execute(&mut sqlx::PgConnection::connect(&stage.test.app_url).await.unwrap())
    .await
    .unwrap();
    let head = stage.sequence().await;
    assert_eq!((head.size(), head.epoch()), (1005, 1));
    for index in [0, 4, 299, 300, 1004] {
        let leaf = stage.leaf(index).await;
        let receipt = stage.log.receipt(&leaf, Duration::ZERO).await.unwrap();
        receipt.verify([&stage.key()]).unwrap();
        assert_eq!((receipt.index, receipt.checkpoint.checkpoint().size), (index, 1005));
        let taken_home = Receipt::read(receipt.to_text().unwrap().as_bytes()).unwrap();
        taken_home.verify([&stage.key()]).unwrap();
    }
    let report = stage.verify().await;
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.entries, report.checkpoints), (1005, 4));
    // Every checkpoint is a beginning of every later one.
    let (old, _) = stage.log.checkpoint(1, 300).await.unwrap();
    let (new, _) = stage.log.checkpoint(0, 0).await.unwrap();
    let (size, path) = stage.log.consistency(0, 300, 0).await.unwrap();
    verify_consistency(300, &old.checkpoint().root, size, &new.checkpoint().root, &path).unwrap();
}

#[tokio::test]
async fn a_write_that_began_early_and_commits_late_is_not_lost() {
    let stage = Stage::new().await;
    let (started, wait) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let late = async {
        stage
            .database
            .write_unkeyed(&RowScope::none(), async |unit| {
                sqlx::query(
                    "INSERT INTO egov.leaves (leaf_id, kind, resource_id, version, commitment, create_time)
                     VALUES ($1, 'late', $1, 1, sha256('late'), now())",
                )
                .bind(id())
                .execute(unit.conn())
                .await
                .map_err(egov_database::sql_fault)?;
                started.notify_one();
                wait.notified().await;
                Ok::<_, Fault>(())
            })
            .await
            .unwrap();
    };
    let meanwhile = async {
        started.notified().await;
        assert_eq!(stage.grow(3).await.size(), 3);
        wait.notify_one();
    };
    tokio::join!(late, meanwhile);
    assert_eq!(stage.sequence().await.size(), 4);
    assert_eq!(stage.log.entries(0, 3, None, 1).await.unwrap()[0].entry.kind, "late");
}

#[tokio::test]
async fn one_sequencer_works_at_a_time_and_one_that_lost_its_lease_signs_nothing() {
    let stage = Stage::new().await;
    let sequencer = Sequencer::new(Arc::clone(&stage.log));
    let lease = sequencer.acquire().await.unwrap().unwrap();
    let mut head = sequencer.head(&lease).await.unwrap();
    assert!(sequencer.acquire().await.unwrap().is_none());
    stage.tamper("UPDATE egov.leases SET expire_time = '-infinity'").await;
    stage.write(2).await;
    let next = sequencer.acquire().await.unwrap().unwrap();
    let mut next_head = sequencer.head(&next).await.unwrap();
    let refused = sequencer.round(&lease, &mut head).await.unwrap_err();
    assert_eq!(Fault::from(refused).reason(), "LEASE_LOST");
    assert_eq!(sequencer.round(&next, &mut next_head).await.unwrap(), 2);
    assert!(stage.verify().await.is_whole());
}

#[tokio::test]
async fn a_sequencer_that_is_killed_anywhere_leaves_a_log_that_goes_on() {
    let stage = Stage::new().await;
    stage.write(40).await;
    // Dropped after so many polls: before, in and after the transaction.
    for polls in 1..40 {
        let sequencer = Sequencer::new(Arc::clone(&stage.log)).batch(3);
        let Some(lease) = sequencer.acquire().await.unwrap() else {
            panic!("the lease is free");
        };
        let mut left = polls;
        let mut work = Box::pin(async {
            let mut head = sequencer.head(&lease).await?;
            sequencer.round(&lease, &mut head).await?;
            sequencer.remember(&mut head).await
        });
        std::future::poll_fn(|context| {
            left -= 1;
            match work.as_mut().poll(context) {
                std::task::Poll::Pending if left > 0 => std::task::Poll::Pending,
                _ => std::task::Poll::Ready(()),
            }
        })
        .await;
        drop(work);
        lease.release().await.unwrap();
        stage.write(1).await;
    }
    assert_eq!(stage.sequence().await.size(), 79);
    let report = stage.verify().await;
    assert!(report.is_whole(), "{report:?}");
}

#[tokio::test]
async fn a_receipt_that_is_asked_for_early_is_waited_for_and_one_of_nothing_is_not_given() {
    let stage = Stage::new().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(Sequencer::new(Arc::clone(&stage.log)).run(stop.clone()));
    let resource = stage.write(1).await;
    let leaf = loop {
        // The hash as mediation knows it: from the row that it wrote.
        let found = stage.log.entries(0, 0, Some(("case", resource)), 1).await.unwrap();
        if let Some(found) = found.first() {
            break found.hash;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let promise = stage
        .log
        .promise(1, leaf, "2026-11-23T01:00:00Z".parse().unwrap())
        .unwrap();
    promise.verify(&stage.key()).unwrap();
    let receipt = stage
        .log
        .receipt(&promise.leaf(), Duration::from_secs(2))
        .await
        .unwrap();
    receipt.verify([&stage.key()]).unwrap();
    let nothing = stage
        .log
        .receipt(&Hash::leaf(b"never"), Duration::from_millis(60))
        .await;
    assert!(matches!(nothing, Err(Error::LeafNotFound)));
    stop.cancel();
    running.await.unwrap();
    assert!(stage.memory().is_file(), "what was signed is remembered when it stops");
}

#[tokio::test]
async fn a_leaf_that_cannot_be_an_entry_or_is_gone_stops_the_log_instead_of_being_skipped() {
    let stage = Stage::new().await;
    stage.write(1).await;
    stage
        .tamper("DELETE FROM egov.leaf_salts; DELETE FROM egov.leaves")
        .await;
    assert!(matches!(
        sequence(&stage.log).await,
        Err(Error::Stopped(Stopped::LeafGone { .. }))
    ));
    let stage = Stage::new().await;
    stage
        .database
        .write_unkeyed(&RowScope::none(), async |unit| {
            unit.leaf(Leaf {
                kind: "Hồ sơ",
                resource: unit.new_id(),
                version: 1,
                canonical: b"",
            });
            Ok::<_, Fault>(())
        })
        .await
        .unwrap();
    assert!(matches!(
        sequence(&stage.log).await,
        Err(Error::Stopped(Stopped::Unfit { .. }))
    ));
}

#[tokio::test]
async fn the_log_of_a_new_epoch_begins_with_the_last_checkpoint_of_the_one_before() {
    let stage = Stage::new().await;
    stage.grow(4).await;
    let (before, _) = stage.log.checkpoint(1, 0).await.unwrap();
    stage.write(2).await;
    stage.tamper("SELECT egov.begin_epoch('restored')").await;
    let head = stage.sequence().await;
    // The anchor, and the two leaves that waited.
    assert_eq!((head.epoch(), head.size()), (2, 3));
    let first = &stage.log.entries(2, 0, None, 1).await.unwrap()[0];
    assert_eq!((first.entry.kind.as_str(), first.entry.version), ("ledger_anchor", 2));
    let old = stage.key();
    let new = stage.log.keys(2).unwrap().pop().unwrap();
    assert_ne!(old.name(), new.name());
    let trust = egov_transparency::Trust::in_keys(vec![old, new]);
    let report = stage.verify_as(2, &trust).await;
    assert!(report.is_whole(), "{report:?}");
    let mut reads = egov_transparency::LogReport::default();
    let anchors = egov_transparency::rebuilt_anchors(&stage.database).await.unwrap();
    assert_eq!(anchors[0].canonical, before.to_string().into_bytes());
    let kind = egov_transparency::verify_kind(
        &stage.database,
        "ledger_anchor",
        &anchors,
        egov_transparency::WithoutRow::Expected(""),
        &mut reads,
    )
    .await
    .unwrap();
    assert_eq!((kind.leaves, kind.recomputed, reads.is_whole()), (1, 1, true));
    // The log of before stays provable.
    assert!(stage.verify_as(1, &trust).await.is_whole());
}

#[tokio::test]
async fn a_rotated_key_signs_what_comes_and_the_old_one_still_verifies_what_was() {
    let stage = Stage::new().await;
    stage.grow(2).await;
    let old = stage.key();
    stage
        .keyring
        .rotate(
            egov_keyring::Purpose::Checkpoints,
            jiff::SignedDuration::from_hours(1),
            &stage.clock,
        )
        .unwrap();
    stage.grow(2).await;
    let keys = stage.log.keys(1).unwrap();
    assert_eq!(keys.len(), 2);
    let report = stage.verify_as(1, &egov_transparency::Trust::in_keys(keys)).await;
    assert!(report.is_whole() && report.checkpoints == 2, "{report:?}");
    let only_old = stage.verify_as(1, &egov_transparency::Trust::in_keys(vec![old])).await;
    assert_eq!(only_old.found.values().sum::<u64>(), 1);
}
