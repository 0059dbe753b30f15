//! Accounts from a list, leavers, and the review of access, as an administrator does it.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::*;

#[test]
fn accounts_come_from_a_list_and_the_review_shows_them() {
    let folder = folder();
    let data = folder.path().join("data");
    let list = folder.path().join("list.csv");
    let codes = folder.path().join("codes.csv");
    let (list_text, codes_text) = (list.to_str().unwrap(), codes.to_str().unwrap());
    let up = Up::start(&data, "127.0.0.1:0");

    // A list with faults: each is named with its line, in both languages, and nothing is made.
    std::fs::write(
        &list,
        "username,full_name,unit_code,roles\nan.nguyen,Nguyễn Văn An,16690,officer\nx,,99999,nobody\n",
    )
    .unwrap();
    let refused = on(&data, &["accounts", "import", list_text, "--codes", codes_text]);
    let said = text(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for part in [
        "3",
        "họ và tên",
        "must not be empty",
        "no unit carries this code",
        "không có vai trò này",
        "hợp lệ, chưa tạo",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!codes.exists());

    let mut text_of_list = "\u{feff}username,full_name,unit_code,roles\n".to_owned();
    for number in 0..250 {
        writeln!(text_of_list, "can.bo.{number},Nguyễn Văn Số,16690,one_stop_clerk").unwrap();
    }
    std::fs::write(&list, &text_of_list).unwrap();
    let dry = json(&on(&data, &["accounts", "import", list_text, "--dry-run", "--json"]));
    assert_eq!(dry["numbers"], serde_json::json!({ "acceptable": 250 }));
    let made = json(&on(
        &data,
        &["accounts", "import", list_text, "--codes", codes_text, "--json"],
    ));
    assert_eq!(made["numbers"], serde_json::json!({ "created": 250 }));
    assert_eq!(made["done"], true);
    let first = std::fs::read_to_string(&codes).unwrap();
    assert_eq!(first.lines().count(), 251);
    assert!(
        !made
            .to_string()
            .contains(first.lines().nth(1).unwrap().split(',').nth(3).unwrap())
    );
    assert_eq!(std::fs::metadata(&codes).unwrap().permissions().mode() & 0o777, 0o600);
    // Cut off and repeated: the same codes again.
    std::fs::remove_file(&codes).unwrap();
    json(&on(
        &data,
        &["accounts", "import", list_text, "--codes", codes_text, "--json"],
    ));
    assert_eq!(std::fs::read_to_string(&codes).unwrap(), first);

    let review = json(&on(&data, &["access", "review", "--unit", "16690", "--json"]));
    let entries = review["entries"].as_array().unwrap();
    let of_list = entries
        .iter()
        .filter(|entry| entry["username"].as_str().unwrap().starts_with("can.bo."));
    assert_eq!(of_list.count(), 250, "over several pages");
    let table = text(&on(
        &data,
        &[
            "access",
            "review",
            "--unit",
            "16690",
            "--round-from",
            "01/01/2020",
            "--round-due",
            "02/01/2020",
            "--flagged",
        ],
    ));
    for part in [
        "người giữ",
        "Nguyễn Văn Số (can.bo.7)",
        "Công chức bộ phận một cửa",
        "chưa rà soát",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let csv = folder.path().join("review.csv");
    let written = on(&data, &["access", "review", "--csv", csv.to_str().unwrap()]);
    assert!(written.status.success(), "{}", text(&written));
    assert!(std::fs::read_to_string(&csv).unwrap().contains("can.bo.249"));

    // Two leave.
    let leavers = folder.path().join("leavers.csv");
    std::fs::write(&leavers, "username\ncan.bo.1\ncan.bo.2, nghỉ hưu\n").unwrap();
    let leavers = leavers.to_str().unwrap();
    let closed = json(&on(
        &data,
        &["accounts", "close", leavers, "--reason", "nghỉ hưu", "--json"],
    ));
    assert_eq!(closed["done"], true);
    assert_eq!(closed["accounts"][1]["outcome"], "closed");
    let wrong = on(
        &data,
        &[
            "accounts",
            "close",
            leavers,
            "--reason",
            "nghỉ hưu",
            "--on",
            "32/13/2026",
        ],
    );
    assert!(text(&wrong).contains("dd/mm/yyyy"), "{}", text(&wrong));
    let review = json(&on(&data, &["access", "review", "--flagged", "--json"]));
    let disabled = review["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["flags"].to_string().contains("holder_disabled"));
    assert_eq!(disabled.count(), 2);
    up.stop();
}
