//! Sends the events of webhooks: signed as Standard Webhooks says, to registered hosts, without following redirects.
//!
//! One task a subscription, so that a slow receiver holds nobody back; a lease, so that of many processes one sends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_clock::Clock as _;
use egov_database::Lease;
use egov_events::{
    Batch, Delivery, Rejection, WEBHOOK_CONTENT_TYPE, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, WebhookSecret,
};
use egov_fault::Fault;
use egov_keyring::Purpose;
use futures::StreamExt as _;
use reqwest::{Client, StatusCode, header};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::topic::Subscription;
use crate::error::Error;
use crate::operations::Events;
use crate::operations::subscriptions::sealed_for;
use crate::store::topics;

const LEASE: &str = "integration.webhooks";
const LEASE_TIME: Duration = Duration::from_secs(15);
/// How often it looks for new webhooks and ended ones.
const LOOK: Duration = Duration::from_secs(1);
/// How many events of one subscription are sent at the same time; of one key it is always one.
const AT_ONCE: usize = 16;
/// The longest pause that a receiver may ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Works until `stop`. Failures are logged and tried again.
pub(crate) async fn run(events: Arc<Events>, client: Client, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let worked = match events.database.acquire_lease(LEASE, LEASE_TIME).await {
            Ok(Some(lease)) => while_held(&events, &client, lease, &stop).await,
            Ok(None) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = worked {
            tracing::warn!(reason = fault.reason(), error = ?fault, "webhooks interrupted");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// A task that is stopped with its value.
struct Sender {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn while_held(
    events: &Arc<Events>,
    client: &Client,
    mut lease: Lease,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let mut senders: HashMap<Uuid, Sender> = HashMap::new();
    while !stop.is_cancelled() {
        lease.renew().await?;
        let wanted = events
            .database
            .read(&RowScope::everything(), async |conn| {
                topics::webhooks(conn).await.map_err(Error::from)
            })
            .await
            .map_err(Fault::from)?;
        senders.retain(|id, sender| !sender.task.is_finished() && wanted.iter().any(|one| one.id == *id));
        for subscription in wanted {
            senders.entry(subscription.id).or_insert_with(|| {
                let stop = stop.child_token();
                let task = tokio::spawn(send_all(Arc::clone(events), client.clone(), subscription, stop.clone()));
                Sender { stop, task }
            });
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    drop(senders);
    lease.release().await
}

async fn send_all(events: Arc<Events>, client: Client, subscription: Subscription, stop: CancellationToken) {
    let secret = subscription.webhook_secret.as_deref().map(|sealed| {
        events
            .keyring
            .open_sealed(Purpose::Webhooks, sealed, &sealed_for(subscription.id))
    });
    let Some(Ok(secret)) = secret.map(|opened| opened.map(|bytes| WebhookSecret::from_bytes(&bytes))) else {
        tracing::error!(subscription = %subscription.id, "the secret of a webhook cannot be opened");
        return;
    };
    while !stop.is_cancelled() {
        let batch = Batch::of(u32::try_from(AT_ONCE).unwrap_or(u32::MAX));
        let due = match events.fetch(&subscription, batch, LOOK).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, subscription = %subscription.id, "webhook events not fetched");
                tokio::time::sleep(LOOK).await;
                continue;
            }
        };
        // Each is settled when its own answer is there; a slow one does not hold the others.
        futures::stream::iter(due)
            .for_each_concurrent(AT_ONCE, |delivery| {
                send_one(&events, &client, &subscription, &secret, delivery)
            })
            .await;
    }
}

async fn send_one(
    events: &Events,
    client: &Client,
    subscription: &Subscription,
    secret: &WebhookSecret,
    delivery: Delivery,
) {
    let outcome = post(events, client, subscription, secret, &delivery).await;
    let settled = match outcome {
        Ok(()) => {
            events
                .settle_on(subscription, std::slice::from_ref(&delivery.token), &[])
                .await
        }
        Err((cause, retry_after)) => {
            tracing::info!(subscription = %subscription.id, offset = delivery.offset, cause, "webhook not delivered");
            let rejection = Rejection {
                token: delivery.token,
                cause,
                retry_after,
            };
            events.settle_on(subscription, &[], &[rejection]).await
        }
    };
    if let Err(error) = settled {
        // It comes again when its time is over; the receiver knows its id.
        tracing::warn!(%error, subscription = %subscription.id, "webhook delivery not settled");
    }
}

/// Sends one event; otherwise why it did not arrive, and when the receiver wants it again.
async fn post(
    events: &Events,
    client: &Client,
    subscription: &Subscription,
    secret: &WebhookSecret,
    delivery: &Delivery,
) -> Result<(), (String, Option<Duration>)> {
    let address = subscription.webhook_url.as_deref().unwrap_or_default();
    // The list may have changed since the subscription was made.
    if !events.hosts.allow(address) {
        return Err(("the host is no longer registered".to_owned(), None));
    }
    let body = delivery.event.to_json().to_string();
    // The same for every attempt: by it the receiver knows the event again.
    let id = format!("evt_{}", delivery.event.dedupe().simple());
    let seconds = events.database.clock().now().as_second();
    let answer = client
        .post(address)
        .header(header::CONTENT_TYPE, WEBHOOK_CONTENT_TYPE)
        .header(WEBHOOK_SIGNATURE, secret.sign(&id, seconds, body.as_bytes()))
        .header(WEBHOOK_TIMESTAMP, seconds)
        .header(WEBHOOK_ID, id)
        .body(body)
        .send()
        .await;
    match answer {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => {
            let asked = matches!(
                answer.status(),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            )
            .then(|| answer.headers().get(header::RETRY_AFTER))
            .flatten()
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
            Err((format!("HTTP {}", answer.status().as_u16()), asked))
        }
        Err(error) if error.is_timeout() => Err(("no answer in time".to_owned(), None)),
        Err(error) if error.is_connect() => Err(("no connection".to_owned(), None)),
        Err(_) => Err(("the connection broke".to_owned(), None)),
    }
}
