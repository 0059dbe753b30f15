//! What a log remembers outside its database: the last checkpoint that it signed, and the last that a witness cosigned.
//!
//! A database that is restored or truncated comes back consistent with itself; only what is kept elsewhere tells that it is not what was
//! signed. The file may be behind by what was sequenced in its last second; it is never ahead.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use egov_fault::Fault;
use egov_ledger::SignedCheckpoint;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    /// The epoch of `signed`.
    pub(crate) epoch: i32,
    /// The last checkpoint, as a note.
    pub(crate) signed: String,
    /// The last checkpoint with a cosignature, as a note.
    #[serde(default)]
    pub(crate) cosigned: Option<String>,
}

impl Memory {
    /// The checkpoint on which the next epoch begins: the last that somebody else saw, else the last that was signed.
    pub(crate) fn to_go_on_from(&self) -> &str {
        self.cosigned.as_deref().unwrap_or(&self.signed)
    }

    pub(crate) fn checkpoint(&self) -> Result<SignedCheckpoint, Fault> {
        self.signed.parse().map_err(Fault::internal)
    }

    /// Reads the file; none if there is none.
    pub(crate) fn read(file: &Path) -> Result<Option<Self>, Fault> {
        match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(Fault::internal),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::internal(error)),
        }
    }

    /// Replaces the file as a whole, durably.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Fault> {
        let folder = file.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        let replace = || {
            std::fs::create_dir_all(&folder)?;
            let mut new = tempfile::NamedTempFile::new_in(&folder)?;
            new.write_all(&serde_json::to_vec_pretty(self)?)?;
            new.as_file().sync_all()?;
            new.persist(file)?;
            std::fs::File::open(&folder)?.sync_all()
        };
        replace().map_err(Fault::internal)
    }
}
