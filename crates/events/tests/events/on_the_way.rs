//! Events of one key that are published to JetStream without waiting for each other, and servers that keep them together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use egov_clock::SystemIds;
use egov_events::{
    Backoff, CloudEvent, EventStore as _, JetStreamConfig, JetStreamStore, Published, StartAt, SubscriptionSpec,
    TopicSpec,
};
use egov_testkit::nats::{NatsCluster, NatsServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::killed::until_taken;

const TOPIC: TopicSpec = TopicSpec {
    id: Uuid::from_u128(9),
    max_age: Duration::from_hours(1),
    max_bytes: 64 << 20,
};

async fn store(address: String, replicas: usize) -> JetStreamStore {
    let config = JetStreamConfig {
        address,
        replicas,
        sync_always: false,
        queue_bytes: 64 << 20,
    };
    JetStreamStore::connect(config, SystemIds::shared()).await.unwrap()
}

/// Events of one source and key.
fn events(source: &str, numbers: std::ops::Range<usize>, bytes: usize) -> Vec<CloudEvent> {
    numbers
        .map(|number| CloudEvent {
            id: number.to_string(),
            source: format!("/{source}"),
            kind: "number".to_owned(),
            subject: None,
            time: None,
            data_content_type: Some("application/octet-stream".to_owned()),
            data_schema: None,
            partition_key: Some(source.to_owned()),
            epoch: None,
            data: vec![b'x'; bytes].into(),
        })
        .collect()
}

fn in_order(published: &[Published]) -> bool {
    published
        .windows(2)
        .all(|pair| matches!(pair, [one, next] if one.offset < next.offset))
}

/// A way to the server that can be cut.
struct Wire {
    address: String,
    /// How many bytes of the client pass before it is cut, once.
    left: Arc<AtomicUsize>,
}

impl Wire {
    fn to(server: &str) -> Self {
        let server = server.trim_start_matches("nats://").to_owned();
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        // What is cut off must not have left the client already: little fits into the socket.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener: TcpListener = socket.listen(8).unwrap();
        let address = format!("nats://{}", listener.local_addr().unwrap());
        let passing = Arc::clone(&left);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), Arc::clone(&passing)));
            }
        });
        Self { address, left }
    }
}

async fn pass(client: TcpStream, server: String, left: Arc<AtomicUsize>) -> std::io::Result<()> {
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 4096];
    loop {
        let read = from_client.read(&mut buffer).await?;
        let fits = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(read));
        if read == 0 || fits.is_err() {
            left.store(usize::MAX, Ordering::SeqCst);
            answers.abort();
            return Ok(());
        }
        to_server.write_all(&buffer[..read]).await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_on_the_way_or_comes_in_between_leaves_the_events_of_a_key_in_order_and_once() {
    let server = NatsServer::start().await.unwrap();
    let wire = Wire::to(server.address());
    let (near, far) = (
        store(server.address().to_owned(), 1).await,
        store(wire.address.clone(), 1).await,
    );
    near.open_topic(&TOPIC).await.unwrap();

    // Two processes at once: each breaks into what the other sends.
    let publish_all = async |store: &JetStreamStore, source: &str| {
        let mut published = Vec::new();
        for first in (0..300).step_by(50) {
            let batch = events(source, first..first + 50, 100);
            published.extend(store.publish(TOPIC.id, batch).await.unwrap());
        }
        published
    };
    let (one, other) = futures::join!(publish_all(&near, "one"), publish_all(&far, "other"));
    for published in [&one, &other] {
        assert!(in_order(published), "{published:?}");
        assert!(published.iter().all(|event| !event.duplicate));
    }

    // The connection breaks in the middle of a batch, and the rest of it goes over the next one.
    wire.left.store(300 * 1024, Ordering::SeqCst);
    let cut = events("cut", 0..1000, 4096);
    let lost = far.publish(TOPIC.id, cut.clone()).await.unwrap_err();
    assert_eq!(lost.reason(), "EVENT_STORE_UNAVAILABLE");
    let repeated = until_taken(|| far.publish(TOPIC.id, cut.clone())).await;
    assert!(in_order(&repeated), "what came late stands behind what was lost");
    assert!(
        repeated[0].duplicate && !repeated[999].duplicate,
        "it was cut in the middle"
    );

    let all = SubscriptionSpec {
        id: Uuid::from_u128(1),
        topic: TOPIC.id,
        start: StartAt::Oldest,
        types: Vec::new(),
        max_in_flight: 10,
        acknowledge_within: Duration::from_secs(30),
        max_attempts: 3,
        backoff: Backoff::default(),
    };
    near.subscribe(&all).await.unwrap();
    assert_eq!(near.progress(&all).await.unwrap().lag, 1600, "each is stored once");
}

/// The stream of the topic, asked past the store.
async fn stream(address: &str) -> Stream {
    let client = async_nats::connect(address.split(',').collect::<Vec<_>>())
        .await
        .unwrap();
    let name = format!("egov_{}", TOPIC.id.simple());
    async_nats::jetstream::new(client).get_stream(name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_keep_everything_that_was_acknowledged_when_the_one_that_leads_is_killed() {
    let mut cluster = NatsCluster::start().await.unwrap();
    let store = store(cluster.addresses(), 3).await;
    // They choose who leads them first.
    until_taken(|| store.open_topic(&TOPIC)).await;
    assert!(store.durability().await.unwrap().durable);
    let leader = stream(&cluster.addresses()).await.cached_info().cluster.clone();
    let leader = leader.and_then(|cluster| cluster.leader).unwrap();

    let (batches, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let publishing = tokio::spawn({
        let (store, batches, enough) = (store.clone(), Arc::clone(&batches), Arc::clone(&enough));
        async move {
            let mut acknowledged: HashMap<(String, String), i64> = HashMap::new();
            let mut first = 0;
            while !enough.load(Ordering::SeqCst) {
                let batch = [events("a", first..first + 10, 100), events("b", first..first + 10, 100)].concat();
                let published = until_taken(|| store.publish(TOPIC.id, batch.clone())).await;
                for (event, stored) in batch.into_iter().zip(published) {
                    acknowledged.insert((event.source, event.id), stored.offset);
                }
                batches.fetch_add(1, Ordering::SeqCst);
                first += 10;
            }
            acknowledged
        }
    });
    let published = async |at_least: usize| {
        while batches.load(Ordering::SeqCst) < at_least {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    published(5).await;
    cluster.server(&leader).unwrap().kill().unwrap();
    let killed = batches.load(Ordering::SeqCst);
    // Two are enough to go on, under another lead.
    published(killed + 5).await;
    enough.store(true, Ordering::SeqCst);
    let acknowledged = publishing.await.unwrap();

    let left: Vec<String> = cluster.addresses().split(',').map(str::to_owned).collect();
    let gone = cluster.server(&leader).unwrap().address().to_owned();
    let left: Vec<String> = left.into_iter().filter(|address| *address != gone).collect();
    let stream = stream(&left.join(",")).await;
    let (mut seen, mut last) = (HashSet::new(), HashMap::new());
    for offset in 1..=stream.cached_info().state.last_sequence {
        let event = CloudEvent::decode(&stream.get_raw_message(offset).await.unwrap().payload).unwrap();
        let number: usize = event.id.parse().unwrap();
        let before = last.insert(event.source.clone(), number);
        assert_eq!(
            before.map_or(0, |before| before + 1),
            number,
            "in order, and none is missing"
        );
        assert!(seen.insert((event.source, event.id, offset)));
    }
    for ((source, id), offset) in acknowledged {
        let offset = u64::try_from(offset).unwrap();
        assert!(seen.contains(&(source, id, offset)), "acknowledged and lost");
    }
}
