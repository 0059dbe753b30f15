//! Kết quả giải quyết as documents: what is recorded of each, how it is corrected (đính chính) and revoked (thu hồi).
//!
//! A decision issues results, and they stay as they were issued. Whoever amends one adds a version: the newest one counts, and a revocation
//! is the last. A result of which no more than code, number and file was recorded has no version of its own until it is amended: what was
//! issued is its first.
//!
//! * [`Case::describe_results`], [`Case::correct_result`], [`Case::revoke_result`]: the three acts that make versions.
//! * [`listed_versions`]: every version of every result of a case.
//! * [`check_results`]: whether what is stored of them fits together.

mod check;

pub use check::{RecordedResults, RecordedVersion, VersionLeaf, check_results};

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::case::{Case, CaseResult};
use super::pack::Procedure;
use super::statistics::day_of;

/// The kind of resource of leaves: a result, version by version.
pub const KIND: &str = "result_version";

/// Đính chính: the operation in the history. It is no transition.
pub const CORRECT_RESULT: &str = "correct_result";

/// Thu hồi: the operation in the history. It is no transition.
pub const REVOKE_RESULT: &str = "revoke_result";

/// Whether an operation of the history amends a result and leaves the state of the case.
pub fn is_of_results(operation: &str) -> bool {
    [CORRECT_RESULT, REVOKE_RESULT].contains(&operation)
}

/// Hình thức of a result's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileForm {
    /// Bản điện tử gốc.
    ElectronicOriginal,
    /// Bản số hoá of a result on paper.
    DigitisedCopy,
}

impl FileForm {
    /// The number in the contract.
    pub const fn number(self) -> i32 {
        match self {
            Self::ElectronicOriginal => 1,
            Self::DigitisedCopy => 2,
        }
    }

    /// The form of a number.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::ElectronicOriginal, Self::DigitisedCopy]
            .into_iter()
            .find(|form| form.number() == number)
    }
}

/// By what a version came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Ban hành.
    Issued,
    /// Đính chính.
    Corrected,
    /// Thu hồi.
    Revoked,
}

impl Change {
    /// The number in the contract.
    pub const fn number(self) -> i32 {
        match self {
            Self::Issued => 1,
            Self::Corrected => 2,
            Self::Revoked => 3,
        }
    }

    /// The operation of the history by which it is made.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::Issued => "approve",
            Self::Corrected => CORRECT_RESULT,
            Self::Revoked => REVOKE_RESULT,
        }
    }
}

/// Tình trạng of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As it was issued.
    InForce,
    /// Đã đính chính: as its newest version says.
    Corrected,
    /// Đã thu hồi.
    Revoked,
}

impl Standing {
    /// The number in the contract.
    pub const fn number(self) -> i32 {
        match self {
            Self::InForce => 1,
            Self::Corrected => 2,
            Self::Revoked => 3,
        }
    }
}

/// Thông tin mô tả: what is said of a result as a document by who issues or corrects it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Ngày ban hành.
    pub issue_date: Date,
    /// Người ký.
    pub signer_name: String,
    /// Chức vụ of the signer.
    pub signer_title: String,
    /// From this day.
    pub valid_from: Date,
    /// The last day on which it holds, if there is one.
    pub valid_until: Option<Date>,
    /// Hình thức of the file, if there is one.
    pub form: Option<FileForm>,
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("issue_date", &self.issue_date)
            .field("valid_from", &self.valid_from)
            .field("valid_until", &self.valid_until)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

/// What does not fit together in what is said of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It would be issued on a day that has not come.
    IssuedLater,
    /// It ends before it begins.
    EndsFirst,
    /// It has a file of which nobody says whether it is the original.
    FormMissing,
    /// The form of a file that it does not have.
    FormWithoutFile,
}

impl Flaw {
    /// The field of the metadata that is wrong.
    pub const fn field(self) -> &'static str {
        match self {
            Self::IssuedLater => "issue_date",
            Self::EndsFirst => "valid_until",
            Self::FormMissing | Self::FormWithoutFile => "form",
        }
    }
}

impl Metadata {
    /// Everything that does not fit together, of a result that is recorded on this day with a file or without one.
    pub fn flaws(&self, has_file: bool, today: Date) -> Vec<Flaw> {
        let wrong = [
            (self.issue_date > today, Flaw::IssuedLater),
            (
                self.valid_until.is_some_and(|last| last < self.valid_from),
                Flaw::EndsFirst,
            ),
            (has_file && self.form.is_none(), Flaw::FormMissing),
            (!has_file && self.form.is_some(), Flaw::FormWithoutFile),
        ];
        wrong
            .into_iter()
            .filter_map(|(wrong, flaw)| wrong.then_some(flaw))
            .collect()
    }
}

/// The file of a result as it was when the version was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultFile {
    /// Its id.
    pub file_id: Uuid,
    /// Its type, by its content.
    pub media_type: String,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

impl ResultFile {
    /// A file of which no more is known yet than which one it is.
    pub const fn named(file_id: Uuid) -> Self {
        Self {
            file_id,
            media_type: String::new(),
            sha256: String::new(),
        }
    }
}

/// What a version of a result says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wording {
    /// Số, ký hiệu.
    pub number: String,
    /// Its file, if it has one.
    pub file: Option<ResultFile>,
    /// Thông tin mô tả, if any was recorded.
    pub metadata: Option<Metadata>,
}

impl Wording {
    /// True if both say the same: number, which file, and description.
    fn says_the_same_as(&self, other: &Self) -> bool {
        let file = |of: &Self| of.file.as_ref().map(|file| file.file_id);
        self.number == other.number && file(self) == file(other) && self.metadata == other.metadata
    }
}

/// Why a result is amended; all empty for what is issued. `Debug` leaves the words out: an official writes names into them.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Words {
    /// Lý do.
    pub reason: String,
    /// Căn cứ pháp lý.
    pub legal_basis: String,
    /// Số, ký hiệu of the decision by which it is revoked.
    pub decision_number: String,
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words").finish_non_exhaustive()
    }
}

/// One version of a result, with what the case knows of it. Never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultVersion {
    /// The same for all versions of a result.
    pub result_id: Uuid,
    /// From 1.
    pub version: i32,
    /// By what it came about.
    pub change: Change,
    /// The case.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// The version of the case by whose act it was made.
    pub case_version: i64,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// Which result of the case, from 1.
    pub result_number: i32,
    /// Mã kết quả.
    pub result_code: String,
    /// Loại giấy tờ, by the version of the procedure.
    pub title: String,
    /// Đơn vị ban hành: the competent unit that made this version.
    pub unit_id: i32,
    /// Its name then.
    pub unit_name: String,
    /// What it says.
    pub wording: Wording,
    /// Why.
    pub words: Words,
    /// Who made it.
    pub actor_id: Uuid,
    /// When.
    pub time: Timestamp,
}

/// By whom and when a version is made, and what is taken from around the case.
#[derive(Debug, Clone, Copy)]
pub struct Making<'a> {
    /// The version by which the case is handled: it names its results.
    pub procedure: &'a Procedure,
    /// The name of the competent unit today.
    pub unit_name: &'a str,
    /// Who acts.
    pub actor_id: Uuid,
    /// Now.
    pub now: Timestamp,
}

/// Why something about a result is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResultRefused {
    /// The case has no result of this number.
    #[error("there is no result {0}")]
    NotFound(i32),
    /// It was revoked.
    #[error("result {0} was revoked")]
    Revoked(i32),
    /// The correction says what the result says already.
    #[error("nothing of result {0} would change")]
    Unchanged(i32),
    /// What is said of it does not fit together: each flaw with where the description stands in the request.
    #[error("the description of a result does not fit together: {}", .0.iter().map(|(place, flaw)| format!("{place}.{}", flaw.field())).collect::<Vec<_>>().join(", "))]
    Flawed(Vec<(String, Flaw)>),
}

/// The number of a result by its place in the case.
fn number_at(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX).saturating_add(1)
}

impl CaseResult {
    /// A result as it is issued, of which no version was recorded.
    pub const fn issued(result_code: String, number: String, file_id: Option<Uuid>) -> Self {
        Self {
            result_code,
            number,
            file_id,
            versions: Vec::new(),
        }
    }

    /// The version that counts, if one was recorded.
    pub fn newest(&self) -> Option<&ResultVersion> {
        self.versions.last()
    }

    /// The number of the version that counts.
    pub fn version(&self) -> i32 {
        self.newest().map_or(1, |newest| newest.version)
    }

    /// Tình trạng.
    pub fn standing(&self) -> Standing {
        match self.newest().map(|newest| newest.change) {
            None | Some(Change::Issued) => Standing::InForce,
            Some(Change::Corrected) => Standing::Corrected,
            Some(Change::Revoked) => Standing::Revoked,
        }
    }

    /// Số, ký hiệu as it stands now.
    pub fn number_now(&self) -> &str {
        self.newest()
            .map_or(self.number.as_str(), |newest| newest.wording.number.as_str())
    }

    /// The file as it stands now.
    pub fn file_now(&self) -> Option<Uuid> {
        match self.newest() {
            Some(newest) => newest.wording.file.as_ref().map(|file| file.file_id),
            None => self.file_id,
        }
    }

    /// Thông tin mô tả as it stands now, if any was recorded.
    pub fn metadata_now(&self) -> Option<&Metadata> {
        self.newest()?.wording.metadata.as_ref()
    }

    /// What it says now.
    fn wording_now(&self) -> Wording {
        match self.newest() {
            Some(newest) => newest.wording.clone(),
            None => self.wording_as_issued(),
        }
    }

    /// What it said when it was issued, as far as the case alone knows it.
    fn wording_as_issued(&self) -> Wording {
        Wording {
            number: self.number.clone(),
            file: self.file_id.map(ResultFile::named),
            metadata: None,
        }
    }
}

impl Case {
    /// Ban hành: records what was said of the results by the decision that has just been made, in their order.
    pub fn describe_results(
        &mut self,
        said: Vec<Option<Metadata>>,
        mut new_id: impl FnMut() -> Uuid,
        making: &Making<'_>,
    ) -> Result<(), ResultRefused> {
        let today = day_of(making.now);
        let flaws: Vec<(String, Flaw)> = self
            .results
            .iter()
            .zip(&said)
            .enumerate()
            .filter_map(|(place, (result, said))| Some((place, result, said.as_ref()?)))
            .flat_map(|(place, result, said)| {
                let flaws = said.flaws(result.file_id.is_some(), today);
                flaws
                    .into_iter()
                    .map(move |flaw| (format!("results[{place}].metadata"), flaw))
            })
            .collect();
        if !flaws.is_empty() {
            return Err(ResultRefused::Flawed(flaws));
        }
        for (place, said) in said.into_iter().enumerate() {
            let Some((metadata, result)) = said.zip(self.results.get(place)) else {
                continue;
            };
            let wording = Wording {
                metadata: Some(metadata),
                ..result.wording_as_issued()
            };
            self.add_version(place, (Change::Issued, wording), Words::default(), new_id(), making);
        }
        Ok(())
    }

    /// Đính chính of the result of this number: another wording takes the place of the one before. Not a transition: the state stays.
    pub fn correct_result(
        &mut self,
        number: i32,
        wording: Wording,
        words: Words,
        new_id: Uuid,
        making: &Making<'_>,
    ) -> Result<(), ResultRefused> {
        let place = self.place_of_standing(number)?;
        let has_file = wording.file.is_some();
        let said = wording.metadata.iter();
        let flaws: Vec<(String, Flaw)> = said
            .flat_map(|said| said.flaws(has_file, day_of(making.now)))
            .map(|flaw| ("metadata".to_owned(), flaw))
            .collect();
        if !flaws.is_empty() {
            return Err(ResultRefused::Flawed(flaws));
        }
        let same = |result: &CaseResult| result.wording_now().says_the_same_as(&wording);
        if self.results.get(place).is_some_and(same) {
            return Err(ResultRefused::Unchanged(number));
        }
        self.version = self.version.saturating_add(1);
        self.add_version(place, (Change::Corrected, wording), words, new_id, making);
        Ok(())
    }

    /// Thu hồi of the result of this number: it stands no more, and nothing of it changes afterwards. Not a transition: the state stays.
    pub fn revoke_result(
        &mut self,
        number: i32,
        words: Words,
        new_id: Uuid,
        making: &Making<'_>,
    ) -> Result<(), ResultRefused> {
        let place = self.place_of_standing(number)?;
        let wording = self
            .results
            .get(place)
            .map(CaseResult::wording_now)
            .ok_or(ResultRefused::NotFound(number))?;
        self.version = self.version.saturating_add(1);
        self.add_version(place, (Change::Revoked, wording), words, new_id, making);
        Ok(())
    }

    /// The place of a result that was not revoked.
    fn place_of_standing(&self, number: i32) -> Result<usize, ResultRefused> {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let found = place.and_then(|place| Some((place, self.results.get(place)?)));
        let (place, result) = found.ok_or(ResultRefused::NotFound(number))?;
        if result.standing() == Standing::Revoked {
            return Err(ResultRefused::Revoked(number));
        }
        Ok(place)
    }

    /// Adds a version that the act makes by which the case has the version that it has now.
    fn add_version(
        &mut self,
        place: usize,
        (change, wording): (Change, Wording),
        words: Words,
        new_id: Uuid,
        making: &Making<'_>,
    ) {
        let (case_id, case_version, unit_id) = (self.case_id, self.version, self.responsible_unit_id);
        let (case_code, procedure_code) = (self.case_code.clone(), self.procedure_code.clone());
        let Some(result) = self.results.get_mut(place) else {
            return;
        };
        let known = making.procedure.result(&result.result_code);
        let made = ResultVersion {
            result_id: result.versions.first().map_or(new_id, |first| first.result_id),
            version: match change {
                Change::Issued => 1,
                Change::Corrected | Change::Revoked => result.version().saturating_add(1),
            },
            change,
            case_id,
            case_code,
            case_version,
            procedure_code,
            result_number: number_at(place),
            result_code: result.result_code.clone(),
            title: known.map_or_else(|| result.result_code.clone(), |known| known.name.clone()),
            unit_id,
            unit_name: making.unit_name.to_owned(),
            wording,
            words,
            actor_id: making.actor_id,
            time: making.now,
        };
        result.versions.push(made);
    }

    /// The versions of results that the act made by which the case has the version that it has now.
    pub fn versions_made(&self) -> impl Iterator<Item = &ResultVersion> {
        let case_version = self.version;
        let versions = self.results.iter().flat_map(|result| &result.versions);
        versions.filter(move |made| made.case_version == case_version)
    }

    /// Writes into these versions what is known of their files: how many files are not among those that are known.
    pub fn learn_files(&mut self, known: &[ResultFile]) -> u64 {
        let case_version = self.version;
        let versions = self.results.iter_mut().flat_map(|result| &mut result.versions);
        let made = versions.filter(|made| made.case_version == case_version);
        let mut unknown = 0;
        for file in made.filter_map(|made| made.wording.file.as_mut()) {
            match known.iter().find(|one| one.file_id == file.file_id) {
                Some(one) => file.clone_from(one),
                None => unknown += 1,
            }
        }
        unknown
    }
}

/// A version of a result as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    /// Which result of the case, from 1.
    pub result_number: i32,
    /// From 1.
    pub version: i32,
    /// True if it is the newest one.
    pub is_current: bool,
    /// Mã kết quả.
    pub result_code: String,
    /// Số, ký hiệu.
    pub number: String,
    /// Its file.
    pub file_id: Option<Uuid>,
    /// What was recorded of it; none of a first version of which nothing more was said.
    pub recorded: Option<ResultVersion>,
}

/// Every version of every result of a case: by number of the result, then by version.
pub fn listed_versions(case: &Case) -> Vec<ListedVersion> {
    let mut listed = Vec::new();
    for (place, result) in case.results.iter().enumerate() {
        let newest = result.version();
        let first = result.versions.first();
        if first.is_none_or(|first| first.version > 1) {
            listed.push(ListedVersion {
                result_number: number_at(place),
                version: 1,
                is_current: newest == 1,
                result_code: result.result_code.clone(),
                number: result.number.clone(),
                file_id: result.file_id,
                recorded: None,
            });
        }
        listed.extend(result.versions.iter().map(|one| ListedVersion {
            result_number: number_at(place),
            version: one.version,
            is_current: one.version == newest,
            result_code: result.result_code.clone(),
            number: one.wording.number.clone(),
            file_id: one.wording.file.as_ref().map(|file| file.file_id),
            recorded: Some(one.clone()),
        }));
    }
    listed
}

#[cfg(test)]
mod tests;
