//! The check of a token: the first time, against jsonwebtoken alone; and again, when it is remembered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use egov_auth::{
    ACCESS_TOKEN_TYPE, CallerKind, IssuerConfig, KeySourceConfig, RoleClaim, TokenClaims, Verifier, VerifierConfig,
};
use egov_clock::{Clock as _, SystemClock};
use egov_keyring::{Keyring, Purpose};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};

use super::stage::system_claims;
use super::{Aim, How, Outcome, Run, outcome};

const ISSUER: &str = "https://issuer.bench";
const AUDIENCE: &str = "egov";

/// Tokens of one go: each is new to the verifier that is asked.
const TOKENS: usize = 2_000;

/// Times one call after the other.
struct Stopwatch {
    took: Vec<Duration>,
    errors: u64,
    all: Duration,
}

impl Stopwatch {
    fn new() -> Self {
        Self {
            took: Vec::with_capacity(1_000_000),
            errors: 0,
            all: Duration::ZERO,
        }
    }

    fn note(&mut self, took: Duration, right: bool) {
        self.took.push(took);
        self.all += took;
        self.errors += u64::from(!right);
    }

    fn run(mut self) -> Run {
        self.took.sort_unstable();
        let at = |part: f64| {
            let place = (self.took.len() as f64 * part) as usize;
            self.took
                .get(place.min(self.took.len().saturating_sub(1)))
                .map_or(f64::NAN, |took| took.as_nanos() as f64 / 1000.0)
        };
        Run {
            per_second: self.took.len() as f64 / self.all.as_secs_f64(),
            p50_us: at(0.50),
            p95_us: at(0.95),
            p99_us: at(0.99),
            errors: self.errors,
        }
    }
}

/// Tokens of as many callers, signed by one key.
fn tokens(keyring: &Keyring) -> anyhow::Result<Vec<String>> {
    let clock = SystemClock::shared();
    let key = keyring.signing(Purpose::TokenSigning);
    let now = clock.now().as_second();
    (0..TOKENS)
        .map(|_| {
            let claims = TokenClaims {
                kind: CallerKind::Staff,
                roles: vec![RoleClaim {
                    role: "officer".to_owned(),
                    unit: 7,
                }],
                unit: Some(7),
                ..system_claims(ISSUER, AUDIENCE, now)
            };
            Ok(key.jwt(ACCESS_TOKEN_TYPE, &claims)?)
        })
        .collect()
}

async fn verifier(keyring: &Keyring) -> anyhow::Result<Verifier> {
    let keys: JwkSet = serde_json::from_value(keyring.jwks(Purpose::TokenSigning))?;
    let issuer = IssuerConfig::new(ISSUER, AUDIENCE, KeySourceConfig::Jwks(keys));
    let issuer = egov_auth::Issuer::from_config(issuer)?;
    let verifier = Verifier::new(vec![issuer], SystemClock::shared(), VerifierConfig::default());
    verifier.refresh().await?;
    Ok(verifier)
}

/// Every token for the first time, by verifiers that have seen none.
async fn cold(keyring: &Keyring, duration: Duration) -> anyhow::Result<Run> {
    let mut watch = Stopwatch::new();
    while watch.all < duration {
        let (verifier, tokens) = (verifier(keyring).await?, tokens(keyring)?);
        for token in &tokens {
            let begin = Instant::now();
            let verified = verifier.verify(token).await;
            watch.note(begin.elapsed(), verified.is_ok());
        }
    }
    Ok(watch.run())
}

/// The same tokens again and again.
async fn cached(keyring: &Keyring, duration: Duration) -> anyhow::Result<Run> {
    let (verifier, tokens) = (verifier(keyring).await?, tokens(keyring)?);
    for token in &tokens {
        if verifier.verify(token).await.is_err() {
            bail!("a token of the benchmark is refused");
        }
    }
    let mut watch = Stopwatch::new();
    while watch.all < duration {
        for token in &tokens {
            let begin = Instant::now();
            let verified = verifier.verify(token).await;
            watch.note(begin.elapsed(), verified.is_ok());
        }
    }
    Ok(watch.run())
}

/// The same check by the library alone: signature, issuer, audience, times, claims.
fn anchor(keyring: &Keyring, duration: Duration) -> anyhow::Result<f64> {
    let keys: JwkSet = serde_json::from_value(keyring.jwks(Purpose::TokenSigning))?;
    let mut watch = Stopwatch::new();
    while watch.all < duration {
        for token in &tokens(keyring)? {
            let begin = Instant::now();
            let header = decode_header(token)?;
            let jwk = header
                .kid
                .as_deref()
                .and_then(|kid| keys.find(kid))
                .context("an unknown key")?;
            let mut validation = Validation::new(header.alg);
            validation.set_issuer(&[ISSUER]);
            validation.set_audience(&[AUDIENCE]);
            let read = decode::<TokenClaims>(token, &DecodingKey::from_jwk(jwk)?, &validation);
            watch.note(begin.elapsed(), read.is_ok());
        }
    }
    let run = watch.run();
    if run.errors > 0 {
        bail!("the library refuses {} tokens", run.errors);
    }
    Ok(run.per_second)
}

/// The two rows.
pub(super) async fn measure(how: &How) -> anyhow::Result<Vec<Outcome>> {
    let keyring = Arc::new(Keyring::ephemeral());
    let (mut first, mut again, mut anchors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..how.runs {
        first.push(cold(&keyring, how.duration()).await?);
        again.push(cached(&keyring, how.duration()).await?);
        anchors.push(anchor(&keyring, how.duration())?);
    }
    Ok(vec![
        outcome("auth_cold", &first, &anchors, None),
        outcome("auth_cached", &again, &anchors, Some(Aim::HalfWithin(2.0))),
    ])
}
