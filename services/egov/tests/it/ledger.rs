//! The ledger as an operator and a holder of a receipt meet it: through the port of a stack, and offline afterwards.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::*;

fn get(url: &str) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() })
}

fn size(log: &Value) -> u64 {
    log["treeSize"].as_str().map_or(0, |size| size.parse().unwrap())
}

#[test]
fn what_a_stack_wrote_is_in_its_logs_a_receipt_proves_it_and_everything_is_verified_offline() {
    let folder = folder();
    let data = folder.path().join("data");
    let up = Up::start(&data, "127.0.0.1:0");
    json(&on(&data, &["demo", "--json"]));
    let begin = Instant::now();
    let logs = loop {
        let logs = get(&format!("{}/v1/ledger/logs", up.url()))["logs"].clone();
        let of = |name: &str| {
            logs.as_array()
                .unwrap()
                .iter()
                .find(|log| log["log"] == name)
                .map_or(0, size)
        };
        // The acts of the main job, and the records of its reads; the tree of units.
        if of("onestop") > 7 && of("identity") > 0 {
            break logs;
        }
        assert!(begin.elapsed() < Duration::from_mins(1), "nothing is sequenced: {logs}");
    };
    let names: Vec<_> = logs
        .as_array()
        .unwrap()
        .iter()
        .map(|log| log["log"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["civil_registry", "identity", "integration", "onestop"]);
    let key = logs[3]["keys"][0].as_str().unwrap();

    // A receipt of some leaf, taken home in the form of a QR code and in JSON.
    let tile = get(&format!("{}/v1/ledger/logs/onestop/tiles/0/0", up.url()));
    let leaf = leaf_of(tile["hashes"].as_str().unwrap());
    let receipt = get(&format!("{}/v1/ledger/logs/onestop/receipt?leafHash={leaf}", up.url()));
    for form in ["text", "json"] {
        let file = folder.path().join(form);
        std::fs::write(&file, receipt[form].as_str().unwrap()).unwrap();
        let file = file.to_str().unwrap();
        let output = egov().args(["verify", "receipt", file, "--key", key]).output().unwrap();
        assert!(
            output.status.success() && text(&output).contains("the log signed"),
            "{}",
            text(&output)
        );
        let other = logs[1]["keys"][0].as_str().unwrap();
        let output = egov()
            .args(["verify", "receipt", file, "--key", other])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains("proves nothing"), "{}", text(&output));
    }
    up.stop();

    let checked = json(&on(&data, &["verify", "log", "--json"]));
    for log in checked["logs"].as_array().unwrap() {
        assert_eq!(log["found"], serde_json::json!({}), "{log}");
    }
    let rows = &checked["rows"];
    for (service, kind) in [("onestop", "read"), ("identity", "unit_tree")] {
        assert!(rows[service][kind]["recomputed"].as_u64().unwrap() > 0, "{rows}");
    }
    // What cannot be recomputed is said by name, with why.
    assert!(
        rows["onestop"]["case"]["reason"]
            .as_str()
            .unwrap()
            .contains("older versions"),
        "{rows}"
    );
    let range = on(
        &data,
        &[
            "verify",
            "range",
            "--service",
            "onestop",
            "--from",
            "1",
            "--to",
            "4",
            "--json",
        ],
    );
    assert_eq!(json(&range)["logs"][0]["entries"], 4);
    let beyond = on(&data, &["verify", "range", "--service", "onestop", "--to", "999999"]);
    assert!(
        !beyond.status.success() && text(&beyond).contains("there is no entry"),
        "{}",
        text(&beyond)
    );

    let exported = folder.path().join("exported");
    let to = exported.to_str().unwrap();
    let output = on(&data, &["verify", "export", "--service", "onestop", "--to", to]);
    assert!(output.status.success(), "{}", text(&output));
    let verify = ["verify", "log", "--folder", to, "--key", key];
    let output = egov().args(verify).output().unwrap();
    assert!(
        output.status.success() && text(&output).contains("everything holds"),
        "{}",
        text(&output)
    );
}

/// The first hash of a tile in base64, as hexadecimal.
fn leaf_of(tile: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(tile).unwrap();
    hex::encode(&bytes[..32])
}
