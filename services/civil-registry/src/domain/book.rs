//! Sổ hộ tịch: one book for each kind of event, commune and year (Luật Hộ tịch 60/2014/QH13, unconfirmed in its article).

use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

/// Loại việc hộ tịch (Luật Hộ tịch 60/2014/QH13 Đ.3, unconfirmed): each kind has a book of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Khai sinh.
    Birth,
    /// Kết hôn.
    Marriage,
    /// Khai tử.
    Death,
    /// Giám hộ.
    Guardianship,
    /// Nhận cha, mẹ, con.
    Recognition,
    /// Thay đổi, cải chính, bổ sung hộ tịch, xác định lại dân tộc.
    Change,
    /// Nuôi con nuôi.
    Adoption,
    /// Cấp giấy xác nhận tình trạng hôn nhân.
    MaritalStatus,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Birth,
        Self::Marriage,
        Self::Death,
        Self::Guardianship,
        Self::Recognition,
        Self::Change,
        Self::Adoption,
        Self::MaritalStatus,
    ];

    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Birth => 1,
            Self::Marriage => 2,
            Self::Death => 3,
            Self::Guardianship => 4,
            Self::Recognition => 5,
            Self::Change => 6,
            Self::Adoption => 7,
            Self::MaritalStatus => 8,
        }
    }

    /// The kind that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The register of its numbers: the word under which they are counted.
    pub const fn register(self) -> &'static str {
        match self {
            Self::Birth => "civil.birth",
            Self::Marriage => "civil.marriage",
            Self::Death => "civil.death",
            Self::Guardianship => "civil.guardianship",
            Self::Recognition => "civil.recognition",
            Self::Change => "civil.change",
            Self::Adoption => "civil.adoption",
            Self::MaritalStatus => "civil.marital_status",
        }
    }

    /// What the book is called, in Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::Birth => "khai sinh",
            Self::Marriage => "kết hôn",
            Self::Death => "khai tử",
            Self::Guardianship => "giám hộ",
            Self::Recognition => "nhận cha, mẹ, con",
            Self::Change => "thay đổi, cải chính, bổ sung hộ tịch, xác định lại dân tộc",
            Self::Adoption => "nuôi con nuôi",
            Self::MaritalStatus => "cấp giấy xác nhận tình trạng hôn nhân",
        }
    }

    /// What the book is called, in English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Birth => "births",
            Self::Marriage => "marriages",
            Self::Death => "deaths",
            Self::Guardianship => "guardianships",
            Self::Recognition => "recognitions of parents and children",
            Self::Change => "changes and corrections",
            Self::Adoption => "adoptions",
            Self::MaritalStatus => "confirmations of marital status",
        }
    }
}

/// Trạng thái of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BookState {
    /// Đang mở: takes entries.
    Open,
    /// Đã khoá.
    Closed,
    /// Đã khoá và được xác nhận.
    Certified,
    /// Số hoá từ sổ cũ: with the numbers that are written in it.
    Digitised,
}

impl BookState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::Closed, Self::Certified, Self::Digitised];

    /// Its code in contract and store.
    pub const fn code(self) -> i16 {
        match self {
            Self::Open => 1,
            Self::Closed => 2,
            Self::Certified => 3,
            Self::Digitised => 4,
        }
    }

    /// The state that a code names.
    pub fn of_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::Open => "đang mở",
            Self::Closed => "đã khoá",
            Self::Certified => "đã khoá và được xác nhận",
            Self::Digitised => "được số hoá từ sổ cũ",
        }
    }

    /// In English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Certified => "closed and certified",
            Self::Digitised => "digitised from an old one",
        }
    }
}

/// Who certified a book, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certified {
    /// Họ tên.
    pub name: String,
    /// Chức vụ.
    pub title: String,
    /// Ngày xác nhận.
    pub on: Date,
}

/// Sổ hộ tịch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Book {
    /// Its id.
    pub book_id: Uuid,
    /// The commune.
    pub unit_id: i32,
    /// Loại sổ.
    pub event: EventKind,
    /// Năm.
    pub year: i16,
    /// Trạng thái.
    pub state: BookState,
    /// Ngày mở sổ.
    pub open_date: Date,
    /// Ngày khoá sổ.
    pub close_date: Option<Date>,
    /// Số trang of a volume.
    pub pages_per_volume: i32,
    /// How many entries stand on a page.
    pub entries_per_page: i32,
    /// Who certified it.
    pub certified: Option<Certified>,
    /// Grows with every act.
    pub version: i64,
}

/// A book with the number of its last entry; 0 if it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The book.
    pub book: Book,
    /// Số cuối cùng.
    pub last_number: i32,
}

/// What narrows a list of books.
#[derive(Clone, Copy, Debug, Default)]
pub struct BookFilter {
    /// Of this commune.
    pub unit_id: Option<i32>,
    /// Of this kind.
    pub event: Option<EventKind>,
    /// Of this year.
    pub year: Option<i16>,
}

/// Where an entry stands: quyển, trang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Quyển số, from 1.
    pub volume: i32,
    /// Trang số within the volume, from 1.
    pub page: i32,
}

/// Why an act on a book is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookRefused {
    /// A book is opened in its year, or in the year after it.
    #[error("a book of {year} is not opened in {now}")]
    Year {
        /// The year of the book.
        year: i16,
        /// The present year.
        now: i16,
    },
    /// It is closed on the last day of its year at the earliest.
    #[error("the book is closed on {0} at the earliest")]
    ClosesLater(Date),
    /// Its state does not allow the act.
    #[error("the book is {}", .0.en())]
    State(BookState),
}

/// The last day of a year.
pub fn last_day(year: i16) -> Date {
    // Every year of the calendar has a 31 December; the clamp is for numbers that are no year of it.
    Date::new(year, 12, 31).unwrap_or(Date::MAX)
}

impl Book {
    /// Whether a book of a year may be opened today: in its year (01/01 to 31/12), or in the year after it, because a decision of its last days
    /// may have to be entered then.
    pub fn may_open(year: i16, today: Date) -> Result<(), BookRefused> {
        let now = today.year();
        if year == now || year == now - 1 {
            Ok(())
        } else {
            Err(BookRefused::Year { year, now })
        }
    }

    /// What a caller presents to change it.
    pub fn etag(&self) -> String {
        self.version.to_string()
    }

    /// Where the entry with a number stands. Numbers run on from volume to volume.
    pub fn place(&self, number: i32) -> Place {
        let before = number.max(1) - 1;
        let page = before / self.entries_per_page.max(1);
        let pages = self.pages_per_volume.max(1);
        Place {
            volume: page / pages + 1,
            page: page % pages + 1,
        }
    }

    /// How many volumes are in use when so many entries stand in it: the first is there from the beginning.
    pub fn volumes(&self, last_number: i32) -> i32 {
        self.place(last_number).volume
    }

    /// Closes it (khoá sổ).
    pub fn close(&self, today: Date) -> Result<Self, BookRefused> {
        if self.state != BookState::Open {
            return Err(BookRefused::State(self.state));
        }
        let earliest = last_day(self.year);
        if today < earliest {
            return Err(BookRefused::ClosesLater(earliest));
        }
        Ok(Self {
            state: BookState::Closed,
            close_date: Some(today),
            version: self.version + 1,
            ..self.clone()
        })
    }

    /// Records that a closed book was confirmed (xác nhận).
    pub fn certify(&self, name: String, title: String, today: Date) -> Result<Self, BookRefused> {
        if self.state != BookState::Closed {
            return Err(BookRefused::State(self.state));
        }
        Ok(Self {
            state: BookState::Certified,
            certified: Some(Certified { name, title, on: today }),
            version: self.version + 1,
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn book(pages_per_volume: i32, entries_per_page: i32) -> Book {
        Book {
            book_id: Uuid::nil(),
            unit_id: 2,
            event: EventKind::Birth,
            year: 2026,
            state: BookState::Open,
            open_date: date(2026, 1, 1),
            close_date: None,
            pages_per_volume,
            entries_per_page,
            certified: None,
            version: 1,
        }
    }

    #[test]
    fn codes_lead_back_to_kinds_and_states() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::of_code(kind.code()), Some(kind));
        }
        for state in BookState::ALL {
            assert_eq!(BookState::of_code(state.code()), Some(state));
        }
        assert_eq!((EventKind::of_code(0), BookState::of_code(5)), (None, None));
    }

    #[test]
    fn a_book_is_closed_on_the_last_day_of_its_year_and_certified_after_that() {
        let open = book(200, 1);
        let earliest = date(2026, 12, 31);
        assert_eq!(open.close(date(2026, 12, 30)), Err(BookRefused::ClosesLater(earliest)));
        assert_eq!(
            open.certify(String::new(), String::new(), earliest),
            Err(BookRefused::State(BookState::Open))
        );
        let closed = open.close(date(2027, 1, 4)).unwrap();
        assert_eq!((closed.close_date, closed.version), (Some(date(2027, 1, 4)), 2));
        assert_eq!(
            closed.close(date(2027, 1, 5)),
            Err(BookRefused::State(BookState::Closed))
        );
        let certified = closed
            .certify("Trần Văn A".to_owned(), "Chủ tịch".to_owned(), date(2027, 1, 5))
            .unwrap();
        assert_eq!((certified.state, certified.version), (BookState::Certified, 3));
    }

    #[test]
    fn a_book_is_opened_in_its_year_or_the_one_after() {
        assert_eq!(Book::may_open(2026, date(2026, 1, 1)), Ok(()));
        assert_eq!(Book::may_open(2025, date(2026, 1, 1)), Ok(()));
        for year in [2024, 2027] {
            let refused = BookRefused::Year { year, now: 2026 };
            assert_eq!(Book::may_open(year, date(2026, 12, 31)), Err(refused));
        }
    }

    proptest! {
        /// The slow way: turn the pages one entry after the other.
        #[test]
        fn numbers_fill_pages_and_pages_fill_volumes(pages in 1..50_i32, each in 1..5_i32, number in 1..2_000_i32) {
            let book = book(pages, each);
            let (mut volume, mut page, mut on_page) = (1, 1, 0);
            for _ in 0..number {
                if on_page == each {
                    (page, on_page) = (page + 1, 0);
                }
                if page > pages {
                    (volume, page) = (volume + 1, 1);
                }
                on_page += 1;
            }
            prop_assert_eq!(book.place(number), Place { volume, page });
        }
    }
}
