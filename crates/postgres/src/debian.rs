//! Installing Debian's package.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use crate::error::PostgresError;
use crate::installation::{Installation, MINIMUM_VERSION, discover};
use crate::process::last_lines;

/// Where the package looks for what it should do about a cluster of its own.
const CONFIGURATION: &str = "/etc/postgresql-common";

/// Tells the package not to make a cluster: ours is private, and a second server would only take memory and a port.
const NO_CLUSTER: &str = "# Written before PostgreSQL was installed for the egov platform, which runs a private \
                          cluster of its own.\n# Remove this file if the package shall make its `main` cluster at \
                          the next installation.\ncreate_main_cluster = false\n";

/// Installs Debian's PostgreSQL package, without the cluster that the package would make by itself.
///
/// Needs root. Takes as long as the download; says nothing meanwhile.
///
/// # Errors
/// [`PostgresError::NotRoot`], [`PostgresError::NotDebian`], [`PostgresError::InstallFailed`], and those of [`discover`]
/// if the package of this Debian is too old.
pub fn install_debian() -> Result<Installation, PostgresError> {
    if !geteuid().is_root() {
        return Err(PostgresError::NotRoot);
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(PostgresError::NotDebian {
            minimum: MINIMUM_VERSION,
        });
    }
    ask_for_no_cluster(Path::new(CONFIGURATION))?;
    // The lists of packages may be missing (a fresh container) or old: then they are fetched and it is tried again.
    if install().is_err() {
        run_apt(&["update"])?;
        install()?;
    }
    discover(MINIMUM_VERSION)
}

fn install() -> Result<(), PostgresError> {
    run_apt(&["install", "--yes", "--no-install-recommends", "postgresql"])
}

fn run_apt(arguments: &[&str]) -> Result<(), PostgresError> {
    let output = Command::new("/usr/bin/apt-get")
        .args(["--quiet", "-o", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .map_err(PostgresError::io("run", "chạy", "/usr/bin/apt-get"))?;
    if output.status.success() {
        return Ok(());
    }
    let mut said = output.stdout;
    said.extend_from_slice(&output.stderr);
    Err(PostgresError::InstallFailed {
        output: last_lines(&String::from_utf8_lossy(&said), 12),
    })
}

/// Writes the answer to "shall the package make a cluster?" where the package reads it, unless somebody has answered.
///
/// The folder `createcluster.d` is included by the package's own `createcluster.conf`, so this works before the first
/// installation as well as after it, and no file of the package is touched.
fn ask_for_no_cluster(configuration: &Path) -> Result<(), PostgresError> {
    let decided = fs::read_to_string(configuration.join("createcluster.conf"));
    if decided.is_ok_and(|text| answers(&text)) {
        return Ok(());
    }
    let folder = configuration.join("createcluster.d");
    fs::create_dir_all(&folder).map_err(PostgresError::io("create the folder", "tạo thư mục", &folder))?;
    let file = folder.join("egov.conf");
    match OpenOptions::new().write(true).create_new(true).open(&file) {
        Ok(mut open) => open
            .write_all(NO_CLUSTER.as_bytes())
            .map_err(PostgresError::io("write", "ghi", file)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(PostgresError::io("write", "ghi", file)(error)),
    }
}

/// Whether somebody has decided about the main cluster.
fn answers(text: &str) -> bool {
    text.lines().any(|line| {
        line.trim_start()
            .strip_prefix("create_main_cluster")
            .is_some_and(|rest| rest.trim_start().starts_with('='))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_told_to_make_no_cluster_before_it_comes() {
        let etc = tempfile::tempdir().unwrap();
        let folder = etc.path().join("postgresql-common");

        ask_for_no_cluster(&folder).unwrap();

        let text = fs::read_to_string(folder.join("createcluster.d/egov.conf")).unwrap();
        assert!(answers(&text));
        assert!(text.ends_with("create_main_cluster = false\n"));
    }

    #[test]
    fn a_configuration_of_the_package_is_extended_and_not_changed() {
        let etc = tempfile::tempdir().unwrap();
        let main = etc.path().join("createcluster.conf");
        let shipped = "#create_main_cluster = true\ninclude_dir '/etc/postgresql-common/createcluster.d'\n";
        fs::write(&main, shipped).unwrap();

        ask_for_no_cluster(etc.path()).unwrap();
        ask_for_no_cluster(etc.path()).unwrap();

        assert_eq!(fs::read_to_string(&main).unwrap(), shipped);
        let own = fs::read_to_string(etc.path().join("createcluster.d/egov.conf")).unwrap();
        assert!(answers(&own));
    }

    #[test]
    fn the_decision_of_an_administrator_stands() {
        let etc = tempfile::tempdir().unwrap();
        fs::write(etc.path().join("createcluster.conf"), "create_main_cluster = true\n").unwrap();

        ask_for_no_cluster(etc.path()).unwrap();

        assert!(!etc.path().join("createcluster.d").exists());
    }
}
