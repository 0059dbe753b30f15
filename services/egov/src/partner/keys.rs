//! Keys of a partner: Ed25519, in files that every other program reads (PKCS #8 in PEM).

use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::place::write_private;
use crate::problem::Problem;

/// The length of a line of base64 in PEM.
const LINE: usize = 64;

/// A key that signs.
pub(crate) struct Key {
    pair: Ed25519KeyPair,
    /// Its id: its thumbprint (RFC 7638), which anybody can work out.
    pub(crate) id: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    /// The key in a file, or a new one that is written there for its owner only. True if it is new.
    pub(crate) fn open_or_make(path: &Path) -> anyhow::Result<(Self, bool)> {
        if path.exists() {
            return Ok((Self::open(path)?, false));
        }
        // Version 1, without the public half: OpenSSL does not read the other.
        let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())
            .ok()
            .context("no key could be made")?;
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        let coded = STANDARD.encode(document.as_ref());
        for line in coded.as_bytes().chunks(LINE) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        write_private(path, pem.as_bytes())?;
        Ok((Self::open(path)?, true))
    }

    /// The key in a file.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let unusable = |why: String| {
            Problem::new(
                format!("{} holds no Ed25519 key in PEM: {why}", path.display()),
                "bring the file back as it was; or move it away and take another NAME",
            )
        };
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|error| unusable(error.to_string()))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map_err(|error| unusable(error.to_string()))?;
        let id = thumbprint(pair.public_key().as_ref());
        Ok(Self { pair, id })
    }

    /// The public half (JWK, JSON).
    pub(crate) fn public_jwk(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": x }).to_string()
    }

    /// The claims of an assertion, signed (JWT, RFC 7519).
    pub(crate) fn assertion(&self, claims: &Value) -> String {
        let (header, payload, signature) = self.sign("JWT", claims.to_string().as_bytes());
        format!("{header}.{payload}.{signature}")
    }

    /// The signature over a text that the receiver has already (JWS with detached payload, RFC 7515 appendix F).
    pub(crate) fn detached(&self, text: &str) -> String {
        let (header, _, signature) = self.sign("JOSE", text.as_bytes());
        format!("{header}..{signature}")
    }

    fn sign(&self, kind: &str, payload: &[u8]) -> (String, String, String) {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "EdDSA", "kid": self.id, "typ": kind }).to_string());
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signature = self.pair.sign(format!("{header}.{payload}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
        (header, payload, signature)
    }
}

/// The thumbprint of a public key (RFC 7638, RFC 8037).
fn thumbprint(public: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_id_of_a_key_is_its_thumbprint() {
        // RFC 8037, appendix A.3.
        let public = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        assert_eq!(thumbprint(&public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let (first, made) = Key::open_or_make(&path).unwrap();
        assert!(made);
        let (second, made) = Key::open_or_make(&path).unwrap();
        assert!(!made && first.id == second.id);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // What it signs is believed by somebody who has the public half, and by nobody else.
        let claims = json!({ "sub": "demo", "exp": 4_000_000_000_u64 });
        let token = first.assertion(&claims);
        let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
        rules.validate_aud = false;
        let read = |key: &Key| {
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_str(&key.public_jwk()).unwrap();
            let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
            jsonwebtoken::decode::<Value>(&token, &key, &rules).map(|data| data.claims)
        };
        assert_eq!(read(&second).unwrap(), claims);
        let (other, _) = Key::open_or_make(&folder.path().join("other.pem")).unwrap();
        assert!(read(&other).is_err());
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        assert!(Key::open(&path).unwrap_err().to_string().contains("no Ed25519 key"));
    }
}
