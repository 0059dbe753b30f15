//! Giấy xác nhận tình trạng hôn nhân: how long it is valid.

use jiff::Span;
use jiff::civil::Date;

use super::pack::Rules;
use crate::domain::finding::Findings;

/// The last day on which a paper issued on a day is valid: the same day of the month so many months later, or the last day of a shorter month.
pub fn last_valid_day(rules: &Rules, issued: Date) -> Date {
    issued
        .checked_add(Span::new().months(rules.marital_status_paper.months))
        .unwrap_or(Date::MAX)
}

/// Judges a paper that is presented on a day.
pub fn judge(rules: &Rules, issued: Date, presented: Date, field: &str) -> Findings {
    let mut findings = Findings::default();
    let rule = &rules.marital_status_paper;
    if issued > presented {
        let words = (
            "ngày cấp giấy xác nhận sau ngày nộp".to_owned(),
            "the paper was issued after the day on which it is presented".to_owned(),
        );
        findings.violate("marital_paper_in_future", field, &rule.origin, words);
    } else if presented > last_valid_day(rules, issued) {
        let months = rule.months;
        let words = (
            format!("giấy xác nhận tình trạng hôn nhân đã quá {months} tháng kể từ ngày cấp"),
            format!("the confirmation of marital status was issued more than {months} months ago"),
        );
        findings.violate("marital_paper_expired", field, &rule.origin, words);
    }
    findings
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::rules::pack::tests::rules;

    #[test]
    fn a_paper_of_the_end_of_august_ends_with_february() {
        let at = |presented| judge(&rules(), date(2026, 8, 31), presented, "paper").is_clear();
        assert!(at(date(2027, 2, 28)) && !at(date(2027, 3, 1)) && !at(date(2026, 8, 30)));
    }

    proptest! {
        /// The slow way: turn the leaves of the calendar month by month.
        #[test]
        fn six_months_are_six_leaves_of_the_calendar(after in 0..4_000_i32) {
            let issued = date(2020, 1, 1).checked_add(Span::new().days(after)).unwrap();
            let (mut year, mut month) = (issued.year(), issued.month());
            for _ in 0..6 {
                (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            }
            let day = (1..=issued.day()).rev().find_map(|day| Date::new(year, month, day).ok());
            prop_assert_eq!(Some(last_valid_day(&rules(), issued)), day);
        }
    }
}
