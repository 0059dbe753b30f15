//! Finding an installed PostgreSQL.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::PostgresError;
use crate::folder;

/// The oldest major version that this workspace supports.
pub const MINIMUM_VERSION: u32 = 15;

/// The environment variable that names the folder of `postgres` and `initdb`, before every other place.
pub const BINDIR_VARIABLE: &str = "EGOV_POSTGRES_BINDIR";

/// The one command that installs PostgreSQL on Debian and its relatives.
pub(crate) const INSTALL_COMMAND: &str = "sudo apt-get install --no-install-recommends postgresql";

/// Folders that hold one folder a version, each with a `bin`; `{}` stands for the version.
const VERSIONED: [&str; 2] = ["/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin"];

/// A PostgreSQL server with its tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The folder that holds `postgres`, `initdb`, `pg_dump` and the others.
    pub bindir: PathBuf,
    /// The major version, for example 15.
    pub version: u32,
}

impl Installation {
    /// Looks at one folder: it must hold `postgres` and `initdb`, and `postgres --version` must answer.
    ///
    /// # Errors
    /// [`PostgresError::BadBindir`].
    pub fn at(bindir: &Path) -> Result<Self, PostgresError> {
        let bad = |why: String| PostgresError::BadBindir {
            bindir: bindir.to_owned(),
            why,
        };
        for program in ["postgres", "initdb"] {
            if !bindir.join(program).is_file() {
                return Err(bad(format!("it has no `{program}`")));
            }
        }
        let output = Command::new(bindir.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| bad(format!("`postgres --version` does not run: {error}")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = major_version(&text).ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            bad(format!(
                "`postgres --version` says {:?}",
                format!("{}{}", text.trim(), said.trim())
            ))
        })?;
        // `/usr/local/bin/postgres` may be a link alone; the other programs are where it leads.
        let real = bindir.join("postgres").canonicalize().ok();
        let real = real.as_deref().and_then(Path::parent);
        Ok(Self {
            bindir: real
                .filter(|folder| folder.join("initdb").is_file())
                .unwrap_or(bindir)
                .to_owned(),
            version,
        })
    }

    /// The path of one of PostgreSQL's programs, such as `pg_dump`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bindir.join(name)
    }
}

/// Finds a server of major version `min_major` or later.
///
/// The folder in [`BINDIR_VARIABLE`] decides alone if it is set. Else the first fitting one counts of: the folders of
/// `PATH`, what `pg_config --bindir` names, and the versions under `/usr/lib/postgresql` and `/usr/pgsql-*`, newest
/// first.
///
/// # Errors
/// [`PostgresError::NotFound`], [`PostgresError::TooOld`], [`PostgresError::BadBindir`].
pub fn discover(min_major: u32) -> Result<Installation, PostgresError> {
    Search::of_this_machine().find(min_major, None)
}

/// Finds a server for the cluster in the data folder `data`: of the version that made it if that is installed, else as
/// [`discover`] does. So a machine on which a newer version was installed beside the old one keeps working.
///
/// # Errors
/// As [`discover`].
pub fn discover_for(data: &Path, min_major: u32) -> Result<Installation, PostgresError> {
    Search::of_this_machine().find(min_major, folder::version_of(data))
}

/// Where to look.
struct Search {
    /// The operator's choice.
    chosen: Option<PathBuf>,
    /// The folders of `PATH`.
    path: Vec<PathBuf>,
    /// The root of the file system; another one in tests.
    root: PathBuf,
}

impl Search {
    fn of_this_machine() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        Self {
            chosen: env::var_os(BINDIR_VARIABLE)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            path: env::split_paths(&path).collect(),
            root: PathBuf::from("/"),
        }
    }

    fn find(&self, minimum: u32, preferred: Option<u32>) -> Result<Installation, PostgresError> {
        if let Some(bindir) = &self.chosen {
            let found = Installation::at(bindir)?;
            return if found.version >= minimum {
                Ok(found)
            } else {
                Err(PostgresError::TooOld {
                    found: found.version,
                    minimum,
                    bindir: found.bindir,
                })
            };
        }
        let mut found: Vec<Installation> = Vec::new();
        for bindir in self.candidates() {
            if let Ok(installation) = Installation::at(&bindir) {
                // Without a preference the first that fits is taken, and the other places need not be asked.
                if preferred.is_none() && installation.version >= minimum {
                    return Ok(installation);
                }
                found.push(installation);
            }
        }
        let fits = |wanted: &dyn Fn(u32) -> bool| {
            found
                .iter()
                .find(|one| one.version >= minimum && wanted(one.version))
                .cloned()
        };
        if let Some(installation) = fits(&|version| Some(version) == preferred).or_else(|| fits(&|_| true)) {
            return Ok(installation);
        }
        match found.into_iter().max_by_key(|one| one.version) {
            Some(newest) => Err(PostgresError::TooOld {
                found: newest.version,
                minimum,
                bindir: newest.bindir,
            }),
            None => Err(PostgresError::NotFound {
                minimum,
                searched: "PATH, pg_config, /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin".into(),
            }),
        }
    }

    /// The folders that hold a server, in the order in which they count, each once.
    fn candidates(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = Vec::new();
        all.extend(self.path.iter().filter(|dir| dir.is_absolute()).cloned());
        all.extend(self.asked_of_pg_config());
        for pattern in VERSIONED {
            all.extend(self.versions_like(pattern));
        }
        let mut seen = Vec::new();
        for bindir in all {
            if !bindir.join("postgres").is_file() || !bindir.join("initdb").is_file() {
                continue;
            }
            if !seen.contains(&bindir) {
                seen.push(bindir);
            }
        }
        seen
    }

    fn asked_of_pg_config(&self) -> Option<PathBuf> {
        let program = self
            .path
            .iter()
            .map(|dir| dir.join("pg_config"))
            .find(|file| file.is_file())?;
        let output = Command::new(program)
            .arg("--bindir")
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let bindir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        (output.status.success() && bindir.is_absolute()).then_some(bindir)
    }

    /// The folders that match `pattern`, the newest version first.
    fn versions_like(&self, pattern: &str) -> Vec<PathBuf> {
        let Some((before, after)) = pattern.split_once("{}") else {
            return Vec::new();
        };
        let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
        let parent = self.root.join(parent.trim_start_matches('/'));
        let mut versions: Vec<(u32, OsString)> = fs::read_dir(&parent)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let version = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((version, name))
            })
            .collect();
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        versions
            .into_iter()
            .map(|(_, name)| parent.join(name).join(OsStr::new(after.trim_start_matches('/'))))
            .collect()
    }
}

/// Reads the major version out of `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`, also out of `17beta1`.
fn major_version(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL)")?.1.trim_start();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder with programs that only say their version.
    fn pretend(root: &Path, bindir: &str, version: &str) -> PathBuf {
        let bindir = root.join(bindir);
        fs::create_dir_all(&bindir).unwrap();
        for program in ["postgres", "initdb"] {
            let file = bindir.join(program);
            fs::write(&file, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        bindir
    }

    fn search(root: &Path) -> Search {
        Search {
            chosen: None,
            path: Vec::new(),
            root: root.to_owned(),
        }
    }

    #[test]
    fn the_version_is_read_from_what_every_build_says() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major_version("postgres (PostgreSQL) 18devel"), Some(18));
        assert_eq!(major_version("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major_version("command not found"), None);
    }

    #[test]
    fn the_newest_version_under_usr_lib_is_taken() {
        let root = tempfile::tempdir().unwrap();
        pretend(root.path(), "usr/lib/postgresql/9.6/bin", "9.6.24");
        pretend(root.path(), "usr/lib/postgresql/15/bin", "15.14");
        let newest = pretend(root.path(), "usr/lib/postgresql/17/bin", "17.2");
        pretend(root.path(), "usr/pgsql-18/bin", "18.0");

        let found = search(root.path()).find(15, None).unwrap();

        assert_eq!(
            found,
            Installation {
                bindir: newest,
                version: 17
            }
        );
    }

    #[test]
    fn the_version_that_made_the_cluster_is_preferred() {
        let root = tempfile::tempdir().unwrap();
        let old = pretend(root.path(), "usr/lib/postgresql/15/bin", "15.14");
        pretend(root.path(), "usr/lib/postgresql/17/bin", "17.2");

        let found = search(root.path()).find(15, Some(15)).unwrap();
        assert_eq!(
            found,
            Installation {
                bindir: old,
                version: 15
            }
        );

        let found = search(root.path()).find(15, Some(16)).unwrap();
        assert_eq!(found.version, 17, "the version that made it is not installed");
    }

    #[test]
    fn the_path_comes_before_the_usual_folders() {
        let root = tempfile::tempdir().unwrap();
        pretend(root.path(), "usr/lib/postgresql/17/bin", "17.2");
        let own = pretend(root.path(), "opt/pg/bin", "16.1");
        let mut search = search(root.path());
        search.path = vec![own.clone()];

        assert_eq!(search.find(15, None).unwrap().bindir, own);
        assert_eq!(
            search.find(17, None).unwrap().version,
            17,
            "too old ones are passed over"
        );
    }

    #[test]
    fn the_folder_that_pg_config_names_is_found() {
        let root = tempfile::tempdir().unwrap();
        let server = pretend(root.path(), "opt/pg/lib/bin", "16.1");
        let tools = root.path().join("opt/bin");
        fs::create_dir_all(&tools).unwrap();
        let program = tools.join("pg_config");
        fs::write(&program, format!("#!/bin/sh\necho '{}'\n", server.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut search = search(root.path());
        search.path = vec![tools];

        assert_eq!(search.find(15, None).unwrap().bindir, server);
    }

    #[test]
    fn a_folder_of_links_leads_to_the_folder_of_all_programs() {
        let root = tempfile::tempdir().unwrap();
        let real = pretend(root.path(), "usr/lib/postgresql/17/bin", "17.2");
        let links = root.path().join("usr/local/bin");
        fs::create_dir_all(&links).unwrap();
        for program in ["postgres", "initdb"] {
            std::os::unix::fs::symlink(real.join(program), links.join(program)).unwrap();
        }
        let mut search = search(root.path());
        search.path = vec![links];

        assert_eq!(search.find(15, None).unwrap().bindir, real);
    }

    #[test]
    fn a_server_that_is_too_old_is_named_with_the_version_that_is_needed() {
        let root = tempfile::tempdir().unwrap();
        pretend(root.path(), "usr/lib/postgresql/13/bin", "13.9");

        let error = search(root.path()).find(15, None).unwrap_err();

        assert!(matches!(
            error,
            PostgresError::TooOld {
                found: 13,
                minimum: 15,
                ..
            }
        ));
        assert!(error.to_string().contains(INSTALL_COMMAND), "{error}");
        assert!(error.vi().contains(INSTALL_COMMAND), "{}", error.vi());
    }

    #[test]
    fn a_machine_without_a_server_is_told_the_one_command() {
        let root = tempfile::tempdir().unwrap();

        let error = search(root.path()).find(15, None).unwrap_err();

        assert!(matches!(error, PostgresError::NotFound { minimum: 15, .. }));
        assert!(error.to_string().contains(INSTALL_COMMAND), "{error}");
    }

    #[test]
    fn the_chosen_folder_decides_alone() {
        let root = tempfile::tempdir().unwrap();
        pretend(root.path(), "usr/lib/postgresql/17/bin", "17.2");
        let empty = root.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let mut search = search(root.path());
        search.chosen = Some(empty.clone());

        let error = search.find(15, None).unwrap_err();

        assert!(matches!(&error, PostgresError::BadBindir { bindir, .. } if *bindir == empty));
        assert!(error.to_string().contains(BINDIR_VARIABLE), "{error}");
    }

    #[test]
    fn this_machine_has_a_server_that_will_do() {
        let found = discover(MINIMUM_VERSION).unwrap();
        assert!(found.version >= MINIMUM_VERSION);
        assert!(found.program("pg_dump").is_file());
    }
}
