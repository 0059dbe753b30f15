//! One holder at a time.

use std::env;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{self, TimeZone};
use serde::{Deserialize, Serialize};

use crate::error::PostgresError;
use crate::process::{LAST_PATIENCE, STOP_PATIENCE, start_of, wait_until};

/// How long a lock may be taken before its holder is named. A process that forks holds a copy of its parent's files
/// until it executes its program, so a lock that was given back can be taken for some milliseconds more.
const MOMENT: Duration = Duration::from_millis(400);

/// Who holds the lock, as written into the file.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    /// Tells the process from a later one of the same number.
    started: Option<u64>,
    program: String,
}

impl Holder {
    fn this_process() -> Self {
        let program = env::current_exe().ok();
        let program = program.as_deref().and_then(Path::file_name);
        Self {
            pid: process::id(),
            started: start_of(process::id()),
            program: program.map_or_else(|| "unknown".into(), |name| name.to_string_lossy().into_owned()),
        }
    }

    fn is_alive(&self) -> bool {
        let now = start_of(self.pid);
        now.is_some() && (self.started.is_none() || self.started == now)
    }
}

/// The lock on a data folder, held until this and every [handle](HolderLock::handle) on it are closed.
///
/// The kernel gives the lock back when the last of the processes that have it open ends, however it ends. The watcher is
/// one of them: so the lock is free only when the server has stopped.
#[derive(Debug)]
pub(crate) struct HolderLock {
    file: File,
    path: PathBuf,
}

impl HolderLock {
    /// Takes the lock.
    ///
    /// If its holder died and the watcher is still stopping the server, waits for that.
    ///
    /// # Errors
    /// [`PostgresError::Held`] names the living holder.
    pub(crate) fn take(path: &Path) -> Result<Self, PostgresError> {
        let look = || Self::try_take(path).transpose();
        if let Some(outcome) = wait_until(MOMENT, look) {
            return outcome;
        }
        let (holder, _) = read(path)?;
        if holder.is_some_and(|holder| !holder.is_alive())
            && let Some(outcome) = wait_until(STOP_PATIENCE + LAST_PATIENCE, look)
        {
            return outcome;
        }
        let (holder, since) = read(path)?;
        let (pid, program) = holder.map_or_else(|| (0, "unknown".into()), |holder| (holder.pid, holder.program));
        Err(PostgresError::Held {
            folder: path.parent().unwrap_or(path).to_owned(),
            pid,
            program,
            since,
        })
    }

    /// Takes the lock if it is free.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, PostgresError> {
        let open = || PostgresError::io("open", "mở", path);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(path)
            .map_err(open())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(PostgresError::io("lock", "khoá", path)(error));
            }
        }
        let text = serde_json::to_string(&Holder::this_process()).unwrap_or_default();
        let mut write = || -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{text}")
        };
        write().map_err(PostgresError::io("write", "ghi", path))?;
        Ok(Some(Self {
            file,
            path: path.to_owned(),
        }))
    }

    /// A second hold on the lock, to be handed to a child.
    pub(crate) fn handle(&self) -> Result<Stdio, PostgresError> {
        let file = self
            .file
            .try_clone()
            .map_err(PostgresError::io("open", "mở", &self.path))?;
        Ok(Stdio::from(file))
    }
}

/// Who holds the lock, and since when. The file was written at that moment, so its time tells.
fn read(path: &Path) -> Result<(Option<Holder>, String), PostgresError> {
    let error = || PostgresError::io("read", "đọc", path);
    let mut file = File::open(path).map_err(error())?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(error())?;
    let written = file.metadata().and_then(|found| found.modified());
    let since = written
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok())
        .map_or_else(
            || "an unknown time".into(),
            |time| {
                let vietnam = TimeZone::fixed(tz::offset(7));
                time.to_zoned(vietnam).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
            },
        );
    Ok((serde_json::from_str(&text).ok(), since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_to_come_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holder.lock");
        let first = HolderLock::take(&path).unwrap();

        let error = HolderLock::take(&path).unwrap_err();

        let PostgresError::Held { pid, since, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*pid, process::id());
        assert!(since.ends_with("+07:00"), "{since}");
        assert!(error.to_string().contains(&process::id().to_string()));
        drop(first);
        HolderLock::take(&path).unwrap();
    }

    #[test]
    fn a_handle_keeps_the_lock_after_its_first_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holder.lock");
        let lock = HolderLock::take(&path).unwrap();
        let handle = lock.handle().unwrap();
        drop(lock);

        assert!(HolderLock::try_take(&path).unwrap().is_none());
        drop(handle);
        // Another test may be forking at this moment, so the kernel may need a moment to free it.
        HolderLock::take(&path).unwrap();
    }

    #[test]
    fn what_a_dead_holder_left_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holder.lock");
        std::fs::write(&path, r#"{"pid":4294967295,"started":1,"program":"egov"}"#).unwrap();

        HolderLock::take(&path).unwrap();

        let (holder, _) = read(&path).unwrap();
        assert_eq!(holder.unwrap().pid, process::id());
    }

    #[test]
    fn a_number_that_is_in_use_again_does_not_make_a_dead_holder_alive() {
        let mut holder = Holder::this_process();
        assert!(holder.is_alive());
        holder.started = holder.started.map(|ticks| ticks + 1);
        assert!(!holder.is_alive());
    }
}
