//! Niêm yết về việc trẻ bị bỏ rơi: minutes first, then a notice of consecutive days, then the registration.

use jiff::Span;
use jiff::civil::Date;

use super::pack::Rules;
use crate::domain::finding::Findings;

/// What stands before the registration of an abandoned child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbandonedNotice {
    /// Ngày lập biên bản.
    pub minutes: Date,
    /// Niêm yết từ ngày.
    pub from: Date,
    /// Niêm yết đến hết ngày.
    pub to: Date,
}

/// Judges the notice before the registration on a day.
pub fn judge(rules: &Rules, notice: &AbandonedNotice, registered: Date) -> Findings {
    let mut findings = Findings::default();
    let rule = &rules.abandoned_notice;
    let days = rule.days;
    if notice.minutes > notice.from {
        let words = (
            "niêm yết trước khi lập biên bản".to_owned(),
            "the notice began before the minutes were taken".to_owned(),
        );
        findings.violate("notice_before_minutes", "abandonment.notice_from", &rule.origin, words);
    }
    if notice.to < last_day(notice.from, days) {
        let words = (
            format!("niêm yết chưa đủ {days} ngày liên tục"),
            format!("the notice did not stand for {days} consecutive days"),
        );
        findings.violate("notice_too_short", "abandonment.notice_to", &rule.origin, words);
    }
    if registered <= notice.to {
        let words = (
            "chưa hết thời gian niêm yết".to_owned(),
            "the notice has not ended".to_owned(),
        );
        findings.violate("notice_not_ended", "abandonment.notice_to", &rule.origin, words);
    }
    findings
}

/// The last of so many consecutive days, the first counted.
fn last_day(first: Date, days: i32) -> Date {
    first.checked_add(Span::new().days(days - 1)).unwrap_or(Date::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::rules::pack::tests::rules;

    #[test]
    fn every_flaw_of_a_notice_is_named() {
        let notice = AbandonedNotice {
            minutes: date(2026, 3, 5),
            from: date(2026, 3, 4),
            to: date(2026, 3, 9),
        };
        let found = judge(&rules(), &notice, date(2026, 3, 9));
        let codes: Vec<&str> = found.violations.iter().map(|one| one.code).collect();
        assert_eq!(codes, ["notice_before_minutes", "notice_too_short", "notice_not_ended"]);
    }

    proptest! {
        #[test]
        fn a_notice_stands_seven_days_that_are_counted_one_by_one(length in 0..12_i32, wait in -3..4_i32) {
            let from = date(2026, 2, 25);
            let to = from.checked_add(Span::new().days(length)).unwrap();
            let registered = to.checked_add(Span::new().days(wait)).unwrap();
            let stood = from.series(Span::new().days(1)).take_while(|day| *day <= to).count();
            let notice = AbandonedNotice { minutes: from, from, to };
            prop_assert_eq!(judge(&rules(), &notice, registered).is_clear(), stood >= 7 && wait > 0);
        }
    }
}
