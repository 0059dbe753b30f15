//! Where a cluster's files lie, and in what state they are.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::address::{Address, PORT};
use crate::error::PostgresError;

/// What a new cluster needs on its disk, in MiB: about 40 for itself, then its first logs and data.
pub(crate) const SPACE_TO_BEGIN_MIB: u64 = 200;

/// What an existing cluster needs to start, in MiB: two segments of its log.
pub(crate) const SPACE_TO_RUN_MIB: u64 = 32;

/// The longest path of a socket that the kernel takes (`sun_path` of unix(7), without its closing zero).
const LONGEST_SOCKET: usize = 107;

/// The log is put aside when it is longer.
const LONGEST_LOG: u64 = 16 * 1024 * 1024;

/// What `cluster.json` in the asked-for folder remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The major version that made the cluster.
    pub(crate) version: u32,
    /// Where the cluster lies if not in the same folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) elsewhere: Option<PathBuf>,
    /// False while the cluster is being made.
    pub(crate) whole: bool,
}

/// The places of one cluster.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The folder that was asked for.
    pub(crate) asked: PathBuf,
    /// The folder that is used.
    pub(crate) base: PathBuf,
}

impl Layout {
    /// Makes sure that the asked-for folder exists and decides where the cluster lies.
    ///
    /// An existing cluster stays where it is. A new one lies in the asked-for folder if the server's user can reach it,
    /// else under `fallback`.
    pub(crate) fn resolve(asked: &Path, fallback: &Path) -> Result<Self, PostgresError> {
        make_folder(asked)?;
        let asked = asked.canonicalize().map_err(PostgresError::io("find", "tìm", asked))?;
        let base = match Record::read(&asked)? {
            Some(record) => record.elsewhere.unwrap_or_else(|| asked.clone()),
            None if asked.join("cluster").exists() => asked.clone(),
            None => {
                let account = Account::choose(&asked.join("cluster"))?;
                match account.barrier(&asked)? {
                    None => asked.clone(),
                    Some(_) => fallback.join(short_name(&asked)),
                }
            }
        };
        if base != asked {
            make_folder(&base)?;
        }
        Ok(Self { asked, base })
    }

    /// PostgreSQL's own files.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.base.join("cluster")
    }

    /// A cluster that is being made; renamed when it is whole, so that a crash leaves no half of one.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.base.join("cluster.unfinished")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.base.join("postgres.log")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.base.join("holder.lock")
    }

    /// Where the server is reached: `run` in the folder, or a folder in `/tmp` if that path cannot hold a socket (too
    /// long, or with a character that separates the items of `unix_socket_directories`).
    pub(crate) fn address(&self) -> Address {
        let run = self.base.join("run");
        let bytes = run.as_os_str().as_bytes();
        let socket = bytes.len() + format!("/.s.PGSQL.{PORT}").len();
        let fits =
            socket <= LONGEST_SOCKET && run.to_str().is_some() && !bytes.iter().any(|byte| b",\"'\n".contains(byte));
        Address::new(if fits {
            run
        } else {
            Path::new("/tmp").join(format!("egov-{}", short_name(&self.base)))
        })
    }

    /// Makes the socket's folder, private to the server's user, and clears what a crash left in it.
    pub(crate) fn prepare_socket_dir(&self, account: &Account) -> Result<Address, PostgresError> {
        let address = self.address();
        let folder = address.socket_dir();
        let refuse = |why: &str| PostgresError::SocketFolder {
            folder: folder.to_owned(),
            why: why.into(),
        };
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => account.own(folder)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(PostgresError::io("create the folder", "tạo thư mục", folder)(
                    error,
                ));
            }
        }
        // In /tmp anybody could have made it before us.
        let found = fs::symlink_metadata(folder).map_err(PostgresError::io("read", "đọc", folder))?;
        if !found.is_dir() {
            return Err(refuse("it is not a folder"));
        }
        if found.uid() != account.uid() {
            return Err(refuse("it belongs to another user"));
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(PostgresError::io(
                "close",
                "đóng quyền",
                folder,
            ))?;
        }
        for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
            let file = folder.join(name);
            match fs::remove_file(&file) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(PostgresError::io("remove", "xoá", file)(error)),
            }
        }
        Ok(address)
    }

    /// Opens the log for writing at its end; a long one is put aside first. Gives the length so far as well.
    pub(crate) fn open_log(&self) -> Result<(File, u64), PostgresError> {
        let log = self.log();
        let error = || PostgresError::io("open", "mở", &log);
        if fs::metadata(&log).is_ok_and(|found| found.len() > LONGEST_LOG) {
            fs::rename(&log, log.with_extension("log.1")).map_err(error())?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&log)
            .map_err(error())?;
        let length = file.metadata().map_err(error())?.len();
        Ok((file, length))
    }

    /// The version of the cluster that lies here, `None` if there is none yet.
    ///
    /// # Errors
    /// [`PostgresError::Damaged`] if what lies here is neither nothing nor a whole cluster.
    pub(crate) fn inspect(&self) -> Result<Option<u32>, PostgresError> {
        let cluster = self.cluster();
        let damaged = |what: String| PostgresError::Damaged {
            folder: cluster.clone(),
            what,
        };
        let empty = match fs::read_dir(&cluster) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => {
                return Err(PostgresError::io("read", "đọc", &cluster)(error));
            }
        };
        if empty {
            let expected = Record::read(&self.asked)?.is_some_and(|record| record.whole);
            return if expected {
                Err(damaged("its files are gone".into()))
            } else {
                Ok(None)
            };
        }
        for name in ["PG_VERSION", "global/pg_control"] {
            let file = cluster.join(name);
            if !fs::metadata(&file).is_ok_and(|found| found.len() > 0) {
                return Err(damaged(format!("`{name}` is missing or empty")));
            }
        }
        let text = fs::read_to_string(cluster.join("PG_VERSION")).unwrap_or_default();
        match text.trim().parse() {
            Ok(version) => Ok(Some(version)),
            Err(_) => Err(damaged("`PG_VERSION` holds no version".into())),
        }
    }

    /// Refuses to go on where the disk is full.
    pub(crate) fn check_space(&self, needed_mib: u64) -> Result<(), PostgresError> {
        let free_mib = free_mib(&self.base)?;
        if free_mib < needed_mib {
            return Err(PostgresError::DiskFull {
                folder: self.base.clone(),
                free_mib,
                needed_mib,
            });
        }
        Ok(())
    }

    /// The refusal for a disk that ran full while the server worked.
    pub(crate) fn disk_full(&self) -> PostgresError {
        PostgresError::DiskFull {
            folder: self.base.clone(),
            free_mib: free_mib(&self.base).unwrap_or(0),
            needed_mib: SPACE_TO_RUN_MIB,
        }
    }

    /// Writes down what lies where.
    pub(crate) fn record(&self, version: u32, whole: bool) -> Result<(), PostgresError> {
        let elsewhere = (self.base != self.asked).then(|| self.base.clone());
        if elsewhere.is_some() {
            // So that an administrator who finds the folder knows whose it is.
            let mut text = self.asked.as_os_str().as_bytes().to_vec();
            text.push(b'\n');
            write_whole(&self.base.join("belongs-to"), &text)?;
        }
        let record = Record {
            version,
            elsewhere,
            whole,
        };
        record.write(&self.asked)
    }
}

impl Record {
    fn path(asked: &Path) -> PathBuf {
        asked.join("cluster.json")
    }

    pub(crate) fn read(asked: &Path) -> Result<Option<Self>, PostgresError> {
        let path = Self::path(asked);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PostgresError::io("read", "đọc", path)(error)),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| PostgresError::Damaged {
                folder: asked.to_owned(),
                what: format!("`cluster.json` cannot be read: {error}"),
            })
    }

    fn write(&self, asked: &Path) -> Result<(), PostgresError> {
        let mut text = serde_json::to_vec(self)
            .map_err(|error| PostgresError::io("write", "ghi", Self::path(asked))(error.into()))?;
        text.push(b'\n');
        write_whole(&Self::path(asked), &text)
    }
}

/// The version of the cluster in the data folder `asked`, as far as it can be told.
pub(crate) fn version_of(asked: &Path) -> Option<u32> {
    let record = Record::read(asked).ok().flatten();
    let base = record
        .as_ref()
        .and_then(|record| record.elsewhere.clone())
        .unwrap_or_else(|| asked.to_owned());
    fs::read_to_string(base.join("cluster/PG_VERSION"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .or_else(|| record.map(|record| record.version))
}

/// Makes a folder with all its parents.
///
/// When root makes it, another user must get through, whatever the umask says; what is private lies deeper. An ordinary
/// user's folder is closed to others.
fn make_folder(folder: &Path) -> Result<(), PostgresError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent()
        && !parent.as_os_str().is_empty()
    {
        make_folder(parent)?;
    }
    let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
    let made = DirBuilder::new()
        .mode(mode)
        .create(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(mode)));
    match made {
        Ok(()) => Ok(()),
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(PostgresError::io("create the folder", "tạo thư mục", folder)(
            error,
        )),
    }
}

/// Writes a file so that it has either its old or its new content, also after a power cut.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), PostgresError> {
    let unfinished = path.with_extension("unfinished");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        match path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(PostgresError::io("write", "ghi", path))
}

/// Free space for this user on the disk that holds `folder`, in MiB.
fn free_mib(folder: &Path) -> Result<u64, PostgresError> {
    let found = statvfs(folder).map_err(|errno| {
        PostgresError::io("read the free space of", "đọc dung lượng trống của", folder)(errno.into())
    })?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()) / (1024 * 1024))
}

/// A short name that is always the same for one path: FNV-1a (64 bits).
fn short_name(path: &Path) -> String {
    let hash = path
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &Path) -> Layout {
        Layout {
            asked: folder.to_owned(),
            base: folder.to_owned(),
        }
    }

    fn put(layout: &Layout, name: &str, content: &str) {
        let file = layout.cluster().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    #[test]
    fn an_empty_folder_is_no_cluster_yet() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(layout(folder.path()).inspect().unwrap(), None);
        fs::create_dir(folder.path().join("cluster")).unwrap();
        assert_eq!(layout(folder.path()).inspect().unwrap(), None);
    }

    #[test]
    fn a_whole_cluster_tells_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        put(&layout, "PG_VERSION", "15\n");
        put(&layout, "global/pg_control", "x");

        assert_eq!(layout.inspect().unwrap(), Some(15));
        assert_eq!(version_of(folder.path()), Some(15));
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        put(&layout, "base/1/112", "x");
        let error = layout.inspect().unwrap_err();
        assert!(error.to_string().contains("`PG_VERSION`"), "{error}");

        put(&layout, "PG_VERSION", "15\n");
        put(&layout, "global/pg_control", "");
        let error = layout.inspect().unwrap_err();
        assert!(error.to_string().contains("`global/pg_control`"), "{error}");
        assert!(error.vi().contains("`global/pg_control`"), "{}", error.vi());

        put(&layout, "global/pg_control", "x");
        put(&layout, "PG_VERSION", "fifteen");
        assert!(matches!(layout.inspect(), Err(PostgresError::Damaged { .. })));
    }

    #[test]
    fn a_cluster_that_was_there_and_is_gone_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        layout.record(15, false).unwrap();
        assert_eq!(layout.inspect().unwrap(), None, "its making was interrupted");

        layout.record(15, true).unwrap();
        assert!(matches!(layout.inspect(), Err(PostgresError::Damaged { .. })));
    }

    #[test]
    fn a_garbled_record_is_a_damage_and_not_a_new_beginning() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cluster.json"), "{").unwrap();

        let error = Layout::resolve(folder.path(), Path::new("/nowhere")).unwrap_err();

        assert!(matches!(error, PostgresError::Damaged { .. }), "{error}");
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_sends_it_to_tmp() {
        let short = layout(Path::new("/data/egov"));
        assert_eq!(short.address().socket_dir(), Path::new("/data/egov/run"));

        for path in [format!("/{}", "x".repeat(100)), "/with,comma".into()] {
            let address = layout(Path::new(&path)).address();
            assert!(address.socket_dir().starts_with("/tmp"), "{path}");
            assert_eq!(address, layout(Path::new(&path)).address());
        }
    }

    #[test]
    fn a_disk_with_too_little_space_is_refused_with_the_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        layout.check_space(1).unwrap();

        let error = layout.check_space(u64::MAX).unwrap_err();

        assert!(matches!(error, PostgresError::DiskFull { free_mib, .. } if free_mib > 0));
        assert!(error.to_string().contains("MiB free"), "{error}");
    }

    #[test]
    fn a_long_log_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        let (file, length) = layout.open_log().unwrap();
        assert_eq!(length, 0);
        file.set_len(LONGEST_LOG + 1).unwrap();

        let (_, length) = layout.open_log().unwrap();

        assert_eq!(length, 0);
        assert!(folder.path().join("postgres.log.1").exists());
    }
}
