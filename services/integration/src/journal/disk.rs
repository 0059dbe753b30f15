//! Records exchanges on the disk of this process before a call goes on, and ships them to the database from there.
//!
//! A flush of the disk costs a call a fraction of a millisecond, a transaction several; shipped are hundreds of records at once. The
//! promise about a leaf is made before the leaf reaches the database, and kept when the record is shipped, also after a crash. While the
//! database does not take what is here, calls are refused after a moment; nothing is lost. A record that the database refuses for what it
//! holds is found by halving its batch, and set aside, so that the others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use egov_auth::RowScope;
use egov_clock::Clock as _;
use egov_database::{leaf_commitment, sql_state};
use egov_door::{Begun, Ended, Held, Journal, Promise, Recording, Refusal, refusal};
use egov_fault::Fault;
use egov_spool::{AppendError, OpenError, Settings, Shipments, Spool, Spooled};
use futures::FutureExt as _;
use futures::future::ready;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use super::load::Load;
use super::record::{Made, REQUEST, RESPONSE, Recorder, outcome_of, write};
use super::set_aside::{Refused, SetAside};
use crate::domain::exchange::{End, Promised, canonical};
use crate::error::Error;
use crate::meters::{JournalMeters, watch_set_aside};

/// The most records in one transaction.
const BATCH: usize = 2048;

/// The most bytes of records in one transaction, unless one alone has more: a statement must stay far below what PostgreSQL takes.
const BATCH_BYTES: u64 = 8 * 1024 * 1024;

/// How long records gather before they are shipped, unless somebody waits for them.
const GATHER: Duration = Duration::from_millis(50);

/// How long a shipment may take before it is tried anew.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a shipment may be under way before calls are refused: as old as what the door knows of agreements may become.
const BEHIND: Duration = Duration::from_secs(1);

/// The longest pause between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// How often the database must refuse the same records, one time after the other, for it to be the records' fault.
const REFUSALS: u32 = 3;

/// The most records that are set aside from one start to the next: what refuses more is no fault of single records, and they wait on
/// the disk.
const MOST_SET_ASIDE: u64 = 10_000;

/// How many records that were set aside are tried again together.
const AGAIN: usize = 256;

/// After this long without a record what was written is wiped.
const REST: Duration = Duration::from_secs(10);

/// The journal of one instance of the door, on its disk.
#[derive(Clone)]
pub(crate) struct DiskJournal {
    spool: Spool<Entry>,
    recorder: Arc<Recorder>,
    shared: Arc<Shared>,
    meters: JournalMeters,
}

struct Shared {
    started: Instant,
    /// Since when a shipment is under way, in milliseconds after the start, from one; zero if none is.
    shipping: AtomicU64,
    /// How many records are shipped.
    shipped: watch::Sender<u64>,
    /// How many exchanges were begun and are not over.
    open: watch::Sender<usize>,
    /// Somebody waits for what is durable to be shipped.
    hurry: Notify,
    /// The epoch of the log in which leaves are put now; 0 until it is known.
    epoch: AtomicI32,
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// Whether the database has not taken what is here for too long.
    fn is_behind(&self) -> bool {
        let since = self.shipping.load(Ordering::Relaxed);
        since > 0 && Duration::from_millis(self.now().saturating_sub(since)) > BEHIND
    }

    fn closed(&self) {
        self.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}

impl DiskJournal {
    /// Opens the spool of a folder and starts to ship what is there, on the present runtime; that ends after the last clone is gone and
    /// everything is shipped. Blocks while it reads the folder.
    ///
    /// # Errors
    /// Those of the spool.
    pub(crate) fn start(recorder: Arc<Recorder>, settings: &Settings) -> Result<Self, OpenError> {
        let Spooled { spool, shipments, left } = Spool::open(settings)?;
        if left > 0 {
            tracing::info!(records = left, "exchanges that an earlier process recorded are shipped");
        }
        let (aside, again) = SetAside::open(&settings.folder).map_err(|source| OpenError::Io {
            folder: settings.folder.clone(),
            source,
        })?;
        if !again.is_empty() {
            tracing::warn!(
                records = again.len(),
                "records of exchanges that were set aside are tried again"
            );
        }
        watch_set_aside(aside.waiting());
        let shared = Arc::new(Shared {
            started: Instant::now(),
            shipping: AtomicU64::new(0),
            shipped: watch::Sender::new(0),
            open: watch::Sender::new(0),
            hurry: Notify::new(),
            epoch: AtomicI32::new(0),
        });
        let meters = JournalMeters::new();
        let shipper = Shipper {
            recorder: Arc::clone(&recorder),
            shared: Arc::clone(&shared),
            meters: meters.clone(),
            rest: spool.resting(),
            aside,
        };
        tokio::spawn(shipper.run(shipments, again));
        Ok(Self {
            spool,
            recorder,
            shared,
            meters,
        })
    }

    /// Waits until everything that is durable now is in the database.
    pub(crate) async fn caught_up(&self) {
        let durable = self.spool.durable();
        let mut shipped = self.shared.shipped.subscribe();
        self.shared.hurry.notify_one();
        // The sender lives as long as this journal.
        let _ = shipped.wait_for(|shipped| *shipped >= durable).await;
    }

    /// Waits until every exchange that was begun here is over and in the database; for the time after the last call. Ends at `stop`
    /// otherwise: what is durable is shipped by the next process.
    pub(crate) async fn settled(&self, stop: CancellationToken) -> Result<(), super::Unsettled> {
        let mut open = self.shared.open.subscribe();
        let settling = async {
            let _ = open.wait_for(|open| *open == 0).await;
            // Behind everything that was appended.
            let _ = self.spool.flushed().await;
            self.caught_up().await;
        };
        tokio::select! {
            () = settling => return Ok(()),
            () = stop.cancelled() => {}
        }
        match *self.shared.open.borrow() {
            0 => {
                tracing::warn!(
                    "records of exchanges wait on the disk for the next start: the database did not take them"
                );
                Ok(())
            }
            left => Err(super::Unsettled(left)),
        }
    }

    /// The epoch that a promise names: as the last shipment found it, or asked for where nothing was shipped yet.
    async fn epoch(&self) -> Result<i32, Fault> {
        let known = self.shared.epoch.load(Ordering::Relaxed);
        if known > 0 {
            return Ok(known);
        }
        let epoch = self.recorder.log.epoch().await?;
        self.shared.epoch.store(epoch, Ordering::Relaxed);
        Ok(epoch)
    }

    fn entry_of(&self, ended: &Ended) -> Entry {
        let recorder = &self.recorder;
        let exchange = recorder.exchange(&ended.begun);
        let outcome = outcome_of(ended);
        let ids = recorder.database.ids();
        let mut salt = [0; 32];
        ids.random_bytes(&mut salt);
        let promised = Promised {
            leaf_id: ids.uuid(),
            salt,
            canonical: canonical(&exchange, &outcome),
        };
        let body = recorder.body(&ended.begun, RESPONSE, ended.body.as_ref(), ended.at);
        let end = End {
            exchange,
            outcome,
            promised: Some(promised),
        };
        Entry::End {
            end: Box::new(end),
            body,
        }
    }
}

fn refused(error: AppendError) -> Fault {
    refusal(Refusal::ExchangeNotRecorded).caused_by(error)
}

impl Journal for DiskJournal {
    fn begin(&self, begun: Arc<Begun>, body: Option<Bytes>, held: Held) -> Recording<()> {
        if self.shared.is_behind() {
            return ready(Err(refusal(Refusal::ExchangeNotRecorded))).boxed();
        }
        self.shared.open.send_modify(|open| *open += 1);
        let body = self.recorder.body(&begun, REQUEST, body.as_ref(), begun.at);
        let asked = Instant::now();
        let durable = self.spool.append(Entry::Begin {
            exchange: self.recorder.exchange(&begun),
            body,
            held: Some(held),
        });
        let journal = self.clone();
        async move {
            let recorded = durable.await.map_err(refused);
            journal.meters.waited(asked.elapsed());
            // Without the epoch there is no promise at the end: known now, it is not missing then.
            let recorded = match recorded {
                Ok(()) => journal.epoch().await.map(drop),
                Err(fault) => Err(fault),
            };
            recorded.map_err(|fault| {
                journal.shared.closed();
                journal.meters.failed(1);
                refusal(Refusal::ExchangeNotRecorded).caused_by(fault)
            })
        }
        .boxed()
    }

    fn end(&self, ended: Ended) -> Recording<Promise> {
        let entry = self.entry_of(&ended);
        let leaf = match &entry {
            Entry::End { end, .. } => end.promised.as_ref().map(|promised| {
                let commitment = leaf_commitment(&promised.salt, &promised.canonical);
                (end.exchange.exchange_id, commitment, end.outcome.end_time)
            }),
            Entry::Begin { .. } => None,
        };
        let asked = Instant::now();
        let durable = self.spool.append_owed(entry);
        self.shared.closed();
        let journal = self.clone();
        async move {
            // Signed while the disk is busy, given when it is done.
            let promise = match (leaf, journal.epoch().await) {
                (Some((exchange_id, commitment, time)), Ok(epoch)) => journal.recorder.promise(&Made {
                    exchange_id,
                    commitment,
                    time,
                    epoch,
                }),
                _ => None,
            };
            let recorded = durable.await;
            journal.meters.waited(asked.elapsed());
            if let Err(error) = recorded {
                journal.meters.failed(1);
                return Err(refused(error));
            }
            promise.ok_or_else(|| refusal(Refusal::ExchangeNotRecorded))
        }
        .boxed()
    }

    fn abandon(&self, ended: Ended) {
        // What does not become durable is swept.
        drop(self.spool.append_owed(self.entry_of(&ended)));
        self.shared.closed();
    }
}

struct Shipper {
    recorder: Arc<Recorder>,
    shared: Arc<Shared>,
    meters: JournalMeters,
    rest: egov_spool::Resting<Entry>,
    aside: SetAside,
}

/// Whether PostgreSQL says with this SQLSTATE that it does not take what the records hold: a value, what a constraint says of it, its size.
/// All else, as a lost connection, a lock, a full disk, a right or table that is missing, is no fault of theirs.
fn is_of_records(state: &str) -> bool {
    ["22", "23", "54"].iter().any(|class| state.starts_with(class))
}

impl Shipper {
    /// Ships until the journal ends. What earlier processes set aside is tried again meanwhile, and holds nothing up; what was not
    /// reached by the end comes with the next start.
    async fn run(self, shipments: Shipments<Entry>, again: Vec<Entry>) {
        let aside = async {
            self.try_again(again).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.ship_all(shipments) => {}
            () = aside => {}
        }
    }

    async fn ship_all(&self, mut shipments: Shipments<Entry>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let taken = match timeout(REST, shipments.take(&mut batch, BATCH, BATCH_BYTES)).await {
                Ok(taken) => taken,
                Err(_) => {
                    self.rest.rest();
                    shipments.take(&mut batch, BATCH, BATCH_BYTES).await
                }
            };
            if taken == 0 {
                return;
            }
            self.ship(std::mem::take(&mut batch), &self.shared.shipping).await;
            self.shared.shipped.send_replace(shipments.shipped());
            self.shared.shipping.store(0, Ordering::Relaxed);
            if shipments.len() < BATCH {
                tokio::select! {
                    () = self.shared.hurry.notified() => {}
                    () = tokio::time::sleep(GATHER) => {}
                }
            }
        }
    }

    /// Tries records again that earlier processes set aside. Those that are refused once more are set aside once more.
    async fn try_again(&self, mut records: Vec<Entry>) {
        let all = records.len();
        if all == 0 {
            return;
        }
        while !records.is_empty() {
            let later = records.split_off(AGAIN.min(records.len()));
            // Since when these are under way says nothing of what is recorded now.
            self.ship(std::mem::replace(&mut records, later), &AtomicU64::new(0))
                .await;
        }
        let aside = self.aside.clone();
        let tried = tokio::task::spawn_blocking(move || aside.tried_again(all)).await;
        if !matches!(tried, Ok(Ok(()))) {
            // They come again with the next start, which is harmless.
            tracing::error!(?tried, "what was tried again could not be taken out of its file");
        }
    }

    /// Ships a batch, however often it has to be tried. If the database refuses it for what it holds, it is halved until the records are
    /// found that are refused by themselves; these are set aside.
    async fn ship(&self, batch: Vec<Entry>, since: &AtomicU64) {
        self.meters.batch(batch.len());
        since.store(self.shared.now(), Ordering::Relaxed);
        let mut waiting = vec![Load::of(batch)];
        let mut tries = REFUSALS;
        while let Some(load) = waiting.pop() {
            let written = self.write(&load, tries).await;
            // It goes on: what is in the way, if anything, is what records hold, and not the database.
            since.store(self.shared.now(), Ordering::Relaxed);
            if let Err(refused) = written {
                match load.halves() {
                    Ok((first, second)) => waiting.extend([second, first]),
                    Err(one) if self.aside.since_start() >= MOST_SET_ASIDE => {
                        tracing::error!(
                            error = ?refused,
                            set_aside = MOST_SET_ASIDE,
                            "too many records are set aside: what refuses them must be mended, and the others wait on the disk"
                        );
                        waiting.push(one);
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    Err(one) => self.set_aside(one, &refused).await,
                }
            }
            // Of a half it is enough to know that it is refused; of a single record it must be certain.
            tries = if waiting.last().is_some_and(|next| next.len() > 1) {
                1
            } else {
                REFUSALS
            };
        }
    }

    /// Writes records to the database, however often it has to be tried; or why it refuses them, so many times one after the other,
    /// for what they hold.
    async fn write(&self, load: &Load, tries: u32) -> Result<(), Fault> {
        let records = load.len();
        let everything = RowScope::everything();
        let mut pause = GATHER;
        let mut refusals = 0;
        loop {
            let written = self.recorder.database.write_unkeyed(&everything, async |unit| {
                Ok::<_, Error>(write(unit, &load.begun, &load.ended, &load.bodies).await?.epoch)
            });
            match timeout(PATIENCE, written).await {
                Ok(Ok(epoch)) => {
                    // An epoch that was begun meanwhile is the one that promises name from now on.
                    if epoch > 0 {
                        self.shared.epoch.store(epoch, Ordering::Relaxed);
                    }
                    return Ok(());
                }
                Ok(Err(error)) => {
                    let fault = Fault::from(error);
                    refusals = if sql_state(&fault).is_some_and(is_of_records) {
                        refusals + 1
                    } else {
                        0
                    };
                    if refusals >= tries {
                        return Err(fault);
                    }
                    tracing::error!(error = ?fault, records, "records of exchanges wait on the disk: the database does not take them");
                }
                Err(_) => {
                    refusals = 0;
                    tracing::error!(
                        records,
                        "records of exchanges wait on the disk: the database did not take them in time"
                    );
                }
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(PAUSE);
        }
    }

    /// Sets the one record of a load aside, however often it has to be tried: what is not there either is not given up.
    async fn set_aside(&self, one: Load, why: &Fault) {
        let Some(entry) = one.into_entry() else { return };
        let exchange = entry.exchange().exchange_id;
        let refused = std::error::Error::source(why).map_or_else(|| why.to_string(), ToString::to_string);
        let line = Refused::new(&entry, self.recorder.database.clock().now(), &refused);
        let mut after_failure = false;
        loop {
            let (aside, line) = (self.aside.clone(), line.clone());
            let put = tokio::task::spawn_blocking(move || aside.put(&line, after_failure)).await;
            if matches!(put, Ok(Ok(()))) {
                break;
            }
            after_failure = true;
            tracing::error!(%exchange, ?put, "a record of an exchange that the database refuses cannot be set aside");
            tokio::time::sleep(PAUSE).await;
        }
        let is_end = matches!(entry, Entry::End { .. });
        tracing::error!(
            %exchange,
            is_end,
            refused,
            "the database refuses a record of an exchange: it is set aside beside the journal, and tried again at the next start"
        );
    }
}
