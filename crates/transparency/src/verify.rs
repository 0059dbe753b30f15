//! Checking a whole log as it lies in the database: every leaf, the tree, every checkpoint, every cosignature. Nothing is believed that
//! can be computed.

use std::collections::{BTreeMap, BTreeSet};

use egov_auth::RowScope;
use egov_database::{Database, READ_KIND, ReadFacts, leaf_commitment, sql_fault, stored_capacities};
use egov_fault::Fault;
use egov_ledger::{Entry, Frontier, Hash, KeyKind, SignedCheckpoint, VerifyingKey};
use futures::TryStreamExt as _;
use serde::Serialize;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::error::Error;
use crate::log::cosigned;
use crate::sequencer::ANCHOR_KIND;
use crate::stamping::StampRoots;
use crate::store::{self, StoredCheckpoint};

/// The most findings that are listed one by one; the rest is counted.
const LISTED: usize = 50;
/// How many checkpoints are read at once.
const CHECKPOINTS: i64 = 1000;

/// What was found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The row of a leaf is there and says what was hashed.
    Leaf,
    /// Indexes run from 0 without a gap to the last checkpoint.
    Indexes,
    /// Complete subtrees have the roots that are stored.
    Nodes,
    /// The root over the entries is that of each checkpoint.
    Root,
    /// Each checkpoint is signed by the log.
    Signature,
    /// Each cosignature is right.
    Cosignature,
    /// Each time stamp is over its checkpoint, by an authority that is trusted.
    TimeStamp,
    /// Each leaf has its place or waits for it.
    Place,
    /// The log of a later epoch begins with a checkpoint of the one before.
    Anchor,
    /// What is stored now is what the leaf commits to.
    Commitment,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was found wrong.
    pub rule: Rule,
    /// Where, without personal data.
    pub detail: String,
}

/// What was checked of a log, and what was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LogReport {
    /// The service.
    pub log: String,
    /// The epoch.
    pub epoch: i32,
    /// Entries whose hash was computed again.
    pub entries: u64,
    /// Checkpoints whose root and signature were checked.
    pub checkpoints: u64,
    /// Cosignatures that were checked.
    pub cosignatures: u64,
    /// Cosignatures by witnesses whose key was not given.
    pub cosignatures_unknown: u64,
    /// Time stamps that were checked.
    pub time_stamps: u64,
    /// Time stamps by authorities whose roots were not given.
    pub time_stamps_unknown: u64,
    /// These authorities, by their names in the configuration of the log.
    pub authorities_unknown: BTreeSet<String>,
    /// How many findings there are of each rule.
    pub found: BTreeMap<Rule, u64>,
    /// The first of them.
    pub findings: Vec<Finding>,
}

impl LogReport {
    /// Whether nothing was found wrong.
    pub fn is_whole(&self) -> bool {
        self.found.is_empty()
    }

    /// Takes in what another check of the same log found.
    pub fn take_in(&mut self, other: Self) {
        for (rule, count) in other.found {
            *self.found.entry(rule).or_default() += count;
        }
        let room = LISTED.saturating_sub(self.findings.len());
        self.findings.extend(other.findings.into_iter().take(room));
    }

    /// Adds a finding.
    pub fn find(&mut self, rule: Rule, detail: impl Into<String>) {
        *self.found.entry(rule).or_default() += 1;
        if self.findings.len() < LISTED {
            self.findings.push(Finding {
                rule,
                detail: detail.into(),
            });
        }
    }
}

/// Whom the check trusts.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Keys of logs and witnesses.
    pub keys: Vec<VerifyingKey>,
    /// The roots of authorities of time stamps, by their names in the configuration of the log.
    pub stamp_roots: BTreeMap<String, StampRoots>,
}

impl Trust {
    /// Logs and witnesses by their keys, and no authority of time stamps.
    pub fn in_keys(keys: Vec<VerifyingKey>) -> Self {
        Self {
            keys,
            stamp_roots: BTreeMap::new(),
        }
    }
}

/// The epochs of a database that have a log.
pub async fn epochs(database: &Database) -> Result<Vec<i32>, Fault> {
    database.read(&RowScope::none(), store::epochs).await
}

/// Checks the log of an epoch. `origin` is how its checkpoints must be named; `progress` learns how many entries are done, of how many.
pub async fn verify_log(
    database: &Database,
    log: &str,
    (epoch, origin): (i32, &str),
    trust: &Trust,
    mut progress: impl FnMut(u64, u64),
) -> Result<LogReport, Error> {
    let mut report = LogReport {
        log: log.to_owned(),
        epoch,
        ..LogReport::default()
    };
    database
        .read(&RowScope::none(), async |conn| {
            let last = store::last_checkpoint(conn, epoch).await?;
            let size = last.as_ref().map_or(0, |last| last.size);
            let mut sizes = Checkpoints::new(epoch);
            let roots = tree(conn, epoch, &mut report, size, &mut progress).await?;
            while let Some(stored) = sizes.next(conn).await? {
                judge_checkpoint(conn, epoch, origin, trust, &stored, &roots, &mut report).await?;
            }
            for stamp in store::stamps(conn, epoch, None).await? {
                let Some(stored) = store::checkpoint_at(conn, epoch, stamp.size).await? else {
                    continue;
                };
                let Some(roots) = trust.stamp_roots.get(&stamp.authority) else {
                    report.time_stamps_unknown += 1;
                    report.authorities_unknown.insert(stamp.authority);
                    continue;
                };
                // The text that the log signed: what stands before the signatures.
                let text = stored.note.split("\n\n").next().unwrap_or_default();
                match roots.verify(&stamp.token, format!("{text}\n").as_bytes()) {
                    Ok(_) => report.time_stamps += 1,
                    Err(problem) => report.find(
                        Rule::TimeStamp,
                        format!("of {} over size {}: {problem}", stamp.authority, stamp.size),
                    ),
                }
            }
            places(conn, &mut report).await?;
            if epoch > 1 {
                anchor(conn, epoch, trust, &mut report).await?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    Ok(report)
}

/// The checkpoints of an epoch, the smallest first, read in portions.
struct Checkpoints {
    epoch: i32,
    after: u64,
    ready: std::collections::VecDeque<StoredCheckpoint>,
}

impl Checkpoints {
    fn new(epoch: i32) -> Self {
        Self {
            epoch,
            after: 0,
            ready: std::collections::VecDeque::new(),
        }
    }

    async fn next(&mut self, conn: &mut PgConnection) -> Result<Option<StoredCheckpoint>, Fault> {
        if self.ready.is_empty() {
            self.ready = store::checkpoints_after(conn, self.epoch, self.after, CHECKPOINTS)
                .await?
                .into();
        }
        let next = self.ready.pop_front();
        if let Some(next) = &next {
            self.after = next.size;
        }
        Ok(next)
    }
}

/// Goes through all entries: their rows, their indexes, the nodes; answers with the root at each checkpoint's size.
async fn tree(
    conn: &mut PgConnection,
    epoch: i32,
    report: &mut LogReport,
    size: u64,
    progress: &mut impl FnMut(u64, u64),
) -> Result<BTreeMap<u64, Hash>, Error> {
    let sizes: Vec<i64> =
        sqlx::query_scalar("SELECT tree_size FROM egov.checkpoints WHERE epoch = $1 ORDER BY tree_size")
            .bind(epoch)
            .fetch_all(&mut *conn)
            .await
            .map_err(sql_fault)?;
    let mut sizes = sizes.into_iter().filter_map(|size| u64::try_from(size).ok()).peekable();
    let mut roots = BTreeMap::new();
    let mut frontier = Frontier::new();
    let mut nodes: BTreeMap<(i16, i64), Hash> = BTreeMap::new();
    {
        let mut rows = sqlx::query(
            "SELECT e.log_index, e.leaf_hash, l.kind, l.resource_id, l.version, l.commitment, l.create_time, l.epoch
             FROM egov.ledger_entries e LEFT JOIN egov.leaves l USING (leaf_id)
             WHERE e.epoch = $1 ORDER BY e.log_index",
        )
        .bind(epoch)
        .fetch(&mut *conn);
        while let Some(row) = rows.try_next().await.map_err(sql_fault)? {
            let index: i64 = row.try_get(0).map_err(sql_fault)?;
            let stored: &[u8] = row.try_get(1).map_err(sql_fault)?;
            let stored = Hash::from_slice(stored)?;
            let expected = frontier.size();
            if u64::try_from(index) != Ok(expected) {
                report.find(Rule::Indexes, format!("index {index} stands where {expected} should"));
            }
            match entry(&row)? {
                None => report.find(Rule::Leaf, format!("the row of entry {index} is gone")),
                Some(entry) => match entry.leaf_hash() {
                    Ok(hash) if hash == stored => {}
                    _ => report.find(
                        Rule::Leaf,
                        format!(
                            "entry {index} ({} {} version {}) was changed",
                            entry.kind, entry.resource, entry.version
                        ),
                    ),
                },
            }
            frontier.push_with(stored, |level, index, hash| {
                if level > 0 && level % 8 == 0 {
                    nodes.insert((i16::from(level), i64::try_from(index).unwrap_or(i64::MAX)), hash);
                }
            });
            report.entries += 1;
            if sizes.next_if_eq(&frontier.size()).is_some() {
                roots.insert(frontier.size(), frontier.root());
            }
            if report.entries.is_multiple_of(8192) {
                progress(report.entries, size);
            }
        }
    }
    progress(report.entries, size);
    if report.entries != size {
        report.find(
            Rule::Indexes,
            format!(
                "there are {} entries, and the last checkpoint is over {size}",
                report.entries
            ),
        );
    }
    let stored = sqlx::query("SELECT level, node_index, hash FROM egov.ledger_nodes WHERE epoch = $1")
        .bind(epoch)
        .fetch_all(&mut *conn)
        .await
        .map_err(sql_fault)?;
    for row in stored {
        let read = || -> Result<_, sqlx::Error> {
            Ok((
                (row.try_get::<i16, _>(0)?, row.try_get::<i64, _>(1)?),
                row.try_get::<Vec<u8>, _>(2)?,
            ))
        };
        let (place, hash) = read().map_err(sql_fault)?;
        if nodes.remove(&place).is_none_or(|expected| expected.as_bytes() != hash) {
            report.find(
                Rule::Nodes,
                format!("node {} of level {} is not the root of its subtree", place.1, place.0),
            );
        }
    }
    for (level, index) in nodes.into_keys() {
        report.find(Rule::Nodes, format!("node {index} of level {level} is missing"));
    }
    Ok(roots)
}

fn entry(row: &sqlx::postgres::PgRow) -> Result<Option<Entry>, Error> {
    let read = || -> Result<Option<Entry>, sqlx::Error> {
        let Some(kind) = row.try_get::<Option<String>, _>(2)? else {
            return Ok(None);
        };
        let decode = |error: std::num::TryFromIntError| sqlx::Error::Decode(error.into());
        let commitment: &[u8] = row.try_get(5)?;
        Ok(Some(Entry {
            kind,
            resource: row.try_get(3)?,
            version: u64::try_from(row.try_get::<i64, _>(4)?).map_err(decode)?,
            commitment: Hash::from_slice(commitment)
                .map_err(|error| sqlx::Error::Decode(error.into()))?
                .0,
            time: row.try_get::<jiff_sqlx::Timestamp, _>(6)?.to_jiff(),
            epoch: u32::try_from(row.try_get::<i32, _>(7)?).map_err(decode)?,
        }))
    };
    read().map_err(|error| sql_fault(error).into())
}

async fn judge_checkpoint(
    conn: &mut PgConnection,
    epoch: i32,
    origin: &str,
    trust: &Trust,
    stored: &StoredCheckpoint,
    roots: &BTreeMap<u64, Hash>,
    report: &mut LogReport,
) -> Result<(), Error> {
    report.checkpoints += 1;
    let size = stored.size;
    let signed = match cosigned(conn, epoch, stored).await {
        Ok(signed) => signed,
        Err(Error::Ledger(error)) => {
            report.find(Rule::Signature, format!("the checkpoint of size {size}: {error}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let said = signed.checkpoint();
    if said.origin != origin || said.size != size || said.root != stored.root {
        report.find(
            Rule::Signature,
            format!("the note of size {size} says something else than its row"),
        );
    }
    if let Err(error) = signed.verify_any(&trust.keys) {
        report.find(Rule::Signature, format!("the checkpoint of size {size}: {error}"));
    }
    if roots.get(&size) != Some(&said.root) {
        report.find(
            Rule::Root,
            format!("the entries do not have the root of the checkpoint of size {size}"),
        );
    }
    for signature in signed.note().signatures.iter().skip(1) {
        let key = trust
            .keys
            .iter()
            .find(|key| key.kind() == KeyKind::Witness && key.name() == signature.name && key.id() == signature.key_id);
        match key.map(|key| signed.cosigned_by(key)) {
            None => report.cosignatures_unknown += 1,
            Some(Ok(_)) => report.cosignatures += 1,
            Some(Err(error)) => report.find(Rule::Cosignature, format!("over size {size}: {error}")),
        }
    }
    Ok(())
}

async fn places(conn: &mut PgConnection, report: &mut LogReport) -> Result<(), Error> {
    let lost: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM egov.leaves l
         WHERE NOT EXISTS (SELECT 1 FROM egov.ledger_entries e WHERE e.leaf_id = l.leaf_id)
           AND NOT EXISTS (SELECT 1 FROM egov.unsequenced_leaves w WHERE w.leaf_id = l.leaf_id)",
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)?;
    if lost > 0 {
        report.find(Rule::Place, format!("{lost} leaves have no place and wait for none"));
    }
    Ok(())
}

async fn anchor(conn: &mut PgConnection, epoch: i32, trust: &Trust, report: &mut LogReport) -> Result<(), Error> {
    let Some(note) = store::anchor(conn, epoch).await? else {
        if store::last_before(conn, epoch).await?.is_some() {
            report.find(Rule::Anchor, "nothing says on which checkpoint this epoch begins");
        }
        return Ok(());
    };
    let first = store::entries(conn, epoch, 0, None, 1).await?;
    let begins = first
        .first()
        .is_some_and(|first| first.entry.kind == ANCHOR_KIND && first.entry.version == u64::from(epoch.unsigned_abs()));
    if !begins {
        report.find(
            Rule::Anchor,
            "the first entry is not the checkpoint of the epoch before",
        );
    }
    match note.parse::<SignedCheckpoint>() {
        Ok(before) => {
            if let Err(error) = before.verify_any(&trust.keys) {
                report.find(
                    Rule::Anchor,
                    format!("the checkpoint on which this epoch begins: {error}"),
                );
            }
        }
        Err(error) => report.find(
            Rule::Anchor,
            format!("the checkpoint on which this epoch begins: {error}"),
        ),
    }
    Ok(())
}

/// How the leaves of a kind were checked against what is stored now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KindReport {
    /// Leaves of the kind.
    pub leaves: u64,
    /// Those whose commitment was computed again from the rows as they stand now.
    pub recomputed: u64,
    /// Those whose salt was deleted, as an erasure that is recorded says.
    pub erased: u64,
    /// Those that cannot be recomputed, and why: a later version replaced the row, or the service keeps no canonical bytes.
    pub not_recomputable: u64,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The canonical bytes of a resource's version, rebuilt from rows.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The kind.
    pub kind: String,
    /// The resource.
    pub resource: Uuid,
    /// The version.
    pub version: i64,
    /// The canonical bytes.
    pub canonical: Vec<u8>,
}

/// Why a leaf has no row any more from which its bytes follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutRow<'a> {
    /// For this reason, which is no fault: such leaves are counted as not recomputable.
    Expected(&'a str),
    /// For this reason, if a newer version of the resource was rebuilt: of each resource only the row as it stands is kept. The newest
    /// leaf of a resource must have its row, so that one whose row is gone, or is of an older version again, is found wrong.
    Replaced(&'a str),
    /// For none: rows of this kind are never changed or removed, so a leaf without one is found wrong.
    Wrong,
}

/// Checks the leaves of one kind against bytes that were rebuilt from rows. What of leaves whose version was not rebuilt,
/// `without_row` says; a rebuilt version without a leaf is found wrong.
pub async fn verify_kind(
    database: &Database,
    kind: &str,
    rebuilt: &[Rebuilt],
    without_row: WithoutRow<'_>,
    report: &mut LogReport,
) -> Result<KindReport, Error> {
    let mut of = KindReport::default();
    let rows = database
        .read(&RowScope::none(), async |conn| {
            sqlx::query(
                "SELECT l.resource_id, l.version, l.commitment, s.salt,
                        EXISTS (SELECT 1 FROM egov.leaf_erasures x WHERE x.kind = l.kind AND x.resource_id = l.resource_id)
                 FROM egov.leaves l LEFT JOIN egov.leaf_salts s USING (leaf_id) WHERE l.kind = $1",
            )
            .bind(kind)
            .fetch_all(conn)
            .await
            .map_err(sql_fault)
        })
        .await?;
    let mut known: BTreeMap<(Uuid, i64), &[u8]> = rebuilt
        .iter()
        .filter(|rebuilt| rebuilt.kind == kind)
        .map(|rebuilt| ((rebuilt.resource, rebuilt.version), rebuilt.canonical.as_slice()))
        .collect();
    let mut newest: BTreeMap<Uuid, i64> = BTreeMap::new();
    for (resource, version) in known.keys() {
        // In the order of the versions: the last stays.
        newest.insert(*resource, *version);
    }
    for row in &rows {
        let read = || -> Result<_, sqlx::Error> {
            Ok((
                (row.try_get::<Uuid, _>(0)?, row.try_get::<i64, _>(1)?),
                row.try_get::<Vec<u8>, _>(2)?,
                row.try_get::<Option<Vec<u8>>, _>(3)?,
                row.try_get::<bool, _>(4)?,
            ))
        };
        let (place, commitment, salt, erased) = read().map_err(sql_fault)?;
        of.leaves += 1;
        let canonical = known.remove(&place);
        match (salt, canonical) {
            (None, _) if erased => of.erased += 1,
            (None, _) => report.find(
                Rule::Commitment,
                format!(
                    "{kind} {} version {}: the salt is gone, and no erasure is recorded",
                    place.0, place.1
                ),
            ),
            (Some(_), None) => match without_row {
                WithoutRow::Expected(_) => of.not_recomputable += 1,
                WithoutRow::Replaced(_) if newest.get(&place.0).is_some_and(|row| *row > place.1) => {
                    of.not_recomputable += 1;
                }
                WithoutRow::Replaced(_) | WithoutRow::Wrong => report.find(
                    Rule::Commitment,
                    format!("{kind} {} version {}: its row is gone", place.0, place.1),
                ),
            },
            (Some(salt), Some(canonical)) => {
                of.recomputed += 1;
                if leaf_commitment(&salt, canonical).as_slice() != commitment {
                    report.find(
                        Rule::Commitment,
                        format!("{kind} {} version {} is not what its leaf commits to", place.0, place.1),
                    );
                }
            }
        }
    }
    for (resource, version) in known.into_keys() {
        report.find(
            Rule::Commitment,
            format!("{kind} {resource} version {version} has no leaf"),
        );
    }
    if of.not_recomputable > 0
        && let WithoutRow::Expected(reason) | WithoutRow::Replaced(reason) = without_row
    {
        reason.clone_into(&mut of.reason);
    }
    Ok(of)
}

/// Records of reads, rebuilt: every service has them.
pub async fn rebuilt_reads(database: &Database) -> Result<Vec<Rebuilt>, Error> {
    let rows = database
        .read(&RowScope::none(), async |conn| {
            sqlx::query(
                "SELECT read_id, reader, kind, purpose, method, subjects, resources, owners, reader_client, reader_unit,
                        capacities, read_time
                 FROM egov.read_records WHERE read_id IS NOT NULL",
            )
            .fetch_all(conn)
            .await
            .map_err(sql_fault)
        })
        .await?;
    rows.iter().map(|row| rebuilt_read(row).map_err(Error::from)).collect()
}

fn rebuilt_read(row: &sqlx::postgres::PgRow) -> Result<Rebuilt, Fault> {
    let subjects: Vec<Uuid> = row.try_get("subjects").map_err(sql_fault)?;
    let resources: Vec<String> = row.try_get("resources").map_err(sql_fault)?;
    let owners: Vec<Option<Uuid>> = row.try_get("owners").map_err(sql_fault)?;
    let capacities = stored_capacities(row.try_get("capacities").map_err(sql_fault)?)?;
    let facts = ReadFacts {
        reader: row.try_get("reader").map_err(sql_fault)?,
        kind: row.try_get("kind").map_err(sql_fault)?,
        purpose: row.try_get("purpose").map_err(sql_fault)?,
        method: row.try_get("method").map_err(sql_fault)?,
        subjects: &subjects,
        resources: &resources,
        owners: &owners,
        client: row.try_get("reader_client").map_err(sql_fault)?,
        unit: row.try_get("reader_unit").map_err(sql_fault)?,
        capacities: &capacities,
        read_time: row
            .try_get::<jiff_sqlx::Timestamp, _>("read_time")
            .map_err(sql_fault)?
            .to_jiff(),
    };
    Ok(Rebuilt {
        kind: READ_KIND.to_owned(),
        resource: row.try_get("read_id").map_err(sql_fault)?,
        version: 1,
        canonical: facts.canonical(),
    })
}

/// The checkpoints on which epochs began, rebuilt.
pub async fn rebuilt_anchors(database: &Database) -> Result<Vec<Rebuilt>, Error> {
    let rows: Vec<(i32, String)> = database
        .read(&RowScope::none(), async |conn| {
            sqlx::query_as("SELECT epoch, note FROM egov.ledger_anchors")
                .fetch_all(conn)
                .await
                .map_err(sql_fault)
        })
        .await?;
    Ok(rows
        .into_iter()
        .map(|(epoch, note)| Rebuilt {
            kind: ANCHOR_KIND.to_owned(),
            resource: Uuid::nil(),
            version: i64::from(epoch),
            canonical: note.into_bytes(),
        })
        .collect())
}

/// The kinds of the leaves of a database.
pub async fn kinds(database: &Database) -> Result<Vec<String>, Error> {
    Ok(database
        .read(&RowScope::none(), async |conn| {
            // By skips from kind to kind over the unique index: a plain DISTINCT would read every leaf.
            sqlx::query_scalar(
                "WITH RECURSIVE known AS (
                    (SELECT kind FROM egov.leaves ORDER BY kind LIMIT 1)
                    UNION ALL
                    SELECT (SELECT l.kind FROM egov.leaves l WHERE l.kind > k.kind ORDER BY l.kind LIMIT 1)
                    FROM known k WHERE k.kind IS NOT NULL
                 ) SELECT kind FROM known WHERE kind IS NOT NULL",
            )
            .fetch_all(conn)
            .await
            .map_err(sql_fault)
        })
        .await?)
}
