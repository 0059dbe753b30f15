//! Where the records of reads of personal data go, how the ledger commits to them, and how they are found again.

use async_trait::async_trait;
use egov_auth::{Capacity, DelegatedClaim, ReadRecord, ReadSink, RoleAt, RoleClaim, RowScope};
use egov_fault::{Fault, Source};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::database::Database;
use crate::unit::{leaf_commitment, stored_instant};
use crate::write::bound_to;

/// The kind of the leaves of recorded reads.
pub const READ_KIND: &str = "read";

/// Writes the batches of [`egov_auth::ReadRecorder`] to `egov.read_records`, with a ledger leaf for each record: one statement and
/// one commit a batch.
#[derive(Clone, Debug)]
pub struct ReadRecordSink {
    database: Database,
}

impl ReadRecordSink {
    /// A sink into this service's own database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// What a record of a read says, as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct ReadFacts<'a> {
    /// The stable key of the reader.
    pub reader: &'a str,
    /// What sort of caller read.
    pub kind: &'a str,
    /// For what purpose.
    pub purpose: Option<&'a str>,
    /// By which method.
    pub method: &'a str,
    /// The persons whose data was read.
    pub subjects: &'a [Uuid],
    /// The resources that were read.
    pub resources: &'a [String],
    /// Whose each resource is, in their order.
    pub owners: &'a [Option<Uuid>],
    /// The name of the system that read.
    pub client: Option<&'a str>,
    /// The unit of the reader's account.
    pub unit: Option<i32>,
    /// The roles by which the reader could read.
    pub capacities: &'a [Capacity],
    /// When, in whole microseconds.
    pub read_time: Timestamp,
}

impl ReadFacts<'_> {
    /// The bytes to which the leaf of the record commits: each fact with its length before it, in this order, lists with their
    /// length first.
    pub fn canonical(&self) -> Vec<u8> {
        let purpose: &[&[u8]] = match &self.purpose {
            Some(purpose) => &[purpose.as_bytes()],
            None => &[],
        };
        let subjects: Vec<&[u8]> = self.subjects.iter().map(|id| id.as_bytes().as_slice()).collect();
        let resources: Vec<&[u8]> = self.resources.iter().map(String::as_bytes).collect();
        let owners: Vec<&[u8]> = self
            .owners
            .iter()
            .map(|owner| owner.as_ref().map_or(&[][..], |id| id.as_bytes().as_slice()))
            .collect();
        let client: &[&[u8]] = match &self.client {
            Some(client) => &[client.as_bytes()],
            None => &[],
        };
        let unit = self.unit.map(i32::to_be_bytes);
        let capacities: Vec<Vec<u8>> = self
            .capacities
            .iter()
            .map(|capacity| {
                let delegator = capacity
                    .delegator
                    .as_ref()
                    .map_or(&[][..], |id| id.as_bytes().as_slice());
                let held = &capacity.held;
                bound_to(&[held.role.as_bytes(), &held.unit.to_be_bytes(), delegator])
            })
            .collect();
        let capacities: Vec<&[u8]> = capacities.iter().map(Vec::as_slice).collect();
        bound_to(&[
            b"egov read 2",
            self.reader.as_bytes(),
            self.kind.as_bytes(),
            &bound_to(purpose),
            self.method.as_bytes(),
            &bound_to(&subjects),
            &bound_to(&resources),
            &bound_to(&owners),
            &bound_to(client),
            unit.as_ref().map_or(&[][..], |unit| unit.as_slice()),
            &bound_to(&capacities),
            &self.read_time.as_microsecond().to_be_bytes(),
        ])
    }
}

/// A record as the statement reads it. JSON, because the lists of a batch differ in length, which arrays of arrays
/// cannot express.
#[derive(Serialize)]
struct Row<'a> {
    read_id: Uuid,
    reader: &'a str,
    kind: &'static str,
    purpose: Option<&'a str>,
    method: &'a str,
    subjects: &'a [Uuid],
    resources: &'a [String],
    owners: &'a [Option<Uuid>],
    reader_client: Option<&'a str>,
    reader_unit: Option<i32>,
    capacities: Vec<HeldAs>,
    reader_units: Vec<i32>,
    read_time: Timestamp,
    leaf_id: Uuid,
    commitment: String,
    salt: String,
}

impl<'a> Row<'a> {
    fn of(record: &'a ReadRecord, database: &Database) -> Self {
        let ids = database.ids();
        let read_time = stored_instant(record.at);
        let mut salt = [0; 32];
        ids.random_bytes(&mut salt);
        let facts = ReadFacts {
            reader: &record.reader,
            kind: record.kind.as_str(),
            purpose: record.purpose.as_deref(),
            method: &record.method,
            subjects: &record.subjects,
            resources: &record.resources,
            owners: &record.owners,
            client: record.client.as_deref(),
            unit: record.unit,
            capacities: &record.capacities,
            read_time,
        };
        Self {
            read_id: ids.uuid(),
            reader: &record.reader,
            kind: record.kind.as_str(),
            purpose: record.purpose.as_deref(),
            method: &record.method,
            subjects: &record.subjects,
            resources: &record.resources,
            owners: &record.owners,
            reader_client: record.client.as_deref(),
            reader_unit: record.unit,
            capacities: record.capacities.iter().map(HeldAs::from).collect(),
            reader_units: reader_units(record),
            read_time,
            leaf_id: ids.uuid(),
            commitment: hex::encode(leaf_commitment(&salt, &facts.canonical())),
            salt: hex::encode(salt),
        }
    }
}

/// A capacity as it is stored: in the short names of the token's claims.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum HeldAs {
    Delegated(DelegatedClaim),
    Own(RoleClaim),
}

impl From<&Capacity> for HeldAs {
    fn from(capacity: &Capacity) -> Self {
        let RoleAt { role, unit } = capacity.held.clone();
        match capacity.delegator {
            Some(by) => Self::Delegated(DelegatedClaim { role, unit, by }),
            None => Self::Own(RoleClaim { role, unit }),
        }
    }
}

impl From<HeldAs> for Capacity {
    fn from(held: HeldAs) -> Self {
        let (role, unit, delegator) = match held {
            HeldAs::Delegated(claim) => (claim.role, claim.unit, Some(claim.by)),
            HeldAs::Own(claim) => (claim.role, claim.unit, None),
        };
        Self {
            held: RoleAt { role, unit },
            delegator,
        }
    }
}

/// The units in whose name a record's reader read, each once; the whole province is none.
fn reader_units(record: &ReadRecord) -> Vec<i32> {
    let mut units: Vec<i32> = record
        .unit
        .into_iter()
        .chain(record.capacities.iter().map(|capacity| capacity.held.unit))
        .filter(|unit| *unit > 0)
        .collect();
    units.sort_unstable();
    units.dedup();
    units
}

#[async_trait]
impl ReadSink for ReadRecordSink {
    async fn write(&self, batch: &[ReadRecord]) -> Result<(), Source> {
        let rows: Vec<Row<'_>> = batch.iter().map(|record| Row::of(record, &self.database)).collect();
        let written = sqlx::query(
            "WITH batch AS (
                SELECT * FROM jsonb_to_recordset($1) AS r (
                    read_id uuid, reader text, kind text, purpose text, method text, subjects uuid[], resources text[],
                    owners uuid[], reader_client text, reader_unit integer, capacities jsonb, reader_units integer[],
                    read_time timestamptz, leaf_id uuid, commitment text, salt text)
             ), leaves AS (
                INSERT INTO egov.leaves (leaf_id, kind, resource_id, version, commitment, create_time)
                SELECT leaf_id, $2, read_id, 1, decode(commitment, 'hex'), read_time FROM batch
             ), salts AS (
                INSERT INTO egov.leaf_salts (leaf_id, salt) SELECT leaf_id, decode(salt, 'hex') FROM batch
             )
             INSERT INTO egov.read_records (read_id, reader, kind, purpose, method, subjects, resources, owners,
                                            reader_client, reader_unit, capacities, reader_units, read_time)
             SELECT read_id, reader, kind, purpose, method, subjects, resources, owners,
                    reader_client, reader_unit, capacities, reader_units, read_time FROM batch",
        )
        .bind(serde_json::to_value(rows)?)
        .bind(READ_KIND)
        .execute(self.database.pool())
        .await
        .map_err(crate::sql_fault)?
        .rows_affected();
        if written != batch.len() as u64 {
            return Err(format!("{written} of {} read records were written", batch.len()).into());
        }
        Ok(())
    }
}

/// Whose data the wanted readings are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectFilter {
    /// The person whose rows the scope names: the own readings, of the own data.
    Own,
    /// Anybody, or this one person, by readers of the units in the scope.
    ByUnits(Option<Uuid>),
}

/// Which readings are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadingFilter {
    /// About whom.
    pub subject: SubjectFilter,
    /// Without the readings by the person concerned.
    pub by_others: bool,
    /// By readers of this unit only.
    pub unit: Option<i32>,
    /// From this instant on.
    pub from: Timestamp,
    /// Before this instant.
    pub until: Timestamp,
}

/// The place of a reading in a database's list: newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReadingKey {
    /// When it was read.
    pub at: Timestamp,
    /// The number of its record.
    pub record: i64,
}

/// A recorded reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its place.
    pub key: ReadingKey,
    /// The key of the reader; see [`egov_auth::Principal::caller_key`].
    pub reader: String,
    /// The word for what sort of caller read.
    pub kind: String,
    /// The code of the purpose.
    pub purpose: Option<String>,
    /// The method.
    pub method: String,
    /// The persons concerned.
    pub subjects: Vec<Uuid>,
    /// The resources, each with the person whom it is about, if that is known.
    pub resources: Vec<(Option<Uuid>, String)>,
    /// The name of the system that read.
    pub client: Option<String>,
    /// The unit of the reader's account.
    pub unit: Option<i32>,
    /// The roles by which the reader could read.
    pub capacities: Vec<Capacity>,
}

impl Reading {
    /// The resources that are about one person.
    pub fn resources_of(&self, person: Uuid) -> impl Iterator<Item = &str> {
        self.resources
            .iter()
            .filter(move |(owner, _)| *owner == Some(person))
            .map(|(_, name)| name.as_str())
    }
}

/// At most `limit` readings in the scope after a place, newest first. What is at the instant of `after` counts as after it if
/// `ties` allow: with `None` nothing of that instant does, with `Some(record)` what has a smaller number; so a list over several
/// databases is continued.
///
/// Rows outside the scope are filtered here: see `shared_4.sql` for why no policy does it.
pub async fn list_readings(
    conn: &mut PgConnection,
    scope: &RowScope,
    filter: &ReadingFilter,
    after: Option<(Timestamp, Option<i64>)>,
    limit: i64,
) -> Result<Vec<Reading>, Fault> {
    let (until, tie) = match after {
        Some((at, record)) => (at, record),
        None => (filter.until, None),
    };
    let (statement, subject) = match filter.subject {
        SubjectFilter::Own => (OWN, scope.owner),
        SubjectFilter::ByUnits(person) => (BY_UNITS, person),
    };
    let own_keys: Vec<String> = match (filter.by_others, subject) {
        (true, Some(person)) => vec![format!("citizen:{person}"), format!("staff:{person}")],
        _ => Vec::new(),
    };
    let own_agents = match (filter.by_others, subject) {
        (true, Some(person)) => format!("/citizen:{person}"),
        _ => String::new(),
    };
    let rows = sqlx::query(statement)
        .bind(subject)
        .bind(filter.from.to_sqlx())
        .bind(until.to_sqlx())
        .bind(tie)
        .bind(own_keys)
        .bind(own_agents)
        .bind(filter.unit)
        .bind(scope.all)
        .bind(&scope.units)
        .bind(limit)
        .fetch_all(conn)
        .await
        .map_err(crate::sql_fault)?;
    rows.iter().map(reading).collect()
}

/// The columns, and what both statements ask of what they find: a stretch of time, the place to go on from, not by the person,
/// by a unit.
macro_rules! readings {
    ($found:literal) => {
        concat!(
            $found,
            " SELECT record_id, reader, kind, purpose, method, subjects, resources, owners, reader_client, reader_unit, capacities, read_time
              FROM found
              WHERE read_time >= $2
                AND (read_time < $3 OR (read_time = $3 AND record_id < $4))
                AND reader <> ALL ($5)
                AND ($6 = '' OR right(reader, length($6)) <> $6)
                AND ($7::integer IS NULL OR $7 = ANY (reader_units))
                AND ($8 OR $9::integer[] IS NOT NULL)
              ORDER BY read_time DESC, record_id DESC LIMIT $10"
        )
    };
}

/// The person's own. Found by the index over subjects and by nothing else: left to choose, the server walks through time, and a
/// person of whom little was read would wait for all that was read of others.
const OWN: &str =
    readings!("WITH found AS MATERIALIZED (SELECT * FROM egov.read_records WHERE subjects @> ARRAY[$1::uuid])");

/// Those by readers of the units in scope: found by time.
const BY_UNITS: &str = readings!(
    "WITH found AS NOT MATERIALIZED (SELECT * FROM egov.read_records
                                     WHERE ($1::uuid IS NULL OR subjects @> ARRAY[$1::uuid])
                                       AND ($8::boolean OR reader_units && $9::integer[]))"
);

fn reading(row: &sqlx::postgres::PgRow) -> Result<Reading, Fault> {
    let resources: Vec<String> = row.try_get("resources").map_err(crate::sql_fault)?;
    let owners: Vec<Option<Uuid>> = row.try_get("owners").map_err(crate::sql_fault)?;
    let subjects: Vec<Uuid> = row.try_get("subjects").map_err(crate::sql_fault)?;
    // A record of the version before says no owners: what one person alone is concerned with is that person's.
    let only = match subjects.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    let resources = resources
        .into_iter()
        .enumerate()
        .map(|(place, name)| (owners.get(place).copied().unwrap_or(only), name))
        .collect();
    let held: serde_json::Value = row.try_get("capacities").map_err(crate::sql_fault)?;
    let at: jiff_sqlx::Timestamp = row.try_get("read_time").map_err(crate::sql_fault)?;
    Ok(Reading {
        key: ReadingKey {
            at: at.to_jiff(),
            record: row.try_get("record_id").map_err(crate::sql_fault)?,
        },
        reader: row.try_get("reader").map_err(crate::sql_fault)?,
        kind: row.try_get("kind").map_err(crate::sql_fault)?,
        purpose: row.try_get("purpose").map_err(crate::sql_fault)?,
        method: row.try_get("method").map_err(crate::sql_fault)?,
        subjects,
        resources,
        client: row.try_get("reader_client").map_err(crate::sql_fault)?,
        unit: row.try_get("reader_unit").map_err(crate::sql_fault)?,
        capacities: stored_capacities(held)?,
    })
}

/// The capacities of a record, as they are stored.
pub fn stored_capacities(stored: serde_json::Value) -> Result<Vec<Capacity>, Fault> {
    let held: Vec<HeldAs> = serde_json::from_value(stored).map_err(Fault::internal)?;
    Ok(held.into_iter().map(Capacity::from).collect())
}
