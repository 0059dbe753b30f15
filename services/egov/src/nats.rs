//! The program `nats-server`, which the tests of the store of events start.
//!
//! Installing Debian's package would start a server for the whole machine, open to its network and without a password.
//! So only the program is taken out of it, into a folder of the workspace; that needs no root either.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::say;

/// The program's name.
const PROGRAM: &str = "nats-server";

/// Where the tests look for it beside the `PATH`.
const PLACES: [&str; 2] = ["/usr/sbin", "/usr/local/bin"];

/// Where it is put, within the workspace.
const FOLDER: &str = "target/nats-server";

/// The `PATH` with which tests find the program; `None` if they find it without. If it cannot be fetched that is said,
/// and only the tests that need it fail.
pub(crate) async fn path_with_program(workspace: &Path) -> Option<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if places
        .iter()
        .map(PathBuf::as_path)
        .chain(PLACES.map(Path::new))
        .any(|place| place.join(PROGRAM).is_file())
    {
        return None;
    }
    match fetched(&workspace.join(FOLDER)).await {
        Ok(place) => {
            places.push(place);
            std::env::join_paths(places).ok()
        }
        Err(error) => {
            say::note(format!(
                "{PROGRAM} is not installed and cannot be fetched: {error:#}\n  → put it on the PATH \
                 (apt-get install --no-install-recommends {PROGRAM}); until then tests with JetStream fail"
            ));
            None
        }
    }
}

/// The folder with the program of Debian's package, which is fetched once.
async fn fetched(folder: &Path) -> anyhow::Result<PathBuf> {
    let place = folder.join("usr/sbin");
    if place.join(PROGRAM).is_file() {
        return Ok(place);
    }
    say::note(format!(
        "{PROGRAM} is not installed; taking it out of Debian's package (once) …"
    ));
    let beside = folder.parent().context("the folder is none")?;
    std::fs::create_dir_all(beside)?;
    let making = tempfile::Builder::new().prefix("nats-server-").tempdir_in(beside)?;
    // The lists of packages may be missing (a fresh container): then they are fetched and it is tried again.
    if apt(making.path(), &["download", PROGRAM]).await.is_err() {
        apt(making.path(), &["update"]).await?;
        apt(making.path(), &["download", PROGRAM]).await?;
    }
    let package = std::fs::read_dir(making.path())?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .context("apt-get download left no package")?;
    let content = making.path().join("content");
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--extract").arg(&package).arg(&content);
    succeeds(unpack).await?;
    ensure!(
        content.join("usr/sbin").join(PROGRAM).is_file(),
        "{PROGRAM} is not in its package"
    );
    // Two at once: the first is as good as the second.
    if std::fs::rename(&content, folder).is_err() {
        ensure!(place.join(PROGRAM).is_file(), "{} cannot be made", folder.display());
    }
    Ok(place)
}

async fn apt(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("--quiet").args(arguments).current_dir(folder);
    succeeds(command).await
}

async fn succeeds(mut command: Command) -> anyhow::Result<()> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command
        .env("LC_ALL", "C.UTF-8")
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .with_context(|| format!("{program} does not start"))?;
    ensure!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
