//! `cargo egov simulate`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::*;

#[test]
fn the_simulated_partners_say_where_they_are_and_answer() {
    let mut child = egov()
        .args(["simulate", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let addresses: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let statuses: Vec<(String, u16)> = addresses
        .iter()
        .map(|(name, url)| {
            let call = reqwest::Client::new().post(url.as_str().unwrap()).body("x").send();
            (name.clone(), runtime.block_on(call).unwrap().status().as_u16())
        })
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let expected = [
        ("civil-status-register", 401),
        ("national-portal", 400),
        ("payment-platform", 401),
        ("population-register", 400),
    ];
    assert_eq!(statuses, expected.map(|(name, status)| (name.to_owned(), status)));
}
