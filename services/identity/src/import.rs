//! Importing packs of units.
//!
//! ```no_run
//! use egov_identity::import::{self, Step, UnitPack};
//!
//! # async fn example(database: egov_database::Database, units: &str, codes: &str) -> Result<(), egov_fault::Fault> {
//! let pack = UnitPack {
//!     name: "units-2025",
//!     units: vec![("units-2025.csv", units)],
//!     commune_departments: None,
//!     agency_codes: Some(("demo.csv", codes)),
//! };
//! let done = import::units(&database, &pack, &mut |step: Step| eprintln!("{}/{}", step.done, step.total)).await?;
//! println!("{} new, {} changed, {} as they were", done.opened, done.changed, done.unchanged);
//! # Ok(()) }
//! ```

use egov_auth::RowScope;
use egov_database::{Database, Event, Leaf, UnitOfWork};
use egov_fault::{Code, Fault};
use egov_proto::egov::identity::v1::TreeSnapshot;
use prost::Message as _;
use serde_json::json;
use uuid::Uuid;

use crate::domain::pack::{self, Plan};
pub use crate::domain::pack::{PackError, UnitPack};
use crate::{store, wire};

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Rows that are written.
    pub done: usize,
    /// Rows to write.
    pub total: usize,
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Units that are new.
    pub opened: usize,
    /// Units that were put right.
    pub changed: usize,
    /// Rows of the pack that were there already, just so.
    pub unchanged: usize,
    /// The version of the tree afterwards.
    pub version: i64,
}

/// The reason of a pack that is not taken; the metadata names file and line.
pub const PACK_INVALID: &str = "PACK_INVALID";

/// Imports a pack: all of it or nothing, in one transaction. Importing it again changes nothing. `progress` is called after
/// each row that was written.
///
/// Errors: `INVALID_ARGUMENT` / [`PACK_INVALID`] for a pack that says something impossible.
pub async fn units(
    database: &Database,
    pack: &UnitPack<'_>,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Imported, Fault> {
    database
        .write_unkeyed(&RowScope::everything(), async |write| {
            store::units::lock_tree(write.conn()).await?;
            let existing = store::units::all(write.conn()).await?;
            let plan = pack::plan(&existing, pack).map_err(invalid)?;
            let version = if plan.is_empty() {
                store::units::version(write.conn()).await?
            } else {
                carry_out(write, &plan, pack.name, progress).await?
            };
            Ok(Imported {
                opened: plan.opened.len(),
                changed: plan.changed.len(),
                unchanged: plan.unchanged,
                version,
            })
        })
        .await
}

async fn carry_out(
    write: &mut UnitOfWork<'_>,
    plan: &Plan,
    source: &str,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<i64, Fault> {
    let now = write.now();
    let version = store::units::raise_version(write.conn(), now).await?;
    let total = plan.opened.len() + plan.changed.len();
    let mut done = 0;
    for unit in &plan.opened {
        store::units::insert(write.conn(), unit).await?;
        store::units::insert_history(write.conn(), unit, version, now, source).await?;
        done += 1;
        progress(Step { done, total });
    }
    for unit in &plan.changed {
        store::units::update(write.conn(), unit).await?;
        store::units::insert_history(write.conn(), unit, version, now, source).await?;
        done += 1;
        progress(Step { done, total });
    }
    let snapshot = TreeSnapshot {
        version,
        units: store::units::all(write.conn()).await?.iter().map(wire::unit).collect(),
    };
    // The whole tree is one aggregate: its parts change together.
    write.publish(Event {
        aggregate_kind: "unit_tree",
        aggregate_id: Uuid::nil(),
        version,
        kind: "unit_tree_changed",
        payload: json!({
            "opened": plan.opened.iter().map(|unit| unit.unit_id).collect::<Vec<_>>(),
            "changed": plan.changed.iter().map(|unit| unit.unit_id).collect::<Vec<_>>(),
        }),
    });
    write.leaf(Leaf {
        kind: "unit_tree",
        resource: Uuid::nil(),
        version,
        canonical: &snapshot.encode_to_vec(),
    });
    Ok(version)
}

fn invalid(error: PackError) -> Fault {
    Fault::new(
        Code::InvalidArgument,
        PACK_INVALID,
        "gói dữ liệu đơn vị không hợp lệ",
        format!("the pack of units is not taken: {error}"),
    )
    .domain(crate::error::DOMAIN)
    .with("file", error.file)
    .with("line", error.line.to_string())
}
