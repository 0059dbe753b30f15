//! Speaking to a running stack as one of its callers: tokens by the same ways that every caller goes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_clock::{Clock as _, Ids as _, SharedClock, SharedIds};
use egov_fault::fault_of;
use egov_identity::totp;
use egov_proto::egov::identity::v1::sign_in_service_client::SignInServiceClient;
use egov_proto::egov::identity::v1::{SignInRequest, VerifyTotpRequest};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::accounts::{Account, CITIZEN_ISSUER, Credentials};
use crate::place::{Place, Running};
use crate::problem::Problem;

/// The file in the data folder with the tokens that still count: a one-time code works once, so signing in anew for every
/// command would make the second one within half a minute wait.
const FILE: &str = "sessions.json";

/// The words of OAuth at the token endpoint.
mod oauth {
    pub(super) const CLIENT_CREDENTIALS: &str = "client_credentials";
    pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
    pub(super) const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    pub(super) const TOKEN_TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
}

/// A token that ends sooner is not used again.
const REST: i64 = 30;

/// A channel to a stack.
pub(crate) async fn connect(url: &str) -> anyhow::Result<Channel> {
    Endpoint::from_shared(url.to_owned())
        .with_context(|| format!("{url} is no address"))?
        .connect_timeout(Duration::from_secs(5))
        .connect()
        .await
        .map_err(|_| {
            Problem::new(format!("nothing answers at {url}"), "start it with `cargo egov up`").or(
                "name another with --address http://HOST:PORT, or the data folder of a running stack with --data DIR",
            ).into()
        })
}

/// The stack that runs on a data folder, or what to do about there being none.
pub(crate) fn running(place: &Place) -> anyhow::Result<Running> {
    place.running().ok_or_else(|| {
        Problem::new(
            format!("no stack runs on {}", place.folder().display()),
            "start one in another terminal: cargo egov up",
        )
        .or("or name its data folder: --data DIR")
        .into()
    })
}

/// Puts the token and the purpose on every call.
#[derive(Clone)]
pub(crate) struct Carrier {
    token: Option<String>,
    purpose: Option<&'static str>,
}

impl Carrier {
    /// A caller with a token, who says why they read.
    pub(crate) fn of(token: String, purpose: &'static str) -> Self {
        Self {
            token: Some(token),
            purpose: Some(purpose),
        }
    }

    /// A caller with a token, who need not say why.
    pub(crate) fn token(token: String) -> Self {
        Self {
            token: Some(token),
            purpose: None,
        }
    }

    /// The public.
    pub(crate) fn public() -> Self {
        Self {
            token: None,
            purpose: None,
        }
    }
}

impl Interceptor for Carrier {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let unusable = |_| Status::invalid_argument("the token is not one that can be sent");
        if let Some(token) = &self.token {
            request
                .metadata_mut()
                .insert("authorization", format!("Bearer {token}").parse().map_err(unusable)?);
        }
        if let Some(purpose) = self.purpose {
            request
                .metadata_mut()
                .insert("x-egov-purpose", purpose.parse().map_err(unusable)?);
        }
        Ok(request)
    }
}

/// What is remembered of a caller.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Session {
    /// The stack that issued the token.
    url: String,
    token: String,
    expires: i64,
    /// The step of the last one-time code that was used.
    step: i64,
    /// What carries the session on: known to whoever signed in, and never written down.
    #[serde(skip)]
    refresh_token: String,
}

/// Forgets the remembered tokens of a data folder, after an act that may have made them void. Which one-time codes were used
/// is remembered on.
pub(crate) fn forget_tokens(place: &Place, now: Timestamp) -> anyhow::Result<()> {
    let Some(mut sessions) = place.read::<BTreeMap<String, Session>>(FILE)? else {
        return Ok(());
    };
    for session in sessions.values_mut() {
        session.token.clear();
        session.expires = now.as_second();
    }
    place.write(FILE, &sessions)
}

/// The callers of a data folder.
pub(crate) struct Callers {
    place: Place,
    url: String,
    channel: Channel,
    credentials: Credentials,
    clock: SharedClock,
    ids: SharedIds,
    http: reqwest::Client,
}

/// A token of a system.
pub(crate) struct SystemToken {
    pub(crate) access_token: String,
    /// Where it was issued.
    pub(crate) endpoint: String,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    token_endpoint: String,
}

#[derive(Deserialize)]
struct Issued {
    access_token: String,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Callers {
    /// The callers whose credentials lie in the data folder.
    pub(crate) fn open(
        place: Place,
        url: String,
        channel: Channel,
        clock: SharedClock,
        ids: SharedIds,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            credentials: Credentials::load(&place)?,
            place,
            url,
            channel,
            clock,
            ids,
            http: reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?,
        })
    }

    /// The names for `--as`.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .credentials
            .accounts
            .iter()
            .map(|account| account.name.as_str())
            .collect();
        if self.credentials.portal.is_some() {
            names.extend(["portal", "citizen", "system"]);
        }
        names
    }

    /// The credentials.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A token of the caller with this name: a member of staff; `portal`, the portal acting for the citizen; `citizen`, the
    /// citizen alone; `system`, the portal for itself.
    pub(crate) async fn token(&self, name: &str) -> anyhow::Result<String> {
        let mut sessions: BTreeMap<String, Session> = self.place.read(FILE)?.unwrap_or_default();
        let now = self.clock.now();
        let known = sessions.get(name).cloned().unwrap_or_default();
        if known.url == self.url && known.expires - REST > now.as_second() {
            return Ok(known.token);
        }
        let session = match name {
            "citizen" => self.remembered(self.citizen().await?),
            "portal" => self.remembered(self.portal_for_citizen().await?),
            "system" => self.remembered(self.system().await?),
            _ => {
                let account = self.credentials.account(name).ok_or_else(|| {
                    Problem::new(
                        format!("{} knows nobody called {name}", self.place.folder().display()),
                        format!("choose one of: {}", self.names().join(", ")),
                    )
                })?;
                self.sign_in(account, known.step).await?
            }
        };
        let token = session.token.clone();
        sessions.retain(|_, session| session.expires > now.as_second() - 120);
        sessions.insert(name.to_owned(), session);
        self.place.write(FILE, &sessions)?;
        Ok(token)
    }

    fn remembered(&self, issued: Issued) -> Session {
        let expires = self.clock.now().as_second() + issued.expires_in;
        Session {
            url: self.url.clone(),
            token: issued.access_token,
            expires,
            step: 0,
            refresh_token: String::new(),
        }
    }

    /// Signs a member of staff in anew, whatever is remembered: the access token, and the token that carries the session on.
    pub(crate) async fn sign_in_anew(&self, name: &str) -> anyhow::Result<(String, String)> {
        let mut sessions: BTreeMap<String, Session> = self.place.read(FILE)?.unwrap_or_default();
        let step = sessions.get(name).map_or(0, |known| known.step);
        let account = self
            .credentials
            .account(name)
            .with_context(|| format!("there is no account {name}"))?;
        let session = self.sign_in(account, step).await?;
        sessions.insert(name.to_owned(), session.clone());
        self.place.write(FILE, &sessions)?;
        Ok((session.token, session.refresh_token))
    }

    /// Password, then one-time code. Somebody else may have used the code of this half minute (a person with the same
    /// secret, or this command on a copy of the data folder): then the next one is tried, once.
    async fn sign_in(&self, account: &Account, last_step: i64) -> anyhow::Result<Session> {
        let secret = totp::from_base32(&account.totp_secret).context("the secret of the one-time codes is damaged")?;
        let first = totp::step_at(self.clock.now()).max(last_step + 1);
        let mut answer = self.sign_in_at(account, &secret, first).await;
        if answer
            .as_ref()
            .is_err_and(|status| egov_fault::reason_of(status).as_deref() == Some("SIGN_IN_REFUSED"))
        {
            answer = self.sign_in_at(account, &secret, first + 1).await;
        }
        answer.map_err(|status| {
            anyhow::Error::new(Problem::refused(&fault_of(&status))).context(format!("{} cannot sign in", account.name))
        })
    }

    /// With the code of one step. The code of the step to come counts already; beyond it one has to wait.
    async fn sign_in_at(&self, account: &Account, secret: &[u8], step: i64) -> Result<Session, Status> {
        while step > totp::step_at(self.clock.now()) + totp::TOLERATED_STEPS {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let mut client = SignInServiceClient::new(self.channel.clone());
        let request = SignInRequest {
            username: account.name.clone(),
            password: account.password.clone(),
        };
        let challenge = client.sign_in(request).await?.into_inner().challenge;
        let request = VerifyTotpRequest {
            challenge,
            totp_code: totp::code_at(secret, step),
        };
        let tokens = client
            .verify_totp(request)
            .await?
            .into_inner()
            .tokens
            .unwrap_or_default();
        let expires = self.clock.now().as_second() + i64::from(tokens.expires_in);
        Ok(Session {
            url: self.url.clone(),
            token: tokens.access_token,
            expires,
            step,
            refresh_token: tokens.refresh_token,
        })
    }

    /// The stand-in for VNeID vouches for the citizen (RFC 7523).
    async fn citizen(&self) -> anyhow::Result<Issued> {
        let server = self.server().await?;
        let assertion = self.citizen_assertion(&server)?;
        self.ask(&server, &[("grant_type", oauth::JWT_BEARER), ("assertion", &assertion)])
            .await
    }

    /// The portal for itself.
    async fn system(&self) -> anyhow::Result<Issued> {
        let server = self.server().await?;
        let proof = self.portal_assertion(&server)?;
        self.client_credentials(&server, &proof).await
    }

    /// By client credentials (RFC 6749, section 4.4), proved by a signed assertion (RFC 7523, section 2.2).
    async fn client_credentials(&self, server: &Metadata, proof: &str) -> anyhow::Result<Issued> {
        self.ask(
            server,
            &[
                ("grant_type", oauth::CLIENT_CREDENTIALS),
                ("client_assertion_type", oauth::CLIENT_ASSERTION),
                ("client_assertion", proof),
            ],
        )
        .await
    }

    /// A token of a system that signs with a key of its own.
    pub(crate) async fn token_of_system(
        &self,
        client_id: &str,
        sign: impl FnOnce(&serde_json::Value) -> String,
    ) -> anyhow::Result<SystemToken> {
        let server = self.server().await?;
        let proof = sign(&self.client_claims(client_id, &server));
        let issued = self.client_credentials(&server, &proof).await?;
        Ok(SystemToken {
            access_token: issued.access_token,
            endpoint: server.token_endpoint,
        })
    }

    /// What a system says of itself to the token endpoint.
    fn client_claims(&self, client_id: &str, server: &Metadata) -> serde_json::Value {
        let now = self.clock.now().as_second();
        serde_json::json!({
            "iss": client_id, "sub": client_id, "aud": server.token_endpoint,
            "iat": now, "exp": now + 60, "jti": self.ids.uuid().to_string(),
        })
    }

    /// The portal for the citizen (RFC 8693), whom the stand-in for VNeID vouches for.
    async fn portal_for_citizen(&self) -> anyhow::Result<Issued> {
        let server = self.server().await?;
        let citizen = self.citizen_assertion(&server)?;
        let proof = self.portal_assertion(&server)?;
        self.ask(
            &server,
            &[
                ("grant_type", oauth::TOKEN_EXCHANGE),
                ("subject_token", &citizen),
                ("subject_token_type", oauth::TOKEN_TYPE_JWT),
                ("client_assertion_type", oauth::CLIENT_ASSERTION),
                ("client_assertion", &proof),
            ],
        )
        .await
    }

    fn portal_assertion(&self, server: &Metadata) -> anyhow::Result<String> {
        let portal = self
            .credentials
            .portal
            .as_ref()
            .context("this data folder has no portal")?;
        portal.key.assertion(&self.client_claims(&portal.client_id, server))
    }

    fn citizen_assertion(&self, server: &Metadata) -> anyhow::Result<String> {
        let missing = "this data folder has no test citizen";
        let citizen = self.credentials.citizen.as_ref().context(missing)?;
        let issuer = self.credentials.citizen_issuer.as_ref().context(missing)?;
        let now = self.clock.now().as_second();
        issuer.assertion(&serde_json::json!({
            "iss": CITIZEN_ISSUER, "sub": citizen.subject, "aud": server.token_endpoint,
            "acr": "substantial", "personal_number": citizen.personal_number, "name": citizen.full_name,
            "iat": now, "exp": now + 60, "jti": self.ids.uuid().to_string(),
        }))
    }

    /// Where tokens are issued (RFC 8414).
    async fn server(&self) -> anyhow::Result<Metadata> {
        let url = format!("{}/.well-known/oauth-authorization-server", self.url);
        let answer = self
            .http
            .get(&url)
            .send()
            .await
            .with_context(|| format!("{url} does not answer"))?;
        let metadata: Metadata = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)
            .with_context(|| format!("{url} is not the metadata of an authorization server"))?;
        if metadata.issuer.is_empty() {
            bail!("{url} names no issuer");
        }
        Ok(metadata)
    }

    async fn ask(&self, server: &Metadata, parameters: &[(&str, &str)]) -> anyhow::Result<Issued> {
        let body: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        let answer = self
            .http
            .post(&server.token_endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"))
            .send()
            .await
            .with_context(|| format!("{} does not answer", server.token_endpoint))?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).context("the token endpoint's answer cannot be read");
        }
        match serde_json::from_slice::<Refused>(&bytes) {
            Ok(refused) => bail!(
                "the token endpoint refuses: {}: {}",
                refused.error,
                refused.error_description
            ),
            Err(_) => bail!("the token endpoint answers {status}"),
        }
    }
}

/// The subject of an access token: the account's id.
pub(crate) fn subject(token: &str) -> anyhow::Result<Uuid> {
    #[derive(Deserialize)]
    struct Claims {
        sub: Uuid,
    }
    let payload = token.split('.').nth(1).context("the token is no JWT")?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?;
    Ok(claims.sub)
}
