//! Looking at processes and at what they say.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::error::PostgresError;

/// How long a server may take to stop by itself before it is told more firmly.
pub(crate) const STOP_PATIENCE: Duration = Duration::from_mins(1);

/// How long after that.
pub(crate) const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// Waits a little between two looks.
#[expect(
    clippy::disallowed_methods,
    reason = "this crate is synchronous: it waits for another process, not for a point in time"
)]
pub(crate) fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// Looks again and again until `look` finds something or `patience` is at its end.
pub(crate) fn wait_until<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if begin.elapsed() >= patience {
            return None;
        }
        pause(4);
    }
}

/// Sends a signal; a process that is gone is as good as one that obeyed.
pub(crate) fn tell(pid: i32, signal: Signal) {
    if let Err(error) = signal::kill(Pid::from_raw(pid), signal)
        && error != Errno::ESRCH
    {
        tracing::warn!(pid, %signal, %error, "could not signal a process");
    }
}

/// What the server writes about itself into `postmaster.pid`.
pub(crate) struct Postmaster {
    pub(crate) pid: i32,
    /// Whether it accepts connections: what `pg_ctl --wait` waits for.
    pub(crate) ready: bool,
}

impl Postmaster {
    /// Reads `postmaster.pid`; `None` if there is none or it is being written.
    pub(crate) fn read(cluster: &Path) -> Option<Self> {
        let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        // The eighth line is the state; see LOCK_FILE_LINE_PM_STATUS in PostgreSQL's src/include/utils/pidfile.h.
        let ready = lines.nth(6).is_some_and(|state| state.trim() == "ready");
        Some(Self { pid, ready })
    }
}

/// Whether process `pid` works in the folder `cluster`, as every process of a server does. A zombie does not.
pub(crate) fn works_in(pid: i32, cluster: &Path) -> bool {
    let (Ok(there), Ok(here)) = (fs::metadata(format!("/proc/{pid}/cwd")), fs::metadata(cluster)) else {
        return false;
    };
    (there.dev(), there.ino()) == (here.dev(), here.ino())
}

/// The processes of PostgreSQL that work in `cluster`.
fn servers_in(cluster: &Path) -> Vec<i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            // An administrator's shell may stand in the folder too.
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("postgres"))
                && works_in(*pid, cluster)
        })
        .collect()
}

/// Stops a server that an earlier run left behind in `cluster`, and clears what a crash left there. To be called only
/// by the holder of the lock.
///
/// Gives the server's process id if there was one.
pub(crate) fn stop_left_over(cluster: &Path) -> Result<Option<i32>, PostgresError> {
    let left = servers_in(cluster);
    let chief = Postmaster::read(cluster)
        .map(|postmaster| postmaster.pid)
        .filter(|pid| left.contains(pid));
    if let Some(pid) = chief {
        tracing::warn!(pid, "stopping a PostgreSQL server left over from an earlier run");
        tell(pid, Signal::SIGINT);
        let gone = || (!works_in(pid, cluster)).then_some(());
        if wait_until(STOP_PATIENCE, gone).is_none() {
            tell(pid, Signal::SIGQUIT);
        }
    }
    // Sessions whose chief was killed notice it and end by themselves. Until the last has ended, its shared memory is
    // in use, and a new server must not start.
    let still = || {
        let left = servers_in(cluster);
        left.is_empty().then_some(())
    };
    if wait_until(LAST_PATIENCE, still).is_none()
        && let Some(pid) = servers_in(cluster).first()
    {
        return Err(PostgresError::LeftOver {
            folder: cluster.to_owned(),
            pid: *pid,
        });
    }
    // No server is there, so this file is stale. PostgreSQL would take its word if the number in it were in use again
    // by another process of the same user.
    let stale = cluster.join("postmaster.pid");
    if stale.exists() {
        fs::remove_file(&stale).map_err(PostgresError::io("remove", "xoá", stale))?;
    }
    Ok(chief)
}

/// When a process was started, in clock ticks since the machine's start: with its id it names one process for sure.
pub(crate) fn start_of(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything; the 22nd is the time.
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The last `count` lines of `text`.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(count);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// What was written to `log` after its first `from` bytes, at most the last 64 KiB of it.
pub(crate) fn written_since(log: &Path, from: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(64 * 1024))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_apart_from_a_later_one_of_the_same_number() {
        let own = start_of(std::process::id()).unwrap();
        assert_eq!(start_of(std::process::id()), Some(own));
        assert_ne!(start_of(1), Some(own));
        assert_eq!(start_of(u32::MAX), None);
    }

    #[test]
    fn the_state_of_the_server_is_the_eighth_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("postmaster.pid");
        fs::write(&file, "123\n/data\n1700000000\n5432\n/run\n\n 5432 1\nstarting\n").unwrap();
        let postmaster = Postmaster::read(folder.path()).unwrap();
        assert_eq!((postmaster.pid, postmaster.ready), (123, false));

        fs::write(&file, "123\n/data\n1700000000\n5432\n/run\n\n 5432 1\nready   \n").unwrap();
        assert!(Postmaster::read(folder.path()).unwrap().ready);

        fs::write(&file, "").unwrap();
        assert!(Postmaster::read(folder.path()).is_none());
    }

    #[test]
    fn a_stale_process_file_is_cleared_even_if_its_number_is_in_use_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("postmaster.pid");
        fs::write(&file, format!("{}\n", std::process::id())).unwrap();

        assert_eq!(stop_left_over(folder.path()).unwrap(), None);

        assert!(!file.exists());
    }

    #[test]
    fn the_tail_of_a_log_leaves_out_earlier_runs_and_empty_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "earlier\none\n\ntwo\nthree\n").unwrap();

        assert_eq!(last_lines(&written_since(&log, 8), 2), "two\nthree");
        assert_eq!(written_since(&folder.path().join("none"), 0), "");
    }
}
