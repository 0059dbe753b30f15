//! The directory: what is known now, and how it stays current.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use egov_auth::{CallerKind, Revocation, Revocations, Revoked, UnitTree, Verifier};
use egov_clock::{Clock as _, SharedClock};
use egov_fault::Fault;
use egov_proto::egov::identity::v1 as wire;
use egov_proto::egov::identity::v1::revocation::Target;
use jiff::civil::Date;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::snapshot::{SnapshotError, believe};
use crate::store::Store;
use crate::{AgencyCode, Feed, Trust, Unit, Units};

/// So long a round waits for keys. Revocations are asked in the same round; they must not wait for a slow address of keys.
const LONGEST_FOR_KEYS: Duration = Duration::from_secs(2);

/// How a directory follows identity.
#[derive(Clone, Debug)]
pub struct DirectoryConfig {
    /// Where the last good tree is kept; without a folder a start needs identity.
    pub folder: Option<PathBuf>,
    /// Time between two questions to identity. A second keeps what is known well within ten seconds of the truth, even if
    /// several questions are lost, and is how long a withdrawn key or a revoked token still counts elsewhere.
    pub poll: Duration,
    /// With which keys a tree must be signed.
    pub trust: Trust,
}

impl Default for DirectoryConfig {
    /// Nothing on disk, every second, published keys.
    fn default() -> Self {
        Self {
            folder: None,
            poll: Duration::from_secs(1),
            trust: Trust::Published,
        }
    }
}

/// Why a directory could not learn something.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The folder of the cache cannot be used.
    #[error("the folder {folder} of the directory cannot be used")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Identity did not answer, or refused.
    #[error("identity does not answer")]
    Feed(#[from] Fault),
    /// The tree that came is not believed; the one in use stays.
    #[error("the unit tree of identity is not believed")]
    Snapshot(#[from] SnapshotError),
    /// An entry of the list of revocations cannot be read. Nothing is concluded from the rest either.
    #[error("the list of revocations cannot be read")]
    Revocations,
}

/// What a service knows of identity. See the crate's documentation.
pub struct Directory {
    config: DirectoryConfig,
    clock: SharedClock,
    store: Option<Store>,
    tree: Arc<ArcSwap<UnitTree>>,
    units: ArcSwap<Units>,
    revocations: Arc<Revocations>,
    /// Where the list of revocations is read from next.
    position: AtomicI64,
    /// Whether the last round failed: what goes on failing is logged once.
    failing: AtomicBool,
    /// Who is told when the keys of tokens change.
    verifiers: std::sync::Mutex<Vec<Arc<Verifier>>>,
    /// The digest of the keys of tokens that identity announced last; empty before any.
    announced: std::sync::Mutex<String>,
    /// Whether the announced keys could not be had in the last round: logged once.
    keys_missing: AtomicBool,
    /// One round at a time.
    round: Mutex<()>,
    /// The version of the tree in use.
    version: watch::Sender<i64>,
}

impl Directory {
    /// A directory with the tree that was kept on disk, if there is a good one. A kept tree that cannot be believed is left
    /// aside with a warning: identity will send another.
    ///
    /// Errors: [`DirectoryError::Folder`].
    pub fn open(config: DirectoryConfig, clock: SharedClock) -> Result<Self, DirectoryError> {
        let store = match &config.folder {
            None => None,
            Some(folder) => Some(Store::open(folder).map_err(|source| DirectoryError::Folder {
                folder: folder.clone(),
                source,
            })?),
        };
        let directory = Self {
            config,
            store,
            tree: Arc::default(),
            units: ArcSwap::default(),
            revocations: Arc::new(Revocations::new(Arc::clone(&clock))),
            clock,
            position: AtomicI64::new(0),
            failing: AtomicBool::new(false),
            verifiers: std::sync::Mutex::default(),
            announced: std::sync::Mutex::default(),
            keys_missing: AtomicBool::new(false),
            round: Mutex::new(()),
            version: watch::Sender::new(0),
        };
        directory.load_kept();
        Ok(directory)
    }

    fn load_kept(&self) {
        let Some(store) = &self.store else { return };
        let kept = match store.load() {
            Ok(None) => return,
            Ok(Some(kept)) => believe(&kept, &self.config.trust).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match kept {
            Ok((units, tree)) => {
                tracing::info!(version = tree.version(), "the unit tree kept on disk is in use");
                self.take_into_use(units, tree);
            }
            Err(error) => tracing::warn!(
                file = %store.file().display(),
                error,
                "the unit tree kept on disk is not believed and left aside"
            ),
        }
    }

    fn take_into_use(&self, units: Units, tree: UnitTree) {
        let version = units.version();
        self.units.store(Arc::new(units));
        self.tree.store(Arc::new(tree));
        self.version.send_replace(version);
    }

    /// The tree, for `egov_auth::Access`; it is exchanged when identity has a new one.
    pub fn tree(&self) -> Arc<ArcSwap<UnitTree>> {
        Arc::clone(&self.tree)
    }

    /// What was revoked, for `egov_auth::AuthLayer`.
    pub fn revocations(&self) -> Arc<Revocations> {
        Arc::clone(&self.revocations)
    }

    /// From now on this verifier, among whose issuers identity is, fetches identity's keys as soon as the feed says that they
    /// changed. So a new key is known before long, also while somebody floods the service with invented key ids, against
    /// which a verifier protects the issuer by an interval between fetches. A feed that announces keys which cannot be had
    /// leads to one fetch a round.
    pub fn announce_keys_to(&self, verifier: Arc<Verifier>) {
        self.verifiers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(verifier);
    }

    /// All units as they are known now: for several questions that must agree with one another.
    pub fn units(&self) -> Arc<Units> {
        self.units.load_full()
    }

    /// The unit that carries a code on a day.
    pub fn resolve(&self, code: &str, on: Date) -> Option<Unit> {
        self.units.load().resolve(code, on).cloned()
    }

    /// The unit with an internal id, of whatever period.
    pub fn unit(&self, id: i32) -> Option<Unit> {
        self.units.load().get(id).cloned()
    }

    /// The agency code (mã định danh cơ quan) of a unit on a day.
    pub fn agency_code(&self, id: i32, on: Date) -> Option<AgencyCode> {
        self.units.load().agency_code(id, on).cloned()
    }

    /// The version of the tree in use; 0 before any was seen.
    pub fn version(&self) -> i64 {
        *self.version.borrow()
    }

    /// Waits until a tree of at least this version is in use. `wait_for_version(1)` waits for any tree at all: whether a
    /// service has one belongs to its readiness.
    pub async fn wait_for_version(&self, version: i64) {
        // It cannot fail: the sender lives in `self`.
        let _ = self.version.subscribe().wait_for(|now| *now >= version).await;
    }

    /// Asks identity once for both. What failed leaves what was known in use; the one is learnt though the other fails.
    pub async fn refresh(&self, feed: &dyn Feed) -> Result<(), DirectoryError> {
        let _turn = self.round.lock().await;
        let revocations = self.learn_revocations(feed).await;
        // At once: neither shall make the other late, and slow keys not the next round, which tells of revocations.
        let keys = async {
            if tokio::time::timeout(LONGEST_FOR_KEYS, self.learn_keys()).await.is_err() {
                self.keys_are_missing("they do not come in time", None);
            }
        };
        let (tree, ()) = tokio::join!(self.learn_tree(feed), keys);
        revocations.and(tree)
    }

    /// Sees to it that the verifiers know the announced keys. That they cannot be had is no failure of the round: what was
    /// withdrawn is known already, by its id.
    async fn learn_keys(&self) {
        let announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if announced.is_empty() {
            return;
        }
        let verifiers = self.verifiers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut missing = None;
        for verifier in verifiers {
            if let Err(error) = verifier.expect_keys(&announced).await {
                missing = Some(error);
            }
        }
        match missing {
            Some(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                self.keys_are_missing(&error.to_string(), cause);
            }
            None => self.keys_missing.store(false, Ordering::Relaxed),
        }
    }

    /// Tells it once, until they are known again.
    fn keys_are_missing(&self, error: &str, cause: Option<String>) {
        if !self.keys_missing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                error,
                cause,
                "the keys of tokens changed and cannot be fetched; asking again"
            );
        }
    }

    async fn learn_tree(&self, feed: &dyn Feed) -> Result<(), DirectoryError> {
        let known = self.version();
        let answer = feed.tree(known).await?;
        if answer.snapshot.is_empty() {
            return Ok(());
        }
        let (units, tree) = believe(&answer, &self.config.trust)?;
        if units.version() < known {
            return Err(SnapshotError::Older {
                offered: units.version(),
                known,
            }
            .into());
        }
        tracing::info!(
            version = units.version(),
            units = units.len(),
            "a unit tree of identity is in use"
        );
        self.take_into_use(units, tree);
        if let Some(store) = self.store.clone() {
            let file = store.file();
            let saved = tokio::task::spawn_blocking(move || store.save(&answer)).await;
            if let Err(error) = saved.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped))) {
                // In use it is; only the next start without identity would not have it.
                tracing::warn!(file = %file.display(), %error, "the unit tree could not be kept on disk");
            }
        }
        Ok(())
    }

    async fn learn_revocations(&self, feed: &dyn Feed) -> Result<(), DirectoryError> {
        let mut after = self.position.load(Ordering::Relaxed);
        let mut anew = false;
        loop {
            let asked = self.clock.now();
            let answer = feed.revocations(after).await?;
            // Identity was restored from a backup: its positions begin again before ours. All is read from the beginning;
            // what we know meanwhile stays.
            if answer.position < after && !anew {
                (after, anew) = (0, true);
                continue;
            }
            let kinds = answer.kind_revocations.into_iter().map(kind_entry);
            let entries = answer
                .revocations
                .into_iter()
                .map(entry)
                .chain(kinds)
                .collect::<Option<Vec<_>>>()
                .ok_or(DirectoryError::Revocations)?;
            let keys = answer.withdrawn_key_ids.into_iter().map(|id| Revocation {
                what: Revoked::Key(id),
                // Whoever has the key can always make another token.
                forget_after: jiff::Timestamp::MAX,
            });
            let entries = entries.into_iter().chain(keys);
            *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = answer.key_set_digest;
            if answer.more {
                // Incomplete: it revokes, but makes nothing fresh.
                self.revocations.apply(entries, jiff::Timestamp::MIN);
            } else {
                self.revocations.apply(entries, asked);
            }
            let stuck = answer.more && answer.position <= after;
            after = answer.position;
            self.position.store(after, Ordering::Relaxed);
            if stuck {
                return Err(DirectoryError::Revocations);
            }
            if !answer.more {
                return Ok(());
            }
        }
    }

    /// Follows identity until `stop`: a round at once and then one every [`DirectoryConfig::poll`].
    pub async fn follow(self: Arc<Self>, feed: impl Feed, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.config.poll);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.refresh(&feed) => outcome,
            };
            self.log(&outcome);
        }
    }

    fn log(&self, outcome: &Result<(), DirectoryError>) {
        let failed_before = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !failed_before => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::warn!(%error, cause, "identity cannot be followed; what was known stays in use");
            }
            Ok(()) if failed_before => tracing::info!("identity can be followed again"),
            _ => {}
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("config", &self.config)
            .field("version", &self.version())
            .field("revocations", &self.revocations)
            .finish_non_exhaustive()
    }
}

fn kind_entry(revocation: wire::KindRevocation) -> Option<Revocation> {
    Some(Revocation {
        what: Revoked::Kind {
            kind: match revocation.kind() {
                wire::CallerKind::Staff => CallerKind::Staff,
                wire::CallerKind::Citizen => CallerKind::Citizen,
                wire::CallerKind::System => CallerKind::System,
                wire::CallerKind::Unspecified => return None,
            },
            not_after: egov_proto::instant(revocation.not_after.as_ref()?)?,
        },
        forget_after: egov_proto::instant(revocation.expire_time.as_ref()?)?,
    })
}

fn entry(revocation: wire::Revocation) -> Option<Revocation> {
    let what = match revocation.target? {
        Target::TokenId(id) => Revoked::Token(id),
        Target::SessionId(id) => Revoked::Session(id.parse::<Uuid>().ok()?),
        Target::SubjectId(id) => Revoked::Subject {
            id: id.parse::<Uuid>().ok()?,
            not_after: egov_proto::instant(revocation.not_after.as_ref()?)?,
        },
    };
    Some(Revocation {
        what,
        forget_after: egov_proto::instant(revocation.expire_time.as_ref()?)?,
    })
}
