//! Đối soát ba bên: the treasury's file, the platform's list and our payments of a day.

use egov_onestop::domain::charge::OrderState;
use egov_onestop::domain::pack::Profile;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::{ChargeState, DifferenceKind, DifferenceState};
use tonic::{Code, Status};

use crate::fees::{Platform, ask_for_payment, cash, charge, owing, until, whole};
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

#[tokio::test]
async fn a_file_is_taken_whole_or_not_at_all_and_each_wrong_line_is_named() {
    let stack = Stack::start().await;
    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    let status = import(
        &accountant,
        "31/11/2026,x,,-1\n23/11/2026,H41.201-261123-0001,BL-1,8000\n",
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
