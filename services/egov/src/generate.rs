//! `generate` and `verify`: test data with known truth, and whether what is stored of cases fits together.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use egov_civil_registry::VerifiedFigures;
use egov_clock::{Clock as _, SystemClock, SystemIds};
use egov_directory::{Directory, DirectoryConfig};
use egov_identity::LocalFeed;
use egov_onestop::operations::generate::{
    GenerateError, Generated, Order, PopulationPack, Role, Sources, generate as make,
};
use egov_onestop::operations::verify::{Verified, verify as look};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use crate::accounts::{Credentials, STAFF};
use crate::import::{self, Opened};
use crate::packs::Deploy;
use crate::place::Place;
use crate::problem::Problem;
use crate::{Installation, Profile, say};

/// The file of the truth in the data folder.
const TRUTH: &str = "truth.json";

/// How far back the span begins, unless it is named.
const YEAR: i64 = 365;

/// `cargo egov generate`
#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    #[command(flatten)]
    installation: Installation,
    /// How many cases.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    cases: u64,
    /// The same seed gives the same cases.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The first day of filing, dd/MM/yyyy; else the first day of the last year on which a procedure is in force.
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Date>,
    /// The last day, dd/MM/yyyy, after which nothing happens; else yesterday.
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<Date>,
    /// Add to the cases that are there (demonstration only).
    #[arg(long)]
    into_existing: bool,
    /// Verify all cases afterwards.
    #[arg(long)]
    verify: bool,
    /// Where the truth is written; else `truth.json` in the data folder.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `cargo egov verify`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct VerifyArguments {
    #[command(subcommand)]
    ledger: Option<crate::ledger::Command>,
    #[command(flatten)]
    installation: Installation,
    /// About so many cases, spread over all; else every one.
    #[arg(long, value_name = "N")]
    sample: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A day as people write it here, or as ISO does.
fn day(text: &str) -> Result<Date, String> {
    Date::strptime("%d/%m/%Y", text)
        .or_else(|_| text.parse())
        .map_err(|_| format!("{text} is no day; write dd/MM/yyyy, for example 01/10/2026"))
}

pub(crate) fn bar(quiet: bool, what: &str, length: u64) -> ProgressBar {
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(length)
    };
    let template = format!("  {what} {{bar:32}} {{human_pos}}/{{human_len}}  {{per_sec}}  {{eta}} left");
    bar.set_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// What the command says of a generation.
#[derive(Debug, Serialize)]
struct Report<'a> {
    seed: u64,
    from: Date,
    to: Date,
    seconds: f64,
    truth: &'a egov_onestop::operations::generate::Truth,
    rows: &'a std::collections::BTreeMap<String, u64>,
    parameters: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Verified>,
}

/// `cargo egov generate`
pub(crate) async fn generate(arguments: GenerateArguments) -> anyhow::Result<()> {
    let installation = &arguments.installation;
    if installation.profile == Profile::Production {
        return Err(refused(GenerateError::Production));
    }
    let deploy = Deploy::find(installation.deploy.as_deref())?;
    let opened = import::open(installation).await?;
    let outcome = Box::pin(generate_in(&arguments, &deploy, &opened)).await;
    opened.close().await?;
    outcome
}

/// Fills an installation at rest for a benchmark: so many cases of the last year.
pub(crate) async fn for_bench(installation: &Installation, cases: u64) -> anyhow::Result<()> {
    let arguments = GenerateArguments {
        installation: installation.clone(),
        cases,
        seed: 1,
        from: None,
        to: None,
        into_existing: false,
        verify: false,
        truth: None,
        json: false,
    };
    generate(arguments).await
}

async fn generate_in(arguments: &GenerateArguments, deploy: &Deploy, opened: &Opened) -> anyhow::Result<()> {
    let installation = &arguments.installation;
    import::packs(&opened.databases, deploy, installation.profile, arguments.json).await?;
    let clock = SystemClock::shared();
    let place = Place::at(&installation.data)?;

    let directory = Directory::open(DirectoryConfig::default(), clock.clone())?;
    let feed = LocalFeed::new(opened.databases.identity.clone(), Arc::clone(&opened.keyring));
    directory.refresh(&feed).await?;

    let yesterday = clock.today().yesterday().context("there is no yesterday")?;
    let to = arguments.to.unwrap_or(yesterday);
    let from = match arguments.from {
        Some(from) => from,
        None => {
            let year_before = to.checked_sub(jiff::Span::new().days(YEAR))?;
            egov_onestop::operations::generate::first_day(&opened.databases.onestop, year_before, to)
                .await?
                .unwrap_or(to)
        }
    };
    let order = Order {
        cases: arguments.cases,
        seed: arguments.seed,
        from,
        to,
        into_existing: arguments.into_existing,
    };
    let population = deploy.population()?;
    let url = opened.postgres.superuser_url();
    let sources = Sources {
        database: &opened.databases.onestop,
        superuser: (&url, "onestop"),
        keyring: Arc::clone(&opened.keyring),
        ids: SystemIds::shared(),
        units: directory.units(),
        profile: installation.profile.into(),
        officials: officials(&place, &directory, to)?,
        portal: Uuid::from_u128(0x0090_0000_0000_0000_0000_0000_0000_0001),
    };
    let began = Instant::now();
    let progress = bar(arguments.json, "cases", order.cases);
    let pack = PopulationPack {
        names: population.names(),
        parameters: &population.parameters,
    };
    let generated = make(sources, &pack, &order, |copied| progress.set_position(copied)).await;
    progress.finish_and_clear();
    let generated = generated.map_err(refused)?;
    let seconds = began.elapsed().as_secs_f64();

    let path = arguments.truth.clone().unwrap_or_else(|| place.path(TRUTH));
    let verified = if arguments.verify {
        Some(verified(opened, installation.profile, None, arguments.json).await?)
    } else {
        None
    };
    let broken = verified.as_ref().is_some_and(|verified| !verified.is_whole());
    let report = Report {
        seed: order.seed,
        from: order.from,
        to: order.to,
        seconds,
        truth: &generated.truth,
        rows: &generated.rows,
        parameters: &generated.parameters,
        verified,
    };
    std::fs::write(&path, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    if arguments.json {
        say::json(&report);
    } else {
        show(&order, &generated, seconds);
        say::line(format!("truth: {}", path.display()));
        if let Some(verified) = &report.verified {
            show_verified(verified);
        }
    }
    if broken {
        return Err(not_whole());
    }
    Ok(())
}

/// The accounts of the demonstration's staff, so that what was generated for their unit is theirs. Their ids are known once
/// `up` has made them.
fn officials(place: &Place, directory: &Directory, on: Date) -> anyhow::Result<HashMap<(i32, Role), Uuid>> {
    let credentials: Credentials = place.read(crate::accounts::FILE)?.unwrap_or_default();
    let mut officials = HashMap::new();
    for (name, role) in [
        ("clerk", Role::Clerk),
        ("officer", Role::Officer),
        ("leader", Role::Leader),
        ("neighbour", Role::Officer),
    ] {
        let member = STAFF.iter().find(|member| member.name == name);
        let account = credentials.accounts.iter().find(|account| account.name == name);
        if let (Some(member), Some(id)) = (member, account.and_then(|account| account.id))
            && let Some(unit) = directory.resolve(member.unit, on)
        {
            officials.insert((unit.id, role), id);
        }
    }
    Ok(officials)
}

/// A refusal with what to do about it.
fn refused(error: GenerateError) -> anyhow::Error {
    let what = error.to_string();
    match error {
        GenerateError::Production => Problem::new(what, "use the demonstration's profile and a data folder of its own"),
        GenerateError::RealCases => Problem::new(what, "use a data folder of its own: --data DIR"),
        GenerateError::NotEmpty => Problem::new(what, "begin with a new data folder: --data DIR")
            .or("or add to them, in a demonstration: --into-existing"),
        GenerateError::NothingToFile | GenerateError::Span { .. } => {
            Problem::new(what, "name another span: --from dd/MM/yyyy --to dd/MM/yyyy")
        }
        GenerateError::DailyNumbersExhausted { .. } => Problem::new(
            what,
            "fewer cases: --cases N, or a longer span: --from dd/MM/yyyy --to dd/MM/yyyy",
        ),
        error => return anyhow::Error::new(error),
    }
    .into()
}

fn show(order: &Order, generated: &Generated, seconds: f64) {
    let truth = &generated.truth;
    say::line(format!(
        "{} cases from {} to {} in {seconds:.1} s ({:.0} a second)",
        truth.cases,
        order.from.strftime("%d/%m/%Y"),
        order.to.strftime("%d/%m/%Y"),
        truth.cases as f64 / seconds.max(0.001),
    ));
    let rows = generated
        .rows
        .iter()
        .map(|(table, rows)| vec![format!("  {table}"), rows.to_string()]);
    say::line(say::table(rows));
}

fn show_verified(verified: &Verified) {
    say::line(format!(
        "verified: {} of {} cases, {} versions, {} leaves and {} due dates worked out again",
        verified.checked, verified.cases, verified.versions, verified.leaves_recomputed, verified.deadlines_recomputed,
    ));
    if verified.is_whole() {
        say::line("everything fits together");
        return;
    }
    let found = verified
        .violated
        .iter()
        .map(|(rule, count)| vec![format!("  {rule:?}"), count.to_string()]);
    say::line(say::table(found));
    for violation in verified.violations.iter().take(50) {
        let of = if violation.case_code.is_empty() {
            violation.case_id.map(|id| id.to_string()).unwrap_or_default()
        } else {
            violation.case_code.clone()
        };
        say::line(format!("  {:?} {of}: {}", violation.rule, violation.detail));
    }
}

fn not_whole() -> anyhow::Error {
    Problem::new(
        "what is stored does not fit together",
        "find out who wrote past the service; a backup from before shows what it was: cargo egov restore",
    )
    .into()
}

async fn verified(opened: &Opened, profile: Profile, sample: Option<u64>, quiet: bool) -> anyhow::Result<Verified> {
    let progress = bar(quiet, "verify", 0);
    let verified = look(
        &opened.databases.onestop,
        &opened.keyring,
        profile.into(),
        sample,
        |done, all| {
            progress.set_length(all);
            progress.set_position(done);
        },
    )
    .await;
    progress.finish_and_clear();
    Ok(verified?)
}

/// `cargo egov verify`
pub(crate) async fn verify(arguments: VerifyArguments) -> anyhow::Result<()> {
    if let Some(command) = arguments.ledger {
        return crate::ledger::run(command).await;
    }
    let opened = import::open(&arguments.installation).await?;
    let outcome = verified(
        &opened,
        arguments.installation.profile,
        arguments.sample,
        arguments.json,
    )
    .await;
    let figures = egov_civil_registry::verify_figures(&opened.databases.civil_registry).await;
    opened.close().await?;
    let (verified, civil_registry) = (outcome?, figures?);
    let is_whole = verified.is_whole() && civil_registry.differing.is_empty();
    if arguments.json {
        say::json(&AllVerified {
            verified,
            civil_registry,
        });
    } else {
        show_verified(&verified);
        show_figures(&civil_registry);
    }
    if is_whole { Ok(()) } else { Err(not_whole()) }
}

/// What the command says of a verification: of the cases, and of the figures of civil status.
#[derive(Debug, Serialize)]
struct AllVerified {
    #[serde(flatten)]
    verified: Verified,
    civil_registry: VerifiedFigures,
}

fn show_figures(figures: &VerifiedFigures) {
    say::line(format!(
        "civil status: {} entries of {} units and years compared with what is counted of them",
        figures.entries, figures.units_and_years,
    ));
    for entry_id in figures.differing.iter().take(50) {
        say::line(format!(
            "  entry {entry_id} is counted otherwise than it and its corrections say"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_here_or_as_iso_does() {
        let first = jiff::civil::date(2026, 10, 1);
        assert_eq!(day("01/10/2026"), Ok(first));
        assert_eq!(day("2026-10-01"), Ok(first));
        assert!(day("31/02/2026").unwrap_err().contains("dd/MM/yyyy"));
    }
}
