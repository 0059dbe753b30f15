//! From a service's own log of events to the topics of the province.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use egov_auth::RowScope;
use egov_database::{Database, Lease, LoggedEvent};
use egov_fault::Fault;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Gauge;
use tokio_util::sync::CancellationToken;

use crate::CloudEvent;

/// How many events are published at a time.
const BATCH: i64 = 500;
const LEASE_TIME: Duration = Duration::from_secs(30);
/// How often the log is looked at when nothing wakes us.
const LOOK: Duration = Duration::from_millis(200);
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Takes events in for good: the service integration over gRPC, or a store.
#[async_trait]
pub trait Publisher: fmt::Debug + Send + Sync + 'static {
    /// Stores these events in their order; those that it knows already it stores no second time.
    async fn publish(&self, events: Vec<CloudEvent>) -> Result<(), Fault>;
}

/// Follows the log of a service and publishes it. While the other side is away the service goes on: the log keeps the events, the
/// metric `egov.events.forward.lag` says how many wait.
///
/// The place is moved after the publication: whatever is killed in between publishes again, under the same ids.
#[derive(Debug)]
pub struct Forwarder<P> {
    database: Database,
    service: &'static str,
    publisher: P,
    lag: Gauge<i64>,
}

impl<P: Publisher> Forwarder<P> {
    /// For the log of this database of `service`.
    pub fn new(database: Database, service: &'static str, publisher: P) -> Self {
        let lag = opentelemetry::global::meter("egov")
            .i64_gauge("egov.events.forward.lag")
            .with_description("events of the service's log that are not published to integration yet")
            .build();
        Self {
            database,
            service,
            publisher,
            lag,
        }
    }

    /// The name under which the place is kept.
    const FOLLOWER: &'static str = "forward";

    /// Publishes what is there, at most one batch; returns how many.
    pub async fn forward(&self) -> Result<usize, Fault> {
        let from = self.database.follower_position(Self::FOLLOWER).await?;
        let logged = self.database.events_after(from, BATCH).await?;
        let Some(last) = logged.last().map(|event| event.position) else {
            return Ok(0);
        };
        let count = logged.len();
        let events = logged.into_iter().map(|event| envelope(self.service, event)).collect();
        self.publisher.publish(events).await?;
        self.database
            .write_unkeyed(&RowScope::everything(), async |unit| {
                unit.follow_to(Self::FOLLOWER, last).await
            })
            .await?;
        Ok(count)
    }

    /// Publishes until `stop`, one process at a time. Failures are logged and tried again.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let worked = match self.database.acquire_lease("events.forward", LEASE_TIME).await {
                Ok(Some(lease)) => self.while_held(lease, &stop).await,
                Ok(None) => Ok(()),
                Err(fault) => Err(fault),
            };
            if stop.is_cancelled() {
                // Whatever failed now failed because all ends, its database as well.
                return;
            }
            if let Err(fault) = worked {
                tracing::warn!(service = self.service, reason = fault.reason(), error = ?fault, "events wait to be published");
            }
            self.measure().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn while_held(&self, mut lease: Lease, stop: &CancellationToken) -> Result<(), Fault> {
        let outcome = loop {
            if stop.is_cancelled() {
                break Ok(());
            }
            if lease.is_due() {
                lease.renew().await?;
            }
            // A publication that is left off is made again, under the same ids: a stop waits for none, whose other side may be
            // gone already.
            let forwarded = tokio::select! {
                forwarded = self.forward() => forwarded,
                () = stop.cancelled() => break Ok(()),
            };
            match forwarded {
                Ok(0) => {
                    self.lag.record(0, &[KeyValue::new("service", self.service)]);
                    self.database.wait_for_events(LOOK).await;
                }
                Ok(_) => {}
                Err(fault) => break Err(fault),
            }
        };
        lease.release().await?;
        outcome
    }

    async fn measure(&self) {
        if let Ok(lag) = self.database.follower_lag(Self::FOLLOWER).await {
            self.lag.record(lag, &[KeyValue::new("service", self.service)]);
        }
    }
}

/// An event of the log as it leaves the service: what happened to which aggregate, in the order of its versions.
fn envelope(service: &str, event: LoggedEvent) -> CloudEvent {
    let about = format!("{}/{}", event.aggregate_kind, event.aggregate_id);
    let data = serde_json::json!({ "version": event.version, "payload": event.payload });
    CloudEvent {
        id: event.event_id.to_string(),
        source: format!("/egov/{service}"),
        kind: format!("vn.egov.{service}.{}", event.kind),
        subject: Some(about.clone()),
        time: Some(event.create_time),
        data_content_type: None,
        data_schema: None,
        partition_key: Some(about),
        epoch: Some(event.position.epoch),
        data: data.to_string().into(),
    }
}
