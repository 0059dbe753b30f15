//! `import cases`: the cases of an old system, line by line, into an installation at rest.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use egov_clock::{SystemClock, SystemIds};
use egov_directory::{Directory, DirectoryConfig};
use egov_identity::LocalFeed;
use egov_onestop::domain::old_case::{Mapping, MappingError};
use egov_onestop::operations::import_cases::lines::{Format, lines};
use egov_onestop::operations::import_cases::{LineReport, Outcome, Sources, Summary, import_cases};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::import::{self, Opened};
use crate::problem::Problem;
use crate::{Installation, say};

/// Refused lines that are shown; the report has all.
const SHOWN: usize = 20;

/// `cargo egov import cases`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The export of the old system.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How its lines are written.
    #[arg(long, value_enum)]
    format: Written,
    /// What its columns are (docs/import-cases.md).
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    /// Judge every line, and write nothing but the report.
    #[arg(long)]
    dry_run: bool,
    /// Where what became of each line is written, a JSON object a line; else beside the file, with `.report.jsonl` behind its name.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    installation: Installation,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Written {
    /// The names of the columns first.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

/// What the command says.
#[derive(Debug, Serialize)]
struct Said<'a> {
    source: &'a str,
    dry_run: bool,
    seconds: f64,
    lines_a_minute: f64,
    #[serde(flatten)]
    summary: Summary,
    report: &'a Path,
}

/// `cargo egov import cases`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mapping = mapping_in(&arguments.mapping)?;
    let opened = import::open(&arguments.installation).await?;
    let done = Box::pin(import_in(&arguments, &mapping, &opened)).await;
    opened.close().await?;
    let done = done?;
    let said = Said {
        source: &mapping.source,
        dry_run: arguments.dry_run,
        seconds: done.seconds,
        lines_a_minute: done.summary.lines as f64 * 60.0 / done.seconds.max(0.001),
        summary: done.summary,
        report: &done.report,
    };
    if arguments.json {
        say::json(&said);
    } else {
        show(&said, &done.refused);
    }
    Ok(())
}

/// Imports a CSV file for a benchmark, into an installation that is open: what became of its lines, and in how many seconds.
pub(crate) async fn for_bench(
    installation: &Installation,
    opened: &Opened,
    file: &Path,
    mapping: &Path,
) -> anyhow::Result<(Summary, f64)> {
    let arguments = Arguments {
        file: file.to_owned(),
        format: Written::Csv,
        mapping: mapping.to_owned(),
        dry_run: false,
        report: None,
        installation: installation.clone(),
        json: true,
    };
    let done = Box::pin(import_in(&arguments, &mapping_in(mapping)?, opened)).await?;
    Ok((done.summary, done.seconds))
}

fn mapping_in(file: &Path) -> anyhow::Result<Mapping> {
    let mapping = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Mapping::from_toml(&mapping).map_err(|error| wrong_mapping(file, &error))
}

fn wrong_mapping(file: &Path, error: &MappingError) -> anyhow::Error {
    Problem::new(
        format!("{}: {error}", file.display()),
        "docs/import-cases.md names every field and has a sample",
    )
    .into()
}

/// What an import did.
struct Done {
    summary: Summary,
    seconds: f64,
    report: PathBuf,
    /// The first of the refused lines.
    refused: Vec<LineReport>,
}

async fn import_in(arguments: &Arguments, mapping: &Mapping, opened: &Opened) -> anyhow::Result<Done> {
    let clock = SystemClock::shared();
    let directory = Directory::open(DirectoryConfig::default(), clock.clone())?;
    let feed = LocalFeed::new(opened.databases.identity.clone(), Arc::clone(&opened.keyring));
    directory.refresh(&feed).await?;

    let file = File::open(&arguments.file).with_context(|| format!("cannot read {}", arguments.file.display()))?;
    let bar = progress(arguments.json, file.metadata()?.len());
    let read: Box<dyn BufRead> = Box::new(BufReader::new(bar.wrap_read(file)));
    let format = match arguments.format {
        Written::Csv => Format::Csv {
            delimiter: u8::try_from(mapping.delimiter).context("the delimiter is no ASCII character")?,
        },
        Written::Jsonl => Format::JsonLines,
    };
    let lines = lines(read, format).with_context(|| format!("cannot read {}", arguments.file.display()))?;
    let path = report_path(arguments);
    let report = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut report = BufWriter::new(report);
    let mut refused: Vec<LineReport> = Vec::new();

    let url = opened.postgres.superuser_url();
    let sources = Sources {
        database: &opened.databases.onestop,
        superuser: (&url, "onestop"),
        keyring: Arc::clone(&opened.keyring),
        ids: SystemIds::shared(),
        clock,
        units: directory.units(),
        profile: arguments.installation.profile.into(),
    };
    let began = Instant::now();
    let told = |line: &LineReport| -> std::io::Result<()> {
        serde_json::to_writer(&mut report, line)?;
        report.write_all(b"\n")?;
        if line.outcome == Outcome::Refused && refused.len() < SHOWN {
            refused.push(line.clone());
        }
        Ok(())
    };
    let done = |count: u64| bar.set_message(format!("{count} lines"));
    let summary = import_cases(sources, mapping, lines, arguments.dry_run, told, done).await;
    bar.finish_and_clear();
    report.flush()?;
    let summary = summary?;
    Ok(Done {
        summary,
        seconds: began.elapsed().as_secs_f64(),
        report: path,
        refused,
    })
}

fn report_path(arguments: &Arguments) -> PathBuf {
    arguments.report.clone().unwrap_or_else(|| {
        let mut name = arguments.file.clone().into_os_string();
        name.push(".report.jsonl");
        PathBuf::from(name)
    })
}

/// A bar over the bytes of the file.
fn progress(quiet: bool, length: u64) -> ProgressBar {
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(length)
    };
    let template = "  cases {bar:32} {bytes}/{total_bytes}  {msg}  {eta} left";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn show(said: &Said<'_>, refused: &[LineReport]) {
    let Summary {
        lines,
        imported,
        already,
        refused: count,
    } = said.summary;
    let done = if said.dry_run { "would be imported" } else { "imported" };
    say::line(format!(
        "{lines} lines of {}: {imported} {done}, {already} were there, {count} refused; {:.1} s ({:.0} lines a minute)",
        said.source, said.seconds, said.lines_a_minute,
    ));
    for line in refused {
        for fault in &line.faults {
            say::line(format!(
                "  line {}: {}: {} / {}",
                line.line, fault.field, fault.vi, fault.en
            ));
        }
    }
    if count > refused.len() as u64 {
        say::line("  …");
    }
    say::line(format!("report: {}", said.report.display()));
}
