//! Events in NATS JetStream.
//!
//! A topic is a stream: replicated, kept by age and bytes, with the server's own window against duplicates. Its subjects are
//! lanes: an event with a key goes into one of [`KEYED_LANES`] by its key, one without a key into a lane of its own, a dead letter
//! that goes out again into a lane of its subscription. A subscription is one durable consumer a lane. A keyed lane's consumer
//! lets one event be under way at a time (`max_ack_pending` 1): that is the server's own guarantee of order, whichever instances
//! fetch. Dead letters lie in a second stream, under a subject each.
//!
//! Several events of one key are published without waiting for each other: each names the event that was sent before it
//! (`Nats-Expected-Last-Msg-Id`), and the server stores it only right behind that one. Whatever is lost on the way takes all that
//! follows with it, so that a batch that was cut in the middle left a beginning of itself, and repeating it stores the rest in order.
//! If another process publishes in between, the server refuses what follows; then the batch goes on by waiting.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{
    ConsumerInfoErrorKind, GetStreamErrorKind, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config as StreamConfig, ConsumerErrorKind, DeleteMessageErrorKind, DiscardPolicy, RawMessageErrorKind,
    RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{self, Context, Message};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use egov_clock::SharedIds;
use egov_fault::Fault;
use futures::future::{join_all, try_join_all};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use uuid::Uuid;

use crate::CloudEvent;
use crate::budget::Budget;
use crate::event::MAX_DATA_BYTES;
use crate::store::{
    Batch, DUPLICATE_WINDOW, DeadLetter, DeadLetters, Delivery, Durability, EventStore, Letters, NO_EVENT, Progress,
    Published, Redriven, Rejection, StartAt, SubscriptionSpec, Swept, TopicSpec, dead_letter_not_found, queue_full,
    subscription_not_found, token_invalid, topic_not_found, unavailable,
};

/// How many lanes the keys of a topic share.
const KEYED_LANES: u8 = 8;

/// The most bytes that one event takes in the stream: its data, and what stands around it.
const LARGEST: usize = MAX_DATA_BYTES + 16 * 1024;

/// How many events of a batch may wait for the server's word at once.
const WAITING: usize = 1024;

/// What is said of an event that was delivered as often as it may be.
const NOT_ACKNOWLEDGED: &str = "not acknowledged in time";

/// How long a lane that may be busy is asked.
const GLANCE: Duration = Duration::from_millis(20);

/// How long an answer of the server may take.
const ANSWER: Duration = Duration::from_secs(5);

/// How long it is asked whether there is a topic that did not answer.
const LOOKED_UP_WITHIN: Duration = Duration::from_secs(1);

/// How long dead letters go out again within one request.
const AT_ONCE: Duration = Duration::from_secs(10);

/// The header of a dead letter that goes out again: where the event lay first.
const OFFSET: &str = "Egov-Offset";
/// Headers of a dead letter.
const ATTEMPTS: &str = "Egov-Attempts";
const CAUSE: &str = "Egov-Cause";

/// JetStream's error codes (`nats-server/server/errors.json`).
const STREAM_NOT_FOUND: u64 = 10059;
const CONSUMER_NOT_FOUND: u64 = 10014;
const NO_MESSAGE: u64 = 10043;

/// How the installation's NATS is used.
#[derive(Clone, Debug)]
pub struct JetStreamConfig {
    /// Its address: `nats://host:port`, several by commas: whichever of them is reached says where the others are.
    pub address: String,
    /// How many servers keep each stream: 1, 3 or 5.
    pub replicas: usize,
    /// The operator says that the servers write to disk before they answer (`sync_interval: always`). A client cannot ask.
    pub sync_always: bool,
    /// How many bytes of events may wait to be stored.
    pub queue_bytes: usize,
}

/// Events in NATS JetStream.
#[derive(Clone)]
pub struct JetStreamStore {
    context: Context,
    config: JetStreamConfig,
    ids: SharedIds,
    budget: Budget,
    /// What this process knows of the subscriptions that it fetches for.
    known: Arc<Mutex<HashMap<Uuid, Arc<Lanes>>>>,
    /// Held by whoever sends the events of a batch, not while it waits for the server's word: what is sent upon each other is not
    /// broken up by another batch of this process.
    sending: Arc<tokio::sync::Mutex<()>>,
}

/// A subscription's consumers, and how many events of each are believed to be under way.
struct Lanes {
    consumers: Vec<(String, PullConsumer, usize)>,
    busy: Mutex<HashMap<String, usize>>,
    /// Which lane is asked first: another one each time, so that a small batch starves none.
    turn: AtomicUsize,
}

impl Lanes {
    fn under_way(&self, lane: &str) -> usize {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.get(lane).copied().unwrap_or_default()
    }

    fn count(&self, lane: &str, change: impl FnOnce(usize) -> usize) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let count = busy.entry(lane.to_owned()).or_default();
        *count = change(*count);
    }
}

impl fmt::Debug for JetStreamStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamStore")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The lane of a key in JetStream, where keys of one lane wait for each other.
pub fn lane(key: &str) -> u8 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    digest.as_ref().first().copied().unwrap_or_default() % KEYED_LANES
}

fn stream_name(topic: Uuid) -> String {
    format!("egov_{}", topic.simple())
}

fn dead_stream_name(topic: Uuid) -> String {
    format!("egov_dead_{}", topic.simple())
}

fn subject(topic: Uuid, lane: &str) -> String {
    format!("egov.events.{}.{lane}", topic.simple())
}

fn dead_subject(subscription: &SubscriptionSpec, place: &str) -> String {
    format!(
        "egov.dead.{}.{}.{place}",
        subscription.topic.simple(),
        subscription.id.simple()
    )
}

/// Every lane of a subscription, with what filters it and how many events of it may be under way.
fn lanes(subscription: &SubscriptionSpec) -> Vec<(String, String, usize)> {
    let free = usize::try_from(subscription.max_in_flight).unwrap_or(1);
    let topic = subscription.topic;
    let mut all: Vec<_> = (0..KEYED_LANES)
        .map(|lane| (format!("k{lane}"), subject(topic, &format!("k{lane}")), 1))
        .collect();
    all.push(("u".to_owned(), subject(topic, "u"), free));
    let again = subject(topic, &format!("r.{}", subscription.id.simple()));
    all.push(("r".to_owned(), again, free));
    all
}

fn consumer_name(subscription: Uuid, lane: &str) -> String {
    format!("{}_{lane}", subscription.simple())
}

/// The parts of an acknowledgement's subject, which is what a token holds.
struct Receipt {
    reply: String,
    lane: String,
    attempt: u32,
    sequence: u64,
}

impl Receipt {
    fn open(token: &str, subscription: &SubscriptionSpec) -> Result<Self, Fault> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| token_invalid())?;
        let reply = String::from_utf8(bytes).map_err(|_| token_invalid())?;
        if !reply
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"$._-".contains(&byte))
        {
            return Err(token_invalid());
        }
        let parts: Vec<&str> = reply.split('.').collect();
        // ADR-15: the first form has nine parts; the second adds domain and account before the stream.
        let (stream, consumer, attempt, sequence) = match parts.as_slice() {
            ["$JS", "ACK", stream, consumer, attempt, sequence, _, _, _]
            | ["$JS", "ACK", _, _, stream, consumer, attempt, sequence, ..] => {
                (*stream, *consumer, *attempt, *sequence)
            }
            _ => return Err(token_invalid()),
        };
        let (owner, lane) = consumer.split_once('_').ok_or_else(token_invalid)?;
        if stream != stream_name(subscription.topic) || owner != subscription.id.simple().to_string() {
            return Err(token_invalid());
        }
        Ok(Self {
            lane: lane.to_owned(),
            attempt: attempt.parse().map_err(|_| token_invalid())?,
            sequence: sequence.parse().map_err(|_| token_invalid())?,
            reply,
        })
    }
}

impl JetStreamStore {
    /// Connects. The connection heals by itself; calls meanwhile fail with `EVENT_STORE_UNAVAILABLE`.
    pub async fn connect(config: JetStreamConfig, ids: SharedIds) -> Result<Self, Fault> {
        let addresses: Vec<&str> = config.address.split(',').map(str::trim).collect();
        let client = async_nats::ConnectOptions::new()
            .name("egov")
            .request_timeout(Some(ANSWER))
            .connect(addresses)
            .await
            .map_err(unavailable)?;
        let context = jetstream::context::ContextBuilder::new()
            .timeout(ANSWER)
            .ack_timeout(ANSWER)
            .max_ack_inflight(4096)
            .build(client);
        Ok(Self {
            context,
            budget: Budget::of_bytes(config.queue_bytes),
            config,
            ids,
            known: Arc::default(),
            sending: Arc::default(),
        })
    }

    async fn stream(&self, name: String) -> Result<Stream, Fault> {
        self.context.get_stream(name).await.map_err(|error| match error.kind() {
            GetStreamErrorKind::JetStream(said) if said.error_code().0 == STREAM_NOT_FOUND => topic_not_found(),
            _ => unavailable(error),
        })
    }

    /// The consumers of a subscription, asked for once a process.
    async fn lanes(&self, subscription: &SubscriptionSpec) -> Result<Arc<Lanes>, Fault> {
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&subscription.id)
            .cloned();
        if let Some(lanes) = known {
            return Ok(lanes);
        }
        let stream = self.stream(stream_name(subscription.topic)).await?;
        let consumers = try_join_all(lanes(subscription).into_iter().map(|(lane, _, most)| {
            let stream = &stream;
            async move {
                let name = consumer_name(subscription.id, &lane);
                match self
                    .context
                    .get_consumer_from_stream::<pull::Config, _, _>(&name, stream.cached_info().config.name.as_str())
                    .await
                {
                    Ok(consumer) => Ok((lane, consumer, most)),
                    Err(error) => Err(match error.kind() {
                        ConsumerErrorKind::JetStream(said) if said.error_code().0 == CONSUMER_NOT_FOUND => {
                            subscription_not_found()
                        }
                        _ => unavailable(error),
                    }),
                }
            }
        }))
        .await?;
        let lanes = Arc::new(Lanes {
            consumers,
            busy: Mutex::default(),
            turn: AtomicUsize::new(0),
        });
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(subscription.id, Arc::clone(&lanes));
        Ok(lanes)
    }

    fn forget(&self, subscription: Uuid) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&subscription);
    }

    /// Asks every lane once, another one first each time, as long as there is room in the batch; what was delivered too often is
    /// given up on the way, what is not wanted is acknowledged.
    async fn sweep_lanes(
        &self,
        subscription: &SubscriptionSpec,
        lanes: &Lanes,
        batch: Batch,
        asked: &mut bool,
    ) -> Result<Vec<Delivery>, Fault> {
        let count = lanes.consumers.len();
        let first = lanes.turn.fetch_add(1, Ordering::Relaxed) % count.max(1);
        let mut waiting: VecDeque<_> = lanes.consumers.iter().cycle().skip(first).take(count).collect();
        let mut events = usize::try_from(batch.events).unwrap_or(usize::MAX);
        let mut bytes = batch.bytes;
        let mut deliveries = Vec::new();
        // The first lane may have an event that is larger than the batch.
        while events > 0 && (bytes >= LARGEST || deliveries.is_empty()) {
            // So many at once that the largest events of all of them fit.
            let at_once = (bytes / LARGEST).clamp(1, events).min(waiting.len());
            if at_once == 0 {
                break;
            }
            let room = bytes / at_once;
            // Where there is no room for two of the largest, one comes, whatever its size.
            let (each, room) = if room < LARGEST {
                (1, LARGEST)
            } else {
                (events / at_once, room)
            };
            let asking: Vec<_> = waiting.drain(..at_once).collect();
            let fetches = asking
                .iter()
                .map(|(lane, consumer, most)| fetch(lanes, lane, consumer, *most, each.min(*most), room));
            for (one, (lane, fetched)) in asking.iter().zip(join_all(fetches).await) {
                let fetched = fetched?;
                if fetched.len() == each && each < one.2 {
                    // There may be more, if there is room after everybody was asked.
                    waiting.push_back(one);
                }
                for message in fetched {
                    *asked = true;
                    let size = message.payload.len();
                    if let Some(delivery) = self.receive(subscription, lanes, lane, &message).await? {
                        events = events.saturating_sub(1);
                        bytes = bytes.saturating_sub(size);
                        deliveries.push(delivery);
                    }
                }
            }
        }
        deliveries.sort_by_key(|delivery| delivery.offset);
        Ok(deliveries)
    }

    async fn receive(
        &self,
        subscription: &SubscriptionSpec,
        lanes: &Lanes,
        lane: &str,
        message: &Message,
    ) -> Result<Option<Delivery>, Fault> {
        let info = message.info().map_err(unavailable)?;
        let attempt = u32::try_from(info.delivered).unwrap_or(u32::MAX);
        let offset = first_offset(message.headers.as_ref(), info.stream_sequence);
        let read = if attempt > subscription.max_attempts {
            Err((attempt - 1, NOT_ACKNOWLEDGED))
        } else {
            CloudEvent::decode(&message.payload).map_err(|error| {
                tracing::error!(subscription = %subscription.id, offset, %error, "{NO_EVENT}");
                (attempt, NO_EVENT)
            })
        };
        let event = match read {
            Ok(event) if subscription.types.is_empty() || subscription.types.contains(&event.kind) => event,
            passed_by => {
                if let Err((attempts, cause)) = passed_by {
                    self.bury(subscription, offset, attempts, cause, message.payload.clone())
                        .await?;
                }
                message.double_ack().await.map_err(unavailable)?;
                lanes.count(lane, |count| count.saturating_sub(1));
                return Ok(None);
            }
        };
        let reply = message.reply.as_deref().unwrap_or_default();
        Ok(Some(Delivery {
            token: URL_SAFE_NO_PAD.encode(reply),
            offset,
            attempt,
            publish_time: from_nats(info.published),
            event,
        }))
    }

    /// Sends events, if `chained` each upon the one before it, and does not wait for the server's word on them.
    async fn send(
        &self,
        topic: Uuid,
        run: &[CloudEvent],
        chained: bool,
    ) -> Result<Vec<PublishAckFuture>, PublishError> {
        let _sending = tokio::time::timeout(ANSWER, self.sending.lock())
            .await
            .map_err(|_| PublishError::new(PublishErrorKind::TimedOut))?;
        let mut sent = Vec::with_capacity(run.len());
        let mut before: Option<String> = None;
        for event in run {
            let lane = event
                .partition_key
                .as_deref()
                .map_or_else(|| "u".to_owned(), |key| format!("k{}", lane(key)));
            let id = event.dedupe().simple().to_string();
            let mut message = PublishMessage::build().message_id(&id).payload(event.encode().into());
            if chained && let Some(before) = &before {
                message = message.expected_last_message_id(before);
            }
            sent.push(self.context.send_publish(subject(topic, &lane), message).await?);
            before = Some(id);
        }
        Ok(sent)
    }

    /// What is told of a publication that came to nothing. Nobody answers for a topic that is not there, nor for one whose servers are
    /// just choosing who leads them.
    async fn not_stored(&self, topic: Uuid, error: PublishError) -> Fault {
        match error.kind() {
            PublishErrorKind::MaxAckPending => queue_full(),
            PublishErrorKind::StreamNotFound => {
                match tokio::time::timeout(LOOKED_UP_WITHIN, self.stream(stream_name(topic))).await {
                    Ok(Err(fault)) => fault,
                    Ok(Ok(_)) | Err(_) => unavailable(error),
                }
            }
            _ => unavailable(error),
        }
    }

    /// Puts an event among the dead letters: under a subject of its own, so that twice is once.
    async fn bury(
        &self,
        subscription: &SubscriptionSpec,
        offset: i64,
        attempts: u32,
        cause: &str,
        payload: Bytes,
    ) -> Result<(), Fault> {
        // A header is one line.
        let cause: String = cause.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let message = PublishMessage::build()
            .payload(payload)
            .header(ATTEMPTS, attempts.to_string().as_str())
            .header(CAUSE, cause.as_str());
        let sent = self
            .context
            .send_publish(dead_subject(subscription, &offset.to_string()), message)
            .await;
        sent.map_err(unavailable)?.await.map(drop).map_err(unavailable)
    }

    async fn answer(&self, reply: String, words: Bytes) -> Result<(), Fault> {
        self.context
            .client()
            .request(reply, words)
            .await
            .map(drop)
            .map_err(unavailable)
    }

    async fn reject(&self, subscription: &SubscriptionSpec, lanes: &Lanes, rejection: &Rejection) -> Result<(), Fault> {
        let receipt = Receipt::open(&rejection.token, subscription)?;
        if receipt.attempt >= subscription.max_attempts {
            let stream = self.stream(stream_name(subscription.topic)).await?;
            match stream.get_raw_message(receipt.sequence).await {
                Ok(message) => {
                    let offset = first_offset(Some(&message.headers), message.sequence);
                    self.bury(subscription, offset, receipt.attempt, &rejection.cause, message.payload)
                        .await?;
                }
                // Retention has taken it.
                Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => {}
                // Never ended unburied: it comes again.
                Err(error) => return Err(unavailable(error)),
            }
            self.answer(receipt.reply, Bytes::from_static(b"+TERM")).await?;
            lanes.count(&receipt.lane, |count| count.saturating_sub(1));
            return Ok(());
        }
        let pause = rejection
            .retry_after
            .unwrap_or_else(|| subscription.backoff.draw(receipt.attempt, self.ids.as_ref()));
        let words = format!("-NAK {{\"delay\": {}}}", pause.as_nanos().max(1));
        self.answer(receipt.reply, words.into()).await
    }

    /// The first letter from a place on, and the bytes that are stored of it.
    async fn dead_letter_at(
        &self,
        stream: &Stream,
        subject: &str,
        from: u64,
    ) -> Result<Option<(DeadLetter, Bytes)>, Fault> {
        let asked = stream.raw_message_builder().sequence(from).next_by_subject(subject);
        match asked.send().await {
            Ok(message) => {
                let header = |name: &str| message.headers.get(name).map(ToString::to_string);
                let offset = message.subject.rsplit('.').next().and_then(|place| place.parse().ok());
                let letter = DeadLetter {
                    place: i64::try_from(message.sequence).unwrap_or(i64::MAX),
                    offset: offset.unwrap_or_default(),
                    attempts: header(ATTEMPTS)
                        .and_then(|count| count.parse().ok())
                        .unwrap_or_default(),
                    cause: header(CAUSE).unwrap_or_default(),
                    dead_time: from_nats(message.time),
                    event: CloudEvent::decode(&message.payload).ok(),
                };
                Ok(Some((letter, message.payload)))
            }
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The letters of these events, as far as there are any.
    async fn named(
        &self,
        subscription: &SubscriptionSpec,
        dead: &Stream,
        offsets: &[i64],
    ) -> Result<Vec<(DeadLetter, Bytes)>, Fault> {
        let mut found = Vec::with_capacity(offsets.len());
        for offset in offsets {
            let subject = dead_subject(subscription, &offset.to_string());
            found.extend(self.dead_letter_at(dead, &subject, 1).await?);
        }
        Ok(found)
    }

    /// The place in the stream up to which the letters of a subject were given up until an instant; not included. They lie in the
    /// order of their times, so that a handful of looks find it, however many there are.
    async fn place_after(&self, dead: &Stream, subject: &str, until: Timestamp) -> Result<u64, Fault> {
        let state = dead.get_info().await.map_err(unavailable)?.state;
        let (mut low, mut high) = (state.first_sequence.max(1), state.last_sequence.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.dead_letter_at(dead, subject, middle).await? {
                Some((letter, _)) if letter.dead_time <= until => {
                    low = u64::try_from(letter.place).unwrap_or(u64::MAX).saturating_add(1);
                }
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Sends a dead letter out again, and drops it.
    async fn send_again(
        &self,
        subscription: &SubscriptionSpec,
        dead: &Stream,
        (letter, content): &(DeadLetter, Bytes),
    ) -> Result<(), Fault> {
        let again = subject(subscription.topic, &format!("r.{}", subscription.id.simple()));
        let message = PublishMessage::build()
            // A second attempt at the same redrive, after this process died in between, is known again.
            .message_id(format!("redrive-{}-{}", subscription.id.simple(), letter.place))
            .header(OFFSET, letter.offset.to_string().as_str())
            .payload(content.clone());
        let sent = self.context.send_publish(again, message).await;
        sent.map_err(unavailable)?.await.map_err(unavailable)?;
        self.drop_dead(dead, letter).await?;
        Ok(())
    }

    /// Drops this letter, and not a later one of the same event.
    async fn drop_dead(&self, stream: &Stream, letter: &DeadLetter) -> Result<bool, Fault> {
        match stream
            .delete_message(u64::try_from(letter.place).unwrap_or_default())
            .await
        {
            Ok(dropped) => Ok(dropped),
            Err(error) => match error.kind() {
                // Somebody else dropped it meanwhile.
                DeleteMessageErrorKind::JetStream(said) if said.error_code().0 == NO_MESSAGE => Ok(false),
                _ => Err(unavailable(error)),
            },
        }
    }
}

/// Asks a lane. One that has room answers at once, with what it has; one that may be full is given a glance, because its
/// server would keep the question open.
async fn fetch<'a>(
    lanes: &'a Lanes,
    lane: &'a str,
    consumer: &'a PullConsumer,
    most: usize,
    take: usize,
    bytes: usize,
) -> (&'a str, Result<Vec<Message>, Fault>) {
    // Never for more than there is room: the server would keep the question open, and what it gave meanwhile would come due again.
    let free = most.saturating_sub(lanes.under_way(lane));
    let take = if free > 0 { take.min(free) } else { take }.max(1);
    let asked = if free > 0 {
        consumer.fetch().max_messages(take).max_bytes(bytes).messages().await
    } else {
        let asked = consumer.batch().max_messages(take).max_bytes(bytes);
        asked.expires(GLANCE).messages().await
    };
    let messages = match asked {
        Ok(mut batch) => {
            let mut messages = Vec::new();
            loop {
                // Another instance may have filled the lane meanwhile.
                match tokio::time::timeout(Duration::from_millis(500), batch.next()).await {
                    Ok(Some(Ok(message))) => messages.push(message),
                    // The next does not fit any more.
                    Ok(Some(Err(error))) if error.to_string().contains("MaxBytes") => break Ok(messages),
                    Ok(Some(Err(error))) => break Err(unavailable(error.to_string())),
                    Ok(None) | Err(_) => break Ok(messages),
                }
            }
        }
        Err(error) => Err(unavailable(error)),
    };
    if let Ok(messages) = &messages {
        lanes.count(lane, |count| (count + messages.len()).min(most));
    }
    (lane, messages)
}

/// The events that are sent before the server's word on them is awaited, and whether each must follow upon the one before it: where a
/// key comes twice. Unless that is wanted, the second event of a key begins the next run.
fn run_of(rest: &[CloudEvent], upon_each_other: bool) -> (&[CloudEvent], bool) {
    let most = rest.get(..WAITING).unwrap_or(rest);
    let mut keys = HashSet::new();
    let again = most.iter().position(|event| {
        let key = event.partition_key.as_deref();
        key.is_some_and(|key| !keys.insert(key))
    });
    match again {
        Some(_) if upon_each_other => (most, true),
        Some(place) => (most.get(..place).unwrap_or(most), false),
        None => (most, false),
    }
}

/// Waits for the server's word on everything that was sent, and takes in what was stored, up to the first that did not follow upon
/// the one before it; whether there was none of that kind.
async fn settle_sent(sent: Vec<PublishAckFuture>, published: &mut Vec<Published>) -> Result<bool, PublishError> {
    let mut followed = true;
    for acknowledged in sent {
        match acknowledged.await {
            Ok(acknowledged) if followed => published.push(Published {
                offset: i64::try_from(acknowledged.sequence).unwrap_or(i64::MAX),
                duplicate: acknowledged.duplicate,
            }),
            // It was stored before; sent again it says where.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), PublishErrorKind::WrongLastMessageId) => followed = false,
            Err(error) => return Err(error),
        }
    }
    Ok(followed)
}

/// Where an event lay first: a dead letter that goes out again says so.
fn first_offset(headers: Option<&async_nats::HeaderMap>, sequence: u64) -> i64 {
    headers
        .and_then(|headers| headers.get(OFFSET))
        .and_then(|offset| offset.as_str().parse().ok())
        .unwrap_or_else(|| i64::try_from(sequence).unwrap_or(i64::MAX))
}

fn from_nats(at: async_nats::datetime::DateTime) -> Timestamp {
    Timestamp::from_nanosecond(at.unix_timestamp_nanos()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[async_trait]
impl EventStore for JetStreamStore {
    async fn durability(&self) -> Result<Durability, Fault> {
        let version = self.context.client().server_info().version;
        let knows_sync = async_nats::Client::is_server_compatible(&self.context.client(), 2, 10, 0);
        let (replicas, synced) = (self.config.replicas, self.config.sync_always && knows_sync);
        let words = if replicas >= 3 {
            format!("NATS JetStream {version}: {replicas} replicas")
        } else if synced {
            format!("NATS JetStream {version}: sync_interval always")
        } else {
            format!(
                "NATS JetStream {version}: {replicas} replica, written to disk every two minutes; it takes three replicas, or \
                 sync_interval: always on servers from 2.10"
            )
        };
        Ok(Durability {
            durable: replicas >= 3 || synced,
            words,
        })
    }

    async fn open_topic(&self, topic: &TopicSpec) -> Result<(), Fault> {
        let events = StreamConfig {
            name: stream_name(topic.id),
            subjects: vec![subject(topic.id, ">")],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: self.config.replicas,
            max_age: topic.max_age,
            max_bytes: topic.max_bytes,
            duplicate_window: DUPLICATE_WINDOW.min(topic.max_age),
            ..StreamConfig::default()
        };
        let dead = StreamConfig {
            name: dead_stream_name(topic.id),
            subjects: vec![format!("egov.dead.{}.>", topic.id.simple())],
            max_messages_per_subject: 1,
            max_age: Duration::ZERO,
            max_bytes: -1,
            duplicate_window: Duration::from_mins(2),
            ..events.clone()
        };
        for config in [events, dead] {
            self.context
                .create_or_update_stream(config)
                .await
                .map_err(unavailable)?;
        }
        Ok(())
    }

    async fn publish(&self, topic: Uuid, events: Vec<CloudEvent>) -> Result<Vec<Published>, Fault> {
        let _room = self.budget.take(&events)?;
        let mut published = Vec::with_capacity(events.len());
        let mut upon_each_other = true;
        loop {
            let rest = events.get(published.len()..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(published);
            }
            let (run, chained) = run_of(rest, upon_each_other);
            let settled = match self.send(topic, run, chained).await {
                Ok(sent) => settle_sent(sent, &mut published).await,
                Err(error) => Err(error),
            };
            match settled {
                Ok(true) => {}
                // Somebody else's event came in between. Who is so busy may come again: the rest goes by waiting for each other.
                Ok(false) => upon_each_other = false,
                Err(error) => return Err(self.not_stored(topic, error).await),
            }
        }
    }

    async fn subscribe(&self, subscription: &SubscriptionSpec) -> Result<(), Fault> {
        let stream = self.stream(stream_name(subscription.topic)).await?;
        let deliver_policy = match subscription.start {
            StartAt::New => DeliverPolicy::New,
            StartAt::Oldest => DeliverPolicy::All,
            StartAt::Time(at) => DeliverPolicy::ByStartTime {
                start_time: async_nats::datetime::DateTime::from_unix_timestamp_nanos(at.as_nanosecond())
                    .map_err(Fault::internal)?,
            },
        };
        for (lane, filter_subject, most) in lanes(subscription) {
            let name = consumer_name(subscription.id, &lane);
            let config = pull::Config {
                durable_name: Some(name.clone()),
                ack_policy: AckPolicy::Explicit,
                // What goes out again does so because somebody asked for it after the subscription began.
                deliver_policy: if lane == "r" {
                    DeliverPolicy::All
                } else {
                    deliver_policy
                },
                ack_wait: subscription.acknowledge_within,
                filter_subject,
                max_ack_pending: i64::try_from(most).unwrap_or(i64::MAX),
                ..pull::Config::default()
            };
            match stream.consumer_info(&name).await {
                Ok(_) => {}
                Err(_) => match stream.create_consumer(config).await {
                    Ok(_) => {}
                    Err(error) => {
                        return Err(match error.kind() {
                            ConsumerErrorKind::JetStream(said) if said.error_code().0 == STREAM_NOT_FOUND => {
                                topic_not_found()
                            }
                            _ => unavailable(error),
                        });
                    }
                },
            }
        }
        Ok(())
    }

    async fn unsubscribe(&self, subscription: &SubscriptionSpec) -> Result<(), Fault> {
        self.forget(subscription.id);
        let stream = self.stream(stream_name(subscription.topic)).await?;
        for (lane, _, _) in lanes(subscription) {
            match stream.delete_consumer(&consumer_name(subscription.id, &lane)).await {
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ConsumerErrorKind::JetStream(said) if said.error_code().0 == CONSUMER_NOT_FOUND => {}
                    _ => return Err(unavailable(error)),
                },
            }
        }
        let dead = self.stream(dead_stream_name(subscription.topic)).await?;
        let all = dead.purge().filter(dead_subject(subscription, ">")).await;
        all.map(drop).map_err(unavailable)
    }

    async fn pull(&self, subscription: &SubscriptionSpec, batch: Batch) -> Result<Vec<Delivery>, Fault> {
        let lanes = self.lanes(subscription).await?;
        loop {
            let mut asked = false;
            let deliveries = match self.sweep_lanes(subscription, &lanes, batch, &mut asked).await {
                Ok(deliveries) => deliveries,
                Err(fault) => {
                    self.forget(subscription.id);
                    return Err(fault);
                }
            };
            // What came was given up or not wanted: there may be more behind it.
            if !deliveries.is_empty() || !asked {
                return Ok(deliveries);
            }
        }
    }

    async fn settle(
        &self,
        subscription: &SubscriptionSpec,
        acknowledged: &[String],
        rejected: &[Rejection],
    ) -> Result<(), Fault> {
        let lanes = self.lanes(subscription).await?;
        let receipts = acknowledged
            .iter()
            .map(|token| Receipt::open(token, subscription))
            .collect::<Result<Vec<_>, _>>()?;
        // Each waits for the server's word: an acknowledgement that got lost would deliver the event again.
        futures::stream::iter(receipts)
            .map(|receipt| async move {
                (
                    self.answer(receipt.reply, Bytes::from_static(b"+ACK")).await,
                    receipt.lane,
                )
            })
            .buffer_unordered(256)
            .map(|(answered, lane)| {
                lanes.count(&lane, |count| count.saturating_sub(usize::from(answered.is_ok())));
                answered
            })
            .try_collect::<()>()
            .await?;
        for rejection in rejected {
            self.reject(subscription, &lanes, rejection).await?;
        }
        Ok(())
    }

    async fn progress(&self, subscription: &SubscriptionSpec) -> Result<Progress, Fault> {
        let stream = self.stream(stream_name(subscription.topic)).await?;
        let mut progress = Progress::default();
        for (lane, _, _) in lanes(subscription) {
            let info = stream
                .consumer_info(consumer_name(subscription.id, &lane))
                .await
                .map_err(|error| match error.kind() {
                    ConsumerInfoErrorKind::NotFound => subscription_not_found(),
                    _ => unavailable(error),
                })?;
            let under_way = i64::try_from(info.num_ack_pending).unwrap_or(i64::MAX);
            progress.lag += i64::try_from(info.num_pending).unwrap_or(i64::MAX) + under_way;
            progress.in_flight += under_way;
        }
        let dead = self.stream(dead_stream_name(subscription.topic)).await?;
        let letters = dead
            .info_with_subjects(dead_subject(subscription, ">"))
            .await
            .map_err(unavailable)?;
        // Counted as they come: each has a subject of its own, and there may be very many.
        progress.dead_letters = letters
            .try_fold(0_i64, |count, _| std::future::ready(Ok(count.saturating_add(1))))
            .await
            .map_err(unavailable)?;
        Ok(progress)
    }

    async fn dead_letters(
        &self,
        subscription: &SubscriptionSpec,
        after: Option<i64>,
        limit: u32,
        bytes: usize,
    ) -> Result<DeadLetters, Fault> {
        let stream = self.stream(dead_stream_name(subscription.topic)).await?;
        let subject = dead_subject(subscription, "*");
        let mut from = after
            .and_then(|place| u64::try_from(place).ok())
            .map_or(1, |place| place + 1);
        let mut letters: Vec<DeadLetter> = Vec::new();
        let mut taken = 0_usize;
        while let Some((letter, content)) = self.dead_letter_at(&stream, &subject, from).await? {
            taken = taken.saturating_add(content.len());
            let full = u32::try_from(letters.len()).is_ok_and(|count| count >= limit);
            if full || (taken > bytes && !letters.is_empty()) {
                return Ok(DeadLetters { letters, more: true });
            }
            from = u64::try_from(letter.place).unwrap_or(u64::MAX).saturating_add(1);
            letters.push(letter);
        }
        Ok(DeadLetters { letters, more: false })
    }

    async fn dead_letter(&self, subscription: &SubscriptionSpec, offset: i64) -> Result<DeadLetter, Fault> {
        let stream = self.stream(dead_stream_name(subscription.topic)).await?;
        self.dead_letter_at(&stream, &dead_subject(subscription, &offset.to_string()), 1)
            .await?
            .map(|(letter, _)| letter)
            .ok_or_else(dead_letter_not_found)
    }

    async fn redrive(&self, subscription: &SubscriptionSpec, letters: Letters<'_>) -> Result<Redriven, Fault> {
        let dead = self.stream(dead_stream_name(subscription.topic)).await?;
        let mut redriven = 0;
        let until = match letters {
            Letters::At(offsets) => {
                for letter in self.named(subscription, &dead, offsets).await? {
                    self.send_again(subscription, &dead, &letter).await?;
                    redriven += 1;
                }
                return Ok(Redriven {
                    letters: redriven,
                    more: false,
                });
            }
            Letters::Until(until) => until,
        };
        // Each is a message to the server. The request that asks for it waits, so it goes on for a while only, and says so.
        let enough = tokio::time::Instant::now() + AT_ONCE;
        let (subject, mut from) = (dead_subject(subscription, "*"), 1);
        while let Some(letter) = self.dead_letter_at(&dead, &subject, from).await? {
            let over = letter.0.dead_time > until;
            if over || tokio::time::Instant::now() >= enough {
                return Ok(Redriven {
                    letters: redriven,
                    more: !over,
                });
            }
            self.send_again(subscription, &dead, &letter).await?;
            redriven += 1;
            from = u64::try_from(letter.0.place).unwrap_or(u64::MAX).saturating_add(1);
        }
        Ok(Redriven {
            letters: redriven,
            more: false,
        })
    }

    async fn purge(&self, subscription: &SubscriptionSpec, letters: Letters<'_>) -> Result<u64, Fault> {
        let dead = self.stream(dead_stream_name(subscription.topic)).await?;
        match letters {
            Letters::At(offsets) => {
                let mut purged = 0;
                for (letter, _) in self.named(subscription, &dead, offsets).await? {
                    purged += u64::from(self.drop_dead(&dead, &letter).await?);
                }
                Ok(purged)
            }
            // The server drops them all at one word, however many there are.
            Letters::Until(until) => {
                let subject = dead_subject(subscription, "*");
                let place = self.place_after(&dead, &subject, until).await?;
                let purged = dead.purge().filter(subject).sequence(place).await;
                Ok(purged.map_err(unavailable)?.purged)
            }
        }
    }

    async fn sweep(&self, topic: &TopicSpec) -> Result<Swept, Fault> {
        // The server keeps to `max_age` and `max_bytes` by itself, if it was told: whoever changed the topic may have died before.
        let told = match self.stream(stream_name(topic.id)).await {
            Ok(stream) => {
                let config = &stream.cached_info().config;
                (config.max_age, config.max_bytes) == (topic.max_age, topic.max_bytes)
            }
            // Its first publication makes it.
            Err(fault) if fault.reason() == topic_not_found().reason() => true,
            Err(fault) => return Err(fault),
        };
        if !told {
            self.open_topic(topic).await?;
        }
        Ok(Swept::default())
    }

    async fn wait(&self, _topic: Uuid, at_most: Duration) {
        tokio::time::sleep(at_most.min(Duration::from_millis(100))).await;
    }
}
