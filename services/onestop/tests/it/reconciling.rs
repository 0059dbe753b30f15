//! Đối soát ba bên: the treasury's file, the platform's list and our payments of a day.

use egov_onestop::domain::charge::OrderState;
use egov_onestop::domain::pack::Profile;
use egov_onestop::make_up_for_version_before;
use egov_onestop::operations::rebuild_statistics::rebuild_statistics;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::{ChargeState, DifferenceKind, DifferenceState, TreasuryFileState};
use egov_proto::google::r#type::Date as WireDate;
use sqlx::{Executor as _, PgConnection};
use tonic::{Code, Status};

use crate::fees::{
    Platform, ask_for_payment, cash, charge, events, import_treasury, owing, refund, take_back, until, whole,
};
use crate::support::*;

const DAY: jiff::civil::Date = jiff::civil::date(2026, 11, 23);
const HEADER: &str = "ngay_hach_toan,ma_ho_so,ma_tham_chieu,so_tien\n";

async fn import(client: &Client, lines: &str, dry_run: bool) -> Result<proto::ImportTreasuryFileResponse, Status> {
    let request = proto::ImportTreasuryFileRequest {
        request_id: request_id(),
        unit_id: TRUONG_VINH,
        day: Some(DAY.into()),
        content: format!("{HEADER}{lines}").into_bytes(),
        dry_run,
    };
    Ok(client.clone().fees.import_treasury_file(request).await?.into_inner())
}

async fn reconcile(client: &Client, unit_id: i32) -> Result<proto::ReconcileDayResponse, Status> {
    let request = proto::ReconcileDayRequest {
        request_id: request_id(),
        unit_id,
        day: Some(DAY.into()),
    };
    Ok(client.clone().fees.reconcile_day(request).await?.into_inner())
}

async fn differences(client: &Client) -> Vec<proto::PaymentDifference> {
    let request = proto::ListDifferencesRequest {
        open_only: true,
        ..Default::default()
    };
    client
        .clone()
        .fees
        .list_differences(request)
        .await
        .unwrap()
        .into_inner()
        .differences
}

async fn settle(client: &Client, difference: &proto::PaymentDifference) -> Result<proto::PaymentDifference, Status> {
    let request = proto::SettleDifferenceRequest {
        request_id: request_id(),
        difference_id: difference.difference_id.clone(),
        etag: difference.etag.clone(),
        resolution: "kho bạc hạch toán chậm một ngày".to_owned(),
    };
    Ok(client
        .clone()
        .fees
        .settle_difference(request)
        .await?
        .into_inner()
        .difference
        .unwrap())
}

#[tokio::test]
async fn what_all_sides_say_alike_is_reconciled_and_what_differs_is_listed_and_settled_by_somebody() {
    let (stack, platform) = Platform::stack().await;
    let (online, counter, late) = (owing(&stack).await, owing(&stack).await, owing(&stack).await);
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    for (case, receipt) in [(&counter, "BL-1"), (&late, "BL-2")] {
        let owed = charge(&clerk, case).await.unwrap();
        cash(&clerk, &owed, receipt, 8_000).await.unwrap();
    }
    let owed = charge(&clerk, &online).await.unwrap();
    ask_for_payment(&clerk, &owed).await.unwrap();
    let ordered = until(&stack, &online, |charge| !charge.payments[0].reference.is_empty()).await;
    platform.set(&online.case_code, OrderState::Paid);
    until(&stack, &online, |charge| charge.state() == ChargeState::Paid).await;
    let order = ordered.payments[0].reference.clone();

    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    assert_eq!(
        reason(&reconcile(&accountant, TRUONG_VINH).await.unwrap_err()),
        "TREASURY_FILE_MISSING"
    );
    let lines = format!(
        "23/11/2026,{},{order},8000\n23/11/2026,{},BL-1,8000\n24/11/2026,{},BL-2,8000\n23/11/2026,{},BL-9,5000\n",
        online.case_code, counter.case_code, late.case_code, late.case_code
    );
    let tried = import(&accountant, &lines, true).await.unwrap();
    assert_eq!(
        (
            tried.entries,
            tried.amount.as_ref().unwrap().units,
            tried.file_id.as_str()
        ),
        (4, 29_000, "")
    );
    import(&accountant, &lines, false).await.unwrap();
    assert_eq!(
        reason(&import(&accountant, &lines, false).await.unwrap_err()),
        "TREASURY_FILE_KNOWN"
    );

    let request = proto::ReconcileDayRequest {
        request_id: request_id(),
        unit_id: TRUONG_VINH,
        day: Some(DAY.into()),
    };
    let mut fees = accountant.clone().fees;
    let first = fees.reconcile_day(request.clone()).await.unwrap().into_inner();
    assert_eq!((first.matched, first.open_differences), (2, 2));
    assert_eq!(fees.reconcile_day(request).await.unwrap().into_inner(), first);
    let reader = stack.staff("case_reader", TRUONG_VINH);
    for case in [&online, &counter] {
        assert_eq!(charge(&reader, case).await.unwrap().state(), ChargeState::Reconciled);
    }
    let open = differences(&accountant).await;
    let kinds: Vec<(&str, DifferenceKind)> = open.iter().map(|one| (one.reference.as_str(), one.kind())).collect();
    assert!(kinds.contains(&("BL-2", DifferenceKind::DayInTreasury)), "{kinds:?}");
    assert!(
        kinds.contains(&("BL-9", DifferenceKind::UnknownFromTreasury)),
        "{kinds:?}"
    );

    // Two accountants at once: one has it.
    let slow = open.iter().find(|one| one.reference == "BL-2").unwrap();
    let (one, two) = tokio::join!(settle(&accountant, slow), settle(&accountant, slow));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    let settled = won.unwrap();
    assert_eq!(reason(&lost.unwrap_err()), "STALE_ETAG");
    assert_eq!(settled.state(), DifferenceState::Settled);
    assert!(!settled.settled_by.is_empty() && !settled.resolution.is_empty());
    assert_eq!(charge(&reader, &late).await.unwrap().state(), ChargeState::Reconciled);

    // Again: what was settled stays settled, what is explained meanwhile is gone.
    let again = reconcile(&accountant, TRUONG_VINH).await.unwrap();
    assert_eq!(
        (again.matched, again.open_differences, again.gone_differences),
        (2, 1, 0)
    );
    whole(&stack).await;
}

/// What 0035 fills in of what was done before.
const FILL: &str = include_str!("../../migrations/0035_money_of_before.sql");

/// What is kept of fees beside the acts themselves: a name, and what reads it.
const KEPT: [(&str, &str); 5] = [
    (
        "days",
        "SELECT responsible_unit_id, day, reconciliation_id, reconcile_time, again_since FROM reconciled_days",
    ),
    (
        "files",
        "SELECT reconciliation_id, file_id, responsible_unit_id FROM reconciliation_files",
    ),
    (
        "payments",
        "SELECT payment_id, refund_day, amount_differs, listed_otherwise FROM charge_payments",
    ),
    (
        "charges",
        "SELECT case_id, case_code, procedure_code, responsible_unit_id, owner_id, owed, in_doubt, refund_due, order_open, left_vnd, held_vnd,
                refund_vnd
         FROM unsettled_charges",
    ),
    (
        "figures",
        "SELECT responsible_unit_id, procedure_code, officer_id, day, measure, sum(amount)
         FROM (SELECT responsible_unit_id, procedure_code, officer_id, day, measure, amount FROM statistic_changes
               UNION ALL
               SELECT responsible_unit_id, procedure_code, officer_id, day, measure, amount FROM statistic_sums WHERE level = 1) AS counted
         WHERE measure IN (28, 29)
         GROUP BY responsible_unit_id, procedure_code, officer_id, day, measure",
    ),
];

/// Everything is kept as it was.
async fn nothing_is_otherwise(superuser: &mut PgConnection) {
    for (name, read) in KEPT {
        let statement = format!(
            "SELECT count(*) FROM ((TABLE was_{name} EXCEPT ({read})) UNION ALL (({read}) EXCEPT TABLE was_{name})) AS differing"
        );
        let differing: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&mut *superuser)
            .await
            .unwrap();
        assert_eq!(differing, 0, "{name}");
    }
}

/// What a migration fills in of before is what was kept when it was done, also if it is done twice; and the job makes up for what the version
/// before does beside this one. Of the files that a day must have used with others' that it may have, or not.
async fn what_is_filled_in_is_what_was_kept(stack: &Stack) {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    superuser
        .execute("SET session_replication_role = replica")
        .await
        .unwrap();
    // Of the day before with a line of the day; of a later day with a line about a payment of the day; with neither; of the day, but later;
    // another unit's.
    superuser
        .execute(sqlx::AssertSqlSafe(format!(
            "INSERT INTO treasury_files (file_id, responsible_unit_id, day, format, sha256, entries, amount_vnd, actor_id, import_time)
             SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, unit_id, day::date, 'x', '', 1, 1, '00000000-0000-0000-0000-000000000001',
                    import_time::timestamptz
             FROM (VALUES (1, {TRUONG_VINH}, '2026-11-22', '2026-11-22'), (2, {TRUONG_VINH}, '2026-11-25', '2026-11-22'),
                          (3, {TRUONG_VINH}, '2026-11-25', '2026-11-22'), (4, {TRUONG_VINH}, '2026-11-23', '2100-01-01'),
                          (5, {THANH_VINH}, '2026-11-23', '2026-11-22')) AS file (n, unit_id, day, import_time)"
        )))
        .await
        .unwrap();
    superuser
        .execute(sqlx::AssertSqlSafe(format!(
            "INSERT INTO treasury_entries (file_id, line, responsible_unit_id, day, case_code, reference, amount_vnd)
             SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 2, unit_id, day::date, '', reference, 1
             FROM (VALUES (1, {TRUONG_VINH}, '2026-11-23', 'BL-7'), (2, {TRUONG_VINH}, '2026-11-25', 'BL-1'),
                          (3, {TRUONG_VINH}, '2026-11-25', 'BL-8'), (4, {TRUONG_VINH}, '2026-11-23', 'BL-1'),
                          (5, {THANH_VINH}, '2026-11-23', 'BL-1')) AS entry (n, unit_id, day, reference)"
        )))
        .await
        .unwrap();
    for (name, read) in KEPT {
        let read = if name == "files" {
            // A second, plain reading.
            "SELECT r.reconciliation_id, f.file_id, f.responsible_unit_id
             FROM reconciled_days AS r
             JOIN treasury_files AS f ON f.responsible_unit_id = r.responsible_unit_id AND f.import_time <= r.reconcile_time
             WHERE f.day = r.day
                OR EXISTS (SELECT 1 FROM treasury_entries AS e WHERE e.file_id = f.file_id AND e.day = r.day)
                OR EXISTS (SELECT 1 FROM treasury_entries AS e
                           JOIN charge_payments AS p ON p.collecting_unit_id = f.responsible_unit_id AND p.reference = e.reference
                           WHERE e.file_id = f.file_id AND p.paid_day = r.day)"
        } else {
            read
        };
        let statement = format!("CREATE TEMP TABLE was_{name} AS {read}");
        superuser.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
    let used: i64 = sqlx::query_scalar("SELECT count(*) FROM was_files")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(
        used, 3,
        "the file of the day, and two others with a line that concerns it"
    );

    for statement in [
        "UPDATE charge_payments SET known_day = NULL, refund_day = NULL, amount_differs = false, listed_otherwise = false",
        "DELETE FROM reconciliation_files",
        "DELETE FROM reconciled_days",
        "DELETE FROM unsettled_charges",
        "DELETE FROM statistic_changes WHERE measure IN (28, 29)",
        "DELETE FROM statistic_sums WHERE measure IN (28, 29)",
        FILL,
        FILL,
    ] {
        superuser.execute(statement).await.unwrap();
    }
    nothing_is_otherwise(&mut superuser).await;
    let unknown: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM charge_payments WHERE (known_day IS NULL) <> (paid_day IS NULL) OR known_day < paid_day",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(unknown, 0);

    for statement in [
        "UPDATE charge_payments SET refund_day = NULL",
        "DELETE FROM reconciliation_files",
        "DELETE FROM reconciled_days",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    assert_eq!(make_up_for_version_before(&stack.pool).await.unwrap(), Some(2));
    nothing_is_otherwise(&mut superuser).await;
    assert_eq!(make_up_for_version_before(&stack.pool).await.unwrap(), Some(0));
    for table in ["reconciliation_files", "treasury_entries", "treasury_files"] {
        let statement = format!("DELETE FROM {table} WHERE file_id < '00000000-0000-0000-0000-00000000000f'");
        superuser.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
}

#[tokio::test]
async fn money_that_went_back_is_reconciled_with_what_was_decided_here() {
    let (stack, platform) = Platform::stack().await;
    let (online, counter, _owes) = (owing(&stack).await, owing(&stack).await, owing(&stack).await);
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let owed = charge(&clerk, &online).await.unwrap();
    ask_for_payment(&clerk, &owed).await.unwrap();
    let ordered = until(&stack, &online, |charge| !charge.payments[0].reference.is_empty()).await;
    let order = ordered.payments[0].reference.clone();
    platform.set(&online.case_code, OrderState::Paid);
    until(&stack, &online, |charge| charge.state() == ChargeState::Paid).await;
    // The platform gives it back by itself, and tells nobody. The other case is withdrawn, and its cash given back at the counter.
    platform.set(&online.case_code, OrderState::Refunded);
    let owed = charge(&clerk, &counter).await.unwrap();
    cash(&clerk, &owed, "BL-1", 8_000).await.unwrap();
    let now = get(&stack.staff("officer", TRUONG_VINH), &counter.case_id)
        .await
        .unwrap();
    let withdrawal = proto::WithdrawCaseRequest {
        request_id: request_id(),
        case_id: now.case_id.clone(),
        etag: now.etag.clone(),
        reason: "không cần nữa".to_owned(),
    };
    let mut cases = stack.portal(citizen()).cases;
    cases.withdraw_case(withdrawal).await.unwrap();
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let held = charge(&leader, &counter).await.unwrap();
    let back = refund(&leader, &held, 0).await.unwrap();
    assert_eq!(back.state(), ChargeState::Refunded);

    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    let came = format!(
        "23/11/2026,{},{order},8000\n23/11/2026,{},BL-1,8000\n",
        online.case_code, counter.case_code
    );
    import(&accountant, &came, false).await.unwrap();
    let done = reconcile(&accountant, TRUONG_VINH).await.unwrap();
    assert_eq!((done.matched, done.open_differences), (0, 2));
    let open = differences(&accountant).await;
    let found = |reference: &str| open.iter().find(|one| one.reference == reference).unwrap();
    let (at_platform, in_treasury) = (found(&order), found("BL-1"));
    assert_eq!(
        (at_platform.kind(), at_platform.platform_amount.as_ref().unwrap().units),
        (DifferenceKind::RefundedAtPlatform, -8_000)
    );
    assert_eq!(
        (in_treasury.kind(), in_treasury.our_amount.as_ref().unwrap().units),
        (DifferenceKind::RefundMissingInTreasury, -8_000)
    );
    assert_eq!(state_of(&stack, &online).await, ChargeState::Paid);
    what_is_filled_in_is_what_was_kept(&stack).await;

    // Who reconciled after the platform was asked for its list may have had a newer one.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let sooner = "UPDATE reconciled_days SET reconcile_time = reconcile_time - interval '1 hour'";
    let later = "UPDATE reconciled_days SET reconcile_time = reconcile_time + interval '1 hour'";
    superuser.execute(later).await.unwrap();
    let status = reconcile(&accountant, TRUONG_VINH).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::Aborted, "CONCURRENT_WRITE".to_owned())
    );
    superuser.execute(sooner).await.unwrap();

    // However it is settled, money that is back is not đã đối soát.
    settle(&accountant, at_platform).await.unwrap();
    assert_eq!(state_of(&stack, &online).await, ChargeState::Paid);

    // The treasury books that it went out.
    let went = format!("23/11/2026,{},BL-1,-8000\n", counter.case_code);
    let imported = import(&accountant, &went, false).await.unwrap();
    assert_eq!((imported.entries, imported.amount.unwrap().units), (1, -8_000));
    let done = reconcile(&accountant, TRUONG_VINH).await.unwrap();
    assert_eq!((done.matched, done.open_differences, done.gone_differences), (1, 0, 1));
    assert_eq!(state_of(&stack, &online).await, ChargeState::Paid);

    // The platform mends its list: what stood in the way is gone, although somebody had settled it.
    platform.set(&online.case_code, OrderState::Paid);
    let done = reconcile(&accountant, TRUONG_VINH).await.unwrap();
    assert_eq!((done.matched, done.open_differences, done.gone_differences), (2, 0, 1));
    assert_eq!(state_of(&stack, &online).await, ChargeState::Reconciled);
    whole(&stack).await;

    // What is đã đối soát is so no more when a side says otherwise later; and its money is in doubt. That the version before had not said when
    // it became known stays as it is: it did not become known today.
    superuser
        .execute("UPDATE charge_payments SET known_day = NULL")
        .await
        .unwrap();
    let went = format!("23/11/2026,{},{order},-8000\n", online.case_code);
    import(&accountant, &went, false).await.unwrap();
    let done = reconcile(&accountant, TRUONG_VINH).await.unwrap();
    assert_eq!((done.matched, done.open_differences, done.gone_differences), (1, 1, 0));
    assert_eq!(
        differences(&accountant).await[0].kind(),
        DifferenceKind::RefundedInTreasury
    );
    assert_eq!(state_of(&stack, &online).await, ChargeState::Paid);
    assert_eq!(events(&stack, "payment_reopened").await, 1);
    let read =
        "SELECT listed_otherwise, known_day IS NULL, known_day = paid_day FROM charge_payments WHERE reference = $1";
    let known: (bool, bool, Option<bool>) = sqlx::query_as(read)
        .bind(&order)
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(known, (true, true, None));
    rebuild_statistics(&stack.pool, |_| {}).await.unwrap();
    let known: (bool, bool, Option<bool>) = sqlx::query_as(read)
        .bind(&order)
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(known, (true, false, Some(true)));
    whole(&stack).await;
}

#[tokio::test]
async fn a_file_is_taken_whole_or_not_at_all_and_each_wrong_line_is_named() {
    let stack = Stack::start().await;
    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    let status = import(
        &accountant,
        "31/11/2026,x,,-0\n23/11/2026,H41.201-261123-0001,BL-1,8000\n",
        false,
    )
    .await
    .unwrap_err();
    let violations = egov_fault::fault_of(&status).violations().to_vec();
    assert_eq!(violations.len(), 4);
    assert!(
        violations
            .iter()
            .all(|violation| violation.en.starts_with("line 2: ") && violation.vi.starts_with("dòng 2: "))
    );
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM treasury_entries")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn a_day_is_reconciled_by_who_may_and_where_they_may() {
    let (stack, platform) = Platform::stack().await;
    let line = "23/11/2026,H41.201-261123-0001,BL-1,8000\n";
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    assert_eq!(
        import(&clerk, line, false).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let neighbour = stack.staff("fee_accountant", THANH_VINH);
    assert_eq!(
        reason(&import(&neighbour, line, false).await.unwrap_err()),
        "UNIT_NOT_IN_SCOPE"
    );
    assert_eq!(
        reason(&reconcile(&neighbour, TRUONG_VINH).await.unwrap_err()),
        "UNIT_NOT_IN_SCOPE"
    );
    let own = stack.staff("fee_accountant", TRUONG_VINH);
    import(&own, line, false).await.unwrap();
    platform.unknown("o-stray", 1_000);
    let done = reconcile(&own, TRUONG_VINH).await.unwrap();
    assert_eq!(
        done.open_differences, 1,
        "what nobody knows at the platform is the province's"
    );
    let open = differences(&own).await;
    assert!(differences(&neighbour).await.is_empty());
    let status = settle(&neighbour, &open[0]).await.unwrap_err();
    assert_eq!(reason(&status), "DIFFERENCE_NOT_FOUND");
}

#[tokio::test]
async fn production_reads_no_file_whose_form_nobody_confirmed() {
    let stack = Stack::with_profiles(Profile::Demo, Profile::Production).await;
    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    let status = import(&accountant, "23/11/2026,H41.201-261123-0001,BL-1,8000\n", true)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "TREASURY_FORMAT_UNKNOWN");
}

async fn files(client: &Client, request: proto::ListTreasuryFilesRequest) -> proto::ListTreasuryFilesResponse {
    client
        .clone()
        .fees
        .list_treasury_files(request)
        .await
        .unwrap()
        .into_inner()
}

fn of_state(state: TreasuryFileState) -> proto::ListTreasuryFilesRequest {
    proto::ListTreasuryFilesRequest {
        state: state.into(),
        ..Default::default()
    }
}

fn ids(listed: &proto::ListTreasuryFilesResponse) -> Vec<&str> {
    listed.files.iter().map(|file| file.file_id.as_str()).collect()
}

async fn lines(client: &Client, file_id: &str, page_token: &str) -> Result<proto::ListTreasuryLinesResponse, Status> {
    let request = proto::ListTreasuryLinesRequest {
        page_size: 2,
        page_token: page_token.to_owned(),
        file_id: file_id.to_owned(),
    };
    Ok(client.clone().fees.list_treasury_lines(request).await?.into_inner())
}

/// The state of the money of a case.
async fn state_of(stack: &Stack, case: &proto::Case) -> ChargeState {
    let reader = stack.staff("case_reader", TRUONG_VINH);
    charge(&reader, case).await.unwrap().state()
}

/// Two cases that were paid at the counter, against BL-1 and BL-2.
async fn two_paid(stack: &Stack) -> (proto::Case, proto::Case) {
    let (one, two) = (owing(stack).await, owing(stack).await);
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    for (case, receipt) in [(&one, "BL-1"), (&two, "BL-2")] {
        let owed = charge(&clerk, case).await.unwrap();
        cash(&clerk, &owed, receipt, 8_000).await.unwrap();
    }
    (one, two)
}

#[tokio::test]
async fn a_file_that_was_imported_by_mistake_is_taken_back_and_what_rested_on_it_is_done_again() {
    let stack = Stack::start().await;
    let (one, two) = two_paid(&stack).await;
    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    let of_one = format!("23/11/2026,{},BL-1,8000\n", one.case_code);
    let mistaken = format!(
        "{of_one}23/11/2026,{0},BL-2,8000\n23/11/2026,{0},BL-9,5000\n",
        two.case_code
    );
    let first = import(&accountant, &mistaken, false).await.unwrap().file_id;
    let second = import(&accountant, &of_one, false).await.unwrap().file_id;
    let done = reconcile(&accountant, TRUONG_VINH).await.unwrap();
    assert_eq!((done.matched, done.open_differences), (2, 1));
    let stray = differences(&accountant).await.remove(0);

    // Who may not, what is not there, and why not said.
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let status = take_back(&clerk, &first).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let neighbour = stack.staff("fee_accountant", THANH_VINH);
    let nobodys = request_id();
    for (client, file_id) in [(&neighbour, first.as_str()), (&accountant, nobodys.as_str())] {
        let status = take_back(client, file_id).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status)),
            (Code::NotFound, "TREASURY_FILE_NOT_FOUND".to_owned())
        );
        let status = lines(client, file_id, "").await.unwrap_err();
        assert_eq!(reason(&status), "TREASURY_FILE_NOT_FOUND");
    }
    let request = proto::TakeBackTreasuryFileRequest {
        request_id: request_id(),
        file_id: first.clone(),
        reason: "nhập nhầm tệp của đơn vị khác".to_owned(),
    };
    let mut fees = accountant.clone().fees;
    let blank = proto::TakeBackTreasuryFileRequest {
        reason: " ".to_owned(),
        ..request.clone()
    };
    let status = fees.take_back_treasury_file(blank).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "reason");
    assert_eq!(events(&stack, "treasury_file_taken_back").await, 0);
    assert_eq!(state_of(&stack, &two).await, ChargeState::Reconciled);

    // What another file repeats does not rest on this one.
    let taken = fees
        .take_back_treasury_file(request.clone())
        .await
        .unwrap()
        .into_inner();
    let file = taken.file.as_ref().unwrap();
    assert_eq!(
        (
            file.file_id.as_str(),
            file.state(),
            file.entries,
            taken.reopened_payments
        ),
        (first.as_str(), TreasuryFileState::TakenBack, 3, 1)
    );
    assert_eq!(file.reconcile_again, [WireDate::from(DAY)]);
    assert_eq!(file.take_back_reason, request.reason);
    assert!(!file.taken_back_by.is_empty() && file.take_back_time.is_some());
    assert_eq!(state_of(&stack, &one).await, ChargeState::Reconciled);
    assert_eq!(state_of(&stack, &two).await, ChargeState::Paid);

    // The same request, the same answer; another one is told.
    let again = fees
        .take_back_treasury_file(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, taken);
    let other = proto::TakeBackTreasuryFileRequest {
        reason: "lý do khác".to_owned(),
        ..request
    };
    let status = fees.take_back_treasury_file(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    let status = take_back(&accountant, &first).await.unwrap_err();
    assert_eq!(reason(&status), "TREASURY_FILE_TAKEN_BACK");
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let kept: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM egov.leaves WHERE kind = 'treasury_file' AND version = 2),
                (SELECT count(*) FROM fee_acts WHERE act = 'take_back' AND reason LIKE 'nhập nhầm%' AND actor_kind = 'staff'),
                (SELECT count(*) FROM treasury_entries)",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(kept, (1, 1, 4));
    for kind in ["treasury_file_taken_back", "payment_reopened"] {
        assert_eq!(events(&stack, kind).await, 1, "{kind}");
    }

    // It stays readable as taken back, line by line.
    let listed = files(&accountant, of_state(TreasuryFileState::Unspecified)).await;
    assert_eq!(listed.files.len(), 2);
    assert_eq!(
        ids(&files(&accountant, of_state(TreasuryFileState::TakenBack)).await),
        [first.as_str()]
    );
    let standing = files(&accountant, of_state(TreasuryFileState::Counts)).await;
    assert_eq!(ids(&standing), [second.as_str()]);
    assert_eq!(
        standing.files[0].reconcile_again,
        [WireDate::from(DAY)],
        "its day is to be done again too"
    );
    let one_a_page = proto::ListTreasuryFilesRequest {
        page_size: 1,
        unit_id: TRUONG_VINH,
        from: Some(DAY.into()),
        to: Some(DAY.into()),
        ..Default::default()
    };
    let begin = files(&accountant, one_a_page.clone()).await;
    let rest = proto::ListTreasuryFilesRequest {
        page_token: begin.next_page_token.clone(),
        ..one_a_page
    };
    let end = files(&accountant, rest).await;
    assert_eq!([ids(&begin), ids(&end)].concat(), ids(&listed));
    assert_eq!(end.next_page_token, "");
    let tomorrow = proto::ListTreasuryFilesRequest {
        from: Some(DAY.tomorrow().unwrap().into()),
        ..Default::default()
    };
    assert!(files(&accountant, tomorrow).await.files.is_empty());
    assert!(
        files(&neighbour, proto::ListTreasuryFilesRequest::default())
            .await
            .files
            .is_empty()
    );
    let elsewhere = proto::ListTreasuryFilesRequest {
        unit_id: TRUONG_VINH,
        ..Default::default()
    };
    let status = neighbour.clone().fees.list_treasury_files(elsewhere).await.unwrap_err();
    assert_eq!(reason(&status), "UNIT_NOT_IN_SCOPE");
    let begin = lines(&accountant, &first, "").await.unwrap();
    let end = lines(&accountant, &first, &begin.next_page_token).await.unwrap();
    assert_eq!(
        (begin.state(), end.state()),
        (TreasuryFileState::TakenBack, TreasuryFileState::TakenBack)
    );
    let read: Vec<(i32, &str, i64)> = begin
        .lines
        .iter()
        .chain(&end.lines)
        .map(|line| (line.line, line.reference.as_str(), line.amount.as_ref().unwrap().units))
        .collect();
    assert_eq!(read, [(2, "BL-1", 8_000), (3, "BL-2", 8_000), (4, "BL-9", 5_000)]);

    // What was found by it is settled by nobody before the day is reconciled again.
    let status = settle(&accountant, &stray).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::FailedPrecondition, "RECONCILE_AGAIN".to_owned())
    );
    let done = reconcile(&accountant, TRUONG_VINH).await.unwrap();
    assert_eq!((done.matched, done.open_differences, done.gone_differences), (1, 1, 1));
    let open = differences(&accountant).await;
    assert_eq!(
        (open[0].reference.as_str(), open[0].kind()),
        ("BL-2", DifferenceKind::MissingInTreasury)
    );
    let listed = files(&accountant, of_state(TreasuryFileState::Unspecified)).await;
    assert!(
        listed.files.iter().all(|file| file.reconcile_again.is_empty()),
        "{listed:?}"
    );

    // It was right after all: the same content is imported anew.
    let anew = import(&accountant, &mistaken, false).await.unwrap().file_id;
    assert_ne!(anew, first);
    let done = reconcile(&accountant, TRUONG_VINH).await.unwrap();
    assert_eq!((done.matched, done.open_differences, done.gone_differences), (2, 1, 1));
    assert_eq!(state_of(&stack, &two).await, ChargeState::Reconciled);
    whole(&stack).await;
}

#[tokio::test]
async fn of_two_who_take_a_file_back_one_has_it_and_whoever_reconciles_meanwhile_does_so_before_or_not_at_all() {
    let stack = Stack::start().await;
    let (one, two) = two_paid(&stack).await;
    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    // Of the day before, with lines of this one; and one without lines, so that both days have a file.
    let both = format!(
        "23/11/2026,{},BL-1,8000\n23/11/2026,{},BL-2,8000\n",
        one.case_code, two.case_code
    );
    let file_id = import_treasury(&accountant, TRUONG_VINH, DAY.yesterday().unwrap(), &both)
        .await
        .unwrap()
        .file_id;
    import(&accountant, "", false).await.unwrap();
    let (a, b, done) = tokio::join!(
        take_back(&accountant, &file_id),
        take_back(&accountant, &file_id),
        reconcile(&accountant, TRUONG_VINH)
    );
    let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    let won = won.unwrap();
    assert_eq!(reason(&lost.unwrap_err()), "TREASURY_FILE_TAKEN_BACK");
    let matched = done.unwrap().matched;
    assert!([0, 2].contains(&matched), "{matched}");
    assert_eq!(won.reopened_payments, matched, "what it found by the file is undone");
    let again = won.file.unwrap().reconcile_again;
    assert_eq!(again.is_empty(), matched == 0, "{again:?}");
    for case in [&one, &two] {
        assert_eq!(state_of(&stack, case).await, ChargeState::Paid);
    }
    let done = reconcile(&accountant, TRUONG_VINH).await.unwrap();
    assert_eq!((done.matched, done.open_differences), (0, 2));
    // The day of which the file was has none any more.
    let request = proto::ReconcileDayRequest {
        request_id: request_id(),
        unit_id: TRUONG_VINH,
        day: Some(DAY.yesterday().unwrap().into()),
    };
    let status = accountant.clone().fees.reconcile_day(request).await.unwrap_err();
    assert_eq!(reason(&status), "TREASURY_FILE_MISSING");
    whole(&stack).await;
}
