//! Keys as an operator handles them: the commands, the drills, and a power cut in the middle of a withdrawal.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use egov_clock::{Ids as _, SystemIds};
use egov_proto::egov::identity::v1::WithdrawSigningKeyRequest;
use egov_proto::egov::identity::v1::key_service_client::KeyServiceClient;
use serde_json::Value;
use tonic::Request;
use tonic::transport::Endpoint;

use crate::support::*;

/// Runs a drill with its temporary files in a folder of the test.
fn drill(name: &str, temporary: &Path, more: &[&str]) -> Output {
    egov()
        .env("TMPDIR", temporary)
        .args(["drill", name])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Asserts the steps of a protocol, each passed and in this order; answers with the steps.
#[track_caller]
fn went(protocol: &Value, drill: &str, expected: &[&str]) -> Vec<Value> {
    let steps = protocol["steps"].as_array().unwrap().clone();
    let whats: Vec<&str> = steps.iter().map(|step| step["what"].as_str().unwrap()).collect();
    assert_eq!(whats, expected, "{protocol:#}");
    assert_eq!(protocol["drill"], drill);
    for (place, step) in steps.iter().enumerate() {
        assert_eq!(step["passed"], true, "{step:#}");
        assert_eq!(step["number"], place + 1);
        // dd/MM/yyyy HH:mm:ss
        let at = step["at"].as_str().unwrap().as_bytes();
        let marks = [2, 5, 10, 13, 16].map(|place| at[place]);
        assert_eq!((at.len(), &marks), (19, b"// ::"), "{step:#}");
    }
    assert_eq!(protocol["passed"], true);
    assert_eq!(protocol["feed_period_ms"], 1000);
    steps
}

/// The times of a step at identity and at one-stop, which must lie within the period of the feed and some slack.
#[track_caller]
fn in_force(steps: &[Value], what: &str) -> (u64, u64) {
    let step = steps.iter().find(|step| step["what"] == what).unwrap();
    let times = (
        step["identity_ms"].as_u64().unwrap(),
        step["one_stop_ms"].as_u64().unwrap(),
    );
    assert!(times.0 <= 5000 && times.1 <= 5000, "{step:#}");
    times
}

/// Nothing of a drill is left: no file, no process.
#[track_caller]
fn nothing_left(temporary: &Path) {
    let files: Vec<_> = std::fs::read_dir(temporary)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert!(files.is_empty(), "{files:?}");
    assert_eq!(left(temporary), Vec::<String>::new());
}

#[test]
fn the_drill_of_a_rotation_passes_and_leaves_nothing() {
    let temporary = folder();
    let output = drill("rotation", temporary.path(), &["--json"]);
    let protocol = json(&output);
    let steps = went(
        &protocol,
        "rotation",
        &[
            "a temporary stack starts",
            "an official, a citizen, a system and a system for the citizen sign in",
            "a clerk tries to rotate",
            "the administrator rotates the key of tokens",
            "the same request again",
            "a token is issued right after it",
            "tokens are issued until the new key signs",
            "the first token of the new key is used",
            "a token of the old key is used all the while",
            "the tokens of the old key are used in its overlap",
            "the keys are listed",
            "the keys of page tokens and of the unit tree are rotated",
            "the key of the client at issuers of agencies is rotated",
            "the key of look-up secrets is to be rotated",
        ],
    );
    in_force(&steps, "the first token of the new key is used");
    // Progress is shown beside the protocol.
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains(" 4. the administrator rotates the key of tokens … đạt (pass)")
    );
    nothing_left(temporary.path());
}

#[test]
fn the_drill_of_an_emergency_passes_within_the_feeds_time_and_leaves_nothing() {
    let temporary = folder();
    let protocol = json(&drill("emergency", temporary.path(), &["--json"]));
    let steps = went(
        &protocol,
        "emergency",
        &[
            "a temporary stack starts",
            "an official, a citizen, a system and a system for the citizen sign in",
            "a clerk tries to withdraw the key",
            "a second key is made, and signs",
            "the administrator withdraws the stolen key",
            "a token of the other key is used all the while",
            "the published keys and the feed are read",
            "the official's session goes on",
            "the same request again",
            "another request to withdraw it",
            "invented key ids are sent to both services",
            "the administrator withdraws the only key",
            "the published keys are read",
            "the first token of the new key is used, during the flood",
            "a clerk tries to revoke everybody's tokens",
            "the tokens of all systems are revoked",
            "an official's token is used",
            "everybody's tokens are revoked and sessions ended",
            "the official tries to go on with the session",
            "everybody signs in anew",
        ],
    );
    for act in [
        "the administrator withdraws the stolen key",
        "the administrator withdraws the only key",
        "the first token of the new key is used, during the flood",
        "the tokens of all systems are revoked",
        "everybody's tokens are revoked and sessions ended",
    ] {
        let (identity, one_stop) = in_force(&steps, act);
        assert!(
            identity.max(one_stop) <= protocol["slowest_ms"].as_u64().unwrap(),
            "{act}"
        );
    }
    nothing_left(temporary.path());
}

#[test]
fn a_drill_that_cannot_be_done_fails_says_why_and_exits_with_1() {
    let temporary = folder();
    let nowhere = temporary.path().join("nowhere");
    let output = drill(
        "emergency",
        temporary.path(),
        &["--json", "--deploy", nowhere.to_str().unwrap()],
    );
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let protocol: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(protocol["passed"], false);
    let steps = protocol["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["what"], "the drill goes to its end");
    assert_eq!(steps.last().unwrap()["passed"], false);
    assert!(
        text(&output).contains("the drill failed at step 1"),
        "{}",
        text(&output)
    );
    nothing_left(temporary.path());
}

/// Where each key of tokens stands, by id.
fn states(data: &Path) -> Vec<(String, String)> {
    let listed = json(&on(data, &["keys", "list", "--purpose", "token-signing", "--json"]));
    let keys = listed["keys"].as_array().unwrap();
    let word = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    keys.iter()
        .map(|key| (word(key, "key_id"), word(key, "state")))
        .collect()
}

#[test]
fn an_operator_lists_rotates_and_withdraws_keys_and_revokes_everybody() {
    let folder = folder();
    let data = folder.path().join("data");
    let up = Up::start(&data, "127.0.0.1:0");
    let table = on(&data, &["keys", "list"]);
    let said = text(&table);
    assert!(table.status.success(), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 11, "{said}");
    // Aligned: the states stand below their heading.
    let column = lines[0].find("state").unwrap();
    for line in &lines[1..] {
        assert_eq!(line.find("in use · đang dùng"), Some(column), "{said}");
    }
    let refused = on(&data, &["keys", "list", "--as", "clerk"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("PERMISSION_MISSING"), "{}", text(&refused));

    let first = states(&data)[0].0.clone();
    let second = json(&on(&data, &["keys", "rotate", "--json"]))["key_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let row = |id: &str, state: &str| (id.to_owned(), state.to_owned());
    assert_eq!(states(&data), [row(&first, "in_use"), row(&second, "published")]);
    let refused = on(&data, &["keys", "rotate", "--purpose", "lookup-secrets"]);
    assert!(text(&refused).contains("KEY_NOT_ROTATABLE"), "{}", text(&refused));

    // The stolen key signed the administrator's own token: the next command signs in anew by itself.
    let system = text(&on(&data, &["token", "--as", "system"]));
    let withdrawn = json(&on(
        &data,
        &["keys", "withdraw", &first, "--reason", "thử nghiệm", "--json"],
    ));
    assert_eq!(withdrawn["signing_key_id"], second.as_str());
    assert_eq!(states(&data), [row(&first, "withdrawn"), row(&second, "in_use")]);
    let call = on(
        &data,
        &["call", "ResolveUnit", r#"{"code":"40"}"#, "--token", system.trim()],
    );
    assert!(
        ["TOKEN_REVOKED", "TOKEN_UNKNOWN_KEY"]
            .iter()
            .any(|reason| text(&call).contains(reason)),
        "{}",
        text(&call)
    );
    let again = on(&data, &["keys", "withdraw", &first, "--reason", "thử nghiệm"]);
    assert!(text(&again).contains("KEY_ALREADY_WITHDRAWN"), "{}", text(&again));
    assert!(
        text(&again).contains("khoá này đã bị thu hồi trước đó"),
        "{}",
        text(&again)
    );
    let none = on(
        &data,
        &[
            "keys",
            "revoke-all",
            "--of",
            "systems",
            "--sessions",
            "--reason",
            "thử nghiệm",
        ],
    );
    assert!(text(&none).contains("end_sessions"), "{}", text(&none));

    let of = [
        "keys",
        "revoke-all",
        "--of",
        "systems",
        "--reason",
        "thử nghiệm",
        "--json",
    ];
    let system = text(&on(&data, &["token", "--as", "system"]));
    assert_eq!(json(&on(&data, &of))["sessions_ended"], 0);
    let call = on(
        &data,
        &["call", "ResolveUnit", r#"{"code":"40"}"#, "--token", system.trim()],
    );
    assert!(text(&call).contains("TOKEN_REVOKED"), "{}", text(&call));
    up.stop();
}

async fn withdraw(url: &str, token: &str, request: WithdrawSigningKeyRequest) -> Option<String> {
    let channel = Endpoint::from_shared(url.to_owned()).unwrap().connect().await.ok()?;
    let mut request = Request::new(request);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    let answer = KeyServiceClient::new(channel)
        .withdraw_signing_key(request)
        .await
        .ok()?;
    Some(answer.into_inner().signing_key_id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_in_the_middle_of_a_withdrawal_is_finished_by_repeating_it() {
    let folder = folder();
    let data = folder.path().join("data");
    // The same address again, so that it is the same issuer.
    let listen = format!("127.0.0.1:{}", free_port());
    // Before the act, in the middle of it, and perhaps after it.
    for milliseconds in [2, 25] {
        let up = Up::start(&data, &listen);
        let url = up.url();
        let token = |name: &str| text(&on(&data, &["token", "--as", name])).trim().to_owned();
        let (admin, system) = (token("admin"), token("system"));
        let stolen = states(&data)
            .into_iter()
            .find(|(_, state)| state == "in_use")
            .unwrap()
            .0;
        let request = WithdrawSigningKeyRequest {
            request_id: SystemIds::default().uuid().to_string(),
            key_id: stolen.clone(),
            reason: "mất điện giữa chừng".to_owned(),
        };
        let acting = tokio::spawn({
            let (url, admin, request) = (url.clone(), admin.clone(), request.clone());
            async move { withdraw(&url, &admin, request).await }
        });
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        up.kill();
        let answered = acting.await.unwrap();

        let up = Up::start(&data, &listen);
        // The administrator's token is void if the key was withdrawn already, and else it is afterwards: either way what is
        // remembered of it is put away, as the command does after an act.
        let before = withdraw(&url, &admin, request.clone()).await;
        let sessions = data.join("sessions.json");
        let mut remembered: Value = serde_json::from_slice(&std::fs::read(&sessions).unwrap()).unwrap();
        for session in remembered.as_object_mut().unwrap().values_mut() {
            session["expires"] = 0.into();
        }
        std::fs::write(&sessions, remembered.to_string()).unwrap();
        let repeated = withdraw(&url, &token("admin"), request).await.unwrap();
        assert!(before.is_none_or(|before| before == repeated));
        if let Some(answered) = answered {
            assert_eq!(repeated, answered);
        }
        let now = states(&data);
        assert!(now.contains(&(stolen.clone(), "withdrawn".to_owned())), "{now:?}");
        let in_use: Vec<_> = now.iter().filter(|(_, state)| state == "in_use").collect();
        assert_eq!(in_use, [&(repeated, "in_use".to_owned())]);
        assert!(
            now.iter().all(|(_, state)| state == "in_use" || state == "withdrawn"),
            "{now:?}"
        );
        let call = on(&data, &["call", "ResolveUnit", r#"{"code":"40"}"#, "--token", &system]);
        assert!(!call.status.success(), "{}", text(&call));
        let fresh = token("system");
        let call = on(&data, &["call", "ResolveUnit", r#"{"code":"40"}"#, "--token", &fresh]);
        assert!(call.status.success(), "{}", text(&call));
        // It stands in the database, not in the keyring alone.
        let again = on(&data, &["keys", "withdraw", &stolen, "--reason", "lần nữa"]);
        assert!(text(&again).contains("KEY_ALREADY_WITHDRAWN"), "{}", text(&again));
        up.stop();
    }
}
