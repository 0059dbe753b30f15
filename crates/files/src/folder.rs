//! What a folder needs beyond what `object_store` does for it.
//!
//! With its `fsync` setting on, `object_store` flushes every file and the folders that it enters or makes before it
//! answers. Four things remain and are done here: the folders are made and flushed in advance (of two writers that
//! need the same new folder, one would else answer before the other has flushed it), a deletion is flushed, a repeated
//! call flushes again what a killed process may have left unflushed, and the rests of killed writers are removed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;

use crate::OpenError;
use crate::key::{FILES, UPLOADS, UploadPlace};

/// The files hold personal data: nobody but the service's user enters.
const FOLDER_MODE: u32 = 0o700;

/// A folder that keeps files.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes and flushes the folders.
    pub(crate) fn open(path: &Path) -> Result<(Self, LocalFileSystem), OpenError> {
        let refused = |source| OpenError::Folder {
            path: path.to_owned(),
            source,
        };
        let root = std::path::absolute(path).map_err(refused)?;
        make(&root).map_err(refused)?;
        for folder in [UPLOADS, FILES] {
            make(&root.join(folder)).map_err(refused)?;
        }
        for shard in 0..=u8::MAX {
            make_within(&root.join(FILES).join(format!("{shard:02x}"))).map_err(refused)?;
        }
        flush(&root.join(FILES)).map_err(refused)?;
        let objects = LocalFileSystem::new_with_prefix(&root)
            .map_err(OpenError::Refused)?
            .with_fsync(true);
        Ok((Self { root }, objects))
    }

    /// Flushes the folder in which an object lies, so that its name (or its absence) is durable.
    pub(crate) async fn flush_around(&self, object: &ObjectPath) -> io::Result<()> {
        let mut path = self.root.clone();
        path.extend(object.parts().map(|part| part.as_ref().to_owned()));
        path.pop();
        blocking(move || match flush(&path) {
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        })
        .await
    }

    /// Removes the folder of an upload with all that is in it, the rests of killed writers too.
    pub(crate) async fn remove_upload(&self, place: UploadPlace) -> io::Result<()> {
        let path = self.upload(place);
        blocking(move || match fs::remove_dir_all(path) {
            // A part that is being written at this moment is left for the next sweep.
            Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => Ok(()),
            result => result,
        })
        .await
    }

    /// Whether nothing was put into the folder of an upload since an instant.
    pub(crate) async fn is_unchanged_since(&self, place: UploadPlace, instant: Timestamp) -> io::Result<bool> {
        let path = self.upload(place);
        blocking(move || match fs::metadata(path) {
            Ok(metadata) => changed_before(&metadata, instant),
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(true),
            Err(err) => Err(err),
        })
        .await
    }

    /// Removes what killed writers left beside finished files before an instant.
    pub(crate) async fn remove_torn(&self, before: Timestamp) -> io::Result<()> {
        let files = self.root.join(FILES);
        blocking(move || {
            for shard in fs::read_dir(files)? {
                for entry in fs::read_dir(shard?.path())? {
                    let entry = entry?;
                    // `object_store` writes to `<name>#<number>` and renames; no key contains a `#`.
                    let torn = entry.file_name().as_encoded_bytes().contains(&b'#');
                    if torn && changed_before(&entry.metadata()?, before)? {
                        fs::remove_file(entry.path())?;
                    }
                }
            }
            Ok(())
        })
        .await
    }

    fn upload(&self, place: UploadPlace) -> PathBuf {
        self.root.join(UPLOADS).join(place.0.simple().to_string())
    }
}

fn changed_before(metadata: &fs::Metadata, instant: Timestamp) -> io::Result<bool> {
    let changed = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
    Ok(changed < instant)
}

/// Makes a folder and what is missing above it, flushing every folder that changes.
fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    for made in missing {
        if let Some(parent) = made.parent() {
            flush(parent)?;
        }
    }
    // Another process may have made it and not yet flushed; it had the right to, even if this one has not.
    match path.parent().map(flush) {
        Some(Err(err)) if err.kind() != ErrorKind::PermissionDenied => Err(err),
        _ => Ok(()),
    }
}

/// Makes a folder; the caller flushes the one around it.
fn make_within(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(err) if err.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn flush(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|err| Err(io::Error::other(err)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_flushed_before_they_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let (_, objects) = Folder::open(folder.path()).unwrap();
        assert!(format!("{objects:?}").contains("fsync: true"));
    }

    #[test]
    fn the_folders_of_every_key_are_made_in_advance() {
        let folder = tempfile::tempdir().unwrap();
        Folder::open(folder.path()).unwrap();
        // A second opening finds them.
        Folder::open(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path().join(FILES)).unwrap().count(), 256);
    }

    #[tokio::test]
    async fn an_absent_upload_is_removed_and_flushed_without_complaint() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, _) = Folder::open(parent.path()).unwrap();
        let place = UploadPlace(uuid::Uuid::from_u128(1));
        folder.remove_upload(place).await.unwrap();
        folder.flush_around(&place.start()).await.unwrap();
        assert!(folder.is_unchanged_since(place, Timestamp::MIN).await.unwrap());
    }
}
