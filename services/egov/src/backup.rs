//! `cargo egov backup` and `restore`: the databases and files in one folder, the keys in another.
//!
//! Who has the data without the keys cannot read what is sealed in it, nor sign; so the two are kept apart. The databases
//! are dumped before the files are copied: a file is stored before the row that names it, so every row finds its file.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use aws_lc_rs::digest;
use clap::Args;
use egov_clock::{Clock as _, SystemClock, SystemIds};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::process::Command;

use crate::place::{Held, Place, write_private};
use crate::postgres::{self, Postgres};
use crate::problem::Problem;
use crate::services::{self, ALL};
use crate::{accounts, say};

/// The number of the form of a backup.
const FORMAT: u32 = 1;

/// The name of the list in both folders.
const MANIFEST: &str = "manifest.json";

/// What of the data folder is secret beside the keyring.
const SECRETS: [&str; 2] = [accounts::FILE, "database.json"];

/// What cannot be had again without the keys.
const LOST: [&str; 4] = [
    "the one-time-code secrets of all accounts and the personal numbers of citizens: identity does not open without its keys",
    "the secrets with which the public looks up its cases",
    "the stored answers of the last 30 days: a repeated request is no longer recognised",
    "what old signatures prove: receipts, unit trees and tokens were signed with the lost keys",
];

/// `cargo egov backup`
#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The new folder for the databases and files.
    target: PathBuf,
    /// The new folder for the keys: keep it elsewhere. [default: TARGET-keys]
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The data folder.
    #[arg(long, value_name = "DIR", default_value = ".egov", env = "EGOV_DATA")]
    data: PathBuf,
    /// A superuser's connection to the PostgreSQL server of your own, if `up` uses one.
    #[arg(long, value_name = "URL", env = "EGOV_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `cargo egov restore`
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The folder of the backup.
    source: PathBuf,
    /// The folder of its keys. [default: SOURCE-keys]
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Restore although the keys are lost.
    #[arg(long, conflicts_with = "keys")]
    without_keys: bool,
    /// The data folder, which must be empty or missing.
    #[arg(long, value_name = "DIR", default_value = ".egov", env = "EGOV_DATA")]
    data: PathBuf,
    /// A superuser's connection to a PostgreSQL server of your own, without databases of the services.
    #[arg(long, value_name = "URL", env = "EGOV_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What lies in a folder of a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// The form.
    format: u32,
    /// The version of the command that made it.
    version: String,
    /// When it was begun.
    begun: jiff::Timestamp,
    /// SHA-256 of every file, by its path.
    files: BTreeMap<String, String>,
}

fn keys_beside(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push("-keys");
    PathBuf::from(name)
}

/// A new folder that only its owner enters.
fn new_folder(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        return Err(Problem::new(
            format!("{} is there already", folder.display()),
            "name a folder that does not exist yet; a backup never writes over another one",
        )
        .into());
    }
    private_folder(folder)
}

fn private_folder(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        context.update(buffer.get(..read).unwrap_or_default());
    }
    Ok(hex::encode(context.finish()))
}

/// Copies a folder with all that is below it, for the owner only.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    private_folder(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read the folder {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    match fs::copy(from, to) {
        Ok(_) => {}
        // An unfinished upload that was swept meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot copy {}", from.display())),
    }
    fs::set_permissions(to, fs::Permissions::from_mode(0o600))?;
    Ok(File::open(to)?.sync_all()?)
}

/// The SHA-256 of every file below a folder, without the list itself.
fn listed(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            if name != MANIFEST {
                found.insert(name, sha256(&path)?);
            }
        }
    }
    Ok(found)
}

/// Writes the list, last: without it a folder is no backup.
fn seal(folder: &Path, begun: jiff::Timestamp) -> anyhow::Result<Manifest> {
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        begun,
        files: listed(folder)?,
    };
    write_private(
        &folder.join(MANIFEST),
        serde_json::to_string_pretty(&manifest)?.as_bytes(),
    )?;
    Ok(manifest)
}

/// Reads the list and compares every file with it.
fn check(folder: &Path, what: &str) -> anyhow::Result<Manifest> {
    let text = fs::read_to_string(folder.join(MANIFEST)).map_err(|error| {
        Problem::new(
            format!("{} is no {what}: {MANIFEST} cannot be read: {error}", folder.display()),
            "name the folder that `cargo egov backup` made; one without this list was cut off",
        )
    })?;
    let manifest: Manifest =
        serde_json::from_str(&text).with_context(|| format!("{MANIFEST} in {} is damaged", folder.display()))?;
    ensure!(
        manifest.format == FORMAT,
        "{} has the form {}, this command reads {FORMAT}",
        folder.display(),
        manifest.format
    );
    let found = listed(folder)?;
    let mut wrong: Vec<String> = Vec::new();
    for (name, expected) in &manifest.files {
        match found.get(name) {
            None => wrong.push(format!("{name} is missing")),
            Some(hash) if hash != expected => wrong.push(format!("{name} was changed")),
            Some(_) => {}
        }
    }
    if wrong.is_empty() {
        return Ok(manifest);
    }
    Err(Problem::new(
        format!("{} is damaged: {}", folder.display(), wrong.join(", ")),
        "take another copy; nothing was restored",
    )
    .into())
}

/// One of PostgreSQL's programs on one database. The password does not appear among the arguments, which everybody on the
/// machine can read.
fn tool(program: &Path, superuser_url: &str, database: &str) -> anyhow::Result<Command> {
    let mut url = Url::parse(superuser_url)
        .ok()
        .context("the address of the database server cannot be read")?;
    let password = url
        .password()
        .map(|password| percent_decode_str(password).decode_utf8_lossy().into_owned());
    // It fails only for addresses that can have no password.
    let _ = url.set_password(None);
    url.set_path(&format!("/{database}"));
    let mut command = Command::new(program);
    command.arg("--dbname").arg(url.as_str()).env("LC_ALL", "C.UTF-8");
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    Ok(command)
}

async fn run_tool(mut command: Command, what: &str) -> anyhow::Result<()> {
    let output = command
        .output()
        .await
        .with_context(|| format!("{what} does not start"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().take(10).collect();
    Err(anyhow::anyhow!("{what} failed: {}", lines.join("\n")))
}

/// How the databases are reached while the backup is made.
enum Source {
    /// Through the stack that runs.
    Running { url: String },
    /// Through a server that was started for it.
    Started { postgres: Postgres, _held: Held },
}

impl Source {
    async fn open(place: &Place, given: Option<&str>) -> anyhow::Result<Self> {
        if let Some(running) = place.running() {
            let url = running.database.or_else(|| given.map(str::to_owned)).ok_or_else(|| {
                Problem::new(
                    "the running stack uses a database server of your own",
                    "set EGOV_DATABASE_URL as for `up`",
                )
            })?;
            return Ok(Self::Running { url });
        }
        let held = place.hold()?;
        Ok(Self::Started {
            postgres: Postgres::start(place, given).await?,
            _held: held,
        })
    }

    fn url(&self) -> String {
        match self {
            Self::Running { url } => url.clone(),
            Self::Started { postgres, .. } => postgres.superuser_url(),
        }
    }
}

/// `cargo egov backup`
pub(crate) async fn backup(arguments: BackupArguments) -> anyhow::Result<()> {
    let place = Place::at(&arguments.data)?;
    if !place.path("keys").is_dir() {
        return Err(Problem::new(
            format!("{} is no data folder: it has no keys", place.folder().display()),
            "name the data folder of the installation with --data DIR",
        )
        .into());
    }
    let begun = SystemClock.now();
    let keys = arguments.keys.unwrap_or_else(|| keys_beside(&arguments.target));
    new_folder(&arguments.target)?;
    new_folder(&keys)?;

    let source = Source::open(&place, arguments.database_url.as_deref()).await?;
    let program = postgres::program(&place.path("postgres"), "pg_dump")?;
    let mut outcome = Ok(());
    for service in &ALL {
        let mut command = tool(&program, &source.url(), service.name)?;
        command
            .arg("--format=custom")
            .arg("--file")
            .arg(arguments.target.join(format!("{}.dump", service.name)));
        outcome = run_tool(command, &format!("pg_dump of {}", service.name)).await;
        if outcome.is_err() {
            break;
        }
    }
    if let Source::Started { postgres, .. } = source {
        postgres.stop().await?;
    }
    outcome?;
    for service in &ALL {
        let dump = arguments.target.join(format!("{}.dump", service.name));
        fs::set_permissions(&dump, fs::Permissions::from_mode(0o600))?;
        File::open(&dump)?.sync_all()?;
    }
    if place.path("files").is_dir() {
        copy(&place.path("files"), &arguments.target.join("files"))?;
    }
    copy(&place.path("keys"), &keys.join("keys"))?;
    for name in SECRETS {
        if place.path(name).is_file() {
            copy_file(&place.path(name), &keys.join(name))?;
        }
    }
    seal(&keys, begun)?;
    let manifest = seal(&arguments.target, begun)?;
    if arguments.json {
        say::json(&serde_json::json!({ "backup": arguments.target, "keys": keys, "files": manifest.files.len() }));
    } else {
        say::line(format!(
            "databases and files: {} ({} files)",
            arguments.target.display(),
            manifest.files.len()
        ));
        say::line(format!(
            "keys: {} (keep them elsewhere: with both, everything can be read)",
            keys.display()
        ));
    }
    Ok(())
}

/// `cargo egov restore`
pub(crate) async fn restore(arguments: RestoreArguments) -> anyhow::Result<()> {
    let manifest = check(&arguments.source, "backup")?;
    let keys = arguments.keys.clone().unwrap_or_else(|| keys_beside(&arguments.source));
    if arguments.without_keys {
        say::note("restored without the keys; lost are:");
        for lost in LOST {
            say::note(format!("  - {lost}"));
        }
        say::note("  if the keys are found, put them into the folder `keys` of the data folder before the first start");
    } else if keys.is_dir() {
        check(&keys, "backup of keys")?;
    } else {
        return Err(Problem::new(
            format!(
                "the keys of this backup are not in {}; without them are lost:\n  - {}",
                keys.display(),
                LOST.join("\n  - ")
            ),
            "name their folder: --keys DIR",
        )
        .or("restore all the same: --without-keys")
        .into());
    }

    let place = Place::make(&arguments.data)?;
    if fs::read_dir(place.folder())?.next().is_some() {
        return Err(Problem::new(
            format!("the data folder {} is not empty", place.folder().display()),
            "restore into a new one: --data DIR; then move it to its place",
        )
        .into());
    }
    let held = place.hold()?;
    let postgres = match fill(&place, &arguments, &keys).await {
        Ok(postgres) => postgres,
        Err(error) => {
            empty(place.folder());
            return Err(error);
        }
    };
    let cluster = postgres.folder().map(Path::to_owned);
    let outcome = databases(&place, &postgres, &arguments.source, &manifest).await;
    postgres.stop().await?;
    if outcome.is_err() {
        // Half a restore must not be started by mistake.
        empty(place.folder());
        if let Some(cluster) = cluster {
            empty(&cluster);
        }
    }
    drop(held);
    let epochs = outcome?;
    if arguments.json {
        say::json(&serde_json::json!({ "data": place.folder(), "epochs": epochs, "keys": !arguments.without_keys }));
    } else {
        say::line(format!(
            "restored to {}: the state of {}",
            place.folder().display(),
            manifest.begun
        ));
        for (service, epoch) in epochs {
            say::line(format!("  {service}: epoch {epoch} begins"));
        }
        say::line(format!("start it: cargo egov up --data {}", place.folder().display()));
    }
    Ok(())
}

/// Puts keys and files into the data folder and starts the database server on it.
async fn fill(place: &Place, arguments: &RestoreArguments, keys: &Path) -> anyhow::Result<Postgres> {
    if !arguments.without_keys {
        copy(&keys.join("keys"), &place.path("keys"))?;
        for name in SECRETS {
            if keys.join(name).is_file() {
                copy_file(&keys.join(name), &place.path(name))?;
            }
        }
    }
    let files = arguments.source.join("files");
    if files.is_dir() {
        copy(&files, &place.path("files"))?;
    }
    Postgres::start(place, arguments.database_url.as_deref()).await
}

/// Takes everything out of a folder that was empty before.
fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        if let Err(error) = removed {
            say::note(format!(
                "cannot remove {}: {error}; remove it before the next try",
                path.display()
            ));
        }
    }
}

/// Restores each database, migrates it to the present, and begins its next epoch.
async fn databases(
    place: &Place,
    postgres: &Postgres,
    source: &Path,
    manifest: &Manifest,
) -> anyhow::Result<BTreeMap<&'static str, i32>> {
    let program = postgres.program("pg_restore")?;
    let ids = SystemIds::default();
    let superuser = postgres.superuser_url();
    let mut epochs = BTreeMap::new();
    let mut connection = sqlx::PgConnection::connect(&superuser).await?;
    if matches!(postgres, Postgres::Given { .. }) {
        for service in &ALL {
            let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
                .bind(service.name)
                .fetch_one(&mut connection)
                .await?;
            if exists {
                return Err(Problem::new(
                    format!("the database {} is on the server already", service.name),
                    "name a server without the databases of the services; a restore never writes over data",
                )
                .into());
            }
        }
    }
    for service in &ALL {
        let dump = format!("{}.dump", service.name);
        ensure!(
            manifest.files.contains_key(&dump),
            "the backup has no database of {}",
            service.name
        );
        // The roles, and a database that gives way to an empty one for what the dump holds.
        services::provision(place, postgres, service, &ids).await?;
        for statement in [
            format!("DROP DATABASE \"{}\"", service.name),
            format!(
                "CREATE DATABASE \"{0}\" OWNER \"{0}_owner\" ENCODING 'UTF8' TEMPLATE template0",
                service.name
            ),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        let mut command = tool(&program, &superuser, service.name)?;
        command
            .args(["--exit-on-error", "--single-transaction"])
            .arg(source.join(&dump));
        run_tool(command, &format!("pg_restore of {}", service.name)).await?;
        // The rights on the database, which a dump does not hold, and migrations that are newer than the backup.
        services::provision(place, postgres, service, &ids).await?;
        let mut url = Url::parse(&superuser)
            .ok()
            .context("the address of the database server cannot be read")?;
        url.set_path(&format!("/{}", service.name));
        let mut restored = sqlx::PgConnection::connect(url.as_str()).await?;
        let epoch: i32 = sqlx::query_scalar("SELECT egov.begin_epoch($1)")
            .bind(format!("restore of the backup of {}", manifest.begun))
            .fetch_one(&mut restored)
            .await
            .with_context(|| format!("{} cannot begin its next epoch", service.name))?;
        restored.close().await?;
        epochs.insert(service.name, epoch);
    }
    connection.close().await?;
    Ok(epochs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_and_a_missing_file_are_both_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        fs::write(folder.path().join("files/one"), "one").unwrap();
        fs::write(folder.path().join("two.dump"), "two").unwrap();
        seal(folder.path(), jiff::Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(check(folder.path(), "backup").unwrap().files.len(), 2);

        fs::write(folder.path().join("files/one"), "eins").unwrap();
        fs::remove_file(folder.path().join("two.dump")).unwrap();
        let error = check(folder.path(), "backup").unwrap_err().to_string();
        assert!(
            error.contains("files/one was changed") && error.contains("two.dump is missing"),
            "{error}"
        );
    }

    #[test]
    fn a_password_is_not_among_the_arguments() {
        let command = tool(
            Path::new("pg_dump"),
            "postgres://root:hunter%202@db:5433/postgres",
            "onestop",
        )
        .unwrap();
        let command = command.as_std();
        let arguments: Vec<_> = command
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        assert_eq!(arguments, ["--dbname", "postgres://root@db:5433/onestop"]);
        let password = command
            .get_envs()
            .find(|(name, _)| *name == "PGPASSWORD")
            .and_then(|(_, value)| value);
        assert_eq!(password.unwrap(), "hunter 2");
    }
}
