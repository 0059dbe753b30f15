//! From a token to a [`Principal`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use egov_clock::{Clock as _, SharedClock};
use futures::future::join_all;
use jiff::SignedDuration;
use moka::sync::Cache;

use crate::claims::{ACCESS_TOKEN_TYPE, TokenClaims};
use crate::issuer::{Issuer, KEYS_MAX_AGE};
use crate::source::KeySourceError;
use crate::token::{Expected, MAX_SKEW, MAX_TOKEN_BYTES, UnverifiedToken, Validity};
use crate::{Principal, TokenRefusal};

/// How strictly, and how often.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// Tolerated clock skew; more than 60 s counts as 60 s.
    pub skew: SignedDuration,
    /// How long after its `iat` a token is accepted at most, whatever its `exp`.
    pub max_token_age: SignedDuration,
    /// Keys older than this are fetched again in the background: so long may a removed key still count.
    pub refresh_after: SignedDuration,
    /// The shortest time between two fetches from one issuer, whoever asks: a flood of tokens with invented key ids
    /// must not become a flood of requests to the issuer.
    pub refetch_interval: SignedDuration,
    /// How long the last keys count when the issuer cannot be reached.
    pub keys_max_age: SignedDuration,
    /// How many verified tokens are remembered.
    pub cached_tokens: u64,
}

impl Default for VerifierConfig {
    /// 30 s of skew, tokens of at most 5 minutes, keys fetched every minute and at most every 5 s, kept for 24 hours
    /// through an outage, 100,000 tokens remembered (some 60 MB).
    fn default() -> Self {
        Self {
            skew: SignedDuration::from_secs(30),
            max_token_age: SignedDuration::from_mins(5),
            refresh_after: SignedDuration::from_mins(1),
            refetch_interval: SignedDuration::from_secs(5),
            keys_max_age: KEYS_MAX_AGE,
            cached_tokens: 100_000,
        }
    }
}

/// Verifies access tokens of a fixed list of issuers.
///
/// A verified token is remembered by its SHA-256 until it ends, so that the next call with it costs a hash and a
/// look-up. When an issuer's keys change, what was verified under the old ones is verified again.
///
/// Revocation is not looked at here, but by [`AuthLayer`](crate::AuthLayer) at every call, remembered token or not.
/// Whoever verifies without the layer asks [`Revocations`](crate::Revocations) as well.
pub struct Verifier {
    issuers: Vec<Arc<Issuer>>,
    clock: SharedClock,
    config: VerifierConfig,
    verified: Cache<[u8; 32], Arc<Remembered>>,
}

/// A token that was verified before.
struct Remembered {
    principal: Arc<Principal>,
    validity: Validity,
    issuer: Arc<Issuer>,
    generation: u64,
}

impl Verifier {
    /// Accepts tokens of `issuers` by `clock`. Of two issuers with one name the first counts.
    pub fn new(issuers: Vec<Issuer>, clock: SharedClock, config: VerifierConfig) -> Self {
        // By the cache's own clock, only to free memory; whether a token counts is decided by ours.
        let kept = Duration::try_from(config.max_token_age.saturating_add(MAX_SKEW)).unwrap_or(Duration::from_mins(1));
        let verified = Cache::builder()
            .max_capacity(config.cached_tokens)
            .time_to_live(kept)
            .build();
        Self {
            issuers: issuers.into_iter().map(Arc::new).collect(),
            clock,
            config,
            verified,
        }
    }

    /// The present day in Việt Nam, by the clock by which tokens are judged.
    pub(crate) fn today(&self) -> jiff::civil::Date {
        self.clock.today()
    }

    /// The caller whom `token` makes known. `token` is the bare token, without `Bearer`.
    pub async fn verify(&self, token: &str) -> Result<Arc<Principal>, TokenRefusal> {
        if token.is_empty() {
            return Err(TokenRefusal::Missing);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenRefusal::Malformed("it is longer than 8 KiB"));
        }
        let now = self.clock.now();
        let digest = sha256(token);
        if let Some(known) = self.verified.get(&digest)
            && known.issuer.generation() == Some(known.generation)
        {
            known.issuer.refresh_if_due(now, &self.config);
            known.validity.check(now, self.config.skew)?;
            return Ok(Arc::clone(&known.principal));
        }

        let unverified = UnverifiedToken::parse(token)?;
        unverified.expect_type(&[ACCESS_TOKEN_TYPE])?;
        let issuer = self.issuer(&unverified.claimed_issuer()?)?;
        issuer.refresh_if_due(now, &self.config);
        let key_id = unverified.key_id().ok_or(TokenRefusal::UnknownKey)?;
        let known = issuer.keys_for(key_id, now, &self.config).await?;
        let genuine = known.keys.verify(&unverified)?;

        // The keys may have come from far away: what counts is the time now.
        let now = self.clock.now();
        let expected = Expected {
            issuer: &issuer.name,
            audience: &issuer.audience,
            max_age: self.config.max_token_age,
            skew: self.config.skew,
        };
        let (claims, validity) = genuine.claims::<TokenClaims>(&expected, now)?;
        if !issuer.is_trusted_for(claims.kind) {
            return Err(TokenRefusal::UnknownIssuer);
        }
        let principal = Arc::new(claims.into_principal(key_id, validity.until)?);
        let remembered = Remembered {
            principal: Arc::clone(&principal),
            validity,
            issuer: Arc::clone(issuer),
            generation: known.generation,
        };
        self.verified.insert(digest, Arc::new(remembered));
        Ok(principal)
    }

    /// Fetches the keys of every issuer now, of all at once: at start, so that the first caller does not wait, and when an issuer says
    /// that its keys changed.
    ///
    /// Errors: the first failure, after every issuer was asked. Tokens of the others are verified all the same.
    pub async fn refresh(&self) -> Result<(), KeySourceError> {
        let now = self.clock.now();
        let asked = self.issuers.iter().map(|issuer| issuer.refresh(now));
        join_all(asked).await.into_iter().fold(Ok(()), Result::and)
    }

    /// Makes sure that the keys with this digest ([`key_set_digest`](crate::key_set_digest)) are known. Whoever follows an
    /// issuer's own announcement of its keys calls it: a new key is then known before the first token that it signs, and the
    /// interval that protects the issuer from invented key ids does not stand in the way. Costs nothing while the digest is
    /// that of the known keys.
    ///
    /// Errors: the keys could not be fetched, or no issuer publishes them (yet); ask again later.
    pub async fn expect_keys(&self, digest: &str) -> Result<(), KeySourceError> {
        let known = || self.issuers.iter().any(|issuer| issuer.has_keys(digest));
        if known() {
            return Ok(());
        }
        let fetched = self.refresh().await;
        if known() {
            return Ok(());
        }
        fetched?;
        Err(KeySourceError::Other(
            "the published keys are not the ones that were announced".to_owned(),
        ))
    }

    fn issuer(&self, name: &str) -> Result<&Arc<Issuer>, TokenRefusal> {
        self.issuers
            .iter()
            .find(|issuer| issuer.name == name)
            .ok_or(TokenRefusal::UnknownIssuer)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuers", &self.issuers)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn sha256(token: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    out
}
