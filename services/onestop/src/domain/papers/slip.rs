//! Mẫu số 06: the control slip that goes with the case.

use jiff::Timestamp;
use jiff::civil::Date;

use super::wording::{due, moment, short_moment};
use super::{Form, MOST_ACTS, Paper, Source};
use crate::domain::listing::HistoryEntry;
use crate::domain::reception::{Part, part_of};
use crate::domain::statistics::{Measure, punctuality};

/// Who stands on one side of a handover.
#[derive(Clone, Copy)]
enum Side {
    Applicant,
    Counter,
    Agency,
}

impl Side {
    /// The desk in the place of the competent unit.
    const fn at_the_desk(self) -> Self {
        match self {
            Self::Applicant => Self::Applicant,
            Self::Counter | Self::Agency => Self::Counter,
        }
    }
}

/// Between whom an act hands the case over, and what the act is called; acts that hand nothing over stay where they are.
fn handover(entry: &HistoryEntry) -> (Side, Side, &'static str) {
    use Side::{Agency, Applicant, Counter};
    match entry.operation.as_str() {
        "submit" => (Applicant, Counter, "Nộp hồ sơ"),
        "accept" => (Applicant, Counter, "Tiếp nhận hồ sơ"),
        "reject" => (Counter, Applicant, "Từ chối tiếp nhận"),
        "request_supplement" => (Agency, Applicant, "Yêu cầu bổ sung"),
        "supply" => (Applicant, Agency, "Bổ sung hồ sơ"),
        "assign" => (Counter, Agency, "Phân công giải quyết"),
        "approve" => (Agency, Counter, "Phê duyệt, chuyển kết quả"),
        "stop" => (Agency, Applicant, "Dừng giải quyết"),
        "withdraw" => (Applicant, Agency, "Rút hồ sơ"),
        "return_result" => (Counter, Applicant, "Trả kết quả"),
        "rate" => (Applicant, Counter, "Đánh giá"),
        "send_back" => (Agency, Agency, "Trả lại bước trước"),
        "extend_deadline" => (Agency, Agency, "Gia hạn"),
        "move_unit" => (Agency, Agency, "Chuyển đơn vị kế thừa"),
        "import" => (Counter, Agency, "Chuyển từ hệ thống cũ"),
        "request_payment" => (Agency, Applicant, "Yêu cầu thực hiện nghĩa vụ tài chính"),
        "settle_payment" => (Applicant, Agency, "Đã thực hiện nghĩa vụ tài chính"),
        "confirm_components" => (Agency, Agency, "Đối chiếu, số hoá thành phần hồ sơ"),
        "set_component_state" => (Agency, Agency, "Ghi trạng thái thành phần hồ sơ"),
        "reuse_paper" if entry.actor_kind == "citizen" => (Applicant, Agency, "Tái sử dụng giấy tờ trong kho dữ liệu"),
        "reuse_paper" => (Agency, Agency, "Tái sử dụng giấy tờ trong kho dữ liệu"),
        "correct_result" => (Agency, Applicant, "Đính chính kết quả"),
        "revoke_result" => (Agency, Applicant, "Thu hồi kết quả"),
        "recalculate_deadline" => (Agency, Agency, "Tính lại thời hạn"),
        "migrate_version" => (Agency, Agency, "Chuyển phiên bản thủ tục"),
        _ => (Agency, Agency, ""),
    }
}

/// Until a case is taken in it lies at the place of reception: what is done of the reception by then is between that desk and the applicant,
/// also where another unit decides.
fn is_at_the_desk(entry: &HistoryEntry, taken_in: Option<i64>) -> bool {
    let before = taken_in.is_none_or(|version| entry.version < version);
    // What awaits a supplement before that was registered before.
    before
        && entry
            .from_state
            .is_some_and(|state| part_of(&entry.operation, state, None) == Some(Part::Intake))
}

/// Trước hạn, đúng hạn, quá hạn: of the act by which the period ends, against the due date at that time; nothing if no due date is known.
fn result(entry: &HistoryEntry, due: Option<(Date, Timestamp)>) -> &'static str {
    if entry.operation != "approve" || due.is_none() {
        return "";
    }
    match punctuality(due, entry.record_time) {
        Measure::ProcessedEarly => "Trước hạn",
        Measure::ProcessedLate => "Quá hạn",
        _ => "Đúng hạn",
    }
}

/// Mẫu số 06. The history is never changed, so neither is a row that was printed once.
pub(super) fn control_slip(source: &Source<'_>) -> Paper {
    let (case, office) = (source.case, source.office);
    let name = |side: Side| match side {
        Side::Applicant => "Người nộp hồ sơ".to_owned(),
        Side::Counter => office.counter.clone(),
        Side::Agency => office.agency.clone(),
    };
    let accepted = source.history.iter().find(|entry| entry.operation == "accept");
    let taken_in = accepted.map(|entry| entry.version);
    let mut due_then = None;
    let mut rows = Vec::new();
    for (place, entry) in source.history.iter().take(MOST_ACTS).enumerate() {
        let said = |name: &str| entry.details.get(name)?.as_str();
        if let (Some(date), Some(time)) = (said("due_date"), said("due_time"))
            && let (Ok(date), Ok(time)) = (date.parse::<Date>(), time.parse::<Timestamp>())
        {
            due_then = Some((date, time));
        }
        let (mut from, mut to, act) = handover(entry);
        if is_at_the_desk(entry, taken_in) {
            (from, to) = (from.at_the_desk(), to.at_the_desk());
        }
        let step = if entry.step.is_empty() {
            String::new()
        } else {
            source.step_name(&entry.step)
        };
        let what: Vec<&str> = match entry.operation.as_str() {
            "record_step" => vec![act, &step, entry.outcome(), &entry.reason],
            "send_back" => vec![act, &step, &entry.reason],
            _ => vec![act, &entry.reason],
        };
        let what: Vec<&str> = what.into_iter().filter(|text| !text.is_empty()).collect();
        rows.push(vec![
            (place + 1).to_string(),
            format!("1. Giao: {}\n2. Nhận: {}", name(from), name(to)),
            short_moment(entry.record_time),
            String::new(),
            String::new(),
            result(entry, due_then).to_owned(),
            what.join(": "),
        ]);
    }
    let mut paper = Paper::of_case(Form::ControlSlip, source).headed_by_counter(office);
    paper.date = source
        .history
        .last()
        .map(|entry| egov_calendar::vietnam_time(entry.record_time).date().into());
    let paper = paper
        .field("case_code", "Mã hồ sơ", case.case_code.clone())
        .field("applicant_name", "Chủ hồ sơ", case.owner.full_name.clone())
        .field("procedure", "Thủ tục hành chính", case.procedure_name.clone())
        .field(
            "accept_time",
            "Thời gian nhận hồ sơ",
            case.accept_time.map(moment).unwrap_or_default(),
        )
        .field(
            "due_time",
            "Thời gian hẹn trả kết quả",
            case.deadline
                .as_ref()
                .map(|deadline| due(deadline.due_date, deadline.due_time))
                .unwrap_or_default(),
        )
        .field("agency", "Cơ quan (bộ phận) giải quyết hồ sơ", office.agency.clone())
        .field(
            "coordinating",
            "Cơ quan phối hợp giải quyết",
            office.coordinating.join("; "),
        )
        .table(
            "handovers",
            "",
            &[
                ("number", "TT", 6, true),
                ("units", "Tên cơ quan, bộ phận", 38, false),
                ("time", "Thời gian giao, nhận", 17, true),
                ("giver", "Người giao ký", 14, true),
                ("receiver", "Người nhận ký", 14, true),
                ("result", "Kết quả giải quyết", 14, true),
                ("note", "Ghi chú", 32, false),
            ],
            rows,
        );
    if source.history.len() > MOST_ACTS {
        paper.note("Phiếu này chỉ in các lần giao, nhận đầu tiên; toàn bộ quá trình có trong hệ thống.")
    } else {
        paper
    }
}
