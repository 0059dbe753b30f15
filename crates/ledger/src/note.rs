//! Signed notes (C2SP signed-note) with Ed25519, and the cosignatures of witnesses (C2SP tlog-cosignature).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{LedgerError, malformed};
use crate::hash::digest;

/// The longest note that is read, in bytes.
pub const MAX_NOTE: usize = 64 * 1024;
/// The most signatures that are read of a note.
pub const MAX_SIGNATURES: usize = 64;

/// What a key signs: notes as they stand, or with the time at which a witness saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Ed25519 over the text: a log.
    Log,
    /// Ed25519 over the time and the text (`cosignature/v1`): a witness.
    Witness,
}

impl KeyKind {
    const fn code(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Witness => 4,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        [Self::Log, Self::Witness].into_iter().find(|kind| kind.code() == code)
    }
}

/// A public key with its name, written `name+hash+key` (C2SP signed-note).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifyingKey {
    name: String,
    kind: KeyKind,
    public: [u8; 32],
}

impl VerifyingKey {
    /// A key. The name is not empty and has neither spaces nor `+`.
    pub fn new(name: impl Into<String>, kind: KeyKind, public: [u8; 32]) -> Result<Self, LedgerError> {
        let name = name.into();
        check_name(&name)?;
        Ok(Self { name, kind, public })
    }

    /// The name; for a log its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The 32 bytes of the Ed25519 key.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public
    }

    /// The four bytes by which signatures name the key. They only find it; they prove nothing.
    pub fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = digest(&[self.name.as_bytes(), b"\n", &[self.kind.code()], &self.public]).0;
        [a, b, c, d]
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), LedgerError> {
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(message, signature)
            .map_err(|_| LedgerError::WrongSignature {
                name: self.name.clone(),
            })
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind.code()];
        key.extend_from_slice(&self.public);
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(key))
    }
}

impl FromStr for VerifyingKey {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let wrong = |problem| malformed("key", problem);
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("it is not name+hash+key"));
        };
        let key = STANDARD.decode(key).map_err(|_| wrong("it is not base64"))?;
        let (code, public) = key.split_first().ok_or_else(|| wrong("it is empty"))?;
        let kind = KeyKind::of_code(*code).ok_or_else(|| wrong("it is neither Ed25519 nor cosignature/v1"))?;
        let public = public.try_into().map_err(|_| wrong("it is not 32 bytes long"))?;
        let key = Self::new(name, kind, public)?;
        if hex::encode(key.id()) != id {
            return Err(wrong("its hash does not fit: a part was changed or mistyped"));
        }
        Ok(key)
    }
}

impl serde::Serialize for VerifyingKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for VerifyingKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), LedgerError> {
    if name.is_empty() || name.len() > 255 {
        return Err(malformed("name of a key", "it is not 1 to 255 bytes long"));
    }
    if name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
        return Err(malformed("name of a key", "it has a space, a control character or a +"));
    }
    Ok(())
}

/// A private Ed25519 key, wherever it lives.
pub trait NoteSigner: Send + Sync {
    /// The public key.
    fn public_key(&self) -> [u8; 32];

    /// Signs; none where the key lives in a module that fails.
    fn sign(&self, message: &[u8]) -> Option<[u8; 64]>;
}

/// A private key from a seed of 32 bytes, in this process's memory.
pub struct SeedSigner {
    pair: Ed25519KeyPair,
}

impl SeedSigner {
    /// The key of this seed (RFC 8032 section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, LedgerError> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(|pair| Self { pair })
            .map_err(|_| malformed("seed", "no key can be made of it"))
    }
}

impl fmt::Debug for SeedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeedSigner([redacted])")
    }
}

impl NoteSigner for SeedSigner {
    fn public_key(&self) -> [u8; 32] {
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(self.pair.public_key().as_ref()) {
            *to = *from;
        }
        out
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        self.pair.sign(message).as_ref().try_into().ok()
    }
}

/// One line of signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The first bytes of the key's hash.
    pub key_id: [u8; 4],
    /// The signature; of a witness with eight bytes of time before it.
    pub signature: Vec<u8>,
}

impl NoteSignature {
    /// The line without its end.
    pub fn to_line(&self) -> String {
        let mut bytes = self.key_id.to_vec();
        bytes.extend_from_slice(&self.signature);
        format!("— {} {}", self.name, STANDARD.encode(bytes))
    }

    /// Reads a line.
    pub fn from_line(line: &str) -> Result<Self, LedgerError> {
        let wrong = |problem| malformed("signature line", problem);
        let rest = line
            .strip_prefix("— ")
            .ok_or_else(|| wrong("it does not begin with a dash"))?;
        let (name, bytes) = rest.split_once(' ').ok_or_else(|| wrong("it has no signature"))?;
        check_name(name)?;
        let bytes = STANDARD.decode(bytes).map_err(|_| wrong("it is not base64"))?;
        let (id, signature) = bytes
            .split_first_chunk::<4>()
            .filter(|(_, signature)| !signature.is_empty())
            .ok_or_else(|| wrong("it is too short"))?;
        Ok(Self {
            name: name.to_owned(),
            key_id: *id,
            signature: signature.to_vec(),
        })
    }

    /// The time at which a witness saw the note, in seconds since 1970, if this is a cosignature.
    pub fn witness_time(&self) -> Option<u64> {
        let (time, rest) = self.signature.split_first_chunk::<8>()?;
        (rest.len() == 64).then(|| u64::from_be_bytes(*time))
    }
}

/// A text with signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    /// What is signed; it ends with a line's end.
    pub text: String,
    /// The signatures, those by unknown keys included.
    pub signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// A note without signatures yet. The text ends with a line's end and has no control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, LedgerError> {
        let text = text.into();
        if !text.ends_with('\n') || text == "\n" {
            return Err(malformed("note", "its text does not end with a line's end"));
        }
        if text.chars().any(|c| c != '\n' && c.is_control()) {
            return Err(malformed("note", "it has control characters"));
        }
        Ok(Self {
            text,
            signatures: Vec::new(),
        })
    }

    /// Signs as a log.
    pub fn sign(&mut self, name: &str, signer: &dyn NoteSigner) -> Result<(), LedgerError> {
        let key = VerifyingKey::new(name, KeyKind::Log, signer.public_key())?;
        let signature = signer
            .sign(self.text.as_bytes())
            .ok_or_else(|| LedgerError::CannotSign { name: name.to_owned() })?;
        self.signatures.push(NoteSignature {
            name: name.to_owned(),
            key_id: key.id(),
            signature: signature.to_vec(),
        });
        Ok(())
    }

    /// Signs as a witness that saw the note at `time`, in seconds since 1970.
    pub fn cosign(&mut self, name: &str, signer: &dyn NoteSigner, time: u64) -> Result<(), LedgerError> {
        let key = VerifyingKey::new(name, KeyKind::Witness, signer.public_key())?;
        let signature = signer
            .sign(&cosigned(&self.text, time))
            .ok_or_else(|| LedgerError::CannotSign { name: name.to_owned() })?;
        let mut bytes = time.to_be_bytes().to_vec();
        bytes.extend_from_slice(&signature);
        self.signatures.push(NoteSignature {
            name: name.to_owned(),
            key_id: key.id(),
            signature: bytes,
        });
        Ok(())
    }

    /// Checks the signature by this key; of a witness, answers with the time at which it saw the note.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Option<u64>, LedgerError> {
        let id = key.id();
        let mut named = self
            .signatures
            .iter()
            .filter(|signature| signature.key_id == id && signature.name == key.name())
            .peekable();
        if named.peek().is_none() {
            return Err(LedgerError::NotSigned {
                name: key.name().to_owned(),
            });
        }
        // A wrong signature in the name of a known key makes the whole note wrong (C2SP signed-note).
        let mut time = None;
        for signature in named {
            time = match key.kind() {
                KeyKind::Log => {
                    key.verify(self.text.as_bytes(), &signature.signature)?;
                    None
                }
                KeyKind::Witness => {
                    let wrong = || LedgerError::WrongSignature {
                        name: key.name().to_owned(),
                    };
                    let seen = signature.witness_time().ok_or_else(wrong)?;
                    let bare = signature.signature.get(8..).ok_or_else(wrong)?;
                    key.verify(&cosigned(&self.text, seen), bare)?;
                    Some(seen)
                }
            };
        }
        Ok(time)
    }
}

fn cosigned(text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{}", signature.to_line()))
    }
}

impl FromStr for SignedNote {
    type Err = LedgerError;

    fn from_str(note: &str) -> Result<Self, LedgerError> {
        if note.len() > MAX_NOTE {
            return Err(malformed("note", "it is longer than 64 KiB"));
        }
        // The last empty line separates: the text may have empty lines of its own.
        let (text, lines) = note
            .rsplit_once("\n\n")
            .ok_or_else(|| malformed("note", "it has no empty line before signatures"))?;
        let mut read = Self::new(format!("{text}\n"))?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or_else(|| malformed("note", "its last line does not end"))?;
        for line in lines.split('\n') {
            if read.signatures.len() == MAX_SIGNATURES {
                return Err(malformed("note", "it has more than 64 signatures"));
            }
            read.signatures.push(NoteSignature::from_line(line)?);
        }
        Ok(read)
    }
}
