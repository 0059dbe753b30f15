//! The pack of the product, and what a pack is refused for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod support;

use egov_calendar::{
    CalendarError, DayKind, OfficeHours, PackText, Period, RuleValue, Rules, Status, WorkCalendar, deadline,
};
use jiff::civil::{Date, date};

use support::{calendar, calendar_with_notices, pack_file};

fn days_from(first: Date, last: Date) -> impl Iterator<Item = Date> {
    first
        .series(jiff::Span::new().days(1))
        .take_while(move |day| *day <= last)
}

/// The calendar with one file of the pack changed.
fn altered(file: &str, change: impl Fn(String) -> String) -> String {
    let text = |name: &str| {
        if name == file {
            change(pack_file(name))
        } else {
            pack_file(name)
        }
    };
    let texts = (
        text("calendar.toml"),
        text("holidays_2015_2035.csv"),
        text("lunar_2015_2035.csv"),
        text("office_hours.toml"),
    );
    let pack = PackText {
        manifest: &texts.0,
        days: &texts.1,
        lunar: &texts.2,
        office: &texts.3,
        notices: &[],
    };
    WorkCalendar::from_text(&pack).map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
}

#[test]
fn the_years_have_the_working_days_that_the_law_leaves_them() {
    let calendar = calendar();
    let worked = |year| {
        calendar
            .working_days_between(date(year - 1, 12, 31), date(year, 12, 31))
            .unwrap()
    };
    // 2026: 261 days from Monday to Friday; off among them: 01/01, 02/01, five of Tet, 27/04, 30/04, 01/05, 31/08, 01/09, 02/09,
    // 24/11 = 14; worked Saturdays: 10/01 and 22/08.
    assert_eq!(worked(2026), 261 - 14 + 2);
    // 2025: 261; off: 01/01, five of Tet, 07/04, 30/04, 01/05, 02/05, 01/09, 02/09 = 12; worked: 26/04.
    assert_eq!(worked(2025), 261 - 12 + 1);
}

#[test]
fn the_notices_of_2026_decide_their_days_and_change_none_of_the_list() {
    let (with, without) = (calendar(), calendar_with_notices(&[]).unwrap());
    for day in days_from(date(2015, 1, 1), date(2026, 12, 31)) {
        assert_eq!(
            with.is_working_day(day).unwrap(),
            without.is_working_day(day).unwrap(),
            "{day}"
        );
    }
    for (day, works, basis) in [
        (date(2026, 1, 2), false, "VPCP 12729/VPCP-KGVX"),
        (date(2026, 1, 10), true, "VPCP 12729/VPCP-KGVX"),
        (date(2026, 2, 14), false, "BLLĐ 2019 Đ.112"),
        (date(2026, 2, 22), false, "BLLĐ 2019 Đ.112"),
        (date(2026, 8, 31), false, "BLLĐ 2019 Đ.112"),
        (date(2026, 8, 22), true, "BLLĐ 2019 Đ.112"),
        (date(2026, 11, 24), false, "NQ 28/2026/QH16"),
    ] {
        let known = with.day(day).unwrap();
        assert_eq!(known.kind.is_working(), works, "{day}");
        assert_eq!(known.origin.legal_basis, basis, "{day}");
        assert_eq!(known.origin.status, Status::Confirmed, "{day}");
        assert!(known.notice.is_some(), "{day}");
    }
}

#[test]
fn vietnamese_culture_day_is_off_from_2026_on_and_not_before() {
    let calendar = calendar();
    assert_eq!(calendar.day(date(2025, 11, 24)).unwrap().kind, DayKind::Working);
    for year in 2026..=2035 {
        let day = calendar.day(date(year, 11, 24)).unwrap();
        assert!(matches!(day.kind, DayKind::Holiday { .. }), "{year}");
        assert_eq!(day.origin.legal_basis, "NQ 28/2026/QH16");
    }
}

#[test]
fn what_is_unconfirmed_or_computed_says_so() {
    let calendar = calendar();
    let status = |day| calendar.day(day).unwrap().origin.status;
    assert_eq!(status(date(2026, 11, 23)), Status::Confirmed);
    assert_eq!(status(date(2015, 2, 16)), Status::Unconfirmed);
    assert_eq!(status(date(2019, 1, 5)), Status::Unconfirmed);
    assert_eq!(status(date(2027, 2, 4)), Status::Computed);
    let hours = calendar.office_hours().origin(date(2026, 11, 23)).unwrap();
    assert_eq!(hours.status, Status::Unconfirmed);
    for rule in calendar.rule_sources() {
        assert_eq!(rule.origin.status, Status::Unconfirmed);
        let article = match rule.value {
            RuleValue::FirstDay(_) => "BLDS 2015 Đ.147",
            RuleValue::LastDayOff(_) => "BLDS 2015 Đ.148",
        };
        assert_eq!(rule.origin.legal_basis, article);
    }
    assert_eq!(calendar.rules(date(2026, 11, 23)).unwrap(), Rules::default());
    let received = date(2026, 12, 30).at(9, 0, 0, 0);
    let over_the_year = deadline(&calendar, received, Period::WorkingDays(3), &Rules::default(), &[]).unwrap();
    assert_eq!(over_the_year.days_status, Status::Computed);
}

#[test]
fn a_date_outside_the_calendar_is_an_error_and_not_a_guess() {
    let calendar = calendar();
    assert_eq!(calendar.covers(), (date(2015, 1, 1), date(2035, 12, 31)));
    assert!(calendar.is_working_day(date(2035, 12, 31)).unwrap());
    for day in [date(2014, 12, 31), date(2036, 1, 1)] {
        let unknown = CalendarError::OutsideCoverage {
            date: day,
            from: date(2015, 1, 1),
            to: date(2035, 12, 31),
        };
        assert_eq!(calendar.is_working_day(day), Err(unknown.clone()));
        assert_eq!(calendar.day(day), Err(unknown));
    }
    let received = date(2035, 12, 28).at(9, 0, 0, 0);
    assert!(deadline(&calendar, received, Period::WorkingDays(1), &Rules::default(), &[]).is_ok());
    assert!(matches!(
        deadline(&calendar, received, Period::WorkingDays(2), &Rules::default(), &[]),
        Err(CalendarError::OutsideCoverage { .. })
    ));
    assert!(matches!(
        deadline(
            &calendar,
            received,
            Period::ElapsedHours(u32::MAX),
            &Rules::default(),
            &[]
        ),
        Err(CalendarError::OutsideCoverage { .. })
    ));
    assert!(
        calendar
            .working_days_between(date(2035, 12, 30), date(2036, 1, 4))
            .is_err()
    );
}

#[test]
fn every_listed_day_has_an_english_name() {
    for day in calendar().listed_days() {
        match day.kind {
            DayKind::Holiday { name } | DayKind::SwappedWorking { name } => {
                assert_ne!(name.vi, name.en, "{}", day.date);
            }
            DayKind::Working | DayKind::Weekend => panic!("{} is listed as an ordinary day", day.date),
        }
    }
}

const TET_2027: &str = r#"
[[notice]]
id = "vn-2027"
settles = 2027
title = { vi = "Nghỉ lễ, Tết năm 2027", en = "days off of 2027" }
origin = { status = "decided", legal_basis = "số hiệu thông báo", decided_by = "Sở Nội vụ", decided_on = "2026-12-01" }
[[notice.off]]
from = "2027-02-05"
to = "2027-02-11"
name = { vi = "Nghỉ Tết Nguyên đán", en = "Lunar New Year holiday" }
[[notice.cancel]]
date = "2027-02-04"
[[notice.swap]]
off = "2027-12-31"
working = "2027-12-25"
off_name = { vi = "Ngày nghỉ hoán đổi", en = "day off by swap" }
working_name = { vi = "Ngày làm bù", en = "worked in exchange" }
"#;

#[test]
fn the_notice_of_a_year_overrides_what_was_computed_and_settles_the_year() {
    let computed = calendar_with_notices(&[]).unwrap();
    let noticed = calendar_with_notices(&[("notices/2027.toml", TET_2027)]).unwrap();
    let works = |calendar: &WorkCalendar, day| calendar.is_working_day(day).unwrap();
    assert!(
        !works(&computed, date(2027, 2, 4)) && works(&noticed, date(2027, 2, 4)),
        "cancelled"
    );
    assert!(
        works(&computed, date(2027, 2, 11)) && !works(&noticed, date(2027, 2, 11)),
        "given"
    );
    assert!(
        !works(&noticed, date(2027, 12, 31)) && works(&noticed, date(2027, 12, 25)),
        "swapped"
    );
    for day in days_from(date(2027, 1, 1), date(2027, 12, 31)) {
        let known = noticed.day(day).unwrap();
        assert_eq!(
            (known.origin.status, known.notice.as_deref()),
            (Status::Decided, Some("vn-2027")),
            "{day}"
        );
    }
    assert_eq!(noticed.day(date(2028, 1, 3)).unwrap().origin.status, Status::Computed);
    assert_ne!(computed.version(), noticed.version());
}

#[test]
fn two_notices_about_one_day_need_to_say_which_one_holds() {
    let second = |supersedes: &str| {
        format!(
            r#"
[[notice]]
id = "vn-2027-tet-again"
supersedes = [{supersedes}]
title = {{ vi = "Sửa đổi", en = "amendment" }}
origin = {{ status = "confirmed", legal_basis = "số hiệu" }}
[[notice.off]]
from = "2027-02-11"
to = "2027-02-12"
name = {{ vi = "Nghỉ thêm", en = "further day off" }}
"#
        )
    };
    let refused = calendar_with_notices(&[("a", TET_2027), ("b", &second(""))])
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "b: vn-2027 and vn-2027-tet-again both decide 2027-02-11, and neither supersedes the other"
    );
    let amended = second(r#""vn-2027""#);
    for files in [
        [("a", TET_2027), ("b", amended.as_str())],
        [("b", amended.as_str()), ("a", TET_2027)],
    ] {
        let calendar = calendar_with_notices(&files).unwrap();
        let day = calendar.day(date(2027, 2, 11)).unwrap();
        assert_eq!(day.notice.as_deref(), Some("vn-2027-tet-again"));
        assert_eq!(
            calendar.day(date(2027, 2, 10)).unwrap().notice.as_deref(),
            Some("vn-2027")
        );
    }
}

#[test]
fn a_notice_that_contradicts_the_week_or_the_list_is_refused() {
    for (wrong, right, complaint) in [
        (
            r#"date = "2027-02-03""#,
            r#"date = "2027-02-04""#,
            "2027-02-03 is not in the list, nothing to cancel",
        ),
        (
            r#"off = "2027-12-26""#,
            r#"off = "2027-12-31""#,
            "2027-12-26 is a rest day and cannot be swapped away",
        ),
        (
            r#"working = "2027-12-24""#,
            r#"working = "2027-12-25""#,
            "2027-12-24 is a working day anyway, no swap",
        ),
        (
            r#"date = "2027-02-05""#,
            r#"date = "2027-02-04""#,
            "2027-02-05 is decided twice",
        ),
        (
            r#"to = "2027-02-01""#,
            r#"to = "2027-02-11""#,
            "days off end on 2027-02-01 before they begin on 2027-02-05",
        ),
        (
            r#"to = "2037-02-11""#,
            r#"to = "2027-02-11""#,
            "2037-02-11 lies outside the calendar",
        ),
    ] {
        let text = TET_2027.replace(right, wrong);
        assert_ne!(text, TET_2027);
        let refused = calendar_with_notices(&[("n", &text)]).unwrap_err().to_string();
        assert_eq!(refused, format!("n: vn-2027: {complaint}"));
    }
    let unsigned = TET_2027.replace(r#", decided_by = "Sở Nội vụ""#, "");
    let refused = calendar_with_notices(&[("n", &unsigned)]).unwrap_err().to_string();
    assert!(refused.contains("decided needs decided_by and decided_on"), "{refused}");
    let misspelt = TET_2027.replace("settles", "setles");
    assert!(
        calendar_with_notices(&[("n", &misspelt)])
            .unwrap_err()
            .to_string()
            .contains("setles")
    );
}

#[test]
fn a_list_in_which_a_day_of_the_law_is_missing_is_refused() {
    let without = |line: &'static str| {
        altered("holidays_2015_2035.csv", move |text| {
            assert!(text.contains(line));
            text.replace(line, "")
        })
    };
    assert_eq!(
        without("2026-11-24,off,Ngày Văn hóa Việt Nam\n"),
        "holidays_2015_2035.csv: 2026-11-24 is a day off by NQ 28/2026/QH16 and is not listed"
    );
    assert_eq!(
        without("2026-02-17,off,Tết Nguyên Đán\n"),
        "holidays_2015_2035.csv: 2026-02-17 is a day off by the lunar table and is not listed"
    );
    let twice = altered("holidays_2015_2035.csv", |text| {
        text + "2026-11-24,off,Ngày Văn hóa Việt Nam\n"
    });
    assert_eq!(twice, "holidays_2015_2035.csv: 2026-11-24 is listed twice");
    let no_swap = altered("holidays_2015_2035.csv", |text| {
        text + "2026-11-25,workday_swap,Ngày làm bù\n"
    });
    assert_eq!(
        no_swap,
        "holidays_2015_2035.csv: 2026-11-25 is a working day anyway, no swap"
    );
    let half = altered("holidays_2015_2035.csv", |text| text + "2026-11-25,half,Nửa ngày\n");
    assert!(half.contains("unknown variant `half`"), "{half}");
}

#[test]
fn a_manifest_that_leaves_something_open_is_refused() {
    let gap = altered("calendar.toml", |text| {
        text.replace("to = \"2026-12-31\"", "to = \"2026-12-30\"")
    });
    assert_eq!(gap, "calendar.toml: no span holds 2026-12-31");
    let no_rule = altered("calendar.toml", |text| {
        text.replace(
            "\"first_day\"\nvalue = \"not_counted\"\nfrom = \"2015",
            "\"first_day\"\nvalue = \"not_counted\"\nfrom = \"2016",
        )
    });
    assert_eq!(
        no_rule,
        "calendar.toml: no rule first_day for 2015-01-01, where the calendar begins"
    );
    let lunar = altered("lunar_2015_2035.csv", |text| {
        text.replace("2035,2035-02-08,2035-04-17,30", "")
    });
    assert_eq!(lunar, "lunar_2015_2035.csv: no row for 2035");
    let hours = altered("office_hours.toml", |text| text.replace("13:30", "11:00"));
    assert_eq!(
        hours,
        "office_hours.toml: hours from 2015-01-01: parts must exist, be in order and not overlap"
    );
    let late = altered("office_hours.toml", |text| text.replace("2015-01-01", "2016-01-01"));
    assert_eq!(late, "office hours: no hours for 2015-01-01, where the calendar begins");
}

#[test]
fn a_missing_file_is_named() {
    let error = WorkCalendar::read("no-such-folder".as_ref()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read calendar.toml"), "{error}");
}

#[test]
fn an_office_brings_its_own_hours_from_a_day_on() {
    let text = r#"
[[hours]]
from = "2026-12-01"
parts = [{ start = "08:00", end = "12:00" }, { start = "13:00", end = "16:30" }]
origin = { status = "decided", legal_basis = "QĐ của UBND", decided_by = "UBND", decided_on = "2026-11-20" }
"#;
    let default = calendar();
    let office = OfficeHours::from_toml("office", text).unwrap();
    assert!(
        default.with_office_hours(office).is_err(),
        "hours must reach back to where the calendar begins"
    );
    let office = OfficeHours::from_toml("office", &format!("{}{text}", pack_file("office_hours.toml"))).unwrap();
    let own = default.with_office_hours(office).unwrap();
    assert_ne!(own.version(), default.version());
    let due = |received: Date| {
        deadline(
            &own,
            received.at(9, 0, 0, 0),
            Period::WorkingDays(1),
            &Rules::default(),
            &[],
        )
        .unwrap()
        .due
    };
    assert_eq!(due(date(2026, 11, 27)), date(2026, 11, 30).at(17, 0, 0, 0));
    assert_eq!(due(date(2026, 11, 30)), date(2026, 12, 1).at(16, 30, 0, 0));
}

#[test]
fn weeks_and_rules_hold_from_their_day_on() {
    let manifest = pack_file("calendar.toml").replace(
        "[names]",
        r#"[[week]]
from = "2030-01-12"
days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
origin = { status = "unconfirmed", legal_basis = "thử nghiệm" }
[[rule]]
key = "first_day"
value = "counted"
from = "2030-01-15"
origin = { status = "unconfirmed", legal_basis = "thử nghiệm" }
[names]"#,
    );
    let calendar = WorkCalendar::from_text(&PackText {
        manifest: &manifest,
        days: &pack_file("holidays_2015_2035.csv"),
        lunar: &pack_file("lunar_2015_2035.csv"),
        office: &pack_file("office_hours.toml"),
        notices: &[],
    })
    .unwrap();
    let saturdays = [date(2030, 1, 5), date(2030, 1, 12), date(2030, 1, 19)];
    assert_eq!(
        saturdays.map(|day| calendar.is_working_day(day).unwrap()),
        [false, true, true]
    );
    let due = |received: Date| {
        let rules = calendar.rules(received).unwrap();
        deadline(&calendar, received.at(9, 0, 0, 0), Period::WorkingDays(1), &rules, &[])
            .unwrap()
            .due
    };
    assert_eq!(due(date(2030, 1, 14)), date(2030, 1, 15).at(17, 0, 0, 0));
    assert_eq!(due(date(2030, 1, 15)), date(2030, 1, 15).at(17, 0, 0, 0));
}
