//! Follows one-stop's cases and tells the national portal of them; under a lease, so that of many processes one reads.

use std::sync::Arc;
use std::time::Duration;

use egov_database::Lease;
use egov_fault::Fault;
use tokio_util::sync::CancellationToken;

use crate::operations::Events;
use crate::operations::partners::{Followed, Shared};
use crate::partners::Follow;

const LEASE: &str = "integration.portal-cases";
const LEASE_TIME: Duration = Duration::from_mins(2);
/// How often it looks while nothing comes.
const LOOK: Duration = Duration::from_secs(1);
/// How long it leaves one-stop alone at most while it is away. At first it looks again soon: in one process with it, it is only not up yet.
const PAUSE: Duration = Duration::from_secs(30);

/// Works until `stop`. Failures are logged and tried again.
pub(crate) async fn run(partners: Shared, events: Arc<Events>, follow: Arc<Follow>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let worked = match events.database.acquire_lease(LEASE, LEASE_TIME).await {
            Ok(Some(lease)) => while_held(&partners, &events, &follow, lease, &stop).await,
            Ok(None) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = worked {
            tracing::warn!(reason = fault.reason(), error = ?fault, "cases are not followed");
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
    follow: &Follow,
    mut lease: Lease,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let mut one_stop_answers = false;
    let mut away = LOOK;
    while !stop.is_cancelled() {
        lease.renew().await?;
        let round = tokio::select! {
            // What is given up halfway comes again.
            () = stop.cancelled() => break,
            round = partners.follow(events, follow, one_stop_answers) => round.map_err(Fault::from)?,
        };
        one_stop_answers = !round.one_stop_away;
        let leave_alone = away;
        away = if one_stop_answers { LOOK } else { PAUSE.min(away * 2) };
        let pause = match round {
            Followed {
                one_stop_away: true, ..
            } => leave_alone,
            Followed {
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
