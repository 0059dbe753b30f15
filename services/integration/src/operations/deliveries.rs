//! Pull, Acknowledge, and what Subscribe does with both.

use std::time::Duration;

use egov_auth::Caller;
use egov_events::{Batch, Delivery, Rejection};
use tokio::time::Instant;
use uuid::Uuid;

use super::Events;
use super::subscriptions::NOT_IN_STORE;
use crate::domain::topic::{Mode, Subscription};
use crate::error::Error;

/// The longest that a Pull waits.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(20);

impl Events {
    /// The caller's own subscription, as long as it may subscribe, fed by fetching.
    pub(crate) async fn own_subscription(&self, caller: &Caller, id: Uuid) -> Result<Subscription, Error> {
        let (subscription, granted) = self.subscription_and_grant(caller, id).await?;
        if !granted || subscription.owner != caller.principal.subject {
            return Err(Error::SubscribingNotGranted);
        }
        if subscription.mode != Mode::Pull {
            return Err(Error::SubscriptionModeMismatch);
        }
        Ok(subscription)
    }

    /// Fetches what is due, waiting for the first if it is asked to.
    pub(crate) async fn pull(
        &self,
        caller: &Caller,
        id: Uuid,
        batch: Batch,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error> {
        let subscription = self.own_subscription(caller, id).await?;
        self.fetch(&subscription, batch, wait.min(LONGEST_WAIT)).await
    }

    /// Fetches what is due; when nothing is, looks again until `wait` is over.
    pub(crate) async fn fetch(
        &self,
        subscription: &Subscription,
        batch: Batch,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error> {
        let until = Instant::now() + wait;
        let spec = subscription.spec();
        loop {
            let got = match self.store.pull(&spec, batch).await {
                Err(fault) if fault.reason() == NOT_IN_STORE => {
                    self.make_up(subscription).await?;
                    self.store.pull(&spec, batch).await?
                }
                outcome => outcome?,
            };
            let left = until.saturating_duration_since(Instant::now());
            if !got.is_empty() || left.is_zero() {
                return Ok(got);
            }
            self.store.wait(subscription.topic, left).await;
        }
    }

    /// Settles deliveries of the caller's own subscription.
    pub(crate) async fn settle(
        &self,
        caller: &Caller,
        id: Uuid,
        acknowledged: &[String],
        rejected: &[Rejection],
    ) -> Result<(), Error> {
        let subscription = self.own_subscription(caller, id).await?;
        self.settle_on(&subscription, acknowledged, rejected).await
    }

    /// Settles deliveries of a subscription that was looked up before.
    pub(crate) async fn settle_on(
        &self,
        subscription: &Subscription,
        acknowledged: &[String],
        rejected: &[Rejection],
    ) -> Result<(), Error> {
        let settled = self.store.settle(&subscription.spec(), acknowledged, rejected).await;
        Ok(settled?)
    }
}
