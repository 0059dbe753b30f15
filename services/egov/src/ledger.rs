//! `verify receipt | range | log | export`: the ledger, checked offline.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use clap::{Args, Subcommand};
use egov_database::{Database, READ_KIND};
use egov_integration::domain::exchange::{Committed, LEAF_KIND};
use egov_ledger::{KeyKind, Promise, Receipt, VerifyingKey, verify_inclusion};
use egov_transparency::{
    ANCHOR_KIND, KindReport, Ledger, LogReport, Rebuilt, Rule, StampRoots, Trust, WithoutRow, epochs, export, kinds,
    rebuilt_anchors, rebuilt_reads, verify_folder, verify_kind, verify_log,
};
use serde::{Deserialize, Serialize};

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
    /// An exchange through the door, offline: what was recorded of it is what the log holds, and the door kept its promise.
    Exchange(ExchangeArguments),
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

/// Where the certificates of an authority of time stamps lead: `NAME=PEM`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedRoots {
    /// The authority's name in the configuration of the log.
    authority: String,
    file: PathBuf,
}

impl std::str::FromStr for NamedRoots {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((authority, file)) if !authority.is_empty() && !file.is_empty() => Ok(Self {
                authority: authority.to_owned(),
                file: file.into(),
            }),
            _ => {
                Err("write NAME=PEM: the authority's name in ledger.time_stamps, and a file of certificates".to_owned())
            }
        }
    }
}

/// Reads the roots of authorities.
fn stamp_roots(named: &[NamedRoots]) -> anyhow::Result<BTreeMap<String, StampRoots>> {
    let mut roots = BTreeMap::new();
    for one in named {
        let file = one.file.display();
        let pem = std::fs::read(&one.file).with_context(|| format!("cannot read {file}"))?;
        let read = StampRoots::from_pem(&pem).with_context(|| format!("{file} holds no certificates"))?;
        if roots.insert(one.authority.clone(), read).is_some() {
            return Err(Problem::new(
                format!("{} is named twice", one.authority),
                "put all certificates of an authority into one file",
            )
            .into());
        }
    }
    Ok(roots)
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

/// `cargo egov verify exchange`
#[derive(Debug, Args)]
pub(crate) struct ExchangeArguments {
    /// The answer of GetExchangeReceipt as JSON; `-` reads standard input.
    file: PathBuf,
    #[command(flatten)]
    keys: Keys,
    /// The promise that came with the answer (x-egov-promise).
    #[arg(long, value_name = "PROMISE")]
    promise: Option<String>,
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
    /// The certificates to which those of an authority of time stamps (RFC 3161) must lead, by its name in the configuration; may be
    /// repeated. Stamps of others are counted, not judged.
    #[arg(long = "time-stamp-roots", value_name = "NAME=PEM", conflicts_with = "folder")]
    time_stamp_roots: Vec<NamedRoots>,
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
        Command::Exchange(arguments) => exchange(&arguments),
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

/// The content of a file; `-` is standard input.
fn given(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The answer of GetExchangeReceipt in the JSON mapping of protobuf. What else stands in it is not proved and not read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExchangeProof {
    canonical: String,
    #[serde(default)]
    salt: String,
    receipt: String,
}

/// Bytes in JSON: base64 in either alphabet, with or without padding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let plain: String = text
        .trim_end_matches('=')
        .chars()
        .map(|one| match one {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    STANDARD_NO_PAD.decode(plain).ok()
}

/// What an exchange was, proved.
#[derive(Debug)]
struct Proved {
    receipt: Receipt,
    committed: Committed,
}

/// Proves an exchange by what its receipt holds and the keys of the log. Otherwise why it proves nothing.
fn prove(bytes: &[u8], promise: Option<&str>, keys: &[VerifyingKey]) -> Result<Proved, String> {
    let proof: ExchangeProof = serde_json::from_slice(bytes)
        .map_err(|error| format!("it is not the answer of GetExchangeReceipt: {error}"))?;
    let part = |name: &str, text: &str| decoded(text).ok_or_else(|| format!("its {name} is not base64"));
    let receipt = Receipt::from_bytes(&part("receipt", &proof.receipt)?).map_err(|error| error.to_string())?;
    receipt.verify(keys).map_err(|error| error.to_string())?;
    let canonical = part("canonical", &proof.canonical)?;
    let salt = part("salt", &proof.salt)?;
    if salt.is_empty() {
        return Err(
            "its salt was erased: what was recorded can no longer be shown to be what the log holds".to_owned(),
        );
    }
    if receipt.entry.kind != LEAF_KIND {
        return Err(format!(
            "the log's entry is of a {}, not of an exchange",
            receipt.entry.kind
        ));
    }
    if egov_database::leaf_commitment(&salt, &canonical) != receipt.entry.commitment {
        return Err("what was recorded is not what the log holds".to_owned());
    }
    let committed = Committed::read(&canonical).map_err(|error| error.to_string())?;
    if committed.exchange_id != receipt.entry.resource {
        return Err("the log's entry is of another exchange".to_owned());
    }
    if let Some(promise) = promise {
        let promise: Promise = promise
            .trim()
            .parse()
            .map_err(|error| format!("the promise: {error}"))?;
        if !keys.iter().any(|key| promise.verify(key).is_ok()) {
            return Err("the promise is not signed by the log of this key".to_owned());
        }
        if promise.leaf() != receipt.entry.leaf_hash().map_err(|error| error.to_string())? {
            return Err("the promise is of another exchange".to_owned());
        }
    }
    Ok(Proved { receipt, committed })
}

fn exchange(arguments: &ExchangeArguments) -> anyhow::Result<()> {
    let keys = arguments.keys.demanded()?;
    let bytes = given(&arguments.file)?;
    let Proved { receipt, committed } = prove(&bytes, arguments.promise.as_deref(), &keys).map_err(|why| {
        Problem::new(
            format!("the exchange is not proved: {why}"),
            "check that the key is the one of this log and epoch, and that the file is whole",
        )
    })?;
    let outcome = &committed.outcome;
    let facts = [
        ("exchange", committed.exchange_id.to_string()),
        ("method", committed.method.clone()),
        ("caller", committed.client_id.clone()),
        (
            "agreement",
            format!("{} version {}", committed.agreement_id, committed.agreement_version),
        ),
        ("purpose", committed.purpose.clone().unwrap_or_default()),
        ("came", committed.begin_time.to_string()),
        ("outcome", format!("{} (status {})", outcome.outcome, outcome.status)),
        ("request", hex::encode(outcome.request.hash)),
        ("answer", hex::encode(outcome.response.hash)),
        ("over", outcome.end_time.to_string()),
        ("log", receipt.checkpoint.checkpoint().origin.clone()),
        (
            "entry",
            format!("{} of {}", receipt.index, receipt.checkpoint.checkpoint().size),
        ),
    ];
    if arguments.json {
        let mut shown: serde_json::Map<String, serde_json::Value> = facts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        shown.insert("verified".to_owned(), true.into());
        shown.insert("promise_kept".to_owned(), arguments.promise.is_some().into());
        say::json(&shown);
        return Ok(());
    }
    let rows = facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    say::line(say::table(rows));
    say::line("the log signed that exactly this exchange is in it");
    if arguments.promise.is_some() {
        say::line("the door promised it, and kept the promise");
    }
    Ok(())
}

fn receipt(arguments: &ReceiptArguments) -> anyhow::Result<()> {
    let keys = arguments.keys.demanded()?;
    let bytes = given(&arguments.file)?;
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
    let databases = [
        &databases.identity,
        &databases.onestop,
        &databases.integration,
        &databases.civil_registry,
    ];
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
        let trust = Trust::in_keys(arguments.keys.demanded()?);
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
    let stamp_roots = stamp_roots(&arguments.time_stamp_roots)?;
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
        let mut trust = Trust {
            keys: named.clone(),
            stamp_roots: stamp_roots.clone(),
        };
        if named.is_empty() {
            for epoch in &known {
                trust.keys.extend(ledger.log().keys(*epoch)?);
            }
        }
        let first = checked.logs.len();
        for epoch in known {
            let progress = bar(arguments.json, &id, 0);
            let origin = ledger.log().origin(epoch);
            let report = verify_log(&database, &id, (epoch, &origin), &trust, |done, all| {
                progress.set_length(all);
                progress.set_position(done);
            })
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
        egov_civil_registry::SERVICE => egov_civil_registry::rebuild_leaves::rebuild_leaves(database).await?,
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
    // A kind of which there are rows and not one leaf is looked at as well.
    let mut kinds: BTreeSet<String> = kinds(database).await.map_err(fault)?.into_iter().collect();
    kinds.extend(rebuilt.iter().map(|one| one.kind.clone()));
    for kind in kinds {
        let without_row = match (service, kind.as_str()) {
            (_, READ_KIND | ANCHOR_KIND) => WithoutRow::Wrong,
            ("integration", kind) => egov_integration::rebuild_leaves::without_row(kind),
            ("onestop", kind) => egov_onestop::operations::rebuild_leaves::without_row(kind),
            ("identity", kind) => egov_identity::operations::rebuild_leaves::without_row(kind),
            (egov_civil_registry::SERVICE, kind) => egov_civil_registry::rebuild_leaves::without_row(kind),
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
        "time stamps",
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
            log.time_stamps.to_string(),
            log.time_stamps_unknown.to_string(),
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
        for authority in &log.authorities_unknown {
            say::line(format!(
                "  {}: time stamps of {authority} were not judged: name its roots with --time-stamp-roots {authority}=PEM",
                log.log
            ));
        }
        for finding in &log.findings {
            say::line(format!("  {} {:?}: {}", log.log, finding.rule, finding.detail));
        }
    }
    if checked.is_whole() {
        say::line("everything holds");
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use egov_integration::domain::exchange::{Exchange, Outcome, canonical};
    use egov_ledger::{Checkpoint, Entry, Hash, SeedSigner};
    use jiff::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const ORIGIN: &str = "egov.test/integration/1";
    const SALT: [u8; 32] = [9; 32];

    struct Proof {
        canonical: Vec<u8>,
        receipt: Receipt,
        promise: Promise,
        keys: Vec<VerifyingKey>,
    }

    /// An exchange as the only leaf of its log.
    fn proof(seed: u8, change: impl FnOnce(&mut Entry)) -> Proof {
        let signer = SeedSigner::from_seed(&[seed; 32]).unwrap();
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        let exchange = Exchange {
            exchange_id: Uuid::from_u128(1),
            instance_id: Uuid::from_u128(2),
            consumer_unit_id: 1,
            provider_unit_id: 2,
            consumer_organisation_id: Uuid::from_u128(3),
            provider_organisation_id: Uuid::from_u128(4),
            agreement_id: Uuid::from_u128(5),
            agreement_version: 1,
            delegation_id: None,
            service_id: Uuid::from_u128(7),
            client_id: "mot-cua".to_owned(),
            caller: Uuid::from_u128(8),
            on_behalf_of: None,
            method: "demo.v1.People/Get".to_owned(),
            purpose: None,
            trace: None,
            begin_time: now,
        };
        let canonical = canonical(&exchange, &Outcome::unknown([0; 32], now));
        let mut entry = Entry {
            kind: LEAF_KIND.to_owned(),
            resource: exchange.exchange_id,
            version: 1,
            commitment: egov_database::leaf_commitment(&SALT, &canonical),
            time: now,
            epoch: 1,
        };
        change(&mut entry);
        let leaf: Hash = entry.leaf_hash().unwrap();
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: 1,
            root: leaf,
        };
        Proof {
            canonical,
            receipt: Receipt {
                entry,
                index: 0,
                path: Vec::new(),
                checkpoint: checkpoint.sign(&signer).unwrap(),
            },
            promise: Promise::make(ORIGIN, leaf, now, &signer).unwrap(),
            keys: vec![VerifyingKey::new(ORIGIN, KeyKind::Log, egov_ledger::NoteSigner::public_key(&signer)).unwrap()],
        }
    }

    fn json(canonical: &[u8], salt: &[u8], receipt: &Receipt) -> Vec<u8> {
        let receipt = receipt.to_bytes().unwrap();
        serde_json::json!({
            "exchange": { "method": "not read" },
            "canonical": STANDARD.encode(canonical), "salt": URL_SAFE.encode(salt), "receipt": STANDARD.encode(receipt),
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn an_exchange_is_proved_by_its_receipt_and_the_promise_is_kept() {
        let made = proof(1, |_| {});
        let text = made.promise.to_string();
        let proved = prove(&json(&made.canonical, &SALT, &made.receipt), Some(&text), &made.keys).unwrap();
        assert_eq!(proved.committed.method, "demo.v1.People/Get");
        assert_eq!(proved.committed.exchange_id, proved.receipt.entry.resource);
    }

    #[test]
    fn what_was_changed_or_is_of_something_else_proves_nothing() {
        let made = proof(1, |_| {});
        let why =
            |canonical: &[u8], salt: &[u8], receipt: &Receipt, promise: Option<&Promise>, keys: &[VerifyingKey]| {
                let promise = promise.map(ToString::to_string);
                prove(&json(canonical, salt, receipt), promise.as_deref(), keys).unwrap_err()
            };
        let (right, keys) = (&made.receipt, &made.keys);
        let mut other = made.canonical.clone();
        other[60] ^= 1;
        assert!(why(&other, &SALT, right, None, keys).contains("not what the log holds"));
        assert!(why(&made.canonical, &[8; 32], right, None, keys).contains("not what the log holds"));
        assert!(why(&made.canonical, &[], right, None, keys).contains("erased"));
        let foreign = proof(2, |_| {});
        why(&made.canonical, &SALT, right, None, &foreign.keys);
        assert!(why(&made.canonical, &SALT, right, Some(&foreign.promise), keys).contains("not signed"));
        let another = proof(1, |entry| entry.version = 2);
        assert!(why(&made.canonical, &SALT, right, Some(&another.promise), keys).contains("another exchange"));
        let case = proof(1, |entry| entry.kind = "case".to_owned());
        assert!(why(&made.canonical, &SALT, &case.receipt, None, keys).contains("of a case"));
        let resource = proof(1, |entry| entry.resource = Uuid::from_u128(99));
        assert!(why(&made.canonical, &SALT, &resource.receipt, None, keys).contains("another exchange"));
    }

    #[test]
    fn the_roots_of_an_authority_are_named_with_it_and_read_once() {
        for wrong in ["", "tsa", "=ca.pem", "tsa="] {
            assert!(wrong.parse::<NamedRoots>().is_err(), "{wrong}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca=1.pem");
        let named: NamedRoots = format!("tsa={}", file.display()).parse().unwrap();
        assert_eq!((named.authority.as_str(), &named.file), ("tsa", &file));
        let refused = |named: &[NamedRoots]| format!("{:#}", stamp_roots(named).unwrap_err());
        assert!(refused(std::slice::from_ref(&named)).contains("cannot read"));
        std::fs::write(&file, "nothing").unwrap();
        assert!(refused(std::slice::from_ref(&named)).contains("holds no certificates"));
        let pem = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        std::fs::write(&file, pem).unwrap();
        let roots = stamp_roots(std::slice::from_ref(&named)).unwrap();
        assert_eq!(roots.into_keys().collect::<Vec<_>>(), ["tsa"]);
        assert!(refused(&[named.clone(), named]).contains("named twice"));
    }

    proptest! {
        #[test]
        fn whatever_a_file_holds_it_proves_an_exchange_or_says_why_not(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            text in "\\PC{0,60}",
            promise in "\\PC{0,60}",
        ) {
            let made = proof(1, |_| {});
            prop_assert!(prove(&bytes, None, &made.keys).is_err());
            let named = serde_json::json!({ "canonical": text, "salt": text, "receipt": text }).to_string();
            prop_assert!(prove(named.as_bytes(), None, &made.keys).is_err());
            let whole = json(&made.canonical, &SALT, &made.receipt);
            prop_assert!(prove(&whole, Some(&promise), &made.keys).is_err());
        }
    }
}
