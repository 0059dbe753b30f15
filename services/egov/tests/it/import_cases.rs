//! Cases of an old system by the command: killed in the middle, and begun again.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{egov, folder, json, on, text};

/// The documents' own sample.
fn sample(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/import-cases")
        .join(name)
}

/// So many withdrawn cases of one commune, a hundred a day.
fn export(count: u32) -> String {
    let head = std::fs::read_to_string(sample("cases.csv")).unwrap();
    let mut text = format!("{}\n", head.lines().next().unwrap());
    for number in 0..count {
        let (month, day) = (1 + number / 2_800 % 12, 1 + number / 100 % 28);
        writeln!(
            text,
            "{number};H41.201-25{month:02}{day:02}-{:04};1.001193;16690;Trực tiếp;Cá nhân;Nguyễn Văn {number};;;;;;Công dân rút;{day:02}/{month:02}/2025 08:00;;;;;;;",
            1 + number % 100,
        )
        .unwrap();
    }
    text
}

#[tokio::test]
async fn an_import_that_is_killed_goes_on_and_takes_each_line_once() {
    const LINES: u32 = 14_000;
    let folder = folder();
    let data = folder.path().join("data");
    json(&on(&data, &["import", "--json"]));
    let (file, report) = (folder.path().join("old.csv"), folder.path().join("report.jsonl"));
    std::fs::write(&file, export(LINES)).unwrap();
    let arguments = |report: &Path| {
        let parts = [
            "import",
            "cases",
            file.to_str().unwrap(),
            "--format",
            "csv",
            "--mapping",
        ];
        let mut all: Vec<String> = parts.map(str::to_owned).into();
        all.push(sample("mapping.toml").to_str().unwrap().to_owned());
        all.extend([
            "--json".to_owned(),
            "--report".to_owned(),
            report.to_str().unwrap().to_owned(),
        ]);
        all
    };

    let mut child = egov()
        .args(arguments(&report))
        .arg("--data")
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Until a batch is told of, which is after its commit.
    let begin = Instant::now();
    while std::fs::metadata(&report).map_or(0, |report| report.len()) == 0 {
        assert!(begin.elapsed() < Duration::from_mins(3), "no batch was taken");
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be killed"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let parts = arguments(&report);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let said = json(&on(&data, &parts));
    let count = |name: &str| said[name].as_u64().unwrap();
    assert!(
        count("already") >= 2_000 && count("already") < u64::from(LINES),
        "{said}"
    );
    assert_eq!(count("already") % 2_000, 0, "whole batches");
    assert_eq!(
        (count("already") + count("imported"), count("refused")),
        (u64::from(LINES), 0),
        "{said}"
    );
    assert_eq!(
        std::fs::read_to_string(&report).unwrap().lines().count(),
        LINES as usize
    );
    println!("{} lines a minute", said["lines_a_minute"]);

    let again = json(&on(&data, &parts));
    assert_eq!(
        (again["already"].as_u64(), again["imported"].as_u64()),
        (Some(u64::from(LINES)), Some(0))
    );
    let verified = on(&data, &["verify", "--json"]);
    assert_eq!(json(&verified)["cases"], LINES, "{}", text(&verified));
}

#[test]
fn a_mapping_that_names_what_there_is_not_says_so_before_anything_is_opened() {
    let folder = folder();
    let mapping = folder.path().join("mapping.toml");
    std::fs::write(&mapping, "source = 'x'\n[columns]\ncolour = 'mau'\n").unwrap();
    let data = folder.path().join("data");
    let file = sample("cases.csv");
    let parts = [
        "import",
        "cases",
        file.to_str().unwrap(),
        "--format",
        "csv",
        "--mapping",
        mapping.to_str().unwrap(),
    ];
    let output = on(&data, &parts);
    assert!(!output.status.success());
    let said = text(&output);
    assert!(
        said.contains("no field colour") && said.contains("docs/import-cases.md"),
        "{said}"
    );
    assert!(!data.exists());
}
