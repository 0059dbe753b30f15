//! What lists and look-ups show of cases, their history, files and procedures, and how a list is narrowed.

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::charge::{Unsettled, UnsettledState};
use super::pack::{FactKind, Procedure};
use super::party::words;
use super::search::{Order, Place};
use super::transitions::State;

/// A case as a list shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Summary {
    /// Id.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// Trạng thái.
    pub state: State,
    /// The finer step.
    pub step: String,
    /// Tên chủ hồ sơ.
    pub owner_name: String,
    /// The citizen's account, if the case came with an eID.
    pub owner_id: Option<Uuid>,
    /// Cơ quan có thẩm quyền.
    pub responsible_unit_id: i32,
    /// Thời điểm nộp.
    pub submit_time: Timestamp,
    /// Ngày hẹn trả.
    pub due_date: Option<Date>,
}

/// What a list of cases is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    /// Only these national codes; all if empty.
    pub states: Vec<i16>,
    /// Only these procedures; all if empty.
    pub procedure_codes: Vec<String>,
    /// Only this responsible unit.
    pub unit_id: Option<i32>,
    /// Only what is due on or after this day.
    pub due_from: Option<Date>,
    /// Only what is due on or before this day.
    pub due_until: Option<Date>,
    /// Only what was filed on or after this day, in Việt Nam.
    pub filed_from: Option<Date>,
    /// Only what was filed on or before this day, in Việt Nam.
    pub filed_until: Option<Date>,
    /// In which order.
    pub order: Order,
}

/// Of so many procedures there are cases among the last ones of any unit.
const MANY_PROCEDURES: usize = 50;

impl CaseFilter {
    /// Whether it keeps every case.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
            && self.procedure_codes.is_empty()
            && self.unit_id.is_none()
            && self.due_from.is_none()
            && self.due_until.is_none()
            && self.filed_from.is_none()
            && self.filed_until.is_none()
    }

    /// Whether it keeps the cases of many procedures, and asks for nothing else: what an officer who is responsible for a field looks at.
    pub fn is_many_procedures(&self) -> bool {
        let rest = Self {
            procedure_codes: Vec::new(),
            ..self.clone()
        };
        self.procedure_codes.len() >= MANY_PROCEDURES && rest.is_empty()
    }
}

/// Where a page of a list, newest first, begins: after this case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct After {
    /// Its time of filing.
    pub submit_time: Timestamp,
    /// Its id, which breaks ties.
    pub case_id: Uuid,
}

impl Summary {
    /// Where the next page of a list in this order begins.
    pub fn place(&self, order: Order) -> Place {
        let newest = || {
            Place::Time(After {
                submit_time: self.submit_time,
                case_id: self.case_id,
            })
        };
        match order {
            Order::Newest => newest(),
            // A list by due date shows none without one.
            Order::Due => self.due_date.map_or_else(newest, |due_date| Place::Due {
                due_date,
                case_id: self.case_id,
            }),
            Order::Code => Place::Code {
                case_code: self.case_code.clone(),
            },
        }
    }
}

/// What the list of cases that will be late is narrowed to.
#[derive(Debug, Clone)]
pub struct AtRiskFilter {
    /// Will be late if nothing happens until then.
    pub as_of: Timestamp,
    /// Only this responsible unit.
    pub unit_id: Option<i32>,
    /// Only this procedure.
    pub procedure_code: Option<String>,
    /// Only at this step.
    pub step: Option<String>,
}

/// Where a page of a list by due date begins: after this case.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AfterDue {
    /// Due.
    pub due_time: Timestamp,
    /// Its id, which breaks ties.
    pub case_id: Uuid,
}

/// A charge that is not settled, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsettledCharge {
    /// The case.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// Cơ quan có thẩm quyền.
    pub responsible_unit_id: i32,
    /// The citizen's account, if the case came with an eID.
    pub owner_id: Option<Uuid>,
    /// What of it is not settled.
    pub unsettled: Unsettled,
    /// Since when it has not been, without a break.
    pub since: Timestamp,
}

/// What the list of unsettled charges is narrowed to.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnsettledFilter {
    /// Only this responsible unit.
    pub unit_id: Option<i32>,
    /// Only what is not settled for this reason.
    pub state: Option<UnsettledState>,
}

/// Where a page of unsettled charges begins: after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AfterSince {
    /// Since when it is not settled.
    pub since: Timestamp,
    /// Its case, which breaks ties.
    pub case_id: Uuid,
}

/// The open cases of a unit and procedure at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForecastGroup {
    /// Cơ quan có thẩm quyền.
    pub responsible_unit_id: i32,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// The step.
    pub step: String,
    /// How many are open.
    pub open: i64,
    /// Their clock stands still.
    pub paused: i64,
    /// They will be late.
    pub at_risk: i64,
    /// They are late.
    pub overdue: i64,
    /// The earliest due date of those whose clock runs.
    pub next_due: Option<Timestamp>,
}

/// Where a page of these groups begins: after this one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AfterPlace {
    /// Its unit.
    pub responsible_unit_id: i32,
    /// Its procedure.
    pub procedure_code: String,
    /// Its step.
    pub step: String,
}

/// A due date that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlineChanged {
    /// The case.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// The citizen's account, where a list has read it.
    pub owner_id: Option<Uuid>,
    /// The version of the case that it made.
    pub version: i64,
    /// 1 a pause ended, 2 extended, 3 the calendar changed.
    pub cause: i16,
    /// Due before.
    pub old_due_time: Timestamp,
    /// Due after.
    pub new_due_time: Timestamp,
    /// Version of the calendar before.
    pub old_calendar: String,
    /// Version of the calendar after.
    pub new_calendar: String,
    /// Cơ quan có thẩm quyền at that time.
    pub responsible_unit_id: i32,
    /// When.
    pub change_time: Timestamp,
}

/// What the list of changes is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct ChangeFilter {
    /// Only this responsible unit.
    pub unit_id: Option<i32>,
    /// Only this cause.
    pub cause: Option<i16>,
}

/// Where a page of changes, the latest first, begins: after this one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AfterChange {
    /// When.
    pub change_time: Timestamp,
    /// Its case.
    pub case_id: Uuid,
    /// The version that it made.
    pub version: i64,
}

/// A notice that was given about a due date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeGiven {
    /// Which.
    pub kind: super::forecast::NoticeKind,
    /// About which due date.
    pub due_time: Timestamp,
    /// When.
    pub notice_time: Timestamp,
}

/// One entry of the history (phiếu kiểm soát quá trình giải quyết).
#[derive(Clone)]
pub struct HistoryEntry {
    /// Version of the case that it made.
    pub version: i64,
    /// submit, accept, …, rate.
    pub operation: String,
    /// State before; none for the first.
    pub from_state: Option<State>,
    /// State after.
    pub to_state: State,
    /// The finer step after.
    pub step: String,
    /// Who did it.
    pub actor_id: Uuid,
    /// staff, citizen or system.
    pub actor_kind: String,
    /// The citizen for whom a system acted, or the account in whose name a member of staff acted by delegation.
    pub on_behalf_of: Option<Uuid>,
    /// Why, as given.
    pub reason: String,
    /// Legal basis, as given.
    pub legal_basis: String,
    /// What changed, without personal data.
    pub details: serde_json::Value,
    /// When it was recorded.
    pub record_time: Timestamp,
}

/// In the details of an entry: kết luận of the step that was recorded, or what stands for it under the version to which the case went over.
/// By it the next step follows.
pub const OUTCOME: &str = "outcome";

/// In the details of an entry: kết luận under the version that the case had, where another stands for it in the new one.
pub const FROM_OUTCOME: &str = "from_outcome";

/// In the details of an entry: true if its reason was said to the applicant.
pub const FOR_APPLICANT: &str = "for_applicant";

impl HistoryEntry {
    /// The outcome of the step that was recorded, or under the version to which the case went over; empty if it had none.
    pub fn outcome(&self) -> &str {
        self.detail(OUTCOME).unwrap_or_default()
    }

    /// The outcome in whose place that stands; empty if in no other's.
    pub fn from_outcome(&self) -> &str {
        self.detail(FROM_OUTCOME).unwrap_or_default()
    }

    /// Whether the entry says to which outcome the step came, be it to none.
    pub fn says_outcome(&self) -> bool {
        self.detail(OUTCOME).is_some()
    }

    fn detail(&self, name: &str) -> Option<&str> {
        self.details.get(name).and_then(serde_json::Value::as_str)
    }

    /// True if the act inside the office said its reason to the applicant.
    pub fn is_for_applicant(&self) -> bool {
        self.details.get(FOR_APPLICANT) == Some(&serde_json::Value::Bool(true))
    }
}

/// A finished file; its content is in the file store under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Id.
    pub file_id: Uuid,
    /// Who may use it until a case takes it.
    pub owner_id: Uuid,
    /// Tên tệp.
    pub name: String,
    /// Type found in the content.
    pub media_type: String,
    /// Bytes.
    pub size: i64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its name in the file store.
    pub store_key: String,
    /// When the upload was finished.
    pub create_time: Timestamp,
    /// The case it belongs to.
    pub case_id: Option<Uuid>,
    /// The citizen whose case it belongs to.
    pub case_owner_id: Option<Uuid>,
}

/// A version of a procedure as it is kept.
#[derive(Debug, Clone)]
pub struct Versioned {
    /// Its number.
    pub version: i32,
    /// In force from this day.
    pub effective_from: Date,
    /// In force until this day (exclusive).
    pub effective_to: Option<Date>,
    /// What it says.
    pub procedure: Procedure,
}

impl Versioned {
    /// The etag of this version. It names the procedure too, so that an etag of another one never fits.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.procedure.code, self.version)
    }
}

/// Where a version comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A hand-checked pack.
    Pack,
    /// A line of the catalogue.
    Catalogue,
    /// A decision on the version before.
    Decision,
    /// A draft that was published.
    Draft,
}

/// A version to be added.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// The version.
    pub versioned: Versioned,
    /// Where it comes from.
    pub origin: Origin,
    /// SHA-256 of what it was made from.
    pub content_sha256: Vec<u8>,
}

/// A procedure that a search found.
#[derive(Debug, Clone)]
pub struct FoundProcedure {
    /// The version in force.
    pub versioned: Versioned,
    /// How well it fits.
    pub rank: i32,
}

/// Where a page of a search, the best first, begins: after this procedure.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ranked {
    /// How well it fits.
    pub rank: i32,
    /// Its code, which breaks ties.
    pub procedure_code: String,
}

/// What a list of procedures is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcedureFilter {
    /// Only this sector.
    pub sector_code: Option<String>,
    /// Only this level.
    pub level: Option<String>,
    /// Words of name or sector without diacritics, or codes, or their beginnings; all must occur.
    pub words: Vec<String>,
}

impl ProcedureFilter {
    /// What a search text narrows the list to: codes or their beginnings, and words.
    pub fn searching(query: &str) -> Self {
        let (codes, others): (Vec<&str>, Vec<&str>) = query.split_whitespace().partition(|part| is_code_like(part));
        let mut found = words(&others.join(" "));
        // The longest words are the rarest: those that are dropped would have narrowed least.
        found.sort_by_key(|word| std::cmp::Reverse(word.len()));
        found.splice(0..0, codes.into_iter().map(str::to_owned));
        found.dedup();
        found.truncate(MOST_WORDS);
        Self {
            words: found,
            ..Self::default()
        }
    }
}

/// True for a code or its beginning: `1.`, `1.0011`, `1.000894.01`.
fn is_code_like(part: &str) -> bool {
    part.starts_with(|first: char| first.is_ascii_digit())
        && part.contains('.')
        && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

impl Procedure {
    /// The words by which it is found, with their weights: its code 3, its name 2, its sector 1.
    pub fn search_words(&self) -> std::collections::BTreeMap<String, i16> {
        let sector = words(&self.sector.name).into_iter().map(|word| (word, 1));
        let name = words(&self.name).into_iter().map(|word| (word, 2));
        sector.chain(name).chain([(self.code.to_string(), 3)]).collect()
    }
}

/// What the list of open facts is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct FactFilter {
    /// Only of these procedures.
    pub procedures: ProcedureFilter,
    /// Only this kind.
    pub kind: Option<FactKind>,
    /// Also what was decided for a demonstration.
    pub production: bool,
}

/// Where a page of open facts begins: after this one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AfterFact {
    /// Its procedure.
    pub procedure_code: String,
    /// Its kind.
    pub kind: String,
}

/// What is to be decided of one kind in a procedure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Mã thủ tục.
    pub procedure_code: String,
    /// The latest version.
    pub version: i32,
    /// Tên thủ tục.
    pub name: String,
    /// Mã lĩnh vực.
    pub sector_code: String,
    /// Lĩnh vực.
    pub sector_name: String,
    /// Cấp thực hiện.
    pub levels: Vec<String>,
    /// The kind.
    pub kind: String,
    /// The facts.
    pub paths: Vec<String>,
    /// What their source says.
    pub raw: String,
}

/// Quyết định about facts of a procedure, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Mã thủ tục.
    pub procedure_code: String,
    /// The version that it made.
    pub version: i32,
    /// Id.
    pub decision_id: Uuid,
    /// The kind of fact.
    pub kind: String,
    /// The facts that it settled.
    pub paths: Vec<String>,
    /// What was decided, as a decisions file writes it.
    pub value: serde_json::Value,
    /// Who, in words.
    pub decided_by: String,
    /// Whose account; none for a decisions file.
    pub actor_id: Option<Uuid>,
    /// Căn cứ.
    pub basis: String,
    /// Ghi chú.
    pub note: String,
    /// In force from this day.
    pub effective_from: Date,
    /// When it was decided.
    pub decide_time: Timestamp,
    /// SHA-256 of the entry of a decisions file.
    pub source_sha256: Option<Vec<u8>>,
    /// True if a later one has taken its place.
    pub superseded: bool,
}

/// Most words that a search for procedures looks for; more make it no more precise.
const MOST_WORDS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_procedure_is_searched_by_codes_and_words_without_diacritics() {
        assert_eq!(ProcedureFilter::searching(" 1.0011 ").words, ["1.0011"]);
        let words = ProcedureFilter::searching("Đăng ký khai SINH 1.001193").words;
        assert_eq!(words, ["1.001193", "dang", "khai", "sinh", "ky"]);
        let decomposed: String = unicode_normalization::UnicodeNormalization::nfd("ĐĂNG KÝ").collect();
        assert_eq!(ProcedureFilter::searching(&decomposed).words, ["dang", "ky"]);
    }

    #[test]
    fn a_wildcard_is_no_word() {
        assert!(ProcedureFilter::searching("%_\\").words.is_empty());
    }
}
