//! Under which user the server runs.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::unistd::{Uid, User, getegid, geteuid};

use crate::error::PostgresError;

/// Variables that a program of PostgreSQL may see. Ours may hold secrets, and `PGDATA` and its like would mislead it.
const PASSED_ON: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "TZDIR"];

/// The user under whom the server runs.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    uid: u32,
    gid: u32,
    /// Whether this process is root and must become that user.
    drops: bool,
}

impl Account {
    /// Who runs the server whose files lie, or shall lie, in `cluster`.
    ///
    /// This process's own user, unless it is root: then the owner of the existing cluster, else `postgres`, else
    /// `nobody`.
    pub(crate) fn choose(cluster: &Path) -> Result<Self, PostgresError> {
        let owner = fs::symlink_metadata(cluster).ok();
        let own = geteuid();
        if !own.is_root() {
            let name = name_of(own);
            if let Some(found) = owner
                && found.uid() != own.as_raw()
            {
                return Err(PostgresError::NotOwner {
                    folder: cluster.to_owned(),
                    owner: name_of(Uid::from_raw(found.uid())),
                    user: name,
                });
            }
            return Ok(Self {
                name,
                uid: own.as_raw(),
                gid: getegid().as_raw(),
                drops: false,
            });
        }
        if let Some(found) = &owner
            && found.uid() != 0
        {
            return Ok(Self {
                name: name_of(Uid::from_raw(found.uid())),
                uid: found.uid(),
                gid: found.gid(),
                drops: true,
            });
        }
        let user = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .filter(|user| !user.uid.is_root())
            .ok_or(PostgresError::NoUser)?;
        if owner.is_some() {
            return Err(PostgresError::NotOwner {
                folder: cluster.to_owned(),
                owner: "root".into(),
                user: user.name,
            });
        }
        Ok(Self {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            drops: true,
        })
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// A command that runs as this user, in a process group of its own (so that Ctrl-C reaches us and not the server),
    /// with a bare environment.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .envs(PASSED_ON.iter().filter_map(|name| {
                let value = env::var_os(name)?;
                Some((*name, value))
            }))
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        if self.drops {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives a file or folder that we made to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), PostgresError> {
        if self.drops {
            lchown(path, Some(self.uid), Some(self.gid)).map_err(PostgresError::io(
                "change the owner of",
                "đổi chủ sở hữu của",
                path,
            ))?;
        }
        Ok(())
    }

    /// The first folder on the way to `folder` (itself included) that this user cannot enter; `None` if the way is
    /// open.
    pub(crate) fn barrier(&self, folder: &Path) -> Result<Option<PathBuf>, PostgresError> {
        if !self.drops || self.enters(folder)? {
            return Ok(None);
        }
        let mut way: Vec<&Path> = folder.ancestors().collect();
        way.reverse();
        for step in way {
            if !self.enters(step)? {
                return Ok(Some(step.to_owned()));
            }
        }
        Ok(None)
    }

    /// As [`Account::barrier`], with a closed way as the error.
    pub(crate) fn must_reach(&self, folder: &Path) -> Result<(), PostgresError> {
        match self.barrier(folder)? {
            None => Ok(()),
            Some(barrier) => Err(PostgresError::Unreachable {
                folder: folder.to_owned(),
                barrier,
                user: self.name.clone(),
            }),
        }
    }

    /// Asks the kernel, by entering the folder as this user: modes, access lists and mounts all count.
    fn enters(&self, folder: &Path) -> Result<bool, PostgresError> {
        let mut command = self.command("/bin/sh");
        command
            .args(["-c", ":"])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match command.status() {
            Ok(_) => Ok(true),
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EACCES) => Ok(false),
                Some(Errno::EPERM) => Err(PostgresError::CannotSwitchUser {
                    user: self.name.clone(),
                }),
                _ => Err(PostgresError::io("enter the folder", "vào thư mục", folder)(error)),
            },
        }
    }
}

/// The user's name, or the number where there is no name.
fn name_of(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_closed_folder_on_the_way_is_named() {
        if !geteuid().is_root() {
            return; // only root drops to another user
        }
        let top = tempfile::tempdir().unwrap();
        let closed = top.path().join("closed");
        let inside = closed.join("a/b");
        fs::create_dir_all(&inside).unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let account = Account::choose(&inside.join("cluster")).unwrap();

        assert_eq!(account.barrier(&inside).unwrap(), Some(closed.clone()));
        let error = account.must_reach(&inside).unwrap_err();
        assert!(error.to_string().contains(&account.name), "{error}");

        fs::set_permissions(&closed, fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(account.barrier(&inside).unwrap(), None);
    }

    #[test]
    fn root_runs_an_existing_cluster_as_its_owner() {
        if !geteuid().is_root() {
            return;
        }
        let top = tempfile::tempdir().unwrap();
        let cluster = top.path().join("cluster");
        fs::create_dir(&cluster).unwrap();
        lchown(&cluster, Some(65534), Some(65534)).unwrap();

        assert_eq!(Account::choose(&cluster).unwrap().uid(), 65534);
    }

    #[test]
    fn a_cluster_that_belongs_to_root_is_refused_with_the_command_to_run() {
        if !geteuid().is_root() {
            return;
        }
        let top = tempfile::tempdir().unwrap();

        let error = Account::choose(top.path()).unwrap_err();

        assert!(error.to_string().contains("chown -R"), "{error}");
    }
}
