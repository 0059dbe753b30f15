//! Drops events that are too old or too many, gives up messages that nobody confirmed, forgets what was applied long ago.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_database::{Event, Lease, UnitOfWork};
use egov_events::Missed;
use egov_fault::Fault;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::topic::Topic;
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

/// Says in the log of the service, aloud and in a metric what subscriptions missed. How much each missed at all stands with its status.
async fn tell(
    events: &Events,
    counter: &Counter<u64>,
    topic: &Topic,
    missed: &[(Uuid, Missed)],
    lease: &Lease,
) -> Result<(), Fault> {
    if missed.is_empty() {
        return Ok(());
    }
    for (subscription, missed) in missed {
        let Missed { events, first, last } = *missed;
        tracing::warn!(topic = topic.name, %subscription, events, first, last, "a subscription missed events that were dropped");
        let labels = [KeyValue::new("topic", topic.name.clone())];
        counter.add(u64::try_from(events).unwrap_or_default(), &labels);
    }
    events
        .database
        .work(lease, async |unit: &mut UnitOfWork<'_>| {
            for (subscription, missed) in missed {
                unit.publish(Event {
                    aggregate_kind: "event_subscription",
                    aggregate_id: *subscription,
                    version: 1,
                    kind: "event_subscription_missed",
                    payload: serde_json::json!({
                        "topic_id": topic.id,
                        "events": missed.events,
                        "first_offset": missed.first,
                        "last_offset": missed.last,
                    }),
                });
            }
            Ok(())
        })
        .await
}

async fn while_held(
    events: &Events,
    mailboxes: &Mailboxes,
    mut lease: Lease,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let missed = opentelemetry::global::meter("egov")
        .u64_counter("egov.events.missed")
        .with_description("events that were dropped by age or size before a subscription had acknowledged them")
        .build();
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
            if swept.events > 0 {
                tracing::info!(
                    topic = topic.name,
                    swept = swept.events,
                    "events dropped by age or size"
                );
            }
            tell(events, &missed, &topic, &swept.missed, &lease).await?;
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
