//! Việc: every act on a task that is forbidden, and to whom; marks until they are dealt with.

use egov_proto::egov::onestop::v1::{
    AddCommentRequest, ApproveCaseRequest, AskOpinionRequest, AssignTaskRequest, Case, CaseResult, CaseState,
    CompleteTaskRequest, DelegateTaskRequest, GiveOpinionRequest, HandOverTasksRequest, InboxView, ListCommentsRequest,
    NewMark, ReassignTaskRequest, RecordStepRequest, ReleaseTaskRequest, SendBackTaskRequest, StopCaseRequest, Task,
    TaskState, WithdrawCaseRequest, new_mark::Target,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::*;
use crate::work::{claim, complete, completion, details, inbox, is_whole, officer, open_step, with_roles};

/// A case whose appraisal officer 0xA1 has.
async fn appraised(stack: &Stack) -> (Case, Task) {
    let case = submit(stack).await.case.unwrap();
    let accepted = accept(stack, &case).await.case.unwrap();
    let task = claim(&officer(stack, 0xA1), &open_step(stack, &case.case_id).await)
        .await
        .unwrap();
    (accepted, task)
}

fn send_back(task: &Task, marks: Vec<NewMark>) -> SendBackTaskRequest {
    SendBackTaskRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
        reason: "xem lại".to_owned(),
        marks,
        ..Default::default()
    }
}

fn on_component(code: &str) -> NewMark {
    NewMark {
        target: Some(Target::ComponentCode(code.to_owned())),
        text: "bản mờ".to_owned(),
    }
}

fn on_field(path: &str) -> NewMark {
    NewMark {
        target: Some(Target::Field(path.to_owned())),
        text: "viết sai dấu".to_owned(),
    }
}

/// Calls every act on a task as this caller, by an etag, and gives the code and reason of each refusal.
async fn every_act(client: &Client, task: &Task) -> Vec<(&'static str, Code, String)> {
    let mut work = client.clone().work;
    let mut refused = Vec::new();
    let somebody = Uuid::from_u128(0xE1).to_string();
    let why = || "vì vậy".to_owned();
    let mut keep = |act, status: Result<(), Status>| {
        let (code, reason) = match status {
            Ok(()) => (Code::Ok, String::new()),
            Err(status) => (status.code(), reason(&status)),
        };
        refused.push((act, code, reason));
    };
    macro_rules! act {
        ($method:ident, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {
            let request = $request {
                request_id: request_id(),
                task_id: task.task_id.clone(),
                etag: task.etag.clone(),
                $($field: $value,)*
                ..Default::default()
            };
            keep(stringify!($method), work.$method(request).await.map(drop));
        };
    }
    keep("claim_task", claim(client, task).await.map(drop));
    act!(release_task, ReleaseTaskRequest {});
    act!(
        assign_task,
        AssignTaskRequest {
            assignee_id: somebody.clone()
        }
    );
    act!(
        reassign_task,
        ReassignTaskRequest {
            assignee_id: somebody.clone(),
            reason: why()
        }
    );
    act!(
        delegate_task,
        DelegateTaskRequest {
            delegate_id: somebody.clone(),
            reason: why()
        }
    );
    act!(complete_task, CompleteTaskRequest {});
    act!(send_back_task, SendBackTaskRequest { reason: why() });
    act!(
        ask_opinion,
        AskOpinionRequest {
            unit_code: "16681".to_owned(),
            question: why()
        }
    );
    act!(give_opinion, GiveOpinionRequest { opinion: why() });
    refused
}

#[tokio::test]
async fn every_act_on_a_task_is_forbidden_to_a_reader_and_unknown_to_a_neighbour() {
    let stack = Stack::start().await;
    let (case, task) = appraised(&stack).await;
    let reader = stack.staff("case_reader", TRUONG_VINH);
    for (act, code, reason) in every_act(&reader, &task).await {
        assert_eq!(
            (code, reason.as_str()),
            (Code::PermissionDenied, "PERMISSION_MISSING"),
            "{act}"
        );
    }
    let neighbour = with_roles(&stack, 0x77, &[("officer", THANH_VINH), ("unit_leader", THANH_VINH)]);
    for (act, code, reason) in every_act(&neighbour, &task).await {
        assert_eq!((code, reason.as_str()), (Code::NotFound, "TASK_NOT_FOUND"), "{act}");
    }
    assert_eq!(
        details(&neighbour, &task.task_id).await.unwrap_err().code(),
        Code::NotFound
    );
    assert!(inbox(&neighbour, InboxView::Unit, TRUONG_VINH).await.is_empty());
    assert!(inbox(&neighbour, InboxView::MyRoles, 0).await.is_empty());
    for (act, code, _) in every_act(&stack.portal(citizen()), &task).await {
        assert_eq!(code, Code::PermissionDenied, "{act} by the applicant");
    }
    let over = HandOverTasksRequest {
        request_id: request_id(),
        from_account_id: Uuid::from_u128(0xA1).to_string(),
        unit_id: TRUONG_VINH,
        reason: "vắng".to_owned(),
        ..Default::default()
    };
    let status = neighbour.clone().work.hand_over_tasks(over).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let note = AddCommentRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        text: "x".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        neighbour
            .clone()
            .work
            .add_comment(note.clone())
            .await
            .unwrap_err()
            .code(),
        Code::NotFound
    );
    assert_eq!(
        reason(&reader.clone().work.add_comment(note).await.unwrap_err()),
        "PERMISSION_MISSING"
    );
    let notes = ListCommentsRequest {
        case_id: case.case_id,
        ..Default::default()
    };
    assert_eq!(
        neighbour.clone().work.list_comments(notes).await.unwrap_err().code(),
        Code::NotFound
    );
    let now = details(&reader, &task.task_id).await.unwrap().task.unwrap();
    assert_eq!(now.etag, task.etag, "none of it changed anything");
}

#[tokio::test]
async fn nobody_but_the_holder_works_on_a_task_and_nobody_on_one_that_has_ended() {
    let stack = Stack::start().await;
    let (_, task) = appraised(&stack).await;
    let other = with_roles(&stack, 0xB1, &[("officer", TRUONG_VINH), ("unit_leader", TRUONG_VINH)]);
    let reasons: Vec<(&str, String)> = every_act(&other, &task)
        .await
        .into_iter()
        .map(|(act, _, why)| (act, why))
        .collect();
    let expected = [
        ("claim_task", "TASK_TAKEN"),
        ("release_task", "TASK_NOT_HELD"),
        ("assign_task", "TASK_TAKEN"),
        // A leader may take it away: allowed, and then the etag that the others bring is old.
        ("reassign_task", ""),
        ("delegate_task", "STALE_ETAG"),
        ("complete_task", "STALE_ETAG"),
        ("send_back_task", "STALE_ETAG"),
        ("ask_opinion", "STALE_ETAG"),
        ("give_opinion", "STALE_ETAG"),
    ];
    assert_eq!(reasons, expected.map(|(act, why)| (act, why.to_owned())));

    let now = details(&other, &task.task_id).await.unwrap().task.unwrap();
    for (act, why) in every_act(&officer(&stack, 0xB2), &now)
        .await
        .into_iter()
        .map(|(act, _, why)| (act, why))
    {
        let expected = match act {
            "claim_task" => "TASK_TAKEN",
            "assign_task" | "reassign_task" => "PERMISSION_MISSING",
            "give_opinion" => "TASK_OTHER_KIND",
            _ => "TASK_NOT_HELD",
        };
        assert_eq!(why, expected, "{act} by a colleague");
    }

    let holder = officer(&stack, 0xE1);
    complete(&holder, &now).await.unwrap();
    let ended = details(&holder, &task.task_id).await.unwrap().task.unwrap();
    assert_eq!(ended.state(), TaskState::Done);
    let both = with_roles(&stack, 0xE1, &[("officer", TRUONG_VINH), ("unit_leader", TRUONG_VINH)]);
    for (act, _, why) in every_act(&both, &ended).await {
        let expected = if act == "give_opinion" {
            "TASK_OTHER_KIND"
        } else {
            "TASK_CLOSED"
        };
        assert_eq!(why, expected, "{act} after the end");
    }
    is_whole(&stack).await;
}

#[tokio::test]
async fn the_role_that_a_step_names_is_a_check() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    accept(&stack, &case).await;
    let task = open_step(&stack, &case.case_id).await;
    for role in ["one_stop_clerk", "unit_leader"] {
        let status = claim(&stack.staff(role, TRUONG_VINH), &task).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::PermissionDenied, "ROLE_MISSING"),
            "{role}"
        );
        let fault = egov_fault::fault_of(&status);
        assert_eq!(
            (fault.metadata()["role"].as_str(), fault.metadata()["step"].as_str()),
            ("officer", "tham_tra")
        );
    }
    let case = get(&stack.staff("unit_leader", TRUONG_VINH), &case.case_id)
        .await
        .unwrap();
    let record = |step: &str| RecordStepRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        step: step.to_owned(),
        ..Default::default()
    };
    // Both may process cases; neither is an officer.
    for role in ["one_stop_clerk", "unit_leader"] {
        let status = stack
            .staff(role, TRUONG_VINH)
            .cases
            .record_step(record("tham_tra"))
            .await
            .unwrap_err();
        assert_eq!(reason(&status), "ROLE_MISSING", "{role}");
    }
    let above = with_roles(&stack, 0xD1, &[("officer", PROVINCE)]);
    above.clone().cases.record_step(record("tham_tra")).await.unwrap();
    is_whole(&stack).await;
}

#[tokio::test]
async fn what_is_sent_back_carries_marks_that_are_shown_until_dealt_with() {
    let stack = Stack::start().await;
    let a = officer(&stack, 0xA1);
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let (case, task) = appraised(&stack).await;
    // The first inner step has none before it.
    let status = a
        .clone()
        .work
        .send_back_task(send_back(&task, Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SEND_BACK_NOWHERE");
    let mut task = task;
    for _ in 0..4 {
        task = complete(&a, &task).await.unwrap().next.unwrap();
    }
    let signature = claim(&leader, &task).await.unwrap();

    // What no case and no procedure has cannot be marked; nothing is changed by the refusal.
    let wrong = send_back(
        &signature,
        vec![on_field("owner.so_giay"), on_component("giay_chung_sinh")],
    );
    let status = leader.clone().work.send_back_task(wrong).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "MARK_FIELD_UNKNOWN")
    );
    let wrong = send_back(&signature, vec![on_component("khong_co")]);
    let status = leader.clone().work.send_back_task(wrong).await.unwrap_err();
    assert_eq!(reason(&status), "COMPONENT_UNKNOWN");
    let nowhere = SendBackTaskRequest {
        to_step: "tiep_nhan".to_owned(),
        ..send_back(&signature, Vec::new())
    };
    let status = leader.clone().work.send_back_task(nowhere).await.unwrap_err();
    assert_eq!(reason(&status), "SEND_BACK_NOWHERE");
    let earlier = &egov_fault::fault_of(&status).metadata()["earlier_steps"].clone();
    assert_eq!(earlier, "tham_tra, xac_nhan_bieu_mau, ghi_so, trinh_ky");

    let back = SendBackTaskRequest {
        to_step: "tham_tra".to_owned(),
        ..send_back(
            &signature,
            vec![on_field("owner.full_name"), on_component("giay_chung_sinh")],
        )
    };
    let answer = leader
        .clone()
        .work
        .send_back_task(back.clone())
        .await
        .unwrap()
        .into_inner();
    let again = leader.clone().work.send_back_task(back).await.unwrap().into_inner();
    assert_eq!(answer, again, "the same request makes no second marks");
    assert_eq!(answer.task.unwrap().state(), TaskState::SentBack);
    let now = answer.case.unwrap();
    assert_eq!(
        (now.state(), now.deadline.as_ref()),
        (CaseState::Processing, case.deadline.as_ref())
    );
    let again = answer.next.unwrap();
    assert_eq!(
        (again.step.as_str(), again.assignee_id),
        ("tham_tra", Uuid::from_u128(0xA1).to_string())
    );

    let item = &inbox(&a, InboxView::Mine, 0).await[0];
    assert_eq!(item.open_marks, 2);
    let task = item.task.clone().unwrap();
    let marks = details(&a, &task.task_id).await.unwrap().open_marks;
    assert_eq!(marks.len(), 2);
    assert!(
        marks
            .iter()
            .any(|mark| mark.field == "owner.full_name" && mark.text == "viết sai dấu")
    );
    // Neither way goes on while they are open.
    assert_eq!(reason(&complete(&a, &task).await.unwrap_err()), "MARKS_OPEN");
    let record = RecordStepRequest {
        request_id: request_id(),
        case_id: now.case_id.clone(),
        etag: now.etag.clone(),
        step: "tham_tra".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        reason(&a.clone().cases.record_step(record).await.unwrap_err()),
        "MARKS_OPEN"
    );
    let approve = ApproveCaseRequest {
        request_id: request_id(),
        case_id: now.case_id.clone(),
        etag: now.etag.clone(),
        results: vec![CaseResult {
            result_code: "KQ.G15.000031".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    assert_eq!(
        reason(&leader.clone().cases.approve_case(approve).await.unwrap_err()),
        "MARKS_OPEN"
    );
    let unknown = CompleteTaskRequest {
        resolved_mark_ids: vec![Uuid::from_u128(9).to_string()],
        ..completion(&task)
    };
    assert_eq!(
        reason(&a.clone().work.complete_task(unknown).await.unwrap_err()),
        "MARK_UNKNOWN"
    );
    let one = CompleteTaskRequest {
        resolved_mark_ids: vec![marks[0].mark_id.clone()],
        ..completion(&task)
    };
    assert_eq!(
        reason(&a.clone().work.complete_task(one).await.unwrap_err()),
        "MARKS_OPEN"
    );
    assert_eq!(
        details(&a, &task.task_id).await.unwrap().open_marks.len(),
        2,
        "a refusal deals with none"
    );
    let all = CompleteTaskRequest {
        resolved_mark_ids: marks.iter().map(|mark| mark.mark_id.clone()).collect(),
        ..completion(&task)
    };
    let next = a
        .clone()
        .work
        .complete_task(all)
        .await
        .unwrap()
        .into_inner()
        .next
        .unwrap();
    assert!(details(&a, &next.task_id).await.unwrap().open_marks.is_empty());
    is_whole(&stack).await;
}

#[tokio::test]
async fn outside_processing_nothing_is_sent_back_and_nobody_is_asked() {
    let stack = Stack::start().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let case = submit(&stack).await.case.unwrap();
    let reception = claim(&clerk, &open_step(&stack, &case.case_id).await).await.unwrap();
    assert_eq!(
        get(&clerk, &case.case_id).await.unwrap().state(),
        CaseState::Registered,
        "whoever takes the reception has not accepted"
    );
    let question = AskOpinionRequest {
        request_id: request_id(),
        task_id: reception.task_id.clone(),
        etag: reception.etag.clone(),
        unit_code: "16681".to_owned(),
        question: "?".to_owned(),
    };
    let status = clerk.clone().work.ask_opinion(question).await.unwrap_err();
    assert_eq!(reason(&status), "STEP_OUT_OF_STATE");
    let status = clerk
        .clone()
        .work
        .send_back_task(send_back(&reception, Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SEND_BACK_NOWHERE");
    assert_eq!(
        reason(&complete(&clerk, &reception).await.unwrap_err()),
        "TASK_NEEDS_ACT"
    );
    is_whole(&stack).await;
}

#[tokio::test]
async fn while_a_supplement_is_awaited_the_step_waits_with_who_has_it() {
    let stack = Stack::start().await;
    let a = officer(&stack, 0xA1);
    let (_, task) = appraised(&stack).await;
    let case = get(&a, &task.case_id).await.unwrap();
    let asked = egov_proto::egov::onestop::v1::RequestSupplementRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        items: vec![egov_proto::egov::onestop::v1::SupplementItem {
            component_code: "giay_chung_sinh".to_owned(),
            instruction: "nộp bản rõ".to_owned(),
        }],
        reason: "bản mờ".to_owned(),
        ..Default::default()
    };
    let paused = a
        .clone()
        .cases
        .request_supplement(asked)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(paused.state(), CaseState::SupplementRequested);
    assert_eq!(
        reason(&complete(&a, &task).await.unwrap_err()),
        "TRANSITION_NOT_ALLOWED"
    );
    let mine = inbox(&a, InboxView::Mine, 0).await;
    assert_eq!(mine[0].task.as_ref().unwrap().etag, task.etag);
    is_whole(&stack).await;
}

#[tokio::test]
async fn a_case_that_ends_takes_its_tasks_along() {
    let stack = Stack::start().await;
    let a = officer(&stack, 0xA1);
    // Withdrawn by the applicant, whose own scope holds no tasks.
    let (_, task) = appraised(&stack).await;
    let case = get(&a, &task.case_id).await.unwrap();
    let withdraw = WithdrawCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        ..Default::default()
    };
    stack.portal(citizen()).cases.withdraw_case(withdraw).await.unwrap();
    let ended = details(&a, &task.task_id).await.unwrap().task.unwrap();
    assert_eq!(ended.state(), TaskState::PassedOver);

    let (_, task) = appraised(&stack).await;
    let case = get(&a, &task.case_id).await.unwrap();
    let stop = StopCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        reason: "không đủ điều kiện".to_owned(),
        legal_basis: "NĐ 118/2025/NĐ-CP".to_owned(),
    };
    stack
        .staff("unit_leader", TRUONG_VINH)
        .cases
        .stop_case(stop)
        .await
        .unwrap();
    assert!(inbox(&a, InboxView::Mine, 0).await.is_empty());
    is_whole(&stack).await;
}
