//! Cấp số định danh cá nhân: the saga of a child's number, against the simulated population database by its real adapter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use egov_civil_registry::population::{NoNumber, NumberAssigner, WantedNumber};
use egov_civil_registry::rebuild_leaves::{rebuild_leaves, without_row};
use egov_civil_registry::{NumberRound, PersonalNumbers};
use egov_clock::SystemIds;
use egov_codes::PersonalNumber;
use egov_fault::Fault;
use egov_partners::Partner;
use egov_partners::line::{Line, LineConfig};
use egov_partners::outcome::CallError;
use egov_partners::population::{
    ASSIGN, Asker, Assignment, Birth as Born, Newborn, PopulationAccount, PopulationRegister as _, RequestCode,
    SoapPopulationRegister,
};
use egov_proto::egov::civil_registry::v1::*;
use egov_simulators::{ACCOUNT, API_KEY, Fault as Faulty, PopulationSimulator, SIGNING_SECRET, X_ROAD_CLIENT};
use egov_transparency::{LogReport, verify_kind};
use jiff::SignedDuration;
use tokio::sync::Notify;
use tonic::{Code, Status};

use crate::papers::{laid_out, value};
use crate::support::*;

/// The population database, as integration speaks to it.
struct Simulated {
    simulator: PopulationSimulator,
    register: SoapPopulationRegister,
    /// Whether answers come, and whoever waits for them goes no further.
    is_lost: AtomicBool,
    /// Told of each answer that is lost.
    lost: Notify,
}

impl Simulated {
    async fn start(stack: &Stack) -> Arc<Self> {
        let simulator = PopulationSimulator::start(stack.clock.shared()).await.unwrap();
        let config = LineConfig {
            address: simulator.url(),
            hosts: vec!["127.0.0.1".to_owned()],
            timeout_ms: 300,
            ..LineConfig::default()
        };
        let (clock, ids) = (stack.clock.shared(), SystemIds::shared());
        let line = Line::open(Partner::PopulationRegister, config, clock, ids).unwrap();
        let account = PopulationAccount {
            user: ACCOUNT.to_owned(),
            secret: SIGNING_SECRET.into(),
            api_key: API_KEY.into(),
            x_road_client: X_ROAD_CLIENT.to_owned(),
            confirm_operation: "XacThucThongTin".to_owned(),
            path: "population".to_owned(),
        };
        Arc::new(Self {
            simulator,
            register: SoapPopulationRegister::new(line, account),
            is_lost: AtomicBool::new(false),
            lost: Notify::new(),
        })
    }
}

#[async_trait]
impl NumberAssigner for Simulated {
    fn is_connected(&self) -> bool {
        true
    }

    async fn assign(&self, wanted: &WantedNumber) -> Result<PersonalNumber, NoNumber> {
        let (year, month, day) = wanted.born.numbers();
        let day = jiff::civil::date(
            year.try_into().unwrap(),
            month.try_into().unwrap(),
            day.try_into().unwrap(),
        );
        let assignment = Assignment {
            code: RequestCode::new(wanted.request_code.as_str()).unwrap(),
            asker: Asker::new("1.001193", &wanted.officer_code, &wanted.agency_code, "nghean", "").unwrap(),
            newborn: Newborn {
                full_name: wanted.full_name.clone(),
                birth: Born::Day(day),
                gender_code: wanted.sex.code().to_string(),
                ethnic_group_code: wanted.ethnic_group.clone(),
                nationality: wanted.nationality.clone(),
                registration_place: wanted.registration_place.clone(),
                mother_number: wanted.mother_number.clone(),
                father_number: wanted.father_number.clone(),
            },
        };
        let answer = self.register.assign(&assignment).await;
        if self.is_lost.load(Ordering::SeqCst) {
            self.lost.notify_one();
            return std::future::pending().await;
        }
        match answer {
            Ok(number) => Ok(number.parse().unwrap()),
            Err(CallError::Refused { .. }) => Err(NoNumber::Refused),
            Err(CallError::Unknown(_)) => Err(NoNumber::Unknown(Fault::internal("the outcome is not known"))),
            Err(CallError::NotSent(_)) => Err(NoNumber::Unavailable(Fault::internal("nothing was sent"))),
        }
    }
}

async fn listed(client: &mut Client) -> Vec<PersonalNumberRequest> {
    let request = ListPersonalNumberRequestsRequest::default();
    let answer = client.numbers.list_personal_number_requests(request).await.unwrap();
    answer.into_inner().requests
}

/// The request about an entry: where it is, and what stands in the way.
async fn request_of(client: &mut Client, entry: &Entry) -> PersonalNumberRequest {
    let request = ListPersonalNumberRequestsRequest {
        entry_id: entry.entry_id.clone(),
        ..Default::default()
    };
    let answer = client.numbers.list_personal_number_requests(request).await.unwrap();
    answer.into_inner().requests.remove(0)
}

async fn stands(client: &mut Client, entry: &Entry) -> (PersonalNumberState, String) {
    let request = request_of(client, entry).await;
    (request.state(), request.problem)
}

async fn retry(client: &mut Client, request_id: &str, entry: &Entry) -> Result<PersonalNumberRequest, Status> {
    let request = RetryPersonalNumberRequestRequest {
        request_id: request_id.to_owned(),
        entry_id: entry.entry_id.clone(),
    };
    let answer = client.numbers.retry_personal_number_request(request).await?;
    Ok(answer.into_inner().request.unwrap())
}

fn child(entry: &Entry) -> Child {
    entry.birth.clone().unwrap().child.unwrap()
}

/// How many acts on requests the verification finds wrong.
async fn found(stack: &Stack) -> usize {
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    let mut report = LogReport::default();
    let kind = "civil_personal_number";
    verify_kind(&stack.pool, kind, &rebuilt, without_row(kind), &mut report)
        .await
        .unwrap();
    report.findings.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_never_requested_twice_for_one_child_and_the_certificate_comes_after_it() {
    let stack = Stack::start().await;
    let database = Simulated::start(&stack).await;
    let numbers = PersonalNumbers {
        database: stack.pool.clone(),
        directory: Arc::clone(&stack.directory),
        assigner: Arc::clone(&database) as Arc<dyn NumberAssigner>,
    };
    let round = async || numbers.round().await.unwrap().unwrap();
    let later = async || stack.advance(SignedDuration::from_mins(2)).await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    let entry = officer.register(birth()).await.unwrap();
    let certificate = paper(&entry, PaperKind::Certificate);

    // It waits with the entry: visible, and the certificate with it. An extract does not.
    assert_eq!(
        stands(&mut officer, &entry).await,
        (PersonalNumberState::Wanted, "not_connected".to_owned())
    );
    let status = officer.issue(certificate.clone()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "PERSONAL_NUMBER_AWAITED")
    );
    let metadata = egov_fault::fault_of(&status).metadata().clone();
    assert_eq!(
        (metadata["is_connected"].as_str(), metadata["problem"].as_str()),
        ("false", "not_connected")
    );
    officer.issue(paper(&entry, PaperKind::Extract)).await.unwrap();

    // The database assigns, and is not heard of: nothing is known here, and it is asked again under the same code by two processes at once.
    database.simulator.faults().script(ASSIGN, Faulty::Silent);
    assert_eq!(
        round().await,
        NumberRound {
            asked: 1,
            ..NumberRound::default()
        }
    );
    assert_eq!(
        stands(&mut officer, &entry).await,
        (PersonalNumberState::Asked, "outcome_unknown".to_owned())
    );
    assert_eq!(database.simulator.assigned().len(), 1, "it has assigned one");
    assert_eq!(
        reason(&officer.issue(certificate.clone()).await.unwrap_err()),
        "PERSONAL_NUMBER_AWAITED"
    );
    assert_eq!(round().await, NumberRound::default(), "it is left alone for a while");
    later().await;
    let (one, two) = (numbers.clone(), numbers.clone());
    let both = tokio::join!(one.round(), two.round());
    let rounds = [both.0.unwrap().unwrap_or_default(), both.1.unwrap().unwrap_or_default()];
    assert_eq!(
        rounds.iter().map(|round| round.assigned).sum::<usize>(),
        1,
        "{rounds:?}"
    );
    let request = request_of(&mut officer, &entry).await;
    let number = request.personal_number.clone();
    assert_eq!(request.state(), PersonalNumberState::Assigned);
    assert_eq!(request.assign_date, day(2026, 11, 23));
    assert!(number.starts_with("040326"), "{number}");
    let assigned = database.simulator.assigned();
    assert_eq!(
        assigned.into_iter().collect::<Vec<_>>(),
        [(request.request_code.clone(), number.clone())]
    );
    assert_eq!(
        database.simulator.asked()[&request.request_code],
        2,
        "asked twice, under one code"
    );

    // The entry is what it was; the number stands beside it, leads to the child, and is printed.
    assert_eq!(child(&officer.entry(&entry.entry_id).await.unwrap()), child(&entry));
    let asked = GetPersonRequest {
        person_id: child(&entry).person_id,
        ..Default::default()
    };
    let told = officer
        .persons
        .get_person(asked)
        .await
        .unwrap()
        .into_inner()
        .personal_numbers;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0].personal_number, told[0].valid_from),
        (&number, day(2026, 11, 23))
    );
    let asked = SearchPersonsRequest {
        personal_number: number.clone(),
        ..Default::default()
    };
    let found_persons = officer
        .persons
        .search_persons(asked)
        .await
        .unwrap()
        .into_inner()
        .persons;
    assert_eq!(found_persons[0].person_id, child(&entry).person_id);
    let issued = officer.issue(certificate).await.unwrap();
    stack.sequence().await;
    let form = laid_out(&officer.paper(&issued.paper_id).await.unwrap());
    assert_eq!(value(&form, "birth.child.personal_number"), number);

    // Registered again with it the child is the same one, and nothing is asked for.
    let status = officer.register(birth_with_number(&number)).await.unwrap_err();
    assert_eq!(reason(&status), "BIRTH_REGISTERED");
    assert_eq!(listed(&mut officer).await.len(), 1);

    // A process ends between the answer and the write: the next one asks under the same code and gets the same number.
    let dropped = officer.register(birth()).await.unwrap();
    database.is_lost.store(true, Ordering::SeqCst);
    let dying = tokio::spawn({
        let numbers = numbers.clone();
        async move { numbers.round().await }
    });
    database.lost.notified().await;
    dying.abort();
    assert!(dying.await.is_err());
    database.is_lost.store(false, Ordering::SeqCst);
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    // Its lease runs out.
    sqlx::raw_sql("UPDATE egov.leases SET expire_time = '-infinity' WHERE name = 'civil_registry.personal-numbers'")
        .execute(&mut superuser)
        .await
        .unwrap();
    later().await;
    assert_eq!(round().await.assigned, 1);
    let request = request_of(&mut officer, &dropped).await;
    assert_eq!(
        database.simulator.assigned()[&request.request_code],
        request.personal_number
    );
    assert_eq!(database.simulator.assigned().len(), 2);

    // What an officer has to look at: refused by the database, or a number that cannot be the child's. Nothing is overwritten, and the certificate waits
    // for nothing.
    let refused = officer.register(birth()).await.unwrap();
    database.simulator.refuse(&child(&refused).full_name);
    assert_eq!(round().await.refused, 1);
    let mut wrong = Vec::new();
    for (answered, problem) in [
        (number.as_str(), "number_of_another"),
        ("040226000001", "number_of_another_sex"),
        ("040325000001", "number_of_another_year"),
        ("001326000001", "number_of_another_province"),
    ] {
        let entry = officer.register(birth()).await.unwrap();
        database.simulator.assign_next(answered);
        assert_eq!(round().await.refused, 1, "{problem}");
        let request = request_of(&mut officer, &entry).await;
        assert_eq!(
            (
                request.state(),
                request.problem.as_str(),
                request.personal_number.as_str()
            ),
            (PersonalNumberState::Refused, problem, answered)
        );
        wrong.push(entry);
    }
    officer.issue(paper(&wrong[0], PaperKind::Certificate)).await.unwrap();
    let holders = "SELECT count(*) FROM personal_numbers n JOIN personal_number_requests r USING (personal_number, person_id) WHERE r.state = 3";
    assert_eq!(stack.count(holders).await, 2, "the two that were assigned");

    // By hand, once it is mended: under the same code. Nobody else, and nothing that is not refused.
    let (mut neighbour, mut reader) = (stack.staff(OFFICER, THANH_VINH), stack.staff(READER, TRUONG_VINH));
    let requests = listed(&mut officer).await;
    for (client, entry, expected) in [
        (&mut neighbour, &refused, "ENTRY_NOT_FOUND"),
        (&mut reader, &refused, "PERMISSION_MISSING"),
        (&mut officer, &entry, "PERSONAL_NUMBER_REQUEST_STATE"),
    ] {
        let status = retry(client, &request_id(), entry).await.unwrap_err();
        assert_eq!(reason(&status), expected);
    }
    assert_eq!(listed(&mut officer).await, requests, "a refusal changes nothing");
    assert!(listed(&mut neighbour).await.is_empty(), "the neighbour sees none");
    database.simulator.refuse_nobody();
    let again = request_id();
    let wanted = retry(&mut officer, &again, &refused).await.unwrap();
    assert_eq!(wanted.state(), PersonalNumberState::Wanted);
    assert_eq!(
        retry(&mut officer, &again, &refused).await.unwrap(),
        wanted,
        "the same request"
    );
    retry(&mut officer, &request_id(), &wrong[0]).await.unwrap();
    let done = round().await;
    assert_eq!((done.asked, done.assigned, done.refused), (2, 1, 1));
    assert_eq!(
        request_of(&mut officer, &refused).await.request_code,
        wanted.request_code
    );
    assert_eq!(
        stands(&mut officer, &wrong[0]).await,
        (PersonalNumberState::Refused, "number_of_another".to_owned()),
        "its code leads to the same number"
    );

    // A child of another nationality is not asked for, and a commune without an agency code cannot ask yet.
    let foreign = officer
        .register(birth_where(|birth| {
            "US".clone_into(&mut birth.child.as_mut().unwrap().nationality);
        }))
        .await
        .unwrap();
    assert_eq!(
        stands(&mut officer, &foreign).await,
        (PersonalNumberState::NotAsked, "not_a_citizen".to_owned())
    );
    officer.issue(paper(&foreign, PaperKind::Certificate)).await.unwrap();
    neighbour.open(THANH_VINH, 2026).await.unwrap();
    let request = RegisterBirthRequest {
        unit_id: THANH_VINH,
        ..birth()
    };
    let theirs = neighbour.register(request).await.unwrap();
    assert_eq!(round().await.asked, 0);
    assert_eq!(
        stands(&mut neighbour, &theirs).await,
        (PersonalNumberState::Wanted, "no_agency_code".to_owned())
    );

    // Every act is in the ledger; whoever changes a number behind the service's back is found.
    assert_eq!(found(&stack).await, 0);
    sqlx::raw_sql(
        "SET session_replication_role = replica;
         UPDATE personal_number_requests SET personal_number = '040326999999' WHERE state = 3",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    assert!(found(&stack).await > 0);
}
