//! The coordinator (điều phối liên thông): follows the log of this service's own events, and lets each event of a member's case have its
//! consequences for the others.
//!
//! Each reaction is one transaction: what follows, that the event was applied, and the place in the log. Whoever is killed leaves either
//! all of it or nothing, and the next one begins at the kept place. What follows is worked out from what is stored, not from what the event
//! says: an event that comes late finds nothing left to do. For the same reason an application whose reaction fails for a fault of its own
//! is set aside, and the log goes on: to be tried again it needs no event.

use egov_auth::RowScope;
use egov_database::{Database, Lease, LoggedEvent, Position, UnitOfWork};
use egov_events::Backoff;
use egov_fault::{Code, Fault};
use uuid::Uuid;

use super::super::OneStop;
use super::super::act::Doer;
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

/// Applications that were set aside and are tried again in one round.
const RETRIES: i64 = 100;

/// Whether the log went on, or an application is to be tried again.
pub(crate) async fn is_anything_left(one_stop: &OneStop) -> Result<bool, Error> {
    let database = &one_stop.database;
    if database.follower_lag(FOLLOWER).await? > 0 {
        return Ok(true);
    }
    let now = database.clock().now();
    database
        .read(&RowScope::everything(), async |connection| {
            Ok::<_, Error>(linked::is_any_due(connection, now).await?)
        })
        .await
}

/// Tries the applications again that were set aside and whose pause is over: how many changed. Those that fail again wait longer.
pub(crate) async fn retry_once(
    one_stop: &OneStop,
    lease: &mut Lease,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<usize, Error> {
    let database = &one_stop.database;
    let now = database.clock().now();
    let waiting = database
        .read(&RowScope::everything(), async |connection| {
            Ok::<_, Error>(linked::all_due(connection, now, RETRIES).await?)
        })
        .await?;
    let mut changed = 0;
    for application in waiting {
        if stop() {
            break;
        }
        if lease.is_due() {
            lease.renew().await?;
        }
        let tried = database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                advance(one_stop, unit, application, stop).await
            })
            .await;
        match tried {
            Ok(did) => changed += usize::from(did),
            Err(_) if stop() => break,
            Err(error) => set_aside(database, lease, (application, None), error).await?,
        }
    }
    Ok(changed)
}

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
                    Err(error) => set_aside(database, lease, (application, Some(event.position)), error).await?,
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
            advance(one_stop, unit, linked_case_id, stop).await
        })
        .await
}

/// Does what follows for an application from where its members stand; true if it changed. It is set aside no longer.
async fn advance(
    one_stop: &OneStop,
    unit: &mut UnitOfWork<'_>,
    linked_case_id: Uuid,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<bool, Error> {
    linked::take_up(unit.conn(), linked_case_id).await?;
    let held = linked::get(unit.conn(), linked_case_id, &Visible::everything(), true).await?;
    let Some(mut application) = held.filter(|held| held.owner == Owner::Local) else {
        return Ok(false);
    };
    let mut changed = one_stop.refresh_members(unit, &mut application).await?;
    let mut following = Following {
        stop,
        ..Following::by(Doer::PLATFORM)
    };
    changed |= one_stop.follow_through(unit, &mut application, &mut following).await?;
    if stop() {
        return Err(super::interrupted());
    }
    if changed {
        let change = Change {
            operation: "advance",
            event: ADVANCED,
            doer: Doer::PLATFORM,
            reason: "",
        };
        one_stop.keep_linked(unit, &mut application, change).await?;
    }
    Ok(changed)
}

/// Whether a fault says that nothing can be done at present, whichever application it met; any other is of the one application.
fn is_of_all(fault: &Fault) -> bool {
    matches!(
        fault.code(),
        Code::Aborted | Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
    )
}

/// Sets an application aside whose reaction failed, and lets the log go on from the place of the event, if it was one. Gives back an error
/// that is not the application's own.
async fn set_aside(
    database: &Database,
    lease: &Lease,
    (application, place): (Uuid, Option<Position>),
    error: Error,
) -> Result<(), Error> {
    let fault = Fault::from(error);
    if is_of_all(&fault) {
        return Err(fault.into());
    }
    let reason = fault.reason().to_owned();
    let attempts = database
        .work(lease, async |unit: &mut UnitOfWork<'_>| {
            if let Some(place) = place {
                unit.follow_to(FOLLOWER, place).await?;
            }
            let now = unit.now();
            let attempts = linked::attempts(unit.conn(), application).await?.saturating_add(1);
            let pause = Backoff::default().draw(u32::try_from(attempts).unwrap_or(u32::MAX), database.ids().as_ref());
            let due = now.saturating_add(pause).unwrap_or(now);
            linked::set_aside(unit.conn(), application, attempts, &reason, (now, due)).await?;
            Ok::<_, Error>(attempts)
        })
        .await?;
    // Told often at first, and rarer the longer it lasts.
    if u32::try_from(attempts).is_ok_and(u32::is_power_of_two) {
        tracing::error!(linked_case = %application, attempts, error = ?fault, "a linked application is set aside and tried again");
    }
    Ok(())
}
