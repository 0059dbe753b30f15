//! Due dates through the port: each rule of the period, the extension with its apology, the explanation, what is foreseen.

use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::import::{Outcome, Packs, import};
use egov_onestop::operations::verify::verify;
use egov_proto::egov::onestop::v1::{
    AcceptCaseRequest, ApproveCaseRequest, Case, CaseResult, CaseState, Channel, ExplainDeadlineRequest,
    ExplainDeadlineResponse, ExtendDeadlineRequest, ExtendDeadlineResponse, ForecastDeadlinesRequest,
    ListCaseHistoryRequest, ListCasesAtRiskRequest, ListDeadlineChangesRequest, NoticeFile,
    PreviewCalendarChangeRequest, ReceptionDuty, RecordStepRequest, RequestSupplementRequest, ReturnResultRequest,
    SubmitCaseRequest, SupplementItem, SupplyComponentsRequest,
};
use egov_proto::google::r#type::Date;
use jiff::SignedDuration;
use tonic::{Code, Status};

use crate::support::*;

pub(crate) fn day(year: i32, month: i32, day: i32) -> Date {
    Date { year, month, day }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, why: &str) -> Status {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (code, why), "{status:?}");
    status
}

/// Cấp đổi Giấy chứng nhận (1.012783) online, at the province: fifteen working days, and state 6 among its steps.
fn certificate() -> SubmitCaseRequest {
    SubmitCaseRequest {
        procedure_code: "1.012783".to_owned(),
        competent_unit_code: "40".to_owned(),
        components: ["don_bien_dong", "giay_chung_nhan"].map(component).to_vec(),
        ..birth_registration()
    }
}

async fn accepted_at(stack: &Stack, unit: i32, request: SubmitCaseRequest) -> Case {
    let counter = request.channel() == Channel::Counter;
    let clerk = stack.staff("one_stop_clerk", unit);
    let mut filer = if counter {
        clerk.clone()
    } else {
        stack.portal(citizen())
    };
    let case = filer
        .cases
        .submit_case(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    let accept = AcceptCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
    };
    let answer = clerk.clone().cases.accept_case(accept).await.unwrap().into_inner();
    answer.case.unwrap()
}

/// A certificate in process since Monday 23/11/2026, 08:00; due on 15/12, since 24/11 is a day off.
pub(crate) async fn in_process(stack: &Stack) -> Case {
    let case = accepted_at(stack, PROVINCE, certificate()).await;
    assert_eq!(due(&case), day(2026, 12, 15));
    step(stack, &case, "kiem_tra").await
}

pub(crate) fn due(case: &Case) -> Date {
    case.deadline.as_ref().unwrap().due_date.unwrap()
}

pub(crate) async fn step(stack: &Stack, case: &Case, code: &str) -> Case {
    let request = RecordStepRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        step: code.to_owned(),
        ..Default::default()
    };
    let mut officer = stack.staff("officer", PROVINCE);
    officer
        .cases
        .record_step(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap()
}

pub(crate) async fn approve_certificate(stack: &Stack, case: &Case) -> Case {
    let request = ApproveCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        results: vec![CaseResult {
            result_code: "KQ.G10.001147".to_owned(),
            ..Default::default()
        }],
        reason: String::new(),
    };
    let mut leader = stack.staff("unit_leader", PROVINCE);
    leader
        .cases
        .approve_case(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap()
}

pub(crate) fn extension(case: &Case, to: Date) -> ExtendDeadlineRequest {
    ExtendDeadlineRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        new_due_date: Some(to),
        reason: "chờ ý kiến của cơ quan thuế về nghĩa vụ tài chính".to_owned(),
        legal_basis: "NĐ 118/2025/NĐ-CP".to_owned(),
        signer_name: "Trần Văn Minh".to_owned(),
        signer_title: "Giám đốc".to_owned(),
    }
}

pub(crate) async fn extend(client: &Client, request: ExtendDeadlineRequest) -> Result<ExtendDeadlineResponse, Status> {
    let mut deadlines = client.clone().deadlines;
    deadlines
        .extend_deadline(request)
        .await
        .map(tonic::Response::into_inner)
}

pub(crate) async fn explain(client: &Client, case_id: &str) -> Result<ExplainDeadlineResponse, Status> {
    let request = ExplainDeadlineRequest {
        case_id: case_id.to_owned(),
    };
    let mut deadlines = client.clone().deadlines;
    deadlines
        .explain_deadline(request)
        .await
        .map(tonic::Response::into_inner)
}

pub(crate) async fn whole(stack: &Stack) {
    let found = verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
        .await
        .unwrap();
    assert!(found.is_whole(), "{:?}", found.violations);
}

pub(crate) async fn count(stack: &Stack, query: &str) -> i64 {
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()))
        .fetch_one(&mut sql)
        .await
        .unwrap()
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[tokio::test]
async fn a_period_is_extended_once_with_a_reason_an_apology_and_a_new_date() {
    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    stack.advance(HOUR * 24 * 9).await;
    let leader = stack.staff("unit_leader", PROVINCE);
    // Wednesday 02/12: asked for in time.
    let request = extension(&case, day(2026, 12, 18));
    let answer = extend(&leader, request.clone()).await.unwrap();
    let extended = answer.case.clone().unwrap();
    assert_eq!(due(&extended), day(2026, 12, 18));
    assert_eq!(extended.state(), CaseState::Processing, "an extension is no transition");
    assert_ne!(extended.etag, case.etag);
    let kept = extended.extension.clone().unwrap();
    assert_eq!((kept.working_days, kept.new_due_date), (3, Some(day(2026, 12, 18))));
    assert_eq!(kept.old_due_time, case.deadline.as_ref().unwrap().due_time);
    assert!(!kept.after_latest);
    let days = &extended.deadline.as_ref().unwrap().days;
    assert_eq!(days.iter().filter(|note| note.kind == "extended").count(), 3);
    assert_eq!(days.iter().filter(|note| note.kind == "counted").count(), 15);

    // The apology is form 04, with everything that a paper of it needs.
    let apology = answer.apology.clone().unwrap();
    assert_eq!(apology.form_code, "04");
    assert!(apology.form_basis.contains("TT 03/2025/TT-VPCP"));
    assert_eq!(apology.agency_name, "Tỉnh Nghệ An");
    assert_eq!(apology.applicant_name, "Nguyễn Thị Hường");
    assert_eq!(apology.case_code, case.case_code);
    assert_eq!(apology.accept_time, case.accept_time);
    assert_eq!(apology.old_due_time, kept.old_due_time);
    assert_eq!(apology.new_due_date, Some(day(2026, 12, 18)));
    assert_eq!(apology.issue_date, Some(day(2026, 12, 2)));
    assert_eq!(
        (apology.signer_name.as_str(), apology.signer_title.as_str()),
        ("Trần Văn Minh", "Giám đốc")
    );
    assert!(!apology.reason.is_empty() && !apology.legal_basis.is_empty());

    // The same request again gets the same answer; another one is refused.
    assert_eq!(extend(&leader, request).await.unwrap(), answer);
    refused(
        extend(&leader, extension(&extended, day(2026, 12, 25))).await,
        Code::FailedPrecondition,
        "DEADLINE_ALREADY_EXTENDED",
    );
    let history = leader
        .clone()
        .cases
        .list_case_history(ListCaseHistoryRequest {
            case_id: case.case_id.clone(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    let last = history.entries.last().unwrap();
    assert_eq!(last.operation, "extend_deadline");
    assert!(last.reason.contains("cơ quan thuế") && last.legal_basis.contains("118/2025"));
    let version = extended.version;
    assert_eq!(
        count(
            &stack,
            &format!("SELECT count(*) FROM egov.leaves WHERE version = {version}")
        )
        .await,
        1
    );
    assert_eq!(
        count(
            &stack,
            "SELECT (SELECT count(*) FROM egov.outbox WHERE kind = 'case_deadline_extended')
                  + (SELECT count(*) FROM egov.event_log WHERE kind = 'case_deadline_extended')"
        )
        .await,
        1
    );
    whole(&stack).await;
}

#[tokio::test]
async fn an_extension_is_refused_before_acceptance_while_the_clock_stands_still_and_after_expiry() {
    let stack = Stack::start().await;
    let leader = stack.staff("unit_leader", PROVINCE);
    let filed = stack
        .portal(citizen())
        .cases
        .submit_case(certificate())
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    refused(
        extend(&leader, extension(&filed, day(2026, 12, 18))).await,
        Code::FailedPrecondition,
        "DEADLINE_NOT_RUNNING",
    );
    let case = in_process(&stack).await;
    let paused = step(&stack, &case, "nghia_vu_tai_chinh").await;
    assert_eq!(paused.state(), CaseState::PaymentRequested);
    refused(
        extend(&leader, extension(&paused, day(2026, 12, 18))).await,
        Code::FailedPrecondition,
        "DEADLINE_NOT_RUNNING",
    );
    let running = step(&stack, &paused, "chinh_ly").await;
    // To the very moment at which the period expires.
    let expires = running.deadline.as_ref().unwrap().due_time.unwrap().seconds;
    let left = expires - running.accept_time.unwrap().seconds;
    stack.advance(SignedDuration::from_secs(left)).await;
    let leader = stack.staff("unit_leader", PROVINCE);
    refused(
        extend(&leader, extension(&running, day(2026, 12, 25))).await,
        Code::FailedPrecondition,
        "DEADLINE_PASSED",
    );
    // It is decided and the result returned all the same.
    let decided = approve_certificate(&stack, &running).await;
    refused(
        extend(&leader, extension(&decided, day(2026, 12, 25))).await,
        Code::FailedPrecondition,
        "DEADLINE_NOT_RUNNING",
    );
    whole(&stack).await;
}

#[tokio::test]
async fn a_new_date_that_is_a_day_off_or_not_later_is_named_and_nothing_changes() {
    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    let leader = stack.staff("unit_leader", PROVINCE);
    for (date, words) in [
        (day(2026, 12, 19), "not a working day"),
        (day(2026, 12, 15), "after the present due date"),
    ] {
        let status = extend(&leader, extension(&case, date)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let fault = egov_fault::fault_of(&status);
        let violation = &fault.violations()[0];
        assert_eq!(violation.field, "new_due_date");
        assert!(
            violation.en.contains(words) && !violation.vi.is_empty(),
            "{violation:?}"
        );
    }
    let mut blank = extension(&case, day(2026, 12, 18));
    blank.reason = "   ".to_owned();
    let status = extend(&leader, blank).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "reason");
    let unchanged = get(&leader, &case.case_id).await.unwrap();
    assert_eq!((unchanged.etag, unchanged.extension), (case.etag, None));
}

#[tokio::test]
async fn only_a_leader_of_the_unit_extends_and_a_neighbour_knows_of_nothing() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let to = day(2026, 11, 27);
    for role in ["one_stop_clerk", "officer", "case_reader"] {
        let status = extend(&stack.staff(role, TRUONG_VINH), extension(&case, to))
            .await
            .unwrap_err();
        assert_eq!(reason(&status), "PERMISSION_MISSING", "{role}");
    }
    let status = extend(&stack.portal(citizen()), extension(&case, to))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let neighbour = stack.staff("unit_leader", THANH_VINH);
    let status = extend(&neighbour, extension(&case, to)).await.unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_FOUND");
    assert_eq!(
        reason(&explain(&neighbour, &case.case_id).await.unwrap_err()),
        "CASE_NOT_FOUND"
    );
    extend(&stack.staff("unit_leader", TRUONG_VINH), extension(&case, to))
        .await
        .unwrap();
}

#[tokio::test]
async fn of_two_extensions_at_once_one_is_taken() {
    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    let (one, two) = (
        stack.staff("unit_leader", PROVINCE),
        stack.staff("unit_leader", PROVINCE),
    );
    let (first, second) = tokio::join!(
        extend(&one, extension(&case, day(2026, 12, 18))),
        extend(&two, extension(&case, day(2026, 12, 22))),
    );
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
    let lost = first.err().or_else(|| second.err()).unwrap();
    assert_eq!(reason(&lost), "STALE_ETAG");
    assert_eq!(count(&stack, "SELECT count(*) FROM case_extensions").await, 1);
    whole(&stack).await;
}

const FAR_AWAY: &str = r#"
[[notice]]
id = "vn-2030-test"
[notice.title]
vi = "Nghỉ ngày 10/06/2030"
en = "day off, 10/06/2030"
[notice.origin]
status = "confirmed"
legal_basis = "a test"
source = "a test"
[[notice.off]]
from = "2030-06-10"
to = "2030-06-10"
name = { vi = "Nghỉ", en = "off" }
"#;

/// Which calendar the service goes by.
async fn calendar_in_force(stack: &Stack) -> String {
    let request = PreviewCalendarChangeRequest {
        notices: vec![NoticeFile {
            name: "2030-b.toml".to_owned(),
            text: String::new(),
        }],
        ..Default::default()
    };
    let mut controller = stack.staff("procedure_controller", PROVINCE);
    let shown = controller.deadlines.preview_calendar_change(request).await.unwrap();
    shown.into_inner().calendar_version
}

#[tokio::test]
async fn an_extension_after_the_latest_moment_is_marked_while_nobody_established_it_and_refused_once_somebody_did() {
    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    // The latest moment is the close of Monday 14/12; it is Tuesday 15/12, 08:00.
    stack.advance(HOUR * 24 * 22).await;
    let leader = stack.staff("unit_leader", PROVINCE);
    let marked = extend(&leader, extension(&case, day(2026, 12, 18))).await.unwrap();
    assert!(marked.case.unwrap().extension.unwrap().after_latest);

    let stack = Stack::start().await;
    let before = calendar_in_force(&stack).await;
    // Nothing else changes, and all packs take long.
    let shipped = packs();
    let mut packs = Packs {
        calendar: shipped.calendar,
        deadlines: shipped.deadlines,
        ..Packs::default()
    };
    let text = packs.deadlines.get_mut("deadlines-2025.toml").unwrap();
    *text = text.replacen(
        "fact = { status = \"unconfirmed\",",
        "fact = { status = \"decided\", by = \"UBND tỉnh\", when = \"2026-01-01\", basis = \"a test\",",
        1,
    );
    // A day off in 2030, by which the test sees that the service has taken the import up.
    packs
        .calendar
        .insert("notices/2030.toml".to_owned(), FAR_AWAY.to_owned());
    let report = import(&stack.pool, &packs, Profile::Demo, |_| {}).await.unwrap();
    assert!(report.iter().all(|line| line.outcome != Outcome::Refused), "{report:?}");
    while calendar_in_force(&stack).await == before {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let case = in_process(&stack).await;
    stack.advance(HOUR * 24 * 22).await;
    let leader = stack.staff("unit_leader", PROVINCE);
    let status = refused(
        extend(&leader, extension(&case, day(2026, 12, 18))).await,
        Code::FailedPrecondition,
        "EXTENSION_TOO_LATE",
    );
    assert_eq!(
        egov_fault::fault_of(&status).metadata()["latest"],
        "2026-12-14T10:00:00Z"
    );
}

#[tokio::test]
async fn a_pause_after_an_extension_moves_the_new_date_on() {
    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    let leader = stack.staff("unit_leader", PROVINCE);
    let extended = extend(&leader, extension(&case, day(2026, 12, 17)))
        .await
        .unwrap()
        .case
        .unwrap();
    let paused = step(&stack, &extended, "nghia_vu_tai_chinh").await;
    stack.advance(HOUR * 24 * 7).await;
    let resumed = step(&stack, &paused, "chinh_ly").await;
    // Paused from 23/11 to Monday 30/11: fifteen working days from 01/12 end on 21/12, and two more on 23/12.
    assert_eq!(due(&resumed), day(2026, 12, 23));
    assert_eq!(
        resumed.extension.unwrap().new_due_date,
        Some(day(2026, 12, 17)),
        "what was promised stays on record"
    );
    let told = explain(&stack.staff("unit_leader", PROVINCE), &case.case_id)
        .await
        .unwrap();
    let causes: Vec<i32> = told.changes.iter().map(|change| change.cause).collect();
    assert_eq!(causes, [2, 1], "extended, then resumed");
    whole(&stack).await;
}

#[tokio::test]
async fn internal_waiting_never_pauses_and_states_5_and_6_do() {
    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    // A week of waiting for a colleague, recorded as a step of the procedure: the clock runs.
    stack.advance(HOUR * 24 * 7).await;
    let waiting = step(&stack, &case, "trich_luc").await;
    assert_eq!((due(&waiting), waiting.pauses.len()), (day(2026, 12, 15), 0));
    let told = explain(&stack.staff("officer", PROVINCE), &case.case_id).await.unwrap();
    assert_eq!(
        (told.paused, told.used.unwrap().days),
        (false, 3),
        "25/11, 26/11 and 27/11"
    );

    // State 5 stops it from 30/11 to 02/12: three working days are not counted.
    let ask = RequestSupplementRequest {
        request_id: request_id(),
        case_id: waiting.case_id.clone(),
        etag: waiting.etag.clone(),
        items: vec![SupplementItem {
            component_code: "giay_chung_nhan".to_owned(),
            instruction: "Bổ sung bản gốc".to_owned(),
        }],
        reason: "thiếu bản gốc".to_owned(),
        ..Default::default()
    };
    let mut officer = stack.staff("officer", PROVINCE);
    let paused = officer
        .cases
        .request_supplement(ask)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    stack.advance(HOUR * 48).await;
    let told = explain(&stack.staff("officer", PROVINCE), &case.case_id).await.unwrap();
    assert!(told.paused && told.paused_since.is_some() && told.forecast.is_none());
    assert_eq!((told.used.unwrap().days, told.remaining.unwrap().days), (3, 12));
    assert!(told.lines.iter().any(|line| line.vi.contains("trạng thái 5")));
    let supply = SupplyComponentsRequest {
        request_id: request_id(),
        case_id: paused.case_id.clone(),
        etag: paused.etag.clone(),
        components: vec![component("giay_chung_nhan")],
    };
    let mut portal = stack.portal(citizen());
    let resumed = portal
        .cases
        .supply_components(supply)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(due(&resumed), day(2026, 12, 18));
    // State 6 stops it for a day, and its rest: two working days.
    let unpaid = step(&stack, &resumed, "nghia_vu_tai_chinh").await;
    stack.advance(HOUR * 24).await;
    let paid = step(&stack, &unpaid, "chinh_ly").await;
    assert_eq!(due(&paid), day(2026, 12, 21));
    assert_eq!(paid.pauses.iter().map(|pause| pause.state).collect::<Vec<_>>(), [5, 6]);
    whole(&stack).await;
}

#[tokio::test]
async fn the_period_is_that_of_the_channel_and_of_the_case_type() {
    let house = |channel: Channel, kind: &str, drawings: &[&str]| SubmitCaseRequest {
        procedure_code: "1.013225".to_owned(),
        channel: channel.into(),
        conditions: vec![kind.to_owned()],
        components: ["don_de_nghi", "giay_to_dat"]
            .iter()
            .chain(drawings)
            .map(|code| component(code))
            .collect(),
        ..birth_registration()
    };
    let stack = Stack::start().await;
    let house_plans = ["ban_ve_nha_o_rieng_le"];
    let work_plans = ["ban_ve_khong_theo_tuyen", "phe_duyet_khong_theo_tuyen"];
    // From Monday 23/11/2026: 15 days end on Tuesday 08/12, 20 days on Sunday 13/12, which moves to Monday.
    for (channel, kind, drawings, days, expected) in [
        (
            Channel::Online,
            "nha_o_rieng_le",
            &house_plans[..],
            "15 ngày",
            day(2026, 12, 8),
        ),
        (
            Channel::Online,
            "khong_theo_tuyen",
            &work_plans[..],
            "20 ngày",
            day(2026, 12, 14),
        ),
        (
            Channel::Counter,
            "nha_o_rieng_le",
            &house_plans[..],
            "15 ngày",
            day(2026, 12, 8),
        ),
    ] {
        let case = accepted_at(&stack, TRUONG_VINH, house(channel, kind, drawings)).await;
        let kept = case.deadline.as_ref().unwrap();
        assert_eq!(
            (kept.period.as_ref().unwrap().vi.as_str(), due(&case)),
            (days, expected),
            "{channel:?} {kind}"
        );
    }
    // The same procedure by another channel: 5 working days at the counter, 15 online, 20 by post.
    let counter = SubmitCaseRequest {
        channel: Channel::Counter.into(),
        ..certificate()
    };
    let case = accepted_at(&stack, PROVINCE, counter).await;
    assert_eq!(due(&case), day(2026, 12, 1));
    whole(&stack).await;
}

#[tokio::test]
async fn an_overdue_case_is_decided_and_its_result_returned_all_the_same() {
    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    stack.advance(HOUR * 24 * 60).await;
    let leader = stack.staff("unit_leader", PROVINCE);
    let told = explain(&leader, &case.case_id).await.unwrap();
    assert!(told.overdue);
    assert!(told.late_working_days > 20, "{}", told.late_working_days);
    assert_eq!(told.remaining.unwrap().days, 0);
    let decided = approve_certificate(&stack, &case).await;
    let request = ReturnResultRequest {
        request_id: request_id(),
        case_id: decided.case_id.clone(),
        etag: decided.etag.clone(),
        channel: Channel::Counter.into(),
        recipient_name: String::new(),
    };
    let mut clerk = stack.staff("one_stop_clerk", PROVINCE);
    let returned = clerk
        .cases
        .return_result(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(returned.state(), CaseState::Returned);
    // It stays known as late, by as many days as it was on the day of its decision.
    stack.advance(HOUR * 24 * 30).await;
    let later = explain(&stack.staff("unit_leader", PROVINCE), &case.case_id)
        .await
        .unwrap();
    assert_eq!((later.overdue, later.late_working_days), (true, told.late_working_days));
    assert!(later.forecast.is_none());
    whole(&stack).await;
}

#[tokio::test]
async fn a_due_date_is_explained_day_by_day_in_words_and_numbers() {
    let stack = Stack::start().await;
    let filed = submit(&stack).await.case.unwrap();
    let portal = stack.portal(citizen());
    let before = explain(&portal, &filed.case_id).await.unwrap();
    assert_eq!(before.case_code, filed.case_code);
    assert!(
        before.deadline.is_none() && before.lines.is_empty() && before.period.is_none(),
        "no clock runs yet"
    );
    // What the reception owes meanwhile is the office's business: eight working hours from Monday 08:00, and Tuesday is a day off.
    assert!(before.reception.is_empty());
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let owed = explain(&clerk, &filed.case_id).await.unwrap().reception;
    let at = |text: &str| Some(egov_proto::timestamp(format!("{text}:00+07:00").parse().unwrap()));
    assert_eq!(
        (owed.len(), owed[0].duty(), owed[0].late),
        (1, ReceptionDuty::Answer, false)
    );
    assert_eq!((owed[0].due_time, owed[0].done_time), (at("2026-11-25T08:30"), None));
    let basis = owed[0].basis.as_ref().unwrap();
    assert_eq!(basis.status(), egov_proto::egov::types::v1::FactStatus::Unconfirmed);
    assert!(
        owed[0].lines[0].vi.contains("chưa được xác nhận"),
        "{:?}",
        owed[0].lines
    );

    let case = accept(&stack, &filed).await.case.unwrap();
    stack.advance(HOUR * 24).await;
    // The citizen sees how the own due date is counted.
    let portal = stack.portal(citizen());
    let told = explain(&portal, &case.case_id).await.unwrap();
    let lines: Vec<&str> = told.lines.iter().map(|line| line.vi.as_str()).collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(
        lines[0].starts_with("Tiếp nhận lúc 08:00 23/11/2026; thời hạn 1 ngày làm việc"),
        "{}",
        lines[0]
    );
    assert_eq!(lines[1], "23/11/2026 (thứ Hai): ngày tiếp nhận, không tính");
    assert_eq!(
        lines[2],
        "24/11/2026 (thứ Ba): nghỉ (Ngày Văn hóa Việt Nam); không tính"
    );
    assert_eq!(lines[3], "25/11/2026 (thứ Tư): tính ngày thứ 1/1");
    assert_eq!(lines[4], "Hạn trả kết quả: 17:00 25/11/2026");
    assert!(told.lines.iter().all(|line| !line.en.is_empty()));
    let number = |amount: Option<egov_proto::egov::onestop::v1::PeriodAmount>| amount.unwrap().days;
    assert_eq!(
        (number(told.period), number(told.used), number(told.remaining)),
        (1, 0, 1)
    );
    assert!(!told.overdue && !told.paused);
    assert!(!told.deadline.unwrap().calendar_version.is_empty());

    let token = stack
        .tokens
        .staff(uuid::Uuid::from_u128(5), &[("case_reader", TRUONG_VINH)]);
    let status = explain(&stack.client(Some(token), None), &case.case_id)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PURPOSE_MISSING");
    let told = explain(&stack.staff("case_reader", TRUONG_VINH), &case.case_id)
        .await
        .unwrap();
    // Answered by the acceptance; nobody has it yet, and Monday is over. The due date of the case is what it was.
    let reception: Vec<_> = told
        .reception
        .iter()
        .map(|owed| (owed.duty(), owed.due_time, owed.done_time, owed.late))
        .collect();
    assert_eq!(
        reception,
        [
            (
                ReceptionDuty::Answer,
                at("2026-11-25T08:30"),
                at("2026-11-23T08:00"),
                false
            ),
            (ReceptionDuty::Transfer, at("2026-11-23T17:00"), None, true),
        ]
    );
    assert_eq!(told.deadline.unwrap().due_date, Some(day(2026, 11, 25)));
    let last = told.reception[1].lines.last().unwrap();
    assert_eq!(
        (last.vi.as_str(), last.en.as_str()),
        ("Chưa làm, đã quá hạn", "Not done yet, late")
    );
    let recorded =
        "SELECT count(*) FROM egov.read_records WHERE method LIKE '%/ExplainDeadline' AND purpose = 'case_handling'";
    assert_eq!(
        count(&stack, recorded).await,
        2,
        "the person sees who looked, both times"
    );
}

/// Gives the steps of the certificate times of two, three, two, five and three working days.
async fn with_times_of_steps(stack: &Stack) {
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    for (place, days) in [(1, 2), (2, 3), (3, 2), (4, 5), (5, 3)] {
        sqlx::query(
            "UPDATE procedures SET document = jsonb_set(document, ARRAY['steps', $1::text, 'time'],
                 jsonb_build_object('value', $2::int, 'unit', 'working_day'))
             WHERE procedure_code = '1.012783'",
        )
        .bind(place.to_string())
        .bind(days)
        .execute(&mut sql)
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn which_cases_will_be_late_and_at_which_step_is_foreseen_before_they_are() {
    let stack = Stack::start().await;
    with_times_of_steps(&stack).await;
    let slow = accepted_at(&stack, PROVINCE, certificate()).await;
    let brisk = accepted_at(&stack, PROVINCE, certificate()).await;
    let at_risk = async |request: ListCasesAtRiskRequest| {
        let mut deadlines = stack.staff("officer", PROVINCE).deadlines;
        deadlines.list_cases_at_risk(request).await.unwrap().into_inner()
    };
    assert!(
        at_risk(ListCasesAtRiskRequest::default()).await.cases.is_empty(),
        "all is on time"
    );
    // If nothing happens until Friday, both will be late.
    let by_friday = ListCasesAtRiskRequest {
        as_of: Some(day(2026, 11, 27)),
        page_size: 1,
        ..Default::default()
    };
    let first = at_risk(by_friday.clone()).await;
    assert_eq!((first.cases.len(), first.next_page_token.is_empty()), (1, false));
    let second = at_risk(ListCasesAtRiskRequest {
        page_token: first.next_page_token.clone(),
        ..by_friday
    })
    .await;
    assert_eq!((second.cases.len(), second.next_page_token.as_str()), (1, ""));
    assert_ne!(first.cases[0].case_id, second.cases[0].case_id);

    // Thursday 26/11: the inspection of one is done in its two days. On Monday 30/11 that of the other is not.
    stack.advance(HOUR * 24 * 3).await;
    let brisk = step(&stack, &brisk, "kiem_tra").await;
    stack.advance(HOUR * 24 * 4).await;
    let found = at_risk(ListCasesAtRiskRequest::default()).await.cases;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].case_id.as_str(), found[0].step.as_str()),
        (slow.case_id.as_str(), "kiem_tra")
    );
    assert_eq!((found[0].late_working_days, found[0].overdue), (2, false));
    assert!(found[0].expected_end_time.unwrap().seconds > found[0].due_time.unwrap().seconds);

    let officer = stack.staff("officer", PROVINCE);
    let told = explain(&officer, &slow.case_id).await.unwrap().forecast.unwrap();
    assert!(told.late && told.complete);
    let current = told.steps.iter().find(|step| step.current).unwrap();
    assert_eq!((current.step.as_str(), current.late), ("kiem_tra", true));
    assert_eq!(current.period.as_ref().unwrap().vi, "2 ngày làm việc");
    assert!(!explain(&officer, &brisk.case_id).await.unwrap().forecast.unwrap().late);

    // Where: by unit, procedure and step, without anybody's case.
    let groups = async |client: &Client| {
        let mut deadlines = client.clone().deadlines;
        let request = ForecastDeadlinesRequest::default();
        deadlines.forecast_deadlines(request).await.unwrap().into_inner().groups
    };
    let found: Vec<(String, String, i64, i64, i64)> = groups(&officer)
        .await
        .into_iter()
        .map(|group| (group.unit_name, group.step, group.open, group.at_risk, group.overdue))
        .collect();
    assert_eq!(
        found,
        [
            ("Tỉnh Nghệ An".to_owned(), "kiem_tra".to_owned(), 1, 1, 0),
            ("Tỉnh Nghệ An".to_owned(), "trich_luc".to_owned(), 1, 0, 0),
        ]
    );
    // The neighbour sees none of it, in no list.
    let neighbour = stack.staff("unit_leader", THANH_VINH);
    assert!(groups(&neighbour).await.is_empty());
    let request = ListCasesAtRiskRequest {
        as_of: Some(day(2030, 1, 1)),
        ..Default::default()
    };
    let listed = neighbour
        .clone()
        .deadlines
        .list_cases_at_risk(request)
        .await
        .unwrap()
        .into_inner();
    assert!(listed.cases.is_empty());
    let request = ListDeadlineChangesRequest::default();
    let listed = neighbour
        .clone()
        .deadlines
        .list_deadline_changes(request)
        .await
        .unwrap()
        .into_inner();
    assert!(listed.changes.is_empty());
    // A citizen watches no unit.
    let mut portal = stack.portal(citizen());
    let status = portal
        .deadlines
        .list_cases_at_risk(ListCasesAtRiskRequest::default())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");

    // A step done too late leaves too little for the rest. Paused, a case is no risk; decided, it is gone from the forecast.
    let slow = step(&stack, &slow, "kiem_tra").await;
    let found = at_risk(ListCasesAtRiskRequest::default()).await.cases;
    assert_eq!((found.len(), found[0].step.as_str()), (1, "trich_luc"));
    let paused = step(&stack, &slow, "nghia_vu_tai_chinh").await;
    assert!(at_risk(ListCasesAtRiskRequest::default()).await.cases.is_empty());
    approve_certificate(&stack, &paused).await;
    assert_eq!(groups(&officer).await.len(), 1);
    whole(&stack).await;
}

#[cfg(not(feature = "test-without-query-filter"))]
#[tokio::test]
async fn without_row_level_security_a_neighbour_sees_no_due_date_either() {
    use sqlx::Executor as _;

    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    extend(
        &stack.staff("unit_leader", PROVINCE),
        extension(&case, day(2026, 12, 18)),
    )
    .await
    .unwrap();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    for table in [
        "cases",
        "case_deadlines",
        "case_extensions",
        "case_deadline_changes",
        "case_deadline_notices",
    ] {
        superuser
            .execute(sqlx::AssertSqlSafe(format!(
                "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
            )))
            .await
            .unwrap();
    }
    let neighbour = stack.staff("unit_leader", THANH_VINH);
    assert_eq!(
        reason(&explain(&neighbour, &case.case_id).await.unwrap_err()),
        "CASE_NOT_FOUND"
    );
    let request = ListCasesAtRiskRequest {
        as_of: Some(day(2030, 1, 1)),
        ..Default::default()
    };
    let listed = neighbour
        .clone()
        .deadlines
        .list_cases_at_risk(request)
        .await
        .unwrap()
        .into_inner();
    assert!(listed.cases.is_empty());
    let changes = neighbour
        .clone()
        .deadlines
        .list_deadline_changes(ListDeadlineChangesRequest::default())
        .await
        .unwrap();
    assert!(changes.into_inner().changes.is_empty());
    let groups = neighbour
        .clone()
        .deadlines
        .forecast_deadlines(ForecastDeadlinesRequest::default())
        .await
        .unwrap();
    assert!(groups.into_inner().groups.is_empty());
}
