//! What lists and look-ups show of cases, their history, files and procedures, and how a list is narrowed.

use egov_codes::PhoneNumber;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::pack::Procedure;
use super::party::words;
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
    /// Only this procedure.
    pub procedure_code: Option<String>,
    /// Only this responsible unit.
    pub unit_id: Option<i32>,
    /// Only what is due on or before this day.
    pub due_until: Option<Date>,
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
    /// Where the next page begins.
    pub fn position(&self) -> After {
        After {
            submit_time: self.submit_time,
            case_id: self.case_id,
        }
    }
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

/// What a list of procedures is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcedureFilter {
    /// Only this sector.
    pub sector_code: Option<String>,
    /// Only this level.
    pub level: Option<String>,
    /// Words of the name without diacritics; all must occur.
    pub words: Vec<String>,
    /// The beginning of a code.
    pub code: Option<String>,
}

impl ProcedureFilter {
    /// What a search text narrows the list to: the beginning of a code, or words of the name.
    pub fn searching(query: &str) -> Self {
        let text = query.trim();
        if text.starts_with(|first: char| first.is_ascii_digit()) && text.contains('.') {
            return Self {
                code: Some(text.to_owned()),
                ..Self::default()
            };
        }
        Self {
            words: words(text),
            ..Self::default()
        }
    }
}

/// Most words that a search of cases looks for; more make it no more precise.
const MOST_WORDS: usize = 8;

/// The words by which cases are searched for. A telephone number becomes what is stored of one.
pub fn case_query(query: &str) -> Vec<String> {
    if let Ok(number) = query.parse::<PhoneNumber>() {
        return vec![number.international()];
    }
    let mut words = words(query);
    // The longest words are the rarest: those that are dropped would have narrowed least.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.truncate(MOST_WORDS);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::party::{Party, PartyKind};

    #[test]
    fn a_procedure_is_searched_by_code_or_by_words_without_diacritics() {
        assert_eq!(ProcedureFilter::searching(" 1.0011 ").code.as_deref(), Some("1.0011"));
        let words = ProcedureFilter::searching("Đăng ký khai SINH").words;
        assert_eq!(words, ["dang", "khai", "ky", "sinh"]);
    }

    #[test]
    fn a_wildcard_is_no_word() {
        assert!(ProcedureFilter::searching("%_\\").words.is_empty());
    }

    #[test]
    fn what_is_stored_of_a_party_is_found_by_what_people_type() {
        let party = Party {
            kind: PartyKind::Organisation,
            full_name: "Công ty Đại Phát".to_owned(),
            personal_number: "040190000123".to_owned(),
            organisation_number: "0100109106-001".to_owned(),
            phone: "84912345678".to_owned(),
            email: String::new(),
            address: String::new(),
        };
        let stored = party.search_tokens();
        for typed in [
            "cong ty dai phat",
            "ĐẠI PHÁT",
            "040190000123",
            "0100109106-001",
            "0912 345 678",
            "+84912345678",
        ] {
            assert!(
                case_query(typed).iter().all(|word| stored.contains(word)),
                "{typed}: {stored:?}"
            );
        }
    }

    #[test]
    fn a_long_query_keeps_its_eight_longest_words() {
        let words = case_query("a b c d e f g hh iii jjjj k");
        assert_eq!(words.len(), 8);
        assert_eq!(words[..3], ["jjjj", "iii", "hh"]);
    }
}
