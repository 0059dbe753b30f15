//! Receipts: everything that proves an entry to be in a log, to somebody who has nothing but the log's public key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base45;
use crate::bytes::{Bytes, put_short_text};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::entry::Entry;
use crate::error::{LedgerError, malformed};
use crate::hash::Hash;
use crate::note::{NoteSignature, SignedNote, VerifyingKey};
use crate::proof::root_from_inclusion;

/// The format of the receipts that this version makes.
pub const RECEIPT_FORMAT: u8 = 1;
/// The text form begins with this.
const TEXT_PREFIX: &str = "EGOV1:";
/// The name of the JSON form.
const JSON_FORMAT: &str = "egov-receipt/1";

/// An entry, its place, the way to the root, and the signed checkpoint of that root.
///
/// Compact form; numbers are big-endian:
///
/// | bytes | what |
/// |---|---|
/// | 1 | format, [`RECEIPT_FORMAT`] |
/// | 2 + n | entry: its length, its canonical bytes |
/// | 8, 8 | index of the leaf, size of the tree |
/// | 1 + 32 n | inclusion path: number of hashes, the hashes, the lowest first |
/// | 1 + n | origin of the log: its length, its text |
/// | 1 | number of signatures, each of which is |
/// | 1 + n | name of its key: its length, its text; nothing for the log itself |
/// | 4, 1 + n | id of the key; the signature with its length |
///
/// The root is not in it: it follows from the entry and the path, and the signatures are over it. As text it is `EGOV1:` and
/// base45, which a QR code stores densely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The entry.
    pub entry: Entry,
    /// Its index.
    pub index: u64,
    /// The inclusion path, the lowest hash first.
    pub path: Vec<Hash>,
    /// The checkpoint with its signatures.
    pub checkpoint: SignedCheckpoint,
}

impl Receipt {
    /// Checks that the entry is in the log of one of these keys.
    pub fn verify<'k>(&self, keys: impl IntoIterator<Item = &'k VerifyingKey>) -> Result<(), LedgerError> {
        let checkpoint = self.checkpoint.checkpoint();
        let root = root_from_inclusion(&self.entry.leaf_hash()?, self.index, checkpoint.size, &self.path)?;
        if root != checkpoint.root {
            return Err(LedgerError::ProofFails { proof: "inclusion" });
        }
        self.checkpoint.verify_any(keys)
    }

    /// The compact form. Refuses a checkpoint whose root the path does not lead to, since the root is left out.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LedgerError> {
        let Checkpoint { origin, size, root } = self.checkpoint.checkpoint();
        if root_from_inclusion(&self.entry.leaf_hash()?, self.index, *size, &self.path)? != *root {
            return Err(LedgerError::ProofFails { proof: "inclusion" });
        }
        if self.checkpoint.note().text != self.checkpoint.checkpoint().to_string() {
            return Err(malformed(
                "receipt",
                "its checkpoint has lines that the compact form cannot keep",
            ));
        }
        let count =
            |length: usize| u8::try_from(length).map_err(|_| malformed("receipt", "it has more than 255 parts"));
        let mut out = vec![RECEIPT_FORMAT];
        let entry = self.entry.encode()?;
        let length = u16::try_from(entry.len()).map_err(|_| malformed("receipt", "its entry is too long"))?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&entry);
        out.extend_from_slice(&self.index.to_be_bytes());
        out.extend_from_slice(&size.to_be_bytes());
        out.push(count(self.path.len())?);
        for hash in &self.path {
            out.extend_from_slice(hash.as_bytes());
        }
        put_short_text(&mut out, "receipt", origin)?;
        let signatures = &self.checkpoint.note().signatures;
        out.push(count(signatures.len())?);
        for NoteSignature {
            name,
            key_id,
            signature,
        } in signatures
        {
            put_short_text(&mut out, "receipt", if name == origin { "" } else { name })?;
            out.extend_from_slice(key_id);
            out.push(count(signature.len())?);
            out.extend_from_slice(signature);
        }
        Ok(out)
    }

    /// Reads the compact form. Nothing of it is known to be true before [`verify`](Self::verify).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LedgerError> {
        let mut bytes = Bytes::new("receipt", bytes);
        let format = bytes.u8()?;
        if format != RECEIPT_FORMAT {
            return Err(LedgerError::UnknownFormat {
                what: "receipt",
                found: format,
            });
        }
        let length = usize::from(bytes.u16()?);
        let entry = Entry::decode(bytes.take(length)?)?;
        let (index, size) = (bytes.u64()?, bytes.u64()?);
        let path = (0..bytes.u8()?)
            .map(|_| bytes.array().map(Hash))
            .collect::<Result<Vec<_>, _>>()?;
        let root = root_from_inclusion(&entry.leaf_hash()?, index, size, &path)?;
        let origin = bytes.short_text()?.to_owned();
        let count = bytes.u8()?;
        let checkpoint = Checkpoint { origin, size, root };
        let mut note = SignedNote::new(checkpoint.to_string())?;
        for _ in 0..count {
            let name = bytes.short_text()?;
            let name = if name.is_empty() { &checkpoint.origin } else { name };
            let (name, key_id) = (name.to_owned(), bytes.array()?);
            let length = usize::from(bytes.u8()?);
            let signature = bytes.take(length)?.to_vec();
            note.signatures.push(NoteSignature {
                name,
                key_id,
                signature,
            });
        }
        bytes.end()?;
        Ok(Self {
            entry,
            index,
            path,
            // Through the text, so that a receipt's checkpoint meets every rule of one.
            checkpoint: note.to_string().parse()?,
        })
    }

    /// The text for a QR code: `EGOV1:` and base45.
    pub fn to_text(&self) -> Result<String, LedgerError> {
        Ok(format!("{TEXT_PREFIX}{}", base45::encode(&self.to_bytes()?)))
    }

    /// The JSON form, for people and programs that have room.
    pub fn to_json(&self) -> Result<String, LedgerError> {
        let entry = &self.entry;
        let json = Json {
            format: JSON_FORMAT.to_owned(),
            entry: JsonEntry {
                kind: entry.kind.clone(),
                resource: entry.resource,
                version: entry.version,
                commitment: hex::encode(entry.commitment),
                time: entry.time,
                epoch: entry.epoch,
            },
            leaf_hash: entry.leaf_hash()?.to_string(),
            index: self.index,
            tree_size: self.checkpoint.checkpoint().size,
            path: self.path.iter().map(Hash::to_string).collect(),
            checkpoint: self.checkpoint.to_string(),
        };
        serde_json::to_string_pretty(&json).map_err(|_| malformed("receipt", "it cannot be written as JSON"))
    }

    /// Reads any of the forms: JSON, the text of a QR code, base64url or the bytes themselves. Nothing of it is known to be true
    /// before [`verify`](Self::verify).
    pub fn read(bytes: &[u8]) -> Result<Self, LedgerError> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Self::from_bytes(bytes);
        };
        // Spaces at the end belong to base45; what an editor adds is a line's end.
        let text = text.trim_start().trim_end_matches(['\n', '\r']);
        if text.starts_with('{') {
            return Self::from_json(text);
        }
        if let Some(encoded) = text.strip_prefix(TEXT_PREFIX) {
            return Self::from_bytes(&base45::decode(encoded)?);
        }
        match URL_SAFE_NO_PAD.decode(text.trim_end()) {
            Ok(decoded) => Self::from_bytes(&decoded),
            Err(_) => Self::from_bytes(bytes),
        }
    }

    /// Reads the JSON form.
    pub fn from_json(text: &str) -> Result<Self, LedgerError> {
        let wrong = |problem| malformed("receipt", problem);
        let json: Json = serde_json::from_str(text).map_err(|_| wrong("it is not JSON of a receipt"))?;
        if json.format != JSON_FORMAT {
            return Err(wrong("its format is not egov-receipt/1"));
        }
        let hash = |text: &str| {
            let bytes = hex::decode(text).map_err(|_| wrong("a hash is not hexadecimal"))?;
            Hash::from_slice(&bytes)
        };
        let entry = Entry {
            kind: json.entry.kind,
            resource: json.entry.resource,
            version: json.entry.version,
            commitment: hash(&json.entry.commitment)?.0,
            time: json.entry.time,
            epoch: json.entry.epoch,
        };
        let checkpoint: SignedCheckpoint = json.checkpoint.parse()?;
        if entry.leaf_hash()? != hash(&json.leaf_hash)? {
            return Err(wrong("its leaf hash is not that of its entry"));
        }
        if checkpoint.checkpoint().size != json.tree_size {
            return Err(wrong("its tree size is not that of its checkpoint"));
        }
        Ok(Self {
            entry,
            index: json.index,
            path: json.path.iter().map(|text| hash(text)).collect::<Result<_, _>>()?,
            checkpoint,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    format: String,
    entry: JsonEntry,
    leaf_hash: String,
    index: u64,
    tree_size: u64,
    path: Vec<String>,
    checkpoint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEntry {
    kind: String,
    resource: Uuid,
    version: u64,
    commitment: String,
    time: Timestamp,
    epoch: u32,
}
