//! Asking issuers of agencies: their metadata, their keys, a code for an ID token.
//!
//! Everything that comes from an issuer is bounded: two seconds to connect, five in all, a size for each kind of answer, no
//! redirects, no decompression. Metadata and keys are kept; an issuer is asked one question at a time, and seldom.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_fault::Fault;
use egov_keyring::SigningKey;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::JwkSet;
use reqwest::{Client, RequestBuilder, StatusCode, header, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use crate::config::FederationConfig;
use crate::domain::federated_sign_in::{Metadata, Unusable, escaped, form, metadata_address};
use crate::domain::id_token::IssuerKeys;
use crate::domain::issuer::{ClientAuthentication, FederatedIssuer};
use crate::error::IdentityError;

/// Metadata older than this are fetched again.
const METADATA_AGE: SignedDuration = SignedDuration::from_mins(10);
/// Keys older than this are fetched again.
const KEYS_AGE: SignedDuration = SignedDuration::from_mins(5);
/// Whatever is asked, keys and metadata are fetched no more often than this.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// The largest metadata and the largest answer to a code.
const DOCUMENT_BYTES: usize = 64 * 1024;
/// The largest key set.
const KEY_SET_BYTES: usize = 256 * 1024;

/// An assertion of this platform as a client counts this long.
const ASSERTION_SECONDS: i64 = 60;

/// Why an issuer gave no answer that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskError {
    /// It does not answer, or says that it cannot at present.
    Away,
    /// What it answers cannot be used.
    Unusable(Unusable),
    /// It does not accept the code.
    CodeRefused,
}

impl From<Unusable> for AskError {
    fn from(unusable: Unusable) -> Self {
        Self::Unusable(unusable)
    }
}

impl From<AskError> for IdentityError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Away => Self::IssuerUnavailable,
            AskError::Unusable(unusable) => Self::IssuerUnusable(unusable),
            AskError::CodeRefused => Self::CodeRefused,
        }
    }
}

/// What an issuer gave for a code.
pub(crate) struct Exchanged {
    /// The ID token.
    pub(crate) id_token: String,
    /// The access token beside it, which is looked at for its hash only.
    pub(crate) access_token: Option<String>,
}

/// What is known of one issuer.
#[derive(Default)]
struct Known {
    metadata: Mutex<Remembered<Metadata>>,
    keys: Mutex<Remembered<IssuerKeys>>,
    /// Held while the issuer is asked: one question at a time.
    asking: tokio::sync::Mutex<()>,
}

struct Remembered<T> {
    value: Option<(Arc<T>, Timestamp)>,
    /// The last question that was not answered well, and how.
    failed: Option<(AskError, Timestamp)>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self {
            value: None,
            failed: None,
        }
    }
}

/// What one question can find in memory.
enum Memory<T> {
    Fresh(Arc<T>),
    FailedJustNow(AskError),
    Ask,
}

impl<T> Remembered<T> {
    fn look(&self, now: Timestamp, age: SignedDuration, suffices: impl Fn(&T) -> bool) -> Memory<T> {
        if let Some((value, fetched)) = &self.value {
            let old = now.duration_since(*fetched).abs();
            if (old < age && suffices(value)) || old < PAUSE {
                return Memory::Fresh(Arc::clone(value));
            }
        }
        match self.failed {
            Some((error, asked)) if now.duration_since(asked).abs() < PAUSE => Memory::FailedJustNow(error),
            _ => Memory::Ask,
        }
    }

    fn learn(&mut self, outcome: Result<T, AskError>, now: Timestamp) -> Result<Arc<T>, AskError> {
        match outcome {
            Ok(value) => {
                let value = Arc::new(value);
                self.value = Some((Arc::clone(&value), now));
                self.failed = None;
                Ok(value)
            }
            Err(error) => {
                self.failed = Some((error, now));
                Err(error)
            }
        }
    }
}

/// Asks issuers.
pub(crate) struct IssuerClient {
    http: Client,
    loopback_allowed: bool,
    known: Mutex<HashMap<Uuid, Arc<Known>>>,
}

impl IssuerClient {
    /// A client by its configuration. Fails if the certificates cannot be read.
    pub(crate) fn new(config: &FederationConfig) -> Result<Self, Fault> {
        let mut builder = Client::builder()
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(5))
            // A redirect could lead to an address that nobody checked, with a secret in the request.
            .redirect(redirect::Policy::none());
        if let Some(path) = &config.certificates {
            builder = builder.tls_certs_only(certificates(path)?);
        }
        Ok(Self {
            http: builder.build().map_err(Fault::internal)?,
            loopback_allowed: config.allow_loopback,
            known: Mutex::default(),
        })
    }

    fn known(&self, issuer_id: Uuid) -> Arc<Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(issuer_id).or_default())
    }

    /// The issuer's metadata, which must name that very issuer.
    pub(crate) async fn metadata(&self, issuer: &FederatedIssuer, now: Timestamp) -> Result<Arc<Metadata>, AskError> {
        let known = self.known(issuer.issuer_id);
        remembered(
            &known.asking,
            &known.metadata,
            now,
            METADATA_AGE,
            |_| true,
            async || {
                let metadata: Metadata = self
                    .fetch(&metadata_address(&issuer.issuer), DOCUMENT_BYTES)
                    .await
                    .inspect_err(|error| told(issuer, "metadata", *error))?;
                metadata
                    .check(&issuer.issuer, self.loopback_allowed)
                    .inspect_err(|unusable| told(issuer, "metadata", AskError::Unusable(*unusable)))?;
                Ok(metadata)
            },
        )
        .await
    }

    /// The issuer's keys. A key that is not among them leads to one more question.
    pub(crate) async fn keys(
        &self,
        issuer: &FederatedIssuer,
        metadata: &Metadata,
        key_id: &str,
        now: Timestamp,
    ) -> Result<Arc<IssuerKeys>, AskError> {
        let known = self.known(issuer.issuer_id);
        let suffices = |keys: &IssuerKeys| keys.contains(key_id);
        remembered(&known.asking, &known.keys, now, KEYS_AGE, suffices, async || {
            let set: JwkSet = self
                .fetch(&metadata.jwks_uri, KEY_SET_BYTES)
                .await
                .inspect_err(|error| told(issuer, "keys", *error))?;
            Ok(IssuerKeys::from_jwks(&set))
        })
        .await
    }

    /// Exchanges a code for an ID token.
    pub(crate) async fn exchange(
        &self,
        issuer: &FederatedIssuer,
        metadata: &Metadata,
        grant: &Grant<'_>,
    ) -> Result<Exchanged, AskError> {
        #[derive(Deserialize)]
        struct Answer {
            id_token: String,
            access_token: Option<String>,
        }
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let client_id = issuer.settings.client_id.as_str();
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", grant.code),
            ("redirect_uri", grant.redirect_uri),
            ("code_verifier", grant.verifier),
        ];
        let mut request = self.http.post(&metadata.token_endpoint);
        match &grant.proof {
            ClientProof::Assertion(assertion) => {
                pairs.push(("client_id", client_id));
                pairs.push((
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                ));
                pairs.push(("client_assertion", assertion));
            }
            ClientProof::Secret(secret) if metadata.secret_in_body() => {
                pairs.push(("client_id", client_id));
                pairs.push(("client_secret", secret.expose_secret()));
            }
            ClientProof::Secret(secret) => {
                let both = format!("{}:{}", escaped(client_id), escaped(secret.expose_secret()));
                request = request.header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(both)));
            }
            ClientProof::None => pairs.push(("client_id", client_id)),
        }
        let request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form(&pairs));
        let (status, body) = self
            .send(request, DOCUMENT_BYTES)
            .await
            .inspect_err(|error| told(issuer, "token", *error))?;
        if status == StatusCode::OK {
            let answer: Answer = parse(&body).inspect_err(|error| told(issuer, "token", *error))?;
            return Ok(Exchanged {
                id_token: answer.id_token,
                access_token: answer.access_token,
            });
        }
        let refusal: Option<Refusal> = parse(&body).ok();
        let error = match refusal.as_ref().map(|refusal| refusal.error.as_str()) {
            Some("invalid_client" | "unauthorized_client") => AskError::Unusable(Unusable::ClientRefused),
            Some(_) if status.is_client_error() => AskError::CodeRefused,
            _ => AskError::Unusable(Unusable::Status),
        };
        if error != AskError::CodeRefused {
            told(issuer, "token", error);
        }
        Err(error)
    }

    async fn fetch<T: DeserializeOwned>(&self, address: &str, limit: usize) -> Result<T, AskError> {
        let request = self.http.get(address).header(header::ACCEPT, "application/json");
        let (status, body) = self.send(request, limit).await?;
        if status != StatusCode::OK {
            return Err(Unusable::Status.into());
        }
        parse(&body)
    }

    async fn send(&self, request: RequestBuilder, limit: usize) -> Result<(StatusCode, Vec<u8>), AskError> {
        let mut response = request.send().await.map_err(|_| AskError::Away)?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(AskError::Away);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| AskError::Away)? {
            body.extend_from_slice(&chunk);
            if body.len() > limit {
                return Err(Unusable::TooLarge.into());
            }
        }
        Ok((status, body))
    }
}

impl std::fmt::Debug for IssuerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerClient")
            .field("loopback_allowed", &self.loopback_allowed)
            .finish_non_exhaustive()
    }
}

/// What is handed in for an ID token.
pub(crate) struct Grant<'a> {
    /// The code.
    pub(crate) code: &'a str,
    /// Where it was sent to.
    pub(crate) redirect_uri: &'a str,
    /// The PKCE verifier.
    pub(crate) verifier: &'a str,
    /// How the platform proves to be the client.
    pub(crate) proof: ClientProof,
}

/// The proof of being the client.
pub(crate) enum ClientProof {
    /// A signed assertion.
    Assertion(String),
    /// The shared secret.
    Secret(SecretString),
    /// Nothing but PKCE.
    None,
}

impl ClientProof {
    /// The proof that an issuer was registered with. The assertion is for the issuer by its name and for nobody else
    /// (draft-ietf-oauth-rfc7523bis): one that was meant for another's token endpoint is worth nothing here.
    pub(crate) fn new(
        issuer: &FederatedIssuer,
        secret: Option<SecretString>,
        key: &SigningKey,
        token_id: Uuid,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        match issuer.settings.authentication {
            ClientAuthentication::None => Ok(Self::None),
            ClientAuthentication::ClientSecret => secret
                .map(Self::Secret)
                .ok_or_else(|| Fault::internal("an issuer without its secret")),
            ClientAuthentication::PrivateKeyJwt => {
                let client_id = &issuer.settings.client_id;
                let claims = json!({
                    "iss": client_id, "sub": client_id, "aud": issuer.issuer, "jti": token_id.to_string(),
                    "iat": now.as_second(), "exp": now.as_second() + ASSERTION_SECONDS,
                });
                key.jwt("client-authentication+jwt", &claims)
                    .map(Self::Assertion)
                    .map_err(Fault::internal)
            }
        }
    }
}

/// The remembered value, or what the question finds. Whoever waited for another's question takes its answer.
async fn remembered<T>(
    asking: &tokio::sync::Mutex<()>,
    memory: &Mutex<Remembered<T>>,
    now: Timestamp,
    age: SignedDuration,
    suffices: impl Fn(&T) -> bool,
    ask: impl AsyncFnOnce() -> Result<T, AskError>,
) -> Result<Arc<T>, AskError> {
    let look = || {
        memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .look(now, age, &suffices)
    };
    match look() {
        Memory::Fresh(value) => return Ok(value),
        Memory::FailedJustNow(error) => return Err(error),
        Memory::Ask => {}
    }
    let _turn = asking.lock().await;
    match look() {
        Memory::Fresh(value) => return Ok(value),
        Memory::FailedJustNow(error) => return Err(error),
        Memory::Ask => {}
    }
    let outcome = ask().await;
    memory
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .learn(outcome, now)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AskError> {
    serde_json::from_slice(body).map_err(|_| Unusable::Form.into())
}

fn told(issuer: &FederatedIssuer, what: &'static str, error: AskError) {
    tracing::warn!(issuer_id = %issuer.issuer_id, what, ?error, "an issuer gave no answer that can be used");
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, Fault> {
    let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| {
        Fault::internal(format!(
            "the certificates of issuers in {} cannot be used: {error}",
            path.display()
        ))
    };
    let pem = std::fs::read(path).map_err(|error| unreadable(error.into()))?;
    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(error.into()))
}
