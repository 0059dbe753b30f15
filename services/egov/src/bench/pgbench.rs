//! Runs an anchor's SQL with PostgreSQL's own pgbench.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::Command;

use super::CALLERS;
use crate::postgres;
use crate::test::workspace;

/// A frozen file.
pub(super) fn anchor_file(name: &str) -> anyhow::Result<PathBuf> {
    let file = workspace()?.join("tests/bench").join(name);
    if !file.is_file() {
        bail!("the anchor {} is missing", file.display());
    }
    Ok(file)
}

/// What pgbench is to do.
pub(super) struct Anchor<'a> {
    /// The data folder, to find the server's programs.
    pub(super) data: &'a Path,
    /// The frozen file under `tests/bench`.
    pub(super) file: &'a str,
    /// How a superuser reaches the database.
    pub(super) url: &'a str,
    /// As which role the statements run, if not as the superuser.
    pub(super) role: Option<&'a str>,
    /// Values that the file names.
    pub(super) variables: &'a [(&'a str, String)],
}

impl Anchor<'_> {
    /// Transactions a second, by as many clients as ours has callers. Any that fails fails the run.
    pub(super) async fn run(&self, duration: Duration) -> anyhow::Result<f64> {
        self.run_by(CALLERS, duration).await
    }

    /// The same by so many clients.
    pub(super) async fn run_by(&self, clients: usize, duration: Duration) -> anyhow::Result<f64> {
        let mut command = Command::new(postgres::program(self.data, "pgbench")?);
        command
            .args(["--no-vacuum", "--protocol=prepared"])
            .arg(format!("--jobs={}", clients.min(2)))
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", duration.as_secs().max(1)))
            .arg(format!("--file={}", anchor_file(self.file)?.display()));
        for (name, value) in self.variables {
            command.arg(format!("--define={name}={value}"));
        }
        if let Some(role) = self.role {
            command.env("PGOPTIONS", format!("-c role={role}"));
        }
        let ran = command
            .arg(self.url)
            .output()
            .await
            .context("pgbench cannot be started")?;
        let (said, complained) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        if !ran.status.success() {
            bail!("pgbench failed on {}:\n{complained}{said}", self.file);
        }
        match per_second(&said) {
            Some(per_second) => Ok(per_second),
            None => bail!(
                "pgbench did not finish {} without failures:\n{said}{complained}",
                self.file
            ),
        }
    }
}

/// The rate that pgbench prints; none if a transaction failed.
fn per_second(said: &str) -> Option<f64> {
    let after = |head: &str| said.lines().find_map(|line| line.trim().strip_prefix(head));
    let failed = after("number of failed transactions: ")?.split(' ').next()?;
    if failed != "0" {
        return None;
    }
    after("tps = ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "transaction type: x.sql\nnumber of clients: 16\nnumber of failed transactions: 0 (0.000%)\n\
                        latency average = 1.1 ms\ninitial connection time = 20.1 ms\ntps = 1234.5678 (without initial connection time)\n";

    #[test]
    fn the_rate_is_read_and_a_failure_counts_for_nothing() {
        assert_eq!(per_second(SAID), Some(1234.5678));
        assert_eq!(per_second(&SAID.replace(": 0 (", ": 3 (")), None);
        assert_eq!(per_second("pgbench: error"), None);
    }
}
