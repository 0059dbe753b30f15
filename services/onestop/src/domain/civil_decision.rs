//! Quyết định hộ tịch: cases whose approval is a decision that is entered in a book of civil status before the case is completed.
//!
//! Approving such a case records the decision. The national state stays 4: inside the office the case waits for the book (chờ vào sổ). The civil
//! registry enters what was decided, and tells; then the case is completed (9) with the entry as its result. What the registry cannot enter comes
//! back, and is decided again.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use uuid::Uuid;

use super::case::{ActRefused, Case};
use super::definition::Done;
use super::transitions::{Operation, State, Transitions};

/// Chờ vào sổ: the step of a case whose decision is not entered yet. It is a step of no procedure: nobody in the office does it.
pub const AWAITS_BOOK: &str = "cho_vao_so";

/// Phê duyệt of a case that goes into a book: the operation in the history. It is no transition.
pub const DECIDE: &str = "decide";

/// Trả lại quyết định: the registry cannot enter it. The operation in the history. It is no transition.
pub const RETURN_DECISION: &str = "return_decision";

/// What becomes of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionState {
    /// Chờ vào sổ.
    Waiting,
    /// Đã vào sổ.
    Entered,
    /// Trả lại.
    Returned,
}

impl DecisionState {
    /// Its number in the store and in the contract.
    pub const fn number(self) -> i16 {
        match self {
            Self::Waiting => 1,
            Self::Entered => 2,
            Self::Returned => 3,
        }
    }

    /// The state of a number.
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Waiting, Self::Entered, Self::Returned]
            .into_iter()
            .find(|state| state.number() == number)
    }
}

/// Who signs what is entered, and who did the work: what the book says beside what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// Số quyết định; empty if the decision has none.
    pub number: String,
    /// Người ký.
    pub signer_name: String,
    /// Chức vụ.
    pub signer_title: String,
    /// By what a signer signs whose title does not; empty if it does.
    pub signer_authorisation: String,
    /// Người thực hiện.
    pub performer_name: String,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CivilDecision {
    /// Id.
    pub decision_id: Uuid,
    /// Of this case.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// Who decided it.
    pub responsible_unit_id: i32,
    /// The day: the book's year is its year.
    pub decision_date: Date,
    /// Who signs.
    pub signing: Signing,
    /// What became of it.
    pub state: DecisionState,
    /// Where the case stood before, for when it comes back: the step and its outcome.
    pub before: (String, String),
    /// When it was recorded.
    pub record_time: Timestamp,
}

/// What is entered, as the registry tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// The entry.
    pub entry_id: Uuid,
    /// Số as it is printed, e.g. `01/2026`.
    pub printed_number: String,
    /// Ngày đăng ký.
    pub registration_date: Date,
    /// The certificate, a finished upload of the registry; none if there is none yet.
    pub file_id: Option<Uuid>,
}

/// Why a pack cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CivilPackError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// Which.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML of this shape.
    #[error("{file}: {source}")]
    Malformed {
        /// Which.
        file: String,
        /// Why.
        source: toml::de::Error,
    },
    /// A procedure is named twice for one day.
    #[error("{0} is named twice for one day")]
    Twice(String),
}

#[derive(Debug, Clone, Deserialize)]
struct Pack {
    effective_from: Date,
    #[serde(default)]
    effective_to: Option<Date>,
    procedure: Vec<Row>,
}

#[derive(Debug, Clone, Deserialize)]
struct Row {
    code: String,
    result: String,
}

/// A procedure that goes into a book, from a day until another one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    from: Date,
    to: Option<Date>,
    result: String,
}

/// Which procedures are decided for a book, as the packs have it (`civil-registry/cases/*.toml`). Empty where no civil registry takes decisions: then
/// an approval completes every case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookProcedures(BTreeMap<String, Vec<Kept>>);

impl BookProcedures {
    /// Reads the packs of a folder.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn read(folder: &Path) -> Result<Self, CivilPackError> {
        let unreadable = |file: &Path| {
            let file = file.display().to_string();
            move |source| CivilPackError::Unreadable { file, source }
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
            let file = entry.map_err(unreadable(folder))?.path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                files.push(file);
            }
        }
        files.sort();
        let mut texts = Vec::with_capacity(files.len());
        for file in files {
            let text = std::fs::read_to_string(&file).map_err(unreadable(&file))?;
            texts.push((file.display().to_string(), text));
        }
        Self::from_texts(texts)
    }

    /// Reads packs, each with the name of its file.
    ///
    /// # Errors
    /// The first one that cannot be used.
    pub fn from_texts(texts: impl IntoIterator<Item = (String, String)>) -> Result<Self, CivilPackError> {
        let mut procedures: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
        for (file, text) in texts {
            let pack: Pack = toml::from_str(&text).map_err(|source| CivilPackError::Malformed { file, source })?;
            for row in pack.procedure {
                let kept = Kept {
                    from: pack.effective_from,
                    to: pack.effective_to,
                    result: row.result,
                };
                let of_code = procedures.entry(row.code.clone()).or_default();
                let meets =
                    |other: &Kept| other.to.is_none_or(|to| kept.from < to) && kept.to.is_none_or(|to| other.from < to);
                if of_code.iter().any(meets) {
                    return Err(CivilPackError::Twice(row.code));
                }
                of_code.push(kept);
            }
        }
        Ok(Self(procedures))
    }

    /// The result that an entry gives a case of this procedure which is decided on a day; none if it goes into no book.
    pub fn result_of(&self, procedure_code: &str, on: Date) -> Option<&str> {
        let kept = self.0.get(procedure_code)?;
        kept.iter()
            .find(|kept| kept.from <= on && kept.to.is_none_or(|to| on < to))
            .map(|kept| kept.result.as_str())
    }
}

impl Case {
    /// True while its decision waits for the book.
    pub fn awaits_book(&self) -> bool {
        self.step == AWAITS_BOOK && self.state == State::Processing
    }
}

/// Whether an act of this name has to wait until the book has the decision of a case, or gives it back: it would take back or change what was decided.
pub fn waits_for_book(operation: &str) -> bool {
    Operation::ALL.iter().any(|known| known.as_str() == operation) || operation == DECIDE
}

/// Whether a case can be decided for a book where it stands: where it could be approved.
///
/// # Errors
/// The transition is refused.
pub fn may_decide(case: &Case, transitions: &Transitions) -> Result<(), ActRefused> {
    transitions.next(case.state, case.entered_from, Operation::Approve)?;
    Ok(())
}

/// Where a case stands whose decision waits.
pub const fn waiting() -> Done<'static> {
    Done::step(AWAITS_BOOK)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn pack(from: &str, to: &str) -> (String, String) {
        let text = format!(
            "effective_from = \"{from}\"\n{to}\n[[procedure]]\ncode = \"1.001193\"\nevent = \"birth\"\nresult = \"KQ\"\n"
        );
        (from.to_owned(), text)
    }

    #[test]
    fn a_procedure_goes_into_a_book_by_the_pack_of_the_day_of_its_decision() {
        let read = BookProcedures::from_texts([
            pack("2026-07-20", "effective_to = \"2027-03-01\""),
            pack("2027-03-01", ""),
        ])
        .unwrap();
        assert_eq!(read.result_of("1.001193", date(2026, 7, 19)), None);
        assert_eq!(read.result_of("1.001193", date(2026, 7, 20)), Some("KQ"));
        assert_eq!(read.result_of("1.001193", date(2030, 1, 1)), Some("KQ"));
        assert_eq!(read.result_of("1.000001", date(2026, 7, 20)), None);
        assert_eq!(BookProcedures::default().result_of("1.001193", date(2026, 7, 20)), None);
    }

    #[test]
    fn two_packs_of_one_day_are_refused() {
        let read = BookProcedures::from_texts([pack("2026-07-20", ""), pack("2027-03-01", "")]);
        assert!(matches!(read, Err(CivilPackError::Twice(code)) if code == "1.001193"));
    }

    #[test]
    fn the_packs_of_the_platform_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/civil-registry/cases");
        let read = BookProcedures::read(&folder).unwrap();
        for code in ["1.001193", "1.000894", "1.000656"] {
            assert!(read.result_of(code, date(2026, 11, 23)).is_some(), "{code}");
        }
    }
}
