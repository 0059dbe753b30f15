//! Việc hộ tịch trong sổ: what stands in a book. An entry is never changed.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::adoption::Adoption;
use super::birth::Birth;
use super::book::EventKind;
use super::correction::{Correction, CorrectionLink};
use super::death::{Death, KnownDeath};
use super::guardianship::Guardianship;
use super::kinship::{Tie, TieKind, Validity};
use super::marriage::Marriage;
use super::old_book::Digitised;
use super::person::{Born, Country, Person, Sex};
use super::recognition::Recognition;

/// Loại đăng ký, with the codes that the national digitisation schema has for deaths; for births they are unconfirmed. Of a marriage, which has no
/// term, 1 is lần đầu and 2 lại.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationKind {
    /// Đúng hạn.
    OnTime,
    /// Đăng ký lại.
    Again,
    /// Ghi vào sổ việc hộ tịch đã đăng ký ở nước ngoài.
    FromAbroad,
    /// Quá hạn.
    Late,
}

impl RegistrationKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::OnTime, Self::Again, Self::FromAbroad, Self::Late];

    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::OnTime => 1,
            Self::Again => 2,
            Self::FromAbroad => 3,
            Self::Late => 4,
        }
    }

    /// The kind that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// A question that the law leaves to the officer, or that the data cannot answer, with the decision (quyết định của công chức).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The rule that asked.
    pub code: String,
    /// The field that it is about.
    pub field: String,
    /// The question in Vietnamese.
    pub vi: String,
    /// The question in English.
    pub en: String,
    /// Why the registration goes on.
    pub reason: String,
}

/// What an entry says, by its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Details {
    /// Khai sinh.
    Birth(Box<Birth>),
    /// Khai tử.
    Death(Box<Death>),
    /// Thay đổi, cải chính, bổ sung hộ tịch, xác định lại dân tộc.
    Correction(Box<Correction>),
    /// Kết hôn.
    Marriage(Box<Marriage>),
    /// Giám hộ.
    Guardianship(Box<Guardianship>),
    /// Nhận cha, mẹ, con.
    Recognition(Box<Recognition>),
    /// Nuôi con nuôi.
    Adoption(Box<Adoption>),
}

/// Everything that stands in an entry beside its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Nơi đăng ký.
    pub registration_place: String,
    /// Họ tên người ký.
    pub signer_name: String,
    /// Chức vụ người ký.
    pub signer_title: String,
    /// Số văn bản uỷ quyền of the signer; empty if the title signs by itself.
    pub signer_authorisation: String,
    /// Họ tên người thực hiện.
    pub performer_name: String,
    /// Ghi chú.
    pub note: String,
    /// What was asked, and decided.
    pub settled: Vec<Settled>,
    /// Sổ cũ: where it was taken from, in its original spelling; none of what was registered here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digitised: Option<Box<Digitised>>,
    /// What happened.
    pub details: Details,
}

/// Việc hộ tịch trong sổ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its id.
    pub entry_id: Uuid,
    /// The commune.
    pub unit_id: i32,
    /// The book.
    pub book_id: Uuid,
    /// Loại việc.
    pub event: EventKind,
    /// Năm of the book.
    pub year: i16,
    /// Số.
    pub number: i32,
    /// Quyển số.
    pub volume: i32,
    /// Trang số.
    pub page: i32,
    /// Loại đăng ký.
    pub registration_kind: RegistrationKind,
    /// Ngày đăng ký.
    pub registration_date: Date,
    /// The person whom it is about.
    pub subject_id: Uuid,
    /// What it says.
    pub content: Content,
    /// Who entered it.
    pub actor_id: Uuid,
    /// What sort of caller that was.
    pub actor_kind: String,
    /// When.
    pub record_time: Timestamp,
}

/// Số as it is printed: with two digits at least, and the year (`01/2026`, unconfirmed).
pub fn printed_number(number: i32, year: i16) -> String {
    format!("{number:02}/{year}")
}

/// What an entry says of a person.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Particulars {
    /// The person.
    pub person_id: Uuid,
    /// Họ, chữ đệm, tên.
    pub full_name: String,
    /// Giới tính.
    pub sex: Sex,
    /// Ngày, tháng, năm sinh, as far as it is known.
    pub born: Option<Born>,
    /// Dân tộc, its code; empty if it is not known.
    pub ethnic_group: String,
    /// Quốc tịch, its code; empty if it is not known.
    pub nationality: String,
    /// Quốc tịch khác, its code; empty if there is none.
    pub other_nationality: String,
    /// From when on it is true.
    pub valid_from: Date,
}

impl Particulars {
    /// What is said of a person, true from a day on.
    pub fn of(person_id: Uuid, person: &Person, valid_from: Date) -> Self {
        let code = |country: Option<Country>| country.map(Country::code).unwrap_or_default().to_owned();
        Self {
            person_id,
            full_name: person.full_name.as_str().to_owned(),
            sex: person.sex,
            born: person.born,
            ethnic_group: person
                .ethnic_group
                .as_ref()
                .map(|group| group.code().to_owned())
                .unwrap_or_default(),
            nationality: code(person.nationality),
            other_nationality: code(person.other_nationality),
            valid_from,
        }
    }
}

/// Shows ids only.
impl std::fmt::Debug for Particulars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Particulars")
            .field("person_id", &self.person_id)
            .finish_non_exhaustive()
    }
}

/// How two persons are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// Mẹ.
    Mother,
    /// Cha.
    Father,
    /// Cha nuôi, mẹ nuôi.
    AdoptiveParent,
    /// Người giám hộ.
    Guardian,
    /// Vợ chồng: the person is the husband, the relative the wife.
    Spouse,
}

impl RelationKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Mother,
        Self::Father,
        Self::AdoptiveParent,
        Self::Guardian,
        Self::Spouse,
    ];

    /// Its code in the store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Mother => 1,
            Self::Father => 2,
            Self::AdoptiveParent => 3,
            Self::Guardian => 4,
            Self::Spouse => 5,
        }
    }

    /// The kind that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// As the family graph knows it.
    pub const fn tie(self) -> TieKind {
        match self {
            Self::Mother => TieKind::Mother,
            Self::Father => TieKind::Father,
            Self::AdoptiveParent => TieKind::AdoptiveParent,
            Self::Guardian => TieKind::Guardian,
            Self::Spouse => TieKind::Spouse,
        }
    }
}

/// Who is whose parent, or married to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Relation {
    /// Its id.
    pub relation_id: Uuid,
    /// Grows with what becomes of it.
    pub version: i64,
    /// What the relative is.
    pub kind: RelationKind,
    /// The child; of a couple the husband.
    pub person_id: Uuid,
    /// The parent; of a couple the wife.
    pub relative_id: Uuid,
    /// From when on.
    pub valid_from: Date,
    /// Until when; none while it holds.
    pub valid_to: Option<Date>,
}

impl Relation {
    /// As the family graph knows it.
    pub const fn tie(&self) -> Tie {
        Tie {
            kind: self.kind.tie(),
            person: self.person_id,
            relative: self.relative_id,
            validity: Validity {
                from: self.valid_from,
                to: self.valid_to,
            },
        }
    }
}

/// An entry with all that came with it. The ledger commits to it as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registration {
    /// The entry.
    pub entry: Entry,
    /// What it says of persons, by person.
    pub persons: Vec<Particulars>,
    /// Who it says is whose parent or spouse, by kind.
    pub relations: Vec<Relation>,
    /// The death that it made known, if it is the first entry of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub death: Option<KnownDeath>,
    /// What it corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrects: Option<CorrectionLink>,
}

impl Registration {
    /// The same in its one order.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        self.persons.sort_by_key(|person| person.person_id);
        self.relations
            .sort_by_key(|relation| (relation.kind, relation.relation_id));
        self
    }

    /// What the ledger commits to.
    pub fn canonical(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_with_two_digits_at_least() {
        assert_eq!(printed_number(1, 2026), "01/2026");
        assert_eq!(printed_number(123, 2026), "123/2026");
    }

    #[test]
    fn codes_lead_back_to_kinds() {
        for kind in RegistrationKind::ALL {
            assert_eq!(RegistrationKind::of_code(kind.code()), Some(kind));
        }
        for kind in RelationKind::ALL {
            assert_eq!(RelationKind::of_code(kind.code()), Some(kind));
        }
        assert_eq!(RelationKind::of_code(6), None);
    }
}
