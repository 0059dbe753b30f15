//! Where a scenario plays: a stack in a process of its own, on a data folder of its own, fully durable.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use egov_auth::{ACCESS_TOKEN_TYPE, Assurance, CallerKind, RoleClaim, TokenClaims};
use egov_clock::{Clock as _, Ids as _, SystemClock, SystemIds};
use egov_directory::{Directory, DirectoryConfig};
use egov_identity::{LocalFeed, Settings};
use egov_keyring::{Keyring, Purpose};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::How;
use crate::generate;
use crate::import;
use crate::packs::Deploy;
use crate::place::Place;
use crate::temporary::TemporaryFolder;
use crate::{Installation, Profile};

/// How long a child may take to start.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long it is waited for when the benchmark is interrupted; then it is killed.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(30);

/// By which tokio is told how many threads work.
pub(super) const THREADS: &str = "TOKIO_WORKER_THREADS";

/// How many agencies the load is spread over: every commune of the province.
pub(super) const AGENCIES: usize = 130;

/// One of the 130 communes.
#[derive(Clone, Debug)]
pub(super) struct Agency {
    pub(super) unit_id: i32,
    pub(super) unit_code: String,
}

/// A data folder with everything imported, at rest.
pub(super) struct Stage {
    place: Place,
    /// Removed at the end, unless the folder is somebody's own.
    folder: Option<TemporaryFolder>,
    pub(super) agencies: Vec<Agency>,
    /// The province above them.
    pub(super) province: Agency,
}

/// A running stack.
pub(super) struct Running {
    pub(super) url: String,
    /// The door between systems.
    pub(super) door: String,
    pub(super) superuser: String,
    process: Process,
}

#[derive(Deserialize)]
struct Ready {
    url: String,
    door: String,
}

/// The installation in a folder.
pub(super) fn installation(folder: &Path) -> Installation {
    Installation {
        data: folder.to_owned(),
        deploy: None,
        profile: Profile::Demo,
        database_url: None,
    }
}

/// Copies a database, to which nobody may be connected.
async fn copy(superuser: &str, database: &str, twin: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(superuser).await?;
    // Our own words. By files: a copy of a million cases block by block would all go through the log as well.
    sqlx::query(AssertSqlSafe(format!(
        "CREATE DATABASE {twin} TEMPLATE {database} STRATEGY file_copy"
    )))
    .execute(&mut connection)
    .await
    .context("the anchor's database cannot be made")?;
    Ok(connection.close().await?)
}

/// Takes from a folder of our own what generated data leave to do at once and no province ever has before it: leaves to be sequenced (eight a case) and
/// events to be passed on by these followers. What is measured is a day of a province whose past is settled.
pub(super) async fn settle(installation: &Installation, database: &str, followers: &[&str]) -> anyhow::Result<()> {
    let opened = import::open(installation).await?;
    let superuser = opened.postgres.superuser_url();
    opened.databases.close().await;
    let mut connection = PgConnection::connect(&of_database(&superuser, database)?).await?;
    let unsettled = "what the generated data leave to do cannot be set aside";
    sqlx::query("TRUNCATE egov.unsequenced_leaves")
        .execute(&mut connection)
        .await
        .context(unsettled)?;
    sqlx::query(
        "SELECT egov.follow_to(name, (SELECT max(epoch) FROM egov.epochs), (SELECT max(log_offset) FROM egov.event_log))
         FROM unnest($1::text[]) AS name",
    )
    .bind(followers)
    .execute(&mut connection)
    .await
    .context(unsettled)?;
    sqlx::query("VACUUM (ANALYZE)")
        .execute(&mut connection)
        .await
        .context(unsettled)?;
    connection.close().await?;
    opened.close().await
}

/// How a superuser reaches a database of the server that this URL names.
fn of_database(superuser: &str, name: &str) -> anyhow::Result<String> {
    let (_, server) = superuser.split_once('?').context("the server's URL names no socket")?;
    Ok(format!("postgres:///{name}?{server}"))
}

impl Stage {
    /// An empty one-stop centre, in a temporary folder or in one that is there. With `twin`, the database of one-stop has a
    /// copy of that name, which no service touches.
    pub(super) async fn prepare(existing: Option<&Path>, twin: Option<&str>) -> anyhow::Result<Self> {
        let (mut folder, data) = match existing {
            Some(data) => (None, data.to_owned()),
            None => {
                let folder = TemporaryFolder::make("bench")?;
                let data = folder.data().to_owned();
                (Some(folder), data)
            }
        };
        let installation = installation(&data);
        let place = Place::make(&data)?;
        let opened = import::open(&installation).await?;
        let deploy = Deploy::find(None)?;
        import::packs(&opened.databases, &deploy, Profile::Demo, true).await?;
        let directory = Directory::open(DirectoryConfig::default(), SystemClock::shared())?;
        let feed = LocalFeed::new(
            opened.databases.identity.clone(),
            std::sync::Arc::clone(&opened.keyring),
        );
        directory.refresh(&feed).await?;
        let today = SystemClock::shared().today();
        let units = directory.units();
        let agencies: Vec<Agency> = units
            .on(today)
            .filter(|unit| unit.code.len() == 5 && directory.agency_code(unit.id, today).is_some())
            .map(|unit| Agency {
                unit_id: unit.id,
                unit_code: unit.code.clone(),
            })
            .collect();
        let province = units
            .on(today)
            .find(|unit| unit.code.len() == 2)
            .map(|unit| Agency {
                unit_id: unit.id,
                unit_code: unit.code.clone(),
            })
            .context("there is no province")?;
        let mut agencies = agencies;
        agencies.sort_unstable_by_key(|agency| agency.unit_id);
        if agencies.len() != AGENCIES {
            bail!("{} communes have an agency code, not {AGENCIES}", agencies.len());
        }
        let superuser = opened.postgres.superuser_url();
        if let Some(folder) = &mut folder {
            folder.cluster_is_at(opened.postgres.folder());
        }
        opened.databases.close().await;
        if let Some(twin) = twin {
            copy(&superuser, "onestop", twin).await?;
        }
        opened.close().await?;
        Ok(Self {
            place,
            folder,
            agencies,
            province,
        })
    }

    /// Copies the database of one-stop, as it is now, under this name; no service touches the copy. The stage is at rest.
    pub(super) async fn copy_to(&self, twin: &str) -> anyhow::Result<()> {
        self.copy_of("onestop", twin).await
    }

    /// The same of the database of a service.
    pub(super) async fn copy_of(&self, database: &str, twin: &str) -> anyhow::Result<()> {
        let opened = import::open(&installation(self.data())).await?;
        opened.databases.close().await;
        copy(&opened.postgres.superuser_url(), database, twin).await?;
        opened.close().await
    }

    /// The id of the first commune; an anchor names the others by counting on.
    pub(super) fn first_unit(&self) -> anyhow::Result<i32> {
        let first = self.agencies.first().context("there are no communes")?.unit_id;
        let in_a_row = self
            .agencies
            .iter()
            .zip(first..)
            .all(|(agency, id)| agency.unit_id == id);
        if !in_a_row {
            bail!("the ids of the communes do not follow one another: the anchors cannot name them");
        }
        Ok(first)
    }

    /// The data folder.
    pub(super) fn data(&self) -> &Path {
        self.place.folder()
    }

    /// Starts the stack as a process of its own.
    pub(super) async fn start(&self) -> anyhow::Result<Running> {
        self.start_with(None).await
    }

    /// The same with so many threads that work, where what it is measured against has as many.
    pub(super) async fn start_with(&self, threads: Option<usize>) -> anyhow::Result<Running> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["up", "--listen", "127.0.0.1:0", "--json", "--data"])
            .arg(self.data());
        if let Some(threads) = threads {
            command.env(THREADS, threads.to_string());
        }
        let (process, line) = Process::start(command).await?;
        let ready: Ready = serde_json::from_str(&line).context("`up` did not say where it listens")?;
        let running = self.place.running().context("the stack left no word of itself")?;
        Ok(Running {
            url: ready.url,
            door: ready.door,
            superuser: running.database.context("the stack has no cluster of its own")?,
            process,
        })
    }

    /// A token of an official with one role at a unit, as identity signs it: by the key of this installation. It counts for
    /// five minutes.
    pub(super) fn official(&self, running: &Running, role: &str, agency: &Agency) -> anyhow::Result<String> {
        // One official a commune.
        let subject =
            Uuid::from_u128(0x00be_0000_0000_0000_0000_0000_0000_0000 | u128::from(agency.unit_id.unsigned_abs()));
        let roles = vec![RoleClaim {
            role: role.to_owned(),
            unit: agency.unit_id,
        }];
        self.token(running, |claims| TokenClaims {
            sub: subject,
            kind: CallerKind::Staff,
            roles,
            unit: Some(agency.unit_id),
            ..claims
        })
    }

    /// A token of a system, as identity signs it. It counts for five minutes.
    pub(super) fn system(&self, running: &Running, client_id: &str) -> anyhow::Result<String> {
        self.token(running, |claims| TokenClaims {
            client_id: Some(client_id.to_owned()),
            ..claims
        })
    }

    /// A token by the key of this installation.
    fn token(&self, running: &Running, of: impl FnOnce(TokenClaims) -> TokenClaims) -> anyhow::Result<String> {
        let clock = SystemClock::shared();
        let keyring = Keyring::open(&self.place.path("keys"), &clock)?;
        let settings = Settings::default();
        let claims = of(system_claims(
            &running.url,
            settings.tokens.audience.as_str(),
            clock.now().as_second(),
        ));
        Ok(keyring.signing(Purpose::TokenSigning).jwt(ACCESS_TOKEN_TYPE, &claims)?)
    }

    /// Removes what was made for it.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        self.folder.map_or(Ok(()), TemporaryFolder::remove)
    }
}

/// What a system without roles is given for five minutes.
pub(super) fn system_claims(issuer: &str, audience: &str, now: i64) -> TokenClaims {
    let ids = SystemIds::shared();
    TokenClaims {
        iss: issuer.to_owned(),
        sub: ids.uuid(),
        aud: audience.into(),
        exp: now + 300,
        nbf: None,
        iat: now,
        jti: ids.uuid().to_string(),
        kind: CallerKind::System,
        roles: Vec::new(),
        dlg: Vec::new(),
        unit: None,
        acr: Assurance::None,
        sid: None,
        act: None,
        client_id: None,
        cnf: None,
        name: None,
    }
}

impl Running {
    /// How a superuser reaches a database of the stack.
    pub(super) fn database(&self, name: &str) -> anyhow::Result<String> {
        of_database(&self.superuser, name)
    }

    /// How the role of a service reaches a database of the stack.
    pub(super) fn database_as(&self, name: &str, role: &str) -> anyhow::Result<String> {
        let url = self.database(name)?;
        let (base, parameters) = url.split_once('?').context("the server's URL names no socket")?;
        let kept: Vec<&str> = parameters
            .split('&')
            .filter(|parameter| !parameter.starts_with("user="))
            .collect();
        Ok(format!("{base}?{}&user={role}", kept.join("&")))
    }

    /// Removes the copy of a database.
    pub(super) async fn remove_copy(&self, twin: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.superuser).await?;
        // Our own word.
        sqlx::query(AssertSqlSafe(format!("DROP DATABASE {twin} WITH (FORCE)")))
            .execute(&mut connection)
            .await
            .context("the anchor's database cannot be removed")?;
        Ok(connection.close().await?)
    }

    /// The number of its process.
    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        self.process.pid()
    }

    /// Stops it.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

/// A process beside the benchmark. Whichever way the benchmark ends, it is asked to stop and waited for.
pub(super) struct Process(Child);

impl Process {
    /// Takes a child over.
    pub(super) fn of(child: Child) -> Self {
        Self(child)
    }

    /// Starts a child that says one line of JSON when it is ready; what it says later is read and thrown away.
    pub(super) async fn start(mut command: Command) -> anyhow::Result<(Self, String)> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("a process beside the benchmark cannot be started")?;
        let mut started = Self(child);
        let mut said = BufReader::new(started.0.stdout.take().context("the child has no output")?);
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, said.read_line(&mut line))
            .await
            .context("what was started beside the benchmark is not ready")??;
        if line.is_empty() {
            bail!("what was started beside the benchmark ended at once; what it said stands above");
        }
        tokio::spawn(async move { tokio::io::copy(&mut said, &mut tokio::io::sink()).await });
        Ok((started, line))
    }

    /// Its number.
    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        self.0.id().context("a process beside the benchmark has ended")
    }

    /// Asks it to stop and waits for it.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.ask().context("a child cannot be stopped")?;
        tokio::time::timeout(PATIENCE, self.0.wait())
            .await
            .context("a child does not stop")??;
        Ok(())
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(&mut self) -> std::io::Result<std::process::ExitStatus> {
        self.0.wait().await
    }

    fn ask(&self) -> nix::Result<()> {
        // None once it has ended and was waited for.
        match self.0.id().and_then(|pid| i32::try_from(pid).ok()) {
            Some(pid) => kill(Pid::from_raw(pid), Signal::SIGTERM),
            None => Ok(()),
        }
    }
}

impl Drop for Process {
    /// Blocks: the program is about to end, and the folder on which the process works is removed next.
    #[expect(clippy::disallowed_methods, reason = "there is nothing left to await it")]
    fn drop(&mut self) {
        if self.ask().is_err() {
            return;
        }
        let begin = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && begin.elapsed() < PATIENCE_AT_THE_END {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Data folders with generated cases: one for each number of cases, made when the first scenario asks for it and shared by all.
#[derive(Default)]
pub(super) struct Filled {
    /// By the number of cases, and whether the folder is somebody's own.
    stages: BTreeMap<(u64, bool), Stage>,
}

impl Filled {
    /// As many cases as were asked for, or the folder that was given.
    pub(super) async fn all(&mut self, how: &How) -> anyhow::Result<&Stage> {
        self.stage(how.cases(), how.data.as_deref()).await
    }

    /// So many cases, whatever was given.
    pub(super) async fn few(&mut self, cases: u64) -> anyhow::Result<&Stage> {
        self.stage(cases, None).await
    }

    async fn stage(&mut self, cases: u64, own: Option<&Path>) -> anyhow::Result<&Stage> {
        let place = match self.stages.entry((cases, own.is_some())) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(place) => place,
        };
        let stage = Stage::prepare(own, None).await?;
        if own.is_none() {
            let installation = installation(stage.data());
            generate::for_bench(&installation, cases).await?;
            settle(&installation, "onestop", &["forward", "onestop.linked"]).await?;
        }
        Ok(place.insert(stage))
    }

    /// Removes what was made.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        self.stages.into_values().try_for_each(Stage::remove)
    }
}
