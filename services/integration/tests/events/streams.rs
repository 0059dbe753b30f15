//! Subscribe.

use std::time::Duration;

use egov_proto::egov::integration::v1::{
    EventDelivery, GetSubscriptionStatusRequest, Rejection, SubscribeRequest, SubscribeResponse,
};
use jiff::SignedDuration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use crate::stage::{PUBLISHER, SUBSCRIBER, Stage, event, pulling, refusal};

pub(crate) struct Open {
    say: mpsc::Sender<SubscribeRequest>,
    hear: Streaming<SubscribeResponse>,
}

pub(crate) async fn open(stage: &Stage, subscription: &str) -> Open {
    let (say, said) = mpsc::channel(16);
    say.send(SubscribeRequest {
        subscription_id: subscription.to_owned(),
        ..Default::default()
    })
    .await
    .unwrap();
    let request = stage.system(SUBSCRIBER, &[], ReceiverStream::new(said));
    let hear = stage.events.clone().subscribe(request).await.unwrap().into_inner();
    Open { say, hear }
}

impl Open {
    pub(crate) async fn next(&mut self) -> Vec<EventDelivery> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.hear.message()).await;
        next.expect("an event comes").unwrap().unwrap().deliveries
    }

    pub(crate) async fn acknowledge(&self, deliveries: &[EventDelivery]) {
        let acknowledged = deliveries.iter().map(|one| one.token.clone()).collect();
        let message = SubscribeRequest {
            acknowledged,
            ..Default::default()
        };
        self.say.send(message).await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_delivers_in_order_by_key_as_events_are_published_and_acknowledged() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await.topic_id;
    let subscription = stage
        .subscribe(SUBSCRIBER, pulling(&topic, "a"))
        .await
        .unwrap()
        .subscription_id;
    let mut stream = open(&stage, &subscription).await;
    stage
        .publish(
            &topic,
            (0..30).map(|n| event(&n.to_string(), &format!("k{}", n % 3))).collect(),
        )
        .await
        .unwrap();
    let mut seen: Vec<u32> = Vec::new();
    while seen.len() < 30 {
        let got = stream.next().await;
        seen.extend(
            got.iter()
                .map(|one| one.event.as_ref().unwrap().id.parse::<u32>().unwrap()),
        );
        stream.acknowledge(&got).await;
    }
    for key in 0..3 {
        let of_key: Vec<u32> = seen.iter().copied().filter(|n| n % 3 == key).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
    }
    // A rejected one comes again when its time is over.
    stage.publish(&topic, vec![event("30", "")]).await.unwrap();
    let got = stream.next().await;
    let rejected = vec![Rejection {
        token: got[0].token.clone(),
        cause: "bận".to_owned(),
        retry_after: None,
    }];
    let message = SubscribeRequest {
        rejected,
        ..Default::default()
    };
    stream.say.send(message).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stage.clock.advance(SignedDuration::from_secs(5));
    assert_eq!(stream.next().await[0].attempt, 2);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_holds_nobody_back_and_keeps_no_more_than_its_limit() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await.topic_id;
    let mut slow = pulling(&topic, "slow");
    slow.max_in_flight = 20;
    let slow = stage.subscribe(SUBSCRIBER, slow).await.unwrap().subscription_id;
    let quick = stage
        .subscribe(SUBSCRIBER, pulling(&topic, "quick"))
        .await
        .unwrap()
        .subscription_id;
    let _never_read = open(&stage, &slow).await;
    let mut reader = open(&stage, &quick).await;
    for batch in 0..10 {
        let events = (0..100).map(|n| event(&(batch * 100 + n).to_string(), "")).collect();
        stage.publish(&topic, events).await.unwrap();
    }
    let mut count = 0;
    while count < 1000 {
        let got = reader.next().await;
        count += got.len();
        reader.acknowledge(&got).await;
    }
    assert_eq!(count, 1000);
    let message = GetSubscriptionStatusRequest { subscription_id: slow };
    let status = stage
        .events
        .clone()
        .get_subscription_status(stage.system(SUBSCRIBER, &[], message))
        .await
        .unwrap();
    let status = status.into_inner();
    assert_eq!(status.lag, 1000);
    assert!(status.in_flight <= 20, "{} are under way", status.in_flight);
}

#[tokio::test]
async fn a_stream_is_refused_to_who_may_not_subscribe_and_ends_at_a_wrong_token() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await.topic_id;
    let subscription = stage
        .subscribe(SUBSCRIBER, pulling(&topic, "a"))
        .await
        .unwrap()
        .subscription_id;
    let (say, said) = mpsc::channel(1);
    let message = SubscribeRequest {
        subscription_id: subscription.clone(),
        ..Default::default()
    };
    say.send(message).await.unwrap();
    let request = stage.system(PUBLISHER, &[], ReceiverStream::new(said));
    let status = stage.events.clone().subscribe(request).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "SUBSCRIPTION_NOT_FOUND".to_owned()));

    let mut stream = open(&stage, &subscription).await;
    let wrong = SubscribeRequest {
        acknowledged: vec!["x".to_owned()],
        ..Default::default()
    };
    stream.say.send(wrong).await.unwrap();
    let status = stream.hear.message().await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::InvalidArgument, "DELIVERY_TOKEN_INVALID".to_owned())
    );
}

#[tokio::test]
async fn open_streams_do_not_hold_up_a_server_that_drains() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await.topic_id;
    let subscription = stage
        .subscribe(SUBSCRIBER, pulling(&topic, "a"))
        .await
        .unwrap()
        .subscription_id;
    let mut stream = open(&stage, &subscription).await;
    stage.shutdown.drain();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.hear.message()).await;
    assert!(matches!(ended, Ok(Ok(None) | Err(_))), "the stream ends: {ended:?}");
}
