//! The adapters against the simulated partners: it works, and each fault ends in a single effect or a said doubt.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use egov_clock::{Clock as _, ManualClock, SystemClock, SystemIds};
use egov_partners::Partner;
use egov_partners::backoff::Backoff;
use egov_partners::breaker::BreakerConfig;
use egov_partners::civil_books::BookEntry;
use egov_partners::civil_status::{
    CivilStatusAccount, CivilStatusRegister as _, RegistrationKind, SimCivilStatusRegister, Submission,
};
use egov_partners::line::{Answer, Line, LineConfig};
use egov_partners::outcome::{CallError, Doubt, NotSent};
use egov_partners::payment::{NewOrder, OrderState, PaymentAccount, PaymentPlatform as _, SimPaymentPlatform};
use egov_partners::population::{
    Asker, Birth, Enquiry, Number, PopulationAccount, PopulationRegister as _, RequestCode, SoapPopulationRegister,
};
use egov_partners::portal::{
    CaseItem, NationalPortal as _, OpenCpsPortal, PortalAccount, ProgressItem, STATE_FIELD, ToldCase,
};
use egov_partners::portal_rest::{AttachedFile, Dossier, DossierComponent, RestAccount, RestPortal, Submitter};
use egov_partners::wire_time::WireTime;
use egov_simulators::{
    ACCOUNT, API_KEY, CLIENT_ID, CLIENT_SECRET, CivilStatusSimulator, Fault, Faults, NOTICE_SECRET, PASSWORD,
    PaymentSimulator, PopulationSimulator, PortalSimulator, RestPortalSimulator, SECRET, SIGNING_SECRET, TOKEN,
    USERNAME, X_ROAD_CLIENT,
};
use jiff::SignedDuration;
use proptest::prelude::*;

/// How long a call waits that will be answered: as long as a busy machine may need. In milliseconds.
const PATIENT: u64 = 5_000;
/// How long a call waits that will not be answered, or too late. In milliseconds.
const HASTY: u64 = 250;

fn line(partner: Partner, url: &str, timeout_ms: u64) -> Line {
    let config = LineConfig {
        address: url.to_owned(),
        hosts: vec!["127.0.0.1".to_owned()],
        timeout_ms,
        dead_line_ms: 4 * PATIENT,
        answer_bytes: 64 * 1024,
        backoff: Backoff {
            first_ms: 2,
            longest_ms: 10,
        },
        breaker: BreakerConfig {
            failures: 50,
            pause_ms: 60_000,
        },
        ..LineConfig::default()
    };
    Line::open(partner, config, SystemClock::shared(), SystemIds::shared()).unwrap()
}

fn population(url: &str, timeout_ms: u64) -> SoapPopulationRegister {
    let account = PopulationAccount {
        user: ACCOUNT.to_owned(),
        secret: SIGNING_SECRET.into(),
        api_key: API_KEY.into(),
        x_road_client: X_ROAD_CLIENT.to_owned(),
        confirm_operation: "XacThucThongTin".to_owned(),
        path: "population".to_owned(),
    };
    SoapPopulationRegister::new(line(Partner::PopulationRegister, url, timeout_ms), account)
}

fn portal(url: &str, timeout_ms: u64) -> OpenCpsPortal {
    let account = PortalAccount {
        username: USERNAME.to_owned(),
        password: PASSWORD.into(),
    };
    OpenCpsPortal::new(line(Partner::NationalPortal, url, timeout_ms), account)
}

fn payment(url: &str, timeout_ms: u64) -> SimPaymentPlatform {
    let account = PaymentAccount {
        secret: SECRET.into(),
        notice_secret: NOTICE_SECRET.into(),
    };
    SimPaymentPlatform::new(line(Partner::PaymentPlatform, url, timeout_ms), account)
}

fn civil_status(url: &str, timeout_ms: u64) -> SimCivilStatusRegister {
    let account = CivilStatusAccount { token: TOKEN.into() };
    SimCivilStatusRegister::new(line(Partner::CivilStatusRegister, url, timeout_ms), account)
}

fn enquiry(code: &str) -> Enquiry {
    Enquiry {
        code: RequestCode::new(code).unwrap(),
        asker: Asker::new("1.001193", "CB-0001", "H41.50.05", "nghean", "0912345678").unwrap(),
        number: Number::parse("040099000001").unwrap(),
        full_name: "Nguyễn Văn An".to_owned(),
        birth: Birth::Day("1999-02-14".parse().unwrap()),
    }
}

fn order(code: &str) -> NewOrder {
    NewOrder {
        order_code: code.to_owned(),
        amount: 8_000,
        case_code: "H41.50-261126-0001".to_owned(),
    }
}

fn submission(key: &str) -> Submission {
    let mut fields = serde_json::Map::new();
    fields.insert("nksHoTen".to_owned(), "Nguyễn Văn Bé".into());
    Submission {
        key: key.to_owned(),
        kind: RegistrationKind::Birth,
        case_code: "H41.50-261126-0001".to_owned(),
        agency_code: "H41.50.05".to_owned(),
        register_date: "26/11/2026".to_owned(),
        fields,
    }
}

fn book_entry() -> BookEntry {
    BookEntry {
        key: "key-1".to_owned(),
        version: 1,
        kind: RegistrationKind::Birth,
        agency_code: "H41.50.05".to_owned(),
        year: 2026,
        number: "01/2026".to_owned(),
        book: "1".to_owned(),
        page: "1".to_owned(),
        register_date: "26/11/2026".to_owned(),
        fields: [("nksHoTen".to_owned(), "Nguyễn Văn Bé".to_owned())].into(),
    }
}

fn case(code: &str, state: &str) -> CaseItem {
    let text = serde_json::json!({
        "MaHoSo": code, "MaTTHC": "1.001193", "TenTTHC": "Đăng ký khai sinh", "MaLinhVuc": "", "TenLinhVuc": "",
        "SoBienNhan": "", "ChuHoSo": "Nguyễn Văn An", "LoaiDoiTuong": "1", "MaDoiTuong": "040099000001",
        "ThongTinKhac": "", "Email": "", "Fax": "", "SoDienThoai": "", "TrichYeuHoSo": "", "NgayTiepNhan": "20261126080000",
        "NgayHenTra": null, "TrangThaiHoSo": state, "NgayTra": null, "ThongTinTra": "", "HinhThuc": null,
        "NgayKetThucXuLy": null, "DonViXuLy": "", "GhiChu": "", "TaiLieuNop": [], "DanhSachLePhi": [],
        "DanhSachTepDinhKemKhac": [], "DanhSachGiayToKetQua": [],
    });
    serde_json::from_value(text).unwrap()
}

/// As it is told, filed by somebody else than its owner.
fn told(item: &CaseItem) -> ToldCase {
    ToldCase {
        item: item.clone(),
        dossier: Dossier {
            case_code: item.case_code.clone(),
            procedure_code: item.procedure_code.clone(),
            owner_name: item.owner_name.clone(),
            owner_kind: item.owner_kind.clone(),
            receiving_agency: "H41.50".to_owned(),
            accept_time: item.accept_time,
            submitter: Submitter {
                name: "Lê Thị Cúc".to_owned(),
                owner_name: item.owner_name.clone(),
                owner_number: item.owner_number.clone(),
                ..Submitter::default()
            },
            ..Dossier::default()
        },
        told_time: WireTime::parse("20261126090000").unwrap(),
    }
}

fn rest_portal(url: &str, timeout_ms: u64) -> RestPortal {
    let account = RestAccount {
        client_id: CLIENT_ID.to_owned(),
        client_secret: CLIENT_SECRET.into(),
    };
    RestPortal::new(line(Partner::NationalPortal, url, timeout_ms), account)
}

/// Whether a fault leaves a doubt at an operation that is tried once: none means that the answer is good.
fn doubt_of(fault: Fault, answers_are_signed: bool) -> Option<Doubt> {
    match fault {
        Fault::Delay(_) | Fault::Duplicate => None,
        // With nobody to be overtaken by it waits half a second, longer than we do.
        Fault::Late(_) | Fault::Silent | Fault::Reorder => Some(Doubt::TimedOut),
        Fault::HalfOpen | Fault::HangUp => Some(Doubt::CutOff),
        Fault::Malformed if answers_are_signed => Some(Doubt::BadSignature),
        Fault::Malformed => Some(Doubt::Unreadable(String::new())),
        Fault::WrongSignature if answers_are_signed => Some(Doubt::BadSignature),
        Fault::WrongSignature => None,
        Fault::WrongCode if answers_are_signed => Some(Doubt::Unreadable(String::new())),
        Fault::WrongCode => Some(Doubt::UnknownCode("77".to_owned())),
        Fault::WrongRecord => Some(Doubt::Other("")),
        Fault::Failed => Some(Doubt::Failed(503)),
        Fault::FailedAfter => Some(Doubt::Failed(500)),
    }
}

/// How long the first call waits at an operation that is tried once.
fn patience(doubt: Option<&Doubt>) -> u64 {
    match doubt {
        Some(Doubt::TimedOut) => HASTY,
        _ => PATIENT,
    }
}

/// Calls until the fault was met: on a busy machine a hasty call may be over before it has arrived.
async fn until_met<T>(faults: &Faults, mut call: impl AsyncFnMut() -> Result<T, CallError>) -> Result<T, CallError> {
    loop {
        let answer = call().await;
        if faults.left() == 0 {
            return answer;
        }
        assert!(
            matches!(answer, Err(CallError::Unknown(Doubt::TimedOut))),
            "what did not meet its fault was cut short"
        );
    }
}

fn assert_doubt<T: std::fmt::Debug>(result: &Result<T, CallError>, expected: Option<&Doubt>, fault: Fault) {
    match (result, expected) {
        (Ok(_), None) => {}
        (Err(CallError::Unknown(doubt)), Some(expected)) => {
            let (doubt, expected) = (CallError::Unknown(doubt.clone()), CallError::Unknown(expected.clone()));
            assert_eq!(doubt.word(), expected.word(), "{fault:?}");
        }
        other => panic!("{fault:?}: {other:?}"),
    }
}

#[tokio::test]
async fn a_citizen_is_looked_up_and_confirmed_and_who_does_not_exist_is_not_found() {
    let simulator = PopulationSimulator::start(SystemClock::shared()).await.unwrap();
    let register = population(&simulator.url(), PATIENT);
    let found = register.look_up(&enquiry("request-0001")).await.unwrap().unwrap();
    assert_eq!(
        (found.full_name.as_str(), found.gender_code.as_str()),
        ("Nguyễn Văn An", "1")
    );
    assert!(register.confirm(&enquiry("request-0002")).await.unwrap());
    let mut other = enquiry("request-0003");
    other.full_name = "Nguyễn Văn Ba".to_owned();
    assert_eq!(register.look_up(&other).await.unwrap(), None);
    other.code = RequestCode::new("request-0004").unwrap();
    assert!(!register.confirm(&other).await.unwrap());
}

#[tokio::test]
async fn every_fault_of_the_population_register_ends_in_one_question_and_a_right_answer() {
    let each = Fault::ALL.into_iter().enumerate().map(|(number, fault)| async move {
        let simulator = PopulationSimulator::start(SystemClock::shared()).await.unwrap();
        // Asked again when nothing came.
        let register = population(&simulator.url(), 1_500);
        simulator.faults().script("TraCuuThongTinCongDan", fault);
        let code = format!("request-{number:04}");
        let found = register.look_up(&enquiry(&code)).await;
        if fault == Fault::WrongRecord {
            assert_eq!(found, Err(CallError::Unknown(Doubt::Other("person"))));
        } else {
            assert_eq!(found.unwrap().unwrap().personal_number, "040099000001", "{fault:?}");
        }
        // However often it came, the register knows one question by its code.
        assert_eq!(simulator.asked().keys().collect::<Vec<_>>(), [&code], "{fault:?}");
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn a_wrong_secret_is_a_refusal_that_is_not_repeated() {
    let simulator = PopulationSimulator::start(SystemClock::shared()).await.unwrap();
    let account = PopulationAccount {
        user: ACCOUNT.to_owned(),
        secret: "wrong".into(),
        api_key: API_KEY.into(),
        x_road_client: X_ROAD_CLIENT.to_owned(),
        confirm_operation: "XacThucThongTin".to_owned(),
        path: "population".to_owned(),
    };
    let register = SoapPopulationRegister::new(line(Partner::PopulationRegister, &simulator.url(), PATIENT), account);
    let error = register.look_up(&enquiry("request-0001")).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { .. }), "{error:?}");
    assert!(simulator.asked().is_empty());
}

#[tokio::test]
async fn every_fault_at_the_creation_of_an_order_leaves_one_order_or_a_doubt_that_asking_settles() {
    let each = Fault::ALL.map(|fault| async move {
        let simulator = PaymentSimulator::start(SystemClock::shared()).await.unwrap();
        let platform = payment(&simulator.url(), PATIENT);
        simulator.faults().script("create", fault);
        let doubt = doubt_of(fault, true);
        let first = payment(&simulator.url(), patience(doubt.as_ref()));
        let made = until_met(simulator.faults(), async || first.create_order(&order("order-1")).await).await;
        assert_doubt(&made, doubt.as_ref(), fault);
        // Asked by its code; what is not there is made again under the same code.
        if made.is_err() && platform.find_order("order-1").await.unwrap().is_none() {
            platform.create_order(&order("order-1")).await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!((simulator.made(), simulator.orders().len()), (1, 1), "{fault:?}");
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn an_order_made_by_two_at_once_is_one_order() {
    let simulator = PaymentSimulator::start(SystemClock::shared()).await.unwrap();
    let platform = payment(&simulator.url(), PATIENT);
    let new = order("order-1");
    let (first, second) = tokio::join!(platform.create_order(&new), platform.create_order(&new));
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(simulator.made(), 1);
}

#[tokio::test]
async fn an_order_is_paid_reconciled_and_refunded() {
    let simulator = PaymentSimulator::start(SystemClock::shared()).await.unwrap();
    let platform = payment(&simulator.url(), PATIENT);
    platform.create_order(&order("order-1")).await.unwrap();
    let day = jiff::civil::date(2026, 11, 26);
    simulator.pay_on("order-1", day).unwrap();
    let paid = platform.find_order("order-1").await.unwrap().unwrap();
    assert_eq!(paid.state, OrderState::Paid);
    assert_eq!(paid.settle_time, Some("2026-11-26T05:00:00Z".parse().unwrap()));
    assert_eq!(platform.reconciliation(day).await.unwrap(), [paid]);
    assert!(
        platform
            .reconciliation(day.yesterday().unwrap())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(platform.refunds("order-1").await.unwrap().is_empty());
    simulator.refund("order-1").unwrap();
    let listed = platform.reconciliation(day).await.unwrap();
    assert_eq!(
        listed[0].state,
        OrderState::Refunded,
        "what went back is listed as such"
    );
    assert!(listed[0].refund_time.is_some());
    let refunds = platform.refunds("order-1").await.unwrap();
    assert_eq!((refunds[0].amount, refunds[0].done), (8_000, true));
    assert!(platform.find_order("order-2").await.unwrap().is_none());
    let mut other = order("order-1");
    other.amount = 9_000;
    let refused = platform.create_order(&other).await.unwrap_err();
    assert_eq!(refused, CallError::refused("another_amount", ""));
    // What is refused is not done, and the platform's words are kept with its code.
    simulator.refuse("create", "limit", "vượt hạn mức giao dịch");
    let refused = platform.create_order(&order("order-3")).await.unwrap_err();
    assert_eq!(refused, CallError::refused("limit", "vượt hạn mức giao dịch"));
    assert!(platform.find_order("order-3").await.unwrap().is_none());
    assert_eq!(platform.create_order(&order("order-3")).await.unwrap().amount, 8_000);
}

#[tokio::test]
async fn every_fault_of_the_civil_status_register_leaves_one_number_and_one_entry_or_a_doubt_that_asking_settles() {
    let each = Fault::ALL.map(|fault| async move {
        let simulator = CivilStatusSimulator::start(SystemClock::shared()).await.unwrap();
        let register = civil_status(&simulator.url(), PATIENT);
        simulator.faults().script("submit", fault);
        let doubt = doubt_of(fault, false);
        let first = civil_status(&simulator.url(), patience(doubt.as_ref()));
        let entry = until_met(simulator.faults(), async || first.submit(&submission("key-1")).await).await;
        assert_doubt(&entry, doubt.as_ref(), fault);
        if entry.is_err() && register.find("key-1").await.unwrap().is_none() {
            register.submit(&submission("key-1")).await.unwrap();
        }
        simulator.faults().script("tell", fault);
        let told = until_met(simulator.faults(), async || first.tell(&book_entry()).await).await;
        assert_doubt(&told, doubt.as_ref(), fault);
        if told.is_err() && register.find_told("key-1").await.unwrap().is_none() {
            register.tell(&book_entry()).await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(
            register.find_told("key-1").await.unwrap(),
            Some(book_entry()),
            "{fault:?}"
        );
        assert_eq!(simulator.effects(), 1, "{fault:?}");
        assert_eq!(register.find("key-1").await.unwrap().unwrap().number, "01", "{fault:?}");
        assert_eq!(simulator.numbers_used(), 1, "{fault:?}");
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn every_fault_of_the_portal_leaves_one_case_or_a_doubt_that_asking_settles() {
    let each = Fault::ALL.map(|fault| async move {
        let simulator = PortalSimulator::start(SystemClock::shared()).await.unwrap();
        let (url, asking) = (simulator.url(), portal(&simulator.url(), PATIENT));
        simulator.faults().script("DongBoHoSoMC", fault);
        let item = case("H41.50-261126-0001", "2");
        // A portal that says nothing of the record it wrote cannot be about another.
        let doubt = doubt_of(fault, false).filter(|doubt| !matches!(doubt, Doubt::Other(_)));
        let first = portal(&url, patience(doubt.as_ref()));
        let item_told = told(&item);
        let sent = until_met(simulator.faults(), async || first.sync_case(&item_told, false).await).await;
        assert_doubt(&sent, doubt.as_ref(), fault);
        if sent.is_err() && asking.find_case(&item.case_code).await.unwrap().is_none() {
            asking.sync_case(&told(&item), false).await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(
            asking.find_case(&item.case_code).await.unwrap().unwrap().case,
            item,
            "{fault:?}"
        );
        assert_eq!(simulator.writes(&item.case_code), 1, "{fault:?}");
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn every_fault_of_a_look_up_at_the_portal_is_asked_again_until_the_answer_is_right() {
    let each = Fault::ALL.map(|fault| async move {
        let simulator = PortalSimulator::start(SystemClock::shared()).await.unwrap();
        let portal = portal(&simulator.url(), 1_500);
        let item = case("H41.50-261126-0001", "2");
        portal.sync_case(&told(&item), false).await.unwrap();
        simulator.faults().script("TraCuuHoSo", fault);
        let found = portal.find_case(&item.case_code).await;
        if fault == Fault::WrongRecord {
            assert_eq!(found, Err(CallError::Unknown(Doubt::Other("case"))));
        } else {
            assert_eq!(found.unwrap().unwrap().case, item, "{fault:?}");
        }
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn the_portal_tells_procedures_takes_progress_and_survives_the_end_of_a_session() {
    let simulator = PortalSimulator::start(SystemClock::shared()).await.unwrap();
    let portal = portal(&simulator.url(), PATIENT);
    assert_eq!(portal.procedures().await.unwrap().len(), 2);
    let procedure = portal.procedure("1.001193").await.unwrap().unwrap();
    assert_eq!(procedure.results[0].code, "KQ.G15.000031");
    assert_eq!(portal.procedure("9.999999").await.unwrap(), None);
    portal
        .sync_case(&told(&case("H41.50-261126-0001", "2")), false)
        .await
        .unwrap();
    simulator.end_sessions();
    portal
        .sync_case(&told(&case("H41.50-261126-0001", "4")), true)
        .await
        .unwrap();
    let progress = ProgressItem {
        case_code: "H41.50-261126-0001".to_owned(),
        officer: "Lê Thị Cúc".to_owned(),
        title: "Công chức".to_owned(),
        at: WireTime::parse("20261126090000").unwrap(),
        department: "Tư pháp".to_owned(),
        content: "Thẩm định".to_owned(),
        state: "4".to_owned(),
        start_time: None,
        due_time: None,
    };
    portal.report_progress(&progress).await.unwrap();
    portal.report_progress(&progress).await.unwrap();
    assert_eq!(simulator.progress("H41.50-261126-0001"), [progress]);
}

#[tokio::test]
async fn of_a_case_that_the_portal_does_not_know_no_step_is_taken_and_it_says_why() {
    let first = PortalSimulator::start(SystemClock::shared()).await.unwrap();
    let second = RestPortalSimulator::start(SystemClock::shared()).await.unwrap();
    let step = ProgressItem {
        case_code: "H41.50-261126-0001".to_owned(),
        officer: "Lê Thị Cúc".to_owned(),
        title: String::new(),
        at: WireTime::parse("20261126090000").unwrap(),
        department: String::new(),
        content: "Thẩm định".to_owned(),
        state: "4".to_owned(),
        start_time: None,
        due_time: None,
    };
    let (old, new) = (portal(&first.url(), PATIENT), rest_portal(&second.url(), PATIENT));
    let unknown = CallError::NotSent(NotSent::CaseUnknown);
    assert_eq!(old.report_progress(&step).await, Err(unknown.clone()));
    assert_eq!(new.report_progress(&step).await, Err(unknown));
    // Told after its case it is taken.
    let told = told(&case("H41.50-261126-0001", "4"));
    old.sync_case(&told, false).await.unwrap();
    new.sync_case(&told, false).await.unwrap();
    old.report_progress(&step).await.unwrap();
    new.report_progress(&step).await.unwrap();
    for there in [
        old.find_case("H41.50-261126-0001").await,
        new.find_case("H41.50-261126-0001").await,
    ] {
        assert_eq!(there.unwrap().unwrap().progress, std::slice::from_ref(&step));
    }
}

#[tokio::test]
async fn a_case_that_came_or_went_after_the_portal_was_asked_is_told_all_the_same() {
    let simulator = PortalSimulator::start(SystemClock::shared()).await.unwrap();
    let portal = portal(&simulator.url(), PATIENT);
    let first = told(&case("H41.50-261126-0001", "2"));
    portal.sync_case(&first, false).await.unwrap();
    // It was asked for in vain, and what was told before arrived after all.
    let second = told(&case("H41.50-261126-0001", "4"));
    portal.sync_case(&second, false).await.unwrap();
    assert_eq!(simulator.cases()["H41.50-261126-0001"].state, "4");
    simulator.lose("H41.50-261126-0001");
    portal.sync_case(&second, true).await.unwrap();
    assert_eq!(simulator.cases()["H41.50-261126-0001"].state, "4");
    assert_eq!(simulator.writes("H41.50-261126-0001"), 3);
}

#[tokio::test]
async fn whom_the_portal_does_not_let_in_has_told_nothing_and_does_not_knock_on_and_on() {
    let simulator = PortalSimulator::start(SystemClock::shared()).await.unwrap();
    let clock = ManualClock::at("2026-11-26T01:00:00Z".parse().unwrap());
    let config = LineConfig {
        address: simulator.url(),
        hosts: vec!["127.0.0.1".to_owned()],
        timeout_ms: PATIENT,
        ..LineConfig::default()
    };
    let line = Line::open(Partner::NationalPortal, config, clock.shared(), SystemIds::shared()).unwrap();
    let account = PortalAccount {
        username: USERNAME.to_owned(),
        password: "of last year".into(),
    };
    let portal = OpenCpsPortal::new(line, account);
    let told = told(&case("H41.50-261126-0001", "2"));
    for _ in 0..3 {
        let barred = CallError::NotSent(NotSent::RefusedBefore("03".to_owned()));
        assert_eq!(portal.sync_case(&told, false).await, Err(barred.clone()));
        assert_eq!(portal.find_case(&told.item.case_code).await, Err(barred));
    }
    assert_eq!(simulator.sign_ins(), 1, "an account is not locked by those who wait");
    clock.advance(SignedDuration::from_mins(6));
    portal.sync_case(&told, false).await.unwrap_err();
    assert_eq!(simulator.sign_ins(), 2);
    assert!(simulator.cases().is_empty());
}

/// A portal of whose answers nobody has checked the form.
async fn answering(status: u16, body: &str) -> String {
    let body = body.to_owned();
    let router = axum::Router::new().fallback(move |path: axum::http::Uri| {
        let answer = match path.path() {
            "/session" => (200, r#"{ "error_code": 0, "session": "s" }"#.to_owned()),
            "/oauth/token" => (200, r#"{ "access_token": "t", "expires_in": 300 }"#.to_owned()),
            _ => (status, body.clone()),
        };
        let status = axum::http::StatusCode::from_u16(answer.0).unwrap();
        async move { (status, answer.1) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn a_page_that_says_who_may_not_call_is_no_word_about_the_case() {
    let told = told(&case("H41.50-261126-0001", "2"));
    for status in [401_u16, 403, 404, 405] {
        let url = answering(status, "<html>Truy cập bị từ chối</html>").await;
        let barred = Err(CallError::NotSent(NotSent::RefusedBefore(format!("http_{status}"))));
        assert_eq!(portal(&url, PATIENT).sync_case(&told, false).await, barred, "{status}");
        assert_eq!(
            rest_portal(&url, PATIENT).sync_case(&told, false).await,
            barred,
            "{status}"
        );
    }
    // A message that the portal does not take is another matter, and so is its own word with such a status.
    let url = answering(413, "").await;
    let refused = portal(&url, PATIENT).sync_case(&told, false).await;
    assert!(matches!(refused, Err(CallError::Refused { .. })), "{refused:?}");
    let url = answering(404, r#"{ "MaLoi": "HS404" }"#).await;
    assert_eq!(
        rest_portal(&url, PATIENT).find_case("H41.50-261126-0001").await,
        Ok(None)
    );
}

#[tokio::test]
async fn a_portal_that_leaves_out_what_is_empty_and_writes_numbers_is_understood() {
    let found = serde_json::json!({ "error_code": "00", "result": {
        "MaHoSo": "H41.50-261126-0001", "MaTTHC": "1.001193", "ChuHoSo": "Nguyễn Văn An", "LoaiDoiTuong": 1,
        "MaDoiTuong": "040099000001", "NgayTiepNhan": "20261126080000", "NgayHenTra": "", "NgayTra": null, "HinhThuc": "",
        "TrangThaiHoSo": 2, "TenTTHC": "Đăng ký khai sinh", "DanhSachLePhi": null, "TienDo": ["không đọc được"],
        "TruongLa": { "x": [] },
    } });
    let url = answering(200, &found.to_string()).await;
    let portal = portal(&url, PATIENT);
    let there = portal.find_case("H41.50-261126-0001").await.unwrap().unwrap();
    let told = told(&case("H41.50-261126-0001", "2"));
    assert!(portal.holds(&told, &there), "{:?}", portal.differences(&told, &there));
    let list =
        serde_json::json!({ "error_code": 0, "result": [{ "MaHoSo": "H41.50-261126-0001", "TrangThaiHoSo": 2 }] });
    let url = answering(200, &list.to_string()).await;
    let day = "2026-11-26".parse().unwrap();
    let listed = self::portal(&url, PATIENT)
        .list_cases("H41.50", day, day)
        .await
        .unwrap();
    assert_eq!((listed.len(), listed[0].state.as_str()), (1, "2"));
    // That there is none is no empty list: perhaps there is no list.
    let url = answering(200, r#"{ "error_code": "04" }"#).await;
    let none = self::portal(&url, PATIENT).list_cases("H41.50", day, day).await;
    assert!(matches!(none, Err(CallError::Refused { .. })), "{none:?}");
}

#[tokio::test]
async fn every_fault_of_the_rest_flow_leaves_one_dossier_in_its_state_or_a_doubt_that_asking_settles() {
    let steps = ["oauth/token", "ho-so/tra-cuu", "ho-so", "ho-so/cap-nhat-trang-thai"];
    for step in steps {
        let each = Fault::ALL.map(|fault| async move {
            let simulator = RestPortalSimulator::start(SystemClock::shared()).await.unwrap();
            let (portal, asking) = (
                rest_portal(&simulator.url(), 600),
                rest_portal(&simulator.url(), PATIENT),
            );
            simulator.faults().script(step, fault);
            let told = told(&case("H41.50-261126-0001", "2"));
            let mut there = portal.find_case(&told.item.case_code).await.unwrap_or_default();
            for _ in 0..20 {
                if portal.sync_case(&told, there.is_some()).await.is_ok() {
                    break;
                }
                // In doubt it is asked, as often as there is no answer; what was late may have come meanwhile.
                tokio::time::sleep(std::time::Duration::from_millis(350)).await;
                there = portal.find_case(&told.item.case_code).await.unwrap_or_default();
                if there.as_ref().is_some_and(|there| portal.holds(&told, there)) {
                    break;
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(350)).await;
            let there = asking.find_case(&told.item.case_code).await.unwrap().unwrap();
            assert!(portal.holds(&told, &there), "{step} {fault:?}");
            assert_eq!(portal.differences(&told, &there), [], "{step} {fault:?}");
            assert_eq!(simulator.made("H41.50-261126-0001"), 1, "{step} {fault:?}");
            assert_eq!(simulator.states("H41.50-261126-0001"), ["2"], "{step} {fault:?}");
            assert_eq!(simulator.faults().left(), 0, "{step} was met");
        });
        futures::future::join_all(each).await;
    }
}

#[tokio::test]
async fn the_rest_flow_numbers_uploads_makes_and_goes_on() {
    let simulator = RestPortalSimulator::start(SystemClock::shared()).await.unwrap();
    let portal = rest_portal(&simulator.url(), PATIENT);
    let (first, second) = (
        portal.next_case_code("H41.50").await.unwrap(),
        portal.next_case_code("H41.50").await.unwrap(),
    );
    assert!(first < second && first.starts_with("H41.50-"), "{first} {second}");
    simulator.end_tokens();
    let content = "%PDF-1.7 tờ khai".as_bytes();
    let file = portal.upload("to-khai.pdf", content).await.unwrap();
    assert_eq!(portal.upload("to-khai.pdf", content).await.unwrap(), file);
    assert_eq!(simulator.files(), 1, "the same content is one file");
    let mut told = told(&case(&first, "2"));
    told.dossier.components = vec![DossierComponent {
        code: "to-khai".to_owned(),
        quantity: 1,
        files: vec![AttachedFile {
            file_id: file.file_id.clone(),
            hash: file.hash.clone(),
            ..AttachedFile::default()
        }],
        ..DossierComponent::default()
    }];
    assert_eq!(portal.find_case(&first).await.unwrap(), None);
    portal.sync_case(&told, false).await.unwrap();
    assert_eq!(
        simulator.dossiers()[&first].dossier.components[0].files[0].hash,
        file.hash
    );
    // An older word never takes the place of a newer one.
    let older = told.clone();
    "4".clone_into(&mut told.item.state);
    told.told_time = WireTime::parse("20261126100000").unwrap();
    portal.sync_case(&told, true).await.unwrap();
    portal.sync_case(&older, true).await.unwrap();
    let there = portal.find_case(&first).await.unwrap().unwrap();
    assert!(portal.holds(&told, &there) && !portal.holds(&older, &there));
    assert_eq!(simulator.states(&first), ["2", "4"]);
    let found: Vec<_> = portal
        .differences(&older, &there)
        .into_iter()
        .map(|one| one.field)
        .collect();
    assert_eq!(found, [STATE_FIELD]);
    let day = |text: &str| text.parse().unwrap();
    let today = SystemClock::shared().today();
    let listed = portal
        .list_cases("H41.50", day("2020-01-01"), today.tomorrow().unwrap())
        .await
        .unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|one| (one.case_code.as_str(), one.state.as_str()))
            .collect::<Vec<_>>(),
        [(first.as_str(), "4")]
    );
    assert_eq!(portal.list_cases("H41.51", day("2020-01-01"), today).await.unwrap(), []);
    assert!(matches!(
        portal.procedures().await,
        Err(CallError::NotSent(NotSent::NotInContract))
    ));
}

#[tokio::test]
async fn with_a_wrong_client_secret_nothing_is_made() {
    let simulator = RestPortalSimulator::start(SystemClock::shared()).await.unwrap();
    let account = RestAccount {
        client_id: CLIENT_ID.to_owned(),
        client_secret: "another".into(),
    };
    let portal = RestPortal::new(line(Partner::NationalPortal, &simulator.url(), PATIENT), account);
    let refused = portal.sync_case(&told(&case("H41.50-261126-0001", "2")), false).await;
    let barred = CallError::NotSent(NotSent::RefusedBefore("http_401".to_owned()));
    assert_eq!(refused, Err(barred), "which says nothing of the case");
    assert!(simulator.dossiers().is_empty());
}

#[tokio::test]
async fn whom_nothing_reaches_is_told_apart_from_whom_something_may_have_reached() {
    let gone = payment("http://127.0.0.1:1/", PATIENT);
    let error = gone.create_order(&order("order-1")).await.unwrap_err();
    assert_eq!(error, CallError::NotSent(NotSent::NoConnection));
}

#[tokio::test]
async fn a_partner_that_fails_again_and_again_is_left_alone() {
    let simulator = PaymentSimulator::start(SystemClock::shared()).await.unwrap();
    let config = LineConfig {
        address: simulator.url(),
        hosts: vec!["127.0.0.1".to_owned()],
        breaker: BreakerConfig {
            failures: 2,
            pause_ms: 60_000,
        },
        ..LineConfig::default()
    };
    let line = Line::open(
        Partner::PaymentPlatform,
        config,
        SystemClock::shared(),
        SystemIds::shared(),
    )
    .unwrap();
    let account = PaymentAccount {
        secret: SECRET.into(),
        notice_secret: NOTICE_SECRET.into(),
    };
    let platform = SimPaymentPlatform::new(line, account);
    simulator.faults().script("create", Fault::Failed);
    simulator.faults().script("create", Fault::Failed);
    for expected in ["partner_failed", "partner_failed", "breaker_open", "breaker_open"] {
        let error = platform.create_order(&order("order-1")).await.unwrap_err();
        assert_eq!(error.word(), expected);
    }
    assert_eq!(simulator.faults().met().len(), 2, "nothing was sent while it rested");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_not_read() {
    let simulator = PortalSimulator::start(SystemClock::shared()).await.unwrap();
    let portal = portal(&simulator.url(), PATIENT);
    let mut item = case("H41.50-261126-0001", "2");
    item.note = "x".repeat(100 * 1024);
    portal.sync_case(&told(&item), false).await.unwrap();
    let error = portal.find_case(&item.case_code).await.unwrap_err();
    assert_eq!(error, CallError::Unknown(Doubt::TooLarge));
}

/// A hundred questions under faults by seed: whatever is answered is right, and no question is asked under two codes.
#[tokio::test]
async fn under_faults_by_seed_every_answer_is_right_or_a_doubt() {
    let simulator = PaymentSimulator::start(SystemClock::shared()).await.unwrap();
    let platform = payment(&simulator.url(), PATIENT);
    simulator.faults().seeded(20_261_126, 300);
    let mut doubts = 0;
    for number in 0..60 {
        let code = format!("order-{number}");
        match platform.create_order(&order(&code)).await {
            Ok(made) => assert_eq!(made.order_code, code),
            Err(CallError::Unknown(_)) => doubts += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    simulator.faults().seeded(0, 0);
    for number in 0..60 {
        let code = format!("order-{number}");
        if platform.find_order(&code).await.unwrap().is_none() {
            platform.create_order(&order(&code)).await.unwrap();
        }
    }
    assert!(doubts > 5, "{doubts} doubts");
    assert_eq!((simulator.made(), simulator.orders().len()), (60, 60));
}

fn answer(status: u16, body: Vec<u8>) -> Answer {
    Answer {
        status,
        headers: http::HeaderMap::new(),
        body,
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_an_answer_of_the_population_register(body in proptest::collection::vec(any::<u8>(), 0..300), status in 200_u16..500) {
        let code = RequestCode::new("request-0001").unwrap();
        prop_assert!(egov_partners::population::read_answer("TraCuuThongTinCongDan", &code, &answer(status, body)).is_err());
    }

    #[test]
    fn a_changed_answer_of_the_population_register_is_never_another_person(
        at in 0_usize..600, byte in any::<u8>(), cut in 0_usize..700,
    ) {
        let whole = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><d:TraCuuThongTinCongDanResponse xmlns:d=\"http://dancuquocgia.bca\"><MaYeuCau>request-0001</MaYeuCau><MaLoi>00</MaLoi><CongDan><SoDinhDanh>040099000001</SoDinhDanh><HoVaTen>Nguyễn Văn An</HoVaTen><NgayThangNamSinh><NgayThangNam>19990214</NgayThangNam></NgayThangNamSinh><GioiTinh>1</GioiTinh></CongDan></d:TraCuuThongTinCongDanResponse></s:Body></s:Envelope>";
        let mut body = whole.as_bytes().to_vec();
        if let Some(place) = body.get_mut(at) {
            *place = byte;
        }
        body.truncate(cut.max(1));
        let asked = enquiry("request-0001");
        let read = egov_partners::population::read_answer("TraCuuThongTinCongDan", &asked.code, &answer(200, body))
            .and_then(|said| egov_partners::population::found(&said, &asked));
        if let Ok(Some(person)) = read {
            prop_assert_eq!(person.personal_number, "040099000001");
        }
    }

    #[test]
    fn arbitrary_bytes_are_never_an_answer_of_the_portal(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(egov_partners::portal::read_answer(&answer(200, body.clone())).is_err());
        prop_assert!(egov_partners::portal::read_session(&answer(200, body)).is_err());
    }

    #[test]
    fn arbitrary_json_is_never_a_success_of_the_portal_without_its_code(code in any::<i64>(), text in ".{0,10}") {
        for code in [serde_json::json!(code), serde_json::json!(text), serde_json::Value::Null] {
            let said = code.to_string();
            let body = serde_json::json!({ "error_code": code, "result": [] }).to_string();
            let read = egov_partners::portal::read_answer(&answer(200, body.into_bytes()));
            let success = matches!(read, Ok(egov_partners::portal::Reading::Result(_)));
            prop_assert_eq!(success, ["0", "\"0\"", "\"00\""].contains(&said.as_str()));
        }
    }

    #[test]
    fn arbitrary_bytes_are_never_an_answer_of_the_civil_status_register(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(egov_partners::civil_status::read_answer("key-1", None, &answer(200, body)).is_err());
    }
}
