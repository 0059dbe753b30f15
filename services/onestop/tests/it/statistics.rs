//! Figures: exact after every act, the same as a plain count over the histories, the same again for a past date.

use std::collections::BTreeMap;

use egov_onestop::operations::rebuild_statistics::{Piece, rebuild_piece, rebuild_statistics};
use egov_proto::egov::onestop::v1::{
    ExportStatisticsRequest, GetPerformanceIndexRequest, GetRatingAssessmentRequest, GetStatisticsRequest,
    GetStatisticsResponse, StatisticColumns, StatisticDimension, TableFormat, WithdrawCaseRequest,
};
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use sqlx::Row as _;
use tonic::{Code, Status};

use crate::generated::{generated, order, verified};
use crate::support::*;

const TODAY: Date = date(2026, 11, 23);

fn by(dimension: StatisticDimension, from: Date, to: Date) -> GetStatisticsRequest {
    GetStatisticsRequest {
        dimension: dimension.into(),
        from: Some(from.into()),
        to: Some(to.into()),
        page_size: 200,
        ..Default::default()
    }
}

async fn ask(client: &Client, request: GetStatisticsRequest) -> Result<GetStatisticsResponse, Status> {
    let answer = client.clone().reports.get_statistics(request).await?;
    Ok(answer.into_inner())
}

async fn total(client: &Client, from: Date, to: Date) -> StatisticColumns {
    let request = by(StatisticDimension::Unit, from, to);
    ask(client, request).await.unwrap().total.unwrap()
}

fn received(columns: &StatisticColumns) -> i64 {
    columns.received_online + columns.received_counter + columns.received_post
}

fn processed(columns: &StatisticColumns) -> i64 {
    columns.processed_early + columns.processed_on_time + columns.processed_late
}

#[track_caller]
fn balanced(columns: &StatisticColumns) {
    let open = columns.in_process_in_time + columns.in_process_overdue + columns.paused;
    assert_eq!(
        columns.carried_over + received(columns) + columns.transferred,
        processed(columns) + open + columns.stopped,
        "{columns:?}"
    );
}

/// Waits until nothing waits to be folded.
async fn folded(stack: &Stack) {
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    for _ in 0..400 {
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM statistic_changes")
            .fetch_one(&mut sql)
            .await
            .unwrap();
        if waiting == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nobody folded");
}

#[tokio::test]
async fn every_act_is_in_the_figures_at_once_and_folding_changes_nothing() {
    let stack = Stack::start().await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let empty = total(&leader, TODAY, TODAY).await;
    assert_eq!(empty, StatisticColumns::default());

    submit(&stack).await;
    let case = processing(&stack).await;
    approve(&stack, &case).await;
    let open = processing(&stack).await;
    let now = total(&leader, TODAY, TODAY).await;
    let expected = StatisticColumns {
        registered: 3,
        waiting: 1,
        received_online: 2,
        processed_early: 1,
        in_process_in_time: 1,
        components: 4,
        results: 1,
        digital_results: 1,
        ..Default::default()
    };
    assert_eq!(now, expected);
    balanced(&now);
    folded(&stack).await;
    assert_eq!(total(&leader, TODAY, TODAY).await, expected, "folded or not");

    // Two days later it is overdue, and carried over; nobody did anything.
    stack.advance(SignedDuration::from_hours(72)).await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let later = total(&leader, date(2026, 11, 26), date(2026, 11, 26)).await;
    assert_eq!(
        (later.carried_over, later.in_process_overdue, later.registered),
        (1, 1, 0)
    );
    let withdraw = WithdrawCaseRequest {
        request_id: request_id(),
        case_id: open.case_id.clone(),
        etag: open.etag.clone(),
        reason: "thôi".to_owned(),
        ..Default::default()
    };
    stack.portal(citizen()).cases.withdraw_case(withdraw).await.unwrap();
    let done = total(&leader, date(2026, 11, 26), date(2026, 11, 26)).await;
    assert_eq!(
        (done.processed_late, done.withdrawn, done.in_process_overdue),
        (1, 1, 0)
    );
    balanced(&done);
    // What was asked about the past is answered as before.
    assert_eq!(total(&leader, TODAY, TODAY).await, expected);

    // By officer: what was assigned came to the officer, and the leader alone may ask.
    let officers = ask(&leader, by(StatisticDimension::Officer, TODAY, TODAY))
        .await
        .unwrap();
    let officer = officers
        .rows
        .iter()
        .find(|row| row.key == uuid::Uuid::from_u128(0xA1).to_string())
        .unwrap();
    let columns = officer.columns.unwrap();
    assert_eq!(
        (columns.transferred, columns.processed_early, columns.in_process_in_time),
        (2, 1, 1)
    );
    balanced(&columns);
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let status = ask(&clerk, by(StatisticDimension::Officer, TODAY, TODAY))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    assert!(ask(&clerk, by(StatisticDimension::Unit, TODAY, TODAY)).await.is_ok());

    // By procedure and field, with their names.
    let procedures = ask(&leader, by(StatisticDimension::Procedure, TODAY, TODAY))
        .await
        .unwrap();
    assert_eq!(procedures.rows.len(), 1);
    assert_eq!(procedures.rows[0].key, "1.001193");
    assert!(!procedures.rows[0].name.is_empty());
    let sectors = ask(&leader, by(StatisticDimension::Sector, TODAY, TODAY))
        .await
        .unwrap();
    assert_eq!(sectors.rows[0].columns, procedures.rows[0].columns);
    let rate = sectors.rates.iter().find(|rate| rate.code == "on_time").unwrap();
    assert_eq!(
        (rate.part, rate.whole, rate.hundredths_of_percent),
        (1, 1, Some(10_000))
    );

    let whole = verified(&stack).await;
    assert!(whole.is_whole(), "{:#?}", whole.violations);
}

#[tokio::test]
async fn the_neighbours_figures_are_no_ones_answer() {
    let stack = Stack::start().await;
    processing(&stack).await;
    let neighbour = stack.staff("unit_leader", THANH_VINH);
    for dimension in [
        StatisticDimension::Unit,
        StatisticDimension::Sector,
        StatisticDimension::Officer,
    ] {
        let answer = ask(&neighbour, by(dimension, TODAY, TODAY)).await.unwrap();
        assert_eq!(
            (answer.rows.len(), answer.total),
            (0, Some(StatisticColumns::default()))
        );
    }
    let request = GetStatisticsRequest {
        unit_id: TRUONG_VINH,
        ..by(StatisticDimension::Unit, TODAY, TODAY)
    };
    if cfg!(feature = "test-without-query-filter") {
        // Nobody asks here whether the unit is the caller's: what keeps its figures in are the policies of the rows.
        let answer = ask(&neighbour, request.clone()).await.unwrap();
        assert_eq!(
            (answer.rows.len(), answer.total),
            (0, Some(StatisticColumns::default()))
        );
    } else {
        let status = ask(&neighbour, request.clone()).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, "UNIT_NOT_IN_SCOPE")
        );
    }
    let status = ask(&stack.portal(citizen()), request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = ask(&stack.public(), request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    // The province sees all, one unit alone, and a unit with what is below it.
    let province = stack.staff("unit_leader", PROVINCE);
    assert_eq!(ask(&province, request).await.unwrap().rows.len(), 1);
    let below = GetStatisticsRequest {
        unit_id: PROVINCE,
        with_units_below: true,
        ..by(StatisticDimension::Unit, TODAY, TODAY)
    };
    assert_eq!(
        ask(&province, below).await.unwrap().rows[0].key,
        TRUONG_VINH.to_string()
    );

    // The second wall: in the neighbour's scope there are no rows, whatever the query asks for.
    folded(&stack).await;
    let mut app = stack.database.connect_as_app().await.unwrap();
    for (scope, expected) in [("{3}", false), ("{2}", true)] {
        let mut transaction = sqlx::Connection::begin(&mut app).await.unwrap();
        sqlx::query("SELECT set_config('egov.scope_units', $1, true)")
            .bind(scope)
            .execute(&mut *transaction)
            .await
            .unwrap();
        for table in ["statistic_sums", "statistic_changes"] {
            let query = sqlx::AssertSqlSafe(format!("SELECT EXISTS (SELECT 1 FROM {table})"));
            let seen: bool = sqlx::query_scalar(query).fetch_one(&mut *transaction).await.unwrap();
            assert_eq!(seen, expected && table == "statistic_sums", "{table} in {scope}");
        }
    }
}

#[tokio::test]
async fn a_period_that_makes_no_sense_is_refused_with_every_fault() {
    let stack = Stack::start().await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let backwards = GetStatisticsRequest {
        known_until: Some(date(2026, 1, 1).into()),
        ..by(StatisticDimension::Unit, date(2027, 2, 2), date(2027, 1, 1))
    };
    let status = ask(&leader, backwards).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let fields: Vec<String> = egov_fault::fault_of(&status)
        .violations()
        .iter()
        .map(|violation| violation.field.clone())
        .collect();
    assert_eq!(fields, ["to", "to", "known_until"]);
}

/// The columns of a period, counted over the histories by SQL.
async fn plain(stack: &Stack, from: Date, to: Date) -> BTreeMap<String, i64> {
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    let rows = sqlx::query(
        "
        WITH acts AS (
            SELECT h.*, c.channel, c.due_date, c.due_time, c.accept_time, (h.record_time AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day
            FROM case_history h JOIN cases c USING (case_id)
        ), ends AS (
            SELECT * FROM acts WHERE to_state IN (7, 9) AND from_state IS DISTINCT FROM to_state AND accept_time IS NOT NULL
        ), last AS (
            SELECT DISTINCT ON (case_id) * FROM acts WHERE day <= $2::date ORDER BY case_id, version DESC
        ), before AS (
            SELECT DISTINCT ON (case_id) * FROM acts WHERE day < $1::date ORDER BY case_id, version DESC
        ), period AS (SELECT * FROM acts WHERE day BETWEEN $1::date AND $2::date),
        ended AS (SELECT * FROM ends WHERE day BETWEEN $1::date AND $2::date)
        SELECT 'registered' AS name, count(*) AS count FROM period WHERE version = 1
        UNION ALL SELECT 'received_' || (ARRAY['counter', 'online', 'post'])[channel], count(*) FROM period
                  WHERE operation = 'accept' GROUP BY channel
        UNION ALL SELECT 'processed_late', count(*) FROM ended WHERE record_time > due_time
        UNION ALL SELECT 'processed_early', count(*) FROM ended WHERE day < due_date
        UNION ALL SELECT 'processed_on_time', count(*) FROM ended WHERE day >= due_date AND record_time <= due_time
        UNION ALL SELECT 'withdrawn', count(*) FROM ended WHERE to_state = 7
        UNION ALL SELECT 'stopped', count(*) FROM period WHERE to_state = 8 AND accept_time IS NOT NULL
        UNION ALL SELECT 'refused', count(*) FROM period WHERE to_state = 3
        UNION ALL SELECT 'returned', count(*) FROM period WHERE operation = 'return_result'
        UNION ALL SELECT 'carried_over', count(*) FROM before
                  WHERE to_state IN (2, 4) OR (to_state IN (5, 6) AND accept_time <= record_time)
        UNION ALL SELECT 'paused', count(*) FROM last WHERE to_state IN (5, 6) AND accept_time <= record_time
        UNION ALL SELECT 'in_process', count(*) FROM last WHERE to_state IN (2, 4)
        UNION ALL SELECT 'waiting', count(*) FROM last
                  WHERE to_state = 1 OR (to_state = 5 AND (accept_time IS NULL OR accept_time > record_time))
        UNION ALL SELECT 'rated', count(*) FROM period WHERE operation = 'rate'
        ",
    )
    .bind(from.to_string())
    .bind(to.to_string())
    .fetch_all(&mut sql)
    .await
    .unwrap();
    rows.iter().map(|row| (row.get("name"), row.get("count"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_of_generated_cases_are_their_truth_and_a_plain_count_for_any_period() {
    let stack = Stack::start().await;
    let truth = generated(&stack, &order(900, 29)).await;
    let province = stack.staff("unit_leader", PROVINCE);
    let (first, last) = (date(2026, 9, 1), date(2026, 11, 20));
    let all = total(&province, first, last).await;
    balanced(&all);
    let known = |number: u64| i64::try_from(number).unwrap();
    assert_eq!(all.registered, known(truth.cases));
    assert_eq!(
        processed(&all) - all.withdrawn,
        known(truth.decided_in_time + truth.decided_late)
    );
    assert_eq!(all.in_process_overdue, known(truth.open_and_overdue));
    let scores = [all.rated_dissatisfied, all.rated_satisfied, all.rated_very_satisfied];
    let given = [1, 2, 3].map(|score| known(truth.by_score.get(&score).copied().unwrap_or(0)));
    assert_eq!(scores, given);
    for (action, count) in [
        ("accept", received(&all)),
        ("return_result", all.returned),
        ("reject", all.refused),
    ] {
        assert_eq!(count, known(truth.by_act.get(action).copied().unwrap_or(0)), "{action}");
    }
    let by_unit = ask(&province, by(StatisticDimension::Unit, first, last)).await.unwrap();
    for row in &by_unit.rows {
        let code = if row.key == TRUONG_VINH.to_string() {
            "16690"
        } else {
            "16681"
        };
        assert_eq!(row.columns.unwrap().registered, known(truth.by_unit[code]), "{code}");
    }
    let procedures = ask(&province, by(StatisticDimension::Procedure, first, last))
        .await
        .unwrap();
    assert!(procedures.rows.len() > 1);
    for row in &procedures.rows {
        assert_eq!(
            row.columns.unwrap().registered,
            known(truth.by_procedure[&row.key]),
            "{}",
            row.key
        );
    }

    for (from, to) in [
        (first, last),
        (date(2026, 9, 14), date(2026, 9, 14)),
        (date(2026, 9, 15), date(2026, 10, 14)),
        (date(2026, 10, 1), date(2026, 10, 31)),
        (date(2026, 10, 7), date(2026, 11, 3)),
    ] {
        let columns = total(&province, from, to).await;
        balanced(&columns);
        let plain = plain(&stack, from, to).await;
        let of = |name: &str| plain.get(name).copied().unwrap_or(0);
        for (name, count) in [
            ("registered", columns.registered),
            ("received_online", columns.received_online),
            ("received_counter", columns.received_counter),
            ("received_post", columns.received_post),
            ("processed_early", columns.processed_early),
            ("processed_on_time", columns.processed_on_time),
            ("processed_late", columns.processed_late),
            ("withdrawn", columns.withdrawn),
            ("stopped", columns.stopped),
            ("refused", columns.refused),
            ("returned", columns.returned),
            ("carried_over", columns.carried_over),
            ("paused", columns.paused),
            ("in_process", columns.in_process_in_time + columns.in_process_overdue),
            ("waiting", columns.waiting),
            (
                "rated",
                columns.rated_dissatisfied + columns.rated_satisfied + columns.rated_very_satisfied,
            ),
        ] {
            assert_eq!(count, of(name), "{name} from {from} to {to}");
        }
    }

    // The same again after further acts, and page by page.
    let october = by(StatisticDimension::Procedure, date(2026, 10, 1), date(2026, 10, 31));
    let before = ask(&province, october.clone()).await.unwrap();
    let case = processing(&stack).await;
    approve(&stack, &case).await;
    assert_eq!(ask(&province, october.clone()).await.unwrap(), before);
    let mut paged = Vec::new();
    let mut request = GetStatisticsRequest {
        page_size: 2,
        ..october
    };
    loop {
        let page = ask(&province, request.clone()).await.unwrap();
        assert!(page.rows.len() <= 2);
        assert_eq!(page.total, before.total, "the total is of all pages");
        paged.extend(page.rows);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, before.rows);

    let whole = verified(&stack).await;
    assert!(whole.is_whole(), "{:#?}", whole.violations);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acts_at_the_same_moment_all_count_while_figures_are_folded() {
    let stack = Stack::start().await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let mut acts = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let mut portal = stack.portal(citizen());
        let mut clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
        acts.spawn(async move {
            let case = portal
                .cases
                .submit_case(birth_registration())
                .await
                .unwrap()
                .into_inner()
                .case
                .unwrap();
            let request = egov_proto::egov::onestop::v1::AcceptCaseRequest {
                request_id: request_id(),
                case_id: case.case_id,
                etag: case.etag,
            };
            clerk.cases.accept_case(request).await.unwrap();
        });
    }
    while acts.join_next().await.transpose().unwrap().is_some() {
        balanced(&total(&leader, TODAY, TODAY).await);
    }
    folded(&stack).await;
    let all = total(&leader, TODAY, TODAY).await;
    assert_eq!(
        (all.registered, all.received_online, all.in_process_in_time, all.waiting),
        (24, 24, 24, 0)
    );
}

#[tokio::test]
async fn the_verification_names_what_differs_and_a_rebuild_puts_it_right() {
    let stack = Stack::start().await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let case = processing(&stack).await;
    approve(&stack, &case).await;
    let right = total(&leader, TODAY, TODAY).await;
    folded(&stack).await;
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    for tampering in [
        "UPDATE statistic_sums SET amount = amount + 1 WHERE level = 1 AND measure = 9",
        "UPDATE statistic_sums SET amount = amount + 1 WHERE level = 2 AND measure = 9",
        "UPDATE statistic_sums SET officer_id = '00000000-0000-0000-0000-000000000009' WHERE measure = 9",
        "DELETE FROM statistic_sums WHERE measure = 7",
    ] {
        let changed = sqlx::query(tampering).execute(&mut sql).await.unwrap();
        assert!(changed.rows_affected() > 0, "{tampering}");
        let found = verified(&stack).await;
        let rules: Vec<String> = found.violated.keys().map(|rule| format!("{rule:?}")).collect();
        assert_eq!(rules, ["Statistics"], "{tampering}");
        assert_eq!(rebuild_statistics(&stack.pool, |_| {}).await.unwrap(), 1);
        let found = verified(&stack).await;
        assert!(found.is_whole(), "{tampering}: {:#?}", found.violations);
        assert_eq!(total(&leader, TODAY, TODAY).await, right);
    }
}

#[tokio::test]
async fn a_rebuild_goes_on_piece_by_piece_beside_acts_and_what_is_read_is_exact_meanwhile() {
    let stack = Stack::start().await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let read = || total(&leader, TODAY, TODAY);
    let case = processing(&stack).await;
    approve(&stack, &case).await;
    let open = processing(&stack).await;
    submit(&stack).await;
    folded(&stack).await;
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    let right = read().await;
    let wrong = "UPDATE statistic_sums SET amount = amount + 1 WHERE measure = 9";

    // Cases are counted one by one; acts go on, on those that are counted and those that are not, and each is read at once.
    for counted in 1..=2 {
        let before = read().await;
        assert_eq!(
            rebuild_piece(&stack.pool, 1).await.unwrap(),
            Piece::Counted(counted),
            "one case more"
        );
        assert_eq!(read().await, before, "counting changes nothing that is read");
        submit(&stack).await;
        if counted == 1 {
            approve(&stack, &open).await;
        }
        assert_eq!(read().await.registered, before.registered + 1);
    }
    sqlx::query(wrong).execute(&mut sql).await.unwrap();
    // Broken off there: whoever begins again goes on, and what was done meanwhile is counted once.
    let mut told = Vec::new();
    let cases = rebuild_statistics(&stack.pool, |cases| told.push(cases)).await.unwrap();
    assert!(told.iter().all(|told| *told > 2), "nothing is counted again: {told:?}");
    assert!((3..=5).contains(&cases), "{cases}");
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:#?}", found.violations);
    let now = read().await;
    balanced(&now);
    assert_eq!(now.registered, right.registered + 2);

    // Between two sums that take their place somebody acts, and it is broken off again.
    sqlx::query(wrong).execute(&mut sql).await.unwrap();
    let mut put = 0;
    let cases = loop {
        match rebuild_piece(&stack.pool, 100).await.unwrap() {
            Piece::Counted(_) => {}
            Piece::Put => {
                put += 1;
                submit(&stack).await;
            }
            Piece::Ended(cases) => break cases,
        }
    };
    assert!(put > 0 && cases == 5, "{put} {cases}");
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:#?}", found.violations);
    let expected = right.registered + 2 + put;
    assert_eq!(read().await.registered, expected);
    for table in ["statistic_sums_anew", "statistic_rebuilds"] {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let left: i64 = sqlx::query_scalar(query).fetch_one(&mut sql).await.unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn figures_are_exported_with_vietnamese_headings_and_dates_as_here() {
    let stack = Stack::start().await;
    processing(&stack).await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let export = async |format: TableFormat| {
        let request = ExportStatisticsRequest {
            statistics: Some(by(StatisticDimension::Unit, TODAY, TODAY)),
            format: format.into(),
        };
        let answer = leader.clone().reports.export_statistics(request).await.unwrap();
        answer.into_inner().file.unwrap()
    };
    let csv = export(TableFormat::Csv).await;
    let text = String::from_utf8(csv.content).unwrap();
    assert_eq!(csv.name.rsplit_once('.').unwrap().1, "csv");
    for part in [
        "Tiếp nhận: kỳ trước chuyển sang",
        "Đã xử lý: quá hạn",
        "Kỳ từ 23/11/2026 đến 23/11/2026",
        "Phường Trường Vinh",
        "Tổng số",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let xlsx = export(TableFormat::Xlsx).await;
    assert!(xlsx.content.starts_with(b"PK"));
    assert_eq!(xlsx.name.rsplit_once('.').unwrap().1, "xlsx");
    assert_eq!(export(TableFormat::Xlsx).await.content, xlsx.content, "the same bytes");
}

#[tokio::test]
async fn the_index_shows_what_is_established_and_scores_nothing_by_itself() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    approve(&stack, &case).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let owing = crate::fees::owing(&stack).await;
    let charge = crate::fees::charge(&clerk, &owing).await.unwrap();
    crate::fees::cash(&clerk, &charge, "BL-001", 8_000).await.unwrap();
    let mut leader = stack.staff("unit_leader", TRUONG_VINH);
    let request = GetPerformanceIndexRequest {
        from: Some(TODAY.into()),
        to: Some(TODAY.into()),
        ..Default::default()
    };
    let index = leader
        .reports
        .get_performance_index(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((index.max_points, index.hundredths_of_points), (100, None));
    assert_eq!(index.groups.len(), 6);
    let group = |code: &str| index.groups.iter().find(|group| group.code == code).unwrap();
    let on_time = &group("tien_do_ket_qua").rates[0];
    assert_eq!(
        (on_time.part, on_time.whole, on_time.hundredths_of_percent),
        (1, 1, Some(10_000))
    );
    let payment = group("thanh_toan_truc_tuyen");
    let online = &payment.rates[0];
    assert_eq!(
        (online.counted, online.part, online.whole, online.hundredths_of_percent),
        (true, 0, 1, Some(0)),
        "one payment, at the counter"
    );
    assert_eq!(payment.hundredths_of_points, None, "nobody decided how it is scored");
    assert_eq!(payment.basis.as_ref().unwrap().status, 2, "unconfirmed, and says so");

    let request = GetRatingAssessmentRequest {
        from: Some(TODAY.into()),
        to: Some(TODAY.into()),
        ..Default::default()
    };
    let ratings = leader
        .reports
        .get_rating_assessment(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            ratings.criteria.len(),
            ratings.hundredths_of_points,
            ratings.band.as_str()
        ),
        (9, None, "")
    );
    let status = stack
        .portal(citizen())
        .reports
        .get_rating_assessment(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}
