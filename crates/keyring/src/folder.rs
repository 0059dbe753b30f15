//! Keys in a folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use secrecy::zeroize::Zeroizing;

use crate::generation::{NewSecrets, new_id};
use crate::on_disk::{Index, KeyFile};
use crate::provider::retirement;
use crate::{Generation, KeyringError, Provider, Purpose};

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Far above what a file with a rotation a day for a lifetime needs, far below what would hurt to read.
const MAX_FILE: u64 = 16 << 20;
const INDEX: &str = "index.json";
const LOCK: &str = ".lock";
/// What a crash may leave of a file that was not yet in its place.
const UNFINISHED: &str = "unfinished";

/// Keys in a folder: one JSON file a purpose, and a list of what was made once.
///
/// Files are replaced as a whole (written beside, flushed, renamed, the folder flushed), so that a reader meets the
/// old or the new content and a crash leaves one of them. Writers take turns by a lock on `.lock`; readers need none,
/// so that the folder may be mounted read-only.
#[derive(Debug)]
pub struct FolderProvider {
    folder: PathBuf,
}

impl FolderProvider {
    /// The keys in `folder`, which must exist and be reachable by its owner only.
    pub fn open(folder: &Path) -> Result<Self, KeyringError> {
        let metadata = match fs::metadata(folder) {
            Ok(metadata) => metadata,
            Err(err) if err.kind() == ErrorKind::NotFound => {
                return Err(KeyringError::Missing {
                    path: folder.to_owned(),
                });
            }
            Err(err) => return Err(failed("look at", folder)(err)),
        };
        if !metadata.is_dir() {
            return Err(KeyringError::Damaged {
                path: folder.to_owned(),
                problem: "it is not a folder".to_owned(),
            });
        }
        check_mode(folder, metadata.mode(), FOLDER_MODE)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Makes the folder and the keys that are missing in it, once: of several processes that call it together one
    /// makes each key, and all see the same. A key that was made before and is gone is not replaced
    /// ([`KeyringError::Lost`]).
    pub fn create_missing(folder: &Path, now: Timestamp) -> Result<Self, KeyringError> {
        make_folder(folder)?;
        let keys = Self::open(folder)?;
        let _turn = keys.lock()?;
        keys.remove_unfinished()?;

        let mut index = keys.index()?;
        for purpose in Purpose::ALL {
            let path = keys.path(purpose);
            let listed = index.lists(purpose);
            let exists = path.try_exists().map_err(failed("look at the key file", &path))?;
            match (exists, listed) {
                (true, true) => continue,
                (false, true) => return Err(keys.lost(purpose)),
                // Made, and the process was killed before it could be listed.
                (true, false) => {}
                (false, false) => {
                    let mut file = KeyFile::empty(purpose);
                    file.add(&new_id(now)?, now, &NewSecrets::generate()?);
                    keys.put_new(&path, &file.to_text()?)?;
                }
            }
            index.add(purpose);
            keys.replace(&keys.folder.join(INDEX), &index.to_text()?)?;
        }
        Ok(keys)
    }

    fn path(&self, purpose: Purpose) -> PathBuf {
        self.folder.join(format!("{purpose}.json"))
    }

    fn lost(&self, purpose: Purpose) -> KeyringError {
        KeyringError::Lost {
            purpose,
            path: self.path(purpose),
            index: self.folder.join(INDEX),
        }
    }

    /// The list of what was made; empty if there is none.
    fn index(&self) -> Result<Index, KeyringError> {
        let path = self.folder.join(INDEX);
        match read(&path)? {
            Some(text) => Index::from_text(&text, &path),
            None => Ok(Index::empty()),
        }
    }

    fn read_keys(&self, purpose: Purpose) -> Result<KeyFile, KeyringError> {
        let path = self.path(purpose);
        match read(&path)? {
            Some(text) => KeyFile::from_text(&text, purpose, &path),
            None if self.index()?.lists(purpose) => Err(self.lost(purpose)),
            None => Err(KeyringError::NotYetMade { purpose, path }),
        }
    }

    /// Waits for this process's turn to write; the turn ends when the file is dropped.
    fn lock(&self) -> Result<File, KeyringError> {
        let path = self.folder.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(failed("open", &path))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(file)
    }

    /// Removes what a killed writer left behind: it was never in use. Only the holder of the lock may do so.
    fn remove_unfinished(&self) -> Result<(), KeyringError> {
        let list = failed("list", &self.folder);
        for entry in fs::read_dir(&self.folder).map_err(&list)? {
            let path = entry.map_err(&list)?.path();
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Writes a file that must not exist yet.
    fn put_new(&self, path: &Path, text: &[u8]) -> Result<(), KeyringError> {
        let unfinished = write_beside(path, text)?;
        // Unlike a rename, a link never replaces what stands there, for example a file just restored by hand.
        let linked = fs::hard_link(&unfinished, path).map_err(failed("make", path));
        fs::remove_file(&unfinished).map_err(failed("remove", &unfinished))?;
        linked?;
        flush_folder(&self.folder)
    }

    /// Writes a file in the place of its older content.
    fn replace(&self, path: &Path, text: &[u8]) -> Result<(), KeyringError> {
        let unfinished = write_beside(path, text)?;
        fs::rename(&unfinished, path).map_err(failed("replace", path))?;
        flush_folder(&self.folder)
    }
}

impl Provider for FolderProvider {
    fn load(&self, purpose: Purpose) -> Result<Vec<Generation>, KeyringError> {
        Self::open(&self.folder)?;
        self.read_keys(purpose)?.generations(purpose, &self.path(purpose))
    }

    fn rotate(&self, purpose: Purpose, overlap: SignedDuration, now: Timestamp) -> Result<String, KeyringError> {
        let retires = retirement(now, overlap)?;
        Self::open(&self.folder)?;
        let _turn = self.lock()?;
        self.remove_unfinished()?;
        let path = self.path(purpose);
        let mut file = self.read_keys(purpose)?;
        // Do not build on what could not be loaded afterwards.
        file.generations(purpose, &path)?;
        let id = new_id(now)?;
        file.retire(retires);
        file.add(&id, now, &NewSecrets::generate()?);
        self.replace(&path, &file.to_text()?)?;
        Ok(id)
    }

    fn withdraw(&self, purpose: Purpose, key_id: &str, now: Timestamp) -> Result<Option<String>, KeyringError> {
        Self::open(&self.folder)?;
        let _turn = self.lock()?;
        self.remove_unfinished()?;
        let path = self.path(purpose);
        let mut file = self.read_keys(purpose)?;
        file.generations(purpose, &path)?;
        if !file.withdraw(key_id) {
            return Err(KeyringError::NoSuchKey {
                purpose,
                id: key_id.to_owned(),
            });
        }
        let made = if file.has_successor() {
            None
        } else {
            let id = new_id(now)?;
            file.add(&id, now, &NewSecrets::generate()?);
            Some(id)
        };
        // Both in one file and one rename: there is no instant without a key that signs.
        self.replace(&path, &file.to_text()?)?;
        Ok(made)
    }

    fn stamp(&self, purpose: Purpose) -> u64 {
        let Ok(metadata) = fs::metadata(self.path(purpose)) else {
            return 0;
        };
        let mut hasher = DefaultHasher::new();
        // Every change is a new file; its number and the time of the change tell it apart.
        (metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut hasher);
        hasher.finish()
    }
}

fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> KeyringError {
    let path = path.to_owned();
    move |source| KeyringError::Io {
        doing,
        path: path.clone(),
        source,
    }
}

fn check_mode(path: &Path, mode: u32, wanted: u32) -> Result<(), KeyringError> {
    let mode = mode & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyringError::TooOpen {
            path: path.to_owned(),
            mode,
            wanted,
        });
    }
    Ok(())
}

/// Reads a file that only its owner may reach; none if it does not exist.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(failed("open", path)(err)),
    };
    let metadata = file.metadata().map_err(failed("look at", path))?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(KeyringError::Damaged {
            path: path.to_owned(),
            problem: "it is not a file of keys".to_owned(),
        });
    }
    check_mode(path, metadata.mode(), FILE_MODE)?;
    // Reserved at once, so that no part of the content stays behind in a buffer that was too small.
    let mut text = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.read_to_end(&mut text).map_err(failed("read", path))?;
    Ok(Some(text))
}

/// Writes and flushes a file beside the one it is to become.
fn write_beside(path: &Path, text: &[u8]) -> Result<PathBuf, KeyringError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    let unfinished = PathBuf::from(name);
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(FILE_MODE)
        .open(&unfinished)
        .map_err(failed("make", &unfinished))?;
    file.write_all(text)
        .and_then(|()| file.sync_all())
        .map_err(failed("write", &unfinished))?;
    Ok(unfinished)
}

fn flush_folder(folder: &Path) -> Result<(), KeyringError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("flush the folder", folder))
}

/// Makes a folder and what is missing above it, so that it is still there after a power cut.
fn make_folder(folder: &Path) -> Result<(), KeyringError> {
    let folder = std::path::absolute(folder).map_err(failed("find", folder))?;
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(&folder)
        .map_err(failed("make the folder", &folder))?;
    for made in missing {
        if let Some(parent) = made.parent() {
            flush_folder(parent)?;
        }
    }
    Ok(())
}
