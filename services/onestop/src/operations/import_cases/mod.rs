//! Chuyển hồ sơ từ hệ thống cũ: the cases of an export, judged line by line and copied batch by batch.
//!
//! * A batch is one transaction: its cases with history, words, leaves and events, and the old system's keys. Whoever stops the import, or kills
//!   it, begins it again with the same file: what was taken is passed over by its key, so that each line is taken once.
//! * Each imported case has one entry in its history, `import`, one event, `case_imported`, and one leaf. What the old system does not say is named
//!   there as unknown.
//! * Codes stay as they came. On the day of the change the agency's counter goes on behind the highest of them.

pub mod lines;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use egov_auth::RowScope;
use egov_calendar::vietnam_time;
use egov_clock::{SharedClock, SharedIds};
use egov_codes::CaseCode;
use egov_database::{BulkLoad, CopyRows, CounterKey, Database, PastEvent, PastLeaves};
use egov_directory::{Units, Whereabouts};
use egov_keyring::{Keyring, Purpose};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use self::lines::Line;
use super::act::{Actor, Recorded, entry, event_of};
use super::{KnownUnit, level_of};
use crate::domain::case::Case;
use crate::domain::forecast::due_next;
use crate::domain::listing::Versioned;
use crate::domain::lookup;
use crate::domain::old_case::{self, Known, LineFault, Mapping, OldCase, Taken};
use crate::domain::pack::Profile;
use crate::domain::statistics::{Snapshot, When, taken_over};
use crate::domain::transitions::State;
use crate::domain::verify::KIND;
use crate::domain::work::follow::{Progress, Stand, follow};
use crate::error::Error;
use crate::law::{Law, LawError};
use crate::store::bulk::CaseRows;
use crate::store::{imports, procedures};

/// Lines of one transaction.
const BATCH: usize = 2_000;

/// The register of case numbers.
const REGISTER: &str = "case";

/// The operator: nobody decided about the single case.
const OPERATOR: Actor = Actor {
    id: Uuid::nil(),
    kind: "system",
    on_behalf_of: None,
};

/// What an import works with.
pub struct Sources<'a> {
    /// The service's database.
    pub database: &'a Database,
    /// How a superuser reaches the server, and the name of the service's database there.
    pub superuser: (&'a str, &'a str),
    /// Seals the look-up secrets.
    pub keyring: Arc<Keyring>,
    /// Real chance, for secrets and salts.
    pub ids: SharedIds,
    /// What time it is.
    pub clock: SharedClock,
    /// The units through time.
    pub units: Arc<Units>,
    /// What may be relied on.
    pub profile: Profile,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is a case now; in a dry run, it would be.
    Imported,
    /// It was taken by an earlier run.
    Already,
    /// It was not taken; its faults say why.
    Refused,
}

/// The report of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineReport {
    /// Where it begins in the file, from 1.
    pub line: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Mã hồ sơ, if it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_code: Option<String>,
    /// Everything that is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<LineFault>,
    /// What is not known of the case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// How many lines there were of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All lines.
    pub lines: u64,
    /// New cases; in a dry run, those that would be.
    pub imported: u64,
    /// Lines that were taken by an earlier run.
    pub already: u64,
    /// Lines that were not taken.
    pub refused: u64,
}

/// Why an import ended.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read, or the report not written.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The law cannot be read.
    #[error(transparent)]
    Law(#[from] LawError),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] Error),
    /// The database refuses.
    #[error(transparent)]
    Fault(#[from] egov_fault::Fault),
    /// A case cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// A line that was read, with what is to become of it.
struct Judged {
    number: u64,
    case_code: Option<String>,
    of: Result<OldCase, Vec<LineFault>>,
}

/// Imports the lines of a file. With `dry_run` everything is judged and nothing written. `report` is given each line in the order of the file,
/// `progress` how many are done.
pub async fn import_cases(
    sources: Sources<'_>,
    mapping: &Mapping,
    lines: impl Iterator<Item = std::io::Result<Line>>,
    dry_run: bool,
    mut report: impl FnMut(&LineReport) -> std::io::Result<()>,
    mut progress: impl FnMut(u64),
) -> Result<Summary, ImportError> {
    let mut import = Import {
        law: Law::load(sources.database).await?,
        mapping,
        versions: HashMap::new(),
        keys: HashSet::new(),
        codes: HashSet::new(),
        sources,
    };
    let (url, database) = import.sources.superuser;
    let mut load = if dry_run {
        None
    } else {
        Some(BulkLoad::begin(url, database).await?)
    };
    let mut summary = Summary::default();
    let mut lines = lines.peekable();
    while lines.peek().is_some() {
        let batch = lines.by_ref().take(BATCH).collect::<std::io::Result<Vec<Line>>>()?;
        let reports = import.batch(batch, load.as_mut()).await?;
        for line in &reports {
            summary.lines += 1;
            match line.outcome {
                Outcome::Imported => summary.imported += 1,
                Outcome::Already => summary.already += 1,
                Outcome::Refused => summary.refused += 1,
            }
            report(line)?;
        }
        progress(summary.lines);
    }
    if let Some(load) = load {
        load.commit().await?;
    }
    Ok(summary)
}

/// The version of a procedure for a day, and whether it was in force then.
type Dated = (Arc<Versioned>, bool);

struct Import<'a> {
    sources: Sources<'a>,
    law: Law,
    mapping: &'a Mapping,
    /// The version of a procedure for a day, and whether it was in force.
    versions: HashMap<(String, Date), Option<Dated>>,
    /// Keys and codes of this file so far: the second of a pair is refused.
    keys: HashSet<String>,
    codes: HashSet<String>,
}

impl Import<'_> {
    /// Judges a batch and, unless it is a dry run, writes it in one transaction.
    async fn batch(&mut self, batch: Vec<Line>, load: Option<&mut BulkLoad>) -> Result<Vec<LineReport>, ImportError> {
        let mut read: Vec<Judged> = batch.into_iter().map(|line| self.read(line)).collect();
        let (taken, given) = self.known(&read).await?;
        self.look_up_versions(&read).await?;

        let now = self.now();
        let epoch = load.as_ref().map_or(0, |load| load.epoch());
        let mut made = Made::default();
        let mut reports = Vec::with_capacity(read.len());
        for line in read.drain(..) {
            reports.push(self.judge(line, &taken, &given, now, epoch, &mut made)?);
        }
        if let Some(load) = load {
            made.write(load).await?;
        }
        Ok(reports)
    }

    /// As the database keeps it: to the microsecond.
    fn now(&self) -> Timestamp {
        let now = self.sources.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// Reads a line; a key or a code that the file has twice is a fault of the second.
    fn read(&mut self, line: Line) -> Judged {
        let fields = line
            .columns
            .map_err(|fault| vec![fault])
            .and_then(|columns| self.mapping.apply(&columns));
        let mut of = fields.and_then(|fields| old_case::read(&fields, self.mapping));
        let case_code = of.as_ref().ok().map(|old| old.case_code.to_string());
        if let Ok(old) = &of {
            let mut twice = Vec::new();
            for (field, is_new) in [
                ("key", self.keys.insert(old.key.clone())),
                ("case_code", self.codes.insert(old.case_code.to_string())),
            ] {
                if !is_new {
                    twice.push(LineFault::new(
                        field,
                        "đã có ở một dòng trước của tệp",
                        "stands in an earlier line of the file",
                    ));
                }
            }
            if !twice.is_empty() {
                of = Err(twice);
            }
        }
        Judged {
            number: line.number,
            case_code,
            of,
        }
    }

    /// Which keys of the batch were taken, and which codes are given.
    async fn known(&self, read: &[Judged]) -> Result<(HashSet<String>, HashSet<String>), ImportError> {
        let old = || read.iter().filter_map(|line| line.of.as_ref().ok());
        let keys: Vec<String> = old().map(|old| old.key.clone()).collect();
        let codes: Vec<String> = old().map(|old| old.case_code.to_string()).collect();
        let known = self
            .sources
            .database
            .read(&RowScope::everything(), async |connection| {
                let taken = imports::taken(&mut *connection, &self.mapping.source, &keys).await?;
                Ok::<_, Error>((taken, imports::given(connection, &codes).await?))
            })
            .await?;
        Ok(known)
    }

    /// Reads the versions of procedures that the batch needs and that were not needed before.
    async fn look_up_versions(&mut self, read: &[Judged]) -> Result<(), ImportError> {
        let mut wanted: Vec<(String, Date)> = read
            .iter()
            .filter_map(|line| line.of.as_ref().ok())
            .map(version_key)
            .filter(|key| !self.versions.contains_key(key))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(());
        }
        // A version is read once, however many days refer to it.
        let mut read: BTreeMap<(String, i32), Arc<Versioned>> = self
            .versions
            .iter()
            .filter_map(|((code, _), found)| found.as_ref().map(|(found, _)| (code, found)))
            .map(|(code, found)| ((code.clone(), found.version), Arc::clone(found)))
            .collect();
        let found = self
            .sources
            .database
            .read(&RowScope::none(), async |connection| {
                let mut found = Vec::with_capacity(wanted.len());
                for (code, day) in &wanted {
                    let (code, day) = (code.clone(), *day);
                    let version = match imports::version_on(&mut *connection, &code, day).await? {
                        None => None,
                        Some((number, in_force)) => {
                            let key = (code.clone(), number);
                            if !read.contains_key(&key)
                                && let Some(version) = procedures::version(&mut *connection, &code, number).await?
                            {
                                read.insert(key.clone(), Arc::new(version));
                            }
                            read.get(&key).map(|version| (Arc::clone(version), in_force))
                        }
                    };
                    found.push(((code, day), version));
                }
                Ok::<_, Error>(found)
            })
            .await?;
        self.versions.extend(found);
        Ok(())
    }

    /// Judges a line, and makes the rows of its case if it is taken.
    fn judge(
        &self,
        line: Judged,
        taken: &HashSet<String>,
        given: &HashSet<String>,
        now: Timestamp,
        epoch: i32,
        made: &mut Made,
    ) -> Result<LineReport, ImportError> {
        let report = |outcome, faults, unknown| LineReport {
            line: line.number,
            outcome,
            case_code: line.case_code.clone(),
            faults,
            unknown,
        };
        let old = match line.of {
            Ok(old) => old,
            Err(faults) => return Ok(report(Outcome::Refused, faults, Vec::new())),
        };
        if taken.contains(&old.key) {
            return Ok(report(Outcome::Already, Vec::new(), Vec::new()));
        }
        let (key, code) = (old.key.clone(), old.case_code.clone());
        let judged = if given.contains(&code.to_string()) {
            Err(vec![LineFault::new(
                "case_code",
                "mã hồ sơ này đã được dùng",
                "this case code is given already",
            )])
        } else {
            self.take(old, now)
        };
        match judged {
            Ok((taken, version)) => {
                let unknown = taken.unknown.clone();
                self.make((key, &code), taken, &version, (now, epoch), made)?;
                Ok(report(Outcome::Imported, Vec::new(), unknown))
            }
            Err(faults) => Ok(report(Outcome::Refused, faults, Vec::new())),
        }
    }

    /// Finds units and procedure, and lets the domain judge.
    fn take(&self, old: OldCase, now: Timestamp) -> Result<(Taken, Arc<Versioned>), Vec<LineFault>> {
        let version = self.versions.get(&version_key(&old)).cloned().flatten();
        let responsible = self.unit("unit_code", &old.unit_code, &old, now);
        let receiving = match &old.receiving_unit_code {
            Some(code) => self
                .unit("receiving_unit_code", code, &old, now)
                .map(|unit| unit.unit_id),
            None => responsible.as_ref().map(|unit| unit.unit_id).map_err(Clone::clone),
        };
        let version = version
            .ok_or_else(|| LineFault::new("procedure_code", "không có thủ tục này", "there is no such procedure"));
        let (version, responsible, receiving) = match (version, responsible, receiving) {
            (Ok(version), Ok(responsible), Ok(receiving)) => (version, responsible, receiving),
            (version, responsible, receiving) => {
                let mut faults: Vec<LineFault> = [version.err(), responsible.err(), receiving.err()]
                    .into_iter()
                    .flatten()
                    .collect();
                faults.dedup();
                return Err(faults);
            }
        };
        let case_id = self.sources.ids.uuid();
        // A secret like any other: the old system's citizens look up by what it gave them until somebody gives them this one's.
        let secret = lookup::secret(|bytes| self.sources.ids.random_bytes(bytes));
        let sealed = self
            .sources
            .keyring
            .seal(Purpose::LookupSecrets, secret.as_bytes(), case_id.as_bytes());
        let taken = old_case::take(
            old,
            Known {
                source: &self.mapping.source,
                now,
                procedure: &version.0,
                in_force: version.1,
                unit_id: responsible.unit_id,
                level: responsible.level,
                receiving_unit_id: receiving,
                calendar: &self.law.calendar,
                profile: self.sources.profile,
                case_id,
                lookup_secret: sealed,
            },
        )?;
        Ok((taken, version.0))
    }

    /// The unit that carried a code on the day of filing. An open case of one that has closed is its successor's; a finished one stays.
    fn unit(&self, field: &'static str, code: &str, old: &OldCase, now: Timestamp) -> Result<KnownUnit, LineFault> {
        let units = &self.sources.units;
        let (filed, today) = (vietnam_time(old.submit_time).date(), vietnam_time(now).date());
        let then = units
            .resolve(code, filed)
            .or_else(|| units.resolve(code, today))
            .ok_or_else(|| {
                LineFault::new(
                    field,
                    "không có đơn vị mang mã này vào ngày nộp",
                    "no unit carried this code on the day of filing",
                )
            })?;
        let finished = matches!(
            old.state,
            State::Rejected | State::Withdrawn | State::Stopped | State::Returned
        );
        let unit = match units.whereabouts(then.id, today) {
            Some(Whereabouts::MovedTo(to)) if !finished => to,
            Some(Whereabouts::NoSuccessor) if !finished => {
                return Err(LineFault::new(
                    field,
                    "đơn vị đã giải thể và không có đơn vị kế thừa",
                    "the unit has closed and nothing follows it",
                ));
            }
            _ => then,
        };
        Ok(KnownUnit {
            unit_id: unit.id,
            level: level_of(unit.kind),
        })
    }

    /// What is to be done about a case that has not ended: its step, and what is due next.
    fn push_work(&self, case: &Case, version: &Versioned, now: Timestamp, made: &mut Made) {
        let mut tasks = Vec::new();
        let progress = Progress {
            steps: &version.procedure.steps,
            operation: old_case::OPERATION,
            stand: Stand::from(case),
            actor: OPERATOR.id,
            now,
        };
        follow(&mut tasks, &progress, || self.sources.ids.uuid());
        for task in &tasks {
            made.rows.push_task(task);
        }
        let rules = self.law.deadline_rules_on(vietnam_time(now).date());
        let next = due_next(
            case,
            &version.procedure,
            &self.law.calendar,
            rules.map(|rules| &rules.reminder),
        );
        if let Some(next) = next {
            made.rows.push_due(&next);
        }
        for (key, amount) in taken_over(&Snapshot::of(case), When::now(now)) {
            made.rows.push_counted(&key, amount);
        }
    }

    /// The rows of a case: itself, its history, its leaf, its event, its key, its work.
    fn make(
        &self,
        (key, code): (String, &CaseCode),
        taken: Taken,
        version: &Versioned,
        (now, epoch): (Timestamp, i32),
        made: &mut Made,
    ) -> Result<(), ImportError> {
        let Taken { case, details, .. } = taken;
        let recorded = Recorded {
            details,
            ..Recorded::default()
        };
        let entry = entry(&OPERATOR, None, &case, old_case::OPERATION, recorded, now);
        made.rows.push(&case, now)?;
        made.rows.push_entry(case.case_id, &entry)?;
        self.push_work(&case, version, now, made);
        let mut salt = [0; 32];
        self.sources.ids.random_bytes(&mut salt);
        let leaf_id = self.sources.ids.uuid();
        made.leaves.push(
            epoch,
            leaf_id,
            KIND,
            case.case_id,
            case.version,
            &case.canonical()?,
            salt,
            now,
        );
        made.events.push(PastEvent {
            event_id: self.sources.ids.uuid(),
            time: now,
            event: event_of(&case, old_case::EVENT),
        });
        made.keys.push(&[&self.mapping.source, &key, &case.case_id, &now]);
        // Numbers of days that are over are given to nobody any more.
        if code.date() >= vietnam_time(now).date() {
            let counter = (
                code.agency().as_str().to_owned(),
                REGISTER.to_owned(),
                code.date().to_string(),
            );
            let number: i64 = code.sequence().parse().unwrap_or(0);
            let highest = made.numbers.entry(counter).or_insert(0);
            *highest = number.max(*highest);
        }
        Ok(())
    }
}

/// By which version of the procedure a case is read: in force on the day of its reception, or of its filing.
fn version_key(old: &OldCase) -> (String, Date) {
    let day = vietnam_time(old.accept_time.unwrap_or(old.submit_time)).date();
    (old.procedure_code.clone(), day)
}

/// The rows of a batch.
#[derive(Default)]
struct Made {
    rows: CaseRows,
    leaves: PastLeaves,
    events: Vec<PastEvent>,
    keys: CopyRows,
    numbers: BTreeMap<CounterKey, i64>,
}

impl Made {
    /// Writes all of it and commits: what a killed import leaves is whole batches.
    async fn write(&self, load: &mut BulkLoad) -> Result<(), ImportError> {
        if self.events.is_empty() {
            return Ok(());
        }
        self.rows.copy(load).await?;
        load.leaves(&self.leaves).await?;
        load.events(&self.events).await?;
        load.copy("imported_cases", "(source, old_key, case_id, import_time)", &self.keys)
            .await?;
        load.set_last_numbers(&self.numbers).await?;
        load.commit_part().await?;
        Ok(())
    }
}
