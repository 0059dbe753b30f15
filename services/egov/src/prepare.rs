//! `cargo egov db prepare`: the checked metadata of the queries, regenerated from the migrations, for every service at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use egov_database::Provision;
use secrecy::ExposeSecret as _;
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
    /// Only these services; all if none is named.
    services: Vec<String>,
}

impl Arguments {
    /// For one service.
    pub(crate) fn of(service: &str) -> Self {
        Self {
            check: false,
            services: vec![service.to_owned()],
        }
    }
}

/// `cargo egov db prepare`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let workspace = workspace()?;
    let services = with_migrations(&workspace, &arguments.services)?;
    let server = Throwaway::start().await?;
    let mut stale = Vec::new();
    let mut failed = None;
    for service in &services {
        match generate(&workspace, service, &server.url()).await {
            Ok(made) => {
                let folder = workspace.join("services").join(service).join(".sqlx");
                let kept = read(&folder)?;
                say::note(format!(
                    "{service}: {} queries{}",
                    made.len(),
                    if kept == made { "" } else { ", changed" }
                ));
                if kept != made {
                    stale.push(service.clone());
                    if !arguments.check {
                        replace(&folder, &made)?;
                    }
                }
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    server.stop().await?;
    if let Some(error) = failed {
        return Err(error);
    }
    if arguments.check && !stale.is_empty() {
        return Err(Problem::new(
            format!("the metadata of the queries is not current: {}", stale.join(", ")),
            "run `cargo egov db prepare` and check the result in",
        )
        .into());
    }
    Ok(())
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

/// The metadata of a service's queries, by file name.
async fn generate(workspace: &Path, service: &str, superuser_url: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let folder = workspace.join("services").join(service);
    let name = service.replace('-', "_");
    let migrator = Migrator::new(folder.join("migrations"))
        .await
        .with_context(|| format!("the migrations of {service} cannot be read"))?;
    let urls = Provision::new(superuser_url, &name).run(&migrator).await?;
    let made = tempfile::tempdir()?;
    // Cargo does not see that the database or the variables changed.
    let lib = folder.join("src/lib.rs");
    let text = fs::read(&lib).with_context(|| format!("{} cannot be read", lib.display()))?;
    fs::write(&lib, text)?;
    let status = Command::new("cargo")
        .args(["check", "--quiet", "--package", &format!("egov-{service}"), "--lib"])
        .current_dir(workspace)
        .env(
            format!("{}_DATABASE_URL", name.to_uppercase()),
            urls.owner.expose_secret(),
        )
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", made.path())
        .status()
        .await
        .context("cargo does not start; is it on the PATH?")?;
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
