//! A notice comes out: open cases are worked out again, each visibly and recorded; and reminders are given once.

use std::sync::Mutex;
use std::time::Duration;

use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::import::{Outcome, Packs, import};
use egov_onestop::{Recalculated, give_notices, recalculate_deadlines};
use egov_proto::egov::onestop::v1::{
    Case, DeadlineChangeCause, ListCaseHistoryRequest, ListDeadlineChangesRequest, NoticeFile,
    PreviewCalendarChangeRequest, PreviewCalendarChangeResponse,
};
use jiff::SignedDuration;
use tonic::{Code, Status};

use crate::deadlines::{approve_certificate, count, day, due, explain, in_process, step, whole};
use crate::support::*;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Monday 07/12/2026 and Tuesday 08/12 become days off.
const NOTICE: &str = r#"
[[notice]]
id = "vn-2026-test"
[notice.title]
vi = "Nghỉ hai ngày 07 và 08/12/2026"
en = "two days off, 07 and 08/12/2026"
[notice.origin]
status = "confirmed"
legal_basis = "a test"
source = "a test"
[[notice.off]]
from = "2026-12-07"
to = "2026-12-08"
name = { vi = "Nghỉ", en = "off" }
"#;

async fn import_notice(stack: &Stack) {
    let mut calendar = packs().calendar;
    calendar.insert("notices/2026-b.toml".to_owned(), NOTICE.to_owned());
    // Nothing else changes, and all packs take long.
    let given = Packs {
        calendar,
        ..Packs::default()
    };
    let report = import(&stack.pool, &given, Profile::Demo, |_| {}).await.unwrap();
    assert!(report.iter().all(|line| line.outcome != Outcome::Refused), "{report:?}");
}

/// Keeps the service's own job from its turn until it is released.
async fn hold(stack: &Stack, lease: &str) -> egov_database::Lease {
    loop {
        if let Some(lease) = stack.pool.acquire_lease(lease, Duration::from_mins(1)).await.unwrap() {
            return lease;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Until nothing is left to do, whoever does it.
async fn settle(stack: &Stack) {
    for _ in 0..500 {
        match recalculate_deadlines(&stack.pool, Profile::Demo, 100, || false)
            .await
            .unwrap()
        {
            Some(Recalculated { looked_at: 0, .. }) => return,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("cases are left");
}

async fn read(stack: &Stack, case: &Case) -> Case {
    get(&stack.staff("officer", PROVINCE), &case.case_id).await.unwrap()
}

#[tokio::test]
async fn a_notice_that_is_imported_moves_open_cases_visibly_and_recorded() {
    let stack = Stack::start().await;
    let running = in_process(&stack).await;
    let paused = step(&stack, &in_process(&stack).await, "nghia_vu_tai_chinh").await;
    let decided = approve_certificate(&stack, &in_process(&stack).await).await;
    // Due on 25/11: the notice does not touch it.
    let untouched = processing(&stack).await;
    import_notice(&stack).await;
    // Nobody calls anything: the service takes it up by itself.
    let mut moved = running.clone();
    for _ in 0..150 {
        moved = read(&stack, &running).await;
        if moved.etag != running.etag {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    settle(&stack).await;
    assert_eq!(due(&moved), day(2026, 12, 17));
    assert_eq!(moved.version, running.version + 1);
    assert_eq!(
        due(&read(&stack, &paused).await),
        day(2026, 12, 17),
        "what is shown of a paused case"
    );
    assert_eq!(
        read(&stack, &decided).await,
        decided,
        "what was promised to a decided case holds"
    );
    let officer = stack.staff("officer", TRUONG_VINH);
    assert_eq!(
        get(&officer, &untouched.case_id).await.unwrap(),
        untouched,
        "never silently, and never for nothing"
    );

    // The history says it with both dates, as the platform's doing.
    let mut officer = stack.staff("officer", PROVINCE);
    let request = ListCaseHistoryRequest {
        case_id: running.case_id.clone(),
        ..Default::default()
    };
    let history = officer
        .cases
        .list_case_history(request)
        .await
        .unwrap()
        .into_inner()
        .entries;
    let last = history.last().unwrap();
    assert_eq!(
        (last.operation.as_str(), last.actor_kind.as_str()),
        ("recalculate_deadline", "system")
    );
    assert!(
        last.reason.contains("15/12/2026") && last.reason.contains("17/12/2026"),
        "{}",
        last.reason
    );
    let told = explain(&officer, &running.case_id).await.unwrap();
    let change = &told.changes[0];
    assert_eq!(change.cause(), DeadlineChangeCause::Calendar);
    assert_eq!(change.old_due_time, running.deadline.as_ref().unwrap().due_time);
    assert_eq!(change.new_due_time, moved.deadline.as_ref().unwrap().due_time);
    assert_ne!(change.old_calendar_version, change.new_calendar_version);
    assert!(
        told.lines
            .iter()
            .any(|line| line.vi.contains("07/12/2026 (thứ Hai): nghỉ (Nghỉ); không tính"))
    );
    // And the list of what moved shows both cases.
    let request = ListDeadlineChangesRequest {
        cause: DeadlineChangeCause::Calendar.into(),
        ..Default::default()
    };
    let listed = officer
        .deadlines
        .list_deadline_changes(request)
        .await
        .unwrap()
        .into_inner()
        .changes;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|change| change.case_code != decided.case_code));

    // Event and leaf, each once a case; everything fits together, the decided case by the calendar of its day.
    assert_eq!(
        count(
            &stack,
            "SELECT (SELECT count(*) FROM egov.outbox WHERE kind = 'case_deadline_recalculated')
                  + (SELECT count(*) FROM egov.event_log WHERE kind = 'case_deadline_recalculated')"
        )
        .await,
        2
    );
    whole(&stack).await;
    // Acts go on by the new calendar: paused until now, the period begins anew on 25/11.
    let resumed = step(&stack, &read(&stack, &paused).await, "chinh_ly").await;
    assert_eq!(due(&resumed), day(2026, 12, 17));
    whole(&stack).await;
}

#[tokio::test]
async fn killed_between_two_batches_the_next_holder_goes_on_and_nothing_moves_twice() {
    let stack = Stack::start().await;
    let mut cases = Vec::new();
    for _ in 0..5 {
        cases.push(in_process(&stack).await);
    }
    let lease = hold(&stack, "onestop.deadlines").await;
    import_notice(&stack).await;
    let round = recalculate_deadlines(&stack.pool, Profile::Demo, 2, || false).await;
    assert_eq!(round.unwrap(), None, "somebody else holds the lease");
    lease.release().await.unwrap();
    const MOVED: &str = "SELECT count(*) FROM case_history WHERE operation = 'recalculate_deadline'";
    // The process dies after its first batch of two, with the lease in its hands. (The service's own job may have come first.)
    let (pool, looks) = (stack.pool.clone(), Mutex::new(0));
    let dead = tokio::spawn(async move {
        let stop = || {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            assert!(*looks < 2, "the process was killed");
            false
        };
        recalculate_deadlines(&pool, Profile::Demo, 2, stop).await
    });
    let _ = dead.await;
    let so_far = count(&stack, MOVED).await;
    assert!(so_far <= 5);
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query("UPDATE egov.leases SET expire_time = now() WHERE name = 'onestop.deadlines'")
        .execute(&mut sql)
        .await
        .unwrap();
    settle(&stack).await;
    assert_eq!(count(&stack, MOVED).await, 5);
    for case in &cases {
        assert_eq!(due(&read(&stack, case).await), day(2026, 12, 17));
    }
    settle(&stack).await;
    assert_eq!(count(&stack, MOVED).await, 5, "a second round moves nothing");
    whole(&stack).await;
}

#[tokio::test]
async fn a_row_of_an_older_version_is_looked_at_and_nothing_is_recorded_where_nothing_moves() {
    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    // As the migration leaves it.
    sqlx::query(
        "UPDATE case_deadlines SET calendar_version = '', current_step = '', notice_time = NULL, step_end = NULL",
    )
    .execute(&mut sql)
    .await
    .unwrap();
    settle(&stack).await;
    assert_eq!(read(&stack, &case).await, case);
    let query = "SELECT count(*) FROM case_deadlines WHERE current_step = 'trich_luc' AND notice_time IS NOT NULL AND calendar_version <> ''";
    assert_eq!(count(&stack, query).await, 1);
    whole(&stack).await;
}

async fn preview(client: &Client, text: &str) -> Result<PreviewCalendarChangeResponse, Status> {
    let request = PreviewCalendarChangeRequest {
        notices: vec![NoticeFile {
            name: "2026-b.toml".to_owned(),
            text: text.to_owned(),
        }],
        ..Default::default()
    };
    let mut deadlines = client.clone().deadlines;
    deadlines
        .preview_calendar_change(request)
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_change_of_the_calendar_is_previewed_and_changes_nothing() {
    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    processing(&stack).await;
    let controller = stack.staff("procedure_controller", PROVINCE);
    let shown = preview(&controller, NOTICE).await.unwrap();
    assert_eq!((shown.looked_at, shown.changes.len()), (2, 1));
    assert_ne!(shown.calendar_version, shown.new_calendar_version);
    let change = &shown.changes[0];
    assert_eq!(change.case_code, case.case_code);
    assert_eq!(change.old_due_time, case.deadline.as_ref().unwrap().due_time);
    // 17/12/2026, 17:00.
    assert_eq!(change.new_due_time.unwrap().seconds, 1_797_501_600);
    assert_eq!(read(&stack, &case).await, case);

    let status = preview(&controller, "[[notice]]\nid = 1").await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "notices");
    // A controller of a commune sees the cases of the commune only; nobody else previews.
    let commune = stack.staff("procedure_controller", THANH_VINH);
    assert_eq!(preview(&commune, NOTICE).await.unwrap().looked_at, 0);
    let status = preview(&stack.staff("unit_leader", PROVINCE), NOTICE)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
}

const NOTICES: &str = "SELECT (SELECT count(*) FROM egov.outbox WHERE aggregate_kind = 'deadline_notice')
                            + (SELECT count(*) FROM egov.event_log WHERE aggregate_kind = 'deadline_notice')";

/// Until no notice is left to give, whoever gives it.
async fn told(stack: &Stack) {
    for _ in 0..500 {
        if give_notices(&stack.pool, &stack.clock.shared(), 100, || false)
            .await
            .unwrap()
            == Some(0)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("notices are left");
}

#[tokio::test]
async fn a_reminder_comes_once_before_expiry_and_a_notice_once_after_it() {
    let stack = Stack::start().await;
    let case = in_process(&stack).await;
    told(&stack).await;
    assert_eq!(count(&stack, NOTICES).await, 0);
    // Two working days before Tuesday 15/12: Friday 11/12, as the office opens. It is 08:00.
    stack.advance(HOUR * 24 * 18).await;
    told(&stack).await;
    told(&stack).await;
    assert_eq!(count(&stack, NOTICES).await, 1);
    let kinds = async || {
        let officer = stack.staff("officer", PROVINCE);
        let told = explain(&officer, &case.case_id).await.unwrap().notices;
        told.into_iter().map(|notice| notice.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, ["due_soon"]);
    // An act that leaves the due date alone makes no second reminder.
    let case_now = step(&stack, &case, "trich_luc").await;
    told(&stack).await;
    assert_eq!(count(&stack, NOTICES).await, 1);
    stack.advance(HOUR * 24 * 5).await;
    told(&stack).await;
    told(&stack).await;
    assert_eq!(kinds().await, ["due_soon", "overdue"]);
    assert_eq!(count(&stack, NOTICES).await, 2);
    // The case itself is as it was: a notice changes no version and makes nobody's etag stale.
    assert_eq!(read(&stack, &case).await.etag, case_now.etag);
    whole(&stack).await;
}

#[tokio::test]
async fn reminders_survive_a_kill_and_two_holders_and_are_given_once_each() {
    let stack = Stack::start().await;
    for _ in 0..5 {
        in_process(&stack).await;
    }
    let lease = hold(&stack, "onestop.reminders").await;
    stack.advance(HOUR * 24 * 18).await;
    let clock = stack.clock.shared();
    assert_eq!(give_notices(&stack.pool, &clock, 2, || false).await.unwrap(), None);
    lease.release().await.unwrap();
    let (pool, its_clock, looks) = (stack.pool.clone(), stack.clock.shared(), Mutex::new(0));
    let dead = tokio::spawn(async move {
        let stop = || {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            assert!(*looks < 2, "the process was killed");
            false
        };
        give_notices(&pool, &its_clock, 2, stop).await
    });
    let _ = dead.await;
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query("UPDATE egov.leases SET expire_time = now() WHERE name = 'onestop.reminders'")
        .execute(&mut sql)
        .await
        .unwrap();
    let (one, two) = tokio::join!(
        give_notices(&stack.pool, &clock, 1, || false),
        give_notices(&stack.pool, &clock, 1, || false),
    );
    one.unwrap();
    two.unwrap();
    told(&stack).await;
    assert_eq!(count(&stack, NOTICES).await, 5);
    assert_eq!(count(&stack, "SELECT count(*) FROM case_deadline_notices").await, 5);
}

#[tokio::test]
async fn a_due_date_that_moved_is_reminded_of_again_and_a_paused_or_decided_case_of_nothing() {
    let stack = Stack::start().await;
    let moving = in_process(&stack).await;
    let paused = step(&stack, &in_process(&stack).await, "nghia_vu_tai_chinh").await;
    approve_certificate(&stack, &in_process(&stack).await).await;
    stack.advance(HOUR * 24 * 18).await;
    told(&stack).await;
    assert_eq!(count(&stack, NOTICES).await, 1, "of the one whose clock runs");
    import_notice(&stack).await;
    settle(&stack).await;
    assert_eq!(due(&read(&stack, &moving).await), day(2026, 12, 17));
    // Two working days before 17/12: Tuesday 15/12.
    told(&stack).await;
    assert_eq!(count(&stack, NOTICES).await, 1);
    stack.advance(HOUR * 24 * 4).await;
    told(&stack).await;
    assert_eq!(count(&stack, NOTICES).await, 2);
    assert!(
        explain(&stack.staff("officer", PROVINCE), &paused.case_id)
            .await
            .unwrap()
            .notices
            .is_empty()
    );
    whole(&stack).await;
}
