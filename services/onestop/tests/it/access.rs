//! Who may call what: every RPC of the contract for every role, own unit and neighbour, as a readable table.

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use egov_auth::{Access, Assurance, Policies, Resource, UnitTree};
use egov_proto::egov::onestop::v1::ListCasesRequest;
use egov_proto::egov::records::v1::ListReadingsRequest;
use egov_runtime::contract::{Contract, Formats};
use egov_testkit::Tokens;
use tonic::Code;
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn a_clerk_who_may_read_but_not_approve_gets_permission_denied_with_the_permission() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let request = egov_proto::egov::onestop::v1::ApproveCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        results: vec![egov_proto::egov::onestop::v1::CaseResult {
            result_code: "KQ.G15.000031".to_owned(),
            ..Default::default()
        }],
        reason: String::new(),
    };
    let status = stack
        .staff("case_reader", TRUONG_VINH)
        .cases
        .approve_case(request)
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::PermissionDenied, "PERMISSION_MISSING")
    );
    assert_eq!(
        egov_fault::fault_of(&status).metadata()["permission"],
        "onestop.cases.approve"
    );
}

#[tokio::test]
async fn what_is_done_by_delegation_says_in_whose_name_and_reaches_no_further() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let (deputy, leader) = (Uuid::from_u128(0x71), Uuid::from_u128(0x72));
    let token = stack.tokens.by_delegation(deputy, leader, "unit_leader", TRUONG_VINH);
    let client = stack.client(Some(token), Some("case_handling"));
    let file_id = upload(&client, PDF).await;
    let request = egov_proto::egov::onestop::v1::ApproveCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        results: vec![egov_proto::egov::onestop::v1::CaseResult {
            result_code: "KQ.G15.000031".to_owned(),
            number: "01/2026".to_owned(),
            file_id,
            ..Default::default()
        }],
        reason: String::new(),
    };
    // The role of another unit reaches nothing here.
    let elsewhere = stack.tokens.by_delegation(deputy, leader, "unit_leader", THANH_VINH);
    let status = stack
        .client(Some(elsewhere), Some("case_handling"))
        .cases
        .approve_case(request.clone())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_FOUND");
    client.clone().cases.approve_case(request).await.unwrap();
    let history = client
        .clone()
        .cases
        .list_case_history(egov_proto::egov::onestop::v1::ListCaseHistoryRequest {
            case_id: case.case_id,
            page_size: 0,
            page_token: String::new(),
        })
        .await
        .unwrap()
        .into_inner();
    let approved = history
        .entries
        .iter()
        .find(|entry| entry.actor_id == deputy.to_string())
        .unwrap();
    assert_eq!(approved.on_behalf_of_id, leader.to_string());
    // What somebody does by a role of their own is done in nobody's name.
    let assigned = history
        .entries
        .iter()
        .find(|entry| entry.operation == "assign")
        .unwrap();
    assert!(assigned.on_behalf_of_id.is_empty());
}

#[tokio::test]
async fn what_tells_the_portal_reads_the_cases_of_its_units_for_a_purpose_and_writes_nothing() {
    let stack = Stack::start().await;
    let portal = stack.portal(citizen());
    let file_id = upload(&portal, PDF).await;
    let mut request = birth_registration();
    request.components[0].file_ids = vec![file_id.clone()];
    let filed = portal.clone().cases.submit_case(request).await.unwrap();
    let case = filed.into_inner().case.unwrap();
    let system = |unit| {
        stack
            .tokens
            .system(Uuid::from_u128(0x901), &[("case_synchroniser", unit)])
    };
    let purpose = Some("portal_synchronisation");
    let read = get(&stack.client(Some(system(TRUONG_VINH)), purpose), &case.case_id)
        .await
        .unwrap();
    assert_eq!(read.case_code, case.case_code);
    let status = get(&stack.client(Some(system(TRUONG_VINH)), None), &case.case_id)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PURPOSE_MISSING");
    let status = get(&stack.client(Some(system(THANH_VINH)), purpose), &case.case_id)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_FOUND", "the neighbour's");
    // Its files likewise, and nothing is uploaded.
    let content = async |unit, purpose| {
        let mut files = stack.client(Some(system(unit)), purpose).files;
        let request = egov_proto::egov::onestop::v1::ReadFileRequest {
            file_id: file_id.clone(),
            ..Default::default()
        };
        files.read_file(request).await.map(|answer| answer.into_inner().data)
    };
    assert_eq!(content(TRUONG_VINH, purpose).await.unwrap(), PDF);
    let status = content(TRUONG_VINH, None).await.unwrap_err();
    assert_eq!(reason(&status), "PURPOSE_MISSING");
    let status = content(THANH_VINH, purpose).await.unwrap_err();
    assert_eq!(reason(&status), "FILE_NOT_FOUND", "the neighbour's");
    let start = egov_proto::egov::onestop::v1::StartUploadRequest {
        request_id: request_id(),
        name: "khác.pdf".to_owned(),
        size: 1,
        sha256: "0".repeat(64),
    };
    let mut files = stack.client(Some(system(TRUONG_VINH)), purpose).files;
    let status = files.start_upload(start).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let request = egov_proto::egov::onestop::v1::AcceptCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        ..Default::default()
    };
    let status = stack
        .client(Some(system(TRUONG_VINH)), purpose)
        .cases
        .accept_case(request)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let recorded: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM egov.read_records WHERE purpose = 'portal_synchronisation' AND $1 = ANY (subjects)",
    )
    .bind(citizen())
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(recorded, 2, "the person sees who read the case and its file");
}

#[tokio::test]
async fn reading_without_a_purpose_is_refused_and_with_one_recorded_before_the_data_leaves() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let token = stack.tokens.staff(Uuid::from_u128(5), &[("case_reader", TRUONG_VINH)]);
    let status = get(&stack.client(Some(token.clone()), None), &case.case_id)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PURPOSE_MISSING");
    get(&stack.client(Some(token), Some("inspection")), &case.case_id)
        .await
        .unwrap();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let recorded: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM egov.read_records WHERE purpose = 'inspection' AND $1 = ANY (subjects)",
    )
    .bind(citizen())
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(recorded, 1);
}

#[tokio::test]
async fn the_person_sees_within_a_second_by_which_unit_a_case_was_read_and_which_of_a_list_are_theirs() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let neighbour = Uuid::from_u128(0xC8);
    let others = stack
        .portal(neighbour)
        .cases
        .submit_case(birth_registration())
        .await
        .unwrap();
    let others = others.into_inner().case.unwrap();

    let list = async |citizen: Uuid| {
        let request = ListReadingsRequest {
            by_others_only: true,
            ..Default::default()
        };
        let answer = stack.portal(citizen).readings.list_readings(request).await.unwrap();
        answer.into_inner().readings
    };
    assert_eq!(list(citizen()).await, [], "nobody else has looked yet");

    let mut officer = stack.staff("officer", TRUONG_VINH);
    officer.cases.list_cases(ListCasesRequest::default()).await.unwrap();
    let deputy = stack
        .tokens
        .by_delegation(Uuid::from_u128(6), Uuid::from_u128(0x1EAD), "unit_leader", TRUONG_VINH);
    let began = std::time::Instant::now();
    get(&stack.client(Some(deputy), Some("inspection")), &case.case_id)
        .await
        .unwrap();
    let mine = list(citizen()).await;
    assert!(
        began.elapsed() < std::time::Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );

    assert_eq!(mine.len(), 2, "{mine:?}");
    let by_deputy = mine
        .iter()
        .find(|reading| reading.method.ends_with("/GetCase"))
        .unwrap();
    assert_eq!(by_deputy.resources, [format!("cases/{}", case.case_code)]);
    assert_eq!(by_deputy.purpose.as_ref().unwrap().code, "inspection");
    assert!(by_deputy.capacities[0].delegated, "{by_deputy:?}");
    assert_eq!(by_deputy.capacities[0].role, "unit_leader");
    let listed = mine
        .iter()
        .find(|reading| reading.method.ends_with("/ListCases"))
        .unwrap();
    assert_eq!(
        listed.resources,
        [format!("cases/{}", case.case_code)],
        "of two in the list"
    );
    assert_eq!(listed.reader_unit.as_ref().unwrap().name, "Phường Trường Vinh");
    assert!(!listed.capacities[0].delegated);
    let theirs = list(neighbour).await;
    assert_eq!(theirs.len(), 1);
    assert_eq!(theirs[0].resources, [format!("cases/{}", others.case_code)]);

    let made_up = stack.client(
        Some(stack.tokens.staff(Uuid::from_u128(5), &[("officer", TRUONG_VINH)])),
        Some("curiosity"),
    );
    let status = get(&made_up, &case.case_id).await.unwrap_err();
    assert_eq!(reason(&status), "PURPOSE_UNKNOWN");
    assert_eq!(
        list(citizen()).await.len(),
        2,
        "a purpose that no law knows reads nothing"
    );
}

#[tokio::test]
async fn without_a_token_nothing_but_the_public_rpcs_answers() {
    let stack = Stack::start().await;
    let status = stack
        .public()
        .cases
        .list_cases(ListCasesRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unauthenticated, "TOKEN_MISSING")
    );
}

#[tokio::test]
async fn an_eid_of_level_1_may_read_but_not_file() {
    let stack = Stack::start().await;
    let token = stack
        .tokens
        .on_behalf(Uuid::from_u128(0x900), &[], citizen(), Assurance::Low);
    let mut client = stack.client(Some(token), Some("own_case"));
    assert!(client.cases.list_cases(ListCasesRequest::default()).await.is_ok());
    let status = client.cases.submit_case(birth_registration()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::PermissionDenied, "ASSURANCE_TOO_LOW")
    );
}

/// role × RPC × own/neighbour unit, from the same decision function that the service asks. The checked-in table is what
/// a reviewer of a policy reads; `EGOV_WRITE_MATRIX=1 cargo test` writes it anew.
#[tokio::test]
async fn the_access_matrix_is_the_one_that_was_reviewed() {
    let policy = std::fs::read_to_string(deploy().join("policies/onestop.toml")).unwrap();
    let unit = |id, parent| egov_auth::Unit { id, parent };
    let tree = UnitTree::new(
        1,
        [
            unit(PROVINCE, None),
            unit(TRUONG_VINH, Some(PROVINCE)),
            unit(THANH_VINH, Some(PROVINCE)),
        ],
    )
    .unwrap();
    let access = Access::new(
        Policies::from_toml(&[("onestop.toml", &policy)]).unwrap(),
        Arc::new(ArcSwap::from_pointee(tree)),
    );
    let contract = Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap();

    let tokens = Tokens::new();
    let verifier = egov_auth::Verifier::new(
        vec![egov_auth::Issuer::from_config(tokens.issuer()).unwrap()],
        egov_testkit::clock().shared(),
        egov_auth::VerifierConfig::default(),
    );
    let me = citizen();
    let staff = |role: &str| tokens.staff(Uuid::from_u128(9), &[(role, TRUONG_VINH)]);
    let callers = [
        ("one_stop_clerk", staff("one_stop_clerk")),
        ("officer", staff("officer")),
        ("unit_leader", staff("unit_leader")),
        ("case_reader", staff("case_reader")),
        ("procedure_controller", staff("procedure_controller")),
        ("fee_accountant", staff("fee_accountant")),
        ("citizen eID 1", tokens.citizen(me, Assurance::Low)),
        ("citizen eID 2", tokens.citizen(me, Assurance::Substantial)),
        (
            "portal for citizen",
            tokens.on_behalf(
                Uuid::from_u128(0x900),
                &[("national_portal", 0)],
                me,
                Assurance::Substantial,
            ),
        ),
        (
            "portal alone",
            tokens.system(Uuid::from_u128(0x900), &[("national_portal", 0)]),
        ),
        (
            "case_synchroniser",
            tokens.system(Uuid::from_u128(0x901), &[("case_synchroniser", TRUONG_VINH)]),
        ),
    ];
    let mut rules: Vec<_> = contract
        .method_rules()
        .into_iter()
        .filter(|rule| rule.path.starts_with("/egov.onestop."))
        .collect();
    rules.sort_by(|a, b| a.path.cmp(&b.path));
    let mut table = String::from(
        "RPC × caller: o = of the own unit or of one's own, n = the neighbour's; - = refused; public = no token needed\n\n",
    );
    write!(table, "{:<44}", "").unwrap();
    for (name, _) in &callers {
        write!(table, " | {name:^18}").unwrap();
    }
    table.push('\n');
    for rule in rules {
        let name = rule.path.trim_start_matches("/egov.onestop.v1.");
        write!(table, "{name:<44}").unwrap();
        for (_, token) in &callers {
            let principal = verifier.verify(token).await.unwrap();
            let mine = Some(principal.record_owner());
            let rows = [
                (
                    "own",
                    Resource {
                        unit: Some(TRUONG_VINH),
                        owner: mine,
                        assignee: None,
                    },
                ),
                (
                    "neighbour",
                    Resource {
                        unit: Some(THANH_VINH),
                        owner: Some(Uuid::from_u128(0xC9)),
                        assignee: None,
                    },
                ),
            ];
            let cell = match &rule.permission {
                None => "public".to_owned(),
                Some(permission) => {
                    let mut cell = String::new();
                    for (which, row) in &rows {
                        let allowed = access
                            .decide(&principal, permission, row, Some("case_handling"))
                            .allowed;
                        cell.push(if allowed { which.chars().next().unwrap() } else { '-' });
                    }
                    cell
                }
            };
            write!(table, " | {cell:^18}").unwrap();
        }
        table.push('\n');
    }
    let path = deploy().join("policies/onestop.matrix.txt");
    if std::env::var_os("EGOV_WRITE_MATRIX").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        table, reviewed,
        "the policy changed: look at the new table, then write it with EGOV_WRITE_MATRIX=1"
    );
}

/// Calls every act on a case as this caller and gives the code of each refusal.
async fn every_act(client: &Client, case_id: &str, etag: &str) -> Vec<(&'static str, Code)> {
    use egov_proto::egov::onestop::v1;

    let mut cases = client.clone().cases;
    let (case_id, etag) = (case_id.to_owned(), etag.to_owned());
    let mut refused = Vec::new();
    macro_rules! act {
        ($method:ident, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {
            let request = v1::$request {
                request_id: request_id(),
                case_id: case_id.clone(),
                $($field: $value,)*
                ..Default::default()
            };
            let code = cases.$method(request).await.map_or_else(|status| status.code(), |_| Code::Ok);
            refused.push((stringify!($method), code));
        };
    }
    let text = || "vì vậy".to_owned();
    let item = v1::SupplementItem {
        component_code: String::new(),
        instruction: text(),
    };
    let result = v1::CaseResult {
        result_code: "KQ.G15.000031".to_owned(),
        ..Default::default()
    };
    act!(accept_case, AcceptCaseRequest { etag: etag.clone() });
    act!(
        reject_case,
        RejectCaseRequest {
            etag: etag.clone(),
            reason: text(),
            legal_basis: text()
        }
    );
    act!(
        request_supplement,
        RequestSupplementRequest {
            etag: etag.clone(),
            items: vec![item],
            reason: text()
        }
    );
    act!(
        supply_components,
        SupplyComponentsRequest {
            etag: etag.clone(),
            components: vec![component("giay_chung_sinh")]
        }
    );
    act!(
        assign_case,
        AssignCaseRequest {
            etag: etag.clone(),
            assignee_id: Uuid::from_u128(1).to_string()
        }
    );
    act!(
        record_step,
        RecordStepRequest {
            etag: etag.clone(),
            step: "tham_tra".to_owned()
        }
    );
    act!(
        approve_case,
        ApproveCaseRequest {
            etag: etag.clone(),
            results: vec![result]
        }
    );
    act!(
        stop_case,
        StopCaseRequest {
            etag: etag.clone(),
            reason: text(),
            legal_basis: text()
        }
    );
    act!(withdraw_case, WithdrawCaseRequest { etag: etag.clone() });
    act!(
        return_result,
        ReturnResultRequest {
            etag: etag.clone(),
            channel: 1
        }
    );
    act!(rate_case, RateCaseRequest { score: 3 });
    refused
}

#[tokio::test]
async fn every_act_is_forbidden_to_who_may_only_read_and_unknown_to_a_neighbour_and_a_stranger() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;

    let reader = stack.staff("case_reader", TRUONG_VINH);
    for (act, code) in every_act(&reader, &case.case_id, &case.etag).await {
        assert_eq!(code, Code::PermissionDenied, "{act} by a reader of the unit");
    }

    let everything = [
        ("one_stop_clerk", THANH_VINH),
        ("officer", THANH_VINH),
        ("unit_leader", THANH_VINH),
    ];
    let token = stack.tokens.staff(Uuid::from_u128(0x77), &everything);
    let neighbour = stack.client(Some(token), Some("case_handling"));
    for (act, code) in every_act(&neighbour, &case.case_id, &case.etag).await {
        // Rating is no act of staff at all, whoever the case belongs to.
        let expected = if act == "rate_case" {
            Code::PermissionDenied
        } else {
            Code::NotFound
        };
        assert_eq!(code, expected, "{act} by the neighbour's officials");
    }

    let stranger = stack.portal(Uuid::from_u128(0xC7));
    for (act, code) in every_act(&stranger, &case.case_id, &case.etag).await {
        let citizens = ["supply_components", "withdraw_case", "rate_case"].contains(&act);
        let expected = if citizens {
            Code::NotFound
        } else {
            Code::PermissionDenied
        };
        assert_eq!(code, expected, "{act} by another citizen");
    }
    assert_eq!(
        get(&reader, &case.case_id).await.unwrap().etag,
        case.etag,
        "none of it changed anything"
    );
}
