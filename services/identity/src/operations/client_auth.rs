//! Who a system is: private_key_jwt (RFC 7523, section 2.2).

use std::sync::LazyLock;

use egov_auth::TokenRefusal;
use egov_auth::token::KeySet;
use egov_clock::Clock as _;
use jsonwebtoken::jwk::JwkSet;

use super::token_grants::{Refused, refuse};
use crate::config::signed;
use crate::domain::assertion::{self, Assertion, Refusal, Rules};
use crate::domain::client::{System, keys_of};
use crate::domain::oauth::{CLIENT_ASSERTION, OAuthError, TokenRequest};
use crate::identity::{Identity, nobody_yet};
use crate::store;

/// A system that proved who it is, and the assertion by which it did; whoever issues a token uses the assertion up.
pub(crate) struct Authenticated {
    pub(crate) system: System,
    pub(crate) assertion: Assertion,
}

/// No key at all: what an unknown client's assertion is checked with.
static NO_KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::from_jwks(&JwkSet { keys: Vec::new() }).unwrap_or_default());

/// Authenticates the client of a token request. That a client is unknown, closed, or signed with another key looks the same;
/// what its genuine assertion says wrongly is told, because its developer needs to know.
pub(crate) async fn authenticate(identity: &Identity, request: &TokenRequest) -> Result<Authenticated, Refused> {
    let failed = || refuse(OAuthError::InvalidClient, "client authentication failed");
    let (Some(kind), Some(client_assertion)) = (&request.client_assertion_type, &request.client_assertion) else {
        return Err(refuse(
            OAuthError::InvalidClient,
            "client_assertion and client_assertion_type are required",
        ));
    };
    if kind != CLIENT_ASSERTION {
        return Err(refuse(
            OAuthError::InvalidClient,
            "client_assertion_type is not supported",
        ));
    }
    let (client_id, _) = assertion::named_issuer(client_assertion)
        .map_err(|refusal| refuse(OAuthError::InvalidClient, refusal.to_string()))?;
    if request.client_id.as_ref().is_some_and(|named| *named != client_id) {
        return Err(refuse(
            OAuthError::InvalidClient,
            "client_id is not the issuer of the assertion",
        ));
    }
    let known = identity
        .database
        .read(&nobody_yet(), async |conn| {
            store::systems::by_client_id(conn, &client_id).await
        })
        .await?;
    let keys = known
        .as_ref()
        .filter(|(system, _)| !system.disabled)
        .map(|(_, key)| keys_of(key));
    let now = identity.clock.now();
    let tokens = &identity.settings.tokens;
    let checked = assertion::verify(
        client_assertion,
        keys.as_ref().unwrap_or(&NO_KEYS),
        &Rules {
            issuer: &client_id,
            subject: Some(&client_id),
            audiences: &identity.audiences(),
            now,
            skew: signed(tokens.skew),
            longest: signed(tokens.assertion_lifetime),
        },
    );
    let assertion = checked.map_err(|refusal| match refusal {
        Refusal::Token(TokenRefusal::UnknownKey | TokenRefusal::BadSignature | TokenRefusal::BadAlgorithm) => failed(),
        told => refuse(OAuthError::InvalidClient, told.to_string()),
    })?;
    match known {
        Some((system, _)) => Ok(Authenticated { system, assertion }),
        None => Err(failed()),
    }
}

impl Identity {
    /// What assertions may name as their audience: the token endpoint or this server's name.
    pub(crate) fn audiences(&self) -> [String; 2] {
        [self.settings.tokens.issuer.clone(), self.token_endpoint()]
    }
}
