//! Việc: the inbox, taking and passing on, from reception to return.

use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::rebuild_leaves::{rebuild_leaves, without_row};
use egov_onestop::operations::verify::verify;
use egov_proto::egov::onestop::v1::{
    AddCommentRequest, AskOpinionRequest, AssignTaskRequest, CaseState, ClaimTaskRequest, CompleteTaskRequest,
    CompleteTaskResponse, DelegateTaskRequest, GetTaskRequest, GetTaskResponse, GiveOpinionRequest,
    HandOverTasksRequest, InboxItem, InboxView, ListCaseHistoryRequest, ListCaseHistoryResponse, ListCommentsRequest,
    ListInboxRequest, ListOwnHistoryRequest, ReassignTaskRequest, ReceptionDuty, RecordStepRequest, ReleaseTaskRequest,
    ReturnResultRequest, SendBackTaskRequest, SupplyComponentsRequest, Task, TaskKind, TaskState,
};
use egov_transparency::{LogReport, verify_kind};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::components::supplement;
use crate::support::*;

/// An officer of Trường Vinh of one's own account.
pub(crate) fn officer(stack: &Stack, account: u128) -> Client {
    with_roles(stack, account, &[("officer", TRUONG_VINH)])
}

pub(crate) fn with_roles(stack: &Stack, account: u128, roles: &[(&str, i32)]) -> Client {
    let token = stack.tokens.staff(Uuid::from_u128(account), roles);
    stack.client(Some(token), Some("case_handling"))
}

pub(crate) async fn inbox(client: &Client, view: InboxView, unit_id: i32) -> Vec<InboxItem> {
    let request = ListInboxRequest {
        view: view.into(),
        unit_id,
        ..Default::default()
    };
    client
        .clone()
        .work
        .list_inbox(request)
        .await
        .unwrap()
        .into_inner()
        .items
}

/// The open step of a case, as the leader of the unit sees it.
pub(crate) async fn open_step(stack: &Stack, case_id: &str) -> Task {
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    inbox(&leader, InboxView::Unit, TRUONG_VINH)
        .await
        .into_iter()
        .filter_map(|item| item.task)
        .find(|task| task.case_id == case_id && task.kind() == TaskKind::Step)
        .unwrap()
}

pub(crate) async fn claim(client: &Client, task: &Task) -> Result<Task, Status> {
    let request = ClaimTaskRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
    };
    let answer = client.clone().work.claim_task(request).await?;
    Ok(answer.into_inner().task.unwrap())
}

pub(crate) fn completion(task: &Task) -> CompleteTaskRequest {
    CompleteTaskRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
        note: "đã kiểm tra nội bộ".to_owned(),
        ..Default::default()
    }
}

pub(crate) async fn complete(client: &Client, task: &Task) -> Result<CompleteTaskResponse, Status> {
    Ok(client.clone().work.complete_task(completion(task)).await?.into_inner())
}

pub(crate) async fn details(client: &Client, task_id: &str) -> Result<GetTaskResponse, Status> {
    let request = GetTaskRequest {
        task_id: task_id.to_owned(),
    };
    Ok(client.clone().work.get_task(request).await?.into_inner())
}

/// Nothing that is stored contradicts itself.
pub(crate) async fn is_whole(stack: &Stack) {
    let verified = verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
        .await
        .unwrap();
    assert!(verified.is_whole(), "{:#?}", verified.violations);
}

#[tokio::test]
async fn a_case_goes_through_the_inboxes_from_reception_to_return() {
    let stack = Stack::start().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let (a, leader) = (officer(&stack, 0xA1), stack.staff("unit_leader", TRUONG_VINH));
    let case = submit(&stack).await.case.unwrap();

    // Reception lies with the clerk's role, and ends by the acceptance.
    let waiting = inbox(&clerk, InboxView::MyRoles, 0).await;
    let reception = waiting[0].task.clone().unwrap();
    assert_eq!((waiting.len(), reception.step.as_str()), (1, "tiep_nhan"));
    assert_eq!(reception.internal_step_state(), CaseState::Accepted);
    assert_eq!(waiting[0].case.as_ref().unwrap().owner_name, "Nguyễn Thị Hường");
    let owed = |item: &InboxItem| {
        item.reception
            .as_ref()
            .map(|owed| (owed.duty(), owed.due_time, owed.late))
    };
    let at = |text: &str| Some(egov_proto::timestamp(format!("{text}:00+07:00").parse().unwrap()));
    let answer = (ReceptionDuty::Answer, at("2026-11-25T08:30"), false);
    assert_eq!(
        owed(&waiting[0]),
        Some(answer),
        "eight working hours from Monday 08:00; Tuesday is a day off"
    );
    assert!(
        inbox(&a, InboxView::MyRoles, 0).await.is_empty(),
        "not the officer's role"
    );
    accept(&stack, &case).await;
    assert!(inbox(&clerk, InboxView::MyRoles, 0).await.is_empty());

    // The officer takes the appraisal: the case is assigned, 2 → 4.
    let appraisal = inbox(&a, InboxView::MyRoles, 0).await[0].clone();
    let transfer = (ReceptionDuty::Transfer, at("2026-11-23T17:00"), false);
    assert_eq!(owed(&appraisal), Some(transfer));
    let appraisal = appraisal.task.unwrap();
    assert_eq!(
        (appraisal.step.as_str(), appraisal.internal_step.as_str()),
        ("tham_tra", "tham_dinh")
    );
    let mut task = claim(&a, &appraisal).await.unwrap();
    let now = get(&clerk, &case.case_id).await.unwrap();
    assert_eq!(
        (now.state(), now.assignee_id.as_str()),
        (CaseState::Processing, task.assignee_id.as_str())
    );
    assert!(inbox(&a, InboxView::MyRoles, 0).await.is_empty());
    let mine = inbox(&a, InboxView::Mine, 0).await;
    assert_eq!((mine.len(), owed(&mine[0])), (1, None), "handed on");

    // Steps of the same role stay with who has the case.
    for (step, internal) in [
        ("xac_nhan_bieu_mau", "xac_nhan"),
        ("ghi_so", "vao_so"),
        ("trinh_ky", "trinh_ky"),
    ] {
        let done = complete(&a, &task).await.unwrap();
        assert_eq!(done.task.unwrap().state(), TaskState::Done);
        assert_eq!(done.case.unwrap().step, task.step);
        task = done.next.unwrap();
        assert_eq!((task.step.as_str(), task.internal_step.as_str()), (step, internal));
        assert_eq!(
            inbox(&a, InboxView::Mine, 0).await[0].task.as_ref().unwrap().task_id,
            task.task_id
        );
    }
    let signature = complete(&a, &task).await.unwrap().next.unwrap();
    assert_eq!((signature.step.as_str(), signature.assignee_id.as_str()), ("ky", ""));
    assert!(inbox(&a, InboxView::Mine, 0).await.is_empty());

    // The leader takes the signature, which ends by the decision; the officer keeps the case.
    let held = claim(
        &leader,
        &inbox(&leader, InboxView::MyRoles, 0).await[0].task.clone().unwrap(),
    )
    .await
    .unwrap();
    let now = get(&leader, &case.case_id).await.unwrap();
    assert_eq!(now.assignee_id, Uuid::from_u128(0xA1).to_string());
    assert_eq!(reason(&complete(&leader, &held).await.unwrap_err()), "TASK_NEEDS_ACT");
    let approved = approve(&stack, &now).await;
    assert_eq!(approved.state(), CaseState::Completed);
    let giving = inbox(&clerk, InboxView::MyRoles, 0).await[0].task.clone().unwrap();
    assert_eq!(giving.step, "tra_ket_qua");
    let returned = ReturnResultRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: approved.etag,
        channel: 2,
        ..Default::default()
    };
    clerk.clone().cases.return_result(returned).await.unwrap();
    assert!(
        inbox(&leader, InboxView::Unit, TRUONG_VINH).await.is_empty(),
        "nothing is left to do"
    );
    assert_eq!(reason(&claim(&clerk, &giving).await.unwrap_err()), "STALE_ETAG");
    is_whole(&stack).await;
}

/// A version of the birth registration whose appraisal ends with one of two outcomes.
fn with_outcomes(text: String) -> String {
    let branches = "next = [{ to = \"ghi_so\", outcome = \"đủ điều kiện\" }, \
                    { to = \"xac_nhan_bieu_mau\", outcome = \"cần xác nhận biểu mẫu\" }]";
    text.replacen(
        "code = \"tham_tra\"\n",
        &format!("code = \"tham_tra\"\n{branches}\n"),
        1,
    )
}

#[tokio::test]
async fn an_outcome_opens_its_branch_and_a_step_to_which_no_way_leads_is_not_recorded() {
    let stack = Stack::start().await;
    crate::migrations::next_version(&stack, with_outcomes).await;
    let case = submit(&stack).await.case.unwrap();
    accept(&stack, &case).await;
    let a = officer(&stack, 0xA1);
    let task = claim(&a, &open_step(&stack, &case.case_id).await).await.unwrap();
    assert_eq!(task.outcomes, ["đủ điều kiện", "cần xác nhận biểu mẫu"]);
    let ending = |task: &Task, outcome: &str| CompleteTaskRequest {
        outcome: outcome.to_owned(),
        ..completion(task)
    };
    for outcome in ["", "đủ"] {
        let status = a.clone().work.complete_task(ending(&task, outcome)).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "STEP_OUTCOME_UNKNOWN"),
            "{outcome:?}"
        );
        assert_eq!(
            egov_fault::fault_of(&status).metadata()["outcomes"],
            "đủ điều kiện; cần xác nhận biểu mẫu"
        );
    }
    assert_eq!(
        open_step(&stack, &case.case_id).await.etag,
        task.etag,
        "nothing changed"
    );
    let request = ending(&task, "đủ điều kiện");
    let done = a
        .clone()
        .work
        .complete_task(request.clone())
        .await
        .unwrap()
        .into_inner();
    let again = a.clone().work.complete_task(request).await.unwrap().into_inner();
    assert_eq!(done, again);
    assert_eq!(done.task.unwrap().outcome, "đủ điều kiện");
    let (next, now) = (done.next.unwrap(), done.case.unwrap());
    assert_eq!((next.step.as_str(), next.outcomes.len()), ("ghi_so", 0));
    assert_eq!(now.step_outcome, "đủ điều kiện");

    // The other branch is closed by now; a step without outcomes takes none.
    let record = |step: &str, outcome: &str| RecordStepRequest {
        request_id: request_id(),
        case_id: now.case_id.clone(),
        etag: now.etag.clone(),
        step: step.to_owned(),
        outcome: outcome.to_owned(),
        reason: "Hồ sơ đã được ghi vào sổ.".to_owned(),
        ..Default::default()
    };
    for (step, outcome, expected, (key, names)) in [
        (
            "xac_nhan_bieu_mau",
            "",
            "STEP_NOT_REACHED",
            ("reached", "ghi_so, trinh_ky"),
        ),
        (
            "tham_tra",
            "đủ điều kiện",
            "STEP_NOT_REACHED",
            ("reached", "ghi_so, trinh_ky"),
        ),
        ("ghi_so", "đủ điều kiện", "STEP_OUTCOME_UNKNOWN", ("outcomes", "")),
    ] {
        let status = a.clone().cases.record_step(record(step, outcome)).await.unwrap_err();
        assert_eq!(reason(&status), expected, "{step}");
        assert_eq!(egov_fault::fault_of(&status).metadata()[key], names, "{step}");
    }
    let recorded = a.clone().cases.record_step(record("ghi_so", "")).await.unwrap();
    assert_eq!(recorded.into_inner().case.unwrap().step_outcome, "");

    // Done again it comes to the other outcome; sent back from there it goes to the step that the outcome opened.
    let back = async |to_step: &str| {
        let task = open_step(&stack, &case.case_id).await;
        let request = SendBackTaskRequest {
            request_id: request_id(),
            task_id: task.task_id.clone(),
            etag: task.etag.clone(),
            to_step: to_step.to_owned(),
            reason: "xem lại".to_owned(),
            ..Default::default()
        };
        let answer = a.clone().work.send_back_task(request).await.unwrap().into_inner();
        answer.next.unwrap()
    };
    let task = back("tham_tra").await;
    assert_eq!((task.step.as_str(), task.outcome.as_str()), ("tham_tra", ""));
    let request = ending(&task, "cần xác nhận biểu mẫu");
    let done = a.clone().work.complete_task(request).await.unwrap().into_inner();
    let confirming = done.next.unwrap();
    assert_eq!(confirming.step, "xac_nhan_bieu_mau");
    assert_eq!(complete(&a, &confirming).await.unwrap().next.unwrap().step, "ghi_so");
    assert_eq!(back("").await.step, "xac_nhan_bieu_mau");
    let whole = get(&a, &case.case_id).await.unwrap();
    assert_eq!(whole.step_outcome, "cần xác nhận biểu mẫu");
    assert_eq!(whole.subject, "Đăng ký khai sinh cho con");

    // The applicant reads what RecordStep said, and neither notes, steps nor outcomes.
    let portal = stack.portal(citizen());
    let history = ListOwnHistoryRequest {
        case_id: case.case_id.clone(),
        ..Default::default()
    };
    let own = portal
        .clone()
        .work
        .list_own_history(history)
        .await
        .unwrap()
        .into_inner();
    let said: Vec<(&str, &str)> = own
        .entries
        .iter()
        .filter(|entry| !entry.reason.is_empty())
        .map(|entry| (entry.operation.as_str(), entry.reason.as_str()))
        .collect();
    assert_eq!(said, [("", "Hồ sơ đã được ghi vào sổ.")]);
    let history = ListCaseHistoryRequest {
        case_id: case.case_id.clone(),
        ..Default::default()
    };
    let entries = |answer: ListCaseHistoryResponse| -> Vec<(String, String)> {
        let entries = answer.entries.into_iter();
        entries.map(|entry| (entry.step, entry.outcome)).collect()
    };
    let own = portal.clone().cases.list_case_history(history.clone()).await.unwrap();
    let own = entries(own.into_inner());
    assert!(own.iter().all(|(step, outcome)| step.is_empty() && outcome.is_empty()));
    let whole = entries(a.clone().cases.list_case_history(history).await.unwrap().into_inner());
    assert!(whole.contains(&("tham_tra".to_owned(), "đủ điều kiện".to_owned())));
    let shown = get(&portal, &case.case_id).await.unwrap();
    assert_eq!(
        (shown.step_outcome.as_str(), shown.subject.as_str()),
        ("", "Đăng ký khai sinh cho con")
    );

    // A supplement is no way back: the step in whose course it was asked for is still to be done, and one before it is done again when it
    // was sent back.
    let asked = supplement(&a, &get(&a, &case.case_id).await.unwrap(), &["giay_chung_sinh"]).await;
    let supply = SupplyComponentsRequest {
        request_id: request_id(),
        case_id: asked.case_id.clone(),
        etag: asked.etag,
        components: vec![component("giay_chung_sinh")],
    };
    let supplied = portal
        .clone()
        .cases
        .supply_components(supply)
        .await
        .unwrap()
        .into_inner();
    let again = RecordStepRequest {
        etag: supplied.case.unwrap().etag,
        ..record("tham_tra", "đủ điều kiện")
    };
    let status = a.clone().cases.record_step(again).await.unwrap_err();
    assert_eq!(reason(&status), "STEP_NOT_REACHED");
    assert_eq!(
        egov_fault::fault_of(&status).metadata()["reached"],
        "xac_nhan_bieu_mau, ghi_so, trinh_ky"
    );
    assert_eq!(open_step(&stack, &case.case_id).await.step, "xac_nhan_bieu_mau");
    let task = back("tham_tra").await;
    let done = a
        .clone()
        .work
        .complete_task(ending(&task, "đủ điều kiện"))
        .await
        .unwrap();
    assert_eq!(done.into_inner().next.unwrap().step, "ghi_so");
    is_whole(&stack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_officers_claim_one_task_at_once_and_one_of_them_has_it() {
    let stack = Stack::start().await;
    for _ in 0..8 {
        let case = submit(&stack).await.case.unwrap();
        accept(&stack, &case).await;
        let task = open_step(&stack, &case.case_id).await;
        let (a, b) = (officer(&stack, 0xA1), officer(&stack, 0xB1));
        let (one, other) = tokio::join!(claim(&a, &task), claim(&b, &task));
        let (won, lost) = match (one, other) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            both => panic!("exactly one has it: {both:?}"),
        };
        assert_eq!(
            (lost.code(), reason(&lost).as_str()),
            (Code::FailedPrecondition, "TASK_TAKEN")
        );
        assert_eq!(egov_fault::fault_of(&lost).metadata()["assignee_id"], won.assignee_id);
        let now = get(&stack.staff("case_reader", TRUONG_VINH), &case.case_id)
            .await
            .unwrap();
        assert_eq!((now.version, &now.assignee_id), (3, &won.assignee_id), "assigned once");
    }
    is_whole(&stack).await;
}

#[tokio::test]
async fn the_same_claim_twice_gives_the_same_answer_and_makes_one_version() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    accept(&stack, &case).await;
    let task = open_step(&stack, &case.case_id).await;
    let a = officer(&stack, 0xA1);
    let request = ClaimTaskRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
    };
    let first = a.clone().work.claim_task(request.clone()).await.unwrap().into_inner();
    let again = a.clone().work.claim_task(request).await.unwrap().into_inner();
    assert_eq!(first, again);
    assert_eq!(details(&a, &task.task_id).await.unwrap().history.len(), 1);
}

#[tokio::test]
async fn work_is_given_passed_on_given_back_and_handed_to_another() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    accept(&stack, &case).await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let (a, b) = (officer(&stack, 0xA1), officer(&stack, 0xB1));
    let id = |account: u128| Uuid::from_u128(account).to_string();
    let task = open_step(&stack, &case.case_id).await;
    let given = AssignTaskRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
        assignee_id: id(0xA1),
        reason: String::new(),
    };
    let task = leader
        .clone()
        .work
        .assign_task(given)
        .await
        .unwrap()
        .into_inner()
        .task
        .unwrap();
    let passed = DelegateTaskRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
        delegate_id: id(0xB1),
        reason: "đi công tác".to_owned(),
    };
    let task = a
        .clone()
        .work
        .delegate_task(passed)
        .await
        .unwrap()
        .into_inner()
        .task
        .unwrap();
    assert_eq!(
        (task.assignee_id.clone(), task.delegator_id.clone()),
        (id(0xB1), id(0xA1))
    );
    let back = ReleaseTaskRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
        reason: String::new(),
    };
    let task = b
        .clone()
        .work
        .release_task(back)
        .await
        .unwrap()
        .into_inner()
        .task
        .unwrap();
    assert_eq!(
        (task.assignee_id.clone(), task.delegator_id.clone()),
        (id(0xA1), String::new())
    );
    let moved = ReassignTaskRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
        assignee_id: id(0xB1),
        reason: "cân đối việc".to_owned(),
    };
    let task = leader
        .clone()
        .work
        .reassign_task(moved)
        .await
        .unwrap()
        .into_inner()
        .task
        .unwrap();
    assert_eq!(inbox(&b, InboxView::Mine, 0).await.len(), 1);
    // The case follows who does its work.
    assert_eq!(get(&leader, &case.case_id).await.unwrap().assignee_id, id(0xB1));
    let done: Vec<String> = details(&b, &task.task_id)
        .await
        .unwrap()
        .history
        .into_iter()
        .map(|entry| entry.operation)
        .collect();
    assert_eq!(done, ["assign", "delegate", "release", "reassign"]);
    is_whole(&stack).await;
}

#[tokio::test]
async fn assigning_the_case_puts_its_step_into_the_officers_inbox() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let mine = inbox(&officer(&stack, 0xA1), InboxView::Mine, 0).await;
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0].case.as_ref().unwrap().case_code, case.case_code);
    is_whole(&stack).await;
}

#[tokio::test]
async fn a_delegated_role_takes_tasks_and_the_record_says_in_whose_name() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    accept(&stack, &case).await;
    let (deputy, principal) = (Uuid::from_u128(0x71), Uuid::from_u128(0x72));
    let token = stack.tokens.by_delegation(deputy, principal, "officer", TRUONG_VINH);
    let deputy = stack.client(Some(token), Some("case_handling"));
    let waiting = inbox(&deputy, InboxView::MyRoles, 0).await;
    let task = claim(&deputy, waiting[0].task.as_ref().unwrap()).await.unwrap();
    let history = details(&deputy, &task.task_id).await.unwrap().history;
    assert_eq!(history[0].on_behalf_of_id, principal.to_string());
}

#[tokio::test]
async fn what_an_absent_official_has_is_handed_over_part_by_part_and_none_twice() {
    let stack = Stack::start().await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let (a, b) = (officer(&stack, 0xA1), officer(&stack, 0xB1));
    for _ in 0..5 {
        let case = submit(&stack).await.case.unwrap();
        accept(&stack, &case).await;
        claim(&a, &open_step(&stack, &case.case_id).await).await.unwrap();
    }
    let order = |to: Option<u128>| HandOverTasksRequest {
        request_id: request_id(),
        from_account_id: Uuid::from_u128(0xA1).to_string(),
        to_account_id: to.map(|to| Uuid::from_u128(to).to_string()).unwrap_or_default(),
        unit_id: TRUONG_VINH,
        reason: "nghỉ ốm".to_owned(),
        max_tasks: 2,
    };
    let first = order(Some(0xB1));
    let mut work = leader.clone().work;
    let answer = work.hand_over_tasks(first.clone()).await.unwrap().into_inner();
    assert_eq!((answer.moved, answer.more), (2, true));
    // The same request again moves nothing more.
    let again = work.hand_over_tasks(first).await.unwrap().into_inner();
    assert_eq!((again.moved, again.more), (2, true));
    assert_eq!(inbox(&b, InboxView::Mine, 0).await.len(), 2);
    let answer = work.hand_over_tasks(order(Some(0xB1))).await.unwrap().into_inner();
    assert_eq!((answer.moved, answer.more), (2, true));
    let answer = work.hand_over_tasks(order(None)).await.unwrap().into_inner();
    assert_eq!((answer.moved, answer.more), (1, false));
    let answer = work.hand_over_tasks(order(None)).await.unwrap().into_inner();
    assert_eq!((answer.moved, answer.more), (0, false), "nothing is left");
    assert!(inbox(&a, InboxView::Mine, 0).await.is_empty());
    assert_eq!(inbox(&b, InboxView::Mine, 0).await.len(), 4);
    assert_eq!(inbox(&b, InboxView::MyRoles, 0).await.len(), 1, "back to the unit");
    is_whole(&stack).await;
}

#[tokio::test]
async fn an_inbox_comes_page_by_page_what_has_waited_longest_first_and_each_reading_is_recorded() {
    let stack = Stack::start().await;
    let mut filed = Vec::new();
    for _ in 0..5 {
        filed.push(submit(&stack).await.case.unwrap().case_id);
        stack.clock.advance(jiff::SignedDuration::from_secs(1));
    }
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListInboxRequest {
            view: InboxView::MyRoles.into(),
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let page = clerk.clone().work.list_inbox(request).await.unwrap().into_inner();
        seen.extend(page.items.into_iter().map(|item| item.task.unwrap().case_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, filed);
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let recorded: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM egov.read_records WHERE method LIKE '%ListInbox' AND $1 = ANY (subjects)",
    )
    .bind(citizen())
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(recorded, 3, "one for each page");

    // A leader narrows the unit's inbox to one role, to one official, or to both.
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    for case_id in &filed[..3] {
        let case = get(&clerk, case_id).await.unwrap();
        accept(&stack, &case).await;
    }
    let a = officer(&stack, 0xA1);
    claim(&a, &open_step(&stack, &filed[1]).await).await.unwrap();
    let official = |account: u128| Uuid::from_u128(account).to_string();
    let of_unit = |role: &str, assignee_id: String| ListInboxRequest {
        view: InboxView::Unit.into(),
        unit_id: TRUONG_VINH,
        role: role.to_owned(),
        assignee_id,
        ..Default::default()
    };
    let none = String::new;
    let asked: [(ListInboxRequest, &[usize]); 9] = [
        (of_unit("", none()), &[0, 1, 2, 3, 4]),
        (of_unit("officer", none()), &[0, 1, 2]),
        (of_unit("one_stop_clerk", none()), &[3, 4]),
        (of_unit("unit_leader", none()), &[]),
        (of_unit("", official(0xA1)), &[1]),
        (of_unit("officer", official(0xA1)), &[1]),
        (of_unit("one_stop_clerk", official(0xA1)), &[]),
        (of_unit("", official(0xB1)), &[]),
        (
            ListInboxRequest {
                unit_id: THANH_VINH,
                ..of_unit("officer", none())
            },
            &[],
        ),
    ];
    for (request, expected) in asked {
        let (mut work, asked) = (leader.clone().work, format!("{request:?}"));
        let items = work.list_inbox(request).await.unwrap().into_inner().items;
        let mut shown: Vec<String> = items.into_iter().map(|item| item.task.unwrap().case_id).collect();
        let mut expected: Vec<String> = expected.iter().map(|place| filed[*place].clone()).collect();
        shown.sort();
        expected.sort();
        assert_eq!(shown, expected, "{asked}");
    }

    // A page of one role is none of another; in the other views neither says anything, and both are named.
    let first = ListInboxRequest {
        page_size: 1,
        ..of_unit("officer", none())
    };
    let page = leader
        .clone()
        .work
        .list_inbox(first.clone())
        .await
        .unwrap()
        .into_inner();
    let request = ListInboxRequest {
        role: "one_stop_clerk".to_owned(),
        page_token: page.next_page_token,
        ..first
    };
    let status = leader.clone().work.list_inbox(request).await.unwrap_err();
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    for view in [InboxView::Mine, InboxView::MyRoles] {
        let request = ListInboxRequest {
            view: view.into(),
            ..of_unit("officer", official(0xA1))
        };
        let status = leader.clone().work.list_inbox(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let violations = egov_fault::fault_of(&status).violations().to_vec();
        let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["role", "assignee_id"], "{view:?}");
    }
}

#[tokio::test]
async fn another_unit_gives_its_opinion_sees_the_case_only_until_then_and_the_deadline_goes_on() {
    let stack = Stack::start().await;
    let a = officer(&stack, 0xA1);
    let neighbour = with_roles(&stack, 0xC1, &[("officer", THANH_VINH)]);
    let case = submit(&stack).await.case.unwrap();
    let accepted = accept(&stack, &case).await.case.unwrap();
    let task = claim(&a, &open_step(&stack, &case.case_id).await).await.unwrap();
    let question = AskOpinionRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
        unit_code: "16681".to_owned(),
        question: "Cha mẹ còn thường trú ở phường không?".to_owned(),
    };
    assert_eq!(get(&neighbour, &case.case_id).await.unwrap_err().code(), Code::NotFound);
    let asked = a
        .clone()
        .work
        .ask_opinion(question)
        .await
        .unwrap()
        .into_inner()
        .opinion
        .unwrap();
    assert_eq!(asked.responsible_unit_id, THANH_VINH);

    // The clock goes on: same state, no pause, same due date.
    stack.advance(jiff::SignedDuration::from_hours(3)).await;
    let a = officer(&stack, 0xA1);
    let neighbour = with_roles(&stack, 0xC1, &[("officer", THANH_VINH)]);
    let meanwhile = get(&neighbour, &case.case_id).await.unwrap();
    assert_eq!(meanwhile.state(), CaseState::Processing);
    assert!(meanwhile.pauses.is_empty());
    assert_eq!(meanwhile.deadline, accepted.deadline);
    let refused = complete(&a, &task).await.unwrap_err();
    assert_eq!(reason(&refused), "OPINION_AWAITED");

    let waiting = inbox(&neighbour, InboxView::MyRoles, 0).await;
    let question = claim(&neighbour, waiting[0].task.as_ref().unwrap()).await.unwrap();
    assert_eq!(question.question, "Cha mẹ còn thường trú ở phường không?");
    let opinion = GiveOpinionRequest {
        request_id: request_id(),
        task_id: question.task_id.clone(),
        etag: question.etag.clone(),
        opinion: "Còn thường trú".to_owned(),
        agrees: true,
    };
    neighbour.clone().work.give_opinion(opinion).await.unwrap();
    assert_eq!(
        get(&neighbour, &case.case_id).await.unwrap_err().code(),
        Code::NotFound,
        "no longer"
    );
    let given = details(&a, &task.task_id).await.unwrap().opinions;
    assert_eq!(
        (given[0].opinion.as_str(), given[0].agrees),
        ("Còn thường trú", Some(true))
    );
    complete(&a, &task).await.unwrap();
    is_whole(&stack).await;
}

#[tokio::test]
async fn whoever_goes_on_without_an_opinion_says_so_and_the_question_ends() {
    let stack = Stack::start().await;
    let a = officer(&stack, 0xA1);
    let case = submit(&stack).await.case.unwrap();
    accept(&stack, &case).await;
    let task = claim(&a, &open_step(&stack, &case.case_id).await).await.unwrap();
    let question = AskOpinionRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
        unit_code: "16681".to_owned(),
        question: "Có ý kiến gì không?".to_owned(),
    };
    a.clone().work.ask_opinion(question).await.unwrap();
    let neighbour = with_roles(&stack, 0xC1, &[("officer", THANH_VINH)]);
    assert_eq!(inbox(&neighbour, InboxView::MyRoles, 0).await.len(), 1);
    let without = CompleteTaskRequest {
        without_opinions: true,
        ..completion(&task)
    };
    a.clone().work.complete_task(without).await.unwrap();
    assert!(inbox(&neighbour, InboxView::MyRoles, 0).await.is_empty());
    let opinions = details(&a, &task.task_id).await.unwrap().opinions;
    assert_eq!(opinions[0].state(), TaskState::PassedOver);
    is_whole(&stack).await;
}

#[tokio::test]
async fn the_applicant_reads_the_own_history_without_notes_steps_and_officials() {
    let stack = Stack::start().await;
    let a = officer(&stack, 0xA1);
    let case = submit(&stack).await.case.unwrap();
    accept(&stack, &case).await;
    let task = claim(&a, &open_step(&stack, &case.case_id).await).await.unwrap();
    complete(&a, &task).await.unwrap();
    let note = AddCommentRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        text: "gọi lại cho người nộp".to_owned(),
        ..Default::default()
    };
    a.clone().work.add_comment(note).await.unwrap();

    let portal = stack.portal(citizen());
    let request = ListOwnHistoryRequest {
        case_id: case.case_id.clone(),
        ..Default::default()
    };
    let own = portal
        .clone()
        .work
        .list_own_history(request.clone())
        .await
        .unwrap()
        .into_inner();
    let seen: Vec<(&str, CaseState)> = own
        .entries
        .iter()
        .map(|entry| (entry.operation.as_str(), entry.state()))
        .collect();
    assert_eq!(
        seen,
        [
            ("submit", CaseState::Registered),
            ("accept", CaseState::Accepted),
            ("", CaseState::Processing)
        ],
        "the step within state 4 is the office's own business"
    );
    assert!(own.entries.iter().all(|entry| entry.reason.is_empty()));
    // The longer history tells the applicant no more.
    let long = ListCaseHistoryRequest {
        case_id: case.case_id.clone(),
        ..Default::default()
    };
    let long = portal
        .clone()
        .cases
        .list_case_history(long)
        .await
        .unwrap()
        .into_inner()
        .entries;
    assert_eq!(long.len(), 4);
    assert!(
        long.iter()
            .all(|entry| entry.step.is_empty() && entry.reason.is_empty())
    );
    assert!(
        !long
            .iter()
            .any(|entry| entry.actor_id == Uuid::from_u128(0xA1).to_string())
    );
    let shown = get(&portal, &case.case_id).await.unwrap();
    assert_eq!((shown.step.as_str(), shown.assignee_id.as_str()), ("", ""));

    // Notes are not for the applicant, own history is for nobody else.
    let notes = ListCommentsRequest {
        case_id: case.case_id.clone(),
        ..Default::default()
    };
    let status = portal.clone().work.list_comments(notes.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let found = a.clone().work.list_comments(notes).await.unwrap().into_inner().comments;
    assert_eq!(found[0].text, "gọi lại cho người nộp");
    let stranger = stack.portal(Uuid::from_u128(0xC7));
    let status = stranger
        .clone()
        .work
        .list_own_history(request.clone())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_FOUND");
    let status = a.clone().work.list_own_history(request).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    is_whole(&stack).await;

    // Whoever edits or deletes a note in the database is found out.
    assert_eq!(
        wrong_leaves(&stack, "case_comment").await,
        Vec::<String>::new(),
        "nothing was touched"
    );
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::raw_sql("SET session_replication_role = replica")
        .execute(&mut superuser)
        .await
        .unwrap();
    let id: Uuid = sqlx::query_scalar("SELECT comment_id FROM case_comments")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    for (forged, says) in [
        (
            "UPDATE case_comments SET text = text || 'x'",
            format!("case_comment {id} version 1 is not what its leaf commits to"),
        ),
        (
            "UPDATE case_comments SET text = left(text, -1), author_id = case_id",
            format!("case_comment {id} version 1 is not what its leaf commits to"),
        ),
        (
            "DELETE FROM case_comments",
            format!("case_comment {id} version 1: its row is gone"),
        ),
    ] {
        sqlx::query(forged).execute(&mut superuser).await.unwrap();
        assert_eq!(wrong_leaves(&stack, "case_comment").await, [says], "{forged}");
    }
}

/// What the verification of the ledger says of the leaves of a kind.
pub(crate) async fn wrong_leaves(stack: &Stack, kind: &str) -> Vec<String> {
    let mut report = LogReport::default();
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    verify_kind(&stack.pool, kind, &rebuilt, without_row(kind), &mut report)
        .await
        .unwrap();
    report.findings.iter().map(|one| one.detail.clone()).collect()
}

#[tokio::test]
async fn cases_from_before_there_were_tasks_get_the_one_that_is_due() {
    use sqlx::Executor as _;

    let stack = Stack::start().await;
    let in_4 = processing(&stack).await;
    submit(&stack).await;
    let accepted = submit(&stack).await.case.unwrap();
    accept(&stack, &accepted).await;
    let decided = processing(&stack).await;
    approve(&stack, &decided).await;
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    superuser.execute("DELETE FROM case_tasks").await.unwrap();
    let migration = include_str!("../../migrations/0017_tasks.sql");
    let filling = &migration[migration.find("INSERT INTO case_tasks").unwrap()..];
    superuser.execute(filling).await.unwrap();
    // The verification asks the domain which task is due.
    is_whole(&stack).await;
    let mine = inbox(&officer(&stack, 0xA1), InboxView::Mine, 0).await;
    assert_eq!(
        mine[0].task.as_ref().unwrap().case_id,
        in_4.case_id,
        "with who has the case"
    );

    // What an older process filed meanwhile gets its task with the next act.
    superuser.execute("DELETE FROM case_tasks").await.unwrap();
    let now = get(&officer(&stack, 0xA1), &in_4.case_id).await.unwrap();
    assign(&stack, &now).await;
    assert_eq!(open_step(&stack, &in_4.case_id).await.step, "tham_tra");
}
