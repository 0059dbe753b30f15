//! Publishing to the service integration over gRPC, as a system.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egov_clock::{SharedClock, SharedIds};
use egov_database::Database;
use egov_fault::{Fault, fault_of};
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1::event_service_client::EventServiceClient;
use egov_proto::egov::integration::v1::{ListTopicsRequest, PublishRequest};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::CloudEvent;
use crate::forward::{Forwarder, Publisher};
use crate::store::topic_not_found;
use crate::system_token::{SystemToken, SystemTokenConfig};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// `[integration]`: where and as whom a service publishes its events. Without an address they stay in its own log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntegrationConfig {
    /// The gRPC address of integration; empty publishes nothing.
    pub address: String,
    /// The token endpoint of identity.
    pub token_endpoint: String,
    /// The issuer, which assertions are for.
    pub audience: String,
    /// The system's client id; `egov-SERVICE` if empty. It is registered at identity with the keyring's public key for assertions.
    pub client_id: String,
    /// The name of the topic; `SERVICE.events` if empty. It is made at integration, with this system as publisher.
    pub topic: String,
    /// The authority of both certificates, PEM; none trusts what the machine trusts.
    pub ca: Option<PathBuf>,
}

impl IntegrationConfig {
    /// What publishes the log of `service` by this configuration; none without an address.
    ///
    /// # Errors
    /// The address is none, or the authority cannot be read.
    pub fn forwarder(
        &self,
        service: &'static str,
        database: &Database,
        keyring: &Arc<Keyring>,
        clock: &SharedClock,
        ids: &SharedIds,
    ) -> Result<Option<Forwarder<IntegrationPublisher>>, Fault> {
        if self.address.is_empty() {
            return Ok(None);
        }
        let mut config = self.clone();
        if config.client_id.is_empty() {
            config.client_id = format!("egov-{service}");
        }
        if config.topic.is_empty() {
            config.topic = format!("{service}.events");
        }
        let publisher = IntegrationPublisher::new(config, Arc::clone(keyring), clock.clone(), ids.clone())?;
        Ok(Some(Forwarder::new(database.clone(), service, publisher)))
    }
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
    ///
    /// # Errors
    /// The address is none, or the authority cannot be read.
    pub fn new(
        config: IntegrationConfig,
        keyring: Arc<Keyring>,
        clock: SharedClock,
        ids: SharedIds,
    ) -> Result<Self, Fault> {
        let authority = match &config.ca {
            Some(path) => Some(std::fs::read_to_string(path).map_err(Fault::internal)?),
            None => None,
        };
        let mut endpoint = Endpoint::from_shared(config.address)
            .map_err(Fault::internal)?
            .connect_timeout(Duration::from_secs(2))
            .timeout(ANSWER);
        if let Some(authority) = &authority {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
            endpoint = endpoint.tls_config(tls).map_err(Fault::internal)?;
        }
        let token = SystemTokenConfig {
            token_endpoint: config.token_endpoint,
            audience: config.audience,
            client_id: config.client_id,
            authority,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_address_nothing_is_published_and_unknown_settings_are_refused() {
        let empty: IntegrationConfig = serde_json::from_str("{}").unwrap();
        assert!(empty.address.is_empty() && empty.ca.is_none());
        assert!(serde_json::from_str::<IntegrationConfig>(r#"{"adress":"x"}"#).is_err());
    }
}
