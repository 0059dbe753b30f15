//! Tells the Ministry's civil-status register of entries of the civil registry, receives what it reports, and compares both sides; each under a lease, so
//! that of many processes one works.

use std::sync::Arc;
use std::time::Duration;

use egov_database::Lease;
use egov_fault::Fault;
use tokio_util::sync::CancellationToken;

use crate::operations::Events;
use crate::operations::partners::{FollowedBooks, Shared};
use crate::partners::Books;

const LEASE: &str = "integration.register-entries";
const LEASE_TIME: Duration = Duration::from_mins(2);
/// How often it looks while nothing comes.
const LOOK: Duration = Duration::from_secs(1);
/// How long it leaves the registry alone at most while it is away.
const PAUSE: Duration = Duration::from_secs(30);
/// How often what the register reports is asked for.
const RECEIVE: Duration = Duration::from_secs(30);
/// How often it looks whether something is to be compared.
const COMPARE: Duration = Duration::from_secs(15);

/// Follows entries until `stop`. Failures are logged and tried again.
pub(crate) async fn follow(partners: Shared, events: Arc<Events>, books: Arc<Books>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let worked = match events.database.acquire_lease(LEASE, LEASE_TIME).await {
            Ok(Some(lease)) => while_held(&partners, &events, &books, lease, &stop).await,
            Ok(None) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = worked {
            tracing::warn!(reason = fault.reason(), error = ?fault, "entries of the civil registry are not followed");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn while_held(
    partners: &Shared,
    events: &Events,
    books: &Books,
    mut lease: Lease,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let mut registry_answers = false;
    let mut away = LOOK;
    while !stop.is_cancelled() {
        lease.renew().await?;
        let round = tokio::select! {
            // What is given up halfway comes again.
            () = stop.cancelled() => break,
            round = partners.follow_books(events, books, registry_answers) => round.map_err(Fault::from)?,
        };
        registry_answers = !round.registry_away;
        let leave_alone = away;
        away = if registry_answers { LOOK } else { PAUSE.min(away * 2) };
        let pause = match round {
            FollowedBooks {
                registry_away: true, ..
            } => leave_alone,
            FollowedBooks {
                done: 0, put_off: 0, ..
            } => LOOK,
            _ => Duration::ZERO,
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    lease.release().await
}

/// Receives what the register reports until `stop`.
pub(crate) async fn receive(partners: Shared, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let round = tokio::select! {
            () = stop.cancelled() => return,
            round = partners.receive_changes() => round,
        };
        match round.map_err(Fault::from) {
            Ok(Some(round)) if round.received > 0 => {
                tracing::info!(
                    received = round.received,
                    "changes of the civil-status register were received"
                );
            }
            Ok(_) => {}
            Err(fault) => {
                tracing::warn!(reason = fault.reason(), error = ?fault, "changes of the civil-status register are not received");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RECEIVE) => {}
        }
    }
}

/// Compares books until `stop`; a run that is broken off begins anew.
pub(crate) async fn compare(partners: Shared, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let round = tokio::select! {
            () = stop.cancelled() => return,
            round = partners.reconcile_books_round() => round,
        };
        match round.map_err(Fault::from) {
            Ok(Some(round)) if round.done > 0 || round.put_off > 0 => {
                tracing::info!(
                    done = round.done,
                    put_off = round.put_off,
                    "books were compared with the civil-status register's"
                );
            }
            Ok(_) => {}
            Err(fault) => {
                tracing::warn!(reason = fault.reason(), error = ?fault, "books are not compared with the civil-status register's");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(COMPARE) => {}
        }
    }
}
