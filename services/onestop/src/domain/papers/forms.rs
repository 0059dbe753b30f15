//! Mẫu số 01 đến 05: what an applicant gets.

use jiff::Timestamp;
use jiff::civil::Date;

use super::wording::{day, due, moment, number_of, phone, vnd};
use super::{Form, Paper, PaperRefused, Source};
use crate::domain::charge::{Charge, PaymentState};

impl Paper {
    /// Whose case, and what it asks for.
    fn applicant(self, source: &Source<'_>, label: &str) -> Self {
        let case = source.case;
        let subject = if case.subject.is_empty() {
            format!("{} (mã thủ tục {})", case.procedure_name, case.procedure_code)
        } else {
            format!(
                "{} - {} (mã thủ tục {})",
                case.procedure_name, case.subject, case.procedure_code
            )
        };
        let submitter = case.submitter.as_ref().map_or("", |party| party.full_name.as_str());
        self.field("applicant_name", label, case.owner.full_name.clone())
            .field_if("applicant_number", "Số định danh/mã số", number_of(&case.owner))
            .field_if("submitter_name", "Người nộp hồ sơ", submitter)
            .field("applicant_address", "Địa chỉ", case.owner.address.clone())
            .field("applicant_phone", "Số điện thoại", phone(&case.owner.phone))
            .field_if("applicant_email", "Thư điện tử", &case.owner.email)
            .field("subject", "Nội dung yêu cầu giải quyết", subject)
    }
}

/// The due date that was promised when the case was taken in: as its history says, else as the case has it.
fn promised(source: &Source<'_>) -> Option<(Date, Timestamp)> {
    let said = source.last("accept").and_then(|entry| {
        let text = |name: &str| entry.details.get(name)?.as_str();
        Some((text("due_date")?.parse().ok()?, text("due_time")?.parse().ok()?))
    });
    let deadline = source.case.deadline.as_ref();
    said.or_else(|| deadline.map(|deadline| (deadline.due_date, deadline.due_time)))
}

/// How many supplements had been asked for when the case was taken in.
fn rounds_before_acceptance(source: &Source<'_>) -> i32 {
    let Some(accepted) = source.last("accept") else {
        return source.case.supplement_rounds;
    };
    let before = source
        .history
        .iter()
        .filter(|entry| entry.version < accepted.version && entry.operation == "request_supplement");
    i32::try_from(before.count()).unwrap_or(i32::MAX)
}

/// Mẫu số 01. What it says is what was promised and handed over on the day of reception, whatever came later.
pub(super) fn receipt(source: &Source<'_>) -> Paper {
    let (case, office) = (source.case, source.office);
    let rounds = rounds_before_acceptance(source);
    let accepted = source.last("accept").map(|entry| entry.version);
    let put_later = |place: usize| accepted.is_some_and(|version| case.is_put_after(place, version));
    let filed = case
        .components
        .iter()
        .enumerate()
        .filter(|(place, component)| component.round <= rounds && !put_later(*place))
        .map(|(_, component)| component);
    let rows = filed.enumerate().map(|(place, component)| {
        let shape = if !component.replaced_by_data.is_empty() {
            format!("Thay bằng dữ liệu: {}", component.replaced_by_data)
        } else if component.form_data.is_some() {
            "Mẫu đơn điện tử".to_owned()
        } else if component.file_ids.is_empty() {
            String::new()
        } else {
            format!("Bản điện tử ({} tệp)", component.file_ids.len())
        };
        let count = |number: i32| if number > 0 { number.to_string() } else { String::new() };
        vec![
            (place + 1).to_string(),
            source.component_name(&component.component_code),
            count(component.originals),
            count(component.copies),
            shape,
        ]
    });
    let rows = rows.collect();
    let period = case
        .deadline
        .as_ref()
        .map_or("", |deadline| deadline.period.vi.as_str());
    let due = promised(source).map(|(date, time)| due(date, time)).unwrap_or_default();
    let awaits = case.deadline.as_ref().is_some_and(|deadline| deadline.awaits_notice);
    let paper = Paper::of_case(Form::Receipt, source)
        .headed_by_counter(office)
        .numbered("TNHS")
        .dated(office, case.accept_time)
        .field("case_code", "Mã hồ sơ", case.case_code.clone())
        .field("lookup_secret", "Mã tra cứu", source.lookup_secret.unwrap_or_default())
        .field("counter", "Bộ phận tiếp nhận và trả kết quả", office.counter.clone())
        .field("agency", "Cơ quan giải quyết", office.agency.clone())
        .applicant(source, "Tiếp nhận hồ sơ của")
        .table(
            "components",
            "Thành phần hồ sơ nộp gồm",
            &[
                ("number", "TT", 8, true),
                ("name", "Tên giấy tờ", 62, false),
                ("originals", "Bản chính", 14, true),
                ("copies", "Bản sao", 12, true),
                ("shape", "Hình thức khác", 32, false),
            ],
            rows,
        )
        .field("sets", "Số lượng hồ sơ (bộ)", "")
        .field("period", "Thời gian giải quyết hồ sơ theo quy định", period)
        .field(
            "accept_time",
            "Thời gian nhận hồ sơ",
            case.accept_time.map(moment).unwrap_or_default(),
        )
        .field("due_time", "Thời gian trả kết quả giải quyết hồ sơ", due)
        .field("result_place", "Đăng ký nhận kết quả tại", "")
        .field("book", "Vào Sổ theo dõi hồ sơ, quyển số ........ số thứ tự", "")
        .signed("Người nộp hồ sơ", "")
        .signed("Người tiếp nhận hồ sơ", "");
    if awaits {
        paper.note("Ngày hẹn trả có thể thay đổi theo thông báo chính thức về lịch nghỉ của năm.")
    } else {
        paper
    }
}

/// Mẫu số 02.
pub(super) fn supplement(source: &Source<'_>) -> Paper {
    let (case, office) = (source.case, source.office);
    let asked = source.last("request_supplement");
    let stage = asked
        .and_then(|entry| entry.details.get("stage")?.as_str())
        .unwrap_or_default();
    let rows = case.supplement_items.iter().enumerate().map(|(place, item)| {
        let name = if item.component_code.is_empty() {
            "Nội dung yêu cầu".to_owned()
        } else {
            source.component_name(&item.component_code)
        };
        vec![(place + 1).to_string(), name, item.instruction.clone()]
    });
    let rows = rows.collect();
    let contact = format!(
        "Trong quá trình hoàn thiện hồ sơ, nếu có vướng mắc, ông (bà) liên hệ với {} để được hướng dẫn.",
        office.counter
    );
    Paper::of_case(Form::Supplement, source)
        .headed_by_counter(office)
        .numbered("HDHS")
        .dated(office, asked.map(|entry| entry.record_time))
        .field("case_code", "Mã hồ sơ", case.case_code.clone())
        .applicant(source, "Hồ sơ của")
        .field("round", "Lần yêu cầu", case.supplement_rounds.to_string())
        .field_if("stage", "Giai đoạn giải quyết", stage)
        .table(
            "items",
            "Yêu cầu hoàn thiện hồ sơ gồm những nội dung sau",
            &[
                ("number", "TT", 8, true),
                ("name", "Giấy tờ, nội dung", 44, false),
                ("instruction", "Yêu cầu bổ sung, hoàn thiện", 72, false),
            ],
            rows,
        )
        .field("reason", "Lý do", asked.map_or("", |entry| entry.reason.as_str()))
        .field(
            "legal_basis",
            "Căn cứ",
            asked.map_or("", |entry| entry.legal_basis.as_str()),
        )
        .text(contact)
        .field("contact_phone", "Số điện thoại liên hệ", "")
        .signed("Người nộp hồ sơ", "")
        .signed("Người hướng dẫn", "")
}

/// Mẫu số 03.
pub(super) fn refusal(source: &Source<'_>) -> Paper {
    let (case, office) = (source.case, source.office);
    let refused = source.last("reject");
    Paper::of_case(Form::Refusal, source)
        .headed_by_counter(office)
        .numbered("")
        .dated(office, refused.map(|entry| entry.record_time))
        .field("case_code", "Mã hồ sơ", case.case_code.clone())
        .field("counter", "Bộ phận tiếp nhận và trả kết quả", office.counter.clone())
        .applicant(source, "Tiếp nhận hồ sơ của")
        .text(format!(
            "Qua xem xét, {} thông báo không tiếp nhận, giải quyết hồ sơ này với lý do cụ thể như sau:",
            office.counter
        ))
        .field("reason", "Lý do", refused.map_or("", |entry| entry.reason.as_str()))
        .field(
            "legal_basis",
            "Căn cứ",
            refused.map_or("", |entry| entry.legal_basis.as_str()),
        )
        .text("Xin thông báo cho ông (bà) được biết và thực hiện.")
        .signed("Người nộp hồ sơ", "")
        .signed("Người tiếp nhận hồ sơ", "")
}

/// Mẫu số 04. The name of the agency is the one that it bore on the day of the apology.
pub(super) fn apology(source: &Source<'_>) -> Result<Paper, PaperRefused> {
    let (case, office) = (source.case, source.office);
    let Some(extension) = &case.extension else {
        return Err(PaperRefused::NotOfThisCase {
            form: Form::Apology,
            state: case.state,
        });
    };
    let agency = if extension.agency_name.is_empty() {
        &office.agency
    } else {
        &extension.agency_name
    };
    let old_day = egov_calendar::vietnam_time(extension.old_due_time);
    // The end of a day is the first instant of the next one.
    let old_day = match old_day.date().yesterday() {
        Ok(before) if super::super::case::end_of_day(before) == Some(extension.old_due_time) => before,
        _ => old_day.date(),
    };
    let mut paper = Paper::of_case(Form::Apology, source)
        .headed_by_agency(office)
        .numbered("")
        .dated(office, Some(extension.time));
    paper.agency.clone_from(agency);
    Ok(paper
        .text(format!("Kính gửi: {}", case.owner.full_name))
        .field("case_code", "Mã hồ sơ", case.case_code.clone())
        .field("procedure", "Thủ tục hành chính", case.procedure_name.clone())
        .field(
            "accept_time",
            "Thời gian nhận hồ sơ",
            case.accept_time.map(moment).unwrap_or_default(),
        )
        .field("old_due_time", "Thời gian hẹn trả kết quả", due(old_day, extension.old_due_time))
        .text(format!(
            "Đến nay, {agency} chưa trả kết quả giải quyết hồ sơ của ông (bà) theo thời gian đã hẹn. {agency} xin lỗi ông (bà) về sự chậm \
             trễ này và đề nghị gia hạn thời gian giải quyết."
        ))
        .field("reason", "Lý do", extension.reason.clone())
        .field("legal_basis", "Căn cứ", extension.legal_basis.clone())
        .field("working_days", "Số ngày làm việc gia hạn", extension.working_days.to_string())
        .field("new_due_date", "Thời gian trả kết quả mới", day(extension.new_due_date))
        .text("Rất mong nhận được sự thông cảm của ông (bà).")
        .signed("", "")
        .signed(&extension.signer_title, &extension.signer_name))
}

/// What a case was assessed, with what was exempted since.
fn assessed(charge: &Charge) -> String {
    let each = charge.fees.iter().map(|fee| {
        let due = fee
            .due_vnd()
            .map_or_else(|| "mức thu chưa được xác định".to_owned(), vnd);
        match &fee.exemption {
            Some(exemption) => format!("{}: {due} (miễn, giảm theo {})", fee.name, exemption.legal_basis),
            None if fee.quantity > 1 => format!("{}: {due} (số lượng {})", fee.name, fee.quantity),
            None => format!("{}: {due}", fee.name),
        }
    });
    let each: Vec<String> = each.collect();
    if each.is_empty() {
        "Không có".to_owned()
    } else {
        each.join("; ")
    }
}

/// What became of what was paid, as far as it was decided. Whether it is given back is a decision of its own.
fn what_was_paid(charge: &Charge) -> String {
    let sum = |wanted: fn(PaymentState) -> bool| {
        let of = charge.payments.iter().filter(|payment| wanted(payment.state));
        of.fold(0_i64, |sum, payment| sum.saturating_add(payment.amount_vnd))
    };
    let said: Vec<String> = [
        (sum(PaymentState::is_held), "đã nộp, chưa có quyết định hoàn"),
        (
            sum(|state| state == PaymentState::RefundOrdered),
            "đã quyết định hoàn, đang hoàn",
        ),
        (sum(|state| state == PaymentState::Refunded), "đã hoàn"),
    ]
    .into_iter()
    .filter(|(amount, _)| *amount > 0)
    .map(|(amount, what)| format!("{}: {what}", vnd(amount)))
    .collect();
    if said.is_empty() {
        "Chưa nộp khoản nào".to_owned()
    } else {
        said.join("; ")
    }
}

/// Mẫu số 05. Of the money it says how the charge stands; where that is not the reader's to see, both lines are written by hand.
pub(super) fn stop(source: &Source<'_>) -> Paper {
    let (case, office) = (source.case, source.office);
    let stopped = source.last("stop");
    let stage = stopped.map_or_else(String::new, |entry| {
        if entry.step.is_empty() {
            entry
                .from_state
                .map(|state| source.state_name(state))
                .unwrap_or_default()
        } else {
            source.step_name(&entry.step)
        }
    });
    Paper::of_case(Form::Stop, source)
        .headed_by_agency(office)
        .numbered("")
        .dated(office, stopped.map(|entry| entry.record_time))
        .text(format!("Kính gửi: {}", case.owner.full_name))
        .field("case_code", "Mã hồ sơ", case.case_code.clone())
        .applicant(source, "Hồ sơ của")
        .field(
            "accept_time",
            "Thời gian nhận hồ sơ",
            case.accept_time.map(moment).unwrap_or_default(),
        )
        .field("stage", "Giai đoạn giải quyết khi dừng", stage)
        .field(
            "reason",
            "Lý do dừng",
            stopped.map_or("", |entry| entry.reason.as_str()),
        )
        .field(
            "legal_basis",
            "Căn cứ",
            stopped.map_or("", |entry| entry.legal_basis.as_str()),
        )
        .field(
            "decision",
            "Quyết định",
            stopped.map_or_else(String::new, |entry| {
                format!(
                    "{} dừng giải quyết hồ sơ từ {}",
                    office.agency,
                    moment(entry.record_time)
                )
            }),
        )
        .field(
            "fees",
            "Phí, lệ phí của hồ sơ",
            source.charge.map(assessed).unwrap_or_default(),
        )
        .field(
            "financial_consequence",
            "Xử lý phí, lệ phí đã nộp",
            source.charge.map(what_was_paid).unwrap_or_default(),
        )
        .signed("", "")
        .signed("Thủ trưởng cơ quan", "")
}
