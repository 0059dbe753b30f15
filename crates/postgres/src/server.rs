//! Making a cluster, starting its server, stopping it.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::account::Account;
use crate::address::{Address, SUPERUSER};
use crate::error::PostgresError;
use crate::folder::{Layout, Record, SPACE_TO_BEGIN_MIB, SPACE_TO_RUN_MIB};
use crate::installation::{Installation, MINIMUM_VERSION};
use crate::lock::HolderLock;
use crate::memory::shared_buffers_mib;
use crate::process::{
    LAST_PATIENCE, Postmaster, STOP_PATIENCE, last_lines, stop_left_over, tell, wait_until, written_since,
};
use crate::watcher::{Watch, Watcher};

/// How many lines of a program's output an error shows.
const SHOWN_LINES: usize = 15;

/// Complaints of a server whose files are not whole.
const DAMAGE: [&str; 6] = [
    "could not locate a valid checkpoint record",
    "incorrect checksum in control file",
    "database files are incompatible with server",
    "is not a valid data directory",
    "could not locate required checkpoint record",
    "invalid page in block",
];

/// What a commit promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What is committed survives a power cut: `fsync`, `full_page_writes` and `synchronous_commit` are on, whatever
    /// the cluster's own configuration says.
    Full,
    /// They are off: fast, for tests whose data may vanish.
    TestOnly,
}

/// How a cluster shall run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// The data folder; made if it is missing.
    pub data: PathBuf,
    /// What a commit promises.
    pub durability: Durability,
    /// How many connections may be open at once.
    pub max_connections: u32,
    /// How long a start may take, recovery after a crash included.
    pub start_timeout: Duration,
    /// Where the cluster is made if the server's user cannot reach the data folder: in a folder of its own under this
    /// one.
    pub fallback: PathBuf,
    /// Further settings of PostgreSQL, such as `("shared_buffers", "512MB")`. They cannot undo what keeps the cluster
    /// private and durable.
    pub settings: Vec<(String, String)>,
}

impl ClusterOptions {
    /// A durable cluster in the folder `data`, with 100 connections and 60 s to start.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            durability: Durability::Full,
            max_connections: 100,
            start_timeout: Duration::from_mins(1),
            fallback: PathBuf::from("/var/lib/egov"),
            settings: Vec::new(),
        }
    }

    /// The same with another durability.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The same with another number of connections.
    #[must_use]
    pub fn max_connections(mut self, max_connections: u32) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// The same with another patience for a start.
    #[must_use]
    pub fn start_timeout(mut self, start_timeout: Duration) -> Self {
        self.start_timeout = start_timeout;
        self
    }

    /// The same with another place for clusters whose data folder cannot be reached.
    #[must_use]
    pub fn fallback(mut self, fallback: impl Into<PathBuf>) -> Self {
        self.fallback = fallback.into();
        self
    }

    /// The same with one more setting of PostgreSQL.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    pub(crate) fn layout(&self) -> Result<Layout, PostgresError> {
        Layout::resolve(&self.data, &self.fallback)
    }

    /// The server's settings, the later ones winning.
    fn server_settings(&self, address: &Address) -> Vec<String> {
        let mut all = vec![
            // Lines of the log name tables and codes, never rows: DETAIL, CONTEXT and STATEMENT could hold personal data.
            "log_error_verbosity=terse".to_owned(),
            "log_min_error_statement=panic".to_owned(),
            "log_line_prefix=%m [%p] %q%u@%d ".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
        ];
        let durable = match self.durability {
            Durability::Full => {
                all.push(format!("shared_buffers={}MB", shared_buffers_mib()));
                "on"
            }
            Durability::TestOnly => {
                // Nothing that can be lost need be written twice, and no replica reads it.
                all.extend(
                    [
                        "wal_level=minimal",
                        "max_wal_senders=0",
                        "max_wal_size=4GB",
                        "checkpoint_timeout=1h",
                        "log_checkpoints=off",
                    ]
                    .map(str::to_owned),
                );
                "off"
            }
        };
        all.extend(self.settings.iter().map(|(name, value)| format!("{name}={value}")));
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            all.push(format!("{name}={durable}"));
        }
        all.push(format!("max_connections={}", self.max_connections));
        all.push("listen_addresses=".to_owned());
        all.push(format!("port={}", address.port()));
        all.push(format!("unix_socket_directories={}", address.socket_dir().display()));
        all.push("unix_socket_permissions=0700".to_owned());
        // The log is a file that we opened.
        all.push("logging_collector=off".to_owned());
        all.push("log_destination=stderr".to_owned());
        all
    }
}

/// Something that the operator should know, in both languages.
#[derive(Debug, Default)]
pub(crate) struct Notice {
    pub(crate) en: Vec<String>,
    pub(crate) vi: Vec<String>,
}

impl Notice {
    fn add(&mut self, en: String, vi: String) {
        self.en.push(en);
        self.vi.push(vi);
    }
}

/// A server that this process started.
#[derive(Debug)]
pub(crate) struct Server {
    postmaster: Child,
    watcher: Watcher,
    layout: Layout,
    pub(crate) address: Address,
    pub(crate) notice: Notice,
    pub(crate) is_new: bool,
    stopped: bool,
}

impl Server {
    /// Starts the server of `layout`, whose lock we hold, and waits until it accepts connections.
    pub(crate) fn start(
        installation: &Installation,
        options: &ClusterOptions,
        layout: Layout,
        lock: &HolderLock,
        watch: Watch,
    ) -> Result<Self, PostgresError> {
        let begin = Instant::now();
        if installation.version < MINIMUM_VERSION {
            return Err(PostgresError::TooOld {
                found: installation.version,
                minimum: MINIMUM_VERSION,
                bindir: installation.bindir.clone(),
            });
        }
        let mut notice = Notice::default();
        set_aside_if_foreign(&layout, &mut notice)?;
        let account = Account::choose(&layout.cluster())?;
        account.must_reach(&layout.base)?;
        account.must_reach(&installation.bindir)?;
        if layout.base != layout.asked {
            notice.add(
                format!(
                    "the database lies in {}, because the user {} cannot reach {}",
                    layout.base.display(),
                    account.name,
                    layout.asked.display()
                ),
                format!(
                    "cơ sở dữ liệu nằm trong {}, vì người dùng {} không vào được {}",
                    layout.base.display(),
                    account.name,
                    layout.asked.display()
                ),
            );
        }
        let existing = layout.inspect()?;
        if let Some(data) = existing
            && data != installation.version
        {
            return Err(PostgresError::WrongVersion {
                folder: layout.cluster(),
                data,
                server: installation.version,
                bindir: installation.bindir.clone(),
            });
        }
        if let Some(pid) = stop_left_over(&layout.cluster())? {
            notice.add(
                format!("a server left over from an earlier run (process {pid}) was stopped"),
                format!("đã dừng máy chủ còn sót lại từ lần chạy trước (tiến trình {pid})"),
            );
        }
        if existing.is_none() {
            layout.check_space(SPACE_TO_BEGIN_MIB)?;
            initialise(installation, options, &layout, &account)?;
        } else {
            layout.check_space(SPACE_TO_RUN_MIB)?;
        }
        if !Record::read(&layout.asked)?.is_some_and(|record| record.whole) {
            layout.record(installation.version, true)?;
        }
        let address = layout.prepare_socket_dir(&account)?;
        let (log, logged) = layout.open_log()?;
        let mut watcher = Watcher::start(&account, &layout.cluster(), lock, watch)?;
        let postmaster = spawn(installation, options, &layout, &account, &address, log);
        let postmaster = match postmaster {
            Ok(child) => child,
            Err(error) => {
                watcher.dismiss();
                return Err(error);
            }
        };
        let mut server = Self {
            postmaster,
            watcher,
            layout,
            address,
            notice,
            is_new: existing.is_none(),
            stopped: false,
        };
        server.wait_until_ready(options.start_timeout, logged)?;
        tracing::info!(
            pid = server.pid(),
            new = server.is_new,
            user = account.name,
            duration_ms = begin.elapsed().as_millis() as u64,
            "PostgreSQL is ready"
        );
        Ok(server)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.postmaster.id() as i32
    }

    pub(crate) fn base(&self) -> &Path {
        &self.layout.base
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.postmaster.try_wait(), Ok(None))
    }

    /// Waits as `pg_ctl --wait` does. A server that does not come up is gone when this returns an error.
    fn wait_until_ready(&mut self, patience: Duration, logged: u64) -> Result<(), PostgresError> {
        let cluster = self.layout.cluster();
        let pid = self.pid();
        let outcome = wait_until(patience, || match self.postmaster.try_wait() {
            Ok(None) => Postmaster::read(&cluster)
                .is_some_and(|found| found.pid == pid && found.ready)
                .then_some(true),
            Ok(Some(_)) | Err(_) => Some(false),
        });
        let log = self.layout.log();
        match outcome {
            Some(true) if self.watcher.is_alive() => return Ok(()),
            Some(false) => {
                self.watcher.dismiss();
                self.stopped = true;
                let said = written_since(&log, logged);
                return Err(self.why(&said, log));
            }
            Some(true) | None => {}
        }
        // Without its watcher it could outlive us.
        if let Err(error) = self.stop() {
            tracing::warn!(%error, "a server that did not come up had to be killed");
        }
        if outcome.is_none() {
            Err(PostgresError::NotReady {
                seconds: patience.as_secs(),
                tail: last_lines(&written_since(&log, logged), SHOWN_LINES),
                log,
            })
        } else {
            Err(PostgresError::StartFailed {
                log,
                tail: "the watcher process (a shell with `flock`) ended at once".into(),
            })
        }
    }

    /// Tells from its last words why a server ended.
    fn why(&self, said: &str, log: PathBuf) -> PostgresError {
        if said.contains("No space left on device") || said.contains("Disk quota exceeded") {
            return self.layout.disk_full();
        }
        let damage = said
            .lines()
            .find(|line| DAMAGE.iter().any(|complaint| line.contains(complaint)));
        match damage {
            Some(line) => PostgresError::Damaged {
                folder: self.layout.cluster(),
                what: line.trim().to_owned(),
            },
            None => PostgresError::StartFailed {
                log,
                tail: last_lines(said, SHOWN_LINES),
            },
        }
    }

    /// Stops the server and waits for its end: sessions are ended, what they had not committed is rolled back (PostgreSQL
    /// calls it a fast shutdown).
    pub(crate) fn stop(&mut self) -> Result<(), PostgresError> {
        if self.stopped {
            return Ok(());
        }
        self.stopped = true;
        let pid = self.pid();
        let signals = [
            (Signal::SIGINT, STOP_PATIENCE),
            (Signal::SIGQUIT, LAST_PATIENCE),
            (Signal::SIGKILL, LAST_PATIENCE),
        ];
        let mut obeyed = None;
        for (signal, patience) in signals {
            if self.is_running() {
                tell(pid, signal);
            }
            if wait_until(patience, || (!self.is_running()).then_some(())).is_some() {
                obeyed = Some(signal);
                break;
            }
        }
        self.watcher.dismiss();
        if !self.address.socket_dir().starts_with(&self.layout.base) {
            // It lies in /tmp and is empty now; should it not be, the next start uses it again.
            let _ = fs::remove_dir(self.address.socket_dir());
        }
        if obeyed == Some(Signal::SIGINT) {
            Ok(())
        } else {
            Err(PostgresError::NotStopped {
                pid,
                seconds: STOP_PATIENCE.as_secs(),
                log: self.layout.log(),
            })
        }
    }
}

/// A cluster under the fallback whose asked-for folder has forgotten it belonged to a folder that somebody deleted in
/// order to begin anew. It must not come back, and it must not be lost either.
fn set_aside_if_foreign(layout: &Layout, notice: &mut Notice) -> Result<(), PostgresError> {
    let cluster = layout.cluster();
    if layout.base == layout.asked || !cluster.exists() || Record::read(&layout.asked)?.is_some() {
        return Ok(());
    }
    let mut number = 1;
    let earlier = loop {
        let path = layout.base.join(format!("cluster.earlier-{number}"));
        if !path.exists() {
            break path;
        }
        number += 1;
    };
    stop_left_over(&cluster)?;
    fs::rename(&cluster, &earlier).map_err(PostgresError::io("rename", "đổi tên", &cluster))?;
    notice.add(
        format!(
            "the database of an earlier folder {} was found and set aside as {}; delete it if nobody needs it",
            layout.asked.display(),
            earlier.display()
        ),
        format!(
            "đã tìm thấy cơ sở dữ liệu của thư mục cũ {} và chuyển sang {}; hãy xoá nếu không còn cần",
            layout.asked.display(),
            earlier.display()
        ),
    );
    Ok(())
}

/// Makes a new cluster beside its final place and moves it there when it is whole.
fn initialise(
    installation: &Installation,
    options: &ClusterOptions,
    layout: &Layout,
    account: &Account,
) -> Result<(), PostgresError> {
    let unfinished = layout.unfinished();
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(PostgresError::io("remove", "xoá", &unfinished))?;
    }
    layout.record(installation.version, false)?;
    DirBuilder::new()
        .mode(0o700)
        .create(&unfinished)
        .map_err(PostgresError::io("create the folder", "tạo thư mục", &unfinished))?;
    account.own(&unfinished)?;
    let initdb = installation.program("initdb");
    let mut command = account.command(&initdb);
    command
        .arg("--pgdata")
        .arg(&unfinished)
        .args(["--username", SUPERUSER])
        // Whoever can open the socket is trusted (its folder is private); the network is closed, were it ever opened.
        .args(["--auth-local=trust", "--auth-host=reject"])
        .args(["--encoding=UTF8", "--locale=C.UTF-8"])
        .args(["--data-checksums", "--no-instructions"]);
    if options.durability == Durability::TestOnly {
        command.arg("--no-sync");
    }
    let output = command.output().map_err(PostgresError::io("run", "chạy", initdb))?;
    if !output.status.success() {
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        // Half a cluster is of no use, and on a full disk it is in the way.
        let _ = fs::remove_dir_all(&unfinished);
        return Err(if said.contains("No space left on device") {
            layout.disk_full()
        } else {
            PostgresError::InitFailed {
                folder: layout.base.clone(),
                output: last_lines(&said, SHOWN_LINES),
            }
        });
    }
    // An empty folder may stand in its place; the rename replaces it.
    let cluster = layout.cluster();
    fs::rename(&unfinished, &cluster)
        .and_then(|()| File::open(&layout.base)?.sync_all())
        .map_err(PostgresError::io("rename", "đổi tên", unfinished))
}

fn spawn(
    installation: &Installation,
    options: &ClusterOptions,
    layout: &Layout,
    account: &Account,
    address: &Address,
    log: File,
) -> Result<Child, PostgresError> {
    let program = installation.program("postgres");
    let also = log.try_clone().map_err(PostgresError::io("open", "mở", layout.log()))?;
    let mut command = account.command(&program);
    command.arg("-D").arg(layout.cluster());
    for setting in options.server_settings(address) {
        command.arg("-c").arg(setting);
    }
    command
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(also))
        .spawn()
        .map_err(PostgresError::io("run", "chạy", program))
}
