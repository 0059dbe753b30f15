//! The benchmark itself: that its scenarios go through, whatever the build. What they measure is nothing here.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{egov, text};

#[test]
fn every_scenario_of_the_benchmark_goes_through_without_an_error() {
    let output = egov()
        .args(["bench", "submit", "get", "list", "auth", "--any-build", "--json"])
        .args(["--seconds", "1", "--runs", "1", "--cases", "2000"])
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
    assert_eq!(names, ["submit", "get", "list", "auth_cold", "auth_cached"]);
    for row in &rows {
        assert_eq!(row["errors"], 0, "{row}");
        for figure in ["ours", "anchor", "ratio", "p50_us", "p95_us", "p99_us"] {
            assert!(
                row[figure].as_f64().is_some_and(|figure| figure > 0.0),
                "{figure} of {row}"
            );
        }
    }
}
