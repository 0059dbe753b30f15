//! The last good tree on disk, with its signature.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use egov_proto::egov::identity::v1::GetTreeSnapshotResponse;
use prost::Message as _;

/// The name of the file.
const FILE: &str = "unit-tree.bin";

/// The folder in which the last good tree is kept.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Makes the folder if it is missing.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// What was kept, if anything was. It is not believed before its signature was checked.
    pub(crate) fn load(&self) -> io::Result<Option<GetTreeSnapshotResponse>> {
        let bytes = match fs::read(self.file()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        GetTreeSnapshotResponse::decode(bytes.as_slice())
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Keeps an answer: a crash leaves the old one or the new one, never a half.
    pub(crate) fn save(&self, answer: &GetTreeSnapshotResponse) -> io::Result<()> {
        let fresh = self.folder.join(format!("{FILE}.new"));
        let mut file = File::create(&fresh)?;
        file.write_all(&answer.encode_to_vec())?;
        file.sync_all()?;
        fs::rename(&fresh, self.file())?;
        File::open(&self.folder)?.sync_all()
    }
}
