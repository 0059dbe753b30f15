//! `cargo egov accounts`: accounts of staff from a list, and the closing of those of people who leave.
//!
//! Activation codes never appear on the terminal: they go into a file that only its owner may read, and are printed from there
//! for the people whom they concern. The request id of a batch is made from its content, so that a run that was cut off is
//! simply repeated and gives the same codes again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use egov_proto::egov::identity::v1::account_batch_service_client::AccountBatchServiceClient;
use egov_proto::egov::identity::v1::{
    AccountRow, ClosingOutcome, CreateAccountsRequest, DisableAccountsRequest, RowOutcome, RowReport, RowRole,
    RowViolation,
};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use prost::Message as _;
use serde::Serialize;

use crate::place::write_private;
use crate::problem::Problem;
use crate::reach::{Line, Reach, parse_day, refused, request_id};
use crate::say;

/// Rows of one transaction.
const BATCH: usize = 200;

/// What makes the ids of this command's requests distinct from those of others.
const AREA: &str = "accounts";

/// Why the command reads what it reads.
const PURPOSE: &str = "account_administration";

/// `cargo egov accounts`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the accounts of a CSV file: username, full_name, unit_code, roles (ROLE or ROLE@UNIT, separated by `;`).
    Import(ImportArguments),
    /// Close the accounts of people who leave: one user name a line.
    Close(CloseArguments),
}

/// `cargo egov accounts import`
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The CSV file, UTF-8, with a line of headings.
    file: PathBuf,
    /// Report what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The file for the activation codes, which only its owner may read. What it holds is kept.
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    codes: Option<PathBuf>,
    /// Print one JSON object, without the codes.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// `cargo egov accounts close`
#[derive(Debug, Args)]
pub(crate) struct CloseArguments {
    /// The file: a user name a line; what follows a comma is left out.
    file: PathBuf,
    /// The first day without access, dd/mm/yyyy; today if absent.
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    on: Option<Date>,
    /// Lý do.
    #[arg(long)]
    reason: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// `cargo egov accounts`
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Import(arguments) => import(arguments).await,
        Command::Close(arguments) => close(arguments).await,
    }
}

/// A row of the report.
#[derive(Serialize)]
struct Reported {
    line: i32,
    username: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    account_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation>,
}

#[derive(Serialize)]
struct Violation {
    field: String,
    rule: String,
    vi: String,
    en: String,
}

impl From<RowViolation> for Violation {
    fn from(violation: RowViolation) -> Self {
        Self {
            field: violation.field,
            rule: violation.rule,
            vi: violation.vi,
            en: violation.en,
        }
    }
}

async fn import(arguments: ImportArguments) -> anyhow::Result<()> {
    let file = arguments.file.display().to_string();
    let text =
        std::fs::read(&arguments.file).map_err(|error| Problem::new(format!("cannot read {file}: {error}"), NEXT))?;
    let rows = parse(&text).map_err(|faults| Problem::new(format!("{file}:\n  {}", faults.join("\n  ")), NEXT))?;
    let codes = match &arguments.codes {
        Some(path) => Codes::open(path)?,
        None => Codes::default(),
    };
    let reached = arguments.reach.open(PURPOSE).await?;
    let bar = bar(rows.len(), arguments.json);
    let mut client = AccountBatchServiceClient::new(reached.line.clone());

    // First everything is looked at: a fault in the last batch must not be found after the first was made.
    bar.set_message("checking · kiểm tra");
    let looked = batches(&mut client, &rows, &reached.caller, true, &bar, |_| Ok(())).await?;
    let acceptable = looked.iter().all(|row| row.outcome() != RowOutcome::Refused);
    let (reports, done) = if arguments.dry_run || !acceptable {
        (looked, false)
    } else {
        bar.set_position(0);
        bar.set_message("making · tạo tài khoản");
        let mut codes = codes;
        let by_line: BTreeMap<i32, &AccountRow> = rows.iter().map(|row| (row.line, row)).collect();
        let path = arguments.codes.clone().context("no file for the codes")?;
        let made = batches(&mut client, &rows, &reached.caller, false, &bar, |reports| {
            // After each batch: what was made is never without its codes.
            codes.add(reports, &by_line);
            codes.save(&path)
        })
        .await?;
        // Something changed between the look and the making.
        let whole = made.iter().all(|row| row.outcome() != RowOutcome::Refused);
        (made, whole)
    };
    bar.finish_and_clear();
    show_import(&arguments, reports, done)
}

const NEXT: &str = "columns are username,full_name,unit_code and, if wanted, roles";

fn show_import(arguments: &ImportArguments, reports: Vec<RowReport>, done: bool) -> anyhow::Result<()> {
    let mut numbers: BTreeMap<&'static str, usize> = BTreeMap::new();
    for report in &reports {
        *numbers.entry(outcome(report.outcome()).0).or_default() += 1;
    }
    let refused_rows = reports
        .iter()
        .filter(|row| row.outcome() == RowOutcome::Refused)
        .count();
    if arguments.json {
        let rows: Vec<Reported> = reports
            .into_iter()
            .map(|report| Reported {
                line: report.line,
                outcome: outcome(report.outcome()).0,
                username: report.username,
                account_id: report.account_id,
                violations: report.violations.into_iter().map(Violation::from).collect(),
            })
            .collect();
        say::json(&serde_json::json!({ "done": done, "numbers": numbers, "rows": rows }));
    } else {
        let shown = reports
            .iter()
            .filter(|report| report.outcome() != RowOutcome::Unchanged)
            .map(|report| {
                let (_, words) = outcome(report.outcome());
                let why: Vec<String> = report
                    .violations
                    .iter()
                    .map(|one| format!("{}: {} · {}", one.field, one.vi, one.en))
                    .collect();
                vec![
                    report.line.to_string(),
                    report.username.clone(),
                    words.to_owned(),
                    why.join("; "),
                ]
            });
        let heading = ["dòng", "tên đăng nhập", "kết quả", "lý do"]
            .map(str::to_owned)
            .to_vec();
        say::line(say::table(std::iter::once(heading).chain(shown)));
        let parts: Vec<String> = numbers
            .iter()
            .map(|(word, number)| format!("{number} {word}"))
            .collect();
        say::note(parts.join(", "));
        if let (true, Some(path)) = (done, &arguments.codes) {
            say::note(format!(
                "activation codes: {} · hand each to its person; they work once and run out",
                path.display()
            ));
        }
    }
    if refused_rows > 0 {
        return Err(Problem::new(
            format!("{refused_rows} rows are refused · {refused_rows} dòng bị từ chối"),
            "correct them and run the command again; nothing of a batch with such a row was changed",
        )
        .into());
    }
    Ok(())
}

/// Sends the rows batch by batch; `after` gets each answer.
async fn batches(
    client: &mut AccountBatchServiceClient<Line>,
    rows: &[AccountRow],
    caller: &str,
    dry_run: bool,
    bar: &ProgressBar,
    mut after: impl FnMut(&[RowReport]) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<RowReport>> {
    let mut reports = Vec::with_capacity(rows.len());
    for batch in rows.chunks(BATCH) {
        let mut request = CreateAccountsRequest {
            request_id: String::new(),
            rows: batch.to_vec(),
            dry_run,
        };
        request.request_id = request_id(AREA, caller, &request.encode_to_vec());
        let answer = client
            .create_accounts(request)
            .await
            .map_err(|status| refused(&status))?
            .into_inner();
        after(&answer.rows)?;
        bar.inc(batch.len() as u64);
        let stop = !dry_run && !answer.done;
        reports.extend(answer.rows);
        if stop {
            break;
        }
    }
    Ok(reports)
}

fn outcome(outcome: RowOutcome) -> (&'static str, &'static str) {
    match outcome {
        RowOutcome::Created => ("created", "đã tạo"),
        RowOutcome::Unchanged => ("unchanged", "đã có"),
        RowOutcome::Differs => ("differs", "đã có nhưng khác"),
        RowOutcome::Refused => ("refused", "bị từ chối"),
        RowOutcome::Acceptable => ("acceptable", "hợp lệ, chưa tạo"),
        RowOutcome::Unspecified => ("unknown", "không rõ"),
    }
}

fn bar(length: usize, quiet: bool) -> ProgressBar {
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(length as u64)
    };
    bar.set_style(
        ProgressStyle::with_template("  {bar:32} {pos}/{len} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar
}

/// The file of activation codes: a line a person, by user name.
#[derive(Default)]
struct Codes {
    lines: BTreeMap<String, [String; 5]>,
}

const CODE_COLUMNS: [&str; 5] = ["username", "full_name", "unit_code", "activation_code", "valid_until"];

impl Codes {
    /// What the file holds already; nothing if it is not there.
    fn open(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let other = || {
            Problem::new(
                format!("{} is there and is no file of activation codes", path.display()),
                "name another file with --codes",
            )
        };
        let mut reader = csv::Reader::from_reader(text.as_slice());
        if reader.headers().map_err(|_| other())? != CODE_COLUMNS.as_slice() {
            return Err(other().into());
        }
        let mut lines = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(|_| other())?;
            let mut fields = record.iter().map(str::to_owned);
            let line: [String; 5] = std::array::from_fn(|_| fields.next().unwrap_or_default());
            let [username, ..] = &line;
            lines.insert(username.clone(), line);
        }
        Ok(Self { lines })
    }

    fn add(&mut self, reports: &[RowReport], rows: &BTreeMap<i32, &AccountRow>) {
        for report in reports.iter().filter(|report| !report.activation_code.is_empty()) {
            let row = rows.get(&report.line);
            let until = report
                .activation_expire_time
                .and_then(|time| jiff::Timestamp::new(time.seconds, 0).ok())
                .map(|time| {
                    time.to_zoned(egov_clock::vietnam())
                        .strftime("%d/%m/%Y %H:%M")
                        .to_string()
                });
            let line = [
                report.username.clone(),
                row.map(|row| row.full_name.clone()).unwrap_or_default(),
                row.map(|row| row.unit_code.clone()).unwrap_or_default(),
                report.activation_code.clone(),
                until.unwrap_or_default(),
            ];
            self.lines.insert(report.username.clone(), line);
        }
    }

    fn save(&self, path: &Path) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(CODE_COLUMNS)?;
        for line in self.lines.values() {
            writer.write_record(line)?;
        }
        write_private(path, &writer.into_inner().context("the codes cannot be written")?)
    }
}

/// The rows of a file, or everything that keeps it from being one.
fn parse(text: &[u8]) -> Result<Vec<AccountRow>, Vec<String>> {
    // Spreadsheets put a byte-order mark in front.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(text);
    let headings = reader.headers().map_err(|error| vec![error.to_string()])?.clone();
    let place = |name: &str| headings.iter().position(|heading| heading == name);
    let mut faults = Vec::new();
    for heading in &headings {
        if !["username", "full_name", "unit_code", "roles"].contains(&heading) {
            faults.push(format!("unknown column {heading:?} · cột không xác định"));
        }
    }
    let (Some(username), Some(full_name), Some(unit_code)) =
        (place("username"), place("full_name"), place("unit_code"))
    else {
        faults.push("a column of username, full_name, unit_code is missing · thiếu cột bắt buộc".to_owned());
        return Err(faults);
    };
    let roles = place("roles");
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                faults.push(error.to_string());
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != headings.len() {
            faults.push(format!(
                "line {line}: {} fields in the place of {} · sai số cột",
                record.len(),
                headings.len()
            ));
            continue;
        }
        let field = |place: usize| record.get(place).unwrap_or_default().to_owned();
        rows.push(AccountRow {
            line: i32::try_from(line).unwrap_or(i32::MAX),
            username: field(username),
            full_name: field(full_name),
            unit_code: field(unit_code),
            roles: roles.map(field).map(|text| wanted(&text)).unwrap_or_default(),
        });
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push("the file holds no row · tệp không có dòng nào".to_owned());
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

/// `officer;one_stop_clerk@16690`
fn wanted(text: &str) -> Vec<RowRole> {
    text.split(';')
        .map(str::trim)
        .filter(|role| !role.is_empty())
        .map(|role| {
            let (role, unit_code) = role.split_once('@').unwrap_or((role, ""));
            RowRole {
                role: role.trim().to_owned(),
                unit_code: unit_code.trim().to_owned(),
            }
        })
        .collect()
}

async fn close(arguments: CloseArguments) -> anyhow::Result<()> {
    let file = arguments.file.display().to_string();
    let advice = "a user name a line";
    let text = std::fs::read_to_string(&arguments.file)
        .map_err(|error| Problem::new(format!("cannot read {file}: {error}"), advice))?;
    let usernames = names(&text);
    if usernames.is_empty() {
        return Err(Problem::new(format!("{file} names nobody"), advice).into());
    }
    if usernames.len() > 500 {
        return Err(Problem::new(
            format!(
                "{file} names {} people; 500 are closed at once at most",
                usernames.len()
            ),
            "split it: each file is one transaction",
        )
        .into());
    }
    let reached = arguments.reach.open(PURPOSE).await?;
    let mut request = DisableAccountsRequest {
        request_id: String::new(),
        usernames,
        closing_day: arguments.on.map(Into::into),
        reason: arguments.reason.clone(),
    };
    // A name may come back and leave again: here each run is a request of its own, and what is closed stays closed.
    request.request_id = egov_clock::Ids::uuid(&egov_clock::SystemIds::default()).to_string();
    let answer = AccountBatchServiceClient::new(reached.line)
        .disable_accounts(request)
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    let words = |outcome| match outcome {
        ClosingOutcome::Closed => ("closed", "đã đóng"),
        ClosingOutcome::Scheduled => ("scheduled", "sẽ đóng"),
        ClosingOutcome::AlreadyClosed => ("already_closed", "đã đóng từ trước"),
        ClosingOutcome::Refused => ("refused", "bị từ chối"),
        ClosingOutcome::Acceptable => ("acceptable", "chưa đóng"),
        ClosingOutcome::Unspecified => ("unknown", "không rõ"),
    };
    if arguments.json {
        let rows: Vec<serde_json::Value> = answer
            .accounts
            .iter()
            .map(|report| {
                serde_json::json!({
                    "username": report.username, "account_id": report.account_id,
                    "outcome": words(report.outcome()).0,
                })
            })
            .collect();
        say::json(&serde_json::json!({ "done": answer.done, "accounts": rows }));
    } else {
        let heading = ["tên đăng nhập", "kết quả", "lý do"].map(str::to_owned).to_vec();
        let rows = answer.accounts.iter().map(|report| {
            let why: Vec<String> = report
                .violations
                .iter()
                .map(|one| format!("{} · {}", one.vi, one.en))
                .collect();
            vec![
                report.username.clone(),
                words(report.outcome()).1.to_owned(),
                why.join("; "),
            ]
        });
        say::line(say::table(std::iter::once(heading).chain(rows)));
    }
    if answer.done {
        return Ok(());
    }
    Err(Problem::new(
        "nothing was closed: an account of the list cannot be · không đóng tài khoản nào",
        "take it out of the list, or ask somebody who administers it",
    )
    .into())
}

/// The user names of a list: the first field of each line; empty lines, comments and a heading are left out.
fn names(text: &str) -> Vec<String> {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(|line| line.split(',').next().unwrap_or_default().trim())
        .filter(|name| !name.is_empty() && !name.starts_with('#') && *name != "username")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_read_with_its_lines_and_roles() {
        let text = "\u{feff}username,full_name,unit_code,roles\nan.nguyen, Nguyễn Văn An ,16690,officer;one_stop_clerk@16690.VP\n\
                    binh.tran,\"Trần, Thị Bình\",40,\n";
        let rows = parse(text.as_bytes()).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].line, rows[0].full_name.as_str()), (2, "Nguyễn Văn An"));
        assert_eq!(rows[0].roles[1].unit_code, "16690.VP");
        assert_eq!((rows[1].line, rows[1].full_name.as_str()), (3, "Trần, Thị Bình"));
        assert!(rows[1].roles.is_empty());
    }

    #[test]
    fn every_fault_of_a_file_is_named() {
        for (text, expected) in [
            ("", vec!["is missing"]),
            ("username,full_name\na,b\n", vec!["is missing"]),
            ("username,full_name,unit_code,salary\n", vec!["salary"]),
            ("username,full_name,unit_code\na,b\nc,d,e,f\n", vec!["line 2", "line 3"]),
            ("username,full_name,unit_code\n", vec!["no row"]),
        ] {
            let faults = parse(text.as_bytes()).unwrap_err();
            for part in expected {
                assert!(faults.iter().any(|fault| fault.contains(part)), "{text:?}: {faults:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_a_file_holds_it_is_rows_or_faults(bytes in proptest::collection::vec(any::<u8>(), 0..300), rest in any::<String>()) {
            for text in [bytes, format!("username,full_name,unit_code,roles\n{rest}").into_bytes()] {
                match parse(&text) {
                    Ok(rows) => prop_assert!(!rows.is_empty() && rows.iter().all(|row| row.line > 0)),
                    Err(faults) => prop_assert!(!faults.is_empty()),
                }
            }
            prop_assert!(names(&rest).iter().all(|name| !name.is_empty() && !name.contains(',')));
        }
    }

    #[test]
    fn the_same_batch_is_the_same_request_and_another_callers_is_not() {
        assert_eq!(request_id(AREA, "admin", b"x"), request_id(AREA, "admin", b"x"));
        assert_ne!(request_id(AREA, "admin", b"x"), request_id(AREA, "admin", b"y"));
        assert_ne!(request_id(AREA, "admin", b"x"), request_id(AREA, "other", b"x"));
        assert!(uuid::Uuid::parse_str(&request_id(AREA, "admin", b"x")).is_ok());
    }

    #[test]
    fn the_codes_are_kept_beside_earlier_ones_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes.csv");
        for name in ["an.nguyen", "binh.tran"] {
            let mut codes = Codes::open(&path).unwrap();
            let report = RowReport {
                line: 2,
                username: name.to_owned(),
                activation_code: format!("code of {name}"),
                ..RowReport::default()
            };
            codes.add(&[report], &BTreeMap::new());
            codes.save(&path).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("code of an.nguyen") && text.contains("code of binh.tran"),
            "{text}"
        );
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, "something else\n").unwrap();
        assert!(Codes::open(&path).is_err());
    }
}
