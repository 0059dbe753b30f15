//! Passwords (mật khẩu): Argon2id, a bounded number at once, the same time for names that do not exist.
//!
//! A hash is meant to be expensive: memory and a processor for tens of milliseconds. So it never runs on the threads that
//! serve requests, never more of them at once than configured, and no database connection is held meanwhile. When too
//! many callers wait, the next ones are told to come back instead of piling up.
//!
//! A Vietnamese letter has two spellings in Unicode, and which one a keyboard sends depends on the machine. Passwords are
//! brought to the composed form (NFC, as RFC 8265 says), so that `ế` is the same letter everywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use egov_clock::SharedIds;
use egov_fault::Fault;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;

use crate::config::PasswordConfig;
use crate::error::IdentityError;

/// Length of a salt in bytes (RFC 9106, section 3.1, recommends 16).
const SALT_BYTES: usize = 16;

/// Makes and checks password hashes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    inner: Arc<Inner>,
}

struct Inner {
    params: Params,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    ids: SharedIds,
    /// Checked in the place of an account that does not exist; no password is known for it.
    decoy: String,
}

/// Whether a password was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It was not.
    Wrong,
    /// It was.
    Right,
    /// It was, and its hash was made with other parameters than those configured now: here is a new one to store.
    RightAndRehashed(String),
}

impl Passwords {
    /// Fails if the parameters are outside what Argon2 allows.
    pub(crate) fn new(config: &PasswordConfig, ids: SharedIds) -> Result<Self, Fault> {
        let params = Params::new(config.memory_kib, config.passes, config.lanes, None)
            .map_err(|error| Fault::internal(error.to_string()))?;
        let mut unknowable = [0_u8; 32];
        ids.random_bytes(&mut unknowable);
        let decoy = hash(&params, &unknowable, &*ids)?;
        Ok(Self {
            inner: Arc::new(Inner {
                params,
                permits: Arc::new(Semaphore::new(config.at_once.max(1))),
                waiting: AtomicUsize::new(0),
                most_waiting: config.waiting,
                ids,
                decoy,
            }),
        })
    }

    /// The hash of a new password, as a PHC string.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, Fault> {
        let password = composed(&password);
        self.run(move |inner| hash(&inner.params, password.expose_secret().as_bytes(), &*inner.ids))
            .await
    }

    /// Compares a password with a stored hash, or, if there is no account, with a decoy that takes the same time and is
    /// never right.
    ///
    /// After the parameters were raised, accounts that have not signed in since still cost what their older hash costs.
    pub(crate) async fn check(&self, password: SecretString, stored: Option<String>) -> Result<Checked, Fault> {
        let password = composed(&password);
        self.run(move |inner| {
            let known = stored.is_some();
            let stored = stored.unwrap_or_else(|| inner.decoy.clone());
            let parsed =
                PasswordHash::new(&stored).map_err(|_| Fault::internal("a stored password hash cannot be read"))?;
            let bytes = password.expose_secret().as_bytes();
            let right = Argon2::default().verify_password(bytes, &parsed).is_ok();
            if !(right && known) {
                return Ok(Checked::Wrong);
            }
            let current = Params::try_from(&parsed).is_ok_and(|params| {
                (params.m_cost(), params.t_cost(), params.p_cost())
                    == (inner.params.m_cost(), inner.params.t_cost(), inner.params.p_cost())
            });
            if current {
                Ok(Checked::Right)
            } else {
                hash(&inner.params, bytes, &*inner.ids).map(Checked::RightAndRehashed)
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let inner = Arc::clone(&self.inner);
        let place = Place::take(&inner)?;
        let permit = Arc::clone(&inner.permits)
            .acquire_owned()
            .await
            .map_err(Fault::internal)?;
        drop(place);
        tokio::task::spawn_blocking(move || {
            // Held by the work itself: a caller that goes away does not make room for one more hash.
            let _permit = permit;
            work(&inner)
        })
        .await
        .map_err(Fault::internal)?
    }
}

/// The password in the composed form of Unicode.
fn composed(password: &SecretString) -> SecretString {
    SecretString::from(password.expose_secret().nfc().collect::<String>())
}

/// A place in the queue, given back when dropped.
struct Place(Arc<Inner>);

impl Place {
    fn take(inner: &Arc<Inner>) -> Result<Self, Fault> {
        let before = inner.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(inner));
        // Those who find a free permit are in the queue for a moment only.
        if before >= inner.most_waiting + inner.permits.available_permits() {
            return Err(IdentityError::Overloaded.into());
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hash(params: &Params, password: &[u8], ids: &dyn egov_clock::Ids) -> Result<String, Fault> {
    let mut salt = [0_u8; SALT_BYTES];
    ids.random_bytes(&mut salt);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_with_salt(password, &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| Fault::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_clock::SystemIds;

    fn cheap() -> PasswordConfig {
        PasswordConfig {
            memory_kib: 64,
            passes: 1,
            ..PasswordConfig::default()
        }
    }

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[tokio::test]
    async fn the_right_password_is_right_and_another_is_not() {
        let passwords = Passwords::new(&cheap(), SystemIds::shared()).unwrap();
        let stored = passwords.hash(secret("mật khẩu dài")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        let check = |typed: &str| passwords.check(secret(typed), Some(stored.clone()));
        assert_eq!(check("mật khẩu dài").await.unwrap(), Checked::Right);
        assert_eq!(check("mat khau dai").await.unwrap(), Checked::Wrong);
        assert_eq!(check("").await.unwrap(), Checked::Wrong);
    }

    #[tokio::test]
    async fn a_hash_with_older_parameters_is_made_anew_when_the_password_is_right() {
        let old = Passwords::new(&cheap(), SystemIds::shared()).unwrap();
        let stored = old.hash(secret("mật khẩu dài")).await.unwrap();
        let raised = PasswordConfig { passes: 2, ..cheap() };
        let new = Passwords::new(&raised, SystemIds::shared()).unwrap();
        let checked = new.check(secret("mật khẩu dài"), Some(stored.clone())).await;
        let Checked::RightAndRehashed(better) = checked.unwrap() else {
            panic!("the hash is not renewed");
        };
        assert!(better.starts_with("$argon2id$v=19$m=64,t=2,p=1$"));
        assert_eq!(
            new.check(secret("mật khẩu dài"), Some(better)).await.unwrap(),
            Checked::Right
        );
        assert_eq!(new.check(secret("sai"), Some(stored)).await.unwrap(), Checked::Wrong);
    }

    #[tokio::test]
    async fn without_an_account_no_password_is_right() {
        let passwords = Passwords::new(&cheap(), SystemIds::shared()).unwrap();
        assert_eq!(passwords.check(secret(""), None).await.unwrap(), Checked::Wrong);
    }

    #[tokio::test]
    async fn both_spellings_of_a_vietnamese_letter_are_one_password() {
        let passwords = Passwords::new(&cheap(), SystemIds::shared()).unwrap();
        let composed = passwords.hash(secret("ti\u{1ebf}ng Vi\u{1ec7}t")).await.unwrap();
        let decomposed = secret("tie\u{302}\u{301}ng Vie\u{323}\u{302}t");
        assert_eq!(
            passwords.check(decomposed, Some(composed)).await.unwrap(),
            Checked::Right
        );
    }

    #[tokio::test]
    async fn an_account_that_does_not_exist_costs_what_one_that_exists_costs() {
        let config = PasswordConfig {
            memory_kib: 8 * 1024,
            passes: 2,
            ..PasswordConfig::default()
        };
        let passwords = Passwords::new(&config, SystemIds::shared()).unwrap();
        let stored = passwords.hash(secret("mật khẩu dài")).await.unwrap();
        // The quickest of several is what the work itself costs, whatever else the machine does.
        let mut quickest = [std::time::Duration::MAX; 2];
        for _ in 0..7 {
            for (place, stored) in [Some(stored.clone()), None].into_iter().enumerate() {
                let begun = std::time::Instant::now();
                let checked = passwords.check(secret("sai"), stored).await.unwrap();
                quickest[place] = quickest[place].min(begun.elapsed());
                assert_eq!(checked, Checked::Wrong);
            }
        }
        let [known, unknown] = quickest;
        assert!(known < unknown * 3 && unknown < known * 3, "{known:?} and {unknown:?}");
    }

    #[tokio::test]
    async fn a_full_queue_asks_to_come_back() {
        let config = PasswordConfig {
            memory_kib: 16 * 1024,
            passes: 2,
            at_once: 1,
            waiting: 1,
            ..PasswordConfig::default()
        };
        let passwords = Passwords::new(&config, SystemIds::shared()).unwrap();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let passwords = passwords.clone();
            all.spawn(async move { passwords.hash(secret("mật khẩu dài")).await });
        }
        let outcomes = all.join_all().await;
        let refused = outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .collect::<Vec<_>>();
        assert!(refused.iter().all(|fault| fault.reason() == "OVERLOADED"));
        assert!((1..8).contains(&refused.len()), "{}", refused.len());
    }
}
