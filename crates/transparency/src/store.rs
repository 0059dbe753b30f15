//! The ledger's SQL. The tables are those of `egov_database::SHARED_MIGRATION_2`, in every service's database.

use egov_database::sql_fault;
use egov_fault::Fault;
use egov_ledger::{Entry, Hash, TILE_WIDTH, TileId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

/// A leaf that was taken to be sequenced; no entry where its row is gone.
pub(crate) struct Taken {
    pub(crate) leaf_id: Uuid,
    pub(crate) entry: Option<Entry>,
}

/// A checkpoint as it is stored.
#[derive(Clone, Debug)]
pub struct StoredCheckpoint {
    /// The size of the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The signed note, without cosignatures.
    pub note: String,
}

/// An entry with its place.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The epoch of the log.
    pub epoch: i32,
    /// The index.
    pub index: u64,
    /// The hash that is stored for it.
    pub hash: Hash,
    /// What stands in the leaf's row now.
    pub entry: Entry,
}

/// What a batch appends.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) leaf_ids: Vec<Uuid>,
    pub(crate) leaf_hashes: Vec<Vec<u8>>,
    pub(crate) levels: Vec<i16>,
    pub(crate) indexes: Vec<i64>,
    pub(crate) hashes: Vec<Vec<u8>>,
}

fn count(number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(Fault::internal)
}

fn natural(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn hash(bytes: &[u8]) -> Result<Hash, sqlx::Error> {
    Hash::from_slice(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn entry(row: &PgRow) -> Result<Entry, sqlx::Error> {
    let decode = |error: std::num::TryFromIntError| sqlx::Error::Decode(error.into());
    Ok(Entry {
        kind: row.try_get("kind")?,
        resource: row.try_get("resource_id")?,
        version: natural(row.try_get("version")?)?,
        commitment: hash(row.try_get("commitment")?)?.0,
        time: row.try_get::<jiff_sqlx::Timestamp, _>("create_time")?.to_jiff(),
        epoch: u32::try_from(row.try_get::<i32, _>("epoch")?).map_err(decode)?,
    })
}

fn checkpoint(row: &PgRow) -> Result<StoredCheckpoint, sqlx::Error> {
    Ok(StoredCheckpoint {
        size: natural(row.try_get("tree_size")?)?,
        root: hash(row.try_get("root")?)?,
        note: row.try_get("note")?,
    })
}

pub(crate) async fn current_epoch(conn: &mut PgConnection) -> Result<i32, Fault> {
    sqlx::query_scalar("SELECT egov.current_epoch()")
        .fetch_one(conn)
        .await
        .map_err(sql_fault)
}

/// Whether leaves wait, and the present epoch.
pub(crate) async fn waiting(conn: &mut PgConnection) -> Result<(bool, i32), Fault> {
    sqlx::query_as("SELECT EXISTS (SELECT 1 FROM egov.unsequenced_leaves), egov.current_epoch()")
        .fetch_one(conn)
        .await
        .map_err(sql_fault)
}

/// How many leaves wait and since when the oldest does.
pub(crate) async fn backlog(conn: &mut PgConnection) -> Result<(i64, Option<Timestamp>), Fault> {
    let row = sqlx::query(
        "SELECT count(*) AS waiting, min(l.create_time) AS oldest
         FROM egov.unsequenced_leaves w JOIN egov.leaves l USING (leaf_id)",
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)?;
    let oldest: Option<jiff_sqlx::Timestamp> = row.try_get("oldest").map_err(sql_fault)?;
    let waiting = row.try_get("waiting").map_err(sql_fault)?;
    Ok((waiting, oldest.map(jiff_sqlx::Timestamp::to_jiff)))
}

pub(crate) async fn last_checkpoint(conn: &mut PgConnection, epoch: i32) -> Result<Option<StoredCheckpoint>, Fault> {
    sqlx::query("SELECT tree_size, root, note FROM egov.checkpoints WHERE epoch = $1 ORDER BY tree_size DESC LIMIT 1")
        .bind(epoch)
        .fetch_optional(conn)
        .await
        .and_then(|row| row.as_ref().map(checkpoint).transpose())
        .map_err(sql_fault)
}

pub(crate) async fn checkpoint_at(
    conn: &mut PgConnection,
    epoch: i32,
    size: u64,
) -> Result<Option<StoredCheckpoint>, Fault> {
    sqlx::query("SELECT tree_size, root, note FROM egov.checkpoints WHERE epoch = $1 AND tree_size = $2")
        .bind(epoch)
        .bind(count(size)?)
        .fetch_optional(conn)
        .await
        .and_then(|row| row.as_ref().map(checkpoint).transpose())
        .map_err(sql_fault)
}

/// The checkpoint that proves an entry best: the first behind it that a witness cosigned, else the newest.
pub(crate) async fn checkpoint_over(
    conn: &mut PgConnection,
    epoch: i32,
    index: u64,
) -> Result<Option<StoredCheckpoint>, Fault> {
    sqlx::query(
        "SELECT tree_size, root, note FROM egov.checkpoints
         WHERE epoch = $1 AND tree_size = coalesce(
            (SELECT min(tree_size) FROM egov.cosignatures WHERE epoch = $1 AND tree_size > $2),
            (SELECT max(tree_size) FROM egov.checkpoints WHERE epoch = $1 AND tree_size > $2))",
    )
    .bind(epoch)
    .bind(count(index)?)
    .fetch_optional(conn)
    .await
    .and_then(|row| row.as_ref().map(checkpoint).transpose())
    .map_err(sql_fault)
}

/// All checkpoints of an epoch behind a size, the smallest first, at most `limit`.
pub(crate) async fn checkpoints_after(
    conn: &mut PgConnection,
    epoch: i32,
    size: u64,
    limit: i64,
) -> Result<Vec<StoredCheckpoint>, Fault> {
    sqlx::query(
        "SELECT tree_size, root, note FROM egov.checkpoints WHERE epoch = $1 AND tree_size > $2
         ORDER BY tree_size LIMIT $3",
    )
    .bind(epoch)
    .bind(count(size)?)
    .bind(limit)
    .fetch_all(conn)
    .await
    .and_then(|rows| rows.iter().map(checkpoint).collect())
    .map_err(sql_fault)
}

/// The lines of cosignature of a checkpoint.
pub(crate) async fn cosignatures(conn: &mut PgConnection, epoch: i32, size: u64) -> Result<Vec<String>, Fault> {
    sqlx::query_scalar("SELECT line FROM egov.cosignatures WHERE epoch = $1 AND tree_size = $2 ORDER BY witness")
        .bind(epoch)
        .bind(count(size)?)
        .fetch_all(conn)
        .await
        .map_err(sql_fault)
}

/// The largest size that this witness has cosigned; 0 if none.
pub(crate) async fn cosigned_size(conn: &mut PgConnection, epoch: i32, witness: &str) -> Result<u64, Fault> {
    sqlx::query_scalar::<_, Option<i64>>(
        "SELECT max(tree_size) FROM egov.cosignatures WHERE epoch = $1 AND witness = $2",
    )
    .bind(epoch)
    .bind(witness)
    .fetch_one(conn)
    .await
    .and_then(|size| natural(size.unwrap_or(0)))
    .map_err(sql_fault)
}

pub(crate) async fn add_cosignature(
    conn: &mut PgConnection,
    epoch: i32,
    size: u64,
    witness: &str,
    line: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO egov.cosignatures (epoch, tree_size, witness, line, create_time) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING",
    )
    .bind(epoch)
    .bind(count(size)?)
    .bind(witness)
    .bind(line)
    .bind(now.to_sqlx())
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// A tile's hashes, at most `width`.
pub(crate) async fn tile(conn: &mut PgConnection, epoch: i32, tile: TileId, width: u64) -> Result<Vec<Hash>, Fault> {
    let begin = count(tile.index.saturating_mul(TILE_WIDTH))?;
    let end = begin + count(width)?;
    let query = if tile.level == 0 {
        sqlx::query_scalar::<_, Vec<u8>>(
            "SELECT leaf_hash FROM egov.ledger_entries
             WHERE epoch = $1 AND log_index >= $2 AND log_index < $3 ORDER BY log_index",
        )
        .bind(epoch)
        .bind(begin)
        .bind(end)
    } else {
        sqlx::query_scalar(
            "SELECT hash FROM egov.ledger_nodes
             WHERE epoch = $1 AND level = $4 AND node_index >= $2 AND node_index < $3 ORDER BY node_index",
        )
        .bind(epoch)
        .bind(begin)
        .bind(end)
        .bind(i16::from(tile.level) * 8)
    };
    query
        .fetch_all(conn)
        .await
        .and_then(|rows| rows.iter().map(|bytes| hash(bytes)).collect())
        .map_err(sql_fault)
}

/// Takes up to `batch` leaves, or the one that is named, inside a transaction that holds the lease.
pub(crate) async fn take(
    conn: &mut PgConnection,
    fence: i64,
    batch: i32,
    only: Option<Uuid>,
) -> Result<Vec<Taken>, Fault> {
    let rows = sqlx::query("SELECT * FROM egov.take_leaves($1, $2, $3)")
        .bind(fence)
        .bind(batch)
        .bind(only)
        .fetch_all(conn)
        .await
        .map_err(sql_fault)?;
    rows.iter()
        .map(|row| {
            let there: Option<Uuid> = row.try_get("leaf_id")?;
            Ok(Taken {
                leaf_id: row.try_get("taken_id")?,
                entry: there.map(|_| entry(row)).transpose()?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(sql_fault)
}

pub(crate) async fn append(
    conn: &mut PgConnection,
    fence: i64,
    epoch: i32,
    first: u64,
    batch: &Batch,
    checkpoint: &StoredCheckpoint,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query("SELECT egov.append_entries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
        .bind(fence)
        .bind(epoch)
        .bind(count(first)?)
        .bind(&batch.leaf_ids)
        .bind(&batch.leaf_hashes)
        .bind(&batch.levels)
        .bind(&batch.indexes)
        .bind(&batch.hashes)
        .bind(checkpoint.root.as_bytes())
        .bind(&checkpoint.note)
        .bind(now.to_sqlx())
        .execute(conn)
        .await
        .map(drop)
        .map_err(sql_fault)
}

/// The entry of this leaf hash; of several epochs the newest.
pub(crate) async fn by_hash(conn: &mut PgConnection, wanted: &Hash) -> Result<Option<Placed>, Fault> {
    let row = sqlx::query(
        "SELECT e.epoch AS log_epoch, e.log_index, e.leaf_hash, l.*
         FROM egov.ledger_entries e JOIN egov.leaves l USING (leaf_id)
         WHERE e.leaf_hash = $1 ORDER BY e.epoch DESC, e.log_index LIMIT 1",
    )
    .bind(wanted.as_bytes())
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)?;
    row.as_ref().map(placed).transpose().map_err(sql_fault)
}

fn placed(row: &PgRow) -> Result<Placed, sqlx::Error> {
    Ok(Placed {
        epoch: row.try_get("log_epoch")?,
        index: natural(row.try_get("log_index")?)?,
        hash: hash(row.try_get("leaf_hash")?)?,
        entry: entry(row)?,
    })
}

/// Entries from an index on, in order; or those of one resource.
pub(crate) async fn entries(
    conn: &mut PgConnection,
    epoch: i32,
    from: u64,
    of: Option<(&str, Uuid)>,
    limit: i64,
) -> Result<Vec<Placed>, Fault> {
    let query = match of {
        None => sqlx::query(
            "SELECT e.epoch AS log_epoch, e.log_index, e.leaf_hash, l.*
             FROM egov.ledger_entries e JOIN egov.leaves l USING (leaf_id)
             WHERE e.epoch = $1 AND e.log_index >= $2 ORDER BY e.log_index LIMIT $3",
        ),
        Some(_) => sqlx::query(
            "SELECT e.epoch AS log_epoch, e.log_index, e.leaf_hash, l.*
             FROM egov.leaves l JOIN egov.ledger_entries e USING (leaf_id)
             WHERE e.epoch = $1 AND e.log_index >= $2 AND l.kind = $4 AND l.resource_id = $5
             ORDER BY e.log_index LIMIT $3",
        ),
    };
    let mut query = query.bind(epoch).bind(count(from)?).bind(limit);
    if let Some((kind, resource)) = of {
        query = query.bind(kind).bind(resource);
    }
    let rows = query.fetch_all(conn).await.map_err(sql_fault)?;
    rows.iter()
        .map(placed)
        .collect::<Result<_, sqlx::Error>>()
        .map_err(sql_fault)
}

/// The note on which the log of an epoch begins.
pub(crate) async fn anchor(conn: &mut PgConnection, epoch: i32) -> Result<Option<String>, Fault> {
    sqlx::query_scalar("SELECT note FROM egov.ledger_anchors WHERE epoch = $1")
        .bind(epoch)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)
}

pub(crate) async fn add_anchor(conn: &mut PgConnection, epoch: i32, note: &str, now: Timestamp) -> Result<(), Fault> {
    sqlx::query("INSERT INTO egov.ledger_anchors (epoch, note, create_time) VALUES ($1, $2, $3)")
        .bind(epoch)
        .bind(note)
        .bind(now.to_sqlx())
        .execute(conn)
        .await
        .map(drop)
        .map_err(sql_fault)
}

/// The leaf of a kind, resource and version.
pub(crate) async fn leaf(
    conn: &mut PgConnection,
    kind: &str,
    resource: Uuid,
    version: i64,
) -> Result<Option<Uuid>, Fault> {
    sqlx::query_scalar("SELECT leaf_id FROM egov.leaves WHERE kind = $1 AND resource_id = $2 AND version = $3")
        .bind(kind)
        .bind(resource)
        .bind(version)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)
}

/// The newest checkpoint of an epoch before `epoch`, with that epoch.
pub(crate) async fn last_before(conn: &mut PgConnection, epoch: i32) -> Result<Option<(i32, StoredCheckpoint)>, Fault> {
    sqlx::query(
        "SELECT epoch, tree_size, root, note FROM egov.checkpoints WHERE epoch < $1
         ORDER BY epoch DESC, tree_size DESC LIMIT 1",
    )
    .bind(epoch)
    .fetch_optional(conn)
    .await
    .and_then(|row| {
        row.as_ref()
            .map(|row| Ok((row.try_get("epoch")?, checkpoint(row)?)))
            .transpose()
    })
    .map_err(sql_fault)
}

/// The epochs that have checkpoints, the oldest first.
pub(crate) async fn epochs(conn: &mut PgConnection) -> Result<Vec<i32>, Fault> {
    sqlx::query_scalar("SELECT DISTINCT epoch FROM egov.checkpoints ORDER BY epoch")
        .fetch_all(conn)
        .await
        .map_err(sql_fault)
}

/// A time stamp over a checkpoint.
#[derive(Clone, Debug)]
pub struct StoredStamp {
    /// The size of the checkpoint.
    pub size: u64,
    /// The authority's name in the configuration.
    pub authority: String,
    /// The token.
    pub token: Vec<u8>,
    /// The time in it.
    pub time: Timestamp,
}

fn stamp(row: &PgRow) -> Result<StoredStamp, sqlx::Error> {
    Ok(StoredStamp {
        size: natural(row.try_get("tree_size")?)?,
        authority: row.try_get("authority")?,
        token: row.try_get("token")?,
        time: row.try_get::<jiff_sqlx::Timestamp, _>("stamp_time")?.to_jiff(),
    })
}

/// The time stamps of one checkpoint, or of all of the epoch.
pub(crate) async fn stamps(conn: &mut PgConnection, epoch: i32, size: Option<u64>) -> Result<Vec<StoredStamp>, Fault> {
    sqlx::query(
        "SELECT tree_size, authority, token, stamp_time FROM egov.time_stamps
         WHERE epoch = $1 AND ($2::bigint IS NULL OR tree_size = $2) ORDER BY tree_size, authority",
    )
    .bind(epoch)
    .bind(size.map(count).transpose()?)
    .fetch_all(conn)
    .await
    .and_then(|rows| rows.iter().map(stamp).collect())
    .map_err(sql_fault)
}

pub(crate) async fn add_stamp(
    conn: &mut PgConnection,
    epoch: i32,
    stamp: &StoredStamp,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO egov.time_stamps (epoch, tree_size, authority, token, stamp_time, create_time)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(epoch)
    .bind(count(stamp.size)?)
    .bind(&stamp.authority)
    .bind(&stamp.token)
    .bind(stamp.time.to_sqlx())
    .bind(now.to_sqlx())
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The last checkpoint of a log that this witness cosigned; the log is locked until the transaction ends.
pub(crate) async fn witnessed(conn: &mut PgConnection, origin: &str) -> Result<Option<StoredCheckpoint>, Fault> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('egov.witness' || $1, 0))")
        .bind(origin)
        .execute(&mut *conn)
        .await
        .map_err(sql_fault)?;
    sqlx::query(
        "SELECT tree_size, root, note FROM egov.witnessed_checkpoints WHERE origin = $1
         ORDER BY tree_size DESC LIMIT 1",
    )
    .bind(origin)
    .fetch_optional(conn)
    .await
    .and_then(|row| row.as_ref().map(checkpoint).transpose())
    .map_err(sql_fault)
}

/// What this witness cosigned of a log at a size.
pub(crate) async fn witnessed_at(
    conn: &mut PgConnection,
    origin: &str,
    size: u64,
) -> Result<Option<StoredCheckpoint>, Fault> {
    sqlx::query("SELECT tree_size, root, note FROM egov.witnessed_checkpoints WHERE origin = $1 AND tree_size = $2")
        .bind(origin)
        .bind(count(size)?)
        .fetch_optional(conn)
        .await
        .and_then(|row| row.as_ref().map(checkpoint).transpose())
        .map_err(sql_fault)
}

pub(crate) async fn add_witnessed(
    conn: &mut PgConnection,
    origin: &str,
    seen: &StoredCheckpoint,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO egov.witnessed_checkpoints (origin, tree_size, root, note, create_time)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(origin)
    .bind(count(seen.size)?)
    .bind(seen.root.as_bytes())
    .bind(&seen.note)
    .bind(now.to_sqlx())
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Keeps a checkpoint that contradicts what was seen.
pub(crate) async fn add_conflict(
    conn: &mut PgConnection,
    origin: &str,
    reason: &str,
    shown: &StoredCheckpoint,
    kept: &StoredCheckpoint,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO egov.witness_conflicts
            (origin, reason, tree_size, note, kept_size, kept_note, create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(origin)
    .bind(reason)
    .bind(count(shown.size)?)
    .bind(&shown.note)
    .bind(count(kept.size)?)
    .bind(&kept.note)
    .bind(now.to_sqlx())
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}
