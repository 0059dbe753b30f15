//! Two wards merge: from the plan at identity to the case that the successor's officer reads, through the binary.

use std::path::Path;
use std::time::{Duration, Instant};

use egov_clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::{Up, folder, json as answer, on, text};

fn call(data: &Path, method: &str, request: &Value, who: &str) -> std::process::Output {
    let request = request.to_string();
    let arguments = ["call", method, &request, "--as", who, "--purpose", "case_handling"];
    on(data, &arguments)
}

fn unit(data: &Path, code: &str) -> Value {
    answer(&call(data, "ResolveUnit", &json!({ "code": code }), "admin"))["unit"]["unitId"].clone()
}

fn filing(unit: &str) -> Value {
    let component = |code: &str| json!({ "componentCode": code, "originals": 1 });
    json!({
        "procedureCode": "1.001193",
        "competentUnitCode": unit,
        "channel": "CHANNEL_ONLINE",
        "owner": {
            "kind": "APPLICANT_KIND_CITIZEN",
            "fullName": "Nguyễn Thị Hường",
            "personalNumber": "040190000123",
            "phone": "0912345678",
            "email": "cong.dan@example.vn",
            "address": "Số 1, đường Lê Mao",
        },
        "components": [component("mau_dien_tu"), component("giay_chung_sinh")],
        "subject": "Đăng ký khai sinh cho con",
    })
}

#[test]
fn two_wards_merge_and_the_open_case_and_its_officers_go_to_the_successor() {
    let folder = folder();
    let data = folder.path().join("data");
    let up = Up::start(&data, "127.0.0.1:0");
    let filed = answer(&call(&data, "SubmitCase", &filing("16690"), "portal"));
    let case_id = filed["case"]["caseId"].as_str().unwrap().to_owned();
    let read = |who: &str| call(&data, "GetCase", &json!({ "caseId": case_id }), who);
    let seen = answer(&read("officer"));
    assert!(text(&read("neighbour")).contains("CASE_NOT_FOUND"));

    // Phường Trường Vinh goes into Phường Thành Vinh today, with its departments.
    let (old, new) = (unit(&data, "16690"), unit(&data, "16681"));
    let today = SystemClock.today();
    let plan = json!({
        "effectiveDate": { "year": today.year(), "month": today.month(), "day": today.day() },
        "title": "Nhập phường Trường Vinh vào phường Thành Vinh",
        "legalBasis": "Nghị quyết thử nghiệm",
        "closings": [{ "unitId": old, "successor": { "unitId": new } }],
        "carryDepartments": true,
    });
    let preview = answer(&call(&data, "PreviewReorganisation", &json!({ "plan": plan }), "admin"));
    assert_eq!(preview.get("violations"), None, "{preview}");
    assert_eq!(preview["changes"].as_array().unwrap().len(), 5, "{preview}");
    let refused = call(&data, "CreateReorganisation", &json!({ "plan": plan }), "leader");
    assert!(text(&refused).contains("PERMISSION_MISSING"), "{}", text(&refused));
    answer(&call(&data, "CreateReorganisation", &json!({ "plan": plan }), "admin"));

    let began = Instant::now();
    let moved = loop {
        let output = read("neighbour");
        if output.status.success() {
            break answer(&output);
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{}", text(&output));
        std::thread::park_timeout(Duration::from_millis(500));
    };
    assert_eq!(moved["case"]["responsibleUnitId"], new);
    assert_eq!(moved["case"]["caseCode"], seen["case"]["caseCode"]);
    // The token of the closed ward's officer says a role that is no more.
    let refused = read("officer");
    assert!(text(&refused).contains("TOKEN_REVOKED"), "{}", text(&refused));
    // Nobody files with the closed ward any more; the refusal names the successor.
    let late = text(&call(&data, "SubmitCase", &filing("16690"), "portal"));
    assert!(
        late.contains("UNIT_CLOSED") && late.contains("Phường Thành Vinh"),
        "{late}"
    );
    up.stop();

    // What is stored fits together, and the next start finds everybody at their place: the officer works at the successor.
    let verified = on(&data, &["verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
    let up = Up::start(&data, "127.0.0.1:0");
    assert_eq!(up.ready["packs"]["imported"], 0, "{}", up.ready);
    let seen = answer(&read("officer"));
    assert_eq!(seen["case"]["responsibleUnitId"], new);
    up.stop();
}
