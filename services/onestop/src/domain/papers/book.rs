//! Mẫu số 07: the tracking book of a unit that takes cases in.

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::wording::{phone, short_day, short_moment, way};
use super::{Form, Office, Paper, PaperRefused};
use crate::domain::pack::Channel;

/// So many rows are read, or printed, at once.
pub const MOST_BOOK_ROWS: usize = 200;

/// A book covers at most so many days.
const MOST_DAYS: i32 = 366;

/// The period of a book: cases that were taken in from the first to the last day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookSpan {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
}

impl BookSpan {
    /// A period that is none longer than a year.
    pub fn new(from: Date, to: Date) -> Result<Self, PaperRefused> {
        let days = from.until(to).map_or(MOST_DAYS, |span| span.get_days());
        if from <= to && days < MOST_DAYS {
            Ok(Self { from, to })
        } else {
            Err(PaperRefused::Period)
        }
    }
}

/// One case in the book.
#[derive(Clone, PartialEq, Eq)]
pub struct BookRow {
    /// Id.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Tên thủ tục.
    pub procedure_name: String,
    /// Chủ hồ sơ.
    pub owner_name: String,
    /// The citizen's account, if the case came with an eID.
    pub owner_id: Option<Uuid>,
    /// Địa chỉ.
    pub address: String,
    /// Số điện thoại, as it is stored.
    pub phone: String,
    /// Cơ quan chủ trì giải quyết.
    pub responsible_unit_id: i32,
    /// Its name.
    pub agency: String,
    /// Nhận hồ sơ.
    pub accept_time: Timestamp,
    /// Hẹn trả kết quả.
    pub due_date: Option<Date>,
    /// Chuyển hồ sơ đến cơ quan giải quyết.
    pub sent_time: Option<Timestamp>,
    /// Nhận kết quả từ cơ quan giải quyết.
    pub result_time: Option<Timestamp>,
    /// Trả kết quả.
    pub return_time: Option<Timestamp>,
    /// Phương thức nhận kết quả.
    pub return_channel: Option<Channel>,
    /// Who received it, if it was not the owner.
    pub recipient: String,
}

/// Mẫu số 07, or a part of it that begins with row `first`.
pub fn tracking_book(office: &Office, span: BookSpan, first: i64, rows: &[BookRow]) -> Paper {
    let day = |date: Option<Date>| date.map(short_day).unwrap_or_default();
    let moment = |time: Option<Timestamp>| time.map(short_moment).unwrap_or_default();
    let lines = (first..).zip(rows).map(|(number, row)| {
        let reached: Vec<String> = [row.address.clone(), phone(&row.phone)]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect();
        vec![
            number.to_string(),
            row.case_code.clone(),
            row.procedure_name.clone(),
            String::new(),
            row.owner_name.clone(),
            reached.join("\n"),
            row.agency.clone(),
            short_moment(row.accept_time),
            day(row.due_date),
            moment(row.sent_time),
            moment(row.result_time),
            moment(row.return_time),
            row.return_channel.map(way).unwrap_or_default().to_owned(),
            row.recipient.clone(),
            String::new(),
        ]
    });
    let lines = lines.collect();
    let mut paper = Paper::blank(Form::TrackingBook).headed_by_counter(office);
    paper.landscape = true;
    paper.date = Some(span.to.into());
    paper.subtitle = format!("Từ ngày {} đến ngày {}", short_day(span.from), short_day(span.to));
    paper.qr = format!("{}/07/{}/{}", office.counter_code, span.from, span.to);
    paper.qr_label = format!(
        "Sổ theo dõi hồ sơ: {}, {} - {}",
        office.counter,
        short_day(span.from),
        short_day(span.to)
    );
    paper.table(
        "cases",
        "",
        &[
            ("number", "STT", 7, true),
            ("case_code", "Mã hồ sơ", 21, false),
            ("procedure", "Tên thủ tục hành chính", 26, false),
            ("sets", "Số bộ", 8, true),
            ("applicant_name", "Tên cá nhân, tổ chức", 20, false),
            ("applicant_contact", "Địa chỉ, số điện thoại", 24, false),
            ("agency", "Cơ quan chủ trì giải quyết", 20, false),
            ("accept_time", "Nhận hồ sơ", 14, true),
            ("due_date", "Hẹn trả kết quả", 15, true),
            ("sent_time", "Chuyển hồ sơ", 14, true),
            ("result_time", "Nhận kết quả", 14, true),
            ("return_time", "Trả kết quả", 14, true),
            ("return_way", "Phương thức nhận", 14, true),
            ("signature", "Ký nhận", 16, true),
            ("note", "Ghi chú", 13, false),
        ],
        lines,
    )
}
