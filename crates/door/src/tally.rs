//! What went through one direction of a call: its hash, its messages, its bytes.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

/// The hash and the size of what went through. The hash is SHA-256 over the gRPC frames as they travelled, for plain HTTP over
/// the body, so that either party works it out from what it sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// SHA-256.
    pub hash: [u8; 32],
    /// Whole messages; for plain HTTP 1 if there is a body.
    pub messages: u64,
    /// Bytes, with the frames' own.
    pub bytes: u64,
}

impl Tally {
    /// Of these bytes at once.
    pub fn of(bytes: &[u8], messages: u64) -> Self {
        let mut counting = Counting::default();
        counting.add(bytes);
        counting.messages = messages;
        counting.tally()
    }
}

/// A tally in the making.
#[derive(Clone)]
pub(crate) struct Counting {
    context: Context,
    pub(crate) messages: u64,
    bytes: u64,
}

impl Default for Counting {
    fn default() -> Self {
        Self {
            context: Context::new(&SHA256),
            messages: 0,
            bytes: 0,
        }
    }
}

impl Counting {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(crate) fn tally(&self) -> Tally {
        let digest = self.context.clone().finish();
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Tally {
            hash,
            messages: self.messages,
            bytes: self.bytes,
        }
    }
}

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counting")
            .field("messages", &self.messages)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
