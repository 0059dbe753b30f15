//! What stands in a leaf of the tree.

use jiff::Timestamp;
use uuid::Uuid;

use crate::bytes::Bytes;
use crate::error::{LedgerError, malformed};
use crate::hash::Hash;

/// The format of the entries that this version writes.
pub const ENTRY_FORMAT: u8 = 1;

/// The longest kind, in bytes.
pub const MAX_KIND: usize = 64;

/// An entry of the log: that a resource reached a version, and a commitment to what it was.
///
/// It holds no personal data: the commitment is an HMAC under a random salt that stays with the service, and deleting the
/// salt erases. Its bytes are the canonical form that is hashed:
///
/// | bytes | what |
/// |---|---|
/// | 1 | format, [`ENTRY_FORMAT`] |
/// | 1 + n | kind: its length, then `[a-z0-9_.-]`, 1 to 64 characters |
/// | 16 | resource |
/// | 8 | version, from 0 |
/// | 32 | commitment |
/// | 8 | time of the write in microseconds since 1970, signed |
/// | 4 | epoch of the database in which it was written |
///
/// Numbers are big-endian. One entry has one form: [`decode`](Self::decode) refuses every other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The kind of resource, for example `case`.
    pub kind: String,
    /// The resource.
    pub resource: Uuid,
    /// Its version after the write.
    pub version: u64,
    /// HMAC-SHA256 of the canonical bytes of what was written.
    pub commitment: [u8; 32],
    /// The instant of the write, in whole microseconds.
    pub time: Timestamp,
    /// The epoch of the database.
    pub epoch: u32,
}

impl Entry {
    /// The canonical bytes. Refuses a kind that no entry can have.
    pub fn encode(&self) -> Result<Vec<u8>, LedgerError> {
        let kind = checked_kind(&self.kind)?;
        let mut out = Vec::with_capacity(70 + kind.len());
        out.push(ENTRY_FORMAT);
        crate::bytes::put_short_text(&mut out, "entry", kind)?;
        out.extend_from_slice(self.resource.as_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.commitment);
        out.extend_from_slice(&self.time.as_microsecond().to_be_bytes());
        out.extend_from_slice(&self.epoch.to_be_bytes());
        Ok(out)
    }

    /// Reads the canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        let mut bytes = Bytes::new("entry", bytes);
        let format = bytes.u8()?;
        if format != ENTRY_FORMAT {
            return Err(LedgerError::UnknownFormat {
                what: "entry",
                found: format,
            });
        }
        let kind = checked_kind(bytes.short_text()?)?.to_owned();
        let entry = Self {
            kind,
            resource: Uuid::from_bytes(bytes.array()?),
            version: bytes.u64()?,
            commitment: bytes.array()?,
            time: Timestamp::from_microsecond(bytes.i64()?)
                .map_err(|_| malformed("entry", "its time is out of range"))?,
            epoch: bytes.u32()?,
        };
        bytes.end()?;
        Ok(entry)
    }

    /// The hash of the leaf: `SHA-256(0x00 || encode())`.
    pub fn leaf_hash(&self) -> Result<Hash, LedgerError> {
        Ok(Hash::leaf(&self.encode()?))
    }
}

fn checked_kind(kind: &str) -> Result<&str, LedgerError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-');
    if kind.is_empty() || kind.len() > MAX_KIND || !kind.bytes().all(allowed) {
        return Err(malformed(
            "entry",
            "its kind is not 1 to 64 characters of a-z 0-9 _ . -",
        ));
    }
    Ok(kind)
}
