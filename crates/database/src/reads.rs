//! Where the records of reads of personal data go, and how they are found again.

use async_trait::async_trait;
use egov_auth::{Capacity, DelegatedClaim, ReadRecord, ReadSink, RoleAt, RoleClaim, RowScope};
use egov_fault::{Fault, Source};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::database::Database;

/// Writes the batches of [`egov_auth::ReadRecorder`] to `egov.read_records`: one statement and one commit a batch.
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

/// A record as the statement reads it. JSON, because the lists of a batch differ in length, which arrays of arrays
/// cannot express.
#[derive(Serialize)]
struct Row<'a> {
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
        let rows: Vec<Row<'_>> = batch
            .iter()
            .map(|record| Row {
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
                read_time: record.at,
            })
            .collect();
        let written = sqlx::query(
            "INSERT INTO egov.read_records (reader, kind, purpose, method, subjects, resources, owners,
                                            reader_client, reader_unit, capacities, reader_units, read_time)
             SELECT reader, kind, purpose, method, subjects, resources, owners,
                    reader_client, reader_unit, capacities, reader_units, read_time
             FROM jsonb_to_recordset($1) AS r (
                 reader text, kind text, purpose text, method text,
                 subjects uuid[], resources text[], owners uuid[],
                 reader_client text, reader_unit integer, capacities jsonb, reader_units integer[], read_time timestamptz)",
        )
        .bind(serde_json::to_value(rows)?)
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
    let held: Vec<HeldAs> = serde_json::from_value(held).map_err(Fault::internal)?;
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
        capacities: held.into_iter().map(Capacity::from).collect(),
    })
}
