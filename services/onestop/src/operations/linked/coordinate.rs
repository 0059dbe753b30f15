//! The coordinator (điều phối liên thông): follows the log of this service's own events, and lets each event of a member's case have its
//! consequences for the others.
//!
//! Each reaction is one transaction: what follows, that the event was applied, and the place in the log. Whoever is killed leaves either
//! all of it or nothing, and the next one begins at the kept place. What follows is worked out from what is stored, not from what the event
//! says: an event that comes late finds nothing left to do.

use egov_auth::RowScope;
use egov_database::{Database, Lease, LoggedEvent, Position, UnitOfWork};
use uuid::Uuid;

use super::super::OneStop;
use super::super::act::PLATFORM;
use super::{Change, Following, KIND};
use crate::domain::linked::Owner;
use crate::error::Error;
use crate::store::{Visible, linked};

/// Its name as a follower of the log and as a consumer of events.
pub(crate) const FOLLOWER: &str = "onestop.linked";

/// What it leaves itself.
const ADVANCED: &str = "linked_case_advanced";

/// Events that are looked at in one go.
pub(crate) const BATCH: i64 = 500;

/// Looks at the next events of the log: how many it passed, and how many applications changed. Ends early, with nothing of the reaction
/// under way stored, if `stop` says so.
pub(crate) async fn coordinate_once(
    one_stop: &OneStop,
    lease: &Lease,
    batch: i64,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<(usize, usize), Error> {
    let database = &one_stop.database;
    let place = database.follower_position(FOLLOWER).await?;
    let events = database.events_after(place, batch).await?;
    let of_cases: Vec<Uuid> = events
        .iter()
        .filter(|event| event.aggregate_kind == crate::domain::verify::KIND)
        .map(|event| event.aggregate_id)
        .collect();
    let members = database
        .read(&RowScope::everything(), async |connection| {
            Ok::<_, Error>(linked::of_cases(connection, &of_cases).await?)
        })
        .await?;
    let (mut passed, mut changed, mut behind) = (0, 0, None);
    for event in &events {
        if stop() {
            break;
        }
        let application = match event.aggregate_kind.as_str() {
            // What officers decided, and what the applicant took back; not what the coordinator did itself.
            KIND => (event.kind != ADVANCED).then_some(event.aggregate_id),
            _ => members
                .iter()
                .find(|(case_id, _)| *case_id == event.aggregate_id)
                .map(|(_, application)| *application),
        };
        match application {
            // Passed over together: a transaction an event would be too many for a log of which few are members' cases.
            None => behind = Some(event.position),
            Some(application) => {
                match react(one_stop, lease, event, application, stop).await {
                    Ok(did) => changed += usize::from(did),
                    Err(_) if stop() => break,
                    Err(error) => return Err(error),
                }
                behind = None;
            }
        }
        passed += 1;
    }
    if let Some(place) = behind {
        pass(database, lease, place).await?;
    }
    Ok((passed, changed))
}

/// Moves the place past events that concern nobody here.
async fn pass(database: &Database, lease: &Lease, place: Position) -> Result<(), Error> {
    database
        .work(lease, async |unit: &mut UnitOfWork<'_>| {
            unit.follow_to(FOLLOWER, place).await?;
            Ok::<_, Error>(())
        })
        .await
}

/// Lets an event of a member's case have its consequences; true if the application changed.
async fn react(
    one_stop: &OneStop,
    lease: &Lease,
    event: &LoggedEvent,
    linked_case_id: Uuid,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<bool, Error> {
    one_stop
        .database
        .work(lease, async |unit: &mut UnitOfWork<'_>| {
            unit.follow_to(FOLLOWER, event.position).await?;
            if !unit.first_time(FOLLOWER, event.event_id).await? {
                return Ok::<_, Error>(false);
            }
            let held = linked::get(unit.conn(), linked_case_id, &Visible::everything(), true).await?;
            let Some(mut application) = held.filter(|held| held.owner == Owner::Local) else {
                return Ok(false);
            };
            let mut changed = one_stop.refresh_members(unit, &mut application).await?;
            let mut following = Following {
                stop,
                ..Following::by(PLATFORM)
            };
            changed |= one_stop.follow_through(unit, &mut application, &mut following).await?;
            if stop() {
                return Err(super::interrupted());
            }
            if changed {
                let change = Change {
                    operation: "advance",
                    event: ADVANCED,
                    actor: &PLATFORM,
                    reason: "",
                };
                one_stop.keep_linked(unit, &mut application, change).await?;
            }
            Ok(changed)
        })
        .await
}
