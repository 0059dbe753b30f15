//! Publishing to the service integration over gRPC, as a system.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egov_clock::{Clock as _, SharedClock, SharedIds};
use egov_fault::{Code, Fault, fault_of};
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::integration::v1::event_service_client::EventServiceClient;
use egov_proto::egov::integration::v1::{ListTopicsRequest, PublishRequest};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::Mutex;
use tonic::transport::{Channel, Endpoint};

use crate::CloudEvent;
use crate::forward::Publisher;
use crate::store::{topic_not_found, unavailable};

/// A token is exchanged this long before it ends.
const BEFORE_END: SignedDuration = SignedDuration::from_secs(30);
/// A system's request for a token of its own (RFC 6749, section 4.4; RFC 7523, section 2.2), without the assertion.
const TOKEN_REQUEST: &str = "grant_type=client_credentials&client_assertion_type=\
                             urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
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

/// Publishes to a topic of integration. The system proves its key (private_key_jwt, RFC 7523) with the keyring's key for
/// assertions, and its token is exchanged before it ends.
pub struct IntegrationPublisher {
    config: IntegrationConfig,
    client: EventServiceClient<Channel>,
    http: reqwest::Client,
    keyring: Arc<Keyring>,
    clock: SharedClock,
    ids: SharedIds,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<(String, Timestamp)>,
    topic: Option<String>,
}

#[derive(Deserialize)]
struct Issued {
    access_token: String,
    expires_in: i64,
}

impl fmt::Debug for IntegrationPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntegrationPublisher")
            .field("config", &self.config)
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
        let endpoint = Endpoint::from_shared(config.address.clone())
            .map_err(Fault::internal)?
            .connect_timeout(Duration::from_secs(2))
            .timeout(ANSWER);
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(2))
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Fault::internal)?;
        Ok(Self {
            client: EventServiceClient::new(endpoint.connect_lazy()),
            config,
            http,
            keyring,
            clock,
            ids,
            held: Mutex::default(),
        })
    }

    async fn token(&self, held: &mut Held) -> Result<String, Fault> {
        let now = self.clock.now();
        if let Some((token, end)) = &held.token
            && now.checked_add(BEFORE_END).is_ok_and(|soon| soon < *end)
        {
            return Ok(token.clone());
        }
        let claims = serde_json::json!({
            "iss": self.config.client_id, "sub": self.config.client_id, "aud": self.config.audience,
            "iat": now.as_second(), "exp": now.as_second() + 60, "jti": self.ids.uuid().to_string(),
        });
        let assertion = self
            .keyring
            .signing(Purpose::ClientAssertions)
            .jwt("JWT", &claims)
            .map_err(Fault::internal)?;
        let answer = self
            .http
            .post(&self.config.token_endpoint)
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            // An assertion has only letters, digits, "-", "_" and ".": nothing to escape.
            .body(format!("{TOKEN_REQUEST}&client_assertion={assertion}"))
            .send()
            .await
            .map_err(unavailable)?;
        if !answer.status().is_success() {
            return Err(Fault::new(
                Code::Unavailable,
                "TOKEN_NOT_ISSUED",
                "chưa lấy được mã truy cập của hệ thống",
                format!("identity answered {} to the system's proof", answer.status()),
            ));
        }
        let issued: Issued = answer.json().await.map_err(unavailable)?;
        let end = now
            .checked_add(SignedDuration::from_secs(issued.expires_in))
            .unwrap_or(now);
        held.token = Some((issued.access_token.clone(), end));
        Ok(issued.access_token)
    }

    fn request<T>(token: &str, message: T) -> Result<tonic::Request<T>, Fault> {
        let mut request = tonic::Request::new(message);
        let value = format!("Bearer {token}").parse().map_err(Fault::internal)?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }

    async fn topic(&self, held: &mut Held, token: &str) -> Result<String, Fault> {
        if let Some(topic) = &held.topic {
            return Ok(topic.clone());
        }
        let asked = ListTopicsRequest {
            name: self.config.topic.clone(),
            ..ListTopicsRequest::default()
        };
        let found = self.client.clone().list_topics(Self::request(token, asked)?).await;
        let mut topics = found.map_err(|status| fault_of(&status))?.into_inner().topics;
        let topic = topics.pop().ok_or_else(topic_not_found)?.topic_id;
        held.topic = Some(topic.clone());
        Ok(topic)
    }
}

#[async_trait]
impl Publisher for IntegrationPublisher {
    async fn publish(&self, events: Vec<CloudEvent>) -> Result<(), Fault> {
        let mut held = self.held.lock().await;
        let token = self.token(&mut held).await?;
        let topic_id = self.topic(&mut held, &token).await?;
        let message = PublishRequest {
            topic_id,
            events: events.into_iter().map(Into::into).collect(),
        };
        let published = self.client.clone().publish(Self::request(&token, message)?).await;
        match published {
            Ok(_) => Ok(()),
            Err(status) => {
                // Whatever was wrong with the token or the topic is asked anew.
                *held = Held::default();
                Err(fault_of(&status))
            }
        }
    }
}
