//! What every [`EventStore`] must do, as a suite that an implementation runs in its tests.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a suite of tests fails loudly")]

use std::time::Duration;

use async_trait::async_trait;
use egov_fault::Fault;
use jiff::Timestamp;
use uuid::Uuid;

use egov_events::{
    Backoff, Batch, CloudEvent, DeadLetter, Delivery, EventStore, Letters, Missed, Rejection, StartAt,
    SubscriptionSpec, TopicSpec, lane,
};

/// A store under test and its time.
#[async_trait]
pub(crate) trait Rig: Sync {
    /// The store.
    fn store(&self) -> &dyn EventStore;
    /// The store's present.
    fn now(&self) -> Timestamp;
    /// Lets time pass for the store: by moving its clock, or by waiting where the clock is a server's.
    async fn pass(&self, time: Duration);
    /// Whether the store counts what a subscription missed.
    fn counts_missed(&self) -> bool;
    /// Leaves something in the topic, without a key, that cannot be read as an event.
    async fn leave_rubbish(&self, topic: Uuid);
}

/// How long a delivery may take in the suite.
const WITHIN: Duration = Duration::from_millis(400);

/// Runs the suite.
///
/// # Panics
/// With the broken rule, if the store breaks one.
pub(crate) async fn run(rig: &dyn Rig) {
    an_event_is_stored_once(rig).await;
    two_identical_publications_at_once_are_one_event(rig).await;
    the_events_of_a_key_come_one_after_the_other(rig).await;
    events_without_a_key_do_not_wait(rig).await;
    what_is_not_acknowledged_comes_again(rig).await;
    a_rejected_event_comes_later_and_holds_back_only_its_key(rig).await;
    an_event_is_given_up_after_its_attempts_and_can_be_redriven(rig).await;
    dead_letters_are_listed_in_pages_and_purged(rig).await;
    what_is_meant_until_an_instant_is_meant_no_more_later(rig).await;
    a_purge_of_many_drops_those_of_one_subscription_until_an_instant(rig).await;
    what_cannot_be_read_is_given_up_at_once_and_listed_beside_the_others(rig).await;
    a_small_batch_starves_nobody(rig).await;
    a_batch_is_bounded_by_bytes_and_a_large_event_comes_alone(rig).await;
    what_retention_takes_before_it_is_acknowledged_is_counted(rig).await;
    a_newcomer_begins_where_it_asks(rig).await;
    no_more_than_the_limit_is_under_way(rig).await;
    only_the_wanted_types_come(rig).await;
    a_slow_subscriber_holds_nobody_back(rig).await;
    the_oldest_goes_when_it_is_too_old_or_too_much(rig).await;
    what_is_not_there_is_not_found(rig).await;
    an_ended_subscription_is_gone(rig).await;
}

async fn an_event_is_stored_once(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let first = ok(rig
        .store()
        .publish(topic, vec![event("1", None), event("2", None), event("1", None)])
        .await);
    assert_eq!(
        first.iter().map(|one| one.duplicate).collect::<Vec<_>>(),
        [false, false, true]
    );
    assert_eq!(
        first[0].offset, first[2].offset,
        "a duplicate is answered with the place of the first"
    );
    assert!(
        first[1].offset > first[0].offset,
        "offsets grow in the order of publication"
    );
    let again = ok(rig.store().publish(topic, vec![event("2", None)]).await);
    assert!(again[0].duplicate && again[0].offset == first[1].offset);
    let mut foreign = event("2", None);
    "/another".clone_into(&mut foreign.source);
    let foreign = ok(rig.store().publish(topic, vec![foreign]).await);
    assert!(!foreign[0].duplicate, "ids are unique within their source only");
}

async fn two_identical_publications_at_once_are_one_event(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let batch: Vec<CloudEvent> = (0..20).map(|n| event(&n.to_string(), Some("k"))).collect();
    let (one, other) = futures::join!(
        rig.store().publish(topic, batch.clone()),
        rig.store().publish(topic, batch.clone())
    );
    let (one, other) = (ok(one), ok(other));
    for (a, b) in one.iter().zip(&other) {
        assert_eq!(a.offset, b.offset);
        assert!(a.duplicate != b.duplicate, "exactly one of the two stored it");
    }
    let subscription = subscribe(rig, topic, StartAt::Oldest).await;
    assert_eq!(ok(rig.store().progress(&subscription).await).lag, 20);
}

async fn the_events_of_a_key_come_one_after_the_other(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let subscription = subscribe(rig, topic, StartAt::Oldest).await;
    let (a, b) = two_keys();
    for n in 0..6 {
        let key = if n % 2 == 0 { a } else { b };
        ok(rig.store().publish(topic, vec![event(&n.to_string(), Some(key))]).await);
    }
    let mut seen: Vec<(String, String)> = Vec::new();
    for _ in 0..3 {
        let got = pull_until(rig, &subscription, 2).await;
        assert_eq!(got.len(), 2, "one of each key");
        assert!(
            ok(rig.store().pull(&subscription, Batch::of(10)).await).is_empty(),
            "the next of a key waits for the first"
        );
        for delivery in &got {
            seen.push((
                delivery.event.partition_key.clone().unwrap_or_default(),
                delivery.event.id.clone(),
            ));
        }
        acknowledge(rig, &subscription, &got).await;
    }
    let of = |key: &str| {
        seen.iter()
            .filter(|(k, _)| k == key)
            .map(|(_, id)| id.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(a), ["0", "2", "4"]);
    assert_eq!(of(b), ["1", "3", "5"]);
    assert!(pull_once(rig, &subscription).await.is_empty());
}

async fn events_without_a_key_do_not_wait(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let subscription = subscribe(rig, topic, StartAt::Oldest).await;
    ok(rig
        .store()
        .publish(topic, (0..5).map(|n| event(&n.to_string(), None)).collect())
        .await);
    let got = pull_until(rig, &subscription, 5).await;
    let ids: Vec<&str> = got.iter().map(|delivery| delivery.event.id.as_str()).collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4"]);
    let progress = ok(rig.store().progress(&subscription).await);
    assert_eq!((progress.lag, progress.in_flight), (5, 5));
    acknowledge(rig, &subscription, &got).await;
    acknowledge(rig, &subscription, &got).await;
    assert_eq!(
        ok(rig.store().progress(&subscription).await).lag,
        0,
        "twice acknowledged is once acknowledged"
    );
}

async fn what_is_not_acknowledged_comes_again(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let subscription = subscribe(rig, topic, StartAt::Oldest).await;
    ok(rig
        .store()
        .publish(topic, vec![event("1", Some("k")), event("2", Some("k"))])
        .await);
    let first = pull_until(rig, &subscription, 1).await;
    assert_eq!((first[0].event.id.as_str(), first[0].attempt), ("1", 1));
    rig.pass(WITHIN * 2).await;
    let second = pull_until(rig, &subscription, 1).await;
    assert_eq!((second[0].event.id.as_str(), second[0].attempt), ("1", 2));
    // The first attempt was dealt with after all: that counts.
    acknowledge(rig, &subscription, &first).await;
    let next = pull_until(rig, &subscription, 1).await;
    assert_eq!(next[0].event.id, "2");
}

async fn a_rejected_event_comes_later_and_holds_back_only_its_key(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let subscription = subscribe(rig, topic, StartAt::Oldest).await;
    let (a, b) = two_keys();
    let events = vec![
        event("a1", Some(a)),
        event("a2", Some(a)),
        event("b1", Some(b)),
        event("b2", Some(b)),
    ];
    ok(rig.store().publish(topic, events).await);
    let got = pull_until(rig, &subscription, 2).await;
    reject(rig, &subscription, &got[0], "later", Some(Duration::from_millis(900))).await;
    acknowledge(rig, &subscription, &got[1..]).await;
    let next = pull_until(rig, &subscription, 1).await;
    assert_eq!(next[0].event.id, "b2", "the other key goes on");
    acknowledge(rig, &subscription, &next).await;
    assert!(
        pull_once(rig, &subscription).await.is_empty(),
        "a1 waits its time and a2 waits for a1"
    );
    rig.pass(Duration::from_millis(1200)).await;
    let again = pull_until(rig, &subscription, 1).await;
    assert_eq!((again[0].event.id.as_str(), again[0].attempt), ("a1", 2));
    acknowledge(rig, &subscription, &again).await;
    assert_eq!(pull_until(rig, &subscription, 1).await[0].event.id, "a2");
}

async fn an_event_is_given_up_after_its_attempts_and_can_be_redriven(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let subscription = subscribe(rig, topic, StartAt::Oldest).await;
    ok(rig
        .store()
        .publish(topic, vec![event("bad", Some("k")), event("good", Some("k"))])
        .await);
    for attempt in 1..=2 {
        let got = pull_until(rig, &subscription, 1).await;
        assert_eq!((got[0].event.id.as_str(), got[0].attempt), ("bad", attempt));
        reject(
            rig,
            &subscription,
            &got[0],
            "the receiver is broken",
            Some(Duration::from_millis(1)),
        )
        .await;
        rig.pass(Duration::from_millis(50)).await;
    }
    // The third and last attempt is not answered at all.
    let last = pull_until(rig, &subscription, 1).await;
    assert_eq!(last[0].attempt, 3);
    rig.pass(WITHIN * 2).await;
    let next = pull_until(rig, &subscription, 1).await;
    assert_eq!(
        next[0].event.id, "good",
        "what is given up no longer holds its key back"
    );
    acknowledge(rig, &subscription, &next).await;
    let progress = ok(rig.store().progress(&subscription).await);
    assert_eq!((progress.dead_letters, progress.lag), (1, 0));
    let letter = ok(rig.store().dead_letter(&subscription, last[0].offset).await);
    assert_eq!((id_of(&letter), letter.attempts), ("bad", 3));
    assert!(!letter.cause.is_empty());

    assert_eq!(redriven(rig, &subscription, Letters::At(&[last[0].offset])).await, 1);
    assert_eq!(ok(rig.store().progress(&subscription).await).dead_letters, 0);
    let again = pull_until(rig, &subscription, 1).await;
    assert_eq!(
        (again[0].event.id.as_str(), again[0].attempt, again[0].offset),
        ("bad", 1, last[0].offset)
    );
    acknowledge(rig, &subscription, &again).await;
    assert_eq!(ok(rig.store().progress(&subscription).await).lag, 0);
}

async fn redriven(rig: &dyn Rig, subscription: &SubscriptionSpec, letters: Letters<'_>) -> u64 {
    let redriven = ok(rig.store().redrive(subscription, letters).await);
    assert!(!redriven.more, "there was time for all");
    redriven.letters
}

async fn dead_letters_are_listed_in_pages_and_purged(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let mut subscription = spec(topic, StartAt::Oldest);
    subscription.max_attempts = 1;
    ok(rig.store().subscribe(&subscription).await);
    ok(rig
        .store()
        .publish(topic, (0..5).map(|n| event(&n.to_string(), None)).collect())
        .await);
    let got = pull_until(rig, &subscription, 5).await;
    let rejected: Vec<Rejection> = got
        .iter()
        .map(|one| rejection(one, "không nhận được\nở dòng hai", None))
        .collect();
    ok(rig.store().settle(&subscription, &[], &rejected).await);
    let page = async |after: Option<i64>, limit: u32, bytes: usize| {
        let page = ok(rig.store().dead_letters(&subscription, after, limit, bytes).await);
        let ids: Vec<&str> = page.letters.iter().map(id_of).collect();
        let ids = ids.join(" ");
        (page.letters, ids, page.more)
    };
    // Also bounded by bytes, but one at least; and it is said whether others follow.
    let one = ok(rig.store().dead_letters(&subscription, None, 1, 1).await);
    let one = one.letters[0].event.as_ref().map_or(0, |event| event.encode().len());
    for (limit, bytes, wanted, more) in [
        (3, 1, "0", true),
        (3, one, "0", true),
        (3, one * 2, "0 1", true),
        (3, one * 3 - 1, "0 1", true),
        (5, usize::MAX, "0 1 2 3 4", false),
        (6, usize::MAX, "0 1 2 3 4", false),
        (4, usize::MAX, "0 1 2 3", true),
    ] {
        let (_, ids, found) = page(None, limit, bytes).await;
        assert_eq!((ids.as_str(), found), (wanted, more), "{limit} {bytes}");
    }
    let (first, _, more) = page(None, 3, usize::MAX).await;
    assert!(more);
    assert_eq!(first.iter().map(id_of).collect::<Vec<_>>(), ["0", "1", "2"]);
    assert!(
        first[0].cause.starts_with("không nhận được"),
        "the cause is kept: {}",
        first[0].cause
    );
    let (rest, ids, more) = page(Some(first[2].place), 3, usize::MAX).await;
    assert_eq!((ids.as_str(), more), ("3 4", false));
    let (none, _, more) = page(Some(rest[1].place), 3, 1).await;
    assert!(none.is_empty() && !more);
    assert_eq!(
        ok(rig
            .store()
            .purge(&subscription, Letters::At(&[first[0].offset, i64::MAX]))
            .await),
        1
    );
    assert_eq!(
        redriven(rig, &subscription, Letters::Until(rest[1].dead_time)).await,
        4,
        "all that are left"
    );
    let again = pull_until(rig, &subscription, 4).await;
    acknowledge(rig, &subscription, &again).await;
    let everything = Letters::Until(Timestamp::MAX);
    assert_eq!(ok(rig.store().purge(&subscription, everything).await), 0);
}

async fn what_is_meant_until_an_instant_is_meant_no_more_later(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let mut subscription = spec(topic, StartAt::Oldest);
    subscription.max_attempts = 1;
    ok(rig.store().subscribe(&subscription).await);
    let give_up = async |id: &str| {
        ok(rig.store().publish(topic, vec![event(id, None)]).await);
        let got = pull_until(rig, &subscription, 1).await;
        reject(rig, &subscription, &got[0], "no", None).await;
        rig.pass(Duration::from_millis(20)).await;
    };
    give_up("0").await;
    give_up("1").await;
    let all = async || ok(rig.store().dead_letters(&subscription, None, 10, usize::MAX).await).letters;
    let listed = all().await;
    let until = Letters::Until(listed[1].dead_time);
    give_up("2").await;
    assert_eq!(ok(rig.store().purge(&subscription, until).await), 2);
    give_up("3").await;
    // The answer got lost, and the request comes again: what was given up since is not meant.
    assert_eq!(ok(rig.store().purge(&subscription, until).await), 0);
    assert_eq!(redriven(rig, &subscription, until).await, 0);
    let left = all().await;
    let left: Vec<&str> = left.iter().map(id_of).collect();
    assert_eq!(left, ["2", "3"]);
}

async fn a_purge_of_many_drops_those_of_one_subscription_until_an_instant(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let (mut mine, mut other) = (spec(topic, StartAt::Oldest), spec(topic, StartAt::Oldest));
    for subscription in [&mut mine, &mut other] {
        (subscription.max_attempts, subscription.max_in_flight) = (1, 200);
        ok(rig.store().subscribe(subscription).await);
    }
    let all = async |subscription: &SubscriptionSpec| {
        ok(rig.store().dead_letters(subscription, None, 1000, usize::MAX).await).letters
    };
    for round in 0..3 {
        let events = (0..50).map(|n| event(&format!("{round}-{n}"), None)).collect();
        ok(rig.store().publish(topic, events).await);
        for subscription in [&mine, &other] {
            let got = pull_until(rig, subscription, 50).await;
            let rejected: Vec<Rejection> = got.iter().map(|one| rejection(one, "no", None)).collect();
            ok(rig.store().settle(subscription, &[], &rejected).await);
        }
        rig.pass(Duration::from_millis(20)).await;
    }
    let before = all(&mine).await;
    assert_eq!((before.len(), all(&other).await.len()), (150, 150));
    let until = before[99].dead_time;
    let meant = before.iter().filter(|letter| letter.dead_time <= until).count();
    let purged = ok(rig.store().purge(&mine, Letters::Until(until)).await);
    assert_eq!(usize::try_from(purged).unwrap_or_default(), meant);
    let left = all(&mine).await;
    assert_eq!(left.len(), 150 - meant);
    assert!(left.iter().all(|letter| letter.dead_time > until));
    assert_eq!(all(&other).await.len(), 150, "the neighbour's stay");
}

async fn what_cannot_be_read_is_given_up_at_once_and_listed_beside_the_others(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let mut subscription = spec(topic, StartAt::Oldest);
    subscription.max_attempts = 1;
    ok(rig.store().subscribe(&subscription).await);
    ok(rig.store().publish(topic, vec![event("before", None)]).await);
    rig.leave_rubbish(topic).await;
    ok(rig.store().publish(topic, vec![event("after", None)]).await);
    let got = pull_until(rig, &subscription, 2).await;
    let ids: Vec<&str> = got.iter().map(|one| one.event.id.as_str()).collect();
    assert_eq!(ids, ["before", "after"], "it holds nobody back");
    reject(rig, &subscription, &got[0], "no", None).await;
    acknowledge(rig, &subscription, &got[1..]).await;
    let listed = ok(rig.store().dead_letters(&subscription, None, 10, usize::MAX).await).letters;
    let (read, unreadable): (Vec<_>, Vec<_>) = listed.iter().partition(|letter| letter.event.is_some());
    assert_eq!((read.len(), unreadable.len()), (1, 1), "{listed:?}");
    assert_eq!(id_of(read[0]), "before");
    let lost = unreadable[0].offset;
    let letter = ok(rig.store().dead_letter(&subscription, lost).await);
    assert!(
        letter.event.is_none() && letter.cause.contains("cannot be read"),
        "{letter:?}"
    );
    // Sent out again it comes back.
    assert_eq!(redriven(rig, &subscription, Letters::At(&[lost])).await, 1);
    for _ in 0..40 {
        assert!(pull_once(rig, &subscription).await.is_empty());
        if ok(rig.store().progress(&subscription).await).dead_letters == 2 {
            break;
        }
        rig.pass(Duration::from_millis(5)).await;
    }
    assert_eq!(ok(rig.store().purge(&subscription, Letters::At(&[lost])).await), 1);
    let progress = ok(rig.store().progress(&subscription).await);
    assert_eq!((progress.dead_letters, progress.lag), (1, 0));
}

async fn a_small_batch_starves_nobody(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let mut subscription = spec(topic, StartAt::Oldest);
    (subscription.max_attempts, subscription.max_in_flight) = (1, 2);
    subscription.acknowledge_within = Duration::from_secs(30);
    ok(rig.store().subscribe(&subscription).await);
    let (busy, other) = two_keys();
    // A dead letter that goes out again, an event without a key and one of another key, besides a key that never rests.
    ok(rig.store().publish(topic, vec![event("again", None)]).await);
    let got = pull_until(rig, &subscription, 1).await;
    reject(rig, &subscription, &got[0], "no", None).await;
    let offset = Letters::At(&[got[0].offset]);
    assert_eq!(redriven(rig, &subscription, offset).await, 1);
    let events = vec![event("0", Some(busy)), event("free", None), event("other", Some(other))];
    ok(rig.store().publish(topic, events).await);
    let mut awaited = vec!["again", "free", "other"];
    for n in 1..60 {
        ok(rig
            .store()
            .publish(topic, vec![event(&n.to_string(), Some(busy))])
            .await);
        let got = ok(rig.store().pull(&subscription, Batch::of(1)).await);
        assert!(got.len() <= 1);
        awaited.retain(|id| got.iter().all(|one| one.event.id != *id));
        acknowledge(rig, &subscription, &got).await;
        if awaited.is_empty() {
            return;
        }
    }
    panic!("starved: {awaited:?}");
}

async fn a_batch_is_bounded_by_bytes_and_a_large_event_comes_alone(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let mut subscription = spec(topic, StartAt::Oldest);
    subscription.acknowledge_within = Duration::from_secs(30);
    ok(rig.store().subscribe(&subscription).await);
    let (a, b) = two_keys();
    for n in 0..12 {
        let key = [None, Some(a), Some(b)][n % 3];
        ok(rig
            .store()
            .publish(topic, vec![large(&n.to_string(), key, 150 * 1024)])
            .await);
    }
    let batch = Batch {
        events: 100,
        bytes: 1 << 20,
    };
    let mut seen = 0;
    for _ in 0..40 {
        let got = ok(rig.store().pull(&subscription, batch).await);
        let bytes: usize = got.iter().map(|one| one.event.data.len()).sum();
        assert!(bytes <= batch.bytes, "{bytes} bytes at once");
        seen += got.len();
        acknowledge(rig, &subscription, &got).await;
        if seen == 12 {
            break;
        }
    }
    assert_eq!(seen, 12);
    ok(rig
        .store()
        .publish(topic, vec![large("large", None, 200 * 1024), large("next", None, 1024)])
        .await);
    let narrow = Batch {
        events: 100,
        bytes: 10 * 1024,
    };
    for expected in ["large", "next"] {
        let mut got = Vec::new();
        for _ in 0..40 {
            got = ok(rig.store().pull(&subscription, narrow).await);
            if !got.is_empty() {
                break;
            }
        }
        let ids: Vec<&str> = got.iter().map(|one| one.event.id.as_str()).collect();
        assert_eq!(ids, [expected]);
        acknowledge(rig, &subscription, &got).await;
    }
}

async fn what_retention_takes_before_it_is_acknowledged_is_counted(rig: &dyn Rig) {
    let kept = TopicSpec {
        id: new_id(rig),
        max_age: Duration::from_hours(1),
        max_bytes: 100 * 1024,
    };
    ok(rig.store().open_topic(&kept).await);
    let behind = subscribe(rig, kept.id, StartAt::Oldest).await;
    let done = subscribe(rig, kept.id, StartAt::Oldest).await;
    let mut offsets = Vec::new();
    for n in 0..4 {
        let published = ok(rig
            .store()
            .publish(kept.id, vec![large(&n.to_string(), None, 40 * 1024)])
            .await);
        offsets.push(published[0].offset);
        if n < 2 {
            let got = pull_until(rig, &done, 1).await;
            acknowledge(rig, &done, &got).await;
        }
        if n == 0 {
            // One is under way, one was never fetched.
            pull_until(rig, &behind, 1).await;
        }
    }
    let swept = ok(rig.store().sweep(&kept).await);
    if !rig.counts_missed() {
        assert_eq!(ok(rig.store().progress(&behind).await).missed, None);
        return;
    }
    let expected = Missed {
        events: 2,
        first: offsets[0],
        last: offsets[1],
    };
    assert_eq!((swept.events, swept.missed), (2, vec![(behind.id, expected)]));
    assert_eq!(ok(rig.store().progress(&behind).await).missed, Some(expected));
    assert_eq!(ok(rig.store().progress(&done).await).missed, None);
    let left = pull_until(rig, &behind, 2).await;
    assert_eq!(left[0].event.id, "2");
    acknowledge(rig, &behind, &left).await;
    // What goes later is added, what was acknowledged is not.
    ok(rig
        .store()
        .publish(kept.id, vec![large("4", None, 90 * 1024), large("5", None, 90 * 1024)])
        .await);
    ok(rig.store().sweep(&kept).await);
    let missed = ok(rig.store().progress(&behind).await).missed;
    assert_eq!(
        missed.map(|missed| (missed.events, missed.first)),
        Some((3, offsets[0]))
    );
}

async fn a_newcomer_begins_where_it_asks(rig: &dyn Rig) {
    let topic = topic(rig).await;
    ok(rig.store().publish(topic, vec![event("old", None)]).await);
    rig.pass(Duration::from_millis(200)).await;
    let then = rig.now();
    rig.pass(Duration::from_millis(200)).await;
    ok(rig.store().publish(topic, vec![event("middle", None)]).await);
    let oldest = subscribe(rig, topic, StartAt::Oldest).await;
    let timed = subscribe(rig, topic, StartAt::Time(then)).await;
    let new = subscribe(rig, topic, StartAt::New).await;
    ok(rig.store().publish(topic, vec![event("young", None)]).await);
    for (subscription, expected) in [
        (&oldest, &["old", "middle", "young"][..]),
        (&timed, &["middle", "young"]),
        (&new, &["young"]),
    ] {
        let got = pull_until(rig, subscription, expected.len()).await;
        let ids: Vec<&str> = got.iter().map(|one| one.event.id.as_str()).collect();
        assert_eq!(ids, expected);
        acknowledge(rig, subscription, &got).await;
    }
    // Beginning again does not begin anew.
    ok(rig.store().subscribe(&oldest).await);
    assert!(pull_once(rig, &oldest).await.is_empty());
}

async fn no_more_than_the_limit_is_under_way(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let mut subscription = spec(topic, StartAt::Oldest);
    subscription.max_in_flight = 3;
    subscription.acknowledge_within = Duration::from_secs(30);
    ok(rig.store().subscribe(&subscription).await);
    ok(rig
        .store()
        .publish(topic, (0..8).map(|n| event(&n.to_string(), None)).collect())
        .await);
    let got = pull_until(rig, &subscription, 3).await;
    assert_eq!(got.len(), 3);
    assert!(pull_once(rig, &subscription).await.is_empty(), "three are under way");
    acknowledge(rig, &subscription, &got[..1]).await;
    let next = pull_until(rig, &subscription, 1).await;
    assert_eq!(next[0].event.id, "3");
}

async fn only_the_wanted_types_come(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let mut subscription = spec(topic, StartAt::Oldest);
    subscription.types = vec!["wanted".to_owned()];
    ok(rig.store().subscribe(&subscription).await);
    let mut events: Vec<CloudEvent> = (0..30).map(|n| event(&n.to_string(), None)).collect();
    for wanted in [7, 29] {
        "wanted".clone_into(&mut events[wanted].kind);
    }
    ok(rig.store().publish(topic, events).await);
    let mut got = Vec::new();
    for _ in 0..10 {
        got.extend(ok(rig.store().pull(&subscription, Batch::of(10)).await));
    }
    assert_eq!(
        got.iter().map(|one| one.event.id.as_str()).collect::<Vec<_>>(),
        ["7", "29"]
    );
    acknowledge(rig, &subscription, &got).await;
    assert_eq!(ok(rig.store().progress(&subscription).await).lag, 0);
}

async fn a_slow_subscriber_holds_nobody_back(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let slow = subscribe(rig, topic, StartAt::Oldest).await;
    let quick = subscribe(rig, topic, StartAt::Oldest).await;
    ok(rig
        .store()
        .publish(topic, (0..50).map(|n| event(&n.to_string(), None)).collect())
        .await);
    // The slow one takes what it may and never answers.
    let held = pull_until(rig, &slow, 20).await;
    assert!(held.len() <= 20);
    let mut done = 0;
    while done < 50 {
        let got = pull_until(rig, &quick, 1).await;
        done += got.len();
        acknowledge(rig, &quick, &got).await;
    }
    assert_eq!(done, 50);
    assert_eq!(ok(rig.store().progress(&slow).await).lag, 50);
}

async fn the_oldest_goes_when_it_is_too_old_or_too_much(rig: &dyn Rig) {
    let mut kept = TopicSpec {
        id: new_id(rig),
        max_age: Duration::from_secs(2),
        max_bytes: 1 << 20,
    };
    ok(rig.store().open_topic(&kept).await);
    let newcomer = async |expected: usize| {
        let subscription = subscribe(rig, kept.id, StartAt::Oldest).await;
        assert_eq!(ok(rig.store().progress(&subscription).await).lag, expected as i64);
    };
    ok(rig.store().publish(kept.id, vec![event("old", None)]).await);
    rig.pass(Duration::from_millis(2600)).await;
    ok(rig.store().sweep(&kept).await);
    newcomer(0).await;
    ok(rig.store().publish(kept.id, vec![event("young", None)]).await);
    ok(rig.store().sweep(&kept).await);
    newcomer(1).await;
    // Two of 40 KiB fit, a third pushes the first out.
    kept = TopicSpec {
        id: new_id(rig),
        max_age: Duration::from_hours(1),
        max_bytes: 100 * 1024,
    };
    ok(rig.store().open_topic(&kept).await);
    for n in 0..3 {
        ok(rig
            .store()
            .publish(kept.id, vec![large(&n.to_string(), None, 40 * 1024)])
            .await);
    }
    ok(rig.store().sweep(&kept).await);
    let subscription = subscribe(rig, kept.id, StartAt::Oldest).await;
    let got = pull_until(rig, &subscription, 2).await;
    assert_eq!(
        got.iter().map(|one| one.event.id.as_str()).collect::<Vec<_>>(),
        ["1", "2"]
    );
    // Whoever made the topic keep less died before the store was told: it keeps to it all the same.
    let less = TopicSpec {
        max_bytes: 50 * 1024,
        ..kept
    };
    ok(rig.store().sweep(&less).await);
    let late = subscribe(rig, less.id, StartAt::Oldest).await;
    assert_eq!(ok(rig.store().progress(&late).await).lag, 1);
}

async fn what_is_not_there_is_not_found(rig: &dyn Rig) {
    let nowhere = new_id(rig);
    assert_eq!(
        reason(rig.store().publish(nowhere, vec![event("1", None)]).await),
        "TOPIC_NOT_FOUND"
    );
    assert_eq!(
        reason(rig.store().subscribe(&spec(nowhere, StartAt::New)).await),
        "TOPIC_NOT_FOUND"
    );
    let topic = topic(rig).await;
    let mut stranger = spec(topic, StartAt::New);
    assert_eq!(
        reason(rig.store().pull(&stranger, Batch::of(1)).await),
        "SUBSCRIPTION_NOT_FOUND"
    );
    assert_eq!(
        reason(rig.store().progress(&stranger).await),
        "SUBSCRIPTION_NOT_FOUND",
        "whoever asks makes up for it"
    );
    ok(rig.store().subscribe(&stranger).await);
    assert_eq!(
        reason(rig.store().dead_letter(&stranger, 1).await),
        "DEAD_LETTER_NOT_FOUND"
    );
    for token in ["", "x", "$JS.ACK", "JEpTLkFDSw", "1", "1.x", "\u{0}"] {
        let settled = rig.store().settle(&stranger, &[token.to_owned()], &[]).await;
        assert_eq!(reason(settled), "DELIVERY_TOKEN_INVALID", "{token:?}");
    }
    stranger.types = vec!["x".to_owned()];
    assert!(ok(rig.store().pull(&stranger, Batch::of(1)).await).is_empty());
}

async fn an_ended_subscription_is_gone(rig: &dyn Rig) {
    let topic = topic(rig).await;
    let subscription = subscribe(rig, topic, StartAt::Oldest).await;
    ok(rig.store().publish(topic, vec![event("1", None)]).await);
    ok(rig.store().unsubscribe(&subscription).await);
    ok(rig.store().unsubscribe(&subscription).await);
    assert_eq!(
        reason(rig.store().pull(&subscription, Batch::of(1)).await),
        "SUBSCRIPTION_NOT_FOUND"
    );
}

/// Two keys that do not share a lane.
fn two_keys() -> (&'static str, &'static str) {
    let others = ["case/2", "case/3", "case/4", "case/5"];
    let other = others.into_iter().find(|other| lane(other) != lane("case/1"));
    ("case/1", other.unwrap_or("case/6"))
}

async fn topic(rig: &dyn Rig) -> Uuid {
    let topic = TopicSpec {
        id: new_id(rig),
        max_age: Duration::from_hours(1),
        max_bytes: 64 << 20,
    };
    ok(rig.store().open_topic(&topic).await);
    ok(rig.store().open_topic(&topic).await);
    topic.id
}

fn new_id(_rig: &dyn Rig) -> Uuid {
    use egov_clock::Ids as _;
    egov_clock::SystemIds::default().uuid()
}

fn spec(topic: Uuid, start: StartAt) -> SubscriptionSpec {
    use egov_clock::Ids as _;
    SubscriptionSpec {
        id: egov_clock::SystemIds::default().uuid(),
        topic,
        start,
        types: Vec::new(),
        max_in_flight: 20,
        acknowledge_within: WITHIN,
        max_attempts: 3,
        backoff: Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(1),
        },
    }
}

async fn subscribe(rig: &dyn Rig, topic: Uuid, start: StartAt) -> SubscriptionSpec {
    let subscription = spec(topic, start);
    ok(rig.store().subscribe(&subscription).await);
    subscription
}

fn event(id: &str, key: Option<&str>) -> CloudEvent {
    CloudEvent {
        id: id.to_owned(),
        source: "/suite".to_owned(),
        kind: "suite.happened".to_owned(),
        subject: None,
        time: None,
        data_content_type: None,
        data_schema: None,
        partition_key: key.map(str::to_owned),
        epoch: None,
        data: format!("{{\"id\":\"{id}\"}}").into(),
    }
}

fn large(id: &str, key: Option<&str>, bytes: usize) -> CloudEvent {
    CloudEvent {
        data_content_type: Some("application/octet-stream".to_owned()),
        data: vec![7; bytes].into(),
        ..event(id, key)
    }
}

async fn pull_once(rig: &dyn Rig, subscription: &SubscriptionSpec) -> Vec<Delivery> {
    ok(rig.store().pull(subscription, Batch::of(50)).await)
}

/// Fetches until there are so many: a server may need a moment.
async fn pull_until(rig: &dyn Rig, subscription: &SubscriptionSpec, wanted: usize) -> Vec<Delivery> {
    let mut got = Vec::new();
    for _ in 0..40 {
        got.extend(pull_once(rig, subscription).await);
        if got.len() >= wanted {
            got.sort_by_key(|one| one.offset);
            return got;
        }
        rig.pass(Duration::from_millis(5)).await;
    }
    panic!("{wanted} events were expected, {} came", got.len());
}

async fn acknowledge(rig: &dyn Rig, subscription: &SubscriptionSpec, deliveries: &[Delivery]) {
    let tokens: Vec<String> = deliveries.iter().map(|one| one.token.clone()).collect();
    ok(rig.store().settle(subscription, &tokens, &[]).await);
}

/// The id of the event that a letter holds.
fn id_of(letter: &DeadLetter) -> &str {
    letter.event.as_ref().map_or("", |event| event.id.as_str())
}

fn rejection(delivery: &Delivery, cause: &str, retry_after: Option<Duration>) -> Rejection {
    Rejection {
        token: delivery.token.clone(),
        cause: cause.to_owned(),
        retry_after,
    }
}

async fn reject(
    rig: &dyn Rig,
    subscription: &SubscriptionSpec,
    delivery: &Delivery,
    cause: &str,
    after: Option<Duration>,
) {
    ok(rig
        .store()
        .settle(subscription, &[], &[rejection(delivery, cause, after)])
        .await);
}

fn ok<T>(outcome: Result<T, Fault>) -> T {
    match outcome {
        Ok(value) => value,
        Err(fault) => panic!("the store refused: {fault:?}"),
    }
}

fn reason<T>(outcome: Result<T, Fault>) -> String {
    match outcome {
        Ok(_) => "accepted".to_owned(),
        Err(fault) => fault.reason().to_owned(),
    }
}
