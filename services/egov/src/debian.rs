//! Programs out of Debian's packages, without installing the package: that would start a server for the whole machine, and needs root.
//! Only the content is unpacked, into a folder of the workspace, once.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::say;

/// The program `usr/sbin/PROGRAM` of the package of that name, fetched into `target/PROGRAM` unless it is there.
///
/// # Errors
/// If there is no package of that name, or no network, or no Debian.
pub(crate) async fn program(workspace: &Path, program: &str) -> anyhow::Result<PathBuf> {
    let folder = workspace.join("target").join(program);
    let place = folder.join("usr/sbin").join(program);
    if place.is_file() {
        return Ok(place);
    }
    say::note(format!(
        "{program} is not installed; taking it out of Debian's package (once) …"
    ));
    let beside = folder.parent().context("the folder is none")?;
    std::fs::create_dir_all(beside)?;
    let making = tempfile::Builder::new()
        .prefix(&format!("{program}-"))
        .tempdir_in(beside)?;
    // The lists of packages may be missing (a fresh container): then they are fetched and it is tried again.
    if apt(making.path(), &["download", program]).await.is_err() {
        apt(making.path(), &["update"]).await?;
        apt(making.path(), &["download", program]).await?;
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
        content.join("usr/sbin").join(program).is_file(),
        "{program} is not in its package"
    );
    // Two at once: the first is as good as the second.
    if std::fs::rename(&content, &folder).is_err() {
        ensure!(place.is_file(), "{} cannot be made", folder.display());
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
