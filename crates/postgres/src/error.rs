//! What can go wrong, said so that the reader knows what to do next.

use std::io;
use std::path::PathBuf;

use crate::installation::{BINDIR_VARIABLE, INSTALL_COMMAND};

/// Why PostgreSQL could not be found, installed, started or stopped.
///
/// `Display` gives an English sentence that names the fault and the next step; [`PostgresError::vi`] gives the same
/// in Vietnamese.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// No server was found on this machine.
    #[error(
        "no PostgreSQL server was found (looked in {searched}); install version {minimum} or later with \
         `{INSTALL_COMMAND}`, or set {BINDIR_VARIABLE} to the folder that holds `postgres` and `initdb`"
    )]
    NotFound {
        /// The oldest version that will do.
        minimum: u32,
        /// Where the search went.
        searched: String,
    },
    /// Only older servers were found.
    #[error(
        "PostgreSQL {found} in {} is too old; install version {minimum} or later with `{INSTALL_COMMAND}`, or set \
         {BINDIR_VARIABLE} to the folder of a newer one",
        bindir.display()
    )]
    TooOld {
        /// The newest version that was found.
        found: u32,
        /// The oldest version that will do.
        minimum: u32,
        /// Where it was found.
        bindir: PathBuf,
    },
    /// The folder named by the operator holds no usable server.
    #[error(
        "{} holds no usable PostgreSQL server: {why}; set {BINDIR_VARIABLE} to the folder that holds `postgres` and \
         `initdb`, or unset it to search the usual places",
        bindir.display()
    )]
    BadBindir {
        /// The folder.
        bindir: PathBuf,
        /// What is missing or failed.
        why: String,
    },
    /// Installing needs root.
    #[error("installing PostgreSQL needs root; run `{INSTALL_COMMAND}`, then start again")]
    NotRoot,
    /// Not a system with `apt-get`.
    #[error(
        "this system has no apt-get; install PostgreSQL {minimum} or later with the system's own package manager, \
         then start again"
    )]
    NotDebian {
        /// The oldest version that will do.
        minimum: u32,
    },
    /// `apt-get` failed.
    #[error("apt-get could not install PostgreSQL; set that right, then run `{INSTALL_COMMAND}`; it said:\n{output}")]
    InstallFailed {
        /// The last lines of what it said.
        output: String,
    },
    /// This process is root, and there is no other user under whom PostgreSQL could run.
    #[error(
        "PostgreSQL refuses to run as root and this system has neither a user `postgres` nor a user `nobody`; create \
         one with `useradd --system postgres`, or start as an ordinary user"
    )]
    NoUser,
    /// This process is root, but the system does not let it become another user.
    #[error(
        "PostgreSQL refuses to run as root and this process may not become the user {user} (a container without that \
         capability?); start as an ordinary user, or point the program to a PostgreSQL server of your own"
    )]
    CannotSwitchUser {
        /// The user under whom PostgreSQL should have run.
        user: String,
    },
    /// The folder belongs to a user under whom we cannot run.
    #[error(
        "the database in {} belongs to the user {owner}, but this process would run it as {user}; start as {owner}, \
         or give the folder over with `chown -R {user} {}`",
        folder.display(),
        folder.display()
    )]
    NotOwner {
        /// The folder.
        folder: PathBuf,
        /// Who owns it.
        owner: String,
        /// Under whom the server would run.
        user: String,
    },
    /// The server's user cannot get into a folder that it needs.
    #[error(
        "the user {user}, under whom PostgreSQL runs, cannot enter {}, which is on the way to {}; open it with `chmod \
         a+x {}`, or choose another folder",
        barrier.display(),
        folder.display(),
        barrier.display()
    )]
    Unreachable {
        /// The folder that must be reached.
        folder: PathBuf,
        /// The first folder on the way that is closed.
        barrier: PathBuf,
        /// The server's user.
        user: String,
    },
    /// The data folder is neither empty nor a whole cluster.
    #[error(
        "the database in {} is damaged: {what}; restore it from a backup, or move the folder away to begin with an \
         empty database",
        folder.display()
    )]
    Damaged {
        /// PostgreSQL's folder.
        folder: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
    /// The cluster was made by another major version.
    #[error(
        "the database in {} was made by PostgreSQL {data}, but the server in {} is version {server}; install \
         PostgreSQL {data} (on Debian the package `postgresql-{data}`) or set {BINDIR_VARIABLE} to its folder, or \
         move the data over with a backup by version {data} and a restore into a new folder",
        folder.display(),
        bindir.display()
    )]
    WrongVersion {
        /// PostgreSQL's folder.
        folder: PathBuf,
        /// The version that made it.
        data: u32,
        /// The version that was found.
        server: u32,
        /// Where that was found.
        bindir: PathBuf,
    },
    /// Not enough free space.
    #[error(
        "the disk that holds {} is full: {free_mib} MiB free, at least {needed_mib} MiB needed; free some space, or \
         choose a folder on another disk",
        folder.display()
    )]
    DiskFull {
        /// A folder on that disk.
        folder: PathBuf,
        /// What is free, in MiB.
        free_mib: u64,
        /// What is needed at least, in MiB.
        needed_mib: u64,
    },
    /// Another process holds the cluster.
    #[error(
        "the database in {} is in use by process {pid} ({program}) since {since}; stop that process first, or choose \
         another data folder",
        folder.display()
    )]
    Held {
        /// The data folder.
        folder: PathBuf,
        /// The holder.
        pid: u32,
        /// The holder's program.
        program: String,
        /// Since when, as civil time of Vietnam with its offset.
        since: String,
    },
    /// A server left over from an earlier run does not stop.
    #[error(
        "a PostgreSQL server left over from an earlier run (process {pid}) still uses {} and does not stop; stop it \
         with `kill -QUIT {pid}`, then start again",
        folder.display()
    )]
    LeftOver {
        /// PostgreSQL's folder.
        folder: PathBuf,
        /// The server's process.
        pid: i32,
    },
    /// `initdb` failed.
    #[error("initdb could not make a new database in {}; set right what it says and start again; it said:\n{output}", folder.display())]
    InitFailed {
        /// The data folder.
        folder: PathBuf,
        /// The last lines of what it said.
        output: String,
    },
    /// The server ended while starting.
    #[error("PostgreSQL did not start; its log is {}; set right what its last lines say and start again:\n{tail}", log.display())]
    StartFailed {
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server was not ready in time.
    #[error(
        "PostgreSQL was not ready after {seconds} s and was stopped; if it was recovering after a crash, start again \
         with a longer start time-out, else see its log {}; its last lines:\n{tail}",
        log.display()
    )]
    NotReady {
        /// How long we waited.
        seconds: u64,
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server had to be killed.
    #[error(
        "PostgreSQL (process {pid}) did not stop within {seconds} s and was killed; nothing that was committed is \
         lost, the next start recovers it and takes longer; its log is {}",
        log.display()
    )]
    NotStopped {
        /// The server's process.
        pid: i32,
        /// How long we waited.
        seconds: u64,
        /// The log file.
        log: PathBuf,
    },
    /// The folder for the socket is not ours.
    #[error(
        "{} cannot hold the database's socket: {why}; remove it, or choose a data folder with a shorter path",
        folder.display()
    )]
    SocketFolder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system refused something.
    #[error("cannot {doing} {}: {source}; check that the path exists and that this user may use it", path.display())]
    Io {
        /// What was being done, such as `create the folder`.
        doing: &'static str,
        /// The same in Vietnamese.
        doing_vi: &'static str,
        /// The path.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl PostgresError {
    /// The sentence in Vietnamese: what is wrong and what to do.
    pub fn vi(&self) -> String {
        match self {
            Self::NotFound { minimum, searched } => format!(
                "không tìm thấy máy chủ PostgreSQL (đã tìm trong {searched}); hãy cài phiên bản {minimum} trở lên bằng \
                 lệnh `{INSTALL_COMMAND}`, hoặc đặt biến {BINDIR_VARIABLE} trỏ tới thư mục chứa `postgres` và `initdb`"
            ),
            Self::TooOld { found, minimum, bindir } => format!(
                "PostgreSQL {found} trong {} quá cũ; hãy cài phiên bản {minimum} trở lên bằng lệnh \
                 `{INSTALL_COMMAND}`, hoặc đặt biến {BINDIR_VARIABLE} trỏ tới thư mục của phiên bản mới hơn",
                bindir.display()
            ),
            Self::BadBindir { bindir, why } => format!(
                "{} không có máy chủ PostgreSQL dùng được: {why}; hãy đặt biến {BINDIR_VARIABLE} trỏ tới thư mục chứa \
                 `postgres` và `initdb`, hoặc bỏ biến này để tìm ở các nơi thông thường",
                bindir.display()
            ),
            Self::NotRoot => {
                format!("cần quyền root để cài PostgreSQL; hãy chạy `{INSTALL_COMMAND}` rồi khởi động lại chương trình")
            }
            Self::NotDebian { minimum } => format!(
                "hệ thống này không có apt-get; hãy cài PostgreSQL {minimum} trở lên bằng trình quản lý gói của hệ \
                 thống rồi khởi động lại chương trình"
            ),
            Self::InstallFailed { output } => format!(
                "apt-get không cài được PostgreSQL; hãy khắc phục rồi chạy `{INSTALL_COMMAND}`; thông báo của \
                 apt-get:\n{output}"
            ),
            Self::NoUser => "PostgreSQL không chạy dưới quyền root và hệ thống không có người dùng `postgres` hay \
                             `nobody`; hãy tạo bằng lệnh `useradd --system postgres`, hoặc khởi động bằng người dùng \
                             thường"
                .into(),
            Self::CannotSwitchUser { user } => format!(
                "PostgreSQL không chạy dưới quyền root và tiến trình này không được phép chuyển sang người dùng \
                 {user}; hãy khởi động bằng người dùng thường, hoặc chỉ chương trình tới một máy chủ PostgreSQL có sẵn"
            ),
            Self::NotOwner { folder, owner, user } => format!(
                "cơ sở dữ liệu trong {folder} thuộc về người dùng {owner}, còn tiến trình này sẽ chạy bằng {user}; hãy \
                 khởi động bằng {owner}, hoặc chuyển chủ sở hữu bằng lệnh `chown -R {user} {folder}`",
                folder = folder.display()
            ),
            Self::Unreachable { folder, barrier, user } => format!(
                "người dùng {user} (chạy PostgreSQL) không vào được {barrier} trên đường tới {}; hãy mở bằng lệnh \
                 `chmod a+x {barrier}`, hoặc chọn thư mục khác",
                folder.display(),
                barrier = barrier.display()
            ),
            Self::Damaged { folder, what } => format!(
                "cơ sở dữ liệu trong {} bị hỏng ({what}); hãy phục hồi từ bản sao lưu, hoặc chuyển thư mục này đi nơi \
                 khác để bắt đầu với cơ sở dữ liệu trống",
                folder.display()
            ),
            Self::WrongVersion {
                folder,
                data,
                server,
                bindir,
            } => format!(
                "cơ sở dữ liệu trong {} do PostgreSQL {data} tạo ra, còn máy chủ trong {} là phiên bản {server}; hãy \
                 cài PostgreSQL {data} (trên Debian là gói `postgresql-{data}`) hoặc đặt biến {BINDIR_VARIABLE} trỏ \
                 tới thư mục của nó, hoặc sao lưu bằng phiên bản {data} rồi phục hồi vào một thư mục mới",
                folder.display(),
                bindir.display()
            ),
            Self::DiskFull {
                folder,
                free_mib,
                needed_mib,
            } => format!(
                "ổ đĩa chứa {} đã đầy: còn trống {free_mib} MiB, cần ít nhất {needed_mib} MiB; hãy giải phóng dung \
                 lượng, hoặc chọn thư mục trên ổ đĩa khác",
                folder.display()
            ),
            Self::Held {
                folder,
                pid,
                program,
                since,
            } => format!(
                "cơ sở dữ liệu trong {} đang được tiến trình {pid} ({program}) sử dụng từ {since}; hãy dừng tiến trình \
                 đó trước, hoặc chọn thư mục dữ liệu khác",
                folder.display()
            ),
            Self::LeftOver { folder, pid } => format!(
                "một máy chủ PostgreSQL còn sót lại từ lần chạy trước (tiến trình {pid}) vẫn dùng {} và không dừng; \
                 hãy dừng bằng lệnh `kill -QUIT {pid}` rồi khởi động lại",
                folder.display()
            ),
            Self::InitFailed { folder, output } => format!(
                "initdb không tạo được cơ sở dữ liệu mới trong {}; hãy khắc phục theo thông báo sau rồi khởi động \
                 lại:\n{output}",
                folder.display()
            ),
            Self::StartFailed { log, tail } => format!(
                "PostgreSQL không khởi động được; nhật ký ở {}; hãy khắc phục theo những dòng cuối sau đây rồi khởi \
                 động lại:\n{tail}",
                log.display()
            ),
            Self::NotReady { seconds, log, tail } => format!(
                "PostgreSQL chưa sẵn sàng sau {seconds} giây và đã bị dừng; nếu đang phục hồi sau sự cố, hãy khởi động \
                 lại với thời gian chờ dài hơn, nếu không hãy xem nhật ký {}; những dòng cuối:\n{tail}",
                log.display()
            ),
            Self::NotStopped { pid, seconds, log } => format!(
                "PostgreSQL (tiến trình {pid}) không dừng trong {seconds} giây và đã bị buộc dừng; dữ liệu đã ghi \
                 không mất, lần khởi động sau sẽ tự phục hồi và lâu hơn; nhật ký ở {}",
                log.display()
            ),
            Self::SocketFolder { folder, why } => format!(
                "{} không dùng được làm nơi đặt socket của cơ sở dữ liệu ({why}); hãy xoá nó, hoặc chọn thư mục dữ \
                 liệu có đường dẫn ngắn hơn",
                folder.display()
            ),
            Self::Io {
                doing_vi, path, source, ..
            } => format!(
                "không thể {doing_vi} {}: {source}; hãy kiểm tra đường dẫn và quyền của người dùng này",
                path.display()
            ),
        }
    }

    /// Wraps a refusal of the operating system; a full disk becomes [`PostgresError::DiskFull`].
    pub(crate) fn io(
        doing: &'static str,
        doing_vi: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull {
                folder: path,
                free_mib: 0,
                needed_mib: crate::folder::SPACE_TO_RUN_MIB,
            },
            _ => Self::Io {
                doing,
                doing_vi,
                path,
                source,
            },
        }
    }
}
