//! The keyring that services use.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_clock::Clock;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde::Serialize;
use serde_json::json;

use crate::memory::MemoryProvider;
use crate::purpose::PerPurpose;
use crate::sealed::{self, Sealed};
use crate::{FolderProvider, Generation, KeyringError, Provider, Purpose};

/// The keys of a process, by purpose. Cheap to clone; clones share one state.
///
/// # Which generation is used
/// Signing, authenticating and sealing use the newest generation. Verifying and opening use every generation that had
/// not retired when the keyring was last loaded, that is at [`open`](Self::open), [`create_missing`](Self::create_missing),
/// [`rotate`](Self::rotate) and [`reload`](Self::reload): a service reloads once a minute, so a key is out of use at
/// most a minute after its overlap. When another process has rotated meanwhile, [`jwks`](Self::jwks) and whoever
/// meets an unknown key id notice it by themselves, without waiting for that minute.
#[derive(Clone)]
pub struct Keyring {
    inner: Arc<Inner>,
}

struct Inner {
    provider: Box<dyn Provider>,
    state: ArcSwap<State>,
    /// Held while the state is replaced, so that a slow loader does not undo a faster one.
    loading: Mutex<()>,
}

#[derive(Clone)]
struct State {
    as_of: Timestamp,
    keys: PerPurpose<Arc<Keys>>,
}

struct Keys {
    stamp: u64,
    newest: Generation,
    /// The newest included, oldest first.
    active: Vec<Generation>,
    /// The ids of those that were withdrawn.
    withdrawn: Vec<String>,
}

/// A generation as an operator sees it, without its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLife {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is no longer used; none while it has no successor.
    pub retires: Option<Timestamp>,
    /// Whether it was withdrawn.
    pub withdrawn: bool,
}

impl Keyring {
    /// Opens the keyring in a folder. Refuses a missing, damaged or too open one, saying what to do.
    pub fn open(folder: &Path, clock: &dyn Clock) -> Result<Self, KeyringError> {
        Self::with_provider(Box::new(FolderProvider::open(folder)?), clock)
    }

    /// Makes what is missing of the keyring in a folder, once, and opens it. See [`FolderProvider::create_missing`].
    pub fn create_missing(folder: &Path, clock: &dyn Clock) -> Result<Self, KeyringError> {
        let provider = FolderProvider::create_missing(folder, clock.now())?;
        Self::with_provider(Box::new(provider), clock)
    }

    /// A keyring whose keys live as long as it does: for tests.
    #[expect(
        clippy::expect_used,
        reason = "fails only if the cryptographic library has no random bytes, and no test can go on then"
    )]
    pub fn ephemeral() -> Self {
        let made = Timestamp::UNIX_EPOCH;
        let provider = MemoryProvider::new(made).expect("random bytes");
        Self::load(Box::new(provider), made).expect("new keys are sound")
    }

    /// A keyring whose keys live elsewhere, for example in a hardware module.
    pub fn with_provider(provider: Box<dyn Provider>, clock: &dyn Clock) -> Result<Self, KeyringError> {
        Self::load(provider, clock.now())
    }

    fn load(provider: Box<dyn Provider>, as_of: Timestamp) -> Result<Self, KeyringError> {
        let state = State::load(provider.as_ref(), as_of)?;
        Ok(Self {
            inner: Arc::new(Inner {
                provider,
                state: ArcSwap::from_pointee(state),
                loading: Mutex::new(()),
            }),
        })
    }

    /// Loads every key anew: takes up what other processes rotated and drops what has retired. If that fails, for
    /// example because a file is damaged, the keys known so far stay in use and the error says what to do.
    pub fn reload(&self, clock: &dyn Clock) -> Result<(), KeyringError> {
        let _turn = self.turn();
        let state = State::load(self.inner.provider.as_ref(), clock.now())?;
        self.inner.state.store(Arc::new(state));
        Ok(())
    }

    /// Adds a generation, durably, and uses it from now on; the older ones verify and open until `overlap` is over.
    /// Answers with the new key's id.
    ///
    /// The overlap must be at least as long as anything lives that the old keys signed or sealed: minutes for tokens,
    /// a day for page tokens, the age of the oldest row for encrypted columns. Zero takes the old keys out of use at
    /// once, as after a theft.
    pub fn rotate(&self, purpose: Purpose, overlap: SignedDuration, clock: &dyn Clock) -> Result<String, KeyringError> {
        let id = self.inner.provider.rotate(purpose, overlap, clock.now())?;
        self.reload(clock)?;
        Ok(id)
    }

    /// Withdraws a key, durably, as when somebody else may have it: what it signed or sealed is not believed or opened from
    /// now on. If it was the newest, another is made in the same act; answers with that one's id. Other processes that use
    /// the same keyring act on it when they next look ([`notice_changes`](Self::notice_changes), [`jwks`](Self::jwks), an
    /// unknown id, [`reload`](Self::reload)).
    ///
    /// Only for purposes that sign: what a withdrawn key *sealed* can never be opened again.
    ///
    /// Errors: [`KeyringError::NoSuchKey`].
    pub fn withdraw(&self, purpose: Purpose, key_id: &str, clock: &dyn Clock) -> Result<Option<String>, KeyringError> {
        let made = self.inner.provider.withdraw(purpose, key_id, clock.now())?;
        self.reload(clock)?;
        Ok(made)
    }

    /// Every key of a purpose, the oldest first, those included that are no longer used. Read from where the keys live.
    pub fn lives(&self, purpose: Purpose) -> Result<Vec<KeyLife>, KeyringError> {
        let generations = self.inner.provider.load(purpose)?;
        Ok(generations
            .into_iter()
            .map(|generation| KeyLife {
                withdrawn: generation.is_withdrawn(),
                id: generation.id,
                created: generation.created,
                retires: generation.retires,
            })
            .collect())
    }

    /// The ids of the keys of a purpose that were withdrawn, also by another process.
    pub fn withdrawn(&self, purpose: Purpose) -> Vec<String> {
        self.notice_changes(purpose);
        self.keys(purpose).withdrawn.clone()
    }

    /// The newest signing key of a purpose.
    pub fn signing(&self, purpose: Purpose) -> SigningKey {
        SigningKey {
            generation: self.keys(purpose).newest.clone(),
        }
    }

    /// The newest Ed25519 key of a purpose, which signs notes: checkpoints of the ledger, cosignatures of a witness.
    pub fn note_key(&self, purpose: Purpose) -> NoteKey {
        self.notice_changes(purpose);
        NoteKey {
            generation: self.keys(purpose).newest.clone(),
        }
    }

    /// Every Ed25519 key of a purpose that verifies now, the newest last.
    pub fn note_keys(&self, purpose: Purpose) -> Vec<NoteKey> {
        self.notice_changes(purpose);
        let active = &self.keys(purpose).active;
        active
            .iter()
            .cloned()
            .map(|generation| NoteKey { generation })
            .collect()
    }

    /// The public keys that verify now, as a JWK set (RFC 7517), the newest last.
    pub fn jwks(&self, purpose: Purpose) -> serde_json::Value {
        self.notice_changes(purpose);
        let keys = self.keys(purpose);
        let keys: Vec<_> = keys.active.iter().filter_map(jwk).collect();
        json!({ "keys": keys })
    }

    /// Whether `signature` (`r` and `s`, 64 bytes) is that of `message` under the key `key_id`, and that key has not
    /// retired.
    pub fn verify(&self, purpose: Purpose, key_id: &str, message: &[u8], signature: &[u8]) -> bool {
        self.generation(purpose, key_id).is_some_and(|generation| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, generation.signer.public_key())
                .verify(message, signature)
                .is_ok()
        })
    }

    /// The authentication code (HMAC-SHA256) of a message and the id of the key that made it.
    pub fn mac(&self, purpose: Purpose, message: &[u8]) -> (String, [u8; 32]) {
        let newest = &self.keys(purpose).newest;
        let tag = hmac::sign(newest.symmetric.mac(), message);
        let mut code = [0; 32];
        for (to, from) in code.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        (newest.id.clone(), code)
    }

    /// Whether `tag` is the authentication code of `message` under the key `key_id`, and that key has not retired.
    /// Takes the same time wherever the two differ.
    pub fn verify_mac(&self, purpose: Purpose, key_id: &str, message: &[u8], tag: &[u8]) -> bool {
        self.generation(purpose, key_id)
            .is_some_and(|generation| hmac::verify(generation.symmetric.mac(), message, tag).is_ok())
    }

    /// Encrypts and authenticates a text; `aad` (additional data, such as the id of the row) is authenticated with it
    /// and must be given again to open it. The result is some 60 bytes longer than the text.
    #[expect(
        clippy::expect_used,
        reason = "fails only without random bytes or for a text beyond 64 GiB, which no caller can hold"
    )]
    pub fn seal(&self, purpose: Purpose, plain: &[u8], aad: &[u8]) -> Vec<u8> {
        let newest = &self.keys(purpose).newest;
        sealed::seal(&newest.id, newest.symmetric.seal(), plain, aad).expect("a text that fits in memory is sealed")
    }

    /// The id of the key with which a text was sealed, which stands in front of it; none if it is no sealed text.
    pub fn sealed_by(sealed: &[u8]) -> Option<&str> {
        Sealed::parse(sealed).map(|sealed| sealed.id)
    }

    /// Opens a sealed text. Refuses what was altered, what belongs to another purpose or other additional data, and
    /// what was sealed with a retired key.
    pub fn open_sealed(&self, purpose: Purpose, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, KeyringError> {
        let sealed = Sealed::parse(sealed).ok_or(KeyringError::NotSealed)?;
        let generation = self
            .generation(purpose, sealed.id)
            .ok_or(KeyringError::UnknownKey { purpose })?;
        sealed
            .open(generation.symmetric.seal(), aad)
            .map_err(|_| KeyringError::NotAuthentic)
    }

    fn keys(&self, purpose: Purpose) -> Arc<Keys> {
        Arc::clone(self.inner.state.load().keys.get(purpose))
    }

    /// An active generation by its id.
    fn generation(&self, purpose: Purpose, id: &str) -> Option<Generation> {
        let find = |keys: &Keys| keys.active.iter().find(|known| known.id == id).cloned();
        find(&self.keys(purpose)).or_else(|| {
            self.notice_changes(purpose);
            find(&self.keys(purpose))
        })
    }

    /// Loads the keys of one purpose anew if another process rotated or withdrew one. It costs a look at the file's time.
    /// What cannot be loaded changes nothing: the next `reload` tells why.
    pub fn notice_changes(&self, purpose: Purpose) {
        let provider = self.inner.provider.as_ref();
        if provider.stamp(purpose) == self.keys(purpose).stamp {
            return;
        }
        let _turn = self.turn();
        let known = self.inner.state.load_full();
        if let Ok(keys) = Keys::load(provider, purpose, known.as_of) {
            let mut state = State::clone(&known);
            *state.keys.get_mut(purpose) = Arc::new(keys);
            self.inner.state.store(Arc::new(state));
        }
    }

    fn turn(&self) -> std::sync::MutexGuard<'_, ()> {
        self.inner.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state.load();
        let mut shown = f.debug_map();
        for purpose in Purpose::ALL {
            let keys = state.keys.get(purpose);
            let ids: Vec<_> = keys.active.iter().map(|key| key.id.as_str()).collect();
            shown.entry(&purpose.name(), &ids);
        }
        shown.finish()
    }
}

impl State {
    fn load(provider: &dyn Provider, as_of: Timestamp) -> Result<Self, KeyringError> {
        let keys = PerPurpose::try_new(|purpose| Keys::load(provider, purpose, as_of).map(Arc::new))?;
        Ok(Self { as_of, keys })
    }
}

impl Keys {
    fn load(provider: &dyn Provider, purpose: Purpose, as_of: Timestamp) -> Result<Self, KeyringError> {
        // Before the keys: a change in between is then noticed once too often rather than never.
        let stamp = provider.stamp(purpose);
        let mut active = provider.load(purpose)?;
        let withdrawn = active
            .iter()
            .filter(|generation| generation.is_withdrawn())
            .map(|generation| generation.id.clone())
            .collect();
        active.retain(|generation| generation.is_active(as_of));
        let newest = active.last().cloned().ok_or(KeyringError::AllRetired { purpose })?;
        Ok(Self {
            stamp,
            newest,
            active,
            withdrawn,
        })
    }
}

/// An Ed25519 key (RFC 8032). It is derived from the generation's secret, so that it lives and dies with it.
#[derive(Clone, Debug)]
pub struct NoteKey {
    generation: Generation,
}

impl NoteKey {
    /// The id of its generation.
    pub fn id(&self) -> &str {
        &self.generation.id
    }

    /// The public key, 32 bytes.
    pub fn public_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        for (to, from) in key
            .iter_mut()
            .zip(self.generation.symmetric.note().public_key().as_ref())
        {
            *to = *from;
        }
        key
    }

    /// Signs a message, 64 bytes. The same message has the same signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        for (to, from) in signature
            .iter_mut()
            .zip(self.generation.symmetric.note().sign(message).as_ref())
        {
            *to = *from;
        }
        signature
    }
}

/// A key that signs. It stays usable when the keyring rotates: whoever holds it finishes with it.
#[derive(Clone, Debug)]
pub struct SigningKey {
    generation: Generation,
}

impl SigningKey {
    /// The key's id: `kid` of a token.
    pub fn id(&self) -> &str {
        &self.generation.id
    }

    /// ES256: ECDSA on P-256 with SHA-256.
    pub fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }

    /// Signs a message: `r` and `s`, 64 bytes. Fails only where the key lives in a module that can fail.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyringError> {
        self.generation.signer.sign(message)
    }

    /// Makes a signed token (JWS compact form, RFC 7515) of type `typ`, for example `at+jwt`. Works wherever the key
    /// lives.
    pub fn jwt(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyringError> {
        let failed = |_| KeyringError::Crypto {
            operation: "writing of a token",
        };
        let header = json!({ "typ": typ, "alg": "ES256", "kid": self.id() });
        let header = serde_json::to_vec(&header).map_err(failed)?;
        let claims = serde_json::to_vec(claims).map_err(failed)?;
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The key for `jsonwebtoken::encode`; none if it cannot leave its provider, in which case [`jwt`](Self::jwt)
    /// makes the token.
    pub fn encoding_key(&self) -> Option<&EncodingKey> {
        self.generation.signer.encoding_key()
    }

    /// The public key: an uncompressed point of P-256, 65 bytes (SEC 1).
    pub fn public_key(&self) -> &[u8] {
        self.generation.signer.public_key()
    }
}

/// The public key as a JWK; none if the provider's point has not the one form that P-256 has here.
fn jwk(generation: &Generation) -> Option<serde_json::Value> {
    let (4, point) = generation.signer.public_key().split_first()? else {
        return None;
    };
    let (x, y) = point.split_at_checked(32).filter(|(_, y)| y.len() == 32)?;
    Some(json!({
        "kty": "EC",
        "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(x),
        "y": URL_SAFE_NO_PAD.encode(y),
        "use": "sig",
        "alg": "ES256",
        "kid": generation.id,
    }))
}
