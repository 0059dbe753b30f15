//! Entries of a commune's books at the civil-status register (CSDL hộ tịch điện tử): what the register holds of each, what it holds of a book, and
//! what it reports of changes that were made elsewhere.
//!
//! The commune's book is the source (sổ hộ tịch): it numbers, and the register holds what it is told under our key. Contract `sim-1` of our
//! simulator, **unconfirmed**, but for the names of fields, which are those of the national digitisation schema.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::civil_status::RegistrationKind;
use crate::line::Answer;
use crate::outcome::{CallError, Doubt};
use crate::signing::sha256_hex;

/// An entry of a book as it stands, with what corrects it and what is noted beside it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookEntry {
    /// Our key of the entry: it has one place at the register, for ever.
    pub key: String,
    /// Which state of the entry it is: 1 as it was entered, one more with each correction, each note and a child's personal number. The register keeps
    /// the highest.
    #[serde(rename = "phienBan")]
    pub version: i64,
    /// What is registered.
    pub kind: RegistrationKind,
    /// Mã cơ quan đăng ký, which keeps the book.
    #[serde(rename = "maCoQuan")]
    pub agency_code: String,
    /// Năm of the book.
    #[serde(rename = "nam")]
    pub year: i32,
    /// Số, as it is printed.
    #[serde(rename = "so")]
    pub number: String,
    /// Quyển số.
    #[serde(rename = "quyenSo")]
    pub book: String,
    /// Trang số.
    #[serde(rename = "trangSo")]
    pub page: String,
    /// Ngày đăng ký, `dd/MM/yyyy` as in the schema's samples: the form is unconfirmed.
    #[serde(rename = "ngayDangKy")]
    pub register_date: String,
    /// The fields of the schema, by their names in it; what is empty is left out.
    pub fields: BTreeMap<String, String>,
}

impl std::fmt::Debug for BookEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BookEntry")
            .field("key", &self.key)
            .field("version", &self.version)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl BookEntry {
    /// Everything that it says, by name: its place in the books, and the fields.
    fn said(&self) -> BTreeMap<&str, &str> {
        let place = [
            ("kind", self.kind.word()),
            ("maCoQuan", self.agency_code.as_str()),
            ("so", self.number.as_str()),
            ("quyenSo", self.book.as_str()),
            ("trangSo", self.page.as_str()),
            ("ngayDangKy", self.register_date.as_str()),
        ];
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        fields.chain(place).collect()
    }

    /// By what its content is compared: SHA-256 over everything that it says but its version.
    pub fn digest(&self) -> String {
        let mut bytes = Vec::new();
        for text in self.said().into_iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        sha256_hex(&bytes)
    }

    /// What the register holds when it holds this.
    pub fn held(&self) -> Held {
        Held {
            key: self.key.clone(),
            version: self.version,
            digest: self.digest(),
            number: self.number.clone(),
        }
    }

    /// The names of what differs; no values.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let (ours, theirs) = (self.said(), other.said());
        let names: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
        let differ = names.into_iter().filter(|name| ours.get(name) != theirs.get(name));
        differ.map(str::to_owned).collect()
    }
}

/// What the register says that it holds of an entry: nothing of persons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Our key, or one of the register's own for what was entered elsewhere.
    pub key: String,
    /// The version of it.
    #[serde(rename = "phienBan")]
    pub version: i64,
    /// The digest of its content.
    pub digest: String,
    /// Số.
    #[serde(rename = "so")]
    pub number: String,
}

/// Which book: of an agency, a kind and a year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookName {
    /// Mã cơ quan đăng ký.
    #[serde(rename = "maCoQuan")]
    pub agency_code: String,
    /// What is registered in it.
    pub kind: RegistrationKind,
    /// Năm.
    #[serde(rename = "nam")]
    pub year: i32,
}

/// What the register holds of a book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookListing {
    /// How many entries.
    pub count: usize,
    /// The digest of all of them, by [`digest_of`].
    pub digest: String,
    /// The entries.
    pub entries: Vec<Held>,
}

/// One digest of many entries: of the same entries with the same contents it is the same, in whatever order they come.
pub fn digest_of<'a>(entries: impl IntoIterator<Item = &'a Held>) -> String {
    let pairs: BTreeSet<(&str, &str)> = entries
        .into_iter()
        .map(|held| (held.key.as_str(), held.digest.as_str()))
        .collect();
    let lines: Vec<String> = pairs
        .into_iter()
        .map(|(key, digest)| format!("{key} {digest}\n"))
        .collect();
    sha256_hex(lines.concat().as_bytes())
}

/// What was done elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeAct {
    /// Registered: by another commune, a mission abroad (cơ quan đại diện).
    Registered,
    /// Thay đổi, cải chính, bổ sung.
    Corrected,
    /// Ghi chú.
    Annotated,
}

/// A change that the register reports.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The register's own id of the change: it may report one twice, and not in order.
    pub id: String,
    /// What was done.
    pub act: ChangeAct,
    /// Of what kind of entry.
    pub kind: RegistrationKind,
    /// Mã cơ quan of the book in which the entry stands; empty where it is no commune's.
    #[serde(rename = "maCoQuan", default)]
    pub agency_code: String,
    /// Mã cơ quan whom it concerns besides: that of the residence, for example; empty if none is named.
    #[serde(rename = "maCoQuanLienQuan", default)]
    pub concerned_agency_code: String,
    /// Năm of the book.
    #[serde(rename = "nam", default)]
    pub year: i32,
    /// Số; empty where it is not known.
    #[serde(rename = "so", default)]
    pub number: String,
    /// Nơi đăng ký, in words.
    #[serde(rename = "noiDangKy", default)]
    pub place: String,
    /// Họ tên of whom it is about.
    #[serde(rename = "hoTen", default)]
    pub full_name: String,
    /// Số định danh cá nhân of whom it is about; empty if it is not known.
    #[serde(rename = "soDinhDanh", default)]
    pub personal_number: String,
    /// Nội dung.
    #[serde(rename = "noiDung", default)]
    pub content: String,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change")
            .field("id", &self.id)
            .field("act", &self.act)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A page of changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePage {
    /// In the order in which the register learned of them.
    pub changes: Vec<Change>,
    /// From where the next page is asked for; the one that was asked from where nothing new came.
    pub cursor: String,
}

#[derive(Deserialize)]
struct Said {
    code: String,
    #[serde(default)]
    held: Option<Held>,
    #[serde(default)]
    entry: Option<BookEntry>,
    #[serde(default)]
    book: Option<BookListing>,
    #[serde(default)]
    page: Option<ChangePage>,
}

fn said(answer: &Answer) -> Result<Said, CallError> {
    let said: Said = serde_json::from_slice(&answer.body).map_err(CallError::unreadable_json)?;
    match said.code.as_str() {
        "ok" | "none" => Ok(said),
        "refused" => Err(CallError::refused("refused", "")),
        code => Err(CallError::Unknown(Doubt::UnknownCode(code.chars().take(20).collect()))),
    }
}

/// Reads what the register holds after it was told `entry`: this, or a later version.
pub(crate) fn read_held(entry: &BookEntry, answer: &Answer) -> Result<Held, CallError> {
    match said(answer)?.held {
        Some(held) if held.key != entry.key => Err(CallError::Unknown(Doubt::Other("entry"))),
        Some(held) if holds(&held, entry) => Ok(held),
        _ => Err(CallError::unreadable("an entry that is not held")),
    }
}

/// Whether what is held is this entry, or a later version of it.
pub fn holds(held: &Held, entry: &BookEntry) -> bool {
    held.key == entry.key
        && (held.version > entry.version || (held.version == entry.version && held.digest == entry.digest()))
}

/// Reads the entry under `key`, or none.
pub(crate) fn read_entry(key: &str, answer: &Answer) -> Result<Option<BookEntry>, CallError> {
    match said(answer)? {
        Said { entry: Some(entry), .. } if entry.key != key => Err(CallError::Unknown(Doubt::Other("entry"))),
        Said { entry: Some(entry), .. } => Ok(Some(entry)),
        Said { code, .. } if code == "none" => Ok(None),
        _ => Err(CallError::unreadable("no entry")),
    }
}

/// Reads what is held of a book: whole, or not at all.
pub(crate) fn read_book(answer: &Answer) -> Result<BookListing, CallError> {
    let book = said(answer)?.book.ok_or_else(|| CallError::unreadable("no book"))?;
    if book.count == book.entries.len() && book.digest == digest_of(&book.entries) {
        Ok(book)
    } else {
        Err(CallError::unreadable("a book that is not whole"))
    }
}

/// Reads a page of changes. What is looked up or kept as it is comes without control characters; a cursor has to be said as it was given.
pub(crate) fn read_changes(answer: &Answer) -> Result<ChangePage, CallError> {
    let mut page = said(answer)?.page.ok_or_else(|| CallError::unreadable("no page"))?;
    if page.cursor.is_empty() && !page.changes.is_empty() {
        return Err(CallError::unreadable("a page without a cursor"));
    }
    if page.cursor.contains(char::is_control) {
        return Err(CallError::unreadable("a cursor with control characters"));
    }
    for change in &mut page.changes {
        for text in [
            &mut change.id,
            &mut change.agency_code,
            &mut change.concerned_agency_code,
        ] {
            text.retain(|letter| !letter.is_control());
        }
    }
    if page.changes.iter().any(|change| change.id.is_empty()) {
        return Err(CallError::unreadable("a change without an id"));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    fn entry(fields: BTreeMap<String, String>) -> BookEntry {
        BookEntry {
            key: "k".to_owned(),
            version: 1,
            kind: RegistrationKind::Birth,
            agency_code: "H41.1".to_owned(),
            year: 2026,
            number: "01/2026".to_owned(),
            book: "1".to_owned(),
            page: "1".to_owned(),
            register_date: "26/11/2026".to_owned(),
            fields,
        }
    }

    proptest! {
        #[test]
        fn digests_are_equal_exactly_where_nothing_differs(
            one in proptest::collection::btree_map("[a-c]{1,2}", "[a-c]{0,2}", 0..4),
            other in proptest::collection::btree_map("[a-c]{1,2}", "[a-c]{0,2}", 0..4),
        ) {
            let (one, other) = (entry(one), entry(other));
            prop_assert_eq!(one.digest() == other.digest(), one.differing(&other).is_empty());
            prop_assert_eq!(one.differing(&other), other.differing(&one));
            prop_assert!(holds(&one.held(), &one));
        }

        #[test]
        fn the_digest_of_a_book_does_not_depend_on_the_order(keys in proptest::collection::btree_set("[a-z]{1,5}", 0..8)) {
            let held = |key: &String| Held { key: key.clone(), version: 1, digest: "d".to_owned(), number: String::new() };
            let there: Vec<Held> = keys.iter().map(held).collect();
            prop_assert_eq!(digest_of(&there), digest_of(there.iter().rev()));
        }
    }

    #[test]
    fn a_change_is_read_without_control_characters_and_a_page_not_with_one_in_its_cursor() {
        let read = |id: &str, cursor: &str| {
            let change =
                serde_json::json!({ "id": id, "act": "registered", "kind": "birth", "maCoQuan": "H41\u{0}.1" });
            let said = serde_json::json!({ "code": "ok", "page": { "changes": [change], "cursor": cursor } });
            read_changes(&Answer {
                status: 200,
                headers: HeaderMap::default(),
                body: said.to_string().into_bytes(),
            })
        };
        let page = read("c\u{0}1", "5").unwrap();
        let change = page.changes.first().unwrap();
        assert_eq!((change.id.as_str(), change.agency_code.as_str()), ("c1", "H41.1"));
        assert!(read("\u{0}", "5").is_err() && read("c1", "5\u{0}").is_err());
    }

    #[test]
    fn an_older_version_is_held_by_a_later_one_and_not_the_other_way() {
        let (older, mut later) = (entry(BTreeMap::new()), entry(BTreeMap::new()));
        later.version = 2;
        assert!(holds(&later.held(), &older));
        assert!(!holds(&older.held(), &later));
    }
}
