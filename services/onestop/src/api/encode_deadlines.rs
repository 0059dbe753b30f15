//! From the domain to the contract: what is told of due dates.

use egov_calendar::{Amount, Language, vietnam_time, written_time};
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::types::v1::LocalizedText;
use egov_proto::timestamp;

use super::encode::{basis, deadline, state, text};
use crate::domain::case::{Case, Pause};
use crate::domain::extension::Extension;
use crate::domain::forecast::{DueNext, Forecast};
use crate::domain::listing::{DeadlineChanged, ForecastGroup};
use crate::domain::reception_deadlines::{Duty, ReceptionDeadline};
use crate::operations::explain_deadline::Explained;
use crate::operations::preview_calendar::WouldMove;
use jiff::Timestamp;

/// The form that TT 03/2025/TT-VPCP sets for an apology.
const FORM: (&str, &str, &str) = (
    "04",
    "Văn bản xin lỗi và đề nghị gia hạn thời gian",
    "TT 03/2025/TT-VPCP, Phụ lục I",
);

pub(super) fn extension(extension: &Extension) -> proto::DeadlineExtension {
    proto::DeadlineExtension {
        old_due_time: Some(timestamp(extension.old_due_time)),
        new_due_date: Some(extension.new_due_date.into()),
        working_days: i32::try_from(extension.working_days).unwrap_or(i32::MAX),
        reason: extension.reason.clone(),
        legal_basis: extension.legal_basis.clone(),
        signer_name: extension.signer_name.clone(),
        signer_title: extension.signer_title.clone(),
        extend_time: Some(timestamp(extension.time)),
        after_latest: extension.after_latest,
    }
}

/// Văn bản xin lỗi của hồ sơ; none if it was not extended.
pub(super) fn apology(case: &Case, receiving_unit_name: String) -> Option<proto::ApologyForm> {
    let extension = case.extension.as_ref()?;
    let (code, name, basis) = FORM;
    Some(proto::ApologyForm {
        form_code: code.to_owned(),
        form_name: name.to_owned(),
        form_basis: basis.to_owned(),
        agency_name: extension.agency_name.clone(),
        receiving_unit_name,
        issue_date: Some(vietnam_time(extension.time).date().into()),
        applicant_name: case.owner.full_name.clone(),
        applicant_address: case.owner.address.clone(),
        case_code: case.case_code.clone(),
        code_provisional: case.code_provisional,
        procedure_name: case.procedure_name.clone(),
        accept_time: case.accept_time.map(timestamp),
        old_due_time: Some(timestamp(extension.old_due_time)),
        new_due_date: Some(extension.new_due_date.into()),
        reason: extension.reason.clone(),
        legal_basis: extension.legal_basis.clone(),
        signer_name: extension.signer_name.clone(),
        signer_title: extension.signer_title.clone(),
    })
}

fn amount(amount: Amount) -> proto::PeriodAmount {
    let (days, minutes) = match amount {
        Amount::Days(days) => (i32::try_from(days).unwrap_or(i32::MAX), 0),
        Amount::Time(time) => (0, time.as_mins()),
    };
    proto::PeriodAmount {
        days,
        minutes,
        text: Some(LocalizedText {
            vi: amount.text(Language::Vietnamese),
            en: amount.text(Language::English),
        }),
    }
}

fn line(vi: String, en: String) -> LocalizedText {
    LocalizedText { vi, en }
}

fn written(at: Timestamp) -> String {
    written_time(vietnam_time(at))
}

/// What stopped the clock, in words.
fn pause_line(pause: &Pause) -> LocalizedText {
    let (vi, en) = if pause.state.code() == 5 {
        (
            "chờ bổ sung giấy tờ (trạng thái 5)",
            "a supplement was awaited (state 5)",
        )
    } else {
        (
            "chờ thực hiện nghĩa vụ tài chính (trạng thái 6)",
            "a payment was awaited (state 6)",
        )
    };
    let from = written(pause.start);
    match pause.end.map(written) {
        Some(to) => line(
            format!("Tạm dừng từ {from} đến {to}: {vi}"),
            format!("The clock stood still from {from} to {to}: {en}"),
        ),
        None => line(
            format!("Tạm dừng từ {from}: {vi}; chưa có hạn trả cho đến khi tính tiếp"),
            format!("The clock has stood still since {from}: {en}; there is no due date until it goes on"),
        ),
    }
}

/// The arithmetic in sentences: reception, pauses, each day, the extension, the end.
fn lines(case: &Case) -> Vec<LocalizedText> {
    let (Some(kept), Some(accepted)) = (&case.deadline, case.accept_time) else {
        return Vec::new();
    };
    let at = written(accepted);
    let mut lines = vec![line(
        format!(
            "Tiếp nhận lúc {at}; thời hạn {} (căn cứ: {})",
            kept.period.vi, kept.basis.basis
        ),
        format!(
            "Received at {at}; the period is {} (basis: {})",
            kept.period.en, kept.basis.basis
        ),
    )];
    lines.extend(case.pauses.iter().map(pause_line));
    lines.extend(kept.days.iter().map(|note| text(&note.text)));
    if let Some(extension) = &case.extension {
        let (old, new) = (
            written(extension.old_due_time),
            egov_calendar::written_date(extension.new_due_date),
        );
        lines.push(line(
            format!("Gia hạn một lần, từ {old} đến {new}: {}", extension.reason),
            format!("Extended once, from {old} to {new}: {}", extension.reason),
        ));
    }
    let due = written(kept.due_time);
    lines.push(line(format!("Hạn trả kết quả: {due}"), format!("Due: {due}")));
    if kept.awaits_notice {
        lines.push(line(
            "Có ngày thuộc năm chưa có thông báo nghỉ chính thức; hạn có thể thay đổi theo thông báo".to_owned(),
            "Some of these days await the official notice of their year, which may move the date".to_owned(),
        ));
    }
    lines
}

pub(super) fn explained(explained: &Explained, receiving_unit_name: String) -> proto::ExplainDeadlineResponse {
    let Explained {
        case,
        progress,
        changes,
        notices,
        forecast: foreseen,
        late_working_days,
        reception: of_reception,
    } = explained;
    let paused = case.is_paused() && case.accept_time.is_some();
    proto::ExplainDeadlineResponse {
        case_code: case.case_code.clone(),
        deadline: case.deadline.as_ref().map(deadline),
        lines: lines(case),
        period: progress.as_ref().map(|(period, _)| amount(period.amount())),
        used: progress.as_ref().map(|(_, progress)| amount(progress.used)),
        remaining: progress.as_ref().map(|(_, progress)| amount(progress.remaining)),
        paused,
        paused_since: case
            .pauses
            .iter()
            .find(|pause| pause.end.is_none())
            .map(|pause| timestamp(pause.start)),
        pauses: case
            .pauses
            .iter()
            .map(|pause| proto::Pause {
                state: state(pause.state),
                start_time: Some(timestamp(pause.start)),
                end_time: pause.end.map(timestamp),
            })
            .collect(),
        late_working_days: i32::try_from(late_working_days.unwrap_or_default()).unwrap_or(i32::MAX),
        overdue: late_working_days.is_some(),
        extension: case.extension.as_ref().map(extension),
        apology: apology(case, receiving_unit_name),
        changes: changes.iter().map(change).collect(),
        notices: notices
            .iter()
            .map(|notice| proto::DeadlineNotice {
                kind: notice.kind.as_str().to_owned(),
                due_time: Some(timestamp(notice.due_time)),
                notice_time: Some(timestamp(notice.notice_time)),
            })
            .collect(),
        forecast: foreseen.as_ref().map(forecast),
        reception: of_reception
            .iter()
            .map(|owed| proto::ReceptionDeadline {
                lines: reception_lines(owed),
                ..reception(owed)
            })
            .collect(),
    }
}

/// A deadline of the reception, without its sentences.
pub(super) fn reception(owed: &ReceptionDeadline) -> proto::ReceptionDeadline {
    let duty = match owed.duty {
        Duty::Answer => proto::ReceptionDuty::Answer,
        Duty::Transfer => proto::ReceptionDuty::Transfer,
    };
    proto::ReceptionDeadline {
        duty: duty.into(),
        from_time: Some(timestamp(owed.from)),
        due_time: Some(timestamp(owed.due)),
        done_time: owed.done.map(timestamp),
        late: owed.late,
        legal_basis: owed.legal_basis.clone(),
        basis: Some(basis(&owed.basis)),
        lines: Vec::new(),
    }
}

/// A deadline of the reception in sentences: from when, each day, until when, and what became of it.
fn reception_lines(owed: &ReceptionDeadline) -> Vec<LocalizedText> {
    let (from, due) = (written(owed.from), written(owed.due));
    let unsettled = owed.basis.status == "unconfirmed";
    let (vi_status, en_status) = if unsettled {
        ("; chưa được xác nhận", "; not confirmed")
    } else {
        ("", "")
    };
    let law = &owed.legal_basis;
    let (vi, en) = match owed.duty {
        Duty::Answer => (
            format!(
                "Trả lời hồ sơ nộp trực tuyến (tiếp nhận, yêu cầu bổ sung hoặc từ chối), tính từ {from} ({law}{vi_status})"
            ),
            format!(
                "Answer to an online filing (taken in, to be completed, or refused), from {from} ({law}{en_status})"
            ),
        ),
        Duty::Transfer => (
            format!("Chuyển hồ sơ đến cơ quan, bộ phận giải quyết, tính từ {from} ({law}{vi_status})"),
            format!("Handing the case on to who handles it, from {from} ({law}{en_status})"),
        ),
    };
    let mut lines = vec![line(vi, en)];
    lines.extend(owed.days.iter().map(text));
    lines.push(line(format!("Chậm nhất: {due}"), format!("At the latest: {due}")));
    let done = owed.done.map(written);
    lines.push(match (done, owed.late) {
        (Some(done), false) => line(
            format!("Đã làm lúc {done}, đúng hạn"),
            format!("Done at {done}, in time"),
        ),
        (Some(done), true) => line(format!("Đã làm lúc {done}, quá hạn"), format!("Done at {done}, late")),
        (None, false) => line("Chưa làm, còn trong hạn".to_owned(), "Not done yet, in time".to_owned()),
        (None, true) => line("Chưa làm, đã quá hạn".to_owned(), "Not done yet, late".to_owned()),
    });
    lines
}

fn forecast(forecast: &Forecast) -> proto::DeadlineForecast {
    proto::DeadlineForecast {
        steps: forecast
            .steps
            .iter()
            .map(|step| proto::StepForecast {
                step: step.code.clone(),
                name: step.name.clone(),
                role: step.role.clone(),
                period: step.period.as_ref().map(text),
                done: step.done,
                current: step.current,
                expected_end_time: step.expected_end.map(timestamp),
                latest_end_time: step.latest_end.map(timestamp),
                late: step.expected_end > step.latest_end,
            })
            .collect(),
        expected_end_time: Some(timestamp(forecast.expected_end)),
        late: forecast.late,
        late_working_days: i32::try_from(forecast.late_working_days).unwrap_or(i32::MAX),
        complete: forecast.complete,
    }
}

pub(super) fn change(change: &DeadlineChanged) -> proto::DeadlineChange {
    proto::DeadlineChange {
        case_id: change.case_id.to_string(),
        case_code: change.case_code.clone(),
        version: change.version,
        cause: i32::from(change.cause),
        old_due_time: Some(timestamp(change.old_due_time)),
        new_due_time: Some(timestamp(change.new_due_time)),
        old_calendar_version: change.old_calendar.clone(),
        new_calendar_version: change.new_calendar.clone(),
        change_time: Some(timestamp(change.change_time)),
        responsible_unit_id: change.responsible_unit_id,
    }
}

pub(super) fn at_risk(row: DueNext, foreseen: Option<Forecast>, now: Timestamp) -> proto::CaseAtRisk {
    proto::CaseAtRisk {
        case_id: row.case_id.to_string(),
        overdue: now > row.due_time,
        case_code: row.case_code,
        procedure_code: row.procedure_code,
        state: state(row.state),
        step: row.current_step,
        recorded_step: row.recorded_step,
        responsible_unit_id: row.responsible_unit_id,
        assignee_id: row.assignee_id.map(|id| id.to_string()).unwrap_or_default(),
        due_time: Some(timestamp(row.due_time)),
        expected_end_time: foreseen.as_ref().map(|foreseen| timestamp(foreseen.expected_end)),
        late_working_days: foreseen.map_or(0, |foreseen| {
            i32::try_from(foreseen.late_working_days).unwrap_or(i32::MAX)
        }),
        latest_step_end_time: Some(timestamp(row.latest_step_end)),
    }
}

pub(super) fn group(group: ForecastGroup, unit_name: String) -> proto::ForecastGroup {
    proto::ForecastGroup {
        responsible_unit_id: group.responsible_unit_id,
        unit_name,
        procedure_code: group.procedure_code,
        step: group.step,
        open: group.open,
        paused: group.paused,
        at_risk: group.at_risk,
        overdue: group.overdue,
        next_due_time: group.next_due.map(timestamp),
    }
}

pub(super) fn would_move(change: &WouldMove) -> proto::PreviewedChange {
    proto::PreviewedChange {
        case_id: change.case.case_id.to_string(),
        case_code: change.case.case_code.clone(),
        procedure_code: change.case.procedure_code.clone(),
        responsible_unit_id: change.case.responsible_unit_id,
        old_due_time: Some(timestamp(change.old)),
        new_due_time: change.new.map(timestamp),
    }
}
