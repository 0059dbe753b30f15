//! What one transaction writes beside the state: events, ledger leaves, numbers.

use aws_lc_rs::hmac;
use egov_auth::RowScope;
use egov_clock::vietnam;
use egov_fault::{Code, Fault};
use jiff::civil::Date;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use jiff_sqlx::ToSqlx as _;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::database::Inner;
use crate::fault::sql_fault;
use crate::lease::Lease;
use crate::scope::scope_statement;
use crate::write::RequestKey;

/// What happened to an aggregate, for other services. It carries ids, codes and states; personal data never.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The kind of aggregate, for example `case`.
    pub aggregate_kind: &'static str,
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The version of the aggregate after this write. Consumers get the events of one aggregate in this order.
    pub version: i64,
    /// What happened, in the past tense, for example `case_accepted`.
    pub kind: &'static str,
    /// Ids, codes and states.
    pub payload: serde_json::Value,
}

/// What a write commits to in the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    /// The kind of resource, for example `case`.
    pub kind: &'static str,
    /// The resource.
    pub resource: Uuid,
    /// Its version after this write. One leaf a kind, resource and version.
    pub version: i64,
    /// The canonical bytes of what was written. They are not stored here.
    pub canonical: &'a [u8],
}

/// A leaf that was promised before this write: everything of it is given.
#[derive(Clone, Copy, Debug)]
pub struct PromisedLeaf<'a> {
    /// What is committed to.
    pub leaf: Leaf<'a>,
    /// Its id.
    pub id: Uuid,
    /// The salt of its commitment.
    pub salt: [u8; 32],
    /// The instant that was promised, in whole microseconds.
    pub time: Timestamp,
}

/// The commitment of a leaf: HMAC-SHA256 of the canonical bytes, with the leaf's random salt as the key. Whoever has both
/// can check it; without the salt it says nothing.
pub fn leaf_commitment(salt: &[u8], canonical: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), canonical);
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    out
}

/// An instant as PostgreSQL keeps it, in whole microseconds: what is answered and what a leaf commits to must be what is
/// read again.
pub fn stored_instant(now: Timestamp) -> Timestamp {
    let whole = TimestampRound::new().smallest(Unit::Microsecond).mode(RoundMode::Floor);
    now.round(whole).unwrap_or(now)
}

/// One write in progress: the transaction, its one instant, and what it will leave for others.
///
/// Events and leaves are collected and stored in one statement together with the answer, right before the commit, so
/// that they cost one round trip and never hold a counter's lock longer than needed.
pub struct UnitOfWork<'c> {
    conn: &'c mut PgConnection,
    inner: &'c Inner,
    scope: RowScope,
    pending: Pending,
}

impl<'c> UnitOfWork<'c> {
    pub(crate) fn new(conn: &'c mut PgConnection, inner: &'c Inner, scope: RowScope) -> Self {
        let pending = Pending::at(stored_instant(inner.clock.now()));
        Self {
            conn,
            inner,
            scope,
            pending,
        }
    }

    /// The connection inside the transaction, for the store.
    pub fn conn(&mut self) -> &mut PgConnection {
        self.conn
    }

    /// The instant of this write: the same wherever it is asked.
    pub fn now(&self) -> Timestamp {
        self.pending.now
    }

    /// The civil date in Vietnam of [`now`](Self::now), which is what the law counts from.
    pub fn today(&self) -> Date {
        self.pending.now.to_zoned(vietnam()).date()
    }

    /// A new id.
    pub fn new_id(&self) -> Uuid {
        self.inner.ids.uuid()
    }

    /// Leaves an event for the other services.
    pub fn publish(&mut self, event: Event) {
        if self.pending.led_to.is_none() {
            self.pending.led_to = Some((event.aggregate_kind, event.aggregate_id, event.version));
        }
        let event_id = self.inner.ids.uuid();
        self.pending.events.push(event_id, event);
    }

    /// Commits to what was written; returns the commitment, which a promise about the leaf is made of.
    pub fn leaf(&mut self, leaf: Leaf<'_>) -> [u8; 32] {
        let mut salt = [0; 32];
        self.inner.ids.random_bytes(&mut salt);
        let commitment = leaf_commitment(&salt, leaf.canonical);
        let leaf_id = self.inner.ids.uuid();
        self.pending.leaves.push(leaf_id, leaf, commitment, (salt, None));
        commitment
    }

    /// Commits to what was promised before this write, so that the promise is kept.
    pub fn promised_leaf(&mut self, promised: &PromisedLeaf<'_>) {
        let commitment = leaf_commitment(&promised.salt, promised.leaf.canonical);
        let kept = (promised.salt, Some(promised.time));
        self.pending.leaves.push(promised.id, promised.leaf, commitment, kept);
    }

    /// Names the resource and version that this write led to, for the record of the request. Without it, those of the
    /// first event are taken.
    pub fn led_to(&mut self, kind: &'static str, resource: Uuid, version: i64) {
        self.pending.led_to = Some((kind, resource, version));
    }

    /// The next number of a register (số vào sổ): without gaps, because a write that fails gives it back.
    ///
    /// From here to the commit, every other write that needs a number of the same agency, register and period waits.
    /// Call it when everything else is decided.
    pub async fn next_number(&mut self, agency: &str, register: &str, period: &str) -> Result<i64, Fault> {
        sqlx::query_scalar("SELECT egov.next_number($1, $2, $3)")
            .bind(agency)
            .bind(register)
            .bind(period)
            .fetch_one(&mut *self.conn)
            .await
            .map_err(sql_fault)
    }

    /// Lets the rest of this write hand rows over to `units`, which may lie outside the caller's scope: a case that moves
    /// to another agency would otherwise be refused by row-level security, because the caller could not see it any more.
    /// Decide first whether the caller may do so.
    pub async fn hand_over_to(&mut self, units: &[i32]) -> Result<(), Fault> {
        self.scope.units.extend_from_slice(units);
        self.scope.units.sort_unstable();
        self.scope.units.dedup();
        // Safe to run: integers, UUIDs and our own words (scope.rs).
        sqlx::query(AssertSqlSafe(scope_statement(&self.scope)))
            .persistent(false)
            .execute(&mut *self.conn)
            .await
            .map(drop)
            .map_err(sql_fault)
    }

    /// Ties this write to a lease: refused with `LEASE_LOST` if somebody else has it by now, and nobody can take it
    /// before this write has ended.
    pub async fn under(&mut self, lease: &Lease) -> Result<(), Fault> {
        lease.fence_in(self.conn).await
    }

    /// Deletes the salts of a resource's leaves, so that its commitments no longer say anything, and records that this
    /// was done (xoá dữ liệu cá nhân). Returns how many leaves it concerned.
    pub async fn erase_leaves(&mut self, kind: &str, resource: Uuid) -> Result<i64, Fault> {
        sqlx::query_scalar("SELECT egov.erase_leaves($1, $2, $3)")
            .bind(kind)
            .bind(resource)
            .bind(self.pending.now.to_sqlx())
            .fetch_one(&mut *self.conn)
            .await
            .map_err(sql_fault)
    }

    pub(crate) fn into_pending(self) -> Pending {
        self.pending
    }
}

/// What is still to be stored when the operation has decided.
pub(crate) struct Pending {
    now: Timestamp,
    led_to: Option<(&'static str, Uuid, i64)>,
    events: Events,
    leaves: Leaves,
}

/// Events, column by column, as one statement takes them.
#[derive(Default)]
struct Events {
    ids: Vec<Uuid>,
    aggregate_kinds: Vec<&'static str>,
    aggregate_ids: Vec<Uuid>,
    versions: Vec<i64>,
    kinds: Vec<&'static str>,
    payloads: Vec<serde_json::Value>,
}

impl Events {
    fn push(&mut self, id: Uuid, event: Event) {
        self.ids.push(id);
        self.aggregate_kinds.push(event.aggregate_kind);
        self.aggregate_ids.push(event.aggregate_id);
        self.versions.push(event.version);
        self.kinds.push(event.kind);
        self.payloads.push(event.payload);
    }
}

/// Leaves, column by column.
#[derive(Default)]
struct Leaves {
    ids: Vec<Uuid>,
    kinds: Vec<&'static str>,
    resources: Vec<Uuid>,
    versions: Vec<i64>,
    commitments: Vec<Vec<u8>>,
    salts: Vec<Vec<u8>>,
    /// Where it is not the instant of the write.
    times: Vec<Option<jiff_sqlx::Timestamp>>,
}

impl Leaves {
    fn push(&mut self, id: Uuid, leaf: Leaf<'_>, commitment: [u8; 32], (salt, time): ([u8; 32], Option<Timestamp>)) {
        self.ids.push(id);
        self.kinds.push(leaf.kind);
        self.resources.push(leaf.resource);
        self.versions.push(leaf.version);
        self.commitments.push(commitment.to_vec());
        self.salts.push(salt.to_vec());
        self.times.push(time.map(jiff_sqlx::ToSqlx::to_sqlx));
    }
}

/// Stores the events in their order, the leaves and their salts.
macro_rules! store_then {
    ($last:literal) => {
        concat!(
            "WITH events AS (
                INSERT INTO egov.outbox (event_id, aggregate_kind, aggregate_id, version, kind, payload, create_time)
                SELECT e.event_id, e.aggregate_kind, e.aggregate_id, e.version, e.kind, e.payload, $1
                FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::jsonb[])
                     WITH ORDINALITY AS e (event_id, aggregate_kind, aggregate_id, version, kind, payload, place)
                ORDER BY e.place
            ), leaves AS (
                INSERT INTO egov.leaves (leaf_id, kind, resource_id, version, commitment, create_time)
                SELECT l.leaf_id, l.kind, l.resource_id, l.version, l.commitment, COALESCE(l.create_time, $1)
                FROM unnest($8::uuid[], $9::text[], $10::uuid[], $11::bigint[], $12::bytea[], $14::timestamptz[])
                     AS l (leaf_id, kind, resource_id, version, commitment, create_time)
            ), salts AS (
                INSERT INTO egov.leaf_salts (leaf_id, salt)
                SELECT s.leaf_id, s.salt FROM unnest($8::uuid[], $13::bytea[]) AS s (leaf_id, salt)
            ) ",
            $last
        )
    };
}

const STORE: &str = store_then!("SELECT 1");
const STORE_WITH_ANSWER: &str = store_then!("SELECT egov.record_answer($15, $16, $17, $18, $19, $20, $21, $22, $1)");

impl Pending {
    fn at(now: Timestamp) -> Self {
        Self {
            now,
            led_to: None,
            events: Events::default(),
            leaves: Leaves::default(),
        }
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.ids.is_empty()
    }

    /// Runs even when there is nothing to store: it fails if a statement of the operation failed and the operation
    /// went on, where a bare COMMIT would silently roll back.
    pub(crate) async fn store(&self, conn: &mut PgConnection) -> Result<(), Fault> {
        self.bind(STORE).execute(conn).await.map(drop).map_err(store_fault)
    }

    pub(crate) async fn store_with_answer(
        &self,
        conn: &mut PgConnection,
        key: &RequestKey<'_>,
        hash: &[u8],
        sealed: &[u8],
    ) -> Result<(), Fault> {
        self.bind(STORE_WITH_ANSWER)
            .bind(key.caller)
            .bind(key.method)
            .bind(key.request_id)
            .bind(hash)
            .bind(sealed)
            .bind(self.led_to.map(|(kind, _, _)| kind))
            .bind(self.led_to.map(|(_, id, _)| id))
            .bind(self.led_to.map(|(_, _, version)| version))
            .execute(conn)
            .await
            .map(drop)
            .map_err(store_fault)
    }

    fn bind<'q>(&'q self, sql: &'static str) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
        let (events, leaves) = (&self.events, &self.leaves);
        sqlx::query(sql)
            .bind(self.now.to_sqlx())
            .bind(&events.ids)
            .bind(&events.aggregate_kinds)
            .bind(&events.aggregate_ids)
            .bind(&events.versions)
            .bind(&events.kinds)
            .bind(&events.payloads)
            .bind(&leaves.ids)
            .bind(&leaves.kinds)
            .bind(&leaves.resources)
            .bind(&leaves.versions)
            .bind(&leaves.commitments)
            .bind(&leaves.salts)
            .bind(&leaves.times)
    }
}

/// A duplicate here is not the caller's: an operation left two leaves of one kind for one version.
fn store_fault(error: sqlx::Error) -> Fault {
    let fault = sql_fault(error);
    if fault.code() == Code::AlreadyExists {
        return Fault::internal(fault);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_of_a_write_has_no_more_digits_than_the_database_keeps() {
        let now: Timestamp = "2026-11-23T01:02:03.123456789Z".parse().unwrap();
        assert_eq!(stored_instant(now).to_string(), "2026-11-23T01:02:03.123456Z");
    }

    #[test]
    fn the_commitment_is_hmac_sha_256() {
        // RFC 4231, test case 2.
        let tag = leaf_commitment(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(
            tag,
            [
                0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a,
                0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43
            ]
        );
    }
}
