//! A backup, and what comes back from it.

use crate::support::*;

#[test]
fn a_backup_of_a_running_stack_comes_back_with_cases_accounts_and_files() {
    let folder = folder();
    let (data, target, restored) = (
        folder.path().join("data"),
        folder.path().join("backup"),
        folder.path().join("restored"),
    );
    let keys = folder.path().join("backup-keys");
    let up = Up::start(&data, "127.0.0.1:0");
    let demo = json(&on(&data, &["demo", "--json"]));
    let made = on(&data, &["backup", target.to_str().unwrap(), "--json"]);
    assert!(
        json(&made)["files"].as_u64().unwrap() >= 6,
        "two databases and four files: {}",
        text(&made)
    );
    let again = on(&data, &["backup", target.to_str().unwrap()]);
    assert!(text(&again).contains("is there already"), "{}", text(&again));
    up.stop();

    // Apart, and nothing of the keys with the data.
    assert!(keys.join("keys").is_dir() && keys.join("demo.json").is_file());
    assert!(!target.join("keys").exists() && !target.join("demo.json").exists());

    let source = target.to_str().unwrap();
    let full = on(&data, &["restore", source]);
    assert!(text(&full).contains("is not empty"), "{}", text(&full));
    let elsewhere = folder.path().join("nowhere");
    let without = on(&restored, &["restore", source, "--keys", elsewhere.to_str().unwrap()]);
    assert!(text(&without).contains("without them are lost"), "{}", text(&without));
    assert!(!restored.exists(), "nothing was begun");

    let report = json(&on(&restored, &["restore", source, "--json"]));
    assert_eq!(report["keys"], true);
    for service in ["identity", "onestop", "integration", "civil_registry"] {
        assert_eq!(report["epochs"][service], 2, "a new epoch: {report}");
    }

    let up = Up::start(&restored, "127.0.0.1:0");
    assert_eq!(up.ready["packs"]["imported"], 0, "the law came back: {}", up.ready);
    let cases = json(&on(
        &restored,
        &["call", "ListCases", "--as", "clerk", "--purpose", "case_handling"],
    ));
    assert_eq!(cases["cases"][0]["caseCode"], demo["case_code"]);
    let request = serde_json::json!({ "caseId": cases["cases"][0]["caseId"] }).to_string();
    let case = json(&on(
        &restored,
        &[
            "call",
            "GetCase",
            &request,
            "--as",
            "clerk",
            "--purpose",
            "case_handling",
        ],
    ));
    let request = serde_json::json!({ "fileId": case["case"]["results"][0]["fileId"] }).to_string();
    let file = json(&on(
        &restored,
        &["call", "ReadFile", &request, "--as", "portal", "--purpose", "own_case"],
    ));
    assert!(
        file["data"].as_str().unwrap().starts_with("JVBER"),
        "the result is a PDF still"
    );
    // Sign-in, sealed secrets and counters work on: the next case has the next number.
    let next = json(&on(&restored, &["demo", "--json"]));
    let number = |value: &serde_json::Value| -> u32 {
        value["case_code"]
            .as_str()
            .unwrap()
            .rsplit('-')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    let same_day = demo["case_code"].as_str().unwrap().rsplit_once('-').unwrap().0
        == next["case_code"].as_str().unwrap().rsplit_once('-').unwrap().0;
    assert_eq!(number(&next), if same_day { number(&demo) + 1 } else { 1 });
    up.stop();
}

#[test]
fn a_backup_that_was_changed_is_not_restored() {
    let folder = folder();
    let (data, target, restored) = (
        folder.path().join("data"),
        folder.path().join("backup"),
        folder.path().join("restored"),
    );
    json(&on(&data, &["migrate", "--json"]));
    json(&on(&data, &["backup", target.to_str().unwrap(), "--json"]));
    std::fs::write(target.join("onestop.dump"), "not what it was").unwrap();
    let refused = on(&restored, &["restore", target.to_str().unwrap()]);
    assert!(!refused.status.success());
    assert!(
        text(&refused).contains("onestop.dump was changed"),
        "{}",
        text(&refused)
    );
    assert!(!restored.exists());
}
