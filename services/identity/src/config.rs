//! Configuration: the file and environment of the binary, and the [`Settings`] that [`assemble`](crate::assemble) takes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use egov_auth::{Assurance, KeySourceConfig};
use egov_database::DatabaseConfig;
use egov_events::IntegrationConfig;
use egov_runtime::config::{Period, Secret, ServerConfig, TelemetryConfig};
use egov_transparency::LedgerConfig;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::domain::lockout::LockoutPolicy;
use crate::domain::session::SessionPolicy;

/// The longest life of an access token: what is revoked without the feed ends by itself within this time.
pub const LONGEST_ACCESS_TOKEN: Period = Period::seconds(300);

/// The configuration of the binary `egov-identity`. Variables are named `EGOV_IDENTITY__<SECTION>__<KEY>`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceConfig {
    /// Where and how it listens.
    pub server: ServerConfig,
    /// Logs, traces and metrics.
    pub telemetry: TelemetryConfig,
    /// Its database.
    pub database: DatabaseSection,
    /// The folder of the keyring.
    pub keyring: PathBuf,
    /// The folder of the policies (`*.toml`). All of them: identity must know which roles exist.
    pub policies: PathBuf,
    /// The folder in which the last unit tree is kept; none keeps it in memory only, which is enough here: this service has
    /// the database.
    pub directory: Option<PathBuf>,
    /// Tokens.
    pub tokens: TokenConfig,
    /// Sessions of staff.
    pub sessions: SessionConfig,
    /// Passwords.
    pub passwords: PasswordConfig,
    /// Locks after failed sign-ins.
    pub lockout: LockoutConfig,
    /// Citizens and who vouches for them.
    pub citizens: CitizenConfig,
    /// Activation of accounts that were made in bulk.
    pub activation: ActivationConfig,
    /// Sign-in of staff by an issuer of their agency.
    pub federation: FederationConfig,
    /// The ledger: its log, its witnesses.
    pub ledger: LedgerConfig,
    /// Where its events are published.
    pub integration: IntegrationConfig,
}

impl ServiceConfig {
    /// The part that [`assemble`](crate::assemble) takes.
    pub fn settings(&self) -> Settings {
        Settings {
            tokens: self.tokens.clone(),
            sessions: self.sessions.clone(),
            passwords: self.passwords.clone(),
            lockout: self.lockout.clone(),
            citizens: self.citizens.clone(),
            activation: self.activation.clone(),
            federation: self.federation.clone(),
        }
    }
}

/// What identity does, as far as it can be set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Tokens.
    pub tokens: TokenConfig,
    /// Sessions of staff.
    pub sessions: SessionConfig,
    /// Passwords.
    pub passwords: PasswordConfig,
    /// Locks after failed sign-ins.
    pub lockout: LockoutConfig,
    /// Citizens and who vouches for them.
    pub citizens: CitizenConfig,
    /// Activation of accounts that were made in bulk.
    pub activation: ActivationConfig,
    /// Sign-in of staff by an issuer of their agency.
    pub federation: FederationConfig,
}

/// `[activation]`: how an account that was made in bulk gets its owner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActivationConfig {
    /// A code that is not used for this long is void.
    pub lifetime: Period,
}

impl Default for ActivationConfig {
    /// Fourteen days.
    fn default() -> Self {
        Self {
            lifetime: Period::seconds(14 * 24 * 3600),
        }
    }
}

/// `[federation]`: how issuers of agencies are reached. The issuers themselves are registered through the contract.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FederationConfig {
    /// The certificate authorities to trust for issuers' addresses, PEM; the machine's own if absent.
    pub certificates: Option<PathBuf>,
    /// Lets issuers and redirect URIs be `http` on this machine. For tests and the demonstration only.
    pub allow_loopback: bool,
    /// So many sign-ins by one issuer may be under way at once; more are asked to come back.
    pub under_way: u32,
}

impl Default for FederationConfig {
    /// The machine's authorities, https only, 5000 sign-ins.
    fn default() -> Self {
        Self {
            certificates: None,
            allow_loopback: false,
            under_way: 5000,
        }
    }
}

/// `[database]`: where the database is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSection {
    /// The URL as the app role `identity_app`.
    pub url: Secret,
    /// Connections that this service may hold: its share of the budget of the installation.
    pub max_connections: u32,
    /// Accepts a server that may lose what it has committed. For tests only.
    pub test_profile: bool,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            max_connections: 8,
            test_profile: false,
        }
    }
}

impl DatabaseSection {
    /// As the database crate takes it.
    pub fn to_config(&self) -> DatabaseConfig {
        let config = DatabaseConfig::new(self.url.expose())
            .max_connections(self.max_connections)
            .application_name("egov-identity");
        if self.test_profile {
            config.test_profile()
        } else {
            config
        }
    }
}

/// `[tokens]`: what is issued, and in whose name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenConfig {
    /// The issuer's name (`iss`), a URL under which the metadata is found. There is no default.
    pub issuer: String,
    /// The audience of the platform (`aud`).
    pub audience: String,
    /// The URL under which callers reach the HTTP endpoints; the issuer's name if empty.
    pub public_url: String,
    /// How long an access token lives; at most five minutes.
    pub lifetime: Period,
    /// How far the clocks of those who send assertions may differ; at most a minute.
    pub skew: Period,
    /// How long an assertion counts at most.
    pub assertion_lifetime: Period,
    /// A new signing key is published this long before it signs, so that whoever keeps the published keys for a while
    /// knows it by then.
    pub publish_before_use: Period,
    /// After a rotation the old key verifies for this long: at least `publish_before_use` and the life of a token.
    pub key_overlap: Period,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: "egov".to_owned(),
            public_url: String::new(),
            lifetime: LONGEST_ACCESS_TOKEN,
            skew: Period::seconds(30),
            assertion_lifetime: Period::seconds(300),
            publish_before_use: Period::seconds(120),
            key_overlap: Period::seconds(3600),
        }
    }
}

/// `[sessions]`: how long they last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// A refresh token that is not used for this long is void.
    pub idle: Period,
    /// A session ends after this long at the latest.
    pub longest: Period,
    /// The time for the one-time code after the password.
    pub challenge: Period,
}

impl Default for SessionConfig {
    /// An hour idle, twelve hours in all, five minutes for the code.
    fn default() -> Self {
        Self {
            idle: Period::seconds(3600),
            longest: Period::seconds(12 * 3600),
            challenge: Period::seconds(300),
        }
    }
}

impl SessionConfig {
    pub(crate) fn policy(&self) -> SessionPolicy {
        SessionPolicy {
            idle: signed(self.idle),
            longest: signed(self.longest),
            challenge: signed(self.challenge),
        }
    }
}

/// `[passwords]`: how expensive a guess is. Changed parameters apply to a stored hash when its owner signs in next.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordConfig {
    /// Memory of one hash in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// Hashes computed at once.
    pub at_once: usize,
    /// Callers that may wait for one; more are asked to come back.
    pub waiting: usize,
}

impl Default for PasswordConfig {
    /// 19 MiB, two passes, one lane (OWASP's recommendation for Argon2id); two at once, 64 waiting.
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
            lanes: 1,
            at_once: 2,
            waiting: 64,
        }
    }
}

/// `[lockout]`: when a name is locked, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LockoutConfig {
    /// Failures that are tolerated; the lock begins with this many.
    pub threshold: u32,
    /// The first lock; each further failure doubles it.
    pub first: Period,
    /// The longest lock. Anybody can lock any name, so it must be bearable.
    pub longest: Period,
    /// Earlier failures are forgotten after this long without any.
    pub forget_after: Period,
}

impl Default for LockoutConfig {
    /// Five failures, a minute, at most fifteen minutes, forgotten after a day.
    fn default() -> Self {
        Self {
            threshold: 5,
            first: Period::seconds(60),
            longest: Period::seconds(15 * 60),
            forget_after: Period::seconds(24 * 3600),
        }
    }
}

impl LockoutConfig {
    pub(crate) fn policy(&self) -> LockoutPolicy {
        LockoutPolicy {
            threshold: self.threshold.max(1),
            first: signed(self.first),
            longest: signed(self.longest),
            forget_after: signed(self.forget_after),
        }
    }
}

/// `[citizens]`: who vouches for citizens.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CitizenConfig {
    /// The trusted issuers of assertions.
    pub issuers: Vec<AssertionIssuerConfig>,
}

/// A trusted issuer of assertions about citizens (VNeID, or a test issuer).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssertionIssuerConfig {
    /// Its name, exactly as it stands in `iss`.
    pub issuer: String,
    /// Its keys: `{ jwks_url = "https://…" }` or `{ jwks = { keys = […] } }`.
    pub keys: KeySourceConfig,
    /// The certificate authorities to trust for its address, PEM; the machine's own if absent.
    #[serde(default)]
    pub certificates: Option<PathBuf>,
    /// What its words in `acr` mean. A word that is not listed means that the person was not identified.
    #[serde(default = "plain_words")]
    pub assurance: BTreeMap<String, Assurance>,
    /// The claim with the personal number (số định danh cá nhân), if it sends one.
    #[serde(default)]
    pub personal_number_claim: Option<String>,
}

/// The platform's own words.
pub fn plain_words() -> BTreeMap<String, Assurance> {
    Assurance::ALL
        .into_iter()
        .map(|level| (level.as_str().to_owned(), level))
        .collect()
}

pub(crate) fn signed(period: Period) -> SignedDuration {
    SignedDuration::try_from(period.get()).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_and_environment_reach_every_section() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("identity.toml");
        std::fs::write(
            &file,
            r#"
            keyring = "/var/lib/egov/keyring"
            [tokens]
            issuer = "https://id.example"
            lifetime = "2m"
            [[citizens.issuers]]
            issuer = "https://eid.example"
            keys = { jwks_url = "https://eid.example/jwks" }
            assurance = { "1" = "low", "2" = "substantial" }
            personal_number_claim = "pid"
            "#,
        )
        .unwrap();
        let environment = [
            ("EGOV_IDENTITY__PASSWORDS__PASSES", "3"),
            ("EGOV_IDENTITY__DATABASE__URL", "postgres://identity_app@h/identity"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config: ServiceConfig = egov_runtime::config::load_from("identity", Some(&file), environment).unwrap();
        assert_eq!(config.tokens.lifetime, Period::seconds(120));
        assert_eq!(config.passwords.passes, 3);
        assert_eq!(config.database.url.expose(), "postgres://identity_app@h/identity");
        let issuer = &config.settings().citizens.issuers[0];
        assert_eq!(issuer.assurance.get("2"), Some(&Assurance::Substantial));
        assert_eq!(issuer.personal_number_claim.as_deref(), Some("pid"));
    }

    #[test]
    fn the_defaults_name_no_issuer_and_hold_no_secret() {
        let config = ServiceConfig::default();
        assert!(config.tokens.issuer.is_empty());
        assert!(config.database.url.is_empty());
        assert!(config.citizens.issuers.is_empty());
    }
}
