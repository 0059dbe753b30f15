//! Records exchanges, in groups: while one batch is being stored the next gathers, so that under load one commit holds the
//! beginnings and the ends of many calls.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use egov_auth::RowScope;
use egov_database::{Database, Leaf, UnitOfWork, stored_instant};
use egov_door::{Begun, Ended, Journal, Promise, Refusal, Tally, refusal};
use egov_fault::Fault;
use egov_keyring::Keyring;
use egov_transparency::{Log, leaf_hash};
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::exchange::{Exchange, LEAF_KIND, LEAF_VERSION, Outcome, Passed, canonical};
use crate::domain::traffic::of_exchanges;
use crate::error::Error;
use crate::meters::JournalMeters;
use crate::sealing::seal;
use crate::store::{exchanges, traffic};

/// The most records in one transaction.
const BATCH: usize = 256;

/// How many records may wait; more have to wait to wait.
const QUEUE: usize = 4 * BATCH;

/// The most bytes of bodies in one transaction: a statement must stay far below what PostgreSQL takes.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The most bytes of bodies that may wait; calls with more are refused.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// How long a batch may take before its calls are refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// The direction of a request, as bodies are stored.
pub(crate) const REQUEST: &str = "request";

/// The direction of an answer, as bodies are stored.
pub(crate) const RESPONSE: &str = "response";

/// What binds a sealed body to its exchange.
pub(crate) fn sealed_for(exchange_id: Uuid, direction: &str) -> Vec<u8> {
    [
        b"egov exchange body ",
        exchange_id.as_bytes().as_slice(),
        direction.as_bytes(),
    ]
    .concat()
}

/// The journal of one instance of the door.
#[derive(Clone)]
pub(crate) struct ExchangeJournal {
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    /// How many exchanges were begun whose end is not stored.
    open: Arc<watch::Sender<usize>>,
    instance_id: Uuid,
    meters: JournalMeters,
}

enum Waiting {
    Begin(Box<Begun>, oneshot::Sender<bool>, Room),
    End(Box<Ended>, Option<oneshot::Sender<Option<Promise>>>, Room, Counted),
}

/// Counts an exchange as open until this is dropped.
struct Counted(Option<Arc<watch::Sender<usize>>>);

impl Counted {
    /// An exchange that begins.
    fn more(open: &Arc<watch::Sender<usize>>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(Some(Arc::clone(open)))
    }

    /// One that was begun, and ends.
    fn begun(open: &Arc<watch::Sender<usize>>) -> Self {
        Self(Some(Arc::clone(open)))
    }

    /// It stays open.
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.send_modify(|open| *open = open.saturating_sub(1));
        }
    }
}

/// The room that a record's body takes among those that wait, given back when it is stored.
type Room = Option<OwnedSemaphorePermit>;

impl Waiting {
    fn bytes(&self) -> usize {
        let body = match self {
            Self::Begin(begun, ..) => &begun.body,
            Self::End(ended, ..) => &ended.body,
        };
        body.as_ref().map_or(0, Bytes::len)
    }
}

/// What writes.
struct Writer {
    database: Database,
    keyring: Arc<Keyring>,
    log: Arc<Log>,
    instance_id: Uuid,
    meters: JournalMeters,
}

impl ExchangeJournal {
    /// Starts the journal's task on the present runtime; it ends after the last clone is gone and everything is stored.
    pub(crate) fn start(database: Database, keyring: Arc<Keyring>, log: Arc<Log>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let instance_id = database.ids().uuid();
        let meters = JournalMeters::new();
        let writer = Arc::new(Writer {
            database,
            keyring,
            log,
            instance_id,
            meters: meters.clone(),
        });
        tokio::spawn(run(writer, waiting));
        Self {
            queue,
            room: Arc::new(Semaphore::new(WAITING_BYTES)),
            open: Arc::new(watch::Sender::new(0)),
            instance_id,
            meters,
        }
    }

    /// Waits until every exchange that was begun here has its end in the database; for the time after the last call. Ends at
    /// `stop` otherwise, and says how many it leaves to the sweep.
    pub(crate) async fn settled(&self, stop: CancellationToken) -> Result<(), Unsettled> {
        let mut open = self.open.subscribe();
        tokio::select! {
            // The sender lives as long as this journal.
            _ = open.wait_for(|open| *open == 0) => return Ok(()),
            () = stop.cancelled() => {}
        }
        let left = *open.borrow();
        Err(Unsettled(left))
    }

    /// Room for a body among those that wait, or a refusal: what a few calls keep must not fail everybody's.
    fn room_for(&self, body: Option<&Bytes>) -> Result<Room, Fault> {
        let Some(length) = body.map(Bytes::len).filter(|length| *length > 0) else {
            return Ok(None);
        };
        u32::try_from(length)
            .ok()
            .and_then(|length| Arc::clone(&self.room).try_acquire_many_owned(length).ok())
            .map(Some)
            .ok_or_else(|| refusal(Refusal::ExchangeNotRecorded))
    }

    /// The instance under which it records.
    pub(crate) fn instance_id(&self) -> Uuid {
        self.instance_id
    }
}

/// Exchanges whose ends were not stored before the process stopped; the sweep will say that their outcome is unknown.
#[derive(Debug, thiserror::Error)]
#[error("the ends of {0} exchanges could not be stored in time")]
pub(crate) struct Unsettled(usize);

impl fmt::Debug for ExchangeJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeJournal")
            .field("instance_id", &self.instance_id)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Journal for ExchangeJournal {
    async fn begin(&self, begun: &Begun) -> Result<(), Fault> {
        let counted = Counted::more(&self.open);
        let room = self.room_for(begun.body.as_ref())?;
        let (stored, answer) = oneshot::channel();
        let asked = Instant::now();
        let waiting = Waiting::Begin(Box::new(begun.clone()), stored, room);
        self.queue
            .send(waiting)
            .await
            .map_err(|_| refusal(Refusal::ExchangeNotRecorded))?;
        let answered = answer.await;
        self.meters.waited(asked.elapsed());
        match answered {
            Ok(true) => {
                counted.keep();
                Ok(())
            }
            _ => Err(refusal(Refusal::ExchangeNotRecorded)),
        }
    }

    async fn end(&self, ended: Ended) -> Result<Promise, Fault> {
        let counted = Counted::begun(&self.open);
        let room = self.room_for(ended.body.as_ref())?;
        let (stored, answer) = oneshot::channel();
        let asked = Instant::now();
        self.queue
            .send(Waiting::End(Box::new(ended), Some(stored), room, counted))
            .await
            .map_err(|_| refusal(Refusal::ExchangeNotRecorded))?;
        let answered = answer.await;
        self.meters.waited(asked.elapsed());
        answered
            .ok()
            .flatten()
            .ok_or_else(|| refusal(Refusal::ExchangeNotRecorded))
    }

    fn abandon(&self, ended: Ended) {
        let counted = Counted::begun(&self.open);
        let waiting = Waiting::End(Box::new(ended), None, None, counted);
        match self.queue.try_send(waiting) {
            Ok(()) => {}
            // Many go at once, as when a connection is cut: each waits for its place in the queue. There are no more of them
            // than there were calls.
            Err(TrySendError::Full(waiting)) => match Handle::try_current() {
                Ok(runtime) => {
                    let queue = self.queue.clone();
                    runtime.spawn(async move { queue.send(waiting).await.is_ok() });
                }
                Err(_) => lost(&self.meters),
            },
            Err(TrySendError::Closed(_)) => lost(&self.meters),
        }
    }
}

/// The exchange is swept to "outcome unknown" later.
fn lost(meters: &JournalMeters) {
    meters.failed(1);
    tracing::warn!("the end of an exchange whose consumer has gone could not be stored");
}

async fn run(writer: Arc<Writer>, mut waiting: mpsc::Receiver<Waiting>) {
    let mut gathered = Vec::with_capacity(BATCH);
    loop {
        if gathered.is_empty() && waiting.recv_many(&mut gathered, BATCH).await == 0 {
            return;
        }
        let later = gathered.split_off(within(&gathered));
        let batch = std::mem::replace(&mut gathered, later);
        let records = batch.len();
        writer.meters.batch(records);
        let storing = Arc::clone(&writer);
        // In a task of its own, so that a panic fails its batch and not every call after it. Dropping the senders tells those
        // who wait.
        let mut task = tokio::spawn(async move { storing.store(batch).await });
        match timeout(PATIENCE, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(panicked)) => {
                writer.meters.failed(records);
                tracing::error!(records, error = %panicked, "the journal of exchanges failed");
            }
            Err(_) => {
                writer.meters.failed(records);
                task.abort();
                tracing::error!(records, "exchanges could not be recorded in time");
            }
        }
    }
}

/// How many of these records go into one transaction: all, or as many as their bodies allow, at least one.
fn within(waiting: &[Waiting]) -> usize {
    let mut bytes = 0;
    let fitting = waiting.iter().take_while(|one| {
        bytes += one.bytes();
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1).min(waiting.len())
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn passed(tally: &Tally) -> Passed {
    Passed {
        hash: tally.hash,
        messages: number(tally.messages),
        bytes: number(tally.bytes),
    }
}

impl Writer {
    fn exchange(&self, begun: &Begun) -> Exchange {
        Exchange {
            exchange_id: begun.exchange_id,
            instance_id: self.instance_id,
            consumer_unit_id: begun.consumer_unit_id,
            provider_unit_id: begun.provider_unit_id,
            consumer_organisation_id: begun.consumer_organisation_id,
            provider_organisation_id: begun.provider_organisation_id,
            agreement_id: begun.agreement_id,
            agreement_version: begun.agreement_version,
            delegation_id: begun.delegation_id,
            service_id: begun.service_id,
            client_id: begun.client_id.clone(),
            caller: begun.caller,
            on_behalf_of: begun.on_behalf_of,
            method: begun.method.clone(),
            purpose: begun.purpose.clone(),
            trace: begun.trace.clone(),
            begin_time: stored_instant(begun.at),
        }
    }

    fn body(&self, begun: &Begun, direction: &'static str, plain: &Bytes, at: Timestamp) -> exchanges::Body {
        let kept = SignedDuration::from_hours(24 * i64::from(begun.retention_days));
        exchanges::Body {
            exchange_id: begun.exchange_id,
            direction,
            consumer_unit_id: begun.consumer_unit_id,
            provider_unit_id: begun.provider_unit_id,
            sealed: seal(&self.keyring, plain, &sealed_for(begun.exchange_id, direction)),
            expire_time: at.checked_add(kept).unwrap_or(Timestamp::MAX),
        }
    }

    /// Stores a batch and answers those who wait. An error answers by dropping the senders.
    async fn store(&self, batch: Vec<Waiting>) {
        let mut begun = Vec::new();
        let mut ended = Vec::new();
        let mut bodies = Vec::new();
        let mut begin_answers = Vec::new();
        let mut end_answers = Vec::new();
        // Given back when all of it is stored, or cannot be.
        let mut held = Vec::new();
        for one in batch {
            match one {
                Waiting::Begin(record, answer, room) => {
                    held.push((room, None));
                    if let Some(body) = &record.body {
                        bodies.push(self.body(&record, REQUEST, body, record.at));
                    }
                    begun.push(self.exchange(&record));
                    begin_answers.push(answer);
                }
                Waiting::End(record, answer, room, counted) => {
                    held.push((room, Some(counted)));
                    if let Some(body) = &record.body {
                        bodies.push(self.body(&record.begun, RESPONSE, body, record.at));
                    }
                    ended.push((self.exchange(&record.begun), outcome_of(&record)));
                    end_answers.push(answer);
                }
            }
        }
        let written = self
            .database
            .write_unkeyed(&RowScope::everything(), async |unit| {
                write(unit, &begun, &ended, &bodies).await
            })
            .await;
        let leaves = match written {
            Ok(leaves) => leaves,
            Err(error) => {
                let records = begun.len() + ended.len();
                self.meters.failed(records);
                tracing::error!(error = ?Fault::from(error), records, "exchanges could not be recorded");
                return;
            }
        };
        for answer in begin_answers {
            // A consumer that went away needs no answer.
            let _ = answer.send(true);
        }
        for (answer, leaf) in end_answers.into_iter().zip(leaves) {
            if let Some(answer) = answer {
                let _ = answer.send(leaf.and_then(|leaf| self.promise(&leaf)));
            }
        }
    }

    /// The promise about a leaf that is durable.
    fn promise(&self, leaf: &Made) -> Option<Promise> {
        let epoch = u32::try_from(leaf.epoch).ok()?;
        let version = u64::try_from(LEAF_VERSION).ok()?;
        let made = leaf_hash(LEAF_KIND, leaf.exchange_id, version, leaf.commitment, leaf.time, epoch)
            .and_then(|hash| self.log.promise(leaf.epoch, hash, leaf.time))
            .and_then(|promise| promise.to_bytes());
        match made {
            Ok(bytes) => Some(Promise(URL_SAFE_NO_PAD.encode(bytes))),
            Err(error) => {
                tracing::error!(%error, "a promise cannot be made");
                None
            }
        }
    }
}

/// How an exchange ended, as it is stored.
fn outcome_of(ended: &Ended) -> Outcome {
    Outcome {
        outcome: ended.outcome.as_str().to_owned(),
        status: ended.status,
        request: passed(&ended.request),
        forwarded_hash: ended.forwarded.map(|tally| tally.hash),
        response: passed(&ended.response),
        received_hash: ended.received.map(|tally| tally.hash),
        elapsed_us: number(ended.elapsed_us),
        provider_us: number(ended.provider_us),
        end_time: stored_instant(ended.at),
    }
}

/// A leaf that is about to be committed.
pub(crate) struct Made {
    pub(crate) exchange_id: Uuid,
    pub(crate) commitment: [u8; 32],
    pub(crate) time: Timestamp,
    pub(crate) epoch: i32,
}

/// Writes beginnings, ends with their leaves and what they sum up to, and bodies. For each end the leaf, or none if the exchange was over already.
pub(crate) async fn write(
    unit: &mut UnitOfWork<'_>,
    begun: &[Exchange],
    ended: &[(Exchange, Outcome)],
    bodies: &[exchanges::Body],
) -> Result<Vec<Option<Made>>, Error> {
    let starts: Vec<&Exchange> = begun.iter().collect();
    exchanges::insert(unit.conn(), &starts).await?;
    let ends: Vec<(&Exchange, &Outcome)> = ended.iter().map(|(exchange, outcome)| (exchange, outcome)).collect();
    let (epoch, new) = exchanges::insert_outcomes(unit.conn(), &ends).await?;
    let new: HashSet<Uuid> = new.into_iter().collect();
    let counted = ended.iter().filter(|(exchange, _)| new.contains(&exchange.exchange_id));
    let sums = of_exchanges(counted.map(|(exchange, outcome)| (exchange, outcome)));
    traffic::add(unit.conn(), &sums).await?;
    exchanges::insert_bodies(unit.conn(), bodies).await?;
    let time = unit.now();
    Ok(ended
        .iter()
        .map(|(exchange, outcome)| {
            new.contains(&exchange.exchange_id).then(|| Made {
                exchange_id: exchange.exchange_id,
                commitment: unit.leaf(Leaf {
                    kind: LEAF_KIND,
                    resource: exchange.exchange_id,
                    version: LEAF_VERSION,
                    canonical: &canonical(exchange, outcome),
                }),
                time,
                epoch,
            })
        })
        .collect())
}
