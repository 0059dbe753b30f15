//! Topics, publishing, fetching, dead letters.

use egov_proto::egov::integration::v1::{
    AcknowledgeRequest, CreateSubscriptionRequest, CreateTopicRequest, DeleteSubscriptionRequest, GetDeadLetterRequest,
    GetSubscriptionStatusRequest, GetSubscriptionStatusResponse, ListDeadLettersRequest, ListSubscriptionsRequest,
    ListTopicsRequest, PublishRequest, PullRequest, PurgeDeadLettersRequest, RedriveDeadLettersRequest, Rejection,
    StartAt, TopicGrant, UpdateTopicRequest,
};
use jiff::SignedDuration;
use tonic::Code;
use uuid::Uuid;

use crate::measured::Measured;
use crate::stage::{HERE, NEIGHBOUR, PUBLISHER, STRANGER, SUBSCRIBER, Stage, event, new_id, pulling, refusal};

fn acknowledgement(subscription: &str, tokens: Vec<String>, rejected: Vec<Rejection>) -> AcknowledgeRequest {
    AcknowledgeRequest {
        subscription_id: subscription.to_owned(),
        acknowledged: tokens,
        rejected,
    }
}

async fn lag(stage: &Stage, subscription: &str) -> (i64, i64) {
    let status = status(stage, subscription).await;
    assert!(
        !status.durable && status.durability.contains("fsync = off"),
        "{}",
        status.durability
    );
    (status.lag, status.dead_letters)
}

async fn status(stage: &Stage, subscription: &str) -> GetSubscriptionStatusResponse {
    let message = GetSubscriptionStatusRequest {
        subscription_id: subscription.to_owned(),
    };
    let request = stage.system(SUBSCRIBER, &[], message);
    let found = stage.events.clone().get_subscription_status(request).await;
    found.unwrap().into_inner()
}

#[tokio::test]
async fn a_published_event_is_fetched_and_acknowledged() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await;
    let subscription = stage
        .subscribe(SUBSCRIBER, pulling(&topic.topic_id, "a"))
        .await
        .unwrap();
    let published = stage
        .publish(
            &topic.topic_id,
            vec![event("1", "case/1"), event("2", "case/1"), event("3", "case/2")],
        )
        .await
        .unwrap();
    assert_eq!(published.iter().map(|one| one.offset).collect::<Vec<_>>(), [0, 1, 2]);
    let got = stage.pull(&subscription.subscription_id).await.unwrap();
    let ids: Vec<&str> = got.iter().map(|one| one.event.as_ref().unwrap().id.as_str()).collect();
    assert_eq!(ids, ["1", "3"], "the second of a key waits for the first");
    let first = got[0].event.as_ref().unwrap();
    assert_eq!(
        first.data_schema, "urn:test:cases/v2",
        "an event without a schema has the topic's"
    );
    let tokens = got.into_iter().map(|one| one.token).collect();
    let request = stage.system(
        SUBSCRIBER,
        &[],
        acknowledgement(&subscription.subscription_id, tokens, vec![]),
    );
    stage.events.clone().acknowledge(request).await.unwrap();
    assert_eq!(lag(&stage, &subscription.subscription_id).await, (1, 0));
    assert_eq!(stage.pull(&subscription.subscription_id).await.unwrap()[0].offset, 1);
}

#[tokio::test]
async fn two_identical_publications_at_once_are_one_event() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await;
    let batch = || stage.publish(&topic.topic_id, vec![event("1", ""), event("2", "")]);
    let (one, other) = tokio::join!(batch(), batch());
    let (one, other) = (one.unwrap(), other.unwrap());
    for (a, b) in one.iter().zip(&other) {
        assert_eq!(a.offset, b.offset);
        assert_ne!(a.duplicate, b.duplicate);
    }
    let subscription = stage
        .subscribe(SUBSCRIBER, pulling(&topic.topic_id, "a"))
        .await
        .unwrap();
    assert_eq!(lag(&stage, &subscription.subscription_id).await, (2, 0));
}

#[tokio::test]
async fn a_neighbour_sees_nothing_and_nobody_does_more_than_the_topic_grants() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await;
    let subscription = stage
        .subscribe(SUBSCRIBER, pulling(&topic.topic_id, "a"))
        .await
        .unwrap();
    // A system that is not on the list knows nothing of the topic, nor of the subscription.
    let publish = PublishRequest {
        topic_id: topic.topic_id.clone(),
        events: vec![event("1", "")],
    };
    let status = stage
        .events
        .clone()
        .publish(stage.system(STRANGER, &[], publish.clone()))
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "TOPIC_NOT_FOUND".to_owned()));
    let status = stage
        .subscribe(STRANGER, pulling(&topic.topic_id, "a"))
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "TOPIC_NOT_FOUND".to_owned()));
    let look = GetSubscriptionStatusRequest {
        subscription_id: subscription.subscription_id.clone(),
    };
    for request in [
        stage.system(STRANGER, &[], look.clone()),
        stage.system(PUBLISHER, &[], look.clone()),
        stage.staff("integration_event_admin", NEIGHBOUR, look.clone()),
    ] {
        let status = stage.events.clone().get_subscription_status(request).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::NotFound, "SUBSCRIPTION_NOT_FOUND".to_owned()));
    }
    let listed = async |request| {
        stage
            .events
            .clone()
            .list_topics(request)
            .await
            .unwrap()
            .into_inner()
            .topics
    };
    let all = ListTopicsRequest::default;
    assert!(listed(stage.system(STRANGER, &[], all())).await.is_empty());
    assert!(
        listed(stage.staff("integration_event_admin", NEIGHBOUR, all()))
            .await
            .is_empty()
    );
    let seen = listed(stage.system(PUBLISHER, &[], all())).await;
    assert_eq!(
        (seen.len(), seen[0].grants.len()),
        (1, 0),
        "who else may use it is the unit's business"
    );
    let seen = listed(stage.staff("integration_event_admin", HERE, all())).await;
    assert_eq!(seen[0].grants.len(), 2);
    // Each side only what it may.
    let status = stage
        .events
        .clone()
        .publish(stage.system(SUBSCRIBER, &[], publish))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::PermissionDenied, "PUBLISHING_NOT_GRANTED".to_owned())
    );
    let status = stage
        .subscribe(PUBLISHER, pulling(&topic.topic_id, "a"))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::PermissionDenied, "SUBSCRIBING_NOT_GRANTED".to_owned())
    );
    // The unit sees the subscription, but does not take its events.
    let request = stage.staff("integration_event_admin", HERE, look);
    stage.events.clone().get_subscription_status(request).await.unwrap();
    let pull = egov_proto::egov::integration::v1::PullRequest {
        subscription_id: subscription.subscription_id,
        ..Default::default()
    };
    let request = stage.staff("integration_event_admin", HERE, pull);
    let status = stage.events.clone().pull(request).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::PermissionDenied, "SUBSCRIBING_NOT_GRANTED".to_owned())
    );
}

#[tokio::test]
async fn without_the_queries_own_filter_the_database_still_hides_topics_and_subscriptions() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await;
    stage
        .subscribe(SUBSCRIBER, pulling(&topic.topic_id, "a"))
        .await
        .unwrap();
    let mut app = stage.database.connect_as_app().await.unwrap();
    let mut seen = async |scope: String| {
        let mut transaction = sqlx::Connection::begin(&mut app).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(scope))
            .execute(&mut *transaction)
            .await
            .unwrap();
        let counts: (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM event_topics), (SELECT count(*) FROM event_topic_grants),
                    (SELECT count(*) FROM event_subscriptions)",
        )
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        counts
    };
    let owner = |who: Uuid| format!("SELECT set_config('egov.scope_owner', '{who}', true)");
    let unit = |unit: i32| format!("SELECT set_config('egov.scope_units', '{{{unit}}}', true)");
    assert_eq!(seen("SELECT 1".to_owned()).await, (0, 0, 0));
    assert_eq!(seen(owner(STRANGER)).await, (0, 0, 0));
    assert_eq!(seen(owner(PUBLISHER)).await, (1, 1, 0));
    assert_eq!(seen(owner(SUBSCRIBER)).await, (1, 1, 1));
    assert_eq!(seen(unit(HERE)).await, (1, 2, 1));
    assert_eq!(seen(unit(NEIGHBOUR)).await, (0, 0, 0));
    let bare: Vec<String> = sqlx::query_scalar("SELECT t::text FROM egov.unprotected_tables() t")
        .fetch_all(&mut stage.database.connect_as_owner().await.unwrap())
        .await
        .unwrap();
    assert!(bare.is_empty(), "{bare:?}");
}

#[tokio::test]
async fn what_is_no_event_of_the_topic_is_refused_with_its_place() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await;
    let mut bad = event("2", "");
    bad.source = "có dấu cách".to_owned();
    let status = stage
        .publish(&topic.topic_id, vec![event("1", ""), bad])
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "EVENT_INVALID".to_owned()));
    assert_eq!(egov_fault::fault_of(&status).metadata()["field"], "events[1].source");
    let mut future = event("1", "");
    future.data_schema = "urn:test:cases/v3".to_owned();
    let status = stage.publish(&topic.topic_id, vec![future]).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::InvalidArgument, "EVENT_SCHEMA_MISMATCH".to_owned())
    );
    let mut earlier = event("1", "");
    earlier.data_schema = "urn:test:cases/v1".to_owned();
    let first = stage.publish(&topic.topic_id, vec![earlier]).await.unwrap();
    assert_eq!(first[0].offset, 0, "nothing of what was refused is stored");
}

#[tokio::test]
async fn a_dead_letter_is_looked_at_redriven_and_purged() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await;
    let mut wanted = pulling(&topic.topic_id, "a");
    wanted.max_attempts = 2;
    let subscription = stage.subscribe(SUBSCRIBER, wanted).await.unwrap().subscription_id;
    stage
        .publish(&topic.topic_id, vec![event("1", "k"), event("2", "k")])
        .await
        .unwrap();
    for _ in 0..2 {
        let got = stage.pull(&subscription).await.unwrap();
        let rejected = vec![Rejection {
            token: got[0].token.clone(),
            cause: "mã đơn vị không có".to_owned(),
            retry_after: None,
        }];
        let request = stage.system(SUBSCRIBER, &[], acknowledgement(&subscription, vec![], rejected));
        stage.events.clone().acknowledge(request).await.unwrap();
        stage.clock.advance(SignedDuration::from_mins(1));
    }
    assert_eq!(lag(&stage, &subscription).await, (1, 1));
    let list = ListDeadLettersRequest {
        subscription_id: subscription.clone(),
        ..Default::default()
    };
    let letters = stage
        .events
        .clone()
        .list_dead_letters(stage.system(SUBSCRIBER, &[], list))
        .await
        .unwrap();
    let letter = letters.into_inner().dead_letters.remove(0);
    assert_eq!((letter.attempts, letter.cause.as_str()), (2, "mã đơn vị không có"));
    let get = GetDeadLetterRequest {
        subscription_id: subscription.clone(),
        offset: letter.offset,
    };
    let found = stage
        .events
        .clone()
        .get_dead_letter(stage.system(SUBSCRIBER, &[], get))
        .await
        .unwrap();
    assert_eq!(found.into_inner().dead_letter.unwrap().event, letter.event);
    let redrive = RedriveDeadLettersRequest {
        request_id: new_id(),
        subscription_id: subscription.clone(),
        offsets: vec![],
        until_time: letter.dead_time,
    };
    for _ in 0..2 {
        let request = stage.system(SUBSCRIBER, &[], redrive.clone());
        let redriven = stage
            .events
            .clone()
            .redrive_dead_letters(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(redriven.redriven, 1, "the same request gets the same answer");
    }
    let again = stage.pull(&subscription).await.unwrap();
    assert_eq!((again[0].offset, again[0].attempt), (letter.offset, 1));
    let status = stage
        .events
        .clone()
        .get_dead_letter(stage.system(
            SUBSCRIBER,
            &[],
            GetDeadLetterRequest {
                subscription_id: subscription.clone(),
                offset: letter.offset,
            },
        ))
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "DEAD_LETTER_NOT_FOUND".to_owned()));
    let purge = PurgeDeadLettersRequest {
        request_id: new_id(),
        subscription_id: subscription,
        offsets: vec![],
        until_time: letter.dead_time,
    };
    let purged = stage
        .events
        .clone()
        .purge_dead_letters(stage.system(SUBSCRIBER, &[], purge))
        .await
        .unwrap();
    assert_eq!(purged.into_inner().purged, 0);
}

/// Gives up the next event of a subscription whose events are tried once.
async fn give_up(stage: &Stage, topic: &str, subscription: &str, id: &str) {
    stage.publish(topic, vec![event(id, "")]).await.unwrap();
    let got = stage.pull(subscription).await.unwrap();
    let rejected = vec![Rejection {
        token: got[0].token.clone(),
        cause: "no".to_owned(),
        retry_after: None,
    }];
    let request = stage.system(SUBSCRIBER, &[], acknowledgement(subscription, vec![], rejected));
    stage.events.clone().acknowledge(request).await.unwrap();
    stage.clock.advance(SignedDuration::from_secs(1));
}

#[tokio::test]
async fn purging_all_means_all_until_an_instant_also_when_it_is_repeated() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await.topic_id;
    let mut wanted = pulling(&topic, "a");
    wanted.max_attempts = 1;
    let subscription = stage.subscribe(SUBSCRIBER, wanted).await.unwrap().subscription_id;
    give_up(&stage, &topic, &subscription, "1").await;
    give_up(&stage, &topic, &subscription, "2").await;
    let list = || ListDeadLettersRequest {
        subscription_id: subscription.clone(),
        ..Default::default()
    };
    let listed = async || {
        let request = stage.system(SUBSCRIBER, &[], list());
        let letters = stage.events.clone().list_dead_letters(request).await.unwrap();
        letters.into_inner().dead_letters
    };
    let purge = |request_id: &str, until| PurgeDeadLettersRequest {
        request_id: request_id.to_owned(),
        subscription_id: subscription.clone(),
        offsets: vec![],
        until_time: until,
    };
    let purged = async |message: PurgeDeadLettersRequest| {
        let request = stage.system(SUBSCRIBER, &[], message);
        let answer = stage.events.clone().purge_dead_letters(request).await?;
        Ok::<_, tonic::Status>(answer.into_inner().purged)
    };
    // One that cannot be read any more is listed beside the other.
    let mut superuser = stage.database.connect_as_superuser().await.unwrap();
    sqlx::query("UPDATE event_dead_letters SET content = '\\x00' WHERE log_offset = 0")
        .execute(&mut superuser)
        .await
        .unwrap();
    let seen: Vec<(bool, bool)> = listed()
        .await
        .iter()
        .map(|one| (one.unreadable, one.event.is_some()))
        .collect();
    assert_eq!(seen, [(true, false), (false, true)]);
    let until = listed().await[1].dead_time;
    let (first, second) = (new_id(), new_id());
    assert_eq!(purged(purge(&first, until)).await.unwrap(), 2);
    give_up(&stage, &topic, &subscription, "3").await;
    // Its answer was lost: the same request gets the same answer, and a new one about the same instant finds nothing.
    assert_eq!(purged(purge(&first, until)).await.unwrap(), 2);
    assert_eq!(purged(purge(&second, until)).await.unwrap(), 0);
    assert_eq!(listed().await.len(), 1, "what was given up later is still there");
    let status = purged(purge(&new_id(), None)).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
}

#[tokio::test]
async fn all_dead_letters_until_an_instant_to_come_are_refused() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await.topic_id;
    let mut wanted = pulling(&topic, "a");
    wanted.max_attempts = 1;
    let subscription = stage.subscribe(SUBSCRIBER, wanted).await.unwrap().subscription_id;
    give_up(&stage, &topic, &subscription, "1").await;
    let tomorrow = stage.now() + SignedDuration::from_hours(24);
    let purge = |until| PurgeDeadLettersRequest {
        request_id: new_id(),
        subscription_id: subscription.clone(),
        offsets: vec![],
        until_time: Some(egov_proto::timestamp(until)),
    };
    let purged = async |until| {
        let request = stage.system(SUBSCRIBER, &[], purge(until));
        stage.events.clone().purge_dead_letters(request).await
    };
    let redrive = RedriveDeadLettersRequest {
        request_id: new_id(),
        subscription_id: subscription.clone(),
        offsets: vec![],
        until_time: Some(egov_proto::timestamp(tomorrow)),
    };
    let request = stage.system(SUBSCRIBER, &[], redrive);
    let redriven = stage.events.clone().redrive_dead_letters(request).await;
    for status in [purged(tomorrow).await.unwrap_err(), redriven.unwrap_err()] {
        assert_eq!(refusal(&status), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
        let violations = egov_fault::fault_of(&status).violations().to_vec();
        assert_eq!(violations[0].field, "until_time");
    }
    assert_eq!(purged(stage.now()).await.unwrap().into_inner().purged, 1);
}

/// Who settles holds nothing that retention waits for while it waits for retention.
#[tokio::test]
async fn giving_an_event_up_and_dropping_old_events_do_not_lock_each_other_out() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await.topic_id;
    let mut wanted = pulling(&topic, "a");
    wanted.max_attempts = 1;
    let subscription = stage.subscribe(SUBSCRIBER, wanted).await.unwrap().subscription_id;
    stage.publish(&topic, vec![event("1", "")]).await.unwrap();
    let got = stage.pull(&subscription).await.unwrap();
    let mut retention = stage.database.connect_as_superuser().await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT 1 FROM event_consumers FOR UPDATE")
        .execute(&mut retention)
        .await
        .unwrap();
    let rejected = vec![Rejection {
        token: got[0].token.clone(),
        cause: "no".to_owned(),
        retry_after: None,
    }];
    let request = stage.system(SUBSCRIBER, &[], acknowledgement(&subscription, vec![], rejected));
    let mut events = stage.events.clone();
    let settling = tokio::spawn(async move { events.acknowledge(request).await });
    for _ in 0..200 {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                            WHERE NOT l.granted AND a.datname = current_database())",
        )
        .fetch_one(&mut retention)
        .await
        .unwrap();
        if waiting {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(!settling.is_finished(), "it waits for whoever retains");
    let dropped: i64 = sqlx::query_scalar(
        "SELECT events FROM retain_events($1, 'infinity', 1, 100) WHERE subscription_id IS NOT NULL",
    )
    .bind(topic.parse::<Uuid>().unwrap())
    .fetch_one(&mut retention)
    .await
    .unwrap();
    assert_eq!(dropped, 1);
    sqlx::raw_sql("COMMIT").execute(&mut retention).await.unwrap();
    settling.await.unwrap().unwrap();
    let status = status(&stage, &subscription).await;
    assert_eq!(
        (status.dead_letters, status.missed),
        (0, 1),
        "dropped before it was given up"
    );
}

#[tokio::test]
async fn a_subscription_begins_where_it_was_asked_to_although_the_store_failed_after_its_row() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await.topic_id;
    stage.publish(&topic, vec![event("1", "")]).await.unwrap();
    stage.clock.advance(SignedDuration::from_mins(1));
    let then = stage.now();
    stage.publish(&topic, vec![event("2", "")]).await.unwrap();
    stage.clock.advance(SignedDuration::from_mins(1));
    let timed = |name: &str| CreateSubscriptionRequest {
        start_at: StartAt::Time.into(),
        start_time: Some(egov_proto::timestamp(then)),
        ..pulling(&topic, name)
    };
    let new = |name: &str| CreateSubscriptionRequest {
        start_at: StartAt::New.into(),
        ..pulling(&topic, name)
    };
    let mut ids = Vec::new();
    for wanted in [pulling(&topic, "oldest"), timed("timed"), new("new")] {
        ids.push(stage.subscribe(SUBSCRIBER, wanted).await.unwrap().subscription_id);
    }
    // The process died between the commit of the rows and the store's own step.
    let mut superuser = stage.database.connect_as_superuser().await.unwrap();
    sqlx::query("DELETE FROM event_consumers")
        .execute(&mut superuser)
        .await
        .unwrap();
    stage.publish(&topic, vec![event("3", "")]).await.unwrap();
    for (id, expected) in ids.iter().zip([&["1", "2", "3"][..], &["2", "3"], &["3"]]) {
        let got = stage.pull(id).await.unwrap();
        let got: Vec<&str> = got.iter().map(|one| one.event.as_ref().unwrap().id.as_str()).collect();
        assert_eq!(got, expected);
    }
}

#[tokio::test]
async fn a_batch_fits_into_a_message_whatever_the_size_of_its_events() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await.topic_id;
    let subscription = stage.subscribe(SUBSCRIBER, pulling(&topic, "a")).await.unwrap();
    let large = |n: u32| {
        let mut large = event(&n.to_string(), "");
        large.data_content_type = "application/octet-stream".to_owned();
        large.data = vec![7; 200 * 1024].into();
        large
    };
    for n in 0..20 {
        stage.publish(&topic, vec![large(n)]).await.unwrap();
    }
    let pull = async |max_bytes| {
        let message = PullRequest {
            subscription_id: subscription.subscription_id.clone(),
            max_events: 0,
            wait: None,
            max_bytes,
        };
        let request = stage.system(SUBSCRIBER, &[], message);
        stage
            .events
            .clone()
            .pull(request)
            .await
            .unwrap()
            .into_inner()
            .deliveries
    };
    assert_eq!(pull(0).await.len(), 15, "3 MiB");
    assert_eq!(pull(450 * 1024).await.len(), 2);
    assert_eq!(pull(1).await.len(), 1, "one comes whatever its size");
    assert_eq!(pull(0).await.len(), 2);
}

#[tokio::test]
async fn what_retention_drops_before_it_is_acknowledged_is_counted_told_and_measured() {
    let measured = Measured::here();
    let stage = Stage::start().await;
    let topic = stage.topic("measured.cases").await.topic_id;
    let subscription = stage.subscribe(SUBSCRIBER, pulling(&topic, "a")).await.unwrap();
    let id = subscription.subscription_id;
    let ended = stage.subscribe(SUBSCRIBER, pulling(&topic, "ended")).await.unwrap();
    let ended: Uuid = ended.subscription_id.parse().unwrap();
    stage
        .publish(&topic, vec![event("1", "a"), event("2", "a"), event("3", "b")])
        .await
        .unwrap();
    let got = stage.pull(&id).await.unwrap();
    let request = stage.system(
        SUBSCRIBER,
        &[],
        acknowledgement(&id, vec![got[0].token.clone()], vec![]),
    );
    stage.events.clone().acknowledge(request).await.unwrap();
    assert_eq!(status(&stage, &id).await.missed, 0);
    // The process dies at the end of a subscription, between the commit and the store's own step: the store knows it still, and the same
    // request gets the answer that was kept.
    let end = DeleteSubscriptionRequest {
        request_id: new_id(),
        subscription_id: ended.to_string(),
    };
    let mut superuser = stage.database.connect_as_superuser().await.unwrap();
    for _ in 0..2 {
        let request = stage.system(SUBSCRIBER, &[], end.clone());
        stage.events.clone().delete_subscription(request).await.unwrap();
        sqlx::query(
            "INSERT INTO event_consumers (subscription_id, topic_id, next_offset) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING",
        )
        .bind(ended)
        .bind(topic.parse::<Uuid>().unwrap())
        .execute(&mut superuser)
        .await
        .unwrap();
    }
    stage.clock.advance(SignedDuration::from_hours(8 * 24));
    let given_up = CreateSubscriptionRequest {
        start_at: StartAt::New.into(),
        max_attempts: 1,
        ..pulling(&topic, "given-up")
    };
    let given_up = stage.subscribe(SUBSCRIBER, given_up).await.unwrap();
    give_up(&stage, &topic, &given_up.subscription_id, "4").await;
    // The job looks every ten seconds.
    let mut told = Vec::new();
    for _ in 0..150 {
        let both = "SELECT aggregate_id, version, payload FROM (
                        SELECT kind, aggregate_id, version, payload FROM egov.outbox
                        UNION ALL SELECT kind, aggregate_id, version, payload FROM egov.event_log) AS events
                    WHERE kind = 'event_subscription_missed' ORDER BY version";
        told = sqlx::query_as::<_, (Uuid, i64, serde_json::Value)>(both)
            .fetch_all(&mut superuser)
            .await
            .unwrap();
        if !told.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let versions: Vec<(Uuid, i64)> = told.iter().map(|(of, version, _)| (*of, *version)).collect();
    assert_eq!(
        versions,
        [(id.parse().unwrap(), 2), (ended, 3)],
        "after made, and after made and ended"
    );
    let told = &told[0].2;
    assert_eq!((&told["events"], &told["last_offset"]), (&2.into(), &2.into()));
    let now = status(&stage, &id).await;
    assert_eq!((now.missed, now.first_missed_offset, now.last_missed_offset), (2, 1, 2));
    // In the same round, or a minute later: what waits is measured, and what ended is forgotten by the store.
    let gauges = || {
        let gauge = |name| measured.gauge(name, "topic=measured.cases");
        (gauge("egov.events.lag"), gauge("egov.events.dead_letters"))
    };
    for _ in 0..900 {
        if gauges() == (Some(1), Some(1)) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(gauges(), (Some(1), Some(1)));
    for (gauge, label) in [
        ("egov.mailboxes.dead", ""),
        ("egov.ledger.unsequenced", "log=integration"),
        ("egov.ledger.lag", "log=integration"),
    ] {
        assert!(measured.gauge(gauge, label).is_some(), "{gauge}");
    }
    let left: (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM event_consumers WHERE subscription_id = $1),
                (SELECT count(*) FROM event_subscriptions WHERE end_time IS NOT NULL AND forget_time IS NULL)",
    )
    .bind(ended)
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(left, (0, 0));
}

#[tokio::test]
async fn a_topic_is_changed_by_its_unit_with_the_etag_that_was_read() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await;
    let change = UpdateTopicRequest {
        request_id: new_id(),
        topic_id: topic.topic_id.clone(),
        etag: topic.etag.clone(),
        schema_version: 3,
        grants: vec![TopicGrant {
            client_id: SUBSCRIBER.to_string(),
            publish: false,
            subscribe: false,
        }],
        ..Default::default()
    };
    let subscription = stage
        .subscribe(SUBSCRIBER, pulling(&topic.topic_id, "a"))
        .await
        .unwrap()
        .subscription_id;
    let request = stage.staff("integration_event_admin", NEIGHBOUR, change.clone());
    let status = stage.events.clone().update_topic(request).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "TOPIC_NOT_FOUND".to_owned()));
    let request = stage.staff("integration_event_admin", HERE, change.clone());
    let changed = stage
        .events
        .clone()
        .update_topic(request)
        .await
        .unwrap()
        .into_inner()
        .topic
        .unwrap();
    assert_eq!((changed.schema_version, changed.grants.len()), (3, 1));
    // Whose grant was taken back gets nothing more, not even from a subscription that it has.
    stage.publish(&topic.topic_id, vec![event("1", "")]).await.unwrap();
    let status = stage.pull(&subscription).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::PermissionDenied, "SUBSCRIBING_NOT_GRANTED".to_owned())
    );
    let mut stale = change;
    stale.request_id = new_id();
    let request = stage.staff("integration_event_admin", HERE, stale.clone());
    let status = stage.events.clone().update_topic(request).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::Aborted, "STALE_ETAG".to_owned()));
    stale.etag = changed.etag;
    stale.schema_version = 1;
    let request = stage.staff("integration_event_admin", HERE, stale);
    let status = stage.events.clone().update_topic(request).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
}

#[tokio::test]
async fn names_are_taken_once_and_an_ended_subscription_is_gone() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await;
    let again = CreateTopicRequest {
        request_id: new_id(),
        name: "test.cases".to_owned(),
        unit_id: HERE,
        schema: "urn:x".to_owned(),
        schema_version: 1,
        ..Default::default()
    };
    let request = stage.staff("integration_event_admin", HERE, again);
    let status = stage.events.clone().create_topic(request).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::AlreadyExists, "TOPIC_NAME_TAKEN".to_owned()));
    let wanted = pulling(&topic.topic_id, "a");
    let first = stage.subscribe(SUBSCRIBER, wanted.clone()).await.unwrap();
    assert_eq!(
        stage.subscribe(SUBSCRIBER, wanted).await.unwrap(),
        first,
        "the same request"
    );
    let status = stage
        .subscribe(SUBSCRIBER, pulling(&topic.topic_id, "a"))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::AlreadyExists, "SUBSCRIPTION_NAME_TAKEN".to_owned())
    );
    let end = DeleteSubscriptionRequest {
        request_id: new_id(),
        subscription_id: first.subscription_id.clone(),
    };
    let status = stage
        .events
        .clone()
        .delete_subscription(stage.system(STRANGER, &[], end.clone()))
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "SUBSCRIPTION_NOT_FOUND".to_owned()));
    stage
        .events
        .clone()
        .delete_subscription(stage.system(SUBSCRIBER, &[], end))
        .await
        .unwrap();
    let status = stage.pull(&first.subscription_id).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "SUBSCRIPTION_NOT_FOUND".to_owned()));
    stage
        .subscribe(SUBSCRIBER, pulling(&topic.topic_id, "a"))
        .await
        .unwrap();
    let list = stage.system(SUBSCRIBER, &[], ListSubscriptionsRequest::default());
    let listed = stage
        .events
        .clone()
        .list_subscriptions(list)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.subscriptions.len(), 1);
}

#[test]
fn the_migration_of_events_begins_with_the_tables_of_the_store() {
    let own = include_str!("../../migrations/0006_events.sql");
    assert!(
        own.starts_with(egov_events::EVENTS_MIGRATION),
        "copy crates/events/events.sql to the beginning of migrations/0006_events.sql"
    );
    let own = include_str!("../../migrations/0013_bounds.sql");
    assert!(
        own.starts_with(egov_events::EVENTS_MIGRATION_2),
        "copy crates/events/events_2.sql to the beginning of migrations/0013_bounds.sql"
    );
}
