use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use crate::{AgencyCode, CodeError, Generation, serde_as_text};

/// Mã hồ sơ, of both generations.
///
/// `{agency}-{yymmdd}-{sequence}`: with an agency code of QCVN 102:2016 it follows TT 01/2018/TT-VPCP Đ.19, with one of
/// QĐ 20/2020 the newer form. Province systems number with four digits, ministry portals with six or seven, and one
/// of them writes the year with four digits; all of them are read, and printed as they came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseCode {
    agency: AgencyCode,
    date: Date,
    /// As written: six or eight digits.
    date_text: String,
    /// As written: leading zeros are part of the code.
    sequence: String,
}

/// The agency's numbers of a day are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{digits} digits hold no number {number}")]
pub struct DailyNumbersExhausted {
    /// The number that did not fit.
    pub number: u32,
    /// Digits of the agency's sequence.
    pub digits: u8,
}

impl From<DailyNumbersExhausted> for CodeError {
    fn from(_: DailyNumbersExhausted) -> Self {
        Self::new(
            "case_code",
            "đã dùng hết số hồ sơ trong ngày của cơ quan",
            "the agency's case numbers of the day are used up",
        )
    }
}

const WRONG: CodeError = CodeError::new(
    "case_code",
    "mã hồ sơ phải có dạng mã cơ quan, ngày, số thứ tự: H41.16.4-261123-0007 hoặc 000.00.10.H41-261123-0007",
    "a case code is agency, date and sequence: H41.16.4-261123-0007 or 000.00.10.H41-261123-0007",
);
const NO_SUCH_DATE: CodeError = CodeError::new(
    "case_code",
    "ngày trong mã hồ sơ không có thật",
    "the date in the case code does not exist",
);

impl CaseCode {
    /// Builds the code of a new case: `number` is the case's number of the day at the agency, `digits` the length of the
    /// agency's sequence (4 by rule; 5 to 7 where the agency has a longer one). The date is the civil date in Vietnam.
    pub fn issue(agency: &AgencyCode, date: Date, number: u32, digits: u8) -> Result<Self, DailyNumbersExhausted> {
        let width = usize::from(digits);
        let sequence = format!("{number:0width$}");
        if !(4..=7).contains(&digits) || sequence.len() != width || number == 0 {
            return Err(DailyNumbersExhausted { number, digits });
        }
        let date_text = format!("{:02}{:02}{:02}", date.year().rem_euclid(100), date.month(), date.day());
        Ok(Self {
            agency: agency.clone(),
            date,
            date_text,
            sequence,
        })
    }

    /// The agency that gave the code.
    pub fn agency(&self) -> &AgencyCode {
        &self.agency
    }

    /// The day on which it was given. Two-digit years are of this century.
    pub fn date(&self) -> Date {
        self.date
    }

    /// The number of the day, as written.
    pub fn sequence(&self) -> &str {
        &self.sequence
    }

    /// Which decree the agency part follows.
    pub fn generation(&self) -> Generation {
        self.agency.generation()
    }
}

impl FromStr for CaseCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let mut parts = text.split('-');
        let (Some(agency), Some(date_text), Some(sequence), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(WRONG);
        };
        let agency: AgencyCode = agency.parse()?;
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let sequence_fits = match agency.generation() {
            Generation::Qcvn102 => sequence.len() == 4,
            Generation::Decision20 => (4..=7).contains(&sequence.len()),
        };
        if !(sequence_fits && all_digits(sequence) && all_digits(date_text)) {
            return Err(WRONG);
        }
        // Six digits are yymmdd, eight yyyymmdd; the old generation knows only six.
        let (year, month_day) = match (date_text.len(), agency.generation()) {
            (6, _) => (format!("20{}", date_text.get(..2).ok_or(WRONG)?), date_text.get(2..)),
            (8, Generation::Decision20) => (date_text.get(..4).ok_or(WRONG)?.to_owned(), date_text.get(4..)),
            _ => return Err(WRONG),
        };
        let month_day = month_day.ok_or(WRONG)?;
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<i8>().ok()).ok_or(WRONG);
        let date = Date::new(
            year.parse().map_err(|_| WRONG)?,
            number(month_day.get(..2))?,
            number(month_day.get(2..))?,
        )
        .map_err(|_| NO_SUCH_DATE)?;
        Ok(Self {
            agency,
            date,
            date_text: date_text.to_owned(),
            sequence: sequence.to_owned(),
        })
    }
}

impl fmt::Display for CaseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.agency, self.date_text, self.sequence)
    }
}

serde_as_text!(CaseCode, ToString::to_string);

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_of_live_systems_are_read_and_printed_as_they_came() {
        for (text, day) in [
            ("000.00.10.H41-180701-0001", date(2018, 7, 1)),
            ("H15.50.05.13-261008-0975", date(2026, 10, 8)),
            ("G09.20-20260609-0092637", date(2026, 6, 9)),
        ] {
            let code: CaseCode = text.parse().unwrap();
            assert_eq!((code.to_string().as_str(), code.date()), (text, day));
        }
    }

    #[test]
    fn what_is_no_case_code_is_refused() {
        for text in [
            "",
            "H41",
            "H41-261123",
            "H41-261123-001",
            "H41-261123-00000001",
            "H41-2611-0001",
            "h41-261123-0001",
            "000.00.10.H41-20180701-0001",
            "000.00.10.H41-180701-00001",
            "H41-261123-0001-1",
            "H41-26112٣-0001",
        ] {
            assert!(text.parse::<CaseCode>().is_err(), "{text}");
        }
        assert_eq!("H41-261131-0001".parse::<CaseCode>(), Err(NO_SUCH_DATE));
    }

    #[test]
    fn number_ten_thousand_of_a_day_needs_a_longer_sequence() {
        let agency: AgencyCode = "H41.16".parse().unwrap();
        let day = date(2026, 11, 23);
        assert_eq!(
            CaseCode::issue(&agency, day, 9999, 4).unwrap().to_string(),
            "H41.16-261123-9999"
        );
        assert_eq!(
            CaseCode::issue(&agency, day, 10_000, 4),
            Err(DailyNumbersExhausted {
                number: 10_000,
                digits: 4
            })
        );
        assert_eq!(
            CaseCode::issue(&agency, day, 10_000, 5).unwrap().to_string(),
            "H41.16-261123-10000"
        );
        assert!(CaseCode::issue(&agency, day, 0, 4).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            if let Ok(code) = text.parse::<CaseCode>() {
                prop_assert_eq!(code.to_string(), text);
            }
        }

        #[test]
        fn an_issued_code_is_read_again(days in 0_i64..20_000, number in 1_u32..=9999, digits in 4_u8..=7) {
            let agency: AgencyCode = "H41.16.4".parse().unwrap();
            let day = date(2015, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap();
            let code = CaseCode::issue(&agency, day, number, digits).unwrap();
            prop_assert_eq!(code.to_string().parse::<CaseCode>().unwrap(), code);
        }
    }
}
