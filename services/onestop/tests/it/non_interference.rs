//! Non-interference (không can thiệp): rows that a caller may not see change none of that caller's answers, whatever is asked.
//!
//! Generated from the descriptors: each read RPC of the service is asked by each caller, with every field that it has; then the neighbour's cases
//! are added, acted upon, changed behind the service's back and deleted, and after each of it all answers must be what they were. A new RPC,
//! or a new field, is covered without a hand, or named by the failure because nothing is known to fill it with.

use std::collections::BTreeMap;

use egov_proto::egov::onestop::v1 as proto;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::components::{BIRTH_NOTICE, ask_for, digitise};
use crate::fees::{cash, charge, import_treasury, owing, reconcile_day};
use crate::readers::{Answer, Asker, Known, Reader, read_rpcs};
use crate::support::*;

const PACKAGE: &str = "egov.onestop.v1";

/// A citizen of the neighbour.
fn stranger() -> Uuid {
    Uuid::from_u128(0xC9)
}

/// Everybody who sees something at Trường Vinh, and nothing at Thành Vinh.
fn askers(stack: &Stack) -> Vec<Asker> {
    let staff = |name: &'static str| Asker {
        name,
        token: Some(
            stack
                .tokens
                .staff(Uuid::from_u128(0x51), &[(name, TRUONG_VINH), ("staff", TRUONG_VINH)]),
        ),
        purpose: Some("case_handling"),
    };
    vec![
        staff("officer"),
        staff("unit_leader"),
        staff("fee_accountant"),
        Asker {
            name: "procedure_controller",
            token: Some(
                stack
                    .tokens
                    .staff(Uuid::from_u128(0x52), &[("procedure_controller", PROVINCE)]),
            ),
            purpose: Some("case_handling"),
        },
        Asker {
            name: "case_synchroniser",
            token: Some(
                stack
                    .tokens
                    .system(Uuid::from_u128(0x901), &[("case_synchroniser", TRUONG_VINH)]),
            ),
            purpose: Some("portal_synchronisation"),
        },
        Asker {
            name: "citizen",
            token: Some(stack.portal_token(citizen())),
            purpose: Some("own_case"),
        },
        Asker {
            name: "nobody",
            token: None,
            purpose: None,
        },
    ]
}

/// What there is at Trường Vinh, by the names of the fields that ask for it.
async fn own_rows(stack: &Stack) -> Known {
    let first = submit(stack).await;
    let secret = first.lookup_secret;
    let first = digitise(stack, &first.case.unwrap(), BIRTH_NOTICE).await;
    let working = ask_for(stack, &processing(stack).await, BIRTH_NOTICE).await;
    let decided = approve(stack, &processing(stack).await).await;
    for name in ["Trần Văn Hùng", "Nguyễn Thị Hường"] {
        let mut request = birth_registration();
        request.owner = Some(owner(name));
        stack.portal(citizen()).cases.submit_case(request).await.unwrap();
    }
    let upload = proto::StartUploadRequest {
        request_id: request_id(),
        name: "đơn.pdf".to_owned(),
        size: PDF.len() as i64,
        sha256: egov_files::Digest::of(PDF).to_string(),
    };
    let upload = stack
        .portal(citizen())
        .files
        .start_upload(upload)
        .await
        .unwrap()
        .into_inner();

    let linked = linked_application("16690");
    let linked = stack.portal(citizen()).linked.submit_linked_case(linked).await.unwrap();
    let linked = linked.into_inner().linked_case.unwrap();
    let charged = owing(stack).await;
    money(stack, TRUONG_VINH, &charged, ["BL-1", "BL-9"]).await;

    let day = |day: i32| json!({"year": 2026, "month": 11, "day": day});
    Known(BTreeMap::from([
        ("linked_case_id", vec![json!(linked.linked_case_id)]),
        (
            "case_id",
            vec![
                json!(decided.case_id),
                json!(working.case_id),
                json!(first.case_id),
                json!(charged.case_id),
            ],
        ),
        ("case_code", vec![json!(first.case_code)]),
        ("lookup_secret", vec![json!(secret)]),
        ("file_id", vec![json!(decided.results[0].file_id)]),
        ("upload_id", vec![json!(upload.upload_id)]),
        ("procedure_code", vec![json!("1.001193")]),
        ("sector_code", vec![json!("ho_tich")]),
        ("level", vec![json!("commune")]),
        ("path", vec![json!("fees")]),
        ("version", vec![json!(1)]),
        ("step", vec![json!("tham_tra")]),
        (
            "statistics",
            vec![json!({"dimension": 1, "from": day(23), "to": day(23)})],
        ),
        ("format", vec![json!(1)]),
        ("year", vec![json!(2026)]),
        ("month", vec![json!(10)]),
        ("offset", vec![json!(1)]),
        ("length", vec![json!(20)]),
        ("unit_id", vec![json!(TRUONG_VINH), json!(THANH_VINH)]),
        ("unit_code", vec![json!("16690"), json!("16681")]),
        // The last is the code that the neighbour's first case will have.
        (
            "query",
            [
                "nguyen",
                "Nguyễn Thị ",
                "huong nguyen t",
                "tran v",
                "h",
                "0912345678",
                "040190000123",
                "H41",
                "H41.202-261123-0001",
            ]
            .map(|query| json!(query))
            .to_vec(),
        ),
        ("google.type.Date", vec![day(23), day(30)]),
        ("google.protobuf.Timestamp", vec![json!("2026-11-23T00:00:00Z")]),
    ]))
}

/// Readers that ask for rows which this world does not have yet: drafts, migrations, reports, tickets, tasks by their ids. Whoever makes such rows in `own_rows` takes the line away.
const WITHOUT_ROWS: [&str; 13] = [
    "egov.onestop.v1.CounterService.ListTickets",
    "egov.onestop.v1.DeadlineService.PreviewCalendarChange",
    "egov.onestop.v1.DefinitionService.GetDraft",
    "egov.onestop.v1.DefinitionService.GetMigration",
    "egov.onestop.v1.DefinitionService.LintDraft",
    "egov.onestop.v1.DefinitionService.ListDraftChanges",
    "egov.onestop.v1.DefinitionService.ListMigratedCases",
    "egov.onestop.v1.DefinitionService.PreviewMigration",
    "egov.onestop.v1.DefinitionService.Simulate",
    "egov.onestop.v1.ReportService.CheckReport",
    "egov.onestop.v1.ReportService.ExportReport",
    "egov.onestop.v1.ReportService.GetReport",
    "egov.onestop.v1.WorkService.GetTask",
];

/// Who may see the figures of all units, by the policy: whoever answers for procedures at the province. Figures of our unit alone are
/// the same for them too.
fn sees_all(asker: &str, rpc: &str, request: &Map<String, Value>) -> bool {
    let unit = request
        .get("unit_id")
        .or_else(|| request.get("statistics")?.get("unit_id"));
    asker == "procedure_controller"
        && rpc.starts_with("egov.onestop.v1.ReportService.")
        && unit.is_none_or(|unit| *unit != json!(TRUONG_VINH))
}

/// Every question of every caller to every RPC.
struct Questions {
    readers: Vec<Reader>,
    askers: Vec<Asker>,
    asked: Vec<(usize, usize, Map<String, Value>)>,
}

impl Questions {
    /// Panics with the names of RPCs and fields that cannot be asked.
    async fn gather(stack: &Stack, known: &Known) -> Self {
        let readers: Vec<Reader> = read_rpcs(PACKAGE)
            .into_iter()
            .map(|rpc| Reader::new(stack, rpc))
            .filter(|reader| !WITHOUT_ROWS.contains(&reader.name()))
            .collect();
        let askers = askers(stack);
        let (mut asked, mut wrong) = (Vec::new(), Vec::new());
        for (place, reader) in readers.iter().enumerate() {
            let mut answered = false;
            for (who, asker) in askers.iter().enumerate() {
                let requests = match reader.requests(asker, known).await {
                    Ok(requests) => requests,
                    Err(unknown) => {
                        wrong.push(unknown);
                        break;
                    }
                };
                for request in requests {
                    answered |= reader.ask(asker, &request).await.is_ok();
                    asked.push((place, who, request));
                }
            }
            if !answered {
                wrong.push(format!("{}: nobody got an answer", reader.name()));
            }
        }
        wrong.sort();
        wrong.dedup();
        assert!(
            wrong.is_empty(),
            "these cannot be asked; say in own_rows() what fills them:\n{}",
            wrong.join("\n")
        );
        Self { readers, askers, asked }
    }

    async fn answers(&self) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(self.asked.len());
        for (place, who, request) in &self.asked {
            answers.push(self.readers[*place].ask(&self.askers[*who], request).await);
        }
        answers
    }

    /// Demands that everything is answered as before.
    async fn demand_the_same(&self, before: &[Answer], what: &str) {
        let after = self.answers().await;
        let changed: Vec<String> = self
            .asked
            .iter()
            .zip(before.iter().zip(&after))
            .filter(|(_, (before, after))| before != after)
            .filter(|((place, who, request), _)| {
                !sees_all(self.askers[*who].name, self.readers[*place].name(), request)
            })
            .map(|((place, who, request), (before, after))| {
                let (rpc, asker) = (self.readers[*place].name(), self.askers[*who].name);
                format!("{rpc} by {asker}, asked {request:?}:\n  before {before:?}\n  after  {after:?}")
            })
            .collect();
        assert!(
            changed.is_empty(),
            "{what} changes {} answers:\n{}",
            changed.len(),
            changed.join("\n")
        );
    }
}

/// A linked application of which both members are one unit's.
fn linked_application(unit: &str) -> proto::SubmitLinkedCaseRequest {
    let member = |code: &str, components: &[&str], conditions: &[&str]| proto::LinkedMemberFiling {
        member_code: code.to_owned(),
        competent_unit_code: unit.to_owned(),
        components: components.iter().map(|code| component(code)).collect(),
        conditions: conditions.iter().map(ToString::to_string).collect(),
    };
    proto::SubmitLinkedCaseRequest {
        request_id: request_id(),
        service_code: "2.000986".to_owned(),
        channel: proto::Channel::Online.into(),
        owner: Some(owner("Nguyễn Thị Hường")),
        members: vec![
            member("khai_sinh", &["mau_dien_tu", "giay_chung_sinh"], &[]),
            member("thuong_tru", &["to_khai_ct01"], &["nguoi_than"]),
        ],
        ..Default::default()
    }
}

/// Cash for a case of a unit against the first receipt, a file of the treasury in which it has another amount and the second receipt is
/// nobody's, and the day reconciled.
async fn money(stack: &Stack, unit_id: i32, case: &proto::Case, [receipt, stray]: [&str; 2]) {
    let clerk = stack.staff("one_stop_clerk", unit_id);
    let owed = charge(&clerk, case).await.unwrap();
    cash(&clerk, &owed, receipt, 8_000).await.unwrap();
    let accountant = stack.staff("fee_accountant", unit_id);
    let (day, code) = (jiff::civil::date(2026, 11, 23), &case.case_code);
    let lines = format!("23/11/2026,{code},{receipt},9000\n23/11/2026,{code},{stray},5000\n");
    import_treasury(&accountant, unit_id, day, &lines).await.unwrap();
    let done = reconcile_day(&accountant, unit_id, day).await.unwrap();
    assert!(done.open_differences >= 2, "{done:?}");
}

/// Files a case of the neighbour's under the same names and numbers as ours.
async fn neighbours_case(stack: &Stack, name: &str) -> proto::Case {
    let request = proto::SubmitCaseRequest {
        competent_unit_code: "16681".to_owned(),
        conditions: vec!["yeu_cau_ban_sao".to_owned()],
        owner: Some(owner(name)),
        ..birth_registration()
    };
    let answer = stack.portal(stranger()).cases.submit_case(request).await.unwrap();
    answer.into_inner().case.unwrap()
}

/// Takes a case of the neighbour's to its result.
async fn neighbours_acts(stack: &Stack, case: &proto::Case) {
    let mut clerk = stack.staff("one_stop_clerk", THANH_VINH);
    let accept = proto::AcceptCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
    };
    let case = clerk
        .cases
        .accept_case(accept)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    let mut leader = stack.staff("unit_leader", THANH_VINH);
    let assign = proto::AssignCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag,
        assignee_id: Uuid::from_u128(0xA9).to_string(),
        reason: String::new(),
    };
    let case = leader
        .cases
        .assign_case(assign)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    let approve = proto::ApproveCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag,
        results: vec![proto::CaseResult {
            result_code: "KQ.G15.000031".to_owned(),
            number: "77/2026".to_owned(),
            file_id: upload(&leader, PDF).await,
        }],
        reason: String::new(),
    };
    leader.cases.approve_case(approve).await.unwrap();
}

/// Deletes the neighbour's cases and everything that refers to them, table after table.
async fn delete_neighbours_cases(connection: &mut PgConnection) {
    sqlx::query("SET session_replication_role = replica")
        .execute(&mut *connection)
        .await
        .unwrap();
    let of_cases: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'case_id' AND NOT a.attisdropped
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'cases'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    assert!(of_cases.iter().any(|table| table == "case_tokens"), "{of_cases:?}");
    for table in of_cases {
        let statement = format!(
            "DELETE FROM {table} WHERE case_id IN (SELECT case_id FROM cases WHERE responsible_unit_id = {THANH_VINH})"
        );
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    let deleted = sqlx::query("DELETE FROM cases WHERE responsible_unit_id = $1")
        .bind(THANH_VINH)
        .execute(&mut *connection)
        .await
        .unwrap();
    assert_eq!(deleted.rows_affected(), 4);
    // What the treasury said belongs to no case.
    for table in ["payment_differences", "treasury_entries", "treasury_files", "fee_acts"] {
        let statement = format!("DELETE FROM {table} WHERE responsible_unit_id = {THANH_VINH}");
        let deleted = sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await
            .unwrap();
        assert!(deleted.rows_affected() > 0, "{table}");
    }
}

#[tokio::test]
async fn rows_that_a_caller_may_not_see_change_none_of_its_answers() {
    let stack = Stack::start().await;
    let known = own_rows(&stack).await;
    let questions = Questions::gather(&stack, &known).await;
    let before = questions.answers().await;
    let answered = before.iter().filter(|answer| answer.is_ok()).count();
    assert!(answered > 100, "{answered} of {} questions were answered", before.len());

    let first = neighbours_case(&stack, "Nguyễn Thị Hường").await;
    assert_eq!(first.case_code, "H41.202-261123-0001");
    neighbours_case(&stack, "Trần Văn Hùng").await;
    neighbours_case(&stack, "Nguyễn Văn Hưng").await;
    let linked = linked_application("16681");
    stack
        .portal(stranger())
        .linked
        .submit_linked_case(linked)
        .await
        .unwrap();
    questions.demand_the_same(&before, "adding the neighbour's cases").await;

    neighbours_acts(&stack, &first).await;
    questions
        .demand_the_same(&before, "acting on the neighbour's cases")
        .await;

    money(&stack, THANH_VINH, &first, ["BL-1", "BL-9"]).await;
    questions.demand_the_same(&before, "the neighbour's money").await;

    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let changed = sqlx::query(
        "UPDATE cases SET owner = jsonb_set(owner, '{full_name}', '\"Trần Thị Hường\"'), submit_time = submit_time - interval '3 days',
                          due_date = '2026-11-23', state = 5
         WHERE responsible_unit_id = $1",
    )
    .bind(THANH_VINH)
    .execute(&mut superuser)
    .await
    .unwrap();
    assert_eq!(changed.rows_affected(), 4);
    for change in [
        "UPDATE charge_payments SET amount_vnd = 1, paid_day = '2026-11-24' WHERE responsible_unit_id = 3",
        "UPDATE payment_differences SET state = 1, day = '2026-11-24' WHERE responsible_unit_id = 3",
    ] {
        let changed = sqlx::query(change).execute(&mut superuser).await.unwrap();
        assert!(changed.rows_affected() > 0, "{change}");
    }
    questions
        .demand_the_same(&before, "changing the neighbour's rows")
        .await;

    delete_neighbours_cases(&mut superuser).await;
    questions
        .demand_the_same(&before, "deleting the neighbour's rows")
        .await;
}

#[tokio::test]
async fn the_question_that_finds_interference_finds_it_where_the_row_may_be_seen() {
    // The counter-check: the same additions at the own unit change answers, so that equality above says something.
    let stack = Stack::start().await;
    let known = own_rows(&stack).await;
    let questions = Questions::gather(&stack, &known).await;
    let before = questions.answers().await;
    submit(&stack).await;
    let more = owing(&stack).await;
    money(&stack, TRUONG_VINH, &more, ["BL-2", "BL-8"]).await;
    let after = questions.answers().await;
    let changed: std::collections::BTreeSet<&str> = questions
        .asked
        .iter()
        .zip(before.iter().zip(&after))
        .filter(|(_, (before, after))| before != after)
        .map(|((place, ..), _)| questions.readers[*place].name())
        .collect();
    for rpc in [
        "CaseService.ListCases",
        "CaseService.SearchCases",
        "FeeService.GetPaymentFigures",
        "FeeService.ListDifferences",
    ] {
        assert!(
            changed.contains(format!("{PACKAGE}.{rpc}").as_str()),
            "{rpc}: {changed:?}"
        );
    }
}
