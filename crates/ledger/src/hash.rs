//! The hashes of RFC 6962 section 2.1: a leaf and a node can never be taken for one another.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{LedgerError, malformed};

/// SHA-256 of a leaf, of a node, or of the whole tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The root of a tree without leaves: SHA-256 of nothing.
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
        0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// The hash of a leaf: `SHA-256(0x00 || entry)`.
    pub fn leaf(entry: &[u8]) -> Self {
        digest(&[&[0], entry])
    }

    /// The hash of an inner node: `SHA-256(0x01 || left || right)`.
    pub fn node(left: &Self, right: &Self) -> Self {
        digest(&[&[1], &left.0, &right.0])
    }

    /// From exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, LedgerError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| malformed("hash", "it is not 32 bytes long"))
    }

    /// From standard base64, as checkpoints write it.
    pub fn from_base64(text: &str) -> Result<Self, LedgerError> {
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| malformed("hash", "it is not base64"))?;
        Self::from_slice(&bytes)
    }

    /// Standard base64, as checkpoints write it.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// Hexadecimal.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// SHA-256 of the parts, one after the other.
pub(crate) fn digest(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    Hash(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_tree_has_the_hash_of_nothing() {
        assert_eq!(digest(&[]), Hash::EMPTY);
    }

    #[test]
    fn a_leaf_of_two_hashes_is_not_a_node() {
        let (left, right) = (Hash::leaf(b"a"), Hash::leaf(b"b"));
        let together = [left.0, right.0].concat();
        assert_ne!(Hash::leaf(&together), Hash::node(&left, &right));
    }

    #[test]
    fn a_hash_is_read_back_from_base64_and_nothing_else_is() {
        let hash = Hash::leaf(b"a");
        assert_eq!(Hash::from_base64(&hash.to_base64()), Ok(hash));
        assert!(Hash::from_base64("AAAA").is_err());
        assert!(Hash::from_base64("not base64").is_err());
    }
}
