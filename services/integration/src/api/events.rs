//! The handlers of EventService.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use egov_auth::Caller;
use egov_clock::SharedClock;
use egov_events::{Batch, DeadLetter, Delivery, Letters, Rejection, StartAt};
use egov_fault::{Code, Fault, Violation};
use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::event_service_server::EventService;
use egov_proto::google::r#type::Date as WireDate;
use egov_proto::{instant, timestamp};
use egov_runtime::accept;
use egov_runtime::contract::Contract;
use egov_runtime::server::Draining;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::status;
use crate::domain::topic::{
    DEFAULT_MAX_AGE, DEFAULT_MAX_BYTES, Grant, Judging, LONGEST_MAX_AGE, Mode, SchemaChange, ShownTopic, Subscription,
    Topic,
};
use crate::error::Error;
use crate::operations::Events;
use crate::operations::subscriptions::Wanted;
use crate::operations::topics::TopicChange;
use crate::wire::day;

/// How often an open stream looks whether its subscriber may still subscribe.
const RECHECK: Duration = Duration::from_secs(1);
/// How long a stream waits for the next event before it looks around.
const LOOK: Duration = Duration::from_millis(500);

/// The service of the contract over the use cases.
#[derive(Clone)]
pub(crate) struct EventApi {
    pub(crate) contract: Arc<Contract>,
    pub(crate) events: Arc<Events>,
    pub(crate) clock: SharedClock,
}

/// An id whose form the contract has checked.
pub(super) fn id(text: &str, field: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| {
        Fault::invalid(vec![Violation {
            field: field.to_owned(),
            rule: "value".to_owned(),
            vi: "không phải là mã định danh UUID".to_owned(),
            en: "is not a UUID".to_owned(),
        }])
    })
}

/// Ids whose form the contract has checked.
pub(super) fn ids(texts: &[String], field: &str) -> Result<Vec<Uuid>, Fault> {
    texts.iter().map(|text| id(text, field)).collect()
}

/// A duration of the contract within bounds.
pub(super) fn duration(
    field: &'static str,
    given: Option<&prost_types::Duration>,
    unset: Duration,
    least: Duration,
    most: Duration,
) -> Result<Duration, Error> {
    let Some(given) = given else { return Ok(unset) };
    let asked = Duration::try_from(*given).ok();
    asked
        .filter(|asked| (least..=most).contains(asked))
        .ok_or(Error::Field {
            field,
            vi: "nằm ngoài khoảng cho phép",
            en: "is outside of what is allowed",
        })
}

/// An empty text says nothing.
fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn grants(given: &[proto::TopicGrant]) -> Result<Vec<Grant>, Fault> {
    let mut grants = Vec::with_capacity(given.len());
    for (index, grant) in given.iter().enumerate() {
        let client = id(&grant.client_id, &format!("grants[{index}].client_id"))?;
        // Of two for one system the last holds.
        grants.retain(|earlier: &Grant| earlier.client != client);
        grants.push(Grant {
            client,
            publish: grant.publish,
            subscribe: grant.subscribe,
        });
    }
    Ok(grants)
}

fn encode_topic(shown: &ShownTopic) -> proto::Topic {
    let topic = &shown.topic;
    proto::Topic {
        topic_id: topic.id.to_string(),
        name: topic.name.clone(),
        unit_id: topic.unit_id,
        schema: topic.schema.clone(),
        schema_version: topic.schema_version,
        max_age: prost_types::Duration::try_from(topic.max_age).ok(),
        max_bytes: topic.max_bytes,
        grants: shown
            .grants
            .iter()
            .map(|grant| proto::TopicGrant {
                client_id: grant.client.to_string(),
                publish: grant.publish,
                subscribe: grant.subscribe,
            })
            .collect(),
        etag: topic.version.to_string(),
        create_time: Some(timestamp(topic.create_time)),
        json_schema: shown.json_schema.clone().unwrap_or_default(),
        earlier_schemas: topic
            .replaced()
            .into_iter()
            .map(|(schema, schema_version, until)| proto::EarlierSchema {
                schema: schema.to_owned(),
                schema_version,
                accept_until: Some(WireDate::from(until)),
            })
            .collect(),
    }
}

fn encode_subscription(subscription: &Subscription) -> proto::Subscription {
    proto::Subscription {
        subscription_id: subscription.id.to_string(),
        topic_id: subscription.topic.to_string(),
        name: subscription.name.clone(),
        client_id: subscription.owner.to_string(),
        mode: i32::from(subscription.mode.code()),
        types: subscription.types.clone(),
        max_in_flight: i32::try_from(subscription.max_in_flight).unwrap_or(i32::MAX),
        acknowledge_within: prost_types::Duration::try_from(subscription.acknowledge_within).ok(),
        max_attempts: i32::try_from(subscription.max_attempts).unwrap_or(i32::MAX),
        webhook_url: subscription.webhook_url.clone().unwrap_or_default(),
        create_time: Some(timestamp(subscription.create_time)),
    }
}

fn encode_delivery(delivery: Delivery) -> proto::EventDelivery {
    proto::EventDelivery {
        token: delivery.token,
        offset: delivery.offset,
        attempt: i32::try_from(delivery.attempt).unwrap_or(i32::MAX),
        publish_time: Some(timestamp(delivery.publish_time)),
        event: Some(delivery.event.into()),
    }
}

fn encode_dead_letter(letter: DeadLetter) -> proto::DeadLetter {
    proto::DeadLetter {
        offset: letter.offset,
        attempts: i32::try_from(letter.attempts).unwrap_or(i32::MAX),
        cause: letter.cause,
        dead_time: Some(timestamp(letter.dead_time)),
        unreadable: letter.event.is_none(),
        event: letter.event.map(Into::into),
    }
}

fn rejections(given: Vec<proto::Rejection>) -> Result<Vec<Rejection>, Error> {
    given
        .into_iter()
        .map(|rejection| {
            let most = Duration::from_hours(24);
            let after = rejection.retry_after.as_ref();
            Ok(Rejection {
                retry_after: match after {
                    None => None,
                    after => Some(duration(
                        "rejected.retry_after",
                        after,
                        Duration::ZERO,
                        Duration::ZERO,
                        most,
                    )?),
                },
                token: rejection.token,
                cause: rejection.cause,
            })
        })
        .collect()
}

/// Which dead letters a request means: those at offsets, or all until an instant that is not to come. Never all of whenever it arrives:
/// repeated after a lost answer, it would mean more than at first.
fn letters<'a>(
    offsets: &'a [i64],
    until: Option<&prost_types::Timestamp>,
    now: Timestamp,
) -> Result<Letters<'a>, Error> {
    match (offsets, until.map(instant)) {
        ([], Some(Some(until))) if until > now => Err(Error::Field {
            field: "until_time",
            vi: "không được ở tương lai",
            en: "must not lie in the future",
        }),
        ([], Some(Some(until))) => Ok(Letters::Until(until)),
        ([_, ..], None) => Ok(Letters::At(offsets)),
        _ => Err(Error::Field {
            field: "until_time",
            vi: "phải có khi và chỉ khi không nêu vị trí",
            en: "stands without offsets and only without them",
        }),
    }
}

/// 0 is the default; the contract has checked the rest.
fn or_default(given: i32, default: u32) -> u32 {
    u32::try_from(given).ok().filter(|given| *given > 0).unwrap_or(default)
}

fn wanted(message: &proto::CreateSubscriptionRequest) -> Result<Wanted, Error> {
    let mode = match message.mode() {
        proto::DeliveryMode::Webhook => Mode::Webhook,
        proto::DeliveryMode::Pull | proto::DeliveryMode::Unspecified => Mode::Pull,
    };
    if (mode == Mode::Webhook) == message.webhook_url.is_empty() {
        return Err(Error::Field {
            field: "webhook_url",
            vi: "phải có khi và chỉ khi nhận qua webhook",
            en: "stands with a webhook and only with one",
        });
    }
    let start = match (message.start_at(), &message.start_time) {
        (proto::StartAt::Time, Some(time)) => instant(time).map(StartAt::Time),
        (proto::StartAt::Oldest, None) => Some(StartAt::Oldest),
        (proto::StartAt::New | proto::StartAt::Unspecified, None) => Some(StartAt::New),
        _ => None,
    };
    Ok(Wanted {
        topic: id(&message.topic_id, "topic_id")?,
        name: message.name.clone(),
        mode,
        start: start.ok_or(Error::Field {
            field: "start_time",
            vi: "phải có khi và chỉ khi bắt đầu từ một thời điểm",
            en: "stands with START_AT_TIME and only with it",
        })?,
        types: message.types.clone(),
        max_in_flight: or_default(message.max_in_flight, 100),
        acknowledge_within: duration(
            "acknowledge_within",
            message.acknowledge_within.as_ref(),
            Duration::from_secs(30),
            Duration::from_secs(1),
            Duration::from_hours(1),
        )?,
        max_attempts: or_default(message.max_attempts, 10),
        webhook_url: (mode == Mode::Webhook).then(|| message.webhook_url.clone()),
    })
}

#[tonic::async_trait]
impl EventService for EventApi {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<proto::SubscribeResponse, Status>> + Send>>;

    async fn create_topic(
        &self,
        request: Request<proto::CreateTopicRequest>,
    ) -> Result<Response<proto::CreateTopicResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let message = &accepted.message;
        let request_id = id(&message.request_id, "request_id")?;
        let topic = Topic {
            id: Uuid::nil(),
            name: message.name.clone(),
            unit_id: message.unit_id,
            schema: message.schema.clone(),
            schema_version: message.schema_version,
            max_age: duration(
                "max_age",
                message.max_age.as_ref(),
                DEFAULT_MAX_AGE,
                Duration::from_mins(1),
                LONGEST_MAX_AGE,
            )
            .map_err(status)?,
            max_bytes: Some(message.max_bytes)
                .filter(|bytes| *bytes > 0)
                .unwrap_or(DEFAULT_MAX_BYTES),
            version: 1,
            create_time: Timestamp::UNIX_EPOCH,
            versions: Vec::new(),
        };
        let wanted = ShownTopic {
            topic,
            grants: grants(&message.grants)?,
            json_schema: given(&message.json_schema),
        };
        let answer = |shown: &ShownTopic| proto::CreateTopicResponse {
            topic: Some(encode_topic(shown)),
        };
        let made = self
            .events
            .create_topic(accepted.caller()?, request_id, message, wanted, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn update_topic(
        &self,
        request: Request<proto::UpdateTopicRequest>,
    ) -> Result<Response<proto::UpdateTopicResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let message = &accepted.message;
        let request_id = id(&message.request_id, "request_id")?;
        let topic_id = id(&message.topic_id, "topic_id")?;
        let max_age = duration(
            "max_age",
            message.max_age.as_ref(),
            DEFAULT_MAX_AGE,
            Duration::from_mins(1),
            LONGEST_MAX_AGE,
        )
        .map_err(status)?;
        let last = message.accept_earlier_until;
        let change = TopicChange {
            schema: SchemaChange {
                uri: given(&message.schema),
                version: (message.schema_version > 0).then_some(message.schema_version),
                judging: match message.json_schema.as_deref() {
                    None => Judging::AsBefore,
                    Some("") => Judging::ByNothing,
                    Some(text) => Judging::By(text.to_owned()),
                },
                accept_earlier_until: last.map(|last| day(last, "accept_earlier_until")).transpose()?,
            },
            max_age: message.max_age.as_ref().map(|_| max_age),
            max_bytes: (message.max_bytes > 0).then_some(message.max_bytes),
            grants: grants(&message.grants)?,
        };
        let answer = |shown: &ShownTopic| proto::UpdateTopicResponse {
            topic: Some(encode_topic(shown)),
        };
        let changed = self
            .events
            .update_topic(accepted.caller()?, request_id, message, topic_id, change, answer)
            .await;
        Ok(Response::new(changed.map_err(status)?))
    }

    async fn list_topics(
        &self,
        request: Request<proto::ListTopicsRequest>,
    ) -> Result<Response<proto::ListTopicsResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let listed = self.events.list_topics(accepted.caller()?, &accepted.message).await;
        let (topics, next_page_token) = listed.map_err(status)?;
        Ok(Response::new(proto::ListTopicsResponse {
            topics: topics.iter().map(encode_topic).collect(),
            next_page_token,
        }))
    }

    async fn publish(
        &self,
        request: Request<proto::PublishRequest>,
    ) -> Result<Response<proto::PublishResponse>, Status> {
        let mut accepted = accept(&self.contract, request)?;
        let topic_id = id(&accepted.message.topic_id, "topic_id")?;
        let events = std::mem::take(&mut accepted.message.events);
        let published = self.events.publish(accepted.caller()?, topic_id, events).await;
        Ok(Response::new(proto::PublishResponse {
            published: published
                .map_err(status)?
                .into_iter()
                .map(|one| proto::PublishedEvent {
                    offset: one.offset,
                    duplicate: one.duplicate,
                })
                .collect(),
        }))
    }

    async fn create_subscription(
        &self,
        request: Request<proto::CreateSubscriptionRequest>,
    ) -> Result<Response<proto::CreateSubscriptionResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let wanted = wanted(&accepted.message).map_err(status)?;
        let answer = |subscription: &Subscription, secret: Option<String>| proto::CreateSubscriptionResponse {
            subscription: Some(encode_subscription(subscription)),
            webhook_secret: secret.unwrap_or_default(),
        };
        let made = self
            .events
            .create_subscription(accepted.caller()?, request_id, &accepted.message, wanted, answer)
            .await;
        Ok(Response::new(made.map_err(status)?))
    }

    async fn list_subscriptions(
        &self,
        request: Request<proto::ListSubscriptionsRequest>,
    ) -> Result<Response<proto::ListSubscriptionsResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let topic = match accepted.message.topic_id.as_str() {
            "" => None,
            topic => Some(id(topic, "topic_id")?),
        };
        let listed = self
            .events
            .list_subscriptions(accepted.caller()?, &accepted.message, topic)
            .await;
        let (subscriptions, next_page_token) = listed.map_err(status)?;
        Ok(Response::new(proto::ListSubscriptionsResponse {
            subscriptions: subscriptions.iter().map(encode_subscription).collect(),
            next_page_token,
        }))
    }

    async fn delete_subscription(
        &self,
        request: Request<proto::DeleteSubscriptionRequest>,
    ) -> Result<Response<proto::DeleteSubscriptionResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let subscription = id(&accepted.message.subscription_id, "subscription_id")?;
        let ended = self
            .events
            .delete_subscription(accepted.caller()?, request_id, &accepted.message, subscription)
            .await;
        Ok(Response::new(ended.map_err(status)?))
    }

    async fn get_subscription_status(
        &self,
        request: Request<proto::GetSubscriptionStatusRequest>,
    ) -> Result<Response<proto::GetSubscriptionStatusResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let subscription = id(&accepted.message.subscription_id, "subscription_id")?;
        let found = self.events.subscription_status(accepted.caller()?, subscription).await;
        let (progress, durability) = found.map_err(status)?;
        Ok(Response::new(proto::GetSubscriptionStatusResponse {
            lag: progress.lag,
            in_flight: progress.in_flight,
            dead_letters: progress.dead_letters,
            durable: durability.durable,
            durability: if durability.durable {
                String::new()
            } else {
                durability.words
            },
            missed: progress.missed.map_or(0, |missed| missed.events),
            first_missed_offset: progress.missed.map_or(0, |missed| missed.first),
            last_missed_offset: progress.missed.map_or(0, |missed| missed.last),
        }))
    }

    async fn subscribe(
        &self,
        request: Request<Streaming<proto::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (_, mut extensions, mut incoming) = request.into_parts();
        let caller = extensions.remove::<Caller>().ok_or_else(|| {
            Status::from(Fault::new(
                Code::Unauthenticated,
                "TOKEN_MISSING",
                "cần đăng nhập để thực hiện",
                "no token was sent",
            ))
        })?;
        let first = incoming.message().await?.unwrap_or_default();
        self.contract.validate(&first)?;
        let subscription_id = id(&first.subscription_id, "subscription_id")?;
        let subscription = self
            .events
            .own_subscription(&caller, subscription_id)
            .await
            .map_err(status)?;
        // One answer waits here, the next in the transport: a slow reader stops the fetching, not the others.
        let (answers, stream) = mpsc::channel(1);
        let ended = extensions
            .remove::<Draining>()
            .map_or_else(CancellationToken::new, |draining| draining.token().child_token());
        tokio::spawn(settle_incoming(
            self.clone(),
            subscription.clone(),
            first,
            incoming,
            answers.clone(),
            ended.clone(),
        ));
        tokio::spawn(deliver(self.clone(), caller, subscription, answers, ended));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn pull(&self, request: Request<proto::PullRequest>) -> Result<Response<proto::PullResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let message = &accepted.message;
        let subscription = id(&message.subscription_id, "subscription_id")?;
        let longest = crate::operations::deliveries::LONGEST_WAIT;
        let wait = duration("wait", message.wait.as_ref(), Duration::ZERO, Duration::ZERO, longest).map_err(status)?;
        let bytes = usize::try_from(message.max_bytes).unwrap_or_default();
        let batch = Batch {
            events: or_default(message.max_events, 100),
            bytes: if bytes == 0 { Batch::BYTES } else { bytes },
        };
        let pulled = self.events.pull(accepted.caller()?, subscription, batch, wait).await;
        Ok(Response::new(proto::PullResponse {
            deliveries: pulled.map_err(status)?.into_iter().map(encode_delivery).collect(),
        }))
    }

    async fn acknowledge(
        &self,
        request: Request<proto::AcknowledgeRequest>,
    ) -> Result<Response<proto::AcknowledgeResponse>, Status> {
        let mut accepted = accept(&self.contract, request)?;
        let subscription = id(&accepted.message.subscription_id, "subscription_id")?;
        let rejected = rejections(std::mem::take(&mut accepted.message.rejected)).map_err(status)?;
        let settled = self
            .events
            .settle(
                accepted.caller()?,
                subscription,
                &accepted.message.acknowledged,
                &rejected,
            )
            .await;
        settled.map_err(status)?;
        Ok(Response::new(proto::AcknowledgeResponse {}))
    }

    async fn list_dead_letters(
        &self,
        request: Request<proto::ListDeadLettersRequest>,
    ) -> Result<Response<proto::ListDeadLettersResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let subscription = id(&accepted.message.subscription_id, "subscription_id")?;
        let listed = self
            .events
            .list_dead_letters(accepted.caller()?, &accepted.message, subscription)
            .await;
        let (letters, next_page_token) = listed.map_err(status)?;
        Ok(Response::new(proto::ListDeadLettersResponse {
            dead_letters: letters.into_iter().map(encode_dead_letter).collect(),
            next_page_token,
        }))
    }

    async fn get_dead_letter(
        &self,
        request: Request<proto::GetDeadLetterRequest>,
    ) -> Result<Response<proto::GetDeadLetterResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let subscription = id(&accepted.message.subscription_id, "subscription_id")?;
        let found = self
            .events
            .get_dead_letter(accepted.caller()?, subscription, accepted.message.offset)
            .await;
        Ok(Response::new(proto::GetDeadLetterResponse {
            dead_letter: Some(encode_dead_letter(found.map_err(status)?)),
        }))
    }

    async fn redrive_dead_letters(
        &self,
        request: Request<proto::RedriveDeadLettersRequest>,
    ) -> Result<Response<proto::RedriveDeadLettersResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let subscription = id(&accepted.message.subscription_id, "subscription_id")?;
        let message = &accepted.message;
        let now = self.clock.now();
        let letters = letters(&message.offsets, message.until_time.as_ref(), now).map_err(status)?;
        let redriven = self
            .events
            .redrive_dead_letters(accepted.caller()?, request_id, message, subscription, letters)
            .await;
        Ok(Response::new(redriven.map_err(status)?))
    }

    async fn purge_dead_letters(
        &self,
        request: Request<proto::PurgeDeadLettersRequest>,
    ) -> Result<Response<proto::PurgeDeadLettersResponse>, Status> {
        let accepted = accept(&self.contract, request)?;
        let request_id = id(&accepted.message.request_id, "request_id")?;
        let subscription = id(&accepted.message.subscription_id, "subscription_id")?;
        let message = &accepted.message;
        let now = self.clock.now();
        let letters = letters(&message.offsets, message.until_time.as_ref(), now).map_err(status)?;
        let purged = self
            .events
            .purge_dead_letters(accepted.caller()?, request_id, message, subscription, letters)
            .await;
        Ok(Response::new(purged.map_err(status)?))
    }
}

type Answers = mpsc::Sender<Result<proto::SubscribeResponse, Status>>;

/// Settles what the subscriber says, until it says no more.
async fn settle_incoming(
    api: EventApi,
    subscription: Subscription,
    first: proto::SubscribeRequest,
    mut incoming: Streaming<proto::SubscribeRequest>,
    answers: Answers,
    ended: CancellationToken,
) {
    let mut next = Some(first);
    while let Some(message) = next {
        if let Err(refused) = settle_one(&api, &subscription, message).await {
            // Who has gone away does not hear why.
            let _ = answers.send(Err(refused)).await;
            break;
        }
        next = tokio::select! {
            () = ended.cancelled() => None,
            message = incoming.message() => message.unwrap_or_default(),
        };
    }
    ended.cancel();
}

async fn settle_one(
    api: &EventApi,
    subscription: &Subscription,
    message: proto::SubscribeRequest,
) -> Result<(), Status> {
    api.contract.validate(&message)?;
    if message.acknowledged.is_empty() && message.rejected.is_empty() {
        return Ok(());
    }
    let rejected = rejections(message.rejected).map_err(status)?;
    let settled = api
        .events
        .settle_on(subscription, &message.acknowledged, &rejected)
        .await;
    settled.map_err(status)
}

/// Delivers until the subscriber goes, its token ends, its grant is taken back, or the server drains.
async fn deliver(
    api: EventApi,
    caller: Caller,
    subscription: Subscription,
    answers: Answers,
    ended: CancellationToken,
) {
    let life = caller.principal.expires_at.duration_since(api.clock.now());
    let until = Instant::now() + Duration::try_from(life).unwrap_or_default();
    let mut checked = Instant::now();
    let outcome = loop {
        if ended.is_cancelled() || answers.is_closed() {
            break Ok(());
        }
        if Instant::now() >= until {
            break Err(Fault::new(
                Code::Unauthenticated,
                "TOKEN_EXPIRED",
                "phiên nhận đã hết hạn cùng mã truy cập; hãy kết nối lại",
                "the stream ends with its token: connect again with a new one",
            ));
        }
        if checked.elapsed() >= RECHECK {
            checked = Instant::now();
            if let Err(error) = api.events.own_subscription(&caller, subscription.id).await {
                break Err(error.into());
            }
        }
        // Never given up halfway: what was handed out must reach the stream.
        let batch = Batch::of(subscription.max_in_flight);
        let due = match api.events.fetch(&subscription, batch, LOOK).await {
            Ok(due) => due,
            Err(error) => break Err(error.into()),
        };
        if due.is_empty() {
            continue;
        }
        let deliveries = due.into_iter().map(encode_delivery).collect();
        if answers.send(Ok(proto::SubscribeResponse { deliveries })).await.is_err() {
            break Ok(());
        }
    };
    if let Err(fault) = outcome {
        let _ = answers.send(Err(fault.into())).await;
    }
    ended.cancel();
}
