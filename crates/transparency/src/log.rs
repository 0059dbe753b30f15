//! A log: one service's leaves as a tree. What is read of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use egov_auth::RowScope;
use egov_database::Database;
use egov_fault::Fault;
use egov_keyring::{Keyring, NoteKey, Purpose};
use egov_ledger::{
    Entry, Hash, KeyKind, LedgerError, NoteSignature, NoteSigner, Promise, Receipt, SignedCheckpoint, TileId, TileSet,
    VerifyingKey, consistency_proof, inclusion_proof, tiles_for_consistency, tiles_for_inclusion,
};
use jiff::Timestamp;
use sqlx::PgConnection;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::{Error, Stopped};
use crate::memory::Memory;
use crate::store::{self, Placed, StoredCheckpoint, StoredStamp};

/// How often a receipt that is waited for is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// How a log is called and where it remembers.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The service, for example `onestop`.
    pub id: String,
    /// What its origin begins with: a name that belongs to this installation, for example `nghean.gov.vn/egov`.
    pub prefix: String,
    /// The folder in which it remembers what it signed, outside the database and backed up apart from it. Without one a restored
    /// database is found out by witnesses and holders of receipts alone.
    pub memory: Option<PathBuf>,
}

/// One service's log.
pub struct Log {
    pub(crate) database: Database,
    keyring: Arc<Keyring>,
    config: LogConfig,
    stopped: Mutex<Option<Stopped>>,
    memory: AsyncMutex<()>,
    /// The key that signs promises, and since when it is known to be that.
    promising: Mutex<Option<(Instant, Arc<KeyringSigner>)>>,
}

/// How long the key that signs promises is not looked for anew: thousands are signed a second.
const PROMISING: Duration = Duration::from_secs(1);

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("id", &self.config.id)
            .finish_non_exhaustive()
    }
}

/// A key of the keyring, as notes are signed with it.
pub(crate) struct KeyringSigner(pub(crate) NoteKey);

impl NoteSigner for KeyringSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        Some(self.0.sign(message))
    }
}

/// How a log stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The epoch.
    pub epoch: i32,
    /// The size of the newest checkpoint.
    pub size: u64,
    /// How many leaves wait for their place.
    pub waiting: i64,
    /// Since when the oldest of them waits.
    pub waiting_since: Option<Timestamp>,
    /// Why it stands still, if it does.
    pub stopped: Option<Stopped>,
}

/// An inclusion proof with what it is about.
#[derive(Clone, Debug)]
pub struct Inclusion {
    /// The entry and its place.
    pub placed: Placed,
    /// The size of the tree.
    pub size: u64,
    /// The hashes, the lowest first.
    pub path: Vec<Hash>,
}

impl Log {
    /// The log of this database.
    pub fn new(database: Database, keyring: Arc<Keyring>, config: LogConfig) -> Self {
        Self {
            database,
            keyring,
            config,
            stopped: Mutex::new(None),
            memory: AsyncMutex::new(()),
            promising: Mutex::new(None),
        }
    }

    /// The service whose log it is.
    pub fn id(&self) -> &str {
        &self.config.id
    }

    /// The origin of an epoch's log: `prefix/service/epoch`.
    pub fn origin(&self, epoch: i32) -> String {
        format!("{}/{}/{epoch}", self.config.prefix, self.config.id)
    }

    /// The keys that verify an epoch's log now, the newest last.
    pub fn keys(&self, epoch: i32) -> Result<Vec<VerifyingKey>, LedgerError> {
        self.keyring
            .note_keys(Purpose::Checkpoints)
            .iter()
            .map(|key| VerifyingKey::new(self.origin(epoch), KeyKind::Log, key.public_key()))
            .collect()
    }

    pub(crate) fn signer(&self) -> KeyringSigner {
        KeyringSigner(self.keyring.note_key(Purpose::Checkpoints))
    }

    /// Promises that a leaf, which must be durable, will be in the log of this epoch. A key that was rotated signs within a second.
    pub fn promise(&self, epoch: i32, leaf: Hash, time: Timestamp) -> Result<Promise, LedgerError> {
        Promise::make(&self.origin(epoch), leaf, time, &*self.promising())
    }

    fn promising(&self) -> Arc<KeyringSigner> {
        let mut known = self.promising.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((since, signer)) if since.elapsed() < PROMISING => Arc::clone(signer),
            _ => {
                let signer = Arc::new(self.signer());
                *known = Some((Instant::now(), Arc::clone(&signer)));
                signer
            }
        }
    }

    /// The present epoch of the database.
    pub async fn epoch(&self) -> Result<i32, Fault> {
        self.database.read(&RowScope::none(), store::current_epoch).await
    }

    pub(crate) fn set_stopped(&self, stopped: Option<Stopped>) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = stopped;
    }

    /// Why sequencing stands still in this process, if it does.
    pub fn stopped(&self) -> Option<Stopped> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn memory_file(&self) -> Option<PathBuf> {
        let folder = self.config.memory.as_ref()?;
        Some(folder.join(format!("{}.json", self.config.id)))
    }

    pub(crate) async fn remembered(&self) -> Result<Option<Memory>, Fault> {
        let Some(file) = self.memory_file() else {
            return Ok(None);
        };
        let _turn = self.memory.lock().await;
        tokio::task::spawn_blocking(move || Memory::read(&file))
            .await
            .map_err(Fault::internal)?
    }

    /// Remembers a signed checkpoint, or one with a cosignature.
    pub(crate) async fn remember(&self, epoch: i32, note: String, cosigned: bool) -> Result<(), Fault> {
        let Some(file) = self.memory_file() else { return Ok(()) };
        let _turn = self.memory.lock().await;
        let write = move || {
            let mut memory = Memory::read(&file)?.unwrap_or_default();
            if cosigned {
                memory.cosigned = Some(note);
            } else {
                // What a witness saw of an earlier epoch stands in the first entry of this one.
                if memory.epoch != epoch {
                    memory.cosigned = None;
                }
                memory.epoch = epoch;
                memory.signed = note;
            }
            memory.write(&file)
        };
        tokio::task::spawn_blocking(write).await.map_err(Fault::internal)?
    }

    /// How the log stands.
    pub async fn standing(&self) -> Result<Standing, Error> {
        self.database
            .read(&RowScope::none(), async |conn| {
                let epoch = store::current_epoch(conn).await?;
                let last = store::last_checkpoint(conn, epoch).await?;
                let (waiting, waiting_since) = store::backlog(conn).await?;
                Ok(Standing {
                    epoch,
                    size: last.map_or(0, |last| last.size),
                    waiting,
                    waiting_since,
                    stopped: self.stopped(),
                })
            })
            .await
    }

    /// A checkpoint with its cosignatures and time stamps: the newest, or that of a size. Epoch 0 is the present one.
    pub async fn checkpoint(&self, epoch: i32, size: u64) -> Result<(SignedCheckpoint, Vec<StoredStamp>), Error> {
        self.database
            .read(&RowScope::none(), async |conn| {
                let epoch = known_epoch(conn, epoch).await?;
                let stored = checkpoint(conn, epoch, size).await?;
                let stamps = store::stamps(conn, epoch, Some(stored.size)).await?;
                Ok((cosigned(conn, epoch, &stored).await?, stamps))
            })
            .await
    }

    /// Proves a leaf to be in the tree of a size; 0 is that of the newest checkpoint.
    pub async fn inclusion(&self, leaf: &Hash, size: u64) -> Result<Inclusion, Error> {
        self.database
            .read(&RowScope::none(), async |conn| {
                let placed = store::by_hash(conn, leaf).await?.ok_or(Error::LeafNotFound)?;
                let newest = checkpoint(conn, placed.epoch, 0).await?.size;
                let size = if size == 0 { newest } else { size };
                if size > newest || placed.index >= size {
                    return Err(Error::OutsideTheTree);
                }
                let path = inclusion(conn, placed.epoch, placed.index, size).await?;
                Ok(Inclusion { placed, size, path })
            })
            .await
    }

    /// The inclusion path of an index, whatever stands there.
    pub async fn path(&self, epoch: i32, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        self.database
            .read(&RowScope::none(), async |conn| {
                if index >= size {
                    return Err(Error::OutsideTheTree);
                }
                inclusion(conn, epoch, index, size).await
            })
            .await
    }

    /// Proves the tree of `first` leaves to be the beginning of that of `second`; 0 is that of the newest checkpoint.
    pub async fn consistency(&self, epoch: i32, first: u64, second: u64) -> Result<(u64, Vec<Hash>), Error> {
        self.database
            .read(&RowScope::none(), async |conn| {
                let epoch = known_epoch(conn, epoch).await?;
                let newest = checkpoint(conn, epoch, 0).await?.size;
                let second = if second == 0 { newest } else { second };
                if second > newest || first > second {
                    return Err(Error::OutsideTheTree);
                }
                let path = consistency(conn, epoch, first, second).await?;
                Ok((second, path))
            })
            .await
    }

    /// The receipt of a leaf. Waits up to `at_most` until it is sequenced.
    pub async fn receipt(&self, leaf: &Hash, at_most: Duration) -> Result<Receipt, Error> {
        let until = Instant::now() + at_most;
        loop {
            let found = self
                .database
                .read(&RowScope::none(), async |conn| receipt(conn, leaf).await)
                .await;
            match found {
                Err(Error::LeafNotFound) if Instant::now() + LOOK_AGAIN < until => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(Error::LeafNotFound) => return Err(self.stopped().map_or(Error::LeafNotFound, Error::Stopped)),
                found => return found,
            }
        }
    }

    /// A tile's hashes in the tree of the newest checkpoint.
    pub async fn tile(&self, epoch: i32, tile: TileId) -> Result<Vec<Hash>, Error> {
        self.database
            .read(&RowScope::none(), async |conn| {
                let epoch = known_epoch(conn, epoch).await?;
                let size = checkpoint(conn, epoch, 0).await?.size;
                let width = tile.width(size).ok_or(Error::OutsideTheTree)?;
                Ok(store::tile(conn, epoch, tile, width).await?)
            })
            .await
    }

    /// Entries from an index on, in order, at most `limit`; or those of one resource.
    pub async fn entries(
        &self,
        epoch: i32,
        from: u64,
        of: Option<(&str, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Placed>, Error> {
        self.database
            .read(&RowScope::none(), async |conn| {
                let epoch = known_epoch(conn, epoch).await?;
                Ok(store::entries(conn, epoch, from, of, limit).await?)
            })
            .await
    }
}

async fn known_epoch(conn: &mut PgConnection, epoch: i32) -> Result<i32, Error> {
    let present = store::current_epoch(conn).await?;
    match epoch {
        0 => Ok(present),
        epoch if epoch <= present => Ok(epoch),
        _ => Err(Error::LogNotFound),
    }
}

async fn checkpoint(conn: &mut PgConnection, epoch: i32, size: u64) -> Result<StoredCheckpoint, Error> {
    let stored = match size {
        0 => store::last_checkpoint(conn, epoch).await?,
        size => store::checkpoint_at(conn, epoch, size).await?,
    };
    stored.ok_or(Error::CheckpointNotFound)
}

/// A stored checkpoint with the cosignatures that came for it.
pub(crate) async fn cosigned(
    conn: &mut PgConnection,
    epoch: i32,
    stored: &StoredCheckpoint,
) -> Result<SignedCheckpoint, Error> {
    let mut signed: SignedCheckpoint = stored.note.parse()?;
    for line in store::cosignatures(conn, epoch, stored.size).await? {
        signed.note_mut().signatures.push(NoteSignature::from_line(&line)?);
    }
    Ok(signed)
}

/// Reads the tiles of a tree of `size` leaves.
pub(crate) async fn tiles(
    conn: &mut PgConnection,
    epoch: i32,
    size: u64,
    wanted: impl IntoIterator<Item = TileId>,
) -> Result<TileSet, Error> {
    let mut set = TileSet::default();
    for tile in wanted {
        let width = tile.width(size).ok_or(Error::OutsideTheTree)?;
        set.insert(tile, store::tile(conn, epoch, tile, width).await?);
    }
    Ok(set)
}

pub(crate) async fn inclusion(conn: &mut PgConnection, epoch: i32, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
    let mut tiles = tiles(conn, epoch, size, tiles_for_inclusion(index, size)?).await?;
    Ok(inclusion_proof(&mut tiles, index, size)?)
}

pub(crate) async fn consistency(
    conn: &mut PgConnection,
    epoch: i32,
    first: u64,
    second: u64,
) -> Result<Vec<Hash>, Error> {
    let mut tiles = tiles(conn, epoch, second, tiles_for_consistency(first, second)?).await?;
    Ok(consistency_proof(&mut tiles, first, second)?)
}

async fn receipt(conn: &mut PgConnection, leaf: &Hash) -> Result<Receipt, Error> {
    let Placed {
        epoch, index, entry, ..
    } = store::by_hash(conn, leaf).await?.ok_or(Error::LeafNotFound)?;
    let stored = store::checkpoint_over(conn, epoch, index)
        .await?
        .ok_or(Error::CheckpointNotFound)?;
    Ok(Receipt {
        entry,
        index,
        path: inclusion(conn, epoch, index, stored.size).await?,
        checkpoint: cosigned(conn, epoch, &stored).await?,
    })
}

/// The leaf hash of a write whose row is known; for promises.
pub fn leaf_hash(
    kind: &str,
    resource: Uuid,
    version: u64,
    commitment: [u8; 32],
    time: Timestamp,
    epoch: u32,
) -> Result<Hash, LedgerError> {
    Entry {
        kind: kind.to_owned(),
        resource,
        version,
        commitment,
        time,
        epoch,
    }
    .leaf_hash()
}
