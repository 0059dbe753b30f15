//! The ledger's arithmetic (sổ cái bất biến): a Merkle tree over entries, proofs, signed checkpoints, receipts.
//!
//! Pure: no database, no network, no clock. Whoever has this crate and a log's public key can check everything that the log
//! says, offline.
//!
//! * [`Entry`]: what stands in a leaf, in one canonical form; [`struct@Hash`]: RFC 6962.
//! * [`Frontier`]: appends and tells the root; [`TileSource`]: where proofs take complete subtrees from.
//! * [`inclusion_proof`], [`consistency_proof`] and their verification (RFC 9162).
//! * [`Checkpoint`], [`SignedNote`], [`VerifyingKey`]: C2SP tlog-checkpoint, signed-note, tlog-cosignature.
//! * [`Promise`]: the log's word before the leaf is in the tree; [`Receipt`]: the proof afterwards.
//!
//! ```
//! use egov_ledger::{Checkpoint, Frontier, Hash, KeyKind, SeedSigner, NoteSigner as _, VerifyingKey};
//!
//! let signer = SeedSigner::from_seed(&[7; 32])?;
//! let mut tree = Frontier::new();
//! tree.push(Hash::leaf(b"entry"));
//! let checkpoint = Checkpoint { origin: "example.gov.vn/onestop/1".to_owned(), size: tree.size(), root: tree.root() };
//! let signed = checkpoint.sign(&signer)?;
//! let key = VerifyingKey::new("example.gov.vn/onestop/1", KeyKind::Log, signer.public_key())?;
//! signed.verify(&key)?;
//! # Ok::<(), egov_ledger::LedgerError>(())
//! ```

pub mod base45;
mod bytes;
mod checkpoint;
mod entry;
mod error;
mod frontier;
mod hash;
mod note;
mod promise;
mod proof;
mod receipt;
mod tile;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use entry::{ENTRY_FORMAT, Entry, MAX_KIND};
pub use error::LedgerError;
pub use frontier::Frontier;
pub use hash::Hash;
pub use note::{KeyKind, MAX_NOTE, MAX_SIGNATURES, NoteSignature, NoteSigner, SeedSigner, SignedNote, VerifyingKey};
pub use promise::{PROMISE_FORMAT, Promise};
pub use proof::{
    Consistency, consistency, consistency_proof, inclusion_proof, root_from_inclusion, tree_root, verify_consistency,
    verify_inclusion,
};
pub use receipt::{RECEIPT_FORMAT, Receipt};
pub use tile::{
    TILE_HEIGHT, TILE_WIDTH, TileId, TileSet, TileSource, decode_entries, decode_tile, encode_entries, entries_path,
    frontier_of, tiles_for_consistency, tiles_for_inclusion, tiles_for_root, tiles_of,
};
