//! One keyring by purpose, backed up apart from the data.
//!
//! Everything the platform signs, authenticates or encrypts by itself (tokens, page tokens, stored answers, receipts,
//! checkpoints …) takes its key from a [`Keyring`]. A key belongs to one [`Purpose`] and is never used for another.
//! Keys come in generations: rotation adds one, the older ones go on verifying and opening until their overlap ends.
//!
//! The keys live in a folder of their own (mode 0700), one JSON file a purpose (mode 0600), so that they are backed
//! up apart from the database: whoever holds only one of the two can read nothing. Nothing here has a default secret;
//! [`Keyring::open`] refuses a missing, damaged or too open keyring and says what to do.
//!
//! ```
//! use egov_clock::ManualClock;
//! use egov_keyring::{Keyring, Purpose};
//!
//! let folder = tempfile::tempdir()?;
//! let clock = ManualClock::at("2026-11-23T01:00:00Z".parse()?);
//! let keyring = Keyring::create_missing(&folder.path().join("keyring"), &clock)?;
//!
//! let sealed = keyring.seal(Purpose::Answers, b"the answer", b"request 7");
//! assert_eq!(keyring.open_sealed(Purpose::Answers, &sealed, b"request 7")?, b"the answer");
//! assert!(keyring.open_sealed(Purpose::Answers, &sealed, b"request 8").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is inside
//! * [`Keyring`]: what services use.
//! * [`Provider`]: where the keys live and who performs the private operations; [`FolderProvider`] is the folder
//!   described above. A hardware module (PKCS#11) is another implementation of the same trait.
//!
//! Key material and nonces come straight from the cryptographic library's generator: they are the one exception to
//! the rule that chance is passed in, because a repeatable nonce is a broken one.

mod error;
mod folder;
mod generation;
mod keyring;
mod memory;
mod on_disk;
mod provider;
mod purpose;
mod sealed;

pub use error::KeyringError;
pub use folder::FolderProvider;
pub use generation::{Generation, Signer, SymmetricKey};
pub use keyring::{KeyLife, Keyring, NoteKey, SigningKey};
pub use provider::Provider;
pub use purpose::Purpose;
