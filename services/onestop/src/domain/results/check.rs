//! Whether what is stored of the results of a case fits together: their versions, the history that made them, their files.

use jiff::civil::Date;
use uuid::Uuid;

use super::{Change, Metadata, ResultFile, ResultVersion, is_of_results, number_at};
use crate::domain::case::{Case, CaseResult};
use crate::domain::listing::HistoryEntry;
use crate::domain::statistics::day_of;
use crate::domain::verify::MOVE_UNIT;

/// A version as it is stored: its row, whose content the ledger commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedVersion {
    /// The place of the result in the case, from 0.
    pub position: i32,
    /// Of the row.
    pub version: i32,
    /// Of the row.
    pub result_id: Uuid,
    /// Of the row.
    pub case_version: i64,
    /// JSON, word for word.
    pub content: String,
}

impl RecordedVersion {
    /// The version that the row holds; none if its content cannot be read.
    pub fn read(&self) -> Option<ResultVersion> {
        serde_json::from_str(&self.content).ok()
    }
}

/// A leaf of a version as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionLeaf {
    /// Of which result.
    pub result_id: Uuid,
    /// Of which version of it.
    pub version: i64,
    /// The commitment.
    pub commitment: Vec<u8>,
    /// Its salt; none if it is not there.
    pub salt: Option<Vec<u8>>,
}

/// What is stored of the versions of the results of a case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordedResults {
    /// Their rows; those that can be read are the case's.
    pub versions: Vec<RecordedVersion>,
    /// The files of the case that they name, as they are.
    pub files: Vec<ResultFile>,
    /// Their leaves.
    pub leaves: Vec<VersionLeaf>,
}

/// Everything that does not fit of the results of a case. `commit` is how a leaf commits to bytes with its salt.
pub fn check_results(
    case: &Case,
    history: &[HistoryEntry],
    recorded: &RecordedResults,
    commit: fn(&[u8], &[u8]) -> [u8; 32],
) -> Vec<String> {
    let mut wrong = Vec::new();
    leaves(recorded, commit, &mut |what| wrong.push(what));
    for row in &recorded.versions {
        match row.read() {
            None => wrong.push(format!(
                "result {}: version {} cannot be read",
                row.position + 1,
                row.version
            )),
            Some(said) if is_of_row(&said, row) => {}
            Some(_) => wrong.push(format!(
                "result {}: the row of version {} is not what it holds",
                row.position + 1,
                row.version
            )),
        }
    }
    for (place, result) in case.results.iter().enumerate() {
        let mut say = |what: String| wrong.push(format!("result {}: {what}", number_at(place)));
        chain(result, &mut say);
        for version in &result.versions {
            facts(case, (place, result), version, &mut say);
            made_by(history, version, &mut say);
            unit(case, history, version, &mut say);
            file(&recorded.files, version, &mut say);
        }
    }
    for entry in history.iter().filter(|entry| is_of_results(&entry.operation)) {
        let versions = case.results.iter().flat_map(|result| &result.versions);
        let made = versions.filter(|one| one.case_version == entry.version).count();
        if made != 1 {
            wrong.push(format!(
                "version {} of the case made {made} versions of results",
                entry.version
            ));
        }
    }
    let mut ids: Vec<Uuid> = case
        .results
        .iter()
        .filter_map(|result| result.versions.first())
        .map(|first| first.result_id)
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != all {
        wrong.push("two results have one id".to_owned());
    }
    wrong
}

/// Each version has one leaf, which commits to its content, and no leaf speaks of a version that there is not.
fn leaves(recorded: &RecordedResults, commit: fn(&[u8], &[u8]) -> [u8; 32], say: &mut impl FnMut(String)) {
    let same = |row: &RecordedVersion, leaf: &VersionLeaf| {
        row.result_id == leaf.result_id && i64::from(row.version) == leaf.version
    };
    for row in &recorded.versions {
        let (number, version) = (row.position + 1, row.version);
        let of_row: Vec<&VersionLeaf> = recorded.leaves.iter().filter(|leaf| same(row, leaf)).collect();
        let [leaf] = of_row.as_slice() else {
            say(format!(
                "result {number}: version {version} has {} leaves",
                of_row.len()
            ));
            continue;
        };
        // Without its salt, which may have been erased, a leaf says nothing.
        if let Some(salt) = &leaf.salt
            && commit(salt, row.content.as_bytes()).as_slice() != leaf.commitment
        {
            say(format!(
                "result {number}: version {version} is not what its leaf commits to"
            ));
        }
    }
    for leaf in &recorded.leaves {
        if !recorded.versions.iter().any(|row| same(row, leaf)) {
            say(format!("a leaf speaks of a version {} that there is not", leaf.version));
        }
    }
}

fn is_of_row(said: &ResultVersion, row: &RecordedVersion) -> bool {
    said.result_number.checked_sub(1) == Some(row.position)
        && said.version == row.version
        && said.result_id == row.result_id
        && said.case_version == row.case_version
}

/// Versions run on without a gap, from 1, or from 2 where nothing was recorded of the first; a revocation is the last and repeats what it
/// revokes.
fn chain(result: &CaseResult, say: &mut impl FnMut(String)) {
    let Some(first) = result.versions.first() else {
        return;
    };
    let begins = match first.change {
        Change::Issued => first.version == 1,
        Change::Corrected | Change::Revoked => first.version == 2,
    };
    let numbers: Vec<i32> = result.versions.iter().map(|one| one.version).collect();
    if !begins || !numbers.iter().copied().eq((first.version..).take(numbers.len())) {
        say(format!("its versions are {numbers:?}"));
    }
    for (before, one) in result.versions.iter().zip(result.versions.iter().skip(1)) {
        if before.change == Change::Revoked {
            say(format!("version {} follows its revocation", one.version));
        }
        if one.change == Change::Issued {
            say(format!("version {} issues it once more", one.version));
        }
        if one.result_id != first.result_id {
            say(format!("version {} has another id", one.version));
        }
        if one.change == Change::Revoked && !one.wording.says_the_same_as(&before.wording) {
            say(format!("version {} revokes what it was not", one.version));
        }
        if one.case_version <= before.case_version {
            say(format!(
                "version {} was made before the one that it follows",
                one.version
            ));
        }
    }
    if first.change != Change::Corrected {
        let mut issued = result.wording_as_issued();
        issued.metadata.clone_from(&first.wording.metadata);
        let described_late = first.change == Change::Revoked && first.wording.metadata.is_some();
        if described_late || !first.wording.says_the_same_as(&issued) {
            say(format!("version {} is not what was issued", first.version));
        }
    }
}

/// What a version repeats of the case is the case's, and what it says fits together.
fn facts(case: &Case, (place, result): (usize, &CaseResult), version: &ResultVersion, say: &mut impl FnMut(String)) {
    let said = (
        version.case_id,
        version.case_code.as_str(),
        version.procedure_code.as_str(),
        version.result_code.as_str(),
        version.result_number,
    );
    let of_case = (
        case.case_id,
        case.case_code.as_str(),
        case.procedure_code.as_str(),
        result.result_code.as_str(),
        number_at(place),
    );
    if said != of_case {
        say(format!(
            "version {} says {said:?} instead of {of_case:?}",
            version.version
        ));
    }
    let day: Date = day_of(version.time);
    let flaws = |said: &Metadata| said.flaws(version.wording.file.is_some(), day);
    let flaws = version.wording.metadata.as_ref().map(flaws).unwrap_or_default();
    if !flaws.is_empty() {
        say(format!("version {}: {flaws:?}", version.version));
    }
}

/// The history names the act by which a version was made, with its time and its reason.
fn made_by(history: &[HistoryEntry], version: &ResultVersion, say: &mut impl FnMut(String)) {
    let act = history.iter().find(|entry| entry.version == version.case_version);
    let told = act.is_some_and(|entry| {
        let same_words = version.change == Change::Issued
            || (entry.reason == version.words.reason && entry.legal_basis == version.words.legal_basis);
        entry.operation == version.change.operation()
            && entry.record_time == version.time
            && entry.actor_id == version.actor_id
            && same_words
    });
    if !told {
        say(format!(
            "version {} was made by version {} of the case, which was no such act",
            version.version, version.case_version
        ));
    }
}

/// The unit that made a version is the case's, unless the case moved afterwards.
fn unit(case: &Case, history: &[HistoryEntry], version: &ResultVersion, say: &mut impl FnMut(String)) {
    let moved = history
        .iter()
        .any(|entry| entry.operation == MOVE_UNIT && entry.version > version.case_version);
    if !moved && version.unit_id != case.responsible_unit_id {
        say(format!(
            "version {} is of unit {} instead of {}",
            version.version, version.unit_id, case.responsible_unit_id
        ));
    }
}

/// The file is one of the case, and is what it was.
fn file(files: &[ResultFile], version: &ResultVersion, say: &mut impl FnMut(String)) {
    if let Some(named) = &version.wording.file
        && !files.contains(named)
    {
        say(format!("version {}: its file is not what it was", version.version));
    }
}
