//! The program `nats-server`, which the tests of the store of events start.
//!
//! Installing Debian's package would start a server for the whole machine, open to its network and without a password.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::{debian, say};

/// The program's name.
const PROGRAM: &str = "nats-server";

/// Where the tests look for it beside the `PATH`.
const PLACES: [&str; 2] = ["/usr/sbin", "/usr/local/bin"];

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
    match debian::program(workspace, PROGRAM).await {
        Ok(program) => {
            places.push(program.parent()?.to_owned());
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
