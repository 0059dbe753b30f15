//! The import of law packs: idempotent by content, reported line by line.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use egov_auth::RowScope;
use egov_database::{Database, UnitOfWork};
use serde::Serialize;

use super::lint_draft::office_minutes;
use super::{import_catalogue, import_linked};
use crate::domain::components::rules::PaperRules;
use crate::domain::deadline_rules::DeadlineRules;
use crate::domain::definition::lint;
use crate::domain::definition::lint::{Context, OFFICE_MINUTES, Severity};
use crate::domain::listing::{NewVersion, Origin, Versioned};
use crate::domain::pack::{Decisions, Procedure, Profile, apply_decisions};
use crate::domain::reports::CentreRules;
use crate::domain::transitions::Transitions;
use crate::domain::treasury::TreasuryFormat;
use crate::error::Error;
use crate::law::{CENTRE, CalendarFiles, FEES, PAPERS, read_calendar};
use crate::store::{packs, procedures};

/// The text of everything that is imported, by file name.
#[derive(Debug, Clone, Default)]
pub struct Packs {
    /// deploy/packs/calendar.
    pub calendar: CalendarFiles,
    /// deploy/packs/transitions.
    pub transitions: BTreeMap<String, String>,
    /// deploy/packs/procedures.
    pub procedures: BTreeMap<String, String>,
    /// deploy/packs/procedures/decisions: what somebody decided, applied on top. In production those that were made for a
    /// demonstration are passed over.
    pub decisions: BTreeMap<String, String>,
    /// deploy/packs/catalogue: the lines of the national catalogue, with what they are.
    pub catalogue: BTreeMap<String, String>,
    /// deploy/packs/deadlines: extensions and reminders.
    pub deadlines: BTreeMap<String, String>,
    /// deploy/packs/one-stop: reports, index, ratings and priorities of the centre.
    pub centre: BTreeMap<String, String>,
    /// deploy/packs/fees: how the treasury's file is written.
    pub fees: BTreeMap<String, String>,
    /// deploy/packs/papers: which register answers for which component, which result stands for it.
    pub papers: BTreeMap<String, String>,
    /// deploy/packs/linked: linked services.
    pub linked: BTreeMap<String, String>,
    /// deploy/packs/linked/decisions: what somebody decided about them. In production those that were made for a demonstration are passed
    /// over.
    pub linked_decisions: BTreeMap<String, String>,
}

impl Packs {
    /// How many steps the import has, for a progress bar.
    pub fn steps(&self) -> usize {
        self.calendar.len()
            + self.transitions.len()
            + self.deadlines.len()
            + self.decisions.len()
            + self.procedures.len()
            + self.catalogue_lines()
            + self.centre.len()
            + self.fees.len()
            + self.papers.len()
            + self.linked.len()
            + self.linked_decisions.len()
    }

    fn catalogue_lines(&self) -> usize {
        let files = self
            .catalogue
            .iter()
            .filter(|(name, _)| name.as_str() != import_catalogue::MANIFEST);
        files.map(|(_, text)| text.lines().count().saturating_sub(1)).sum()
    }
}

/// What became of one file, or of one line of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is new.
    Imported,
    /// The same content was there.
    Unchanged,
    /// It is no longer among the packs, and out of force from now on.
    Withdrawn,
    /// It is no longer in the catalogue, and stays in force: the law ends a procedure, not a crawl.
    Vanished,
    /// It was not taken; the line says why.
    Refused,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The file, and the line where it is the catalogue.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused, or what is open in it.
    pub detail: String,
}

/// Imports the packs and reports every file. A file that is wrong is refused and named; the others are taken.
///
/// `progress` is told each file when it is done.
pub async fn import(
    database: &Database,
    packs: &Packs,
    profile: Profile,
    mut progress: impl FnMut(&Line) + Send,
) -> Result<Vec<Line>, Error> {
    let mut report = Vec::with_capacity(packs.steps());
    // A calendar is one thing in several files: all of them in one transaction, or none.
    match read_calendar(&packs.calendar) {
        Ok(_) => {
            for (name, outcome) in put_set(database, "calendar", &packs.calendar).await? {
                push(&mut report, &mut progress, &name, outcome, String::new());
            }
        }
        Err(error) => {
            for name in packs.calendar.keys() {
                push(&mut report, &mut progress, name, Outcome::Refused, error.to_string());
            }
        }
    }
    for (name, text) in &packs.transitions {
        let (outcome, detail) = match Transitions::from_toml(text) {
            Ok(_) => (put(database, "transitions", name, text).await?, String::new()),
            Err(error) => (Outcome::Refused, error.to_string()),
        };
        push(&mut report, &mut progress, name, outcome, detail);
    }
    let known = known_transitions(database).await?;
    let office = read_calendar(&packs.calendar).ok().map(|calendar| {
        let today = database.clock().today();
        office_minutes(&calendar, today)
    });
    for (name, text) in &packs.centre {
        let (outcome, detail) = match CentreRules::from_toml(text) {
            Ok(_) => (put(database, CENTRE, name, text).await?, String::new()),
            Err(error) => (Outcome::Refused, error.to_string()),
        };
        push(&mut report, &mut progress, name, outcome, detail);
    }
    for (name, text) in &packs.fees {
        let (outcome, detail) = match TreasuryFormat::from_toml(text) {
            Ok(_) => (put(database, FEES, name, text).await?, String::new()),
            Err(error) => (Outcome::Refused, error.to_string()),
        };
        push(&mut report, &mut progress, name, outcome, detail);
    }
    for (name, text) in &packs.papers {
        let (outcome, detail) = match PaperRules::from_toml(text) {
            Ok(_) => (put(database, PAPERS, name, text).await?, String::new()),
            Err(error) => (Outcome::Refused, error.to_string()),
        };
        push(&mut report, &mut progress, name, outcome, detail);
    }
    for (name, text) in &packs.deadlines {
        let (outcome, detail) = match DeadlineRules::from_toml(text) {
            Ok(_) => (put(database, "deadlines", name, text).await?, String::new()),
            Err(error) => (Outcome::Refused, error.to_string()),
        };
        push(&mut report, &mut progress, name, outcome, detail);
    }
    let mut decisions = Vec::new();
    for (name, text) in &packs.decisions {
        let (outcome, detail) = match Decisions::from_toml(text) {
            Err(error) => (Outcome::Refused, error.to_string()),
            Ok(decided) if decided.demonstration && profile == Profile::Production => (
                Outcome::Refused,
                "made for a demonstration: production takes no part of it".to_owned(),
            ),
            Ok(decided) => {
                decisions.push((name.clone(), decided));
                // Kept so that what a published procedure rests on can be shown years later.
                (put(database, "decisions", name, text).await?, String::new())
            }
        };
        push(&mut report, &mut progress, name, outcome, detail);
    }
    let mut hand_checked = BTreeMap::new();
    for (name, text) in &packs.procedures {
        let (outcome, detail) = match Procedure::from_toml(text) {
            Err(error) => (Outcome::Refused, error.to_string()),
            Ok(mut procedure) => {
                hand_checked.insert(procedure.code.to_string(), procedure.clone());
                let applied = decisions
                    .iter()
                    .try_for_each(|(_, decided)| apply_decisions(&mut procedure, decided));
                match applied.map(|()| procedure.publishable(profile)) {
                    Err(error) => (Outcome::Refused, error.to_string()),
                    Ok(Err(open)) => {
                        let open: Vec<String> = open.iter().map(ToString::to_string).collect();
                        (
                            Outcome::Refused,
                            format!("not published, neither confirmed nor decided: {}", open.join("; ")),
                        )
                    }
                    Ok(Ok(())) => {
                        let faults = unworkable(&procedure, &known, office);
                        if faults.is_empty() {
                            put(database, "procedure", name, text).await?;
                            publish(database, procedure).await?
                        } else {
                            (Outcome::Refused, format!("it cannot work: {}", faults.join("; ")))
                        }
                    }
                }
            }
        };
        push(&mut report, &mut progress, name, outcome, detail);
    }
    let mut lines = import_catalogue::catalogue(database, &packs.catalogue, &hand_checked).await?;
    lines.extend(import_catalogue::decide(database, &decisions, &hand_checked).await?);
    lines.extend(import_linked::linked(database, packs, profile).await?);
    for line in lines {
        push(&mut report, &mut progress, &line.name, line.outcome, line.detail);
    }
    Ok(report)
}

/// The sets of transitions in force, by their names.
async fn known_transitions(database: &Database) -> Result<BTreeMap<String, Transitions>, Error> {
    let texts = database
        .read(&RowScope::none(), async |connection| {
            Ok::<_, Error>(packs::in_force(connection, "transitions").await?)
        })
        .await?;
    let read = texts.iter().filter_map(|(_, text)| Transitions::from_toml(text).ok());
    Ok(read.map(|set| (set.name().to_owned(), set)).collect())
}

/// Why a pack cannot work, by the same linter as drafts, as far as it can be told without policies and staff.
fn unworkable(procedure: &Procedure, known: &BTreeMap<String, Transitions>, office: Option<u32>) -> Vec<String> {
    let context = Context {
        transitions: known.get(&procedure.transitions),
        office_minutes: office.unwrap_or(OFFICE_MINUTES),
        profile: None,
        roles: None,
        staffing: None,
    };
    let findings = lint(procedure, &context).into_iter();
    findings
        .filter(|finding| finding.severity() == Severity::Error)
        .map(|finding| finding.to_string())
        .collect()
}

fn push(report: &mut Vec<Line>, progress: &mut impl FnMut(&Line), name: &str, outcome: Outcome, detail: String) {
    let line = Line {
        name: name.to_owned(),
        outcome,
        detail,
    };
    progress(&line);
    report.push(line);
}

/// Puts the text of a pack in force, word for word.
pub(super) async fn put(database: &Database, kind: &str, name: &str, text: &str) -> Result<Outcome, Error> {
    let hash = sha256(text.as_bytes());
    let new = database
        .write_unkeyed(&RowScope::none(), async |unit: &mut UnitOfWork<'_>| {
            let now = unit.now();
            Ok::<_, Error>(packs::put_in_force(unit.conn(), kind, name, &hash, text, now).await?)
        })
        .await?;
    Ok(if new { Outcome::Imported } else { Outcome::Unchanged })
}

/// Puts a set of files in force together; what is not among them goes out of force.
async fn put_set(
    database: &Database,
    kind: &str,
    files: &BTreeMap<String, String>,
) -> Result<Vec<(String, Outcome)>, Error> {
    database
        .write_unkeyed(&RowScope::none(), async |unit: &mut UnitOfWork<'_>| {
            let now = unit.now();
            let mut outcomes = Vec::with_capacity(files.len());
            for (name, text) in files {
                let hash = sha256(text.as_bytes());
                let new = packs::put_in_force(unit.conn(), kind, name, &hash, text, now).await?;
                outcomes.push((name.clone(), if new { Outcome::Imported } else { Outcome::Unchanged }));
            }
            let kept: Vec<String> = files.keys().cloned().collect();
            for name in packs::withdraw_others(unit.conn(), kind, &kept, now).await? {
                outcomes.push((name, Outcome::Withdrawn));
            }
            Ok::<_, Error>(outcomes)
        })
        .await
}

/// Adds a version of a procedure. A version that is there is never changed: a case may rest on it. Another content
/// under the same number is refused, and needs a number of its own.
///
/// Where the catalogue came first, because the pack was not settled then, the pack takes the next number.
async fn publish(database: &Database, mut procedure: Procedure) -> Result<(Outcome, String), Error> {
    let canonical = serde_json::to_vec(&procedure).map_err(egov_fault::Fault::internal)?;
    let hash = sha256(&canonical);
    database
        .write_unkeyed(&RowScope::none(), async |unit: &mut UnitOfWork<'_>| {
            let now = unit.now();
            let code = procedure.code.to_string();
            procedures::hold(unit.conn(), &code).await?;
            if procedures::has_content(unit.conn(), &code, &hash).await? {
                return Ok::<_, Error>((Outcome::Unchanged, String::new()));
            }
            let latest = procedures::latest(unit.conn(), &code).await?;
            let mut effective_from = procedure.effective_from;
            if let Some(latest) = latest.filter(|latest| latest.procedure.catalogue.is_some()) {
                procedure.version = latest.version + 1;
                effective_from = unit.today().max(latest.effective_from);
            } else if procedures::version(unit.conn(), &code, procedure.version)
                .await?
                .is_some()
            {
                let version = procedure.version;
                return Ok((
                    Outcome::Refused,
                    format!("version {version} of {code} has another content; give the new one its own number"),
                ));
            }
            let new = NewVersion {
                versioned: Versioned {
                    version: procedure.version,
                    effective_from,
                    effective_to: procedure.effective_to,
                    procedure,
                },
                origin: Origin::Pack,
                content_sha256: hash,
            };
            procedures::insert(unit.conn(), &[new], now).await?;
            Ok((Outcome::Imported, String::new()))
        })
        .await
}

pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}
