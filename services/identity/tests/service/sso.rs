//! An OpenID Connect issuer of an agency, as small as can be, that can be told to misbehave; and the way of a member of staff
//! through it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_clock::{Clock as _, ManualClock};
use egov_proto::egov::identity::v1::{
    BeginFederatedSignInRequest, BeginFederatedSignInResponse, ClientAuthentication, CompleteFederatedSignInRequest,
    CompleteFederatedSignInResponse, FederatedIssuer, IdTokenAlgorithm, IssuerSettings, LinkIdentityRequest,
    RegisterIssuerRequest,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::Status;
use uuid::Uuid;

use crate::support::{Signer, WARD, World, by, fresh};

pub const CLIENT: &str = "egov-platform";
pub const REDIRECT: &str = "https://portal.test/callback";
pub const OTHER_REDIRECT: &str = "https://portal.test/callback-of-another";

/// How the issuer signs.
#[derive(Clone, Copy, PartialEq)]
pub enum Signing {
    Right,
    /// `alg: none`, no signature.
    None,
    /// HMAC, the public key as its secret.
    Confused,
    /// A key that it does not publish, under an id of its own.
    UnknownKey,
    /// A key that it does not publish, under the id of one that it does.
    Forged,
}

/// What it does wrong.
#[derive(Clone)]
pub struct Behaviour {
    pub down: bool,
    pub signing: Signing,
    /// Replaces claims of the ID token; null takes one away.
    pub claims: Value,
    /// Replaces entries of the metadata.
    pub metadata: Value,
    /// Pads metadata and keys to this many bytes.
    pub metadata_bytes: usize,
    pub keys_bytes: usize,
    /// Redirects whoever asks for the metadata.
    pub redirects: bool,
    /// Gives tokens for a code as often as it is sent, and asks for no PKCE verifier.
    pub careless: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            down: false,
            signing: Signing::Right,
            claims: json!({}),
            metadata: json!({}),
            metadata_bytes: 0,
            keys_bytes: 0,
            redirects: false,
            careless: false,
        }
    }
}

struct Code {
    subject: String,
    nonce: String,
    challenge: String,
    redirect: String,
    used: bool,
}

struct Inner {
    url: String,
    clock: ManualClock,
    signer: Signer,
    stranger: Signer,
    behaviour: Behaviour,
    codes: HashMap<String, Code>,
    /// The forms that came to the token endpoint, with the header of authorization.
    asked: Vec<HashMap<String, String>>,
}

/// A running issuer.
pub struct Sso {
    pub url: String,
    /// Where it sends the browser.
    pub redirect: &'static str,
    inner: Arc<Mutex<Inner>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Sso {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Shared = Arc<Mutex<Inner>>;

impl Sso {
    pub async fn start(world: &World) -> Self {
        Self::at(world, REDIRECT).await
    }

    /// A second one, with a redirect URI of its own.
    pub async fn other(world: &World) -> Self {
        Self::at(world, OTHER_REDIRECT).await
    }

    async fn at(world: &World, redirect: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Mutex::new(Inner {
            url: url.clone(),
            clock: world.clock.clone(),
            signer: Signer::new(),
            stranger: Signer::new(),
            behaviour: Behaviour::default(),
            codes: HashMap::new(),
            asked: Vec::new(),
        }));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&inner));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            url,
            redirect,
            inner,
            serving,
        }
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.inner.lock().unwrap().behaviour);
    }

    /// From now on another key signs, and only that one is published.
    pub fn new_key(&self) {
        self.inner.lock().unwrap().signer = Signer::new();
    }

    /// What came to the token endpoint.
    pub fn asked(&self) -> Vec<HashMap<String, String>> {
        self.inner.lock().unwrap().asked.clone()
    }

    /// The person signs in, and the browser is sent back with a code.
    pub fn sign_in(&self, begun: &Begun, subject: &str) -> String {
        let mut inner = self.inner.lock().unwrap();
        let code = format!("code-{}", inner.codes.len() + 1);
        let made = Code {
            subject: subject.to_owned(),
            nonce: begun.parameter("nonce"),
            challenge: begun.parameter("code_challenge"),
            redirect: begun.parameter("redirect_uri"),
            used: false,
        };
        inner.codes.insert(code.clone(), made);
        code
    }
}

fn padded(mut body: Value, bytes: usize) -> Response {
    if bytes > 0 {
        body["padding"] = json!("x".repeat(bytes));
    }
    Json(body).into_response()
}

fn merge(into: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else {
            into[name] = value.clone();
        }
    }
}

async fn metadata(State(shared): State<Shared>) -> Response {
    let inner = shared.lock().unwrap();
    if inner.behaviour.down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if inner.behaviour.redirects {
        return Redirect::temporary("/elsewhere").into_response();
    }
    let url = &inner.url;
    let mut body = json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/auth"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/jwks"),
        "code_challenge_methods_supported": ["S256"],
    });
    merge(&mut body, &inner.behaviour.metadata);
    padded(body, inner.behaviour.metadata_bytes)
}

async fn keys(State(shared): State<Shared>) -> Response {
    let inner = shared.lock().unwrap();
    if inner.behaviour.down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    padded(inner.signer.jwks(), inner.behaviour.keys_bytes)
}

async fn token(
    State(shared): State<Shared>,
    headers: axum::http::HeaderMap,
    Form(mut form): Form<HashMap<String, String>>,
) -> Response {
    let mut inner = shared.lock().unwrap();
    if inner.behaviour.down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some(value) = headers.get("authorization") {
        form.insert("authorization".to_owned(), value.to_str().unwrap().to_owned());
    }
    inner.asked.push(form.clone());
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    let careless = inner.behaviour.careless;
    let Some(code) = inner.codes.get_mut(&form["code"]) else {
        return refused("invalid_grant");
    };
    let verifier = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
    let proved = URL_SAFE_NO_PAD.encode(verifier) == code.challenge && form["redirect_uri"] == code.redirect;
    if !careless && (code.used || !proved) {
        return refused("invalid_grant");
    }
    code.used = true;
    let (subject, nonce) = (code.subject.clone(), code.nonce.clone());
    let now = inner.clock.now().as_second();
    let mut claims = json!({
        "iss": inner.url, "sub": subject, "aud": CLIENT, "nonce": nonce,
        "iat": now, "exp": now + 300, "auth_time": now - 10, "amr": ["pwd", "otp"],
    });
    merge(&mut claims, &inner.behaviour.claims);
    let signer = &inner.signer;
    let id_token = match inner.behaviour.signing {
        Signing::Right => signer.sign(&claims),
        Signing::Confused => signer.confused(&claims),
        Signing::UnknownKey => inner.stranger.sign(&claims),
        Signing::None => {
            let header = json!({ "alg": "none", "kid": signer.key_id() }).to_string();
            format!(
                "{}.{}.",
                URL_SAFE_NO_PAD.encode(header),
                URL_SAFE_NO_PAD.encode(claims.to_string())
            )
        }
        Signing::Forged => {
            let signature = inner.stranger.sign(&claims);
            let genuine = signer.sign(&claims);
            let (head, _) = genuine.rsplit_once('.').unwrap();
            format!("{head}.{}", signature.rsplit_once('.').unwrap().1)
        }
    };
    let body = json!({ "access_token": "opaque", "token_type": "Bearer", "id_token": id_token });
    Json(body).into_response()
}

/// A sign-in that began.
#[derive(Clone, Debug)]
pub struct Begun {
    pub authorization_url: String,
    pub binding: String,
}

impl Begun {
    /// A parameter of the address at the issuer.
    pub fn parameter(&self, name: &str) -> String {
        let url = reqwest::Url::parse(&self.authorization_url).unwrap();
        let found = url.query_pairs().find(|(key, _)| key == name);
        found
            .unwrap_or_else(|| panic!("{name} in {}", self.authorization_url))
            .1
            .into_owned()
    }

    /// What the browser sends to complete it.
    pub fn answer(&self, code: &str) -> CompleteFederatedSignInRequest {
        CompleteFederatedSignInRequest {
            code: code.to_owned(),
            state: self.parameter("state"),
            binding: self.binding.clone(),
            iss: String::new(),
            redirect_uri: self.parameter("redirect_uri"),
        }
    }
}

/// What an administrator says of the issuer; `otp` proves the second factor, and it speaks for the ward.
pub fn settings() -> IssuerSettings {
    IssuerSettings {
        title: "Cổng xác thực của phường".to_owned(),
        client_id: CLIENT.to_owned(),
        client_authentication: ClientAuthentication::PrivateKeyJwt.into(),
        client_secret: String::new(),
        redirect_uris: vec![REDIRECT.to_owned()],
        unit_ids: vec![WARD],
        algorithms: vec![IdTokenAlgorithm::Es256.into()],
        second_factor_acr: vec!["urn:two".to_owned()],
        second_factor_amr: vec!["otp".to_owned()],
        max_auth_age_seconds: 600,
    }
}

/// The same of an issuer that sends the browser elsewhere.
pub fn settings_at(redirect: &str) -> IssuerSettings {
    IssuerSettings {
        redirect_uris: vec![redirect.to_owned()],
        ..settings()
    }
}

impl World {
    pub async fn register(&self, issuer: &str, settings: IssuerSettings) -> Result<FederatedIssuer, Status> {
        let request = RegisterIssuerRequest {
            request_id: fresh(),
            issuer: issuer.to_owned(),
            settings: Some(settings),
        };
        self.federation()
            .register_issuer(by(&self.province_admin(), request))
            .await
            .map(|answer| answer.into_inner().issuer.unwrap())
    }

    /// Links an account; the id of the link.
    pub async fn link(&self, account_id: Uuid, issuer_id: &str, subject: &str) -> Result<String, Status> {
        let request = LinkIdentityRequest {
            request_id: fresh(),
            account_id: account_id.to_string(),
            issuer_id: issuer_id.to_owned(),
            subject: subject.to_owned(),
        };
        self.federation()
            .link_identity(by(&self.province_admin(), request))
            .await
            .map(|answer| answer.into_inner().identity.unwrap().identity_id)
    }

    pub async fn begin(&self, issuer: &str) -> Result<Begun, Status> {
        self.begin_at(issuer, REDIRECT).await
    }

    pub async fn begin_at(&self, issuer: &str, redirect_uri: &str) -> Result<Begun, Status> {
        let request = BeginFederatedSignInRequest {
            issuer: issuer.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
        };
        let answer = self.federation().begin_federated_sign_in(request).await?;
        let BeginFederatedSignInResponse {
            authorization_url,
            binding,
            ..
        } = answer.into_inner();
        Ok(Begun {
            authorization_url,
            binding,
        })
    }

    pub async fn complete(
        &self,
        request: CompleteFederatedSignInRequest,
    ) -> Result<CompleteFederatedSignInResponse, Status> {
        let answer = self.federation().complete_federated_sign_in(request).await?;
        Ok(answer.into_inner())
    }

    /// The whole way of somebody whom the issuer calls so.
    pub async fn by_issuer(&self, sso: &Sso, subject: &str) -> Result<CompleteFederatedSignInResponse, Status> {
        let begun = self.begin_at(&sso.url, sso.redirect).await?;
        let code = sso.sign_in(&begun, subject);
        self.complete(begun.answer(&code)).await
    }
}

/// A province with an issuer of the ward and a linked member of its staff, who is called `staff-7` there.
pub struct Linked {
    pub world: World,
    pub sso: Sso,
    pub issuer: FederatedIssuer,
    pub account_id: Uuid,
    pub link_id: String,
}

impl Linked {
    pub async fn start() -> Self {
        Self::with(settings()).await
    }

    pub async fn with(settings: IssuerSettings) -> Self {
        let world = World::start().await;
        let sso = Sso::start(&world).await;
        let issuer = world.register(&sso.url, settings).await.unwrap();
        let person = world.person("an.nguyen", WARD, &[("one_stop_clerk", WARD)]).await;
        let account_id = person.account_id;
        let link_id = world.link(account_id, &issuer.issuer_id, "staff-7").await.unwrap();
        Self {
            world,
            sso,
            issuer,
            account_id,
            link_id,
        }
    }

    /// How many rows a query counts.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.world.sql().await)
            .await
            .unwrap()
    }
}
