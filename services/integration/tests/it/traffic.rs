//! What the exchanges of the door add up to, for each side; and what was kept of their bodies.

use std::time::Duration;

use egov_integration::door::TRAFFIC_DAYS;
use egov_integration::roll_up_traffic_once;
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::integration::v1::*;
use egov_proto::timestamp;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use sqlx::Connection as _;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::door::{CHANGE, GET, World, person, superuser};
use crate::support::*;

/// The day in Việt Nam on which the clock of the tests stands.
fn today(stack: &Stack) -> (Timestamp, Timestamp) {
    let zoned = stack.now().to_zoned(egov_clock::vietnam());
    let midnight = zoned.start_of_day().unwrap().timestamp();
    (midnight, midnight + SignedDuration::from_hours(24))
}

fn asked(stack: &Stack, by: &[TrafficDimension]) -> SummarizeTrafficRequest {
    let (from, to) = today(stack);
    SummarizeTrafficRequest {
        from: Some(timestamp(from)),
        to: Some(timestamp(to)),
        group_by: by.iter().map(|one| (*one).into()).collect(),
        ..SummarizeTrafficRequest::default()
    }
}

async fn ask(stack: &Stack, unit: i32, request: SummarizeTrafficRequest) -> Result<Vec<TrafficLine>, Status> {
    let answer = stack.staff(PARTNER, unit).traffic.summarize_traffic(request).await;
    answer.map(|answer| answer.into_inner().lines)
}

/// What a partner of a unit sees of today.
pub async fn summary(stack: &Stack, unit: i32, by: &[TrafficDimension]) -> Vec<TrafficLine> {
    ask(stack, unit, asked(stack, by)).await.unwrap()
}

/// Rolls up until nothing waits: the running job may hold the lease.
async fn roll_up(stack: &Stack) {
    let mut superuser = superuser(stack).await;
    for _ in 0..200 {
        roll_up_traffic_once(&stack.pool, TRAFFIC_DAYS).await.unwrap();
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM traffic_pending")
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        if waiting == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody rolled up");
}

#[tokio::test]
async fn each_side_sees_its_traffic_and_the_neighbour_sees_nothing() {
    let world = World::start(|_| {}).await;
    for _ in 0..3 {
        world.call(CHANGE, person("a")).await.unwrap();
    }
    let by = [TrafficDimension::Method, TrafficDimension::Outcome];
    let mut seen = Vec::new();
    for unit in [CONSUMER, PROVIDER, PROVINCE] {
        let lines = summary(&world.stack, unit, &by).await;
        let changed = lines.iter().find(|line| line.method == CHANGE).unwrap();
        assert_eq!(
            (changed.outcome(), changed.calls, changed.errors),
            (ExchangeOutcome::Answered, 3, 0)
        );
        // A frame is five bytes longer than its message; the provider echoes.
        let frame = 5 + i64::try_from(prost::Message::encoded_len(&person("a"))).unwrap();
        assert_eq!((changed.request_bytes, changed.response_bytes), (3 * frame, 3 * frame));
        let (whole, provider) = (changed.elapsed.unwrap(), changed.at_provider.unwrap());
        assert!(
            whole.p50_us > 0 && whole.p50_us <= whole.p95_us && whole.p99_us <= whole.max_us,
            "{whole:?}"
        );
        assert!(
            provider.max_us > 0 && provider.max_us <= whole.max_us,
            "{provider:?} {whole:?}"
        );
        assert!(changed.service_id.is_empty() && changed.agreement_id.is_empty());
        seen.push(lines);
    }
    assert!(seen.iter().all(|lines| *lines == seen[0]));
    let all = summary(&world.stack, PROVINCE, &[]).await;
    let recorded: (i64, i64) = sqlx::query_as("SELECT count(*), sum(request_bytes)::bigint FROM exchange_outcomes")
        .fetch_one(&mut superuser(&world.stack).await)
        .await
        .unwrap();
    assert_eq!((all.len(), (all[0].calls, all[0].request_bytes)), (1, recorded));

    // The neighbour: nothing. The administrator of the province and an auditor: as they may. A mediating instance: refused.
    assert!(summary(&world.stack, STRANGER, &by).await.is_empty());
    for (role, unit, lines) in [
        (ADMIN, PROVINCE, 1),
        ("integration_auditor", CONSUMER, 1),
        ("integration_auditor", STRANGER, 0),
    ] {
        let mut caller = world.stack.staff(role, unit);
        let answer = caller
            .traffic
            .summarize_traffic(asked(&world.stack, &[]))
            .await
            .unwrap();
        assert_eq!(answer.into_inner().lines.len(), lines, "{role} of {unit}");
    }
    let mut mediator = world.stack.mediator();
    let refused = mediator
        .traffic
        .summarize_traffic(asked(&world.stack, &[]))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    // Over REST.
    let (from, to) = today(&world.stack);
    let answer = reqwest::Client::new()
        .get(format!(
            "{}/v1/traffic?from={from}&to={to}&groupBy=TRAFFIC_DIMENSION_METHOD&groupBy=TRAFFIC_DIMENSION_CONSUMER",
            world.stack.address
        ))
        .bearer_auth(world.stack.token(PARTNER, CONSUMER))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let body: serde_json::Value = answer.json().await.unwrap();
    let consumer = &world.agreed.consumer.organisation.organisation_id;
    let found = body["lines"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["method"] == CHANGE)
        .unwrap();
    assert_eq!(
        (found["calls"].as_str(), found["consumerOrganisationId"].as_str()),
        (Some("3"), Some(consumer.as_str()))
    );
}

#[tokio::test]
async fn rolled_up_traffic_is_counted_once_also_when_who_rolls_up_is_killed() {
    let world = World::start(|_| {}).await;
    for _ in 0..5 {
        world.call(CHANGE, person("a")).await.unwrap();
    }
    let every = [
        TrafficDimension::Service,
        TrafficDimension::Method,
        TrafficDimension::Agreement,
        TrafficDimension::Consumer,
        TrafficDimension::Outcome,
    ];
    let before = summary(&world.stack, PROVIDER, &every).await;
    assert!(before.iter().any(|line| line.method == CHANGE && line.calls == 5));

    // Killed between taking what waits and adding it: the sums cannot be reached, and whoever waits for them is dropped.
    let mut superuser = superuser(&world.stack).await;
    let mut lock = superuser.begin().await.unwrap();
    sqlx::query("LOCK TABLE traffic IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let rolling = tokio::time::timeout(
        Duration::from_millis(300),
        roll_up_traffic_once(&world.stack.pool, TRAFFIC_DAYS),
    );
    let _ = rolling.await;
    lock.rollback().await.unwrap();
    assert_eq!(summary(&world.stack, PROVIDER, &every).await, before);

    // The lease of the one that was dropped ends by the database's clock: what it left is taken by the next.
    sqlx::query("UPDATE egov.leases SET expire_time = '-infinity' WHERE name = 'integration.traffic'")
        .execute(&mut superuser)
        .await
        .unwrap();
    for _ in 0..2 {
        roll_up(&world.stack).await;
        assert_eq!(summary(&world.stack, PROVIDER, &every).await, before);
    }
    // By hours the same, from other sums.
    let mut by_hours = asked(&world.stack, &every);
    by_hours.set_bucket(TrafficBucket::Hour);
    let hours = ask(&world.stack, PROVIDER, by_hours).await.unwrap();
    assert!(hours.iter().all(|line| line.start_time.is_some()));
    let calls = |lines: &[TrafficLine]| lines.iter().map(|line| line.calls).sum::<i64>();
    assert_eq!(calls(&hours), calls(&before));

    // More of the same hour is added to what stands.
    world.call(CHANGE, person("a")).await.unwrap();
    roll_up(&world.stack).await;
    let after = summary(&world.stack, PROVIDER, &[]).await;
    assert_eq!(after[0].calls, calls(&before) + 1);

    // Sums are kept as long as is said.
    world.stack.clock.advance(SignedDuration::from_hours(24 * 3));
    for (days, left) in [(30, true), (1, false)] {
        roll_up_traffic_once(&world.stack.pool, days).await.unwrap();
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM traffic")
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        assert_eq!(rows > 0, left, "{days} days");
    }
}

#[tokio::test]
async fn a_summary_is_refused_with_everything_that_is_wrong_and_when_it_would_be_too_long() {
    let world = World::start(|_| {}).await;
    let (from, to) = today(&world.stack);
    let odd = |at: Timestamp| Some(timestamp(at + SignedDuration::from_mins(7)));
    let wrong = SummarizeTrafficRequest {
        from: odd(to),
        to: odd(from),
        ..SummarizeTrafficRequest::default()
    };
    let status = ask(&world.stack, CONSUMER, wrong).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let fault = egov_fault::fault_of(&status);
    let fields: Vec<&str> = fault.violations().iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["from", "to", "to"]);
    let none = SummarizeTrafficRequest::default();
    assert_eq!(
        ask(&world.stack, CONSUMER, none).await.unwrap_err().code(),
        Code::InvalidArgument
    );

    sqlx::query(
        "INSERT INTO traffic SELECT 'day', $1, gen_random_uuid(), 'm' || n, 'refused', 2, 3, gen_random_uuid(), gen_random_uuid(),
           gen_random_uuid(), 2, 1, 1, 100, '{40}', '{2}', 50, '{30}', '{2}' FROM generate_series(1, 2001) AS n",
    )
    .bind(from.to_sqlx())
    .execute(&mut superuser(&world.stack).await)
    .await
    .unwrap();
    let status = ask(&world.stack, CONSUMER, asked(&world.stack, &[TrafficDimension::Method]))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "SUMMARY_TOO_LARGE".to_owned())
    );
    let one = summary(&world.stack, CONSUMER, &[TrafficDimension::Outcome]).await;
    let refused = one
        .iter()
        .find(|line| line.outcome() == ExchangeOutcome::Refused)
        .unwrap();
    assert_eq!((refused.calls, refused.errors), (4002, 4002));
    // Half of what lies in the bucket that ends at 143 µs, and none took longer than 100.
    assert_eq!(refused.elapsed.unwrap().p50_us, 100);
}

#[tokio::test]
async fn the_use_of_an_agreement_stands_against_its_quota_for_both_sides_only() {
    let world = World::start(|terms| {
        terms.calls_per_day = 100;
        terms.calls_per_minute = 50;
    })
    .await;
    world.call(CHANGE, person("a")).await.unwrap();
    let request = || GetAgreementUsageRequest {
        agreement_id: world.agreed.agreement.agreement_id.clone(),
    };
    let calls = summary(&world.stack, CONSUMER, &[]).await[0].calls;
    for unit in [CONSUMER, PROVIDER] {
        let usage = world
            .stack
            .staff(PARTNER, unit)
            .traffic
            .get_agreement_usage(request())
            .await;
        let usage = usage.unwrap().into_inner();
        assert_eq!(usage.agreement_version, 1);
        let (hour, day) = (usage.hour.unwrap(), usage.day.unwrap());
        assert_eq!((day.quota, day.calls, day.per_mille), (100, calls, calls * 10));
        assert_eq!((hour.quota, hour.calls), (3000, calls));
    }
    let stranger = world
        .stack
        .staff(PARTNER, STRANGER)
        .traffic
        .get_agreement_usage(request())
        .await;
    assert_eq!(
        refusal(&stranger.unwrap_err()),
        (Code::NotFound, "AGREEMENT_NOT_FOUND".to_owned())
    );
}

/// The second wall: with the queries' own filter left out, the database still shows nothing beyond the scope.
#[tokio::test]
async fn the_database_hides_traffic_and_bodies_where_a_query_forgets_to() {
    let world = World::start(|terms| {
        terms.record_requests = true;
        terms.retention_days = 1;
    })
    .await;
    world.call(CHANGE, person("a")).await.unwrap();
    roll_up(&world.stack).await;
    world.call(GET, person("a")).await.unwrap();
    let mut app = sqlx::PgConnection::connect(&world.stack.database.app_url)
        .await
        .unwrap();
    for (units, seen) in [("{4}", false), ("{2}", true), ("{3}", true)] {
        let mut transaction = app.begin().await.unwrap();
        sqlx::query("SELECT set_config('egov.scope_units', $1, true), set_config('egov.scope_all', 'off', true)")
            .bind(units)
            .execute(&mut *transaction)
            .await
            .unwrap();
        let rows: (bool, bool, bool) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM traffic), EXISTS (SELECT 1 FROM exchange_bodies),
               EXISTS (SELECT 1 FROM traffic_pending UNION ALL SELECT 1 FROM traffic)",
        )
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        assert_eq!(rows, (seen, seen, seen), "{units}");
        transaction.rollback().await.unwrap();
    }
}

impl World {
    async fn bodies(
        &self,
        role: &str,
        unit: i32,
        exchange: &str,
        purpose: bool,
    ) -> Result<GetExchangeBodiesResponse, Status> {
        let mut request = Request::new(GetExchangeBodiesRequest {
            exchange_id: exchange.to_owned(),
            ..GetExchangeBodiesRequest::default()
        });
        if purpose {
            request
                .metadata_mut()
                .insert("x-egov-purpose", "case_handling".parse().unwrap());
        }
        let answer = self
            .stack
            .staff(role, unit)
            .exchanges
            .get_exchange_bodies(request)
            .await;
        answer.map(tonic::Response::into_inner)
    }
}

#[tokio::test]
async fn what_was_sealed_with_the_key_of_answers_is_sealed_anew_and_opens_after_both_keys_were_rotated() {
    let world = World::start(|terms| {
        (terms.record_requests, terms.record_responses) = (true, true);
        terms.retention_days = 3650;
    })
    .await;
    let mut exchanges = Vec::new();
    for name in ["a", "b", "c"] {
        let answer = world.call(CHANGE, person(name)).await.unwrap();
        let id = answer.metadata().get("x-egov-exchange").unwrap();
        exchanges.push(id.to_str().unwrap().to_owned());
    }
    // As a version before has sealed the first two: with the key of answers. Of the second the text is spoilt.
    let keyring = world.stack.keyring();
    let mut superuser = superuser(&world.stack).await;
    let frame = |name: &str| {
        let message = prost::Message::encode_to_vec(&person(name));
        [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()][..], &message].concat()
    };
    for (exchange, name) in [(&exchanges[0], "a"), (&exchanges[1], "b")] {
        for direction in ["request", "response"] {
            let id = Uuid::try_parse(exchange).unwrap();
            let bound = [b"egov exchange body ", id.as_bytes().as_slice(), direction.as_bytes()].concat();
            let mut sealed = keyring.seal(Purpose::Answers, &frame(name), &bound);
            if name == "b" && direction == "response" {
                *sealed.last_mut().unwrap() ^= 1;
            }
            let done = sqlx::query("UPDATE exchange_bodies SET sealed = $3 WHERE exchange_id = $1 AND direction = $2")
                .bind(id)
                .bind(direction)
                .bind(sealed)
                .execute(&mut superuser)
                .await
                .unwrap();
            assert_eq!(done.rows_affected(), 1);
        }
    }
    // The job has found nothing to do at the start; it is told to look once more.
    sqlx::query("DELETE FROM resealing")
        .execute(&mut superuser)
        .await
        .unwrap();
    let mut done = (0, 0);
    for _ in 0..50 {
        let (sealed, lost) = egov_integration::reseal_once(&world.stack.pool, keyring).await.unwrap();
        done = (done.0.max(sealed), done.1.max(lost));
        if done == (3, 1) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(done, (3, 1));
    let by: Vec<Vec<u8>> = sqlx::query_scalar("SELECT sealed FROM exchange_bodies")
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    let lives: Vec<String> = keyring
        .lives(Purpose::Bodies)
        .unwrap()
        .into_iter()
        .map(|life| life.id)
        .collect();
    let anew = by
        .iter()
        .filter(|text| lives.iter().any(|id| Keyring::sealed_by(text) == Some(id)))
        .count();
    assert_eq!(anew + 1, by.len(), "all but the one that is spoilt");
    assert!(by.len() >= 6);

    // The drill: both keys are rotated, and the old one of answers is gone.
    let clock = &world.stack.clock;
    keyring
        .rotate(Purpose::Bodies, SignedDuration::from_hours(24 * 4015), clock)
        .unwrap();
    keyring
        .rotate(Purpose::Answers, SignedDuration::from_hours(1), clock)
        .unwrap();
    clock.advance(SignedDuration::from_hours(2));
    keyring.reload(clock).unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    for (exchange, name) in [(&exchanges[0], "a"), (&exchanges[2], "c")] {
        let read = world.bodies(PARTNER, CONSUMER, exchange, true).await.unwrap();
        assert_eq!(read.request.unwrap().content, frame(name));
        assert_eq!(read.response.unwrap().content, frame(name));
    }
    // What comes now is sealed with the new key.
    let answer = world.call(CHANGE, person("d")).await.unwrap();
    let id = answer
        .metadata()
        .get("x-egov-exchange")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        world
            .bodies(PARTNER, PROVIDER, &id, true)
            .await
            .unwrap()
            .request
            .unwrap()
            .content,
        frame("d")
    );
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT sealed FROM exchange_bodies WHERE exchange_id = $1 LIMIT 1")
        .bind(Uuid::try_parse(&id).unwrap())
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert!(!lives.iter().any(|id| Keyring::sealed_by(&sealed) == Some(id)));
}

#[tokio::test]
async fn kept_bodies_are_read_by_the_two_sides_for_a_purpose_with_a_record_and_tell_when_they_were_deleted() {
    let world = World::start(|terms| {
        terms.record_requests = true;
        terms.retention_days = 1;
    })
    .await;
    let answer = world.call(CHANGE, person("Nguyễn Văn A")).await.unwrap();
    let exchange = answer
        .metadata()
        .get("x-egov-exchange")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    for unit in [CONSUMER, PROVIDER] {
        let read = world.bodies(PARTNER, unit, &exchange, true).await.unwrap();
        let (asked, answered) = (read.request.unwrap(), read.response.unwrap());
        assert_eq!(asked.state(), BodyState::Kept);
        assert_eq!(
            &asked.content[5..],
            prost::Message::encode_to_vec(&person("Nguyễn Văn A"))
        );
        assert_eq!(
            answered.state(),
            BodyState::NotKept,
            "the agreement keeps requests only"
        );
    }
    let records: Vec<(Option<String>, Vec<String>, String)> =
        sqlx::query_as("SELECT purpose, resources, method FROM egov.read_records ORDER BY record_id")
            .fetch_all(&mut superuser(&world.stack).await)
            .await
            .unwrap();
    assert_eq!(records.len(), 2);
    for (purpose, resources, method) in records {
        assert_eq!(purpose.as_deref(), Some("case_handling"));
        assert_eq!(resources, [format!("exchanges/{exchange}/bodies")]);
        assert!(method.ends_with("ExchangeService/GetExchangeBodies"), "{method}");
    }

    let refused = async |role, unit, purpose| {
        let status = world.bodies(role, unit, &exchange, purpose).await.unwrap_err();
        refusal(&status)
    };
    assert_eq!(
        refused(PARTNER, STRANGER, true).await,
        (Code::NotFound, "EXCHANGE_NOT_FOUND".to_owned())
    );
    assert_eq!(refused(PARTNER, CONSUMER, false).await.1, "PURPOSE_MISSING");
    assert_eq!(refused(ADMIN, PROVINCE, true).await.0, Code::PermissionDenied);
    assert_eq!(
        refused("integration_auditor", CONSUMER, true).await.0,
        Code::PermissionDenied
    );

    world.stack.clock.advance(SignedDuration::from_hours(25));
    let mut superuser = superuser(&world.stack).await;
    for _ in 0..200 {
        egov_integration::sweep_exchanges_once(&world.stack.pool).await.unwrap();
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM exchange_bodies WHERE sealed IS NOT NULL")
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        if kept == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let gone = world
        .bodies(PARTNER, CONSUMER, &exchange, true)
        .await
        .unwrap()
        .request
        .unwrap();
    assert_eq!((gone.state(), gone.content.len()), (BodyState::Deleted, 0));
    assert!(gone.delete_time.is_some() && gone.expire_time.is_some());
    let records: i64 = sqlx::query_scalar("SELECT count(*) FROM egov.read_records")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(records, 2, "nothing was read, nothing is recorded");
}

#[tokio::test]
async fn a_body_that_cannot_be_recorded_as_read_does_not_leave_and_one_without_its_key_says_so() {
    let world = World::start(|terms| {
        terms.record_requests = true;
        terms.record_responses = true;
        terms.retention_days = 1;
    })
    .await;
    let answer = world.call(CHANGE, person("a")).await.unwrap();
    let exchange = answer
        .metadata()
        .get("x-egov-exchange")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let mut superuser = superuser(&world.stack).await;
    // As a row whose key was lost: the id of the key stands in the first bytes.
    sqlx::query(
        "UPDATE exchange_bodies SET sealed = overlay(sealed PLACING 'zzzz'::bytea FROM 3) WHERE direction = 'response'",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    let read = world.bodies(PARTNER, CONSUMER, &exchange, true).await.unwrap();
    assert_eq!(read.request.unwrap().state(), BodyState::Kept);
    assert_eq!(read.response.unwrap().state(), BodyState::Unreadable);

    sqlx::query("ALTER TABLE egov.read_records RENAME TO elsewhere")
        .execute(&mut superuser)
        .await
        .unwrap();
    let refused = world.bodies(PARTNER, CONSUMER, &exchange, true).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
}
