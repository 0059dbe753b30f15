//! CreateSubscription, ListSubscriptions, DeleteSubscription, GetSubscriptionStatus.

use std::time::Duration;

use egov_auth::{Caller, RowScope};
use egov_clock::Clock as _;
use egov_database::{Event, Leaf, Lease, Page, UnitOfWork, WriteRequest, page_of, stored_instant};
use egov_events::{Durability, Progress, StartAt, WebhookSecret};
use egov_keyring::Purpose;
use egov_proto::egov::integration::v1::{
    CreateSubscriptionRequest, CreateSubscriptionResponse, DeleteSubscriptionRequest, DeleteSubscriptionResponse,
    ListSubscriptionsRequest,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::Events;
use super::topics::USE;
use crate::domain::topic::{MOST_SUBSCRIPTIONS, Mode, Subscription};
use crate::error::Error;
use crate::store::topics;

const CREATE: &str = "/egov.integration.v1.EventService/CreateSubscription";
const DELETE: &str = "/egov.integration.v1.EventService/DeleteSubscription";
const LIST: &str = "/egov.integration.v1.EventService/ListSubscriptions";

/// The store does not know a subscription.
pub(crate) const NOT_IN_STORE: &str = "SUBSCRIPTION_NOT_FOUND";

/// The store does not know a topic.
pub(super) const NO_TOPIC_IN_STORE: &str = "TOPIC_NOT_FOUND";

/// How long after its end a subscription is forgotten by the store for certain. Whoever read it before it ended may until then still make
/// up for it in the store.
const FORGET_AFTER: Duration = Duration::from_mins(1);

/// How many ended subscriptions are forgotten in one round.
const FORGET_AT_ONCE: i64 = 100;

/// A subscription as it is asked for.
pub(crate) struct Wanted {
    pub(crate) topic: Uuid,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) start: StartAt,
    pub(crate) types: Vec<String>,
    pub(crate) max_in_flight: u32,
    pub(crate) acknowledge_within: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) webhook_url: Option<String>,
}

/// To what a webhook's secret is sealed.
pub(crate) fn sealed_for(subscription: Uuid) -> Vec<u8> {
    [b"egov webhook ".as_slice(), subscription.as_bytes()].concat()
}

/// The owner of what this service follows itself: no caller has this subject.
const THIS_SERVICE: Uuid = Uuid::nil();

/// How many events may be under way to this service itself: as many as the contract allows. Those that wait for another attempt count.
const OWN_IN_FLIGHT: u32 = 1_000;

/// After how many attempts this service gives an event up: it is a dead letter then and can be sent out again.
const OWN_ATTEMPTS: u32 = 8;

/// The kind of the events and the leaves of subscriptions.
pub(crate) const SUBSCRIPTION: &str = "event_subscription";

/// What the leaves of a subscription commit to: as it was made, in the first, and with its end, in the second. The secret of a webhook is
/// sealed for it alone, and anew with every other key.
pub(crate) fn canonical_subscription(subscription: &Subscription, end: Option<Timestamp>) -> serde_json::Value {
    let (start_at, start_time) = topics::stored_start(subscription.start);
    serde_json::json!({
        "subscription_id": subscription.id,
        "topic_id": subscription.topic,
        "client_id": subscription.owner,
        "unit_id": subscription.unit_id,
        "name": subscription.name,
        "mode": subscription.mode.code(),
        "start_at": start_at,
        "start_time": start_time.map(stored_instant),
        "types": subscription.types,
        "max_in_flight": subscription.max_in_flight,
        "acknowledge_millis": u64::try_from(subscription.acknowledge_within.as_millis()).unwrap_or(u64::MAX),
        "max_attempts": subscription.max_attempts,
        "webhook_url": subscription.webhook_url,
        "create_time": subscription.create_time,
        "end_time": end,
    })
}

/// The event and the leaf of a new subscription.
fn record_created(unit: &mut UnitOfWork<'_>, subscription: &Subscription) {
    let canonical = canonical_subscription(subscription, None);
    unit.publish(Event {
        aggregate_kind: SUBSCRIPTION,
        aggregate_id: subscription.id,
        version: 1,
        kind: "event_subscription_created",
        payload: serde_json::json!({ "topic_id": subscription.topic, "client_id": subscription.owner }),
    });
    unit.leaf(Leaf {
        kind: SUBSCRIPTION,
        resource: subscription.id,
        version: 1,
        canonical: canonical.to_string().as_bytes(),
    });
}

impl Events {
    /// Subscribes, at most once for a request id.
    pub(crate) async fn create_subscription(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &CreateSubscriptionRequest,
        wanted: Wanted,
        answer: impl FnOnce(&Subscription, Option<String>) -> CreateSubscriptionResponse + Send,
    ) -> Result<CreateSubscriptionResponse, Error> {
        if let Some(address) = &wanted.webhook_url
            && !self.hosts.allow(address)
        {
            return Err(Error::WebhookAddressNotAllowed);
        }
        let scope = caller.scope(USE);
        let owner = caller.principal.subject;
        let write = WriteRequest::by(caller, USE, CREATE, request_id, body);
        let mut made = None;
        let written = self
            .database
            .write(write, async |unit| {
                let found = topics::get(unit.conn(), wanted.topic, owner, &scope).await?;
                let topic = match found {
                    Some((topic, grant)) if grant.subscribe => topic,
                    Some((topic, grant)) if grant.publish || scope.all || scope.units.contains(&topic.unit_id) => {
                        return Err(Error::SubscribingNotGranted);
                    }
                    _ => return Err(Error::TopicNotFound),
                };
                if topics::count_subscriptions(unit.conn(), owner).await? >= MOST_SUBSCRIPTIONS {
                    return Err(Error::TooManySubscriptions);
                }
                let id = unit.new_id();
                let secret = (wanted.mode == Mode::Webhook).then(|| {
                    let mut secret = [0; WebhookSecret::BYTES];
                    self.database.ids().random_bytes(&mut secret);
                    secret
                });
                let subscription = Subscription {
                    id,
                    topic: topic.id,
                    owner,
                    unit_id: topic.unit_id,
                    name: wanted.name,
                    mode: wanted.mode,
                    start: wanted.start,
                    types: wanted.types,
                    max_in_flight: wanted.max_in_flight,
                    acknowledge_within: wanted.acknowledge_within,
                    max_attempts: wanted.max_attempts,
                    webhook_url: wanted.webhook_url,
                    webhook_secret: secret.map(|secret| self.keyring.seal(Purpose::Webhooks, &secret, &sealed_for(id))),
                    create_time: unit.now(),
                };
                if !topics::insert_subscription(unit.conn(), &subscription).await? {
                    return Err(Error::SubscriptionNameTaken);
                }
                record_created(unit, &subscription);
                made = Some((topic, subscription.clone()));
                let secret = secret.map(|secret| WebhookSecret::from_bytes(&secret).to_text());
                Ok::<_, Error>(answer(&subscription, secret))
            })
            .await?;
        if let Some((topic, subscription)) = made {
            self.store.open_topic(&topic.spec()).await?;
            self.store.subscribe(&subscription.first_spec()).await?;
        }
        Ok(written.into_answer())
    }

    /// The subscription under which this service itself follows a topic, made when it is first asked for: from the oldest event on.
    /// None while there is no such topic. The topic's administrator sees it, and its dead letters, among the topic's.
    pub(crate) async fn own_feed(&self, topic: &str, name: &str) -> Result<Option<Subscription>, Error> {
        let everything = RowScope::everything();
        let found = self
            .database
            .read(&everything, async |conn| {
                Ok::<_, Error>(topics::subscription_of(conn, topic, THIS_SERVICE, name).await?)
            })
            .await?;
        if found.is_some() {
            return Ok(found);
        }
        let made = self
            .database
            .write_unkeyed(&everything, async |unit| {
                let Some(topic) = topics::list(unit.conn(), Some(topic), None, 1, &everything)
                    .await?
                    .pop()
                else {
                    return Ok(None);
                };
                let subscription = Subscription {
                    id: unit.new_id(),
                    topic: topic.id,
                    owner: THIS_SERVICE,
                    unit_id: topic.unit_id,
                    name: name.to_owned(),
                    mode: Mode::Pull,
                    start: StartAt::Oldest,
                    types: Vec::new(),
                    max_in_flight: OWN_IN_FLIGHT,
                    acknowledge_within: Duration::from_mins(5),
                    max_attempts: OWN_ATTEMPTS,
                    webhook_url: None,
                    webhook_secret: None,
                    create_time: unit.now(),
                };
                // Another process of the service may make it at this moment: the next round finds it.
                if !topics::insert_subscription(unit.conn(), &subscription).await? {
                    return Ok(None);
                }
                record_created(unit, &subscription);
                Ok::<_, Error>(Some(subscription))
            })
            .await?;
        if let Some(subscription) = &made {
            self.store.subscribe(&subscription.first_spec()).await?;
        }
        Ok(made)
    }

    /// A page of the subscriptions that the caller sees.
    pub(crate) async fn list_subscriptions(
        &self,
        caller: &Caller,
        request: &ListSubscriptionsRequest,
        topic: Option<Uuid>,
    ) -> Result<(Vec<Subscription>, String), Error> {
        let page: Page<Uuid> = page_of!(self.database.page_tokens(), caller, LIST, request)?;
        let scope = caller.scope(USE);
        let rows = self
            .database
            .read(&scope, async |conn| {
                topics::list_subscriptions(conn, topic, page.after().copied(), page.fetch(), &scope)
                    .await
                    .map_err(Error::from)
            })
            .await?;
        Ok(page.finish(rows, |subscription| subscription.id)?)
    }

    /// Ends a subscription, at most once for a request id.
    pub(crate) async fn delete_subscription(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &DeleteSubscriptionRequest,
        subscription_id: Uuid,
    ) -> Result<DeleteSubscriptionResponse, Error> {
        let scope = caller.scope(USE);
        let write = WriteRequest::by(caller, USE, DELETE, request_id, body);
        let mut ended = None;
        let written = self
            .database
            .write(write, async |unit| {
                let found = topics::get_subscription(unit.conn(), subscription_id, &scope).await?;
                let (subscription, _) = found.ok_or(Error::SubscriptionNotFound)?;
                let now = unit.now();
                // Of two at once the second is told that there is none any more.
                let version = topics::end_subscription(unit.conn(), subscription_id, now)
                    .await?
                    .ok_or(Error::SubscriptionNotFound)?;
                unit.publish(Event {
                    aggregate_kind: SUBSCRIPTION,
                    aggregate_id: subscription_id,
                    version,
                    kind: "event_subscription_ended",
                    payload: serde_json::json!({ "topic_id": subscription.topic }),
                });
                // Its versions count what it missed too, of which there is no leaf: it has one of its beginning, and one of its end.
                unit.leaf(Leaf {
                    kind: SUBSCRIPTION,
                    resource: subscription_id,
                    version: 2,
                    canonical: canonical_subscription(&subscription, Some(now)).to_string().as_bytes(),
                });
                ended = Some(subscription);
                Ok::<_, Error>(DeleteSubscriptionResponse {})
            })
            .await?;
        // At once, as far as it goes: it has ended whatever the store says, and `forget_ended` finishes what is left here.
        if let Some(subscription) = ended
            && let Err(fault) = self.store.unsubscribe(&subscription.spec()).await
        {
            tracing::warn!(subscription = %subscription.id, reason = fault.reason(), error = ?fault, "not forgotten by the store yet");
        }
        Ok(written.into_answer())
    }

    /// Has the store forget subscriptions that ended a while ago: also what it was told at their end already, since whoever read a
    /// subscription before that may have made up for it afterwards. How many; what fails is tried again in the next round.
    pub(crate) async fn forget_ended(&self, lease: &Lease) -> Result<usize, Error> {
        let until = self
            .database
            .clock()
            .now()
            .checked_sub(FORGET_AFTER)
            .unwrap_or(Timestamp::MIN);
        let ended = self
            .database
            .read(&RowScope::everything(), async |conn| {
                Ok::<_, Error>(topics::to_forget(conn, until, FORGET_AT_ONCE).await?)
            })
            .await?;
        let mut forgotten = Vec::with_capacity(ended.len());
        for subscription in ended {
            match self.store.unsubscribe(&subscription.spec()).await {
                Ok(()) => forgotten.push(subscription.id),
                // Nobody ever published to its topic: the store knows neither.
                Err(fault) if fault.reason() == NO_TOPIC_IN_STORE => forgotten.push(subscription.id),
                Err(fault) => {
                    tracing::warn!(subscription = %subscription.id, reason = fault.reason(), error = ?fault, "not forgotten by the store yet");
                    break;
                }
            }
        }
        if !forgotten.is_empty() {
            self.database
                .work(lease, async |unit: &mut UnitOfWork<'_>| {
                    let now = unit.now();
                    Ok::<_, Error>(topics::forgotten(unit.conn(), &forgotten, now).await?)
                })
                .await?;
        }
        Ok(forgotten.len())
    }

    /// How far a subscription has come, and whether the store keeps what it has.
    pub(crate) async fn subscription_status(
        &self,
        caller: &Caller,
        subscription_id: Uuid,
    ) -> Result<(Progress, Durability), Error> {
        let subscription = self.subscription(caller, subscription_id).await?;
        let progress = match self.store.progress(&subscription.spec()).await {
            Err(fault) if fault.reason() == NOT_IN_STORE => {
                self.make_up(&subscription).await?;
                self.store.progress(&subscription.spec()).await?
            }
            outcome => outcome?,
        };
        Ok((progress, self.store.durability().await?))
    }

    /// A subscription that the caller sees.
    pub(super) async fn subscription(&self, caller: &Caller, id: Uuid) -> Result<Subscription, Error> {
        self.subscription_and_grant(caller, id)
            .await
            .map(|(subscription, _)| subscription)
    }

    pub(super) async fn subscription_and_grant(
        &self,
        caller: &Caller,
        id: Uuid,
    ) -> Result<(Subscription, bool), Error> {
        let scope = caller.scope(USE);
        self.database
            .read(&scope, async |conn| {
                topics::get_subscription(conn, id, &scope)
                    .await?
                    .ok_or(Error::SubscriptionNotFound)
            })
            .await
    }

    /// Makes up for a subscription that the store does not know: the process died between the commit and the store's own step.
    /// Refused with `SUBSCRIPTION_NOT_FOUND` if it was deleted since it was read: then that is why the store does not know it.
    pub(super) async fn make_up(&self, subscription: &Subscription) -> Result<(), Error> {
        let scope = RowScope::everything();
        let there = self
            .database
            .read(&scope, async |conn| {
                Ok::<_, Error>(topics::get_subscription(conn, subscription.id, &scope).await?)
            })
            .await?;
        if there.is_none() {
            return Err(Error::SubscriptionNotFound);
        }
        Ok(self.store.subscribe(&subscription.spec()).await?)
    }
}
