//! What every use case works with.

use std::sync::Arc;

use egov_auth::{Access, Caller, ReadRecorder, RowScope};
use egov_clock::{Clock as _, SharedClock};
use egov_database::{Database, PageTokens, ReadRecordSink};
use egov_directory::Directory;
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::config::Settings;
use crate::digests::{Digests, Sealer};
use crate::domain::delegation::wrongly_delegable;
use crate::domain::lockout::LockoutPolicy;
use crate::domain::session::SessionPolicy;
use crate::error::IdentityError;
use crate::federation::IssuerClient;
use crate::feed::LocalFeed;
use crate::operations::keys::keep_withdrawn;
use crate::passwords::Passwords;
use crate::tokens::{PublishedFirst, TokenIssuer};
use crate::trusted::TrustedIssuers;

/// What identity needs from the process in which it runs.
#[derive(Clone)]
pub struct Deps {
    /// Its database, as the app role.
    pub database: Database,
    /// The keyring.
    pub keyring: Arc<Keyring>,
    /// Judges administrators by the policies; its tree is that of `directory`.
    pub access: Arc<Access>,
    /// Follows this service's own feed: the tree and the revocations that this process judges calls by.
    pub directory: Arc<Directory>,
}

/// The identity service without its port: what the use cases work with. The operator's command opens it to make the first
/// accounts; [`assemble`](crate::assemble) puts it behind the port.
pub struct Identity {
    pub(crate) database: Database,
    pub(crate) pages: PageTokens,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: SharedClock,
    pub(crate) access: Arc<Access>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: TokenIssuer,
    pub(crate) digests: Digests,
    pub(crate) issuers: TrustedIssuers,
    pub(crate) federation: IssuerClient,
    /// Sign that the platform is the client, at issuers of agencies.
    pub(crate) client_keys: PublishedFirst,
    pub(crate) lockout: LockoutPolicy,
    pub(crate) sessions: SessionPolicy,
    pub(crate) settings: Settings,
    pub(crate) feed: LocalFeed,
    pub(crate) reads: ReadRecorder,
}

impl Identity {
    /// Opens identity on its database. Fails if the issuer has no name, a policy lets administration be delegated, an address of a trusted issuer cannot be used, or
    /// the keyring does not open what the database holds.
    pub async fn open(settings: &Settings, deps: Deps) -> Result<Arc<Self>, Fault> {
        check(settings)?;
        let Deps {
            database,
            keyring,
            access,
            directory,
        } = deps;
        if let Some(role) = wrongly_delegable(access.policies()) {
            return Err(Fault::internal(format!(
                "invalid policies: the role {role} administers, so it must not be delegable"
            )));
        }
        keep_withdrawn(&database, &keyring, database.clock()).await?;
        let ids = Arc::clone(database.ids());
        Ok(Arc::new(Self {
            pages: database.page_tokens(),
            clock: Arc::clone(database.clock()),
            passwords: Passwords::new(&settings.passwords, Arc::clone(&ids))?,
            tokens: TokenIssuer::new(&settings.tokens, Keyring::clone(&keyring), ids),
            digests: Digests::load(&database, &keyring).await?,
            issuers: TrustedIssuers::new(&settings.citizens.issuers)?,
            federation: IssuerClient::new(&settings.federation)?,
            client_keys: PublishedFirst::new(Purpose::ClientAssertions, &settings.tokens, Keyring::clone(&keyring)),
            lockout: settings.lockout.policy(),
            sessions: settings.sessions.policy(),
            settings: settings.clone(),
            feed: LocalFeed::new(database.clone(), Arc::clone(&keyring)),
            reads: ReadRecorder::start(ReadRecordSink::new(database.clone())),
            database,
            keyring,
            access,
            directory,
        }))
    }

    /// The feed of this very service, for the [`Directory`] of the process in which it runs.
    pub fn feed(&self) -> LocalFeed {
        self.feed.clone()
    }

    /// The address of the HTTP endpoints, without a slash at its end.
    pub(crate) fn public_url(&self) -> &str {
        let tokens = &self.settings.tokens;
        let url = if tokens.public_url.is_empty() {
            &tokens.issuer
        } else {
            &tokens.public_url
        };
        url.trim_end_matches('/')
    }

    /// The address of the token endpoint.
    pub fn token_endpoint(&self) -> String {
        format!("{}{}", self.public_url(), crate::api::http::TOKEN_PATH)
    }

    pub(crate) fn sealer(&self) -> Sealer<'_> {
        Sealer::new(&self.keyring)
    }

    /// Until when a revocation at `now` must be kept: every token that it concerns has ended by then, skew included.
    pub(crate) fn revocation_expiry(now: Timestamp) -> Timestamp {
        now.saturating_add(SignedDuration::from_mins(10))
            .unwrap_or(Timestamp::MAX)
    }

    /// Makes this process act on its own revocations at once; others hear of them within their polling time. A failure is
    /// only a delay: the follower asks again.
    pub(crate) async fn spread(&self) {
        if let Err(error) = self.directory.refresh(&self.feed).await {
            tracing::warn!(%error, "a revocation takes effect with the next round only");
        }
    }

    /// Today in Vietnam.
    pub(crate) fn today(&self) -> jiff::civil::Date {
        self.clock.today()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("issuer", &self.settings.tokens.issuer)
            .finish_non_exhaustive()
    }
}

fn check(settings: &Settings) -> Result<(), Fault> {
    let tokens = &settings.tokens;
    let refuse = |problem: &str| Err(Fault::internal(format!("invalid configuration: {problem}")));
    if tokens.issuer.is_empty() {
        return refuse("tokens.issuer is not set; it is the URL under which this service is reached");
    }
    if tokens.audience.is_empty() {
        return refuse("tokens.audience is empty");
    }
    if tokens.lifetime.get().is_zero() {
        return refuse("tokens.lifetime is zero");
    }
    // Otherwise tokens would outlive the key that they were signed with.
    if tokens.key_overlap.get() < tokens.publish_before_use.get() + tokens.lifetime.get() {
        return refuse("tokens.key_overlap is shorter than publish_before_use and lifetime together");
    }
    Ok(())
}

/// The scope of sign-in and of the token endpoint, which run before anybody is known.
pub(crate) fn nobody_yet() -> RowScope {
    RowScope::everything()
}

/// An id of a request. The contract has checked its form.
pub(crate) fn parse_id(text: &str) -> Result<Uuid, Fault> {
    text.parse().map_err(Fault::internal)
}

/// The id of a resource: one that is no id is one that does not exist.
pub(crate) fn resource_id(text: &str, missing: IdentityError) -> Result<Uuid, Fault> {
    text.parse().map_err(|_| missing.into())
}

/// Nobody changes their own access.
pub(crate) fn refuse_self(caller: &Caller, account_id: Uuid) -> Result<(), Fault> {
    if caller.principal.subject == account_id {
        return Err(IdentityError::OwnAccess.into());
    }
    Ok(())
}
