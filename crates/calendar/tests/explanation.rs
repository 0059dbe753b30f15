//! What people read: the explanation of a due date, and how far a period has run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod support;

use egov_calendar::{
    Amount, CalendarError, Deadline, Language, Pause, Period, Rules, deadline, progress, vietnam_instant, vietnam_time,
};
use jiff::civil::{DateTime, time};
use jiff::{SignedDuration, Timestamp};

fn at(text: &str) -> DateTime {
    text.parse().unwrap()
}

fn explained(received: &str, period: Period, cut_off: bool, pauses: &[Pause]) -> Deadline {
    let rules = Rules::default().with_cut_off(cut_off.then(|| time(15, 0, 0, 0)));
    deadline(&support::calendar(), at(received), period, &rules, pauses).unwrap()
}

#[test]
fn a_receipt_before_new_year_explains_the_swap_in_vietnamese() {
    let deadline = explained("2026-01-01T10:00", Period::WorkingDays(7), false, &[]);
    assert_eq!(
        deadline.lines(Language::Vietnamese),
        [
            "01/01/2026 (thứ Năm): nghỉ (Tết Dương lịch); ngày tiếp nhận, không tính",
            "02/01/2026 (thứ Sáu): nghỉ (Ngày nghỉ hoán đổi với ngày 10/01/2026); không tính",
            "03/01/2026 (thứ Bảy): nghỉ hằng tuần; không tính",
            "04/01/2026 (Chủ nhật): nghỉ hằng tuần; không tính",
            "05/01/2026 (thứ Hai): tính ngày thứ 1/7",
            "06/01/2026 (thứ Ba): tính ngày thứ 2/7",
            "07/01/2026 (thứ Tư): tính ngày thứ 3/7",
            "08/01/2026 (thứ Năm): tính ngày thứ 4/7",
            "09/01/2026 (thứ Sáu): tính ngày thứ 5/7",
            "10/01/2026 (thứ Bảy): làm việc bù (Ngày làm bù cho ngày 02/01/2026); tính ngày thứ 6/7",
            "11/01/2026 (Chủ nhật): nghỉ hằng tuần; không tính",
            "12/01/2026 (thứ Hai): tính ngày thứ 7/7",
            "Hạn trả kết quả (7 ngày làm việc): 17:00 12/01/2026",
        ]
    );
}

#[test]
fn calendar_days_that_end_on_a_day_off_explain_the_move_in_english() {
    let pauses = [Pause::closed(at("2026-11-20T10:00"), at("2026-11-21T08:00"))];
    let deadline = explained("2026-11-18T09:00", Period::Days(4), false, &pauses);
    assert_eq!(
        deadline.lines(Language::English),
        [
            "18/11/2026 (Wednesday): day of reception, not counted",
            "19/11/2026 (Thursday): counted, day 1 of 4",
            "20/11/2026 (Friday): the clock stood still, not counted",
            "21/11/2026 (Saturday): weekend; the clock stood still, not counted",
            "22/11/2026 (Sunday): weekend; counted, day 2 of 4",
            "23/11/2026 (Monday): counted, day 3 of 4",
            "24/11/2026 (Tuesday): day off (Vietnamese Culture Day); counted, day 4 of 4",
            "25/11/2026 (Wednesday): the last day of the period is a day off, so it ends with this working day",
            "Due (4 days): 17:00 25/11/2026",
        ]
    );
    let passed = explained("2026-11-20T09:00", Period::Days(1), false, &[]);
    assert_eq!(
        passed.lines(Language::English)[2],
        "22/11/2026 (Sunday): weekend; the last day of the period is a day off, passed over"
    );
}

#[test]
fn a_same_day_case_after_the_cut_off_explains_where_it_goes() {
    let deadline = explained("2026-11-23T15:01", Period::SameDay, true, &[]);
    assert_eq!(
        deadline.lines(Language::Vietnamese),
        [
            "23/11/2026 (thứ Hai): sau 15:00, chuyển sang ngày làm việc tiếp theo",
            "24/11/2026 (thứ Ba): nghỉ (Ngày Văn hóa Việt Nam); không tính",
            "25/11/2026 (thứ Tư): tính ngày thứ 1/1",
            "Hạn trả kết quả (trong ngày): 17:00 25/11/2026",
        ]
    );
    let evening = explained("2026-11-25T18:00", Period::SameDay, true, &[]);
    assert_eq!(
        evening.lines(Language::English)[0],
        "25/11/2026 (Wednesday): after office hours, goes to the next working day"
    );
}

#[test]
fn working_hours_add_up_in_the_explanation() {
    let deadline = explained("2026-11-20T16:00", Period::WorkingHours(8), false, &[]);
    assert_eq!(
        deadline.lines(Language::English),
        [
            "20/11/2026 (Friday): 1 h counted, 1 h of 8 h so far",
            "21/11/2026 (Saturday): weekend; not counted",
            "22/11/2026 (Sunday): weekend; not counted",
            "23/11/2026 (Monday): 7 h counted, 8 h of 8 h so far",
            "Due (8 working hours): 16:30 23/11/2026",
        ]
    );
}

#[test]
fn a_date_in_a_year_without_notice_warns_that_it_may_move() {
    let lines = explained("2026-12-30T09:00", Period::WorkingDays(3), false, &[]).lines(Language::English);
    assert_eq!(
        lines.last().unwrap(),
        "Some of these days await the official notice of their year, which may move the date"
    );
}

#[test]
fn an_explanation_survives_being_stored_as_json() {
    let pauses = [Pause::closed(at("2026-01-05T10:00"), at("2026-01-06T08:00"))];
    for period in [
        Period::WorkingDays(5),
        Period::Days(9),
        Period::WorkingHours(9),
        Period::SameDay,
    ] {
        let deadline = explained("2025-12-31T10:00", period, period == Period::SameDay, &pauses);
        let stored = serde_json::to_string(&deadline).unwrap();
        assert_eq!(serde_json::from_str::<Deadline>(&stored).unwrap(), deadline);
    }
}

#[test]
fn a_case_that_waits_for_a_supplement_has_progress_and_no_due_date() {
    let calendar = support::calendar();
    let (received, pauses) = (at("2026-03-02T09:00"), [Pause::open(at("2026-03-04T09:00"))]);
    let rules = Rules::default();
    assert_eq!(
        deadline(&calendar, received, Period::WorkingDays(5), &rules, &pauses),
        Err(CalendarError::ClockStopped {
            since: at("2026-03-04T09:00"),
            used: Amount::Days(1)
        })
    );
    let now = at("2026-03-09T10:00");
    let waiting = progress(&calendar, received, Period::WorkingDays(5), &rules, &pauses, now).unwrap();
    assert_eq!((waiting.used, waiting.remaining), (Amount::Days(1), Amount::Days(4)));
    assert_eq!(
        (waiting.stopped_since, waiting.due),
        (Some(at("2026-03-04T09:00")), None)
    );
    let hours = progress(&calendar, received, Period::WorkingHours(20), &rules, &pauses, now).unwrap();
    // 02/03: 2.5 + 3.5 h; 03/03: 7.5 h; 04/03: 1.5 h.
    assert_eq!(hours.used, Amount::Time(SignedDuration::from_hours(15)));
    let in_the_morning = at("2026-03-03T08:30");
    let hours_then = progress(
        &calendar,
        received,
        Period::WorkingHours(20),
        &rules,
        &pauses,
        in_the_morning,
    );
    assert_eq!(hours_then.unwrap().used, Amount::Time(SignedDuration::from_hours(7)));
    assert_eq!(hours.remaining, Amount::Time(SignedDuration::from_hours(5)));
}

#[test]
fn an_overdue_case_counts_the_working_days_that_it_is_late() {
    let calendar = support::calendar();
    let received = at("2026-11-18T09:00");
    let late = |now: &str| {
        progress(
            &calendar,
            received,
            Period::WorkingDays(2),
            &Rules::default(),
            &[],
            at(now),
        )
        .unwrap()
    };
    // Due on Friday 20/11; then the weekend, Monday, Vietnamese Culture Day, Wednesday.
    assert_eq!(late("2026-11-19T16:59").used, Amount::Days(0));
    assert_eq!(late("2026-11-19T17:00").used, Amount::Days(1));
    assert_eq!(late("2026-11-20T16:59").used, Amount::Days(1));
    assert_eq!(late("2026-11-20T17:00").used, Amount::Days(2));
    assert_eq!(late("2026-11-20T17:01").late_working_days, 0);
    assert_eq!(late("2026-11-22T09:00").late_working_days, 0);
    assert_eq!(late("2026-11-25T08:00").late_working_days, 2);
}

#[test]
fn arguments_without_sense_are_refused() {
    let calendar = support::calendar();
    let received = at("2026-11-18T09:00");
    let ask = |period, rules: Rules, pauses: &[Pause]| deadline(&calendar, received, period, &rules, pauses);
    for period in [
        Period::WorkingDays(0),
        Period::Days(0),
        Period::WorkingHours(0),
        Period::ElapsedHours(0),
    ] {
        assert_eq!(ask(period, Rules::default(), &[]), Err(CalendarError::EmptyPeriod));
    }
    let cut_off = Rules::default().with_cut_off(Some(time(15, 0, 0, 0)));
    assert_eq!(
        ask(Period::Days(3), cut_off, &[]),
        Err(CalendarError::CutOffNotForPeriod)
    );
    let reversed = Pause::closed(at("2026-11-20T09:00"), at("2026-11-19T09:00"));
    assert!(matches!(
        ask(Period::Days(3), Rules::default(), &[reversed]),
        Err(CalendarError::PauseReversed { .. })
    ));
}

#[test]
fn vietnamese_time_is_seven_hours_ahead_of_utc() {
    let instant: Timestamp = "2026-11-22T17:30:00Z".parse().unwrap();
    assert_eq!(vietnam_time(instant), at("2026-11-23T00:30"));
    assert_eq!(vietnam_instant(at("2026-11-23T00:30")).unwrap(), instant);
}
