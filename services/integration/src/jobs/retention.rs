//! Drops events that are too old or too many, gives up messages that nobody confirmed, forgets what was applied long ago and what the
//! store of events still knows of subscriptions that have ended. Looks meanwhile how much waits and was given up, for the meters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_database::{Event, Lease, UnitOfWork};
use egov_events::Missed;
use egov_fault::Fault;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backlog_meters::{Backlogs, Topical};
use crate::domain::topic::Topic;
use crate::error::Error;
use crate::operations::Events;
use crate::operations::mailboxes::Mailboxes;
use crate::operations::subscriptions::NOT_IN_STORE;
use crate::store::{backlogs, topics};

const LEASE: &str = "integration.retention";
/// How often it looks.
const EVERY: Duration = Duration::from_secs(10);
/// How long the inbox remembers: longer than any topic keeps events.
const INBOX: Duration = Duration::from_hours(400 * 24);
/// How often it is looked how much waits, once there was something: the store is asked for every subscription.
const MEASURED_EVERY: Duration = Duration::from_mins(1);
/// How many subscriptions are read at once.
const PAGE: i64 = 200;

/// Works until `stop`. Failures are logged and tried again.
pub(crate) async fn run(events: Arc<Events>, mailboxes: Arc<Mailboxes>, stop: CancellationToken) {
    let backlogs = Backlogs::watched();
    while !stop.is_cancelled() {
        let worked = match events.database.acquire_lease(LEASE, EVERY * 3).await {
            Ok(Some(lease)) => while_held(&events, &mailboxes, &backlogs, lease, &stop).await,
            Ok(None) => Ok(()),
            Err(fault) => Err(fault),
        };
        // Whoever works next says how much waits; what was seen here is no longer true.
        backlogs.forget();
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
                let Some(version) = topics::next_version(unit.conn(), *subscription).await? else {
                    continue;
                };
                unit.publish(Event {
                    aggregate_kind: "event_subscription",
                    aggregate_id: *subscription,
                    version,
                    kind: "event_subscription_missed",
                    payload: serde_json::json!({
                        "topic_id": topic.id,
                        "events": missed.events,
                        "first_offset": missed.first,
                        "last_offset": missed.last,
                    }),
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .map_err(Fault::from)
}

/// How much waits, and how much was given up.
async fn measure(events: &Events, all: &[Topic], seen: &Backlogs) -> Result<bool, Fault> {
    let everything = RowScope::everything();
    let counted = events
        .database
        .read(&everything, async |conn| Ok::<_, Error>(backlogs::count(conn).await?))
        .await
        .map_err(Fault::from)?;
    let mut by_topic: BTreeMap<String, Topical> = BTreeMap::new();
    for topic in all {
        let mut after = None;
        loop {
            let page = events
                .database
                .read(&everything, async |conn| {
                    Ok::<_, Error>(topics::list_subscriptions(conn, Some(topic.id), after, PAGE, &everything).await?)
                })
                .await
                .map_err(Fault::from)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for subscription in page {
                match events.store.progress(&subscription.spec()).await {
                    Ok(progress) => by_topic.entry(topic.name.clone()).or_default().take_in(&progress),
                    // Its first fetch makes up for it.
                    Err(fault) if fault.reason() == NOT_IN_STORE => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
    }
    let something = !by_topic.is_empty() || !counted.is_nothing();
    seen.saw(by_topic, counted);
    Ok(something)
}

async fn while_held(
    events: &Events,
    mailboxes: &Mailboxes,
    backlogs: &Backlogs,
    mut lease: Lease,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let missed = opentelemetry::global::meter("egov")
        .u64_counter("egov.events.missed")
        .with_description("events that were dropped by age or size before a subscription had acknowledged them")
        .build();
    let mut measured: Option<Instant> = None;
    while !stop.is_cancelled() {
        lease.renew().await?;
        let everything = RowScope::everything();
        let all = events
            .database
            .read(&everything, async |conn| topics::all(conn).await.map_err(Error::from))
            .await
            .map_err(Fault::from)?;
        for topic in &all {
            let swept = match events.store.sweep(&topic.spec()).await {
                Ok(swept) => swept,
                // Nothing else waits for it. The next round is soon.
                Err(fault) => {
                    tracing::warn!(topic = topic.name, reason = fault.reason(), error = ?fault, "a topic was not swept");
                    if lease.is_due() {
                        lease.renew().await?;
                    }
                    continue;
                }
            };
            if swept.events > 0 {
                tracing::info!(
                    topic = topic.name,
                    swept = swept.events,
                    "events dropped by age or size"
                );
            }
            tell(events, &missed, topic, &swept.missed, &lease).await?;
            if lease.is_due() {
                lease.renew().await?;
            }
        }
        while mailboxes.expire(&lease).await.map_err(Fault::from)? > 0 {}
        events.forget_ended(&lease).await.map_err(Fault::from)?;
        events.database.forget_applied(INBOX).await?;
        if measured.is_none_or(|at| at.elapsed() >= MEASURED_EVERY) {
            lease.renew().await?;
            match measure(events, &all, backlogs).await {
                Ok(something) => measured = something.then(Instant::now),
                // Nothing else waits for it.
                Err(fault) => {
                    tracing::warn!(reason = fault.reason(), error = ?fault, "not seen how much waits");
                    backlogs.forget();
                    measured = Some(Instant::now());
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    lease.release().await
}
