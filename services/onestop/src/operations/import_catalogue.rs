//! The catalogue of procedures into versions, a line of the report a line of the file; and the entries of decisions files
//! that are about its procedures.

use std::collections::{BTreeMap, BTreeSet};

use egov_auth::RowScope;
use egov_database::{Database, UnitOfWork};

use super::decide_fact::{Decider, Ruling, add_version};
use super::import::{Line, Outcome, sha256};
use crate::domain::listing::{NewVersion, Origin, Versioned};
use crate::domain::pack::{Decisions, Entry, LineFault, Manifest, Procedure, Subject, read_lines};
use crate::error::Error;
use crate::store::{decisions, packs, procedures};

/// The manifest among the files of a catalogue.
pub(super) const MANIFEST: &str = "catalogue.toml";

/// Imports the lines in one transaction: what is new gets its first version, a line that changed a further one, dated
/// today; a line that is wrong is refused and named, the others are taken; what vanished is named and stays.
///
/// `hand_checked` are the packs: they win, and what the catalogue says otherwise is reported.
pub(super) async fn catalogue(
    database: &Database,
    files: &BTreeMap<String, String>,
    hand_checked: &BTreeMap<String, Procedure>,
) -> Result<Vec<Line>, Error> {
    let Some(manifest) = files.get(MANIFEST) else {
        return Ok(Vec::new());
    };
    let refused = |detail: String| {
        vec![Line {
            name: MANIFEST.to_owned(),
            outcome: Outcome::Refused,
            detail,
        }]
    };
    let manifest = match Manifest::from_toml(manifest) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(refused(error.to_string())),
    };
    let Some(text) = files.get(&manifest.file) else {
        return Ok(refused(format!("{} is not there / không có tệp này", manifest.file)));
    };
    let lines = match read_lines(text.as_bytes()) {
        Ok(lines) => lines,
        Err(error) => return Ok(refused(error.to_string())),
    };
    database
        .write_unkeyed(&RowScope::none(), async |unit: &mut UnitOfWork<'_>| {
            let (now, today) = (unit.now(), unit.today());
            for (name, text) in files {
                packs::put_in_force(unit.conn(), "catalogue", name, &sha256(text.as_bytes()), text, now).await?;
            }
            // Nobody decides about any of them while lines are compared with what is there.
            procedures::hold_all(unit.conn()).await?;
            let latest: BTreeMap<String, (Versioned, bool)> = procedures::all_latest(unit.conn())
                .await?
                .into_iter()
                .map(|(versioned, has_pack)| (versioned.procedure.code.to_string(), (versioned, has_pack)))
                .collect();
            let mut report = Vec::with_capacity(lines.len());
            let mut added = Vec::new();
            let mut seen = BTreeSet::new();
            for read in &lines {
                seen.insert(read.code.clone());
                let (outcome, detail) = match &read.entry {
                    Err(faults) => (Outcome::Refused, faults.iter().map(LineFault::to_string).collect::<Vec<_>>().join("; ")),
                    Ok(entry) => {
                        let known = latest.get(&read.code);
                        let pack = hand_checked.get(&read.code).filter(|_| known.is_some_and(|(_, has_pack)| *has_pack));
                        if let Some(pack) = pack {
                            (Outcome::Unchanged, differences(entry, pack))
                        } else {
                            take(entry, known.map(|(versioned, _)| versioned), &manifest, today, &mut added)
                        }
                    }
                };
                report.push(Line {
                    name: format!("{} line {}: {}", manifest.file, read.line, read.code),
                    outcome,
                    detail,
                });
            }
            procedures::insert(unit.conn(), &added, now).await?;
            for (code, (versioned, _)) in &latest {
                if versioned.procedure.catalogue.is_some() && !seen.contains(code) {
                    report.push(Line {
                        name: format!("{}: {code}", manifest.file),
                        outcome: Outcome::Vanished,
                        detail: "no longer in the catalogue; the procedure stays / không còn trong danh mục; thủ tục giữ nguyên"
                            .to_owned(),
                    });
                }
            }
            Ok::<_, Error>(report)
        })
        .await
}

fn differences(entry: &Entry, pack: &Procedure) -> String {
    let found = entry.differences(pack);
    if found.is_empty() {
        "hand-checked pack stands".to_owned()
    } else {
        format!("hand-checked pack stands; {}", found.join("; "))
    }
}

fn take(
    entry: &Entry,
    known: Option<&Versioned>,
    manifest: &Manifest,
    today: jiff::civil::Date,
    added: &mut Vec<NewVersion>,
) -> (Outcome, String) {
    let mut add = |version, effective_from, effective_to, procedure: Procedure| {
        added.push(NewVersion {
            versioned: Versioned {
                version,
                effective_from,
                effective_to,
                procedure: Procedure { version, ..procedure },
            },
            origin: Origin::Catalogue,
            content_sha256: sha256(entry.raw.as_bytes()),
        });
    };
    match known {
        None => {
            add(1, manifest.crawled, None, entry.procedure(manifest));
            (Outcome::Imported, "new".to_owned())
        }
        Some(before) => {
            // A procedure that came from a pack which is no longer shipped keeps what the pack said.
            let Some(line) = &before.procedure.catalogue else {
                return (Outcome::Unchanged, "came from a pack, which stands".to_owned());
            };
            let changed = entry.changed_since(line);
            if changed.is_empty() {
                return (Outcome::Unchanged, String::new());
            }
            let from = manifest.crawled.max(today).max(before.effective_from);
            add(
                before.version + 1,
                from,
                before.effective_to,
                entry.renew(&before.procedure, &changed, manifest),
            );
            (Outcome::Imported, format!("changed: {}", changed.join(", ")))
        }
    }
}

/// Takes the entries of decisions files that are about procedures of the catalogue, each once, each as a version of its own,
/// by the rule of DecideFact.
pub(super) async fn decide(
    database: &Database,
    files: &[(String, Decisions)],
    hand_checked: &BTreeMap<String, Procedure>,
) -> Result<Vec<Line>, Error> {
    let mut report = Vec::new();
    for (name, file) in files {
        for (index, entry) in file.decisions.iter().enumerate() {
            if hand_checked.contains_key(entry.procedure.as_str()) {
                continue;
            }
            let key = serde_json::to_vec(&(&file.by, file.when, &file.basis, file.demonstration, entry))
                .map_err(egov_fault::Fault::internal)?;
            let key = sha256(&key);
            let (outcome, detail) = one(database, file, &entry.what, entry, key).await?;
            report.push(Line {
                name: format!("{name} decision {}: {}", index + 1, entry.procedure),
                outcome,
                detail,
            });
        }
    }
    Ok(report)
}

async fn one(
    database: &Database,
    file: &Decisions,
    subject: &Subject,
    entry: &crate::domain::pack::Decision,
    key: Vec<u8>,
) -> Result<(Outcome, String), Error> {
    let written = database
        .write_unkeyed(&RowScope::none(), async |unit: &mut UnitOfWork<'_>| {
            let code = entry.procedure.to_string();
            procedures::hold(unit.conn(), &code).await?;
            if decisions::is_taken(unit.conn(), &key).await? {
                return Ok((Outcome::Unchanged, String::new()));
            }
            let latest = procedures::latest(unit.conn(), &code)
                .await?
                .ok_or_else(|| Error::ProcedureNotFound(code.clone()))?;
            // The versions that decisions made do not count: an entry is about a version that was imported.
            let imported = decisions::imported_version(unit.conn(), &code).await?;
            if imported != Some(entry.version) {
                return Ok((
                    Outcome::Refused,
                    format!(
                        "is about version {} of {code}; the one imported last is {}",
                        entry.version,
                        imported.unwrap_or_default()
                    ),
                ));
            }
            let ruling = Ruling {
                procedure_code: code,
                subject: subject.clone(),
                basis: entry.basis.as_ref().unwrap_or(&file.basis).clone(),
                note: String::new(),
                effective_from: unit.today().max(latest.effective_from),
            };
            let decider = Decider {
                by: file.by.clone(),
                actor_id: None,
                when: file.when,
                demonstration: file.demonstration,
                supersede: false,
                source_sha256: Some(key),
            };
            let (versioned, _) = add_version(unit, &latest, &ruling, decider).await?;
            Ok::<_, Error>((Outcome::Imported, format!("version {}", versioned.version)))
        })
        .await;
    match written {
        Ok(done) => Ok(done),
        Err(
            refused @ (Error::ProcedureNotFound(_)
            | Error::FactUnknown(_)
            | Error::FactConfirmed(_)
            | Error::DecisionFlawed(_)
            | Error::EffectiveTooEarly(_)),
        ) => Ok((Outcome::Refused, refused.to_string())),
        Err(failed) => Err(failed),
    }
}
