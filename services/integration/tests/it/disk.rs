//! The journal on the disk of the door: what it has said is kept, whatever happens to the process and to the database.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use egov_integration::{MIGRATOR, SERVICE};
use egov_ledger::{Promise, Receipt};
use egov_proto::egov::integration::v1::*;
use egov_testkit::OwnServer;
use futures::StreamExt as _;
use sqlx::{Connection as _, PgConnection};
use tonic::Code;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use crate::door::{CHANGE, CHAT, GET, Person, World, document, echo, granted, person, superuser, verified};
use crate::support::{CONSUMER, PARTNER, PROVIDER, Settings, Stack, reason, refusal};
use crate::traffic::summary;

/// Keeps everybody from recording how exchanges end, until it is dropped or rolled back.
async fn stop_shipping(world: &World) -> PgConnection {
    let mut superuser = superuser(&world.stack).await;
    sqlx::raw_sql("BEGIN; LOCK TABLE exchange_outcomes IN ACCESS EXCLUSIVE MODE")
        .execute(&mut superuser)
        .await
        .unwrap();
    superuser
}

fn promise_of(metadata: &tonic::metadata::MetadataMap) -> Promise {
    metadata
        .get("x-egov-promise")
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn exchange_of(metadata: &tonic::metadata::MetadataMap) -> String {
    metadata.get("x-egov-exchange").unwrap().to_str().unwrap().to_owned()
}

/// The receipt of an exchange proves the very leaf that was promised.
async fn assert_kept(world: &World, exchange_id: &str, promise: &Promise) {
    for unit in [CONSUMER, PROVIDER] {
        let request = GetExchangeReceiptRequest {
            exchange_id: exchange_id.to_owned(),
        };
        let mut caller = world.stack.staff(PARTNER, unit);
        let proof = caller
            .exchanges
            .get_exchange_receipt(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(proof.exchange.unwrap().outcome(), ExchangeOutcome::Answered);
        let receipt = Receipt::from_bytes(&proof.receipt).unwrap();
        receipt.verify(&world.stack.log.keys(1).unwrap()).unwrap();
        assert_eq!(receipt.entry.leaf_hash().unwrap(), promise.leaf());
    }
}

#[tokio::test]
async fn a_promise_is_kept_after_a_crash_before_its_leaf_reached_the_database() {
    let mut world = World::start(|terms| {
        terms.record_responses = true;
        terms.retention_days = 1;
    })
    .await;
    let lock = stop_shipping(&world).await;
    let answer = world.call(CHANGE, person("a")).await.unwrap();
    let (exchange_id, promise) = (exchange_of(answer.metadata()), promise_of(answer.metadata()));
    world.stack.crash().await;
    drop(lock);
    let mut looking = world.stack.database.connect_as_superuser().await.unwrap();
    let recorded = async |looking: &mut PgConnection| -> (i64, i64, i64) {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM exchanges WHERE exchange_id = $1::uuid),
               (SELECT count(*) FROM exchange_bodies WHERE exchange_id = $1::uuid),
               (SELECT count(*) FROM egov.leaves WHERE resource_id = $1::uuid)",
        )
        .bind(&exchange_id)
        .fetch_one(looking)
        .await
        .unwrap()
    };
    // That it began may have been there before the lock.
    let (_, _, leaves) = recorded(&mut looking).await;
    assert_eq!(leaves, 0);

    world.stack.recover().await;
    world.listed(CONSUMER).await;
    assert_eq!(recorded(&mut looking).await, (1, 1, 1));
    assert_kept(&world, &exchange_id, &promise).await;

    // What was shipped and is still on the disk comes again after the next crash, and changes nothing.
    world.stack.crash().await;
    world.stack.recover().await;
    world.listed(CONSUMER).await;
    assert_eq!(recorded(&mut looking).await, (1, 1, 1));
    let lines = summary(&world.stack, CONSUMER, &[]).await;
    let calls: i64 = lines.iter().map(|line| line.calls).sum();
    let all: i64 = sqlx::query_scalar("SELECT count(*) FROM exchange_outcomes")
        .fetch_one(&mut looking)
        .await
        .unwrap();
    assert_eq!(calls, all);
}

#[tokio::test]
async fn while_the_database_takes_nothing_calls_are_refused_after_a_moment_and_none_is_lost() {
    let world = World::start(|_| {}).await;
    let before = (
        world.provider.calls.load(Ordering::SeqCst),
        world.listed(CONSUMER).await.len(),
    );
    let mut lock = stop_shipping(&world).await;
    let mut answered = 0;
    let refused = loop {
        match world.call(CHANGE, person("a")).await {
            Ok(answer) => {
                promise_of(answer.metadata());
                answered += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(status) => break status,
        }
        assert!(answered < 100, "it goes on without a database");
    };
    assert_eq!(
        refusal(&refused),
        (Code::Unavailable, "EXCHANGE_NOT_RECORDED".to_owned())
    );
    assert!(answered > 0);
    assert_eq!(world.provider.calls.load(Ordering::SeqCst), before.0 + answered);

    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    // It goes on as soon as what waits is taken.
    for _ in 0..200 {
        if world.call(CHANGE, person("a")).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let recorded = world.listed(CONSUMER).await;
    assert_eq!(recorded.len(), before.1 + answered + 1);
    assert!(recorded.iter().all(|one| one.outcome() == ExchangeOutcome::Answered));
}

/// What a caller was told: the exchange and the promise of its leaf, or the refusal.
type Told = Result<(String, Promise), (Code, String)>;

/// Waits for something that others bring about.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1_500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {what}");
}

#[tokio::test]
async fn when_postgresql_is_cut_off_under_calls_they_are_refused_and_what_was_answered_is_there_once_when_it_is_back() {
    let mut server = OwnServer::start().await.unwrap();
    let database = server.database(SERVICE, &MIGRATOR).await.unwrap();
    let stack = Box::pin(Stack::on(database, Settings::default())).await;
    let world = World::on(stack, document(), echo, |wanted| {
        wanted.methods = vec![granted(CHANGE), granted(GET)];
        // No lease of the quota runs out while the database cannot be asked for another one.
        wanted.calls_per_minute = 60_000;
    })
    .await;

    // Beside the door with a disk of its own stands one without.
    let (without_disk, _running) = world.stack.another_without_disk().await;
    let with_disk = (world.stack.door.as_str(), CHANGE);
    let doors = [with_disk, with_disk, (without_disk.as_str(), GET)];
    let call = async |(door, method): (&str, &str)| {
        let channel = Endpoint::from_shared(door.to_owned()).unwrap().connect().await.unwrap();
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.unwrap();
        let path: PathAndQuery = format!("/{method}").parse().unwrap();
        let codec = ProstCodec::<Person, Person>::default();
        grpc.unary(world.request(person("a")), path, codec).await
    };
    // Until it knows the agreement.
    for _ in 0..200 {
        if call(doors[2]).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // Some call all the time, one call after the other, and keep what they were told.
    let told: Mutex<Vec<(usize, Told)>> = Mutex::default();
    let enough = AtomicBool::new(false);
    let answered = || told.lock().unwrap().iter().filter(|(_, told)| told.is_ok()).count();
    let all_were_refused = |reason: &str| {
        let told = told.lock().unwrap();
        (0..doors.len()).all(|caller| {
            let mut own = told.iter().filter(|(of, _)| *of == caller);
            own.any(|(_, told)| told.as_ref().is_err_and(|(_, other)| other == reason))
        })
    };
    let all_were_answered_since = |place: usize| {
        let told = told.lock().unwrap();
        (0..doors.len()).all(|caller| {
            let mut later = told.iter().skip(place);
            later.any(|(of, told)| *of == caller && told.is_ok())
        })
    };
    let calls = futures::future::join_all(doors.into_iter().enumerate().map(|(caller, door)| {
        let (call, told, enough) = (&call, &told, &enough);
        async move {
            while !enough.load(Ordering::SeqCst) {
                let outcome = match call(door).await {
                    // No answer comes without the promise of its leaf.
                    Ok(answer) => Ok((exchange_of(answer.metadata()), promise_of(answer.metadata()))),
                    Err(status) => Err(refusal(&status)),
                };
                told.lock().unwrap().push((caller, outcome));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }));
    let cut = async {
        until("calls are answered", || all_were_answered_since(9)).await;
        server.cut().await.unwrap();
        // For a moment what a door has on its disk is answered; then nothing.
        until("all are refused, as nothing is recorded", || {
            all_were_refused("EXCHANGE_NOT_RECORDED")
        })
        .await;
        let before = answered();
        // Nor is it known any more what was revoked.
        world.stack.clock.advance(jiff::SignedDuration::from_secs(2));
        until("all are refused, as permits are not known", || {
            all_were_refused("PERMITS_STALE")
        })
        .await;
        assert_eq!(answered(), before);

        let place = told.lock().unwrap().len();
        server.start_again().await.unwrap();
        until("both doors answer again by themselves", || {
            all_were_answered_since(place)
        })
        .await;
        enough.store(true, Ordering::SeqCst);
    };
    tokio::join!(calls, cut);

    let (mut promised, mut refusals, mut changes) = (Vec::new(), HashSet::new(), 0);
    for (caller, told) in told.into_inner().unwrap() {
        match told {
            Ok(answer) => {
                changes += usize::from(doors[caller].1 == CHANGE);
                promised.push(answer);
            }
            Err(refusal) => {
                refusals.insert(refusal);
            }
        }
    }
    let expected = ["EXCHANGE_NOT_RECORDED", "PERMITS_STALE"].map(|reason| (Code::Unavailable, reason.to_owned()));
    assert_eq!(refusals, HashSet::from(expected));
    // Whoever sequences found the database away as well, and comes back in its own time.
    let mut superuser = superuser(&world.stack).await;
    for _ in 0..600 {
        let waits: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM egov.unsequenced_leaves)")
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        if !waits {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    futures::stream::iter(&promised)
        .for_each_concurrent(8, |(exchange_id, promise)| assert_kept(&world, exchange_id, promise))
        .await;
    // What was recorded as answered, and how many leaves of it there are.
    let recorded: Vec<(String, bool, i64)> = sqlx::query_as(
        "SELECT exchange_id::text, method LIKE '%Change', (SELECT count(*) FROM egov.leaves WHERE resource_id = exchange_id)
         FROM exchange_outcomes JOIN exchanges USING (exchange_id) WHERE outcome = 'answered'",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert!(recorded.iter().all(|(.., leaves)| *leaves == 1));
    let ids: HashSet<&String> = recorded.iter().map(|(exchange_id, ..)| exchange_id).collect();
    assert!(promised.iter().all(|(exchange_id, _)| ids.contains(exchange_id)));
    let distinct: HashSet<&String> = promised.iter().map(|(exchange_id, _)| exchange_id).collect();
    assert_eq!(distinct.len(), promised.len());
    // By the door with a disk nothing was recorded that the consumer does not have. The other one may have lost the word of the database
    // that it has an end, and keeps such an answer back.
    assert_eq!(recorded.iter().filter(|(_, change, _)| *change).count(), changes);
    assert!(world.provider.calls.load(Ordering::SeqCst) >= recorded.len());
    assert_eq!(verified(&world.stack).await.1, 0);
}

#[tokio::test]
async fn a_record_that_the_database_refuses_is_set_aside_and_its_promise_kept_when_that_is_mended() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let mut world = World::start(|_| {}).await;
    let mut superuser = superuser(&world.stack).await;
    let rule = format!("ALTER TABLE exchanges ADD CONSTRAINT poison CHECK (trace IS DISTINCT FROM '{TRACE}')");
    sqlx::raw_sql(sqlx::AssertSqlSafe(rule))
        .execute(&mut superuser)
        .await
        .unwrap();
    // At once, so that it is shipped together with others.
    let calls = [false, true, false].map(|poisoned| {
        let mut request = world.request(person("a"));
        if poisoned {
            let parent = format!("00-{TRACE}-b7ad6b7169203331-01").parse().unwrap();
            request.metadata_mut().insert("traceparent", parent);
        }
        let world = &world;
        async move {
            let path: PathAndQuery = format!("/{CHANGE}").parse().unwrap();
            let codec = ProstCodec::<Person, Person>::default();
            let answer = world.grpc().await.unary(request, path, codec).await.unwrap();
            (exchange_of(answer.metadata()), promise_of(answer.metadata()))
        }
    });
    let [first, poison, last]: [_; 3] = futures::future::join_all(calls).await.try_into().unwrap();

    // Its beginning and its end.
    let set_aside = || egov_integration::records_set_aside(world.stack.journal()).unwrap();
    for _ in 0..500 {
        if set_aside() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(set_aside(), 2);
    world.call(CHANGE, person("b")).await.unwrap();
    let listed = world.listed(CONSUMER).await;
    let is_listed = |id: &str| listed.iter().any(|one| one.exchange_id == id);
    assert!(is_listed(&first.0) && is_listed(&last.0) && !is_listed(&poison.0));

    // A start does not lose it, and takes it when what refused it is mended.
    world.stack.again().await;
    for mended in [false, true] {
        if mended {
            sqlx::raw_sql("ALTER TABLE exchanges DROP CONSTRAINT poison")
                .execute(&mut superuser)
                .await
                .unwrap();
            world.stack.again().await;
        }
        let set_aside = || egov_integration::records_set_aside(world.stack.journal()).unwrap();
        // Until then the start is still trying.
        let tried = world.stack.journal().join("set-aside.again.jsonl");
        for _ in 0..500 {
            if !tried.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(set_aside(), if mended { 0 } else { 2 });
    }
    for (exchange_id, promise) in [&first, &poison, &last] {
        assert_kept(&world, exchange_id, promise).await;
    }
    assert_eq!(verified(&world.stack).await.1, 0);
}

#[tokio::test]
async fn an_end_that_comes_after_the_sweep_counts_and_both_stand() {
    let mut world = World::start(|_| {}).await;
    let path: PathAndQuery = format!("/{CHAT}").parse().unwrap();
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let sent = world.request(tokio_stream::wrappers::ReceiverStream::new(receive));
    send.send(person("a")).await.unwrap();
    let codec = ProstCodec::<Person, Person>::default();
    let mut answers = world.grpc().await.streaming(sent, path, codec).await.unwrap();
    let exchange_id = exchange_of(answers.metadata());
    assert_eq!(answers.get_mut().message().await.unwrap().unwrap(), person("a"));
    // It has begun for everybody to see, and ends on the disk of a machine that goes away.
    let lock = stop_shipping(&world).await;
    drop(send);
    assert_eq!(answers.get_mut().message().await.unwrap(), None);
    let promise = promise_of(&answers.get_mut().trailers().await.unwrap().unwrap());
    world.stack.crash().await;
    lock.close().await.unwrap();

    // Others say that nobody knows how it ended.
    world.stack.clock.advance(jiff::SignedDuration::from_secs(31));
    egov_integration::sweep_exchanges_once(&world.stack.pool).await.unwrap();
    let mut looking = world.stack.database.connect_as_superuser().await.unwrap();
    let swept: String = sqlx::query_scalar("SELECT outcome FROM exchange_outcomes WHERE exchange_id = $1::uuid")
        .bind(&exchange_id)
        .fetch_one(&mut looking)
        .await
        .unwrap();
    assert_eq!(swept, "unknown");

    // It comes back.
    world.stack.recover().await;
    assert_kept(&world, &exchange_id, &promise).await;
    let exchange = world.listed(CONSUMER).await.remove(0);
    assert_eq!(exchange.outcome(), ExchangeOutcome::Answered);
    assert_eq!(exchange.exchange_id, exchange_id);
    let leaves: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM egov.leaves WHERE resource_id = $1::uuid ORDER BY 1")
            .bind(&exchange_id)
            .fetch_all(&mut looking)
            .await
            .unwrap();
    assert_eq!(leaves, [1, 2]);
    assert_eq!(verified(&world.stack).await.1, 0);
    // Whoever takes the late end away is found out.
    sqlx::raw_sql("SET session_replication_role = replica; DELETE FROM exchange_late_outcomes")
        .execute(&mut looking)
        .await
        .unwrap();
    assert_eq!(verified(&world.stack).await.1, 1);
}

#[tokio::test]
async fn without_a_disk_of_its_own_a_call_is_answered_when_the_database_has_it() {
    let world = World::without_disk().await;
    for number in 0..5_i64 {
        let answer = world.call(CHANGE, person("a")).await.unwrap();
        let promise = promise_of(answer.metadata());
        let exchange_id = exchange_of(answer.metadata());
        let mut looking = world.stack.database.connect_as_superuser().await.unwrap();
        let recorded: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM exchange_outcomes JOIN egov.leaves ON resource_id = exchange_id
             WHERE exchange_id = $1::uuid AND outcome = 'answered'",
        )
        .bind(&exchange_id)
        .fetch_one(&mut looking)
        .await
        .unwrap();
        assert_eq!(recorded, 1, "call {number}");
        assert_kept(&world, &exchange_id, &promise).await;
    }
    let refused = world.call("demo.people.v1.People/None", person("a")).await.unwrap_err();
    assert_eq!(reason(&refused), "AGREEMENT_MISSING");
}
