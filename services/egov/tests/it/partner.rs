//! A partner's first quarter of an hour, by the command and the samples alone.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Up, egov, folder, free_port, json as answer, on, text};

const NAME: &str = "van-thu.thanh-vinh";

/// The sample for curl, as it was written.
fn curl(written: &Path) -> Output {
    Command::new(written.join("curl.sh"))
        .env("EGOV", env!("CARGO_BIN_EXE_egov"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn call(data: &Path, method: &str, request: &Value, token: &str) -> Value {
    answer(&on(data, &["call", method, &request.to_string(), "--token", token]))
}

#[test]
fn a_partner_is_connected_once_calls_through_the_door_proves_it_and_is_refused_after_the_revocation() {
    let folder = folder();
    let data = folder.path().join("data");
    let up = Up::start(&data, "127.0.0.1:0");
    let new = |more: &[&str]| on(&data, &[&["partner", "new", NAME, "--json"], more].concat());

    // From nothing to a call that went through. Two runs at once make one partner.
    let (first, again) = std::thread::scope(|both| {
        let [one, two] = [both.spawn(|| answer(&new(&[]))), both.spawn(|| answer(&new(&[])))];
        (one.join().unwrap(), two.join().unwrap())
    });
    for (name, value) in first.as_object().unwrap() {
        let same = again[name] == *value;
        assert_eq!(same, name != "exchange_id", "{name}: {value} and {}", again[name]);
        assert!(!value.is_null() && value != "", "{name} is empty: {first}");
    }
    let listed = answer(&on(
        &data,
        &["call", "egov.identity.v1.SystemService/ListSystems", "--as", "admin"],
    ));
    let clients = listed["systems"].as_array().unwrap();
    for client in [NAME, "sandbox-provider"] {
        assert_eq!(
            clients.iter().filter(|one| one["clientId"] == client).count(),
            1,
            "{listed}"
        );
    }
    let said = text(&on(&data, &["partner", "new", NAME]));
    for part in ["is registered", "curl.sh", "khai sinh"] {
        assert!(said.contains(part), "{said}");
    }
    let written = data.join("partners").join(NAME);
    assert_eq!(first["folder"], written.to_str().unwrap());
    for name in ["client-key.pem", "signing-key.pem", "partner.json"] {
        let mode = std::fs::metadata(written.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    // Somebody without the keys does not become this partner.
    let elsewhere = folder.path().join("elsewhere");
    let refused = text(&new(&["--out", elsewhere.to_str().unwrap()]));
    assert!(
        refused.contains("registered already") && refused.contains("→"),
        "{refused}"
    );
    assert!(!elsewhere.join("client-key.pem").exists());
    let bad = text(&on(&data, &["partner", "new", "Có dấu"]));
    assert!(bad.contains("small letters"), "{bad}");

    // The sample calls, and proves what it called; another key proves nothing.
    let sampled = curl(&written);
    let shown = text(&sampled);
    assert!(sampled.status.success(), "{shown}");
    for part in ["1.001193", "promise: ", "exactly this exchange", "kept the promise"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(
        !shown.contains("118/2025"),
        "the mask lets no legal basis through: {shown}"
    );
    let token = text(&on(&data, &["partner", "token", NAME])).trim().to_owned();
    let exchange = json!({ "exchangeId": first["exchange_id"] });
    let proof = call(&data, "GetExchangeReceipt", &exchange, &token);
    let file = folder.path().join("receipt.json");
    std::fs::write(&file, proof.to_string()).unwrap();
    let key = first["ledger_key"].as_str().unwrap();
    let verify = |key: &str| {
        let arguments = ["verify", "exchange", file.to_str().unwrap(), "--json", "--key", key];
        egov().args(arguments).output().unwrap()
    };
    let proved = answer(&verify(key));
    assert_eq!(
        (&proved["method"], &proved["caller"]),
        (&proof["exchange"]["method"], &NAME.into())
    );
    let logs = answer(&on(&data, &["call", "ListLogs"]));
    let other = logs["logs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|log| log["log"] == "identity")
        .unwrap();
    let nothing = verify(other["keys"][0].as_str().unwrap());
    assert!(
        !nothing.status.success() && text(&nothing).contains("not proved"),
        "{}",
        text(&nothing)
    );

    // Either side ends it, and within a second the door is closed.
    let agreement = json!({ "agreementId": first["agreement_id"] });
    let etag = call(&data, "GetAgreement", &agreement, &token)["agreement"]["etag"].clone();
    let revoked = json!({ "agreementId": first["agreement_id"], "etag": etag, "reason": "thử nghiệm xong" });
    call(&data, "RevokeAgreement", &revoked, &token);
    let began = Instant::now();
    let said = loop {
        let output = curl(&written);
        if !output.status.success() {
            break text(&output);
        }
        assert!(began.elapsed() < Duration::from_secs(10), "the door is still open");
    };
    let denied = ["grpc-status: 7", "AGREEMENT_"].iter().any(|word| said.contains(word));
    assert!(said.contains("refused") && denied, "{said}");
    // Whoever comes back makes a new agreement, with the system that there is.
    let back = answer(&new(&[]));
    assert_ne!(back["agreement_id"], first["agreement_id"]);
    assert_eq!(back["system_id"], first["system_id"]);
    up.stop();

    // On another port: the sandbox follows.
    let up = Up::start(&data, &format!("127.0.0.1:{}", free_port()));
    let moved = answer(&new(&[]));
    assert_eq!(moved["agreement_id"], back["agreement_id"]);
    assert_eq!(moved["url"], up.url());
    up.stop();
}

#[test]
fn the_tester_of_webhooks_judges_messages_and_the_sender_judges_receivers() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let receive = |more: &[&str]| {
        let mut child = egov()
            .args([
                "partner",
                "webhook",
                "--json",
                "--listen",
                "127.0.0.1:0",
                "--count",
                "6",
            ])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        (child, lines, ready)
    };
    let send = |ready: &Value| {
        let url = ready["listens"].as_str().unwrap();
        let output = egov()
            .args(["partner", "webhook", "--json", "--send", url, "--secret", secret])
            .output()
            .unwrap();
        (
            output.status.success(),
            serde_json::from_slice::<Value>(&output.stdout).unwrap(),
        )
    };

    let (mut child, lines, ready) = receive(&["--secret", secret]);
    assert_eq!(ready["secret"], Value::Null, "a secret that was given is not shown");
    let (passed, judged) = send(&ready);
    assert!(passed && judged["passed"] == true, "{judged}");
    let told: Vec<Value> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let answers: Vec<i64> = told.iter().map(|one| one["answer"].as_i64().unwrap()).collect();
    assert_eq!(answers, [204, 204, 401, 401, 401, 401]);
    assert_eq!((&told[0]["times"], &told[1]["times"]), (&1.into(), &2.into()));
    let faults: Vec<&str> = told[2..].iter().map(|one| one["faults"][0].as_str().unwrap()).collect();
    assert!(
        faults[0].contains("another secret") && faults[1].contains("altered"),
        "{faults:?}"
    );
    assert!(
        faults[2].contains("3600 s old") && faults[3].contains("webhook-signature"),
        "{faults:?}"
    );
    assert!(
        child.wait().unwrap().success(),
        "it ends after as many as were asked for"
    );

    // A receiver that fails, and one that knows another secret.
    let (mut child, lines, ready) = receive(&["--secret", secret, "--answer", "503", "--every", "2"]);
    let (passed, judged) = send(&ready);
    assert!(
        !passed && judged["answers"][0]["passed"] == true && judged["answers"][1]["status"] == 503,
        "{judged}"
    );
    assert!(
        judged["answers"][1]["advice"].as_str().unwrap().contains("webhook-id"),
        "{judged}"
    );
    assert_eq!(lines.count(), 6);
    assert!(child.wait().unwrap().success());
    let (mut child, lines, ready) = receive(&[]);
    assert!(ready["secret"].as_str().unwrap().starts_with("whsec_"), "{ready}");
    let (passed, judged) = send(&ready);
    assert!(!passed && judged["answers"][0]["status"] == 401, "{judged}");
    assert_eq!(lines.count(), 6);
    assert!(child.wait().unwrap().success());
    let refused = egov()
        .args(["partner", "webhook", "--secret", "no secret"])
        .output()
        .unwrap();
    assert!(text(&refused).contains("whsec_"), "{}", text(&refused));
}
