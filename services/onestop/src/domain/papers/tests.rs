//! Each form of a case that went that way, as it is printed; and which form belongs to which case.
//!
//! The papers of these cases are the samples that the press is tested with: `crates/papers/samples`. EGOV_WRITE_PAPERS=1 writes them anew.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::date;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::domain::case::{Basis, CaseFee, Deadline, FiledComponent, SupplementItem, Text, end_of_day};
use crate::domain::charge::{Exemption, Payment, PaymentState, Way};
use crate::domain::components::{ComponentCheck, ComponentState};
use crate::domain::extension::Extension;
use crate::domain::pack::{Channel, Procedure};
use crate::domain::party::{Party, PartyKind};

fn instant(text: &str) -> Timestamp {
    format!("{text}:00+07:00").parse().unwrap()
}

fn birth() -> Procedure {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/procedures/1.001193.toml");
    Procedure::from_toml(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn transitions() -> Transitions {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/transitions/national-2026.toml");
    Transitions::from_toml(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn office() -> Office {
    Office {
        parent: "Tỉnh Nghệ An".to_owned(),
        agency: "Phường Trường Vinh".to_owned(),
        counter: "Trung tâm Phục vụ hành chính công".to_owned(),
        counter_code: "TTPVHCC.16690".to_owned(),
        place: "Trường Vinh".to_owned(),
        coordinating: vec!["Công an phường Trường Vinh".to_owned()],
    }
}

fn component(code: &str) -> FiledComponent {
    FiledComponent {
        round: 0,
        component_code: code.to_owned(),
        originals: 0,
        copies: 0,
        replaced_by_data: String::new(),
        file_ids: Vec::new(),
        form_data: None,
    }
}

/// A registration of a birth that was taken in and is due the next working day.
fn accepted() -> Case {
    let due_date = date(2026, 11, 25);
    Case {
        case_id: Uuid::from_u128(7),
        case_code: "H41.201-261123-0001".to_owned(),
        code_provisional: true,
        procedure_code: "1.001193".to_owned(),
        procedure_version: 1,
        procedure_name: "Đăng ký khai sinh".to_owned(),
        state: State::Processing,
        entered_from: None,
        step: String::new(),
        step_outcome: String::new(),
        channel: Channel::Counter,
        responsible_unit_id: 2,
        receiving_unit_id: 4,
        support_unit_id: None,
        owner_id: None,
        assignee_id: None,
        owner: Party {
            kind: PartyKind::Citizen,
            full_name: "Nguyễn Thị Hường".to_owned(),
            personal_number: "040190000123".to_owned(),
            organisation_number: String::new(),
            phone: "84912345678".to_owned(),
            email: "huong@example.vn".to_owned(),
            address: "Số 1, đường Lê Mao, phường Trường Vinh, tỉnh Nghệ An".to_owned(),
            date_of_birth: None,
        },
        submitter: Some(Party {
            kind: PartyKind::Citizen,
            full_name: "Trần Văn Hùng".to_owned(),
            personal_number: String::new(),
            organisation_number: String::new(),
            phone: String::new(),
            email: String::new(),
            address: String::new(),
            date_of_birth: None,
        }),
        subject: "Khai sinh cho con Trần Gia Bảo".to_owned(),
        conditions: Vec::new(),
        checks: Vec::new(),
        submit_time: instant("2026-11-23T08:10"),
        accept_time: Some(instant("2026-11-23T08:30")),
        deadline: Some(Deadline {
            due_date,
            due_time: end_of_day(due_date).unwrap(),
            period: Text {
                vi: "1 ngày làm việc".to_owned(),
                en: "1 working day".to_owned(),
            },
            basis: Basis::default(),
            days: Vec::new(),
            calendar: "2026".to_owned(),
            awaits_notice: false,
        }),
        fees: vec![CaseFee {
            name: "Lệ phí đăng ký khai sinh không đúng hạn".to_owned(),
            kind: "le_phi".to_owned(),
            amount_vnd: Some(8000),
            basis: Basis::default(),
        }],
        supplement_items: Vec::new(),
        supplement_rounds: 0,
        lookup_secret: Vec::new(),
        version: 4,
        components: vec![
            FiledComponent {
                form_data: Some("{}".to_owned()),
                ..component("mau_dien_tu")
            },
            FiledComponent {
                originals: 1,
                copies: 2,
                ..component("giay_chung_sinh")
            },
            FiledComponent {
                replaced_by_data: "CSDL quốc gia về dân cư".to_owned(),
                ..component("giay_to_tuy_than")
            },
            FiledComponent {
                file_ids: vec![Uuid::from_u128(1), Uuid::from_u128(2)],
                ..component("giay_cam_doan")
            },
        ],
        pauses: Vec::new(),
        results: Vec::new(),
        returned: None,
        rating: None,
        extension: None,
        step_since: None,
    }
}

fn entry(version: i64, operation: &str, from: Option<State>, to: State, at: &str) -> HistoryEntry {
    HistoryEntry {
        version,
        operation: operation.to_owned(),
        from_state: from,
        to_state: to,
        step: String::new(),
        actor_id: Uuid::from_u128(9),
        actor_kind: "staff".to_owned(),
        on_behalf_of: None,
        reason: String::new(),
        legal_basis: String::new(),
        details: json!({}),
        record_time: instant(at),
    }
}

/// Filed, taken in, given to an official.
fn history() -> Vec<HistoryEntry> {
    let due = end_of_day(date(2026, 11, 25)).unwrap();
    vec![
        entry(1, "submit", None, State::Registered, "2026-11-23T08:10"),
        HistoryEntry {
            details: json!({"due_date": "2026-11-25", "due_time": due.to_string()}),
            ..entry(
                2,
                "accept",
                Some(State::Registered),
                State::Accepted,
                "2026-11-23T08:30",
            )
        },
        entry(
            3,
            "assign",
            Some(State::Accepted),
            State::Processing,
            "2026-11-23T09:05",
        ),
        HistoryEntry {
            step: "tham_tra".to_owned(),
            ..entry(
                4,
                "record_step",
                Some(State::Processing),
                State::Processing,
                "2026-11-23T14:20",
            )
        },
    ]
}

fn with(mut history: Vec<HistoryEntry>, more: HistoryEntry) -> Vec<HistoryEntry> {
    history.push(more);
    history
}

/// A case that has each form of a case, with its history.
fn sample(form: Form) -> (Case, Vec<HistoryEntry>) {
    let case = accepted();
    match form {
        Form::Receipt | Form::TrackingBook => (case, history()),
        Form::Supplement => (
            Case {
                state: State::SupplementRequested,
                supplement_rounds: 1,
                supplement_items: vec![
                    SupplementItem {
                        component_code: "giay_chung_sinh".to_owned(),
                        instruction: "Nộp bản chính giấy chứng sinh do cơ sở y tế nơi trẻ sinh ra cấp; bản đã nộp bị mờ phần họ tên người mẹ."
                            .to_owned(),
                    },
                    SupplementItem {
                        component_code: String::new(),
                        instruction: "Ghi đầy đủ nơi sinh đến cấp xã.".to_owned(),
                    },
                ],
                ..case
            },
            with(
                history(),
                HistoryEntry {
                    reason: "Giấy chứng sinh không đọc được, tờ khai thiếu nơi sinh.".to_owned(),
                    legal_basis: "NĐ 123/2015/NĐ-CP, Điều 9".to_owned(),
                    details: json!({"round": 1, "items": 2, "stage": ""}),
                    ..entry(
                        5,
                        "request_supplement",
                        Some(State::Processing),
                        State::SupplementRequested,
                        "2026-11-24T10:15",
                    )
                },
            ),
        ),
        Form::Refusal => (
            Case {
                state: State::Rejected,
                accept_time: None,
                deadline: None,
                ..case
            },
            vec![
                entry(1, "submit", None, State::Registered, "2026-11-23T08:10"),
                HistoryEntry {
                    reason: "Việc khai sinh của trẻ đã được đăng ký tại Ủy ban nhân dân phường Thành Vinh.".to_owned(),
                    legal_basis: "Luật Hộ tịch 2014, Điều 5 khoản 5".to_owned(),
                    ..entry(2, "reject", Some(State::Registered), State::Rejected, "2026-11-23T09:00")
                },
            ],
        ),
        Form::Apology => (
            Case {
                extension: Some(Extension {
                    old_due_time: end_of_day(date(2026, 11, 25)).unwrap(),
                    new_due_date: date(2026, 11, 27),
                    working_days: 2,
                    reason: "Phải xác minh thông tin với cơ sở y tế nơi trẻ sinh ra.".to_owned(),
                    legal_basis: "NĐ 123/2015/NĐ-CP, Điều 8".to_owned(),
                    signer_name: "Phan Đức Thắng".to_owned(),
                    signer_title: "Chủ tịch Ủy ban nhân dân phường".to_owned(),
                    agency_name: "Phường Trường Vinh".to_owned(),
                    after_latest: false,
                    time: instant("2026-11-24T16:00"),
                }),
                ..case
            },
            history(),
        ),
        Form::Stop => (
            Case {
                state: State::Stopped,
                step: "tham_tra".to_owned(),
                ..case
            },
            with(
                history(),
                HistoryEntry {
                    step: "tham_tra".to_owned(),
                    reason: "Người yêu cầu không cung cấp được giấy tờ chứng minh quan hệ mẹ con trong thời hạn.".to_owned(),
                    legal_basis: "NĐ 123/2015/NĐ-CP, Điều 15".to_owned(),
                    ..entry(5, "stop", Some(State::Processing), State::Stopped, "2026-11-25T11:00")
                },
            ),
        ),
        Form::ControlSlip => (
            Case {
                state: State::Returned,
                ..case
            },
            [
                history(),
                vec![
                    entry(5, "approve", Some(State::Processing), State::Completed, "2026-11-24T15:40"),
                    entry(6, "return_result", Some(State::Completed), State::Returned, "2026-11-25T08:05"),
                ],
            ]
            .concat(),
        ),
    }
}

fn made(form: Form, secret: Option<&str>) -> Paper {
    let (case, history) = sample(form);
    let (procedure, transitions, office) = (birth(), transitions(), office());
    let charge = Charge::assess(&case, &[]);
    paper(
        form,
        &Source {
            case: &case,
            procedure: &procedure,
            transitions: Some(&transitions),
            history: &history,
            office: &office,
            lookup_secret: secret,
            charge: Some(&charge),
        },
    )
    .unwrap()
}

fn book() -> Paper {
    let row = |number: u128, owner: &str, returned: bool| BookRow {
        case_id: Uuid::from_u128(number),
        case_code: format!("H41.201-261123-{number:04}"),
        procedure_name: "Đăng ký khai sinh".to_owned(),
        owner_name: owner.to_owned(),
        owner_id: None,
        address: "Số 1, đường Lê Mao".to_owned(),
        phone: "84912345678".to_owned(),
        responsible_unit_id: 2,
        agency: "Phường Trường Vinh".to_owned(),
        accept_time: instant("2026-11-23T08:30"),
        due_date: Some(date(2026, 11, 25)),
        sent_time: Some(instant("2026-11-23T09:05")),
        result_time: returned.then(|| instant("2026-11-24T15:40")),
        return_time: returned.then(|| instant("2026-11-25T08:05")),
        return_channel: returned.then_some(Channel::Counter),
        recipient: String::new(),
    };
    let rows = [
        row(1, "Nguyễn Thị Hường", true),
        row(
            2,
            "Công ty trách nhiệm hữu hạn Một thành viên Thương mại và Dịch vụ Hoàng Mai",
            false,
        ),
        row(3, "Lô Văn Thoong", true),
    ];
    let span = BookSpan::new(date(2026, 11, 23), date(2026, 11, 30)).unwrap();
    tracking_book(&office(), span, 1, &rows)
}

fn all() -> Vec<(&'static str, Paper)> {
    Form::ALL
        .into_iter()
        .map(|form| match form {
            Form::TrackingBook => (form.file_stem(), book()),
            Form::Receipt => (form.file_stem(), made(form, Some("K7QM2XPD"))),
            _ => (form.file_stem(), made(form, None)),
        })
        .collect()
}

fn value<'a>(paper: &'a Paper, wanted: &str) -> Option<&'a str> {
    paper.blocks.iter().find_map(|block| match block {
        Block::Field { code, value, .. } if code == wanted => Some(value.as_str()),
        _ => None,
    })
}

fn rows<'a>(paper: &'a Paper, wanted: &str) -> &'a [Vec<String>] {
    let found = paper.blocks.iter().find_map(|block| match block {
        Block::Table { code, rows, .. } if code == wanted => Some(rows.as_slice()),
        _ => None,
    });
    found.unwrap_or_default()
}

#[test]
fn each_form_is_what_its_sample_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/papers/samples");
    for (name, paper) in all() {
        let path = folder.join(format!("{name}.json"));
        let said = serde_json::to_string_pretty(&paper).unwrap() + "\n";
        if std::env::var_os("EGOV_WRITE_PAPERS").is_some() {
            std::fs::write(&path, &said).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(said, kept, "{name}: EGOV_WRITE_PAPERS=1 writes the samples anew");
    }
}

#[test]
fn a_receipt_says_what_was_promised_whatever_came_later() {
    let now = made(Form::Receipt, Some("K7QM2XPD"));
    let (mut case, mut history) = sample(Form::Receipt);
    // A supplement and an extension move the due date, and more comes in.
    history.push(entry(
        5,
        "request_supplement",
        Some(State::Processing),
        State::SupplementRequested,
        "2026-11-24T10:15",
    ));
    case.supplement_rounds = 1;
    case.components.push(FiledComponent {
        round: 1,
        copies: 1,
        ..component("giay_chung_sinh")
    });
    let later = date(2026, 12, 4);
    let deadline = case.deadline.as_mut().unwrap();
    (deadline.due_date, deadline.due_time) = (later, end_of_day(later).unwrap());
    let (procedure, transitions, office) = (birth(), transitions(), office());
    let source = Source {
        case: &case,
        procedure: &procedure,
        transitions: Some(&transitions),
        history: &history,
        office: &office,
        lookup_secret: Some("K7QM2XPD"),
        charge: None,
    };
    assert!(paper(Form::Receipt, &source).unwrap() == now);
    assert_eq!(value(&now, "due_time"), Some("ngày 25 tháng 11 năm 2026"));
    assert_eq!(value(&now, "applicant_phone"), Some("0912345678"));
    assert_eq!(rows(&now, "components").len(), 4);
    assert_eq!(rows(&now, "components")[1][2..4], ["1", "2"]);
}

#[test]
fn a_receipt_lists_what_data_replaced_until_the_acceptance_and_not_later() {
    let (mut case, history) = sample(Form::Receipt);
    case.components.push(FiledComponent {
        replaced_by_data: "Kho dữ liệu: Giấy xác nhận".to_owned(),
        ..component("giay_to_cu_tru")
    });
    let (procedure, office) = (birth(), office());
    // The acceptance is version 2.
    for (version, expected) in [(1, 5), (3, 4)] {
        case.checks = vec![ComponentCheck {
            version,
            rows: 5,
            component_code: "giay_to_cu_tru".to_owned(),
            state: ComponentState::ReplacedByData,
            compared_with: None,
            file_ids: Vec::new(),
            source: "Kho dữ liệu: Giấy xác nhận".to_owned(),
            paper_id: None,
            reason: String::new(),
            valid_until: None,
            officer_id: Uuid::from_u128(9),
            time: instant("2026-11-23T08:20"),
            request_code: None,
            confirmed: None,
        }];
        let source = Source {
            case: &case,
            procedure: &procedure,
            transitions: None,
            history: &history,
            office: &office,
            lookup_secret: None,
            charge: None,
        };
        let receipt = paper(Form::Receipt, &source).unwrap();
        assert_eq!(rows(&receipt, "components").len(), expected, "put by version {version}");
    }
}

#[test]
fn a_form_reads_the_end_of_the_history_that_it_tells_of() {
    for form in [Form::Receipt, Form::ControlSlip] {
        assert_eq!(form.reads_after(700, 301), 0, "{form:?}");
    }
    for form in [Form::Supplement, Form::Refusal, Form::Apology, Form::Stop] {
        assert_eq!(form.reads_after(700, 301), 399, "{form:?}: versions 400 to 700");
        assert_eq!(form.reads_after(301, 301), 0, "{form:?}");
        assert_eq!(form.reads_after(4, 301), 0, "{form:?}");
    }
}

#[test]
fn a_stop_says_what_is_owed_by_now_and_what_became_of_what_was_paid() {
    let (case, history) = sample(Form::Stop);
    let (procedure, office) = (birth(), office());
    let said = |charge: Option<&Charge>| {
        let source = Source {
            case: &case,
            procedure: &procedure,
            transitions: None,
            history: &history,
            office: &office,
            lookup_secret: None,
            charge,
        };
        let stop = paper(Form::Stop, &source).unwrap();
        let of = |field| value(&stop, field).unwrap().to_owned();
        (of("fees"), of("financial_consequence"))
    };
    // Whoever does not see the charge is told no sum: what was assessed may have been exempted since.
    assert_eq!(said(None), (String::new(), String::new()));
    let mut charge = Charge::assess(&case, &[]);
    let name = "Lệ phí đăng ký khai sinh không đúng hạn";
    assert_eq!(
        said(Some(&charge)),
        (format!("{name}: 8.000 đồng"), "Chưa nộp khoản nào".to_owned())
    );
    charge.fees[0].exemption = Some(Exemption {
        reduced_to_vnd: 0,
        reason: "hộ nghèo".to_owned(),
        legal_basis: "Luật Hộ tịch 2014, Điều 11".to_owned(),
        evidence_file_id: None,
        officer_id: Uuid::nil(),
        time: instant("2026-11-24T08:00"),
    });
    charge.payments = [
        (PaymentState::Paid, 1_250_000),
        (PaymentState::Refunded, 900),
        (PaymentState::Expired, 7),
    ]
    .into_iter()
    .map(|(state, amount_vnd)| Payment {
        payment_id: Uuid::nil(),
        collecting_unit_id: 2,
        way: Way::Cash,
        amount_vnd,
        state,
        order_id: None,
        reference: String::new(),
        pay_url: String::new(),
        transaction: String::new(),
        request_time: instant("2026-11-24T08:00"),
        paid_time: None,
        paid_day: None,
        refund: None,
        problem: String::new(),
        amount_differs: false,
        listed_otherwise: false,
    })
    .collect();
    assert_eq!(
        said(Some(&charge)),
        (
            format!("{name}: 0 đồng (miễn, giảm theo Luật Hộ tịch 2014, Điều 11)"),
            "1.250.000 đồng: đã nộp, chưa có quyết định hoàn; 900 đồng: đã hoàn".to_owned()
        )
    );
    charge.fees.clear();
    assert_eq!(said(Some(&charge)).0, "Không có");
}

#[test]
fn a_receipt_of_a_period_in_hours_says_the_hour() {
    let (mut case, _) = sample(Form::Receipt);
    let deadline = case.deadline.as_mut().unwrap();
    deadline.due_time = instant("2026-11-25T10:30");
    let (procedure, office) = (birth(), office());
    let source = Source {
        case: &case,
        procedure: &procedure,
        transitions: None,
        history: &[],
        office: &office,
        lookup_secret: None,
        charge: None,
    };
    let receipt = paper(Form::Receipt, &source).unwrap();
    assert_eq!(
        value(&receipt, "due_time"),
        Some("10 giờ 30 phút, ngày 25 tháng 11 năm 2026")
    );
    assert_eq!(value(&receipt, "lookup_secret"), Some(""), "not for everybody");
}

#[test]
fn a_control_slip_says_who_gave_to_whom_and_whether_it_was_in_time() {
    let slip = made(Form::ControlSlip, None);
    let rows = rows(&slip, "handovers");
    assert_eq!(rows.len(), 6);
    assert_eq!(
        rows[2][1],
        "1. Giao: Trung tâm Phục vụ hành chính công\n2. Nhận: Phường Trường Vinh"
    );
    let results: Vec<&str> = rows.iter().map(|row| row[5].as_str()).collect();
    assert_eq!(results, ["", "", "", "", "Trước hạn", ""]);
    assert_eq!(value(&slip, "coordinating"), Some("Công an phường Trường Vinh"));
}

fn slip_of(case: &Case, history: &[HistoryEntry]) -> Vec<Vec<String>> {
    let (procedure, office) = (birth(), office());
    let source = Source {
        case,
        procedure: &procedure,
        transitions: None,
        history,
        office: &office,
        lookup_secret: None,
        charge: None,
    };
    let slip = paper(Form::ControlSlip, &source).unwrap();
    rows(&slip, "handovers").to_vec()
}

#[test]
fn a_control_slip_has_words_for_every_act() {
    const AGENCY: &str = "Phường Trường Vinh";
    const APPLICANT: &str = "Người nộp hồ sơ";
    let acts = [
        (
            "request_payment",
            AGENCY,
            APPLICANT,
            "Yêu cầu thực hiện nghĩa vụ tài chính",
        ),
        ("settle_payment", APPLICANT, AGENCY, "Đã thực hiện nghĩa vụ tài chính"),
        (
            "confirm_components",
            AGENCY,
            AGENCY,
            "Đối chiếu, số hoá thành phần hồ sơ",
        ),
        ("set_component_state", AGENCY, AGENCY, "Ghi trạng thái thành phần hồ sơ"),
        ("reuse_paper", AGENCY, AGENCY, "Tái sử dụng giấy tờ trong kho dữ liệu"),
        ("correct_result", AGENCY, APPLICANT, "Đính chính kết quả"),
        ("revoke_result", AGENCY, APPLICANT, "Thu hồi kết quả"),
        ("recalculate_deadline", AGENCY, AGENCY, "Tính lại thời hạn"),
        ("migrate_version", AGENCY, AGENCY, "Chuyển phiên bản thủ tục"),
    ];
    let mut history = history();
    let first = history.len();
    let state = State::Processing;
    for (version, (act, ..)) in (5..).zip(acts) {
        history.push(entry(version, act, Some(state), state, "2026-11-24T08:00"));
    }
    let by_applicant = HistoryEntry {
        actor_kind: "citizen".to_owned(),
        ..entry(14, "reuse_paper", Some(state), state, "2026-11-24T08:00")
    };
    let slip = slip_of(&accepted(), &with(history, by_applicant));
    for (row, (act, from, to, words)) in slip[first..].iter().zip(acts) {
        assert_eq!(row[1], format!("1. Giao: {from}\n2. Nhận: {to}"), "{act}");
        assert_eq!(row[6], words, "{act}");
    }
    let last = slip.last().unwrap();
    assert_eq!(last[1], format!("1. Giao: {APPLICANT}\n2. Nhận: {AGENCY}"));
}

#[test]
fn a_control_slip_of_a_case_received_elsewhere_names_the_desk_until_it_was_taken_in() {
    const AGENCY: &str = "Phường Trường Vinh";
    const DESK: &str = "Trung tâm Phục vụ hành chính công";
    const APPLICANT: &str = "Người nộp hồ sơ";
    let (registered, awaiting) = (State::Registered, State::SupplementRequested);
    let at = "2026-11-23T08:20";
    let mut before = history();
    let mut history = vec![
        before.remove(0),
        entry(2, "request_supplement", Some(registered), awaiting, at),
        entry(3, "supply", Some(awaiting), registered, at),
        entry(4, "confirm_components", Some(registered), registered, at),
        entry(5, "move_unit", Some(registered), registered, at),
    ];
    history.extend(
        (6..)
            .zip(before)
            .map(|(version, entry)| HistoryEntry { version, ..entry }),
    );
    let processing = State::Processing;
    history.push(entry(9, "confirm_components", Some(processing), processing, at));
    history.push(entry(10, "request_supplement", Some(processing), awaiting, at));
    history.push(entry(11, "supply", Some(awaiting), processing, at));
    let slip = slip_of(&accepted(), &history);
    let expected = [
        (APPLICANT, DESK),
        (DESK, APPLICANT),
        (APPLICANT, DESK),
        (DESK, DESK),
        (AGENCY, AGENCY),
        (APPLICANT, DESK),
        (DESK, AGENCY),
        (AGENCY, AGENCY),
        (AGENCY, AGENCY),
        (AGENCY, APPLICANT),
        (APPLICANT, AGENCY),
    ];
    assert_eq!(slip.len(), expected.len());
    for (row, (from, to)) in slip.iter().zip(expected) {
        assert_eq!(row[1], format!("1. Giao: {from}\n2. Nhận: {to}"), "{row:?}");
    }
    assert_eq!(value(&made(Form::ControlSlip, None), "agency"), Some(AGENCY));
}

#[test]
fn an_approval_without_a_due_date_is_neither_in_time_nor_late() {
    let (case, mut history) = sample(Form::ControlSlip);
    for entry in &mut history {
        entry.details = json!({});
    }
    let slip = slip_of(&case, &history);
    assert!(slip.iter().all(|row| row[5].is_empty()), "{slip:?}");
}

#[test]
fn a_paper_belongs_to_what_happened() {
    for form in Form::ALL {
        if form != Form::TrackingBook {
            assert_eq!(available(form, &sample(form).0), Ok(()), "{form:?}");
        }
    }
    let registered = Case {
        state: State::Registered,
        accept_time: None,
        deadline: None,
        ..accepted()
    };
    for form in Form::ALL {
        let refused = PaperRefused::NotOfThisCase {
            form,
            state: State::Registered,
        };
        assert_eq!(available(form, &registered), Err(refused));
    }
    // What was asked for is kept while it is awaited.
    let supplied = Case {
        state: State::Processing,
        ..sample(Form::Supplement).0
    };
    assert!(available(Form::Supplement, &supplied).is_err());
    assert!(available(Form::Stop, &accepted()).is_err() && available(Form::Apology, &accepted()).is_err());
}

#[test]
fn every_paper_says_as_qr_which_it_is_and_nothing_of_a_person() {
    for (name, paper) in all() {
        let expected = if name == "so-theo-doi" {
            "TTPVHCC.16690/07/2026-11-23/2026-11-30"
        } else {
            "H41.201-261123-0001"
        };
        assert_eq!(paper.qr, expected, "{name}");
        assert!(!format!("{paper:?}").contains("Hường"), "{name}");
    }
}

#[test]
fn a_book_covers_a_year_at_most() {
    let day = date(2026, 1, 1);
    assert!(BookSpan::new(day, day).is_ok());
    assert!(BookSpan::new(day, date(2026, 12, 31)).is_ok());
    assert!(
        BookSpan::new(date(2028, 1, 1), date(2028, 12, 31)).is_ok(),
        "a leap year"
    );
    assert_eq!(BookSpan::new(day, date(2027, 1, 2)), Err(PaperRefused::Period));
    assert_eq!(BookSpan::new(day, date(2025, 12, 31)), Err(PaperRefused::Period));
}

#[test]
fn places_are_named_without_their_kind() {
    assert_eq!(place_name("Phường Trường Vinh"), Some("Trường Vinh"));
    assert_eq!(place_name("Tỉnh Nghệ An"), Some("Nghệ An"));
    assert_eq!(place_name("Sở Tư pháp"), None);
}

proptest! {
    #[test]
    fn every_form_is_made_of_whatever_a_case_holds(name in "\\PC{0,60}", subject in "\\PC{0,200}", reason in "\\PC{0,300}", at in 0usize..6) {
        let form = Form::ALL[at];
        let (mut case, mut history) = sample(form);
        case.owner.full_name.clone_from(&name);
        case.subject.clone_from(&subject);
        for entry in &mut history {
            entry.reason.clone_from(&reason);
            entry.details = json!({"due_date": reason, "due_time": name, "stage": subject});
        }
        let (procedure, office) = (birth(), office());
        let source = Source { case: &case, procedure: &procedure, transitions: None, history: &history, office: &office, lookup_secret: None, charge: None };
        let made = paper(form, &source).unwrap();
        for block in &made.blocks {
            if let Block::Table { columns, rows, .. } = block {
                prop_assert!(rows.iter().all(|row| row.len() == columns.len()));
            }
        }
        // The words of people are somewhere in it, whole.
        let whole = serde_json::to_value(&made).unwrap().to_string();
        let said = serde_json::Value::from(name).to_string();
        prop_assert!(whole.contains(said.trim_matches('"')));
    }
}
