//! Publishing to the service integration over gRPC, as a system.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egov_clock::{SharedClock, SharedIds};
use egov_fault::{Fault, fault_of};
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1::event_service_client::EventServiceClient;
use egov_proto::egov::integration::v1::{ListTopicsRequest, PublishRequest};
use tokio::sync::Mutex;
use tonic::transport::{Channel, Endpoint};

use crate::CloudEvent;
use crate::forward::Publisher;
use crate::store::topic_not_found;
use crate::system_token::{SystemToken, SystemTokenConfig};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Where and as whom events are published.
#[derive(Clone, Debug)]
pub struct IntegrationConfig {
    /// The gRPC address of integration.
    pub address: String,
    /// The token endpoint of identity.
    pub token_endpoint: String,
    /// The issuer, which assertions are for.
    pub audience: String,
    /// The system's client id.
    pub client_id: String,
    /// The name of the topic.
    pub topic: String,
}

/// Publishes to a topic of integration, with a [`SystemToken`].
pub struct IntegrationPublisher {
    topic: String,
    client: EventServiceClient<Channel>,
    token: SystemToken,
    topic_id: Mutex<Option<String>>,
}

impl fmt::Debug for IntegrationPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntegrationPublisher")
            .field("topic", &self.topic)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl IntegrationPublisher {
    /// Connects when it first publishes.
    pub fn new(
        config: IntegrationConfig,
        keyring: Arc<Keyring>,
        clock: SharedClock,
        ids: SharedIds,
    ) -> Result<Self, Fault> {
        let endpoint = Endpoint::from_shared(config.address)
            .map_err(Fault::internal)?
            .connect_timeout(Duration::from_secs(2))
            .timeout(ANSWER);
        let token = SystemTokenConfig {
            token_endpoint: config.token_endpoint,
            audience: config.audience,
            client_id: config.client_id,
            authority: None,
        };
        Ok(Self {
            topic: config.topic,
            client: EventServiceClient::new(endpoint.connect_lazy()),
            token: SystemToken::new(token, keyring, clock, ids)?,
            topic_id: Mutex::default(),
        })
    }

    async fn topic_id(&self) -> Result<String, Fault> {
        let mut held = self.topic_id.lock().await;
        if let Some(topic) = held.as_ref() {
            return Ok(topic.clone());
        }
        let asked = ListTopicsRequest {
            name: self.topic.clone(),
            ..ListTopicsRequest::default()
        };
        let found = self.client.clone().list_topics(self.token.request(asked).await?).await;
        let mut topics = found.map_err(|status| fault_of(&status))?.into_inner().topics;
        let topic = topics.pop().ok_or_else(topic_not_found)?.topic_id;
        *held = Some(topic.clone());
        Ok(topic)
    }

    async fn try_publish(&self, events: Vec<CloudEvent>) -> Result<(), Fault> {
        let message = PublishRequest {
            topic_id: self.topic_id().await?,
            events: events.into_iter().map(Into::into).collect(),
        };
        let published = self.client.clone().publish(self.token.request(message).await?).await;
        published.map(drop).map_err(|status| fault_of(&status))
    }
}

#[async_trait]
impl Publisher for IntegrationPublisher {
    async fn publish(&self, events: Vec<CloudEvent>) -> Result<(), Fault> {
        let published = self.try_publish(events).await;
        if published.is_err() {
            // Whatever was wrong with the token or the topic is asked anew.
            self.token.forget().await;
            *self.topic_id.lock().await = None;
        }
        published
    }
}
