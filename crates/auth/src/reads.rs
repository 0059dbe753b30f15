//! The record of who read whose personal data, and why: written before the data leaves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egov_fault::{Code, Fault, Source};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{Caller, CallerKind, Capacity};

/// One reading of personal data. A list is one record with all its subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    /// The stable key of the reader; see [`Principal::caller_key`](crate::Principal::caller_key).
    pub reader: String,
    /// What sort of caller read.
    pub kind: CallerKind,
    /// For what purpose, as the caller said.
    pub purpose: Option<String>,
    /// The method by which it was read.
    pub method: String,
    /// The persons whose data was read.
    pub subjects: Vec<Uuid>,
    /// Names of the resources that were read, for example `cases/0199…`.
    pub resources: Vec<String>,
    /// Whose each resource is, in the order of `resources`; none where that is not known. What is not a person's own is not
    /// shown to that person: a list is read about many.
    pub owners: Vec<Option<Uuid>>,
    /// The name of the system that read; none for persons.
    pub client: Option<String>,
    /// The unit of the reader's account.
    pub unit: Option<i32>,
    /// The roles by which the reader could read, own ones before delegated ones.
    pub capacities: Vec<Capacity>,
    /// When.
    pub at: Timestamp,
}

impl ReadRecord {
    /// The reading of `resources` about `subjects` by `caller`. If there is one subject, every resource is about that person;
    /// for several persons and resources see [`ReadRecord::of_each`].
    pub fn of(caller: &Caller, subjects: Vec<Uuid>, resources: Vec<String>, at: Timestamp) -> Self {
        let owner = match subjects.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        Self {
            owners: vec![owner; resources.len()],
            ..Self::about(caller, subjects, resources, at)
        }
    }

    /// The reading of a list by `caller`: each resource with the person whom it is about, if one is known.
    pub fn of_each(caller: &Caller, read: impl IntoIterator<Item = (Option<Uuid>, String)>, at: Timestamp) -> Self {
        let (owners, resources): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let mut subjects: Vec<Uuid> = owners.iter().copied().flatten().collect();
        subjects.sort_unstable();
        subjects.dedup();
        Self {
            owners,
            ..Self::about(caller, subjects, resources, at)
        }
    }

    fn about(caller: &Caller, subjects: Vec<Uuid>, resources: Vec<String>, at: Timestamp) -> Self {
        Self {
            reader: caller.key(),
            kind: caller.principal.kind,
            purpose: caller.purpose.clone(),
            method: caller.method().to_owned(),
            subjects,
            resources,
            owners: Vec::new(),
            client: caller.principal.client_id.clone(),
            unit: caller.principal.unit,
            capacities: caller.capacities(),
            at,
        }
    }
}

/// Stores records of reading, durably: all of a batch or none.
#[async_trait]
pub trait ReadSink: Send + Sync + 'static {
    /// Stores the batch, best in one statement. When it returns, the records survive a crash.
    async fn write(&self, batch: &[ReadRecord]) -> Result<(), Source>;
}

#[async_trait]
impl<S: ReadSink + ?Sized> ReadSink for Arc<S> {
    async fn write(&self, batch: &[ReadRecord]) -> Result<(), Source> {
        S::write(self, batch).await
    }
}

/// The most records that are written at once.
const BATCH: usize = 256;

/// How many readings may wait for their record; more have to wait to wait.
const QUEUE: usize = 4 * BATCH;

/// How long a batch may take to be stored before its readings fail.
const PATIENCE: Duration = Duration::from_secs(5);

/// Collects the records of concurrent readings and stores them in groups.
///
/// While one batch is being stored, the next gathers: under load a store of a few milliseconds holds hundreds of
/// records, and without load a reading waits for its own record only.
///
/// The recorder may be cloned; its task ends after the last clone is gone and everything is stored.
#[derive(Clone)]
pub struct ReadRecorder {
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    record: ReadRecord,
    stored: oneshot::Sender<bool>,
}

impl ReadRecorder {
    /// Starts the recorder's task on the present tokio runtime.
    pub fn start(sink: impl ReadSink) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(run(Arc::new(sink), waiting));
        Self { queue }
    }

    /// Returns when the record is stored. If it cannot be, the reading must fail: `UNAVAILABLE` with
    /// `STORE_UNAVAILABLE`.
    pub async fn record(&self, record: ReadRecord) -> Result<(), Fault> {
        let (stored, answer) = oneshot::channel();
        self.queue
            .send(Waiting { record, stored })
            .await
            .map_err(|_| not_recorded())?;
        match answer.await {
            Ok(true) => Ok(()),
            _ => Err(not_recorded()),
        }
    }
}

impl fmt::Debug for ReadRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadRecorder").finish_non_exhaustive()
    }
}

async fn run(sink: Arc<dyn ReadSink>, mut waiting: mpsc::Receiver<Waiting>) {
    let mut gathered = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut gathered, BATCH).await > 0 {
        let (batch, answers): (Vec<_>, Vec<_>) = gathered.drain(..).map(|one| (one.record, one.stored)).unzip();
        let stored = store(Arc::clone(&sink), batch).await;
        for answer in answers {
            // A reader that went away needs no answer.
            let _ = answer.send(stored);
        }
    }
}

/// In a task of its own, so that a sink that panics fails its batch and not every reading after it.
async fn store(sink: Arc<dyn ReadSink>, batch: Vec<ReadRecord>) -> bool {
    let records = batch.len();
    let mut task = tokio::spawn(async move { sink.write(&batch).await });
    match timeout(PATIENCE, &mut task).await {
        Ok(Ok(Ok(()))) => true,
        Ok(Ok(Err(error))) => {
            tracing::error!(records, error, "readings could not be recorded");
            false
        }
        Ok(Err(panicked)) => {
            tracing::error!(records, error = %panicked, "the store of readings failed");
            false
        }
        Err(_) => {
            task.abort();
            tracing::error!(records, "readings could not be recorded in time");
            false
        }
    }
}

fn not_recorded() -> Fault {
    Fault::new(
        Code::Unavailable,
        "STORE_UNAVAILABLE",
        "chưa ghi được nhật ký truy cập dữ liệu cá nhân nên không thể trả dữ liệu",
        "the reading of personal data could not be recorded, so nothing is shown",
    )
    .retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    fn record(n: u128) -> ReadRecord {
        ReadRecord {
            reader: "staff:1".to_owned(),
            kind: CallerKind::Staff,
            purpose: Some("inspection".to_owned()),
            method: "/x/Y".to_owned(),
            subjects: vec![Uuid::from_u128(n)],
            resources: vec![format!("cases/{n}")],
            owners: vec![Some(Uuid::from_u128(n))],
            client: None,
            unit: Some(12),
            capacities: Vec::new(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    /// Stores batches when it is allowed to.
    struct Gated {
        gate: Semaphore,
        batches: Mutex<Vec<usize>>,
    }

    #[async_trait]
    impl ReadSink for Gated {
        async fn write(&self, batch: &[ReadRecord]) -> Result<(), Source> {
            self.gate.acquire().await?.forget();
            self.batches.lock().unwrap().push(batch.len());
            Ok(())
        }
    }

    #[tokio::test]
    async fn readings_that_come_while_a_batch_is_stored_form_the_next() {
        let sink = Arc::new(Gated {
            gate: Semaphore::new(0),
            batches: Mutex::default(),
        });
        let recorder = ReadRecorder::start(Arc::clone(&sink));
        let mut readings = Vec::new();
        for n in 0..21 {
            let recorder = recorder.clone();
            readings.push(tokio::spawn(async move { recorder.record(record(n)).await }));
            tokio::task::yield_now().await;
        }
        assert!(
            readings.iter().all(|reading| !reading.is_finished()),
            "nothing is stored yet"
        );
        sink.gate.add_permits(100);
        for reading in readings {
            reading.await.unwrap().unwrap();
        }
        let batches = sink.batches.lock().unwrap().clone();
        assert_eq!(batches.iter().sum::<usize>(), 21);
        assert!(batches.len() <= 3, "{batches:?}");
    }

    /// Fails, then panics, then stores.
    #[derive(Default)]
    struct Moody(AtomicUsize);

    #[async_trait]
    impl ReadSink for Moody {
        async fn write(&self, _batch: &[ReadRecord]) -> Result<(), Source> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => Err("disk full".into()),
                1 => panic!("sink broken"),
                _ => Ok(()),
            }
        }
    }

    #[tokio::test]
    async fn a_reading_fails_with_its_store_and_the_next_one_is_tried_again() {
        let recorder = ReadRecorder::start(Moody::default());
        for _ in 0..2 {
            let fault = recorder.record(record(1)).await.unwrap_err();
            assert_eq!((fault.code(), fault.reason()), (Code::Unavailable, "STORE_UNAVAILABLE"));
        }
        recorder.record(record(1)).await.unwrap();
    }

    struct Hanging;

    #[async_trait]
    impl ReadSink for Hanging {
        async fn write(&self, _batch: &[ReadRecord]) -> Result<(), Source> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_fails_the_reading_after_a_while() {
        let recorder = ReadRecorder::start(Hanging);
        assert!(recorder.record(record(1)).await.is_err());
    }
}
