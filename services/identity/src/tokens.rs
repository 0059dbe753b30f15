//! Access tokens: what identity issues is exactly what `egov_auth` verifies.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use egov_auth::{
    ACCESS_TOKEN_TYPE, ActorClaim, Assurance, CallerKind, ConfirmationClaim, DelegatedClaim, Issuer, KeySource,
    KeySourceError, RoleClaim, TokenClaims,
};
use egov_clock::SharedIds;
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose, SigningKey};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::JwkSet;
use uuid::Uuid;

use crate::config::{LONGEST_ACCESS_TOKEN, TokenConfig, signed};

/// For whom a token is issued, and what it says.
#[derive(Clone, Debug)]
pub(crate) struct TokenFor {
    /// What sort of caller.
    pub kind: CallerKind,
    /// The account, the system, or the citizen for whom a system acts.
    pub subject: Uuid,
    /// Roles in force, by internal unit ids.
    pub roles: Vec<RoleClaim>,
    /// Roles that others delegated to the account, and that count today.
    pub delegated: Vec<DelegatedClaim>,
    /// The unit to which the account belongs.
    pub unit: Option<i32>,
    /// How surely the subject was identified.
    pub assurance: Assurance,
    /// The session of which the token is part.
    pub session: Option<Uuid>,
    /// The system that acts for the subject.
    pub actor: Option<Uuid>,
    /// The client that the token is for, if a system is.
    pub client: Option<ClientOf>,
    /// Until when tokens of the subject (or of the actor) were revoked last.
    pub revoked_until: Option<Timestamp>,
}

/// The client that asks for a token.
#[derive(Clone, Debug)]
pub(crate) struct ClientOf {
    /// Its client id.
    pub client_id: String,
    /// SHA-256 of the certificate under which it asks, base64url: the token is bound to it.
    pub certificate: Option<String>,
}

/// An issued token.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// The token.
    pub token: String,
    /// Whole seconds until it ends.
    pub expires_in: i64,
}

/// Issues access tokens.
pub(crate) struct TokenIssuer {
    keys: PublishedFirst,
    ids: SharedIds,
    issuer: String,
    audience: String,
    lifetime: SignedDuration,
}

/// The key of a purpose with which is signed what others verify by the published keys.
///
/// It is not always the newest: a new key is published first and signs only after [`TokenConfig::publish_before_use`], so that
/// whoever keeps the published keys for a while knows it by then. A key that was taken out of use at once (rotated without
/// overlap, or withdrawn, as after a theft) signs nothing any more.
pub(crate) struct PublishedFirst {
    purpose: Purpose,
    keyring: Keyring,
    publish_before_use: SignedDuration,
    signing: Mutex<Signing>,
}

struct Signing {
    current: SigningKey,
    /// The id of a newer key, and when it was first seen here.
    newer: Option<(String, Timestamp)>,
}

impl TokenIssuer {
    /// An issuer by its configuration. What lives longer than five minutes is cut to five minutes.
    pub(crate) fn new(config: &TokenConfig, keyring: Keyring, ids: SharedIds) -> Self {
        Self {
            ids,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            lifetime: signed(config.lifetime.min(LONGEST_ACCESS_TOKEN)),
            keys: PublishedFirst::new(Purpose::TokenSigning, config, keyring),
        }
    }

    /// Issues a token at `now`.
    pub(crate) fn issue(&self, to: TokenFor, now: Timestamp) -> Result<Issued, Fault> {
        // Times in tokens are whole seconds, and a revocation voids what was issued up to its instant. A token of the same
        // second, issued after the revocation, is dated one second later; verifiers tolerate that much.
        let issued = match to.revoked_until {
            Some(revoked) => now.as_second().max(revoked.as_second() + 1),
            None => now.as_second(),
        };
        let expires = issued + self.lifetime.as_secs();
        let claims = TokenClaims {
            iss: self.issuer.clone(),
            sub: to.subject,
            aud: self.audience.as_str().into(),
            exp: expires,
            nbf: None,
            iat: issued,
            jti: self.ids.uuid().to_string(),
            kind: to.kind,
            roles: to.roles,
            dlg: to.delegated,
            unit: to.unit,
            acr: to.assurance,
            sid: to.session,
            act: to.actor.map(|sub| ActorClaim { sub }),
            client_id: to.client.as_ref().map(|client| client.client_id.clone()),
            cnf: to
                .client
                .and_then(|client| client.certificate)
                .map(|certificate| ConfirmationClaim { certificate }),
            name: None,
        };
        let token = self
            .keys
            .at(now)
            .jwt(ACCESS_TOKEN_TYPE, &claims)
            .map_err(Fault::internal)?;
        Ok(Issued {
            token,
            expires_in: expires - now.as_second(),
        })
    }

    /// The id of the key that signs at `now`.
    pub(crate) fn signing_key_id(&self, now: Timestamp) -> String {
        self.keys.at(now).id().to_owned()
    }
}

impl PublishedFirst {
    /// The keys of a purpose that are published.
    pub(crate) fn new(purpose: Purpose, config: &TokenConfig, keyring: Keyring) -> Self {
        Self {
            purpose,
            publish_before_use: signed(config.publish_before_use),
            signing: Mutex::new(Signing {
                current: keyring.signing(purpose),
                newer: None,
            }),
            keyring,
        }
    }

    /// The key that signs at `now`.
    pub(crate) fn at(&self, now: Timestamp) -> SigningKey {
        // A key that another process withdrew must not sign a single time more.
        self.keyring.notice_changes(self.purpose);
        let newest = self.keyring.signing(self.purpose);
        let mut signing = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.id() == signing.current.id() {
            signing.newer = None;
            return newest;
        }
        let seen = match &signing.newer {
            Some((id, seen)) if id == newest.id() => *seen,
            _ => {
                signing.newer = Some((newest.id().to_owned(), now));
                now
            }
        };
        let known_by_now = now.duration_since(seen) >= self.publish_before_use;
        if known_by_now || !self.is_published(signing.current.id()) {
            signing.current = newest;
            signing.newer = None;
        }
        signing.current.clone()
    }

    fn is_published(&self, key_id: &str) -> bool {
        published(&self.keyring, self.purpose).is_ok_and(|keys| keys.find(key_id).is_some())
    }
}

impl std::fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

fn published(keyring: &Keyring, purpose: Purpose) -> Result<JwkSet, serde_json::Error> {
    serde_json::from_value(keyring.jwks(purpose))
}

/// The issuer as a verifier in the same process takes it: its keys come from the keyring, not over the network.
pub fn local_issuer(config: &TokenConfig, keyring: Keyring) -> Issuer {
    Issuer::new(
        config.issuer.clone(),
        config.audience.clone(),
        std::sync::Arc::new(KeyringKeys(keyring)),
    )
}

struct KeyringKeys(Keyring);

#[async_trait]
impl KeySource for KeyringKeys {
    async fn fetch(&self) -> Result<JwkSet, KeySourceError> {
        Ok(published(&self.0, Purpose::TokenSigning)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_auth::{Verifier, VerifierConfig};
    use egov_clock::{Clock as _, ManualClock, SystemIds};
    use egov_runtime::config::Period;

    fn config() -> TokenConfig {
        TokenConfig {
            issuer: "https://id.test".to_owned(),
            ..TokenConfig::default()
        }
    }

    fn clock() -> ManualClock {
        ManualClock::at("2026-11-23T01:00:00.7Z".parse().unwrap())
    }

    fn citizen() -> TokenFor {
        TokenFor {
            kind: CallerKind::Citizen,
            subject: Uuid::from_u128(7),
            roles: Vec::new(),
            delegated: Vec::new(),
            unit: None,
            assurance: Assurance::Substantial,
            session: None,
            actor: None,
            client: None,
            revoked_until: None,
        }
    }

    fn verifier(keyring: &Keyring, clock: &ManualClock) -> Verifier {
        let issuer = local_issuer(&config(), keyring.clone());
        Verifier::new(vec![issuer], clock.shared(), VerifierConfig::default())
    }

    #[tokio::test]
    async fn what_is_issued_is_what_the_platform_verifies() {
        let (keyring, clock) = (Keyring::ephemeral(), clock());
        let tokens = TokenIssuer::new(&config(), keyring.clone(), SystemIds::shared());
        let issued = tokens.issue(citizen(), clock.now()).unwrap();
        assert_eq!(issued.expires_in, 300);
        let principal = verifier(&keyring, &clock).verify(&issued.token).await.unwrap();
        assert_eq!(principal.subject, Uuid::from_u128(7));
        assert!(principal.token_id.parse::<Uuid>().is_ok());
        assert_eq!(principal.citizen(), Some((Uuid::from_u128(7), Assurance::Substantial)));
    }

    #[tokio::test]
    async fn a_token_issued_right_after_a_revocation_is_not_void() {
        let (keyring, clock) = (Keyring::ephemeral(), clock());
        let tokens = TokenIssuer::new(&config(), keyring.clone(), SystemIds::shared());
        let after = TokenFor {
            revoked_until: Some(clock.now()),
            ..citizen()
        };
        let issued = tokens.issue(after, clock.now()).unwrap();
        let principal = verifier(&keyring, &clock).verify(&issued.token).await.unwrap();
        assert!(principal.issued_at > clock.now());
    }

    #[test]
    fn no_configuration_makes_a_token_live_longer_than_five_minutes() {
        let long = TokenConfig {
            lifetime: Period::seconds(3600),
            ..config()
        };
        let tokens = TokenIssuer::new(&long, Keyring::ephemeral(), SystemIds::shared());
        assert_eq!(tokens.issue(citizen(), clock().now()).unwrap().expires_in, 300);
    }

    #[tokio::test]
    async fn a_new_key_is_published_before_it_signs() {
        let (keyring, clock) = (Keyring::ephemeral(), clock());
        let tokens = TokenIssuer::new(&config(), keyring.clone(), SystemIds::shared());
        let verifier = verifier(&keyring, &clock);
        let old = tokens.signing_key_id(clock.now());
        let new = keyring
            .rotate(Purpose::TokenSigning, SignedDuration::from_hours(1), &clock)
            .unwrap();
        assert!(published(&keyring, Purpose::TokenSigning).unwrap().find(&new).is_some());
        assert_eq!(tokens.signing_key_id(clock.now()), old);
        let before = tokens.issue(citizen(), clock.now()).unwrap();
        clock.advance(SignedDuration::from_secs(119));
        assert_eq!(tokens.signing_key_id(clock.now()), old);
        clock.advance(SignedDuration::from_secs(1));
        assert_eq!(tokens.signing_key_id(clock.now()), new);
        let after = tokens.issue(citizen(), clock.now()).unwrap();
        assert!(verifier.verify(&before.token).await.is_ok());
        assert!(verifier.verify(&after.token).await.is_ok());
    }

    #[test]
    fn a_key_that_another_process_withdrew_signs_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let (path, clock) = (folder.path().join("keys"), clock());
        let other = Keyring::create_missing(&path, &clock).unwrap();
        let tokens = TokenIssuer::new(&config(), Keyring::open(&path, &clock).unwrap(), SystemIds::shared());
        let stolen = tokens.signing_key_id(clock.now());
        let made = other.withdraw(Purpose::TokenSigning, &stolen, &clock).unwrap().unwrap();
        assert_eq!(tokens.signing_key_id(clock.now()), made);
    }

    #[test]
    fn a_key_that_was_taken_out_of_use_at_once_signs_nothing_more() {
        let (keyring, clock) = (Keyring::ephemeral(), clock());
        let tokens = TokenIssuer::new(&config(), keyring.clone(), SystemIds::shared());
        let new = keyring
            .rotate(Purpose::TokenSigning, SignedDuration::ZERO, &clock)
            .unwrap();
        assert_eq!(tokens.signing_key_id(clock.now()), new);
    }
}
