//! The sequencer: gives leaves their places, signs checkpoints. One works at a time, however many processes run one.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_database::{Leaf, Lease, UnitOfWork};
use egov_fault::Fault;
use egov_ledger::{Checkpoint, Frontier, Hash, frontier_of, tiles_for_root};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::{Error, Stopped};
use crate::log::{Log, tiles};
use crate::store::{self, Batch, StoredCheckpoint};

/// The lease; `egov.append_entries` checks its fence.
const LEASE: &str = "ledger";
const LEASE_TIME: Duration = Duration::from_secs(15);
/// How often it is looked whether leaves wait.
const POLL: Duration = Duration::from_millis(100);
/// How often it is remembered outside the database what was signed.
const REMEMBER: Duration = Duration::from_secs(1);
/// How long a log that stands still waits until it looks again whether a new epoch has begun.
const STANDSTILL: Duration = Duration::from_secs(5);

/// The kind of the entry with which the log of a new epoch begins: it commits to the last checkpoint of the log before.
pub const ANCHOR_KIND: &str = "ledger_anchor";

/// Sequences a log's leaves.
#[derive(Debug)]
pub struct Sequencer {
    log: Arc<Log>,
    batch: i32,
}

/// Where the log ends.
#[derive(Debug)]
pub struct Head {
    epoch: i32,
    frontier: Frontier,
    /// The last checkpoint, and when it was remembered outside the database.
    note: Option<String>,
    remembered: Instant,
    unremembered: bool,
}

impl Head {
    /// The size of the log.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The epoch of the log.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }
}

impl Sequencer {
    /// A sequencer of this log.
    pub fn new(log: Arc<Log>) -> Self {
        Self { log, batch: 4096 }
    }

    /// The same with at most `leaves` a transaction.
    #[must_use]
    pub fn batch(mut self, leaves: i32) -> Self {
        self.batch = leaves.max(1);
        self
    }

    /// Takes the lease; `None` while another process has it.
    pub async fn acquire(&self) -> Result<Option<Lease>, Fault> {
        self.log.database.acquire_lease(LEASE, LEASE_TIME).await
    }

    /// Finds the end of the log, and refuses to go on from it if it is not what was signed: the roots of the stored nodes must be that of
    /// the last checkpoint, and what is remembered outside the database must be a beginning of it.
    ///
    /// The log of an epoch after the first begins here with the last checkpoint of the one before.
    pub async fn head(&self, lease: &Lease) -> Result<Head, Error> {
        let log = &self.log;
        let remembered = log.remembered().await?;
        let (epoch, frontier, note) = log
            .database
            .read(&RowScope::none(), async |conn| {
                let epoch = store::current_epoch(conn).await?;
                let last = store::last_checkpoint(conn, epoch).await?;
                let (size, note) = last
                    .as_ref()
                    .map_or((0, None), |last| (last.size, Some(last.note.clone())));
                let origin = log.origin(epoch);
                if let Some(memory) = &remembered {
                    let signed = memory.checkpoint()?.checkpoint().clone();
                    if memory.epoch > epoch || (memory.epoch == epoch && signed.size > size) {
                        return Err(Error::Stopped(Stopped::RolledBack {
                            origin,
                            signed: signed.size,
                            stored: size,
                        }));
                    }
                    if memory.epoch == epoch && root_at(conn, epoch, signed.size).await? != signed.root {
                        return Err(Error::Stopped(Stopped::Changed {
                            origin,
                            size: signed.size,
                        }));
                    }
                }
                let mut edge = tiles(conn, epoch, size, tiles_for_root(size)?).await?;
                let frontier = frontier_of(&mut edge, size);
                match (frontier, last) {
                    (Ok(frontier), None) => Ok((epoch, frontier, note)),
                    (Ok(frontier), Some(last)) if frontier.root() == last.root => Ok((epoch, frontier, note)),
                    _ => Err(Error::Stopped(Stopped::Changed { origin, size })),
                }
            })
            .await?;
        let mut head = Head {
            epoch,
            frontier,
            note,
            remembered: Instant::now(),
            unremembered: false,
        };
        if head.size() == 0 && epoch > 1 {
            self.begin(lease, &mut head).await?;
        }
        Ok(head)
    }

    /// Begins the log of a new epoch: its first entry is the last checkpoint of the log before that somebody outside the database knew.
    async fn begin(&self, lease: &Lease, head: &mut Head) -> Result<(), Error> {
        let log = &self.log;
        let epoch = head.epoch;
        let remembered = log.remembered().await?.map(|memory| memory.to_go_on_from().to_owned());
        let begun = log
            .database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                if store::anchor(unit.conn(), epoch).await?.is_some() {
                    return Ok::<_, Error>(true);
                }
                let before = store::last_before(unit.conn(), epoch).await?;
                let Some(note) = remembered.or_else(|| before.map(|(_, last)| last.note)) else {
                    // Nothing was ever signed.
                    return Ok(false);
                };
                let now = unit.now();
                store::add_anchor(unit.conn(), epoch, &note, now).await?;
                unit.leaf(Leaf {
                    kind: ANCHOR_KIND,
                    resource: Uuid::nil(),
                    version: i64::from(epoch),
                    canonical: note.as_bytes(),
                });
                Ok(true)
            })
            .await?;
        if begun {
            let first = log
                .database
                .read(&RowScope::none(), async |conn| {
                    store::leaf(conn, ANCHOR_KIND, Uuid::nil(), i64::from(epoch)).await
                })
                .await?;
            self.sequence(lease, head, first).await?;
        }
        Ok(())
    }

    /// Sequences one batch; returns how many leaves it placed. `ABORTED` / `LEASE_LOST` if the lease has changed hands.
    pub async fn round(&self, lease: &Lease, head: &mut Head) -> Result<usize, Error> {
        // Looking costs nothing; the fenced transaction writes even when it finds nothing.
        let (waiting, epoch) = self.log.database.read(&RowScope::none(), store::waiting).await?;
        if epoch != head.epoch {
            *head = self.head(lease).await?;
        }
        let placed = if waiting {
            self.sequence(lease, head, None).await?
        } else {
            0
        };
        if head.unremembered && head.remembered.elapsed() >= REMEMBER {
            self.remember(head).await?;
        }
        Ok(placed)
    }

    async fn sequence(&self, lease: &Lease, head: &mut Head, only: Option<Uuid>) -> Result<usize, Error> {
        let log = &self.log;
        let origin = log.origin(head.epoch);
        let signer = log.signer();
        let sequenced = log
            .database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                let taken = store::take(unit.conn(), lease.fence(), self.batch, only).await?;
                if taken.is_empty() {
                    return Ok(None);
                }
                let count = taken.len();
                let mut frontier = head.frontier.clone();
                let mut batch = Batch::default();
                for leaf in taken {
                    let entry = leaf.entry.ok_or_else(|| Stopped::LeafGone { origin: origin.clone() })?;
                    let hash = entry.leaf_hash().map_err(|problem| Stopped::Unfit {
                        origin: origin.clone(),
                        problem,
                    })?;
                    batch.leaf_ids.push(leaf.leaf_id);
                    batch.leaf_hashes.push(hash.as_bytes().to_vec());
                    frontier.push_with(hash, |level, index, hash| {
                        if level > 0 && level % 8 == 0 {
                            batch.levels.push(i16::from(level));
                            // An index is below the size, which the database keeps as a bigint.
                            batch.indexes.push(i64::try_from(index).unwrap_or(i64::MAX));
                            batch.hashes.push(hash.as_bytes().to_vec());
                        }
                    });
                }
                let checkpoint = Checkpoint {
                    origin: origin.clone(),
                    size: frontier.size(),
                    root: frontier.root(),
                };
                let stored = StoredCheckpoint {
                    size: checkpoint.size,
                    root: checkpoint.root,
                    note: checkpoint.sign(&signer)?.to_string(),
                };
                let (now, first) = (unit.now(), head.frontier.size());
                store::append(unit.conn(), lease.fence(), head.epoch, first, &batch, &stored, now).await?;
                Ok::<_, Error>(Some((count, frontier, stored.note)))
            })
            .await?;
        let Some((count, frontier, note)) = sequenced else {
            return Ok(0);
        };
        head.frontier = frontier;
        head.note = Some(note);
        head.unremembered = true;
        Ok(count)
    }

    /// Remembers outside the database what was signed.
    pub async fn remember(&self, head: &mut Head) -> Result<(), Error> {
        if let Some(note) = &head.note {
            self.log.remember(head.epoch, note.clone(), false).await?;
        }
        head.remembered = Instant::now();
        head.unremembered = false;
        Ok(())
    }

    /// Sequences until `shutdown`, then gives the lease back. Failures are logged and tried again; a log whose database is not what was
    /// signed stands still until an operator begins a new epoch.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            let pause = match self.acquire().await {
                Ok(Some(lease)) => match self.while_held(lease, &shutdown).await {
                    Ok(()) => Duration::ZERO,
                    Err(Error::Stopped(stopped)) => {
                        tracing::error!(log = self.log.id(), "{stopped}");
                        self.log.set_stopped(Some(stopped));
                        STANDSTILL
                    }
                    Err(error) => {
                        tracing::warn!(log = self.log.id(), %error, "sequencing interrupted");
                        Duration::from_secs(1)
                    }
                },
                Ok(None) => LEASE_TIME / 3,
                Err(fault) => {
                    tracing::warn!(log = self.log.id(), reason = fault.reason(), error = ?fault, "no lease to sequence");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn while_held(&self, mut lease: Lease, shutdown: &CancellationToken) -> Result<(), Error> {
        let ended = self.sequencing(&mut lease, shutdown).await;
        // Whatever ended it: another process need not wait until the lease runs out.
        lease.release().await?;
        ended
    }

    async fn sequencing(&self, lease: &mut Lease, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut head = self.head(lease).await?;
        self.log.set_stopped(None);
        while !shutdown.is_cancelled() {
            if lease.is_due() {
                lease.renew().await?;
            }
            let placed = self.round(lease, &mut head).await?;
            if usize::try_from(self.batch).is_ok_and(|full| placed >= full) {
                continue;
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        self.remember(&mut head).await
    }
}

async fn root_at(conn: &mut sqlx::PgConnection, epoch: i32, size: u64) -> Result<Hash, Error> {
    let mut edge = tiles(conn, epoch, size, tiles_for_root(size)?).await?;
    // A tile that is shorter than it was is another history as well.
    Ok(frontier_of(&mut edge, size).map_or(Hash([0; 32]), |frontier| frontier.root()))
}
