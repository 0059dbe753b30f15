//! `cargo egov bench`: how fast it is, against anchors that are not ours.
//!
//! Each scenario runs ours and its anchor in turns, several times, in the same process and on the same machine, and prints
//! the medians and their ratio. The anchors are files under `tests/bench/`: SQL for pgbench, the configuration of Envoy, the
//! contract of an echo. They are frozen: whoever changes one does nothing else in that commit and says why.
//! `tests/bench/README.md` says what each scenario does and keeps the results.

mod auth;
mod contract;
mod echo;
mod events;
mod get;
mod import;
mod ledger;
mod list;
mod lists;
mod load;
mod mediate;
mod old_books;
mod parties;
mod pgbench;
mod proxy;
mod registry;
mod stage;
mod streams;
mod submit;
mod transcode;

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command as Program;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use egov_runtime::server::Shutdown;
use serde::Serialize;

use crate::problem::Problem;
use crate::{say, test};

/// Who calls at the same time, in ours and in the anchor.
const CALLERS: usize = 16;

/// How many cases there are, unless it is said.
const CASES: u64 = 1_000_000;

/// The size of a request, or of an answer that is echoed.
const PAYLOAD_BYTES: usize = 1024;

/// `cargo egov bench`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    beside: Option<Beside>,
    /// What is measured; without it everything, one after the other.
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    #[command(flatten)]
    how: How,
}

/// What a benchmark starts beside itself.
#[derive(Debug, Subcommand)]
enum Beside {
    /// The echo, as a process of its own.
    #[command(name = "serve-echo", hide = true)]
    ServeEcho {
        /// With REST in front of gRPC.
        #[arg(long)]
        rest: bool,
    },
    /// The door without agreements and without records, in front of an echo, as a process of its own.
    #[command(name = "serve-door", hide = true)]
    ServeDoor {
        /// Where the echo is.
        #[arg(long)]
        upstream: String,
    },
}

/// How it is measured.
#[derive(Clone, Debug, Args)]
struct How {
    /// How long one run of ours, and one of the anchor, takes.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
    /// How many runs of each, in turns; the median counts.
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// How many cases there are when a list is read, how many persons in a registry, how many leaves are sequenced and verified (else a million); how
    /// many lines are imported (else 100,000; of old books 60,000). `submit` plays among so many cases only if it is said, else on an empty centre.
    #[arg(long, value_name = "N")]
    cases: Option<u64>,
    /// A data folder with generated cases (`cargo egov generate`) for lists and searches, in the place of making them, and for `person-search`, which
    /// makes its persons in it where there are none; it is kept.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Envoy, in the place of the one from PyPI.
    #[arg(long, value_name = "FILE")]
    envoy: Option<PathBuf>,
    /// nginx, in the place of the machine's or of the one in Debian's package.
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// Of `mediate` the streams only, without Envoy and nginx.
    #[arg(long)]
    stream: bool,
    /// How many MiB go through the door in each stream of `mediate`.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
    mib: u64,
    /// A NATS server with JetStream for `events`; without it only PostgreSQL is measured.
    #[arg(long, value_name = "ADDRESS")]
    nats: Option<String>,
    /// Take this build as it is, whatever it is: to see that everything works, not to measure.
    #[arg(long)]
    any_build: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

impl How {
    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.max(1))
    }

    fn cases(&self) -> u64 {
        self.cases.unwrap_or(CASES)
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// SubmitCase against one SQL statement that writes the same rows; with --cases among so many.
    Submit,
    /// GetCase against an echo and the same read in SQL.
    Get,
    /// A list of 50 of a commune's officer among a million cases.
    List,
    /// The same of 170 procedures, at a million and at a hundredth.
    #[value(name = "list_procedures")]
    ListProcedures,
    /// The same over all 130 communes.
    #[value(name = "list_province")]
    ListProvince,
    /// Names as people type them, by real frequency, over the whole province.
    Search,
    /// The cases of an old system, from a CSV file.
    Import,
    /// Births of old books of civil status, keyed by two at once.
    OldBooks,
    /// Persons by name and year of birth, at a commune and over the province, among a million and a hundredth.
    PersonSearch,
    /// RegisterBirth with the search for duplicates, against one SQL statement that writes the same rows.
    Register,
    /// The check of a token, the first time and again.
    Auth,
    /// REST against Envoy's transcoder.
    Transcode,
    /// Events against a multi-row INSERT, and against a bare publisher of JetStream.
    Events,
    /// Calls through the door against Envoy and nginx, with everything on and with nothing; a gibibyte each way in a stream.
    Mediate,
    /// Leaves sequenced from a backlog and beside a load, and as many verified.
    Ledger,
}

/// What came out of one comparison.
#[derive(Clone, Debug, Serialize)]
struct Outcome {
    name: &'static str,
    /// Calls a second.
    ours: f64,
    /// Of the anchor.
    anchor: f64,
    ratio: f64,
    p50_us: f64,
    p95_us: f64,
    p99_us: f64,
    errors: u64,
    /// What the process that was measured held of memory, where that is what the row is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_mib: Option<Held>,
    #[serde(skip)]
    aim: Option<Aim>,
}

/// What a process held of memory, in MiB.
#[derive(Clone, Copy, Debug, Serialize)]
struct Held {
    /// Before the first run.
    before: f64,
    /// The most in any run.
    highest: f64,
    grown: f64,
    /// What it may grow by.
    bound: f64,
}

/// What a scenario is to reach.
#[derive(Clone, Copy, Debug)]
enum Aim {
    /// Ours over the anchor, at least.
    Ratio(f64),
    /// Ours over what it is compared with, at most.
    RatioWithin(f64),
    /// Microseconds at most, half of the calls.
    HalfWithin(f64),
    /// Microseconds at most, nineteen of twenty calls.
    MostWithin(f64),
    /// Microseconds at most, ninety-nine of a hundred.
    NearlyAllWithin(f64),
    /// Ours a second, at least.
    PerSecond(f64),
    /// Ours a minute, at least.
    PerMinute(f64),
    /// MiB that the process grows by, at most.
    GrownWithin(f64),
}

impl Aim {
    fn is_met(self, outcome: &Outcome) -> bool {
        match self {
            Self::Ratio(least) => outcome.ratio >= least,
            Self::RatioWithin(most) => outcome.ratio <= most,
            Self::HalfWithin(most) => outcome.p50_us <= most,
            Self::MostWithin(most) => outcome.p95_us <= most,
            Self::NearlyAllWithin(most) => outcome.p99_us <= most,
            Self::PerSecond(least) => outcome.ours >= least,
            Self::PerMinute(least) => outcome.ours * 60.0 >= least,
            Self::GrownWithin(most) => outcome.memory_mib.is_some_and(|held| held.grown <= most),
        }
    }

    fn words(self) -> String {
        match self {
            Self::Ratio(least) => format!("ratio ≥ {least}"),
            Self::RatioWithin(most) => format!("ratio ≤ {most}"),
            Self::HalfWithin(most) => format!("p50 ≤ {most} µs"),
            Self::MostWithin(most) => format!("p95 ≤ {most} µs"),
            Self::NearlyAllWithin(most) => format!("p99 ≤ {most} µs"),
            Self::PerSecond(least) => format!("≥ {least}/s"),
            Self::PerMinute(least) => format!("≥ {least}/min"),
            Self::GrownWithin(most) => format!("grown ≤ {most} MiB"),
        }
    }
}

/// One run of ours.
#[derive(Clone, Debug, Default)]
struct Run {
    per_second: f64,
    p50_us: f64,
    p95_us: f64,
    p99_us: f64,
    errors: u64,
}

/// The middle one of an odd number of figures; of an even number the mean of the two in the middle.
fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
    if figures.len() % 2 == 1 {
        at(half)
    } else {
        f64::midpoint(at(half.wrapping_sub(1)), at(half))
    }
}

/// The medians of the runs.
fn outcome(name: &'static str, ours: &[Run], anchor: &[f64], aim: Option<Aim>) -> Outcome {
    let of = |figure: fn(&Run) -> f64| median(ours.iter().map(figure));
    let (mine, theirs) = (of(|run| run.per_second), median(anchor.iter().copied()));
    Outcome {
        name,
        ours: mine,
        anchor: theirs,
        ratio: mine / theirs,
        p50_us: of(|run| run.p50_us),
        p95_us: of(|run| run.p95_us),
        p99_us: of(|run| run.p99_us),
        errors: ours.iter().map(|run| run.errors).sum(),
        memory_mib: None,
        aim,
    }
}

/// A row without an anchor beside it: its aim is absolute.
fn absolute(name: &'static str, per_second: f64, parts: [f64; 3], aim: Aim) -> Outcome {
    let [p50_us, p95_us, p99_us] = parts;
    Outcome {
        name,
        ours: per_second,
        anchor: f64::NAN,
        ratio: f64::NAN,
        p50_us,
        p95_us,
        p99_us,
        errors: 0,
        memory_mib: None,
        aim: Some(aim),
    }
}

/// A benchmark means something in a release build only: builds one and goes on as that program.
fn as_release_build() -> anyhow::Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    let workspace = test::workspace()?;
    say::note("building for release; a debug build says nothing about speed …");
    let built = Program::new("cargo")
        .args(["build", "--release", "--locked", "--package", "egov", "--bin", "egov"])
        .current_dir(&workspace)
        .status()
        .context("cargo cannot be started")?;
    if !built.success() {
        bail!("the release build failed");
    }
    let folder = std::env::current_exe()?
        .parent()
        .and_then(std::path::Path::parent)
        .map(|target| target.join("release"));
    let release = folder.unwrap_or_default().join("egov");
    if !release.is_file() {
        return Err(Problem::new(
            format!("the release build is not at {}", release.display()),
            "start it yourself: cargo run --release --package egov -- bench",
        )
        .into());
    }
    let failed = Program::new(release).args(std::env::args_os().skip(1)).exec();
    Err(failed).context("the release build cannot be started")
}

/// `cargo egov bench`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        beside,
        mut scenarios,
        how,
    } = arguments;
    match beside {
        Some(Beside::ServeEcho { rest }) => return echo::serve(rest).await,
        Some(Beside::ServeDoor { upstream }) => return mediate::serve_door(&upstream).await,
        None => {}
    }
    if !how.any_build {
        as_release_build()?;
    }
    if scenarios.is_empty() {
        scenarios = Scenario::value_variants().to_vec();
    }
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    // What is dropped here stops its processes and removes its folders.
    let all = tokio::select! {
        all = Box::pin(measured(scenarios, &how)) => all?,
        () = shutdown.draining() => bail!("interrupted"),
    };
    if !how.json {
        show(&how, &all);
    }
    let failed: u64 = all.iter().map(|outcome| outcome.errors).sum();
    if failed > 0 {
        bail!("{failed} calls did not succeed: these figures count for nothing");
    }
    Ok(())
}

/// One scenario after the other; as JSON each is told when it is there.
async fn measured(scenarios: Vec<Scenario>, how: &How) -> anyhow::Result<Vec<Outcome>> {
    let mut all = Vec::new();
    let mut filled = stage::Filled::default();
    let mut registries = registry::Registries::default();
    for scenario in scenarios {
        let name = scenario.to_possible_value().map(|value| value.get_name().to_owned());
        say::note(format!("{} …", name.unwrap_or_default()));
        let outcomes = match scenario {
            Scenario::Submit => vec![Box::pin(submit::measure(how, &mut filled)).await?],
            Scenario::Get => vec![Box::pin(get::measure(how)).await?],
            Scenario::List => vec![Box::pin(list::measure(how, &mut filled)).await?],
            Scenario::ListProcedures => Box::pin(lists::measure_procedures(how, &mut filled)).await?,
            Scenario::ListProvince => Box::pin(lists::measure_province(how, &mut filled)).await?,
            Scenario::Search => Box::pin(lists::measure_search(how, &mut filled)).await?,
            Scenario::Import => vec![Box::pin(import::measure(how)).await?],
            Scenario::OldBooks => vec![Box::pin(old_books::measure(how)).await?],
            Scenario::PersonSearch => Box::pin(registry::measure_search(how, &mut registries)).await?,
            Scenario::Register => Box::pin(registry::measure_register(how, &mut registries)).await?,
            Scenario::Auth => auth::measure(how).await?,
            Scenario::Transcode => vec![Box::pin(transcode::measure(how)).await?],
            Scenario::Events => Box::pin(events::measure(how)).await?,
            Scenario::Mediate => Box::pin(mediate::measure(how)).await?,
            Scenario::Ledger => Box::pin(ledger::measure(how)).await?,
        };
        if how.json {
            for outcome in &outcomes {
                say::json(outcome);
            }
        }
        all.extend(outcomes);
    }
    filled.remove()?;
    registries.remove()?;
    Ok(all)
}

/// A figure, or a stroke where a scenario has none.
fn figure(value: f64, digits: usize) -> String {
    if value.is_nan() {
        "-".to_owned()
    } else {
        format!("{value:.digits$}")
    }
}

fn show(how: &How, all: &[Outcome]) {
    let head = [
        "",
        "ours/s",
        "anchor/s",
        "ratio",
        "p50 µs",
        "p95 µs",
        "p99 µs",
        "grown MiB",
        "errors",
        "aim",
        "",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for outcome in all {
        let (aim, met) = match outcome.aim {
            Some(aim) => (aim.words(), if aim.is_met(outcome) { "met" } else { "falls short" }),
            None => (String::new(), ""),
        };
        rows.push(vec![
            outcome.name.to_owned(),
            figure(outcome.ours, 0),
            figure(outcome.anchor, 0),
            figure(outcome.ratio, 3),
            figure(outcome.p50_us, 2),
            figure(outcome.p95_us, 2),
            figure(outcome.p99_us, 2),
            figure(outcome.memory_mib.map_or(f64::NAN, |held| held.grown), 1),
            outcome.errors.to_string(),
            aim,
            met.to_owned(),
        ]);
    }
    say::line(say::table(rows));
    say::line(format!(
        "{CALLERS} callers, {PAYLOAD_BYTES} bytes, {} runs of {} s in turns with the anchor, medians; {} cores",
        how.runs,
        how.seconds,
        std::thread::available_parallelism().map_or(0, usize::from),
    ));
    if all.iter().any(|outcome| outcome.memory_mib.is_some()) {
        say::line(format!(
            "streams: one caller, messages of 1 MiB, {} MiB in each of {} runs; MiB a second, and what the door's process grew by",
            how.mib, how.runs,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median([3.0, 1.0, 2.0]).to_string(), "2");
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]).to_string(), "2.5");
        assert!(median([]).is_nan());
    }

    #[test]
    fn an_aim_is_met_by_the_figure_that_it_names() {
        let run = Run {
            per_second: 50.0,
            p50_us: 2.0,
            p95_us: 20.0,
            p99_us: 100.0,
            errors: 0,
        };
        let outcome = outcome("x", &[run], &[100.0], None);
        assert_eq!(outcome.ratio.to_string(), "0.5");
        assert!(Aim::Ratio(0.5).is_met(&outcome) && !Aim::Ratio(0.6).is_met(&outcome));
        assert!(Aim::RatioWithin(0.5).is_met(&outcome) && !Aim::RatioWithin(0.4).is_met(&outcome));
        assert!(Aim::HalfWithin(2.0).is_met(&outcome) && !Aim::HalfWithin(1.9).is_met(&outcome));
        assert!(Aim::PerMinute(3_000.0).is_met(&outcome) && !Aim::PerMinute(3_001.0).is_met(&outcome));
        assert!(Aim::MostWithin(20.0).is_met(&outcome) && !Aim::MostWithin(19.0).is_met(&outcome));
    }
}
