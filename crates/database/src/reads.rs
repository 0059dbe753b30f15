//! Where the records of reads of personal data go, and how the ledger commits to them.

use async_trait::async_trait;
use egov_auth::{ReadRecord, ReadSink};
use egov_fault::Source;
use jiff::Timestamp;
use serde::Serialize;
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
        bound_to(&[
            b"egov read 1",
            self.reader.as_bytes(),
            self.kind.as_bytes(),
            &bound_to(purpose),
            self.method.as_bytes(),
            &bound_to(&subjects),
            &bound_to(&resources),
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
            read_time,
            leaf_id: ids.uuid(),
            commitment: hex::encode(leaf_commitment(&salt, &facts.canonical())),
            salt: hex::encode(salt),
        }
    }
}

#[async_trait]
impl ReadSink for ReadRecordSink {
    async fn write(&self, batch: &[ReadRecord]) -> Result<(), Source> {
        let rows: Vec<Row<'_>> = batch.iter().map(|record| Row::of(record, &self.database)).collect();
        let written = sqlx::query(
            "WITH batch AS (
                SELECT * FROM jsonb_to_recordset($1) AS r (
                    read_id uuid, reader text, kind text, purpose text, method text, subjects uuid[], resources text[],
                    read_time timestamptz, leaf_id uuid, commitment text, salt text)
             ), leaves AS (
                INSERT INTO egov.leaves (leaf_id, kind, resource_id, version, commitment, create_time)
                SELECT leaf_id, $2, read_id, 1, decode(commitment, 'hex'), read_time FROM batch
             ), salts AS (
                INSERT INTO egov.leaf_salts (leaf_id, salt) SELECT leaf_id, decode(salt, 'hex') FROM batch
             )
             INSERT INTO egov.read_records (read_id, reader, kind, purpose, method, subjects, resources, read_time)
             SELECT read_id, reader, kind, purpose, method, subjects, resources, read_time FROM batch",
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
