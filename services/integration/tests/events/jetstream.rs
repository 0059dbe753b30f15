//! The service over NATS JetStream, as `events.nats` says, instead of over its own database.

use egov_integration::config::EventsSection;
use egov_proto::egov::integration::v1::{
    AcknowledgeRequest, CloudEvent, EventDelivery, GetDeadLetterRequest, GetSubscriptionStatusRequest,
    GetSubscriptionStatusResponse, ListDeadLettersRequest, PullRequest, RedriveDeadLettersRequest, Rejection,
};
use egov_testkit::nats::NatsServer;

use crate::stage::{SUBSCRIBER, Stage, event, new_id, pulling};
use crate::streams::open;

/// Fetches, waiting for the first: the server's time is no test's.
async fn pull(stage: &Stage, subscription: &str) -> Vec<EventDelivery> {
    let message = PullRequest {
        subscription_id: subscription.to_owned(),
        wait: Some(prost_types::Duration { seconds: 15, nanos: 0 }),
        ..PullRequest::default()
    };
    let pulled = stage.events.clone().pull(stage.system(SUBSCRIBER, &[], message)).await;
    pulled.unwrap().into_inner().deliveries
}

async fn settle(stage: &Stage, subscription: &str, acknowledged: Vec<String>, rejected: Vec<Rejection>) {
    let message = AcknowledgeRequest {
        subscription_id: subscription.to_owned(),
        acknowledged,
        rejected,
    };
    let settled = stage
        .events
        .clone()
        .acknowledge(stage.system(SUBSCRIBER, &[], message))
        .await;
    settled.unwrap();
}

async fn status(stage: &Stage, subscription: &str) -> GetSubscriptionStatusResponse {
    let message = GetSubscriptionStatusRequest {
        subscription_id: subscription.to_owned(),
    };
    let found = stage
        .events
        .clone()
        .get_subscription_status(stage.system(SUBSCRIBER, &[], message))
        .await;
    found.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_jetstream_the_service_publishes_streams_gives_up_and_sends_out_again() {
    let server = NatsServer::start().await.unwrap();
    let events = EventsSection {
        nats: server.address().into(),
        replicas: 1,
        ..EventsSection::default()
    };
    let stage = Stage::configured(events).await;

    // Published twice is published once, and streamed in order by key.
    let topic = stage.topic("test.cases").await.topic_id;
    let subscription = stage
        .subscribe(SUBSCRIBER, pulling(&topic, "a"))
        .await
        .unwrap()
        .subscription_id;
    let mut stream = open(&stage, &subscription).await;
    let batch: Vec<CloudEvent> = (0..30).map(|n| event(&n.to_string(), &format!("k{}", n % 3))).collect();
    let first = stage.publish(&topic, batch.clone()).await.unwrap();
    let again = stage.publish(&topic, batch).await.unwrap();
    for (one, other) in first.iter().zip(&again) {
        assert_eq!(one.offset, other.offset);
        assert!(!one.duplicate && other.duplicate);
    }
    let mut seen: Vec<u32> = Vec::new();
    while seen.len() < 30 {
        let got = stream.next().await;
        seen.extend(
            got.iter()
                .map(|one| one.event.as_ref().unwrap().id.parse::<u32>().unwrap()),
        );
        stream.acknowledge(&got).await;
    }
    for key in 0..3_u32 {
        let of_key: Vec<u32> = seen.iter().copied().filter(|n| n % 3 == key).collect();
        assert_eq!(of_key, (0..30_u32).filter(|n| n % 3 == key).collect::<Vec<u32>>());
    }
    drop(stream);
    let standing = status(&stage, &subscription).await;
    assert!(
        !standing.durable && standing.durability.contains("JetStream") && standing.durability.contains("1 replica"),
        "{}",
        standing.durability
    );
    let mut connection = stage.database.connect_as_superuser().await.unwrap();
    let here: i64 = sqlx::query_scalar("SELECT count(*) FROM event_records")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(here, 0, "no event lies in the service's own database");

    // What is refused as often as it may be is given up, the next of its key follows, and what was given up goes out once more.
    let topic = stage.topic("test.letters").await.topic_id;
    let mut wanted = pulling(&topic, "b");
    wanted.max_attempts = 2;
    let subscription = stage.subscribe(SUBSCRIBER, wanted).await.unwrap().subscription_id;
    stage
        .publish(&topic, vec![event("1", "k"), event("2", "k")])
        .await
        .unwrap();
    for attempt in 1..=2 {
        let got = pull(&stage, &subscription).await;
        assert_eq!((got.len(), got[0].attempt), (1, attempt));
        let rejected = Rejection {
            token: got[0].token.clone(),
            cause: "mã đơn vị không có".to_owned(),
            retry_after: Some(prost_types::Duration {
                seconds: 0,
                nanos: 10_000_000,
            }),
        };
        settle(&stage, &subscription, vec![], vec![rejected]).await;
    }
    let standing = status(&stage, &subscription).await;
    assert_eq!((standing.lag, standing.dead_letters), (1, 1));
    let list = ListDeadLettersRequest {
        subscription_id: subscription.clone(),
        ..ListDeadLettersRequest::default()
    };
    let request = stage.system(SUBSCRIBER, &[], list);
    let listed = stage.events.clone().list_dead_letters(request).await.unwrap();
    let letter = listed.into_inner().dead_letters.remove(0);
    assert_eq!((letter.attempts, letter.cause.as_str()), (2, "mã đơn vị không có"));
    let get = GetDeadLetterRequest {
        subscription_id: subscription.clone(),
        offset: letter.offset,
    };
    let request = stage.system(SUBSCRIBER, &[], get);
    let found = stage.events.clone().get_dead_letter(request).await.unwrap();
    assert_eq!(found.into_inner().dead_letter.unwrap().event, letter.event);
    let next = pull(&stage, &subscription).await;
    assert_eq!(next[0].event.as_ref().unwrap().id, "2");
    settle(&stage, &subscription, vec![next[0].token.clone()], vec![]).await;
    let redrive = RedriveDeadLettersRequest {
        request_id: new_id(),
        subscription_id: subscription.clone(),
        offsets: vec![letter.offset],
        until_time: None,
    };
    for _ in 0..2 {
        let request = stage.system(SUBSCRIBER, &[], redrive.clone());
        let redriven = stage.events.clone().redrive_dead_letters(request).await.unwrap();
        assert_eq!(
            redriven.into_inner().redriven,
            1,
            "the same request gets the same answer"
        );
    }
    let once_more = pull(&stage, &subscription).await;
    assert_eq!((once_more.len(), once_more[0].attempt), (1, 1));
    assert_eq!(
        (once_more[0].offset, &once_more[0].event),
        (letter.offset, &letter.event)
    );
    settle(&stage, &subscription, vec![once_more[0].token.clone()], vec![]).await;
    let standing = status(&stage, &subscription).await;
    assert_eq!((standing.lag, standing.in_flight, standing.dead_letters), (0, 0, 0));
}
