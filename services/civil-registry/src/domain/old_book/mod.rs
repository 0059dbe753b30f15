//! Số hoá sổ hộ tịch cũ: an old book, what was keyed of its pages, and when two people vouch for a page.
//!
//! Nothing of an old book is made better: numbers, volumes and pages are those that are written, a number that is missing or stands there twice is
//! reported, and each column is kept byte for byte.

pub mod lines;
pub mod read;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::book::EventKind;
use super::finding::Violation;

/// The columns of a line by their names, as they are written.
pub type Columns = BTreeMap<String, String>;

/// What names the scan of a page and says nothing of the entry: two people need not agree on it.
pub const SCAN_COLUMNS: [&str; 2] = ["anhTrang", "anhTrangSha256"];

/// Sổ cũ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OldBook {
    /// The book whose entries its pages become.
    pub book_id: Uuid,
    /// The commune that answers for it today.
    pub unit_id: i32,
    /// Loại sổ.
    pub event: EventKind,
    /// Năm.
    pub year: i16,
    /// Tên cơ quan giữ sổ as it stands on the book: of a unit before mergers, its old name.
    pub kept_by: String,
    /// What else tells it from others of the year: quyển số as it stands on it.
    pub label: String,
}

/// Where an entry was taken from, and each column in its original spelling.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digitised {
    /// The page.
    pub page_id: Uuid,
    /// Tên cơ quan giữ sổ.
    pub kept_by: String,
    /// What is written, byte for byte.
    pub columns: Columns,
    /// Which of the entries of this number in the book it is, from 1.
    pub occurrence: i16,
}

/// Shows nothing of anybody.
impl std::fmt::Debug for Digitised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digitised")
            .field("page_id", &self.page_id)
            .finish_non_exhaustive()
    }
}

/// Who keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keying {
    /// Nhập lần thứ nhất.
    First,
    /// Nhập lần thứ hai, by another person.
    Second,
}

impl Keying {
    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::First => 1,
            Self::Second => 2,
        }
    }

    /// The keying that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        [Self::First, Self::Second]
            .into_iter()
            .find(|keying| keying.code() == code)
    }
}

/// Trạng thái of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PageState {
    /// Đã nhập.
    Entered,
    /// Đã kiểm tra lần một.
    FirstChecked,
    /// Đã kiểm tra lần hai: two people vouch for it.
    SecondChecked,
    /// Hai lần nhập khác nhau.
    Differing,
    /// Đã nghiệm thu.
    Accepted,
}

impl PageState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Entered,
        Self::FirstChecked,
        Self::SecondChecked,
        Self::Differing,
        Self::Accepted,
    ];

    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Entered => 1,
            Self::FirstChecked => 2,
            Self::SecondChecked => 3,
            Self::Differing => 4,
            Self::Accepted => 5,
        }
    }

    /// The state that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::Entered => "đã nhập, chưa kiểm tra",
            Self::FirstChecked => "đã kiểm tra lần một",
            Self::SecondChecked => "đã kiểm tra lần hai",
            Self::Differing => "còn khác nhau giữa hai lần nhập",
            Self::Accepted => "đã nghiệm thu",
        }
    }

    /// In English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Entered => "entered and not checked",
            Self::FirstChecked => "checked once",
            Self::SecondChecked => "checked twice",
            Self::Differing => "differing between the two keyings",
            Self::Accepted => "accepted",
        }
    }
}

/// Why an act on a page is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageRefused {
    /// Its state does not allow the act.
    #[error("the page is {}", .0.en())]
    State(PageState),
    /// The two who vouch for it are two people.
    #[error("the same officer cannot be both")]
    SameOfficer,
}

/// Trang sổ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Its id.
    pub page_id: Uuid,
    /// The book.
    pub book_id: Uuid,
    /// The commune.
    pub unit_id: i32,
    /// Quyển số as it is written.
    pub volume: String,
    /// Trang số as it is written.
    pub page: String,
    /// Trạng thái.
    pub state: PageState,
    /// Who keyed it first.
    pub first_officer_id: Uuid,
    /// Who keyed it second.
    pub second_officer_id: Option<Uuid>,
    /// Who checked it first.
    pub first_checker_id: Option<Uuid>,
    /// Who checked it second.
    pub second_checker_id: Option<Uuid>,
    /// SHA-256 of the scan in hexadecimal; empty if none is named.
    pub scan_sha256: String,
    /// Grows with every act.
    pub version: i64,
}

impl Page {
    /// What stands in the way of this officer's keying a line of it.
    pub fn keying_refused(&self, keying: Keying, officer: Uuid) -> Option<Violation> {
        let refused = |code, vi: &str, en: &str| Some(Violation::of_shape(code, "trangSo", vi, en));
        if self.state == PageState::Accepted {
            return refused("page_accepted", "trang đã nghiệm thu", "the page is accepted");
        }
        if self.first_checker_id.is_some() {
            return refused(
                "page_checked",
                "trang đã được kiểm tra, không nhập thêm",
                "the page is checked and takes no further line",
            );
        }
        match keying {
            Keying::Second if self.first_officer_id == officer => refused(
                "same_officer",
                "người nhập lần hai phải khác người nhập lần một",
                "who keys second is another person than who keyed first",
            ),
            Keying::First if self.first_officer_id != officer => refused(
                "other_officer",
                "trang do người khác nhập lần một",
                "somebody else keyed the page first",
            ),
            Keying::Second if self.second_officer_id.is_some_and(|second| second != officer) => refused(
                "other_officer",
                "trang do người khác nhập lần hai",
                "somebody else keyed the page second",
            ),
            Keying::First | Keying::Second => None,
        }
    }

    /// A check against what is written, of a page that one person keyed.
    ///
    /// # Errors
    /// [`PageRefused`].
    pub fn check(&self, officer: Uuid) -> Result<Self, PageRefused> {
        let checked = match (self.state, self.first_checker_id) {
            (PageState::Entered, None) => Self {
                state: PageState::FirstChecked,
                first_checker_id: Some(officer),
                ..self.clone()
            },
            (PageState::FirstChecked, Some(first)) if first == officer => return Err(PageRefused::SameOfficer),
            (PageState::FirstChecked, Some(_)) => Self {
                state: PageState::SecondChecked,
                second_checker_id: Some(officer),
                ..self.clone()
            },
            (state, _) => return Err(PageRefused::State(state)),
        };
        Ok(checked.next())
    }

    /// As it stands when two people keyed it, with so many differences that nobody settled.
    #[must_use]
    pub fn compared(&self, unsettled: usize) -> Self {
        let state = if unsettled == 0 {
            PageState::SecondChecked
        } else {
            PageState::Differing
        };
        Self { state, ..self.clone() }
    }

    /// Whether this officer may settle a difference of it so: while two keyed it and nobody accepted it. Whoever keyed one of the two may only say that
    /// the other one is right; that it is their own, or neither, a third person says.
    ///
    /// # Errors
    /// [`PageRefused`].
    pub fn may_settle(&self, officer: Uuid, choice: Choice) -> Result<(), PageRefused> {
        let Some(second) = self.second_officer_id.filter(|_| self.state != PageState::Accepted) else {
            return Err(PageRefused::State(self.state));
        };
        let first = self.first_officer_id == officer && choice != Choice::Second;
        let second = second == officer && choice != Choice::First;
        if first || second {
            Err(PageRefused::SameOfficer)
        } else {
            Ok(())
        }
    }

    /// Accepts it (nghiệm thu).
    ///
    /// # Errors
    /// [`PageRefused::State`]: not two people vouch for it.
    pub fn accept(&self) -> Result<Self, PageRefused> {
        if self.state != PageState::SecondChecked {
            return Err(PageRefused::State(self.state));
        }
        let accepted = Self {
            state: PageState::Accepted,
            ..self.clone()
        };
        Ok(accepted.next())
    }

    /// The same after an act.
    #[must_use]
    pub fn next(mut self) -> Self {
        self.version += 1;
        self
    }
}

/// An entry as somebody keyed it.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyed {
    /// Số.
    pub number: i32,
    /// Which of the entries of this number on the page, from 1.
    pub occurrence: i32,
    /// Every column.
    pub columns: Columns,
}

/// Lines in their order, each with which of its number it is.
pub fn keyed(lines: impl IntoIterator<Item = (i32, Columns)>) -> Vec<Keyed> {
    let mut times: BTreeMap<i32, i32> = BTreeMap::new();
    let counted = lines.into_iter().map(|(number, columns)| {
        let occurrence = times.entry(number).or_default();
        *occurrence += 1;
        Keyed {
            number,
            occurrence: *occurrence,
            columns,
        }
    });
    counted.collect()
}

/// Which of two is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// What was keyed first; of a whole entry, whether it is there.
    First,
    /// What was keyed second; of a whole entry, whether it is there.
    Second,
    /// Neither.
    Other,
}

impl Choice {
    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::First => 1,
            Self::Second => 2,
            Self::Other => 3,
        }
    }

    /// The choice that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        [Self::First, Self::Second, Self::Other]
            .into_iter()
            .find(|choice| choice.code() == code)
    }
}

/// What was decided of a difference.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Settlement {
    /// Số.
    pub number: i32,
    /// Which of the entries of this number on the page.
    pub occurrence: i32,
    /// The column; empty of a whole entry.
    pub field: String,
    /// Which is taken.
    pub choice: Choice,
    /// What holds.
    pub value: String,
    /// Why.
    pub reason: String,
}

/// A field in which two people keyed otherwise; of an entry that one of them does not have, no field.
#[derive(Clone, PartialEq, Eq)]
pub struct Difference {
    /// Số.
    pub number: i32,
    /// Which of the entries of this number on the page.
    pub occurrence: i32,
    /// The column; empty of a whole entry.
    pub field: String,
    /// What was keyed first.
    pub first: String,
    /// What was keyed second.
    pub second: String,
    /// What was decided last.
    pub settled: Option<Settlement>,
}

type Key = (i32, i32);

fn by_key(entries: &[Keyed]) -> BTreeMap<Key, &Columns> {
    entries
        .iter()
        .map(|entry| ((entry.number, entry.occurrence), &entry.columns))
        .collect()
}

fn settled_of(settled: &[Settlement], (number, occurrence): Key, field: &str) -> Option<Settlement> {
    settled
        .iter()
        .rev()
        .find(|one| one.number == number && one.occurrence == occurrence && one.field == field)
        .cloned()
}

/// Everything in which two keyings of a page differ, entry by entry and field by field; `settled` in the order in which it was decided.
pub fn differences(first: &[Keyed], second: &[Keyed], settled: &[Settlement]) -> Vec<Difference> {
    let (first, second) = (by_key(first), by_key(second));
    let keys: BTreeSet<Key> = first.keys().chain(second.keys()).copied().collect();
    let mut found = Vec::new();
    for key in keys {
        let differs = |field: &str, one: &str, other: &str| Difference {
            number: key.0,
            occurrence: key.1,
            field: field.to_owned(),
            first: one.to_owned(),
            second: other.to_owned(),
            settled: settled_of(settled, key, field),
        };
        let (Some(one), Some(other)) = (first.get(&key), second.get(&key)) else {
            found.push(differs("", "", ""));
            continue;
        };
        let fields: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        for field in fields {
            let said = |columns: &Columns| columns.get(field).cloned().unwrap_or_default();
            let (one, other) = (said(one), said(other));
            if one != other && !SCAN_COLUMNS.contains(&field.as_str()) {
                found.push(differs(field, &one, &other));
            }
        }
    }
    found
}

/// What holds of a page that two people keyed: what both say, and what was decided. None while something is not settled.
pub fn agreed(first: &[Keyed], second: &[Keyed], settled: &[Settlement]) -> Option<Vec<Keyed>> {
    let differing = differences(first, second, settled);
    let (by_first, by_second) = (by_key(first), by_key(second));
    let mut held: BTreeMap<Key, Columns> = by_first
        .iter()
        .map(|(key, columns)| (*key, (*columns).clone()))
        .collect();
    for difference in differing {
        let key = (difference.number, difference.occurrence);
        let settled = difference.settled?;
        if difference.field.is_empty() {
            let chosen = match settled.choice {
                Choice::First => by_first.get(&key),
                Choice::Second | Choice::Other => by_second.get(&key),
            };
            match chosen {
                Some(columns) => held.insert(key, (*columns).clone()),
                None => held.remove(&key),
            };
        } else if let Some(columns) = held.get_mut(&key) {
            let value = match settled.choice {
                Choice::First => difference.first,
                Choice::Second => difference.second,
                Choice::Other => settled.value,
            };
            columns.insert(difference.field, value);
        }
    }
    let entries = held.into_iter().map(|((number, occurrence), columns)| Keyed {
        number,
        occurrence,
        columns,
    });
    Some(entries.collect())
}

/// Numbers below the highest that are missing, as spans; `numbers` are those that are there, ascending.
pub fn gaps(numbers: &[(i32, i64)]) -> Vec<(i32, i32)> {
    let mut next = 1;
    let mut gaps = Vec::new();
    for (number, _) in numbers {
        if *number > next {
            gaps.push((next, number - 1));
        }
        next = number.saturating_add(1).max(next);
    }
    gaps
}

/// "số 12 thiếu", in Vietnamese and English.
pub fn gap_words((first, last): (i32, i32)) -> (String, String) {
    if first == last {
        (format!("số {first} thiếu"), format!("number {first} is missing"))
    } else {
        (
            format!("số {first} đến {last} thiếu"),
            format!("numbers {first} to {last} are missing"),
        )
    }
}

/// "số 13 hai lần", in Vietnamese and English.
pub fn double_words(number: i32, times: i64) -> (String, String) {
    if times == 2 {
        (
            format!("số {number} hai lần"),
            format!("number {number} stands there twice"),
        )
    } else {
        (
            format!("số {number} {times} lần"),
            format!("number {number} stands there {times} times"),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(number: i32, name: &str) -> (i32, Columns) {
        (number, Columns::from([("nksHoTen".to_owned(), name.to_owned())]))
    }

    fn page() -> Page {
        Page {
            page_id: Uuid::nil(),
            book_id: Uuid::nil(),
            unit_id: 2,
            volume: "01".to_owned(),
            page: "7".to_owned(),
            state: PageState::Entered,
            first_officer_id: Uuid::from_u128(1),
            second_officer_id: None,
            first_checker_id: None,
            second_checker_id: None,
            scan_sha256: String::new(),
            version: 1,
        }
    }

    fn settlement(number: i32, field: &str, choice: Choice, value: &str) -> Settlement {
        Settlement {
            number,
            occurrence: 1,
            field: field.to_owned(),
            choice,
            value: value.to_owned(),
            reason: "theo ảnh".to_owned(),
        }
    }

    #[test]
    fn two_people_vouch_for_a_page_and_never_one_twice() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let once = page().check(a).unwrap();
        assert_eq!(once.check(a), Err(PageRefused::SameOfficer));
        assert_eq!(once.accept(), Err(PageRefused::State(PageState::FirstChecked)));
        let twice = once.check(b).unwrap();
        assert_eq!((twice.state, twice.version), (PageState::SecondChecked, 3));
        let accepted = twice.accept().unwrap();
        assert_eq!(accepted.accept(), Err(PageRefused::State(PageState::Accepted)));
        let code = |page: &Page, keying, officer| page.keying_refused(keying, officer).map(|found| found.code);
        assert_eq!(code(&page(), Keying::Second, a), Some("same_officer"));
        assert_eq!(code(&page(), Keying::First, b), Some("other_officer"));
        assert_eq!(code(&page(), Keying::Second, b), None);
        assert_eq!(code(&once, Keying::Second, b), Some("page_checked"));
        assert_eq!(code(&accepted, Keying::First, a), Some("page_accepted"));
    }

    #[test]
    fn differences_are_named_field_by_field_and_nothing_holds_until_all_are_settled() {
        let first = keyed([line(12, "Nguyễn Thị Bé"), line(13, "Hồ Tý"), line(13, "Hồ Sửu")]);
        let second = keyed([line(12, "Nguyễn Thị Bê"), line(13, "Hồ Tý")]);
        let found = differences(&first, &second, &[]);
        let named: Vec<_> = found
            .iter()
            .map(|one| (one.number, one.occurrence, one.field.as_str()))
            .collect();
        assert_eq!(named, [(12, 1, "nksHoTen"), (13, 2, "")]);
        let mut settled = vec![settlement(12, "nksHoTen", Choice::Second, "")];
        assert!(agreed(&first, &second, &settled).is_none());
        settled.push(Settlement {
            occurrence: 2,
            ..settlement(13, "", Choice::Second, "")
        });
        // The last decision counts.
        settled.push(settlement(12, "nksHoTen", Choice::Other, "Nguyễn Thị Bế"));
        let held = agreed(&first, &second, &settled).unwrap();
        let names: Vec<_> = held.iter().map(|one| one.columns["nksHoTen"].as_str()).collect();
        assert_eq!(names, ["Nguyễn Thị Bế", "Hồ Tý"]);
    }

    #[test]
    fn what_is_missing_and_what_stands_twice_is_said_in_words() {
        assert_eq!(gap_words((12, 12)).0, "số 12 thiếu");
        assert_eq!(gap_words((2, 4)).0, "số 2 đến 4 thiếu");
        assert_eq!(double_words(13, 2).0, "số 13 hai lần");
    }

    proptest! {
        #[test]
        fn gaps_and_numbers_are_all_numbers_up_to_the_highest(numbers in proptest::collection::btree_set(1..200_i32, 0..60)) {
            let there: Vec<(i32, i64)> = numbers.iter().map(|number| (*number, 1)).collect();
            let missing: BTreeSet<i32> = gaps(&there).into_iter().flat_map(|(first, last)| first..=last).collect();
            let highest = numbers.last().copied().unwrap_or_default();
            prop_assert!(missing.is_disjoint(&numbers));
            prop_assert_eq!(missing.len() + numbers.len(), usize::try_from(highest).unwrap());
        }

        #[test]
        fn two_who_key_the_same_differ_in_nothing(names in proptest::collection::vec((1..5_i32, "\\PC{0,8}"), 0..12)) {
            let entries = keyed(names.iter().map(|(number, name)| line(*number, name)));
            prop_assert!(differences(&entries, &entries, &[]).is_empty());
            prop_assert_eq!(agreed(&entries, &entries, &[]).unwrap().len(), entries.len());
        }
    }
}
