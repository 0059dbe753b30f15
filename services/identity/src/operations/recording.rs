//! Writing the record, the event and the ledger leaf of what was done.

use egov_database::{Event, Leaf, UnitOfWork};
use egov_fault::Fault;
use prost::Message;
use uuid::Uuid;

use crate::domain::record::{NewRecord, RecordKind};
use crate::{store, wire};

/// The kind of the leaves of the tree of units.
pub(crate) const TREE_KIND: &str = "unit_tree";

/// About whom a record is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About {
    /// Account, system or citizen; absent for a name that no account carries.
    pub(crate) subject: Option<Uuid>,
    /// The unit of the account.
    pub(crate) unit: Option<i32>,
    /// Who acted, if it was another.
    pub(crate) actor: Option<Uuid>,
}

/// Writes an entry of the record.
pub(crate) async fn record(
    write: &mut UnitOfWork<'_>,
    kind: RecordKind,
    about: About,
    detail: impl Into<String>,
) -> Result<(), Fault> {
    let entry = NewRecord {
        record_id: write.new_id(),
        subject_id: about.subject,
        unit_id: about.unit,
        record_time: write.now(),
        kind,
        actor_id: about.actor,
        detail: detail.into(),
    };
    store::records::insert(write.conn(), &entry).await
}

/// What was done, and why if somebody said so.
pub(crate) fn with_reason(detail: String, reason: &str) -> String {
    if reason.is_empty() {
        detail
    } else {
        format!("{detail}: {reason}")
    }
}

/// Leaves the event of an act of administration, with ids and words only, and commits to the resource as it became.
pub(crate) fn announce(
    write: &mut UnitOfWork<'_>,
    aggregate: (&'static str, Uuid, i64),
    kind: &'static str,
    payload: serde_json::Value,
    became: &impl Message,
) {
    let (aggregate_kind, aggregate_id, version) = aggregate;
    write.publish(Event {
        aggregate_kind,
        aggregate_id,
        version,
        kind,
        payload,
    });
    write.leaf(Leaf {
        kind: aggregate_kind,
        resource: aggregate_id,
        version,
        canonical: &became.encode_to_vec(),
    });
}

/// Tells that the tree changed, and commits to the whole of it. It is one aggregate: its parts change together.
pub(crate) async fn announce_tree(
    write: &mut UnitOfWork<'_>,
    version: i64,
    opened: Vec<i32>,
    changed: Vec<i32>,
) -> Result<(), Fault> {
    let units = store::units::all(write.conn()).await?;
    let closings = store::reorganisations::closings(write.conn()).await?;
    announce(
        write,
        (TREE_KIND, Uuid::nil(), version),
        "unit_tree_changed",
        serde_json::json!({ "opened": opened, "changed": changed }),
        &wire::tree(version, &units, &closings),
    );
    Ok(())
}
