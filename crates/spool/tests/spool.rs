//! What a spool promises: nothing that was durable is lost, order is kept, room is used again, and nothing rests on the disk.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use egov_spool::{AppendError, OpenError, Record, Settings, Shipments, Spool, Spooled};
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq)]
struct Line(Vec<u8>);

impl Record for Line {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'>');
        out.extend_from_slice(&self.0);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.strip_prefix(b">").map(|line| Self(line.to_vec()))
    }
}

fn line(text: &str) -> Line {
    Line(text.as_bytes().to_vec())
}

fn small(folder: &Path) -> Settings {
    Settings {
        segment_bytes: 4096,
        waiting_bytes: 1024 * 1024,
        ..Settings::new(folder.to_owned())
    }
}

/// Opens it, also when the thread of the one before is just ending.
fn open(settings: &Settings) -> Spooled<Line> {
    let started = Instant::now();
    loop {
        match Spool::open(settings) {
            Err(OpenError::InUse(_)) if started.elapsed() < Duration::from_secs(20) => std::thread::yield_now(),
            other => return other.unwrap(),
        }
    }
}

async fn everything(shipments: &mut Shipments<Line>, count: usize) -> Vec<Line> {
    let mut found = Vec::new();
    while found.len() < count {
        assert!(shipments.take(&mut found, 100, u64::MAX).await > 0);
    }
    found
}

#[tokio::test]
async fn what_is_durable_and_not_shipped_comes_again_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let settings = small(folder.path());
    let lines: Vec<Line> = (0..300).map(|number| line(&format!("line {number}"))).collect();
    let Spooled { spool, shipments, left } = open(&settings);
    assert_eq!(left, 0);
    let appended: Vec<_> = lines.iter().map(|line| spool.append(line.clone())).collect();
    for durable in appended {
        durable.await.unwrap();
    }
    assert_eq!(spool.durable(), 300);
    drop((spool, shipments));

    let Spooled {
        spool,
        mut shipments,
        left,
    } = open(&settings);
    assert_eq!(left, 300);
    spool.append(line("one more")).await.unwrap();
    let found = everything(&mut shipments, 301).await;
    assert_eq!(found[..300], lines);
    assert_eq!(found[300], line("one more"));
    assert_eq!(shipments.shipped(), 301);
    assert_eq!(spool.waiting_bytes(), 0);
}

#[tokio::test]
async fn an_append_counts_also_when_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let Spooled {
        spool, mut shipments, ..
    } = open(&small(folder.path()));
    drop(spool.append(line("first")));
    spool.append(line("second")).await.unwrap();
    assert_eq!(everything(&mut shipments, 2).await, [line("first"), line("second")]);
}

#[tokio::test]
async fn room_is_used_again_and_what_rests_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = small(folder.path());
    let Spooled {
        spool, mut shipments, ..
    } = open(&settings);
    for round in 0..100 {
        for number in 0..20 {
            let text = format!("a secret of round {round} number {number}");
            spool.append(line(&text)).await.unwrap();
        }
        everything(&mut shipments, 20).await;
        shipments.shipped();
    }
    let segments = |folder: &Path| fs::read_dir(folder).unwrap().count() - 1;
    assert!(segments(folder.path()) <= 3, "2,000 records in a few segments");
    spool.resting().rest();
    spool.append(line("after")).await.unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|part| part == b"a secret"));
    }
    drop((spool, shipments));
    assert_eq!(open(&settings).left, 1);
}

#[tokio::test]
async fn nothing_is_wiped_that_is_not_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let settings = small(folder.path());
    let Spooled { spool, shipments, .. } = open(&settings);
    spool.append(line("kept")).await.unwrap();
    spool.resting().rest();
    spool.append(line("too")).await.unwrap();
    drop((spool, shipments));
    assert_eq!(open(&settings).left, 2);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        waiting_bytes: 3000,
        ..small(folder.path())
    };
    let Spooled {
        spool, mut shipments, ..
    } = open(&settings);
    let before = spool.append(line("before"));
    let large = spool.append(Line(vec![7; 4096]));
    let after = spool.append(line("after"));
    assert_eq!(before.await, Ok(()));
    assert_eq!(large.await, Err(AppendError::TooLarge));
    assert_eq!(after.await, Ok(()));
    spool.append(Line(vec![7; 3000])).await.unwrap();
    assert_eq!(spool.append(line("no room")).await, Err(AppendError::Full));
    everything(&mut shipments, 3).await;
    shipments.shipped();
    assert_eq!(spool.append(line("room again")).await, Ok(()));
}

#[tokio::test]
async fn what_is_owed_has_room_when_new_records_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        waiting_bytes: 2000,
        ..small(folder.path())
    };
    let Spooled { spool, .. } = open(&settings);
    spool.append(Line(vec![7; 2500])).await.unwrap();
    assert_eq!(spool.append(line("new")).await, Err(AppendError::Full));
    spool.append_owed(Line(vec![7; 2500])).await.unwrap();
    assert_eq!(spool.append_owed(line("owed")).await, Err(AppendError::Full));
}

#[tokio::test]
async fn a_shipment_is_bounded_by_number_and_bytes_and_takes_one_in_any_case() {
    let folder = tempfile::tempdir().unwrap();
    let Spooled {
        spool, mut shipments, ..
    } = open(&small(folder.path()));
    for length in [1000, 100, 100, 100, 100] {
        spool.append(Line(vec![7; length])).await.unwrap();
    }
    let mut taken = Vec::new();
    for expected in [1, 2, 1, 1] {
        let most = if expected == 1 { 1 } else { 5 };
        assert_eq!(shipments.take(&mut taken, most, 250).await, expected);
    }
    assert_eq!((taken.len(), shipments.shipped(), spool.waiting_bytes()), (5, 5, 0));
}

#[tokio::test]
async fn starts_without_a_shipper_need_no_further_room() {
    let folder = tempfile::tempdir().unwrap();
    let settings = small(folder.path());
    let first = open(&settings);
    first.spool.append(line("kept")).await.unwrap();
    drop(first);
    for _ in 0..10 {
        assert_eq!(open(&settings).left, 1);
    }
    assert!(fs::read_dir(folder.path()).unwrap().count() <= 4);
}

#[tokio::test]
async fn one_process_owns_a_spool() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&small(folder.path()));
    let second = Spool::<Line>::open(&small(folder.path()));
    assert!(matches!(second, Err(OpenError::InUse(_))));
    drop(first);
    open(&small(folder.path()));
}

/// The files of a spool as a crash would leave them: copied while it is open.
fn crashed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

#[tokio::test]
async fn a_complete_segment_that_was_damaged_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let Spooled { spool, .. } = open(&small(folder.path()));
    for number in 0..200 {
        spool
            .append(line(&format!("a line with number {number}")))
            .await
            .unwrap();
    }
    let copy = crashed(folder.path());
    let damaged = copy.path().join("000000.segment");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[100] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let error = Spool::<Line>::open(&small(copy.path())).unwrap_err();
    let OpenError::Damaged { path, offset } = error else {
        panic!("{error}")
    };
    assert_eq!(path, damaged);
    assert!(offset <= 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever becomes of the bytes behind what was durable, and wherever a flush was cut: what comes again is what was appended,
    /// from the first on, and all that was durable before the cut.
    #[test]
    fn a_torn_flush_leaves_what_was_durable_before_it(
        lengths in prop::collection::vec(1_usize..200, 1..60),
        more in prop::collection::vec(1_usize..200, 1..10),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let settings = |folder: &Path| Settings { segment_bytes: 64 * 1024, ..small(folder) };
            let folder = tempfile::tempdir().unwrap();
            let Spooled { spool, .. } = open(&settings(folder.path()));
            let lines: Vec<Line> = lengths.iter().chain(&more).enumerate()
                .map(|(number, length)| Line(vec![u8::try_from(number % 251).unwrap(); *length])).collect();
            for line in &lines[..lengths.len()] {
                spool.append(line.clone()).await.unwrap();
            }
            let before = crashed(folder.path());
            for line in &lines[lengths.len()..] {
                spool.append(line.clone()).await.unwrap();
            }
            let after = crashed(folder.path());
            // The last flush, cut: its first bytes as written, then noise, then what was there before it.
            for name in ["000000.segment", "000001.segment"] {
                let (old, new) = (fs::read(before.path().join(name)).unwrap(), fs::read(after.path().join(name)).unwrap());
                let Some(first) = old.iter().zip(&new).position(|(old, new)| old != new) else { continue };
                let last = new.iter().rposition(|byte| *byte != 0).unwrap() + 1;
                let at = first + cut.index(last - first);
                let mut torn = new[..at].to_vec();
                torn.extend_from_slice(&noise);
                let rest = old.get(torn.len()..).unwrap_or_default().to_vec();
                torn.extend_from_slice(&rest);
                fs::write(after.path().join(name), torn).unwrap();
            }
            let Spooled { mut shipments, left, spool } = open(&settings(after.path()));
            prop_assert!(left >= lengths.len());
            let found = everything(&mut shipments, left).await;
            prop_assert_eq!(&found[..], &lines[..left]);
            // And it goes on behind them.
            spool.append(line("further")).await.unwrap();
            drop((spool, shipments));
            let mut again = open(&settings(after.path()));
            let found = everything(&mut again.shipments, left + 1).await;
            prop_assert_eq!(&found[..left], &lines[..left]);
            prop_assert_eq!(&found[left], &line("further"));
            Ok(())
        })?;
    }

    #[test]
    fn any_bytes_are_opened_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..6000), genuine in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = bytes;
        if genuine {
            // A head as it is written, so that what stands behind it is read.
            let from = tempfile::tempdir().unwrap();
            drop(open(&small(from.path())));
            let head = fs::read(from.path().join("000000.segment")).unwrap();
            let length = bytes.len().min(20);
            bytes[..length].copy_from_slice(&head[..length]);
        }
        fs::write(folder.path().join("000000.segment"), &bytes).unwrap();
        let _ = Spool::<Line>::open(&small(folder.path()));
    }
}

#[tokio::test]
async fn a_flush_takes_all_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    let Spooled { spool, .. } = open(&Settings::new(folder.path().to_owned()));
    let all: Vec<_> = (0..10_000)
        .map(|number| spool.append(line(&number.to_string())))
        .collect();
    tokio::time::timeout(Duration::from_secs(20), async {
        for one in all {
            one.await.unwrap();
        }
    })
    .await
    .unwrap();
}
