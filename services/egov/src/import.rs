//! `import` and `migrate`: the packs into the databases, and the databases themselves. `up` does both by itself.

use std::sync::Arc;

use clap::{Args, Subcommand};
use egov_clock::{SharedClock, SharedIds, SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig, ServiceUrls};
use egov_identity::import::{HistoryPack, Step, UnitPack};
use egov_keyring::Keyring;
use egov_onestop::operations::import::{Line, Outcome};
use egov_runtime::config::ConnectionBudget;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::packs::Deploy;
use crate::place::{Held, Place};
use crate::postgres::Postgres;
use crate::services::{self, ALL};
use crate::{Installation, Profile, say};

/// The connections that the services share, for each core of this machine: the database runs beside them. More only wait
/// for a core inside the server instead of outside, with colder caches: on two cores 12 carried half as many writes again as
/// 40 did. One-stop's share of these is what it was measured to do best with.
const CONNECTIONS_A_CORE: u32 = 9;

/// The most that they share, however many cores there are.
const MOST_CONNECTIONS: u32 = 40;

fn connections() -> u32 {
    let cores = std::thread::available_parallelism().map_or(2, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
    cores
        .saturating_mul(CONNECTIONS_A_CORE)
        .clamp(2 * CONNECTIONS_A_CORE, MOST_CONNECTIONS)
}

/// `cargo egov import`, `cargo egov migrate`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    installation: Installation,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `cargo egov import`, alone or with what is imported.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ImportArguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    packs: Arguments,
}

/// What is imported besides packs.
#[derive(Debug, Subcommand)]
enum What {
    /// The cases of an old system, from its export: judged line by line, taken once each, however often it is begun again.
    Cases(crate::import_cases::Arguments),
}

/// `cargo egov import`
pub(crate) async fn run(arguments: ImportArguments) -> anyhow::Result<()> {
    match arguments.what {
        Some(What::Cases(cases)) => crate::import_cases::run(cases).await,
        None => import(arguments.packs).await,
    }
}

/// The databases of an installation, migrated and open.
pub(crate) struct Databases {
    /// Identity's.
    pub(crate) identity: Database,
    /// One-stop's.
    pub(crate) onestop: Database,
    /// Integration's.
    pub(crate) integration: Database,
    /// The civil registry's.
    pub(crate) civil_registry: Database,
}

impl Databases {
    /// Makes and migrates what is missing, and opens them with their share of the connections.
    pub(crate) async fn open(
        place: &Place,
        postgres: &Postgres,
        keyring: &Arc<Keyring>,
        clock: &SharedClock,
        ids: &SharedIds,
    ) -> anyhow::Result<Self> {
        let pools: Vec<(&str, u32)> = ALL.iter().map(|service| (service.name, service.weight)).collect();
        let budget = ConnectionBudget::share(connections(), &pools)?;
        let mut opened = Vec::with_capacity(ALL.len());
        for service in &ALL {
            let urls: ServiceUrls = services::provision(place, postgres, service, ids.as_ref()).await?;
            let config = DatabaseConfig::new(services::app_url(&urls))
                .max_connections(budget.of(service.name))
                .application_name(format!("egov-{}", service.name));
            opened.push(Database::connect(&config, Arc::clone(keyring), clock.clone(), ids.clone()).await?);
        }
        let [identity, onestop, integration, civil_registry] = opened
            .try_into()
            .map_err(|_| anyhow::anyhow!("a service has no database"))?;
        Ok(Self {
            identity,
            onestop,
            integration,
            civil_registry,
        })
    }

    /// Gives their connections back.
    pub(crate) async fn close(&self) {
        self.identity.close().await;
        self.onestop.close().await;
        self.integration.close().await;
        self.civil_registry.close().await;
    }
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Rows and files that are new or changed.
    pub(crate) imported: usize,
    /// Those that were there just so.
    pub(crate) unchanged: usize,
    /// Those that are no longer among the packs, and out of force.
    pub(crate) withdrawn: usize,
    /// Lines of the catalogue that changed, vanished, or say otherwise than a hand-checked pack.
    pub(crate) noted: Vec<Line>,
    /// Every line of the report, in order; `import --json` prints them, a start does not.
    #[serde(skip)]
    pub(crate) lines: Vec<Line>,
    /// Those that were not taken, each with why.
    pub(crate) refused: Vec<Line>,
}

impl Report {
    /// As one sentence.
    pub(crate) fn sentence(&self) -> String {
        format!(
            "{} imported, {} unchanged, {} withdrawn, {} refused",
            self.imported,
            self.unchanged,
            self.withdrawn,
            self.refused.len()
        )
    }
}

/// Imports the units and the law, with a progress bar on a terminal.
pub(crate) async fn packs(
    databases: &Databases,
    deploy: &Deploy,
    profile: Profile,
    quiet: bool,
) -> anyhow::Result<Report> {
    let units = deploy.units()?;
    let law = deploy.one_stop()?;
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(law.steps() as u64)
    };
    bar.set_style(
        ProgressStyle::with_template("  packs {bar:32} {pos}/{len} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut report = Report::default();

    let pair = |(name, text): &'_ (String, String)| (name.clone(), text.clone());
    let (departments, codes) = (
        units.commune_departments.as_ref().map(pair),
        units.agency_codes.as_ref().map(pair),
    );
    let pack = UnitPack {
        name: "units-2025",
        units: units
            .lists
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect(),
        commune_departments: departments.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
        agency_codes: codes.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
    };
    bar.set_message("units");
    let files = law.steps() as u64;
    let done = egov_identity::import::units(&databases.identity, &pack, &mut |step: Step| {
        bar.set_length(step.total as u64 + files);
        bar.set_position(step.done as u64);
    })
    .await?;
    report.imported += done.opened + done.changed;
    report.unchanged += done.unchanged;
    if let Some((name, text)) = &units.successions {
        let past = HistoryPack {
            name: "units-history",
            units: units
                .history
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_str()))
                .collect(),
            successions: (name.as_str(), text.as_str()),
        };
        let done = egov_identity::import::history(&databases.identity, &past, &mut |step: Step| {
            bar.set_length(step.total as u64 + files);
            bar.set_position(step.done as u64);
        })
        .await?;
        report.imported += done.opened + done.changed;
        report.unchanged += done.unchanged;
    }

    let lines = egov_onestop::operations::import::import(&databases.onestop, &law, profile.into(), |line| {
        bar.set_message(line.name.clone());
        bar.inc(1);
    })
    .await
    .map_err(egov_fault::Fault::from)?;
    report.lines.clone_from(&lines);
    for line in lines {
        match line.outcome {
            Outcome::Imported => {
                report.imported += 1;
                // A line of the catalogue that changed is worth a look; one that is new is one of hundreds.
                if line.detail.starts_with("changed") {
                    report.noted.push(line);
                }
            }
            Outcome::Unchanged => {
                report.unchanged += 1;
                if line.detail.contains("; ") {
                    report.noted.push(line);
                }
            }
            Outcome::Withdrawn => report.withdrawn += 1,
            Outcome::Vanished => report.noted.push(line),
            Outcome::Refused => report.refused.push(line),
        }
    }
    bar.finish_and_clear();
    Ok(report)
}

/// What was opened for a command that works on an installation at rest.
pub(crate) struct Opened {
    _held: Held,
    /// The database server.
    pub(crate) postgres: Postgres,
    /// The databases, migrated.
    pub(crate) databases: Databases,
    /// The keys of the installation.
    pub(crate) keyring: Arc<Keyring>,
}

impl Opened {
    /// Gives the connections back, and stops what was started.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.databases.close().await;
        self.postgres.stop().await
    }
}

pub(crate) async fn open(installation: &Installation) -> anyhow::Result<Opened> {
    let (clock, ids) = (SystemClock::shared(), SystemIds::shared());
    let place = Place::make(&installation.data)?;
    let held = place.hold()?;
    let keyring = Arc::new(Keyring::create_missing(&place.path("keys"), &clock)?);
    let postgres = Postgres::start(&place, installation.database_url.as_deref()).await?;
    let databases = Databases::open(&place, &postgres, &keyring, &clock, &ids).await?;
    Ok(Opened {
        _held: held,
        postgres,
        databases,
        keyring,
    })
}

/// The packs.
async fn import(arguments: Arguments) -> anyhow::Result<()> {
    let installation = &arguments.installation;
    let deploy = Deploy::find(installation.deploy.as_deref())?;
    let opened = open(installation).await?;
    let report = packs(&opened.databases, &deploy, installation.profile, arguments.json).await;
    opened.databases.close().await;
    opened.postgres.stop().await?;
    let report = report?;
    if arguments.json {
        let mut shown = serde_json::to_value(&report)?;
        if let Some(object) = shown.as_object_mut() {
            object.insert("lines".to_owned(), serde_json::to_value(&report.lines)?);
        }
        say::json(&shown);
    } else {
        say::line(report.sentence());
        for line in &report.noted {
            say::line(format!("  note {}: {}", line.name, line.detail));
        }
        for line in &report.refused {
            say::line(format!("  refused {}: {}", line.name, line.detail));
        }
    }
    Ok(())
}

/// `cargo egov migrate`
pub(crate) async fn migrate(arguments: Arguments) -> anyhow::Result<()> {
    let opened = open(&arguments.installation).await?;
    opened.databases.close().await;
    opened.postgres.stop().await?;
    let migrated: Vec<&str> = ALL.iter().map(|service| service.name).collect();
    if arguments.json {
        say::json(&serde_json::json!({ "migrated": migrated }));
    } else {
        say::line(format!("migrated: {}", migrated.join(", ")));
    }
    Ok(())
}
