//! Giấy tờ: who gets which form of which case, what it says, and that reading it is recorded.

use egov_onestop::press::PressFault;
use egov_proto::egov::onestop::v1::paper_part::Part;
use egov_proto::egov::onestop::v1::{
    Case, ExtendDeadlineRequest, GetPaperRequest, GetPaperResponse, GetTrackingBookRequest, Paper, PaperForm,
    PrintPaperRequest, PrintTrackingBookRequest, RejectCaseRequest, RequestSupplementRequest, ReturnResultRequest,
    StopCaseRequest, SupplementItem,
};
use egov_proto::google::r#type::Date;
use tonic::{Code, Status};

use crate::support::*;

async fn paper(client: &Client, case: &Case, form: PaperForm) -> Result<Paper, Status> {
    let request = GetPaperRequest {
        case_id: case.case_id.clone(),
        form: form.into(),
    };
    let answer: Result<GetPaperResponse, Status> = client
        .clone()
        .papers
        .get_paper(request)
        .await
        .map(tonic::Response::into_inner);
    answer.map(|answer| answer.paper.unwrap())
}

async fn print(client: &Client, case: &Case, form: PaperForm) -> Result<(String, Vec<u8>), Status> {
    let request = PrintPaperRequest {
        case_id: case.case_id.clone(),
        form: form.into(),
    };
    let answer = client.clone().papers.print_paper(request).await?.into_inner();
    let file = answer.file.unwrap();
    assert_eq!(file.media_type, "application/pdf");
    assert_eq!(file.sha256, egov_files::Digest::of(&file.content).to_string());
    Ok((file.name, file.content))
}

fn field<'a>(paper: &'a Paper, wanted: &str) -> &'a str {
    paper
        .parts
        .iter()
        .find_map(|part| match part.part.as_ref() {
            Some(Part::Field(field)) if field.code == wanted => Some(field.entry.as_str()),
            _ => None,
        })
        .unwrap_or_else(|| panic!("no field {wanted}"))
}

fn rows<'a>(paper: &'a Paper, wanted: &str) -> Vec<&'a [String]> {
    paper
        .parts
        .iter()
        .find_map(|part| match part.part.as_ref() {
            Some(Part::Table(table)) if table.code == wanted => {
                Some(table.rows.iter().map(|row| row.cells.as_slice()).collect())
            }
            _ => None,
        })
        .unwrap_or_else(|| panic!("no table {wanted}"))
}

const OF_A_CASE: [PaperForm; 6] = [
    PaperForm::Receipt,
    PaperForm::Supplement,
    PaperForm::Refusal,
    PaperForm::Apology,
    PaperForm::Stop,
    PaperForm::ControlSlip,
];

/// The forms that the case has for the caller.
async fn had(client: &Client, case: &Case) -> Vec<PaperForm> {
    let mut had = Vec::new();
    for form in OF_A_CASE {
        match paper(client, case, form).await {
            Ok(_) => had.push(form),
            Err(status) => assert!(
                ["PAPER_NOT_AVAILABLE", "PAPER_INTERNAL"].contains(&reason(&status).as_str()),
                "{form:?}: {status:?}"
            ),
        }
    }
    had
}

#[tokio::test]
async fn a_case_has_the_papers_of_what_happened_to_it() {
    let stack = Stack::start().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let submitted = submit(&stack).await;
    let secret = submitted.lookup_secret;
    let submitted = submitted.case.unwrap();
    assert!(had(&clerk, &submitted).await.is_empty());
    let early = paper(&clerk, &submitted, PaperForm::Receipt).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);

    let accepted = accept(&stack, &submitted).await.case.unwrap();
    assert_eq!(
        had(&clerk, &accepted).await,
        [PaperForm::Receipt, PaperForm::ControlSlip]
    );
    let receipt = paper(&clerk, &accepted, PaperForm::Receipt).await.unwrap();
    assert_eq!(
        (receipt.form_number.as_str(), receipt.qr.as_str()),
        ("01", accepted.case_code.as_str())
    );
    assert_eq!(field(&receipt, "lookup_secret"), secret);
    assert_eq!(field(&receipt, "applicant_name"), "Nguyễn Thị Hường");
    assert_eq!(field(&receipt, "due_time"), "17 giờ 00 phút, ngày 25 tháng 11 năm 2026");
    assert_eq!(rows(&receipt, "components").len(), 2);
    assert_eq!(receipt.place, "Trường Vinh");
    assert_eq!(receipt.agency, "Phường Trường Vinh");
    let day = Date {
        year: 2026,
        month: 11,
        day: 23,
    };
    assert_eq!(receipt.date, Some(day));

    // Asked for a supplement.
    let case = assign(&stack, &accepted).await;
    let asked = RequestSupplementRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        items: vec![SupplementItem {
            component_code: "giay_chung_sinh".to_owned(),
            instruction: "Nộp bản chính.".to_owned(),
        }],
        reason: "Bản sao mờ.".to_owned(),
        legal_basis: "NĐ 123/2015/NĐ-CP".to_owned(),
        ..Default::default()
    };
    let case = clerk
        .clone()
        .cases
        .request_supplement(asked)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(
        had(&clerk, &case).await,
        [PaperForm::Receipt, PaperForm::Supplement, PaperForm::ControlSlip]
    );
    let supplement = paper(&clerk, &case, PaperForm::Supplement).await.unwrap();
    assert_eq!(field(&supplement, "reason"), "Bản sao mờ.");
    let items = rows(&supplement, "items");
    assert_eq!((items.len(), items[0][2].as_str()), (1, "Nộp bản chính."));
    assert_ne!(items[0][1], "giay_chung_sinh", "the paper is named, not its code");

    // Stopped from there.
    let stop = StopCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        reason: "Không bổ sung trong thời hạn.".to_owned(),
        legal_basis: "NĐ 118/2025/NĐ-CP".to_owned(),
    };
    let case = leader
        .clone()
        .cases
        .stop_case(stop)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(
        had(&clerk, &case).await,
        [PaperForm::Receipt, PaperForm::Stop, PaperForm::ControlSlip]
    );
    let stopped = paper(&clerk, &case, PaperForm::Stop).await.unwrap();
    assert_eq!(field(&stopped, "reason"), "Không bổ sung trong thời hạn.");
    assert!(field(&stopped, "decision").contains("Phường Trường Vinh dừng giải quyết"));
    let slip = paper(&clerk, &case, PaperForm::ControlSlip).await.unwrap();
    assert_eq!(rows(&slip, "handovers").len(), 5, "an entry of the history each");
}

#[tokio::test]
async fn a_form_of_a_long_history_says_what_happened_last() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    // As after four hundred acts more.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    for statement in [
        "INSERT INTO case_history (case_id, version, operation, from_state, to_state, step, actor_id, actor_kind, on_behalf_of, reason,
                                   legal_basis, details, event_time, record_time)
         SELECT case_id, n, 'assign', 4, 4, step, gen_random_uuid(), 'staff', NULL, '', '', '{}', accept_time, accept_time
         FROM cases, generate_series(version + 1, version + 400) AS n WHERE case_id = $1::uuid",
        "UPDATE cases SET version = version + 400 WHERE case_id = $1::uuid",
    ] {
        sqlx::query(statement)
            .bind(&case.case_id)
            .execute(&mut superuser)
            .await
            .unwrap();
    }
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let case = get(&leader, &case.case_id).await.unwrap();
    let stop = StopCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        reason: "Không bổ sung trong thời hạn.".to_owned(),
        legal_basis: "NĐ 118/2025/NĐ-CP".to_owned(),
    };
    let stopped = leader.clone().cases.stop_case(stop).await.unwrap().into_inner();
    let case = stopped.case.unwrap();
    let notice = paper(&leader, &case, PaperForm::Stop).await.unwrap();
    assert_eq!(field(&notice, "reason"), "Không bổ sung trong thời hạn.");
    assert_eq!(field(&notice, "legal_basis"), "NĐ 118/2025/NĐ-CP");
    assert_eq!(
        (field(&notice, "fees"), field(&notice, "financial_consequence")),
        ("Không có", "Chưa nộp khoản nào")
    );
    // What tells from the beginning begins there.
    let receipt = paper(&leader, &case, PaperForm::Receipt).await.unwrap();
    assert_eq!(field(&receipt, "due_time"), "17 giờ 00 phút, ngày 25 tháng 11 năm 2026");
    let slip = paper(&leader, &case, PaperForm::ControlSlip).await.unwrap();
    let shown = rows(&slip, "handovers");
    assert_eq!(shown.len(), 300);
    assert_eq!(shown[0][6], "Nộp hồ sơ");
}

#[tokio::test]
async fn a_refused_case_has_its_refusal_and_an_extended_one_its_apology() {
    let stack = Stack::start().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let case = submit(&stack).await.case.unwrap();
    let reject = RejectCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        reason: "Đã đăng ký tại nơi khác.".to_owned(),
        legal_basis: "Luật Hộ tịch 2014".to_owned(),
    };
    let case = clerk
        .clone()
        .cases
        .reject_case(reject)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(had(&clerk, &case).await, [PaperForm::Refusal]);
    let refusal = paper(&clerk, &case, PaperForm::Refusal).await.unwrap();
    assert_eq!(field(&refusal, "reason"), "Đã đăng ký tại nơi khác.");

    let case = processing(&stack).await;
    let extend = ExtendDeadlineRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        new_due_date: Some(Date {
            year: 2026,
            month: 11,
            day: 27,
        }),
        reason: "Phải xác minh.".to_owned(),
        legal_basis: "NĐ 118/2025/NĐ-CP".to_owned(),
        signer_name: "Phan Đức Thắng".to_owned(),
        signer_title: "Chủ tịch".to_owned(),
    };
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let extended = leader
        .clone()
        .deadlines
        .extend_deadline(extend)
        .await
        .unwrap()
        .into_inner();
    let case = extended.case.unwrap();
    let apology = paper(&leader, &case, PaperForm::Apology).await.unwrap();
    assert_eq!(field(&apology, "new_due_date"), "ngày 27 tháng 11 năm 2026");
    assert_eq!(
        field(&apology, "old_due_time"),
        "17 giờ 00 phút, ngày 25 tháng 11 năm 2026"
    );
    assert_eq!(apology.signatures.last().unwrap().signer_name, "Phan Đức Thắng");
    // The receipt goes on saying what was promised first.
    let receipt = paper(&leader, &case, PaperForm::Receipt).await.unwrap();
    assert_eq!(field(&receipt, "due_time"), "17 giờ 00 phút, ngày 25 tháng 11 năm 2026");
}

#[tokio::test]
async fn applicants_get_their_own_papers_and_nothing_internal() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let own = stack.portal(citizen());
    assert_eq!(had(&own, &case).await, [PaperForm::Receipt]);
    let receipt = paper(&own, &case, PaperForm::Receipt).await.unwrap();
    assert_eq!(field(&receipt, "lookup_secret").len(), 8);
    print(&own, &case, PaperForm::Receipt).await.unwrap();
    let slip = paper(&own, &case, PaperForm::ControlSlip).await.unwrap_err();
    assert_eq!(
        (slip.code(), reason(&slip).as_str()),
        (Code::PermissionDenied, "PAPER_INTERNAL")
    );
    let slip = print(&own, &case, PaperForm::ControlSlip).await.unwrap_err();
    assert_eq!(reason(&slip), "PAPER_INTERNAL");
    let day = Some(Date {
        year: 2026,
        month: 11,
        day: 23,
    });
    let book = GetTrackingBookRequest {
        unit_id: TRUONG_VINH,
        from: day,
        to: day,
        ..Default::default()
    };
    let book = own.clone().papers.get_tracking_book(book).await.unwrap_err();
    assert_eq!(book.code(), Code::PermissionDenied);

    // Another citizen, the neighbour, nobody.
    let another = stack.portal(uuid::Uuid::from_u128(0xC2));
    for client in [another, stack.staff("one_stop_clerk", THANH_VINH)] {
        let refused = paper(&client, &case, PaperForm::Receipt).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::NotFound, "CASE_NOT_FOUND")
        );
        let refused = print(&client, &case, PaperForm::Stop).await.unwrap_err();
        assert_eq!(reason(&refused), "CASE_NOT_FOUND");
    }
    let nobody = stack.client(None, None);
    assert_eq!(
        paper(&nobody, &case, PaperForm::Receipt).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn the_look_up_secret_is_on_the_receipt_for_who_has_it_anyway() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let clerk = paper(&stack.staff("one_stop_clerk", TRUONG_VINH), &case, PaperForm::Receipt)
        .await
        .unwrap();
    assert_eq!(field(&clerk, "lookup_secret").len(), 8);
    for role in ["officer", "case_reader", "unit_leader"] {
        let receipt = paper(&stack.staff(role, TRUONG_VINH), &case, PaperForm::Receipt)
            .await
            .unwrap();
        assert_eq!(field(&receipt, "lookup_secret"), "", "{role}");
    }
}

#[tokio::test]
async fn what_is_printed_is_what_is_read_and_the_same_each_time() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let (name, first) = print(&clerk, &case, PaperForm::ControlSlip).await.unwrap();
    assert_eq!(name, format!("phieu-kiem-soat-{}.pdf", case.case_code));
    stack.advance(jiff::SignedDuration::from_hours(30)).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let (_, again) = print(&clerk, &case, PaperForm::ControlSlip).await.unwrap();
    assert_eq!(first, again, "nothing happened to the case");
    // The press of these tests shows the content that it was given.
    let content = String::from_utf8(first).unwrap();
    let content: serde_json::Value = serde_json::from_str(content.strip_prefix("%PDF-plain\n").unwrap()).unwrap();
    let read = paper(&clerk, &case, PaperForm::ControlSlip).await.unwrap();
    assert_eq!(content["form_number"], read.form_number);
    assert_eq!(content["qr"], read.qr);
    assert_eq!(content["blocks"].as_array().unwrap().len(), read.parts.len());
    approve(&stack, &case).await;
    let (_, later) = print(&clerk, &case, PaperForm::ControlSlip).await.unwrap();
    assert_ne!(again, later);
}

#[tokio::test]
async fn reading_and_printing_are_recorded_for_the_person() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let without = stack.client(
        Some(
            stack
                .tokens
                .staff(uuid::Uuid::from_u128(0x77), &[("one_stop_clerk", TRUONG_VINH)]),
        ),
        None,
    );
    let refused = paper(&without, &case, PaperForm::Receipt).await.unwrap_err();
    assert_eq!(reason(&refused), "PURPOSE_MISSING");

    let count = async || {
        let mut superuser = stack.database.connect_as_superuser().await.unwrap();
        let methods = ["GetPaper", "PrintPaper", "GetTrackingBook", "PrintTrackingBook"];
        let mut counts = Vec::new();
        for method in methods {
            let found: i64 = sqlx::query_scalar("SELECT count(*) FROM egov.read_records WHERE method LIKE '%/' || $1")
                .bind(method)
                .fetch_one(&mut superuser)
                .await
                .unwrap();
            counts.push(found);
        }
        counts
    };
    assert_eq!(count().await, [0, 0, 0, 0]);
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    paper(&clerk, &case, PaperForm::Receipt).await.unwrap();
    print(&clerk, &case, PaperForm::ControlSlip).await.unwrap();
    // What there is none of was not read.
    paper(&clerk, &case, PaperForm::Stop).await.unwrap_err();
    book(&clerk, TRUONG_VINH, 1, "").await.unwrap();
    assert_eq!(count().await, [1, 1, 1, 0]);
}

async fn book(client: &Client, unit_id: i32, page_size: i32, page_token: &str) -> Result<(Paper, String), Status> {
    let day = Some(Date {
        year: 2026,
        month: 11,
        day: 23,
    });
    let request = GetTrackingBookRequest {
        unit_id,
        from: day,
        to: day,
        page_size,
        page_token: page_token.to_owned(),
    };
    let answer = client.clone().papers.get_tracking_book(request).await?.into_inner();
    Ok((answer.paper.unwrap(), answer.next_page_token))
}

#[tokio::test]
async fn a_book_lists_what_a_unit_took_in_numbered_on_from_part_to_part() {
    let stack = Stack::start().await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(processing(&stack).await.case_code);
        stack.advance(jiff::SignedDuration::from_mins(5)).await;
    }
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    // Not taken in yet: not in the book.
    submit(&stack).await;
    let first = processing(&stack).await;
    let decided = approve(&stack, &first).await;
    let back = ReturnResultRequest {
        request_id: request_id(),
        case_id: decided.case_id.clone(),
        etag: decided.etag.clone(),
        channel: egov_proto::egov::onestop::v1::Channel::Post.into(),
        recipient_name: "Trần Văn Hùng".to_owned(),
        ..Default::default()
    };
    clerk.clone().cases.return_result(back).await.unwrap();
    codes.push(first.case_code);

    let (part, next) = book(&clerk, TRUONG_VINH, 3, "").await.unwrap();
    let (rest, end) = book(&clerk, TRUONG_VINH, 3, &next).await.unwrap();
    assert_eq!(end, "");
    let all: Vec<&[String]> = rows(&part, "cases").into_iter().chain(rows(&rest, "cases")).collect();
    let numbers: Vec<&str> = all.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(numbers, ["1", "2", "3", "4"]);
    let listed: Vec<&str> = all.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(listed, codes);
    let last = all[3];
    assert_eq!(last[4], "Nguyễn Thị Hường");
    assert_eq!(last[6], "Phường Trường Vinh");
    assert_eq!((last[12].as_str(), last[13].as_str()), ("Bưu chính", "Trần Văn Hùng"));
    assert!(last[9..12].iter().all(|time| time.ends_with("23/11/2026")), "{last:?}");
    assert_eq!(all[0][11], "", "not returned yet");

    // A token is of its question: not of another unit's book, not of the print.
    assert_eq!(
        book(&stack.staff("one_stop_clerk", PROVINCE), THANH_VINH, 3, &next)
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );

    let print = PrintTrackingBookRequest {
        unit_id: TRUONG_VINH,
        from: part.date,
        to: part.date,
        page_size: 200,
        page_token: String::new(),
    };
    let printed = clerk
        .clone()
        .papers
        .print_tracking_book(print)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(printed.next_page_token, "");
    let content = String::from_utf8(printed.file.unwrap().content).unwrap();
    assert!(codes.iter().all(|code| content.contains(code.as_str())));
}

#[tokio::test]
async fn a_book_is_its_units_own_and_bad_periods_are_named() {
    let stack = Stack::start().await;
    processing(&stack).await;
    for (role, unit) in [("one_stop_clerk", THANH_VINH), ("unit_leader", THANH_VINH)] {
        let refused = book(&stack.staff(role, unit), TRUONG_VINH, 3, "").await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::NotFound, "UNIT_NOT_IN_SCOPE")
        );
        let (own, _) = book(&stack.staff(role, unit), unit, 3, "").await.unwrap();
        assert!(rows(&own, "cases").is_empty());
    }
    let refused = book(&stack.staff("officer", TRUONG_VINH), TRUONG_VINH, 3, "")
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let unknown = book(&stack.staff("case_reader", PROVINCE), 4711, 3, "")
        .await
        .unwrap_err();
    assert_eq!(reason(&unknown), "UNIT_NOT_IN_SCOPE");
    let (seen, _) = book(&stack.staff("case_reader", PROVINCE), TRUONG_VINH, 3, "")
        .await
        .unwrap();
    assert_eq!(rows(&seen, "cases").len(), 1);

    let mut papers = stack.staff("one_stop_clerk", TRUONG_VINH).papers;
    let day = |year, day| Some(Date { year, month: 11, day });
    for (from, to) in [(day(2026, 24), day(2026, 23)), (day(2025, 1), day(2026, 23))] {
        let request = GetTrackingBookRequest {
            unit_id: TRUONG_VINH,
            from,
            to,
            ..Default::default()
        };
        let refused = papers.get_tracking_book(request).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::InvalidArgument, "BOOK_PERIOD_UNKNOWN")
        );
    }
    let empty = papers
        .get_tracking_book(GetTrackingBookRequest::default())
        .await
        .unwrap_err();
    let fields: Vec<String> = egov_fault::fault_of(&empty)
        .violations()
        .iter()
        .map(|violation| violation.field.clone())
        .collect();
    assert_eq!(fields, ["unit_id", "from", "to"]);
    let wrong = GetPaperRequest {
        case_id: "x".to_owned(),
        form: PaperForm::TrackingBook.into(),
    };
    let wrong = papers.get_paper(wrong).await.unwrap_err();
    let fields: Vec<String> = egov_fault::fault_of(&wrong)
        .violations()
        .iter()
        .map(|violation| violation.field.clone())
        .collect();
    assert_eq!(fields, ["case_id", "form"]);
}

#[tokio::test]
async fn without_a_press_papers_are_read_and_not_printed_and_a_press_that_fails_is_our_fault() {
    let stack = Stack::with_press(None).await;
    let case = processing(&stack).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    paper(&clerk, &case, PaperForm::Receipt).await.unwrap();
    let refused = print(&clerk, &case, PaperForm::Receipt).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "PRINTING_NOT_SET_UP")
    );

    let broken = |_: &[u8]| -> Result<Vec<u8>, PressFault> { Err("no ink for Nguyễn Thị Hường".into()) };
    let stack = Stack::with_press(Some(std::sync::Arc::new(broken))).await;
    let case = processing(&stack).await;
    let failed = print(&stack.staff("one_stop_clerk", TRUONG_VINH), &case, PaperForm::Receipt)
        .await
        .unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert!(!failed.message().contains("Hường"));
}
