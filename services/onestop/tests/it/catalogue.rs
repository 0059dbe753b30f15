//! The catalogue: imported line by line, searched, decided, and filed under once all of it is decided.

use std::collections::BTreeSet;
use std::sync::Arc;

use egov_auth::Assurance;
use egov_clock::SystemIds;
use egov_database::{Database, DatabaseConfig};
use egov_keyring::Keyring;
use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::import::{Line, Outcome, Packs, import};
use egov_proto::egov::onestop::v1::decide_fact_request::Value;
use egov_proto::egov::onestop::v1::{
    ApplicantsDecision, ChannelsDecision, ComponentsDecision, DecideFactRequest, DecideFactResponse, FactKind,
    FeeDecision, GetProcedureRequest, LegalBasesDecision, LegalBasis, ListDecisionsRequest, ListOpenFactsRequest,
    ListProceduresRequest, OpenFact, Procedure, ProcedureComponent, ProcedureResult, ResultsDecision,
    SearchProceduresRequest, SubmitCaseRequest, TimeDecision, TimeUnit,
};
use egov_proto::google::r#type::Date;
use egov_testkit::TestDatabase;
use jiff::SignedDuration;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::*;

/// Khai sinh kết hợp nhận cha, mẹ, con: the crawl lost the unit of its time.
const CODE: &str = "1.000689";

async fn pool(database: &TestDatabase) -> Database {
    Database::connect(
        &DatabaseConfig::new(database.app_url.clone()).test_profile(),
        Arc::new(Keyring::ephemeral()),
        egov_testkit::clock().shared(),
        SystemIds::shared(),
    )
    .await
    .unwrap()
}

/// The lines of the report that are about the catalogue.
fn lines(report: &[Line]) -> Vec<&Line> {
    report
        .iter()
        .filter(|line| line.name.starts_with("tthc_2026-07.csv"))
        .collect()
}

fn count(report: &[Line], outcome: Outcome) -> usize {
    lines(report).iter().filter(|line| line.outcome == outcome).count()
}

fn changed(packs: &mut Packs, change: impl Fn(&str) -> Option<String>) {
    let text = packs.catalogue.get_mut("tthc_2026-07.csv").unwrap();
    *text = text
        .lines()
        .filter_map(|line| change(line).map(|line| line + "\n"))
        .collect();
}

fn today() -> Date {
    Date {
        year: 2026,
        month: 11,
        day: 23,
    }
}

async fn procedure(stack: &Stack, code: &str) -> Procedure {
    let request = GetProcedureRequest {
        procedure_code: code.to_owned(),
        on: None,
    };
    stack
        .public()
        .procedures
        .get_procedure(request)
        .await
        .unwrap()
        .into_inner()
        .procedure
        .unwrap()
}

fn decision(of: &Procedure, value: Value) -> DecideFactRequest {
    DecideFactRequest {
        request_id: request_id(),
        procedure_code: of.procedure_code.clone(),
        etag: of.etag.clone(),
        value: Some(value),
        basis: "Quyết định số 1/QĐ-UBND".to_owned(),
        effective_from: Some(today()),
        note: String::new(),
    }
}

fn three_days() -> Value {
    Value::Time(TimeDecision {
        value: 3,
        unit: TimeUnit::WorkingDay.into(),
        ..Default::default()
    })
}

async fn decide(client: &Client, request: DecideFactRequest) -> Result<DecideFactResponse, Status> {
    client
        .clone()
        .procedures
        .decide_fact(request)
        .await
        .map(tonic::Response::into_inner)
}

async fn open_facts(client: &Client, request: ListOpenFactsRequest) -> Vec<OpenFact> {
    client
        .clone()
        .procedures
        .list_open_facts(request)
        .await
        .unwrap()
        .into_inner()
        .open_facts
}

async fn found(stack: &Stack, query: &str, sector_code: &str, level: &str) -> Vec<String> {
    let request = SearchProceduresRequest {
        query: query.to_owned(),
        page_size: 200,
        sector_code: sector_code.to_owned(),
        level: level.to_owned(),
        ..Default::default()
    };
    let answer = stack
        .public()
        .procedures
        .search_procedures(request)
        .await
        .unwrap()
        .into_inner();
    answer
        .procedures
        .into_iter()
        .map(|procedure| procedure.procedure_code)
        .collect()
}

/// Everything that a province decides before a case of this procedure can be filed, one decision a kind.
fn everything() -> Vec<Value> {
    let as_it_stands = |path: &str| Value::AsItStands(path.to_owned());
    vec![
        three_days(),
        Value::Fee(FeeDecision {
            kind: "le_phi".to_owned(),
            amount_vnd: 0,
            ..Default::default()
        }),
        Value::Applicants(ApplicantsDecision {
            applicants: vec!["citizen".to_owned()],
        }),
        Value::Components(ComponentsDecision {
            components: vec![ProcedureComponent {
                code: "to_khai".to_owned(),
                name: "Tờ khai".to_owned(),
                originals: 1,
                required: true,
                ..Default::default()
            }],
        }),
        Value::LegalBases(LegalBasesDecision {
            legal_bases: vec![LegalBasis {
                number: "60/2014/QH13".to_owned(),
                ..Default::default()
            }],
        }),
        as_it_stands("header"),
        as_it_stands("effective_from"),
        as_it_stands("channels"),
        as_it_stands("steps"),
        as_it_stands("results"),
    ]
}

fn filing() -> SubmitCaseRequest {
    SubmitCaseRequest {
        procedure_code: CODE.to_owned(),
        components: vec![component("to_khai")],
        ..birth_registration()
    }
}

#[tokio::test]
async fn the_catalogue_is_imported_once_and_reported_line_by_line() {
    let database = egov_testkit::database("onestop", &egov_onestop::MIGRATOR).await;
    let pool = pool(&database).await;
    let first = import(&pool, &packs(), Profile::Demo, |_| {}).await.unwrap();
    assert_eq!((lines(&first).len(), count(&first, Outcome::Imported)), (323, 311));
    let birth = lines(&first)
        .into_iter()
        .find(|line| line.name.ends_with(": 2.000635"))
        .unwrap();
    assert_eq!(birth.outcome, Outcome::Unchanged);
    assert!(birth.detail.starts_with("hand-checked pack stands"), "{}", birth.detail);
    let works = lines(&first)
        .into_iter()
        .find(|line| line.name.ends_with(": 1.012783"))
        .unwrap();
    assert!(
        works.detail.contains("time (counter): catalogue “15 working_day”"),
        "{}",
        works.detail
    );

    let second = import(&pool, &packs(), Profile::Demo, |_| {}).await.unwrap();
    assert_eq!((count(&second, Outcome::Unchanged), lines(&second).len()), (323, 323));
}

#[tokio::test]
async fn a_new_crawl_makes_versions_only_of_lines_that_changed_and_a_bad_line_stops_no_other() {
    let database = shipped(Profile::Demo).await;
    let pool = pool(&database).await;
    let mut crawl = packs();
    changed(&mut crawl, |line| match line.split(',').next().unwrap() {
        CODE => Some(line.replace(",3,unspecified,", ",3,working_day,")),
        "1.001022" => Some(line.replace("Cấp xã", "Cấp huyện").replace("1.001022,", "1.001022,,")),
        "1.004859" => None,
        _ => Some(line.to_owned()),
    });
    let report = import(&pool, &crawl, Profile::Demo, |_| {}).await.unwrap();
    let of = |code: &str| {
        lines(&report)
            .into_iter()
            .find(|line| line.name.ends_with(&format!(": {code}")))
            .unwrap()
    };
    assert_eq!(
        (of(CODE).outcome, of(CODE).detail.as_str()),
        (Outcome::Imported, "changed: time_unit")
    );
    assert_eq!(of("1.004859").outcome, Outcome::Vanished);
    let bad = of("1.001022");
    assert_eq!(bad.outcome, Outcome::Refused);
    assert!(
        bad.detail.contains("cột") && bad.detail.contains("columns"),
        "{}",
        bad.detail
    );
    assert_eq!(count(&report, Outcome::Imported), 1);
    assert_eq!(count(&report, Outcome::Unchanged), 320);

    let again = import(&pool, &crawl, Profile::Demo, |_| {}).await.unwrap();
    assert_eq!(count(&again, Outcome::Imported), 0);
}

#[tokio::test]
async fn all_323_procedures_are_listed_and_the_ones_of_a_sector_and_level() {
    let stack = Stack::start().await;
    let mut client = stack.public().procedures;
    let (mut token, mut all) = (String::new(), Vec::new());
    loop {
        let request = ListProceduresRequest {
            page_size: 100,
            page_token: token,
            ..Default::default()
        };
        let answer = client.list_procedures(request).await.unwrap().into_inner();
        all.extend(answer.procedures);
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let codes: BTreeSet<&str> = all.iter().map(|procedure| procedure.procedure_code.as_str()).collect();
    let sectors: BTreeSet<&str> = all.iter().map(|procedure| procedure.sector_code.as_str()).collect();
    // Besides them the two that stand, in a demonstration, for procedures which nobody has found.
    let stand_ins = codes.iter().filter(|code| code.starts_with("9.")).count();
    assert_eq!(
        (all.len() - stand_ins, codes.len() - stand_ins, sectors.len() - 1),
        (323, 323, 19)
    );
    assert_eq!(stand_ins, 2);
    let request = ListProceduresRequest {
        page_size: 200,
        sector_code: "ho_tich".to_owned(),
        level: "commune".to_owned(),
        ..Default::default()
    };
    let some = client.list_procedures(request).await.unwrap().into_inner().procedures;
    assert!(!some.is_empty() && some.len() < 323);
    assert!(
        some.iter()
            .all(|one| one.sector_code == "ho_tich" && one.levels.contains(&"commune".to_owned()))
    );
}

#[tokio::test]
async fn procedures_are_found_by_words_beginnings_codes_sector_and_level_together() {
    let stack = Stack::start().await;
    let expected = found(&stack, "đăng ký khai sinh", "", "").await;
    assert!(expected.contains(&"1.001193".to_owned()) && expected.contains(&CODE.to_owned()));
    let nfd = "\u{111}a\u{306}ng ky\u{301} khai sinh";
    for query in [
        "dang ky khai sinh",
        "DANG KY KHAI SINH",
        "ĐĂNG KÝ KHAI SINH",
        nfd,
        "sinh khai ký đăng",
    ] {
        assert_eq!(found(&stack, query, "", "").await, expected, "{query}");
    }
    assert!(
        found(&stack, "khai sin", "", "").await.contains(&CODE.to_owned()),
        "the beginning of a word"
    );
    assert_eq!(found(&stack, CODE, "", "").await, [CODE]);
    let beginning = found(&stack, "1.0006", "", "").await;
    assert!(
        beginning.len() > 1 && beginning.iter().all(|code| code.starts_with("1.0006")),
        "{beginning:?}"
    );
    assert!(found(&stack, "khai sinh", "moi_truong", "").await.is_empty());
    let of_commune = found(&stack, "khai sinh", "ho_tich", "commune").await;
    assert!(of_commune.contains(&CODE.to_owned()));
    assert!(
        !found(&stack, "khai sinh", "ho_tich", "province")
            .await
            .contains(&CODE.to_owned())
    );
    assert!(
        !found(&stack, "giam ngheo", "", "").await.is_empty(),
        "the name of a sector"
    );
    assert!(found(&stack, "%%% --", "", "").await.is_empty());

    // A name that has the whole word comes before one that has it at the beginning of another, on every page.
    let (mut token, mut paged) = (String::new(), Vec::new());
    loop {
        let request = SearchProceduresRequest {
            query: "dang ky khai sinh".to_owned(),
            page_size: 3,
            page_token: token,
            ..Default::default()
        };
        let answer = stack
            .public()
            .procedures
            .search_procedures(request)
            .await
            .unwrap()
            .into_inner();
        paged.extend(answer.procedures.into_iter().map(|procedure| procedure.procedure_code));
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, expected);
}

#[tokio::test]
async fn a_procedure_of_the_catalogue_shows_its_line_and_every_fact_and_refuses_a_case_naming_what_is_open() {
    let stack = Stack::start().await;
    let of = procedure(&stack, CODE).await;
    assert!(of.catalogue_line.starts_with("1.000689,"));
    assert!(of.open_fact_count > 0 && of.open_facts.len() == of.open_fact_count as usize);
    assert!(of.facts.iter().all(|fact| fact.source.contains("07/2026, line ")));
    let refused = stack.portal(citizen()).cases.submit_case(filing()).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "FACT_NOT_DECIDED")
    );
    for path in ["channels.online.time", "components", "steps", "applicants"] {
        assert!(of.blocking_facts.contains(&path.to_owned()), "{path}");
        assert!(refused.message().contains(path), "{path}: {}", refused.message());
    }
    let fault = egov_fault::fault_of(&refused);
    assert!(fault.vi().contains("kiểm soát thủ tục hành chính"), "{}", fault.vi());
}

#[tokio::test]
async fn a_case_is_filed_under_the_standard_process_once_everything_was_decided_and_keeps_its_version() {
    let stack = Stack::start().await;
    let controller = stack.staff("procedure_controller", PROVINCE);
    let mut of = procedure(&stack, CODE).await;
    for value in everything() {
        of = decide(&controller, decision(&of, value))
            .await
            .unwrap()
            .procedure
            .unwrap();
    }
    assert_eq!((of.open_fact_count, of.blocking_facts.len(), of.version), (0, 0, 11));
    let case = stack
        .portal(citizen())
        .cases
        .submit_case(filing())
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!((case.procedure_code.as_str(), case.procedure_version), (CODE, 11));

    // A later decision makes a version of its own, and the case stays what it was.
    let five = Value::Time(TimeDecision {
        value: 5,
        unit: TimeUnit::WorkingDay.into(),
        ..Default::default()
    });
    decide(&controller, decision(&of, five)).await.unwrap();
    let mut portal = stack.portal(citizen()).cases;
    let second = portal.submit_case(SubmitCaseRequest {
        request_id: request_id(),
        ..filing()
    });
    assert_eq!(second.await.unwrap().into_inner().case.unwrap().procedure_version, 12);
    let again = get(&stack.portal(citizen()), &case.case_id).await.unwrap();
    assert_eq!(again.procedure_version, 11);
    let accepted = accept(&stack, &case).await.case.unwrap();
    let due = accepted.deadline.unwrap();
    assert_eq!(
        (accepted.procedure_version, due.basis.unwrap().basis.as_str()),
        (12, "Quyết định số 1/QĐ-UBND")
    );
}

#[tokio::test]
async fn only_a_controller_of_the_province_decides_and_only_officials_read_the_list() {
    let stack = Stack::start().await;
    let of = procedure(&stack, CODE).await;
    for client in [
        stack.staff("one_stop_clerk", TRUONG_VINH),
        stack.staff("unit_leader", PROVINCE),
        // The neighbour's case: the role, but at a commune.
        stack.staff("procedure_controller", TRUONG_VINH),
        stack.client(Some(stack.tokens.citizen(citizen(), Assurance::High)), Some("own_case")),
    ] {
        let refused = decide(&client, decision(&of, three_days())).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let refused = decide(&stack.public(), decision(&of, three_days())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(
        procedure(&stack, CODE).await.etag,
        of.etag,
        "none of it changed anything"
    );

    assert!(
        !open_facts(&stack.staff("case_reader", THANH_VINH), ListOpenFactsRequest::default())
            .await
            .is_empty()
    );
    let mut citizens = stack
        .client(Some(stack.tokens.citizen(citizen(), Assurance::High)), None)
        .procedures;
    let refused = citizens
        .list_open_facts(ListOpenFactsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let request = ListDecisionsRequest {
        procedure_code: CODE.to_owned(),
        ..Default::default()
    };
    assert_eq!(
        citizens.list_decisions(request).await.unwrap_err().code(),
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn what_is_to_be_decided_is_listed_by_kind_sector_level_and_words_and_counted_when_asked() {
    let stack = Stack::start().await;
    let reader = stack.staff("case_reader", TRUONG_VINH);
    let ask = |kind: FactKind, count| ListOpenFactsRequest {
        kind: kind.into(),
        page_size: 200,
        count,
        ..Default::default()
    };
    let mut procedures = reader.clone().procedures;
    let answer = procedures
        .list_open_facts(ask(FactKind::Steps, true))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.total, answer.open_facts.len()), (Some(311), 200));
    let none = procedures
        .list_open_facts(ask(FactKind::Steps, false))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(none.total, None);
    let request = ListOpenFactsRequest {
        sector_code: "ho_tich".to_owned(),
        level: "commune".to_owned(),
        query: "khai sinh nhan cha".to_owned(),
        ..ask(FactKind::Time, false)
    };
    let found = open_facts(&reader, request).await;
    let one = found.iter().find(|fact| fact.procedure_code == CODE).unwrap();
    assert!(
        one.source.contains("the unit is lost") && one.paths.len() == 3,
        "{one:?}"
    );
    assert_eq!(one.etag, procedure(&stack, CODE).await.etag);

    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let request = ListOpenFactsRequest {
            page_size: 150,
            page_token: token,
            sector_code: "dat_dai".to_owned(),
            ..Default::default()
        };
        let answer = procedures.list_open_facts(request).await.unwrap().into_inner();
        seen.extend(
            answer
                .open_facts
                .into_iter()
                .map(|fact| (fact.procedure_code, fact.kind)),
        );
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let unique: BTreeSet<_> = seen.iter().cloned().collect();
    assert!(seen.len() > 300 && unique.len() == seen.len());
}

#[tokio::test]
async fn a_decision_is_in_the_history_and_seen_at_once_and_a_later_one_supersedes_it() {
    let stack = Stack::start().await;
    let controller = stack.staff("procedure_controller", PROVINCE);
    let of = procedure(&stack, CODE).await;
    let first = decide(&controller, decision(&of, three_days())).await.unwrap();
    assert_eq!(first.decision.as_ref().unwrap().paths.len(), 3);
    let seen = procedure(&stack, CODE).await;
    assert_eq!(seen.etag, first.procedure.as_ref().unwrap().etag, "no cache is stale");
    let basis = seen.channels[0].time_basis.clone().unwrap();
    assert_eq!(
        (basis.basis.as_str(), basis.decided_on.as_str()),
        ("Quyết định số 1/QĐ-UBND", "2026-11-23")
    );
    assert!(!seen.blocking_facts.iter().any(|path| path.contains(".time")));

    let later = Value::Time(TimeDecision {
        channels: vec![1],
        unit: TimeUnit::SameDay.into(),
        cut_off: "15:00".to_owned(),
        ..Default::default()
    });
    decide(&controller, decision(&seen, later)).await.unwrap();
    let request = ListDecisionsRequest {
        procedure_code: CODE.to_owned(),
        path: "channels.counter.time".to_owned(),
        ..Default::default()
    };
    let history = controller
        .clone()
        .procedures
        .list_decisions(request)
        .await
        .unwrap()
        .into_inner()
        .decisions;
    let versions: Vec<(i32, bool)> = history
        .iter()
        .map(|decision| (decision.version, decision.superseded))
        .collect();
    assert_eq!(versions, [(3, false), (2, true)]);
    let me =
        Uuid::from_u128(0x5000_0000 + u128::from(PROVINCE.unsigned_abs()) * 100 + "procedure_controller".len() as u128);
    assert_eq!(history[0].decided_by, me.to_string());
    // Yesterday's version is still the one that was in force yesterday.
    let request = GetProcedureRequest {
        procedure_code: CODE.to_owned(),
        on: Some(Date {
            year: 2026,
            month: 11,
            day: 22,
        }),
    };
    let before = stack
        .public()
        .procedures
        .get_procedure(request)
        .await
        .unwrap()
        .into_inner()
        .procedure
        .unwrap();
    assert_eq!(before.version, 1);
}

#[tokio::test]
async fn a_decision_for_a_later_day_holds_from_that_day_on() {
    let stack = Stack::start().await;
    let controller = stack.staff("procedure_controller", PROVINCE);
    let of = procedure(&stack, CODE).await;
    let request = DecideFactRequest {
        effective_from: Some(Date {
            year: 2026,
            month: 11,
            day: 25,
        }),
        ..decision(&of, three_days())
    };
    decide(&controller, request).await.unwrap();
    assert_eq!(procedure(&stack, CODE).await.version, 1);
    stack.advance(SignedDuration::from_hours(48)).await;
    assert_eq!(procedure(&stack, CODE).await.version, 2);
}

#[tokio::test]
async fn the_same_decision_twice_is_one_and_of_two_deciders_one_has_a_stale_etag() {
    let stack = Stack::start().await;
    let controller = stack.staff("procedure_controller", PROVINCE);
    let of = procedure(&stack, CODE).await;
    let request = decision(&of, three_days());
    let first = decide(&controller, request.clone()).await.unwrap();
    assert_eq!(decide(&controller, request).await.unwrap(), first);
    let of = first.procedure.unwrap();
    assert_eq!(of.version, 2);

    let (one, other) = tokio::join!(
        decide(&controller, decision(&of, Value::AsItStands("steps".to_owned()))),
        decide(&controller, decision(&of, Value::AsItStands("header".to_owned()))),
    );
    let refused = [&one, &other]
        .into_iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect::<Vec<_>>();
    assert_eq!(refused.len(), 1, "{one:?} {other:?}");
    assert_eq!(
        (refused[0].code(), reason(refused[0]).as_str()),
        (Code::Aborted, "STALE_ETAG")
    );
    assert_eq!(procedure(&stack, CODE).await.version, 3);
}

/// The state, the history, the words, the list, the request's answer, the event and the leaf are one transaction: broken off at
/// its last statement, none of it is there, and the same request is then taken as if it came first.
#[tokio::test]
async fn a_decision_that_is_broken_off_leaves_nothing_and_can_be_repeated() {
    let stack = Stack::start().await;
    let controller = stack.staff("procedure_controller", PROVINCE);
    let of = procedure(&stack, CODE).await;
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::raw_sql(
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
         CREATE TRIGGER broken AFTER INSERT ON egov.leaves FOR EACH ROW EXECUTE FUNCTION broken()",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    let request = decision(&of, three_days());
    decide(&controller, request.clone()).await.unwrap_err();
    let rows = "SELECT (SELECT count(*) FROM procedure_decisions) + (SELECT count(*) FROM procedures WHERE origin = 'decision')";
    let left: i64 = sqlx::query_scalar(rows).fetch_one(&mut superuser).await.unwrap();
    assert_eq!(left, 0);
    sqlx::raw_sql("DROP TRIGGER broken ON egov.leaves")
        .execute(&mut superuser)
        .await
        .unwrap();
    assert_eq!(
        decide(&controller, request).await.unwrap().procedure.unwrap().version,
        2
    );
}

#[tokio::test]
async fn bad_values_are_refused_with_everything_that_is_wrong_and_change_nothing() {
    let stack = Stack::start().await;
    let controller = stack.staff("procedure_controller", PROVINCE);
    let of = procedure(&stack, CODE).await;
    let fields = |status: &Status| -> Vec<String> {
        let fault = egov_fault::fault_of(status);
        fault
            .violations()
            .iter()
            .map(|violation| violation.field.clone())
            .collect()
    };
    let time = |value, unit: TimeUnit, cut_off: &str| {
        Value::Time(TimeDecision {
            value,
            unit: unit.into(),
            cut_off: cut_off.to_owned(),
            ..Default::default()
        })
    };
    for (value, wrong) in [
        (
            time(0, TimeUnit::Unspecified, "15:00"),
            vec!["time.unit", "time.value", "time.cut_off"],
        ),
        (time(1, TimeUnit::SameDay, ""), vec!["time.value"]),
        (
            Value::Applicants(ApplicantsDecision {
                applicants: vec!["citizens".to_owned(), "x".to_owned()],
            }),
            vec!["applicants.applicants[0]", "applicants.applicants[1]"],
        ),
        (
            Value::Results(ResultsDecision {
                results: vec![ProcedureResult {
                    code: "KQ".to_owned(),
                    name: String::new(),
                }],
            }),
            vec!["results.KQ", "results.KQ"],
        ),
        (
            Value::Channels(ChannelsDecision { channels: vec![1, 1] }),
            vec!["channels"],
        ),
    ] {
        let status = decide(&controller, decision(&of, value.clone())).await.unwrap_err();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, wrong.into_iter().map(str::to_owned).collect()),
            "{value:?}"
        );
    }
    let yesterday = DecideFactRequest {
        effective_from: Some(Date {
            year: 2026,
            month: 11,
            day: 22,
        }),
        ..decision(&of, three_days())
    };
    assert_eq!(
        fields(&decide(&controller, yesterday).await.unwrap_err()),
        ["effective_from"]
    );
    let blank = DecideFactRequest {
        basis: "  ".to_owned(),
        ..decision(&of, three_days())
    };
    assert_eq!(fields(&decide(&controller, blank).await.unwrap_err()), ["basis"]);
    let stale = DecideFactRequest {
        etag: "1.000689-0".to_owned(),
        ..decision(&of, three_days())
    };
    assert_eq!(reason(&decide(&controller, stale).await.unwrap_err()), "STALE_ETAG");
    let unknown = decision(&of, Value::AsItStands("steps.tiep_nhan".to_owned()));
    assert_eq!(reason(&decide(&controller, unknown).await.unwrap_err()), "FACT_UNKNOWN");
    let birth = procedure(&stack, "1.001193").await;
    let confirmed = decision(&birth, Value::AsItStands("header".to_owned()));
    assert_eq!(
        reason(&decide(&controller, confirmed).await.unwrap_err()),
        "FACT_CONFIRMED"
    );
    let nowhere = DecideFactRequest {
        procedure_code: "9.999999".to_owned(),
        ..decision(&of, three_days())
    };
    assert_eq!(
        reason(&decide(&controller, nowhere).await.unwrap_err()),
        "PROCEDURE_NOT_FOUND"
    );
    assert_eq!(procedure(&stack, CODE).await.etag, of.etag);
}

#[tokio::test]
async fn a_decisions_file_decides_about_the_catalogue_once_by_the_same_rule() {
    let database = egov_testkit::database("onestop", &egov_onestop::MIGRATOR).await;
    let pool = pool(&database).await;
    let mut given = packs();
    let file = "by = 'Chủ tịch UBND tỉnh'\nwhen = '2026-11-20'\nbasis = '1/QĐ-UBND'\n\
                [[decision]]\nprocedure = '1.000689'\nversion = 1\nwhat.as_it_stands = 'steps'\n\
                [[decision]]\nprocedure = '1.000689'\nversion = 1\n\
                what.time = { channels = ['counter', 'online', 'post'], value = 3, unit = 'working_day' }\n\
                [[decision]]\nprocedure = '1.000689'\nversion = 7\nwhat.as_it_stands = 'header'\n";
    given.decisions.insert("province.toml".to_owned(), file.to_owned());
    let outcomes = |report: &[Line]| {
        let about = report
            .iter()
            .filter(|line| line.name.starts_with("province.toml decision"));
        about.map(|line| line.outcome).collect::<Vec<_>>()
    };
    let first = import(&pool, &given, Profile::Production, |_| {}).await.unwrap();
    assert_eq!(
        outcomes(&first),
        [Outcome::Imported, Outcome::Imported, Outcome::Refused]
    );
    let second = import(&pool, &given, Profile::Production, |_| {}).await.unwrap();
    assert_eq!(
        outcomes(&second),
        [Outcome::Unchanged, Outcome::Unchanged, Outcome::Refused]
    );
    assert_eq!((count(&second, Outcome::Imported), lines(&second).len()), (0, 323));
}

#[tokio::test]
async fn a_demonstration_decides_nothing_for_production() {
    let stack = Stack::with_profiles(Profile::Production, Profile::Production).await;
    let controller = stack.staff("procedure_controller", PROVINCE);
    let of = procedure(&stack, CODE).await;
    let decided = decide(&controller, decision(&of, three_days()))
        .await
        .unwrap()
        .procedure
        .unwrap();
    assert_eq!(decided.open_fact_count, of.open_fact_count - 3);
    let demo = Stack::start().await;
    let of = procedure(&demo, CODE).await;
    let controller = demo.staff("procedure_controller", PROVINCE);
    let decided = decide(&controller, decision(&of, three_days())).await.unwrap();
    let mut superuser = demo.database.connect_as_superuser().await.unwrap();
    let flagged: bool = sqlx::query_scalar(
        "SELECT only_production FROM procedure_open_facts WHERE procedure_code = $1 AND version = 2 AND kind = 'time'",
    )
    .bind(CODE)
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert!(flagged, "open in production: {decided:?}");
}
