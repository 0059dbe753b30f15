//! Drops events that are too old or too many, gives up messages that nobody confirmed, forgets what was applied long ago.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_database::Lease;
use egov_fault::Fault;
use tokio_util::sync::CancellationToken;

use crate::event_error::EventsError;
use crate::operations::Events;
use crate::operations::mailboxes::Mailboxes;
use crate::store::topics;

const LEASE: &str = "integration.retention";
/// How often it looks.
const EVERY: Duration = Duration::from_secs(10);
/// How long the inbox remembers: longer than any topic keeps events.
const INBOX: Duration = Duration::from_hours(400 * 24);

/// Works until `stop`. Failures are logged and tried again.
pub(crate) async fn run(events: Arc<Events>, mailboxes: Arc<Mailboxes>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let worked = match events.database.acquire_lease(LEASE, EVERY * 3).await {
            Ok(Some(lease)) => while_held(&events, &mailboxes, lease, &stop).await,
            Ok(None) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = worked {
            tracing::warn!(reason = fault.reason(), error = ?fault, "retention interrupted");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn while_held(
    events: &Events,
    mailboxes: &Mailboxes,
    mut lease: Lease,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    while !stop.is_cancelled() {
        lease.renew().await?;
        let everything = RowScope::everything();
        let all = events
            .database
            .read(&everything, async |conn| {
                topics::all(conn).await.map_err(EventsError::from)
            })
            .await
            .map_err(Fault::from)?;
        for topic in all {
            let swept = events.store.sweep(&topic.spec()).await?;
            if swept > 0 {
                tracing::info!(topic = topic.name, swept, "events dropped by age or size");
            }
            if lease.is_due() {
                lease.renew().await?;
            }
        }
        while mailboxes.expire(&lease).await.map_err(Fault::from)? > 0 {}
        events.database.forget_applied(INBOX).await?;
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    lease.release().await
}
