//! `cargo egov db prepare`: the checked metadata of the queries, regenerated from the migrations, for every service at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use clap::Args;
use egov_clock::{Clock as _, SystemClock};
use egov_database::Provision;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::migrate::Migrator;
use tokio::process::Command;

use crate::problem::Problem;
use crate::say;
use crate::test::{Throwaway, workspace};

/// `cargo egov db prepare`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail if what is checked in differs.
    #[arg(long)]
    check: bool,
    /// Lint the whole workspace with the same compilation, warnings being errors: what CI does.
    #[arg(long, requires = "check", conflicts_with = "services")]
    lints: bool,
    /// Only these services; all if none is named.
    services: Vec<String>,
}

impl Arguments {
    /// For one service.
    pub(crate) fn of(service: &str) -> Self {
        Self {
            check: false,
            lints: false,
            services: vec![service.to_owned()],
        }
    }
}

/// `cargo egov db prepare`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let workspace = workspace()?;
    let services = with_migrations(&workspace, &arguments.services)?;
    let server = Throwaway::start().await?;
    let stale = if arguments.lints {
        stale_by_lints(&workspace, &services, &server.url()).await
    } else {
        stale_one_by_one(&workspace, &services, &server.url(), arguments.check).await
    };
    server.stop().await?;
    let stale = stale?;
    if arguments.check && !stale.is_empty() {
        return Err(Problem::new(
            format!("the metadata of the queries is not current: {}", stale.join(", ")),
            "run `cargo egov db prepare` and check the result in",
        )
        .into());
    }
    Ok(())
}

/// Compiles each service by itself against its database; which of them had other metadata. Unless it is only checked, what is
/// checked in is replaced.
async fn stale_one_by_one(
    workspace: &Path,
    services: &[String],
    superuser_url: &str,
    check: bool,
) -> anyhow::Result<Vec<String>> {
    let mut stale = Vec::new();
    for service in services {
        let made = generate(workspace, service, superuser_url).await?;
        let folder = kept(workspace, service);
        let is_current = read(&folder)? == made;
        say::note(format!(
            "{service}: {} queries{}",
            made.len(),
            if is_current { "" } else { ", changed" }
        ));
        if !is_current {
            stale.push(service.clone());
            if !check {
                replace(&folder, &made)?;
            }
        }
    }
    Ok(stale)
}

/// Lints everything, all services against their databases at once; which of them have other metadata.
///
/// All write into one folder, which does not say whose a query is: each that was made has to stand with a service, and each that
/// stands with a service has to have been made. That a service has all of its own is shown by any build without a database.
async fn stale_by_lints(workspace: &Path, services: &[String], superuser_url: &str) -> anyhow::Result<Vec<String>> {
    let made = tempfile::tempdir()?;
    let mut command = Command::new("cargo");
    command
        .args([
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ])
        .current_dir(workspace)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", made.path());
    let mut touched = Vec::new();
    for service in services {
        let (variable, url) = migrated(workspace, service, superuser_url).await?;
        command.env(variable, url.expose_secret());
        touched.push(Touched::of(workspace, service)?);
    }
    let status = command
        .status()
        .await
        .context("cargo does not start; is it on the PATH?")?;
    drop(touched);
    if !status.success() {
        return Err(Problem::new(
            "there are lints, or a query does not fit its migrated database",
            "read the messages above",
        )
        .into());
    }
    let mut made = read(made.path())?;
    let mut stale = Vec::new();
    let mut known = BTreeMap::new();
    for service in services {
        let queries = read(&kept(workspace, service))?;
        say::note(format!("{service}: {} queries", queries.len()));
        if queries.iter().any(|(name, text)| made.get(name) != Some(text)) {
            stale.push(service.clone());
        }
        known.extend(queries);
    }
    made.retain(|name, _| !known.contains_key(name));
    if !made.is_empty() {
        stale.push(format!("{} queries that stand with no service", made.len()));
    }
    Ok(stale)
}

/// The services that have migrations, by the names of their folders.
fn with_migrations(workspace: &Path, wanted: &[String]) -> anyhow::Result<Vec<String>> {
    let mut found: Vec<String> = fs::read_dir(workspace.join("services"))?
        .flatten()
        .filter(|entry| entry.path().join("migrations").is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    found.sort();
    if let Some(unknown) = wanted.iter().find(|name| !found.contains(name)) {
        return Err(Problem::new(
            format!("there is no service {unknown} with migrations"),
            format!("choose among: {}", found.join(", ")),
        )
        .into());
    }
    found.retain(|name| wanted.is_empty() || wanted.contains(name));
    Ok(found)
}

/// Where a service's metadata is checked in.
fn kept(workspace: &Path, service: &str) -> PathBuf {
    workspace.join("services").join(service).join(".sqlx")
}

/// A new database with a service's migrations: the variable in which its macros look for the URL, and the URL.
async fn migrated(workspace: &Path, service: &str, superuser_url: &str) -> anyhow::Result<(String, SecretString)> {
    let name = service.replace('-', "_");
    let migrator = Migrator::new(workspace.join("services").join(service).join("migrations"))
        .await
        .with_context(|| format!("the migrations of {service} cannot be read"))?;
    let urls = Provision::new(superuser_url, &name).run(&migrator).await?;
    Ok((format!("{}_DATABASE_URL", name.to_uppercase()), urls.owner))
}

/// A library that looks changed while this lives: cargo does not see that the database or the variables did. Afterwards it
/// looks as before, so that no build has to compile it anew.
struct Touched {
    library: PathBuf,
    before: SystemTime,
}

impl Touched {
    fn of(workspace: &Path, service: &str) -> anyhow::Result<Self> {
        let library = workspace.join("services").join(service).join("src/lib.rs");
        let set = || -> std::io::Result<SystemTime> {
            let file = fs::File::options().append(true).open(&library)?;
            let before = file.metadata()?.modified()?;
            file.set_modified(SystemClock::shared().now().into())?;
            Ok(before)
        };
        let before = set().with_context(|| format!("{} cannot be touched", library.display()))?;
        Ok(Self { library, before })
    }
}

impl Drop for Touched {
    fn drop(&mut self) {
        if let Ok(file) = fs::File::options().append(true).open(&self.library) {
            // One compilation too many is all that comes of a failure.
            let _ = file.set_modified(self.before);
        }
    }
}

/// The metadata of a service's queries, by file name.
async fn generate(workspace: &Path, service: &str, superuser_url: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let (variable, url) = migrated(workspace, service, superuser_url).await?;
    let made = tempfile::tempdir()?;
    let touched = Touched::of(workspace, service)?;
    let status = Command::new("cargo")
        .args(["check", "--quiet", "--package", &format!("egov-{service}"), "--lib"])
        .current_dir(workspace)
        .env(variable, url.expose_secret())
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", made.path())
        .status()
        .await
        .context("cargo does not start; is it on the PATH?")?;
    drop(touched);
    if !status.success() {
        bail!("{service} does not compile against its migrated database");
    }
    read(made.path())
}

/// The metadata in a folder.
fn read(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", folder.display())),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(found)
}

/// Replaces a folder's metadata.
fn replace(folder: &Path, made: &BTreeMap<String, String>) -> anyhow::Result<()> {
    if folder.is_dir() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir(folder)?;
    for (name, text) in made {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
