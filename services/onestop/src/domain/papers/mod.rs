//! Giấy tờ của hồ sơ: the seven forms of TT 03/2025/TT-VPCP, Phụ lục I, as structured content.
//!
//! A form is built from the case and its history alone, so that it says the same whenever it is printed; of the money of a stopped case
//! it says how that stands. What is not known stays empty and is
//! printed as a dotted line; nothing is guessed. How it looks is the business of whoever prints it ([`crate::press`]).

mod book;
mod forms;
mod slip;
#[cfg(test)]
mod tests;
mod wording;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::case::Case;
use super::charge::Charge;
use super::listing::HistoryEntry;
use super::pack::Procedure;
use super::transitions::{State, Transitions};

pub use self::book::{BookRow, BookSpan, MOST_BOOK_ROWS, tracking_book};
pub use self::wording::place_name;

/// The circular that has the forms.
pub const BASIS: &str = "TT 03/2025/TT-VPCP, Phụ lục I";

/// How many acts a control slip shows.
pub const MOST_ACTS: usize = 300;

/// Biểu mẫu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// 01 Giấy tiếp nhận hồ sơ và hẹn trả kết quả.
    Receipt,
    /// 02 Phiếu yêu cầu bổ sung, hoàn thiện hồ sơ.
    Supplement,
    /// 03 Phiếu từ chối tiếp nhận giải quyết hồ sơ.
    Refusal,
    /// 04 Văn bản xin lỗi và đề nghị gia hạn thời gian.
    Apology,
    /// 05 Thông báo dừng giải quyết hồ sơ.
    Stop,
    /// 06 Phiếu kiểm soát quá trình giải quyết hồ sơ.
    ControlSlip,
    /// 07 Sổ theo dõi hồ sơ.
    TrackingBook,
}

impl Form {
    /// All forms, by number.
    pub const ALL: [Self; 7] = [
        Self::Receipt,
        Self::Supplement,
        Self::Refusal,
        Self::Apology,
        Self::Stop,
        Self::ControlSlip,
        Self::TrackingBook,
    ];

    /// The number in the circular.
    pub const fn number(self) -> i16 {
        match self {
            Self::Receipt => 1,
            Self::Supplement => 2,
            Self::Refusal => 3,
            Self::Apology => 4,
            Self::Stop => 5,
            Self::ControlSlip => 6,
            Self::TrackingBook => 7,
        }
    }

    /// The form of a number.
    pub fn of_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|form| i32::from(form.number()) == number)
    }

    /// Tên biểu mẫu.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Receipt => "Giấy tiếp nhận hồ sơ và hẹn trả kết quả",
            Self::Supplement => "Phiếu yêu cầu bổ sung, hoàn thiện hồ sơ",
            Self::Refusal => "Phiếu từ chối tiếp nhận giải quyết hồ sơ",
            Self::Apology => "Văn bản xin lỗi và đề nghị gia hạn thời gian",
            Self::Stop => "Thông báo dừng giải quyết hồ sơ",
            Self::ControlSlip => "Phiếu kiểm soát quá trình giải quyết hồ sơ",
            Self::TrackingBook => "Sổ theo dõi hồ sơ",
        }
    }

    /// The name of a file that holds it.
    pub const fn file_stem(self) -> &'static str {
        match self {
            Self::Receipt => "giay-tiep-nhan",
            Self::Supplement => "phieu-bo-sung",
            Self::Refusal => "phieu-tu-choi",
            Self::Apology => "van-ban-xin-loi",
            Self::Stop => "thong-bao-dung",
            Self::ControlSlip => "phieu-kiem-soat",
            Self::TrackingBook => "so-theo-doi",
        }
    }

    /// After which version of the case its history is read for the form, of which no more than `most` entries are read: the first ones for
    /// what tells from the beginning, the last ones for what tells what happened last.
    pub fn reads_after(self, version: i64, most: i64) -> i64 {
        match self {
            Self::Receipt | Self::ControlSlip | Self::TrackingBook => 0,
            Self::Supplement | Self::Refusal | Self::Apology | Self::Stop => version.saturating_sub(most).max(0),
        }
    }

    /// Văn bản nội bộ: the office's own, which an applicant does not get.
    pub const fn is_internal(self) -> bool {
        matches!(self, Self::ControlSlip | Self::TrackingBook)
    }
}

/// Why there is no such paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PaperRefused {
    /// What it would say has not happened to the case.
    #[error("form {:02} does not belong to a case in state {}", form.number(), state.code())]
    NotOfThisCase {
        /// Which.
        form: Form,
        /// The state of the case.
        state: State,
    },
    /// It is the office's own.
    #[error("form {:02} is internal", .0.number())]
    Internal(Form),
    /// The period of a tracking book ends before it begins, or is longer than a book.
    #[error("no such period of a tracking book")]
    Period,
}

/// Whether a case has a paper: which form belongs to which state is decided here and nowhere else.
///
/// A request for a supplement is printed while the supplement is awaited: what was asked for is kept with the case until it comes.
pub fn available(form: Form, case: &Case) -> Result<(), PaperRefused> {
    let there = match form {
        Form::Receipt | Form::ControlSlip => case.accept_time.is_some(),
        Form::Supplement => case.state == State::SupplementRequested,
        Form::Refusal => case.state == State::Rejected,
        Form::Apology => case.extension.is_some(),
        Form::Stop => case.state == State::Stopped,
        Form::TrackingBook => false,
    };
    if there {
        Ok(())
    } else {
        Err(PaperRefused::NotOfThisCase {
            form,
            state: case.state,
        })
    }
}

/// The names of the places that a paper bears.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Office {
    /// The unit above the competent one; empty if there is none.
    pub parent: String,
    /// Cơ quan có thẩm quyền giải quyết.
    pub agency: String,
    /// Nơi tiếp nhận.
    pub counter: String,
    /// Its mã đơn vị.
    pub counter_code: String,
    /// Địa danh: of the nearest administrative unit; empty if it is not known.
    pub place: String,
    /// Đơn vị phối hợp: whose opinion was asked for, in the order of asking.
    pub coordinating: Vec<String>,
}

/// What a paper is built from.
pub struct Source<'a> {
    /// The case.
    pub case: &'a Case,
    /// The version of the procedure that it keeps.
    pub procedure: &'a Procedure,
    /// Names of states, if a pack of them is in force.
    pub transitions: Option<&'a Transitions>,
    /// Its history, oldest first, as far as the form reads it ([`Form::reads_after`]).
    pub history: &'a [HistoryEntry],
    /// Names of places.
    pub office: &'a Office,
    /// Mã tra cứu, for whoever may have it.
    pub lookup_secret: Option<&'a str>,
    /// Khoản thu, for whoever sees it.
    pub charge: Option<&'a Charge>,
}

impl Source<'_> {
    /// The last entry of an act.
    fn last(&self, operation: &str) -> Option<&HistoryEntry> {
        self.history.iter().rev().find(|entry| entry.operation == operation)
    }

    /// Tên giấy tờ of a component; its code if the version does not know it.
    fn component_name(&self, code: &str) -> String {
        let known = self
            .procedure
            .components
            .iter()
            .find(|component| component.code == code);
        known.map_or_else(|| code.to_owned(), |component| component.name.clone())
    }

    /// Tên bước; its code if the version does not know it.
    fn step_name(&self, code: &str) -> String {
        let known = self.procedure.steps.iter().find(|step| step.code == code);
        known.map_or_else(|| code.to_owned(), |step| step.name.clone())
    }

    fn state_name(&self, state: State) -> String {
        self.transitions
            .map_or_else(|| state.code().to_string(), |names| names.info(state).name.clone())
    }
}

/// The paper of a case, if the case has it.
pub fn paper(form: Form, source: &Source<'_>) -> Result<Paper, PaperRefused> {
    available(form, source.case)?;
    match form {
        Form::Receipt => Ok(forms::receipt(source)),
        Form::Supplement => Ok(forms::supplement(source)),
        Form::Refusal => Ok(forms::refusal(source)),
        Form::Apology => forms::apology(source),
        Form::Stop => Ok(forms::stop(source)),
        Form::ControlSlip => Ok(slip::control_slip(source)),
        Form::TrackingBook => Err(PaperRefused::NotOfThisCase {
            form,
            state: source.case.state,
        }),
    }
}

/// Giấy tờ: one filled form. Its `Debug` shows no more than which: what stands in it is personal data.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Paper {
    /// Number of the form, two digits.
    pub form_number: String,
    /// Which circular.
    pub form_basis: String,
    /// True until somebody has compared its fields with the circular's own.
    pub form_unconfirmed: bool,
    /// Above the agency; empty if there is nothing.
    pub agency_parent: String,
    /// Cơ quan, đơn vị.
    pub agency: String,
    /// Số; empty where none is given.
    pub number: String,
    /// Whether the form has a number.
    pub numbered: bool,
    /// Ký hiệu behind the number; empty where it is not known.
    pub symbol: String,
    /// Địa danh; empty if the form has none.
    pub place: String,
    /// Its day; of a form without a place, the day up to which it tells.
    pub date: Option<PaperDay>,
    /// Tên loại.
    pub title: String,
    /// Below it.
    pub subtitle: String,
    /// What the QR code says: the case code and nothing else; of a tracking book whose it is, and of which days.
    pub qr: String,
    /// On the foot of each page.
    pub qr_label: String,
    /// Khổ ngang.
    pub landscape: bool,
    /// The body.
    pub blocks: Vec<Block>,
    /// Who signs.
    pub signatures: Vec<Signature>,
    /// In small letters.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for Paper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Paper")
            .field("form_number", &self.form_number)
            .field("qr", &self.qr)
            .finish_non_exhaustive()
    }
}

/// A day as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PaperDay {
    /// Day of the month.
    pub day: i8,
    /// Month.
    pub month: i8,
    /// Year.
    pub year: i16,
}

impl From<Date> for PaperDay {
    fn from(date: Date) -> Self {
        Self {
            day: date.day(),
            month: date.month(),
            year: date.year(),
        }
    }
}

/// A part of the body.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// Words of the form.
    Text {
        /// The words.
        text: String,
    },
    /// A labelled field; empty is a dotted line.
    Field {
        /// Its stable name.
        code: String,
        /// As it stands on the form.
        label: String,
        /// What it holds.
        value: String,
    },
    /// A table.
    Table {
        /// Its stable name.
        code: String,
        /// Above it; empty if there is nothing.
        label: String,
        /// From left to right.
        columns: Vec<Column>,
        /// Each as long as the columns.
        rows: Vec<Vec<String>>,
    },
}

/// A column of a table.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its stable name.
    pub code: String,
    /// Its head.
    pub label: String,
    /// Its share of the width.
    pub width: u16,
    /// In the middle rather than on the left.
    pub centred: bool,
}

/// A place to sign.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// Chức danh.
    pub title: String,
    /// "(Ký và ghi rõ họ tên)".
    pub hint: String,
    /// Whose, if it is known.
    pub name: String,
}

impl Paper {
    /// A form with its head and nothing in it.
    fn blank(form: Form) -> Self {
        Self {
            form_number: format!("{:02}", form.number()),
            form_basis: BASIS.to_owned(),
            form_unconfirmed: true,
            agency_parent: String::new(),
            agency: String::new(),
            number: String::new(),
            numbered: false,
            symbol: String::new(),
            place: String::new(),
            date: None,
            title: form.title().to_owned(),
            subtitle: String::new(),
            qr: String::new(),
            qr_label: String::new(),
            landscape: false,
            blocks: Vec::new(),
            signatures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The form of a case: its code as QR, and on each page.
    fn of_case(form: Form, source: &Source<'_>) -> Self {
        let case = source.case;
        let mut paper = Self {
            qr: case.case_code.clone(),
            qr_label: format!("Mã hồ sơ: {}", case.case_code),
            ..Self::blank(form)
        };
        if case.code_provisional {
            paper
                .notes
                .push("Mã cơ quan trong mã hồ sơ là mã tạm, chưa được tỉnh cấp.".to_owned());
        }
        paper
    }

    /// The head of the counter: agency above, one-stop unit below.
    fn headed_by_counter(mut self, office: &Office) -> Self {
        if office.counter == office.agency {
            return self.headed_by_agency(office);
        }
        self.agency_parent.clone_from(&office.agency);
        self.agency.clone_from(&office.counter);
        self
    }

    /// The head of the competent agency.
    fn headed_by_agency(mut self, office: &Office) -> Self {
        self.agency_parent.clone_from(&office.parent);
        self.agency.clone_from(&office.agency);
        self
    }

    /// With a line for its number; the symbol behind it is empty where no source names it.
    fn numbered(mut self, symbol: &str) -> Self {
        self.numbered = true;
        symbol.clone_into(&mut self.symbol);
        self
    }

    fn dated(mut self, office: &Office, time: Option<Timestamp>) -> Self {
        self.place.clone_from(&office.place);
        self.date = time.map(|time| egov_calendar::vietnam_time(time).date().into());
        self
    }

    fn text(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Text { text: text.into() });
        self
    }

    fn field(mut self, code: &str, label: &str, value: impl Into<String>) -> Self {
        self.blocks.push(Block::Field {
            code: code.to_owned(),
            label: label.to_owned(),
            value: value.into(),
        });
        self
    }

    /// A field that stands on the paper only if it holds something.
    fn field_if(self, code: &str, label: &str, value: &str) -> Self {
        if value.is_empty() {
            self
        } else {
            self.field(code, label, value)
        }
    }

    fn table(mut self, code: &str, label: &str, columns: &[(&str, &str, u16, bool)], rows: Vec<Vec<String>>) -> Self {
        let columns = columns.iter().map(|(code, label, width, centred)| Column {
            code: (*code).to_owned(),
            label: (*label).to_owned(),
            width: *width,
            centred: *centred,
        });
        self.blocks.push(Block::Table {
            code: code.to_owned(),
            label: label.to_owned(),
            columns: columns.collect(),
            rows,
        });
        self
    }

    fn signed(mut self, title: &str, name: &str) -> Self {
        self.signatures.push(Signature {
            title: title.to_owned(),
            hint: if title.is_empty() {
                String::new()
            } else {
                "(Ký và ghi rõ họ tên)".to_owned()
            },
            name: name.to_owned(),
        });
        self
    }

    fn note(mut self, note: &str) -> Self {
        self.notes.push(note.to_owned());
        self
    }

    /// The bytes that are printed.
    pub fn content(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}
