//! Lists and searches through the port: what is found, in which order, page by page, and what is not.

use egov_proto::egov::onestop::v1 as proto;
use egov_proto::google::r#type::Date;
use tonic::Code;
use uuid::Uuid;

use crate::support::*;

/// Files a case at the counter of a commune.
async fn filed(stack: &Stack, unit: (&str, i32), name: &str, number: &str, phone: &str) -> proto::Case {
    let request = proto::SubmitCaseRequest {
        competent_unit_code: unit.0.to_owned(),
        channel: proto::Channel::Counter.into(),
        owner: Some(proto::Party {
            personal_number: number.to_owned(),
            phone: phone.to_owned(),
            ..owner(name)
        }),
        components: ["to_khai", "giay_chung_sinh", "giay_to_tuy_than"]
            .map(component)
            .to_vec(),
        ..birth_registration()
    };
    let answer = stack
        .staff("one_stop_clerk", unit.1)
        .cases
        .submit_case(request)
        .await
        .unwrap();
    stack.advance(jiff::SignedDuration::from_mins(1)).await;
    answer.into_inner().case.unwrap()
}

/// Seven cases at Trường Vinh, two at Thành Vinh.
async fn province() -> Stack {
    let stack = Stack::start().await;
    let here = ("16690", TRUONG_VINH);
    for (name, number, phone) in [
        ("Nguyễn Văn Hùng", "040085000001", "0912 000 001"),
        ("Nguyễn Thị Hường", "040185000002", "0912 000 002"),
        ("Trần Văn Nguyên", "040085000003", "0912 000 003"),
        ("Nguyễn Đức Trần Hùng", "040085000004", "0912 000 004"),
        ("Lê Thị Ngọc-Ánh", "040185000005", "0912 000 005"),
        ("Nguyễn Văn Hưng", "040085000006", "0912 000 006"),
        ("Đặng Văn Hải", "040085000007", "0912 000 007"),
    ] {
        filed(&stack, here, name, number, phone).await;
    }
    for name in ["Nguyễn Văn Hùng", "Trần Thị Hà"] {
        filed(&stack, ("16681", THANH_VINH), name, "040085000008", "0912 000 008").await;
    }
    stack
}

fn names(cases: &[proto::CaseSummary]) -> Vec<&str> {
    cases.iter().map(|case| case.owner_name.as_str()).collect()
}

async fn search(client: &Client, request: proto::SearchCasesRequest) -> Vec<proto::CaseSummary> {
    client
        .clone()
        .cases
        .search_cases(request)
        .await
        .unwrap()
        .into_inner()
        .cases
}

fn query(text: &str) -> proto::SearchCasesRequest {
    proto::SearchCasesRequest {
        query: text.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_case_is_found_by_names_in_any_order_numbers_and_codes_and_the_neighbours_is_not() {
    let stack = province().await;
    let officer = stack.staff("officer", TRUONG_VINH);
    for (asked, expected) in [
        (
            "Nguyễn Văn ",
            &["Nguyễn Văn Hưng", "Trần Văn Nguyên", "Nguyễn Văn Hùng"][..],
        ),
        ("nguyen van hung", &["Nguyễn Văn Hưng", "Nguyễn Văn Hùng"]),
        ("HÙNG nguyễn văn ", &["Nguyễn Văn Hưng", "Nguyễn Văn Hùng"]),
        (
            "hung nguyen",
            &["Nguyễn Văn Hưng", "Nguyễn Đức Trần Hùng", "Nguyễn Văn Hùng"],
        ),
        ("nguyen van hu", &["Nguyễn Văn Hưng", "Nguyễn Văn Hùng"]),
        (
            "nguyen hu",
            &[
                "Nguyễn Văn Hưng",
                "Nguyễn Đức Trần Hùng",
                "Nguyễn Thị Hường",
                "Nguyễn Văn Hùng",
            ],
        ),
        ("tran nguyen ", &["Nguyễn Đức Trần Hùng", "Trần Văn Nguyên"]),
        ("tran van ngu", &["Trần Văn Nguyên"]),
        ("ngoc anh", &["Lê Thị Ngọc-Ánh"]),
        ("dang", &["Đặng Văn Hải"]),
        (
            "h",
            &[
                "Đặng Văn Hải",
                "Nguyễn Văn Hưng",
                "Nguyễn Đức Trần Hùng",
                "Nguyễn Thị Hường",
                "Nguyễn Văn Hùng",
            ],
        ),
        ("van hung thi", &[]),
        ("0912000003", &["Trần Văn Nguyên"]),
        ("+84 912 000 003", &["Trần Văn Nguyên"]),
        ("nguyen 0912000003", &["Trần Văn Nguyên"]),
        ("040185000005", &["Lê Thị Ngọc-Ánh"]),
        // The beginning of a number finds nobody.
        ("04018500000", &[]),
        ("091200000", &[]),
        ("H41.201-261123-0002", &["Nguyễn Thị Hường"]),
        (
            "h41.201-261123-000",
            &[
                "Đặng Văn Hải",
                "Nguyễn Văn Hưng",
                "Lê Thị Ngọc-Ánh",
                "Nguyễn Đức Trần Hùng",
                "Trần Văn Nguyên",
                "Nguyễn Thị Hường",
                "Nguyễn Văn Hùng",
            ],
        ),
        // The neighbour's.
        ("H41.202-261123-0001", &[]),
        ("H41.202", &[]),
        ("tran thi ha", &[]),
        ("040085000008", &[]),
    ] {
        // One letter is too little for the contract; a letter and a space are not.
        let asked = if asked.len() < 2 {
            format!(" {asked}")
        } else {
            asked.to_owned()
        };
        assert_eq!(names(&search(&officer, query(&asked)).await), expected, "{asked:?}");
    }
    let neighbour = stack.staff("officer", THANH_VINH);
    assert_eq!(
        names(&search(&neighbour, query("nguyen van hung")).await),
        ["Nguyễn Văn Hùng"]
    );
    let leader = stack.staff("unit_leader", PROVINCE);
    assert_eq!(
        search(&leader, query("nguyen van hung")).await.len(),
        3,
        "the province sees both communes"
    );

    let token = stack
        .tokens
        .staff(Uuid::from_u128(9), &[("procedure_controller", PROVINCE)]);
    let controller = stack.client(Some(token), Some("case_handling"));
    let refused = controller
        .clone()
        .cases
        .search_cases(query("nguyen"))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "PERMISSION_MISSING")
    );
}

#[tokio::test]
async fn pages_of_searches_and_lists_hold_every_case_once_in_the_stated_order() {
    let stack = province().await;
    let mut officer = stack.staff("officer", TRUONG_VINH);
    for asked in ["van ", "hu", "h41.201-2611", "nguyen v"] {
        let all = search(&officer, query(asked)).await;
        assert!(all.len() > 1, "{asked}");
        let (mut paged, mut token) = (Vec::new(), String::new());
        loop {
            let request = proto::SearchCasesRequest {
                page_size: 1,
                page_token: token,
                ..query(asked)
            };
            let page = officer.cases.search_cases(request).await.unwrap().into_inner();
            paged.extend(page.cases);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(paged, all, "{asked}");
    }
    // Accepted day after day, the last filed first: the order by due date is another than that of filing.
    let all = officer
        .cases
        .list_cases(proto::ListCasesRequest::default())
        .await
        .unwrap()
        .into_inner()
        .cases;
    for case in all.iter().take(3) {
        let case = get(&stack.staff("officer", TRUONG_VINH), &case.case_id).await.unwrap();
        accept(&stack, &case).await;
        stack.advance(jiff::SignedDuration::from_hours(24)).await;
    }
    let by_due = |page_token: String, page_size: i32| proto::ListCasesRequest {
        order: proto::CaseOrder::DueFirst.into(),
        page_size,
        page_token,
        ..Default::default()
    };
    let officer = stack.staff("officer", TRUONG_VINH);
    let listed = officer
        .clone()
        .cases
        .list_cases(by_due(String::new(), 0))
        .await
        .unwrap()
        .into_inner()
        .cases;
    let newest = officer
        .clone()
        .cases
        .list_cases(proto::ListCasesRequest::default())
        .await
        .unwrap()
        .into_inner()
        .cases;
    let mut due: Vec<_> = newest.into_iter().filter(|case| case.due_date.is_some()).collect();
    // Several may be due on one day, since a day off is passed over.
    due.sort_by_key(|case| {
        let day = jiff::civil::Date::try_from(case.due_date.unwrap()).unwrap();
        (day, case.case_id.clone())
    });
    assert_eq!(due.len(), 3);
    assert_eq!(listed, due, "only what is due, the earliest first");
    let first = officer
        .clone()
        .cases
        .list_cases(by_due(String::new(), 2))
        .await
        .unwrap()
        .into_inner();
    let second = officer
        .clone()
        .cases
        .list_cases(by_due(first.next_page_token.clone(), 2))
        .await
        .unwrap()
        .into_inner();
    assert_eq!([first.cases, second.cases].concat(), listed);
    let other = proto::ListCasesRequest {
        page_token: first.next_page_token,
        ..Default::default()
    };
    let refused = officer.clone().cases.list_cases(other).await.unwrap_err();
    assert_eq!(
        reason(&refused),
        "PAGE_TOKEN_INVALID",
        "a place in one order is none in another"
    );
}

#[tokio::test]
async fn lists_and_searches_are_narrowed_by_state_procedures_unit_and_due_date() {
    let stack = province().await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let listed = officer
        .clone()
        .cases
        .list_cases(proto::ListCasesRequest::default())
        .await
        .unwrap()
        .into_inner()
        .cases;
    let case = get(&officer, &listed[0].case_id).await.unwrap();
    let due = accept(&stack, &case)
        .await
        .case
        .unwrap()
        .deadline
        .unwrap()
        .due_date
        .unwrap();
    let day = |shift: i64| -> Option<Date> {
        let day = jiff::civil::Date::try_from(due).unwrap();
        Some(day.checked_add(jiff::Span::new().days(shift)).unwrap().into())
    };
    // All were filed in the morning of the test's clock.
    let filing = |shift: i64| -> Option<Date> {
        let day = jiff::civil::date(2026, 11, 23);
        Some(day.checked_add(jiff::Span::new().days(shift)).unwrap().into())
    };
    let many: Vec<String> = (1..170).map(|code| format!("9.{code:06}")).collect();
    let with = |code: &str| [many.clone(), vec![code.to_owned()]].concat();
    let list = |request: proto::ListCasesRequest| {
        let mut cases = stack.staff("unit_leader", PROVINCE).cases;
        async move { cases.list_cases(request).await.unwrap().into_inner().cases.len() }
    };
    use proto::ListCasesRequest as List;
    let accepted = i32::from(proto::CaseState::Accepted);
    let registered = i32::from(proto::CaseState::Registered);
    for (name, request, count) in [
        ("everything", List::default(), 9),
        (
            "one unit",
            List {
                unit_id: THANH_VINH,
                ..List::default()
            },
            2,
        ),
        (
            "a unit that is not",
            List {
                unit_id: 77,
                ..List::default()
            },
            0,
        ),
        (
            "accepted",
            List {
                states: vec![accepted],
                ..List::default()
            },
            1,
        ),
        (
            "either",
            List {
                states: vec![accepted, registered],
                ..List::default()
            },
            9,
        ),
        (
            "170 procedures",
            List {
                procedure_codes: with("1.001193"),
                ..List::default()
            },
            9,
        ),
        (
            "169 others",
            List {
                procedure_codes: with("9.999999"),
                ..List::default()
            },
            0,
        ),
        (
            "one besides",
            List {
                procedure_code: "1.001193".to_owned(),
                procedure_codes: many.clone(),
                ..List::default()
            },
            9,
        ),
        (
            "due until its day",
            List {
                due_until: day(0),
                ..List::default()
            },
            1,
        ),
        (
            "due until the day before",
            List {
                due_until: day(-1),
                ..List::default()
            },
            0,
        ),
        (
            "due from its day",
            List {
                due_from: day(0),
                ..List::default()
            },
            1,
        ),
        (
            "due later",
            List {
                due_from: day(1),
                due_until: day(9),
                ..List::default()
            },
            0,
        ),
        (
            "filed on its day",
            List {
                filed_from: filing(0),
                filed_until: filing(0),
                ..List::default()
            },
            9,
        ),
        (
            "filed until the day before",
            List {
                filed_until: filing(-1),
                ..List::default()
            },
            0,
        ),
        (
            "filed from the day after",
            List {
                filed_from: filing(1),
                ..List::default()
            },
            0,
        ),
        (
            "filed in days of one unit, by due date",
            List {
                unit_id: TRUONG_VINH,
                filed_from: filing(-1),
                filed_until: filing(1),
                order: proto::CaseOrder::DueFirst.into(),
                ..List::default()
            },
            1,
        ),
    ] {
        assert_eq!(list(request).await, count, "{name}");
    }
    // The day is one of Việt Nam: soon after midnight there it is still the day before in Greenwich.
    stack.advance(jiff::SignedDuration::from_hours(16)).await;
    let later = filed(
        &stack,
        ("16690", TRUONG_VINH),
        "Hồ Thị Nga",
        "040185000009",
        "0912 000 009",
    )
    .await;
    for (shift, found) in [(0, false), (1, true), (2, false)] {
        let of_day = List {
            filed_from: filing(shift),
            filed_until: filing(shift),
            ..List::default()
        };
        let mut cases = stack.staff("unit_leader", PROVINCE).cases;
        let listed = cases.list_cases(of_day).await.unwrap().into_inner().cases;
        assert_eq!(listed.iter().any(|one| one.case_id == later.case_id), found, "{shift}");
    }
    let officer = stack.staff("officer", TRUONG_VINH);
    let narrowed = proto::SearchCasesRequest {
        states: vec![accepted],
        procedure_codes: with("1.001193"),
        unit_id: TRUONG_VINH,
        due_from: day(0),
        due_until: day(0),
        ..query("h")
    };
    let narrowed = proto::SearchCasesRequest {
        query: " ha".to_owned(),
        ..narrowed
    };
    assert_eq!(names(&search(&officer, narrowed.clone()).await), ["Đặng Văn Hải"]);
    let elsewhere = proto::SearchCasesRequest {
        unit_id: THANH_VINH,
        ..narrowed.clone()
    };
    assert!(search(&officer, elsewhere).await.is_empty());
    let other_state = proto::SearchCasesRequest {
        states: vec![registered],
        ..narrowed.clone()
    };
    assert!(search(&officer, other_state).await.is_empty());
    let by_code = proto::SearchCasesRequest {
        query: "H41.201".to_owned(),
        ..narrowed
    };
    assert_eq!(search(&officer, by_code).await.len(), 1);

    let due = List {
        due_from: day(1),
        due_until: day(0),
        ..List::default()
    };
    let filed = List {
        filed_from: filing(1),
        filed_until: filing(0),
        ..List::default()
    };
    for (backwards, from, until) in [(due, "due_from", "due_until"), (filed, "filed_from", "filed_until")] {
        let refused = officer.clone().cases.list_cases(backwards).await.unwrap_err();
        let violations = egov_fault::fault_of(&refused).violations().to_vec();
        assert_eq!(violations[0].field, from);
        assert!(violations[0].vi.contains(until) && violations[0].en.contains(until));
    }
    let no_day = List {
        filed_until: Some(Date {
            year: 2026,
            month: 2,
            day: 30,
        }),
        due_from: day(1),
        due_until: day(0),
        ..List::default()
    };
    let refused = officer.clone().cases.list_cases(no_day).await.unwrap_err();
    let violations = egov_fault::fault_of(&refused).violations().to_vec();
    let fields: Vec<&str> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(
        fields,
        ["filed_until", "due_from"],
        "everything that is wrong is told at once"
    );
}
