//! Monthly reports: frozen when they are made, made again identically; what is published of punctuality.

use egov_proto::egov::onestop::v1::{
    CheckReportRequest, ExportReportRequest, GetPunctualityRequest, GetReportRequest, ListReportsRequest,
    MakeReportRequest, Report, TableFormat,
};
use egov_proto::google::r#type::Date as WireDate;
use jiff::civil::date;
use tonic::{Code, Status};

use crate::generated::{generated, order};
use crate::support::*;

fn november(unit_id: i32) -> MakeReportRequest {
    MakeReportRequest {
        request_id: request_id(),
        unit_id,
        form: String::new(),
        year: 2026,
        month: 11,
    }
}

async fn make(client: &Client, request: MakeReportRequest) -> Result<Report, Status> {
    let answer = client.clone().reports.make_report(request).await?;
    Ok(answer.into_inner().report.unwrap())
}

async fn differences(client: &Client, report: &Report) -> Vec<String> {
    let request = CheckReportRequest {
        report_id: report.report_id.clone(),
    };
    let answer = client.clone().reports.check_report(request).await.unwrap().into_inner();
    assert_eq!(answer.identical, answer.differences.is_empty());
    answer.differences
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monthly_report_is_frozen_and_comes_out_the_same_again() {
    let stack = Stack::start().await;
    generated(&stack, &order(400, 31)).await;
    let leader = stack.staff("unit_leader", PROVINCE);
    let request = november(PROVINCE);
    let report = make(&leader, request.clone()).await.unwrap();
    let day = |day: jiff::civil::Date| Some(WireDate::from(day));
    assert_eq!(
        (report.from, report.to, report.due_date),
        (
            day(date(2026, 10, 15)),
            day(date(2026, 11, 14)),
            day(date(2026, 11, 25))
        )
    );
    assert_eq!((report.known_until, report.late), (day(date(2026, 11, 22)), false));
    assert_eq!(
        report.period_basis.as_ref().unwrap().status,
        2,
        "unconfirmed, and says so"
    );
    assert_eq!(make(&leader, request).await.unwrap(), report, "the same request");
    let status = make(&leader, november(PROVINCE)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::AlreadyExists, "REPORT_ALREADY_MADE")
    );
    assert_eq!(egov_fault::fault_of(&status).metadata()["report_id"], report.report_id);

    // Tokens live for five minutes: each reading has its own.
    let get = async || {
        let request = GetReportRequest {
            report_id: report.report_id.clone(),
        };
        let mut leader = stack.staff("unit_leader", PROVINCE);
        leader.reports.get_report(request).await.unwrap().into_inner()
    };
    let frozen = get().await;
    assert_eq!(frozen.by_unit.len(), 2);
    assert!(frozen.by_sector.len() > 1 && frozen.by_procedure.len() > 1);
    assert!(frozen.total.unwrap().received_online > 0);
    // Whatever happens afterwards changes neither it nor what is made again.
    let case = processing(&stack).await;
    approve(&stack, &case).await;
    stack.advance(jiff::SignedDuration::from_hours(24 * 40)).await;
    assert_eq!(get().await, frozen);
    let leader = stack.staff("unit_leader", PROVINCE);
    assert_eq!(differences(&leader, &report).await, Vec::<String>::new());

    // Somebody who writes past the service is found out.
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query("UPDATE statistic_sums SET amount = amount + 1 WHERE level = 1 AND day > '2026-10-31' AND day < '2026-11-15' AND measure = 9")
        .execute(&mut sql)
        .await
        .unwrap();
    assert!(differences(&leader, &report).await.contains(&"total".to_owned()));

    let export = async |format: TableFormat| {
        let request = ExportReportRequest {
            report_id: report.report_id.clone(),
            format: format.into(),
        };
        let answer = leader.clone().reports.export_report(request).await.unwrap();
        answer.into_inner().file.unwrap()
    };
    let csv = String::from_utf8(export(TableFormat::Csv).await.content).unwrap();
    for part in [
        "Báo cáo tháng",
        "Kỳ từ 15/10/2026 đến 14/11/2026",
        "Lĩnh vực",
        "Thủ tục",
        "Phường Thành Vinh",
    ] {
        assert!(csv.contains(part), "{part}");
    }
    assert_eq!(
        export(TableFormat::Xlsx).await.content,
        export(TableFormat::Xlsx).await.content
    );
}

#[tokio::test]
async fn a_report_is_made_after_its_period_by_who_may_and_seen_by_no_neighbour() {
    let stack = Stack::start().await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let december = MakeReportRequest {
        month: 12,
        ..november(TRUONG_VINH)
    };
    let status = make(&leader, december).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "PERIOD_NOT_ENDED")
    );
    let unknown = MakeReportRequest {
        form: "quy".to_owned(),
        ..november(TRUONG_VINH)
    };
    assert_eq!(
        reason(&make(&leader, unknown).await.unwrap_err()),
        "REPORT_FORM_UNKNOWN"
    );
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let status = make(&clerk, november(TRUONG_VINH)).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let neighbour = stack.staff("unit_leader", THANH_VINH);
    let status = make(&neighbour, november(TRUONG_VINH)).await.unwrap_err();
    assert_eq!(reason(&status), "UNIT_NOT_IN_SCOPE");

    let list = async |client: &Client, unit_id: i32| {
        let request = ListReportsRequest {
            unit_id,
            page_size: 1,
            ..Default::default()
        };
        client.clone().reports.list_reports(request).await.unwrap().into_inner()
    };
    let due = list(&leader, TRUONG_VINH).await.due;
    let shown: Vec<(i32, bool)> = due
        .iter()
        .map(|due| (due.due_date.unwrap().month, due.overdue))
        .collect();
    assert_eq!(
        shown,
        [(10, true), (11, false)],
        "October was never made, November is due on the 25th"
    );
    // Once a unit reports, every period without a report is due until it is made.
    let of = |month: i32| MakeReportRequest {
        month,
        ..november(TRUONG_VINH)
    };
    assert!(make(&leader, of(7)).await.unwrap().late);
    let due = list(&leader, TRUONG_VINH).await.due;
    let missing: Vec<i32> = due.iter().map(|due| due.due_date.unwrap().month).collect();
    assert_eq!(missing, [8, 9, 10, 11]);
    for month in [8, 9] {
        make(&leader, of(month)).await.unwrap();
    }
    let report = make(&leader, november(TRUONG_VINH)).await.unwrap();
    let october = MakeReportRequest {
        month: 10,
        ..november(TRUONG_VINH)
    };
    assert!(make(&leader, october).await.unwrap().late);
    let page = list(&leader, TRUONG_VINH).await;
    assert_eq!((page.reports.len(), page.due.len()), (1, 0));
    assert_eq!(page.reports[0].report_id, report.report_id, "the latest period first");
    assert!(!page.next_page_token.is_empty());

    let get = GetReportRequest {
        report_id: report.report_id.clone(),
    };
    assert!(clerk.clone().reports.get_report(get.clone()).await.is_ok());
    let status = neighbour.clone().reports.get_report(get.clone()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "REPORT_NOT_FOUND")
    );
    assert!(list(&neighbour, 0).await.reports.is_empty());
    let status = stack.portal(citizen()).reports.get_report(get).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let check = CheckReportRequest {
        report_id: report.report_id.clone(),
    };
    let status = neighbour.clone().reports.check_report(check).await.unwrap_err();
    assert_eq!(reason(&status), "REPORT_NOT_FOUND");
    let export = ExportReportRequest {
        report_id: report.report_id,
        format: TableFormat::Csv.into(),
    };
    let status = neighbour.clone().reports.export_report(export).await.unwrap_err();
    assert_eq!(reason(&status), "REPORT_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn punctuality_is_public_and_says_nothing_of_few_cases() {
    let stack = Stack::start().await;
    generated(&stack, &order(300, 37)).await;
    let mut public = stack.public();
    let october = GetPunctualityRequest { year: 2026, month: 10 };
    let published = public.reports.get_punctuality(october).await.unwrap().into_inner();
    assert_eq!(published.smallest, 5);
    assert_eq!(published.rows.len(), 2, "both units have enough");
    for row in &published.rows {
        assert!(row.processed >= 5 && row.in_time <= row.processed && !row.unit_name.is_empty());
    }
    let status = public
        .reports
        .get_punctuality(GetPunctualityRequest { year: 2026, month: 11 })
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERIOD_NOT_ENDED");
    // A single case is nobody's business.
    let few = Stack::start().await;
    let case = processing(&few).await;
    approve(&few, &case).await;
    few.advance(jiff::SignedDuration::from_hours(24 * 20)).await;
    let november = GetPunctualityRequest { year: 2026, month: 11 };
    let published = few
        .public()
        .reports
        .get_punctuality(november)
        .await
        .unwrap()
        .into_inner();
    assert!(published.rows.is_empty(), "{published:?}");
}
