//! Keyed digests: equality of what is not stored in the clear.
//!
//! Names that failed to sign in, subjects of foreign issuers, personal numbers and ids of assertions are compared with what
//! came before, and never shown. Their digests are made with a key of their own that stays the same for as long as the
//! database lives: with a new key the same citizen would become another. The key lies in the database, sealed with the
//! keyring; a database without its keyring is worth nothing to whoever holds it.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_auth::RowScope;
use egov_database::Database;
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};

use crate::store;

/// The row of the table.
const EQUALITY: &str = "equality";

/// A keyed digest.
pub(crate) type Digest = [u8; 32];

/// Makes keyed digests.
#[derive(Clone)]
pub(crate) struct Digests {
    key: hmac::Key,
}

impl Digests {
    /// Takes the key from the database; the first start makes it.
    pub(crate) async fn load(database: &Database, keyring: &Keyring) -> Result<Self, Fault> {
        let sealed = database
            .write_unkeyed(&RowScope::everything(), async |write| {
                if let Some(sealed) = store::keys::sealed(write.conn(), EQUALITY).await? {
                    return Ok::<_, Fault>(sealed);
                }
                let mut fresh = [0_u8; 32];
                database.ids().random_bytes(&mut fresh);
                let sealer = Sealer::new(keyring);
                let (sealed, key_id) = sealer.seal(&fresh, EQUALITY.as_bytes());
                // Two processes that start for the first time at once: the first one's key counts for both.
                store::keys::insert(write.conn(), EQUALITY, &sealed, &key_id).await?;
                store::keys::sealed(write.conn(), EQUALITY)
                    .await?
                    .ok_or_else(|| Fault::internal("the key of digests was not stored"))
            })
            .await?;
        let key = keyring
            .open_sealed(Purpose::Answers, &sealed, EQUALITY.as_bytes())
            .map_err(Fault::internal)?;
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        })
    }

    /// The key under which failed sign-ins of a name are counted.
    pub(crate) fn attempt_key(&self, username: &str) -> Digest {
        self.digest("attempt", &[username])
    }

    /// The name that an issuer has for a citizen.
    pub(crate) fn subject(&self, issuer: &str, subject: &str) -> Digest {
        self.digest("subject", &[issuer, subject])
    }

    /// A personal number.
    pub(crate) fn personal_number(&self, number: &str) -> Digest {
        self.digest("personal_number", &[number])
    }

    /// The id of an assertion.
    pub(crate) fn token_id(&self, issuer: &str, token_id: &str) -> Digest {
        self.digest("token_id", &[issuer, token_id])
    }

    /// An activation code, in its canonical form.
    pub(crate) fn activation(&self, code: &str) -> Digest {
        self.digest("activation", &[code])
    }

    /// What an issuer calls a member of staff; the issuer is named by its id, which no citizen's issuer has.
    pub(crate) fn staff_subject(&self, issuer_id: &str, subject: &str) -> Digest {
        self.digest("staff_subject", &[issuer_id, subject])
    }

    /// The nonce of a sign-in at an issuer.
    pub(crate) fn nonce(&self, state: &str, binding: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.digest("nonce", &[state, binding]))
    }

    /// The PKCE verifier of a sign-in at an issuer: 43 characters (RFC 7636, section 4.1).
    pub(crate) fn code_verifier(&self, state: &str, binding: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.digest("code_verifier", &[state, binding]))
    }

    /// The secret of a client as part of a request that is compared with its repetition.
    pub(crate) fn client_secret(&self, request_id: &str, secret: &str) -> Digest {
        self.digest("client_secret", &[request_id, secret])
    }

    /// A password as part of a request that is compared with its repetition: what is stored of a request is a plain hash,
    /// against which a password could be guessed.
    pub(crate) fn password(&self, request_id: &str, password: &str) -> Digest {
        self.digest("password", &[request_id, password])
    }

    fn digest(&self, domain: &str, parts: &[&str]) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in std::iter::once(&domain).chain(parts) {
            // Each with its length, so that no two lists of parts are the same bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

impl std::fmt::Debug for Digests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digests([redacted])")
    }
}

/// Seals columns and says under which key, so that a job can seal them anew after a rotation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealer<'a> {
    keyring: &'a Keyring,
}

impl<'a> Sealer<'a> {
    /// Seals with the keyring's key for columns.
    pub(crate) fn new(keyring: &'a Keyring) -> Self {
        Self { keyring }
    }

    /// The id of the key that seals now.
    pub(crate) fn key_id(self) -> String {
        self.keyring.mac(Purpose::Answers, &[]).0
    }

    /// Seals a text for one place (`aad`); the second value is the key's id. If the keyring rotates in between, the id is the
    /// older one and the text is sealed once more than needed.
    pub(crate) fn seal(self, plain: &[u8], aad: &[u8]) -> (Vec<u8>, String) {
        let key_id = self.key_id();
        (self.keyring.seal(Purpose::Answers, plain, aad), key_id)
    }

    /// Opens what was sealed for this place.
    pub(crate) fn open(self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, Fault> {
        self.keyring
            .open_sealed(Purpose::Answers, sealed, aad)
            .map_err(Fault::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_differ_by_domain_by_key_and_by_the_border_between_parts() {
        let digests = |seed: u8| Digests {
            key: hmac::Key::new(hmac::HMAC_SHA256, &[seed; 32]),
        };
        let (one, other) = (digests(1), digests(2));
        assert_eq!(one.attempt_key("an"), one.attempt_key("an"));
        assert_ne!(one.attempt_key("an"), other.attempt_key("an"));
        assert_ne!(one.attempt_key("an"), one.personal_number("an"));
        assert_ne!(one.subject("ab", "c"), one.subject("a", "bc"));
    }
}
