//! A thousand cases through a portal with faults, and processes that are killed in the middle: both sides end equal.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use egov_clock::{Clock as _, ManualClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_integration::partners::Connections;
use egov_integration::{CaseReconciler, Deliverer};
use egov_keyring::Keyring;
use egov_partners::backoff::Backoff;
use egov_partners::breaker::BreakerConfig;
use egov_partners::case_mapping::{Surroundings, told_case};
use egov_partners::line::{Line, LineConfig};
use egov_partners::portal::{OpenCpsPortal, PortalAccount, ToldCase};
use egov_partners::portal_rest::{RestAccount, RestPortal};
use egov_partners::{Partner, code_tables::CodeTables};
use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::DeliveryState;
use egov_proto::egov::onestop::v1::{Case, CaseState};
use egov_simulators::{CLIENT_ID, CLIENT_SECRET, Faults, PASSWORD, RestPortalSimulator, USERNAME};
use jiff::SignedDuration;

use crate::follow::{Stage, following};
use crate::reconciliation::{ASKED, ask, asked, compare, differences, filed, run_now, second, stage, stage_with};
use crate::support::{HERE, Running, case_with_code, connections};

/// Faults are waited for so long only: half of them are answers that never come.
fn hasty(url: &str, clock: &ManualClock) -> Line {
    let config = LineConfig {
        address: url.to_owned(),
        hosts: vec!["127.0.0.1".to_owned()],
        timeout_ms: 100,
        dead_line_ms: 400,
        tries: 2,
        backoff: Backoff {
            first_ms: 1,
            longest_ms: 2,
        },
        breaker: BreakerConfig {
            failures: 1_000,
            pause_ms: 1_000,
        },
        ..LineConfig::default()
    };
    Line::open(Partner::NationalPortal, config, clock.shared(), SystemIds::shared()).unwrap()
}

fn patient(service: &Running) -> Connections {
    let mut connections = service
        .partners
        .connections(Arc::clone(&service.keyring), &service.clock);
    connections.delivering.at_once = 8;
    connections.delivering.most_attempts = 12;
    connections
}

/// The portal at this address by the first generation of its contract.
fn first_generation(service: &Running, url: &str) -> Connections {
    let mut connections = patient(service);
    let account = PortalAccount {
        username: USERNAME.to_owned(),
        password: PASSWORD.into(),
    };
    if let Some(portal) = connections.portal.as_mut() {
        portal.partner = Arc::new(OpenCpsPortal::new(hasty(url, &service.clock), account));
    }
    connections
}

/// The same by the second generation: the REST flow.
fn second_generation(service: &Running, url: &str) -> Connections {
    let mut connections = second(patient(service), &service.clock, url, SECOND_FROM);
    let account = RestAccount {
        client_id: CLIENT_ID.to_owned(),
        client_secret: CLIENT_SECRET.into(),
    };
    if let Some((_, portal)) = connections.portal_second.as_mut() {
        portal.partner = Arc::new(RestPortal::new(hasty(url, &service.clock), account));
    }
    connections
}

/// A day that is over.
const SECOND_FROM: &str = "2026-01-01";

/// Where no portal is.
const NOBODY: &str = "http://127.0.0.1:1/";

fn tables() -> CodeTables {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/code-tables");
    CodeTables::load(&folder).unwrap()
}

/// What the portal is to know of a case in the end.
fn expected(case: &Case, tables: &CodeTables) -> ToldCase {
    let clock = egov_testkit::clock().shared();
    let mapped = told_case(case, &Surroundings::default(), tables, clock.today(), clock.now()).unwrap();
    mapped.told
}

/// Follows until nothing is left to be told.
async fn follow(stage: &Stage, by: &impl Fn(&str) -> Connections, url: &str) {
    loop {
        let round = stage.follower_by(by(url), Vec::new()).round().await.unwrap().unwrap();
        assert_eq!(round.put_off, 0);
        if round.done == 0 {
            return;
        }
    }
}

async fn dead(service: &Running) -> Vec<proto::Delivery> {
    let message = proto::ListDeliveriesRequest {
        page_size: 200,
        state: DeliveryState::Dead.into(),
        ..proto::ListDeliveriesRequest::default()
    };
    let request = service.by("partner_operator", HERE, message);
    service
        .portal()
        .list_deliveries(request)
        .await
        .unwrap()
        .into_inner()
        .deliveries
}

/// The first words of a twentieth of the cases, which nobody was there to hear: they were given up.
const fn given_up_of(cases: u32) -> u32 {
    cases / 20
}

/// A quarter of the cases goes on.
const fn goes_on(n: u32) -> bool {
    n % 4 == 1
}

/// A case as it stands in the end.
fn in_the_end(n: u32) -> Case {
    let state = [
        CaseState::Processing,
        CaseState::SupplementRequested,
        CaseState::Completed,
    ];
    if goes_on(n) {
        filed(n, state[n as usize % 3], 2)
    } else {
        filed(n, CaseState::Accepted, 1)
    }
}

/// Tells the portal, at this address and with a fifth of faults, of so many cases, until nothing is left to be told.
async fn tell(stage: &Stage, cases: u32, (url, faults): (&str, &Faults), by: &impl Fn(&str) -> Connections) {
    let service = &stage.service;
    let accepted = |n| filed(n, CaseState::Accepted, 1);
    let given_up = given_up_of(cases);
    stage.all_changed((1..=given_up).map(accepted).collect()).await;
    follow(stage, by, url).await;
    let mut away = by(NOBODY);
    away.delivering.most_attempts = 1;
    Deliverer::new(service.pool(), away).round().await.unwrap().unwrap();
    assert_eq!(dead(service).await.len(), given_up as usize);
    // The others with the faults.
    let deliverer = Deliverer::new(service.pool(), by(url));
    faults.seeded(20_261_127, 200);
    stage.all_changed((given_up + 1..=cases).map(accepted).collect()).await;
    follow(stage, by, url).await;
    // A quarter of the cases goes on while the first words of them are still on their way.
    deliverer.round().await.unwrap();
    service.clock.advance(SignedDuration::from_mins(1));
    let later = (1..=cases).filter(|n| goes_on(*n)).map(in_the_end);
    stage.all_changed(later.collect()).await;
    follow(stage, by, url).await;
    let mut redriven = 0;
    for _ in 0..60 {
        service.clock.advance(SignedDuration::from_mins(16));
        let tried = deliverer.round().await.unwrap().unwrap().tried;
        if tried == 0 {
            for delivery in &dead(service).await {
                // An older word after a newer one is refused; it is not needed any more.
                redriven += usize::from(service.redrive(delivery).await.is_ok());
            }
            let open = "SELECT count(*) FROM deliveries WHERE state IN (1, 2, 4)";
            if service.count(open).await == 0 {
                break;
            }
        }
    }
    faults.seeded(0, 0);
    let last_words = (1..=given_up).filter(|n| !goes_on(*n)).count();
    assert!(
        last_words > 0 && redriven >= last_words,
        "{redriven} dead letters were sent out again"
    );
}

/// What is left to see: the run of a reconciliation found nothing, and each case is known to be synchronised.
async fn assert_synchronised(service: &Running, run: &str, cases: i32) {
    let done = run_now(service, run).await;
    assert_eq!(differences(service, run).await, []);
    assert_eq!((done.compared, done.equal, done.differing), (cases, cases, 0));
    assert!(done.looked_for_unknown);
    let waiting =
        "SELECT count(*) FROM portal_synchronisations WHERE acknowledged_version IS DISTINCT FROM told_version";
    assert_eq!(service.count(waiting).await, 0, "and each is known to be synchronised");
}

#[tokio::test]
async fn a_thousand_cases_through_a_portal_with_a_fifth_of_faults_end_equal_on_both_sides() {
    const CASES: u32 = 1_000;
    let stage = stage().await;
    let (service, portal) = (&stage.service, &stage.service.partners.portal);
    let by = |url: &str| first_generation(service, url);
    let url = portal.url();
    Box::pin(tell(&stage, CASES, (url.as_str(), portal.faults()), &by)).await;
    let met = portal.faults().met().len();
    assert!(met > 400, "{met} faults were met");
    // Both sides, by each side's own record.
    let (tables, there) = (tables(), portal.cases());
    assert_eq!(there.len(), CASES as usize);
    for n in 1..=CASES {
        let case = in_the_end(n);
        assert_eq!(
            there[&case.case_code],
            expected(&case, &tables).item,
            "{}",
            case.case_code
        );
    }
    // And by a reconciliation.
    let run = ask(service, asked(true)).await.unwrap();
    compare(&stage).await;
    assert_synchronised(service, &run.reconciliation_id, 1_000).await;
}

#[tokio::test]
async fn two_hundred_cases_through_the_rest_flow_with_a_fifth_of_faults_end_equal_on_both_sides() {
    const CASES: u32 = 200;
    let portal = RestPortalSimulator::start(egov_testkit::clock().shared())
        .await
        .unwrap();
    let url = portal.url();
    let stage = stage_with(|connections, clock| second(connections, clock, &url, SECOND_FROM)).await;
    let service = &stage.service;
    let by = |url: &str| second_generation(service, url);
    Box::pin(tell(&stage, CASES, (url.as_str(), portal.faults()), &by)).await;
    let met = portal.faults().met().len();
    assert!(met > 80, "{met} faults were met");
    assert!(
        service.partners.portal.cases().is_empty(),
        "the first generation is told nothing"
    );
    let others = "SELECT count(*) FROM deliveries WHERE contract <> 'rest-sim-1'";
    assert_eq!(service.count(others).await, 0);
    // Both sides, by each side's own record.
    let (tables, there) = (tables(), portal.dossiers());
    assert_eq!(there.len(), CASES as usize);
    for n in 1..=CASES {
        let case = in_the_end(n);
        let (code, told) = (&case.case_code, expected(&case, &tables));
        let found = &there[code];
        assert_eq!(found.dossier, told.dossier, "{code}");
        let state = found.state.as_ref().unwrap();
        assert_eq!(
            (&state.state, state.due_time, state.return_time),
            (&told.item.state, told.item.due_time, told.item.return_time),
            "{code}"
        );
        // One dossier, and each state once, in the order of the case.
        assert_eq!(portal.made(code), 1, "{code}");
        let first = "2".to_owned();
        let states = match (goes_on(n), n <= given_up_of(CASES)) {
            (true, false) => vec![first, told.item.state],
            // Its first word was given up, and is not needed any more.
            (true, true) => vec![told.item.state],
            (false, _) => vec![first],
        };
        assert_eq!(portal.states(code), states, "{code}");
    }
    // And by a reconciliation.
    let run = ask(service, asked(true)).await.unwrap();
    let mut connections = following(by(&url), &stage.address, vec![HERE]);
    connections.reconciling = ASKED;
    CaseReconciler::new(service.pool(), connections)
        .round()
        .await
        .unwrap()
        .unwrap();
    assert_synchronised(service, &run.reconciliation_id, 200).await;
}

/// What the child is told: database, folder of the keyring, address of the portal.
const TOLD: &str = "EGOV_TEST_PORTAL_DELIVERER";

/// Not a test by itself: the process that is killed. Without its orders it does nothing.
#[test]
fn child_that_tells_the_portal_until_it_is_killed() {
    let Some(told) = std::env::var_os(TOLD) else {
        return;
    };
    let told = told.into_string().unwrap();
    let mut words = told.split('\n').map(str::to_owned);
    let mut next = || words.next().unwrap();
    let (url, folder, portal) = (next(), next(), next());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = egov_testkit::clock();
        let keyring = Arc::new(Keyring::open(folder.as_ref(), &clock).unwrap());
        let config = DatabaseConfig::new(url).test_profile();
        let database = Database::connect(&config, keyring.clone(), clock.shared(), SystemIds::shared())
            .await
            .unwrap();
        let urls = [portal.clone(), portal.clone(), portal.clone(), portal];
        let deliverer = Deliverer::new(&database, connections(&urls, keyring, &clock));
        loop {
            deliverer.round().await.unwrap();
        }
    });
}

#[tokio::test]
async fn a_process_killed_while_it_tells_the_portal_leaves_each_word_told_once_and_in_order() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("keys");
    Keyring::create_missing(&folder, &egov_testkit::clock()).unwrap();
    let service = Running::on_disk(&folder).await;
    let portal = &service.partners.portal;
    const CASES: u32 = 60;
    let code = |n: u32| format!("H41.50.05.13-261123-{n:04}");
    for n in 1..=CASES {
        service
            .submit(case_with_code(&code(n), CaseState::Accepted, 1))
            .await
            .unwrap();
        service
            .submit(case_with_code(&code(n), CaseState::Processing, 2))
            .await
            .unwrap();
    }
    let told = [
        service.database.app_url.clone(),
        folder.to_string_lossy().into_owned(),
        portal.url(),
    ]
    .join("\n");
    let written = || (1..=CASES).map(|n| portal.writes(&code(n))).sum::<u32>();
    for kill in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "thousand::child_that_tells_the_portal_until_it_is_killed",
                "--nocapture",
            ])
            .env(TOLD, &told)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..6_000 {
            if written() >= kill * 25 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // SIGKILL: nothing of the process runs any more.
        child.kill().unwrap();
        child.wait().unwrap();
        let mut superuser = service.database.connect_as_superuser().await.unwrap();
        sqlx::query("DELETE FROM egov.leases")
            .execute(&mut superuser)
            .await
            .unwrap();
    }
    assert!(written() >= 75, "it was killed in the middle of {}", written());
    service.rounds().await;
    for n in 1..=CASES {
        assert_eq!(portal.cases()[&code(n)].state, "4", "{}", code(n));
        assert_eq!(portal.writes(&code(n)), 2, "{}", code(n));
    }
    let open = "SELECT count(*) FROM deliveries WHERE state <> 3";
    assert_eq!(service.count(open).await, 0);
}
