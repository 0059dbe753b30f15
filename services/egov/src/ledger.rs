//! `verify receipt | range | log | export`: the ledger, checked offline.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use egov_database::{Database, READ_KIND};
use egov_ledger::{KeyKind, Receipt, VerifyingKey, verify_inclusion};
use egov_transparency::{
    ANCHOR_KIND, KindReport, Ledger, LogReport, Rebuilt, Rule, Trust, WithoutRow, epochs, export, kinds,
    rebuilt_anchors, rebuilt_reads, verify_folder, verify_kind, verify_log,
};
use serde::Serialize;

use crate::generate::bar;
use crate::import::{self, Opened};
use crate::place::Place;
use crate::problem::Problem;
use crate::{Installation, say, stack};

/// What of the ledger is checked.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A receipt, offline: the log of the key signed that the entry is in it.
    Receipt(ReceiptArguments),
    /// Whole logs: every leaf, the trees, all checkpoints and cosignatures, and the rows as they stand now.
    Log(LogArguments),
    /// Entries of a log from one index to another: their rows, and the proof of each.
    Range(RangeArguments),
    /// Write a log as a folder of tiles (C2SP tlog-tiles), to be checked elsewhere.
    Export(ExportArguments),
}

/// Whom the check trusts.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// A key of a log or a witness, name+hash+key; may be repeated.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<VerifyingKey>,
    /// A file with such keys, one a line.
    #[arg(long, value_name = "FILE")]
    keys_file: Option<PathBuf>,
}

impl Keys {
    fn read(&self) -> anyhow::Result<Vec<VerifyingKey>> {
        let mut keys = self.keys.clone();
        if let Some(file) = &self.keys_file {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            for line in text
                .lines()
                .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            {
                keys.push(line.parse().with_context(|| format!("{}: {line}", file.display()))?);
            }
        }
        Ok(keys)
    }

    fn demanded(&self) -> anyhow::Result<Vec<VerifyingKey>> {
        let keys = self.read()?;
        if keys.is_empty() {
            return Err(Problem::new(
                "no key is trusted",
                "name the log's key, as you were given it apart from what you check: --key name+hash+key",
            )
            .or("or a file of keys: --keys-file FILE")
            .into());
        }
        Ok(keys)
    }
}

/// `cargo egov verify receipt`
#[derive(Debug, Args)]
pub(crate) struct ReceiptArguments {
    /// The receipt in any of its forms: JSON, the text of the QR code, the bytes; `-` reads standard input.
    file: PathBuf,
    #[command(flatten)]
    keys: Keys,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `cargo egov verify log`
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    #[command(flatten)]
    installation: Installation,
    /// Only this service.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// An exported folder of tiles in the place of the databases.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Only the logs, not the rows that they commit to.
    #[arg(long)]
    without_rows: bool,
    #[command(flatten)]
    keys: Keys,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `cargo egov verify range`
#[derive(Debug, Args)]
pub(crate) struct RangeArguments {
    #[command(flatten)]
    installation: Installation,
    /// The service.
    #[arg(long, value_name = "NAME")]
    service: String,
    /// The epoch; else the present one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    epoch: i32,
    /// The first index.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u64,
    /// The last index.
    #[arg(long, value_name = "INDEX")]
    to: u64,
    #[command(flatten)]
    keys: Keys,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `cargo egov verify export`
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    installation: Installation,
    /// The service.
    #[arg(long, value_name = "NAME")]
    service: String,
    /// The epoch; else the present one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    epoch: i32,
    /// The new folder.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// What was checked.
#[derive(Debug, Serialize)]
struct Checked {
    logs: Vec<LogReport>,
    /// By service and kind.
    rows: BTreeMap<String, BTreeMap<String, KindReport>>,
    /// Whose keys were trusted.
    trusted: &'static str,
}

impl Checked {
    fn is_whole(&self) -> bool {
        self.logs.iter().all(LogReport::is_whole)
    }
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Receipt(arguments) => receipt(&arguments),
        Command::Log(arguments) => Box::pin(log(&arguments)).await,
        Command::Range(arguments) => Box::pin(range(&arguments)).await,
        Command::Export(arguments) => Box::pin(exported(&arguments)).await,
    }
}

fn broken() -> anyhow::Error {
    Problem::new(
        "the ledger does not hold",
        "keep everything as it is: it is evidence. Find out who wrote past the service",
    )
    .or("a backup from before shows what it was: cargo egov restore, which begins a new epoch")
    .into()
}

fn receipt(arguments: &ReceiptArguments) -> anyhow::Result<()> {
    let keys = arguments.keys.demanded()?;
    let bytes = if arguments.file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        bytes
    } else {
        std::fs::read(&arguments.file).with_context(|| format!("cannot read {}", arguments.file.display()))?
    };
    let refused = |error: egov_ledger::LedgerError| {
        Problem::new(
            format!("the receipt proves nothing: {error}"),
            "check that the key is the one of this log and epoch, and that the receipt is whole",
        )
    };
    let receipt = Receipt::read(&bytes).map_err(refused)?;
    receipt.verify(&keys).map_err(refused)?;
    let checkpoint = receipt.checkpoint.checkpoint();
    let mut witnesses = BTreeMap::new();
    for key in keys.iter().filter(|key| key.kind() == KeyKind::Witness) {
        if let Ok(time) = receipt.checkpoint.cosigned_by(key) {
            witnesses.insert(key.name().to_owned(), time);
        }
    }
    if arguments.json {
        let mut shown: serde_json::Value = serde_json::from_str(&receipt.to_json()?)?;
        if let Some(object) = shown.as_object_mut() {
            object.insert("verified".to_owned(), true.into());
            object.insert("witnesses".to_owned(), serde_json::to_value(&witnesses)?);
        }
        say::json(&shown);
        return Ok(());
    }
    let entry = &receipt.entry;
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let mut rows = vec![
        row("log", checkpoint.origin.clone()),
        row("entry", format!("{} of {}", receipt.index, checkpoint.size)),
        row(
            "what",
            format!("{} {} version {}", entry.kind, entry.resource, entry.version),
        ),
        row("when", entry.time.to_string()),
        row("leaf", entry.leaf_hash()?.to_string()),
    ];
    for (name, seconds) in witnesses {
        let time = jiff::Timestamp::from_second(i64::try_from(seconds)?)?;
        rows.push(row("seen by", format!("{name} at {time}")));
    }
    say::line(say::table(rows));
    say::line("the log signed that this entry is in it");
    Ok(())
}

/// The ledgers of an installation at rest, with their databases.
fn logs(place: &Place, opened: &Opened) -> anyhow::Result<Vec<(Ledger, Database)>> {
    let databases = &opened.databases;
    let ledgers = stack::ledgers(place, databases, &opened.keyring)?;
    let databases = [&databases.identity, &databases.onestop, &databases.integration];
    Ok(ledgers.into_iter().zip(databases.map(Database::clone)).collect())
}

fn of_service(place: &Place, opened: &Opened, service: &str) -> anyhow::Result<(Ledger, Database)> {
    let mut known = logs(place, opened)?;
    let names: Vec<String> = known.iter().map(|(ledger, _)| ledger.log().id().to_owned()).collect();
    let found = known
        .iter()
        .position(|(ledger, _)| ledger.log().id() == service)
        .ok_or_else(|| {
            Problem::new(
                format!("there is no service {service}"),
                format!("one of: {}", names.join(", ")),
            )
        })?;
    Ok(known.swap_remove(found))
}

async fn log(arguments: &LogArguments) -> anyhow::Result<()> {
    let checked = if let Some(folder) = &arguments.folder {
        let trust = Trust {
            keys: arguments.keys.demanded()?,
        };
        let progress = bar(arguments.json, "entries", 0);
        let report = verify_folder(folder, &trust, |done, all| {
            progress.set_length(all);
            progress.set_position(done);
        });
        progress.finish_and_clear();
        Checked {
            logs: vec![report?],
            rows: BTreeMap::new(),
            trusted: "the keys that were named",
        }
    } else {
        let opened = import::open(&arguments.installation).await?;
        let place = Place::at(&arguments.installation.data)?;
        let checked = Box::pin(databases(arguments, &place, &opened)).await;
        opened.close().await?;
        checked?
    };
    if arguments.json {
        say::json(&checked);
    } else {
        show(&checked);
    }
    if checked.is_whole() { Ok(()) } else { Err(broken()) }
}

async fn databases(arguments: &LogArguments, place: &Place, opened: &Opened) -> anyhow::Result<Checked> {
    let named = arguments.keys.read()?;
    let mut checked = Checked {
        logs: Vec::new(),
        rows: BTreeMap::new(),
        trusted: if named.is_empty() {
            "the keys of this installation's own keyring"
        } else {
            "the keys that were named"
        },
    };
    for (ledger, database) in logs(place, opened)? {
        let id = ledger.log().id().to_owned();
        if arguments.service.as_ref().is_some_and(|wanted| *wanted != id) {
            continue;
        }
        let known = epochs(&database).await?;
        let mut trust = Trust { keys: named.clone() };
        if named.is_empty() {
            for epoch in &known {
                trust.keys.extend(ledger.log().keys(*epoch)?);
            }
        }
        let first = checked.logs.len();
        for epoch in known {
            let progress = bar(arguments.json, &id, 0);
            let origin = ledger.log().origin(epoch);
            let report = verify_log(
                &database,
                &id,
                (epoch, &origin),
                &trust,
                |done, all| {
                    progress.set_length(all);
                    progress.set_position(done);
                },
                |_, _| None,
            )
            .await;
            progress.finish_and_clear();
            checked.logs.push(report.map_err(egov_fault::Fault::from)?);
        }
        if arguments.without_rows {
            continue;
        }
        let mut report = LogReport {
            log: id.clone(),
            ..LogReport::default()
        };
        let rows = rows(&id, &database, &mut report).await?;
        checked.rows.insert(id, rows);
        // What the rows give away stands with the newest log of the service.
        match checked.logs.get_mut(first..).and_then(<[LogReport]>::last_mut) {
            Some(log) => log.take_in(report),
            None => checked.logs.push(report),
        }
    }
    Ok(checked)
}

/// Checks what the leaves of a service commit to against its rows as they stand now, kind by kind.
async fn rows(
    service: &str,
    database: &Database,
    report: &mut LogReport,
) -> anyhow::Result<BTreeMap<String, KindReport>> {
    let fault = |error: egov_transparency::Error| egov_fault::Fault::from(error);
    let mut rebuilt: Vec<Rebuilt> = match service {
        "identity" => egov_identity::operations::rebuild_leaves::rebuild_leaves(database).await?,
        "onestop" => egov_onestop::operations::rebuild_leaves::rebuild_leaves(database)
            .await
            .map_err(egov_fault::Fault::from)?,
        "integration" => egov_integration::rebuild_leaves::rebuild_leaves(database).await?,
        _ => Vec::new(),
    };
    rebuilt.extend(rebuilt_reads(database).await.map_err(fault)?);
    rebuilt.extend(rebuilt_anchors(database).await.map_err(fault)?);
    if service == "integration" {
        for wrong in egov_integration::rebuild_leaves::rows_unlike_history(database).await? {
            report.find(Rule::Commitment, wrong);
        }
    }
    let mut rows = BTreeMap::new();
    for kind in kinds(database).await.map_err(fault)? {
        let without_row = match (service, kind.as_str()) {
            (_, READ_KIND | ANCHOR_KIND) => WithoutRow::Wrong,
            ("integration", kind) if egov_integration::rebuild_leaves::COMPLETE.contains(&kind) => WithoutRow::Wrong,
            ("integration", "agreement") => {
                WithoutRow::Expected("changes of agreements from before their documents were kept")
            }
            ("onestop", "case") => WithoutRow::Expected(egov_onestop::operations::rebuild_leaves::OLDER_CASES),
            ("identity", "unit_tree") => {
                WithoutRow::Expected("older versions of the tree are kept as history entries, not as rows")
            }
            ("identity", _) => WithoutRow::Expected(egov_identity::operations::rebuild_leaves::REASON),
            _ => WithoutRow::Expected("the service has no reading of its rows for this yet"),
        };
        let of = verify_kind(database, &kind, &rebuilt, without_row, report)
            .await
            .map_err(fault)?;
        rows.insert(kind, of);
    }
    Ok(rows)
}

async fn range(arguments: &RangeArguments) -> anyhow::Result<()> {
    let opened = import::open(&arguments.installation).await?;
    let place = Place::at(&arguments.installation.data)?;
    let outcome = Box::pin(checked_range(arguments, &place, &opened)).await;
    opened.close().await?;
    let report = outcome?;
    let checked = Checked {
        logs: vec![report],
        rows: BTreeMap::new(),
        trusted: "the newest checkpoint, by the keys that were named or this installation's own",
    };
    if arguments.json {
        say::json(&checked);
    } else {
        show(&checked);
    }
    if checked.is_whole() { Ok(()) } else { Err(broken()) }
}

async fn checked_range(arguments: &RangeArguments, place: &Place, opened: &Opened) -> anyhow::Result<LogReport> {
    let (ledger, _) = of_service(place, opened, &arguments.service)?;
    let log = ledger.log();
    let fault = |error: egov_transparency::Error| egov_fault::Fault::from(error);
    let epoch = match arguments.epoch {
        0 => log.epoch().await?,
        epoch => epoch,
    };
    let mut keys = arguments.keys.read()?;
    if keys.is_empty() {
        keys = log.keys(epoch)?;
    }
    let (checkpoint, _) = log.checkpoint(epoch, 0).await.map_err(fault)?;
    let said = checkpoint.checkpoint().clone();
    let mut report = LogReport {
        log: arguments.service.clone(),
        epoch,
        checkpoints: 1,
        ..LogReport::default()
    };
    if let Err(error) = checkpoint.verify_any(&keys) {
        report.find(Rule::Signature, error.to_string());
    }
    let progress = bar(
        arguments.json,
        "entries",
        arguments.to.saturating_sub(arguments.from) + 1,
    );
    let mut next = arguments.from;
    while next <= arguments.to {
        let limit = (arguments.to - next + 1).min(256);
        let entries = log
            .entries(epoch, next, None, i64::try_from(limit)?)
            .await
            .map_err(fault)?;
        for placed in &entries {
            if placed.index != next || placed.index > arguments.to {
                report.find(Rule::Indexes, format!("entry {next} is missing"));
            }
            next = placed.index + 1;
            report.entries += 1;
            if placed.entry.leaf_hash().ok() != Some(placed.hash) {
                report.find(Rule::Leaf, format!("entry {} was changed", placed.index));
            }
            let path = log.path(epoch, placed.index, said.size).await.map_err(fault)?;
            if verify_inclusion(&placed.hash, placed.index, said.size, &path, &said.root).is_err() {
                report.find(
                    Rule::Root,
                    format!("entry {} is not in the tree of the checkpoint", placed.index),
                );
            }
            progress.inc(1);
        }
        if entries.is_empty() {
            report.find(Rule::Indexes, format!("there is no entry {next}"));
            break;
        }
    }
    progress.finish_and_clear();
    Ok(report)
}

async fn exported(arguments: &ExportArguments) -> anyhow::Result<()> {
    if arguments.to.join("checkpoint").exists() {
        return Err(Problem::new(
            format!("{} holds a log already", arguments.to.display()),
            "name a new folder: --to DIR",
        )
        .into());
    }
    let opened = import::open(&arguments.installation).await?;
    let place = Place::at(&arguments.installation.data)?;
    let outcome = async {
        let (ledger, _) = of_service(&place, &opened, &arguments.service)?;
        let epoch = match arguments.epoch {
            0 => ledger.log().epoch().await?,
            epoch => epoch,
        };
        let progress = bar(false, "entries", 0);
        let size = export(ledger.log(), epoch, &arguments.to, |done, all| {
            progress.set_length(all);
            progress.set_position(done);
        })
        .await;
        progress.finish_and_clear();
        anyhow::Ok((size?, ledger.log().origin(epoch)))
    }
    .await;
    opened.close().await?;
    let (size, origin) = outcome?;
    say::line(format!("{size} entries of {origin} in {}", arguments.to.display()));
    Ok(())
}

fn show(checked: &Checked) {
    let head = [
        "log",
        "epoch",
        "entries",
        "checkpoints",
        "cosignatures",
        "unknown",
        "found wrong",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for log in &checked.logs {
        table.push(vec![
            log.log.clone(),
            log.epoch.to_string(),
            log.entries.to_string(),
            log.checkpoints.to_string(),
            log.cosignatures.to_string(),
            log.cosignatures_unknown.to_string(),
            log.found.values().sum::<u64>().to_string(),
        ]);
    }
    say::line(say::table(table));
    if !checked.rows.is_empty() {
        let head = [
            "service",
            "kind",
            "leaves",
            "recomputed",
            "erased",
            "not recomputable",
            "",
        ];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        for (service, kinds) in &checked.rows {
            for (kind, of) in kinds {
                table.push(vec![
                    service.clone(),
                    kind.clone(),
                    of.leaves.to_string(),
                    of.recomputed.to_string(),
                    of.erased.to_string(),
                    of.not_recomputable.to_string(),
                    of.reason.clone(),
                ]);
            }
        }
        say::line("");
        say::line(say::table(table));
    }
    say::line(format!("trusted: {}", checked.trusted));
    for log in &checked.logs {
        for finding in &log.findings {
            say::line(format!("  {} {:?}: {}", log.log, finding.rule, finding.detail));
        }
    }
    if checked.is_whole() {
        say::line("everything holds");
    }
}
