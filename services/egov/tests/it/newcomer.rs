//! What a newcomer does: up, demo, call, up again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::Connection as _;

use crate::support::*;

#[test]
fn a_newcomer_starts_it_plays_the_main_job_calls_it_and_stops_it() {
    let folder = folder();
    let data = folder.path().join("data");
    let up = Up::start(&data, "127.0.0.1:0");
    assert!(up.ready["packs"]["imported"].as_u64().unwrap() > 500, "{}", up.ready);
    assert_eq!(
        up.ready["packs"]["refused"].as_array().unwrap().len(),
        0,
        "{}",
        up.ready
    );

    // The main job.
    let demo = json(&on(&data, &["demo", "--json"]));
    let fields: Vec<&str> = demo.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        ["case_code", "due_date", "elapsed_ms", "refusals", "states"],
        "exactly these"
    );
    assert_eq!(demo["states"], serde_json::json!([1, 2, 4, 5, 4, 9, 10]));
    assert_eq!(
        demo["refusals"],
        serde_json::json!(["CASE_NOT_FOUND", "PERMISSION_MISSING"])
    );
    assert!(demo["case_code"].as_str().unwrap().starts_with("H41."), "{demo}");
    let again = on(&data, &["demo"]);
    assert!(
        again.status.success() && text(&again).contains("hẹn trả kết quả"),
        "{}",
        text(&again)
    );

    // Two `up` on one folder, and one port for two.
    let second = on(&data, &["up", "--listen", "127.0.0.1:0"]);
    assert!(!second.status.success());
    assert!(
        text(&second).contains(&format!("held by process {}", up.pid())),
        "{}",
        text(&second)
    );
    let address = up.ready["address"].as_str().unwrap();
    let other = folder.path().join("other");
    let taken = on(&other, &["up", "--listen", address]);
    assert!(!taken.status.success());
    assert!(
        text(&taken).contains("is taken") && text(&taken).contains("→ choose another port"),
        "{}",
        text(&taken)
    );

    // Who looked at my data, why, on which legal basis: over the databases of all services.
    let mine = json(&on(&data, &["readings", "--as", "citizen", "--others", "--json"]));
    let mine = mine["readings"].as_array().unwrap();
    assert!(!mine.is_empty(), "the officials of the demonstration looked");
    for reading in mine {
        assert_eq!(reading["reader_kind"], "staff", "{reading}");
        assert_eq!(reading["purpose"], "case_handling", "{reading}");
        assert!(
            reading["legal_basis"].as_str().unwrap().contains("118/2025"),
            "{reading}"
        );
        assert!(
            reading["resources"][0].as_str().unwrap().starts_with("cases/H41."),
            "{reading}"
        );
        assert!(reading.get("reader_id").is_none(), "{reading}");
    }
    let shown = text(&on(&data, &["readings", "--as", "citizen"]));
    assert!(
        shown.contains("Phường Trường Vinh") && shown.contains("Giải quyết hồ sơ"),
        "{shown}"
    );
    let audited = json(&on(&data, &["readings", "--as", "auditor", "--audit", "--json"]));
    assert!(audited["readings"][0]["reader_id"].is_string(), "{audited}");
    let seen = json(&on(&data, &["readings", "--as", "citizen", "--others", "--json"]));
    assert_eq!(seen["readings"][0]["purpose"], "data_protection_audit", "{seen}");
    let refused = text(&on(&data, &["readings", "--as", "clerk", "--audit"]));
    assert!(refused.contains("PERMISSION_MISSING"), "{refused}");
    let made_up = ["call", "ListCases", "--as", "clerk", "--purpose", "curiosity"];
    let refused = text(&on(&data, &made_up));
    assert!(
        refused.contains("PURPOSE_UNKNOWN") && refused.contains("case_handling"),
        "{refused}"
    );

    // How it stands: on one screen, and for scripts.
    let status = json(&on(&data, &["status", "--json"]));
    assert_eq!(status["problems"], serde_json::json!([]), "{status}");
    assert_eq!(status["health"]["whole"], "SERVING");
    assert_eq!(status["health"]["services"]["egov.onestop.v1.CaseService"], "SERVING");
    let databases = status["databases"].as_array().unwrap();
    let names: Vec<&str> = databases.iter().map(|one| one["service"].as_str().unwrap()).collect();
    assert_eq!(names, ["identity", "onestop", "integration", "civil_registry"]);
    for database in databases {
        assert_eq!(database["unreachable"], serde_json::Value::Null, "{database}");
        assert!(database["shared_schema"].as_i64().unwrap() >= 4, "{database}");
        assert!(
            database["outbox"]["waiting"].is_i64() && database["ledger"]["tree_size"].is_i64(),
            "{database}"
        );
        assert!(!database["leases"].as_array().unwrap().is_empty(), "{database}");
    }
    assert!(databases[1]["events"].as_i64().unwrap() > 0, "{}", databases[1]);
    let given_up = &databases[2]["given_up"];
    assert_eq!(
        *given_up,
        serde_json::json!({ "mailbox_messages": 0, "partner_deliveries": {} })
    );
    let purposes = status["keys"].as_array().unwrap();
    assert!(purposes.iter().any(|key| key["purpose"] == "token-signing"), "{status}");
    let shown = text(&on(&data, &["status"]));
    assert!(shown.contains("SERVING") && shown.contains("relay"), "{shown}");

    // What every service tells of itself reaches its topic at integration, by the relay of its outbox.
    relayed(&data);

    // Any RPC.
    let list = text(&on(&data, &["call", "--list"]));
    for method in [
        "egov.onestop.v1.CaseService/SubmitCase",
        "egov.identity.v1.SignInService/SignIn",
    ] {
        assert!(list.contains(method), "{list}");
    }
    let cases = json(&on(
        &data,
        &["call", "ListCases", "--as", "clerk", "--purpose", "case_handling"],
    ));
    assert_eq!(cases["cases"].as_array().unwrap().len(), 2);
    let cases = json(&on(
        &data,
        &["call", "ListCases", "--as", "neighbour", "--purpose", "case_handling"],
    ));
    assert_eq!(cases, serde_json::json!({}), "the neighbour sees nothing");
    let wrong = on(
        &data,
        &["call", "SubmitCase", r#"{"procedureCode": "x"}"#, "--as", "portal"],
    );
    assert_eq!(wrong.status.code(), Some(1));
    let said = text(&wrong);
    for part in ["INVALID_FIELD", "procedure_code", "mã thủ tục", "owner"] {
        assert!(said.contains(part), "{said}");
    }
    // A definition needs roles that nobody holds in most communes: identity says so to the controller, who sees nobody's account.
    let birth = r#"{"procedureCode": "1.001193"}"#;
    let draft = json(&on(&data, &["call", "CreateDraft", birth, "--as", "controller"]));
    let lint = serde_json::json!({ "draftId": draft["draft"]["draftId"] }).to_string();
    let found = json(&on(&data, &["call", "LintDraft", &lint, "--as", "controller"]));
    let findings = found["findings"].as_array().unwrap();
    let has = |kind: &str| findings.iter().any(|finding| finding["kind"] == kind);
    assert!(has("role_not_held") && !has("holders_unknown"), "{found}");
    // The same over REST, with a token from the command line.
    let token = text(&on(&data, &["token", "--as", "clerk"]));
    let cases = rest(&format!("{}/v1/cases", up.url()), Some(token.trim()));
    assert_eq!(cases["cases"].as_array().unwrap().len(), 2, "{cases}");
    let procedure = rest(&format!("{}/v1/procedures/1.001193", up.url()), None);
    assert_eq!(procedure["procedure"]["procedureCode"], "1.001193");
    let document = rest(up.ready["openapi"].as_str().unwrap(), None);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(up.ready["docs"], format!("{}/docs", up.url()));
    let nobody = on(&data, &["call", "ListCases", "--as", "clerc"]);
    assert!(
        text(&nobody).contains("choose one of: admin, clerk"),
        "{}",
        text(&nobody)
    );
    assert_eq!(up.ready["simulators"], serde_json::json!({}));
    up.stop();

    // A second start imports nothing; this one has simulated partners, as none has in production.
    let up = Up::simulated(&data, "127.0.0.1:0", None);
    assert_eq!(up.ready["packs"]["imported"], 0, "{}", up.ready);
    let simulated = up.ready["simulators"].as_object().unwrap();
    let names: Vec<&str> = simulated.keys().map(String::as_str).collect();
    let all = [
        "civil-status-register",
        "national-portal",
        "payment-platform",
        "population-register",
    ];
    assert_eq!(names, all);
    up.stop();
    let refused = on(&data, &["up", "--simulators", "--profile", "production"]);
    assert!(
        !refused.status.success() && text(&refused).contains("→ leave it out"),
        "{}",
        text(&refused)
    );
}

/// The answer to a GET.
fn rest(url: &str, token: Option<&str>) -> serde_json::Value {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut request = reqwest::Client::new()
            .get(url)
            .header("x-egov-purpose", "case_handling");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap().json().await.unwrap()
    })
}

/// Waits until all that each service has put into its log lies in its topic, kind by kind.
fn relayed(data: &Path) {
    let stack = std::fs::read(data.join("stack.json")).unwrap();
    let stack: serde_json::Value = serde_json::from_slice(&stack).unwrap();
    let url = reqwest::Url::parse(stack["database"].as_str().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let begin = Instant::now();
    for service in ["identity", "onestop", "integration"] {
        runtime.block_on(async {
            loop {
                let logged = "SELECT 'vn.egov.' || $1::text || '.' || kind, count(*) FROM egov.event_log GROUP BY 1";
                let logged = kinds(&url, service, logged, service).await;
                let arrived = "SELECT kind, count(*) FROM event_records JOIN event_topics USING (topic_id)
                               WHERE name = $1::text || '.events' GROUP BY 1";
                let arrived = kinds(&url, "integration", arrived, service).await;
                // More may have come between the two looks.
                let all = logged.iter().all(|(kind, count)| arrived.get(kind) >= Some(count));
                if all && !logged.is_empty() {
                    break;
                }
                assert!(
                    begin.elapsed() < Duration::from_mins(1),
                    "{service} has told {logged:?}, arrived is {arrived:?}"
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
}

/// The kinds that a query of a database counts.
async fn kinds(url: &reqwest::Url, database: &str, sql: &'static str, service: &str) -> BTreeMap<String, i64> {
    let mut url = url.clone();
    url.set_path(&format!("/{database}"));
    let mut connection = sqlx::PgConnection::connect(url.as_str()).await.unwrap();
    let rows: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(service)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    rows.into_iter().collect()
}

#[test]
fn a_demonstration_without_a_stack_brings_its_own_and_takes_it_along() {
    let folder = folder();
    let data = folder.path().join("nothing");
    let demo = json(&on(&data, &["demo", "--json"]));
    assert_eq!(demo["states"], serde_json::json!([1, 2, 4, 5, 4, 9, 10]));
    assert!(!data.exists(), "it touches no data folder");
}

#[test]
fn production_has_no_demo_accounts_and_publishes_nothing_undecided() {
    let folder = folder();
    let data = folder.path().join("data");
    let imported = on(&data, &["import", "--json", "--profile", "production"]);
    let report = json(&imported);
    let refused = report["refused"].as_array().unwrap();
    assert!(refused.iter().any(|line| line["name"] == "1.001193.toml"), "{report}");
    assert!(!data.join("demo.json").exists());
    assert_eq!(left(&data), Vec::<String>::new());
}
