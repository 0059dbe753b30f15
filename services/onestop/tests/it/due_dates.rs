//! The due dates of whole lives of cases a second time, by `tests/due-dates/second_implementation.py`, which was written from the
//! articles and knows nothing but the list of days off.
//!
//! Nothing here asks a service: cases are led through their states by the rules behind the port, with their clock in the test's hands.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use egov_calendar::{CalendarError, PackText, WorkCalendar, vietnam_instant, vietnam_time};
use egov_onestop::domain::case::{Case, FiledComponent, SupplementItem};
use egov_onestop::domain::deadline::{Clock, NoDeadline, deadline_of};
use egov_onestop::domain::deadline_rules::{AnswerRule, DeadlineRules, ExtensionRule, ReminderRule, TransferRule};
use egov_onestop::domain::definition::Done;
use egov_onestop::domain::extension::{ExtensionRefused, Wanted, extension_to, latest_moment};
use egov_onestop::domain::forecast::{Standing, due_next, forecast, remind_at};
use egov_onestop::domain::pack::{
    Channel, Fact, FactStatus, Procedure, Profile, SpecialTime, StepTime, Time, TimeUnit,
};
use egov_onestop::domain::party::{Party, PartyKind};
use egov_onestop::domain::reception_deadlines::{answer_due, transfer_due};
use egov_onestop::domain::transitions::{State, Transitions};
use jiff::civil::{Date, DateTime, date};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::deploy;

const LIVES: usize = 4_000;
const SEED: u64 = 0x2026_1127;

fn pack(name: &str) -> String {
    std::fs::read_to_string(deploy().join("packs").join(name)).unwrap()
}

/// The plain list of days, with this notice if there is one: the second program knows no others.
fn calendar(notice: Option<&str>) -> WorkCalendar {
    let notices: Vec<(&str, &str)> = notice.into_iter().map(|text| ("notices/test.toml", text)).collect();
    WorkCalendar::from_text(&PackText {
        manifest: &pack("calendar/calendar.toml"),
        days: &pack("calendar/holidays_2015_2035.csv"),
        lunar: &pack("calendar/lunar_2015_2035.csv"),
        office: &pack("calendar/office_hours.toml"),
        notices: &notices,
    })
    .unwrap()
}

struct Random(u64);

impl Random {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A moment of an ordinary office day, now and then at the cut-off or a second beside it, by night or on a day off.
    fn moment(&mut self, day: Date) -> Timestamp {
        let second = match self.below(8) {
            0 => 54_000,
            1 => 54_001,
            2 => 53_999,
            3 => 61_200,
            4 => self.below(86_400) as i64,
            _ => 27_000 + self.below(34_200) as i64,
        };
        vietnam_instant(day.at(0, 0, 0, 0) + SignedDuration::from_secs(second)).unwrap()
    }

    fn time(&mut self) -> Time {
        let (value, unit) = match self.below(6) {
            0 | 1 => (Some(1 + self.below(20) as u32), TimeUnit::WorkingDay),
            2 => (Some(1 + self.below(30) as u32), TimeUnit::Day),
            3 => (Some(1 + self.below(40) as u32), TimeUnit::WorkingHour),
            4 => (Some(1 + self.below(72) as u32), TimeUnit::Hour),
            _ => (None, TimeUnit::SameDay),
        };
        let cut_off = (unit == TimeUnit::SameDay && !self.one_in(4)).then(|| jiff::civil::time(15, 0, 0, 0));
        Time {
            value,
            unit: Some(unit),
            cut_off,
            fact: fact(),
        }
    }
}

fn fact() -> Fact {
    Fact {
        status: FactStatus::Confirmed,
        source: "a test".to_owned(),
        by: None,
        when: None,
        basis: None,
        demonstration: false,
    }
}

fn time_json(time: &Time) -> Value {
    let (unit, value) = match time.unit.unwrap() {
        TimeUnit::WorkingDay => ("working_days", time.value),
        TimeUnit::Day => ("days", time.value),
        TimeUnit::WorkingHour => ("working_hours", time.value),
        TimeUnit::Hour => ("elapsed_hours", time.value),
        TimeUnit::SameDay => ("same_day", Some(1)),
    };
    let cut_off = time.cut_off.map(|cut_off| cut_off.strftime("%H:%M:%S").to_string());
    json!({ "unit": unit, "value": value, "cut_off": cut_off })
}

fn written(at: Timestamp) -> String {
    vietnam_time(at).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn read(at: &Value) -> Timestamp {
    vietnam_instant(at.as_str().unwrap().parse::<DateTime>().unwrap()).unwrap()
}

/// A procedure whose channels have times of their own, and other ones for two kinds of cases.
fn procedure(random: &mut Random) -> Procedure {
    // Read once: thousands of lives differ in their times only.
    static READ: LazyLock<Procedure> =
        LazyLock::new(|| Procedure::from_toml(&pack("procedures/1.013225.toml")).unwrap());
    let mut procedure = READ.clone();
    for offer in &mut procedure.channels {
        offer.time = random.time();
        offer.special_times = ["nha_o_rieng_le", "di_tich"]
            .map(|when| SpecialTime {
                when: when.to_owned(),
                time: random.time(),
            })
            .to_vec();
    }
    procedure
}

fn filed(channel: Channel, conditions: Vec<String>, now: Timestamp) -> Case {
    let owner = Party {
        kind: PartyKind::Citizen,
        full_name: "Nguyễn Văn An".to_owned(),
        personal_number: String::new(),
        organisation_number: String::new(),
        phone: String::new(),
        email: String::new(),
        address: String::new(),
        date_of_birth: None,
    };
    Case {
        case_id: Uuid::from_u128(1),
        case_code: "H41.201-261123-0001".to_owned(),
        code_provisional: true,
        procedure_code: "1.013225".to_owned(),
        procedure_version: 1,
        procedure_name: String::new(),
        state: State::Registered,
        entered_from: None,
        step: String::new(),
        step_outcome: String::new(),
        channel,
        responsible_unit_id: 2,
        receiving_unit_id: 2,
        support_unit_id: None,
        owner_id: None,
        assignee_id: None,
        owner,
        submitter: None,
        subject: String::new(),
        conditions,
        submit_time: now,
        accept_time: None,
        deadline: None,
        fees: Vec::new(),
        supplement_items: Vec::new(),
        supplement_rounds: 0,
        lookup_secret: Vec::new(),
        version: 1,
        components: Vec::new(),
        pauses: Vec::new(),
        results: Vec::new(),
        returned: None,
        rating: None,
        extension: None,
        checks: Vec::new(),
        step_since: None,
    }
}

fn clock(case: &Case) -> Clock<'_> {
    Clock {
        accepted: case.accept_time.unwrap(),
        pauses: &case.pauses,
        extended_by: case.extended_by(),
    }
}

/// One life: the case as it is at the end, every state that it entered since its acceptance, and the step that was recorded last with
/// when that was: since then the case stands at the next one.
fn live(
    random: &mut Random,
    calendar: &WorkCalendar,
    procedure: &Procedure,
    transitions: &Transitions,
) -> (Case, Vec<(Timestamp, State)>, (&'static str, Timestamp)) {
    let channel = Channel::ALL[random.below(3) as usize];
    let conditions = ["khong_theo_tuyen", "nha_o_rieng_le", "di_tich", "co_trich_do"]
        .into_iter()
        .filter(|_| random.one_in(2))
        .map(str::to_owned)
        .collect();
    let mut day = date(2026, 1, 5) + SignedDuration::from_hours(24 * random.below(300) as i64);
    let mut now = random.moment(day);
    let mut case = filed(channel, conditions, now);
    case.accept_time = Some(now);
    let first = deadline_of(
        calendar,
        procedure,
        Profile::Production,
        channel,
        &case.conditions,
        &clock(&case),
    )
    .unwrap();
    case.accept_time = None;
    case.accept(transitions, now, first).unwrap();
    let mut states = vec![(now, case.state)];
    let mut recorded = ("", now);
    for _ in 0..random.below(9) {
        day += SignedDuration::from_hours(24 * random.below(5) as i64);
        now = random.moment(day).max(now + SignedDuration::from_secs(1));
        day = vietnam_time(now).date();
        let was = case.state;
        match case.state {
            // Internal waiting: thẩm định, lấy ý kiến. It stops nothing.
            State::Accepted => {
                recorded = ("tham_dinh", now);
                case.record_step(transitions, now, Done::step(recorded.0), State::Processing)
                    .unwrap();
            }
            State::Processing => match random.below(4) {
                0 => {
                    recorded = ("lay_y_kien", now);
                    case.record_step(transitions, now, Done::step(recorded.0), State::Processing)
                        .unwrap();
                }
                1 => {
                    // This procedure has no such step.
                    recorded = ("nghia_vu_tai_chinh", now);
                    case.record_step(transitions, now, Done::step(recorded.0), State::PaymentRequested)
                        .unwrap();
                }
                2 => {
                    let items = vec![SupplementItem {
                        component_code: String::new(),
                        instruction: "x".to_owned(),
                    }];
                    case.request_supplement(transitions, now, items, "thẩm định", "a law")
                        .unwrap();
                }
                _ => extend(random, calendar, procedure, &mut case, now),
            },
            State::PaymentRequested => {
                recorded = ("trinh_ky", now);
                case.record_step(transitions, now, Done::step(recorded.0), State::Processing)
                    .unwrap();
            }
            State::SupplementRequested => {
                let component = FiledComponent {
                    round: 0,
                    component_code: "x".to_owned(),
                    originals: 1,
                    copies: 0,
                    replaced_by_data: String::new(),
                    file_ids: Vec::new(),
                    form_data: None,
                };
                case.supply(transitions, now, vec![component]).unwrap();
            }
            other => panic!("{other:?}"),
        }
        if was != case.state {
            states.push((now, case.state));
        }
        if was.pauses_clock() {
            let again = deadline_of(
                calendar,
                procedure,
                Profile::Production,
                channel,
                &case.conditions,
                &clock(&case),
            )
            .unwrap();
            case.deadline = Some(again);
        }
    }
    (case, states, recorded)
}

fn wanted(new_due_date: Date) -> Wanted {
    Wanted {
        new_due_date,
        reason: "chờ ý kiến".to_owned(),
        legal_basis: "a law".to_owned(),
        signer_name: "Nguyễn Văn Bình".to_owned(),
        signer_title: "Chủ tịch".to_owned(),
        agency_name: "UBND".to_owned(),
    }
}

fn extend(random: &mut Random, calendar: &WorkCalendar, procedure: &Procedure, case: &mut Case, now: Timestamp) {
    let Ok(present) = case.may_be_extended(now) else { return };
    let date = present.due_date + SignedDuration::from_hours(24 * (1 + random.below(20) as i64));
    let Ok(extension) = extension_to(
        calendar,
        None,
        Profile::Production,
        (present, present),
        wanted(date),
        now,
    ) else {
        return;
    };
    let mut extended = case.clone();
    extended.extension = Some(extension.clone());
    let deadline = deadline_of(
        calendar,
        procedure,
        Profile::Production,
        case.channel,
        &case.conditions,
        &clock(&extended),
    )
    .unwrap();
    assert_eq!(deadline.due_date, date, "what is promised is what is worked out");
    case.extend(now, extension, deadline).unwrap();
}

fn question(procedure: &Procedure, case: &Case, states: &[(Timestamp, State)]) -> Value {
    let offers: BTreeMap<&str, Value> = procedure
        .channels
        .iter()
        .map(|offer| {
            let special: Vec<Value> = offer
                .special_times
                .iter()
                .map(|special| json!([special.when, time_json(&special.time)]))
                .collect();
            (
                offer.channel.as_str(),
                json!({ "time": time_json(&offer.time), "special": special }),
            )
        })
        .collect();
    let states: Vec<Value> = states
        .iter()
        .map(|(at, state)| json!([written(*at), state.code()]))
        .collect();
    json!({
        "received": written(case.accept_time.unwrap()),
        "offers": offers,
        "channel": case.channel.as_str(),
        "conditions": case.conditions,
        "first_day_counted": false,
        "last_day_moves": true,
        "states": states,
        "extended_by": case.extended_by(),
    })
}

fn ask(questions: &[Value]) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut python = Command::new("python3")
        .arg(root.join("tests/due-dates/second_implementation.py"))
        .arg(deploy().join("packs/calendar/holidays_2015_2035.csv"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("python3 is needed for this test and could not be started ({error}): apt-get install python3")
        });
    let lines = questions
        .iter()
        .fold(String::new(), |all, question| all + &question.to_string() + "\n");
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let answers = String::from_utf8(output.stdout).unwrap();
    answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What this implementation says of a life, by a calendar.
fn ours(calendar: &WorkCalendar, procedure: &Procedure, case: &Case) -> Value {
    match deadline_of(
        calendar,
        procedure,
        Profile::Production,
        case.channel,
        &case.conditions,
        &clock(case),
    ) {
        Ok(deadline) => json!({ "due": written(deadline.due_time) }),
        Err(NoDeadline::Calendar(CalendarError::ClockStopped { .. })) => json!({ "stopped": true }),
        Err(error) => panic!("{error}"),
    }
}

/// Days that a notice takes away and gives, later than the list knows: any working day and any Saturday of a month.
fn notice(random: &mut Random, calendar: &WorkCalendar, from: Date) -> (String, Value) {
    let mut off = from + SignedDuration::from_hours(24 * random.below(20) as i64);
    while !calendar.is_working_day(off).unwrap() || off.weekday().to_monday_one_offset() > 5 {
        off = off.tomorrow().unwrap();
    }
    let mut worked = off;
    while calendar.is_working_day(worked).unwrap() || worked.weekday().to_monday_one_offset() != 6 {
        worked = worked.tomorrow().unwrap();
    }
    let text = format!(
        r#"
        [[notice]]
        id = "test"
        [notice.title]
        vi = "Thử"
        en = "a test"
        [notice.origin]
        status = "confirmed"
        legal_basis = "a test"
        source = "a test"
        [[notice.swap]]
        off = "{off}"
        working = "{worked}"
        off_name = {{ vi = "Nghỉ", en = "off" }}
        working_name = {{ vi = "Làm bù", en = "worked" }}
        "#
    );
    (
        text,
        json!({ "off": [off.to_string()], "worked": [worked.to_string()] }),
    )
}

#[test]
fn four_thousand_lives_of_cases_are_due_as_the_second_implementation_says() {
    let mut random = Random(SEED);
    let calendar = calendar(None);
    let transitions = Transitions::from_toml(&pack("transitions/national-2026.toml")).unwrap();
    let mut lives = Vec::new();
    for _ in 0..LIVES {
        let procedure = procedure(&mut random);
        let (case, states, _) = live(&mut random, &calendar, &procedure, &transitions);
        lives.push((procedure, case, states));
    }
    let questions: Vec<Value> = lives
        .iter()
        .map(|(procedure, case, states)| question(procedure, case, states))
        .collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for ((procedure, case, states), (question, theirs)) in lives.iter().zip(questions.iter().zip(ask(&questions))) {
        assert_eq!(ours(&calendar, procedure, case), theirs, "{question}");
        // What the case shows was worked out along the way, act by act.
        if let Some(due) = theirs.get("due").filter(|_| !case.is_paused()) {
            let shown = case.deadline.as_ref().unwrap();
            assert_eq!(&json!(written(shown.due_time)), due, "{question}");
        }
        let mut count = |what, holds: bool| *seen.entry(what).or_default() += usize::from(holds);
        count("stopped", theirs.get("stopped").is_some());
        count("extended", case.extension.is_some());
        count(
            "state 5",
            states.iter().any(|(_, state)| *state == State::SupplementRequested),
        );
        count(
            "state 6",
            states.iter().any(|(_, state)| *state == State::PaymentRequested),
        );
        count("special", case.conditions.iter().any(|code| code == "di_tich"));
        count("internal waiting", case.step == "lay_y_kien" && case.pauses.is_empty());
    }
    for what in [
        "stopped",
        "extended",
        "state 5",
        "state 6",
        "special",
        "internal waiting",
    ] {
        assert!(seen[what] > 100, "the draw must reach {what}: {seen:?}");
    }
}

#[test]
fn after_a_notice_every_case_is_due_as_the_second_implementation_says() {
    let mut random = Random(SEED + 1);
    let plain = calendar(None);
    let transitions = Transitions::from_toml(&pack("transitions/national-2026.toml")).unwrap();
    let (mut questions, mut answers, mut moved) = (Vec::new(), Vec::new(), 0);
    for _ in 0..60 {
        let (text, days) = notice(&mut random, &plain, date(2026, 3, 1));
        let changed = calendar(Some(&text));
        assert_ne!(changed.version(), plain.version());
        for _ in 0..50 {
            let procedure = procedure(&mut random);
            let (case, states, _) = live(&mut random, &plain, &procedure, &transitions);
            let mut question = question(&procedure, &case, &states);
            question["notice"] = days.clone();
            let now = ours(&changed, &procedure, &case);
            moved += usize::from(now != ours(&plain, &procedure, &case));
            questions.push(question);
            answers.push(now);
        }
    }
    for (question, (ours, theirs)) in questions.iter().zip(answers.iter().zip(ask(&questions))) {
        assert_eq!(*ours, theirs, "{question}");
    }
    assert!(moved > 30, "a notice must move some of them: {moved}");
}

#[test]
fn reminders_come_when_the_second_implementation_says() {
    let mut random = Random(SEED + 2);
    let calendar = calendar(None);
    let transitions = Transitions::from_toml(&pack("transitions/national-2026.toml")).unwrap();
    let (mut questions, mut ours) = (Vec::new(), Vec::new());
    let (mut days_before, mut minutes_before, mut none) = (0, 0, 0);
    while questions.len() < 2_000 {
        let procedure = procedure(&mut random);
        let (case, states, _) = live(&mut random, &calendar, &procedure, &transitions);
        if case.is_paused() {
            continue;
        }
        let rule = ReminderRule {
            working_days_before: random.below(5) as u32,
            minutes_before: [0, 30, 120, 120, 600][random.below(5) as usize],
            fact: fact(),
        };
        let due = case.deadline.as_ref().unwrap().due_time;
        let at = remind_at(&calendar, &rule, case.accept_time.unwrap(), due);
        match at {
            Some(at) if due.duration_since(at) == SignedDuration::from_mins(i64::from(rule.minutes_before)) => {
                minutes_before += 1;
            }
            Some(_) => days_before += 1,
            None => none += 1,
        }
        let mut question = question(&procedure, &case, &states);
        question["remind_before"] = json!(rule.working_days_before);
        question["remind_minutes"] = json!(rule.minutes_before);
        questions.push(question);
        ours.push(json!({ "due": written(due), "remind": at.map(written) }));
    }
    for (question, (ours, theirs)) in questions.iter().zip(ours.iter().zip(ask(&questions))) {
        assert_eq!(*ours, theirs, "{question}");
    }
    assert!(
        days_before > 500 && minutes_before > 50 && none > 20,
        "the draw must reach each rule: {days_before}, {minutes_before}, {none}"
    );
}

#[test]
fn an_extension_is_given_until_the_moment_that_the_second_implementation_says_and_not_a_second_longer() {
    let mut random = Random(SEED + 3);
    let calendar = calendar(None);
    let transitions = Transitions::from_toml(&pack("transitions/national-2026.toml")).unwrap();
    let mut rules = DeadlineRules::from_toml(&pack("deadlines/deadlines-2025.toml")).unwrap();
    let (mut questions, mut lives) = (Vec::new(), Vec::new());
    while questions.len() < 1_000 {
        let procedure = procedure(&mut random);
        let (case, states, _) = live(&mut random, &calendar, &procedure, &transitions);
        if case.is_paused() {
            continue;
        }
        let before = random.below(4) as u32;
        let mut question = question(&procedure, &case, &states);
        question["latest_before"] = json!(before);
        questions.push(question);
        lives.push((case, before));
    }
    for (question, ((case, before), theirs)) in questions.iter().zip(lives.iter().zip(ask(&questions))) {
        let deadline = case.deadline.as_ref().unwrap();
        let ours = latest_moment(&calendar, *before, deadline).unwrap();
        let said = json!({ "due": written(deadline.due_time), "latest": written(ours) });
        assert_eq!(said, theirs, "{question}");
        let latest = read(&theirs["latest"]);
        let mut new_date = deadline.due_date.tomorrow().unwrap();
        while !calendar.is_working_day(new_date).unwrap() {
            new_date = new_date.tomorrow().unwrap();
        }
        let mut extended = |status, now| {
            rules.extension = ExtensionRule {
                notice_working_days: *before,
                legal_basis: "a law".to_owned(),
                fact: Fact { status, ..fact() },
            };
            let both = (deadline, deadline);
            let asked = wanted(new_date);
            extension_to(&calendar, Some(&rules), Profile::Production, both, asked, now)
        };
        let later = latest + SignedDuration::from_secs(1);
        assert!(
            !extended(FactStatus::Confirmed, latest).unwrap().after_latest,
            "{question}"
        );
        let refused = ExtensionRefused::TooLate {
            latest,
            basis: "a law".to_owned(),
        };
        assert_eq!(extended(FactStatus::Confirmed, later), Err(refused), "{question}");
        assert!(
            extended(FactStatus::Unconfirmed, later).unwrap().after_latest,
            "{question}"
        );
    }
}

#[test]
fn the_reception_answers_and_hands_on_until_when_the_second_implementation_says() {
    let mut random = Random(SEED + 5);
    let plain = calendar(None);
    let (mut questions, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        // Every draw has its notice, so that the calendar that was taken is the one that was asked.
        let (text, days) = notice(&mut random, &plain, date(2026, 3, 1));
        let changed = calendar(Some(&text));
        for _ in 0..100 {
            let day = date(2026, 1, 5) + jiff::Span::new().days(random.below(300) as i64);
            let from = random.moment(day);
            let (unit, value, cut_off, due) = if random.one_in(2) {
                let rule = AnswerRule {
                    working_hours: 1 + random.below(24) as u32,
                    legal_basis: String::new(),
                    fact: fact(),
                };
                let due = answer_due(&changed, &rule, from).unwrap();
                ("working_hours", rule.working_hours, None, due)
            } else {
                let rule = TransferRule {
                    cut_off: jiff::civil::time(15, 0, 0, 0),
                    legal_basis: String::new(),
                    fact: fact(),
                };
                (
                    "same_day",
                    1,
                    Some("15:00:00"),
                    transfer_due(&changed, &rule, from).unwrap(),
                )
            };
            questions.push(json!({
                "received": written(from), "unit": unit, "value": value, "cut_off": cut_off,
                "first_day_counted": false, "last_day_moves": true, "pauses": [], "notice": days,
            }));
            ours.push(json!({ "due": due.due.strftime("%Y-%m-%dT%H:%M:%S").to_string() }));
        }
    }
    for (question, (ours, theirs)) in questions.iter().zip(ours.iter().zip(ask(&questions))) {
        assert_eq!(*ours, theirs, "{question}");
    }
}

/// A short time of a step, now and then none.
fn step_time(random: &mut Random) -> Option<StepTime> {
    let (value, unit) = match random.below(6) {
        0 => (Some(1 + random.below(5) as u32), TimeUnit::WorkingDay),
        1 => (Some(1 + random.below(7) as u32), TimeUnit::Day),
        2 => (Some(1 + random.below(12) as u32), TimeUnit::WorkingHour),
        3 => (Some(1 + random.below(40) as u32), TimeUnit::Hour),
        4 => (None, TimeUnit::SameDay),
        _ => return None,
    };
    Some(StepTime {
        value,
        unit: Some(unit),
    })
}

#[test]
fn each_step_ends_and_a_case_is_at_risk_from_when_the_second_implementation_says() {
    let mut random = Random(SEED + 4);
    let calendar = calendar(None);
    let transitions = Transitions::from_toml(&pack("transitions/national-2026.toml")).unwrap();
    let (mut questions, mut ours) = (Vec::new(), Vec::new());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    while questions.len() < 1_500 {
        let mut procedure = procedure(&mut random);
        for step in &mut procedure.steps {
            step.time = step_time(&mut random);
        }
        let (case, states, (recorded, since)) = live(&mut random, &calendar, &procedure, &transitions);
        if case.is_paused() {
            continue;
        }
        let as_of = since + SignedDuration::from_secs(random.below(3_000_000) as i64);
        let steps: Vec<Value> = procedure
            .steps
            .iter()
            .map(|step| {
                let time = step.time.map(|time| {
                    time_json(&Time {
                        value: time.value,
                        unit: time.unit,
                        cut_off: None,
                        fact: fact(),
                    })
                });
                json!({ "code": step.code, "state": step.state.code(), "time": time })
            })
            .collect();
        let mut question = question(&procedure, &case, &states);
        question["forecast"] =
            json!({ "steps": steps, "recorded": recorded, "since": written(since), "as_of": written(as_of) });
        questions.push(question);

        // What is kept beside the case for the list of cases at risk.
        let kept = due_next(&case, &procedure, &calendar, None).unwrap();
        let standing = Standing {
            recorded: case.done(),
            conditions: &case.conditions,
            since,
            pauses: &case.ended_pauses(),
            due: kept.due_time,
        };
        let foreseen = forecast(&calendar, &procedure, &standing, as_of).unwrap();
        // Before the case came to its step nobody asks.
        let at_risk_from = kept.at_risk_from.unwrap().max(since);
        let left = foreseen.steps.iter().filter(|step| !step.done);
        let ends: Vec<Value> = left
            .map(|step| json!([step.code, step.expected_end.map(written), step.latest_end.map(written)]))
            .collect();
        assert_eq!(
            ends[0][2],
            json!(written(kept.latest_step_end)),
            "what is kept is what is foreseen"
        );
        let mut count = |what, holds: bool| *seen.entry(what).or_default() += usize::from(holds);
        count("late from the start", at_risk_from == since);
        count("late later", at_risk_from > since);
        count("late", foreseen.late);
        count("in time", !foreseen.late);
        count("a step without a time", kept.step_end.is_none());
        count(
            "a step in which the clock stood still",
            case.pauses.iter().any(|pause| pause.start >= since),
        );
        count("one step left", ends.len() == 1);
        count("four steps left", ends.len() == 4);
        ours.push(json!({
            "due": written(kept.due_time),
            "forecast": {
                "step": kept.current_step,
                "step_end": kept.step_end.map(written),
                "at_risk_from": written(at_risk_from),
                "steps": ends,
                "late": foreseen.late,
                "late_working_days": foreseen.late_working_days,
            },
        }));
    }
    for (question, (ours, theirs)) in questions.iter().zip(ours.iter().zip(ask(&questions))) {
        assert_eq!(*ours, theirs, "{question}");
    }
    assert!(
        seen.len() == 8 && seen.values().all(|times| *times > 30),
        "the draw must reach each: {seen:?}"
    );
}
