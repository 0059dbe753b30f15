//! Decisions of one-stop go into the books once, whatever is repeated, lost or done by two at once; what the rules refuse waits for an officer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use egov_civil_registry::cases::{CaseDecisions, CertificateFile, ToldEntry};
use egov_civil_registry::domain::pending_decision::Decided;
use egov_fault::{Code as FaultCode, Fault};
use egov_keyring::Keyring;
use egov_proto::egov::civil_registry::v1::*;
use egov_runtime::server::Shutdown;
use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::*;

/// One-stop as the registry meets it: what waits is listed until it is answered, each answer counts once, and some are lost on their way back.
#[derive(Default)]
struct OneStop {
    waiting: Mutex<Vec<Decided>>,
    forms: Mutex<BTreeMap<Uuid, Value>>,
    entered: Mutex<BTreeMap<Uuid, (ToldEntry, Option<CertificateFile>)>>,
    returned: Mutex<BTreeMap<Uuid, String>>,
    /// Decisions whose next answer is lost.
    lost: Mutex<BTreeSet<Uuid>>,
    /// Cases whose form cannot be read the next time.
    away: Mutex<BTreeSet<Uuid>>,
}

fn unavailable() -> Fault {
    Fault::new(FaultCode::Unavailable, "AWAY", "không trả lời", "does not answer")
}

impl OneStop {
    fn decide(&self, number: u128, procedure_code: &str, form: Option<Value>) -> Uuid {
        let signed = birth_of("Nguyễn Thị Ký");
        let (decision_id, case_id) = (Uuid::from_u128(0xD000 + number), Uuid::from_u128(0xC000 + number));
        if let Some(form) = form {
            self.forms.lock().unwrap().insert(case_id, form);
        }
        self.waiting.lock().unwrap().push(Decided {
            decision_id,
            case_id,
            case_code: format!("H41.202-261123-{number:04}"),
            procedure_code: procedure_code.to_owned(),
            unit_id: TRUONG_VINH,
            decision_date: jiff::civil::date(2026, 11, 23),
            number: String::new(),
            signer_name: signed.signer_name,
            signer_title: signed.signer_title,
            signer_authorisation: signed.signer_authorisation,
            performer_name: signed.performer_name,
        });
        decision_id
    }

    fn answered(&self, decision_id: Uuid) -> Result<(), Fault> {
        self.waiting
            .lock()
            .unwrap()
            .retain(|one| one.decision_id != decision_id);
        if self.lost.lock().unwrap().remove(&decision_id) {
            return Err(unavailable());
        }
        Ok(())
    }
}

#[async_trait]
impl CaseDecisions for OneStop {
    fn is_connected(&self) -> bool {
        true
    }

    async fn waiting(&self) -> Result<Vec<Decided>, Fault> {
        // Each is delivered twice, and again until it is answered.
        let waiting = self.waiting.lock().unwrap().clone();
        Ok([waiting.clone(), waiting].concat())
    }

    async fn form(&self, case_id: Uuid, component: &str) -> Result<Option<String>, Fault> {
        assert_eq!(component, "mau_dien_tu");
        if self.away.lock().unwrap().remove(&case_id) {
            return Err(unavailable());
        }
        Ok(self.forms.lock().unwrap().get(&case_id).map(Value::to_string))
    }

    async fn record_entry(&self, told: &ToldEntry, certificate: Option<&CertificateFile>) -> Result<(), Fault> {
        let said = (told.clone(), certificate.cloned());
        let known = self.entered.lock().unwrap().insert(told.decision_id, said.clone());
        assert!(known.is_none_or(|known| known == said), "told otherwise");
        self.answered(told.decision_id)
    }

    async fn give_back(&self, decision_id: Uuid, reason: &str) -> Result<(), Fault> {
        self.returned.lock().unwrap().insert(decision_id, reason.to_owned());
        self.answered(decision_id)
    }
}

fn form(child: &str, nationality: &str) -> Value {
    let parent = |name: &str, year: i32| {
        json!({
            "ho_ten": name, "ngay_sinh": format!("{year}-05-06"), "dan_toc": "Kinh", "quoc_tich": "Việt Nam", "noi_cu_tru": "Phường Trường Vinh"
        })
    };
    json!({
        "nguoi_yeu_cau": {"ho_ten": "Nguyễn Văn Cha", "quan_he": "cha"},
        "tre": {
            "ho_ten": child, "gioi_tinh": "nữ", "ngay_sinh": "2026-11-13", "noi_sinh": "Bệnh viện Sản Nhi Nghệ An", "dan_toc": "Kinh",
            "quoc_tich": nationality
        },
        "me": parent("Trần Thị Mẹ", 1995),
        "cha": parent("Nguyễn Văn Cha", 1993)
    })
}

impl Client {
    async fn pending(&mut self) -> Vec<PendingDecision> {
        let request = ListPendingDecisionsRequest::default();
        let answer = self.decisions.list_pending_decisions(request).await.unwrap();
        answer.into_inner().decisions
    }
}

fn settling(decision_id: Uuid) -> SettlePendingDecisionRequest {
    SettlePendingDecisionRequest {
        request_id: request_id(),
        decision_id: decision_id.to_string(),
        ..Default::default()
    }
}

/// Waits until it holds; the registry works by itself.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_entered_and_answered_once_and_what_is_refused_waits_for_an_officer() {
    let one_stop = Arc::new(OneStop::default());
    let keyring = Arc::new(Keyring::ephemeral());
    let stack = Stack::taking(one_stop.clone(), Arc::clone(&keyring)).await;
    // A second process over the same database: of two one works.
    let beside = Process::taking(
        one_stop.clone(),
        &stack.database.app_url,
        keyring,
        &stack.clock,
        stack.tokens.issuer(),
    )
    .await;
    let shutdown = Shutdown::new();
    tokio::spawn(beside.server.serve(beside.listener, shutdown.clone()));
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    let book = officer.open(TRUONG_VINH, 2026).await.unwrap();
    officer.open_marriages(TRUONG_VINH, 2026).await.unwrap();

    // The first is asked for while one-stop is away; its answer is lost later on.
    let entered = one_stop.decide(1, "1.001193", Some(form("Nguyễn Thị Con", "Việt Nam")));
    one_stop.away.lock().unwrap().insert(Uuid::from_u128(0xC001));
    one_stop.lost.lock().unwrap().insert(entered);
    let married = one_stop.decide(2, "1.000894", None);
    let refused = one_stop.decide(3, "1.001193", Some(form("Nguyễn Thị Em", "Đại Việt")));
    until("two wait for the officer", async || {
        let waiting = officer.clone().pending().await;
        waiting.len() == 2 && waiting.iter().all(|one| !one.findings.is_empty())
    })
    .await;
    let waiting = officer.pending().await;
    let findings: Vec<(&str, &str)> = waiting
        .iter()
        .map(|one| (one.decision_id.as_str(), one.findings[0].code.as_str()))
        .collect();
    assert_eq!(
        findings,
        [
            (married.to_string().as_str(), "PENDING_DECISION_CONTENT"),
            (refused.to_string().as_str(), "case_form")
        ]
    );
    assert_eq!(waiting[1].findings[0].field, "birth.child.nationality");
    let all = "SELECT count(*) FROM entries";
    assert_eq!(stack.count(all).await, 1);

    // The neighbour knows of none of it.
    assert!(neighbour.pending().await.is_empty());
    let status = neighbour
        .decisions
        .settle_pending_decision(settling(refused))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PENDING_DECISION_NOT_FOUND");

    // An officer says what is entered of the marriage; of two who do at once one does. Nothing is entered that is of another book, or not said.
    let status = officer
        .decisions
        .settle_pending_decision(settling(married))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PENDING_DECISION_CONTENT");
    let wedding = |decision_id: Uuid| SettlePendingDecisionRequest {
        marriage: marriage().marriage,
        ..settling(decision_id)
    };
    let status = officer
        .decisions
        .settle_pending_decision(wedding(refused))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PENDING_DECISION_CONTENT");
    let (mut one, mut other) = (officer.clone(), officer.clone());
    let (first, second) = tokio::join!(
        one.decisions.settle_pending_decision(wedding(married)),
        other.decisions.settle_pending_decision(wedding(married))
    );
    let (answer, status) = match (first, second) {
        (Ok(answer), Err(status)) | (Err(status), Ok(answer)) => (answer.into_inner().entry.unwrap(), status),
        both => panic!("one of the two: {both:?}"),
    };
    assert_eq!(reason(&status), "PENDING_DECISION_CLOSED");
    assert_eq!(answer.registration_date, day(2026, 11, 23));
    assert_eq!(stack.count(all).await, 2);

    // The certificate of the birth waits for the number; that of the marriage does not. One-stop is told once of each, also if its answer was lost.
    until("the marriage is told", async || {
        stack.sequence().await;
        one_stop.entered.lock().unwrap().contains_key(&married)
    })
    .await;
    assert!(!one_stop.entered.lock().unwrap().contains_key(&entered));
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query("UPDATE personal_number_requests SET state = 5, next_time = NULL")
        .execute(&mut superuser)
        .await
        .unwrap();
    until("the birth is told", async || {
        stack.sequence().await;
        stack
            .count("SELECT count(*) FROM pending_decisions WHERE state = 2 AND answered")
            .await
            == 2
    })
    .await;
    let told = one_stop.entered.lock().unwrap().clone();
    let (birth_told, certificate) = &told[&entered];
    assert_eq!(birth_told.printed_number, "01/2026");
    assert!(certificate.as_ref().unwrap().pdf.starts_with(PDF));
    assert_eq!(stack.count("SELECT count(*) FROM papers").await, 2);
    let said = "SELECT count(*) FROM egov.event_log WHERE kind = 'civil_decision_entered'";
    until("both are published", async || stack.count(said).await == 2).await;

    // The book does not close while a decision of its year waits; what goes back is decided again at one-stop.
    stack.advance(SignedDuration::from_hours(24 * 38)).await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let status = officer.close(&book).await.unwrap_err();
    assert_eq!(reason(&status), "BOOK_DECISIONS_PENDING");
    assert_eq!(egov_fault::fault_of(&status).metadata()["count"], "1");
    let give_back = ReturnPendingDecisionRequest {
        request_id: request_id(),
        decision_id: refused.to_string(),
        reason: "quốc tịch của trẻ".to_owned(),
    };
    let first = officer
        .decisions
        .return_pending_decision(give_back.clone())
        .await
        .unwrap();
    let again = officer.decisions.return_pending_decision(give_back).await.unwrap();
    assert_eq!(first.into_inner(), again.into_inner());
    let status = officer
        .decisions
        .settle_pending_decision(settling(refused))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PENDING_DECISION_CLOSED");
    officer.close(&book).await.unwrap();
    until("one-stop has it back", async || {
        one_stop.returned.lock().unwrap().contains_key(&refused)
    })
    .await;
    assert_eq!(stack.count(all).await, 2);
    shutdown.abort();
}
