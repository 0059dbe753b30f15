//! The standard columns of a group of cases and a period (facts 1.7).

use std::collections::BTreeMap;

use super::Measure;

/// Sums by measure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals(BTreeMap<Measure, i64>);

impl Totals {
    /// Adds to a measure.
    pub fn add(&mut self, measure: Measure, amount: i64) {
        *self.0.entry(measure).or_default() += amount;
    }

    /// The sum of a measure.
    pub fn get(&self, measure: Measure) -> i64 {
        self.0.get(&measure).copied().unwrap_or(0)
    }

    fn of(&self, measures: &[Measure]) -> i64 {
        measures.iter().map(|measure| self.get(*measure)).sum()
    }

    /// Cases that were taken in and that nothing has ended.
    fn open(&self) -> i64 {
        self.of(&RECEIVED) - self.of(&PROCESSED) - self.get(Measure::Stopped) + self.get(Measure::Transferred)
    }

    /// Adds all sums of another group.
    pub fn merge(&mut self, other: &Self) {
        for (measure, amount) in &other.0 {
            self.add(*measure, *amount);
        }
    }
}

const RECEIVED: [Measure; 3] = [Measure::ReceivedCounter, Measure::ReceivedOnline, Measure::ReceivedPost];
const PROCESSED: [Measure; 3] = [
    Measure::ProcessedEarly,
    Measure::ProcessedOnTime,
    Measure::ProcessedLate,
];

/// The columns of a group and a period. `carried_over + received + transferred = processed + in_process + paused + stopped`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Columns {
    /// Kỳ trước chuyển sang.
    pub carried_over: i64,
    /// Tiếp nhận trực tuyến.
    pub received_online: i64,
    /// Tiếp nhận trực tiếp.
    pub received_counter: i64,
    /// Tiếp nhận qua bưu chính.
    pub received_post: i64,
    /// Chuyển đến trừ chuyển đi.
    pub transferred: i64,
    /// Đã xử lý trước hạn.
    pub processed_early: i64,
    /// Đã xử lý đúng hạn.
    pub processed_on_time: i64,
    /// Đã xử lý quá hạn.
    pub processed_late: i64,
    /// Of the processed: rút.
    pub withdrawn: i64,
    /// Đang xử lý trong hạn, at the end of the period.
    pub in_process_in_time: i64,
    /// Đang xử lý quá hạn, at the end of the period.
    pub in_process_overdue: i64,
    /// Tạm dừng (5, 6), at the end of the period.
    pub paused: i64,
    /// Dừng xử lý (8).
    pub stopped: i64,
    /// Chờ tiếp nhận, at the end of the period.
    pub waiting: i64,
    /// Nộp.
    pub registered: i64,
    /// Không được tiếp nhận.
    pub refused: i64,
    /// Rút, dừng before it was taken in.
    pub left_before: i64,
    /// Đã trả kết quả.
    pub returned: i64,
    /// Lượt yêu cầu bổ sung.
    pub supplements: i64,
    /// Thành phần hồ sơ of what was received.
    pub components: i64,
    /// Of these, with a file.
    pub digitised: i64,
    /// Of these, replaced by data.
    pub reused: i64,
    /// Kết quả.
    pub results: i64,
    /// Of these, with a file.
    pub digital_results: i64,
    /// Rất hài lòng.
    pub rated_very_satisfied: i64,
    /// Hài lòng.
    pub rated_satisfied: i64,
    /// Không hài lòng.
    pub rated_dissatisfied: i64,
    /// Khoản thanh toán that came in. A report without any is written as it was before they were counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub payments: i64,
    /// Of these, trực tuyến.
    #[serde(skip_serializing_if = "is_zero")]
    pub online_payments: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(amount: &i64) -> bool {
    *amount == 0
}

impl Columns {
    /// The columns of a period from the sums before it and the sums up to its end.
    pub fn between(before: &Totals, until: &Totals) -> Self {
        let flow = |measure: Measure| until.get(measure) - before.get(measure);
        let overdue = until.get(Measure::Overdue);
        let paused = until.get(Measure::Paused);
        Self {
            carried_over: before.open(),
            received_online: flow(Measure::ReceivedOnline),
            received_counter: flow(Measure::ReceivedCounter),
            received_post: flow(Measure::ReceivedPost),
            transferred: flow(Measure::Transferred),
            processed_early: flow(Measure::ProcessedEarly),
            processed_on_time: flow(Measure::ProcessedOnTime),
            processed_late: flow(Measure::ProcessedLate),
            withdrawn: flow(Measure::Withdrawn),
            in_process_in_time: until.open() - paused - overdue,
            in_process_overdue: overdue,
            paused,
            stopped: flow(Measure::Stopped),
            waiting: until.get(Measure::Waiting),
            registered: flow(Measure::RegisteredCounter)
                + flow(Measure::RegisteredOnline)
                + flow(Measure::RegisteredPost),
            refused: flow(Measure::Refused),
            left_before: flow(Measure::LeftBefore),
            returned: flow(Measure::Returned),
            supplements: flow(Measure::Supplements),
            components: flow(Measure::Components),
            digitised: flow(Measure::Digitised),
            reused: flow(Measure::Reused),
            results: flow(Measure::Results),
            digital_results: flow(Measure::DigitalResults),
            rated_very_satisfied: flow(Measure::RatedVerySatisfied),
            rated_satisfied: flow(Measure::RatedSatisfied),
            rated_dissatisfied: flow(Measure::RatedDissatisfied),
            payments: flow(Measure::Payments),
            online_payments: flow(Measure::OnlinePayments),
        }
    }

    /// Tiếp nhận trong kỳ.
    pub const fn received(&self) -> i64 {
        self.received_online + self.received_counter + self.received_post
    }

    /// Đã xử lý.
    pub const fn processed(&self) -> i64 {
        self.processed_early + self.processed_on_time + self.processed_late
    }

    /// Đang xử lý.
    pub const fn in_process(&self) -> i64 {
        self.in_process_in_time + self.in_process_overdue
    }

    /// Đã xử lý trước hạn và đúng hạn.
    pub const fn in_time(&self) -> i64 {
        self.processed_early + self.processed_on_time
    }

    /// Đánh giá.
    pub const fn rated(&self) -> i64 {
        self.rated_very_satisfied + self.rated_satisfied + self.rated_dissatisfied
    }

    /// True if the columns of what was open and what became of it agree.
    pub const fn balances(&self) -> bool {
        self.carried_over + self.received() + self.transferred
            == self.processed() + self.in_process() + self.paused + self.stopped
    }

    /// True if nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// By what figures are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Everything in one.
    Whole,
    /// Đơn vị.
    Unit,
    /// Lĩnh vực.
    Sector,
    /// Thủ tục.
    Procedure,
    /// Người được phân công.
    Officer,
}

/// The columns of one group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Figures {
    /// Id of the unit, code of the sector or procedure, id of the account; empty for the whole.
    pub key: String,
    /// In words, if there are any.
    pub name: String,
    /// The columns.
    pub columns: Columns,
}
