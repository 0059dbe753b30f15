//! What every [`FileStore`] must do, as a suite that an implementation runs in its tests.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(
//! egov_files::contract::run(egov_files::in_memory().as_ref())
//! # );
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The store must not hold uploads begun before 2001: the suite sweeps them.

use bytes::Bytes;
use egov_fault::Fault;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{Digest, FileKey, FileStore, FileType, Progress, StoredFile, UploadLimits};

/// Runs the suite. It leaves nothing behind if it passes.
///
/// # Panics
/// With the broken rule, if the store breaks one.
pub async fn run<S: FileStore + ?Sized>(store: &S) {
    a_file_is_uploaded_in_parts_and_read_in_ranges(store).await;
    the_same_part_may_come_again(store).await;
    gaps_and_overlaps_are_refused(store).await;
    a_part_must_be_what_was_announced(store).await;
    unknown_uploads_and_files_are_not_found(store).await;
    limits_hold(store).await;
    the_whole_content_must_be_what_was_announced(store).await;
    only_allowed_types_are_stored(store).await;
    an_incomplete_upload_goes_on(store).await;
    finishing_twice_gives_the_same_file(store).await;
    the_same_content_twice_is_two_files(store).await;
    uploads_do_not_touch_each_other(store).await;
    of_simultaneous_parts_one_is_stored(store).await;
    simultaneous_finishes_agree(store).await;
    an_abandoned_upload_is_forgotten(store).await;
    old_uploads_are_swept_and_name_what_they_became(store).await;
}

async fn a_file_is_uploaded_in_parts_and_read_in_ranges<S: FileStore + ?Sized>(store: &S) {
    let upload = begin(store, 1).await;
    let content = paper(1, 2500);
    let mut received = 0;
    for part in pieces(&content, 1000) {
        let digest = Digest::of(&part);
        received = ok(store.put_chunk(upload, received, part, digest).await).received;
        assert_eq!(ok(store.progress(upload).await), Progress { received });
    }
    let stored = finish(store, upload, &content).await;
    assert_eq!(stored.size, 2500);
    assert_eq!(stored.file_type, FileType::Pdf);
    assert_eq!(stored.key.sha256(), Digest::of(&content));
    let key = stored.key;
    assert_eq!(ok(store.size(&key).await), 2500);
    assert_eq!(ok(store.verify(&key).await), 2500);
    assert_eq!(ok(store.read(&key, 0, 9999).await), content);
    assert_eq!(ok(store.read(&key, 999, 2).await), content.slice(999..1001));
    assert_eq!(ok(store.read(&key, 2499, 100).await), content.slice(2499..));
    for (offset, length) in [(2500, 1), (u64::MAX, u64::MAX), (7, 0)] {
        assert_eq!(ok(store.read(&key, offset, length).await), Bytes::new());
    }
    clean(store, upload, Some(key)).await;
}

async fn the_same_part_may_come_again<S: FileStore + ?Sized>(store: &S) {
    let upload = begin(store, 2).await;
    let content = paper(2, 2000);
    let parts = pieces(&content, 1000);
    for _ in 0..2 {
        for (part, offset) in parts.iter().zip([0, 1000]) {
            ok(put(store, upload, offset, part).await);
        }
    }
    assert_eq!(ok(store.progress(upload).await).received, 2000);
    let stored = finish(store, upload, &content).await;
    assert_eq!(ok(store.read(&stored.key, 0, 2000).await), content);
    // Late, after the end: the same part is still welcome, another one is not.
    for (part, offset) in parts.iter().zip([0, 1000]) {
        assert_eq!(ok(put(store, upload, offset, part).await).received, 2000);
    }
    for offset in [1, 2000] {
        let refused = put(store, upload, offset, &paper(3, 10)).await;
        refused_with(refused, "CHUNK_OUT_OF_ORDER");
    }
    clean(store, upload, Some(stored.key)).await;
}

async fn gaps_and_overlaps_are_refused<S: FileStore + ?Sized>(store: &S) {
    let upload = begin(store, 3).await;
    let content = paper(3, 3000);
    refused_with(
        put(store, upload, 1, &content.slice(1..1000)).await,
        "CHUNK_OUT_OF_ORDER",
    );
    ok(put(store, upload, 0, &content.slice(..1000)).await);
    ok(put(store, upload, 1000, &content.slice(1000..2000)).await);
    let other = paper(4, 1000);
    for (offset, part) in [
        (2001, content.slice(2001..3000)),
        (u64::MAX, content.slice(..1)),
        (0, other.clone()),
        (1000, other),
        (0, content.slice(..999)),
        (0, content.slice(..1001)),
        (500, content.slice(500..1000)),
        (1999, content.slice(1999..3000)),
    ] {
        let fault = refused_with(put(store, upload, offset, &part).await, "CHUNK_OUT_OF_ORDER");
        assert_eq!(
            fault.metadata().get("received").map(String::as_str),
            Some("2000"),
            "the refusal says where to go on"
        );
    }
    assert_eq!(ok(store.progress(upload).await).received, 2000);
    clean(store, upload, None).await;
}

async fn a_part_must_be_what_was_announced<S: FileStore + ?Sized>(store: &S) {
    let upload = begin(store, 4).await;
    let part = paper(4, 100);
    let wrong = Digest::of(b"something else");
    let refused = store.put_chunk(upload, 0, part.clone(), wrong).await;
    refused_with(refused, "CHUNK_HASH_MISMATCH");
    refused_with(put(store, upload, 0, &Bytes::new()).await, "INVALID_FIELD");
    assert_eq!(ok(store.progress(upload).await).received, 0);
    ok(put(store, upload, 0, &part).await);
    clean(store, upload, None).await;
}

async fn unknown_uploads_and_files_are_not_found<S: FileStore + ?Sized>(store: &S) {
    let upload = id(5);
    let part = paper(5, 10);
    refused_with(put(store, upload, 0, &part).await, "UPLOAD_NOT_FOUND");
    refused_with(store.progress(upload).await, "UPLOAD_NOT_FOUND");
    let refused = store.finish(upload, 10, Digest::of(&part)).await;
    refused_with(refused, "UPLOAD_NOT_FOUND");
    ok(store.abandon(upload).await);

    let key = FileKey::new(Digest::of(&part), upload);
    refused_with(store.size(&key).await, "FILE_NOT_FOUND");
    refused_with(store.read(&key, 0, 1).await, "FILE_NOT_FOUND");
    refused_with(store.verify(&key).await, "FILE_NOT_FOUND");
    ok(store.delete(&key).await);
}

async fn limits_hold<S: FileStore + ?Sized>(store: &S) {
    let upload = id(6);
    let limits = UploadLimits {
        max_bytes: 250,
        max_chunk_bytes: 100,
        max_chunks: 3,
        ..UploadLimits::default()
    };
    ok(store.start(upload, &limits, now()).await);
    // The limits of the first start hold.
    ok(store.start(upload, &UploadLimits::default(), now()).await);
    let content = paper(6, 300);
    refused_with(put(store, upload, 0, &content.slice(..101)).await, "FILE_TOO_LARGE");
    ok(put(store, upload, 0, &content.slice(..100)).await);
    ok(put(store, upload, 100, &content.slice(100..200)).await);
    refused_with(
        put(store, upload, 200, &content.slice(200..251)).await,
        "FILE_TOO_LARGE",
    );
    ok(put(store, upload, 200, &content.slice(200..210)).await);
    refused_with(
        put(store, upload, 210, &content.slice(210..211)).await,
        "FILE_TOO_LARGE",
    );
    let refused = store.finish(upload, 251, Digest::of(&content)).await;
    refused_with(refused, "FILE_TOO_LARGE");
    let stored = finish(store, upload, &content.slice(..210)).await;
    clean(store, upload, Some(stored.key)).await;
}

async fn the_whole_content_must_be_what_was_announced<S: FileStore + ?Sized>(store: &S) {
    let upload = begin(store, 7).await;
    let content = paper(7, 200);
    ok(put(store, upload, 0, &content).await);
    let wrong = Digest::of(b"something else");
    refused_with(store.finish(upload, 200, wrong).await, "FILE_HASH_MISMATCH");
    let right = Digest::of(&content);
    refused_with(store.finish(upload, 199, right).await, "FILE_HASH_MISMATCH");
    let nothing = FileKey::new(wrong, upload);
    refused_with(store.size(&nothing).await, "FILE_NOT_FOUND");

    let stored = finish(store, upload, &content).await;
    refused_with(store.finish(upload, 200, wrong).await, "FILE_HASH_MISMATCH");
    refused_with(store.finish(upload, 199, right).await, "FILE_HASH_MISMATCH");
    clean(store, upload, Some(stored.key)).await;
}

async fn only_allowed_types_are_stored<S: FileStore + ?Sized>(store: &S) {
    let program = Bytes::from_static(b"\x7FELF\x02\x01\x01\0\0\0\0\0");
    let page = Bytes::from_static(b"<html><script>alert(1)</script></html>");
    let letter = Bytes::from_static("Kính gửi Ủy ban nhân dân phường".as_bytes());
    for (number, content) in [(8, program), (9, page), (10, letter.clone())] {
        let upload = begin(store, number).await;
        ok(put(store, upload, 0, &content).await);
        let digest = Digest::of(&content);
        let refused = store.finish(upload, content.len() as u64, digest).await;
        refused_with(refused, "FILE_TYPE_NOT_ALLOWED");
        let nothing = FileKey::new(digest, upload);
        refused_with(store.size(&nothing).await, "FILE_NOT_FOUND");
        clean(store, upload, None).await;
    }

    let upload = begin(store, 11).await;
    refused_with(store.finish(upload, 0, Digest::of(b"")).await, "FILE_TYPE_NOT_ALLOWED");
    clean(store, upload, None).await;

    let upload = id(12);
    let limits = UploadLimits {
        allowed: [FileType::Text].into(),
        ..UploadLimits::default()
    };
    ok(store.start(upload, &limits, now()).await);
    ok(put(store, upload, 0, &letter).await);
    let stored = finish(store, upload, &letter).await;
    assert_eq!(stored.file_type, FileType::Text);
    clean(store, upload, Some(stored.key)).await;
}

async fn an_incomplete_upload_goes_on<S: FileStore + ?Sized>(store: &S) {
    let upload = begin(store, 13).await;
    let content = paper(13, 300);
    ok(put(store, upload, 0, &content.slice(..100)).await);
    let early = store.finish(upload, 300, Digest::of(&content)).await;
    let fault = refused_with(early, "CHUNK_OUT_OF_ORDER");
    assert_eq!(fault.metadata().get("received").map(String::as_str), Some("100"));
    // The second start of a client that lost the answer of the first tells how far it is.
    assert_eq!(begin(store, 13).await, upload);
    let again = store.start(upload, &UploadLimits::default(), now()).await;
    assert_eq!(ok(again).received, 100);
    ok(put(store, upload, 100, &content.slice(100..)).await);
    let stored = finish(store, upload, &content).await;
    clean(store, upload, Some(stored.key)).await;
}

async fn finishing_twice_gives_the_same_file<S: FileStore + ?Sized>(store: &S) {
    let upload = begin(store, 14).await;
    let content = paper(14, 300);
    ok(put(store, upload, 0, &content).await);
    let first = finish(store, upload, &content).await;
    let second = finish(store, upload, &content).await;
    assert_eq!(first, second);
    assert_eq!(ok(store.progress(upload).await).received, 300);
    // Once its owner has deleted the file, nothing brings it back.
    ok(store.delete(&first.key).await);
    let late = store.finish(upload, 300, Digest::of(&content)).await;
    refused_with(late, "CHUNK_OUT_OF_ORDER");
    clean(store, upload, None).await;
}

async fn the_same_content_twice_is_two_files<S: FileStore + ?Sized>(store: &S) {
    let content = paper(15, 300);
    let mut files = Vec::new();
    for number in [15, 16] {
        let upload = begin(store, number).await;
        ok(put(store, upload, 0, &content).await);
        files.push(finish(store, upload, &content).await.key);
        ok(store.abandon(upload).await);
    }
    let [one, two] = files.as_slice() else {
        unreachable!("two uploads were finished");
    };
    assert_ne!(one, two);
    ok(store.delete(one).await);
    refused_with(store.read(one, 0, 1).await, "FILE_NOT_FOUND");
    assert_eq!(ok(store.read(two, 0, 300).await), content);
    ok(store.delete(two).await);
}

async fn uploads_do_not_touch_each_other<S: FileStore + ?Sized>(store: &S) {
    let uploads = join_all((17..21).map(|number| async move {
        let upload = begin(store, number).await;
        let content = paper(number as u8, 1000);
        for (part, offset) in pieces(&content, 100).iter().zip((0..).step_by(100)) {
            ok(put(store, upload, offset, part).await);
        }
        (upload, finish(store, upload, &content).await, content)
    }));
    for (upload, stored, content) in uploads.await {
        assert_eq!(ok(store.read(&stored.key, 0, 1000).await), content);
        clean(store, upload, Some(stored.key)).await;
    }
}

async fn of_simultaneous_parts_one_is_stored<S: FileStore + ?Sized>(store: &S) {
    let upload = begin(store, 21).await;
    let same = paper(21, 500);
    let equal = join_all((0..8).map(|_| put(store, upload, 0, &same))).await;
    for result in equal {
        assert_eq!(ok(result).received, 500);
    }
    let different: Vec<Bytes> = (0..8).map(|seed| paper(seed, 500)).collect();
    let results = join_all(different.iter().map(|part| put(store, upload, 500, part))).await;
    let mut winner = None;
    for (result, part) in results.into_iter().zip(&different) {
        match result {
            Ok(progress) => {
                assert_eq!(progress.received, 1000);
                assert!(winner.replace(part).is_none(), "two parts at one offset");
            }
            Err(fault) => assert_eq!(fault.reason(), "CHUNK_OUT_OF_ORDER", "{fault:?}"),
        }
    }
    let winner = winner.map(Bytes::as_ref).unwrap_or_default();
    let content = Bytes::from([same.as_ref(), winner].concat());
    let stored = finish(store, upload, &content).await;
    assert_eq!(ok(store.read(&stored.key, 0, 1000).await), content);
    clean(store, upload, Some(stored.key)).await;
}

async fn simultaneous_finishes_agree<S: FileStore + ?Sized>(store: &S) {
    let upload = begin(store, 22).await;
    let content = paper(22, 1000);
    for (part, offset) in pieces(&content, 100).iter().zip((0..).step_by(100)) {
        ok(put(store, upload, offset, part).await);
    }
    let all = join_all((0..8).map(|_| finish(store, upload, &content))).await;
    let key = all.first().map(|stored| stored.key);
    for stored in &all {
        assert_eq!(Some(stored.key), key);
        assert_eq!(ok(store.verify(&stored.key).await), 1000);
    }
    clean(store, upload, key).await;
}

async fn an_abandoned_upload_is_forgotten<S: FileStore + ?Sized>(store: &S) {
    let upload = begin(store, 23).await;
    ok(put(store, upload, 0, &paper(23, 100)).await);
    ok(store.abandon(upload).await);
    ok(store.abandon(upload).await);
    refused_with(store.progress(upload).await, "UPLOAD_NOT_FOUND");
    // The same id can begin anew, with nothing of the old.
    assert_eq!(begin(store, 23).await, upload);
    assert_eq!(ok(store.progress(upload).await).received, 0);
    clean(store, upload, None).await;
}

async fn old_uploads_are_swept_and_name_what_they_became<S: FileStore + ?Sized>(store: &S) {
    let hour = SignedDuration::from_hours(1);
    let (unfinished, finished, young) = (id(24), id(25), id(26));
    let limits = UploadLimits::default();
    for (upload, started) in [(unfinished, now()), (finished, now()), (young, now() + hour)] {
        ok(store.start(upload, &limits, started).await);
        ok(put(store, upload, 0, &paper(24, 100)).await);
    }
    let stored = finish(store, finished, &paper(24, 100)).await;

    let mut swept = ok(store.sweep(now() + hour).await);
    swept.retain(|one| [unfinished, finished, young].contains(&one.upload));
    swept.sort_by_key(|one| one.upload);
    let named: Vec<_> = swept.iter().map(|one| (one.upload, one.became)).collect();
    assert_eq!(named, [(unfinished, None), (finished, Some(stored.key))]);

    refused_with(store.progress(unfinished).await, "UPLOAD_NOT_FOUND");
    refused_with(store.progress(finished).await, "UPLOAD_NOT_FOUND");
    assert_eq!(ok(store.read(&stored.key, 0, 100).await), paper(24, 100));
    assert_eq!(ok(store.progress(young).await).received, 100);
    assert_eq!(ok(store.sweep(now() + hour).await), []);
    clean(store, young, Some(stored.key)).await;
}

/// An upload id that only this suite uses.
fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x6567_6f76_0000_7000_8000_0000_0000_0000 | number)
}

/// Early enough that no real upload is swept.
fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 30)
}

async fn begin<S: FileStore + ?Sized>(store: &S, number: u128) -> Uuid {
    let upload = id(number);
    ok(store.start(upload, &UploadLimits::default(), now()).await);
    upload
}

/// A content that is recognised as PDF, of any length from 10 bytes on, different for each seed.
fn paper(seed: u8, length: usize) -> Bytes {
    let body = (0..length).map(|place| (place as u8).wrapping_mul(31) ^ seed);
    b"%PDF-1.7\n".iter().copied().chain(body).take(length).collect()
}

fn pieces(content: &Bytes, length: usize) -> Vec<Bytes> {
    content.chunks(length).map(Bytes::copy_from_slice).collect()
}

async fn put<S: FileStore + ?Sized>(store: &S, upload: Uuid, offset: u64, part: &Bytes) -> Result<Progress, Fault> {
    store.put_chunk(upload, offset, part.clone(), Digest::of(part)).await
}

async fn finish<S: FileStore + ?Sized>(store: &S, upload: Uuid, content: &Bytes) -> StoredFile {
    let total = content.len() as u64;
    ok(store.finish(upload, total, Digest::of(content)).await)
}

async fn clean<S: FileStore + ?Sized>(store: &S, upload: Uuid, key: Option<FileKey>) {
    ok(store.abandon(upload).await);
    if let Some(key) = key {
        ok(store.delete(&key).await);
        refused_with(store.size(&key).await, "FILE_NOT_FOUND");
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a suite fails loudly")]
fn ok<T>(result: Result<T, Fault>) -> T {
    match result {
        Ok(value) => value,
        Err(fault) => panic!("the store refused what it must do: {fault:?}"),
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a suite fails loudly")]
fn refused_with<T: std::fmt::Debug>(result: Result<T, Fault>, reason: &str) -> Fault {
    match result {
        Ok(value) => panic!("the store accepted what it must refuse with {reason}: {value:?}"),
        Err(fault) => {
            assert_eq!(fault.reason(), reason, "{fault:?}");
            assert!(!fault.vi().is_empty() && !fault.en().is_empty());
            fault
        }
    }
}
