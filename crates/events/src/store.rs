//! The trait through which events are kept and delivered.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use egov_fault::{Code, Fault};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Backoff, CloudEvent};

/// A topic, as far as the store must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// The topic.
    pub id: Uuid,
    /// How long events are kept.
    pub max_age: Duration,
    /// How many bytes of events are kept.
    pub max_bytes: i64,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// With what is published from now on.
    New,
    /// With the oldest event that is kept.
    Oldest,
    /// With the first event published at or after an instant.
    Time(Timestamp),
}

/// A subscription, as far as the store must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionSpec {
    /// The subscription.
    pub id: Uuid,
    /// Its topic.
    pub topic: Uuid,
    /// Where it begins; looked at once, when it is made.
    pub start: StartAt,
    /// The types of events that are wanted; empty for all.
    pub types: Vec<String>,
    /// How many events may be under way, those included that wait for an earlier one of their key.
    pub max_in_flight: u32,
    /// After how long without an acknowledgement a delivery is repeated.
    pub acknowledge_within: Duration,
    /// After how many deliveries an event goes to the dead letters.
    pub max_attempts: u32,
    /// How long a rejected event waits.
    pub backoff: Backoff,
}

/// What became of a published event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where it lies: grows along a topic.
    pub offset: i64,
    /// It was stored before.
    pub duplicate: bool,
}

/// An event on its way to a subscriber.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// What settles it, at any instance of the service.
    pub token: String,
    /// Where the event lies in its topic.
    pub offset: i64,
    /// How often it was delivered, this time included.
    pub attempt: u32,
    /// When it was published.
    pub publish_time: Timestamp,
    /// The event.
    pub event: CloudEvent,
}

/// A delivery that the subscriber could not deal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The delivery.
    pub token: String,
    /// Why, for whoever looks at the dead letter.
    pub cause: String,
    /// When to try again; none leaves it to the subscription's back-off.
    pub retry_after: Option<Duration>,
}

/// An event that was delivered as often as it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Its place in the list, for the next page.
    pub place: i64,
    /// Where the event lay in its topic.
    pub offset: i64,
    /// How often it was delivered.
    pub attempts: u32,
    /// What the subscriber said last.
    pub cause: String,
    /// When it was given up.
    pub dead_time: Timestamp,
    /// The event; none if what is stored cannot be read as one. Such a letter is listed and purged like any other; sent out again it
    /// comes back.
    pub event: Option<CloudEvent>,
}

/// How much is handed out at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many events at most.
    pub events: u32,
    /// How many bytes of events at most; a single event comes even if it is larger.
    pub bytes: usize,
}

impl Batch {
    /// The bytes of a batch that fits into one message of gRPC, whose usual limit is 4 MiB, with its envelope.
    pub const BYTES: usize = 3 << 20;

    /// At most so many events, and [`Batch::BYTES`].
    pub fn of(events: u32) -> Self {
        Self {
            events,
            bytes: Self::BYTES,
        }
    }
}

/// Which dead letters are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letters<'a> {
    /// Those of the events at these offsets.
    At(&'a [i64]),
    /// All that were given up until this instant: repeated later it means no more than at first.
    Until(Timestamp),
}

/// Events that a subscription did not get because they were dropped by age or size before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// How many; with a filter by type, those are counted too that would have been passed by.
    pub events: i64,
    /// Where the first of them lay.
    pub first: i64,
    /// Where the last of them lay.
    pub last: i64,
}

/// What a sweep dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many events.
    pub events: u64,
    /// Which subscriptions had not acknowledged how many of them.
    pub missed: Vec<(Uuid, Missed)>,
}

impl Swept {
    /// Adds what one more round took from a subscription; rounds go from the oldest on.
    pub(crate) fn miss(&mut self, subscription: Uuid, more: Missed) {
        match self.missed.iter_mut().find(|(id, _)| *id == subscription) {
            Some((_, missed)) => {
                missed.events += more.events;
                missed.last = more.last;
            }
            None => self.missed.push((subscription, more)),
        }
    }
}

/// Some dead letters.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetters {
    /// They, from the oldest on.
    pub letters: Vec<DeadLetter>,
    /// Whether there are others behind.
    pub more: bool,
}

/// What a redrive did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redriven {
    /// How many letters go out again.
    pub letters: u64,
    /// Whether there are others that were meant, and for which there was no time.
    pub more: bool,
}

/// How far a subscription has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events of the topic that are not acknowledged. With a filter by type, those are counted too that will be passed by.
    pub lag: i64,
    /// Of these, those that were delivered and not yet settled.
    pub in_flight: i64,
    /// Events that were given up.
    pub dead_letters: i64,
    /// Events that it missed since it began; none if none, or if the store drops events by itself and does not count (JetStream).
    pub missed: Option<Missed>,
}

/// Whether what the store acknowledged outlives a loss of power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durability {
    /// It does.
    pub durable: bool,
    /// How, or why not.
    pub words: String,
}

/// Keeps events and delivers them.
///
/// * A publication is durable when it is answered (as far as [`durability`](Self::durability) says), and stored once for its
///   source and id: in PostgreSQL for as long as the event is kept, in JetStream for [`DUPLICATE_WINDOW`].
/// * A subscription gets the events of one key one after the other: the next when the one before is acknowledged or given up.
///   Events without a key wait for none. How many keys share a lane, and so wait for each other's failures, is the store's: see
///   [`lane`](crate::lane).
/// * Each event is delivered until it is acknowledged: at least once. The receiver's inbox makes that once.
/// * What is stored and cannot be read as an event is given up at once: it holds nobody back.
/// * The caller says who may do what: the store knows topics and subscriptions, no people.
///
/// Failures are [`Fault`]s of the contract: `TOPIC_NOT_FOUND`, `SUBSCRIPTION_NOT_FOUND`, `DELIVERY_TOKEN_INVALID`,
/// `DEAD_LETTER_NOT_FOUND`, `PUBLISH_QUEUE_FULL`, `EVENT_STORE_UNAVAILABLE`, and those of the database.
#[async_trait]
pub trait EventStore: fmt::Debug + Send + Sync + 'static {
    /// Whether what is acknowledged outlives a loss of power.
    async fn durability(&self) -> Result<Durability, Fault>;

    /// Makes the topic, or changes what is kept of it.
    async fn open_topic(&self, topic: &TopicSpec) -> Result<(), Fault>;

    /// Stores events in their order and answers when all are durable. After a failure some may be stored; the same again is
    /// safe. `PUBLISH_QUEUE_FULL` with a time to come back when too much waits already.
    async fn publish(&self, topic: Uuid, events: Vec<CloudEvent>) -> Result<Vec<Published>, Fault>;

    /// Begins the subscription; one that has begun goes on where it is.
    async fn subscribe(&self, subscription: &SubscriptionSpec) -> Result<(), Fault>;

    /// Ends the subscription and forgets its dead letters. One that is not there has ended already.
    async fn unsubscribe(&self, subscription: &SubscriptionSpec) -> Result<(), Fault>;

    /// Hands out at most one batch of events that are due, in their order; none if none is. With a small batch, every key has its turn.
    async fn pull(&self, subscription: &SubscriptionSpec, batch: Batch) -> Result<Vec<Delivery>, Fault>;

    /// Acknowledges deliveries and puts off those that were rejected. An acknowledgement that comes late or twice changes
    /// nothing, nor does a rejection of an attempt that is over.
    async fn settle(
        &self,
        subscription: &SubscriptionSpec,
        acknowledged: &[String],
        rejected: &[Rejection],
    ) -> Result<(), Fault>;

    /// How far the subscription has come.
    async fn progress(&self, subscription: &SubscriptionSpec) -> Result<Progress, Fault>;

    /// Dead letters behind a place: at most `limit`, and as many as have `bytes` together, but one at least.
    async fn dead_letters(
        &self,
        subscription: &SubscriptionSpec,
        after: Option<i64>,
        limit: u32,
        bytes: usize,
    ) -> Result<DeadLetters, Fault>;

    /// The dead letter of an event.
    async fn dead_letter(&self, subscription: &SubscriptionSpec, offset: i64) -> Result<DeadLetter, Fault>;

    /// Delivers dead letters again.
    async fn redrive(&self, subscription: &SubscriptionSpec, letters: Letters<'_>) -> Result<Redriven, Fault>;

    /// Drops dead letters for good; returns how many.
    async fn purge(&self, subscription: &SubscriptionSpec, letters: Letters<'_>) -> Result<u64, Fault>;

    /// Drops what is too old or too much of a topic. A store that does so by itself has nothing to do.
    async fn sweep(&self, topic: &TopicSpec) -> Result<Swept, Fault>;

    /// Waits until something may be due, or `at_most`.
    async fn wait(&self, topic: Uuid, at_most: Duration);
}

/// How long JetStream knows an event again. PostgreSQL knows it for as long as it is kept.
pub const DUPLICATE_WINDOW: Duration = Duration::from_hours(2);

/// What is said of something that is no event.
pub(crate) const NO_EVENT: &str = "what is stored cannot be read as an event";

pub(crate) fn topic_not_found() -> Fault {
    Fault::new(
        Code::NotFound,
        "TOPIC_NOT_FOUND",
        "không có chủ đề sự kiện này",
        "there is no such topic",
    )
}

pub(crate) fn subscription_not_found() -> Fault {
    Fault::new(
        Code::NotFound,
        "SUBSCRIPTION_NOT_FOUND",
        "không có đăng ký nhận sự kiện này",
        "there is no such subscription",
    )
}

pub(crate) fn dead_letter_not_found() -> Fault {
    Fault::new(
        Code::NotFound,
        "DEAD_LETTER_NOT_FOUND",
        "không có sự kiện bị từ chối này",
        "there is no such dead letter",
    )
}

pub(crate) fn token_invalid() -> Fault {
    Fault::new(
        Code::InvalidArgument,
        "DELIVERY_TOKEN_INVALID",
        "mã giao nhận không thuộc đăng ký này",
        "the token was not given out for this subscription",
    )
}

pub(crate) fn queue_full() -> Fault {
    Fault::new(
        Code::ResourceExhausted,
        "PUBLISH_QUEUE_FULL",
        "sự kiện đến nhanh hơn khả năng lưu; hãy gửi lại sau",
        "events come faster than they can be stored; send them again later",
    )
    .retry_after(Duration::from_millis(500))
}

pub(crate) fn unavailable(source: impl Into<egov_fault::Source>) -> Fault {
    Fault::new(
        Code::Unavailable,
        "EVENT_STORE_UNAVAILABLE",
        "kho sự kiện tạm thời không truy cập được",
        "the store of events cannot be reached at present",
    )
    .retry_after(Duration::from_secs(1))
    .caused_by(source)
}
