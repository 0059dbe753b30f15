//! Records exchanges in the database before a call goes on, in groups: while one batch is being stored the next gathers, so that
//! under load one commit holds the beginnings and the ends of many calls.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egov_auth::RowScope;
use egov_door::{Begun, Ended, Held, Journal, Promise, Recording, Refusal, refusal};
use egov_fault::Fault;
use futures::FutureExt as _;
use futures::future::ready;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::record::{REQUEST, RESPONSE, Recorder, outcome_of, write};
use crate::domain::exchange::End;
use crate::error::Error;
use crate::meters::JournalMeters;

/// The most records in one transaction.
const BATCH: usize = 256;

/// The most bytes of bodies in one transaction: a statement must stay far below what PostgreSQL takes.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The most bytes of bodies that may wait; calls with more are refused.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// How long a batch may take before its calls are refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// The journal of one instance of the door, in its database.
#[derive(Clone)]
pub(crate) struct DatabaseJournal {
    queue: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
    /// How many exchanges were begun whose end is not stored.
    open: Arc<watch::Sender<usize>>,
    meters: JournalMeters,
}

enum Waiting {
    Begin(Box<Start>, oneshot::Sender<bool>, Room, Held),
    End(Box<Ended>, Option<oneshot::Sender<Option<Promise>>>, Room, Counted),
}

struct Start {
    begun: Arc<Begun>,
    body: Option<Bytes>,
}

/// Counts an exchange as open until this is dropped.
struct Counted(Arc<watch::Sender<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

/// The room that a record's body takes among those that wait, given back when it is stored.
type Room = Option<OwnedSemaphorePermit>;

impl Waiting {
    fn bytes(&self) -> usize {
        let body = match self {
            Self::Begin(start, ..) => &start.body,
            Self::End(ended, ..) => &ended.body,
        };
        body.as_ref().map_or(0, Bytes::len)
    }
}

/// What writes.
struct Writer {
    recorder: Arc<Recorder>,
    meters: JournalMeters,
}

impl DatabaseJournal {
    /// Starts the journal's task on the present runtime; it ends after the last clone is gone and everything is stored.
    pub(crate) fn start(recorder: Arc<Recorder>) -> Self {
        // Its length is bounded by the calls that may be under way: each keeps its places for as long.
        let (queue, waiting) = mpsc::unbounded_channel();
        let meters = JournalMeters::new();
        let writer = Arc::new(Writer {
            recorder,
            meters: meters.clone(),
        });
        tokio::spawn(run(writer, waiting));
        Self {
            queue,
            room: Arc::new(Semaphore::new(WAITING_BYTES)),
            open: Arc::new(watch::Sender::new(0)),
            meters,
        }
    }

    /// Waits until every exchange that was begun here has its end in the database; for the time after the last call. Ends at
    /// `stop` otherwise, and says how many it leaves to the sweep.
    pub(crate) async fn settled(&self, stop: CancellationToken) -> Result<(), super::Unsettled> {
        let mut open = self.open.subscribe();
        tokio::select! {
            // The sender lives as long as this journal.
            _ = open.wait_for(|open| *open == 0) => return Ok(()),
            () = stop.cancelled() => {}
        }
        let left = *open.borrow();
        Err(super::Unsettled(left))
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
}

impl Journal for DatabaseJournal {
    fn begin(&self, begun: Arc<Begun>, body: Option<Bytes>, held: Held) -> Recording<()> {
        let room = match self.room_for(body.as_ref()) {
            Ok(room) => room,
            Err(fault) => return ready(Err(fault)).boxed(),
        };
        // It stays open until its end is stored, or this says that it could not begin.
        self.open.send_modify(|open| *open += 1);
        let (stored, answer) = oneshot::channel();
        let asked = Instant::now();
        let waiting = Waiting::Begin(Box::new(Start { begun, body }), stored, room, held);
        // Without the task the answer is dropped, which says so.
        let _ = self.queue.send(waiting);
        let (meters, open) = (self.meters.clone(), Arc::clone(&self.open));
        async move {
            let answered = answer.await;
            meters.waited(asked.elapsed());
            if answered == Ok(true) {
                return Ok(());
            }
            drop(Counted(open));
            Err(refusal(Refusal::ExchangeNotRecorded))
        }
        .boxed()
    }

    fn end(&self, ended: Ended) -> Recording<Promise> {
        let counted = Counted(Arc::clone(&self.open));
        let room = match self.room_for(ended.body.as_ref()) {
            Ok(room) => room,
            Err(fault) => return ready(Err(fault)).boxed(),
        };
        let (stored, answer) = oneshot::channel();
        let asked = Instant::now();
        let _ = self
            .queue
            .send(Waiting::End(Box::new(ended), Some(stored), room, counted));
        let meters = self.meters.clone();
        async move {
            let answered = answer.await;
            meters.waited(asked.elapsed());
            answered
                .ok()
                .flatten()
                .ok_or_else(|| refusal(Refusal::ExchangeNotRecorded))
        }
        .boxed()
    }

    fn abandon(&self, ended: Ended) {
        let counted = Counted(Arc::clone(&self.open));
        if self
            .queue
            .send(Waiting::End(Box::new(ended), None, None, counted))
            .is_err()
        {
            lost(&self.meters);
        }
    }
}

/// The exchange is swept to "outcome unknown" later.
fn lost(meters: &JournalMeters) {
    meters.failed(1);
    tracing::warn!("the end of an exchange whose consumer has gone could not be stored");
}

async fn run(writer: Arc<Writer>, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
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

impl Writer {
    /// Stores a batch and answers those who wait. An error answers by dropping the senders.
    async fn store(&self, batch: Vec<Waiting>) {
        let recorder = &self.recorder;
        let mut begun = Vec::new();
        let mut ended = Vec::new();
        let mut bodies = Vec::new();
        let mut begin_answers = Vec::new();
        let mut end_answers = Vec::new();
        // Given back when all of it is stored, or cannot be.
        let mut held = Vec::new();
        for one in batch {
            match one {
                Waiting::Begin(start, answer, room, places) => {
                    held.push((room, Some(places), None));
                    bodies.extend(recorder.body(&start.begun, REQUEST, start.body.as_ref(), start.begun.at));
                    begun.push(recorder.exchange(&start.begun));
                    begin_answers.push(answer);
                }
                Waiting::End(record, answer, room, counted) => {
                    held.push((room, None, Some(counted)));
                    bodies.extend(recorder.body(&record.begun, RESPONSE, record.body.as_ref(), record.at));
                    ended.push(End {
                        exchange: recorder.exchange(&record.begun),
                        outcome: outcome_of(&record),
                        promised: None,
                    });
                    end_answers.push(answer);
                }
            }
        }
        let written = recorder
            .database
            .write_unkeyed(&RowScope::everything(), async |unit| {
                Ok::<_, Error>(write(unit, &begun, &ended, &bodies).await?.leaves)
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
                let _ = answer.send(leaf.and_then(|leaf| recorder.promise(&leaf)));
            }
        }
    }
}
