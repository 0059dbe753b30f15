//! The benchmark itself: that its scenarios go through, whatever the build. What they measure is nothing here.

use std::process::Stdio;
use std::time::{Duration, Instant};

use egov_testkit::nats::NatsServer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{egov, folder, text};

#[tokio::test]
async fn every_scenario_of_the_benchmark_goes_through_without_an_error() {
    let nats = NatsServer::start().await.unwrap();
    let output = egov()
        .args([
            "bench",
            "submit",
            "get",
            "list",
            "list_procedures",
            "list_province",
            "search",
            "import",
            "auth",
            "events",
            "ledger",
            "--any-build",
            "--json",
        ])
        .args(["--seconds", "1", "--runs", "1", "--cases", "2000"])
        .args(["--nats", nats.address()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let rows: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let beside_an_anchor = [
        "submit, among generated cases",
        "get",
        "list",
        "auth_cold",
        "auth_cached",
        "events acknowledged, PostgreSQL",
        "events acknowledged, JetStream",
    ];
    let absolute = [
        "list_procedures",
        "list_procedures, p50 over that of a hundredth",
        "list_province",
        "list_province, p50 over that of a hundredth",
        "search",
        "import",
        "ledger_backlog",
        "ledger_lag",
        "ledger_verify",
    ];
    let (mut expected, mut said) = ([beside_an_anchor.as_slice(), &absolute].concat(), names.clone());
    expected.sort_unstable();
    said.sort_unstable();
    assert_eq!(said, expected);
    for row in &rows {
        assert_eq!(row["errors"], 0, "{row}");
        assert!(row["ours"].as_f64().is_some_and(|figure| figure > 0.0), "{row}");
    }
    for row in rows
        .iter()
        .filter(|row| beside_an_anchor.contains(&row["name"].as_str().unwrap()))
    {
        for figure in ["ours", "anchor", "ratio", "p50_us", "p95_us", "p99_us"] {
            assert!(
                row[figure].as_f64().is_some_and(|figure| figure > 0.0),
                "{figure} of {row}"
            );
        }
    }
}

#[tokio::test]
async fn a_benchmark_that_is_interrupted_leaves_nothing_behind() {
    let folder = folder();
    let mut bench = egov()
        .args(["bench", "submit", "--any-build", "--seconds", "600"])
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Until its stack is there: it writes down where it listens.
    let begin = Instant::now();
    let stack = loop {
        let made = std::fs::read_dir(folder.path()).unwrap().filter_map(Result::ok);
        if let Some(stack) = made
            .map(|entry| entry.path().join("data/stack.json"))
            .find(|path| path.is_file())
        {
            break stack;
        }
        assert!(begin.elapsed() < Duration::from_mins(2), "no stack was started");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let running: Value = serde_json::from_slice(&std::fs::read(stack).unwrap()).unwrap();
    let stack = Pid::from_raw(i32::try_from(running["pid"].as_i64().unwrap()).unwrap());
    kill(Pid::from_raw(i32::try_from(bench.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(!bench.wait().unwrap().success());
    assert!(kill(stack, None).is_err(), "the stack is still there");
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .filter_map(Result::ok)
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
