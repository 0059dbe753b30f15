//! A local issuer for the tests of this crate.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several test binaries, each of which uses a part; tests fail loudly"
)]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_auth::{Assurance, CallerKind, KeySource, KeySourceError, RoleClaim, SignatureAlgorithm, TokenClaims};
use egov_clock::{Clock as _, ManualClock};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use uuid::Uuid;

pub const ISSUER: &str = "https://identity.example";
pub const AUDIENCE: &str = "egov";

/// 08:00 in Vietnam.
pub fn clock() -> ManualClock {
    ManualClock::at("2026-11-23T01:00:00Z".parse().unwrap())
}

pub struct TestKey {
    pub id: String,
    pub algorithm: SignatureAlgorithm,
    pub encoding: EncodingKey,
}

impl TestKey {
    pub fn es256(id: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self {
            id: id.to_owned(),
            algorithm: SignatureAlgorithm::Es256,
            encoding: EncodingKey::from_ec_der(pkcs8.as_ref()),
        }
    }

    pub fn eddsa(id: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        Self {
            id: id.to_owned(),
            algorithm: SignatureAlgorithm::EdDsa,
            encoding: EncodingKey::from_ed_der(pkcs8.as_ref()),
        }
    }

    pub fn jwk(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.encoding, self.algorithm.to_jsonwebtoken()).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        jwk
    }

    pub fn header(&self) -> Value {
        json!({"typ": "at+jwt", "alg": self.algorithm.as_str(), "kid": self.id})
    }

    /// A token with any header and claims, signed by this key with its own algorithm.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.raw_signature(&signed, self.algorithm.to_jsonwebtoken());
        format!("{signed}.{signature}")
    }

    pub fn raw_signature(&self, signed: &str, algorithm: Algorithm) -> String {
        jsonwebtoken::crypto::sign(signed.as_bytes(), &self.encoding, algorithm).unwrap()
    }

    pub fn sign(&self, claims: &TokenClaims) -> String {
        let header = TokenClaims::header(self.algorithm, self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }
}

pub fn jwks(keys: &[&TestKey]) -> JwkSet {
    JwkSet {
        keys: keys.iter().map(|key| key.jwk()).collect(),
    }
}

/// Claims of an official, issued now for five minutes.
pub fn staff(clock: &ManualClock, roles: &[(&str, i32)]) -> TokenClaims {
    let now = clock.now().as_second();
    TokenClaims {
        iss: ISSUER.to_owned(),
        sub: Uuid::from_u128(1),
        aud: AUDIENCE.into(),
        exp: now + 300,
        nbf: Some(now),
        iat: now,
        jti: "token-1".to_owned(),
        kind: CallerKind::Staff,
        roles: roles
            .iter()
            .map(|(role, unit)| RoleClaim {
                role: (*role).to_owned(),
                unit: *unit,
            })
            .collect(),
        dlg: Vec::new(),
        unit: None,
        acr: Assurance::High,
        sid: None,
        act: None,
        client_id: None,
        cnf: None,
        name: None,
    }
}

/// Claims of a citizen, issued now for five minutes.
pub fn citizen(clock: &ManualClock, subject: Uuid, acr: Assurance) -> TokenClaims {
    TokenClaims {
        sub: subject,
        kind: CallerKind::Citizen,
        acr,
        ..staff(clock, &[])
    }
}

/// Keys that can be exchanged, or be out of reach, and that count how often they are fetched.
#[derive(Default)]
pub struct SwitchedSource {
    keys: Mutex<Option<JwkSet>>,
    fetches: AtomicUsize,
}

impl SwitchedSource {
    pub fn with(keys: JwkSet) -> Arc<Self> {
        let source = Self::default();
        source.publish(Some(keys));
        Arc::new(source)
    }

    /// `None` is an outage.
    pub fn publish(&self, keys: Option<JwkSet>) {
        *self.keys.lock().unwrap() = keys;
    }

    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl KeySource for SwitchedSource {
    async fn fetch(&self) -> Result<JwkSet, KeySourceError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let keys = self.keys.lock().unwrap().clone();
        keys.ok_or_else(|| KeySourceError::Other("out of reach".to_owned()))
    }
}
