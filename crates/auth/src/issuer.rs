//! One issuer and the keys last heard from it: fetched seldom, rotated, and kept through an outage.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::source::{HttpKeySource, KeySource, KeySourceConfig, KeySourceError, StaticKeySource};
use crate::token::KeySet;
use crate::{CallerKind, TokenRefusal, VerifierConfig};

/// An issuer, as configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// The string that must be among the `aud` of its tokens.
    pub audience: String,
    /// Where its keys come from.
    pub keys: KeySourceConfig,
    /// The kinds of callers for which it is trusted; all if absent. An issuer of citizens' tokens should not be able to
    /// make an official.
    #[serde(default = "every_kind")]
    pub kinds: Vec<CallerKind>,
    /// PEM file of the certificate authorities to trust when keys are fetched; the machine's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<PathBuf>,
}

fn every_kind() -> Vec<CallerKind> {
    CallerKind::ALL.to_vec()
}

impl IssuerConfig {
    /// An issuer of every kind of callers' tokens.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, keys: KeySourceConfig) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            keys,
            kinds: every_kind(),
            certificates: None,
        }
    }
}

/// An issuer whose tokens a [`Verifier`](crate::Verifier) accepts.
pub struct Issuer {
    pub(crate) name: String,
    pub(crate) audience: String,
    kinds: Vec<CallerKind>,
    source: Arc<dyn KeySource>,
    known: ArcSwapOption<KnownKeys>,
    /// Held while keys are fetched, so that one request at a time does.
    fetching: Mutex<()>,
    /// Milliseconds since 1970 of the last attempt to fetch; [`NEVER`] before the first.
    last_attempt: AtomicI64,
}

/// No attempt yet. It is far enough from any instant that a difference does not overflow.
const NEVER: i64 = i64::MIN / 2;

/// The keys last heard from an issuer.
pub(crate) struct KnownKeys {
    pub(crate) keys: KeySet,
    /// Grows when the keys become different ones: what was verified under another generation is verified again.
    pub(crate) generation: u64,
    digest: String,
    fetched_at: Timestamp,
}

impl Issuer {
    /// An issuer by its configuration.
    pub fn from_config(config: IssuerConfig) -> Result<Self, KeySourceError> {
        let source: Arc<dyn KeySource> = match (config.keys, config.certificates) {
            (KeySourceConfig::Jwks(keys), _) => Arc::new(StaticKeySource::new(keys)),
            (KeySourceConfig::JwksUrl(url), None) => Arc::new(HttpKeySource::new(&url)?),
            (KeySourceConfig::JwksUrl(url), Some(path)) => Arc::new(HttpKeySource::with_certificates(&url, &path)?),
        };
        Ok(Self::new(config.issuer, config.audience, source).trusted_for(config.kinds))
    }

    /// An issuer whose tokens carry exactly `issuer` as `iss` and, among others perhaps, `audience` as `aud`.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, source: Arc<dyn KeySource>) -> Self {
        Self {
            name: issuer.into(),
            audience: audience.into(),
            kinds: every_kind(),
            source,
            known: ArcSwapOption::empty(),
            fetching: Mutex::new(()),
            last_attempt: AtomicI64::new(NEVER),
        }
    }

    /// Limits the issuer to tokens of these kinds of callers.
    #[must_use]
    pub fn trusted_for(mut self, kinds: Vec<CallerKind>) -> Self {
        self.kinds = kinds;
        self
    }

    pub(crate) fn is_trusted_for(&self, kind: CallerKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The generation of the keys, if any are known.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.known.load().as_ref().map(|known| known.generation)
    }

    /// Whether the keys last heard have this digest.
    pub(crate) fn has_keys(&self, digest: &str) -> bool {
        self.known.load().as_ref().is_some_and(|known| known.digest == digest)
    }

    /// Starts a fetch in the background when the keys have become old. Callers never wait for it.
    pub(crate) fn refresh_if_due(self: &Arc<Self>, now: Timestamp, config: &VerifierConfig) {
        let due = self
            .known
            .load()
            .as_ref()
            .is_some_and(|known| now.duration_since(known.fetched_at).abs() > config.refresh_after);
        if !due || !self.may_attempt(now, config) || self.fetching.try_lock().is_err() {
            return;
        }
        let issuer = Arc::clone(self);
        let config = config.clone();
        tokio::spawn(async move {
            if let Err(error) = issuer.fetch_if_still_due(now, &config).await {
                error.log(&issuer.name);
            }
        });
    }

    /// The keys among which `key_id` is to be looked up.
    ///
    /// An id that is not known leads to one fetch, at most every `config.refetch_interval`, because the issuer may have
    /// begun to use a new key. If that fails, the keys last heard are used, up to `config.keys_max_age`.
    pub(crate) async fn keys_for(
        &self,
        key_id: &str,
        now: Timestamp,
        config: &VerifierConfig,
    ) -> Result<Arc<KnownKeys>, TokenRefusal> {
        let known = self.usable(now, config);
        if let Some(known) = &known
            && known.keys.contains(key_id)
        {
            return Ok(Arc::clone(known));
        }
        let seen = known.as_ref().map(|known| known.fetched_at);
        match self.fetch_unless_newer(now, config, seen).await {
            Ok(fresh) => Ok(fresh),
            Err(error) => {
                error.log(&self.name);
                known.ok_or(TokenRefusal::KeysUnavailable)
            }
        }
    }

    /// Fetches now, whatever the interval.
    pub(crate) async fn refresh(&self, now: Timestamp) -> Result<(), KeySourceError> {
        let _held = self.fetching.lock().await;
        self.last_attempt.store(now.as_millisecond(), Ordering::Relaxed);
        self.load(now).await.map(|_| ())
    }

    fn usable(&self, now: Timestamp, config: &VerifierConfig) -> Option<Arc<KnownKeys>> {
        self.known
            .load_full()
            .filter(|known| now.duration_since(known.fetched_at) <= config.keys_max_age)
    }

    fn may_attempt(&self, now: Timestamp, config: &VerifierConfig) -> bool {
        let last = self.last_attempt.load(Ordering::Relaxed);
        let interval = i64::try_from(config.refetch_interval.as_millis()).unwrap_or(i64::MAX);
        now.as_millisecond().saturating_sub(last).saturating_abs() >= interval
    }

    async fn fetch_if_still_due(&self, now: Timestamp, config: &VerifierConfig) -> Result<(), NoNewKeys> {
        let _held = self.fetching.lock().await;
        if !self.may_attempt(now, config) {
            return Ok(());
        }
        self.last_attempt.store(now.as_millisecond(), Ordering::Relaxed);
        self.load(now).await.map(|_| ()).map_err(NoNewKeys::Failed)
    }

    async fn fetch_unless_newer(
        &self,
        now: Timestamp,
        config: &VerifierConfig,
        seen: Option<Timestamp>,
    ) -> Result<Arc<KnownKeys>, NoNewKeys> {
        let _held = self.fetching.lock().await;
        // Somebody may have fetched while we waited.
        if let Some(known) = self.usable(now, config)
            && Some(known.fetched_at) != seen
        {
            return Ok(known);
        }
        if !self.may_attempt(now, config) {
            return Err(NoNewKeys::TooSoon);
        }
        self.last_attempt.store(now.as_millisecond(), Ordering::Relaxed);
        self.load(now).await.map_err(NoNewKeys::Failed)
    }

    /// Fetches and stores; to be called with `fetching` held.
    async fn load(&self, now: Timestamp) -> Result<Arc<KnownKeys>, KeySourceError> {
        let set = self.source.fetch().await?;
        let keys = KeySet::from_jwks(&set).map_err(|ambiguous| KeySourceError::Other(ambiguous.to_string()))?;
        if keys.is_empty() {
            tracing::warn!(issuer = self.name, "the issuer publishes no usable key");
        }
        let before = self.known.load_full();
        let generation = match &before {
            Some(before) if before.keys == keys => before.generation,
            Some(before) => before.generation + 1,
            None => 0,
        };
        if before.as_ref().is_none_or(|before| before.generation != generation) {
            tracing::info!(issuer = self.name, keys = ?keys, "the issuer's keys are known");
        }
        let known = Arc::new(KnownKeys {
            digest: keys.digest(),
            keys,
            generation,
            fetched_at: now,
        });
        self.known.store(Some(Arc::clone(&known)));
        Ok(known)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("name", &self.name)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Why no new keys are there.
enum NoNewKeys {
    /// The last attempt was a moment ago.
    TooSoon,
    /// The attempt failed.
    Failed(KeySourceError),
}

impl NoNewKeys {
    fn log(&self, issuer: &str) {
        if let Self::Failed(error) = self {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(issuer, %error, cause, "the issuer's keys could not be fetched");
        }
    }
}

/// The longest time for which keys are kept through an outage, unless configured.
pub(crate) const KEYS_MAX_AGE: SignedDuration = SignedDuration::from_hours(24);
