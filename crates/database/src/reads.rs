//! Where the records of reads of personal data go.

use async_trait::async_trait;
use egov_auth::{ReadRecord, ReadSink};
use egov_fault::Source;
use serde::Serialize;
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
    read_time: jiff::Timestamp,
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
                read_time: record.at,
            })
            .collect();
        let written = sqlx::query(
            "INSERT INTO egov.read_records (reader, kind, purpose, method, subjects, resources, read_time)
             SELECT reader, kind, purpose, method, subjects, resources, read_time
             FROM jsonb_to_recordset($1) AS r (
                 reader text, kind text, purpose text, method text,
                 subjects uuid[], resources text[], read_time timestamptz)",
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
