//! Cases of an old system: each line once, whole batches whatever happens, and afterwards cases like any other.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use egov_clock::SystemIds;
use egov_onestop::domain::old_case::Mapping;
use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::import_cases::lines::{Format, lines};
use egov_onestop::operations::import_cases::{ImportError, LineReport, Outcome, Sources, Summary, import_cases};
use egov_onestop::operations::verify::verify;
use egov_proto::egov::onestop::v1 as proto;

use crate::deadlines::{day, due, extend, extension};
use crate::support::*;

fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/import-cases");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn mapping() -> Mapping {
    Mapping::from_toml(&sample("mapping.toml")).unwrap()
}

const CSV: Format = Format::Csv { delimiter: b';' };

/// Imports; the report may end the import by an error, as a full disk would.
async fn try_import(
    stack: &Stack,
    text: &str,
    format: Format,
    dry_run: bool,
    mut report: impl FnMut(&LineReport) -> std::io::Result<()>,
) -> Result<Summary, ImportError> {
    let sources = Sources {
        database: &stack.pool,
        superuser: (&stack.database.superuser_url, stack.database.name()),
        keyring: Arc::clone(&stack.keyring),
        ids: SystemIds::shared(),
        clock: stack.clock.shared(),
        units: stack.directory.units(),
        profile: Profile::Demo,
    };
    let lines = lines(text.as_bytes(), format).unwrap();
    import_cases(sources, &mapping(), lines, dry_run, |line| report(line), |_| {}).await
}

async fn import(stack: &Stack, text: &str, dry_run: bool) -> (Summary, Vec<LineReport>) {
    let mut reports = Vec::new();
    let report = |line: &LineReport| {
        reports.push(line.clone());
        Ok(())
    };
    let summary = try_import(stack, text, CSV, dry_run, report).await.unwrap();
    (summary, reports)
}

/// How many rows each table has.
async fn rows(stack: &Stack) -> BTreeMap<&'static str, i64> {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let mut counts = BTreeMap::new();
    for (table, sql) in [
        ("cases", "SELECT count(*) FROM cases"),
        ("case_history", "SELECT count(*) FROM case_history"),
        ("imported_cases", "SELECT count(*) FROM imported_cases"),
        ("leaves", "SELECT count(*) FROM egov.leaves"),
        ("event_log", "SELECT count(*) FROM egov.event_log"),
    ] {
        counts.insert(table, sqlx::query_scalar(sql).fetch_one(&mut superuser).await.unwrap());
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_is_taken_once_and_what_is_wrong_is_named_in_both_languages() {
    let stack = Stack::start().await;
    let text = sample("cases.csv");

    let (would_be, told) = import(&stack, &text, true).await;
    assert!(
        rows(&stack).await.values().all(|count| *count == 0),
        "a dry run writes nothing"
    );
    let (summary, reports) = import(&stack, &text, false).await;
    assert_eq!(
        (would_be, &told),
        (summary, &reports),
        "a dry run says what the import does"
    );
    assert_eq!(
        summary,
        Summary {
            lines: 5,
            imported: 4,
            already: 0,
            refused: 1
        }
    );
    let refused = &reports[4];
    assert_eq!((refused.line, refused.outcome), (6, Outcome::Refused));
    let fields: Vec<&str> = refused.faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["accept_time"]);
    assert!(
        refused
            .faults
            .iter()
            .all(|fault| fault.vi.contains("tiếp nhận") && fault.en.contains("accepted"))
    );
    assert!(reports[1].unknown.iter().any(|part| part == "owner_personal_number"));
    let expected = ["cases", "case_history", "imported_cases", "leaves", "event_log"].map(|table| (table, 4));
    assert_eq!(rows(&stack).await, BTreeMap::from(expected));

    let (again, reports) = import(&stack, &text, false).await;
    assert_eq!((again.imported, again.already, again.refused), (0, 4, 1));
    assert!(reports[..4].iter().all(|line| line.outcome == Outcome::Already));
    assert_eq!(rows(&stack).await, BTreeMap::from(expected));

    let verified = verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
        .await
        .unwrap();
    assert!(verified.is_whole(), "{:#?}", verified.violations);
    assert_eq!(verified.checked, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imported_case_is_found_read_and_goes_on_like_any_other() {
    let stack = Stack::start().await;
    import(&stack, &sample("cases.csv"), false).await;
    let mut officer = stack.staff("officer", TRUONG_VINH);
    for (query, code) in [
        ("khiem le", "H41.201-261120-0003"),
        ("0987 654 321", "H41.201-261120-0003"),
        ("lê thị mai", "H41.201-261120-0003"),
        ("000.00.31.h41-251103-0007", "000.00.31.H41-251103-0007"),
    ] {
        let request = proto::SearchCasesRequest {
            query: query.to_owned(),
            ..Default::default()
        };
        let found = officer.cases.search_cases(request).await.unwrap().into_inner().cases;
        let codes: Vec<&str> = found.iter().map(|case| case.case_code.as_str()).collect();
        assert_eq!(codes, [code], "{query}");
    }
    let of_state = |state: proto::CaseState| proto::ListCasesRequest {
        states: vec![state.into()],
        ..Default::default()
    };
    let listed = officer
        .cases
        .list_cases(of_state(proto::CaseState::Processing))
        .await
        .unwrap()
        .into_inner();
    let case = get(&officer, &listed.cases[0].case_id).await.unwrap();
    let deadline = case.deadline.clone().unwrap();
    assert_eq!(deadline.period.unwrap().vi, "theo hệ thống cũ");
    let history = proto::ListCaseHistoryRequest {
        case_id: case.case_id.clone(),
        ..Default::default()
    };
    let history = officer
        .cases
        .list_case_history(history)
        .await
        .unwrap()
        .into_inner()
        .entries;
    assert_eq!(
        history.iter().map(|entry| entry.operation.as_str()).collect::<Vec<_>>(),
        ["import"]
    );

    // From 4 to the result, and what was supplied brings the paused one back to 4.
    let decided = approve(&stack, &case).await;
    assert_eq!(decided.state(), proto::CaseState::Completed);
    let paused = officer
        .cases
        .list_cases(of_state(proto::CaseState::SupplementRequested))
        .await
        .unwrap()
        .into_inner();
    let paused = get(&officer, &paused.cases[0].case_id).await.unwrap();
    let supply = proto::SupplyComponentsRequest {
        request_id: request_id(),
        case_id: paused.case_id.clone(),
        etag: paused.etag,
        components: vec![component("giay_chung_sinh")],
    };
    let supplied = stack
        .staff("one_stop_clerk", TRUONG_VINH)
        .cases
        .supply_components(supply)
        .await
        .unwrap();
    let supplied = supplied.into_inner().case.unwrap();
    assert_eq!(supplied.state(), proto::CaseState::Processing);
    assert!(supplied.pauses[0].end_time.is_some());

    // What the old system promised is extended to the date that is asked for.
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let later = extension(&supplied, day(2026, 12, 1));
    let extended = extend(&leader, later).await.unwrap().case.unwrap();
    assert_eq!(due(&extended), day(2026, 12, 1));

    // The neighbour sees none of them.
    let all = stack
        .staff("officer", THANH_VINH)
        .cases
        .list_cases(proto::ListCasesRequest::default())
        .await
        .unwrap();
    assert!(all.into_inner().cases.is_empty());
    let verified = verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
        .await
        .unwrap();
    assert!(verified.is_whole(), "{:#?}", verified.violations);
}

/// An export of so many finished cases, one of them wrong in every thousand.
fn export(count: u32) -> String {
    let mut text = sample("cases.csv").lines().next().unwrap().to_owned();
    text.push('\n');
    for number in 1..=count {
        let state = if number % 1_000 == 0 {
            "Kỳ lạ"
        } else {
            "Công dân rút"
        };
        writeln!(
            text,
            "{number};H41.201-25{:02}{:02}-{:04};1.001193;16690;Trực tiếp;Cá nhân;Nguyễn Văn {number};;;;;;{state};{:02}/{:02}/2025 08:00;;;;;;;",
            1 + number / 2_800 % 12,
            1 + number / 100 % 28,
            1 + number % 100,
            1 + number / 100 % 28,
            1 + number / 2_800 % 12,
        )
        .unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_stopped_goes_on_where_it_was_and_takes_each_line_once() {
    let stack = Stack::start().await;
    let text = export(4_500);
    let mut told = 0;
    let stopped = try_import(&stack, &text, CSV, false, |_| {
        told += 1;
        if told == 2_500 {
            Err(std::io::Error::other("the disk is full"))
        } else {
            Ok(())
        }
    })
    .await;
    assert!(matches!(stopped, Err(ImportError::File(_))));
    let left = rows(&stack).await;
    assert_eq!(left["cases"], 3_996, "two whole batches, but for what is wrong in them");
    assert!(left.values().all(|count| *count == 3_996), "{left:?}");

    let began = std::time::Instant::now();
    let (summary, _) = import(&stack, &text, false).await;
    println!("{} lines in {:?}", summary.lines, began.elapsed());
    assert_eq!(
        summary,
        Summary {
            lines: 4_500,
            imported: 500,
            already: 3_996,
            refused: 4
        }
    );
    assert!(rows(&stack).await.values().all(|count| *count == 4_496));
    let verified = verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
        .await
        .unwrap();
    assert!(verified.is_whole(), "{:#?}", verified.violations);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_or_code_that_was_given_is_refused_and_the_counter_goes_on_behind_what_was_imported() {
    let stack = Stack::start().await;
    let first = submit(&stack).await.case.unwrap();
    assert_eq!(first.case_code, "H41.201-261123-0001");
    let head = sample("cases.csv").lines().next().unwrap().to_owned();
    let line = |key: &str, code: &str| {
        format!("{key};{code};1.001193;16690;Trực tiếp;Cá nhân;Nguyễn Văn An;;;;;;Công dân rút;20/11/2026;;;;;;;")
    };
    let text = [
        head,
        line("1", "H41.201-261123-0001"),
        line("2", "H41.201-261123-0041"),
        line("2", "H41.201-261123-0042"),
        line("3", "H41.201-261123-0041"),
        line("4", "H41.999-261120"),
    ]
    .join("\n");
    let (summary, reports) = import(&stack, &text, false).await;
    assert_eq!((summary.imported, summary.refused), (1, 4));
    let fields: Vec<&str> = reports
        .iter()
        .flat_map(|line| &line.faults)
        .map(|fault| fault.field.as_str())
        .collect();
    assert_eq!(fields, ["case_code", "key", "case_code", "case_code"]);
    let next = submit(&stack).await.case.unwrap();
    assert_eq!(
        next.case_code, "H41.201-261123-0042",
        "no code is given twice on the day of the change"
    );
    let verified = verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
        .await
        .unwrap();
    assert!(verified.is_whole(), "{:#?}", verified.violations);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_lines_say_the_same_as_csv() {
    let stack = Stack::start().await;
    let text = sample("cases.csv");
    let mut csv = csv::ReaderBuilder::new().delimiter(b';').from_reader(text.as_bytes());
    let json = csv
        .deserialize::<BTreeMap<String, String>>()
        .fold(String::new(), |all, line| {
            all + &serde_json::to_string(&line.unwrap()).unwrap() + "\n"
        });
    let mut outcomes = Vec::new();
    let report = |line: &LineReport| {
        outcomes.push(line.outcome);
        Ok(())
    };
    let of_json = try_import(&stack, &json, Format::JsonLines, true, report)
        .await
        .unwrap();
    let (of_csv, reports) = import(&stack, &text, true).await;
    assert_eq!(of_json, of_csv);
    assert_eq!(outcomes, reports.iter().map(|line| line.outcome).collect::<Vec<_>>());
}
