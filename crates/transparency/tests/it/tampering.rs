//! Who owns the database and changes it is found out: by verification, by the log itself, by a witness, by whoever holds a receipt.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::{CallerKind, Capacity, ReadRecord, ReadSink as _, RoleAt};
use egov_clock::Clock as _;
use egov_database::{READ_KIND, ReadRecordSink};
use egov_ledger::{Hash, LedgerError, VerifyingKey, verify_consistency};
use egov_transparency::{
    Error, LogReport, Rule, Stopped, Trust, Witness, export, rebuilt_reads, verify_folder, verify_kind,
};

use crate::stage::{Stage, connect, id, sequence};

fn rules(report: &LogReport) -> Vec<Rule> {
    report.found.keys().copied().collect()
}

#[tokio::test]
async fn a_row_that_was_edited_is_found() {
    let stage = Stage::new().await;
    stage.grow(20).await;
    stage
        .tamper("UPDATE egov.leaves SET commitment = sha256('other') WHERE leaf_id = (SELECT leaf_id FROM egov.ledger_entries WHERE log_index = 7)")
        .await;
    let report = stage.verify().await;
    assert_eq!(rules(&report), [Rule::Leaf]);
    assert!(report.findings[0].detail.starts_with("entry 7 (case "), "{report:?}");
}

#[tokio::test]
async fn a_row_that_was_edited_together_with_its_hash_is_found_by_the_root() {
    let stage = Stage::new().await;
    stage.grow(20).await;
    let entry = stage.log.entries(1, 7, None, 1).await.unwrap().remove(0).entry;
    let forged = egov_ledger::Entry {
        commitment: [1; 32],
        ..entry
    };
    let hash = forged.leaf_hash().unwrap();
    stage
        .tamper(&format!(
            "UPDATE egov.leaves SET commitment = decode(repeat('01', 32), 'hex') WHERE resource_id = '{}';
             UPDATE egov.ledger_entries SET leaf_hash = decode('{hash}', 'hex') WHERE log_index = 7",
            forged.resource
        ))
        .await;
    assert_eq!(rules(&stage.verify().await), [Rule::Root]);
}

#[tokio::test]
async fn rows_that_were_deleted_are_found() {
    let stage = Stage::new().await;
    stage.grow(20).await;
    stage
        .tamper(
            "CREATE TEMP TABLE gone AS SELECT leaf_id FROM egov.ledger_entries WHERE log_index = 7;
             DELETE FROM egov.ledger_entries WHERE log_index = 7;
             DELETE FROM egov.leaf_salts WHERE leaf_id IN (SELECT leaf_id FROM gone);
             DELETE FROM egov.leaves WHERE leaf_id IN (SELECT leaf_id FROM gone)",
        )
        .await;
    let report = stage.verify().await;
    assert!(
        rules(&report).contains(&Rule::Indexes) && rules(&report).contains(&Rule::Root),
        "{report:?}"
    );
    // Only its place in the log: the leaf then has none and waits for none.
    let stage = Stage::new().await;
    stage.grow(20).await;
    stage
        .tamper("DELETE FROM egov.ledger_entries WHERE log_index = 19")
        .await;
    let report = stage.verify().await;
    assert!(rules(&report).contains(&Rule::Place), "{report:?}");
}

#[tokio::test]
async fn rows_that_were_reordered_are_found() {
    let stage = Stage::new().await;
    stage.grow(20).await;
    stage
        .tamper(
            "UPDATE egov.ledger_entries SET log_index = 1000 WHERE log_index = 7;
             UPDATE egov.ledger_entries SET log_index = 7 WHERE log_index = 8;
             UPDATE egov.ledger_entries SET log_index = 8 WHERE log_index = 1000",
        )
        .await;
    assert_eq!(rules(&stage.verify().await), [Rule::Root]);
}

#[tokio::test]
async fn a_checkpoint_that_was_rewritten_is_found_because_the_key_is_not_in_the_database() {
    let stage = Stage::new().await;
    stage.grow(300).await;
    stage
        .tamper("UPDATE egov.checkpoints SET root = sha256('other'), note = replace(note, E'\\n300\\n', E'\\n299\\n')")
        .await;
    // The note still says the true root: its row and its signature give it away.
    assert_eq!(rules(&stage.verify().await), [Rule::Signature]);
    let stage = Stage::new().await;
    stage.grow(300).await;
    stage
        .tamper("UPDATE egov.ledger_nodes SET hash = sha256('other')")
        .await;
    assert_eq!(rules(&stage.verify().await), [Rule::Nodes]);
}

#[tokio::test]
async fn a_record_of_a_read_that_was_edited_is_found() {
    let stage = Stage::new().await;
    let sink = ReadRecordSink::new(stage.database.clone());
    let record = |purpose: &str| ReadRecord {
        reader: "staff:clerk".to_owned(),
        kind: CallerKind::Staff,
        purpose: Some(purpose.to_owned()),
        method: "/test.v1.Notes/GetNote".to_owned(),
        subjects: vec![id()],
        resources: vec!["notes/1".to_owned()],
        owners: vec![None],
        client: None,
        unit: Some(12),
        capacities: vec![Capacity {
            held: RoleAt {
                role: "clerk".to_owned(),
                unit: 12,
            },
            delegator: None,
        }],
        at: stage.clock.now(),
    };
    sink.write(&[record("inspection"), record("curiosity")]).await.unwrap();
    stage.sequence().await;
    let check = async || {
        let mut report = LogReport::default();
        let rebuilt = rebuilt_reads(&stage.database).await.unwrap();
        let kind = verify_kind(
            &stage.database,
            READ_KIND,
            &rebuilt,
            egov_transparency::WithoutRow::Wrong,
            &mut report,
        )
        .await
        .unwrap();
        assert_eq!((kind.leaves, kind.not_recomputable), (2, 0));
        report
    };
    assert!(check().await.is_whole());
    stage
        .tamper("UPDATE egov.read_records SET purpose = 'inspection' WHERE purpose = 'curiosity'")
        .await;
    assert_eq!(rules(&check().await), [Rule::Commitment]);
    // The log itself is whole: only the recomputation shows it.
    assert!(stage.verify().await.is_whole());
}

#[tokio::test]
async fn a_database_that_was_truncated_or_restored_stops_the_log_by_what_is_remembered_beside_it() {
    let stage = Stage::new().await;
    stage.grow(10).await;
    stage.grow(10).await;
    stage.restore_to(10).await;
    // Inside, everything fits together.
    assert!(stage.verify().await.is_whole());
    stage.write(15).await;
    let stopped = sequence(&stage.log).await.unwrap_err();
    let Error::Stopped(stopped) = stopped else {
        panic!("{stopped:?}")
    };
    assert_eq!(
        stopped,
        Stopped::RolledBack {
            origin: "test.gov.vn/onestop/1".to_owned(),
            signed: 20,
            stored: 10
        }
    );
    assert!(stopped.to_string().ends_with("begin a new epoch"));
    // A log that went on elsewhere, beyond what is remembered, is another history.
    sequence(&stage.elsewhere()).await.unwrap();
    assert!(matches!(
        sequence(&stage.log).await,
        Err(Error::Stopped(Stopped::Changed { size: 20, .. }))
    ));
    // In a new epoch it goes on, and names the checkpoint that was signed and lost.
    stage.tamper("SELECT egov.begin_epoch('restored')").await;
    stage.grow(1).await;
    let anchor = egov_transparency::rebuilt_anchors(&stage.database)
        .await
        .unwrap()
        .remove(0);
    let anchor = String::from_utf8(anchor.canonical).unwrap();
    assert!(anchor.starts_with("test.gov.vn/onestop/1\n20\n"), "{anchor}");
}

/// A witness in a database of its own.
struct Elsewhere {
    witness: Witness,
    stage: Stage,
}

impl Elsewhere {
    async fn of(log: &VerifyingKey) -> Self {
        let stage = Stage::new().await;
        let database = connect(&stage.test, &stage.keyring, &stage.clock).await;
        let witness = Witness::new(
            database,
            Arc::clone(&stage.keyring),
            "witness.hatinh.gov.vn",
            vec![log.clone()],
        );
        Self { witness, stage }
    }

    /// Shows the newest checkpoint of a log, with a proof from `old` on if there is one.
    async fn see(&self, stage: &Stage, old: u64) -> Result<String, Error> {
        let (checkpoint, _) = stage.log.checkpoint(0, 0).await.unwrap();
        let proof = match stage.log.consistency(0, old, 0).await {
            Ok((_, path)) => path,
            Err(_) => Vec::new(),
        };
        self.witness.cosign(&checkpoint.to_string(), old, &proof).await
    }

    async fn evidence(&self) -> Vec<(String, i64, i64)> {
        use sqlx::Connection as _;
        let mut owner = sqlx::PgConnection::connect(&self.stage.test.owner_url).await.unwrap();
        sqlx::query_as("SELECT reason, tree_size, kept_size FROM egov.witness_conflicts ORDER BY conflict_id")
            .fetch_all(&mut owner)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn who_truncates_is_found_by_a_witness() {
    let stage = Stage::new().await;
    let other = Elsewhere::of(&stage.key()).await;
    stage.grow(10).await;
    other.see(&stage, 0).await.unwrap();
    stage.grow(10).await;
    other.see(&stage, 10).await.unwrap();
    stage.restore_to(10).await;
    assert!(matches!(
        other.see(&stage, 10).await,
        Err(Error::OtherSize { size: 20 })
    ));
    assert_eq!(
        other.evidence().await,
        [],
        "a checkpoint that it saw before proves nothing"
    );
    // The file that remembers is gone too: the log signs on, but the witness does not.
    stage.write(5).await;
    sequence(&stage.elsewhere()).await.unwrap();
    assert!(matches!(
        other.see(&stage, 20).await,
        Err(Error::LogRolledBack { size: 20 })
    ));
    // Nobody could tell it from an old checkpoint that is shown again: that alone is no evidence.
    assert_eq!(other.evidence().await, []);
    // Once it is as large as it was, it cannot hide any more.
    stage.write(6).await;
    sequence(&stage.elsewhere()).await.unwrap();
    assert!(matches!(
        other.see(&stage, 20).await,
        Err(Error::LogForked { size: 20 })
    ));
    assert_eq!(other.evidence().await, [("forked".to_owned(), 21, 20)]);
}

#[tokio::test]
async fn who_has_only_genuine_checkpoints_raises_no_alarm_at_a_witness() {
    let stage = Stage::new().await;
    let other = Elsewhere::of(&stage.key()).await;
    let mut notes = Vec::new();
    for _ in 0..3 {
        stage.grow(7).await;
        let (checkpoint, _) = stage.log.checkpoint(0, 0).await.unwrap();
        notes.push(checkpoint.to_string());
    }
    other.witness.cosign(&notes[1], 0, &[]).await.unwrap();
    // The newest, without a proof, with one of something else, and one that was shown before, as if it were new.
    for proof in [vec![], vec![Hash::EMPTY; 4]] {
        let refused = other.witness.cosign(&notes[2], 14, &proof).await.unwrap_err();
        assert!(matches!(refused, Error::ProofFails { size: 14 }), "{refused:?}");
    }
    let refused = other.witness.cosign(&notes[0], 14, &[]).await.unwrap_err();
    assert!(matches!(refused, Error::LogRolledBack { size: 14 }), "{refused:?}");
    assert_eq!(other.evidence().await, []);
    // And the log itself goes on.
    let (_, path) = stage.log.consistency(0, 14, 21).await.unwrap();
    other.witness.cosign(&notes[2], 14, &path).await.unwrap();
}

#[tokio::test]
async fn who_forks_is_found_by_a_witness_that_keeps_both_checkpoints() {
    let stage = Stage::new().await;
    let other = Elsewhere::of(&stage.key()).await;
    stage.grow(10).await;
    let cosignature = other.see(&stage, 0).await.unwrap();
    let (mut checkpoint, _) = stage.log.checkpoint(0, 0).await.unwrap();
    let line = egov_ledger::NoteSignature::from_line(&cosignature).unwrap();
    checkpoint.note_mut().signatures.push(line);
    let key = other.witness.key().unwrap();
    assert_eq!(
        checkpoint.cosigned_by(&key),
        Ok(egov_testkit::START.as_second().unsigned_abs())
    );
    // Another history of ten entries and more, signed by the same key.
    stage.restore_to(0).await;
    stage.write(25).await;
    sequence(&stage.elsewhere()).await.unwrap();
    assert!(matches!(
        other.see(&stage, 10).await,
        Err(Error::LogForked { size: 10 })
    ));
    assert_eq!(other.evidence().await, [("forked".to_owned(), 25, 10)]);
}

#[tokio::test]
async fn a_witness_signs_for_nobody_whom_its_operator_did_not_name() {
    let stage = Stage::new().await;
    stage.grow(3).await;
    let stranger = Elsewhere::of(&Stage::new().await.log.keys(2).unwrap().pop().unwrap()).await;
    assert!(matches!(stranger.see(&stage, 0).await, Err(Error::NotWitnessed)));
    let other = Elsewhere::of(&stage.key()).await;
    let (checkpoint, _) = stage.log.checkpoint(0, 0).await.unwrap();
    let forged = checkpoint.to_string().replace("\n3\n", "\n4\n");
    assert!(matches!(
        other.witness.cosign(&forged, 0, &[]).await,
        Err(Error::NotSigned(LedgerError::WrongSignature { .. }))
    ));
    assert!(matches!(
        other.witness.cosign("no note", 0, &[]).await,
        Err(Error::NotSigned(_))
    ));
}

#[tokio::test]
async fn who_truncates_is_found_by_any_holder_of_a_receipt() {
    let stage = Stage::new().await;
    stage.grow(10).await;
    stage.grow(10).await;
    let leaf = stage.leaf(15).await;
    let receipt = stage.log.receipt(&leaf, Duration::ZERO).await.unwrap();
    stage.restore_to(10).await;
    // The receipt still proves that the log signed it, and the log cannot prove it any more.
    receipt.verify([&stage.key()]).unwrap();
    assert!(matches!(stage.log.inclusion(&leaf, 0).await, Err(Error::LeafNotFound)));
    let held = receipt.checkpoint.checkpoint();
    assert!(matches!(
        stage.log.consistency(0, held.size, 0).await,
        Err(Error::OutsideTheTree)
    ));
}

#[tokio::test]
async fn who_forks_is_found_by_any_holder_of_a_receipt() {
    let stage = Stage::new().await;
    stage.grow(20).await;
    let leaf = stage.leaf(15).await;
    let receipt = stage.log.receipt(&leaf, Duration::ZERO).await.unwrap();
    stage.restore_to(0).await;
    stage.write(30).await;
    sequence(&stage.elsewhere()).await.unwrap();
    let held = receipt.checkpoint.checkpoint();
    let (now, _) = stage.log.checkpoint(0, 0).await.unwrap();
    now.verify(&stage.key()).unwrap();
    // Both are signed by the log, and no proof leads from one to the other: that is the evidence.
    let (size, path) = stage.log.consistency(0, held.size, 0).await.unwrap();
    assert_eq!(
        verify_consistency(held.size, &held.root, size, &now.checkpoint().root, &path),
        Err(LedgerError::ProofFails { proof: "consistency" })
    );
}

#[tokio::test]
async fn an_exported_log_is_verified_without_the_database_and_a_changed_file_is_found() {
    let stage = Stage::new().await;
    stage.grow(600).await;
    let folder = tempfile::tempdir().unwrap();
    let size = export(&stage.log, 1, folder.path(), |_, _| {}).await.unwrap();
    assert_eq!(size, 600);
    let trust = Trust::in_keys(vec![stage.key()]);
    let report = verify_folder(folder.path(), &trust, |_, _| {}).unwrap();
    assert!(report.is_whole() && report.entries == 600, "{report:?}");
    for (file, expected) in [
        ("tile/entries/001", Rule::Root),
        ("tile/0/002.p/88", Rule::Nodes),
        ("tile/1/000.p/2", Rule::Nodes),
    ] {
        let path = folder.path().join(file);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[40] ^= 1;
        std::fs::write(&path, bad).unwrap();
        let report = verify_folder(folder.path(), &trust, |_, _| {}).unwrap();
        assert!(report.found.contains_key(&expected), "{file}: {report:?}");
        std::fs::write(&path, good).unwrap();
    }
    let nobody = verify_folder(folder.path(), &Trust::default(), |_, _| {}).unwrap();
    assert_eq!(rules(&nobody), [Rule::Signature]);
    assert!(Hash::from_slice(&std::fs::read(folder.path().join("tile/1/000.p/2")).unwrap()[..32]).is_ok());
}

/// Runs the verifier in Python; whether it says that everything holds, and what it says.
fn independent(arguments: &[&str]) -> (bool, String) {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/ledger/verify.py");
    let output = std::process::Command::new("python3")
        .arg(program)
        .args(arguments)
        .output()
        .expect("python3 is installed: apt-get install python3");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn an_independent_verifier_in_another_language_agrees() {
    let stage = Stage::new().await;
    stage.grow(520).await;
    let (key, folder) = (stage.key().to_string(), tempfile::tempdir().unwrap());
    let log = folder.path().join("log");
    export(&stage.log, 1, &log, |_, _| {}).await.unwrap();
    let path = log.to_str().unwrap();
    let (holds, said) = independent(&["log", path, "--key", &key]);
    assert!(holds && said.contains("520 entries hold"), "{said}");
    let other = Stage::new().await.key().to_string();
    assert!(!independent(&["log", path, "--key", &other]).0);

    let receipt = stage.log.receipt(&stage.leaf(300).await, Duration::ZERO).await.unwrap();
    let file = folder.path().join("receipt");
    let at = file.to_str().unwrap();
    for form in [
        receipt.to_bytes().unwrap(),
        receipt.to_text().unwrap().into_bytes(),
        receipt.to_json().unwrap().into_bytes(),
    ] {
        std::fs::write(&file, &form).unwrap();
        let (holds, said) = independent(&["receipt", at, "--key", &key]);
        assert!(holds && said.contains("entry 300 of 520"), "{said}");
    }
    let mut changed = receipt.to_bytes().unwrap();
    changed[40] ^= 1;
    std::fs::write(&file, &changed).unwrap();
    assert!(!independent(&["receipt", at, "--key", &key]).0);

    let bundle = log.join("tile/entries/001");
    let mut changed = std::fs::read(&bundle).unwrap();
    changed[60] ^= 1;
    std::fs::write(&bundle, changed).unwrap();
    assert!(!independent(&["log", path, "--key", &key]).0);
}
