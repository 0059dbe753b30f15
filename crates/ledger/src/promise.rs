//! Promises: what a caller is given at once, before the leaf has its place in the tree.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::bytes::{Bytes, put_short_text};
use crate::error::{LedgerError, malformed};
use crate::hash::Hash;
use crate::note::{KeyKind, NoteSigner, VerifyingKey, check_name};

/// The format of the promises that this version makes.
pub const PROMISE_FORMAT: u8 = 1;

/// What is signed begins with this: a control character, so that no note and no checkpoint can ever have the same bytes.
const DOMAIN: &[u8] = b"\0egov ledger promise\0";

/// The log's word that a leaf will be in its tree: whoever holds it and later gets no receipt for it can show that the log
/// broke its word.
///
/// Compact form, base64url without padding as text; numbers are big-endian:
///
/// | bytes | what |
/// |---|---|
/// | 1 | format, [`PROMISE_FORMAT`] |
/// | 1 + n | origin of the log: its length, its text |
/// | 32 | leaf hash |
/// | 8 | time of the promise, microseconds since 1970, signed |
/// | 4 | id of the log's key |
/// | 64 | Ed25519 signature over `"\0egov ledger promise\0"` and everything before the key's id |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    origin: String,
    leaf: Hash,
    time: Timestamp,
    key_id: [u8; 4],
    signature: [u8; 64],
}

impl Promise {
    /// Promises that the leaf will be in the log `origin`.
    pub fn make(origin: &str, leaf: Hash, time: Timestamp, signer: &dyn NoteSigner) -> Result<Self, LedgerError> {
        let key = VerifyingKey::new(origin, KeyKind::Log, signer.public_key())?;
        let signature = signer
            .sign(&signed_bytes(origin, leaf, time)?)
            .ok_or_else(|| LedgerError::CannotSign {
                name: origin.to_owned(),
            })?;
        Ok(Self {
            origin: origin.to_owned(),
            leaf,
            time: whole_microseconds(time)?,
            key_id: key.id(),
            signature,
        })
    }

    /// The log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The leaf: by its hash the receipt is asked for.
    pub fn leaf(&self) -> Hash {
        self.leaf
    }

    /// When it was promised.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Checks that the log of this key gave the promise.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), LedgerError> {
        if key.name() != self.origin {
            return Err(LedgerError::OtherLog {
                wanted: key.name().to_owned(),
                found: self.origin.clone(),
            });
        }
        if key.kind() != KeyKind::Log || key.id() != self.key_id {
            return Err(LedgerError::NotSigned {
                name: key.name().to_owned(),
            });
        }
        key.verify(&signed_bytes(&self.origin, self.leaf, self.time)?, &self.signature)
    }

    /// The compact form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LedgerError> {
        let mut out = fields(&self.origin, self.leaf, self.time)?;
        out.extend_from_slice(&self.key_id);
        out.extend_from_slice(&self.signature);
        Ok(out)
    }

    /// Reads the compact form. Nothing of it is known to be true before [`verify`](Self::verify).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LedgerError> {
        let mut bytes = Bytes::new("promise", bytes);
        let format = bytes.u8()?;
        if format != PROMISE_FORMAT {
            return Err(LedgerError::UnknownFormat {
                what: "promise",
                found: format,
            });
        }
        let origin = bytes.short_text()?;
        check_name(origin)?;
        let promise = Self {
            origin: origin.to_owned(),
            leaf: Hash(bytes.array()?),
            time: Timestamp::from_microsecond(bytes.i64()?)
                .map_err(|_| malformed("promise", "its time is out of range"))?,
            key_id: bytes.array()?,
            signature: bytes.array()?,
        };
        bytes.end()?;
        Ok(promise)
    }
}

fn whole_microseconds(time: Timestamp) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(time.as_microsecond()).map_err(|_| malformed("promise", "its time is out of range"))
}

fn fields(origin: &str, leaf: Hash, time: Timestamp) -> Result<Vec<u8>, LedgerError> {
    let mut out = vec![PROMISE_FORMAT];
    put_short_text(&mut out, "promise", origin)?;
    out.extend_from_slice(leaf.as_bytes());
    out.extend_from_slice(&time.as_microsecond().to_be_bytes());
    Ok(out)
}

fn signed_bytes(origin: &str, leaf: Hash, time: Timestamp) -> Result<Vec<u8>, LedgerError> {
    let mut out = DOMAIN.to_vec();
    out.extend(fields(origin, leaf, time)?);
    Ok(out)
}

/// base64url without padding.
impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.to_bytes().map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Promise {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim())
            .map_err(|_| malformed("promise", "it is not base64url"))?;
        Self::from_bytes(&bytes)
    }
}
