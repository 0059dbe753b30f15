//! Tệp kho bạc: what the treasury says it booked, read line by line. How the file is written is dated data (`deploy/packs/fees`).

use std::collections::BTreeMap;

use egov_codes::CaseCode;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::pack::{Fact, Profile};

/// Lines of one file.
pub const MOST_LINES: usize = 20_000;

/// Violations that are named of one file.
pub const MOST_VIOLATIONS: usize = 100;

/// The most that one line may be about, VND.
const MOST_VND: i64 = 100_000_000_000;

/// Years in which something may have been booked: no database keeps every year that can be written.
const YEARS: std::ops::Range<i16> = 2000..3000;

/// Why a pack of fees is refused.
#[derive(Debug, thiserror::Error)]
pub enum TreasuryFormatError {
    /// The text is not TOML of this shape.
    #[error("the form of the treasury's file cannot be read: {0}")]
    Malformed(#[from] toml::de::Error),
    /// It ends before it begins.
    #[error("effective_to is not after effective_from")]
    EndsFirst,
    /// No separator that is known.
    #[error("the separator is one of , ; and tab")]
    Separator,
    /// Two columns have one name, or one has none.
    #[error("the columns have four different names")]
    Columns,
}

/// How a day is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum DateForm {
    /// 23/11/2026.
    #[serde(rename = "dd/mm/yyyy")]
    DayFirst,
    /// 2026-11-23.
    #[serde(rename = "yyyy-mm-dd")]
    YearFirst,
}

/// The names of the columns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Ngày hạch toán.
    pub day: String,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Mã tham chiếu: code of the order, or number of the receipt.
    pub reference: String,
    /// Số tiền.
    pub amount: String,
}

impl Columns {
    fn names(&self) -> [&str; 4] {
        [&self.day, &self.case_code, &self.reference, &self.amount]
    }
}

/// One dated form of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreasuryFormat {
    /// Its name.
    pub name: String,
    /// In force from this day.
    pub effective_from: Date,
    /// In force until this day (exclusive).
    #[serde(default)]
    pub effective_to: Option<Date>,
    /// Between two values.
    pub separator: char,
    /// How a day is written.
    pub date: DateForm,
    /// The names of the columns.
    pub columns: Columns,
    /// How it is established.
    pub fact: Fact,
}

impl TreasuryFormat {
    /// Reads a pack.
    ///
    /// # Errors
    /// Text of another shape, a period that ends before it begins, columns that cannot be told apart.
    pub fn from_toml(text: &str) -> Result<Self, TreasuryFormatError> {
        let format: Self = toml::from_str(text)?;
        if format.effective_to.is_some_and(|end| end <= format.effective_from) {
            return Err(TreasuryFormatError::EndsFirst);
        }
        if !matches!(format.separator, ',' | ';' | '\t') {
            return Err(TreasuryFormatError::Separator);
        }
        let mut names = format.columns.names();
        names.sort_unstable();
        if names.iter().any(|name| name.trim().is_empty()) || names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(TreasuryFormatError::Columns);
        }
        Ok(format)
    }

    /// True if it is in force on this day.
    pub fn in_force_on(&self, day: Date) -> bool {
        self.effective_from <= day && self.effective_to.is_none_or(|end| day < end)
    }

    /// True if this profile may rely on it: a demonstration also reads what nobody has confirmed.
    pub fn may_be_used(&self, profile: Profile) -> bool {
        profile == Profile::Demo || self.fact.is_settled(profile)
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Booked {
    /// Its line in the file; the first line is 1 and holds the names.
    pub line: i32,
    /// On which day it was booked.
    pub day: Date,
    /// Mã hồ sơ.
    pub case_code: String,
    /// Code of the order, or number of the receipt.
    pub reference: String,
    /// VND; below 0 for money that went back.
    pub amount_vnd: i64,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The file is not UTF-8.
    NotText,
    /// A column is missing in the first line.
    ColumnMissing,
    /// A column is named twice.
    ColumnTwice,
    /// The line cannot be read as values.
    Unreadable,
    /// A value goes on in the next line: what stands there would be lost in it.
    LineBreak,
    /// The line has more or fewer values than names.
    OtherLength,
    /// No day of the calendar in the form of the file.
    Day,
    /// No case code of either generation.
    CaseCode,
    /// The reference is empty, too long or holds blanks.
    Reference,
    /// No whole number of đồng, or 0.
    Amount,
    /// More lines than are read.
    TooLong,
}

/// A flaw at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFlaw {
    /// The line; 0 for the file.
    pub line: i32,
    /// The column, where it is one.
    pub column: String,
    /// What is wrong.
    pub flaw: Flaw,
}

fn read_day(text: &str, form: DateForm) -> Option<Date> {
    let digits = |text: &str, length: usize| -> Option<i16> {
        let plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    let (separator, lengths) = match form {
        DateForm::DayFirst => ('/', [2, 2, 4]),
        DateForm::YearFirst => ('-', [4, 2, 2]),
    };
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, length) in numbers.iter_mut().zip(lengths) {
        *number = digits(parts.next()?, length)?;
    }
    if parts.next().is_some() {
        return None;
    }
    let [first, month, last] = numbers;
    let (year, day) = match form {
        DateForm::DayFirst => (last, first),
        DateForm::YearFirst => (first, last),
    };
    if !YEARS.contains(&year) {
        return None;
    }
    Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()
}

/// Money that came in, or, with a minus sign, that went back (hoàn trả).
fn read_amount(text: &str) -> Option<i64> {
    let (digits, sign) = match text.strip_prefix('-') {
        Some(digits) => (digits, -1),
        None => (text, 1),
    };
    let plain = !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let amount: i64 = plain.then(|| digits.parse().ok()).flatten()?;
    (1..=MOST_VND).contains(&amount).then_some(sign * amount)
}

fn is_reference(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a value of a line holds the beginning of another. A quotation mark that is not closed takes in everything up to the next one,
/// or to the end of the file: payments that were booked there would be missing without a word.
fn runs_on(record: &csv::StringRecord) -> bool {
    record.iter().any(|value| value.contains('\n'))
}

/// Reads a file whole, or says everything that is wrong with it, up to [`MOST_VIOLATIONS`]. One that has the names and no line says that
/// nothing was booked.
///
/// # Errors
/// Every flaw with its line.
pub fn read_treasury_file(content: &[u8], format: &TreasuryFormat) -> Result<Vec<Booked>, Vec<LineFlaw>> {
    let file_flaw = |flaw: Flaw| {
        vec![LineFlaw {
            line: 0,
            column: String::new(),
            flaw,
        }]
    };
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let Ok(text) = std::str::from_utf8(content) else {
        return Err(file_flaw(Flaw::NotText));
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(u8::try_from(format.separator).unwrap_or(b','))
        .has_headers(true)
        .flexible(true)
        // A line ends where it is counted; what a carriage return leaves is trimmed, when it is known that no value runs on.
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(text.as_bytes());
    let mut flaws = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let Ok(mut header) = reader.headers().cloned() else {
        return Err(file_flaw(Flaw::Unreadable));
    };
    if runs_on(&header) {
        return Err(vec![LineFlaw {
            line: 1,
            column: String::new(),
            flaw: Flaw::LineBreak,
        }]);
    }
    header.trim();
    let length = header.len();
    for name in format.columns.names() {
        let mut found = header.iter().enumerate().filter(|(_, column)| *column == name);
        let flaw = match (found.next(), found.next()) {
            (None, _) => Flaw::ColumnMissing,
            (Some(_), Some(_)) => Flaw::ColumnTwice,
            (Some((place, _)), None) => {
                places.insert(name, place);
                continue;
            }
        };
        flaws.push(LineFlaw {
            line: 1,
            column: name.to_owned(),
            flaw,
        });
    }
    if !flaws.is_empty() {
        return Err(flaws);
    }
    let mut booked = Vec::new();
    for record in reader.records() {
        if flaws.len() >= MOST_VIOLATIONS {
            break;
        }
        let mut record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                flaws.push(LineFlaw {
                    line: i32::try_from(line).unwrap_or(i32::MAX),
                    column: String::new(),
                    flaw: Flaw::Unreadable,
                });
                break;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let line = i32::try_from(line).unwrap_or(i32::MAX);
        if runs_on(&record) {
            flaws.push(LineFlaw {
                line,
                column: String::new(),
                flaw: Flaw::LineBreak,
            });
            continue;
        }
        record.trim();
        if record.len() == 1 && record.get(0) == Some("") {
            continue;
        }
        if booked.len() >= MOST_LINES {
            flaws.push(LineFlaw {
                line,
                column: String::new(),
                flaw: Flaw::TooLong,
            });
            break;
        }
        if record.len() != length {
            flaws.push(LineFlaw {
                line,
                column: String::new(),
                flaw: Flaw::OtherLength,
            });
            continue;
        }
        let value = |name: &str| {
            places
                .get(name)
                .and_then(|place| record.get(*place))
                .unwrap_or_default()
        };
        let columns = &format.columns;
        let day = read_day(value(&columns.day), format.date);
        let case_code = value(&columns.case_code);
        let reference = value(&columns.reference);
        let amount_vnd = read_amount(value(&columns.amount));
        let known_code = case_code.parse::<CaseCode>().is_ok();
        for (wrong, column, flaw) in [
            (day.is_none(), &columns.day, Flaw::Day),
            (!known_code, &columns.case_code, Flaw::CaseCode),
            (!is_reference(reference), &columns.reference, Flaw::Reference),
            (amount_vnd.is_none(), &columns.amount, Flaw::Amount),
        ] {
            if wrong {
                flaws.push(LineFlaw {
                    line,
                    column: column.clone(),
                    flaw,
                });
            }
        }
        if let (Some(day), Some(amount_vnd)) = (day, amount_vnd) {
            booked.push(Booked {
                line,
                day,
                case_code: case_code.to_owned(),
                reference: reference.to_owned(),
                amount_vnd,
            });
        }
    }
    if flaws.is_empty() { Ok(booked) } else { Err(flaws) }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const SHIPPED: &str = include_str!("../../../../deploy/packs/fees/treasury-2026.toml");

    fn format() -> TreasuryFormat {
        TreasuryFormat::from_toml(SHIPPED).unwrap()
    }

    const HEADER: &str = "ngay_hach_toan,ma_ho_so,ma_tham_chieu,so_tien,ghi_chu\n";

    #[test]
    fn a_file_is_read_line_by_line_and_other_columns_are_left_alone() {
        let text = format!(
            "\u{feff}{HEADER}23/11/2026,H41.201-261123-0001,o-1,8000,\"nộp, lần 1\"\r\n24/11/2026,000.00.10.H41-180115-0007,BL7,150000,\n"
        );
        let read = read_treasury_file(text.as_bytes(), &format()).unwrap();
        assert_eq!(
            read,
            [
                Booked {
                    line: 2,
                    day: date(2026, 11, 23),
                    case_code: "H41.201-261123-0001".to_owned(),
                    reference: "o-1".to_owned(),
                    amount_vnd: 8_000,
                },
                Booked {
                    line: 3,
                    day: date(2026, 11, 24),
                    case_code: "000.00.10.H41-180115-0007".to_owned(),
                    reference: "BL7".to_owned(),
                    amount_vnd: 150_000,
                },
            ]
        );
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_line() {
        let text = format!(
            "{HEADER}31/11/2026,x,a b,8.000,\n23/11/2026,H41.201-261123-0001,o-1\n23/11/2026,H41.201-261123-0001,o-1,-0,\n"
        );
        let flaws = read_treasury_file(text.as_bytes(), &format()).unwrap_err();
        let said: Vec<(i32, &str, Flaw)> = flaws
            .iter()
            .map(|flaw| (flaw.line, flaw.column.as_str(), flaw.flaw))
            .collect();
        assert_eq!(
            said,
            [
                (2, "ngay_hach_toan", Flaw::Day),
                (2, "ma_ho_so", Flaw::CaseCode),
                (2, "ma_tham_chieu", Flaw::Reference),
                (2, "so_tien", Flaw::Amount),
                (3, "", Flaw::OtherLength),
                (4, "so_tien", Flaw::Amount),
            ]
        );
        let flaws = read_treasury_file(b"ngay_hach_toan,ma_ho_so,so_tien,so_tien\n", &format()).unwrap_err();
        assert_eq!(flaws.len(), 2, "{flaws:?}");
        assert_eq!(
            read_treasury_file(b"", &format()).unwrap_err()[0].flaw,
            Flaw::ColumnMissing
        );
        assert_eq!(
            read_treasury_file(&[0xff, 0xfe], &format()).unwrap_err()[0].flaw,
            Flaw::NotText
        );
    }

    #[test]
    fn an_amount_with_a_minus_sign_is_money_that_went_back() {
        for (text, amount) in [
            ("8000", Some(8_000)),
            ("-8000", Some(-8_000)),
            ("0", None),
            ("-0", None),
            ("-", None),
            ("--1", None),
            ("- 1", None),
            ("\u{2212}1", None),
            ("(8000)", None),
            ("-100000000001", None),
        ] {
            assert_eq!(read_amount(text), amount, "{text}");
        }
    }

    #[test]
    fn a_file_with_the_names_alone_says_that_nothing_was_booked() {
        assert_eq!(read_treasury_file(HEADER.as_bytes(), &format()), Ok(Vec::new()));
    }

    #[test]
    fn a_quotation_mark_that_is_not_closed_takes_no_line_in() {
        let line = "23/11/2026,H41.201-261123-0001,o-1,8000,";
        for (lines, wrong) in [
            // To the end of the file, and to the next quotation mark.
            (format!("{line}\"nộp\n{line}\n{line}\n"), vec![2]),
            (format!("{line}\"nộp\n{line}\"lần 1\"\n{line}\n"), vec![2]),
            (format!("{line}\n{line}\"a\nb\"\n{line}\n"), vec![3]),
            (format!("{line}\"\n{line}\n"), vec![2]),
            (format!("{line}\"nộp, lần 1\"\n{line}\n"), vec![]),
        ] {
            let read = read_treasury_file(format!("{HEADER}{lines}").as_bytes(), &format());
            let flaws: Vec<i32> = read.err().unwrap_or_default().iter().map(|flaw| flaw.line).collect();
            assert_eq!(flaws, wrong, "{lines}");
        }
        let names = "ngay_hach_toan,ma_ho_so,ma_tham_chieu,so_tien,\"ghi_chu\n";
        let read = read_treasury_file(format!("{names}{line}\n").as_bytes(), &format());
        assert_eq!(read.unwrap_err()[0].flaw, Flaw::LineBreak);
    }

    #[test]
    fn a_year_that_no_database_keeps_is_no_day() {
        for day in ["01/01/0000", "01/01/0001", "31/12/1999", "01/01/3000"] {
            let text = format!("{HEADER}{day},H41.201-261123-0001,o-1,8000,\n");
            let flaws = read_treasury_file(text.as_bytes(), &format()).unwrap_err();
            assert_eq!((flaws.len(), flaws[0].flaw), (1, Flaw::Day), "{day}");
        }
    }

    #[test]
    fn the_shipped_form_is_unconfirmed_and_no_form_of_production() {
        assert!(format().may_be_used(Profile::Demo));
        assert!(!format().may_be_used(Profile::Production));
        assert!(TreasuryFormat::from_toml(&SHIPPED.replace("ma_ho_so", "so_tien")).is_err());
        assert!(TreasuryFormat::from_toml(&SHIPPED.replace("\",\"", "\"|\"")).is_err());
        assert!(!format().in_force_on(date(2025, 6, 30)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused_with_a_reason(content: Vec<u8>) {
            if let Err(flaws) = read_treasury_file(&content, &format()) {
                prop_assert!(!flaws.is_empty());
            }
        }

        #[test]
        fn arbitrary_lines_below_the_names_are_read_or_refused(lines in ".{0,200}") {
            let text = format!("{HEADER}{lines}");
            match read_treasury_file(text.as_bytes(), &format()) {
                Ok(read) => prop_assert!(read.iter().all(|booked| booked.amount_vnd != 0)),
                Err(flaws) => prop_assert!(!flaws.is_empty() && flaws.len() < MOST_VIOLATIONS + 4),
            }
        }

        #[test]
        fn what_is_written_in_the_form_is_read_as_it_was_written(
            rows in proptest::collection::vec((1..29_i8, 1..13_i8, 1..10_000_u32, "[A-Za-z0-9-]{1,30}", prop_oneof![1..=MOST_VND, -MOST_VND..=-1]), 1..20)
        ) {
            let mut text = HEADER.to_owned();
            for (day, month, number, reference, amount) in &rows {
                writeln!(text, "{day:02}/{month:02}/2026,H41.201-26{month:02}{day:02}-{number:04},{reference},{amount},").unwrap();
            }
            let read = read_treasury_file(text.as_bytes(), &format()).unwrap();
            prop_assert_eq!(read.len(), rows.len());
            for (booked, (day, month, _, reference, amount)) in read.iter().zip(&rows) {
                prop_assert_eq!(booked.day, date(2026, *month, *day));
                prop_assert_eq!((&booked.reference, booked.amount_vnd), (reference, *amount));
            }
        }
    }
}
