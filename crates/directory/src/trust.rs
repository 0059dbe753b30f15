//! With which keys a tree must be signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::SnapshotError;

/// With which keys a tree must be signed.
///
/// Whoever can forge a tree can widen what everybody sees. [`Trust::Published`] relies on the way to identity (TLS, or
/// one machine) and on the folder of the cache; [`Trust::Pinned`] on neither.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those that identity sends along.
    #[default]
    Published,
    /// These and no others. Before identity rotates its key the new one must be added here.
    Pinned(JwkSet),
}

impl Trust {
    /// Checks the ES256 signature of `message` under the key `key_id`; `published` is the set that came with it (JSON).
    pub(crate) fn check(
        &self,
        key_id: &str,
        message: &[u8],
        signature: &[u8],
        published: &str,
    ) -> Result<(), SnapshotError> {
        let parsed;
        let keys = match self {
            Self::Pinned(keys) => keys,
            Self::Published => {
                parsed = serde_json::from_str::<JwkSet>(published).map_err(|_| SnapshotError::UnknownKey)?;
                &parsed
            }
        };
        let key = keys.find(key_id).ok_or(SnapshotError::UnknownKey)?;
        // The algorithm is fixed; a key of another kind is no key.
        if !matches!(&key.algorithm, AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256) {
            return Err(SnapshotError::UnknownKey);
        }
        let key = DecodingKey::from_jwk(key).map_err(|_| SnapshotError::UnknownKey)?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        match jsonwebtoken::crypto::verify(&signature, message, &key, Algorithm::ES256) {
            Ok(true) => Ok(()),
            _ => Err(SnapshotError::BadSignature),
        }
    }
}
