//! Quotas of agreements over several instances of the door.

use std::sync::Arc;

use egov_door::{QuotaLedger as _, Span, Window};
use egov_integration::quotas::Leases;
use futures::future::join_all;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use uuid::Uuid;

use crate::door::{Person, World, person};
use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_of_the_door_together_let_through_what_the_agreement_allows() {
    let world = World::start(|terms| (terms.calls_per_minute, terms.calls_per_day) = (10, 10_000)).await;
    let (other, _running) = world.stack.another().await;
    let doors = [world.stack.door.clone(), other];
    let call = async |door: &str| {
        let channel = Endpoint::from_shared(door.to_owned()).unwrap().connect().await.unwrap();
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<Person, Person>::default();
        let path = http::uri::PathAndQuery::from_static("/demo.v1.People/Get");
        grpc.unary(world.request(person("a")), path, codec).await
    };
    // Until the other instance knows the agreement; those calls are of another minute.
    for _ in 0..200 {
        if call(&doors[1])
            .await
            .map_or_else(|status| reason(&status) == "QUOTA_EXHAUSTED", |_| true)
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    world.stack.clock.advance(jiff::SignedDuration::from_secs(60));
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let calls = (0..30).map(|place| call(&doors[place % 2]));
    let answers = join_all(calls).await;
    let passed = answers.iter().filter(|answer| answer.is_ok()).count();
    for status in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(reason(status), "QUOTA_EXHAUSTED");
    }
    assert_eq!(passed, 10, "a quota of ten is ten, however many instances there are");
    let mut superuser = world.stack.database.connect_as_superuser().await.unwrap();
    let most: i32 = sqlx::query_scalar("SELECT max(leased) FROM quota_leases WHERE span = 'minute'")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(most, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_leased_of_a_window_is_never_more_than_its_limit_whoever_asks_at_once() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let agreement = Uuid::try_parse(&held.agreement.agreement_id).unwrap();
    let ledger = Arc::new(Leases::new(stack.pool.clone()));
    let window = |start: i64| Window {
        span: Span::Minute,
        start,
    };
    let tasks = (0..8).map(|_| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            let mut all = 0;
            loop {
                match ledger.lease(agreement, window(60), 100, 7).await.unwrap() {
                    0 => return all,
                    leased => all += leased,
                }
            }
        })
    });
    let all: u32 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(all, 100);
    // A limit that was lowered meanwhile takes nothing back, and gives nothing more; another window has all of its own.
    assert_eq!(ledger.lease(agreement, window(60), 50, 7).await.unwrap(), 0);
    assert_eq!(ledger.lease(agreement, window(60), 103, 7).await.unwrap(), 3);
    assert_eq!(ledger.lease(agreement, window(120), 5, 7).await.unwrap(), 5);
}
