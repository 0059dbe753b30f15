//! A thousand cases through a portal with faults, and processes that are killed in the middle: both sides end equal.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use egov_clock::{Clock as _, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_integration::Deliverer;
use egov_integration::partners::Connections;
use egov_keyring::Keyring;
use egov_partners::backoff::Backoff;
use egov_partners::breaker::BreakerConfig;
use egov_partners::case_mapping::{Surroundings, told_case};
use egov_partners::line::{Line, LineConfig};
use egov_partners::portal::{CaseItem, OpenCpsPortal, PortalAccount};
use egov_partners::{Partner, code_tables::CodeTables};
use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::DeliveryState;
use egov_proto::egov::onestop::v1::{Case, CaseState};
use egov_simulators::{PASSWORD, USERNAME};
use jiff::SignedDuration;

use crate::follow::Stage;
use crate::reconciliation::{ask, asked, compare, differences, filed, run_now, stage};
use crate::support::{HERE, Running, case_with_code, connections};

/// Faults are waited for so long only: half of them are answers that never come.
fn impatient(mut connections: Connections, url: &str, clock: &egov_clock::ManualClock) -> Connections {
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
    let line = Line::open(Partner::NationalPortal, config, clock.shared(), SystemIds::shared()).unwrap();
    let account = PortalAccount {
        username: USERNAME.to_owned(),
        password: PASSWORD.into(),
    };
    if let Some(portal) = connections.portal.as_mut() {
        portal.partner = Arc::new(OpenCpsPortal::new(line, account));
    }
    connections.delivering.at_once = 8;
    connections.delivering.most_attempts = 12;
    connections
}

fn expected(case: &Case, tables: &CodeTables) -> CaseItem {
    let clock = egov_testkit::clock().shared();
    let mapped = told_case(case, &Surroundings::default(), tables, clock.today(), clock.now()).unwrap();
    mapped.told.item
}

/// Follows until nothing is left to be told.
async fn follow(stage: &Stage) {
    loop {
        let round = stage.round().await;
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

#[tokio::test]
async fn a_thousand_cases_through_a_portal_with_a_fifth_of_faults_end_equal_on_both_sides() {
    const CASES: u32 = 1_000;
    let stage = stage().await;
    let (service, portal) = (&stage.service, &stage.service.partners.portal);
    let url = portal.url();
    let deliverer = Deliverer::new(
        service.pool(),
        impatient(
            service
                .partners
                .connections(Arc::clone(&service.keyring), &service.clock),
            &url,
            &service.clock,
        ),
    );
    portal.faults().seeded(20_261_127, 200);
    stage
        .all_changed((1..=CASES).map(|n| filed(n, CaseState::Accepted, 1)).collect())
        .await;
    follow(&stage).await;
    // A quarter of the cases goes on while the first words of them are still on their way.
    deliverer.round().await.unwrap();
    let later = (1..=CASES).step_by(4).map(|n| {
        let state = [
            CaseState::Processing,
            CaseState::SupplementRequested,
            CaseState::Completed,
        ];
        filed(n, state[n as usize % 3], 2)
    });
    stage.all_changed(later.collect()).await;
    follow(&stage).await;
    let mut redriven = 0;
    for _ in 0..60 {
        service.clock.advance(SignedDuration::from_mins(16));
        let tried = deliverer.round().await.unwrap().unwrap().tried;
        if tried == 0 {
            let given_up = dead(service).await;
            for delivery in &given_up {
                // An older word after a newer one is refused; it is not needed any more.
                redriven += usize::from(service.redrive(delivery).await.is_ok());
            }
            let open = "SELECT count(*) FROM deliveries WHERE state IN (1, 2, 4)";
            if service.count(open).await == 0 {
                break;
            }
        }
    }
    let met = portal.faults().met().len();
    assert!(met > 400, "{met} faults were met");
    portal.faults().seeded(0, 0);
    // Both sides, by each side's own record.
    let tables =
        CodeTables::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/code-tables"))
            .unwrap();
    let there = portal.cases();
    assert_eq!(there.len(), CASES as usize);
    for n in 1..=CASES {
        let state = [
            CaseState::Processing,
            CaseState::SupplementRequested,
            CaseState::Completed,
        ];
        let case = match n % 4 {
            1 => filed(n, state[n as usize % 3], 2),
            _ => filed(n, CaseState::Accepted, 1),
        };
        assert_eq!(
            there[&case.case_code],
            expected(&case, &tables),
            "{} {redriven}",
            case.case_code
        );
    }
    // And by a reconciliation.
    let run = ask(service, asked(true)).await.unwrap();
    compare(&stage).await;
    let done = run_now(service, &run.reconciliation_id).await;
    assert_eq!(differences(service, &run.reconciliation_id).await, []);
    assert_eq!((done.compared, done.equal, done.differing), (1_000, 1_000, 0));
    assert!(done.looked_for_unknown);
    let waiting =
        "SELECT count(*) FROM portal_synchronisations WHERE acknowledged_version IS DISTINCT FROM told_version";
    assert_eq!(service.count(waiting).await, 0, "and each is known to be synchronised");
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
