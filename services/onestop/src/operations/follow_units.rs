//! Open cases of a unit that closed follow to its designated successor (đơn vị kế thừa).
//!
//! What has closed stands in the signed tree, and what is left to do in the cases themselves: a process that was killed
//! leaves nothing but work for the next one. Finished cases stay where they were finished, as do those whose unit closed
//! without a successor; the latter are counted until somebody decides.

use std::collections::HashMap;

use egov_auth::RowScope;
use egov_database::{Database, Lease, UnitOfWork};
use egov_directory::{Unit, Units, Whereabouts};
use egov_fault::Fault;
use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::act::{PLATFORM, Recorded, announce, entry};
use crate::domain::case::Case;
use crate::domain::listing::After;
use crate::error::Error;
use crate::store::{Visible, cases, history, tasks};

/// Its name in the history.
pub(crate) const OPERATION: &str = crate::domain::verify::MOVE_UNIT;

/// Its event.
pub(crate) const EVENT: &str = "case_unit_moved";

/// The units that have closed by a day.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// Those whose work went to another one: from, to.
    moved: HashMap<i32, (Unit, Unit)>,
    /// Those that nothing follows.
    ended: Vec<i32>,
}

impl Closed {
    /// By the tree as it is known now.
    pub(crate) fn by(units: &Units, on: Date) -> Self {
        let mut closed = Self::default();
        for (unit, at) in units.closed(on) {
            match at {
                Whereabouts::MovedTo(to) => {
                    closed.moved.insert(unit.id, (unit.clone(), to.clone()));
                }
                Whereabouts::NoSuccessor => closed.ended.push(unit.id),
                Whereabouts::Here(_) | Whereabouts::NotYet => {}
            }
        }
        closed
    }
}

/// The units that have closed into another and have cases left, by id.
pub(crate) async fn left_behind(database: &Database, closed: &Closed) -> Result<Vec<i32>, Error> {
    let from: Vec<i32> = closed.moved.keys().copied().collect();
    if from.is_empty() {
        return Ok(Vec::new());
    }
    database
        .read(&RowScope::everything(), async |connection| {
            Ok::<_, Error>(cases::units_with_cases(connection, &from).await?)
        })
        .await
}

/// Moves up to `limit` cases of one closed unit in one transaction, those after a place: how many, and the last of them.
pub(crate) async fn follow_once(
    database: &Database,
    lease: &Lease,
    closed: &Closed,
    unit_id: i32,
    after: Option<After>,
    limit: i64,
) -> Result<(usize, Option<After>), Error> {
    database
        .work(lease, async |unit: &mut UnitOfWork<'_>| {
            let found = cases::open_of(unit.conn(), unit_id, after, limit).await?;
            for case in &found {
                follow(unit, case.case_id, closed).await?;
            }
            Ok::<_, Error>((found.len(), found.last().copied()))
        })
        .await
}

async fn follow(unit: &mut UnitOfWork<'_>, case_id: Uuid, closed: &Closed) -> Result<(), Error> {
    let now = unit.now();
    let before: Case = cases::get_for_update(unit.conn(), case_id, &Visible::everything())
        .await?
        .ok_or(Error::CaseNotFound)?;
    let Some((from, to)) = closed.moved.get(&before.responsible_unit_id) else {
        return Err(Fault::internal("a case to move is at a unit that did not close").into());
    };
    let mut after = before.clone();
    after.move_to(to.id);
    cases::move_to_unit(unit.conn(), &before, &after, now).await?;
    tasks::move_to_unit(unit.conn(), case_id, to.id).await?;
    let recorded = Recorded {
        reason: format!("{} kết thúc hoạt động; hồ sơ chuyển đến {}", from.name, to.name),
        details: json!({ "from_unit": from.id, "from_code": from.code, "to_unit": to.id, "to_code": to.code }),
        ..Recorded::default()
    };
    let entry = entry(&PLATFORM, Some(&before), &after, OPERATION, recorded, now);
    history::append(unit.conn(), case_id, &entry).await?;
    announce(unit, &after, EVENT)
}

/// Open cases of units that closed without a successor.
pub(crate) async fn stranded(database: &Database, closed: &Closed) -> Result<i64, Error> {
    if closed.ended.is_empty() {
        return Ok(0);
    }
    database
        .read(&RowScope::everything(), async |connection| {
            Ok::<_, Error>(cases::count_open_of(connection, &closed.ended).await?)
        })
        .await
}
