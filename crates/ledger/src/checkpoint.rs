//! Checkpoints (C2SP tlog-checkpoint): the size and root of a log, signed.

use std::fmt;
use std::str::FromStr;

use crate::error::{LedgerError, malformed};
use crate::hash::Hash;
use crate::note::{KeyKind, NoteSigner, SignedNote, VerifyingKey, check_name};

/// What a log said of itself at some size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log: a name that nobody else uses, without scheme, with the service and the epoch at its end.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Signs it as the log, with a key of the origin's name.
    pub fn sign(&self, signer: &dyn NoteSigner) -> Result<SignedCheckpoint, LedgerError> {
        check_name(&self.origin)?;
        let mut note = SignedNote::new(self.to_string())?;
        note.sign(&self.origin, signer)?;
        Ok(SignedCheckpoint {
            checkpoint: self.clone(),
            note,
        })
    }
}

/// The text that is signed: three lines.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64())
    }
}

impl FromStr for Checkpoint {
    type Err = LedgerError;

    /// Reads the first three lines; a checkpoint may have further ones, which are signed with it.
    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let wrong = |problem| malformed("checkpoint", problem);
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(wrong("it has fewer than three lines"));
        };
        check_name(origin)?;
        let digits = size.bytes().all(|byte| byte.is_ascii_digit());
        let canonical = size == "0" || !size.starts_with('0');
        if !digits || !canonical {
            return Err(wrong("its size is not a decimal number without leading zeros"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| wrong("its size is too large"))?,
            root: Hash::from_base64(root)?,
        })
    }
}

/// A checkpoint with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl SignedCheckpoint {
    /// What it says. Nothing of it is known to be true before [`verify`](Self::verify).
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signed note.
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// The signed note, to add signatures.
    pub fn note_mut(&mut self) -> &mut SignedNote {
        &mut self.note
    }

    /// Checks that the log of `key` signed it: the key's name is the origin, and its signature is right.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), LedgerError> {
        if key.name() != self.checkpoint.origin {
            return Err(LedgerError::OtherLog {
                wanted: key.name().to_owned(),
                found: self.checkpoint.origin.clone(),
            });
        }
        if key.kind() != KeyKind::Log {
            return Err(LedgerError::NotSigned {
                name: key.name().to_owned(),
            });
        }
        self.note.verify(key).map(drop)
    }

    /// Checks that one of several keys signed it as the log; a key that was rotated is one of several.
    pub fn verify_any<'k>(&self, keys: impl IntoIterator<Item = &'k VerifyingKey>) -> Result<(), LedgerError> {
        let mut refused = LedgerError::NotSigned {
            name: self.checkpoint.origin.clone(),
        };
        for key in keys {
            if key.kind() != KeyKind::Log || key.name() != self.checkpoint.origin {
                continue;
            }
            match self.verify(key) {
                Ok(()) => return Ok(()),
                Err(error @ LedgerError::WrongSignature { .. }) => refused = error,
                Err(_) => {}
            }
        }
        Err(refused)
    }

    /// When this witness saw it, in seconds since 1970.
    pub fn cosigned_by(&self, witness: &VerifyingKey) -> Result<u64, LedgerError> {
        self.note.verify(witness)?.ok_or_else(|| LedgerError::NotSigned {
            name: witness.name().to_owned(),
        })
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

impl FromStr for SignedCheckpoint {
    type Err = LedgerError;

    fn from_str(note: &str) -> Result<Self, LedgerError> {
        let note: SignedNote = note.parse()?;
        Ok(Self {
            checkpoint: note.text.parse()?,
            note,
        })
    }
}
