//! The form of a key file.
//!
//! ```json
//! {
//!   "format": 1,
//!   "purpose": "answers",
//!   "keys": [
//!     { "id": "20261123-9f3a2c1d", "algorithm": "ES256", "created": "2026-11-23T01:00:00Z", "retires": null,
//!       "check": "…", "secret": "… PKCS#8 …" },
//!     { "id": "20261123-9f3a2c1d", "algorithm": "HKDF-SHA256", "created": "2026-11-23T01:00:00Z", "retires": null,
//!       "check": "…", "secret": "… 32 bytes …" }
//!   ]
//! }
//! ```
//!
//! Bytes are base64. `check` is the first half of the SHA-256 over id, algorithm and secret: a single flipped bit in
//! a symmetric secret would otherwise only show when old data no longer opens.

use std::fmt;
use std::path::Path;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::generation::{NewSecrets, SECRET_LENGTH, software_generation};
use crate::{Generation, KeyringError, Purpose};

/// The newest format of the files that this version reads, and the one it writes.
pub(crate) const FORMAT: u32 = 1;

/// A key file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyFile {
    format: u32,
    purpose: String,
    keys: Vec<Key>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    id: String,
    algorithm: Algorithm,
    created: Timestamp,
    retires: Option<Timestamp>,
    check: String,
    secret: Secret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Algorithm {
    /// A pair for ECDSA on P-256 with SHA-256; the secret is its PKCS#8 form.
    #[serde(rename = "ES256")]
    Es256,
    /// 32 bytes from which the symmetric keys are derived.
    #[serde(rename = "HKDF-SHA256")]
    HkdfSha256,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::HkdfSha256 => "HKDF-SHA256",
        }
    }
}

#[derive(Clone)]
struct Secret(Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(self.0.as_slice())))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => Ok(Self(Zeroizing::new(bytes))),
            // The library's own text would quote a byte of the secret.
            Err(_) => Err(serde::de::Error::custom("a secret is not base64")),
        }
    }
}

fn check_value(id: &str, algorithm: Algorithm, secret: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [id.as_bytes(), algorithm.name().as_bytes()] {
        context.update(part);
        context.update(&[0]);
    }
    context.update(secret);
    let mut text = hex::encode(context.finish());
    text.truncate(32);
    text
}

impl KeyFile {
    /// A file with no generation yet.
    pub(crate) fn empty(purpose: Purpose) -> Self {
        Self {
            format: FORMAT,
            purpose: purpose.name().to_owned(),
            keys: Vec::new(),
        }
    }

    /// Adds a new generation.
    pub(crate) fn add(&mut self, id: &str, now: Timestamp, secrets: &NewSecrets) {
        let key = |algorithm, secret: &[u8]| Key {
            id: id.to_owned(),
            algorithm,
            created: now,
            retires: None,
            check: check_value(id, algorithm, secret),
            secret: Secret(Zeroizing::new(secret.to_vec())),
        };
        self.keys.push(key(Algorithm::Es256, &secrets.pkcs8));
        self.keys.push(key(Algorithm::HkdfSha256, secrets.symmetric.as_ref()));
    }

    /// Lets every generation retire at `retires`, unless it retires earlier already.
    pub(crate) fn retire(&mut self, retires: Timestamp) {
        for key in &mut self.keys {
            key.retires = Some(key.retires.map_or(retires, |known| known.min(retires)));
        }
    }

    /// Withdraws a generation; `false` if there is none of this id.
    pub(crate) fn withdraw(&mut self, id: &str) -> bool {
        let mut found = false;
        for key in self.keys.iter_mut().filter(|key| key.id == id) {
            key.retires = Some(key.created);
            found = true;
        }
        found
    }

    /// Whether some generation has no end.
    pub(crate) fn has_successor(&self) -> bool {
        self.keys.iter().any(|key| key.retires.is_none())
    }

    /// The text of the file.
    pub(crate) fn to_text(&self) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        // Reserved at once, so that no part of the content stays behind in a buffer that was too small.
        let mut text = Zeroizing::new(Vec::with_capacity(1024 * (1 + self.keys.len())));
        serde_json::to_writer_pretty(&mut *text, self).map_err(|_| KeyringError::Crypto {
            operation: "writing of a key file",
        })?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads the text of the file at `path`, which is only named in errors.
    pub(crate) fn from_text(text: &[u8], purpose: Purpose, path: &Path) -> Result<Self, KeyringError> {
        check_format(text, path)?;
        let file: Self = serde_json::from_slice(text).map_err(|err| not_json(&err, path))?;
        if file.purpose != purpose.name() {
            return Err(damaged(path, "it holds the keys of another purpose".to_owned()));
        }
        for (place, key) in file.keys.iter().enumerate() {
            if key.check != check_value(&key.id, key.algorithm, &key.secret.0) {
                return Err(damaged(path, format!("key {} is not what was written", place + 1)));
            }
        }
        Ok(file)
    }

    /// The generations, in the order of the file.
    pub(crate) fn generations(&self, purpose: Purpose, path: &Path) -> Result<Vec<Generation>, KeyringError> {
        let mut generations: Vec<Generation> = Vec::with_capacity(self.keys.len() / 2);
        let (pairs, rest) = self.keys.as_chunks::<2>();
        if pairs.is_empty() || !rest.is_empty() {
            return Err(damaged(path, format!("it holds {} keys", self.keys.len())));
        }
        for [pair, symmetric] in pairs {
            let belong_together = pair.id == symmetric.id
                && pair.created == symmetric.created
                && pair.retires == symmetric.retires
                && pair.algorithm == Algorithm::Es256
                && symmetric.algorithm == Algorithm::HkdfSha256;
            if !belong_together {
                return Err(damaged(
                    path,
                    "a signing key stands without its symmetric key".to_owned(),
                ));
            }
            if generations.iter().any(|known| known.id == pair.id) {
                return Err(damaged(path, format!("the id {} stands twice", pair.id)));
            }
            let secret = <[u8; SECRET_LENGTH]>::try_from(symmetric.secret.0.as_slice())
                .map_err(|_| damaged(path, "a secret has the wrong length".to_owned()))?;
            let secrets = NewSecrets {
                pkcs8: pair.secret.0.clone(),
                symmetric: Zeroizing::new(secret),
            };
            let generation = software_generation(purpose, pair.id.clone(), pair.created, pair.retires, &secrets)
                .map_err(|_| damaged(path, format!("the signing key {} is unsound", pair.id)))?;
            generations.push(generation);
        }
        Ok(generations)
    }
}

/// The list of the purposes whose keys were made once, so that a lost file is told from one that is not yet made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Index {
    format: u32,
    made: Vec<String>,
}

impl Index {
    pub(crate) fn empty() -> Self {
        Self {
            format: FORMAT,
            made: Vec::new(),
        }
    }

    pub(crate) fn lists(&self, purpose: Purpose) -> bool {
        self.made.iter().any(|name| name == purpose.name())
    }

    pub(crate) fn add(&mut self, purpose: Purpose) {
        self.made.push(purpose.name().to_owned());
    }

    pub(crate) fn to_text(&self) -> Result<Vec<u8>, KeyringError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|_| KeyringError::Crypto {
            operation: "writing of the keyring's list",
        })?;
        text.push(b'\n');
        Ok(text)
    }

    pub(crate) fn from_text(text: &[u8], path: &Path) -> Result<Self, KeyringError> {
        check_format(text, path)?;
        serde_json::from_slice(text).map_err(|err| not_json(&err, path))
    }
}

/// Reads the format first: the fields of a newer format are not this version's to judge.
fn check_format(text: &[u8], path: &Path) -> Result<(), KeyringError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }

    let Format { format } = serde_json::from_slice(text).map_err(|err| not_json(&err, path))?;
    if format > FORMAT {
        return Err(KeyringError::Newer {
            path: path.to_owned(),
            found: format,
            known: FORMAT,
        });
    }
    Ok(())
}

fn damaged(path: &Path, problem: String) -> KeyringError {
    KeyringError::Damaged {
        path: path.to_owned(),
        problem,
    }
}

/// Only the place of the mistake is told: the parser's own text may quote the content.
fn not_json(err: &serde_json::Error, path: &Path) -> KeyringError {
    let problem = if err.is_eof() {
        format!("it ends too early, in line {}", err.line())
    } else {
        format!("line {}, column {}", err.line(), err.column())
    };
    damaged(path, problem)
}
