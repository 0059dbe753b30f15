//! One generation of a purpose's keys.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hkdf::{self, HKDF_SHA256, Prk};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use aws_lc_rs::{hmac, rand};
use jiff::Timestamp;
use jsonwebtoken::EncodingKey;
use secrecy::zeroize::Zeroizing;

use crate::{KeyringError, Purpose};

/// Length of the secret from which a generation's symmetric keys are derived, in bytes.
pub(crate) const SECRET_LENGTH: usize = 32;

/// One generation of a purpose's keys: a pair for signing and a key for authentication codes and sealing, under one
/// id. Which of them a purpose uses is its users' affair; both always exist, so that no operation of the keyring can
/// meet a purpose without the right key.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The id, unique within the purpose: `kid` of tokens, and what stands in front of a sealed text.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is no longer used, not even to verify; none if it has no successor yet. A generation that was withdrawn
    /// retires at the instant of its making: it counts as one that was never in use.
    pub retires: Option<Timestamp>,
    /// Signs.
    pub signer: Arc<dyn Signer>,
    /// Authenticates and seals.
    pub symmetric: Arc<SymmetricKey>,
}

impl Generation {
    /// Whether it may be used at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        !self.is_withdrawn() && self.retires.is_none_or(|retires| now < retires)
    }

    /// Whether it was withdrawn. That depends on no clock: a process whose knowledge of the time is a minute old does not
    /// use it either.
    pub fn is_withdrawn(&self) -> bool {
        self.retires.is_some_and(|retires| retires <= self.created)
    }
}

/// A private key for ES256 (ECDSA on P-256 with SHA-256, RFC 7518 section 3.4).
///
/// This is the operation that a hardware module performs inside; hence it can fail, and hence the key itself is only
/// on loan where the provider lets it out.
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// The public key: an uncompressed point, 65 bytes (SEC 1).
    fn public_key(&self) -> &[u8];

    /// Signs a message: `r` and `s`, 64 bytes.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyringError>;

    /// The key in the form that `jsonwebtoken` takes; none if the private key cannot leave its provider.
    fn encoding_key(&self) -> Option<&EncodingKey>;
}

/// A private key held in this process's memory.
pub(crate) struct SoftwareSigner {
    pair: EcdsaKeyPair,
    encoding: EncodingKey,
}

impl SoftwareSigner {
    /// Makes a new pair; answers with its PKCS#8 form (DER).
    pub(crate) fn generate() -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let failed = |_| KeyringError::Crypto {
            operation: "making of a signing key",
        };
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
        let document = pair.to_pkcs8v1().map_err(failed)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// Reads a pair from its PKCS#8 form (DER), checking that it is a sound key of P-256.
    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyringError> {
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| KeyringError::Crypto {
                operation: "reading of a signing key",
            })?;
        Ok(Self {
            pair,
            encoding: EncodingKey::from_ec_der(pkcs8),
        })
    }
}

impl Signer for SoftwareSigner {
    fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyringError> {
        let signature = self
            .pair
            .sign(&rand::SystemRandom::new(), message)
            .map_err(|_| KeyringError::Crypto { operation: "signing" })?;
        Ok(signature.as_ref().to_vec())
    }

    fn encoding_key(&self) -> Option<&EncodingKey> {
        Some(&self.encoding)
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareSigner")
            .field("public_key", &hex::encode(self.public_key()))
            .finish_non_exhaustive()
    }
}

/// The symmetric keys of one generation.
///
/// One 32-byte secret gives three keys by HKDF (RFC 5869), one for authentication codes, one for sealing and one that signs notes
/// (Ed25519), each bound to the purpose: no key serves two algorithms, and a file put in the place of another purpose's opens
/// nothing.
pub struct SymmetricKey {
    mac: hmac::Key,
    seal: Prk,
    note: Ed25519KeyPair,
}

impl SymmetricKey {
    /// Derives the keys from a secret of 32 uniformly random bytes.
    pub fn derive(purpose: Purpose, secret: &[u8; SECRET_LENGTH]) -> Result<Self, KeyringError> {
        // The secret is already uniform, so HKDF's extraction may be skipped (RFC 5869 section 3.3).
        let root = Prk::new_less_safe(HKDF_SHA256, secret);
        let mac = expand(&root, b"egov keyring 1 mac ", purpose)?;
        let seal = expand(&root, b"egov keyring 1 seal ", purpose)?;
        let note = expand(&root, b"egov keyring 1 note ", purpose)?;
        Ok(Self {
            mac: hmac::Key::new(hmac::HMAC_SHA256, mac.as_ref()),
            seal: Prk::new_less_safe(HKDF_SHA256, seal.as_ref()),
            note: Ed25519KeyPair::from_seed_unchecked(note.as_ref()).map_err(|_| KeyringError::Crypto {
                operation: "derivation of a key for notes",
            })?,
        })
    }

    pub(crate) fn mac(&self) -> &hmac::Key {
        &self.mac
    }

    pub(crate) fn seal(&self) -> &Prk {
        &self.seal
    }

    pub(crate) fn note(&self) -> &Ed25519KeyPair {
        &self.note
    }
}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricKey([redacted])")
    }
}

struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        SECRET_LENGTH
    }
}

fn expand(root: &Prk, label: &[u8], purpose: Purpose) -> Result<Zeroizing<[u8; SECRET_LENGTH]>, KeyringError> {
    let failed = |_| KeyringError::Crypto {
        operation: "derivation of a key",
    };
    let mut key = Zeroizing::new([0; SECRET_LENGTH]);
    root.expand(&[label, purpose.name().as_bytes()], KeyLength)
        .map_err(failed)?
        .fill(key.as_mut())
        .map_err(failed)?;
    Ok(key)
}

/// The secret parts of a new generation.
pub(crate) struct NewSecrets {
    pub(crate) pkcs8: Zeroizing<Vec<u8>>,
    pub(crate) symmetric: Zeroizing<[u8; SECRET_LENGTH]>,
}

impl NewSecrets {
    pub(crate) fn generate() -> Result<Self, KeyringError> {
        let mut symmetric = Zeroizing::new([0; SECRET_LENGTH]);
        rand::fill(symmetric.as_mut()).map_err(|_| KeyringError::Crypto {
            operation: "making of a secret",
        })?;
        Ok(Self {
            pkcs8: SoftwareSigner::generate()?,
            symmetric,
        })
    }
}

/// A new generation's id: the day of its making for the operator's eye, and four random bytes.
pub(crate) fn new_id(now: Timestamp) -> Result<String, KeyringError> {
    let mut random = [0; 4];
    rand::fill(&mut random).map_err(|_| KeyringError::Crypto {
        operation: "making of a key id",
    })?;
    Ok(format!("{}-{}", now.strftime("%Y%m%d"), hex::encode(random)))
}

/// Builds a generation that lives in this process's memory.
pub(crate) fn software_generation(
    purpose: Purpose,
    id: String,
    created: Timestamp,
    retires: Option<Timestamp>,
    secrets: &NewSecrets,
) -> Result<Generation, KeyringError> {
    Ok(Generation {
        id,
        created,
        retires,
        signer: Arc::new(SoftwareSigner::from_pkcs8(&secrets.pkcs8)?),
        symmetric: Arc::new(SymmetricKey::derive(purpose, &secrets.symmetric)?),
    })
}
