//! What the tests share: the running service, and who calls it.

use std::sync::{Arc, LazyLock};

use egov_auth::IssuerConfig;
use egov_clock::{Ids as _, ManualClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_directory::{Directory, DirectoryConfig};
use egov_integration::config::EventsSection;
use egov_integration::{MIGRATOR, Parts, SERVICE, assemble};
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1::event_service_client::EventServiceClient;
use egov_proto::egov::integration::v1::mailbox_service_client::MailboxServiceClient;
use egov_proto::egov::integration::v1::{
    CloudEvent, CreateSubscriptionRequest, CreateTopicRequest, DeliveryMode, EventDelivery, PublishRequest,
    PublishedEvent, PullRequest, StartAt, Subscription, Topic, TopicGrant,
};
use egov_runtime::config::ServerConfig;
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Server, Shutdown};
use egov_testkit::{TestDatabase, Tokens};
use egov_transparency::LedgerConfig;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::agencies::agency;
use crate::callers::auth_layer;

/// A commune and its neighbour.
pub(crate) const HERE: i32 = 2;
pub(crate) const NEIGHBOUR: i32 = 3;
/// Systems.
pub(crate) const PUBLISHER: Uuid = Uuid::from_u128(11);
pub(crate) const SUBSCRIBER: Uuid = Uuid::from_u128(12);
pub(crate) const STRANGER: Uuid = Uuid::from_u128(13);

pub(crate) struct Stage {
    pub(crate) events: EventServiceClient<Channel>,
    pub(crate) mail: MailboxServiceClient<Channel>,
    pub(crate) clock: ManualClock,
    pub(crate) database: TestDatabase,
    /// The database and the keys as the service has them.
    pub(crate) pool: Database,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) shutdown: Shutdown,
    tokens: Tokens,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::with_webhooks(&[]).await
    }

    /// With hosts to which webhooks may go.
    pub(crate) async fn with_webhooks(hosts: &[String]) -> Self {
        let events = EventsSection {
            queue_mib: 4,
            webhook_hosts: hosts.to_vec(),
            ..EventsSection::default()
        };
        Self::configured(events).await
    }

    /// With `[events]` as an operator writes it.
    pub(crate) async fn configured(events: EventsSection) -> Self {
        let database = egov_testkit::database(SERVICE, &MIGRATOR).await;
        let clock = egov_testkit::clock();
        let keyring = Arc::new(Keyring::ephemeral());
        let tokens = Tokens::by(clock.shared());
        agency(&database, HERE, "H41.10", "2026-01-01").await;
        agency(&database, NEIGHBOUR, "H41.11", "2026-01-01").await;
        let (pool, server) = service(&database.app_url, &keyring, &clock, tokens.issuer(), events).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect_lazy();
        Self {
            events: EventServiceClient::new(channel.clone()),
            mail: MailboxServiceClient::new(channel),
            clock,
            database,
            pool,
            keyring,
            shutdown,
            tokens,
        }
    }

    /// The service's present.
    pub(crate) fn now(&self) -> jiff::Timestamp {
        use egov_clock::Clock as _;
        self.clock.now()
    }

    /// A request of an official with a role at a unit.
    pub(crate) fn staff<T>(&self, role: &str, unit: i32, message: T) -> Request<T> {
        let person = Uuid::from_u128(1000 + u128::from(unit.unsigned_abs()));
        bearer(&self.tokens.staff(person, &[(role, unit)]), message)
    }

    /// A request of a system.
    pub(crate) fn system<T>(&self, system: Uuid, roles: &[(&str, i32)], message: T) -> Request<T> {
        bearer(&self.tokens.system(system, roles), message)
    }

    /// A topic of the commune that the publisher may publish to and the subscriber subscribe to.
    pub(crate) async fn topic(&self, name: &str) -> Topic {
        let request = self.staff("integration_event_admin", HERE, topic_of(name));
        self.events
            .clone()
            .create_topic(request)
            .await
            .unwrap()
            .into_inner()
            .topic
            .unwrap()
    }

    pub(crate) async fn publish(&self, topic: &str, events: Vec<CloudEvent>) -> Result<Vec<PublishedEvent>, Status> {
        let message = PublishRequest {
            topic_id: topic.to_owned(),
            events,
        };
        let request = self.system(PUBLISHER, &[], message);
        Ok(self.events.clone().publish(request).await?.into_inner().published)
    }

    pub(crate) async fn subscribe(
        &self,
        system: Uuid,
        message: CreateSubscriptionRequest,
    ) -> Result<Subscription, Status> {
        let request = self.system(system, &[], message);
        let made = self.events.clone().create_subscription(request).await?;
        Ok(made.into_inner().subscription.unwrap())
    }

    pub(crate) async fn pull(&self, subscription: &str) -> Result<Vec<EventDelivery>, Status> {
        let message = PullRequest {
            subscription_id: subscription.to_owned(),
            max_events: 0,
            wait: None,
            max_bytes: 0,
        };
        let request = self.system(SUBSCRIBER, &[], message);
        Ok(self.events.clone().pull(request).await?.into_inner().deliveries)
    }
}

/// The service over a database, with these keys, before it serves; and its pool.
pub(crate) async fn service(
    url: &str,
    keyring: &Arc<Keyring>,
    clock: &ManualClock,
    issuer: IssuerConfig,
    events: EventsSection,
) -> (Database, Server) {
    let config = DatabaseConfig::new(url.to_owned()).test_profile();
    let pool = Database::connect(&config, Arc::clone(keyring), clock.shared(), SystemIds::shared())
        .await
        .unwrap();
    let contract = Arc::clone(&CONTRACT);
    let ledger = LedgerConfig::default().open(SERVICE, &pool, keyring).unwrap();
    let parts = Parts {
        contract: Arc::clone(&contract),
        auth: auth_layer(&contract, issuer, clock, &[HERE, NEIGHBOUR]),
        // It knows no agency codes: those of the directory in the database count.
        directory: Arc::new(Directory::open(DirectoryConfig::default(), clock.shared()).unwrap()),
        partners: egov_integration::partners::Connections::none(Arc::clone(keyring)),
        keyring: Arc::clone(keyring),
        log: Arc::clone(ledger.log()),
        door: None,
        endpoints: Arc::default(),
        events: events.open(&pool, SystemIds::shared()).await.unwrap(),
        database: pool.clone(),
    };
    let server = Server::builder(
        ServerConfig::default(),
        Arc::clone(&contract),
        clock.shared(),
        SystemIds::shared(),
    )
    .assembly(ledger.complete(assemble(parts).unwrap().assembly, &contract))
    .build()
    .unwrap();
    (pool, server)
}

/// A topic of the commune that the publisher may publish to and the subscriber subscribe to.
pub(crate) fn topic_of(name: &str) -> CreateTopicRequest {
    let grant = |client: Uuid, publish, subscribe| TopicGrant {
        client_id: client.to_string(),
        publish,
        subscribe,
    };
    CreateTopicRequest {
        request_id: new_id(),
        name: name.to_owned(),
        unit_id: HERE,
        schema: "urn:test:cases".to_owned(),
        schema_version: 2,
        max_age: None,
        max_bytes: 0,
        grants: vec![grant(PUBLISHER, true, false), grant(SUBSCRIBER, false, true)],
        json_schema: String::new(),
    }
}

pub(crate) fn bearer<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

pub(crate) fn new_id() -> String {
    SystemIds::default().uuid().to_string()
}

pub(crate) fn event(id: &str, key: &str) -> CloudEvent {
    CloudEvent {
        id: id.to_owned(),
        source: "/egov/test".to_owned(),
        r#type: "vn.egov.test.happened".to_owned(),
        subject: format!("case/{id}"),
        partition_key: key.to_owned(),
        data: format!("{{\"id\":\"{id}\"}}").into(),
        ..CloudEvent::default()
    }
}

/// A subscription by fetching, from the oldest event on.
pub(crate) fn pulling(topic: &str, name: &str) -> CreateSubscriptionRequest {
    CreateSubscriptionRequest {
        request_id: new_id(),
        topic_id: topic.to_owned(),
        name: name.to_owned(),
        mode: DeliveryMode::Pull.into(),
        start_at: StartAt::Oldest.into(),
        ..CreateSubscriptionRequest::default()
    }
}

pub(crate) fn refusal(status: &Status) -> (Code, String) {
    (status.code(), egov_fault::reason_of(status).unwrap_or_default())
}

/// The contracts with their compiled rules: the same for every test, and slow to compile in a debug build.
static CONTRACT: LazyLock<Arc<Contract>> =
    LazyLock::new(|| Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap()));
