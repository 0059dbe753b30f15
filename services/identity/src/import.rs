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
use egov_database::{Database, UnitOfWork};
use egov_fault::{Code, Fault};
use serde_json::json;

use crate::domain::pack::{self, Plan};
pub use crate::domain::pack::{PackError, UnitPack};
use crate::domain::succession::{self, Told};
use crate::domain::unit::FactStatus;
use crate::operations::recording::{announce, announce_tree};
use crate::store::reorganisations::{Reorganisation, Status};
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

/// What was before the present units: earlier units, and what became of them.
#[derive(Clone, Debug)]
pub struct HistoryPack<'a> {
    /// What to call the pack in history and messages, for example `units-history`.
    pub name: &'a str,
    /// Lists of units, the oldest first, with the columns of [`UnitPack::units`].
    pub units: Vec<(&'a str, &'a str)>,
    /// Successions (CSV: `effective_date,old_code,new_code,change,status,note`), with its file name.
    pub successions: (&'a str, &'a str),
}

/// Imports what was before the present units, which must be there: their ids stay as they are. All of it or nothing, in one
/// transaction. Each day of the successions becomes a reorganisation that was applied; importing it again changes nothing.
///
/// Errors: as [`units`].
pub async fn history(
    database: &Database,
    pack: &HistoryPack<'_>,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Imported, Fault> {
    let lists = UnitPack {
        name: pack.name,
        units: pack.units.clone(),
        commune_departments: None,
        agency_codes: None,
    };
    database
        .write_unkeyed(&RowScope::everything(), async |write| {
            store::units::lock_tree(write.conn()).await?;
            let existing = store::units::all(write.conn()).await?;
            let plan = pack::plan(&existing, &lists).map_err(invalid)?;
            let mut version = store::units::version(write.conn()).await?;
            if !plan.is_empty() {
                version = carry_out(write, &plan, pack.name, progress).await?;
            }
            let units = store::units::all(write.conn()).await?;
            let (file, text) = pack.successions;
            let mut told = Vec::new();
            for day in succession::read(file, text, &units).map_err(invalid)? {
                let source = format!("{} {}", pack.name, day.effective_date);
                if store::reorganisations::by_source(write.conn(), &source)
                    .await?
                    .is_none()
                {
                    told.push((source, day));
                }
            }
            let unchanged = plan.unchanged;
            if !told.is_empty() {
                let now = write.now();
                version = store::units::raise_version(write.conn(), now).await?;
                for (source, day) in told {
                    tell(write, source, &day).await?;
                }
                announce_tree(write, version, Vec::new(), Vec::new()).await?;
            }
            Ok(Imported {
                opened: plan.opened.len(),
                changed: plan.changed.len(),
                unchanged,
                version,
            })
        })
        .await
}

/// Records what a pack tells of a day as a reorganisation that was applied.
async fn tell(write: &mut UnitOfWork<'_>, source: String, day: &Told) -> Result<(), Fault> {
    let now = write.now();
    let became = Reorganisation {
        reorganisation_id: write.new_id(),
        effective_date: day.effective_date,
        title: format!(
            "Sắp xếp đơn vị hành chính ngày {}",
            day.effective_date.strftime("%d/%m/%Y")
        ),
        legal_basis: String::new(),
        status: Status::Applied,
        fact_status: match day.status {
            FactStatus::Confirmed => FactStatus::Confirmed,
            FactStatus::Unconfirmed | FactStatus::Decided => FactStatus::Unconfirmed,
        },
        source: Some(source),
        plan: None,
        problem: String::new(),
        version: 1,
        closed_units: i64::try_from(day.closings.len()).unwrap_or(i64::MAX),
    };
    store::reorganisations::insert(write.conn(), &became, now).await?;
    for closing in &day.closings {
        store::reorganisations::insert_closing(write.conn(), became.reorganisation_id, closing).await?;
    }
    store::reorganisations::insert_history(write.conn(), &became, None, "told by a pack", now).await?;
    announce(
        write,
        ("reorganisation", became.reorganisation_id, became.version),
        "reorganisation_told",
        json!({ "effective_date": day.effective_date, "closed": day.closings.len() }),
        &wire::reorganisation(&became),
    );
    Ok(())
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
    announce_tree(
        write,
        version,
        plan.opened.iter().map(|unit| unit.unit_id).collect(),
        plan.changed.iter().map(|unit| unit.unit_id).collect(),
    )
    .await?;
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
