//! The token of a system, as identity issues it for a proof of its key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use egov_clock::{Clock as _, SharedClock, SharedIds};
use egov_fault::{Code, Fault};
use egov_keyring::{Keyring, Purpose};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::store::unavailable;

/// A token is exchanged this long before it ends.
const BEFORE_END: SignedDuration = SignedDuration::from_secs(30);
/// A system's request for a token of its own (RFC 6749, section 4.4; RFC 7523, section 2.2), without the assertion.
const TOKEN_REQUEST: &str = "grant_type=client_credentials&client_assertion_type=\
                             urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// As whom a system asks for tokens, and where.
#[derive(Clone, Debug)]
pub struct SystemTokenConfig {
    /// The token endpoint of identity.
    pub token_endpoint: String,
    /// The issuer, which assertions are for.
    pub audience: String,
    /// The system's client id.
    pub client_id: String,
    /// The authority of the endpoint's certificate, PEM; none trusts what the machine trusts.
    pub authority: Option<String>,
}

/// A system's token: proved with the keyring's present key for assertions (private_key_jwt, RFC 7523), and exchanged before it ends.
pub struct SystemToken {
    config: SystemTokenConfig,
    http: reqwest::Client,
    keyring: Arc<Keyring>,
    clock: SharedClock,
    ids: SharedIds,
    held: Mutex<Option<(String, Timestamp)>>,
}

impl fmt::Debug for SystemToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemToken")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Issued {
    access_token: String,
    expires_in: i64,
}

impl SystemToken {
    /// Asks for nothing yet.
    ///
    /// # Errors
    /// If the authority is no certificate.
    pub fn new(
        config: SystemTokenConfig,
        keyring: Arc<Keyring>,
        clock: SharedClock,
        ids: SharedIds,
    ) -> Result<Self, Fault> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(2))
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(authority) = &config.authority {
            let authority = reqwest::Certificate::from_pem(authority.as_bytes()).map_err(Fault::internal)?;
            http = http.add_root_certificate(authority);
        }
        Ok(Self {
            http: http.build().map_err(Fault::internal)?,
            config,
            keyring,
            clock,
            ids,
            held: Mutex::default(),
        })
    }

    /// The token that is held, or a new one.
    ///
    /// # Errors
    /// `TOKEN_NOT_ISSUED`, `EVENT_STORE_UNAVAILABLE` when identity is not reached.
    pub async fn get(&self) -> Result<String, Fault> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        if let Some((token, end)) = held.as_ref()
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
        *held = Some((issued.access_token.clone(), end));
        Ok(issued.access_token)
    }

    /// Asks anew the next time: whoever got the token did not like it.
    pub async fn forget(&self) {
        *self.held.lock().await = None;
    }

    /// A request with the token.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn request<T>(&self, message: T) -> Result<tonic::Request<T>, Fault> {
        let token = self.get().await?;
        let mut request = tonic::Request::new(message);
        let value = format!("Bearer {token}").parse().map_err(Fault::internal)?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}
