//! Hồ sơ: a case and the rules of its acts.
//!
//! Every act is a method that takes the case as it is, judges, and leaves it as it will be, or refuses and leaves
//! it alone. Nothing here reads a clock, a database or a token: what an act needs to know is passed in.

use std::fmt;

use egov_calendar::vietnam_instant;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::civil_decision;
use super::components::ComponentCheck;
use super::definition::Done;
use super::extension::Extension;
use super::listing::Versioned;
use super::pack::Channel;
use super::party::Party;
use super::results::ResultVersion;
use super::transitions::{Operation, Refused, State, Transitions};

/// Thành phần hồ sơ as it was filed. `Debug` says that an e-form was filled in, and not what: it is personal data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiledComponent {
    /// 0 as filed; n for the n-th supplement.
    pub round: i32,
    /// Code of the component in the procedure's version.
    pub component_code: String,
    /// Số bản chính.
    pub originals: i32,
    /// Số bản sao.
    pub copies: i32,
    /// Thay bằng dữ liệu: which database holds the fact; empty if the paper is filed.
    pub replaced_by_data: String,
    /// Files that show it.
    pub file_ids: Vec<Uuid>,
    /// Mẫu điện tử: the e-form as it was filled in, one line of JSON that was judged when it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form_data: Option<String>,
}

impl FiledComponent {
    /// The code, and whether data of a database replaces the paper.
    pub fn as_filed(&self) -> (&str, bool) {
        (&self.component_code, !self.replaced_by_data.is_empty())
    }

    /// True if a code is named but nothing stands behind it: no file, no paper, no data, no e-form.
    pub fn is_empty(&self) -> bool {
        self.file_ids.is_empty()
            && self.originals == 0
            && self.copies == 0
            && self.replaced_by_data.is_empty()
            && self.form_data.is_none()
    }
}

impl fmt::Debug for FiledComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FiledComponent")
            .field("round", &self.round)
            .field("component_code", &self.component_code)
            .field("originals", &self.originals)
            .field("copies", &self.copies)
            .field("replaced_by_data", &self.replaced_by_data)
            .field("file_ids", &self.file_ids)
            .field("form_data", &self.form_data.as_ref().map(|_| "…"))
            .finish()
    }
}

/// A stretch of time in which the clock stood still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// 5 or 6.
    pub state: State,
    /// From this instant.
    pub start: Timestamp,
    /// To this instant; open while it lasts.
    pub end: Option<Timestamp>,
}

/// Kết quả giải quyết, as it was issued, with what became of it ([`super::results`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// Code of the result in the procedure.
    pub result_code: String,
    /// Số, ký hiệu as it was issued.
    pub number: String,
    /// The result file as it was issued.
    pub file_id: Option<Uuid>,
    /// Its versions, as far as they were recorded. A result without any is written as it was before there were versions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ResultVersion>,
}

/// Trả kết quả: how and to whom the result was handed over.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct CaseReturn {
    /// Kênh trả.
    pub channel: Channel,
    /// Who received it; empty if it was the owner.
    pub recipient_name: String,
    /// When.
    pub time: Timestamp,
}

/// Mức độ hài lòng and ý kiến of the citizen.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Rating {
    /// 1 không hài lòng, 2 hài lòng, 3 rất hài lòng.
    pub score: i16,
    /// Ý kiến.
    pub comment: String,
    /// When it was given.
    pub time: Timestamp,
}

/// One thing to supply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplementItem {
    /// The component it concerns; empty for the request itself.
    pub component_code: String,
    /// What is to be supplied.
    pub instruction: String,
}

/// A sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Text {
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

/// How a fact on which a case rests is established; kept with the case as it was on the day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Basis {
    /// confirmed, unconfirmed or decided.
    pub status: String,
    /// Source, or the basis of the decision.
    pub basis: String,
    /// Who decided.
    #[serde(default)]
    pub by: String,
    /// When it was decided, ISO date.
    #[serde(default)]
    pub when: String,
}

/// Phí, lệ phí of a case, as of the version of its procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseFee {
    /// Name.
    pub name: String,
    /// phi or le_phi.
    pub kind: String,
    /// VND; absent if the amount is not established.
    pub amount_vnd: Option<i64>,
    /// How it is established.
    pub basis: Basis,
}

/// One day of the explanation of a due date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayNote {
    /// The day.
    pub date: Date,
    /// counted, first_day, weekend, holiday, swap, paused, moved …
    pub kind: String,
    /// Units counted up to and with this day.
    pub counted: i32,
    /// In words.
    pub text: Text,
}

/// Thời hạn giải quyết, explained day by day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// Ngày hẹn trả.
    pub due_date: Date,
    /// The instant at which it ends.
    pub due_time: Timestamp,
    /// The period in words.
    pub period: Text,
    /// How the period is established.
    pub basis: Basis,
    /// Day by day.
    pub days: Vec<DayNote>,
    /// Version of the calendar that it was worked out with; empty in cases of old versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub calendar: String,
    /// True if some of the days await the official notice of their year.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_notice: bool,
}

/// The instant at which a day in Việt Nam is over.
pub fn end_of_day(day: Date) -> Option<Timestamp> {
    let next = day.tomorrow().ok()?;
    vietnam_instant(next.at(0, 0, 0, 0)).ok()
}

impl Deadline {
    /// True if another system promised it: it came with the case, and no calendar explains it.
    pub fn is_taken_over(&self) -> bool {
        self.days.is_empty()
    }

    /// The same promise for another day, to the end of it; none for a day that no calendar has.
    pub fn promised_for(&self, day: Date) -> Option<Self> {
        Some(Self {
            due_date: day,
            due_time: end_of_day(day)?,
            ..self.clone()
        })
    }
}

/// Hồ sơ thủ tục hành chính.
#[derive(Clone, Serialize)]
pub struct Case {
    /// Id.
    pub case_id: Uuid,
    /// Mã hồ sơ.
    pub case_code: String,
    /// True if the agency part of the code was not issued by the province.
    pub code_provisional: bool,
    /// Mã thủ tục.
    pub procedure_code: String,
    /// The version in force on the day of reception (of filing, until then).
    pub procedure_version: i32,
    /// Tên thủ tục in that version.
    pub procedure_name: String,
    /// Trạng thái.
    pub state: State,
    /// From which state 5 was entered.
    pub entered_from: Option<State>,
    /// The finer step.
    pub step: String,
    /// Kết luận of that step, by which the next one follows; empty if it has none. A case without one is written as it was before there
    /// were any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub step_outcome: String,
    /// Kênh nộp.
    pub channel: Channel,
    /// Cơ quan có thẩm quyền.
    pub responsible_unit_id: i32,
    /// Nơi tiếp nhận.
    pub receiving_unit_id: i32,
    /// Nơi hỗ trợ nộp.
    pub support_unit_id: Option<i32>,
    /// The citizen's account, if the case came with an eID.
    pub owner_id: Option<Uuid>,
    /// Người được phân công.
    pub assignee_id: Option<Uuid>,
    /// Chủ hồ sơ.
    pub owner: Party,
    /// Người nộp, if another.
    pub submitter: Option<Party>,
    /// Trích yếu.
    pub subject: String,
    /// Conditions of the procedure that hold.
    pub conditions: Vec<String>,
    /// Thời điểm nộp.
    pub submit_time: Timestamp,
    /// Thời điểm tiếp nhận.
    pub accept_time: Option<Timestamp>,
    /// Thời hạn; absent before acceptance.
    pub deadline: Option<Deadline>,
    /// Phí, lệ phí.
    pub fees: Vec<CaseFee>,
    /// What is asked for while a supplement is awaited.
    pub supplement_items: Vec<SupplementItem>,
    /// How many supplements were asked for.
    pub supplement_rounds: i32,
    /// The look-up secret, sealed.
    #[serde(skip)]
    pub lookup_secret: Vec<u8>,
    /// From 1; grows with every act.
    pub version: i64,
    /// Thành phần hồ sơ.
    pub components: Vec<FiledComponent>,
    /// When the clock stood still.
    pub pauses: Vec<Pause>,
    /// Kết quả.
    pub results: Vec<CaseResult>,
    /// How and to whom the result was handed over.
    pub returned: Option<CaseReturn>,
    /// Đánh giá.
    pub rating: Option<Rating>,
    /// Gia hạn. A case without one is written as it was before there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<Extension>,
    /// What officers said of components. A case of which nothing was said is written as it was before that could be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<ComponentCheck>,
    /// Since when it stands at its step. It follows from the history, so the ledger does not commit to it.
    #[serde(skip)]
    pub step_since: Option<Timestamp>,
}

/// Why an act was refused. Each variant is something that a caller can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActRefused {
    /// The state does not allow it.
    #[error(transparent)]
    Transition(#[from] Box<Refused>),
    /// Nothing was supplied since the supplement was asked for.
    #[error("the supplement that was asked for has not been supplied")]
    NothingSupplied,
    /// A further round of supplements needs its stage and legal basis.
    #[error("a further supplement needs its stage and its legal basis")]
    SupplementBasisMissing,
    /// It was rated before.
    #[error("the case was rated already")]
    AlreadyRated,
    /// The clock of the case does not run.
    #[error("the clock does not run in state {}", state.code())]
    ClockNotRunning {
        /// The state it is in.
        state: State,
    },
    /// It was extended before.
    #[error("the period was extended already")]
    AlreadyExtended,
    /// The period has expired.
    #[error("the period expired at {due}")]
    Expired {
        /// When.
        due: Timestamp,
    },
    /// A rating is given after the result was returned.
    #[error("a case is rated after its result was returned")]
    NotReturned {
        /// The state it is in.
        state: State,
    },
}

impl Case {
    /// The etag of this version. It names the case too, so that an etag of another case never fits.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.version, &self.case_id.simple().to_string()[20..])
    }

    /// True if the etag was read from this version.
    pub fn etag_matches(&self, etag: &str) -> bool {
        self.etag() == etag
    }

    /// The bytes to which the ledger commits: every fact of this version in the fixed order of the struct. The look-up
    /// secret is no fact of the case.
    pub fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// True while the clock stands still.
    pub fn is_paused(&self) -> bool {
        self.state.pauses_clock()
    }

    /// Tiếp nhận: the clock starts. The caller works out the deadline from the version in force on the day.
    pub fn accept(&mut self, transitions: &Transitions, now: Timestamp, deadline: Deadline) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::Accept)?;
        if self.state == State::SupplementRequested && !self.supplied_this_round() {
            return Err(ActRefused::NothingSupplied);
        }
        self.enter(next, now);
        self.accept_time = Some(now);
        self.deadline = Some(deadline);
        self.step_since = Some(now);
        Ok(())
    }

    /// Từ chối tiếp nhận.
    pub fn reject(&mut self, transitions: &Transitions, now: Timestamp) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::Reject)?;
        self.enter(next, now);
        Ok(())
    }

    /// Yêu cầu bổ sung: instructs fully, once. A further round needs its stage and legal basis recorded; how many
    /// rounds there may be is not fixed here for all procedures (facts 1.5).
    pub fn request_supplement(
        &mut self,
        transitions: &Transitions,
        now: Timestamp,
        items: Vec<SupplementItem>,
        stage: &str,
        legal_basis: &str,
    ) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::RequestSupplement)?;
        if self.supplement_rounds >= 1 && (stage.trim().is_empty() || legal_basis.trim().is_empty()) {
            return Err(ActRefused::SupplementBasisMissing);
        }
        self.supplement_items = items;
        self.supplement_rounds = self.supplement_rounds.saturating_add(1);
        self.enter(next, now);
        Ok(())
    }

    /// Bổ sung: what was asked for comes in. The caller works out the due date again if the clock goes on.
    pub fn supply(
        &mut self,
        transitions: &Transitions,
        now: Timestamp,
        components: Vec<FiledComponent>,
    ) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::Supply)?;
        let round = self.supplement_rounds;
        self.components.extend(
            components
                .into_iter()
                .map(|component| FiledComponent { round, ..component }),
        );
        self.enter(next, now);
        Ok(())
    }

    /// Phân công.
    pub fn assign(&mut self, transitions: &Transitions, now: Timestamp, assignee: Uuid) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::Assign)?;
        self.assignee_id = Some(assignee);
        self.enter(next, now);
        Ok(())
    }

    /// What was done last of it.
    pub fn done(&self) -> Done<'_> {
        Done {
            step: &self.step,
            outcome: &self.step_outcome,
        }
    }

    /// A finer step of the procedure, which maps to the national state `to`.
    pub fn record_step(
        &mut self,
        transitions: &Transitions,
        now: Timestamp,
        step: Done<'_>,
        to: State,
    ) -> Result<(), ActRefused> {
        let next = transitions.next_step(self.state, self.entered_from, to)?;
        self.come_to(step);
        self.step_since = Some(now);
        self.enter(next, now);
        Ok(())
    }

    /// Trả lại: an earlier step is done again; `done` is the one before it. The clock goes on.
    pub fn send_back(&mut self, transitions: &Transitions, now: Timestamp, done: Done<'_>) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::SendBack)?;
        self.come_to(done);
        self.step_since = Some(now);
        self.enter(next, now);
        Ok(())
    }

    /// Yêu cầu thực hiện nghĩa vụ tài chính: fees are asked for. The step stays, the clock stands still.
    pub fn request_payment(&mut self, transitions: &Transitions, now: Timestamp) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::RequestPayment)?;
        self.enter(next, now);
        Ok(())
    }

    /// The fees that were asked for are paid. The step stays, the clock goes on.
    pub fn settle_payment(&mut self, transitions: &Transitions, now: Timestamp) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::SettlePayment)?;
        self.enter(next, now);
        Ok(())
    }

    /// Phê duyệt: the results are fixed.
    pub fn approve(
        &mut self,
        transitions: &Transitions,
        now: Timestamp,
        results: Vec<CaseResult>,
    ) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::Approve)?;
        self.results = results;
        self.enter(next, now);
        Ok(())
    }

    /// Phê duyệt of a case that goes into a book: its decision waits there, in state 4.
    pub fn decide(&mut self, transitions: &Transitions, now: Timestamp) -> Result<(), ActRefused> {
        civil_decision::may_decide(self, transitions)?;
        self.come_to(civil_decision::waiting());
        self.step_since = Some(now);
        self.enter(State::Processing, now);
        Ok(())
    }

    /// The decision comes back from the book: the case stands where it stood before it, and is decided again.
    pub fn take_decision_back(&mut self, now: Timestamp, before: Done<'_>) {
        self.come_to(before);
        self.step_since = Some(now);
        self.enter(State::Processing, now);
    }

    /// Dừng xử lý.
    pub fn stop(&mut self, transitions: &Transitions, now: Timestamp) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::Stop)?;
        self.enter(next, now);
        Ok(())
    }

    /// Rút hồ sơ.
    pub fn withdraw(&mut self, transitions: &Transitions, now: Timestamp) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::Withdraw)?;
        self.enter(next, now);
        Ok(())
    }

    /// Trả kết quả. Being overdue never blocks it (facts 1.5).
    pub fn return_result(
        &mut self,
        transitions: &Transitions,
        now: Timestamp,
        channel: Channel,
        recipient_name: String,
    ) -> Result<(), ActRefused> {
        let next = transitions.next(self.state, self.entered_from, Operation::ReturnResult)?;
        self.returned = Some(CaseReturn {
            channel,
            recipient_name,
            time: now,
        });
        self.enter(next, now);
        Ok(())
    }

    /// Chuyển đến đơn vị kế thừa: the responsible unit closed. Not a transition: state, clock and code stay.
    pub fn move_to(&mut self, unit_id: i32) {
        self.responsible_unit_id = unit_id;
        self.version = self.version.saturating_add(1);
    }

    /// Chuyển sang phiên bản quy trình khác while it runs: `done` is what was done last, as the new version calls it. Not a transition: the
    /// state stays.
    pub fn take_version(&mut self, to: &Versioned, done: Done<'_>, deadline: Option<Deadline>, fees: Vec<CaseFee>) {
        self.procedure_version = to.version;
        to.procedure.name.clone_into(&mut self.procedure_name);
        self.come_to(done);
        self.deadline = deadline;
        self.fees = fees;
        self.version = self.version.saturating_add(1);
    }

    /// True while a due date is ahead: accepted, and neither decided nor ended. While it is paused the clock stands still.
    pub fn is_open_with_deadline(&self) -> bool {
        self.accept_time.is_some()
            && matches!(
                self.state,
                State::Accepted | State::Processing | State::SupplementRequested | State::PaymentRequested
            )
    }

    /// Gia hạn, at most once, while the clock runs and before the period has expired. Not a transition: the state stays. The caller
    /// works out `deadline` with the extension.
    pub fn extend(&mut self, now: Timestamp, extension: Extension, deadline: Deadline) -> Result<(), ActRefused> {
        self.may_be_extended(now)?;
        self.extension = Some(extension);
        self.deadline = Some(deadline);
        self.version = self.version.saturating_add(1);
        Ok(())
    }

    /// Whether the period may be extended now: the due date that would be moved.
    pub fn may_be_extended(&self, now: Timestamp) -> Result<&Deadline, ActRefused> {
        let not_running = ActRefused::ClockNotRunning { state: self.state };
        if !self.is_open_with_deadline() || self.is_paused() {
            return Err(not_running);
        }
        let deadline = self.deadline.as_ref().ok_or(not_running)?;
        if self.extension.is_some() {
            return Err(ActRefused::AlreadyExtended);
        }
        if now >= deadline.due_time {
            return Err(ActRefused::Expired { due: deadline.due_time });
        }
        Ok(deadline)
    }

    /// Lịch làm việc thay đổi: the due date is another one by the calendar in force. Nobody's act and no transition.
    pub fn recalculate(&mut self, deadline: Deadline) {
        self.deadline = Some(deadline);
        self.version = self.version.saturating_add(1);
    }

    /// The pauses that have ended: what the due date that is shown rests on.
    pub fn ended_pauses(&self) -> Vec<Pause> {
        self.pauses
            .iter()
            .copied()
            .filter(|pause| pause.end.is_some())
            .collect()
    }

    /// By how many working days the period was extended.
    pub fn extended_by(&self) -> u32 {
        self.extension.as_ref().map_or(0, |extension| extension.working_days)
    }

    /// Đánh giá, once, after the result was returned. Not a transition: the state stays.
    pub fn rate(&mut self, now: Timestamp, score: i16, comment: String) -> Result<(), ActRefused> {
        if self.state != State::Returned {
            return Err(ActRefused::NotReturned { state: self.state });
        }
        if self.rating.is_some() {
            return Err(ActRefused::AlreadyRated);
        }
        self.rating = Some(Rating {
            score,
            comment,
            time: now,
        });
        self.version = self.version.saturating_add(1);
        Ok(())
    }

    /// What was filed, in every round: the code of each component, and whether data replaces the paper.
    pub fn filed(&self) -> Vec<(&str, bool)> {
        self.components.iter().map(FiledComponent::as_filed).collect()
    }

    fn come_to(&mut self, done: Done<'_>) {
        done.step.clone_into(&mut self.step);
        done.outcome.clone_into(&mut self.step_outcome);
    }

    fn supplied_this_round(&self) -> bool {
        self.components
            .iter()
            .any(|component| component.round == self.supplement_rounds)
    }

    /// Enters a state: opens or closes the pause that goes with it, and makes the next version.
    fn enter(&mut self, next: State, now: Timestamp) {
        let from = self.state;
        if from != next {
            if from.pauses_clock()
                && let Some(open) = self.pauses.iter_mut().find(|pause| pause.end.is_none())
            {
                // A clock that was set back must not make a pause that ends before it began.
                open.end = Some(now.max(open.start));
            }
            // Before acceptance no clock runs, so there is nothing to pause.
            if next.pauses_clock() && self.accept_time.is_some() {
                self.pauses.push(Pause {
                    state: next,
                    start: now,
                    end: None,
                });
            }
            if next == State::SupplementRequested {
                self.entered_from = Some(from);
            } else {
                self.entered_from = None;
                self.supplement_items.clear();
            }
        }
        self.state = next;
        self.version = self.version.saturating_add(1);
    }
}
