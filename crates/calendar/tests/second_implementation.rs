//! Every due date a second time, by `tests/due-dates/second_implementation.py`, which was written from the articles and knows
//! nothing but the list of days off.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail loudly"
)]

mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use egov_calendar::{CalendarError, FirstDay, LastDayOff, Pause, Period, Rules, WorkCalendar, deadline, extended};
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time, date, time};
use serde_json::{Value, json};

const CASES: usize = 10_000;
const SEED: u64 = 0x2026_1124;

struct Question {
    received: DateTime,
    period: Period,
    rules: Rules,
    pauses: Vec<Pause>,
    extended_by: u32,
}

#[test]
fn ten_thousand_random_due_dates_equal_the_second_implementation() {
    let mut random = Random(SEED);
    let questions: Vec<Question> = (0..CASES).map(|_| random.question()).collect();
    // The second program knows no notices, so this one reads the plain list as well.
    let calendar = support::calendar_with_notices(&[]).unwrap();
    compare(&calendar, &questions);
}

#[test]
fn the_second_implementation_agrees_with_the_hand_worked_table() {
    let cases = support::hand_worked();
    let questions: Vec<Question> = cases
        .iter()
        .map(|case| Question {
            received: case.received,
            period: case.period,
            rules: Rules::default().with_cut_off(case.cut_off),
            pauses: case.pauses.clone(),
            extended_by: 0,
        })
        .collect();
    for (case, answer) in cases.iter().zip(ask(&questions)) {
        let expected = match case.due {
            Some(due) => json!({"due": written(due)}),
            None => json!({"stopped": true}),
        };
        assert_eq!(answer, expected, "{}: {}", case.id, case.reason);
    }
}

fn compare(calendar: &WorkCalendar, questions: &[Question]) {
    let answers = ask(questions);
    assert_eq!(answers.len(), questions.len(), "one answer for each question");
    let mut different = Vec::new();
    let (mut due, mut stopped, mut unknown) = (0, 0, 0);
    for (question, theirs) in questions.iter().zip(answers) {
        let found = deadline(
            calendar,
            question.received,
            question.period,
            &question.rules,
            &question.pauses,
        )
        .and_then(|found| extended(calendar, found, question.extended_by, &question.pauses));
        let ours = match found {
            Ok(deadline) => {
                due += 1;
                json!({"due": written(deadline.due)})
            }
            Err(CalendarError::ClockStopped { .. }) => {
                stopped += 1;
                json!({"stopped": true})
            }
            Err(CalendarError::OutsideCoverage { .. }) => {
                unknown += 1;
                json!({"unknown": true})
            }
            Err(error) => panic!("{}: {error}", as_json(question)),
        };
        if ours != theirs {
            different.push(format!("{}\n  here {ours}, there {theirs}", as_json(question)));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {} differ, among them\n{}",
        different.len(),
        questions.len(),
        different.iter().take(5).cloned().collect::<Vec<_>>().join("\n")
    );
    // The draw must reach every kind of answer, or the comparison says less than it seems to.
    assert!(
        due > CASES * 3 / 4 && stopped > 100 && unknown > 10,
        "{due} due, {stopped} stopped, {unknown} unknown"
    );
}

/// Puts all questions to one process of the second implementation.
fn ask(questions: &[Question]) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut python = Command::new("python3")
        .arg(root.join("tests/due-dates/second_implementation.py"))
        .arg(support::pack_folder().join("holidays_2015_2035.csv"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("python3 is needed for this test and could not be started ({error}): apt-get install python3")
        });
    let mut lines = String::new();
    for question in questions {
        writeln!(lines, "{}", as_json(question)).unwrap();
    }
    let mut stdin = python.stdin.take().expect("stdin is piped");
    // Written from a thread: with both pipes full, each side would wait for the other.
    let writer = thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer
        .join()
        .expect("the writing thread ends")
        .expect("python3 reads every question");
    assert!(
        output.status.success(),
        "the second implementation failed: {}",
        output.status
    );
    let answers = String::from_utf8(output.stdout).unwrap();
    answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn as_json(question: &Question) -> Value {
    let (unit, value) = match question.period {
        Period::WorkingDays(n) => ("working_days", n),
        Period::Days(n) => ("days", n),
        Period::WorkingHours(n) => ("working_hours", n),
        Period::ElapsedHours(n) => ("elapsed_hours", n),
        Period::SameDay => ("same_day", 1),
    };
    let pauses: Vec<Value> = question
        .pauses
        .iter()
        .map(|pause| json!([written(pause.from), pause.to.map(written)]))
        .collect();
    json!({
        "received": written(question.received),
        "unit": unit,
        "value": value,
        "cut_off": question.rules.cut_off.map(|cut_off| cut_off.strftime("%H:%M:%S").to_string()),
        "first_day_counted": question.rules.first_day == FirstDay::Counted,
        "last_day_moves": question.rules.last_day_off == LastDayOff::MovesToNextWorkingDay,
        "pauses": pauses,
        "extended_by": question.extended_by,
    })
}

fn written(at: DateTime) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// SplitMix64: the same cases on every machine and with every version of every library.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `end` - 1.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn question(&mut self) -> Question {
        let received = self.day().to_datetime(self.time());
        let period = match self.below(5) {
            0 => Period::WorkingDays(1 + self.below(40) as u32),
            1 => Period::Days(1 + self.below(90) as u32),
            2 => Period::WorkingHours(1 + self.below(80) as u32),
            3 => Period::ElapsedHours(1 + self.below(240) as u32),
            _ => Period::SameDay,
        };
        let same_day = period == Period::SameDay;
        let cut_off = match self.below(4) {
            0 => None,
            1 | 2 => Some(time(15, 0, 0, 0)),
            _ => Some(self.time()),
        };
        let rules = Rules {
            first_day: if self.one_in(8) {
                FirstDay::Counted
            } else {
                FirstDay::NotCounted
            },
            last_day_off: if self.one_in(8) {
                LastDayOff::Stays
            } else {
                LastDayOff::MovesToNextWorkingDay
            },
            cut_off: cut_off.filter(|_| same_day),
        };
        // Half without pauses; the others with up to four, in any order, overlapping, touching, empty.
        let pauses = if self.one_in(2) { 0 } else { 1 + self.below(4) };
        let pauses = (0..pauses).map(|_| self.pause(received, same_day)).collect();
        // Every third one was extended (gia hạn).
        let extended_by = if self.one_in(3) { 1 + self.below(15) as u32 } else { 0 };
        Question {
            received,
            period,
            rules,
            pauses,
            extended_by,
        }
    }

    /// Any day from 2015 to 2035, every third one close to Tết, to the year's end or to another bundle of days off, and a few at
    /// the very end of the list.
    fn day(&mut self) -> Date {
        let year = 2015 + self.below(21) as i16;
        let (start, days) = match self.below(12) {
            0 => (date(year, 1, 10), 45),
            1 => (date(year, 4, 20), 14),
            2 => (date(year, 8, 20), 16),
            3 => (date(year, 12, 20), 12),
            4 if self.one_in(3) => (date(2035, 12, 1), 31),
            _ => (date(year, 1, 1), 365),
        };
        start
            .checked_add(SignedDuration::from_hours(24 * self.below(days) as i64))
            .unwrap()
    }

    /// A time of day; often exactly where something changes, or a second beside it.
    fn time(&mut self) -> Time {
        const EDGES: [(i8, i8); 8] = [
            (0, 0),
            (7, 30),
            (11, 30),
            (13, 30),
            (15, 0),
            (16, 59),
            (17, 0),
            (23, 59),
        ];
        if self.one_in(3) {
            let (hour, minute) = EDGES.get(self.below(8) as usize).copied().unwrap();
            let edge = time(hour, minute, 0, 0);
            return match self.below(3) {
                0 => edge.saturating_add(SignedDuration::from_secs(1)),
                1 => edge.saturating_sub(SignedDuration::from_secs(1)),
                _ => edge,
            };
        }
        let second = if self.one_in(2) { 0 } else { self.below(60) as i8 };
        time(self.below(24) as i8, self.below(60) as i8, second, 0)
    }

    /// From some days before to some weeks after reception; on the very day more often for same-day cases.
    fn pause(&mut self, received: DateTime, same_day: bool) -> Pause {
        let back = self.below(4) as i64 - 3;
        let ahead = if same_day { 0 } else { self.below(30) as i64 };
        let offset = if self.one_in(4) { back } else { ahead };
        let from = self.moment(received.date(), offset);
        if self.one_in(10) {
            return Pause::open(from);
        }
        let length = if self.one_in(3) { 0 } else { self.below(12) as i64 };
        let to = self.moment(from.date(), length);
        Pause::closed(from.min(to), from.max(to))
    }

    fn moment(&mut self, day: Date, offset: i64) -> DateTime {
        let day = day.checked_add(SignedDuration::from_hours(24 * offset)).unwrap();
        day.to_datetime(self.time())
    }
}
