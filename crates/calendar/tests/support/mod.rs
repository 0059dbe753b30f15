//! What several of these tests share: the pack, the plain list, and the hand-worked table.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "shared by several tests, each of which uses a part; tests fail loudly"
)]

use std::fs;
use std::path::{Path, PathBuf};

use egov_calendar::{PackText, Pause, Period, WorkCalendar};
use jiff::civil::{DateTime, Time};
use serde::Deserialize;

/// The pack of the product.
pub fn pack_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/calendar")
}

pub fn pack_file(name: &str) -> String {
    fs::read_to_string(pack_folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The calendar of the product, notices included.
pub fn calendar() -> WorkCalendar {
    WorkCalendar::read(&pack_folder()).expect("the pack of the product is readable")
}

/// The plain list of days, with the notices given instead of those of the product.
pub fn calendar_with_notices(notices: &[(&str, &str)]) -> Result<WorkCalendar, egov_calendar::PackError> {
    WorkCalendar::from_text(&PackText {
        manifest: &pack_file("calendar.toml"),
        days: &pack_file("holidays_2015_2035.csv"),
        lunar: &pack_file("lunar_2015_2035.csv"),
        office: &pack_file("office_hours.toml"),
        notices,
    })
}

/// One case of the table, worked out by hand.
pub struct HandWorked {
    pub id: String,
    pub received: DateTime,
    pub period: Period,
    pub cut_off: Option<Time>,
    pub pauses: Vec<Pause>,
    /// None: a pause without an end holds the clock.
    pub due: Option<DateTime>,
    pub reason: String,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    received: DateTime,
    period: String,
    cut_off: Option<Time>,
    pauses: String,
    due: String,
    reason: String,
}

pub fn hand_worked() -> Vec<HandWorked> {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hand_worked.csv");
    let mut reader = csv::Reader::from_path(table).expect("the table is there");
    reader
        .deserialize()
        .map(|row| from_row(row.expect("every row has all columns")))
        .collect()
}

fn from_row(row: Row) -> HandWorked {
    let id = row.id;
    let period = match row.period.split_once(' ') {
        None if row.period == "same_day" => Period::SameDay,
        Some((count, unit)) => {
            let count = count.parse().unwrap_or_else(|error| panic!("{id}: {count}: {error}"));
            match unit {
                "working_days" => Period::WorkingDays(count),
                "days" => Period::Days(count),
                "working_hours" => Period::WorkingHours(count),
                "elapsed_hours" => Period::ElapsedHours(count),
                other => panic!("{id}: no unit {other}"),
            }
        }
        None => panic!("{id}: no period {}", row.period),
    };
    let moment = |text: &str| text.parse().unwrap_or_else(|error| panic!("{id}: {text}: {error}"));
    let pauses = row.pauses.split_whitespace().map(|pause| match pause.split_once('/') {
        Some((from, "")) => Pause::open(moment(from)),
        Some((from, to)) => Pause::closed(moment(from), moment(to)),
        None => panic!("{id}: no pause {pause}"),
    });
    let pauses = pauses.collect();
    let due = (row.due != "stopped").then(|| moment(&row.due));
    HandWorked {
        received: row.received,
        period,
        cut_off: row.cut_off,
        pauses,
        due,
        reason: row.reason,
        id,
    }
}
