//! The issuers that vouch for citizens, and their keys.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use egov_auth::token::KeySet;
use egov_auth::{Assurance, HttpKeySource, KeySource, KeySourceConfig, KeySourceError, StaticKeySource};
use egov_fault::Fault;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::config::AssertionIssuerConfig;

/// Keys older than this are fetched again.
const REFRESH_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// Whatever is asked, an issuer is asked no more often than this.
const REFETCH_INTERVAL: SignedDuration = SignedDuration::from_secs(5);
/// Through an outage of the issuer its last keys count this long.
const KEYS_MAX_AGE: SignedDuration = SignedDuration::from_hours(24);

/// Every trusted issuer.
pub(crate) struct TrustedIssuers(Vec<TrustedIssuer>);

/// One trusted issuer.
pub(crate) struct TrustedIssuer {
    name: String,
    assurance: BTreeMap<String, Assurance>,
    personal_number_claim: Option<String>,
    source: Arc<dyn KeySource>,
    known: std::sync::Mutex<Known>,
    /// Held while the issuer is asked: one question at a time, and whoever has its key does not wait for the answer.
    asking: Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    keys: Option<(Arc<KeySet>, Timestamp)>,
    asked: Option<Timestamp>,
}

impl TrustedIssuers {
    /// The issuers of the configuration. Fails if an address or certificate cannot be used, or a name occurs twice.
    pub(crate) fn new(config: &[AssertionIssuerConfig]) -> Result<Self, Fault> {
        let mut issuers: Vec<TrustedIssuer> = Vec::with_capacity(config.len());
        for one in config {
            if issuers.iter().any(|known| known.name == one.issuer) {
                return Err(Fault::internal(format!(
                    "the issuer {} is configured twice",
                    one.issuer
                )));
            }
            issuers.push(TrustedIssuer {
                name: one.issuer.clone(),
                assurance: one.assurance.clone(),
                personal_number_claim: one.personal_number_claim.clone(),
                source: source(one).map_err(Fault::internal)?,
                known: std::sync::Mutex::default(),
                asking: Mutex::default(),
            });
        }
        Ok(Self(issuers))
    }

    /// The issuer of this name, if it is trusted.
    pub(crate) fn find(&self, name: &str) -> Option<&TrustedIssuer> {
        self.0.iter().find(|issuer| issuer.name == name)
    }
}

fn source(config: &AssertionIssuerConfig) -> Result<Arc<dyn KeySource>, KeySourceError> {
    Ok(match (&config.keys, &config.certificates) {
        (KeySourceConfig::Jwks(keys), _) => Arc::new(StaticKeySource::new(keys.clone())),
        (KeySourceConfig::JwksUrl(url), None) => Arc::new(HttpKeySource::new(url)?),
        (KeySourceConfig::JwksUrl(url), Some(path)) => Arc::new(HttpKeySource::with_certificates(url, path)?),
    })
}

impl TrustedIssuer {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How surely it says that it identified the person. A word that nobody explained to us means "not identified".
    pub(crate) fn assurance(&self, claims: &Map<String, Value>) -> Assurance {
        claims
            .get("acr")
            .and_then(Value::as_str)
            .and_then(|word| self.assurance.get(word))
            .copied()
            .unwrap_or_default()
    }

    /// The personal number as it stands in the claims.
    pub(crate) fn personal_number<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c str> {
        claims.get(self.personal_number_claim.as_deref()?)?.as_str()
    }

    /// The keys with which to check an assertion that names `key_id`. A key that is not known leads to one question to the
    /// issuer; when it does not answer, the keys last heard count for a day.
    pub(crate) async fn keys(&self, key_id: Option<&str>, now: Timestamp) -> Option<Arc<KeySet>> {
        let known = self.known();
        let has_key = known
            .keys
            .as_ref()
            .is_some_and(|(keys, _)| key_id.is_some_and(|id| keys.contains(id)));
        let is_fresh = known
            .keys
            .as_ref()
            .is_some_and(|(_, fetched)| now.duration_since(*fetched) < REFRESH_AFTER);
        if !(has_key && is_fresh) {
            let turn = if has_key {
                self.asking.try_lock().ok()
            } else {
                Some(self.asking.lock().await)
            };
            if turn.is_some() {
                self.ask(now).await;
            }
        }
        self.known()
            .keys
            .filter(|(_, fetched)| now.duration_since(*fetched) < KEYS_MAX_AGE)
            .map(|(keys, _)| keys)
    }

    /// Asks the issuer, unless somebody did a moment ago.
    async fn ask(&self, now: Timestamp) {
        let may_ask = self
            .known()
            .asked
            .is_none_or(|asked| now.duration_since(asked).abs() >= REFETCH_INTERVAL);
        if !may_ask {
            return;
        }
        let fetched = self.fetch().await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.asked = Some(now);
        match fetched {
            Ok(keys) => known.keys = Some((Arc::new(keys), now)),
            Err(error) => {
                tracing::warn!(issuer = self.name, %error, "the issuer's keys could not be fetched");
            }
        }
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn fetch(&self) -> Result<KeySet, KeySourceError> {
        let set = self.source.fetch().await?;
        KeySet::from_jwks(&set).map_err(|ambiguous| KeySourceError::Other(ambiguous.to_string()))
    }
}

impl std::fmt::Debug for TrustedIssuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(TrustedIssuer::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use jsonwebtoken::jwk::JwkSet;
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Shaky {
        asked: AtomicUsize,
    }

    #[async_trait]
    impl KeySource for Shaky {
        async fn fetch(&self) -> Result<JwkSet, KeySourceError> {
            // Answers once and never again.
            if self.asked.fetch_add(1, Ordering::SeqCst) > 0 {
                return Err(KeySourceError::Other("away".to_owned()));
            }
            let keys = egov_keyring::Keyring::ephemeral().jwks(egov_keyring::Purpose::TokenSigning);
            Ok(serde_json::from_value(keys).unwrap())
        }
    }

    fn issuer(source: Arc<dyn KeySource>) -> TrustedIssuer {
        TrustedIssuer {
            name: "https://eid.test".to_owned(),
            assurance: BTreeMap::from([("2".to_owned(), Assurance::Substantial)]),
            personal_number_claim: Some("pid".to_owned()),
            source,
            known: std::sync::Mutex::default(),
            asking: Mutex::default(),
        }
    }

    #[tokio::test]
    async fn an_unknown_key_asks_seldom_and_an_outage_is_survived_for_a_day() {
        let source = Arc::new(Shaky {
            asked: AtomicUsize::new(0),
        });
        let issuer = issuer(Arc::clone(&source) as Arc<dyn KeySource>);
        let start: Timestamp = "2026-11-23T01:00:00Z".parse().unwrap();
        assert!(issuer.keys(Some("x"), start).await.is_some());
        for _ in 0..100 {
            assert!(issuer.keys(Some("x"), start).await.is_some());
        }
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
        let later = start + SignedDuration::from_secs(5);
        assert!(issuer.keys(Some("x"), later).await.is_some());
        assert_eq!(source.asked.load(Ordering::SeqCst), 2);
        let next_day = start + SignedDuration::from_hours(24);
        assert!(issuer.keys(Some("x"), next_day).await.is_none());
    }

    #[test]
    fn only_explained_words_raise_the_assurance() {
        let issuer = issuer(Arc::new(Shaky {
            asked: AtomicUsize::new(0),
        }));
        let claims = |value: Value| value.as_object().unwrap().clone();
        let level = |value| issuer.assurance(&claims(value));
        assert_eq!(level(json!({"acr": "2"})), Assurance::Substantial);
        assert_eq!(level(json!({"acr": "high"})), Assurance::None);
        assert_eq!(level(json!({})), Assurance::None);
        let with_number = claims(json!({"pid": "040190000123"}));
        assert_eq!(issuer.personal_number(&with_number), Some("040190000123"));
    }
}
