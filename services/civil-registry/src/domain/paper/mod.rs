//! Giấy tờ hộ tịch: papers of what stands in the books. A paper says what an entry says on the day of its issue, with its corrections applied, and is
//! kept as it was issued; what becomes of the entry later supersedes it.

mod form;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use super::annotation::{Annotation, AnnotationKind};
use super::book::EventKind;
use super::entry::Entry;
use super::rules::Rules;

pub use self::form::{Block, Column, Day, Form, Office, Signature, Source, compose};

/// Loại giấy tờ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PaperKind {
    /// Bản chính: Giấy khai sinh, Giấy chứng nhận kết hôn.
    Certificate,
    /// Trích lục.
    Extract,
}

impl PaperKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Certificate, Self::Extract];

    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Certificate => 1,
            Self::Extract => 2,
        }
    }

    /// The kind that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// How a paper stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaperState {
    /// What it says is what the entry says.
    Valid,
    /// The entry was corrected since, or a court decided of the marriage.
    Superseded,
    /// Đã thu hồi.
    Revoked,
}

impl PaperState {
    /// Its code in the contract.
    pub const fn code(self) -> i16 {
        match self {
            Self::Valid => 1,
            Self::Superseded => 2,
            Self::Revoked => 3,
        }
    }
}

/// Giấy tờ đã cấp. The ledger commits to all of it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct IssuedPaper {
    /// Its id, which stands on it.
    pub paper_id: Uuid,
    /// The entry.
    pub entry_id: Uuid,
    /// The commune.
    pub unit_id: i32,
    /// Loại giấy tờ.
    pub kind: PaperKind,
    /// Bản sao.
    pub is_copy: bool,
    /// Số bản.
    pub copies: i32,
    /// Tên giấy tờ.
    pub title: String,
    /// Số of the entry, as it is printed.
    pub printed_number: String,
    /// What is printed, but for the QR code: a [`Form`] as JSON.
    pub content: String,
    /// Of how many amendments of the entry it takes account.
    pub amendments: i32,
    /// Mã kiểm tra, which stands on it.
    pub check_code: String,
    /// Họ tên người nhận.
    pub recipient_name: String,
    /// Số giấy tờ tuỳ thân of the recipient; empty if none was noted.
    pub recipient_paper: String,
    /// Họ tên người ký.
    pub signer_name: String,
    /// Chức vụ người ký.
    pub signer_title: String,
    /// Số văn bản uỷ quyền of the signer; empty if the title signs by itself.
    pub signer_authorisation: String,
    /// Ngày cấp.
    pub issue_date: Date,
    /// Who issued it.
    pub actor_id: Uuid,
    /// What sort of caller that was.
    pub actor_kind: String,
    /// When.
    pub record_time: Timestamp,
}

/// Shows which, and nothing of a person.
impl std::fmt::Debug for IssuedPaper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedPaper")
            .field("paper_id", &self.paper_id)
            .field("entry_id", &self.entry_id)
            .finish_non_exhaustive()
    }
}

/// Thu hồi. The ledger commits to it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Revocation {
    /// The paper.
    pub paper_id: Uuid,
    /// The commune.
    pub unit_id: i32,
    /// Lý do.
    pub reason: String,
    /// Số of the decision on which it rests; empty if there is none.
    pub basis_number: String,
    /// Ngày thu hồi.
    pub revoke_date: Date,
    /// Who revoked it.
    pub actor_id: Uuid,
    /// What sort of caller that was.
    pub actor_kind: String,
    /// When.
    pub record_time: Timestamp,
}

/// Shows which, and nothing of a person.
impl std::fmt::Debug for Revocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocation")
            .field("paper_id", &self.paper_id)
            .finish_non_exhaustive()
    }
}

/// A paper with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPaper {
    /// As it was issued.
    pub paper: IssuedPaper,
    /// Loại việc of its entry.
    pub event: EventKind,
    /// The person whom the entry is about.
    pub subject_id: Uuid,
    /// How many amendments the entry has now.
    pub amendments_now: i64,
    /// Thu hồi, if it was.
    pub revocation: Option<Revocation>,
}

impl KeptPaper {
    /// How it stands.
    pub fn state(&self) -> PaperState {
        if self.revocation.is_some() {
            PaperState::Revoked
        } else if self.amendments_now > i64::from(self.paper.amendments) {
            PaperState::Superseded
        } else {
            PaperState::Valid
        }
    }
}

/// What a paper of an entry is called by the rules of the day of its issue; none if there is no such paper of an entry of this kind.
pub fn title(rules: &Rules, event: EventKind, kind: PaperKind) -> Option<&str> {
    let name = match (kind, event) {
        (PaperKind::Certificate, EventKind::Birth) => &rules.certificates.birth,
        (PaperKind::Certificate, EventKind::Marriage) => &rules.certificates.marriage,
        (PaperKind::Extract, EventKind::Birth) => &rules.extracts.birth,
        (PaperKind::Extract, EventKind::Marriage) => &rules.extracts.marriage,
        // Giấy chứng tử from 01/03/2027 on.
        (PaperKind::Extract, EventKind::Death) => &rules.papers.death,
        (PaperKind::Extract, EventKind::Change) => &rules.extracts.change,
        (PaperKind::Extract, EventKind::Guardianship) => &rules.extracts.guardianship,
        (PaperKind::Extract, EventKind::Recognition) => &rules.extracts.recognition,
        (PaperKind::Extract, EventKind::Adoption) => &rules.extracts.adoption,
        _ => return None,
    };
    Some(name.vi.as_str())
}

/// The annotations of a marriage that a court decided of: they stand on its papers, and later ones supersede them. What courts decided of parents, sex
/// and adoption is guarded, and stands on no paper.
pub fn amending<'a>(entry: &Entry, annotations: &'a [Annotation]) -> Vec<&'a Annotation> {
    if entry.event != EventKind::Marriage {
        return Vec::new();
    }
    let of_marriage = |one: &&Annotation| one.kind == AnnotationKind::Marriage;
    annotations.iter().filter(of_marriage).collect()
}

/// Letters of a check code: none that is taken for another.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// How many there are: nobody guesses sixty bits.
pub const CHECK_LETTERS: usize = 12;

/// A check code of random bytes.
pub fn check_code(random: [u8; CHECK_LETTERS]) -> String {
    let mut code = String::with_capacity(CHECK_LETTERS + 2);
    for (place, byte) in random.into_iter().enumerate() {
        if place > 0 && place.is_multiple_of(4) {
            code.push('-');
        }
        let letter = ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'2');
        code.push(char::from(letter));
    }
    code
}

/// Whether two check codes are the same, with or without hyphens, in capitals or not.
pub fn is_same_code(one: &str, other: &str) -> bool {
    let letters = |code: &str| -> String {
        code.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_uppercase())
            .collect()
    };
    letters(one) == letters(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::pack::tests::rules;

    #[test]
    fn each_kind_of_entry_has_its_papers_by_name() {
        for kind in PaperKind::ALL {
            assert_eq!(PaperKind::of_code(kind.code()), Some(kind));
        }
        let rules = rules();
        let called = |event, kind| title(&rules, event, kind);
        assert_eq!(called(EventKind::Birth, PaperKind::Certificate), Some("Giấy khai sinh"));
        assert_eq!(called(EventKind::Death, PaperKind::Certificate), None);
        assert_eq!(called(EventKind::Death, PaperKind::Extract), Some("Trích lục khai tử"));
        assert_eq!(called(EventKind::Change, PaperKind::Certificate), None);
        assert_eq!(called(EventKind::Adoption, PaperKind::Certificate), None);
        for (event, name) in [
            (EventKind::Guardianship, "Trích lục đăng ký giám hộ"),
            (EventKind::Recognition, "Trích lục đăng ký nhận cha, mẹ, con"),
            (EventKind::Adoption, "Trích lục đăng ký nuôi con nuôi"),
        ] {
            assert_eq!(called(event, PaperKind::Extract), Some(name));
        }
    }

    #[test]
    fn a_check_code_is_read_however_it_is_typed() {
        let code = check_code([0, 1, 2, 3, 31, 32, 255, 7, 8, 9, 10, 11]);
        assert_eq!(code, "2345-Z2Z9-ABCD");
        assert!(is_same_code(&code, "2345z2z9 abcd"));
        assert!(!is_same_code(&code, "2345-Z2Z9-ABCE") && !is_same_code(&code, ""));
    }
}
