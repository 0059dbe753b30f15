//! An issuer of this process, for trying the example and for its test. Its key is made at the start and forgotten.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use egov_auth::{Assurance, CallerKind, Issuer, RoleClaim, SignatureAlgorithm, StaticKeySource, TokenClaims};
use jiff::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey};
use uuid::Uuid;

const ISSUER: &str = "https://issuer.volunteers.example";
const AUDIENCE: &str = "volunteers";
const KEY_ID: &str = "example-key";

pub(crate) struct LocalIssuer {
    key: EncodingKey,
    public: Jwk,
}

impl LocalIssuer {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
        let key = EncodingKey::from_ec_der(pkcs8.as_ref());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        public.common.key_id = Some(KEY_ID.to_owned());
        Ok(Self { key, public })
    }

    pub(crate) fn issuer(&self) -> Issuer {
        let keys = JwkSet {
            keys: vec![self.public.clone()],
        };
        Issuer::new(ISSUER, AUDIENCE, Arc::new(StaticKeySource::new(keys)))
    }

    /// A token of an official with one role at one unit, valid for five minutes from `now`.
    pub(crate) fn staff(&self, role: &str, unit: i32, now: Timestamp) -> Result<String, Box<dyn Error>> {
        let roles = vec![RoleClaim {
            role: role.to_owned(),
            unit,
        }];
        self.sign(&TokenClaims {
            roles,
            ..claims(CallerKind::Staff, Uuid::from_u128(1), now)
        })
    }

    /// A token of a citizen with an electronic identity of level 2, valid for five minutes from `now`.
    pub(crate) fn citizen(&self, account: Uuid, now: Timestamp) -> Result<String, Box<dyn Error>> {
        self.sign(&claims(CallerKind::Citizen, account, now))
    }

    fn sign(&self, claims: &TokenClaims) -> Result<String, Box<dyn Error>> {
        let header = TokenClaims::header(SignatureAlgorithm::Es256, KEY_ID);
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }

    /// Commands for the person who started the example.
    pub(crate) fn what_to_try(&self, now: Timestamp) -> Result<String, Box<dyn Error>> {
        let keeper = self.staff("register_keeper", 10, now)?;
        let volunteer = Uuid::from_u128(7);
        let citizen = self.citizen(volunteer, now)?;
        let mut text = String::from("try, within five minutes:\n");
        writeln!(
            text,
            "  KEEPER={keeper}\n  CITIZEN={citizen}\n  \
             curl -d '{{\"unit\":11,\"account\":\"{volunteer}\",\"name\":\"Nguyễn Thị Bình\"}}' \
             -H \"authorization: Bearer $KEEPER\" -H 'content-type: application/json' localhost:8099/volunteers\n  \
             curl -H \"authorization: Bearer $CITIZEN\" -H 'x-egov-purpose: own_data' localhost:8099/volunteers\n  \
             curl -i -H \"authorization: Bearer $KEEPER\" localhost:8099/volunteers    # no purpose: refused",
        )?;
        Ok(text)
    }
}

fn claims(kind: CallerKind, subject: Uuid, now: Timestamp) -> TokenClaims {
    let now = now.as_second();
    TokenClaims {
        iss: ISSUER.to_owned(),
        sub: subject,
        aud: AUDIENCE.into(),
        exp: now + 300,
        nbf: Some(now),
        iat: now,
        jti: format!("{kind}-{now}"),
        kind,
        roles: Vec::new(),
        dlg: Vec::new(),
        unit: None,
        acr: Assurance::Substantial,
        sid: None,
        act: None,
        client_id: None,
        cnf: None,
        name: None,
    }
}
