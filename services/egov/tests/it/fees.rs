//! Phí, lệ phí end to end: one-stop, integration and the payment platform, through the public ports.

use std::fmt::Debug;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_clock::{Clock as _, SystemClock, vietnam};
use egov_simulators::{NOTICE_SECRET, NoticeFault, PaymentSimulator, SECRET};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Up, folder, free_port, json as answer, on, text};

/// Longer than a lease of a process that was killed while it held one.
const PATIENCE: Duration = Duration::from_secs(150);

/// The answer to an act.
#[track_caller]
fn act(data: &Path, method: &str, request: &Value, who: &str, purpose: &str) -> Value {
    let request = request.to_string();
    answer(&on(
        data,
        &["call", method, &request, "--as", who, "--purpose", purpose],
    ))
}

/// Reads over REST, as the clerk.
struct Reader {
    runtime: Runtime,
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Reader {
    fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let request = request.header("x-egov-purpose", "case_handling");
        self.runtime
            .block_on(async { request.send().await?.json().await })
            .unwrap()
    }

    /// Reads until it is as wanted.
    #[track_caller]
    fn until<T: Debug>(&self, look: impl Fn(&Self) -> T, wanted: impl Fn(&T) -> bool) -> T {
        let began = Instant::now();
        loop {
            let seen = look(self);
            if wanted(&seen) {
                return seen;
            }
            assert!(began.elapsed() < PATIENCE, "{seen:?}");
            self.runtime
                .block_on(async { tokio::time::sleep(Duration::from_millis(200)).await });
        }
    }
}

/// One-stop, integration and the simulated population database: a person whom it knows is confirmed and the code kept; whoever it does not
/// know is refused, and the paper is needed.
#[track_caller]
fn confirms_an_owner(data: &Path) {
    let confirmed = answer(&on(data, &["demo", "--population", "--json"]));
    let said = |name: &str| confirmed[name].as_str().unwrap();
    let listed = json!({ "caseId": said("case_id") });
    let checklist = act(data, "ListChecklist", &listed, "clerk", "case_handling");
    let items = checklist["items"].as_array().unwrap();
    let item = items
        .iter()
        .find(|item| item["componentCode"] == "giay_to_tuy_than")
        .unwrap();
    assert_eq!(item["state"], "COMPONENT_STATE_REPLACED_BY_DATA", "{item}");
    assert_eq!(item["check"]["requestCode"], said("request_code"), "{item}");
    assert_eq!(item["registers"][0]["connected"], true, "{item}");
    let components = ["to_khai", "giay_chung_sinh", "giay_to_tuy_than"];
    let components = components.map(|code| json!({ "componentCode": code, "originals": 1 }));
    let filed = json!({
        "procedureCode": "1.001193",
        "competentUnitCode": "16690",
        "channel": "CHANNEL_COUNTER",
        "owner": {
            "kind": "APPLICANT_KIND_CITIZEN",
            "fullName": "Nguyễn Văn Ba",
            "personalNumber": "040099000001",
            "dateOfBirth": { "year": 1999, "month": 2, "day": 14 },
        },
        "components": components,
        "subject": "Đăng ký khai sinh cho con",
    });
    let case = act(data, "SubmitCase", &filed, "clerk", "case_handling")["case"].clone();
    let request = json!({
        "caseId": case["caseId"],
        "etag": case["etag"],
        "componentCode": "giay_to_tuy_than",
        "state": "COMPONENT_STATE_REPLACED_BY_DATA",
        "reason": "tra cứu",
        "registerCode": "population",
    });
    let request = request.to_string();
    let call = [
        "call",
        "SetComponentState",
        &request,
        "--as",
        "clerk",
        "--purpose",
        "case_handling",
    ];
    let refused = on(data, &call);
    let said = text(&refused);
    assert!(
        !refused.status.success() && said.contains("POPULATION_NOT_CONFIRMED"),
        "{said}"
    );
}

/// A case of birth whose decision goes into the book: it waits in 4. What the form says of the nationality no pack knows.
#[track_caller]
fn decides_a_birth(data: &Path) -> Value {
    let today = SystemClock.today();
    let born = today.checked_sub(jiff::Span::new().days(10)).unwrap();
    let form = json!({
        "nguoi_yeu_cau": { "ho_ten": "Nguyễn Văn Cha", "quan_he": "cha" },
        "tre": {
            "ho_ten": "Nguyễn Thị Con", "gioi_tinh": "nữ", "ngay_sinh": born.to_string(), "noi_sinh": "Bệnh viện Sản Nhi Nghệ An",
            "dan_toc": "Kinh", "quoc_tich": "Đại Việt",
        },
    });
    let filed = json!({
        "procedureCode": "1.001193",
        "competentUnitCode": "16690",
        "channel": "CHANNEL_ONLINE",
        "owner": { "kind": "APPLICANT_KIND_CITIZEN", "fullName": "Nguyễn Văn Cha", "personalNumber": "040093000222" },
        "components": [
            { "componentCode": "mau_dien_tu", "originals": 1, "formData": form.to_string() },
            { "componentCode": "giay_chung_sinh", "originals": 1 },
        ],
        "subject": "Đăng ký khai sinh cho con",
    });
    let case = act(data, "SubmitCase", &filed, "portal", "own_case")["case"].clone();
    let accept = json!({ "caseId": case["caseId"], "etag": case["etag"] });
    let case = act(data, "AcceptCase", &accept, "clerk", "case_handling")["case"].clone();
    let step = json!({ "caseId": case["caseId"], "etag": case["etag"], "step": "tham_tra" });
    let case = act(data, "RecordStep", &step, "officer", "case_handling")["case"].clone();
    let decide = json!({
        "caseId": case["caseId"],
        "etag": case["etag"],
        "signerName": "Hồ Văn Chủ Tịch",
        "signerTitle": "Chủ tịch",
        "performerName": "Phan Thị Sổ Bộ",
    });
    let decided = act(data, "DecideCivilCase", &decide, "leader", "case_handling")["decision"].clone();
    assert_eq!(decided["state"], "CIVIL_DECISION_STATE_WAITING", "{decided}");
    decided
}

/// What the form does not say the officer says; the entry completes the case, with its number and the printed certificate.
#[track_caller]
fn is_entered(data: &Path, reader: &Reader, decided: &Value) {
    let officer = |method: &str, request: &Value| act(data, method, request, "registrar", "civil_status_registration");
    let began = Instant::now();
    let waiting = loop {
        let waiting = officer("ListPendingDecisions", &json!({}))["decisions"][0].clone();
        if waiting["findings"].is_array() {
            break waiting;
        }
        assert!(began.elapsed() < PATIENCE, "{waiting}");
    };
    assert_eq!(waiting["decisionId"], decided["decisionId"], "{waiting}");
    let day = decided["decisionDate"].clone();
    let book = json!({
        "unitId": decided["unitId"], "event": "EVENT_KIND_BIRTH", "year": day["year"], "pagesPerVolume": 200, "entriesPerPage": 1,
    });
    officer("OpenBook", &book);
    let number = format!("0403{:02}000017", day["year"].as_i64().unwrap() % 100);
    let settle = json!({
        "decisionId": decided["decisionId"],
        "birth": {
            "kind": "BIRTH_KIND_MOTHER_UNKNOWN",
            "child": {
                "fullName": "Nguyễn Thị Con", "personalNumber": number, "sex": "SEX_FEMALE", "dateOfBirth": day,
                "placeOfBirth": "Bệnh viện Sản Nhi Nghệ An", "ethnicGroup": "01", "nationality": "VN",
            },
            "father": {
                "fullName": "Nguyễn Văn Cha", "dateOfBirth": { "year": 1993, "month": 4 }, "ethnicGroup": "01", "nationality": "VN",
            },
            "requester": { "fullName": "Nguyễn Văn Cha", "relationship": "cha" },
        },
    });
    let entry = officer("SettlePendingDecision", &settle)["entry"].clone();
    let case =
        |reader: &Reader| reader.get(&format!("/v1/cases/{}", decided["caseId"].as_str().unwrap()))["case"].clone();
    let completed = reader.until(case, |case| case["state"] == "CASE_STATE_COMPLETED");
    let result = &completed["results"][0];
    assert_eq!(result["number"], entry["printedNumber"], "{completed}");
    let certificate = json!({ "fileId": result["fileId"] });
    let certificate = act(data, "ReadFile", &certificate, "clerk", "case_handling");
    assert!(certificate["data"].as_str().unwrap().starts_with("JVBER"), "a PDF");
    // The Ministry's register, which the stack simulates, is told of it.
    let began = Instant::now();
    loop {
        let told = officer("ListRegisterEntries", &json!({}))["entries"][0].clone();
        if told["synchronised"] == true {
            assert_eq!(told["entryId"], entry["entryId"], "{told}");
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{told}");
    }
}

#[test]
fn a_fee_is_ordered_paid_reconciled_and_given_back_in_one_stack_and_counted_once_although_it_was_killed() {
    let folder = folder();
    let data = folder.path().join("data");
    // The same address again after the cut, so that it is the same issuer and the platform finds it.
    let listen = format!("127.0.0.1:{}", free_port());
    let notices = format!("http://{listen}/v1/integration/payment-notices");
    let runtime = Runtime::new().unwrap();
    // A platform that outlives the stack; what else there is of partners the stack brings.
    let platform = runtime
        .block_on(PaymentSimulator::start(SystemClock::shared()))
        .unwrap();
    runtime.block_on(async {
        platform.call_back_to(notices.clone(), SystemClock::shared()).unwrap();
    });
    let config = format!(
        r#"
        books = true
        [partners.civil_status]
        follow = "civil-registry.events"
        [partners.payment]
        secret = "{SECRET}"
        notice_secret = "{NOTICE_SECRET}"
        [partners.payment.line]
        address = "{}"
        hosts = ["127.0.0.1"]
        "#,
        platform.url()
    );
    let file = folder.path().join("up.toml");
    std::fs::write(&file, config).unwrap();
    let up = Up::simulated(&data, &listen, Some(&file));
    assert_eq!(up.ready["simulators"]["payment-platform"], Value::Null, "{}", up.ready);

    // Accepted, assigned, asked for: the case waits in state 6, and one order is at the platform.
    let asked = answer(&on(&data, &["demo", "--fee", "--json"]));
    let said = |name: &str| asked[name].as_str().unwrap();
    let (case_id, case_code, order_code) = (said("case_id"), said("case_code"), said("order_code"));
    assert_eq!((platform.made(), platform.orders()[order_code].amount), (1, 8_000));
    let reader = Reader {
        http: reqwest::Client::new(),
        url: up.url(),
        token: text(&on(&data, &["token", "--as", "clerk"])).trim().to_owned(),
        runtime,
    };

    // The population database of the same stack confirms an owner in the place of the paper.
    confirms_an_owner(&data);

    // A birth is decided, and goes into the book of the civil registry.
    let decided = decides_a_birth(&data);

    // A power cut before the citizen pays: nobody hears the platform, which calls again until somebody does.
    up.kill();
    let paid = reader
        .runtime
        .block_on(async { reader.http.post(said("pay_url")).send().await?.text().await })
        .unwrap();
    assert!(paid.contains("Đã thanh toán"), "{paid}");
    let up = Up::simulated(&data, &listen, Some(&file));
    let case = |reader: &Reader| reader.get(&format!("/v1/cases/{case_id}"))["case"].clone();
    let charge = |reader: &Reader| reader.get(&format!("/v1/cases/{case_id}/charge"))["charge"].clone();
    let going_on = reader.until(case, |case| case["state"] == "CASE_STATE_PROCESSING");
    let settled = charge(&reader);
    assert_eq!(settled["state"], "CHARGE_STATE_PAID", "{settled}");
    // Three times more.
    let again = platform.notify(&notices, order_code, NoticeFault::Duplicate, SystemClock.now());
    assert_eq!(reader.runtime.block_on(again).unwrap(), [200, 200, 200]);
    assert_eq!(charge(&reader), settled);
    let payments = settled["payments"].as_array().unwrap();
    assert_eq!(payments.len(), 1, "{settled}");
    assert_eq!(payments[0]["reference"], order_code);

    // The day is reconciled with what the treasury booked.
    let paid_time: Timestamp = payments[0]["paidTime"].as_str().unwrap().parse().unwrap();
    let day = paid_time.to_zoned(vietnam()).date();
    let lines = format!(
        "ngay_hach_toan,ma_ho_so,ma_tham_chieu,so_tien\n{},{case_code},{order_code},8000\n",
        day.strftime("%d/%m/%Y")
    );
    let day = json!({ "year": day.year(), "month": day.month(), "day": day.day() });
    let unit = &payments[0]["collectingUnitId"];
    let file_of_day = json!({ "unitId": unit, "day": day, "content": STANDARD.encode(lines) });
    let accountant = |method: &str, request: &Value| act(&data, method, request, "accountant", "case_handling");
    let imported = accountant("ImportTreasuryFile", &file_of_day);
    assert_eq!(imported["entries"], 1, "{imported}");
    let reconciled = accountant("ReconcileDay", &json!({ "unitId": unit, "day": day }));
    assert_eq!(reconciled, json!({ "matched": 1 }), "and nothing differs");
    assert_eq!(charge(&reader)["state"], "CHARGE_STATE_RECONCILED");

    // The citizen withdraws; the leader decides, and the platform gives the money back.
    let withdrawal = json!({ "caseId": case_id, "etag": going_on["etag"], "reason": "không cần nữa" });
    act(&data, "WithdrawCase", &withdrawal, "portal", "own_case");
    let due = charge(&reader);
    assert_eq!(due["state"], "CHARGE_STATE_REFUND_DUE", "{due}");
    let decision = json!({
        "caseId": case_id,
        "etag": due["etag"],
        "paymentId": payments[0]["paymentId"],
        "reason": "công dân rút hồ sơ",
        "decisionNumber": "12/QĐ-UBND",
    });
    act(&data, "DecideRefund", &decision, "leader", "case_handling");
    reader.until(charge, |charge| charge["state"] == "CHARGE_STATE_REFUNDED");
    assert_eq!((platform.made(), platform.refunded()), (1, 1));
    let period = json!({ "unitId": unit, "from": day, "to": day });
    let figures = accountant("GetPaymentFigures", &period);
    let online = json!([{
        "way": "PAYMENT_WAY_ONLINE",
        "payments": "1",
        "amount": { "currencyCode": "VND", "units": "8000" },
        "refunded": "1",
    }]);
    assert_eq!(figures["ways"], online);
    is_entered(&data, &reader, &decided);
    up.stop();
}
