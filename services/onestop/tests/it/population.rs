//! CSDL quốc gia về dân cư: the owner is confirmed in the place of the paper; the database away, silent, wrong, twice, and the answer lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use egov_clock::{Ids as _, SystemClock, SystemIds};
use egov_fault::{Code as FaultCode, Fault, fault_of};
use egov_onestop::domain::components::RegisterAnswer;
use egov_onestop::domain::party::Birth;
use egov_onestop::population::{PopulationQuestions, Question};
use egov_partners::Partner;
use egov_partners::backoff::Backoff;
use egov_partners::breaker::BreakerConfig;
use egov_partners::line::{Line, LineConfig};
use egov_partners::outcome::CallError;
use egov_partners::population::{
    Asker, Birth as Born, Enquiry, Number, PopulationAccount, PopulationRegister as _, RequestCode,
    SoapPopulationRegister,
};
use egov_proto::egov::onestop::v1::{
    ApplicantKind, Case, ChecklistItem, ComponentState, ListAvoidablePapersRequest, ListChecklistRequest, Party,
    SetComponentStateRequest, SetComponentStateResponse, SubmitCaseRequest,
};
use egov_proto::google::r#type::Date;
use egov_simulators::{ACCOUNT, API_KEY, Fault as Wrong, PopulationSimulator, SIGNING_SECRET, X_ROAD_CLIENT};
use tokio::sync::Notify;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::generated::verified;
use crate::support::*;

/// Giấy tờ tùy thân: the definition lets data replace it, and the pack says that the population database answers.
const IDENTITY: &str = "giay_to_tuy_than";
const POPULATION: &str = "population";
/// The operation of the simulated database that confirms.
const CONFIRM: &str = "XacThucThongTin";

/// Integration as one-stop sees it: one request code for a request id, and the database behind it.
struct Database {
    simulator: PopulationSimulator,
    register: SoapPopulationRegister,
    connected: AtomicBool,
    /// By request id: the code, and what was asked.
    codes: Mutex<BTreeMap<Uuid, (String, Question)>>,
    /// What integration itself says instead, once.
    instead: Mutex<Option<Fault>>,
    /// Answers are held back while somebody holds this.
    gate: tokio::sync::Mutex<()>,
    /// Told when the database has answered.
    answered: Notify,
}

impl Database {
    async fn start() -> Arc<Self> {
        let simulator = PopulationSimulator::start(SystemClock::shared()).await.unwrap();
        let config = LineConfig {
            address: simulator.url(),
            hosts: vec!["127.0.0.1".to_owned()],
            timeout_ms: 400,
            dead_line_ms: 10_000,
            backoff: Backoff {
                first_ms: 2,
                longest_ms: 10,
            },
            breaker: BreakerConfig {
                failures: 1_000,
                pause_ms: 60_000,
            },
            ..LineConfig::default()
        };
        let (clock, ids) = (SystemClock::shared(), SystemIds::shared());
        let line = Line::open(Partner::PopulationRegister, config, clock, ids).unwrap();
        let account = PopulationAccount {
            user: ACCOUNT.to_owned(),
            secret: SIGNING_SECRET.into(),
            api_key: API_KEY.into(),
            x_road_client: X_ROAD_CLIENT.to_owned(),
            confirm_operation: CONFIRM.to_owned(),
            path: "population".to_owned(),
        };
        Arc::new(Self {
            simulator,
            register: SoapPopulationRegister::new(line, account),
            connected: AtomicBool::new(true),
            codes: Mutex::default(),
            instead: Mutex::default(),
            gate: tokio::sync::Mutex::default(),
            answered: Notify::new(),
        })
    }

    async fn stack() -> (Stack, Arc<Self>) {
        let database = Self::start().await;
        let asked: Arc<dyn PopulationQuestions> = Arc::<Self>::clone(&database);
        (Stack::with_population(asked).await, database)
    }

    /// The codes under which the database was asked, and how often each.
    fn asked(&self) -> BTreeMap<String, u32> {
        self.simulator.asked()
    }

    fn questions(&self) -> Vec<Question> {
        let codes = self.codes.lock().unwrap();
        codes.values().map(|(_, question)| question.clone()).collect()
    }

    /// Integration answers this, once.
    fn answer_instead(&self, code: FaultCode, reason: &'static str) {
        *self.instead.lock().unwrap() = Some(Fault::new(code, reason, "không", "no"));
    }
}

#[async_trait]
impl PopulationQuestions for Database {
    fn is_connected(&self) -> bool {
        self.connected.load(Ordering::SeqCst)
    }

    async fn confirm(&self, question: &Question) -> Result<RegisterAnswer, Fault> {
        if let Some(fault) = self.instead.lock().unwrap().take() {
            return Err(fault);
        }
        let code = {
            let mut codes = self.codes.lock().unwrap();
            let (code, first) = codes.entry(question.request_id).or_insert_with(|| {
                let code = SystemIds::shared().uuid().simple().to_string();
                (code, question.clone())
            });
            assert!(*first == *question, "one request id, two questions");
            code.clone()
        };
        let asker = Asker::new(
            &question.procedure_code,
            &question.officer_code,
            &question.agency_code,
            "nghean",
            "0912345678",
        );
        let enquiry = Enquiry {
            code: RequestCode::new(code.clone()).unwrap(),
            asker: asker.unwrap(),
            number: Number::parse(&question.number).unwrap(),
            full_name: question.full_name.clone(),
            birth: match question.birth {
                Birth::Year(year) => Born::Year(year),
                Birth::Day(day) => Born::Day(day),
            },
        };
        let answer = self.register.confirm(&enquiry).await;
        self.answered.notify_one();
        let _passed = self.gate.lock().await;
        let said = |code, reason| Fault::new(code, reason, "không", "no");
        match answer {
            Ok(confirmed) => Ok(RegisterAnswer {
                request_code: code,
                confirmed,
            }),
            Err(CallError::Refused { .. }) => Err(said(FaultCode::FailedPrecondition, "PARTNER_REFUSED")),
            Err(CallError::NotSent(_)) => Err(said(FaultCode::Unavailable, "PARTNER_UNAVAILABLE")),
            Err(CallError::Unknown(_)) => Err(said(FaultCode::Unavailable, "PARTNER_OUTCOME_UNKNOWN")),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the field may be absent")]
const fn born(year: i32, month: i32, day: i32) -> Option<Date> {
    Some(Date { year, month, day })
}

/// Somebody whom the database knows.
fn known() -> Party {
    Party {
        personal_number: "040099000001".to_owned(),
        date_of_birth: born(1999, 2, 14),
        ..owner("Nguyễn Văn An")
    }
}

async fn file(stack: &Stack, owner: Party) -> Case {
    let request = SubmitCaseRequest {
        owner: Some(owner),
        ..birth_registration()
    };
    let answer = stack.portal(citizen()).cases.submit_case(request).await.unwrap();
    answer.into_inner().case.unwrap()
}

fn replaced(case: &Case) -> SetComponentStateRequest {
    SetComponentStateRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        component_code: IDENTITY.to_owned(),
        state: ComponentState::ReplacedByData.into(),
        reason: "Tra cứu thay giấy tờ".to_owned(),
        register_code: POPULATION.to_owned(),
        owner_date_of_birth: None,
    }
}

async fn say(client: &Client, request: SetComponentStateRequest) -> Result<SetComponentStateResponse, Status> {
    let mut components = client.components.clone();
    Ok(components.set_component_state(request).await?.into_inner())
}

fn identity(items: &[ChecklistItem]) -> &ChecklistItem {
    items.iter().find(|item| item.component_code == IDENTITY).unwrap()
}

/// The code under which the database was asked for what stands there.
fn code_of(answer: &SetComponentStateResponse) -> String {
    let check = identity(&answer.items).check.as_ref().unwrap();
    assert_eq!(check.register_confirmed, !check.request_code.is_empty());
    check.request_code.clone()
}

async fn count(stack: &Stack, what: &'static str) -> i64 {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_scalar(what).fetch_one(&mut superuser).await.unwrap()
}

#[tokio::test]
async fn the_population_database_confirms_the_owner_in_the_place_of_the_paper_and_its_code_is_kept() {
    let (stack, database) = Database::stack().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let case = file(&stack, known()).await;
    let seen = get(&clerk, &case.case_id).await.unwrap();
    assert_eq!(seen.owner.unwrap().date_of_birth, born(1999, 2, 14));

    let request = replaced(&case);
    let answer = say(&clerk, request.clone()).await.unwrap();
    let code = code_of(&answer);
    let item = identity(&answer.items);
    assert_eq!(item.state(), ComponentState::ReplacedByData);
    assert!(item.registers[0].connected, "by the configuration; the pack says no");
    // The same request again is the same answer, and nobody is asked.
    assert_eq!(say(&clerk, request).await.unwrap(), answer);
    assert_eq!(database.asked(), BTreeMap::from([(code.clone(), 1)]));
    let question = database.questions().remove(0);
    assert_eq!(
        (
            question.unit_id,
            question.agency_code.as_str(),
            question.procedure_code.as_str()
        ),
        (TRUONG_VINH, "H41.201", "1.001193")
    );
    assert_eq!(question.citizen_id, Some(citizen()));
    assert_eq!(question.case_code, case.case_code);
    assert!(question.legal_basis.contains("118/2025"), "{}", question.legal_basis);
    assert!(question.officer_code.parse::<Uuid>().is_ok());

    // Kept with the check, in the history and under the leaf; of the person nothing.
    for (what, expected) in [
        (
            "SELECT count(*) FROM component_checks WHERE confirmed AND request_code IS NOT NULL",
            1,
        ),
        (
            "SELECT count(*) FROM case_history AS h JOIN component_checks AS k USING (case_id, version)
             WHERE h.details ->> 'request_code' = k.request_code AND (h.details ->> 'register_confirmed')::boolean",
            1,
        ),
        (
            "SELECT count(*) FROM case_history WHERE details::text LIKE '%0400990%'",
            0,
        ),
        (
            "SELECT count(*) FROM egov.leaves WHERE kind = 'case' AND version = 2",
            1,
        ),
    ] {
        assert_eq!(count(&stack, what).await, expected, "{what}");
    }
    let mut checklist = clerk.components.clone();
    let request = ListChecklistRequest {
        case_id: case.case_id.clone(),
    };
    let listed = checklist.list_checklist(request).await.unwrap().into_inner();
    assert_eq!(identity(&listed.items).check.as_ref().unwrap().request_code, code);

    // A paper that is asked for all the same is counted, with a connection that is there.
    let asked_for = SetComponentStateRequest {
        request_id: request_id(),
        etag: listed.etag,
        state: ComponentState::Needed.into(),
        register_code: String::new(),
        ..replaced(&case)
    };
    say(&clerk, asked_for).await.unwrap();
    let mut officer = stack.staff("officer", TRUONG_VINH).components;
    let rows = officer
        .list_avoidable_papers(ListAvoidablePapersRequest::default())
        .await;
    let rows = rows.unwrap().into_inner().papers;
    let registers: Vec<_> = rows.iter().filter_map(|row| row.register.as_ref()).collect();
    assert!(
        registers.iter().any(|one| one.code == POPULATION && one.connected),
        "{registers:?}"
    );

    // Without a connection it is the officer's word, as it was before there was any.
    database.connected.store(false, Ordering::SeqCst);
    let other = file(&stack, owner("Nguyễn Thị Hường")).await;
    let answer = say(&clerk, replaced(&other)).await.unwrap();
    assert_eq!(code_of(&answer), "");
    assert!(!identity(&answer.items).registers[0].connected);
    assert_eq!(database.asked().len(), 1);
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);

    // Another code than the one of the history is named by the verification.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    for statement in [
        "SET session_replication_role = replica",
        "UPDATE component_checks SET request_code = 'another' WHERE request_code IS NOT NULL",
    ] {
        sqlx::query(statement).execute(&mut superuser).await.unwrap();
    }
    let found = verified(&stack).await;
    let named = format!("{:?}", found.violations);
    assert!(named.contains("a register was asked otherwise"), "{named}");
}

#[tokio::test]
async fn whoever_the_population_database_does_not_confirm_keeps_the_paper_and_everything_that_is_missing_is_named() {
    let (stack, database) = Database::stack().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);

    // No date of birth is taken that cannot be one.
    for (kind, date, field) in [
        (ApplicantKind::Citizen, born(2027, 1, 1), "owner.date_of_birth"),
        (ApplicantKind::Citizen, born(1999, 2, 30), "owner.date_of_birth"),
        (ApplicantKind::Citizen, born(1999, 2, 0), "owner.date_of_birth"),
        (ApplicantKind::Organisation, born(1999, 2, 14), "owner.date_of_birth"),
    ] {
        let request = SubmitCaseRequest {
            owner: Some(Party {
                kind: kind.into(),
                date_of_birth: date,
                ..known()
            }),
            ..birth_registration()
        };
        let status = stack.portal(citizen()).cases.submit_case(request).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELD");
        assert_eq!(fault_of(&status).violations()[0].field, field);
    }

    let anonymous = Party {
        personal_number: String::new(),
        date_of_birth: None,
        ..known()
    };
    let case = file(&stack, anonymous).await;
    let status = say(&clerk, replaced(&case)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "POPULATION_PARTICULARS_MISSING")
    );
    let fault = fault_of(&status);
    let fields: Vec<&str> = fault.violations().iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["owner.personal_number", "owner_date_of_birth"]);

    // Whoever may not act, reads an earlier version, or names something else is refused before anybody is asked.
    let neighbour = stack.staff("one_stop_clerk", THANH_VINH);
    let unborn = Party {
        date_of_birth: None,
        ..known()
    };
    let case = file(&stack, unborn).await;
    let with_date = |date| SetComponentStateRequest {
        owner_date_of_birth: date,
        ..replaced(&case)
    };
    let status = say(&neighbour, with_date(born(1999, 2, 14))).await.unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_FOUND");
    let reader = stack.staff("case_reader", TRUONG_VINH);
    let status = say(&reader, with_date(born(1999, 2, 14))).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let stale = SetComponentStateRequest {
        etag: "9-000000000000".to_owned(),
        ..with_date(born(1999, 2, 14))
    };
    assert_eq!(reason(&say(&clerk, stale).await.unwrap_err()), "STALE_ETAG");
    for (component, expected) in [
        ("la_lung", "COMPONENT_UNKNOWN"),
        ("mau_dien_tu", "COMPONENT_NOT_REUSABLE"),
    ] {
        let request = SetComponentStateRequest {
            component_code: component.to_owned(),
            ..with_date(born(1999, 2, 14))
        };
        assert_eq!(reason(&say(&clerk, request).await.unwrap_err()), expected);
    }
    let elsewhere = SetComponentStateRequest {
        register_code: "birth_notice".to_owned(),
        ..with_date(born(1999, 2, 14))
    };
    let status = say(&clerk, elsewhere).await.unwrap_err();
    assert_eq!(fault_of(&status).violations()[0].field, "owner_date_of_birth");
    assert!(database.asked().is_empty());

    // A wrong date is not confirmed. The right one, said with the request, is; it is not kept.
    let status = say(&clerk, with_date(born(1999, 0, 0))).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "POPULATION_NOT_CONFIRMED")
    );
    let asked_under = fault_of(&status).metadata()["request_code"].clone();
    assert!(database.asked().contains_key(&asked_under));
    // Integration refuses, and is away.
    database.answer_instead(FaultCode::FailedPrecondition, "AGENCY_CODE_NOT_OF_UNIT");
    let status = say(&clerk, with_date(born(1999, 2, 14))).await.unwrap_err();
    assert_eq!(reason(&status), "POPULATION_REFUSED");
    assert_eq!(fault_of(&status).metadata()["cause"], "AGENCY_CODE_NOT_OF_UNIT");
    database.answer_instead(FaultCode::Unavailable, "TOKEN_NOT_ISSUED");
    let status = say(&clerk, with_date(born(1999, 2, 14))).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "POPULATION_UNAVAILABLE")
    );
    assert!(fault_of(&status).retry_delay().is_some());
    assert_eq!(get(&clerk, &case.case_id).await.unwrap().etag, case.etag);
    assert_eq!(count(&stack, "SELECT count(*) FROM component_checks").await, 0);

    let answer = say(&clerk, with_date(born(1999, 2, 14))).await.unwrap();
    assert!(!code_of(&answer).is_empty());
    let after = get(&clerk, &case.case_id).await.unwrap();
    assert_eq!(after.owner.unwrap().date_of_birth, None);
    // The same data stands there: that is said before anybody is asked again.
    let asked = database.asked().len();
    let again = SetComponentStateRequest {
        etag: after.etag,
        ..with_date(born(1999, 2, 14))
    };
    assert_eq!(
        reason(&say(&clerk, again).await.unwrap_err()),
        "COMPONENT_STANDS_ALREADY"
    );
    assert_eq!(database.asked().len(), asked);
}

#[tokio::test]
async fn whatever_goes_wrong_with_the_population_database_a_request_is_one_question_and_one_check() {
    let (stack, database) = Database::stack().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    for (before, wrong) in (0_usize..).zip(Wrong::ALL) {
        let case = file(&stack, known()).await;
        database.simulator.faults().script(CONFIRM, wrong);
        let request = replaced(&case);
        let mut answer = say(&clerk, request.clone()).await;
        for _ in 0..5 {
            let Err(status) = &answer else { break };
            assert_eq!(reason(status), "POPULATION_UNAVAILABLE", "{wrong:?}");
            assert_eq!(get(&clerk, &case.case_id).await.unwrap().etag, case.etag, "{wrong:?}");
            answer = say(&clerk, request.clone()).await;
        }
        let code = code_of(&answer.unwrap());
        assert_eq!(database.simulator.faults().left(), 0, "{wrong:?} was met");
        let asked = database.asked();
        assert!(asked.contains_key(&code), "{wrong:?}");
        assert_eq!(asked.len(), before + 1, "{wrong:?}");
    }
    let faults = i64::try_from(Wrong::ALL.len()).unwrap();
    assert_eq!(count(&stack, "SELECT count(*) FROM component_checks").await, faults);

    // The caller goes away between the answer and the commit, and asks again.
    let case = file(&stack, known()).await;
    let request = replaced(&case);
    let asked = database.asked().len();
    // A word about an earlier answer may be left over.
    let _ = futures::FutureExt::now_or_never(database.answered.notified());
    let held = database.gate.lock().await;
    let gone = tokio::spawn({
        let (clerk, request) = (clerk.clone(), request.clone());
        async move { say(&clerk, request).await }
    });
    database.answered.notified().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    drop(held);
    let code = code_of(&say(&clerk, request).await.unwrap());
    assert!(database.asked().contains_key(&code));
    assert_eq!(database.asked().len(), asked + 1);
    assert_eq!(count(&stack, "SELECT count(*) FROM component_checks").await, faults + 1);

    // The same request twice at once is one question and one answer; of two officers at once one is told.
    let case = file(&stack, known()).await;
    let request = replaced(&case);
    let (first, second) = tokio::join!(say(&clerk, request.clone()), say(&clerk, request));
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(database.asked().len(), asked + 2);
    let case = file(&stack, known()).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let both = tokio::join!(say(&clerk, replaced(&case)), say(&officer, replaced(&case)));
    let (done, refused): (Vec<_>, Vec<_>) = [both.0, both.1].into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 1));
    assert_eq!(reason(refused[0].as_ref().unwrap_err()), "STALE_ETAG");
    assert_eq!(count(&stack, "SELECT count(*) FROM component_checks").await, faults + 3);
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}
