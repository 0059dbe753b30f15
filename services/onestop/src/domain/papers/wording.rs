//! How days, hours and people are written on Vietnamese papers.

use egov_calendar::vietnam_time;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::case::end_of_day;
use crate::domain::pack::Channel;
use crate::domain::party::Party;

/// Words before the name of an administrative unit.
const KINDS: [&str; 8] = [
    "Tỉnh ",
    "Thành phố ",
    "Phường ",
    "Xã ",
    "Đặc khu ",
    "Thị trấn ",
    "Thị xã ",
    "Quận ",
];

/// Địa danh ghi trên văn bản (NĐ 30/2020/NĐ-CP, Phụ lục I): the name of an administrative unit without its kind; none for another unit.
pub fn place_name(unit_name: &str) -> Option<&str> {
    KINDS.iter().find_map(|kind| unit_name.strip_prefix(kind))
}

/// "08 giờ 30 phút, ngày 23 tháng 11 năm 2026".
pub(super) fn moment(time: Timestamp) -> String {
    let at = vietnam_time(time);
    format!("{:02} giờ {:02} phút, {}", at.hour(), at.minute(), day(at.date()))
}

/// "ngày 23 tháng 11 năm 2026".
pub(super) fn day(date: Date) -> String {
    format!("ngày {:02} tháng {:02} năm {}", date.day(), date.month(), date.year())
}

/// When something is due: the hour too where the period is counted in hours.
pub(super) fn due(date: Date, time: Timestamp) -> String {
    if end_of_day(date) == Some(time) {
        day(date)
    } else {
        moment(time)
    }
}

/// "08:30 23/11/2026", for tables.
pub(super) fn short_moment(time: Timestamp) -> String {
    let at = vietnam_time(time);
    format!("{:02}:{:02} {}", at.hour(), at.minute(), short_day(at.date()))
}

/// "23/11/2026", for tables.
pub(super) fn short_day(date: Date) -> String {
    egov_calendar::written_date(date)
}

/// "8.000 đồng".
pub(super) fn vnd(amount: i64) -> String {
    let digits = amount.unsigned_abs().to_string();
    let mut written = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            written.push('.');
        }
        written.push(digit);
    }
    let sign = if amount < 0 { "-" } else { "" };
    format!("{sign}{written} đồng")
}

/// A stored number, 84…, as it is dialled: 0….
pub(super) fn phone(stored: &str) -> String {
    stored
        .strip_prefix("84")
        .map_or_else(|| stored.to_owned(), |rest| format!("0{rest}"))
}

/// The party's personal or organisation number.
pub(super) fn number_of(party: &Party) -> &str {
    if party.personal_number.is_empty() {
        &party.organisation_number
    } else {
        &party.personal_number
    }
}

/// Phương thức nhận kết quả.
pub(super) const fn way(channel: Channel) -> &'static str {
    match channel {
        Channel::Counter => "Trực tiếp",
        Channel::Online => "Trực tuyến",
        Channel::Post => "Bưu chính",
    }
}
