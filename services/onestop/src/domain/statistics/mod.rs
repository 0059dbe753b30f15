//! Thống kê: what an act changes in the figures, and what figures add up to.
//!
//! * [`Snapshot`]: what of a case counts, at one version; `replay` makes them of a stored history.
//! * [`changes`]: the one rule by which an act changes the figures. Stocks are kept as signed changes, so that every figure is
//!   a sum over the changes before a day, and what was asked about a past day is answered the same way again.
//! * [`Figures`]: the standard columns (facts 1.7) of a group and a period.

mod figures;
mod fingerprint;
mod measure;
mod payments;
mod replay;

pub use figures::{Columns, Figures, Group, Totals};
pub use fingerprint::{Bucket, Fingerprints};
pub use measure::Measure;
pub use payments::PaidPayment;
pub use replay::replay;

use egov_clock::vietnam;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::case::Case;
use super::pack::Channel;
use super::transitions::State;

/// What of a case counts in the figures, as it is at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Cơ quan có thẩm quyền.
    pub unit_id: i32,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// Người được phân công.
    pub officer_id: Option<Uuid>,
    /// Kênh nộp.
    pub channel: Channel,
    /// Trạng thái.
    pub state: State,
    /// Whether it was taken in: before that no clock runs.
    pub accepted: bool,
    /// The day and the instant at which it is due.
    pub due: Option<(Date, Timestamp)>,
    /// Thành phần hồ sơ so far.
    pub components: Components,
    /// Supplements that were asked for so far.
    pub supplements: i64,
    /// Results, and those of them with a file.
    pub results: (i64, i64),
    /// Mức độ hài lòng, 1 to 3.
    pub rating: Option<i16>,
}

/// How many components were filed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Components {
    /// All of them.
    pub all: i64,
    /// With a file, filed or scanned at the counter (số hoá).
    pub digitised: i64,
    /// Replaced by data of a connected register (tái sử dụng).
    pub reused: i64,
}

impl Components {
    /// Both together.
    const fn plus(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            digitised: self.digitised + other.digitised,
            reused: self.reused + other.reused,
        }
    }
}

impl Snapshot {
    /// What counts of a case.
    pub fn of(case: &Case) -> Self {
        let mut components = Components::default();
        for (place, component) in case.components.iter().enumerate() {
            components.all += 1;
            components.digitised += i64::from(case.is_digitised(place, case.version));
            components.reused += i64::from(!component.replaced_by_data.is_empty());
        }
        let digital = case.results.iter().filter(|result| result.file_id.is_some()).count();
        Self {
            unit_id: case.responsible_unit_id,
            procedure_code: case.procedure_code.clone(),
            officer_id: case.assignee_id,
            channel: case.channel,
            state: case.state,
            accepted: case.accept_time.is_some(),
            due: case
                .deadline
                .as_ref()
                .map(|deadline| (deadline.due_date, deadline.due_time)),
            components,
            supplements: i64::from(case.supplement_rounds),
            results: (count(case.results.len()), count(digital)),
            rating: case.rating.as_ref().map(|rating| rating.score),
        }
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Registered => Phase::Waiting,
            State::Rejected => Phase::Refused,
            State::Accepted | State::Processing => Phase::InProcess,
            State::SupplementRequested | State::PaymentRequested if self.accepted => Phase::Paused,
            State::SupplementRequested | State::PaymentRequested => Phase::Waiting,
            State::Withdrawn if self.accepted => Phase::Processed,
            State::Stopped if self.accepted => Phase::Stopped,
            // What ends before anybody took it in was never in process.
            State::Withdrawn | State::Stopped => Phase::LeftBefore,
            State::Completed | State::Returned => Phase::Processed,
        }
    }
}

/// Where a case stands in the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Chờ tiếp nhận.
    Waiting,
    /// Không được tiếp nhận.
    Refused,
    /// Rút, dừng before it was taken in.
    LeftBefore,
    /// Đang xử lý (2, 4).
    InProcess,
    /// Tạm dừng (5, 6).
    Paused,
    /// Đã xử lý (9, 10, rút).
    Processed,
    /// Dừng xử lý (8).
    Stopped,
}

impl Phase {
    /// True while the case was taken in and nothing has ended it.
    const fn is_open(self) -> bool {
        matches!(self, Self::InProcess | Self::Paused)
    }

    /// True once it was taken in.
    const fn was_received(self) -> bool {
        matches!(self, Self::InProcess | Self::Paused | Self::Processed | Self::Stopped)
    }
}

/// By what changes are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Cơ quan có thẩm quyền.
    pub unit_id: i32,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// Người được phân công; nil while there is none.
    pub officer_id: Uuid,
    /// The day from which on the change counts.
    pub day: Date,
    /// The day on which it became known, if that was later than the day on which it happened.
    pub recorded_late: Option<Date>,
    /// What changes.
    pub measure: Measure,
}

/// When something happened, and when we learned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// When it is true.
    pub happened: Timestamp,
    /// When it was recorded.
    pub recorded: Timestamp,
}

impl When {
    /// Something that is recorded as it happens.
    pub const fn now(now: Timestamp) -> Self {
        Self {
            happened: now,
            recorded: now,
        }
    }

    fn day(self) -> Date {
        day_of(self.happened)
    }

    fn late(self) -> Option<Date> {
        let recorded = day_of(self.recorded);
        (recorded > self.day()).then_some(recorded)
    }
}

/// The day of an instant in Việt Nam.
pub fn day_of(instant: Timestamp) -> Date {
    instant.to_zoned(vietnam()).date()
}

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// What an act changes in the figures: from the case as it was (none for a filing) to the case as it is.
///
/// A case counts from its acceptance (tiếp nhận); it is processed with the decision or the withdrawal, in time by comparison
/// with the due date at that instant. An overdue case counts from the end of its due date on, which is known beforehand: the
/// change is dated ahead, and one that takes it back falls on the same day if the case was decided by then.
pub fn changes(before: Option<&Snapshot>, after: &Snapshot, when: When) -> Vec<(Key, i64)> {
    let mut told = Told {
        when,
        found: Vec::new(),
    };
    let (old, new) = (before.map(Snapshot::phase), after.phase());
    let was = |phase: fn(Phase) -> bool| old.is_some_and(phase);
    if before.is_none() {
        told.add(after, Measure::registered(after.channel), 1);
    }
    let waited = before.filter(|_| old == Some(Phase::Waiting));
    told.moves(waited, (new == Phase::Waiting).then_some(after), Measure::Waiting);
    if new == Phase::Refused && old != Some(Phase::Refused) {
        told.add(after, Measure::Refused, 1);
    }
    if new == Phase::LeftBefore && old != Some(Phase::LeftBefore) {
        told.add(after, Measure::LeftBefore, 1);
    }

    let received = new.was_received() && !was(Phase::was_received);
    if received {
        told.add(after, Measure::received(after.channel), 1);
    }
    if let Some(before) = before.filter(|before| was(Phase::is_open) && !same_place(before, after)) {
        told.add(before, Measure::Transferred, -1);
        told.add(after, Measure::Transferred, 1);
    }
    if new == Phase::Processed && old != Some(Phase::Processed) {
        told.add(after, punctuality(after.due, when.happened), 1);
        if after.state == State::Withdrawn {
            told.add(after, Measure::Withdrawn, 1);
        }
    }
    if new == Phase::Stopped && old != Some(Phase::Stopped) {
        told.add(after, Measure::Stopped, 1);
    }
    let paused = before.filter(|_| old == Some(Phase::Paused));
    told.moves(paused, (new == Phase::Paused).then_some(after), Measure::Paused);
    told.overdue(
        before.filter(|_| old == Some(Phase::InProcess)),
        (new == Phase::InProcess).then_some(after),
    );
    told.flows(before.filter(|_| !received), before, after);
    told.found.retain(|(_, amount)| *amount != 0);
    told.found
}

/// What a case that comes from another system changes in the figures: one that has not ended is carried over, as if it came from
/// another unit. What had happened to it before is that system's to report, and so is one that has ended.
pub fn taken_over(case: &Snapshot, when: When) -> Vec<(Key, i64)> {
    let elsewhere = Snapshot {
        unit_id: NOWHERE,
        ..case.clone()
    };
    let mut found = changes(Some(&elsewhere), case, when);
    found.retain(|(key, _)| key.unit_id != NOWHERE);
    found
}

/// No unit has this id.
const NOWHERE: i32 = 0;

fn same_place(a: &Snapshot, b: &Snapshot) -> bool {
    (a.unit_id, &a.procedure_code, a.officer_id) == (b.unit_id, &b.procedure_code, b.officer_id)
}

/// Trước hạn, đúng hạn, quá hạn. Without a due date nothing was late.
pub fn punctuality(due: Option<(Date, Timestamp)>, decided: Timestamp) -> Measure {
    match due {
        Some((date, _)) if day_of(decided) < date => Measure::ProcessedEarly,
        Some((_, time)) if decided > time => Measure::ProcessedLate,
        _ => Measure::ProcessedOnTime,
    }
}

/// The changes of one act while they are found.
struct Told {
    when: When,
    found: Vec<(Key, i64)>,
}

impl Told {
    fn add(&mut self, of: &Snapshot, measure: Measure, amount: i64) {
        self.add_from(of, self.when.day(), measure, amount);
    }

    fn add_from(&mut self, of: &Snapshot, day: Date, measure: Measure, amount: i64) {
        let key = Key {
            unit_id: of.unit_id,
            procedure_code: of.procedure_code.clone(),
            officer_id: of.officer_id.unwrap_or_default(),
            day,
            recorded_late: self.when.late(),
            measure,
        };
        match self.found.iter_mut().find(|(known, _)| *known == key) {
            Some((_, sum)) => *sum += amount,
            None => self.found.push((key, amount)),
        }
    }

    /// A stock of one: taken from where the case stood, put where it stands.
    fn moves(&mut self, from: Option<&Snapshot>, to: Option<&Snapshot>, measure: Measure) {
        if let Some(from) = from {
            self.add(from, measure, -1);
        }
        if let Some(to) = to {
            self.add(to, measure, 1);
        }
    }

    fn overdue(&mut self, from: Option<&Snapshot>, to: Option<&Snapshot>) {
        for (of, amount) in [(from, -1), (to, 1)] {
            if let Some((of, (due, _))) = of.and_then(|of| Some((of, of.due?))) {
                self.add_from(of, due.max(self.when.day()), Measure::Overdue, amount);
            }
        }
    }

    /// What is counted once it comes: components of what was received, supplements, results, the return, the rating.
    fn flows(&mut self, counted: Option<&Snapshot>, before: Option<&Snapshot>, after: &Snapshot) {
        if after.phase().was_received() {
            let known = counted.map(|before| before.components).unwrap_or_default();
            let components = after.components;
            self.add(after, Measure::Components, components.all - known.all);
            self.add(after, Measure::Digitised, components.digitised - known.digitised);
            self.add(after, Measure::Reused, components.reused - known.reused);
        }
        let asked = before.map_or(0, |before| before.supplements);
        self.add(after, Measure::Supplements, after.supplements - asked);
        let (results, digital) = before.map_or((0, 0), |before| before.results);
        self.add(after, Measure::Results, after.results.0 - results);
        self.add(after, Measure::DigitalResults, after.results.1 - digital);
        if after.state == State::Returned && before.is_none_or(|before| before.state != State::Returned) {
            self.add(after, Measure::Returned, 1);
        }
        let rated = before.and_then(|before| before.rating);
        if let Some(measure) = after.rating.filter(|_| rated.is_none()).and_then(Measure::rated) {
            self.add(after, measure, 1);
        }
    }
}

#[cfg(test)]
mod tests;
