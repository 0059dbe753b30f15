//! Loading a past: rows that a service would have written, by COPY in one transaction.
//!
//! For generated data and for taking over the records of another system, never for a request: a [`BulkLoad`] is a
//! superuser's connection, because COPY does not work under row-level security. All of it becomes visible at once, or
//! nothing does; what is loaded is what [`UnitOfWork`](crate::UnitOfWork) would have left: events as the relay places
//! them, leaves with their salts, counters that go on where the load ends.

use std::collections::BTreeMap;

use egov_fault::Fault;
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use uuid::Uuid;

use crate::config::parse_url;
use crate::fault::{connect_fault, sql_fault};
use crate::unit::{Event, leaf_commitment};

/// How many bytes go into one message.
const MESSAGE: usize = 1 << 20;

/// 2000-01-01T00:00:00Z in microseconds since 1970: where PostgreSQL counts from.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Object ids of the element types of arrays, fixed in PostgreSQL's catalogue.
const OID_TEXT: u32 = 25;
const OID_UUID: u32 = 2950;

/// A value of COPY's binary format.
pub trait CopyValue {
    /// Appends the value with its length.
    fn put(&self, out: &mut Vec<u8>);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // No value of ours comes near the limit of 1 GiB, which the server checks.
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

macro_rules! fixed {
    ($($kind:ty),*) => {$(
        impl CopyValue for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                put_bytes(out, &self.to_be_bytes());
            }
        }
    )*};
}
fixed!(i16, i32, i64);

impl CopyValue for bool {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, &[u8::from(*self)]);
    }
}

impl CopyValue for str {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }
}

impl CopyValue for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_str().put(out);
    }
}

impl CopyValue for Uuid {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }
}

impl CopyValue for Timestamp {
    fn put(&self, out: &mut Vec<u8>) {
        (self.as_microsecond() - EPOCH_MICROS).put(out);
    }
}

impl CopyValue for Date {
    fn put(&self, out: &mut Vec<u8>) {
        let days = jiff::civil::date(2000, 1, 1)
            .duration_until(*self)
            .as_hours()
            .div_euclid(24);
        (days as i32).put(out);
    }
}

/// Bytes, for a column of type `bytea`.
impl CopyValue for [u8] {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self);
    }
}

/// The text of a JSON value, for a column of type `jsonb`.
#[derive(Clone, Copy, Debug)]
pub struct JsonText<'a>(pub &'a [u8]);

impl CopyValue for JsonText<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.0.len() as i32 + 1).to_be_bytes());
        // The version of the binary format of jsonb.
        out.push(1);
        out.extend_from_slice(self.0);
    }
}

impl<T: CopyValue> CopyValue for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.put(out),
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
    }
}

fn put_array<T: CopyValue>(out: &mut Vec<u8>, element: u32, values: &[T]) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let dimensions = i32::from(!values.is_empty());
    out.extend_from_slice(&dimensions.to_be_bytes());
    // No NULL among the elements.
    out.extend_from_slice(&0_i32.to_be_bytes());
    out.extend_from_slice(&element.to_be_bytes());
    if !values.is_empty() {
        out.extend_from_slice(&(values.len() as i32).to_be_bytes());
        // The first element has the number 1.
        out.extend_from_slice(&1_i32.to_be_bytes());
        for value in values {
            value.put(out);
        }
    }
    let length = ((out.len() - start - 4) as i32).to_be_bytes();
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length);
    }
}

impl CopyValue for [Uuid] {
    fn put(&self, out: &mut Vec<u8>) {
        put_array(out, OID_UUID, self);
    }
}

impl CopyValue for [String] {
    fn put(&self, out: &mut Vec<u8>) {
        put_array(out, OID_TEXT, self);
    }
}

impl<T: CopyValue + ?Sized> CopyValue for &T {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
}

/// Rows of one table in COPY's binary format.
#[derive(Debug)]
pub struct CopyRows {
    rows: u64,
    bytes: Vec<u8>,
}

impl Default for CopyRows {
    fn default() -> Self {
        let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
        // No flags, no extension of the header.
        bytes.extend_from_slice(&[0; 8]);
        Self { rows: 0, bytes }
    }
}

impl CopyRows {
    /// Adds a row: the values in the order of the columns.
    pub fn push(&mut self, values: &[&dyn CopyValue]) {
        self.rows += 1;
        self.bytes.extend_from_slice(&(values.len() as i16).to_be_bytes());
        for value in values {
            value.put(&mut self.bytes);
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// An event of the past: when it happened, and how it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct PastEvent {
    /// Its id.
    pub event_id: Uuid,
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: Event,
}

/// Leaves of the past with their salts, as rows.
#[derive(Debug, Default)]
pub struct PastLeaves {
    leaves: CopyRows,
    salts: CopyRows,
}

impl PastLeaves {
    /// Commits to what was written at that time, in this epoch.
    #[expect(clippy::too_many_arguments, reason = "the columns of a leaf")]
    pub fn push(
        &mut self,
        epoch: i32,
        leaf_id: Uuid,
        kind: &str,
        resource: Uuid,
        version: i64,
        canonical: &[u8],
        salt: [u8; 32],
        time: Timestamp,
    ) {
        let commitment = leaf_commitment(&salt, canonical);
        self.leaves.push(&[
            &leaf_id,
            &epoch,
            &kind,
            &resource,
            &version,
            &commitment.as_slice(),
            &time,
        ]);
        self.salts.push(&[&leaf_id, &salt.as_slice()]);
    }
}

/// The key of a counter: agency, register, period.
pub type CounterKey = (String, String, String);

/// A load in progress: one transaction of a superuser.
#[derive(Debug)]
pub struct BulkLoad {
    conn: PgConnection,
    epoch: i32,
    next_offset: i64,
    rows: BTreeMap<String, u64>,
}

impl BulkLoad {
    /// Begins a load into the database of a service, and keeps others from numbering and from placing events until it
    /// ends: they wait.
    pub async fn begin(superuser_url: &str, database: &str) -> Result<Self, Fault> {
        let mut conn = parse_url(superuser_url)?
            .database(database)
            .application_name("egov bulk load")
            .connect()
            .await
            .map_err(connect_fault)?;
        let (epoch, next_offset) = begin_transaction(&mut conn).await?;
        Ok(Self {
            conn,
            epoch,
            next_offset,
            rows: BTreeMap::new(),
        })
    }

    /// The connection inside the transaction, for what the service must know before it loads.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.conn
    }

    /// The epoch in which all is numbered.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// How many rows went into each table so far.
    pub fn rows(&self) -> &BTreeMap<String, u64> {
        &self.rows
    }

    /// Adds rows to a table; `columns` in their order, as `(a, b, c)`.
    pub async fn copy(&mut self, table: &'static str, columns: &'static str, rows: &CopyRows) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        let statement = format!("COPY {table} {columns} FROM STDIN (FORMAT binary)");
        let mut copy = self.conn.copy_in_raw(&statement).await.map_err(sql_fault)?;
        for part in rows.bytes.chunks(MESSAGE) {
            copy.send(part).await.map_err(sql_fault)?;
        }
        // The end of the data.
        copy.send((-1_i16).to_be_bytes().as_slice()).await.map_err(sql_fault)?;
        let copied = copy.finish().await.map_err(sql_fault)?;
        if copied != rows.rows {
            return Err(Fault::internal(format!(
                "{table}: {copied} rows were taken of {}",
                rows.rows
            )));
        }
        *self.rows.entry(table.to_owned()).or_default() += copied;
        Ok(())
    }

    /// Adds events to the log in this order, as the relay would have placed them. Times must not go backwards from call to
    /// call.
    pub async fn events(&mut self, events: &[PastEvent]) -> Result<(), Fault> {
        let mut rows = CopyRows::default();
        for past in events {
            let payload = serde_json::to_vec(&past.event.payload).map_err(Fault::internal)?;
            rows.push(&[
                &self.epoch,
                &self.next_offset,
                &past.event_id,
                &past.event.aggregate_kind,
                &past.event.aggregate_id,
                &past.event.version,
                &past.event.kind,
                &JsonText(&payload),
                &past.time,
                &past.time,
            ]);
            self.next_offset += 1;
        }
        self.copy(
            "egov.event_log",
            "(epoch, log_offset, event_id, aggregate_kind, aggregate_id, version, kind, payload, create_time, relay_time)",
            &rows,
        )
        .await
    }

    /// Adds leaves and their salts.
    pub async fn leaves(&mut self, leaves: &PastLeaves) -> Result<(), Fault> {
        self.copy(
            "egov.leaves",
            "(leaf_id, epoch, kind, resource_id, version, commitment, create_time)",
            &leaves.leaves,
        )
        .await?;
        self.copy("egov.leaf_salts", "(leaf_id, salt)", &leaves.salts).await
    }

    /// The last number that each of these counters has given out; those that gave none are missing.
    pub async fn last_numbers(&mut self, register: &str) -> Result<BTreeMap<CounterKey, i64>, Fault> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT agency, period, last_number FROM egov.counters WHERE register = $1")
                .bind(register)
                .fetch_all(&mut self.conn)
                .await
                .map_err(sql_fault)?;
        Ok(rows
            .into_iter()
            .map(|(agency, period, number)| ((agency, register.to_owned(), period), number))
            .collect())
    }

    /// Sets counters to the last number that was given out: the next write goes on from there.
    pub async fn set_last_numbers(&mut self, numbers: &BTreeMap<CounterKey, i64>) -> Result<(), Fault> {
        let mut columns: (Vec<&str>, Vec<&str>, Vec<&str>, Vec<i64>) = Default::default();
        for ((agency, register, period), number) in numbers {
            columns.0.push(agency);
            columns.1.push(register);
            columns.2.push(period);
            columns.3.push(*number);
        }
        sqlx::query(
            "INSERT INTO egov.counters AS c (agency, register, period, last_number, epoch)
             SELECT n.agency, n.register, n.period, n.last_number, $5
             FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS n (agency, register, period, last_number)
             ON CONFLICT (agency, register, period) DO UPDATE
                 SET last_number = greatest(c.last_number, excluded.last_number), epoch = excluded.epoch",
        )
        .bind(&columns.0)
        .bind(&columns.1)
        .bind(&columns.2)
        .bind(&columns.3)
        .bind(self.epoch)
        .execute(&mut self.conn)
        .await
        .map(drop)
        .map_err(sql_fault)
    }

    /// Makes what was loaded so far visible, and goes on in a further transaction: whatever happens to the rest, this part stays. In between
    /// others number and place events.
    pub async fn commit_part(&mut self) -> Result<(), Fault> {
        sqlx::query("COMMIT").execute(&mut self.conn).await.map_err(sql_fault)?;
        (self.epoch, self.next_offset) = begin_transaction(&mut self.conn).await?;
        Ok(())
    }

    /// Makes the whole load visible, and tells the planner about it.
    pub async fn commit(mut self) -> Result<BTreeMap<String, u64>, Fault> {
        sqlx::query("COMMIT").execute(&mut self.conn).await.map_err(sql_fault)?;
        for table in self.rows.keys() {
            // Names of our own, given to `copy` as constants.
            sqlx::query(AssertSqlSafe(format!("ANALYZE {table}")))
                .execute(&mut self.conn)
                .await
                .map_err(sql_fault)?;
        }
        self.conn.close().await.map_err(sql_fault)?;
        Ok(self.rows)
    }

    /// Gives everything up: as if it had not begun.
    pub async fn roll_back(self) -> Result<(), Fault> {
        // The server rolls back what was not committed.
        self.conn.close().await.map_err(sql_fault)
    }
}

/// Begins the transaction of a load, and gives the epoch and the next place in the log.
async fn begin_transaction(conn: &mut PgConnection) -> Result<(i32, i64), Fault> {
    for statement in [
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        "LOCK TABLE egov.event_log, egov.counters IN SHARE ROW EXCLUSIVE MODE",
    ] {
        sqlx::query(statement).execute(&mut *conn).await.map_err(sql_fault)?;
    }
    sqlx::query_as(
        "SELECT egov.current_epoch(),
                (SELECT coalesce(max(log_offset) + 1, 0) FROM egov.event_log WHERE epoch = egov.current_epoch())",
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: &dyn CopyValue) -> Vec<u8> {
        let mut out = Vec::new();
        value.put(&mut out);
        out
    }

    #[test]
    fn values_are_written_as_the_server_reads_them() {
        assert_eq!(bytes(&7_i16), [0, 0, 0, 2, 0, 7]);
        assert_eq!(bytes(&None::<i32>), [255, 255, 255, 255]);
        assert_eq!(bytes(&"ạ"), [0, 0, 0, 3, 0xe1, 0xba, 0xa1]);
        assert_eq!(bytes(&jiff::civil::date(2000, 1, 2)), [0, 0, 0, 4, 0, 0, 0, 1]);
        assert_eq!(
            bytes(&jiff::civil::date(1999, 12, 31)),
            [0, 0, 0, 4, 255, 255, 255, 255]
        );
        let second: Timestamp = "2000-01-01T00:00:01Z".parse().unwrap();
        assert_eq!(bytes(&second), [0, 0, 0, 8, 0, 0, 0, 0, 0, 15, 66, 64]);
        assert_eq!(bytes(&JsonText(b"{}")), [0, 0, 0, 3, 1, b'{', b'}']);
        let empty: &[Uuid] = &[];
        assert_eq!(bytes(&empty).len(), 4 + 12);
    }
}
